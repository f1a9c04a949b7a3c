//! Enrolling many people at once, from a table that an administrator brings along: it is checked line by line first, and
//! imported when the administrator has seen what would become of each line.
//!
//! The table is held in memory only, for a quarter of an hour at most unless it is being worked at; a line is wiped as
//! soon as it is done. There is one at a time. It is worked off in the background and gently: one look at the directory,
//! one hash at a time, behind those of the people before the pages.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Error, Services, enroll, outbox, require_permitted, sign_in};
use crate::{
    domain::{
        account::{Account, AccountKey, LogonName, NameFault},
        admin::AdminId,
        answer::Answer,
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        contact::EmailAddress,
        enrollment::{Enrollment, Question, Stamp},
        field::{Field, Problem, Problems},
        flow::Kind,
        import::{Ending, Fate, Reason, Roster, Row, Summary, shown},
        lockout::{Subject, Tally},
        secret::SecretText,
    },
    settings::{Settings, form},
    store::{self, Found},
};

/// So long a table is held that nobody imports.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Who imports.
#[derive(Clone, Debug)]
pub struct Importer {
    /// Who it is.
    pub who: AdminId,
    /// The name in the audit log.
    pub name: String,
    /// From where.
    pub address: IpAddr,
}

/// How it is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Whether enrollments that are there are replaced.
    pub replace: bool,
    /// Whether the e-mail addresses count as confirmed.
    pub confirmed: bool,
    /// Whether people are told that they were enrolled.
    pub told: bool,
}

/// How far an import is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The lines are being checked.
    Checking,
    /// All were checked; the administrator decides.
    Checked,
    /// The lines are being imported.
    Importing,
    /// Something below is in trouble: its code. It can go on later.
    Stopped(&'static str),
    /// All was done.
    Finished,
    /// An administrator broke it off.
    Cancelled,
    /// Nobody decided in time; the table was dropped.
    Dropped,
}

impl Phase {
    /// Whether there is nothing left to be done.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled | Self::Dropped)
    }

    /// Whether it is being worked at.
    pub const fn is_working(self) -> bool {
        matches!(self, Self::Checking | Self::Importing)
    }
}

/// What is told of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its number.
    pub number: usize,
    /// The user as given, fit to be shown.
    pub user: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// An import as it stands, without anything secret.
#[derive(Clone, Debug)]
pub struct View {
    /// Who imports.
    pub importer: Importer,
    /// How.
    pub options: Options,
    /// How far.
    pub phase: Phase,
    /// Whether lines were imported, or would have been next.
    pub has_begun: bool,
    /// Whether a column with mobile numbers was there, which are not taken.
    pub has_mobile: bool,
    /// The lines.
    pub lines: Vec<Line>,
}

/// What the check found out about the account of a line.
#[derive(Clone)]
struct Seen {
    account: AccountKey,
    stamp: Option<Stamp>,
}

struct Entry {
    line: Line,
    row: Option<Row>,
    seen: Option<Seen>,
}

struct Import {
    number: u64,
    importer: Importer,
    options: Options,
    phase: Phase,
    has_begun: bool,
    /// As which it was last written down.
    kept: Option<Ending>,
    has_mobile: bool,
    /// Since when it waits for a decision.
    waits_since: Timestamp,
    /// The line that is next.
    next: usize,
    entries: Vec<Entry>,
    /// Which line is about which account.
    accounts: HashMap<AccountKey, usize>,
}

impl Import {
    fn ending(&self) -> Ending {
        match self.phase {
            Phase::Finished => Ending::Finished,
            Phase::Cancelled => Ending::Cancelled,
            Phase::Dropped => Ending::Dropped,
            _ => Ending::Open,
        }
    }

    /// Ends it: what is left of the table is wiped, and how far it came is told.
    fn end(&mut self, phase: Phase) {
        for entry in &mut self.entries {
            entry.row = None;
        }
        self.phase = phase;
        if self.has_begun {
            let done = self.entries.iter().filter(|entry| matches!(entry.line.fate, Fate::Done(_))).count();
            let by = self.importer.name.as_str();
            tracing::info!(
                by,
                done,
                lines = self.entries.len(),
                ?phase,
                "an import of enrollments has ended"
            );
        }
    }
}

