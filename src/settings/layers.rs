//! Three layers make the settings: the defaults, what administrators have changed in the panel, and what file and
//! environment fix. The last wins.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{
    Fault, Field, Settings, Shape, Tab,
    table::{join, sift},
};

/// Settings that are never changed in the panel: they start programs or read and write files of this machine, or say
/// which domains are served by whom.
const FOR_THE_FILE: [&str; 6] =
    ["domain", "mail.ca_file", "mail.folder", "sms.arguments", "sms.ca_file", "sms.program"];

/// Whether a setting can only be set by file and environment.
pub fn is_for_the_file(key: &str) -> bool {
    FOR_THE_FILE.contains(&key)
}

/// Secrets, and the settings that say where they are sent.
pub const SENT_TO: [(&str, &[&str]); 2] = [
    ("mail.password", &["mail.host", "mail.port", "mail.security"]),
    ("sms.http_authorization", &["sms.url"]),
];

/// What file and environment fix.
#[derive(Clone, Default)]
pub struct Fixed {
    /// The settings, as given. There are secrets among them.
    pub table: Table,
    /// Where each key comes from, in words.
    pub sources: BTreeMap<String, String>,
}

impl Fixed {
    /// Where a setting is fixed, if it is.
    pub fn source(&self, key: &str) -> Option<&str> {
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

/// The value at a key such as `security.idle_timeout_seconds`.
pub fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}

/// Sets the value at a key, or takes it away.
pub fn set(table: &mut Table, key: &str, value: Option<Value>) {
    match (key.split_once('.'), value) {
        (None, Some(value)) => drop(table.insert(key.to_owned(), value)),
        (None, None) => drop(table.remove(key)),
        (Some((section, rest)), value) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
                if inner.is_empty() {
                    table.remove(section);
                }
            }
        }
    }
}

/// The field of a key, if there is one.
pub fn field(key: &str) -> Option<Field> {
    let mut fields = Settings::FIELDS;
    let mut found = None;
    for part in key.split('.') {
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
}
