//! The data console as people use it: over HTTPS, signed in, while others ask for the menu; and its exports.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use regain::{
    domain::clock::{Clock as _, SystemClock, Timestamp},
    report::export::Format,
};

use super::{
    NO_DOMAIN, Table, console,
    http::{Page, form},
    milliseconds,
    pages::{Browser, Menus, menus},
    scratch,
    server::{self, Server},
};

const PASSWORD: &str = "A-Long-Enough-Passphrase";
/// Visitors who ask for the menu.
const VISITORS: usize = 2;
/// What each of them waits between two pages while questions are asked: some 1,500 pages a second.
const PAUSE: Duration = Duration::from_millis(1);

/// What is answered within 100 ms: by date, user, domain, source or type.
const QUICK: [(&str, &str); 14] = [
    ("events", ""),
    ("events", "at within last_7_days"),
    ("events", "user like user0123456"),
    ("events", "user like user0123456 and at within last_30_days"),
    ("events", "domain like LAB"),
    ("events", "domain like LAB and source like admin"),
    ("events", "event in (reset)"),
    ("events", "event in (reset) and outcome in (failure)"),
    ("events", "source_ip like 10.1.2.3"),
    ("users", ""),
    ("users", "enrolled within last_7_days"),
    ("users", "user like user0123456"),
    ("users", "domain like corp.example"),
    ("users", "state in (enrolled)"),
];

/// What may take longer.
const ARBITRARY: [(&str, &str, &str); 9] = [
    ("events", "user like user01234*", ""),
    ("events", "source_ip like 10.1.2.*", ""),
    ("users", "user like user01234*", ""),
    ("events", "user like *123* and detail like *wrong*", ""),
    ("events", "user like *1234567*", ""),
    ("events", "detail like *wrong* and (source_ip like 10.2.* or not user like user0*)", "source_ip"),
    ("events", "reference like *ABC* or user like *77", "user"),
    ("users", "user like *4567* and not user like *9", ""),
    ("users", "user like *77 or account like *abc*", "account"),
];

/// Measures all of it.
pub async fn measure() {
    Table::title("Five million events and a million enrollments: the panel over HTTPS");
    let data = scratch("panel-");
    console::copy(&console::folder().await, data.path());
    let server = Server::start(data.path(), NO_DOMAIN).await;
    Table::below("start to first page", milliseconds(server.first_page), "ms", 3000.0);
    let mut browser = sign_in(&server).await;
    let overview = Instant::now();
    let page = browser.get("/admin").await;
    assert_eq!(page.status, 200);
    whole(&mut browser, page).await;
    Table::plain("first overview, whole", milliseconds(overview.elapsed()), "ms");
    let before = server.resident();
    Table::plain("resident after that", before, "MiB");
    server.forget_peak();
    for (table, filter) in QUICK {
        let (first, _) = ask(&mut browser, table, filter, "").await;
        Table::below(&format!("{table}: \"{filter}\""), milliseconds(first), "ms", 100.0);
    }
    let mut alone = menus(server.port, VISITORS, Duration::ZERO, for_long(Duration::from_secs(3))).await;
    told("menu alone", &mut alone, None);
    let over = Arc::new(AtomicBool::new(false));
    let enough = {
        let over = Arc::clone(&over);
        move || over.load(Ordering::Relaxed)
    };
    let visitors = tokio::spawn(menus(server.port, VISITORS, PAUSE, enough));
    for (table, filter, by) in ARBITRARY {
        let (first, all) = ask(&mut browser, table, filter, by).await;
        let what = format!("{table}: \"{filter}\"{}{by}", if by.is_empty() { "" } else { " by " });
        Table::plain(&format!("{what}: first answer"), milliseconds(first), "ms");
        Table::below(&format!("{what}: whole"), milliseconds(all), "ms", 2000.0);
    }
    over.store(true, Ordering::Relaxed);
    told("menu meanwhile", &mut visitors.await.unwrap(), Some(50.0));
    Table::below("memory at most, more than after the overview", server.peak() - before, "MiB", 50.0);
    exports(&server, &mut browser, before).await;
    backup(&server, data.path(), before).await;
    drop(server);
    on_the_console(data.path()).await;
}

