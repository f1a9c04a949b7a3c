//! SVG: read strictly as XML, and written anew with the elements and attributes that are known to draw and nothing else.
//! No script, no link, no address outside the picture, no entity, nothing of another language inside.

use std::fmt::Write as _;

const NAMESPACE: &str = "http://www.w3.org/2000/svg";
/// So deep elements may stand in one another.
const DEEPEST: usize = 64;
/// So often a picture may draw a part of itself again: each may hold others, and would multiply them.
const MOST_USES: usize = 16;

/// The elements that draw; `svg` is the root only.
const ELEMENTS: &str = " circle clipPath defs desc ellipse g line linearGradient mask path pattern polygon polyline \
    radialGradient rect stop style symbol text title tspan use ";
/// Of these the text counts.
const TEXTS: [&str; 5] = ["desc", "style", "text", "title", "tspan"];
/// The attributes of those; `href` and `id` have rules of their own.
const ATTRIBUTES: &str = " class clip-path clip-rule clipPathUnits color cx cy d display dx dy fill fill-opacity \
    fill-rule font-family font-size font-style font-weight fr fx fy gradientTransform gradientUnits height isolation \
    letter-spacing mask maskContentUnits maskUnits mix-blend-mode offset opacity overflow paint-order \
    patternContentUnits patternTransform patternUnits points preserveAspectRatio r rx ry shape-rendering spreadMethod \
    stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit \
    stroke-opacity stroke-width style text-anchor transform vector-effect viewBox visibility width x x1 x2 y y1 y2 ";

/// Whether a name, which has no blanks in it, is one of these.
fn is_among(names: &str, name: &str) -> bool {
    names.contains(&format!(" {name} "))
}

type Fault = &'static str;

/// The picture, written anew; its width and height.
pub fn clean(source: &str) -> Result<(String, u32, u32), Fault> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source).trim();
    if !source.chars().all(is_character) {
        return Err("has control characters in it");
    }
    let mut reader = Reader { rest: source, ..Reader::default() };
    while reader.step()? {}
    let (width, height) = reader.size.ok_or(NO_XML)?;
    Ok((reader.out, width, height))
}

/// Characters that may be in XML (1.0, 2.2).
const fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
}

const NO_XML: Fault = "is no SVG that can be read: save it as a plain SVG";
const ENTITIES: Fault = "has entities of its own: save it as a plain SVG";

#[derive(Default)]
struct Reader<'a> {
    rest: &'a str,
    /// The elements that are open, and whether each is kept.
    open: Vec<(&'a str, bool)>,
    out: String,
    /// The style sheet that is open: judged when it is whole.
    sheet: String,
    uses: usize,
    /// Of the root, once it was read.
    size: Option<(u32, u32)>,
}

impl<'a> Reader<'a> {
    /// The next text, tag or comment; false at the end.
    fn step(&mut self) -> Result<bool, Fault> {
        let (text, markup) = self.rest.split_at(self.rest.find('<').unwrap_or(self.rest.len()));
        self.text(&decode(text)?)?;
        self.rest = markup;
        if markup.is_empty() {
            return if self.open.is_empty() { Ok(false) } else { Err(NO_XML) };
        }
        if self.passed("<!--", "-->")?.is_some() || self.passed("<?", "?>")?.is_some() {
            return Ok(true);
        }
        if let Some(text) = self.passed("<![CDATA[", "]]>")? {
            self.text(text)?;
        } else if let Some(kind) = self.passed("<!DOCTYPE", ">")? {
            // Drawing programs like to write where SVG is defined; definitions of one's own stand in brackets.
            if self.size.is_some() || kind.contains(['[', '<']) {
                return Err(ENTITIES);
            }
        } else if let Some(name) = self.passed("</", ">")? {
            let (open, is_kept) = self.open.pop().ok_or(NO_XML)?;
            if name.trim_end() != open {
                return Err(NO_XML);
            }
            let sheet = std::mem::take(&mut self.sheet);
            if is_kept {
                if is_harmless(&sheet) {
                    escape(&sheet, &mut self.out);
                }
                let _ = write!(self.out, "</{open}>");
            }
        } else {
            self.tag()?;
        }
        Ok(true)
    }

