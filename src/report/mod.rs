//! What the data console answers: tables of what is kept, for people and for their programs. It only reads. It must not
//! know who asks, nor over what: pages and commands stand before it.

pub mod desk;
pub mod export;
pub mod rows;
