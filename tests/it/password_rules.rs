//! The rules for a new password: told before one types, all that is broken told at once, and kept by whoever they are for
//! (R1.11, R1.12).

use std::fs;

use regain::{
    breached::{Lines, build},
    settings::{Audience, PasswordRules, Profile, Settings},
    testing::{Page, TestApp, Visitor},
};

use super::admin::{filled, is_at, saves, sends, sends_all, sets_up, with_groups};

const GOOD: &str = "Battery-Staple-2";

/// The rules that a page tells, as the script reads them.
fn told(page: &Page) -> Vec<(String, u32)> {
    let lines = page.html.split("data-rule=\"").skip(1);
    lines
        .map(|line| {
            let (rule, rest) = line.split_once('"').unwrap();
            let count = rest.split_once("data-count=\"").unwrap().1.split('"').next().unwrap();
            (rule.to_owned(), count.parse().unwrap())
        })
        .collect()
}

fn keys(page: &Page) -> Vec<String> {
    told(page).into_iter().map(|(rule, _)| rule).collect()
}

fn with_rules(settings: &mut Settings, set: PasswordRules) {
    settings.password_rules.push(set);
}

/// Alice with the page where she chooses the new password of a reset.
async fn resetting(change: impl FnOnce(&mut Settings)) -> (TestApp, Visitor, Page) {
    let (app, mut alice) = TestApp::new().with_settings(change).with_user("alice").await;
    alice.enrolls().await;
    let mut alice = alice.elsewhere();
    let page = alice.proves("reset").await;
    assert_eq!(page.step(), "password", "{}", page.text());
    (app, alice, page)
}

async fn chooses(visitor: &mut Visitor, new: &str) -> Page {
    visitor.submit(&[("new_password", new), ("confirm_password", new)]).await
}

async fn changes(visitor: &mut Visitor, old: &str, new: &str) -> Page {
    visitor.submit(&[("old_password", old), ("new_password", new), ("confirm_password", new)]).await
}

