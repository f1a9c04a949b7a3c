//! Every text in every language, and every page drawn with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use regain::{
    domain::certificate::Cause,
    render::{self, plural},
    testing::{Page, gallery},
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

#[tokio::test]
async fn every_page_is_drawn_in_every_language() {
    let languages = texts();
    let mut walked: Vec<Vec<Page>> = Vec::new();
    for (language, _) in &languages {
        let pages = gallery::pages(language).await;
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
