//! The names that logon-screen clients, monitors and tests rely on (R12), and the addresses that lead to the pages.

use std::time::Duration;

use poem::http::Method;
use regain::{
    directory::demo::SAMPLE_PASSWORD,
    testing::{DirectoryMood, Page, StoreMood, TestApp, Visitor},
};

const FLOWS: [&str; 4] = ["enroll", "reset", "unlock", "change"];

fn is_page(page: &Page, code: u16, flow: &str, step: &str) {
    assert_eq!(
        (page.code(), page.flow().as_str(), page.step().as_str()),
        (code, flow, step),
        "{}",
        page.text()
    );
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(page.header("strict-transport-security").starts_with("max-age="));
    assert_eq!(page.html.matches("<main").count(), 1);
    assert_eq!(page.html.matches("<h1").count(), 1);
    assert!(page.alerts() <= 1);
    if step == "error" {
        let reference = page.reference();
        assert!(reference.len() == 11 && reference.starts_with("R-"), "{reference}");
        assert!(page.text().contains(&reference));
    } else {
        assert_eq!(page.reference(), "");
    }
}

#[tokio::test]
async fn the_menu_offers_the_four_flows() {
    let (_app, mut visitor) = TestApp::new().with_user("alice").await;
    let page = visitor.get("/").await;
    is_page(&page, 200, "menu", "menu");
    for flow in FLOWS {
        assert!(page.links().contains(&format!("/{flow}")), "{flow}");
    }
    assert_eq!(page.cookies(), Vec::<String>::new());
}

#[tokio::test]
async fn a_hidden_item_is_neither_in_the_menu_nor_at_its_address() {
    for flow in FLOWS {
        let (app, mut visitor) = TestApp::new().with_user("alice").await;
        visitor.open(&format!("/{flow}")).await;
        app.set(|s| match flow {
            "enroll" => s.general.show_enroll = false,
            "reset" => s.general.show_reset = false,
            "unlock" => s.general.show_unlock = false,
            _ => s.general.show_change = false,
        });
        let page = visitor.get("/").await;
        for other in FLOWS {
            assert_eq!(page.links().contains(&format!("/{other}")), other != flow);
        }
        is_page(&visitor.get(&format!("/{flow}")).await, 404, "menu", "error");
        let page = visitor.post(&[("username", "alice"), ("domain", "DEMO")]).await;
        is_page(&page, 404, "menu", "error");
        is_page(&visitor.open(&format!("/?cmd={flow}")).await, 404, "menu", "error");
    }
}

#[tokio::test]
async fn each_step_has_the_fields_of_the_contract_on_the_flows_own_path() {
    let (_app, mut alice) =
        TestApp::new().with_settings(|s| s.enroll.ask_email = true).with_user("alice").await;
    let page = alice.open("/enroll").await;
    is_page(&page, 200, "enroll", "identify");
    assert_eq!(
        page.fields(),
        [
            "csrf",
            "username",
            "domain",
            "password",
            "email",
            "question1",
            "answer1",
            "question2",
            "answer2",
            "question3",
            "answer3"
        ]
    );
    is_page(&alice.enrolls().await, 200, "enroll", "finished");
    let mut alice = alice.elsewhere();
    for flow in ["reset", "unlock", "change"] {
        let page = alice.open(&format!("/{flow}")).await;
        is_page(&page, 200, flow, "identify");
        assert_eq!(page.fields(), ["csrf", "username", "domain"]);
    }
    let page = alice.begins("reset").await;
    is_page(&page, 200, "reset", "question");
    assert_eq!(page.fields(), ["csrf", "answer", "action"]);
    let page = alice.proves("reset").await;
    is_page(&page, 200, "reset", "password");
    assert_eq!(page.fields(), ["csrf", "new_password", "confirm_password", "action"]);
    let new = [("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")];
    is_page(&alice.submit(&new).await, 200, "reset", "finished");
    let mut alice = alice.elsewhere();
    let page = alice.begins("change").await;
    is_page(&page, 200, "change", "credentials");
    assert_eq!(page.fields(), ["csrf", "old_password", "new_password", "confirm_password", "action"]);
    is_page(&alice.elsewhere().unlocks().await, 200, "unlock", "finished");
}

#[tokio::test]
async fn a_post_that_moved_on_is_a_303_to_the_same_path() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    for flow in ["reset", "unlock", "change"] {
        alice.open(&format!("/{flow}")).await;
        let page = alice.post(&[("username", "alice"), ("domain", "DEMO")]).await;
        assert_eq!((page.code(), page.location()), (303, Some(format!("/{flow}").as_str())));
        assert_eq!(page.html, "");
    }
}

