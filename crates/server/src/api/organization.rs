//! `/v1/organization`, `/v1/me` and its keys.

use axum::extract::State;
use axum::response::Response;
use jackfield_engine::govern::keys::{KeyView, NewKey, NewKeyView};
use jackfield_engine::govern::organizations::{Me, OrganizationPatch, OrganizationView};
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::Problem;
use crate::input::{Asked, AskedWith, Path, Query, done, json, once, reply};

/// The organization
#[utoipa::path(get, path = "/v1/organization", tag = "organization",
    responses((status = 200, body = OrganizationView), (status = "default", body = Problem)))]
pub(crate) async fn read(State(engine): State<Engine>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.read_organization(&asked.op).await)
}

/// Change the organization
///
/// Admins only.
#[utoipa::path(patch, path = "/v1/organization", tag = "organization", request_body = OrganizationPatch,
    responses((status = 200, body = OrganizationView), (status = "default", body = Problem)))]
pub(crate) async fn update(State(engine): State<Engine>, asked: AskedWith<OrganizationPatch>) -> Response {
    reply(&asked.op, 200, engine.update_organization(&asked.op, asked.body).await)
}

/// Who is calling
#[utoipa::path(get, path = "/v1/me", tag = "me",
    responses((status = 200, body = Me), (status = "default", body = Problem)))]
pub(crate) async fn me(State(engine): State<Engine>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.me(&asked.op).await)
}

/// One's own API keys
#[utoipa::path(get, path = "/v1/me/keys", tag = "me", params(PageQuery),
    responses((status = 200, body = Page<KeyView>), (status = "default", body = Problem)))]
pub(crate) async fn list_keys(
    State(engine): State<Engine>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_keys(&asked.op, &query).await)
}

/// Make an API key
///
/// The answer is the only time that the key is shown.
#[utoipa::path(post, path = "/v1/me/keys", tag = "me", request_body = NewKey,
    responses((status = 201, body = NewKeyView), (status = "default", body = Problem)))]
pub(crate) async fn create_key(State(engine): State<Engine>, asked: AskedWith<NewKey>) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_key(&op, body).await?)) }).await
}

/// Revoke an API key
#[utoipa::path(delete, path = "/v1/me/keys/{id}", tag = "me", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn revoke_key(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.revoke_key(&asked.op, &id).await)
}
