//! Regain, a self-service password appliance for Active Directory: the map of the crate.
//!
//! A visitor's request comes in through [`tls`] and [`web`], which turn it into the types of [`domain`] and call one of
//! the [`flows`]. A flow puts the steps in order: it asks a [`directory`], keeps what must be remembered in the
//! [`store`], and says where the visitor is now; [`web`] draws that with [`render`]. What happens without a visitor, [`jobs`]
//! set going; the certificate that [`tls`] shows is ordered when a flow says so, as its [`flows::certificate::Door`].
//!
//! # Which way the arrows point
//!
//! ```text
//! composition   main → cli → app        may name everything
//! edges         web · jobs · tls        talk to people, the timer, the network; blind to each other (but web → tls
//!               report                  and report, which searches tables and writes them as files)
//! steps         flows                   "first this, then that" is written only here
//! adapters      directory · store · render   each owns one technology; blind to each other
//!               notify → render         composes and delivers messages
//!               passkeys                is a relying party of WebAuthn
//!               breached                knows stolen passwords
//! words         settings · config → domain   domain knows nobody
//! ```
//!
//! `tests/it/architecture.rs` holds this as a table.
//!
//! # How to add a …
//!
//! - **setting**: one line in the table of its tab ([`settings`]) and one in `config.example.toml`.
//! - **refusal**: a variant of [`domain::refusal::Refusal`] and its words in `ui/i18n`; the compiler and a test lead
//!   through the rest.
//! - **kind of directory**: an implementation of [`directory::Directory`] that passes the contract suite.
//! - **record**: an implementation of [`store::Kept`].
//! - **message**: a variant of [`domain::message::Topic`], its words in `ui/i18n`, and a folder in
//!   `ui/templates/messages` if the general templates don't do.
//! - **format of exports**: a variant of [`report::export::Format`] and a small file beside it.
//! - **language**: a file in `ui/i18n` with the keys of `en.toml`, its name in `render/texts.rs`, its plurals in
//!   [`render::plural`], its questions in `ui/questions.toml`; for the admin panel one in `ui/i18n/panel` and one in
//!   `ui/i18n/settings` besides.
//! - **rule for new passwords**: a variant of [`domain::password_rules::Rule`], its words (`rule.…`), a setting in
//!   `settings/password_rules.rs`, and, if a browser can check it, a line of `keeps` in `ui/assets/regain.js`.

pub mod app;
pub mod breached;
pub mod cli;
pub mod config;
pub mod confine;
pub mod directory;
pub mod domain;
pub mod flows;
pub mod jobs;
pub mod notify;
pub mod passkeys;
pub mod render;
pub mod report;
pub mod settings;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod web;
