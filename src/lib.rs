//! Regain.
