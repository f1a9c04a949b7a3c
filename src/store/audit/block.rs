//! Some hundred events of the log in two records: a body, column by column, and a header that says what is in it. The
//! headers are held in memory: most questions are answered by them, or by a few bodies.
//!
//! An event's seal is not kept whole, but enough of it to tell which event was changed: that nothing was is told by the
//! seal of the last, which depends on all before it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Error, Seal,
    entry::{action_named, outcome_named},
};
use crate::{
    domain::{
        account::ObjectGuid,
        audit::{Action, Event, EventColumn, Numbered, Outcome},
        clock::Timestamp,
        filter::{Column as _, Filter, Test, day_of, start_of},
    },
    store::{
        bloom::Bloom,
        bytes::{Reader, Writer},
        engine::MAXIMUM_VALUE,
        sheet::{self, Layout, MOST_ROWS, Sheet, Value, Values},
    },
};

/// The version of header and body.
const VERSION: u8 = 1;
/// Bytes kept of each seal.
const TAG: usize = 8;

/// The columns, in the order of [`EventColumn::ALL`].
const LAYOUT: &[Layout] = &[
    Layout::Times,
    Layout::Texts,
    Layout::Texts,
    Layout::Texts,
    Layout::Texts,
    Layout::Texts,
    Layout::Texts,
    Layout::Texts,
    Layout::Texts,
    Layout::Ids,
    Layout::Texts,
];
const _: () = assert!(LAYOUT.len() == EventColumn::ALL.len());

/// The columns of which the header knows all words that are in the body.
const COUNTED: [EventColumn; 4] =
    [EventColumn::Outcome, EventColumn::Action, EventColumn::Source, EventColumn::Domain];
/// Those of which it can say that a word is not.
const FOUND: [EventColumn; 4] =
    [EventColumn::User, EventColumn::Account, EventColumn::SourceIp, EventColumn::Reference];

/// Events that are alike in day, outcome, event, source and domain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Alike {
    day: i32,
    outcome: Outcome,
    action: Action,
    source: u16,
    domain: u16,
}

/// What is in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The number of its first event.
    pub first: u64,
    /// How many there are.
    pub count: u16,
    /// Bytes of the body.
    pub size: u32,
    /// The seal of the event before the first.
    pub before: Seal,
    /// The seal of the last.
    pub seal: Seal,
    /// The earliest time in it.
    pub earliest: Timestamp,
    /// The latest.
    pub latest: Timestamp,
    /// Sources and domains.
    words: Vec<Box<str>>,
    alike: Vec<(Alike, u16)>,
    names: Bloom,
}

impl Header {
    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// How many events there were by day, event and outcome.
    pub fn counts(&self) -> impl Iterator<Item = ((i64, Action, Outcome), u64)> {
        self.alike
            .iter()
            .map(|(alike, count)| ((i64::from(alike.day), alike.action, alike.outcome), u64::from(*count)))
    }

    /// The words of a column of which all are known.
    pub fn words_of(&self, column: EventColumn) -> impl Iterator<Item = &str> {
        self.alike.iter().filter_map(move |(alike, _)| self.word(alike, column))
    }

    fn word(&self, alike: &Alike, column: EventColumn) -> Option<&str> {
        match column {
            EventColumn::Outcome => Some(alike.outcome.as_str()),
            EventColumn::Action => Some(alike.action.as_str()),
            EventColumn::Source => self.words.get(usize::from(alike.source)).map(AsRef::as_ref),
            EventColumn::Domain => self.words.get(usize::from(alike.domain)).map(AsRef::as_ref),
            _ => None,
        }
    }

    /// Whether cells of a column of its may pass, and whether some may not.
    fn cells_may(&self, column: EventColumn, test: &Test) -> (bool, bool) {
        if column == EventColumn::At {
            return within(test, self.earliest, self.latest);
        }
        if COUNTED.contains(&column) {
            let mut passing = self.alike.iter().map(|(alike, _)| test.passes_text(self.word(alike, column)));
            let first = passing.next().unwrap_or_default();
            return if passing.all(|it| it == first) { (first, !first) } else { (true, true) };
        }
        let has = |word: &str| self.names.has(named(column, word));
        let may_pass = match test {
            Test::Like(pattern) if FOUND.contains(&column) => pattern.only().is_none_or(has),
            Test::In(words) if FOUND.contains(&column) => words.iter().any(|word| has(&word.to_lowercase())),
            _ => true,
        };
        (may_pass, true)
    }

