//! What programs ask: the enrollment question in its very answers, and the wider API behind tokens (R8).

use std::time::Duration;

use poem::http::Method;
use regain::{
    directory::demo::SAMPLE_PASSWORD,
    domain::{
        api_token::{ApiToken, Scope},
        audit::{Action, Event},
        message::Message,
    },
    flows::{
        api_tokens::{self, Wish},
        change_settings::Editor,
    },
    testing::{DirectoryMood, Page, Setup, StoreMood, TestApp, Visitor},
};
use serde_json::{Value, json};

use crate::admin::{first_signs_in, is_at, sends, with_groups};

const TWO_WEEKS: &str = "private, max-age=1209600";
/// Where the question is asked.
const PREFIXES: [&str; 2] = ["/api/enrollments", "/pwreset/apr.dll/api/enrollments"];

fn by() -> Editor {
    Editor { who: None, name: "test".into(), address: None, source: "console" }
}

async fn token(app: &TestApp, name: &str, scopes: &[Scope]) -> String {
    let wish = Wish { name: name.into(), scopes: scopes.to_vec(), days: None };
    let made = api_tokens::make(&app.site().services, &by(), wish).await.unwrap();
    made.unwrap().reveal().to_owned()
}

fn asking() -> Setup {
    TestApp::new().with_settings(|settings| settings.api.enrollments = true)
}

fn wide() -> Setup {
    TestApp::new().with_settings(|settings| settings.api.tokens = true)
}

/// Asks with a token.
async fn asks(program: &mut Visitor, method: Method, path: &str, token: &str) -> Page {
    let authorization = format!("Bearer {token}");
    program.call(method, path, &[("authorization", &authorization)], Vec::new()).await
}

async fn gets(program: &mut Visitor, path: &str, token: &str) -> Value {
    let page = asks(program, Method::GET, path, token).await;
    assert_eq!(page.code(), 200, "{path}: {}", page.html);
    assert_eq!(page.header("content-type"), "application/json");
    assert_eq!(page.header("cache-control"), "no-store");
    serde_json::from_str(&page.html).unwrap()
}

/// It is a problem of that status and code.
fn is_problem(page: &Page, status: u16, code: &str) {
    assert_eq!(page.code(), status, "{}", page.html);
    assert_eq!(page.header("content-type"), "application/problem+json");
    assert_eq!(page.header("cache-control"), "no-store");
    let problem: Value = serde_json::from_str(&page.html).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)));
}

/// It is that very answer to the question.
fn is_answer(page: &Page, status: u16, body: &str, caching: &str) {
    assert_eq!((page.code(), page.html.as_str()), (status, body));
    assert_eq!(page.header("content-type"), "application/json");
    assert_eq!(page.header("cache-control"), caching);
}

#[tokio::test]
async fn the_question_has_the_very_answers_of_the_product_that_is_replaced() {
    let app = asking().start().await;
    let mut alice = app.visitor("alice");
    let paths = [
        "DEMO/alice",
        "demo/ALICE",
        "demo.example/alice",
        "DEMO/alice@demo.example",
        "upn/alice@demo.example",
    ];
    for prefix in PREFIXES {
        for path in paths {
            let page = alice.get(&format!("{prefix}/{path}")).await;
            is_answer(&page, 200, "{\"isEnrolled\":false}", "no-store");
        }
    }
    alice.enrolls().await;
    let mut program = app.visitor("program");
    for prefix in PREFIXES {
        for path in paths {
            let path = format!("{prefix}/{path}");
            is_answer(&program.get(&path).await, 200, "{\"isEnrolled\":true}", TWO_WEEKS);
            let head = program.call(Method::HEAD, &path, &[], Vec::new()).await;
            assert_eq!((head.code(), head.header("cache-control")), (200, TWO_WEEKS));
        }
        is_answer(
            &program.get(&format!("{prefix}/LAB/alice")).await,
            200,
            "{\"isEnrolled\":false}",
            "no-store",
        );
    }
    app.set(|settings| settings.api.maintenance = true);
    is_answer(&program.get("/api/enrollments/DEMO/alice").await, 200, "{}", "no-store");
    is_answer(
        &program.get("/api/enrollments/DEMO/").await,
        400,
        "{\"error\":\"path_malformed\"}",
        "no-store",
    );
    assert_eq!(program.cookies.len(), 0);
}

