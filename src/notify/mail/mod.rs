//! Delivering mails: written as RFC 5322 wants them, then handed to a mail server or put into a folder.
//!
//! Must not know what a mail says. Nothing of a mail or of a server's words gets into a fault, only the numbers.

mod careful;
mod relay;

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use lettre::{
    Address, Message as Letter,
    address::Envelope,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};

use super::{Fault, Standing, compose::one_line};
use crate::{
    domain::message::Mail,
    settings::{MailDelivery, MailSettings, Settings},
};
use relay::Relay;

/// Where mails are handed in.
#[derive(Default)]
pub struct Post {
    /// The way to the mail server, kept as long as its settings are the same.
    relay: Mutex<Option<Arc<Relay>>>,
}

impl Post {
    /// Delivers a mail.
    pub async fn deliver(&self, settings: &Settings, mail: &Mail) -> Result<(), Fault> {
        let ways = &settings.mail;
        match ways.delivery {
            MailDelivery::None => Err(Fault::Never("no delivery of mails is set".into())),
            MailDelivery::Smtp => {
                let (envelope, letter) = write(settings, mail)?;
                let relay = self.relay(ways).await.map_err(Fault::Later)?;
                relay.deliver(&envelope, &letter).await
            }
            MailDelivery::Folder => {
                let (_, letter) = write(settings, mail)?;
                let Some(folder) = ways.folder.clone() else {
                    return Err(Fault::Later("no folder for mails is set".into()));
                };
                let name = format!("{}.eml", mail.id);
                match tokio::task::spawn_blocking(move || put(&folder, &name, &letter)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(Fault::Later(format!("the folder for mails: {error}"))),
                    Err(error) => Err(Fault::Later(error.to_string())),
                }
            }
        }
    }

    async fn relay(&self, ways: &MailSettings) -> Result<Arc<Relay>, String> {
        if let Some(relay) = self.kept(ways) {
            return Ok(relay);
        }
        let ways = ways.clone();
        let made = tokio::task::spawn_blocking(move || Relay::open(ways)).await;
        let relay = Arc::new(made.map_err(|error| error.to_string())??);
        *self.relay.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&relay));
        Ok(relay)
    }

    /// The one there is, if it was made from the same settings and gave no reason to make it anew.
    fn kept(&self, ways: &MailSettings) -> Option<Arc<Relay>> {
        let kept = self.relay.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|relay| relay.serves(ways)).cloned()
    }
}

/// Whether mails would be taken: the server is connected to and logged in at, the folder is written to.
pub(super) async fn examine(ways: &MailSettings) -> Standing {
    match ways.delivery {
        MailDelivery::None => Standing::Off,
        MailDelivery::Smtp => {
            let ways = ways.clone();
            let made = tokio::task::spawn_blocking(move || Relay::open(ways)).await;
            match made.map_err(|error| error.to_string()).flatten() {
                Ok(relay) => relay.examine().await.into(),
                Err(text) => Standing::Bad(text),
            }
        }
        MailDelivery::Folder => {
            let folder = ways.folder.clone().unwrap_or_default();
            tempfile::tempfile_in(&folder)
                .map(|_| format!("into the folder {}", folder.display()))
                .map_err(|error| format!("the folder {}: {error}", folder.display()))
                .into()
        }
    }
}

/// The mail as it goes over the wire, and whom it goes to.
fn write(settings: &Settings, mail: &Mail) -> Result<(Envelope, Vec<u8>), Fault> {
    let never = |text: &str| Fault::Never(text.to_owned());
    let ways = &settings.mail;
    // It becomes the name of a file, and a part of a header.
    if mail.id.is_empty() || !mail.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(never("the mail's id is none"));
    }
    let sender = ways.sender.as_deref().and_then(address);
    let sender = sender.ok_or_else(|| Fault::Later("no sender of mails is set that can be one".into()))?;
    let to = address(mail.to.as_str()).ok_or_else(|| never("the recipient's address is none"))?;
    let name = one_line(ways.sender_name.as_deref().unwrap_or(&settings.general.product_name));
    let envelope =
        Envelope::new(Some(sender.clone()), vec![to.clone()]).map_err(|_| never("no recipient"))?;
    let builder = Letter::builder()
        .message_id(Some(format!("<{}@{}>", mail.id, sender.domain())))
        .date_now()
        .from(Mailbox::new(Some(name.into_owned()), sender))
        .to(Mailbox::new(None, to))
        .subject(one_line(&mail.subject))
        // RFC 3834 5: no out-of-office note is to answer it.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    let text = mail.text.clone();
    let letter = match mail.html.clone() {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
        None => builder.singlepart(SinglePart::plain(text)),
    };
    let letter = letter.map_err(|_| never("the mail can't be written"))?;
    Ok((envelope, letter.formatted()))
}

