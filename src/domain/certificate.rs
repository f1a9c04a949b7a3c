//! The certificate of the pages, as far as it is ordered of an authority (ACME, RFC 8555): for which names there can be
//! one, when it is ordered, when it is tried again, and when those who run this are told that it runs out.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::clock::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So many orders are tried in an hour, and in a day, whoever asks for them. Let's Encrypt lets five validations of a
/// name fail in an hour ("Rate Limits", "Authorization Failures per Hostname per Account").
pub const TRIES: (u32, u32) = (4, 24);
/// The most names in a certificate ("Rate Limits" of Let's Encrypt, "Names per Certificate").
pub const MOST_NAMES: usize = 100;
/// What an authority says is kept up to so many characters.
const LONGEST_TEXT: usize = 500;
/// An authority's "retry after" is believed up to so long: the longest limits there are count a week.
const LONGEST_LIMIT: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// Alarms are given when so many days are left.
const ALARM_DAYS: [u32; 3] = [14, 7, 3];
/// Of a certificate with a shorter life they are given in proportion, so that none comes before its renewal is due.
const USUAL_LIFE: Duration = Duration::from_secs(45 * 24 * 60 * 60);

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// How it is proved to the authority that a name is ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Challenge {
    /// By a certificate that is shown on port 443 (RFC 8737).
    TlsAlpn01,
    /// By a page on port 80 (RFC 8555 8.3).
    Http01,
}

impl Challenge {
    /// Its name in settings and texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls_alpn_01",
            Self::Http01 => "http_01",
        }
    }
}

/// A certificate that is to be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The address of the authority's directory.
    pub directory: String,
    /// The authority that issued the directory's own certificate, as PEM; those of the system if `None`.
    pub roots: Option<String>,
    /// The e-mail address of the account.
    pub contact: Option<String>,
    /// The names, each once, in lower case.
    pub names: Vec<String>,
    /// How they are proved.
    pub challenge: Challenge,
}

/// An order of one.
pub struct Order {
    /// What is ordered.
    pub wanted: Wanted,
    /// The private key of the account, as PKCS#8.
    pub account_key: Zeroizing<Vec<u8>>,
}

/// What is wrong with a name, so that it can follow the name itself; `Ok` if there can be a certificate for it.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.contains('*') {
        return Err("is a wildcard, which can only be had by a challenge in DNS; write each host by itself");
    }
    if bare.starts_with('[') || bare.parse::<std::net::IpAddr>().is_ok() {
        return Err("is an address; there are certificates for host names only");
    }
    if bare.contains(['/', ':', '@', ' ']) {
        return Err("is not a host name alone, such as reset.corp.example: no https://, port or path");
    }
    if !bare.is_ascii() {
        return Err("has letters that are not in DNS; write it in its xn-- form");
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = bare.rsplit('.').next().unwrap_or_default();
    // RFC 1123 2.1, and 253 as RFC 1035 2.3.4 counts without lengths and root.
    if bare.len() > 253 || !bare.split('.').all(is_label) || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a host name such as reset.corp.example");
    }
    Ok(())
}

/// The names as they stand in an order: in lower case, without the trailing dot, each once.
pub fn tidy<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut tidy = Vec::new();
    for name in names {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        if !tidy.contains(&name) {
            tidy.push(name);
        }
    }
    tidy
}

/// Why there is no certificate: what can be done about it depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The authority can't be reached, or is in trouble itself.
    Unreachable,
    /// What answers there is not trusted: its own certificate.
    Untrusted,
    /// What answers there is no ACME directory.
    NotAcme,
    /// The authority could not find that a name is ours.
    Validation,
    /// It lets us order no more for some time.
    Limited,
    /// It refuses, for a reason of its own.
    Refused,
    /// It wants an account that was made elsewhere (external account binding).
    Binding,
    /// What was issued can't be used.
    Unusable,
    /// By our clock what was issued is as good as over: the clock is wrong.
    Clock,
    /// The account or the certificate can't be kept.
    Store,
    /// The program ended meanwhile.
    Interrupted,
    /// There is no name to order one for.
    Nameless,
    /// As many were ordered in the last hour or day as may be.
    Spent,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Unreachable,
        Self::Untrusted,
        Self::NotAcme,
        Self::Validation,
        Self::Limited,
        Self::Refused,
        Self::Binding,
        Self::Unusable,
        Self::Clock,
        Self::Store,
        Self::Interrupted,
        Self::Nameless,
        Self::Spent,
    ];

    /// Its key among the texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
            Self::NotAcme => "not_acme",
            Self::Validation => "validation",
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Binding => "binding",
            Self::Unusable => "unusable",
            Self::Clock => "clock",
            Self::Store => "store",
            Self::Interrupted => "interrupted",
            Self::Nameless => "nameless",
            Self::Spent => "spent",
        }
    }

    /// The first and the longest wait after a failure; each failure in a row doubles it.
    const fn waits(self) -> (Duration, Duration) {
        match self {
            // Nothing was ordered.
            Self::Store | Self::Nameless => (minutes(1), minutes(15)),
            Self::Unreachable | Self::Untrusted => (minutes(5), minutes(90)),
            Self::Validation | Self::NotAcme | Self::Refused | Self::Binding | Self::Unusable => {
                (minutes(15), minutes(12 * 60))
            }
            Self::Interrupted | Self::Spent => (minutes(15), minutes(90)),
            Self::Clock => (minutes(60), minutes(12 * 60)),
            Self::Limited => (minutes(3 * 60), minutes(24 * 60)),
        }
    }
}

