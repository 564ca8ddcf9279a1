//! Datasources: what a service lists, pulled page by page into a table, and the table looked through.
//!
//! A page and how far the pull is are written in one transaction, so that a pull whose process dies goes on at the page at which it was. The
//! revision of the table keeps a node that was thought dead from writing beside the one that took over. A pull that takes long gives its
//! place to others now and then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::header::LINK;
use jackfield_core::connector::{Module, Operation, OperationCall};
use jackfield_core::datasource::{
    Change, Column, Columns, Datasource, PageState, cell_of, cells, is_after, label, next_page, wanted,
};
use jackfield_core::form::Choice;
use jackfield_core::workflow::{Lookup, Pull};
use jackfield_core::{Action, Environment, Error, Permit, Result, Timestamp, permit};
use jackfield_store::{Pulled, RowQuery, Table, TableRow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::automate::actions::{Doing, Tried};
use crate::automate::components::{BuiltView, Definable, component_of, scheduled};
use crate::automate::live::{Live, LiveForm};
use crate::automate::records::RecordPlace;
use crate::automate::runs::RunView;
use crate::automate::schedules::seen;
use crate::call::invoke::Invoked;
use crate::call::ready::environment_of;
use crate::page::{Page, PageQuery, no_cursor};
use crate::{Engine, Op, clock};

/// How long a pull goes on before others have their turn.
const TURN: Duration = Duration::from_secs(30);
/// Rows that are deleted in one transaction.
const DELETED: i64 = 1000;
/// Changes of columns that are kept.
const CHANGES: usize = 50;
/// Longest key of an item, in characters.
const KEY_MAX: usize = 500;
/// Largest row, in bytes of its JSON.
const ROW_MAX: usize = 256 * 1024;
/// Rows of one page of an export.
pub const EXPORTED: i64 = 1000;
/// Choices that a field has from a datasource at most, and characters of one.
const CHOICES: i64 = 1000;
const CHOICE_MAX: usize = 200;
/// Rows of a datasource that an expression sees, and bytes of their JSON in all that one action names.
const ROWS_READ: usize = 100;
const ROWS_BYTES: usize = 1024 * 1024;
/// Rows that are read at once for it.
const ROWS_PAGE: i64 = 20;
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

/// How far a pull is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Progress {
    page: PageState,
    full: bool,
    seen: u64,
    total: Option<u64>,
    greatest: Option<Value>,
    columns: Columns,
    /// every page was read
    read: bool,
    removed: u64,
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

/// An item as a row: its key, and its members. `Err` is a sentence.
fn row_of(item: &Value, key: &str) -> Result<(String, Map<String, Value>), String> {
    let found = match item.pointer(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(format!("An item has no text or number at {key}, the `key` of the datasource.")),
    };
    let found = found.replace('\0', "");
    if found.is_empty() || found.chars().count() > KEY_MAX {
        return Err(format!("What stands at {key} is empty or has more than {KEY_MAX} characters."));
    }
    match item {
        Value::Object(members) => Ok((found, members.clone())),
        other => Ok((found, Map::from_iter([("value".to_owned(), other.clone())]))),
    }
}

/// What a page's answer holds.
struct Answered {
    items: Vec<Value>,
    next: Option<PageState>,
    total: Option<u64>,
}

impl Engine {
    /// Pulls a datasource as far as its turn goes.
    pub(crate) async fn pull(&self, op: &Op, doing: &Doing<'_>, asked: &Pull) -> Tried {
        let Some(datasource) = doing.live.datasource(&asked.datasource) else {
            return Tried::failed(
                "gone",
                format!("There is no datasource {:?} in this environment any more.", asked.datasource),
            );
        };
        let component = component_of(Datasource::KIND, &asked.datasource);
        let table = Table {
            organization: doing.organization,
            application: doing.application,
            environment: doing.environment.as_str(),
            component: &component,
        };
        let full = asked.full || doing.context.get("full") == Some(&Value::Bool(true));
        match self.pull_table(op, doing, &datasource, table, full).await {
            Ok(tried) => tried,
            Err(Stopped::Tried(tried)) => *tried,
            Err(Stopped::Error(error)) => {
                tracing::warn!(%error, run = doing.run.id, "a page could not be written");
                Tried::later(error.code.as_str(), "Jackfield could not write down what came.")
            }
        }
    }

    async fn pull_table(
        &self,
        op: &Op,
        doing: &Doing<'_>,
        datasource: &Datasource,
        table: Table<'_>,
        full: bool,
    ) -> Result<Tried, Stopped> {
        let (mut state, mut progress) = self.take_up(doing, datasource, table, full).await?;
        let begun = clock::now();
        let mut last = None;
        while !progress.read {
            if begun.until(clock::now()) > TURN {
                return Ok(Tried::more(so_far(&progress)));
            }
            let (answered, request) = self.ask_page(op, doing, datasource, &state, &progress).await?;
            last = Some(request);
            self.write_page(table, datasource, &mut state, &mut progress, answered).await?;
        }
        while progress.full {
            if begun.until(clock::now()) > TURN {
                return Ok(Tried::more(so_far(&progress)));
            }
            let mut work = self.begin(PERMIT).await?;
            let removed = work.delete_table_rows(table, state.pull, DELETED).await?;
            progress.removed = progress.removed.saturating_add(removed);
            keep(&mut work, table, &mut state, &progress).await?;
            work.commit().await?;
            if i64::try_from(removed).unwrap_or(i64::MAX) < DELETED {
                break;
            }
        }
        let result = self.end_pull(table, state, progress).await?;
        Ok(Tried::pulled(result, last))
    }

    /// The state of the table, and how far this run's pull of it is.
    async fn take_up(
        &self,
        doing: &Doing<'_>,
        datasource: &Datasource,
        table: Table<'_>,
        full: bool,
    ) -> Result<(Pulled, Progress), Stopped> {
        let mut found = self.store().table(table).await?;
        if found.is_none() {
            let mut work = self.begin(PERMIT).await?;
            work.new_table(table).await?;
            work.commit().await?;
            found = self.store().table(table).await?;
        }
        let mut state = found.ok_or_else(|| Error::internal("a table is gone that was just made"))?;
        match &state.run {
            Some(run) if *run == doing.run.id => {
                let progress = serde_json::from_str(&state.progress).map_err(corrupt("the progress"))?;
                return Ok((state, progress));
            }
            Some(other) => {
                let other = self.store().run(table.organization, other).await?;
                if other.is_some_and(|run| !run.state.is_over()) {
                    return Err(
                        Tried::later("pulling", "Another pull of the datasource is under way.").into()
                    );
                }
            }
            None => {}
        }
        let since = datasource.incremental.is_some() && state.cursor.is_some();
        let progress = Progress { full: full || !since, ..Progress::default() };
        state.run = Some(doing.run.id.clone());
        state.pull += 1;
        let mut work = self.begin(PERMIT).await?;
        keep(&mut work, table, &mut state, &progress).await?;
        work.commit().await?;
        Ok((state, progress))
    }

    /// Asks for the next page.
    async fn ask_page(
        &self,
        op: &Op,
        doing: &Doing<'_>,
        datasource: &Datasource,
        state: &Pulled,
        progress: &Progress,
    ) -> Result<(Answered, Value), Stopped> {
        let mut arguments = Map::new();
        for (field, mapped) in &datasource.arguments {
            let value = self.mapped(doing, mapped).await;
            let value = value.map_err(|why| Tried::failed("mapping_failed", format!("{field}: {why}")))?;
            arguments.insert(field.clone(), value);
        }
        if let Some(incremental) = datasource.incremental.as_ref().filter(|_| !progress.full)
            && let Some(cursor) = &state.cursor
        {
            let since = serde_json::from_str(cursor).map_err(corrupt("the cursor"))?;
            arguments.insert(incremental.parameter.clone(), since);
        }
        let ready = self.made_ready(doing, op, &datasource.connection).await;
        let ready = ready.map_err(|error| Tried::not_sent(error, &datasource.connection))?;
        let callable = ready.callable().map_err(|error| Tried::not_sent(error, &datasource.connection))?;
        let vocabulary = &callable.vocabulary;
        let (module, operation) = operation(&vocabulary.connector, datasource).ok_or_else(|| {
            let message = format!(
                "{} has no operation {}.{} any more. Choose another in the datasource.",
                vocabulary.connector.name, datasource.module, datasource.operation
            );
            Tried::failed("invalid", message)
        })?;
        let ask = progress.page.ask();
        let mut call =
            module.call(operation, &arguments, &vocabulary.values(), Some(&ask), None).map_err(|wrong| {
                let words: Vec<String> =
                    wrong.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
                Tried::failed("mapping_failed", words.join(" "))
            })?;
        if let Some(url) = &progress.page.url {
            // The page before said where this one is, with everything that belongs to it.
            call = OperationCall { path: url.clone(), query: Vec::new(), body: None, ..call };
        }
        let service = &vocabulary.connector.name;
        let (answer, request) =
            self.listed(op, doing, &datasource.connection, service, operation, &call).await?;
        let answered = read(datasource, operation, &progress.page, &answer)?;
        let found = progress.seen.saturating_add(u64::try_from(answered.items.len()).unwrap_or(u64::MAX));
        if found > u64::from(datasource.rows_max) {
            let message = format!(
                "It has more than {} rows. Ask for less by `with`, or raise `rows_max`.",
                datasource.rows_max
            );
            return Err(Tried::failed("too_many_rows", message).into());
        }
        Ok((answered, request))
    }

    /// Writes a page and how far the pull is by it.
    async fn write_page(
        &self,
        table: Table<'_>,
        datasource: &Datasource,
        state: &mut Pulled,
        progress: &mut Progress,
        answered: Answered,
    ) -> Result<(), Stopped> {
        let now = clock::now();
        let mut after = progress.clone();
        let mut work = self.begin(PERMIT).await?;
        // What only came anew stands behind what was there.
        let base = if progress.full { 0 } else { state.pull.saturating_mul(i64::from(datasource.rows_max)) };
        for item in &answered.items {
            let (key, members) = row_of(item, &datasource.key).map_err(|why| {
                let page = progress.page.before.saturating_add(1);
                Tried::failed("no_key", format!("Page {page}: {why}"))
            })?;
            let data = Value::Object(members.clone()).to_string();
            if data.len() > ROW_MAX {
                return Err(Tried::failed(
                    "too_large",
                    format!("The item {key} has more than {ROW_MAX} bytes."),
                )
                .into());
            }
            let (cells, words) = cells(&members);
            after.columns.take(&members, now);
            if let Some(incremental) = &datasource.incremental
                && let Some(value) = item.pointer(&incremental.field)
                && after.greatest.as_ref().is_none_or(|greatest| is_after(value, greatest))
            {
                after.greatest = Some(value.clone());
            }
            let position = base.saturating_add(i64::try_from(after.seen).unwrap_or(i64::MAX));
            let row = TableRow { item: key, position, updated_at: now, data };
            let cells = serde_json::to_string(&cells).map_err(Error::internal)?;
            work.put_table_row(table, &row, state.pull, &cells, &words).await?;
            after.seen = after.seen.saturating_add(1);
        }
        after.total = answered.total.or(after.total);
        after.page.before = after.page.before.saturating_add(1);
        match answered.next {
            Some(next) => after.page = next,
            None => after.read = true,
        }
        keep(&mut work, table, state, &after).await?;
        work.commit().await?;
        *progress = after;
        Ok(())
    }

    /// Every page was read, and what is gone was deleted.
    async fn end_pull(
        &self,
        table: Table<'_>,
        mut state: Pulled,
        progress: Progress,
    ) -> Result<Value, Stopped> {
        let now = clock::now();
        let before = columns_of(&state)?;
        let (columns, found) = progress.columns.clone().after(&before, progress.full, now);
        let mut changes: Vec<Change> = serde_json::from_str(&state.changes).map_err(corrupt("a change"))?;
        let many = found.len();
        changes.splice(0..0, found);
        changes.truncate(CHANGES);
        let known: Option<Value> = state.cursor.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let greatest = match (progress.greatest.clone(), known) {
            (Some(new), Some(old)) if !is_after(&new, &old) => Some(old),
            (Some(new), _) => Some(new),
            (None, old) => old,
        };
        state.cursor = greatest.map(|value| value.to_string());
        state.known = serde_json::to_string(&columns).map_err(Error::internal)?;
        state.changes = serde_json::to_string(&changes).map_err(Error::internal)?;
        state.row_count = self.store().count_table_rows(table, RowQuery::default()).await?;
        state.pulled_at = Some(now);
        if progress.full {
            state.full_at = Some(now);
        }
        state.run = None;
        let mut work = self.begin(PERMIT).await?;
        keep(&mut work, table, &mut state, &progress).await?;
        work.commit().await?;
        Ok(json!({"rows": state.row_count, "pulled": progress.seen, "pages": progress.page.before,
            "removed": progress.removed, "full": progress.full, "changes": many}))
    }

    /// What a row of a datasource says; nothing where none fits. `Err` is a sentence.
    pub(crate) async fn look_up_row(
        &self,
        doing: &Doing<'_>,
        datasource: &str,
        lookup: &Lookup,
        wanted: &Value,
    ) -> Result<Value, String> {
        if doing.live.datasource(datasource).is_none() {
            return Err(format!("There is no datasource {datasource:?} here."));
        }
        let Some(cell) = cell_of(wanted) else { return Ok(Value::Null) };
        let component = component_of(Datasource::KIND, datasource);
        let table = Table {
            organization: doing.organization,
            application: doing.application,
            environment: doing.environment.as_str(),
            component: &component,
        };
        let rows = self.store().table_rows_with(table, &label(&lookup.by), &cell, 1).await;
        let rows = rows.map_err(|error| Error::from(error).detail)?;
        let Some(row) = rows.into_iter().next() else { return Ok(Value::Null) };
        let data: Map<String, Value> = serde_json::from_str(&row.data).unwrap_or_default();
        Ok(if lookup.take.starts_with('/') {
            Value::Object(data).pointer(&lookup.take).cloned().unwrap_or(Value::Null)
        } else {
            at(&data, &lookup.take).cloned().unwrap_or(Value::Null)
        })
    }

    /// What expressions see, with the rows of datasources that they name: of each the first ones, in the order in which they came. `Err` is a
    /// sentence.
    pub(crate) async fn with_rows(
        &self,
        (organization, application, environment): (&str, &str, Environment),
        names: BTreeSet<String>,
        context: &Value,
    ) -> Result<Value, String> {
        let mut rows = Map::new();
        let mut room = ROWS_BYTES;
        for name in names {
            let component = component_of(Datasource::KIND, &name);
            let environment = environment.as_str();
            let table = Table { organization, application, environment, component: &component };
            let mut first = Vec::new();
            'pages: while first.len() < ROWS_READ {
                let offset = i64::try_from(first.len()).unwrap_or(i64::MAX);
                let query = RowQuery { limit: ROWS_PAGE, offset, ..RowQuery::default() };
                let page = self.store().table_rows(table, query).await;
                let page = page.map_err(|error| Error::from(error).detail)?;
                let last = i64::try_from(page.len()).unwrap_or(i64::MAX) < ROWS_PAGE;
                for row in page {
                    let Some(left) = room.checked_sub(row.data.len()) else { break 'pages };
                    room = left;
                    first.push(serde_json::from_str(&row.data).unwrap_or(Value::Null));
                }
                if last {
                    break;
                }
            }
            rows.insert(name, Value::Array(first));
        }
        let mut all = context.clone();
        if let Value::Object(all) = &mut all {
            all.insert("rows".to_owned(), Value::Object(rows));
        }
        Ok(all)
    }

    /// A form as an environment serves it, with the choices that come from datasources.
    pub(crate) async fn served_form(
        &self,
        organization: &str,
        application: &str,
        environment: Environment,
        live: &Live,
        name: &str,
    ) -> Result<Arc<LiveForm>> {
        let found = live.form(name)?;
        if found.form.fields.iter().all(|field| field.choices_from.is_none()) {
            return Ok(found);
        }
        let mut form = found.form.clone();
        for field in &mut form.fields {
            let Some(from) = &field.choices_from else { continue };
            let component = component_of(Datasource::KIND, &from.datasource);
            let environment = environment.as_str();
            let table = Table { organization, application, environment, component: &component };
            let read = from.label.as_ref().unwrap_or(&from.value);
            // One more tells whether there are more.
            let (sort, limit) = (label(read), CHOICES.saturating_add(1));
            let rows = self.store().table_rows(table, RowQuery { sort: &sort, limit, ..RowQuery::default() });
            let mut rows = rows.await?;
            let most = usize::try_from(CHOICES).unwrap_or(usize::MAX);
            if rows.len() > most {
                rows.truncate(most);
                let words = format!("Only the first {CHOICES} can be chosen here; there are more.");
                field.help =
                    Some(field.help.as_ref().map_or_else(|| words.clone(), |help| format!("{help} {words}")));
            }
            let many = field.kind == jackfield_core::form::FieldType::MultiSelect;
            for row in rows {
                let data: Map<String, Value> = serde_json::from_str(&row.data).unwrap_or_default();
                let value = shown(at(&data, &from.value)).trim().to_owned();
                // What a field could not keep cannot be chosen; of the same value the first.
                let unfit = !(1..=CHOICE_MAX).contains(&value.chars().count())
                    || value.chars().any(char::is_control)
                    || (many && value.contains(';'))
                    || field.choices.iter().any(|choice| choice.value == value);
                if !unfit {
                    let label = Some(shown(at(&data, read))).filter(|label| !label.is_empty());
                    field.choices.push(Choice { value, label });
                }
            }
        }
        Ok(Arc::new(LiveForm { name: found.name.clone(), form }))
    }

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

fn operation<'c>(
    connector: &'c jackfield_core::connector::Connector,
    datasource: &Datasource,
) -> Option<(&'c Module, &'c Operation)> {
    let module = connector.modules.get(&datasource.module)?;
    Some((module, module.operations.get(&datasource.operation)?))
}

/// What a page's answer holds. `Err`: it is no list.
fn read(
    datasource: &Datasource,
    operation: &Operation,
    here: &PageState,
    answer: &Invoked,
) -> Result<Answered, Stopped> {
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| Tried::failed("service_refused", "The service's answer is not JSON."))?;
    let pointer = operation.items.as_deref().unwrap_or_default();
    match body.pointer(pointer) {
        Some(Value::Array(_) | Value::Null) => {}
        // Some services leave out a list that is empty.
        None if body.is_object() => {}
        _ => {
            let message = format!("The service's answer has no list at {pointer:?}.");
            return Err(Tried::failed("service_refused", message).into());
        }
    }
    let items = operation.items(&body).to_vec();
    let link = answer.headers.get(LINK).and_then(|value| value.to_str().ok());
    let total = datasource.total.as_deref().and_then(|pointer| body.pointer(pointer));
    let total = total.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Ok(Answered { next: next_page(operation, here, &body, link, &items), items, total })
}

