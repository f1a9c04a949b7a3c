//! Drawing the page of the step where a visitor is.

use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Query, methods,
    page::{self, Choice, Form, Identify, Page},
};
use crate::{
    domain::{
        field::Problems,
        flow::{Ending, Factor, Kind, LONGEST_FLOW},
        password_rules::{ROWS, Rules},
    },
    flows::{
        Error, Visitor,
        view::{self, Adding, Shown, View},
    },
    render::{self, Language},
    web::{Site, csrf, problem},
};

/// What was typed and may be shown again: never a password, an answer or a code.
#[derive(Debug, Default)]
pub struct Typed {
    /// The name.
    pub username: String,
    /// The domain.
    pub domain: String,
    /// The e-mail address.
    pub email: String,
    /// The questions chosen or written.
    pub questions: Vec<String>,
    /// What a passkey is to be called.
    pub name: String,
}

#[derive(Serialize)]
struct IdentifyContext<'a> {
    page: Page<'a>,
    form: Form,
    identify: Identify,
}

/// Draws the first page of a flow to be looked at: nothing is sent with it.
pub fn sample(site: &Site, page: Page<'_>, language: &Language) -> Result<String, render::Error> {
    let form = Form::new(site, language, String::new(), String::new(), &Problems::default());
    let identify = Identify::new(&site.services.settings.load(), &site.services.domains(), "", "");
    site.renderer.render("user/identify.html", &language.code, IdentifyContext { page, form, identify })
}

#[derive(Serialize)]
struct EnrollContext<'a> {
    page: Page<'a>,
    form: Form,
    enroll: Enroll,
}

#[derive(Serialize)]
struct Enroll {
    proven: bool,
    /// Whether too many wrong tries make it necessary.
    locked: bool,
    /// Who has enrolled before need not do it all again.
    comes_back: bool,
    account: String,
    identify: Identify,
    email: Email,
    questions: Vec<QuestionBox>,
    minimum_answer_length: u32,
    minutes: u32,
}

#[derive(Serialize)]
struct Email {
    show: bool,
    value: String,
}

#[derive(Serialize)]
struct QuestionBox {
    index: usize,
    own: bool,
    own_value: String,
    options: Vec<Choice>,
}

#[derive(Serialize)]
struct QuestionContext<'a> {
    page: Page<'a>,
    form: Form,
    question: Question,
    alternatives: Vec<&'static str>,
    progress: Option<Progress>,
}

/// What was proved last, and how many ways are still needed.
#[derive(Serialize)]
struct Progress {
    last: &'static str,
    more: usize,
}

#[derive(Serialize)]
struct Question {
    text: String,
    number: usize,
    total: usize,
}

#[derive(Serialize)]
struct CodeContext<'a> {
    page: Page<'a>,
    form: Form,
    code: Code,
    alternatives: Vec<&'static str>,
    progress: Option<Progress>,
    /// Whether the code confirms an address at enrollment.
    confirms: bool,
}

#[derive(Serialize)]
struct HeldContext<'a> {
    page: Page<'a>,
    form: Form,
    factor: &'static str,
    options: String,
    alternatives: Vec<&'static str>,
    progress: Option<Progress>,
}

#[derive(Serialize)]
struct MethodsContext<'a> {
    page: Page<'a>,
    form: Form,
    methods: methods::Overview,
}

#[derive(Serialize)]
struct AddingContext<'a> {
    page: Page<'a>,
    form: Form,
    adding: methods::Added,
}

#[derive(Serialize)]
struct Code {
    is_sent: bool,
    destinations: Vec<String>,
    minutes: u32,
    has_digits_only: bool,
    may_resend: bool,
    resend_after: u64,
}

impl Code {
    fn of(awaited: view::Code) -> Self {
        Self {
            is_sent: awaited.is_sent,
            destinations: awaited.destinations,
            minutes: awaited.minutes,
            has_digits_only: awaited.has_digits_only,
            may_resend: awaited.resend_after.is_some(),
            resend_after: awaited.resend_after.unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
struct PasswordContext<'a> {
    page: Page<'a>,
    form: Form,
    password: Password,
}

#[derive(Serialize)]
struct Password {
    account: String,
    rules: RuleList,
    finished_unlocks: bool,
}

/// The rules for a new password, with what the script needs to check them while somebody types.
#[derive(Serialize)]
struct RuleList {
    all: Vec<RuleLine>,
    /// What must not be in it, in small letters, as a JSON list.
    names: String,
    /// Keys that lie side by side, as a JSON list.
    rows: String,
}

#[derive(Serialize)]
struct RuleLine {
    key: &'static str,
    count: u32,
    text: String,
}

impl RuleList {
    fn of(site: &Site, language: &Language, rules: &Rules) -> Self {
        let json = |list: &[&str]| serde_json::to_string(list).unwrap_or_default();
        let names: Vec<_> = rules.names().iter().map(String::as_str).collect();
        let all = rules.list().map(|rule| RuleLine {
            key: rule.key(),
            count: rule.count().unwrap_or_default(),
            text: page::rule_text(site, language, rule),
        });
        Self { all: all.collect(), names: json(&names), rows: json(&ROWS) }
    }
}

#[derive(Serialize)]
struct CredentialsContext<'a> {
    page: Page<'a>,
    form: Form,
    credentials: Credentials,
}

#[derive(Serialize)]
struct Credentials {
    account: String,
    rules: RuleList,
}

#[derive(Serialize)]
struct FinishedContext<'a> {
    page: Page<'a>,
    finished: Finished,
}

