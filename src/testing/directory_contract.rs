//! What every [`Directory`] must do, as tests that run against any: Active Directory and the demo pass the same.
//!
//! [`directory_contract!`](crate::directory_contract) makes a test of each. They know a directory only by its trait
//! and by a [`Ground`] that makes accounts to try things on.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    directory::{
        Directory, Error, Groups, MOST_ASKED, PasswordCheck, Refused, ResetOptions, Rule, demo::Standing,
    },
    domain::{
        account::{Account, AccountKind, LogonName, ObjectGuid},
        clock::{Clock, SystemClock},
        secret::{Password, SecretText},
    },
};

/// A directory to test, and a hand that reaches into it from behind.
#[async_trait]
pub trait Ground: Send + Sync {
    /// The directory.
    fn directory(&self) -> Arc<dyn Directory>;

    /// Someone of that standing whom no other test touches. Nobody locks out or changes a
    /// [`Standing::MayNotChange`] or [`Standing::Administrator`]; those may be shared.
    async fn someone(&self, standing: Standing) -> Someone;

    /// Gives the account another sAMAccountName (and UPN, where that follows).
    async fn rename(&self, name: &str, new_name: &str);

    /// Deletes the account.
    async fn remove(&self, name: &str);

    /// Makes an account anew under the name of one that was removed.
    async fn recreate(&self, name: &str);

    /// Accounts with odd names and their passwords, which no test touches; `trail ` is among them.
    fn odd_ones(&self) -> Vec<Someone>;
}

/// An account as its owner knows it.
#[derive(Clone, Debug)]
pub struct Someone {
    /// sAMAccountName.
    pub name: String,
    /// userPrincipalName.
    pub upn: String,
    /// The present password.
    pub password: String,
}

/// Makes a test of every check. `$ground` is a function without arguments that returns a [`Ground`].
#[macro_export]
macro_rules! directory_contract {
    ($ground:path) => {
        $crate::directory_contract! { $ground:
            an_account_is_found_by_every_way_of_typing_its_name
            odd_names_are_found_and_log_on
            names_of_nobody_find_nobody
            a_trailing_blank_means_the_account_that_is_spelt_so
            what_the_directory_says_of_an_account_is_how_it_stands
            what_a_right_password_tells_depends_on_how_the_account_stands
            a_wrong_password_counts_and_a_right_one_clears_the_count
            the_wrong_password_that_reaches_the_threshold_locks_out
            a_reset_sets_the_password_and_ends_a_lockout
            a_reset_demands_a_change_where_asked
            a_reset_that_breaks_the_policy_changes_nothing
            an_unlock_ends_a_lockout_and_harms_nobody_else
            a_change_needs_the_old_password_and_sets_the_new
            a_wrong_old_password_counts_towards_the_lockout
            a_change_is_refused_to_a_locked_out_account
            a_change_serves_those_whose_password_has_run_out
            a_change_that_breaks_the_policy_changes_nothing
            who_may_not_change_is_refused
            passwords_are_kept_exactly_as_they_are
            people_are_listed_and_machines_are_not
            who_exists_is_told_from_who_does_not
            groups_are_found_by_a_part_of_their_name_and_by_their_sid
            the_directory_knows_its_own_names
            a_renamed_account_is_the_same_account
            a_removed_account_is_gone_and_its_successor_another
        }
    };
    ($ground:path: $($check:ident)*) => {
        $(
            #[tokio::test]
            async fn $check() {
                let ground = $ground();
                $crate::testing::directory_contract::$check(&ground).await;
            }
        )*
    };
}

/// A password that keeps the policy of every directory under test, unlike any fixture's.
const NEW: &str = "Brand-New-Pw0rd!2";
const NEWER: &str = "Much-Newer-Pw0rd!3";
const WRONG: &str = "Not-The-Pw0rd!4";

fn password(text: &str) -> Password {
    Password::parse(SecretText::new(text.to_owned())).unwrap()
}

fn understood(directory: &dyn Directory, typed: &str) -> LogonName {
    LogonName::parse(typed, "", &[directory.domain().clone()]).unwrap().1
}

