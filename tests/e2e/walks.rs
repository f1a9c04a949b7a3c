//! Walks: each flow as a person with a browser goes through it. Every page they see is photographed, wide and light
//! as well as narrow and dark, into `pictures/` below Cargo's folder for temporary files.

use std::time::Duration;

use fantoccini::{Locator, key::Key};

use super::support::{
    browser::{Browser, Looks},
    domain::{Bind, Domain, User},
    http::Visitor,
    mail_server::MailServer,
    person::ANSWERS,
    server::{QUICK, Server},
};

const NEW: &str = "A-Fresh-0ne!";
const NEWER: &str = "Yet-An0ther-One!";

/// Chooses the questions of [`ANSWERS`] and answers them, with the mouse.
async fn choose_and_answer(browser: &Browser) {
    for (n, (question, answer)) in ANSWERS.iter().enumerate() {
        let select = browser.find(Locator::Css(&format!("[name=question{}]", n + 1))).await.unwrap();
        select.select_by_label(question).await.unwrap();
        browser.fill(&format!("answer{}", n + 1), answer).await;
    }
}

async fn answer_all(browser: &Browser, flow: &str) {
    for (n, (_, answer)) in ANSWERS.iter().enumerate() {
        browser.reaches(&format!("{flow}/question")).await;
        assert!(browser.says("main").await.contains(&format!("Question {} of 3", n + 1)));
        browser.fill("answer", answer).await;
        browser.follow(".button").await;
    }
}

