//! It is counted how many have enrolled of the people who may (R7.7).

use std::time::Duration;

use regain::{
    domain::coverage::OfDomain,
    flows::coverage,
    settings::{Audience, Permission},
    testing::{DirectoryMood, TestApp},
};
use tokio_util::sync::CancellationToken;

use crate::admin::{first_signs_in, is_at, sends, with_groups};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATH: &str = "/admin/coverage";

async fn round(app: &TestApp) -> Vec<OfDomain> {
    let services = &app.site().services;
    coverage::round(services, &CancellationToken::new()).await.unwrap();
    coverage::last(services).await.unwrap().domains
}

/// Of each domain who may and who has, or nothing.
fn numbers(domains: &[OfDomain]) -> Vec<Option<(usize, usize)>> {
    domains.iter().map(|of| of.count.map(|count| (count.permitted, count.enrolled))).collect()
}

#[tokio::test]
async fn of_those_who_may_enroll_it_is_counted_who_has() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    // Of 13 people in DEMO one is disabled, one has expired, one is an administrator.
    assert_eq!(numbers(&round(&app).await), [Some((10, 0)), Some((3, 0))]);
    alice.enrolls().await;
    // Not before the day is over, or somebody asks.
    assert_eq!(numbers(&round(&app).await)[0], Some((10, 0)));
    app.site().services.coverage.ask();
    assert_eq!(numbers(&round(&app).await), [Some((10, 1)), Some((3, 0))]);
    assert!(app.directory("DEMO").demo().remove("alice"));
    app.advance(DAY);
    assert!(coverage::is_due(&app.site().services).await.unwrap());
    assert_eq!(numbers(&round(&app).await)[0], Some((9, 0)));
    app.restart().await;
    assert!(!coverage::is_due(&app.site().services).await.unwrap());
}

#[tokio::test]
async fn who_may_not_enroll_is_not_missed() {
    let groups = vec!["S-1-5-21-1001-1002-1003-4711".to_owned()];
    let only = Permission { audience: Audience::Members, groups };
    let app = TestApp::new().with_settings(|settings| settings.permissions.enroll = only).start().await;
    assert_eq!(numbers(&round(&app).await), [Some((0, 0)), Some((0, 0))]);
}

#[tokio::test]
async fn a_domain_that_can_not_be_counted_keeps_its_last_number_and_the_others_go_on() {
    let app = TestApp::new().start().await;
    app.directory("LAB").behave(DirectoryMood::Unavailable);
    let domains = round(&app).await;
    let began = app.site().services.clock.now();
    assert_eq!(numbers(&domains), [Some((10, 0)), None]);
    assert_eq!((domains[0].failing_since, domains[1].failing_since), (None, Some(began)));
    app.directory("LAB").behave(DirectoryMood::Well);
    // The one that was not counted is tried again, without waiting for the day to be over.
    assert!(coverage::is_due(&app.site().services).await.unwrap());
    let domains = round(&app).await;
    assert_eq!((numbers(&domains)[1], domains[1].failing_since), (Some((3, 0)), None));
    // It is found in the middle of it that nobody can be looked at.
    app.advance(DAY);
    app.directories_behave(DirectoryMood::LoadsFail);
    let domains = round(&app).await;
    assert_eq!(numbers(&domains), [Some((10, 0)), Some((3, 0))]);
    assert!(domains.iter().all(|of| of.failing_since.is_some()));
}

#[tokio::test]
async fn a_round_that_is_stopped_changes_nothing_and_is_made_again() {
    let app = TestApp::new().start().await;
    let services = &app.site().services;
    let stopped = CancellationToken::new();
    stopped.cancel();
    coverage::round(services, &stopped).await.unwrap();
    let domains = coverage::last(services).await.unwrap().domains;
    assert_eq!(numbers(&domains), [None, None]);
    assert!(domains.iter().all(|of| of.failing_since.is_none()) && services.coverage.progress().is_none());
    assert!(coverage::is_due(services).await.unwrap());
    assert_eq!(numbers(&round(&app).await), [Some((10, 0)), Some((3, 0))]);
}

#[tokio::test]
async fn the_panel_shows_the_share_and_takes_the_wish_to_count_again() {
    let app = with_groups(|_| ()).start().await;
    let (mut root, ..) = first_signs_in(&app).await;
    is_at(&root.open("/admin").await, 200, "Coverage – It has not been counted yet.");
    is_at(&root.open(PATH).await, 200, "It has not been counted yet.");
    app.visitor("erin").enrolls().await;
    is_at(&sends(&mut root, PATH, &[("action", "run")]).await, 200, "It begins in a moment");
    assert!(root.open(PATH).await.html.contains("http-equiv=\"refresh\""));
    round(&app).await;
    is_at(&root.open("/admin").await, 200, "7 % 1 of 13 who may have enrolled");
    let page = root.open(PATH).await;
    is_at(&page, 200, "demo.example 10 1 10 %");
    assert!(page.text().contains("Together 13 1 7 %") && !page.html.contains("http-equiv=\"refresh\""));
    app.site().services.coverage.ask();
    app.directory("LAB").behave(DirectoryMood::Unavailable);
    round(&app).await;
    is_at(&root.open(&format!("{PATH}?lang=de")).await, 200, "kann nicht gezählt werden");
    is_at(&sends(&mut root, PATH, &[("action", "count")]).await, 422, "");
}
