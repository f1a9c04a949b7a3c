//! Rendering: embedded templates, texts and assets. The only module that names minijinja and rust-embed.
//!
//! It must not know what a page is for: it is given a template's name, a language and a context.

pub mod assets;
pub mod plural;
mod texts;

use std::{borrow::Cow, sync::Arc};

use minijinja::{
    AutoEscape, Environment, UndefinedBehavior, Value,
    value::{Kwargs, Serde},
};
use rust_embed::RustEmbed;
use serde::Serialize;

use assets::Assets;
pub use texts::{COUNTED, Language, Texts};

#[derive(RustEmbed)]
#[folder = "ui/templates"]
struct Templates;

/// Something is wrong with a template or a text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A template can't be read or rendered.
    #[error("template: {0:#}")]
    Template(#[from] minijinja::Error),
    /// A file of texts can't be read.
    #[error("texts of language {0}: {1}")]
    Texts(String, String),
}

/// Templates, texts and assets, ready to use.
pub struct Renderer {
    texts: Arc<Texts>,
    assets: Arc<Assets>,
    /// One environment a language: `t` speaks that language also inside macros, which see no context.
    environments: Vec<(Language, Environment<'static>)>,
}

impl Renderer {
    /// Reads everything that is embedded.
    pub fn new() -> Result<Self, Error> {
        let texts = Arc::new(Texts::embedded()?);
        let assets = Arc::new(Assets::embedded());
        let templates = templates(&assets)?;
        let environments = texts
            .languages()
            .iter()
            .map(|language| (language.clone(), speaking(templates.clone(), language, &texts)))
            .collect();
        Ok(Self { texts, assets, environments })
    }

    /// The languages there are, the reference first.
    pub fn languages(&self) -> &[Language] {
        self.texts.languages()
    }

    /// The texts.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The assets.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Whether there is a template of that name.
    pub fn has(&self, template: &str) -> bool {
        self.environments.first().is_some_and(|(_, environment)| environment.get_template(template).is_ok())
    }

    /// Renders a template in a language.
    pub fn render(&self, template: &str, language: &str, context: impl Serialize) -> Result<String, Error> {
        let environment = self
            .environments
            .iter()
            .find(|(known, _)| known.code == language)
            .or_else(|| self.environments.first())
            .map(|(_, environment)| environment);
        let Some(environment) = environment else {
            return Err(Error::Texts(language.to_owned(), "there are no languages".into()));
        };
        Ok(environment.get_template(template)?.render(Serde(context))?)
    }
}

/// Plain text is only what says so: `body.txt`, or `body.txt.de`.
fn escaping(template: &str) -> AutoEscape {
    let file = template.rsplit('/').next().unwrap_or_default();
    if file.split('.').any(|part| part == "txt") { AutoEscape::None } else { AutoEscape::Html }
}

/// The templates, which are read once for all languages.
fn templates(assets: &Arc<Assets>) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(escaping);
    let assets = Arc::clone(assets);
    environment.add_function("asset", move |name: &str| assets.address(name));
    for name in Templates::iter() {
        let source = Templates::get(&name)
            .map(|file| String::from_utf8_lossy(&file.data).into_owned())
            .unwrap_or_default();
        environment.add_template_owned(Cow::Owned(name.into_owned()), source)?;
    }
    Ok(environment)
}

/// The same templates in a language.
fn speaking(
    mut environment: Environment<'static>,
    language: &Language,
    texts: &Arc<Texts>,
) -> Environment<'static> {
    let (code, all) = (language.code.clone(), Arc::clone(texts));
    environment.add_function("t", move |key: &str, values: Kwargs| -> Result<String, minijinja::Error> {
        let mut named = Vec::new();
        for name in values.args() {
            let value: Value = values.get(name)?;
            named.push((name.to_owned(), value.to_string()));
        }
        let named: Vec<_> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ok(all.text(&code, key, &named))
    });
    let (code, all) = (language.code.clone(), Arc::clone(texts));
    environment.add_filter("day", move |date: &str| all.day(&code, date));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_is_not_escaped() {
        for name in ["a.txt", "messages/code/body.txt", "messages/code/body.txt.de"] {
            assert!(matches!(escaping(name), AutoEscape::None), "{name}");
        }
        for name in ["a.html", "messages/a.txt/body.html", "body.html.de", "a"] {
            assert!(matches!(escaping(name), AutoEscape::Html), "{name}");
        }
    }

    #[test]
    fn every_template_compiles_in_every_language() {
        assert!(Renderer::new().unwrap().languages().len() >= 2);
    }
}
