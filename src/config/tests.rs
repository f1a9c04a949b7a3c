use super::*;
use crate::settings::{Field, Shape, table::join};

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join("svc.password"), "S3cret!\n").unwrap();
    Config::load(Some(&path), variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
}

fn load_variables(variables: &[(&str, &str)]) -> Result<Config, Error> {
    Config::load(None, variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
}

/// All faults, each line without the folder of its file.
fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let told = load(text, variables).unwrap_err().to_string();
    told.lines()
        .map(|line| line.split_once("/config.toml").map_or(line, |(_, rest)| rest).to_owned())
        .collect()
}

fn password(config: &Config) -> &str {
    config.settings.domain[0].service_password.as_ref().unwrap().reveal()
}

const DOMAIN: &str = r#"
[[settings.domain]]
dns_name = "corp.example"
netbios_name = "CORP"
service_account = "svc@corp.example"
service_password_file = "svc.password"
"#;

const PASSWORD: &str = "REGAIN_SETTINGS__DOMAIN__0__SERVICE_PASSWORD";
const PASSWORD_FILE: &str = "REGAIN_SETTINGS__DOMAIN__0__SERVICE_PASSWORD_FILE";

#[test]
fn all_folders_that_are_written_to_are_known() {
    let text = "base_url = 'https://reset.corp.example'\ndata = '/d'\nsecret_file = 'secret.key'\n\
                listen_plain = ['unix:/run/regain/http.sock']\nconfinement.writable = ['/w']\nproxies.header = 'forwarded'\n\
                [settings.mail]\nfolder = '/m'\n[settings.backup]\nfolder = '/b'\n";
    let folders = load(text, &[]).unwrap().writable_folders();
    assert_eq!(folders, ["/d", ".", "/b", "/m", "/run/regain", "/w"].map(PathBuf::from));
}

#[test]
fn a_file_and_a_secret_file_are_read() {
    let config = load(&format!("base_url = \"https://Reset.corp.example:443/\"\n{DOMAIN}"), &[]).unwrap();
    assert_eq!(config.base_url.as_ref().unwrap().origin(), "https://reset.corp.example");
    assert_eq!(password(&config), "S3cret!");
    assert!(!format!("{config:?}").contains("S3cret"));
    let config = load("connections = { total = 2_000, per_address = 0x10 }", &[]).unwrap();
    assert_eq!((config.connections.total, config.connections.per_address), (2000, 16));
}

#[test]
fn the_environment_wins_and_can_do_without_a_file() {
    let variables = [
        ("REGAIN_BASE_URL", "https://reset.corp.example:8443"),
        ("REGAIN_LISTEN", "[\"127.0.0.1:8443\"]"),
        ("REGAIN_LISTEN__1", "[::1]:8443"),
        ("REGAIN_SETTINGS__SECURITY__IDLE_TIMEOUT_SECONDS", "60"),
        ("REGAIN_SETTINGS__SECURITY__ENFORCE_HISTORY", "false"),
        ("REGAIN_SETTINGS__GENERAL__PRODUCT_NAME", "2024"),
        ("REGAIN_SETTINGS__ENROLL__QUESTIONS", "1"),
        ("REGAIN_SETTINGS__ENROLL__QUESTION_LIST__EN__0", "First?"),
        ("REGAIN_SETTINGS__ENROLL__QUESTION_LIST__DE", "[\"Erste?\", \"Zweite?\"]"),
        ("REGAIN_SETTINGS__DOMAIN__0__DNS_NAME", "corp.example"),
        ("REGAIN_SETTINGS__DOMAIN__0__NETBIOS_NAME", "CORP"),
        ("REGAIN_SETTINGS__DOMAIN__0__SERVICE_ACCOUNT", "svc@corp.example"),
        (PASSWORD, "pa=ss \"word"),
        ("PATH", "/bin"),
    ];
    let config = load_variables(&variables).unwrap();
    assert_eq!(config.base_url.as_ref().unwrap().authority(), "reset.corp.example:8443");
    assert_eq!(config.listen, ["127.0.0.1:8443", "[::1]:8443"]);
    assert_eq!(config.settings.security.idle_timeout_seconds, 60);
    assert!(!config.settings.security.enforce_history);
    assert_eq!(config.settings.general.product_name, "2024");
    assert_eq!(config.settings.enroll.questions_in("en"), ["First?"]);
    assert_eq!(config.settings.enroll.questions_in("de"), ["Erste?", "Zweite?"]);
    assert_eq!(password(&config), "pa=ss \"word");
    let config = load("listen = [\"[::]:1\", \"[::]:2\"]", &[("REGAIN_LISTEN__1", "[::]:3")]).unwrap();
    assert_eq!(config.listen, ["[::]:1", "[::]:3"]);
    let config = load("listen = [\"[::]:1\", \"[::]:2\"]", &[("REGAIN_LISTEN", "[\"[::]:3\"]")]).unwrap();
    assert_eq!(config.listen, ["[::]:3"]);
}

