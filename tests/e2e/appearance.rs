//! How the pages look, in a real browser: looked at while it is typed, saved, and seen by everybody.

use std::{fs, net::TcpListener, time::Duration};

use fantoccini::Locator;
use serde_json::json;
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

const PATH: &str = "/admin/settings/appearance";
/// A dark logo with its name in it, and a script that must never run.
const LOGO: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 200 48' onload='parent.document.title=1'>\
    <script>parent.document.title = 1</script><circle cx='24' cy='24' r='20' fill='#003399'/>\
    <path d='M16 24l6 6 11-12' fill='none' stroke='#fff' stroke-width='4'/>\
    <text x='54' y='33' font-family='sans-serif' font-size='27' font-weight='700' fill='#1a2324'>Acme Corp</text></svg>";

/// Waits until a script gives that.
async fn gives(browser: &Browser, script: &str, expected: &str) {
    let began = Instant::now();
    loop {
        let given = browser
            .execute(
                &format!("try {{ return String({script}) }} catch (error) {{ return String(error) }}"),
                Vec::new(),
            )
            .await
            .unwrap();
        if given.as_str() == Some(expected) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{script} gives {given}, and not {expected}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// What a script gives of the page in a frame, of those in their order.
fn framed(number: usize, inner: &str) -> String {
    format!(
        "(page => page && page.readyState === 'complete' && {inner})(document.querySelectorAll('iframe')[{number}].contentDocument)"
    )
}

fn colour_of(number: usize, selector: &str) -> String {
    framed(number, &format!("getComputedStyle(page.querySelector('{selector}')).backgroundColor"))
}

async fn picture_at(browser: &Browser, name: &str, size: (u32, u32), dark: bool) {
    browser.resize(size).await;
    browser.prefer_dark(dark).await;
    sleep(Duration::from_millis(300)).await;
    browser.picture(name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_look_is_seen_while_it_is_typed_and_by_everybody_once_it_is_saved() {
    let server = Server::with(&[Domain::shared()], QUICK).await;
    let browser = Browser::open().await;
    let key = sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    browser.goto(&server.url(PATH)).await.unwrap();
    gives(&browser, &colour_of(2, ".button"), "rgb(11, 93, 87)").await;
    gives(&browser, &colour_of(3, ".button"), "rgb(116, 207, 193)").await;
    browser.photograph("appearance").await;
    picture_at(&browser, "appearance-large", (1600, 1000), false).await;

    // Nothing is sent by hand: the frames follow the typing.
    browser.fill("appearance.accent", "#ffcc00").await;
    gives(&browser, "(document.getElementById('appearance.accent-error') || '').textContent || ''", "Accent: \"#ffcc00\" has a contrast of 1.34:1 on the light pages; 4.5:1 is the least that can be read well. #846a00 would do").await;
    browser.picture("appearance-contrast").await;
    browser.fill("appearance.accent", "#003399").await;
    gives(&browser, &colour_of(2, ".button"), "rgb(0, 51, 153)").await;
    gives(&browser, "String(document.getElementById('appearance.accent-error'))", "null").await;
    browser.fill("general.product_name", "Acme Passwords").await;
    gives(&browser, &framed(0, "page.querySelector('.brand').textContent.trim()"), "Acme Passwords").await;
    let file = server.file("logo.svg");
    fs::write(&file, LOGO).unwrap();
    let input = browser.find(Locator::Css("[name='appearance.logo.file']")).await.unwrap();
    input.send_keys(file.to_str().unwrap()).await.unwrap();
    for frame in 0..4 {
        gives(&browser, &framed(frame, "page.querySelector('img.logo').naturalWidth > 0"), "true").await;
    }
    browser.click("[name='appearance.logo_with_name']").await;
    gives(&browser, &framed(1, "page.querySelector('img.logo').alt"), "Acme Passwords").await;
    browser.click("[name='appearance.logo_plate']").await;
    gives(
        &browser,
        &framed(1, "getComputedStyle(page.querySelector('img.logo')).backgroundColor"),
        "rgb(255, 255, 255)",
    )
    .await;
    browser.fill("general.help_desk", "4444, weekdays 8 to 18").await;
    browser.fill("appearance.css", ".card-title { letter-spacing: 1px; }").await;
    gives(&browser, &framed(0, "getComputedStyle(page.querySelector('.card-title')).letterSpacing"), "1px")
        .await;
    picture_at(&browser, "appearance-draft-large", (1600, 1000), false).await;
    picture_at(&browser, "appearance-draft-dark", (1600, 1000), true).await;
    browser.photograph("appearance-draft").await;
    // What is in a frame does nothing, and nothing was saved.
    let place = "document.querySelector('iframe').getBoundingClientRect()";
    browser.execute("document.querySelector('iframe').scrollIntoView()", Vec::new()).await.unwrap();
    gives(&browser, &format!("{place}.width > 200"), "true").await;
    browser.click("iframe").await;
    gives(&browser, &framed(0, "page.location.pathname"), "/admin/appearance/menu-light").await;
    let menu = server.visitor().get("/").await;
    assert!(
        !menu.text().contains("Acme") && !String::from_utf8_lossy(&menu.body).contains("/appearance/"),
        "{}",
        menu.text()
    );

    browser.follow(".panel-page .button").await;
    assert!(browser.says("[role=status]").await.contains("Saved"));
    browser.photograph("appearance-saved").await;
    for (path, name) in [("/", "look-menu"), ("/reset", "look-form")] {
        browser.goto(&server.url(path)).await.unwrap();
        gives(&browser, "document.querySelector('img.logo').naturalWidth > 0", "true").await;
        browser.photograph(name).await;
        picture_at(&browser, &format!("{name}-dark"), (1280, 800), true).await;
        browser
            .devtools(
                "Emulation.setEmulatedMedia",
                json!({ "features": [{ "name": "forced-colors", "value": "active" }] }),
            )
            .await;
        browser.picture(&format!("{name}-forced")).await;
        browser.prefer_dark(false).await;
    }
    assert_eq!(browser.title().await.unwrap(), "Reset password – Acme Passwords");
    gives(&browser, "getComputedStyle(document.querySelector('.button')).backgroundColor", "rgb(0, 51, 153)")
        .await;

    // Without scripts a button does what typing does.
    let plain = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    signs_in(&plain, &server, ("admin", PASSWORD), "-").await;
    plain.fill("code", &one_time_code(&key, 30)).await;
    plain.follow(".button").await;
    is_titled(&plain, "Overview").await;
    plain.goto(&server.url(PATH)).await.unwrap();
    plain.fill("appearance.accent", "#7a1040").await;
    plain.follow("[value=preview]").await;
    assert!(plain.says(".panel-page").await.contains("Not saved yet"));
    plain.photograph("appearance-plain").await;
    plain.enter_frame(2).await.unwrap();
    let button = plain.find(Locator::Css(".button")).await.unwrap();
    assert_eq!(button.css_value("background-color").await.unwrap(), "rgba(122, 16, 64, 1)");
    plain.enter_parent_frame().await.unwrap();
    plain.follow(".panel-page .actions .button").await;
    assert!(plain.says("[role=status]").await.contains("Saved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_style_sheet_of_ones_own_loads_nothing_from_elsewhere() {
    let server = Server::with(&[Domain::shared()], QUICK).await;
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let far =
        |name: &str| format!("http:\\2f\\2f 127.0.0.1:{}/{name}", elsewhere.local_addr().unwrap().port());
    // Written so that the panel doesn't see it: the browser does.
    let sheet = format!(
        "@im\\70ort \"{}\"; @font-face {{ font-family: far; src: u\\72l(\"{}\"); }} \
         body {{ background-image: u\\72l(\"{}\"); font-family: far, sans-serif; }} \
         .card {{ cursor: u\\72l(\"{}\"), auto; }} .card-title {{ letter-spacing: 3px; }}",
        far("a.css"),
        far("b.woff2"),
        far("c.png"),
        far("d.cur"),
    );
    browser.goto(&server.url(PATH)).await.unwrap();
    browser.fill("appearance.css", &sheet).await;
    browser.follow(".panel-page .button").await;
    assert!(browser.says("[role=status]").await.contains("Saved"));
    browser.goto(&server.url("/")).await.unwrap();
    gives(&browser, "getComputedStyle(document.querySelector('.card-title')).letterSpacing", "3px").await;
    let image = "getComputedStyle(document.body).backgroundImage.includes('/c.png')";
    gives(&browser, image, "true").await;
    sleep(Duration::from_secs(1)).await;
    let asked = elsewhere.accept();
    assert!(asked.is_err(), "{asked:?}");
    // The panel is as it was.
    browser.goto(&server.url(PATH)).await.unwrap();
    gives(&browser, image, "false").await;
}
