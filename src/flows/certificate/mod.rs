//! The certificate of the pages: ordered of an authority when it is due, kept, shown, and told of before it runs out.
//!
//! A try is written down before it is made, with when the next one may be: whatever becomes of it or of the program, no
//! authority is asked more often than it takes.

mod alarm;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::{Error, Services, operators, outbox};
use crate::{
    domain::{
        certificate::{
            Alarmed, Cause, Challenge, Held, Order, Standing, TRIES, Trouble, Validity, Wanted, check_name,
            tidy,
        },
        clock::Timestamp,
    },
    settings::{Acme, AcmeChallenge, Settings},
    store::{Found, SealedAccount, SealedCertificate, keyring::keyed_hash, seal},
};

/// Who shows the certificate, and orders one.
#[async_trait]
pub trait Door: Send + Sync {
    /// The certificate that is shown.
    fn shown(&self) -> Shown;

    /// The names of this machine; `None` if its certificate is in files, so that none is to be ordered.
    fn names(&self) -> Option<&[String]>;

    /// Orders a certificate and waits for it, some minutes at most: private key and chain, as PEM.
    async fn order(&self, order: &Order) -> Result<Zeroizing<String>, Trouble>;

    /// Shows that one from the next handshake on.
    fn take_up(&self, pem: &str, now: Timestamp) -> Result<Validity, String>;

    /// Shows the one again that was shown before one was taken up.
    fn put_away(&self);
}

/// What is known of the certificate that is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// SHA-256 of it, as browsers show it.
    pub fingerprint: String,
    /// The time for which it is good.
    pub validity: Validity,
    /// Whether it was made here. Such a one is renewed by itself.
    pub is_self_signed: bool,
}

/// What is remembered between two rounds.
#[derive(Default)]
pub struct Desk {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a condition of its own")]
struct State {
    /// Whether it was looked for one that is kept.
    has_looked: bool,
    held: Option<Held>,
    /// One that could not be kept yet.
    unkept: Option<(Held, Zeroizing<String>)>,
    /// Why nothing can be kept.
    store: Option<String>,
    is_asked: bool,
    is_running: bool,
    is_spent: bool,
    is_failing: bool,
    /// The last alarm in the log.
    logged: Option<Alarmed>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one was to be had, and was not.
    pub fn is_failing(&self) -> bool {
        self.lock().is_failing
    }

    /// Asks for a try now.
    pub fn ask(&self) {
        self.lock().is_asked = true;
        self.asked.notify_one();
    }

