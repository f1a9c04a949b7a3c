//! How programs are answered: JSON, and what is wrong as RFC 9457 has it, with a code that stays.

use poem::{
    Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use serde::Serialize;

use crate::{
    domain::api_token::Scope,
    flows::Error,
    web::problem::{self, manner},
};

/// What is wrong with a request: a closed list.
#[derive(Debug)]
pub(super) enum Problem {
    /// Something in the path can't be understood.
    PathMalformed,
    /// A parameter can't be understood; which, if it is a known one.
    ParameterMalformed(String),
    /// There is no such thing here.
    NotFound,
    /// There is no such user.
    UserUnknown,
    /// There is no enrollment.
    EnrollmentMissing,
    /// It can't be done so.
    MethodUnknown {
        /// How it can.
        allowed: String,
    },
    /// The question is switched off.
    Disabled,
    /// There is no token that is good.
    TokenMissing,
    /// The token is not good for that.
    ScopeMissing(Scope),
    /// There were too many requests.
    RateLimited {
        /// When to try again.
        seconds: u64,
    },
    /// Something below is in trouble, or the program is.
    Failed(Error),
}

impl Problem {
    /// The code, by which programs tell problems apart.
    const fn code(&self) -> &'static str {
        match self {
            Self::PathMalformed => "path_malformed",
            Self::ParameterMalformed(_) => "parameter_malformed",
            Self::NotFound => "not_found",
            Self::UserUnknown => "user_unknown",
            Self::EnrollmentMissing => "enrollment_missing",
            Self::MethodUnknown { .. } => "method_unknown",
            Self::Disabled => "disabled",
            Self::TokenMissing => "token_missing",
            Self::ScopeMissing(_) => "insufficient_scope",
            Self::RateLimited { .. } => "rate_limited",
            Self::Failed(error) => error.code(),
        }
    }

    /// What it means, in words for who writes the program.
    const fn title(&self) -> &'static str {
        match self {
            Self::PathMalformed => "A part of the path can't be understood.",
            Self::ParameterMalformed(_) => "A parameter is unknown, given twice, or can't be understood.",
            Self::NotFound => "There is nothing at this path.",
            Self::UserUnknown => "There is no such user.",
            Self::EnrollmentMissing => "The user has no enrollment.",
            Self::MethodUnknown { .. } => "The path has other methods.",
            Self::Disabled => "This is switched off.",
            Self::TokenMissing => "A token that is good is needed.",
            Self::ScopeMissing(_) => "The token lacks a scope.",
            Self::RateLimited { .. } => "There were too many requests.",
            Self::Failed(_) => "It can't be done now.",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::PathMalformed | Self::ParameterMalformed(_) => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::UserUnknown | Self::EnrollmentMissing => StatusCode::NOT_FOUND,
            Self::MethodUnknown { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Disabled | Self::ScopeMissing(_) => StatusCode::FORBIDDEN,
            Self::TokenMissing => StatusCode::UNAUTHORIZED,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed(error) => manner(error).0,
        }
    }

    /// The header that goes with it.
    fn header(&self) -> Option<(HeaderName, String)> {
        match self {
            Self::MethodUnknown { allowed } => Some((header::ALLOW, allowed.clone())),
            Self::TokenMissing => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"Regain\"".to_owned())),
            Self::ScopeMissing(scope) => {
                let scope = scope.as_str();
                let challenge =
                    format!("Bearer realm=\"Regain\", error=\"insufficient_scope\", scope=\"{scope}\"");
                Some((header::WWW_AUTHENTICATE, challenge))
            }
            Self::RateLimited { seconds } => Some((header::RETRY_AFTER, seconds.to_string())),
            Self::Failed(error) => Some(manner(error).2)
                .filter(|wait| *wait > 0)
                .map(|wait| (header::RETRY_AFTER, wait.to_string())),
            _ => None,
        }
    }

    /// What stands in the log about it, and in the answer.
    fn reference(&self) -> Option<String> {
        match self {
            Self::Failed(error) => Some(problem::log(None, error)),
            _ => None,
        }
    }

    /// As the question that the product Regain replaces is answered: what could not be found out is 500.
    pub(super) fn to_question(&self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reference: Option<String>,
        }
        let status =
            if self.status().is_server_error() { StatusCode::INTERNAL_SERVER_ERROR } else { self.status() };
        let body = Body { error: self.code(), reference: self.reference() };
        self.with_header(json(status, &body))
    }

    fn with_header(&self, mut response: Response) -> Response {
        if let Some((name, value)) = self.header()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        #[derive(Serialize)]
        struct Body {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            code: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            parameter: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reference: Option<String>,
        }
        let parameter = match &problem {
            Problem::ParameterMalformed(name) if !name.is_empty() => Some(name.clone()),
            _ => None,
        };
        let body = Body {
            r#type: "about:blank",
            title: problem.title(),
            status: problem.status().as_u16(),
            code: problem.code(),
            parameter,
            reference: problem.reference(),
        };
        let mut response = problem.with_header(json(problem.status(), &body));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// An answer in JSON. Nobody keeps it, unless it says so.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => Response::builder().status(status).content_type("application/json").body(bytes),
        Err(error) => {
            tracing::error!(%error, "an answer can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into()
        }
    }
}
