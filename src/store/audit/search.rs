//! Events that are asked for: by the headers of the blocks as far as they tell, by the bodies where they don't; while some
//! are looked through, the next are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use tokio::task::JoinHandle;

use super::{
    Error, Store,
    block::{self, Block, Header, Sealed},
    entry::{self, NOTHING},
    index::body_prefix,
};
use crate::{
    domain::{
        audit::{Action, EventColumn, Numbered, Outcome},
        filter::{Cell, Filter, Found, Page, Search, day_of},
    },
    store::sheet::MOST_ROWS,
};

/// Bodies read at a time.
const FEW: usize = 8;

/// How many events there were, by day (since 1970-01-01 UTC), event and outcome.
pub type Counts = BTreeMap<(i64, Action, Outcome), u64>;

/// What is told how far a search has come: so many of so many.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Some events: their header, and their body if it need not be read first.
struct Part {
    header: Arc<Header>,
    body: Option<Vec<u8>>,
}

/// Some parts that are looked through together, and how far one is with them.
#[derive(Default)]
struct Chunk {
    headers: Vec<Arc<Header>>,
    parts: Vec<Part>,
    looked_at: usize,
    seen: u64,
}

/// What is looked through, with what was found.
struct Task {
    search: Arc<Search<EventColumn>>,
    page: Page<Numbered>,
    matches: u64,
}

impl Task {
    /// Looks through some bodies.
    fn look(mut self, parts: &[(Arc<Header>, Vec<u8>)]) -> Result<Self, Error> {
        for (header, body) in parts {
            let block = Block::open(header, body)?;
            let rows = block.sheet().select(&self.search.filter)?;
            self.matches += rows.count();
            if rows.is_empty() || self.search.limit == 0 {
                continue;
            }
            let by = block.column(self.search.by)?;
            let mut events = None;
            for row in rows.backward() {
                let number = header.first + row as u64;
                self.page.offer(
                    by.of(row).key(),
                    || number.to_be_bytes().to_vec(),
                    || {
                        let events = match &events {
                            Some(events) => events,
                            None => events.insert(block.events()?),
                        };
                        events.read(row)
                    },
                )?;
            }
        }
        Ok(self)
    }
}

impl Store {
    /// The events as they are now, in their order: in blocks, and those that are in none as blocks in memory.
    async fn parts(&self) -> Result<Vec<Part>, Error> {
        let (headers, latest) = self.latest_records().await?;
        let mut parts: Vec<_> =
            headers.iter().map(|header| Part { header: Arc::clone(header), body: None }).collect();
        let mut sealed = Vec::with_capacity(latest.len());
        for (number, record) in &latest {
            let (seal, entry) = entry::parts(record)?;
            sealed.push((*number, Sealed { seal, event: entry::read(entry)? }));
        }
        while !sealed.is_empty() {
            // Where one is missing another part begins.
            let first = sealed[0].0;
            let run =
                sealed.iter().zip(first..).take(MOST_ROWS).take_while(|((at, _), next)| at == next).count();
            let rest = sealed.split_off(run);
            let run: Vec<_> = mem::replace(&mut sealed, rest).into_iter().map(|(_, event)| event).collect();
            let mut left = &run[..];
            while !left.is_empty() {
                let first = first + (run.len() - left.len()) as u64;
                let (header, body) = block::make(first, NOTHING, left)?;
                left = &left[usize::from(header.count)..];
                parts.push(Part { header: Arc::new(header), body: Some(body) });
            }
        }
        Ok(parts)
    }

    /// The bodies of some parts.
    async fn bodies(&self, parts: Vec<Part>) -> Result<Vec<(Arc<Header>, Vec<u8>)>, Error> {
        let wanted = parts.iter().filter(|part| part.body.is_none());
        let prefixes = wanted.map(|part| body_prefix(part.header.first)).collect();
        let mut found = self.engine.join(prefixes).await?.into_iter();
        let mut bodies = Vec::with_capacity(parts.len());
        for part in parts {
            let body = part.body.or_else(|| found.next()).unwrap_or_default();
            if body.is_empty() {
                // Its time was over meanwhile, or someone took it out, which is found where the log is verified.
                tracing::warn!(event = part.header.first, "events of the audit log are not there");
            } else {
                bodies.push((part.header, body));
            }
        }
        Ok(bodies)
    }

