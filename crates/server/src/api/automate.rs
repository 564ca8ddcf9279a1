//! Forms, records, workflows, schedules, runs and publication: `/v1/applications/{link_name}/…`.

use axum::extract::State;
use axum::response::Response;
use jackfield_core::form::Form;
use jackfield_core::schedule::Schedule;
use jackfield_core::workflow::Workflow;
use jackfield_engine::automate::components::{BuiltView, ComponentPatch, NewComponent};
use jackfield_engine::automate::imports::{ImportQuery, ImportView, NewImport};
use jackfield_engine::automate::payers::{PaymentQuery, PaymentView};
use jackfield_engine::automate::publish::{Preflight, PreflightQuery, Publication, ReleaseView};
use jackfield_engine::automate::records::{RecordInput, RecordPlace, RecordQuery, RecordView};
use jackfield_engine::automate::runs::{ReplayRequest, ReplayView, RunQuery, RunView};
use jackfield_engine::automate::schedules::ScheduleView;
use jackfield_engine::automate::webhooks::WebhookSecretView;
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::Problem;
use crate::input::{Asked, AskedLarge, AskedWith, Path, Query, attachment, done, json, once, reply, sheet};

/// The forms of an application, as development has them
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms", tag = "forms",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<BuiltView<Form>>), (status = "default", body = Problem)))]
pub(crate) async fn list_forms(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_built::<Form>(&asked.op, &link, &query).await)
}

/// Make a form
///
/// What is wrong with its definition is named field by field.
#[utoipa::path(post, path = "/v1/applications/{link_name}/forms", tag = "forms",
    params(("link_name" = String, Path)), request_body = NewComponent<Form>,
    responses((status = 201, body = BuiltView<Form>), (status = "default", body = Problem)))]
pub(crate) async fn create_form(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<NewComponent<Form>>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_built(&op, &link, body).await?)) }).await
}

/// A form
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms/{form}", tag = "forms",
    params(("link_name" = String, Path), ("form" = String, Path)),
    responses((status = 200, body = BuiltView<Form>), (status = "default", body = Problem)))]
pub(crate) async fn read_form(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_built::<Form>(&asked.op, &link, &name).await)
}

/// Change a form: a new version, which development serves at once
#[utoipa::path(patch, path = "/v1/applications/{link_name}/forms/{form}", tag = "forms",
    params(("link_name" = String, Path), ("form" = String, Path)), request_body = ComponentPatch<Form>,
    responses((status = 200, body = BuiltView<Form>), (status = "default", body = Problem)))]
pub(crate) async fn update_form(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: AskedWith<ComponentPatch<Form>>,
) -> Response {
    reply(&asked.op, 200, engine.update_built(&asked.op, &link, &name, asked.body).await)
}

/// Delete a form from development
#[utoipa::path(delete, path = "/v1/applications/{link_name}/forms/{form}", tag = "forms",
    params(("link_name" = String, Path), ("form" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete_form(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.delete_built::<Form>(&asked.op, &link, &name).await)
}

/// The workflows of an application, as development has them
#[utoipa::path(get, path = "/v1/applications/{link_name}/workflows", tag = "workflows",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<BuiltView<Workflow>>), (status = "default", body = Problem)))]
pub(crate) async fn list_workflows(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_built::<Workflow>(&asked.op, &link, &query).await)
}

/// Make a workflow
///
/// It is checked against the form, the connections and the operations that it names: what would fail later is said now.
#[utoipa::path(post, path = "/v1/applications/{link_name}/workflows", tag = "workflows",
    params(("link_name" = String, Path)), request_body = NewComponent<Workflow>,
    responses((status = 201, body = BuiltView<Workflow>), (status = "default", body = Problem)))]
pub(crate) async fn create_workflow(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<NewComponent<Workflow>>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_built(&op, &link, body).await?)) }).await
}

/// A workflow
#[utoipa::path(get, path = "/v1/applications/{link_name}/workflows/{workflow}", tag = "workflows",
    params(("link_name" = String, Path), ("workflow" = String, Path)),
    responses((status = 200, body = BuiltView<Workflow>), (status = "default", body = Problem)))]
pub(crate) async fn read_workflow(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_built::<Workflow>(&asked.op, &link, &name).await)
}

/// Change a workflow: a new version, which development serves at once
#[utoipa::path(patch, path = "/v1/applications/{link_name}/workflows/{workflow}", tag = "workflows",
    params(("link_name" = String, Path), ("workflow" = String, Path)), request_body = ComponentPatch<Workflow>,
    responses((status = 200, body = BuiltView<Workflow>), (status = "default", body = Problem)))]
