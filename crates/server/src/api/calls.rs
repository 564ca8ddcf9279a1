//! Invoke, and the records of calls.

use axum::extract::{FromRequest as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use jackfield_core::names;
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

/// The connection that a request calls through by [`invoke`], whose path it is to the letter. What is written otherwise finds its way by the
/// router.
pub(crate) fn invoked<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    let link = path.strip_prefix("/v1/connections/")?.strip_suffix("/invoke")?;
    (method == Method::POST && names::link_name(link).is_ok()).then_some(link)
}

/// [`invoke`] without the router.
pub(crate) async fn invoke_directly(engine: &Engine, connection: String, request: Request) -> Response {
    match AskedLarge::from_request(request, engine).await {
        Ok(asked) => invoke(State(engine.clone()), Path(connection), asked).await,
        Err(refused) => refused.into_response(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_to_the_letter_goes_the_short_way() {
        assert_eq!(invoked(&Method::POST, "/v1/connections/books_2/invoke"), Some("books_2"));
        for (method, path) in [
            (Method::GET, "/v1/connections/books/invoke"),
            (Method::POST, "/v1/connections/b%6foks/invoke"),
            (Method::POST, "/v1/connections//invoke"),
            (Method::POST, "/v1/connections/a/b/invoke"),
            (Method::POST, "/v1/connections/books/invoke/"),
            (Method::POST, "/v2/connections/books/invoke"),
        ] {
            assert_eq!(invoked(&method, path), None, "{method} {path}");
        }
    }
}
