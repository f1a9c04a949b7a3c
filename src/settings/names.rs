//! The names of settings: which there are, and what an unknown one was probably meant to be.

use toml::{Table, Value};

use super::{Field, Shape, table::join};

/// The longest name that it makes sense to compare with those there are, in characters.
pub const LONGEST: usize = 200;

/// The field of that name among these.
pub fn find(fields: &[Field], key: &str) -> Option<Field> {
    fields.iter().find(|field| field.key == key).copied()
}

/// Takes out what is none of these fields, in all sections; gives the keys.
pub fn take_out_unknown(
    fields: &[Field],
    table: &mut Table,
    is_known: impl Fn(&[Field], &str) -> bool,
) -> Vec<String> {
    let mut unknown = Vec::new();
    each_section(fields, table, "", &mut |fields, table, prefix| {
        table.retain(|key, _| {
            let known = is_known(fields, key);
            if !known {
                unknown.push(join(prefix, key));
            }
            known
        });
    });
    unknown
}

/// Visits a table and all sections in it.
pub fn each_section(
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

/// What an unknown key was probably meant to be, written by `write`; else which keys there are in its section. Secrets
/// may be given as files, or not.
pub fn hint(fields: &[Field], path: &str, with_files: bool, write: impl Fn(&str) -> String) -> String {
    let mut known = Vec::new();
    // The numbers of sections stay as they were given.
    let number = path.split('.').find(|part| part.parse::<usize>().is_ok()).unwrap_or("0");
    collect(fields, "", (number, with_files), &mut known);
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

fn collect(fields: &[Field], prefix: &str, shape: (&str, bool), known: &mut Vec<String>) {
    for field in fields {
        let path = join(prefix, field.key);
        match field.shape {
            Shape::Section(fields) => collect(fields, &path, shape, known),
            Shape::Sections(fields) => collect(fields, &format!("{path}.{}", shape.0), shape, known),
            Shape::Secret if shape.1 => known.push(format!("{path}_file")),
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
