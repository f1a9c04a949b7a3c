//! Environment variables as keys: `REGAIN_BASE_URL`, `REGAIN_SETTINGS__DOMAIN__0__DNS_NAME`. What a variable holds is
//! understood as what its key can hold, so that a password of digits stays a text.

use toml::{Table, Value};

use super::{
    keys,
    sources::{Source, Sources},
};
use crate::settings::{Field, Shape, names};

/// What the names of Regain's variables begin with.
pub(super) const PREFIX: &str = "REGAIN_";

/// Lays the variables over the table, and tells what is wrong with them.
pub(super) fn overlay(
    fields: &'static [Field],
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
    sources: &mut Sources,
) -> Vec<String> {
    let mut ours: Vec<(Vec<String>, String, String)> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX).filter(|rest| !is_of_kubernetes(rest))?;
            Some((path.split("__").map(str::to_lowercase).collect(), name, value))
        })
        .collect();
    // A list before its items, and these by number: 2 before 10.
    ours.sort_by_cached_key(|(path, ..)| {
        path.iter().map(|part| (part.parse::<usize>().unwrap_or(0), part.clone())).collect::<Vec<_>>()
    });
    let mut faults = Vec::new();
    for (path, name, value) in ours {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        // What config::environment could not read as text.
        let placed = if value.contains(char::REPLACEMENT_CHARACTER) {
            Err(Misplaced::Because("is not UTF-8".into()))
        } else {
            place(fields, table, &parts, &value)
        };
        let key = path.join(".");
        match placed {
            Ok(()) => {
                sources.forget_within(&key);
                sources.insert(&key, Source::Variable(name));
            }
            Err(Misplaced::Unknown) => {
                let hint = names::hint(fields, &key, true, |known| {
                    format!("{PREFIX}{}", known.replace('.', "__").to_uppercase())
                });
                faults.push(format!("{name}: there is no such key; {hint}"));
            }
            Err(Misplaced::Because(text)) => faults.push(format!("{name}: {text}")),
        }
    }
    faults
}

/// Kubernetes gives every container such variables of a service that is called `regain`.
fn is_of_kubernetes(rest: &str) -> bool {
    ["PORT", "SERVICE_HOST", "SERVICE_PORT"].contains(&rest)
        || rest.starts_with("PORT_")
        || rest.starts_with("SERVICE_PORT_")
}

enum Misplaced {
    Unknown,
    Because(String),
}

fn place(fields: &[Field], table: &mut Table, path: &[&str], text: &str) -> Result<(), Misplaced> {
    let Some((&key, rest)) = path.split_first() else { return Err(Misplaced::Unknown) };
    let Some(field) = names::find(fields, key) else {
        if rest.is_empty() && keys::secret_of_file(fields, key).is_some() {
            table.insert(key.to_owned(), Value::String(text.to_owned()));
            return Ok(());
        }
        return Err(Misplaced::Unknown);
    };
    match (field.shape, rest) {
        (Shape::Section(_) | Shape::Sections(_), []) => {
            Err(Misplaced::Because("is a section; name one of its keys".into()))
        }
        (Shape::Section(fields), rest) => {
            let inner = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
            within(inner.as_table_mut(), |inner| place(fields, inner, rest, text))
        }
        (Shape::Sections(fields), [index, rest @ ..]) => {
            let list = table.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            within(list.as_array_mut(), |list| {
                // Found out first, so that a wrong name makes no section.
                place(fields, &mut Table::new(), rest, text)?;
                let item = item(list, index, || Value::Table(Table::new()))?;
                within(item.as_table_mut(), |inner| place(fields, inner, rest, text))
            })
        }
        (_, []) => {
            table.insert(key.to_owned(), field.understand(text));
            Ok(())
        }
        (Shape::List, [index]) => {
            let list = table.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            within(list.as_array_mut(), |list| set_item(list, index, text))
        }
        (Shape::ListsByLanguage, [language, rest @ ..]) => {
            let lists = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
            within(lists.as_table_mut(), |lists| match rest {
                [] => {
                    let list = text.parse().unwrap_or_else(|_| Value::String(text.to_owned()));
                    lists.insert((*language).to_owned(), list);
                    Ok(())
                }
                [index] => {
                    let list = lists.entry(*language).or_insert_with(|| Value::Array(Vec::new()));
                    within(list.as_array_mut(), |list| set_item(list, index, text))
                }
                _ => Err(Misplaced::Unknown),
            })
        }
        _ => Err(Misplaced::Unknown),
    }
}

/// Where the file has something else than the key can hold, that is told as the file's fault.
fn within<T>(
    inner: Option<&mut T>,
    place: impl FnOnce(&mut T) -> Result<(), Misplaced>,
) -> Result<(), Misplaced> {
    inner.map_or(Ok(()), place)
}

fn set_item(list: &mut Vec<Value>, index: &str, text: &str) -> Result<(), Misplaced> {
    *item(list, index, || Value::String(String::new()))? = Value::String(text.to_owned());
    Ok(())
}

fn item<'a>(
    list: &'a mut Vec<Value>,
    index: &str,
    new: impl FnOnce() -> Value,
) -> Result<&'a mut Value, Misplaced> {
    let index: usize = index.parse().map_err(|_| Misplaced::Unknown)?;
    let length = list.len();
    if index > length {
        return Err(Misplaced::Because(format!("there is no number {length} before number {index}")));
    }
    if index == length {
        list.push(new());
    }
    list.get_mut(index).ok_or(Misplaced::Unknown)
}
