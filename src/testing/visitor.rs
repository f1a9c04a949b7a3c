//! Someone with a browser, who uses the pages as people do.

use std::{collections::BTreeMap, net::IpAddr};

use poem::{
    Addr, Body, Request, RequestParts,
    http::{Method, Uri, header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};

use super::{
    app::{HOST, TestApp, address},
    page::Page,
};
use crate::directory::demo::SAMPLE_PASSWORD;

/// A visitor: a browser with its cookies, and what the person knows.
#[derive(Clone)]
pub struct Visitor {
    app: TestApp,
    /// The name typed on the first page.
    pub name: String,
    /// The domain chosen there.
    pub domain: String,
    /// The password the person knows.
    pub password: String,
    /// The answers the person knows, by question.
    pub answers: BTreeMap<String, String>,
    /// The cookies.
    pub cookies: BTreeMap<String, String>,
    /// Headers sent with every request.
    pub headers: Vec<(String, String)>,
    address: IpAddr,
    /// The page the browser shows.
    pub page: Option<Page>,
}

impl Visitor {
    pub(super) fn new(app: TestApp, name: &str) -> Self {
        Self {
            app,
            name: name.to_owned(),
            domain: "DEMO".to_owned(),
            password: SAMPLE_PASSWORD.to_owned(),
            answers: BTreeMap::new(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
            address: address(1),
            page: None,
        }
    }

    /// The same person at another browser.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self { cookies: BTreeMap::new(), page: None, ..self.clone() }
    }

    /// Of another domain.
    #[must_use]
    pub fn of(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.domain);
        self
    }

    /// Comes from another address.
    #[must_use]
    pub fn from(mut self, address: impl Into<IpAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// Reads another language.
    #[must_use]
    pub fn reading(mut self, language: &str) -> Self {
        self.headers.retain(|(name, _)| name != "accept-language");
        self.headers.push(("accept-language".into(), language.into()));
        self
    }

    /// Sends a request just so, with the visitor's cookies; cookies that come back are kept.
    pub async fn call(
        &mut self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Page {
        let mut builder = poem::http::Request::builder().method(method).uri(target.parse::<Uri>().unwrap());
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            builder = builder.header(name, value);
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            builder = builder.header(header::HOST, HOST);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            builder = builder.header(header::COOKIE, pairs.join("; "));
        }
        let (parts, ()) = builder.body(()).unwrap().into_parts();
        let parts = RequestParts::from((
            parts,
            LocalAddr(Addr::custom("test", "")),
            RemoteAddr(Addr::SocketAddr((self.address, 50_000).into())),
            Scheme::HTTPS,
        ));
        let response = self.app.call(Request::from_parts(parts, Body::from(body))).await;
        let (parts, body) = response.into_parts();
        let html = String::from_utf8_lossy(&body.into_bytes().await.unwrap()).into_owned();
        let page = Page { status: parts.status, headers: parts.headers, html };
        for cookie in page.cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        page
    }

    /// Asks for an address, without looking at what comes.
    pub async fn get(&mut self, target: &str) -> Page {
        self.call(Method::GET, target, &[], Vec::new()).await
    }

    /// Opens an address: the browser shows it, wherever it leads.
    pub async fn open(&mut self, target: &str) -> Page {
        let mut page = self.get(target).await;
        for _ in 0..5 {
            let Some(location) = page.location().map(str::to_owned) else { break };
            page = self.get(&location).await;
        }
        self.page = Some(page.clone());
        page
    }

    /// The token of the form that the browser shows.
    pub fn token(&self) -> String {
        self.page.as_ref().and_then(Page::csrf).unwrap_or_default()
    }

    /// Posts just these fields, encoded as browsers do.
    pub async fn post_raw(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = serde_urlencoded::to_string(fields).unwrap();
        self.post_body(path, &[], body.into_bytes()).await
    }

    /// Posts just this body as a form, with headers.
    pub async fn post_body(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Page {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        self.call(Method::POST, path, &[&form, headers].concat(), body).await
    }

    /// Posts the form that the browser shows, without following where it leads.
    pub async fn post(&mut self, fields: &[(&str, &str)]) -> Page {
        let path = format!("/{}", self.page.as_ref().expect("no page is open").flow());
        let token = self.token();
        let all = [&[("csrf", token.as_str())], fields].concat();
        self.post_raw(&path, &all).await
    }

    /// Sends the form that the browser shows and shows where it leads.
    pub async fn submit(&mut self, fields: &[(&str, &str)]) -> Page {
        let mut page = self.post(fields).await;
        if let Some(location) = page.location().map(str::to_owned) {
            page = self.open(&location).await;
        }
        self.page = Some(page.clone());
        page
    }

    /// Sends the form of the page that the browser shows which goes to that path, and shows where it leads.
    pub async fn sends(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.page.as_ref().expect("no page is open").token_for(path);
        let page = self.post_raw(path, &[&[("csrf", token.as_str())], fields].concat()).await;
        self.page = Some(page.clone());
        match page.location().map(str::to_owned) {
            Some(location) => self.open(&location).await,
            None => page,
        }
    }

    /// Opens a flow and says who it is.
    pub async fn begins(&mut self, flow: &str) -> Page {
        self.open(&format!("/{flow}")).await;
        let (name, domain) = (self.name.clone(), self.domain.clone());
        self.submit(&[("username", &name), ("domain", &domain)]).await
    }

    /// Answers the question that is shown.
    pub async fn answers(&mut self, answer: &str) -> Page {
        self.submit(&[("answer", answer)]).await
    }

    /// Types a code.
    pub async fn enters_code(&mut self, code: &str) -> Page {
        self.submit(&[("code", code)]).await
    }

    /// Types the code that was sent last.
    pub async fn enters_latest_code(&mut self) -> Page {
        let code = self.app.latest_code().await;
        self.enters_code(&code).await
    }

    /// A code that is not the one sent last; another one for each number.
    pub async fn wrong_code(&self, number: u32) -> String {
        let right: u32 = self.app.latest_code().await.parse().expect("a code of six digits");
        format!("{:06}", (right + 1 + number) % 1_000_000)
    }

    /// Asks for another code.
    pub async fn asks_for_another_code(&mut self) -> Page {
        self.submit(&[("code", ""), ("action", "resend")]).await
    }

    /// Answers all questions that come.
    pub async fn answers_all(&mut self) -> Page {
        let mut page = self.page.clone().expect("no page is open");
        while page.step() == "question" {
            let answer = self.right_answer();
            page = self.answers(&answer).await;
            assert_ne!(page.status, 422, "{}", page.alert());
        }
        page
    }

    /// The right answer to the question that is shown.
    pub fn right_answer(&self) -> String {
        let question = self.page.as_ref().and_then(Page::question).expect("no question is shown");
        self.answers.get(&question).cloned().unwrap_or_else(|| panic!("no answer is known to {question}"))
    }

    /// Answers all questions of a flow right.
    pub async fn proves(&mut self, flow: &str) -> Page {
        self.begins(flow).await;
        self.answers_all().await
    }

    /// The Enroll form, filled in with the first questions there are; the answers are remembered.
    pub async fn fills_enroll(&mut self) -> Vec<(String, String)> {
        let page = self.open("/enroll").await;
        let mut fields = vec![
            ("username".to_owned(), self.name.clone()),
            ("domain".to_owned(), self.domain.clone()),
            ("password".to_owned(), self.password.clone()),
        ];
        if page.fields().iter().any(|field| field == "email") {
            fields.push(("email".into(), "mary@elsewhere.example".into()));
        }
        self.answers.clear();
        for number in 1.. {
            let name = format!("question{number}");
            let Some(kind) = page.kind(&name) else { break };
            let question = if kind == "select" {
                page.options(&name)[number].0.clone()
            } else {
                format!("Which is my own question number {number}?")
            };
            let answer = format!("Blåhaj no. {number}");
            // As a page shows it: with one blank for each that doesn't break a line, too.
            let shown = question.split_whitespace().collect::<Vec<_>>().join(" ");
            self.answers.insert(shown, answer.clone());
            fields.push((name, question));
            fields.push((format!("answer{number}"), answer));
        }
        fields
    }

    /// Enrolls and sees that it is done.
    pub async fn enrolls(&mut self) -> Page {
        let fields = self.fills_enroll().await;
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let page = self.submit(&fields).await;
        if page.step() == "code" {
            self.enters_latest_code().await;
        }
        if self.page.as_ref().is_some_and(|page| page.html.contains("value=\"finish\"")) {
            self.asks_to("finish").await;
        }
        self.is_finished()
    }

    /// Presses the button of that word.
    pub async fn asks_to(&mut self, action: &str) -> Page {
        self.submit(&[("action", action)]).await
    }

    /// The page that says that it is done.
    fn is_finished(&self) -> Page {
        let page = self.page.clone().expect("a page is open");
        assert_eq!((page.code(), page.step().as_str()), (200, "finished"), "{}", page.text());
        page
    }

    /// Resets the password and sees that it is done.
    pub async fn resets_password(&mut self, new: &str) -> Page {
        let page = self.proves("reset").await;
        assert_eq!(page.step(), "password", "{}", page.text());
        let page = self.finishes(&[("new_password", new), ("confirm_password", new)]).await;
        new.clone_into(&mut self.password);
        page
    }

    /// Unlocks the account and sees that it is done.
    pub async fn unlocks(&mut self) -> Page {
        let page = self.proves("unlock").await;
        assert_eq!((page.code(), page.step().as_str()), (200, "finished"), "{}", page.text());
        page
    }

    /// Changes the password and sees that it is done.
    pub async fn changes_password(&mut self, new: &str) -> Page {
        self.begins("change").await;
        let old = self.password.clone();
        let page =
            self.finishes(&[("old_password", &old), ("new_password", new), ("confirm_password", new)]).await;
        new.clone_into(&mut self.password);
        page
    }

    async fn finishes(&mut self, fields: &[(&str, &str)]) -> Page {
        self.submit(fields).await;
        self.is_finished()
    }
}
