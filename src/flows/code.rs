//! The code step: a code is sent, typed and compared.
//!
//! Where it comes before anything is proved, the step takes the same course for every name: for those who can't be
//! served nothing is sent, and no code is right.

use std::time::Duration;

use super::{
    Error, Next, Services, Visitor, attempt, event, note, outbox,
    prove::{self, Person},
    random,
};
use crate::{
    domain::{
        account::{Account, AccountKey, ObjectGuid},
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        code::{Code, CodeHash, DIGITS, DIGITS_AND_LETTERS},
        contact::{EmailAddress, PhoneNumber},
        enrollment::Enrollment,
        field::{Field, Problem, Problems},
        flow::{Awaited, Factor, Flow, Kind, LONGEST_FLOW, Step},
        lockout::{Allowance, Subject, Tally},
        message::{Channel, Concern, Errand, Facts, Message, Topic},
        permission::require_served,
        refusal::Refusal,
        secret::Key,
    },
    settings::{Addresses, Characters, Settings},
    store::{Batch, Found, keyring::keyed_hash},
};

/// Where a code goes.
struct Destinations {
    mails: Vec<EmailAddress>,
    phone: Option<PhoneNumber>,
}

impl Destinations {
    /// Those that are known of a person, whether anything is delivered there or not.
    fn known(settings: &Settings, account: &Account, enrollment: Option<&Enrollment>) -> Self {
        let phone = account.mobile.as_deref().filter(|_| settings.codes.by_sms);
        let mails = if settings.codes.by_mail {
            addresses(settings.codes.addresses, account, enrollment)
        } else {
            Vec::new()
        };
        Self { mails, phone: phone.and_then(PhoneNumber::parse) }
    }

    fn of(services: &Services, account: &Account, enrollment: Option<&Enrollment>) -> Self {
        let settings = services.settings.load_full();
        let mut known = Self::known(&settings, account, enrollment);
        if !services.notifier.delivers(&settings, Channel::Mail) {
            known.mails.clear();
        }
        known.phone = known.phone.filter(|_| services.notifier.delivers(&settings, Channel::Sms));
        known
    }

    const fn is_empty(&self) -> bool {
        self.mails.is_empty() && self.phone.is_none()
    }

    /// A keyed hash: a code is good only as long as it would go to the same place.
    fn hash(&self, services: &Services) -> [u8; 16] {
        let mut parts: Vec<&[u8]> = vec![b"destination"];
        parts.extend(self.mails.iter().map(|mail| mail.as_str().as_bytes()));
        parts.push(self.phone.as_ref().map_or(b"", |phone| phone.as_str().as_bytes()));
        let mut hash = [0; 16];
        hash.copy_from_slice(&keyed_hash(&services.keys.codes, &parts)[..16]);
        hash
    }

    fn masked(&self) -> Vec<String> {
        self.mails
            .iter()
            .map(EmailAddress::masked)
            .chain(self.phone.as_ref().map(PhoneNumber::masked))
            .collect()
    }
}

/// The e-mail addresses that the settings choose.
fn addresses(which: Addresses, account: &Account, enrollment: Option<&Enrollment>) -> Vec<EmailAddress> {
    let directory = || account.mail.as_deref().and_then(|mail| EmailAddress::parse(mail).ok());
    let regain = || enrollment.and_then(|enrollment| enrollment.email.clone());
    let mut found: Vec<EmailAddress> = match which {
        Addresses::Directory => directory().into_iter().collect(),
        Addresses::Regain => regain().into_iter().collect(),
        Addresses::DirectoryThenRegain => directory().or_else(regain).into_iter().collect(),
        Addresses::RegainThenDirectory => regain().or_else(directory).into_iter().collect(),
        Addresses::Both => directory().into_iter().chain(regain()).collect(),
    };
    if let [one, other] = found.as_slice()
        && one.as_str().eq_ignore_ascii_case(other.as_str())
    {
        found.truncate(1);
    }
    found
}

/// What a code is asked for: a flow, by its nonce and kind, and what was proved in it before.
#[derive(Clone, Copy)]
pub(super) struct Occasion<'a> {
    pub nonce: [u8; 8],
    pub kind: Kind,
    pub proved: &'a [Factor],
    pub started_at: Timestamp,
}

