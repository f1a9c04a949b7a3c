//! The first page of the panel: how things stand, and the way to any setting.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Page, Panel, Seat, chart, control::label, coverage::CountWords, draw, https, names::Names, redirect,
    settings,
};
use crate::{
    domain::{admin::Role, message::Channel},
    flows::{
        Error, backup, coverage,
        forward::{Far, Way},
    },
    settings::Kind as _,
    web::{form::Form, user::page},
};

/// The most settings that a search shows.
const MOST: usize = 40;
/// The longest text that is searched for.
const LONGEST: usize = 100;

/// `/admin`
pub(super) struct Overview;

#[derive(Serialize)]
struct OverviewContext<'a> {
    page: page::Page<'a>,
    panel: Panel,
    facts: Vec<(&'static str, String)>,
    /// What there is to set up, for those who may.
    steps: Vec<SetUp>,
    /// What people did; `None` while it is counted.
    chart: Option<chart::Chart>,
    /// How many have enrolled; `None` as long as it was not counted.
    coverage: Option<CountWords>,
}

/// A thing to set up: it can be left and gone on with, in any order.
#[derive(Serialize)]
struct SetUp {
    key: &'static str,
    href: &'static str,
    is_done: bool,
    /// How it stands, where that says more.
    value: String,
}

/// What there is to set up, in the order in which one needs the other; none where all of it is done.
fn steps(seat: &Seat<'_>) -> Vec<SetUp> {
    let services = &seat.site.services;
    let settings = services.settings.load();
    let has_domain = !services.directories.load().is_empty();
    let groups = &settings.admin;
    let step = |key, href, is_done| SetUp { key, href, is_done, value: String::new() };
    let profile = SetUp {
        value: settings
            .security
            .profile
            .value()
            .and_then(|word| word.as_str().map(str::to_owned))
            .unwrap_or_default(),
        ..step("profile", "/admin/settings/security#security.profile", true)
    };
    let steps = vec![
        step("domain", if has_domain { "/admin/domains" } else { "/admin/domains/new" }, has_domain),
        step(
            "groups",
            "/admin/settings/admin",
            !groups.administrators.is_empty() && !groups.help_desk.is_empty(),
        ),
        profile,
        step("mail", "/admin/settings/mail", services.notifier.delivers(&settings, Channel::Mail)),
        step("codes", "/admin/settings/codes", settings.codes.by_mail || settings.codes.by_sms),
    ];
    // Behind a proxy, or inside, it may stay self-signed.
    let https = SetUp {
        value: https::days_left(seat),
        ..step("https", "/admin/https", !seat.site.certificates.is_self_signed())
    };
    let is_for_them = seat.admin.role == Role::Administrator && !seat.site.demo;
    if !is_for_them || steps.iter().all(|step| step.is_done) {
        return Vec::new();
    }
    steps.into_iter().chain([https]).collect()
}

/// How far events were sent on one way, or since when they are not, and why.
async fn sent_on(seat: &Seat<'_>, far: Far) -> Result<String, Error> {
    let services = &seat.site.services;
    let last = services.store.head().await?.map_or(0, |head| head.number).to_string();
    let say = |key: &str, parameters: &[(&str, &str)]| seat.say(key, parameters);
    let number = far.number.to_string();
    Ok(match far.trouble {
        None => say("admin.fact.sent_on", &[("number", &number), ("last", &last)]),
        Some((since, why)) => {
            say("admin.fact.not_sent_on", &[("time", &super::minute(since)), ("why", &why)])
        }
    })
}

/// When a backup was made last, or what was wrong with the last try; nothing if none are made.
async fn backed_up(seat: &Seat<'_>) -> Result<Option<String>, Error> {
    let services = &seat.site.services;
    if services.settings.load().backup.folder.is_none() {
        return Ok(None);
    }
    let report = backup::last(services).await?;
    let say = |key: &str, parameters: &[(&str, &str)]| seat.say(key, parameters);
    Ok(Some(match (&report.fault, &report.made, report.tried_at) {
        (Some(why), _, Some(tried)) => {
            let key = if report.is_made { "admin.backup.over" } else { "admin.backup.failed" };
            say(key, &[("time", &super::minute(tried)), ("why", why)])
        }
        (_, Some(made), _) => format!("{} UTC", super::minute(made.at)),
        _ => say("admin.backup.never", &[]),
    }))
}

#[async_trait]
impl Page for Overview {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let site = seat.site;
        let domains: Vec<_> = site.services.domains().into_iter().map(|domain| domain.netbios).collect();
        let store = site.services.store.trouble().unwrap_or_default();
        let host = site.hosts.first().map_or("", String::as_str);
        let mut facts = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("domains", domains.join(", ")),
            ("store", store),
            ("certificate", format!("{host}: {}", https::days_left(&seat))),
        ];
        for way in Way::ALL {
            if let Some(far) = site.services.reached.of(way) {
                facts.push((way.as_str(), sent_on(&seat, far).await?));
            }
        }
        if let Some(overrides) = site.renderer.overrides().filter(|it| !it.faults.is_empty()) {
            let count = overrides.faults.len().to_string();
            facts.push(("overrides", seat.say("admin.overrides.broken", &[("count", &count)])));
        }
        facts.extend(backed_up(&seat).await?.map(|text| ("backup", text)));
        let page = page::Page::new(site, seat.language, "admin", "menu");
        let chart = chart::draw(&seat).await?;
        let coverage = coverage::last(&site.services).await?.total().map(CountWords::from);
        let (panel, steps) = (Panel::new(&seat, "overview"), steps(&seat));
        let context = OverviewContext { page, panel, facts, steps, chart, coverage };
        Ok(draw(site, seat.language, "admin/overview.html", context, StatusCode::OK))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect("/admin"))
    }
}