/// An address as mail servers know it: the domain in ASCII (RFC 5891).
fn address(text: &str) -> Option<Address> {
    let (local, domain) = text.rsplit_once('@')?;
    Address::new(local, idna::domain_to_ascii(domain).ok()?).ok()
}

/// Writes a file that is there in whole or not at all.
fn put(folder: &Path, name: &str, letter: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(folder)?;
    file.write_all(letter)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name))?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contact::EmailAddress;

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.mail.sender = Some("no-reply@corp.example".into());
        settings
    }

    fn mail(to: &str) -> Mail {
        Mail {
            id: "0123456789abcdef".into(),
            to: EmailAddress::parse(to).unwrap(),
            subject: "Für Sie".into(),
            text: "Grüße\n.\nEnde\n".into(),
            html: None,
        }
    }

    fn written(settings: &Settings, mail: &Mail) -> (Envelope, String) {
        let (envelope, letter) = write(settings, mail).unwrap();
        (envelope, String::from_utf8(letter).unwrap())
    }

    /// The header's lines, unfolded.
    fn headers(letter: &str) -> Vec<String> {
        let (head, _) = letter.split_once("\r\n\r\n").unwrap();
        head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn a_letter_has_its_headers_and_one_recipient() {
        let (envelope, letter) = written(&settings(), &mail("mary@corp.example"));
        assert_eq!(envelope.to().len(), 1);
        let headers = headers(&letter);
        for header in [
            "Message-ID: <0123456789abcdef@corp.example>",
            "From: Regain <no-reply@corp.example>",
            "To: mary@corp.example",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(headers.iter().any(|own| own == header), "{header}: {letter}");
        }
        assert_eq!(headers.iter().filter(|own| own.starts_with("Date: ")).count(), 1);
        assert!(letter.is_ascii());

        let with_html = Mail { html: Some("<p>Grüße</p>".into()), ..mail("mary@corp.example") };
        let (_, letter) = written(&settings(), &with_html);
        assert!(letter.contains("Content-Type: multipart/alternative;") && letter.is_ascii(), "{letter}");
    }

    #[test]
    fn nothing_can_be_slipped_into_the_headers() {
        let mut settings = settings();
        for evil in
            ["x\r\nBcc: eve@evil.example", "x\nBcc: e@e", "x\rBcc: e@e", "x\0\r\n\r\nBody", "\r\n", "\u{85}x"]
        {
            settings.mail.sender_name = Some(evil.into());
            let (envelope, letter) =
                written(&settings, &Mail { subject: evil.into(), ..mail("m@corp.example") });
            assert_eq!(envelope.to().len(), 1);
            for header in headers(&letter) {
                let (name, _) = header.split_once(": ").unwrap_or_else(|| panic!("{header:?}: {letter}"));
                assert!(!["Bcc", "Body", ""].contains(&name), "{letter}");
            }
            assert!(!letter.contains('\0'));
        }
        for id in ["", "../x", "a@b>\r\nBcc: c", "a b"] {
            let fault = write(&settings, &Mail { id: id.into(), ..mail("m@corp.example") }).unwrap_err();
            assert!(matches!(fault, Fault::Never(_)));
        }
    }

    #[test]
    fn a_domain_of_any_script_is_sent_to() {
        let (envelope, letter) = written(&settings(), &mail("mary@münchen.example"));
        assert_eq!(envelope.to()[0].to_string(), "mary@xn--mnchen-3ya.example");
        assert!(letter.contains("To: mary@xn--mnchen-3ya.example\r\n"));
    }

    #[tokio::test]
    async fn a_folder_gets_whole_files_that_only_the_owner_reads() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings();
        settings.mail.delivery = MailDelivery::Folder;
        settings.mail.folder = Some(folder.path().to_owned());
        let post = Post::default();
        for _ in 0..2 {
            post.deliver(&settings, &mail("mary@corp.example")).await.unwrap();
        }
        let names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["0123456789abcdef.eml"]);
        let file = folder.path().join(&names[0]);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(file).unwrap().contains("To: mary@corp.example\r\n"));

        settings.mail.folder = Some(folder.path().join("gone"));
        let fault = post.deliver(&settings, &mail("mary@corp.example")).await.unwrap_err();
        assert!(matches!(&fault, Fault::Later(text) if !text.contains("mary")), "{fault:?}");
        settings.mail.delivery = MailDelivery::None;
        let fault = post.deliver(&settings, &mail("mary@corp.example")).await.unwrap_err();
        assert!(matches!(fault, Fault::Never(_)), "{fault:?}");
    }
}
