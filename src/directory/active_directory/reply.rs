//! What the directory's answers mean: the one closed table from result code, leading code of the text and `data`
//! sub-code to [`PasswordCheck`] and [`Error`]. What isn't in the table is an error, never a guess.
//!
//! Codes in the texts are Win32 errors (MS-ERREF 2.2). Windows and Samba use the same ones with different words
//! around them, so no word is required; Samba's sentence only tells which rule of the policy was broken.

use super::super::{Error, PasswordCheck, Refused, Rule};

const OPERATIONS_ERROR: u32 = 1;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const CONSTRAINT_VIOLATION: u32 = 19;
const NO_SUCH_OBJECT: u32 = 32;
const INVALID_CREDENTIALS: u32 = 49;
const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
const BUSY: u32 = 51;
const UNAVAILABLE: u32 = 52;
const UNWILLING_TO_PERFORM: u32 = 53;

const ERROR_INVALID_PASSWORD: u32 = 0x56;
const ERROR_PASSWORD_RESTRICTION: u32 = 0x52d;
const ERROR_ACCOUNT_LOCKED_OUT: u32 = 0x775;
const ERROR_DS_OPERATIONS_ERROR: u32 = 0x2020;
const ERROR_SUCCESSFUL_BIND_REQUIRED: u32 = 0x4dc;

/// Which write was answered: the same code can mean different things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// A change with the old password.
    Change,
    /// A reset.
    Reset,
    /// An unlock.
    Unlock,
}

/// What the answer to a simple bind tells about the password.
pub fn of_bind(code: u32, text: &str) -> Result<PasswordCheck, Error> {
    match (code, data(text)) {
        (0, _) => Ok(PasswordCheck::Right),
        // 525: no such user, 52e: wrong password.
        (INVALID_CREDENTIALS, Some(0x525 | 0x52e)) => Ok(PasswordCheck::Wrong),
        // 530: hours, 531: workstations.
        (INVALID_CREDENTIALS, Some(0x530 | 0x531)) => Ok(PasswordCheck::RightButRestricted),
        // 532: expired, 773: to be changed at next logon.
        (INVALID_CREDENTIALS, Some(0x532 | 0x773)) => Ok(PasswordCheck::RightButMustChange),
        (INVALID_CREDENTIALS, Some(0x533)) => Ok(PasswordCheck::RightButDisabled),
        (INVALID_CREDENTIALS, Some(0x701)) => Ok(PasswordCheck::RightButAccountExpired),
        (INVALID_CREDENTIALS, Some(0x775)) => Ok(PasswordCheck::LockedOut),
        _ => Err(unexpected(code, text)),
    }
}

/// What the answer to a write tells.
pub fn of_write(written: Written, code: u32, text: &str) -> Result<(), Error> {
    let refused = |refused| Err(Error::Refused(refused, words(code, text)));
    match (code, leading_code(text)) {
        // Samba says `00000000: Success` with a success.
        (0, _) => Ok(()),
        (CONSTRAINT_VIOLATION, Some(ERROR_ACCOUNT_LOCKED_OUT)) => refused(Refused::LockedOut),
        (CONSTRAINT_VIOLATION, Some(ERROR_INVALID_PASSWORD)) if written == Written::Change => {
            refused(Refused::WrongPassword)
        }
        // Windows: 53 to a reset, 19 to a change; Samba: always 19.
        (CONSTRAINT_VIOLATION | UNWILLING_TO_PERFORM, Some(ERROR_PASSWORD_RESTRICTION)) => {
            refused(Refused::Policy(rule(text)))
        }
        // Everyone may change their own password, so a change is refused only by an entry made for this account.
        // Samba: 19 without a code.
        (INSUFFICIENT_ACCESS_RIGHTS, _) if written == Written::Change => refused(Refused::MayNotChange),
        (CONSTRAINT_VIOLATION, None) if written == Written::Change && text.contains("module acl") => {
            refused(Refused::MayNotChange)
        }
        (INSUFFICIENT_ACCESS_RIGHTS, _) => refused(Refused::InsufficientRights),
        (NO_SUCH_OBJECT, _) => refused(Refused::Gone),
        _ => Err(unexpected(code, text)),
    }
}

