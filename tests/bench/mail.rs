//! The outbox: how fast it drains beside a bare loop, and what queueing costs a page.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lettre::{
    Address,
    address::Envelope,
    transport::smtp::{client::AsyncSmtpConnection, extension::ClientId},
};
use regain::{
    domain::{
        account::{AccountKey, DomainName, ObjectGuid},
        audit::{Action, Event, Outcome},
        clock::{Clock as _, SystemClock},
        contact::EmailAddress,
        message::{Channel, Concern, Errand, Mail, Message, Task, Topic},
    },
    store::{
        Store,
        engine::{Options, SledEngine},
        keyring::Keyring,
        seal,
    },
};

use tokio::net::TcpStream;

use super::mail_server::MailServer;

const TEXT: &str = "The password of this account was reset. The old one no longer works.\n\nWhat happened: Password \
                    reset\nAccount: CORP\\mary\nTime: 2026-11-23 21:46 UTC\nFrom the address: 192.0.2.7\n";

/// The tables of the configuration for mails.
pub fn settings(server: &MailServer) -> String {
    format!(
        "[settings.mail]\ndelivery = \"smtp\"\nhost = \"localhost\"\nport = {}\nsecurity = \"none\"\n\
         sender = \"no-reply@corp.example\"\n",
        server.port
    )
}

async fn store(data: &Path) -> (Store, Keyring) {
    let engine = SledEngine::open(data, &Options::default()).unwrap();
    let store = Store::open(Arc::new(engine)).await.unwrap();
    let keys = Keyring::open(&data.join("secret.key"), &store).await.unwrap();
    store.keep_log(&keys.audit, false).await.unwrap();
    (store, keys)
}

fn errand(keys: &Keyring, n: usize) -> Errand {
    let mail = Mail {
        id: format!("{n:032x}"),
        to: EmailAddress::parse(&format!("user{n}@corp.example")).unwrap(),
        subject: "Regain: your password was reset".into(),
        text: TEXT.into(),
        html: None,
    };
    let mut recipient = [0; 16];
    recipient[..8].copy_from_slice(&n.to_be_bytes());
    let sealed = seal::seal(&keys.outbox, b"", &serde_json::to_vec(&Message::Mail(mail)).unwrap()).unwrap();
    let now = SystemClock.now();
    let account =
        AccountKey { domain: DomainName::new("corp.example"), guid: ObjectGuid::from_bytes(recipient) };
    Errand {
        concern: Concern {
            account: Some(account),
            user: format!("user{n}"),
            topic: Topic::Reset,
            source_ip: None,
        },
        queued_at: now,
        expires_at: now + Duration::from_secs(86_400),
        attempts: 0,
        due_at: now,
        task: Task::Send { channel: Channel::Mail, recipient, sealed },
    }
}

/// Queues so many mails in a data folder.
pub async fn queue(data: &Path, count: usize) {
    let (store, keys) = store(data).await;
    let numbers: Vec<_> = (0..count).collect();
    for part in numbers.chunks(40) {
        part.iter().fold(store.batch(), |batch, n| batch.errand(&errand(&keys, *n))).commit().await.unwrap();
    }
}

/// What a commit takes, in milliseconds: an event alone, and an event with an alert.
pub async fn commits(data: &Path, time: Duration) -> (f64, f64) {
    let (store, keys) = store(data).await;
    let alert = Errand {
        task: Task::Alert { page_language: Some("en".into()), former_address: None },
        ..errand(&keys, 1)
    };
    let event = Event {
        at: SystemClock.now(),
        outcome: Outcome::Success,
        source: "web".into(),
        user: "mary".into(),
        domain: "corp.example".into(),
        action: Action::Reset,
        detail: String::new(),
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    };
    let mut took = [0.0; 2];
    for (with_alert, took) in [false, true].into_iter().zip(&mut took) {
        let (mut count, began) = (0_u32, Instant::now());
        while began.elapsed() < time {
            let batch = store.batch().event(&event);
            let batch = if with_alert { batch.errand(&alert) } else { batch };
            batch.commit().await.unwrap();
            count += 1;
        }
        *took = began.elapsed().as_secs_f64() * 1000.0 / f64::from(count);
    }
    (took[0], took[1])
}

/// Mails a second of a bare loop over one kept connection.
pub async fn bare(server: &MailServer, count: u32) -> f64 {
    let hello = ClientId::default();
    let stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    // lettre's own connections wait for the other side's delayed acknowledgements.
    stream.set_nodelay(true).unwrap();
    let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.unwrap();
    let sender: Address = "no-reply@corp.example".parse().unwrap();
    let began = Instant::now();
    for n in 0..count {
        let to: Address = format!("user{n}@corp.example").parse().unwrap();
        let letter = lettre::Message::builder()
            .message_id(Some(format!("<{n:032x}@corp.example>")))
            .from(sender.clone().into())
            .to(to.clone().into())
            .subject("Regain: your password was reset")
            .body(TEXT.to_owned())
            .unwrap();
        let envelope = Envelope::new(Some(sender.clone()), vec![to]).unwrap();
        connection.send(&envelope, &letter.formatted()).await.unwrap();
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}
