//! What the test suites share. Built only with the feature `testing`; nothing here is in the shipped program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test says what it expected by panicking"
)]

pub mod directory_contract;
