//! The whole program in one process, on a folder of its own.

use std::{
    net::IpAddr,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use poem::{Endpoint as _, EndpointExt as _, Request, Response, endpoint::BoxEndpoint};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{
    clock::ManualClock,
    directory::{DirectoryMood, MoodyDirectory},
    engine::{MoodyEngine, StoreMood},
    visitor::Visitor,
};
use crate::{
    directory::{
        Directory,
        demo::{DemoDirectory, SAMPLE_USERS, SampleUser, Standing},
    },
    domain::{
        account::{Account, AccountKey, LogonName},
        audit::Event,
        clock::Clock,
        enrollment::Enrollment,
        lockout::{Subject, Tally},
        message::Message,
        secret::Key,
    },
    flows::{
        Services,
        attempt::Turns,
        backup, certificate, change_settings,
        forward::Reached,
        hashing::HashPool,
        import,
        outbox::{self, Outbox},
        rounds,
        verify::Verification,
    },
    jobs,
    notify::{self, Notifier},
    passkeys::Passkeys,
    render::{Place, Renderer},
    report,
    settings::{Settings, layers::Fixed},
    store::{
        Found, Store,
        engine::{Batch, Engine, Options, SledEngine},
        keyring::Keyring,
    },
    tls::{self, Certificates},
    web::{self, ApiLimits, Site, limit::AddressLimits},
};

/// The name the program answers to.
pub const HOST: &str = "reset.demo.example";

/// How a program under test is to be set up.
pub struct Setup {
    settings: Settings,
    domains: usize,
    demo: bool,
    delivers: bool,
    hash_queue: usize,
    fixed: Fixed,
    overrides: Option<TempDir>,
}

impl Setup {
    /// Has a folder of overrides, with these files in it.
    #[must_use]
    pub fn with_overrides(mut self, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            write(&folder, file, text);
        }
        self.overrides = Some(folder);
        self
    }

    /// Has these settings fixed by its configuration.
    #[must_use]
    pub fn with_fixed(mut self, settings: &str) -> Self {
        self.fixed.table = settings.parse().unwrap();
        self
    }

    /// Changes the settings it starts with.
    #[must_use]
    pub fn with_settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Serves the domain DEMO only.
    #[must_use]
    pub const fn with_one_domain(mut self) -> Self {
        self.domains = 1;
        self
    }

    /// Says on every page that this is a demonstration.
    #[must_use]
    pub const fn as_demo(mut self) -> Self {
        self.demo = true;
        self
    }

    /// Delivers messages as the settings say, instead of keeping them.
    #[must_use]
    pub const fn with_delivery(mut self) -> Self {
        self.delivers = true;
        self
    }

    /// Lets so many hashes be computed or wait at a time.
    #[must_use]
    pub const fn with_hash_queue(mut self, longest: usize) -> Self {
        self.hash_queue = longest;
        self
    }

    /// Starts it.
    pub async fn start(self) -> TestApp {
        let clock = Arc::new(ManualClock::default());
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let directories = DemoDirectory::sample_domains(&as_clock, &Key::new([7; 32]))
            .into_iter()
            .take(self.domains)
            .map(|demo| Arc::new(MoodyDirectory::new(demo)))
            .collect();
        let app = TestApp {
            shared: Arc::new(Shared {
                folder: Mutex::new(Arc::new(tempfile::tempdir().unwrap())),
                clock,
                directories,
                store_mood: Arc::default(),
                settings: Mutex::new(self.settings),
                demo: self.demo,
                delivers: self.delivers,
                hash_queue: self.hash_queue,
                fixed: self.fixed,
                overrides: self.overrides,
                running: RwLock::new(None),
            }),
        };
        app.start().await;
        app
    }

    /// Starts it, and brings one of the sample users along.
    pub async fn with_user(self, name: &str) -> (TestApp, Visitor) {
        let app = self.start().await;
        let user = app.visitor(name);
        (app, user)
    }
}

/// A running program.
#[derive(Clone)]
pub struct TestApp {
    shared: Arc<Shared>,
}

struct Shared {
    folder: Mutex<Arc<TempDir>>,
    clock: Arc<ManualClock>,
    directories: Vec<Arc<MoodyDirectory>>,
    store_mood: Arc<Mutex<StoreMood>>,
    settings: Mutex<Settings>,
    demo: bool,
    delivers: bool,
    hash_queue: usize,
    fixed: Fixed,
    overrides: Option<TempDir>,
    running: RwLock<Option<Running>>,
}

#[derive(Clone)]
struct Running {
    site: Arc<Site>,
    engine: Arc<dyn Engine>,
    pages: Arc<BoxEndpoint<'static, Response>>,
}

