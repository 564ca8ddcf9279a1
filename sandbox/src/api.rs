//! The vendor API, and paths that show a client how it behaves.
#![allow(clippy::result_large_err, reason = "a refusal is the finished response; it is moved once")]

use std::{convert::Infallible, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{
        Path, Request, State,
        ws::{Message, WebSocketUpgrade},
    },
    response::{IntoResponse, Response},
    routing::{any, get},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};

use crate::{
    App, clock,
    credential::{Caller, caller, error, insufficient_scope},
    params::{Params, is_form},
    secret,
    state::Vendor,
};

const RECORD_LIMIT: usize = 1024 * 1024;
const ECHO_LIMIT: usize = 32 * 1024 * 1024;
const VENDOR_LIMIT: usize = 10_000;
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Everything under `/api/v1`.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/me", get(me))
        .route("/api/v1/me/echo", any(echo_for_callers))
        .route("/api/v1/companies", get(companies))
        .route("/api/v1/companies/{id}", get(company))
        .route("/api/v1/vendors", get(list_vendors).post(create_vendor))
        .route("/api/v1/vendors/{id}", get(read_vendor).put(replace_vendor).delete(delete_vendor))
        .route("/api/v1/echo", any(echo))
        .route("/api/v1/echo/{*rest}", any(echo))
        .route("/api/v1/sink", any(sink))
        .route("/api/v1/status/{code}", any(status))
        .route("/api/v1/redirect", any(redirect))
        .route("/api/v1/stream", get(stream_bytes))
        .route("/api/v1/slow", any(slow))
        .route("/api/v1/events", get(events))
        .route("/api/v1/ws", get(web_socket))
        .route("/api/v1/{*rest}", any(nothing_here))
}

/// A request by somebody who may make it.
struct Entered {
    parts: Parts,
    body: Bytes,
    caller: Caller,
}

async fn enter(app: &App, request: Request, scope: Option<&str>, limit: usize) -> Result<Entered, Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, limit).await.map_err(|_| {
        error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The request body is too large.", None)
    })?;
    let caller = caller(app, &parts, &body).map_err(IntoResponse::into_response)?;
    match (scope, &caller.scopes) {
        (Some(scope), Some(granted)) if !granted.contains(scope) => Err(insufficient_scope(scope)),
        _ => Ok(Entered { parts, body, caller }),
    }
}

fn answered(result: Result<Response, Response>) -> Response {
    result.unwrap_or_else(|refusal| refusal)
}

fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", "There is nothing with this id.", None)
}

async fn nothing_here() -> Response {
    error(StatusCode::NOT_FOUND, "not_found", "The API has no such path.", None)
}

async fn me(State(app): State<App>, request: Request) -> Response {
    let found = enter(&app, request, Some("profile"), RECORD_LIMIT).await;
    answered(found.map(|entered| Json(entered.caller.identity(&app)).into_response()))
}

// ---- Companies ----

const COMPANIES: [(&str, &str, &str); 3] = [
    ("northwind", "Northwind Traders", "eu"),
    ("contoso", "Contoso Studio", "us"),
    ("fabrikam", "Fabrikam Training", "eu"),
];

fn company_json((id, name, region): (&str, &str, &str)) -> Value {
    json!({"id": id, "name": name, "region": region})
}

async fn companies(State(app): State<App>, request: Request) -> Response {
    let list = || Json(json!({"items": COMPANIES.map(company_json)})).into_response();
    answered(enter(&app, request, None, RECORD_LIMIT).await.map(|_| list()))
}

async fn company(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    let found = || {
        COMPANIES
            .into_iter()
            .find(|company| company.0 == id)
            .map_or_else(not_found, |company| Json(company_json(company)).into_response())
    };
    answered(enter(&app, request, None, RECORD_LIMIT).await.map(|_| found()))
}

// ---- Vendors ----

