//! Some hundred people who enrolled in two records: a body, column by column, and a header that says what is in it.

use std::collections::BTreeSet;

use crate::{
    domain::{
        account::{AccountKey, DomainName, ObjectGuid},
        filter::{Cell, Column as _, Filter, Row as _, Test},
        user::{State, User, UserColumn},
    },
    store::{
        Error,
        bloom::Bloom,
        bytes::{Reader, Writer},
        engine::MAXIMUM_VALUE,
        sheet::{self, Layout, MOST_ROWS, Sheet, Value, Values},
    },
};

/// The version of header and body.
const VERSION: u8 = 1;
/// The columns, in the order of [`UserColumn::ALL`], and since when they are locked.
const LAYOUT: &[Layout] = &[
    Layout::Texts,
    Layout::Texts,
    Layout::Texts,
    Layout::Times,
    Layout::Times,
    Layout::Times,
    Layout::Times,
    Layout::Texts,
    Layout::Ids,
    Layout::Times,
];
const LOCKED_AT: usize = UserColumn::ALL.len();
const _: () = assert!(LAYOUT.len() == LOCKED_AT + 1);
/// The columns of which the header can say that a word is not there.
const FOUND: [UserColumn; 2] = [UserColumn::User, UserColumn::Email];

/// The place of a column.
fn place(column: UserColumn) -> usize {
    UserColumn::ALL.iter().position(|one| *one == column).unwrap_or_default()
}

/// What is in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The identity from which on people are in it.
    pub first: Vec<u8>,
    /// How many there are.
    pub count: u16,
    /// Bytes of the body.
    pub size: u32,
    /// The least and the greatest of each column, for the order.
    bounds: Vec<(Cell, Cell)>,
    names: Bloom,
}

impl Header {
    /// The least and the greatest of a column.
    pub fn bounds(&self, column: UserColumn) -> &(Cell, Cell) {
        &self.bounds[place(column)]
    }

    /// Whether cells of a column of theirs may pass, and whether some may not.
    fn cells_may(&self, column: UserColumn, test: &Test) -> (bool, bool) {
        let (least, greatest) = self.bounds(column);
        if least == greatest {
            let passes = least.passes(test);
            return (passes, !passes);
        }
        let has = |word: &str| self.names.has(Bloom::hash(column.key(), word));
        let may_pass = match test {
            Test::Before(_) => *least == Cell::Empty || least.passes(test),
            Test::From(_) => greatest.passes(test),
            Test::Like(pattern) if FOUND.contains(&column) => pattern.only().is_none_or(has),
            Test::In(words) if FOUND.contains(&column) => words.iter().any(|word| has(&word.to_lowercase())),
            _ => true,
        };
        (may_pass, true)
    }

    fn may(&self, filter: &Filter<UserColumn>) -> (bool, bool) {
        filter.may(&|column, test| self.cells_may(column, test))
    }

    /// Whether some of them may pass.
    pub fn may_pass(&self, filter: &Filter<UserColumn>) -> bool {
        self.may(filter).0
    }

    /// How many of them pass, if that can be told without the body.
    pub fn matches(&self, filter: &Filter<UserColumn>) -> Option<u64> {
        match self.may(filter) {
            (false, _) => Some(0),
            (_, false) => Some(self.count.into()),
            _ => None,
        }
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION);
        out.text(&self.first);
        out.number(self.count.into());
        out.number(self.size.into());
        for cell in self.bounds.iter().flat_map(|(least, greatest)| [least, greatest]) {
            match cell {
                Cell::Empty => out.byte(0),
                Cell::Time(time) => {
                    out.byte(1);
                    out.signed(time.millis());
                }
                Cell::Text(text) => {
                    out.byte(2);
                    out.text(text.as_bytes());
                }
            }
        }
        out.text(self.names.bytes());
        out.0
    }

    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        version(&mut reader)?;
        let first = reader.text()?.to_vec();
        let count = u16::try_from(reader.number()?)
            .map_err(|_| Error::Damaged("a block of users has too many".into()))?;
        let size = u32::try_from(reader.number()?).unwrap_or(u32::MAX);
        let mut cell = || {
            Ok::<_, Error>(match reader.byte()? {
                0 => Cell::Empty,
                1 => Cell::Time(crate::domain::clock::Timestamp::from_millis(reader.signed()?)),
                2 => Cell::Text(reader.string()?),
                _ => return Err(Error::Damaged("a cell of a block of users".into())),
            })
        };
        let bounds = UserColumn::ALL.iter().map(|_| Ok((cell()?, cell()?))).collect::<Result<_, Error>>()?;
        let names = Bloom::of_bytes(reader.text()?);
        reader.end()?;
        Ok(Self { first, count, size, bounds, names })
    }
}

fn version(reader: &mut Reader<'_>) -> Result<(), Error> {
    match reader.byte()? {
        VERSION => Ok(()),
        version => Err(Error::Damaged(format!("a block of users of version {version}"))),
    }
}

