use std::{ops::Bound, sync::LazyLock};

use super::*;
use crate::{
    domain::{
        audit::EventColumn,
        filter::{Filter, Row as _, Search, Test, day_of, start_of},
    },
    store::{
        engine::{Engine, Options, SledEngine},
        record::Kept as _,
    },
};

static KEY: LazyLock<Key> = LazyLock::new(key);

fn key() -> Key {
    Key::new([9; 32])
}

async fn open(folder: &std::path::Path) -> (Arc<dyn Engine>, Store) {
    reopen(folder, false).await
}

async fn reopen(folder: &std::path::Path, was_sealed: bool) -> (Arc<dyn Engine>, Store) {
    let options = Options { cache: 1 << 20, reserve: 0, least_free: 0 };
    let engine: Arc<dyn Engine> = Arc::new(SledEngine::open(folder, &options).unwrap());
    let store = Store::open(Arc::clone(&engine)).await.unwrap();
    store.keep_log(&key(), was_sealed).await.unwrap();
    (engine, store)
}

async fn with_events(count: i64) -> (tempfile::TempDir, Arc<dyn Engine>, Store) {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path()).await;
    for at in 0..count {
        store.batch().event(&entry::tests::sample(at)).commit().await.unwrap();
    }
    (folder, engine, store)
}

fn at(number: u64) -> Vec<u8> {
    record::numbered_key(Space::Audit, number)
}

async fn broken(store: &Store, noted: Option<Head>) -> Option<(u64, String)> {
    match store.verify_log(&key(), noted, &|_, _| {}).await.unwrap() {
        Verified::Whole(_) => None,
        Verified::Broken { number, why } => Some((number, why)),
    }
}

#[tokio::test]
async fn a_log_that_nobody_touched_is_whole_after_a_restart_as_well() {
    let (folder, engine, store) = with_events(30).await;
    let head = store.head().await.unwrap();
    assert_eq!(store.verify_log(&key(), None, &|_, _| {}).await.unwrap(), Verified::Whole(head));
    assert_eq!(Head::parse(&head.unwrap().to_string()), head);
    drop((engine, store));
    let (_engine, store) = open(folder.path()).await;
    store.batch().event(&entry::tests::sample(30)).commit().await.unwrap();
    assert_eq!(broken(&store, head).await, None);
    assert!(store.holds(&key(), head.unwrap()).await.unwrap());
    let latest = store.events_after(29, 9).await.unwrap();
    let latest: Vec<_> = latest.into_iter().map(|one| (one.number, one.event)).collect();
    assert_eq!(latest, [(30, entry::tests::sample(29)), (31, entry::tests::sample(30))]);
    // Under another key nothing fits.
    let other = store.verify_log(&Key::new([8; 32]), None, &|_, _| {}).await.unwrap();
    assert!(matches!(other, Verified::Broken { number: 1, .. }), "{other:?}");
}

#[tokio::test]
async fn the_first_event_that_was_changed_taken_out_or_put_in_is_named() {
    let (_folder, engine, store) = with_events(20).await;
    let original = engine.find(&at(7)).await.unwrap().unwrap();
    for byte in [0, 5, 40, original.len() - 1] {
        let mut other = original.clone();
        other[byte] ^= 1;
        engine.commit(Batch::new().put(at(7), other)).await.unwrap();
        assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(7), "byte {byte}");
    }
    // Another event with the seal of the one before, or a copy of another record.
    for forged in [
        entry::record(&entry::parts(&original).unwrap().0, &entry::write(&entry::tests::sample(3))),
        engine.find(&at(8)).await.unwrap().unwrap(),
    ] {
        engine.commit(Batch::new().put(at(7), forged)).await.unwrap();
        assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(7));
    }
    engine.commit(Batch::new().remove(at(7))).await.unwrap();
    let (number, why) = broken(&store, None).await.unwrap();
    assert!(number == 7 && why.contains("event 8 comes next"), "{why}");
    engine.commit(Batch::new().put(at(7), original)).await.unwrap();
    assert_eq!(broken(&store, None).await, None);
}

