//! What can be wrong with a field of a form, and the names of the fields.

use std::fmt;

use super::password_rules::Rule;

/// The fields of the pages, by the names of the contract (the form's own names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The name a person logs on with.
    Username,
    /// The domain, by NetBIOS or DNS name.
    Domain,
    /// The present password, on the Enroll page.
    Password,
    /// The e-mail address for codes and alerts.
    Email,
    /// The n-th question, from 1.
    Question(u8),
    /// The answer to the n-th question, from 1.
    Answer(u8),
    /// The answer to the question that is asked.
    AnswerOnly,
    /// The verification code.
    Code,
    /// The code of an authenticator app.
    AppCode,
    /// A recovery code.
    RecoveryCode,
    /// What a passkey gave.
    Credential,
    /// What a passkey is to be called.
    Name,
    /// The present password, on the Change page.
    OldPassword,
    /// The password wanted.
    NewPassword,
    /// The password wanted, typed again.
    ConfirmPassword,
}

impl Field {
    /// The key of the field's label among the texts, without its number.
    pub const fn label_key(self) -> &'static str {
        match self {
            Self::Username => "field.username",
            Self::Domain => "field.domain",
            Self::Password => "field.password",
            Self::Email => "field.email",
            Self::Question(_) => "field.question",
            Self::Answer(_) => "field.answer",
            Self::AnswerOnly => "field.answer_only",
            Self::Code => "field.code",
            Self::AppCode => "held.app.label",
            Self::RecoveryCode => "held.recovery_code.label",
            Self::Credential => "field.credential",
            Self::Name => "field.name",
            Self::OldPassword => "field.old_password",
            Self::NewPassword => "field.new_password",
            Self::ConfirmPassword => "field.confirm_password",
        }
    }

    /// The field's number on the page, if it has one.
    pub const fn number(self) -> Option<u8> {
        match self {
            Self::Question(number) | Self::Answer(number) => Some(number),
            _ => None,
        }
    }
}

impl fmt::Display for Field {
    /// The name in the form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Username => f.write_str("username"),
            Self::Domain => f.write_str("domain"),
            Self::Password => f.write_str("password"),
            Self::Email => f.write_str("email"),
            Self::Question(number) => write!(f, "question{number}"),
            Self::Answer(number) => write!(f, "answer{number}"),
            Self::AnswerOnly => f.write_str("answer"),
            Self::Code | Self::AppCode | Self::RecoveryCode => f.write_str("code"),
            Self::Credential => f.write_str("credential"),
            Self::Name => f.write_str("name"),
            Self::OldPassword => f.write_str("old_password"),
            Self::NewPassword => f.write_str("new_password"),
            Self::ConfirmPassword => f.write_str("confirm_password"),
        }
    }
}

/// What is wrong with a form: a closed list. Each has a sentence among the texts, `invalid.<code>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the sentences of the texts say it")]
pub enum Problem {
    FieldEmpty,
    FieldTooLong,
    FieldHasControlCharacters,
    FieldNotText,
    FieldRepeated,
    FieldUnknown,
    BodyTooLarge,
    DomainUnknown,
    UsernameMalformed,
    EmailMalformed,
    QuestionNotChosen,
    QuestionUnknown,
    QuestionRepeated,
    QuestionTooShort,
    AnswerTooShort {
        minimum: usize,
    },
    AnswerRepeated,
    AnswerInQuestion,
    AnswerIsUsername,
    AnswerWrong,
    CodeWrong,
    CodeExpired,
    CodeTooSoon {
        seconds: u64,
    },
    CodeNoMore,
    AppCodeWrong,
    NewAppCodeWrong,
    RecoveryCodeWrong,
    PasskeyRefused,
    PasskeyMissing,
    PasskeyKnown,
    PasskeysTooMany,
    ProofStale,
    NameOrPasswordWrong,
    /// The same at the door of the admin panel, or the account is not let in there: which of both is not told.
    PanelClosed,
    AccountUnknown,
    PasswordsDiffer,
    PasswordSameAsOld,
    PasswordTooShort {
        minimum: u32,
    },
    PasswordTooSimple,
    PasswordInHistory,
    PasswordTooYoung,
    PasswordContainsName,
    PasswordRefused,
    PasswordTooLong,
    PasswordOverMaximum,
    PasswordHasWord,
    PasswordTooSimilar,
    PasswordTooWeak,
    PasswordInBreach,
    /// A rule of Regain's own that has no sentence to itself.
    PasswordBreaksRule {
        rule: Rule,
    },
}