async fn found(directory: &dyn Directory, name: &str) -> Account {
    let found = directory.find(&LogonName::Sam(name.to_owned())).await.unwrap();
    found.unwrap_or_else(|| panic!("{name:?} is not found"))
}

async fn check(directory: &dyn Directory, account: &Account, text: &str) -> PasswordCheck {
    directory.verify_password(account, &password(text)).await.unwrap()
}

async fn now(directory: &dyn Directory, account: &Account) -> Account {
    directory.load(account.key.guid).await.unwrap().expect("the account is gone")
}

fn refusal(outcome: Result<(), Error>) -> Refused {
    match outcome {
        Err(Error::Refused(refused, _)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

/// A directory need not tell which rule was broken, but must not name another.
fn assert_breaks(rule: Rule, outcome: Result<(), Error>) {
    let refused = refusal(outcome);
    assert!(matches!(refused, Refused::Policy(told) if told.is_none_or(|told| told == rule)), "{refused:?}");
}

/// `mary`, `CORP\mary`, `mary@corp.example` …
pub async fn an_account_is_found_by_every_way_of_typing_its_name(ground: &dyn Ground) {
    let directory = ground.directory();
    let domain = directory.domain();
    let mary = ground.someone(Standing::Fine).await;
    let account = found(&*directory, &mary.name).await;
    assert_eq!(account.sam_account_name, mary.name);
    assert_eq!(account.key.domain, domain.name);
    assert_eq!(account.netbios, domain.netbios);
    for typed in [
        mary.name.clone(),
        mary.name.to_uppercase(),
        format!("  {}", mary.name),
        format!("{}\\{}", domain.netbios, mary.name),
        format!("{}\\{}", domain.netbios.to_lowercase(), mary.name),
        format!("{}\\{}", domain.name, mary.name),
        format!("{}@{}", mary.name, domain.name),
        format!("{}@{}", mary.name, domain.netbios),
        mary.upn.clone(),
        mary.upn.to_uppercase(),
    ] {
        let name = understood(&*directory, &typed);
        let found = directory.find(&name).await.unwrap().unwrap_or_else(|| panic!("{typed:?}"));
        assert_eq!(found.key, account.key, "{typed:?}");
    }
    assert_eq!(now(&*directory, &account).await.key, account.key);
}

/// Blanks, brackets, apostrophes, other alphabets.
pub async fn odd_names_are_found_and_log_on(ground: &dyn Ground) {
    let directory = ground.directory();
    for someone in ground.odd_ones() {
        let account = found(&*directory, &someone.name).await;
        assert_eq!(account.sam_account_name, someone.name);
        assert_eq!(
            check(&*directory, &account, &someone.password).await,
            PasswordCheck::Right,
            "{someone:?}"
        );
        let by_upn = directory.find(&understood(&*directory, &someone.upn)).await.unwrap();
        assert_eq!(by_upn.map(|account| account.key), Some(account.key), "{someone:?}");
    }
}

/// Unknown names, names that would be something else in a filter, and a GUID nobody has.
pub async fn names_of_nobody_find_nobody(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let long = "x".repeat(200);
    let longest = "ü".repeat(LogonName::MAXIMUM_CHARACTERS);
    let starred = format!("{}*", &mary.name[..1]);
    let injected = format!("{})(objectClass=*", mary.name);
    let encoded = format!("\\{:02x}{}", mary.name.as_bytes()[0], &mary.name[1..]);
    for name in [
        "nobody",
        "*",
        ")(objectClass=*",
        "*)(objectClass=*",
        "\\2a",
        "(",
        ")",
        "\\",
        "&",
        "nobody$",
        "<GUID=0>",
        "CN=x",
        &long,
        &longest,
        &starred,
        &injected,
        &encoded,
    ] {
        let sam = LogonName::Sam(name.to_owned());
        assert!(directory.find(&sam).await.unwrap().is_none(), "{name:?}");
        let full = format!("{name}@{}", directory.domain().name);
        for sam in [None, Some(name.to_owned())] {
            let upn = LogonName::Upn { full: full.clone(), sam };
            assert!(directory.find(&upn).await.unwrap().is_none(), "{upn:?}");
        }
    }
    assert!(directory.load(ObjectGuid::from_bytes([0x5a; 16])).await.unwrap().is_none());
}

/// Directories ignore it when they compare, and yet it can be part of a name.
pub async fn a_trailing_blank_means_the_account_that_is_spelt_so(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    assert_eq!(found(&*directory, &format!("{} ", mary.name)).await.sam_account_name, mary.name);
    assert_eq!(found(&*directory, "trail ").await.sam_account_name, "trail ");
}

/// Flags, kind, groups and policy.
pub async fn what_the_directory_says_of_an_account_is_how_it_stands(ground: &dyn Ground) {
    let directory = ground.directory();
    for standing in [
        Standing::Fine,
        Standing::LockedOut,
        Standing::MustChange,
        Standing::PasswordExpired,
        Standing::PasswordNeverExpires,
        Standing::MayNotChange,
        Standing::Disabled,
        Standing::AccountExpired,
        Standing::Administrator,
    ] {
        let account = found(&*directory, &ground.someone(standing).await.name).await;
        assert_eq!(account.locked, standing == Standing::LockedOut, "{standing:?}");
        assert_eq!(account.disabled, standing == Standing::Disabled, "{standing:?}");
        assert_eq!(account.expired, standing == Standing::AccountExpired, "{standing:?}");
        assert_eq!(account.privileged, standing == Standing::Administrator, "{standing:?}");
        assert_eq!(
            account.password_never_expires,
            standing == Standing::PasswordNeverExpires,
            "{standing:?}"
        );
        assert_eq!(account.password_last_set == 0, standing == Standing::MustChange, "{standing:?}");
        assert_eq!(account.kind, AccountKind::Person, "{standing:?}");
        assert!(account.sid.starts_with("S-1-5-21-"), "{}", account.sid);
        let domain_users = account.sid.rsplit_once('-').map(|(domain, _)| format!("{domain}-513")).unwrap();
        assert!(account.group_sids.contains(&domain_users), "{:?}", account.group_sids);
        assert!(account.policy.known && account.policy.minimum_length >= 7, "{:?}", account.policy);
    }
}

/// One connection's worth of truth.
pub async fn what_a_right_password_tells_depends_on_how_the_account_stands(ground: &dyn Ground) {
    let directory = ground.directory();
    for (standing, expected) in [
        (Standing::Fine, PasswordCheck::Right),
        (Standing::LockedOut, PasswordCheck::LockedOut),
        (Standing::MustChange, PasswordCheck::RightButMustChange),
        (Standing::PasswordExpired, PasswordCheck::RightButMustChange),
        (Standing::PasswordNeverExpires, PasswordCheck::Right),
        (Standing::MayNotChange, PasswordCheck::Right),
        (Standing::Disabled, PasswordCheck::RightButDisabled),
        (Standing::AccountExpired, PasswordCheck::RightButAccountExpired),
        (Standing::Administrator, PasswordCheck::Right),
    ] {
        let someone = ground.someone(standing).await;
        let account = found(&*directory, &someone.name).await;
        assert_eq!(check(&*directory, &account, &someone.password).await, expected, "{standing:?}");
        if !matches!(standing, Standing::MayNotChange | Standing::Administrator) {
            let wrong =
                if standing == Standing::LockedOut { PasswordCheck::LockedOut } else { PasswordCheck::Wrong };
            assert_eq!(check(&*directory, &account, WRONG).await, wrong, "{standing:?}");
        }
    }
}

/// Each wrong one, not each different one.
pub async fn a_wrong_password_counts_and_a_right_one_clears_the_count(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let account = found(&*directory, &mary.name).await;
    for count in 1..=2 {
        assert_eq!(check(&*directory, &account, WRONG).await, PasswordCheck::Wrong);
        let account = now(&*directory, &account).await;
        assert_eq!(account.bad_password_count, count);
        assert_eq!(account.effective_bad_password_count(account.bad_password_time.unwrap()), count);
        let ago = SystemClock.now().since(account.bad_password_time.unwrap());
        assert!(ago.as_secs() < 60, "{ago:?}");
    }
    assert_eq!(check(&*directory, &account, &mary.password).await, PasswordCheck::Right);
    assert_eq!(now(&*directory, &account).await.bad_password_count, 0);
}

async fn lock_out(directory: &dyn Directory, account: &Account) {
    for _ in 0..account.policy.lockout_threshold {
        assert_eq!(check(directory, account, WRONG).await, PasswordCheck::Wrong);
    }
}

/// And from then on the directory does not look at the password.
pub async fn the_wrong_password_that_reaches_the_threshold_locks_out(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let account = found(&*directory, &mary.name).await;
    let threshold = account.policy.lockout_threshold;
    for _ in 1..threshold {
        assert_eq!(check(&*directory, &account, WRONG).await, PasswordCheck::Wrong);
    }
    assert!(!now(&*directory, &account).await.locked);
    assert_eq!(check(&*directory, &account, WRONG).await, PasswordCheck::Wrong);
    let locked = now(&*directory, &account).await;
    assert_eq!((locked.locked, locked.bad_password_count), (true, threshold));
    for text in [WRONG, &mary.password] {
        assert_eq!(check(&*directory, &account, text).await, PasswordCheck::LockedOut);
    }
    assert_eq!(now(&*directory, &account).await.bad_password_count, threshold);
}

/// The old password is no good any more.
pub async fn a_reset_sets_the_password_and_ends_a_lockout(ground: &dyn Ground) {
    let directory = ground.directory();
    for standing in [Standing::Fine, Standing::LockedOut, Standing::MustChange, Standing::PasswordExpired] {
        let someone = ground.someone(standing).await;
        let before = found(&*directory, &someone.name).await;
        directory.reset_password(&before, &password(NEW), ResetOptions::default()).await.unwrap();
        let after = now(&*directory, &before).await;
        assert!(!after.locked && after.password_last_set > before.password_last_set, "{standing:?}");
        assert_eq!(after.bad_password_count, 0, "{standing:?}");
        assert_eq!(check(&*directory, &after, NEW).await, PasswordCheck::Right, "{standing:?}");
        assert_eq!(check(&*directory, &after, &someone.password).await, PasswordCheck::Wrong, "{standing:?}");
    }
    // Without history a reset may even set the present one again.
    let mary = ground.someone(Standing::Fine).await;
    let account = found(&*directory, &mary.name).await;
    directory.reset_password(&account, &password(&mary.password), ResetOptions::default()).await.unwrap();
}

/// But not of those whose password never expires.
pub async fn a_reset_demands_a_change_where_asked(ground: &dyn Ground) {
    let directory = ground.directory();
    let demanding = ResetOptions { must_change_at_logon: true, ..ResetOptions::default() };
    for (standing, expected) in [
        (Standing::Fine, PasswordCheck::RightButMustChange),
        (Standing::LockedOut, PasswordCheck::RightButMustChange),
        (Standing::PasswordNeverExpires, PasswordCheck::Right),
    ] {
        let account = found(&*directory, &ground.someone(standing).await.name).await;
        directory.reset_password(&account, &password(NEW), demanding).await.unwrap();
        assert_eq!(check(&*directory, &account, NEW).await, expected, "{standing:?}");
        let must_change = expected == PasswordCheck::RightButMustChange;
        assert_eq!(now(&*directory, &account).await.password_last_set == 0, must_change, "{standing:?}");
    }
}

/// Not even the lockout.
pub async fn a_reset_that_breaks_the_policy_changes_nothing(ground: &dyn Ground) {
    let directory = ground.directory();
    let someone = ground.someone(Standing::LockedOut).await;
    let account = found(&*directory, &someone.name).await;
    let demanding = ResetOptions { must_change_at_logon: true, ..ResetOptions::default() };
    for (text, rule) in [("aB3!", Rule::Length), ("onlylowercaseletters", Rule::Complexity)] {
        assert_breaks(rule, directory.reset_password(&account, &password(text), demanding).await);
    }
    let after = now(&*directory, &account).await;
    assert!(after.locked && after.password_last_set == account.password_last_set);
    directory.unlock(&account).await.unwrap();
    assert_eq!(check(&*directory, &account, &someone.password).await, PasswordCheck::Right);
}

/// The password stays.
pub async fn an_unlock_ends_a_lockout_and_harms_nobody_else(ground: &dyn Ground) {
    let directory = ground.directory();
    for standing in [Standing::LockedOut, Standing::Fine] {
        let someone = ground.someone(standing).await;
        let account = found(&*directory, &someone.name).await;
        for _ in 0..2 {
            directory.unlock(&account).await.unwrap();
            let after = now(&*directory, &account).await;
            assert_eq!((after.locked, after.bad_password_count), (false, 0), "{standing:?}");
            assert_eq!(after.password_last_set, account.password_last_set, "{standing:?}");
        }
        assert_eq!(
            check(&*directory, &account, &someone.password).await,
            PasswordCheck::Right,
            "{standing:?}"
        );
    }
    let account = found(&*directory, &ground.someone(Standing::MustChange).await.name).await;
    directory.unlock(&account).await.unwrap();
    assert_eq!(now(&*directory, &account).await.password_last_set, 0);
}

/// As a user would do it.
pub async fn a_change_needs_the_old_password_and_sets_the_new(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let before = found(&*directory, &mary.name).await;
    directory.change_password(&before, &password(&mary.password), &password(NEW)).await.unwrap();
    assert!(now(&*directory, &before).await.password_last_set > before.password_last_set);
    assert_eq!(check(&*directory, &before, NEW).await, PasswordCheck::Right);
    assert_eq!(check(&*directory, &before, &mary.password).await, PasswordCheck::Wrong);
    directory.change_password(&before, &password(NEW), &password(NEWER)).await.unwrap();
    assert_eq!(check(&*directory, &before, NEWER).await, PasswordCheck::Right);
}

/// Like one at a logon.
pub async fn a_wrong_old_password_counts_towards_the_lockout(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let account = found(&*directory, &mary.name).await;
    for count in 1..=account.policy.lockout_threshold {
        let outcome = directory.change_password(&account, &password(WRONG), &password(NEW)).await;
        assert_eq!(refusal(outcome), Refused::WrongPassword);
        assert_eq!(now(&*directory, &account).await.bad_password_count, count);
    }
    assert!(now(&*directory, &account).await.locked);
    assert_eq!(check(&*directory, &account, &mary.password).await, PasswordCheck::LockedOut);
}

/// Whatever the old password.
pub async fn a_change_is_refused_to_a_locked_out_account(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let account = found(&*directory, &mary.name).await;
    lock_out(&*directory, &account).await;
    for old in [mary.password.as_str(), WRONG] {
        let outcome = directory.change_password(&account, &password(old), &password(NEW)).await;
        assert_eq!(refusal(outcome), Refused::LockedOut);
    }
    assert_eq!(now(&*directory, &account).await.password_last_set, account.password_last_set);
}

/// They can log on afterwards.
pub async fn a_change_serves_those_whose_password_has_run_out(ground: &dyn Ground) {
    let directory = ground.directory();
    for standing in [Standing::MustChange, Standing::PasswordExpired] {
        let someone = ground.someone(standing).await;
        let account = found(&*directory, &someone.name).await;
        directory.change_password(&account, &password(&someone.password), &password(NEW)).await.unwrap();
        assert_eq!(check(&*directory, &account, NEW).await, PasswordCheck::Right, "{standing:?}");
    }
}

/// Length, classes, history.
pub async fn a_change_that_breaks_the_policy_changes_nothing(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let old = password(&mary.password);
    let account = found(&*directory, &mary.name).await;
    for (text, rule) in [
        ("aB3!", Rule::Length),
        ("onlylowercaseletters", Rule::Complexity),
        (mary.password.as_str(), Rule::History),
    ] {
        assert_breaks(rule, directory.change_password(&account, &old, &password(text)).await);
    }
    assert_eq!(now(&*directory, &account).await.password_last_set, account.password_last_set);
    directory.change_password(&account, &old, &password(NEW)).await.unwrap();
    assert_breaks(Rule::History, directory.change_password(&account, &password(NEW), &old).await);
    assert_eq!(check(&*directory, &account, NEW).await, PasswordCheck::Right);
}

/// It is the account's own lack, not the service account's.
pub async fn who_may_not_change_is_refused(ground: &dyn Ground) {
    let directory = ground.directory();
    let someone = ground.someone(Standing::MayNotChange).await;
    let account = found(&*directory, &someone.name).await;
    let outcome = directory.change_password(&account, &password(&someone.password), &password(NEW)).await;
    assert_eq!(refusal(outcome), Refused::MayNotChange);
    assert_eq!(check(&*directory, &account, &someone.password).await, PasswordCheck::Right);
}

/// Nothing is trimmed, folded or encoded.
pub async fn passwords_are_kept_exactly_as_they_are(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let account = found(&*directory, &mary.name).await;
    let longest = format!("Aa1!{}", "ü".repeat(Password::MAXIMUM_UNITS - 4));
    for text in
        [" Leading and trailing 1 ", "\"Quoted\" \\2a *)(1", "Grüße-🔐-Ключ-1", "tab\tin-It-1234", &longest]
    {
        directory.reset_password(&account, &password(text), ResetOptions::default()).await.unwrap();
        assert_eq!(check(&*directory, &account, text).await, PasswordCheck::Right, "{text:?}");
        let other_case: String = text.chars().rev().collect();
        assert_eq!(check(&*directory, &account, &other_case).await, PasswordCheck::Wrong, "{text:?}");
        let trimmed = text.trim();
        if trimmed != text {
            assert_eq!(check(&*directory, &account, trimmed).await, PasswordCheck::Wrong, "{text:?}");
        }
        directory.unlock(&account).await.unwrap();
    }
}

/// So that nobody has to type the NetBIOS name.
pub async fn the_directory_knows_its_own_names(ground: &dyn Ground) {
    let directory = ground.directory();
    let names = directory.names().await.unwrap();
    assert_eq!((&names.name, &names.netbios), (&directory.domain().name, &directory.domain().netbios));
}

/// Whoever chooses a group types a part of its name, and sees the name of one that was chosen.
pub async fn groups_are_found_by_a_part_of_their_name_and_by_their_sid(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = found(&*directory, &ground.someone(Standing::Fine).await.name).await;
    let users = mary.sid.rsplit_once('-').map(|(domain, _)| format!("{domain}-513")).unwrap();
    let groups = directory.find_groups(Groups::Named("MAIN uSER")).await.unwrap();
    let group = groups.iter().find(|group| group.sid == users).expect("Domain Users is not found");
    assert_eq!(group.name, "Domain Users");
    assert!(group.distinguished_name.starts_with("CN=Domain Users,"), "{}", group.distinguished_name);
    let several = directory.find_groups(Groups::Named("domain")).await.unwrap();
    let names: Vec<_> = several.iter().map(|group| group.name.to_lowercase()).collect();
    assert!(names.len() > 1 && names.is_sorted(), "{names:?}");
    for sid in [users.as_str(), "S-1-5-32-544"] {
        let one = directory.find_groups(Groups::WithSid(sid)).await.unwrap();
        assert_eq!(one.iter().map(|group| group.sid.as_str()).collect::<Vec<_>>(), [sid]);
    }
    for nobody in ["", "*", "no such group", ")(cn=*", "\\2a", "*)(objectClass=*"] {
        assert_eq!(directory.find_groups(Groups::Named(nobody)).await.unwrap(), [], "{nobody}");
    }
    for nobody in ["S-1-5-21-1-2-3-4", "*", "x", mary.sid.as_str()] {
        assert_eq!(directory.find_groups(Groups::WithSid(nobody)).await.unwrap(), [], "{nobody}");
    }
}

/// Also between two steps of a flow.
pub async fn a_renamed_account_is_the_same_account(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let before = found(&*directory, &mary.name).await;
    let new_name = format!("{}-smith", mary.name);
    ground.rename(&mary.name, &new_name).await;
    assert!(directory.find(&LogonName::Sam(mary.name.clone())).await.unwrap().is_none());
    let after = found(&*directory, &new_name).await;
    assert_eq!(after.key, before.key);
    assert_eq!(now(&*directory, &before).await.sam_account_name, new_name);
    // What was found before the rename still leads there.
    directory.reset_password(&before, &password(NEW), ResetOptions::default()).await.unwrap();
    directory.change_password(&before, &password(NEW), &password(NEWER)).await.unwrap();
    directory.unlock(&before).await.unwrap();
    assert_eq!(check(&*directory, &after, NEWER).await, PasswordCheck::Right);
}

/// Disabled people too: what is kept of them is not to be purged.
pub async fn people_are_listed_and_machines_are_not(ground: &dyn Ground) {
    let directory = ground.directory();
    let mut guids = Vec::new();
    for standing in [Standing::Fine, Standing::Disabled, Standing::Administrator] {
        let someone = ground.someone(standing).await;
        guids.push(found(&*directory, &someone.name).await.key.guid);
    }
    let listed = directory.list().await.unwrap();
    for guid in &guids {
        assert_eq!(listed.iter().filter(|one| *one == guid).count(), 1);
    }
    for guid in listed {
        let one = directory.load(guid).await.unwrap();
        assert!(one.is_none_or(|one| one.kind != AccountKind::Machine));
    }
}

/// Wherever they are, and however many are asked about.
pub async fn who_exists_is_told_from_who_does_not(ground: &dyn Ground) {
    let directory = ground.directory();
    directory.probe().await.unwrap();
    assert_eq!(directory.existing(&[]).await.unwrap(), []);
    let mut guids = Vec::new();
    for standing in [Standing::Fine, Standing::Disabled, Standing::AccountExpired, Standing::Administrator] {
        let someone = ground.someone(standing).await;
        guids.push(found(&*directory, &someone.name).await.key.guid);
    }
    let (renamed, removed) = (ground.someone(Standing::Fine).await, ground.someone(Standing::Fine).await);
    guids.push(found(&*directory, &renamed.name).await.key.guid);
    ground.rename(&renamed.name, &format!("{}-smith", renamed.name)).await;
    let gone = found(&*directory, &removed.name).await.key.guid;
    ground.remove(&removed.name).await;
    ground.recreate(&removed.name).await;
    guids.sort_unstable();
    let nobody = (0..).map(|n| ObjectGuid::from_bytes([n; 16]));
    let mut asked: Vec<_> = nobody.take(MOST_ASKED - guids.len() - 1).chain(guids.iter().copied()).collect();
    asked.push(gone);
    assert_eq!(asked.len(), MOST_ASKED);
    let mut existing = directory.existing(&asked).await.unwrap();
    existing.sort_unstable();
    assert_eq!(existing, guids);
    assert_eq!(directory.existing(&[gone]).await.unwrap(), []);
}

/// Nothing of the one is inherited by the other.
pub async fn a_removed_account_is_gone_and_its_successor_another(ground: &dyn Ground) {
    let directory = ground.directory();
    let mary = ground.someone(Standing::Fine).await;
    let before = found(&*directory, &mary.name).await;
    ground.remove(&mary.name).await;
    assert!(directory.load(before.key.guid).await.unwrap().is_none());
    assert!(directory.find(&LogonName::Sam(mary.name.clone())).await.unwrap().is_none());
    assert_eq!(check(&*directory, &before, &mary.password).await, PasswordCheck::Wrong);
    let reset = directory.reset_password(&before, &password(NEW), ResetOptions::default()).await;
    assert_eq!(refusal(reset), Refused::Gone);
    assert_eq!(refusal(directory.unlock(&before).await), Refused::Gone);
    let change = directory.change_password(&before, &password(&mary.password), &password(NEW)).await;
    assert_eq!(refusal(change), Refused::Gone);

    ground.recreate(&mary.name).await;
    assert_ne!(found(&*directory, &mary.name).await.key, before.key);
    assert!(directory.load(before.key.guid).await.unwrap().is_none());
}
