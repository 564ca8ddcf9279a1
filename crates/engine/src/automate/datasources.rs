//! Datasources: what a service lists, pulled page by page into a table, and the table looked through.
//!
//! A page and how far the pull is are written in one transaction, so that a pull whose process dies goes on at the page at which it was. The
//! revision of the table keeps a node that was thought dead from writing beside the one that took over. A pull that takes long gives its
//! place to others now and then.

mod pull;
mod used;

use std::sync::Arc;

use jackfield_core::datasource::{Change, Column, Columns, Datasource, label, wanted};
use jackfield_core::workflow::Pull;
use jackfield_core::{Action, Environment, Error, Permit, Result, Timestamp, permit};
use jackfield_store::{Pulled, RowQuery, Table, TableRow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::automate::components::{BuiltView, Definable, component_of, scheduled};
use crate::automate::records::RecordPlace;
use crate::automate::runs::RunView;
use crate::automate::schedules::seen;
use crate::call::ready::environment_of;
use crate::page::{Page, PageQuery, no_cursor};
use crate::{Engine, Op};
use pull::Progress;

/// Rows of one page of an export.
pub const EXPORTED: i64 = 1000;

/// Longest text that is looked for.
const WORDS_MAX: usize = 200;

const PERMIT: Permit = Permit::housekeeping("whoever saved the datasource was permitted to");

/// A datasource, with what each environment has of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasourceView {
    #[serde(flatten)]
    pub built: BuiltView<Datasource>,
    /// what each environment has pulled
    pub tables: Vec<TableView>,
}

/// What an environment has of a datasource.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TableView {
    pub environment: String,
    pub rows: i64,
    /// in the order in which they were found
    pub columns: Vec<Column>,
    /// what changed about the columns, the latest first; the last 50
    pub changes: Vec<Change>,
    /// the greatest that was seen, from which the next incremental pull goes on
    #[schema(value_type = Object)]
    pub cursor: Option<Value>,
    /// when a pull last ended
    pub pulled_at: Option<Timestamp>,
    /// when a full one did
    pub full_at: Option<Timestamp>,
    /// when it is pulled next by itself
    pub next_at: Option<Timestamp>,
    /// the pull that is under way, or that stopped in the middle
    pub pulling: Option<PullingView>,
}

/// A pull that is under way.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PullingView {
    /// id of its run
    pub run: String,
    pub full: bool,
    pub pages: u64,
    pub rows: u64,
    /// how many there are, where the service says it
    pub total: Option<u64>,
    /// how far it is, where the total is known
    pub percent: Option<u64>,
}

/// What is to be pulled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// everything, though what changed could be asked for
    #[serde(default)]
    pub full: bool,
    /// an application key's own, else production, unless told
    pub environment: Option<String>,
}

/// Which rows are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    /// an application key's own, else production, unless told
    pub environment: Option<String>,
    /// somewhere in the row
    pub q: Option<String>,
    /// a column, one of = < > ~ (has in it), and a value: `Balance>100`
    pub filter: Option<String>,
    /// a column; with a minus sign before it the greatest first. In the order in which they came unless told
    pub sort: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// A row of a datasource.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RowView {
    /// what tells it from the others
    pub key: String,
    /// as the service gave it
    #[schema(value_type = Object)]
    pub data: Value,
    /// when a pull last found it changed
    pub updated_at: Timestamp,
}

/// A table that is read whole, page by page.
pub struct Export {
    organization: String,
    application: String,
    environment: Environment,
    component: String,
    /// names of the columns
    pub columns: Vec<String>,
    after: Option<(i64, String)>,
}

fn corrupt(what: &str) -> impl Fn(serde_json::Error) -> Error {
    move |error| Error::internal(format!("{what} of a datasource cannot be read: {error}"))
}

impl TableView {
    fn of(row: &Pulled, next_at: Option<Timestamp>) -> Result<Self> {
        let progress: Progress = serde_json::from_str(&row.progress).map_err(corrupt("the progress"))?;
        let percent = |total: u64| progress.seen.saturating_mul(100).checked_div(total).map(|p| p.min(100));
        Ok(Self {
            environment: row.environment.clone(),
            rows: row.row_count,
            columns: columns_of(row)?.0,
            changes: serde_json::from_str(&row.changes).map_err(corrupt("a change"))?,
            cursor: row.cursor.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            pulled_at: row.pulled_at,
            full_at: row.full_at,
            next_at,
            pulling: row.run.clone().map(|run| PullingView {
                run,
                full: progress.full,
                pages: progress.page.before,
                rows: progress.seen,
                total: progress.total,
                percent: progress.total.and_then(percent),
            }),
        })
    }
}

