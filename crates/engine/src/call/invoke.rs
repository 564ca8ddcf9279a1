//! Invoke: one HTTP call through a connection, described in JSON, answered whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant as Clock};

use base64::Engine as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jackfield_core::connector::target::{self, Target};
use jackfield_core::{Action, Code, Environment, Error, FieldError, Permit, Result, Timestamp, permit};
use jackfield_store::{Call, CallRecord};
use jackfield_vault::token;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::call::egress::{Egress, EgressBody, EgressError};
use crate::call::inject::{KnownBody, base64_of};
use crate::call::ready::{Addressed, Callable, pass_back};
use crate::clock;
use crate::govern::keys::Caller;
use crate::page::{Page, PageQuery};
use crate::{Engine, Op};

/// Longest time a call may take, and the time it has unless told.
pub const LONGEST: Duration = Duration::from_secs(40);
/// Redirects that are followed.
const REDIRECTS: u32 = 5;
/// Characters of a path that are written down.
const LONGEST_PATH: usize = 500;

/// A call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invocation {
    /// GET unless told
    #[serde(default = "get")]
    pub method: String,
    /// path joined to the connector's base URL, or an absolute URL on one of its hosts
    #[serde(default)]
    pub url: String,
    /// appended to the URL: strings, numbers, booleans, or lists of them
    #[serde(default)]
    pub query: Map<String, Value>,
    /// strings or lists of strings
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// JSON unless `body_encoding` says otherwise
    #[serde(default)]
    pub body: Option<Value>,
    /// `json`, `form` (object of strings or lists), `multipart` (object of strings or `{"filename","content_type","base64"}`), `text`,
    /// `base64`
    #[serde(default)]
    pub body_encoding: Option<String>,
    /// `development`, `stage` or `production`; production unless told
    #[serde(default)]
    pub environment: Option<String>,
    /// id of the member for whom an application calls, at level `user`
    #[serde(default)]
    pub acting_for: Option<String>,
    /// status and headers with the body
    #[serde(default)]
    pub detailed: bool,
    /// for the whole call, 1 to 40000
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

fn get() -> String {
    "GET".to_owned()
}

/// What a service answered.
pub struct Invoked {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// how long the service took, redirects included; the rest of the call's time is Jackfield's
    pub service_time: Duration,
}

/// What a service answered, described.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetailedReply<'a> {
    pub status: u16,
    /// several values of one header are joined by a comma
    #[schema(value_type = Object)]
    pub headers: BTreeMap<&'a str, Cow<'a, str>>,
    /// the JSON value for a JSON content type, a string for text, else base64
    #[schema(value_type = Value)]
    pub body: ReplyBody<'a>,
    /// `base64` where the body is
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_encoding: Option<&'static str>,
}

/// The body of an answer, as it is described.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ReplyBody<'a> {
    Nothing,
    /// as the service wrote it, so that no number loses a digit
    Json(&'a RawValue),
    Text(&'a str),
    Base64(String),
}

/// A record of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallView {
    pub id: String,
    pub at: Timestamp,
    pub environment: String,
    /// id of the member or application that called
    pub principal: String,
    pub authorization: Option<String>,
    /// `invoke`, `proxy`, `workflow`, `schedule` or `datasource`
    pub via: String,
    pub method: String,
    pub host: String,
    /// without the query
    pub path: String,
    /// what the service answered
    pub status: Option<i64>,
    /// Jackfield's own code, where the call failed here
    pub error: Option<String>,
    pub duration_ms: f64,
    /// of it, until the service had answered, redirects and a second try included; absent where it was not asked
    pub service_ms: Option<f64>,
    pub request_id: String,
}

impl From<Call> for CallView {
    #[allow(clippy::cast_precision_loss)] // microseconds of a call are far below 2^52
    fn from(call: Call) -> Self {
        Self {
            id: call.id,
            at: call.at,
            environment: call.environment,
            principal: call.principal,
            authorization: call.authorization_id,
            via: call.via,
            method: call.method,
            host: call.host,
            path: call.path,
            status: call.status,
            error: call.error,
            duration_ms: call.duration as f64 / 1000.0,
            service_ms: call.service.map(|micros| micros as f64 / 1000.0),
            request_id: call.request_id,
        }
    }
}

/// A call, read and checked.
struct Checked {
    method: Method,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    time: Duration,
}

