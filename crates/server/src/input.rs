//! Reading requests: who asks, what, and under which `Idempotency-Key`; and running the one engine function behind a route.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use jackfield_core::{Code, Error, FieldError, Result};
use jackfield_engine::automate::files::FileContent;
use jackfield_engine::automate::imports::Export;
use jackfield_engine::idempotency::{KEY_MAX, Replay};
use jackfield_engine::{Caller, Engine, Idempotency, Op, Visit, clock, digest};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::front::{Peer, RequestId, authenticate};
use crate::session::same_origin;
use crate::uploads::{Incoming, Unread};

/// Largest body of the API, in bytes. Invoke has its own limit.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Largest body that a stranger may send: a few words.
const STRANGER_LIMIT: usize = 64 * 1024;

/// A request of somebody who is known, without a body.
pub(crate) struct Asked {
    pub op: Op,
}

/// A request of somebody who is known, with a JSON body. An empty body stands for `{}`.
pub(crate) struct AskedWith<T> {
    pub op: Op,
    pub body: T,
}

/// The same for invoke, whose bodies may be larger.
pub(crate) struct AskedLarge<T> {
    pub op: Op,
    pub body: T,
}

/// A request with a JSON body of somebody who need not be known: the few routes that let people in.
pub(crate) struct StrangerWith<T> {
    pub visit: Stranger,
    pub body: T,
}

/// Somebody who need not be known.
pub(crate) struct Stranger {
    pub visit: Visit,
}

impl Stranger {
    /// Answers with a view, or with what went wrong.
    pub fn reply<T: Serialize>(&self, status: u16, result: Result<T>) -> Response {
        match result {
            Ok(view) => json(status, &view),
            Err(error) => Failure { error, request_id: self.visit.request_id.clone() }.into_response(),
        }
    }
}

/// A query string.
pub(crate) struct Query<T>(pub T);

/// Parts of the path.
pub(crate) struct Path<T>(pub T);

pub(crate) fn request_id(parts: &Parts) -> String {
    parts.extensions.get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

async fn op(engine: &Engine, parts: &Parts, body: &[u8]) -> Result<Op> {
    let caller = authenticate(engine, &parts.method, &parts.headers).await?;
    Ok(op_of(&caller, parts, idempotency(parts, body)?))
}

/// The operation of a browser session; whether the request may change anything is for its reader to check.
pub(crate) async fn op_of_session(engine: &Engine, parts: &Parts, token: &SecretString) -> Result<Op> {
    let caller = engine.authenticate_session(token, clock::now()).await?;
    Ok(op_of(&caller, parts, None))
}

fn op_of(caller: &Caller, parts: &Parts, idempotency: Option<Idempotency>) -> Op {
    Op {
        principal: caller.principal.clone(),
        organization: Arc::clone(&caller.organization),
        now: clock::now(),
        request_id: request_id(parts),
        address: parts.extensions.get::<Peer>().map_or_else(String::new, |peer| peer.0.to_string()),
        session: caller.session.clone(),
        idempotency,
    }
}

/// The key counts on POST: what else there is repeats harmlessly by itself (RFC 9110 §9.2.2).
fn idempotency(parts: &Parts, body: &[u8]) -> Result<Option<Idempotency>> {
    let Some(value) = parts.headers.get("idempotency-key").filter(|_| parts.method == http::Method::POST)
    else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| (1..=KEY_MAX).contains(&key.len())).ok_or_else(|| {
        Error::new(Code::InvalidRequest, "Idempotency-Key: send 1 to 255 visible ASCII characters.")
    })?;
    let mut whole = Vec::with_capacity(body.len() + 256);
    for part in [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or("")] {
        whole.extend_from_slice(part.as_bytes());
        whole.push(b'\n');
    }
    whole.extend_from_slice(body);
    Ok(Some(Idempotency { key: key.to_owned(), request_digest: digest(&whole) }))
}

