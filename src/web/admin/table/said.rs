//! A filter in the words of a language, and what is wrong with one.

use super::condition::Condition;
use crate::{
    domain::filter::{Column, Filter, Kind, Wrong},
    render::Texts,
};

/// The words of a language.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub texts: &'a Texts,
    pub language: &'a str,
}

impl Words<'_> {
    /// A text.
    pub(super) fn text(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.texts.text(self.language, key, values)
    }

    /// The name of a column.
    pub(super) fn column(&self, key: &str) -> String {
        self.text(&format!("admin.column.{key}"), &[])
    }

    /// A word of a column; one without a text of its own stands for itself.
    pub(super) fn word(&self, column: &str, word: &str) -> String {
        let key = format!("admin.word.{column}.{word}");
        if self.texts.has(&key) { self.text(&key, &[]) } else { word.to_owned() }
    }

    /// A number as it is written.
    pub(super) fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let mark = self.text("admin.table.thousands", &[]);
        let mut text = String::with_capacity(digits.len() + 4);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push_str(&mark);
            }
            text.push(digit);
        }
        text
    }

    /// A filter as a sentence.
    pub(super) fn say<C: Column>(&self, filter: &Filter<C>) -> String {
        self.part(filter, false)
    }

    fn part<C: Column>(&self, filter: &Filter<C>, is_within: bool) -> String {
        let (parts, key) = match filter {
            Filter::All(parts) => (parts, "admin.said.and"),
            Filter::Any(parts) => (parts, "admin.said.or"),
            Filter::Is(column, test) => {
                let condition = Condition::of(*column, test, false);
                return condition.map_or_else(|| filter.to_string(), |condition| self.condition(&condition));
            }
            Filter::Not(part) => {
                if let Filter::Is(column, test) = part.as_ref()
                    && let Some(condition) = Condition::of(*column, test, true)
                {
                    return self.condition(&condition);
                }
                return self.text("admin.said.not", &[("part", &self.part(part, false))]);
            }
        };
        let parts: Vec<_> = parts.iter().map(|part| self.part(part, true)).collect();
        let text = parts.join(&format!(" {} ", self.text(key, &[])));
        if is_within && parts.len() > 1 { format!("({text})") } else { text }
    }

    fn condition<C: Column>(&self, condition: &Condition<C>) -> String {
        let key = condition.column.key();
        let ask = self.text(&format!("admin.ask.{}", condition.ask.as_str()), &[]);
        let value = if matches!(condition.column.kind(), Kind::Words(_)) {
            let words: Vec<_> = condition.words.iter().map(|word| self.word(key, word)).collect();
            words.join(", ")
        } else if !condition.ask.takes_value() {
            String::new()
        } else if condition.column.kind() == Kind::Time {
            condition.value.replace('T', " ").trim_end_matches('Z').to_owned()
        } else {
            self.text("admin.said.quoted", &[("value", &condition.value)])
        };
        format!("{} {ask} {value}", self.column(key)).trim_end().to_owned()
    }

    /// Why a text is no filter.
    pub(super) fn wrong(&self, wrong: &Wrong) -> String {
        let say = |key: &str, values: &[(&str, &str)]| self.text(&format!("admin.wrong.{key}"), values);
        match wrong {
            Wrong::TooLong => say("too_long", &[]),
            Wrong::Column(name) => say("column", &[("name", name)]),
            Wrong::Test(column, test) => say("test", &[("column", column), ("test", test)]),
            Wrong::Time(text) => say("time", &[("value", text)]),
            Wrong::Expected(place, what) => say("expected", &[("place", place), ("what", what)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::audit::EventColumn as Event, render::Renderer};

    #[test]
    fn a_filter_is_a_sentence() {
        let renderer = Renderer::new(None).unwrap();
        let words = Words { texts: &renderer.texts(), language: "en" };
        for (text, said) in [
            ("user like *ali*", "User contains “ali”"),
            (
                "at within today and (outcome in (failure) or detail empty)",
                "Time is today and (Outcome is one of: Failure or Detail is empty)",
            ),
            ("not event in (start)", "Event is none of: Start"),
            ("not (user like a* and user given)", "not (User begins with “a” and User is not empty)"),
            ("at from 2026-11-25T14:30Z", "Time is from 2026-11-25 14:30"),
        ] {
            assert_eq!(words.say(&Filter::<Event>::parse(text).unwrap()), said);
        }
        assert_eq!(words.number(5_000_000), "5,000,000");
        assert_eq!(Words { language: "de", ..words }.number(1_234), "1.234");
        assert_eq!(words.number(0), "0");
    }
}
