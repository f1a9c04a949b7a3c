//! How every page looks, in each of its states and languages: nothing is cut off or sticks out, however narrow the window, and
//! axe finds nothing that keeps somebody out.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
};

use regain::{
    render::Renderer,
    testing::{Page, gallery},
};
use serde_json::Value;

use super::support::browser::{Browser, Looks};

const NARROW: (u32, u32) = (320, 640);
const WIDE: (u32, u32) = (1280, 800);
/// What is left of the other at 200 % (WCAG 2.2 1.4.4).
const ZOOMED: (u32, u32) = (640, 400);

/// What sticks out of the window, or is cut off.
const STICKS_OUT: &str = "
    const wide = document.documentElement.clientWidth, found = [];
    const letter = parseFloat(getComputedStyle(document.documentElement).fontSize);
    if (document.documentElement.scrollWidth > wide) { found.push('the page is ' + document.documentElement.scrollWidth + ' wide'); }
    for (const it of document.body.querySelectorAll('*')) {
        const box = it.getBoundingClientRect(), style = getComputedStyle(it);
        if (box.width < 2 || box.height < 2 || style.visibility === 'hidden' || it.closest('.hidden, .skip, [hidden], svg')) { continue; }
        let around = it.parentElement;
        while (around && !['auto', 'scroll'].includes(getComputedStyle(around).overflowX)) { around = around.parentElement; }
        // What can be scrolled to is not out of sight.
        if (around) { continue; }
        const name = it.tagName + '.' + it.className + ' ' + it.textContent.trim().slice(0, 60);
        if (box.right > wide + 1 || box.left < -1) { found.push('sticks out: ' + name); }
        else if (it.className === 'reveal' && box.height > 2.7 * letter) { found.push('breaks: ' + name); }
        else if (style.overflowX === 'hidden' && it.className !== 'frame' && it.scrollWidth > it.clientWidth + 1) { found.push('is cut off: ' + name); }
    }
    return found;";

const JUDGE: &str = "
    const done = arguments[arguments.length - 1];
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    axe.run(document, { resultTypes: ['violations'], iframes: false, runOnly: { type: 'tag', values: tags } }).then(
        told => done(told.violations.map(it => it.id + ': ' + it.nodes.map(node => node.target.join(' ') + ' ' + node.failureSummary).join('; '))),
        error => done(['' + error]));";

/// What moves although it is asked not to.
const MOVES: &str = "
    const found = [];
    for (const it of document.body.querySelectorAll('*')) {
        const style = getComputedStyle(it);
        const lasts = style.transitionDuration.split(', ').some(it => parseFloat(it) > 0);
        if (style.animationName !== 'none' || lasts) { found.push('moves: ' + it.tagName + '.' + it.className); }
    }
    return found;";

/// What has no edge where colours are the system's own, or doesn't show that it has the focus.
const HAS_NO_EDGE: &str = "
    const found = [], name = it => it.tagName + '.' + it.className + ' ' + it.textContent.trim().slice(0, 40);
    if (!matchMedia('(forced-colors: active)').matches) { found.push('colours are not forced'); }
    const thick = (style, edge) => style[edge + 'Style'] === 'none' ? 0 : parseFloat(style[edge + 'Width']);
    const seen = it => it.getBoundingClientRect().width > 2 && !it.closest('.hidden, .skip, [hidden]');
    for (const it of document.querySelectorAll('button, input, select, textarea, .button, .red-box, .told')) {
        if (!seen(it) || ['hidden', 'checkbox', 'radio', 'file'].includes(it.type) || it.classList.contains('told-empty')) { continue; }
        const style = getComputedStyle(it);
        if (!thick(style, 'borderBottom') && !style.textDecorationLine.includes('underline')) { found.push('has no edge: ' + name(it)); }
    }
    for (const it of [...document.querySelectorAll('a[href], button, input, select, textarea, summary')].filter(seen).slice(0, 60)) {
        it.focus({ focusVisible: true });
        if (document.activeElement !== it) { continue; }
        if (thick(getComputedStyle(it), 'outline') < 2) { found.push('shows no focus: ' + name(it)); }
    }
    document.activeElement.blur();
    return found;";

/// Pages as they were answered, shown again by a server of the test.
struct Shown {
    port: u16,
}

