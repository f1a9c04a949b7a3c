//! Rendering: embedded templates, texts and assets, and an operator's folder laid over them, file by file and text by text.
//! The only module that names minijinja and rust-embed.
//!
//! It must not know what a page is for: it is given a template's name, a language and a context. What of the folder can't be
//! used is told with file, line and reason, and the embedded one stands in its place, found out before or while drawing.

pub mod assets;
pub mod embedded;
mod folder;
pub mod plural;
mod templates;
mod texts;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use minijinja::{Environment, value::Serde};
use serde::Serialize;

use assets::Assets;
use embedded::Sort;
pub use folder::Fault;
use folder::{Listing, Snapshot};
pub use texts::{COUNTED, Language, Texts, by_key as texts_of};

/// The folder within the operator's in which the embedded files lie as they were when theirs were made from them.
pub const BASES: &str = ".embedded";
/// The most faults that are found while drawing and kept.
const MOST_FAULTS: usize = 100;

/// Something is wrong with what is embedded, or can't be drawn.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A template can't be read or rendered.
    #[error("template: {0:#}")]
    Template(#[from] minijinja::Error),
    /// A file of texts can't be read.
    #[error("texts of {0}: {1}")]
    Texts(String, String),
}

/// Where an operator's files are.
#[derive(Clone, Debug)]
pub struct Place {
    /// Their folder, laid out as `ui`.
    pub folder: PathBuf,
    /// Whether messages are drawn with a template of that name.
    pub is_message: fn(&str) -> bool,
}

/// Templates, texts and assets, ready to use; read again when the operator's change.
pub struct Renderer {
    place: Option<Place>,
    face: ArcSwap<Face>,
}

/// What is in use at a time.
struct Face {
    texts: Arc<Texts>,
    assets: Arc<Assets>,
    /// One environment a language: `t` speaks that language also inside macros, which see no context.
    environments: Vec<(String, Environment<'static>)>,
    /// The same with the embedded templates, for where an operator's fail; none if there are none of theirs.
    fallbacks: Vec<(String, Environment<'static>)>,
    listing: Listing,
    overrides: Vec<Override>,
    faults: Mutex<Vec<Fault>>,
}

/// A file of the operator's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// Its name, within the folder.
    pub file: String,
    /// Whether there is one of that name in the program.
    pub is_embedded: bool,
    /// Whether that one is another by now than the one this was made from.
    pub is_outdated: bool,
}

impl Override {
    /// How it stands, in a word.
    pub const fn word(&self) -> &'static str {
        match (self.is_embedded, self.is_outdated) {
            (_, true) => "outdated",
            (true, false) => "overridden",
            (false, false) => "added",
        }
    }
}

/// How the operator's folder stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overrides {
    /// The folder.
    pub folder: PathBuf,
    /// The files in it.
    pub files: Vec<Override>,
    /// What of it can't be used, and why.
    pub faults: Vec<Fault>,
}

impl Renderer {
    /// Reads what is embedded, and lays the operator's over it if there is a place for that.
    pub fn new(place: Option<Place>) -> Result<Self, Error> {
        let (listing, trouble) = match place.as_ref().map(|place| Listing::of(&place.folder)) {
            None => (Listing::default(), None),
            Some(Ok(listing)) => (listing, None),
            Some(Err(error)) => (Listing::default(), Some(Fault::of("", error.to_string()))),
        };
        let face = Face::new(place.as_ref(), listing)?;
        if let Some(fault) = trouble {
            face.note(fault);
        }
        Ok(Self { place, face: ArcSwap::from_pointee(face) })
    }

    /// The languages there are, the reference first.
    pub fn languages(&self) -> Vec<Language> {
        self.texts().languages().to_vec()
    }

    /// The texts.
    pub fn texts(&self) -> Arc<Texts> {
        Arc::clone(&self.face.load().texts)
    }

    /// The assets.
    pub fn assets(&self) -> Arc<Assets> {
        Arc::clone(&self.face.load().assets)
    }