#[tokio::test]
async fn a_validation_error_is_one_alert_that_names_the_field() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    for flow in ["reset", "unlock", "change"] {
        alice.open(&format!("/{flow}")).await;
        for (name, domain, field, said) in [
            ("", "DEMO", "username", "User name"),
            ("alice", "NOWHERE", "domain", "Domain"),
            ("NOWHERE\\alice", "DEMO", "username", "Domain"),
            ("DEMO\\", "DEMO", "username", "User name"),
        ] {
            let page = alice.submit(&[("username", name), ("domain", domain)]).await;
            is_page(&page, 422, flow, "identify");
            assert_eq!(page.alerts(), 1);
            assert!(page.alert().contains(said), "{}", page.alert());
            assert!(page.is_invalid(field), "{field}: {}", page.alert());
            assert_eq!(page.value("username").unwrap_or_default(), name);
        }
    }
}

#[tokio::test]
async fn limits_are_429_with_retry_after_and_end_by_themselves() {
    let (app, mut alice) = TestApp::new()
        .with_settings(|s| s.limits.requests_per_address_per_minute = 3)
        .with_user("alice")
        .await;
    alice.open("/reset").await;
    for _ in 0..3 {
        assert_eq!(alice.post(&[("username", "")]).await.code(), 422);
    }
    let page = alice.post(&[("username", "")]).await;
    is_page(&page, 429, "reset", "error");
    let wait: u64 = page.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert!(page.text().contains(&format!("in {wait} seconds")), "{}", page.text());
    let mut other = alice.elsewhere().from([192, 0, 2, 77]);
    other.open("/reset").await;
    assert_eq!(other.post(&[("username", "")]).await.code(), 422);
    // One /64 of IPv6 is one address.
    let v6 = |host: u16| std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
    for host in 1..=4 {
        let mut other = alice.elsewhere().from(v6(host));
        other.open("/reset").await;
        assert_eq!(other.post(&[("username", "")]).await.code(), if host < 4 { 422 } else { 429 });
    }
    app.advance(Duration::from_secs(wait));
    assert_eq!(alice.post(&[("username", "")]).await.code(), 422);
    assert_eq!(alice.post(&[("username", "")]).await.code(), 429);
    let told = app.events().await.iter().filter(|event| event.detail == "rate_limited").count();
    assert_eq!(told, 3, "the first of each row is written down");
}

#[tokio::test]
async fn all_together_have_a_limit_too() {
    let (app, alice) =
        TestApp::new().with_settings(|s| s.limits.requests_per_second_overall = 5).with_user("alice").await;
    let mut codes = Vec::new();
    for number in 0..7_u8 {
        let mut visitor = alice.elsewhere().from([192, 0, 2, number]);
        visitor.open("/unlock").await;
        codes.push(visitor.post(&[("username", "")]).await.code());
    }
    assert_eq!(codes, [422, 422, 422, 422, 422, 429, 429]);
    app.advance(Duration::from_secs(1));
    let mut visitor = alice.elsewhere();
    visitor.open("/unlock").await;
    assert_eq!(visitor.post(&[("username", "")]).await.code(), 422);
}

#[tokio::test]
async fn trouble_below_is_503_with_retry_after() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.open("/reset").await;
    app.directories_behave(DirectoryMood::Unavailable);
    let page = alice.post(&[("username", "alice"), ("domain", "DEMO")]).await;
    is_page(&page, 503, "reset", "error");
    assert_eq!(page.header("retry-after"), "15");
    app.directories_behave(DirectoryMood::Well);
    app.store_behaves(StoreMood::Failed);
    let page = alice.post(&[("username", "alice"), ("domain", "DEMO")]).await;
    is_page(&page, 503, "reset", "error");
    assert_eq!(page.header("retry-after"), "15");
    app.store_behaves(StoreMood::Well);
    assert_eq!(alice.submit(&[("username", "alice"), ("domain", "DEMO")]).await.step(), "question");
}

#[tokio::test]
async fn unknown_hosts_pages_and_methods_have_their_codes() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    for host in ["evil.example", "reset.demo.example:8443", "reset.demo.example.", "", "a b"] {
        let page = alice.call(Method::GET, "/reset", &[("host", host)], Vec::new()).await;
        is_page(&page, 421, "menu", "error");
    }
    assert_eq!(alice.call(Method::GET, "/", &[("host", "RESET.demo.example")], Vec::new()).await.code(), 200);
    for path in [
        "/nothing",
        "/reset/",
        "/reset/x",
        "/Reset",
        "/assets/",
        "/assets/none.css",
        "/assets/..%2fx",
        "/pwreset/x",
    ] {
        is_page(&alice.get(path).await, 404, "menu", "error");
    }
    is_page(&alice.get(&format!("/{}", "x".repeat(5000))).await, 404, "menu", "error");
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        let page = alice.call(method.clone(), "/reset", &[], Vec::new()).await;
        is_page(&page, 405, "menu", "error");
        assert!(page.header("allow").contains("GET"), "{method}");
    }
    let page = alice.call(Method::POST, "/", &[], Vec::new()).await;
    is_page(&page, 405, "menu", "error");
}

