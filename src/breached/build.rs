//! Making the list: from hashes or passwords in any order, with little memory.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use super::{Error, HEAD, Head, key, sha1, sum};

/// So many keys are sorted at a time: 128 MiB.
const CHUNK: usize = 16 * 1024 * 1024;
/// The longest line that is read; passwords of the lists there are have less.
const LONGEST_LINE: u64 = 4096;

/// What the lines of the source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// SHA-1 hashes in hexadecimal, perhaps with `:` and how often the password was seen behind; those that were seen less
    /// often than this are left out.
    Hashes {
        /// See above.
        least: u64,
    },
    /// The passwords themselves, as UTF-8 or whatever bytes they are.
    Passwords,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// So many lines were read.
    pub lines: u64,
    /// So many entries are in it: those that look the same are one.
    pub entries: u64,
    /// Its length, in bytes.
    pub length: u64,
}

/// Makes a list at that path, from these lines; of a password that is not in it one in `2^remainder_bits` is taken for one
/// that is. `progress` is told how many lines were read. The file is there when it is whole.
pub fn build(
    source: impl BufRead,
    lines: Lines,
    remainder_bits: u8,
    path: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Built, Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (runs, read) = sort(source, lines, folder, CHUNK, progress)?;
    let kept = runs.iter().map(|run| run.left).sum();
    let mut head = Head::of(kept, remainder_bits);
    let mut out = tempfile::Builder::new().permissions(mode()).tempfile_in(folder)?;
    let mut writer = BufWriter::with_capacity(1 << 20, out.as_file_mut());
    // The table comes first and is known last.
    writer.seek(SeekFrom::Start(head.data()))?;
    let (table, length, entries) = write_buckets(&mut writer, &head, Merged::of(runs)?)?;
    (head.length, head.entries) = (length, entries);
    writer.seek(SeekFrom::Start(HEAD as u64))?;
    for place in table {
        writer.write_all(&place.to_le_bytes())?;
    }
    writer.flush()?;
    drop(writer);
    let begin = head.write();
    let sum = sum(&begin, out.as_file())?;
    out.as_file_mut().seek(SeekFrom::Start(0))?;
    out.as_file_mut().write_all(&begin)?;
    out.as_file_mut().write_all(sum.as_ref())?;
    out.as_file_mut().sync_all()?;
    out.persist(path).map_err(|error| error.error)?;
    Ok(Built { lines: read, entries, length })
}

/// Nothing in it is secret.
fn mode() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// Keys in their order, in a file of their own.
struct Run {
    file: BufReader<File>,
    left: u64,
}

impl Run {
    fn next(&mut self) -> io::Result<Option<u64>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes)?;
        Ok(Some(u64::from_le_bytes(bytes)))
    }
}

/// Reads all lines and leaves their keys in runs of `chunk` at most.
fn sort(
    mut source: impl BufRead,
    lines: Lines,
    folder: &Path,
    chunk: usize,
    progress: &mut dyn FnMut(u64),
) -> Result<(Vec<Run>, u64), Error> {
    let (mut runs, mut keys, mut line, mut read) = (Vec::new(), Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        let is_end = (&mut source).take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0;
        if is_end || keys.len() == chunk {
            runs.extend(run(&mut keys, folder)?);
        }
        if is_end {
            progress(read);
            return Ok((runs, read));
        }
        read += 1;
        if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            return Err(Error::Line(read, "is too long"));
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        // A list may begin with the mark of its encoding.
        let text = text.strip_prefix(b"\xef\xbb\xbf").filter(|_| read == 1).unwrap_or(text);
        if !text.is_empty() {
            keys.extend(key_of(text, lines).map_err(|fault| Error::Line(read, fault))?);
        }
        if read.is_multiple_of(1_000_000) {
            progress(read);
        }
    }
}

const WRONG: &str = "is no SHA-1 hash of 40 hexadecimal digits; for passwords themselves say --passwords";

