use super::*;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join("svc.password"), "S3cret!\n").unwrap();
    Config::load(Some(&path), variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
}

const DOMAIN: &str = r#"
[[settings.domain]]
dns_name = "corp.example"
netbios_name = "CORP"
service_account = "svc@corp.example"
service_password_file = "svc.password"
"#;

fn fault(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables).unwrap_err().to_string()
}

#[test]
fn a_file_and_a_secret_file_are_read() {
    let config = load(&format!("base_url = \"https://Reset.corp.example:443/\"\n{DOMAIN}"), &[]).unwrap();
    assert_eq!(config.base_url.as_ref().unwrap().origin(), "https://reset.corp.example");
    assert_eq!(config.settings.domain[0].service_password.as_ref().unwrap().reveal(), "S3cret!");
    assert!(!format!("{config:?}").contains("S3cret"));
}

#[test]
fn the_environment_wins_and_can_do_without_a_file() {
    let variables = [
        ("REGAIN_BASE_URL", "https://reset.corp.example:8443"),
        ("REGAIN_LISTEN", "[\"127.0.0.1:8443\"]"),
        ("REGAIN_SETTINGS__SECURITY__IDLE_TIMEOUT_SECONDS", "60"),
        ("REGAIN_SETTINGS__DOMAIN__0__DNS_NAME", "corp.example"),
        ("REGAIN_SETTINGS__DOMAIN__0__NETBIOS_NAME", "CORP"),
        ("REGAIN_SETTINGS__DOMAIN__0__SERVICE_ACCOUNT", "svc@corp.example"),
        ("REGAIN_SETTINGS__DOMAIN__0__SERVICE_PASSWORD", "pa=ss \"word"),
        ("PATH", "/bin"),
    ];
    let config = Config::load(None, variables.map(|(n, v)| (n.to_owned(), v.to_owned()))).unwrap();
    assert_eq!(config.base_url.as_ref().unwrap().authority(), "reset.corp.example:8443");
    assert_eq!(config.base_url.as_ref().unwrap().host(), "reset.corp.example");
    assert_eq!(config.listen, ["127.0.0.1:8443"]);
    assert_eq!(config.settings.security.idle_timeout_seconds, 60);
    assert_eq!(config.settings.domain[0].service_password.as_ref().unwrap().reveal(), "pa=ss \"word");
}

#[test]
fn an_unknown_key_is_an_error_with_the_nearest_name_and_its_place() {
    let told = fault("data = \"/x\"\nbase_ulr = \"https://x\"\n[settings.securty]\nx = 1\n", &[]);
    assert!(
        told.contains("config.toml:2: there is no key \"base_ulr\"; did you mean \"base_url\"?"),
        "{told}"
    );
    assert!(
        told.contains("config.toml:3: there is no key \"settings.securty\"; did you mean \"security\"?"),
        "{told}"
    );
    let told = fault("", &[("REGAIN_SETTINGS__SECURITY__IDLE_TIMEOUT", "1")]);
    assert!(told.starts_with("REGAIN_SETTINGS__SECURITY__IDLE_TIMEOUT: there is no key"), "{told}");
    assert!(told.contains("did you mean \"idle_timeout_seconds\"?"), "{told}");
}

#[test]
fn values_out_of_bounds_and_wrong_types_are_named() {
    let told =
        fault("[settings.enroll]\nquestions = 11\n[settings.security]\nreply_deadline_ms = 9000\n", &[]);
    assert!(told.contains("settings.enroll.questions: 11 is not between 1 and 10"), "{told}");
    assert!(told.contains("settings.security.reply_deadline_ms: 9000 is not between 0 and 5000"), "{told}");
    assert!(fault("listen = 3", &[]).contains("listen"));
    assert!(fault("listen = [\"nowhere\"]", &[]).contains("nowhere"));
    assert!(fault("base_url = \"http://x\"", &[]).contains("must be https://"));
    assert!(fault("[https]\ncertificate = \"x\"", &[]).contains("belong together"));
    assert!(fault("[[settings.domain]]\ndns_name = \"a\"", &[]).contains("netbios_name: is needed"));
    assert!(fault(&format!("{DOMAIN}{DOMAIN}"), &[]).contains("another domain has the same"));
}

/// The example must not drift: it parses, it parses with every line uncommented, and it has every key with its default.
#[test]
fn the_example_file_is_complete_and_true() {
    let example = include_str!("../../config.example.toml");
    load(example, &[]).unwrap();
    let bare: String = example
        .lines()
        .map(|line| match line.strip_prefix("#") {
            Some(code) if !code.starts_with(' ') && !code.starts_with('#') => format!("{code}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let table: toml::Table = toml::from_str(&bare).unwrap();
    let unknown = keys::unknown(&table, &keys::Origin::default());
    let unknown: Vec<_> = unknown.iter().filter(|line| !line.contains("service_password_file")).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for (tab, fields) in Settings::tabs() {
        for field in fields {
            let default = (field.default)();
            let line = format!("{} =", field.key);
            assert!(example.contains(&line), "{tab}.{} is missing", field.key);
            let numeric = default.parse::<u32>().is_ok() || default == "true" || default == "false";
            if numeric {
                let line = format!("#{} = {default}\n", field.key);
                assert!(example.contains(&line), "{tab}.{}: the default is {default}", field.key);
            }
        }
    }
}