impl Problem {
    /// The code: the key among the texts after `invalid.`, and the outcome in the audit log.
    pub const fn code(self) -> &'static str {
        match self {
            Self::FieldEmpty => "field_empty",
            Self::FieldTooLong => "field_too_long",
            Self::FieldHasControlCharacters => "field_has_control_characters",
            Self::FieldNotText => "field_not_text",
            Self::FieldRepeated => "field_repeated",
            Self::FieldUnknown => "field_unknown",
            Self::BodyTooLarge => "body_too_large",
            Self::DomainUnknown => "domain_unknown",
            Self::UsernameMalformed => "username_malformed",
            Self::EmailMalformed => "email_malformed",
            Self::QuestionNotChosen => "question_not_chosen",
            Self::QuestionUnknown => "question_unknown",
            Self::QuestionRepeated => "question_repeated",
            Self::QuestionTooShort => "question_too_short",
            Self::AnswerTooShort { .. } => "answer_too_short",
            Self::AnswerRepeated => "answer_repeated",
            Self::AnswerInQuestion => "answer_in_question",
            Self::AnswerIsUsername => "answer_is_username",
            Self::AnswerWrong => "answer_wrong",
            Self::CodeWrong => "code_wrong",
            Self::CodeExpired => "code_expired",
            Self::CodeTooSoon { .. } => "code_too_soon",
            Self::CodeNoMore => "code_no_more",
            Self::AppCodeWrong => "app_code_wrong",
            Self::NewAppCodeWrong => "new_app_code_wrong",
            Self::RecoveryCodeWrong => "recovery_code_wrong",
            Self::PasskeyRefused => "passkey_refused",
            Self::PasskeyMissing => "passkey_missing",
            Self::PasskeyKnown => "passkey_known",
            Self::PasskeysTooMany => "passkeys_too_many",
            Self::AccountUnknown => "account_unknown",
            Self::ProofStale => "proof_stale",
            Self::NameOrPasswordWrong => "name_or_password_wrong",
            Self::PanelClosed => "panel_closed",
            Self::PasswordsDiffer => "passwords_differ",
            Self::PasswordSameAsOld => "password_same_as_old",
            Self::PasswordTooShort { .. } => "password_too_short",
            Self::PasswordTooSimple => "password_too_simple",
            Self::PasswordInHistory => "password_in_history",
            Self::PasswordTooYoung => "password_too_young",
            Self::PasswordContainsName => "password_contains_name",
            Self::PasswordRefused => "password_refused",
            Self::PasswordTooLong => "password_too_long",
            Self::PasswordOverMaximum => "password_over_maximum",
            Self::PasswordHasWord => "password_has_word",
            Self::PasswordTooSimilar => "password_too_similar",
            Self::PasswordTooWeak => "password_too_weak",
            Self::PasswordInBreach => "password_in_breach",
            Self::PasswordBreaksRule { .. } => "password_breaks_rule",
        }
    }

    /// The number in the sentence, if it has one.
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::AnswerTooShort { minimum } => Some(minimum as u64),
            Self::PasswordTooShort { minimum } => Some(minimum as u64),
            Self::CodeTooSoon { seconds } => Some(seconds),
            _ => None,
        }
    }
}

/// What is wrong with a form, field by field. `None` is said of the form as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<(Option<Field>, Problem)>);

impl Problems {
    /// Nothing is wrong yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One problem of one field.
    pub fn of(field: Field, problem: Problem) -> Self {
        Self(vec![(Some(field), problem)])
    }

    /// One problem of the form as a whole.
    pub fn of_form(problem: Problem) -> Self {
        Self(vec![(None, problem)])
    }

    /// Adds a problem of a field.
    pub fn push(&mut self, field: Field, problem: Problem) {
        self.0.push((Some(field), problem));
    }

    /// Adds all of another list.
    pub fn extend(&mut self, more: &Self) {
        self.0.extend(more.iter());
    }

    /// Keeps the value of a parsed field, or its problem.
    pub fn keep<T>(&mut self, field: Field, parsed: Result<T, Problem>) -> Option<T> {
        parsed.map_err(|problem| self.push(field, problem)).ok()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Field>, Problem)> + '_ {
        self.0.iter().copied()
    }

    /// The first problem's code, for the audit log.
    pub fn code(&self) -> &'static str {
        self.0.first().map_or("", |(_, problem)| problem.code())
    }
}
