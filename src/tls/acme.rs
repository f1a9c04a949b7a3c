//! One order of a certificate at an authority (ACME, RFC 8555), and the answers to its challenges meanwhile.
//!
//! When one is ordered, and where it is kept, it must not know. The steps of an order are asked of `rustls-acme` one by
//! one: its own loop would begin a whole order anew when a nonce was stale, and again a second after a failure, until a
//! public authority lets us try no more.

use std::{
    collections::HashMap,
    error::Error as StdError,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
    server::ClientHello,
    sign::CertifiedKey,
};
use rustls_acme::acme::{
    Account, AcmeError, Auth, AuthStatus, Directory, Identifier, Order as Placed, OrderStatus, Problem,
};
pub(super) use rustls_acme::is_tls_alpn_challenge as only_looks;
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use crate::domain::certificate::{Cause, Challenge, Order, Trouble, Wanted};

/// The name in ALPN of a connection that only looks at a challenge (RFC 8737 6.2).
pub(super) const ALPN: &[u8] = rustls_acme::acme::ACME_TLS_ALPN_NAME;

/// The longest wait for an answer of the authority.
const REQUEST: Duration = Duration::from_secs(30);
/// The longest wait for the authority to look at a challenge, or to issue.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest an order takes in all, of however many names.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The first and the longest pause between two looks at what the authority is doing.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// So often the same is asked again because its nonce was stale.
const STALE_NONCES: u32 = 12;

/// The answers to the challenges of the order that is under way.
#[derive(Default)]
pub(super) struct Challenges {
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    /// What is shown to whoever looks at a name.
    certificates: HashMap<String, Arc<CertifiedKey>>,
    /// What is said to whoever asks for a token.
    pages: HashMap<String, String>,
}

impl Challenges {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a handshake is answered with that only looks at a challenge: nothing if there is none for its name.
    pub(super) fn answer(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.lock().certificates.get(&hello.server_name()?.to_ascii_lowercase()).map(Arc::clone)
    }

    /// The page of a challenge on port 80.
    pub(super) fn page(&self, token: &str) -> Option<String> {
        self.lock().pages.get(token).cloned()
    }
}

/// Takes all answers back at the end of an order, however it ends.
struct Withdrawn<'a>(&'a Challenges);

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        *self.0.lock() = Answers::default();
    }
}

/// Looks whether an authority's directory answers.
pub(super) async fn examine(wanted: &Wanted) -> Result<(), Trouble> {
    let client = client(wanted.roots.as_deref())?;
    again(|| Directory::discover(&client, &wanted.directory)).await.map(drop)
}

/// Orders a certificate and waits for it: its private key and its chain, as PEM.
pub(super) async fn obtain(order: &Order, challenges: &Challenges) -> Result<Zeroizing<String>, Trouble> {
    let _withdrawn = Withdrawn(challenges);
    let late = |_| Trouble::new(Cause::Unreachable, "the order was not carried out within 15 minutes");
    timeout(LONGEST, carry_out(order, challenges)).await.map_err(late)?
}

async fn carry_out(order: &Order, challenges: &Challenges) -> Result<Zeroizing<String>, Trouble> {
    let wanted = &order.wanted;
    let client = client(wanted.roots.as_deref())?;
    let directory = again(|| Directory::discover(&client, &wanted.directory)).await?;
    let contact: Vec<String> = wanted.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let account =
        again(|| Account::create_with_keypair(&client, directory.clone(), &contact, &order.account_key))
            .await?;
    let (url, placed) = again(|| account.new_order(&client, wanted.names.clone())).await?;
    for url in &placed.authorizations {
        authorize(&client, &account, url, wanted.challenge, challenges).await?;
    }
    let (key, request) = request(&wanted.names)?;
    let ready = await_order(&client, &account, &url, |order| order.status != OrderStatus::Pending).await?;
    if ready.status == OrderStatus::Ready {
        again(|| account.finalize(&client, &ready.finalize, &request)).await?;
    }
    let is_done = |order: &Placed| matches!(order.status, OrderStatus::Valid { .. });
    let done = await_order(&client, &account, &url, is_done).await?;
    let OrderStatus::Valid { certificate } = done.status else {
        return Err(Trouble::new(Cause::Refused, "the order was not carried out"));
    };
    let chain = again(|| account.certificate(&client, &certificate)).await?;
    let mut pem = Zeroizing::new(String::with_capacity(key.len() + chain.len() + 1));
    for part in [key.as_str(), "\n", &chain] {
        pem.push_str(part);
    }
    Ok(pem)
}

