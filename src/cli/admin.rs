//! `regain admin`

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
};

use clap::{Args, Subcommand};

use super::{ConfigArguments, Failure};
use crate::{app::RESET_FILE, config::BaseUrl, flows::sign_in};

#[derive(Debug, Args)]
pub(super) struct AdminArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a link by which the panel's own account is made anew: when its password or app is lost. It is good once,
    /// for an hour, as soon as the program that serves has taken it up. Run it as root or as the user Regain runs as.
    ResetAccess(ConfigArguments),
}

pub(super) fn run(arguments: &AdminArguments) -> Result<(), Failure> {
    let Command::ResetAccess(arguments) = &arguments.command;
    let config = arguments.load()?;
    let origin = config.base_url.as_ref().map(BaseUrl::origin);
    let origin = origin.ok_or_else(|| Failure("base_url is needed".into()))?;
    let fails = |e: std::io::Error| Failure(format!("the data folder {}: {e}", config.data.display()));
    let owner = fs::metadata(&config.data).map_err(fails)?;
    let (token, hash) = sign_in::draw_link().map_err(|e| Failure(e.to_string()))?;
    // Whole under its name, and the server's own, or it could neither read nor remove it.
    let (file, new) = (config.data.join(RESET_FILE), config.data.join("reset-access.new"));
    // A link left there by whom the folder belongs to must lead root nowhere.
    let _ = fs::remove_file(&new);
    let mut out =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(fails)?;
    out.write_all(hash.as_bytes()).and_then(|()| out.sync_all()).map_err(fails)?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&out, Some(owner.uid()), Some(owner.gid())).map_err(fails)?;
    }
    fs::rename(&new, &file).map_err(fails)?;
    say(&format!("{origin}/admin/setup/{token}"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is to say")]
fn say(link: &str) {
    println!("Open this link within an hour; it is good once, a few seconds from now if Regain is running:");
    println!();
    println!("  {link}");
    println!();
    println!("The account that is made with it takes the place of the panel's own one.");
}
