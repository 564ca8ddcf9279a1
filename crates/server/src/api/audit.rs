//! `/v1/audit` and the history of a connection

use axum::extract::State;
use axum::response::Response;
use jackfield_engine::govern::audit::{AuditQuery, AuditView, ChainView, EventView};
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::Problem;
use crate::input::{Asked, Path, Query, reply};

/// The audit trail, newest first
///
/// For the super admin and admins. Nobody can change it.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Page<AuditView>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<AuditQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_audit(&asked.op, &query).await)
}

/// Check that nobody has altered the audit trail
#[utoipa::path(get, path = "/v1/audit/verify", tag = "audit",
    responses((status = 200, body = ChainView), (status = "default", body = Problem)))]
pub(crate) async fn verify(State(engine): State<Engine>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.verify_own_audit(&asked.op).await)
}

/// What happened to a connection and its authorizations in the last month, newest first
#[utoipa::path(get, path = "/v1/connections/{link_name}/events", tag = "connections",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<EventView>), (status = "default", body = Problem)))]
pub(crate) async fn events(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.connection_events(&asked.op, &link, &query).await)
}
