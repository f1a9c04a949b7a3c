//! What no page would send: the right status, a line in the audit log, and nothing changed.

use poem::http::Method;
use regain::{
    domain::audit::Outcome,
    testing::{Page, TestApp, Visitor},
};

fn encode(text: &str) -> String {
    serde_urlencoded::to_string([("x", text)]).unwrap()[2..].to_owned()
}

/// Posts a body with a good token in front.
async fn sends(visitor: &mut Visitor, flow: &str, body: &[u8]) -> Page {
    visitor.open(&format!("/{flow}")).await;
    let mut all = format!("csrf={}&", encode(&visitor.token())).into_bytes();
    all.extend_from_slice(body);
    visitor.post_body(&format!("/{flow}"), &[], all).await
}

#[tokio::test]
async fn odd_names_are_refused_or_unknown_but_never_an_error() {
    let (app, visitor) = TestApp::new().with_user("alice").await;
    let long = "x".repeat(257);
    let huge = "x".repeat(10_000);
    for (name, code) in [
        ("", 422),
        (" ", 422),
        ("\t", 422),
        ("a\0b", 422),
        ("a\nb", 422),
        ("a\u{7}b", 422),
        ("a\u{85}b", 422),
        (&long, 422),
        (&huge, 422),
        ("\\", 422),
        ("DEMO\\", 422),
        ("DEMO\\a\\b", 422),
        ("NOPE\\alice", 422),
        ("*", 303),
        ("a*", 303),
        (")(objectClass=*", 303),
        ("*)(|(cn=*", 303),
        ("\\2a", 422),
        ("DEMO\\*", 303),
        ("\\00", 422),
        ("alice)(mail=*", 303),
        ("@", 303),
        ("@demo.example", 303),
        ("a@b@demo.example", 303),
        ("🦀", 303),
        ("<script>alert(1)</script>", 303),
        ("{{ 7*7 }}", 303),
        ("../../etc/passwd", 303),
        ("%00", 303),
        ("' OR 1=1 --", 303),
    ] {
        for flow in ["reset", "unlock", "change"] {
            let before = app.events().await.len();
            let body = format!("username={}&domain=DEMO", encode(name));
            let page = sends(&mut visitor.elsewhere(), flow, body.as_bytes()).await;
            assert_eq!(page.code(), code, "{flow} {name:?}: {}", page.text());
            if code == 422 {
                assert!(page.is_invalid("username"), "{name:?}: {}", page.alert());
                assert_eq!(page.alerts(), 1);
                let events = app.events().await;
                assert_eq!(events.len(), before + 1, "{name:?}");
                assert_eq!(events.last().unwrap().outcome, Outcome::Failure);
                assert!(events.last().unwrap().user.chars().count() <= 256);
            }
        }
    }
    let page = visitor.elsewhere().open("/reset?username=%3Cscript%3E&domain=%3Cscript%3E").await;
    assert!(!page.html.contains("<script>"));
    let mut visitor = visitor.elsewhere();
    visitor.name = "{{ 7*7 }}<script>".into();
    let page = visitor.begins("change").await;
    assert!(page.text().contains("{{ 7*7 }}<script>") && !page.html.contains("}}<script>"), "{}", page.html);
}

#[tokio::test]
async fn odd_domains_are_refused() {
    let (_app, mut visitor) = TestApp::new().with_user("alice").await;
    for domain in ["*", "DEMO\0", "demo.example.evil", ")(x=*", "\u{202e}OMED", &"d".repeat(5000)] {
        let body = format!("username=alice&domain={}", encode(domain));
        let page = sends(&mut visitor, "reset", body.as_bytes()).await;
        assert_eq!((page.code(), page.alerts()), (422, 1), "{domain:?}");
    }
}

