//! Importing enrollments: a table is uploaded or pasted, looked at line by line, and imported.

use async_trait::async_trait;
use poem::{
    Response,
    http::{StatusCode, header},
};
use serde::Serialize;

use super::{Page, Panel, Seat, draw, minute, proof, redirect};
use crate::{
    domain::{
        admin::Role,
        field::Problems,
        import::{self as table, Ending, Fate, Fault, MAXIMUM_BYTES, Reason, Summary},
        sheet,
    },
    flows::{
        Error,
        import::{self, Denied, Importer, Line, Options, Phase, View},
    },
    web::{form::Form, user::page},
};

const PATH: &str = "/admin/import";
/// Lines of the report on one page.
const PAGE: usize = 500;
/// What a form may have besides the table: the same bytes pasted take more room than in a file, if they are encoded.
const MARGIN: usize = 64 * 1024;

/// `/admin/import`
pub(super) struct Import;

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    import: Words,
}

#[derive(Serialize, Default)]
struct Words {
    step: &'static str,
    options: Switches,
    by: String,
    is_own: bool,
    has_mobile: bool,
    /// Why it has stopped.
    trouble: String,
    done: usize,
    total: usize,
    counts: Vec<(&'static str, usize)>,
    lines: Vec<LineWords>,
    /// The import before, if there is none now.
    last: Option<LastWords>,
    /// Where other lines are: the addresses of the pages before and behind.
    before: String,
    behind: String,
}

/// An import of which only the numbers are left.
#[derive(Serialize)]
struct LastWords {
    step: &'static str,
    by: String,
    at: String,
    counts: Vec<(&'static str, usize)>,
}

impl From<Summary> for LastWords {
    fn from(last: Summary) -> Self {
        let counts = [
            ("created", last.created),
            ("replaced", last.replaced),
            ("left", last.left),
            ("refused", last.refused),
            ("skipped", last.skipped),
        ];
        let is_open = last.ending == Ending::Open;
        Self {
            step: match last.ending {
                Ending::Open => "interrupted",
                Ending::Finished => "finished",
                Ending::Cancelled => "cancelled",
                Ending::Dropped => "dropped",
            },
            by: last.by,
            at: minute(last.at),
            counts: counts.into_iter().filter(|(_, count)| !is_open && *count > 0).collect(),
        }
    }
}

/// The check boxes, as they are drawn again.
#[derive(Serialize, Default, Clone, Copy)]
struct Switches {
    replace: bool,
    confirmed: bool,
    told: bool,
}

impl From<Options> for Switches {
    fn from(options: Options) -> Self {
        Self { replace: options.replace, confirmed: options.confirmed, told: options.told }
    }
}

#[derive(Serialize)]
struct LineWords {
    number: usize,
    user: String,
    tone: &'static str,
    text: String,
}

/// What becomes of a line: the word it is counted and shown under.
const fn tone(fate: &Fate, has_begun: bool) -> &'static str {
    match fate {
        Fate::Unseen => "unseen",
        Fate::Good(_) if has_begun => "left",
        Fate::Good(false) => "create",
        Fate::Good(true) => "replace",
        Fate::Done(false) => "created",
        Fate::Done(true) => "replaced",
        Fate::Skipped(_) => "skipped",
        Fate::Refused(_) => "refused",
    }
}

/// The counts in the order in which they are shown.
const TONES: [&str; 8] = ["create", "replace", "created", "replaced", "left", "unseen", "refused", "skipped"];

fn words(seat: &Seat<'_>, line: &Line, has_begun: bool) -> String {
    let texts = seat.site.renderer.texts();
    let text = |key: &str, values: &[(&str, &str)]| texts.text(&seat.language.code, key, values);
    let (Fate::Skipped(reason) | Fate::Refused(reason)) = &line.fate else {
        return text(&format!("admin.import.fate.{}", tone(&line.fate, has_begun)), &[]);
    };
    let named = |code: &str, number: usize| {
        text(&format!("admin.import.reason.{code}"), &[("number", &number.to_string())])
    };
    match reason {
        Reason::UserUnknown => named("user_unknown", 0),
        Reason::UserTwice { line } => named("user_twice", *line),
        Reason::TooManyQuestions { asked } => named("too_many_questions", *asked),
        Reason::TooManyCells => named("too_many_cells", 0),
        Reason::LanguageMalformed => named("language_malformed", 0),
        Reason::NothingGiven => named("nothing_given", 0),
        Reason::Enrolled => named("enrolled", 0),
        Reason::EnrolledMeanwhile => named("enrolled_meanwhile", 0),
        Reason::Trouble => named("trouble", 0),
        Reason::Refused(refusal) => text(&format!("refusal.{}.title", refusal.code()), &[]),
        Reason::Wrong(problems) => page::sentences(seat.site, seat.language, problems).join(" "),
    }
}

impl Words {
    fn of(seat: &Seat<'_>, view: &View) -> Self {
        let step = match view.phase {
            Phase::Checking => "checking",
            Phase::Checked => "checked",
            Phase::Importing => "importing",
            Phase::Stopped(_) => "stopped",
            Phase::Finished => "finished",
            Phase::Cancelled => "cancelled",
            Phase::Dropped => "dropped",
        };
        let texts = seat.site.renderer.texts();
        let trouble = match view.phase {
            Phase::Stopped(code) => texts.text(&seat.language.code, &format!("refusal.{code}.title"), &[]),
            _ => String::new(),
        };
        let tones = view.lines.iter().map(|line| tone(&line.fate, view.has_begun));
        let count = |wanted: &&'static str| (*wanted, tones.clone().filter(|tone| tone == wanted).count());
        let counts: Vec<_> = TONES.iter().map(count).filter(|(_, count)| *count > 0).collect();
        let total = view.lines.len();
        let is_left = |line: &&Line| match line.fate {
            Fate::Unseen => true,
            Fate::Good(_) => view.has_begun,
            _ => false,
        };
        let from = seat.request.uri().query().and_then(|query| query.strip_prefix("from="));
        let from = from.and_then(|from| from.parse().ok()).unwrap_or(0_usize).min(total);
        let shown = if view.phase.is_working() { &[] } else { &view.lines[from..total.min(from + PAGE)] };
        let at = |from: usize| format!("{PATH}?from={from}");
        Self {
            step,
            options: view.options.into(),
            by: view.importer.name.clone(),
            is_own: view.importer.who == seat.admin.who,
            has_mobile: view.has_mobile,
            trouble,
            done: total - view.lines.iter().filter(is_left).count(),
            total,
            counts,
            lines: shown
                .iter()
                .map(|line| LineWords {
                    number: line.number,
                    user: line.user.clone(),
                    tone: tone(&line.fate, view.has_begun),
                    text: words(seat, line, view.has_begun),
                })
                .collect(),
            last: None,
            before: if from > 0 { at(from.saturating_sub(PAGE)) } else { String::new() },
            behind: if from + PAGE < total { at(from + PAGE) } else { String::new() },
        }
    }
}

/// What was sent and could not be done.
#[derive(Default)]
struct Refused {
    options: Options,
    text: String,
    at: &'static str,
}

fn draw_page(seat: &Seat<'_>, refused: Option<&Refused>, status: StatusCode) -> Response {
    draw_with(seat, refused, None, status)
}

fn draw_with(
    seat: &Seat<'_>,
    refused: Option<&Refused>,
    last: Option<Summary>,
    status: StatusCode,
) -> Response {
    let services = &seat.site.services;
    let view = services.import.view(services.now());
    // Where a table is taken, or can be imported, the proof has to be fresh; to look on, or to break off, it has not.
    let is_open = view.as_ref().is_none_or(|view| view.phase == Phase::Checked);
    if is_open && !seat.admin.is_fresh && refused.is_none() {
        return proof::ask(seat, PATH);
    }
    let mut form =
        page::Form::new(seat.site, seat.language, PATH.to_owned(), seat.token(PATH), &Problems::new());
    if let Some(refused) = refused {
        if refused.at.is_empty() {
            form.summarise(refused.text.clone());
        } else {
            form.add_fault(refused.at.to_owned(), refused.text.clone());
        }
    }
    let import = match &view {
        Some(view) => Words::of(seat, view),
        None => Words {
            step: "start",
            last: last.map(LastWords::from),
            options: refused.map(|refused| refused.options).unwrap_or_default().into(),
            ..Words::default()
        },
    };
    let page = page::Page::new(seat.site, seat.language, "admin", "import");
    let context = Context { page, panel: Panel::new(seat, "import"), form, import };
    draw(seat.site, seat.language, "admin/import.html", context, status)
}

fn refuse(seat: &Seat<'_>, refused: &Refused) -> Response {
    draw_page(seat, Some(refused), StatusCode::UNPROCESSABLE_ENTITY)
}

impl Import {
    fn text(seat: &Seat<'_>, key: &str, values: &[(&str, &str)]) -> String {
        seat.say(key, values)
    }

