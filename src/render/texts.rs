//! The texts: for each language a TOML file of what the pages and messages say, and perhaps one of the admin panel and one
//! of its settings. English is the reference and the fall-back. Knows plurals and how a day is written, and lays an
//! operator's texts over the embedded ones, one by one.

use std::collections::{BTreeMap, HashMap};

use toml::de::{DeTable, DeValue};

use super::{
    Error,
    embedded::Sort,
    folder::{Fault, Snapshot, line},
    plural,
};

/// A language there are texts in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Language {
    /// Its code (BCP 47), as in `?lang=de`.
    pub code: String,
    /// Its name in itself.
    pub name: String,
    /// The direction it is written in.
    pub direction: &'static str,
    /// Whether the admin panel speaks it.
    pub has_panel: bool,
    /// Whether the pages are for the small browser of a logon screen: they lead nowhere else then.
    pub is_for_logon: bool,
}

/// The languages Regain knows by name, in the order they are offered. English first: it is the reference.
const NAMES: [(&str, &str); 12] = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("fr", "Français"),
    ("es", "Español"),
    ("it", "Italiano"),
    ("nl", "Nederlands"),
    ("pt", "Português"),
    ("pl", "Polski"),
    ("ru", "Русский"),
    ("zh", "简体中文"),
    ("ja", "日本語"),
    ("ar", "العربية"),
];

/// The placeholders that stand for what is counted; a text has one of them at most.
pub const COUNTED: [&str; 6] = ["count", "days", "minimum", "minutes", "needed", "seconds"];

/// Where a file says something of its language instead of a text.
const ABOUT: &str = "language.";
const LEFT_TO_RIGHT: &str = "ltr";
const RIGHT_TO_LEFT: &str = "rtl";

/// The word in brackets that a message can't do without, if it has it.
const CODE: &str = "[CODE]";

/// The parts that a language's texts are in, by the folder within `i18n`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Pages,
    Panel,
    Settings,
}

impl Part {
    const ALL: [Self; 3] = [Self::Pages, Self::Panel, Self::Settings];

    const fn folder(self) -> &'static str {
        match self {
            Self::Pages => "",
            Self::Panel => "panel/",
            Self::Settings => "settings/",
        }
    }

    /// The part and the language of a file, by its name within `i18n`.
    fn of(name: &str) -> Option<(Self, &str)> {
        let at = name.rfind('/').map_or(0, |at| at + 1);
        let part = Self::ALL.into_iter().find(|part| part.folder() == &name[..at])?;
        let code = name[at..].strip_suffix(".toml")?;
        let is_code = (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
        is_code.then_some((part, code))
    }
}

/// What is known of a text: what its translations have to keep to.
#[derive(Debug)]
struct Known {
    part: Part,
    placeholders: Vec<String>,
    needs_code: bool,
    /// Whether it has a form for each sort of number.
    is_plural: bool,
}

/// The texts of one language.
#[derive(Debug, Default)]
struct Words {
    texts: HashMap<String, String>,
    /// The language whose plurals it has.
    plurals: String,
}

/// The texts of all languages.
#[derive(Debug)]
pub struct Texts {
    /// English first, and always there.
    languages: Vec<Language>,
    by_language: HashMap<String, Words>,
    /// The texts there are, by those that the program has in English.
    known: BTreeMap<String, Known>,
}

impl Texts {
    pub(super) fn embedded() -> Result<Self, Error> {
        let mut texts = Self { languages: Vec::new(), by_language: HashMap::new(), known: BTreeMap::new() };
        for (code, name) in NAMES {
            let mut words = Words { texts: HashMap::new(), plurals: code.to_owned() };
            for part in Part::ALL {
                let file = format!("{}{code}.toml", part.folder());
                let Some(source) = Sort::Texts.text(&file) else { continue };
                let fault = |(_, text)| Error::Texts(file.clone(), text);
                let mut own = BTreeMap::new();
                for Entry { key, text, at } in read(&source).map_err(fault)? {
                    own.insert(key, text.map_err(|text| fault((at, text)))?);
                }
                if code == "en" {
                    texts.know(part, &own);
                }
                words.texts.extend(own);
                if part == Part::Panel {
                    texts.language_mut(code, name).has_panel = true;
                }
            }
            if words.texts.is_empty() {
                continue;
            }
            let language = texts.language_mut(code, name);
            language.direction = if code == "ar" { RIGHT_TO_LEFT } else { LEFT_TO_RIGHT };
            texts.by_language.insert(code.to_owned(), words);
        }
        if texts.languages.first().is_none_or(|language| language.code != "en") {
            return Err(Error::Texts("en.toml".into(), "is missing".into()));
        }
        Ok(texts)
    }