impl Invoked {
    /// The reply with status and headers.
    pub fn detailed(&self) -> DetailedReply<'_> {
        let kind = self.headers.get(CONTENT_TYPE);
        let json = kind.is_some_and(|value| {
            let kind =
                value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        });
        let text = kind.is_some_and(|value| {
            let kind = value.to_str().unwrap_or("").to_ascii_lowercase();
            kind.starts_with("text/")
                || kind.starts_with("application/xml")
                || kind.contains("+xml")
                || kind.starts_with("application/x-www-form-urlencoded")
                || kind.starts_with("application/javascript")
        });
        let written = if json { serde_json::from_slice(&self.body).ok() } else { None };
        let (body, body_encoding) = match written {
            Some(value) => (ReplyBody::Json(value), None),
            None if self.body.is_empty() => (ReplyBody::Nothing, None),
            None => match std::str::from_utf8(&self.body) {
                Ok(string) if text || json || kind.is_none() => (ReplyBody::Text(string), None),
                _ => (ReplyBody::Base64(base64_of(&self.body)), Some("base64")),
            },
        };
        let value = |name: &HeaderName| {
            let mut values = self.headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()));
            let first = values.next().unwrap_or_default();
            values.fold(first, |all, value| all + ", " + value)
        };
        let headers = self.headers.keys().map(|name| (name.as_str(), value(name))).collect();
        DetailedReply { status: self.status, headers, body, body_encoding }
    }
}

impl Invocation {
    fn check(&self) -> Result<Checked> {
        let mut wrong = Vec::new();
        let method = check_method(&self.method).unwrap_or_else(|error| {
            wrong.push(error);
            Method::GET
        });
        let query = pairs("query", &self.query, &mut wrong);
        let mut headers = HeaderMap::new();
        for (name, value) in pairs("headers", &self.headers, &mut wrong) {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                (Ok(name), Ok(value)) => {
                    headers.append(name, value);
                }
                _ => wrong.push(FieldError::new(
                    format!("headers.{name}"),
                    "invalid",
                    "This is no header name or value.",
                )),
            }
        }
        let body = match self.encode_body(&mut headers) {
            Ok(body) => body,
            Err(error) => {
                wrong.push(error);
                None
            }
        };
        let time = match self.timeout_ms {
            None => LONGEST,
            Some(ms @ 1..=40_000) => Duration::from_millis(ms),
            Some(_) => {
                wrong.push(FieldError::new("timeout_ms", "out_of_range", "Say 1 to 40000 milliseconds."));
                LONGEST
            }
        };
        if wrong.is_empty() {
            Ok(Checked { method, query, headers, body, time })
        } else {
            Err(Error::invalid(wrong))
        }
    }

    fn encode_body(&self, headers: &mut HeaderMap) -> Result<Option<Vec<u8>>, FieldError> {
        let Some(body) = self.body.as_ref().filter(|body| !body.is_null()) else { return Ok(None) };
        let invalid = |message: &str| FieldError::new("body", "invalid", message);
        let mut default_type = |kind: &str| {
            if !headers.contains_key(CONTENT_TYPE)
                && let Ok(value) = HeaderValue::from_str(kind)
            {
                headers.insert(CONTENT_TYPE, value);
            }
        };
        match self.body_encoding.as_deref().unwrap_or("json") {
            "json" => {
                default_type("application/json");
                serde_json::to_vec(body).map(Some).map_err(|_| invalid("The body cannot be written as JSON."))
            }
            "form" => {
                let object = body
                    .as_object()
                    .ok_or_else(|| invalid("A form is an object of strings or lists of strings."))?;
                let mut wrong = Vec::new();
                let fields = pairs("body", object, &mut wrong);
                if let Some(first) = wrong.into_iter().next() {
                    return Err(first);
                }
                default_type("application/x-www-form-urlencoded");
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(fields);
                Ok(Some(form.finish().into_bytes()))
            }
            "multipart" => {
                let object =
                    body.as_object().ok_or_else(|| invalid("A multipart body is an object of parts."))?;
                let boundary = format!("jackfield-{}", token::random_token().expose_secret());
                let bytes = multipart(object, &boundary)?;
                headers.remove(CONTENT_TYPE);
                if let Ok(value) = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"))
                {
                    headers.insert(CONTENT_TYPE, value);
                }
                Ok(Some(bytes))
            }
            "text" => {
                let text =
                    body.as_str().ok_or_else(|| invalid("With body_encoding text the body is a string."))?;
                default_type("text/plain; charset=utf-8");
                Ok(Some(text.as_bytes().to_vec()))
            }
            "base64" => {
                let text = body
                    .as_str()
                    .ok_or_else(|| invalid("With body_encoding base64 the body is a string."))?;
                default_type("application/octet-stream");
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .map(Some)
                    .map_err(|_| invalid("The body is not base64 (RFC 4648 §4, with padding)."))
            }
            _ => {
                Err(FieldError::new("body_encoding", "invalid", "Say json, form, multipart, text or base64."))
            }
        }
    }
}

