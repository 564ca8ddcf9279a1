//! Every route of the service, and the description of the API that is made from them.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, get, on};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jackfield_core::{Code, Error};
use jackfield_engine::Engine;
use tokio::sync::OnceCell;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{HttpMethod, RefOr};
use utoipa::{Modify, OpenApi};

use crate::error::{Failure, nothing_here};
use crate::front::RequestId;
use crate::{ServerOptions, api, assets, console, doors, pages};

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

/// Says of each operation once that it is there: `Operations` describes them, `operations()` routes them. The description is made of all
/// their types and takes a tenth of a second and megabytes, so that it is made when somebody asks for it.
macro_rules! operations {
    ($($module:ident: $($handler:ident),+;)+) => {
        pastey::paste! {
            #[derive(OpenApi)]
            #[openapi(paths($($(api::$module::$handler,)+)+))]
            struct Operations;

            fn operations() -> Router<Engine> {
                let router = Router::new();
                $($(let router = operation::<api::$module::[<__path_ $handler>], _, _>(router, &api::$module::$handler);)+)+
                router
            }
        }
    };
}

operations! {
    organization:
        read, update,
        me,
        list_keys, create_key,
        revoke_key;
    sessions:
        change_password,
        sign_in, list,
        current, sign_out,
        end,
        ask_reset,
        reset;
    members:
        list, invite,
        read, update, remove,
        invite_again,
        authorizations,
        hand_over,
        make_reset_link,
        accept;
    connectors:
        list, create,
        read, update, delete,
        publish,
        disable,
        enable,
        test,
        import,
        export,
        list_versions,
        read_version,
        export_version,
        diff_versions;
    connections:
        list, create,
        read, update, delete,
        enable,
        disable,
        preview_move, move_to,
        fields,
        reusable,
        switch,
        choose_primary;
    authorizations:
        list, create,
        read, update, revoke,
        reauthorize,
        read_setup,
        choose_setup;
    flows:
        read, cancel;
    calls:
        invoke,
        list;
    applications:
        list, create,
        list_templates,
        read_template,
        start_from_template,
        read, update, delete,
        list_members, add_member,
        remove_member,
        list_keys, create_key,
        revoke_key,
        list_components,
        declare_component, remove_component,
        list_connections;
    automate:
        list_forms, create_form,
        read_form, update_form, delete_form,
        list_records, create_record,
        read_record, update_record, delete_record,
        read_record_file,
        export_records,
        list_imports, import_records,
        read_import,
        cancel_import,
        list_workflows, create_workflow,
        read_workflow, update_workflow, delete_workflow,
        list_schedules, create_schedule,
        read_schedule, update_schedule, delete_schedule,
        run_schedule;
    datasources:
        list, create,
        read, update, delete,
        pull,
        rows,
        export;
    automate:
        list_runs,
        replay_failed,
        read_run,
        replay_run,
        cancel_run,
        read_webhook_secret,
        rotate_webhook_secret,
        list_payments,
        read_payment,
        preflight,
        publish,
        list_releases;
    applications:
        references,
        allow, forbid;
    audit:
        list,
        verify,
        events;
}

/// Routes one operation, by the path and the methods that its description names.
fn operation<P, H, T>(router: Router<Engine>, handler: &H) -> Router<Engine>
where
    P: utoipa::Path,
    H: Handler<T, Engine>,
    T: 'static,
{
    P::methods().iter().fold(router, |router, method| {
        let methods = match method {
            HttpMethod::Get => MethodFilter::GET,
            HttpMethod::Put => MethodFilter::PUT,
            HttpMethod::Post => MethodFilter::POST,
            HttpMethod::Delete => MethodFilter::DELETE,
            HttpMethod::Options => MethodFilter::OPTIONS,
            HttpMethod::Head => MethodFilter::HEAD,
            HttpMethod::Patch => MethodFilter::PATCH,
            HttpMethod::Trace => MethodFilter::TRACE,
        };
        router.route(&P::path(), on(methods, handler.clone()))
    })
}

fn described() -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.merge(Operations::openapi());
    complete(&mut document);
    document
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
    described().to_pretty_json().unwrap_or_default()
}

/// What machines look at all the time.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Whether a path is one of the probes.
pub(crate) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

/// The probes, which are there without everything else.
pub(crate) fn probes() -> Router<Engine> {
    let [health, readiness, counters] = PROBES;
    Router::new()
        .route(health, get(|| async { "ok\n" }))
        .route(readiness, get(ready))
        .route(counters, get(metrics))
        .method_not_allowed_fallback(unknown_method)
}

/// All routes, made when the first of them is asked for. They are hundreds of handlers; a process that only passes calls on has none of
/// their code in memory.
pub(crate) type Routes = LazyLock<Router<Engine>, Box<dyn FnOnce() -> Router<Engine> + Send>>;

/// See [`Routes`].
pub(crate) fn routes(options: ServerOptions) -> Routes {
    LazyLock::new(Box::new(move || router(&options)))
}

/// Everything but the proxy and the probes.
fn router(options: &ServerOptions) -> Router<Engine> {
    let mut router = operations()
        .route("/openapi.json", get(openapi))
        .merge(faces())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method);
    if options.docs {
        let docs = utoipa_swagger_ui::SwaggerUi::new("/docs")
            .config(utoipa_swagger_ui::Config::from("/openapi.json"));
        router = router.merge(docs);
    }
    router
}

/// What browsers see, smaller on the way. The API is left as it is: what it answers may hold a secret beside what a stranger chose, and
/// the length of the two together would tell (BREACH); the forms of the pages are salted against that.
fn faces() -> Router<Engine> {
    let gzip = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
    assets::routes().merge(console::routes()).merge(pages::routes()).merge(doors::routes()).layer(gzip)
}

async fn openapi() -> Response {
    static DOCUMENT: OnceCell<Bytes> = OnceCell::const_new();
    let make = || async {
        let made = tokio::task::spawn_blocking(|| described().to_json().unwrap_or_default());
        Bytes::from(made.await.unwrap_or_default())
    };
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.get_or_init(make).await.clone()).into_response()
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
