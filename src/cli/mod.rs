//! The commands.

mod admin;
mod audit;
mod backup;
mod breached;
mod check;
mod demo;
mod export;
mod health;
mod serve;
mod settings;
mod templates;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, Subcommand};

use crate::{
    app,
    config::{self, Config},
    confine,
    store::Store,
};

/// Self-service password appliance for Active Directory.
#[derive(Debug, Parser)]
#[command(name = "regain", version, about, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the pages.
    Serve(ConfigArguments),
    /// Try everything with sample users; nothing is needed.
    Demo(demo::DemoArguments),
    /// Check configuration, directory, rights and certificate: one line each.
    Check(ConfigArguments),
    /// Ask the program that runs here whether it can serve, at listen_metrics: for health checks of containers.
    Health(ConfigArguments),
    /// Look after the admin panel from the console.
    Admin(admin::AdminArguments),
    /// Look after the audit log.
    Audit(audit::AuditArguments),
    /// Write a sealed backup of all that is kept, also while Regain is running.
    Backup(backup::BackupArguments),
    /// Put a backup in the place of the present data. Regain must not be running.
    Restore(backup::RestoreArguments),
    /// Write the audit log, or those who enrolled, to a file. Regain must not be running; its panel does the same.
    Export(export::ExportArguments),
    /// Make and look at the file of stolen passwords that nobody may choose.
    Breached(breached::BreachedArguments),
    /// Look at what was changed in the admin panel, and take it back.
    Settings(settings::SettingsArguments),
    /// Change what the pages and messages say and how they look, with files of your own.
    Templates(templates::TemplatesArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigArguments {
    /// The configuration file; without it /etc/regain/config.toml, else config.toml in this folder, else only
    /// environment variables.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArguments {
    fn load(&self) -> Result<Config, Failure> {
        let path = self.config.clone().or_else(Config::usual_path);
        Config::load(path.as_deref(), config::environment()).map_err(|e| Failure(e.to_string()))
    }
}

/// Why a command failed, in words for the one at the console.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Says something to the one at the console. Whoever has stopped reading misses nothing that matters.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// An address by which this machine reaches itself where it listens at all of its own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // A socket for both families takes this one, too.
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Opens the store to be read from.
async fn open_store(config: &Config) -> Result<Store, Failure> {
    require_owner(config)?;
    app::open_store(config).await.map_err(|e| Failure(e.to_string()))
}

/// Makes sure that it is the one whose the store is: files of root's in it would be out of the server's reach.
fn require_owner(config: &Config) -> Result<(), Failure> {
    let fails = |e: std::io::Error| Failure(format!("the data folder {}: {e}", config.data.display()));
    let owner = std::fs::metadata(&config.data).map_err(fails)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        let text = format!("run it as the user the data folder belongs to (its number is {owner})");
        return Err(Failure(text));
    }
    Ok(())
}

/// So long what still runs at the end of serving may take.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Carries a command out; true if all was well.
pub fn run(arguments: Arguments) -> Result<bool, Failure> {
    confine::keep_memory();
    let Command::Serve(arguments) = arguments.command else {
        return runtime()?.block_on(carry_out(arguments.command));
    };
    let config = arguments.load()?;
    // Threads are confined one by one, and there is one as yet.
    let confined = serve::confine(&config)?;
    let runtime = runtime()?;
    let served = runtime.block_on(Box::pin(serve::run(&config, confined))).map(|()| true);
    // A thread may wait for a disk that never answers.
    runtime.shutdown_timeout(LAST_WAIT);
    served
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| Failure(e.to_string()))
}

async fn carry_out(command: Command) -> Result<bool, Failure> {
    match command {
        Command::Serve(_) => Ok(false),
        Command::Demo(arguments) => Box::pin(demo::run(arguments)).await.map(|()| true),
        Command::Check(arguments) => Ok(check::run(arguments.load()).await),
        Command::Health(arguments) => health::run(&arguments.load()?).await,
        Command::Admin(arguments) => admin::run(&arguments).map(|()| true),
        Command::Breached(arguments) => breached::run(&arguments).map(|()| true),
        Command::Audit(arguments) => audit::run(&arguments).await,
        Command::Backup(arguments) => backup::run(&arguments).await.map(|()| true),
        Command::Restore(arguments) => Box::pin(backup::restore(&arguments)).await.map(|()| true),
        Command::Export(arguments) => export::run(&arguments).await.map(|()| true),
        Command::Settings(arguments) => settings::run(&arguments).await.map(|()| true),
        Command::Templates(arguments) => templates::run(&arguments),
    }
}
