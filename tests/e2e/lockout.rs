//! Nobody can lock a person out of the directory through Regain.

use super::support::{
    domain::{Bind, Domain},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_wrong_passwords_at_enroll_and_at_change_leave_the_account_open() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    for flow in ["enroll", "change", "both"] {
        let user = domain.someone().await;
        let mut tries = tokio::task::JoinSet::new();
        for n in 0..50 {
            let (mut visitor, name) = (server.visitor(), user.name.clone());
            // Each way of typing the name is the same account.
            let name = [name.clone(), name.to_uppercase(), format!("{name}@corp.example")][n % 3].clone();
            let enroll = flow == "enroll" || flow == "both" && n % 2 == 0;
            tries.spawn(async move {
                let wrong = format!("Wrong-Pw0rd-{n}!");
                if enroll {
                    let page = visitor.enrolls(&name, "CORP", &wrong).await;
                    page.refuses("enroll/identify", "together they don’t fit");
                } else {
                    let page = visitor.changes(&name, "CORP", &wrong, "Never-To-Be-Set-1!").await;
                    page.refuses("change/credentials", "together they don’t fit");
                }
            });
        }
        tries.join_all().await;
        let state = domain.state(&user).await.unwrap();
        assert_eq!((state.lockout_time, state.locked), (0, false), "{flow}");
        assert!(state.bad_pwd_count <= 3, "{flow}: two are left to the person: {}", state.bad_pwd_count);
        // While they are held back, the right password isn't tried either: whoever guesses learns nothing.
        let page = server.visitor().enrolls(&user.name, "CORP", &user.password).await;
        page.refuses("enroll/identify", "together they don’t fit");
        assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted, "{flow}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tried_elsewhere_counts_too() {
    let (domain, server) = (Domain::shared(), Server::quick().await);
    let user = domain.someone().await;
    for _ in 0..3 {
        domain.bind(&user, "Mistyped-At-Logon!").await;
    }
    for _ in 0..3 {
        let page = server.visitor().enrolls(&user.name, "CORP", "Wrong-Pw0rd!").await;
        page.refuses("enroll/identify", "together they don’t fit");
    }
    assert_eq!(domain.state(&user).await.unwrap().bad_pwd_count, 3, "none of ours was tried");
    // Once the directory has seen the right password, one may try again.
    assert_eq!(domain.bind(&user, &user.password).await, Bind::Accepted);
    server.visitor().enrolls(&user.name, "CORP", &user.password).await.is_finished("enroll");
}
