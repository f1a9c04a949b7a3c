//! The log: to standard error, as lines for people or JSON for machines.

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging. A level that can't be understood is an error in words.
pub fn start(log: &Log) -> Result<(), String> {
    let filter = filter(&log.level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| e.to_string())
}

/// What is logged at a level, or by a list of directives as tracing knows them.
///
/// What sled tells at `trace` it also tells while a thread ends, when the thread's own values are gone already: the
/// program would abort. Whoever names sled gets it all the same.
pub fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("sled=info,{level}")).map_err(|e| format!("log.level: \"{level}\": {e}"))
}
