//! The pages' side of the network.

pub mod server;
