//! Hashes that take their time (argon2id, RFC 9106), each with its own salt, keyed with a secret from outside the store.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::secret::Key;

/// What a hash costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// A keyed argon2id hash of something secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowHash {
    cost: HashCost,
    salt: [u8; 16],
    hash: [u8; 32],
}

impl SlowHash {
    /// Hashes a secret. Takes tens of milliseconds and `cost.memory_kib` of memory: run it on the hashing pool.
    pub fn make(secret: &[u8], salt: [u8; 16], cost: HashCost, pepper: &Key) -> Result<Self, HashFault> {
        Ok(Self { cost, salt, hash: *argon2id(secret, &salt, cost, Some(pepper))? })
    }

    /// A hash that no secret has, of the given cost: to compare with where there is none, so that it takes as long.
    pub const fn decoy(cost: HashCost) -> Self {
        Self { cost, salt: [0; 16], hash: [0; 32] }
    }

    /// Whether it is the secret's hash. As slow as [`Self::make`]; compares in constant time.
    pub fn matches(&self, secret: &[u8], pepper: &Key) -> Result<bool, HashFault> {
        let hash = argon2id(secret, &self.salt, self.cost, Some(pepper))?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&*hash, &self.hash).is_ok())
    }

    /// Whether it was made at another cost than the one wanted now.
    pub fn is_outdated(&self, cost: HashCost) -> bool {
        self.cost != cost
    }
}

impl std::fmt::Debug for SlowHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlowHash(…)")
    }
}

/// The cost is one that argon2 can't work with, or there is no memory.
#[derive(Debug, thiserror::Error)]
#[error("argon2id: {0}")]
pub struct HashFault(String);

/// A key made from something that people can remember, without a secret from outside: for what another machine is to open.
/// As slow as a hash.
pub fn derive_key(secret: &[u8], salt: [u8; 16], cost: HashCost) -> Result<Key, HashFault> {
    argon2id(secret, &salt, cost, None).map(|bytes| Key::new(*bytes))
}

fn argon2id(
    secret: &[u8],
    salt: &[u8],
    cost: HashCost,
    pepper: Option<&Key>,
) -> Result<Zeroizing<[u8; 32]>, HashFault> {
    let fault = |e: argon2::Error| HashFault(e.to_string());
    let parameters = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(fault)?;
    let argon2 = Argon2::new_with_secret(
        pepper.map_or(&[], |pepper| &pepper.reveal()[..]),
        Algorithm::Argon2id,
        Version::V0x13,
        parameters,
    )
    .map_err(fault)?;
    // More address space than is used: only allocations of 32 MiB and more does glibc always give back to the system.
    // Smaller ones end up on its heap, where they are never given back once something small lies behind them.
    let blocks = argon2.params().block_count();
    let mut memory = Vec::with_capacity(blocks.max((33 << 20) / Block::SIZE));
    memory.resize(blocks, Block::default());
    let mut hash = Zeroizing::new([0; 32]);
    argon2.hash_password_into_with_memory(secret, salt, hash.as_mut_slice(), &mut memory).map_err(fault)?;
    Ok(hash)
}
