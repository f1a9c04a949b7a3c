//! A filter as text:
//!
//! ```text
//! user like "ali*" and (outcome in (failure, "intent") or not domain like CORP) and at from 2026-11-01
//! ```
//!
//! `or` binds less than `and`, `and` less than `not`. Values need quotation marks only if they are no plain words; within
//! them a `"` is doubled. No filter at all lets everything through.

use std::fmt::{self, Write as _};

use super::{Column, Filter, Pattern, Span, Test, parse_time};
use crate::domain::clock::Timestamp;

/// The most characters of a filter.
const LONGEST: usize = 4000;
/// The most conditions and groups of one.
const MOST: usize = 100;
/// The most groups within each other.
const DEEPEST: usize = 10;

/// Why a text is no filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Wrong {
    /// It is too long, or has too many conditions or groups.
    #[error("the filter is too long")]
    TooLong,
    /// There is no such column.
    #[error("there is no column \"{0}\"")]
    Column(String),
    /// There is no such test for the column.
    #[error("\"{1}\" can't be asked of the column \"{0}\"")]
    Test(String, String),
    /// This is no time or span of days.
    #[error("\"{0}\" is no date and time such as 2026-11-25 or 2026-11-25T14:30, and no span of days")]
    Time(String),
    /// Something else was expected at this place.
    #[error("at \"{0}\" {1} is expected")]
    Expected(String, &'static str),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    Comma,
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    parts: usize,
}