    /// A page of the audit log. `progress` is told how many of how many events were looked at. In the order of time it
    /// ends as soon as the page is full; how many events pass is then known only if the headers tell.
    pub async fn search_events(
        &self,
        search: &Search<EventColumn>,
        progress: Progress<'_>,
    ) -> Result<Found<Numbered>, Error> {
        let mut parts = self.parts().await?;
        let total: u64 = parts.iter().map(|part| u64::from(part.header.count)).sum();
        let by_time = search.by == EventColumn::At;
        if search.is_descending || !by_time {
            parts.reverse();
        }
        // The time that what comes after a part can reach at most, or at least.
        let mut reach: Vec<Cell> = Vec::with_capacity(parts.len() + 1);
        if by_time {
            let mut bound = Cell::Empty;
            for part in parts.iter().rev() {
                reach.push(bound.clone());
                let own =
                    Cell::Time(if search.is_descending { part.header.latest } else { part.header.earliest });
                let is_beyond =
                    if search.is_descending { own > bound } else { bound == Cell::Empty || own < bound };
                if is_beyond {
                    bound = own;
                }
            }
            reach.reverse();
        }
        let is_settled = |page: &Page<Numbered>, looked_at: usize| {
            by_time
                && page.last().is_some_and(|last| match &reach[looked_at - 1] {
                    Cell::Empty => true,
                    bound if search.is_descending => bound < last,
                    bound => bound > last,
                })
        };
        // What is wholly on pages before this one.
        let is_passed = |header: &Header| match search.after.as_ref().map(|after| &after.cell) {
            Some(Cell::Time(after)) if by_time && search.is_descending => header.earliest > *after,
            Some(Cell::Time(after)) if by_time => header.latest < *after,
            _ => false,
        };
        let mut task = Task { search: Arc::new(search.clone()), page: Page::of(search), matches: 0 };
        let mut known = Some(0);
        let mut left = parts.into_iter();
        let (mut seen, mut looked_at) = (0, 0);
        let mut gather = |enough: usize| {
            let mut parts = Vec::with_capacity(enough);
            for part in left.by_ref() {
                looked_at += 1;
                seen += u64::from(part.header.count);
                if is_passed(&part.header) {
                    known = known.zip(part.header.matches(&search.filter)).map(|(known, more)| known + more);
                } else if part.header.may_pass(&search.filter) {
                    parts.push(part);
                    if parts.len() == enough {
                        break;
                    }
                }
            }
            Chunk {
                headers: parts.iter().map(|part| Arc::clone(&part.header)).collect(),
                parts,
                looked_at,
                seen,
            }
        };
        // The first page is most often in the first part: nothing is read beside that.
        let mut chunk = gather(1);
        let mut bodies = self.bodies(mem::take(&mut chunk.parts)).await?;
        let mut ahead = Vec::new();
        let mut is_first = true;
        while !chunk.headers.is_empty() {
            let looking = finished(tokio::task::spawn_blocking(move || task.look(&bodies)));
            let mut next = if is_first { Chunk::default() } else { gather(FEW) };
            let (looked, read) = tokio::join!(looking, self.bodies(mem::take(&mut next.parts)));
            task = looked?;
            progress(chunk.seen, total);
            if is_settled(&task.page, chunk.looked_at) {
                ahead = next.headers;
                break;
            }
            (chunk, bodies) = (next, read?);
            if mem::take(&mut is_first) {
                chunk = gather(FEW);
                bodies = self.bodies(mem::take(&mut chunk.parts)).await?;
            }
        }
        let mut matches = known.map(|known| known + task.matches);
        for header in ahead.into_iter().chain(left.map(|part| part.header)) {
            matches = matches.zip(header.matches(&search.filter)).map(|(matches, more)| matches + more);
        }
        Ok(task.page.finish(matches))
    }

