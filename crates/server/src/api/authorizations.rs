//! `/v1/connections/{link_name}/authorizations`

use axum::extract::State;
use axum::response::Response;
use jackfield_engine::connect::authorizations::{
    AuthorizationPatch, AuthorizationView, Authorized, Begun, Done, NewAuthorization, Reauthorization,
};
use jackfield_engine::connect::setup::{SetupChosen, SetupList};
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::Problem;
use crate::input::{Asked, AskedWith, Path, Query, done, json, once, reply};

/// The authorizations that a connection holds
#[utoipa::path(get, path = "/v1/connections/{link_name}/authorizations", tag = "authorizations",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<AuthorizationView>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_authorizations(&asked.op, &link, &query).await)
}

/// Authorize a connection
///
/// 201 with the authorization where no browser is needed, 202 with a flow where one is.
#[utoipa::path(post, path = "/v1/connections/{link_name}/authorizations", tag = "authorizations",
    params(("link_name" = String, Path)), request_body = NewAuthorization,
    responses((status = 201, body = Done), (status = 202, body = Begun), (status = "default", body = Problem)))]
pub(crate) async fn create(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<NewAuthorization>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(shown(&engine.authorize(&op, &link, body).await?)) }).await
}

fn shown(authorized: &Authorized) -> Response {
    match authorized {
        Authorized::Done(done) => json(201, done),
        Authorized::Begun(begun) => json(202, begun),
    }
}

/// An authorization
#[utoipa::path(get, path = "/v1/connections/{link_name}/authorizations/{id}", tag = "authorizations",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = AuthorizationView), (status = "default", body = Problem)))]
pub(crate) async fn read(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_authorization(&asked.op, &link, &id).await)
}

/// Rename an authorization
#[utoipa::path(patch, path = "/v1/connections/{link_name}/authorizations/{id}", tag = "authorizations",
    params(("link_name" = String, Path), ("id" = String, Path)), request_body = AuthorizationPatch,
    responses((status = 200, body = AuthorizationView), (status = "default", body = Problem)))]
pub(crate) async fn update(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: AskedWith<AuthorizationPatch>,
) -> Response {
    reply(&asked.op, 200, engine.rename_authorization(&asked.op, &link, &id, asked.body).await)
}

/// Revoke an authorization
///
/// It is taken from this connection; the last connection to let go has it revoked at the service.
#[utoipa::path(delete, path = "/v1/connections/{link_name}/authorizations/{id}", tag = "authorizations",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn revoke(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.revoke_authorization(&asked.op, &link, &id).await)
}

/// Authorize anew what an authorization stands for
///
/// The old one serves until the new one is proven, then ceases.
#[utoipa::path(post, path = "/v1/connections/{link_name}/authorizations/{id}/reauthorize", tag = "authorizations",
    params(("link_name" = String, Path), ("id" = String, Path)), request_body = Reauthorization,
    responses((status = 201, body = Done), (status = 202, body = Begun), (status = "default", body = Problem)))]
pub(crate) async fn reauthorize(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: AskedWith<Reauthorization>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(shown(&engine.reauthorize(&op, &link, &id, body).await?)) }).await
}

/// What is to be chosen for an authorization: a site, a company, a workspace, as the service offers them now
#[utoipa::path(get, path = "/v1/connections/{link_name}/authorizations/{id}/setup", tag = "authorizations",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = SetupList), (status = "default", body = Problem)))]
pub(crate) async fn read_setup(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_setup(&asked.op, &link, &id).await)
}

/// Choose, or choose anew
#[utoipa::path(put, path = "/v1/connections/{link_name}/authorizations/{id}/setup/{step}", tag = "authorizations",
    params(("link_name" = String, Path), ("id" = String, Path), ("step" = String, Path)), request_body = SetupChosen,
    responses((status = 200, body = AuthorizationView), (status = "default", body = Problem)))]
pub(crate) async fn choose_setup(
    State(engine): State<Engine>,
    Path((link, id, step)): Path<(String, String, String)>,
    asked: AskedWith<SetupChosen>,
) -> Response {
    reply(&asked.op, 200, engine.choose_setup(&asked.op, &link, &id, &step, asked.body).await)
}
