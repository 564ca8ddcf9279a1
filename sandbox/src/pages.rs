//! The pages that people see: start, sign-in, consent, device, trouble. They work without JavaScript.

use std::collections::BTreeSet;

use askama::Template;
use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    App,
    accounts::{Client, Consumer, PEOPLE, Person, SCOPES, Scope, person},
    faults::FORM_LIMIT,
    oauth1, oauth2,
    params::{Params, cookie},
    secret,
    state::{Decision, Fading, Session, Wish},
};

const SESSION: &str = "sandbox_session";
const TICKET_LIFE: std::time::Duration = std::time::Duration::from_mins(10);
const STYLE: &str = include_str!("../assets/sandbox.css");

/// All pages.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(start))
        .route("/sandbox.css", get(style))
        .route("/favicon.svg", get(icon))
        .route("/login", get(login).post(sign_in))
        .route("/logout", post(sign_out))
        .route("/consent", get(consent).post(decide))
        .route("/device", get(device).post(enter_device_code))
        .fallback(|| async { trouble(StatusCode::NOT_FOUND, "There is no page at this address.") })
}

async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=300")];
    (headers, STYLE).into_response()
}

async fn icon() -> Response {
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=86400")];
    (headers, include_str!("../assets/favicon.svg")).into_response()
}

/// Renders a page. Its forms may lead to this service, and on to `target` by redirect.
fn page(status: StatusCode, template: &impl Template, target: Option<&str>) -> Response {
    let Ok(text) = template.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (status, Html(text)).into_response();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{}; base-uri 'none'; \
         frame-ancestors 'none'",
        target.and_then(form_target).map(|source| format!(" {source}")).unwrap_or_default()
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A redirect URI as a source of a content security policy.
fn form_target(uri: &str) -> Option<String> {
    let url = url::Url::parse(uri).ok()?;
    match url.host()? {
        // The policy's grammar has no IPv6 addresses.
        url::Host::Ipv6(_) => Some(format!("{}:", url.scheme())),
        _ => Some(url.origin().ascii_serialization()),
    }
}

/// Sends the browser on.
pub(crate) fn see_other(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => {
            let headers = [
                (header::LOCATION, location),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            ];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(_) => trouble(StatusCode::BAD_REQUEST, "The way back cannot be written as an address."),
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    title: &'a str,
    text: &'a str,
    code: Option<&'a str>,
}

/// A page that says what went wrong.
pub(crate) fn trouble(status: StatusCode, text: &str) -> Response {
    page(status, &MessagePage { title: "This does not work", text, code: None }, None)
}

// ---- Sessions ----

/// The browser's session: its id, and the cookie to set when it is new.
struct Visitor {
    id: String,
    csrf: String,
    person: Option<&'static Person>,
    is_new: bool,
}

fn visitor(app: &App, headers: &HeaderMap) -> Visitor {
    let id = cookie(headers, SESSION).unwrap_or_default();
    if let Some(session) = app.sandbox.state().sessions.get(id) {
        return Visitor {
            id: id.to_owned(),
            csrf: session.csrf.clone(),
            person: session.person,
            is_new: false,
        };
    }
    new_session(app, None)
}

fn new_session(app: &App, person: Option<&'static Person>) -> Visitor {
    let (id, csrf) = (secret::token("sbs_"), secret::token(""));
    app.sandbox.state().sessions.insert(id.clone(), Session { csrf: csrf.clone(), person });
    Visitor { id, csrf, person, is_new: true }
}

impl Visitor {
    /// Sets the cookie, if the browser does not have it yet.
    fn remember(&self, app: &App, mut response: Response) -> Response {
        if self.is_new {
            let secure = if app.base.starts_with("https:") { "; Secure" } else { "" };
            let value =
                format!("{SESSION}={}; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax{secure}", self.id);
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(header::SET_COOKIE, value);
            }
        }
        response
    }
}

/// The fields of a form that this browser got from this service.
async fn own_form(app: &App, request: Request) -> Result<(Visitor, Params), Response> {
    let (parts, body) = request.into_parts();
    let refuse = |text: &str| trouble(StatusCode::FORBIDDEN, text);
    let body = to_bytes(body, FORM_LIMIT).await.map_err(|_| refuse("The form is too long."))?;
    let visitor = visitor(app, &parts.headers);
    let params = Params::parse(&body);
    if visitor.is_new || !secret::same(&visitor.csrf, params.get("csrf").unwrap_or_default()) {
        return Err(refuse("The form is too old, or it came from somewhere else. Go back and try again."));
    }
    Ok((visitor, params))
}

// ---- Start ----

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage<'a> {
    base: &'a str,
    person: Option<&'static Person>,
    csrf: &'a str,
    people: [Person; 2],
    clients: &'a [Client],
    consumers: &'a [Consumer],
    scopes: [Scope; 3],
    life: String,
    rotating: bool,
    vendors: usize,
}

