//! What `regain check` wants to know of a domain: each thing looked at once, in the order it is needed, with what is
//! wrong in words and how to mend it. Nobody's password is touched; the service account's is tried once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ldap3::Scope;
use rustls::{
    CertificateError,
    pki_types::{CertificateDer, ServerName},
};
use time::{Date, Month, OffsetDateTime, Time};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    super::{Certificate, Error, Finding, PasswordCheck, Seen, Verdict},
    ActiveDirectory,
    connection::{Connection, DialFault, Fault, Search},
    controllers::Controller,
    entry::Entry,
    pool::{POLICY_HINTS, POLICY_HINTS_DEPRECATED, service_refusal},
    reply, rights,
};
use crate::domain::clock::Timestamp;

/// A controller whose clock differs by more confuses dates, and Kerberos tolerates five minutes at most.
const MOST_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);
/// A certificate that ends sooner than this is worth a warning.
const CERTIFICATE_DAYS: i64 = 21;
/// How many controllers are looked at from outside.
const SURVEYED: usize = 8;
/// How many accounts the rights are checked on.
const SAMPLE: i32 = 50;
/// Names are compared among this many accounts at most.
const PAGES: usize = 200;
const PAGE: i32 = 500;
/// LDAP_CAP_ACTIVE_DIRECTORY_OID (MS-ADTS 3.1.1.3.4.3.1).
const IS_ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

/// Findings about one subject after the other.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, subject: impl Into<String>, verdict: Verdict, text: impl Into<String>) {
        self.0.push(Finding { subject: subject.into(), verdict, text: text.into() });
    }
}

impl ActiveDirectory {
    /// Looks at everything.
    pub(super) async fn examine_all(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let controllers = match self.network.controllers().await {
            Ok(controllers) => controllers,
            Err(error) => {
                findings.add(
                    format!("{} controllers", self.domain.name),
                    Verdict::Bad,
                    format!(
                        "{error}. Let Regain ask a name server that knows the domain (name_servers), or list the \
                         controllers"
                    ),
                );
                return findings.0;
            }
        };
        let mut usable = None;
        let mut service_account_refused = false;
        for controller in &controllers {
            let (Some(mut connection), _) = self.examine_connection(controller, &mut findings).await else {
                continue;
            };
            if service_account_refused {
                continue;
            }
            match self.examine_service_account(&mut connection, &mut findings).await {
                Some(true) => {
                    self.examine_controller(&mut connection, &mut findings).await;
                    usable.get_or_insert(connection);
                }
                // The next controller would only count another wrong password.
                Some(false) => service_account_refused = true,
                None => {}
            }
        }
        if let Some(mut connection) = usable
            && let Err(fault) = self.examine_domain(&mut connection, &mut findings).await
        {
            let (Fault::NotSent(reason) | Fault::NoAnswer(reason) | Fault::Silent(reason)) = fault;
            findings.add(
                connection.controller.to_string(),
                Verdict::Bad,
                format!("stopped answering: {reason}"),
            );
        }
        findings.0
    }

    /// What can be seen of each controller without a password.
    pub(super) async fn survey_all(&self) -> Result<Vec<Seen>, Error> {
        let mut seen = Vec::new();
        for controller in self.network.controllers().await?.iter().take(SURVEYED) {
            let mut findings = Findings::default();
            let (_, certificates) = self.examine_connection(controller, &mut findings).await;
            let chain = certificates.iter().filter_map(describe).collect();
            let Some(finding) = findings.0.pop() else { continue };
            seen.push(Seen { controller: controller.to_string(), chain, finding });
        }
        Ok(seen)
    }