impl<'a> Occasion<'a> {
    /// That of a flow.
    pub const fn of(flow: &'a Flow, kind: Kind) -> Self {
        Self { nonce: flow.nonce, kind, proved: flow.proved.as_slice(), started_at: flow.started_at }
    }
}

/// A code step that is to be taken, and what has to be sent for it.
pub(super) struct Dispatch {
    /// The step.
    pub step: Awaited,
    /// Why nothing is sent.
    pub refused: Option<Refusal>,
    /// No address is known. One to which nothing is delivered is not none: a fault of the set-up lets nobody through.
    has_nowhere: bool,
    errands: Vec<Errand>,
    event: Option<Event>,
}

impl Dispatch {
    /// Makes a code for that account and the messages it goes out with; for one that can't be served nothing but the
    /// step.
    pub fn prepare(
        services: &Services,
        visitor: &Visitor,
        occasion: Occasion<'_>,
        subject: Subject,
        (account, enrollment): (Option<&Account>, Option<&Enrollment>),
        resent: u32,
    ) -> Result<Self, Error> {
        let settings = services.settings.load_full();
        let now = services.now();
        let minutes = u64::from(settings.codes.minutes);
        let expires_at = (minutes > 0).then(|| now + Duration::from_secs(60 * minutes));
        let mut dispatch = Self {
            step: Awaited {
                subject,
                account: None,
                enrolled_at: enrollment.map(|enrollment| enrollment.enrolled_at),
                hash: CodeHash::new(random()?),
                destination: random()?,
                shown: Vec::new(),
                sent_at: now,
                expires_at,
                resent,
                tried: Vec::new(),
            },
            refused: None,
            has_nowhere: false,
            errands: Vec::new(),
            event: None,
        };
        let Some(account) = account else { return Ok(dispatch) };
        let sent = match destinations(services, account, enrollment) {
            Ok(destinations) => {
                let known = (account, enrollment);
                match dispatch.send(services, visitor, occasion, known, &destinations) {
                    Ok(()) => Outcome::Success,
                    // It must not show on the page whose code can't be written.
                    Err(error) => {
                        tracing::error!(%error, "a code can't be sent");
                        dispatch.step.account = None;
                        dispatch.errands.clear();
                        dispatch.refused = Some(Refusal::CodeUndeliverable);
                        Outcome::Failure
                    }
                }
            }
            Err(refusal) => {
                dispatch.refused = Some(refusal);
                dispatch.has_nowhere = Destinations::known(&settings, account, enrollment).is_empty();
                Outcome::Failure
            }
        };
        let who = (account.sam_account_name.as_str(), &account.key.domain);
        let detail = dispatch.refused.map_or("", Refusal::code);
        dispatch.event = Some(Event {
            action: Action::CodeSent,
            account: Some(account.key.guid),
            ..event(services, visitor, occasion.kind, sent, who, detail)
        });
        Ok(dispatch)
    }

    fn send(
        &mut self,
        services: &Services,
        visitor: &Visitor,
        occasion: Occasion<'_>,
        (account, enrollment): (&Account, Option<&Enrollment>),
        destinations: &Destinations,
    ) -> Result<(), Error> {
        let settings = services.settings.load_full();
        let code = make(&settings)?;
        self.step.account = Some(account.key.clone());
        self.step.destination = destinations.hash(services);
        self.step.hash = hash(&services.keys.codes, occasion, &account.key, self.step.destination, &code);
        if !occasion.proved.is_empty() {
            self.step.shown = destinations.masked();
        }
        let facts = Facts {
            user: account.sam_account_name.clone(),
            domain: account.netbios.clone(),
            at: self.step.sent_at,
            source_ip: visitor.address,
            code: Some(code.reveal().to_owned()),
            minutes: settings.codes.minutes,
            days: 0,
        };
        let concern = Concern {
            account: account.key.clone(),
            user: account.sam_account_name.clone(),
            topic: Topic::Code,
            source_ip: visitor.address,
        };
        let languages = outbox::languages(&settings, account, enrollment, visitor.language.as_deref());
        let unfit = |fault: crate::notify::Fault| Error::Internal(fault.to_string());
        let mut messages = Vec::new();
        for to in &destinations.mails {
            let mail = services.notifier.mail_in(&settings, Topic::Code, &languages, to, &facts);
            messages.push(Message::Mail(mail.map_err(unfit)?));
        }
        if let Some(phone) = &destinations.phone {
            // One language: the person's own, or else the one the page was read in.
            let language = languages.last().unwrap_or(&settings.general.language);
            let sms = services.notifier.sms(&settings, language, phone.clone(), &facts);
            messages.push(Message::Sms(sms.map_err(unfit)?));
        }
        // Nobody can use it any more when the flow is over.
        let over = occasion.started_at + LONGEST_FLOW;
        let expires_at = self.step.expires_at.map_or(over, |at| at.min(over));
        for message in messages {
            self.errands.push(outbox::errand(services, &concern, &message, Some(expires_at))?);
        }
        Ok(())
    }

