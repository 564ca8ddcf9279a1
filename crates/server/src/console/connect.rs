//! The connect pages, for people who never open the console: what wants their account, the credential or the way to the service, and how
//! it ended. Small, in the organization's own name and colours, in a pop-up, a tab, a frame of an allowed origin, or on a telephone.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use jackfield_core::brand::{rgb, wants_black};
use jackfield_core::{Brand, Code, Environment, Error, Result};
use jackfield_engine::Engine;
use jackfield_engine::connect::authorizations::Authorized;
use jackfield_engine::connect::connections::ConnectionView;
use jackfield_engine::connect::connectors::{ConnectorAt, ConnectorView};
use jackfield_engine::connect::flows::FlowView;

use super::common::mends;
use super::connections::ConnectionViewExt as _;
use super::desk::{Desk, Frame, Sent, html, see_other};
use super::form::{Fields, Form, encoded};
use super::journey::{Asked, asked_for, goes_to_a_browser, scopes_of};
use super::parts;
use crate::error::nothing_here;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/connect/{link}", get(start).post(give))
        .route("/connect/{link}/done", get(done))
        .route("/connect/flows/{id}", get(flow))
        .route("/assets/brand/{colour}", get(colours))
}

/// What every connect page wears.
struct Dress<'a> {
    frame: &'a Frame,
    brand: &'a Brand,
    /// the application that sent the person here
    application: Option<String>,
}

impl Dress<'_> {
    /// Who wants the account.
    fn name(&self) -> &str {
        self.brand.name.as_deref().unwrap_or(&self.frame.who.organization)
    }

    /// For what it is wanted.
    fn purpose(&self) -> &str {
        self.application.as_deref().unwrap_or_else(|| self.name())
    }

    fn colours(&self) -> Option<String> {
        self.brand
            .colour
            .as_deref()
            .and_then(|c| c.strip_prefix('#'))
            .map(|c| format!("/assets/brand/{c}.css"))
    }
}

async fn dressed<'a>(engine: &Engine, desk: &'a Desk, application: &str) -> Result<Dress<'a>> {
    let application = match application {
        "" => None,
        // Whoever may not see the application is asked in the organization's name.
        link => match engine.read_application(&desk.op, link).await {
            Ok(found) => Some(found.name),
            Err(error) if matches!(error.code, Code::NotFound | Code::Forbidden) => None,
            Err(error) => return Err(error),
        },
    };
    Ok(Dress { frame: &desk.frame, brand: &desk.frame.who.brand, application })
}

/// A page that the organization's own sites may show in a frame.
fn page(desk: &Desk, status: StatusCode, page: &impl Template) -> Response {
    framed(html(status, page), &desk.frame.who.brand.frame_origins)
}

/// Lets pages of these origins show it in a frame.
pub(super) fn framed(mut response: Response, origins: &[String]) -> Response {
    if !origins.is_empty() {
        let headers = response.headers_mut();
        let policy =
            headers.get("content-security-policy").and_then(|value| value.to_str().ok()).unwrap_or("");
        let framed =
            policy.replace("frame-ancestors 'none'", &format!("frame-ancestors {}", origins.join(" ")));
        if let Ok(framed) = HeaderValue::from_str(&framed) {
            headers.insert("content-security-policy", framed);
        }
    }
    response
}

#[derive(Template)]
#[template(path = "connect/start.html")]
struct Start<'a> {
    dress: Dress<'a>,
    frame: &'a Frame,
    form: Form,
    connection: ConnectionView,
    /// what the connection may do, in words
    scopes: Vec<String>,
    credentials: Vec<Asked>,
    /// whether a browser goes to the service
    browser: bool,
    environment: Environment,
    other: Vec<String>,
}

impl Start<'_> {
    /// The account that serves the person here now.
    fn present(&self) -> &str {
        self.connection.account_in(&self.environment)
    }
}

fn environment_of(fields: &Fields) -> Environment {
    Environment::parse(fields.get("environment")).unwrap_or(Environment::Production)
}

async fn start_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    refused: Option<(Fields, &Error)>,
) -> Result<Start<'a>> {
    let connection = engine.read_connection(&desk.op, link).await?;
    let connector = engine
        .read_connector_at(&desk.op, &connection.connector.link_name, &ConnectorAt::of(&connection))
        .await?;
    // Whoever may not authorize is told so here.
    engine.reusable(&desk.op, link).await?;
    let (application, environment) = match &refused {
        Some((fields, _)) => (fields.get("application").to_owned(), environment_of(fields)),
        None => (desk.query.get("application").to_owned(), environment_of(&desk.query)),
    };
    let dress = dressed(engine, desk, &application).await?;
    let scopes = scope_words(&connector, &connection);
    let credentials = Asked::credentials(&connector);
    let browser = goes_to_a_browser(&connector);
    let form = match refused {
        Some((fields, error)) => Form::refused(fields, error),
        None => Form::new(Fields::default().with("application", application)),
    };
    let shown: Vec<&str> = credentials.iter().map(Asked::name).collect();
    let other = form.other_errors(&shown);
    let frame = &desk.frame;
    Ok(Start { dress, frame, form, connection, scopes, credentials, browser, environment, other })
}

