//! The data console in a real browser: with the keyboard alone, without script, and live.

use std::time::Duration;

use fantoccini::{Locator, key::Key};
use tokio::time::{Instant, sleep};

use super::{
    panel::{PASSWORD, is_titled, link_in, sets_up, signs_in},
    support::{
        browser::{Browser, Looks},
        domain::Domain,
        person::one_time_code,
        server::{QUICK, Server},
    },
};

/// What has the focus types that; the page may change under it.
async fn presses(browser: &Browser, keys: &str) {
    browser.active_element().await.unwrap().send_keys(keys).await.unwrap();
}

/// Goes on with the tabulator until what has the focus has that in the attribute.
async fn tabs_to(browser: &Browser, attribute: &str, value: &str) {
    for _ in 0..80 {
        presses(browser, &char::from(Key::Tab).to_string()).await;
        let focused = browser.active_element().await.unwrap();
        if focused.attr(attribute).await.unwrap().is_some_and(|found| found.starts_with(value)) {
            return;
        }
    }
    panic!("{attribute}={value} can't be reached with the keyboard");
}

/// Waits until the page says that.
pub(super) async fn tells(browser: &Browser, selector: &str, text: &str) {
    let began = Instant::now();
    loop {
        let found = match browser.find(Locator::Css(selector)).await {
            Ok(found) => found.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        if found.contains(text) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{selector} says {found}, not {text}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_used_with_the_keyboard_without_script_and_live() {
    let domain = Domain::shared();
    let server = Server::with(&[domain], QUICK).await;
    let mut people = Vec::new();
    for _ in 0..3 {
        let user = domain.someone().await;
        server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
        people.push(user);
    }
    server.visitor().resets(&people[0].name, "CORP", "A-Fresh-0ne!").await.is_finished("reset");
    let browser = Browser::open().await;
    let key = sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    // Everybody in the directory is looked at: three of those who may have enrolled.
    browser.goto(&server.url("/admin/coverage")).await.unwrap();
    browser.follow(".panel-page .button").await;
    tells(&browser, "tbody", "corp.example").await;
    assert_eq!(browser.says("tbody td:nth-of-type(2)").await, "3");
    browser.photograph("console-coverage").await;
    browser.goto(&server.url("/admin")).await.unwrap();
    tells(&browser, ".figures", "3 of ").await;
    browser.photograph("console-overview").await;
    browser.goto(&server.url("/admin/events")).await.unwrap();
    is_titled(&browser, "Events").await;
    browser.photograph("console-events").await;

    // The keyboard alone: a filter, an order, a custom filter.
    tabs_to(&browser, "name", "f.user").await;
    let enter = char::from(Key::Enter);
    presses(&browser, &format!("{}{enter}", people[0].name)).await;
    tells(&browser, ".said", &people[0].name).await;
    tabs_to(&browser, "href", "/admin/events?q=").await;
    browser.goto(&server.url("/admin/users")).await.unwrap();
    browser.photograph("console-users").await;
    tabs_to(&browser, "href", "/admin/users/filter").await;
    presses(&browser, &enter.to_string()).await;
    tells(&browser, "h1", "Filter editor").await;
    tabs_to(&browser, "value", "add n").await;
    presses(&browser, &enter.to_string()).await;
    tells(&browser, ".editor", "User").await;
    // What comes next has the focus, once the page is drawn.
    tells(&browser, ".editor :focus[name='n.0.test']", "").await;
    presses(&browser, &format!("{}{}{enter}", char::from(Key::Tab), "")).await;
    tells(&browser, "[role=alert]", "Type a value").await;
    browser.fill("n.0.value", &people[1].name).await;
    browser.follow("[value='group n']").await;
    browser.follow("[value='add n.1']").await;
    browser.fill("n.1.0.value", "x").await;
    browser.photograph("console-editor").await;
    browser.follow("[value='remove n.1']").await;
    browser.follow(".actions .button").await;
    tells(&browser, ".counts", "1 fit, of 3").await;

    // A story, with what can be done.
    browser.follow("td.cell-user a").await;
    browser.photograph("console-story").await;
    for (page, name) in [
        ("/admin/users?view=columns", "console-columns"),
        ("/admin/users?view=column&of=enrolled", "console-custom"),
        ("/admin?days=90&lang=de", "console-overview-90"),
        ("/admin/events?lang=en&q=user", "console-wrong"),
    ] {
        browser.goto(&server.url(page)).await.unwrap();
        browser.photograph(name).await;
    }

    // Live: what happens comes in by itself.
    browser.goto(&server.url("/admin/events?live=1")).await.unwrap();
    let rows = browser.find_all(Locator::Css("tbody tr")).await.unwrap().len();
    // Without script: the same, by forms and pages.
    let plain = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    signs_in(&plain, &server, ("admin", PASSWORD), "-").await;
    plain.fill("code", &one_time_code(&key, 30)).await;
    plain.follow(".button").await;
    is_titled(&plain, "Overview").await;
    let began = Instant::now();
    while browser.find_all(Locator::Css("tbody tr")).await.unwrap().len() <= rows {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing comes in");
        sleep(Duration::from_millis(100)).await;
    }
    browser.photograph("console-live").await;
    plain.goto(&server.url("/admin/users")).await.unwrap();
    plain.fill("f.user", &people[2].name).await;
    plain.follow(".row-apply button").await;
    tells(&plain, ".counts", "1 fit, of 3").await;
    plain.click("tbody input[type=checkbox]").await;
    plain.follow(".picked button").await;
    tells(&plain, "h1", "Delete enrollments: 1").await;
    plain.photograph("console-delete").await;
    plain.follow(".button-danger").await;
    tells(&plain, ".nothing", "No row fits").await;
}
