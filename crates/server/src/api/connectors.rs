//! `/v1/connectors`

use axum::extract::State;
use axum::response::Response;
use jackfield_core::connector::Connector;
use jackfield_core::connector::import::Draft;
use jackfield_engine::connect::connectors::{ConnectorAt, ConnectorCard, ConnectorQuery, ConnectorView};
use jackfield_engine::connect::drafts::{ConnectorImport, Imported};
use jackfield_engine::connect::trial::{TrialOf, Tried};
use jackfield_engine::connect::versions::{DiffQuery, VersionCard, VersionDiff, VersionView};
use jackfield_engine::{Engine, Page, PageQuery};
use serde_json::Value;

use crate::error::Problem;
use crate::input::{Asked, AskedLarge, AskedWith, Path, Query, done, json, once, reply, toml};

/// Connectors, built in and custom
#[utoipa::path(get, path = "/v1/connectors", tag = "connectors", params(ConnectorQuery),
    responses((status = 200, body = Page<ConnectorCard>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<ConnectorQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_connectors(&asked.op, &query).await)
}

/// Make a custom connector
///
/// It is a draft until it is published.
#[utoipa::path(post, path = "/v1/connectors", tag = "connectors", request_body = Connector,
    responses((status = 201, body = ConnectorView), (status = "default", body = Problem)))]
pub(crate) async fn create(State(engine): State<Engine>, asked: AskedWith<Value>) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_connector(&op, body).await?)) }).await
}

/// A connector with its document
#[utoipa::path(get, path = "/v1/connectors/{link_name}", tag = "connectors",
    params(("link_name" = String, Path), ConnectorAt),
    responses((status = 200, body = ConnectorView), (status = "default", body = Problem)))]
pub(crate) async fn read(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(at): Query<ConnectorAt>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_connector_at(&asked.op, &link, &at).await)
}

/// Change a custom connector
///
/// A JSON merge patch (RFC 7396) on its document, with `version` beside it. Connections do not feel it: they stay on the version that they
/// are on, and the change becomes the next one when it is published.
#[utoipa::path(patch, path = "/v1/connectors/{link_name}", tag = "connectors", params(("link_name" = String, Path)),
    request_body = Object,
    responses((status = 200, body = ConnectorView), (status = "default", body = Problem)))]
pub(crate) async fn update(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<Value>,
) -> Response {
    reply(&asked.op, 200, engine.update_connector(&asked.op, &link, asked.body).await)
}

/// Delete a custom connector that no connection uses
#[utoipa::path(delete, path = "/v1/connectors/{link_name}", tag = "connectors", params(("link_name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    done(&asked.op, engine.delete_connector(&asked.op, &link).await)
}

/// Publish a draft, or what was changed since
///
/// It is kept as the next version, which new connections take. The others stay on theirs until they are moved.
#[utoipa::path(post, path = "/v1/connectors/{link_name}/publish", tag = "connectors", params(("link_name" = String, Path)),
    responses((status = 200, body = ConnectorView), (status = "default", body = Problem)))]
pub(crate) async fn publish(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: Asked,
) -> Response {
    stage(&engine, &link, "publish", asked).await
}

/// Disable: it takes no new connections; those it has go on
#[utoipa::path(post, path = "/v1/connectors/{link_name}/disable", tag = "connectors", params(("link_name" = String, Path)),
    responses((status = 200, body = ConnectorView), (status = "default", body = Problem)))]
pub(crate) async fn disable(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: Asked,
) -> Response {
    stage(&engine, &link, "disable", asked).await
}

/// Enable again
#[utoipa::path(post, path = "/v1/connectors/{link_name}/enable", tag = "connectors", params(("link_name" = String, Path)),
    responses((status = 200, body = ConnectorView), (status = "default", body = Problem)))]
pub(crate) async fn enable(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    stage(&engine, &link, "enable", asked).await
}

