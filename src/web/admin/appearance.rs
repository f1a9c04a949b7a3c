//! What the Appearance tab has besides its settings: a logo that is uploaded, and pages as they would look by what was
//! typed and is not saved. That is kept in memory, for the session that typed it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use poem::{Response, http::StatusCode};

use super::{
    Page, Seat,
    control::{Content, Given},
    redirect, settings as tabs,
};
use crate::{
    domain::{admin::Role, clock::Timestamp, logo::Logo, refusal::Refusal},
    flows::{
        Error,
        change_settings::{self, Edit},
    },
    settings::{Fault, Settings},
    web::{
        form::Form,
        headers,
        look::Look,
        statics,
        user::{self, page},
    },
};

/// The key of its tab.
pub(super) const TAB: &str = "appearance";
const LOGO: &str = "appearance.logo";
/// The most bytes of a form with a logo, as programs save it.
pub(super) const LARGEST_UPLOAD: usize = 1024 * 1024;
/// So many drafts are kept; who comes next takes the place of the oldest.
const MOST_DRAFTS: usize = 16;

/// Settings that were typed and are not saved, each of one session.
#[derive(Default)]
pub struct Drafts(Mutex<VecDeque<Draft>>);

struct Draft {
    session: [u8; 32],
    at: Timestamp,
    settings: Arc<Settings>,
    look: Arc<Look>,
}

impl Drafts {
    fn keep(&self, session: [u8; 32], at: Timestamp, settings: Settings) {
        let look = Arc::new(Look::of(&settings));
        self.forget(&session);
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if drafts.len() >= MOST_DRAFTS {
            drafts.pop_front();
        }
        drafts.push_back(Draft { session, at, settings: Arc::new(settings), look });
    }

    /// The draft of a session, if it is not older than that; what is older is dropped.
    fn find(
        &self,
        session: &[u8; 32],
        now: Timestamp,
        longest: Duration,
    ) -> Option<(Arc<Settings>, Arc<Look>)> {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.retain(|draft| now.since(draft.at) < longest);
        let draft = drafts.iter().find(|draft| draft.session == *session)?;
        Some((Arc::clone(&draft.settings), Arc::clone(&draft.look)))
    }

    /// Drops the draft of a session.
    pub(super) fn forget(&self, session: &[u8; 32]) {
        let mut drafts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.retain(|draft| draft.session != *session);
    }
}

/// What the pages look like to who sits there: by their draft, or by what is in force.
pub(super) fn look(seat: &Seat<'_>) -> (Arc<Settings>, Arc<Look>) {
    let settings = seat.site.services.settings.load_full();
    let now = seat.site.services.clock.now();
    seat.site.drafts.find(&seat.session.hash(), now, settings.admin.longest()).unwrap_or_else(|| {
        let look = seat.site.looks.of(&settings);
        (settings, look)
    })
}

/// Keeps what was typed, as far as it is right, to be looked at; and tells what is wrong with it.
pub(super) async fn keep(seat: &Seat<'_>, mut edits: Vec<Edit>) -> Result<Vec<Fault>, Error> {
    let services = &seat.site.services;
    let mut told = Vec::new();
    loop {
        match change_settings::preview(services, &edits).await? {
            Ok(settings) => {
                seat.site.drafts.keep(seat.session.hash(), services.clock.now(), settings);
                return Ok(told);
            }
            Err(faults) => {
                let is_wrong = |edit: &Edit| {
                    faults.iter().any(|fault| fault.key.strip_prefix("settings.") == Some(edit.key.as_str()))
                };
                let before = edits.len();
                edits.retain(|edit| !is_wrong(edit));
                let is_stuck = edits.len() == before;
                told.extend(faults);
                if is_stuck {
                    return Ok(told);
                }
            }
        }
    }
}

/// Takes the logo that was uploaded, or is to be removed.
pub(super) fn take_logo(form: &mut Form, all: &mut [Given], faults: &mut Vec<Fault>) {
    let file = form.take_file(&format!("{LOGO}.file"));
    let Some(given) = all.iter_mut().find(|given| given.key == LOGO) else { return };
    if given.is_removed {
        given.content = Content::Text(String::new());
    }
    match file {
        Ok(bytes) if bytes.is_empty() => {}
        Ok(bytes) => match Logo::read(&bytes) {
            Ok(logo) => {
                given.is_removed = false;
                given.content = Content::Text(logo.text());
            }
            Err(fault) => faults.push(Fault::new(LOGO, format!("the file {fault}"))),
        },
        Err(_) => faults.push(Fault::new(LOGO, "is no file")),
    }
}

