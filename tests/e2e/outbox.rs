//! Alerts on their way through the whole program: a real directory, a real mail server, and the program killed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::support::{
    domain::Domain,
    mail_server::MailServer,
    server::{QUICK, Server},
};

fn by_mail(server: &MailServer) -> String {
    format!(
        "{QUICK}[settings.mail]\ndelivery = \"smtp\"\nhost = \"localhost\"\nport = {}\nca_file = '{}'\n\
         sender = \"no-reply@corp.example\"\ntimeout_seconds = 5\n",
        server.port,
        server.ca().display()
    )
}

/// The Message-IDs of the mails that arrived.
fn arrived(server: &MailServer) -> Vec<String> {
    let id = |mail: &serde_json::Value| {
        let headers = mail["headers"].as_array().unwrap();
        let header = headers.iter().find(|header| header[0] == "Message-ID").unwrap();
        header[1].as_str().unwrap().to_owned()
    };
    server.seen("mail").iter().map(id).collect()
}

async fn until_arrived(server: &MailServer, count: usize) {
    let began = Instant::now();
    while arrived(server).len() < count {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {count} arrived", arrived(server).len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_mails_that_wait_outlive_a_kill_and_are_sent_once() {
    let mails = MailServer::start(&["--starttls"]);
    mails.answers("data", "451 later");
    let domain = Domain::shared();
    let mut server = Server::with(&[domain], &by_mail(&mails)).await;
    // No one is told the same thing more than ten times an hour, and what a kill interrupts counts twice.
    let mut people = Vec::new();
    for _ in 0..3 {
        let user = domain.someone().await;
        domain.set(&user, "mail", &format!("{}@corp.example", user.name)).await;
        people.push(user);
    }
    for (user, times) in people.iter().zip([7, 7, 6]) {
        for _ in 0..times {
            server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
        }
    }
    server.kill();
    assert!(arrived(&mails).is_empty());
    mails.answers("data", "");
    server.restart().await;
    until_arrived(&mails, 20).await;
    server.terminate().await;
    server.restart().await;
    let anne = &people[2];
    server.visitor().enrolls(&anne.name, "CORP", &anne.password).await.is_finished("enroll");
    until_arrived(&mails, 21).await;
    let ids = arrived(&mails);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 21, "each once: {ids:?}");
    let mail = &mails.seen("mail")[20];
    assert_eq!(mail["recipients"], serde_json::json!([format!("{}@corp.example", anne.name)]));
    assert!(
        mail["tls"] == true && mail["text"].as_str().unwrap().contains(&format!("CORP\\{}", anne.name)),
        "{mail}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_waits_for_a_mail_server_that_hangs() {
    let mails = MailServer::start(&["--starttls"]);
    mails.answers("rcpt", "hang");
    let domain = Domain::shared();
    let server = Server::with(&[domain], &by_mail(&mails)).await;
    let user = domain.someone().await;
    domain.set(&user, "mail", &format!("{}@corp.example", user.name)).await;
    let began = Instant::now();
    for _ in 0..3 {
        server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "three took {:?}", began.elapsed());
    assert!(arrived(&mails).is_empty());
}
