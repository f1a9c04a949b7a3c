//! The Appearance tab: logo, colours and a style sheet of one's own. The names and lines that go with them are kept in
//! the General tab, where they always were.

use super::table::tab;
use crate::domain::{
    colour::{Colour, LEAST, Scheme},
    logo::Logo,
};

/// The most bytes of a style sheet.
const LARGEST_SHEET: usize = 16 * 1024;

tab! {
    /// The Appearance tab.
    pub struct Appearance {
        /// The logo on every page, in the place of Regain's own mark: a PNG of at most 1024 × 1024 pixels, or an SVG; at most
        /// 24 KiB. Scripts, links and pictures in an SVG are left out, and what programs have noted in a PNG. Empty: Regain's
        /// own mark. (In the configuration: the text of the SVG, or the PNG in base64.)
        logo: String = String::new(), as logo, of Picture;
        /// Whether the product's name stands beside the logo; off if the logo has the name in it.
        logo_with_name: bool = true;
        /// Whether the logo stands on a white plate where pages are dark; for one that can't be seen there.
        logo_plate: bool = false;
        /// The colour of buttons, links and the ring around what has the focus, such as "#0b5d57". It must have a contrast of
        /// 4.5:1 to what it stands on (WCAG 2.2), so that everybody can read it. Empty: Regain's own.
        accent: String = String::new(), as light, of Colour;
        /// The same for dark pages, where it must be light. Empty: one that goes with the other.
        accent_dark: String = String::new(), as dark, of Colour;
        /// A style sheet of your own (CSS), at most 16 KiB, after Regain's own. It may use var(--accent) and the like, and can
        /// load nothing from elsewhere. The admin panel is without it, so that a broken one can be taken back.
        css: String = String::new(), as style_sheet, of Lines;
    }
}

fn logo(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { Logo::parse(text).map(|_| ()) }
}

fn light(text: &str) -> Result<(), String> {
    colour(text, Scheme::Light, "the light pages")
}

fn dark(text: &str) -> Result<(), String> {
    colour(text, Scheme::Dark, "the dark pages")
}

fn colour(text: &str, scheme: Scheme, pages: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let colour = Colour::parse(text).ok_or("is no colour such as #0b5d57")?;
    scheme.judge(colour).map_err(|(contrast, nearest)| {
        // Cut off, so that what is too little doesn't look as if it were enough.
        let contrast = (contrast * 100.0).floor() / 100.0;
        format!("has a contrast of {contrast}:1 on {pages}; {LEAST}:1 is the least that can be read well. {nearest} would do")
    })
}

/// What the browser would refuse to load is told before.
fn style_sheet(text: &str) -> Result<(), String> {
    if text.len() > LARGEST_SHEET {
        return Err(format!("has {} bytes; {LARGEST_SHEET} are the most", text.len()));
    }
    let packed: String = text.to_ascii_lowercase().split_ascii_whitespace().collect();
    let far = ["@import", "//", "data:"].into_iter().find(|far| {
        packed.split("/*").filter_map(|part| part.split("*/").last()).any(|part| part.contains(far))
    });
    match far {
        Some(far) => Err(format!("has \"{far}\" in it: pages load nothing from elsewhere")),
        None => Ok(()),
    }
}

impl Appearance {
    /// The logo, if there is one.
    pub fn picture(&self) -> Option<Logo> {
        Logo::parse(&self.logo).ok()
    }

    /// The colours of light and dark pages, where they are not Regain's own.
    pub fn accents(&self) -> (Option<Colour>, Option<Colour>) {
        let light = Colour::parse(&self.accent);
        (light, Colour::parse(&self.accent_dark).or_else(|| light.map(Scheme::dark_of)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_that_cant_be_read_is_refused_with_one_that_can_be() {
        for good in ["", "#0b5d57", "#7A0000"] {
            assert_eq!(light(good), Ok(()), "{good}");
        }
        assert_eq!(
            light("#ffcc00").unwrap_err(),
            "has a contrast of 1.34:1 on the light pages; 4.5:1 is the least that can be read well. #846a00 would do"
        );
        assert!(dark("#0b5d57").unwrap_err().contains("on the dark pages"));
        for junk in ["red", "#fff", "0b5d57"] {
            assert_eq!(light(junk).unwrap_err(), "is no colour such as #0b5d57");
        }
    }

    #[test]
    fn a_colour_for_dark_pages_goes_with_that_for_light_ones() {
        let of = |accent: &str, dark: &str| {
            let tab = Appearance { accent: accent.into(), accent_dark: dark.into(), ..Appearance::default() };
            let (light, dark) = tab.accents();
            (light.is_some(), dark.map(|colour| colour.to_string()))
        };
        assert_eq!(of("", ""), (false, None));
        assert_eq!(of("", "#ffcc00"), (false, Some("#ffcc00".into())));
        assert_eq!(of("#003399", "#ffcc00"), (true, Some("#ffcc00".into())));
        let (_, derived) = of("#003399", "");
        assert_eq!(dark(&derived.unwrap()), Ok(()));
    }

    #[test]
    fn a_style_sheet_that_would_load_something_is_told_so() {
        for good in [
            "",
            "a { color: red }",
            ".card { background: url(/appearance/logo) }",
            "/* see https://x.example */ a{}",
        ] {
            assert_eq!(style_sheet(good), Ok(()), "{good}");
        }
        for bad in [
            "@import 'x'",
            "@IMPORT url(x)",
            "a{b:url(https://x.example)}",
            "a{b:url( //x)}",
            "/* */ @import 'x'",
        ] {
            assert!(style_sheet(bad).unwrap_err().contains("nothing from elsewhere"), "{bad}");
        }
        assert!(
            style_sheet(&" ".repeat(LARGEST_SHEET)).is_ok()
                && style_sheet(&" ".repeat(LARGEST_SHEET + 1)).is_err()
        );
    }
}