/// Keeps the state with its progress; it is for nobody else any more.
async fn keep(
    work: &mut crate::work::Work<'_>,
    table: Table<'_>,
    state: &mut Pulled,
    progress: &Progress,
) -> Result<(), Stopped> {
    state.progress = serde_json::to_string(progress).map_err(Error::internal)?;
    if !work.keep_pulled(table, state).await? {
        return Err(Tried::later("pulling", "Another pull of the datasource is under way.").into());
    }
    state.revision += 1;
    Ok(())
}

fn so_far(progress: &Progress) -> String {
    let of = progress.total.map_or_else(String::new, |total| format!(" of {total}"));
    format!("{} pages, {}{of} rows so far.", progress.page.before, progress.seen)
}

/// Why a pull does not go on just now.
pub(crate) enum Stopped {
    Tried(Box<Tried>),
    Error(Error),
}

impl From<Tried> for Stopped {
    fn from(tried: Tried) -> Self {
        Self::Tried(Box::new(tried))
    }
}

impl From<Box<Tried>> for Stopped {
    fn from(tried: Box<Tried>) -> Self {
        Self::Tried(tried)
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<jackfield_store::StoreError> for Stopped {
    fn from(error: jackfield_store::StoreError) -> Self {
        Self::Error(error.into())
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
