//! What an administrator brings along to enroll many people at once: the columns of the table, and what becomes of each
//! line. The answers in it are secrets.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    account::LogonName,
    clock::Timestamp,
    field::Problems,
    refusal::Refusal,
    secret::SecretText,
    sheet::{self, Records},
};

/// The most bytes of a table.
pub const MAXIMUM_BYTES: usize = 8 * 1024 * 1024;
/// The most lines of a table.
pub const MAXIMUM_LINES: usize = 20_000;
/// The most questions a line can have.
pub const MOST_PAIRS: usize = 10;

/// Why a table can't be imported at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is no table.
    Sheet(sheet::Fault),
    /// There is nothing in it but a header line, or not even that.
    Empty,
    /// It has more lines than can be taken at once.
    TooManyLines,
    /// The first line names no column: it is a person's, and nothing of it is told.
    HeaderMissing,
    /// There is no such column.
    ColumnUnknown(String),
    /// A column is there twice.
    ColumnTwice(String),
    /// A column is missing.
    ColumnMissing(String),
}

impl Fault {
    /// The key of the words for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Sheet(sheet::Fault::NotText { .. }) => "not_text",
            Self::Sheet(sheet::Fault::Utf16) => "utf16",
            Self::Sheet(sheet::Fault::Unclosed { .. }) => "unclosed",
            Self::Sheet(sheet::Fault::TooLong { .. }) => "line_too_long",
            Self::Sheet(sheet::Fault::TooManyCells { .. }) => "too_many_cells",
            Self::Empty => "empty",
            Self::TooManyLines => "too_many_lines",
            Self::HeaderMissing => "header_missing",
            Self::ColumnUnknown(_) => "column_unknown",
            Self::ColumnTwice(_) => "column_twice",
            Self::ColumnMissing(_) => "column_missing",
        }
    }

    /// The line it is about, or 0.
    pub const fn line(&self) -> usize {
        match self {
            Self::Sheet(
                sheet::Fault::NotText { line }
                | sheet::Fault::Unclosed { line }
                | sheet::Fault::TooLong { line }
                | sheet::Fault::TooManyCells { line },
            ) => *line,
            _ => 0,
        }
    }

    /// The column it is about, or nothing.
    pub fn column(&self) -> &str {
        match self {
            Self::ColumnUnknown(name) | Self::ColumnTwice(name) | Self::ColumnMissing(name) => name,
            _ => "",
        }
    }
}

impl From<sheet::Fault> for Fault {
    fn from(fault: sheet::Fault) -> Self {
        Self::Sheet(fault)
    }
}

/// A line as it is to be imported.
#[derive(Debug)]
pub struct Row {
    /// The line on which it begins.
    pub line: usize,
    /// sAMAccountName, UPN or `DOMAIN\name`.
    pub user: String,
    /// The domain, if it stands in a column of its own.
    pub domain: String,
    /// The e-mail address; empty if there is none.
    pub email: String,
    /// The language; empty if there is none.
    pub language: String,
    /// Questions and answers.
    pub pairs: Vec<(String, SecretText)>,
    /// Whether it has more cells than there are columns.
    pub has_more_cells: bool,
}

/// A table as it was read.
#[derive(Debug)]
pub struct Roster {
    /// Its lines.
    pub rows: Vec<Row>,
    /// Whether it has a column with mobile numbers; they are not taken.
    pub has_mobile: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    User,
    Domain,
    Email,
    Mobile,
    Language,
    Question(usize),
    Answer(usize),
}

impl Column {
    fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let number = |prefix: &str| {
            let number = name.strip_prefix(prefix)?.trim_start().parse::<usize>().ok()?;
            (1..=MOST_PAIRS).contains(&number).then_some(number)
        };
        Some(match name.as_str() {
            "user" => Self::User,
            "domain" => Self::Domain,
            "email" => Self::Email,
            "mobile" => Self::Mobile,
            "language" => Self::Language,
            _ => match number("question") {
                Some(number) => Self::Question(number),
                None => Self::Answer(number("answer")?),
            },
        })
    }
}

