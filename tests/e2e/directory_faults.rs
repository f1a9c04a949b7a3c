//! Active Directory in trouble: controllers that are stopped, frozen, gone at the worst moment; and what
//! `regain check` is told of the rights of the service account.

use std::time::{Duration, Instant};

use regain::{
    directory::{
        Directory, Error, Finding, PasswordCheck, ResetOptions, Verdict,
        active_directory::{ActiveDirectory, Transport},
    },
    domain::account::{Account, LogonName},
};

use crate::{
    directory_contract::{open, password, settings},
    support::domain::{Bind, DNS, Domain, NETBIOS, PASSWORD, SERVICE, User},
};

const NEW: &str = "Brand-New-Pw0rd!2";

/// Short patience, so that the tests needn't wait long either.
fn impatient(domains: &[&Domain]) -> ActiveDirectory {
    let controllers: Vec<_> = domains.iter().map(|domain| domain.address.to_string()).collect();
    let mut settings = settings(domains[0], &controllers);
    settings.connect_timeout = Duration::from_millis(700);
    settings.operation_timeout = Duration::from_millis(700);
    open(settings)
}

async fn found(directory: &ActiveDirectory, user: &User) -> Account {
    directory.find(&LogonName::Sam(user.name.clone())).await.unwrap().unwrap()
}