#[tokio::test]
async fn a_log_that_was_cut_or_rolled_back_is_noticed_by_what_was_noted() {
    let (_folder, engine, store) = with_events(20).await;
    let head = store.head().await.unwrap().unwrap();
    for number in [20, 19] {
        engine.commit(Batch::new().remove(at(number))).await.unwrap();
    }
    assert_eq!(broken(&store, None).await, None, "alone it can't be seen");
    let (number, why) = broken(&store, Some(head)).await.unwrap();
    assert!(number == 19 && why.contains("event 20"), "{why}");
    assert!(!store.holds(&key(), head).await.unwrap());
    // Nor does it help to write others in their place with the key.
    let (_other_folder, _other, other) = with_events(25).await;
    let wrong = Head { number: 20, seal: [1; 32] };
    assert_eq!(broken(&other, Some(wrong)).await.map(|(number, _)| number), Some(20));
}

#[tokio::test]
async fn what_an_older_program_wrote_is_sealed_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (engine, _store) = open(folder.path()).await;
        // Of its numbers some were given to batches that failed.
        for (number, event) in [(1, 0), (2, 1), (5, 2), (60, 3)].into_iter().chain((61..120).map(|n| (n, 9)))
        {
            let plain = record::encode(&entry::tests::sample(event)).unwrap();
            engine.commit(Batch::new().put(at(number), plain)).await.unwrap();
        }
    }
    let (engine, store) = open(folder.path()).await;
    assert_eq!(store.head().await.unwrap().unwrap().number, 63);
    assert_eq!(broken(&store, None).await, None);
    let rows = engine.scan(Bound::Included(at(1)), Bound::Included(at(4)), 9).await.unwrap();
    let events: Vec<_> =
        rows.iter().map(|(_, record)| entry::read(entry::parts(record).unwrap().1).unwrap()).collect();
    assert_eq!(events, (0..4).map(entry::tests::sample).collect::<Vec<_>>());
    store.batch().event(&entry::tests::sample(4)).commit().await.unwrap();
    assert_eq!(broken(&store, None).await, None);
}

#[tokio::test]
async fn an_event_without_a_seal_is_not_sealed_for_who_forged_it() {
    for number in [3, 5, 6] {
        let (folder, engine, store) = with_events(5).await;
        let head = store.head().await.unwrap().unwrap();
        let forged = record::encode(&entry::tests::sample(9)).unwrap();
        engine.commit(Batch::new().put(at(number), forged)).await.unwrap();
        drop((engine, store));
        let (_engine, store) = reopen(folder.path(), true).await;
        store.batch().event(&entry::tests::sample(6)).commit().await.unwrap();
        assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(number));
        assert_eq!(store.holds(&key(), head).await.unwrap(), number != 5, "event {number}");
    }
}

/// With so many events, written a hundred at a time, and packed as far as they can be.
async fn packed(count: i64) -> (tempfile::TempDir, Arc<dyn Engine>, Store) {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path()).await;
    fill(&store, 0..count).await;
    while store.pack_log().await.unwrap() {}
    (folder, engine, store)
}

async fn fill(store: &Store, events: std::ops::Range<i64>) {
    for hundred in events.collect::<Vec<_>>().chunks(100) {
        let batch = hundred.iter().fold(store.batch(), |batch, at| batch.event(&entry::tests::sample(*at)));
        batch.commit().await.unwrap();
    }
}

async fn records(engine: &Arc<dyn Engine>, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (from, to) = record::space_bounds(space);
    engine.scan(from, to, 100_000).await.unwrap()
}

