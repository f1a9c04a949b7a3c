//! People who are asked for.

use std::sync::Arc;

use super::{
    block::{Block, Header},
    index::body_prefix,
};
use crate::{
    domain::{
        filter::{Cell, Filter, Found, Page, Search},
        user::{User, UserColumn},
    },
    store::{Error, Store},
};

/// Bodies read at a time.
const FEW: usize = 8;

/// What is looked through, with what was found.
struct Task {
    search: Arc<Search<UserColumn>>,
    page: Page<User>,
    matches: u64,
}

impl Task {
    fn look(mut self, bodies: &[Vec<u8>]) -> Result<Self, Error> {
        for body in bodies {
            let block = Block::open(body)?;
            let rows = block.sheet().select(&self.search.filter)?;
            self.matches += rows.count();
            if rows.is_empty() || self.search.limit == 0 {
                continue;
            }
            let by = block.column(self.search.by)?;
            let users = block.users()?;
            for row in rows.backward() {
                self.page.offer(by.of(row).key(), || users.identity(row), || users.read(row))?;
            }
        }
        Ok(self)
    }
}

impl Store {
    /// The index as it is, up to date as far as it can be: while nothing can be written it may be a little behind.
    async fn users_now(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Vec<Arc<Header>>, Error> {
        match self.index_users(progress).await {
            Ok(()) | Err(Error::ReadOnly(_)) => Ok(self.users.now().to_vec()),
            Err(error) => Err(error),
        }
    }

    async fn user_bodies(&self, headers: &[Arc<Header>]) -> Result<Vec<Vec<u8>>, Error> {
        let prefixes = headers.iter().map(|header| body_prefix(&header.first)).collect();
        let bodies = self.engine.join(prefixes).await?;
        Ok(bodies.into_iter().filter(|body| !body.is_empty()).collect())
    }

    /// A page of those who enrolled. `progress` is told how many of how many were looked at. It ends as soon as no other
    /// can be on the page; how many pass is then known only if the headers tell.
    pub async fn search_users(
        &self,
        search: &Search<UserColumn>,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Found<User>, Error> {
        let mut headers = self.users_now(progress).await?;
        let total: u64 = headers.iter().map(|header| u64::from(header.count)).sum();
        let mut seen = 0;
        headers.retain(|header| {
            let may_pass = header.may_pass(&search.filter);
            seen += if may_pass { 0 } else { u64::from(header.count) };
            may_pass
        });
        // The block that can come first is looked at first.
        let bound = |header: &Header| -> Cell {
            let (least, greatest) = header.bounds(search.by);
            if search.is_descending { greatest.clone() } else { least.clone() }
        };
        headers.sort_by_cached_key(|header| bound(header));
        if search.is_descending {
            headers.reverse();
        }
        let mut task = Task { search: Arc::new(search.clone()), page: Page::of(search), matches: 0 };
        let mut left = headers.as_slice();
        while let Some(next) = left.first() {
            let is_settled = task.page.last().is_some_and(|last| {
                let next = bound(next);
                if search.is_descending { next < *last } else { next > *last }
            });
            if is_settled {
                break;
            }
            let (chunk, rest) = left.split_at(left.len().min(FEW));
            left = rest;
            let bodies = self.user_bodies(chunk).await?;
            seen += chunk.iter().map(|header| u64::from(header.count)).sum::<u64>();
            let looked = tokio::task::spawn_blocking(move || task.look(&bodies)).await;
            task = looked.map_err(|error| Error::Unavailable(error.to_string()))??;
            progress(seen, total);
        }
        let mut matches = Some(task.matches);
        for header in left {
            matches = matches.zip(header.matches(&search.filter)).map(|(known, more)| known + more);
        }
        Ok(task.page.finish(matches))
    }

    /// How many of those who enrolled pass. `progress` is told how many of how many were looked at.
    pub async fn count_users(
        &self,
        filter: &Filter<UserColumn>,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<u64, Error> {
        let headers = self.users_now(progress).await?;
        if filter.is_everything() {
            return Ok(headers.iter().map(|header| u64::from(header.count)).sum());
        }
        // In an order that no page settles all of them are looked at.
        let search = Search {
            filter: filter.clone(),
            by: UserColumn::User,
            is_descending: false,
            after: None,
            limit: 0,
        };
        Ok(self.search_users(&search, progress).await?.matches.unwrap_or_default())
    }
}
