//! The composition root: from a configuration to a running program. Nothing else builds adapters.

pub mod console;
pub mod control;
mod listeners;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use poem::{Response, http::StatusCode};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{BaseUrl, Config},
    directory::{
        Directory,
        active_directory::{self, ActiveDirectory, Source, Trust},
        demo::{DemoDirectory, SAMPLE_ADMINISTRATOR},
    },
    domain::{
        account::{Domain, DomainName, LogonName},
        audit::{Action, Event, Outcome},
        clock::{Clock, SystemClock},
        secret::{Key, Password, SecretText},
    },
    flows::{
        self, Connect, Services,
        attempt::Turns,
        backup, certificate,
        change_settings::{self, Change, Edit, Editor},
        forward::Reached,
        hashing::HashPool,
        import,
        outbox::Outbox,
        rounds, sign_in,
        verify::Verification,
    },
    jobs,
    notify::{self, Notifier},
    passkeys::Passkeys,
    render::{Overrides, Place, Renderer},
    report,
    settings::{DomainSettings, Settings, Transport, layers},
    store::{
        Store,
        audit::Head,
        copy_name,
        engine::{self, Options, SledEngine, copy_closed},
        keyring::Keyring,
    },
    tls::{self, Certificates, acceptor::Limits},
    web::{self, ApiLimits, Site, client_ip::Believed, limit::AddressLimits, server},
};
use listeners::Listeners;

/// How often certificate files and overrides are looked at.
const WATCH: Duration = Duration::from_secs(5);
/// How often the end of the audit log is noted.
const NOTE: Duration = Duration::from_secs(5);
/// Hashes that may wait for a place.
const HASH_QUEUE: usize = 256;

/// The program can't start; each line says what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn of(what: &str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        let what = what.to_owned();
        move |error| Self(format!("{what}: {error}"))
    }
}

/// What a demonstration serves.
pub struct Demo {
    /// Its directories.
    pub directories: Vec<Arc<dyn Directory>>,
    /// The settings it begins with.
    pub settings: Vec<Edit>,
}

/// A program that listens but does not serve yet.
pub struct App {
    site: Arc<Site>,
    certificates: Arc<Certificates>,
    listeners: Listeners,
    believed: Believed,
    base_url: BaseUrl,
    data: PathBuf,
    head: PathBuf,
}

/// The directories of the configured domains.
///
/// Their controllers are found by asking `name_servers`, or those of the system if there are none.
pub fn directories(
    settings: &Settings,
    name_servers: &[SocketAddr],
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<dyn Directory>>, Error> {
    settings
        .domain
        .iter()
        .map(|domain| {
            let directory = active_directory(domain, name_servers, Arc::clone(clock))
                .map_err(|e| Error(format!("domain {}: {e}", domain.dns_name)))?;
            Ok(Arc::new(directory) as Arc<dyn Directory>)
        })
        .collect()
}

fn active_directory(
    domain: &DomainSettings,
    name_servers: &[SocketAddr],
    clock: Arc<dyn Clock>,
) -> Result<ActiveDirectory, Error> {
    let password =
        domain.service_password.as_ref().map(|secret| secret.reveal().to_owned()).unwrap_or_default();
    let password = Password::parse(SecretText::new(password))
        .map_err(|problem| Error(format!("service_password: {}", problem.code())))?;
    let controllers = if domain.controllers.is_empty() {
        Source::Announced { site: None }
    } else {
        Source::Listed(domain.controllers.clone())
    };
    let names =
        Domain { name: DomainName::new(&domain.dns_name), netbios: domain.netbios_name.to_uppercase() };
    let mut settings =
        active_directory::Settings::new(names, controllers, domain.service_account.clone(), password);
    settings.name_servers = name_servers.to_vec();
    settings.transport = match domain.transport {
        Transport::Ldaps => active_directory::Transport::Ldaps,
        Transport::StartTls => active_directory::Transport::StartTls,
    };
    if let Some(file) = &domain.ca_file {
        settings.trust = Trust::Files(vec![file.clone()]);
    } else if let Some(certificates) = domain.certificates() {
        settings.trust = Trust::Text(certificates.to_owned());
    }
    settings.search_base.clone_from(&domain.search_base);
    settings.mail_attribute.clone_from(&domain.mail_attribute);
    settings.mobile_attribute.clone_from(&domain.mobile_attribute);
    settings.connect_timeout = Duration::from_millis(domain.connect_timeout_ms.into());
    settings.operation_timeout = Duration::from_millis(domain.operation_timeout_ms.into());
    settings.pool_size = domain.connections as usize;
    ActiveDirectory::new(settings, clock).map_err(|e| Error(e.to_string()))
}

/// The sample domains of the demo.
pub fn demo_directories(clock: &Arc<dyn Clock>) -> Result<Vec<Arc<dyn Directory>>, Error> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| Error("no random numbers".into()))?;
    Ok(DemoDirectory::sample_domains(clock, &Key::new(key))
        .into_iter()
        .map(|directory| Arc::new(directory) as Arc<dyn Directory>)
        .collect())
}