impl TestApp {
    /// Cheap hashes, replies at once, no limits but those a test sets.
    #[expect(clippy::new_ret_no_self, reason = "what is new here is the set-up of one")]
    pub fn new() -> Setup {
        let mut settings = Settings::default();
        settings.security.hash_memory_kib = 8;
        settings.security.hash_passes = 1;
        settings.security.reply_deadline_ms = 0;
        settings.limits.requests_per_address_per_minute = 0;
        settings.limits.requests_per_second_overall = 0;
        settings.limits.starts_per_account_per_hour = 0;
        let fixed = Fixed::default();
        Setup { settings, domains: 2, demo: false, delivers: false, hash_queue: 1024, fixed, overrides: None }
    }

    async fn start(&self) {
        let folder = self.folder();
        let engine = tokio::task::spawn_blocking(move || {
            SledEngine::open(&folder, &Options { cache: 1 << 20, reserve: 0, least_free: 0 })
        });
        let engine = MoodyEngine::new(engine.await.unwrap().unwrap(), Arc::clone(&self.shared.store_mood));
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let store = Store::open(Arc::clone(&engine)).await.unwrap();
        let keys = Keyring::open(&self.folder().join("secret"), &store).await.unwrap();
        store.keep_log(&keys.audit, false).await.unwrap();
        let directories = self.shared.directories.iter().map(|one| Arc::clone(one) as Arc<dyn Directory>);
        let place = self
            .shared
            .overrides
            .as_ref()
            .map(|folder| Place { folder: folder.path().to_owned(), is_message: notify::is_template });
        let renderer = Arc::new(Renderer::new(place).unwrap());
        let certificates = self.certificates().await;
        let services = Services {
            directories: ArcSwap::from_pointee(directories.collect::<Vec<_>>()),
            connect: {
                let all: Vec<Arc<dyn Directory>> =
                    self.shared.directories.iter().map(|one| Arc::clone(one) as _).collect();
                Box::new(move |_| Ok(all.clone()))
            },
            fixed: self.shared.fixed.clone(),
            store,
            keys: Arc::new(keys),
            clock: Arc::clone(&self.shared.clock) as Arc<dyn Clock>,
            hashing: HashPool::new(2, self.shared.hash_queue),
            settings: ArcSwap::from_pointee(
                self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ),
            notifier: if self.shared.delivers {
                Notifier::new(Arc::clone(&renderer))
            } else {
                Notifier::of_demo(Arc::clone(&renderer), Arc::clone(&self.shared.clock) as Arc<dyn Clock>)
            },
            host: HOST.into(),
            passkeys: Passkeys::new(&format!("https://{HOST}"), "Regain").ok(),
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
        if change_settings::load(&services).await.unwrap().0 > 0 {
            change_settings::adopt(&services).await.unwrap();
        }
        let site = Arc::new(Site {
            services: Arc::new(services),
            renderer,
            limits: AddressLimits::default(),
            noted: AddressLimits::default(),
            trials: AddressLimits::default(),
            api: ApiLimits::default(),
            api_apart: false,
            desk: report::desk::Desk::default(),
            asked: web::Asked::default(),
            looks: web::Looks::default(),
            drafts: web::Drafts::default(),
            certificates,
            hosts: vec![HOST.to_owned()],
            began_at: self.shared.clock.now(),
            demo: self.shared.demo,
        });
        let pages = Arc::new(web::routes(Arc::clone(&site)).map_to_response().boxed());
        *self.shared.running.write().unwrap() = Some(Running { site, engine, pages });
    }

    async fn certificates(&self) -> Arc<Certificates> {
        let source = tls::Source::SelfSigned { names: vec![HOST.to_owned()], folder: self.folder() };
        let now = OffsetDateTime::from_unix_timestamp(self.shared.clock.now().millis() / 1000).unwrap();
        tokio::task::spawn_blocking(move || Certificates::open(source, now)).await.unwrap().unwrap()
    }

    /// Stops it as it should be stopped, and starts it again on the same folder.
    pub async fn restart(&self) {
        self.stop().await;
        self.start().await;
    }

    /// Starts it again on what a power cut now would leave behind.
    pub async fn crash(&self) {
        let left = tempfile::tempdir().unwrap();
        copy(&self.folder(), left.path());
        self.stop().await;
        *self.shared.folder.lock().unwrap() = Arc::new(left);
        self.start().await;
    }

    async fn stop(&self) {
        let running = self.shared.running.write().unwrap().take().unwrap();
        let site = Arc::downgrade(&running.site);
        let services = Arc::downgrade(&running.site.services);
        drop(running);
        while site.strong_count() + services.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn running(&self) -> Running {
        self.shared.running.read().unwrap().clone().unwrap()
    }

    pub(super) async fn call(&self, request: Request) -> Response {
        self.running().pages.get_response(request).await
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.shared.folder.lock().unwrap().path().to_owned()
    }

    /// Someone writes a file in the folder of overrides, which is noticed.
    pub fn overrides(&self, file: &str, text: &str) {
        write(self.shared.overrides.as_ref().unwrap(), file, text);
        assert!(self.site().renderer.reload(false).unwrap());
    }

    /// Its clock.
    pub fn clock(&self) -> &ManualClock {
        &self.shared.clock
    }

    /// Lets time go by.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// What the pages work with.
    pub fn site(&self) -> Arc<Site> {
        self.running().site
    }

    /// Changes settings while it runs, and for later starts.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.shared.settings.lock().unwrap();
        change(&mut settings);
        self.site().services.settings.store(Arc::new(settings.clone()));
    }

    /// The directory of a domain, by its NetBIOS name.
    pub fn directory(&self, domain: &str) -> &MoodyDirectory {
        self.shared.directories.iter().find(|one| one.domain().netbios == domain).unwrap()
    }

    /// All directories behave like that from now on.
    pub fn directories_behave(&self, mood: DirectoryMood) {
        self.shared.directories.iter().for_each(|one| one.behave(mood));
    }

    /// A sample user of DEMO stands otherwise in the directory from now on.
    pub fn becomes(&self, name: &str, standing: Standing) {
        let user = SAMPLE_USERS.iter().find(|user| user.domain == "DEMO" && user.name == name).unwrap();
        let demo = self.directory("DEMO").demo();
        assert!(demo.remove(name));
        demo.add(&SampleUser { standing, ..*user }, 0);
    }

    /// The store behaves like that from now on.
    pub fn store_behaves(&self, mood: StoreMood) {
        *self.shared.store_mood.lock().unwrap() = mood;
    }

    /// Someone who can write to the disk puts a text in the place of another one, wherever that is in the store.
    pub async fn is_forged(&self, text: &str, other: &str) {
        let engine = self.running().engine;
        let all = engine.scan(Bound::Unbounded, Bound::Unbounded, usize::MAX).await.unwrap();
        for (key, value) in all {
            let at = value.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = at {
                let forged = [&value[..at], other.as_bytes(), &value[at + text.len()..]].concat();
                engine.commit(Batch::new().put(key, forged)).await.unwrap();
            }
        }
    }

    /// One round of what happens without anybody asking.
    pub async fn run_jobs(&self) {
        let done = CancellationToken::new();
        done.cancel();
        let services = Arc::clone(&self.site().services);
        jobs::run(services, done).await;
    }

    /// Sends what is due; gives all that was sent since the start, oldest first.
    pub async fn sent(&self) -> Vec<Message> {
        let services = Arc::clone(&self.site().services);
        // What an alert leads to is queued behind it.
        for _ in 0..2 {
            outbox::deliver(&services, &CancellationToken::new()).await.unwrap();
        }
        let mut kept = services.notifier.kept().unwrap();
        kept.reverse();
        kept.into_iter().map(|kept| kept.message).collect()
    }

    /// The codes that were sent since the start, each with where it went, oldest first.
    pub async fn codes(&self) -> Vec<(String, String)> {
        let sent = self.sent().await;
        let length = self.site().services.settings.load().codes.length;
        let codes = sent.iter().filter_map(|message| {
            let code = match message {
                Message::Sms(sms) => sms.code.clone(),
                Message::Mail(mail) => code_in(&mail.text, length)?,
            };
            Some((message.to().to_owned(), code))
        });
        codes.collect()
    }

    /// The code that was sent last.
    pub async fn latest_code(&self) -> String {
        self.codes().await.pop().expect("no code was sent").1
    }

    /// Someone with a browser of their own, who goes by that name in DEMO.
    pub fn visitor(&self, name: &str) -> Visitor {
        Visitor::new(self.clone(), name)
    }

    /// The account of that name in a domain, as the directory has it.
    pub async fn account_in(&self, domain: &str, name: &str) -> Account {
        let directory = self.directory(domain).demo();
        directory.find(&LogonName::Sam(name.to_owned())).await.unwrap().unwrap()
    }

    /// The account of that name in DEMO.
    pub async fn account(&self, name: &str) -> Account {
        self.account_in("DEMO", name).await
    }

    /// The enrollment of an account.
    pub async fn enrollment(&self, key: &AccountKey) -> Option<Enrollment> {
        self.site().services.store.find::<Enrollment>(key).await.unwrap().map(Found::into_inner)
    }

    /// What is counted against an account.
    pub async fn tally(&self, key: &AccountKey) -> Tally {
        let subject = Subject::Known(key.clone());
        let found = self.site().services.store.find::<Tally>(&subject).await.unwrap();
        found.map(Found::into_inner).unwrap_or_default()
    }

    /// The audit log, oldest first.
    pub async fn events(&self) -> Vec<Event> {
        let events = self.site().services.store.events_after(0, 100_000).await.unwrap();
        events.into_iter().map(|numbered| numbered.event).collect()
    }
}

/// The code in a mail: a word of so many digits.
fn code_in(text: &str, length: usize) -> Option<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| word.len() == length && word.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
}

/// An address of documentation (RFC 5737), different for each number.
pub(super) fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

fn write(folder: &TempDir, file: &str, text: &str) {
    let file = folder.path().join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
