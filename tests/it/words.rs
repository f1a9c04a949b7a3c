//! Every text in every language, and every page drawn with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use regain::{
    directory::demo::SAMPLE_PASSWORD,
    domain::certificate::Cause,
    render::{self, plural},
    settings::Order,
    testing::{Device, DirectoryMood, OneTimeCodes, Page, StoreMood, TestApp, Visitor},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The texts in a folder, by language, the reference first.
fn texts_in(folder: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut languages = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let table: toml::Table = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut flat = BTreeMap::new();
        flatten("", &table, &mut flat);
        languages.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), flat));
    }
    languages.sort_by_key(|(code, _)| (code != "en", code.clone()));
    assert!(languages.len() >= 2 && languages[0].0 == "en");
    languages
}

/// The texts of the pages and messages in each language.
fn texts() -> Vec<(String, BTreeMap<String, String>)> {
    texts_in("ui/i18n")
}

/// All texts there are in English.
fn reference() -> BTreeMap<String, String> {
    let (_, mut all) = texts().swap_remove(0);
    all.extend(texts_in("ui/i18n/panel").swap_remove(0).1);
    all
}

/// Whether there is a text of that key, perhaps with a form for each plural.
fn has(texts: &BTreeMap<String, String>, key: &str) -> bool {
    texts.contains_key(key) || plural::FORMS.iter().any(|form| texts.contains_key(&format!("{key}.{form}")))
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, flat),
            toml::Value::String(text) => {
                assert!(!text.trim().is_empty(), "{key} is empty");
                flat.insert(key, text.clone());
            }
            other => panic!("{key}: {other:?}"),
        }
    }
}

fn placeholders(text: &str) -> Vec<&str> {
    let mut found: Vec<_> =
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    found.sort_unstable();
    found
}

#[test]
fn each_cause_of_trouble_with_a_certificate_says_what_to_do() {
    let reference = reference();
    for cause in Cause::ALL {
        assert!(reference.contains_key(&format!("admin.acme.cause.{}", cause.as_str())), "{cause:?}");
    }
}

/// The key without the plural form behind it, and that form.
fn parted<'a>(key: &'a str, texts: &BTreeMap<String, String>) -> (&'a str, Option<&'a str>) {
    match key.rsplit_once('.') {
        Some((stem, form))
            if plural::FORMS.contains(&form) && texts.contains_key(&format!("{stem}.other")) =>
        {
            (stem, Some(form))
        }
        _ => (key, None),
    }
}

#[test]
fn every_language_has_all_texts_with_their_placeholders_and_plurals() {
    assert_eq!(texts().len(), 12);
    for folder in ["ui/i18n", "ui/i18n/panel"] {
        let languages = texts_in(folder);
        let (_, reference) = &languages[0];
        for (language, texts) in &languages[1..] {
            let mut wanted = BTreeSet::new();
            for (key, text) in reference {
                let (stem, form) = parted(key, reference);
                let Some(form) = form else {
                    let Some(other) = texts.get(key) else { panic!("{language} has no {key}") };
                    assert_eq!(placeholders(text), placeholders(other), "{language} {key}");
                    wanted.insert(key.clone());
                    continue;
                };
                if form != "other" {
                    continue;
                }
                for form in plural::forms(language) {
                    let key = format!("{stem}.{form}");
                    let Some(other) = texts.get(&key) else { panic!("{language} has no {key}") };
                    let all = placeholders(text);
                    // A form for one number may say it in words.
                    let counts = |name: &&str| !render::COUNTED.contains(name);
                    let uncounted: Vec<_> = all.iter().copied().filter(counts).collect();
                    let is_for_one = matches!(form, "zero" | "one" | "two") && language != "ru";
                    let found = placeholders(other);
                    assert!(found == all || is_for_one && found == uncounted, "{language} {key}: {found:?}");
                    wanted.insert(key);
                }
            }
            let surplus: Vec<_> = texts.keys().filter(|key| !wanted.contains(*key)).collect();
            assert!(surplus.is_empty(), "{language} has {surplus:?}, which nobody knows");
        }
    }
}

