//! The embedded directory of `regain demo`: two domains of sample users in memory, with the rules and refusals of
//! Active Directory, so that every page can be tried without a domain controller.
//!
//! It must not know the flows, nor keep anything on disk; passwords are kept as keyed digests only.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac};

use super::{
    Directory, Error, Finding, Group, Groups, PasswordCheck, Refused, ResetOptions, Rule, Seen, Verdict,
    matching::the_one_meant,
};
use crate::domain::{
    account::{Account, AccountKey, AccountKind, Domain, DomainName, LogonName, ObjectGuid},
    clock::{Clock, Timestamp},
    field::Problem,
    password_rules::PasswordPolicy,
    secret::{Key, Password},
};

/// The password of every sample user.
pub const SAMPLE_PASSWORD: &str = "Correct-Horse-1";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How a sample user stands in the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing is the matter.
    Fine,
    /// Locked out after too many wrong passwords.
    LockedOut,
    /// Must change the password at next logon.
    MustChange,
    /// The password is older than the policy allows.
    PasswordExpired,
    /// The password never expires.
    PasswordNeverExpires,
    /// May not change the password.
    MayNotChange,
    /// Disabled.
    Disabled,
    /// Past its date.
    AccountExpired,
    /// Member of Domain Admins.
    Administrator,
}

impl Standing {
    /// In words, for the list the demo prints.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Fine => "nothing is the matter",
            Self::LockedOut => "locked out in the directory",
            Self::MustChange => "must change the password at next logon",
            Self::PasswordExpired => "the password has expired",
            Self::PasswordNeverExpires => "the password never expires",
            Self::MayNotChange => "may not change the password",
            Self::Disabled => "disabled",
            Self::AccountExpired => "the account has expired",
            Self::Administrator => "a domain administrator: refused by default",
        }
    }
}

/// A sample user, as the demo prints and loads it.
#[derive(Clone, Copy, Debug)]
pub struct SampleUser {
    /// NetBIOS name of the domain.
    pub domain: &'static str,
    /// sAMAccountName.
    pub name: &'static str,
    /// userPrincipalName, without the part after the @ if that is the domain's own.
    pub upn: &'static str,
    /// displayName.
    pub display_name: &'static str,
    /// Mobile number; the e-mail address is made of the UPN.
    pub mobile: Option<&'static str>,
    /// preferredLanguage.
    pub language: &'static str,
    /// How it stands.
    pub standing: Standing,
}

const fn sample(
    domain: &'static str,
    name: &'static str,
    upn: &'static str,
    display_name: &'static str,
    mobile: Option<&'static str>,
    language: &'static str,
    standing: Standing,
) -> SampleUser {
    SampleUser { domain, name, upn, display_name, mobile, language, standing }
}

/// Name and domain of the administrator in the demo.
pub const SAMPLE_ADMINISTRATOR: (&str, &str) = ("admin", "DEMO");
/// The SID of the group that the administrator is in.
pub const SAMPLE_ADMINISTRATORS: &str = "S-1-5-21-1001-1002-1003-512";

/// The groups of each sample domain, by name: the last part of the SID or all of it, the name, the description.
const SAMPLE_GROUPS: [(&str, &str, &str); 4] = [
    ("S-1-5-32-544", "Administrators", "Members have complete access to the domain"),
    ("512", "Domain Admins", "Designated administrators of the domain"),
    ("513", "Domain Users", "All domain users"),
    ("S-1-5-32-545", "Users", "Everyone who may log on"),
];

