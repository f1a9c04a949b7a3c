//! The admin panel in a real browser: from the link on the console to a setting that holds.

use std::{fs, process::Command, time::Duration};

use fantoccini::Locator;
use tokio::time::{Instant, sleep};

use super::support::{
    browser::{Browser, Looks},
    domain::{self, DNS, Domain, SERVICE, User},
    person::one_time_code,
    server::{QUICK, Server, finish},
};

pub(super) const PASSWORD: &str = "A-Long-Enough-Passphrase";

/// The path of the last link that leads to a first account.
pub(super) fn link_in(text: &str) -> Option<String> {
    path_in(text, "/admin/setup/")
}

/// The last path in a text that begins like that.
fn path_in(text: &str, start: &str) -> Option<String> {
    let at = text.rfind(start)?;
    text[at..].split_whitespace().next().map(str::to_owned)
}

/// Waits until the program has taken up what the console left under that name.
async fn takes_up(server: &Server, name: &str) {
    let began = Instant::now();
    while server.file(&format!("data/{name}")).exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
    // It is moved away first.
    sleep(Duration::from_millis(500)).await;
}

/// The path of an invitation that the console makes for an account.
async fn invites(server: &Server, name: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["admin", "invite", "--for", name, "--config"]).arg(server.file("config.toml")).env_clear();
    let (status, text) = finish(command).await;
    assert!(status.success(), "{text}");
    let link = path_in(&text, "/admin/invite/").expect("a link");
    takes_up(server, "invitation").await;
    assert!(!server.log().contains(&link));
    link
}

/// Waits for the heading of a page.
pub(super) async fn is_titled(browser: &Browser, title: &str) {
    let heading = browser.says("h1").await;
    assert!(heading.contains(title), "{heading}: {}", browser.says("main").await);
}

/// Makes the first account by a link; the key of its app.
pub(super) async fn sets_up(browser: &Browser, server: &Server, link: &str) -> String {
    browser.goto(&server.url(link)).await.unwrap();
    is_titled(browser, "Make the first account").await;
    browser.photograph("admin-setup").await;
    browser.fill("new_password", PASSWORD).await;
    browser.fill("confirm_password", PASSWORD).await;
    browser.follow(".button").await;
    shows_a_code(browser, "admin-app").await
}

/// Sets an app up, as the page asks.
async fn shows_a_code(browser: &Browser, name: &str) -> String {
    is_titled(browser, "Set up an authenticator app").await;
    browser.photograph(name).await;
    let key = browser.says(".typed code").await.replace(' ', "");
    browser.fill("code", &one_time_code(&key, 0)).await;
    browser.follow(".button").await;
    is_titled(browser, "Overview").await;
    key
}

pub(super) async fn signs_in(
    browser: &Browser,
    server: &Server,
    (name, password): (&str, &str),
    domain: &str,
) {
    browser.goto(&server.url("/admin")).await.unwrap();
    types_password(browser, (name, password), domain).await;
}

/// Fills the form for signing in, and sends it.
async fn types_password(browser: &Browser, (name, password): (&str, &str), domain: &str) {
    is_titled(browser, "Sign in to the admin panel").await;
    browser.photograph("admin-sign-in").await;
    browser.fill("username", name).await;
    browser.click(&format!("[name=domain] option[value='{domain}']")).await;
    browser.fill("password", password).await;
    browser.follow(".button").await;
}

