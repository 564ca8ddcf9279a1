//! The pages for people who have no key yet, or have forgotten their password: each opens with the token of its link, which no other site
//! can know, and works without JavaScript.

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use jackfield_core::{Code, Error, Result};
use jackfield_engine::govern::members::{Acceptance, MemberView};
use jackfield_engine::govern::passwords::Password;
use jackfield_engine::govern::sessions::{Reset, SignIn};
use jackfield_engine::{Engine, Visit};

use crate::console::door::{FORM_LIMIT, form_of_a_stranger};
use crate::console::form::{Fields, Form};
use crate::console::parts;
use crate::pages::{Notice, Tone, field, page, trouble};
use crate::{input, session};

pub(crate) fn routes() -> Router<Engine> {
    Router::new()
        .route("/invitations", get(invitation).post(accept))
        .route("/password-reset", get(forgotten).post(reset))
}

/// A form that asks for a new password.
#[derive(Template)]
#[template(path = "password.html")]
struct PasswordForm {
    title: &'static str,
    lead: &'static str,
    action: &'static str,
    button: &'static str,
    token: String,
    email: String,
    form: Form,
}

#[derive(Template)]
#[template(path = "joined.html")]
struct JoinedPage {
    name: String,
    email: String,
    key: String,
    url: String,
}

fn invitation_form(token: String, member: MemberView) -> PasswordForm {
    PasswordForm {
        title: "Choose a password",
        lead: "You were invited to an organization on Jackfield. Choose the password you will sign in with.",
        action: "/invitations",
        button: "Join",
        token,
        email: member.email.unwrap_or_default(),
        form: Form::default(),
    }
}

fn reset_form(token: String, member: MemberView) -> PasswordForm {
    PasswordForm {
        title: "Choose a new password",
        lead: "When you have chosen it, you are signed out everywhere. Your API keys go on.",
        action: "/password-reset",
        button: "Set the password",
        ..invitation_form(token, member)
    }
}

fn token_of(request: &Request) -> String {
    field(request.uri().query().unwrap_or("").as_bytes(), "token")
}

/// Token and password of a form, if it was sent by a page of ours.
async fn sent(engine: &Engine, request: Request) -> (Visit, Result<(String, String)>) {
    let (_, visit, form) = form_of_a_stranger(engine, request, true, FORM_LIMIT).await;
    (visit, form.map(|form| (form.get("token").to_owned(), form.get("password").to_owned())))
}

async fn invitation(State(engine): State<Engine>, request: Request) -> Response {
    let token = token_of(&request);
    let visit = input::visit(&request.into_parts().0);
    match engine.check_invitation(&token, visit.now).await {
        Ok(member) => page(StatusCode::OK, &invitation_form(token, member)),
        Err(error) => trouble(&error, visit.request_id),
    }
}

async fn accept(State(engine): State<Engine>, request: Request) -> Response {
    let (visit, sent) = sent(&engine, request).await;
    let (token, password) = match sent {
        Ok(sent) => sent,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let member = match engine.check_invitation(&token, visit.now).await {
        Ok(member) => member,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let acceptance = Acceptance { token: token.clone(), password: Password(password.as_str().into()) };
    match engine.accept_invitation(&visit, acceptance).await {
        Ok(joined) => {
            let email = joined.member.email.unwrap_or_default();
            let joined_page = JoinedPage {
                name: joined.member.name,
                email: email.clone(),
                key: joined.key,
                url: engine.settings().public_url.clone(),
            };
            let mut response = page(StatusCode::OK, &joined_page);
            let asked = SignIn { email, password: Password(password.into()), organization: None };
            if let Ok(started) = engine.sign_in(&visit, asked).await {
                session::give(&engine, &started.token, response.headers_mut());
            }
            response
        }
        Err(error) => again(&error, visit.request_id, invitation_form(token, member)),
    }
}

async fn forgotten(State(engine): State<Engine>, request: Request) -> Response {
    let token = token_of(&request);
    let visit = input::visit(&request.into_parts().0);
    match engine.check_reset(&token, visit.now).await {
        Ok(member) => page(StatusCode::OK, &reset_form(token, member)),
        Err(error) => trouble(&error, visit.request_id),
    }
}

async fn reset(State(engine): State<Engine>, request: Request) -> Response {
    let (visit, sent) = sent(&engine, request).await;
    let (token, password) = match sent {
        Ok(sent) => sent,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let member = match engine.check_reset(&token, visit.now).await {
        Ok(member) => member,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let reset = Reset { token: token.clone(), password: Password(password.into()) };
    match engine.reset_password(&visit, reset).await {
        Ok(()) => page(
            StatusCode::OK,
            &Notice {
                tone: Tone::Good,
                title: "Your password is set".to_owned(),
                lines: vec![
                    "You are signed out everywhere; sign in with the new password. You can close this window."
                        .to_owned(),
                ],
                request_id: String::new(),
                closes: false,
            },
        ),
        Err(error) => again(&error, visit.request_id, reset_form(token, member)),
    }
}

/// The form once more, with what is wrong; anything else is news.
fn again(error: &Error, request_id: String, form: PasswordForm) -> Response {
    if error.code != Code::InvalidInput {
        return trouble(error, request_id);
    }
    let refused = Form::refused(Fields::default(), error);
    page(StatusCode::UNPROCESSABLE_ENTITY, &PasswordForm { form: refused, ..form })
}
