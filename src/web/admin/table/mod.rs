//! The tables of the data console. Both are one: a [`Table`] says what is in it; how it is filtered, sorted, drawn and asked
//! for is said here once. All of it stands in the address, so that it can be kept and passed on, and works without script.

mod boxes;
mod condition;
mod deletion;
mod editor;
mod events;
mod export;
mod filter_page;
mod said;
mod saved;
mod users;
mod view;

use std::{marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{Page, Panel, Seat, draw, redirect};
use crate::{
    domain::{
        account::AccountKey,
        admin::Role,
        audit::EventColumn,
        clock::Timestamp,
        filter::{Cell, Column, Filter, Found, Kind, Row, Search, Span},
    },
    flows::{Error, Services},
    report::{
        desk::{Progress, Question, Reply},
        rows::Source,
    },
    web::{
        form::Form,
        user::page::{self, Choice},
    },
};
use boxes::Content;
use condition::Condition;
use editor::Line;
pub(super) use events::Events;
pub(super) use export::{ExportPage, Kept};
pub(super) use filter_page::FilterPage;
use said::Words;
pub(super) use users::Users;
pub(super) use view::Asked;
use view::{SIZES, View};

/// So long a page waits for its rows, and for their number.
pub(super) const WAIT: Duration = Duration::from_millis(700);
const WAIT_FOR_COUNT: Duration = Duration::from_millis(150);
/// So long a page goes on by itself: it must not keep a session alive that nobody sits before.
const LIVE: Duration = Duration::from_secs(15 * 60);
/// Where events come from.
const SOURCES: [&str; 9] = ["web", "admin", "api", "import", "job", "program", "console", "setup", "demo"];

/// A table of the console.
pub(super) trait Table: Send + Sync + 'static {
    /// Its columns.
    type Column: Column;
    /// Its rows.
    type Row: Row<Column = Self::Column> + Send + Sync + 'static;

    /// Its word in addresses and among the texts.
    const KEY: &'static str;
    /// By which column it is usually in order.
    const BY: Self::Column;
    /// Whether the last comes first.
    const IS_DESCENDING: bool;
    /// The columns that are usually shown.
    const SHOWN: &'static [Self::Column];
    /// Whether rows can be ticked, and what is ticked be deleted.
    const IS_TICKED: bool;

    /// Searches it.
    fn search(
        services: Arc<Services>,
        search: Search<Self::Column>,
        progress: Arc<Progress>,
    ) -> impl Future<Output = Result<Found<Self::Row>, Error>> + Send + 'static;

    /// Counts the rows that pass.
    fn count(
        services: Arc<Services>,
        filter: Filter<Self::Column>,
        progress: Arc<Progress>,
    ) -> impl Future<Output = Result<u64, Error>> + Send + 'static;

    /// Its rows, to be read one after the other.
    fn source(kept: Kept) -> impl Source<Row = Self::Row> + 'static;

    /// Where a cell leads.
    fn href(row: &Self::Row, column: Self::Column) -> Option<String>;

    /// What a row is called in forms.
    fn name(row: &Self::Row) -> String;
}

/// The page of a user's story.
pub(super) fn story(account: &AccountKey) -> String {
    format!("/admin/users/{}/{}", account.domain, account.guid)
}

/// The address of the usual view of the rows that pass.
pub(super) fn href<T: Table>(filter: Filter<T::Column>) -> String {
    View::<T>::usual().of(filter).href()
}

/// The address of a day's events.
pub(super) fn day(day: i64) -> String {
    href::<Events>(boxes::on_day(EventColumn::At, day))
}

/// The first rows that pass, so many at most; and whether they are still searched for.
pub(super) async fn latest<T: Table>(
    seat: &Seat<'_>,
    filter: &Filter<T::Column>,
    columns: &[T::Column],
    limit: usize,
) -> Result<(Vec<DrawnRow>, bool), Error> {
    let view = View::<T> { rows: limit, ..View::usual().of(filter.clone()) };
    let search = view.search(seat.site.services.clock.now());
    Ok(match ask::<T>(seat, &search).await? {
        Reply::Ready(answer) => (rows::<T>(seat, columns, &answer.0.rows), false),
        Reply::Busy | Reply::UnderWay { .. } => (Vec::new(), true),
    })
}

/// A table's page.
pub(super) struct TablePage<T>(PhantomData<T>);

