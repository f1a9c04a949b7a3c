//! What is yet to be told: kept in the batch of the step it belongs to, sent later. No page waits for it.
//!
//! What goes to one recipient goes in order. A message is taken out after the server has taken it over: whoever falls
//! in between may send it twice (with the same Message-ID), never lose it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{Error, Services};
use crate::{
    domain::{
        account::{Account, AccountKey},
        audit::{Action, Event, Outcome},
        caps::Sent,
        clock::Timestamp,
        contact::EmailAddress,
        enrollment::Enrollment,
        message::{Channel, Concern, Errand, Facts, Message, Task, Topic},
        reminder::days_left,
    },
    notify,
    settings::{Personal, Settings},
    store::{self, Batch, Found, keyring::keyed_hash, seal},
};

/// So many alarms about one thing are sent in an hour, and in a day.
const ALARMS: (u32, u32) = (1, 24);
/// So many alerts about one thing are sent to one person in an hour, and in a day.
const ALERTS: (u32, u32) = (10, 40);
/// Alerts that could not be sent for so long are given up.
const LONGEST: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// The first and the longest wait after a failure; each doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);
/// The longest rest of a channel: what others are waiting for may be a code, and the failures may be one recipient's.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Errands read at a time.
const PAGE: usize = 200;
/// A round takes up nothing new after so long, so that what failed in it has its turn again.
const LONGEST_ROUND: Duration = Duration::from_secs(60);
/// Messages under way at the same time.
const AT_ONCE: usize = 8;
/// After so many failures in a row nothing more is tried on that way until its wait is over: it is the server's fault.
const TRIES_OF_A_CHANNEL: u32 = 3;

/// The sender's memory between its rounds.
#[derive(Default)]
pub struct Outbox {
    /// Sent, but the store could not be told yet.
    sent: Mutex<HashSet<Vec<u8>>>,
    channels: Mutex<HashMap<Channel, Standing>>,
}

/// How a channel does.
#[derive(Clone, Copy, Default)]
struct Standing {
    failures: u32,
    resting_until: Option<Timestamp>,
}

/// Writes an event down, and queues the alert about it if there is to be one.
pub(super) fn record<'a>(
    services: &'a Services,
    batch: Batch<'a>,
    event: &Event,
    page_language: Option<&str>,
) -> Batch<'a> {
    record_with(services, batch, event, page_language, None)
}

/// The same; `former_address` was the person's until then, and is told as well: it alone, where nobody else is to be.
pub(super) fn record_with<'a>(
    services: &'a Services,
    batch: Batch<'a>,
    event: &Event,
    page_language: Option<&str>,
    former_address: Option<EmailAddress>,
) -> Batch<'a> {
    let batch = batch.event(event);
    let settings = services.settings.load();
    let Some(concern) = Concern::of(event) else { return batch };
    let is_told = settings.alerts.recipients(concern.topic).is_some() || former_address.is_some();
    if !is_told || !services.notifier.delivers(&settings, Channel::Mail) {
        return batch;
    }
    alert(batch, concern, event.at, (page_language, former_address))
}

/// Queues an alert: who is told of it, and how, is found out when it is sent.
pub(super) fn alert<'a>(
    batch: Batch<'a>,
    concern: Concern,
    at: Timestamp,
    (page_language, former_address): (Option<&str>, Option<EmailAddress>),
) -> Batch<'a> {
    batch.errand(&Errand {
        concern,
        queued_at: at,
        expires_at: at + LONGEST,
        attempts: 0,
        due_at: at,
        task: Task::Alert { page_language: page_language.map(str::to_owned), former_address },
    })
}

/// The errand of sending a message, for the batch of the step it belongs to.
pub(super) fn errand(
    services: &Services,
    concern: &Concern,
    message: &Message,
    expires_at: Option<Timestamp>,
) -> Result<Errand, Error> {
    let internal = |e: serde_json::Error| Error::Internal(e.to_string());
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(message).map_err(internal)?);
    let hash = keyed_hash(&services.keys.outbox, &[b"recipient", message.to().to_lowercase().as_bytes()]);
    let mut recipient = [0; 16];
    recipient.copy_from_slice(&hash[..16]);
    let now = services.now();
    Ok(Errand {
        concern: concern.clone(),
        queued_at: now,
        expires_at: expires_at.unwrap_or(now + LONGEST),
        attempts: 0,
        due_at: now,
        task: Task::Send {
            channel: message.channel(),
            recipient,
            sealed: seal::seal(&services.keys.outbox, b"", &plain)?,
        },
    })
}

