//! `regain demo`

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use toml::Value;

use super::{Failure, say, serve::until_signalled};
use crate::{
    app::{self, App, Demo},
    config::{BaseUrl, Config, Log},
    directory::demo::{SAMPLE_ADMINISTRATOR, SAMPLE_ADMINISTRATORS, SAMPLE_PASSWORD, SAMPLE_USERS},
    domain::clock::{Clock, SystemClock},
    flows::change_settings::Edit,
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// A folder to remember enrollments in; without it everything is forgotten at exit.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// A folder with templates, texts and assets that are laid over the embedded ones.
    #[arg(long, value_name = "FOLDER")]
    overrides: Option<PathBuf>,
    /// Ask for a verification code at resets and unlocks; it is shown at /demo/outbox.
    #[arg(long)]
    codes: bool,
    /// Let people add authenticator apps, passkeys and recovery codes.
    #[arg(long)]
    methods: bool,
}

pub(super) async fn run(arguments: DemoArguments) -> Result<(), Failure> {
    telemetry::start(&Log { level: "warn".into(), ..Log::default() }).map_err(Failure)?;
    let fails = |e: &dyn std::fmt::Display| Failure(e.to_string());
    // Gone with the value, at exit.
    let temporary = match &arguments.data {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("regain-demo-").tempdir().map_err(|e| fails(&e))?),
    };
    let data = match (&arguments.data, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.path().to_owned(),
        (None, None) => return Err(Failure("no data folder".into())),
    };
    let listen = free_port(arguments.listen)?;
    let host = if listen.ip().is_unspecified() || listen.ip().is_loopback() {
        "localhost".to_owned()
    } else if listen.is_ipv6() {
        format!("[{}]", listen.ip())
    } else {
        listen.ip().to_string()
    };
    let authority = format!("{host}:{}", listen.port());
    let base_url = BaseUrl::try_from(format!("https://{authority}")).map_err(Failure)?;
    let config = Config {
        data,
        base_url: Some(base_url),
        extra_hosts: vec![format!("127.0.0.1:{}", listen.port()), format!("[::1]:{}", listen.port())],
        listen: vec![listen.to_string()],
        listen_http: Vec::new(),
        overrides: arguments.overrides.clone(),
        ..Config::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let directories = app::demo_directories(&clock).map_err(|e| fails(&e))?;
    let settings = settings(&arguments, host == "localhost");
    let app = App::open(&config, Some(Demo { directories, settings })).await.map_err(|e| fails(&e))?;
    let key = app.demo_administrator().await.map_err(|e| fails(&e))?;
    greet(&authority, temporary.is_some(), key.reveal());
    Box::pin(app.serve(until_signalled()?)).await;
    Ok(())
}

/// The settings it begins with. What would be delivered is only shown, but something has to be set for it.
fn settings(arguments: &DemoArguments, has_name: bool) -> Vec<Edit> {
    let text = |text: &str| Value::String(text.to_owned());
    let mut settings = vec![
        ("mail.delivery", text("smtp")),
        ("mail.host", text("mail.demo.example")),
        ("mail.sender", text("no-reply@demo.example")),
        ("sms.delivery", text("http")),
        ("sms.url", text("https://sms.demo.example/send")),
        ("admin.administrators", Value::Array(vec![text(SAMPLE_ADMINISTRATORS)])),
    ];
    let switches = [
        ("codes.by_mail", arguments.codes),
        ("codes.by_sms", arguments.codes),
        ("methods.authenticator_app", arguments.methods),
        // A passkey needs a host name.
        ("methods.passkeys", arguments.methods && has_name),
        ("methods.recovery_codes", arguments.methods),
    ];
    settings.extend(switches.into_iter().filter(|(_, on)| *on).map(|(key, on)| (key, Value::Boolean(on))));
    settings.into_iter().map(|(key, value)| Edit { key: key.to_owned(), value: Some(value) }).collect()
}

/// With port 0 the system chooses one now, so that it can be part of the address people use.
fn free_port(address: SocketAddr) -> Result<SocketAddr, Failure> {
    if address.port() != 0 {
        return Ok(address);
    }
    std::net::TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|e| Failure(format!("{address}: {e}")))
}

fn greet(authority: &str, forgets: bool, key: &str) {
    say("This is a DEMO of Regain: sample users in an embedded directory, nothing is real.");
    if forgets {
        say("Everything is forgotten when it ends (Ctrl-C). `--data FOLDER` remembers.");
    }
    say("");
    say(&format!("  Open  https://{authority}/"));
    say("        (the certificate is self-signed: the browser warns once)");
    say("");
    say(&format!("  What it would send is shown at  https://{authority}/demo/outbox"));
    say("");
    let (name, domain) = SAMPLE_ADMINISTRATOR;
    say(&format!("  The admin panel is at  https://{authority}/admin  for {name} of {domain}."));
    say(&format!("        Its second proof is an authenticator app with the key  {key}"));
    say("");
    say(&format!("  Everyone's password is  {SAMPLE_PASSWORD}"));
    let mut standings: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for user in SAMPLE_USERS {
        standings.entry((user.domain, user.standing.words())).or_default().push(user.name.trim());
    }
    for ((domain, words), names) in standings {
        say(&format!("    {domain:<5} {:<28} {words}", names.join(", ")));
    }
    say("");
}
