//! The harness of the test suites: the whole program in one process, with a clock that is moved by hand, a directory
//! and a store that misbehave on order, and visitors who use the pages as people do.
//!
//! It must not know how a page is made: it reads what a browser would read.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test says what it expected by panicking"
)]

mod app;
mod clock;
mod device;
mod directory;
pub mod directory_contract;
mod engine;
pub mod gallery;
mod page;
mod visitor;

pub use app::{Setup, TestApp};
pub use clock::ManualClock;
pub use device::{Device, OneTimeCodes};
pub use directory::{DirectoryMood, MoodyDirectory};
pub use engine::{MoodyEngine, StoreMood};
pub use page::Page;
pub use visitor::Visitor;
