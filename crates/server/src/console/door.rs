//! Signing in and out, and asking for a new password: what a person sees before there is a session.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use jackfield_core::form::size_words;
use jackfield_core::{Code, Error, Result};
use jackfield_engine::govern::passwords::Password;
use jackfield_engine::govern::sessions::{ResetRequest, SignIn};
use jackfield_engine::{Engine, Visit};

use super::desk::{Sent, html, own_path, see_other, theme};
use super::form::{Fields, Form};
use crate::pages::trouble;
use crate::{input, session};

/// Largest form of whoever is not signed in, in bytes.
pub(crate) const FORM_LIMIT: usize = 64 * 1024;

#[derive(Template)]
#[template(path = "console/signin.html")]
struct Door {
    theme: &'static str,
    title: &'static str,
    lead: &'static str,
    action: &'static str,
    form: Form,
    next: String,
    asks_password: bool,
    asks_organization: bool,
    /// there is nothing more to type
    over: bool,
}

fn sign_in_page(parts: &Parts, form: Form, next: &str) -> Door {
    Door {
        theme: theme(&parts.headers),
        title: "Sign in",
        lead: if next.is_empty() { "" } else { "You come back to where you were." },
        action: "/signin",
        form,
        next: next.to_owned(),
        asks_password: true,
        asks_organization: false,
        over: false,
    }
}

fn forgotten_page(parts: &Parts, form: Form, over: bool) -> Door {
    Door {
        title: if over { "Look into your mail" } else { "Get a new password" },
        lead: if over {
            "If this address belongs to somebody here, a link to choose a new password is on its way. It is good for an hour. \
             No mail? An admin can make you a link."
        } else {
            "We send you a link by which you choose a new one."
        },
        action: "/password-forgotten",
        asks_password: false,
        over,
        ..sign_in_page(parts, form, "")
    }
}

/// A form of a page before the session: no other site may send it.
async fn sent(engine: &Engine, request: Request) -> (Parts, Visit, Result<Fields>) {
    form_of_a_stranger(engine, request, false, FORM_LIMIT).await
}

/// Of a form that is larger than may be. A file that is too large by itself is told so at its field, unless the whole is too large to be read.
pub(super) fn too_large(limit: usize) -> Error {
    let most = size_words(u64::try_from(limit).unwrap_or(u64::MAX));
    let why =
        format!("All that is sent at once may have {most}, files and all. Go back and choose smaller files.");
    Error::new(Code::RequestTooLarge, why)
}

/// A form of whoever is not signed in. `hides` is whether the page that sent it tells nobody where it is: of those a browser says `null` for
/// the origin.
pub(crate) async fn form_of_a_stranger(
    engine: &Engine,
    request: Request,
    hides: bool,
    limit: usize,
) -> (Parts, Visit, Result<Fields>) {
    let (mut parts, body) = request.into_parts();
    let visit = input::visit(&parts);
    if hides && parts.headers.get(http::header::ORIGIN).is_some_and(|origin| origin == "null") {
        parts.headers.remove(http::header::ORIGIN);
    }
    if let Err(error) = session::same_origin(engine, &parts.headers) {
        return (parts, visit, Err(error));
    }
    let form = Fields::read(&parts, body, limit).await;
    (parts, visit, form)
}

/// Whoever is signed in goes on.
pub(super) async fn show(State(engine): State<Engine>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let query = Fields::parse(parts.uri.query().unwrap_or("").as_bytes());
    let next = own_path(query.get("next")).unwrap_or("");
    if let Some(token) = session::token(&engine, &parts.headers)
        && engine.authenticate_session(&token, input::visit(&parts).now).await.is_ok()
    {
        return see_other(if next.is_empty() { "/console" } else { next });
    }
    html(StatusCode::OK, &sign_in_page(&parts, Form::default(), next))
}

pub(super) async fn enter(State(engine): State<Engine>, request: Request) -> Response {
    let (parts, visit, form) = sent(&engine, request).await;
    let form = match form {
        Ok(form) => form,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let next = own_path(form.get("next")).unwrap_or("").to_owned();
    let asked = SignIn {
        email: form.get("email").trim().to_owned(),
        password: Password(form.get("password").into()),
        organization: form.given("organization"),
    };
    match engine.sign_in(&visit, asked).await {
        Ok(started) => {
            let mut response = see_other(if next.is_empty() { "/console" } else { &next });
            session::give(&engine, &started.token, response.headers_mut());
            response
        }
        Err(error) if error.code.status() < 500 => {
            let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::UNAUTHORIZED);
            let asks_organization =
                form.has("organization") || error.fields.iter().any(|field| field.field == "organization");
            let fields = Fields::default()
                .with("email", form.get("email"))
                .with("organization", form.get("organization"));
            let page = sign_in_page(&parts, Form::refused(fields, &error), &next);
            html(status, &Door { asks_organization, ..page })
        }
        Err(error) => trouble(&error, visit.request_id),
    }
}

pub(super) async fn leave(State(engine): State<Engine>, sent: Sent) -> Response {
    match engine.end_session(&sent.desk.op, "current").await {
        Ok(()) => {
            let mut response = see_other("/signin");
            session::take(&engine, response.headers_mut());
            response
        }
        Err(error) => sent.desk.trouble(&error),
    }
}

pub(super) async fn forgotten(request: Request) -> Response {
    let (parts, _) = request.into_parts();
    html(StatusCode::OK, &forgotten_page(&parts, Form::default(), false))
}

/// The answer is the same for everybody, so that it tells nobody who is here.
pub(super) async fn ask_reset(State(engine): State<Engine>, request: Request) -> Response {
    let (parts, visit, form) = sent(&engine, request).await;
    match form {
        Ok(form) => {
            engine.ask_for_reset(visit, ResetRequest { email: form.get("email").trim().to_owned() });
            html(StatusCode::OK, &forgotten_page(&parts, Form::default(), true))
        }
        Err(error) => trouble(&error, visit.request_id),
    }
}
