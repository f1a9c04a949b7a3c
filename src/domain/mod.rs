//! The words and the rules of Regain: no I/O, no async, no reading of clocks, no random numbers of its own.
//!
//! Knows nobody else in the crate. Everything above speaks in these types; strings are turned into them at the
//! door ([`account::LogonName::parse`], [`secret::Password::parse`], …) and nothing re-checks later.

pub mod account;
pub mod admin;
pub mod answer;
pub mod api_token;
pub mod audit;
pub mod backup;
pub mod caps;
pub mod certificate;
pub mod clock;
pub mod code;
pub mod colour;
pub mod contact;
pub mod coverage;
pub mod enrollment;
pub mod field;
pub mod filter;
pub mod finding;
pub mod flow;
pub mod import;
pub mod lockout;
pub mod logo;
pub mod message;
pub mod network;
pub mod password_rules;
pub mod permission;
pub mod purge;
pub mod refusal;
pub mod reminder;
pub mod saved_view;
pub mod secret;
pub mod set_up;
pub mod sheet;
pub mod slow_hash;
pub mod totp;
pub mod user;
