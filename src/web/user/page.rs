//! What the templates are given.

use poem::{Body, Response, http::StatusCode};
use serde::Serialize;

use crate::{
    domain::{
        account::Domain,
        field::{Field, Problem, Problems},
        flow::METHODS_IDLE,
        password_rules::Rule,
    },
    render::{self, Language},
    settings::Settings,
    web::{Site, look::Look},
};

/// What every page has.
#[derive(Serialize)]
pub struct Page<'a> {
    lang: &'a str,
    dir: &'a str,
    is_for_logon: bool,
    flow: &'static str,
    step: &'static str,
    product: String,
    demo: bool,
    help_desk: String,
    footer: String,
    /// The address of the style sheet after Regain's own; empty without one.
    style: String,
    /// The address of another style sheet in the place of Regain's, on a page that is only looked at.
    preview: String,
    logo: Option<Logo>,
    session_seconds: u32,
    session_over: &'static str,
    languages: Vec<LanguageLink>,
}

/// The logo in the head of a page.
#[derive(Serialize)]
struct Logo {
    href: String,
    width: u32,
    height: u32,
    /// Whether the product's name stands beside it.
    named: bool,
    plate: bool,
}

impl Logo {
    fn new(settings: &Settings, look: &Look, path: &str) -> Option<Self> {
        let (width, height) = look.logo.as_ref().map(|_| look.logo_size)?;
        let appearance = &settings.appearance;
        Some(Self {
            href: format!("{path}?v={}", look.logo_version),
            width,
            height,
            named: appearance.logo_with_name,
            plate: appearance.logo_plate,
        })
    }
}

#[derive(Serialize)]
struct LanguageLink {
    code: String,
    name: String,
    href: String,
    current: bool,
}

impl<'a> Page<'a> {
    /// The page of that flow and step.
    pub fn new(site: &Site, language: &'a Language, flow: &'static str, step: &'static str) -> Self {
        let settings = site.services.settings.load_full();
        // The panel looks as it always does: what was set there can be taken back there, however it came out.
        let look = Some(site.looks.of(&settings)).filter(|_| !["admin", "api"].contains(&flow));
        let style = look.as_ref().filter(|look| !look.sheet.is_empty());
        let path = match flow {
            "menu" => "/".to_owned(),
            // The panel has many pages: its links lead to the one they are on (RFC 3986 5.2.2).
            "admin" => String::new(),
            flow => format!("/{flow}"),
        };
        Self {
            lang: &language.code,
            dir: language.direction,
            is_for_logon: language.is_for_logon,
            flow,
            step,
            product: settings.general.product_name.clone(),
            demo: site.demo,
            help_desk: settings.general.help_desk.clone(),
            footer: settings.general.footer.clone(),
            style: style
                .map(|look| format!("/appearance/style.css?v={}", look.sheet_version))
                .unwrap_or_default(),
            preview: String::new(),
            logo: look.and_then(|look| Logo::new(&settings, &look, "/appearance/logo")),
            session_seconds: match flow {
                "admin" => settings.admin.idle_minutes * 60,
                _ => settings.security.idle_timeout_seconds,
            },
            session_over: "session.over",
            languages: site
                .renderer
                .languages()
                .into_iter()
                .filter(|other| other.has_panel || flow != "admin")
                .map(|other| LanguageLink {
                    href: format!("{path}?lang={}", other.code),
                    current: other.code == language.code,
                    code: other.code,
                    name: other.name,
                })
                .collect(),
        }
    }
}

impl Page<'_> {
    /// The page as it would look by other settings, where its style sheet and its logo are at these addresses.
    #[must_use]
    pub fn drawn_by(mut self, settings: &Settings, look: &Look, sheet: String, logo: &str) -> Self {
        self.product.clone_from(&settings.general.product_name);
        self.help_desk.clone_from(&settings.general.help_desk);
        self.footer.clone_from(&settings.general.footer);
        self.logo = Logo::new(settings, look, logo);
        self.style = String::new();
        self.preview = sheet;
        self.session_seconds = 0;
        self
    }

    /// The page where someone looks after their ways of proving: more time, and all of it is kept.
    #[must_use]
    pub fn with_time(mut self) -> Self {
        if self.session_seconds > 0 {
            self.session_seconds =
                self.session_seconds.max(u32::try_from(METHODS_IDLE.as_secs()).unwrap_or(u32::MAX));
        }
        self.session_over = "session.over_saved";
        self
    }
}

/// A form.
#[derive(Serialize)]
pub struct Form {
    action: String,
    csrf: String,
    errors: Vec<Fault>,
    summary: String,
}

#[derive(Serialize)]
struct Fault {
    field: String,
    text: String,
}

impl Form {
    /// Adds a sentence about a field.
    pub fn add_fault(&mut self, field: String, text: String) {
        self.errors.push(Fault { field, text });
    }

    /// Says something about the form as a whole.
    pub fn summarise(&mut self, text: String) {
        self.summary = text;
    }

