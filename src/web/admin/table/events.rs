//! The audit log as a table.

use std::sync::Arc;

use super::{Kept, Table, story, view::View};
use crate::{
    domain::{
        account::{AccountKey, DomainName},
        audit::{EventColumn, Numbered},
        filter::{Cell, Filter, Found, Row as _, Search, Test},
    },
    flows::{Error, Services},
    report::{desk::Progress, rows},
};

/// The audit log.
pub(in crate::web::admin) struct Events;

impl Table for Events {
    type Column = EventColumn;
    type Row = Numbered;

    const KEY: &'static str = "events";
    const BY: EventColumn = EventColumn::At;
    const IS_DESCENDING: bool = true;
    const SHOWN: &'static [EventColumn] = &[
        EventColumn::At,
        EventColumn::Outcome,
        EventColumn::Action,
        EventColumn::Detail,
        EventColumn::User,
        EventColumn::Domain,
        EventColumn::Source,
        EventColumn::SourceIp,
        EventColumn::SourceUser,
    ];
    const IS_TICKED: bool = false;

    async fn search(
        services: Arc<Services>,
        search: Search<EventColumn>,
        progress: Arc<Progress>,
    ) -> Result<Found<Numbered>, Error> {
        Ok(services.store.search_events(&search, &|seen, total| progress.tell(seen, total)).await?)
    }

    async fn count(
        services: Arc<Services>,
        filter: Filter<EventColumn>,
        progress: Arc<Progress>,
    ) -> Result<u64, Error> {
        Ok(services.store.count_matches(&filter, &|seen, total| progress.tell(seen, total)).await?)
    }

    fn source(kept: Kept) -> impl rows::Source<Row = Numbered> + 'static {
        rows::Events(kept)
    }

    /// The user leads to their story, or to their events if it is nobody's account; what else is the same in several events
    /// to those.
    fn href(row: &Numbered, column: EventColumn) -> Option<String> {
        let Cell::Text(text) = row.cell(column) else { return None };
        match (column, row.event.account) {
            (EventColumn::User, Some(guid)) => {
                Some(story(&AccountKey { domain: DomainName::new(&row.event.domain), guid }))
            }
            (
                EventColumn::User | EventColumn::SourceIp | EventColumn::Reference | EventColumn::Account,
                _,
            ) => {
                let same = Filter::Is(column, Test::In(vec![text]));
                let view = View::<Self>::usual().of(same);
                (!view.is_too_long()).then(|| view.href())
            }
            _ => None,
        }
    }

    fn name(row: &Numbered) -> String {
        row.number.to_string()
    }
}
