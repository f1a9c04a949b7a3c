//! `regain admin`

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
};

use clap::{Args, Subcommand};

use super::{ConfigArguments, Failure, say};
use crate::{app::console::Link, config::BaseUrl, domain::account::LogonName, flows::sign_in};

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
    /// Print a link by which someone in a group that may use the panel sets up their first authenticator app. It is good
    /// once, for an hour, together with their password. Run it as root or as the user Regain runs as.
    Invite {
        #[command(flatten)]
        config: ConfigArguments,
        /// Only for this account, as CORP\mary or mary@corp.example; else for whoever may use the panel.
        #[arg(long = "for", value_name = "NAME", value_parser = qualified)]
        name: Option<String>,
    },
}

/// A name that says of which domain it is.
fn qualified(name: &str) -> Result<String, String> {
    if !name.contains(['\\', '@']) || name.chars().any(char::is_control) {
        return Err("write it with its domain: CORP\\mary or mary@corp.example".into());
    }
    if name.chars().count() > LogonName::MAXIMUM_CHARACTERS {
        return Err("it is too long".into());
    }
    Ok(name.to_owned())
}

pub(super) fn run(arguments: &AdminArguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::ResetAccess(config) => {
            let token = hand_over(config, Link::ResetAccess, None)?;
            tell(&token, "The account that is made with it takes the place of the panel's own one.");
        }
        Command::Invite { config, name } => {
            let token = hand_over(config, Link::Invitation, name.as_deref())?;
            let whose = name.as_deref().unwrap_or("someone whose groups may use the panel");
            tell(&token, &format!("It is for {whose}, together with their password."));
        }
    }
    Ok(())
}

/// Leaves the link's hash where the program that serves looks for it; the link.
fn hand_over(arguments: &ConfigArguments, link: Link, name: Option<&str>) -> Result<String, Failure> {
    let config = arguments.load()?;
    let origin = config.base_url.as_ref().map(BaseUrl::origin);
    let origin = origin.ok_or_else(|| Failure("base_url is needed".into()))?;
    let fails = |e: std::io::Error| Failure(format!("the data folder {}: {e}", config.data.display()));
    let owner = fs::metadata(&config.data).map_err(fails)?;
    let (token, hash) = sign_in::draw_link().map_err(|e| Failure(e.to_string()))?;
    // Whole under its name, and the server's own, or it could neither read nor remove it.
    let file = config.data.join(link.file());
    let new = config.data.join(format!("{}.new", link.file()));
    if link == Link::Invitation && file.exists() {
        let text = "an invitation was not taken up yet; is Regain running? If so, try again in a few seconds";
        return Err(Failure(text.into()));
    }
    // A link left there by whom the folder belongs to must lead root nowhere.
    let _ = fs::remove_file(&new);
    let mut out =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(fails)?;
    let text = name.map_or_else(|| hash.clone(), |name| format!("{hash}\n{name}"));
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(fails)?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::fchown(&out, Some(owner.uid()), Some(owner.gid())).map_err(fails)?;
    }
    fs::rename(&new, &file).map_err(fails)?;
    let place = match link {
        Link::ResetAccess => "setup",
        Link::Invitation => "invite",
    };
    Ok(format!("{origin}/admin/{place}/{token}"))
}

fn tell(link: &str, more: &str) {
    say(&format!(
        "Open this link within an hour; it is good once, a few seconds from now if Regain is running:\n\n  {link}\n\n{more}"
    ));
}