/// `/admin/search?q=…`
pub(super) struct Search;

#[derive(Serialize)]
struct SearchContext<'a> {
    page: page::Page<'a>,
    panel: Panel,
    typed: String,
    hits: Vec<Hit>,
}

/// A setting that was found.
#[derive(Serialize)]
struct Hit {
    href: String,
    tab: &'static str,
    label: String,
    help: String,
    /// The language of the help, if it is not that of the page.
    language: &'static str,
    /// How well it fits; less is better.
    #[serde(skip)]
    distance: u8,
}

/// The settings in which all words occur, those first that have them in their names.
fn find(typed: &str, names: Names<'_>, title_of: impl Fn(&str) -> String) -> Vec<Hit> {
    let words: Vec<_> = typed.to_lowercase().split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Vec::new();
    }
    let mut hits = Vec::new();
    for tab in settings::TABS.into_iter().chain(["domain", "password_rules"]) {
        // That of the first domain stands for all; of the sets of rules there may be none.
        let (path, href) = match tab {
            "domain" => ("domain.0", None),
            "password_rules" => ("password_rules.0", Some("/admin/passwords")),
            tab => (tab, None),
        };
        let title = title_of(tab).to_lowercase();
        for (prefix, about, fields) in settings::sections(path).into_iter().flatten() {
            for field in fields {
                let key = format!("{prefix}.{}", field.key);
                // In the words of the configuration, too: that is what others write of.
                let name = format!("{} {}", label(&key.replace('.', " ")), names.label(&key));
                let help = names.help(&key, field);
                let told = format!("{about} {} {} {help}", names.about(&prefix, about), field.help);
                let texts = [name.to_lowercase(), title.clone(), told.to_lowercase()];
                let fits = |word: &String| texts.iter().position(|text| text.contains(word.as_str()));
                let Some(distance) = words.iter().map(fits).try_fold(0, |most, at| Some(most.max(at?)))
                else {
                    continue;
                };
                let own = prefix.split_once('.').filter(|_| tab == path).map(|_| names.heading(&prefix));
                let own = own.map(|section| format!("{section}: ")).unwrap_or_default();
                hits.push(Hit {
                    href: href.map_or_else(|| format!("/admin/settings/{path}#{key}"), str::to_owned),
                    tab,
                    label: format!("{own}{}", names.label(&key)),
                    help,
                    language: names.language(&key),
                    distance: u8::try_from(distance).unwrap_or(u8::MAX),
                });
            }
        }
    }
    hits.sort_by_key(|hit| hit.distance);
    hits.truncate(MOST);
    hits
}

#[async_trait]
impl Page for Search {
    fn is_for(&self, role: Role) -> bool {
        settings::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let query = seat.request.uri().query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let typed = pairs.into_iter().find(|(name, _)| name == "q").map(|(_, text)| text).unwrap_or_default();
        let typed: String = typed.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let texts = seat.site.renderer.texts();
        let mut hits = find(&typed, Names::of(&seat), |tab| {
            texts.text(&seat.language.code, &format!("admin.tab.{tab}"), &[])
        });
        if seat.site.services.domains().is_empty() {
            hits.retain(|hit| hit.tab != "domain");
        }
        let page = page::Page::new(seat.site, seat.language, "admin", "settings");
        let mut panel = Panel::new(&seat, "");
        panel.search.clone_from(&typed);
        let context = SearchContext { page, panel, typed, hits };
        Ok(draw(seat.site, seat.language, "admin/search.html", context, StatusCode::OK))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect("/admin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Renderer;

    fn first(typed: &str) -> String {
        let texts = Renderer::new(None).unwrap().texts();
        find(typed, Names::new(&texts, "en"), |tab| format!("{tab} tab"))
            .first()
            .map(|hit| hit.href.clone())
            .unwrap_or_default()
    }

    #[test]
    fn a_setting_is_found_by_the_words_of_its_name_or_its_help() {
        assert_eq!(first("idle timeout"), "/admin/settings/security#security.idle_timeout_seconds");
        assert_eq!(first("mail HOST"), "/admin/settings/mail#mail.host");
        assert_eq!(first("permissions reset groups"), "/admin/settings/permissions#permissions.reset.groups");
        assert_eq!(first("netbios"), "/admin/settings/domain.0#domain.0.netbios_name");
        for nothing in ["", "  ", "no such thing at all"] {
            assert_eq!(first(nothing), "", "{nothing}");
        }
    }
}