    /// Takes a table, from the file or from the box.
    fn check(seat: &Seat<'_>, mut form: Form) -> Response {
        let options = Options {
            replace: form.is_checked("replace"),
            confirmed: form.is_checked("confirmed"),
            told: form.is_checked("told"),
        };
        let wrong = |at, key: &str, values: &[(&str, &str)]| {
            refuse(seat, &Refused { options, text: Self::text(seat, key, values), at })
        };
        let (file, pasted) = (form.take_file("file"), form.take("text"));
        if form.finish().is_some() {
            return wrong("", "invalid.field_unknown", &[]);
        }
        let (Ok(file), Ok(pasted)) = (file, pasted) else {
            return wrong("text", "admin.import.fault.control_characters", &[]);
        };
        let pasted = pasted.reveal().as_bytes();
        let bytes = match (file.as_slice(), pasted.trim_ascii()) {
            ([], []) => return wrong("file", "admin.import.fault.nothing", &[]),
            (file, []) => file,
            ([], _) => pasted,
            _ => return wrong("file", "admin.import.fault.both", &[]),
        };
        if bytes.len() > MAXIMUM_BYTES {
            return wrong("file", "admin.import.fault.too_large", &[]);
        }
        let roster = match table::read(bytes) {
            Ok(roster) => roster,
            Err(fault) => {
                return refuse(seat, &Refused { options, text: Self::fault(seat, &fault), at: "file" });
            }
        };
        let importer =
            Importer { who: seat.admin.who.clone(), name: seat.admin.name.clone(), address: seat.address };
        let services = &seat.site.services;
        match services.import.begin(importer, options, roster, services.now()) {
            Ok(()) => redirect(PATH),
            Err(denied) => Self::deny(seat, &denied),
        }
    }