    /// Renders a template in a language.
    pub fn render(&self, template: &str, language: &str, context: impl Serialize) -> Result<String, Error> {
        let drawn = self.render_first(&[template.to_owned()], language, context)?;
        let missing = || {
            let reason = format!("there is no {template}");
            minijinja::Error::new(minijinja::ErrorKind::TemplateNotFound, reason)
        };
        Ok(drawn.ok_or_else(missing)?)
    }

    /// Renders the first of these templates that there is; `None` if there is none of them. Where an operator's fails, the
    /// first one that is embedded takes its place.
    pub fn render_first(
        &self,
        templates: &[String],
        language: &str,
        context: impl Serialize,
    ) -> Result<Option<String>, Error> {
        let face = self.face.load();
        match draw(&face.environments, templates, language, &context) {
            Err(error) if !face.fallbacks.is_empty() => {
                face.note(Fault {
                    file: format!("{}/{}", Sort::Template.folder(), error.name().unwrap_or_default()),
                    line: error.line(),
                    reason: templates::reason(&error),
                });
                Ok(draw(&face.fallbacks, templates, language, &context)?)
            }
            drawn => Ok(drawn?),
        }
    }

    /// The same without the operator's templates.
    pub fn render_embedded(
        &self,
        templates: &[String],
        language: &str,
        context: impl Serialize,
    ) -> Result<Option<String>, Error> {
        let face = self.face.load();
        let environments = if face.fallbacks.is_empty() { &face.environments } else { &face.fallbacks };
        Ok(draw(environments, templates, language, &context)?)
    }

    /// Notes why what an operator's template made can't be used; false if there is none.
    pub fn refuse(&self, template: &str, reason: &str) -> bool {
        let face = self.face.load();
        if face.fallbacks.is_empty() {
            return false;
        }
        face.note(Fault::of(&format!("{}/{template}", Sort::Template.folder()), reason));
        true
    }

    /// Looks whether the operator's files are others than before and reads them then; true if so. `always`: in any case.
    /// It waits for the disk.
    pub fn reload(&self, always: bool) -> Result<bool, Error> {
        let Some(place) = &self.place else { return Ok(false) };
        let face = self.face.load();
        let listing = match Listing::of(&place.folder) {
            Ok(listing) => listing,
            // What was read stays: a share that is away comes back.
            Err(error) => {
                face.note(Fault::of("", error.to_string()));
                return Ok(false);
            }
        };
        if !always && listing == face.listing && !face.faults().iter().any(|fault| fault.file.is_empty()) {
            return Ok(false);
        }
        self.face.store(Arc::new(Face::new(Some(place), listing)?));
        Ok(true)
    }

    /// How the operator's folder stands; `None` if there is none.
    pub fn overrides(&self) -> Option<Overrides> {
        let place = self.place.as_ref()?;
        let face = self.face.load();
        let faults = face.faults().clone();
        Some(Overrides { folder: place.folder.clone(), files: face.overrides.clone(), faults })
    }
}

impl Face {
    fn new(place: Option<&Place>, listing: Listing) -> Result<Self, Error> {
        let Snapshot { files, mut faults } = listing.read();
        let snapshot = Snapshot { files, faults: Vec::new() };
        let mut texts = Texts::embedded()?;
        texts.lay_over(&snapshot, &mut faults);
        let texts = Arc::new(texts);
        let mut assets = Assets::embedded();
        assets.lay_over(&snapshot, &mut faults);
        let assets = Arc::new(assets);
        let embedded = templates::embedded(&assets)?;
        let own = place.and_then(|place| {
            templates::laid_over(&embedded, &snapshot, &texts, place.is_message, &mut faults)
        });
        let speaking = |environment: &Environment<'static>| {
            let languages = texts.languages().iter();
            languages
                .map(|language| {
                    (language.code.clone(), templates::speaking(environment.clone(), language, &texts))
                })
                .collect::<Vec<_>>()
        };
        for file in snapshot.files.keys().filter(|file| Sort::of(file).is_none()) {
            let folders = Sort::ALL.map(Sort::folder).join(", ");
            faults.push(Fault::of(file, format!("is in none of the folders that are laid over: {folders}")));
        }
        let environments = speaking(own.as_ref().unwrap_or(&embedded));
        let fallbacks = own.map(|_| speaking(&embedded)).unwrap_or_default();
        let overrides = snapshot.files.iter().map(|(file, bytes)| {
            let folder = place.map_or(Path::new(""), |place| &place.folder);
            Override {
                file: file.clone(),
                is_embedded: embedded::find(file).is_some(),
                is_outdated: is_outdated(folder, file, bytes),
            }
        });
        let overrides = overrides.collect();
        faults.sort_unstable();
        faults.iter().for_each(tell);
        Ok(Self { texts, assets, environments, fallbacks, listing, overrides, faults: Mutex::new(faults) })
    }

    fn faults(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a fault that was found while drawing, and tells it once.
    fn note(&self, fault: Fault) {
        let mut faults = self.faults();
        if !faults.contains(&fault) && faults.len() < MOST_FAULTS {
            tell(&fault);
            faults.push(fault);
        }
    }
}

