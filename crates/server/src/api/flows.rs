//! `/v1/flows`

use axum::extract::State;
use axum::response::Response;
use jackfield_engine::Engine;
use jackfield_engine::connect::flows::FlowView;

use crate::error::Problem;
use crate::input::{Asked, Path, reply};

/// A flow, for whoever started it
#[utoipa::path(get, path = "/v1/flows/{id}", tag = "flows", params(("id" = String, Path)),
    responses((status = 200, body = FlowView), (status = "default", body = Problem)))]
pub(crate) async fn read(State(engine): State<Engine>, Path(id): Path<String>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.read_flow(&asked.op, &id).await)
}

/// Cancel a pending flow
#[utoipa::path(delete, path = "/v1/flows/{id}", tag = "flows", params(("id" = String, Path)),
    responses((status = 200, body = FlowView), (status = "default", body = Problem)))]
pub(crate) async fn cancel(State(engine): State<Engine>, Path(id): Path<String>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.cancel_flow(&asked.op, &id).await)
}