    /// Adds to the batch that takes the step what goes out with it.
    pub fn added_to<'a>(&self, batch: Batch<'a>) -> Batch<'a> {
        let batch = self.errands.iter().fold(batch, Batch::errand);
        self.event.iter().fold(batch, Batch::event)
    }
}

/// Where a code for this account goes, if there is any for it.
fn destinations(
    services: &Services,
    account: &Account,
    enrollment: Option<&Enrollment>,
) -> Result<Destinations, Refusal> {
    if prove::way(&services.settings.load(), enrollment).is_none() {
        return Err(Refusal::EnrollmentMissing);
    }
    require_served(account)?;
    let destinations = Destinations::of(services, account, enrollment);
    if destinations.is_empty() { Err(Refusal::CodeUndeliverable) } else { Ok(destinations) }
}

fn make(settings: &Settings) -> Result<Code, Error> {
    let characters = match settings.codes.characters {
        Characters::Digits => DIGITS,
        Characters::LettersAndDigits => DIGITS_AND_LETTERS,
    };
    // That a draw has too many unfair bytes happens less than once in 10^40.
    Code::make(settings.codes.length, characters, &random()?)
        .ok_or_else(|| Error::Internal("no code could be made of the random numbers".into()))
}

/// The hash of a code, bound to all it is good for.
fn hash(
    key: &Key,
    occasion: Occasion<'_>,
    account: &AccountKey,
    destination: [u8; 16],
    code: &Code,
) -> CodeHash {
    let parts: [&[u8]; 7] = [
        b"code",
        &occasion.nonce,
        occasion.kind.as_str().as_bytes(),
        account.domain.as_str().as_bytes(),
        account.guid.bytes(),
        &destination,
        code.reveal().as_bytes(),
    ];
    CodeHash::new(keyed_hash(key, &parts))
}

/// Why no code is taken now, if so.
pub(super) fn closed(tally: &Tally, lockout: u32, now: Timestamp) -> Option<Refusal> {
    if tally.is_locked(lockout) {
        return Some(Refusal::RegainLockout);
    }
    tally.wait_for_codes(now).map(|wait| Refusal::CodeTriesSpent { seconds: wait.as_secs() })
}

/// Asks a person who has proved something else for a code, and sends it. `settle` is what becomes of the count for the
/// proof just made.
pub(super) async fn ask(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    proved: Vec<Factor>,
    person: Person,
    settle: impl Fn(&mut Tally),
) -> Result<Next, Error> {
    let subject = Subject::Known(person.account.clone());
    let occasion = Occasion { proved: &proved, ..Occasion::of(flow, kind) };
    let prepared = match prove::served(services, kind, &person).await {
        Ok(account) => {
            let known = (Some(&account), person.enrollment.as_ref());
            Dispatch::prepare(services, visitor, occasion, subject.clone(), known, 0)
        }
        Err(error) => Err(error),
    };
    let dispatch = match prepared {
        Ok(dispatch) => dispatch,
        Err(error) => {
            attempt::count(services, &subject, settle).await?;
            return Err(error);
        }
    };
    let settings = services.settings.load_full();
    if let Some(refusal) = dispatch.refused {
        let is_homeless = refusal == Refusal::CodeUndeliverable && dispatch.has_nowhere;
        if !(is_homeless && settings.codes.without_destination) {
            attempt::count(services, &subject, settle).await?;
            return Err(Error::Refused(refusal));
        }
        tracing::info!(account = %person.account.guid, "goes on without a code, which can't be sent");
        dispatch.added_to(services.store.batch()).commit().await?;
        return prove::complete(services, visitor, kind, flow, person, settle).await;
    }
    let now = services.now();
    let step = Step::Code(dispatch.step.clone());
    let next = Flow { step, proved: proved.clone(), touched_at: now, ..flow.clone().into_inner() };
    let lockout = settings.security.wrong_answers_until_lockout;
    let judge = |tally: &mut Tally| {
        settle(tally);
        closed(tally, lockout, now)
    };
    let (refusal, _) = attempt::count_with(services, &subject, judge, |batch, refusal| match refusal {
        None => dispatch.added_to(batch.replace(&visitor.key(kind), flow, &next)),
        Some(_) => batch,
    })
    .await?;
    refusal.map_or(Ok(Next::Moved(None)), |refusal| Err(Error::Refused(refusal)))
}

