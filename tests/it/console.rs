//! The data console: events and users as tables, a user's story, and what helpers do there (R7).

use regain::{
    directory::demo::SAMPLE_ADMINISTRATORS,
    domain::audit::Action,
    testing::{DirectoryMood, Page, Setup, TestApp, Visitor},
};

use super::admin::{first_signs_in, is_at, sets_up};

/// A program with some people in it, and someone who looks after them.
async fn with_people(setup: Setup) -> (TestApp, Visitor) {
    let app = setup.start().await;
    for name in ["alice", "erin", "heidi"] {
        let mut person = app.visitor(name);
        person.enrolls().await;
        if name == "alice" {
            person.elsewhere().resets_password("Another-Horse-2").await;
        }
    }
    let mut visitor = app.visitor("root");
    sets_up(&app, &mut visitor).await;
    (app, visitor)
}

/// Someone of that role.
async fn as_role(change: impl FnOnce(&mut regain::settings::Settings)) -> (TestApp, Visitor) {
    let app = TestApp::new().with_settings(change).start().await;
    app.visitor("alice").enrolls().await;
    app.visitor("erin").enrolls().await;
    let (visitor, ..) = first_signs_in(&app).await;
    (app, visitor)
}

fn group() -> Vec<String> {
    vec![SAMPLE_ADMINISTRATORS.into()]
}

/// Sends the form of the page that is sent to that path, and goes where that leads. Others only ask for it.
async fn sends(visitor: &mut Visitor, path: &str, fields: &[(&str, &str)]) -> Page {
    let html = visitor.page.as_ref().unwrap().html.replace("&#x2f;", "/");
    let form = html.split(&format!("method=\"post\" action=\"{path}\"")).nth(1).expect("a form");
    let token = form.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let page = visitor.post_raw(path, &[&[("csrf", token)], fields].concat()).await;
    visitor.page = Some(page.clone());
    match page.location().map(str::to_owned) {
        Some(location) => visitor.open(&location).await,
        None => page,
    }
}

/// The cells of a column, as they are read.
fn column(page: &Page, key: &str) -> Vec<String> {
    let mark = format!("class=\"cell-{key}\"");
    let cells = page.html.split(&mark).skip(1).map(|rest| {
        let rest = &rest[rest.find('>').unwrap() + 1..];
        Page { html: rest[..rest.find("</td>").unwrap()].to_owned(), ..page.clone() }.text().trim().to_owned()
    });
    cells.collect()
}

/// Sends a form of the page by its address, as a browser does.
async fn asks(visitor: &mut Visitor, path: &str, fields: &[(&str, &str)]) -> Page {
    let query = serde_urlencoded::to_string(fields).unwrap();
    visitor.open(&format!("{path}?{query}")).await
}

async fn story_of(app: &TestApp, name: &str) -> String {
    let key = app.account(name).await.key;
    format!("/admin/users/{}/{}", key.domain, key.guid)
}