impl Shown {
    fn serve(files: BTreeMap<String, (&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let files = Arc::new(files);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let files = Arc::clone(&files);
                thread::spawn(move || answer(stream, &files));
            }
        });
        Self { port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

fn answer(mut stream: TcpStream, files: &BTreeMap<String, (&'static str, Vec<u8>)>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let _ = lines.find(String::is_empty);
    let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let path = path.split('?').next().unwrap_or_default();
    let (kind, bytes) = files.get(path).map_or(("text/plain", &b""[..]), |(kind, bytes)| (kind, &bytes[..]));
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes));
}

fn axe() -> PathBuf {
    let told = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/axe")).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stdout).unwrap().trim().into()
}

/// Those that look different, by what is on them in English.
fn different(pages: &[Page]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let words = |page: &Page| {
        let text = page.text();
        (
            page.flow(),
            page.step(),
            page.alert(),
            text.chars().filter(|c| c.is_alphabetic()).collect::<String>(),
        )
    };
    (0..pages.len())
        .filter(|index| pages[*index].code() != 303 && seen.insert(words(&pages[*index])))
        .collect()
}

fn name(index: usize, page: &Page) -> String {
    format!("{index:03}-{}-{}", page.flow(), page.step())
}

async fn all(of_panel: bool) -> (Vec<(String, Vec<Page>)>, Vec<usize>, Shown) {
    let renderer = Renderer::new(None).unwrap();
    let mut languages = Vec::new();
    for language in renderer.languages() {
        if !of_panel {
            languages.push((language.code.clone(), gallery::pages(&language.code).await));
        } else if language.has_panel {
            languages.push((language.code.clone(), gallery::panel(&language.code).await));
        }
    }
    let chosen = different(&languages[0].1);
    let mut files = BTreeMap::from([("axe.js".to_owned(), ("text/javascript", fs::read(axe()).unwrap()))]);
    for name in ["regain.css", "regain.js", "panel.js"] {
        let assets = renderer.assets();
        let asset = assets.find(name).unwrap();
        files.insert(format!("assets/{name}"), (asset.media_type, asset.bytes.to_vec()));
    }
    let broken = "<!doctype html><body><input><p style=\"width: 2000px\">x</p><script src=\"/axe.js\"></script></body>";
    files.insert("broken".to_owned(), ("text/html", broken.into()));
    for (language, pages) in &languages {
        for index in &chosen {
            let html = pages[*index].html.replace("</body>", "<script src=\"/axe.js\"></script></body>");
            files.insert(format!("{language}/{index}"), ("text/html; charset=utf-8", html.into_bytes()));
        }
    }
    (languages, chosen, Shown::serve(files))
}

