//! Who one is: each way of typing a name and a domain, and names that trip programs up.

use super::support::{
    domain::{Bind, DNS, Domain},
    http::Visitor,
    person::ANSWERS,
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_can_be_typed_in_every_way_that_windows_knows() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let sam = user.name.as_str();
    server.visitor().enrolls(sam, "CORP", &user.password).await.is_finished("enroll");
    let ways = [
        (sam.to_owned(), "CORP"),
        (sam.to_uppercase(), "corp"),
        (format!("  {sam}"), "corp.example"),
        (sam.to_owned(), "CORP.EXAMPLE."),
        (sam.to_owned(), ""),
        (format!("{sam}@{DNS}"), "CORP"),
        (format!("{}@Corp.Example", sam.to_uppercase()), "CORP"),
        (format!("{sam}@corp"), "CORP"),
        (format!("CORP\\{sam}"), "CORP"),
        (format!("corp.example\\{sam}"), ""),
        // What is copied from elsewhere often ends with a blank.
        (format!("{sam} "), "CORP"),
    ];
    let mut old = user.password.clone();
    for (n, (name, typed_domain)) in ways.iter().enumerate() {
        let mut visitor = server.visitor();
        let page = visitor.begins("reset", name, typed_domain).await;
        page.is_at(200, "reset/question");
        assert_eq!(page.says("for=\"answer\"").unwrap(), ANSWERS[0].0, "{name:?} in {typed_domain:?}");
        let new = format!("Way-Number-{n}!");
        visitor.changes(name, typed_domain, &old, &new).await.is_finished("change");
        assert_eq!(domain.bind(&user, &new).await, Bind::Accepted, "{name:?} in {typed_domain:?}");
        old = new;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_upn_of_another_suffix_is_a_name_too() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.user("flast");
    let name = "First.Last@mail.example";
    server.visitor().enrolls(name, "CORP", &user.password).await.is_finished("enroll");
    server.visitor().resets("flast", "CORP", "By-Its-Upn-1!").await.is_finished("reset");
    assert_eq!(domain.bind(&user, "By-Its-Upn-1!").await, Bind::Accepted);
    server.visitor().changes(name, "CORP", "By-Its-Upn-1!", "By-Its-Upn-2!").await.is_finished("change");
    assert_eq!(domain.bind(&user, "By-Its-Upn-2!").await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_go_through_every_flow() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    for name in ["o'brien", "müller", "trail ", "日本", "backslash", "smith (ext)", "star"] {
        let user = domain.user(name);
        let mut visitor = server.visitor();
        visitor.enrolls(name, "CORP", &user.password).await.is_finished("enroll");
        visitor.resets(name, "CORP", "Odd-But-Fine-1!").await.is_finished("reset");
        assert_eq!(domain.bind(&user, "Odd-But-Fine-1!").await, Bind::Accepted, "{name}");
        visitor.changes(name, "CORP", "Odd-But-Fine-1!", "Odd-But-Fine-2!").await.is_finished("change");
        assert_eq!(domain.bind(&user, "Odd-But-Fine-2!").await, Bind::Accepted, "{name}");
    }
    // Who leaves the blank at the end out is understood as well.
    server.visitor().resets("trail", "CORP", "Left-It-Out-1!").await.is_finished("reset");
    assert_eq!(domain.bind(&domain.user("trail "), "Left-It-Out-1!").await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_name_is_said_or_answered_as_an_unknown_one() {
    let server = Server::quick().await;
    let refused = [
        ("", "CORP", "User name"),
        ("   ", "CORP", "User name"),
        ("a\0b", "CORP", "can’t be typed"),
        (&*"x".repeat(257), "CORP", "too long"),
        ("NOPE\\alice", "CORP", "don’t know this one"),
        ("alice", "NOPE", "don’t know this one"),
        ("CORP\\", "CORP", "can’t be a user name"),
    ];
    for (name, domain, words) in refused {
        let page = server.visitor().begins("reset", name, domain).await;
        page.refuses("reset/identify", words);
    }
    for name in ["*", ")(objectClass=*", "\\2a", "nobody at all", "a*", "(&)", "alice)(cn=*"] {
        let mut visitor = server.visitor();
        let page = visitor.begins("reset", name, "CORP").await;
        if name.starts_with('\\') {
            page.refuses("reset/identify", "");
            continue;
        }
        page.is_at(200, "reset/question");
        assert_eq!(same_question(&server.visitor(), name).await, page.says("for=\"answer\""), "{name}");
        page.is_at(200, "reset/question");
        let page = visitor.goes_on(&page, &[("answer", "Pancakes")]).await;
        page.refuses("reset/question", "not the one we know");
        let page = visitor.changes(name, "CORP", "Start-Pw0rd!1", "Never-To-Be-Set-1!").await;
        page.refuses("change/credentials", "together they don’t fit");
        let page = visitor.enrolls(name, "CORP", "Start-Pw0rd!1").await;
        page.refuses("enroll/identify", "together they don’t fit");
    }
}

async fn same_question(visitor: &Visitor, name: &str) -> Option<String> {
    visitor.clone().begins("reset", name, "CORP").await.says("for=\"answer\"")
}
