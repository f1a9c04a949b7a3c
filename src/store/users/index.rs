//! The index of those who enrolled: blocks of them in the order of their identities, made of enrollments and counts, and
//! brought up to date by the marks that every write of one of these leaves in its own batch.

use std::{
    ops::Bound,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Mutex;

use super::block::{self, Block, Header};
use crate::{
    domain::{enrollment::Enrollment, filter::Row as _, user::User},
    store::{
        Error, Store,
        engine::{self, Batch, Engine},
        pieces,
        record::{self, Kept, Space, UsersIndexed},
    },
};

/// Marks taken at a time: each is removed, and removals are held to few for the engine's sake.
const FEW: usize = 40;
/// Records read at a time.
const PAGE: usize = 400;
/// So often a mark that is set again meanwhile is tried before it is left for the next time.
const TRIES: usize = 5;

/// The headers of all blocks, in their order.
pub type Headers = Arc<Vec<Arc<Header>>>;

/// What is known of the blocks.
#[derive(Default)]
pub struct Index {
    headers: RwLock<Headers>,
    /// Held by the one who changes them.
    turn: Mutex<()>,
    /// Whether something may have been written that is not in these headers.
    is_doubtful: AtomicBool,
}

impl Index {
    /// One that has yet to be read.
    pub fn unread() -> Self {
        Self { is_doubtful: AtomicBool::new(true), ..Self::default() }
    }

    /// Reads all headers.
    pub async fn open(engine: &dyn Engine) -> Result<Self, Error> {
        let (mut from, to) = record::space_bounds(Space::UserHeaders);
        let mut headers = Vec::new();
        loop {
            let rows = engine.scan(from, to.clone(), PAGE).await?;
            let Some((last, _)) = rows.last() else { break };
            from = Bound::Excluded(last.clone());
            for (_, bytes) in &rows {
                headers.push(Arc::new(Header::read(bytes)?));
            }
        }
        Ok(Self { headers: RwLock::new(Arc::new(headers)), ..Self::default() })
    }

    /// Those that there are now.
    pub fn now(&self) -> Headers {
        Arc::clone(&self.headers.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, headers: Vec<Arc<Header>>) {
        *self.headers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(headers);
    }
}

/// The key of the header of the block that begins there.
pub(super) fn header_key(first: &[u8]) -> Vec<u8> {
    [&[Space::UserHeaders.letter()], first].concat()
}

/// What the keys of the body of that block begin with.
pub fn body_prefix(first: &[u8]) -> Vec<u8> {
    pieces::prefix(Space::UserBodies, first)
}

/// Writes a block in the place of the one whose body had so many bytes.
fn put_block(batch: Batch, old_size: usize, header: &Header, body: &[u8]) -> Batch {
    let batch = batch.put(header_key(&header.first), header.write());
    pieces::put(batch, Space::UserBodies, &header.first, old_size, body)
}

/// The key of the mark that what is written under that key leaves, if it is about a person.
pub fn mark_of(key: &[u8]) -> Option<Vec<u8>> {
    let is_about_someone =
        [Space::Enrollments, Space::Tallies].iter().any(|space| key.starts_with(&[space.letter(), b'k']));
    is_about_someone.then(|| [&[Space::UserMarks.letter()], &key[2..]].concat())
}

impl Store {
    /// Brings the index of those who enrolled up to date. If it can't be read it is made anew: all that is in it is kept
    /// elsewhere.
    pub async fn index_users(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(), Error> {
        let _turn = self.users.turn.lock().await;
        match self.bring_up_to_date(progress).await {
            Err(Error::Damaged(why)) => {
                tracing::error!(why, "the index of those who enrolled can't be read; it is made anew");
                self.forget_index().await?;
                self.bring_up_to_date(progress).await
            }
            result => result,
        }
    }

    /// Removes the index.
    async fn forget_index(&self) -> Result<(), Error> {
        self.engine.commit(Batch::new().remove(UsersIndexed::key(&()))).await?;
        for space in [Space::UserHeaders, Space::UserBodies] {
            let (from, to) = record::space_bounds(space);
            loop {
                let rows = self.engine.scan(from.clone(), to.clone(), FEW).await?;
                if rows.is_empty() {
                    break;
                }
                let batch = rows.into_iter().fold(Batch::new(), |batch, (key, _)| batch.remove(key));
                self.engine.commit(batch).await?;
            }
        }
        self.users.set(Vec::new());
        Ok(())
    }

    async fn bring_up_to_date(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(), Error> {
        // Whoever waits for this may go away in the middle of it, and what they wrote is written all the same: only when
        // it comes to its end it is certain what there is.
        if self.users.is_doubtful.swap(true, Ordering::Relaxed) {
            // Answered after all that was left in the queue.
            let _ = self.engine.commit(Batch::new().expect_absent(vec![Space::UserMarks.letter()])).await;
            let found = Index::open(self.engine.as_ref()).await?;
            self.users.set(found.now().to_vec());
        }
        if self.find::<UsersIndexed>(&()).await?.is_none() {
            self.index_all(progress).await?;
        }
        let (mut from, to) = record::space_bounds(Space::UserMarks);
        let mut tries = 0;
        loop {
            let marks = self.engine.scan(from.clone(), to.clone(), FEW).await?;
            let Some((last, _)) = marks.last() else {
                self.users.is_doubtful.store(false, Ordering::Relaxed);
                return Ok(());
            };
            match self.take_marks(&marks).await {
                // Someone of them was changed meanwhile.
                Err(Error::Conflict) if tries < TRIES => {
                    tries += 1;
                    continue;
                }
                Ok(()) | Err(Error::Conflict) => tries = 0,
                Err(error) => return Err(error),
            }
            from = Bound::Excluded(last.clone());
        }
    }

    /// Indexes those who enrolled before there was an index; it can be broken off and gone on with.
    async fn index_all(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(), Error> {
        let mut headers = self.users.now().to_vec();
        let mut after = None;
        if let Some(last) = headers.last() {
            let body = self.engine.join(vec![body_prefix(&last.first)]).await?.concat();
            let block = Block::open(&body)?;
            let last =
                block.sheet().rows().checked_sub(1).map(|row| block.users().map(|users| users.identity(row)));
            after = last
                .transpose()?
                .map(|identity| [&[Space::Enrollments.letter(), b'k'], &identity[..]].concat());
        }
        let mut seen: u64 = headers.iter().map(|header| u64::from(header.count)).sum();
        loop {
            let page = self.page::<Enrollment>(after.take(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            let mut users = Vec::with_capacity(page.len());
            for (key, enrollment) in &page {
                let account =
                    record::owner(key).ok_or_else(|| Error::Damaged("a key of an enrollment".into()))?;
                users.push(self.user_of(account, enrollment).await?);
            }
            let first = if headers.is_empty() {
                Vec::new()
            } else {
                users.first().map(User::identity).unwrap_or_default()
            };
            let mut batch = Batch::new();
            for (header, body) in block::make(first, &users) {
                batch = put_block(batch, 0, &header, &body);
                headers.push(Arc::new(header));
            }
            self.engine.commit(batch).await?;
            seen += page.len() as u64;
            progress(seen, seen);
        }
        self.users.set(headers);
        let done = record::encode(&UsersIndexed(1))?;
        Ok(self.engine.commit(Batch::new().put(UsersIndexed::key(&()), done)).await?)
    }

    /// Brings up to date what is known of those who are marked, and takes the marks away.
    async fn take_marks(&self, marks: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
        let mut left = marks;
        while let Some((mark, _)) = left.first() {
            let headers = self.users.now();
            let at = headers.partition_point(|header| header.first[..] <= mark[1..]).saturating_sub(1);
            let end = headers.get(at + 1).map(|next| &next.first[..]);
            let here = left.iter().take_while(|(mark, _)| end.is_none_or(|end| mark[1..] < *end)).count();
            let (these, rest) = left.split_at(here);
            left = rest;
            self.update(&headers, at, these).await?;
        }
        Ok(())
    }

    /// Brings one block up to date.
    async fn update(&self, headers: &Headers, at: usize, marks: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
        let old = headers.get(at);
        let first = old.map(|header| header.first.clone()).unwrap_or_default();
        let mut users = Vec::new();
        let old_body = self.engine.join(vec![body_prefix(&first)]).await?.concat();
        if !old_body.is_empty() {
            let block = Block::open(&old_body)?;
            let read = block.users()?;
            for row in 0..block.sheet().rows() {
                users.push((read.identity(row), read.read(row)?));
            }
        }
        let mut batch = Batch::new();
        for (mark, value) in marks {
            batch = batch.expect_value(mark.clone(), value.clone()).remove(mark.clone());
            let enrollment_key = [&[Space::Enrollments.letter(), b'k'], &mark[1..]].concat();
            let account =
                record::owner(&enrollment_key).ok_or_else(|| Error::Damaged("a mark of a user".into()))?;
            let found = self.find_user(&account).await?;
            match (users.binary_search_by(|(identity, _)| identity[..].cmp(&mark[1..])), found) {
                (Ok(at), Some(user)) => users[at].1 = user,
                (Ok(at), None) => drop(users.remove(at)),
                (Err(at), Some(user)) => users.insert(at, (mark[1..].to_vec(), user)),
                (Err(_), None) => {}
            }
        }
        let users: Vec<_> = users.into_iter().map(|(_, user)| user).collect();
        let made = if users.is_empty() && at > 0 {
            batch =
                pieces::remove(batch.remove(header_key(&first)), Space::UserBodies, &first, old_body.len());
            Vec::new()
        } else {
            block::make(first, &users)
        };
        for (at, (header, body)) in made.iter().enumerate() {
            batch = put_block(batch, if at == 0 { old_body.len() } else { 0 }, header, body);
        }
        match self.engine.commit(batch).await {
            Ok(()) => {}
            Err(engine::Error::Conflict) => return Err(Error::Conflict),
            Err(error) => return Err(error.into()),
        }
        let mut all = headers.to_vec();
        all.splice(at..(at + 1).min(headers.len()), made.into_iter().map(|(header, _)| Arc::new(header)));
        self.users.set(all);
        Ok(())
    }
}
