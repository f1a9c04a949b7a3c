//! A logo that an administrator brings along. Nothing of the file is passed on as it came: of a PNG the parts that make
//! the picture, an SVG written anew from what is known to be harmless.

mod png;
mod svg;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The most bytes of a logo, when all is left out that doesn't belong to it.
pub const LARGEST: usize = 24 * 1024;

/// A logo that can be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logo {
    /// The file.
    pub bytes: Vec<u8>,
    /// Whether it is an SVG; else it is a PNG.
    pub is_svg: bool,
    /// Its width: in pixels, of an SVG in whatever unit the height is.
    width: u32,
    /// Its height.
    height: u32,
}

impl Logo {
    /// Reads an uploaded file. What is wrong is said so that it can follow the file.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let logo = if bytes.starts_with(&png::SIGNATURE) {
            let (bytes, width, height) = png::strip(bytes)?;
            Self { bytes, is_svg: false, width, height }
        } else {
            let text = std::str::from_utf8(bytes).map_err(|_| "is neither a PNG nor an SVG")?;
            let (text, width, height) = svg::clean(text)?;
            Self { bytes: text.into_bytes(), is_svg: true, width, height }
        };
        let kib = logo.bytes.len().div_ceil(1024);
        if logo.bytes.len() > LARGEST {
            return Err(format!("has {kib} KiB that are needed to show it; {} are the most", LARGEST / 1024));
        }
        Ok(logo)
    }

    /// Reads what [`Self::text`] has written: an SVG, or a PNG in base64.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with(['<', '\u{feff}']) {
            return Self::read(text.as_bytes());
        }
        let packed: String = text.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(packed).unwrap_or_default();
        if bytes.starts_with(&png::SIGNATURE) {
            Self::read(&bytes)
        } else {
            Err("is neither the text of an SVG nor a PNG in base64".into())
        }
    }

    /// As a text, for the settings.
    pub fn text(&self) -> String {
        match str::from_utf8(&self.bytes) {
            Ok(text) if self.is_svg => text.to_owned(),
            _ => STANDARD.encode(&self.bytes),
        }
    }

    /// Its media type.
    pub const fn media_type(&self) -> &'static str {
        if self.is_svg { "image/svg+xml" } else { "image/png" }
    }

    /// Width and height where there is so much room. A PNG is not blown up.
    pub fn fit(&self, width: u32, height: u32) -> (u32, u32) {
        let (own_width, own_height) = (u64::from(self.width), u64::from(self.height));
        let (width, height) = if self.is_svg {
            (u64::from(width), u64::from(height))
        } else {
            (own_width.min(width.into()), own_height.min(height.into()))
        };
        let (width, height) = if own_width * height > own_height * width {
            (width, own_height * width / own_width)
        } else {
            (own_width * height / own_height, height)
        };
        let small = |side: u64| u32::try_from(side.max(1)).unwrap_or(1);
        (small(width), small(height))
    }
}

#[cfg(test)]
mod tests {
    use super::{png::tests::png, *};

    #[test]
    fn what_is_neither_png_nor_svg_is_no_logo() {
        for junk in [
            &b"GIF89a"[..],
            b"",
            b"\xff\xd8\xff\xe0",
            b"RIFF\0\0\0\0WEBP",
            b"plain text",
            b"<html></html>",
            b"\xff",
        ] {
            assert!(Logo::read(junk).is_err(), "{junk:?}");
        }
        for junk in ["", "x", "AAAA", "R0lGODlh", "<svg/>", "{}"] {
            assert!(Logo::parse(junk).is_err(), "{junk}");
        }
    }

    #[test]
    fn a_logo_is_the_same_after_it_was_kept() {
        let picture = png(40, 20, &[]);
        let svg = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 2'><path d='M0 0h4'/></svg>";
        for file in [&picture[..], svg] {
            let logo = Logo::read(file).unwrap();
            assert_eq!(Logo::parse(&logo.text()).unwrap(), logo);
            assert_eq!(Logo::read(&logo.bytes).unwrap(), logo);
        }
        let wrapped = Logo::read(&picture).unwrap().text().replace("AAA", "A\n AA");
        assert!(Logo::parse(&wrapped).is_ok(), "base64 wraps its lines");
    }

    #[test]
    fn it_is_fitted_into_its_room() {
        let logo = |is_svg, width, height| Logo { bytes: Vec::new(), is_svg, width, height };
        for (one, fitted) in [
            (logo(false, 40, 20), (40, 20)),
            (logo(false, 400, 100), (160, 40)),
            (logo(false, 1000, 100), (200, 20)),
            (logo(true, 4, 2), (80, 40)),
            (logo(true, 100_000, 1), (200, 1)),
            (logo(true, 1, 100_000), (1, 40)),
        ] {
            assert_eq!(one.fit(200, 40), fitted, "{one:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_and_what_is_only_wrapped_in_much_is_not() {
        let path = |count| format!("<path d='{}'/>", "M0 0".repeat(count));
        let svg =
            |inner: &str| format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 2'>{inner}</svg>");
        assert!(Logo::read(svg(&path(6_000)).as_bytes()).is_ok());
        assert!(Logo::read(svg(&path(6_200)).as_bytes()).unwrap_err().contains("25 KiB"));
        let wrapped = svg(&format!("<metadata>{}</metadata>{}", path(30_000), path(10)));
        assert!(Logo::read(wrapped.as_bytes()).unwrap().bytes.len() < 200);
        let noise = vec![7; 30_000];
        assert!(Logo::read(&png(9, 9, &[(b"tEXt", &noise)])).unwrap().bytes.len() < 200);
        assert!(Logo::read(&png(9, 9, &[(b"IDAT", &noise)])).unwrap_err().contains("KiB"));
    }
}