/// What can be shown of a text from outside: a bounded piece, and nothing that moves the cursor or turns the direction.
pub fn shown(text: &str) -> String {
    let is_odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = text.chars().map(|c| if is_odd(c) { '\u{fffd}' } else { c });
    shown.take(LogonName::MAXIMUM_CHARACTERS).collect()
}

/// Reads a table: the first line names the columns, in any order.
pub fn read(bytes: &[u8]) -> Result<Roster, Fault> {
    let mut records = Records::of(bytes)?;
    let (_, header) = records.read()?.ok_or(Fault::Empty)?;
    let mut columns = HashMap::new();
    // Spreadsheets leave empty cells behind the last column.
    let width = header.iter().rposition(|name| !name.trim().is_empty()).map_or(0, |last| last + 1);
    if header.iter().all(|name| Column::parse(name).is_none()) {
        return Err(if width == 0 { Fault::Empty } else { Fault::HeaderMissing });
    }
    for (index, name) in header[..width].iter().enumerate() {
        let column = Column::parse(name).ok_or_else(|| Fault::ColumnUnknown(shown(name.trim())))?;
        if columns.insert(column, index).is_some() {
            return Err(Fault::ColumnTwice(shown(name.trim())));
        }
    }
    let index = |column| columns.get(&column).copied();
    let user = index(Column::User).ok_or_else(|| Fault::ColumnMissing("user".into()))?;
    let mut pairs = Vec::new();
    for number in 1..=MOST_PAIRS {
        match (index(Column::Question(number)), index(Column::Answer(number))) {
            (Some(question), Some(answer)) => pairs.push((question, answer)),
            (Some(_), None) => return Err(Fault::ColumnMissing(format!("answer{number}"))),
            (None, Some(_)) => return Err(Fault::ColumnMissing(format!("question{number}"))),
            (None, None) => {}
        }
    }
    let mut rows = Vec::new();
    while let Some((line, cells)) = records.read()? {
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if rows.len() >= MAXIMUM_LINES {
            return Err(Fault::TooManyLines);
        }
        let cell = |index: usize| cells.get(index).copied().unwrap_or_default().to_owned();
        let named = |column| index(column).map(cell).unwrap_or_default();
        let mut given: Vec<_> = pairs.iter().map(|&(q, a)| (cell(q), SecretText::new(cell(a)))).collect();
        while given.last().is_some_and(|(q, a)| q.trim().is_empty() && a.reveal().trim().is_empty()) {
            given.pop();
        }
        rows.push(Row {
            line,
            user: cell(user),
            domain: named(Column::Domain),
            email: named(Column::Email).trim().to_owned(),
            language: named(Column::Language).trim().to_lowercase(),
            pairs: given,
            has_more_cells: cells.iter().skip(width).any(|cell| !cell.trim().is_empty()),
        });
    }
    if rows.is_empty() {
        return Err(Fault::Empty);
    }
    Ok(Roster { rows, has_mobile: index(Column::Mobile).is_some() })
}

/// Why a line is not imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No account has that name, or more than one.
    UserUnknown,
    /// Another line is about the same account.
    UserTwice {
        /// That line.
        line: usize,
    },
    /// It has more questions than are asked.
    TooManyQuestions {
        /// So many are asked.
        asked: usize,
    },
    /// It has more cells than there are columns.
    TooManyCells,
    /// Not a language such as `en`.
    LanguageMalformed,
    /// There is nothing to enroll with.
    NothingGiven,
    /// What a form would be refused for.
    Wrong(Problems),
    /// The account may not enroll.
    Refused(Refusal),
    /// The person has enrolled before.
    Enrolled,
    /// The person has enrolled since the table was checked.
    EnrolledMeanwhile,
    /// Something is wrong with what is kept of the account; the log says what.
    Trouble,
}