    /// What stands between these two, if it begins here.
    fn passed(&mut self, start: &str, end: &str) -> Result<Option<&'a str>, Fault> {
        let Some(rest) = self.rest.strip_prefix(start) else { return Ok(None) };
        let (inner, rest) = rest.split_once(end).ok_or(NO_XML)?;
        self.rest = rest;
        Ok(Some(inner))
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        match self.open.last() {
            None if text.trim().is_empty() => {}
            None => return Err(NO_XML),
            Some(("style", true)) => self.sheet.push_str(text),
            Some((name, true)) if TEXTS.contains(name) => escape(text, &mut self.out),
            Some(_) => {}
        }
        Ok(())
    }

    /// An opening tag.
    fn tag(&mut self) -> Result<(), Fault> {
        let name = self.name(1)?;
        let mut attributes: Vec<(&str, String)> = Vec::new();
        let is_empty = loop {
            let trimmed = self.rest.trim_start();
            let is_apart = trimmed.len() < self.rest.len();
            self.rest = trimmed;
            if let Some(rest) = trimmed.strip_prefix("/>") {
                self.rest = rest;
                break true;
            } else if let Some(rest) = trimmed.strip_prefix('>') {
                self.rest = rest;
                break false;
            } else if !is_apart {
                return Err(NO_XML);
            }
            let (key, value) = self.attribute()?;
            if attributes.iter().any(|(known, _)| *known == key) {
                return Err(NO_XML);
            }
            attributes.push((key, value));
        };
        let is_root = self.open.is_empty();
        if is_root {
            self.root(name, &attributes)?;
        }
        let is_inside = self.open.last().is_none_or(|(_, is_kept)| *is_kept);
        let is_kept = is_root || is_inside && is_among(ELEMENTS, name);
        if is_kept {
            self.write(name, &attributes, is_root)?;
        }
        match (is_empty, is_kept) {
            (true, true) => {
                let _ = write!(self.out, "</{name}>");
            }
            (true, false) => {}
            (false, _) if self.open.len() >= DEEPEST => return Err("is nested too deep"),
            (false, _) => self.open.push((name, is_kept)),
        }
        Ok(())
    }

    /// A name, so many characters from here.
    fn name(&mut self, skipped: usize) -> Result<&'a str, Fault> {
        let rest = self.rest.get(skipped..).ok_or(NO_XML)?;
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        let (name, rest) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        self.rest = rest;
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { Ok(name) } else { Err(NO_XML) }
    }

    fn attribute(&mut self) -> Result<(&'a str, String), Fault> {
        let key = self.name(0)?;
        let rest = self.rest.trim_start().strip_prefix('=').ok_or(NO_XML)?.trim_start();
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c)).ok_or(NO_XML)?;
        let (value, rest) = rest[1..].split_once(quote).ok_or(NO_XML)?;
        if value.contains('<') {
            return Err(NO_XML);
        }
        self.rest = rest;
        Ok((key, decode(&value.replace(['\t', '\n', '\r'], " "))?))
    }

    /// The root: its size is what the picture is fitted by.
    fn root(&mut self, name: &str, attributes: &[(&str, String)]) -> Result<(), Fault> {
        let of =
            |key: &str| attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| value.trim());
        if self.size.is_some() || name != "svg" || of("xmlns") != Some(NAMESPACE) {
            return Err(NO_XML);
        }
        let number =
            |text: &str| text.trim_end_matches("px").parse::<f64>().ok().filter(|number| number.is_finite());
        let numbers =
            |text: &str| text.split([' ', ',']).filter(|part| !part.is_empty()).map(number).collect();
        let view: Option<Vec<f64>> = of("viewBox").and_then(numbers);
        let sides = match view.as_deref() {
            Some(&[_, _, width, height]) => Some((width, height)),
            _ => of("width").and_then(number).zip(of("height").and_then(number)),
        };
        let (width, height) =
            sides.ok_or("has no size: neither a viewBox nor a width and a height in pixels")?;
        // As whole numbers, small ones large enough that their proportion stays.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in bounds")]
        let whole = |side: f64| (side * 100.0).round() as u32;
        if [width, height].iter().any(|side| !(0.01..=100_000.0).contains(side)) {
            return Err("has a size that nothing can be drawn in");
        }
        self.size = Some((whole(width), whole(height)));
        let (x, y) = match view.as_deref() {
            Some(&[x, y, ..]) => (x, y),
            _ => (0.0, 0.0),
        };
        let _ = write!(
            self.out,
            "<svg xmlns=\"{NAMESPACE}\" width=\"{width}\" height=\"{height}\" viewBox=\"{x} {y} {width} {height}\""
        );
        Ok(())
    }

    /// Writes a tag with those of its attributes that are known.
    fn write(&mut self, name: &str, attributes: &[(&str, String)], is_root: bool) -> Result<(), Fault> {
        if name == "use" {
            self.uses += 1;
            if self.uses > MOST_USES {
                return Err("uses parts of itself too often");
            }
        }
        if !is_root {
            let _ = write!(self.out, "<{name}");
        }
        let mut is_linked = false;
        for (key, value) in attributes {
            let is_written = is_root && ["width", "height", "viewBox"].contains(key);
            let is_link = ["href", "xlink:href"].contains(key);
            let is_good = if is_link {
                !std::mem::replace(&mut is_linked, true) && is_within(value)
            } else if *key == "id" {
                is_id(value)
            } else {
                is_among(ATTRIBUTES, key) && is_harmless(value)
            };
            if is_good && !is_written {
                let _ = write!(self.out, " {}=\"", if is_link { "href" } else { key });
                escape(value, &mut self.out);
                self.out.push('"');
            }
        }
        self.out.push('>');
        Ok(())
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b))
}