    /// Waits until it is asked for.
    pub async fn is_asked(&self) {
        self.asked.notified().await;
    }
}

/// How ordering stands, for those who watch.
#[derive(Debug)]
pub struct View {
    /// What is wanted.
    pub wanted: Wanted,
    /// How it stands with that.
    pub standing: Standing,
    /// Whether one is being ordered just now.
    pub is_running: bool,
    /// When the next one is ordered; at once if none is held.
    pub due_at: Option<Timestamp>,
    /// Whether as many were ordered as may be, so that a try that was asked for was not made.
    pub is_spent: bool,
}

/// How ordering stands; `None` if none is to be ordered.
pub async fn view(services: &Services) -> Result<Option<View>, Error> {
    let Some(wanted) = wanted(services, &services.settings.load()) else { return Ok(None) };
    let mut standing = standing(services, &wanted).await?;
    let now = services.now();
    let state = services.certificate.lock();
    if let Some(why) = &state.store {
        standing.trouble = Some(Trouble::new(Cause::Store, why));
    }
    let due_at = state.held.as_ref().map(|held| held.due_at(&wanted, now));
    Ok(Some(View {
        standing,
        is_running: state.is_running || state.is_asked,
        due_at,
        is_spent: state.is_spent,
        wanted,
    }))
}

/// What is to be ordered; `None` if nothing is. The demo orders nothing: anybody can set it up.
fn wanted(services: &Services, settings: &Settings) -> Option<Wanted> {
    let own = services.door.names().filter(|_| settings.acme.enabled && !services.notifier.is_demo())?;
    Some(wanted_by(&settings.acme, own))
}

/// What these settings want on a machine with names of its own.
pub fn wanted_by(acme: &Acme, own: &[String]) -> Wanted {
    let names = if acme.names.is_empty() {
        let is_whole = |name: &&str| name.trim_end_matches('.').contains('.') && check_name(name).is_ok();
        tidy(own.iter().map(String::as_str).filter(is_whole))
    } else {
        tidy(acme.names.iter().map(String::as_str))
    };
    Wanted {
        directory: acme.directory.clone(),
        roots: acme.roots().map(str::to_owned),
        contact: acme.contact.clone(),
        names,
        challenge: match acme.challenge {
            AcmeChallenge::TlsAlpn01 => Challenge::TlsAlpn01,
            AcmeChallenge::Http01 => Challenge::Http01,
        },
    }
}

/// Tells apart what is wanted from what was wanted before.
fn mark(services: &Services, wanted: &Wanted) -> [u8; 32] {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let (roots, contact) = (optional(&wanted.roots), optional(&wanted.contact));
    let mut parts = vec![wanted.directory.as_bytes(), roots.as_bytes(), contact.as_bytes()];
    parts.push(wanted.challenge.as_str().as_bytes());
    parts.extend(wanted.names.iter().map(String::as_bytes));
    keyed_hash(&services.keys.certificates, &parts)
}

/// How it stands with what is wanted.
async fn standing(services: &Services, wanted: &Wanted) -> Result<Standing, Error> {
    let mark = mark(services, wanted);
    let found = services.store.find::<Standing>(&()).await?.map(Found::into_inner);
    let same = found.filter(|standing| standing.wanted == mark);
    Ok(same.unwrap_or(Standing { wanted: mark, ..Standing::default() }))
}

async fn write(services: &Services, standing: &Standing) -> Result<(), Error> {
    Ok(services.store.batch().put(&(), standing).commit().await?)
}

/// Shows the certificate that is kept, if there is one and one is to be had of an authority.
pub async fn adopt(services: &Services) -> Result<(), Error> {
    if wanted(services, &services.settings.load()).is_none() {
        return Ok(());
    }
    let found = services.store.find::<SealedCertificate>(&()).await?;
    services.certificate.lock().has_looked = true;
    let Some(kept) = found else { return Ok(()) };
    let opened = seal::open(&services.keys.certificates, b"certificate", &kept.sealed);
    let pem = opened.ok().and_then(|pem| Some(Zeroizing::new(std::str::from_utf8(&pem).ok()?.to_owned())));
    let taken = pem.ok_or_else(|| "it can't be opened with this secret".to_owned());
    match taken.and_then(|pem| services.door.take_up(&pem, services.now())) {
        Ok(validity) => {
            let SealedCertificate { directory, names, .. } = kept.into_inner();
            services.certificate.lock().held = Some(Held { directory, names, validity });
        }
        Err(error) => {
            tracing::error!(error, "the certificate that is kept can't be used; another is ordered");
        }
    }
    Ok(())
}

/// One round: orders a certificate if that is due, and tells those who run this if the one that is shown runs out.
pub async fn round(services: &Services) -> Result<(), Error> {
    let settings = services.settings.load_full();
    let ordered = match wanted(services, &settings) {
        Some(wanted) => order_if_due(services, wanted).await,
        None => {
            services.door.put_away();
            let mut state = services.certificate.lock();
            *state = State { logged: state.logged.take(), ..State::default() };
            Ok(())
        }
    };
    let is_failing = match view(services).await {
        Ok(view) => view.is_some_and(|view| view.standing.trouble.is_some()),
        Err(_) => true,
    };
    {
        let mut state = services.certificate.lock();
        state.store = ordered.as_ref().err().map(ToString::to_string);
        state.is_failing = is_failing || state.store.is_some();
    }
    ordered?;
    alarm::sound(services).await
}

async fn order_if_due(services: &Services, wanted: Wanted) -> Result<(), Error> {
    let desk = &services.certificate;
    if !desk.lock().has_looked {
        adopt(services).await?;
    }
    keep(services, None).await?;
    let now = services.now();
    let mut standing = standing(services, &wanted).await?;
    let is_asked = std::mem::take(&mut desk.lock().is_asked);
    let is_due = desk.lock().held.as_ref().is_none_or(|held| held.due_at(&wanted, now) <= now);
    if !is_due {
        // Whatever went wrong is over: the clock was set, or the names are what they were.
        return match standing.trouble {
            Some(_) => write(services, &Standing { wanted: standing.wanted, ..Standing::default() }).await,
            None => Ok(()),
        };
    }
    if !is_asked && standing.free_at(now) > now {
        return Ok(());
    }
    if wanted.names.is_empty() {
        standing.tried_at = Some(now);
        standing.fail(Trouble::new(Cause::Nameless, ""), now);
        return write(services, &standing).await;
    }
    let mut key = [0; 16];
    let parts: [&[u8]; 2] = [b"tries", wanted.directory.as_bytes()];
    key.copy_from_slice(&keyed_hash(&services.keys.certificates, &parts)[..16]);
    let is_spent = outbox::spend_all(services, &[(key, TRIES, "spent")]).await?.is_some();
    desk.lock().is_spent = is_spent;
    if is_spent {
        let trouble = Trouble::new(Cause::Spent, "");
        let next = trouble.next_try(1, now);
        standing.next_at = Some(standing.free_at(now).max(next));
        standing.trouble.get_or_insert(trouble);
        return write(services, &standing).await;
    }
    desk.lock().is_running = true;
    let ended = order(services, wanted, standing).await;
    desk.lock().is_running = false;
    ended
}

/// Makes a try, and writes down how it stands then.
async fn order(services: &Services, wanted: Wanted, mut standing: Standing) -> Result<(), Error> {
    let (began, failures) = (services.now(), standing.failures);
    // Whatever becomes of it.
    standing.tried_at = Some(began);
    standing.fail(Trouble::new(Cause::Interrupted, ""), began);
    let account_key = account(services, &wanted, &standing).await?;
    tracing::info!(
        names = wanted.names.join(" "),
        directory = wanted.directory,
        challenge = wanted.challenge.as_str(),
        "a certificate is ordered"
    );
    let order = Order { wanted, account_key };
    let got = services.door.order(&order).await;
    let now = services.now();
    let taken = got.and_then(|pem| {
        let unusable = |text: String| Trouble::new(Cause::Unusable, &text);
        services.door.take_up(&pem, now).map(|validity| (pem, validity)).map_err(unusable)
    });
    let trouble = match taken {
        Ok((pem, validity)) => {
            let Wanted { directory, names, .. } = order.wanted;
            let held = Held { directory, names, validity };
            let mut state = services.certificate.lock();
            state.unkept = Some((held.clone(), pem));
            state.held = Some(held);
            // It would be ordered again and again.
            let is_over = validity.renew_at() <= now;
            is_over.then(|| Trouble::new(Cause::Clock, &format!("good until {}", validity.until)))
        }
        Err(trouble) => Some(trouble),
    };
    standing = Standing { failures, next_at: None, trouble: None, ..standing };
    if let Some(trouble) = trouble {
        let (cause, why) = (trouble.cause.as_str(), trouble.text.clone());
        standing.fail(trouble, now);
        let next = standing.next_at.map(|at| at.to_string());
        tracing::error!(cause, why, next, "a certificate could not be had");
    } else {
        standing.failures = 0;
    }
    keep(services, Some(&standing)).await
}

/// Keeps what could not be kept yet, and how it stands. It is shown in any case, and not ordered again for that.
async fn keep(services: &Services, standing: Option<&Standing>) -> Result<(), Error> {
    let batch = services.store.batch();
    let batch = standing.into_iter().fold(batch, |batch, standing| batch.put(&(), standing));
    let unkept = services.certificate.lock().unkept.clone();
    let Some((held, pem)) = unkept else { return Ok(batch.commit().await?) };
    let sealed = seal::seal(&services.keys.certificates, b"certificate", pem.as_bytes())?;
    let record = SealedCertificate { directory: held.directory, names: held.names, sealed };
    batch.put(&(), &record).commit().await?;
    services.certificate.lock().unkept = None;
    Ok(())
}

/// The private key of the account, made and kept if there is none yet, together with what is written of the try.
async fn account(
    services: &Services,
    wanted: &Wanted,
    standing: &Standing,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let key = &services.keys.certificates;
    let contact = wanted.contact.as_deref().unwrap_or_default();
    let which = keyed_hash(key, &[b"account", wanted.directory.as_bytes(), contact.as_bytes()]);
    let batch = services.store.batch().put(&(), standing);
    let found = services.store.find::<SealedAccount>(&which).await?;
    if let Some(opened) = found.and_then(|found| seal::open(key, &which, &found.0).ok()) {
        batch.commit().await?;
        return Ok(opened);
    }
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let made = made.map_err(|_| Error::Internal("no key could be made".into()))?;
    let sealed = seal::seal(key, &which, made.as_ref())?;
    batch.put(&which, &SealedAccount(sealed)).commit().await?;
    Ok(Zeroizing::new(made.as_ref().to_vec()))
}