/// Everyone in the demo. The numbers are from the range Ofcom keeps for drama.
pub const SAMPLE_USERS: &[SampleUser] = &[
    sample("DEMO", "alice", "alice", "Alice Example", Some("+44 7700 900120"), "en", Standing::Fine),
    sample("DEMO", "bob", "bob", "Bob Example", Some("+44 7700 900121"), "de", Standing::LockedOut),
    sample("DEMO", "carol", "carol", "Carol Example", Some("+44 7700 900122"), "fr", Standing::MustChange),
    sample("DEMO", "dave", "dave", "Dave Example", Some("+44 7700 900123"), "es", Standing::Disabled),
    sample("DEMO", "erin", "erin", "Erin Example", Some("+44 7700 900124"), "en", Standing::PasswordExpired),
    sample("DEMO", "frank", "frank", "Frank Example", None, "de", Standing::MayNotChange),
    sample("DEMO", "grace", "grace", "Grace Example", None, "en", Standing::AccountExpired),
    sample("DEMO", "heidi", "heidi", "Heidi Example", None, "en", Standing::PasswordNeverExpires),
    sample("DEMO", "admin", "admin", "Demo Administrator", None, "en", Standing::Administrator),
    sample("DEMO", "o'brien", "pat.obrien", "O'Brien, Pat", None, "en", Standing::Fine),
    sample("DEMO", "müller", "jana.mueller", "Jana Müller", None, "de", Standing::Fine),
    sample("DEMO", "trail ", "trail", "Trailing Blank", None, "en", Standing::Fine),
    sample("DEMO", "日本", "nihon", "日本 太郎", None, "ja", Standing::Fine),
    sample("LAB", "alice", "alice", "Alice of the Laboratory", None, "en", Standing::Fine),
    sample("LAB", "ivan", "ivan", "Ivan Example", Some("+44 7700 900130"), "ru", Standing::Fine),
    sample("LAB", "judy", "judy", "Judy Example", Some("+44 7700 900131"), "en", Standing::LockedOut),
];

/// A domain in memory.
pub struct DemoDirectory {
    domain: Domain,
    policy: PasswordPolicy,
    clock: Arc<dyn Clock>,
    digest_key: hmac::Key,
    records: Mutex<Vec<Record>>,
}

/// What the directory keeps of an account.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own in the directory")]
struct Record {
    guid: ObjectGuid,
    relative_id: u32,
    sam_account_name: String,
    user_principal_name: String,
    display_name: String,
    mail: Option<String>,
    mobile: Option<String>,
    preferred_language: String,
    disabled: bool,
    may_not_change: bool,
    administrator: bool,
    password_never_expires: bool,
    account_expires: Option<Timestamp>,
    /// pwdLastSet: 0 is "must change".
    password_last_set: i64,
    /// The present password first, then the former ones.
    passwords: VecDeque<hmac::Tag>,
    bad_password_count: u32,
    bad_password_time: Option<Timestamp>,
    lockout_time: Option<Timestamp>,
}

impl DemoDirectory {
    /// Both domains with their sample users. `key` keys the digests of the passwords.
    pub fn sample_domains(clock: &Arc<dyn Clock>, key: &Key) -> [Self; 2] {
        [Self::sample("DEMO", Arc::clone(clock), key), Self::sample("LAB", Arc::clone(clock), key)]
    }

    fn sample(netbios: &str, clock: Arc<dyn Clock>, key: &Key) -> Self {
        let directory = Self {
            domain: Domain {
                name: DomainName::new(&format!("{netbios}.example")),
                netbios: netbios.to_owned(),
            },
            policy: if netbios == "DEMO" { demo_policy() } else { lab_policy() },
            clock,
            digest_key: hmac::Key::new(hmac::HMAC_SHA256, key.reveal()),
            records: Mutex::default(),
        };
        for user in SAMPLE_USERS.iter().filter(|user| user.domain == netbios) {
            directory.insert(user, 0);
        }
        directory
    }

    /// Gives the account another sAMAccountName; false if there is none of the old one.
    #[cfg(feature = "testing")]
    pub fn rename(&self, name: &str, new_name: &str) -> bool {
        let mut records = self.records();
        let record = records.iter_mut().find(|record| record.sam_account_name == name);
        record.map(|record| new_name.clone_into(&mut record.sam_account_name)).is_some()
    }

    /// Gives the account another e-mail address and mobile number, or none; false if there is none of that name.
    #[cfg(feature = "testing")]
    pub fn move_to(&self, name: &str, mail: Option<&str>, mobile: Option<&str>) -> bool {
        let mut records = self.records();
        let record = records.iter_mut().find(|record| record.sam_account_name == name);
        record
            .map(|record| {
                record.mail = mail.map(str::to_owned);
                record.mobile = mobile.map(str::to_owned);
            })
            .is_some()
    }

    /// Takes the account out of the directory; false if there is none of that name.
    #[cfg(feature = "testing")]
    pub fn remove(&self, name: &str) -> bool {
        let mut records = self.records();
        let before = records.len();
        records.retain(|record| record.sam_account_name != name);
        records.len() < before
    }