pub(crate) fn columns_of(row: &Pulled) -> Result<Columns> {
    serde_json::from_str(&row.known).map_err(corrupt("the columns"))
}

impl RowView {
    fn of(row: TableRow) -> Self {
        let data = serde_json::from_str(&row.data).unwrap_or(Value::Null);
        Self { key: row.item, data, updated_at: row.updated_at }
    }
}

impl Engine {
    /// A datasource, with what each environment has of it.
    pub async fn read_datasource(&self, op: &Op, application: &str, name: &str) -> Result<DatasourceView> {
        let built = self.read_built::<Datasource>(op, application, name).await?;
        let component = component_of(Datasource::KIND, name);
        let times = self.store().schedules(&op.organization, application, &component).await?;
        let mut tables = Vec::new();
        for row in self.store().tables(&op.organization, application, &component).await? {
            let time = times.iter().find(|time| time.environment == row.environment);
            tables.push(TableView::of(&row, time.and_then(|time| time.next_at))?);
        }
        Ok(DatasourceView { built, tables })
    }

    /// Pulls a datasource now. The pull waits until the one before is over.
    pub async fn ask_pull(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        asked: PullRequest,
    ) -> Result<RunView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.runs())?;
        let environment = environment_of(&op.principal, asked.environment.as_deref())?;
        let (definition, datasource) =
            self.served_here::<Datasource>(op, application, environment, name).await?;
        let row = scheduled(&definition, environment, None);
        let mut data = seen(datasource.at.as_ref(), op.now);
        data["full"] = asked.full.into();
        let mut work = self.begin(permit).await?;
        let run = self.ask_for(&mut work, op, &row, &data).await?;
        let view = RunView::from(run);
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        self.inner.runner.wake();
        Ok(view)
    }

    /// The rows of a datasource in an environment, and how many are meant in all.
    pub async fn list_rows(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        query: &RowsQuery,
    ) -> Result<Page<RowView>> {
        Ok(self.look_through(op, application, name, query).await?.0)
    }

    /// The same, and how many there are in all.
    pub async fn look_through(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        query: &RowsQuery,
    ) -> Result<(Page<RowView>, i64)> {
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        let offset: i64 = if after.is_empty() { 0 } else { after.parse().map_err(|_| no_cursor())? };
        let Some((meant, _)) = self.meant(op, application, name, query).await? else {
            return Ok((Page { items: Vec::new(), next_cursor: None }, 0));
        };
        let total = self.count_meant(op, application, &meant).await?;
        let rows = self.meant_rows(op, application, &meant, limit.rows(), offset).await?;
        let next = offset.saturating_add(limit.rows()).saturating_sub(1).to_string();
        Ok((limit.page(rows, |_| next.clone(), |row| row), total))
    }

    /// Which rows a query means, with the columns that there are, for those who may look through them; nothing where nothing was pulled.
    pub(crate) async fn meant(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        query: &RowsQuery,
    ) -> Result<Option<(Meant, Columns)>> {
        let (state, environment) = self.table_of(op, application, name, query.environment.as_deref()).await?;
        let Some(state) = state else { return Ok(None) };
        let columns = columns_of(&state)?;
        let words = query.q.as_deref().unwrap_or("").trim().to_lowercase();
        if words.chars().count() > WORDS_MAX || words.contains('\0') {
            return Err(Error::field("q", "invalid", format!("Look for at most {WORDS_MAX} characters.")));
        }
        let filter = query.filter.as_deref().filter(|text| !text.is_empty());
        let filter = filter.map(|text| wanted(text, &columns)).transpose();
        let filter = filter.map_err(|why| Error::field("filter", "invalid", why))?;
        let sort = query.sort.as_deref().unwrap_or("");
        let (sort, descending) = sort.strip_prefix('-').map_or((sort, false), |sort| (sort, true));
        if !sort.is_empty() && columns.get(sort).is_none() {
            return Err(Error::field("sort", "unknown", "There is no such column."));
        }
        let (column, comparison, value) = match &filter {
            Some((column, comparison, value)) => (label(column), comparison.as_str(), value.clone()),
            None => (String::new(), "", String::new()),
        };
        let meant = Meant {
            environment,
            component: component_of(Datasource::KIND, name),
            words,
            column,
            comparison,
            value,
            sort: if sort.is_empty() { String::new() } else { label(sort) },
            descending,
            all: state.row_count,
        };
        Ok(Some((meant, columns)))
    }

    /// So many of the rows that are meant, behind so many others.
    pub(crate) async fn meant_rows(
        &self,
        op: &Op,
        application: &str,
        meant: &Meant,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<RowView>> {
        let asked = RowQuery { limit, offset, ..meant.query() };
        let rows = self.store().table_rows(meant.table(op, application), asked).await?;
        Ok(rows.into_iter().map(RowView::of).collect())
    }

    /// How many rows are meant.
    pub(crate) async fn count_meant(&self, op: &Op, application: &str, meant: &Meant) -> Result<i64> {
        if meant.words.is_empty() && meant.column.is_empty() {
            return Ok(meant.all);
        }
        Ok(self.store().count_table_rows(meant.table(op, application), meant.query()).await?)
    }

    /// A datasource's table in an environment, for those who may look through it.
    async fn table_of(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        environment: Option<&str>,
    ) -> Result<(Option<Pulled>, Environment)> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &found.runs())?;
        let environment = environment_of(&op.principal, environment)?;
        self.served_here::<Datasource>(op, application, environment, name).await?;
        let component = component_of(Datasource::KIND, name);
        let table = Table {
            organization: &op.organization,
            application,
            environment: environment.as_str(),
            component: &component,
        };
        Ok((self.store().table(table).await?, environment))
    }

    /// Begins to read a whole table.
    pub async fn export_rows(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        query: &RecordPlace,
    ) -> Result<Export> {
        let (state, environment) = self.table_of(op, application, name, query.environment.as_deref()).await?;
        let columns = state.as_ref().map(columns_of).transpose()?.unwrap_or_default();
        Ok(Export {
            organization: (*op.organization).to_owned(),
            application: application.to_owned(),
            environment,
            component: component_of(Datasource::KIND, name),
            columns: columns.0.into_iter().map(|column| column.name).collect(),
            after: Some((i64::MIN, String::new())),
        })
    }

    /// The next rows of an export: their keys, and their cells by column. `None`: there are no more.
    pub async fn next_rows(&self, export: &mut Export) -> Result<Option<Vec<Vec<String>>>> {
        let Some((position, item)) = export.after.take() else { return Ok(None) };
        let table = Table {
            organization: &export.organization,
            application: &export.application,
            environment: export.environment.as_str(),
            component: &export.component,
        };
        let rows = self.store().table_rows_after(table, position, &item, EXPORTED).await?;
        if i64::try_from(rows.len()).unwrap_or(0) == EXPORTED {
            export.after = rows.last().map(|row| (row.position, row.item.clone()));
        }
        let cells = rows.into_iter().map(|row| {
            let data: Map<String, Value> = serde_json::from_str(&row.data).unwrap_or_default();
            let mut cells = vec![row.item];
            cells.extend(export.columns.iter().map(|column| shown(at(&data, column))));
            cells
        });
        let cells: Vec<Vec<String>> = cells.collect();
        Ok(if cells.is_empty() { None } else { Some(cells) })
    }
}

