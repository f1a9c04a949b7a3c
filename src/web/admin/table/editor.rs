//! The filter editor: groups of conditions within groups. It stands in the fields of a form, whose buttons send it and have
//! it drawn anew; so it needs no script.

use serde::Serialize;

use super::condition::{Ask, Condition, Trouble};
use crate::domain::filter::{Column, Filter, Kind, Test};

/// The most groups within each other, the outermost counted as well.
const DEEPEST: usize = 6;
/// The most conditions and groups.
const MOST: usize = 60;

/// How what is in a group decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Join {
    All,
    Any,
    NoneOf,
    NotAll,
}

impl Join {
    pub(super) const EACH: [Self; 4] = [Self::All, Self::Any, Self::NoneOf, Self::NotAll];

    /// Its word in forms, and among the texts.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
            Self::NoneOf => "none_of",
            Self::NotAll => "not_all",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|join| join.as_str() == word)
    }
}

/// A group or a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Node<C> {
    Group(Join, Vec<Self>),
    One(Condition<C>),
}

/// What is wrong, by the place of the condition: `n.0.1`.
pub(super) type Troubles = Vec<(String, Trouble)>;

impl<C: Column> Node<C> {
    /// A filter, as a group; `None` if the editor can't show it.
    pub(super) fn of(filter: &Filter<C>) -> Option<Self> {
        let node = Self::read_filter(filter)?;
        let node = if matches!(node, Self::One(_)) { Self::Group(Join::All, vec![node]) } else { node };
        (node.depth() <= DEEPEST && node.count() <= MOST).then_some(node)
    }

    fn read_filter(filter: &Filter<C>) -> Option<Self> {
        let group = |join, parts: &[Filter<C>]| {
            Some(Self::Group(join, parts.iter().map(Self::read_filter).collect::<Option<_>>()?))
        };
        match filter {
            Filter::All(parts) => group(Join::All, parts),
            Filter::Any(parts) => group(Join::Any, parts),
            Filter::Is(column, test) => Condition::of(*column, test, false).map(Self::One),
            Filter::Not(part) => match part.as_ref() {
                Filter::All(parts) => group(Join::NotAll, parts),
                Filter::Any(parts) => group(Join::NoneOf, parts),
                Filter::Not(part) => Self::read_filter(part),
                Filter::Is(column, test @ Test::In(_)) => match Condition::of(*column, test, true) {
                    Some(condition) => Some(Self::One(condition)),
                    None => group(Join::NoneOf, std::slice::from_ref(part)),
                },
                Filter::Is(..) => group(Join::NoneOf, std::slice::from_ref(part)),
            },
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Group(_, parts) => 1 + parts.iter().map(Self::depth).max().unwrap_or(0),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Group(_, parts) => 1 + parts.iter().map(Self::count).sum::<usize>(),
        }
    }

    /// What a form says.
    pub(super) fn read(field: &mut dyn FnMut(&str) -> Option<String>) -> Self {
        let mut left = MOST;
        Self::read_group("n", field, 1, &mut left).unwrap_or(Self::Group(Join::All, Vec::new()))
    }

    fn read_group(
        name: &str,
        field: &mut dyn FnMut(&str) -> Option<String>,
        depth: usize,
        left: &mut usize,
    ) -> Option<Self> {
        let join = Join::of(&field(&format!("{name}.join"))?).unwrap_or(Join::All);
        let mut parts = Vec::new();
        while *left > 0 && depth <= DEEPEST {
            let own = format!("{name}.{}", parts.len());
            *left -= 1;
            let part = match field(&format!("{own}.column")) {
                Some(column) => C::of(&column).map(|column| Self::One(Condition::read(column, &own, field))),
                None => Self::read_group(&own, field, depth + 1, left),
            };
            let Some(part) = part else {
                *left += 1;
                break;
            };
            parts.push(part);
        }
        Some(Self::Group(join, parts))
    }

    fn find(&mut self, path: &[usize]) -> Option<&mut Self> {
        match (path, self) {
            ([], node) => Some(node),
            ([first, rest @ ..], Self::Group(_, parts)) => parts.get_mut(*first)?.find(rest),
            _ => None,
        }
    }

