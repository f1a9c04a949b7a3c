//! End to end: the program that is shipped, a real domain controller, a real browser.
//!
//! Started by `tests/run`, which provides the controller and the browser.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expected by panicking"
)]

mod acme;
mod api;
mod appearance;
mod audit;
mod backups;
mod check;
mod console;
mod directory_contract;
mod directory_faults;
mod exports;
mod forwarders;
mod going_about;
mod lockout;
mod logon_screen;
mod looks;
mod mails;
mod names;
mod outbox;
mod overrides;
mod panel;
mod password_help;
mod proxies;
mod standing;
mod states;
mod support;
mod support_works;
mod text_messages;
mod trouble;
mod trying;
mod upgrade;
mod walks;
mod ways_in;
