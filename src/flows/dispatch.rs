//! Making a code and sending it: where it goes, what it is bound to, and the messages it goes out with.

use std::time::Duration;

use super::{Error, Services, Visitor, event, outbox, prove, random, require_permitted};
use crate::{
    domain::{
        account::{Account, AccountKey},
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        code::{Code, CodeHash, DIGITS, DIGITS_AND_LETTERS},
        contact::{EmailAddress, PhoneNumber},
        enrollment::Enrollment,
        flow::{Awaited, Factor, Flow, Kind, LONGEST_FLOW},
        lockout::Subject,
        message::{Channel, Concern, Errand, Facts, Message, Topic},
        refusal::Refusal,
        secret::Key,
    },
    settings::{Addresses, Characters, Settings},
    store::{Batch, keyring::keyed_hash},
};

/// Where a code goes.
pub(super) struct Destinations {
    mails: Vec<EmailAddress>,
    phone: Option<PhoneNumber>,
}

impl Destinations {
    /// Those that are known of a person and may be sent to, whether anything is delivered there or not.
    fn known(settings: &Settings, account: &Account, enrollment: Option<&Enrollment>) -> Self {
        let phone = account.mobile.as_deref().filter(|_| settings.codes.by_sms);
        let mails =
            if settings.codes.by_mail { addresses(settings, account, enrollment) } else { Vec::new() };
        Self { mails, phone: phone.and_then(PhoneNumber::parse) }
    }

    /// One address.
    pub fn address(address: &EmailAddress) -> Self {
        Self { mails: vec![address.clone()], phone: None }
    }

    /// Those to which something is delivered.
    pub fn of(services: &Services, account: &Account, enrollment: Option<&Enrollment>) -> Self {
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
    pub fn hash(&self, services: &Services) -> [u8; 16] {
        let mut parts: Vec<&[u8]> = vec![b"destination"];
        parts.extend(self.mails.iter().map(|mail| mail.as_str().as_bytes()));
        parts.push(self.phone.as_ref().map_or(b"", |phone| phone.as_str().as_bytes()));
        let mut hash = [0; 16];
        hash.copy_from_slice(&keyed_hash(&services.keys.codes, &parts)[..16]);
        hash
    }

    /// So that their owner knows which they are.
    pub fn masked(&self) -> Vec<String> {
        self.mails
            .iter()
            .map(EmailAddress::masked)
            .chain(self.phone.as_ref().map(PhoneNumber::masked))
            .collect()
    }
}

/// The e-mail addresses that the settings choose.
fn addresses(settings: &Settings, account: &Account, enrollment: Option<&Enrollment>) -> Vec<EmailAddress> {
    let (codes, must_be_confirmed) = (&settings.codes, settings.enroll.confirm_email);
    let directory = || account.mail.as_deref().and_then(|mail| EmailAddress::parse(mail).ok());
    let regain = || {
        let sound = |enrollment: &&Enrollment| enrollment.email_confirmed || !must_be_confirmed;
        enrollment.filter(sound).and_then(|enrollment| enrollment.email.clone())
    };
    let mut found: Vec<EmailAddress> = match codes.addresses {
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
    pub has_nowhere: bool,
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
        let mut dispatch = Self::blank(services, subject, enrollment, resent)?;
        let Some(account) = account else { return Ok(dispatch) };
        let sent = match destinations(services, occasion.kind, account, enrollment) {
            Ok(destinations) => {
                let known = (account, enrollment);
                match dispatch.send(services, visitor, occasion, known, (Topic::Code, &destinations)) {
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
                // An address that is not confirmed yet is not none.
                let mut lenient = (*settings).clone();
                lenient.enroll.confirm_email = false;
                dispatch.has_nowhere = Destinations::known(&lenient, account, enrollment).is_empty();
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

    /// Makes a code that confirms an e-mail address, and the mail it goes out with.
    pub fn to_address(
        services: &Services,
        visitor: &Visitor,
        occasion: Occasion<'_>,
        (account, enrollment): (&Account, Option<&Enrollment>),
        address: &EmailAddress,
        resent: u32,
    ) -> Result<Self, Error> {
        let subject = Subject::Known(account.key.clone());
        let mut dispatch = Self::blank(services, subject, enrollment, resent)?;
        let destinations = Destinations::address(address);
        let known = (account, enrollment);
        dispatch.send(services, visitor, occasion, known, (Topic::Confirmation, &destinations))?;
        let who = (account.sam_account_name.as_str(), &account.key.domain);
        let sent =
            event(services, visitor, occasion.kind, Outcome::Success, who, Topic::Confirmation.as_str());
        dispatch.event = Some(Event { action: Action::CodeSent, account: Some(account.key.guid), ..sent });
        Ok(dispatch)
    }

    /// The hash that the code to that address has.
    pub fn hash_for_address(
        services: &Services,
        flow: &Flow,
        account: &AccountKey,
        address: &EmailAddress,
        code: &Code,
    ) -> CodeHash {
        let destination = Destinations::address(address).hash(services);
        hash(&services.keys.codes, Occasion::of(flow, Kind::Enroll), account, destination, code)
    }

    /// A step for which nothing is sent, and no code is right.
    fn blank(
        services: &Services,
        subject: Subject,
        enrollment: Option<&Enrollment>,
        resent: u32,
    ) -> Result<Self, Error> {
        let now = services.now();
        let minutes = u64::from(services.settings.load().codes.minutes);
        Ok(Self {
            step: Awaited {
                subject,
                account: None,
                enrolled_at: enrollment.map(|enrollment| enrollment.enrolled_at),
                hash: CodeHash::new(random()?),
                destination: random()?,
                shown: Vec::new(),
                sent_at: now,
                expires_at: (minutes > 0).then(|| now + Duration::from_secs(60 * minutes)),
                resent,
                tried: Vec::new(),
            },
            refused: None,
            has_nowhere: false,
            errands: Vec::new(),
            event: None,
        })
    }

    fn send(
        &mut self,
        services: &Services,
        visitor: &Visitor,
        occasion: Occasion<'_>,
        (account, enrollment): (&Account, Option<&Enrollment>),
        (topic, destinations): (Topic, &Destinations),
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
            account: Some(account.key.clone()),
            user: account.sam_account_name.clone(),
            topic,
            source_ip: visitor.address,
        };
        let languages = outbox::languages(&settings, account, enrollment, visitor.language.as_deref());
        let unfit = |fault: crate::notify::Fault| Error::Internal(fault.to_string());
        let mut messages = Vec::new();
        for to in &destinations.mails {
            let mail = services.notifier.mail_in(&settings, topic, &languages, to, &facts);
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
    kind: Kind,
    account: &Account,
    enrollment: Option<&Enrollment>,
) -> Result<Destinations, Refusal> {
    if prove::way(&services.settings.load(), enrollment).is_none() {
        return Err(Refusal::EnrollmentMissing);
    }
    require_permitted(services, kind, account)?;
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
pub(super) fn hash(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        account::{DomainName, ObjectGuid},
        secret::SecretText,
    };

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
