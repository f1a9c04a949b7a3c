//! An answer, read as a browser, a monitor or a logon-screen client reads it: by the names of the contract only.

use poem::http::{HeaderMap, StatusCode, header};

/// An answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// What it says, as sent.
    pub html: String,
}

impl Page {
    /// The value of a header; the empty text if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status code as a number.
    pub fn code(&self) -> u16 {
        self.status.as_u16()
    }

    /// Where it leads to.
    pub fn location(&self) -> Option<&str> {
        self.headers.get(header::LOCATION).map(|value| value.to_str().unwrap())
    }

    /// What cookies it sets: the whole headers.
    pub fn cookies(&self) -> Vec<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    /// The tag that begins with `start` and holds `mark`.
    fn tag(&self, start: &str, mark: &str) -> Option<&str> {
        self.html.match_indices(start).find_map(|(at, _)| {
            let tag = &self.html[at..at + self.html[at..].find('>')?];
            tag.contains(mark).then_some(tag)
        })
    }

    fn main(&self, attribute: &str) -> String {
        self.tag("<main", "data-flow").and_then(|tag| attribute_of(tag, attribute)).unwrap_or_default()
    }

    /// `data-flow`
    pub fn flow(&self) -> String {
        self.main("data-flow")
    }

    /// `data-step`
    pub fn step(&self) -> String {
        self.main("data-step")
    }

    /// `data-reference`
    pub fn reference(&self) -> String {
        self.main("data-reference")
    }

    /// The token of the form that is sent to that path.
    pub fn token_for(&self, path: &str) -> String {
        let html = self.html.replace("&#x2f;", "/");
        let form = html.split(&format!("action=\"{path}\"")).nth(1).unwrap_or_default();
        let token = form.split("name=\"csrf\" value=\"").nth(1).unwrap_or_default();
        token.split('"').next().unwrap_or_default().to_owned()
    }

    /// The hidden token of the form.
    pub fn csrf(&self) -> Option<String> {
        self.tag("<input", "name=\"csrf\"").and_then(|tag| attribute_of(tag, "value"))
    }

    /// What the browser is given for a passkey.
    pub fn passkey_options(&self) -> serde_json::Value {
        let tag = self.tag("<div", "id=\"passkey\"").expect("no passkey is asked for");
        serde_json::from_str(&attribute_of(tag, "data-options").unwrap()).unwrap()
    }

    /// The words of the buttons that do something else than Next.
    pub fn deeds(&self) -> Vec<String> {
        let tags = self.html.match_indices("<button").filter_map(|(at, _)| {
            let tag = &self.html[at..at + self.html[at..].find('>')?];
            attribute_of(tag, "value")
        });
        tags.collect()
    }

    /// `data-method`: which of the ways of proving oneself the page is about.
    pub fn method(&self) -> String {
        self.main("data-method")
    }

    /// The question asked: the label of `answer`.
    pub fn question(&self) -> Option<String> {
        self.label("answer")
    }

    /// The label of a field.
    pub fn label(&self, field: &str) -> Option<String> {
        let tag = self.tag("<label", &format!("for=\"{field}\""))?;
        let after = tag.as_ptr() as usize - self.html.as_ptr() as usize + tag.len() + 1;
        let rest = &self.html[after..];
        Some(text_of(&rest[..rest.find("</label>")?]))
    }

    /// How many alerts there are.
    pub fn alerts(&self) -> usize {
        self.html.matches("role=\"alert\"").count()
    }

    /// What the alert says; the empty text if there is none.
    pub fn alert(&self) -> String {
        let Some(at) = self.html.find("role=\"alert\"") else { return String::new() };
        let rest = &self.html[at..];
        let end = rest.find("<form").or_else(|| rest.find("<div class=\"progress\"")).unwrap_or(rest.len());
        text_of(&rest[rest.find('>').unwrap() + 1..end])
    }

    /// The names of the controls of the form, in order.
    pub fn fields(&self) -> Vec<String> {
        let mut fields: Vec<(usize, String)> = ["<input", "<select", "<button"]
            .iter()
            .flat_map(|start| self.html.match_indices(start))
            .filter_map(|(at, _)| {
                let tag = &self.html[at..at + self.html[at..].find('>')?];
                Some((at, attribute_of(tag, "name")?))
            })
            .collect();
        fields.sort();
        fields.into_iter().map(|(_, name)| name).collect()
    }