#[tokio::test]
async fn packed_events_are_the_same_and_the_chain_goes_on() {
    let (folder, engine, store) = packed(2500).await;
    assert_eq!(records(&engine, Space::AuditHeaders).await.len(), 3);
    assert_eq!(records(&engine, Space::Audit).await.len(), 2500 - 3 * 512);
    let noted = [1, 512, 513, 2000, 2500];
    let mut heads = Vec::new();
    for round in 0..2 {
        let events = store.events_after(0, 5000).await.unwrap();
        assert!(events.iter().zip(1..).all(|(one, number)| one.number == number));
        let expected: Vec<_> = (0..2500 + round).map(entry::tests::sample).collect();
        assert_eq!(events.into_iter().map(|one| one.event).collect::<Vec<_>>(), expected);
        assert_eq!(broken(&store, None).await, None);
        if round == 0 {
            let mut walk = Walk::new(&KEY, None, None);
            for event in &expected {
                walk.step(&entry::write(event), |_| true).unwrap();
                heads.extend(walk.head().filter(|head| noted.contains(&head.number)));
            }
            store.batch().event(&entry::tests::sample(2500)).commit().await.unwrap();
        }
        for head in &heads {
            assert!(store.holds(&key(), *head).await.unwrap(), "{head}");
            assert_eq!(broken(&store, Some(*head)).await, None);
            let other = Head { seal: [7; 32], ..*head };
            assert!(!store.holds(&key(), other).await.unwrap(), "{other}");
            assert_eq!(broken(&store, Some(other)).await.map(|(number, _)| number), Some(head.number));
        }
    }
    drop((engine, store));
    let (_engine, store) = reopen(folder.path(), true).await;
    assert_eq!(store.count_all_events().await.unwrap(), 2501);
    assert_eq!(broken(&store, None).await, None);
}

#[tokio::test]
async fn the_first_packed_event_that_was_changed_is_named() {
    let (_folder, engine, store) = packed(2100).await;
    let headers = records(&engine, Space::AuditHeaders).await;
    let bodies: Vec<_> = engine.join(vec![body_prefix(1), body_prefix(513)]).await.unwrap();
    let second = Header::read(&headers[1].1).unwrap();
    let (events, before) = {
        let header = &second;
        let block = Block::open(header, &bodies[1]).unwrap();
        let read = block.events().unwrap();
        let events: Vec<_> = (0..512).map(|row| read.read(row).unwrap().event).collect();
        (events, header.before)
    };
    // Someone without the key writes the second block anew, with one event in it changed.
    for changed in [0, 100, 511] {
        let mut walk = Walk { key: &KEY, number: 513, before, noted: None };
        let sealed = events.iter().enumerate().map(|(row, event)| {
            walk.step(&entry::write(event), |_| true).unwrap();
            let mut event = event.clone();
            if row == changed {
                event.user = "mallory".into();
            }
            Sealed { seal: walk.before, event }
        });
        let (header, body) = block::make(513, before, &sealed.collect::<Vec<_>>()).unwrap();
        engine
            .commit(index::put_block(index::remove_block(Batch::new(), &second), &header, &body))
            .await
            .unwrap();
        assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(513 + changed as u64));
    }
    let none = || {
        let mut larger = second.clone();
        larger.size = u32::try_from(bodies[0].len().max(bodies[1].len())).unwrap();
        let removed = index::remove_block(Batch::new(), &larger);
        removed.remove(record::numbered_key(Space::AuditHeaders, 700))
    };
    let mend = || index::put_block(none(), &second, &bodies[1]);
    let forged_header = {
        let mut header = headers[1].1.clone();
        let last = header.len() - 1;
        header[last] ^= 1;
        header
    };
    for (what, batch, named) in [
        ("the header", mend().put(headers[1].0.clone(), forged_header), 1025),
        ("the body", none().put(headers[1].0.clone(), headers[1].1.clone()), 513),
        ("both", none(), 513),
        ("another's body", index::put_block(none(), &second, &bodies[0]), 513),
        ("a copy", mend().put(record::numbered_key(Space::AuditHeaders, 700), headers[1].1.clone()), 1025),
    ] {
        engine.commit(batch).await.unwrap();
        assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(named), "{what}");
        engine.commit(mend()).await.unwrap();
    }
    assert_eq!(broken(&store, None).await, None);
}