/// What becomes of a line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Fate {
    /// Nobody has looked at it yet.
    #[default]
    Unseen,
    /// It can be imported; true if an enrollment is replaced.
    Good(bool),
    /// It was imported; true if an enrollment was replaced.
    Done(bool),
    /// What is there already stays.
    Skipped(Reason),
    /// It can't be imported.
    Refused(Reason),
}

/// The last import in numbers: what is known of it when its lines are forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The name of who imported.
    pub by: String,
    /// When it ended, or began if no end was written down.
    pub at: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// Lines with which someone was enrolled.
    pub created: usize,
    /// Lines with which an enrollment was replaced.
    pub replaced: usize,
    /// Lines that were not done.
    pub left: usize,
    /// Lines that could not be imported.
    pub refused: usize,
    /// Lines of people who keep what they have.
    pub skipped: usize,
}

/// How an import ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ending {
    /// It has begun, and no end of it was written down: the numbers are those of the beginning.
    Open,
    /// All lines were done.
    Finished,
    /// It was broken off, by an administrator or with the program.
    Cancelled,
    /// It had stopped, and nobody let it go on.
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        read(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn columns_are_known_by_name_in_any_order_and_case() {
        let text = "user; QUESTION1 ;e-mail\nx;y;z";
        assert_eq!(fault(text), Fault::ColumnUnknown("e-mail".into()));
        let text = "answer2;Answer1; QUESTION1 ;User;EMAIL;Language;question2;mobile;;\n\
                    Rex;Blue;Which colour?;mary; m@x.example ;DE;Which pet?;1;;\n;;;;;;;;;\n";
        let roster = read(text.as_bytes()).unwrap();
        assert!(roster.has_mobile && roster.rows.len() == 1);
        let row = &roster.rows[0];
        assert_eq!(
            (row.line, row.user.as_str(), row.email.as_str(), row.language.as_str()),
            (2, "mary", "m@x.example", "de")
        );
        let pairs: Vec<_> = row.pairs.iter().map(|(q, a)| (q.as_str(), a.reveal())).collect();
        assert_eq!(pairs, [("Which colour?", "Blue"), ("Which pet?", "Rex")]);
        assert!(!format!("{roster:?}").contains("Rex"));
    }

    #[test]
    fn questions_left_out_at_the_end_are_none_and_cells_beyond_the_columns_are_told() {
        let rows =
            read(b"user,question1,answer1,question2,answer2\na,q,x\nb,q,x,,,\nc,,,q,x,more").unwrap().rows;
        let told: Vec<_> = rows.iter().map(|row| (row.pairs.len(), row.has_more_cells)).collect();
        assert_eq!(told, [(1, false), (1, false), (2, true)]);
    }

    #[test]
    fn what_can_not_be_a_table_of_enrollments_is_refused() {
        assert_eq!(fault(""), Fault::Empty);
        assert_eq!(fault("user,email\n\n,\n"), Fault::Empty);
        assert_eq!(fault("email\nx"), Fault::ColumnMissing("user".into()));
        assert_eq!(fault("user,question1\nx,y"), Fault::ColumnMissing("answer1".into()));
        assert_eq!(fault("user,answer3\nx,y"), Fault::ColumnMissing("question3".into()));
        assert_eq!(fault("user,User\nx,y"), Fault::ColumnTwice("User".into()));
        assert_eq!(fault("user,question11,answer11\nx"), Fault::ColumnUnknown("question11".into()));
        assert_eq!(
            fault("user,=HYPERLINK(1)\u{202e}\nx"),
            Fault::ColumnUnknown("=HYPERLINK(1)\u{fffd}".into())
        );
        assert_eq!(fault("user\nx\ny,\"z"), Fault::Sheet(sheet::Fault::Unclosed { line: 3 }));
        let long = "user\n".to_owned() + &"x\n".repeat(MAXIMUM_LINES + 1);
        assert_eq!(fault(&long), Fault::TooManyLines);
    }
}
