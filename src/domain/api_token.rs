//! Tokens with which programs use the API, and what each may do.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

/// What a token may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Ask whether somebody is enrolled.
    EnrollmentsRead,
    /// See users.
    UsersRead,
    /// End a lockout, delete an enrollment.
    UsersWrite,
    /// See events.
    EventsRead,
}

impl Scope {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::EnrollmentsRead, Self::UsersRead, Self::UsersWrite, Self::EventsRead];

    /// Its name, as programs know it (RFC 6749 3.3).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EnrollmentsRead => "enrollments:read",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::EventsRead => "events:read",
        }
    }
}

/// What is kept of a token, under the SHA-256 of its random bits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    /// What it is called: who did something, in the audit log.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// Until when it is good, if not without end.
    pub expires_at: Option<Timestamp>,
    /// The last day of its use, as some moment of that day: no request has to write.
    pub used_at: Option<Timestamp>,
}

impl ApiToken {
    /// The most there may be.
    pub const MOST: usize = 100;
    /// The most characters of a name.
    pub const MAXIMUM_CHARACTERS: usize = 40;
    const DAY: i64 = 24 * 60 * 60 * 1000;

    /// Whether a name can't be taken for that of a person or for anything else in the audit log.
    pub fn is_name(name: &str) -> bool {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
        !name.is_empty()
            && name.trim() == name
            && name.chars().count() <= Self::MAXIMUM_CHARACTERS
            && name.chars().all(is_plain)
    }

    /// Whether it is no longer good.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|until| until <= now)
    }

    /// Whether it was already used that day.
    pub fn is_noted(&self, now: Timestamp) -> bool {
        self.used_at.is_some_and(|used| used.millis() / Self::DAY == now.millis() / Self::DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_words() {
        for name in ["monitoring", "Help desk 2", "a", "sync_job.v2-test", "Überwachung"] {
            assert!(ApiToken::is_name(name), "{name}");
        }
        for name in ["", " ", " a", "a ", "CORP\\mary", "mary@corp.example", "a\nb", "<b>", "a\u{202e}b"] {
            assert!(!ApiToken::is_name(name), "{name}");
        }
        assert!(!ApiToken::is_name(&"x".repeat(41)) && ApiToken::is_name(&"x".repeat(40)));
    }
}
