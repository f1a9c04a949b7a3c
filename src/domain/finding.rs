//! What was found when something was looked at: by `regain check`, and by a trial in the panel.

/// One line of an examination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at (`corp.example dc1.corp.example:636 certificate`).
    pub subject: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What is wrong in words and how to mend it, or what was found.
    pub text: String,
}

impl Finding {
    /// A line about `subject`.
    pub fn new(subject: &str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), verdict, text: text.into() }
    }
}

/// How a thing stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but someone should know.
    Warning,
    /// It doesn't work.
    Bad,
}