#[tokio::test]
async fn the_rules_of_the_directory_and_our_own_are_told_before_one_types() {
    let (_app, _alice, page) = resetting(|settings| {
        with_rules(
            settings,
            PasswordRules {
                minimum_length: 10,
                longest_repeat: 2,
                different_characters: 4,
                forbidden_words: vec!["Contoso".into()],
                ..PasswordRules::default()
            },
        );
    })
    .await;
    let told = told(&page);
    let expected = [
        ("minimum_length", 10),
        ("complexity", 0),
        ("no_name", 0),
        ("repeat", 2),
        ("words", 0),
        ("history", 3),
    ];
    assert_eq!(
        told,
        expected.map(|(rule, count)| (rule.to_owned(), count)),
        "of two lengths the stricter one"
    );
    assert!(page.text().contains("At least 10 characters"), "{}", page.text());
    assert!(!page.html.contains("ontoso"), "the words themselves are not told");
    let names = page.html.split("data-names=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(names.contains("alice") && names.contains("example"), "{names}");
}

#[tokio::test]
async fn all_that_is_broken_is_told_at_once_and_nothing_is_proved_again() {
    let (_app, mut alice, _) = resetting(|settings| {
        with_rules(
            settings,
            PasswordRules {
                digits: 3,
                longest_sequence: 3,
                forbidden_words: vec!["Contoso".into()],
                ..PasswordRules::default()
            },
        );
    })
    .await;
    let page = chooses(&mut alice, "C0ntoso-abcd").await;
    assert_eq!((page.code(), page.step().as_str()), (422, "password"));
    let alert = page.alert();
    for wanted in [
        "contains a word that your company doesn’t allow",
        "this rule isn’t kept yet: Not more than 3 neighbours in a row",
        "this rule isn’t kept yet: Digits: at least 3",
    ] {
        assert!(alert.contains(wanted), "{wanted}: {alert}");
    }
    assert_eq!(chooses(&mut alice, "Battery-Staple-258").await.step(), "finished");
}

#[tokio::test]
async fn a_set_is_for_its_groups_only() {
    let (app, alice) = TestApp::new().with_user("alice").await;
    let domain = app.account("alice").await.sid.rsplit_once('-').unwrap().0.to_owned();
    let mut alice = alice;
    alice.enrolls().await;
    for (audience, group, is_for) in [
        (Audience::Members, 513, true),
        (Audience::Members, 4711, false),
        (Audience::Others, 513, false),
        (Audience::Others, 4711, true),
    ] {
        app.set(|settings| {
            settings.password_rules = vec![PasswordRules {
                audience,
                groups: vec![format!("{domain}-{group}")],
                minimum_length: 20,
                ..PasswordRules::default()
            }];
        });
        let mut visitor = alice.elsewhere();
        let page = visitor.proves("reset").await;
        assert_eq!(told(&page)[0].1, if is_for { 20 } else { 8 }, "{audience:?} {group}");
        let page = chooses(&mut visitor, "Aa1").await;
        let least = if is_for { "at least 20 characters" } else { "at least 8 characters" };
        assert!(page.alert().contains(least), "{}", page.alert());
    }
}

#[tokio::test]
async fn before_the_old_password_is_right_a_change_tells_the_same_for_every_name() {
    let group = "S-1-5-21-1001-1002-1003-513".to_owned();
    let app = TestApp::new()
        .with_settings(|settings| {
            with_rules(settings, PasswordRules { digits: 1, forbid_names: true, ..PasswordRules::default() });
            with_rules(
                settings,
                PasswordRules {
                    audience: Audience::Members,
                    groups: vec![group],
                    different_characters: 5,
                    ..PasswordRules::default()
                },
            );
        })
        .start()
        .await;
    let mut all = Vec::new();
    for name in ["alice", "dave", "nobody at all"] {
        let mut visitor = app.visitor(name);
        let page = visitor.begins("change").await;
        assert_eq!(page.step(), "credentials");
        all.push(
            page.html.split("class=\"rules\"").nth(1).unwrap().split("</div>").next().unwrap().to_owned(),
        );
    }
    assert!(all.iter().all(|rules| *rules == all[0]), "{all:?}");
    assert!(all[0].contains("data-rule=\"digits\"") && !all[0].contains("data-rule=\"different\""));
    let mut alice = app.visitor("alice");
    alice.begins("change").await;
    let old = alice.password.clone();
    let page = changes(&mut alice, "wrong", GOOD).await;
    assert!(!keys(&page).contains(&"different".to_owned()), "{}", page.text());
    let page = changes(&mut alice, &old, &old.replace('1', "2")).await;
    assert_eq!(page.code(), 422);
    assert!(page.alert().contains("too much like your current one"), "{}", page.alert());
    assert!(keys(&page).contains(&"different".to_owned()), "now hers are told: {}", page.text());
    assert_eq!(changes(&mut alice, &old, GOOD).await.step(), "finished");
}

#[tokio::test]
async fn from_the_internet_no_rules_are_told_before_the_old_password_is_right() {
    let app = TestApp::new()
        .with_settings(|settings| {
            settings.codes.by_mail = true;
            settings.security.profile = Profile::Internet;
        })
        .start()
        .await;
    let mut alice = app.visitor("alice");
    let page = alice.begins("change").await;
    assert!(!page.html.contains("data-rule"), "{}", page.text());
    let old = alice.password.clone();
    let page = changes(&mut alice, &old, "short").await;
    assert!(keys(&page).contains(&"minimum_length".to_owned()), "{}", page.text());
}

#[tokio::test]
async fn a_stolen_password_is_refused_and_a_list_that_is_gone_lets_nobody_through() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("breached");
    let words = format!("{GOOD}\nanother\n");
    build(words.as_bytes(), Lines::Passwords, 20, &list, &mut |_| ()).unwrap();
    let (app, mut alice, page) = resetting(|settings| {
        settings.security.breached_passwords_file = Some(list.clone());
        with_rules(settings, PasswordRules { forbid_breached: true, ..PasswordRules::default() });
    })
    .await;
    assert!(keys(&page).contains(&"breached".to_owned()));
    let page = chooses(&mut alice, GOOD).await;
    assert!(page.alert().contains("on lists of stolen passwords"), "{}", page.alert());
    fs::rename(&list, folder.path().join("elsewhere")).unwrap();
    let page = chooses(&mut alice, "Other-Staple-258").await;
    assert_eq!((page.code(), page.step().as_str()), (500, "error"));
    assert!(!page.reference().is_empty() && !page.text().contains("breached"), "{}", page.text());
    // Back in its place it is used at once.
    fs::rename(folder.path().join("elsewhere"), &list).unwrap();
    alice.open("/reset").await;
    assert_eq!(chooses(&mut alice, "Other-Staple-258").await.step(), "finished");
    drop(app);
}