    /// Name, address, TLS and certificate; and the certificates that were shown.
    async fn examine_connection(
        &self,
        controller: &Arc<Controller>,
        findings: &mut Findings,
    ) -> (Option<Connection>, Vec<CertificateDer<'static>>) {
        let subject = format!("{} {controller}", self.domain.name);
        let dialer = &self.network.dialer;
        let (config, shown) = match dialer.anchors.for_name(&controller.name) {
            Ok(pair) => pair,
            Err(error) => {
                findings.add(subject, Verdict::Bad, format!("TLS can't be set up: {error}"));
                return (None, Vec::new());
            }
        };
        let is_ipv6 =
            matches!(&controller.name, ServerName::IpAddress(address) if IpAddr::from(*address).is_ipv6());
        let host = if is_ipv6 { "address.invalid".into() } else { controller.name.to_str() };
        let dialled = dialer.dial_with(controller, config, &host).await;
        let certificates = shown.certificates();
        let connection = match dialled {
            Ok(connection) => {
                let (verdict, text) = self.certificate_end(&certificates);
                findings.add(format!("{subject} certificate"), verdict, text);
                Some(connection)
            }
            Err(DialFault::Certificate(fault)) => {
                findings.add(
                    format!("{subject} certificate"),
                    Verdict::Bad,
                    mend_certificate(&fault, &certificates),
                );
                None
            }
            Err(fault) => {
                let mending = match &fault {
                    DialFault::Unresolved(_) => {
                        "Correct the name, or let Regain ask a name server that knows it"
                    }
                    DialFault::Unreachable(_) => {
                        "Is the controller up, the port right, and nothing between that blocks it?"
                    }
                    DialFault::Silent(_) => {
                        "The port is open but nobody speaks TLS there: is it the right port, and is the \
                         controller healthy?"
                    }
                    DialFault::Certificate(_) | DialFault::Tls(_) => {
                        "A controller speaks LDAPS (636) and StartTLS (389) once it has a certificate for \
                         server authentication; is the port that of the transport configured?"
                    }
                };
                findings.add(subject, Verdict::Bad, format!("{fault}. {mending}"));
                None
            }
        };
        (connection, certificates)
    }