pub(crate) async fn update_workflow(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: AskedWith<ComponentPatch<Workflow>>,
) -> Response {
    reply(&asked.op, 200, engine.update_built(&asked.op, &link, &name, asked.body).await)
}

/// Delete a workflow from development
#[utoipa::path(delete, path = "/v1/applications/{link_name}/workflows/{workflow}", tag = "workflows",
    params(("link_name" = String, Path), ("workflow" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete_workflow(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.delete_built::<Workflow>(&asked.op, &link, &name).await)
}

/// The schedules of an application, as development has them
#[utoipa::path(get, path = "/v1/applications/{link_name}/schedules", tag = "schedules",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<BuiltView<Schedule>>), (status = "default", body = Problem)))]
pub(crate) async fn list_schedules(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_built::<Schedule>(&asked.op, &link, &query).await)
}

/// Make a schedule
///
/// Where it calls through a connection that each person uses with his own account, that connection needs a primary account first (409
/// `primary_account_required`).
#[utoipa::path(post, path = "/v1/applications/{link_name}/schedules", tag = "schedules",
    params(("link_name" = String, Path)), request_body = NewComponent<Schedule>,
    responses((status = 201, body = BuiltView<Schedule>), (status = "default", body = Problem)))]
pub(crate) async fn create_schedule(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<NewComponent<Schedule>>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_built(&op, &link, body).await?)) }).await
}

/// A schedule, with what each environment does of it
#[utoipa::path(get, path = "/v1/applications/{link_name}/schedules/{schedule}", tag = "schedules",
    params(("link_name" = String, Path), ("schedule" = String, Path)),
    responses((status = 200, body = ScheduleView), (status = "default", body = Problem)))]
pub(crate) async fn read_schedule(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_schedule(&asked.op, &link, &name).await)
}

/// Change a schedule: a new version, which development serves at once
#[utoipa::path(patch, path = "/v1/applications/{link_name}/schedules/{schedule}", tag = "schedules",
    params(("link_name" = String, Path), ("schedule" = String, Path)), request_body = ComponentPatch<Schedule>,
    responses((status = 200, body = BuiltView<Schedule>), (status = "default", body = Problem)))]
pub(crate) async fn update_schedule(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: AskedWith<ComponentPatch<Schedule>>,
) -> Response {
    reply(&asked.op, 200, engine.update_built(&asked.op, &link, &name, asked.body).await)
}

/// Delete a schedule from development
#[utoipa::path(delete, path = "/v1/applications/{link_name}/schedules/{schedule}", tag = "schedules",
    params(("link_name" = String, Path), ("schedule" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete_schedule(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.delete_built::<Schedule>(&asked.op, &link, &name).await)
}

/// Run a schedule now
///
/// Whether it is switched on or not. The run waits until the one before it is over.
#[utoipa::path(post, path = "/v1/applications/{link_name}/schedules/{schedule}/run", tag = "schedules",
    params(("link_name" = String, Path), ("schedule" = String, Path), RecordPlace),
    responses((status = 201, body = RunView), (status = "default", body = Problem)))]
pub(crate) async fn run_schedule(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    let op = asked.op;
    let run = || async { Ok(json(201, &engine.run_schedule(&op, &link, &name, &query).await?)) };
    once(&engine, &op, run).await
}

/// The records of a form, the latest first
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms/{form}/records", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), RecordQuery),
    responses((status = 200, body = Page<RecordView>), (status = "default", body = Problem)))]
pub(crate) async fn list_records(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    Query(query): Query<RecordQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_records(&asked.op, &link, &form, &query).await)
}

/// Send in a record
///
/// The workflows that run on it are named under `runs`; they are as safe as the record when this answers. A file is
/// `{"filename", "content_type", "base64"}`; the record then has `{"file", "filename", "content_type", "size"}` in its place.
#[utoipa::path(post, path = "/v1/applications/{link_name}/forms/{form}/records", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), RecordPlace), request_body = RecordInput,
    responses((status = 201, body = RecordView), (status = "default", body = Problem)))]
pub(crate) async fn create_record(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    Query(query): Query<RecordPlace>,
    asked: AskedLarge<RecordInput>,
) -> Response {
    let AskedLarge { op, body } = asked;
    let make = || async { Ok(json(201, &engine.create_record(&op, &link, &form, &query, body).await?)) };
    once(&engine, &op, make).await
}

