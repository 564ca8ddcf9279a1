//! Datasources: `/v1/applications/{link_name}/datasources…`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use jackfield_core::datasource::Datasource;
use jackfield_core::form::guarded;
use jackfield_core::{Error, Result};
use jackfield_engine::automate::components::{BuiltView, ComponentPatch, NewComponent};
use jackfield_engine::automate::datasources::{DatasourceView, Export, PullRequest, RowView, RowsQuery};
use jackfield_engine::automate::records::RecordPlace;
use jackfield_engine::automate::runs::RunView;
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::{Failure, Problem};
use crate::input::{Asked, AskedWith, Path, Query, done, json, once, reply};

/// The datasources of an application, as development has them
#[utoipa::path(get, path = "/v1/applications/{link_name}/datasources", tag = "datasources",
    params(("link_name" = String, Path), PageQuery),
    responses((status = 200, body = Page<BuiltView<Datasource>>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_built::<Datasource>(&asked.op, &link, &query).await)
}

/// Make a datasource
///
/// It is checked against the connector's operation. Nothing is pulled yet.
#[utoipa::path(post, path = "/v1/applications/{link_name}/datasources", tag = "datasources",
    params(("link_name" = String, Path)), request_body = NewComponent<Datasource>,
    responses((status = 201, body = BuiltView<Datasource>), (status = "default", body = Problem)))]
pub(crate) async fn create(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    asked: AskedWith<NewComponent<Datasource>>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.create_built(&op, &link, body).await?)) }).await
}

/// A datasource, with what each environment has of it
///
/// Columns and what changed about them, rows, when it was pulled, and how far a pull is that is under way.
#[utoipa::path(get, path = "/v1/applications/{link_name}/datasources/{datasource}", tag = "datasources",
    params(("link_name" = String, Path), ("datasource" = String, Path)),
    responses((status = 200, body = DatasourceView), (status = "default", body = Problem)))]
pub(crate) async fn read(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.read_datasource(&asked.op, &link, &name).await)
}

/// Change a datasource: a new version, which development serves at once
#[utoipa::path(patch, path = "/v1/applications/{link_name}/datasources/{datasource}", tag = "datasources",
    params(("link_name" = String, Path), ("datasource" = String, Path)), request_body = ComponentPatch<Datasource>,
    responses((status = 200, body = BuiltView<Datasource>), (status = "default", body = Problem)))]
pub(crate) async fn update(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: AskedWith<ComponentPatch<Datasource>>,
) -> Response {
    reply(&asked.op, 200, engine.update_built(&asked.op, &link, &name, asked.body).await)
}

/// Delete a datasource from development, with its rows there
#[utoipa::path(delete, path = "/v1/applications/{link_name}/datasources/{datasource}", tag = "datasources",
    params(("link_name" = String, Path), ("datasource" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn delete(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    done(&asked.op, engine.delete_built::<Datasource>(&asked.op, &link, &name).await)
}

/// Pull a datasource now
///
/// The pull is a run; it waits until the one before is over.
#[utoipa::path(post, path = "/v1/applications/{link_name}/datasources/{datasource}/pull", tag = "datasources",
    params(("link_name" = String, Path), ("datasource" = String, Path)), request_body = PullRequest,
    responses((status = 201, body = RunView), (status = "default", body = Problem)))]
pub(crate) async fn pull(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    asked: AskedWith<PullRequest>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.ask_pull(&op, &link, &name, body).await?)) }).await
}

/// The rows of a datasource in an environment
#[utoipa::path(get, path = "/v1/applications/{link_name}/datasources/{datasource}/rows", tag = "datasources",
    params(("link_name" = String, Path), ("datasource" = String, Path), RowsQuery),
    responses((status = 200, body = Page<RowView>), (status = "default", body = Problem)))]
pub(crate) async fn rows(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    Query(query): Query<RowsQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_rows(&asked.op, &link, &name, &query).await)
}

/// All rows of a datasource in an environment, as CSV
///
/// The first column is the key. What a spreadsheet would take for a formula has a `'` in front.
#[utoipa::path(get, path = "/v1/applications/{link_name}/datasources/{datasource}/rows.csv", tag = "datasources",
    params(("link_name" = String, Path), ("datasource" = String, Path), RecordPlace),
    responses((status = 200, body = String, content_type = "text/csv"), (status = "default", body = Problem)))]
pub(crate) async fn export(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    Query(query): Query<RecordPlace>,
    asked: Asked,
) -> Response {
    match engine.export_rows(&asked.op, &link, &name, &query).await {
        Ok(export) => table(engine, export, &name),
        Err(error) => Failure { error, request_id: asked.op.request_id }.into_response(),
    }
}

/// A table as a file, read while it is sent.
pub(crate) fn table(engine: Engine, export: Export, name: &str) -> Response {
    let mut heads = vec!["key".to_owned()];
    heads.extend(export.columns.iter().cloned());
    let first = lines(&[heads]);
    let rest = futures_util::stream::try_unfold(export, move |mut export| {
        let engine = engine.clone();
        async move {
            let rows = engine.next_rows(&mut export).await.map_err(|error| {
                tracing::warn!(%error, "an export was broken off");
                std::io::Error::other(error.to_string())
            })?;
            match rows {
                Some(rows) => {
                    let page = lines(&rows).map_err(|error| std::io::Error::other(error.to_string()))?;
                    Ok::<_, std::io::Error>(Some((page, export)))
                }
                None => Ok(None),
            }
        }
    });
    let first = futures_util::stream::iter([first.map_err(|error| std::io::Error::other(error.to_string()))]);
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        // A link name needs no quoting.
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
    ];
    (headers, body).into_response()
}

fn lines(rows: &[Vec<String>]) -> Result<Bytes> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        let cells = row.iter().map(|cell| guarded(cell));
        writer.write_record(cells.map(std::borrow::Cow::into_owned)).map_err(Error::internal)?;
    }
    Ok(writer.into_inner().map_err(|error| Error::internal(error.to_string()))?.into())
}