#[tokio::test]
async fn monitors_are_answered_in_plain_text() {
    let (app, mut visitor) = TestApp::new().with_user("alice").await;
    assert_eq!((visitor.get("/healthz").await.code(), visitor.get("/readyz").await.code()), (200, 200));
    app.store_behaves(StoreMood::ReadOnly);
    let page = visitor.get("/readyz").await;
    assert_eq!((page.code(), page.header("retry-after")), (503, "10"));
    assert_eq!(visitor.get("/healthz").await.code(), 200);
}

#[tokio::test]
async fn deep_links_open_the_page_with_the_fields_filled_in() {
    let (_app, visitor) = TestApp::new().with_user("alice").await;
    for (link, flow, name, domain) in [
        ("/?cmd=reset&username=alice&domain=LAB", "reset", "alice", "LAB"),
        ("/?cmd=RESET&USERNAME=alice&Domain=lab.example", "reset", "alice", "LAB"),
        ("/?cmd=enroll&username=alice", "enroll", "alice", "DEMO"),
        ("/?cmd=unlock&domain=LAB", "unlock", "", "LAB"),
        ("/?cmd=change", "change", "", "DEMO"),
        ("/pwreset/apr.dll?cmd=unlock&username=J%C3%BCrgen+M&domain=LAB", "unlock", "Jürgen M", "LAB"),
        ("/pwreset/apr.dll?cmd=change&username=%22%3E%3Cscript%3E", "change", "\"><script>", "DEMO"),
        ("/reset?username=alice&domain=NOWHERE", "reset", "alice", "DEMO"),
    ] {
        let mut visitor = visitor.elsewhere();
        let page = visitor.open(link).await;
        is_page(&page, 200, flow, "identify");
        assert_eq!(page.value("username").unwrap_or_default(), name, "{link}");
        assert_eq!(page.value("domain").unwrap(), domain, "{link}");
        assert!(!page.html.contains("<script>"));
    }
    for (link, step) in [
        ("/?username=alice", "menu"),
        ("/?cmd=nonsense", "menu"),
        ("/pwreset/", "menu"),
        ("/pwreset", "menu"),
        ("/pwreset/apr.dll", "menu"),
        ("/pwreset/en_default.htm", "menu"),
        ("/pwreset/default.htm", "menu"),
    ] {
        assert_eq!(visitor.elsewhere().open(link).await.step(), step, "{link}");
    }
    let page = visitor.elsewhere().open("/?username=mary&domain=LAB").await;
    assert!(page.links().contains(&"/reset?username=mary&domain=LAB".to_owned()));
}

#[tokio::test]
async fn a_deep_link_begins_anew_whoever_used_the_browser_before() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    alice.begins("reset").await;
    let page = alice.open("/?cmd=reset&username=bob").await;
    assert_eq!((page.step().as_str(), page.value("username").unwrap().as_str()), ("identify", "bob"));
}

#[tokio::test]
async fn the_language_is_the_browsers_until_another_is_chosen() {
    let (_app, visitor) = TestApp::new().with_user("alice").await;
    let lang = |page: &Page| page.header("content-language").to_owned();
    for (wanted, given) in [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("xx,en;q=0.2,de;q=0.7", "de"),
        ("*", "en"),
        ("", "en"),
        ("q=;;,", "en"),
    ] {
        let page = visitor.elsewhere().reading(wanted).open("/reset").await;
        assert_eq!(lang(&page), given, "{wanted}");
        assert!(page.html.contains(&format!("<html lang=\"{given}\"")));
    }
    let mut visitor = visitor.reading("en");
    assert_eq!(lang(&visitor.open("/reset?lang=de").await), "de");
    assert_eq!(lang(&visitor.open("/reset").await), "de");
    let page = visitor.submit(&[("username", "alice"), ("domain", "DEMO")]).await;
    assert_eq!((lang(&page), page.step().as_str()), ("de".to_owned(), "question"));
    let page = visitor.open("/reset?lang=en").await;
    assert_eq!((lang(&page), page.step().as_str()), ("en".to_owned(), "question"));
    assert_eq!(lang(&visitor.open("/pwreset/de_default.htm").await), "de");
    assert_eq!(lang(&visitor.open("/").await), "de");
}

#[tokio::test]
async fn a_deep_link_may_name_the_language_too() {
    let (_app, mut visitor) = TestApp::new().with_user("alice").await;
    for link in ["/?cmd=reset&lang=de", "/pwreset/apr.dll?cmd=reset&username=alice&lang=de"] {
        let page = visitor.elsewhere().open(link).await;
        assert_eq!((page.step().as_str(), page.header("content-language")), ("identify", "de"), "{link}");
    }
    visitor.open("/?cmd=reset&lang=de").await;
    assert_eq!(visitor.open("/unlock").await.header("content-language"), "de");
}