    fn control(&self, field: &str) -> Option<&str> {
        let mark = format!(" name=\"{field}\"");
        ["<input", "<select", "<textarea"].iter().find_map(|start| self.tag(start, &mark))
    }

    /// What a field is filled in with.
    pub fn value(&self, field: &str) -> Option<String> {
        let control = self.control(field)?;
        if control.starts_with("<select") {
            return self.options(field).into_iter().find(|option| option.1).map(|option| option.0);
        }
        if control.starts_with("<textarea") {
            // The first line break is none of the text (WHATWG HTML 4.10.11).
            let text = self.html.split_once(control)?.1.strip_prefix('>')?.split("</textarea>").next()?;
            return Some(unescape(text.strip_prefix('\n').unwrap_or(text)));
        }
        attribute_of(control, "value")
    }

    /// The type of a field.
    pub fn kind(&self, field: &str) -> Option<String> {
        let control = self.control(field)?;
        match ["select", "textarea"].into_iter().find(|kind| control[1..].starts_with(kind)) {
            Some(kind) => Some(kind.into()),
            None => attribute_of(control, "type"),
        }
    }

    /// Whether a field is marked as in error, with a sentence that is there.
    pub fn is_invalid(&self, field: &str) -> bool {
        let Some(control) = self.control(field) else { return false };
        let described = attribute_of(control, "aria-describedby").unwrap_or_default();
        let marked = control.contains("aria-invalid=\"true\"");
        if marked {
            let ids: Vec<_> = described.split(' ').collect();
            assert!(ids.contains(&format!("{field}-error").as_str()), "{field} says not what is wrong");
            for id in ids {
                assert!(
                    self.html.contains(&format!(" id=\"{id}\"")),
                    "{field} is described by {id}: missing"
                );
            }
        }
        marked
    }

    /// The choices of a list, and which are chosen.
    pub fn options(&self, field: &str) -> Vec<(String, bool)> {
        let Some(tag) = self.tag("<select", &format!(" name=\"{field}\"")) else { return Vec::new() };
        let at = tag.as_ptr() as usize - self.html.as_ptr() as usize;
        let list = &self.html[at..at + self.html[at..].find("</select>").unwrap()];
        list.split("<option")
            .skip(1)
            .map(|option| {
                let tag = &option[..option.find('>').unwrap()];
                (attribute_of(tag, "value").unwrap(), tag.ends_with(" selected"))
            })
            .collect()
    }

    /// The addresses the page leads to or loads, in order.
    pub fn links(&self) -> Vec<String> {
        [" href=\"", " src=\""]
            .iter()
            .flat_map(|start| self.html.match_indices(start))
            .map(|(at, start)| {
                let rest = &self.html[at + start.len()..];
                unescape(&rest[..rest.find('"').unwrap()])
            })
            .collect()
    }

    /// The page without what differs between any two: token and reference number.
    pub fn masked(&self) -> String {
        let mut html = self.html.clone();
        for secret in [self.csrf().unwrap_or_default(), self.reference()] {
            if !secret.is_empty() {
                html = html.replace(&secret, "***");
            }
        }
        html
    }

    /// The names and values of all headers, but for the values of cookies and the length.
    pub fn masked_headers(&self) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = value.to_str().unwrap();
                let value = if name == header::SET_COOKIE {
                    let (pair, rest) = value.split_once(';').unwrap();
                    format!("{}=***;{rest}", pair.split('=').next().unwrap())
                } else {
                    value.to_owned()
                };
                (name.to_string(), value)
            })
            .collect();
        headers.sort();
        headers
    }

    /// All that can be read on it.
    pub fn text(&self) -> String {
        text_of(&self.html)
    }
}

fn attribute_of(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let rest = &tag[start..];
    Some(unescape(&rest[..rest.find('"')?]))
}

fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                text.push(' ');
            }
            other if !inside => text.push(other),
            _ => {}
        }
    }
    unescape(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