impl FromRequest<Engine> for Asked {
    type Rejection = Failure;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let known = async {
            // First who, then what: strangers are told nothing about their input.
            let caller = authenticate(engine, &parts.method, &parts.headers).await?;
            let bytes = read(&parts, body, BODY_LIMIT).await?;
            if !bytes.is_empty() && !bytes.iter().all(u8::is_ascii_whitespace) {
                let _: Nothing = parse(&parts.headers, &bytes)?;
            }
            Ok(op_of(&caller, &parts, idempotency(&parts, &bytes)?))
        }
        .await;
        known.map(|op| Self { op }).map_err(|error| Failure { error, request_id: request_id(&parts) })
    }
}

/// The body of a request that needs none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Whether a JSON text holds the escape `\u0000`, the only way in which JSON can hold that character (RFC 8259 §7).
pub(crate) fn json_holds_nul(json: &[u8]) -> bool {
    json.windows(6).enumerate().any(|(at, window)| {
        // An even number of backslashes before it: this one begins an escape and ends none.
        window == br"\u0000"
            && json.iter().take(at).rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2)
    })
}

async fn with_body<T: DeserializeOwned>(
    request: Request,
    engine: &Engine,
    limit: usize,
    kept: bool,
) -> Result<(Op, T), Failure> {
    let (parts, body) = request.into_parts();
    let known = async {
        let caller = authenticate(engine, &parts.method, &parts.headers).await?;
        let bytes = read(&parts, body, limit).await?;
        let parsed = parse(&parts.headers, &bytes)?;
        // What is kept goes to a database, which cannot hold it; what is passed on is the service's to judge.
        if kept && json_holds_nul(&bytes) {
            return Err(holds_nul_json());
        }
        Ok((op_of(&caller, &parts, idempotency(&parts, &bytes)?), parsed))
    }
    .await;
    known.map_err(|error| Failure { error, request_id: request_id(&parts) })
}

impl<T: DeserializeOwned> FromRequest<Engine> for AskedWith<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Failure> {
        with_body(request, engine, BODY_LIMIT, true).await.map(|(op, body)| Self { op, body })
    }
}

impl<T: DeserializeOwned> FromRequest<Engine> for StrangerWith<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let read = async {
            // Nobody is signed in by a page of another site, and none of these is asked for by one.
            same_origin(engine, &parts.headers)?;
            let bytes = read(&parts, body, STRANGER_LIMIT).await?;
            let parsed = parse(&parts.headers, &bytes)?;
            if json_holds_nul(&bytes) {
                return Err(holds_nul_json());
            }
            // The key counts for whoever is known; here it has to be one all the same.
            idempotency(&parts, &bytes)?;
            Ok(parsed)
        }
        .await;
        let visit = Stranger { visit: visit(&parts) };
        read.map(|body| Self { visit, body })
            .map_err(|error| Failure { error, request_id: request_id(&parts) })
    }
}

/// What is known of somebody who need not be known.
pub(crate) fn visit(parts: &Parts) -> Visit {
    let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    Visit {
        now: clock::now(),
        request_id: request_id(parts),
        address: parts.extensions.get::<Peer>().map_or_else(String::new, |peer| peer.0.to_string()),
        agent: agent.to_owned(),
    }
}

fn holds_nul_json() -> Error {
    Error::new(
        Code::InvalidJson,
        "The body holds the character U+0000, which nothing here can hold. Leave it out.",
    )
}

impl<T: DeserializeOwned> FromRequest<Engine> for AskedLarge<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, engine: &Engine) -> Result<Self, Failure> {
        let limit = engine.settings().request_limit;
        with_body(request, engine, limit, false).await.map(|(op, body)| Self { op, body })
    }
}

