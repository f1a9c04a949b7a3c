//! Reading a form: bounded, strict UTF-8, no field twice, none that the page doesn't have. Files are taken where a page
//! says so.

use std::{convert::Infallible, time::Duration};

use futures_util::StreamExt as _;
use multer::bytes::Bytes;
use poem::{Request, http::header};
use zeroize::Zeroizing;

use crate::domain::{field::Problem, secret::SecretText};

/// The most a form may have: ten questions and answers fit many times over.
pub(super) const MAXIMUM_BYTES: usize = 16 * 1024;
/// So much more is read and thrown away, of large forms four times as much as they may have, so that the visitor gets an
/// answer instead of a broken connection.
const DRAINED_BYTES: usize = 4 * 1024 * 1024;
/// The most fields a form may have, those that are there twice counted as well: each is looked for among all.
const MOST_FIELDS: usize = 4096;
/// A form with files is taken apart in pieces of this size, and has no more parts than that.
const PIECE: usize = 64 * 1024;
const MOST_PARTS: usize = 64;
/// So long the body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A form as it came, or what is wrong with it as a whole.
#[derive(Debug, Default)]
pub struct Form {
    fields: Vec<(String, Value)>,
    /// What is wrong with the form as a whole.
    pub fault: Option<Problem>,
}

#[derive(Debug)]
enum Value {
    Text(SecretText),
    File(Zeroizing<Vec<u8>>),
    Wrong(Problem),
}

impl Value {
    /// What was decoded, if it is text.
    fn of(bytes: Option<Zeroizing<Vec<u8>>>) -> Self {
        match bytes {
            None => Self::Wrong(Problem::FieldNotText),
            Some(bytes) if bytes.contains(&0) => Self::Wrong(Problem::FieldHasControlCharacters),
            Some(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => Self::Text(SecretText::new(text.to_owned())),
                Err(_) => Self::Wrong(Problem::FieldNotText),
            },
        }
    }
}

impl Form {
    /// Reads the request's body, of at most so many bytes. `None` if it broke off or took too long: there is nobody left to answer.
    pub async fn read(request: &mut Request, most: usize) -> Option<Self> {
        let urlencoded = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        });
        let body = tokio::time::timeout(PATIENCE, read_body(request, most)).await.ok()??;
        let fault = match body {
            _ if !urlencoded => Problem::FieldNotText,
            None => Problem::BodyTooLarge,
            Some(bytes) => return Some(Self::parse(&bytes)),
        };
        Some(Self { fields: Vec::new(), fault: Some(fault) })
    }

    /// Reads a form that may have files in it (RFC 7578), of at most so many bytes altogether; or an ordinary one.
    pub async fn read_with_files(request: &mut Request, most: usize) -> Option<Self> {
        let boundary = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| multer::parse_boundary(value.to_str().ok()?).ok());
        let Some(boundary) = boundary else { return Self::read(request, most).await };
        let body = tokio::time::timeout(PATIENCE, read_body(request, most)).await.ok()??;
        let Some(bytes) = body else {
            return Some(Self { fields: Vec::new(), fault: Some(Problem::BodyTooLarge) });
        };
        let mut form = Self::default();
        if form.add_parts(&bytes, boundary).await.is_err() {
            form.fault = Some(Problem::FieldNotText);
        }
        Some(form)
    }

    async fn add_parts(&mut self, body: &[u8], boundary: String) -> Result<(), multer::Error> {
        // In small pieces: what is copied on the way is not wiped.
        let pieces = body.chunks(PIECE).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
        let mut parts = multer::Multipart::new(futures_util::stream::iter(pieces), boundary);
        let mut count = 0;
        while let Some(mut part) = parts.next_field().await? {
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some();
            count += 1;
            if count > MOST_PARTS {
                return Err(multer::Error::UnknownField { field_name: Some(name) });
            }
            let mut bytes = Zeroizing::new(Vec::with_capacity(body.len()));
            while let Some(piece) = part.chunk().await? {
                bytes.extend_from_slice(&piece);
            }
            self.add(name, if is_file { Value::File(bytes) } else { Value::of(Some(bytes)) });
        }
        Ok(())
    }

    fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for (count, pair) in pairs.enumerate() {
            if count >= MOST_FIELDS {
                return Self { fields: Vec::new(), fault: Some(Problem::BodyTooLarge) };
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let Some(name) = decode(name).and_then(|name| String::from_utf8(name.to_vec()).ok()) else {
                form.fault = Some(Problem::FieldNotText);
                continue;
            };
            form.add(name, Value::of(decode(value)));
        }
        form
    }

    fn add(&mut self, name: String, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = Value::Wrong(Problem::FieldRepeated),
            None => self.fields.push((name, value)),
        }
    }

    /// Takes a file out; an absent one is empty.
    pub fn take_file(&mut self, name: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
        match self.fields.iter().position(|(known, _)| known == name) {
            None => Ok(Zeroizing::default()),
            Some(index) => match self.fields.swap_remove(index).1 {
                Value::File(bytes) => Ok(bytes),
                Value::Text(_) => Err(Problem::FieldNotText),
                Value::Wrong(problem) => Err(problem),
            },
        }
    }

    /// Takes a field out; an absent one is empty.
    pub fn take(&mut self, name: &str) -> Result<SecretText, Problem> {
        match self.fields.iter().position(|(known, _)| known == name) {
            None => Ok(SecretText::new(String::new())),
            Some(index) => match self.fields.swap_remove(index).1 {
                Value::Text(text) => Ok(text),
                Value::File(_) => Err(Problem::FieldNotText),
                Value::Wrong(problem) => Err(problem),
            },
        }
    }

    /// Takes a check box out; true if it is checked.
    pub fn is_checked(&mut self, name: &str) -> bool {
        self.take(name).is_ok_and(|text| !text.reveal().is_empty())
    }

    /// Whether the form has that field, whatever is in it.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    /// Whether that field was left empty or out.
    pub fn is_blank(&self, name: &str) -> bool {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .is_none_or(|(_, value)| matches!(value, Value::Text(text) if text.reveal().is_empty()))
    }

    /// What is left after all known fields were taken is wrong.
    pub fn finish(&self) -> Option<Problem> {
        self.fault.or_else(|| (!self.fields.is_empty()).then_some(Problem::FieldUnknown))
    }
}