#[tokio::test]
async fn events_whose_time_is_over_are_dropped_and_the_rest_can_still_be_verified() {
    let (folder, engine, store) = packed(2600).await;
    let noted = store.head().await.unwrap().unwrap();
    let old = Head { number: 3, seal: [1; 32] };
    let from = entry::tests::sample(1100).at;
    assert_eq!(store.drop_events(&key(), from).await.unwrap(), 1100);
    assert_eq!(store.drop_events(&key(), from).await.unwrap(), 0);
    let left = store.events_after(0, 1).await.unwrap();
    assert_eq!((left[0].number, left[0].event.at), (1101, from));
    assert_eq!(broken(&store, Some(noted)).await, None);
    // What was noted of an event that is gone says nothing any more.
    assert!(store.holds(&key(), old).await.unwrap());
    assert_eq!(broken(&store, Some(old)).await, None);
    fill(&store, 2600..3300).await;
    while store.pack_log().await.unwrap() {}
    assert_eq!(broken(&store, Some(noted)).await, None);
    drop((engine, store));
    let (engine, store) = reopen(folder.path(), true).await;
    assert_eq!(store.count_all_events().await.unwrap(), 3300 - 1100);
    // Nobody drops more of them without the key.
    let start = store.log_start().await.unwrap().unwrap();
    let next = store.log.now()[0].clone();
    let forged = LogStart { number: next.last() + 1, before: next.seal, seal: start.seal };
    let batch = Batch::new().put(LogStart::key(&()), record::encode(&forged).unwrap());
    engine.commit(index::remove_block(batch, &next)).await.unwrap();
    let (number, why) = broken(&store, None).await.unwrap();
    assert!(number == next.last() + 1 && why.contains("where the log begins"), "{number} {why}");
    // Nor does it help to take out the mark.
    engine.commit(Batch::new().remove(LogStart::key(&()))).await.unwrap();
    assert_eq!(broken(&store, None).await.map(|(number, _)| number), Some(1));
}

#[tokio::test]
async fn the_first_of_a_few_events_are_dropped_but_never_the_last() {
    let (folder, engine, store) = with_events(60).await;
    assert_eq!(store.drop_events(&key(), entry::tests::sample(40).at).await.unwrap(), 40);
    assert_eq!(broken(&store, None).await, None);
    assert_eq!(store.drop_events(&key(), entry::tests::sample(90).at).await.unwrap(), 19);
    assert_eq!(store.events_after(0, 9).await.unwrap().len(), 1);
    drop((engine, store));
    let (_engine, store) = reopen(folder.path(), true).await;
    fill(&store, 60..1300).await;
    while store.pack_log().await.unwrap() {}
    assert_eq!(store.log.now().len(), 1);
    assert_eq!(store.events_after(0, 1).await.unwrap()[0].number, 60);
    assert_eq!(broken(&store, None).await, None);
}

#[tokio::test]
async fn a_clock_that_was_set_ahead_ends_nobody_s_days() {
    let (_folder, _engine, store) = with_events(0).await;
    let day = |day| start_of(20_000 + day);
    for at in 0..30 {
        store.batch().event(&Event { at: day(at), ..entry::tests::sample(at) }).commit().await.unwrap();
    }
    assert_eq!(store.end_of_days(20, day(29)).await.unwrap(), Some(day(9)));
    // A year later by the clock, and one event since.
    store.batch().event(&Event { at: day(395), ..entry::tests::sample(1) }).commit().await.unwrap();
    assert_eq!(store.end_of_days(20, day(395)).await.unwrap(), Some(day(29)));
    assert_eq!(store.end_of_days(365, day(395)).await.unwrap(), None);
}