/// A record
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms/{form}/records/{id}", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), ("id" = String, Path), RecordPlace),
    responses((status = 200, body = RecordView), (status = "default", body = Problem)))]
pub(crate) async fn read_record(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_record(&asked.op, &link, &form, &id, &query).await)
}

/// Change a record
///
/// A change that changes nothing sets nothing off.
#[utoipa::path(patch, path = "/v1/applications/{link_name}/forms/{form}/records/{id}", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), ("id" = String, Path), RecordPlace), request_body = RecordInput,
    responses((status = 200, body = RecordView), (status = "default", body = Problem)))]
pub(crate) async fn update_record(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    Query(query): Query<RecordPlace>,
    asked: AskedLarge<RecordInput>,
) -> Response {
    reply(&asked.op, 200, engine.update_record(&asked.op, &link, &form, &id, &query, asked.body).await)
}

/// Delete a record
#[utoipa::path(delete, path = "/v1/applications/{link_name}/forms/{form}/records/{id}", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), ("id" = String, Path), RecordPlace),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete_record(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.delete_record(&asked.op, &link, &form, &id, &query).await)
}

/// A file of a record
///
/// It is given as an attachment, whatever type was said of it: what strangers send in is nothing to be opened here.
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms/{form}/records/{id}/files/{field}", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), ("id" = String, Path), ("field" = String, Path), RecordPlace),
    responses((status = 200, content_type = "application/octet-stream", body = [u8]), (status = "default", body = Problem)))]
pub(crate) async fn read_record_file(
    State(engine): State<Engine>,
    Path((link, form, id, field)): Path<(String, String, String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    match engine.read_record_file(&asked.op, &link, &form, &id, &field, &query).await {
        Ok(file) => attachment(file),
        Err(error) => reply::<()>(&asked.op, 200, Err(error)),
    }
}

/// All records of a form as comma-separated values (RFC 4180)
///
/// The columns are `id`, `created_at`, `updated_at`, `created_by` and those of the form. What a spreadsheet would take for a formula has `'`
/// in front; reading the file in takes it away again.
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms/{form}/records.csv", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), RecordPlace),
    responses((status = 200, content_type = "text/csv", body = String), (status = "default", body = Problem)))]
pub(crate) async fn export_records(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    match engine.export_records(&asked.op, &link, &form, &query).await {
        Ok(export) => sheet(export, &format!("{link}-{form}.csv")),
        Err(error) => reply::<()>(&asked.op, 200, Err(error)),
    }
}

/// The imports of a form, the latest first
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms/{form}/imports", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), ImportQuery),
    responses((status = 200, body = Page<ImportView>), (status = "default", body = Problem)))]
pub(crate) async fn list_imports(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    Query(query): Query<ImportQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_imports(&asked.op, &link, &form, &query).await)
}

/// Read a file of records in
///
/// It goes on by itself; `GET …/imports/{id}` says how far it is, and what was wrong with the rows that were refused. The others are kept.
#[utoipa::path(post, path = "/v1/applications/{link_name}/forms/{form}/imports", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), RecordPlace), request_body = NewImport,
    responses((status = 201, body = ImportView), (status = "default", body = Problem)))]
pub(crate) async fn import_records(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    Query(query): Query<RecordPlace>,
    asked: AskedLarge<NewImport>,
) -> Response {
    let AskedLarge { op, body } = asked;
    let make = || async { Ok(json(201, &engine.import_records(&op, &link, &form, &query, body).await?)) };
    once(&engine, &op, make).await
}

/// An import, and how far it is
#[utoipa::path(get, path = "/v1/applications/{link_name}/forms/{form}/imports/{id}", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), ("id" = String, Path), RecordPlace),
    responses((status = 200, body = ImportView), (status = "default", body = Problem)))]
pub(crate) async fn read_import(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_import(&asked.op, &link, &form, &id, &query).await)
}

/// Stop an import: what it has read in stays
#[utoipa::path(post, path = "/v1/applications/{link_name}/forms/{form}/imports/{id}/cancel", tag = "records",
    params(("link_name" = String, Path), ("form" = String, Path), ("id" = String, Path), RecordPlace),
    responses((status = 200, body = ImportView), (status = "default", body = Problem)))]
pub(crate) async fn cancel_import(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.cancel_import(&asked.op, &link, &form, &id, &query).await)
}

/// The runs of an application's workflows and schedules, the latest first
#[utoipa::path(get, path = "/v1/applications/{link_name}/runs", tag = "runs", params(("link_name" = String, Path), RunQuery),
    responses((status = 200, body = Page<RunView>), (status = "default", body = Problem)))]