    /// Lays an operator's texts over these, one by one. What can't be is left out, with the reason.
    pub(super) fn lay_over(&mut self, snapshot: &Snapshot, faults: &mut Vec<Fault>) {
        let mut files = Vec::new();
        for (file, bytes) in &snapshot.files {
            let Some((Sort::Texts, name)) = Sort::of(file) else { continue };
            match Part::of(name) {
                Some((part, code)) => files.push((part, code, file, bytes)),
                None => faults.push(Fault::of(
                    file,
                    "is not one of texts: those are i18n/LANGUAGE.toml, i18n/panel/LANGUAGE.toml and \
                     i18n/settings/LANGUAGE.toml, where LANGUAGE is a code such as \"sv\"",
                )),
            }
        }
        // A language is there when its pages are.
        files.sort_unstable_by_key(|(part, ..)| *part);
        for (part, code, file, bytes) in files {
            let Ok(source) = std::str::from_utf8(bytes) else {
                faults.push(Fault::of(file, "is not in UTF-8"));
                continue;
            };
            match read(source) {
                Ok(entries) => self.lay_over_file(part, code, (file, source), entries, faults),
                Err((at, reason)) => faults.push(Fault::at(file, line(source, at), reason)),
            }
        }
    }

    fn lay_over_file(
        &mut self,
        part: Part,
        code: &str,
        (file, source): (&str, &str),
        entries: Vec<Entry>,
        faults: &mut Vec<Fault>,
    ) {
        let (about, entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| part == Part::Pages && entry.key.starts_with(ABOUT));
        let mut name = None;
        let (mut direction, mut plurals) = (None, None);
        for entry in about {
            let key = entry.key.trim_start_matches(ABOUT);
            match (key, entry.text) {
                ("name", Ok(text)) if !text.trim().is_empty() => name = Some(text),
                ("direction", Ok(text)) if text == LEFT_TO_RIGHT => direction = Some(LEFT_TO_RIGHT),
                ("direction", Ok(text)) if text == RIGHT_TO_LEFT => direction = Some(RIGHT_TO_LEFT),
                ("plurals", Ok(text)) if plural::KNOWN.contains(&text.as_str()) => plurals = Some(text),
                _ => {
                    let reason = format!(
                        "of a language there are a name, a direction (\"ltr\" or \"rtl\") and plurals (those of \"{}\")",
                        plural::KNOWN.join("\", \"")
                    );
                    faults.push(Fault::at(file, line(source, entry.at), reason));
                }
            }
        }
        if !self.by_language.contains_key(code) {
            let Some(name) = &name else {
                let reason = match part {
                    Part::Pages => {
                        "is of a language that is not known: its name is missing, as in [language] name = \"Svenska\""
                    }
                    _ => "is of a language that the pages don't speak: its i18n/LANGUAGE.toml comes first",
                };
                faults.push(Fault::of(file, reason));
                return;
            };
            let words = Words { texts: HashMap::new(), plurals: code.to_owned() };
            self.by_language.insert(code.to_owned(), words);
            self.language_mut(code, name);
        }
        let language = self.language_mut(code, "");
        language.name = name.unwrap_or_else(|| language.name.clone());
        language.direction = direction.unwrap_or(language.direction);
        language.has_panel |= part == Part::Panel;
        let Some(words) = self.by_language.get_mut(code) else { return };
        words.plurals = plurals.unwrap_or_else(|| words.plurals.clone());
        for entry in entries {
            match judge(&self.known, part, &words.plurals, &entry) {
                Ok(text) => {
                    words.texts.insert(entry.key, text);
                }
                Err(reason) => faults.push(Fault::at(file, line(source, entry.at), reason)),
            }
        }
    }

