//! Composing: a topic's templates, drawn in a language, with what there is to tell.
//!
//! Templates are looked for as `messages/TOPIC/FILE.LANGUAGE`, `messages/TOPIC/FILE`, `messages/FILE`. What came from
//! people, such as a user's name, is put in last, in one pass, and can't become a part of the template.

use std::borrow::Cow;

use serde::Serialize;

use super::{Fault, Notifier, macros::fill};
use crate::{
    domain::{
        contact::{EmailAddress, PhoneNumber},
        message::{Facts, Mail, Sms, Topic},
    },
    settings::Settings,
};

/// The longest text and HTML of a mail together, in bytes: two languages, sealed, fit into a record.
const LONGEST_BODY: usize = 16 * 1024;

/// What a template sees.
#[derive(Serialize)]
struct Context<'a> {
    topic: &'static str,
    language: &'a str,
    direction: &'static str,
    product: &'a str,
    help_desk: &'a str,
    minutes: u32,
    days: u32,
}

/// How values are written into a template.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Text,
    Html,
}

/// One message to be written.
struct Draft<'a> {
    notifier: &'a Notifier,
    settings: &'a Settings,
    topic: Topic,
    language: String,
    direction: &'static str,
    facts: &'a Facts,
    /// Whether only the embedded templates are used.
    is_embedded: bool,
}

impl Notifier {
    /// Writes a mail.
    pub fn mail(
        &self,
        settings: &Settings,
        topic: Topic,
        language: &str,
        to: EmailAddress,
        facts: &Facts,
    ) -> Result<Mail, Fault> {
        let mut draft = self.draft(settings, topic, language, facts)?;
        let missing = |file: &str| Fault::Never(format!("there is no template {}/{file}", topic.as_str()));
        let subject = draft.write("subject.txt", Format::Text)?.ok_or_else(|| missing("subject.txt"))?;
        let body = |draft: &Draft<'_>| {
            let text = draft.write("body.txt", Format::Text)?.ok_or_else(|| missing("body.txt"))?;
            Ok::<_, Fault>((text, draft.write("body.html", Format::Html)?))
        };
        let is_long = |(text, html): &(String, Option<String>)| {
            text.len() + html.as_ref().map_or(0, String::len) > LONGEST_BODY
        };
        let mut written = body(&draft)?;
        if is_long(&written) {
            let folder = format!("messages/{}/body.html", topic.folder());
            draft.is_embedded = self.renderer.refuse(&folder, "a mail with it is longer than 16 KiB");
            written = body(&draft)?;
        }
        if is_long(&written) {
            return Err(Fault::Never(format!("the mail {} is longer than 16 KiB", topic.as_str())));
        }
        let (text, html) = written;
        Ok(Mail { id: random_id()?, to, subject: one_line(subject.trim()).into_owned(), text, html })
    }

    /// Writes a mail that says the same in several languages.
    pub fn mail_in(
        &self,
        settings: &Settings,
        topic: Topic,
        languages: &[String],
        to: &EmailAddress,
        facts: &Facts,
    ) -> Result<Mail, Fault> {
        let (first, others) =
            languages.split_first().ok_or_else(|| Fault::Never("there is no language".into()))?;
        others.iter().try_fold(self.mail(settings, topic, first, to.clone(), facts)?, |mail, language| {
            Ok(mail.and(&self.mail(settings, topic, language, to.clone(), facts)?))
        })
    }

    /// Writes a text message with a code.
    pub fn sms(
        &self,
        settings: &Settings,
        language: &str,
        to: PhoneNumber,
        facts: &Facts,
    ) -> Result<Sms, Fault> {
        let draft = self.draft(settings, Topic::Code, language, facts)?;
        let text = draft.write("sms.txt", Format::Text)?;
        let text = text.ok_or_else(|| Fault::Never("there is no template code/sms.txt".into()))?;
        Ok(Sms {
            to,
            text: text.trim().to_owned(),
            code: facts.code.clone().unwrap_or_default(),
            user: facts.user.clone(),
            domain: facts.domain.clone(),
            language: draft.language,
        })
    }

    fn draft<'a>(
        &'a self,
        settings: &'a Settings,
        topic: Topic,
        language: &str,
        facts: &'a Facts,
    ) -> Result<Draft<'a>, Fault> {
        if topic.has_code() && facts.code.is_none() {
            return Err(Fault::Never("a message about a code has none".into()));
        }
        let texts = self.renderer.texts();
        let language = texts.language(language).unwrap_or_else(|| texts.reference());
        let (language, direction) = (language.code.clone(), language.direction);
        Ok(Draft { notifier: self, settings, topic, language, direction, facts, is_embedded: false })
    }
}