/// How an errand ended.
enum Done {
    /// Sent, or replaced by what it led to.
    Yes,
    /// It failed, and will be tried again.
    Later(String),
    /// It failed for good.
    Never(&'static str, String),
}

/// One round over all that waits, and over what comes in the meantime: sends what is due. Gives the time at which
/// something will be due again.
pub async fn deliver(services: &Services, stop: &CancellationToken) -> Result<Option<Timestamp>, Error> {
    let began = Instant::now();
    let mut round = Round::of(services);
    let mut running = FuturesUnordered::new();
    let mut after = None;
    while !stop.is_cancelled() {
        let page = services.store.page::<Errand>(after.clone(), PAGE).await?;
        if let Some((last, _)) = page.last() {
            after = Some(last.clone());
        } else if running.is_empty() {
            break;
        } else {
            // Something slow is under way; nobody else waits for it.
            tokio::select! {
                biased;
                Some(ended) = running.next() => {
                    running.extend(round.ended(ended).map(|one| carry(services, one)));
                }
                () = services.store.errand_written(), if began.elapsed() < LONGEST_ROUND => {
                    // It may have a smaller number than those looked at.
                    round.wake_at(services.now());
                }
            }
        }
        for one in page {
            while running.len() >= AT_ONCE || round.behind.len() >= PAGE {
                let Some(ended) = running.next().await else { break };
                running.extend(round.ended(ended).map(|one| carry(services, one)));
            }
            if stop.is_cancelled() {
                break;
            }
            running.extend(round.admitted(one).map(|one| carry(services, one)));
        }
    }
    while let Some(ended) = running.next().await {
        let following = round.ended(ended).filter(|_| !stop.is_cancelled());
        running.extend(following.map(|one| carry(services, one)));
    }
    Ok(round.next)
}

/// An errand and its raw key.
type Keyed = (Vec<u8>, Found<Errand>);

async fn carry(services: &Services, (key, errand): Keyed) -> (Errand, Option<Timestamp>) {
    let kept = settle(services, &key, &errand).await;
    (errand.into_inner(), kept)
}

struct Round<'a> {
    services: &'a Services,
    next: Option<Timestamp>,
    /// Recipients of whom something earlier waits.
    waiting: HashSet<[u8; 16]>,
    under_way: HashSet<[u8; 16]>,
    /// What comes after something under way to the same recipient.
    behind: VecDeque<Keyed>,
}

impl<'a> Round<'a> {
    fn of(services: &'a Services) -> Self {
        Self {
            services,
            next: None,
            waiting: HashSet::new(),
            under_way: HashSet::new(),
            behind: VecDeque::new(),
        }
    }

    /// The errand, if it is its turn now. What goes to one recipient goes one after the other.
    fn admitted(&mut self, (key, errand): Keyed) -> Option<Keyed> {
        let recipient = errand.recipient();
        if recipient.is_some_and(|to| self.under_way.contains(&to)) {
            self.behind.push_back((key, errand));
            return None;
        }
        if self.is_to_wait(&errand) {
            return None;
        }
        self.under_way.extend(recipient);
        Some((key, errand))
    }