#[test]
fn name_servers_are_addresses_with_or_without_a_port() {
    let text = "name_servers = [\"192.0.2.53\", \"192.0.2.53:5353\", \"2001:db8::53\", \"[2001:db8::53]\"]";
    let told =
        |config: Config| config.name_server_addresses().iter().map(ToString::to_string).collect::<Vec<_>>();
    let whole = ["192.0.2.53:53", "192.0.2.53:5353", "[2001:db8::53]:53", "[2001:db8::53]:53"];
    assert_eq!(told(load(text, &[]).unwrap()), whole);
    assert_eq!(told(load(text, &[("REGAIN_NAME_SERVERS", "[\"[::1]:5\"]")]).unwrap()), ["[::1]:5"]);
}

#[test]
fn a_password_stays_what_was_given() {
    for text in ["1234567", "true", "\"quoted\"", "[1]", "a = 1\nb", " blank ", "0x1F"] {
        assert_eq!(password(&load(&DOMAIN.replace("_file", ""), &[(PASSWORD, text)]).unwrap()), text);
    }
}

#[test]
fn many_items_of_a_list_come_in_the_order_of_their_numbers() {
    let names: Vec<String> = (0..12).map(|number| format!("REGAIN_EXTRA_HOSTS__{number}")).collect();
    let hosts: Vec<String> = (0..12).map(|number| format!("host{number}")).collect();
    let variables: Vec<(&str, &str)> =
        names.iter().zip(&hosts).map(|(n, h)| (n.as_str(), h.as_str())).collect();
    assert_eq!(load_variables(&variables).unwrap().extra_hosts, hosts);
    assert_eq!(
        faults("", &[("REGAIN_LISTEN__0", "[::]:1"), ("REGAIN_LISTEN__2", "[::]:2")]),
        ["REGAIN_LISTEN__2: there is no number 1 before number 2"]
    );
}

#[test]
fn a_secret_is_given_once_but_the_environment_may_replace_it() {
    assert_eq!(password(&load(DOMAIN, &[(PASSWORD, "mine")]).unwrap()), "mine");
    let inline = DOMAIN.replace("service_password_file = \"svc", "service_password = \"not.svc");
    assert_eq!(password(&load(&inline, &[(PASSWORD_FILE, "svc.password")]).unwrap()), "S3cret!");
    let twice = format!("{DOMAIN}service_password = \"x\"");
    let told = ":6: settings.domain.0.service_password_file: service_password is given as well; one of them is enough";
    assert_eq!(faults(&twice, &[]), [told]);
    let told = faults(&DOMAIN.replace("svc.password", "nowhere"), &[]);
    assert!(
        told.len() == 1 && told[0].starts_with(":6: settings.domain.0.service_password_file: nowhere: No")
    );
}

