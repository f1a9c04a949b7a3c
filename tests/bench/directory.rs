//! Whole changes and resets: through the pages, and by a bare program that sends the same requests to the controller
//! and computes the same hashes, and does nothing else. It keeps the service account's connection; a person's password
//! goes over one of its own, as it must.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Mod, Scope, SearchOptions, StdStream};
use regain::domain::{answer::AnswerHash, secret::Key};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::sync::Semaphore;

use super::{
    domain::{BASE, DNS, Domain, NETBIOS, PASSWORD, SERVICE, User},
    pages::Browser,
    store::{COST, answer},
};

/// What a person does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Change a known password.
    Change,
    /// Get a new one by three answers.
    Reset,
}

/// Who does it, and with which password now.
pub struct Person {
    user: User,
    password: String,
    count: u32,
}

const QUESTIONS: [&str; 3] = [
    "What was the name of your first stuffed toy?",
    "What was the first dish you learned to cook?",
    "What was the surname of your favourite teacher?",
];
const ANSWERS: [&str; 3] = ["Rex the bear", "Pancakes", "Miller"];

/// The tables of the configuration for the test domain.
pub fn settings(domain: &Domain, reply_deadline_ms: u32) -> String {
    format!(
        "[settings.security]\nreply_deadline_ms = {reply_deadline_ms}\n[[settings.domain]]\ndns_name = \"{DNS}\"\n\
         netbios_name = \"{NETBIOS}\"\nservice_account = \"{SERVICE}@{DNS}\"\nservice_password = \"{PASSWORD}\"\n\
         controllers = [\"{}\"]\nca_file = '{}'\n",
        domain.address,
        domain.ca().display()
    )
}

impl Person {
    /// Someone of the test domain, enrolled.
    pub async fn enrolled(domain: &Domain, port: u16) -> Self {
        let user = domain.someone().await;
        let mut browser = Browser::open(port).await.unwrap();
        let page = browser.get("/enroll").await;
        let mut fields =
            vec![("username", user.name.as_str()), ("domain", NETBIOS), ("password", &user.password)];
        fields.extend(["question1", "question2", "question3"].into_iter().zip(QUESTIONS));
        fields.extend(["answer1", "answer2", "answer3"].into_iter().zip(ANSWERS));
        let page = browser.submit(&page, &fields).await;
        assert_eq!(page.step(), "enroll/finished", "{}", page.text());
        Self { password: user.password.clone(), user, count: 0 }
    }

    fn next_password(&mut self) -> String {
        self.count += 1;
        format!("Bench-Pw0rd!{}", self.count)
    }

    async fn through_pages(&mut self, browser: &mut Browser, deed: Deed) {
        let new = self.next_password();
        let who = [("username", self.user.name.as_str()), ("domain", NETBIOS)];
        browser.forget();
        let page = match deed {
            Deed::Change => {
                let page = browser.get("/change").await;
                let page = browser.submit(&page, &who).await;
                let old = ("old_password", self.password.as_str());
                browser.submit(&page, &[old, ("new_password", &new), ("confirm_password", &new)]).await
            }
            Deed::Reset => {
                let page = browser.get("/reset").await;
                let mut page = browser.submit(&page, &who).await;
                for answer in ANSWERS {
                    page = browser.submit(&page, &[("answer", answer)]).await;
                }
                browser.submit(&page, &[("new_password", &new), ("confirm_password", &new)]).await
            }
        };
        assert!(page.step().ends_with("/finished"), "{} {}", page.status, page.text());
        self.password = new;
    }

    async fn bare(&mut self, (controller, ldap): &mut (Controller, Ldap), hashing: &Semaphore, deed: Deed) {
        let new = self.next_password();
        find(ldap, &self.user.name).await;
        let guid = format!("<GUID={}>", self.user.guid);
        // Found, and looked at again inside the turn; for a reset at the end of the proof, for the page with the rules
        // and before it is written.
        for _ in 0..if deed == Deed::Change { 2 } else { 4 } {
            read(ldap, &guid).await;
        }
        let value = |password: &str| {
            HashSet::from([format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect()])
        };
        let changes: Vec<Mod<Vec<u8>>> = match deed {
            Deed::Change => {
                // The old password is proved before anything else is said.
                controller.bound(&self.user.dn, &self.password).await;
                vec![
                    Mod::Delete(b"unicodePwd".to_vec(), value(&self.password)),
                    Mod::Add(b"unicodePwd".to_vec(), value(&new)),
                ]
            }
            Deed::Reset => {
                for given in ANSWERS {
                    let place = hashing.acquire().await.unwrap();
                    let work =
                        move || AnswerHash::make(&answer(given), [7; 16], COST, &Key::new([1; 32])).unwrap();
                    tokio::task::spawn_blocking(work).await.unwrap();
                    drop(place);
                }
                // The history of passwords is to be enforced where that is offered; Samba doesn't.
                vec![
                    Mod::Replace(b"unicodePwd".to_vec(), value(&new)),
                    Mod::Replace(b"lockoutTime".to_vec(), HashSet::from([b"0".to_vec()])),
                ]
            }
        };
        ldap.modify(&guid, changes).await.unwrap().success().unwrap();
        self.password = new;
    }
}