    fn may(&self, filter: &Filter<EventColumn>) -> (bool, bool) {
        filter.may(&|column, test| self.cells_may(column, test))
    }

    /// Whether some of its events may pass.
    pub fn may_pass(&self, filter: &Filter<EventColumn>) -> bool {
        self.may(filter).0
    }

    /// How many of its events pass, if that can be told without the body.
    pub fn matches(&self, filter: &Filter<EventColumn>) -> Option<u64> {
        match self.may(filter) {
            (false, _) => return Some(0),
            (_, false) => return Some(u64::from(self.count)),
            _ => {}
        }
        let mut matches = 0;
        for (alike, count) in &self.alike {
            let (mut is_known, day) = (true, i64::from(alike.day));
            let earliest = self.earliest.max(start_of(day));
            let latest = self.latest.min(Timestamp::from_millis(start_of(day + 1).millis() - 1));
            let passes = filter.passes(&mut |column, test: &Test| match column {
                EventColumn::At => {
                    let (passes, fails) = within(test, earliest, latest);
                    is_known &= passes != fails;
                    passes
                }
                column if COUNTED.contains(&column) => test.passes_text(self.word(alike, column)),
                _ => {
                    is_known = false;
                    false
                }
            });
            if !is_known {
                return None;
            }
            matches += if passes { u64::from(*count) } else { 0 };
        }
        Some(matches)
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(VERSION);
        out.number(self.first);
        out.number(self.count.into());
        out.number(self.size.into());
        out.bytes(&self.before);
        out.bytes(&self.seal);
        out.signed(self.earliest.millis());
        out.signed(self.latest.millis());
        out.number(self.words.len() as u64);
        for word in &self.words {
            out.text(word.as_bytes());
        }
        out.number(self.alike.len() as u64);
        for (alike, count) in &self.alike {
            out.signed(alike.day.into());
            out.text(alike.outcome.as_str().as_bytes());
            out.text(alike.action.as_str().as_bytes());
            for number in [alike.source, alike.domain, *count] {
                out.number(number.into());
            }
        }
        out.text(self.names.bytes());
        out.0
    }

    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader(bytes);
        match reader.byte()? {
            VERSION => {}
            version => return Err(Error::Damaged(format!("a block of the audit log of version {version}"))),
        }
        let small = |number: u64| {
            u16::try_from(number).map_err(|_| Error::Damaged("a number of a block is too large".into()))
        };
        let (first, count) = (reader.number()?, small(reader.number()?)?);
        let size = u32::try_from(reader.number()?).unwrap_or(u32::MAX);
        if count == 0 || first == 0 || size as usize > MAXIMUM_VALUE {
            return Err(Error::Damaged("a block of the audit log without events".into()));
        }
        let (before, seal) = (reader.array()?, reader.array()?);
        let earliest = Timestamp::from_millis(reader.signed()?);
        let latest = Timestamp::from_millis(reader.signed()?);
        let words =
            (0..reader.count()?).map(|_| Ok(reader.string()?.into())).collect::<Result<_, Error>>()?;
        let alike = (0..reader.count()?)
            .map(|_| {
                let day = i32::try_from(reader.signed()?)
                    .map_err(|_| Error::Damaged("a day of the audit log".into()))?;
                let outcome = outcome_named(&reader.string()?)?;
                let action = action_named(&reader.string()?)?;
                let [source, domain, count] =
                    [small(reader.number()?)?, small(reader.number()?)?, small(reader.number()?)?];
                Ok((Alike { day, outcome, action, source, domain }, count))
            })
            .collect::<Result<_, Error>>()?;
        let names = Bloom::of_bytes(reader.text()?);
        reader.end()?;
        Ok(Self { first, count, size, before, seal, earliest, latest, words, alike, names })
    }
}