impl App {
    /// Opens the store, binds the addresses and gets everything ready, in the order in which things go wrong most
    /// often. With a `demo` that is what is served, and every page says so.
    pub async fn open(config: &Config, demo: Option<Demo>) -> Result<Self, Error> {
        let base_url = config.base_url.clone().ok_or_else(|| {
            Error(
                "base_url is needed: the address people use, for instance https://reset.corp.example".into(),
            )
        })?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let is_demo = demo.is_some();
        let (connect, changes): (Connect, _) = match demo {
            Some(demo) => (Box::new(move |_| Ok(demo.directories.clone())), demo.settings),
            None => {
                let clock = Arc::clone(&clock);
                let name_servers = config.name_server_addresses();
                let connect =
                    move |settings: &Settings| directories(settings, &name_servers, &clock).map_err(|e| e.0);
                (Box::new(connect), Vec::new())
            }
        };
        close_off();
        make_folder(&config.data)?;
        let (store, keys) = open_present(config).await?;
        let renderer = Arc::new(open_renderer(config)?);
        let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let notifier = if is_demo {
            Notifier::of_demo(Arc::clone(&renderer), Arc::clone(&clock))
        } else {
            Notifier::new(Arc::clone(&renderer))
        };
        let certificates = open_certificates(config)?;
        let services = Services {
            directories: ArcSwap::default(),
            connect,
            store,
            keys: Arc::new(keys),
            clock,
            hashing: HashPool::new(workers, HASH_QUEUE),
            settings: ArcSwap::from_pointee(config.settings.clone()),
            fixed: config.given.fixed(),
            notifier,
            host: base_url.host().to_owned(),
            passkeys: Passkeys::new(base_url.origin(), &config.settings.general.product_name).ok(),
            outbox: Outbox::default(),
            reached: Reached::default(),
            verification: Verification::default(),
            door: Arc::clone(&certificates) as Arc<dyn certificate::Door>,
            certificate: certificate::Desk::default(),
            import: import::Desk::default(),
            purge: rounds::Desk::default(),
            coverage: rounds::Desk::default(),
            backup: backup::Desk::default(),
            turns: Turns::default(),
            in_force: AtomicU64::new(0),
        };
        change_settings::adopt(&services).await.map_err(|e| Error(e.to_string()))?;
        prepare_demo(&services, changes).await?;
        let is_shorter = !holds_noted(&config.head_path(), &services).await;
        note_start(&services, is_shorter).await;
        if let Err(error) = certificate::adopt(&services).await {
            tracing::error!(%error, "the certificate that is kept can't be read");
        }
        let listeners = Listeners::open(config, &certificates, &limits(config))?;
        let began_at = services.clock.now();
        let site = Arc::new(Site {
            services: Arc::new(services),
            renderer,
            limits: AddressLimits::default(),
            noted: AddressLimits::default(),
            trials: AddressLimits::default(),
            api: ApiLimits::default(),
            api_apart: listeners.api.is_some(),
            desk: report::desk::Desk::default(),
            asked: web::Asked::default(),
            looks: web::Looks::default(),
            drafts: web::Drafts::default(),
            certificates: Arc::clone(&certificates),
            hosts: config.hosts(),
            began_at,
            demo: is_demo,
        });
        Ok(Self {
            site,
            certificates,
            listeners,
            believed: listeners::believed(config),
            base_url,
            data: config.data.clone(),
            head: config.head_path(),
        })
    }

