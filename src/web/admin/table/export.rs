//! What a table shows, as a file: the same rows in the same order, all of them, and the same columns. It is streamed: a
//! million rows need no more memory than a few thousand. Who took what along is in the audit log.

use std::{borrow::Borrow, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use poem::{Body, Response, http::header};

use super::{
    Table,
    view::{self, Asked, View},
    words_of,
};
use crate::{
    domain::{
        admin::Role,
        audit::{Action, Event, Outcome},
        filter::Column as _,
        refusal::{Refusal, Service},
    },
    flows::{Error, Services},
    report::{
        export::{self, Format},
        rows,
    },
    store::Store,
    web::{
        admin::{Page, Seat, limited, redirect},
        form::Form,
    },
};

/// `/admin/…/export/…`
pub(in crate::web::admin) struct ExportPage<T>(PhantomData<T>);

impl<T: Table> ExportPage<T> {
    /// The page.
    pub(in crate::web::admin) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The store, for as long as it is read.
pub(in crate::web::admin) struct Kept(pub Arc<Services>);

impl Borrow<Store> for Kept {
    fn borrow(&self) -> &Store {
        &self.0.store
    }
}

/// The formats, with where each is.
pub(super) fn links<T: Table>(view: &View<T>) -> Vec<(&'static str, String)> {
    let query = view.first().query(&[]);
    let href =
        |format: Format| view::address(&format!("/admin/{}/export/{}", T::KEY, format.as_str()), &query);
    let name = |format| match format {
        Format::Csv => "CSV",
        Format::Xlsx => "XLSX",
        Format::Html => "HTML",
        Format::Text => "TXT",
        Format::Xml => "XML",
        Format::JsonLines => "JSON Lines",
    };
    Format::ALL.map(|format| (name(format), href(format))).into()
}

fn event<T: Table>(seat: &Seat<'_>, view: &View<T>, format: Format) -> Event {
    let editor = seat.editor();
    Event {
        at: seat.site.services.clock.now(),
        outcome: Outcome::Success,
        source: editor.source.into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Export,
        detail: format!("{} {}: {}", T::KEY, format.as_str(), view.filter)
            .trim_end()
            .chars()
            .take(300)
            .collect(),
        source_ip: editor.address,
        source_user: Some(editor.name),
        account: None,
        reference: None,
    }
}

#[async_trait]
impl<T: Table> Page for ExportPage<T> {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let site = seat.site;
        // Each is an event.
        if let Some(response) = limited(site, seat.language, seat.address) {
            return Ok(response);
        }
        let format = seat.request.raw_path_param("format").and_then(Format::named);
        let format = format.ok_or(Error::Refused(Refusal::NotFound))?;
        let (view, wrong) = View::<T>::read(&Asked::of(seat.request));
        if wrong.is_some() {
            return Err(Error::Refused(Refusal::NotFound));
        }
        let turn = site
            .desk
            .export(&seat.admin.who)
            .ok_or_else(|| Error::Unavailable(Service::Busy, "exports".into()))?;
        let words = words_of(&seat);
        let now = site.services.clock.now();
        let table = export::Table {
            title: words.text(&format!("admin.{}.title", T::KEY), &[]),
            language: seat.language.code.clone(),
            is_right_to_left: seat.language.direction == "rtl",
            columns: rows::columns(&view.columns, |column| words.column(column.key())),
            yes: words.text("admin.look.yes", &[]),
            no: words.text("admin.look.no", &[]),
        };
        // What can't be written down is not handed out.
        site.services.store.batch().event(&event(&seat, &view, format)).commit().await?;
        let source = T::source(Kept(Arc::clone(&site.services)));
        let found = rows::rows(source, view.first().search(now), view.columns.clone());
        let chunks = export::begin(table, format, found).await?;
        // The turn is over when the file is.
        let chunks = chunks.map(move |chunk| {
            let _ = &turn;
            chunk
        });
        let day: String = now.to_string().chars().take(10).collect();
        let file = format!("attachment; filename=\"regain-{}-{day}.{}\"", T::KEY, format.as_str());
        Ok(Response::builder()
            .content_type(format.media_type())
            .header(header::CONTENT_DISPOSITION, file)
            .body(Body::from_bytes_stream(chunks)))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect(&format!("/admin/{}", T::KEY)))
    }
}