/// Who a code step is about, as directory and store have it now.
struct Present {
    account: Option<Account>,
    enrollment: Option<Enrollment>,
}

/// Looks the person up. One search for every name, whether an account has it or not.
async fn look_up(services: &Services, subject: &Subject) -> Result<Present, Error> {
    match subject {
        Subject::Known(key) => Ok(Present {
            account: services.directory(&key.domain)?.load(key.guid).await?,
            enrollment: services.store.find::<Enrollment>(key).await?.map(Found::into_inner),
        }),
        Subject::Unknown { domain, name } => {
            services.directory(domain)?.load(ObjectGuid::from_bytes(*name)).await?;
            Ok(Present { account: None, enrollment: None })
        }
    }
}

/// The flow as it is now that it is this form's turn; `None` if it has moved on.
async fn present(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
) -> Result<Option<(Found<Flow>, Awaited)>, Error> {
    let Step::Code(before) = &seen.step else { return Ok(None) };
    let found = services.store.find::<Flow>(&visitor.key(kind)).await?;
    Ok(found.and_then(|flow| match &flow.step {
        Step::Code(now) if flow.nonce == seen.nonce && now.resent == before.resent => {
            let awaited = now.clone();
            Some((flow, awaited))
        }
        _ => None,
    }))
}

fn wrong() -> Next {
    Next::Wrong(Problems::of(Field::Code, Problem::CodeWrong), None)
}

/// Takes a code. The subject's turn is held to the end, as with answers.
pub async fn enter(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    seen: &Flow,
    code: Code,
) -> Result<Next, Error> {
    let Step::Code(Awaited { subject, .. }) = &seen.step else { return Ok(Next::Moved(None)) };
    let _turn = services.turns.of(subject).await;
    let found = look_up(services, subject).await?;
    let Some((flow, awaited)) = present(services, visitor, kind, seen).await? else {
        return Ok(Next::Moved(None));
    };
    let now = services.now();
    if awaited.expires_at.is_some_and(|expires_at| expires_at <= now) {
        let failure = failure(services, visitor, kind, &flow, subject, Problem::CodeExpired);
        note(services, failure, visitor.language.as_deref()).await;
        return Ok(Next::Wrong(Problems::of(Field::Code, Problem::CodeExpired), None));
    }
    let mark = attempt::mark(services, &flow, b"code", code.reveal().as_bytes());
    if awaited.tried.contains(&mark) {
        return Ok(wrong());
    }
    let settings = services.settings.load_full();
    let counts = settings.codes.count_wrong_codes;
    let lockout = settings.security.wrong_answers_until_lockout;
    spend(services, visitor, kind, &flow, subject, counts).await?;

    let (is_right, is_outdated) = compare(services, kind, &flow, &awaited, &found, &code);
    if is_outdated {
        attempt::count(services, subject, |tally| refund(tally, counts)).await?;
        services.store.batch().remove(&visitor.key(kind), &flow).commit().await?;
        return Err(Error::Refused(Refusal::SessionExpired));
    }
    let (true, Some(account)) = (is_right, awaited.account) else {
        return refuse_wrong(services, visitor, kind, &flow, (subject, mark), counts.then_some(lockout))
            .await;
    };
    let person = Person { account, enrollment: found.enrollment };
    prove::go_on(services, visitor, kind, &flow, person, Factor::Code, |tally| {
        // Wrong ones before it that were counted as wrong answers stay counted until all is proved.
        refund(tally, counts);
        tally.forgive_codes();
    })
    .await
}

