//! Events that are asked for.

use std::{collections::BTreeMap, ops::Bound};

use super::{Direction, Error, PAGE, Store, entry, record, record::Space};
use crate::domain::{
    audit::{Action, EventColumn, Numbered, Outcome},
    filter::{Filter, Found, Page, Row as _, Search, day_of},
};

/// How many events there were, by day (since 1970-01-01 UTC), event and outcome.
pub type Counts = BTreeMap<(i64, Action, Outcome), u64>;

impl Store {
    /// A page of the audit log. `progress` is told how many of how many events were looked at.
    pub async fn search_events(
        &self,
        search: &Search<EventColumn>,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Found<Numbered>, Error> {
        let mut page = Page::of(search);
        let total = self.head().await?.map_or(0, |head| head.number);
        let (from, mut to) = record::space_bounds(Space::Audit);
        let mut seen = 0;
        loop {
            let rows = self.engine.scan(from.clone(), to.clone(), Direction::Backward, PAGE).await?;
            let Some((last, _)) = rows.last() else { return Ok(page.finish(true)) };
            to = Bound::Excluded(last.clone());
            for (key, record) in &rows {
                let number =
                    record::number_of(key).ok_or_else(|| Error::Damaged("a key of the audit log".into()))?;
                let row = Numbered { number, event: entry::read(entry::parts(record)?.1)? };
                if search.filter.passes(&mut |column, test| row.cell(column).passes(test)) {
                    page.offer(row.cell(search.by).for_order(), row.identity(), || {
                        Ok::<_, Error>(row.clone())
                    })?;
                }
            }
            seen += rows.len() as u64;
            progress(seen, total);
        }
    }

    /// How many events there were in these days.
    pub async fn count_events(&self, days: std::ops::RangeInclusive<i64>) -> Result<Counts, Error> {
        let search = Search {
            filter: Filter::EVERYTHING,
            by: EventColumn::At,
            is_descending: true,
            after: None,
            limit: usize::MAX,
        };
        let mut counts = Counts::new();
        for row in self.search_events(&search, &|_, _| {}).await?.rows {
            let day = day_of(row.event.at);
            if days.contains(&day) {
                *counts.entry((day, row.event.action, row.event.outcome)).or_default() += 1;
            }
        }
        Ok(counts)
    }
}
