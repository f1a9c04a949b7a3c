//! A condition as people put it: the user contains "ali", the event is one of these.

use crate::domain::{
    clock::Timestamp,
    filter::{Column, DAY, Filter, Kind, Pattern, Span, Test, parse_time},
};

/// The most words of a list.
const MOST_WORDS: usize = 40;

/// What is asked of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    Contains,
    Lacks,
    Begins,
    Ends,
    Is,
    IsNot,
    OneOf,
    NoneOf,
    Like,
    Unlike,
    On,
    From,
    Before,
    Within(Span),
    Empty,
    Given,
}

impl Ask {
    const PLAIN: [Self; 15] = [
        Self::Contains,
        Self::Lacks,
        Self::Begins,
        Self::Ends,
        Self::Is,
        Self::IsNot,
        Self::OneOf,
        Self::NoneOf,
        Self::Like,
        Self::Unlike,
        Self::On,
        Self::From,
        Self::Before,
        Self::Empty,
        Self::Given,
    ];

    /// Its word in forms, and among the texts.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::Lacks => "lacks",
            Self::Begins => "begins",
            Self::Ends => "ends",
            Self::Is => "is",
            Self::IsNot => "is_not",
            Self::OneOf => "one_of",
            Self::NoneOf => "none_of",
            Self::Like => "like",
            Self::Unlike => "unlike",
            Self::On => "on",
            Self::From => "from",
            Self::Before => "before",
            Self::Within(span) => span.as_str(),
            Self::Empty => "empty",
            Self::Given => "given",
        }
    }

    fn of(word: &str) -> Option<Self> {
        let plain = Self::PLAIN.into_iter().find(|ask| ask.as_str() == word);
        plain.or_else(|| Span::of(word).map(Self::Within))
    }

    /// What can be asked of a column of that kind, the usual first.
    pub(super) fn offered(kind: Kind) -> Vec<Self> {
        match kind {
            Kind::Words(_) => vec![Self::OneOf, Self::NoneOf],
            Kind::Time => {
                let spans = Span::ALL.into_iter().map(Self::Within);
                spans.chain([Self::On, Self::From, Self::Before, Self::Empty, Self::Given]).collect()
            }
            Kind::Text => {
                let no_time =
                    |ask: &Self| !matches!(ask, Self::On | Self::From | Self::Before | Self::NoneOf);
                Self::PLAIN.into_iter().filter(no_time).collect()
            }
        }
    }

    /// Whether a value belongs to it.
    pub(super) const fn takes_value(self) -> bool {
        !matches!(self, Self::Empty | Self::Given | Self::Within(_))
    }
}

/// A condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Condition<C> {
    pub column: C,
    pub ask: Ask,
    /// As typed; of several the list as the filter's text has it.
    pub value: String,
    /// Those that are ticked, where there is a list of words.
    pub words: Vec<String>,
}

/// What is missing, or not to be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    Value,
    Words,
    Time,
    List,
}

impl Trouble {
    /// The key among the texts.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Value => "admin.editor.no_value",
            Self::Words => "admin.editor.no_words",
            Self::Time => "admin.editor.no_time",
            Self::List => "admin.editor.no_list",
        }
    }
}

impl<C: Column> Condition<C> {
    /// The usual question about a column, not yet filled in.
    pub(super) fn new(column: C) -> Self {
        let ask = Ask::offered(column.kind()).first().copied().unwrap_or(Ask::Given);
        Self { column, ask, value: String::new(), words: Vec::new() }
    }

    /// What the form says below that name.
    pub(super) fn read(column: C, name: &str, field: &mut dyn FnMut(&str) -> Option<String>) -> Self {
        let mut condition = Self::new(column);
        if let Some(ask) = field(&format!("{name}.test")).as_deref().and_then(Ask::of)
            && Ask::offered(column.kind()).contains(&ask)
        {
            condition.ask = ask;
        }
        condition.value = field(&format!("{name}.value")).unwrap_or_default();
        if let Kind::Words(words) = column.kind() {
            let ticked = words.iter().filter(|word| field(&format!("{name}.word.{word}")).is_some());
            condition.words = ticked.map(|word| (*word).to_owned()).collect();
        }
        condition
    }