async fn start(State(app): State<App>, request: Request) -> Response {
    let visitor = visitor(&app, request.headers());
    let options = app.sandbox.options();
    let seconds = options.access_token_life.as_secs();
    let life = match seconds {
        60 => "1 minute".to_owned(),
        minutes if minutes >= 60 && minutes % 60 == 0 => format!("{} minutes", minutes / 60),
        seconds => format!("{seconds} seconds"),
    };
    let template = StartPage {
        base: &app.base,
        person: visitor.person,
        csrf: &visitor.csrf,
        people: PEOPLE,
        clients: &options.clients,
        consumers: &options.consumers,
        scopes: SCOPES,
        life,
        rotating: options.rotate_refresh_tokens,
        vendors: app.sandbox.state().vendors.len(),
    };
    visitor.remember(&app, page(StatusCode::OK, &template, None))
}

// ---- Signing in ----

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    client: Option<String>,
    ticket: &'a str,
    csrf: &'a str,
    people: [Person; 2],
    email: &'a str,
    password: &'a str,
    wrong: bool,
}

async fn login(State(app): State<App>, request: Request) -> Response {
    let query = Params::of_query(request.uri().query());
    let visitor = visitor(&app, request.headers());
    let ticket = query.get("ticket").unwrap_or_default();
    let wish = wish_of(&app, ticket);
    let hint = match &wish {
        Some(Wish::Code(code)) => code.login_hint.as_deref(),
        _ => None,
    };
    let chosen = query.get("as").or(hint).and_then(person);
    let template = LoginPage {
        client: wish.as_ref().map(|wish| client_name(&app, wish)),
        ticket,
        csrf: &visitor.csrf,
        people: PEOPLE,
        email: chosen.map_or_else(|| hint.unwrap_or_default(), |person| person.email),
        password: query.get("as").and(chosen).map_or("", |person| person.password),
        wrong: false,
    };
    visitor.remember(&app, page(StatusCode::OK, &template, None))
}

async fn sign_in(State(app): State<App>, request: Request) -> Response {
    let (visitor, form) = match own_form(&app, request).await {
        Ok(own) => own,
        Err(refusal) => return refusal,
    };
    let ticket = form.get("ticket").unwrap_or_default();
    let (email, password) = (form.get("email").unwrap_or_default(), form.get("password").unwrap_or_default());
    let known = person(email).filter(|person| secret::same(person.password, password));
    let Some(known) = known else {
        let template = LoginPage {
            client: wish_of(&app, ticket).map(|wish| client_name(&app, &wish)),
            ticket,
            csrf: &visitor.csrf,
            people: PEOPLE,
            email,
            password: "",
            wrong: true,
        };
        return page(StatusCode::UNPROCESSABLE_ENTITY, &template, None);
    };
    // A new session, so that nobody who knew the old one is signed in as well.
    app.sandbox.state().sessions.remove(&visitor.id);
    let visitor = new_session(&app, Some(known));
    let next = if ticket.is_empty() { "/".to_owned() } else { format!("/consent?{}", ticket_query(ticket)) };
    visitor.remember(&app, see_other(&next))
}

