//! `regain check`: what is wrong, in words, and how to mend it.

use super::support::{
    domain::{Bind, Domain},
    mail_server::MailServer,
    server::{QUICK, Server},
};

/// The line of that subject.
#[track_caller]
fn line<'a>(text: &'a str, mark: &str, subject: &str) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(mark) && line.contains(subject))
        .unwrap_or_else(|| panic!("no {mark} about {subject} in:\n{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well() {
    let server = Server::prepared(&[Domain::shared()], "search_base = \"OU=People,DC=corp,DC=example\"\n");
    let (well, text) = server.check().await;
    assert!(well, "{text}");
    line(&text, "ok", "certificate");
    line(&text, "ok", "service account");
    line(&text, "ok", "rights of CORP\\svc-sspr");
    line(&text, "ok", "fine-grained policies");
    let policy = line(&text, "ok", "password policy");
    assert!(policy.contains("at least 8 characters, complex, history 3, lockout after 5"), "{policy}");
    let hints = line(&text, "warn", "policy hints");
    assert!(hints.contains("a reset can't obey password history"), "{hints}");
    assert!(!text.contains("Start-Pw0rd"), "no password in the output");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_ca_is_named_and_no_password_is_sent() {
    let domain = Domain::shared();
    let mut server = Server::prepared(&[domain], QUICK);
    let other = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let other = other.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    std::fs::write(server.file("other-ca.pem"), other.pem()).unwrap();
    server.configure(domain.ca().to_str().unwrap(), server.file("other-ca.pem").to_str().unwrap());
    // An account that nobody else uses: what is logged of it is this server's.
    server.configure("svc-sspr@corp.example", "wrong-ca-probe@corp.example");
    let (well, text) = server.check().await;
    assert!(!well);
    let line = line(&text, "FAIL", "certificate");
    assert!(line.contains("its issuer is not among the trusted CAs"), "{line}");
    assert!(line.contains("Regain test CA"), "{line}");
    server.restart().await;
    let page = server.visitor().enrolls("alice", "CORP", "Start-Pw0rd!1").await;
    page.is_at(503, "enroll/error");
    assert!(page.reference().is_some() && page.header("retry-after").is_some());
    assert!(!domain.log().contains("wrong-ca-probe"), "it was never told who wants in");
    assert!(server.log().contains(&page.reference().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_of_the_service_account_is_tried_once() {
    let domain = Domain::shared();
    let someone = domain.someone().await;
    let server = Server::prepared(&[domain], QUICK);
    server.configure("svc-sspr@corp.example", &format!("{}@corp.example", someone.name));
    std::fs::write(server.file("service.password"), "not-its-password").unwrap();
    let (well, text) = server.check().await;
    assert!(!well);
    let line = line(&text, "FAIL", "service account");
    assert!(line.contains("password") && line.contains("exactly"), "{line}");
    assert!(!text.contains("not-its-password"), "{text}");
    assert_eq!(domain.state(&someone).await.unwrap().bad_pwd_count, 1);
    assert_eq!(domain.bind(&someone, &someone.password).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_program_with_a_wrong_service_password_does_not_lock_the_account() {
    let domain = Domain::shared();
    let someone = domain.someone().await;
    let mut server = Server::prepared(&[domain], QUICK);
    server.configure("svc-sspr@corp.example", &format!("{}@corp.example", someone.name));
    std::fs::write(server.file("service.password"), "not-its-password").unwrap();
    server.restart().await;
    for _ in 0..12 {
        let page = server.visitor().begins("reset", "alice", "CORP").await;
        assert!([500, 503].contains(&page.status), "{}", page.status);
        assert!(page.reference().is_some());
    }
    assert!(!domain.state(&someone).await.unwrap().locked, "Regain locked its own account out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_with_the_command_that_grants_it() {
    let server = Server::prepared(&[Domain::shared()], "search_base = \"OU=People,DC=corp,DC=example\"\n");
    server.configure("svc-sspr@", "svc-weak@");
    let (well, text) = server.check().await;
    assert!(!well);
    for (right, grant) in [
        ("Reset Password", "CORP\\svc-weak:CA;Reset Password;user"),
        ("lockoutTime", "CORP\\svc-weak:RPWP;lockoutTime;user"),
        ("pwdLastSet", "CORP\\svc-weak:RPWP;pwdLastSet;user"),
    ] {
        let line = line(&text, "FAIL", right);
        assert!(line.contains("OU=People,DC=corp,DC=example") && line.contains(grant), "{line}");
    }
    line(&text, "warn", "fine-grained policies");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_controller_is_named() {
    let domain = Domain::shared();
    let address = domain.address.to_string();
    let server = Server::prepared(&[domain], QUICK);
    // Nobody listens there.
    server.configure(&format!("\"{address}\""), "\"127.0.0.1:9\"");
    let (well, text) = server.check().await;
    assert!(!well);
    let line = line(&text, "FAIL", "127.0.0.1:9");
    assert!(line.contains("refused") && line.contains("Is the controller up"), "{line}");

    server.configure("127.0.0.1:9", "no-such-controller.corp.example");
    let (well, text) = server.check().await;
    assert!(!well);
    let line = self::line(&text, "FAIL", "no-such-controller");
    assert!(line.contains("Correct the name"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_named_with_the_nearest_valid_one() {
    let server = Server::prepared(&[Domain::shared()], "[settings.security]\nidle_timeout_second = 3\n");
    let (well, text) = server.check().await;
    assert!(!well);
    let line = line(&text, "FAIL", "idle_timeout_second");
    assert!(line.contains("idle_timeout_seconds"), "{line}");
    let text = server.fails_to_start().await;
    assert!(text.contains("idle_timeout_seconds"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_out_of_bounds_and_a_missing_file_are_named() {
    let server = Server::prepared(&[Domain::shared()], "[settings.enroll]\nquestions = 11\n");
    let (well, text) = server.check().await;
    assert!(!well);
    assert!(text.contains("settings.enroll.questions") && text.contains("between 1 and 10"), "{text}");
    server.configure("questions = 11", "questions = 3");
    server.configure("service.password", "no-such.password");
    let (well, text) = server.check().await;
    assert!(!well);
    assert!(text.contains("no-such.password"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_is_tried_as_far_as_it_goes_without_a_mail() {
    let mails = MailServer::start(&["--starttls", "--login", "regain", "right"]);
    let by_mail = |port: u16, password: &str| {
        format!(
            "[settings.mail]\ndelivery = \"smtp\"\nhost = \"localhost\"\nport = {port}\nca_file = '{}'\n\
             sender = \"no-reply@corp.example\"\nuser = \"regain\"\npassword = \"{password}\"\n",
            mails.ca().display()
        )
    };
    for (port, password, mark, told) in [
        (mails.port, "right", "ok", "with STARTTLS, logged in"),
        (mails.port, "wrong", "FAIL", "didn't take user and password: 535"),
        (1, "right", "FAIL", "can't be reached"),
    ] {
        let (_, text) = Server::prepared(&[Domain::shared()], &by_mail(port, password)).check().await;
        let line = line(&text, mark, "mail: ");
        assert!(line.contains(told), "{line}");
        assert!(!text.contains(password) || password == "right", "{text}");
    }
    assert!(mails.seen("mail").is_empty());
    let (_, text) = Server::prepared(&[Domain::shared()], "").check().await;
    line(&text, "warn", "mail: not set up");
}