/// The key of a line; none if it is to be left out.
fn key_of(line: &[u8], lines: Lines) -> Result<Option<u64>, &'static str> {
    let Lines::Hashes { least } = lines else { return Ok(Some(key(sha1(line).as_ref()))) };
    let (hash, count) = match line.iter().position(|byte| *byte == b':') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    };
    if hash.len() != 40 || !hash.iter().all(u8::is_ascii_hexdigit) {
        return Err(WRONG);
    }
    let digits = std::str::from_utf8(&hash[..16]).map_err(|_| WRONG)?;
    let found = u64::from_str_radix(digits, 16).map_err(|_| WRONG)?;
    let seen = match count {
        None => u64::MAX,
        Some(count) => {
            let count = std::str::from_utf8(count).ok().and_then(|count| count.trim().parse().ok());
            count.ok_or("has no number behind the colon")?
        }
    };
    Ok(Some(found).filter(|_| seen >= least))
}

fn run(keys: &mut Vec<u64>, folder: &Path) -> io::Result<Option<Run>> {
    if keys.is_empty() {
        return Ok(None);
    }
    keys.sort_unstable();
    keys.dedup();
    let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(folder)?);
    for key in &*keys {
        file.write_all(&key.to_le_bytes())?;
    }
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    let left = keys.len() as u64;
    keys.clear();
    Ok(Some(Run { file: BufReader::with_capacity(1 << 18, file), left }))
}

/// The keys of all runs, in their order.
struct Merged {
    runs: Vec<Run>,
    next: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merged {
    fn of(mut runs: Vec<Run>) -> io::Result<Self> {
        let mut next = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            next.extend(run.next()?.map(|key| Reverse((key, index))));
        }
        Ok(Self { runs, next })
    }

    fn next(&mut self) -> io::Result<Option<u64>> {
        let Some(Reverse((key, index))) = self.next.pop() else { return Ok(None) };
        self.next.extend(self.runs[index].next()?.map(|key| Reverse((key, index))));
        Ok(Some(key))
    }
}

/// Writes the buckets one behind the other: where each begins and the last ends, where that is, and how many values there
/// are.
fn write_buckets(
    out: &mut impl io::Write,
    head: &Head,
    mut keys: Merged,
) -> io::Result<(Vec<u64>, u64, u64)> {
    let mut table = Vec::new();
    let (mut at, mut entries, mut last, mut bits) = (head.data(), 0, None, Bits::default());
    while let Some(key) = keys.next()? {
        let value = key >> (64 - head.bits());
        if last == Some(value) {
            continue;
        }
        let (bucket, inner) = (value >> head.inner_bits, value & ((1 << head.inner_bits) - 1));
        let before = last.filter(|last| last >> head.inner_bits == bucket);
        if before.is_none() {
            at += bits.end(out)?;
            while table.len() as u64 <= bucket {
                table.push(at);
            }
        }
        let gap = before.map_or(inner, |last| value - last - 1);
        bits.add(gap, head.remainder_bits);
        (last, entries) = (Some(value), entries + 1);
    }
    at += bits.end(out)?;
    while table.len() as u64 <= head.buckets() {
        table.push(at);
    }
    Ok((table, at, entries))
}