/// A connector's document as the TOML of a catalogue file
#[utoipa::path(get, path = "/v1/connectors/{link_name}/document.toml", tag = "connectors", params(("link_name" = String, Path)),
    responses((status = 200, body = String, content_type = "application/toml"), (status = "default", body = Problem)))]
pub(crate) async fn export(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    toml(&asked.op, engine.export_connector(&asked.op, &link).await)
}

/// The published versions of a custom connector, the newest first
#[utoipa::path(get, path = "/v1/connectors/{link_name}/versions", tag = "connectors",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<VersionCard>), (status = "default", body = Problem)))]
pub(crate) async fn list_versions(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_versions(&asked.op, &link, &query).await)
}

/// A published version with its document
#[utoipa::path(get, path = "/v1/connectors/{link_name}/versions/{number}", tag = "connectors",
    params(("link_name" = String, Path), ("number" = i64, Path)),
    responses((status = 200, body = VersionView), (status = "default", body = Problem)))]
pub(crate) async fn read_version(
    State(engine): State<Engine>,
    Path((link, number)): Path<(String, i64)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_version(&asked.op, &link, number).await)
}

/// A published version as the TOML of a catalogue file
#[utoipa::path(get, path = "/v1/connectors/{link_name}/versions/{number}/document.toml", tag = "connectors",
    params(("link_name" = String, Path), ("number" = i64, Path)),
    responses((status = 200, body = String, content_type = "application/toml"), (status = "default", body = Problem)))]
pub(crate) async fn export_version(
    State(engine): State<Engine>,
    Path((link, number)): Path<(String, i64)>,
    asked: Asked,
) -> Response {
    toml(&asked.op, engine.export_version(&asked.op, &link, number).await)
}

/// What differs between two versions of a custom connector
///
/// Each difference with what it means and what it asks of people when a connection is moved. `draft` is the document that is worked on.
#[utoipa::path(get, path = "/v1/connectors/{link_name}/diff", tag = "connectors",
    params(("link_name" = String, Path), DiffQuery),
    responses((status = 200, body = VersionDiff), (status = "default", body = Problem)))]
pub(crate) async fn diff_versions(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<DiffQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.diff_versions(&asked.op, &link, &query).await)
}

/// Draft a connector out of an OpenAPI document, a cURL command or OAuth metadata
///
/// Without `save` nothing is kept: the answer (200) has the document, the operations to choose from and what was left out. With it a custom
/// connector is made (201), as by `POST /v1/connectors`.
#[utoipa::path(post, path = "/v1/connectors/import", tag = "connectors", request_body = ConnectorImport,
    responses((status = 200, body = Draft), (status = 201, body = ConnectorView), (status = "default", body = Problem)))]
pub(crate) async fn import(State(engine): State<Engine>, asked: AskedLarge<ConnectorImport>) -> Response {
    let AskedLarge { op, body } = asked;
    once(&engine, &op, || async {
        Ok(match engine.import_connector(&op, body).await? {
            Imported::Shown(draft) => json(200, &draft),
            Imported::Made(view) => json(201, &view),
        })
    })
    .await
}

/// Try a connector, or a document that is nowhere yet
///
/// The calls are real, and what is shown of them has no secret. Where a person has to accept, the answer has a flow; `GET /v1/flows/{id}` then
/// shows the rest. Nothing is kept.
#[utoipa::path(post, path = "/v1/connectors/test", tag = "connectors", request_body = TrialOf,
    responses((status = 200, body = Tried), (status = "default", body = Problem)))]
pub(crate) async fn test(State(engine): State<Engine>, asked: AskedWith<TrialOf>) -> Response {
    reply(&asked.op, 200, engine.try_given(&asked.op, asked.body).await)
}

async fn stage(engine: &Engine, link: &str, step: &str, asked: Asked) -> Response {
    let op = &asked.op;
    once(engine, op, || async { Ok(json(200, &engine.stage_connector(op, link, step).await?)) }).await
}
