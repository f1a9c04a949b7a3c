//! Certificates: what is taken, what is refused and in which words, what is kept and renewed.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;
use time::{Duration, macros::datetime};

use super::*;

const NOW: OffsetDateTime = datetime!(2030-01-01 00:00 UTC);

/// A pair in PEM for `name`, valid around NOW.
fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = NOW - Duration::days(1);
    params.not_after = NOW + Duration::days(90);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

struct Files(TempDir);

impl Files {
    fn holding((certificate, key): &(String, String)) -> Self {
        let files = Self(TempDir::new().unwrap());
        files.write("cert.pem", certificate);
        files.write("key.pem", key);
        files
    }

    /// By rename, as ACME clients do.
    fn write(&self, name: &str, text: &str) {
        let new = self.0.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.0.path().join(name)).unwrap();
    }

    fn source(&self) -> Source {
        Source::PemFiles { certificate: self.0.path().join("cert.pem"), key: self.0.path().join("key.pem") }
    }

    fn error(&self) -> String {
        Certificates::open(self.source(), NOW).unwrap_err().to_string()
    }
}

fn self_signed(folder: &Path, names: &[&str], now: OffsetDateTime) -> Arc<Certificates> {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Certificates::open(Source::SelfSigned { names, folder: folder.into() }, now).unwrap()
}

#[test]
fn a_pair_of_files_is_served_and_its_days_are_counted() {
    let files = Files::holding(&pair("a.example"));
    let certificates = Certificates::open(files.source(), NOW).unwrap();
    assert_eq!(certificates.days_left(NOW), 90);
    assert_eq!(certificates.days_left(NOW + Duration::days(91)), -1);
    assert_eq!(certificates.fingerprint().len(), 32 * 3 - 1);
}

#[test]
fn changed_files_are_taken_once_they_have_settled() {
    let files = Files::holding(&pair("a.example"));
    let certificates = Certificates::open(files.source(), NOW).unwrap();
    let before = certificates.fingerprint();
    assert!(!certificates.check(NOW).unwrap());

    let (certificate, key) = pair("b.example");
    files.write("cert.pem", &certificate);
    assert!(!certificates.check(NOW).unwrap(), "the key may still be on its way");
    files.write("key.pem", &key);
    assert!(!certificates.check(NOW).unwrap());
    assert!(certificates.check(NOW).unwrap());
    assert_ne!(certificates.fingerprint(), before);
    assert!(!certificates.check(NOW).unwrap());
}

#[test]
fn a_broken_pair_is_refused_once_and_the_old_one_stays() {
    let files = Files::holding(&pair("a.example"));
    let certificates = Certificates::open(files.source(), NOW).unwrap();
    let before = certificates.fingerprint();

    files.write("key.pem", &pair("b.example").1);
    assert!(!certificates.check(NOW).unwrap());
    let error = certificates.check(NOW).unwrap_err().to_string();
    assert!(error.contains("key.pem belongs to none of the certificates in"), "{error}");
    assert!(!certificates.check(NOW).unwrap(), "nothing has changed since");
    assert!(certificates.reload(NOW).is_err(), "but a reload that was asked for says it again");
    assert_eq!(certificates.fingerprint(), before);

    fs::remove_file(files.0.path().join("cert.pem")).unwrap();
    assert!(!certificates.check(NOW).unwrap());
    assert!(certificates.check(NOW).unwrap_err().to_string().contains("can't read"));
    assert_eq!(certificates.fingerprint(), before);
}

#[test]
fn errors_name_the_file_the_fault_and_the_cure() {
    let (certificate, key) = pair("a.example");
    let with = |certificate: &str, key: &str| Files::holding(&(certificate.into(), key.into())).error();

    let swapped = with(&key, &certificate);
    assert!(swapped.contains("cert.pem holds no certificate"), "{swapped}");
    let no_key = with(&certificate, "");
    assert!(no_key.contains("key.pem holds no private key"), "{no_key}");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let encrypted = with(&certificate, &encrypted);
    assert!(encrypted.contains("is encrypted; write it without a passphrase"), "{encrypted}");
    let torn = with(&certificate[..certificate.len() / 2], &key);
    assert!(torn.contains("cert.pem holds"), "{torn}");
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let garbage = with(&certificate, garbage);
    assert!(garbage.contains("can't be used"), "{garbage}");
    let missing = Source::PemFiles { certificate: "/nowhere/c.pem".into(), key: "/nowhere/k.pem".into() };
    let missing = Certificates::open(missing, NOW).unwrap_err().to_string();
    assert!(missing.starts_with("can't read /nowhere/c.pem: No such file"), "{missing}");
}