impl<T: Table> TablePage<T> {
    /// The page.
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    table: Drawn,
}

/// A table as the template gets it.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own on the page")]
struct Drawn {
    key: &'static str,
    path: String,
    /// What forms send along besides what is typed.
    hidden: Vec<(&'static str, String)>,
    /// The filter as a sentence, and the table without it.
    said: String,
    clear: String,
    editor: String,
    /// The filter as text, and what is wrong with it.
    q: String,
    wrong: String,
    heads: Vec<Head>,
    rows: Vec<DrawnRow>,
    /// How the search stands: `found`, `under_way`, `held` or `busy`.
    state: &'static str,
    percent: u64,
    total: String,
    counts: String,
    is_counting: bool,
    hold: String,
    first: String,
    next: String,
    sizes: Vec<Size>,
    /// What is open: `columns`, `column` or nothing.
    open: &'static str,
    columns: String,
    close: String,
    chooser: Chooser,
    /// The button by which a column was moved.
    moved: String,
    custom: Option<Custom>,
    /// Whether it goes on by itself; where that is switched.
    is_live: bool,
    may_live: bool,
    live: String,
    saved: saved::Saved,
    /// Whether rows can be ticked; the rows that can, and the token of the form.
    may_tick: bool,
    names: String,
    token: String,
    query: String,
    /// What was done.
    done: &'static str,
    exports: Vec<(&'static str, String)>,
}

/// The head of a column.
#[derive(Serialize)]
struct Head {
    key: &'static str,
    sort: String,
    /// `ascending`, `descending` or nothing.
    sorted: &'static str,
    /// `text`, `list` or `time`.
    kind: &'static str,
    content: Content,
    options: Vec<Choice>,
    custom: String,
}

/// A row as it is drawn.
#[derive(Serialize)]
pub(super) struct DrawnRow {
    name: String,
    cells: Vec<DrawnCell>,
}

#[derive(Serialize)]
struct DrawnCell {
    key: &'static str,
    text: String,
    href: String,
    /// The word itself, of a column of words.
    word: String,
}

#[derive(Serialize)]
struct Size {
    rows: usize,
    href: String,
    current: bool,
}

/// What is shown, and in which order.
#[derive(Serialize)]
struct Chooser {
    order: String,
    columns: Vec<(&'static str, bool)>,
    by: &'static str,
    is_descending: bool,
}

/// Two conditions of a column.
#[derive(Serialize)]
struct Custom {
    column: &'static str,
    lines: Vec<Line>,
    second: bool,
    is_any: bool,
    values: Vec<Choice>,
}

/// What a form of the page left to be said.
#[derive(Default)]
struct Told {
    /// What is wrong with the filter.
    wrong: String,
    /// The text of a filter that is none.
    typed: Option<String>,
    /// The conditions of a column as typed, with what is wrong with them.
    custom: Option<Custom>,
    /// What is wrong with the name of a view.
    saved: saved::Told,
}

/// A list of values to choose from: `None` for columns where anything may stand.
fn list<C: Column>(seat: &Seat<'_>, words: Words<'_>, column: C) -> Option<Vec<(String, String)>> {
    let key = column.key();
    let named = |list: &[&str]| list.iter().map(|word| ((*word).to_owned(), words.word(key, word))).collect();
    match (column.kind(), key) {
        (Kind::Words(list), _) => Some(named(list)),
        (Kind::Text, "source") => Some(named(&SOURCES)),
        (Kind::Text, "domain") => {
            let domains = seat.site.services.domains().into_iter();
            Some(domains.map(|domain| (domain.name.to_string(), domain.netbios)).collect())
        }
        _ => None,
    }
}

/// Whether there is a list of values for it.
fn is_listed<C: Column>(column: C) -> bool {
    matches!(column.kind(), Kind::Words(_)) || ["source", "domain"].contains(&column.key())
}

fn words_of<'a>(seat: &Seat<'a>) -> Words<'a> {
    Words { texts: seat.texts, language: &seat.language.code }
}

/// What a form asks for that leads on to an address of its own: the address, or what is wrong.
fn moved<T: Table>(seat: &Seat<'_>, asked: &Asked, view: &View<T>) -> Option<Result<String, Box<Told>>> {
    let words = words_of(seat);
    let go = |view: View<T>, more: &[(&str, &str)]| {
        if view.is_too_long() {
            let wrong = words.text("admin.wrong.too_long", &[]);
            return Err(Box::new(Told { wrong, ..Told::default() }));
        }
        Ok(view.href_with(more))
    };
    if asked.has_any_of("f.") {
        let contents = T::Column::ALL.iter().filter_map(|column| Some((*column, boxed(asked, *column)?)));
        let filter = boxes::join(&view.filter, &contents.collect::<Vec<_>>(), is_listed);
        return Some(go(view.of(filter), &[]));
    }
    if asked.find("order").is_some() {
        let (view, moved) = chosen(asked, view);
        let more = [("view", "columns"), ("moved", moved.as_str())];
        return Some(go(view, if moved.is_empty() { &[] } else { &more }));
    }
    if let Some(column) = T::Column::of(asked.text("of"))
        && asked.find("x.0.test").is_some()
    {
        return Some(customised(asked, view, column, words).and_then(|view| go(view, &[])));
    }
    if asked.text("live") == "1" {
        let until = seat.site.services.clock.now() + LIVE;
        return Some(go(View { live: Some(until), ..view.first() }, &[]));
    }
    None
}

/// What was typed into a column's box; `None` if there was none.
fn boxed<C: Column>(asked: &Asked, column: C) -> Option<Content> {
    let part = |part: &str| asked.find(&format!("f.{}{part}", column.key())).map(str::to_owned);
    let value = part("")?;
    Some(Content { value, from: part(".from").unwrap_or_default(), to: part(".to").unwrap_or_default() })
}

/// The view with the columns that were chosen; and the button by which one was moved, if one was.
fn chosen<T: Table>(asked: &Asked, view: &View<T>) -> (View<T>, String) {
    let mut order = Vec::new();
    for column in asked.text("order").split(',').filter_map(T::Column::of) {
        if !order.contains(&column) {
            order.push(column);
        }
    }
    let is_chosen = |column: &T::Column| asked.all("col").any(|key| key == column.key());
    order.retain(is_chosen);
    let pressed = asked.text("move");
    let (way, moved) = pressed.split_once('.').unwrap_or_default();
    let at = order.iter().position(|column| column.key() == moved);
    if let Some(at) = at {
        let to = if way == "up" { at.saturating_sub(1) } else { (at + 1).min(order.len() - 1) };
        order.swap(at, to);
    }
    let columns = if order.is_empty() { T::SHOWN.to_vec() } else { order };
    (View { columns, ..view.first() }, at.map(|_| pressed.to_owned()).unwrap_or_default())
}

/// The view with the two conditions of a column in the place of all it was asked alone.
fn customised<T: Table>(
    asked: &Asked,
    view: &View<T>,
    column: T::Column,
    words: Words<'_>,
) -> Result<View<T>, Box<Told>> {
    let mut field = |name: &str| asked.find(name).map(str::to_owned);
    let first = Condition::read(column, "x.0", &mut field);
    let second = Condition::read(column, "x.1", &mut field);
    let has_second = !asked.text("x.1.test").is_empty();
    let is_any = asked.text("x.join") == "any";
    let (made, other) = (first.filter(), has_second.then(|| second.filter()).transpose());
    match (made, other) {
        (Ok(first), Ok(second)) => {
            let (_, rest) = boxes::without(&view.filter, column);
            let both: Vec<_> = [first].into_iter().chain(second).collect();
            let own = if is_any && both.len() > 1 { Filter::Any(both) } else { Filter::All(both) };
            let own = match own {
                Filter::All(mut parts) if parts.len() == 1 => parts.remove(0),
                other => other,
            };
            Ok(view.of(rest.and(own)))
        }
        (made, other) => {
            let mut lines = vec![Line::of("x.0".into(), &first), Line::of("x.1".into(), &second)];
            let wrong = [made.err(), other.err()];
            for (line, trouble) in lines.iter_mut().zip(wrong) {
                line.wrong = trouble.map(|trouble| words.text(trouble.key(), &[])).unwrap_or_default();
            }
            let custom =
                Custom { column: column.key(), lines, second: has_second, is_any, values: Vec::new() };
            Err(Box::new(Told { custom: Some(custom), ..Told::default() }))
        }
    }
}

/// The conditions that a column is asked now, as two lines.
fn custom_of<C: Column>(filter: &Filter<C>, column: C) -> Custom {
    let (own, _) = boxes::without(filter, column);
    let (parts, is_any) = match own.as_slice() {
        [Filter::Any(parts)] => (parts.clone(), true),
        _ => (own, false),
    };
    let mut conditions = parts.iter().filter_map(|part| match part {
        Filter::Is(column, test) => Condition::of(*column, test, false),
        Filter::Not(part) => match part.as_ref() {
            Filter::Is(column, test) => Condition::of(*column, test, true),
            _ => None,
        },
        _ => None,
    });
    let (first, second) = (conditions.next(), conditions.next());
    let has_second = second.is_some();
    let line = |name: &str, condition: Option<Condition<C>>| {
        Line::of(name.into(), &condition.unwrap_or_else(|| Condition::new(column)))
    };
    let lines = vec![line("x.0", first), line("x.1", second)];
    Custom { column: column.key(), lines, second: has_second, is_any, values: Vec::new() }
}

fn heads<T: Table>(seat: &Seat<'_>, view: &View<T>) -> Vec<Head> {
    let words = words_of(seat);
    let (contents, _) = boxes::split(&view.filter, is_listed);
    let head = |column: &T::Column| {
        let (column, key) = (*column, column.key());
        let content = contents.iter().find(|(known, _)| *known == column).map(|(_, content)| content.clone());
        let content = content.unwrap_or_default();
        let chosen = |value: &str| value.eq_ignore_ascii_case(&content.value);
        let mut options = Vec::new();
        if let Some(list) = list(seat, words, column) {
            options.extend(list.iter().map(|(value, label)| Choice::labelled(value, label, chosen(value))));
            // Several, or one that is not in the list.
            if !content.value.is_empty() && !list.iter().any(|(value, _)| chosen(value)) {
                let label: Vec<_> = content.value.split(',').map(|word| words.word(key, word)).collect();
                options.push(Choice::labelled(&content.value, &label.join(", "), true));
            }
        } else if column.kind() == Kind::Time {
            let label = |word: &str| words.text(&format!("admin.span.{word}"), &[]);
            let spans = Span::ALL.into_iter().map(Span::as_str).chain(["own"]);
            options.extend(spans.map(|word| Choice::labelled(word, &label(word), chosen(word))));
        }
        let kind = match column.kind() {
            Kind::Time => "time",
            _ if is_listed(column) => "list",
            _ => "text",
        };
        let sorted = match (view.by == column, view.is_descending) {
            (false, _) => "",
            (true, false) => "ascending",
            (true, true) => "descending",
        };
        let sort = view.sorted(column).href();
        let custom = view.first().href_with(&[("view", "column"), ("of", key)]);
        Head { key, sort, sorted, kind, content, options, custom }
    };
    view.columns.iter().map(head).collect()
}

/// A time to the second, in UTC.
fn second(at: Timestamp) -> String {
    at.to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

fn rows<T: Table>(seat: &Seat<'_>, columns: &[T::Column], rows: &[T::Row]) -> Vec<DrawnRow> {
    let words = words_of(seat);
    let domains = seat.site.services.domains();
    let domain =
        |name: &str| domains.iter().find(|domain| domain.is_called(name)).map(|it| it.netbios.clone());
    let cell = |row: &T::Row, column: T::Column| {
        let key = column.key();
        let (text, word) = match row.cell(column) {
            Cell::Empty => (String::new(), String::new()),
            Cell::Time(time) => (second(time), String::new()),
            Cell::Text(text) if key == "domain" => (domain(&text).unwrap_or(text), String::new()),
            Cell::Text(text) if is_listed(column) => (words.word(key, &text), text),
            Cell::Text(text) => (text, String::new()),
        };
        DrawnCell { key, text, href: T::href(row, column).unwrap_or_default(), word }
    };
    let row = |row: &T::Row| DrawnRow {
        name: T::name(row),
        cells: columns.iter().map(|column| cell(row, *column)).collect(),
    };
    rows.iter().map(row).collect()
}

/// What came of a search: the rows, and of how many they were found.
type Answer<R> = (Found<R>, u64);

/// How a search stands.
struct Outcome<R> {
    answer: Option<Arc<Answer<R>>>,
    state: &'static str,
    seen: u64,
    total: u64,
    matches: Option<u64>,
}

impl<R> Outcome<R> {
    /// Of a search that isn't made.
    const fn none(state: &'static str) -> Self {
        Self { answer: None, state, seen: 0, total: 0, matches: None }
    }
}

/// Has a search made, or asks how it stands.
async fn ask<T: Table>(seat: &Seat<'_>, search: &Search<T::Column>) -> Result<Reply<Answer<T::Row>>, Error> {
    let site = seat.site;
    let what = format!("{} {search:?}", T::KEY);
    let question = Question { who: seat.admin.who.clone(), what, is_aside: false };
    let (services, search) = (Arc::clone(&site.services), search.clone());
    let work = |progress: Arc<Progress>| async move {
        let found = T::search(services, search, Arc::clone(&progress)).await?;
        Ok((found, progress.so_far().1))
    };
    site.desk.ask(question, WAIT, work).await
}

async fn search<T: Table>(seat: &Seat<'_>, view: &View<T>) -> Result<Outcome<T::Row>, Error> {
    let site = seat.site;
    let search = view.search(site.services.clock.now());
    let mut outcome = match ask::<T>(seat, &search).await? {
        Reply::Busy => return Ok(Outcome::none("busy")),
        Reply::UnderWay { seen, total } => {
            return Ok(Outcome { seen, total, ..Outcome::none("under_way") });
        }
        Reply::Ready(answer) => Outcome {
            seen: 0,
            total: answer.1,
            matches: answer.0.matches,
            answer: Some(answer),
            state: "found",
        },
    };
    if outcome.matches.is_none() {
        let what = format!("count {} {}", T::KEY, search.filter);
        let question = Question { who: seat.admin.who.clone(), what, is_aside: true };
        let services = Arc::clone(&site.services);
        let work = |progress| T::count(services, search.filter, progress);
        if let Reply::Ready(matches) = site.desk.ask(question, WAIT_FOR_COUNT, work).await? {
            outcome.matches = Some(*matches);
        }
    }
    Ok(outcome)
}

/// How many rows are shown, fit, and are there.
fn counts<R>(words: Words<'_>, outcome: &Outcome<R>) -> String {
    let Some(answer) = &outcome.answer else { return String::new() };
    let shown = words.number(answer.0.rows.len() as u64);
    let Some(matches) = outcome.matches else {
        return words.text("admin.table.counting", &[("shown", &shown)]);
    };
    if outcome.total < matches {
        // How many there are was not asked: what was looked at tells.
        return words.text("admin.table.fit", &[("shown", &shown), ("matches", &words.number(matches))]);
    }
    let (matches, total) = (words.number(matches), words.number(outcome.total));
    words.text("admin.table.counts", &[("shown", &shown), ("matches", &matches), ("all", &total)])
}

/// Draws the table of a view.
async fn show<T: Table>(
    seat: &Seat<'_>,
    asked: &Asked,
    view: &View<T>,
    told: Told,
) -> Result<Response, Error> {
    let (site, words) = (seat.site, words_of(seat));
    let now = site.services.clock.now();
    let is_live = view.live.is_some_and(|until| now < until);
    let is_wrong = !told.wrong.is_empty() || told.custom.is_some() || !told.saved.wrong.is_empty();
    let is_unknown = !told.wrong.is_empty() || told.custom.is_some();
    let outcome = if is_unknown || asked.text("hold") == "1" {
        Outcome::none("held")
    } else {
        search(seat, view).await?
    };
    let rows = outcome.answer.as_ref().map(|answer| rows::<T>(seat, &view.columns, &answer.0.rows));
    let names: Vec<_> = rows.iter().flatten().map(|row| row.name.as_str()).collect();
    let names = names.join(" ");
    let next = outcome.answer.as_ref().and_then(|answer| answer.0.next.clone());
    let next = next.map(|place| View { after: Some(place), live: None, ..view.clone() });
    let custom = match T::Column::of(asked.text("of")).filter(|_| asked.text("view") == "column") {
        None => told.custom,
        Some(column) => {
            let custom = told.custom.unwrap_or_else(|| custom_of(&view.filter, column));
            let values = list(seat, words, column).unwrap_or_default();
            let values = values.iter().map(|(value, label)| Choice::labelled(value, label, false)).collect();
            Some(Custom { values, ..custom })
        }
    };
    let open = match asked.text("view") {
        "columns" => "columns",
        _ if custom.is_some() => "column",
        _ => "",
    };
    let first = view.first();
    let sizes = SIZES.map(|rows| Size {
        rows,
        href: View { rows, ..view.first() }.href(),
        current: rows == view.rows,
    });
    let mut columns: Vec<_> = view.columns.iter().map(|column| (column.key(), true)).collect();
    let more = T::Column::ALL.iter().filter(|column| !view.columns.contains(column));
    columns.extend(more.map(|column| (column.key(), false)));
    let order: Vec<_> = columns.iter().map(|(key, _)| *key).collect();
    let chooser =
        Chooser { order: order.join(","), columns, by: view.by.key(), is_descending: view.is_descending };
    let may_live = T::BY.kind() == Kind::Time && view.by == T::BY && view.is_descending;
    let live = if is_live { first.href() } else { first.href_with(&[("live", "1")]) };
    let table = Drawn {
        key: T::KEY,
        path: format!("/admin/{}", T::KEY),
        hidden: first.pairs(),
        said: if view.filter.is_everything() { String::new() } else { words.say(&view.filter) },
        clear: view.of(Filter::EVERYTHING).href(),
        editor: view::address(&format!("/admin/{}/filter", T::KEY), &first.query(&[])),
        q: told.typed.unwrap_or_else(|| view.filter.to_string()),
        wrong: told.wrong,
        heads: heads(seat, view),
        rows: rows.unwrap_or_default(),
        percent: (outcome.seen * 100).checked_div(outcome.total).unwrap_or_default().min(100),
        total: words.number(outcome.total),
        counts: counts(words, &outcome),
        is_counting: outcome.state == "found" && outcome.matches.is_none(),
        state: outcome.state,
        hold: view.href_with(&[("hold", "1")]),
        first: if view.after.is_some() { first.href() } else { String::new() },
        next: next.map(|view| view.href()).unwrap_or_default(),
        sizes: sizes.into(),
        open,
        columns: first.href_with(&[("view", "columns")]),
        close: first.href(),
        chooser,
        moved: asked.text("moved").to_owned(),
        custom,
        is_live: is_live && may_live,
        may_live,
        live,
        saved: saved::draw(seat, view, told.saved, asked.text("done") == "kept").await?,
        may_tick: T::IS_TICKED && seat.admin.role >= Role::HelpDesk,
        names,
        token: seat.token(&format!("/admin/{}", T::KEY)),
        query: view.first().query(&[]),
        done: if asked.text("done") == "deleted" { "deleted" } else { "" },
        exports: export::links(view),
    };
    let page = page::Page::new(site, seat.language, "admin", T::KEY);
    let context = Context { page, panel: Panel::new(seat, T::KEY), table };
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(draw(site, seat.language, "admin/table.html", context, status))
}

#[async_trait]
impl<T: Table> Page for TablePage<T> {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let asked = Asked::of(seat.request);
        let (view, wrong) = View::<T>::read(&asked);
        if let Some(wrong) = wrong {
            let typed = asked.text("q").chars().take(view::LONGEST_QUERY).collect();
            let wrong = words_of(&seat).wrong(&wrong);
            let told = Told { wrong, typed: Some(typed), ..Told::default() };
            return show(&seat, &asked, &view, told).await;
        }
        match moved(&seat, &asked, &view) {
            Some(Ok(href)) => Ok(redirect(&href)),
            Some(Err(told)) => show(&seat, &asked, &view, *told).await,
            None => show(&seat, &asked, &view, Told::default()).await,
        }
    }

    fn is_sent_by(&self, _role: Role) -> bool {
        true
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let mut text = |name: &str| form.take(name).map(|text| text.reveal().to_owned()).unwrap_or_default();
        let (action, query) = (text("action"), text("view"));
        let (view, _) = View::<T>::read(&Asked::of_text(&query));
        if let ("delete" | "delete-confirmed", true) = (action.as_str(), T::IS_TICKED) {
            let query = view.first().query(&[]);
            return deletion::take(&seat, action == "delete-confirmed", query, &mut form).await;
        }
        if !["keep", "drop"].iter().any(|deed| action.starts_with(deed)) {
            return Ok(redirect(&view.href()));
        }
        match saved::take(&seat, &action, &view, &mut form).await? {
            saved::Taken::Done => Ok(redirect(&view.first().href_with(&[("done", "kept")]))),
            saved::Taken::Wrong { key, name } => {
                let words = words_of(&seat);
                let wrong = words.text(&key, &[("field", &words.text("admin.views.name", &[]))]);
                let told = Told { saved: saved::Told { name, wrong }, ..Told::default() };
                show(&seat, &Asked::of_text(""), &view, told).await
            }
        }
    }
}