async fn list_vendors(State(app): State<App>, request: Request) -> Response {
    let entered = match enter(&app, request, Some("vendors:read"), RECORD_LIMIT).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let query = Params::of_query(entered.parts.uri.query());
    let bad = |field: &str| {
        error(StatusCode::BAD_REQUEST, "invalid_parameter", "The value cannot be read.", Some(field))
    };
    let Ok(limit) = query.get("limit").unwrap_or("20").parse::<usize>() else { return bad("limit") };
    let limit = limit.clamp(1, 100);
    let since = match query.get("updated_since").map(str::parse::<jiff::Timestamp>) {
        None => i64::MIN,
        Some(Ok(time)) => time.as_second(),
        Some(Err(_)) => return bad("updated_since"),
    };
    let (name, words) = (query.get("display_name"), query.get("q").map(str::to_lowercase));
    let found: Vec<(u64, Vendor)> = app
        .sandbox
        .state()
        .vendors
        .iter()
        .filter(|(_, (vendor, changed))| {
            *changed >= since
                && name.is_none_or(|name| vendor.display_name == name)
                && words.as_deref().is_none_or(|words| vendor.display_name.to_lowercase().contains(words))
        })
        .map(|(id, (vendor, _))| (*id, vendor.clone()))
        .collect();
    let total = found.len();
    if let Some(page) = query.get("page") {
        let Some(page) = page.parse::<usize>().ok().filter(|page| *page > 0) else { return bad("page") };
        let items: Vec<&Vendor> = found
            .iter()
            .skip((page - 1).saturating_mul(limit))
            .take(limit)
            .map(|(_, vendor)| vendor)
            .collect();
        let pages = total.div_ceil(limit);
        let next = (page < pages).then_some(page + 1);
        let body = json!({"items": items, "page": page, "pages": pages, "next_page": next, "total": total});
        return linked(&app, body, next.map(|next| format!("page={next}&limit={limit}")));
    }
    let after = match query.get("cursor") {
        None => 0,
        Some(cursor) => match read_cursor(cursor) {
            Some(after) => after,
            None => return bad("cursor"),
        },
    };
    let rest: Vec<&(u64, Vendor)> = found.iter().filter(|(id, _)| *id > after).take(limit + 1).collect();
    let items: Vec<&Vendor> = rest.iter().take(limit).map(|(_, vendor)| vendor).collect();
    let next = if rest.len() > limit { rest.get(limit - 1).map(|(id, _)| write_cursor(*id)) } else { None };
    let link = next.as_ref().map(|cursor| format!("cursor={cursor}&limit={limit}"));
    linked(&app, json!({"items": items, "next_cursor": next, "total": total}), link)
}

fn write_cursor(id: u64) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("after:{id}"))
}

fn read_cursor(cursor: &str) -> Option<u64> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("after:")?.parse().ok()
}

/// The list with a `Link` header to the next part, for clients that follow those.
fn linked(app: &App, body: Value, next: Option<String>) -> Response {
    let mut response = Json(body).into_response();
    let link = next.map(|query| format!("<{}/api/v1/vendors?{query}>; rel=\"next\"", app.base));
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// What a client may say about a vendor.
struct Draft {
    display_name: String,
    company_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    notes: Option<String>,
    active: bool,
}

fn draft(parts: &Parts, body: &Bytes) -> Result<Draft, Response> {
    let invalid =
        |field: &str, message: &str| error(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message, Some(field));
    let fields: Map<String, Value> = if is_form(&parts.headers) {
        Params::parse(body).0.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
    } else {
        serde_json::from_slice(body).map_err(|_| {
            error(StatusCode::BAD_REQUEST, "invalid_json", "The body is no JSON object.", None)
        })?
    };
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() > 1000 => Err(invalid(name, &format!("{name} is too long."))),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(_) => Err(invalid(name, &format!("{name} must be a text."))),
    };
    let active = match fields.get("Active") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(active)) => *active,
        Some(Value::String(active)) if active == "true" || active == "false" => active == "true",
        Some(_) => return Err(invalid("Active", "Active must be true or false.")),
    };
    Ok(Draft {
        display_name: text("DisplayName")?
            .ok_or_else(|| invalid("DisplayName", "DisplayName is required."))?,
        company_name: text("CompanyName")?,
        email: text("Email")?,
        phone: text("Phone")?,
        notes: text("Notes")?,
        active,
    })
}

fn duplicate() -> Response {
    let message = "Another vendor has this DisplayName.";
    error(StatusCode::CONFLICT, "duplicate_name", message, Some("DisplayName"))
}

fn same_name(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.to_lowercase()
}

async fn create_vendor(State(app): State<App>, request: Request) -> Response {
    let made = async {
        let Entered { parts, body, caller } =
            enter(&app, request, Some("vendors:write"), RECORD_LIMIT).await?;
        let key = parts
            .headers
            .get("idempotency-key")
            .and_then(|key| key.to_str().ok())
            .map(|key| format!("{} {key}", caller.label()));
        let draft = draft(&parts, &body)?;
        let mut state = app.sandbox.state();
        let before = key.as_ref().and_then(|key| state.idempotency.get(key)).and_then(|id| id.parse().ok());
        if let Some((vendor, _)) = before.and_then(|id: u64| state.vendors.get(&id)) {
            let mut response = created(&app, vendor);
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            return Ok(response);
        }
        if state.vendors.values().any(|(vendor, _)| same_name(&vendor.display_name, &draft.display_name)) {
            return Err(duplicate());
        }
        if state.vendors.len() >= VENDOR_LIMIT {
            return Err(error(StatusCode::CONFLICT, "full", "The Sandbox holds no more vendors.", None));
        }
        let id = state.next_vendor;
        state.next_vendor += 1;
        let now = clock::unix();
        let vendor = Vendor {
            id: id.to_string(),
            display_name: draft.display_name,
            company_name: draft.company_name,
            email: draft.email,
            phone: draft.phone,
            notes: draft.notes,
            active: draft.active,
            created_by: caller.label(),
            created_at: clock::rfc3339(now),
            updated_at: clock::rfc3339(now),
        };
        let response = created(&app, &vendor);
        state.vendors.insert(id, (vendor, now));
        if let Some(key) = key {
            state.idempotency.insert(key, id.to_string());
        }
        Ok(response)
    };
    answered(made.await)
}

