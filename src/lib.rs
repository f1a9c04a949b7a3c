//! Regain, a self-service password appliance for Active Directory.

pub mod config;

pub mod directory;
pub mod domain;
pub mod flows;
pub mod render;
pub mod settings;
pub mod store;
pub mod tls;
pub mod web;