    fn is_to_wait(&mut self, errand: &Errand) -> bool {
        let now = self.services.now();
        // What is too late is taken out, whatever it would have to wait for.
        if errand.expires_at <= now {
            return false;
        }
        let recipient = errand.recipient();
        let mut due = errand.due_at;
        if let Task::Send { channel, .. } = &errand.task {
            due = due.max(self.services.outbox.rests_until(*channel).unwrap_or(due));
        }
        // None waits longer than that: it was queued while the clock was fast.
        let is_real = due <= now + LONGEST_WAIT;
        if due > now && is_real {
            self.wake_at(due);
            self.waiting.extend(recipient);
            return true;
        }
        // What it waits for says when it is due.
        recipient.is_some_and(|to| self.waiting.contains(&to))
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Notes what became of an errand; gives the next one to the same recipient.
    fn ended(&mut self, (errand, due): (Errand, Option<Timestamp>)) -> Option<Keyed> {
        let to = errand.recipient();
        if let Some(due) = due {
            self.wake_at(due);
            self.waiting.extend(to);
        }
        let to = to?;
        self.under_way.remove(&to);
        while let Some(index) = self.behind.iter().position(|(_, errand)| errand.recipient() == Some(to)) {
            let next = self.behind.remove(index).and_then(|one| self.admitted(one));
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Outbox {
    fn lock_sent(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rests_until(&self, channel: Channel) -> Option<Timestamp> {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.get(&channel).and_then(|standing| standing.resting_until)
    }

    fn has_worked(&self, channel: Channel) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
    }

    fn has_failed(&self, channel: Channel, now: Timestamp) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = channels.entry(channel).or_default();
        standing.failures += 1;
        if let Some(excess) = standing.failures.checked_sub(TRIES_OF_A_CHANNEL) {
            standing.resting_until = Some(now + wait_after(excess).min(LONGEST_REST));
        }
    }
}

/// The wait after that many failures before the last one.
fn wait_after(failures: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT)
}

/// Carries an errand out and keeps what became of it. Gives the time at which it is due again, if it is.
async fn settle(services: &Services, key: &[u8], errand: &Found<Errand>) -> Option<Timestamp> {
    let done = if services.outbox.lock_sent().contains(key) {
        Ok((Done::Yes, services.store.batch()))
    } else {
        carry_out(services, errand).await
    };
    let now = services.now();
    let (done, batch) = match done {
        Ok(done) => done,
        Err(error) => (Done::Later(error.to_string()), services.store.batch()),
    };
    let (batch, due) = match done {
        Done::Yes => (batch.remove_raw(key.to_owned(), errand), None),
        Done::Later(why) => {
            let due = now + wait_after(errand.attempts);
            tracing::warn!(why, topic = errand.concern.topic.as_str(), "a message could not be sent yet");
            let again = Errand { attempts: errand.attempts + 1, due_at: due, ..(**errand).clone() };
            (batch.replace_raw(key.to_owned(), errand, &again), Some(due))
        }
        Done::Never(code, why) => {
            tracing::warn!(why, topic = errand.concern.topic.as_str(), "a message was given up");
            let failure = failure(now, &errand.concern, code);
            (batch.remove_raw(key.to_owned(), errand).event(&failure), None)
        }
    };
    // What only leads to other errands is done again if they could not be kept.
    if due.is_none() && matches!(errand.task, Task::Send { .. }) {
        services.outbox.lock_sent().insert(key.to_owned());
    }
    match batch.commit().await {
        Ok(()) | Err(store::Error::Conflict) => {
            services.outbox.lock_sent().remove(key);
            due
        }
        Err(error) => {
            tracing::error!(%error, "what became of a message could not be kept");
            Some(now + FIRST_WAIT)
        }
    }
}

/// The event of a message that was given up.
fn failure(now: Timestamp, concern: &Concern, code: &str) -> Event {
    Event {
        at: now,
        outcome: Outcome::Failure,
        source: "job".into(),
        user: concern.user.clone(),
        domain: concern.domain().map(ToString::to_string).unwrap_or_default(),
        action: Action::Message,
        detail: format!("{}.{code}", concern.topic.as_str()),
        source_ip: None,
        source_user: None,
        account: concern.account.as_ref().map(|account| account.guid),
        reference: None,
    }
}

async fn carry_out<'a>(services: &'a Services, errand: &Errand) -> Result<(Done, Batch<'a>), Error> {
    let batch = services.store.batch();
    if errand.expires_at <= services.now() {
        return Ok((Done::Never("expired", "too late".into()), batch));
    }
    match &errand.task {
        Task::Alert { page_language, former_address } => {
            if errand.attempts == 0 && !spend_alert(services, &errand.concern).await? {
                return Ok((Done::Never("too_many_alerts", "too many were sent".into()), batch));
            }
            let told = (page_language.as_deref(), former_address.clone());
            let batch = expand(services, batch, errand, told).await?;
            Ok((Done::Yes, batch))
        }
        Task::Send { channel, recipient, sealed } => {
            // A mail that is tried again was counted the first time; a text message may cost money each time.
            if (errand.attempts == 0 || *channel == Channel::Sms)
                && let Some(capped) = spend(services, *channel, recipient, &errand.concern).await?
            {
                let batch =
                    if capped == TOO_MANY_TEXT_MESSAGES { alarm(services, batch, errand) } else { batch };
                return Ok((Done::Never(capped, "too many were sent".into()), batch));
            }
            // It will never be another one: waiting would only hold up what follows.
            let Some(message) = opened(services, sealed) else {
                return Ok((Done::Never("damaged", "it can't be opened".into()), batch));
            };
            let settings = services.settings.load_full();
            let done = match services.notifier.send(&settings, &message).await {
                Ok(()) => {
                    services.outbox.has_worked(*channel);
                    Done::Yes
                }
                Err(notify::Fault::Later(why)) => {
                    services.outbox.has_failed(*channel, services.now());
                    Done::Later(why)
                }
                Err(notify::Fault::Never(why)) => Done::Never("undeliverable", why),
            };
            Ok((done, batch))
        }
    }
}

fn opened(services: &Services, sealed: &str) -> Option<Message> {
    let plain = seal::open(&services.keys.outbox, b"", sealed).ok()?;
    serde_json::from_slice(&plain).ok()
}

/// The person and those who run this are told that an account can be used for the admin panel from now on.
pub(super) fn tell_of_access<'a>(
    services: &Services,
    batch: Batch<'a>,
    account: &AccountKey,
    (name, source_ip): (&str, Option<IpAddr>),
) -> Batch<'a> {
    let settings = services.settings.load();
    if !services.notifier.delivers(&settings, Channel::Mail) {
        return batch;
    }
    let user = name.rsplit('\\').next().unwrap_or_default().to_owned();
    let concern = Concern { account: Some(account.clone()), user, topic: Topic::AdminAccess, source_ip };
    alert(batch, concern, services.now(), (None, None))
}

