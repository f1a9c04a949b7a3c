//! What is too large for one record, kept in pieces.
//!
//! The engine's cache counts pages, and holds some thousands of them whatever their size: many small records in a page of
//! moderate size keep it within bounds, a few large ones would not.

use super::{engine::Batch, record::Space};

/// Bytes of a piece.
const PIECE: usize = 2048;

/// What the keys of all pieces begin with. The length before the identity sees to it that no other's do.
pub(super) fn prefix(space: Space, identity: &[u8]) -> Vec<u8> {
    let [.., high, low] = identity.len().to_be_bytes();
    [&[space.letter(), high, low], identity].concat()
}

fn keys(space: Space, identity: &[u8], size: usize) -> impl Iterator<Item = Vec<u8>> {
    let prefix = prefix(space, identity);
    (0..size.div_ceil(PIECE)).map(move |number| {
        let [.., number] = number.to_be_bytes();
        [&prefix[..], &[number]].concat()
    })
}

/// Writes `bytes` in the place of what was `old_size` bytes.
pub(super) fn put(batch: Batch, space: Space, identity: &[u8], old_size: usize, bytes: &[u8]) -> Batch {
    let batch = keys(space, identity, old_size).skip(bytes.len().div_ceil(PIECE)).fold(batch, Batch::remove);
    keys(space, identity, bytes.len())
        .zip(bytes.chunks(PIECE))
        .fold(batch, |batch, (key, piece)| batch.put(key, piece.to_vec()))
}

/// Removes what was `size` bytes.
pub(super) fn remove(batch: Batch, space: Space, identity: &[u8], size: usize) -> Batch {
    put(batch, space, identity, size, &[])
}
