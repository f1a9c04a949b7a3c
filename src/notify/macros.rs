//! The words in `[BRACKETS]` that templates of messages, commands and requests may have.
//!
//! Must not know what they stand for, nor how a value is escaped.

use std::borrow::Cow;

/// Puts values in the place of `[NAME]`s, in one pass: what a value says is never taken for a name. Names that
/// `value` doesn't know stay as they are.
pub fn fill<'a>(pattern: &str, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
    let mut filled = String::with_capacity(pattern.len() + 64);
    let mut rest = pattern;
    while let Some(open) = rest.find('[') {
        let (before, tail) = rest.split_at(open);
        filled.push_str(before);
        let named = tail.find(']').and_then(|close| Some((close, value(&tail[1..close])?)));
        let taken = if let Some((close, value)) = named {
            filled.push_str(&value);
            close + 1
        } else {
            filled.push('[');
            1
        };
        rest = &tail[taken..];
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_once_and_unknown_names_stay() {
        let value = |name: &str| match name {
            "A" => Some("[B]".into()),
            "B" => Some("b]".into()),
            _ => None,
        };
        for (pattern, filled) in [
            ("[A][B]", "[B]b]"),
            ("[[A]] [C] [a] [", "[[B]] [C] [a] ["),
            ("[A [B] ]", "[A b] ]"),
            ("ü[B]ü", "üb]ü"),
            ("", ""),
        ] {
            assert_eq!(fill(pattern, value), filled);
        }
    }
}