/// A method that may be sent to a service.
pub(crate) fn check_method(text: &str) -> Result<Method, FieldError> {
    let usable = (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_');
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if usable && method != Method::CONNECT && method != Method::TRACE => Ok(method),
        _ => Err(FieldError::new(
            "method",
            "invalid",
            "The method must be one such as GET, POST, PUT, PATCH or DELETE, in capitals.",
        )),
    }
}

/// An object of strings, numbers, booleans or lists of them, as pairs.
fn pairs(field: &str, object: &Map<String, Value>, wrong: &mut Vec<FieldError>) -> Vec<(String, String)> {
    fn scalar(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }
    let mut all = Vec::with_capacity(object.len());
    for (name, value) in object {
        let values = match value {
            Value::Array(list) => list.iter().map(scalar).collect::<Option<Vec<_>>>(),
            single => scalar(single).map(|text| vec![text]),
        };
        match values {
            Some(values) => all.extend(values.into_iter().map(|value| (name.clone(), value))),
            None => wrong.push(FieldError::new(
                format!("{field}.{name}"),
                "invalid",
                "Give a string, a number, a boolean, or a list of them.",
            )),
        }
    }
    all
}

/// `multipart/form-data` (RFC 7578).
fn multipart(object: &Map<String, Value>, boundary: &str) -> Result<Vec<u8>, FieldError> {
    // RFC 7578 §4.2 with the escaping of the WHATWG: quotes and line ends cannot end the parameter.
    let quoted = |text: &str| text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let mut out = Vec::new();
    for (name, value) in object {
        let invalid = |message: &str| FieldError::new(format!("body.{name}"), "invalid", message);
        out.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(name)).as_bytes(),
        );
        match value {
            Value::String(text) => {
                out.extend_from_slice(b"\r\n\r\n");
                out.extend_from_slice(text.as_bytes());
            }
            Value::Object(file) => {
                let part = |key: &str| file.get(key).and_then(Value::as_str);
                if let Some(other) =
                    file.keys().find(|key| !["filename", "content_type", "base64"].contains(&key.as_str()))
                {
                    return Err(FieldError::new(
                        format!("body.{name}.{other}"),
                        "unknown",
                        "A file has filename, content_type and base64.",
                    ));
                }
                let content = part("base64").ok_or_else(|| invalid("A file needs base64."))?;
                let content = base64::engine::general_purpose::STANDARD.decode(content).map_err(|_| {
                    FieldError::new(format!("body.{name}.base64"), "invalid", "This is not base64.")
                })?;
                let kind = part("content_type").unwrap_or("application/octet-stream");
                if HeaderValue::from_str(kind).is_err() {
                    return Err(FieldError::new(
                        format!("body.{name}.content_type"),
                        "invalid",
                        "This is no content type.",
                    ));
                }
                let filename = quoted(part("filename").unwrap_or("file"));
                out.extend_from_slice(
                    format!("; filename=\"{filename}\"\r\nContent-Type: {kind}\r\n\r\n").as_bytes(),
                );
                out.extend_from_slice(&content);
            }
            _ => {
                return Err(invalid(
                    "A part is a string or a file {\"filename\",\"content_type\",\"base64\"}.",
                ));
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(out)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// What is written down of a call while it goes on.
pub(crate) struct Trace<'a> {
    caller: &'a Caller,
    request_id: &'a str,
    connection: &'a str,
    via: &'static str,
    method: Method,
    at: Timestamp,
    started: Clock,
    environment: &'static str,
    authorization: Option<String>,
    host: String,
    path: String,
    /// how long the service has taken so far, where it was asked
    service: Option<Duration>,
}

impl<'a> Trace<'a> {
    pub fn new(
        caller: &'a Caller,
        request_id: &'a str,
        connection: &'a str,
        via: &'static str,
        method: Method,
    ) -> Self {
        Self {
            caller,
            request_id,
            connection,
            via,
            method,
            at: clock::now(),
            started: Clock::now(),
            environment: "",
            authorization: None,
            host: String::new(),
            path: String::new(),
            service: None,
        }
    }

    /// The service has taken this long; a second try adds to the first.
    pub fn served(&mut self, time: Duration) {
        self.service = Some(self.service.unwrap_or_default() + time);
    }

    pub fn within(&mut self, environment: Environment) {
        self.environment = environment.as_str();
    }

    pub fn towards(&mut self, callable: &Callable, target: &Target) {
        self.authorization = Some(callable.authorization.clone());
        self.host = target.authority();
        let path = target.path_and_query.split('?').next().unwrap_or("");
        // Short in bytes is short in characters, and most are.
        let end = if path.len() > LONGEST_PATH { path.char_indices().nth(LONGEST_PATH) } else { None };
        path.get(..end.map_or(path.len(), |(end, _)| end)).unwrap_or(path).clone_into(&mut self.path);
    }

    /// Writes it down. Calls on connections that the caller does not even know are not.
    pub fn end(self, engine: &Engine, outcome: Result<u16, Code>) {
        let (status, error) = match outcome {
            Ok(status) => (Some(status), None),
            Err(Code::NotFound) => return,
            Err(code) => (None, Some(code.as_str())),
        };
        let principal = match &self.caller.principal {
            jackfield_core::Principal::Member { id, .. }
            | jackfield_core::Principal::Application { id, .. } => id,
        };
        let record = CallRecord {
            authorization_id: self.authorization.as_deref(),
            environment: self.environment,
            principal,
            via: self.via,
            method: self.method.as_str(),
            host: &self.host,
            path: &self.path,
            status,
            error,
            duration: micros(self.started.elapsed()),
            service: self.service.map(micros),
            request_id: self.request_id,
            at: self.at,
        };
        let key = self.caller.principal.key();
        engine.inner.records.record(
            &engine.near.calls,
            &self.caller.organization,
            self.connection,
            key,
            &record,
        );
    }
}

/// Why a call failed, and whether the service may have acted on it.
pub(crate) struct Failed {
    pub error: Error,
    pub sent: bool,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, sent: false }
    }
}

