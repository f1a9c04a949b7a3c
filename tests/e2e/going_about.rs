//! Moving about in a flow: cancelling, going back, reloading, sending twice, two windows, coming back later.

use super::support::{
    domain::{Bind, Domain},
    person::ANSWERS,
    server::{QUICK, Server},
};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_mistyped_the_name_cancels_and_starts_anew() {
    let server = Server::quick().await;
    let mut visitor = server.visitor();
    for flow in ["reset", "unlock", "change"] {
        let page = visitor.begins(flow, "mistyped", "CORP").await;
        assert!(page.text().contains("value=\"cancel\""), "the way out is a button of the form");
        visitor.get(&format!("/{flow}")).await.is_at(200, &page.step());
        let page = visitor.submit(&page, &[("action", "cancel")]).await;
        assert_eq!((page.status, page.header("location")), (303, Some("/")));
        visitor.get(&format!("/{flow}")).await.is_at(200, &format!("{flow}/identify"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_flow_is_done_once_however_often_it_is_sent() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let mut visitor = server.visitor();
    visitor.enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let page = visitor.proves(&user.name, "CORP").await;
    visitor.chooses(&page, "Sent-0nce-Only!").await.is_finished("reset");
    let set = domain.state(&user).await.unwrap().pwd_last_set;
    // Back, and sent again with another password: the visitor is put where they are.
    visitor.chooses(&page, "Sent-Tw1ce-Now!").await.is_finished("reset");
    visitor.get("/reset").await.is_finished("reset");
    assert_eq!(domain.state(&user).await.unwrap().pwd_last_set, set);
    assert_eq!(domain.bind(&user, "Sent-0nce-Only!").await, Bind::Accepted);
    // OK leads to the menu, and from there one starts anew.
    visitor.get("/").await.is_at(200, "menu/menu");
    visitor.get("/reset").await.is_at(200, "reset/identify");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_flow_beside_one_under_way_does_not_come_back() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let mut visitor = server.visitor();
    visitor.enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    visitor.begins("reset", &user.name, "CORP").await.is_at(200, "reset/question");
    visitor.get("/").await.is_at(200, "menu/menu");
    visitor.get("/enroll").await.is_at(200, "enroll/identify");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_can_not_be_skipped_mixed_or_taken_in_another_browser() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let mut visitor = server.visitor();
    let question = visitor.begins("reset", &user.name, "CORP").await;
    let fields = [("new_password", "Sk1pped-Ahead!"), ("confirm_password", "Sk1pped-Ahead!")];
    visitor.submit(&question, &fields).await.is_at(422, "reset/question");
    // The form of one step sent as another's, of one flow to another, of one browser from another.
    let mut unlock = question.clone();
    "/unlock".clone_into(&mut unlock.path);
    visitor.submit(&unlock, &[("answer", ANSWERS[0].1)]).await.is_at(403, "unlock/error");
    let mut other = server.visitor();
    other.submit(&question, &[("answer", ANSWERS[0].1)]).await.is_at(403, "reset/error");
    other.begins("reset", &user.name, "CORP").await;
    other.submit(&question, &[("answer", ANSWERS[0].1)]).await.is_at(403, "reset/error");
    // Without the marks of a form of this site.
    let body = format!("csrf={}&answer=x", question.csrf());
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    for headers in [
        &[form, ("Origin", "https://evil.example")][..],
        &[form, ("Origin", "null")],
        &[form, ("Sec-Fetch-Site", "cross-site")],
    ] {
        let page = visitor.request("POST", "/reset", headers, body.as_bytes()).await;
        page.is_at(403, "reset/error");
    }
    // None of it counted.
    let password = visitor.answers(question.clone()).await;
    password.is_at(200, "reset/password");
    // The session is new since the proof: the old one's form is a stranger's, and the visitor stays where they are.
    visitor.goes_on(&question, &[("answer", "wrong")]).await.is_at(403, "reset/error");
    visitor.get("/reset").await.is_at(200, "reset/password");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_sent_at_once_are_tried_as_often_as_allowed_and_no_more() {
    let domain = Domain::shared();
    let more = "[settings.limits]\nrequests_per_address_per_minute = 0\nstarts_per_account_per_hour = 0\n";
    let server = Server::with(&[domain], more).await;
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let mut sent = tokio::task::JoinSet::new();
    for n in 0..60 {
        let mut visitor = server.visitor();
        let name = user.name.clone();
        sent.spawn(async move {
            let page = visitor.begins("reset", &name, "CORP").await;
            if page.status != 200 {
                return page.status;
            }
            visitor.goes_on(&page, &[("answer", &format!("guess {n}"))]).await.status
        });
    }
    let statuses = sent.join_all().await;
    let wrong = statuses.iter().filter(|status| **status == 422).count();
    assert!(wrong <= 4, "the fifth locks: {statuses:?}");
    assert!(statuses.iter().all(|status| [422, 403].contains(status)), "{statuses:?}");
    server.visitor().begins("reset", &user.name, "CORP").await.is_at(403, "reset/error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_survives_a_restart_of_the_program() {
    let (domain, mut server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    let mut visitor = server.visitor();
    visitor.enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let page = visitor.begins("reset", &user.name, "CORP").await;
    let second = visitor.goes_on(&page, &[("answer", ANSWERS[0].1)]).await;
    assert!(second.text().contains("Question 2 of 3"));
    server.restart().await;
    let page = visitor.get("/reset").await;
    assert_eq!(page.says("for=\"answer\""), second.says("for=\"answer\""));
    // Also with the form that was open all the while.
    let page = visitor.answers(second).await;
    server.restart().await;
    visitor.chooses(&page, "Aft3r-Restart!").await.is_finished("reset");
    assert_eq!(domain.bind(&user, "Aft3r-Restart!").await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_ends_after_idling_and_reading_its_page_keeps_it() {
    let domain = Domain::shared();
    let server = Server::with(&[domain], &format!("{QUICK}idle_timeout_seconds = 4\n")).await;
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let mut visitor = server.visitor();
    let page = visitor.begins("reset", &user.name, "CORP").await;
    for _ in 0..6 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        visitor.get("/reset").await.is_at(200, "reset/question");
    }
    let page = visitor.goes_on(&page, &[("answer", ANSWERS[0].1)]).await;
    page.is_at(200, "reset/question");
    tokio::time::sleep(std::time::Duration::from_millis(4500)).await;
    let late = visitor.goes_on(&page, &[("answer", ANSWERS[1].1)]).await;
    late.is_at(403, "reset/error");
    assert!(late.heading().contains("Your time was up"));
    visitor.get("/reset").await.is_at(200, "reset/identify");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_forms_or_flows_are_answered_with_a_pause() {
    let domain = Domain::shared();
    let more = "[settings.limits]\nrequests_per_address_per_minute = 6\nstarts_per_account_per_hour = 3\n\
         [settings.security]\nreply_deadline_ms = 0\n";
    let server = Server::with(&[domain], more).await;
    let mut visitor = server.visitor();
    for _ in 0..3 {
        server.visitor().begins("reset", "Somebody-Unknown", "CORP").await.is_at(200, "reset/question");
    }
    let page = visitor.begins("reset", "somebody-unknown", "corp.example").await;
    page.is_at(429, "reset/error");
    assert!(page.header("retry-after").unwrap().parse::<u32>().unwrap() > 3000);
    let mut limited = None;
    for _ in 0..4 {
        let page = visitor.begins("change", "alice", "CORP").await;
        if page.status == 429 {
            limited = Some(page);
            break;
        }
    }
    let page = limited.expect("the seventh form in a minute");
    assert!((1..=60).contains(&page.header("retry-after").unwrap().parse::<u32>().unwrap()));
    assert!(page.heading().contains("A short pause"));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_the_reference_product_open_the_page_with_the_fields_filled_in() {
    let server = Server::quick().await;
    let links = [
        ("/?cmd=reset&username=alice&domain=CORP", "reset/identify", "alice"),
        ("/?cmd=unlock&username=m%C3%BCller", "unlock/identify", "müller"),
        ("/?cmd=change", "change/identify", ""),
        ("/pwreset/apr.dll?cmd=enroll&username=bob&domain=CORP", "enroll/identify", "bob"),
        ("/pwreset/?cmd=reset", "reset/identify", ""),
    ];
    for (link, step, name) in links {
        let mut visitor = server.visitor();
        let mut page = visitor.get(link).await;
        for _ in 0..2 {
            page = visitor.follow(page).await;
        }
        page.is_at(200, step);
        assert_eq!(page.field("username").unwrap(), name, "{link}");
    }
    for link in ["/pwreset/", "/pwreset/en_default.htm", "/pwreset/apr.dll"] {
        let mut visitor = server.visitor();
        let page = visitor.get(link).await;
        visitor.follow(page).await.is_at(200, "menu/menu");
    }
}