#[tokio::test]
async fn what_is_no_form_at_all_is_refused() {
    let (app, mut visitor) = TestApp::new().with_user("alice").await;
    for (body, code, detail) in [
        (&b"username=alice&username=alice&domain=DEMO"[..], 422, "field_repeated"),
        (b"username=alice&domain=DEMO&domain=LAB", 422, "field_repeated"),
        (b"username[]=alice&domain=DEMO", 422, "field_empty"),
        (b"username=alice&domain=DEMO&admin=1", 422, "field_unknown"),
        (b"username=alice&domain=DEMO&username[]=bob", 422, "field_unknown"),
        (b"username=alice&domain=DEMO&new_password=x", 422, "field_unknown"),
        (b"username=%ff%fe&domain=DEMO", 422, "field_not_text"),
        (b"username=\xff&domain=DEMO", 422, "field_not_text"),
        (b"username=%c0%80&domain=DEMO", 422, "field_not_text"),
        (b"username=%zz&domain=DEMO", 422, "field_not_text"),
        (b"username=%&domain=DEMO", 422, "field_not_text"),
        (b"username=a%00&domain=DEMO", 422, "field_has_control_characters"),
        (b"%ff=1&username=alice&domain=DEMO", 422, "field_not_text"),
        (b"csrf=again&username=alice&domain=DEMO", 403, "form_forged"),
        (b"", 422, "field_empty"),
        (b"&&&&==", 422, "field_empty"),
    ] {
        let shown = String::from_utf8_lossy(body).into_owned();
        for flow in ["reset", "unlock", "change"] {
            let before = app.events().await.len();
            let page = sends(&mut visitor, flow, body).await;
            assert_eq!(page.code(), code, "{flow} {shown}: {}", page.text());
            assert!(page.alerts() == 1 || code == 403);
            let events = app.events().await;
            assert_eq!(events.len(), before + 1, "{shown}");
            assert_eq!(events.last().unwrap().detail, detail, "{shown}");
            assert!(events.last().unwrap().source_ip.is_some());
            assert_eq!(visitor.get(&format!("/{flow}")).await.step(), "identify");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_of_another_kind_is_refused() {
    let (app, mut visitor) = TestApp::new().with_user("alice").await;
    visitor.open("/reset").await;
    let token = encode(&visitor.token());
    for size in [20_000, 200_000, 5_000_000] {
        let mut body = format!("csrf={token}&username=alice&domain=").into_bytes();
        body.resize(size, b'a');
        let page = visitor.post_body("/reset", &[], body).await;
        assert_eq!((page.code(), page.alerts()), (422, 1), "{size}");
        assert!(page.alert().contains("too long"), "{}", page.alert());
    }
    for kind in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
        let body = format!("csrf={token}&username=alice&domain=DEMO").into_bytes();
        let page = visitor.call(Method::POST, "/reset", &[("content-type", kind)], body).await;
        assert_eq!(page.code(), 403, "{kind}");
    }
    let body = format!("csrf={token}&username=alice&domain=DEMO").into_bytes();
    let page = visitor
        .call(
            Method::POST,
            "/reset",
            &[("content-type", "Application/X-WWW-Form-URLEncoded; charset=UTF-8")],
            body,
        )
        .await;
    assert_eq!(page.code(), 303);
    assert_eq!(app.events().await.len(), 7);
}

#[tokio::test]
async fn odd_answers_are_wrong_or_refused() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    alice.enrolls().await;
    let mut visitor = alice.elsewhere();
    visitor.begins("reset").await;
    let key = app.account("alice").await.key;
    let long = "a".repeat(257);
    for (body, detail) in [
        ("answer=".to_owned(), "field_empty"),
        ("answer=...".to_owned(), "field_empty"),
        (format!("answer={long}"), "field_too_long"),
        ("answer=a%00".to_owned(), "field_has_control_characters"),
        ("answer=%ff".to_owned(), "field_not_text"),
        ("answer=a&answer=b".to_owned(), "field_repeated"),
        ("answer[]=a".to_owned(), "field_empty"),
        ("answer=right&answer1=a".to_owned(), "field_unknown"),
        (String::new(), "field_empty"),
    ] {
        let page = sends(&mut visitor, "reset", body.as_bytes()).await;
        assert_eq!((page.code(), page.step().as_str(), page.alerts()), (422, "question", 1), "{body}");
        assert_eq!(app.events().await.last().unwrap().detail, detail, "{body}");
    }
    assert_eq!(app.tally(&key).await.wrong_answers, 0, "nothing was compared");
    let answer = visitor.right_answer();
    visitor.answers(&answer).await;
}

#[tokio::test]
async fn odd_passwords_reach_no_directory() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    let long = "Aa1-".repeat(65);
    for old in ["", "a%00b", "%ff", &long] {
        let mut visitor = alice.elsewhere();
        visitor.begins("change").await;
        let body =
            format!("old_password={old}&new_password=Battery-Staple-2&confirm_password=Battery-Staple-2");
        let page = sends(&mut visitor, "change", body.as_bytes()).await;
        assert_eq!((page.code(), page.alerts()), (422, 1), "{old}");
        assert!(page.is_invalid("old_password"), "{old}: {}", page.alert());
        let mut visitor = alice.elsewhere();
        visitor.begins("change").await;
        let body = format!("old_password=Correct-Horse-1&new_password={old}&confirm_password={old}");
        let page = sends(&mut visitor, "change", body.as_bytes()).await;
        assert_eq!((page.code(), page.alerts()), (422, 1), "{old}");
        assert!(page.is_invalid("new_password"), "{old}: {}", page.alert());
    }
    assert_eq!((app.directory("DEMO").checks(), app.directory("DEMO").writes()), (0, 0));
    // A blank is part of a password, at both ends too.
    alice.changes_password("  Battery Staple 2  ").await;
    alice.elsewhere().changes_password("Ünïcödé-Pässwörd-日本").await;
}