/// Asks until the controller that knows this mail address answers.
async fn served_by(directory: &ActiveDirectory, user: &User, mail: &str) {
    let began = Instant::now();
    while found(directory, user).await.mail.as_deref() != Some(mail) {
        assert!(began.elapsed() < Duration::from_secs(20), "not served by {mail}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn another_controller_takes_over_and_the_preferred_one_is_taken_back() {
    let (first, second) = (Domain::start(), Domain::start());
    let alice = first.user("alice");
    first.set(&alice, "mail", "first@mail.example").await;
    second.set(&alice, "mail", "second@mail.example").await;
    let directory = impatient(&[&first, &second]);
    let mail = async || found(&directory, &alice).await.mail.unwrap();
    for _ in 0..5 {
        assert_eq!(mail().await, "first@mail.example");
    }
    first.stop();
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(mail().await, "second@mail.example");
        let account = found(&directory, &alice).await;
        let check = directory.verify_password(&account, &password(PASSWORD)).await.unwrap();
        assert_eq!(check, PasswordCheck::Right);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    first.resume();
    served_by(&directory, &alice, "first@mail.example").await;

    // Silent is not gone: connections still open, and nothing comes.
    first.freeze();
    let began = Instant::now();
    assert_eq!(mail().await, "second@mail.example");
    assert!(began.elapsed() < Duration::from_millis(3500), "{:?}", began.elapsed());
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(mail().await, "second@mail.example");
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    }
    first.thaw();
    served_by(&directory, &alice, "first@mail.example").await;
}

#[tokio::test]
async fn a_controller_gone_between_check_and_write_leaves_nothing_changed() {
    let (first, second) = (Domain::start(), Domain::start());
    let alice = first.user("alice");
    let alone = impatient(&[&first]);
    let account = found(&alone, &alice).await;
    alone.verify_password(&account, &password(PASSWORD)).await.unwrap();
    let both = impatient(&[&first, &second]);
    found(&both, &alice).await;
    first.stop();
    let outcome = alone.reset_password(&account, &password(NEW), ResetOptions::default()).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    // Nothing was sent, so another controller may do it.
    both.reset_password(&account, &password(NEW), ResetOptions::default()).await.unwrap();
    assert_eq!(second.bind(&alice, NEW).await, Bind::Accepted);

    first.resume();
    assert_eq!(first.bind(&alice, PASSWORD).await, Bind::Accepted);
    alone.reset_password(&account, &password(NEW), ResetOptions::default()).await.unwrap();
    assert_eq!(first.bind(&alice, NEW).await, Bind::Accepted);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_unknown_is_not_repeated_and_shows_when_read() {
    let (first, second) = (Domain::start(), Domain::start());
    let alice = first.user("alice");
    let directory = impatient(&[&first, &second]);
    let before = found(&directory, &alice).await;
    first.freeze();
    let began = Instant::now();
    let outcome = directory.reset_password(&before, &password(NEW), ResetOptions::default()).await;
    assert!(matches!(outcome, Err(Error::OutcomeUnknown(_))), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(second.bind(&alice, PASSWORD).await, Bind::Accepted, "repeated on the other controller");

    first.thaw();
    let alone = impatient(&[&first]);
    let began = Instant::now();
    loop {
        let now = alone.load(before.key.guid).await.unwrap().unwrap();
        if now.password_last_set > before.password_last_set {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the write was not carried out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(first.bind(&alice, NEW).await, Bind::Accepted);
}

#[tokio::test]
async fn a_frozen_controller_fails_everyone_in_time_and_serves_again_once_thawed() {
    let domain = Domain::start();
    let alice = domain.user("alice");
    let directory = impatient(&[&domain]);
    let account = found(&directory, &alice).await;
    domain.freeze();
    let began = Instant::now();
    let name = LogonName::Sam("alice".into());
    let reads = futures_util::future::join_all((0..40).map(|_| directory.find(&name)));
    let secret = password(PASSWORD);
    let checks = futures_util::future::join_all((0..8).map(|_| directory.verify_password(&account, &secret)));
    let (reads, checks) = tokio::join!(reads, checks);
    assert!(reads.iter().all(|outcome| matches!(outcome, Err(Error::Unavailable(_)))));
    assert!(checks.iter().all(|outcome| matches!(outcome, Err(Error::Unavailable(_)))));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    domain.thaw();
    // Its queue of connections is full of those that were given up; then it serves.
    let began = Instant::now();
    while directory.find(&name).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "not served again");
    }
    assert_eq!(directory.verify_password(&account, &secret).await.unwrap(), PasswordCheck::Right);
}

#[tokio::test]
async fn a_restarted_controller_is_no_news_to_anyone() {
    let domain = Domain::start();
    let alice = domain.user("alice");
    let directory = impatient(&[&domain]);
    let account = found(&directory, &alice).await;
    for _ in 0..2 {
        domain.stop();
        domain.resume();
        directory.unlock(&account).await.unwrap();
        found(&directory, &alice).await;
    }
}

#[tokio::test]
async fn everything_works_under_starttls() {
    let domain = Domain::shared();
    let mut settings = settings(domain, &[domain.address.to_string()]);
    settings.transport = Transport::StartTls;
    let directory = open(settings);
    let user = domain.someone().await;
    let account = found(&directory, &user).await;
    let check = directory.verify_password(&account, &password(PASSWORD)).await.unwrap();
    assert_eq!(check, PasswordCheck::Right);
    directory.change_password(&account, &password(PASSWORD), &password(NEW)).await.unwrap();
    directory.reset_password(&account, &password(PASSWORD), ResetOptions::default()).await.unwrap();
    assert_eq!(domain.bind(&user, PASSWORD).await, Bind::Accepted);
}

async fn findings(account: &str, secret: &str) -> Vec<Finding> {
    let domain = Domain::shared();
    let mut settings = settings(domain, &[domain.address.to_string()]);
    settings.account = account.to_owned();
    settings.password = password(secret);
    settings.search_base = Some("OU=People,DC=corp,DC=example".to_owned());
    open(settings).examine().await
}

fn told<'a>(findings: &'a [Finding], subject: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.subject.contains(subject))
        .unwrap_or_else(|| panic!("{findings:#?}"))
}

#[tokio::test]
async fn a_well_made_setup_is_found_good_but_for_what_samba_lacks() {
    let findings = findings(&format!("{SERVICE}@{DNS}"), PASSWORD).await;
    let worse: Vec<_> = findings.iter().filter(|finding| finding.verdict != Verdict::Good).collect();
    assert!(matches!(&worse[..], [only] if only.subject.contains("policy hints")), "{findings:#?}");
    for subject in ["certificate", "service account", "password policy", "rights of CORP\\svc-sspr", "names"]
    {
        assert_eq!(told(&findings, subject).verdict, Verdict::Good, "{findings:#?}");
    }
}

#[tokio::test]
async fn each_missing_right_is_told_with_the_command_that_grants_it() {
    let findings = findings(&format!("{NETBIOS}\\svc-weak"), PASSWORD).await;
    for (right, command) in [
        (
            "Reset Password",
            "dsacls \"OU=People,DC=corp,DC=example\" /I:S /G \"CORP\\svc-weak:CA;Reset Password;user\"",
        ),
        ("lockoutTime", "\"CORP\\svc-weak:RPWP;lockoutTime;user\""),
        ("pwdLastSet", "\"CORP\\svc-weak:RPWP;pwdLastSet;user\""),
        ("fine-grained policies", "\"CORP\\svc-weak:GR\""),
    ] {
        let finding = told(&findings, right);
        assert!(finding.verdict > Verdict::Good && finding.text.contains(command), "{finding:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_service_account_is_told_in_words() {
    let domain = Domain::shared();
    let user = domain.someone().await;
    let name = format!("{}@{DNS}", user.name);
    for (attribute, value, secret, words) in [
        ("description", "x", "Not-The-Pw0rd!", "its name or password is wrong"),
        ("pwdLastSet", "0", PASSWORD, "its password has expired or must be changed"),
        ("userAccountControl", "514", PASSWORD, "it is disabled"),
    ] {
        domain.set(&user, attribute, value).await;
        let findings = findings(&name, secret).await;
        let finding = told(&findings, "service account");
        assert!(finding.verdict == Verdict::Bad && finding.text.contains(words), "{finding:?}");
    }
    let mut nowhere = settings(domain, &[domain.address.to_string()]);
    nowhere.search_base = Some("OU=Nowhere,DC=corp,DC=example".to_owned());
    let findings = open(nowhere).examine().await;
    assert!(told(&findings, "OU=Nowhere").text.contains("Correct the search base"), "{findings:#?}");
}