async fn find(ldap: &mut Ldap, name: &str) {
    let filter = format!("(&(objectClass=user)(sAMAccountName={name}))");
    let attributes = ["objectGUID", "sAMAccountName", "userPrincipalName"];
    let found = ldap
        .with_search_options(SearchOptions::new().sizelimit(10))
        .search(BASE, Scope::Subtree, &filter, attributes)
        .await;
    assert_eq!(found.unwrap().success().unwrap().0.iter().filter(|entry| !entry.is_ref()).count(), 1);
}

/// Everything that is looked at before an account is served.
async fn read(ldap: &mut Ldap, guid: &str) {
    let attributes = [
        "objectGUID",
        "objectSid",
        "objectClass",
        "sAMAccountName",
        "userPrincipalName",
        "displayName",
        "preferredLanguage",
        "userAccountControl",
        "msDS-User-Account-Control-Computed",
        "accountExpires",
        "adminCount",
        "badPwdCount",
        "badPasswordTime",
        "pwdLastSet",
        "tokenGroups",
        "msDS-ResultantPSO",
        "distinguishedName",
        "mail",
        "mobile",
    ];
    let found = ldap.search(guid, Scope::Base, "(objectClass=*)", attributes).await;
    assert_eq!(found.unwrap().success().unwrap().0.len(), 1);
}

/// Where the domain controller is, and how it is known.
struct Controller {
    address: IpAddr,
    tls: Arc<ClientConfig>,
}

impl Controller {
    fn of(domain: &Domain) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(domain.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address: domain.address, tls: Arc::new(tls) }
    }

    /// A new connection, bound.
    async fn bound(&self, name: &str, password: &str) -> Ldap {
        let tcp = tokio::net::TcpStream::connect((self.address, 636)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let settings = LdapConnSettings::new()
            .set_config(Arc::clone(&self.tls))
            .set_std_stream(StdStream::Tcp(tcp.into_std().unwrap()));
        let url = format!("ldaps://{}:636", self.address);
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url).await.unwrap();
        tokio::spawn(connection.drive());
        ldap.simple_bind(name, password).await.unwrap().success().unwrap();
        ldap
    }
}

/// Deeds a second of these people, all at once: through the pages of the server at `port`, or bare.
pub async fn rate(
    domain: &Domain,
    people: &mut Vec<Person>,
    count: usize,
    deed: Deed,
    port: Option<u16>,
    time: Duration,
) -> f64 {
    let hashing = Arc::new(Semaphore::new(std::thread::available_parallelism().unwrap().get()));
    let mut ready = Vec::new();
    for person in people.drain(..count) {
        let browser = match port {
            Some(port) => Some(Browser::open(port).await.unwrap()),
            None => None,
        };
        let ldap = match port {
            Some(_) => None,
            None => {
                let controller = Controller::of(domain);
                let ldap = controller.bound(&format!("{SERVICE}@{DNS}"), PASSWORD).await;
                Some((controller, ldap))
            }
        };
        ready.push((person, browser, ldap));
    }
    let began = Instant::now();
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|(mut person, mut browser, mut ldap)| {
            let hashing = Arc::clone(&hashing);
            tokio::spawn(async move {
                let mut done = Vec::new();
                while began.elapsed() < time {
                    match (&mut browser, &mut ldap) {
                        (Some(browser), _) => person.through_pages(browser, deed).await,
                        (_, Some(ldap)) => person.bare(ldap, &hashing, deed).await,
                        (None, None) => unreachable!(),
                    }
                    done.push(began.elapsed());
                }
                (person, done)
            })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        let (person, at) = task.await.unwrap();
        people.push(person);
        // Neither the first third, when all begin together, nor what is left when the first have gone home.
        done.extend(at.into_iter().filter(|at| (time / 3..time).contains(at)));
    }
    done.sort();
    let (Some(first), Some(last)) = (done.first(), done.last()) else { return 0.0 };
    f64::from(u32::try_from(done.len() - 1).unwrap()) / last.saturating_sub(*first).as_secs_f64()
}
