//! Three layers make the settings: the defaults, what administrators have changed in the panel, and what file and
//! environment fix. The last wins.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{
    Fault, Field, Settings, Shape, Tab,
    table::{join, sift},
};
use crate::domain::secret::SecretText;

/// Settings that are never changed in the panel: they start programs, or read and write files of this machine.
const FOR_THE_FILE: [&str; 7] = [
    "domain.ca_file",
    "mail.ca_file",
    "mail.folder",
    "security.breached_passwords_file",
    "sms.arguments",
    "sms.ca_file",
    "sms.program",
];

/// Whether a setting can only be set by file and environment.
pub fn is_for_the_file(key: &str) -> bool {
    FOR_THE_FILE.contains(&without_numbers(key).as_str())
}

/// Takes out what is not changed in the panel: it may have been, before that was so.
pub fn take_out_for_the_file(table: &mut Table) {
    for key in FOR_THE_FILE {
        set(table, key, None);
    }
    take_out_of_lists(table);
}

/// Takes out of sections that look alike what can only be set by file and environment: the keys, as `domain.0.ca_file`.
pub fn take_out_of_lists(table: &mut Table) -> Vec<String> {
    let mut taken = Vec::new();
    for key in FOR_THE_FILE {
        let (list, field) = key.split_once('.').unwrap_or_default();
        let sections = table.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for (index, section) in sections.enumerate() {
            if section.as_table_mut().is_some_and(|section| section.remove(field).is_some()) {
                taken.push(format!("{list}.{index}.{field}"));
            }
        }
    }
    taken
}

/// `domain.0.ca_file` → `domain.ca_file`: what is so for one of a list is so for each.
fn without_numbers(key: &str) -> String {
    let parts: Vec<_> = key.split('.').filter(|part| part.parse::<usize>().is_err()).collect();
    parts.join(".")
}

/// Secrets, and the settings that say where they are sent.
const SENT_TO: [(&str, &[&str]); 3] = [
    ("mail.password", &["host", "port", "security"]),
    ("sms.http_authorization", &["url"]),
    (
        "domain.service_password",
        &["dns_name", "controllers", "transport", "ca_file", "ca_certificates", "service_account"],
    ),
];

/// The settings that say where a secret is sent.
pub fn places_of(secret: &str) -> Vec<String> {
    let section = secret.rsplit_once('.').map_or("", |(section, _)| section);
    let known = SENT_TO.iter().find(|(key, _)| *key == without_numbers(secret));
    known.map_or(&[][..], |(_, places)| places).iter().map(|place| join(section, place)).collect()
}

/// What file and environment fix.
#[derive(Clone, Default)]
pub struct Fixed {
    /// The settings, as given. There are secrets among them.
    pub table: Table,
    /// Where each key comes from, in words.
    pub sources: BTreeMap<String, String>,
}

impl Fixed {
    /// Where a setting is fixed, if it is. Of sections that look alike all are, or none.
    pub fn source(&self, key: &str) -> Option<&str> {
        let first = key.split('.').next().unwrap_or_default();
        if self.table.get(first).is_some_and(Value::is_array) {
            let mut sources = self.sources.iter();
            let of_first = |known: &str| known.strip_prefix(first).is_some_and(|rest| rest.starts_with('.'));
            let source = sources.find(|(known, _)| of_first(known)).map_or("", |(_, source)| source);
            return Some(source);
        }
        find(&self.table, key)?;
        Some(self.sources.get(key).map_or("", String::as_str))
    }
}

impl Settings {
    /// The settings that these layers make; or what is wrong with them, each with its key.
    pub fn of_layers(changed: &Table, fixed: &Table) -> Result<Self, Vec<Fault>> {
        let mut table = changed.clone();
        lay_over(&mut table, fixed);
        let mut faults = Vec::new();
        sift(Self::FIELDS, &mut table, "settings", &mut faults);
        let settings: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| vec![Fault::new("settings", error.message())])?;
        // What follows from a value that was taken out is no fault of its own.
        for fault in settings.faults() {
            if !faults.iter().any(|known| known.key == fault.key) {
                faults.push(fault);
            }
        }
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }
}

/// Lays one table over another: sections grow together, all else is replaced.
pub fn lay_over(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            _ => drop(below.insert(key.clone(), value.clone())),
        }
    }
}

