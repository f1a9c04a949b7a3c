//! What becomes of the records of a backup where there is a present store: see the table in [`super`].

use serde::{Serialize, de::DeserializeOwned};

use super::Fault;
use crate::{
    domain::{
        admin::{LocalAdmin, SecondFactor},
        api_token::ApiToken,
        clock::Timestamp,
        enrollment::{App, Enrollment, Passkey},
        lockout::Tally,
        totp::TotpSecret,
    },
    store::{
        Store,
        record::{self, Kept as _, LogStart, Space},
    },
};

/// The present store, beside which a backup is put back.
pub(super) struct Present<'a> {
    pub store: &'a Store,
    /// Whether its log continues that of the backup.
    pub is_later: bool,
}

impl Present<'_> {
    async fn find<R: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<R>, Fault> {
        let raw = self.store.engine.find(key).await?;
        Ok(raw.and_then(|raw| record::decode(&raw).ok()))
    }
}

/// Whether what is kept under that key is part of the audit log.
pub(super) fn is_log(key: &[u8]) -> bool {
    let of = |space: Space| key.first() == Some(&space.letter());
    let forwarded = [&[Space::Meta.letter()], &b"forwarded "[..]].concat();
    of(Space::Audit)
        || of(Space::AuditHeaders)
        || of(Space::AuditBodies)
        || key == LogStart::key(&())
        || key.starts_with(&forwarded)
}

/// Whether what is kept under that key now stays as it is, whatever the backup has.
pub(super) fn stays(key: &[u8]) -> bool {
    let staying = [Space::Outbox, Space::Sent, Space::Reminded, Space::Certificates];
    staying.iter().any(|space| key.first() == Some(&space.letter()))
        || key == crate::domain::backup::Report::key(&())
}

/// A record of the backup as it is to be from now on; none if it is not to be any more.
pub(super) async fn taken(
    key: &[u8],
    value: Vec<u8>,
    present: Option<&Present<'_>>,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(letter) = key.first().copied() else { return Ok(None) };
    if is_log(key) {
        return Ok(Some(value).filter(|_| !present.is_some_and(|present| present.is_later)));
    }
    let of = |space: Space| letter == space.letter();
    let later = present.filter(|present| present.is_later);
    // What can't be read by this program can't be used by it either: it stays what it is.
    if of(Space::Enrollments) {
        let Ok(mut enrollment) = record::decode::<Enrollment>(&value) else { return Ok(Some(value)) };
        if let Some(present) = present {
            let other = present.find::<Enrollment>(key).await?;
            take_enrollment(&mut enrollment, other.as_ref(), present.is_later);
        }
        if let Some(app) = &mut enrollment.app {
            spend(app, now);
        }
        return encode(&enrollment);
    }
    if of(Space::Tallies) {
        let Ok(mut tally) = record::decode::<Tally>(&value) else { return Ok(Some(value)) };
        if let Some(present) = present
            && let Some(other) = present.find::<Tally>(key).await?
        {
            tally.raise_to(&other);
        }
        return encode(&tally);
    }
    if of(Space::Admins) && key != LocalAdmin::key(&()) {
        let Ok(mut factor) = record::decode::<SecondFactor>(&value) else { return Ok(Some(value)) };
        if let Some(later) = later {
            let Some(other) = later.find::<SecondFactor>(key).await? else { return Ok(None) };
            if other.app.sealed != factor.app.sealed {
                return Ok(None);
            }
            factor.app.last_step = factor.app.last_step.max(other.app.last_step);
            factor.passkeys = both(&factor.passkeys, &other.passkeys);
        }
        spend(&mut factor.app, now);
        return encode(&factor);
    }
    if let Some(later) = later {
        if of(Space::Admins) {
            let same = later.store.engine.find(key).await?.as_ref() == Some(&value);
            return Ok(Some(value).filter(|_| same));
        }
        if of(Space::ApiTokens) {
            // Its record tells when it was used: that of now is later.
            let is_known = later.find::<ApiToken>(key).await?.is_some();
            return if is_known { Ok(later.store.engine.find(key).await?) } else { Ok(None) };
        }
    }
    Ok(Some(value))
}

fn encode<R: Serialize>(record: &R) -> Result<Option<Vec<u8>>, Fault> {
    Ok(Some(record::encode(record)?))
}

/// No code that may have been used before is good again.
fn spend(app: &mut App, now: Timestamp) {
    app.last_step = app.last_step.max(TotpSecret::last_step(now));
}

