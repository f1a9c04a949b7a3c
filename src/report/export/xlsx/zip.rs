//! A ZIP file (PKWARE's APPNOTE 6.3.10) of entries whose length nobody knows beforehand: it stands behind each of them, in
//! a data descriptor. It must not know what is packed.
//!
//! There is no ZIP64: Excel opens no workbook that uses it. What would need it is an error.

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Fast: what is packed is markup, which shrinks to a tenth in any case.
const LEVEL: u32 = 1;
/// 2.0: deflate (4.4.3.2).
const VERSION: u16 = 20;
/// Bit 3: a data descriptor follows (4.4.4).
const FLAGS: u16 = 1 << 3;
/// 8: deflated (4.4.5).
const METHOD: u16 = 8;
/// 1980-01-01 00:00, the first moment of its calendar (4.4.6): the same rows make the same file.
const TIME: u32 = 0x0021_0000;

/// A file that is being written.
pub(super) struct Zip {
    entries: Vec<Entry>,
    /// Bytes of the file so far.
    length: u64,
    deflate: Compress,
    crc: Crc,
}

struct Entry {
    name: String,
    offset: u32,
    crc: u32,
    packed: u32,
    plain: u32,
}

impl Entry {
    fn sums(&self) -> impl Iterator<Item = u8> {
        [self.crc, self.packed, self.plain].into_iter().flat_map(u32::to_le_bytes)
    }
}

impl Zip {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            length: 0,
            deflate: Compress::new(Compression::new(LEVEL), false),
            crc: Crc::new(),
        }
    }

    /// Begins an entry; the one before has ended.
    pub(super) fn begin(&mut self, name: String, out: &mut Vec<u8>) -> io::Result<()> {
        let offset = narrow(self.length)?;
        let before = out.len();
        out.extend_from_slice(b"PK\x03\x04");
        put_head(out);
        out.extend([0; 12]);
        out.extend(short(name.len())?.to_le_bytes());
        out.extend([0; 2]);
        out.extend_from_slice(name.as_bytes());
        self.count(before, out);
        self.deflate.reset();
        self.crc.reset();
        self.entries.push(Entry { name, offset, crc: 0, packed: 0, plain: 0 });
        Ok(())
    }

    /// Packs more of the entry.
    pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.crc.update(bytes);
        self.pack(bytes, FlushCompress::None, out)
    }

    /// Ends the entry.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.pack(&[], FlushCompress::Finish, out)?;
        let before = out.len();
        if let Some(entry) = self.entries.last_mut() {
            entry.crc = self.crc.sum();
            entry.packed = narrow(self.deflate.total_out())?;
            entry.plain = narrow(self.deflate.total_in())?;
            out.extend_from_slice(b"PK\x07\x08");
            out.extend(entry.sums());
        }
        self.count(before, out);
        Ok(())
    }

    /// Ends the file with the list of its entries.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let (offset, before, count) = (narrow(self.length)?, out.len(), short(self.entries.len())?);
        for entry in &self.entries {
            out.extend_from_slice(b"PK\x01\x02");
            out.extend(VERSION.to_le_bytes());
            put_head(out);
            out.extend(entry.sums());
            out.extend(short(entry.name.len())?.to_le_bytes());
            out.extend([0; 12]);
            out.extend(entry.offset.to_le_bytes());
            out.extend_from_slice(entry.name.as_bytes());
        }
        let size = narrow((out.len() - before) as u64)?;
        out.extend_from_slice(b"PK\x05\x06");
        out.extend([0; 4]);
        out.extend([count, count].into_iter().flat_map(u16::to_le_bytes));
        out.extend([size, offset].into_iter().flat_map(u32::to_le_bytes));
        out.extend([0; 2]);
        self.count(before, out);
        Ok(())
    }

    fn pack(&mut self, mut bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> io::Result<()> {
        let before = out.len();
        loop {
            out.reserve(bytes.len() / 4 + 1024);
            let taken = self.deflate.total_in();
            let status = self.deflate.compress_vec(bytes, out, flush).map_err(io::Error::other)?;
            let taken = usize::try_from(self.deflate.total_in() - taken).unwrap_or(bytes.len());
            bytes = &bytes[taken..];
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => bytes.is_empty(),
            };
            if is_done {
                break;
            }
        }
        self.count(before, out);
        Ok(())
    }

    fn count(&mut self, before: usize, out: &[u8]) {
        self.length += (out.len() - before) as u64;
    }
}

/// What a local and a central header have in common: from the version to the time (4.3.7, 4.3.12).
fn put_head(out: &mut Vec<u8>) {
    out.extend([VERSION, FLAGS, METHOD].into_iter().flat_map(u16::to_le_bytes));
    out.extend(TIME.to_le_bytes());
}

fn narrow(length: u64) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| too_large())
}

fn short(count: usize) -> io::Result<u16> {
    u16::try_from(count).map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "no spreadsheet program opens a workbook of more than 4 GiB")
}
