//! Bytes written and read piece by piece: one way to write a thing and no other, since the links of the audit log's chain
//! are made over them.

use super::Error;

/// Writes.
#[derive(Default)]
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A number, the smaller the shorter (LEB128).
    pub fn number(&mut self, mut number: u64) {
        loop {
            let low = number.to_le_bytes()[0] & 0x7f;
            number >>= 7;
            if number == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }

    /// A number that may be negative, the nearer to zero the shorter.
    pub fn signed(&mut self, number: i64) {
        self.number((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
    }

    /// Bytes with their length before them.
    pub fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u64);
        self.bytes(text);
    }
}

/// Reads what a [`Writer`] wrote.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(cut)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.bytes(N)?.try_into().map_err(|_| cut())
    }

    pub fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Error::Damaged("a number is too large".into()))
    }

    pub fn signed(&mut self) -> Result<i64, Error> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number of things of which each takes a byte at least: never more than there are bytes left.
    pub fn count(&mut self) -> Result<usize, Error> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.0.len() { Err(cut()) } else { Ok(count) }
    }

    pub fn text(&mut self) -> Result<&'a [u8], Error> {
        let length = self.count()?;
        self.bytes(length)
    }

    pub fn string(&mut self) -> Result<String, Error> {
        String::from_utf8(self.text()?.to_vec()).map_err(|_| Error::Damaged("a text is not in UTF-8".into()))
    }

    /// That nothing is left.
    pub fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Damaged("a record is too long".into())) }
    }
}

fn cut() -> Error {
    Error::Damaged("a record was cut".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut writer = Writer::default();
            writer.number(number);
            let mut reader = Reader(&writer.0);
            assert_eq!(reader.number().unwrap(), number);
            reader.end().unwrap();
        }
        for number in [0, 1, -1, 64, -65, i64::MAX, i64::MIN] {
            let mut writer = Writer::default();
            writer.signed(number);
            assert_eq!(Reader(&writer.0).signed().unwrap(), number);
        }
    }

    #[test]
    fn what_was_cut_or_forged_is_an_error_and_takes_no_memory() {
        assert!(Reader(&[0xff; 11]).number().is_err());
        assert!(Reader(&[0xff; 9]).number().is_err());
        assert!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1]).text().is_err());
        assert!(Reader(&[2, 0xc3, 0x28]).string().is_err());
    }
}
