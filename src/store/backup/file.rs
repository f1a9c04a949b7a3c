//! The form of a backup: a head in the clear that says what it is, then the records, sealed in chunks, then what there was
//! of them.
//!
//! ```text
//! "regain backup 1\n" · length of the head (2 bytes) · head (JSON) · the first 8 bytes of the SHA-256 of all that
//! chunk 0 … chunk n: AES-256-GCM of 64 KiB each, of the last as much as is left (1 byte at least)
//! ```
//!
//! The chunks are those of the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption
//! and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015), as the age format has it: the nonce of each is its number and
//! whether it is the last, so that none can be left out, moved, or be the end but the last one. The key is made of the
//! secret file, of random bytes in the head and of the head itself: it seals this one file, and opens it only under the
//! very head it was made with.

use std::io::{ErrorKind, Read};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest,
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::Fault;
use crate::{
    domain::{clock::Timestamp, secret::Key},
    store::{
        engine::{MAXIMUM_KEY, MAXIMUM_VALUE},
        keyring::{Keyring, keyed_hash},
    },
};

const MAGIC: &[u8] = b"regain backup ";
const FORM: &[u8] = b"1\n";
/// So much of the records is in a chunk, in bytes.
pub const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
const SUM: usize = 8;
const LONGEST_HEAD: usize = 4096;

/// What everybody may know of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The form of the records in it.
    pub format: u32,
    /// The version of the program that made it.
    pub by: String,
    /// When it was begun.
    pub made_at: Timestamp,
    /// By what the right secret is recognised: nothing can be told of the secret from it.
    secret: String,
    /// Random bytes, so that no two are sealed with one key.
    salt: String,
}

impl Head {
    /// That of a new one.
    pub fn new(keys: &Keyring, format: u32, made_at: Timestamp) -> Result<Self, Fault> {
        let mut salt = [0; 32];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Fault::Trouble("no random numbers".into()))?;
        Ok(Self {
            format,
            by: env!("CARGO_PKG_VERSION").to_owned(),
            made_at,
            secret: recognition(keys),
            salt: HEXLOWER.encode(&salt),
        })
    }
}

fn recognition(keys: &Keyring) -> String {
    HEXLOWER.encode(&keyed_hash(&keys.backups, &[b"recognition"])[..16])
}

fn sum(head: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, head).as_ref()[..SUM].to_vec()
}

/// What is in a backup, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// From here on a key has this value.
    Put(Vec<u8>, Vec<u8>),
    /// From here on it has none.
    Remove(Vec<u8>),
    /// All that was before is whole.
    End(End),
}

/// The end of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How many entries there were before it.
    pub entries: u64,
}

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const END: u8 = 3;

impl Entry {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut part = |bytes: &[u8]| {
            let length =
                u32::try_from(bytes.len()).map_err(|_| Fault::Trouble("a record is too long".into()))?;
            out.extend(length.to_be_bytes());
            out.extend(bytes);
            Ok::<_, Fault>(())
        };
        match self {
            Self::Put(key, value) => {
                part(&[&[PUT], key.as_slice()].concat())?;
                part(value)
            }
            Self::Remove(key) => part(&[&[REMOVE], key.as_slice()].concat()),
            Self::End(end) => {
                let text = serde_json::to_vec(end).map_err(|error| Fault::Trouble(error.to_string()))?;
                part(&[&[END], text.as_slice()].concat())
            }
        }
    }
}

struct Cipher {
    key: LessSafeKey,
    number: u64,
}

impl Cipher {
    fn new(keys: &Keyring, head: &[u8]) -> Result<Self, Fault> {
        let own = Key::new(keyed_hash(&keys.backups, &[b"file", head]));
        let key = UnboundKey::new(&AES_256_GCM, own.reveal()).map_err(|_| Fault::Trouble("no key".into()))?;
        Ok(Self { key: LessSafeKey::new(key), number: 0 })
    }

