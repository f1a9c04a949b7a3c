//! Regain, a self-service password appliance for Active Directory.

pub mod directory;
pub mod domain;
#[cfg(feature = "testing")]
pub mod testing;