/// Where the one import is that there may be at a time.
#[derive(Default)]
pub struct Desk {
    import: Mutex<Option<Import>>,
    /// How many there were: what is still said of an earlier one must not be taken for this one's.
    count: AtomicU64,
    begun: Notify,
}

/// Why an import can't be begun or go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// There is one of this administrator already.
    UnderWay(String),
    /// It is another administrator's.
    Foreign(String),
    /// It is no longer at the point where that could be decided.
    Gone,
}

/// A line that is to be worked at.
struct Task {
    import: u64,
    index: usize,
    importer: Importer,
    options: Options,
    is_check: bool,
    row: Row,
    seen: Option<Seen>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Option<Import>> {
        self.import.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The import that there is.
    pub fn view(&self, now: Timestamp) -> Option<View> {
        self.expire(now);
        self.lock().as_ref().map(|import| View {
            importer: import.importer.clone(),
            options: import.options,
            phase: import.phase,
            has_begun: import.has_begun,
            has_mobile: import.has_mobile,
            lines: import.entries.iter().map(|entry| entry.line.clone()).collect(),
        })
    }

    /// Drops a table that nobody has decided about in time.
    pub fn expire(&self, now: Timestamp) {
        if let Some(import) = self.lock().as_mut()
            && !import.phase.is_over()
            && !import.phase.is_working()
            && now.since(import.waits_since) >= PATIENCE
        {
            import.end(Phase::Dropped);
        }
    }

    /// Takes a table, to be checked.
    pub fn begin(
        &self,
        importer: Importer,
        options: Options,
        roster: Roster,
        now: Timestamp,
    ) -> Result<(), Denied> {
        self.expire(now);
        let mut desk = self.lock();
        if let Some(other) = desk.as_ref().filter(|other| !other.phase.is_over()) {
            return Err(Denied::UnderWay(other.importer.name.clone()));
        }
        let entries = roster.rows.into_iter().map(|row| Entry {
            line: Line { number: row.line, user: shown(&row.user), fate: Fate::Unseen },
            row: Some(row),
            seen: None,
        });
        *desk = Some(Import {
            number: self.count.fetch_add(1, Ordering::Relaxed),
            importer,
            options,
            phase: Phase::Checking,
            has_begun: false,
            kept: None,
            has_mobile: roster.has_mobile,
            waits_since: now,
            next: 0,
            entries: entries.collect(),
            accounts: HashMap::new(),
        });
        self.begun.notify_one();
        Ok(())
    }

    /// Goes on: from the check to the import, or after it was stopped.
    pub fn go_on(&self, who: &AdminId, now: Timestamp) -> Result<(), Denied> {
        self.expire(now);
        let mut desk = self.lock();
        let import = desk.as_mut().ok_or(Denied::Gone)?;
        if import.importer.who != *who {
            return Err(Denied::Foreign(import.importer.name.clone()));
        }
        match import.phase {
            Phase::Checked => {
                import.next = 0;
                import.has_begun = true;
                import.phase = Phase::Importing;
            }
            Phase::Stopped(_) if import.has_begun => import.phase = Phase::Importing,
            Phase::Stopped(_) => import.phase = Phase::Checking,
            _ => return Err(Denied::Gone),
        }
        self.begun.notify_one();
        Ok(())
    }

    /// Breaks it off: what is done stays done. One that is over, or has not begun, is forgotten with its report.
    pub fn cancel(&self) {
        let mut desk = self.lock();
        match desk.as_mut() {
            Some(import) if import.has_begun && !import.phase.is_over() => {
                import.end(Phase::Cancelled);
                self.begun.notify_one();
            }
            _ => *desk = None,
        }
    }

    /// Ends that import, whoever decides about it.
    fn dismiss(&self, number: u64) {
        let mut desk = self.lock();
        let import = desk.as_mut().filter(|import| import.number == number && !import.phase.is_over());
        if let Some(import) = import {
            import.end(Phase::Cancelled);
        }
    }

    /// The program stops: what is under way ends with it.
    pub fn close(&self) {
        if let Some(import) = self.lock().as_mut().filter(|import| !import.phase.is_over()) {
            import.end(Phase::Cancelled);
        }
    }

    /// Waits until there is something to do.
    pub async fn has_work(&self) {
        self.begun.notified().await;
    }

    /// What is to be written down of it: that it has begun, and how it has ended.
    fn summary(&self, now: Timestamp) -> Option<(u64, Summary)> {
        let desk = self.lock();
        let import = desk.as_ref().filter(|import| import.has_begun)?;
        let ending = import.ending();
        if import.kept == Some(ending) {
            return None;
        }
        let count = |is_one: fn(&Fate) -> bool| {
            import.entries.iter().filter(|entry| is_one(&entry.line.fate)).count()
        };
        let summary = Summary {
            by: import.importer.name.clone(),
            at: now,
            ending,
            created: count(|fate| *fate == Fate::Done(false)),
            replaced: count(|fate| *fate == Fate::Done(true)),
            left: count(|fate| matches!(fate, Fate::Unseen | Fate::Good(_))),
            refused: count(|fate| matches!(fate, Fate::Refused(_))),
            skipped: count(|fate| matches!(fate, Fate::Skipped(_))),
        };
        Some((import.number, summary))
    }

    /// That was written down.
    fn is_kept(&self, number: u64, ending: Ending) {
        if let Some(import) = self.lock().as_mut().filter(|import| import.number == number) {
            import.kept = Some(ending);
        }
    }

    /// The next line, or the end of the phase.
    fn next(&self, now: Timestamp) -> Option<Task> {
        let mut desk = self.lock();
        let import = desk.as_mut().filter(|import| import.phase.is_working())?;
        let is_check = import.phase == Phase::Checking;
        while let Some(entry) = import.entries.get_mut(import.next) {
            let index = import.next;
            import.next += 1;
            let is_due = if is_check {
                Fate::Unseen == entry.line.fate
            } else {
                matches!(entry.line.fate, Fate::Good(_))
            };
            if !is_due {
                continue;
            }
            if let Some(row) = entry.row.take() {
                return Some(Task {
                    import: import.number,
                    index,
                    importer: import.importer.clone(),
                    options: import.options,
                    is_check,
                    row,
                    seen: entry.seen.clone(),
                });
            }
        }
        if is_check {
            import.phase = Phase::Checked;
            import.waits_since = now;
        } else {
            import.end(Phase::Finished);
        }
        None
    }

    /// Writes down what became of a line of that import, if it is still there. The row comes back if it is needed later.
    fn settle(&self, (number, index): (u64, usize), fate: Fate, seen: Option<Seen>, row: Option<Row>) {
        let mut desk = self.lock();
        let Some(import) = desk.as_mut().filter(|import| import.number == number) else { return };
        let mut fate = fate;
        if let (Fate::Good(_), Some(seen)) = (&fate, &seen) {
            let first = *import.accounts.entry(seen.account.clone()).or_insert(index);
            if first != index {
                let line = import.entries.get(first).map_or(0, |entry| entry.line.number);
                fate = Fate::Refused(Reason::UserTwice { line });
            }
        }
        let is_over = import.phase.is_over();
        if let Some(entry) = import.entries.get_mut(index) {
            entry.row = row.filter(|_| matches!(fate, Fate::Good(_)) && !is_over);
            entry.line.fate = fate;
            entry.seen = seen;
        }
    }

    /// Stops at a line because something below is in trouble.
    fn stop(&self, (number, index): (u64, usize), code: &'static str, row: Row, now: Timestamp) {
        let mut desk = self.lock();
        let import = desk.as_mut().filter(|import| import.number == number && !import.phase.is_over());
        let Some(import) = import else { return };
        if let Some(entry) = import.entries.get_mut(index) {
            entry.row = Some(row);
        }
        import.next = index;
        import.phase = Phase::Stopped(code);
        import.waits_since = now;
    }
}

/// Writes down that an import has begun, or how it has ended, in numbers: they outlast the program.
pub async fn keep(services: &Services) {
    let Some((number, summary)) = services.import.summary(services.now()) else { return };
    match services.store.batch().put(&(), &summary).commit().await {
        Ok(()) => services.import.is_kept(number, summary.ending),
        Err(error) => tracing::warn!(%error, "how an import stands could not be written down"),
    }
}

/// The last import that was begun.
pub async fn last(services: &Services) -> Result<Option<Summary>, Error> {
    Ok(services.store.find::<Summary>(&()).await?.map(Found::into_inner))
}

/// Works at the import that there is, line by line, until nothing is left to do before an administrator decides.
pub async fn work(services: &Services, stop: &CancellationToken) {
    services.import.expire(services.now());
    keep(services).await;
    work_off(services, stop).await;
    keep(services).await;
}

async fn work_off(services: &Services, stop: &CancellationToken) {
    let mut looked_at = None;
    while !stop.is_cancelled() {
        let Some(task) = services.import.next(services.now()) else { return };
        let place = (task.import, task.index);
        // As a session ends with its owner's membership, so does what was begun in it.
        if looked_at.is_none_or(|at| services.now().since(at) >= sign_in::CHECK) {
            match sign_in::is_administrator(services, &task.importer.who).await {
                Ok(true) => looked_at = Some(services.now()),
                Ok(false) => {
                    tracing::warn!(
                        by = task.importer.name,
                        "an import ends: who began it is no longer administrator"
                    );
                    services.import.dismiss(task.import);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, line = task.row.line, "the import has stopped; it can go on later");
                    services.import.stop(place, error.code(), task.row, services.now());
                    continue;
                }
            }
        }
        let result = if task.is_check {
            check(services, &task).await.map(|(fate, seen)| (fate, seen, true))
        } else {
            carry_out(services, &task).await.map(|fate| (fate, task.seen.clone(), false))
        };
        match result {
            Ok((fate, seen, is_kept)) => {
                services.import.settle(place, fate, seen, is_kept.then_some(task.row));
            }
            Err(Error::Refused(refusal)) => {
                services.import.settle(place, Fate::Refused(Reason::Refused(refusal)), None, None);
            }
            // What is wrong with one of them, such as a damaged record, is not the others' fault.
            Err(Error::Internal(text)) => {
                tracing::error!(text, line = task.row.line, "a line can't be imported");
                services.import.settle(place, Fate::Refused(Reason::Trouble), None, None);
            }
            Err(error @ Error::Unavailable(..)) => {
                tracing::warn!(%error, line = task.row.line, "the import has stopped; it can go on later");
                services.import.stop(place, error.code(), task.row, services.now());
            }
        }
    }
}

