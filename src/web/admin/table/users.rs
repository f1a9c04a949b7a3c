//! Those who enrolled, as a table.

use std::sync::Arc;

use super::{Kept, Table, story};
use crate::{
    domain::{
        filter::{Filter, Found, Search},
        user::{User, UserColumn},
    },
    flows::{Error, Services},
    report::{desk::Progress, rows},
};

/// Those who enrolled.
pub(in crate::web::admin) struct Users;

impl Table for Users {
    type Column = UserColumn;
    type Row = User;

    const KEY: &'static str = "users";
    const BY: UserColumn = UserColumn::User;
    const IS_DESCENDING: bool = false;
    const SHOWN: &'static [UserColumn] = &[
        UserColumn::User,
        UserColumn::Domain,
        UserColumn::Email,
        UserColumn::Enrolled,
        UserColumn::Reset,
        UserColumn::Unlocked,
        UserColumn::Changed,
        UserColumn::State,
    ];
    const IS_TICKED: bool = true;

    async fn search(
        services: Arc<Services>,
        search: Search<UserColumn>,
        progress: Arc<Progress>,
    ) -> Result<Found<User>, Error> {
        Ok(services.store.search_users(&search, &|seen, total| progress.tell(seen, total)).await?)
    }

    async fn count(
        services: Arc<Services>,
        filter: Filter<UserColumn>,
        progress: Arc<Progress>,
    ) -> Result<u64, Error> {
        let search = Search { filter, by: UserColumn::State, is_descending: false, after: None, limit: 1 };
        let found = Self::search(services, search, progress).await?;
        Ok(found.matches.unwrap_or_default())
    }

    fn source(kept: Kept) -> impl rows::Source<Row = User> + 'static {
        rows::Users(kept)
    }

    fn href(row: &User, column: UserColumn) -> Option<String> {
        (column == UserColumn::User).then(|| story(&row.account))
    }

    fn name(row: &User) -> String {
        format!("{}@{}", row.account.guid, row.account.domain)
    }
}