/// `Some(None)` is a body that is too large.
async fn read_body(request: &mut Request, most: usize) -> Option<Option<Zeroizing<Vec<u8>>>> {
    // As large from the start as it can get: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    let mut read = 0_usize;
    let mut stream = request.take_body().into_bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.ok()?;
        read += chunk.len();
        if read <= most {
            bytes.extend_from_slice(&chunk);
        } else if read > most + DRAINED_BYTES.max(4 * most) {
            break;
        }
    }
    Some((read <= most).then_some(bytes))
}

/// Undoes the form encoding (WHATWG URL 5.1), strictly: a broken escape is an error.
fn decode(encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => *other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(body: &[u8], name: &str) -> Result<String, Problem> {
        Form::parse(body).take(name).map(|text| text.reveal().to_owned())
    }

    #[test]
    fn fields_are_decoded_as_typed() {
        assert_eq!(take(b"a=x&password=+%c3%a4%26%2B+&b", "password").unwrap(), " ä&+ ");
        assert_eq!(take(b"a=x", "password").unwrap(), "");
    }

    #[test]
    fn what_is_not_text_is_refused() {
        assert_eq!(take(b"a=%ff", "a"), Err(Problem::FieldNotText));
        assert_eq!(take(b"a=%e2%82", "a"), Err(Problem::FieldNotText));
        assert_eq!(take(b"a=%zz", "a"), Err(Problem::FieldNotText));
        assert_eq!(take(b"a=%4", "a"), Err(Problem::FieldNotText));
        assert_eq!(take(b"a=\xff", "a"), Err(Problem::FieldNotText));
        assert_eq!(take(b"a=x%00y", "a"), Err(Problem::FieldHasControlCharacters));
        assert_eq!(Form::parse(b"%ff=a").finish(), Some(Problem::FieldNotText));
    }

    #[test]
    fn repeated_and_unknown_fields_are_refused() {
        assert_eq!(take(b"a=1&a=1", "a"), Err(Problem::FieldRepeated));
        let mut form = Form::parse(b"username[]=x&username=y");
        assert_eq!(form.take("username").unwrap().reveal(), "y");
        assert_eq!(form.finish(), Some(Problem::FieldUnknown));
    }

    #[test]
    fn more_fields_than_any_page_has_are_not_even_looked_at() {
        let names = |count: usize| (0..count).map(|n| format!("{n}=x&")).collect::<String>();
        assert_eq!(Form::parse(names(MOST_FIELDS).as_bytes()).fields.len(), MOST_FIELDS);
        for many in [names(MOST_FIELDS + 1), names(MOST_FIELDS) + "0", "a&".repeat(2_000_000)] {
            let form = Form::parse(many.as_bytes());
            assert!(form.fields.is_empty() && form.fault == Some(Problem::BodyTooLarge));
        }
    }

    async fn parts(body: &str, boundary: &str) -> (Form, bool) {
        let mut form = Form::default();
        let is_sound = form.add_parts(body.as_bytes(), boundary.into()).await.is_ok();
        (form, is_sound)
    }

    fn part(head: &str, content: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    }

    #[tokio::test]
    async fn files_and_fields_are_told_apart_and_stay_what_they_are() {
        let file = part("name=\"file\"; filename=\"../../a\"\r\nContent-Type: text/csv", "--y\r\nä\0");
        let body = part("name=\"text\"", " a\r\nb ") + &file + "--x--\r\n";
        let (mut form, is_sound) = parts(&body, "x").await;
        assert!(is_sound && form.take_file("text").is_err());
        assert_eq!(form.take_file("file").unwrap().as_slice(), "--y\r\nä\0".as_bytes());
        assert!(form.take_file("nothing").unwrap().is_empty() && form.finish().is_none());
        let (mut form, _) = parts(&body, "x").await;
        assert_eq!(form.take("text").unwrap().reveal(), " a\r\nb ");
        assert_eq!(form.take("file").err(), Some(Problem::FieldNotText));
        let twice = part("name=\"a\"", "1") + &part("name=\"a\"; filename=\"f\"", "2") + "--x--\r\n";
        assert_eq!(parts(&twice, "x").await.0.take("a").err(), Some(Problem::FieldRepeated));
        let nul = part("name=\"a\"", "1\0") + "--x--\r\n";
        assert_eq!(parts(&nul, "x").await.0.take("a").err(), Some(Problem::FieldHasControlCharacters));
    }

    #[tokio::test]
    async fn what_is_no_form_with_files_is_refused() {
        let many: String = (0..=MOST_PARTS).map(|n| part(&format!("name=\"{n}\""), "")).collect();
        let again = part("name=\"a\"", "").repeat(MOST_PARTS + 1);
        for body in [
            "",
            "a=1&b=2",
            "--x\r\n",
            &part("name=\"a\"", "1"),
            "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1",
            "--x\r\nnonsense\r\n\r\n1\r\n--x--\r\n",
            &(many + "--x--\r\n"),
            &(again + "--x--\r\n"),
        ] {
            assert!(!parts(body, "x").await.1, "{body}");
        }
    }
}