/// What the scopes let the connection do, as the connector says it.
fn scope_words(connector: &ConnectorView, connection: &ConnectionView) -> Vec<String> {
    let known = scopes_of(connector);
    let words = |name: &String| {
        known
            .iter()
            .find(|scope| scope.name == *name)
            .and_then(|scope| scope.label.clone())
            .unwrap_or_else(|| name.clone())
    };
    connection.scopes.iter().map(words).collect()
}

async fn start(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    match start_page(&engine, &desk, &link, None).await {
        Ok(start) => page(&desk, StatusCode::OK, &start),
        Err(error) => desk.trouble(&error),
    }
}

async fn give(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let result = async {
        let connection = engine.read_connection(&desk.op, &link).await?;
        let form = form.clone().with("environments", environment_of(&form).as_str());
        engine.authorize(&desk.op, &link, asked_for(&form, &connection)?).await
    };
    let application = encoded(form.get("application"));
    match result.await {
        Ok(Authorized::Done(done)) => {
            let id = encoded(&done.authorization.id);
            see_other(&format!("/connect/{link}/done?authorization={id}&application={application}"))
        }
        Ok(Authorized::Begun(begun)) => {
            see_other(&format!("/connect/flows/{}?go=now&application={application}", begun.flow.id))
        }
        Err(error) if mends(&error) => match start_page(&engine, &desk, &link, Some((form, &error))).await {
            Ok(start) => page(&desk, StatusCode::UNPROCESSABLE_ENTITY, &start),
            Err(error) => desk.trouble(&error),
        },
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "connect/done.html")]
struct Done<'a> {
    dress: Dress<'a>,
    connection: ConnectionView,
    account: String,
}

async fn done(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let made = async {
        let connection = engine.read_connection(&desk.op, &link).await?;
        let row = engine.read_authorization(&desk.op, &link, desk.query.get("authorization")).await?;
        let dress = dressed(&engine, &desk, desk.query.get("application")).await?;
        Ok::<_, Error>(Done { dress, connection, account: row.account_name })
    };
    match made.await {
        Ok(done) => page(&desk, StatusCode::OK, &done),
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "connect/flow.html")]
struct Going<'a> {
    dress: Dress<'a>,
    frame: &'a Frame,
    connection: ConnectionView,
    flow: FlowView,
    /// whether the browser goes on by itself
    goes: bool,
    application: String,
}

impl Going<'_> {
    fn why(&self) -> &str {
        self.flow.error.as_ref().map_or("Nothing was connected.", |error| &error.detail)
    }
}

async fn flow(State(engine): State<Engine>, Path(id): Path<String>, desk: Desk) -> Response {
    let made = async {
        let flow = engine.read_flow(&desk.op, &id).await?;
        let connection = engine.read_connection(&desk.op, &flow.connection).await?;
        let application = desk.query.get("application").to_owned();
        let dress = dressed(&engine, &desk, &application).await?;
        if let (Some(id), "authorized") = (&flow.authorization, flow.state) {
            let row = engine.read_authorization(&desk.op, &flow.connection, id).await?;
            return Ok(page(&desk, StatusCode::OK, &Done { dress, connection, account: row.account_name }));
        }
        let goes = desk.query.has("go");
        let frame = &desk.frame;
        Ok::<_, Error>(page(
            &desk,
            StatusCode::OK,
            &Going { dress, frame, connection, flow, goes, application },
        ))
    };
    match made.await {
        Ok(response) => response,
        Err(error) => desk.trouble(&error),
    }
}

/// A stylesheet with one colour, so that no page needs a style of its own: `/assets/brand/0a4fd0.css`.
async fn colours(Path(colour): Path<String>) -> Response {
    let hex = colour.strip_suffix(".css").map(|digits| format!("#{digits}"));
    let Some((hex, parts)) = hex.and_then(|hex| rgb(&hex).map(|parts| (hex, parts))) else {
        let error = nothing_here("/assets/brand");
        return crate::error::Failure { error, request_id: String::new() }.into_response();
    };
    let letters = if wants_black(parts) { "#000" } else { "#fff" };
    let style = format!(
        "@layer utilities {{ .branded .button.primary {{ background: {hex}; border-color: {hex}; color: {letters} }} }}\n"
    );
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    let mut response = style.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, kept);
    response
}
