//! Active Directory passes the contract suite of directories.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use regain::{
    directory::{
        Directory,
        active_directory::{ActiveDirectory, Settings, Source, Trust},
        demo::Standing,
    },
    domain::{
        account::{Domain as DomainNames, DomainName, ObjectGuid},
        clock::SystemClock,
        secret::{Password, SecretText},
    },
    testing::directory_contract::{Ground, Someone},
};

use crate::support::domain::{BASE, DNS, Domain, NETBIOS, PASSWORD, SERVICE, User};

/// A password as typed.
pub fn password(text: &str) -> Password {
    Password::parse(SecretText::new(text.to_owned())).unwrap()
}

/// The settings for controllers at these addresses.
pub fn settings(domain: &Domain, controllers: &[String]) -> Settings {
    let names = DomainNames { name: DomainName::new(DNS), netbios: NETBIOS.to_owned() };
    let source = Source::Listed(controllers.to_vec());
    let mut settings = Settings::new(names, source, format!("{SERVICE}@{DNS}"), password(PASSWORD));
    settings.trust = Trust::Files(vec![domain.ca()]);
    settings
}

/// The directory behind those settings.
pub fn open(settings: Settings) -> ActiveDirectory {
    ActiveDirectory::new(settings, Arc::new(SystemClock)).unwrap()
}

struct Samba {
    domain: &'static Domain,
    directory: Arc<ActiveDirectory>,
    taken: Mutex<HashMap<String, User>>,
}

fn samba() -> Samba {
    let domain = Domain::shared();
    let directory = Arc::new(open(settings(domain, &[domain.address.to_string()])));
    Samba { domain, directory, taken: Mutex::default() }
}

impl Samba {
    fn user(&self, name: &str) -> User {
        self.taken.lock().unwrap()[name].clone()
    }

    fn known(&self, user: User, upn: String) -> Someone {
        let someone = Someone { name: user.name.clone(), upn, password: user.password.clone() };
        self.taken.lock().unwrap().insert(user.name.clone(), user);
        someone
    }
}

#[async_trait]
impl Ground for Samba {
    fn directory(&self) -> Arc<dyn Directory> {
        Arc::clone(&self.directory) as _
    }

    async fn someone(&self, standing: Standing) -> Someone {
        let user = match standing {
            Standing::MayNotChange => self.domain.user("cannotchange"),
            Standing::Administrator => self.domain.user("protected"),
            _ => self.domain.someone().await,
        };
        match standing {
            Standing::Fine | Standing::MayNotChange | Standing::Administrator => {}
            Standing::LockedOut => self.domain.lock_out(&user).await,
            Standing::MustChange => self.domain.set(&user, "pwdLastSet", "0").await,
            Standing::PasswordExpired => self.domain.backdate(&user, "pwdLastSet", "now-34560000"),
            Standing::PasswordNeverExpires => self.domain.set(&user, "userAccountControl", "66048").await,
            Standing::Disabled => self.domain.set(&user, "userAccountControl", "514").await,
            Standing::AccountExpired => {
                self.domain.set(&user, "accountExpires", "133500000000000000").await;
            }
        }
        let upn = format!("{}@{DNS}", user.name);
        self.known(user, upn)
    }

    async fn rename(&self, name: &str, new_name: &str) {
        let renamed = self.domain.rename(&self.user(name), new_name).await;
        self.taken.lock().unwrap().insert(new_name.to_owned(), renamed);
    }

    async fn remove(&self, name: &str) {
        self.domain.delete(&self.user(name)).await;
    }

    async fn recreate(&self, name: &str) {
        self.domain.create(name).await;
    }

    fn odd_ones(&self) -> Vec<Someone> {
        let ordinary = |name: &str| format!("{name}@{DNS}");
        [
            ("flast", "first.last@mail.example".to_owned()),
            ("backslash", ordinary("backslash")),
            ("star", ordinary("star")),
            ("o'brien", ordinary("o'brien")),
            ("müller", ordinary("müller")),
            ("trail ", format!("{NETBIOS}\\trail ")),
            ("smith (ext)", ordinary("smith (ext)")),
            ("日本", ordinary("日本")),
        ]
        .map(|(name, upn)| self.known(self.domain.user(name), upn))
        .into()
    }
}

regain::directory_contract!(samba);

/// A user with a fine-grained policy has that one, if the service account may read it.
#[tokio::test]
async fn a_fine_grained_policy_is_read_where_that_is_allowed() {
    let domain = Domain::shared();
    let controllers = [domain.address.to_string()];
    let name = regain::domain::account::LogonName::Sam("vip".into());
    let vip = open(settings(domain, &controllers)).find(&name).await.unwrap().unwrap();
    assert_eq!((vip.policy.minimum_length, vip.policy.lockout_threshold, vip.policy.known), (14, 3, true));

    let mut weak = settings(domain, &controllers);
    weak.account = format!("{NETBIOS}\\svc-weak");
    let vip = open(weak).find(&name).await.unwrap().unwrap();
    assert_eq!((vip.policy.minimum_length, vip.policy.known), (8, false));
}

/// What is kept of people is not purged because they are no longer served, and the service account finds itself however
/// its name was given.
#[tokio::test]
async fn who_was_moved_out_of_the_search_base_still_exists() {
    let domain = Domain::shared();
    let user = domain.someone().await;
    let guid = ObjectGuid::from_bytes(*user.guid.as_bytes());
    for account in [
        format!("{SERVICE}@{DNS}"),
        format!("{NETBIOS}\\{SERVICE}"),
        format!("CN={SERVICE},OU=Service,{BASE}"),
    ] {
        let mut settings = settings(domain, &[domain.address.to_string()]);
        settings.account = account;
        settings.search_base = Some(format!("OU=People,{BASE}"));
        let directory = open(settings);
        directory.probe().await.unwrap();
        assert_eq!(directory.existing(&[guid]).await.unwrap(), [guid]);
    }
    let user = domain.move_to(&user, "Other").await;
    let mut settings = settings(domain, &[domain.address.to_string()]);
    settings.search_base = Some(format!("OU=People,{BASE}"));
    let directory = open(settings);
    assert!(!directory.list().await.unwrap().contains(&guid));
    assert_eq!(directory.existing(&[guid]).await.unwrap(), [guid]);
    domain.delete(&user).await;
    assert_eq!(directory.existing(&[guid]).await.unwrap(), []);
    assert!(directory.load(guid).await.unwrap().is_none());
}

/// The service account is told apart however its name was given.
#[tokio::test]
async fn the_service_account_is_recognised_by_its_identity() {
    use regain::domain::account::{AccountKind, LogonName};
    let domain = Domain::shared();
    for account in [
        format!("{SERVICE}@{DNS}"),
        format!("{NETBIOS}\\{SERVICE}"),
        format!("CN={SERVICE},OU=Service,{BASE}"),
    ] {
        let mut settings = settings(domain, &[domain.address.to_string()]);
        settings.account = account;
        let directory = open(settings);
        let kind = |name: &str| {
            let name = LogonName::Sam(name.to_owned());
            let directory = &directory;
            async move { directory.find(&name).await.unwrap().unwrap().kind }
        };
        assert_eq!(kind(SERVICE).await, AccountKind::ServiceAccount);
        assert_eq!(kind("alice").await, AccountKind::Person);
        assert_eq!(kind("DC1$").await, AccountKind::Machine);
    }
}
