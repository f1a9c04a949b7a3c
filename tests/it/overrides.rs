//! Templates, texts and assets of the operator's, laid over the embedded ones (R9.1).

use regain::{
    domain::message::Message,
    testing::{TestApp, Visitor},
};

use crate::admin::{is_at, sets_up};

const MENU: &str = "{% extends \"base.html\" %}{% block main %}<h1>Our menu</h1>{% for item in items %}\
                    <a href=\"{{ item.href }}\">{{ t(\"menu.\" ~ item.flow ~ \".title\") }}</a>{% endfor %}{% endblock %}";

async fn root(app: &TestApp) -> Visitor {
    let mut visitor = app.visitor("root");
    sets_up(app, &mut visitor).await;
    visitor
}

#[tokio::test]
async fn what_is_in_the_folder_is_seen_without_a_restart() {
    let app = TestApp::new().with_overrides(&[]).start().await;
    let mut alice = app.visitor("alice");
    let before = alice.open("/").await;
    assert!(
        !before.text().contains("Our menu") && before.text().contains("Reset password"),
        "{}",
        before.text()
    );
    app.overrides("templates/user/menu.html", MENU);
    let page = alice.open("/").await;
    assert!(page.text().contains("Our menu"), "{}", page.text());
    assert_eq!((page.flow(), page.step()), ("menu".to_owned(), "menu".to_owned()));
    app.overrides("i18n/en.toml", "[menu.reset]\ntitle = \"Forgot your <password>?\"\n");
    let page = alice.open("/").await;
    assert!(page.html.contains("Forgot your &lt;password&gt;?"), "{}", page.html);
    assert!(alice.open("/?lang=de").await.text().contains("Kennwort zurücksetzen"));
    app.overrides("assets/regain.css", "body { color: red }");
    let sheet = alice.get("/assets/regain.css").await;
    assert_eq!((sheet.code(), sheet.html.as_str()), (200, "body { color: red }"));
    let page = alice.open("/").await;
    assert_ne!(address(&before.html), address(&page.html), "browsers fetch the new one");
    app.overrides("assets/own.png", "no picture");
    assert_eq!(alice.get("/assets/own.png").await.header("content-type"), "image/png");
    // Nothing else of the folder is served.
    app.overrides("secret.txt", "secret");
    for path in ["/assets/secret.txt", "/assets/..%2fsecret.txt", "/assets/../secret.txt", "/secret.txt"] {
        assert_eq!(alice.get(path).await.code(), 404, "{path}");
    }
}

fn address(html: &str) -> String {
    let html = html.replace("&#x2f;", "/");
    html.split('"').find(|part| part.starts_with("/assets/regain.css?v=")).unwrap().to_owned()
}

#[tokio::test]
async fn what_is_broken_is_told_in_the_panel_and_the_embedded_one_is_served() {
    let app = TestApp::new()
        .with_overrides(&[
            (
                "templates/user/menu.html",
                "{% extends \"base.html\" %}\n{% block main %}{{ page.produkt }}{% endblock %}",
            ),
            ("i18n/de.toml", "[menu.reset]\ntitle = \"Neues Kennwort\"\nlead = \"Für {name}\"\n"),
        ])
        .start()
        .await;
    let mut visitor = root(&app).await;
    let page = visitor.open("/admin/overrides").await;
    is_at(&page, 200, "What can’t be used");
    let text = page.text();
    assert!(
        text.contains("templates/user/menu.html:2") && text.contains("there is no page.produkt in it"),
        "{text}"
    );
    assert!(text.contains("i18n/de.toml:3"), "{text}");
    assert!(page.html.contains("has faults"), "{}", page.html);
    is_at(&visitor.open("/admin").await, 200, "2 faults");
    let mut alice = app.visitor("alice");
    assert!(alice.open("/?lang=de").await.text().contains("Neues Kennwort"));
    // Mended, it is as if it had never been.
    app.overrides("templates/user/menu.html", MENU);
    app.overrides("i18n/de.toml", "[menu.reset]\ntitle = \"Neues Kennwort\"\n");
    let text = visitor.open("/admin/overrides").await.text();
    assert!(!text.contains("What can’t be used") && text.contains("laid over Regain’s"), "{text}");
    assert!(!visitor.open("/admin").await.text().contains("fault"));
}

