//! An event as bytes, and its link to the one before it.
//!
//! The form is fixed: an event that is read from a block is turned into the very bytes that its link was made over. A
//! form that says more gets the next version, and keeps this one for what was written in it.

use std::net::IpAddr;

use super::Error;
use crate::{
    domain::{
        account::ObjectGuid,
        audit::{Action, Event, Outcome},
        clock::Timestamp,
        secret::Key,
    },
    store::{
        bytes::{Reader, Writer},
        keyring::keyed_hash,
    },
};

/// The version of an entry.
const VERSION: u8 = 1;
/// The version byte of a record: a link and an entry.
const RECORD: u8 = 2;

/// HMAC-SHA-256 over a number, the link before it and an entry.
pub type Seal = [u8; 32];

/// What stands before the first entry.
pub const NOTHING: Seal = [0; 32];

/// The seal of the entry of that number.
pub(super) fn seal(key: &Key, number: u64, before: &Seal, entry: &[u8]) -> Seal {
    keyed_hash(key, &[b"event", &number.to_be_bytes(), before, entry])
}

/// A record: the seal before the entry that it is over.
pub(super) fn record(seal: &Seal, entry: &[u8]) -> Vec<u8> {
    [&[RECORD], &seal[..], entry].concat()
}

/// The parts of a record.
pub(super) fn parts(record: &[u8]) -> Result<(Seal, &[u8]), Error> {
    let mut reader = Reader(record);
    match reader.byte()? {
        RECORD => Ok((reader.array()?, reader.0)),
        version => Err(Error::Damaged(format!("an audit record of version {version}"))),
    }
}

fn number_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|it| it == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn outcome_number(outcome: Outcome) -> u8 {
    number_of(&Outcome::ALL, &outcome)
}

fn outcome_of(number: u8) -> Result<Outcome, Error> {
    Outcome::ALL.get(usize::from(number)).copied().ok_or_else(|| unknown("outcome", number))
}

fn action_number(action: Action) -> u8 {
    number_of(&Action::ALL, &action)
}

fn action_of(number: u8) -> Result<Action, Error> {
    Action::ALL.get(usize::from(number)).copied().ok_or_else(|| unknown("event", number))
}

/// The outcome of that word.
pub(super) fn outcome_named(word: &str) -> Result<Outcome, Error> {
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word).ok_or_else(|| unknown("outcome", word))
}

/// The event of that word.
pub(super) fn action_named(word: &str) -> Result<Action, Error> {
    Action::ALL.into_iter().find(|action| action.as_str() == word).ok_or_else(|| unknown("event", word))
}

fn unknown(what: &str, which: impl std::fmt::Display) -> Error {
    Error::Damaged(format!("{what} {which} in the audit log is not known to this program"))
}

/// An address as bytes: 4, 16 or none.
fn address_bytes(address: Option<IpAddr>) -> Vec<u8> {
    match address {
        None => Vec::new(),
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
    }
}

fn address_of(bytes: &[u8]) -> Result<Option<IpAddr>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.map(Some).map_err(|_| Error::Damaged("an address of the audit log".into()))
}

/// The bytes of an event.
pub(super) fn write(event: &Event) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(VERSION);
    out.bytes(&event.at.millis().to_be_bytes());
    out.byte(outcome_number(event.outcome));
    out.byte(action_number(event.action));
    for text in [&event.source, &event.user, &event.domain, &event.detail] {
        out.text(text.as_bytes());
    }
    out.text(&address_bytes(event.source_ip));
    for text in [&event.source_user, &event.reference] {
        out.byte(u8::from(text.is_some()));
        out.text(text.as_deref().unwrap_or_default().as_bytes());
    }
    out.text(event.account.as_ref().map_or(&[], |guid| guid.bytes()));
    out.0
}

/// The event that these bytes are of.
pub(super) fn read(bytes: &[u8]) -> Result<Event, Error> {
    let mut reader = Reader(bytes);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(Error::Damaged(format!("an audit entry of version {version}")));
    }
    let at = Timestamp::from_millis(i64::from_be_bytes(reader.array()?));
    let outcome = outcome_of(reader.byte()?)?;
    let action = action_of(reader.byte()?)?;
    let [source, user, domain, detail] =
        [reader.string()?, reader.string()?, reader.string()?, reader.string()?];
    let source_ip = address_of(reader.text()?)?;
    let mut optional = || {
        let is_some = reader.byte()? == 1;
        let text = reader.string()?;
        Ok::<_, Error>(is_some.then_some(text))
    };
    let (source_user, reference) = (optional()?, optional()?);
    let account = match reader.text()? {
        [] => None,
        guid => Some(guid_of(guid)?),
    };
    reader.end()?;
    Ok(Event {
        at,
        outcome,
        source,
        user,
        domain,
        action,
        detail,
        source_ip,
        source_user,
        account,
        reference,
    })
}

fn guid_of(bytes: &[u8]) -> Result<ObjectGuid, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::Damaged("an objectGUID of the audit log".into()))?;
    Ok(ObjectGuid::from_bytes(bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Events with everything in them that an event can have.
    pub fn sample(at: i64) -> Event {
        let odd = at % 3 == 1;
        Event {
            at: Timestamp::from_millis(1_700_000_000_000 + at * 61_000),
            outcome: Outcome::ALL[usize::try_from(at % 3).unwrap()],
            source: if odd { "admin" } else { "web" }.into(),
            user: format!("Ümläut{}", at % 50),
            domain: if odd { "LAB" } else { "DEMO" }.into(),
            action: Action::ALL[usize::try_from(at % 12).unwrap()],
            detail: if odd { format!("detail {at}") } else { String::new() },
            source_ip: match at % 3 {
                0 => None,
                1 => Some([192, 0, 2, u8::try_from(at % 250).unwrap()].into()),
                _ => Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1_u16].into()),
            },
            source_user: odd.then(|| "root".to_owned()),
            account: (at % 2 == 0).then(|| ObjectGuid::from_bytes([u8::try_from(at % 200).unwrap(); 16])),
            reference: (at % 7 == 0).then(String::new),
        }
    }

    #[test]
    fn an_event_has_one_form_of_bytes() {
        for at in 0..50 {
            let event = sample(at);
            let bytes = write(&event);
            assert_eq!(read(&bytes).unwrap(), event);
            for cut in 0..bytes.len() {
                assert!(read(&bytes[..cut]).is_err(), "{cut} bytes of it");
            }
            assert!(read(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn a_seal_depends_on_key_number_entry_and_the_seal_before() {
        let [key, other] = [Key::new([1; 32]), Key::new([2; 32])];
        let own = seal(&key, 1, &NOTHING, b"entry");
        for (what, different) in [
            ("key", seal(&other, 1, &NOTHING, b"entry")),
            ("number", seal(&key, 2, &NOTHING, b"entry")),
            ("before", seal(&key, 1, &own, b"entry")),
            ("entry", seal(&key, 1, &NOTHING, b"Entry")),
        ] {
            assert_ne!(own, different, "{what}");
        }
    }
}
