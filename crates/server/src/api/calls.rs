//! Invoke, and the records of calls.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jackfield_engine::call::invoke::{CallView, DetailedReply, Invocation, Invoked};
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::Problem;
use crate::input::{Asked, AskedLarge, Path, Query, json, once, reply};

/// Call the service through a connection
///
/// With `detailed` the answer is described; without, it is the service's own: status, content type and body. Jackfield's own failures
/// carry the header `Jackfield-Error`.
#[utoipa::path(post, path = "/v1/connections/{link_name}/invoke", tag = "calls", params(("link_name" = String, Path)),
    request_body = Invocation,
    responses((status = 200, description = "with `detailed`", body = DetailedReply), (status = "default", body = Problem)))]
pub(crate) async fn invoke(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedLarge<Invocation>,
) -> Response {
    let AskedLarge { op, body } = asked;
    once(&engine, &op, || async {
        let invoked = engine.invoke(&op, &link, &body).await?;
        Ok(if body.detailed { json(200, &invoked.detailed()) } else { plain(invoked) })
    })
    .await
}

/// The service's own answer.
fn plain(invoked: Invoked) -> Response {
    let status = StatusCode::from_u16(invoked.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = (status, invoked.body).into_response();
    let headers = response.headers_mut();
    headers.clear();
    for (name, value) in &invoked.headers {
        headers.append(name, value.clone());
    }
    response
}

/// Calls through a connection, the latest first
#[utoipa::path(get, path = "/v1/connections/{link_name}/calls", tag = "calls",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<CallView>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_calls(&asked.op, &link, &query).await)
}