    /// How long the certificate lasts.
    fn certificate_end(&self, certificates: &[CertificateDer<'_>]) -> (Verdict, String) {
        let Some(leaf) = certificates.first().and_then(|leaf| parse(leaf)) else {
            return (Verdict::Good, "trusted".to_owned());
        };
        let left = (leaf.validity().not_after.timestamp() - self.now().millis() / 1000) / 86_400;
        let text = format!("trusted, issued by {}, {left} days left", leaf.issuer());
        if left < CERTIFICATE_DAYS {
            return (Verdict::Warning, format!("{text}. Renew it on the controller"));
        }
        (Verdict::Good, text)
    }

    /// Whether it is let in; `None` if that can't be told.
    async fn examine_service_account(
        &self,
        connection: &mut Connection,
        findings: &mut Findings,
    ) -> Option<bool> {
        let subject = format!("{} {} service account", self.domain.name, connection.controller);
        let check = match self.pool.bind(connection).await {
            Ok(bound) => reply::of_bind(bound.code, &bound.text),
            Err(Fault::NotSent(reason) | Fault::NoAnswer(reason) | Fault::Silent(reason)) => {
                findings.add(subject, Verdict::Bad, format!("no answer to its logon: {reason}"));
                return None;
            }
        };
        let mending = match &check {
            Ok(PasswordCheck::Right) => {
                findings.add(subject, Verdict::Good, format!("{} is let in", self.service_account));
                return Some(true);
            }
            Ok(PasswordCheck::Wrong) => {
                "Give the name as svc@corp.example, CORP\\svc or a DN, and the password exactly. It is not tried \
                 again now, because each try counts towards its lockout"
            }
            Ok(PasswordCheck::LockedOut) => "Unlock it, and look for what else uses an old password of it",
            Ok(PasswordCheck::RightButMustChange) => {
                "Set a new password and let it never expire: a service account can't change it at a logon"
            }
            Ok(PasswordCheck::RightButDisabled) => "Enable it",
            Ok(PasswordCheck::RightButAccountExpired) => "Remove its end date",
            Ok(PasswordCheck::RightButRestricted) => "Remove the restriction from the account",
            Err(_) => "This is not an answer Regain knows; the controller's event log may say more",
        };
        let text = format!("{}: {}. {mending}", self.service_account, service_refusal(&check));
        findings.add(subject, Verdict::Bad, text);
        Some(false)
    }

    /// What differs from controller to controller.
    async fn examine_controller(&self, connection: &mut Connection, findings: &mut Findings) {
        let subject = format!("{} {}", self.domain.name, connection.controller);
        let attributes =
            ["supportedControl", "supportedCapabilities", "currentTime", "isSynchronized", "tokenGroups"];
        let Ok(outcome) = connection.search(&Search::of_object("", &attributes)).await else {
            findings.add(subject, Verdict::Bad, "does not describe itself (rootDSE)");
            return;
        };
        let Some(root) = outcome.entries.first() else {
            findings.add(subject, Verdict::Bad, "does not describe itself (rootDSE)");
            return;
        };
        if !root.has("supportedCapabilities", IS_ACTIVE_DIRECTORY) {
            findings.add(&subject, Verdict::Bad, "is not Active Directory");
        }
        if root.has("isSynchronized", "FALSE") {
            findings.add(
                &subject,
                Verdict::Warning,
                "has not caught up with the other controllers since it was started; it may know old passwords",
            );
        }
        if let Some(theirs) = root.text("currentTime").as_deref().and_then(generalized_time) {
            let ours = self.now();
            let apart = ours.since(theirs).max(theirs.since(ours));
            if apart > MOST_CLOCK_DIFFERENCE {
                findings.add(
                    format!("{subject} clock"),
                    Verdict::Warning,
                    format!("its clock and this one are {} s apart; synchronise both (NTP)", apart.as_secs()),
                );
            }
        }
        let hints =
            [POLICY_HINTS, POLICY_HINTS_DEPRECATED].iter().any(|hint| root.has("supportedControl", hint));
        let (verdict, text) = if hints {
            (Verdict::Good, "a reset can obey password history and minimum age")
        } else {
            (
                Verdict::Warning,
                "does not offer policy hints (Windows Server 2008 R2 with hotfix, or later): a reset can't obey \
                 password history and minimum age",
            )
        };
        findings.add(format!("{subject} policy hints"), verdict, text);
    }

    /// What is the same on every controller.
    async fn examine_domain(
        &self,
        connection: &mut Connection,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let root = connection.search(&Search::of_object("", &["tokenGroups"])).await?;
        let own_sids = root.entries.first().map(|root| root.sids("tokenGroups")).unwrap_or_default();
        let trustee = self.trustee(connection, &own_sids).await?;
        self.examine_bases(connection, findings).await?;
        self.examine_rights(connection, &own_sids, &trustee, findings).await?;
        self.examine_settings_objects(connection, &trustee, findings).await?;
        self.examine_names(connection, findings).await
    }

    /// The service account as dsacls wants it.
    async fn trustee(&self, connection: &mut Connection, own_sids: &[String]) -> Result<String, Fault> {
        if let Some(own) = own_sids.first() {
            let base = format!("<SID={own}>");
            let found = connection.search(&Search::of_object(&base, &["sAMAccountName"])).await?;
            if let Some(sam) = found.entries.first().and_then(|entry| entry.text("sAMAccountName")) {
                return Ok(format!("{}\\{sam}", self.domain.netbios));
            }
        }
        Ok(self.service_account.clone())
    }

    /// The domain's head with its policy, and where accounts are looked for.
    async fn examine_bases(&self, connection: &mut Connection, findings: &mut Findings) -> Result<(), Fault> {
        let subject = format!("{} password policy", self.domain.name);
        let head =
            connection.search(&Search::of_object(&self.base, &super::policy::DOMAIN_ATTRIBUTES)).await?;
        match head.entries.first().map(super::policy::of_domain) {
            None => findings.add(
                format!("{} {}", self.domain.name, self.base),
                Verdict::Bad,
                format!("{}. Correct the base DN", reply::words(head.code, &head.text)),
            ),
            Some(policy) if !policy.known => {
                findings.add(subject, Verdict::Bad, "may not be read by the service account; grant it Read");
            }
            Some(policy) if (1..=2).contains(&policy.lockout_threshold) => findings.add(
                subject,
                Verdict::Warning,
                format!(
                    "{} wrong passwords lock an account: Regain keeps two in reserve and so will check no \
                     password at all. Raise the threshold",
                    policy.lockout_threshold
                ),
            ),
            Some(policy) => findings.add(
                subject,
                Verdict::Good,
                format!(
                    "at least {} characters{}, history {}, lockout after {}",
                    policy.minimum_length,
                    if policy.complexity { ", complex" } else { "" },
                    policy.history_length,
                    policy.lockout_threshold,
                ),
            ),
        }
        if self.search_base != self.base {
            let found = connection.search(&Search::of_object(&self.search_base, &["1.1"])).await?;
            if found.entries.is_empty() {
                findings.add(
                    format!("{} {}", self.domain.name, self.search_base),
                    Verdict::Bad,
                    format!("{}. Correct the search base", reply::words(found.code, &found.text)),
                );
            }
        }
        Ok(())
    }

    /// The three delegated rights and the reading of groups, on a sample of accounts.
    async fn examine_rights(
        &self,
        connection: &mut Connection,
        own_sids: &[String],
        trustee: &str,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let subject = format!("{} rights of {trustee}", self.domain.name);
        let sample = connection
            .search(&Search {
                base: &self.search_base,
                scope: Scope::Subtree,
                filter: "(&(objectCategory=person)(objectClass=user)(!(adminCount=1))(!(isCriticalSystemObject=TRUE))\
                         (!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
                attributes: &["objectSid", "allowedAttributesEffective", "nTSecurityDescriptor"],
                limit: SAMPLE,
                with_security: true,
            })
            .await?;
        let others =
            |entry: &&Entry| !entry.sids("objectSid").iter().any(|sid| own_sids.first() == Some(sid));
        let sample: Vec<_> = sample.entries.iter().filter(others).collect();
        let Some(first) = sample.first() else {
            findings.add(subject, Verdict::Bad, "it sees no account; is the search base right?");
            return Ok(());
        };
        if let Some(security) = first.bytes("nTSecurityDescriptor")
            && rights::may_reset_password(security, own_sids).is_none()
        {
            findings.add(&subject, Verdict::Warning, "an access list could not be understood");
        }
        let mut complete = true;
        for (right, dsacls) in [
            ("Reset Password", "CA;Reset Password;user"),
            ("lockoutTime", "RPWP;lockoutTime;user"),
            ("pwdLastSet", "RPWP;pwdLastSet;user"),
        ] {
            let lacks = |entry: &&&Entry| match right {
                "Reset Password" => {
                    let security = entry.bytes("nTSecurityDescriptor");
                    security
                        .is_none_or(|security| rights::may_reset_password(security, own_sids) == Some(false))
                }
                attribute => !entry.has("allowedAttributesEffective", attribute),
            };
            let lacking: Vec<_> = sample.iter().filter(lacks).collect();
            if lacking.is_empty() {
                continue;
            }
            complete = false;
            let containers: BTreeSet<_> = lacking.iter().map(|entry| parent(&entry.dn)).collect();
            let verdict = if lacking.len() == sample.len() { Verdict::Bad } else { Verdict::Warning };
            for container in containers.iter().take(3) {
                findings.add(
                    format!("{subject} {right}"),
                    verdict,
                    format!(
                        "missing for accounts in {container}. On a controller: dsacls \"{container}\" /I:S /G \
                         \"{trustee}:{dsacls}\""
                    ),
                );
            }
        }
        if complete {
            findings.add(
                &subject,
                Verdict::Good,
                format!(
                    "reset, unlock and must-change are granted for all {} accounts looked at",
                    sample.len()
                ),
            );
        }
        let groups = connection.search(&Search::of_object(&first.dn, &["tokenGroups"])).await?;
        if groups.entries.first().is_none_or(|entry| entry.all("tokenGroups").is_empty()) {
            findings.add(
                format!("{subject} tokenGroups"),
                Verdict::Bad,
                format!(
                    "the groups of accounts may not be read, so every account is taken for privileged. Make \
                     {trustee} a member of \"Windows Authorization Access Group\""
                ),
            );
        }
        Ok(())
    }

    /// Whether fine-grained policies can be read.
    async fn examine_settings_objects(
        &self,
        connection: &mut Connection,
        trustee: &str,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let container = format!("CN=Password Settings Container,CN=System,{}", self.base);
        let found = connection
            .search(&Search {
                scope: Scope::Subtree,
                limit: SAMPLE,
                ..Search::of_object(&container, &["objectClass", "msDS-MinimumPasswordLength"])
            })
            .await?;
        if reply::is_absent(found.code) {
            return Ok(());
        }
        // What may not be read is shown without attributes, or not at all.
        let is_hidden = |entry: &Entry| {
            entry.text("objectClass").is_none()
                || (entry.has("objectClass", "msDS-PasswordSettings")
                    && entry.text("msDS-MinimumPasswordLength").is_none())
        };
        let subject = format!("{} fine-grained policies", self.domain.name);
        if found.entries.is_empty() || found.entries.iter().any(is_hidden) {
            findings.add(
                subject,
                Verdict::Warning,
                format!(
                    "may not be read by the service account; accounts with one are shown the domain's rules. On a \
                     controller: dsacls \"{container}\" /I:T /G \"{trustee}:GR\""
                ),
            );
        } else {
            findings.add(subject, Verdict::Good, format!("{} can be read", found.entries.len() - 1));
        }
        Ok(())
    }

    /// Names that mean two accounts: neither can use Regain by that name.
    async fn examine_names(&self, connection: &mut Connection, findings: &mut Findings) -> Result<(), Fault> {
        let subject = format!("{} names", self.domain.name);
        let search = Search {
            base: &self.search_base,
            scope: Scope::Subtree,
            filter: "(&(objectCategory=person)(objectClass=user)(userPrincipalName=*))",
            attributes: &["userPrincipalName", "sAMAccountName"],
            limit: 0,
            with_security: false,
        };
        let mut bearers: HashMap<String, BTreeSet<String>> = HashMap::new();
        let mut cookie = Vec::new();
        let mut accounts = 0;
        for _ in 0..PAGES {
            let (page, next) = connection.search_page(&search, PAGE, cookie).await?;
            for entry in page.entries {
                accounts += 1;
                let upn = entry.text("userPrincipalName");
                let implicit = entry.text("sAMAccountName").map(|sam| format!("{sam}@{}", self.domain.name));
                for name in upn.into_iter().chain(implicit) {
                    bearers.entry(name.to_lowercase()).or_default().insert(entry.dn.clone());
                }
            }
            cookie = next;
            if cookie.is_empty() {
                break;
            }
        }
        let shared: BTreeMap<_, _> = bearers.into_iter().filter(|(_, dns)| dns.len() > 1).collect();
        for (name, dns) in shared.iter().take(5) {
            let dns: Vec<_> = dns.iter().map(String::as_str).collect();
            findings.add(
                &subject,
                Verdict::Warning,
                format!("{name} means {} accounts and so none: {}. Rename one", dns.len(), dns.join("; ")),
            );
        }
        if shared.is_empty() {
            findings.add(subject, Verdict::Good, format!("{accounts} accounts, each with names of its own"));
        } else if shared.len() > 5 {
            findings.add(subject, Verdict::Warning, format!("and {} names more", shared.len() - 5));
        }
        Ok(())
    }
}

/// What is wrong with a certificate, whose it is, and what to do.
fn mend_certificate(fault: &CertificateError, certificates: &[CertificateDer<'_>]) -> String {
    let leaf = certificates.first().and_then(|leaf| parse(leaf));
    let (subject, issuer, ends) = leaf.map_or_else(Default::default, |leaf| {
        (leaf.subject().to_string(), leaf.issuer().to_string(), leaf.validity().not_after.to_string())
    });
    let shown = format!("The controller shows a certificate for {subject}, issued by {issuer}");
    match fault {
        CertificateError::UnknownIssuer if subject == issuer => format!(
            "it is self-signed and not trusted. {shown}. Give the controller a certificate of your CA, or set that \
             very certificate as the domain's CA file"
        ),
        CertificateError::UnknownIssuer => format!(
            "its issuer is not among the trusted CAs. {shown}. Save that CA's certificate as PEM and set it as the \
             domain's CA file (on a Windows CA: certutil -ca.cert ca.cer, then certutil -encode ca.cer ca.pem)"
        ),
        CertificateError::BadSignature => format!(
            "its issuer has the trusted CA's name but not its key: the CA was renewed, or it is another one. {shown}. \
             Set that CA's present certificate as the domain's CA file"
        ),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "it is not for {}, only for {}. List the controller by one of these names, or give it a certificate for \
             the one listed",
            expected.to_str(),
            presented.join(", "),
        ),
        CertificateError::NotValidForName => {
            format!("it is not for the name the controller is listed by. {shown}. List it by the name shown")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("it expired on {ends}. {shown}. Renew it on the controller")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("it is not valid yet. {shown}. Look at the clocks of both machines")
        }
        other => format!("it is not trusted: {other}. {shown}"),
    }
}

/// A certificate in words.
fn describe(certificate: &CertificateDer<'static>) -> Option<Certificate> {
    let parsed = parse(certificate)?;
    let digest = digest::digest(&digest::SHA256, certificate);
    let fingerprint: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let body = STANDARD.encode(certificate);
    let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    Some(Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        ends: parsed.validity().not_after.to_string(),
        fingerprint: fingerprint.join(":"),
        is_authority: parsed.is_ca(),
        pem: format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"),
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(certificate).ok().map(|(_, certificate)| certificate)
}

/// The container of an object: what follows the first comma that isn't escaped.
fn parent(dn: &str) -> &str {
    let mut escaped = false;
    let comma = dn.char_indices().find(|(_, c)| {
        let ends = *c == ',' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    comma.map_or(dn, |(at, _)| &dn[at + 1..])
}

/// `20261123124248.0Z` (RFC 4517 3.3.13, as domain controllers write it).
fn generalized_time(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u16>().ok();
    let small = |range| number(range).and_then(|number| u8::try_from(number).ok());
    let month = Month::try_from(small(4..6)?).ok()?;
    let date = Date::from_calendar_date(number(0..4)?.into(), month, small(6..8)?).ok()?;
    let time = Time::from_hms(small(8..10)?, small(10..12)?, small(12..14)?).ok()?;
    let moment = OffsetDateTime::new_utc(date, time);
    text.ends_with('Z').then(|| Timestamp::from_millis(moment.unix_timestamp() * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_is_what_follows_the_first_free_comma() {
        assert_eq!(parent("CN=Last\\, First,OU=People,DC=corp"), "OU=People,DC=corp");
        assert_eq!(parent("CN=back\\\\,OU=People"), "OU=People");
        assert_eq!(parent("DC=corp"), "DC=corp");
    }

    #[test]
    fn the_controllers_time_is_understood() {
        let time = generalized_time("20240117212000.0Z").unwrap();
        assert_eq!(time.to_string(), "2024-01-17T21:20:00.000Z");
        for text in ["", "20240117", "20241317212000.0Z", "2024é117212000.0Z", "20240117212000.0"] {
            assert!(generalized_time(text).is_none(), "{text}");
        }
    }
}
