//! Stories: the whole program in one process, used as people use it. One file a theme.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test says what it expected by panicking, and a story may be long"
)]

mod admin;
mod api;
mod appearance;
mod architecture;
mod attacks;
mod audit_log;
mod backup;
mod bad_input;
mod codes;
mod console;
mod contract;
mod coverage;
mod directory_lockout;
mod exports;
mod flows;
mod import;
mod integrity;
mod logon_screen;
mod methods;
mod metrics;
mod migration;
mod outbox;
mod overrides;
mod panel_access;
mod panel_attacks;
mod panel_settings;
mod password_rules;
mod permissions;
mod proving;
mod purge;
mod reminders;
mod secrets;
mod settings;
mod transfer;
mod trouble;
mod uniformity;
mod words;
