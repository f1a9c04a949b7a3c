//! A stranger can't use Regain to lock anybody out of the directory (R5.8).

use std::time::Duration;

use regain::testing::{Page, TestApp, Visitor};

async fn tries_to_change(visitor: &mut Visitor, password: &str) -> Page {
    visitor.begins("change").await;
    let new = [("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")];
    visitor.post(&[&[("old_password", password)], &new[..]].concat()).await
}

async fn tries_to_enroll(visitor: &mut Visitor, password: &str) -> Page {
    let fields = visitor.fills_enroll().await;
    let fields: Vec<_> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), if n == "password" { password } else { v.as_str() }))
        .collect();
    visitor.post(&fields).await
}

async fn tries(visitor: &mut Visitor, number: usize) -> Page {
    let guess = format!("Wrong-Horse-{number}");
    if number.is_multiple_of(2) {
        tries_to_change(visitor, &guess).await
    } else {
        tries_to_enroll(visitor, &guess).await
    }
}

#[tokio::test]
async fn fifty_wrong_passwords_from_fifty_addresses_lock_nobody_out() {
    for (domain, threshold) in [("DEMO", 5), ("LAB", 10)] {
        let (app, alice) = TestApp::new().with_user("alice").await;
        for number in 0..50_usize {
            let mut stranger = alice.elsewhere().of(domain).from([192, 0, 2, u8::try_from(number).unwrap()]);
            assert_eq!(tries(&mut stranger, number).await.code(), 422);
        }
        let account = app.account_in(domain, "alice").await;
        assert!(!account.locked);
        assert_eq!(account.bad_password_count, threshold - 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_do_fifty_at_the_same_time() {
    let (app, alice) = TestApp::new().with_user("alice").await;
    let running: Vec<_> = (0..50_usize)
        .map(|number| {
            let mut stranger = alice.elsewhere().from([192, 0, 2, u8::try_from(number).unwrap()]);
            tokio::spawn(async move { tries(&mut stranger, number).await.code() })
        })
        .collect();
    for one in running {
        assert_eq!(one.await.unwrap(), 422);
    }
    let account = app.account("alice").await;
    assert!(!account.locked);
    assert_eq!(account.bad_password_count, 3);
}

#[tokio::test]
async fn the_owner_is_served_again_after_the_observation_window_and_at_once_by_questions() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    for number in 0..10 {
        tries(&mut alice.elsewhere(), number).await;
    }
    let password = alice.password.clone();
    assert_eq!(tries_to_change(&mut alice.elsewhere(), &password).await.code(), 422);
    alice.elsewhere().unlocks().await;
    app.restart().await;
    assert_eq!(tries_to_change(&mut alice.elsewhere(), &password).await.code(), 422, "the count survives");
    app.advance(Duration::from_secs(31 * 60));
    alice.elsewhere().changes_password("Battery-Staple-2").await;
}

#[tokio::test]
async fn a_right_password_gives_the_tries_back() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    for number in 0..2 {
        tries(&mut alice.elsewhere(), number).await;
    }
    alice.enrolls().await;
    for number in 0..2 {
        tries(&mut alice.elsewhere(), number).await;
    }
    alice.elsewhere().enrolls().await;
    assert!(!app.account("alice").await.locked);
}

#[tokio::test]
async fn wrong_passwords_typed_elsewhere_count_too() {
    use regain::{
        directory::Directory as _,
        domain::secret::{Password, SecretText},
    };
    let (app, alice) = TestApp::new().with_user("alice").await;
    let account = app.account("alice").await;
    for _ in 0..3 {
        let guess = Password::parse(SecretText::new("guess".into())).unwrap();
        app.directory("DEMO").demo().verify_password(&account, &guess).await.unwrap();
    }
    tries(&mut alice.elsewhere(), 0).await;
    tries(&mut alice.elsewhere(), 1).await;
    let account = app.account("alice").await;
    assert_eq!((account.bad_password_count, account.locked), (3, false));
    assert_eq!((app.directory("DEMO").checks(), app.directory("DEMO").writes()), (0, 0));
}

#[tokio::test]
async fn an_account_locked_in_the_directory_is_not_tried_into_a_longer_lockout() {
    let (app, bob) = TestApp::new().with_user("bob").await;
    let before = app.account("bob").await;
    for number in 0..6 {
        assert_eq!(tries(&mut bob.elsewhere(), number).await.code(), 422);
    }
    let after = app.account("bob").await;
    assert_eq!(
        (before.bad_password_count, before.bad_password_time),
        (after.bad_password_count, after.bad_password_time)
    );
}