/// Looks what would become of a line.
async fn check(services: &Services, task: &Task) -> Result<(Fate, Option<Seen>), Error> {
    let refused = |reason| Ok((Fate::Refused(reason), None));
    let row = &task.row;
    let settings = services.settings.load_full();
    if row.has_more_cells {
        return refused(Reason::TooManyCells);
    }
    let name = match LogonName::parse(&row.user, &row.domain, &services.domains()) {
        Ok(name) => name,
        Err((fault, problem)) => {
            let field = if fault == NameFault::Domain { Field::Domain } else { Field::Username };
            return refused(Reason::Wrong(Problems::of(field, problem)));
        }
    };
    let Some(account) = services.directory(&name.0)?.find(&name.1).await? else {
        return refused(Reason::UserUnknown);
    };
    if let Err(refusal) = require_permitted(services, Kind::Enroll, &account) {
        return refused(Reason::Refused(refusal));
    }
    if let Err(reason) = judge(&settings, &account, row) {
        return refused(reason);
    }
    let enrollment = services.store.find::<Enrollment>(&account.key).await?;
    let replaces = enrollment.as_deref().is_some_and(|enrollment| !enrollment.automatic);
    let stamp = enrollment.map(|enrollment| enrollment.stamp());
    let fate = if replaces && !task.options.replace {
        Fate::Skipped(Reason::Enrolled)
    } else {
        Fate::Good(replaces)
    };
    Ok((fate, Some(Seen { account: account.key, stamp })))
}