/// Whether a link leads to a part of the picture itself.
fn is_within(link: &str) -> bool {
    link.trim().strip_prefix('#').is_some_and(is_id)
}

/// Whether a value, or a style sheet, names nothing but parts of the picture.
fn is_harmless(text: &str) -> bool {
    const NEVER: [&str; 9] =
        ["\\", "<", "//", "image", "src(", "expression", "javascript:", "data:", "behavior"];
    // What belongs together in CSS can't be taken apart but by a backslash.
    let text = text.to_ascii_lowercase().replace("@media", "");
    let mut addresses = text.split("url").skip(1);
    !NEVER.iter().any(|word| text.contains(word))
        && !text.contains('@')
        && addresses.all(|rest| {
            let inner =
                rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(inner, _)| inner.trim());
            inner.is_some_and(|inner| is_within(inner.trim_matches(['"', '\''])))
        })
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push('\n'),
            c => out.push(c),
        }
    }
}

/// A text with what is written for its characters put in: the five that XML knows, and those by number.
fn decode(text: &str) -> Result<String, Fault> {
    let mut parts = text.split('&');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').ok_or(NO_XML)?;
        let numbered = || {
            let digits = name.strip_prefix('#')?;
            let number = match digits.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            char::from_u32(number.ok()?).filter(|c| is_character(*c))
        };
        decoded.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => numbered().ok_or(ENTITIES)?,
        });
        decoded.push_str(rest);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 2'";
    const ROOT: &str =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"4\" height=\"2\" viewBox=\"0 0 4 2\">";

    /// What is left of a picture with that in it; the tags of the root taken away.
    fn left(inner: &str) -> Result<String, Fault> {
        let (text, width, height) = clean(&format!("<svg {SVG}>{inner}</svg>"))?;
        assert_eq!((width, height), (400, 200));
        let inner = text.strip_prefix(ROOT).unwrap().strip_suffix("</svg>").unwrap().to_owned();
        // What was written can be read, and stays as it is.
        assert_eq!(clean(&text).unwrap().0, text);
        Ok(inner)
    }

    #[test]
    fn a_picture_as_drawing_programs_write_it_is_kept() {
        let source = r##"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<!-- Created with Inkscape -->
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg width="210mm" height="105mm" viewBox="0 0 210 105" version="1.1" id="svg5" inkscape:version="1.2"
   xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" xmlns:xlink="http://www.w3.org/1999/xlink"
   xmlns="http://www.w3.org/2000/svg">
  <sodipodi:namedview id="v" pagecolor="#fff"><inkscape:grid type="x"/></sodipodi:namedview>
  <metadata><rdf:RDF><cc:Work rdf:about="http://evil.example/"/></rdf:RDF></metadata>
  <defs><style type="text/css"><![CDATA[ .a { fill: url(#g); } @media (prefers-color-scheme: dark) { .a { fill: #fff } } ]]></style>
    <linearGradient id="g" gradientUnits="userSpaceOnUse" x1="0" x2="1"><stop offset="0" style="stop-color:#0b5d57"/></linearGradient></defs>
  <title>Corp &amp; &#67;o &lt;Ltd&gt;</title>
  <use xlink:href="#p" href="#p"/><path class="a" id="p" d="M0 0
   h4" fill='url("#g")' onclick="alert(1)" data-x="y"/>
</svg>"##;
        let (text, width, height) = clean(source).unwrap();
        assert_eq!((width, height), (21_000, 10_500));
        for kept in [
            "width=\"210\" height=\"105\" viewBox=\"0 0 210 105\" id=\"svg5\">",
            "<style> .a { fill: url(#g); } @media (prefers-color-scheme: dark) { .a { fill: #fff } } </style>",
            "<stop offset=\"0\" style=\"stop-color:#0b5d57\"></stop>",
            "<title>Corp &amp; Co &lt;Ltd&gt;</title>",
            "<use href=\"#p\"></use>",
            "<path class=\"a\" id=\"p\" d=\"M0 0    h4\" fill=\"url(&quot;#g&quot;)\"></path>",
        ] {
            assert!(text.contains(kept), "{kept}\n{text}");
        }
        for gone in [
            "inkscape", "sodipodi", "RDF", "evil", "DOCTYPE", "Created", "alert", "onclick", "xlink", "type=",
        ] {
            assert!(!text.contains(gone), "{gone}\n{text}");
        }
        assert_eq!(clean(&text).unwrap(), (text, width, height));
    }

    #[test]
    fn what_does_more_than_draw_is_left_out() {
        for attack in [
            "<script>alert(1)</script>",
            "<script href='https://evil.example/x.js'/>",
            "<SCRIPT>alert(1)</SCRIPT>",
            "<script xmlns='http://www.w3.org/1999/xhtml'>alert(1)</script>",
            "<h:script xmlns:h='http://www.w3.org/1999/xhtml'>alert(1)</h:script>",
            "<svg:script xmlns:svg='http://www.w3.org/2000/svg'>alert(1)</svg:script>",
            "<foreignObject><iframe src='https://evil.example/'/><g/></foreignObject>",
            "<switch><foreignObject/></switch>",
            "<a href='javascript:alert(1)'><rect/></a>",
            "<image href='https://evil.example/x.png'/>",
            "<image xlink:href='data:image/svg+xml;base64,AAAA'/>",
            "<feImage href='https://evil.example/'/>",
            "<filter id='f'><feImage href='#x'/></filter>",
            "<animate attributeName='href' values='javascript:alert(1)'/>",
            "<set attributeName='onmouseover' to='alert(1)'/>",
            "<handler>alert(1)</handler>",
            "<listener event='click'/>",
            "<link rel='stylesheet' href='https://evil.example/x.css'/>",
            "<iframe src='https://evil.example/'/>",
            "<embed src='x'/><object data='x'/><video src='x'/><audio src='x'/>",
            "<svg onload='alert(1)'><path/></svg>",
            "<discard/><mpath/><cursor/><font-face-uri href='https://evil.example/'/>",
            "<metadata><path d='M0 0'/></metadata>",
            "<?xml-stylesheet href='https://evil.example/x.css'?>",
            "<?php system('id') ?>",
            "<!-- <script>alert(1)</script> -->",
            "<!--> <script>alert(1)</script> -->",
            "some text &lt;script&gt;",
            "<![CDATA[<script>alert(1)</script>]]>",
        ] {
            assert_eq!(left(attack).unwrap(), "", "{attack}");
        }
        for attack in [
            "onload='alert(1)'",
            "onclick=\"alert(1)\"",
            "ONLOAD='alert(1)'",
            "xmlns='http://www.w3.org/1999/xhtml'",
            "xml:base='https://evil.example/'",
            "src='x'",
            "href='https://evil.example/#a'",
            "href='//evil.example/'",
            "href='x.svg#a'",
            "href='javascript:alert(1)'",
            "href='data:image/svg+xml,x'",
            "href='#'",
            "href='#a b'",
            "xlink:href='&#106;avascript:alert(1)'",
            "style='fill:url(https://evil.example/x)'",
            "style='fill:URL( \"//evil.example/x\" )'",
            "style='fill:url(x.svg#a)'",
            "style='fill:u\\72l(https://evil.example/x)'",
            "style='background:url(#a),url(x)'",
            "style='background:image-set(\"x\" 1x)'",
            "style='behavior:x'",
            "style='@import \"x\"'",
            "fill='url(https://evil.example/#a)'",
            "fill='url(#a'",
            "fill='url()'",
            "fill='u&#114;l(&#x68;ttps://evil.example/x)'",
            "mask='url(&quot;x#a&quot;)'",
            "filter='url(#a)'",
            "cursor='url(#a)'",
            "begin='0s'",
            "attributeName='href'",
            "id='a b'",
            "id='&quot;&gt;'",
            "target='_top'",
            "tabindex='0'",
        ] {
            assert_eq!(left(&format!("<use {attack}/>")).unwrap(), "<use></use>", "{attack}");
        }
        for sheet in [
            "@import 'https://evil.example/x.css';",
            "@import url(https://evil.example/x.css);",
            "@font-face { src: url(#x) }",
            "a { fill: url(https://evil.example/x) }",
            "a { fill: u\\72l(x) }",
            "a { fill: u<!-- -->rl(x) }",
            "a { fill: u<![CDATA[rl(x)]]> }",
            "a { fill: u<?x ?>rl(x) }",
            "a { fill: url(<![CDATA[x]]>) }",
            "&lt;script&gt;",
            "<![CDATA[</style><script>alert(1)</script>]]>",
            "@@mediaimport 'x'",
            "a { background: -webkit-image-set('x' 1x) }",
            "a { fill: src('x') }",
        ] {
            assert_eq!(left(&format!("<style>{sheet}</style>")).unwrap(), "<style></style>", "{sheet}");
        }
    }

    #[test]
    fn what_is_written_cant_break_out_of_its_place() {
        let broken = "<path class='&quot;&gt;&lt;script&gt;'/>";
        // A value with a tag in it is none of a picture; a title is a text whatever is in it.
        assert_eq!(left(broken).unwrap(), "<path></path>");
        assert_eq!(
            left("<path class='&quot;a&quot; &amp;amp;'/>").unwrap(),
            "<path class=\"&quot;a&quot; &amp;amp;\"></path>"
        );
        let title = "<title><![CDATA[</title><script>alert(1)</script>]]></title>";
        assert_eq!(
            left(title).unwrap(),
            "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>"
        );
        assert_eq!(left("<text>a&#13;b</text>").unwrap(), "<text>a\nb</text>");
    }

    #[test]
    fn what_is_no_plain_svg_is_refused() {
        let entity = "<!DOCTYPE svg [<!ENTITY x 'y'>]>";
        let bomb = "<!DOCTYPE svg [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>";
        for text in [
            String::new(),
            "svg".into(),
            "<svg".into(),
            "<svg/>".into(),
            format!("<svg {SVG}>"),
            format!("<svg {SVG}/><svg {SVG}/>"),
            format!("<svg {SVG}/>x"),
            format!("<svg {SVG}/><!DOCTYPE svg>"),
            format!("<svg {SVG}></g>"),
            format!("<svg {SVG}><g></svg></g>"),
            format!("{entity}<svg {SVG}>&x;</svg>"),
            format!("{bomb}<svg {SVG}>&b;</svg>"),
            format!("<!DOCTYPE svg SYSTEM 'file:///etc/passwd' [ ]><svg {SVG}/>"),
            format!("<!ENTITY x 'y'><svg {SVG}/>"),
            format!("<svg {SVG}>&nbsp;</svg>"),
            format!("<svg {SVG}>&lt</svg>"),
            format!("<svg {SVG}>&#0;</svg>"),
            format!("<svg {SVG}>&#xd800;</svg>"),
            format!("<svg {SVG}>\u{0}</svg>"),
            format!("<svg {SVG}><g a='1' a='2'/></svg>"),
            format!("<svg {SVG}><g a=1/></svg>"),
            format!("<svg {SVG}><g a/></svg>"),
            format!("<svg {SVG}><g a='1'b='2'/></svg>"),
            format!("<svg {SVG}><g a='<'/></svg>"),
            format!("<svg {SVG}><g a='1/></svg>"),
            format!("<svg {SVG}>< g/></svg>"),
            format!("<svg {SVG}><é/></svg>"),
            format!("<svg {SVG}><!-- </svg>"),
            format!("<svg {SVG}><![CDATA[ </svg>"),
            "<svg viewBox='0 0 4 2'/>".into(),
            "<svg xmlns='http://www.w3.org/1999/xhtml' viewBox='0 0 4 2'/>".into(),
            format!("<html {SVG}/>"),
            format!("<s:svg xmlns:s='x' {SVG}/>"),
            "<svg xmlns='http://www.w3.org/2000/svg'/>".into(),
            "<svg xmlns='http://www.w3.org/2000/svg' width='100%' height='100%'/>".into(),
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 0 2'/>".into(),
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 -4 2'/>".into(),
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 NaN 2'/>".into(),
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 inf 2'/>".into(),
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1e9 2'/>".into(),
            format!("<svg {SVG}>{}</svg>", "<g>".repeat(100)),
            format!("<svg {SVG}>{}{}</svg>", "<g>".repeat(100), "</g>".repeat(100)),
            format!("<svg {SVG}>{}</svg>", "<use href='#a'/>".repeat(17)),
        ] {
            assert!(clean(&text).is_err(), "{text}");
        }
        assert!(left(&"<use href='#a'/>".repeat(16)).is_ok());
        let (text, ..) = clean("<svg xmlns='http://www.w3.org/2000/svg' width='40px' height='20'/>").unwrap();
        assert!(text.contains(" viewBox=\"0 0 40 20\""), "{text}");
    }

    #[test]
    fn whatever_is_cut_or_damaged_breaks_nothing() {
        let source = format!(
            "<?x?><!DOCTYPE svg><svg {SVG}><style>a{{}}</style><g id='a' d=\"M0 0\">é&#65;<path/></g><!-- --></svg>"
        );
        for (at, c) in source.char_indices() {
            assert!(clean(&source[..at]).is_err());
            for other in ['<', '>', '&', '"', '\'', '/', '!', ' ', 'é', ']'] {
                let damaged = format!("{}{other}{}", &source[..at], &source[at + c.len_utf8()..]);
                if let Ok((text, ..)) = clean(&damaged) {
                    assert_eq!(clean(&text).unwrap().0, text, "{damaged}");
                }
            }
        }
    }
}
