//! The pages in the small browser of a logon screen (`?client=logon`): they lead nowhere else, and ask for nothing that such
//! a browser can't do (R1.6, R1.7).

use regain::testing::{Page, TestApp};

/// What a page of a logon screen has, and what it must not have.
fn is_for_logon(page: &Page) {
    assert!(page.html.contains("data-client=\"logon\""), "{}", page.text());
    let html = page.html.replace("&#x2f;", "/");
    for href in html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(href.starts_with(['/', '#', '?']) && !href.starts_with("//"), "{href}");
        assert!(!href.starts_with("/demo"), "{href}");
    }
    for foreign in
        ["target=", " download", "type=\"file\"", "otpauth:", "window.open", "mailto:", "use-passkey"]
    {
        assert!(!page.html.contains(foreign), "{foreign}: {}", page.html);
    }
}

#[tokio::test]
async fn a_logon_screen_stays_one_from_the_first_page_to_the_last() {
    let (_app, mut alice) = TestApp::new()
        .as_demo()
        .with_settings(|settings| settings.general.footer = "https://intranet.example".into())
        .with_user("alice")
        .await;
    alice.enrolls().await;
    let mut visitor = alice.elsewhere();
    let page = visitor.open("/pwreset/apr.dll?cmd=reset&username=alice&domain=DEMO&client=logon").await;
    assert_eq!(page.step(), "identify", "{}", page.text());
    assert_eq!(page.value("username").as_deref(), Some("alice"));
    is_for_logon(&page);
    let mut page = visitor.submit(&[("username", "alice"), ("domain", "DEMO")]).await;
    while page.step() == "question" {
        is_for_logon(&page);
        let answer = visitor.right_answer();
        page = visitor.answers(&answer).await;
    }
    is_for_logon(&page);
    page = visitor.submit(&[("new_password", "short"), ("confirm_password", "short")]).await;
    assert_eq!(page.code(), 422);
    is_for_logon(&page);
    let new = "Battery-Staple-2";
    page = visitor.submit(&[("new_password", new), ("confirm_password", new)]).await;
    assert_eq!(page.step(), "finished");
    is_for_logon(&page);
    let menu = visitor.open("/").await;
    is_for_logon(&menu);
    assert!(menu.links().iter().any(|link| link.starts_with("/unlock")), "{:?}", menu.links());
    assert!(!menu.links().iter().any(|link| link.starts_with("/enroll")), "nobody can enroll there");
    is_for_logon(&visitor.open("/nothing").await);
    // Until it says otherwise; another browser never was one.
    let page = visitor.open("/?client=web").await;
    assert!(
        !page.html.contains("data-client") && page.text().contains("intranet.example"),
        "{}",
        page.text()
    );
    assert!(!visitor.open("/").await.html.contains("data-client"));
    assert!(!alice.elsewhere().open("/").await.html.contains("data-client"));
}
