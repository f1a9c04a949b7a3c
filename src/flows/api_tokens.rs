//! Tokens with which programs use the API: made, taken back, and looked up when one is shown.
//!
//! A token is 256 random bits; only their SHA-256 is kept, and looked up by. Its text begins in a way by which it is
//! recognised where it should not be, in a script or a log.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Error, Services, access, change_settings::Editor, random, sign_in};
use crate::{
    domain::{
        admin::LocalAdmin,
        api_token::{ApiToken, Scope},
        audit::{Action, Event, Outcome},
        secret::SecretText,
    },
    store::{self, Found},
};

/// What the text of every token begins with.
const PREFIX: &str = "regain_";

/// Why a token can't be made so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The name is none, too long, or could be taken for something else.
    NameMalformed,
    /// There is one of that name.
    NameTaken,
    /// It would be good for nothing.
    NoScope,
    /// There are as many as there may be.
    TooMany,
}

/// A token that was shown and is good.
#[derive(Debug)]
pub struct Holder {
    /// The hash by which it is known.
    pub hash: [u8; 32],
    /// Its name.
    pub name: String,
    scopes: Vec<Scope>,
}

impl Holder {
    /// Whether it may be used for that.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// A token as it is to be.
#[derive(Debug)]
pub struct Wish {
    /// What it is called.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// For how many days it is good, if not without end.
    pub days: Option<u32>,
}

/// Makes a token. Its text is never known again.
pub async fn make(services: &Services, by: &Editor, wish: Wish) -> Result<Result<SecretText, Fault>, Error> {
    if !ApiToken::is_name(&wish.name) {
        return Ok(Err(Fault::NameMalformed));
    }
    if wish.scopes.is_empty() {
        return Ok(Err(Fault::NoScope));
    }
    let known = list(services).await?;
    let is_same = |token: &ApiToken| token.name.to_lowercase() == wish.name.to_lowercase();
    let local = services.store.find::<LocalAdmin>(&()).await?;
    let is_local = local.is_some_and(|local| local.name.to_lowercase() == wish.name.to_lowercase());
    if is_local || known.iter().any(|(_, token)| is_same(token)) {
        return Ok(Err(Fault::NameTaken));
    }
    if known.len() >= ApiToken::MOST {
        return Ok(Err(Fault::TooMany));
    }
    let now = services.now();
    let token = ApiToken {
        name: wish.name,
        scopes: wish.scopes,
        made_by: by.name.clone(),
        made_at: now,
        expires_at: wish.days.map(|days| now + Duration::from_secs(24 * 60 * 60 * u64::from(days))),
        used_at: None,
    };
    let secret = Zeroizing::new(random::<32>()?);
    let event = event(services, by, "made", &token);
    let hash = sign_in::sha256(secret.as_slice());
    services.store.batch().insert(&hash, &token).event(&event).commit().await?;
    Ok(Ok(write(&secret)))
}

/// Takes a token back: from now on it is good for nothing.
pub async fn revoke(services: &Services, by: &Editor, hash: &[u8; 32]) -> Result<(), Error> {
    while let Some(found) = services.store.find::<ApiToken>(hash).await? {
        let event = event(services, by, "revoked", &found);
        match services.store.batch().remove(hash, &found).event(&event).commit().await {
            Ok(()) => break,
            // It was just used.
            Err(store::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// All there are, by name.
pub async fn list(services: &Services) -> Result<Vec<([u8; 32], ApiToken)>, Error> {
    let all = access::list::<ApiToken>(services).await?.into_iter();
    let all = all.filter_map(|(key, token)| Some((key.get(1..)?.try_into().ok()?, token.into_inner())));
    let mut all: Vec<([u8; 32], ApiToken)> = all.collect();
    all.sort_by_key(|(_, token)| token.name.to_lowercase());
    Ok(all)
}

/// Whose token that is, if it is one and good. What it was last used on is written down once a day.
pub async fn admit(services: &Services, text: &str) -> Result<Option<Holder>, Error> {
    let Some(secret) = read(text) else { return Ok(None) };
    let hash = sign_in::sha256(secret.as_slice());
    let now = services.now();
    let found = services.store.find::<ApiToken>(&hash).await?;
    let Some(found) = found.filter(|token| !token.is_over(now)) else { return Ok(None) };
    if !found.is_noted(now) {
        let used = ApiToken { used_at: Some(now), ..(*found).clone() };
        // Somebody else notes it, or there is no room for it: it is no reason not to answer.
        if let Err(error) = services.store.batch().replace(&hash, &found, &used).commit().await {
            tracing::debug!(%error, "the use of a token was not noted");
        }
    }
    let ApiToken { name, scopes, .. } = Found::into_inner(found);
    Ok(Some(Holder { hash, name, scopes }))
}

fn write(secret: &[u8; 32]) -> SecretText {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    let digits = secret.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    // As large as it gets, so that no half of it is left behind in memory.
    let mut text = String::with_capacity(PREFIX.len() + 64);
    text.push_str(PREFIX);
    text.extend(digits);
    SecretText::new(text)
}

fn read(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = text.strip_prefix(PREFIX)?.as_bytes();
    let mut secret = Zeroizing::new([0; 32]);
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(secret)
}

fn event(services: &Services, by: &Editor, deed: &str, token: &ApiToken) -> Event {
    let scopes = token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let until = token.expires_at.map(|until| format!(" until {until}")).unwrap_or_default();
    Event {
        at: services.now(),
        outcome: Outcome::Success,
        source: by.source.into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Token,
        detail: format!("{deed} \"{}\" {scopes}{until}", token.name),
        source_ip: by.address,
        source_user: Some(by.name.clone()),
        account: None,
        reference: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_text() {
        let secret = std::array::from_fn(|n| u8::try_from(n * 8).unwrap());
        let text = write(&secret);
        let text = text.reveal();
        assert!(text.starts_with("regain_0008101820") && text.len() == 71, "{text}");
        assert_eq!(*read(text).unwrap(), secret);
        let upper = format!("regain_{}", text[7..].to_uppercase());
        let long = format!("{text}0");
        for other in ["", "regain_", &text[7..], &text[..70], &long, &upper, " regain_", "regain_ü"] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
