//! A person with a browser: headless Chromium, driven through chromedriver.
//!
//! One chromedriver serves all tests of the process; each [`Browser`] is a Chromium of its own with a fresh
//! profile. Nothing of them outlives the process, however it ends.

use std::{
    io::{BufRead, BufReader},
    ops::Deref,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fantoccini::{Client, ClientBuilder, Locator};
use http_body_util::BodyExt;
use hyper::Request;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    task::block_in_place,
    time::{Instant, sleep, timeout},
};

/// What the person's browser is like.
#[derive(Clone, Copy)]
pub struct Looks {
    /// Width and height of the page, in CSS pixels.
    pub size: (u32, u32),
    /// Whether the person prefers dark pages.
    pub dark: bool,
    /// Whether pages may run scripts.
    pub scripts: bool,
    /// Whether the browser asks before it leaves what the page doesn't want left, and waits for an answer.
    pub asks: bool,
    /// The person's languages, as in `Accept-Language`.
    pub languages: &'static str,
    /// How large its letters are, in pixels, where a page doesn't say.
    pub letters: u32,
}

impl Default for Looks {
    fn default() -> Self {
        Self { size: (1280, 800), dark: false, scripts: true, asks: false, languages: "en", letters: 16 }
    }
}

/// A browser. All of fantoccini's client can be used on it.
pub struct Browser {
    client: Client,
}

impl Browser {
    /// An ordinary browser on a desktop.
    pub async fn open() -> Self {
        Self::with(Looks::default()).await
    }

    /// A browser that looks so.
    pub async fn with(looks: Looks) -> Self {
        let arguments = [
            "--headless=new",
            // Chromium refuses its sandbox to root, and containers rarely allow it.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // They would take their width from the page in a picture.
            "--hide-scrollbars",
            // Nothing outside this machine is ever asked for.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        ];
        let scripts = if looks.scripts { 1 } else { 2 };
        let leaving = if looks.asks { "ignore" } else { "accept" };
        let capabilities = json!({
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            // chromedriver answers by itself unless the session speaks the other protocol, too.
            "webSocketUrl": looks.asks,
            "unhandledPromptBehavior": { "beforeUnload": leaving },
            "timeouts": { "pageLoad": 20_000, "script": 20_000 },
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": {
                    "intl.accept_languages": looks.languages,
                    "webkit.webprefs.default_font_size": looks.letters,
                    "profile.default_content_setting_values.javascript": scripts,
                },
            },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&Driver::shared().url)
            .await
            .unwrap();
        let browser = Self { client };
        browser.resize(looks.size).await;
        browser.prefer_dark(looks.dark).await;
        browser
    }

    /// Gives the page another size; unlike a window, a page can be as narrow as a phone.
    pub async fn resize(&self, (width, height): (u32, u32)) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Makes the page dark or light, from now on.
    pub async fn prefer_dark(&self, dark: bool) {
        self.prefer("prefers-color-scheme", if dark { "dark" } else { "light" }).await;
    }

    /// Takes the system's own few colours for the page's, from now on.
    pub async fn force_colours(&self, forced: bool) {
        self.prefer("forced-colors", if forced { "active" } else { "none" }).await;
    }

