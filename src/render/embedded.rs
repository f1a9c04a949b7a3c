//! What is in the program, by the names that the same files have in an operator's folder: `templates/base.html`,
//! `i18n/de.toml`, `assets/regain.css`.

use std::borrow::Cow;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "ui/templates"]
struct Templates;

#[derive(RustEmbed)]
#[folder = "ui/i18n"]
struct Texts;

#[derive(RustEmbed)]
#[folder = "ui/assets"]
struct Assets;

/// The sorts of files, by the folder each is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// Templates of pages and messages.
    Template,
    /// Texts of a language.
    Texts,
    /// Style sheet, script and icons.
    Asset,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Template, Self::Texts, Self::Asset];

    /// The folder they are in.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Template => "templates",
            Self::Texts => "i18n",
            Self::Asset => "assets",
        }
    }

    /// The sort of a file and its name within the folder.
    pub fn of(file: &str) -> Option<(Self, &str)> {
        let (folder, name) = file.split_once('/')?;
        Self::ALL.into_iter().find(|sort| sort.folder() == folder).map(|sort| (sort, name))
    }

    /// The names of its files, within the folder.
    pub fn names(self) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Template => Templates::iter().map(Cow::into_owned).collect(),
            Self::Texts => Texts::iter().map(Cow::into_owned).collect(),
            Self::Asset => Assets::iter().map(Cow::into_owned).collect(),
        };
        names.sort_unstable();
        names
    }

    /// One of its files, by the name within the folder.
    pub fn find(self, name: &str) -> Option<Cow<'static, [u8]>> {
        let file = match self {
            Self::Template => Templates::get(name),
            Self::Texts => Texts::get(name),
            Self::Asset => Assets::get(name),
        };
        file.map(|file| file.data)
    }

    /// The same as text; nothing that is in the program is anything else.
    pub fn text(self, name: &str) -> Option<String> {
        self.find(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A file by its whole name: `templates/base.html`.
pub fn find(file: &str) -> Option<Cow<'static, [u8]>> {
    Sort::of(file).and_then(|(sort, name)| sort.find(name))
}

/// The names of all files.
pub fn files() -> impl Iterator<Item = String> {
    Sort::ALL
        .into_iter()
        .flat_map(|sort| sort.names().into_iter().map(move |name| format!("{}/{name}", sort.folder())))
}
