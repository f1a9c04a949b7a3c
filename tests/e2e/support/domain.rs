//! The test domain, seen by its administrator and never through the product.
//!
//! `tests/run` starts one controller for all tests ([`Domain::shared`]); a test that stops or freezes a
//! controller starts its own ([`Domain::start`]), which looks like another controller of the same domain.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, OpenOptions},
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Mod, Scope, SearchEntry, StdStream};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;
use uuid::Uuid;

/// The domain's DNS name.
pub const DNS: &str = "corp.example";
/// The domain's NetBIOS name.
pub const NETBIOS: &str = "CORP";
/// The head of the domain.
pub const BASE: &str = "DC=corp,DC=example";
/// The password of every account, but for `vip`.
pub const PASSWORD: &str = "Start-Pw0rd!1";
/// The account that the product binds as, with the delegated rights and no others.
pub const SERVICE: &str = "svc-sspr";

const ADMINISTRATOR: (&str, &str) = (r"CORP\Administrator", "Admin-Pw0rd!1");
const PATIENCE: Duration = Duration::from_secs(20);

/// A domain with its one controller.
pub struct Domain {
    folder: PathBuf,
    /// Where the controller listens: LDAP on 389, LDAPS on 636.
    pub address: IpAddr,
    tls: Arc<ClientConfig>,
    fixtures: Fixtures,
    own: bool,
}

#[derive(Deserialize)]
struct Fixtures {
    pool: usize,
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
}

/// An account, as it was when it was made or last renamed.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// sAMAccountName.
    #[serde(default)]
    pub name: String,
    /// Distinguished name.
    pub dn: String,
    /// objectGUID: stays through renaming and moving.
    pub guid: Uuid,
    /// The password it was made with.
    pub password: String,
}

/// A group.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// Distinguished name.
    pub dn: String,
    /// objectSid, as a string.
    pub sid: String,
}

/// The controller's answer to a bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// The password is right and the account may log on.
    Accepted,
    /// Result code 49; the sub-code of its text (`52e` wrong password, `775` locked, `773` must change …).
    Refused(String),
}

/// What the controller says of an account now.
#[derive(Clone, Debug)]
pub struct State {
    /// Where it is now.
    pub dn: String,
    /// When the password was set, in AD's time; 0: it must be changed at the next logon.
    pub pwd_last_set: i64,
    /// Wrong passwords since the last right one.
    pub bad_pwd_count: i64,
    /// When the account was locked, in AD's time; 0: it was not.
    pub lockout_time: i64,
    /// Whether it is locked now.
    pub locked: bool,
    /// Its other attributes.
    pub attributes: std::collections::HashMap<String, Vec<String>>,
}