fn created(app: &App, vendor: &Vendor) -> Response {
    let mut response = (StatusCode::CREATED, Json(vendor)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("{}/api/v1/vendors/{}", app.base, vendor.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn read_vendor(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    let found = async {
        enter(&app, request, Some("vendors:read"), RECORD_LIMIT).await?;
        let id: u64 = id.parse().map_err(|_| not_found())?;
        let state = app.sandbox.state();
        state.vendors.get(&id).map(|(vendor, _)| Json(vendor).into_response()).ok_or_else(not_found)
    };
    answered(found.await)
}

async fn replace_vendor(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    let changed = async {
        let Entered { parts, body, .. } = enter(&app, request, Some("vendors:write"), RECORD_LIMIT).await?;
        let id: u64 = id.parse().map_err(|_| not_found())?;
        let mut state = app.sandbox.state();
        if !state.vendors.contains_key(&id) {
            return Err(not_found());
        }
        let draft = draft(&parts, &body)?;
        let taken = state
            .vendors
            .iter()
            .any(|(other, (vendor, _))| *other != id && same_name(&vendor.display_name, &draft.display_name));
        if taken {
            return Err(duplicate());
        }
        let (vendor, changed) = state.vendors.get_mut(&id).ok_or_else(not_found)?;
        *changed = clock::unix();
        vendor.display_name = draft.display_name;
        vendor.company_name = draft.company_name;
        vendor.email = draft.email;
        vendor.phone = draft.phone;
        vendor.notes = draft.notes;
        vendor.active = draft.active;
        vendor.updated_at = clock::rfc3339(*changed);
        Ok(Json(&*vendor).into_response())
    };
    answered(changed.await)
}

async fn delete_vendor(State(app): State<App>, Path(id): Path<String>, request: Request) -> Response {
    let deleted = async {
        enter(&app, request, Some("vendors:write"), RECORD_LIMIT).await?;
        let id: u64 = id.parse().map_err(|_| not_found())?;
        match app.sandbox.state().vendors.remove(&id) {
            Some(_) => Ok(StatusCode::NO_CONTENT.into_response()),
            None => Err(not_found()),
        }
    };
    answered(deleted.await)
}

// ---- The mirror and its companions ----

/// Answers with the request, whoever makes it.
async fn echo(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, ECHO_LIMIT).await {
        Ok(body) => Json(mirrored(&app, &parts, &body)).into_response(),
        Err(_) => error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The mirror is smaller than that.", None),
    }
}

/// The mirror for those with a valid credential.
async fn echo_for_callers(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, ECHO_LIMIT).await else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The mirror is smaller than that.", None);
    };
    match caller(&app, &parts, &body) {
        Ok(caller) => {
            let mut mirror = mirrored(&app, &parts, &body);
            mirror["caller"] = caller.identity(&app);
            Json(mirror).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

/// Pairs as an object: a text where a name came once, a list where it came more often.
fn object_of(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut object = Map::new();
    for (name, value) in pairs {
        match object.get_mut(&name) {
            None => {
                object.insert(name, Value::String(value));
            }
            Some(Value::Array(values)) => values.push(Value::String(value)),
            Some(single) => *single = json!([single.take(), value]),
        }
    }
    Value::Object(object)
}

fn header_pairs(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    })
}

fn mirrored(app: &App, parts: &Parts, body: &Bytes) -> Value {
    let text = std::str::from_utf8(body).ok();
    let form = is_form(&parts.headers).then(|| object_of(Params::parse(body).0.into_iter()));
    json!({
        "method": parts.method.as_str(),
        "url": format!("{}{}", app.base, parts.uri),
        "path": parts.uri.path(),
        "query": object_of(Params::of_query(parts.uri.query()).0.into_iter()),
        "query_string": parts.uri.query(),
        "version": format!("{:?}", parts.version),
        "headers": object_of(header_pairs(&parts.headers)),
        "header_list": header_pairs(&parts.headers).collect::<Vec<_>>(),
        "body": text,
        "body_base64": if text.is_none() { Some(BASE64_STANDARD.encode(body)) } else { None },
        "body_bytes": body.len(),
        "json": serde_json::from_slice::<Value>(body).ok(),
        "form": form,
    })
}

/// Swallows a body of any length and says how long it was.
async fn sink(request: Request) -> Response {
    let mut body = request.into_body();
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let (mut bytes, mut frames) = (0_u64, 0_u64);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return StatusCode::BAD_REQUEST.into_response() };
        if let Some(data) = frame.data_ref() {
            digest.update(data);
            bytes += data.len() as u64;
            frames += 1;
        }
    }
    let sha256 = secret::hex(digest.finish().as_ref());
    Json(json!({"bytes": bytes, "frames": frames, "sha256": sha256})).into_response()
}

