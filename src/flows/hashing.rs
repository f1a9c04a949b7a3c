//! Where hashes are computed: a few at a time, a bounded queue before them, so that a flood costs nobody memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

use super::Error;
use crate::domain::refusal::Service;

/// A bounded pool for argon2.
pub struct HashPool {
    working: Arc<Semaphore>,
    waiting: AtomicUsize,
    longest_queue: usize,
}

impl HashPool {
    /// `workers` hashes at a time (each takes the memory of its cost), at most `longest_queue` waiting.
    pub fn new(workers: usize, longest_queue: usize) -> Self {
        Self {
            working: Arc::new(Semaphore::new(workers.max(1))),
            waiting: AtomicUsize::new(0),
            longest_queue,
        }
    }

    /// How many wait for a place or are computed.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed) as u64
    }

    /// Computes when there is a place; says "busy" at once when the queue is full.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _place = Place::take(&self.waiting, self.longest_queue)?;
        let stopped = |_| Error::Internal("the hashing pool has stopped".into());
        let permit =
            Arc::clone(&self.working).acquire_owned().await.map_err(|e| Error::Internal(e.to_string()))?;
        // The permit goes along: a visitor who leaves doesn't free the place of a hash that is still computed.
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
        .map_err(stopped)
    }
}

struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Result<Self, Error> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(Error::Unavailable(Service::Busy, "the queue for hashing is full".into()));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_says_busy_and_recovers() {
        let pool = Arc::new(HashPool::new(1, 2));
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(move || gate.recv()).await }
        });
        while pool.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(|| 2).await }
        });
        while pool.waiting.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(pool.run(|| 3).await, Err(Error::Unavailable(Service::Busy, _))));
        release.send(()).unwrap();
        assert!(first.await.unwrap().is_ok());
        assert_eq!(second.await.unwrap().unwrap(), 2);
        assert_eq!(pool.run(|| 4).await.unwrap(), 4);
    }
}