/// Gives back the one try that was spent on a code.
fn refund(tally: &mut Tally, counts: bool) {
    tally.refund_code();
    if counts {
        tally.refund_answer();
    }
}

/// Whether the code is right, and whether what was proved before it has become worthless. The same is computed for
/// those for whom nothing is right.
fn compare(
    services: &Services,
    kind: Kind,
    flow: &Flow,
    awaited: &Awaited,
    found: &Present,
    code: &Code,
) -> (bool, bool) {
    let enrollment = found.enrollment.as_ref();
    let destination = found
        .account
        .as_ref()
        .map_or([0; 16], |account| Destinations::of(services, account, enrollment).hash(services));
    let nobody = AccountKey { domain: flow.domain.clone(), guid: ObjectGuid::from_bytes([0; 16]) };
    let account = awaited.account.as_ref().unwrap_or(&nobody);
    let hash = hash(&services.keys.codes, Occasion::of(flow, kind), account, destination, code);
    let is_same = awaited.hash.matches(&hash);
    let Some(account) = &awaited.account else { return (false, false) };
    if destination != awaited.destination {
        tracing::info!(account = %account.guid, "a code is refused: it would go elsewhere now than where it was sent");
    }
    let is_current = enrollment.map(|enrollment| enrollment.enrolled_at) == awaited.enrolled_at
        && prove::way(&services.settings.load(), enrollment).is_some();
    // Before anything is proved nobody is told that someone has enrolled in the meantime.
    (is_same && is_current, !is_current && !flow.proved.is_empty())
}

/// Spends one try, durably, before anything is compared.
async fn spend(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    subject: &Subject,
    counts: bool,
) -> Result<(), Error> {
    let lockout = services.settings.load().security.wrong_answers_until_lockout;
    let now = services.now();
    let judge = |tally: &mut Tally| {
        let refusal = closed(tally, lockout, now);
        if refusal.is_some() {
            return refusal;
        }
        if counts && tally.spend_answer(lockout, now) != Allowance::Granted {
            return Some(Refusal::RegainLockout);
        }
        tally.count_code(now);
        None
    };
    let Some(refusal) = attempt::count(services, subject, judge).await? else { return Ok(()) };
    services.store.batch().remove(&visitor.key(kind), flow).commit().await?;
    Err(Error::Refused(refusal))
}

/// The code was wrong: the count stands, and the last of them ends the flow. `lockout` is the limit of wrong answers,
/// if wrong codes count as such.
async fn refuse_wrong(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Found<Flow>,
    (subject, mark): (&Subject, [u8; 8]),
    lockout: Option<u32>,
) -> Result<Next, Error> {
    let now = services.now();
    let failure = failure(services, visitor, kind, flow, subject, Problem::CodeWrong);
    let mut marked = Flow { touched_at: now, ..flow.clone().into_inner() };
    if let Step::Code(awaited) = &mut marked.step {
        awaited.tried.push(mark);
    }
    let key = visitor.key(kind);
    let failed = (&failure, visitor.language.as_deref());
    let close = |tally: &mut Tally| {
        if lockout.is_some_and(|limit| tally.lock_if_spent(limit, now)) {
            return Some(Refusal::RegainLockout);
        }
        closed(tally, 0, now)
    };
    let locks = |refusal: &Option<Refusal>| *refusal == Some(Refusal::RegainLockout);
    let (refusal, moved) = attempt::count_with(services, subject, close, |batch, refusal| {
        let batch = prove::wrong_answer(services, batch, failed, locks(refusal));
        if refusal.is_some() { batch.remove(&key, flow) } else { batch.replace(&key, flow, &marked) }
    })
    .await?;
    if !moved {
        // The flow was written in between (a page looked at again): the events must not be lost with it.
        prove::wrong_answer(services, services.store.batch(), failed, locks(&refusal)).commit().await?;
    }
    refusal.map_or(Ok(wrong()), |refusal| Err(Error::Refused(refusal)))
}

/// The event of a code that was not taken.
fn failure(
    services: &Services,
    visitor: &Visitor,
    kind: Kind,
    flow: &Flow,
    subject: &Subject,
    problem: Problem,
) -> Event {
    let who = (flow.username.as_str(), &flow.domain);
    let account = match subject {
        Subject::Known(account) => Some(account.guid),
        Subject::Unknown { .. } => None,
    };
    Event { account, ..event(services, visitor, kind, Outcome::Failure, who, problem.code()) }
}

