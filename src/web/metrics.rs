//! What those who watch are told, in the text format of OpenMetrics 1.0, which Prometheus reads: what was asked of the pages,
//! and how everything stands at the moment. On a listener of its own: a stranger need not know it.
//!
//! Names and units follow the conventions of Prometheus; labels have few values, and none of them is a person's.

use std::{
    fs,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use poem::{Endpoint, Request, Response, Result, http::StatusCode};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

use super::Site;
use crate::{
    domain::{flow::Kind, message::Errand},
    flows::{Error, backup, coverage, forward::Way},
};

/// Upper bounds of the classes of durations, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// The media type of what is told (OpenMetrics 1.0).
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// What was asked of the pages since the program began.
#[derive(Debug)]
pub struct Asked {
    requests: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
    errors: Family<Labels<1>, Counter>,
}

impl Default for Asked {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            errors: Family::default(),
        }
    }
}

impl Asked {
    /// Counts a request that was answered in an [`area`].
    pub(super) fn answered(&self, area: &'static str, status: StatusCode, took: Duration) {
        let area = ("area", area);
        let class = match status.as_u16() {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&[area, ("code", class)]).inc();
        self.durations.get_or_create(&[area]).observe(took.as_secs_f64());
    }

    /// Counts an error that a visitor saw, unless it was the visitor's own.
    pub(super) fn failed(&self, error: &Error) {
        if !matches!(error, Error::Refused(_)) {
            self.errors.get_or_create(&[("reason", error.code())]).inc();
        }
    }
}

/// Which part of the pages an address belongs to.
pub(super) fn area(path: &str) -> &'static str {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let parts = ["admin", "api", "assets", "healthz", "readyz", "pwreset"];
    if first.is_empty() {
        return "menu";
    }
    let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
    kinds.chain(parts).find(|known| *known == first).unwrap_or("other")
}

/// `/metrics`
pub(super) struct Metrics(pub Arc<Site>);

impl Endpoint for Metrics {
    type Output = Response;

    async fn call(&self, _request: Request) -> Result<Response> {
        let mut registry = Registry::default();
        let asked = &self.0.asked;
        registry.register("regain_http_requests", "Requests that were answered", asked.requests.clone());
        let help = "How long requests took";
        registry.register_with_unit(
            "regain_http_request_duration",
            help,
            Unit::Seconds,
            asked.durations.clone(),
        );
        registry.register(
            "regain_errors",
            "Errors that visitors saw and did not cause",
            asked.errors.clone(),
        );
        Standing(&mut registry).of(&self.0).await;
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            return Ok(StatusCode::INTERNAL_SERVER_ERROR.into());
        }
        Ok(Response::builder().content_type(MEDIA_TYPE).body(text))
    }
}

/// How things stand at the moment.
struct Standing<'a>(&'a mut Registry);