/// Whether a time between these two may pass, and whether one may not.
fn within(test: &Test, earliest: Timestamp, latest: Timestamp) -> (bool, bool) {
    match test {
        Test::Before(bound) => (earliest < *bound, latest >= *bound),
        Test::From(bound) => (latest >= *bound, earliest < *bound),
        Test::Given => (true, false),
        _ => (false, true),
    }
}

/// What a word of a column is remembered as.
fn named(column: EventColumn, word: &str) -> u64 {
    Bloom::hash(column.key(), word)
}

/// An event with its seal.
pub struct Sealed {
    /// The seal.
    pub seal: Seal,
    /// The event.
    pub event: Event,
}

/// Makes a block of the events from `first` on: as many of them as have room in one. `before` is the seal of the event
/// before them.
pub fn make(first: u64, before: Seal, events: &[Sealed]) -> Result<(Header, Vec<u8>), Error> {
    let mut events = &events[..events.len().min(MOST_ROWS)];
    loop {
        let body = body_of(events);
        if body.len() <= MAXIMUM_VALUE {
            return Ok((header_of(first, before, events, body.len())?, body));
        }
        if events.len() < 2 {
            return Err(Error::Damaged("an event of the audit log is too large for a block".into()));
        }
        events = &events[..events.len() / 2];
    }
}

fn body_of(events: &[Sealed]) -> Vec<u8> {
    let addresses: Vec<_> =
        events.iter().map(|sealed| sealed.event.source_ip.map(|address| address.to_string())).collect();
    let sheet = sheet::write(LAYOUT, events.len(), |row, column| {
        let event = &events[row].event;
        match EventColumn::ALL[column] {
            EventColumn::At => Value::Time(event.at),
            EventColumn::Outcome => Value::Text(event.outcome.as_str()),
            EventColumn::Action => Value::Text(event.action.as_str()),
            EventColumn::Source => Value::Text(&event.source),
            EventColumn::User => Value::Text(&event.user),
            EventColumn::Domain => Value::Text(&event.domain),
            EventColumn::Detail => Value::Text(&event.detail),
            EventColumn::SourceIp => optional(addresses[row].as_deref()),
            EventColumn::SourceUser => optional(event.source_user.as_deref()),
            EventColumn::Account => {
                event.account.as_ref().map_or(Value::Nothing, |guid| Value::Id(guid.bytes()))
            }
            EventColumn::Reference => optional(event.reference.as_deref()),
        }
    });
    let mut out = Writer::default();
    out.byte(VERSION);
    out.text(&sheet);
    for sealed in events {
        out.bytes(&sealed.seal[..TAG]);
    }
    out.0
}

fn optional(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Nothing, Value::Text)
}

fn header_of(first: u64, before: Seal, events: &[Sealed], size: usize) -> Result<Header, Error> {
    let times = || events.iter().map(|sealed| sealed.event.at);
    let (Some(last), Some(earliest), Some(latest)) = (events.last(), times().min(), times().max()) else {
        return Err(Error::Damaged("a block of the audit log without events".into()));
    };
    let words: BTreeSet<&str> = events
        .iter()
        .flat_map(|sealed| [sealed.event.source.as_str(), sealed.event.domain.as_str()])
        .collect();
    let words: Vec<&str> = words.into_iter().collect();
    let place = |word: &str| {
        words.binary_search(&word).ok().and_then(|at| u16::try_from(at).ok()).unwrap_or(u16::MAX)
    };
    let mut alike: BTreeMap<Alike, u16> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for Sealed { event, .. } in events {
        let day =
            i32::try_from(day_of(event.at)).map_err(|_| Error::Damaged("the day of an event".into()))?;
        let kind = Alike {
            day,
            outcome: event.outcome,
            action: event.action,
            source: place(&event.source),
            domain: place(&event.domain),
        };
        *alike.entry(kind).or_default() += 1;
        let cells = [
            (EventColumn::User, Some(event.user.to_lowercase())),
            (EventColumn::Account, event.account.map(|guid| guid.to_string())),
            (EventColumn::SourceIp, event.source_ip.map(|address| address.to_string())),
            (EventColumn::Reference, event.reference.as_ref().map(|text| text.to_lowercase())),
        ];
        names.extend(cells.into_iter().filter_map(|(column, word)| Some(named(column, &word?))));
    }
    Ok(Header {
        first,
        count: u16::try_from(events.len()).unwrap_or(u16::MAX),
        size: u32::try_from(size).unwrap_or(u32::MAX),
        before,
        seal: last.seal,
        earliest,
        latest,
        words: words.into_iter().map(Into::into).collect(),
        alike: alike.into_iter().collect(),
        names: Bloom::of(&names),
    })
}