/// How many seconds are to pass until another code can be asked for.
pub(super) fn wait_for_resend(settings: &Settings, awaited: &Awaited, now: Timestamp) -> u64 {
    let after = Duration::from_secs(settings.codes.resend_after_seconds.into());
    (awaited.sent_at + after).since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Sends another code; the one before is good for nothing from then on.
pub async fn resend(services: &Services, visitor: &Visitor, kind: Kind, seen: &Flow) -> Result<Next, Error> {
    let Step::Code(Awaited { subject, .. }) = &seen.step else { return Ok(Next::Moved(None)) };
    let _turn = services.turns.of(subject).await;
    let found = look_up(services, subject).await?;
    let Some((flow, awaited)) = present(services, visitor, kind, seen).await? else {
        return Ok(Next::Moved(None));
    };
    let settings = services.settings.load_full();
    let now = services.now();
    if awaited.resent >= settings.codes.resends {
        return Ok(Next::Wrong(Problems::of_form(Problem::CodeNoMore), None));
    }
    let seconds = wait_for_resend(&settings, &awaited, now);
    if seconds > 0 {
        return Ok(Next::Wrong(Problems::of_form(Problem::CodeTooSoon { seconds }), None));
    }
    let enrollment = found.enrollment.as_ref();
    if !flow.proved.is_empty() && enrollment.map(|enrollment| enrollment.enrolled_at) != awaited.enrolled_at {
        services.store.batch().remove(&visitor.key(kind), &flow).commit().await?;
        return Err(Error::Refused(Refusal::SessionExpired));
    }
    let known = (found.account.as_ref(), enrollment);
    let occasion = Occasion::of(&flow, kind);
    let resent = awaited.resent + 1;
    let dispatch = Dispatch::prepare(services, visitor, occasion, subject.clone(), known, resent)?;
    if !flow.proved.is_empty() && dispatch.step.account.is_none() {
        return Err(Error::Refused(dispatch.refused.unwrap_or(Refusal::AccountNotServed)));
    }
    let step = Step::Code(dispatch.step.clone());
    let next = Flow { step, touched_at: now, ..flow.clone().into_inner() };
    let lockout = settings.security.wrong_answers_until_lockout;
    let key = visitor.key(kind);
    let judge = |tally: &mut Tally| closed(tally, lockout, now);
    let (refusal, _) = attempt::count_with(services, subject, judge, |batch, refusal| match refusal {
        None => dispatch.added_to(batch.replace(&key, &flow, &next)),
        Some(_) => batch.remove(&key, &flow),
    })
    .await?;
    refusal.map_or(Ok(Next::Moved(None)), |refusal| Err(Error::Refused(refusal)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{account::DomainName, secret::SecretText};

    #[test]
    fn a_code_has_another_hash_in_every_other_flow_purpose_account_and_destination() {
        let code = |text: &str| Code::parse(&SecretText::new(text.to_owned())).unwrap();
        let account = |domain: &str, guid| AccountKey {
            domain: DomainName::new(domain),
            guid: ObjectGuid::from_bytes([guid; 16]),
        };
        let occasion = |nonce, kind| Occasion {
            nonce: [nonce; 8],
            kind,
            proved: &[],
            started_at: Timestamp::from_millis(0),
        };
        let key = Key::new([7; 32]);
        let of = |nonce, kind, account: &AccountKey, destination, text| {
            hash(&key, occasion(nonce, kind), account, [destination; 16], &code(text))
        };
        let alice = account("demo.example", 1);
        let sent = of(1, Kind::Reset, &alice, 1, "482913");
        assert!(sent.matches(&of(1, Kind::Reset, &alice, 1, "482 913")));
        for other in [
            of(2, Kind::Reset, &alice, 1, "482913"),
            of(1, Kind::Unlock, &alice, 1, "482913"),
            of(1, Kind::Reset, &account("lab.example", 1), 1, "482913"),
            of(1, Kind::Reset, &account("demo.example", 2), 1, "482913"),
            of(1, Kind::Reset, &alice, 2, "482913"),
            of(1, Kind::Reset, &alice, 1, "482914"),
        ] {
            assert!(!sent.matches(&other));
        }
    }
}
