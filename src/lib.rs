//! Regain, a self-service password appliance for Active Directory.

pub mod directory;
pub mod domain;
