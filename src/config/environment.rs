//! Environment variables as keys: `REGAIN_BASE_URL`, `REGAIN_SETTINGS__DOMAIN__0__DNS_NAME`.

use toml::{Table, Value};

use super::keys::Origin;

const PREFIX: &str = "REGAIN_";

/// Lays the variables over the table.
pub(super) fn overlay(
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
    mut origin: Origin,
) -> Result<Origin, String> {
    let mut ours: Vec<(String, String)> =
        variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort();
    for (name, value) in ours {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        let mut root = Value::Table(std::mem::take(table));
        let placed = place(&mut root, &path, &value);
        if let Value::Table(back) = root {
            *table = back;
        }
        placed.map_err(|text| format!("{name}: {text}"))?;
        origin.of_variable(&path.join("."), &name);
    }
    Ok(origin)
}

fn place(at: &mut Value, path: &[String], value: &str) -> Result<(), String> {
    let Some((key, rest)) = path.split_first() else {
        *at = typed(value);
        return Ok(());
    };
    if let Ok(index) = key.parse::<usize>() {
        if at.as_table().is_some_and(Table::is_empty) {
            *at = Value::Array(Vec::new());
        }
        let Value::Array(list) = at else { return Err(format!("there is no list at number {index}")) };
        if index > list.len() {
            return Err(format!("number {index} comes before number {} is set", list.len()));
        }
        if index == list.len() {
            list.push(Value::Table(Table::new()));
        }
        return place(&mut list[index], rest, value);
    }
    let Value::Table(table) = at else { return Err(format!("{key} is inside something that has no keys")) };
    place(table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())), rest, value)
}

/// Numbers, booleans and lists as in TOML; all else is text as it stands.
fn typed(value: &str) -> Value {
    let parsed: Option<Value> =
        toml::from_str::<Table>(&format!("v = {value}")).ok().and_then(|mut table| table.remove("v"));
    match parsed {
        Some(value @ (Value::Boolean(_) | Value::Integer(_) | Value::Array(_) | Value::String(_))) => value,
        _ => Value::String(value.to_owned()),
    }
}