async fn saves(browser: &Browser) {
    browser.follow(".panel-page .button").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_link_on_the_console_to_settings_that_hold_and_outlast_a_restart() {
    let domain = Domain::shared();
    let mut server = Server::with(&[domain], QUICK).await;
    let link = link_in(&server.log()).expect("a link on the console");
    let browser = Browser::open().await;
    let key = sets_up(&browser, &server, &link).await;
    browser.photograph("admin-overview").await;
    browser.goto(&server.url("/admin/settings/appearance")).await.unwrap();
    browser.photograph("admin-general").await;
    browser.fill("general.product_name", "Acme Passwords").await;
    browser.click("[name='general.show_change']").await;
    saves(&browser).await;
    assert!(browser.says("[role=status]").await.contains("Saved"));
    let menu = server.visitor().get("/").await;
    assert!(menu.text().contains("Acme Passwords") && !menu.text().contains("Change password"));

    // What is wrong is said where it is, and what was typed is still there.
    browser.goto(&server.url("/admin/settings/security")).await.unwrap();
    browser.fill("security.idle_timeout_seconds", "5000").await;
    saves(&browser).await;
    assert!(browser.says("[role=alert]").await.contains("not between 0 and 1800"));
    browser.photograph("admin-wrong").await;
    for tab in ["mail", "sms", "enroll", "permissions", "alerts", "admin"] {
        browser.goto(&server.url(&format!("/admin/settings/{tab}"))).await.unwrap();
        browser.photograph(&format!("admin-tab-{tab}")).await;
    }
    for page in ["https", "about", "access", "import"] {
        browser.goto(&server.url(&format!("/admin/{page}"))).await.unwrap();
        browser.photograph(&format!("admin-{page}")).await;
    }
    browser.goto(&server.url("/admin/settings/admin")).await.unwrap();
    // Who is in a group of the directory, through another group or not, may sign in, too.
    let group = domain.group("SSPR-Users").sid;
    browser.fill("admin.administrators.0", &group).await;
    saves(&browser).await;
    assert!(browser.says("[role=status]").await.contains("Saved"));

    server.restart().await;
    assert_eq!(server.log().matches("/admin/setup/").count(), 1, "no link any more: somebody can sign in");
    let menu = server.visitor().get("/").await;
    assert!(menu.text().contains("Acme Passwords"));
    browser.goto(&server.url("/admin")).await.unwrap();
    is_titled(&browser, "Overview").await;
    let (member, stranger) = (domain.someone().await, domain.someone().await);
    domain.join(&member, "Inner").await;
    let other = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    signs_in(&other, &server, (&stranger.name, &stranger.password), "CORP").await;
    let told = other.says("[role=alert]").await;
    assert!(told.contains("no authenticator app for it yet"), "{told}");
    signs_in(&other, &server, (&member.name, &member.password), "CORP").await;
    assert_eq!(other.says("[role=alert]").await, told, "whose password is right is told nobody");
    let link = invites(&server, &format!("CORP\\{}", member.name)).await;
    other.goto(&server.url(&link)).await.unwrap();
    types_password(&other, (&member.name, &member.password), "CORP").await;
    shows_a_code(&other, "admin-member").await;
    assert!(other.says(".panel-who").await.contains(&format!("CORP\\{}", member.name)));
    other.follow(".panel-nav button").await;

    // With the account of Regain itself, no directory is needed.
    signs_in(&other, &server, ("admin", PASSWORD), "-").await;
    is_titled(&other, "Your authenticator app").await;
    other.photograph("admin-code").await;
    other.fill("code", &one_time_code(&key, 30)).await;
    other.follow(".button").await;
    is_titled(&other, "Overview").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_console_makes_the_panels_own_account_anew() {
    let domain = Domain::shared();
    let server = Server::with(&[domain], QUICK).await;
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
    command.args(["admin", "reset-access", "--config"]).arg(server.file("config.toml")).env_clear();
    let (status, text) = finish(command).await;
    assert!(status.success(), "{text}");
    let link = link_in(&text).unwrap();
    assert!(!server.log().contains(&link));
    takes_up(&server, "reset-access").await;
    let other = Browser::open().await;
    sets_up(&other, &server, &link).await;
    browser.goto(&server.url("/admin")).await.unwrap();
    is_titled(&browser, "Sign in to the admin panel").await;

    // A file that anybody could have written is not taken.
    fs::write(server.file("data/new"), "x").unwrap();
    let forged = Command::new("chmod").arg("666").arg(server.file("data/new")).status().unwrap();
    assert!(forged.success());
    fs::rename(server.file("data/new"), server.file("data/reset-access")).unwrap();
    takes_up(&server, "reset-access").await;
    assert!(server.log().contains("others can write it"), "{}", server.log());
    other.goto(&server.url("/admin")).await.unwrap();
    is_titled(&other, "Overview").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_the_panel_is_taken_back_on_the_console_when_nothing_starts_with_it() {
    let mut server = Server::with(&[Domain::shared()], QUICK).await;
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    browser.goto(&server.url("/admin/settings/enroll")).await.unwrap();
    browser.fill("enroll.own_questions", "3").await;
    saves(&browser).await;
    assert!(browser.says("[role=status]").await.contains("Saved"));
    let settings = |server: &Server, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_regain"));
        command.arg("settings").args(words).arg("--config").arg(server.file("config.toml")).env_clear();
        finish(command)
    };
    let (status, text) = settings(&server, &["show"]).await;
    assert!(!status.success() && text.contains("in use by another process"), "{text}");

    server.terminate().await;
    server.configure("[settings.limits]", "[settings.enroll]\nquestions = 1\n[settings.limits]");
    let text = server.fails_to_start().await;
    assert!(text.contains("own_questions") && text.contains("regain settings reset"), "{text}");
    let (status, text) = settings(&server, &["show"]).await;
    assert!(status.success() && text.contains("own_questions = 3"), "{text}");
    let (status, text) = settings(&server, &["reset", "enroll.no_such"]).await;
    assert!(!status.success() && text.contains("there is no setting"), "{text}");
    let (status, text) = settings(&server, &["reset", "enroll.own_questions"]).await;
    assert!(status.success() && text.contains("own_questions: 3 →") && text.contains("can start"), "{text}");
    server.restart().await;
}

/// Changes a password on the pages, as people do.
async fn changes_a_password(browser: &Browser, server: &Server, user: &User) {
    browser.goto(&server.url("/change")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    browser.reaches("change/credentials").await;
    browser.fill("old_password", &user.password).await;
    browser.fill("new_password", "Another-Pw0rd!7").await;
    browser.fill("confirm_password", "Another-Pw0rd!7").await;
    browser.follow(".button").await;
    browser.reaches("change/finished").await;
    browser.follow("main .button").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_program_is_set_up_in_the_browser_step_by_step() {
    const NEW: &str = "/admin/domains/new";
    let domain = Domain::shared();
    let mut server = Server::with(&[], QUICK).await;
    let page = server.visitor().get("/reset").await;
    assert!(page.status == 503 && page.text().contains("Not set up yet"), "{}", page.text());
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    browser.photograph("setup-overview").await;
    browser.follow(".checklist a").await;
    is_titled(&browser, "Where is the domain?").await;

    // Nobody answers there: said in words, and nothing is lost.
    browser.fill("dns_name", DNS).await;
    browser.fill("controllers", "127.0.0.1").await;
    browser.follow(".button").await;
    assert!(browser.says(".findings").await.contains("unreachable"), "{}", browser.says("main").await);
    browser.photograph("setup-unreachable").await;
    browser.fill("controllers", &domain.address.to_string()).await;
    browser.follow(".button").await;
    is_titled(&browser, "Whom to trust?").await;
    assert!(browser.says(".fingerprint").await.contains(':'));
    browser.photograph("setup-certificate").await;
    browser.follow(".button").await;
    assert!(browser.says("[role=alert]").await.contains("paste its certificate"));

    // Left, and gone on with.
    server.restart().await;
    browser.goto(&server.url("/admin")).await.unwrap();
    browser.follow(".checklist a").await;
    is_titled(&browser, "Whom to trust?").await;
    browser.fill("ca_certificates", &fs::read_to_string(domain.ca()).unwrap()).await;
    browser.follow(".button").await;
    is_titled(&browser, "As whom does Regain work?").await;
    browser.fill("service_account", &format!("{SERVICE}@{DNS}")).await;
    browser.fill("service_password", "not the password").await;
    browser.follow(".actions .button").await;
    assert!(browser.says(".findings").await.contains("not tried"), "{}", browser.says("main").await);
    browser.photograph("setup-account").await;
    browser.fill("service_password", domain::PASSWORD).await;
    browser.follow(".actions .button").await;
    is_titled(&browser, "Domains").await;
    assert!(browser.says(".domains").await.contains("CORP"));
    assert!(!fs::read_to_string(server.file("config.toml")).unwrap().contains(DNS));
    changes_a_password(&browser, &server, &domain.someone().await).await;

    // What Regain sees of someone, and how the domain stands.
    browser.goto(&server.url("/admin/domains")).await.unwrap();
    browser.fill("username", "CORP\\alice").await;
    browser.follow("[value=look]").await;
    assert!(browser.says(".facts").await.contains("CN=alice"), "{}", browser.says("main").await);
    browser.follow("[value='try 0']").await;
    assert!(browser.says(".findings").await.contains("is let in"));
    browser.photograph("domains").await;

    // Groups are picked by searching the directory; what was picked holds at once.
    browser.goto(&server.url("/admin/settings/permissions")).await.unwrap();
    browser.click("[name='permissions.reset.audience'] option[value=members]").await;
    browser.fill("permissions.reset.groups.search", "sspr-us").await;
    browser.follow("[value='find permissions.reset.groups']").await;
    assert!(browser.says(".found").await.contains("CORP\\SSPR-Users"), "{}", browser.says("main").await);
    browser.photograph("groups").await;
    browser.follow(".found button").await;
    assert!(browser.says(".row-label").await.contains("SSPR-Users"));
    saves(&browser).await;
    assert!(browser.says("[role=status]").await.contains("Saved"), "{}", browser.says("main").await);
    browser.photograph("groups-saved").await;

    // The domain's own tab: another controller wants the password again; it outlasts a restart.
    browser.goto(&server.url("/admin/settings/domain.0")).await.unwrap();
    browser.photograph("domain-tab").await;
    browser.fill("domain.0.controllers.1", "dc9.corp.example").await;
    saves(&browser).await;
    assert!(browser.says("[role=alert]").await.contains("has to be given again"));
    server.restart().await;
    changes_a_password(&browser, &server, &domain.someone().await).await;
    assert!(!server.log().contains(domain::PASSWORD));
    browser.goto(&server.url(NEW)).await.unwrap();
    is_titled(&browser, "Where is the domain?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controllers_of_a_domain_are_found_by_its_name_alone() {
    let domain = Domain::shared();
    // Nobody listens at the first one: the second is asked.
    let name_servers = format!("name_servers = [\"127.0.0.1:9\", \"{}\"]\n", domain.address);
    let mut server = Server::with(&[], &(name_servers + QUICK)).await;
    let browser = Browser::open().await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    browser.goto(&server.url("/admin/domains/new")).await.unwrap();
    browser.fill("dns_name", "nowhere.example").await;
    browser.follow(".button").await;
    let told = browser.says(".findings").await;
    let wanted =
        "no controllers are announced: DNS has no SRV records of _ldap._tcp.dc._msdcs.nowhere.example";
    assert!(told.contains(wanted) && told.contains("name_servers"), "{told}");
    browser.photograph("setup-not-announced").await;

    browser.fill("dns_name", DNS).await;
    browser.follow(".button").await;
    is_titled(&browser, "Whom to trust?").await;
    let page = browser.says("main").await;
    assert!(page.contains("dc1.corp.example:636"), "{page}");
    browser.photograph("setup-announced").await;
    browser.fill("ca_certificates", &fs::read_to_string(domain.ca()).unwrap()).await;
    browser.follow(".button").await;
    browser.fill("service_account", &format!("{SERVICE}@{DNS}")).await;
    browser.fill("service_password", domain::PASSWORD).await;
    browser.follow(".actions .button").await;
    is_titled(&browser, "Domains").await;
    changes_a_password(&browser, &server, &domain.someone().await).await;

    // Found anew after a restart; and said in words when no name server answers.
    server.restart().await;
    changes_a_password(&browser, &server, &domain.someone().await).await;
    server.configure(&format!(", \"{}\"", domain.address), "");
    server.restart().await;
    browser.goto(&server.url("/admin/domains")).await.unwrap();
    browser.follow("[value='try 0']").await;
    let told = browser.says(".findings").await;
    assert!(told.contains("the name servers do not answer") && told.contains("name_servers"), "{told}");
    browser.photograph("setup-no-name-server").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_saved_is_not_left_by_accident() {
    const NAME: &str = "general.product_name";
    let server = Server::with(&[Domain::shared()], QUICK).await;
    let browser = Browser::with(Looks { asks: true, ..Looks::default() }).await;
    sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    let elsewhere = ".panel-tabs a[href='/admin/settings/security']";
    let typed = async || browser.find(Locator::Css(&format!("[name='{NAME}']"))).await.unwrap();

    // Nothing was changed, or it was saved: nobody is asked.
    browser.goto(&server.url("/admin/settings/appearance")).await.unwrap();
    browser.follow(elsewhere).await;
    browser.goto(&server.url("/admin/settings/appearance")).await.unwrap();
    browser.fill(NAME, "Acme Passwords").await;
    saves(&browser).await;
    browser.follow(elsewhere).await;
    is_titled(&browser, "Security").await;

    browser.goto(&server.url("/admin/settings/appearance")).await.unwrap();
    browser.fill(NAME, "Not saved").await;
    browser.click(elsewhere).await;
    browser.get_alert_text().await.expect("a question whether to leave");
    browser.dismiss_alert().await.unwrap();
    assert_eq!(typed().await.prop("value").await.unwrap().as_deref(), Some("Not saved"));
    browser.click(elsewhere).await;
    browser.accept_alert().await.expect("the same question");
    browser.wait().for_element(Locator::Css("[name='security.idle_timeout_seconds']")).await.unwrap();

    // A row that was dragged is a change as well.
    browser.goto(&server.url("/admin/settings/enroll")).await.unwrap();
    let grip =
        |number: usize| format!("[data-rows='enroll.question_list.en'] > li:nth-child({number}) [data-grip]");
    browser.drag(&grip(1), &grip(2)).await;
    browser.click(elsewhere).await;
    browser.accept_alert().await.expect("a question whether to leave");
    browser.wait().for_element(Locator::Css("[name='security.idle_timeout_seconds']")).await.unwrap();
    browser.goto(&server.url("/admin/settings/appearance")).await.unwrap();
    assert_eq!(typed().await.prop("value").await.unwrap().as_deref(), Some("Acme Passwords"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_edited_in_place_with_script_and_without() {
    const FIRST: &str = "enroll.question_list.en.0";
    let server = Server::with(&[Domain::shared()], QUICK).await;
    let browser = Browser::open().await;
    let key = sets_up(&browser, &server, &link_in(&server.log()).unwrap()).await;
    let value = async |browser: &Browser, name: &str| {
        let field = browser.find(Locator::Css(&format!("[name=\"{name}\"]"))).await.unwrap();
        field.prop("value").await.unwrap().unwrap_or_default()
    };
    let plain = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    signs_in(&plain, &server, ("admin", PASSWORD), "-").await;
    plain.fill("code", &one_time_code(&key, 30)).await;
    plain.follow(".button").await;
    for (browser, name) in [(&browser, "script"), (&plain, "plain")] {
        browser.goto(&server.url("/admin/settings/enroll")).await.unwrap();
        let (first, second) =
            (value(browser, FIRST).await, value(browser, "enroll.question_list.en.1").await);
        let down = "[value='down enroll.question_list 0 en']";
        if name == "script" {
            browser.click(down).await;
        } else {
            browser.follow(down).await;
        }
        assert_eq!(value(browser, FIRST).await, second, "{name}");
        let remove = "[value='remove enroll.question_list 0 en']";
        // With script the buttons move with their rows.
        let remove =
            if name == "script" { "[data-rows='enroll.question_list.en'] [data-do=remove]" } else { remove };
        if name == "script" {
            browser.click(remove).await;
        } else {
            browser.follow(remove).await;
        }
        assert_eq!(value(browser, FIRST).await, first, "{name}");
        browser.photograph(&format!("lists-{name}")).await;
        saves(browser).await;
        assert!(browser.says("[role=status]").await.contains("Saved"), "{}", browser.says("main").await);
        assert_eq!(value(browser, FIRST).await, first, "{name}");
    }
    // With the mouse, a row is dragged to its place; how many there are is said as soon as it changes.
    browser.goto(&server.url("/admin/settings/enroll")).await.unwrap();
    let list = "[data-rows='enroll.question_list.en']";
    let nth = |number: usize, what: &str| format!("{list} > li:nth-child({number}) {what}");
    let (first, third) = (value(&browser, FIRST).await, value(&browser, "enroll.question_list.en.2").await);
    let how_many = async || {
        let said =
            browser.says(".language-list:has([data-rows='enroll.question_list.en']) summary .hint").await;
        said.strip_prefix("Entries: ").and_then(|number| number.parse::<usize>().ok()).expect("a number")
    };
    let before = how_many().await;
    browser.drag(&nth(1, "[data-grip]"), &nth(3, "[data-grip]")).await;
    assert_eq!(value(&browser, "enroll.question_list.en.2").await, first);
    browser.drag(&nth(2, "[data-grip]"), &nth(1, "[data-grip]")).await;
    assert_eq!(value(&browser, FIRST).await, third);
    browser.click(&nth(1, "[data-do=remove]")).await;
    assert_eq!(how_many().await, before - 1);
    browser.click(&format!("{list} + .row-more [data-do=add]")).await;
    assert_eq!(how_many().await, before - 1, "an empty line is no entry yet");
    browser.fill(&format!("enroll.question_list.en.{}", before - 1), "Which bridge?").await;
    assert_eq!(how_many().await, before);
    browser.drag(&nth(before, "[data-grip]"), &nth(before - 1, "[data-grip]")).await;
    browser.photograph("lists-dragged").await;
    saves(&browser).await;
    assert!(browser.says("[role=status]").await.contains("Saved"), "{}", browser.says("main").await);
    assert_eq!(value(&browser, &format!("enroll.question_list.en.{}", before - 2)).await, "Which bridge?");
    assert_eq!(how_many().await, before);

    // The search finds a setting by its words, and leads to it.
    browser.fill("q", "idle timeout").await;
    browser.find(Locator::Css("[name=q]")).await.unwrap().send_keys("\u{e007}").await.unwrap();
    browser.wait().for_element(Locator::Css(".hits a")).await.unwrap();
    browser.photograph("search").await;
    browser.follow(".hits a").await;
    assert!(browser.current_url().await.unwrap().as_str().ends_with("#security.idle_timeout_seconds"));
}
