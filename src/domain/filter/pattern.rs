//! Patterns with `*` for any text and `?` for any character.

use std::fmt;

use super::search::small;

/// A pattern; `\` before a `*`, a `?` or another `\` means the character itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    text: String,
    /// What stands between the `*`, in lower case.
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Plain(String),
    /// With `None` for any character.
    Odd(Vec<Option<char>>),
}

impl Pattern {
    /// Understands a pattern; every text is one.
    pub fn parse(text: &str) -> Self {
        let mut parts = vec![Vec::new()];
        let mut signs = text.chars();
        while let Some(sign) = signs.next() {
            let part = match sign {
                '*' => {
                    parts.push(Vec::new());
                    continue;
                }
                '?' => vec![None],
                '\\' => lower(signs.next().unwrap_or('\\')),
                other => lower(other),
            };
            if let Some(last) = parts.last_mut() {
                last.extend(part);
            }
        }
        Self { text: text.to_owned(), parts: parts.into_iter().map(Part::of).collect() }
    }

    /// The pattern that the text alone fits.
    pub fn literal(text: &str) -> Self {
        Self::parse(&Self::escape(text))
    }

    /// The text with a `\` before each character that means something in a pattern.
    pub fn escape(text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for sign in text.chars() {
            if "*?\\".contains(sign) {
                escaped.push('\\');
            }
            escaped.push(sign);
        }
        escaped
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one text that fits, in lower case, if there is only one.
    pub fn only(&self) -> Option<&str> {
        match &self.parts[..] {
            [Part::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a text fits, whatever its case.
    pub fn fits(&self, text: &str) -> bool {
        if let Some(only) = self.only()
            && text.is_ascii()
        {
            return text.eq_ignore_ascii_case(only);
        }
        let text = small(text);
        let Some((first, rest)) = self.parts.split_first() else { return text.is_empty() };
        let Some(mut left) = first.head_of(&text) else { return false };
        let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
        // The leftmost place of each leaves most to those that follow.
        for part in middle {
            match part.find_in(left) {
                Some(after) => left = after,
                None => return false,
            }
        }
        last.is_tail_of(left)
    }
}

/// A character in lower case, which may be several.
fn lower(sign: char) -> Vec<Option<char>> {
    sign.to_lowercase().map(Some).collect()
}

impl Part {
    fn of(signs: Vec<Option<char>>) -> Self {
        match signs.iter().copied().collect::<Option<String>>() {
            Some(text) => Self::Plain(text),
            None => Self::Odd(signs),
        }
    }

    /// What is behind it, if the text begins with it.
    fn head_of<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Plain(plain) => text.strip_prefix(plain.as_str()),
            Self::Odd(signs) => {
                let mut rest = text.chars();
                let fits =
                    signs.iter().all(|sign| rest.next().is_some_and(|it| sign.is_none_or(|s| s == it)));
                fits.then_some(rest.as_str())
            }
        }
    }

    /// What is behind its leftmost place in the text.
    fn find_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Plain(plain) => text.find(plain.as_str()).map(|at| &text[at + plain.len()..]),
            Self::Odd(_) => text.char_indices().find_map(|(at, _)| self.head_of(&text[at..])),
        }
    }

    fn is_tail_of(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => text.ends_with(plain.as_str()),
            Self::Odd(signs) => {
                let length = text.chars().count();
                length >= signs.len()
                    && signs
                        .iter()
                        .zip(text.chars().skip(length - signs.len()))
                        .all(|(sign, it)| sign.is_none_or(|s| s == it))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_whole_text_whatever_its_case() {
        for (pattern, fits, fails) in [
            ("alice", "Alice", "alices"),
            ("ali*", "ALICE", "malice"),
            ("*ice", "Alice", "icecream"),
            ("*li*", "alice", "alcie"),
            ("a?ice", "Alice", "aliice"),
            ("?", "é", "ab"),
            ("*?c?*", "alice", "c"),
            ("a*b*c", "axxbyyc", "acb"),
            ("a*a", "aa", "a"),
            ("*ab?", "xabab1", "ab"),
            ("ab*?", "abc", "ab"),
            ("\\*", "*", "x"),
            ("a\\?", "a?", "ab"),
            ("c:\\\\x", "C:\\x", "c:x"),
            ("straße", "STRAßE", "strasse"),
            ("", "", "x"),
            ("*", "", "never"),
            ("\\", "\\", ""),
        ] {
            assert!(Pattern::parse(pattern).fits(fits), "{pattern} {fits}");
            assert!(fails == "never" || !Pattern::parse(pattern).fits(fails), "{pattern} {fails}");
        }
    }

    #[test]
    fn any_text_is_its_own_literal() {
        for text in ["a*b", "?", "\\", "\\*", "plain", "İ"] {
            let pattern = Pattern::literal(text);
            assert!(pattern.fits(text), "{text}");
            assert!(pattern.only().is_some());
        }
        assert!(!Pattern::literal("a*b").fits("axb"));
        assert_eq!(Pattern::parse("a*").only(), None);
    }
}