#[tokio::test]
async fn switched_off_it_is_forbidden_whatever_is_asked() {
    let app = TestApp::new().start().await;
    let mut program = app.visitor("program");
    for prefix in PREFIXES {
        for path in ["", "/", "/DEMO/alice", "/upn/alice@demo.example", "/%"] {
            let path = format!("{prefix}{path}");
            is_answer(&program.get(&path).await, 403, "{\"error\":\"disabled\"}", "no-store");
            let page = program.call(Method::DELETE, &path, &[], Vec::new()).await;
            assert_eq!(page.code(), 403, "{path}");
        }
    }
    // Of the rest there is nothing.
    let nothing = program.get("/nothing").await;
    for path in ["/api", "/api/", "/api/openapi.json", "/api/v1/users", "/api/v1/events", "/api/nothing"] {
        let page = program.get(path).await;
        assert_eq!((page.code(), page.masked()), (404, nothing.masked()), "{path}");
    }
    // What one is switched on for says nothing of the other.
    app.set(|settings| settings.api.tokens = true);
    assert_eq!(program.get("/api/enrollments/DEMO/alice").await.code(), 403);
    app.set(|settings| (settings.api.tokens, settings.api.enrollments) = (false, true));
    assert_eq!(program.get("/api/v1/users").await.code(), 404);
    assert_eq!(program.get("/api").await.code(), 200);
}

#[tokio::test]
async fn what_can_not_be_understood_is_refused_before_anybody_is_asked() {
    let app = asking().start().await;
    // Nobody is asked: it would fail.
    app.directories_behave(DirectoryMood::Unavailable);
    let mut program = app.visitor("program");
    let long = format!("/DEMO/{}", "x".repeat(257));
    let longest = format!("/DEMO/alice?{}", "x".repeat(2100));
    let paths = [
        "",
        "/",
        "/DEMO",
        "/DEMO/",
        "//alice",
        "/DEMO/alice/",
        "/DEMO/alice/x",
        "/upn",
        "/upn/",
        "/upn/alice",
        "/upn/@demo.example",
        "/upn/alice@",
        "/DEMO/%",
        "/DEMO/%4",
        "/DEMO/%zz",
        "/DEMO/%ff",
        "/DEMO/%00",
        "/DEMO/a%0d%0ab",
        "/DEMO/%20",
        "/DEMO/a%2fb",
        "/DEMO/LAB%5calice",
        "/DEMO/alice@lab.example",
        "/NOPE/alice",
        "/DEMO/%C2%85",
        "/%44EMO%00/alice",
        "/upn/LAB%5Calice@demo.example",
        &long,
        &longest,
    ];
    for prefix in PREFIXES {
        for path in paths {
            let page = program.get(&format!("{prefix}{path}")).await;
            is_answer(&page, 400, "{\"error\":\"path_malformed\"}", "no-store");
        }
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH, Method::TRACE] {
        let page = program.call(method.clone(), "/api/enrollments/DEMO/alice", &[], Vec::new()).await;
        is_answer(&page, 405, "{\"error\":\"method_unknown\"}", "no-store");
        assert_eq!(page.header("allow"), "GET, HEAD", "{method}");
    }
    let page = program
        .call(Method::GET, "/api/enrollments/DEMO/alice", &[("host", "evil.example")], Vec::new())
        .await;
    assert_eq!(page.code(), 421);
}

#[tokio::test]
async fn what_looks_like_a_filter_finds_nobody() {
    let app = asking().start().await;
    app.visitor("alice").enrolls().await;
    let mut program = app.visitor("program");
    for name in ["*", "al*", "alice)(objectClass=*", "al%2aice", "%61lice%2c", "alice\u{200b}"] {
        let name: String =
            name.chars().map(|c| if c.is_ascii() { c.to_string() } else { "%E2%80%8B".into() }).collect();
        let page = program.get(&format!("/api/enrollments/DEMO/{name}")).await;
        is_answer(&page, 200, "{\"isEnrolled\":false}", "no-store");
    }
    is_answer(&program.get("/api/enrollments/DEMO/%61lice").await, 200, "{\"isEnrolled\":true}", TWO_WEEKS);
}

