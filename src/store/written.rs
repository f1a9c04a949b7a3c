//! How many events of each kind were written since the program began, for those who watch it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::audit::{Action, Outcome};

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Written([[AtomicU64; Outcome::ALL.len()]; Action::ALL.len()]);

impl Written {
    pub(super) fn add(&self, action: Action, outcome: Outcome) {
        self.0[action as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each kind, with its count.
    pub(super) fn all(&self) -> impl Iterator<Item = (Action, Outcome, u64)> {
        self.0.iter().zip(Action::ALL).flat_map(|(counts, action)| {
            let counts = counts.iter().zip(Outcome::ALL);
            counts.map(move |(count, outcome)| (action, outcome, count.load(Ordering::Relaxed)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself() {
        let written = Written::default();
        for (times, (action, outcome, _)) in written.all().enumerate() {
            (0..times).for_each(|_| written.add(action, outcome));
        }
        for (times, (.., count)) in written.all().enumerate() {
            assert_eq!(count, times as u64);
        }
    }
}
