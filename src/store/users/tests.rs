use std::sync::Arc;

use super::*;
use crate::{
    domain::{
        account::{DomainName, ObjectGuid},
        clock::Timestamp,
        contact::EmailAddress,
        filter::{Filter, Row as _, Search, Test},
        user::UserColumn,
    },
    store::{
        engine::{Engine, Options, SledEngine},
        record::{Kept as _, UsersIndexed},
    },
};

async fn open(folder: &std::path::Path) -> (Arc<dyn Engine>, Store) {
    let options = Options { cache: 1 << 20, reserve: 0, least_free: 0 };
    let engine: Arc<dyn Engine> = Arc::new(SledEngine::open(folder, &options).unwrap());
    let store = Store::open(Arc::clone(&engine)).await.unwrap();
    (engine, store)
}

fn account(number: u64) -> AccountKey {
    let domain = DomainName::new(if number.is_multiple_of(3) { "lab.example" } else { "corp.example" });
    let guid = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    AccountKey { domain, guid: ObjectGuid::from_bytes(guid.to_be_bytes()) }
}

fn enrollment(number: u64) -> Enrollment {
    let at = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(number).unwrap() * 60_000);
    Enrollment {
        email: (number % 4 == 1).then(|| EmailAddress::parse(&format!("User{number}@mail.example")).unwrap()),
        automatic: number % 10 == 7,
        reset_at: number.is_multiple_of(5).then_some(at),
        ..Enrollment::blank(format!("User{number}"), at)
    }
}

async fn enroll(store: &Store, numbers: impl Iterator<Item = u64>) {
    for some in numbers.collect::<Vec<_>>().chunks(50) {
        let batch = some.iter().fold(store.batch(), |batch, n| batch.put(&account(*n), &enrollment(*n)));
        batch.commit().await.unwrap();
    }
}

/// All that pass, page by page, as the index finds them and as they are.
async fn compare(store: &Store, numbers: &[u64], text: &str, by: UserColumn, is_descending: bool) -> usize {
    let filter = Filter::<UserColumn>::parse(text).unwrap();
    let mut expected = Vec::new();
    for number in numbers {
        let user = store.find_user(&account(*number)).await.unwrap().unwrap();
        if filter.passes(&mut |column, test: &Test| user.cell(column).passes(test)) {
            expected.push(user);
        }
    }
    expected.sort_by_key(|user| (user.cell(by).for_order(), user.identity()));
    if is_descending {
        expected.reverse();
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let search = Search { filter: filter.clone(), by, is_descending, after, limit: 90 };
        let page = store.search_users(&search, &|_, _| {}).await.unwrap();
        assert!(
            page.matches.is_none_or(|matches| matches == expected.len() as u64),
            "{text} {:?}",
            page.matches
        );
        found.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(found == expected, "{text} by {by:?}: {} of {}", found.len(), expected.len());
    assert_eq!(store.count_users(&filter, &|_, _| {}).await.unwrap(), expected.len() as u64, "{text}");
    found.len()
}

#[tokio::test]
async fn a_search_finds_what_going_through_all_enrollments_finds() {
    let folder = tempfile::tempdir().unwrap();
    let (_engine, store) = open(folder.path()).await;
    let numbers: Vec<_> = (0..1500).collect();
    enroll(&store, numbers.iter().copied()).await;
    for text in [
        "",
        "user like USER77",
        "user like user7*",
        "email like user101@mail.example or email given and domain like lab*",
        "enrolled before 2023-11-15 and not reset empty",
        "state in automatic",
        "domain in corp.example and unlocked empty",
        "user like nobody",
        &format!("account like {}", account(8).guid),
    ] {
        for (by, is_descending) in
            [(UserColumn::User, false), (UserColumn::Enrolled, true), (UserColumn::Reset, false)]
        {
            compare(&store, &numbers, text, by, is_descending).await;
        }
    }
}

#[tokio::test]
async fn the_index_follows_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path()).await;
    assert_eq!(compare(&store, &[], "", UserColumn::User, false).await, 0);
    let mut numbers: Vec<_> = (0..700).collect();
    enroll(&store, numbers.iter().copied()).await;
    assert_eq!(compare(&store, &numbers, "", UserColumn::User, false).await, 700);
    // Locked, renamed, removed.
    let subject = Subject::Known(account(5));
    let tally = Tally { locked_at: Some(Timestamp::from_millis(5)), ..Tally::default() };
    store.batch().put(&subject, &tally).commit().await.unwrap();
    let found = store.find::<Enrollment>(&account(6)).await.unwrap().unwrap();
    let renamed = Enrollment { account_name: "Renamed".into(), ..found.clone().into_inner() };
    store.batch().replace(&account(6), &found, &renamed).commit().await.unwrap();
    let found = store.find::<Enrollment>(&account(7)).await.unwrap().unwrap();
    store.batch().remove(&account(7), &found).commit().await.unwrap();
    numbers.retain(|number| *number != 7);
    assert_eq!(
        compare(&store, &numbers, "state in (locked, automatic_locked)", UserColumn::User, false).await,
        1
    );
    assert_eq!(compare(&store, &numbers, "user like renamed", UserColumn::User, false).await, 1);
    assert_eq!(compare(&store, &numbers, "user like user7", UserColumn::User, false).await, 0);
    // It is kept, and the marks are gone.
    drop((engine, store));
    let (engine, store) = open(folder.path()).await;
    let (from, to) = crate::store::record::space_bounds(crate::store::record::Space::UserMarks);
    let marks = engine.scan(from, to, 9).await.unwrap();
    assert!(marks.is_empty(), "{} marks", marks.len());
    assert_eq!(compare(&store, &numbers, "", UserColumn::Email, true).await, 699);
    // Even if everyone goes.
    for some in numbers.chunks(20) {
        let mut batch = store.batch();
        for number in some {
            let found = store.find::<Enrollment>(&account(*number)).await.unwrap().unwrap();
            batch = batch.remove(&account(*number), &found);
        }
        batch.commit().await.unwrap();
    }
    assert_eq!(compare(&store, &[], "", UserColumn::User, false).await, 0);
    enroll(&store, 3..4).await;
    assert_eq!(compare(&store, &[3], "", UserColumn::User, false).await, 1);
}

