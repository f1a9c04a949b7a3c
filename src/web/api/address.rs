//! What is given in an address: strictly decoded, bounded, and never what the directory could take for something else.

use poem::Request;

use super::{answer::Problem, is_long};
use crate::{
    domain::account::{Domain, DomainName, LogonName},
    web::Site,
};

/// How a path stands to a pattern.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Given {
    /// It is another one.
    Nothing,
    /// It is of that pattern, but something given can't be understood.
    Malformed,
    /// What is given, in its order.
    Parts(Vec<String>),
}

/// What a path gives in the place of the braces of a pattern.
pub(super) fn given(pattern: &str, path: &str) -> Given {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    let mut given = Some(Vec::new());
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return given.map_or(Given::Malformed, Given::Parts),
            (Some(wanted), Some(found)) if wanted.starts_with('{') => match (&mut given, part(found)) {
                (Some(given), Some(part)) => given.push(part),
                _ => given = None,
            },
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return Given::Nothing,
        }
    }
}

/// One part of a path.
fn part(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    let is_sound = !text.trim().is_empty()
        && text.chars().count() <= LogonName::MAXIMUM_CHARACTERS
        && !text.chars().any(|c| c.is_control() || c == '/' || c == '\\');
    is_sound.then_some(text)
}

/// A user of a domain that is named. A name that brings a domain of its own must bring the same.
pub(super) fn user(domains: &[Domain], domain: &str, name: &str) -> Option<(DomainName, LogonName)> {
    let named = domains.iter().find(|known| known.is_called(domain.trim()))?;
    let (found, name) = LogonName::parse(name, domain, domains).ok()?;
    (found == named.name).then_some((found, name))
}

/// A user by user principal name alone.
pub(super) fn upn(domains: &[Domain], name: &str) -> Option<(DomainName, LogonName)> {
    let (user, suffix) = name.rsplit_once('@')?;
    if user.trim().is_empty() || suffix.trim().is_empty() {
        return None;
    }
    LogonName::parse(name, "", domains).ok()
}

/// Who is asked about, in a path of the question.
pub(super) fn asked_about(
    site: &Site,
    request: &Request,
    path: &str,
) -> Result<(DomainName, LogonName), Problem> {
    let domains = site.services.domains();
    let by_upn = given("/api/enrollments/upn/{upn}", path);
    let by_domain = given("/api/enrollments/{domain}/{user}", path);
    let found = match (by_upn, by_domain) {
        _ if is_long(request) => None,
        (Given::Parts(given), _) => upn(&domains, &given[0]),
        (Given::Nothing, Given::Parts(given)) => user(&domains, &given[0], &given[1]),
        _ => None,
    };
    found.ok_or(Problem::PathMalformed)
}

/// The parameters of a query, of these names only and each at most once.
pub(super) fn parameters<const N: usize>(
    query: &str,
    names: [&'static str; N],
) -> Result<[Option<String>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let at = names.iter().position(|known| *known == name);
        let Some(slot) = at.and_then(|at| values.get_mut(at)) else {
            return Err(Problem::ParameterMalformed(String::new()));
        };
        let is_sound = value.chars().count() <= LogonName::MAXIMUM_CHARACTERS
            && !value.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER);
        if slot.is_some() || !is_sound {
            return Err(Problem::ParameterMalformed(name.into_owned()));
        }
        *slot = Some(value.into_owned());
    }
    Ok(values)
}

/// How many are wanted.
pub(super) fn limit(given: Option<&str>) -> Result<usize, Problem> {
    const MOST: usize = 500;
    let number = given.map_or(Ok(100), |given| {
        // Digits only: a number can be written with a sign, too.
        let digits = given.bytes().all(|byte| byte.is_ascii_digit());
        given.parse().ok().filter(|number| digits && (1..=MOST).contains(number)).ok_or(())
    });
    number.map_err(|()| Problem::ParameterMalformed("limit".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &str = "/api/enrollments/{domain}/{user}";

    #[test]
    fn what_is_given_is_decoded_once_and_strictly() {
        let of = |path: &str| given(QUESTION, &format!("/api/enrollments/{path}"));
        let two = |a: &str, b: &str| Given::Parts(vec![a.to_owned(), b.to_owned()]);
        assert_eq!(of("CORP/mary"), two("CORP", "mary"));
        assert_eq!(of("corp.example/M%C3%BCller"), two("corp.example", "Müller"));
        assert_eq!(of("CORP/a%2525"), two("CORP", "a%25"));
        assert_eq!(of("CORP/a+b"), two("CORP", "a+b"));
        for malformed in [
            "CORP/",
            "/mary",
            "CORP/%",
            "CORP/%2",
            "CORP/%zz",
            "CORP/%ff",
            "CORP/a%00b",
            "CORP/a%0Ab",
            "CORP/%20",
            "CORP/%C2%85",
            "CORP/a%2Fb",
            "CORP/LAB%5Cmary",
            "CORP/+%2G",
        ] {
            assert_eq!(of(malformed), Given::Malformed, "{malformed}");
        }
        assert_eq!(of(&format!("CORP/{}", "x".repeat(257))), Given::Malformed);
        for other in ["CORP", "CORP/mary/", "CORP/mary/x", ""] {
            assert_eq!(of(other), Given::Nothing, "{other}");
        }
    }

    #[test]
    fn a_name_brings_no_other_domain_than_the_one_that_is_named() {
        let domain =
            |name: &str, netbios: &str| Domain { name: DomainName::new(name), netbios: netbios.into() };
        let domains = [domain("corp.example", "CORP"), domain("lab.example", "LAB")];
        for (name, typed) in [("LAB", "mary"), ("lab.example", "mary"), ("lab", "mary@LAB.example")] {
            assert_eq!(user(&domains, name, typed).unwrap().0, domains[1].name, "{name} {typed}");
        }
        for (name, typed) in [("LAB", "mary@corp.example"), ("NOPE", "mary"), ("LAB", "CORP\\mary")] {
            assert!(user(&domains, name, typed).is_none(), "{name} {typed}");
        }
        assert_eq!(upn(&domains, "mary@lab.example").unwrap().0, domains[1].name);
        assert!(matches!(upn(&domains, "m@mail.example").unwrap().1, LogonName::Upn { sam: None, .. }));
        for malformed in ["mary", "@lab.example", "mary@", " @ "] {
            assert!(upn(&domains, malformed).is_none(), "{malformed}");
        }
    }
}