/// Why a try failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// The kind of trouble.
    pub cause: Cause,
    /// What was said of it, for the administrators; it may be the authority's words.
    pub text: String,
}

impl Trouble {
    /// Trouble, with what is said of it on one line of bounded length.
    pub fn new(cause: Cause, text: &str) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self { cause, text: text.trim().chars().take(LONGEST_TEXT).map(plain).collect() }
    }

    /// Until when the authority lets us order no more, if it says so: Let's Encrypt does, as
    /// "retry after 2026-11-23 21:46:00 UTC".
    fn until(&self) -> Option<Timestamp> {
        let (_, rest) = self.text.split_once("retry after ")?;
        let form = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let at = time::PrimitiveDateTime::parse(rest.get(..19)?, &form).ok()?.assume_utc();
        Some(Timestamp::from_millis(at.unix_timestamp() * 1000))
    }

    /// When it is tried again after so many failures in a row, this one among them.
    pub fn next_try(&self, failures: u32, now: Timestamp) -> Timestamp {
        let (first, longest) = self.cause.waits();
        let wait = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
        let until = self.until().filter(|_| self.cause == Cause::Limited);
        // A minute more: the authority's clock may be slower.
        let until = until.map(|until| (until + MINUTE).min(now + LONGEST_LIMIT));
        until.unwrap_or_default().max(now + wait)
    }
}

/// How ordering stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// A hash of what was ordered: something else is a beginning of its own.
    pub wanted: [u8; 32],
    /// Failures in a row.
    pub failures: u32,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// Why that failed.
    pub trouble: Option<Trouble>,
    /// Before that nothing is tried.
    pub next_at: Option<Timestamp>,
}

impl Standing {
    /// After a failure.
    pub fn fail(&mut self, trouble: Trouble, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.next_at = Some(trouble.next_try(self.failures, now));
        self.trouble = Some(trouble);
    }

    /// When it may be tried again; at once if the last try was in the future, as the clock has it now.
    pub fn free_at(&self, now: Timestamp) -> Timestamp {
        let is_wrong = self.tried_at.is_some_and(|tried| tried > now);
        self.next_at.filter(|_| !is_wrong).unwrap_or(now)
    }
}

/// A certificate that was had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The authority's directory.
    pub directory: String,
    /// The names that were ordered.
    pub names: Vec<String>,
    /// The time for which it is good.
    pub validity: Validity,
}

impl Held {
    /// When the next one is due.
    pub fn due_at(&self, wanted: &Wanted, now: Timestamp) -> Timestamp {
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        if self.directory == wanted.directory && set(&self.names) == set(&wanted.names) {
            self.validity.renew_at()
        } else {
            now
        }
    }
}

/// The time for which a certificate is good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// The first moment.
    pub from: Timestamp,
    /// The last one.
    pub until: Timestamp,
}

impl Validity {
    /// Renewed when a third of its life is left ("Integration Guide" of Let's Encrypt, "When to Renew").
    pub fn renew_at(self) -> Timestamp {
        self.from + self.until.since(self.from) * 2 / 3
    }

    /// Whole days left; negative after the end.
    pub fn days_left(self, now: Timestamp) -> i64 {
        (self.until.millis() - now.millis()).div_euclid(24 * 60 * 60 * 1000)
    }

    /// The last of the alarms whose time has come: so many days before the end; `None` before the first.
    pub fn alarm(self, now: Timestamp) -> Option<u32> {
        let (life, left) = (self.until.since(self.from), self.until.since(now));
        let is_reached = |days: &&u32| {
            let before = DAY * **days;
            left <= if life < USUAL_LIFE { before.mul_f64(life.div_duration_f64(USUAL_LIFE)) } else { before }
        };
        ALARM_DAYS.iter().rev().find(is_reached).copied()
    }
}

/// The last alarm that was given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alarmed {
    /// Of which certificate.
    pub fingerprint: String,
    /// So many days before its end.
    pub days: u32,
}

impl Alarmed {
    /// Whether that alarm was not given yet.
    pub fn is_news(&self, fingerprint: &str, days: u32) -> bool {
        self.fingerprint != fingerprint || days < self.days
    }
}

#[cfg(test)]
mod tests;