/// Makes blocks of people in the order of their identities; the first begins at `first`, wherever its people do. Two of
/// half the size, where one is too large.
pub fn make(first: Vec<u8>, users: &[User]) -> Vec<(Header, Vec<u8>)> {
    if users.len() <= MOST_ROWS {
        let body = body_of(users);
        if body.len() <= MAXIMUM_VALUE || users.len() == 1 {
            return vec![(header_of(first, users, body.len()), body)];
        }
    }
    let (left, right) = users.split_at(users.len() / 2);
    let mut blocks = make(first, left);
    blocks.extend(make(right.first().map(User::identity).unwrap_or_default(), right));
    blocks
}

fn body_of(users: &[User]) -> Vec<u8> {
    let time = |time: Option<_>| time.map_or(Value::Nothing, Value::Time);
    let sheet = sheet::write(LAYOUT, users.len(), |row, column| {
        let user = &users[row];
        match UserColumn::ALL.get(column) {
            Some(UserColumn::User) => Value::Text(&user.name),
            Some(UserColumn::Domain) => Value::Text(user.account.domain.as_str()),
            Some(UserColumn::Email) => user.email.as_deref().map_or(Value::Nothing, Value::Text),
            Some(UserColumn::Enrolled) => Value::Time(user.enrolled_at),
            Some(UserColumn::Reset) => time(user.reset_at),
            Some(UserColumn::Unlocked) => time(user.unlocked_at),
            Some(UserColumn::Changed) => time(user.changed_at),
            Some(UserColumn::State) => Value::Text(user.state().as_str()),
            Some(UserColumn::Account) => Value::Id(user.account.guid.bytes()),
            None => time(user.locked_at),
        }
    });
    let mut out = Writer::default();
    out.byte(VERSION);
    out.bytes(&sheet);
    out.0
}

fn header_of(first: Vec<u8>, users: &[User], size: usize) -> Header {
    let bounds = UserColumn::ALL.iter().map(|column| {
        let cells = || users.iter().map(|user| user.cell(*column).for_order());
        (cells().min().unwrap_or(Cell::Empty), cells().max().unwrap_or(Cell::Empty))
    });
    let mut names = BTreeSet::new();
    for user in users {
        for column in FOUND {
            if let Cell::Text(word) = user.cell(column).for_order() {
                names.insert(Bloom::hash(column.key(), &word));
            }
        }
    }
    Header {
        first,
        count: u16::try_from(users.len()).unwrap_or(u16::MAX),
        size: u32::try_from(size).unwrap_or(u32::MAX),
        bounds: bounds.collect(),
        names: Bloom::of(&names),
    }
}

/// A body that is read.
pub struct Block<'a> {
    sheet: Sheet<'a>,
}

impl<'a> Block<'a> {
    pub fn open(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(body);
        version(&mut reader)?;
        Ok(Self { sheet: Sheet::open(reader.0, LAYOUT)? })
    }

    /// Its columns.
    pub const fn sheet(&self) -> &Sheet<'a> {
        &self.sheet
    }

    /// One of its columns.
    pub fn column(&self, column: UserColumn) -> Result<Values<'a>, Error> {
        self.sheet.column(place(column))
    }

    /// The people in it.
    pub fn users(&self) -> Result<Users<'a>, Error> {
        Ok(Users((0..LAYOUT.len()).map(|at| self.sheet.column(at)).collect::<Result<_, _>>()?))
    }
}

/// The people of a block.
pub struct Users<'a>(Vec<Values<'a>>);

impl Users<'_> {
    fn value(&self, row: usize, column: UserColumn) -> Value<'_> {
        self.0[place(column)].of(row)
    }

    /// The person of a row.
    pub fn read(&self, row: usize) -> Result<User, Error> {
        let lacks = || Error::Damaged("a row of the users lacks something".into());
        let text = |column| self.value(row, column).text().ok_or_else(lacks);
        let time = |column| self.value(row, column).time();
        let state = text(UserColumn::State)?;
        Ok(User {
            account: AccountKey {
                domain: DomainName::new(text(UserColumn::Domain)?),
                guid: ObjectGuid::from_bytes(*self.value(row, UserColumn::Account).id().ok_or_else(lacks)?),
            },
            name: text(UserColumn::User)?.to_owned(),
            email: self.value(row, UserColumn::Email).text().map(str::to_owned),
            is_automatic: [State::Automatic, State::AutomaticLocked].iter().any(|one| one.as_str() == state),
            locked_at: self.0[LOCKED_AT].of(row).time(),
            enrolled_at: time(UserColumn::Enrolled).ok_or_else(lacks)?,
            reset_at: time(UserColumn::Reset),
            unlocked_at: time(UserColumn::Unlocked),
            changed_at: time(UserColumn::Changed),
        })
    }

    /// What tells the person of a row from all others.
    pub fn identity(&self, row: usize) -> Vec<u8> {
        let domain = self.value(row, UserColumn::Domain).text().unwrap_or_default();
        let guid = self.value(row, UserColumn::Account).id().map_or(&[][..], |id| &id[..]);
        [domain.as_bytes(), &[0], guid].concat()
    }
}
