//! Faults on purpose: what services do to their clients on a bad day.

use std::{collections::VecDeque, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::{App, params::Params, serve::Cord, state::State as Store};

/// The longest answer that a fault can bend.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// The longest request of the OAuth endpoints.
pub(crate) const FORM_LIMIT: usize = 64 * 1024;

/// Something that goes wrong.
///
/// *Before* means that the request has no effect; *after* means that it was processed (a code or a
/// refresh token is spent) and only the answer suffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Before: the connection is closed without an answer.
    Drop,
    /// Before: the connection is reset (TCP RST) without an answer.
    Reset,
    /// After: the connection is reset without an answer.
    ResetAfterProcessing,
    /// After: half of the answer is sent, then the connection is reset.
    HalfAnswer,
    /// After: `Content-Length` promises more than the body holds, then the connection is closed.
    Truncated,
    /// Before: this status with a plain body.
    Status(u16),
    /// Before: 503 with `Retry-After` in seconds.
    Status503 {
        /// Seconds.
        retry_after: u32,
    },
    /// Before: 429 with `Retry-After` in seconds.
    Status429 {
        /// Seconds.
        retry_after: u32,
    },
    /// Before: nothing happens until [`crate::Sandbox::release`]; then the request is answered.
    Hang,
    /// After: the answer is held back until [`crate::Sandbox::release`].
    HangAfterProcessing,
    /// Before: the request waits this long, then is answered.
    Delay(Duration),
    /// Before: 200 with an HTML page, as a captive portal or a proxy answers.
    Html,
    /// After: 200 with JSON that ends in the middle.
    InvalidJson,
    /// Before: 200 with `{"ok":false,"error":…}`.
    ErrorIn200(String),
    /// Before: 400 with `{"error":…}`, for example `invalid_grant`.
    OAuthError(String),
    /// The token answer has no refresh token; the presented one stays valid.
    NoRefreshToken,
    /// `expires_in` is a string.
    StringExpiresIn,
    /// The token answer has no `expires_in`.
    NoExpiresIn,
    /// The token answer has no `token_type`.
    NoTokenType,
    /// The token answer is form-encoded.
    FormEncodedAnswer,
    /// The answer stands under this key of an object.
    Nested(String),
}

/// Where a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/oauth2/token`, every grant.
    Token,
    /// `/oauth2/token` with this `grant_type` only, for example `refresh_token`.
    Grant(String),
    /// `/oauth2/revoke`.
    Revoke,
    /// `/oauth2/par`.
    Par,
    /// `/oauth1/request_token` and `/oauth1/access_token`.
    OAuth1,
    /// Everything under `/api/v1`.
    Api,
    /// One path below `/api/v1`, for example `/vendors`.
    ApiPath(String),
}

impl Place {
    fn meets(&self, path: &str, grant: Option<&str>) -> bool {
        match self {
            Self::Token => path == "/oauth2/token",
            Self::Grant(wanted) => path == "/oauth2/token" && grant == Some(wanted),
            Self::Revoke => path == "/oauth2/revoke",
            Self::Par => path == "/oauth2/par",
            Self::OAuth1 => matches!(path, "/oauth1/request_token" | "/oauth1/access_token"),
            Self::Api => path.starts_with("/api/v1"),
            Self::ApiPath(wanted) => path.strip_prefix("/api/v1").is_some_and(|rest| rest == wanted),
        }
    }
}

/// The faults that wait to strike, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<(Place, Fault, Option<u32>)>);

impl Queue {
    pub(crate) fn push(&mut self, place: Place, fault: Fault, times: Option<u32>) {
        // A standing fault is replaced; counted ones are used up in order.
        self.0.retain(|(known, _, left)| *known != place || left.is_some());
        if times != Some(0) {
            self.0.push_back((place, fault, times));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn take(&mut self, path: &str, grant: Option<&str>) -> Option<Fault> {
        let at = self.0.iter().position(|(place, _, _)| place.meets(path, grant))?;
        let (_, fault, left) = self.0.get_mut(at)?;
        let fault = fault.clone();
        if let Some(left) = left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.0.remove(at);
            }
        }
        Some(fault)
    }
}

/// Told to the token endpoint: this answer carries no refresh token, and none is spent.
#[derive(Clone, Copy)]
pub(crate) struct WithoutRefreshToken;

/// Counts every request to a protocol endpoint or the API, and lets a fault strike.
pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let is_protocol = path.starts_with("/oauth");
    let (request, grant) = if is_protocol {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, FORM_LIMIT).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        let params = Params::of_body(&parts.headers, &body).unwrap_or_default();
        app.sandbox.state().count_protocol(&path, &params);
        let grant = params.get("grant_type").map(str::to_owned);
        (Request::from_parts(parts, Body::from(body)), grant)
    } else {
        app.sandbox.state().count_api(&path);
        (request, None)
    };
    let fault = {
        let mut state = app.sandbox.state();
        let fault = state.faults.take(&path, grant.as_deref());
        if fault.is_some() {
            state.counters.faults += 1;
        }
        fault
    };
    match fault {
        None => next.run(request).await,
        Some(fault) => strike(&app, fault, request, next).await,
    }
}