#[tokio::test]
async fn a_page_that_fails_while_it_is_drawn_is_the_embedded_one_and_told_once() {
    let own = MENU.replace("{{ item.href }}", "{{ item.adress }}");
    let (app, mut alice) =
        TestApp::new().with_overrides(&[("templates/user/menu.html", &own)]).with_user("alice").await;
    for _ in 0..3 {
        // With a name it is drawn anew each time.
        let page = alice.open("/?username=alice").await;
        is_at(&page, 200, "Reset password");
        assert!(!page.text().contains("Our menu"));
    }
    let mut visitor = root(&app).await;
    let text = visitor.open("/admin/overrides").await.text();
    assert_eq!(text.matches("undefined value").count(), 1, "{text}");
    assert!(text.contains("templates/user/menu.html:1"), "{text}");
}

#[tokio::test]
async fn a_mail_is_written_with_the_operators_template_of_its_language() {
    let files = [
        ("templates/messages/enroll/body.txt.de", "Willkommen, [AD_USER]! {{ product }}"),
        (
            "templates/messages/enroll/subject.txt",
            "Ours: {{ t(\"message.enroll.subject\", product=product) }}",
        ),
        ("templates/messages/enroll/body.html", "{% for x in [1] %}{{ x.nothing }}{% endfor %}"),
    ];
    let (app, mut alice) = TestApp::new().with_overrides(&files).with_user("alice").await;
    alice.open("/?lang=de").await;
    alice.enrolls().await;
    let sent = app.sent().await;
    let Some(Message::Mail(mail)) = sent.first() else { panic!("{sent:?}") };
    assert!(mail.text.starts_with("Willkommen, alice! Regain"), "{}", mail.text);
    assert!(mail.subject.starts_with("Ours: "), "{}", mail.subject);
    // What can't be drawn leaves the embedded one, and no mail is lost.
    assert!(mail.html.as_ref().is_some_and(|html| html.contains("alice")), "{:?}", mail.html);
    let faults = app.site().renderer.overrides().unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[tokio::test]
async fn a_mail_that_gets_too_long_by_a_template_goes_out_without_it() {
    let long = "x".repeat(17 * 1024);
    let files = [("templates/messages/enroll/body.html", long.as_str())];
    let (app, mut alice) = TestApp::new().with_overrides(&files).with_user("alice").await;
    alice.enrolls().await;
    let sent = app.sent().await;
    let Some(Message::Mail(mail)) = sent.first() else { panic!("{sent:?}") };
    assert!(mail.html.as_ref().is_some_and(|html| html.contains("alice")));
    let faults = app.site().renderer.overrides().unwrap().faults;
    assert!(
        faults[0].to_string().contains("enroll/body.html: a mail with it is longer than 16 KiB"),
        "{faults:?}"
    );
}

#[tokio::test]
async fn a_language_of_the_operators_is_offered_and_what_it_lacks_is_told() {
    let swedish = "[language]\nname = \"Svenska\"\n[menu.reset]\ntitle = \"Återställ lösenord\"\n";
    let (app, mut alice) =
        TestApp::new().with_overrides(&[("i18n/sv.toml", swedish)]).with_user("alice").await;
    let page = alice.open("/").await;
    assert!(page.html.contains("Svenska"), "{}", page.html);
    let page = alice.open("/?lang=sv").await;
    assert!(page.html.contains("lang=\"sv\"") && page.text().contains("Återställ lösenord"), "{}", page.html);
    assert!(page.text().contains("Unlock account"), "the rest is said in English");
    // The panel doesn't speak it.
    let mut visitor = root(&app).await;
    let page = visitor.open("/admin/overrides?lang=sv").await;
    is_at(&page, 200, "Texts that are said in English");
    assert!(page.text().contains("menu.unlock.title") && !page.text().contains("menu.reset.title,"));
    alice.enrolls().await;
    assert!(!app.sent().await.is_empty(), "mails go out in it");
}