/// Those who run this are told that no more text messages are sent; once in a while, see [`spend_alert`].
fn alarm<'a>(services: &Services, batch: Batch<'a>, errand: &Errand) -> Batch<'a> {
    let settings = services.settings.load();
    let topic = Topic::TextMessageCap;
    if settings.alerts.recipients(topic).is_none() || !services.notifier.delivers(&settings, Channel::Mail) {
        return batch;
    }
    alert(batch, Concern { topic, ..errand.concern.clone() }, services.now(), (None, None))
}

/// Counts an alert, durably; false if there were too many. Anyone can fail at another's name, and whoever has a
/// password can enroll with a stranger's address: neither is to fill a mailbox.
async fn spend_alert(services: &Services, concern: &Concern) -> Result<bool, Error> {
    if matches!(concern.topic, Topic::EnrollReminder | Topic::ExpiryReminder) {
        return Ok(true);
    }
    if concern.topic.is_alarm() {
        let hash = keyed_hash(&services.keys.outbox, &[b"alarm", concern.topic.as_str().as_bytes()]);
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        return Ok(spend_all(services, &[(key, ALARMS, "too_many_alerts")]).await?.is_none());
    }
    Ok(spend_all(services, &[(count_of(services, concern), ALERTS, "too_many_alerts")]).await?.is_none())
}

/// Under what is counted how many messages go out about one thing of one person.
fn count_of(services: &Services, concern: &Concern) -> [u8; 16] {
    let (domain, guid) = match &concern.account {
        Some(account) => (account.domain.as_str().as_bytes(), &account.guid.bytes()[..]),
        None => (&[][..], &[][..]),
    };
    let parts: [&[u8]; 4] = [b"alert", concern.topic.as_str().as_bytes(), domain, guid];
    let mut key = [0; 16];
    key.copy_from_slice(&keyed_hash(&services.keys.outbox, &parts)[..16]);
    key
}

/// Why a text message isn't sent when all together are too many.
const TOO_MANY_TEXT_MESSAGES: &str = "too_many_in_all";
/// The count of all text messages together.
const ALL_TEXT_MESSAGES: [u8; 16] = [0; 16];

/// Counts a message, durably, before it is sent; why it may not be, if it may not.
async fn spend(
    services: &Services,
    channel: Channel,
    recipient: &[u8; 16],
    concern: &Concern,
) -> Result<Option<&'static str>, Error> {
    let settings = services.settings.load_full();
    let limits = &settings.limits;
    let mut counts = Vec::new();
    if concern.topic == Topic::Confirmation {
        // One person's addresses may be many strangers'.
        counts.push((count_of(services, concern), ALERTS, "too_many_alerts"));
    }
    if concern.topic.has_code() {
        let caps = (limits.codes_per_recipient_per_hour, limits.codes_per_recipient_per_day);
        counts.push((*recipient, caps, "too_many_to_one"));
    }
    if channel == Channel::Sms {
        counts.push((ALL_TEXT_MESSAGES, (limits.text_messages_per_hour, 0), TOO_MANY_TEXT_MESSAGES));
    }
    spend_all(services, &counts).await
}

