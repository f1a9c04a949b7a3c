//! The templates: those in the program, and an operator's laid over them. What can be known of a template without drawing it
//! is looked at before it is used.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, value::Kwargs};

use super::{
    assets::Assets,
    embedded::Sort,
    folder::{Fault, Snapshot, line},
    texts::{Language, Texts},
};

/// What a template has to go on having if it is in the embedded one: without the first no form is taken; the others are what
/// programs that drive the pages go by.
const NEEDED: [&str; 4] = ["csrf", "data-flow", "data-step", "data-reference"];

/// Plain text is only what says so: `body.txt`, or `body.txt.de`.
fn escaping(template: &str) -> AutoEscape {
    let file = template.rsplit('/').next().unwrap_or_default();
    if file.split('.').any(|part| part == "txt") { AutoEscape::None } else { AutoEscape::Html }
}

/// The templates in the program, which are read once for all languages.
pub(super) fn embedded(assets: &Arc<Assets>) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(escaping);
    let assets = Arc::clone(assets);
    environment.add_function("asset", move |name: &str| assets.address(name));
    for name in Sort::Template.names() {
        let source = Sort::Template.text(&name).unwrap_or_default();
        environment.add_template_owned(Cow::Owned(name), source)?;
    }
    Ok(environment)
}

/// The same templates in a language.
pub(super) fn speaking(
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

/// An operator's templates over those of the program; `None` if there is none that can be used.
pub(super) fn laid_over(
    embedded: &Environment<'static>,
    snapshot: &Snapshot,
    texts: &Texts,
    is_message: fn(&str) -> bool,
    faults: &mut Vec<Fault>,
) -> Option<Environment<'static>> {
    let judge = Judge { embedded, texts, is_message, sources: sources() };
    let mut environment = embedded.clone();
    let mut added = Vec::new();
    let mut is_any = false;
    for (file, bytes) in &snapshot.files {
        let Some((Sort::Template, name)) = Sort::of(file) else { continue };
        let taken = std::str::from_utf8(bytes)
            .map_err(|_| Fault::of(file, "is not in UTF-8"))
            .and_then(|source| judge.judge(&mut environment, file, name, source));
        match taken {
            Ok(()) => {
                is_any = true;
                let ending = name.rsplit('.').next().unwrap_or_default();
                let is_known = ["txt", "html"].contains(&ending) || texts.has_language(ending);
                if is_message(name) && !is_known {
                    faults
                        .push(Fault::of(file, format!("is for a language there are no texts of: {ending}")));
                }
                if !judge.sources.contains_key(name) && !is_message(name) {
                    added.push((file, name));
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    // A file beside the others whose name nothing asks for was meant for another name.
    for (file, name) in added {
        let is_named =
            |(_, template): (&str, minijinja::Template<'_, '_>)| named(template.source()).contains(name);
        if !environment.templates().any(is_named) {
            faults
                .push(Fault::of(file, "is used by no template; regain templates list names those there are"));
        }
    }
    is_any.then_some(environment)
}

/// Why a template can't be used, as the library says it.
pub(super) fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn sources() -> BTreeMap<String, String> {
    let names = Sort::Template.names();
    names.into_iter().filter_map(|name| Some((name.clone(), Sort::Template.text(&name)?))).collect()
}

struct Judge<'a> {
    embedded: &'a Environment<'static>,
    texts: &'a Texts,
    is_message: fn(&str) -> bool,
    /// The templates in the program.
    sources: BTreeMap<String, String>,
}

impl Judge<'_> {
    /// Puts a template into the environment, if it can be one.
    fn judge(
        &self,
        environment: &mut Environment<'static>,
        file: &str,
        name: &str,
        source: &str,
    ) -> Result<(), Fault> {
        // Looked at apart, so that what is refused has replaced nothing.
        let mut apart = self.embedded.clone();
        apart.add_template_owned(name.to_owned(), source.to_owned()).map_err(|error| Fault {
            file: file.to_owned(),
            line: error.line(),
            reason: reason(&error),
        })?;
        let at = |word: &str, reason: String| match source.find(word) {
            Some(at) => Fault::at(file, line(source, at), reason),
            None => Fault::of(file, reason),
        };
        for (start, key) in keys(source) {
            if !self.texts.has(key) {
                return Err(Fault::at(file, line(source, start), format!("there is no text {key}")));
            }
        }
        let like = self.like(name);
        if let Some(like) = &like {
            let lost = |sort, of: BTreeSet<&str>| {
                let own = defined(source, sort);
                of.into_iter()
                    .find(|name| !own.contains(name))
                    .map(|name| Fault::of(file, format!("has no {sort} {name}, which other templates need")))
            };
            let macros = if self.is_imported(name) { defined(like, "macro") } else { BTreeSet::new() };
            let blocks = || lost("block", self.blocks_filled(name));
            if let Some(fault) = lost("macro", macros).or_else(blocks) {
                return Err(fault);
            }
            if let Some(word) = NEEDED.iter().find(|word| like.contains(**word) && !source.contains(**word)) {
                let why =
                    if *word == "csrf" { "no form would be taken without it" } else { "programs go by it" };
                return Err(Fault::of(file, format!("has no {word}: {why}")));
            }
            if self.has_code(like) && !self.has_code(source) {
                return Err(Fault::of(file, "has no [CODE], which is what it is for"));
            }
        }
        let known = self.known(name, like.is_some());
        let wanted = apart.get_template(name).map(|template| template.undeclared_variables(true));
        for variable in wanted.unwrap_or_default() {
            if !is_known(&known, &variable) {
                return Err(at(&variable, format!("there is no {variable} in it")));
            }
        }
        let added = environment.add_template_owned(name.to_owned(), source.to_owned());
        added.map_err(|error| Fault::of(file, reason(&error)))
    }

    /// The template in the program that this one stands for. That of one message stands for that of all of them.
    fn like(&self, name: &str) -> Option<&String> {
        let places = [name.to_owned()].into_iter().chain(general(name));
        places.into_iter().find_map(|place| self.sources.get(&place))
    }

    /// Whether there is the code in a message, or a text that has it.
    fn has_code(&self, source: &str) -> bool {
        source.contains("[CODE]") || keys(source).iter().any(|(_, key)| self.texts.needs_code(key))
    }

    /// The blocks of a template that others fill.
    fn blocks_filled(&self, name: &str) -> BTreeSet<&str> {
        let Some(own) = self.sources.get(name).map(|source| defined(source, "block")) else {
            return BTreeSet::new();
        };
        let heirs = self.sources.iter().filter(|(heir, _)| *heir != name && self.chain(heir).contains(name));
        heirs.flat_map(|(_, source)| defined(source, "block")).filter(|block| own.contains(block)).collect()
    }

    /// Whether others take macros from it.
    fn is_imported(&self, name: &str) -> bool {
        let ways = [format!("import \"{name}\""), format!("from \"{name}\"")];
        self.sources.values().any(|source| ways.iter().any(|way| source.contains(way)))
    }

    /// A template in the program and all that it is made of.
    fn chain<'a>(&'a self, name: &'a str) -> BTreeSet<&'a str> {
        let mut chain = BTreeSet::from([name]);
        let mut open = vec![name];
        while let Some(name) = open.pop() {
            let parts = self.sources.get(name).map(|source| named(source)).unwrap_or_default();
            open.extend(parts.into_iter().filter(|part| chain.insert(part)));
        }
        chain
    }

    /// What a template is given: all that those in the program ask for in that place.
    fn known(&self, name: &str, has_like: bool) -> BTreeSet<String> {
        let chain = self.chain(name);
        let is_near = |other: &str| match () {
            () if (self.is_message)(name) => other.starts_with("messages/"),
            () if has_like => chain.contains(other),
            () => true,
        };
        let near = self.embedded.templates().filter(|(other, _)| is_near(other));
        near.flat_map(|(_, template)| template.undeclared_variables(true)).collect()
    }
}

/// The more general places of a message's template: that in any language, then that of any message.
fn general(name: &str) -> Vec<String> {
    let Some((folder, file)) = name.rsplit_once('/') else { return Vec::new() };
    let mut parts = file.splitn(3, '.');
    let file = match (parts.next(), parts.next()) {
        (Some(stem), Some(ending)) => format!("{stem}.{ending}"),
        _ => return Vec::new(),
    };
    let above = folder.split('/').next().unwrap_or_default();
    vec![format!("{folder}/{file}"), format!("{above}/{file}")]
}

/// Whether that is known, or part of something that is.
fn is_known(known: &BTreeSet<String>, variable: &str) -> bool {
    known.contains(variable) || variable.rmatch_indices('.').any(|(at, _)| known.contains(&variable[..at]))
}

/// The names of the templates that a template names.
fn named(source: &str) -> BTreeSet<&str> {
    let words = ["extends", "import", "from", "include"];
    let after = |word: &'static str| {
        source.split(word).skip(1).filter_map(|tail| tail.trim_start().strip_prefix('"')?.split('"').next())
    };
    words.into_iter().flat_map(after).collect()
}

/// The names of the blocks or macros in a template.
fn defined<'a>(source: &'a str, sort: &str) -> BTreeSet<&'a str> {
    let tags = source.split("{%").skip(1).map(|tag| tag.trim_start_matches(['-', '+']).trim_start());
    let is_end = |c: char| !c.is_alphanumeric() && c != '_';
    tags.filter_map(|tag| tag.strip_prefix(sort)?.strip_prefix(' '))
        .filter_map(|tail| tail.trim_start().split(is_end).next())
        .collect()
}