#[tokio::test]
async fn enrollments_that_are_older_than_the_index_are_in_it_even_if_making_it_was_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path()).await;
    let numbers: Vec<_> = (0..900).collect();
    enroll(&store, numbers.iter().copied()).await;
    store.index_users(&|_, _| {}).await.unwrap();
    // As an older program left it, or one that was ended while it made the second block.
    let headers = store.users.now();
    assert!(headers.len() > 2);
    for left in [0, 1] {
        for header in &headers[left..] {
            let batch = crate::store::engine::Batch::new().remove(index::header_key(&header.first));
            engine.commit(batch).await.unwrap();
        }
        engine.commit(crate::store::engine::Batch::new().remove(UsersIndexed::key(&()))).await.unwrap();
        let again = Store::open(Arc::clone(&engine)).await.unwrap();
        assert_eq!(compare(&again, &numbers, "", UserColumn::User, false).await, 900, "{left} left");
    }
}

#[tokio::test]
async fn whoever_goes_away_in_the_middle_leaves_the_index_as_it_is_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let (_engine, store) = open(folder.path()).await;
    let mut numbers = Vec::new();
    for round in 0..40 {
        let some = round * 20..(round + 1) * 20;
        enroll(&store, some.clone()).await;
        numbers.extend(some);
        // Given up after so many steps of it.
        let nothing = |_, _| {};
        let mut under_way = Box::pin(store.index_users(&nothing));
        for _ in 0..round {
            let step = std::time::Duration::from_micros(200);
            if tokio::time::timeout(step, &mut under_way).await.is_ok() {
                break;
            }
        }
        drop(under_way);
    }
    assert_eq!(compare(&store, &numbers, "", UserColumn::User, false).await, 800);
    let some = numbers.iter().copied().filter(|number| number % 7 == 0).collect::<Vec<_>>();
    for number in some {
        let found = store.find::<Enrollment>(&account(number)).await.unwrap().unwrap();
        store.batch().remove(&account(number), &found).commit().await.unwrap();
    }
    numbers.retain(|number| number % 7 != 0);
    assert_eq!(compare(&store, &numbers, "", UserColumn::User, false).await, numbers.len());
}

#[tokio::test]
async fn an_index_that_can_t_be_read_is_made_anew_and_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path()).await;
    let numbers: Vec<_> = (0..600).collect();
    enroll(&store, numbers.iter().copied()).await;
    store.index_users(&|_, _| {}).await.unwrap();
    let first = store.users.now()[1].first.clone();
    let body = [&index::body_prefix(&first)[..], &[0]].concat();
    for broken in [index::header_key(&first), body] {
        engine.commit(crate::store::engine::Batch::new().put(broken, b"?".to_vec())).await.unwrap();
        let again = Store::open(Arc::clone(&engine)).await.unwrap();
        // Someone in that block is written.
        enroll(&again, 0..600).await;
        assert_eq!(compare(&again, &numbers, "", UserColumn::User, false).await, 600);
    }
}