#[derive(Serialize)]
struct Finished {
    title: String,
    text: String,
    notes: Vec<String>,
}

/// The page of the step where the visitor is. An address that fills in a name means the first page, whoever used
/// the browser before.
pub async fn current(
    site: &Site,
    visitor: &Visitor,
    language: &Language,
    kind: Kind,
    query: &Query,
) -> Result<Response, Error> {
    let typed = Typed { username: query.username.clone(), domain: query.domain.clone(), ..Typed::default() };
    let shown =
        if query.is_filled() { Shown::start() } else { view::view(&site.services, visitor, kind).await? };
    Ok(draw(site, visitor, language, kind, shown, (&typed, &Problems::new()), StatusCode::OK))
}

/// The same page again, with what was wrong and what was typed.
pub async fn again(
    site: &Site,
    visitor: &Visitor,
    language: &Language,
    kind: Kind,
    (typed, problems, proven): (&Typed, &Problems, Option<Box<Rules>>),
    from_start: bool,
) -> Result<Response, Error> {
    let mut shown =
        if from_start { Shown::start() } else { view::view(&site.services, visitor, kind).await? };
    if let (View::Credentials { rules, .. }, Some(proven)) = (&mut shown.view, proven) {
        *rules = proven;
    }
    Ok(draw(site, visitor, language, kind, shown, (typed, problems), StatusCode::UNPROCESSABLE_ENTITY))
}

fn draw(
    site: &Site,
    visitor: &Visitor,
    language: &Language,
    kind: Kind,
    shown: Shown,
    (typed, problems): (&Typed, &Problems),
    status: StatusCode,
) -> Response {
    let settings = site.services.settings.load_full();
    let token = csrf::token(&site.services.keys.forms, &visitor.session, kind.as_str(), &shown.tag);
    let form = Form::new(site, language, format!("/{kind}"), token, problems);
    let page = |step| Page::new(site, language, kind.as_str(), step);
    let domains = site.services.domains();
    let identify = || Identify::new(&settings, &domains, &typed.username, &typed.domain);
    let code = language.code.as_str();
    // The browsers of logon screens know no passkeys.
    let can = |way: &&Factor| !language.is_for_logon || **way != Factor::Passkey;
    let alternatives: Vec<_> = shown.alternatives.iter().filter(can).map(|way| way.as_str()).collect();
    let progress = shown.progress.map(|(last, more)| Progress { last: last.as_str(), more });
    match shown.view {
        View::Start if kind == Kind::Enroll => {
            let enroll = enroll_page(site, language, None, None, typed, identify());
            page::render(
                site,
                "user/enroll.html",
                code,
                EnrollContext { page: page("identify"), form, enroll },
                status,
            )
        }
        View::Questions { account, present, locked } => {
            let mut enroll =
                enroll_page(site, language, Some(account), present.as_deref(), typed, identify());
            enroll.locked = locked;
            let context = EnrollContext { page: page("credentials"), form, enroll };
            page::render(site, "user/enroll.html", code, context, status)
        }
        View::Start => {
            let context = IdentifyContext { page: page("identify"), form, identify: identify() };
            page::render(site, "user/identify.html", code, context, status)
        }
        View::Question { question, number, total } => {
            let question = Question { text: question.as_str().to_owned(), number, total };
            let context = QuestionContext { page: page("question"), form, question, alternatives, progress };
            page::render(site, "user/question.html", code, context, status)
        }
        View::Code(awaited) => {
            let context = CodeContext {
                page: page("code"),
                form,
                code: Code::of(awaited),
                alternatives,
                progress,
                confirms: false,
            };
            page::render(site, "user/code.html", code, context, status)
        }
        View::Adding(Adding::Address(awaited)) => {
            let code = Code::of(awaited);
            let context = CodeContext {
                page: page("code").with_time(),
                form,
                code,
                alternatives,
                progress,
                confirms: true,
            };
            page::render(site, "user/code.html", &language.code, context, status)
        }
        View::Held { factor, options } => {
            let (factor, options) = (factor.as_str(), options.unwrap_or_default());
            let context = HeldContext { page: page("code"), form, factor, options, alternatives, progress };
            page::render(site, "user/held.html", code, context, status)
        }
        View::Methods(ways) => {
            let methods = methods::Overview::of(&settings, *ways);
            let context = MethodsContext { page: page("credentials").with_time(), form, methods };
            page::render(site, "user/methods.html", code, context, status)
        }
        View::Adding(adding) => match methods::Added::of(adding, &typed.name) {
            Ok(adding) => {
                let context = AddingContext { page: page("credentials").with_time(), form, adding };
                page::render(site, "user/adding.html", code, context, status)
            }
            Err(error) => problem::page(site, language, Some(kind), &error).0,
        },
        View::NewPassword(account, rules) => {
            let rules = RuleList::of(site, language, &rules);
            let password = Password { account: account.qualified_name(), rules, finished_unlocks: true };
            let context = PasswordContext { page: page("password"), form, password };
            page::render(site, "user/password.html", code, context, status)
        }
        View::Credentials { username, rules } => {
            let credentials = Credentials { account: username, rules: RuleList::of(site, language, &rules) };
            let context = CredentialsContext { page: page("credentials"), form, credentials };
            page::render(site, "user/credentials.html", code, context, status)
        }
        View::Finished { ending, used_recovery_code } => {
            let finished = finished(site, language, ending, used_recovery_code);
            page::render(
                site,
                "user/finished.html",
                code,
                FinishedContext { page: page("finished"), finished },
                status,
            )
        }
    }
}