/// Whether the controller says that it did nothing and another one might.
pub fn is_unavailable(code: u32) -> bool {
    matches!(code, BUSY | UNAVAILABLE)
}

/// Whether the controller has forgotten who is asking: nothing was done, a new bind mends it.
pub fn is_identity_lost(code: u32, text: &str) -> bool {
    code == OPERATIONS_ERROR
        && match leading_code(text) {
            Some(ERROR_SUCCESSFUL_BIND_REQUIRED) => true,
            Some(ERROR_DS_OPERATIONS_ERROR) => text.contains("without authentication"),
            _ => false,
        }
}

/// Whether there is no such object.
pub fn is_absent(code: u32) -> bool {
    code == NO_SUCH_OBJECT
}

/// Whether there are more entries than were asked for.
pub fn is_too_many(code: u32) -> bool {
    code == SIZE_LIMIT_EXCEEDED
}

/// An answer outside the table.
pub fn unexpected(code: u32, text: &str) -> Error {
    Error::Unexpected(words(code, text))
}

/// The answer for the log: on one line, without the NUL that Windows ends its texts with.
pub fn words(code: u32, text: &str) -> String {
    let text: String = text.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("result {code} {}", text.trim())
}

/// The sub-code of a refused bind: `… data 52e, v1db1`.
fn data(text: &str) -> Option<u32> {
    let after = &text[text.find("data ")? + "data ".len()..];
    let digits = after.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(after.len());
    u32::from_str_radix(&after[..digits], 16).ok()
}