/// The bits of a bucket.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken.
    taken: u8,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.taken == 0 {
            // Ones, until something else is written: no number ends in them.
            self.bytes.push(0xFF);
        }
        if let (false, Some(byte)) = (bit, self.bytes.last_mut()) {
            *byte &= !(0x80 >> self.taken);
        }
        self.taken = (self.taken + 1) % 8;
    }

    fn add(&mut self, gap: u64, remainder_bits: u8) {
        for _ in 0..gap >> remainder_bits {
            self.push(true);
        }
        self.push(false);
        for bit in (0..remainder_bits).rev() {
            self.push(gap >> bit & 1 == 1);
        }
    }

    /// Writes them; how many bytes that were.
    fn end(&mut self, out: &mut impl io::Write) -> io::Result<u64> {
        out.write_all(&self.bytes)?;
        let length = self.bytes.len() as u64;
        (self.bytes, self.taken) = (Vec::new(), 0);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use super::*;
    use crate::{
        breached::{List, key_of},
        domain::secret::{Password, SecretText},
    };

    fn password(text: &str) -> Password {
        Password::parse(SecretText::new(text.to_owned())).unwrap()
    }

    fn has(list: &List, text: &str) -> bool {
        list.has_key(key_of(&password(text))).unwrap()
    }

    fn made(lines: Lines, bits: u8, source: &str) -> Result<(Built, List, tempfile::TempDir), Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let built = build(source.as_bytes(), lines, bits, &path, &mut |_| ())?;
        let list = List::open(&path)?;
        list.verify()?;
        assert_eq!((list.entries(), list.length()), (built.entries, built.length));
        Ok((built, list, folder))
    }

    #[test]
    fn a_list_of_passwords_has_them_and_hardly_any_other() {
        for count in [1, 2, 255, 256, 257, 5000] {
            let mut source = String::new();
            for number in 0..count {
                writeln!(source, "password {number}").unwrap();
            }
            let (built, list, _folder) = made(Lines::Passwords, 12, &source).unwrap();
            assert_eq!(built.lines, count);
            for number in 0..count {
                assert!(has(&list, &format!("password {number}")), "{number} of {count}");
            }
            let wrong = (0..10_000).filter(|n| has(&list, &format!("other {n}"))).count();
            assert!(wrong < 12, "{wrong} of 10,000 where 2.4 are expected");
        }
    }

    #[test]
    fn hashes_are_read_as_they_are_published() {
        // SHA-1 of "password" and of "123456".
        let text = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n\
                    7c4a8d09ca3762af61e59520943dc26494f8941b:3\r\n\r\n";
        let (built, list, _folder) = made(Lines::Hashes { least: 1 }, 20, text).unwrap();
        assert_eq!((built.lines, built.entries), (3, 2));
        assert!(has(&list, "password") && has(&list, "123456"));
        let (built, list, _folder) = made(Lines::Hashes { least: 10 }, 20, text).unwrap();
        assert!(built.entries == 1 && has(&list, "password"));
        assert!(!has(&list, "123456"));
        for (wrong, told) in [
            ("password\n", "line 1: is no SHA-1"),
            ("5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:x\n", "line 1: has no number"),
            ("\n5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD\n", "line 2: is no SHA-1"),
        ] {
            let fault = made(Lines::Hashes { least: 1 }, 20, wrong).unwrap_err().to_string();
            assert!(fault.starts_with(told), "{fault}");
        }
    }

    #[test]
    fn what_was_sorted_in_pieces_is_the_same() {
        let mut source = String::new();
        for number in 0..1000 {
            writeln!(source, "{}", number % 700).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let sorted = |chunk| {
            let (runs, _) =
                sort(source.as_bytes(), Lines::Passwords, folder.path(), chunk, &mut |_| ()).unwrap();
            let (mut merged, mut keys) = (Merged::of(runs).unwrap(), Vec::new());
            while let Some(key) = merged.next().unwrap() {
                keys.push(key);
            }
            keys.dedup();
            keys
        };
        assert!(sorted(7) == sorted(100_000) && sorted(7).len() == 700 && sorted(7).is_sorted());
    }

    #[test]
    fn an_empty_list_has_nothing_and_what_is_damaged_is_noticed() {
        let (built, list, folder) = made(Lines::Passwords, 12, "").unwrap();
        assert!(built.entries == 0 && !has(&list, "password"));
        let path = folder.path().join("list");
        build(&b"one\ntwo\n"[..], Lines::Passwords, 12, &path, &mut |_| ()).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(List::open(&path), Err(Error::Damaged(_))));
        fs::write(&path, &whole[..20]).unwrap();
        assert!(matches!(List::open(&path), Err(Error::NoList)));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            fs::write(&path, &damaged).unwrap();
            let told = List::open(&path).and_then(|list| {
                let _ = list.has_key(key_of(&password("one")));
                list.verify()
            });
            assert!(told.is_err(), "byte {at}");
        }
    }
}
