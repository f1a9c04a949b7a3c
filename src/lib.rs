//! Regain.

pub mod tls;
pub mod web;