impl Domain {
    /// The domain that `tests/run` started for all tests: take users of the pool, leave the others as they are.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Domain> = OnceLock::new();
        SHARED.get_or_init(|| {
            #[expect(clippy::disallowed_methods, reason = "how tests/run names its domain to the tests")]
            let folder = std::env::var("REGAIN_TEST_DOMAIN").expect(
                "There is no test domain. Start the tests with tests/run, which makes one; or make one with \
                 `tests/domain/controller up DIR`, and set REGAIN_TEST_DOMAIN=DIR",
            );
            Self::open(Path::new(&folder), false)
        })
    }

    /// A domain of one's own, from the same template as the shared one: same GUIDs, passwords and CA.
    /// It is gone when the value is dropped.
    pub fn start() -> Self {
        // Samba limits the length of the path, so not under target/.
        let folder = tempfile::Builder::new().prefix("regain-dc-").tempdir().unwrap();
        controller("up", folder.path(), &[]);
        Self::open(&folder.keep(), true)
    }

    fn open(folder: &Path, own: bool) -> Self {
        let read = |name| {
            fs::read_to_string(folder.join(name))
                .unwrap_or_else(|e| panic!("no test domain in {}: {name}: {e}", folder.display()))
        };
        let mut fixtures: Fixtures = serde_json::from_str(&read("fixtures.json")).unwrap();
        for (name, user) in &mut fixtures.users {
            user.name.clone_from(name);
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(read("ca.pem").as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = read("address").trim().parse().unwrap();
        Self { folder: folder.to_owned(), address, tls: Arc::new(tls), fixtures, own }
    }

    /// The file with the certificate of the controller's CA.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// An account of the fixtures.
    pub fn user(&self, name: &str) -> User {
        self.fixtures.users.get(name).unwrap_or_else(|| panic!("no fixture {name:?}")).clone()
    }

    /// A group of the fixtures.
    pub fn group(&self, name: &str) -> Group {
        self.fixtures.groups.get(name).unwrap_or_else(|| panic!("no group {name:?}")).clone()
    }

    /// A plain user whom no other test has, in this process or any other.
    pub async fn someone(&self) -> User {
        for n in 0.. {
            let name = format!("t{n:02}");
            match OpenOptions::new().write(true).create_new(true).open(self.folder.join("taken").join(&name))
            {
                Ok(_) if n < self.fixtures.pool => return self.user(&name),
                Ok(_) => return self.create(&name).await,
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => panic!("cannot take {name}: {e}"),
            }
        }
        unreachable!("the names are endless")
    }

    /// Whether a password would let this account log on. A wrong one counts towards its lockout.
    pub async fn bind(&self, user: &User, password: &str) -> Bind {
        assert!(!password.is_empty(), "an empty password asks for an anonymous bind, which proves nothing");
        let mut ldap = self.connect().await.unwrap();
        let answer = ldap.with_timeout(PATIENCE).simple_bind(&user.dn, password).await.unwrap();
        let _ = ldap.unbind().await;
        match answer.rc {
            0 => Bind::Accepted,
            49 => {
                let code = answer.text.split_once("data ").map_or("", |(_, rest)| rest);
                Bind::Refused(
                    code.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap_or_default().to_owned(),
                )
            }
            _ => panic!("bind of {}: {answer:?}", user.dn),
        }
    }

    /// The account as it is now, found by its GUID; `None` when there is no such account any more.
    pub async fn state(&self, user: &User) -> Option<State> {
        let mut ldap = self.administrator().await;
        let (base, wanted) = (guid_dn(user), ["*", "msDS-User-Account-Control-Computed"]);
        let answer =
            ldap.with_timeout(PATIENCE).search(&base, Scope::Base, "(objectClass=*)", wanted).await.unwrap();
        let entry = match answer.1.rc {
            0 => SearchEntry::construct(answer.0.into_iter().next().unwrap()),
            32 => return None,
            _ => panic!("reading {}: {:?}", user.dn, answer.1),
        };
        let number = |name: &str| entry.attrs.get(name).map_or(0, |values| values[0].parse().unwrap());
        Some(State {
            pwd_last_set: number("pwdLastSet"),
            bad_pwd_count: number("badPwdCount"),
            lockout_time: number("lockoutTime"),
            locked: number("msDS-User-Account-Control-Computed") & 0x10 != 0,
            dn: entry.dn,
            attributes: entry.attrs,
        })
    }

    /// Replaces an attribute; an empty value removes it.
    pub async fn set(&self, user: &User, attribute: &str, value: &str) {
        let values: HashSet<_> = Some(value.as_bytes()).filter(|v| !v.is_empty()).into_iter().collect();
        self.modify(&guid_dn(user), vec![Mod::Replace(attribute.as_bytes(), values)]).await;
    }

    /// Writes an attribute past the password rules, to let time pass: `pwdLastSet` to `now-86400` (seconds).
    pub fn backdate(&self, user: &User, attribute: &str, value: &str) {
        controller("attr", &self.folder, &[&user.name, attribute, value]);
    }

    /// Sets the password as an administrator does. The account is not unlocked by it.
    pub async fn set_password(&self, user: &User, password: &str) {
        let quoted = unicode_pwd(password);
        let values = HashSet::from([quoted.as_slice()]);
        self.modify(&guid_dn(user), vec![Mod::Replace(b"unicodePwd".as_slice(), values)]).await;
    }

    /// Locks the account out, as a stranger would: with wrong passwords.
    pub async fn lock_out(&self, user: &User) {
        for _ in 0..10 {
            if self.bind(user, "Not-The-Pw0rd!").await == Bind::Refused("775".to_owned()) {
                return;
            }
        }
        panic!("{} could not be locked out", user.name);
    }

    /// Makes a plain user among the delegated ones.
    pub async fn create(&self, name: &str) -> User {
        let dn = format!("CN={},OU=People,{BASE}", ldap3::dn_escape(name));
        let quoted = unicode_pwd(PASSWORD);
        let text = |value: &str| HashSet::from([value.as_bytes().to_vec()]);
        let attributes = vec![
            (b"objectClass".to_vec(), text("user")),
            (b"sAMAccountName".to_vec(), text(name)),
            (b"userPrincipalName".to_vec(), text(&format!("{name}@{DNS}"))),
            (b"userAccountControl".to_vec(), text("512")),
            (b"displayName".to_vec(), text(name)),
            (b"mail".to_vec(), text(&format!("{name}@mail.example"))),
            (b"unicodePwd".to_vec(), HashSet::from([quoted])),
        ];
        let mut ldap = self.administrator().await;
        ldap.with_timeout(PATIENCE).add(&dn, attributes).await.unwrap().success().unwrap();
        let (found, _) = ldap
            .with_timeout(PATIENCE)
            .search(&dn, Scope::Base, "(objectClass=*)", ["objectGUID"])
            .await
            .unwrap()
            .success()
            .unwrap();
        let entry = SearchEntry::construct(found.into_iter().next().unwrap());
        let guid = Uuid::from_slice_le(&entry.bin_attrs["objectGUID"][0]).unwrap();
        User { name: name.to_owned(), dn, guid, password: PASSWORD.to_owned() }
    }

    /// Deletes the account.
    pub async fn delete(&self, user: &User) {
        let mut ldap = self.administrator().await;
        ldap.with_timeout(PATIENCE).delete(&guid_dn(user)).await.unwrap().success().unwrap();
    }

    /// Gives the account another name, everywhere a name stands: CN, sAMAccountName and UPN.
    pub async fn rename(&self, user: &User, name: &str) -> User {
        let (_, parent) = user.dn.split_once(",OU=").unwrap();
        let rdn = format!("CN={}", ldap3::dn_escape(name));
        let mut ldap = self.administrator().await;
        ldap.with_timeout(PATIENCE).modifydn(&user.dn, &rdn, true, None).await.unwrap().success().unwrap();
        let renamed = User { name: name.to_owned(), dn: format!("{rdn},OU={parent}"), ..user.clone() };
        self.set(&renamed, "sAMAccountName", name).await;
        self.set(&renamed, "userPrincipalName", &format!("{name}@{DNS}")).await;
        renamed
    }

    /// Moves the account to another of the organizational units `People`, `Other` and `Service`.
    pub async fn move_to(&self, user: &User, unit: &str) -> User {
        let (rdn, _) = user.dn.split_once(",OU=").unwrap();
        let parent = format!("OU={unit},{BASE}");
        let mut ldap = self.administrator().await;
        let moved = ldap.with_timeout(PATIENCE).modifydn(&user.dn, rdn, true, Some(&parent)).await;
        moved.unwrap().success().unwrap();
        User { dn: format!("{rdn},{parent}"), ..user.clone() }
    }

    /// Makes the account a member of a group of the fixtures.
    pub async fn join(&self, user: &User, group: &str) {
        let member = HashSet::from([user.dn.as_bytes()]);
        self.modify(&self.group(group).dn, vec![Mod::Add(b"member".as_slice(), member)]).await;
    }

    /// The controller's own log: who bound, whose password was set, by whom and with what outcome.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log/samba.log")).unwrap()
    }

    /// Makes the controller silent, as a dead network does; connections still open. Only on one's own.
    pub fn freeze(&self) {
        self.control("freeze");
    }

    /// Ends [`Self::freeze`]: the controller now does what it was asked meanwhile.
    pub fn thaw(&self) {
        self.control("thaw");
    }

    /// Kills the controller: connections break, new ones are refused. Only on one's own.
    pub fn stop(&self) {
        self.control("stop");
    }

    /// Starts a stopped controller again, on the same address.
    pub fn resume(&self) {
        self.control("up");
    }

    fn control(&self, command: &str) {
        assert!(self.own, "the shared controller serves other tests: start one with Domain::start()");
        controller(command, &self.folder, &[]);
    }

    async fn modify(&self, dn: &str, changes: Vec<Mod<&[u8]>>) {
        let mut ldap = self.administrator().await;
        ldap.with_timeout(PATIENCE).modify(dn, changes).await.unwrap().success().unwrap();
    }

    /// A connection bound as the domain's administrator, for what has no word here.
    pub async fn administrator(&self) -> Ldap {
        let mut ldap = self.connect().await.unwrap();
        let (name, password) = ADMINISTRATOR;
        ldap.with_timeout(PATIENCE).simple_bind(name, password).await.unwrap().success().unwrap();
        ldap
    }

    async fn connect(&self) -> Result<Ldap, LdapError> {
        let tcp = tokio::net::TcpStream::connect((self.address, 636)).await?;
        tcp.set_nodelay(true)?;
        let settings = LdapConnSettings::new()
            .set_conn_timeout(PATIENCE)
            .set_config(Arc::clone(&self.tls))
            .set_std_stream(StdStream::Tcp(tcp.into_std()?));
        let (connection, ldap) =
            LdapConnAsync::with_settings(settings, &format!("ldaps://{}:636", self.address)).await?;
        tokio::spawn(connection.drive());
        Ok(ldap)
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        if self.own {
            controller("down", &self.folder, &[]);
        }
    }
}

/// A name that holds through renaming and moving.
fn guid_dn(user: &User) -> String {
    format!("<GUID={}>", user.guid)
}

fn unicode_pwd(password: &str) -> Vec<u8> {
    format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn controller(command: &str, folder: &Path, arguments: &[&str]) {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/domain/controller"))
        .arg(command)
        .arg(folder)
        .args(arguments)
        // The controller must not outlive this process, however it ends.
        .env("REGAIN_TEST_OWNER", std::process::id().to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "controller {command}: {}", String::from_utf8_lossy(&output.stderr));
}