/// Signs in by the link that the program shows at its first start.
async fn sign_in(server: &Server) -> Browser {
    let log = server.log();
    let at = log.rfind("/admin/setup/").expect("a link on the console");
    let mut browser = Browser::open(server.port).await.unwrap();
    let page = browser.get(log[at..].split_whitespace().next().unwrap()).await;
    let fields = [("username", "admin"), ("new_password", PASSWORD), ("confirm_password", PASSWORD)];
    let page = browser.submit(&page, &fields).await;
    let key = page.says("class=\"typed\"").unwrap_or_else(|| panic!("{}", page.text())).replace(' ', "");
    let made = Command::new("oathtool").args(["--totp", "--base32", &key]).output().unwrap();
    let page = browser.submit(&page, &[("code", String::from_utf8(made.stdout).unwrap().trim())]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    browser
}

/// Asks again, as a browser is told to, until the page is whole.
async fn whole(browser: &mut Browser, mut page: Page) -> Page {
    while page.text().contains("http-equiv=\"refresh\" content=\"1\"") {
        tokio::time::sleep(Duration::from_secs(1)).await;
        page = browser.get(&page.path).await;
    }
    assert_eq!(page.status, 200, "{}", page.path);
    page
}

/// How long the first answer takes, and the whole one.
async fn ask(browser: &mut Browser, table: &str, filter: &str, by: &str) -> (Duration, Duration) {
    let mut fields = vec![("q", filter)];
    if !by.is_empty() {
        fields.push(("sort", by));
    }
    let began = Instant::now();
    let page = browser.get(&format!("/admin/{table}?{}", form(&fields))).await;
    let first = began.elapsed();
    assert!(page.status == 200 && page.text().contains("<table"), "{}: {}", page.path, page.text());
    let page = whole(browser, page).await;
    let all = began.elapsed();
    // Not what is said instead of rows: that the filter is wrong, or that others are searching.
    assert!(page.text().contains("class=\"table-foot\""), "{}: {}", page.path, page.text());
    (first, all)
}

fn for_long(time: Duration) -> impl Fn() -> bool + Clone + Send + 'static {
    let end = Instant::now() + time;
    move || Instant::now() > end
}

fn told(what: &str, menus: &mut Menus, target: Option<f64>) {
    Table::plain(&format!("{what}: half of the pages within"), milliseconds(menus.within(50)), "ms");
    let p99 = milliseconds(menus.p99());
    match target {
        Some(target) => Table::below(&format!("{what}: 99 of 100 pages within"), p99, "ms", target),
        None => Table::plain(&format!("{what}: 99 of 100 pages within"), p99, "ms"),
    }
    Table::plain(&format!("{what}: all within"), milliseconds(menus.within(100)), "ms");
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
async fn exports(server: &Server, browser: &mut Browser, before: f64) {
    // A bit more than a million of the events of a year.
    let since = SystemClock.now().millis() - 80 * 24 * 60 * 60 * 1000;
    let since: String = Timestamp::from_millis(since).to_string().chars().take(10).collect();
    for (table, filter) in [("users", String::new()), ("events", format!("at from {since}"))] {
        let query = form(&[("q", &filter)]);
        let mut rows = 0;
        // JSON Lines first: an object in each line, which tells how many rows there are.
        for format in Format::ALL.into_iter().rev() {
            let name = format.as_str();
            server.forget_peak();
            let began = Instant::now();
            let (bytes, lines) = browser.drain(&format!("/admin/{table}/export/{name}?{query}")).await;
            let took = began.elapsed().as_secs_f64();
            if format == Format::JsonLines {
                rows = lines;
                assert!(rows >= 1_000_000, "{rows} {table}");
                Table::plain(&format!("{table} exported: rows"), rows as f64, "");
            }
            Table::plain(&format!("{table} as {name}, {} MiB", bytes >> 20), rows as f64 / took, "/s");
            let growth = server.peak() - before;
            Table::below("  memory at most, more than after the overview", growth, "MiB", 50.0);
        }
    }
}

/// All of it, handed to the command by the program that serves.
async fn backup(server: &Server, data: &Path, before: f64) {
    let folder = server::folder();
    let config = server::configure(folder.path(), data, 1, NO_DOMAIN);
    server.forget_peak();
    let began = Instant::now();
    let made = tokio::process::Command::new(env!("CARGO_BIN_EXE_regain"))
        .args(["backup", "-", "--config"])
        .arg(&config)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert!(made.await.unwrap().success());
    Table::plain("backup while it serves", began.elapsed().as_secs_f64(), "s");
    Table::below("  memory at most, more than after the overview", server.peak() - before, "MiB", 50.0);
}

/// The same with the command, while the server is stopped.
async fn on_the_console(data: &Path) {
    let folder = server::folder();
    let config = server::configure(folder.path(), data, 1, NO_DOMAIN);
    let mut peaks = Vec::new();
    for filter in ["user like nobody", ""] {
        let began = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_regain"))
            .args(["export", "users", "--format", "csv", "--output", "-", "--filter", filter, "--config"])
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut peak: f64 = 0.0;
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if let Some(now) = server::try_memory(&process.id().to_string(), "VmHWM:") {
                peak = peak.max(now);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(status.success(), "{status}");
        peaks.push(peak);
        let what = if filter.is_empty() { "a million users" } else { "nobody" };
        Table::plain(&format!("regain export of {what}"), began.elapsed().as_secs_f64(), "s");
        Table::plain("  resident at most", peak, "MiB");
    }
    Table::below("regain export: more than of nobody", peaks[1] - peaks[0], "MiB", 50.0);
}
