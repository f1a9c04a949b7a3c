//! Colours, and whether they can be read on the pages: contrast by WCAG 2.2.

use std::fmt;

/// A colour of sRGB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Colour([u8; 3]);

const BLACK: Colour = Colour([0; 3]);
const WHITE: Colour = Colour([255; 3]);

/// The least contrast of text (WCAG 2.2, 1.4.3).
pub const LEAST: f64 = 4.5;
/// What a colour that nobody chose gets: enough for everybody (WCAG 2.2, 1.4.6).
const AMPLE: f64 = 7.0;

impl Colour {
    /// `#rrggbb`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let part = |at: usize| {
            let pair = digits.get(at..at + 2).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
            u8::from_str_radix(pair, 16).ok()
        };
        Some(Self([part(0)?, part(2)?, part(4)?]))
    }

    /// Relative luminance, 0 to 1 (WCAG 2.2, glossary).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// The contrast between two, 1 to 21 (WCAG 2.2, glossary).
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// This one with a share, 0 to 1, of another in it.
    fn mixed(self, other: Self, share: f64) -> Self {
        let mut parts = self.0;
        for (part, other) in parts.iter_mut().zip(other.0) {
            *part = byte(f64::from(*part) + (f64::from(other) - f64::from(*part)) * share);
        }
        Self(parts)
    }

    /// The same hue and saturation in another lightness, 0 to 1 (HSL).
    fn lit(self, lightness: f64) -> Self {
        let parts = self.0.map(|part| f64::from(part) / 255.0);
        let (most, least) = (parts.into_iter().fold(0.0, f64::max), parts.into_iter().fold(1.0, f64::min));
        let (chroma, room) = (most - least, 1.0 - (most + least - 1.0).abs());
        let saturation = if room > 0.0 { chroma / room } else { 0.0 };
        let own = saturation * (1.0 - (2.0 * lightness - 1.0).abs());
        // Where each part lies between the least and the most is the hue.
        let at = |part: f64| if chroma > 0.0 { (part - least) / chroma } else { 0.5 };
        Self(parts.map(|part| byte(255.0 * (lightness + (at(part) - 0.5) * own))))
    }

    fn lightness(self) -> f64 {
        let (most, least) = self.0.into_iter().fold((0, 255), |(a, b), part| (part.max(a), part.min(b)));
        f64::midpoint(f64::from(most), f64::from(least)) / 255.0
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is rounded into the range of a byte"
)]
fn byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// Whether pages are dark on light or light on dark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// A colour that pages are marked with, and those that go with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shades {
    /// Links, buttons, the ring of what has the focus.
    pub accent: Colour,
    /// The same under the mouse.
    pub deep: Colour,
    /// Text on it.
    pub on: Colour,
    /// A ground of that hue.
    pub tint: Colour,
}

impl Scheme {
    /// What text stands on, as the style sheet has it: a page's surface, and the ground around it.
    const fn grounds(self) -> [Colour; 2] {
        match self {
            Self::Light => [WHITE, Colour([0xf3, 0xf2, 0xee])],
            Self::Dark => [Colour([0x19, 0x20, 0x21]), Colour([0x10, 0x15, 0x16])],
        }
    }

    /// That colour with all that goes with it.
    pub fn shades(self, accent: Colour) -> Shades {
        let on = if accent.contrast(WHITE) >= accent.contrast(BLACK) { WHITE } else { BLACK };
        // Away from the text on it.
        let deep = accent.mixed(if on == WHITE { BLACK } else { WHITE }, 0.28);
        Shades { accent, deep, on, tint: self.grounds()[0].mixed(accent, 0.1) }
    }

    /// The least contrast that a colour has on all it stands on, and text on it.
    pub fn contrast(self, accent: Colour) -> f64 {
        let Shades { on, tint, .. } = self.shades(accent);
        let [surface, paper] = self.grounds();
        [surface, paper, tint, on].into_iter().map(|other| accent.contrast(other)).fold(f64::MAX, f64::min)
    }

    /// The nearest colour of the same hue that has that contrast.
    fn readable(self, accent: Colour, contrast: f64) -> Colour {
        let from = accent.lightness();
        let end = if self == Self::Light { 0.0 } else { 1.0 };
        let steps = (0..=256).map(|step| from + (end - from) * f64::from(step) / 256.0);
        let mut colours = steps.map(|lightness| accent.lit(lightness));
        colours.find(|colour| self.contrast(*colour) >= contrast).unwrap_or(self.shades(accent).on)
    }