/// A body that is read.
pub struct Block<'a> {
    first: u64,
    sheet: Sheet<'a>,
    tags: &'a [u8],
}

impl<'a> Block<'a> {
    /// The body of that header.
    pub fn open(header: &Header, body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(body);
        match reader.byte()? {
            VERSION => {}
            version => return Err(Error::Damaged(format!("a block of the audit log of version {version}"))),
        }
        let sheet = Sheet::open(reader.text()?, LAYOUT)?;
        let tags = reader.bytes(TAG * sheet.rows())?;
        reader.end()?;
        if sheet.rows() != usize::from(header.count) {
            return Err(Error::Damaged("a block of the audit log and its header do not fit".into()));
        }
        Ok(Self { first: header.first, sheet, tags })
    }

    /// Its columns.
    pub const fn sheet(&self) -> &Sheet<'a> {
        &self.sheet
    }

    /// Whether an event had that seal, as far as is kept of it.
    pub fn had(&self, row: usize, seal: &Seal) -> bool {
        self.tags.get(TAG * row..TAG * (row + 1)) == Some(&seal[..TAG])
    }

    /// One of its columns.
    pub fn column(&self, column: EventColumn) -> Result<Values<'a>, Error> {
        self.sheet.column(EventColumn::ALL.iter().position(|one| *one == column).unwrap_or_default())
    }

    /// Its events.
    pub fn events(&self) -> Result<Events<'a>, Error> {
        let columns = (0..LAYOUT.len()).map(|at| self.sheet.column(at)).collect::<Result<_, _>>()?;
        Ok(Events { first: self.first, columns })
    }
}

/// The events of a block.
pub struct Events<'a> {
    first: u64,
    columns: Vec<Values<'a>>,
}

impl Events<'_> {
    /// What is in a row's column.
    pub fn value(&self, row: usize, column: EventColumn) -> Value<'_> {
        EventColumn::ALL
            .iter()
            .position(|one| *one == column)
            .and_then(|at| self.columns.get(at))
            .map_or(Value::Nothing, |values| values.of(row))
    }

    /// The event of a row.
    pub fn read(&self, row: usize) -> Result<Numbered, Error> {
        let lacks = || Error::Damaged("an event of the audit log lacks something".into());
        let optional = |column| self.value(row, column).text().map(str::to_owned);
        let text = |column| optional(column).ok_or_else(lacks);
        let address = optional(EventColumn::SourceIp).map(|text| text.parse());
        let event = Event {
            at: self.value(row, EventColumn::At).time().ok_or_else(lacks)?,
            outcome: outcome_named(&text(EventColumn::Outcome)?)?,
            action: action_named(&text(EventColumn::Action)?)?,
            source: text(EventColumn::Source)?,
            user: text(EventColumn::User)?,
            domain: text(EventColumn::Domain)?,
            detail: text(EventColumn::Detail)?,
            source_ip: address
                .transpose()
                .map_err(|_| Error::Damaged("an address of the audit log".into()))?,
            source_user: optional(EventColumn::SourceUser),
            account: self.value(row, EventColumn::Account).id().map(|id| ObjectGuid::from_bytes(*id)),
            reference: optional(EventColumn::Reference),
        };
        Ok(Numbered { number: self.first + row as u64, event })
    }
}