async fn enrolled(domain: &Domain, server: &Server) -> User {
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    user
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_enrolls_choosing_from_lists_and_resets_the_password() {
    let domain = Domain::shared();
    let server =
        Server::with(&[domain], "[settings.general]\nhelp_desk = \"4444, weekdays 8 to 18\"\n").await;
    let user = domain.someone().await;
    let browser = Browser::open().await;
    browser.goto(&server.url("/")).await.unwrap();
    browser.reaches("menu/menu").await;
    browser.photograph("menu").await;
    browser.follow("a[href=\"/enroll\"]").await;
    browser.reaches("enroll/identify").await;
    assert!(browser.says("main").await.contains("You have 5 minutes"));
    browser.photograph("enroll").await;
    browser.fill("username", &user.name).await;
    browser.fill("password", "Not-The-Pw0rd!").await;
    browser.follow(".button").await;
    browser.find(Locator::Css("[role=alert]")).await.unwrap();
    assert!(browser.says("[role=alert]").await.contains("together they don’t fit"));
    browser.photograph("enroll-refused").await;
    browser.fill("password", &user.password).await;
    choose_and_answer(&browser).await;
    // The same question twice; only the answers and the password have to be typed again.
    let third = browser.find(Locator::Css("[name=question3]")).await.unwrap();
    third.select_by_label(ANSWERS[0].0).await.unwrap();
    browser.follow(".button").await;
    browser.reaches("enroll/credentials").await;
    assert!(browser.says("[role=alert]").await.contains("already chosen this question"));
    browser.photograph("enroll-question-repeated").await;
    choose_and_answer(&browser).await;
    browser.follow(".button").await;
    browser.reaches("enroll/finished").await;
    browser.photograph("enroll-finished").await;
    browser.follow(".button").await;
    browser.reaches("menu/menu").await;

    browser.follow("a[href=\"/reset\"]").await;
    browser.reaches("reset/identify").await;
    browser.photograph("identify").await;
    browser.follow(".button").await;
    assert!(browser.says("[role=alert]").await.contains("fill this in"));
    browser.photograph("identify-empty").await;
    browser.fill("username", &format!("CORP\\{}", user.name)).await;
    browser.follow(".button").await;
    browser.reaches("reset/question").await;
    browser.photograph("question").await;
    browser.fill("answer", "something else").await;
    browser.follow(".button").await;
    browser.find(Locator::Css("[role=alert]")).await.unwrap();
    browser.photograph("question-wrong").await;
    answer_all(&browser, "reset").await;
    browser.reaches("reset/password").await;
    browser.photograph("password").await;
    browser.fill("new_password", "short").await;
    browser.fill("confirm_password", "short").await;
    browser.follow(".button").await;
    browser.find(Locator::Css("[role=alert]")).await.unwrap();
    browser.photograph("password-refused").await;
    browser.fill("new_password", NEW).await;
    browser.fill("confirm_password", NEW).await;
    browser.follow(".button").await;
    browser.reaches("reset/finished").await;
    browser.photograph("reset-finished").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
    // Back and forward again do no harm.
    browser.back().await.unwrap();
    browser.goto(&server.url("/reset")).await.unwrap();
    browser.reaches("reset/finished").await;
}

/// Presses Tab until the focus is on the field of that name.
async fn tab_to(browser: &Browser, name: &str) {
    for _ in 0..20 {
        let focused = browser.active_element().await.unwrap();
        let is = focused.attr("name").await.unwrap() == Some(name.to_owned());
        let button =
            name == "submit" && focused.attr("class").await.unwrap().is_some_and(|class| class == "button");
        let link = focused.attr("href").await.unwrap() == Some(name.to_owned());
        if is || button || link {
            return;
        }
        focused.send_keys(&char::from(Key::Tab).to_string()).await.unwrap();
    }
    panic!("{name} is not reached with the Tab key");
}

async fn type_keys(browser: &Browser, text: &str) {
    browser.active_element().await.unwrap().send_keys(text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_nothing_but_a_keyboard_goes_through_every_flow() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let browser = Browser::open().await;
    let enter = char::from(Key::Enter).to_string();
    browser.goto(&server.url("/enroll")).await.unwrap();
    // Sent empty, it puts the focus where what is wrong is told; from there Tab leads on to the fields.
    tab_to(&browser, "username").await;
    type_keys(&browser, &enter).await;
    browser.wait().for_element(Locator::Css("[role=alert]")).await.unwrap();
    assert_eq!(focused(&browser).await, "red-box", "the focus is on what is wrong");
    tab_to(&browser, "username").await;
    type_keys(&browser, &user.name).await;
    tab_to(&browser, "password").await;
    type_keys(&browser, &user.password).await;
    for (n, (question, answer)) in ANSWERS.iter().enumerate() {
        tab_to(&browser, &format!("question{}", n + 1)).await;
        // A list takes the entry that begins with what is typed.
        type_keys(&browser, question).await;
        tab_to(&browser, &format!("answer{}", n + 1)).await;
        type_keys(&browser, answer).await;
    }
    type_keys(&browser, &enter).await;
    browser.reaches("enroll/finished").await;

    browser.goto(&server.url(&format!("/?cmd=change&username={}&domain=CORP", user.name))).await.unwrap();
    browser.reaches("change/identify").await;
    tab_to(&browser, "submit").await;
    type_keys(&browser, &enter).await;
    browser.reaches("change/credentials").await;
    browser.photograph("change").await;
    for (field, text) in
        [("old_password", user.password.as_str()), ("new_password", NEW), ("confirm_password", NEW)]
    {
        tab_to(&browser, field).await;
        type_keys(&browser, text).await;
    }
    type_keys(&browser, &enter).await;
    browser.reaches("change/finished").await;
    browser.photograph("change-finished").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);

    domain.lock_out(&user).await;
    for (flow, last) in [("unlock", "finished"), ("reset", "password")] {
        browser.goto(&server.url("/")).await.unwrap();
        tab_to(&browser, &format!("/{flow}")).await;
        type_keys(&browser, &enter).await;
        browser.reaches(&format!("{flow}/identify")).await;
        assert_eq!(focused(&browser).await, "username", "{flow} begins in its first field");
        type_keys(&browser, &(user.name.clone() + &enter)).await;
        for number in 1..=ANSWERS.len() {
            browser.reaches(&format!("{flow}/question")).await;
            let progress = format!("//*[contains(text(), 'Question {number} of 3')]");
            browser.wait().for_element(Locator::XPath(&progress)).await.unwrap();
            assert_eq!(focused(&browser).await, "answer");
            let asked = browser.says("label[for=answer]").await;
            let (_, answer) = ANSWERS.iter().find(|(question, _)| asked.contains(question)).unwrap();
            type_keys(&browser, &(answer.to_string() + &enter)).await;
        }
        browser.reaches(&format!("{flow}/{last}")).await;
    }
    assert_eq!(focused(&browser).await, "new_password");
    type_keys(&browser, NEWER).await;
    tab_to(&browser, "confirm_password").await;
    type_keys(&browser, &(NEWER.to_owned() + &enter)).await;
    browser.reaches("reset/finished").await;
    assert_eq!(domain.bind(&user, NEWER).await, Bind::Accepted);
}

/// The name of what has the focus, or else its class.
async fn focused(browser: &Browser) -> String {
    let script = "const it = document.activeElement; return it.name || it.className || it.tagName";
    browser.execute(script, Vec::new()).await.unwrap().as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_scripts_goes_through_every_flow() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let browser = Browser::with(Looks { scripts: false, ..Looks::default() }).await;
    browser.goto(&server.url("/enroll")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.fill("password", &user.password).await;
    choose_and_answer(&browser).await;
    browser.follow(".button").await;
    browser.reaches("enroll/finished").await;
    domain.lock_out(&user).await;
    browser.goto(&server.url("/unlock")).await.unwrap();
    browser.fill("username", "mistyped").await;
    browser.follow(".button").await;
    browser.reaches("unlock/question").await;
    browser.follow(".quiet").await;
    browser.reaches("menu/menu").await;
    browser.follow("a[href=\"/unlock\"]").await;
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    answer_all(&browser, "unlock").await;
    browser.reaches("unlock/finished").await;
    browser.photograph("unlock-finished").await;
    assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted);
    browser.follow(".button").await;
    browser.follow("a[href=\"/unlock\"]").await;
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    answer_all(&browser, "unlock").await;
    browser.reaches("unlock/finished").await;
    assert!(browser.says("main").await.contains("was not locked"));
    browser.photograph("unlock-not-locked").await;
    browser.goto(&server.url("/reset")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    answer_all(&browser, "reset").await;
    browser.fill("new_password", NEW).await;
    browser.fill("confirm_password", "another").await;
    browser.follow(".button").await;
    assert!(browser.says("[role=alert]").await.contains("not the same"));
    for field in ["new_password", "confirm_password"] {
        browser.fill(field, NEW).await;
    }
    browser.follow(".button").await;
    browser.reaches("reset/finished").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
    browser.goto(&server.url("/change")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    for (field, text) in [("old_password", NEW), ("new_password", NEWER), ("confirm_password", NEWER)] {
        browser.fill(field, text).await;
    }
    browser.follow(".button").await;
    browser.reaches("change/finished").await;
    assert_eq!(domain.bind(&user, NEWER).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_phone_at_night_resets_the_password() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = enrolled(domain, &server).await;
    let browser = Browser::with(Looks { size: (320, 640), dark: true, ..Looks::default() }).await;
    browser.goto(&server.url("/")).await.unwrap();
    browser.follow("a[href=\"/reset\"]").await;
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    answer_all(&browser, "reset").await;
    browser.reaches("reset/password").await;
    browser.fill("new_password", NEW).await;
    browser.fill("confirm_password", NEW).await;
    // What was typed can be looked at.
    browser.click(".secret button").await;
    let shown = browser.find(Locator::Css("[name=new_password]")).await.unwrap();
    assert_eq!(shown.prop("type").await.unwrap().unwrap(), "text");
    browser.picture("password-shown-narrow").await;
    browser.follow(".button").await;
    browser.reaches("reset/finished").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_german() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let browser = Browser::with(Looks { languages: "de", ..Looks::default() }).await;
    browser.goto(&server.url("/")).await.unwrap();
    browser.photograph("german-menu").await;
    browser.follow("a[href=\"/enroll\"]").await;
    browser.photograph("german-enroll").await;
    let questions = [
        "Wie hieß Ihr erstes Stofftier?",
        "Welchen Spitznamen hatten Sie als Kind?",
        "Welchen Film haben Sie zuerst im Kino gesehen?",
    ];
    browser.fill("username", &user.name).await;
    browser.fill("password", &user.password).await;
    for (n, question) in questions.iter().enumerate() {
        let select = browser.find(Locator::Css(&format!("[name=question{}]", n + 1))).await.unwrap();
        select.select_by_label(question).await.unwrap();
        browser.fill(&format!("answer{}", n + 1), &format!("Flöckchen {n}")).await;
    }
    browser.follow(".button").await;
    browser.reaches("enroll/finished").await;
    browser.goto(&server.url("/reset")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    browser.reaches("reset/question").await;
    assert!(browser.says("main").await.contains(questions[0]));
    browser.photograph("german-question").await;
    browser.goto(&server.url("/reset?lang=en")).await.unwrap();
    browser.reaches("reset/question").await;
    assert!(browser.says("main").await.contains("Question 1 of 3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_meets_each_kind_of_trouble() {
    let domain = Domain::shared();
    let more = "[settings.general]\nhelp_desk = \"4444, weekdays 8 to 18\"\n\
         [settings.limits]\nstarts_per_account_per_hour = 2\nrequests_per_address_per_minute = 0\n";
    let mut server = Server::with(&[domain], more).await;
    let user = enrolled(domain, &server).await;
    let browser = Browser::open().await;
    let begin = async |flow: &str, name: &str| {
        browser.goto(&server.url(&format!("/?cmd={flow}&username={name}&domain=CORP"))).await.unwrap();
        browser.follow(".button").await;
    };
    begin("reset", &user.name).await;
    for n in 1..=5 {
        browser.reaches("reset/question").await;
        browser.fill("answer", &format!("wrong {n}")).await;
        browser.follow(".button").await;
    }
    browser.reaches("reset/error").await;
    assert!(browser.says("h1").await.contains("Too many wrong tries"));
    assert!(!browser.says("main").await.contains("Try again"), "it would not help");
    browser.photograph("lockout").await;
    for _ in 0..2 {
        begin("unlock", "somebody").await;
        browser.reaches("unlock/question").await;
    }
    begin("unlock", "somebody").await;
    browser.reaches("unlock/error").await;
    assert!(browser.says("h1").await.contains("A short pause"));
    assert!(browser.says("main").await.contains("in 60 minutes"));
    browser.photograph("pause").await;
    browser.goto(&server.url("/nowhere")).await.unwrap();
    browser.photograph("not-found").await;
    browser.goto(&server.url("/change")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.delete_all_cookies().await.unwrap();
    browser.follow(".button").await;
    browser.reaches("change/error").await;
    browser.photograph("form-forged").await;

    server.configure(&format!("\"{}\"", domain.address), "\"127.0.0.1:9\"");
    server.restart().await;
    browser.goto(&server.url("/reset")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    browser.reaches("reset/error").await;
    assert!(browser.says("h1").await.contains("doesn’t answer"));
    browser.photograph("critical-error").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_domain_needs_no_list_and_several_have_one() {
    let domain = Domain::shared();
    let more = "\n[[settings.domain]]\ndns_name = \"lab.example\"\nnetbios_name = \"LAB\"\n\
         service_account = \"svc@lab.example\"\nservice_password = \"nothing\"\ncontrollers = [\"127.0.0.1:9\"]\n";
    let server = Server::with(&[domain], &format!("{more}{QUICK}")).await;
    let user = domain.someone().await;
    let browser = Browser::open().await;
    browser.goto(&server.url("/reset")).await.unwrap();
    let list = browser.find(Locator::Css("select[name=domain]")).await.unwrap();
    list.select_by_label("LAB").await.unwrap();
    browser.photograph("identify-domains").await;
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    browser.reaches("reset/error").await;
    // The other domain is served all the same.
    let mut visitor: Visitor = server.visitor();
    visitor.enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    visitor.begins("reset", &format!("LAB\\{}", user.name), "CORP").await.is_at(503, "reset/error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_resets_the_password_with_a_code_from_the_mail() {
    let domain = Domain::shared();
    let mails = MailServer::start(&["--starttls"]);
    let by_mail = format!(
        "{QUICK}[settings.codes]\nby_mail = true\n[settings.mail]\ndelivery = \"smtp\"\nhost = \"localhost\"\n\
         port = {}\nca_file = '{}'\nsender = \"no-reply@corp.example\"\n",
        mails.port,
        mails.ca().display()
    );
    let server = Server::with(&[domain], &by_mail).await;
    let user = enrolled(domain, &server).await;
    domain.set(&user, "mail", &format!("{}@corp.example", user.name)).await;
    let browser = Browser::open().await;
    browser.goto(&server.url("/reset")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    answer_all(&browser, "reset").await;
    browser.reaches("reset/code").await;
    assert!(browser.says("main").await.contains("@c•••.example"), "{}", browser.says("main").await);
    browser.photograph("code").await;
    let code = mails.latest_code("@corp.example", 1).await;
    let wrong = if code == "000000" { "111111" } else { "000000" };
    browser.fill("code", wrong).await;
    browser.follow(".button").await;
    browser.reaches("reset/code").await;
    browser.photograph("code-wrong").await;
    browser.fill("code", &format!("{} {}", &code[..3], &code[3..])).await;
    browser.follow(".button").await;
    browser.reaches("reset/password").await;
    browser.fill("new_password", NEW).await;
    browser.fill("confirm_password", NEW).await;
    browser.follow(".button").await;
    browser.reaches("reset/finished").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_unlocks_where_the_code_comes_first() {
    let domain = Domain::shared();
    let mails = MailServer::start(&["--starttls"]);
    let by_mail = format!(
        "{QUICK}profile = \"internet\"\n[settings.codes]\nby_mail = true\n[settings.mail]\ndelivery = \"smtp\"\n\
         host = \"localhost\"\nport = {}\nca_file = '{}'\nsender = \"no-reply@corp.example\"\n",
        mails.port,
        mails.ca().display()
    );
    let server = Server::with(&[domain], &by_mail).await;
    let user = enrolled(domain, &server).await;
    domain.set(&user, "mail", &format!("{}@corp.example", user.name)).await;
    domain.lock_out(&user).await;
    let browser = Browser::open().await;
    browser.goto(&server.url("/unlock")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    browser.reaches("unlock/code").await;
    assert!(!browser.says("main").await.contains('•'), "nothing of the address before anything is proved");
    browser.photograph("code-first").await;
    browser.fill("code", &mails.latest_code("@corp.example", 1).await).await;
    browser.follow(".button").await;
    answer_all(&browser, "unlock").await;
    browser.reaches("unlock/finished").await;
    assert!(!domain.state(&user).await.unwrap().locked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_takes_long_is_warned_in_time_and_loses_nothing() {
    let domain = Domain::shared();
    let settings = "[settings.limits]\nrequests_per_address_per_minute = 0\n[settings.security]\nidle_timeout_seconds = 14\n";
    let server = Server::with(&[domain], settings).await;
    let user = enrolled(domain, &server).await;
    let browser = Browser::open().await;
    browser.goto(&server.url("/reset")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    answer_all(&browser, "reset").await;
    browser.reaches("reset/password").await;
    browser.fill("new_password", NEW).await;
    // Half of the time is over: said aloud, since it is a live region, with a way to have more that keeps what is typed.
    let stay = Locator::Css("#expiry[role=status] a");
    browser.wait().for_element(stay).await.unwrap();
    assert!(browser.says("#expiry").await.contains("this page closes soon"));
    browser.picture("expiring").await;
    browser.find(stay).await.unwrap().send_keys(&char::from(Key::Enter).to_string()).await.unwrap();
    let is_quiet = Locator::Css("#expiry:empty");
    browser.wait().for_element(is_quiet).await.unwrap();
    // It is warned of anew.
    browser.wait().for_element(stay).await.unwrap();
    browser.fill("confirm_password", NEW).await;
    browser.follow(".button").await;
    browser.reaches("reset/finished").await;
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);

    browser.goto(&server.url("/unlock")).await.unwrap();
    browser.fill("username", &user.name).await;
    browser.follow(".button").await;
    browser.reaches("unlock/question").await;
    let is_over = Locator::XPath("//*[@id='expiry'][contains(., 'has closed for your safety')]");
    browser.wait().at_most(Duration::from_secs(40)).for_element(is_over).await.unwrap();
    browser.find(stay).await.unwrap().click().await.unwrap();
    browser.reaches("unlock/identify").await;
}
