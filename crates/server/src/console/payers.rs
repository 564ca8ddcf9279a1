//! The page of who pays (`/pay/…`): it waits for the checkout, sends the browser to the service's page, and tells how the payment is when he
//! comes back. Nobody signs in: whoever has the address may see it. It works without a script.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use jackfield_core::{Code, Error, Timestamp};
use jackfield_engine::Engine;
use jackfield_engine::automate::payers::{PayerPage, Told};

use super::connect::framed;
use super::desk::{html, see_other, theme};
use super::form::Fields;
use super::parts;
use crate::input;
use crate::pages::trouble;

/// Largest notification of a service, in bytes.
const NOTIFICATION_LIMIT: usize = 1024 * 1024;
/// How often a page looks by itself before it waits to be asked.
const LOOKS: u32 = 40;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/pay/{token}", get(show))
        .route("/pay/{token}/go", get(go))
        .route("/pay/{token}/back", get(back))
        .route("/pay/{token}/left", get(left))
        .route("/hooks/payments/{organization}/{connection}", post(notified))
}

/// From where somebody comes to the page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// from the form
    Form,
    /// from the service's page, done there
    Service,
    /// from the service's page, without paying
    Left,
}

#[derive(Template)]
#[template(path = "forms/pay.html")]
struct Shown<'a> {
    page: &'a PayerPage,
    theme: &'static str,
    now: Timestamp,
    from: From,
    /// path of the page
    path: String,
    /// whether it stands in a frame, which the service's page does not like
    in_frame: bool,
    /// after so many seconds the browser goes on to this path
    next: Option<(u32, String)>,
}

impl Shown<'_> {
    fn name(&self) -> &str {
        self.page.brand.name.as_deref().unwrap_or(&self.page.organization)
    }

    fn colours(&self) -> Option<String> {
        let colour = self.page.brand.colour.as_deref()?.strip_prefix('#')?;
        Some(format!("/assets/brand/{colour}.css"))
    }

    fn paid(&self) -> &str {
        if self.page.success.is_empty() { "Thank you. The payment has arrived." } else { &self.page.success }
    }

    fn thanks(&self) -> &str {
        self.page.thanks.as_deref().unwrap_or("Thank you. It is here.")
    }
}

async fn look(engine: &Engine, token: &str, from: From, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let visit = input::visit(&parts);
    let found = engine.payer_page(&visit, token, from == From::Service).await;
    let page = match found {
        Ok(page) => page,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let path = format!("/pay/{token}");
    let in_frame = parts.headers.get("sec-fetch-dest").is_some_and(|value| value == "iframe");
    let looks: u32 = Fields::parse(parts.uri.query().unwrap_or("").as_bytes()).get("n").parse().unwrap_or(0);
    let again = |seconds: u32, path: &str| {
        (looks < LOOKS).then(|| (seconds, format!("{path}?n={}", looks.saturating_add(1))))
    };
    let next = match (page.told, from) {
        (Told::Preparing, _) => again(2, &path),
        (Told::Open, From::Form) if page.url.is_some() && !in_frame => Some((1, format!("{path}/go"))),
        (Told::Open, From::Service) | (Told::Processing, _) => again(3, &format!("{path}/back")),
        _ => None,
    };
    let shown =
        Shown { page: &page, theme: theme(&parts.headers), now: visit.now, from, path, in_frame, next };
    framed(html(StatusCode::OK, &shown), &page.embed_origins)
}

async fn show(State(engine): State<Engine>, Path(token): Path<String>, request: Request) -> Response {
    look(&engine, &token, From::Form, request).await
}

async fn back(State(engine): State<Engine>, Path(token): Path<String>, request: Request) -> Response {
    look(&engine, &token, From::Service, request).await
}

async fn left(State(engine): State<Engine>, Path(token): Path<String>, request: Request) -> Response {
    look(&engine, &token, From::Left, request).await
}

/// On to the service's page, while it is open. The engine has seen that its host is one of the connector's.
async fn go(State(engine): State<Engine>, Path(token): Path<String>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let visit = input::visit(&parts);
    let url = match engine.payer_page(&visit, &token, false).await {
        Ok(page) => page.url,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let mut response = see_other(&format!("/pay/{token}"));
    if let Some(location) = url.and_then(|url| HeaderValue::from_str(&url).ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A notification of a payment service.
async fn notified(
    State(engine): State<Engine>,
    Path((organization, connection)): Path<(String, String)>,
    request: Request,
) -> StatusCode {
    let (parts, body) = request.into_parts();
    let visit = input::visit(&parts);
    let Ok(body) = Limited::new(body, NOTIFICATION_LIMIT).collect().await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let headers: &HeaderMap = &parts.headers;
    let taken =
        engine.take_payment_notification(&visit, &organization, &connection, headers, &body.to_bytes()).await;
    match taken {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(error) => said(&error, &connection),
    }
}

/// Who is not the service learns nothing; the service learns whether it is to try again.
fn said(error: &Error, connection: &str) -> StatusCode {
    match error.code {
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        code if code.status() >= 500 => {
            tracing::warn!(%error, connection, "a notification could not be taken in");
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => {
            tracing::debug!(code = error.code.as_str(), connection, "a notification was refused");
            StatusCode::BAD_REQUEST
        }
    }
}