    fn fault(seat: &Seat<'_>, fault: &Fault) -> String {
        let line = fault.line().to_string();
        let values = [("line", line.as_str()), ("column", fault.column())];
        Self::text(seat, &format!("admin.import.fault.{}", fault.code()), &values)
    }

    fn deny(seat: &Seat<'_>, denied: &Denied) -> Response {
        let (code, name) = match denied {
            Denied::UnderWay(name) => ("under_way", name.as_str()),
            Denied::Foreign(name) => ("foreign", name.as_str()),
            Denied::Gone => ("gone", ""),
        };
        let text = Self::text(seat, &format!("admin.import.denied.{code}"), &[("name", name)]);
        let refused = Refused { text, ..Refused::default() };
        draw_page(seat, Some(&refused), StatusCode::CONFLICT)
    }
}

#[async_trait]
impl Page for Import {
    fn is_for(&self, role: Role) -> bool {
        role == Role::Administrator
    }

    fn longest_upload(&self) -> Option<usize> {
        Some(MAXIMUM_BYTES + MARGIN)
    }

    async fn refuse_large(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let text = Self::text(&seat, "admin.import.fault.too_large", &[]);
        let refused = Refused { text, at: "file", ..Refused::default() };
        Ok(draw_page(&seat, Some(&refused), StatusCode::PAYLOAD_TOO_LARGE))
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let last = import::last(&seat.site.services).await?;
        Ok(draw_with(&seat, None, last, StatusCode::OK))
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let action = form.take("action").map(|text| text.reveal().to_owned()).unwrap_or_default();
        let services = &seat.site.services;
        Ok(match action.as_str() {
            "prove" => return proof::take(&seat, PATH, form).await,
            "cancel" => {
                services.import.cancel();
                redirect(PATH)
            }
            "check" | "import" if !seat.admin.is_fresh => proof::ask_first(&seat, PATH),
            "check" => Self::check(&seat, form),
            "import" => match services.import.go_on(&seat.admin.who, services.now()) {
                Ok(()) => redirect(PATH),
                Err(denied) => Self::deny(&seat, &denied),
            },
            _ => refuse(
                &seat,
                &Refused { text: Self::text(&seat, "invalid.field_unknown", &[]), ..Refused::default() },
            ),
        })
    }
}

/// `/admin/import/report`
pub(super) struct Report;

#[async_trait]
impl Page for Report {
    fn is_for(&self, role: Role) -> bool {
        role == Role::Administrator
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let services = &seat.site.services;
        let Some(view) = services.import.view(services.now()) else { return Ok(redirect(PATH)) };
        let mut report = Vec::new();
        sheet::write_line(&["line", "user", "outcome"], &mut report);
        for line in &view.lines {
            let number = line.number.to_string();
            sheet::write_line(&[&number, &line.user, &words(&seat, line, view.has_begun)], &mut report);
        }
        Ok(Response::builder()
            .content_type("text/csv; charset=utf-8; header=present")
            .header(header::CONTENT_DISPOSITION, "attachment; filename=\"import.csv\"")
            .body(report))
    }

    async fn take(&self, _seat: Seat<'_>, _form: Form) -> Result<Response, Error> {
        Ok(redirect(PATH))
    }
}