#[test]
fn an_unknown_key_is_a_fault_with_the_nearest_name_and_its_place() {
    let text = "data = \"/x\"\nbase_ulr = \"https://x\"\n[settings.securty]\nx = 1\n[settings.enroll]\n\
                idle_timeout_seconds = 5\n[log]\nzzz = 1\n";
    assert_eq!(
        faults(text, &[]),
        [
            ":2: there is no key \"base_ulr\"; did you mean \"base_url\"?",
            ":8: there is no key \"log.zzz\"; there are \"log.level\", \"log.format\"",
            ":3: there is no key \"settings.securty\"; did you mean \"settings.security\"?",
            ":6: there is no key \"settings.enroll.idle_timeout_seconds\"; did you mean \
             \"settings.security.idle_timeout_seconds\"?",
        ]
    );
    for (name, meant) in [
        ("REGAIN_SETTINGS__SECURITY__IDLE_TIMEOUT", "REGAIN_SETTINGS__SECURITY__IDLE_TIMEOUT_SECONDS"),
        ("REGAIN_LOG_LEVEL", "REGAIN_LOG__LEVEL"),
        ("REGAIN_BASEURL", "REGAIN_BASE_URL"),
        ("REGAIN_SETTINGS__DOMAIN__1__DNS", "REGAIN_SETTINGS__DOMAIN__1__DNS_NAME"),
        ("REGAIN_SETTINGS__DOMAIN__0__SERVICE_PASWORD", "REGAIN_SETTINGS__DOMAIN__0__SERVICE_PASSWORD"),
        ("REGAIN_DATA__X", "REGAIN_DATA"),
    ] {
        let told = faults("", &[(name, "1")]);
        assert_eq!(told, [format!("{name}: there is no such key; did you mean {meant}?")]);
    }
    assert_eq!(faults("", &[("REGAIN_HTTPS", "1")]), ["REGAIN_HTTPS: is a section; name one of its keys"]);
}

#[test]
fn variables_that_kubernetes_adds_are_none_of_ours() {
    let theirs =
        ["REGAIN_PORT", "REGAIN_PORT_443_TCP_ADDR", "REGAIN_SERVICE_HOST", "REGAIN_SERVICE_PORT_HTTPS"];
    load_variables(&theirs.map(|name| (name, "tcp://10.0.0.1:443"))).unwrap();
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let text = "listen = 3\nbase_url = \"http://x\"\nextra_hosts = [\"a b\"]\n[settings.enroll]\nquestions = 11\n\
                own_questions = \"2\"\n[log]\nlevel = \"inof\"\nformat = \"xml\"\n[connections]\ntotal = 0\n\
                [https]\ncertificate = \"x\"\n[[settings.domain]]\ndns_name = 5\n";
    let wanted = [
        ":2: base_url: \"http://x\" must be https:// and a host name, perhaps a port",
        ":3: extra_hosts: \"a b\" is not a host name, perhaps with a port",
        ":1: listen: must be a list of texts",
        ":8: log.level: \"inof\" is not error, warn, info or debug",
        ":9: log.format: must be one of \"text\", \"json\"",
        ":11: connections.total: 0 is not between 1 and 1000000",
        ":5: settings.enroll.questions: 11 is not between 1 and 10",
        ":6: settings.enroll.own_questions: must be a whole number, without quotation marks",
        ":15: settings.domain.0.dns_name: must be a text in quotation marks",
        ":14: settings.domain.0.netbios_name: is needed",
        ":14: settings.domain.0.service_account: is needed",
        ":14: settings.domain.0.service_password: is needed, better as service_password_file",
        ":12: https: certificate and key belong together",
    ];
    let told = faults(text, &[]);
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for wanted in wanted {
        assert!(told.iter().any(|fault| fault.starts_with(wanted)), "{wanted}: {told:#?}");
    }
    for (text, wanted) in [
        ("settings = 3", ":1: settings: must be a section"),
        ("[settings]\ndomain = [1]", ":2: settings.domain: must be sections: [[domain]]"),
        ("listen = []", ":1: listen: needs an address at least"),
        ("listen = [\"nowhere\"]", ":1: listen: \"nowhere\" can't be listened on"),
        (
            "name_servers = [\"dns.corp.example\"]",
            ":1: name_servers: \"dns.corp.example\" is not the address of a name",
        ),
        (
            "name_servers = [\"192.0.2.53:0\"]",
            ":1: name_servers: \"192.0.2.53:0\" is not the address of a name",
        ),
        ("data = \"\"", ":1: data: \"\" must not be empty"),
        (
            "base_url = \"https://[::1]:8443\"\nsettings.methods.passkeys = true",
            ":2: settings.methods.passkeys: true, but they need a host name",
        ),
        ("connections.total = 99999999999999999999", ":1: connections.total: is no number"),
    ] {
        let told = faults(text, &[]);
        assert!(told.len() == 1 && told[0].starts_with(wanted), "{told:?}");
    }
    let told =
        faults("", &[("REGAIN_SETTINGS__ENROLL__QUESTIONS", "many"), ("REGAIN_HTTPS__KEY", "\u{fffd}")]);
    assert!(told[0].starts_with("REGAIN_HTTPS__KEY: is not UTF-8"), "{told:?}");
    assert!(
        told[1].starts_with("REGAIN_SETTINGS__ENROLL__QUESTIONS: settings.enroll.questions: must be"),
        "{told:?}"
    );
}

