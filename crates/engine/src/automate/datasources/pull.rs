//! A pull: page after page, each written together with how far it is, and at last what is gone is deleted.

use std::time::Duration;

use http::header::LINK;
use jackfield_core::connector::{Module, Operation, OperationCall};
use jackfield_core::datasource::{Change, Columns, Datasource, PageState, cells, is_after, next_page};
use jackfield_core::workflow::Pull;
use jackfield_core::{Error, Result};
use jackfield_store::{Pulled, RowQuery, Table, TableRow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{PERMIT, columns_of, corrupt};
use crate::automate::actions::{Doing, Tried};
use crate::automate::components::{Definable, component_of};
use crate::call::invoke::Invoked;
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

/// How far a pull is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    pub page: PageState,
    pub full: bool,
    pub seen: u64,
    pub total: Option<u64>,
    greatest: Option<Value>,
    columns: Columns,
    /// every page was read
    read: bool,
    removed: u64,
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
enum Stopped {
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