/// A key, its caps for an hour and a day, and what is said when they are reached.
pub(super) type Count = ([u8; 16], (u32, u32), &'static str);

/// Counts one for each of these, or none if one of them has reached its cap.
pub(super) async fn spend_all(services: &Services, counts: &[Count]) -> Result<Option<&'static str>, Error> {
    let now = services.now();
    loop {
        let mut batch = services.store.batch();
        for (key, (hour, day), code) in counts {
            let found = services.store.find::<Sent>(key).await?;
            let mut sent = found.clone().map(Found::into_inner).unwrap_or_default();
            if !sent.spend(*hour, *day, now) {
                if *key == ALL_TEXT_MESSAGES {
                    tracing::error!(hour, "no more text messages are sent in this hour");
                }
                return Ok(Some(code));
            }
            batch = batch.write(key, found.as_ref(), &sent);
        }
        match batch.commit().await {
            Ok(()) => return Ok(None),
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Turns an alert into a message for each address, as directory and enrollment have them now.
async fn expand<'a>(
    services: &'a Services,
    mut batch: Batch<'a>,
    errand: &Errand,
    (page_language, former_address): (Option<&str>, Option<EmailAddress>),
) -> Result<Batch<'a>, Error> {
    let concern = &errand.concern;
    let settings = services.settings.load_full();
    let words: Vec<&str> = match concern.topic {
        Topic::EnrollReminder | Topic::ExpiryReminder => {
            settings.reminders.recipients.iter().map(String::as_str).collect()
        }
        topic => {
            let own = (topic == Topic::AdminAccess).then_some("[AD_OR_REGAIN_EMAIL]");
            settings.alerts.recipients(topic).into_iter().flatten().chain(own).collect()
        }
    };
    let Some(key) = &concern.account else { return Ok(batch) };
    let Some(account) = services.directory(&key.domain)?.load(key.guid).await? else { return Ok(batch) };
    let enrollment = services.store.find::<Enrollment>(key).await?;
    let mut addresses: Vec<EmailAddress> = Vec::new();
    let named = words.into_iter().filter_map(|word| address_of(word, &account, enrollment.as_deref()));
    for address in named.chain(former_address) {
        if !addresses.iter().any(|known| known.as_str().eq_ignore_ascii_case(address.as_str())) {
            addresses.push(address);
        }
    }
    let facts = Facts {
        user: account.sam_account_name.clone(),
        domain: account.netbios.clone(),
        at: errand.queued_at,
        source_ip: concern.source_ip,
        code: None,
        minutes: 0,
        days: days_left(&account, services.now()).unwrap_or_default(),
    };
    let languages = if concern.topic.is_alarm() {
        vec![settings.general.language.clone()]
    } else {
        languages(&settings, &account, enrollment.as_deref(), page_language)
    };
    for address in addresses {
        let mail = services.notifier.mail_in(&settings, concern.topic, &languages, &address, &facts);
        let mail = mail.map_err(|e| Error::Internal(e.to_string()))?;
        batch =
            batch.errand(&self::errand(services, concern, &Message::Mail(mail), Some(errand.expires_at))?);
    }
    Ok(batch)
}

/// The address that a word of the settings stands for.
fn address_of(word: &str, account: &Account, enrollment: Option<&Enrollment>) -> Option<EmailAddress> {
    let directory = || account.mail.as_deref().and_then(|mail| EmailAddress::parse(mail).ok());
    let regain = || enrollment.and_then(|enrollment| enrollment.email.clone());
    match Personal::parse(word) {
        Some(Personal::Directory) => directory(),
        Some(Personal::Regain) => regain(),
        Some(Personal::DirectoryOrRegain) => directory().or_else(regain),
        Some(Personal::RegainOrDirectory) => regain().or_else(directory),
        None => EmailAddress::parse(word).ok(),
    }
}

/// The languages of a message: the person's own; for someone whose own isn't known the page's, but never that alone,
/// since a stranger may have chosen it.
pub(super) fn languages(
    settings: &Settings,
    account: &Account,
    enrollment: Option<&Enrollment>,
    page_language: Option<&str>,
) -> Vec<String> {
    let own = enrollment
        .and_then(|enrollment| enrollment.language.as_ref())
        .or(account.preferred_language.as_ref());
    if let Some(own) = own {
        return vec![own.clone()];
    }
    let mut languages = vec![settings.general.language.clone()];
    languages.extend(page_language.filter(|page| *page != settings.general.language).map(str::to_owned));
    languages
}