    async fn prefer(&self, feature: &str, value: &str) {
        let media = json!({ "features": [
            { "name": feature, "value": value },
            // Else a picture might show colours on their way.
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Types into the field of that name what shall stand there.
    pub async fn fill(&self, field: &str, value: &str) {
        let input = self.find(Locator::Css(&format!("[name=\"{field}\"]"))).await.unwrap();
        input.clear().await.unwrap();
        input.send_keys(value).await.unwrap();
    }

    /// Clicks on what the CSS selector finds first.
    pub async fn click(&self, selector: &str) {
        self.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
    }

    /// Drags with the mouse from the middle of one thing to that of another, as a hand does: over what is between.
    pub async fn drag(&self, from: &str, to: &str) {
        let script = "const middle = (thing) => {
                const place = thing.getBoundingClientRect();
                return [place.x + place.width / 2, place.y + place.height / 2];
            };
            const [from, to] = Array.from(arguments, (selector) => document.querySelector(selector));
            from.scrollIntoView({ block: 'center' });
            return [middle(from), middle(to)];";
        let places = self.execute(script, vec![from.into(), to.into()]).await.unwrap();
        let place = |number: usize| {
            let [x, y] = [0, 1].map(|axis| places[number][axis].as_f64().unwrap());
            (x, y)
        };
        let (from, to) = (place(0), place(1));
        self.mouse("mouseMoved", from, 0).await;
        self.mouse("mousePressed", from, 1).await;
        for step in 1..=8 {
            let between = |from: f64, to: f64| from + (to - from) * f64::from(step) / 8.0;
            self.mouse("mouseMoved", (between(from.0, to.0), between(from.1, to.1)), 1).await;
        }
        self.mouse("mouseReleased", to, 0).await;
    }

    async fn mouse(&self, kind: &str, (x, y): (f64, f64), pressed: u32) {
        let parameters = json!({
            "type": kind, "x": x, "y": y, "button": "left", "buttons": pressed, "clickCount": 1,
        });
        self.devtools("Input.dispatchMouseEvent", parameters).await;
    }

    /// Clicks on what leads to another page (or to the same one anew), and waits until that is there.
    pub async fn follow(&self, selector: &str) {
        let old = self.find(Locator::Css("main")).await.unwrap();
        self.click(selector).await;
        let began = Instant::now();
        while old.tag_name().await.is_ok() {
            assert!(began.elapsed() < Duration::from_secs(20), "{selector} leads nowhere");
            sleep(Duration::from_millis(10)).await;
        }
        self.client.wait().at_most(Duration::from_secs(20)).for_element(Locator::Css("main")).await.unwrap();
    }

    /// The visible text of what the CSS selector finds first.
    pub async fn says(&self, selector: &str) -> String {
        self.find(Locator::Css(selector)).await.unwrap().text().await.unwrap()
    }

    /// Waits until the page is at a step, as `reset/question`.
    pub async fn reaches(&self, step: &str) {
        let (flow, step) = step.split_once('/').expect("flow/step");
        let main = format!("main[data-flow=\"{flow}\"][data-step=\"{step}\"]");
        if let Err(e) =
            self.client.wait().at_most(Duration::from_secs(20)).for_element(Locator::Css(&main)).await
        {
            panic!("{main} did not come: {e}; the page is {}", self.source().await.unwrap_or_default());
        }
    }

    /// Takes a picture of the whole page, of what is below the fold as well, and returns where it lies.
    pub async fn picture(&self, name: &str) -> PathBuf {
        let shot = self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures").join(format!("{name}.png"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
        file
    }

    /// Photographs the page, wide and light as well as narrow and dark, and makes sure that nothing is cut off on a
    /// phone.
    pub async fn photograph(&self, name: &str) {
        self.resize((1280, 800)).await;
        self.prefer_dark(false).await;
        self.picture(&format!("{name}-wide")).await;
        self.resize((320, 640)).await;
        self.prefer_dark(true).await;
        self.picture(&format!("{name}-narrow")).await;
        let page = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let width = page["cssContentSize"]["width"].as_f64().unwrap();
        assert!(width <= 320.0, "{name} is {width} wide on a phone");
        self.resize((1280, 800)).await;
        self.prefer_dark(false).await;
    }

    /// Sends a command of the DevTools protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let session = self.session_id().await.unwrap().expect("a session");
        let body = json!({ "cmd": command, "params": parameters }).to_string();
        let url = format!("{}/session/{session}/goog/cdp/execute", Driver::shared().url);
        let request = Request::post(url).header("Content-Type", "application/json").body(body).unwrap();
        let driver = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http::<String>();
        let answer = driver.request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["value"]["error"].is_null(), "{command}: {answer}");
        answer["value"].take()
    }
}

impl Deref for Browser {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Browser {
    /// Closes Chromium, also when the test panics. Tests run on a multi-threaded runtime, which allows it.
    fn drop(&mut self) {
        let close = self.client.clone().close();
        block_in_place(|| {
            Handle::current().block_on(async { timeout(Duration::from_secs(10), close).await })
        })
        .ok();
    }
}

struct Driver {
    url: String,
    /// Its standard input is the leash: it closes with this process, which ends the driver.
    _leash: Child,
}

/// Runs chromedriver in the scratch folder `$1` until standard input closes, and leaves nothing behind.
///
/// The driver and its Chromiums are one process group, but for the crash handlers, which end with their
/// Chromium. All of them believe the folder to be the user's home, which would else be written into.
const ON_A_LEASH: &str = r#"
    export HOME="$1" TMPDIR="$1"
    setsid chromedriver --port=0 </dev/null & driver=$!
    exec >/dev/null 2>&1
    read -r _
    kill -s KILL -- -$driver
    wait $driver
    for _ in 1 2 3 4 5; do rm -rf "$1" && break; sleep 0.2; done"#;

impl Driver {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Driver> = OnceLock::new();
        SHARED.get_or_init(|| {
            let scratch = tempfile::Builder::new().prefix("regain-browser-").tempdir().unwrap().keep();
            let mut leash = Command::new("sh")
                .args(["-c", ON_A_LEASH, "sh"])
                .arg(scratch)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C ends the tests, and so the leash; it must not end the shell before it cleans up.
                .process_group(0)
                .spawn()
                .unwrap();
            let output = BufReader::new(leash.stdout.take().unwrap());
            let port: u16 = output
                .lines()
                .map_while(Result::ok)
                .find_map(|line| {
                    line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
                })
                .expect("chromedriver starts: install it, or start the tests with tests/run, which does");
            Driver { url: format!("http://127.0.0.1:{port}"), _leash: leash }
        })
    }
}