/// The codes that a source gives: what stands right of an arrow in quotes.
fn codes(file: &str, from: &str) -> Vec<String> {
    let source = fs::read_to_string(root().join("src/domain").join(file)).unwrap();
    let source = &source[source.find(from).unwrap()..];
    let body = &source[..source.find("\n    }\n").unwrap()];
    body.lines()
        .filter_map(|line| line.split_once("=> \""))
        .map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_problem_refusal_trouble_and_field_has_its_words() {
    let languages = texts();
    let mut keys = Vec::new();
    for code in codes("field.rs", "pub const fn code(") {
        keys.push(format!("invalid.{code}"));
    }
    let mut refusals = codes("refusal.rs", "pub const fn code(");
    let troubles = fs::read_to_string(root().join("src/domain/refusal.rs")).unwrap();
    let troubles = &troubles[troubles.find("impl Service").unwrap()..];
    refusals.extend(
        troubles
            .lines()
            .filter_map(|line| line.split_once("=> \""))
            .map(|(_, rest)| rest.split('"').next().unwrap().to_owned()),
    );
    refusals.push("internal".into());
    assert!(keys.len() > 25 && refusals.len() > 20, "{keys:?} {refusals:?}");
    for code in refusals {
        keys.extend(["title", "text", "next"].map(|part| format!("refusal.{code}.{part}")));
    }
    keys.extend(codes("field.rs", "pub const fn label_key("));
    let reference = reference();
    for (language, texts) in &languages {
        for key in &keys {
            assert!(
                has(texts, key) || has(&reference, key) && key.starts_with("refusal."),
                "{language} has no {key}"
            );
        }
    }
}

#[test]
fn every_text_a_template_names_is_there() {
    let reference = reference();
    let mut folders = vec![root().join("ui/templates")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            for (at, _) in source.match_indices("t(\"") {
                if source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let rest = &source[at + 3..];
                let key = rest.split('"').next().unwrap();
                if rest[key.len() + 1..].starts_with([')', ',']) {
                    seen += 1;
                    assert!(has(&reference, key), "{}: {key}", path.display());
                }
            }
        }
    }
    assert!(seen > 40);
}

/// No key in the place of a text, no placeholder left, and the language declared.
fn is_said(page: &Page, language: &str, keys: &BTreeMap<String, String>) {
    let text = page.text();
    assert!(page.html.contains(&format!("<html lang=\"{language}\"")), "{text}");
    assert_eq!(page.header("content-language"), language);
    for key in keys.keys() {
        assert!(
            !text.split([' ', '"']).any(|word| word == key),
            "{key} is shown instead of its text: {text}"
        );
    }
    for name in [
        "{field}",
        "{minimum}",
        "{count}",
        "{days}",
        "{seconds}",
        "{number}",
        "{total}",
        "{minutes}",
        "{day}",
        "{needed}",
        "{missing}",
        "{address}",
    ] {
        assert!(!text.contains(name), "{name}: {text}");
    }
}