#[tokio::test]
async fn who_does_not_exist_is_answered_like_who_is_not_enrolled() {
    let app = asking().start().await;
    let mut program = app.visitor("program");
    let mut answers = Vec::new();
    for path in [
        "DEMO/alice",
        "DEMO/nobody",
        "DEMO/dave",
        "DEMO/admin",
        "LAB/nobody",
        "upn/nobody@demo.example",
        "upn/a@else.example",
    ] {
        let page = program.get(&format!("/api/enrollments/{path}")).await;
        answers.push((page.code(), page.html.clone(), page.masked_headers()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(app.events().await.iter().all(|event| event.action != Action::Enroll));
}

#[tokio::test]
async fn what_can_not_be_found_out_is_500_and_kept_by_nobody() {
    let app = asking().start().await;
    app.visitor("alice").enrolls().await;
    let mut program = app.visitor("program");
    let is_500 = |page: &Page, code: &str| {
        let body: Value = serde_json::from_str(&page.html).unwrap();
        assert_eq!((page.code(), &body["error"]), (500, &json!(code)), "{}", page.html);
        assert!(body["reference"].as_str().unwrap().starts_with("R-"));
        assert_eq!(page.header("cache-control"), "no-store");
    };
    app.directories_behave(DirectoryMood::Unavailable);
    for path in ["DEMO/alice", "DEMO/nobody", "upn/alice@demo.example", "upn/a@else.example"] {
        is_500(&program.get(&format!("/api/enrollments/{path}")).await, "directory_unavailable");
    }
    app.directories_behave(DirectoryMood::Well);
    // A full disk is no reason not to answer.
    app.store_behaves(StoreMood::ReadOnly);
    is_answer(&program.get("/api/enrollments/DEMO/alice").await, 200, "{\"isEnrolled\":true}", TWO_WEEKS);
}

#[tokio::test]
async fn only_some_networks_may_ask_if_the_admin_says_so() {
    let app = asking().with_settings(|settings| {
        (settings.api.enrollments, settings.api.tokens) = (true, true);
        settings.api.addresses = vec!["192.0.2.0/24".into()];
    });
    let app = app.start().await;
    let token = token(&app, "x", &Scope::ALL).await;
    let mut inside = app.visitor("x");
    let mut outside = app.visitor("x").from([198, 51, 100, 7]);
    assert_eq!(inside.get("/api/enrollments/DEMO/alice").await.code(), 200);
    is_answer(&outside.get("/api/enrollments/DEMO/alice").await, 403, "{\"error\":\"disabled\"}", "no-store");
    assert_eq!(asks(&mut inside, Method::GET, "/api/v1/users", &token).await.code(), 200);
    assert_eq!(asks(&mut outside, Method::GET, "/api/v1/users", &token).await.code(), 404);
    assert_eq!(outside.get("/api").await.code(), 404);
}

#[tokio::test]
async fn the_question_can_demand_a_token() {
    let app = asking().with_settings(|settings| {
        (settings.api.enrollments, settings.api.enrollments_need_token) = (true, true);
    });
    let app = app.start().await;
    let (right, wrong) = (
        token(&app, "right", &[Scope::EnrollmentsRead]).await,
        token(&app, "wrong", &[Scope::UsersRead]).await,
    );
    let mut program = app.visitor("x");
    let path = "/api/enrollments/DEMO/alice";
    let page = program.get(path).await;
    is_answer(&page, 401, "{\"error\":\"token_missing\"}", "no-store");
    assert_eq!(page.header("www-authenticate"), "Bearer realm=\"Regain\"");
    let page = asks(&mut program, Method::GET, path, &wrong).await;
    is_answer(&page, 403, "{\"error\":\"insufficient_scope\"}", "no-store");
    let page = asks(&mut program, Method::GET, path, &right).await;
    is_answer(&page, 200, "{\"isEnrolled\":false}", "no-store");
}

#[tokio::test]
async fn an_address_and_a_token_have_so_many_requests_a_minute() {
    let app = asking().with_settings(|settings| {
        (settings.api.enrollments, settings.api.tokens) = (true, true);
        settings.limits.requests_per_address_per_minute = 5;
        settings.api.requests_per_token_per_minute = 7;
    });
    let app = app.start().await;
    let mut program = app.visitor("x");
    for name in ["alice", "nobody", "%", "alice", "bob"] {
        assert_ne!(program.get(&format!("/api/enrollments/DEMO/{name}")).await.code(), 429);
    }
    let page = program.get("/api/enrollments/DEMO/alice").await;
    is_answer(&page, 429, "{\"error\":\"rate_limited\"}", "no-store");
    assert_eq!(page.header("retry-after"), "12");
    is_problem(&program.get("/api/v1/users").await, 429, "rate_limited");
    // The forms of the pages have tries of their own.
    assert_eq!(program.begins("reset").await.code(), 200);
    app.advance(Duration::from_secs(12));
    assert_eq!(program.get("/api/enrollments/DEMO/alice").await.code(), 200);
    // A token is one, wherever it is used from.
    let token = token(&app, "x", &[Scope::UsersRead]).await;
    let mut codes = Vec::new();
    for host in 0..10 {
        let mut program = app.visitor("x").from([198, 51, 100, host]);
        codes.push(asks(&mut program, Method::GET, "/api/v1/users", &token).await.code());
    }
    assert_eq!(codes, [200, 200, 200, 200, 200, 200, 200, 429, 429, 429]);
}

#[tokio::test]
async fn without_a_token_that_is_good_every_answer_is_the_same() {
    let app = wide().start().await;
    let good = token(&app, "good", &Scope::ALL).await;
    let ended = Wish { name: "ended".into(), scopes: Scope::ALL.to_vec(), days: Some(30) };
    let ended = api_tokens::make(&app.site().services, &by(), ended).await.unwrap().unwrap();
    let mut program = app.visitor("x");
    assert_eq!(asks(&mut program, Method::GET, "/api/v1/users", ended.reveal()).await.code(), 200);
    app.advance(Duration::from_secs(30 * 24 * 60 * 60));
    let unknown = format!("regain_{}", "0".repeat(64));
    let (bearer, other) = (format!("Bearer {good}"), format!("Basic {good}"));
    let mut headers = vec![Vec::new()];
    for text in [
        format!("Bearer {unknown}"),
        format!("Bearer {}", ended.reveal()),
        format!("{bearer}x"),
        other,
        "Bearer".into(),
    ] {
        headers.push(vec![("authorization", text)]);
    }
    headers.push(vec![("authorization", bearer.clone()), ("authorization", bearer.clone())]);
    for headers in headers {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (method, path) in
            [(Method::GET, "/api/v1/users"), (Method::POST, "/api/v1/users/DEMO/alice/clear-lockout")]
        {
            let page = program.call(method, path, &headers, Vec::new()).await;
            is_problem(&page, 401, "token_missing");
            assert_eq!(page.header("www-authenticate"), "Bearer realm=\"Regain\"");
            assert!(!page.html.contains("regain_"));
        }
    }
    // Cookies of an administrator are no token.
    let page = program
        .call(
            Method::GET,
            "/api/v1/users",
            &[("authorization", &bearer.replace("Bearer", "bearer"))],
            Vec::new(),
        )
        .await;
    assert_eq!(page.code(), 200);
    let page = program.get(&format!("/api/v1/users?access_token={good}")).await;
    is_problem(&page, 401, "token_missing");
}

#[tokio::test]
async fn a_token_is_good_for_its_scopes_only() {
    let app = wide().start().await;
    let user = "/api/v1/users/DEMO/alice";
    let (clear, delete) = (format!("{user}/clear-lockout"), format!("{user}/enrollment"));
    let all = [
        (Method::GET, "/api/v1/users", Scope::UsersRead),
        (Method::GET, user, Scope::UsersRead),
        (Method::POST, &clear, Scope::UsersWrite),
        (Method::DELETE, &delete, Scope::UsersWrite),
        (Method::GET, "/api/v1/events", Scope::EventsRead),
    ];
    let mut program = app.visitor("x");
    for scope in Scope::ALL {
        let token = token(&app, &scope.as_str().replace(':', " "), &[scope]).await;
        for (method, path, needed) in &all {
            let page = asks(&mut program, method.clone(), path, &token).await;
            if *needed == scope {
                assert!([200, 404].contains(&page.code()), "{path}: {}", page.html);
            } else {
                is_problem(&page, 403, "insufficient_scope");
                let asked = format!(
                    "Bearer realm=\"Regain\", error=\"insufficient_scope\", scope=\"{}\"",
                    needed.as_str()
                );
                assert_eq!(page.header("www-authenticate"), asked);
            }
        }
    }
    // Every operation with a scope is in that list.
    let known = regain::web::api_operations().filter(|(_, path)| path.starts_with("/api/v1/")).count();
    assert_eq!(known, all.len());
}

#[tokio::test]
async fn users_are_listed_a_page_at_a_time_without_anything_secret() {
    let app = wide()
        .with_settings(|settings| (settings.api.tokens, settings.enroll.ask_email) = (true, true))
        .start()
        .await;
    for name in ["alice", "frank", "o'brien", "heidi"] {
        app.visitor(name).enrolls().await;
    }
    app.visitor("alice").of("LAB").enrolls().await;
    let token = token(&app, "sync", &[Scope::UsersRead]).await;
    let mut program = app.visitor("x");
    let all = gets(&mut program, "/api/v1/users", &token).await;
    assert_eq!((all["users"].as_array().unwrap().len(), &all["next"]), (5, &Value::Null));
    let (mut seen, mut after) = (Vec::new(), String::new());
    for _ in 0..10 {
        let page = gets(&mut program, &format!("/api/v1/users?limit=2{after}"), &token).await;
        seen.extend(page["users"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(Value::Array(seen), all["users"]);
    let names = async |program: &mut Visitor, query: &str| {
        let page = gets(program, &format!("/api/v1/users?{query}"), &token).await;
        let users = page["users"].as_array().unwrap().iter();
        let mut names: Vec<_> = users
            .map(|it| format!("{}\\{}", it["domain"].as_str().unwrap(), it["user"].as_str().unwrap()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&mut program, "domain=lab").await, ["LAB\\alice"]);
    assert_eq!(names(&mut program, "user=ALI").await, ["DEMO\\alice", "LAB\\alice"]);
    assert_eq!(names(&mut program, "user=o&domain=demo.example").await, ["DEMO\\o'brien"]);
    let alice = gets(&mut program, "/api/v1/users/DEMO/alice", &token).await;
    let guid = app.account("alice").await.key.guid.to_string();
    let expected = json!({
        "user": "alice", "domain": "DEMO", "domainName": "demo.example", "guid": guid, "isEnrolled": true, "isAutomatic": false,
        "isLocked": false, "email": "mary@elsewhere.example", "enrolledAt": alice["enrolledAt"], "resetAt": null,
        "unlockedAt": null, "changedAt": null,
    });
    assert_eq!(alice, expected);
    assert!(alice["enrolledAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(gets(&mut program, &format!("/api/v1/users/demo/{guid}"), &token).await, expected);
    for wrong in [
        "limit=0",
        "limit=501",
        "limit=+5",
        "limit=x",
        "after=x",
        "after=@",
        "after=e",
        "domain=NOPE",
        "user=a&user=b",
        "more=1",
        "user=%00",
        "user=%ff",
    ] {
        is_problem(
            &asks(&mut program, Method::GET, &format!("/api/v1/users?{wrong}"), &token).await,
            400,
            "parameter_malformed",
        );
    }
}

#[tokio::test]
async fn one_user_is_shown_also_without_an_enrollment() {
    let app = wide().start().await;
    let token = token(&app, "x", &[Scope::UsersRead, Scope::UsersWrite]).await;
    let mut program = app.visitor("x");
    let bob = gets(&mut program, "/api/v1/users/DEMO/bob", &token).await;
    assert_eq!(
        (&bob["isEnrolled"], &bob["enrolledAt"], &bob["user"]),
        (&json!(false), &Value::Null, &json!("bob"))
    );
    for path in ["DEMO/nobody", "DEMO/00000000-0000-0000-0000-000000000001"] {
        is_problem(
            &asks(&mut program, Method::GET, &format!("/api/v1/users/{path}"), &token).await,
            404,
            "user_unknown",
        );
    }
    for path in
        ["NOPE/bob", "DEMO/%00", "DEMO/", "DEMO/LAB%5Cbob", "NOPE/00000000-0000-0000-0000-000000000001"]
    {
        is_problem(
            &asks(&mut program, Method::GET, &format!("/api/v1/users/{path}"), &token).await,
            400,
            "path_malformed",
        );
    }
    for path in ["/api/v1", "/api/v1/", "/api/v1/users/DEMO", "/api/v1/nothing", "/api/v2/users", "/api/"] {
        let page = asks(&mut program, Method::GET, path, &token).await;
        is_problem(&page, 404, "not_found");
    }
    for (method, path, allowed) in [
        (Method::POST, "/api/v1/users", "GET, HEAD"),
        (Method::GET, "/api/v1/users/DEMO/bob/clear-lockout", "POST"),
        (Method::POST, "/api/v1/users/DEMO/bob/enrollment", "DELETE"),
        (Method::DELETE, "/api", "GET, HEAD"),
    ] {
        let page = asks(&mut program, method, path, &token).await;
        is_problem(&page, 405, "method_unknown");
        assert_eq!(page.header("allow"), allowed);
    }
    app.directories_behave(DirectoryMood::Unavailable);
    let page = asks(&mut program, Method::GET, "/api/v1/users/DEMO/bob", &token).await;
    is_problem(&page, 503, "directory_unavailable");
    assert_eq!(page.header("retry-after"), "15");
}

/// What was done by that token, as the audit log has it.
async fn done(app: &TestApp, name: &str) -> Vec<Event> {
    let events = app.events().await.into_iter();
    events.filter(|event| event.source == "api" && event.source_user.as_deref() == Some(name)).collect()
}

#[tokio::test]
async fn a_lockout_is_ended_and_the_audit_log_says_by_which_token() {
    let app = wide().start().await;
    let mut alice = app.visitor("alice");
    alice.enrolls().await;
    let mut stranger = alice.elsewhere();
    stranger.begins("reset").await;
    for number in 0..5 {
        stranger.answers(&format!("guess {number}")).await;
    }
    let key = app.account("alice").await.key;
    assert!(app.tally(&key).await.locked_at.is_some());
    let token = token(&app, "help desk", &[Scope::UsersRead, Scope::UsersWrite]).await;
    let mut program = app.visitor("x");
    let user = gets(&mut program, "/api/v1/users/DEMO/alice", &token).await;
    assert_eq!(user["isLocked"], true);
    let path = "/api/v1/users/DEMO/alice/clear-lockout";
    for (cleared, count) in [(true, 1), (false, 1)] {
        let page = asks(&mut program, Method::POST, path, &token).await;
        assert_eq!((page.code(), page.html), (200, format!("{{\"cleared\":{cleared}}}")));
        assert_eq!(done(&app, "help desk").await.len(), count);
    }
    assert_eq!((app.tally(&key).await.locked_at, app.tally(&key).await.wrong_answers), (None, 0));
    let event = done(&app, "help desk").await.remove(0);
    assert_eq!(
        (event.action, event.user.as_str(), event.account),
        (Action::LockoutCleared, "alice", Some(key.guid))
    );
    assert_eq!(event.source_ip.unwrap().to_string(), "192.0.2.1");
    alice.elsewhere().resets_password("Battery-Staple-2").await;
}

#[tokio::test]
async fn a_deleted_enrollment_is_gone_at_once_and_its_owner_is_told() {
    let app = wide()
        .with_settings(|settings| (settings.api.tokens, settings.enroll.ask_email) = (true, true))
        .start()
        .await;
    let mut alice = app.visitor("alice");
    alice.enrolls().await;
    // A flow that was under way proves nothing any more.
    let mut under_way = alice.elsewhere();
    assert_eq!(under_way.proves("reset").await.step(), "password");
    let token = token(&app, "hr", &[Scope::UsersWrite]).await;
    let mut program = app.visitor("x");
    let before = app.sent().await.len();
    let key = app.account("alice").await.key;
    let path = format!("/api/v1/users/DEMO/{}/enrollment", key.guid);
    // The directory need not know the user any more.
    app.directories_behave(DirectoryMood::Unavailable);
    let page = asks(&mut program, Method::DELETE, &path, &token).await;
    assert_eq!((page.code(), page.html.as_str()), (204, ""));
    is_problem(&asks(&mut program, Method::DELETE, &path, &token).await, 404, "user_unknown");
    app.directories_behave(DirectoryMood::Well);
    let path = "/api/v1/users/DEMO/alice/enrollment";
    is_problem(&asks(&mut program, Method::DELETE, path, &token).await, 404, "enrollment_missing");
    assert!(app.enrollment(&key).await.is_none());
    let done = done(&app, "hr").await;
    assert_eq!(done.iter().map(|event| event.action).collect::<Vec<_>>(), [Action::EnrollmentDeleted]);
    let page = under_way
        .post(&[("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")])
        .await;
    assert_ne!(page.code(), 200);
    let page = app.visitor("alice").begins("change").await;
    assert_eq!(page.step(), "credentials");
    assert!(app.visitor("alice").changes_password("Third-Staple-3").await.code() == 200, "it was not reset");
    let told: Vec<_> =
        app.sent().await.split_off(before).iter().map(|message| message.to().to_owned()).collect();
    assert!(told.contains(&"mary@elsewhere.example".to_owned()), "{told:?}");
}

#[tokio::test]
async fn what_can_not_be_written_down_is_not_done() {
    let app = wide().start().await;
    app.visitor("alice").enrolls().await;
    let token = token(&app, "x", &[Scope::UsersWrite]).await;
    app.store_behaves(StoreMood::ReadOnly);
    let mut program = app.visitor("x");
    let page = asks(&mut program, Method::DELETE, "/api/v1/users/DEMO/alice/enrollment", &token).await;
    is_problem(&page, 503, "store_full");
    app.store_behaves(StoreMood::Well);
    assert!(app.enrollment(&app.account("alice").await.key).await.is_some());
}

#[tokio::test]
async fn events_are_read_from_the_front_without_a_gap() {
    let app = wide().start().await;
    let token = token(&app, "siem", &[Scope::EventsRead]).await;
    for _ in 0..3 {
        app.visitor("alice").begins("reset").await;
        app.visitor("alice").enrolls().await;
    }
    let mut program = app.visitor("x");
    let all = gets(&mut program, "/api/v1/events", &token).await;
    let (mut numbers, mut after) = (Vec::new(), 0);
    loop {
        let page = gets(&mut program, &format!("/api/v1/events?limit=2&after={after}"), &token).await;
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            assert_eq!(page["next"], json!(after));
            break;
        }
        numbers.extend(events.iter().map(|event| event["number"].as_u64().unwrap()));
        after = page["next"].as_u64().unwrap();
    }
    let count = app.events().await.len() as u64;
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    assert_eq!(all["events"].as_array().unwrap().len() as u64, count);
    let made = &all["events"][0];
    assert_eq!(
        (&made["action"], &made["outcome"], &made["sourceUser"]),
        (&json!("token"), &json!("success"), &json!("test"))
    );
    assert!(!all.to_string().contains("regain_"));
    for wrong in ["after=-1", "after=x", "limit=501"] {
        is_problem(
            &asks(&mut program, Method::GET, &format!("/api/v1/events?{wrong}"), &token).await,
            400,
            "parameter_malformed",
        );
    }
    let end = gets(&mut program, &format!("/api/v1/events?after={}", u64::MAX), &token).await;
    assert_eq!(end["events"], json!([]));
}

#[tokio::test]
async fn a_token_is_kept_only_as_its_hash_and_its_use_by_the_day() {
    let app = wide().start().await;
    let token = token(&app, "x", &[Scope::UsersRead]).await;
    let used = async || api_tokens::list(&app.site().services).await.unwrap()[0].1.used_at;
    assert_eq!(used().await, None);
    let mut program = app.visitor("x");
    asks(&mut program, Method::GET, "/api/v1/users", &token).await;
    let first = used().await;
    assert!(first.is_some());
    app.advance(Duration::from_secs(1));
    asks(&mut program, Method::GET, "/api/v1/users", &token).await;
    assert_eq!(used().await, first, "no request more than one a day is a write");
    app.advance(Duration::from_secs(24 * 60 * 60));
    asks(&mut program, Method::GET, "/api/v1/users", &token).await;
    assert!(used().await > first);
    app.restart().await;
    assert_eq!(asks(&mut program, Method::GET, "/api/v1/users", &token).await.code(), 200);
}

const PATH: &str = "/admin/api";

fn made_in(page: &Page) -> Option<String> {
    let at = page.html.find("regain_")?;
    Some(page.html[at..].chars().take(71).collect())
}

#[tokio::test]
async fn an_administrator_makes_a_token_sees_it_once_and_takes_it_back() {
    let app = with_groups(|settings| settings.api.tokens = true).start().await;
    let (mut admin, codes, _) = first_signs_in(&app).await;
    is_at(&admin.open(PATH).await, 200, "API tokens");
    let make = [("action", "make"), ("name", "monitoring"), ("days", "30"), ("scope.users:read", "on")];
    let page = sends(&mut admin, PATH, &make).await;
    is_at(&page, 200, "Give it to the program now");
    let token = made_in(&page).unwrap();
    assert_eq!(page.header("cache-control"), "no-store");
    let page = admin.open(PATH).await;
    assert!(
        made_in(&page).is_none()
            && page.text().contains("monitoring")
            && page.text().contains("Not used yet")
    );
    let mut program = app.visitor("x");
    assert_eq!(asks(&mut program, Method::GET, "/api/v1/users", &token).await.code(), 200);
    assert!(admin.open(PATH).await.text().contains("Last used"));
    // What is wrong is said where it is, and what was typed is kept.
    for (fields, field, text) in [
        (
            &[("name", "Monitoring"), ("days", "30"), ("scope.users:read", "on")][..],
            "name",
            "of that name already",
        ),
        (&[("name", "CORP\\mary"), ("days", "0"), ("scope.users:read", "on")], "name", "letters"),
        (&[("name", ""), ("days", "0"), ("scope.users:read", "on")], "name", "letters"),
        (&[("name", "other"), ("days", "0")], "scopes", "at least one"),
        (&[("name", "other"), ("days", "1"), ("scope.users:read", "on")], "", "belong"),
        (&[("name", "other"), ("days", "0"), ("scope.all", "on")], "", "belong"),
    ] {
        admin.open(PATH).await;
        let page = sends(&mut admin, PATH, &[&[("action", "make")], fields].concat()).await;
        assert_eq!(page.code(), 422, "{}", page.text());
        assert!(page.alert().contains(text), "{}", page.alert());
        assert!(field.is_empty() || page.html.contains(&format!("href=\"#{field}\"")));
        assert!(made_in(&page).is_none());
    }
    // Without a fresh proof nothing is made or taken back.
    app.advance(Duration::from_secs(301));
    let page = admin.open(PATH).await;
    is_at(&page, 200, "Is it you?");
    assert!(!page.text().contains("monitoring"));
    let other = [make[0], ("name", "other"), make[2], make[3]];
    is_at(&sends(&mut admin, PATH, &other).await, 403, "Is it you?");
    admin.open(PATH).await;
    let page = sends(&mut admin, PATH, &[("action", "prove"), ("code", &codes.code(&app, 0))]).await;
    is_at(&page, 200, "A new token");
    let revoke = page.html.split("value=\"revoke ").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = sends(&mut admin, PATH, &[("action", &format!("revoke {revoke}"))]).await;
    is_at(&page, 200, "good for nothing any more");
    is_problem(&asks(&mut program, Method::GET, "/api/v1/users", &token).await, 401, "token_missing");
    let told: Vec<_> = app.events().await.into_iter().filter(|event| event.action == Action::Token).collect();
    let details: Vec<_> = told.iter().map(|event| event.detail.split(" until").next().unwrap()).collect();
    assert_eq!(details, ["made \"monitoring\" users:read", "revoked \"monitoring\" users:read"]);
    assert!(
        told.iter()
            .all(|event| event.source_user.as_deref() == Some("DEMO\\admin") && event.source == "admin")
    );
}

#[tokio::test]
async fn there_are_no_more_tokens_than_can_be_looked_through() {
    let app = wide().start().await;
    for number in 0..ApiToken::MOST {
        token(&app, &format!("token {number}"), &[Scope::UsersRead]).await;
    }
    let wish = Wish { name: "one more".into(), scopes: vec![Scope::UsersRead], days: None };
    let denied = api_tokens::make(&app.site().services, &by(), wish).await.unwrap();
    assert_eq!(denied.err(), Some(api_tokens::Fault::TooMany));
}

#[tokio::test]
async fn the_description_is_read_by_programs_and_by_people() {
    let app = wide().start().await;
    let mut program = app.visitor("x");
    let page = program.get("/api/openapi.json").await;
    assert_eq!((page.code(), page.header("content-type")), (200, "application/json"));
    let document: Value = serde_json::from_str(&page.html).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let page = program.get("/api").await;
    assert_eq!((page.code(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    for (method, path) in regain::web::api_operations() {
        assert!(page.text().contains(&format!("{method} {path}")), "{method} {path}: {}", page.text());
    }
    assert_eq!(page.html.matches("<main").count(), 1);
    let page = program.get("/api?lang=de").await;
    assert!(page.text().contains("Die API") && page.html.contains("<html lang=\"de\""));
}

#[tokio::test]
async fn whoever_has_only_a_token_gets_nowhere_else() {
    let app = wide().start().await;
    let token = token(&app, "x", &Scope::ALL).await;
    let mut program = app.visitor("x");
    for path in ["/admin", "/admin/api", "/admin/settings/api"] {
        assert_eq!(asks(&mut program, Method::GET, path, &token).await.code(), 303, "{path}");
    }
    // Answers and passwords are nowhere to be found.
    app.visitor("alice").enrolls().await;
    let all = [
        gets(&mut program, "/api/v1/users", &token).await.to_string(),
        gets(&mut program, "/api/v1/users/DEMO/alice", &token).await.to_string(),
        gets(&mut program, "/api/v1/events", &token).await.to_string(),
    ];
    for text in all {
        for secret in [SAMPLE_PASSWORD, "argon2", "question", "Blåhaj", "hash"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    assert!(
        app.sent()
            .await
            .iter()
            .all(|message| matches!(message, Message::Mail(mail) if !mail.text.contains(&token)))
    );
}
