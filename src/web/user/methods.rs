//! What the templates are given about the ways of proving oneself.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};
use serde::Serialize;

use crate::{
    domain::{clock::Timestamp, enrollment::Passkey, flow::Factor},
    flows::{
        Error,
        view::{Adding, Ways},
    },
    settings::Settings,
};

/// The overview.
#[derive(Serialize)]
pub struct Overview {
    account: String,
    done: &'static str,
    /// Whether questions, answers or the address were just saved; and whether that ended a lockout of Regain.
    saved: bool,
    reopened: bool,
    usable: usize,
    needed: usize,
    code: bool,
    destinations: Vec<String>,
    questions: Option<Kept>,
    email: Option<Email>,
    app: Option<Kept>,
    passkeys: Option<Vec<NamedPasskey>>,
    recovery_codes: Option<Kept>,
}

/// One of them, switched on: how many there are, since when.
#[derive(Serialize)]
struct Kept {
    count: usize,
    since: String,
}

impl Kept {
    fn of(count: usize, since: Option<Timestamp>) -> Self {
        Self { count, since: since.map(day).unwrap_or_default() }
    }
}

#[derive(Serialize)]
struct Email {
    address: String,
    confirmed: bool,
}

#[derive(Serialize)]
struct NamedPasskey {
    id: String,
    name: String,
    since: String,
    used: String,
}

/// `2026-11-23`
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

impl Overview {
    /// As the settings offer them.
    pub fn of(settings: &Settings, ways: Ways) -> Self {
        let Ways { account, enrollment, done, enrolled, usable, destinations, needed } = ways;
        let is_on = |factor| settings.is_on(factor);
        let recovery = enrollment.recovery_codes.as_ref();
        Self {
            account,
            done: done.map_or("", |done| done.as_str()),
            saved: enrolled.is_some(),
            reopened: enrolled == Some(true),
            usable,
            needed,
            code: is_on(Factor::Code),
            destinations,
            questions: is_on(Factor::Questions)
                .then(|| Kept::of(enrollment.questions.len(), Some(enrollment.enrolled_at))),
            email: settings.enroll.ask_email.then(|| Email {
                address: enrollment.email.as_ref().map(|email| email.as_str().to_owned()).unwrap_or_default(),
                confirmed: enrollment.email_confirmed,
            }),
            app: is_on(Factor::App).then(|| {
                let app = enrollment.app.as_ref();
                Kept::of(usize::from(app.is_some()), app.map(|app| app.added_at))
            }),
            passkeys: is_on(Factor::Passkey).then(|| {
                let passkeys = enrollment.passkeys.iter();
                passkeys
                    .map(|passkey| NamedPasskey {
                        id: passkey.id.clone(),
                        name: passkey.name.clone(),
                        since: day(passkey.added_at),
                        used: passkey.used_at.map(day).unwrap_or_default(),
                    })
                    .collect()
            }),
            recovery_codes: is_on(Factor::RecoveryCode).then(|| {
                Kept::of(recovery.map_or(0, |codes| codes.left.len()), recovery.map(|codes| codes.made_at))
            }),
        }
    }
}

/// What is being added.
#[derive(Serialize)]
pub struct Added {
    factor: &'static str,
    qr: Option<Qr>,
    secret: String,
    /// The address of the scheme `otpauth`, for an app on the same device; and the account in it.
    address: String,
    account: String,
    options: String,
    /// What the passkey was to be called.
    name: String,
    longest_name: usize,
    codes: Vec<String>,
}

/// A QR code as a drawing: one path in a square of so many units.
#[derive(Serialize)]
pub struct Qr {
    size: usize,
    path: String,
}

/// The quiet zone around a QR code, in modules (ISO/IEC 18004).
const QUIET: usize = 4;

impl Qr {
    /// Draws a text.
    pub fn of(text: &str) -> Result<Self, Error> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M)
            .map_err(|error| Error::Internal(format!("a QR code can't be drawn: {error}")))?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            let mut x = 0;
            while x < width {
                let length = row[x..].iter().take_while(|color| **color == Color::Dark).count();
                if length > 0 {
                    let _ = write!(path, "M{} {}h{length}v1h-{length}z", x + QUIET, y + QUIET);
                }
                x += length.max(1);
            }
        }
        Ok(Self { size: width + 2 * QUIET, path })
    }
}

impl Added {
    /// The page of it. (The address has a page of its own.)
    pub fn of(adding: Adding, name: &str) -> Result<Self, Error> {
        let blank = |factor: Factor| Self {
            factor: factor.as_str(),
            qr: None,
            secret: String::new(),
            address: String::new(),
            account: String::new(),
            options: String::new(),
            name: name.to_owned(),
            longest_name: Passkey::MAXIMUM_CHARACTERS,
            codes: Vec::new(),
        };
        Ok(match adding {
            Adding::App { address, typed, account } => Self {
                qr: Some(Qr::of(address.reveal())?),
                secret: typed.reveal().to_owned(),
                address: address.reveal().to_owned(),
                account,
                ..blank(Factor::App)
            },
            Adding::Passkey(options) => Self { options, ..blank(Factor::Passkey) },
            Adding::RecoveryCodes(codes) => {
                let codes = codes.iter().map(|code| grouped(code.reveal())).collect();
                Self { codes, ..blank(Factor::RecoveryCode) }
            }
            Adding::Address(_) => blank(Factor::Code),
        })
    }
}

/// A recovery code as it is shown: in groups of five.
fn grouped(code: &str) -> String {
    let mut grouped = String::with_capacity(code.len() + 4);
    for (index, character) in code.chars().enumerate() {
        if index > 0 && index % 5 == 0 {
            grouped.push('-');
        }
        grouped.push(character);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_drawn_with_its_quiet_zone() {
        let qr = Qr::of("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert!(qr.size > 29 && qr.path.starts_with("M4 4h7v1h-7z"), "{} {}", qr.size, qr.path);
        assert!(Qr::of(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn recovery_codes_are_grouped() {
        assert_eq!(grouped("ABCDEFGHJKLMNPQ"), "ABCDE-FGHJK-LMNPQ");
    }
}
