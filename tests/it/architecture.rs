//! Which way the arrows point: what a module may use of the others, and who alone may name a technology.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What each module may use. Composition (`main`, `cli`, `app`) and the harness (`testing`) may name everything.
const MAY_USE: [(&str, &[&str]); 16] = [
    // edges: talk to people, the timer, the network
    ("web", &["domain", "flows", "notify", "render", "report", "settings", "store", "tls"]),
    ("jobs", &["domain", "flows", "store"]),
    ("tls", &["domain", "flows"]),
    ("report", &["domain", "flows", "store"]),
    // steps: "first this, then that" is written only here
    ("flows", &["breached", "directory", "domain", "notify", "passkeys", "settings", "store"]),
    // adapters: each owns one technology; blind to each other
    ("breached", &["domain"]),
    ("directory", &["domain"]),
    ("store", &["domain"]),
    ("notify", &["domain", "render", "settings"]),
    ("render", &[]),
    ("passkeys", &["domain"]),
    // composes with the one, and delivers
    ("telemetry", &["config"]),
    ("confine", &[]),
    // words
    ("config", &["domain", "settings"]),
    ("settings", &["domain"]),
    ("domain", &[]),
];

/// Where alone a crate may be named: prefixes of paths below `src`.
const OWNERS: [(&str, &[&str]); 27] = [
    ("ldap3", &["directory/active_directory/"]),
    ("hickory_resolver", &["directory/active_directory/"]),
    ("sled", &["store/engine/on_sled"]),
    ("poem", &["web/", "app.rs", "testing/"]),
    ("hyper", &["web/server", "notify/"]),
    ("hyper_util", &["web/server", "notify/http.rs"]),
    ("http_body_util", &["web/server", "notify/"]),
    ("lettre", &["notify/mail/"]),
    ("minijinja", &["render/"]),
    ("rust_embed", &["render/"]),
    ("argon2", &["domain/slow_hash.rs"]),
    ("csv_core", &["domain/sheet.rs"]),
    ("flate2", &["report/export/xlsx/"]),
    ("multer", &["web/form.rs"]),
    ("rcgen", &["tls/"]),
    ("rustls_acme", &["tls/acme.rs"]),
    ("webauthn_rs_core", &["passkeys.rs"]),
    ("qrcode", &["web/user/methods.rs"]),
    ("data_encoding", &["domain/totp.rs", "store/audit/", "store/backup/", "testing/device.rs"]),
    ("tokio_rustls", &["tls/", "notify/"]),
    // The settings ask it only what a server's name may look like.
    ("rustls", &["tls/", "directory/active_directory/", "notify/", "settings/form.rs"]),
    ("landlock", &["confine.rs"]),
    ("seccompiler", &["confine.rs"]),
    ("libc", &["confine.rs"]),
    ("zxcvbn", &["domain/password_rules/"]),
    ("similar", &["cli/templates.rs"]),
    ("clap", &["cli/", "main.rs"]),
];

struct Source {
    path: String,
    module: String,
    code: String,
}

/// The sources of the program, without comments and without their tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let sources: Vec<_> = files
        .into_iter()
        .filter(|file| !is_test(file))
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let module = path.split(['/', '.']).next().unwrap().to_owned();
            let text = fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code =
                text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
            Source { path, module, code }
        })
        .collect();
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(file: &Path) -> bool {
    file.iter().any(|part| part == "tests" || part == "tests.rs")
}

fn word_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The modules of the crate that a source names: after `crate::`, or each at the head of a group after it.
fn used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = code[at + "crate::".len()..].trim_start();
        if !rest.starts_with('{') {
            used.insert(word_at(rest));
            continue;
        }
        let (mut depth, mut at_head) = (0, false);
        for (at, character) in rest.char_indices() {
            match character {
                '{' => {
                    depth += 1;
                    at_head = depth == 1;
                }
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' => at_head = depth == 1,
                c if at_head && !c.is_whitespace() => {
                    used.insert(word_at(&rest[at..]));
                    at_head = false;
                }
                _ => {}
            }
        }
    }
    used
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources.iter().map(|source| source.module.as_str()).collect();
    let free = ["main", "lib", "cli", "app", "testing"];
    for module in &modules {
        assert!(
            free.contains(module) || MAY_USE.iter().any(|(known, _)| known == module),
            "{module} has no place in the table"
        );
    }
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| !free.contains(&source.module.as_str())) {
        let (_, allowed) = MAY_USE.iter().find(|(module, _)| *module == source.module).unwrap();
        for name in used(&source.code) {
            let is_module = modules.contains(name.as_str());
            if is_module && name != source.module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} uses {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_allows_nothing_that_is_not_used() {
    let sources = sources();
    for (module, allowed) in MAY_USE {
        for name in allowed {
            let of_module = sources.iter().filter(|source| source.module == module);
            assert!(
                of_module.into_iter().any(|s| used(&s.code).contains(*name)),
                "{module} never uses {name}"
            );
        }
    }
}

#[test]
fn each_technology_is_named_by_its_owner_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (technology, owners) in OWNERS {
            if owners.iter().any(|owner| source.path.starts_with(owner)) {
                continue;
            }
            let named = source.code.match_indices(technology).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                let stands_alone =
                    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '.' | '"'));
                let after = &source.code[at + technology.len()..];
                stands_alone
                    && (after.starts_with("::") || after.starts_with(';') || after.starts_with(" as "))
            });
            if named {
                wrong.push(format!("{} names {technology}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_program_itself_is_let_off_the_lint_about_unsafe_code() {
    let named: Vec<_> = sources().into_iter().filter(|source| source.code.contains("unsafe_code")).collect();
    let paths: Vec<_> = named.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(paths, ["main.rs"]);
}

#[test]
fn every_module_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//! ") || is_test(file.strip_prefix(&root).unwrap()),
            "{} says nothing",
            file.display()
        );
    }
}
