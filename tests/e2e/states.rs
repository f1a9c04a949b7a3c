//! What an account can be, and what becomes of each on the pages.

use super::support::{
    domain::{Bind, Domain, User},
    person::ANSWERS,
    server::{QUICK, Server},
};

const NEW: &str = "A-Fresh-0ne!";

fn refused(code: &str) -> Bind {
    Bind::Refused(code.to_owned())
}

/// Someone who has enrolled.
async fn enrolled(domain: &Domain, server: &Server) -> User {
    let user = domain.someone().await;
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    user
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_password_serves_to_enroll_and_can_be_changed_or_reset() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    domain.backdate(&user, "pwdLastSet", "now-8640000");
    assert_eq!(domain.bind(&user, &user.password).await, refused("532"));
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    server.visitor().changes(&user.name, "CORP", &user.password, NEW).await.is_finished("change");
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);

    domain.backdate(&user, "pwdLastSet", "now-8640000");
    server.visitor().resets(&user.name, "CORP", "Reset-Aft3r!").await.is_finished("reset");
    assert_eq!(domain.bind(&user, "Reset-Aft3r!").await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_must_be_changed_serves_to_enroll_and_can_be_changed_or_reset() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    domain.set(&user, "pwdLastSet", "0").await;
    assert_eq!(domain.bind(&user, &user.password).await, refused("773"));
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    server.visitor().changes(&user.name, "CORP", &user.password, NEW).await.is_finished("change");
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);

    domain.set(&user, "pwdLastSet", "0").await;
    server.visitor().resets(&user.name, "CORP", "Reset-Aft3r!").await.is_finished("reset");
    assert_eq!(domain.bind(&user, "Reset-Aft3r!").await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_next_logon_can_be_demanded_after_a_reset() {
    let domain = Domain::shared();
    let server = Server::with(&[domain], &format!("{QUICK}must_change_after_reset = true\n")).await;
    let user = enrolled(domain, &server).await;
    let page = server.visitor().resets(&user.name, "CORP", NEW).await;
    page.is_finished("reset");
    assert!(page.text().contains("At your next logon Windows asks you"), "{}", page.text());
    assert_eq!(domain.bind(&user, NEW).await, refused("773"));

    let never = domain.user("never");
    server.visitor().enrolls("never", "CORP", &never.password).await.is_finished("enroll");
    server.visitor().resets("never", "CORP", NEW).await.is_finished("reset");
    assert_eq!(domain.bind(&never, NEW).await, Bind::Accepted, "a password that never expires is left so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_is_unlocked_by_unlock_and_by_reset() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = enrolled(domain, &server).await;
    let page = server.visitor().unlocks(&user.name, "CORP").await;
    page.is_finished("unlock");
    assert_eq!(page.heading(), "Your account was not locked");

    domain.lock_out(&user).await;
    let page = server.visitor().unlocks(&user.name, "CORP").await;
    page.is_finished("unlock");
    assert_eq!(page.heading(), "Your account is unlocked");
    assert!(!domain.state(&user).await.unwrap().locked);
    assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted);

    domain.lock_out(&user).await;
    server.visitor().resets(&user.name, "CORP", NEW).await.is_finished("reset");
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
    assert_eq!(domain.state(&user).await.unwrap().lockout_time, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_can_neither_enroll_nor_change() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    domain.lock_out(&user).await;
    let page = server.visitor().enrolls(&user.name, "CORP", &user.password).await;
    page.refuses("enroll/identify", "unlock it first");
    let page = server.visitor().changes(&user.name, "CORP", &user.password, NEW).await;
    page.refuses("change/credentials", "unlock it first");
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_and_expired_accounts_are_told_so_only_after_a_proof() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    for (what, words) in [("disabled", "switched off"), ("expired", "This account has expired")] {
        let user = enrolled(domain, &server).await;
        if what == "disabled" {
            domain.set(&user, "userAccountControl", "514").await;
        } else {
            domain.backdate(&user, "accountExpires", "now-86400");
        }
        let mut visitor = server.visitor();
        let page = visitor.begins("reset", &user.name, "CORP").await;
        page.is_at(200, "reset/question");
        let page = visitor.answers(page).await;
        page.is_at(403, "reset/error");
        assert!(page.heading().contains(words), "{}", page.heading());
        assert!(page.reference().is_some());
        let page = server.visitor().unlocks(&user.name, "CORP").await;
        page.is_at(403, "unlock/error");
        assert!(page.heading().contains(words), "{}", page.heading());
        let page = server.visitor().enrolls(&user.name, "CORP", &user.password).await;
        page.is_at(403, "enroll/error");
        assert!(page.heading().contains(words), "{}", page.heading());
        let page = server.visitor().changes(&user.name, "CORP", &user.password, NEW).await;
        page.is_at(403, "change/error");
        assert!(page.heading().contains(words), "{}", page.heading());
        let page = server.visitor().changes(&user.name, "CORP", "Not-The-Pw0rd!", NEW).await;
        page.refuses("change/credentials", "together they don’t fit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_not_served_can_do_nothing_and_strangers_can_not_tell() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let protected = domain.user("protected");
    let service = domain.user("svc-sspr");
    let accounts = [
        ("protected", protected.password.as_str(), "Not for administrators"),
        ("Administrator", "Admin-Pw0rd!1", "Not for administrators"),
        ("svc-sspr", service.password.as_str(), "Not for this account"),
    ];
    for (name, password, words) in accounts {
        let page = server.visitor().enrolls(name, "CORP", password).await;
        page.is_at(403, "enroll/error");
        assert!(page.heading().contains(words), "{name}: {}", page.heading());
        let page = server.visitor().changes(name, "CORP", password, NEW).await;
        page.is_at(403, "change/error");
        assert!(page.heading().contains(words), "{name}: {}", page.heading());
    }
    for name in ["protected", "Administrator", "svc-sspr", "DC1$", "krbtgt", "Guest", "nobody-at-all"] {
        let mut visitor = server.visitor();
        for flow in ["reset", "unlock"] {
            let page = visitor.begins(flow, name, "CORP").await;
            page.is_at(200, &format!("{flow}/question"));
            assert!(page.text().contains("Question 1 of 3"), "{name}");
            let page = visitor.goes_on(&page, &[("answer", ANSWERS[0].1)]).await;
            page.refuses(&format!("{flow}/question"), "not the one we know");
        }
        let page = server.visitor().changes(name, "CORP", "Not-The-Pw0rd!", NEW).await;
        page.refuses("change/credentials", "together they don’t fit");
    }
    assert_eq!(domain.bind(&protected, &protected.password).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_service_account_has_no_rights_the_page_has_a_reference_and_the_log_the_cause() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.user("otherou");
    server.visitor().enrolls("otherou", "CORP", &user.password).await.is_finished("enroll");
    let mut visitor = server.visitor();
    let page = visitor.proves("otherou", "CORP").await;
    let page = visitor.chooses(&page, NEW).await;
    page.is_at(500, "reset/error");
    let reference = page.reference().unwrap();
    let log = server.log();
    let line = log.lines().find(|line| line.contains(&reference)).expect("a line with the reference");
    assert!(line.contains("insufficient") || line.contains("rights"), "{line}");
    assert!(!log.contains(NEW) && !log.contains(ANSWERS[0].1), "no secrets in the log");
    assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted);
    // Nothing is lost: the flow stands where it was.
    visitor.get("/reset").await.is_at(200, "reset/password");
    domain.lock_out(&user).await;
    let page = server.visitor().unlocks("otherou", "CORP").await;
    page.is_at(500, "unlock/error");
    domain.set(&user, "lockoutTime", "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_change_a_password_is_told_so_only_with_the_right_one() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.user("cannotchange");
    let page = server.visitor().changes("cannotchange", "CORP", "Not-The-Pw0rd!", NEW).await;
    page.refuses("change/credentials", "together they don’t fit");
    let page = server.visitor().changes("cannotchange", "CORP", &user.password, NEW).await;
    page.is_at(403, "change/error");
    assert!(page.heading().contains("managed for you"), "{}", page.heading());
    assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fine_grained_policy_is_shown_and_holds() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.user("vip");
    let mut visitor = server.visitor();
    visitor.enrolls("vip", "CORP", &user.password).await.is_finished("enroll");
    let page = visitor.proves("vip", "CORP").await;
    let text = page.text();
    assert!(text.contains("At least 14 characters"), "{text}");
    // Samba has no policy hints, so at a reset it can't obey the history: then it isn't claimed either.
    assert!(!text.contains("Not one of your last"), "{text}");
    let page = visitor.chooses(&page, "Thirteen-Ch1!").await;
    page.refuses("reset/password", "at least 14 characters");
    visitor.chooses(&page, "Fourteen-Char1").await.is_finished("reset");
    assert_eq!(domain.bind(&user, "Fourteen-Char1").await, Bind::Accepted);
    let page = visitor.changes("vip", "CORP", "Fourteen-Char1", "Thirteen-Ch2!").await;
    page.refuses("change/credentials", "at least 14 characters");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_the_domain_are_shown_and_hold() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = enrolled(domain, &server).await;
    let mut visitor = server.visitor();
    let page = visitor.proves(&user.name, "CORP").await;
    assert!(page.text().contains("At least 8 characters"), "{}", page.text());
    let page = visitor.chooses(&page, "Short1!").await;
    page.refuses("reset/password", "at least 8 characters");
    let page = visitor.chooses(&page, "alllowercase").await;
    page.refuses("reset/password", "too simple");
    let page = visitor.chooses(&page, &format!("Xy1-{}-zz", user.name)).await;
    page.refuses("reset/password", "your name or user name");
    let page = visitor.goes_on(&page, &[("new_password", NEW), ("confirm_password", "Another-0ne!")]).await;
    page.refuses("reset/password", "not the same");
    assert!(!page.text().contains(NEW), "a password is never shown again");
    visitor.chooses(&page, NEW).await.is_finished("reset");

    let page = visitor.changes(&user.name, "CORP", NEW, "Short1!").await;
    page.refuses("change/credentials", "at least 8 characters");
    let page = visitor.changes(&user.name, "CORP", NEW, &user.password).await;
    page.refuses("change/credentials", "");
    assert!(
        page.alert().contains("used this one before") || page.alert().contains("used before"),
        "{}",
        page.alert()
    );
    let page = visitor.changes(&user.name, "CORP", NEW, NEW).await;
    page.refuses("change/credentials", "your current one");
    visitor.changes(&user.name, "CORP", NEW, "A-Fresher-0ne!").await.is_finished("change");
    assert_eq!(domain.bind(&user, "A-Fresher-0ne!").await, Bind::Accepted);
    assert_eq!(domain.state(&user).await.unwrap().bad_pwd_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_set_exactly_as_it_was_typed() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = enrolled(domain, &server).await;
    let long = format!("Aa1!{}", "x".repeat(96));
    let passwords = [
        "Grüße-Größe-1ÄÖÜ",
        "\"quoted\" & 'single' 1A",
        " Leading and trailing 1 ",
        "back\\slash%2B+plus&amp;1A",
        "日本語のパスワードA1b",
        "e\u{301}te-De\u{301}compose\u{301}-1",
        "𝒮urrogates-🔑-1",
        long.as_str(),
    ];
    let mut old = user.password.clone();
    for (n, password) in passwords.iter().enumerate() {
        let mut visitor = server.visitor();
        let page = if n % 2 == 0 {
            visitor.resets(&user.name, "CORP", password).await
        } else {
            visitor.changes(&user.name, "CORP", &old, password).await
        };
        page.is_finished(if n % 2 == 0 { "reset" } else { "change" });
        assert_eq!(domain.bind(&user, password).await, Bind::Accepted, "{password:?}");
        old = (*password).to_owned();
    }
    // And each is understood as an old one.
    for password in passwords {
        domain.set_password(&user, password).await;
        let page = server.visitor().enrolls(&user.name, "CORP", password).await;
        page.is_finished("enroll");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_and_moved_user_keeps_the_enrollment_and_a_recreated_one_has_none() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let name = "to-be-renamed";
    let user = domain.create(name).await;
    server.visitor().enrolls(name, "CORP", &user.password).await.is_finished("enroll");
    let renamed = domain.rename(&user, "renamed").await;
    // People, Service and back: the rights are those of People.
    let moved = domain.move_to(&renamed, "Service").await;
    let page = server.visitor().begins("reset", "renamed", "CORP").await;
    assert_eq!(page.says("for=\"answer\"").unwrap(), ANSWERS[0].0);
    let moved = domain.move_to(&moved, "People").await;
    server.visitor().resets("renamed", "CORP", NEW).await.is_finished("reset");
    assert_eq!(domain.bind(&moved, NEW).await, Bind::Accepted);

    domain.delete(&moved).await;
    let anew = domain.create("renamed").await;
    let mut visitor = server.visitor();
    for _ in 0..3 {
        let page = visitor.begins("reset", "renamed", "CORP").await;
        page.is_at(200, "reset/question");
        let page = visitor.goes_on(&page, &[("answer", ANSWERS[0].1)]).await;
        page.refuses("reset/question", "not the one we know");
    }
    assert_eq!(domain.bind(&anew, &anew.password).await, Bind::Accepted);
    server.visitor().enrolls("renamed", "CORP", &anew.password).await.is_finished("enroll");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_between_two_steps_changes_nothing() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.create("moved-meanwhile").await;
    let mut visitor = server.visitor();
    visitor.enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    let page = visitor.proves(&user.name, "CORP").await;
    let renamed = domain.rename(&user, "has-moved-meanwhile").await;
    visitor.chooses(&page, NEW).await.is_finished("reset");
    assert_eq!(domain.bind(&renamed, NEW).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolling_again_replaces_answers_and_ends_a_lockout_of_ours() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = enrolled(domain, &server).await;
    let mut visitor = server.visitor();
    let mut page = visitor.begins("reset", &user.name, "CORP").await;
    for n in 1..5 {
        page = visitor.goes_on(&page, &[("answer", &format!("wrong {n}"))]).await;
        page.refuses("reset/question", "not the one we know");
    }
    let page = visitor.goes_on(&page, &[("answer", "wrong 5")]).await;
    page.is_at(403, "reset/error");
    assert!(page.heading().contains("Too many wrong tries"), "{}", page.heading());
    for flow in ["reset", "unlock"] {
        let page = server.visitor().begins(flow, &user.name, "CORP").await;
        page.is_at(403, &format!("{flow}/error"));
    }
    assert_eq!(domain.state(&user).await.unwrap().lockout_time, 0, "AD knows nothing of it");
    assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted);
    let page = server.visitor().enrolls(&user.name, "CORP", &user.password).await;
    page.is_finished("enroll");
    assert!(page.text().contains("You can use Reset and Unlock again"), "{}", page.text());
    server.visitor().resets(&user.name, "CORP", NEW).await.is_finished("reset");
    assert_eq!(domain.bind(&user, NEW).await, Bind::Accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_of_the_groups_may_nested_and_primary_ones_counted() {
    let domain = Domain::shared();
    let outer = domain.group("SSPR-Users").sid;
    let users = format!("{}-513", outer.rsplit_once('-').unwrap().0);
    let more = format!(
        "{QUICK}[settings.permissions.reset]\naudience = \"members\"\ngroups = [\"{outer}\"]\n\
         [settings.permissions.unlock]\naudience = \"others\"\ngroups = [\"{users}\"]\n"
    );
    let server = Server::with(&[domain], &more).await;
    let (member, stranger) = (domain.someone().await, domain.someone().await);
    // The group's member's member's member.
    domain.join(&member, "Inner").await;
    for user in [&member, &stranger] {
        server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
    }
    server.visitor().resets(&member.name, "CORP", NEW).await.is_finished("reset");
    assert_eq!(domain.bind(&member, NEW).await, Bind::Accepted);
    let page = server.visitor().proves(&stranger.name, "CORP").await;
    page.is_at(403, "reset/error");
    assert!(page.heading().contains("Not available for your account"), "{}", page.heading());
    let mut visitor = server.visitor();
    let page = visitor.begins("unlock", &member.name, "CORP").await;
    visitor.answers(page).await.is_at(403, "unlock/error");
}
