//! `regain templates`: an operator's templates, texts and assets, laid over the embedded ones.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use similar::TextDiff;

use super::{ConfigArguments, Failure, say};
use crate::{
    app,
    config::Config,
    render::{
        BASES, Overrides, Renderer, base,
        embedded::{self, Sort},
        texts_of,
    },
};

#[derive(Debug, Args)]
pub(super) struct TemplatesArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all files that can be overridden, and how those stand that are.
    List(Place),
    /// Write embedded files to the folder, to be changed there. Of texts all are written as comments: a text is
    /// overridden as soon as its line is none any more. A file that is there already is left alone.
    Export {
        #[command(flatten)]
        place: Place,
        /// The files, as list names them; a folder, such as templates/messages, for all in it.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
    },
    /// Show what has changed in the embedded files since yours were made from them.
    Diff {
        #[command(flatten)]
        place: Place,
        /// The files; all of yours without any.
        #[arg(value_name = "FILE")]
        files: Vec<String>,
        /// Show instead what yours change in the embedded ones.
        #[arg(long, conflicts_with = "seen")]
        own: bool,
        /// Note that you have seen it and changed what there was to change: they count as made from the present ones.
        #[arg(long)]
        seen: bool,
    },
    /// Say what in the folder can't be used, with file, line and reason, and which texts languages lack. Fails if there
    /// is anything that can't be used.
    Check(Place),
}

#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    config: ConfigArguments,
    /// The folder; without it the one that the configuration names as overrides.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Place {
    /// The folder; none if none is named anywhere.
    fn find(&self) -> Result<Option<PathBuf>, Failure> {
        match &self.folder {
            Some(folder) => Ok(Some(folder.clone())),
            None => Ok(self.config.load()?.overrides),
        }
    }

    fn load(&self) -> Result<PathBuf, Failure> {
        let none = "there is no folder: name one with --folder, or as overrides in the configuration";
        self.find()?.ok_or_else(|| Failure(none.into()))
    }
}

/// Carries it out; true if all is well.
pub(super) fn run(arguments: &TemplatesArguments) -> Result<bool, Failure> {
    match &arguments.command {
        Command::List(place) => list(place.find()?).map(|()| true),
        Command::Export { place, files } => export(&place.load()?, files),
        Command::Diff { place, files, own, seen } => diff(&place.load()?, files, *own, *seen).map(|()| true),
        Command::Check(place) => check(&place.load()?),
    }
}

fn open(folder: Option<PathBuf>) -> Result<Renderer, Failure> {
    let config = Config { overrides: folder, ..Config::default() };
    app::open_renderer(&config).map_err(|e| Failure(e.to_string()))
}

/// The folder as it stands.
fn look(folder: &Path) -> Result<(Renderer, Overrides), Failure> {
    let renderer = open(Some(folder.to_owned()))?;
    let overrides = renderer.overrides().ok_or_else(|| Failure("there is no folder".into()))?;
    // A fault of no file is one of the folder.
    match overrides.faults.iter().find(|fault| fault.file.is_empty()) {
        Some(fault) => Err(Failure(format!("{}: {}", folder.display(), fault.reason))),
        None => Ok((renderer, overrides)),
    }
}

fn list(folder: Option<PathBuf>) -> Result<(), Failure> {
    let mut all: BTreeMap<String, &str> = embedded::files().map(|file| (file, "embedded")).collect();
    if let Some(folder) = folder {
        let (_, overrides) = look(&folder)?;
        for file in overrides.files {
            let word = file.word();
            all.insert(file.file, word);
        }
        for fault in overrides.faults {
            all.insert(fault.file, "broken");
        }
    }
    for (file, word) in all {
        say(&format!("{word:<10}  {file}"));
    }
    Ok(())
}

/// Writes the files; true if none was there.
fn export(folder: &Path, wanted: &[String]) -> Result<bool, Failure> {
    let mut all_new = true;
    for file in chosen(wanted, embedded::files().collect())? {
        let Some(bytes) = embedded::find(&file) else { continue };
        let path = folder.join(&file);
        if path.exists() {
            say(&format!("{}: is there already and left alone", path.display()));
            all_new = false;
            continue;
        }
        let is_texts = matches!(Sort::of(&file), Some((Sort::Texts, _)));
        let own = if is_texts {
            Cow::Owned(commented(&String::from_utf8_lossy(&bytes)).into_bytes())
        } else {
            bytes.clone()
        };
        write(&path, &own)?;
        write(&folder.join(BASES).join(&file), &bytes)?;
        say(&format!("{}: written", path.display()));
    }
    Ok(all_new)
}

/// Those of all files that are wanted by name or by folder.
fn chosen(wanted: &[String], all: Vec<String>) -> Result<Vec<String>, Failure> {
    let is_wanted = |file: &str, wanted: &str| {
        let wanted = wanted.trim_end_matches('/');
        file == wanted || file.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
    };
    if let Some(unknown) = wanted.iter().find(|wanted| !all.iter().any(|file| is_wanted(file, wanted))) {
        return Err(Failure(format!("there is no {unknown}; regain templates list names those there are")));
    }
    Ok(all
        .into_iter()
        .filter(|file| wanted.is_empty() || wanted.iter().any(|wanted| is_wanted(file, wanted)))
        .collect())
}