const PERMIT: Permit = Permit::housekeeping("the call was permitted when it was made ready");

impl Engine {
    /// Calls a service through a connection.
    pub async fn invoke(&self, op: &Op, connection: &str, asked: &Invocation) -> Result<Invoked> {
        self.call(op, connection, "invoke", asked).await.map_err(|failed| failed.error)
    }

    /// The same, and tells of a failure whether the service may have acted. `via` stands in the record of the call.
    pub(crate) async fn call(
        &self,
        op: &Op,
        connection: &str,
        via: &'static str,
        asked: &Invocation,
    ) -> Result<Invoked, Failed> {
        let checked = asked.check()?;
        let caller = Caller {
            principal: op.principal.clone(),
            organization: op.organization.clone(),
            session: op.session.clone(),
        };
        let mut trace = Trace::new(&caller, &op.request_id, connection, via, checked.method.clone());
        let deadline = Instant::now() + checked.time;
        // Everything that can be refused without asking the service is refused before a key is spent on it.
        let address = Addressed {
            connection,
            environment: asked.environment.as_deref(),
            acting_for: asked.acting_for.as_deref(),
        };
        let result = self.call_out(op, &caller, &address, asked, checked, deadline, &mut trace).await;
        let outcome = match &result {
            Ok(invoked) => Ok(invoked.status),
            Err(failed) => Err(failed.error.code),
        };
        trace.end(self, outcome);
        result
    }

    #[allow(clippy::too_many_arguments)] // the parts of one call, all borrowed from its caller
    async fn call_out(
        &self,
        op: &Op,
        caller: &Caller,
        address: &Addressed<'_>,
        asked: &Invocation,
        checked: Checked,
        deadline: Instant,
        trace: &mut Trace<'_>,
    ) -> Result<Invoked, Failed> {
        let (ready, environment) = self.fresh(caller, address, deadline).await?;
        trace.within(environment);
        let callable = ready.callable()?;
        let first = callable.injection.target(&asked.url, &checked.query)?;
        trace.towards(callable, &first);
        self.begin_call(op, PERMIT).await?;
        let mut result = self.exchange_with(callable, &checked, first, deadline, trace).await;
        if matches!(&result, Ok(invoked) if invoked.status == 401) {
            match self.after_refusal(caller, address, callable, deadline).await {
                Ok(Some(again)) => {
                    if let Ok(callable) = again.callable()
                        && let Ok(target) = callable.injection.target(&asked.url, &checked.query)
                    {
                        result = self.exchange_with(callable, &checked, target, deadline, trace).await;
                    }
                }
                Ok(None) => {}
                // What was refused has done nothing.
                Err(error) => result = Err(error.into()),
            }
        }
        if op.idempotency.is_some() {
            self.settle(op, asked.detailed, &result).await;
        }
        result
    }

