//! Every route of the service, and the description of the API that is made from them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use jackfield_core::{Code, Error};
use jackfield_engine::Engine;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Failure, nothing_here};
use crate::front::RequestId;
use crate::{ServerOptions, address, api, assets, console, doors, pages};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Jackfield",
        description = "Connections to cloud services, and calls through them, without anybody holding a credential. \
            Errors are problem documents (RFC 9457) with a stable `code`. `Idempotency-Key` is honoured on every POST. \
            Any HTTP client can also call a service at `/v1/proxy/{link_name}/{path}`."
    ),
    modifiers(&Key),
    security(("key" = [])),
    tags(
        (name = "applications", description = "what uses connections: access, keys, components, publication"),
        (name = "forms", description = "what an application asks"),
        (name = "records", description = "submissions of a form, in one environment"),
        (name = "workflows", description = "what runs when a record is made, changed or deleted"),
        (name = "schedules", description = "what runs at times"),
        (name = "datasources", description = "tables of what services list"),
        (name = "runs", description = "what workflows and schedules did, and every try of it"),
        (name = "payments", description = "what runs ask money for, and how far that is"),
        (name = "connectors", description = "descriptions of services"),
        (name = "connections", description = "named, configured uses of connectors"),
        (name = "authorizations", description = "what services granted to people"),
        (name = "flows", description = "attempts to authorize by OAuth"),
        (name = "calls", description = "calls through connections"),
        (name = "me", description = "the caller and his keys"),
        (name = "sessions", description = "signing in with a password, in a browser"),
        (name = "members", description = "the people of the organization"),
        (name = "organization", description = "the tenant"),
        (name = "audit", description = "who did what to which, when, from where"),
    )
)]
struct Description;

/// The API key, as OpenAPI says it.
struct Key;

impl Modify for Key {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("a personal key `jfp_…` or an application key `jfa_…`"))
            .build();
        openapi.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(key));
    }
}

fn described() -> OpenApiRouter<Engine> {
    let mut router = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(api::organization::read, api::organization::update))
        .routes(routes!(api::organization::me))
        .routes(routes!(api::organization::list_keys, api::organization::create_key))
        .routes(routes!(api::organization::revoke_key))
        .routes(routes!(api::sessions::change_password))
        .routes(routes!(api::sessions::sign_in, api::sessions::list))
        .routes(routes!(api::sessions::current, api::sessions::sign_out))
        .routes(routes!(api::sessions::end))
        .routes(routes!(api::sessions::ask_reset))
        .routes(routes!(api::sessions::reset))
        .routes(routes!(api::members::list, api::members::invite))
        .routes(routes!(api::members::read, api::members::update, api::members::remove))
        .routes(routes!(api::members::invite_again))
        .routes(routes!(api::members::authorizations))
        .routes(routes!(api::members::hand_over))
        .routes(routes!(api::members::make_reset_link))
        .routes(routes!(api::members::accept))
        .routes(routes!(api::connectors::list, api::connectors::create))
        .routes(routes!(api::connectors::read, api::connectors::update, api::connectors::delete))
        .routes(routes!(api::connectors::publish))
        .routes(routes!(api::connectors::disable))
        .routes(routes!(api::connectors::enable))
        .routes(routes!(api::connectors::test))
        .routes(routes!(api::connectors::import))
        .routes(routes!(api::connectors::export))
        .routes(routes!(api::connectors::list_versions))
        .routes(routes!(api::connectors::read_version))
        .routes(routes!(api::connectors::export_version))
        .routes(routes!(api::connectors::diff_versions))
        .routes(routes!(api::connections::list, api::connections::create))
        .routes(routes!(api::connections::read, api::connections::update, api::connections::delete))
        .routes(routes!(api::connections::enable))
        .routes(routes!(api::connections::disable))
        .routes(routes!(api::connections::preview_move, api::connections::move_to))
        .routes(routes!(api::connections::reusable))
        .routes(routes!(api::connections::switch))
        .routes(routes!(api::connections::choose_primary))
        .routes(routes!(api::authorizations::list, api::authorizations::create))
        .routes(routes!(api::authorizations::read, api::authorizations::update, api::authorizations::revoke))
        .routes(routes!(api::authorizations::reauthorize))
        .routes(routes!(api::authorizations::read_setup))
        .routes(routes!(api::authorizations::choose_setup))
        .routes(routes!(api::flows::read, api::flows::cancel))
        .routes(routes!(api::calls::invoke))
        .routes(routes!(api::calls::list))
        .routes(routes!(api::applications::list, api::applications::create))
        .routes(routes!(api::applications::list_templates))
        .routes(routes!(api::applications::read_template))
        .routes(routes!(api::applications::start_from_template))
        .routes(routes!(api::applications::read, api::applications::update, api::applications::delete))
        .routes(routes!(api::applications::list_members, api::applications::add_member))
        .routes(routes!(api::applications::remove_member))
        .routes(routes!(api::applications::list_keys, api::applications::create_key))
        .routes(routes!(api::applications::revoke_key))
        .routes(routes!(api::applications::list_components))
        .routes(routes!(api::applications::declare_component, api::applications::remove_component))
        .routes(routes!(api::applications::list_connections))
        .routes(routes!(api::automate::list_forms, api::automate::create_form))
        .routes(routes!(api::automate::read_form, api::automate::update_form, api::automate::delete_form))
        .routes(routes!(api::automate::list_records, api::automate::create_record))
        .routes(routes!(
            api::automate::read_record,
            api::automate::update_record,
            api::automate::delete_record
        ))
        .routes(routes!(api::automate::read_record_file))
        .routes(routes!(api::automate::export_records))
        .routes(routes!(api::automate::list_imports, api::automate::import_records))
        .routes(routes!(api::automate::read_import))
        .routes(routes!(api::automate::cancel_import))
        .routes(routes!(api::automate::list_workflows, api::automate::create_workflow))
        .routes(routes!(
            api::automate::read_workflow,
            api::automate::update_workflow,
            api::automate::delete_workflow
        ))
        .routes(routes!(api::automate::list_schedules, api::automate::create_schedule))
        .routes(routes!(
            api::automate::read_schedule,
            api::automate::update_schedule,
            api::automate::delete_schedule
        ))
        .routes(routes!(api::automate::run_schedule))
        .routes(routes!(api::datasources::list, api::datasources::create))
        .routes(routes!(api::datasources::read, api::datasources::update, api::datasources::delete))
        .routes(routes!(api::datasources::pull))
        .routes(routes!(api::datasources::rows))
        .routes(routes!(api::datasources::export))
        .routes(routes!(api::automate::list_runs))
        .routes(routes!(api::automate::replay_failed))
        .routes(routes!(api::automate::read_run))
        .routes(routes!(api::automate::replay_run))
        .routes(routes!(api::automate::cancel_run))
        .routes(routes!(api::automate::read_webhook_secret))
        .routes(routes!(api::automate::rotate_webhook_secret))
        .routes(routes!(api::automate::list_payments))
        .routes(routes!(api::automate::read_payment))
        .routes(routes!(api::automate::preflight))
        .routes(routes!(api::automate::publish))
        .routes(routes!(api::automate::list_releases))
        .routes(routes!(api::applications::references))
        .routes(routes!(api::applications::allow, api::applications::forbid))
        .routes(routes!(api::audit::list))
        .routes(routes!(api::audit::verify))
        .routes(routes!(api::audit::events));
    complete(router.get_openapi_mut());
    router
}