/// What a line brings, understood.
struct Given {
    pairs: Vec<(Question, Answer)>,
    email: Option<EmailAddress>,
    language: Option<String>,
}

/// Judges a line as the form would be judged by which the person enrolls.
fn judge(settings: &Settings, account: &Account, row: &Row) -> Result<Given, Reason> {
    let asked = settings.questions() as usize;
    if row.pairs.len() > asked {
        return Err(Reason::TooManyQuestions { asked });
    }
    if asked == 0 && row.email.is_empty() {
        return Err(Reason::NothingGiven);
    }
    if !row.language.is_empty() && form::language(&row.language).is_err() {
        return Err(Reason::LanguageMalformed);
    }
    let mut problems = Problems::new();
    let sound =
        |text: &str| if text.contains('\0') { Err(Problem::FieldHasControlCharacters) } else { Ok(()) };
    let email = if row.email.is_empty() {
        None
    } else {
        problems.keep(Field::Email, EmailAddress::parse(&row.email))
    };
    let given = (0..asked).map(|index| match row.pairs.get(index) {
        Some((question, answer)) => {
            let secret = || SecretText::new(answer.reveal().to_owned());
            (sound(question).map(|()| question.trim().to_owned()), sound(answer.reveal()).map(|()| secret()))
        }
        None => (Ok(String::new()), Ok(SecretText::new(String::new()))),
    });
    let pairs = enroll::judge(settings, &account.sam_account_name, given, &mut problems);
    if !problems.is_empty() {
        return Err(Reason::Wrong(problems));
    }
    let language = (!row.language.is_empty()).then(|| row.language.clone());
    Ok(Given { pairs, email, language })
}