/// Which rows of a table are meant.
pub(crate) struct Meant {
    environment: Environment,
    component: String,
    words: String,
    column: String,
    comparison: &'static str,
    value: String,
    sort: String,
    descending: bool,
    /// rows of the whole table
    all: i64,
}

impl Meant {
    fn table<'a>(&'a self, op: &'a Op, application: &'a str) -> Table<'a> {
        Table {
            organization: &op.organization,
            application,
            environment: self.environment.as_str(),
            component: &self.component,
        }
    }

    fn query(&self) -> RowQuery<'_> {
        RowQuery {
            words: &self.words,
            column: &self.column,
            comparison: self.comparison,
            value: &self.value,
            sort: &self.sort,
            descending: self.descending,
            ..RowQuery::default()
        }
    }
}

/// The value of a column in a row.
pub fn at<'a>(data: &'a Map<String, Value>, column: &str) -> Option<&'a Value> {
    data.get(column).or_else(|| {
        let (outer, inner) = column.split_once('.')?;
        data.get(outer)?.get(inner)
    })
}

/// A value as a person reads it; nothing for nothing.
pub fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A datasource as it is served, with what its runs do.
pub(crate) struct LiveDatasource {
    pub datasource: Arc<Datasource>,
    pub actions: Vec<jackfield_core::workflow::WorkflowAction>,
}

impl LiveDatasource {
    pub fn new(link_name: &str, datasource: Datasource) -> Self {
        let pull = Pull { datasource: link_name.to_owned(), full: false };
        let action = jackfield_core::workflow::WorkflowAction {
            name: "pull".to_owned(),
            pull: Some(pull),
            ..jackfield_core::workflow::WorkflowAction::default()
        };
        Self { datasource: Arc::new(datasource), actions: vec![action] }
    }
}