    /// Of the next chunk: its number in 11 bytes, and whether it is the last.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(is_last);
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals a backup.
pub struct Sealer {
    cipher: Cipher,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    entries: u64,
}

impl Sealer {
    /// Begins one.
    pub fn new(keys: &Keyring, head: &Head) -> Result<Self, Fault> {
        let text = serde_json::to_vec(head).map_err(|error| Fault::Trouble(error.to_string()))?;
        let length = u16::try_from(text.len()).map_err(|_| Fault::Trouble("the head is too long".into()))?;
        let mut sealed = [MAGIC, FORM, &length.to_be_bytes(), &text].concat();
        let cipher = Cipher::new(keys, &sealed)?;
        sealed.extend(sum(&sealed));
        Ok(Self { cipher, plain: Vec::with_capacity(2 * CHUNK), sealed, entries: 0 })
    }

    /// Takes the next entry.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Fault> {
        entry.write(&mut self.plain)?;
        self.entries += 1;
        // The last chunk is not empty: one is sealed when it is certain that another follows.
        while self.plain.len() > CHUNK {
            let rest = self.plain.split_off(CHUNK);
            let chunk = std::mem::replace(&mut self.plain, rest);
            self.seal(chunk, false)?;
        }
        Ok(())
    }

    fn seal(&mut self, mut chunk: Vec<u8>, is_last: bool) -> Result<(), Fault> {
        let nonce = self.cipher.nonce(is_last);
        let sealed = self.cipher.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk);
        sealed.map_err(|_| Fault::Trouble("sealing failed".into()))?;
        self.sealed.append(&mut chunk);
        Ok(())
    }

    /// What is sealed by now and was not taken yet.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sealed)
    }

    /// Ends it: the last that is sealed.
    pub fn end(mut self) -> Result<Vec<u8>, Fault> {
        self.add(&Entry::End(End { entries: self.entries }))?;
        let chunk = std::mem::take(&mut self.plain);
        self.seal(chunk, true)?;
        Ok(self.take())
    }
}

/// Opens a backup.
#[derive(Debug)]
pub struct Opener<R> {
    from: R,
    cipher: Cipher,
    /// What is read beyond the present chunk: whether there is more tells whether it is the last.
    ahead: Option<u8>,
    plain: Vec<u8>,
    at: usize,
    is_last: bool,
    entries: u64,
    /// What it says of itself.
    pub head: Head,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(…)")
    }
}

impl<R: Read> Opener<R> {
    /// Reads the head; refuses what is none of ours, of another secret, or newer than formats up to `known`.
    pub fn new(mut from: R, keys: &Keyring, known: u32) -> Result<Self, Fault> {
        let mut read = vec![0; MAGIC.len() + FORM.len() + 2];
        let length = fill(&mut from, &mut read)?;
        if !read[..length].starts_with(MAGIC) {
            return Err(Fault::NoBackup);
        }
        if length < read.len() {
            return Err(Fault::Damaged("it ends in its head".into()));
        }
        let form = &read[MAGIC.len()..MAGIC.len() + FORM.len()];
        if form != FORM {
            // A program of later days writes another number there.
            return Err(match form[0] {
                b'2'..=b'9' => Fault::Newer("it is in a form that this program does not know".into()),
                _ => Fault::Damaged("its head was changed".into()),
            });
        }
        let length = usize::from(u16::from_be_bytes([read[read.len() - 2], read[read.len() - 1]]));
        if length > LONGEST_HEAD {
            return Err(Fault::Damaged("its head was changed".into()));
        }
        let mut rest = vec![0; length + SUM];
        if fill(&mut from, &mut rest)? < rest.len() {
            return Err(Fault::Damaged("it ends in its head".into()));
        }
        let (text, own_sum) = rest.split_at(length);
        read.extend(text);
        if sum(&read) != own_sum {
            return Err(Fault::Damaged("its head was changed".into()));
        }
        // A newer program may say more in it.
        let loose: serde_json::Value =
            serde_json::from_slice(text).map_err(|_| Fault::Damaged("its head can't be read".into()))?;
        let format = loose.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if format > u64::from(known) {
            return Err(Fault::Newer(format!(
                "it is in format {format}, made by Regain {}; this is Regain {}, which knows formats up to {known} only",
                loose.get("by").and_then(serde_json::Value::as_str).unwrap_or("?"),
                env!("CARGO_PKG_VERSION"),
            )));
        }
        let head: Head =
            serde_json::from_value(loose).map_err(|_| Fault::Damaged("its head can't be read".into()))?;
        if head.secret != recognition(keys) {
            return Err(Fault::Foreign);
        }
        let cipher = Cipher::new(keys, &read)?;
        let mut first = [0];
        let ahead = (fill(&mut from, &mut first)? == 1).then_some(first[0]);
        Ok(Self { from, cipher, ahead, plain: Vec::new(), at: 0, is_last: false, entries: 0, head })
    }

