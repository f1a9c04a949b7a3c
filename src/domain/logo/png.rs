//! PNG (W3C, third edition): the chunks that make the picture are kept, all others are left out: what programs write
//! beside it may tell of people and places.

/// What a file begins with.
pub const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// The most pixels in a row or column.
const LONGEST_SIDE: u32 = 1024;

/// The picture alone, its width and its height.
pub fn strip(file: &[u8]) -> Result<(Vec<u8>, u32, u32), String> {
    const BROKEN: &str = "is a PNG that is damaged";
    let mut rest = file.strip_prefix(&SIGNATURE).ok_or(BROKEN)?;
    let mut kept = SIGNATURE.to_vec();
    let mut size = None;
    let mut has_picture = false;
    loop {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BROKEN)?;
        // Name and content are what is summed up.
        let (summed, tail) = tail.split_at_checked(length.checked_add(4).ok_or(BROKEN)?).ok_or(BROKEN)?;
        let (sum, tail) = tail.split_first_chunk::<4>().ok_or(BROKEN)?;
        if u32::from_be_bytes(*sum) != checksum(summed) {
            return Err(BROKEN.into());
        }
        let (name, content) = summed.split_at(4);
        let whole = &rest[..length + 12];
        rest = tail;
        match (name, size) {
            (b"IHDR", None) => size = Some(header(content)?),
            (b"IHDR", _) | (_, None) => return Err(BROKEN.into()),
            (b"IEND", Some((width, height))) if has_picture => {
                kept.extend_from_slice(whole);
                return Ok((kept, width, height));
            }
            (b"IDAT", _) => has_picture = true,
            (b"PLTE" | b"tRNS", _) => {}
            // Whoever doesn't know a chunk that is not critical may go on without.
            _ if name[0].is_ascii_lowercase() => continue,
            _ => return Err(BROKEN.into()),
        }
        kept.extend_from_slice(whole);
    }
}

/// Width and height, if the rest of the header is sound (11.2.1).
fn header(content: &[u8]) -> Result<(u32, u32), String> {
    let &[w1, w2, w3, w4, h1, h2, h3, h4, depth, kind, 0, 0, 0 | 1] = content else {
        return Err("is a PNG of an unknown kind".into());
    };
    let depths: &[u8] = match kind {
        0 => &[1, 2, 4, 8, 16],
        3 => &[1, 2, 4, 8],
        2 | 4 | 6 => &[8, 16],
        _ => &[],
    };
    if !depths.contains(&depth) {
        return Err("is a PNG of an unknown kind".into());
    }
    let (width, height) = (u32::from_be_bytes([w1, w2, w3, w4]), u32::from_be_bytes([h1, h2, h3, h4]));
    if [width, height].iter().any(|side| !(1..=LONGEST_SIDE).contains(side)) {
        return Err(format!("has {width} × {height} pixels; {LONGEST_SIDE} × {LONGEST_SIDE} are the most"));
    }
    Ok((width, height))
}

/// CRC-32 (annex D), bit by bit: files are small.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 },
        )
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    fn chunk(name: [u8; 4], content: &[u8]) -> Vec<u8> {
        let summed = [&name, content].concat();
        [&u32::try_from(content.len()).unwrap().to_be_bytes(), &summed[..], &checksum(&summed).to_be_bytes()]
            .concat()
    }

    /// A picture in greys, with more chunks before its data.
    pub fn png(width: u32, height: u32, more: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
        head.extend([8, 0, 0, 0, 0]);
        let mut file = [&SIGNATURE[..], &chunk(*b"IHDR", &head)].concat();
        for (name, content) in more {
            file.extend(chunk(**name, content));
        }
        file.extend([chunk(*b"IDAT", b"data"), chunk(*b"IEND", b"")].concat());
        file
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!((checksum(b"IEND"), checksum(b"123456789")), (0xae42_6082, 0xcbf4_3926));
    }

    #[test]
    fn only_what_makes_the_picture_is_kept() {
        let plain = png(30, 10, &[]);
        let more: [(&[u8; 4], &[u8]); 4] =
            [(b"tEXt", b"Author\0mary"), (b"eXIf", b"MM\0*GPS"), (b"iCCP", b"x"), (b"acTL", b"\0\0\0\x02")];
        let mut talkative = png(30, 10, &more);
        talkative.extend_from_slice(b"<script>alert(1)</script>");
        assert_eq!(strip(&talkative).unwrap(), (plain.clone(), 30, 10));
        let palette: [(&[u8; 4], &[u8]); 2] = [(b"PLTE", b"abc"), (b"tRNS", b"x")];
        let coloured = png(30, 10, &palette);
        assert_eq!(strip(&coloured).unwrap().0, coloured);
        assert_eq!(strip(&plain).unwrap().0, plain);
    }

    #[test]
    fn what_is_damaged_or_of_another_size_is_refused() {
        let sound = png(30, 10, &[]);
        for end in 0..sound.len() {
            assert!(strip(&sound[..end]).is_err(), "cut at {end}");
        }
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            assert!(strip(&damaged).is_err(), "damaged at {at}");
        }
        for (width, height) in [(0, 10), (10, 0), (1025, 10), (10, 1025), (u32::MAX, u32::MAX)] {
            assert!(strip(&png(width, height, &[])).is_err(), "{width} × {height}");
        }
        assert!(strip(&png(1024, 1024, &[])).is_ok());
        // A critical chunk that nobody knows, no header, no data, two headers.
        assert!(strip(&png(9, 9, &[(b"EVIL", b"x")])).is_err());
        assert!(strip(&[&SIGNATURE[..], &chunk(*b"IDAT", b"x"), &chunk(*b"IEND", b"")].concat()).is_err());
        assert!(strip(&[&sound[..33], &chunk(*b"IEND", b"")].concat()).is_err());
        assert!(strip(&[&sound[..33], &sound[8..]].concat()).is_err());
        // A length beyond all bounds.
        assert!(strip(&[&SIGNATURE[..], b"\xff\xff\xff\xffIHDR"].concat()).is_err());
        let mut unknown = vec![0, 0, 0, 9, 0, 0, 0, 9, 8, 5, 0, 0, 0];
        for (at, value) in [(9, 5), (8, 3), (10, 1), (11, 1), (12, 2)] {
            let before = std::mem::replace(&mut unknown[at], value);
            assert!(header(&unknown).is_err(), "{unknown:?}");
            unknown[at] = before;
        }
    }
}
