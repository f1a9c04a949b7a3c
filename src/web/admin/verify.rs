//! Verifying the audit log: a button, how far it is, and what came of it.

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{Page, Panel, Seat, draw, minute, redirect};
use crate::{
    domain::admin::Role,
    flows::{Error, verify::Step},
    store::audit::Verified,
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/events/verify";

/// `/admin/events/verify`
pub(super) struct Verify;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    csrf: String,
    action: &'static str,
    may_begin: bool,
    check: Words,
}

#[derive(Serialize, Default)]
struct Words {
    /// `none`, `running`, `whole`, `empty`, `broken`, `unknown`.
    step: &'static str,
    done: u64,
    total: u64,
    /// When it was done, and by whom.
    at: String,
    by: String,
    /// The event that is not as it was written, or the last one.
    number: u64,
    why: String,
}

impl From<Step> for Words {
    fn from(step: Step) -> Self {
        let (at, by, found) = match step {
            Step::None => return Self { step: "none", ..Self::default() },
            Step::Running(done, total) => return Self { step: "running", done, total, ..Self::default() },
            Step::Ended { at, by, found } => (minute(at), by, found),
        };
        let (step, number, why) = match found {
            None => ("unknown", 0, String::new()),
            Some(Verified::Whole(None)) => ("empty", 0, String::new()),
            Some(Verified::Whole(Some(head))) => ("whole", head.number, String::new()),
            Some(Verified::Broken { number, why }) => ("broken", number, why),
        };
        Self { step, at, by, number, why, ..Self::default() }
    }
}

#[async_trait]
impl Page for Verify {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    fn is_sent_by(&self, role: Role) -> bool {
        role != Role::HelpDesk
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let site = seat.site;
        let context = Context {
            page: page::Page::new(site, seat.language, "admin", "verify"),
            panel: Panel::new(&seat, "verify"),
            csrf: seat.token(PATH),
            action: PATH,
            may_begin: self.is_sent_by(seat.admin.role),
            check: site.services.verification.step().into(),
        };
        Ok(draw(site, seat.language, "admin/verify.html", context, StatusCode::OK))
    }

    async fn take(&self, seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        seat.site.services.verification.begin(seat.editor());
        Ok(redirect(PATH))
    }
}