    /// What is known of the texts there are, by the embedded English ones.
    fn know(&mut self, part: Part, texts: &BTreeMap<String, String>) {
        for (key, text) in texts {
            let plural = key.rsplit_once('.').filter(|(base, form)| {
                let has = |form: &str| texts.contains_key(&format!("{base}.{form}"));
                plural::FORMS.contains(form) && has("one") && has("other")
            });
            let whole = plural.map_or(key.as_str(), |(base, _)| base);
            let known = self.known.entry(whole.to_owned()).or_insert(Known {
                part,
                placeholders: Vec::new(),
                needs_code: false,
                is_plural: plural.is_some(),
            });
            known.placeholders.extend(placeholders(text).map(str::to_owned));
            known.needs_code |= text.contains(CODE);
        }
    }

    fn language_mut(&mut self, code: &str, name: &str) -> &mut Language {
        let at = self.languages.iter().position(|language| language.code == code).unwrap_or_else(|| {
            self.languages.push(Language {
                code: code.to_owned(),
                name: name.to_owned(),
                direction: LEFT_TO_RIGHT,
                has_panel: false,
                is_for_logon: false,
            });
            self.languages.len() - 1
        });
        &mut self.languages[at]
    }

    /// What each language lacks, by its code; it is said in English.
    pub fn missing(&self) -> Vec<(String, Vec<String>)> {
        let lacks = |language: &Language| {
            let words = self.by_language.get(&language.code)?;
            let has = |key: &str| words.texts.contains_key(key);
            let is_said = |key: &str, known: &Known| match known.part {
                Part::Panel if !language.has_panel => true,
                Part::Settings => true,
                _ if known.is_plural && !has(key) => {
                    plural::forms(&words.plurals).iter().all(|form| has(&format!("{key}.{form}")))
                }
                _ => has(key),
            };
            let keys = self.known.iter().filter(|(key, known)| !is_said(key, known));
            let keys: Vec<_> = keys.map(|(key, _)| key.clone()).collect();
            (!keys.is_empty()).then(|| (language.code.clone(), keys))
        };
        self.languages.iter().filter_map(lacks).collect()
    }

    /// The languages there are, English first.
    pub fn languages(&self) -> &[Language] {
        &self.languages
    }

    /// The language of that code, or of its first part (`de-AT` → `de`).
    pub fn language(&self, code: &str) -> Option<&Language> {
        let primary = code.split(['-', '_']).next().unwrap_or_default();
        self.languages.iter().find(|language| language.code.eq_ignore_ascii_case(primary))
    }

    /// English, which is always there.
    pub fn reference(&self) -> &Language {
        &self.languages[0]
    }

    /// A text with its `{placeholders}` filled in; in English if the language lacks it, else the key itself. Where it has
    /// plural forms, what is counted in it decides which.
    pub fn text(&self, language: &str, key: &str, values: &[(&str, &str)]) -> String {
        let found = [language, "en"].iter().find_map(|code| {
            let words = self.by_language.get(*code)?;
            words.texts.get(key).or_else(|| {
                let form = plural::form(&words.plurals, self.counted(key, values)?);
                let of = |form: &str| words.texts.get(&format!("{key}.{form}"));
                of(form).or_else(|| of("other"))
            })
        });
        found.map_or_else(|| key.to_owned(), |pattern| fill(pattern, values))
    }

    /// A text that the language itself has, as it stands.
    pub fn own(&self, language: &str, key: &str) -> Option<&str> {
        self.by_language.get(language)?.texts.get(key).map(String::as_str)
    }

    /// What is counted in a text with plural forms.
    fn counted(&self, key: &str, values: &[(&str, &str)]) -> Option<u64> {
        let known = self.known.get(key).filter(|known| known.is_plural)?;
        let is_counted =
            |name: &str| COUNTED.contains(&name) && known.placeholders.iter().any(|it| it == name);
        values.iter().find(|(name, _)| is_counted(name)).and_then(|(_, value)| value.parse().ok())
    }

    /// A day as the language writes it. `date`: `2026-11-23`; anything else stays as it is.
    pub fn day(&self, language: &str, date: &str) -> String {
        let mut parts = date.splitn(3, '-').map(|part| part.trim_start_matches('0'));
        let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next()) else {
            return date.to_owned();
        };
        let month = self.text(language, &format!("date.month.{month}"), &[]);
        self.text(language, "date.day", &[("day", day), ("month", &month), ("year", year)])
    }

    /// Whether there are texts of the language of that code.
    pub(super) fn has_language(&self, code: &str) -> bool {
        self.by_language.contains_key(code)
    }

    /// Whether a text has the code in it.
    pub(super) fn needs_code(&self, key: &str) -> bool {
        self.known.get(key).is_some_and(|known| known.needs_code)
    }

    /// Whether there is such a text.
    pub fn has(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }
}

