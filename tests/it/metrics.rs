//! What those who watch are told (R11.5).

use std::{collections::BTreeSet, time::Duration};

use poem::{Endpoint as _, EndpointExt as _, Request};
use regain::{
    testing::{DirectoryMood, StoreMood, TestApp},
    web,
};

async fn asks(app: &TestApp, path: &'static str) -> (u16, String, String) {
    let routes = web::watch_routes(&app.site()).map_to_response();
    let response = routes.get_response(Request::builder().uri_str(path).finish()).await;
    let kind = response.content_type().unwrap_or_default().to_owned();
    (response.status().as_u16(), kind, response.into_body().into_string().await.unwrap())
}

/// The value of a line that begins so.
fn value(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{line} is missing in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn a_monitor_reads_what_happened_and_how_it_stands() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    alice.resets_password("A-Fresh-0ne!").await;
    alice.open("/no/such/page").await;
    let (status, kind, text) = asks(&app, "/metrics").await;
    assert_eq!((status, kind.as_str()), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(text.ends_with("# EOF\n"));
    for (line, expected) in [
        ("regain_events_total{event=\"enroll\",outcome=\"success\"}", 1.0),
        ("regain_events_total{event=\"reset\",outcome=\"success\"}", 1.0),
        ("regain_events_total{event=\"reset\",outcome=\"failure\"}", 0.0),
        ("regain_http_requests_total{area=\"other\",code=\"4xx\"}", 1.0),
        ("regain_store_writable", 1.0),
        ("regain_directory_controller_up{domain=\"demo.example\",controller=\"demo\"}", 1.0),
    ] {
        assert!((value(&text, line) - expected).abs() < f64::EPSILON, "{line}");
    }
    let version = concat!("regain_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert!((value(&text, version) - 1.0).abs() < f64::EPSILON);
    let asked = value(&text, "regain_http_request_duration_seconds_count{area=\"reset\"}");
    assert!(asked > 3.0 && value(&text, "process_resident_memory_bytes") > 1e6);
    let now = u64::try_from(app.site().services.clock.now().millis()).unwrap();
    let left = value(&text, "regain_certificate_expiry_timestamp_seconds")
        - Duration::from_millis(now).as_secs_f64();
    assert!(left > 300.0 * 86_400.0, "{left}");
    // Nobody is in it.
    assert!(!text.contains("alice") && !text.contains("198.51.100"), "{text}");
}

#[tokio::test]
async fn trouble_is_seen_from_outside() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    app.directories_behave(DirectoryMood::Unavailable);
    alice.begins("reset").await;
    app.store_behaves(StoreMood::ReadOnly);
    let (_, _, text) = asks(&app, "/metrics").await;
    assert!(value(&text, "regain_errors_total{reason=\"directory_unavailable\"}") >= 1.0);
    assert!(
        value(&text, "regain_directory_controller_up{domain=\"demo.example\",controller=\"demo\"}") < 1.0
    );
    assert!(value(&text, "regain_store_writable") < 1.0);
    assert_eq!(asks(&app, "/healthz").await.0, 200);
    assert_eq!(asks(&app, "/readyz").await.0, 503);
    assert_eq!(asks(&app, "/admin").await.0, 404);
}

#[tokio::test]
async fn what_the_dashboard_and_the_rules_name_is_told() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let services = &app.site().services;
    regain::flows::coverage::round(services, &tokio_util::sync::CancellationToken::new()).await.unwrap();
    app.set(|settings| settings.backup.folder = Some("/nowhere".into()));
    app.advance(Duration::from_secs(1));
    let (_, _, text) = asks(&app, "/metrics").await;
    let told: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        // As long as nothing went wrong, or nothing is sent on, these have no values.
        .chain(["regain_errors_total", "regain_forward_failing", "regain_forwarded_event"])
        .collect();
    for file in [include_str!("../../packaging/grafana.json"), include_str!("../../packaging/alerts.yaml")] {
        let words = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("regain_") || word.starts_with("process_")) {
            assert!(told.contains(name), "{name} is told nowhere");
        }
    }
}