    /// Adds an account. Each `incarnation` of the same name has a GUID of its own; the samples are number 0.
    #[cfg(feature = "testing")]
    pub fn add(&self, user: &SampleUser, incarnation: u32) {
        self.insert(user, incarnation);
    }

    fn insert(&self, user: &SampleUser, incarnation: u32) {
        let now = self.clock.now();
        let long_ago = Timestamp::from_millis(0);
        let guid = stable_guid(self.domain.name.as_str(), user.name, incarnation);
        let standing = user.standing;
        let mut records = self.records();
        let relative_id = 1104 + u32::try_from(records.len()).unwrap_or(0);
        records.push(Record {
            guid,
            relative_id,
            sam_account_name: user.name.to_owned(),
            user_principal_name: format!("{}@{}", user.upn, self.domain.name),
            display_name: user.display_name.to_owned(),
            mail: Some(format!("{}@{}", user.upn, self.domain.name)),
            mobile: user.mobile.map(str::to_owned),
            preferred_language: user.language.to_owned(),
            disabled: standing == Standing::Disabled,
            may_not_change: standing == Standing::MayNotChange,
            administrator: standing == Standing::Administrator,
            password_never_expires: standing == Standing::PasswordNeverExpires,
            account_expires: (standing == Standing::AccountExpired).then_some(long_ago),
            password_last_set: match standing {
                Standing::MustChange => 0,
                Standing::PasswordExpired => long_ago.filetime(),
                // Old enough that no minimum age stands in the way of trying a change.
                _ => Timestamp::from_millis(now.millis() - days(2)).filetime(),
            },
            passwords: VecDeque::from([self.digest(guid, SAMPLE_PASSWORD)]),
            bad_password_count: if standing == Standing::LockedOut {
                self.policy.lockout_threshold
            } else {
                0
            },
            bad_password_time: (standing == Standing::LockedOut).then_some(now),
            lockout_time: (standing == Standing::LockedOut).then_some(now),
        });
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        // Every change below is made whole before anything can panic, so a poisoned lock hides no half-done one.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of an account's password; the GUID is its salt.
    fn digest(&self, guid: ObjectGuid, password: &str) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.digest_key);
        context.update(guid.bytes());
        context.update(password.as_bytes());
        context.sign()
    }

    fn account(&self, record: &Record, now: Timestamp) -> Account {
        let domain_sid = domain_sid(&self.domain);
        let mut group_sids = vec![format!("{domain_sid}-513"), "S-1-5-32-545".to_owned()];
        if record.administrator {
            group_sids.extend([format!("{domain_sid}-512"), "S-1-5-32-544".to_owned()]);
        }
        Account {
            key: AccountKey { domain: self.domain.name.clone(), guid: record.guid },
            netbios: self.domain.netbios.clone(),
            distinguished_name: format!(
                "CN={},OU=People,DC={},DC=example",
                record.sam_account_name,
                self.domain.netbios.to_lowercase()
            ),
            sid: format!("{domain_sid}-{}", record.relative_id),
            sam_account_name: record.sam_account_name.clone(),
            user_principal_name: Some(record.user_principal_name.clone()),
            display_name: Some(record.display_name.clone()),
            mail: record.mail.clone(),
            mobile: record.mobile.clone(),
            preferred_language: Some(record.preferred_language.clone()),
            kind: AccountKind::Person,
            disabled: record.disabled,
            expired: record.account_expires.is_some_and(|expires| expires <= now),
            privileged: record.administrator,
            password_never_expires: record.password_never_expires,
            locked: self.is_locked(record, now),
            bad_password_count: record.bad_password_count,
            bad_password_time: record.bad_password_time,
            password_last_set: record.password_last_set,
            group_sids,
            enforces_history: true,
            policy: self.policy.clone(),
        }
    }

    fn is_locked(&self, record: &Record, now: Timestamp) -> bool {
        record.lockout_time.is_some_and(|since| {
            self.policy.lockout_duration.is_none_or(|duration| now.since(since) < duration)
        })
    }

    /// Compares, and counts a wrong one as the directory does: anew once the observation window has passed.
    fn compare(&self, record: &mut Record, password: &Password, now: Timestamp) -> Result<(), Refused> {
        if self.is_locked(record, now) {
            return Err(Refused::LockedOut);
        }
        let digest = self.digest(record.guid, password.reveal());
        if record.passwords.front().is_some_and(|present| same_digest(present, &digest)) {
            return Ok(());
        }
        let in_window =
            record.bad_password_time.is_some_and(|last| now.since(last) <= self.policy.observation_window);
        record.bad_password_count = if in_window { record.bad_password_count + 1 } else { 1 };
        record.bad_password_time = Some(now);
        let threshold = self.policy.lockout_threshold;
        record.lockout_time = (threshold > 0 && record.bad_password_count >= threshold).then_some(now);
        Err(Refused::WrongPassword)
    }

    fn is_password_expired(&self, record: &Record, now: Timestamp) -> bool {
        let set = Timestamp::from_filetime(record.password_last_set);
        !record.password_never_expires
            && (record.password_last_set == 0
                || self.policy.maximum_age.is_some_and(|maximum| now.since(set) > maximum))
    }

    /// Whether the new password keeps the rules; history and minimum age only where they count.
    fn judge(
        &self,
        record: &Record,
        new: &Password,
        now: Timestamp,
        with_history: bool,
    ) -> Result<(), Refused> {
        self.policy.check(new, &self.account(record, now)).map_err(|problem| {
            Refused::Policy(Some(match problem {
                Problem::PasswordTooShort { .. } => Rule::Length,
                _ => Rule::Complexity,
            }))
        })?;
        if !with_history {
            return Ok(());
        }
        let set = Timestamp::from_filetime(record.password_last_set);
        if record.password_last_set != 0 && now.since(set) < self.policy.minimum_age {
            return Err(Refused::Policy(Some(Rule::MinimumAge)));
        }
        let digest = self.digest(record.guid, new.reveal());
        let remembered = usize::try_from(self.policy.history_length).unwrap_or(usize::MAX);
        if record.passwords.iter().take(remembered).any(|former| same_digest(former, &digest)) {
            return Err(Refused::Policy(Some(Rule::History)));
        }
        Ok(())
    }

    fn set(&self, record: &mut Record, new: &Password, now: Timestamp) {
        record.passwords.push_front(self.digest(record.guid, new.reveal()));
        record.passwords.truncate(usize::try_from(self.policy.history_length).unwrap_or(usize::MAX).max(1));
        record.password_last_set = now.filetime();
    }

    /// Runs `step` on the account's record; a refusal becomes an error with the demo's words.
    fn with_record<T>(
        &self,
        account: &Account,
        step: impl FnOnce(&mut Record, Timestamp) -> Result<T, Refused>,
    ) -> Result<T, Error> {
        let now = self.clock.now();
        let mut records = self.records();
        let record = records.iter_mut().find(|record| record.guid == account.key.guid);
        record
            .ok_or(Refused::Gone)
            .and_then(|record| step(record, now))
            .map_err(|refused| Error::Refused(refused, "the demo directory".to_owned()))
    }
}