fn tell(fault: &Fault) {
    let Fault { file, line, reason } = fault;
    tracing::warn!(file, line, reason, "an override can't be used: what is embedded takes its place");
}

fn draw(
    environments: &[(String, Environment<'static>)],
    templates: &[String],
    language: &str,
    context: &impl Serialize,
) -> Result<Option<String>, minijinja::Error> {
    let of_language = environments.iter().find(|(known, _)| known == language).or(environments.first());
    let Some((_, environment)) = of_language else { return Ok(None) };
    let template = templates.iter().find_map(|template| environment.get_template(template).ok());
    template.map(|template| template.render(Serde(context))).transpose()
}

/// The embedded file as it was when the operator's was made from it.
pub fn base(folder: &Path, file: &str) -> Option<Vec<u8>> {
    fs::read(folder.join(BASES).join(file)).ok()
}

/// Whether the embedded file is another by now than the one the operator's was made from; of texts, those that are theirs.
fn is_outdated(folder: &Path, file: &str, own: &[u8]) -> bool {
    let (Some(base), Some(present)) = (base(folder, file), embedded::find(file)) else { return false };
    if !matches!(Sort::of(file), Some((Sort::Texts, _))) {
        return base != *present;
    }
    let [own, base, present] = [own, &base, &present].map(texts::by_key);
    own.keys().any(|key| base.get(key) != present.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renderer(files: &[(&str, &str)]) -> (tempfile::TempDir, Renderer) {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            write(folder.path(), file, text);
        }
        let place =
            Place { folder: folder.path().to_owned(), is_message: |name| name.starts_with("messages/") };
        let renderer = Renderer::new(Some(place)).unwrap();
        (folder, renderer)
    }

    fn write(folder: &Path, file: &str, text: &str) {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn faults(renderer: &Renderer) -> Vec<String> {
        renderer.overrides().unwrap().faults.iter().map(ToString::to_string).collect()
    }

    #[derive(Serialize)]
    struct Nothing {}

    const SUBJECT: &str = "messages/subject.txt";

    #[test]
    fn every_template_compiles_in_every_language() {
        let renderer = Renderer::new(None).unwrap();
        assert!(renderer.languages().len() >= 12);
        assert_eq!(renderer.overrides(), None);
        assert!(!renderer.reload(true).unwrap());
    }

    #[test]
    fn a_template_that_fails_while_it_is_drawn_is_replaced_by_the_embedded_one_and_told_once() {
        let own = "{% for item in [1] %}\n{{ item.nothing }}{% endfor %}";
        let (_folder, renderer) = renderer(&[("templates/api.html", own)]);
        let before = faults(&renderer);
        for _ in 0..3 {
            // The embedded one fails for want of a context: it was asked all the same.
            let error = renderer.render("api.html", "de", Nothing {}).unwrap_err().to_string();
            assert!(error.contains("page") || error.contains("base.html"), "{error}");
        }
        let now = faults(&renderer);
        assert_eq!(now.len(), before.len() + 1, "{now:?}");
        assert!(
            now.iter().any(|fault| fault.starts_with("templates/api.html:2: undefined value")),
            "{now:?}"
        );
    }

    #[test]
    fn changes_are_taken_up_and_what_is_broken_leaves_the_embedded_one() {
        let (folder, renderer) = renderer(&[]);
        let folder = folder.path();
        let ok = |renderer: &Renderer| renderer.texts().text("de", "common.ok", &[]);
        assert!(!renderer.reload(false).unwrap());
        write(folder, "i18n/de.toml", "[common]\nok = \"Gut\"\n");
        write(folder, "assets/own.svg", "<svg/>");
        assert!(renderer.reload(false).unwrap());
        assert_eq!(ok(&renderer), "Gut");
        assert_eq!(renderer.assets().find("own.svg").unwrap().media_type, "image/svg+xml");
        assert_eq!(faults(&renderer), Vec::<String>::new());
        write(folder, "i18n/de.toml", "[common]\nok = \"Gut\n");
        write(folder, "notes.md", "x");
        write(folder, "assets/own.exe", "x");
        write(folder, "assets/folder/own.svg", "x");
        assert!(renderer.reload(false).unwrap());
        assert_eq!(ok(&renderer), "OK");
        let told = faults(&renderer);
        assert_eq!(told.len(), 4, "{told:?}");
        for (fault, start) in
            told.iter().zip(["assets/folder/own.svg: ", "assets/own.exe: ", "i18n/de.toml:2: ", "notes.md: "])
        {
            assert!(fault.starts_with(start), "{fault}");
        }
        fs::remove_dir_all(folder).unwrap();
        assert!(!renderer.reload(false).unwrap());
        assert_eq!(faults(&renderer).len(), 5);
        fs::create_dir(folder).unwrap();
        assert!(renderer.reload(false).unwrap());
        assert_eq!(faults(&renderer), Vec::<String>::new());
    }

    #[test]
    fn the_first_template_there_is_is_drawn() {
        let (_folder, renderer) = renderer(&[("templates/messages/reset/subject.txt.de", "Neu")]);
        let places =
            ["messages/reset/subject.txt.de", "messages/reset/subject.txt", SUBJECT].map(str::to_owned);
        let drawn = renderer.render_first(&places, "de", Nothing {}).unwrap();
        assert_eq!(drawn.as_deref(), Some("Neu"));
        assert_eq!(renderer.render_first(&["messages/none.txt".to_owned()], "de", Nothing {}).unwrap(), None);
        assert!(renderer.render("none.html", "de", Nothing {}).is_err());
    }

    #[test]
    fn an_override_whose_embedded_file_has_changed_is_known() {
        let menu = Sort::Template.text("user/menu.html").unwrap();
        let (_folder, renderer) = renderer(&[
            ("templates/user/menu.html", &menu),
            (".embedded/templates/user/menu.html", "older"),
            ("templates/user/code.html", &Sort::Template.text("user/code.html").unwrap()),
            (".embedded/templates/user/code.html", &Sort::Template.text("user/code.html").unwrap()),
            ("i18n/de.toml", "[common]\nok = \"Gut\"\n"),
            (".embedded/i18n/de.toml", "[common]\nok = \"OK\"\nnext = \"Vor\"\n"),
            ("i18n/fr.toml", "[common]\nok = \"Bon\"\n"),
            (".embedded/i18n/fr.toml", "[common]\nok = \"Bien\"\n"),
            ("assets/own.svg", "<svg/>"),
        ]);
        let overrides = renderer.overrides().unwrap();
        assert_eq!(overrides.faults, []);
        let standing: Vec<_> =
            overrides.files.iter().map(|it| (it.file.as_str(), it.is_embedded, it.is_outdated)).collect();
        assert_eq!(
            standing,
            [
                ("assets/own.svg", false, false),
                ("i18n/de.toml", true, false),
                ("i18n/fr.toml", true, true),
                ("templates/user/code.html", true, false),
                ("templates/user/menu.html", true, true),
            ]
        );
    }
}