/// Leaves of an enrollment what can't have been used or taken back since, by what there is of it now. `is_later`:
/// whether that is what became of it.
fn take_enrollment(enrollment: &mut Enrollment, present: Option<&Enrollment>, is_later: bool) {
    if let Some(codes) = &mut enrollment.recovery_codes {
        let left = present.and_then(|present| present.recovery_codes.as_ref());
        let left = left.filter(|left| left.made_at == codes.made_at);
        // Of codes that were taken back or replaced since, nobody knows which were used.
        codes.left.retain(|code| left.is_some_and(|left| left.left.contains(code)));
    }
    let Some(present) = present else { return };
    if is_later {
        // A device that was lost, and taken back, must not be good again.
        enrollment.app.take_if(|app| present.app.as_ref().is_none_or(|other| other.sealed != app.sealed));
        enrollment.passkeys = both(&enrollment.passkeys, &present.passkeys);
        return;
    }
    for passkey in &mut enrollment.passkeys {
        if let Some(known) = present.passkeys.iter().find(|it| it.id == passkey.id) {
            known.credential.clone_into(&mut passkey.credential);
        }
    }
}

/// The passkeys that are in both, as they are in the other.
fn both(passkeys: &[Passkey], other: &[Passkey]) -> Vec<Passkey> {
    let ids: Vec<_> = passkeys.iter().map(|passkey| &passkey.id).collect();
    other.iter().filter(|passkey| ids.contains(&&passkey.id)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{code::CodeHash, enrollment::RecoveryCodes};

    const MADE: Timestamp = Timestamp::from_millis(1_000);

    fn passkey(id: &str, credential: &str) -> Passkey {
        Passkey {
            id: id.into(),
            name: String::new(),
            credential: credential.into(),
            added_at: MADE,
            used_at: None,
        }
    }

    fn app(sealed: &str) -> App {
        App { sealed: sealed.into(), added_at: MADE, last_step: 1 }
    }

    fn enrollment(app_sealed: &str, passkeys: &[(&str, &str)], codes: &[u8]) -> Enrollment {
        let mut enrollment = Enrollment::blank("mary".into(), MADE);
        enrollment.app = Some(app(app_sealed));
        enrollment.passkeys = passkeys.iter().map(|(id, credential)| passkey(id, credential)).collect();
        let left = codes.iter().map(|byte| CodeHash::new([*byte; 32])).collect();
        enrollment.recovery_codes = Some(RecoveryCodes { left, made_at: MADE });
        enrollment
    }

    fn ids(enrollment: &Enrollment) -> Vec<&str> {
        enrollment.passkeys.iter().map(|passkey| passkey.id.as_str()).collect()
    }

    #[test]
    fn what_was_taken_back_or_given_since_is_not_good_after_a_backup_was_put_back() {
        let present = enrollment("new phone", &[("kept", "count 9"), ("given", "")], &[2, 3]);
        let mut restored = enrollment("lost phone", &[("kept", "count 1"), ("lost", "")], &[1, 2]);
        take_enrollment(&mut restored, Some(&present), true);
        assert_eq!(restored.app, None);
        assert_eq!((ids(&restored), restored.passkeys[0].credential.as_str()), (vec!["kept"], "count 9"));
        assert_eq!(restored.recovery_codes.unwrap().left, [CodeHash::new([2; 32])]);

        let mut same = enrollment("new phone", &[], &[]);
        take_enrollment(&mut same, Some(&present), true);
        assert_eq!(same.app, Some(app("new phone")));
    }

    #[test]
    fn an_enrollment_that_is_gone_now_comes_back_without_its_recovery_codes() {
        let mut restored = enrollment("phone", &[("a", "")], &[1, 2]);
        take_enrollment(&mut restored, None, true);
        assert!(restored.app.is_some() && ids(&restored) == ["a"]);
        assert!(restored.recovery_codes.unwrap().left.is_empty());
    }

    #[test]
    fn beside_another_log_only_counters_are_taken_over() {
        let present = enrollment("other phone", &[("a", "count 9")], &[]);
        let mut restored = enrollment("phone", &[("a", "count 1"), ("b", "")], &[]);
        take_enrollment(&mut restored, Some(&present), false);
        assert!(restored.app == Some(app("phone")) && ids(&restored) == ["a", "b"]);
        assert_eq!(restored.passkeys[0].credential, "count 9");
    }
}