async fn sign_out(State(app): State<App>, request: Request) -> Response {
    let (visitor, form) = match own_form(&app, request).await {
        Ok(own) => own,
        Err(refusal) => return refusal,
    };
    app.sandbox.state().sessions.remove(&visitor.id);
    let ticket = form.get("ticket").unwrap_or_default();
    let next = if ticket.is_empty() { "/".to_owned() } else { format!("/login?{}", ticket_query(ticket)) };
    new_session(&app, None).remember(&app, see_other(&next))
}

fn ticket_query(ticket: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("ticket", ticket).finish()
}

// ---- Consent ----

/// Begins to ask a person: through sign-in where needed. Tests with a person who consents at once
/// get their answer at once.
pub(crate) fn ask(app: &App, headers: &HeaderMap, wish: Wish) -> Response {
    if let Some(person) = app.sandbox.options().auto_consent.as_deref().and_then(person) {
        let scopes = scopes_of(&wish);
        return finish(app, wish, Some((person, scopes)));
    }
    let ticket = secret::token("sbt_");
    app.sandbox.state().tickets.insert(ticket.clone(), Fading::new(wish, TICKET_LIFE));
    let visitor = visitor(app, headers);
    let page = if visitor.person.is_some() { "consent" } else { "login" };
    visitor.remember(app, see_other(&format!("/{page}?{}", ticket_query(&ticket))))
}

fn wish_of(app: &App, ticket: &str) -> Option<Wish> {
    app.sandbox.state().tickets.get(ticket).filter(|ticket| ticket.alive()).map(|ticket| ticket.value.clone())
}

fn scopes_of(wish: &Wish) -> BTreeSet<String> {
    match wish {
        Wish::Code(code) => code.scopes.clone(),
        Wish::Device { scopes, .. } => scopes.clone(),
        Wish::OAuth1 { .. } => BTreeSet::new(),
    }
}

fn client_name(app: &App, wish: &Wish) -> String {
    let client =
        |id: &str| app.sandbox.client(id).map_or_else(|| id.to_owned(), |client| client.name.clone());
    match wish {
        Wish::Code(code) => client(&code.client_id),
        Wish::Device { client_id, .. } => client(client_id),
        Wish::OAuth1 { consumer, .. } => {
            app.sandbox.consumer(consumer).map_or_else(|| consumer.clone(), |consumer| consumer.name.clone())
        }
    }
}

/// The address that the browser goes to afterwards.
fn target_of(wish: &Wish) -> Option<&str> {
    match wish {
        Wish::Code(code) => Some(&code.redirect_uri),
        Wish::OAuth1 { callback, .. } if callback != "oob" => Some(callback),
        Wish::OAuth1 { .. } | Wish::Device { .. } => None,
    }
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    client: &'a str,
    initials: String,
    person: &'static Person,
    ticket: &'a str,
    csrf: &'a str,
    /// What is asked for, in words.
    scopes: Vec<Scope>,
    /// Whether the person can leave some of it out.
    by_choice: bool,
    nothing_chosen: bool,
    target: Option<String>,
}