#[tokio::test]
async fn what_is_typed_below_a_column_stands_in_the_address_and_in_a_sentence() {
    let (_, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin/events").await;
    is_at(&page, 200, "Events");
    assert!(column(&page, "user").contains(&"alice".to_owned()), "{}", page.text());
    let page =
        asks(&mut visitor, "/admin/events", &[("f.user", "ALI"), ("f.event", "reset"), ("f.outcome", "")])
            .await;
    is_at(&page, 200, "User contains “ALI”");
    assert!(column(&page, "user").iter().all(|user| user == "alice") && !column(&page, "user").is_empty());
    assert!(column(&page, "event").iter().all(|event| event == "Reset"));
    assert_eq!(page.value("f.user").as_deref(), Some("ALI"));
    assert_eq!(page.value("f.event").as_deref(), Some("reset"));
    // It is passed on as an address.
    let page = visitor.get("/admin/events?f.user=a%3Fi*&f.at=today").await;
    assert_eq!(page.code(), 303);
    let address = page.location().unwrap().to_owned();
    assert!(address.starts_with("/admin/events?q=") && address.contains("today"), "{address}");
    assert!(column(&visitor.open(&address).await, "user").iter().all(|user| user == "alice"));
    // Days of one's own.
    let fields = [("f.at", "own"), ("f.at.from", "2020-01-01"), ("f.at.to", "2020-01-31")];
    let page = asks(&mut visitor, "/admin/events", &fields).await;
    is_at(&page, 200, "No row fits");
    is_at(&page, 200, "Time is from 2020-01-01 and Time is before 2020-02-01");
    assert_eq!(page.value("f.at.to").as_deref(), Some("2020-01-31"));
    // What the boxes can't say stays beside them.
    let fields = [("q", "user like a* or user like e*"), ("f.event", "enroll")];
    let page =
        asks(&mut visitor, "/admin/users", &[("q", "user like a* or user like e*"), ("f.state", "enrolled")])
            .await;
    assert_eq!(column(&page, "user"), ["alice", "erin"]);
    let page = asks(&mut visitor, "/admin/events", &fields).await;
    assert!(column(&page, "event").iter().all(|event| event == "Enroll"), "{}", page.text());
}

#[tokio::test]
async fn rows_are_put_in_order_and_turned_page_by_page() {
    let (_, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin/users").await;
    assert_eq!(column(&page, "user"), ["alice", "erin", "heidi"]);
    assert!(page.html.contains("aria-sort=\"ascending\""));
    is_at(&page, 200, "3 rows shown. 3 fit, of 3.");
    let page = visitor.open("/admin/users?sort=user&desc=1").await;
    assert_eq!(column(&page, "user"), ["heidi", "erin", "alice"]);
    let page = visitor.open("/admin/events?rows=25").await;
    let mut seen = column(&page, "at").len();
    let mut next = page.links().into_iter().find(|link| link.contains("after="));
    assert!(seen <= 25);
    while let Some(link) = next {
        let page = visitor.open(&link).await;
        seen += column(&page, "at").len();
        assert!(page.text().contains("First page"), "{}", page.text());
        next = page.links().into_iter().find(|link| link.contains("after="));
    }
    let whole = visitor.open("/admin/events?rows=100").await;
    assert_eq!(seen, column(&whole, "at").len());
}

#[tokio::test]
async fn columns_are_chosen_and_moved() {
    let (_, mut visitor) = with_people(TestApp::new()).await;
    let order = "user,domain,email,enrolled,reset,unlocked,changed,state,account";
    let fields =
        [("order", order), ("col", "user"), ("col", "email"), ("col", "account"), ("move", "up.account")];
    let page = asks(&mut visitor, "/admin/users", &fields).await;
    let heads: Vec<_> = page.html.split("data-label=\"").skip(1).take(3).collect();
    let heads: Vec<_> = heads.iter().map(|head| head.split('"').next().unwrap()).collect();
    assert_eq!(heads, ["User", "Account GUID", "E-mail"]);
    assert!(page.html.contains("value=\"up.account\""), "the choice is still open");
    // None at all is as usual.
    let page = asks(&mut visitor, "/admin/users", &[("order", order)]).await;
    assert!(!column(&page, "state").is_empty());
}

#[tokio::test]
async fn a_column_is_asked_two_things() {
    let (_, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin/users?view=column&of=user").await;
    is_at(&page, 200, "Custom filter: User");
    let two = [
        ("of", "user"),
        ("view", "column"),
        ("x.0.test", "begins"),
        ("x.0.value", "al"),
        ("x.join", "any"),
        ("x.1.test", "ends"),
        ("x.1.value", "di"),
    ];
    let page = asks(&mut visitor, "/admin/users", &two).await;
    assert_eq!(column(&page, "user"), ["alice", "heidi"]);
    is_at(&page, 200, "User begins with “al” or User ends with “di”");
    let link = page.links().into_iter().find(|link| link.contains("of=user")).unwrap();
    let page = visitor.open(&link).await;
    assert_eq!(page.value("x.1.value").as_deref(), Some("di"), "it is there to go on with");
    let page =
        asks(&mut visitor, "/admin/users", &[("of", "user"), ("x.0.test", "is"), ("view", "column")]).await;
    is_at(&page, 422, "Type a value");
}

/// What the editor's form holds now, with some of it changed.
fn editor(page: &Page, action: &str, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for name in page.fields() {
        let is_of_it = name.starts_with("n.") || name == "kept";
        if is_of_it && page.kind(&name).as_deref() != Some("checkbox") {
            fields.push((name.clone(), page.value(&name).unwrap_or_default()));
        }
    }
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields.push(("action".into(), action.into()));
    fields
}

async fn edits(visitor: &mut Visitor, action: &str, changes: &[(&str, &str)]) -> Page {
    let fields = editor(visitor.page.as_ref().unwrap(), action, changes);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sends(visitor, "/admin/users/filter", &fields).await
}

#[tokio::test]
async fn groups_are_edited_without_script() {
    let (_, mut visitor) = with_people(TestApp::new()).await;
    visitor.open("/admin/users/filter?sort=user&desc=1").await;
    edits(&mut visitor, "add n", &[("n.new", "user")]).await;
    let page = edits(&mut visitor, "apply", &[]).await;
    is_at(&page, 422, "Type a value");
    edits(&mut visitor, "group n", &[("n.0.test", "lacks"), ("n.0.value", "heidi")]).await;
    edits(&mut visitor, "add n.1", &[("n.1.new", "user")]).await;
    edits(&mut visitor, "add n.1", &[("n.1.new", "state"), ("n.1.0.test", "begins"), ("n.1.0.value", "h")])
        .await;
    let page = edits(&mut visitor, "", &[("n.1.1.word.enrolled", "on")]).await;
    is_at(&page, 200, "User doesn’t contain “heidi” and (User begins with “h” or State is one of: Enrolled)");
    assert!(page.html.contains("name=\"n.1.1.word.enrolled\" value=\"on\" checked"));
    let page = edits(&mut visitor, "apply", &[("n.1.1.word.enrolled", "on")]).await;
    assert_eq!(column(&page, "user"), ["erin", "alice"], "in the order it was in");
    // The editor shows what is there, and takes things out.
    let link = page.links().into_iter().find(|link| link.contains("/users/filter?")).unwrap();
    visitor.open(&link).await;
    edits(&mut visitor, "remove n.0", &[("n.1.1.word.enrolled", "on")]).await;
    let page = edits(&mut visitor, "apply", &[("n.0.1.word.enrolled", "on"), ("n.0.join", "none_of")]).await;
    is_at(&page, 200, "No row fits");
    // Who knows how writes it.
    visitor.open("/admin/users/filter").await;
    let page = edits(&mut visitor, "text", &[("q", "user lke a*")]).await;
    is_at(&page, 422, "“lke” can’t be asked of the column “user”");
    let page = edits(&mut visitor, "text", &[("q", "user like a*")]).await;
    assert_eq!(column(&page, "user"), ["alice"]);
    is_at(&visitor.open("/admin/users?q=usr+like+a").await, 422, "There is no column “usr”");
}

#[tokio::test]
async fn filters_are_kept_for_oneself_and_shared_by_administrators() {
    let (app, mut visitor) = with_people(TestApp::new()).await;
    let keep = |action, name| {
        [("view", "q=user+like+a*&desc=1&sort=user&cols=user"), ("name", name), ("action", action)]
    };
    visitor.open("/admin/users").await;
    let page = sends(&mut visitor, "/admin/users", &keep("keep", "My <b>own</b>")).await;
    is_at(&page, 200, "My <b>own</b>");
    assert!(!page.html.contains("<b>own"));
    sends(&mut visitor, "/admin/users", &keep("keep-shared", "For all")).await;
    is_at(&sends(&mut visitor, "/admin/users", &keep("keep", " ")).await, 422, "Name for what is shown");
    let page = visitor.open("/admin/users").await;
    let link = page.links().into_iter().find(|link| link.contains("cols=user")).unwrap();
    assert_eq!(column(&visitor.open(&link).await, "user"), ["alice"]);
    let page = visitor.open("/admin/events").await;
    assert!(!page.links().iter().any(|link| link.contains("cols=user")), "of the other table");
    let told = |events: &[regain::domain::audit::Event]| {
        events
            .iter()
            .filter(|event| event.action == Action::Setting)
            .map(|event| event.detail.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&app.events().await), ["view_shared: users: For all"]);
    // Those of others are their own; what is shared only administrators take back.
    app.set(|settings| settings.admin.auditors = group());
    let (mut auditor, ..) = first_signs_in(&app).await;
    let page = auditor.open("/admin/users").await;
    assert!(page.text().contains("For all") && !page.text().contains("own</b>"), "{}", page.text());
    let page = sends(&mut auditor, "/admin/users", &keep("keep-shared", "x")).await;
    is_at(&page, 403, "Not for this account");
    auditor.open("/admin/users").await;
    is_at(
        &sends(&mut auditor, "/admin/users", &[("action", "drop-shared For all")]).await,
        403,
        "Not for this",
    );
    auditor.open("/admin/users").await;
    is_at(&sends(&mut auditor, "/admin/users", &keep("keep", "Mine")).await, 200, "Mine");
    visitor.open("/admin/users").await;
    let page = sends(&mut visitor, "/admin/users", &[("action", "drop-shared For all")]).await;
    assert!(!page.text().contains("For all"));
    assert_eq!(told(&app.events().await).last().unwrap(), "view_dropped: users: For all");
}

#[tokio::test]
async fn a_users_story_is_told_on_one_page() {
    let (app, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin/users").await;
    let story = story_of(&app, "alice").await;
    assert!(page.links().contains(&story), "{:?}", page.links());
    let page = visitor.open(&story).await;
    is_at(&page, 200, "Alice Example");
    for told in ["Last reset", "Security questions: 3", "Enabled, not locked", "Enrolled", "All events"] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    assert!(column(&page, "event").contains(&"Reset".to_owned()));
    let enrollment = app.enrollment(&app.account("alice").await.key).await.unwrap();
    for question in &enrollment.questions {
        assert!(!page.text().contains(question.question.as_str()), "never the contents");
    }
    // Someone who is there, but not enrolled; a directory that is down; and nobody.
    is_at(&visitor.open(&story_of(&app, "dave").await).await, 200, "Not enrolled");
    app.directories_behave(DirectoryMood::Unavailable);
    is_at(&visitor.open(&story).await, 200, "doesn’t answer now");
    app.directories_behave(DirectoryMood::Well);
    let nobody = "/admin/users/demo.example/00000000-0000-0000-0000-000000000000";
    for path in [nobody, "/admin/users/demo.example/x", "/admin/users/%00/%00", "/admin/users/a%2Fb/..%2F"] {
        assert_eq!(visitor.get(path).await.code(), 404, "{path}");
    }
}

#[tokio::test]
async fn helpers_clear_lockouts_and_delete_enrollments_after_they_were_asked_once_more() {
    let (app, mut visitor) = as_role(|settings| {
        settings.admin.help_desk = group();
        settings.security.wrong_answers_until_lockout = 3;
    })
    .await;
    let alice = app.account("alice").await.key;
    let mut guesser = app.visitor("alice");
    guesser.begins("reset").await;
    for number in 0..3 {
        guesser.answers(&format!("guess {number}")).await;
    }
    assert!(app.tally(&alice).await.locked_at.is_some());
    let story = story_of(&app, "alice").await;
    is_at(&visitor.open(&story).await, 200, "Locked");
    is_at(&visitor.open(&format!("{story}?do=clear")).await, 200, "Clear the lockout of alice?");
    assert!(app.tally(&alice).await.locked_at.is_some(), "asking does nothing");
    is_at(&sends(&mut visitor, &story, &[("action", "clear")]).await, 200, "The lockout is cleared");
    assert!(app.tally(&alice).await.locked_at.is_none());
    is_at(&visitor.open(&format!("{story}?do=delete")).await, 200, "Delete the enrollment of alice?");
    is_at(&sends(&mut visitor, &story, &[("action", "delete")]).await, 200, "The enrollment is deleted");
    assert!(app.enrollment(&alice).await.is_none());
    let events = app.events().await;
    for action in [Action::LockoutCleared, Action::EnrollmentDeleted] {
        let event = events.iter().find(|event| event.action == action).unwrap();
        assert_eq!((event.user.as_str(), event.source.as_str()), ("alice", "admin"));
        assert_eq!(event.source_user.as_deref(), Some("DEMO\\admin"));
    }
    assert!(column(&visitor.open(&story).await, "event").contains(&"Enroll".to_owned()), "events stay");
}

#[tokio::test]
async fn who_is_ticked_is_deleted_when_that_was_confirmed() {
    let (app, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin/users").await;
    let names = page.value("names").unwrap();
    let ids: Vec<_> = names.split(' ').map(str::to_owned).collect();
    let picks: Vec<_> = ids[..2].iter().map(|id| format!("pick.{id}")).collect();
    let fields = [("names", names.as_str()), (&picks[0], "on"), (&picks[1], "on"), ("action", "delete")];
    let page = sends(&mut visitor, "/admin/users", &fields).await;
    is_at(&page, 200, "Delete enrollments: 2");
    assert!(page.text().contains("alice") && page.text().contains("erin") && !page.text().contains("heidi"));
    assert!(app.enrollment(&app.account("alice").await.key).await.is_some(), "nothing was done yet");
    let names = page.value("names").unwrap();
    let fields =
        [("names", names.as_str()), (&picks[0], "on"), (&picks[1], "on"), ("action", "delete-confirmed")];
    let page = sends(&mut visitor, "/admin/users", &fields).await;
    is_at(&page, 200, "The enrollments are deleted");
    assert_eq!(column(&page, "user"), ["heidi"]);
    let deleted = app.events().await.iter().filter(|event| event.action == Action::EnrollmentDeleted).count();
    assert_eq!(deleted, 2);
}

#[tokio::test]
async fn an_auditor_sees_it_all_and_does_nothing() {
    let (app, mut visitor) = as_role(|settings| settings.admin.auditors = group()).await;
    let story = story_of(&app, "alice").await;
    let page = visitor.open("/admin/users").await;
    assert!(page.text().contains("alice") && !page.html.contains("name=\"pick."));
    let id = page.html.split("data-row=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let pick = format!("pick.{}", id.replace("&#x2f;", "/"));
    let fields = [("names", id.as_str()), (&pick, "on"), ("action", "delete-confirmed")];
    is_at(&sends(&mut visitor, "/admin/users", &fields).await, 403, "Not for this account");
    let page = visitor.open(&format!("{story}?do=delete")).await;
    is_at(&page, 200, "Alice Example");
    assert!(!page.text().contains("Delete the enrollment of") && !page.text().contains("Clear lockout"));
    assert!(app.enrollment(&app.account("alice").await.key).await.is_some());
    is_at(&visitor.open("/admin/events").await, 200, "Events");
}

#[tokio::test]
async fn the_overview_shows_the_last_days_with_a_way_to_each() {
    let (_, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin").await;
    is_at(&page, 200, "The last 14 days");
    for told in
        ["Enroll: 3", "Reset: 1", "Calls saved in 30 days", "Resets in 7 days", "0.1 hours, at 10 minutes"]
    {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    assert!(page.html.contains("role=\"img\"") && page.html.contains("<rect class=\"bar-reset\""));
    let day = page.links().into_iter().rfind(|link| link.starts_with("/admin/events?q=at+from")).unwrap();
    let page = visitor.open(&day).await;
    assert!(page.code() == 200 && page.text().contains("Time is from"), "{}", page.text());
    for (days, shown) in [("90", "90"), ("1000000000", "14"), ("x", "14")] {
        let page = visitor.open(&format!("/admin?days={days}")).await;
        is_at(&page, 200, &format!("The last {shown} days"));
    }
}

#[tokio::test]
async fn what_is_shown_is_taken_along_as_a_file_and_that_is_written_down() {
    let (app, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin/users?q=user+like+a*&cols=user,state").await;
    let links: Vec<_> = page.links().into_iter().filter(|link| link.contains("/export/")).collect();
    assert_eq!(links.len(), 6);
    let csv = visitor.get(&links[0]).await;
    assert_eq!(csv.code(), 200);
    assert!(csv.header("content-disposition").starts_with("attachment; filename=\"regain-users-"));
    let lines: Vec<_> = csv.html.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(lines, ["\"User\",\"State\"", "\"alice\",\"enrolled\""]);
    for link in &links[1..] {
        assert_eq!(visitor.get(link).await.code(), 200, "{link}");
    }
    let events = app.events().await;
    let told: Vec<_> = events.iter().filter(|event| event.action == Action::Export).collect();
    assert_eq!(told.len(), 6);
    assert_eq!(
        (told[0].detail.as_str(), told[0].source_user.as_deref()),
        ("users csv: user like a*", Some("root"))
    );
    for path in ["/admin/users/export/exe", "/admin/events/export/csv?q=nonsense"] {
        assert_eq!(visitor.get(path).await.code(), 404, "{path}");
    }
}

#[tokio::test]
async fn it_goes_on_by_itself_for_a_while() {
    let (app, mut visitor) = with_people(TestApp::new()).await;
    let page = visitor.open("/admin/events?live=1").await;
    assert!(page.html.contains("data-live=") && page.html.contains("<noscript><meta http-equiv=\"refresh\""));
    let address = visitor.get("/admin/events?live=1").await.location().unwrap().to_owned();
    app.advance(std::time::Duration::from_secs(9 * 60));
    assert!(visitor.open(&address).await.html.contains("data-live="));
    app.advance(std::time::Duration::from_secs(7 * 60));
    let page = visitor.open(&address).await;
    assert!(
        page.code() == 200 && !page.html.contains("data-live="),
        "a session must not be kept alive by it"
    );
}

#[tokio::test]
async fn nothing_that_is_asked_for_breaks_a_page() {
    let (app, mut visitor) = with_people(TestApp::new()).await;
    // What somebody typed as a name is in the log.
    let mut stranger = app.visitor("<script>alert(1)</script>");
    stranger.begins("reset").await;
    stranger.answers("wrong").await;
    let hostile =
        ["<script>alert(1)</script>", "\"'><img src=x>", "%00", "{{ 7*7 }}", "\u{202e}x", "a\u{0}b", ""];
    let names = [
        "q",
        "sort",
        "desc",
        "cols",
        "rows",
        "after",
        "view",
        "of",
        "live",
        "hold",
        "order",
        "move",
        "moved",
        "done",
        "f.user",
        "f.at",
        "f.at.from",
        "f.outcome",
        "f.domain",
        "x.0.test",
        "x.0.value",
        "days",
        "do",
    ];
    for path in ["/admin/events", "/admin/users", "/admin/users/filter", "/admin"] {
        for name in names {
            for value in hostile {
                let page =
                    asks(&mut visitor, path, &[(name, value), ("of", "user"), ("view", "column")]).await;
                assert!([200, 422].contains(&page.code()), "{path} {name}={value}: {}", page.code());
                for marked in ["<script>alert", "<img src=x", "\"'><", "49"] {
                    assert!(marked == "49" || !page.html.contains(marked), "{path} {name}={value}");
                }
            }
        }
    }
    let page = visitor.open("/admin/events?rows=100").await;
    assert!(!page.html.contains("<script>alert"), "{}", page.html);
    // As long as an address may be, and longer.
    let long = "x".repeat(1400);
    assert_eq!(asks(&mut visitor, "/admin/events", &[("f.user", &long)]).await.code(), 200);
    let long = "é".repeat(330);
    is_at(&asks(&mut visitor, "/admin/events", &[("f.user", &long)]).await, 422, "too long for an address");
    let many = vec!["user given"; 101].join(" and ");
    is_at(&asks(&mut visitor, "/admin/events", &[("q", &many)]).await, 422, "too long");
}