impl<T: DeserializeOwned> FromRequestParts<Engine> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        // A stranger is told that he is one before he is told what is wrong with his query.
        let known = match op(engine, parts, b"").await {
            Err(error) => Err(error),
            Ok(_) if holds_nul(parts.uri.query().unwrap_or("")) => Err(Error::new(
                Code::InvalidRequest,
                "The query cannot be read: it holds the character U+0000.",
            )),
            Ok(_) => axum::extract::Query::<T>::try_from_uri(&parts.uri).map_err(|error| {
                let why = error.body_text();
                let why = why.strip_prefix("Failed to deserialize query string: ").unwrap_or(&why).to_owned();
                Error::new(Code::InvalidRequest, format!("The query cannot be read: {why}."))
            }),
        };
        known
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Failure { error, request_id: request_id(parts) })
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Engine> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, engine: &Engine) -> Result<Self, Failure> {
        if holds_nul(parts.uri.path()) {
            return Err(Failure {
                error: Error::new(
                    Code::InvalidRequest,
                    "The path cannot be read: it holds the character U+0000.",
                ),
                request_id: request_id(parts),
            });
        }
        axum::extract::Path::<T>::from_request_parts(parts, engine)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|_| Failure {
                error: Error::new(Code::InvalidRequest, "The path cannot be read: it is not UTF-8."),
                request_id: request_id(parts),
            })
    }
}

/// U+0000, which no name holds and no database keeps. A URL can hold it in this one spelling only.
fn holds_nul(encoded: &str) -> bool {
    encoded.contains("%00")
}

async fn read(parts: &Parts, body: axum::body::Body, limit: usize) -> Result<Bytes> {
    Incoming::new(parts, body, limit).whole().await.map_err(|unread| match unread {
        Unread::TooLarge => {
            Error::new(Code::RequestTooLarge, format!("The body is larger than {limit} bytes."))
        }
        Unread::Broken => Error::new(Code::InvalidRequest, "The body broke off."),
        Unread::Refused(error) => error,
    })
}

/// Reads JSON and names what is wrong with it by its dotted path.
fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T> {
    if let Some(kind) = headers.get(CONTENT_TYPE)
        && !bytes.is_empty()
    {
        let kind = kind.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if kind != "application/json" && !kind.ends_with("+json") {
            return Err(Error::new(
                Code::UnsupportedMediaType,
                format!(
                    "The body's content type is {kind:?}. Send JSON with Content-Type: application/json."
                ),
            ));
        }
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| Error::new(Code::InvalidJson, "The body is not UTF-8."))?;
    from_json(if text.trim().is_empty() { "{}" } else { text })
}

/// What a JSON text says; where it says something else, each fault under its path.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    // A list would be taken for the members of the object in their order, which nobody has promised.
    if text.trim_start().starts_with('[') && serde_json::from_str::<Vec<serde_json::Value>>(text).is_ok() {
        return Err(wrong_field("", "The body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize::<_, T>(&mut json).map_err(|error| {
        let inner = error.inner();
        if inner.is_syntax() || inner.is_eof() {
            return Error::new(Code::InvalidJson, format!("The body is not valid JSON: {inner}."));
        }
        // Its beginning was read far enough to be wrong; what is no JSON at all is told so first.
        if let Err(inner) = serde_json::from_str::<serde_json::Value>(text) {
            return Error::new(Code::InvalidJson, format!("The body is not valid JSON: {inner}."));
        }
        wrong_field(&error.path().to_string(), &inner.to_string())
    })?;
    json.end()
        .map_err(|error| Error::new(Code::InvalidJson, format!("The body is not valid JSON: {error}.")))?;
    Ok(parsed)
}

fn wrong_field(path: &str, message: &str) -> Error {
    // serde says " at line 1 column 2"; the path says it better.
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let quoted = message.split('`').nth(1).unwrap_or("");
    let path = if path == "." { String::new() } else { path.replace('[', ".").replace(']', "") };
    let under = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if message.starts_with("unknown field") {
        // serde_path_to_error names the unknown member itself already.
        let field = if path == quoted || path.ends_with(&format!(".{quoted}")) {
            path.clone()
        } else {
            under(quoted)
        };
        return Error::invalid(vec![FieldError::new(
            field,
            "unknown",
            format!(
                "There is no such field{}.",
                message.split_once(", ").map_or_else(String::new, |(_, rest)| format!("; {rest}"))
            ),
        )]);
    }
    if message.starts_with("missing field") {
        return Error::invalid(vec![FieldError::new(under(quoted), "required", "This field is required.")]);
    }
    let field = if path.is_empty() { "body".to_owned() } else { path };
    Error::invalid(vec![FieldError::new(field, "invalid", format!("{}.", without_value(message)))])
}

