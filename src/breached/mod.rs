//! The passwords that were stolen elsewhere, in a file that is made once and asked without a network. It must not know
//! what is done with the answer.
//!
//! The file has no passwords and no hashes: of each SHA-1 hash only so many bits that a password that is not in the list
//! looks as if it were once in `2^k` times. Those of all are sorted and written as their differences (Golomb–Rice coding,
//! with a remainder of `k` bits): some `k + 1.5` bits each. The upper bits name a bucket of some 256 of them, so that a
//! question reads two places of a table and one bucket.

mod build;

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use aws_lc_rs::digest::{self, Digest};

use crate::domain::secret::Password;

pub use build::{Built, Lines, build};

/// What the file begins with.
const MAGIC: &[u8; 8] = b"regainBP";
const VERSION: u8 = 1;
/// Where the table begins: magic, version, remainder bits, bucket bits, bits within a bucket, four bytes of nothing, number
/// of entries, length of the file, and the SHA-256 of all else.
const HEAD: usize = 64;
/// So many entries a bucket has, about.
const BUCKET: u64 = 256;
/// No bucket is longer, however unlucky: what a damaged table says is not believed.
const LONGEST_BUCKET: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is no list made by `regain breached build`")]
    NoList,
    /// It is not as it was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// A line of what it is made from can't be understood.
    #[error("line {0}: {1}")]
    Line(u64, &'static str),
}

/// An open list.
#[derive(Debug)]
pub struct List {
    file: File,
    head: Head,
}

/// How a list is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    remainder_bits: u8,
    bucket_bits: u8,
    inner_bits: u8,
    entries: u64,
    length: u64,
}

impl Head {
    /// For so many entries, of which one in `2^remainder_bits` may be taken for one that isn't there.
    fn of(entries: u64, remainder_bits: u8) -> Self {
        let bits = |number: u64| u8::try_from(64 - number.leading_zeros()).unwrap_or(64);
        let bucket_bits = bits(entries.saturating_sub(1) / BUCKET);
        // As many values as entries times 2^k: they are found by chance once in 2^k times.
        let all = bits(entries.saturating_sub(1)).max(1) + remainder_bits;
        Self { remainder_bits, bucket_bits, inner_bits: all - bucket_bits, entries, length: 0 }
    }

    const fn bits(&self) -> u32 {
        self.bucket_bits as u32 + self.inner_bits as u32
    }

    const fn buckets(&self) -> u64 {
        1 << self.bucket_bits
    }

    /// Where the buckets begin.
    const fn data(&self) -> u64 {
        HEAD as u64 + (self.buckets() + 1) * 8
    }

    /// All of it but the checksum.
    fn write(&self) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend([VERSION, self.remainder_bits, self.bucket_bits, self.inner_bits, 0, 0, 0, 0]);
        head.extend(self.entries.to_le_bytes());
        head.extend(self.length.to_le_bytes());
        head
    }

    fn read(bytes: &[u8; HEAD]) -> Result<Self, Error> {
        if !bytes.starts_with(MAGIC) || bytes[8] != VERSION {
            return Err(Error::NoList);
        }
        let number =
            |at: usize| bytes[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let head = Self {
            remainder_bits: bytes[9],
            bucket_bits: bytes[10],
            inner_bits: bytes[11],
            entries: number(16),
            length: number(24),
        };
        let is_sound = head.bucket_bits <= 40 && (1..=48).contains(&head.inner_bits) && head.bits() <= 64;
        if is_sound && head.remainder_bits <= 32 && head.length >= head.data() {
            Ok(head)
        } else {
            Err(Error::Damaged("its first bytes make no sense"))
        }
    }
}

/// What a password is looked for as: the first 8 bytes of its SHA-1.
fn key(hash: &[u8]) -> u64 {
    hash.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn sha1(text: &[u8]) -> Digest {
    // The lists there are have these hashes; nothing depends on their strength.
    digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text)
}

/// What a password is looked for as; it tells little of it.
pub fn key_of(password: &Password) -> u64 {
    key(sha1(password.reveal().as_bytes()).as_ref())
}

impl List {
    /// Opens a list. That all of it is there is seen by its length, the rest by [`Self::verify`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path)?;
        let mut bytes = [0; HEAD];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Error::NoList),
            result => result?,
        }
        let head = Head::read(&bytes)?;
        if file.metadata()?.len() != head.length {
            return Err(Error::Damaged("it has another length than when it was made"));
        }
        Ok(Self { file, head })
    }

    /// How many passwords are in it.
    pub const fn entries(&self) -> u64 {
        self.head.entries
    }

    /// Its length, in bytes.
    pub const fn length(&self) -> u64 {
        self.head.length
    }

    /// Whether a password with this [key](key_of) is in it; seldom also of one that is not.
    pub fn has_key(&self, key: u64) -> Result<bool, Error> {
        if self.head.entries == 0 {
            return Ok(false);
        }
        let value = key >> (64 - self.head.bits());
        let (bucket, wanted) = (value >> self.head.inner_bits, value & ((1 << self.head.inner_bits) - 1));
        let mut places = [0; 16];
        self.file.read_exact_at(&mut places, HEAD as u64 + bucket * 8)?;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let (begin, end) = (number(&places[..8]), number(&places[8..]));
        let length = end.checked_sub(begin).filter(|length| *length <= LONGEST_BUCKET);
        let length = length.filter(|_| begin >= self.head.data() && end <= self.head.length);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
            return Err(Error::Damaged("its table makes no sense"));
        };
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, begin)?;
        let mut values =
            Values { bytes: &bytes, at: 0, remainder_bits: self.head.remainder_bits, last: None };
        Ok(values.find(|value| *value >= wanted) == Some(wanted))
    }

    /// Reads all of it, and tells whether it is what was written.
    pub fn verify(&self) -> Result<(), Error> {
        let (mut begin, mut written) = ([0; 32], [0; 32]);
        self.file.read_exact_at(&mut begin, 0)?;
        self.file.read_exact_at(&mut written, 32)?;
        if sum(&begin, &self.file)?.as_ref() == written {
            Ok(())
        } else {
            Err(Error::Damaged("its checksum is another"))
        }
    }
}

/// The SHA-256 of what a list begins with, and of all behind its head.
fn sum(begin: &[u8], file: &File) -> io::Result<Digest> {
    let mut sum = digest::Context::new(&digest::SHA256);
    sum.update(begin);
    let (mut at, mut piece) = (HEAD as u64, vec![0; 1 << 20]);
    loop {
        match file.read_at(&mut piece, at)? {
            0 => return Ok(sum.finish()),
            length => {
                sum.update(&piece[..length]);
                at += length as u64;
            }
        }
    }
}

/// The values of a bucket, in their order.
struct Values<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
    remainder_bits: u8,
    last: Option<u64>,
}

impl Values<'_> {
    fn bit(&mut self) -> Option<u64> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }
}

impl Iterator for Values<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut quotient = 0_u64;
        // The rest of the last byte is ones: no number ends there.
        while self.bit()? == 1 {
            quotient += 1;
        }
        let mut gap = quotient;
        for _ in 0..self.remainder_bits {
            gap = gap << 1 | self.bit()?;
        }
        let value = self.last.map_or(gap, |last| last.saturating_add(gap).saturating_add(1));
        self.last = Some(value);
        Some(value)
    }
}