fn enroll_page(
    site: &Site,
    language: &Language,
    account: Option<String>,
    present: Option<&crate::domain::enrollment::Enrollment>,
    typed: &Typed,
    identify: Identify,
) -> Enroll {
    let settings = site.services.settings.load();
    let (count, own) = (settings.questions() as usize, settings.enroll.own_questions as usize);
    let list = settings.enroll.questions_in(&language.code);
    let chosen = |index: usize| {
        let before = present.and_then(|present| present.questions.get(index));
        match typed.questions.get(index) {
            Some(typed) if !typed.is_empty() => typed.clone(),
            _ => before.map(|before| before.question.as_str().to_owned()).unwrap_or_default(),
        }
    };
    let questions = (0..count)
        .map(|index| {
            let chosen = chosen(index);
            let own = index + own >= count;
            let mut options: Vec<Choice> = list.iter().map(|text| Choice::plain(text, &chosen)).collect();
            // One chosen in another language, or no longer offered there, stays what it is.
            if !chosen.is_empty() && !list.contains(&chosen) && settings.enroll.offers(&chosen) {
                options.insert(0, Choice::plain(&chosen, &chosen));
            }
            QuestionBox {
                index: index + 1,
                own,
                own_value: if own { chosen } else { String::new() },
                options: if own { Vec::new() } else { options },
            }
        })
        .collect();
    let email = match present.and_then(|present| present.email.as_ref()) {
        Some(address) if typed.email.is_empty() => address.as_str().to_owned(),
        _ => typed.email.clone(),
    };
    Enroll {
        proven: account.is_some(),
        locked: false,
        comes_back: (count > 0 || settings.enroll.ask_email)
            && settings.ways().into_iter().any(Factor::is_held),
        account: account.unwrap_or_default(),
        identify,
        email: Email { show: settings.enroll.ask_email, value: email },
        questions,
        minimum_answer_length: settings.enroll.minimum_answer_length,
        minutes: minutes(settings.security.idle_timeout_seconds),
    }
}

/// How long a person may take over one page.
fn minutes(idle_timeout_seconds: u32) -> u32 {
    let longest = u32::try_from(LONGEST_FLOW.as_secs()).unwrap_or(u32::MAX);
    let seconds = if idle_timeout_seconds == 0 { longest } else { idle_timeout_seconds.min(longest) };
    (seconds / 60).max(1)
}

fn finished(site: &Site, language: &Language, ending: Ending, used_recovery_code: bool) -> Finished {
    let text = |key: &str| site.renderer.texts().text(&language.code, key, &[]);
    let (title, words, notes): (&str, &str, &[&str]) = match ending {
        Ending::Enrolled { cleared_lockout: true } => {
            ("finished.enroll.title", "finished.enroll.text", &["note.clear_lockout"])
        }
        Ending::Enrolled { .. } => ("finished.enroll.title", "finished.enroll.text", &[]),
        Ending::MethodsMissing => ("finished.methods.missing_title", "finished.methods.missing", &[]),
        Ending::MethodsKept => ("finished.methods.title", "finished.methods.text", &[]),
        Ending::Reset { must_change: true } => {
            ("finished.reset.title", "finished.reset.text", &["note.must_change"])
        }
        Ending::Reset { .. } => ("finished.reset.title", "finished.reset.text", &["note.cached_password"]),
        Ending::Unlocked { was_locked: true } => ("finished.unlock.title", "finished.unlock.text", &[]),
        Ending::Unlocked { .. } => ("finished.unlock.not_locked_title", "finished.unlock.not_locked", &[]),
        Ending::Changed => ("finished.change.title", "finished.change.text", &["note.cached_password"]),
    };
    let used = used_recovery_code.then_some("note.recovery_code_used");
    let notes = notes.iter().copied().chain(used).map(text).collect();
    Finished { title: text(title), text: text(words), notes }
}