    /// The next entry. Nothing is to be asked for after the end, which is certain to be there in one that is whole.
    pub fn next(&mut self) -> Result<Entry, Fault> {
        let marked = self.part(MAXIMUM_KEY.max(LONGEST_HEAD) + 1)?;
        let (tag, rest) = marked.split_first().ok_or_else(|| damaged("an entry"))?;
        let entry = match *tag {
            PUT => Entry::Put(rest.to_vec(), self.part(MAXIMUM_VALUE)?),
            REMOVE => Entry::Remove(rest.to_vec()),
            END => {
                let end: End = serde_json::from_slice(rest).map_err(|_| damaged("its end"))?;
                if end.entries != self.entries || !self.is_last || self.at != self.plain.len() {
                    return Err(damaged("its end"));
                }
                return Ok(Entry::End(end));
            }
            _ => return Err(damaged("an entry")),
        };
        self.entries += 1;
        Ok(entry)
    }

    fn part(&mut self, longest: usize) -> Result<Vec<u8>, Fault> {
        let length = self.bytes(4)?;
        let length = length.try_into().map_or(u32::MAX, u32::from_be_bytes) as usize;
        if length > longest {
            return Err(damaged("an entry"));
        }
        self.bytes(length)
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            if self.at == self.plain.len() {
                self.open_next()?;
            }
            let some = (count - bytes.len()).min(self.plain.len() - self.at);
            bytes.extend(&self.plain[self.at..self.at + some]);
            self.at += some;
        }
        Ok(bytes)
    }

    fn open_next(&mut self) -> Result<(), Fault> {
        let Some(first) = self.ahead.take().filter(|_| !self.is_last) else {
            return Err(Fault::Damaged("it was cut off".into()));
        };
        let mut chunk = vec![first; CHUNK + TAG + 1];
        let length = 1 + fill(&mut self.from, &mut chunk[1..])?;
        self.is_last = length <= CHUNK + TAG;
        if !self.is_last {
            self.ahead = chunk.pop();
        }
        chunk.truncate(length.min(CHUNK + TAG));
        let number = self.cipher.number;
        let nonce = self.cipher.nonce(self.is_last);
        let opened = self.cipher.key.open_in_place(nonce, Aad::empty(), &mut chunk);
        let opened = opened.map_err(|_| {
            Fault::Damaged(format!(
                "part {number} of it was changed, or is not in its place, or what followed is missing"
            ))
        })?;
        (self.plain, self.at) = (opened.to_vec(), 0);
        Ok(())
    }
}

fn damaged(what: &str) -> Fault {
    Fault::Damaged(format!("{what} can't be read"))
}

