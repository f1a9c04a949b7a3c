//! Whether a word may be among some hundreds (a Bloom filter): a no is certain, a yes wrong once in three hundred times.

/// Bits for each word, and how many of them are set: with these a yes is wrong in 3.1 of 1000 times
/// ((1 − e^(−8/12))^8). A block that is read for nothing costs more than the memory.
const BITS: usize = 12;
const SET: u64 = 8;

/// The words, as bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bloom(Box<[u8]>);

impl Bloom {
    /// Of the hashes of words.
    pub fn of<'a>(hashes: impl IntoIterator<Item = &'a u64, IntoIter: ExactSizeIterator>) -> Self {
        let hashes = hashes.into_iter();
        let mut bytes = vec![0; (hashes.len() * BITS).div_ceil(8)].into_boxed_slice();
        for hash in hashes {
            places(*hash, bytes.len()).for_each(|(at, bit)| bytes[at] |= bit);
        }
        Self(bytes)
    }

    /// That one whose bytes these are.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the word of that hash may be among them.
    pub fn has(&self, hash: u64) -> bool {
        !self.0.is_empty() && places(hash, self.0.len()).all(|(at, bit)| self.0[at] & bit != 0)
    }

    /// The hash of a word of some kind (FNV-1a, mixed once more as in splitmix64). Kept in the store: it must not change.
    pub fn hash(kind: &str, word: &str) -> u64 {
        let bytes = kind.bytes().chain([0]).chain(word.bytes());
        let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }
}

/// Byte and bit of each place of a hash, by double hashing (Kirsch and Mitzenmacher).
fn places(hash: u64, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let step = hash.rotate_left(32) | 1;
    let bits = bytes as u64 * 8;
    (0..SET).map(move |turn| {
        let place = hash.wrapping_add(step.wrapping_mul(turn)) % bits;
        (usize::try_from(place / 8).unwrap_or_default(), 1 << (place % 8))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_no_is_certain_and_a_yes_seldom_wrong() {
        let hashes: BTreeSet<_> = (0..500).map(|at| Bloom::hash("user", &format!("user{at}"))).collect();
        let bloom = Bloom::of(&hashes);
        assert!(hashes.iter().all(|hash| bloom.has(*hash)));
        let wrong = (0..10_000).filter(|at| bloom.has(Bloom::hash("user", &format!("other{at}")))).count();
        assert!((5..100).contains(&wrong), "{wrong} of 10000");
        assert!(!bloom.has(Bloom::hash("account", "user1")) || !bloom.has(Bloom::hash("account", "user2")));
        assert_eq!(Bloom::of_bytes(bloom.bytes()), bloom);
        assert!(!Bloom::of(&BTreeSet::new()).has(1));
    }

    #[test]
    fn hashes_stay_as_they_are() {
        assert_eq!(Bloom::hash("user", "alice"), HASH_OF_ALICE);
    }

    /// As it is in stores that are in use.
    const HASH_OF_ALICE: u64 = 16_729_832_425_650_697_205;
}