    /// Where it listens for HTTPS.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.secure.local_addresses()
    }

    /// Where it listens for the API alone.
    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.api.iter().flat_map(|(listener, _)| listener.local_addresses()).collect()
    }

    /// The link by which the first administrator's account is made, if nobody can sign in yet. Whoever has it may: it
    /// is for the console only.
    pub async fn setup_link(&self) -> Result<Option<String>, Error> {
        let token = sign_in::invite(&self.site.services).await.map_err(|e| Error(e.to_string()))?;
        Ok(token.map(|token| format!("{}/admin/setup/{token}", self.base_url.origin())))
    }

    /// The key of the authenticator app of a demonstration's administrator.
    pub async fn demo_administrator(&self) -> Result<SecretText, Error> {
        let services = &self.site.services;
        let (name, domain) = SAMPLE_ADMINISTRATOR;
        let (_, name) = LogonName::parse(name, domain, &services.domains())
            .map_err(|_| Error("there is no sample administrator".into()))?;
        for directory in services.directories.load().iter().filter(|it| it.domain().netbios == domain) {
            let account = directory.find(&name).await.map_err(|e| Error(e.to_string()))?;
            if let Some(account) = account {
                let secret = sign_in::demonstrate(services, &account).await;
                return secret.map(|secret| secret.typed()).map_err(|e| Error(e.to_string()));
            }
        }
        Err(Error("there is no sample administrator".into()))
    }

    /// Serves until `shutdown`, then finishes what is under way.
    pub async fn serve(self, shutdown: CancellationToken) {
        let certificates = Arc::clone(&self.certificates);
        let watch = certificates.watch(WATCH, OffsetDateTime::now_utc, shutdown.clone());
        let jobs = jobs::run(Arc::clone(&self.site.services), shutdown.clone());
        let believed = &self.believed;
        let origin = self.base_url.origin().to_owned();
        let redirect = async {
            if let Some(plain) = self.listeners.redirected {
                server::redirect(plain, &origin, Arc::clone(&self.certificates), shutdown.clone()).await;
            }
        };
        let page: server::Page = {
            let site = Arc::clone(&self.site);
            Arc::new(move |status: StatusCode| -> Response { web::bare_page(&site, status) })
        };
        let api = async {
            if let Some((listener, hosts)) = self.listeners.api {
                let routes = web::api_routes(Arc::clone(&self.site), hosts);
                Box::pin(server::serve(
                    listener,
                    routes,
                    Arc::clone(&page),
                    believed.clone(),
                    shutdown.clone(),
                ))
                .await;
            }
        };
        let watched = async {
            if let Some(listener) = self.listeners.watched {
                let routes = web::watch_routes(&self.site);
                Box::pin(server::serve(
                    listener,
                    routes,
                    Arc::clone(&page),
                    believed.clone(),
                    shutdown.clone(),
                ))
                .await;
            }
        };
        let pages = Box::pin(server::serve(
            self.listeners.secure,
            web::routes(Arc::clone(&self.site)),
            Arc::clone(&page),
            believed.clone(),
            shutdown.clone(),
        ));
        let handed = async {
            if let Some(listener) = self.listeners.handed {
                let routes = web::routes(Arc::clone(&self.site));
                let served =
                    server::serve(listener, routes, Arc::clone(&page), believed.clone(), shutdown.clone());
                Box::pin(served).await;
            }
        };
        let certificates = Arc::clone(&self.certificates);
        let renderer = Arc::clone(&self.site.renderer);
        let reload = reload_on_hangup(certificates, Arc::clone(&renderer), shutdown.clone());
        let overrides = watch_overrides(renderer, shutdown.clone());
        let links = console::await_links(&self.data, &self.site.services, shutdown.clone());
        let head = note_head(&self.head, &self.site.services, shutdown.clone());
        let control = control::serve(&self.data, &self.site.services, shutdown.clone());
        tokio::join!(
            watch, jobs, redirect, pages, handed, api, watched, reload, overrides, links, head, control
        );
    }
}

/// The certificate of the configuration, or one that is made here.
fn open_certificates(config: &Config) -> Result<Arc<Certificates>, Error> {
    let source = match (&config.https.certificate, &config.https.key) {
        (Some(certificate), Some(key)) => {
            tls::Source::PemFiles { certificate: certificate.clone(), key: key.clone() }
        }
        _ => tls::Source::SelfSigned { names: config.names(), folder: config.data.clone() },
    };
    Certificates::open(source, OffsetDateTime::now_utc()).map_err(|e| Error(e.to_string()))
}

