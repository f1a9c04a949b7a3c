//! The benchmark: `cargo bench --bench regain`, or `tests/bench/run`, which also starts a domain controller for the
//! part that needs one. It starts the program that is shipped and prints what it does beside what it is to do.
//!
//! Figures are of the machine it runs on, load generator included; ratios are of two things measured in the same run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a bench")]
#![allow(missing_docs, dead_code, reason = "shares modules with the end-to-end tests and uses parts of them")]

#[path = "../e2e/support/certificate.rs"]
mod certificate;
mod console;
mod directory;
#[path = "../e2e/support/domain.rs"]
mod domain;
mod export;
#[path = "../e2e/support/http.rs"]
mod http;
mod mail;
#[path = "../e2e/support/mail_server.rs"]
mod mail_server;
mod pages;
mod panel;
mod server;
mod store;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use directory::{Deed, Person};
use domain::Domain;
use mail_server::MailServer;
use pages::{Browser, menus};
use regain::{
    domain::{audit::EventColumn, filter::Search},
    report::export::Format,
};
use server::{NO_DOMAIN, Server, processor_time};
use tokio::sync::Barrier;

/// The table, line by line as it comes to be.
struct Table;

impl Table {
    fn title(text: &str) {
        println!("\n{text}");
    }

    /// What was measured, and the target it is to stay below, or above.
    fn below(what: &str, measured: f64, unit: &str, target: f64) {
        Self::line(what, measured, unit, &format!("at most {target}"), measured <= target);
    }

    fn above(what: &str, measured: f64, unit: &str, target: f64) {
        Self::line(what, measured, unit, &format!("at least {target}"), measured >= target);
    }

    fn line(what: &str, measured: f64, unit: &str, target: &str, good: bool) {
        println!("  {what:<62}{measured:>10.3} {unit:<9}{target:<16}{}", if good { "met" } else { "MISSED" });
    }

    fn plain(what: &str, measured: f64, unit: &str) {
        println!("  {what:<62}{measured:>10.3} {unit}");
    }
}