    /// How many events pass. `progress` is told how many of how many were looked at.
    pub async fn count_matches(
        &self,
        filter: &Filter<EventColumn>,
        progress: Progress<'_>,
    ) -> Result<u64, Error> {
        let parts = self.parts().await?;
        let total: u64 = parts.iter().map(|part| u64::from(part.header.count)).sum();
        let search = Search {
            filter: filter.clone(),
            by: EventColumn::At,
            is_descending: true,
            after: None,
            limit: 0,
        };
        let search = Arc::new(search);
        let (mut matches, mut seen) = (0, 0);
        let mut unknown = Vec::new();
        for part in parts {
            match part.header.matches(filter) {
                Some(known) => {
                    matches += known;
                    seen += u64::from(part.header.count);
                }
                None => unknown.push(part),
            }
        }
        let mut unknown = unknown.into_iter();
        let mut gather = || {
            let parts: Vec<_> = unknown.by_ref().take(FEW).collect();
            (parts.iter().map(|part| u64::from(part.header.count)).sum::<u64>(), parts)
        };
        let (mut more, parts) = gather();
        let mut bodies = self.bodies(parts).await?;
        while more > 0 {
            let task = Task { search: Arc::clone(&search), page: Page::of(&search), matches: 0 };
            let looking = finished(tokio::task::spawn_blocking(move || task.look(&bodies)));
            let (next, parts) = gather();
            let (looked, read) = tokio::join!(looking, self.bodies(parts));
            matches += looked?.matches;
            seen += more;
            progress(seen, total);
            (more, bodies) = (next, read?);
        }
        Ok(matches)
    }

    /// How many events there are.
    pub async fn count_all_events(&self) -> Result<u64, Error> {
        let parts = self.parts().await?;
        Ok(parts.iter().map(|part| u64::from(part.header.count)).sum())
    }

    /// How many events there were in these days.
    pub async fn count_events(&self, days: std::ops::RangeInclusive<i64>) -> Result<Counts, Error> {
        let mut counts = Counts::new();
        for part in self.parts().await? {
            let (first, last) = (day_of(part.header.earliest), day_of(part.header.latest));
            if first > *days.end() || last < *days.start() {
                continue;
            }
            for ((day, action, outcome), count) in part.header.counts() {
                if days.contains(&day) {
                    *counts.entry((day, action, outcome)).or_default() += count;
                }
            }
        }
        Ok(counts)
    }

    /// The sources, domains, events or outcomes that there are.
    pub async fn words_of_events(&self, column: EventColumn) -> Result<BTreeSet<String>, Error> {
        let mut words = BTreeSet::new();
        for part in self.parts().await? {
            for word in part.header.words_of(column) {
                if !words.contains(word) {
                    words.insert(word.to_owned());
                }
            }
        }
        Ok(words)
    }

    /// The events behind that number, in their order, so many at most.
    pub async fn events_after(&self, number: u64, limit: usize) -> Result<Vec<Numbered>, Error> {
        let mut events = Vec::new();
        for part in self.parts().await?.into_iter().filter(|part| part.header.last() > number) {
            if events.len() >= limit {
                break;
            }
            for (header, body) in self.bodies(vec![part]).await? {
                let block = Block::open(&header, &body)?;
                let read = block.events()?;
                for row in 0..block.sheet().rows() {
                    if header.first + row as u64 > number && events.len() < limit {
                        events.push(read.read(row)?);
                    }
                }
            }
        }
        Ok(events)
    }
}

async fn finished(task: JoinHandle<Result<Task, Error>>) -> Result<Task, Error> {
    task.await.map_err(|error| Error::Unavailable(error.to_string()))?
}
