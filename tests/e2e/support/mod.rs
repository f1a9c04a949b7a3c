//! What the stories speak of: a domain, a server, a person with a browser, a program that speaks HTTP.
//!
//! It knows the product from outside only: its command line, its configuration file and its pages.
#![allow(dead_code, reason = "a vocabulary: not every word is needed by every set of stories")]

pub mod browser;
pub mod certificate;
pub mod domain;
pub mod http;
pub mod mail_server;
pub mod pebble;
pub mod person;
pub mod proxy;
pub mod relay;
pub mod server;
pub mod syslog_server;