fn scratch(name: &str) -> tempfile::TempDir {
    // On the disk that is built on: a folder for temporary files may be in memory.
    tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn main() {
    let cores = std::thread::available_parallelism().unwrap();
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    println!("regain on {cores} cores, load before: {}", load.trim());
    // `cargo bench --bench regain -- menu store`: only these parts.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wants("menu") {
            menu().await;
        }
        if wants("store") {
            durable_commits().await;
        }
        if wants("million") {
            million().await;
        }
        if wants("console") {
            data_console().await;
            panel::measure().await;
        }
        if wants("mail") {
            mails().await;
        }
        if wants("answers") {
            answers().await;
        }
        if wants("export") {
            exports().await;
        }
        if wants("directory") {
            whole_flows().await;
        }
    });
    println!("\nload after: {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
async fn menu() {
    Table::title("The menu page over TLS, 32 kept connections, and an empty store");
    let data = scratch("menu-");
    let mut starts = Vec::new();
    for _ in 0..5 {
        let empty = scratch("menu-");
        starts.push(Server::start(empty.path(), NO_DOMAIN).await.first_page);
    }
    starts.sort();
    Table::below("start to first page, empty store (of 5 the third)", milliseconds(starts[2]), "ms", 100.0);
    let server = Server::start(data.path(), NO_DOMAIN).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Table::below("resident, idle", server.resident(), "MiB", 20.0);
    let for_long = |seconds| {
        let end = Instant::now() + Duration::from_secs(seconds);
        move || Instant::now() > end
    };
    menus(server.port, 32, Duration::ZERO, for_long(1)).await;
    let (before, own_before) = (server.processor_time(), processor_time("self"));
    let mut menus = menus(server.port, 32, Duration::ZERO, for_long(5)).await;
    let (used, own) =
        (server.processor_time().saturating_sub(before), processor_time("self").saturating_sub(own_before));
    let pages = menus.count() as f64;
    Table::above("pages a second, load generator included", menus.rate(), "/s", 15_000.0);
    Table::below("server's processor time a page", milliseconds(used) / pages, "ms", 0.08);
    Table::plain("load generator's processor time a page", milliseconds(own) / pages, "ms");
    Table::plain("99 of 100 pages within", milliseconds(menus.p99()), "ms");
    Table::plain("resident after that", server.resident(), "MiB");
}

async fn durable_commits() {
    Table::title("Durable commits of a KiB, and the disk's own rate of write and fdatasync (three rounds)");
    let folder = scratch("commits-");
    let time = Duration::from_secs(2);
    let (mut appends, mut in_place, mut one, mut many) = (0.0, 0.0, 0.0, 0.0);
    for _ in 0..3 {
        appends += store::syncs_a_second(folder.path(), true, time) / 3.0;
        in_place += store::syncs_a_second(folder.path(), false, time) / 3.0;
        one += store::commits_a_second(folder.path(), 1, time).await / 3.0;
        many += store::commits_a_second(folder.path(), 32, time).await / 3.0;
    }
    Table::plain("the disk's syncs, appending", appends, "/s");
    Table::plain("the disk's syncs, in place", in_place, "/s");
    // A store grows as a log does; in place the file system has less to do, which shows what is left to be gained.
    for (callers, commits) in [("1 caller", one), ("32 callers", many)] {
        Table::plain(&format!("commits of {callers}"), commits, "/s");
        Table::above(&format!("commits of {callers} / syncs, appending"), commits / appends, "", 0.5);
        Table::plain(&format!("commits of {callers} / syncs, in place"), commits / in_place, "");
    }
}

async fn million() {
    Table::title("A million enrollments of a KiB");
    let data = store::million().await;
    let server = Server::start(&data, NO_DOMAIN).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Table::below("start to first page", milliseconds(server.first_page), "ms", 3000.0);
    Table::below("resident", server.resident(), "MiB", 128.0);
    Table::plain("resident at most so far", server.peak(), "MiB");
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
async fn data_console() {
    Table::title("Five million events and a million enrollments: the store alone");
    let data = console::folder().await;
    let before = server::memory("self", "VmRSS:");
    let began = Instant::now();
    let store = console::open(&data).await;
    Table::plain("opening", milliseconds(began.elapsed()), "ms");
    Table::plain("resident, more than before", server::memory("self", "VmRSS:") - before, "MiB");
    for filter in [
        "",
        "at within last_7_days",
        "at from 2026-03-01 and at before 2026-03-02",
        "domain like LAB and source like admin",
        "event in (reset) and outcome in (failure)",
        "user like user0123456",
        "user like USER0123456 and at within last_30_days",
        "source_ip like 10.1.2.3",
    ] {
        let (time, _, _) = console::time_of(&store, &console::first_page(filter)).await;
        Table::below(&format!("first page of \"{filter}\""), milliseconds(time), "ms", 100.0);
    }
    for (filter, by) in [
        ("user like *123*", EventColumn::At),
        ("detail like *wrong* and (source_ip like 10.2.* or not user like user0*)", EventColumn::SourceIp),
        ("reference like *ABC* or user like *77", EventColumn::User),
        ("", EventColumn::User),
    ] {
        let search = Search { by, ..console::first_page(filter) };
        let (time, rows, matches) = console::time_of(&store, &search).await;
        let what = format!("\"{filter}\" by {by:?}: {rows} rows of {matches:?}");
        Table::below(&what, milliseconds(time), "ms", 2000.0);
        let began = Instant::now();
        store.count_matches(&search.filter, &|_, _| {}).await.unwrap();
        Table::below("  and counted", milliseconds(began.elapsed()), "ms", 2000.0);
    }
    let began = Instant::now();
    store.count_events(0..=100_000).await.unwrap();
    Table::below("counts of each day", milliseconds(began.elapsed()), "ms", 100.0);
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
async fn answers() {
    const VISITORS: usize = 2000;
    Table::title("2,000 answers to be checked at once");
    let data = scratch("answers-");
    let cookies = store::questions_asked(data.path(), VISITORS).await;
    let server = Server::start(data.path(), NO_DOMAIN).await;
    let port = server.port;
    let barrier = Arc::new(Barrier::new(VISITORS + 1));
    let visitors: Vec<_> = cookies
        .into_iter()
        .map(|cookie| {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                let mut browser = Browser::open(port).await.unwrap();
                browser.remember(cookie);
                let page = browser.get("/reset").await;
                assert_eq!(page.step(), "reset/question");
                barrier.wait().await;
                let asked = Instant::now();
                (browser.submit(&page, &[("answer", "certainly not")]).await.status, asked.elapsed())
            })
        })
        .collect();
    barrier.wait().await;
    let before = server.resident();
    server.forget_peak();
    let over = Arc::new(AtomicBool::new(false));
    let enough = {
        let over = Arc::clone(&over);
        move || over.load(Ordering::Relaxed)
    };
    let menus = tokio::spawn(menus(port, 4, Duration::from_millis(20), enough));
    let mut by_status = BTreeMap::<u16, (usize, Duration)>::new();
    for visitor in visitors {
        let (status, took) = visitor.await.unwrap();
        let entry = by_status.entry(status).or_default();
        *entry = (entry.0 + 1, entry.1.max(took));
    }
    over.store(true, Ordering::Relaxed);
    let mut menus = menus.await.unwrap();
    for (status, (count, longest)) in by_status {
        Table::plain(&format!("answered {status} (the last within {longest:.1?})"), count as f64, "");
    }
    Table::plain("resident before, with 2,000 connections", before, "MiB");
    Table::below("resident at most meanwhile", server.peak(), "MiB", 256.0);
    Table::below("menu meanwhile: 99 of 100 pages within", milliseconds(menus.p99()), "ms", 200.0);
}

async fn mails() {
    const MAILS: usize = 10_000;
    Table::title("Mails: 10,000 that wait, beside a bare loop over one kept connection");
    let data = scratch("mail-");
    let (alone, with_alert) = mail::commits(data.path(), Duration::from_secs(3)).await;
    Table::plain("a durable event", alone, "ms");
    Table::below("what an alert adds to it", with_alert - alone, "ms", 1.0);
    let data = scratch("mail-");
    mail::queue(data.path(), MAILS).await;
    let sink = MailServer::start(&["--count"]);
    let bare = mail::bare(&sink, 3000).await;
    let before = sink.count();
    let server = Server::start(data.path(), &format!("{NO_DOMAIN}{}", mail::settings(&sink))).await;
    let began = Instant::now();
    while sink.count() < before + MAILS {
        assert!(began.elapsed() < Duration::from_secs(300), "{} were sent", sink.count() - before);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    #[allow(clippy::cast_precision_loss, reason = "counts are small")]
    let ours = MAILS as f64 / began.elapsed().as_secs_f64();
    drop(server);
    Table::plain("mails a second, bare", bare, "/s");
    Table::plain("mails a second, from the outbox", ours, "/s");
    Table::above("outbox / bare", ours / bare, "", 0.7);
}

async fn exports() {
    Table::title("Exports of a million rows of nine columns, in this process");
    for format in Format::ALL {
        let name = format.as_str();
        let cost = export::export(format).await;
        Table::plain(&format!("{name}: rows a second"), cost.rate, "/s");
        Table::plain(&format!("{name}: size of the file"), cost.size, "MiB");
        Table::below(&format!("{name}: growth at most"), cost.growth, "MiB", 50.0);
    }
}

async fn whole_flows() {
    Table::title("Changes and resets, the pages beside a bare program (three rounds)");
    if !std::env::vars_os().any(|(name, _)| name == "REGAIN_TEST_DOMAIN") {
        println!("  left out: there is no test domain; tests/bench/run starts one");
        return;
    }
    let domain = Domain::shared();
    let data = scratch("flows-");
    let time = Duration::from_secs(9);
    let mut people = Vec::new();
    let mut server = Server::start(data.path(), &directory::settings(domain, 0)).await;
    for _ in 0..64 {
        people.push(Person::enrolled(domain, server.port).await);
    }
    let mut bare_at_8 = BTreeMap::new();
    for (name, deed) in [("changes", Deed::Change), ("resets", Deed::Reset)] {
        for users in [1, 8] {
            let (mut ours, mut bare) = (0.0, 0.0);
            for _ in 0..3 {
                ours +=
                    directory::rate(domain, &mut people, users, deed, Some(server.port), time).await / 3.0;
                bare += directory::rate(domain, &mut people, users, deed, None, time).await / 3.0;
            }
            Table::plain(&format!("{name}, {users} at a time: bare"), bare, "/s");
            Table::plain(&format!("{name}, {users} at a time: pages"), ours, "/s");
            Table::above(&format!("{name}, {users} at a time: pages / bare"), ours / bare, "", 0.9);
            bare_at_8.insert(name, bare);
        }
    }
    drop(server);
    server = Server::start(data.path(), &directory::settings(domain, 250)).await;
    for (name, deed) in [("changes", Deed::Change), ("resets", Deed::Reset)] {
        let time = Duration::from_secs(36);
        let ours = directory::rate(domain, &mut people, 64, deed, Some(server.port), time).await;
        Table::plain(&format!("{name}, 64 at a time with the deadline: pages"), ours, "/s");
        Table::above(
            &format!("{name}, 64 at a time with the deadline / bare, 8 at a time"),
            ours / bare_at_8[name],
            "",
            0.9,
        );
    }
    drop(server);
    let _ = fs::remove_dir_all(Path::new(data.path()));
}