/// The keys of texts that are named whole in a template, and where.
fn keys(source: &str) -> Vec<(usize, &str)> {
    let is_call = |at: usize| !source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let calls = source.match_indices("t(\"").filter(|(at, _)| is_call(*at));
    calls
        .filter_map(|(at, opening)| {
            let (key, tail) = source[at + opening.len()..].split_once('"')?;
            tail.trim_start().starts_with([')', ',']).then_some((at, key))
        })
        .collect()
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

    fn program() -> (Texts, Environment<'static>) {
        (Texts::embedded().unwrap(), embedded(&Arc::new(Assets::embedded())).unwrap())
    }

    /// What is told of a template under that name.
    fn told((texts, embedded): &(Texts, Environment<'static>), name: &str, source: &str) -> String {
        let file = format!("templates/{name}");
        let files = BTreeMap::from([(file, source.as_bytes().to_vec())]);
        let snapshot = Snapshot { files, faults: Vec::new() };
        let mut faults = Vec::new();
        let is_message: fn(&str) -> bool = |name| name.starts_with("messages/");
        laid_over(embedded, &snapshot, texts, is_message, &mut faults);
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_template_in_the_program_could_be_laid_over_itself() {
        let program = program();
        for (name, source) in sources() {
            assert_eq!(told(&program, &name, &source), "", "{name}");
        }
    }

    #[test]
    fn a_template_that_cannot_be_drawn_is_told_with_its_line() {
        let program = program();
        for (name, source, expected) in [
            ("user/menu.html", "a\n{% if %}", "templates/user/menu.html:2: syntax error: "),
            (
                "user/menu.html",
                "{% extends \"base.html\" %}\n{% block main %}{{ page.produkt }}{% endblock %}",
                "templates/user/menu.html:2: there is no page.produkt in it",
            ),
            (
                "user/menu.html",
                "{{ t(\"common.ok\") }}\n\n{{ t(\"common.okay\", name=1) }}",
                "templates/user/menu.html:3: there is no text common.okay",
            ),
            ("base.html", "{{ page.flow }}", "templates/base.html: has no block "),
            ("components/icon.html", "x", "templates/components/icon.html: has no macro icon, which"),
            (
                "admin/verify.html",
                "{% extends \"admin/panel.html\" %}",
                "templates/admin/verify.html: has no csrf: no form would be taken without it",
            ),
            ("messages/code/body.txt.de", "Hallo!", "templates/messages/code/body.txt.de: has no [CODE]"),
            ("messages/code/sms.txt", "Hallo!", "templates/messages/code/sms.txt: has no [CODE]"),
            (
                "messages/reset/body.txt",
                "{{ nobody }}",
                "templates/messages/reset/body.txt:1: there is no nobody",
            ),
            ("user/mneu.html", "x", "templates/user/mneu.html: is used by no template"),
        ] {
            let told = told(&program, name, source);
            assert!(told.starts_with(expected), "{name}: {told}");
        }
    }

    #[test]
    fn a_template_may_be_quite_another() {
        let program = program();
        for (name, source) in [
            (
                "user/menu.html",
                "{% extends \"base.html\" %}{% block main %}{{ page.product }}{% for item in items %}<a href=\"{{ item.href }}\">{{ t(\"menu.\" ~ item.flow ~ \".title\") }}</a>{% endfor %}{% endblock %}",
            ),
            ("messages/code/sms.txt.de", "{{ product }}: [CODE]"),
            ("messages/reset/subject.txt", "{{ t(\"message.reset.subject\") }} {{ product }}"),
        ] {
            assert_eq!(told(&program, name, source), "", "{name}");
        }
    }
}