/// serde repeats what was sent, which may be a secret in the wrong place: its kind is told, not its value.
fn without_value(message: &str) -> String {
    match (message.split(['"', '`']).next(), message.rsplit_once(", expected ")) {
        (Some(kind), Some((_, expected))) if kind.len() < message.len() - expected.len() => {
            format!("{}, expected {expected}", kind.trim_end())
        }
        _ => message.to_owned(),
    }
}

/// Answers with a view, or with what went wrong.
pub(crate) fn reply<T: Serialize>(op: &Op, status: u16, result: Result<T>) -> Response {
    match result {
        Ok(view) => json(status, &view),
        Err(error) => Failure { error, request_id: op.request_id.clone() }.into_response(),
    }
}

/// Answers 204, or what went wrong.
pub(crate) fn done(op: &Op, result: Result<()>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => Failure { error, request_id: op.request_id.clone() }.into_response(),
    }
}

pub(crate) fn json(status: u16, view: &impl Serialize) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let body = serde_json::to_vec(view).unwrap_or_default();
    bytes(status, "application/json", body.into())
}

/// Answers with a file of comma-separated values, as it is read. Where it cannot be read to its end, neither can the answer.
pub(crate) fn sheet(export: Export, name: &str) -> Response {
    let pieces = futures_util::stream::try_unfold(export, |mut export| async move {
        Ok::<_, Error>(export.next().await?.map(|piece| (Bytes::from(piece), export)))
    });
    let mut response = axum::body::Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    if let Ok(file) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    response
}

/// Answers with a file of a record: to be kept, never to be shown here. Its type is what a stranger said; so it is told nowhere.
pub(crate) fn attachment(file: FileContent) -> Response {
    let mut response = axum::body::Body::from(file.bytes).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let disposition = HeaderValue::from_str(&disposition(&file.filename));
    headers.insert(CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
    response
}

/// `Content-Disposition` of a file to be kept under a name (RFC 6266): for old readers in ASCII, for the others as it is (RFC 8187).
fn disposition(filename: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%' | ';') || c == ' ' { c } else { '_' }
    };
    let ascii: String = filename.chars().map(plain).collect();
    if ascii == filename {
        return format!("attachment; filename=\"{ascii}\"");
    }
    let mut exact = String::with_capacity(filename.len() * 3);
    for byte in filename.bytes() {
        // attr-char of RFC 8187.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            exact.push(char::from(byte));
        } else {
            use std::fmt::Write;
            let _ = write!(exact, "%{byte:02X}");
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}")
}