/// Fills placeholders in one pass, so that a value can't be taken for a placeholder.
fn fill(pattern: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(pattern.len() + 32);
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        let tail = &rest[open + 1..];
        let value = tail.find('}').and_then(|close| {
            let (_, value) = values.iter().find(|(name, _)| *name == &tail[..close])?;
            Some((close, value))
        });
        if let Some((close, value)) = value {
            filled.push_str(value);
            rest = &tail[close + 1..];
        } else {
            filled.push('{');
            rest = tail;
        }
    }
    filled.push_str(rest);
    filled
}

/// A text of a file, and where it stands.
struct Entry {
    key: String,
    /// The text, or what is wrong with it.
    text: Result<String, String>,
    /// Where its key begins, in bytes.
    at: usize,
}

/// The texts of a file in TOML; where it is wrong and how, if it can't be read.
fn read(source: &str) -> Result<Vec<Entry>, (usize, String)> {
    let table = DeTable::parse(source).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, error.message().lines().collect::<Vec<_>>().join(" "))
    })?;
    let mut entries = Vec::new();
    flatten("", table.into_inner(), &mut entries);
    Ok(entries)
}

/// The texts of a file as far as it has any, by their keys.
pub fn by_key(source: &[u8]) -> BTreeMap<String, String> {
    let entries = std::str::from_utf8(source).ok().and_then(|source| read(source).ok()).unwrap_or_default();
    entries.into_iter().filter_map(|entry| Some((entry.key, entry.text.ok()?))).collect()
}

fn flatten(prefix: &str, table: DeTable<'_>, into: &mut Vec<Entry>) {
    for (name, value) in table {
        let at = name.span().start;
        let key = if prefix.is_empty() {
            name.into_inner().into_owned()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match value.into_inner() {
            DeValue::Table(table) => flatten(&key, table, into),
            DeValue::String(text) => into.push(Entry { key, text: Ok(text.into_owned()), at }),
            _ => {
                let text = Err(format!("{key} is not a text in quotation marks"));
                into.push(Entry { key, text, at });
            }
        }
    }
}

/// The names in braces of a text.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text.split('{').skip(1).filter_map(|tail| tail.split_once('}')).map(|(name, _)| name).filter(is_name)
}

