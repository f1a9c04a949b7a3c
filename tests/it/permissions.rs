//! Who may do what (R5.6), by groups of the directory; told only to who has proved who they are.

use regain::{
    settings::{Audience, Permission, Settings},
    testing::{Page, TestApp, Visitor},
};

const NEW: &str = "Battery-Staple-2";

/// The SIDs of a group that alice, like everyone, has as her primary one, and of one that she is not in.
async fn groups(app: &TestApp) -> (String, String) {
    let account = app.account("alice").await;
    let domain = account.sid.rsplit_once('-').unwrap().0.to_owned();
    (format!("{domain}-513"), format!("{domain}-4711"))
}

fn only(audience: Audience, group: &str) -> Permission {
    Permission { audience, groups: vec![group.to_owned()] }
}

fn is_refused(page: &Page) {
    assert_eq!((page.code(), page.step().as_str()), (403, "error"), "{}", page.text());
    assert!(page.text().contains("Not available for your account"), "{}", page.text());
}

async fn enrolled() -> (TestApp, Visitor) {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    (app, alice.elsewhere())
}

async fn tries_to_enroll(alice: &Visitor) -> Page {
    let mut alice = alice.elsewhere();
    let fields = alice.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    alice.submit(&fields).await
}

async fn tries_to_change(alice: &Visitor) -> Page {
    let mut alice = alice.elsewhere();
    alice.begins("change").await;
    let old = alice.password.clone();
    alice.submit(&[("old_password", &old), ("new_password", NEW), ("confirm_password", NEW)]).await
}

#[tokio::test]
async fn each_thing_has_an_audience_of_its_own() {
    let (app, alice) = enrolled().await;
    let (hers, other) = groups(&app).await;
    let set = |change: &dyn Fn(&mut Settings)| app.set(|settings| change(settings));
    for (audience, group) in [(Audience::Members, &other), (Audience::Others, &hers)] {
        set(&|settings| settings.permissions.enroll = only(audience, group));
        is_refused(&tries_to_enroll(&alice).await);
        set(&|settings| settings.permissions.enroll = Permission::default());
        set(&|settings| settings.permissions.change = only(audience, group));
        is_refused(&tries_to_change(&alice).await);
        set(&|settings| settings.permissions.change = Permission::default());
        set(&|settings| settings.permissions.reset = only(audience, group));
        is_refused(&alice.elsewhere().proves("reset").await);
        assert_eq!(alice.elsewhere().proves("unlock").await.step(), "finished");
        set(&|settings| settings.permissions.reset = Permission::default());
        set(&|settings| settings.permissions.unlock = only(audience, group));
        is_refused(&alice.elsewhere().proves("unlock").await);
        set(&|settings| settings.permissions.unlock = Permission::default());
    }
    // Her primary group counts, however its SID is written.
    for (audience, group) in [(Audience::Members, hers.to_lowercase()), (Audience::Others, other)] {
        set(&|settings| {
            let permission = only(audience, &group);
            settings.permissions.enroll = permission.clone();
            settings.permissions.reset = permission.clone();
            settings.permissions.unlock = permission.clone();
            settings.permissions.change = permission;
        });
        assert_eq!(tries_to_enroll(&alice).await.step(), "finished");
        assert_eq!(alice.elsewhere().proves("unlock").await.step(), "finished");
        assert_eq!(alice.elsewhere().proves("reset").await.step(), "password");
    }
    assert_eq!(tries_to_change(&alice).await.step(), "finished");
}

#[tokio::test]
async fn a_permission_taken_away_ends_what_is_under_way() {
    let (app, alice) = enrolled().await;
    let (hers, _) = groups(&app).await;
    let mut resetting = alice.elsewhere();
    assert_eq!(resetting.proves("reset").await.step(), "password");
    app.set(|settings| settings.permissions.reset = only(Audience::Others, &hers));
    is_refused(&resetting.submit(&[("new_password", NEW), ("confirm_password", NEW)]).await);
}

#[tokio::test]
async fn who_may_not_is_sent_no_code_and_told_nothing_before_a_proof() {
    let (app, alice) = enrolled().await;
    let (hers, _) = groups(&app).await;
    app.set(|settings| {
        settings.codes.by_mail = true;
        settings.codes.order = Some(regain::settings::Order::CodeFirst);
        settings.permissions.reset = only(Audience::Others, &hers);
    });
    let before = app.codes().await.len();
    let mut pages = Vec::new();
    for name in ["alice", "nobody"] {
        let mut visitor = app.visitor(name);
        pages.push(visitor.begins("reset").await.masked());
        pages.push(visitor.enters_code("123456").await.masked());
    }
    assert_eq!(app.codes().await.len(), before);
    assert_eq!(pages[..2], pages[2..]);
    drop(alice);
}