    /// The form of a page, with what was wrong with it the last time.
    pub fn new(site: &Site, language: &Language, action: String, csrf: String, problems: &Problems) -> Self {
        let mut form = Self { action, csrf, errors: Vec::new(), summary: String::new() };
        for (field, problem) in problems.iter() {
            let text = sentence(site, language, field, problem);
            match field {
                Some(field) => form.errors.push(Fault { field: field.to_string(), text }),
                None => form.summary = text,
            }
        }
        form
    }
}

/// What is wrong, in words.
fn sentence(site: &Site, language: &Language, field: Option<Field>, problem: Problem) -> String {
    let texts = site.renderer.texts();
    let label = field.map(|field| {
        let number = field.number().map(|number| number.to_string()).unwrap_or_default();
        texts.text(&language.code, field.label_key(), &[("number", &number)])
    });
    let label = label.unwrap_or_default();
    let number = problem.number().map(|number| number.to_string()).unwrap_or_default();
    let rule = match problem {
        Problem::PasswordBreaksRule { rule } => rule_text(site, language, rule),
        _ => String::new(),
    };
    let key = format!("invalid.{}", problem.code());
    let values = [("field", label.as_str()), ("minimum", &number), ("seconds", &number), ("rule", &rule)];
    texts.text(&language.code, &key, &values)
}

/// A rule for new passwords, in words.
pub fn rule_text(site: &Site, language: &Language, rule: Rule) -> String {
    let count = rule.count().map(|count| count.to_string()).unwrap_or_default();
    site.renderer.texts().text(&language.code, &format!("rule.{}", rule.key()), &[("count", &count)])
}

/// All that is wrong, each in a sentence.
pub fn sentences(site: &Site, language: &Language, problems: &Problems) -> Vec<String> {
    problems.iter().map(|(field, problem)| sentence(site, language, field, problem)).collect()
}

/// The boxes for name and domain.
#[derive(Serialize)]
pub struct Identify {
    username: String,
    domain: DomainBox,
}

#[derive(Serialize)]
struct DomainBox {
    mode: &'static str,
    value: String,
    options: Vec<Choice>,
}

/// One of a list.
#[derive(Serialize)]
pub struct Choice {
    value: String,
    label: String,
    selected: bool,
}

impl Choice {
    /// A choice that is its own label.
    pub fn plain(text: &str, chosen: &str) -> Self {
        Self { value: text.to_owned(), label: text.to_owned(), selected: text == chosen }
    }

    /// A choice with a label of its own.
    pub fn labelled(value: &str, label: &str, selected: bool) -> Self {
        Self { value: value.to_owned(), label: label.to_owned(), selected }
    }
}

impl Identify {
    /// The boxes, filled in with what is known. `typed` is a domain by either of its names.
    pub fn new(settings: &Settings, domains: &[Domain], username: &str, typed: &str) -> Self {
        let offered = offered(settings, domains);
        let domain = match (&settings.general.domain_list, offered.as_slice()) {
            (Some(list), _) if list.is_empty() => {
                DomainBox { mode: "text", value: typed.to_owned(), options: Vec::new() }
            }
            (_, [only]) => DomainBox { mode: "hidden", value: only.netbios.clone(), options: Vec::new() },
            _ => {
                let chosen = offered.iter().position(|domain| domain.is_called(typed)).unwrap_or(0);
                let options = offered.iter().enumerate().map(|(index, domain)| Choice {
                    value: domain.netbios.clone(),
                    label: domain.netbios.clone(),
                    selected: index == chosen,
                });
                DomainBox { mode: "select", value: String::new(), options: options.collect() }
            }
        };
        Self { username: username.to_owned(), domain }
    }
}

/// The domains the pages offer, in the order the admin wants; the first is the default.
pub fn offered(settings: &Settings, domains: &[Domain]) -> Vec<Domain> {
    match &settings.general.domain_list {
        Some(list) if !list.is_empty() => list
            .iter()
            .filter_map(|name| domains.iter().find(|domain| domain.is_called(name)))
            .cloned()
            .collect(),
        _ => domains.to_vec(),
    }
}

/// Draws a page.
pub fn render(
    site: &Site,
    template: &str,
    language: &str,
    context: impl Serialize,
    status: StatusCode,
) -> Response {
    answer(template, language, site.renderer.render(template, language, context), status)
}

/// Answers with a page that was drawn. That every template renders with its sample is tested; should one fail all the
/// same, the visitor gets a plain line and the log the reason.
pub fn answer(
    template: &str,
    language: &str,
    drawn: Result<impl Into<Body>, render::Error>,
    status: StatusCode,
) -> Response {
    let response = Response::builder().status(status).header("content-language", language);
    match drawn {
        Ok(html) => response.content_type("text/html; charset=utf-8").body(html),
        Err(error) => {
            tracing::error!(%error, template, "a page could not be drawn");
            response
                .status(StatusCode::INTERNAL_SERVER_ERROR)
                .content_type("text/plain; charset=utf-8")
                .body("Something went wrong on our side. Please try again later or contact the help desk.\n")
        }
    }
}