/// The Win32 error a text begins with: eight hexadecimal digits and a colon.
fn leading_code(text: &str) -> Option<u32> {
    let (digits, _) = text.split_once(':')?;
    (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Which rule was broken, where the controller says so (Windows doesn't).
fn rule(text: &str) -> Option<Rule> {
    [
        ("too short", Rule::Length),
        ("complexity criteria", Rule::Complexity),
        ("already used", Rule::History),
        ("too young", Rule::MinimumAge),
    ]
    .into_iter()
    .find_map(|(words, rule)| text.contains(words).then_some(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_a_refused_bind_is_read_in_both_dialects() {
        for (code, check) in [
            ("525", PasswordCheck::Wrong),
            ("52e", PasswordCheck::Wrong),
            ("52E", PasswordCheck::Wrong),
            ("530", PasswordCheck::RightButRestricted),
            ("531", PasswordCheck::RightButRestricted),
            ("532", PasswordCheck::RightButMustChange),
            ("533", PasswordCheck::RightButDisabled),
            ("701", PasswordCheck::RightButAccountExpired),
            ("773", PasswordCheck::RightButMustChange),
            ("775", PasswordCheck::LockedOut),
        ] {
            for text in [
                format!(
                    "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {code}, v1db1"
                ),
                format!(
                    "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {code}, v4563\0"
                ),
            ] {
                assert_eq!(of_bind(49, &text).unwrap(), check, "{text}");
            }
        }
        assert_eq!(of_bind(0, "").unwrap(), PasswordCheck::Right);
    }

    #[test]
    fn an_unknown_answer_to_a_bind_is_neither_right_nor_wrong() {
        for (code, text) in [
            (49, ""),
            (49, "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52f, v1db1"),
            (8, "BindSimple: Transport encryption required."),
            (
                8,
                "00002028: LdapErr: DSID-0C090257, comment: The server requires binds to turn on integrity checking",
            ),
            (53, "data 52e"),
        ] {
            assert!(matches!(of_bind(code, text), Err(Error::Unexpected(_))), "{code} {text}");
        }
    }

    fn refusal(written: Written, code: u32, text: &str) -> Refused {
        match of_write(written, code, text) {
            Err(Error::Refused(refused, _)) => refused,
            other => panic!("{code} {text}: {other:?}"),
        }
    }

    #[test]
    fn answers_of_samba_are_understood() {
        assert!(of_write(Written::Reset, 0, "00000000: Success").is_ok());
        let samba = "0000052D: Constraint violation - check_password_restrictions: the password";
        for (words, rule) in [
            ("is too short. It should be equal or longer than 8 characters!", Rule::Length),
            ("is too short. It should be equal to or longer than 8 characters!", Rule::Length),
            ("does not meet the complexity criteria!", Rule::Complexity),
            ("was already used (previous password)!", Rule::History),
            ("was already used (in history)!", Rule::History),
            ("is too young to change!", Rule::MinimumAge),
        ] {
            let text = format!("{samba} {words}");
            assert_eq!(refusal(Written::Change, 19, &text), Refused::Policy(Some(rule)));
        }
        for (written, code, text, refused) in [
            (
                Written::Change,
                19,
                "00000056: Constraint violation - check_password_restrictions: The old password specified \
                 doesn't match!",
                Refused::WrongPassword,
            ),
            (
                Written::Change,
                19,
                "00000775: Password change not permitted, account locked out! at ../../source4/...",
                Refused::LockedOut,
            ),
            (
                Written::Change,
                19,
                "error in module acl: Constraint violation during LDB_MODIFY (19)",
                Refused::MayNotChange,
            ),
            (
                Written::Reset,
                50,
                "error in module acl: insufficient access rights during LDB_MODIFY (50)",
                Refused::InsufficientRights,
            ),
            (
                Written::Unlock,
                50,
                "00002098: Object CN=bob,... has no write property access\n",
                Refused::InsufficientRights,
            ),
            (Written::Reset, 32, "00002030: No such Base DN: <GUID=...>", Refused::Gone),
        ] {
            assert_eq!(refusal(written, code, text), refused, "{text}");
        }
    }

    #[test]
    fn answers_of_windows_are_understood() {
        for (written, code, text, refused) in [
            (
                Written::Reset,
                53,
                "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0\n\0",
                Refused::Policy(None),
            ),
            (
                Written::Change,
                19,
                "0000052D: AtrErr: DSID-03190F80, #1:\n\t0: 0000052D: DSID-03190F80, problem 1005 \
                 (CONSTRAINT_ATT_TYPE), data 0, Att 9005a (unicodePwd)\n\0",
                Refused::Policy(None),
            ),
            (
                Written::Change,
                19,
                "00000056: AtrErr: DSID-03191083, #1:\n\t0: 00000056: DSID-03191083, problem 1005 \
                 (CONSTRAINT_ATT_TYPE), data 0, Att 9005a (unicodePwd)\n\0",
                Refused::WrongPassword,
            ),
            (
                Written::Reset,
                50,
                "00000005: SecErr: DSID-031A1190, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0\n\0",
                Refused::InsufficientRights,
            ),
            (
                Written::Change,
                50,
                "00000005: SecErr: DSID-031A1190, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0\n\0",
                Refused::MayNotChange,
            ),
            (
                Written::Reset,
                32,
                "0000208D: NameErr: DSID-03100241, problem 2001 (NO_OBJECT), data 0, best match of:\n\0",
                Refused::Gone,
            ),
        ] {
            assert_eq!(refusal(written, code, text), refused, "{text}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_no_refusal() {
        for (code, text) in [
            (12, ""),
            (19, "00002082: something new"),
            (19, ""),
            (21, "Element unicodePwd has empty attribute in ldb message"),
            (53, "0000001F: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0"),
            (80, "00000057: setup_last_set_field: pwdLastSet must be 0 or -1 only!"),
        ] {
            for written in [Written::Change, Written::Reset, Written::Unlock] {
                assert!(
                    matches!(of_write(written, code, text), Err(Error::Unexpected(_))),
                    "{written:?} {code} {text}"
                );
            }
        }
        // Only a change has an old password that could be wrong.
        assert!(matches!(of_write(Written::Reset, 19, "00000056: x"), Err(Error::Unexpected(_))));
    }

    #[test]
    fn a_lost_identity_is_recognised_in_both_dialects() {
        assert!(is_identity_lost(1, "00002020: Operation unavailable without authentication"));
        assert!(is_identity_lost(
            1,
            "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind \
             must be completed on the connection., data 0, v4563\0"
        ));
        assert!(!is_identity_lost(1, "00002020: operational_search_post_process failed"));
    }

    #[test]
    fn texts_of_any_shape_do_no_harm() {
        for text in ["", ":", "data ", "data zz", "ü: data ü", "00000056", "\0\0\0\0\0\0\0\0:"] {
            assert!(of_bind(49, text).is_err());
            assert!(of_write(Written::Change, 19, text).is_err());
        }
        assert_eq!(words(53, "a\n\tb\0"), "result 53 a  b");
    }
}
