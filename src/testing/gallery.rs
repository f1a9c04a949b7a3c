//! Every page that people can come to, in each of its states: walked to, as they would.

use std::time::Duration;

use super::{Device, DirectoryMood, OneTimeCodes, Page, StoreMood, TestApp, Visitor};
use crate::{
    directory::demo::{SAMPLE_ADMINISTRATORS, SAMPLE_PASSWORD},
    flows::sign_in,
    settings::{MailDelivery, Order, PasswordRules, Settings, Tab as _},
    web,
};

/// All of them in a language; the same ones in each, in the same order.
pub async fn pages(language: &str) -> Vec<Page> {
    let (app, alice) =
        TestApp::new().as_demo().with_settings(|s| s.enroll.ask_email = true).with_user("alice").await;
    let alice = alice.reading(language);
    walks(&app, alice.clone(), &alice).await
}

async fn walks(app: &TestApp, mut alice: Visitor, other: &Visitor) -> Vec<Page> {
    let mut pages = vec![alice.open("/").await, alice.open("/nothing").await];
    for flow in ["reset", "unlock", "change", "enroll"] {
        pages.push(alice.open(&format!("/{flow}")).await);
        pages.push(alice.submit(&[("username", ""), ("domain", "x")]).await);
        pages.push(alice.submit(&[("nonsense", "")]).await);
    }
    alice.open("/enroll").await;
    pages.push(alice.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", "wrong")]).await);
    pages.push(
        alice.submit(&[("username", "alice"), ("domain", "DEMO"), ("password", SAMPLE_PASSWORD)]).await,
    );
    pages.push(alice.submit(&[("question1", "?"), ("answer1", "x"), ("email", "x")]).await);
    let mut alice = alice.elsewhere();
    pages.push(alice.enrolls().await);
    pages.push(alice.elsewhere().begins("unlock").await);
    pages.push(alice.elsewhere().unlocks().await);
    alice = alice.elsewhere();
    pages.push(alice.begins("reset").await);
    pages.push(alice.answers("wrong").await);
    pages.push(alice.proves("reset").await);
    for new in ["Ab-1", "alllowercase", SAMPLE_PASSWORD, "Alice-Example-1"] {
        pages.push(alice.submit(&[("new_password", new), ("confirm_password", new)]).await);
    }
    app.directories_behave(DirectoryMood::Unavailable);
    pages.push(
        alice.post(&[("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")]).await,
    );
    app.directories_behave(DirectoryMood::WritesLost);
    app.store_behaves(StoreMood::ReadOnly);
    pages.push(
        alice.post(&[("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")]).await,
    );
    app.directories_behave(DirectoryMood::Well);
    app.store_behaves(StoreMood::Well);
    pages.push(
        alice.submit(&[("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")]).await,
    );
    alice = alice.elsewhere();
    "Battery-Staple-2".clone_into(&mut alice.password);
    pages.push(alice.begins("change").await);
    pages.push(alice.changes_password("Third-Staple-3").await);
    for name in ["dave", "grace", "admin"] {
        let mut refused = other.elsewhere();
        name.clone_into(&mut refused.name);
        let fields = refused.fills_enroll().await;
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        pages.push(refused.submit(&fields).await);
    }
    let mut frank = other.elsewhere();
    "frank".clone_into(&mut frank.name);
    frank.begins("change").await;
    let new = [("new_password", "Battery-Staple-2"), ("confirm_password", "Battery-Staple-2")];
    pages.push(frank.submit(&[&[("old_password", SAMPLE_PASSWORD)], &new[..]].concat()).await);
    let mut coded = other.elsewhere();
    for (order, name) in [(Order::CodeFirst, "nobody at all"), (Order::QuestionsFirst, "heidi")] {
        name.clone_into(&mut coded.name);
        app.set(|s| (s.codes.by_mail, s.codes.order) = (true, Some(order)));
        if name == "heidi" {
            coded.enrolls().await;
            coded = coded.elsewhere();
        }
        pages.push(coded.proves("reset").await);
        for number in 0..3 {
            pages.push(coded.enters_code(&format!("guess {number}")).await);
            pages.push(coded.asks_for_another_code().await);
            app.advance(Duration::from_secs(61));
        }
    }
    pages.push(coded.elsewhere().proves("unlock").await);
    app.advance(Duration::from_secs(601));
    pages.push(coded.enters_code("guess 4").await);
    app.set(|s| s.codes.count_wrong_codes = false);
    let mut spent = other.elsewhere();
    "spent".clone_into(&mut spent.name);
    app.set(|s| s.codes.order = Some(Order::CodeFirst));
    spent.begins("reset").await;
    for number in 0..5 {
        pages.push(spent.enters_code(&format!("guess {number}")).await);
    }
    app.set(|s| s.codes.order = None);
    assert!(app.directory("DEMO").demo().move_to("heidi", None, None));
    pages.push(coded.elsewhere().proves("unlock").await);
    app.set(|s| s.codes.by_mail = false);
    let mut nobody = other.elsewhere();
    "nobody".clone_into(&mut nobody.name);
    nobody.begins("reset").await;
    for number in 0..5 {
        pages.push(nobody.answers(&format!("guess {number}")).await);
    }
    looks_after_ways_in(app, other, &mut pages).await;
    pages
}

/// The pages of the panel, in a language that it speaks; the same ones in each, in the same order.
pub async fn panel(language: &str) -> Vec<Page> {
    const LOCAL: &str = "A-Long-Enough-Passphrase";
    let broken = "{% extends \"base.html\" %}{{ page.nothing }}";
    let (app, mut alice) = TestApp::new()
        .with_settings(|settings| {
            settings.admin.administrators = vec![SAMPLE_ADMINISTRATORS.into()];
            settings.password_rules = vec![PasswordRules { minimum_length: 12, ..PasswordRules::default() }];
            settings.backup.folder = Some("/nonexistent/backups".into());
            settings.mail.delivery = MailDelivery::Smtp;
        })
        .with_overrides(&[
            ("templates/user/menu.html", broken),
            ("i18n/sv.toml", "[language]\nname = \"Svenska\"\n"),
        ])
        .with_user("alice")
        .await;
    alice.enrolls().await;
    alice.elsewhere().unlocks().await;
    app.set(|settings| settings.security.wrong_answers_until_lockout = 1);
    alice = alice.elsewhere();
    alice.begins("reset").await;
    alice.answers("wrong").await;
    let mut root = app.visitor("root").reading(language);
    let link = sign_in::make_link(&app.site().services).await.unwrap();
    let link = format!("/admin/setup/{link}");
    let mut pages = vec![root.open(&link).await];
    let account = |new| [("username", "root"), ("new_password", new), ("confirm_password", new)];
    pages.push(root.sends(&link, &account("short")).await);
    let page = root.sends(&link, &account(LOCAL)).await;
    let codes = OneTimeCodes::read(&page);
    pages.push(page);
    pages.push(root.sends("/admin/sign-in", &[("code", "nonsense")]).await);
    pages.push(root.sends("/admin/sign-in", &[("code", &codes.code(&app, 0))]).await);
    app.run_jobs().await;
    let account = app.account("alice").await.key;
    let mut addresses: Vec<String> =
        web::panel_addresses().filter(|address| !address.contains(':')).map(str::to_owned).collect();
    addresses.retain(|address| {
        !["/admin/sign-in", "/admin/sign-out", "/admin/about/licences.txt"].contains(&address.as_str())
    });
    let tabs = Settings::FIELDS.iter().filter(|field| !["domain", "password_rules"].contains(&field.key));
    addresses.extend(tabs.map(|field| format!("/admin/settings/{}", field.key)));
    addresses.extend([
        "/admin/settings/password_rules.0".into(),
        format!("/admin/users/{}/{}", account.domain, account.guid),
        "/admin/search?q=idle".into(),
        "/admin/search?q=nonsense".into(),
        "/admin/events?user=nobody".into(),
        "/admin/nothing".into(),
    ]);
    for address in addresses {
        pages.push(root.open(&address).await);
    }
    let path = "/admin/settings/general";
    root.open(path).await;
    let wrong = [("version", "0"), ("general.minutes_per_call.was", "10"), ("general.minutes_per_call", "x")];
    pages.push(root.sends(path, &wrong).await);
    let mut stranger = root.elsewhere();
    pages.push(stranger.open("/admin").await);
    let wrong = [("username", "root"), ("domain", "local"), ("password", "wrong")];
    pages.push(stranger.sends("/admin/sign-in", &wrong).await);
    pages
}

/// Sets up all there is, and proves with it.
async fn looks_after_ways_in(app: &TestApp, other: &Visitor, pages: &mut Vec<Page>) {
    app.set(|settings| {
        settings.methods.authenticator_app = true;
        settings.methods.passkeys = true;
        settings.methods.recovery_codes = true;
        settings.methods.needed = Some(3);
        settings.security.wrong_answers_until_lockout = 0;
        settings.codes.by_mail = true;
    });
    let mut erin = other.elsewhere();
    "erin".clone_into(&mut erin.name);
    let fields = erin.fills_enroll().await;
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pages.push(erin.page.clone().unwrap());
    pages.push(erin.submit(&fields).await);
    pages.push(erin.enters_code("nonsense").await);
    pages.push(erin.enters_latest_code().await);
    let page = erin.asks_to("add-app").await;
    let codes = OneTimeCodes::read(&page);
    pages.extend([page, erin.enters_code("nonsense").await, erin.enters_code(&codes.code(app, 0)).await]);
    let page = erin.asks_to("add-passkey").await;
    let mut device = Device::at("https://reset.demo.example");
    let made = device.make(&page.passkey_options());
    let named = ("name", "Telefon 1");
    pages.extend([
        page,
        erin.submit(&[("credential", ""), named]).await,
        erin.submit(&[("credential", "{}"), named]).await,
        erin.submit(&[("credential", &made), named]).await,
    ]);
    let page = erin.asks_to("add-passkey").await;
    let made = device.make(&page.passkey_options());
    pages.push(erin.submit(&[("credential", &made), named]).await);
    pages.push(erin.submit(&[("credential", &made), named]).await);
    pages.push(erin.asks_to("back").await);
    pages.extend([erin.asks_to("add-recovery_code").await, erin.asks_to("kept").await]);
    let mut visitor = erin.elsewhere();
    pages.push(visitor.proves("unlock").await);
    for way in ["use-passkey", "use-app", "use-recovery_code"] {
        pages.push(visitor.asks_to(way).await);
        let wrong = if way == "use-passkey" { ("credential", "{}") } else { ("code", "nonsense") };
        pages.push(visitor.submit(&[wrong]).await);
    }
    app.advance(Duration::from_secs(3600));
    for way in ["remove-app", "remove-recovery_code"] {
        erin.asks_to(way).await;
    }
    let mut erin = erin.elsewhere();
    erin.open("/enroll").await;
    let (name, password) = (erin.name.clone(), erin.password.clone());
    pages.push(erin.submit(&[("username", &name), ("domain", "DEMO"), ("password", &password)]).await);
    pages.extend([erin.asks_to("remove-app").await, erin.asks_to("remove-recovery_code").await]);
    pages.push(erin.asks_to("finish").await);
    let mut visitor = erin.elsewhere();
    pages.push(visitor.proves("unlock").await);
    app.set(|settings| {
        settings.methods.needed = Some(2);
        settings.codes.by_mail = false;
        settings.methods.questions = false;
        settings.enroll.ask_email = false;
    });
    pages.push(erin.open("/enroll").await);
    let mut visitor = erin.elsewhere();
    pages.push(visitor.begins("unlock").await);
    let options = visitor.page.as_ref().unwrap().passkey_options();
    let signed = device.sign(&options);
    pages.push(visitor.submit(&[("credential", &signed)]).await);
}