/// The files that a message is made of.
const FILES: [&str; 4] = ["subject.txt", "body.txt", "body.html", "sms.txt"];

/// Whether messages are drawn with a template of that name: `messages/reset/body.html`, `messages/subject.txt`, each perhaps
/// for one language alone, as in `messages/reset/body.html.de`.
pub fn is_template(name: &str) -> bool {
    let Some((folder, file)) =
        name.strip_prefix("messages/").map(|name| name.rsplit_once('/').unwrap_or(("", name)))
    else {
        return false;
    };
    let is_folder = folder.is_empty() || Topic::ALL.iter().any(|topic| topic.folder() == folder);
    let is_file = FILES.iter().any(|known| {
        let language = file.strip_prefix(known).map(|rest| rest.strip_prefix('.').unwrap_or(rest));
        // That for one language is of one sort of message.
        let is_code = |code: &str| {
            !folder.is_empty()
                && (2..=3).contains(&code.len())
                && code.bytes().all(|b| b.is_ascii_lowercase())
        };
        language.is_some_and(|code| code.is_empty() || is_code(code))
    });
    is_folder && is_file
}

impl Draft<'_> {
    /// Draws the template of that name and fills it in; `None` if there is no such template.
    fn write(&self, file: &str, format: Format) -> Result<Option<String>, Fault> {
        let renderer = &self.notifier.renderer;
        let (topic, folder) = (self.topic.as_str(), self.topic.folder());
        let places = [
            format!("messages/{folder}/{file}.{}", self.language),
            format!("messages/{folder}/{file}"),
            format!("messages/{file}"),
        ];
        let general = &self.settings.general;
        let context = Context {
            topic,
            language: &self.language,
            direction: self.direction,
            product: &general.product_name,
            help_desk: &general.help_desk,
            minutes: self.facts.minutes,
            days: self.facts.days,
        };
        let drawn = if self.is_embedded {
            renderer.render_embedded(&places, &self.language, context)
        } else {
            renderer.render_first(&places, &self.language, context)
        };
        let drawn = drawn.map_err(|error| Fault::Never(format!("{}: {error}", places[0])))?;
        Ok(drawn.map(|drawn| fill(&drawn, |name| self.value(name).map(|value| escape(value, format)))))
    }

    /// What stands for a word in brackets.
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = |key: &str| self.notifier.renderer.texts().text(&self.language, key, &[]);
        Some(match name {
            "AD_USER" => one_line(&self.facts.user),
            "AD_DOMAIN" => one_line(&self.facts.domain),
            "EVENT" => text(&format!("message.{}.event", self.topic.as_str())).into(),
            "TIME" => self.moment().into(),
            "SOURCE_IP" => match self.facts.source_ip {
                Some(address) => address.to_string().into(),
                None => text("message.unknown_address").into(),
            },
            "DAYS" => self.facts.days.to_string().into(),
            "CODE" => one_line(self.facts.code.as_deref()?),
            _ => return None,
        })
    }

    /// When it was, in UTC: what every reader can turn into their own time.
    fn moment(&self) -> String {
        let texts = self.notifier.renderer.texts();
        let at = self.facts.at.to_string();
        let (date, clock) = at.split_once('T').unwrap_or((&at, ""));
        let minute = clock.rsplit_once(':').map_or(clock, |(minute, _)| minute);
        let day = texts.day(&self.language, date);
        texts.text(&self.language, "date.moment", &[("day", &day), ("time", minute)])
    }
}

