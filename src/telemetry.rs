//! The log: to standard error, as lines for people or JSON for machines.

use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _,
};

use crate::config::{Log, LogFormat};

/// Starts logging. A level that can't be understood is an error in words.
pub fn start(log: &Log) -> Result<(), String> {
    let filter = filter(&log.level)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    registry().with(lines.with_filter(filter)).try_init().map_err(|e| e.to_string())
}

/// What is logged at a level, or by a list of directives as tracing knows them.
///
/// What sled tells at `trace` it also tells while a thread ends, when the thread's own values are gone already: the
/// program would abort. Whoever names sled gets it all the same.
pub fn filter(level: &str) -> Result<Targets, String> {
    format!("sled=info,{level}").parse().map_err(|e| format!("log.level: \"{level}\": {e}"))
}