#[test]
fn a_chain_in_any_order_is_sent_in_the_right_one() {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(rcgen::DnType::CommonName, "root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = root.self_signed(&root_key).unwrap();
    let middle_key = KeyPair::generate().unwrap();
    let mut middle = CertificateParams::new(Vec::new()).unwrap();
    middle.distinguished_name.push(rcgen::DnType::CommonName, "middle");
    middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let middle = middle.signed_by(&middle_key, &root, &root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &middle, &middle_key).unwrap();
    let stranger = pair("stranger.example").0;

    let file = [root.pem(), stranger, middle.pem(), leaf.pem()].concat();
    let files = Files::holding(&(file, key.serialize_pem()));
    let certificates = Certificates::open(files.source(), NOW).unwrap();
    let sent = certificates.current.load().key.cert.clone();
    assert_eq!(sent, [leaf.der().clone(), middle.der().clone(), root.der().clone()]);
}

#[test]
fn a_self_signed_certificate_is_made_kept_and_readable_by_its_owner_only() {
    let data = TempDir::new().unwrap();
    let folder = data.path().join("data");
    let names = ["Reset.Example.", "10.0.0.1", "fd00::1"];
    let made = self_signed(&folder, &names, NOW);
    assert_eq!(made.days_left(NOW), 396);
    let permissions = fs::metadata(folder.join("self-signed.pem")).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left behind");

    let again = self_signed(&folder, &["fd00:0::1", "reset.example", "10.0.0.1"], NOW + Duration::days(300));
    assert_eq!(again.fingerprint(), made.fingerprint());
}

#[test]
fn a_self_signed_certificate_is_made_anew_when_names_change_or_it_is_due() {
    let data = TempDir::new().unwrap();
    let first = self_signed(data.path(), &["a.example"], NOW);
    let renamed = self_signed(data.path(), &["a.example", "b.example"], NOW);
    assert_ne!(renamed.fingerprint(), first.fingerprint());
    let fewer = self_signed(data.path(), &["b.example"], NOW);
    assert_ne!(fewer.fingerprint(), renamed.fingerprint());

    let before = fewer.fingerprint();
    assert!(!fewer.check(NOW + Duration::days(366)).unwrap(), "30 days are left");
    let later = NOW + Duration::days(367);
    assert!(fewer.check(later).unwrap());
    assert_ne!(fewer.fingerprint(), before);
    assert_eq!(fewer.days_left(later), 396);
    assert_eq!(self_signed(data.path(), &["b.example"], later).fingerprint(), fewer.fingerprint());
    // Made while the clock was wrong.
    let back = self_signed(data.path(), &["b.example"], NOW);
    assert_ne!(back.fingerprint(), fewer.fingerprint());
}

#[test]
fn a_damaged_self_signed_certificate_is_replaced() {
    let data = TempDir::new().unwrap();
    self_signed(data.path(), &["a.example"], NOW);
    fs::write(data.path().join("self-signed.pem"), "torn").unwrap();
    assert_eq!(self_signed(data.path(), &["a.example"], NOW).days_left(NOW), 396);
}

#[test]
fn a_name_that_can_not_stand_in_a_certificate_is_named() {
    let data = TempDir::new().unwrap();
    let source = Source::SelfSigned { names: vec!["büro.example".into()], folder: data.path().into() };
    let error = Certificates::open(source, NOW).unwrap_err().to_string();
    assert!(error.starts_with("\"büro.example\" can't stand in a certificate"), "{error}");
}
