//! The API of the program that is shipped, on a listener of its own, and its pages in a browser (R8).

use std::net::{Ipv4Addr, TcpListener};

use super::{
    panel::{link_in, sets_up},
    support::{
        browser::Browser,
        domain::{DNS, Domain},
        http::Visitor,
        server::{QUICK, Server},
    },
};

const ON: &str = "[settings.api]\nenrollments = true\ntokens = true\n";

/// A server whose API is listened for at a port of its own.
async fn apart() -> (Server, u16) {
    let mut server = Server::prepared(&[Domain::shared()], &format!("{QUICK}{ON}"));
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    server.configure("listen_http = []", &format!("listen_http = []\nlisten_api = [\"127.0.0.1:{port}\"]"));
    server.restart().await;
    (server, port)
}

/// Asks for a path with a token.
async fn asks(program: &mut Visitor, method: &str, path: &str, token: &str) -> (u16, String) {
    let authorization = format!("Bearer {token}");
    let page = program.request(method, path, &[("Authorization", &authorization)], b"").await;
    (page.status, page.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_on_its_own_listener_and_there_only() {
    let domain = Domain::shared();
    let (server, port) = apart().await;
    let (user, other) = (domain.someone().await, domain.someone().await);
    let name = user.name.as_str();
    server.visitor().enrolls(name, "CORP", &user.password).await.is_finished("enroll");
    let mut program = Visitor::new(port);
    for before in ["", "/pwreset/apr.dll"] {
        for who in [format!("CORP/{name}"), format!("{DNS}/{name}"), format!("upn/{name}@{DNS}")] {
            let path = format!("{before}/api/enrollments/{who}");
            let page = program.get(&path).await;
            assert_eq!((page.status, page.text().as_str()), (200, "{\"isEnrolled\":true}"), "{path}");
            assert_eq!(page.header("cache-control"), Some("private, max-age=1209600"));
            let head = program.request("HEAD", &path, &[], b"").await;
            assert_eq!((head.status, head.body.len()), (200, 0));
            assert_eq!(server.visitor().get(&path).await.status, 404, "{path} among the pages");
        }
        for who in [format!("CORP/{}", other.name), "CORP/nobody".to_owned(), format!("upn/nobody@{DNS}")] {
            let page = program.get(&format!("{before}/api/enrollments/{who}")).await;
            assert_eq!((page.status, page.text().as_str()), (200, "{\"isEnrolled\":false}"), "{who}");
            assert_eq!(page.header("cache-control"), Some("no-store"));
        }
    }
    assert_eq!(program.get("/api/enrollments/CORP/%ff").await.status, 400);
    // Nothing else is there.
    for path in
        ["/", "/reset", "/admin", "/admin/sign-in", "/healthz", "/readyz", "/pwreset/", "/pwreset/apr.dll"]
    {
        assert_eq!(program.get(path).await.status, 404, "{path}");
    }
    assert_eq!(program.get("/api").await.status, 200);
    let strange =
        program.raw(b"GET /api HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(strange.starts_with(b"HTTP/1.1 421"));
    assert_eq!(program.certificate().await, server.visitor().certificate().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_the_panel_lets_a_program_help_users() {
    let domain = Domain::shared();
    let server = Server::with(&[domain], &format!("{QUICK}{ON}")).await;
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).expect("a link on the console")).await;
    browser.goto(&server.url("/admin/api")).await.unwrap();
    browser.photograph("admin-tokens-none").await;
    browser.follow(".panel-page .button").await;
    browser.photograph("admin-tokens-wrong").await;
    browser.fill("name", "Help desk").await;
    for scope in ["users:read", "users:write", "events:read"] {
        browser.click(&format!("[name='scope.{scope}']")).await;
    }
    browser.follow(".panel-page .button").await;
    let token = browser.says("code.link").await;
    assert!(token.starts_with("regain_"), "{token}");
    browser.photograph("admin-tokens").await;
    browser.goto(&server.url("/api")).await.unwrap();
    browser.photograph("api").await;
    browser.click(".operation summary").await;
    browser.photograph("api-open").await;
    browser.goto(&server.url("/admin/settings/api")).await.unwrap();
    browser.photograph("admin-tab-api").await;

    let mut program = server.visitor();
    let of_user = format!("/api/v1/users/CORP/{}", user.name);
    let (status, text) = asks(&mut program, "GET", &of_user, &token).await;
    assert!(status == 200 && text.contains(&user.guid.to_string()), "{text}");
    let mut stranger = server.visitor();
    let mut page = stranger.begins("reset", &user.name, "CORP").await;
    for number in 0..5 {
        page = stranger.goes_on(&page, &[("answer", &format!("guess {number}"))]).await;
    }
    let (_, text) = asks(&mut program, "GET", &of_user, &token).await;
    assert!(text.contains("\"isLocked\":true"), "{text}");
    let (_, text) = asks(&mut program, "POST", &format!("{of_user}/clear-lockout"), &token).await;
    assert_eq!(text, "{\"cleared\":true}");
    server.visitor().resets(&user.name, "CORP", "After-The-Lockout-1!").await.is_finished("reset");
    let (status, _) = asks(&mut program, "DELETE", &format!("{of_user}/enrollment"), &token).await;
    assert_eq!(status, 204);
    let (_, text) = asks(&mut program, "GET", "/api/v1/events?limit=500", &token).await;
    for action in ["lockout_cleared", "enrollment_deleted", "token"] {
        assert!(text.contains(&format!("\"action\":\"{action}\"")), "{text}");
    }
    assert!(!text.contains(&token) && !server.log().contains(&token));
}