async fn walks(app: &TestApp, mut alice: Visitor, other: &Visitor) -> Vec<Page> {
    let mut pages = vec![alice.open("/").await, alice.open("/nothing").await];
    for flow in ["reset", "unlock", "change", "enroll"] {
        pages.push(alice.open(&format!("/{flow}")).await);
        pages.push(alice.submit(&[("username", ""), ("domain", "x")]).await);
        pages.push(alice.submit(&[("nonsense", "")]).await);
    }
    alice.open("/enroll").await;
    pages.push(alice.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", "wrong")]).await);
    pages.push(
        alice.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)]).await,
    );
    pages.push(alice.submit(&[("question1", "?"), ("answer1", "x"), ("email", "x")]).await);
    let mut alice = alice.elsewhere();
    pages.push(alice.enrolls().await);
    pages.push(alice.elsewhere().begins("unlock").await);
    pages.push(alice.elsewhere().unlocks().await);
    alice = alice.elsewhere();
    pages.push(alice.begins("reset").await);
    pages.push(alice.answers("wrong").await);
    pages.push(alice.proves("reset").await);
    for new in ["Ab-1", "alllowercase", SAMPLE_PASSWORD, "Alice-Example-1"] {
        pages.push(alice.submit(&[("new_password", new), ("confirm_password", new)]).await);
    }
    app.directories_behave(DirectoryMood::Unavailable);
    pages.push(
        alice.post(&[("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")]).await,
    );
    app.directories_behave(DirectoryMood::WritesLost);
    app.store_behaves(StoreMood::ReadOnly);
    pages.push(
        alice.post(&[("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")]).await,
    );
    app.directories_behave(DirectoryMood::Well);
    app.store_behaves(StoreMood::Well);
    pages.push(
        alice.submit(&[("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")]).await,
    );
    alice = alice.elsewhere();
    "Battery-Staple-2".clone_into(&mut alice.password);
    pages.push(alice.begins("change").await);
    pages.push(alice.changes_password("Third-Staple-3").await);
    for name in ["dave", "grace", "admin"] {
        let mut refused = other.elsewhere();
        name.clone_into(&mut refused.name);
        let fields = refused.fills_enroll().await;
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pages.push(refused.submit(&fields).await);
    }
    let mut frank = other.elsewhere();
    "frank".clone_into(&mut frank.name);
    frank.begins("change").await;
    let new = [("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")];
    pages.push(frank.submit(&[&[("old_password", SAMPLE_PASSWORD)], &new[..]].concat()).await);
    let mut coded = other.elsewhere();
    for (order, name) in [(Order::CodeFirst, "nobody at all"), (Order::QuestionsFirst, "heidi")] {
        name.clone_into(&mut coded.name);
        app.set(|s| (s.codes.by_mail, s.codes.order) = (true, Some(order)));
        if name == "heidi" {
            coded.enrolls().await;
            coded = coded.elsewhere();
        }
        pages.push(coded.proves("reset").await);
        for number in 0..3 {
            pages.push(coded.enters_code(&format!("guess {number}")).await);
            pages.push(coded.asks_for_another_code().await);
            app.advance(Duration::from_secs(61));
        }
    }
    pages.push(coded.elsewhere().proves("unlock").await);
    app.advance(Duration::from_secs(601));
    pages.push(coded.enters_code("guess 4").await);
    app.set(|s| s.codes.count_wrong_codes = false);
    let mut spent = other.elsewhere();
    "spent".clone_into(&mut spent.name);
    app.set(|s| s.codes.order = Some(Order::CodeFirst));
    spent.begins("reset").await;
    for number in 0..5 {
        pages.push(spent.enters_code(&format!("guess {number}")).await);
    }
    app.set(|s| s.codes.order = None);
    assert!(app.directory("DEMO").demo().move_to("heidi", None, None));
    pages.push(coded.elsewhere().proves("unlock").await);
    app.set(|s| s.codes.by_mail = false);
    let mut nobody = other.elsewhere();
    "nobody".clone_into(&mut nobody.name);
    nobody.begins("reset").await;
    for number in 0..5 {
        pages.push(nobody.answers(&format!("guess {number}")).await);
    }
    looks_after_ways_in(app, other, &mut pages).await;
    pages
}