#[async_trait]
impl Directory for DemoDirectory {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    async fn find(&self, name: &LogonName) -> Result<Option<Account>, Error> {
        // As loosely as Active Directory compares: no case, no trailing blanks.
        let same =
            |typed: &str, real: &str| typed.trim_end().to_lowercase() == real.trim_end().to_lowercase();
        let now = self.clock.now();
        let answering: Vec<Account> = self
            .records()
            .iter()
            .filter(|record| match name {
                LogonName::Sam(typed) => same(typed, &record.sam_account_name),
                LogonName::Upn { full, sam } => {
                    same(full, &record.user_principal_name)
                        || same(full, &record.sam_account_name)
                        || sam.as_deref().is_some_and(|typed| same(typed, &record.sam_account_name))
                }
            })
            .map(|record| self.account(record, now))
            .collect();
        Ok(the_one_meant(name, answering, |account| {
            (&account.sam_account_name, account.user_principal_name.as_deref())
        }))
    }

    async fn load(&self, guid: ObjectGuid) -> Result<Option<Account>, Error> {
        let now = self.clock.now();
        let records = self.records();
        Ok(records.iter().find(|record| record.guid == guid).map(|record| self.account(record, now)))
    }

    async fn list(&self) -> Result<Vec<ObjectGuid>, Error> {
        Ok(self.records().iter().map(|record| record.guid).collect())
    }