    /// What a test is as a condition; `None` for one that is asked otherwise.
    pub(super) fn of(column: C, test: &Test, is_negated: bool) -> Option<Self> {
        let is_list = matches!(column.kind(), Kind::Words(_));
        let (ask, value) = match test {
            Test::In(words) if is_list => {
                let ask = if is_negated { Ask::NoneOf } else { Ask::OneOf };
                return Some(Self { column, ask, value: String::new(), words: words.clone() });
            }
            Test::In(values) => match values.as_slice() {
                [only] => (if is_negated { Ask::IsNot } else { Ask::Is }, only.clone()),
                _ if is_negated => return None,
                _ => (Ask::OneOf, list_of(test)),
            },
            _ if is_negated => return None,
            Test::Like(pattern) => read_pattern(pattern),
            Test::Unlike(pattern) => match read_pattern(pattern) {
                (Ask::Contains, text) => (Ask::Lacks, text),
                _ => (Ask::Unlike, pattern.as_str().to_owned()),
            },
            Test::From(time) => (Ask::From, shown(*time)),
            Test::Before(time) => (Ask::Before, shown(*time)),
            Test::Within(span) => (Ask::Within(*span), String::new()),
            Test::Empty => (Ask::Empty, String::new()),
            Test::Given => (Ask::Given, String::new()),
        };
        // Of a list of words nothing else can be asked here.
        Ask::offered(column.kind()).contains(&ask).then(|| Self { column, ask, value, words: Vec::new() })
    }

    /// The condition as a filter.
    pub(super) fn filter(&self) -> Result<Filter<C>, Trouble> {
        let column = self.column;
        let value = self.value.trim();
        let is_list = matches!(column.kind(), Kind::Words(_));
        if self.ask.takes_value() && !is_list && value.is_empty() {
            return Err(Trouble::Value);
        }
        let text = || Pattern::escape(value);
        let like = |pattern: &str| Test::Like(Pattern::parse(pattern));
        let time = || parse_time(value).ok_or(Trouble::Time);
        let not = |test| Ok(Filter::Not(Box::new(Filter::Is(column, test))));
        let test = match self.ask {
            Ask::OneOf | Ask::NoneOf if is_list => {
                if self.words.is_empty() {
                    return Err(Trouble::Words);
                }
                let test = Test::In(self.words.clone());
                if self.ask == Ask::NoneOf {
                    return not(test);
                }
                test
            }
            Ask::OneOf | Ask::NoneOf => listed(column, value)?,
            Ask::Contains => like(&format!("*{}*", text())),
            Ask::Lacks => Test::Unlike(Pattern::parse(&format!("*{}*", text()))),
            Ask::Begins => like(&format!("{}*", text())),
            Ask::Ends => like(&format!("*{}", text())),
            Ask::Is => Test::In(vec![value.to_owned()]),
            Ask::IsNot => return not(Test::In(vec![value.to_owned()])),
            Ask::Like => like(value),
            Ask::Unlike => Test::Unlike(Pattern::parse(value)),
            Ask::On => {
                let from = time()?;
                let before = Timestamp::from_millis(from.millis().saturating_add(DAY));
                return Ok(Filter::All(vec![
                    Filter::Is(column, Test::From(from)),
                    Filter::Is(column, Test::Before(before)),
                ]));
            }
            Ask::From => Test::From(time()?),
            Ask::Before => Test::Before(time()?),
            Ask::Within(span) => Test::Within(span),
            Ask::Empty => Test::Empty,
            Ask::Given => Test::Given,
        };
        Ok(Filter::Is(column, test))
    }
}

/// What stands within the brackets of a list.
fn list_of(test: &Test) -> String {
    let text = test.to_string();
    text.strip_prefix("in (").and_then(|text| text.strip_suffix(')')).unwrap_or_default().to_owned()
}