/// Whether an operator's text can stand for the one of that key; if not, why.
fn judge(
    known: &BTreeMap<String, Known>,
    part: Part,
    plurals: &str,
    entry: &Entry,
) -> Result<String, String> {
    let text = entry.text.clone()?;
    let key = entry.key.as_str();
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(format!("{key} has control characters in it"));
    }
    // What there is to say of the settings is known elsewhere.
    if part == Part::Settings {
        let is_of_them = key.starts_with("setting.");
        return if is_of_them {
            Ok(text)
        } else {
            Err(format!("{key}: here are the texts of [setting.…] only"))
        };
    }
    let whole = known.get(key).map(|found| (key, None, found));
    let of_form = || {
        let (base, form) = key.rsplit_once('.')?;
        known.get(base).filter(|found| found.is_plural).map(|found| (base, Some(form), found))
    };
    let Some((base, form, found)) = whole.or_else(of_form) else {
        let nearest = known.keys().map(|known| (strsim::jaro_winkler(known, key), known));
        let hint = match nearest.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((likeness, nearest)) if likeness > 0.9 => format!("; did you mean {nearest}?"),
            _ => String::new(),
        };
        return Err(format!("there is no text {key}{hint}"));
    };
    if let Some(form) = form.filter(|form| !plural::forms(plurals).contains(form)) {
        let forms = plural::forms(plurals).join(", ");
        return Err(format!("{base} has no form {form} in this language, but {forms}"));
    }
    if found.part != part {
        let place = if found.part == Part::Panel { "i18n/panel" } else { "i18n" };
        return Err(format!("{key} is a text of the files in {place}"));
    }
    if let Some(odd) = placeholders(&text).find(|name| !found.placeholders.iter().any(|known| known == name))
    {
        let names: Vec<_> = found.placeholders.iter().map(|name| format!("{{{name}}}")).collect();
        if names.is_empty() {
            return Err(format!("{key}: there is no {{{odd}}} in it, nor anything else to fill in"));
        }
        return Err(format!(
            "{key}: there is no {{{odd}}} in it; what can be filled in is {}",
            names.join(" ")
        ));
    }
    if found.needs_code && !text.contains(CODE) {
        return Err(format!("{key} must have {CODE} in it"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        assert_eq!(fill("{a} of {b}", &[("a", "{b}"), ("b", "3")]), "{b} of 3");
        assert_eq!(fill("{unknown} {", &[]), "{unknown} {");
    }

    #[test]
    fn a_number_takes_the_plural_of_its_language() {
        let texts = Texts::embedded().unwrap();
        let minutes =
            |language, minutes| texts.text(language, "message.code.sms_good_for", &[("minutes", minutes)]);
        assert_eq!(minutes("en", "1"), "It is good for 1 minute.");
        assert_eq!(minutes("en", "10"), "It is good for 10 minutes.");
        assert_eq!(minutes("de", "1"), "Er gilt 1 Minute.");
        assert_eq!(minutes("xx", "2"), "It is good for 2 minutes.");
    }

    #[test]
    fn a_day_is_written_as_in_its_language() {
        let texts = Texts::embedded().unwrap();
        assert_eq!(texts.day("en", "2026-11-03"), "3 November 2026");
        assert_eq!(texts.day("de", "2026-03-31"), "31. März 2026");
        assert_eq!(texts.day("de", "never"), "never");
    }

    fn laid_over(files: &[(&str, &str)]) -> (Texts, Vec<String>) {
        let mut texts = Texts::embedded().unwrap();
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec())).collect();
        let mut faults = Vec::new();
        texts.lay_over(&Snapshot { files, faults: Vec::new() }, &mut faults);
        (texts, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn texts_are_laid_over_one_by_one() {
        let (texts, faults) = laid_over(&[
            ("i18n/de.toml", "[common]\nok = \"Alles klar\"\n[message.code]\nsms = \"Code: [CODE]\"\n"),
            ("i18n/panel/de.toml", "[admin]\nsave = \"Sichern\"\n"),
            ("i18n/settings/de.toml", "[setting.mail.host]\nlabel = \"Server\"\n"),
        ]);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(texts.text("de", "common.ok", &[]), "Alles klar");
        assert_eq!(texts.text("de", "common.cancel", &[]), "Abbrechen");
        assert_eq!(texts.text("de", "admin.save", &[]), "Sichern");
        assert_eq!(texts.own("de", "setting.mail.host.label"), Some("Server"));
        assert_eq!(texts.own("fr", "setting.mail.host.label"), None);
        assert_eq!(texts.text("en", "common.ok", &[]), "OK");
    }

    #[test]
    fn a_text_without_its_number_is_said_all_the_same() {
        let key = "message.code.sms_good_for";
        let (texts, faults) = laid_over(&[
            ("i18n/en.toml", "[message.code.sms_good_for]\nother = \"Be quick.\"\n"),
            ("i18n/fr.toml", "[message.code]\nsms_good_for = \"Vite !\"\n"),
        ]);
        assert_eq!(faults, Vec::<String>::new());
        let minutes = |language, minutes| texts.text(language, key, &[("minutes", minutes)]);
        assert_eq!(minutes("en", "5"), "Be quick.");
        assert_eq!(minutes("en", "1"), "It is good for 1 minute.");
        assert_eq!(minutes("de", "5"), "Er gilt 5 Minuten.");
        assert_eq!(minutes("fr", "5"), "Vite !");
    }

    #[test]
    fn a_text_that_cannot_be_is_told_with_its_line_and_the_others_stand() {
        let (texts, faults) = laid_over(&[
            (
                "i18n/de.toml",
                "[common]\nok = \"Gut\"\nnex = \"Weiter\"\nback = 3\nmenu = \"{name}\"\n\n[message.code]\nsms = \"Ihr Code\"\n\
                 [message.code.sms_good_for]\nfew = \"{minutes}\"\n[admin]\nsave = \"Sichern\"\n[language]\ndirection = \"up\"\n",
            ),
            ("i18n/fr.toml", "[common]\nok = \"Bon\nnext = \"\""),
            ("i18n/swedish.toml", ""),
            ("i18n/panel/de.toml", "[common]\nok = \"x\"\n"),
            ("i18n/settings/de.toml", "[common]\nok = \"x\"\n"),
            ("i18n/sv.toml", "[common]\nok = \"Bra\"\n"),
            ("i18n/panel/nb.toml", "[admin]\nsave = \"Lagre\"\n"),
        ]);
        let told = |start: &str| {
            let of = faults.iter().find(|fault| fault.starts_with(start));
            of.unwrap_or_else(|| panic!("{start}: {faults:#?}")).as_str()
        };
        assert_eq!(texts.text("de", "common.ok", &[]), "Gut");
        assert_eq!(
            told("i18n/de.toml:3"),
            "i18n/de.toml:3: there is no text common.nex; did you mean common.next?"
        );
        assert_eq!(told("i18n/de.toml:4"), "i18n/de.toml:4: common.back is not a text in quotation marks");
        assert!(told("i18n/de.toml:5").ends_with("there is no {name} in it, nor anything else to fill in"));
        assert_eq!(told("i18n/de.toml:8"), "i18n/de.toml:8: message.code.sms must have [CODE] in it");
        assert!(told("i18n/de.toml:10").ends_with("has no form few in this language, but one, other"));
        assert!(told("i18n/de.toml:12").ends_with("admin.save is a text of the files in i18n/panel"));
        assert!(told("i18n/de.toml:14").contains("there are a name, a direction"));
        assert!(told("i18n/fr.toml:2").len() > 20);
        assert_eq!(texts.text("fr", "common.ok", &[]), "OK");
        assert!(told("i18n/swedish.toml: ").contains("is not one of texts"));
        assert!(told("i18n/panel/de.toml:2").ends_with("common.ok is a text of the files in i18n"));
        assert!(told("i18n/settings/de.toml:2").contains("[setting.…] only"));
        assert!(told("i18n/sv.toml: ").contains("its name is missing"));
        assert!(told("i18n/panel/nb.toml: ").contains("the pages don't speak"));
        assert_eq!(faults.len(), 13, "{faults:#?}");
        assert_eq!(texts.languages().len(), 12);
    }

    #[test]
    fn a_language_is_added_with_its_name_direction_and_plurals() {
        let (texts, faults) = laid_over(&[
            (
                "i18n/uk.toml",
                "[language]\nname = \"Українська\"\nplurals = \"ru\"\n[common]\nok = \"Гаразд\"\n[message.code.sms_good_for]\n\
                 few = \"Дійсний {minutes} хвилини.\"\n",
            ),
            ("i18n/he.toml", "[language]\nname = \"עברית\"\ndirection = \"rtl\"\n"),
        ]);
        assert_eq!(faults, Vec::<String>::new());
        let language = texts.language("uk-UA").unwrap();
        assert_eq!(
            (language.name.as_str(), language.direction, language.has_panel),
            ("Українська", "ltr", false)
        );
        assert_eq!(texts.language("he").unwrap().direction, "rtl");
        let minutes = |minutes| texts.text("uk", "message.code.sms_good_for", &[("minutes", minutes)]);
        assert_eq!(minutes("3"), "Дійсний 3 хвилини.");
        assert_eq!(minutes("1"), "It is good for 1 minute.");
        let missing = texts.missing();
        let of = |code: &str| missing.iter().find(|(known, _)| known == code).map(|(_, keys)| keys);
        assert!(of("uk").unwrap().iter().any(|key| key == "common.next"));
        assert!(!of("uk").unwrap().iter().any(|key| key == "common.ok" || key.starts_with("admin.")));
        assert!(of("uk").unwrap().iter().any(|key| key == "message.code.sms_good_for"));
        assert!(of("de").is_none(), "{:?}", of("de"));
    }

    #[test]
    fn a_language_is_found_by_its_first_part() {
        let texts = Texts::embedded().unwrap();
        assert_eq!(texts.language("de-AT").map(|language| language.code.as_str()), Some("de"));
        assert!(texts.language("xx").is_none());
        assert!(texts.language("").is_none());
    }
}