/// What is wrong with a form that is too large to be read.
pub(super) fn too_large() -> Fault {
    Fault::new(LOGO, format!("the file has more than {} KiB", LARGEST_UPLOAD / 1024))
}

/// `/admin/appearance/…`: pages, style sheets and the logo, to be looked at.
pub(super) struct Preview;

/// Regain's style sheet and the one after it, for light or dark pages whatever the browser prefers.
fn sheet(seat: &Seat<'_>, look: &Look, is_dark: bool) -> String {
    let assets = seat.site.renderer.assets();
    let own = assets.find("regain.css").map(|asset| &*asset.bytes).unwrap_or_default();
    let mut text = format!("{}\n{}", String::from_utf8_lossy(own), look.sheet);
    let scheme = if is_dark { "dark" } else { "light" };
    for known in ["dark", "light"] {
        let is_so = if known == scheme { "(min-width: 0)" } else { "(max-width: 0)" };
        for blank in ["", " "] {
            text = text.replace(&format!("(prefers-color-scheme:{blank}{known})"), is_so);
        }
    }
    text.replace("color-scheme: light dark", &format!("color-scheme: {scheme}"))
}

#[async_trait]
impl Page for Preview {
    fn is_for(&self, role: Role) -> bool {
        tabs::is_for(role)
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let view = seat.request.raw_path_param("view").unwrap_or_default();
        let (settings, look) = look(&seat);
        let (site, language) = (seat.site, seat.language);
        if let ("logo", Some(logo)) = (view, &look.logo) {
            let mut response = Response::builder().content_type(logo.media_type()).body(logo.bytes.clone());
            headers::lock(&mut response);
            return Ok(response);
        }
        if let Some(scheme) = view.strip_suffix(".css").filter(|scheme| ["light", "dark"].contains(scheme)) {
            let sheet = sheet(&seat, &look, scheme == "dark");
            return Ok(Response::builder().content_type(statics::CSS).body(sheet));
        }
        let (flow, step, scheme) = match view.split_once('-') {
            Some(("menu", scheme @ ("light" | "dark"))) => ("menu", "menu", scheme),
            Some(("form", scheme @ ("light" | "dark"))) => ("reset", "identify", scheme),
            _ => return Err(Error::Refused(Refusal::NotFound)),
        };
        let address = format!("/admin/appearance/{scheme}.css?v={}", look.sheet_version);
        let page = page::Page::new(site, language, flow, step);
        let page = page.drawn_by(&settings, &look, address, "/admin/appearance/logo");
        let (template, drawn) = match flow {
            "menu" => ("user/menu.html", user::draw_menu(site, page, &settings, language, "")),
            _ => ("user/identify.html", user::sample(site, page, language)),
        };
        let mut response = page::answer(template, &language.code, drawn, StatusCode::OK);
        headers::allow_framing(&mut response);
        Ok(response)
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect("/admin/settings/appearance"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_are_few_and_each_is_its_sessions_own() {
        let drafts = Drafts::default();
        let at = Timestamp::from_millis(1_000_000);
        let hour = Duration::from_secs(3600);
        for number in 0..40_u8 {
            let mut settings = Settings::default();
            settings.general.footer = number.to_string();
            drafts.keep([number; 32], at, settings);
        }
        assert_eq!(drafts.0.lock().unwrap().len(), MOST_DRAFTS);
        let footer = |number: u8, now| {
            drafts.find(&[number; 32], now, hour).map(|(settings, _)| settings.general.footer.clone())
        };
        assert_eq!(
            (footer(39, at), footer(24, at), footer(23, at)),
            (Some("39".into()), Some("24".into()), None)
        );
        drafts.keep([30; 32], at, Settings::default());
        assert_eq!(footer(30, at).as_deref(), Some(""));
        assert_eq!(drafts.0.lock().unwrap().len(), MOST_DRAFTS, "one of each");
        drafts.forget(&[30; 32]);
        assert_eq!((footer(30, at), footer(39, at + hour)), (None, None));
        assert!(drafts.0.lock().unwrap().is_empty());
    }
}
