//! Reading a form: bounded, strict UTF-8, no field twice, none that the page doesn't have.

use std::time::Duration;

use futures_util::StreamExt as _;
use poem::{Request, http::header};
use zeroize::Zeroizing;

use crate::domain::{field::Problem, secret::SecretText};

/// The most a form may have: ten questions and answers fit many times over.
pub(super) const MAXIMUM_BYTES: usize = 16 * 1024;
/// So much more is read and thrown away, so that the visitor gets an answer instead of a broken connection.
const DRAINED_BYTES: usize = 4 * 1024 * 1024;
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
    Wrong(Problem),
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

    fn parse(body: &[u8]) -> Self {
        let mut form = Self::default();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            let Some(name) = decode(name).and_then(|name| String::from_utf8(name.to_vec()).ok()) else {
                form.fault = Some(Problem::FieldNotText);
                continue;
            };
            let value = match decode(value) {
                None => Value::Wrong(Problem::FieldNotText),
                Some(bytes) if bytes.contains(&0) => Value::Wrong(Problem::FieldHasControlCharacters),
                Some(bytes) => match std::str::from_utf8(&bytes) {
                    Ok(text) => Value::Text(SecretText::new(text.to_owned())),
                    Err(_) => Value::Wrong(Problem::FieldNotText),
                },
            };
            match form.fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = Value::Wrong(Problem::FieldRepeated),
                None => form.fields.push((name, value)),
            }
        }
        form
    }

    /// Takes a field out; an absent one is empty.
    pub fn take(&mut self, name: &str) -> Result<SecretText, Problem> {
        match self.fields.iter().position(|(known, _)| known == name) {
            None => Ok(SecretText::new(String::new())),
            Some(index) => match self.fields.swap_remove(index).1 {
                Value::Text(text) => Ok(text),
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
        } else if read > DRAINED_BYTES {
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
}
