//! Which keys there are, and secrets that are kept in files of their own.

use std::{fs, path::Path};

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::sources::{Source, Sources};
use crate::settings::{
    Fault, Field,
    names::{self, each_section, find},
    table::join,
};

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
    let unknown = names::take_out_unknown(fields, table, |fields, key| {
        find(fields, key).is_some() || secret_of_file(fields, key).is_some()
    });
    let message = |path: &String| {
        let hint = names::hint(fields, path, true, |known| format!("\"{known}\""));
        let place = sources.nearest(path).map(|source| format!("{source}: ")).unwrap_or_default();
        format!("{place}there is no key \"{path}\"; {hint}")
    };
    unknown.iter().map(message).collect()
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
