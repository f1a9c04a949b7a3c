//! How often one address, one token, and all together, may come. Counted before anything is looked up, for every name alike.
//!
//! Kept in memory: a restart gives an address its tries back. What is counted against accounts is in the store.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::domain::{clock::Timestamp, network::network_of};

/// The most addresses remembered, or others; beyond, those with the most tries left are forgotten.
const MOST: usize = 50_000;

/// A bucket of tries that fills up again with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Timestamp,
    told: bool,
}

impl Bucket {
    /// Takes a try, or says how long to wait for one.
    fn take(&mut self, size: f64, per_second: f64, now: Timestamp) -> Result<(), Duration> {
        let filled = now.since(self.at).as_secs_f64() * per_second;
        self.left = (self.left + filled).min(size);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            self.told = false;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.left) / per_second))
    }
}

/// The request is one too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Excess {
    /// When to try again.
    pub wait: Duration,
    /// Whether it is the first in a row: only that one is written down.
    pub first: bool,
}

/// A bucket for each of many.
#[derive(Debug)]
pub struct Buckets<K>(Mutex<HashMap<K, Bucket>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Takes a try of that one. A limit of 0 is none.
    pub fn take(&self, key: K, per_minute: u32, now: Timestamp) -> Result<(), Excess> {
        if per_minute == 0 {
            return Ok(());
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = f64::from(per_minute);
        if buckets.len() >= MOST {
            forget(&mut buckets, size, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: size, at: now, told: false });
        take(bucket, size, size / 60.0, now)
    }
}

/// The buckets of all addresses, and the one they share.
#[derive(Debug, Default)]
pub struct AddressLimits {
    buckets: Buckets<IpAddr>,
    overall: Mutex<Option<Bucket>>,
}

impl AddressLimits {
    /// Takes a try of this address and one of all. A limit of 0 is none.
    pub fn take(
        &self,
        address: IpAddr,
        per_minute: u32,
        per_second_overall: u32,
        now: Timestamp,
    ) -> Result<(), Excess> {
        self.buckets.take(network_of(address), per_minute, now)?;
        if per_second_overall > 0 {
            let rate = f64::from(per_second_overall);
            let mut overall = self.overall.lock().unwrap_or_else(PoisonError::into_inner);
            let bucket = overall.get_or_insert(Bucket { left: rate, at: now, told: false });
            take(bucket, rate, rate, now)?;
        }
        Ok(())
    }
}

fn take(bucket: &mut Bucket, size: f64, per_second: f64, now: Timestamp) -> Result<(), Excess> {
    bucket.take(size, per_second, now).map_err(|wait| {
        let first = !bucket.told;
        bucket.told = true;
        Excess { wait: wait.max(Duration::from_secs(1)), first }
    })
}

/// Forgets addresses that have been quiet for a minute (their buckets are full again); if all are busy, every second.
fn forget<K: Eq + Hash>(buckets: &mut HashMap<K, Bucket>, size: f64, now: Timestamp) {
    buckets.retain(|_, bucket| now.since(bucket.at) < Duration::from_secs(60));
    if buckets.len() >= MOST {
        buckets.retain(|_, bucket| bucket.left < size / 2.0);
    }
    if buckets.len() >= MOST {
        let mut keep = false;
        buckets.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_tries_a_minute_and_then_waits() {
        let limits = AddressLimits::default();
        let mine = address("192.0.2.1");
        assert_eq!((0..100).filter(|_| limits.take(mine, 60, 0, NOW).is_ok()).count(), 60);
        assert_eq!(limits.take(mine, 60, 0, NOW).unwrap_err().wait, Duration::from_secs(1));
        assert!(limits.take(address("192.0.2.2"), 60, 0, NOW).is_ok(), "others are not held up");
        assert!(limits.take(mine, 60, 0, NOW + Duration::from_secs(1)).is_ok());
        assert!(limits.take(mine, 60, 0, NOW + Duration::from_secs(1)).unwrap_err().first);
        assert!(!limits.take(mine, 60, 0, NOW + Duration::from_secs(1)).unwrap_err().first);
    }

    #[test]
    fn a_subscriber_is_one_whatever_address_of_the_network_is_used() {
        let limits = AddressLimits::default();
        let granted = (0..100_u32)
            .filter(|n| limits.take(address(&format!("2001:db8::{n:x}")), 10, 0, NOW).is_ok())
            .count();
        assert_eq!(granted, 10);
        assert!(limits.take(address("2001:db8:0:1::1"), 10, 0, NOW).is_ok());
    }

    #[test]
    fn there_is_a_limit_for_all_together() {
        let limits = AddressLimits::default();
        let granted =
            (0..200_u8).filter(|n| limits.take(IpAddr::from([10, 0, 0, *n]), 10, 50, NOW).is_ok()).count();
        assert_eq!(granted, 50);
    }

    #[test]
    fn invented_addresses_take_no_more_memory_than_allowed() {
        let limits = AddressLimits::default();
        for n in 0..120_000_u32 {
            let _ = limits.take(IpAddr::from(n.to_be_bytes()), 10, 0, NOW);
        }
        assert!(limits.buckets.0.lock().unwrap().len() <= MOST);
    }
}
