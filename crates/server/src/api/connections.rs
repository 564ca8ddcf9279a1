//! `/v1/connections`

use axum::extract::State;
use axum::response::Response;
use jackfield_engine::automate::described::{DescribedFields, FieldsQuery};
use jackfield_engine::connect::authorizations::{AuthorizationView, ReusableList, Switch};
use jackfield_engine::connect::connections::{
    ConnectionPatch, ConnectionQuery, ConnectionView, NewConnection,
};
use jackfield_engine::connect::moves::{ConnectionMove, MovePreview, MoveQuery, Moved};
use jackfield_engine::{Engine, Page};

use crate::error::Problem;
use crate::input::{Asked, AskedWith, Path, Query, done, json, once, reply};

/// Connections
///
/// A user sees those of level user.
#[utoipa::path(get, path = "/v1/connections", tag = "connections", params(ConnectionQuery),
    responses((status = 200, body = Page<ConnectionView>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<ConnectionQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_connections(&asked.op, &query).await)
}

/// Make a connection
#[utoipa::path(post, path = "/v1/connections", tag = "connections", request_body = NewConnection,
    responses((status = 201, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn create(State(engine): State<Engine>, asked: AskedWith<NewConnection>) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_connection(&op, body).await?)) }).await
}

/// A connection
#[utoipa::path(get, path = "/v1/connections/{link_name}", tag = "connections", params(("link_name" = String, Path)),
    responses((status = 200, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn read(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.read_connection(&asked.op, &link).await)
}

/// Change a connection
#[utoipa::path(patch, path = "/v1/connections/{link_name}", tag = "connections", params(("link_name" = String, Path)),
    request_body = ConnectionPatch,
    responses((status = 200, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn update(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<ConnectionPatch>,
) -> Response {
    reply(&asked.op, 200, engine.update_connection(&asked.op, &link, asked.body).await)
}

/// Delete a connection
///
/// Authorizations that no other connection holds are revoked at the service.
#[utoipa::path(delete, path = "/v1/connections/{link_name}", tag = "connections", params(("link_name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    done(&asked.op, engine.delete_connection(&asked.op, &link).await)
}

/// Enable a connection
#[utoipa::path(post, path = "/v1/connections/{link_name}/enable", tag = "connections", params(("link_name" = String, Path)),
    responses((status = 200, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn enable(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    set_enabled(&engine, &link, true, asked).await
}

/// Disable a connection: calls through it are refused from the moment this answers
#[utoipa::path(post, path = "/v1/connections/{link_name}/disable", tag = "connections", params(("link_name" = String, Path)),
    responses((status = 200, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn disable(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: Asked,
) -> Response {
    set_enabled(&engine, &link, false, asked).await
}

async fn set_enabled(engine: &Engine, link: &str, enabled: bool, asked: Asked) -> Response {
    let op = &asked.op;
    once(engine, op, || async { Ok(json(200, &engine.enable_connection(op, link, enabled).await?)) }).await
}

/// What moving a connection to another version of its connector would ask of people
///
/// Nothing happens yet.
#[utoipa::path(get, path = "/v1/connections/{link_name}/move", tag = "connections",
    params(("link_name" = String, Path), MoveQuery),
    responses((status = 200, body = MovePreview), (status = "default", body = Problem)))]
pub(crate) async fn preview_move(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<MoveQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.preview_move(&asked.op, &link, &query).await)
}

/// Move a connection to another version of its connector
///
/// Refused where a parameter is missing, or something that is built here would not work any more. The answer names the authorizations that
/// must be given again; moved back, they serve again.
#[utoipa::path(post, path = "/v1/connections/{link_name}/move", tag = "connections", params(("link_name" = String, Path)),
    request_body = ConnectionMove,
    responses((status = 200, body = Moved), (status = "default", body = Problem)))]
pub(crate) async fn move_to(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<ConnectionMove>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(200, &engine.move_connection(&op, &link, body).await?)) }).await
}

/// Which further fields an operation takes, as the service itself says
///
/// Asked for through the connection by an operation whose connector says where its service describes them (`more_fields`), and kept for ten
/// minutes. Whoever may call through the connection may ask.
#[utoipa::path(get, path = "/v1/connections/{link_name}/fields", tag = "connections",
    params(("link_name" = String, Path), FieldsQuery),
    responses((status = 200, body = DescribedFields), (status = "default", body = Problem)))]
pub(crate) async fn fields(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<FieldsQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_described(&asked.op, &link, &query).await)
}

/// The caller's authorizations that this connection could use without authorizing again
#[utoipa::path(get, path = "/v1/connections/{link_name}/reusable", tag = "connections", params(("link_name" = String, Path)),
    responses((status = 200, body = ReusableList), (status = "default", body = Problem)))]
pub(crate) async fn reusable(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.reusable(&asked.op, &link).await)
}

/// Let another authorization of the connection serve an environment
#[utoipa::path(put, path = "/v1/connections/{link_name}/bindings/{environment}", tag = "connections",
    params(("link_name" = String, Path), ("environment" = String, Path)), request_body = Switch,
    responses((status = 200, body = AuthorizationView), (status = "default", body = Problem)))]
pub(crate) async fn switch(
    State(engine): State<Engine>,
    Path((link, environment)): Path<(String, String)>,
    asked: AskedWith<Switch>,
) -> Response {
    reply(&asked.op, 200, engine.switch_authorization(&asked.op, &link, &environment, asked.body).await)
}

/// Choose whose account unattended work uses, at level user
#[utoipa::path(put, path = "/v1/connections/{link_name}/primary/{environment}", tag = "connections",
    params(("link_name" = String, Path), ("environment" = String, Path)), request_body = Switch,
    responses((status = 200, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn choose_primary(
    State(engine): State<Engine>,
    Path((link, environment)): Path<(String, String)>,
    asked: AskedWith<Switch>,
) -> Response {
    reply(&asked.op, 200, engine.choose_primary(&asked.op, &link, &environment, asked.body).await)
}