/// Sets up all there is, and proves with it.
async fn looks_after_ways_in(app: &TestApp, other: &Visitor, pages: &mut Vec<Page>) {
    app.set(|settings| {
        settings.methods.authenticator_app = true;
        settings.methods.passkeys = true;
        settings.methods.recovery_codes = true;
        settings.methods.needed = Some(3);
        settings.security.wrong_answers_until_lockout = 0;
        settings.codes.by_mail = true;
    });
    let mut erin = other.elsewhere();
    "erin".clone_into(&mut erin.name);
    let fields = erin.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pages.push(erin.page.clone().unwrap());
    pages.push(erin.submit(&fields).await);
    pages.push(erin.enters_code("nonsense").await);
    pages.push(erin.enters_latest_code().await);
    let page = erin.asks_to("add-app").await;
    let codes = OneTimeCodes::read(&page);
    pages.extend([page, erin.enters_code("nonsense").await, erin.enters_code(&codes.code(app, 0)).await]);
    let page = erin.asks_to("add-passkey").await;
    let mut device = Device::at("https://reset.demo.example");
    let made = device.make(&page.passkey_options());
    let named = ("name", "Telefon 1");
    pages.extend([
        page,
        erin.submit(&[("credential", ""), named]).await,
        erin.submit(&[("credential", "{}"), named]).await,
        erin.submit(&[("credential", &made), named]).await,
    ]);
    let page = erin.asks_to("add-passkey").await;
    let made = device.make(&page.passkey_options());
    pages.push(erin.submit(&[("credential", &made), named]).await);
    pages.push(erin.submit(&[("credential", &made), named]).await);
    pages.push(erin.asks_to("back").await);
    pages.extend([erin.asks_to("add-recovery_code").await, erin.asks_to("kept").await]);
    let mut visitor = erin.elsewhere();
    pages.push(visitor.proves("unlock").await);
    for way in ["use-passkey", "use-app", "use-recovery_code"] {
        pages.push(visitor.asks_to(way).await);
        let wrong = if way == "use-passkey" { ("credential", "{}") } else { ("code", "nonsense") };
        pages.push(visitor.submit(&[wrong]).await);
    }
    app.advance(Duration::from_secs(3600));
    for way in ["remove-app", "remove-recovery_code"] {
        erin.asks_to(way).await;
    }
    let mut erin = erin.elsewhere();
    erin.open("/enroll").await;
    let (name, password) = (erin.name.clone(), erin.password.clone());
    pages.push(erin.submit(&[("username", &name), ("domain", "DEMO"), ("password", &password)]).await);
    pages.extend([erin.asks_to("remove-app").await, erin.asks_to("remove-recovery_code").await]);
    pages.push(erin.asks_to("finish").await);
    let mut visitor = erin.elsewhere();
    pages.push(visitor.proves("unlock").await);
    app.set(|settings| {
        settings.methods.needed = Some(2);
        settings.codes.by_mail = false;
        settings.methods.questions = false;
        settings.enroll.ask_email = false;
    });
    pages.push(erin.open("/enroll").await);
    let mut visitor = erin.elsewhere();
    pages.push(visitor.begins("unlock").await);
    let options = visitor.page.as_ref().unwrap().passkey_options();
    let signed = device.sign(&options);
    pages.push(visitor.submit(&[("credential", &signed)]).await);
}

#[tokio::test]
async fn every_page_is_drawn_in_every_language() {
    let languages = texts();
    let mut walked: Vec<Vec<Page>> = Vec::new();
    for (language, _) in &languages {
        let (app, alice) =
            TestApp::new().as_demo().with_settings(|s| s.enroll.ask_email = true).with_user("alice").await;
        let alice = alice.reading(language);
        let pages = walks(&app, alice.clone(), &alice).await;
        for page in &pages {
            is_said(page, language, &languages[0].1);
        }
        walked.push(pages);
    }
    for pages in &walked[1..] {
        assert_eq!(pages.len(), walked[0].len());
        for (page, reference) in pages.iter().zip(&walked[0]) {
            let place = |page: &Page| (page.code(), page.flow(), page.step(), page.fields());
            assert_eq!(place(page), place(reference), "{}", page.text());
            assert_ne!(page.text(), reference.text());
        }
    }
    let steps: BTreeSet<_> = walked[0].iter().map(Page::step).collect();
    for step in ["menu", "identify", "question", "code", "password", "credentials", "finished", "error"] {
        assert!(steps.contains(step), "{step} was not walked through");
    }
}