/// Without what could end the line, or hide in it.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

fn escape(value: Cow<'_, str>, format: Format) -> Cow<'_, str> {
    if format == Format::Text || !value.contains(['&', '<', '>', '"', '\'']) {
        return value;
    }
    let mut escaped = String::with_capacity(value.len() + 16);
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped.into()
}

/// 128 random bits, in hexadecimal digits.
fn random_id() -> Result<String, Fault> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::Later("no random numbers".into()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::render::Renderer;

    fn notifier() -> Notifier {
        Notifier::new(Arc::new(Renderer::new(None).unwrap()))
    }

    fn facts() -> Facts {
        Facts {
            user: "mary".into(),
            domain: "CORP".into(),
            at: Timestamp::from_millis(1_795_470_405_999),
            source_ip: Some("2001:db8::7".parse().unwrap()),
            code: None,
            minutes: 10,
            days: 3,
        }
    }

    fn mary() -> EmailAddress {
        EmailAddress::parse("mary@corp.example").unwrap()
    }

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.general.help_desk = "Help desk: 4444 <weekdays>".into();
        settings
    }

    #[test]
    fn a_template_is_known_by_its_place() {
        for name in [
            "messages/subject.txt",
            "messages/reset/body.html",
            "messages/code/sms.txt.de",
            "messages/lockout/body.txt",
        ] {
            assert!(is_template(name), "{name}");
        }
        for name in [
            "messages/layout.html",
            "messages/body.txt.de",
            "messages/nothing/body.txt",
            "messages/reset/body.md",
            "body.txt",
            "messages/reset/body.txt.DE",
            "messages/reset/x/body.txt",
        ] {
            assert!(!is_template(name), "{name}");
        }
    }

    #[test]
    fn every_topic_is_written_in_every_language() {
        let (notifier, settings) = (notifier(), settings());
        let mut subjects = std::collections::BTreeSet::new();
        for language in notifier.renderer.languages().iter().map(|language| language.code.as_str()) {
            let texts = notifier.renderer.texts();
            let day = texts.day(language, "2026-11-23");
            let moment = texts.text(language, "date.moment", &[("day", &day), ("time", "21:46")]);
            assert!(day.contains("2026") && moment.contains("21:46 UTC"), "{moment}");
            for topic in Topic::ALL {
                let mut facts = facts();
                facts.code = topic.has_code().then(|| "042137".into());
                let mail = notifier.mail(&settings, topic, language, mary(), &facts).unwrap();
                let html = mail.html.unwrap();
                // Nobody came from anywhere when someone is reminded.
                let reminds = matches!(topic, Topic::EnrollReminder | Topic::ExpiryReminder);
                if topic.folder() == "upkeep" {
                    // It is about nobody.
                    assert!(mail.text.contains(&moment), "{}", mail.text);
                    assert!(topic != Topic::CertificateExpiry || mail.text.contains('3'), "{}", mail.text);
                    assert!(!mail.text.contains("mary") && !html.contains("[DAYS]"));
                    continue;
                }
                let all = ["CORP\\mary", "Help desk: 4444", &moment, "2001:db8::7"];
                for part in [&mail.text, &html] {
                    // Those who run it are not sent to the help desk.
                    let told = all[..if reminds { 2 } else { 4 }].iter();
                    for told in told.filter(|told| !(topic.is_alarm() && told.starts_with("Help"))) {
                        assert!(part.contains(told), "{topic:?} {language}: {told}: {part}");
                    }
                    assert_eq!(part.contains("042137"), topic.has_code(), "{part}");
                    for left in
                        ["message.", "{", "}", "[AD_", "[TIME]", "[SOURCE_IP]", "[EVENT]", "[CODE]", "[DAYS]"]
                    {
                        assert!(!part.contains(left), "{topic:?} {language}: {left}: {part}");
                    }
                    for acting in ["http:", "https:", "href", "src=", "<img", "<link", "<script", "url("] {
                        assert!(!part.contains(acting), "{topic:?} {language}: {acting}: {part}");
                    }
                }
                let helps = mail.text.contains("4444 <weekdays>") && html.contains("4444 &lt;weekdays&gt;");
                assert_eq!(helps, !topic.is_alarm());
                assert!(html.contains(&format!("<html lang=\"{language}\"")), "{html}");
                assert!(mail.text.lines().all(|line| line.chars().count() < 500), "{}", mail.text);
                assert!(!mail.subject.contains("042137") && mail.subject.starts_with("Regain"));
                assert!(mail.id.len() == 32 && mail.id.bytes().all(|b| b.is_ascii_hexdigit()));
                assert!(subjects.insert(mail.subject.clone()), "{} twice", mail.subject);
            }
        }
        assert!(notifier.mail(&settings, Topic::Code, "en", mary(), &facts()).is_err());
    }

    #[test]
    fn a_text_message_is_one_and_says_code_and_minutes() {
        let mut facts = facts();
        facts.code = Some("04213789".into());
        facts.minutes = 1440;
        for language in notifier().renderer.languages().iter().map(|language| language.code.as_str()) {
            let to = PhoneNumber::parse("+491701234567").unwrap();
            let sms = notifier().sms(&settings(), language, to, &facts).unwrap();
            assert!(sms.text.contains("04213789") && sms.text.contains("1440"), "{}", sms.text);
            // Of the alphabet of GSM 03.38 160 characters fit into one message, of all others 67 into each of several.
            let fits =
                |c: char| c.is_ascii() && !"[]{}\\|~^`".contains(c) || "äöüÄÖÜßàèéùìòñÇÉ¿¡".contains(c);
            let most = if sms.text.chars().all(fits) { 160 } else { 2 * 67 };
            assert!(sms.text.chars().count() <= most, "{language}: {}", sms.text);
            assert_eq!((sms.language.as_str(), sms.code.as_str()), (language, "04213789"));
        }
    }

    #[test]
    fn what_people_are_called_stays_what_it_is() {
        let mut facts = facts();
        facts.code = Some("042137".into());
        facts.user = "[CODE] {{ 7*7 }}<b>&'\r\nBcc: x".into();
        facts.domain = "[AD_USER]".into();
        let mail = notifier().mail(&settings(), Topic::Code, "en", mary(), &facts).unwrap();
        assert!(mail.text.contains("[AD_USER]\\[CODE] {{ 7*7 }}<b>&'  Bcc: x\n"), "{}", mail.text);
        let html = mail.html.unwrap();
        assert!(html.contains("[AD_USER]\\[CODE] {{ 7*7 }}&lt;b&gt;&amp;&#39;  Bcc: x<"), "{html}");
        assert_eq!(html.matches("042137").count(), 1);
    }

    #[test]
    fn a_subject_is_one_line_and_a_body_has_an_end() {
        let mut settings = settings();
        settings.general.product_name = "Re\r\nBcc: x@y.example\0gain".into();
        let mail = notifier().mail(&settings, Topic::Reset, "en", mary(), &facts()).unwrap();
        assert!(!mail.subject.contains(char::is_control), "{:?}", mail.subject);
        settings.general.help_desk = "x".repeat(33 * 1024);
        let fault = notifier().mail(&settings, Topic::Reset, "en", mary(), &facts()).unwrap_err();
        assert!(matches!(&fault, Fault::Never(text) if text.contains("16 KiB")), "{fault:?}");
    }

    #[test]
    fn an_unknown_language_is_english_and_an_unknown_address_is_said() {
        let mut facts = facts();
        facts.source_ip = None;
        let mail = notifier().mail(&settings(), Topic::Reset, "xx", mary(), &facts).unwrap();
        assert!(mail.text.contains("From the address: unknown\n"), "{}", mail.text);
        let mail = notifier().mail(&settings(), Topic::Reset, "de-AT", mary(), &facts).unwrap();
        assert!(mail.text.contains("Von der Adresse: unbekannt\n"), "{}", mail.text);
    }
}
