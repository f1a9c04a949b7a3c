//! `regain settings`: what was changed in the panel, for when the program doesn't start with it.

use std::convert::Infallible;

use clap::{Args, Subcommand};
use toml::Table;

use super::{ConfigArguments, Failure, open_store, require_owner, say};
use crate::{
    app,
    domain::clock::{Clock as _, SystemClock},
    flows::change_settings,
    settings::{Settings, layers},
};

#[derive(Debug, Args)]
pub(super) struct SettingsArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what was changed in the admin panel, without the secrets. Regain must not be running.
    Show(ConfigArguments),
    /// Take back what was changed in the admin panel: the configuration holds again, or the default. Regain must not be
    /// running.
    Reset {
        #[command(flatten)]
        config: ConfigArguments,
        /// The settings, as `regain settings show` names them: mail.host, domain.0 for all of the first domain.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}

pub(super) async fn run(arguments: &SettingsArguments) -> Result<(), Failure> {
    let fails = |error: &dyn std::fmt::Display| Failure(error.to_string());
    match &arguments.command {
        Command::Show(config) => {
            let store = open_store(&config.load()?).await?;
            let (_, mut changed) = change_settings::load_sealed(&store).await.map_err(|e| fails(&e))?;
            hide_secrets(&mut changed);
            let text = toml::to_string(&changed).map_err(|e| fails(&e))?;
            say(if text.is_empty() { "Nothing was changed in the admin panel." } else { text.trim_end() });
        }
        Command::Reset { config, keys } => {
            let config = config.load()?;
            require_owner(&config)?;
            let (store, _) = app::open_present(&config).await.map_err(|e| fails(&e))?;
            let (_, before) = change_settings::load_sealed(&store).await.map_err(|e| fails(&e))?;
            // One of an older version may be there without being known any more.
            let is_none =
                |key: &&String| layers::field(key).is_none() && layers::find(&before, key).is_none();
            if let Some(key) = keys.iter().find(is_none) {
                let text = format!("there is no setting \"{key}\"; regain settings show lists those changed");
                return Err(Failure(text));
            }
            let done = change_settings::take_back(&store, SystemClock.now(), keys).await;
            for line in done.map_err(|e| fails(&e))? {
                say(&line);
            }
            let (_, mut left) = change_settings::load_sealed(&store).await.map_err(|e| fails(&e))?;
            hide_secrets(&mut left);
            match Settings::of_layers(&left, &config.given.fixed().table) {
                Ok(_) => say("Regain can start with what is left."),
                Err(faults) => {
                    let faults: Vec<_> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
                    return Err(Failure(format!("still in the way:{}", faults.concat())));
                }
            }
        }
    }
    Ok(())
}

/// A secret is told as a word: that there is one.
fn hide_secrets(table: &mut Table) {
    let Ok(()) = layers::each_secret(table, &mut |_, secret| {
        "(secret)".clone_into(secret);
        Ok::<(), Infallible>(())
    });
}