/// What the macros leave out: handlers are named within their file, but the description needs names that are unique in all of it; each
/// answer needs a word about it; and failures have a content type of their own.
fn complete(document: &mut utoipa::openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete] {
            let Some(operation) = operation else { continue };
            let tag = operation.tags.iter().flatten().next();
            if let (Some(tag), Some(id)) = (tag, &operation.operation_id) {
                operation.operation_id = Some(format!("{tag}_{id}"));
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if status == "default" {
                    if let Some(problem) = response.content.swap_remove("application/json") {
                        response.content.insert("application/problem+json".to_owned(), problem);
                    }
                    "Jackfield's own failure".clone_into(&mut response.description);
                } else if response.description.is_empty() {
                    let status = status.parse().ok().and_then(|status: StatusCode| status.canonical_reason());
                    status.unwrap_or("Done").clone_into(&mut response.description);
                }
            }
        }
    }
}

/// The description of the API: OpenAPI 3.1, JSON.
pub fn openapi_json() -> String {
    described().into_openapi().to_pretty_json().unwrap_or_default()
}

/// Everything but the proxy.
pub(crate) fn router(options: &ServerOptions) -> Router<Engine> {
    let (api, description) = described().split_for_parts();
    let document: Arc<str> = description.to_json().unwrap_or_default().into();
    let mut router = api
        .route("/openapi.json", get(move || std::future::ready(openapi(&document))))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(faces())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method);
    if options.docs {
        let docs = utoipa_swagger_ui::SwaggerUi::new("/docs")
            .config(utoipa_swagger_ui::Config::from("/openapi.json"));
        router = router.merge(docs);
    }
    let trusted: Arc<[ipnet::IpNet]> = options.trusted_proxies.clone().into();
    if !trusted.is_empty() {
        router = router.layer(middleware::from_fn_with_state(trusted, address::resolve));
    }
    router.layer(middleware::from_fn(guard))
}

/// What browsers see, smaller on the way. The API is left as it is: what it answers may hold a secret beside what a stranger chose, and
/// the length of the two together would tell (BREACH); the forms of the pages are salted against that.
fn faces() -> Router<Engine> {
    let gzip = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
    assets::routes().merge(console::routes()).merge(pages::routes()).merge(doors::routes()).layer(gzip)
}

/// Headers that every answer carries unless it has its own.
async fn guard(request: Request, next: Next) -> Response {
    let docs = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if !headers.contains_key("referrer-policy") {
        headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    }
    if !headers.contains_key("content-security-policy") {
        headers.insert(
            "content-security-policy",
            HeaderValue::from_static(if docs {
                "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
            } else {
                "default-src 'none'; frame-ancestors 'none'"
            }),
        );
    }
    response
}

fn openapi(document: &str) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.to_owned()).into_response()
}

async fn ready(State(engine): State<Engine>) -> Response {
    match engine.ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response()
        }
    }
}

/// Prometheus' text format.
async fn metrics(State(engine): State<Engine>) -> Response {
    let body = format!(
        "# HELP jackfield_database_statements_total Statements sent to the database.\n\
         # TYPE jackfield_database_statements_total counter\n\
         jackfield_database_statements_total {}\n\
         # HELP jackfield_call_records_dropped_total Records of calls that did not fit into the queue or could not be written.\n\
         # TYPE jackfield_call_records_dropped_total counter\n\
         jackfield_call_records_dropped_total {}\n",
        engine.statements_run(),
        engine.dropped_records(),
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], body).into_response()
}

fn id_of(request: &Request) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

async fn unknown_path(request: Request) -> Response {
    let error = nothing_here(request.uri().path());
    Failure { error, request_id: id_of(&request) }.into_response()
}

async fn unknown_method(request: Request) -> Response {
    let error = Error::new(Code::MethodNotAllowed, format!("{} is not possible here.", request.method()));
    Failure { error, request_id: id_of(&request) }.into_response()
}