    /// Records the answer under the caller's `Idempotency-Key`, or frees the key where nothing was sent.
    async fn settle(&self, op: &Op, detailed: bool, result: &Result<Invoked, Failed>) {
        let settled = match result {
            Ok(invoked) if detailed => match serde_json::to_vec(&invoked.detailed()) {
                Ok(body) => self.end_call(op, PERMIT, 200, "application/json", &body).await,
                Err(error) => Err(Error::internal(error)),
            },
            Ok(invoked) => {
                let kind = invoked.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
                self.end_call(op, PERMIT, invoked.status, kind, &invoked.body).await
            }
            Err(failed) if !failed.sent => self.forget_call(op, PERMIT).await,
            // The service may have acted: the key stays taken, and says that nobody knows.
            Err(_) => Ok(()),
        };
        if let Err(error) = settled {
            tracing::error!(%error, request_id = op.request_id, "the answer to an idempotent call could not be recorded");
        }
    }

    /// One call with all its redirects, and its time.
    async fn exchange_with(
        &self,
        callable: &Callable,
        checked: &Checked,
        target: Target,
        deadline: Instant,
        trace: &mut Trace<'_>,
    ) -> Result<Invoked, Failed> {
        let begun = Clock::now();
        let result = self.follow(callable, checked, target, deadline, trace).await;
        let service_time = begun.elapsed();
        trace.served(service_time);
        result.map(|invoked| Invoked { service_time, ..invoked })
    }

    async fn follow(
        &self,
        callable: &Callable,
        checked: &Checked,
        mut target: Target,
        deadline: Instant,
        trace: &mut Trace<'_>,
    ) -> Result<Invoked, Failed> {
        let mut headers = checked.headers.clone();
        let body = match &checked.body {
            None if !callable.injection.needs_body() => None,
            None if matches!(checked.method, Method::GET | Method::HEAD) => None,
            body => Some(Bytes::from(
                callable.injection.fill_body(&mut headers, body.clone().unwrap_or_default())?,
            )),
        };
        let mut sent = false;
        for _ in 0..=REDIRECTS {
            let known = body.as_deref().map_or(KnownBody::None, KnownBody::Bytes);
            let payload = body.clone().map_or(EgressBody::Empty, EgressBody::Full);
            let request = callable.injection.request(
                checked.method.clone(),
                &target,
                headers.clone(),
                &known,
                payload,
            )?;
            let lost = |error: EgressError, sent: bool| Failed {
                sent: sent || error.request_was_sent(),
                error: error.into(),
            };
            let answer =
                self.egress().send(request, Some(deadline)).await.map_err(|error| lost(error, sent))?;
            sent = true;
            let (mut head, incoming) = answer.into_parts();
            if head.status.is_redirection()
                && matches!(checked.method, Method::GET | Method::HEAD)
                && let Some(next) = head.headers.get(LOCATION).and_then(|value| value.to_str().ok())
            {
                target = redirected(callable, &target, next).map_err(|error| Failed { error, sent })?;
                trace.towards(callable, &target);
                continue;
            }
            let limit = self.settings().response_limit;
            let body = Egress::collect(incoming, limit, deadline).await.map_err(|error| lost(error, true))?;
            crate::call::inject::strip_hop_by_hop(&mut head.headers);
            pass_back(&mut head.headers);
            return Ok(Invoked {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
                service_time: Duration::ZERO,
            });
        }
        let error = Error::new(
            Code::UpstreamUnreachable,
            format!("The service redirected more than {REDIRECTS} times."),
        );
        Err(Failed { error, sent })
    }