    /// The colour for dark pages that goes with one for light pages.
    pub fn dark_of(accent: Colour) -> Colour {
        Self::Dark.readable(accent, AMPLE)
    }

    /// Whether that colour can be read; else its contrast and the nearest that can be.
    pub fn judge(self, accent: Colour) -> Result<(), (f64, Colour)> {
        let contrast = self.contrast(accent);
        if contrast >= LEAST { Ok(()) } else { Err((contrast, self.readable(accent, LEAST))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(text: &str) -> Colour {
        Colour::parse(text).unwrap()
    }

    #[test]
    fn a_colour_is_six_hexadecimal_digits() {
        assert_eq!(colour("#0B5d57").to_string(), "#0b5d57");
        for junk in
            ["", "#", "0b5d57", "#0b5d5", "#0b5d577", "#0b5d5g", "#+b5d57", "#äää", "red", "#fff", " #0b5d57"]
        {
            assert_eq!(Colour::parse(junk), None, "{junk}");
        }
    }

    #[test]
    fn contrast_is_that_of_the_guidelines() {
        // From WebAIM's contrast checker.
        for (one, two, told) in [
            ("#000000", "#ffffff", 21.0),
            ("#777777", "#ffffff", 4.48),
            ("#0000ff", "#ffffff", 8.59),
            ("#ff0000", "#ffff00", 3.72),
            ("#123456", "#123456", 1.0),
        ] {
            let contrast = colour(one).contrast(colour(two));
            assert!((contrast - told).abs() < 0.006, "{one} {two}: {contrast}");
            assert!((contrast - colour(two).contrast(colour(one))).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn the_colours_of_the_style_sheet_can_be_read() {
        assert!(Scheme::Light.contrast(colour("#0b5d57")) > 6.0);
        assert!(Scheme::Dark.contrast(colour("#74cfc1")) > 6.0);
        let sheet = std::fs::read_to_string("ui/assets/regain.css").unwrap();
        let (light, dark) = sheet.split_once("prefers-color-scheme").unwrap();
        for (scheme, text) in [(Scheme::Light, light), (Scheme::Dark, dark)] {
            for (name, ground) in ["surface", "paper"].into_iter().zip(scheme.grounds()) {
                assert!(text.contains(&format!("--{name}: {ground};")), "{name} {ground}");
            }
        }
    }

    #[test]
    fn a_lightness_keeps_the_hue() {
        assert_eq!(colour("#ff0000").lit(0.25), colour("#800000"));
        assert_eq!(colour("#336699").lit(colour("#336699").lightness()), colour("#336699"));
        assert_eq!(colour("#808080").lit(0.2), colour("#333333"));
        assert_eq!((colour("#ffffff").lit(0.0), colour("#000000").lit(1.0)), (BLACK, WHITE));
    }

    #[test]
    fn of_a_colour_that_cant_be_read_the_nearest_is_told_that_can_be() {
        for scheme in [Scheme::Light, Scheme::Dark] {
            for step in 0..512_u32 {
                let [.., red, green, blue] = (step * 32_749).to_be_bytes();
                let accent = Colour([red, green, blue]);
                match scheme.judge(accent) {
                    Ok(()) => assert!(scheme.contrast(accent) >= LEAST),
                    Err((contrast, nearest)) => {
                        assert!(contrast < LEAST && scheme.contrast(nearest) >= LEAST, "{accent} {nearest}");
                        // Not further away than needed.
                        assert!(
                            scheme.contrast(nearest) < 4.8 || nearest.lightness() > 0.95,
                            "{accent} {nearest}"
                        );
                    }
                }
                assert!(Scheme::Dark.contrast(Scheme::dark_of(accent)) >= AMPLE - 0.001, "{accent}");
                let shades = scheme.shades(scheme.readable(accent, LEAST));
                assert!(
                    shades.on.contrast(shades.accent) >= LEAST && shades.on.contrast(shades.deep) >= LEAST
                );
                assert_eq!(shades.on, if scheme == Scheme::Light { WHITE } else { BLACK });
            }
        }
        let (contrast, nearest) = Scheme::Light.judge(colour("#ffcc00")).unwrap_err();
        assert!((1.3..1.5).contains(&contrast), "{contrast}");
        assert_eq!(nearest.to_string(), "#846a00");
    }
}