/// A new private key as PEM, and the request that is signed with it.
fn request(names: &[String]) -> Result<(Zeroizing<String>, Vec<u8>), Trouble> {
    let fault = |error: rcgen::Error| Trouble::new(Cause::Refused, &error.to_string());
    let mut params = CertificateParams::new(names).map_err(fault)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fault)?;
    let request = params.serialize_request(&key).map_err(fault)?;
    Ok((Zeroizing::new(key.serialize_pem()), request.der().to_vec()))
}

/// Proves to the authority that a name is ours.
async fn authorize(
    client: &Arc<ClientConfig>,
    account: &Account,
    url: &str,
    by: Challenge,
    challenges: &Challenges,
) -> Result<(), Trouble> {
    let mut auth = again(|| account.auth(client, url)).await?;
    let Identifier::Dns(name) = auth.identifier.clone();
    if matches!(auth.status, AuthStatus::Pending) {
        let challenge = match by {
            Challenge::TlsAlpn01 => {
                account.tls_alpn_01(&auth.challenges, name.clone()).map(|(challenge, shown)| {
                    challenges.lock().certificates.insert(name.to_ascii_lowercase(), Arc::new(shown));
                    challenge
                })
            }
            Challenge::Http01 => account.http_01(&auth.challenges).map(|(challenge, page)| {
                challenges.lock().pages.insert(challenge.token.clone(), page);
                challenge
            }),
        };
        let challenge = challenge.map_err(|error| trouble(&error))?.url.clone();
        again(|| account.challenge(client, &challenge)).await?;
        let mut pauses = Pauses::begin();
        while matches!(auth.status, AuthStatus::Pending) {
            if !pauses.next().await {
                let text = format!("{name}: the authority has not looked at the challenge for two minutes");
                return Err(Trouble::new(Cause::Validation, &text));
            }
            auth = again(|| account.auth(client, url)).await?;
        }
    }
    if matches!(auth.status, AuthStatus::Valid) { Ok(()) } else { Err(refused(&name, &auth)) }
}

/// What the authority found instead of the answer to its challenge.
fn refused(name: &str, auth: &Auth) -> Trouble {
    let told = auth.challenges.iter().find_map(|challenge| challenge.error.as_ref()?.detail.as_deref());
    let text = told.map_or_else(|| format!("{:?}", auth.status).to_lowercase(), str::to_owned);
    Trouble::new(Cause::Validation, &format!("{name}: {text}"))
}

/// Looks at an order until it is so.
async fn await_order(
    client: &Arc<ClientConfig>,
    account: &Account,
    url: &str,
    is_so: impl Fn(&Placed) -> bool,
) -> Result<Placed, Trouble> {
    let mut pauses = Pauses::begin();
    loop {
        let order = again(|| account.order(client, url)).await?;
        if order.status == OrderStatus::Invalid {
            return Err(match &order.error {
                Some(problem) => of_problem(problem),
                None => Trouble::new(Cause::Refused, "the order became invalid"),
            });
        }
        if is_so(&order) {
            return Ok(order);
        }
        if !pauses.next().await {
            return Err(Trouble::new(Cause::Unreachable, "the order was not carried out within two minutes"));
        }
    }
}

/// Pauses that grow, until patience is over.
struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    fn begin() -> Self {
        Self { next: PAUSES.0, until: Instant::now() + PATIENCE }
    }

    /// Makes one; false if patience is over.
    async fn next(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        sleep(self.next).await;
        self.next = (self.next * 2).min(PAUSES.1);
        true
    }
}