    /// Does what a button says, `add n.1`, `group n`, `remove n.1.0`; `column` is that of a new condition. The name of the
    /// control that comes next, if there was something to do.
    pub(super) fn change(&mut self, deed: &str, place: &str, column: Option<C>) -> Option<String> {
        let path = path_of(place)?;
        let room = self.count() < MOST;
        match deed {
            "remove" => {
                let (last, above) = path.split_last()?;
                let Self::Group(_, parts) = self.find(above)? else { return None };
                (*last < parts.len()).then(|| parts.remove(*last))?;
                Some(format!("{}.new", name_of(above)))
            }
            "add" | "group" if room => {
                let Self::Group(_, parts) = self.find(&path)? else { return None };
                let own = format!("{place}.{}", parts.len());
                if deed == "add" {
                    parts.push(Self::One(Condition::new(column?)));
                    return Some(format!("{own}.test"));
                }
                if path.len() + 2 > DEEPEST {
                    return None;
                }
                parts.push(Self::Group(Join::Any, Vec::new()));
                Some(format!("{own}.join"))
            }
            _ => None,
        }
    }

    /// The filter it stands for; an empty group asks for nothing.
    pub(super) fn filter(&self) -> Result<Filter<C>, Troubles> {
        let mut troubles = Vec::new();
        let filter = self.make(&mut Vec::new(), &mut troubles);
        if troubles.is_empty() { Ok(filter.unwrap_or(Filter::EVERYTHING)) } else { Err(troubles) }
    }

    fn make(&self, path: &mut Vec<usize>, troubles: &mut Troubles) -> Option<Filter<C>> {
        match self {
            Self::One(condition) => match condition.filter() {
                Ok(filter) => Some(filter),
                Err(trouble) => {
                    troubles.push((name_of(path), trouble));
                    None
                }
            },
            Self::Group(join, parts) => {
                let mut filters = Vec::new();
                for (at, part) in parts.iter().enumerate() {
                    path.push(at);
                    filters.extend(part.make(path, troubles));
                    path.pop();
                }
                if filters.is_empty() {
                    return None;
                }
                let not = |filter| Filter::Not(Box::new(filter));
                Some(match (join, filters.len()) {
                    (Join::All | Join::Any, 1) => filters.remove(0),
                    (Join::NoneOf | Join::NotAll, 1) => not(filters.remove(0)),
                    (Join::All, _) => Filter::All(filters),
                    (Join::Any, _) => Filter::Any(filters),
                    (Join::NoneOf, _) => not(Filter::Any(filters)),
                    (Join::NotAll, _) => not(Filter::All(filters)),
                })
            }
        }
    }

    /// As it is drawn: line by line, a group from its beginning to its end.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.draw(&mut Vec::new(), &mut lines);
        lines
    }

    fn draw(&self, path: &mut Vec<usize>, lines: &mut Vec<Line>) {
        let name = name_of(path);
        match self {
            Self::One(condition) => lines.push(Line::of(name, condition)),
            Self::Group(join, parts) => {
                let may_nest = path.len() + 2 <= DEEPEST;
                let line = Line { name: name.clone(), join: join.as_str(), may_nest, ..Line::default() };
                lines.push(Line { kind: "open", ..line.clone() });
                for (at, part) in parts.iter().enumerate() {
                    path.push(at);
                    part.draw(path, lines);
                    path.pop();
                }
                lines.push(Line { kind: "close", ..line });
            }
        }
    }
}

/// A line of the editor.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Line {
    kind: &'static str,
    pub name: String,
    join: &'static str,
    may_nest: bool,
    column: &'static str,
    column_kind: &'static str,
    test: &'static str,
    tests: Vec<&'static str>,
    takes_value: bool,
    value: String,
    /// The words that can be ticked, and whether they are.
    words: Vec<(&'static str, bool)>,
    /// What is wrong with it.
    pub wrong: String,
}

impl Line {
    /// A condition whose controls have that name.
    pub(super) fn of<C: Column>(name: String, condition: &Condition<C>) -> Self {
        let (column_kind, words) = match condition.column.kind() {
            Kind::Text => ("text", &[][..]),
            Kind::Time => ("time", &[][..]),
            Kind::Words(words) => ("words", words),
        };
        let is_ticked = |word: &&str| condition.words.iter().any(|it| it.eq_ignore_ascii_case(word));
        Self {
            kind: "condition",
            name,
            column: condition.column.key(),
            column_kind,
            test: condition.ask.as_str(),
            tests: Ask::offered(condition.column.kind()).into_iter().map(Ask::as_str).collect(),
            takes_value: condition.ask.takes_value(),
            value: condition.value.clone(),
            words: words.iter().map(|word| (*word, is_ticked(word))).collect(),
            ..Self::default()
        }
    }
}

