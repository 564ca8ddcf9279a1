//! `/v1/sessions`, `/v1/me/password` and `/v1/password-resets`

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use jackfield_core::{Code, Error};
use jackfield_engine::govern::sessions::{
    PasswordChange, Reset, ResetRequest, SessionView, SignIn, StartedView,
};
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::Problem;
use crate::input::{Asked, AskedWith, Path, Query, StrangerWith, done, json, reply};
use crate::session;

/// Sign in
///
/// Without a key. The session is in a cookie; every request that is not GET or HEAD needs `csrf` in the header `Jackfield-CSRF` beside it.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = SignIn, security(),
    responses((status = 201, body = StartedView), (status = "default", body = Problem)))]
pub(crate) async fn sign_in(State(engine): State<Engine>, asked: StrangerWith<SignIn>) -> Response {
    let StrangerWith { visit, body } = asked;
    match engine.sign_in(&visit.visit, body).await {
        Ok(started) => {
            let mut response = json(201, &started.view);
            session::give(&engine, &started.token, response.headers_mut());
            response
        }
        Err(error) => visit.reply::<()>(201, Err(error)),
    }
}

/// One's own sessions
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(PageQuery),
    responses((status = 200, body = Page<SessionView>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_sessions(&asked.op, &query).await)
}

/// The session that asks
///
/// With the `csrf` that belongs to it.
#[utoipa::path(get, path = "/v1/sessions/current", tag = "sessions",
    responses((status = 200, body = StartedView), (status = "default", body = Problem)))]
pub(crate) async fn current(State(engine): State<Engine>, headers: HeaderMap, asked: Asked) -> Response {
    let result = match session::token(&engine, &headers).filter(|_| asked.op.session.is_some()) {
        Some(token) => engine.read_session(&asked.op, &token).await,
        None => {
            Err(Error::new(Code::NotFound, "You are not here by a browser session: you sent an API key."))
        }
    };
    reply(&asked.op, 200, result)
}

/// Sign out
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "sessions",
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn sign_out(State(engine): State<Engine>, asked: Asked) -> Response {
    let result = engine.end_session(&asked.op, "current").await;
    let ended = result.is_ok();
    let mut response = done(&asked.op, result);
    if ended {
        session::take(&engine, response.headers_mut());
    }
    response
}

/// End one of one's own sessions
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn end(State(engine): State<Engine>, Path(id): Path<String>, asked: Asked) -> Response {
    done(&asked.op, engine.end_session(&asked.op, &id).await)
}

/// Change one's own password
///
/// Other sessions end; this one goes on with a new cookie and a new `Jackfield-CSRF`, which the answer carries as a header.
#[utoipa::path(post, path = "/v1/me/password", tag = "me", request_body = PasswordChange,
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn change_password(
    State(engine): State<Engine>,
    asked: AskedWith<PasswordChange>,
) -> Response {
    let AskedWith { op, body } = asked;
    match engine.change_password(&op, body).await {
        Ok(token) => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            if let Some(token) = token {
                session::give(&engine, &token, response.headers_mut());
            }
            response
        }
        Err(error) => done(&op, Err(error)),
    }
}

/// What an answer says that says nothing.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Heard {}

/// Ask for a link to set a new password
///
/// Without a key. The answer is the same whether there is such an account or not; the link comes by mail, where mail is configured.
#[utoipa::path(post, path = "/v1/password-resets", tag = "sessions", request_body = ResetRequest, security(),
    responses((status = 202, body = Heard), (status = "default", body = Problem)))]
pub(crate) async fn ask_reset(State(engine): State<Engine>, asked: StrangerWith<ResetRequest>) -> Response {
    let StrangerWith { visit, body } = asked;
    engine.ask_for_reset(visit.visit, body);
    json(202, &Heard {})
}

/// Set a new password by a link
///
/// Without a key. All sessions end.
#[utoipa::path(post, path = "/v1/password-resets/accept", tag = "sessions", request_body = Reset, security(),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn reset(State(engine): State<Engine>, asked: StrangerWith<Reset>) -> Response {
    let StrangerWith { visit, body } = asked;
    match engine.reset_password(&visit.visit, body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => visit.reply::<()>(204, Err(error)),
    }
}
