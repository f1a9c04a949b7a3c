//! The page of the filter editor.

use std::marker::PhantomData;

use async_trait::async_trait;
use poem::{Response, http::StatusCode};
use serde::Serialize;

use super::{
    Table,
    editor::{Join, Line, Node},
    list,
    said::Words,
    view,
    view::{Asked, View},
    words_of,
};
use crate::{
    domain::{
        admin::Role,
        filter::{Column, Filter},
    },
    flows::Error,
    web::{
        admin::{Page, Panel, Seat, draw, redirect},
        form::Form,
        user::page::{self, Choice},
    },
};

/// `/admin/…/filter`
pub(in crate::web::admin) struct FilterPage<T>(PhantomData<T>);

impl<T: Table> FilterPage<T> {
    /// The page.
    pub(in crate::web::admin) const fn new() -> Self {
        Self(PhantomData)
    }
}

#[derive(Serialize)]
struct Context<'a> {
    page: page::Page<'a>,
    panel: Panel,
    form: page::Form,
    editor: Editor,
}

#[derive(Serialize)]
struct Editor {
    key: &'static str,
    /// What the address says besides the filter.
    kept: String,
    back: String,
    said: String,
    lines: Vec<Line>,
    joins: Vec<&'static str>,
    columns: Vec<&'static str>,
    /// Values to choose from, by column.
    lists: Vec<(&'static str, Vec<Choice>)>,
    /// The control that comes next.
    focus: String,
    q: String,
    wrong: String,
}

/// What is being edited.
struct Draft<T: Table> {
    view: View<T>,
    node: Node<T::Column>,
    focus: String,
    /// The text of a filter that is none, and why.
    text: Option<(String, String)>,
    /// Whether what is not filled in is told.
    is_checked: bool,
}

impl<T: Table> Draft<T> {
    fn of(view: View<T>, words: Words<'_>) -> Self {
        let (node, text) = match Node::of(&view.filter) {
            Some(node) => (node, None),
            None => {
                let text = (view.filter.to_string(), words.text("admin.editor.unshowable", &[]));
                (Node::Group(Join::All, Vec::new()), Some(text))
            }
        };
        Self { view, node, focus: String::new(), text, is_checked: false }
    }
}

fn show<T: Table>(seat: &Seat<'_>, draft: &Draft<T>) -> Response {
    let (site, words) = (seat.site, words_of(seat));
    let path = format!("/admin/{}/filter", T::KEY);
    let mut form = page::Form::new(
        site,
        seat.language,
        path.clone(),
        seat.token(&path),
        &crate::domain::field::Problems::new(),
    );
    let filter = draft.node.filter();
    let mut lines = draft.node.lines();
    if let (true, Err(troubles)) = (draft.is_checked, &filter) {
        for (name, trouble) in troubles {
            let text = words.text(trouble.key(), &[]);
            for line in lines.iter_mut().filter(|line| line.name == *name) {
                line.wrong.clone_from(&text);
            }
            form.add_fault(format!("{name}.test"), text);
        }
    }
    let (typed, wrong) = draft.text.clone().unwrap_or_default();
    if !wrong.is_empty() {
        form.add_fault("q-text".into(), wrong.clone());
    }
    let is_wrong = !wrong.is_empty() || draft.is_checked;
    let lists = T::Column::ALL.iter().filter_map(|column| {
        let list = list(seat, words, *column)?;
        let choices = list.iter().map(|(value, label)| Choice::labelled(value, label, false));
        Some((column.key(), choices.collect()))
    });
    let editor = Editor {
        key: T::KEY,
        kept: View { filter: Filter::EVERYTHING, ..draft.view.first() }.query(&[]),
        back: draft.view.first().href(),
        said: filter.as_ref().map(|filter| words.say(filter)).unwrap_or_default(),
        lines,
        joins: Join::EACH.into_iter().map(Join::as_str).collect(),
        columns: T::Column::ALL.iter().map(|column| column.key()).collect(),
        lists: lists.collect(),
        focus: draft.focus.clone(),
        q: if draft.text.is_some() {
            typed
        } else {
            filter.map(|filter| filter.to_string()).unwrap_or_default()
        },
        wrong,
    };
    let page = page::Page::new(site, seat.language, "admin", T::KEY);
    let context = Context { page, panel: Panel::new(seat, T::KEY), form, editor };
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    draw(site, seat.language, "admin/filter.html", context, status)
}

#[async_trait]
impl<T: Table> Page for FilterPage<T> {
    fn is_for(&self, _role: Role) -> bool {
        true
    }

    fn is_sent_by(&self, _role: Role) -> bool {
        true
    }

    async fn show(&self, seat: Seat<'_>) -> Result<Response, Error> {
        let (view, wrong) = View::<T>::read(&Asked::of(seat.request));
        let mut draft = Draft::of(view, words_of(&seat));
        if let Some(wrong) = wrong {
            let typed = Asked::of(seat.request).text("q").chars().take(view::LONGEST_QUERY).collect();
            draft.text = Some((typed, words_of(&seat).wrong(&wrong)));
        }
        Ok(show(&seat, &draft))
    }

    async fn take(&self, seat: Seat<'_>, mut form: Form) -> Result<Response, Error> {
        let words = words_of(&seat);
        let mut field = |name: &str| {
            let is_there = form.has(name);
            let text = form.take(name).map(|text| text.reveal().to_owned()).unwrap_or_default();
            is_there.then_some(text)
        };
        let kept = Asked::of_text(&field("kept").unwrap_or_default());
        let (mut view, _) = View::<T>::read(&kept);
        let action = field("action").unwrap_or_default();
        let typed = field("q").unwrap_or_default();
        let node = Node::<T::Column>::read(&mut field);
        let (deed, place) = action.split_once(' ').unwrap_or((&action, ""));
        let mut draft =
            Draft { view: view.clone(), node, focus: String::new(), text: None, is_checked: false };
        let filter = match deed {
            "apply" => match draft.node.filter() {
                Ok(filter) => filter,
                Err(_) => return Ok(show(&seat, &Draft { is_checked: true, ..draft })),
            },
            "text" => match Filter::parse(&typed) {
                Ok(filter) => filter,
                Err(wrong) => {
                    draft.text = Some((typed, words.wrong(&wrong)));
                    return Ok(show(&seat, &draft));
                }
            },
            _ => {
                let column = field(&format!("{place}.new")).as_deref().and_then(T::Column::of);
                draft.focus = draft.node.change(deed, place, column).unwrap_or_default();
                return Ok(show(&seat, &draft));
            }
        };
        view.filter = filter;
        if view.is_too_long() {
            draft.text = Some((view.filter.to_string(), words.text("admin.wrong.too_long", &[])));
            return Ok(show(&seat, &draft));
        }
        Ok(redirect(&view.href()))
    }
}