    async fn policy(&self) -> Result<PasswordPolicy, Error> {
        Ok(self.policy.clone())
    }

    async fn existing(&self, guids: &[ObjectGuid]) -> Result<Vec<ObjectGuid>, Error> {
        let records = self.records();
        let exists = |guid: &ObjectGuid| records.iter().any(|record| record.guid == *guid);
        Ok(guids.iter().copied().filter(exists).collect())
    }

    async fn probe(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn find_groups(&self, wanted: Groups<'_>) -> Result<Vec<Group>, Error> {
        let domain_sid = domain_sid(&self.domain);
        let netbios = self.domain.netbios.to_lowercase();
        let groups = SAMPLE_GROUPS.iter().map(|(sid, name, description)| Group {
            sid: if sid.starts_with("S-") { (*sid).to_owned() } else { format!("{domain_sid}-{sid}") },
            name: (*name).to_owned(),
            description: (*description).to_owned(),
            distinguished_name: format!("CN={name},CN=Users,DC={netbios},DC=example"),
        });
        let is_wanted = |group: &Group| match wanted {
            Groups::Named(part) => {
                let part = part.to_lowercase();
                let texts = [&group.name, &group.description];
                !part.is_empty() && texts.iter().any(|text| text.to_lowercase().contains(&part))
            }
            Groups::WithSid(sid) => group.sid.eq_ignore_ascii_case(sid),
        };
        Ok(groups.filter(is_wanted).collect())
    }

    async fn verify_password(&self, account: &Account, password: &Password) -> Result<PasswordCheck, Error> {
        let check = self.with_record(account, |record, now| {
            Ok(match self.compare(record, password, now) {
                Err(Refused::LockedOut) => PasswordCheck::LockedOut,
                Err(_) => PasswordCheck::Wrong,
                Ok(()) if record.disabled => PasswordCheck::RightButDisabled,
                Ok(()) if record.account_expires.is_some_and(|expires| expires <= now) => {
                    PasswordCheck::RightButAccountExpired
                }
                Ok(()) if self.is_password_expired(record, now) => PasswordCheck::RightButMustChange,
                Ok(()) => {
                    record.bad_password_count = 0;
                    record.lockout_time = None;
                    PasswordCheck::Right
                }
            })
        });
        match check {
            // A bind as someone who isn't there fails like one with a wrong password.
            Err(Error::Refused(Refused::Gone, _)) => Ok(PasswordCheck::Wrong),
            other => other,
        }
    }

    async fn change_password(&self, account: &Account, old: &Password, new: &Password) -> Result<(), Error> {
        self.with_record(account, |record, now| {
            if record.may_not_change {
                return Err(Refused::MayNotChange);
            }
            self.compare(record, old, now)?;
            self.judge(record, new, now, true)?;
            self.set(record, new, now);
            Ok(())
        })
    }

    async fn reset_password(
        &self,
        account: &Account,
        new: &Password,
        options: ResetOptions,
    ) -> Result<(), Error> {
        self.with_record(account, |record, now| {
            self.judge(record, new, now, options.enforce_history)?;
            self.set(record, new, now);
            if options.must_change_at_logon && !record.password_never_expires {
                record.password_last_set = 0;
            }
            release(record);
            Ok(())
        })
    }

    async fn unlock(&self, account: &Account) -> Result<(), Error> {
        self.with_record(account, |record, _| {
            release(record);
            Ok(())
        })
    }

    fn controllers(&self) -> Vec<(String, bool)> {
        vec![("demo".to_owned(), true)]
    }

    async fn survey(&self) -> Result<Vec<Seen>, Error> {
        Ok(Vec::new())
    }

    async fn names(&self) -> Result<Domain, Error> {
        Ok(self.domain.clone())
    }

    async fn examine(&self) -> Vec<Finding> {
        vec![Finding {
            subject: format!("{} demo directory", self.domain.name),
            verdict: Verdict::Good,
            text: format!("embedded, with {} sample users", self.records().len()),
        }]
    }
}

fn release(record: &mut Record) {
    record.lockout_time = None;
    record.bad_password_count = 0;
}

fn same_digest(one: &hmac::Tag, other: &hmac::Tag) -> bool {
    verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok()
}

/// Milliseconds in so many days.
const fn days(count: i64) -> i64 {
    count * 24 * 60 * 60 * 1000
}

/// The same name has the same GUID after a restart, so that enrollments of a demo with a data folder stay.
fn stable_guid(domain: &str, name: &str, incarnation: u32) -> ObjectGuid {
    let identity = format!("regain demo\0{domain}\0{name}\0{incarnation}");
    let digest = digest::digest(&digest::SHA256, identity.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, of_digest)| *byte = *of_digest);
    ObjectGuid::from_bytes(bytes)
}

