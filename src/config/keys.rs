//! Which keys there are, what an unknown one was probably meant to be, and secrets that are kept in files of their
//! own.

use std::{fs, path::Path};

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::sources::{Source, Sources};
use crate::settings::{Fault, Field, Shape, table::join};

pub(super) fn find(fields: &[Field], key: &str) -> Option<Field> {
    fields.iter().find(|field| field.key == key).copied()
}

/// The secret whose file `key` names: `service_password` for `service_password_file`.
pub(super) fn secret_of_file(fields: &[Field], key: &str) -> Option<Field> {
    find(fields, key.strip_suffix("_file")?).filter(Field::is_secret)
}

/// Takes the keys out that don't exist, with a message for each.
pub(super) fn take_out_unknown(
    fields: &'static [Field],
    table: &mut Table,
    sources: &Sources,
) -> Vec<String> {
    let mut unknown = Vec::new();
    each_section(fields, table, "", &mut |fields, table, prefix| {
        table.retain(|key, _| {
            let known = find(fields, key).is_some() || secret_of_file(fields, key).is_some();
            if !known {
                unknown.push(join(prefix, key));
            }
            known
        });
    });
    let message = |path: &String| {
        let hint = hint(fields, path, |known| format!("\"{known}\""));
        let place = sources.nearest(path).map(|source| format!("{source}: ")).unwrap_or_default();
        format!("{place}there is no key \"{path}\"; {hint}")
    };
    unknown.iter().map(message).collect()
}

/// Visits a table and all sections in it.
fn each_section(
    fields: &[Field],
    table: &mut Table,
    prefix: &str,
    visit: &mut impl FnMut(&[Field], &mut Table, &str),
) {
    visit(fields, table, prefix);
    for field in fields {
        let path = join(prefix, field.key);
        match (field.shape, table.get_mut(field.key)) {
            (Shape::Section(fields), Some(Value::Table(table))) => each_section(fields, table, &path, visit),
            (Shape::Sections(fields), Some(Value::Array(sections))) => {
                for (index, table) in sections.iter_mut().enumerate() {
                    if let Value::Table(table) = table {
                        each_section(fields, table, &format!("{path}.{index}"), visit);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What an unknown key was probably meant to be, written by `write`; else which keys there are in its section.
pub(super) fn hint(fields: &[Field], path: &str, write: impl Fn(&str) -> String) -> String {
    let mut known = Vec::new();
    // The numbers of sections stay as they were given.
    let number = path.split('.').find(|part| part.parse::<usize>().is_ok()).unwrap_or("0");
    collect(fields, "", number, &mut known);
    let nearest = known
        .iter()
        .map(|candidate| (likeness(path, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(one, _), (two, _)| one.total_cmp(two));
    if let Some((_, nearest)) = nearest {
        return format!("did you mean {}?", write(nearest));
    }
    let section = path.rsplit_once('.').map_or("", |(section, _)| section);
    let beside = |path: &&String| path.rsplit_once('.').map_or("", |(section, _)| section) == section;
    let mut there: Vec<String> = known.iter().filter(beside).map(|path| write(path)).collect();
    if there.is_empty() {
        there = fields.iter().map(|field| write(field.key)).collect();
    }
    format!("there are {}", there.join(", "))
}

fn collect(fields: &[Field], prefix: &str, number: &str, known: &mut Vec<String>) {
    for field in fields {
        let path = join(prefix, field.key);
        match field.shape {
            Shape::Section(fields) => collect(fields, &path, number, known),
            Shape::Sections(fields) => collect(fields, &format!("{path}.{number}"), number, known),
            Shape::Secret => known.push(format!("{path}_file")),
            _ => {}
        }
        known.push(path);
    }
}

/// How much a path is like one that exists, up to 1: its last part counts, and more so in the same section; but a
/// section that is misspelt, left out or joined by one underscore instead of two is the same key, too.
fn likeness(path: &str, candidate: &str) -> f64 {
    let flat = |path: &str| path.replace('.', "_");
    if strsim::damerau_levenshtein(&flat(path), &flat(candidate)) <= 2 {
        return 1.0;
    }
    let split = |path: &'_ str| {
        path.rsplit_once('.').map_or((String::new(), path.to_owned()), |(a, b)| (a.to_owned(), b.to_owned()))
    };
    let ((section, key), (other_section, other_key)) = (split(path), split(candidate));
    strsim::jaro_winkler(&key, &other_key) - if section == other_section { 0.0 } else { 0.1 }
}

/// Puts the content of `x_file` where a secret `x` is wanted. A relative path starts at the folder of the
/// configuration.
pub(super) fn read_secret_files(
    fields: &[Field],
    table: &mut Table,
    folder: &Path,
    sources: &mut Sources,
    faults: &mut Vec<Fault>,
) {
    each_section(fields, table, "", &mut |fields, table, prefix| {
        for field in fields.iter().filter(|field| field.is_secret()) {
            let file_key = format!("{}_file", field.key);
            let Some(file) = table.remove(&file_key) else { continue };
            let (path, file_path) = (join(prefix, field.key), join(prefix, &file_key));
            if table.contains_key(field.key) {
                let is_variable = |path: &str| matches!(sources.find(path), Some(Source::Variable(_)));
                match (is_variable(&path), is_variable(&file_path)) {
                    (true, false) => continue,
                    (false, true) => {}
                    _ => {
                        let text = format!("{} is given as well; one of them is enough", field.key);
                        faults.push(Fault::new(&file_path, text));
                        continue;
                    }
                }
            }
            let Value::String(file) = file else {
                faults.push(Fault::new(&file_path, "must be the path of a file, in quotation marks"));
                continue;
            };
            match fs::read_to_string(folder.join(&file)).map(Zeroizing::new) {
                Ok(text) => {
                    // One line break at the end is the editor's, all else is the secret's.
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    let text = text.strip_suffix('\r').unwrap_or(text);
                    table.insert(field.key.to_owned(), Value::String(text.to_owned()));
                    if let Some(source) = sources.find(&file_path).cloned() {
                        sources.insert(&path, source);
                    }
                }
                Err(error) => faults.push(Fault::new(&file_path, format!("{file}: {error}"))),
            }
        }
    });
}