/// A demonstration begins with settings of its own.
async fn prepare_demo(services: &Services, changes: Vec<Edit>) -> Result<(), Error> {
    let editor = Editor { who: None, name: "demo".into(), address: None, source: "program" };
    let fails = |e: flows::Error| Error(e.to_string());
    let (version, stored) = change_settings::load(services).await.map_err(fails)?;
    // What was set there before stays.
    let changes = changes.into_iter().filter(|edit| layers::find(&stored, &edit.key).is_none()).collect();
    match change_settings::change(services, &editor, version, changes).await.map_err(fails)? {
        Change::Wrong(faults) => {
            Err(Error(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
        }
        Change::Made(_) | Change::Conflict => Ok(()),
    }
}

/// Opens the store in the data folder; one process only can have it open.
pub async fn open_store(config: &Config) -> Result<Store, Error> {
    let folder = config.data.clone();
    let engine = tokio::task::spawn_blocking(move || SledEngine::open(&folder, &Options::default()))
        .await
        .map_err(|e| Error(e.to_string()))?
        .map_err(|e| Error(format!("the store in {}: {e}", config.data.display())))?;
    Store::open(Arc::new(engine)).await.map_err(|e| Error(e.to_string()))
}

/// Opens the store to be written to, with its keys: if it is an older program's, it is copied and migrated first.
pub async fn open_present(config: &Config) -> Result<(Store, Keyring), Error> {
    let fails = |error: &dyn std::fmt::Display| Error(error.to_string());
    let mut store = open_store(config).await?;
    let older = store.older().await.map_err(|e| fails(&e))?;
    if older.is_some() {
        // Closed, it can't change while it is copied.
        drop(store);
        let folder = config.data.clone();
        let copy = tokio::task::spawn_blocking(move || copy_closed(&folder, &copy_name()));
        let copy = copy.await.map_err(|e| fails(&e))?.map_err(|e| fails(&e))?;
        tracing::warn!(
            copy = %copy.display(),
            "the data folder is an older program's and is migrated; remove the copy of its database when all is well"
        );
        store = open_store(config).await?;
    }
    let keys = Keyring::open(&config.secret_path(), &store).await.map_err(|e| fails(&e))?;
    let was_sealed = config.head_path().exists();
    if let Some(older) = older {
        store
            .migrate(older, &keys, was_sealed)
            .await
            .map_err(|e| Error(format!("migrating the data folder: {e}")))?;
    }
    store.keep_log(&keys.audit, was_sealed).await.map_err(|e| Error(format!("the audit log: {e}")))?;
    Ok((store, keys))
}

/// Makes sure that no program has the data folder's store open.
pub fn require_unused(config: &Config) -> Result<(), Error> {
    engine::require_unused(&config.data).map_err(|e| Error(e.to_string()))
}

/// Notes the end of the audit log outside the store.
pub fn write_head(config: &Config, head: Head) -> Result<(), Error> {
    let file = config.head_path();
    write_whole(&file, &head.to_string()).map_err(|e| Error(format!("{}: {e}", file.display())))
}

/// What this process writes is nobody else's, and its memory, with passwords in it, is never written anywhere.
fn close_off() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    let undumped = rustix::process::setrlimit(Resource::Core, no_core)
        .and_then(|()| rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = undumped {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
}

/// The first line of this run in the audit log.
async fn note_start(services: &Services, is_shorter: bool) {
    let event = Event {
        at: services.clock.now(),
        outcome: if is_shorter { Outcome::Failure } else { Outcome::Success },
        source: "program".into(),
        user: String::new(),
        domain: String::new(),
        action: Action::Start,
        detail: if is_shorter { "audit log shortened".into() } else { env!("CARGO_PKG_VERSION").into() },
        source_ip: None,
        source_user: None,
        account: None,
        reference: None,
    };
    flows::note(services, event, None).await;
}

/// Makes the data folder, if it is not there.
pub fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| {
        Error(format!(
            "the data folder {}: {e}; it must be writable for the user Regain runs as",
            folder.display()
        ))
    })
}

fn limits(config: &Config) -> Limits {
    let connections = &config.connections;
    Limits {
        connections: connections.total,
        per_address: connections.per_address,
        handshake: Duration::from_secs(connections.handshake_seconds),
        header: Duration::from_secs(connections.header_seconds),
        body: Duration::from_secs(connections.body_seconds),
        idle: Duration::from_secs(connections.idle_seconds),
        request: Duration::from_secs(connections.request_seconds),
        age: Duration::from_secs(connections.age_seconds),
        ..Limits::default()
    }
}

/// Whether the audit log still has the end that was noted when the program ran before. If it has not, that is told in
/// the log and in the first event of this run: the note itself will be overwritten.
async fn holds_noted(file: &Path, services: &Services) -> bool {
    let noted = fs::read_to_string(file).ok().and_then(|text| Head::parse(&text));
    let Some(noted) = noted else { return true };
    services.verification.note(noted);
    match services.store.holds(&services.keys.audit, noted).await {
        Ok(true) => true,
        Ok(false) => {
            services.verification.misses(noted);
            tracing::error!(
                event = noted.number,
                "the audit log is not the one whose end was noted in {}: events were taken out, or an older data folder \
                 was put in its place",
                file.display()
            );
            false
        }
        Err(error) => {
            tracing::error!(%error, "the end of the audit log can't be compared with what was noted");
            true
        }
    }
}

/// Notes the end of the audit log in a file outside the database, so that it is seen if the log is ever shorter.
async fn note_head(file: &Path, services: &Services, shutdown: CancellationToken) {
    let store = &services.store;
    let (mut noted, mut seen, mut told) = (None, None, false);
    loop {
        let is_last = shutdown.run_until_cancelled(tokio::time::sleep(NOTE)).await.is_none();
        // While the store can't be used its end is not known.
        let found = if store.trouble().is_none() { store.head().await.ok().flatten() } else { None };
        // What can be read may not be durable yet, and a power cut take it back: what was there a round ago is.
        let durable = if is_last { found } else { std::mem::replace(&mut seen, found) };
        if let Some(head) = durable.filter(|head| noted != Some(*head)) {
            let (shown, file) = (file, file.to_owned());
            match tokio::task::spawn_blocking(move || write_whole(&file, &head.to_string())).await {
                Ok(Ok(())) => {
                    noted = Some(head);
                    services.verification.note(head);
                }
                Ok(Err(error)) if !told => {
                    told = true;
                    tracing::warn!(%error, file = %shown.display(), "the end of the audit log can't be noted");
                }
                Ok(Err(_)) => {}
                Err(error) => tracing::error!(%error, "noting the end of the audit log broke off"),
            }
        }
        if is_last {
            return;
        }
    }
}

/// Replaces a small file in one step.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut new, text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    fs::File::open(folder)?.sync_all()
}

