//! `/v1/applications`, and what a connection has to do with them.

use axum::extract::State;
use axum::response::Response;
use jackfield_engine::automate::templates::{StartedView, TemplateStart, TemplateView};
use jackfield_engine::connect::connections::ConnectionView;
use jackfield_engine::connect::references::{
    ApplicationConnectionQuery, ApplicationConnectionView, ComponentUse, ComponentView, ReferenceView,
};
use jackfield_engine::govern::applications::{
    AccessView, ApplicationKeyView, ApplicationPatch, ApplicationView, NewAccess, NewApplication,
    NewApplicationKey, NewApplicationKeyView,
};
use jackfield_engine::{Engine, Page, PageQuery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Problem;
use crate::input::{Asked, AskedWith, Path, Query, done, json, once, reply};

/// Applications
///
/// A user gets those to which he has access, an application itself.
#[utoipa::path(get, path = "/v1/applications", tag = "applications", params(PageQuery),
    responses((status = 200, body = Page<ApplicationView>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_applications(&asked.op, &query).await)
}

/// Make an application
#[utoipa::path(post, path = "/v1/applications", tag = "applications", request_body = NewApplication,
    responses((status = 201, body = ApplicationView), (status = "default", body = Problem)))]
pub(crate) async fn create(State(engine): State<Engine>, asked: AskedWith<NewApplication>) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_application(&op, body).await?)) }).await
}

/// Ready applications to start from
#[utoipa::path(get, path = "/v1/application-templates", tag = "applications",
    responses((status = 200, body = Templates), (status = "default", body = Problem)))]
pub(crate) async fn list_templates(State(engine): State<Engine>, asked: Asked) -> Response {
    let all = engine.list_templates(&asked.op).map(|items| Templates { items });
    reply(&asked.op, 200, all)
}

/// All templates; they are so few that they need no pages.
#[derive(Serialize, ToSchema)]
pub(crate) struct Templates {
    items: Vec<TemplateView>,
}

/// A ready application to start from
///
/// Who makes applications sees under `needs` which connections fit.
#[utoipa::path(get, path = "/v1/application-templates/{template}", tag = "applications", params(("template" = String, Path)),
    responses((status = 200, body = TemplateView), (status = "default", body = Problem)))]
pub(crate) async fn read_template(
    State(engine): State<Engine>,
    Path(template): Path<String>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_template(&asked.op, &template).await)
}

/// Start an application from a template
///
/// The application and everything in it are made together, or nothing is. A connection that is for certain applications only is allowed to
/// the new one too, where the caller may do that.
#[utoipa::path(post, path = "/v1/application-templates/{template}/start", tag = "applications",
    params(("template" = String, Path)), request_body = TemplateStart,
    responses((status = 201, body = StartedView), (status = "default", body = Problem)))]
pub(crate) async fn start_from_template(
    State(engine): State<Engine>,
    Path(template): Path<String>,
    asked: AskedWith<TemplateStart>,
) -> Response {
    let AskedWith { op, body } = asked;
    let start = || async { Ok(json(201, &engine.start_from_template(&op, &template, body).await?)) };
    once(&engine, &op, start).await
}

/// An application
#[utoipa::path(get, path = "/v1/applications/{link_name}", tag = "applications", params(("link_name" = String, Path)),
    responses((status = 200, body = ApplicationView), (status = "default", body = Problem)))]
pub(crate) async fn read(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.read_application(&asked.op, &link).await)
}

/// Change an application
#[utoipa::path(patch, path = "/v1/applications/{link_name}", tag = "applications", params(("link_name" = String, Path)),
    request_body = ApplicationPatch,
    responses((status = 200, body = ApplicationView), (status = "default", body = Problem)))]
pub(crate) async fn update(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<ApplicationPatch>,
) -> Response {
    reply(&asked.op, 200, engine.update_application(&asked.op, &link, asked.body).await)
}

/// Delete an application
///
/// Its keys end, its components and their references are gone, and no connection's list names it any more.
#[utoipa::path(delete, path = "/v1/applications/{link_name}", tag = "applications", params(("link_name" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(State(engine): State<Engine>, Path(link): Path<String>, asked: Asked) -> Response {
    done(&asked.op, engine.delete_application(&asked.op, &link).await)
}

/// The members who have access to an application
#[utoipa::path(get, path = "/v1/applications/{link_name}/members", tag = "applications",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<AccessView>), (status = "default", body = Problem)))]
pub(crate) async fn list_members(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_access(&asked.op, &link, &query).await)
}

