//! The Enroll tab: how many questions, and which.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fault, form, table::tab};

/// Questions by language.
type QuestionLists = BTreeMap<String, Vec<String>>;

tab! {
    /// The Enroll tab.
    pub struct Enroll {
        /// How many questions a person answers at enrollment, and at a reset or unlock.
        questions: u32 = 3, in 1..=10;
        /// How many of them, counted from the last, people write themselves. A stranger who types a name with
        /// self-written questions can tell that it is enrolled.
        own_questions: u32 = 0, in 0..=10;
        /// The least number of letters and digits in an answer.
        minimum_answer_length: u32 = 3, in 1..=50;
        /// Whether people are asked for an e-mail address of their own.
        ask_email: bool = false;
        /// Whether a code is sent to that address at enrollment, and it is used for other codes only once that came
        /// back; as soon as mail is set up.
        confirm_email: bool = true;
        /// So many days after it was noticed that an account is gone from the directory its enrollment is removed; 0
        /// never. It has to be missed on three days at least, and nothing is removed while the directory can't be reached
        /// or too many accounts are missed at once.
        purge_after_days: u32 = 7, in 0..=365;
        /// The questions to choose from, by language.
        question_list: QuestionLists = default_lists();
    }
}

impl Enroll {
    /// The questions offered in a language, else in English, else in whatever there is.
    pub fn questions_in(&self, language: &str) -> &[String] {
        self.question_list
            .get(language)
            .or_else(|| self.question_list.get("en"))
            .or_else(|| self.question_list.values().next())
            .map_or(&[], Vec::as_slice)
    }

    /// The questions of all languages.
    pub fn all_questions(&self) -> impl Iterator<Item = &String> {
        self.question_list.values().flatten()
    }

    /// Whether a question is offered in any language.
    pub fn offers(&self, question: &str) -> bool {
        self.all_questions().any(|offered| offered == question)
    }

    pub(super) fn check_questions(&self, faults: &mut Vec<Fault>) {
        let key = "settings.enroll.question_list";
        if self.own_questions > self.questions {
            let text =
                format!("{} is more than the {} questions there are", self.own_questions, self.questions);
            faults.push(Fault::new("settings.enroll.own_questions", text));
        }
        // Even where people write all questions themselves, unknown names are shown one of the list.
        let needed = self.questions.saturating_sub(self.own_questions).max(1) as usize;
        if self.question_list.is_empty() {
            faults.push(Fault::new(key, "needs the questions of one language at least"));
        }
        for (language, list) in &self.question_list {
            let key = format!("{key}.{language}");
            if let Err(text) = form::language(language) {
                faults.push(Fault::new(&key, format!("\"{language}\" {text}")));
            }
            let different: BTreeSet<String> = list.iter().map(|text| text.trim().to_lowercase()).collect();
            if different.len() != list.len() {
                faults.push(Fault::new(&key, "has a question twice"));
            } else if list.len() < needed {
                let text = format!("needs at least {needed} questions, not {}", list.len());
                faults.push(Fault::new(&key, text));
            }
            if list.iter().any(|text| text.trim().is_empty() || text.chars().count() > 200) {
                faults.push(Fault::new(&key, "has a question that is empty or longer than 200 characters"));
            }
        }
    }
}

/// What is offered in each language: questions whose answers stay the same and aren't found in public profiles.
const QUESTIONS: &str = include_str!("../../ui/questions.toml");

fn default_lists() -> QuestionLists {
    // That it can be read is tested; without a list the settings say that one is needed.
    toml::from_str(QUESTIONS).unwrap_or_default()
}