/// A list as typed: values with commas between them, as in the filter's text.
fn listed<C: Column>(column: C, value: &str) -> Result<Test, Trouble> {
    match Filter::<C>::parse(&format!("{} in ({value})", column.key())) {
        Ok(Filter::Is(it, Test::In(values))) if it == column && values.len() <= MOST_WORDS => {
            Ok(Test::In(values))
        }
        _ => Err(Trouble::List),
    }
}

/// A text without wildcards, as it is meant; `None` if there are any.
pub(super) fn plain(pattern: &str) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut signs = pattern.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '*' | '?' => return None,
            '\\' => text.push(signs.next().unwrap_or('\\')),
            other => text.push(other),
        }
    }
    Some(text)
}

/// A pattern as a question.
fn read_pattern(pattern: &Pattern) -> (Ask, String) {
    let whole = pattern.as_str();
    let (head, tail) = (whole.strip_prefix('*'), whole.strip_suffix('*').filter(|it| !it.ends_with('\\')));
    let both = head.and_then(|text| text.strip_suffix('*')).filter(|text| !text.ends_with('\\'));
    let readings = [(Ask::Contains, both), (Ask::Begins, tail), (Ask::Ends, head), (Ask::Is, Some(whole))];
    let readings = readings.into_iter().filter_map(|(ask, part)| Some((ask, plain(part?)?)));
    let mut readings = readings.filter(|(_, text)| !text.trim().is_empty());
    readings.next().unwrap_or_else(|| (Ask::Like, whole.to_owned()))
}

/// A time as it is typed: without what is zero at its end.
pub(super) fn shown(time: Timestamp) -> String {
    let text = Test::From(time).to_string();
    text.strip_prefix("from ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::EventColumn as Event;

    #[test]
    fn a_condition_comes_back_as_it_was_put() {
        for text in [
            "user like *ali*",
            "user unlike *ali*",
            "user like ali*",
            "user like *ali",
            "user in (ali)",
            "not user in (ali)",
            "user in (ali, \"b, c\")",
            "user like a?i*",
            "user unlike a?i*",
            "user like *a\\*b*",
            "outcome in (failure, intent)",
            "not event in (start)",
            "at from 2026-11-25",
            "at before 2026-11-25T14:30Z",
            "at within last_7_days",
            "user empty",
            "at given",
        ] {
            let filter = Filter::<Event>::parse(text).unwrap();
            let (column, test, is_negated) = match &filter {
                Filter::Is(column, test) => (*column, test, false),
                Filter::Not(part) => match part.as_ref() {
                    Filter::Is(column, test) => (*column, test, true),
                    _ => panic!("{text}"),
                },
                _ => panic!("{text}"),
            };
            let condition = Condition::of(column, test, is_negated).unwrap();
            assert_eq!(condition.filter().unwrap().to_string(), text, "{condition:?}");
        }
    }

    #[test]
    fn what_is_not_filled_in_is_told() {
        let wrong = |ask, value: &str, column| {
            let words = Vec::new();
            Condition { column, ask, value: value.into(), words }.filter().unwrap_err()
        };
        assert_eq!(wrong(Ask::Contains, " ", Event::User), Trouble::Value);
        assert_eq!(wrong(Ask::OneOf, "", Event::Outcome), Trouble::Words);
        assert_eq!(wrong(Ask::On, "yesterday", Event::At), Trouble::Time);
        for value in ["a) or (user in (b", "a, (", "\"", "a b"] {
            assert_eq!(wrong(Ask::OneOf, value, Event::User), Trouble::List, "{value}");
        }
    }

    #[test]
    fn what_is_offered_can_be_asked() {
        for column in Event::ALL {
            for ask in Ask::offered(column.kind()) {
                assert_eq!(Ask::of(ask.as_str()), Some(ask));
                let (value, words) = match column.kind() {
                    Kind::Time => ("2026-11-25".to_owned(), vec![]),
                    Kind::Words(words) => (String::new(), vec![words[0].to_owned()]),
                    Kind::Text => ("x".to_owned(), vec![]),
                };
                let filter = Condition { column: *column, ask, value, words }.filter().unwrap();
                assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
            }
        }
    }
}