async fn strike(app: &App, fault: Fault, mut request: Request, next: Next) -> Response {
    let cord = request.extensions().get::<Cord>().cloned();
    match fault {
        Fault::Drop => cut(cord, false).await,
        Fault::Reset => cut(cord, true).await,
        Fault::ResetAfterProcessing => {
            drop(next.run(request).await);
            cut(cord, true).await
        }
        Fault::HalfAnswer => {
            if let Some(cord) = cord {
                cord.end_in_reset();
            }
            broken(next.run(request).await, |length| (length, length / 2)).await
        }
        Fault::Truncated => broken(next.run(request).await, |length| (length + 100, length)).await,
        Fault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "The sandbox was told to fail.\n").into_response()
        }
        Fault::Status503 { retry_after } => later(StatusCode::SERVICE_UNAVAILABLE, retry_after),
        Fault::Status429 { retry_after } => later(StatusCode::TOO_MANY_REQUESTS, retry_after),
        Fault::Hang => {
            app.sandbox.released().await;
            next.run(request).await
        }
        Fault::HangAfterProcessing => {
            let response = next.run(request).await;
            app.sandbox.released().await;
            response
        }
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Fault::Html => (
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            "<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>\n",
        )
            .into_response(),
        Fault::InvalidJson => {
            bend(next.run(request).await, |text| {
                let end = text.char_indices().nth(text.chars().count() * 2 / 3).map_or(0, |(at, _)| at);
                (text.get(..end).unwrap_or_default().to_owned(), None)
            })
            .await
        }
        Fault::ErrorIn200(error) => {
            no_store(axum::Json(json!({"ok": false, "error": error})).into_response())
        }
        Fault::OAuthError(error) => {
            no_store((StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error }))).into_response())
        }
        Fault::NoRefreshToken => {
            request.extensions_mut().insert(WithoutRefreshToken);
            next.run(request).await
        }
        Fault::StringExpiresIn => {
            bend_object(next.run(request).await, |object| {
                if let Some(value) = object.get_mut("expires_in") {
                    *value = Value::String(value.to_string());
                }
            })
            .await
        }
        Fault::NoExpiresIn => without_field(next.run(request).await, "expires_in").await,
        Fault::NoTokenType => without_field(next.run(request).await, "token_type").await,
        Fault::FormEncodedAnswer => {
            bend(next.run(request).await, |text| {
                let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in &object {
                    match value {
                        Value::String(text) => form.append_pair(name, text),
                        other => form.append_pair(name, &other.to_string()),
                    };
                }
                (form.finish(), Some("application/x-www-form-urlencoded"))
            })
            .await
        }
        Fault::Nested(key) => {
            bend(next.run(request).await, |text| {
                let inner: Value = serde_json::from_str(text).unwrap_or(Value::Null);
                (json!({ key: inner }).to_string(), None)
            })
            .await
        }
    }
}

/// Ends the connection and never answers. Where the router is served by somebody else, the
/// connection cannot be reached, and a body that fails at once does nearly the same.
async fn cut(cord: Option<Cord>, reset: bool) -> Response {
    let Some(cord) = cord else {
        let failing = stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut on purpose")) });
        return Response::new(Body::from_stream(failing));
    };
    cord.cut(reset);
    std::future::pending().await
}

/// Promises and sends as many bytes as `lengths` says of the true length, then breaks the connection.
async fn broken(response: Response, lengths: impl FnOnce(usize) -> (usize, usize)) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, ANSWER_LIMIT).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (promised, sent) = lengths(body.len());
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    let part = body.slice(..sent.min(body.len()));
    let sent = stream::once(async move { Ok(part) });
    // The pause lets the part reach the network before the connection breaks.
    let end = stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("broken on purpose"))
    });
    Response::from_parts(parts, Body::from_stream(futures_util::StreamExt::chain(sent, end)))
}

/// Rewrites the body of a good answer.
async fn bend(response: Response, change: impl FnOnce(&str) -> (String, Option<&'static str>)) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, ANSWER_LIMIT).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (text, media_type) = change(&String::from_utf8_lossy(&body));
    if let Some(media_type) = media_type {
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
}

async fn bend_object(
    response: Response,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> Response {
    bend(response, |text| {
        let mut value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        if let Some(object) = value.as_object_mut() {
            change(object);
        }
        (value.to_string(), None)
    })
    .await
}

async fn without_field(response: Response, field: &str) -> Response {
    bend_object(response, |object| {
        object.remove(field);
    })
    .await
}

fn later(status: StatusCode, seconds: u32) -> Response {
    (status, [(header::RETRY_AFTER, HeaderValue::from(seconds))], "Come back later.\n").into_response()
}

/// Marks an answer as one that nobody may keep.
pub(crate) fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

impl Store {
    /// Notes a request to an OAuth endpoint, whatever becomes of it.
    fn count_protocol(&mut self, path: &str, params: &Params) {
        match path {
            "/oauth2/token" => {
                self.counters.token_requests += 1;
                let grant = params.get("grant_type").unwrap_or_default();
                // Names that nobody knows share one entry in the end, so that the map stays small.
                let known = self.counters.grants.contains_key(grant) || self.counters.grants.len() < 20;
                let entry = if known && grant.len() <= 64 { grant } else { "other" };
                *self.counters.grants.entry(entry.to_owned()).or_default() += 1;
                if grant == "refresh_token"
                    && let Some(token) = params.get("refresh_token")
                {
                    self.note_presentation(token);
                }
            }
            "/oauth2/revoke" => self.counters.revocations += 1,
            _ => {}
        }
    }

    fn count_api(&mut self, path: &str) {
        let calls = &mut self.counters.api_calls;
        if calls.len() < 1000 || calls.contains_key(path) {
            *calls.entry(path.to_owned()).or_default() += 1;
        }
    }
}