fn name_of(path: &[usize]) -> String {
    path.iter().fold("n".to_owned(), |name, at| format!("{name}.{at}"))
}

fn path_of(name: &str) -> Option<Vec<usize>> {
    let rest = name.strip_prefix('n')?;
    if rest.is_empty() {
        return Some(Vec::new());
    }
    rest.strip_prefix('.')?.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::audit::EventColumn as Event;

    fn parse(text: &str) -> Filter<Event> {
        Filter::parse(text).unwrap()
    }

    /// What a browser would send of the editor.
    fn sent(node: &Node<Event>) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        for line in node.lines() {
            let mut put = |part: &str, value: &str| {
                fields.insert(format!("{}.{part}", line.name), value.to_owned());
            };
            match line.kind {
                "open" => put("join", line.join),
                "condition" => {
                    put("column", line.column);
                    put("test", line.test);
                    put("value", &line.value);
                    line.words
                        .iter()
                        .filter(|word| word.1)
                        .for_each(|word| put(&format!("word.{}", word.0), "on"));
                }
                _ => {}
            }
        }
        fields
    }

    fn through_a_form(node: &Node<Event>) -> Node<Event> {
        let fields = sent(node);
        Node::read(&mut |name| fields.get(name).cloned())
    }

    #[test]
    fn a_filter_goes_through_the_form_and_comes_back() {
        for text in [
            "",
            "user like *a*",
            "user like a* and not (outcome in (failure) or at before 2026-11-01)",
            "not (user like a* and user like *b)",
            "(user like *a* or not event in (setting, start)) and (detail given or detail empty)",
        ] {
            let node = Node::of(&parse(text)).unwrap();
            assert_eq!(through_a_form(&node).filter().unwrap().to_string(), text);
        }
        // Written otherwise, it means the same.
        for (text, same) in [("not not user given", "user given"), ("not user like *a*", "not user like *a*")]
        {
            assert_eq!(Node::of(&parse(text)).unwrap().filter().unwrap().to_string(), same);
        }
    }

    #[test]
    fn buttons_add_and_remove() {
        let mut node = Node::of(&Filter::EVERYTHING).unwrap();
        assert_eq!(node.change("add", "n", Some(Event::User)).as_deref(), Some("n.0.test"));
        assert_eq!(node.change("group", "n", None).as_deref(), Some("n.1.join"));
        assert_eq!(node.change("add", "n.1", Some(Event::Outcome)).as_deref(), Some("n.1.0.test"));
        assert_eq!(
            node.filter().unwrap_err(),
            [("n.0".to_owned(), Trouble::Value), ("n.1.0".to_owned(), Trouble::Words)]
        );
        assert_eq!(node.change("remove", "n.0", None).as_deref(), Some("n.new"));
        for (deed, place) in [
            ("remove", "n"),
            ("remove", "n.7"),
            ("add", "n.0.0"),
            ("fly", "n"),
            ("add", "x"),
            ("add", "n.x"),
            ("add", "n."),
            ("remove", "n.99999999999999999999999"),
        ] {
            assert_eq!(node.change(deed, place, Some(Event::User)), None, "{deed} {place}");
        }
    }

    #[test]
    fn there_is_an_end_to_groups() {
        let mut node = Node::<Event>::of(&Filter::EVERYTHING).unwrap();
        let mut place = "n".to_owned();
        let mut depth = 1;
        while node.change("group", &place, None).is_some() {
            place.push_str(".0");
            depth += 1;
        }
        assert_eq!(depth, DEEPEST);
        while node.change("add", "n", Some(Event::User)).is_some() {}
        assert_eq!(node.count(), MOST);
        assert_eq!(through_a_form(&node), node);
        // A form that somebody made up has no end of its own.
        let endless = Node::<Event>::read(&mut |name| name.contains(".join").then(|| "any".to_owned()));
        assert!(endless.depth() <= DEEPEST + 1 && endless.count() <= MOST + 1);
    }
}