    /// The calls through a connection, the latest first.
    pub async fn list_calls(&self, op: &Op, link_name: &str, query: &PageQuery) -> Result<Page<CallView>> {
        let connection = self.find_connection(op, link_name).await?;
        permit(&op.principal, Action::See, &self.connection_resource(op, &connection).await?.as_resource())?;
        op.member()?;
        self.flush_records().await;
        let limit = query.limit()?;
        let before = match query.after()? {
            none if none.is_empty() => "~".to_owned(),
            before => before,
        };
        let mut calls = self.store().calls(&op.organization, link_name, &before, limit.rows()).await?;
        // Those of another one that had its name before are not its own.
        calls.retain(|call| call.at >= connection.created_at);
        Ok(limit.page(calls, |call| call.id.clone(), CallView::from))
    }
}

/// Where a redirect leads, if it may be followed.
fn redirected(callable: &Callable, from: &Target, location: &str) -> Result<Target> {
    let base = url::Url::parse(&from.url).map_err(Error::internal)?;
    let mut next = base.join(location).map_err(|_| {
        Error::new(Code::UpstreamUnreachable, "The service redirected to something that is no URL.")
    })?;
    next.set_fragment(None);
    if !target::has_web_scheme(next.as_str()) || (base.scheme() == "https" && next.scheme() == "http") {
        return Err(Error::new(
            Code::HostNotAllowed,
            "The service redirected away from https; that is not followed.",
        ));
    }
    callable.injection.target(next.as_str(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn invocation(value: Value) -> Invocation {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn bodies_are_encoded_as_asked() {
        let check = |value| invocation(value).check();
        let json = check(json!({"body": {"a": 1}})).unwrap();
        assert_eq!(json.body.unwrap(), br#"{"a":1}"#);
        assert_eq!(json.headers[CONTENT_TYPE], "application/json");
        let form = check(json!({"body": {"a": ["1", "2"], "b": "x y"}, "body_encoding": "form"})).unwrap();
        assert_eq!(form.body.unwrap(), b"a=1&a=2&b=x+y");
        let raw = check(json!({"body": "AAEC", "body_encoding": "base64"})).unwrap();
        assert_eq!(raw.body.unwrap(), [0, 1, 2]);
        let parts =
            json!({"f": {"filename": "a\"b.txt", "content_type": "text/plain", "base64": "aGk="}, "n": "v"});
        let parts = check(json!({"body": parts, "body_encoding": "multipart"})).unwrap();
        let text = String::from_utf8(parts.body.unwrap()).unwrap();
        assert!(
            text.contains("name=\"f\"; filename=\"a%22b.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n"),
            "{text}"
        );
        assert!(check(json!({"body": null})).unwrap().body.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = json!({"method": "get", "query": {"a": {}}, "headers": {"b\n": "c"}, "body": 1, "body_encoding": "form", "timeout_ms": 0});
        let Err(error) = invocation(wrong).check() else { panic!("accepted") };
        let fields: Vec<&str> = error.fields.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["method", "query.a", "headers.b\n", "body", "timeout_ms"]);
        assert!(serde_json::from_value::<Invocation>(json!({"metod": "GET"})).is_err());
    }

    #[test]
    fn replies_are_described_by_their_type() {
        let reply = |kind: &'static str, body: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            let invoked = Invoked {
                status: 200,
                headers,
                body: Bytes::from_static(body),
                service_time: Duration::ZERO,
            };
            let written = serde_json::to_string(&invoked.detailed()).unwrap();
            written.replace(&format!(r#""status":200,"headers":{{"content-type":"{kind}"}},"#), "")
        };
        for (kind, body, wanted) in [
            ("application/vnd.api+json", r#"{"a":1}"#, r#"{"body":{"a":1}}"#),
            // Nothing of a number is lost, whatever its length.
            (
                "application/json",
                r#"{"id":12345678901234567890123, "sum":0.10}"#,
                r#"{"body":{"id":12345678901234567890123, "sum":0.10}}"#,
            ),
            ("application/json", "{no", r#"{"body":"{no"}"#),
            ("application/json", "", r#"{"body":null}"#),
            ("text/html", "<p>", r#"{"body":"<p>"}"#),
            ("image/png", "hi", r#"{"body":"aGk=","body_encoding":"base64"}"#),
        ] {
            assert_eq!(reply(kind, body.as_bytes()), wanted);
        }
        assert_eq!(reply("text/plain", b"\x89P"), r#"{"body":"iVA=","body_encoding":"base64"}"#);
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        let twice = Invoked { status: 200, headers, body: Bytes::new(), service_time: Duration::ZERO };
        assert_eq!(twice.detailed().headers["x-a"], "1, 2");
    }
}
