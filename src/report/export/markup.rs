//! Texts within XML and HTML.

use std::fmt;

use crate::domain::sheet;

/// A text that is no markup, in an element or in an attribute between double quotation marks. Tabs and line breaks are
/// still those after a parser has tidied up.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut taken = 0;
        for (at, sign) in self.0.char_indices() {
            let instead = match sign {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\t' => "&#9;",
                '\n' => "&#10;",
                '\r' => "&#13;",
                sign if sheet::is_text(sign) => continue,
                _ => "\u{fffd}",
            };
            f.write_str(&self.0[taken..at])?;
            f.write_str(instead)?;
            taken = at + sign.len_utf8();
        }
        f.write_str(&self.0[taken..])
    }
}