impl<C: Column> Filter<C> {
    /// Understands a filter.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if text.chars().count() > LONGEST {
            return Err(Wrong::TooLong);
        }
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), parts: 0 };
        if parser.tokens.peek().is_none() {
            return Ok(Self::EVERYTHING);
        }
        let filter = parser.any(0)?;
        match parser.tokens.next() {
            None => Ok(filter),
            Some(token) => Err(Wrong::Expected(token.to_string(), "\"and\", \"or\" or the end")),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(sign) = rest.chars().next() {
        let after = &rest[sign.len_utf8()..];
        rest = match sign {
            '(' | ')' | ',' => {
                tokens.push(match sign {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
                after
            }
            '"' => {
                let mut value = String::new();
                let mut signs = after.char_indices().peekable();
                loop {
                    match signs.next() {
                        Some((at, '"')) if signs.peek().is_none_or(|(_, next)| *next != '"') => {
                            tokens.push(Token::Quoted(value));
                            break &after[at + 1..];
                        }
                        Some((_, sign)) => {
                            if sign == '"' {
                                signs.next();
                            }
                            value.push(sign);
                        }
                        None => return Err(Wrong::Expected(value, "a \" at the end of the value")),
                    }
                }
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "(),\"".contains(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                tokens.push(Token::Word(word.to_owned()));
                after
            }
        }
        .trim_start();
    }
    Ok(tokens)
}

impl Parser {
    fn count(&mut self, depth: usize) -> Result<(), Wrong> {
        self.parts += 1;
        if self.parts > MOST || depth > DEEPEST { Err(Wrong::TooLong) } else { Ok(()) }
    }

    fn takes(&mut self, word: &str) -> bool {
        self.tokens
            .next_if(|token| matches!(token, Token::Word(it) if it.eq_ignore_ascii_case(word)))
            .is_some()
    }

    fn any<C: Column>(&mut self, depth: usize) -> Result<Filter<C>, Wrong> {
        let first = self.all(depth)?;
        let mut parts = vec![first];
        while self.takes("or") {
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all<C: Column>(&mut self, depth: usize) -> Result<Filter<C>, Wrong> {
        let first = self.one(depth)?;
        let mut parts = vec![first];
        while self.takes("and") {
            parts.push(self.one(depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }

    fn one<C: Column>(&mut self, depth: usize) -> Result<Filter<C>, Wrong> {
        self.count(depth)?;
        if self.takes("not") {
            return Ok(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.tokens.next_if_eq(&Token::Open).is_some() {
            let inner = self.any(depth + 1)?;
            return self.closed(inner);
        }
        let column = self.word("a column, \"not\" or \"(\"")?;
        let column = C::of(&column.to_lowercase()).ok_or(Wrong::Column(column))?;
        let test = self.test(column)?;
        Ok(Filter::Is(column, test))
    }

    fn test<C: Column>(&mut self, column: C) -> Result<Test, Wrong> {
        let word = self.word("a test such as \"like\"")?.to_lowercase();
        let wrong = || Wrong::Test(column.key().to_owned(), word.clone());
        let test = match word.as_str() {
            "like" => Test::Like(Pattern::parse(&self.value()?)),
            "unlike" => Test::Unlike(Pattern::parse(&self.value()?)),
            "in" => Test::In(self.values()?),
            "before" => Test::Before(self.time()?),
            "from" => Test::From(self.time()?),
            "within" => {
                let span = self.value()?;
                Test::Within(Span::of(&span).ok_or(Wrong::Time(span))?)
            }
            "empty" => Test::Empty,
            "given" => Test::Given,
            _ => return Err(wrong()),
        };
        if test.is_for(column.kind()) { Ok(test) } else { Err(wrong()) }
    }

    fn time(&mut self) -> Result<Timestamp, Wrong> {
        let value = self.value()?;
        parse_time(&value).ok_or(Wrong::Time(value))
    }

    fn values(&mut self) -> Result<Vec<String>, Wrong> {
        if self.tokens.next_if_eq(&Token::Open).is_none() {
            return Ok(vec![self.value()?]);
        }
        let mut values = vec![self.value()?];
        while self.tokens.next_if_eq(&Token::Comma).is_some() {
            values.push(self.value()?);
        }
        if values.len() > MOST { Err(Wrong::TooLong) } else { self.closed(values) }
    }

    fn closed<T>(&mut self, inner: T) -> Result<T, Wrong> {
        match self.tokens.next() {
            Some(Token::Close) => Ok(inner),
            other => Err(expected(other, "\")\"")),
        }
    }

    fn word(&mut self, what: &'static str) -> Result<String, Wrong> {
        match self.tokens.next() {
            Some(Token::Word(word)) => Ok(word),
            other => Err(expected(other, what)),
        }
    }

    fn value(&mut self) -> Result<String, Wrong> {
        match self.tokens.next() {
            Some(Token::Word(value) | Token::Quoted(value)) => Ok(value),
            other => Err(expected(other, "a value")),
        }
    }
}

fn expected(token: Option<Token>, what: &'static str) -> Wrong {
    Wrong::Expected(token.map_or_else(|| "the end".to_owned(), |token| token.to_string()), what)
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Quoted(text) => f.write_str(text),
            Self::Open => f.write_str("("),
            Self::Close => f.write_str(")"),
            Self::Comma => f.write_str(","),
        }
    }
}

impl<C: Column> fmt::Display for Filter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => joined(f, parts, "and"),
            Self::Any(parts) => joined(f, parts, "or"),
            Self::Not(part) => {
                f.write_str("not ")?;
                grouped(f, part)
            }
            Self::Is(column, test) => write!(f, "{} {test}", column.key()),
        }
    }
}

fn joined<C: Column>(f: &mut fmt::Formatter<'_>, parts: &[Filter<C>], word: &str) -> fmt::Result {
    let is_one = parts.len() == 1;
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            write!(f, " {word} ")?;
        }
        if is_one { write!(f, "{part}")? } else { grouped(f, part)? }
    }
    Ok(())
}

/// In brackets, unless it is one condition.
fn grouped<C: Column>(f: &mut fmt::Formatter<'_>, part: &Filter<C>) -> fmt::Result {
    match part {
        Filter::Is(..) | Filter::Not(_) => write!(f, "{part}"),
        Filter::All(_) | Filter::Any(_) => write!(f, "({part})"),
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Like(pattern) => write!(f, "like {}", quoted(pattern.as_str())),
            Self::Unlike(pattern) => write!(f, "unlike {}", quoted(pattern.as_str())),
            Self::In(values) => {
                let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
                write!(f, "in ({})", values.join(", "))
            }
            Self::Before(time) => write!(f, "before {}", short(*time)),
            Self::From(time) => write!(f, "from {}", short(*time)),
            Self::Within(span) => write!(f, "within {}", span.as_str()),
            Self::Empty => f.write_str("empty"),
            Self::Given => f.write_str("given"),
        }
    }
}

/// A time without what is zero at its end.
fn short(time: Timestamp) -> String {
    let text = time.to_string();
    [("T00:00:00.000Z", ""), (":00.000Z", "Z"), (".000Z", "Z")]
        .into_iter()
        .find_map(|(end, instead)| text.strip_suffix(end).map(|head| format!("{head}{instead}")))
        .unwrap_or(text)
}

fn quoted(value: &str) -> String {
    let is_plain =
        !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "*?._-@:/\\".contains(c));
    if is_plain {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for sign in value.chars() {
        if sign == '"' {
            text.push('"');
        }
        let _ = text.write_char(sign);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::tests::Some as Columns;

    fn parse(text: &str) -> Result<Filter<Columns>, Wrong> {
        Filter::parse(text)
    }

    #[test]
    fn a_filter_comes_back_as_it_was() {
        for text in [
            "",
            "user like ali*",
            "user like \"a b\" and outcome in (failure, success)",
            "not (user empty or at before 2026-11-25T14:30Z) and outcome unlike success",
            "(user like a or user like b) and (at within last_7_days or not at from 2026-11-01)",
            "user in (\"say \"\"hi\"\"\", \"\")",
            "user like C:\\\\x\\*",
            "not not user given",
        ] {
            let filter = parse(text).unwrap();
            assert_eq!(filter.to_string(), text);
            assert_eq!(parse(&filter.to_string()).unwrap(), filter);
        }
        // Written otherwise, it means the same.
        for (text, same) in [
            ("USER  Like\n\"ali*\"", "user like ali*"),
            ("((user like a))", "user like a"),
            ("outcome in failure", "outcome in (failure)"),
            ("user like a or user like b and user like c", "user like a or (user like b and user like c)"),
            ("at from 2026-11-25T00:00:00.000Z", "at from 2026-11-25"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), same);
        }
    }

    #[test]
    fn what_is_no_filter_is_told_in_words() {
        for (text, why) in [
            ("nobody like a", "no column \"nobody\""),
            ("user equals a", "\"equals\" can't be asked"),
            ("user before 2026-11-01", "\"before\" can't be asked"),
            ("at like x", "\"like\" can't be asked"),
            ("at before yesterday", "no date"),
            ("at within 2026", "no span"),
            ("user like", "a value is expected"),
            ("(user like a", "\")\" is expected"),
            ("user like a b", "the end is expected"),
            ("user like \"a", "a \" at the end"),
            ("and", "no column \"and\""),
            ("not", "a column"),
            ("()", "a column"),
        ] {
            let found = parse(text).unwrap_err().to_string();
            assert!(found.contains(why), "{text}: {found}");
        }
        assert_eq!(parse(&"(".repeat(50)), Err(Wrong::TooLong));
        assert_eq!(parse(&"not ".repeat(50)), Err(Wrong::TooLong));
        assert_eq!(parse(&vec!["user given"; 200].join(" and ")), Err(Wrong::TooLong));
        assert_eq!(parse(&"x".repeat(5000)), Err(Wrong::TooLong));
    }
}