/// Asks, and asks the same again while the authority takes the nonce for stale, which it may do at any time (RFC 8555
/// 6.5): it has done nothing then.
async fn again<T, F: Future<Output = Result<T, AcmeError>>>(ask: impl Fn() -> F) -> Result<T, Trouble> {
    let mut stale = 0;
    loop {
        match timeout(REQUEST, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if stale < STALE_NONCES && is_about_nonce(&error) => stale += 1,
            Ok(Err(error)) => return Err(trouble(&error)),
            Err(_) => {
                let text = format!("no answer within {} seconds", REQUEST.as_secs());
                return Err(Trouble::new(Cause::Unreachable, &text));
            }
        }
    }
}

/// The client's side of TLS: trusts these, or what the system trusts.
fn client(roots: Option<&str>) -> Result<Arc<ClientConfig>, Trouble> {
    let untrusted = |text: &str| Trouble::new(Cause::Untrusted, text);
    let mut store = RootCertStore::empty();
    match roots {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| untrusted(&error.to_string()))?;
                store.add(certificate).map_err(|error| untrusted(&error.to_string()))?;
            }
        }
        None => drop(store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if store.is_empty() {
        return Err(untrusted("this machine has no list of trusted authorities (package ca-certificates)"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| untrusted(&error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn is_about_nonce(error: &AcmeError) -> bool {
    problem(error)
        .is_some_and(|(_, problem)| problem.typ.as_deref() == Some("urn:ietf:params:acme:error:badNonce"))
}

/// The status and the problem document (RFC 7807) of an answer that was an error. The library has them in the text of its
/// error only, the document as a Rust string.
fn problem(error: &AcmeError) -> Option<(u16, Problem)> {
    let text = error.to_string();
    let (_, rest) = text.split_once("non 2xx http status: ")?;
    let (status, body) = rest.split_once(' ')?;
    // Rust and JSON write a string alike but for characters that no document has in it.
    let body: Option<String> = serde_json::from_str(body).ok();
    let document = body.and_then(|body| serde_json::from_str(&body).ok());
    Some((status.parse().ok()?, document.unwrap_or(Problem { typ: None, detail: None })))
}

/// What a problem document means for us.
fn of_problem(problem: &Problem) -> Trouble {
    let kind = problem.typ.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let cause = match kind {
        "rateLimited" => Cause::Limited,
        "serverInternal" | "badNonce" => Cause::Unreachable,
        "externalAccountRequired" => Cause::Binding,
        "connection" | "dns" | "incorrectResponse" | "tls" | "caa" => Cause::Validation,
        _ => Cause::Refused,
    };
    let detail = problem.detail.as_deref().unwrap_or_default();
    Trouble::new(cause, &format!("{kind}: {detail}"))
}

/// What went wrong, told from what went wrong with the connection, the answer, or the document in it. Of an answer that is
/// no such document nothing is shown: who may set the address is not to read with our eyes what is behind it.
fn trouble(error: &AcmeError) -> Trouble {
    if let Some((status, problem)) = problem(error) {
        return match (status, &problem.typ) {
            (_, Some(_)) => of_problem(&problem),
            (429, None) => Trouble::new(Cause::Limited, "the answer was 429"),
            (500.., None) => Trouble::new(Cause::Unreachable, &format!("the answer was {status}")),
            (_, None) => Trouble::new(Cause::NotAcme, &format!("the answer was {status}")),
        };
    }
    let text = error.to_string();
    if text.contains("InvalidCertificate") {
        return Trouble::new(Cause::Untrusted, &text);
    }
    match error {
        AcmeError::Json(_) | AcmeError::MissingHeader(_) => {
            Trouble::new(Cause::NotAcme, "the answer is none of ACME")
        }
        AcmeError::NoTlsAlpn01Challenge | AcmeError::NoHttp01Challenge => Trouble::new(Cause::Refused, &text),
        AcmeError::Rcgen(_) | AcmeError::Jose(_) | AcmeError::KeyRejected(_) | AcmeError::Crypto(_) => {
            Trouble::new(Cause::Refused, &text)
        }
        _ => Trouble::new(Cause::Unreachable, &in_words(error)),
    }
}

/// The system's words for what went wrong, if they are in it.
fn in_words(error: &AcmeError) -> String {
    let mut at: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(one) = at {
        if let Some(found) = one.downcast_ref::<io::Error>() {
            return found.to_string();
        }
        at = one.source();
    }
    error.to_string()
}

#[cfg(test)]
mod tests;