/// The value at a key such as `security.idle_timeout_seconds` or `domain.0.dns_name`.
pub fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| match value {
        Value::Table(table) => table.get(part),
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Sets the value at a key, or takes it away. A list grows by one at its end, and closes up where one is taken out.
pub fn set(table: &mut Table, key: &str, value: Option<Value>) {
    let Some((section, rest)) = key.split_once('.') else {
        match value {
            Some(value) => drop(table.insert(key.to_owned(), value)),
            None => drop(table.remove(key)),
        }
        return;
    };
    let is_list = rest.split('.').next().is_some_and(|part| part.parse::<usize>().is_ok());
    let empty = if is_list { Value::Array(Vec::new()) } else { Value::Table(Table::new()) };
    let is_empty = match table.entry(section).or_insert(empty) {
        Value::Table(inner) => {
            set(inner, rest, value);
            inner.is_empty()
        }
        Value::Array(list) => {
            set_in(list, rest, value);
            list.is_empty()
        }
        _ => false,
    };
    if is_empty {
        table.remove(section);
    }
}

fn set_in(list: &mut Vec<Value>, key: &str, value: Option<Value>) {
    let (index, rest) = key.split_once('.').map_or((key, None), |(index, rest)| (index, Some(rest)));
    let Ok(index) = index.parse::<usize>() else { return };
    if index == list.len() && value.is_some() {
        list.push(Value::Table(Table::new()));
    }
    let Some(item) = list.get_mut(index) else { return };
    match (rest, value, item) {
        (Some(rest), value, Value::Table(inner)) => set(inner, rest, value),
        (None, Some(value), item) => *item = value,
        (None, None, _) => drop(list.remove(index)),
        _ => {}
    }
}

/// The field of a key, if there is one; of one of a list, that of the list.
pub fn field(key: &str) -> Option<Field> {
    let mut fields = Settings::FIELDS;
    let mut found: Option<Field> = None;
    for part in key.split('.') {
        if let Some(Field { shape: Shape::Sections(inner), .. }) = found
            && fields.is_empty()
            && part.parse::<usize>().is_ok()
        {
            fields = inner;
            continue;
        }
        let field = fields.iter().find(|field| field.key == part)?;
        fields = match field.shape {
            Shape::Section(fields) => fields,
            _ => &[],
        };
        found = Some(*field);
    }
    found
}

/// Visits each secret in a table of settings, wherever it stands.
pub fn each_secret<E>(
    table: &mut Table,
    visit: &mut impl FnMut(&str, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    secrets_in(Settings::FIELDS, table, "", visit)
}

fn secrets_in<E>(
    fields: &[Field],
    table: &mut Table,
    prefix: &str,
    visit: &mut impl FnMut(&str, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    for field in fields {
        let Some(value) = table.get_mut(field.key) else { continue };
        let key = join(prefix, field.key);
        match (field.shape, value) {
            (Shape::Secret, Value::String(secret)) => visit(&key, secret)?,
            (Shape::Section(fields), Value::Table(table)) => secrets_in(fields, table, &key, visit)?,
            (Shape::Sections(fields), Value::Array(sections)) => {
                for (index, table) in sections.iter_mut().filter_map(Value::as_table_mut).enumerate() {
                    secrets_in(fields, table, &format!("{key}.{index}"), visit)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The fields that are set as one value, each with its whole key.
pub fn leaves() -> Vec<(String, Field)> {
    fn collect(fields: &[Field], prefix: &str, leaves: &mut Vec<(String, Field)>) {
        for field in fields {
            let key = join(prefix, field.key);
            match field.shape {
                Shape::Section(inner) => collect(inner, &key, leaves),
                _ => leaves.push((key, *field)),
            }
        }
    }
    let mut leaves = Vec::new();
    collect(Settings::FIELDS, "", &mut leaves);
    leaves
}

/// Takes all secrets out of a table of settings, each with its key.
pub fn take_secrets(table: &mut Table) -> Vec<(String, SecretText)> {
    let mut secrets = Vec::new();
    let Ok(()) = each_secret(table, &mut |key, secret| {
        secrets.push((key.to_owned(), SecretText::new(std::mem::take(secret))));
        Ok::<(), std::convert::Infallible>(())
    });
    for (key, _) in &secrets {
        if let Some((section, name)) = holder(table, key) {
            section.remove(name);
        }
    }
    secrets
}

/// Puts a secret where its key says, or takes it away; false if there is no such place.
pub fn put_secret(table: &mut Table, key: &str, secret: Option<&SecretText>) -> bool {
    let value = secret.map(|secret| Value::String(secret.reveal().to_owned()));
    if is_secret(key) && without_numbers(key) == key {
        set(table, key, value);
        return true;
    }
    match holder(table, key) {
        Some((section, name)) if is_secret(key) => {
            match value {
                Some(value) => section.insert(name.to_owned(), value),
                None => section.remove(name),
            };
            true
        }
        _ => false,
    }
}

/// Keeps a secret in settings that come without: in its place, or in the section that is otherwise just as it was in
/// `bare`. In another section it would be sent to another place.
pub fn keep_secret(table: &mut Table, bare: &Table, key: &str, secret: &SecretText) {
    if without_numbers(key) == key {
        put_secret(table, key, Some(secret));
        return;
    }
    let parts: Vec<&str> = key.split('.').collect();
    let Some(at) = parts.iter().position(|part| part.parse::<usize>().is_ok()) else { return };
    let (list, rest) = (parts[..at].join("."), parts[at + 1..].join("."));
    let sections = |table: &Table| find(table, &list).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut without = table.clone();
    take_secrets(&mut without);
    let Some(section) = parts[at].parse().ok().and_then(|index: usize| sections(bare).get(index).cloned())
    else {
        return;
    };
    if let Some(index) = sections(&without).iter().position(|other| *other == section) {
        put_secret(table, &format!("{list}.{index}.{rest}"), Some(secret));
    }
}

/// Whether what stands at a key such as `domain.0.service_password` is a secret.
pub fn is_secret(key: &str) -> bool {
    field(key).is_some_and(|field| field.is_secret())
}

/// The keys of all secrets that there can be in a table of settings.
pub fn places_of_secrets(table: &Table) -> Vec<String> {
    fn collect(fields: &[Field], table: Option<&Table>, prefix: &str, places: &mut Vec<String>) {
        for field in fields {
            let key = join(prefix, field.key);
            let value = table.and_then(|table| table.get(field.key));
            match field.shape {
                Shape::Secret => places.push(key),
                Shape::Section(fields) => collect(fields, value.and_then(Value::as_table), &key, places),
                Shape::Sections(fields) => {
                    for (index, section) in value.and_then(Value::as_array).into_iter().flatten().enumerate()
                    {
                        collect(fields, section.as_table(), &format!("{key}.{index}"), places);
                    }
                }
                _ => {}
            }
        }
    }
    let mut places = Vec::new();
    collect(Settings::FIELDS, Some(table), "", &mut places);
    places
}

/// The section that holds a key such as `domain.0.service_password`, and the key's last part.
fn holder<'a, 'b>(table: &'a mut Table, key: &'b str) -> Option<(&'a mut Table, &'b str)> {
    let Some((sections, name)) = key.rsplit_once('.') else { return Some((table, key)) };
    let mut parts = sections.split('.');
    let mut value = table.get_mut(parts.next()?)?;
    for part in parts {
        value = match value {
            Value::Table(table) => table.get_mut(part)?,
            Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some((value.as_table_mut()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_fixed_wins_over_what_was_changed_and_that_over_the_default() {
        let changed = table("general.product_name = 'Changed'\nsecurity.idle_timeout_seconds = 60");
        let fixed = table("security = { idle_timeout_seconds = 120 }");
        let settings = Settings::of_layers(&changed, &fixed).unwrap();
        assert_eq!(settings.general.product_name, "Changed");
        assert_eq!(settings.security.idle_timeout_seconds, 120);
        assert_eq!(settings.security.hash_passes, 2);
        let lists = table("enroll.question_list.en = ['a', 'b', 'c']");
        let fixed = table("enroll.question_list.de = ['x', 'y', 'z']");
        let settings = Settings::of_layers(&lists, &fixed).unwrap();
        assert_eq!(settings.enroll.question_list.len(), 2);
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_key() {
        let changed = table("security = { idle_timeout_seconds = 9999, profile = 'internet' }\nunknown = 1");
        let faults = Settings::of_layers(&changed, &Table::new()).unwrap_err();
        assert!(faults[0].key == "settings" && faults[0].text.contains("unknown"), "{faults:?}");
        let changed = table("security = { idle_timeout_seconds = 9999, profile = 'internet' }");
        let faults = Settings::of_layers(&changed, &Table::new()).unwrap_err();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["settings.security.idle_timeout_seconds", "settings.security.profile"]);
    }

    #[test]
    fn a_value_is_found_set_and_taken_away_by_its_key() {
        let mut values = Table::new();
        set(&mut values, "alerts.reset.enabled", Some(Value::Boolean(false)));
        assert_eq!(find(&values, "alerts.reset.enabled"), Some(&Value::Boolean(false)));
        assert_eq!(find(&values, "alerts.reset.bcc"), None);
        set(&mut values, "alerts.reset.enabled", None);
        assert!(values.is_empty());
        assert!(field("alerts.reset.enabled").is_some() && field("mail.password").unwrap().is_secret());
        assert!(field("alerts.reset.nothing").is_none() && field("general.footer.x").is_none());
    }

    #[test]
    fn one_of_a_list_is_reached_by_its_number() {
        assert_eq!(field("domain.3.dns_name").unwrap().key, "dns_name");
        assert_eq!(field("domain.3").unwrap().key, "domain");
        assert!(field("domain.dns_name").is_none() && field("domain.0.1.dns_name").is_none());
        assert!(is_for_the_file("domain.1.ca_file") && !is_for_the_file("domain.1.dns_name"));
        assert!(places_of("domain.1.service_password").contains(&"domain.1.controllers".to_owned()));
        assert_eq!(places_of("mail.password")[0], "mail.host");
        let mut values = Table::new();
        let text = |text: &str| Some(Value::String(text.into()));
        set(&mut values, "domain.0.dns_name", text("a.example"));
        set(&mut values, "domain.1.dns_name", text("b.example"));
        set(&mut values, "domain.7.dns_name", text("nowhere"));
        assert_eq!(find(&values, "domain.1.dns_name"), text("b.example").as_ref());
        set(&mut values, "domain.0", None);
        assert_eq!(find(&values, "domain.0.dns_name"), text("b.example").as_ref());
        set(&mut values, "domain.0", None);
        assert!(values.is_empty());
    }

    #[test]
    fn every_secret_is_visited() {
        let mut values = table(
            "mail.password = 'a'\nsms.http_authorization = 'b'\ndomain = [{ service_password = 'c' }, {}]",
        );
        let mut seen = Vec::new();
        let visited: Result<(), ()> = each_secret(&mut values, &mut |key, secret| {
            seen.push(format!("{key}={secret}"));
            "x".clone_into(secret);
            Ok(())
        });
        assert!(visited.is_ok());
        seen.sort();
        assert_eq!(seen, ["domain.0.service_password=c", "mail.password=a", "sms.http_authorization=b"]);
        assert_eq!(find(&values, "mail.password"), Some(&Value::String("x".into())));
    }

    #[test]
    fn secrets_are_taken_out_and_put_back_where_they_were() {
        let text =
            "mail.password = 'a'\nmail.user = 'u'\ndomain = [{ service_password = 'c', dns_name = 'x' }, {}]";
        let mut values = table(text);
        let secrets = take_secrets(&mut values);
        let keys: Vec<_> = secrets.iter().map(|(key, secret)| (key.as_str(), secret.reveal())).collect();
        assert_eq!(keys, [("mail.password", "a"), ("domain.0.service_password", "c")]);
        assert_eq!(values, table("mail.user = 'u'\ndomain = [{ dns_name = 'x' }, {}]"));
        for (key, secret) in &secrets {
            assert!(put_secret(&mut values, key, Some(secret)));
        }
        assert_eq!(values, table(text));
        let secret = SecretText::new("s".into());
        for nowhere in [
            "",
            "mail",
            "mail.user",
            "domain",
            "domain.0",
            "domain.7.service_password",
            "domain.0.dns_name",
            "x.y",
        ] {
            assert!(!put_secret(&mut values, nowhere, Some(&secret)), "{nowhere}");
        }
        assert!(put_secret(&mut values, "sms.http_authorization", Some(&secret)));
    }

    #[test]
    fn every_leaf_has_its_field() {
        let leaves = leaves();
        assert!(leaves.iter().all(|(key, found)| field(key).is_some_and(|field| field.key == found.key)));
        let is_there = |key: &str| leaves.iter().any(|(known, _)| known == key);
        assert!(is_there("alerts.reset.enabled") && is_there("domain") && !is_there("alerts.reset"));
    }

    #[test]
    fn a_secret_is_kept_only_in_a_section_that_is_as_it_was() {
        let before =
            "mail.password = 'a'\ndomain = [{ dns_name = 'x', service_password = 'c' }, { dns_name = 'y' }]";
        let mut bare = table(before);
        let secrets = take_secrets(&mut bare);
        let kept = |text: &str| {
            let mut after = table(text);
            for (key, secret) in &secrets {
                keep_secret(&mut after, &bare, key, secret);
            }
            take_secrets(&mut after).into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        let both = ["mail.password", "domain.1.service_password"];
        assert_eq!(kept("domain = [{ dns_name = 'y' }, { dns_name = 'x' }]"), both);
        assert_eq!(kept("domain = [{ dns_name = 'z' }]"), ["mail.password"]);
        assert_eq!(kept(""), ["mail.password"]);
        let places = places_of_secrets(&bare);
        let all = ["domain.0.service_password", "domain.1.service_password", "mail.password"];
        assert!(all.iter().all(|key| places.iter().any(|place| place == key)), "{places:?}");
        assert!(places.iter().all(|key| is_secret(key)));
    }
}