fn bytes(status: StatusCode, kind: &str, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    if let Ok(kind) = HeaderValue::from_str(kind)
        && !kind.is_empty()
    {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

/// A TOML document, or why there is none.
pub(crate) fn toml(op: &Op, result: Result<String>) -> Response {
    match result {
        Ok(text) => bytes(StatusCode::OK, "application/toml", text.into()),
        Err(error) => Failure { error, request_id: op.request_id.clone() }.into_response(),
    }
}

/// Runs what a POST asks for, once an `Idempotency-Key`: the same request gets the first answer again. `act` records its answer in the
/// transaction of its effect, so that whoever comes at the same time fails there and finds the first answer here.
pub(crate) async fn once<F, R>(engine: &Engine, op: &Op, act: F) -> Response
where
    F: FnOnce() -> R,
    R: Future<Output = Result<Response>>,
{
    let failure = |error| Failure { error, request_id: op.request_id.clone() }.into_response();
    match engine.replay(op).await {
        Err(error) => return failure(error),
        Ok(Some(replay)) => return again(replay),
        Ok(None) => {}
    }
    match act().await {
        Ok(response) => response,
        Err(error) if op.idempotency.is_some() => match engine.replay(op).await {
            Ok(Some(replay)) => again(replay),
            Err(other) if error.code == Code::RequestInProgress => failure(other),
            _ => failure(error),
        },
        Err(error) => failure(error),
    }
}

fn again(replay: Replay) -> Response {
    let status = StatusCode::from_u16(replay.status).unwrap_or(StatusCode::OK);
    let mut response = bytes(status, &replay.content_type, replay.body.into());
    response.headers_mut().insert("idempotent-replay", HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_engine::connect::connections::NewConnection;
    use serde_json::Value;

    fn wrong(text: &str) -> (Code, String, String) {
        let Err(error) = parse::<NewConnection>(&HeaderMap::new(), text.as_bytes()) else {
            panic!("accepted {text}")
        };
        let first = error.fields.first().map(|f| (f.field.clone(), f.code.clone())).unwrap_or_default();
        (error.code, first.0, first.1)
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        for (text, told) in [
            (
                r#"{"connector":"a","name":"b","parameters":"hunter2"}"#,
                "invalid type: string, expected a map.",
            ),
            (
                r#"{"connector":"a","name":"b","parameters":"a\", expected hunter2 at line 5"}"#,
                "invalid type: string, expected a map.",
            ),
            (r#"{"connector":"a","name":"b","scopes":77123}"#, "invalid type: integer, expected a sequence."),
            (
                r#"{"connector":"a","name":"b","same_authorization":[]}"#,
                "invalid type: sequence, expected a boolean.",
            ),
        ] {
            let Err(error) = parse::<NewConnection>(&HeaderMap::new(), text.as_bytes()) else {
                panic!("accepted {text}")
            };
            assert_eq!(error.fields[0].message, told);
            assert!(!error.detail.contains("hunter2"), "{}", error.detail);
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        let is = |code, field: &str, rule: &str| (code, field.to_owned(), rule.to_owned());
        assert_eq!(wrong("{"), is(Code::InvalidJson, "", ""));
        assert_eq!(wrong("{} x").0, Code::InvalidJson);
        assert_eq!(wrong("{}"), is(Code::InvalidInput, "connector", "required"));
        assert_eq!(
            wrong(r#"{"connector":"a","name":"b","nmae":1}"#),
            is(Code::InvalidInput, "nmae", "unknown")
        );
        assert_eq!(wrong(r#"{"connector":"a"}"#), is(Code::InvalidInput, "name", "required"));
        assert_eq!(wrong(r#"{"connector":"a","name":7}"#), is(Code::InvalidInput, "name", "invalid"));
        assert_eq!(
            wrong(r#"{"connector":"a","name":"b","scopes":["x",1]}"#),
            is(Code::InvalidInput, "scopes.1", "invalid")
        );
        assert_eq!(wrong(r#"{"connector":"a","name":"b","level":"owner"}"#).1, "level");
        assert_eq!(wrong("[]").1, "body");
        assert_eq!(wrong(r#"["a","b",null,null,null,{},null,null]"#).1, "body");
        assert_eq!(wrong("{\"connector\":\"a\",\"name\":\"b\"} x").0, Code::InvalidJson);
        assert!(json_holds_nul(br#"{"a":"b\u0000"}"#) && json_holds_nul(br#"{"a":"\\\u0000"}"#));
        assert!(!json_holds_nul(br#"{"a":"\\u0000"}"#) && !json_holds_nul(b"{}"));
    }

    #[test]
    fn a_name_of_a_file_stays_in_its_quotes() {
        for (name, header) in [
            ("cv 1.pdf", "attachment; filename=\"cv 1.pdf\""),
            ("a\"; x=\"b", "attachment; filename=\"a__ x=_b\"; filename*=UTF-8''a%22%3B%20x%3D%22b"),
            ("é€.txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%C3%A9%E2%82%AC.txt"),
            ("a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
            ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ] {
            assert_eq!(disposition(name), header);
            assert!(HeaderValue::from_str(&disposition(name)).is_ok());
        }
    }

    #[test]
    fn other_content_types_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let Err(error) = parse::<Value>(&headers, b"{}") else { panic!("accepted") };
        assert_eq!(error.code, Code::UnsupportedMediaType);
        assert!(parse::<Value>(&HeaderMap::new(), b"").is_ok());
    }
}
