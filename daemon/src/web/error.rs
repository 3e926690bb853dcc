//! Every refusal as one body, and the number that goes with it.
//!
//! What the desk refuses keeps its own words; what never came as far as the desk is worded here.

use headstock_config::api::{ApiError, ErrorBody};
use headstock_config::explain::{Explain, sentence};
use headstock_config::moment::rfc3339;
use warp::http::header::{ALLOW, CONNECTION, HeaderName, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use warp::http::{HeaderValue, Method, StatusCode};
use warp::reply::Response;

use super::ask::json;
use super::routes::Route;
use crate::clock::now_ms;
use crate::desk::{Kind, Refused};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The desk said no.
    #[error(transparent)]
    Desk(#[from] Refused),
    /// Nothing is served there.
    #[error("nothing is served at `{0}`")]
    NoSuchPath(String),
    /// Something is served there, but not to this method.
    #[error("`{method}` is not served at `{path}`")]
    WrongMethod {
        /// As it was asked.
        method: Method,
        /// As it was asked.
        path: String,
        /// The methods that are, as the `Allow` header has them.
        allowed: String,
    },
    /// No token was shown.
    #[error("no token was shown")]
    NoToken,
    /// A token was shown that nobody here has made.
    #[error("the token is not known here")]
    UnknownToken,
    /// The query is wrong.
    #[error("the query is wrong: {0}")]
    Query(String),
    /// The body is not the JSON that is asked for.
    #[error("the body is not understood")]
    Json {
        /// What is wrong, with line, column and what would be accepted.
        #[source]
        error: serde_json::Error,
        /// What it was sent to.
        route: &'static Route,
    },
    /// The body says that it is something else.
    #[error("a body of type `{said}` is not taken here")]
    MediaType {
        /// As it was sent, without parameters.
        said: String,
        /// What it was sent to.
        route: &'static Route,
    },
    /// More than is taken, bytes.
    #[error("the body is larger than {0} bytes")]
    TooBig(u64),
    /// The body did not come in time.
    #[error("the body did not arrive in time")]
    Slow,
    /// The body ended before its end.
    #[error("the body broke off")]
    BrokenOff,
    /// As many of these as there may be are under way.
    #[error("{0} are already open")]
    Crowded(String),
    /// Whatever carried it out has failed.
    #[error("the request was not carried out to its end")]
    Broke(#[source] tokio::task::JoinError),
    /// A feed was asked for without asking for a WebSocket.
    #[error("the feed is a WebSocket")]
    NotAWebSocket,
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Desk(refused) => match refused.kind() {
                Kind::Wrong => StatusCode::BAD_REQUEST,
                Kind::Forbidden => StatusCode::FORBIDDEN,
                Kind::Unknown => StatusCode::NOT_FOUND,
                Kind::NotNow => StatusCode::CONFLICT,
                Kind::TooBig => StatusCode::PAYLOAD_TOO_LARGE,
                Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::NoSuchPath(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoToken | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::Query(_) | Self::Json { .. } | Self::BrokenOff => StatusCode::BAD_REQUEST,
            Self::MediaType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooBig(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Crowded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broke(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotAWebSocket => StatusCode::UPGRADE_REQUIRED,
        }
    }

    /// A header that its status asks for.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let fixed = HeaderValue::from_static;
        match self {
            Self::NoToken => Some((WWW_AUTHENTICATE, fixed("Bearer"))),
            Self::UnknownToken => Some((WWW_AUTHENTICATE, fixed("Bearer error=\"invalid_token\""))),
            Self::WrongMethod { allowed, .. } => {
                HeaderValue::from_str(allowed).ok().map(|value| (ALLOW, value))
            }
            Self::NotAWebSocket => Some((UPGRADE, fixed("websocket"))),
            // What is left of the body is not worth reading.
            Self::TooBig(_) | Self::Slow => Some((CONNECTION, fixed("close"))),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, fixed("1")))
            }
            _ => None,
        }
    }

    fn details(&self) -> serde_json::Value {
        match self {
            Self::Desk(refused) => refused.details(),
            _ => serde_json::Value::Null,
        }
    }

    /// The answer that tells it.
    pub(super) fn response(&self, request_id: &str) -> Response {
        let error = ApiError {
            code: self.code().to_owned(),
            message: sentence(self),
            means: self.means(),
            remedy: self.remedy(),
            details: self.details(),
            timestamp: rfc3339(now_ms()),
            request_id: request_id.to_owned(),
        };
        let mut response = json(self.status(), &ErrorBody { error });
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl Explain for Failure {
    fn code(&self) -> &'static str {
        match self {
            Self::Desk(refused) => refused.code(),
            Self::NoSuchPath(_) => "web.no_such_path",
            Self::WrongMethod { .. } => "web.wrong_method",
            Self::NoToken => "web.no_token",
            Self::UnknownToken => "web.unknown_token",
            Self::Query(_) => "web.query",
            Self::Json { .. } => "web.json",
            Self::MediaType { .. } => "web.media_type",
            Self::TooBig(_) => "web.too_big",
            Self::Slow => "web.slow_body",
            Self::BrokenOff => "web.body_broke_off",
            Self::Crowded(_) => "web.crowded",
            Self::Broke(_) => "web.broke",
            Self::NotAWebSocket => "web.not_a_websocket",
        }
    }

    fn means(&self) -> String {
        match self {
            Self::Desk(refused) => refused.means(),
            Self::Broke(_) => "a part of it may have been done".into(),
            _ => "nothing was done".into(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Desk(refused) => refused.remedy(),
            Self::NoSuchPath(_) => "see /api/v1/openapi.json for what is served".into(),
            Self::WrongMethod { allowed, .. } => format!("use {allowed}"),
            Self::NoToken => {
                "send `Authorization: Bearer TOKEN`; `headstock token create` makes one".into()
            }
            Self::UnknownToken => "it may have been revoked: `headstock token list`".into(),
            Self::Query(_) => "see /api/v1/openapi.json for the parameters".into(),
            Self::Json { route, .. } => {
                format!("send {} in JSON; see /api/v1/openapi.json", route.takes.words())
            }
            Self::MediaType { route, .. } => format!("send {}", route.takes.words()),
            Self::TooBig(_) => "send less".into(),
            Self::Slow | Self::BrokenOff => "look at the connection, then send it again".into(),
            Self::Crowded(_) => "close one that is not needed, or try again in a moment".into(),
            Self::Broke(_) => {
                "see `headstock events` for what was done; this is a mistake in Headstock".into()
            }
            Self::NotAWebSocket => "connect with a WebSocket client, or poll /api/v1/events".into(),
        }
    }
}