/// Give a member access to an application
///
/// Whoever has access keeps it.
#[utoipa::path(post, path = "/v1/applications/{link_name}/members", tag = "applications",
    params(("link_name" = String, Path)), request_body = NewAccess,
    responses((status = 201, body = AccessView), (status = "default", body = Problem)))]
pub(crate) async fn add_member(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<NewAccess>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.grant_access(&op, &link, body).await?)) }).await
}

/// Take access to an application from a member
#[utoipa::path(delete, path = "/v1/applications/{link_name}/members/{id}", tag = "applications",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn remove_member(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.withdraw_access(&asked.op, &link, &id).await)
}

/// The keys of an application
#[utoipa::path(get, path = "/v1/applications/{link_name}/keys", tag = "applications",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<ApplicationKeyView>), (status = "default", body = Problem)))]
pub(crate) async fn list_keys(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_application_keys(&asked.op, &link, &query).await)
}

/// Make a key of an application, for one environment
///
/// The answer is the only time that the key is shown.
#[utoipa::path(post, path = "/v1/applications/{link_name}/keys", tag = "applications",
    params(("link_name" = String, Path)), request_body = NewApplicationKey,
    responses((status = 201, body = NewApplicationKeyView), (status = "default", body = Problem)))]
pub(crate) async fn create_key(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<NewApplicationKey>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_application_key(&op, &link, body).await?)) })
        .await
}

/// Revoke a key of an application
#[utoipa::path(delete, path = "/v1/applications/{link_name}/keys/{id}", tag = "applications",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn revoke_key(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.revoke_application_key(&asked.op, &link, &id).await)
}

/// The components of an application, and which connections each uses
#[utoipa::path(get, path = "/v1/applications/{link_name}/components", tag = "applications",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<ComponentView>), (status = "default", body = Problem)))]
pub(crate) async fn list_components(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_components(&asked.op, &link, &query).await)
}

/// Say which connections a component uses
///
/// `component` is a kind and a name, such as `workflow:orders`. What it used before counts no more. A connection that is used is not
/// deleted.
#[utoipa::path(put, path = "/v1/applications/{link_name}/components/{component}", tag = "applications",
    params(("link_name" = String, Path), ("component" = String, Path)), request_body = ComponentUse,
    responses((status = 200, body = ComponentView), (status = "default", body = Problem)))]
pub(crate) async fn declare_component(
    State(engine): State<Engine>,
    Path((link, component)): Path<(String, String)>,
    asked: AskedWith<ComponentUse>,
) -> Response {
    reply(&asked.op, 200, engine.declare_component(&asked.op, &link, &component, asked.body).await)
}

/// Take a component away, with its references
#[utoipa::path(delete, path = "/v1/applications/{link_name}/components/{component}", tag = "applications",
    params(("link_name" = String, Path), ("component" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn remove_component(
    State(engine): State<Engine>,
    Path((link, component)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.remove_component(&asked.op, &link, &component).await)
}

/// The connections of an application, as it shows them in live and in edit mode
///
/// Users see those that each person authorizes for himself; admins and developers see all.
#[utoipa::path(get, path = "/v1/applications/{link_name}/connections", tag = "applications",
    params(("link_name" = String, Path), ApplicationConnectionQuery),
    responses((status = 200, body = Page<ApplicationConnectionView>), (status = "default", body = Problem)))]
pub(crate) async fn list_connections(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<ApplicationConnectionQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.application_connections(&asked.op, &link, &query).await)
}

/// The places that use a connection
#[utoipa::path(get, path = "/v1/connections/{link_name}/references", tag = "connections",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<ReferenceView>), (status = "default", body = Problem)))]
pub(crate) async fn references(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_references(&asked.op, &link, &query).await)
}

/// Allow an application to use a connection
#[utoipa::path(put, path = "/v1/connections/{link_name}/applications/{application}", tag = "connections",
    params(("link_name" = String, Path), ("application" = String, Path)),
    responses((status = 200, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn allow(
    State(engine): State<Engine>,
    Path((link, application)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.allow_application(&asked.op, &link, &application, true).await)
}

/// Forbid an application to use a connection: its calls are refused from the moment this answers
///
/// Where every application may use it (`*`), list those that may instead: `PATCH /v1/connections/{link_name}`.
#[utoipa::path(delete, path = "/v1/connections/{link_name}/applications/{application}", tag = "connections",
    params(("link_name" = String, Path), ("application" = String, Path)),
    responses((status = 200, body = ConnectionView), (status = "default", body = Problem)))]
pub(crate) async fn forbid(
    State(engine): State<Engine>,
    Path((link, application)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.allow_application(&asked.op, &link, &application, false).await)
}