/// A file of texts that overrides none yet.
fn commented(source: &str) -> String {
    let mut text = String::from(
        "# A text is overridden when its line begins with its name: take the # away and write your own. Lines that stay as they\n\
         # are say what is embedded, also when that changes.\n\n",
    );
    for line in source.lines() {
        let is_free = line.is_empty() || line.starts_with(['[', '#']);
        let _ = writeln!(text, "{}{line}", if is_free { "" } else { "#" });
    }
    text
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fails = |error: std::io::Error| Failure(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fails)?;
    }
    // In one step: a running Regain looks for what is new.
    let mut new = tempfile::Builder::new()
        .prefix(".regain-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(path.parent().unwrap_or(Path::new(".")))
        .map_err(fails)?;
    new.write_all(bytes).map_err(fails)?;
    new.persist(path).map_err(|e| fails(e.error))?;
    Ok(())
}

fn diff(folder: &Path, wanted: &[String], is_own: bool, is_seen: bool) -> Result<(), Failure> {
    let (_, overrides) = look(folder)?;
    let files = overrides.files.into_iter().filter(|file| file.is_embedded).map(|file| file.file).collect();
    let mut is_any = false;
    for file in chosen(wanted, files)? {
        let Some(embedded) = embedded::find(&file) else { continue };
        let own = fs::read(folder.join(&file)).map_err(|e| Failure(format!("{file}: {e}")))?;
        let base = base(folder, &file);
        let is_texts = matches!(Sort::of(&file), Some((Sort::Texts, _)));
        let told = match (&base, is_own) {
            (Some(base), false) if is_texts => texts_changed(&file, base, &embedded, &own),
            (Some(base), false) => {
                changed(&file, "as yours was made from it", base, "as it is now", &embedded)
            }
            (None, false) => {
                let text = changed(&file, "embedded", &embedded, "yours", &own);
                format!("{file}: it is not known what yours was made from; what it changes:\n{text}")
            }
            (_, true) if is_texts => texts_own(&file, &embedded, &own),
            (_, true) => changed(&file, "embedded", &embedded, "yours", &own),
        };
        if !told.is_empty() {
            is_any = true;
            say(told.trim_end());
        }
        if is_seen {
            write(&folder.join(BASES).join(&file), &embedded)?;
        }
    }
    if !is_any {
        say("Nothing has changed.");
    }
    Ok(())
}

/// What differs between two versions of a file; empty if nothing does.
fn changed(file: &str, old_name: &str, old: &[u8], new_name: &str, new: &[u8]) -> String {
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return if old == new { String::new() } else { format!("{file}: differs, and is no text\n") };
    };
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff().header(&format!("{file}: {old_name}"), &format!("{file}: {new_name}")).to_string()
}

/// Those of the texts of yours that are others by now beneath it.
fn texts_changed(file: &str, base: &[u8], embedded: &[u8], own: &[u8]) -> String {
    let [base, embedded, own] = [base, embedded, own].map(texts_of);
    let mut told = String::new();
    for (key, own) in own.iter().filter(|(key, _)| base.get(*key) != embedded.get(*key)) {
        let say = |texts: &BTreeMap<String, String>| {
            texts.get(key).map_or("(none)".into(), |text| format!("{text:?}"))
        };
        let _ = writeln!(
            told,
            "{file}: {key}\n  was   {}\n  is    {}\n  yours {own:?}",
            say(&base),
            say(&embedded)
        );
    }
    told
}

/// The texts of yours beside the embedded ones.
fn texts_own(file: &str, embedded: &[u8], own: &[u8]) -> String {
    let [embedded, own] = [embedded, own].map(texts_of);
    let mut told = String::new();
    for (key, own) in &own {
        let embedded = embedded.get(key).map_or("(none)".into(), |text| format!("{text:?}"));
        let _ = writeln!(told, "{file}: {key}\n  embedded {embedded}\n  yours    {own:?}");
    }
    told
}

fn check(folder: &Path) -> Result<bool, Failure> {
    let (renderer, overrides) = look(folder)?;
    for fault in &overrides.faults {
        say(&format!("{}/{fault}", folder.display()));
    }
    for file in overrides.files.iter().filter(|file| file.is_outdated) {
        say(&format!("{}: what it was made from has changed; regain templates diff shows how", file.file));
    }
    for (language, keys) in renderer.texts().missing() {
        say(&format!("texts in {language} that are missing, and said in English: {}", keys.join(", ")));
    }
    let files = overrides.files.len();
    let faults = overrides.faults.len();
    say(&format!("files: {files}, faults: {faults}"));
    Ok(overrides.faults.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commented_file_of_texts_says_nothing_of_its_own() {
        for name in Sort::Texts.names() {
            let text = commented(&Sort::Texts.text(&name).unwrap_or_default());
            assert_eq!(texts_of(text.as_bytes()), BTreeMap::new(), "{name}");
            assert!(toml::from_str::<toml::Table>(&text).is_ok(), "{name}");
            let restored = text.replace("\n#", "\n");
            assert!(restored.len() > 1000, "{name}");
        }
    }
}