/// Reads until there is no more, or no room; how much.
fn fill(from: &mut impl Read, into: &mut [u8]) -> Result<usize, Fault> {
    let mut read = 0;
    while read < into.len() {
        match from.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Trouble(error.to_string())),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_470_405_999);

    fn keys(byte: u8) -> Keyring {
        Keyring::from_secret(&Key::new([byte; 32]))
    }

    fn sealed(entries: &[Entry], format: u32) -> Vec<u8> {
        let mut sealer = Sealer::new(&keys(1), &Head::new(&keys(1), format, NOW).unwrap()).unwrap();
        for entry in entries {
            sealer.add(entry).unwrap();
        }
        let mut file = sealer.take();
        file.extend(sealer.end().unwrap());
        file
    }

    fn read(file: &[u8], key: u8) -> Result<Vec<Entry>, Fault> {
        let mut opener = Opener::new(file, &keys(key), 3)?;
        let mut entries = Vec::new();
        loop {
            match opener.next()? {
                Entry::End(end) => {
                    assert_eq!(end.entries, entries.len() as u64);
                    return Ok(entries);
                }
                entry => entries.push(entry),
            }
        }
    }

    fn some() -> Vec<Entry> {
        vec![Entry::Put(b"key".into(), b"value".into()), Entry::Remove(b"other".into())]
    }

    /// So many bytes of records, in entries of all lengths.
    fn many(bytes: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut left = bytes;
        while left > 8 {
            let length = (left - 8).min(1 + entries.len() * 997 % MAXIMUM_VALUE);
            entries.push(Entry::Put(vec![b'k'; 2], vec![b'v'; length]));
            left = left.saturating_sub(length + 11);
        }
        entries
    }

    #[test]
    fn what_is_sealed_is_read_back_whatever_its_length() {
        for entries in [vec![], some(), many(10_000)] {
            assert_eq!(read(&sealed(&entries, 3), 1).unwrap(), entries);
        }
        for bytes in CHUNK - 120..CHUNK + 120 {
            let entries = vec![
                Entry::Put(b"k".into(), vec![1; MAXIMUM_VALUE]),
                Entry::Put(b"l".into(), vec![1; bytes - MAXIMUM_VALUE]),
            ];
            assert_eq!(read(&sealed(&entries, 3), 1).unwrap(), entries);
        }
        assert_ne!(sealed(&some(), 3), sealed(&some(), 3), "each has a key of its own");
    }

    #[test]
    fn every_byte_that_is_changed_and_every_place_it_is_cut_at_is_noticed() {
        let file = sealed(&some(), 3);
        for at in 0..file.len() {
            for bit in [1, 0x80] {
                let mut spoilt = file.clone();
                spoilt[at] ^= bit;
                assert!(read(&spoilt, 1).is_err(), "byte {at}");
            }
            assert!(read(&file[..at], 1).is_err(), "cut at {at}");
        }
        assert!(read(&[&file[..], &[0]].concat(), 1).is_err(), "something behind it");
    }

    #[test]
    fn parts_that_are_left_out_moved_or_of_another_are_noticed() {
        let entries = many(5 * CHUNK);
        let (file, other) = (sealed(&entries, 3), sealed(&entries, 3));
        assert_eq!(file.len(), other.len());
        let begin = MAGIC.len()
            + FORM.len()
            + 2
            + SUM
            + usize::from(u16::from_be_bytes([
                file[MAGIC.len() + FORM.len()],
                file[MAGIC.len() + FORM.len() + 1],
            ]));
        let part = |file: &[u8], number: usize| {
            let from = begin + number * (CHUNK + TAG);
            file[from..file.len().min(from + CHUNK + TAG)].to_vec()
        };
        let head = &file[..begin];
        let parts: Vec<_> = (begin..file.len()).step_by(CHUNK + TAG).collect();
        let all: Vec<_> = (0..parts.len()).map(|number| part(&file, number)).collect();
        assert!(all.len() >= 5);
        assert!(read(&[head, &all.concat()].concat(), 1).is_ok());
        for number in 0..all.len() {
            let mut without = all.clone();
            without.remove(number);
            assert!(matches!(read(&[head, &without.concat()].concat(), 1), Err(Fault::Damaged(_))));
            let mut of_other = all.clone();
            of_other[number] = part(&other, number);
            assert!(matches!(read(&[head, &of_other.concat()].concat(), 1), Err(Fault::Damaged(_))));
            let mut moved = all.clone();
            moved.swap(number, (number + 1) % all.len());
            assert!(matches!(read(&[head, &moved.concat()].concat(), 1), Err(Fault::Damaged(_))));
            // Cut between two parts.
            assert!(matches!(read(&[head, &all[..number].concat()].concat(), 1), Err(Fault::Damaged(_))));
        }
        assert!(read(&[&other[..begin], &all.concat()].concat(), 1).is_err(), "under another head");
    }

    #[test]
    fn what_is_foreign_newer_or_no_backup_is_told_apart() {
        assert!(matches!(read(&sealed(&some(), 3), 2), Err(Fault::Foreign)));
        assert!(matches!(read(&sealed(&some(), 4), 1), Err(Fault::Newer(_))));
        assert!(matches!(read(b"PK\x03\x04 something else", 1), Err(Fault::NoBackup)));
        let mut newer = sealed(&some(), 3);
        newer[MAGIC.len()] = b'2';
        assert!(matches!(read(&newer, 1), Err(Fault::Newer(_))));
        let file = sealed(&[Entry::Put(b"name".into(), b"mary".into())], 3);
        assert!(!file.windows(4).any(|bytes| bytes == b"mary"));
    }
}