/// Templates, texts and assets, with the operator's laid over them.
pub fn open_renderer(config: &Config) -> Result<Renderer, Error> {
    let place = config.overrides.clone().map(|folder| Place { folder, is_message: notify::is_template });
    Renderer::new(place).map_err(|e| Error(e.to_string()))
}

/// Takes up what changes in the operator's folder.
async fn watch_overrides(renderer: Arc<Renderer>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(WATCH)).await.is_some() {
        // As below.
        let _ = shutdown.run_until_cancelled(read_overrides(&renderer, false)).await;
    }
}

async fn read_overrides(renderer: &Arc<Renderer>, always: bool) {
    let reads = Arc::clone(renderer);
    match tokio::task::spawn_blocking(move || reads.reload(always)).await {
        Ok(Ok(true)) => {
            if let Some(Overrides { files, faults, .. }) = renderer.overrides() {
                tracing::info!(files = files.len(), faults = faults.len(), "the overrides were read again");
            }
        }
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the overrides could not be read again; the old ones stay"),
        Err(error) => tracing::error!(%error, "reading the overrides again broke off"),
    }
}

/// SIGHUP reads the certificate files and the overrides again.
async fn reload_on_hangup(
    certificates: Arc<Certificates>,
    renderer: Arc<Renderer>,
    shutdown: CancellationToken,
) {
    let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) else {
        return;
    };
    while shutdown.run_until_cancelled(hangup.recv()).await.is_some() {
        let certificates = Arc::clone(&certificates);
        let reloaded =
            tokio::task::spawn_blocking(move || certificates.reload(OffsetDateTime::now_utc())).await;
        match reloaded {
            Ok(Ok(changed)) => tracing::info!(changed, "the certificate was read again"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the certificate could not be read again; the old one stays");
            }
            Err(error) => tracing::error!(%error, "reading the certificate again broke off"),
        }
        // A disk that never answers must not hold up the end.
        let _ = shutdown.run_until_cancelled(read_overrides(&renderer, true)).await;
    }
}
