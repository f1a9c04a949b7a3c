//! How the pages look (R9.1): logo, colours, lines and menu from the panel; looked at before they are saved.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poem::http::Method;
use regain::{
    directory::demo::SAMPLE_ADMINISTRATORS,
    domain::{audit::Action, logo::Logo},
    testing::{Page, TestApp, Visitor},
};

use crate::admin::{filled, first_signs_in, is_at, saves, sends, sends_all, sets_up, token_of};

const PATH: &str = "/admin/settings/appearance";
const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 80 20' onload='alert(1)'>\
                   <script>alert(2)</script><path d='M0 0h80v20z' fill='#0b5d57'/></svg>";
/// One black pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";

async fn root(app: &TestApp) -> Visitor {
    let mut visitor = app.visitor("root");
    sets_up(app, &mut visitor).await;
    visitor
}

/// Sends the page with a file, as browsers do.
async fn uploads(visitor: &mut Visitor, file: &[u8], more: &[(&str, &str)]) -> Page {
    let page = visitor.open(PATH).await;
    let mut fields = filled(&page, &[]);
    fields.retain(|(known, _)| !more.iter().any(|(name, _)| name == known));
    fields.push(("csrf".into(), token_of(&page, PATH)));
    fields.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--x7\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    body.extend(
        b"--x7\r\nContent-Disposition: form-data; name=\"appearance.logo.file\"; filename=\"l\"\r\n\r\n",
    );
    body.extend(file);
    body.extend(b"\r\n--x7--\r\n");
    let headers = [("content-type", "multipart/form-data; boundary=x7")];
    let page = visitor.call(Method::POST, PATH, &headers, body).await;
    visitor.page = Some(page.clone());
    match page.location().map(str::to_owned) {
        Some(location) => visitor.open(&location).await,
        None => page,
    }
}

/// The address of what a page loads that begins so.
fn loaded(page: &Page, start: &str) -> Option<String> {
    let html = page.html.replace("&#x2f;", "/");
    let rest = html.split("=\"").find(|rest| rest.starts_with(start))?;
    rest.split('"').next().map(str::to_owned)
}

#[tokio::test]
async fn a_logo_is_cleaned_and_shown_on_every_page_but_the_panels() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let mut alice = app.visitor("alice");
    assert_eq!(alice.get("/appearance/logo").await.code(), 404);
    let page = uploads(&mut visitor, SVG.as_bytes(), &[("appearance.logo_plate", "on")]).await;
    is_at(&page, 200, "Saved. It holds from now on.");
    for path in ["/", "/reset", "/nothing"] {
        let page = alice.open(path).await;
        let address = loaded(&page, "/appearance/logo").unwrap_or_else(|| panic!("{path}: {}", page.html));
        assert!(
            page.html.contains("class=\"logo logo-plate\"")
                && page.html.contains("width=\"160\" height=\"40\"")
        );
        assert!(page.text().contains("Regain"), "the name beside it");
        let logo = alice.get(&address).await;
        assert_eq!((logo.code(), logo.header("content-type")), (200, "image/svg+xml"));
        assert_eq!(logo.header("x-content-type-options"), "nosniff");
        assert_eq!(logo.header("cache-control"), "public, max-age=31536000, immutable");
        let policy = logo.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'unsafe-inline'")
                && policy.ends_with("sandbox")
        );
        assert!(logo.html.contains("<path") && !logo.html.contains("alert"), "{}", logo.html);
        assert_eq!(alice.get("/appearance/logo?v=0").await.header("cache-control"), "no-cache");
    }
    for path in [PATH, "/admin", "/admin/sign-in"] {
        assert_eq!(loaded(&visitor.open(path).await, "/appearance/"), None, "{path}");
    }
    // What it was is told by its size only; without a name beside it, the logo has the name.
    let events = app.events().await.into_iter().filter(|event| event.action == Action::Setting);
    let details: Vec<_> = events.map(|event| event.detail).collect();
    assert!(
        details[0].starts_with("appearance.logo: changed, 0 → ") && details[0].ends_with(" bytes"),
        "{details:?}"
    );
    is_at(&saves(&mut visitor, "appearance", &[("appearance.logo_with_name", "")]).await, 200, "Saved");
    assert!(alice.open("/").await.html.contains("alt=\"Regain\""));
    app.restart().await;
    assert!(loaded(&alice.open("/").await, "/appearance/logo").is_some());
    // A PNG in its place, and none.
    let picture = STANDARD.decode(PNG).unwrap();
    is_at(&uploads(&mut visitor, &picture, &[]).await, 200, "Saved");
    let logo = alice.get("/appearance/logo").await;
    assert_eq!((logo.code(), logo.header("content-type")), (200, "image/png"));
    is_at(&uploads(&mut visitor, b"", &[]).await, 200, "Saved");
    assert_eq!(alice.get("/appearance/logo").await.code(), 200, "no file leaves it as it is");
    is_at(&uploads(&mut visitor, b"", &[("appearance.logo.remove", "on")]).await, 200, "Saved");
    assert_eq!(alice.get("/appearance/logo").await.code(), 404);
    assert!(loaded(&alice.open("/").await, "/appearance/").is_none());
}

