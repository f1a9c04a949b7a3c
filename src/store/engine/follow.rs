//! Following what is written while a copy is made: whoever follows is handed all that was carried out since, the last value
//! of each key. The engine hands over whole batches, in their order, once they are durable.
//!
//! What is read in pages meanwhile and what is handed over, laid one over the other in the order in which the reader got
//! them, is the state at the moment of the last hand-over: a key that was not written meanwhile was read as it is, and of
//! one that was the last value was handed over.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Batch, Error};

/// So many bytes wait for a follower at most: who takes them more slowly than visitors write is let go of.
const MOST_WAITING: usize = 16 << 20;

/// What was written: the last value of each key, none if it was removed.
pub type Written = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Default)]
struct Waiting {
    written: Written,
    bytes: usize,
    lost: Option<Error>,
}

impl Waiting {
    fn lose(&mut self, why: Error) {
        self.written.clear();
        self.bytes = 0;
        self.lost.get_or_insert(why);
    }
}

/// Follows what is written, as long as it lives.
pub struct Follower(Arc<Mutex<Waiting>>);

impl Follower {
    /// What was written since it was asked last. An error if it can't be said any more: all has to be read anew.
    pub fn take(&self) -> Result<Written, Error> {
        let mut waiting = lock(&self.0);
        if let Some(why) = &waiting.lost {
            return Err(why.clone());
        }
        waiting.bytes = 0;
        Ok(mem::take(&mut waiting.written))
    }
}

/// Those who follow an engine.
#[derive(Default)]
pub(super) struct Followers(Mutex<Vec<Weak<Mutex<Waiting>>>>);

impl Followers {
    pub fn add(&self) -> Follower {
        let follower = Follower(Arc::default());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&follower.0));
        follower
    }

    /// Hands over what was carried out, in its order.
    pub fn tell(&self, batches: &[Batch]) {
        self.each(|waiting| {
            if waiting.lost.is_some() {
                return;
            }
            for (key, value) in batches.iter().flat_map(|batch| &batch.writes) {
                waiting.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
                if let Some(before) = waiting.written.insert(key.clone(), value.clone()) {
                    waiting.bytes -= key.len() + before.map_or(0, |value| value.len());
                }
            }
            if waiting.bytes > MOST_WAITING {
                waiting.lose(Error::Unavailable("more was written meanwhile than the copy was taken".into()));
            }
        });
    }

    /// What was carried out can't be said any more.
    pub fn lose(&self, why: &Error) {
        self.each(|waiting| waiting.lose(why.clone()));
    }

    fn each(&self, tell: impl Fn(&mut Waiting)) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).for_each(|follower| tell(&mut lock(&follower)));
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8], value: &[u8]) -> Batch {
        Batch::new().put(key.into(), value.into())
    }

    #[test]
    fn the_last_value_of_each_key_is_handed_over_once() {
        let followers = Followers::default();
        let follower = followers.add();
        followers.tell(&[put(b"a", b"1"), put(b"b", b"1"), Batch::new().remove(b"a".into())]);
        followers.tell(&[put(b"b", b"2")]);
        let written = follower.take().unwrap();
        assert_eq!(written, [(b"a".to_vec(), None), (b"b".to_vec(), Some(b"2".to_vec()))].into());
        assert!(follower.take().unwrap().is_empty());
        drop(follower);
        followers.tell(&[put(b"c", b"1")]);
    }

    #[test]
    fn who_is_too_slow_is_let_go_of_and_the_same_key_again_and_again_is_not_much() {
        let followers = Followers::default();
        let follower = followers.add();
        let megabyte = vec![0; 1 << 20];
        for _ in 0..100 {
            followers.tell(&[put(b"one", &megabyte)]);
        }
        assert_eq!(follower.take().unwrap().len(), 1);
        for number in 0..17_u8 {
            followers.tell(&[put(&[number], &megabyte)]);
        }
        assert!(follower.take().is_err() && follower.take().is_err());
        assert!(followers.add().take().is_ok(), "others go on");
    }
}