fn domain_sid(domain: &Domain) -> &'static str {
    if domain.netbios == "DEMO" { "S-1-5-21-1001-1002-1003" } else { "S-1-5-21-2001-2002-2003" }
}

/// What most domains have; a lockout stays until someone ends it, so that there is always one to try Unlock on.
fn demo_policy() -> PasswordPolicy {
    PasswordPolicy {
        minimum_length: 8,
        complexity: true,
        history_length: 3,
        minimum_age: Duration::ZERO,
        maximum_age: Some(42 * DAY),
        lockout_threshold: 5,
        observation_window: Duration::from_secs(30 * 60),
        lockout_duration: None,
        known: true,
    }
}

/// A stricter one.
fn lab_policy() -> PasswordPolicy {
    PasswordPolicy {
        minimum_length: 12,
        history_length: 10,
        minimum_age: DAY,
        lockout_threshold: 10,
        lockout_duration: Some(Duration::from_secs(30 * 60)),
        ..demo_policy()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::domain::secret::SecretText;

    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    impl Hand {
        fn advance(&self, by: Duration) {
            self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
        }
    }

    fn lab() -> (DemoDirectory, Arc<Hand>) {
        let hand = Arc::new(Hand(AtomicI64::new(1_800_000_000_000)));
        let clock: Arc<dyn Clock> = Arc::clone(&hand) as _;
        let [_, lab] = DemoDirectory::sample_domains(&clock, &Key::new([7; 32]));
        (lab, hand)
    }

    fn password(text: &str) -> Password {
        Password::parse(SecretText::new(text.to_owned())).unwrap()
    }

    async fn account(directory: &DemoDirectory, name: &str) -> Account {
        directory.find(&LogonName::Sam(name.to_owned())).await.unwrap().unwrap()
    }

    fn refused(outcome: Result<(), Error>) -> Refused {
        match outcome {
            Err(Error::Refused(refused, _)) => refused,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[tokio::test]
    async fn wrong_passwords_are_forgotten_after_the_observation_window() {
        let (lab, clock) = lab();
        let alice = account(&lab, "alice").await;
        for _ in 0..9 {
            assert_eq!(lab.verify_password(&alice, &password("wrong")).await.unwrap(), PasswordCheck::Wrong);
        }
        clock.advance(Duration::from_secs(31 * 60));
        assert_eq!(account(&lab, "alice").await.effective_bad_password_count(clock.now()), 0);
        lab.verify_password(&alice, &password("wrong")).await.unwrap();
        let now = account(&lab, "alice").await;
        assert_eq!((now.bad_password_count, now.locked), (1, false));
    }

    #[tokio::test]
    async fn a_lockout_ends_after_its_duration_or_lasts_where_the_policy_says_so() {
        let (lab, clock) = lab();
        assert!(account(&lab, "judy").await.locked);
        clock.advance(Duration::from_secs(31 * 60));
        assert!(!account(&lab, "judy").await.locked);
        let judy = account(&lab, "judy").await;
        let check = lab.verify_password(&judy, &password(SAMPLE_PASSWORD)).await.unwrap();
        assert_eq!(check, PasswordCheck::Right);

        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let [demo, _] = DemoDirectory::sample_domains(&as_clock, &Key::new([7; 32]));
        clock.advance(100 * DAY);
        assert!(account(&demo, "bob").await.locked);
    }

    #[tokio::test]
    async fn history_and_minimum_age_bind_a_reset_only_where_asked() {
        let (lab, clock) = lab();
        let alice = account(&lab, "alice").await;
        let same = password(SAMPLE_PASSWORD);
        let with_history = ResetOptions { enforce_history: true, ..ResetOptions::default() };
        let outcome = lab.reset_password(&alice, &same, with_history).await;
        assert_eq!(refused(outcome), Refused::Policy(Some(Rule::History)));
        lab.reset_password(&alice, &same, ResetOptions::default()).await.unwrap();
        let outcome = lab.reset_password(&alice, &password("Second-Horse-22"), with_history).await;
        assert_eq!(refused(outcome), Refused::Policy(Some(Rule::MinimumAge)));
        clock.advance(2 * DAY);
        lab.reset_password(&alice, &password("Second-Horse-22"), with_history).await.unwrap();
    }

    #[tokio::test]
    async fn a_password_expires_when_its_time_has_come() {
        let (lab, clock) = lab();
        clock.advance(50 * DAY);
        let alice = account(&lab, "alice").await;
        let check = lab.verify_password(&alice, &password(SAMPLE_PASSWORD)).await.unwrap();
        assert_eq!(check, PasswordCheck::RightButMustChange);
    }

    #[tokio::test]
    async fn the_same_name_has_the_same_guid_in_every_run_and_its_successor_another() {
        let ((one, _), (two, _)) = (lab(), lab());
        let guid = account(&one, "ivan").await.key.guid;
        assert_eq!(guid, account(&two, "ivan").await.key.guid);
        let ivan = *SAMPLE_USERS.iter().find(|user| user.name == "ivan").unwrap();
        assert!(two.remove("ivan"));
        two.add(&ivan, 1);
        assert_ne!(guid, account(&two, "ivan").await.key.guid);
        assert!(two.load(guid).await.unwrap().is_none());
        assert!(one.rename("ivan", "ivan.petrov"));
        assert_eq!(account(&one, "ivan.petrov").await.key.guid, guid);
    }

    #[test]
    fn every_sample_password_keeps_its_own_policy() {
        let clock: Arc<dyn Clock> = Arc::new(Hand(AtomicI64::new(1_800_000_000_000)));
        for directory in DemoDirectory::sample_domains(&clock, &Key::new([7; 32])) {
            for record in directory.records().iter() {
                let account = directory.account(record, clock.now());
                assert_eq!(directory.policy.check(&password(SAMPLE_PASSWORD), &account), Ok(()));
            }
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod contract {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{
        domain::clock::SystemClock,
        testing::directory_contract::{Ground, Someone},
    };

    struct Embedded {
        directory: Arc<DemoDirectory>,
        made: AtomicUsize,
    }

    fn embedded() -> Embedded {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let [demo, _] = DemoDirectory::sample_domains(&clock, &Key::new([7; 32]));
        Embedded { directory: Arc::new(demo), made: AtomicUsize::new(0) }
    }

    impl Embedded {
        fn known(&self, name: &str, upn: &str) -> Someone {
            let upn = format!("{upn}@{}", self.directory.domain.name);
            Someone { name: name.to_owned(), upn, password: SAMPLE_PASSWORD.to_owned() }
        }
    }

    #[async_trait]
    impl Ground for Embedded {
        fn directory(&self) -> Arc<dyn Directory> {
            Arc::clone(&self.directory) as _
        }

        async fn someone(&self, standing: Standing) -> Someone {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let name: &'static str = Box::leak(format!("someone{number}").into_boxed_str());
            let upn: &'static str = Box::leak(format!("some.one.{number}").into_boxed_str());
            self.directory.add(&sample("DEMO", name, upn, "Contract", None, "en", standing), 0);
            self.known(name, upn)
        }

        async fn rename(&self, name: &str, new_name: &str) {
            assert!(self.directory.rename(name, new_name));
        }

        async fn remove(&self, name: &str) {
            assert!(self.directory.remove(name));
        }

        async fn recreate(&self, name: &str) {
            let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
            self.directory.add(&sample("DEMO", name, name, "Contract", None, "en", Standing::Fine), 1);
        }

        fn odd_ones(&self) -> Vec<Someone> {
            [("o'brien", "pat.obrien"), ("müller", "jana.mueller"), ("trail ", "trail"), ("日本", "nihon")]
                .map(|(name, upn)| self.known(name, upn))
                .into()
        }
    }

    crate::directory_contract!(embedded);
}
