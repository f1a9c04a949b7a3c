//! Answers to security questions: how they are normalised, what makes one acceptable, how they are hashed and compared.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{
    field::{Field, Problem, Problems},
    secret::{Key, SecretText},
    slow_hash::{HashCost, HashFault, SlowHash},
};

/// Keeps only letters and digits, in one encoding and one case: `St. John's` equals `st johns`.
///
/// NFKC, then case folded by way of upper case (so that `ß` equals `SS`), then NFKC again because folding can
/// decompose. Changing this makes stored answers unreachable: add a new version instead.
fn normalise(text: &str) -> Zeroizing<String> {
    let folded: Zeroizing<String> =
        Zeroizing::new(text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect());
    Zeroizing::new(folded.nfkc().filter(|c| c.is_alphanumeric()).collect())
}

/// An answer as it is compared: letters and digits only.
pub struct Answer(Zeroizing<String>);

impl Answer {
    /// The most characters an answer may have as typed.
    pub const MAXIMUM_CHARACTERS: usize = 256;

    /// An answer given to a question: anything goes, but nothing is no answer.
    pub fn parse(text: &SecretText) -> Result<Self, Problem> {
        if text.reveal().chars().count() > Self::MAXIMUM_CHARACTERS {
            return Err(Problem::FieldTooLong);
        }
        let normal = normalise(text.reveal());
        if normal.is_empty() { Err(Problem::FieldEmpty) } else { Ok(Self(normal)) }
    }

    /// The letters and digits that are hashed.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Judges the answers of an enrollment together: long enough, all different, not contained in their question,
    /// not the user's name. `None` stands for one that was already found wanting.
    pub fn judge_all(
        answers: &[(impl AsRef<str>, Option<Self>)],
        minimum: usize,
        username: &str,
        problems: &mut Problems,
    ) {
        let username = normalise(username);
        for (index, (question, answer)) in answers.iter().enumerate() {
            let Some(answer) = answer else { continue };
            let field = Field::Answer(u8::try_from(index + 1).unwrap_or(u8::MAX));
            if answer.0.chars().count() < minimum {
                problems.push(field, Problem::AnswerTooShort { minimum });
            } else if normalise(question.as_ref()).contains(answer.0.as_str()) {
                problems.push(field, Problem::AnswerInQuestion);
            } else if answer.0 == username {
                problems.push(field, Problem::AnswerIsUsername);
            } else if answers[..index]
                .iter()
                .any(|(_, other)| other.as_ref().is_some_and(|o| o.0 == answer.0))
            {
                problems.push(field, Problem::AnswerRepeated);
            }
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer(…)")
    }
}

/// A keyed slow hash of one answer with its own salt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnswerHash(SlowHash);

impl AnswerHash {
    /// Hashes an answer. Takes tens of milliseconds and `cost.memory_kib` of memory: run it on the hashing pool.
    pub fn make(answer: &Answer, salt: [u8; 16], cost: HashCost, pepper: &Key) -> Result<Self, HashFault> {
        SlowHash::make(answer.bytes(), salt, cost, pepper).map(Self)
    }

    /// A hash that no answer has, of the given cost: what a decoy compares with, so that it takes as long.
    pub const fn decoy(cost: HashCost) -> Self {
        Self(SlowHash::decoy(cost))
    }

    /// Whether it is the answer's hash. As slow as [`Self::make`]; compares in constant time.
    pub fn matches(&self, answer: &Answer, pepper: &Key) -> Result<bool, HashFault> {
        self.0.matches(answer.bytes(), pepper)
    }

    /// Whether it was made at another cost than the one wanted now.
    pub fn is_outdated(&self, cost: HashCost) -> bool {
        self.0.is_outdated(cost)
    }
}

impl std::fmt::Debug for AnswerHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnswerHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: HashCost = HashCost { memory_kib: 8, passes: 1, lanes: 1 };

    fn answer(text: &str) -> Answer {
        Answer::parse(&SecretText::new(text.into())).unwrap()
    }

    #[test]
    fn case_spacing_punctuation_and_encoding_do_not_matter() {
        for (one, other) in [
            ("St. John's", "st johns"),
            ("Straße", "STRASSE"),
            ("e\u{301}cole", "École"),
            ("ﬁsh", "FISH"),
            ("  Ａｂｃ１ ", "abc1"),
            ("İstanbul", "i\u{307}stanbul"),
        ] {
            assert_eq!(normalise(one), normalise(other), "{one} {other}");
        }
        assert_ne!(normalise("ecole"), normalise("école"));
    }

    #[test]
    fn nothing_but_punctuation_is_no_answer() {
        assert_eq!(Answer::parse(&SecretText::new(" ?! ".into())).err(), Some(Problem::FieldEmpty));
    }

    #[test]
    fn only_the_same_answer_with_the_same_pepper_matches() {
        let pepper = Key::new([7; 32]);
        let hash = AnswerHash::make(&answer("Rex"), [1; 16], CHEAP, &pepper).unwrap();
        assert!(hash.matches(&answer(" rex!"), &pepper).unwrap());
        assert!(!hash.matches(&answer("max"), &pepper).unwrap());
        assert!(!hash.matches(&answer("Rex"), &Key::new([8; 32])).unwrap());
        assert!(!AnswerHash::decoy(CHEAP).matches(&answer("Rex"), &pepper).unwrap());
    }

    #[test]
    fn poor_answers_are_named_by_field() {
        let mut problems = Problems::new();
        let given = [
            ("Which city?", Some(answer("City"))),
            ("Which pet?", Some(answer("Rex"))),
            ("Which dog?", Some(answer("r e x"))),
            ("Which cat?", Some(answer("ab"))),
            ("Who?", Some(answer("Mary"))),
            ("What?", None),
        ];
        Answer::judge_all(&given, 3, "MARY", &mut problems);
        let found: Vec<_> = problems.iter().collect();
        assert_eq!(
            found,
            [
                (Some(Field::Answer(1)), Problem::AnswerInQuestion),
                (Some(Field::Answer(3)), Problem::AnswerRepeated),
                (Some(Field::Answer(4)), Problem::AnswerTooShort { minimum: 3 }),
                (Some(Field::Answer(5)), Problem::AnswerIsUsername),
            ]
        );
    }
}
