//! What a person does on the pages, in their words, without a browser.

use std::process::Command;

use super::http::{Page, Visitor};

/// Questions and answers that everyone enrolls with.
pub const ANSWERS: [(&str, &str); 3] = [
    ("What was the first dish you learned to cook?", "Pancakes, of course"),
    ("What was your nickname as a child?", "Flöckchen"),
    ("What was the first film you saw in a cinema?", "The Jungle Book (1967)"),
];

impl Visitor {
    /// Sends a form and goes where that leads.
    pub async fn goes_on(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let next = self.submit(page, fields).await;
        self.follow(next).await
    }

    /// Comes from the menu to the first page of a flow; one that was under way is given up.
    pub async fn opens(&mut self, flow: &str) -> Page {
        let path = format!("/{flow}");
        self.get("/").await;
        let page = self.get(&path).await;
        if page.step().ends_with("/identify") {
            return page;
        }
        self.goes_on(&page, &[("action", "cancel")]).await.is_at(200, "menu/menu");
        self.get(&path).await
    }

    /// Opens a flow and says who they are.
    pub async fn begins(&mut self, flow: &str, name: &str, domain: &str) -> Page {
        let page = self.opens(flow).await;
        self.goes_on(&page, &[("username", name), ("domain", domain)]).await
    }

    /// Enrolls with [`ANSWERS`], all on one page.
    pub async fn enrolls(&mut self, name: &str, domain: &str, password: &str) -> Page {
        let page = self.opens("enroll").await;
        let fields = [
            ("username", name),
            ("domain", domain),
            ("password", password),
            ("question1", ANSWERS[0].0),
            ("answer1", ANSWERS[0].1),
            ("question2", ANSWERS[1].0),
            ("answer2", ANSWERS[1].1),
            ("question3", ANSWERS[2].0),
            ("answer3", ANSWERS[2].1),
        ];
        self.goes_on(&page, &fields).await
    }

    /// Answers all questions, beginning with the one of this page, and stops at the first page that asks none.
    pub async fn answers(&mut self, mut page: Page) -> Page {
        while page.status == 200 && page.step().ends_with("/question") {
            let asked = page.says("for=\"answer\"").expect("the question stands in the label of answer");
            let (_, answer) = ANSWERS
                .iter()
                .find(|(question, _)| *question == asked)
                .unwrap_or_else(|| panic!("not a question enrolled with: {asked}"));
            page = self.goes_on(&page, &[("answer", answer)]).await;
        }
        page
    }

    /// Goes as far as the page for a new password.
    pub async fn proves(&mut self, name: &str, domain: &str) -> Page {
        let page = self.begins("reset", name, domain).await;
        self.answers(page).await
    }

    /// Types a new password twice.
    pub async fn chooses(&mut self, page: &Page, new: &str) -> Page {
        self.goes_on(page, &[("new_password", new), ("confirm_password", new)]).await
    }

    /// Resets the password.
    pub async fn resets(&mut self, name: &str, domain: &str, new: &str) -> Page {
        let page = self.proves(name, domain).await;
        assert_eq!((page.status, page.step().as_str()), (200, "reset/password"), "{}", page.text());
        self.chooses(&page, new).await
    }

    /// Unlocks the account.
    pub async fn unlocks(&mut self, name: &str, domain: &str) -> Page {
        let page = self.begins("unlock", name, domain).await;
        self.answers(page).await
    }

    /// Changes the password.
    pub async fn changes(&mut self, name: &str, domain: &str, old: &str, new: &str) -> Page {
        let page = self.begins("change", name, domain).await;
        assert_eq!((page.status, page.step().as_str()), (200, "change/credentials"), "{}", page.text());
        let fields = [("old_password", old), ("new_password", new), ("confirm_password", new)];
        self.goes_on(&page, &fields).await
    }
}

impl Page {
    /// What the red box says; empty without one.
    pub fn alert(&self) -> String {
        self.says("role=\"alert\"").unwrap_or_default()
    }

    /// The page's heading.
    pub fn heading(&self) -> String {
        self.says("<h1").unwrap_or_default()
    }

    /// The reference number of a critical error.
    pub fn reference(&self) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once("data-reference=\"")?;
        rest.split('"').next().map(str::to_owned)
    }

    /// That the flow is finished.
    #[track_caller]
    pub fn is_finished(&self, flow: &str) {
        self.is_at(200, &format!("{flow}/finished"));
    }

    /// Status and step.
    #[track_caller]
    pub fn is_at(&self, status: u16, step: &str) {
        let at = if self.text().contains("<main") { self.step() } else { String::new() };
        let says = format!("{} | {} | {:?}", self.heading(), self.alert(), self.reference());
        assert_eq!((self.status, at.as_str()), (status, step), "{says}");
    }

    /// A wrong form: the red box contains these words.
    #[track_caller]
    pub fn refuses(&self, step: &str, words: &str) {
        self.is_at(422, step);
        assert!(self.alert().contains(words), "{}", self.alert());
    }
}

/// The code that another program makes of a key, now or so many seconds later.
pub fn one_time_code(key: &str, later: u32) -> String {
    let at = format!("now + {later} seconds");
    let made = Command::new("oathtool").args(["--totp", "--base32", "--now", &at, key]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