/// Imports a line: one batch, with its event. Whatever has changed since the check stands.
async fn carry_out(services: &Services, task: &Task) -> Result<Fate, Error> {
    let Some(seen) = &task.seen else { return Ok(Fate::Refused(Reason::UserUnknown)) };
    let key = &seen.account;
    let Some(account) = services.directory(&key.domain)?.load(key.guid).await? else {
        return Ok(Fate::Refused(Reason::UserUnknown));
    };
    require_permitted(services, Kind::Enroll, &account).map_err(Error::Refused)?;
    let settings = services.settings.load_full();
    let given = match judge(&settings, &account, &task.row) {
        Ok(given) => given,
        Err(reason) => return Ok(Fate::Refused(reason)),
    };
    let questions = enroll::hashed(services, given.pairs).await?;
    let subject = Subject::Known(key.clone());
    loop {
        let old = services.store.find::<Enrollment>(key).await?;
        if old.as_deref().map(Enrollment::stamp) != seen.stamp {
            return Ok(Fate::Skipped(Reason::EnrolledMeanwhile));
        }
        let replaces = old.as_deref().is_some_and(|old| !old.automatic);
        let mut enrollment = enroll::renewed(old.as_deref(), &account, questions.clone(), services.now());
        enrollment.language = given.language.clone().or(enrollment.language);
        address(&mut enrollment, given.email.as_ref(), task.options.confirmed);
        let counted = services.store.find::<Tally>(&subject).await?;
        let mut tally = counted.clone().map(Found::into_inner).unwrap_or_default();
        tally.forgive_answers();
        tally.forgive_codes();
        let mut batch = services.store.batch().write(key, old.as_ref(), &enrollment);
        if counted.is_some() {
            batch = batch.write(&subject, counted.as_ref(), &tally);
        }
        let event = event(services, task, &account);
        // Whoever put other answers, or another address, in place of them must not be the only one to hear of that.
        let former = old.as_ref().and_then(|old| old.email.clone());
        let former = if replaces {
            former.or_else(|| account.mail.as_deref().and_then(|mail| EmailAddress::parse(mail).ok()))
        } else {
            former.filter(|former| Some(former) != enrollment.email.as_ref())
        };
        let batch = if task.options.told || replaces || former.is_some() {
            outbox::record_with(services, batch, &event, enrollment.language.as_deref(), former)
        } else {
            batch.event(&event)
        };
        match batch.commit().await {
            Ok(()) => return Ok(Fate::Done(replaces)),
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The address that is kept: one that its owner has confirmed gives way to another confirmed one only.
fn address(enrollment: &mut Enrollment, given: Option<&EmailAddress>, is_confirmed: bool) {
    let Some(given) = given else { return };
    let is_known = enrollment.email.as_ref() == Some(given);
    if is_confirmed || !enrollment.email_confirmed {
        enrollment.email_confirmed = is_confirmed || (is_known && enrollment.email_confirmed);
        enrollment.email = Some(given.clone());
    }
}

fn event(services: &Services, task: &Task, account: &Account) -> Event {
    Event {
        at: services.now(),
        outcome: Outcome::Success,
        source: "import".into(),
        user: account.sam_account_name.clone(),
        domain: account.key.domain.to_string(),
        action: Action::Enroll,
        detail: String::new(),
        source_ip: Some(task.importer.address),
        source_user: Some(task.importer.name.clone()),
        account: Some(account.key.guid),
        reference: None,
    }
}
