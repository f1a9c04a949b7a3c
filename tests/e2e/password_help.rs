//! The rules for a new password in a real browser: marked while one types, and by the same definition as on the server.

use regain::{
    domain::password_rules::{Rule, keeps},
    settings::PasswordRules,
};
use serde_json::{Value, json};

use super::support::{
    browser::{Browser, Looks},
    domain::Domain,
    server::{QUICK, Server},
};

const RULES: &str = "[[settings.password_rules]]\nminimum_length = 9\nmaximum_length = 24\nclasses = 4\ncapital_letters = 1\n\
     small_letters = 2\ndigits = 2\nspecial_characters = 1\nlongest_sequence = 3\nlongest_repeat = 2\n";

const TYPED: [&str; 40] = [
    "a",
    "aaa",
    "aaB11!",
    "Battery-Staple-22",
    "abcd",
    "ABCD",
    "dcba",
    "1234",
    "4321",
    "qwer",
    "REWQ",
    "qwertz",
    "azerty",
    "!@#$",
    "!\"§$",
    "йцук",
    "АБВГ",
    "абв",
    "пароль-Я-12",
    "Straße-ß-99",
    "ÄÖÜäöü-12",
    "éÉèÈ",
    "密码密码密码密码密",
    "كلمة-سر-12",
    "パスワード-12",
    "🐈🐈🐈🐈🐈🐈🐈🐈🐈",
    "🐈🐈🐈a",
    "x y z 1 2",
    "   ",
    "²³¹",
    "１２３",
    "ǅ",
    "İı",
    "___---",
    "€uro-€uro-12A",
    "zzZZzz",
    "aAaAaA",
    "Very-long-password-beyond-24-x",
    "Exactly-24-characters-x",
    "890-=[]",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_page_marks_the_rules_that_the_server_finds_kept() {
    let user = Domain::shared().someone().await;
    let server = Server::with(&[Domain::shared()], &format!("{QUICK}{RULES}")).await;
    let browser = Browser::open().await;
    browser.goto(&server.url("/change")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow("button.button").await;
    browser.reaches("change/credentials").await;
    let script = "const box = document.getElementById('new_password');
        return arguments[0].map(text => {
            box.value = text;
            box.dispatchEvent(new Event('input'));
            return [...document.querySelectorAll('.rules li')].map(
                line => [line.dataset.rule, Number(line.dataset.count), line.className === 'kept']);
        });";
    let told = browser.execute(script, vec![json!(&TYPED[..])]).await.unwrap();
    let set: PasswordRules = toml::from_str(RULES.split_once('\n').unwrap().1).unwrap();
    let rules: Vec<Rule> = set.told().list().collect();
    let mut compared = 0;
    for (text, lines) in TYPED.iter().zip(told.as_array().unwrap()) {
        for line in lines.as_array().unwrap() {
            let (key, kept) = (line[0].as_str().unwrap(), line[2] == Value::Bool(true));
            let Some(rule) = rules.iter().find(|rule| rule.key() == key) else {
                let is_left = ["no_name", "history", "minimum_age", "complexity"].contains(&key);
                assert!(is_left, "{key} is nobody's");
                continue;
            };
            compared += 1;
            assert_eq!(kept, keeps(text, *rule), "{rule:?} of {text}");
        }
    }
    assert_eq!(compared, TYPED.len() * rules.len());
    browser.fill("new_password", "Battery-Staple-22").await;
    browser.photograph("change-rules").await;

    // What is broken is told; what is kept stays marked when one types again.
    browser.fill("old_password", &user.password).await;
    browser.fill("new_password", "abcd").await;
    browser.fill("confirm_password", "abcd").await;
    browser.follow("button.button").await;
    let alert = browser.says("[role=alert]").await;
    assert!(alert.contains("at least 9 characters") && alert.contains("neighbours in a row"), "{alert}");
    browser.photograph("change-rules-broken").await;
    let plain = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    plain.goto(&server.url("/change")).await.unwrap();
    plain.fill("username", &user.name).await;
    plain.follow("button.button").await;
    assert!(plain.says(".rules").await.contains("Digits: at least 2"));
}