fn told(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Loads a page until its style sheet is there too: a browser that is pressed for time gives one up now and then.
async fn shows(browser: &Browser, url: &str) {
    const STYLED: &str =
        "return document.styleSheets.length > 0 && document.styleSheets[0].cssRules.length > 50";
    for _ in 0..5 {
        browser.goto(url).await.unwrap();
        if browser.execute(STYLED, Vec::new()).await.unwrap() == true {
            return;
        }
    }
    panic!("{url} has no style sheet");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_sticks_out_in_any_language_and_axe_finds_nothing() {
    judges(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_the_panel_sticks_out_and_axe_finds_nothing() {
    judges(true).await;
}

/// What is wrong with the page that the browser shows, for those who need it large, in few colours, or still. `large` is a
/// browser whose letters are twice as large.
async fn for_all_eyes(browser: &Browser, large: &Browser, url: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut add =
        |how: &str, found: Value| wrong.extend(told(&found).into_iter().map(|it| format!("{how}: {it}")));
    browser.resize(ZOOMED).await;
    add("at 200 %", browser.execute(STICKS_OUT, Vec::new()).await.unwrap());
    browser.resize(WIDE).await;
    shows(large, url).await;
    add("with large letters", large.execute(STICKS_OUT, Vec::new()).await.unwrap());
    add("without motion", browser.execute(MOVES, Vec::new()).await.unwrap());
    browser.force_colours(true).await;
    add("with forced colours", browser.execute(HAS_NO_EDGE, Vec::new()).await.unwrap());
    browser.force_colours(false).await;
    wrong
}

/// A browser that is never at rest leaves little to the tests beside it: there is one at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn judges(of_panel: bool) {
    let _turn = TURN.lock().await;
    let (languages, chosen, shown) = all(of_panel).await;
    assert!(chosen.len() > 45, "{}", chosen.len());
    let sheet = env::var_os("REGAIN_TEST_SHEET").map(PathBuf::from);
    let browser = Browser::open().await;
    let large = Browser::with(Looks { letters: 32, ..Looks::default() }).await;
    let mut wrong = Vec::new();
    // Both see what is wrong.
    browser.goto(&shown.url("broken")).await.unwrap();
    assert!(!told(&browser.execute(STICKS_OUT, Vec::new()).await.unwrap()).is_empty());
    assert!(told(&browser.execute_async(JUDGE, Vec::new()).await.unwrap()).len() > 2);
    for (language, pages) in &languages {
        for index in &chosen {
            let name = name(*index, &pages[*index]);
            browser.resize(NARROW).await;
            shows(&browser, &shown.url(&format!("{language}/{index}"))).await;
            for (size, of) in [(NARROW, "narrow"), (WIDE, "wide")] {
                browser.resize(size).await;
                let found = told(&browser.execute(STICKS_OUT, Vec::new()).await.unwrap());
                wrong.extend(found.into_iter().map(|it| format!("{language} {of} {name}: {it}")));
            }
            for dark in [false, true] {
                if !["en", "ar"].contains(&language.as_str()) || dark && language == "ar" {
                    continue;
                }
                browser.prefer_dark(dark).await;
                let found = told(&browser.execute_async(JUDGE, Vec::new()).await.unwrap());
                wrong.extend(found.into_iter().map(|it| format!("{language} dark {dark} {name}: {it}")));
            }
            browser.prefer_dark(false).await;
            if language == "en" {
                let url = shown.url(&format!("{language}/{index}"));
                let found = for_all_eyes(&browser, &large, &url).await;
                wrong.extend(found.into_iter().map(|it| format!("{name} {it}")));
            }
            if let Some(folder) = &sheet {
                let url = shown.url(&format!("{language}/{index}"));
                pictures(&browser, folder, language, (&name, &url)).await;
            }
        }
    }
    if let Some(folder) = &sheet {
        lay_out(&browser, folder).await;
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Pictures of what the browser shows, for the contact sheet.
async fn pictures(browser: &Browser, folder: &Path, language: &str, (name, url): (&str, &str)) {
    let kinds: &[(&str, (u32, u32), bool)] = match language {
        "en" => &[
            ("wide", WIDE, false),
            ("narrow", NARROW, false),
            ("dark", NARROW, true),
            ("forced", NARROW, false),
        ],
        "de" | "ru" | "ja" | "ar" => &[("narrow", NARROW, false)],
        _ => return,
    };
    for (kind, size, dark) in kinds {
        browser.resize(*size).await;
        if *kind == "forced" {
            browser.force_colours(true).await;
        } else {
            browser.prefer_dark(*dark).await;
        }
        // What was laid out for another size stays where it was, from right to left.
        shows(browser, url).await;
        let file = browser.picture(&format!("sheet-{language}-{kind}-{name}")).await;
        fs::create_dir_all(folder).unwrap();
        fs::copy(file, folder.join(format!("{language}-{kind}-{name}.png"))).unwrap();
    }
    browser.prefer_dark(false).await;
}

/// A page with all pictures, a row for each state.
async fn lay_out(browser: &Browser, folder: &Path) {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = file.strip_suffix(".png") {
            let state = stem.splitn(3, '-').nth(2).unwrap_or_default().to_owned();
            names.entry(state).or_default().push(file);
        }
    }
    let mut html = "<!doctype html><meta charset=\"utf-8\"><title>Contact sheet</title><style>body { font: 14px \
                    sans-serif; background: #888; } tr { vertical-align: top; } img { height: 420px; }</style><table>"
        .to_owned();
    for (state, mut files) in names {
        files.sort();
        let images = files.iter().map(|file| format!("<td><img src=\"{file}\" title=\"{file}\"></td>"));
        html.extend(["<tr><th>", &state, "</th>", &images.collect::<String>(), "</tr>"]);
    }
    let file = folder.join("index.html");
    fs::write(&file, html + "</table>").unwrap();
    browser.goto(&format!("file://{}", fs::canonicalize(&file).unwrap().display())).await.unwrap();
}
