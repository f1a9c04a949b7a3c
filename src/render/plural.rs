//! Which plural form a whole number takes in a language: the rules of Unicode's CLDR (plurals.xml) for the languages there
//! are, without those for fractions and for millions.

/// The forms, by their names in CLDR.
pub const FORMS: [&str; 6] = ["zero", "one", "two", "few", "many", "other"];

/// The languages whose rules are known; all others have those of English, unless they name one of these.
pub const KNOWN: [&str; 8] = ["en", "fr", "pl", "ru", "cs", "ar", "ja", "zh"];

/// The form of that number.
pub fn form(language: &str, number: u64) -> &'static str {
    let (ten, hundred) = (number % 10, number % 100);
    match language {
        "ja" | "zh" => "other",
        "fr" | "pt" if number <= 1 => "one",
        "pl" if number == 1 => "one",
        "ru" if ten == 1 && hundred != 11 => "one",
        "cs" if (2..=4).contains(&number) => "few",
        "pl" | "ru" if (2..=4).contains(&ten) && !(12..=14).contains(&hundred) => "few",
        "pl" | "ru" => "many",
        "ar" => match (number, hundred) {
            (0, _) => "zero",
            (1, _) => "one",
            (2, _) => "two",
            (_, 3..=10) => "few",
            (_, 11..) => "many",
            _ => "other",
        },
        _ if number == 1 => "one",
        _ => "other",
    }
}

/// The forms that a language has.
pub fn forms(language: &str) -> Vec<&'static str> {
    FORMS.into_iter().filter(|known| (0..=102).any(|number| form(language, number) == *known)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_takes_its_form() {
        for (language, numbers) in [
            ("en", "0 other, 1 one, 2 other, 21 other, 101 other"),
            ("fr", "0 one, 1 one, 2 other"),
            ("pt", "0 one, 1 one, 2 other"),
            ("pl", "0 many, 1 one, 2 few, 4 few, 5 many, 12 many, 21 many, 22 few, 112 many"),
            ("ru", "0 many, 1 one, 2 few, 5 many, 11 many, 13 many, 21 one, 24 few, 111 many, 121 one"),
            ("cs", "0 other, 1 one, 2 few, 4 few, 5 other, 22 other"),
            ("ja", "0 other, 1 other, 2 other"),
            (
                "ar",
                "0 zero, 1 one, 2 two, 3 few, 10 few, 11 many, 99 many, 100 other, 102 other, 103 few, 111 many",
            ),
        ] {
            for (number, expected) in numbers.split(", ").filter_map(|pair| pair.split_once(' ')) {
                assert_eq!(form(language, number.parse().unwrap()), expected, "{language} {number}");
            }
        }
    }

    #[test]
    fn each_language_has_its_forms() {
        assert_eq!(forms("de"), ["one", "other"]);
        assert_eq!(forms("pl"), ["one", "few", "many"]);
        assert_eq!(forms("zh"), ["other"]);
        assert_eq!(forms("ar"), FORMS);
    }
}