#[tokio::test]
async fn what_is_guessed_soon_is_refused() {
    let (_app, mut alice, _) = resetting(|settings| {
        with_rules(settings, PasswordRules { least_strength: 3, ..PasswordRules::default() });
    })
    .await;
    let page = chooses(&mut alice, "Password-1").await;
    assert!(page.alert().contains("would be guessed quickly"), "{}", page.alert());
    assert_eq!(chooses(&mut alice, "wade-Copper-lantern-29").await.step(), "finished");
}

#[tokio::test]
async fn who_has_no_address_can_choose_any_password() {
    let (app, mut alice) = TestApp::new()
        .with_settings(|settings| {
            with_rules(settings, PasswordRules { forbid_names: true, ..PasswordRules::default() });
        })
        .with_user("alice")
        .await;
    alice.enrolls().await;
    assert!(app.directory("DEMO").demo().move_to("alice", None, None));
    let mut alice = alice.elsewhere();
    alice.proves("reset").await;
    assert_eq!(chooses(&mut alice, GOOD).await.step(), "finished");
}

#[tokio::test]
async fn an_administrator_adds_changes_and_removes_sets_in_the_panel() {
    let app = with_groups(|_| ()).start().await;
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    let page = visitor.open("/admin/passwords").await;
    is_at(&page, 200, "only the rules of Active Directory hold");
    let version = page.value("version").unwrap();
    let page = sends(&mut visitor, "/admin/passwords", &[("action", "add"), ("version", &version)]).await;
    assert_eq!(page.location(), None, "{}", page.text());
    is_at(&page, 200, "Rules 1");
    let tab = "password_rules.0";
    let wrong = [("password_rules.0.minimum_length", "12"), ("password_rules.0.maximum_length", "8")];
    is_at(&saves(&mut visitor, tab, &wrong).await, 422, "no password could keep them all");
    let breached = [("password_rules.0.forbid_breached", "true")];
    is_at(&saves(&mut visitor, tab, &breached).await, 422, "there is no list");
    let right = [("password_rules.0.minimum_length", "12"), ("password_rules.0.name", "Everyone’s")];
    is_at(&saves(&mut visitor, tab, &right).await, 200, "Saved");
    is_at(&visitor.open("/admin/passwords").await, 200, "At least 12 characters");
    let events = app.events().await;
    assert!(
        events.iter().any(|event| event.detail.contains("password_rules.Everyone’s.minimum_length: 0 → 12")),
        "{:?}",
        events.iter().map(|event| &event.detail).collect::<Vec<_>>()
    );
    let page = visitor.open("/admin/settings/password_rules.0").await;
    let mut fields = filled(&page, &[]);
    fields.push(("action".into(), "take-out".into()));
    is_at(
        &sends_all(&mut visitor, "/admin/settings/password_rules.0", &fields).await,
        200,
        "only the rules of Active",
    );
    assert!(app.site().services.settings.load().password_rules.is_empty());
    assert_eq!(visitor.open("/admin/settings/password_rules.0").await.code(), 404);
}
