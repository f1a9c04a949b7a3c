//! Delivering text messages: by a program, or by an HTTP endpoint.
//!
//! Must not know what a message says. What a program or endpoint answers is not looked at, but for its status.

use std::{borrow::Cow, process::Stdio, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{Fault, Standing, http, macros::fill};
use crate::{
    domain::message::Sms,
    settings::{SmsDelivery, SmsMethod, SmsSettings},
};

/// The only variable of a program's environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Delivers a text message.
pub async fn deliver(settings: &SmsSettings, sms: &Sms) -> Result<(), Fault> {
    let limit = Duration::from_secs(settings.timeout_seconds.into());
    match settings.delivery {
        SmsDelivery::None => Err(Fault::Never("no delivery of text messages is set".into())),
        SmsDelivery::Command => run(settings, sms, limit).await.map_err(Fault::Later),
        SmsDelivery::Http => {
            let status = match timeout(limit, ask(settings, sms)).await {
                Ok(status) => status?,
                Err(_) => {
                    return Err(Fault::Later("the endpoint for text messages didn't answer in time".into()));
                }
            };
            judge(settings, status)
        }
    }
}

/// Whether text messages would go out. The endpoint is not asked: it would send one.
pub(super) fn examine(settings: &SmsSettings) -> Standing {
    match settings.delivery {
        SmsDelivery::None => Standing::Off,
        SmsDelivery::Command => {
            let program = settings.program.clone().unwrap_or_default();
            let can_run = rustix::fs::access(&program, rustix::fs::Access::EXEC_OK);
            can_run
                .map(|()| format!("by {} (not tried)", program.display()))
                .map_err(|error| format!("{}: {error}", program.display()))
                .into()
        }
        SmsDelivery::Http => {
            let host = settings.url.as_deref().and_then(|url| url.parse::<Uri>().ok());
            let host = host.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
            Standing::Good(format!("by {host} (not tried)"))
        }
    }
}

/// A macro's value.
fn value<'a>(sms: &'a Sms, name: &str) -> Option<&'a str> {
    Some(match name {
        "CODE" => &sms.code,
        "PHONE" => sms.to.as_str(),
        "USERNAME" => &sms.user,
        "DOMAIN" => &sms.domain,
        "LANG" => &sms.language,
        "TEXT" => &sms.text,
        _ => return None,
    })
}

/// A program under way with all that it starts, which is ended with it.
struct Running(Child);

impl Running {
    fn end(&self) {
        // There is no id once the program was waited for, so it can't be that of another one.
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // Fails if all of them have just ended.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

async fn run(settings: &SmsSettings, sms: &Sms, limit: Duration) -> Result<(), String> {
    let program = settings.program.as_deref().ok_or("no program for text messages is set")?;
    let arguments =
        settings.arguments.iter().map(|argument| fill(argument, |name| value(sms, name).map(Cow::from)));
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the program for text messages can't be started: {error}"))?;
    let mut running = Running(child);
    match timeout(limit, running.0.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the program for text messages failed: {status}")),
        Ok(Err(error)) => Err(format!("the program for text messages: {error}")),
        Err(_) => Err("the program for text messages didn't end in time and was ended".into()),
    }
}

/// How values are written into a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// For addresses and forms: all but unreserved characters percent-encoded (RFC 3986 2.3).
    Percent,
    /// Within a JSON string.
    Json,
    /// As it is.
    Plain,
}

impl Format {
    /// That of a body.
    fn of(content_type: &str) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Self::Percent,
            "application/json" => Self::Json,
            kind if kind.ends_with("+json") => Self::Json,
            _ => Self::Plain,
        }
    }

    fn write(self, value: &str) -> Cow<'_, str> {
        use std::fmt::Write as _;
        match self {
            Self::Plain => value.into(),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned().into()
            }
            Self::Percent => {
                let mut encoded = String::with_capacity(value.len() * 3);
                for byte in value.bytes() {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        encoded.push(byte.into());
                    } else {
                        // Writing to a text can't fail.
                        let _ = write!(encoded, "%{byte:02X}");
                    }
                }
                encoded.into()
            }
        }
    }

    fn fill(self, pattern: &str, sms: &Sms) -> String {
        fill(pattern, |name| value(sms, name).map(|value| self.write(value)))
    }
}

/// Sends the request; the status of the answer.
async fn ask(settings: &SmsSettings, sms: &Sms) -> Result<StatusCode, Fault> {
    let later = |text: String| Fault::Later(format!("the endpoint for text messages: {text}"));
    let unset = || Fault::Later("no endpoint for text messages is set".into());
    let url: Uri = Format::Percent
        .fill(settings.url.as_deref().ok_or_else(unset)?, sms)
        .parse()
        .map_err(|_| Fault::Never("the address of the endpoint for text messages is none".into()))?;
    let request = request(settings, sms, &url)
        .map_err(|_| Fault::Never("the request for text messages can't be written".into()))?;
    let limit = Duration::from_secs(settings.timeout_seconds.into());
    http::send(&url, settings.ca_file.clone(), limit, request).await.map_err(later)
}

fn request(settings: &SmsSettings, sms: &Sms, url: &Uri) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let (method, has_body) = match settings.method {
        SmsMethod::Post => ("POST", true),
        SmsMethod::Put => ("PUT", true),
        SmsMethod::Get => ("GET", false),
    };
    let mut request = http::request(method, url);
    for header in &settings.headers {
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        request = request.header(name.trim(), value.trim());
    }
    if let Some(secret) = &settings.http_authorization {
        let mut value = HeaderValue::from_str(secret.reveal())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let mut body = String::new();
    if has_body {
        request = request.header(CONTENT_TYPE, &settings.content_type);
        body = Format::of(&settings.content_type).fill(&settings.body, sms);
    }
    request.body(Full::from(body))
}

fn judge(settings: &SmsSettings, status: StatusCode) -> Result<(), Fault> {
    let number = u32::from(status.as_u16());
    if (settings.expected_status_from..=settings.expected_status_to).contains(&number) {
        return Ok(());
    }
    let text = format!("the endpoint for text messages answered {number}");
    let is_passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    Err(if is_passing || status.is_server_error() { Fault::Later(text) } else { Fault::Never(text) })
}