type OwnLabels = Vec<(&'static str, String)>;

impl Standing<'_> {
    /// One value.
    fn one(&mut self, name: &str, help: &str, value: f64) {
        self.0.register(name, help, ConstGauge::new(value));
    }

    /// A value for each of several things.
    fn each(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (OwnLabels, f64)>) {
        let family = Family::<OwnLabels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }

    async fn of(mut self, site: &Site) {
        let program = [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)];
        self.each("regain_build_info", "The program", program);
        let expires = seconds(site.certificates.expires_at().unix_timestamp());
        let help = "When the certificate of the pages expires";
        self.one("regain_certificate_expiry_timestamp_seconds", help, expires);
        self.events(site);
        self.store(site).await;
        self.backups(site).await;
        self.messages(site).await;
        self.directories(site).await;
        if let Err(error) = self.process(site) {
            tracing::debug!(%error, "what the process takes can't be read");
        }
    }

    fn events(&mut self, site: &Site) {
        let family = Family::<Labels<2>, Counter>::default();
        for (action, outcome, count) in site.services.store.events_written() {
            let labels = [("event", action.as_str()), ("outcome", outcome.as_str())];
            family.get_or_create(&labels).inc_by(count);
        }
        self.0.register("regain_events", "Events of the audit log since the program began", family);
        let ways = Way::ALL.into_iter().filter_map(|way| Some((way, site.services.reached.of(way)?)));
        let (mut numbers, mut troubles) = (Vec::new(), Vec::new());
        for (way, far) in ways {
            let labels = vec![("way", way.as_str().to_owned())];
            numbers.push((labels.clone(), number(far.number)));
            troubles.push((labels, flag(far.trouble.is_some())));
        }
        self.each("regain_forwarded_event", "The number of the last event that was sent on", numbers);
        self.each("regain_forward_failing", "Whether events can't be sent on", troubles);
    }

    async fn store(&mut self, site: &Site) {
        let store = &site.services.store;
        self.one(
            "regain_store_writable",
            "Whether the store can be written to",
            flag(store.trouble().is_none()),
        );
        if let Ok(room) = store.room().await {
            self.one("regain_store_size_bytes", "What the store takes on the disk", number(room.taken));
            self.one("regain_store_free_bytes", "What is left on its disk", number(room.left));
        }
        if let Ok(head) = store.head().await {
            let last = number(head.map_or(0, |head| head.number));
            self.one("regain_audit_last_event", "The number of the last event of the audit log", last);
        }
        let waiting = number(site.services.hashing.waiting());
        self.one("regain_hashes_waiting", "Answers that wait to be hashed", waiting);
    }

    async fn backups(&mut self, site: &Site) {
        if let Ok(Some(last)) = backup::last_made(&site.services).await {
            let at = last.map_or(0.0, |made| seconds(made.at.millis() / 1000));
            let help = "When the last backup of the day was begun; 0 if none was made yet";
            self.one("regain_backup_last_success_timestamp_seconds", help, at);
        }
    }

    async fn messages(&mut self, site: &Site) {
        if let Ok(errands) = site.services.store.page::<Errand>(None, 1).await {
            let now = site.services.clock.now();
            let age = errands.first().map_or(0.0, |(_, errand)| now.since(errand.queued_at).as_secs_f64());
            let help = "How long the oldest message waits that was not sent yet";
            self.one("regain_oldest_message_age_seconds", help, age);
        }
    }

    async fn directories(&mut self, site: &Site) {
        let directories = site.services.directories.load_full();
        let controllers = directories.iter().flat_map(|directory| {
            let domain = directory.domain().name.to_string();
            directory.controllers().into_iter().map(move |(controller, answers)| {
                (vec![("domain", domain.clone()), ("controller", controller)], flag(answers))
            })
        });
        let help = "Whether a domain controller answered when it was last asked";
        self.each("regain_directory_controller_up", help, controllers);
        let Ok(coverage) = coverage::last(&site.services).await else { return };
        let (mut permitted, mut enrolled) = (Vec::new(), Vec::new());
        for of in coverage.domains {
            if let Some(count) = of.count {
                let labels = vec![("domain", of.domain)];
                permitted.push((labels.clone(), number(count.permitted as u64)));
                enrolled.push((labels, number(count.enrolled as u64)));
            }
        }
        self.each("regain_people_permitted", "People who may enroll, as last counted", permitted);
        self.each("regain_people_enrolled", "Those of them who have enrolled, as last counted", enrolled);
    }

    /// What Prometheus's own libraries tell of a process, by the same names; from proc(5).
    fn process(&mut self, site: &Site) -> std::io::Result<()> {
        let began = site.began_at.millis() / 1000;
        self.one("process_start_time_seconds", "When the program began to serve", seconds(began));
        let mut files = 0.0;
        for _ in fs::read_dir("/proc/self/fd")? {
            files += 1.0;
        }
        self.one("process_open_fds", "Open file descriptors", files);
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.one("process_max_fds", "The most there may be", most.map_or(f64::INFINITY, number));
        let statm = fs::read_to_string("/proc/self/statm")?;
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        let resident = number(pages * rustix::param::page_size() as u64);
        self.one("process_resident_memory_bytes", "Memory that is held", resident);
        let stat = fs::read_to_string("/proc/self/stat")?;
        // The name of the program may hold blanks: what follows is counted from behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
        let took = number(ticks(11) + ticks(12)) / number(rustix::param::clock_ticks_per_second());
        let cpu = Counter::<f64, AtomicU64>::default();
        cpu.inc_by(took);
        self.0.register("process_cpu_seconds", "Time of processors that was taken", cpu);
        Ok(())
    }
}

const fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts beyond 2^53")]
const fn number(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts beyond 2^53")]
const fn seconds(seconds: i64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_few_whatever_is_asked_for() {
        for (path, is) in [
            ("/", "menu"),
            ("/reset", "reset"),
            ("/admin/settings/mail", "admin"),
            ("/api/enrollments/CORP/mary", "api"),
            ("/pwreset/apr.dll", "pwreset"),
            ("/resets", "other"),
            ("/wp-login.php", "other"),
        ] {
            assert_eq!(area(path), is);
        }
    }
}