pub(crate) async fn list_runs(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<RunQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_runs(&asked.op, &link, &query).await)
}

/// A run, with every try of its actions
#[utoipa::path(get, path = "/v1/applications/{link_name}/runs/{id}", tag = "runs",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = RunView), (status = "default", body = Problem)))]
pub(crate) async fn read_run(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_run(&asked.op, &link, &id).await)
}

/// What an application signs its webhooks with
///
/// Reading it is written into the audit trail.
#[utoipa::path(get, path = "/v1/applications/{link_name}/webhook-secret", tag = "workflows", params(("link_name" = String, Path)),
    responses((status = 200, body = WebhookSecretView), (status = "default", body = Problem)))]
pub(crate) async fn read_webhook_secret(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_webhook_secret(&asked.op, &link).await)
}

/// Have an application sign its webhooks with another secret
///
/// The former one signs too for a day.
#[utoipa::path(post, path = "/v1/applications/{link_name}/webhook-secret/rotate", tag = "workflows",
    params(("link_name" = String, Path)),
    responses((status = 200, body = WebhookSecretView), (status = "default", body = Problem)))]
pub(crate) async fn rotate_webhook_secret(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: Asked,
) -> Response {
    let op = asked.op;
    once(&engine, &op, || async { Ok(json(200, &engine.rotate_webhook_secret(&op, &link).await?)) }).await
}

/// The payments of an application, the latest first
#[utoipa::path(get, path = "/v1/applications/{link_name}/payments", tag = "payments", params(("link_name" = String, Path), PaymentQuery),
    responses((status = 200, body = Page<PaymentView>), (status = "default", body = Problem)))]
pub(crate) async fn list_payments(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PaymentQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_payments(&asked.op, &link, &query).await)
}

/// A payment, with the address of its payer's page
#[utoipa::path(get, path = "/v1/applications/{link_name}/payments/{id}", tag = "payments",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = PaymentView), (status = "default", body = Problem)))]
pub(crate) async fn read_payment(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_payment(&asked.op, &link, &id).await)
}

/// Replay a run that has failed or was cancelled
///
/// It goes on at the action at which it stopped, by the workflow as it is now.
#[utoipa::path(post, path = "/v1/applications/{link_name}/runs/{id}/replay", tag = "runs",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = RunView), (status = "default", body = Problem)))]
pub(crate) async fn replay_run(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.replay_run(&asked.op, &link, &id).await)
}

/// Cancel a run that waits
#[utoipa::path(post, path = "/v1/applications/{link_name}/runs/{id}/cancel", tag = "runs",
    params(("link_name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = RunView), (status = "default", body = Problem)))]
pub(crate) async fn cancel_run(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.cancel_run(&asked.op, &link, &id).await)
}

/// Replay all runs that have failed
#[utoipa::path(post, path = "/v1/applications/{link_name}/runs/replay", tag = "runs", params(("link_name" = String, Path)),
    request_body = ReplayRequest,
    responses((status = 200, body = ReplayView), (status = "default", body = Problem)))]
pub(crate) async fn replay_failed(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<ReplayRequest>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(200, &engine.replay_failed(&op, &link, body).await?)) }).await
}

/// What publishing would do, and what is not ready for it
#[utoipa::path(get, path = "/v1/applications/{link_name}/preflight", tag = "applications",
    params(("link_name" = String, Path), PreflightQuery),
    responses((status = 200, body = Preflight), (status = "default", body = Problem)))]
pub(crate) async fn preflight(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PreflightQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.preflight(&asked.op, &link, &query).await)
}

/// Publish an application, or roll it back
///
/// `stage` takes what development has as a new release, `production` takes what stage serves; with `release` either serves a former one
/// again. Where something is not ready the answer is 409 `state_conflict` with the points under `open`, unless `anyway` is said.
#[utoipa::path(post, path = "/v1/applications/{link_name}/publish", tag = "applications",
    params(("link_name" = String, Path)), request_body = Publication,
    responses((status = 200, body = ReleaseView), (status = "default", body = Problem)))]
pub(crate) async fn publish(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<Publication>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(200, &engine.publish(&op, &link, body).await?)) }).await
}

/// The releases of an application, the latest first
#[utoipa::path(get, path = "/v1/applications/{link_name}/releases", tag = "applications",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<ReleaseView>), (status = "default", body = Problem)))]
pub(crate) async fn list_releases(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_releases(&asked.op, &link, &query).await)
}