fn number(params: &Params, name: &str, default: u64) -> u64 {
    params.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
}

async fn status(Path(code): Path<u16>, request: Request) -> Response {
    let query = Params::of_query(request.uri().query());
    let Some(status) = StatusCode::from_u16(code).ok().filter(|status| !status.is_informational()) else {
        return error(StatusCode::BAD_REQUEST, "invalid_parameter", "This is no final status.", Some("code"));
    };
    let mut response = if matches!(code, 204 | 205 | 304) {
        status.into_response()
    } else {
        (status, Json(json!({"status": code}))).into_response()
    };
    if let Some(value) = query.get("retry_after").and_then(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    if code == 401 {
        let challenge = HeaderValue::from_static("Bearer realm=\"sandbox\", error=\"invalid_token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn redirect(request: Request) -> Response {
    let query = Params::of_query(request.uri().query());
    let status =
        query.get("status").and_then(|code| code.parse().ok()).filter(|code| (300..400).contains(code));
    let status = status.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::FOUND);
    match query.get("to").and_then(|to| HeaderValue::from_str(to).ok()) {
        Some(to) => (status, [(header::LOCATION, to)]).into_response(),
        None => error(StatusCode::BAD_REQUEST, "invalid_parameter", "Say where to.", Some("to")),
    }
}

/// The 64 KiB that [`stream_bytes`] repeats.
fn pattern() -> Bytes {
    b"0123456789abcdef".iter().copied().cycle().take(64 * 1024).collect()
}

async fn stream_bytes(request: Request) -> Response {
    let query = Params::of_query(request.uri().query());
    let total = number(&query, "bytes", 1024);
    let pause = Duration::from_millis(number(&query, "ms", 0)).min(LONGEST_WAIT);
    let piece = pattern();
    let chunks = stream::unfold(total, move |left| {
        let piece = piece.clone();
        async move {
            if left == 0 {
                return None;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            Some((Ok::<_, Infallible>(piece.slice(..length)), left - length as u64))
        }
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if query.get("chunked").is_none() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(total));
    }
    response
}

async fn slow(request: Request) -> Response {
    let wait =
        Duration::from_millis(number(&Params::of_query(request.uri().query()), "ms", 1000)).min(LONGEST_WAIT);
    tokio::time::sleep(wait).await;
    Json(json!({"waited_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)})).into_response()
}

/// Server-sent events: `count` of them, `ms` apart, going on after `Last-Event-ID`.
async fn events(request: Request) -> Response {
    let query = Params::of_query(request.uri().query());
    let count = number(&query, "count", 10).min(100_000);
    let pause = Duration::from_millis(number(&query, "ms", 500)).min(LONGEST_WAIT);
    let last: u64 = request
        .headers()
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse().ok())
        .unwrap_or(0);
    let ticks = stream::unfold((last, true), move |(sent, first)| async move {
        if sent >= count {
            return None;
        }
        if !first {
            tokio::time::sleep(pause).await;
        }
        let id = sent + 1;
        let event = format!("id: {id}\nevent: tick\ndata: {{\"tick\":{id},\"of\":{count}}}\n\n");
        Some((Ok::<_, Infallible>(Bytes::from(event)), (id, false)))
    });
    let mut response = Response::new(Body::from_stream(ticks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends every message back. With `?hello=1` the first message shows the request.
async fn web_socket(State(app): State<App>, upgrade: WebSocketUpgrade, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let hello = Params::of_query(parts.uri.query())
        .get("hello")
        .map(|_| mirrored(&app, &parts, &Bytes::new()).to_string());
    upgrade.protocols(["echo"]).on_upgrade(move |mut socket| async move {
        if let Some(hello) = hello
            && socket.send(Message::Text(hello.into())).await.is_err()
        {
            return;
        }
        while let Some(Ok(message)) = socket.recv().await {
            let sent = match message {
                Message::Text(_) | Message::Binary(_) => socket.send(message).await,
                // The library answers these by itself.
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
            };
            if sent.is_err() {
                break;
            }
        }
    })
}
