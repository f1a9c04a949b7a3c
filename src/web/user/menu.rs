//! The menu: the page that most ask for.

use std::sync::{Arc, PoisonError, RwLock};

use poem::{
    Endpoint, Request, Response, Result,
    error::MethodNotAllowedError,
    http::{Method, StatusCode, header},
};
use serde::Serialize;

use super::{Query, SESSION_COOKIE, Site, address, is_shown, language, page, remember_language, set_cookie};
use crate::{
    domain::flow::{Kind, Step},
    flows::{self, Place, Visitor, session::SessionId},
    render::{self, Language, Texts},
    settings::Settings,
    web::session,
};

/// `/`: the menu. With `cmd`, the way to a flow's page.
pub struct Menu {
    site: Arc<Site>,
    drawn: RwLock<Drawn>,
}

/// The menu as it was drawn for these settings, by language.
struct Drawn {
    settings: Arc<Settings>,
    texts: Arc<Texts>,
    pages: Vec<(Language, String)>,
}

#[derive(Serialize)]
struct MenuContext<'a> {
    page: page::Page<'a>,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    flow: &'static str,
    href: String,
}

impl Menu {
    /// The menu of that site.
    pub fn new(site: Arc<Site>) -> Self {
        let drawn = RwLock::new(Drawn {
            settings: site.services.settings.load_full(),
            texts: site.renderer.texts(),
            pages: Vec::new(),
        });
        Self { site, drawn }
    }

    fn draw(&self, settings: &Settings, language: &Language, suffix: &str) -> Result<String, render::Error> {
        let page = page::Page::new(&self.site, language, "menu", "menu");
        draw(&self.site, page, settings, language, suffix)
    }

    /// Drawn once for all who come without a name.
    fn plain(&self, language: &Language) -> Result<String, render::Error> {
        let (settings, texts) = (self.site.services.settings.load_full(), self.site.renderer.texts());
        // Whatever is read again of an operator's files, the texts are others then.
        let is_current =
            |drawn: &Drawn| Arc::ptr_eq(&drawn.settings, &settings) && Arc::ptr_eq(&drawn.texts, &texts);
        {
            let drawn = self.drawn.read().unwrap_or_else(PoisonError::into_inner);
            if is_current(&drawn)
                && let Some((_, html)) = drawn.pages.iter().find(|(known, _)| known == language)
            {
                return Ok(html.clone());
            }
        }
        let html = self.draw(&settings, language, "")?;
        let mut drawn = self.drawn.write().unwrap_or_else(PoisonError::into_inner);
        if !is_current(&drawn) {
            *drawn = Drawn { settings, texts, pages: Vec::new() };
        }
        drawn.pages.retain(|(known, _)| known != language);
        drawn.pages.push((language.clone(), html.clone()));
        Ok(html)
    }
}

/// Draws the menu that these settings make.
pub fn draw(
    site: &Site,
    page: page::Page<'_>,
    settings: &Settings,
    language: &Language,
    suffix: &str,
) -> Result<String, render::Error> {
    let items = Kind::ALL
        .into_iter()
        .filter(|kind| is_shown(settings, *kind))
        // Whoever can't log on has nothing to enroll with.
        .filter(|kind| !language.is_for_logon || *kind != Kind::Enroll)
        .map(|kind| Item { flow: kind.as_str(), href: format!("/{kind}{suffix}") })
        .collect();
    site.renderer.render("user/menu.html", &language.code, MenuContext { page, items })
}

impl Endpoint for Menu {
    type Output = Response;
    async fn call(&self, request: Request) -> Result<Response> {
        if request.method() == Method::POST {
            return Err(MethodNotAllowedError.into());
        }
        let site = &self.site;
        let query = Query::of(&request);
        let suffix = query.prefill();
        let language = &language(site, &request);
        if let Some(kind) = query.command {
            let mut response = Response::builder()
                .status(StatusCode::SEE_OTHER)
                .header(header::LOCATION, format!("/{kind}{suffix}"))
                .finish();
            remember_language(&request, language, &mut response);
            return Ok(response);
        }
        let html = if suffix.is_empty() {
            self.plain(language)
        } else {
            self.draw(&site.services.settings.load(), language, &suffix)
        };
        let mut response = page::answer("user/menu.html", &language.code, html, StatusCode::OK);
        remember_language(&request, language, &mut response);
        // Whoever returns to the menu from a finished flow starts anew from here.
        if let Some(session) = session(&request)
            && has_finished(site, &request, session).await
        {
            set_cookie(&mut response, SESSION_COOKIE, "", Some(0));
        }
        Ok(response)
    }
}

/// Whether all that was begun in this session is done, and something was.
async fn has_finished(site: &Site, request: &Request, session: SessionId) -> bool {
    let visitor = Visitor { address: Some(address(request)), language: None, session };
    let mut finished = false;
    for kind in Kind::ALL {
        match flows::locate(&site.services, &visitor, kind).await {
            Ok(Place::UnderWay(flow)) if matches!(flow.step, Step::Finished(_)) => finished = true,
            Ok(Place::UnderWay(flow)) if flow.step == Step::Moved => {}
            Ok(Place::Start | Place::Expired) => {}
            Ok(Place::UnderWay(_)) | Err(_) => return false,
        }
    }
    finished
}