#[tokio::test]
async fn what_is_no_logo_is_refused_in_words() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let mut damaged = STANDARD.decode(PNG).unwrap();
    damaged[40] ^= 1;
    let large = [
        b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'><path d='",
        &vec![b'0'; 25_000][..],
        b"'/></svg>",
    ];
    let huge = vec![b'x'; 2 * 1024 * 1024];
    for (file, told) in [
        (&b"GIF89a"[..], "no SVG that can be read"),
        (b"\xff\xd8\xff\xe0", "neither a PNG nor an SVG"),
        (&damaged, "a PNG that is damaged"),
        (b"<!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'>&a;</svg>", "entities of its own"),
        (&large.concat(), "has 25 KiB"),
        (&huge, "more than 1024 KiB"),
    ] {
        let page = uploads(&mut visitor, file, &[]).await;
        is_at(&page, 422, told);
        assert!(page.html.contains("id=\"appearance.logo-error\""), "{}", page.text());
    }
    assert_eq!(app.site().services.settings.load().appearance.logo, "");
}

#[tokio::test]
async fn colours_and_a_style_sheet_come_after_regains_own_and_must_be_readable() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let mut alice = app.visitor("alice");
    assert_eq!(loaded(&alice.open("/").await, "/appearance/"), None);
    let page = saves(&mut visitor, "appearance", &[("appearance.accent", "#ffcc00")]).await;
    is_at(&page, 422, "has a contrast of 1.34:1 on the light pages");
    assert!(page.text().contains("#846a00 would do") && page.is_invalid("appearance.accent"));
    assert_eq!(page.value("appearance.accent").as_deref(), Some("#ffcc00"));
    for (key, value, told) in [
        ("appearance.accent_dark", "#0b5d57", "on the dark pages"),
        ("appearance.accent", "red; } body {", "is no colour"),
        ("appearance.css", "@import 'https://evil.example/x.css'", "nothing from elsewhere"),
        ("appearance.css", &"a{}".repeat(6_000), "18000 bytes; 16384 are the most"),
    ] {
        is_at(&saves(&mut visitor, "appearance", &[(key, value)]).await, 422, told);
    }
    let css = ".card { border-width: 2px }\n</style><script>alert(1)</script>";
    let changes = [("appearance.accent", "#003399"), ("appearance.css", css)];
    is_at(&saves(&mut visitor, "appearance", &changes).await, 200, "Saved");
    let page = alice.open("/").await;
    let own = page.html.replace("&#x2f;", "/");
    assert!(own.find("/assets/regain.css").unwrap() < own.find("/appearance/style.css").unwrap());
    let sheet = alice.get(&loaded(&page, "/appearance/style.css").unwrap()).await;
    assert_eq!((sheet.code(), sheet.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(sheet.header("cache-control").contains("immutable"));
    assert!(
        sheet.html.starts_with(":root { --accent: #003399;") && sheet.html.ends_with(css),
        "{}",
        sheet.html
    );
    assert!(sheet.html.contains("prefers-color-scheme: dark"), "a colour for dark pages goes with it");
    assert!(!visitor.open(PATH).await.html.contains("appearance&#x2f;style.css"), "the panel is without it");
    let details: Vec<_> = app.events().await.into_iter().map(|event| event.detail).collect();
    assert!(details.contains(&"appearance.accent: \"\" → \"#003399\"".to_owned()), "{details:?}");
    assert!(details.iter().any(|detail| detail.starts_with("appearance.css: changed, 0 → ")), "{details:?}");
}

#[tokio::test]
async fn what_is_typed_is_looked_at_by_who_typed_it_and_by_nobody_else() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let draft = [
        ("general.product_name", "Acme Reset"),
        ("general.show_change", ""),
        ("general.help_desk", "Call 4444"),
        ("appearance.accent", "#003399"),
        ("action", "preview"),
    ];
    let page = uploads(&mut visitor, SVG.as_bytes(), &draft).await;
    is_at(&page, 200, "Not saved yet");
    assert_eq!(page.value("general.product_name").as_deref(), Some("Acme Reset"));
    assert!(page.header("content-security-policy").contains("frame-src 'self'"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(app.site().services.settings.load().general.product_name, "Regain");
    for view in ["menu-light", "menu-dark", "form-light", "form-dark"] {
        let mut other = visitor.clone();
        let page = other.get(&format!("/admin/appearance/{view}")).await;
        is_at(&page, 200, "Acme Reset");
        assert!(page.text().contains("Call 4444") && !page.text().contains("Change password"));
        assert!(page.html.contains("<body inert>") && !page.html.contains("<script"), "{}", page.html);
        assert!(loaded(&page, "/admin/appearance/logo?v=").is_some());
        assert_eq!(
            (page.header("x-frame-options"), page.header("cache-control")),
            ("SAMEORIGIN", "no-store")
        );
        let policy = page.header("content-security-policy");
        for part in
            ["frame-ancestors 'self'", "form-action 'none'", "default-src 'none'; style-src", "sandbox"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        let scheme = view.split('-').nth(1).unwrap();
        let address = loaded(&page, "/admin/appearance/").unwrap();
        assert!(address.starts_with(&format!("/admin/appearance/{scheme}.css")), "{address}");
        let sheet = other.get(&address).await.html;
        assert!(sheet.contains("--accent: #003399;") && !sheet.contains("prefers-color-scheme"));
        assert!(sheet.contains(&format!("color-scheme: {scheme};")));
    }
    let logo = visitor.clone().get("/admin/appearance/logo").await;
    assert!(logo.code() == 200 && logo.header("content-security-policy").ends_with("sandbox"));
    assert_eq!(visitor.clone().get("/admin/appearance/nothing").await.code(), 404);
    // Of what is wrong the rest is shown.
    let wrong = [("general.footer", "A line"), ("appearance.accent", "#ffcc00"), ("action", "preview")];
    visitor.open(PATH).await;
    let page = uploads(&mut visitor, b"", &wrong).await;
    is_at(&page, 422, "has a contrast of 1.34:1");
    is_at(&visitor.clone().get("/admin/appearance/menu-light").await, 200, "A line");
    // Nobody else sees it, and it is gone when the page is opened anew or the session is over.
    for path in ["/", "/reset"] {
        assert!(!app.visitor("alice").open(path).await.text().contains("A line"));
    }
    assert_eq!(app.visitor("alice").get("/admin/appearance/menu-light").await.code(), 303);
    visitor.open(PATH).await;
    assert!(!visitor.clone().get("/admin/appearance/menu-light").await.text().contains("A line"));
}

#[tokio::test]
async fn the_draft_of_one_administrator_is_not_anothers() {
    let app = TestApp::new()
        .with_settings(|settings| settings.admin.administrators = vec![SAMPLE_ADMINISTRATORS.into()])
        .start()
        .await;
    let mut one = root(&app).await;
    let (mut other, ..) = first_signs_in(&app).await;
    let typed = |footer: &'static str| [("general.footer", footer), ("action", "preview")];
    uploads(&mut one, b"", &typed("typed by one")).await;
    uploads(&mut other, b"", &typed("typed by another")).await;
    is_at(&one.get("/admin/appearance/menu-light").await, 200, "typed by one");
    is_at(&other.get("/admin/appearance/menu-light").await, 200, "typed by another");
    // Who saves while another has saved is told so.
    let opened = one.open(PATH).await;
    is_at(&saves(&mut other, "appearance", &[("general.footer", "saved")]).await, 200, "Saved");
    let fields = filled(&opened, &[("appearance.accent", "#003399")]);
    one.page = Some(opened);
    let page = sends_all(&mut one, PATH, &fields).await;
    is_at(&page, 422, "Somebody else has changed settings");
    assert_eq!(page.value("appearance.accent").as_deref(), Some("#003399"));
    let again = filled(&page, &[("appearance.accent", "#003399")]);
    is_at(&sends_all(&mut one, PATH, &again).await, 200, "Saved");
    let settings = app.site().services.settings.load_full();
    assert_eq!((settings.general.footer.as_str(), settings.appearance.accent.as_str()), ("saved", "#003399"));
}

#[tokio::test]
async fn others_than_administrators_change_nothing_of_it() {
    let app = TestApp::new()
        .with_settings(|settings| settings.admin.auditors = vec![SAMPLE_ADMINISTRATORS.into()])
        .start()
        .await;
    let (mut visitor, ..) = first_signs_in(&app).await;
    let page = visitor.open(PATH).await;
    is_at(&page, 200, "Accent");
    assert!(!page.html.contains("value=\"preview\"") && !page.html.contains("type=\"file\""));
    let fields = [("appearance.accent.was", ""), ("appearance.accent", "#003399"), ("action", "preview")];
    is_at(&sends(&mut visitor, PATH, &fields).await, 403, "Not for this account");
    assert_eq!(app.site().services.settings.load().appearance.accent, "");
    is_at(&visitor.get("/admin/appearance/menu-dark").await, 200, "Regain");
}

#[tokio::test]
async fn the_menu_keeps_one_item_and_what_is_fixed_stays() {
    let logo = Logo::read(SVG.as_bytes()).unwrap().text();
    let fixed = format!("appearance.logo = '''{logo}'''\ngeneral.help_desk = 'fixed'");
    let app = TestApp::new().with_fixed(&fixed).start().await;
    let mut visitor = root(&app).await;
    let items = ["enroll", "reset", "unlock", "change"].map(|item| format!("general.show_{item}"));
    let none: Vec<_> = items.iter().map(|key| (key.as_str(), "")).collect();
    is_at(&saves(&mut visitor, "appearance", &none).await, 422, "then the menu is empty");
    is_at(&saves(&mut visitor, "appearance", &none[1..]).await, 200, "Saved");
    let page = app.visitor("alice").open("/").await;
    assert!(page.links().contains(&"/enroll".to_owned()) && !page.links().contains(&"/reset".to_owned()));
    assert!(loaded(&page, "/appearance/logo").is_some());
    let page = visitor.open(PATH).await;
    assert!(
        !page.html.contains("type=\"file\"")
            && page.text().matches("Fixed by the configuration").count() == 2
    );
    // General has what is left of it, once.
    let general = visitor.open("/admin/settings/general").await;
    assert!(general.value("general.language.was").is_some() && general.value("general.footer.was").is_none());
    let hit = visitor.open("/admin/search?q=help+desk+line").await;
    assert!(
        hit.html.replace("&#x2f;", "/").contains("/admin/settings/appearance#general.help_desk"),
        "{}",
        hit.html
    );
}

#[tokio::test]
async fn a_look_goes_along_with_the_settings_to_another_appliance() {
    let app = TestApp::new().start().await;
    let mut visitor = root(&app).await;
    let css = "/* … */ .card { content: \"\\201C\" }\n";
    is_at(
        &uploads(&mut visitor, SVG.as_bytes(), &[("appearance.css", css), ("appearance.accent", "#003399")])
            .await,
        200,
        "Saved",
    );
    visitor.open("/admin/transfer").await;
    let fields = [("passphrase", ""), ("confirm_passphrase", ""), ("action", "export")];
    let file = sends(&mut visitor, "/admin/transfer", &fields).await.html;
    let other = TestApp::new().start().await;
    let mut there = root(&other).await;
    there.open("/admin/transfer").await;
    let page =
        sends(&mut there, "/admin/transfer", &[("text", &file), ("file_passphrase", ""), ("action", "look")])
            .await;
    is_at(&page, 200, "appearance.logo: changed, 0 → ");
    let plan = page.value("plan").unwrap_or_default();
    let page = sends(&mut there, "/admin/transfer", &[("plan", &plan), ("action", "apply")]).await;
    assert_eq!(page.code(), 200, "{}", page.text());
    let [here, there] = [&app, &other].map(|app| app.site().services.settings.load_full());
    assert!(!here.appearance.logo.is_empty() && here.appearance.logo == there.appearance.logo);
    assert_eq!(
        (&there.appearance.css, &there.appearance.accent),
        (&here.appearance.css, &here.appearance.accent)
    );
}