#[tokio::test]
async fn odd_enrollments_change_nothing() {
    let (app, mut alice) = TestApp::new().with_user("alice").await;
    let fields = alice.fills_enroll().await;
    let good: String = fields.iter().map(|(n, v)| format!("&{n}={}", encode(v))).collect();
    for (replace, with, detail) in [
        ("&question1=", "&question1=Not+on+the+list&x", "question_unknown"),
        ("&question2=", "&question2=&x", "question_not_chosen"),
        ("&answer3=", "&answer3=a&answer3=", "field_repeated"),
        ("&answer3=", "&answer4=x&answer3=", "field_unknown"),
        ("&answer1=", "&answer1=%00", "field_has_control_characters"),
        ("&answer1=", "&email=x@y.example&answer1=", ""),
    ] {
        let body = good.replacen(replace, with, 1);
        let body = body.trim_start_matches('&');
        let mut visitor = alice.elsewhere();
        let page = sends(&mut visitor, "enroll", body.as_bytes()).await;
        if detail.is_empty() {
            continue;
        }
        assert_eq!((page.code(), page.alerts()), (422, 1), "{body}: {}", page.text());
        let said = app.events().await.into_iter().next_back().unwrap().detail;
        assert!(said == detail || said == "field_unknown", "{body}: {said}");
        assert!(app.enrollment(&app.account("alice").await.key).await.is_none(), "{body}");
    }
}

#[tokio::test]
async fn odd_cookies_and_addresses_are_harmless() {
    let (_app, mut visitor) = TestApp::new().with_user("alice").await;
    for cookie in
        ["", "x", "=", "__Host-regain", "__Host-regain==", "__Host-regain=\u{e4}", &"c".repeat(9000)]
    {
        let page = visitor.elsewhere().call(Method::GET, "/reset", &[("cookie", cookie)], Vec::new()).await;
        assert_eq!((page.code(), page.step().as_str()), (200, "identify"));
    }
    for target in [
        "/?cmd=reset&cmd=unlock",
        "/?cmd=%ff",
        "/?%",
        "/reset?username=%ff&domain=%",
        "/reset?username=a%0d%0aSet-Cookie:%20x=y",
        "/?cmd=reset&username=a%0d%0aX:%20y",
        "/?lang=%00",
        "/reset?lang=../../etc/passwd",
        "/reset?lang=de%0d%0a",
        "/pwreset/apr.dll?cmd=reset&username=a%0d%0aX:y",
        "/assets/..%2f..%2fCargo.toml",
        "/reset?&&&===",
    ] {
        let page = visitor.elsewhere().open(target).await;
        assert!([200, 404].contains(&page.code()), "{target}: {}", page.code());
        assert_eq!(page.header("x"), "");
    }
    let page = visitor.get("/?cmd=reset&username=a%0d%0aX:%20y").await;
    assert_eq!(page.location().unwrap().matches(['\r', '\n']).count(), 0);
}