#[tokio::test]
async fn the_domain_is_a_list_a_text_box_or_not_asked_at_all() {
    let (app, visitor) = TestApp::new().with_user("alice").await;
    let page = visitor.elsewhere().open("/reset").await;
    let offered = |page: &Page| page.options("domain").into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(offered(&page), ["DEMO", "LAB"]);
    app.set(|s| s.general.domain_list = Some(vec!["lab.example".into(), "demo".into()]));
    let page = visitor.elsewhere().open("/reset").await;
    assert_eq!(offered(&page), ["LAB", "DEMO"]);
    assert_eq!(page.value("domain").unwrap_or("LAB".into()), "LAB");
    // Nothing typed is the first of the list: only LAB has judy.
    let mut judy = app.visitor("ivan").of("LAB");
    judy.enrolls().await;
    judy = judy.elsewhere();
    judy.domain = String::new();
    judy.unlocks().await;
    app.set(|s| s.general.domain_list = Some(Vec::new()));
    let page = visitor.elsewhere().open("/unlock").await;
    assert_eq!(page.kind("domain").unwrap(), "text");
    let mut judy = judy.elsewhere();
    judy.domain = "Lab.Example".into();
    judy.unlocks().await;
    app.set(|s| s.general.domain_list = Some(vec!["LAB".into()]));
    let page = visitor.elsewhere().open("/unlock").await;
    assert_eq!(
        (page.kind("domain").unwrap(), page.value("domain").unwrap()),
        ("hidden".into(), "LAB".into())
    );
    let (_app, mut alone) = TestApp::new().with_one_domain().with_user("alice").await;
    let page = alone.open("/change").await;
    assert_eq!(
        (page.kind("domain").unwrap(), page.value("domain").unwrap()),
        ("hidden".into(), "DEMO".into())
    );
    alone.changes_password("Battery-Staple-2").await;
}

#[tokio::test]
async fn assets_are_served_with_a_version_and_for_ever() {
    let (_app, mut visitor) = TestApp::new().with_user("alice").await;
    let page = visitor.get("/").await;
    for name in ["regain.css", "regain.js", "favicon.svg"] {
        let address = page.links().into_iter().find(|link| link.contains(name)).unwrap();
        let address = address.as_str();
        let asset = visitor.get(address).await;
        assert_eq!(asset.code(), 200);
        assert!(asset.header("cache-control").contains("immutable"), "{address}");
        let tag = asset.header("etag").to_owned();
        let known = visitor.call(Method::GET, address, &[("if-none-match", &tag)], Vec::new()).await;
        assert_eq!((known.code(), known.html.as_str()), (304, ""));
    }
}

#[tokio::test]
async fn the_demo_says_so_on_every_page_and_nobody_else_does() {
    let (_app, mut visitor) = TestApp::new().as_demo().with_user("alice").await;
    let page = visitor.open("/reset").await;
    assert!(page.text().contains("This is a demonstration"));
    assert_eq!(page.header("strict-transport-security"), "");
    let (_app, mut visitor) = TestApp::new().with_user("alice").await;
    assert!(!visitor.open("/reset").await.text().contains("demonstration"));
}

#[tokio::test]
async fn product_help_desk_and_footer_are_on_every_page_as_text() {
    let (_app, mut visitor) = TestApp::new()
        .with_settings(|s| {
            s.general.product_name = "Keys & <Locks>".into();
            s.general.help_desk = "Call 4444".into();
            s.general.footer = "Corp Ltd".into();
        })
        .with_user("alice")
        .await;
    let mut pages =
        vec![visitor.open("/").await, visitor.open("/enroll").await, visitor.get("/nothing").await];
    pages.push(visitor.begins("change").await);
    for page in pages {
        for said in ["Keys & <Locks>", "Call 4444", "Corp Ltd"] {
            assert!(page.text().contains(said), "{said}: {}", page.text());
        }
    }
}

async fn cookies_of(visitor: &mut Visitor, path: &str) -> Vec<String> {
    visitor.open(path).await.cookies()
}

#[tokio::test]
async fn cookies_are_for_this_host_over_tls_only_and_out_of_reach_of_scripts() {
    let (_app, mut alice) = TestApp::new().with_user("alice").await;
    let mut all = cookies_of(&mut alice, "/reset?lang=de").await;
    assert_eq!(all.len(), 2);
    let fields = alice.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let page = alice.post(&fields).await;
    all.extend(page.cookies());
    assert_eq!(all.len(), 3);
    for cookie in all {
        assert!(cookie.starts_with("__Host-regain"), "{cookie}");
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains(SAMPLE_PASSWORD));
    }
}