fn consent_page(app: &App, visitor: &Visitor, ticket: &str, wish: &Wish, nothing_chosen: bool) -> Response {
    let Some(person) = visitor.person else {
        return visitor.remember(app, see_other(&format!("/login?{}", ticket_query(ticket))));
    };
    let client = client_name(app, wish);
    let asked = scopes_of(wish);
    let by_choice = !matches!(wish, Wish::OAuth1 { .. });
    let scopes = SCOPES.into_iter().filter(|scope| !by_choice || asked.contains(scope.name)).collect();
    let target = target_of(wish);
    let template = ConsentPage {
        client: &client,
        initials: client.chars().filter(|letter| letter.is_alphanumeric()).take(2).collect(),
        person,
        ticket,
        csrf: &visitor.csrf,
        scopes,
        by_choice,
        nothing_chosen,
        target: target
            .and_then(|uri| url::Url::parse(uri).ok())
            .map(|url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()),
    };
    let status = if nothing_chosen { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page(status, &template, target)
}

const TOO_LATE: &str =
    "This request was answered already, or nobody answered it in time. Start again where you came from.";

async fn consent(State(app): State<App>, request: Request) -> Response {
    let query = Params::of_query(request.uri().query());
    let ticket = query.get("ticket").unwrap_or_default();
    match wish_of(&app, ticket) {
        Some(wish) => consent_page(&app, &visitor(&app, request.headers()), ticket, &wish, false),
        None => trouble(StatusCode::GONE, TOO_LATE),
    }
}

async fn decide(State(app): State<App>, request: Request) -> Response {
    let (visitor, form) = match own_form(&app, request).await {
        Ok(own) => own,
        Err(refusal) => return refusal,
    };
    let ticket = form.get("ticket").unwrap_or_default();
    let Some(wish) = wish_of(&app, ticket) else { return trouble(StatusCode::GONE, TOO_LATE) };
    let Some(person) = visitor.person else {
        return see_other(&format!("/login?{}", ticket_query(ticket)));
    };
    let decision = if form.get("decision") == Some("allow") {
        let asked = scopes_of(&wish);
        let chosen: BTreeSet<String> =
            form.all("scope").filter(|scope| asked.contains(*scope)).map(str::to_owned).collect();
        if chosen.is_empty() && !asked.is_empty() {
            return consent_page(&app, &visitor, ticket, &wish, true);
        }
        Some((person, chosen))
    } else {
        None
    };
    // Whoever takes the ticket first decides.
    if app.sandbox.state().tickets.remove(ticket).is_none() {
        return trouble(StatusCode::GONE, TOO_LATE);
    }
    finish(&app, wish, decision)
}

/// Carries out what the person decided.
fn finish(app: &App, wish: Wish, decision: Option<(&'static Person, BTreeSet<String>)>) -> Response {
    match wish {
        Wish::Code(code) => see_other(&match decision {
            Some((person, scopes)) => oauth2::allowed(app, code, person, scopes),
            None => oauth2::denied(app, &code),
        }),
        Wish::OAuth1 { token, callback, .. } => match decision {
            None => {
                oauth1::denied(app, &token);
                if callback == "oob" {
                    done("Denied", "Nothing was granted. You can close this window.", None)
                } else {
                    see_other(&oauth1::back(&callback, &token, None))
                }
            }
            Some((person, _)) => match oauth1::allowed(app, &token, person) {
                None => trouble(StatusCode::GONE, TOO_LATE),
                Some(verifier) if callback == "oob" => {
                    done("Allowed", "Copy this code to where you came from.", Some(&verifier))
                }
                Some(verifier) => see_other(&oauth1::back(&callback, &token, Some(&verifier))),
            },
        },
        Wish::Device { device, .. } => {
            let allowed = decision.is_some();
            let decision =
                decision.map_or(Decision::Denied, |(person, scopes)| Decision::Allowed(person, scopes));
            if !oauth2::decide_device(app, &device, decision) {
                return trouble(StatusCode::GONE, TOO_LATE);
            }
            if allowed {
                done("Allowed", "Go back to the device; it knows in a moment.", None)
            } else {
                done("Denied", "Nothing was granted. You can close this window.", None)
            }
        }
    }
}

fn done(title: &str, text: &str, code: Option<&str>) -> Response {
    page(StatusCode::OK, &MessagePage { title, text, code }, None)
}

// ---- Devices ----

#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage<'a> {
    csrf: &'a str,
    code: &'a str,
    wrong: bool,
}

async fn device(State(app): State<App>, request: Request) -> Response {
    let query = Params::of_query(request.uri().query());
    let visitor = visitor(&app, request.headers());
    let code = query.get("user_code").unwrap_or_default();
    let template = DevicePage { csrf: &visitor.csrf, code, wrong: false };
    visitor.remember(&app, page(StatusCode::OK, &template, None))
}

async fn enter_device_code(State(app): State<App>, request: Request) -> Response {
    let headers = request.headers().clone();
    let (visitor, form) = match own_form(&app, request).await {
        Ok(own) => own,
        Err(refusal) => return refusal,
    };
    let code = form.get("user_code").unwrap_or_default();
    if let Some(wish) = oauth2::device_wish(&app, code) {
        return ask(&app, &headers, wish);
    }
    let template = DevicePage { csrf: &visitor.csrf, code, wrong: true };
    page(StatusCode::UNPROCESSABLE_ENTITY, &template, None)
}