#[test]
fn no_fault_shows_a_secret() {
    let head = "[[settings.domain]]\n";
    for text in
        ["service_password = \"S3cret", "service_password = S3cret", "service_password = [\"S3cret\"]"]
    {
        assert!(!load(&format!("{head}{text}"), &[]).unwrap_err().to_string().contains("S3cret"), "{text}");
    }
    let error = load("", &[(PASSWORD, "S3cret"), ("REGAIN_SETTINGS__DOMAIN", "S3cret")]).unwrap_err();
    assert!(!format!("{error}{error:?}").contains("S3cret"));
}

#[test]
fn where_a_key_is_fixed_is_remembered() {
    let config = load(DOMAIN, &[("REGAIN_SETTINGS__SECURITY__HASH_PASSES", "3")]).unwrap();
    let source = |key: &str| config.given.sources.find(key).map(ToString::to_string).unwrap_or_default();
    assert!(source("settings.domain.0.dns_name").ends_with("config.toml:3"));
    assert!(source("settings.domain.0.service_password").ends_with("config.toml:6"));
    assert_eq!(source("settings.security.hash_passes"), "REGAIN_SETTINGS__SECURITY__HASH_PASSES");
    assert_eq!(config.given.sources.find("settings.security.hash_lanes"), None);
}

#[test]
fn where_the_api_is_apart_it_is_called_by_the_same_names_with_its_port() {
    let text = "base_url = \"https://reset.corp.example\"\nextra_hosts = [\"Reset:8443\", \"[::1]:443\"]\n";
    let config = load(&format!("{text}listen_api = [\"127.0.0.1:9443\", \"127.0.0.1:443\"]"), &[]).unwrap();
    let expected = [
        "reset.corp.example:9443",
        "reset.corp.example",
        "reset:9443",
        "reset",
        "[::1]:9443",
        "[::1]",
        "reset:8443",
        "[::1]:443",
    ];
    assert_eq!(config.api_hosts(), expected);
    assert!(load(text, &[]).unwrap().api_addresses().is_empty());
}

/// The example with every key that is commented out put in force. Comments have a blank behind the `#`, items of a list four.
fn uncommented(example: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(code) if !code.starts_with('#') && (!code.starts_with(' ') || code.starts_with("    \"")) => {
            format!("{code}\n")
        }
        _ => format!("{line}\n"),
    };
    example.lines().map(line).collect()
}

/// The example must not drift: it loads, it loads with every line uncommented, and it has every key with its default.
#[test]
fn the_example_file_is_complete_and_true() {
    let example = include_str!("../../config.example.toml");
    load(example, &[]).unwrap();
    let whole = uncommented(example);
    load(&whole, &[]).unwrap();
    compare(Config::FIELDS, &whole.parse().unwrap(), &example.parse().unwrap(), "");
}

fn compare(fields: &[Field], whole: &Table, in_force: &Table, path: &str) {
    for field in fields {
        let path = join(path, field.key);
        let value = whole.get(field.key).unwrap_or_else(|| panic!("{path} is missing"));
        let own = in_force.get(field.key);
        match field.shape {
            Shape::Section(fields) => {
                let own = own.and_then(toml::Value::as_table).cloned().unwrap_or_default();
                compare(fields, value.as_table().unwrap(), &own, &path);
            }
            Shape::Sections(fields) => {
                let own = own.map(|list| list[0].as_table().unwrap().clone()).unwrap_or_default();
                compare(fields, value[0].as_table().unwrap(), &own, &path);
            }
            // What is in force is an example that has to be filled in; the rest is the default.
            _ if own.is_none() => {
                if let Some(default) = (field.default)() {
                    assert_eq!(*value, default, "{path} is not the default");
                }
            }
            _ => {}
        }
    }
}