#[tokio::test]
async fn a_block_that_was_written_although_that_was_said_to_have_failed_is_taken_as_it_is() {
    let (_folder, engine, store) = packed(1000).await;
    let (_, latest) = store.latest_records().await.unwrap();
    let sealed: Vec<_> = latest[..512]
        .iter()
        .map(|(_, record)| {
            let (seal, entry) = entry::parts(record).unwrap();
            Sealed { seal, event: entry::read(entry).unwrap() }
        })
        .collect();
    let (header, body) = block::make(1, NOTHING, &sealed).unwrap();
    engine.commit(index::put_block(Batch::new(), &header, &body)).await.unwrap();
    fill(&store, 1000..1600).await;
    // It is there already, which is found out the next time.
    assert!(matches!(store.pack_log().await, Err(Error::Conflict)));
    while store.pack_log().await.unwrap() {}
    assert_eq!(store.count_all_events().await.unwrap(), 1600);
    assert_eq!(broken(&store, None).await, None);
}

#[tokio::test]
async fn a_search_finds_what_going_through_all_events_finds() {
    let (_folder, _engine, store) = packed(2400).await;
    let all = store.events_after(0, 5000).await.unwrap();
    let account = entry::tests::sample(4).account.unwrap();
    for text in [
        "",
        "event in (reset, unlock) and outcome in success",
        "domain like lab and at from 2023-11-15",
        "at from 2023-11-15 and at before 2023-11-15T06:00",
        "user like ümläut7",
        "user like *3 and not source like web",
        "source_ip like 192.0.2.* or reference given",
        "source_ip in (192.0.2.4, 2001:db8::1)",
        &format!("account like {account} and at from 2023-11-15"),
        "detail like \"detail 2*\" and source_user like root",
        "user like nobody",
        "not (user like nobody) and outcome unlike failure",
    ] {
        let filter = Filter::<EventColumn>::parse(text).unwrap();
        let passing: Vec<_> = all
            .iter()
            .filter(|row| filter.passes(&mut |column, test: &Test| row.cell(column).passes(test)))
            .collect();
        assert_eq!(store.count_matches(&filter, &|_, _| {}).await.unwrap(), passing.len() as u64, "{text}");
        for (by, is_descending) in [
            (EventColumn::At, true),
            (EventColumn::At, false),
            (EventColumn::User, false),
            (EventColumn::SourceIp, true),
        ] {
            let mut expected = passing.clone();
            expected.sort_by_key(|row| (row.cell(by).for_order(), row.number));
            if is_descending {
                expected.reverse();
            }
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let search = Search { filter: filter.clone(), by, is_descending, after, limit: 700 };
                let page = store.search_events(&search, &|_, _| {}).await.unwrap();
                assert!(
                    page.matches.is_none_or(|matches| matches == passing.len() as u64),
                    "{text} {page:?}"
                );
                found.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert!(found.iter().eq(expected), "{text} by {by:?}, {} of {}", found.len(), passing.len());
        }
    }
    // What the headers tell is counted although the page was full at once.
    let search = Search {
        filter: Filter::parse("domain like demo and event in reset and at from 2023-11-15").unwrap(),
        by: EventColumn::At,
        is_descending: true,
        after: None,
        limit: 5,
    };
    assert!(store.search_events(&search, &|_, _| {}).await.unwrap().matches.is_some());
    let mut counts = Counts::new();
    for one in &all {
        *counts.entry((day_of(one.event.at), one.event.action, one.event.outcome)).or_default() += 1;
    }
    assert_eq!(store.count_events(i64::MIN..=i64::MAX).await.unwrap(), counts);
    let domains = store.words_of_events(EventColumn::Domain).await.unwrap();
    assert_eq!(domains.into_iter().collect::<Vec<_>>(), ["DEMO", "LAB"]);
}
