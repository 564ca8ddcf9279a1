//! Records as files of comma-separated values (RFC 4180): read in a batch of rows at a time beside everything else, and read out.
//!
//! | what can be lost | what follows |
//! |---|---|
//! | the process, in the middle of a file | rows and how far the import came are one transaction: it goes on at the row after the last one kept |
//! | a unique value, to somebody who sends it at the same moment | the batch is taken in once more, row by row, and that row is refused |

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jackfield_core::form::{FieldType, Form, Mode, guarded};
use jackfield_core::id::{self, Prefix};
use jackfield_core::{
    Action, Code, Environment, Error, EventKind, FieldError, Permit, Result, Timestamp, permit,
};
use jackfield_store::{Drawer, Import, ImportProgress, Record};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use tokio::sync::Notify;
use utoipa::{IntoParams, ToSchema};

use crate::automate::live::{Live, LiveForm};
use crate::automate::records::{Changed, NewRecord, Place, RecordPlace, data_of, see_all, unique_digest};
use crate::clock::{new_id, new_ids};
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op, clock};

/// Largest file, in bytes.
pub const FILE_MAX: usize = 10 * 1024 * 1024;
/// Rows that a file may have.
const ROWS_MAX: usize = 100_000;
/// Rows that are taken in in one transaction.
const BATCH: usize = 100;
/// Batches after which another import has its turn.
const TURN: usize = 20;
/// Faults that are kept of an import, the first ones.
const FAULTS_MAX: usize = 200;
/// How long a claim holds without a word.
const LEASE: Duration = Duration::from_mins(1);
/// How often somebody looks for what other nodes left behind.
const LOOK: Duration = Duration::from_secs(5);
/// Records that are read out at once.
const READ: i64 = 500;
/// Columns that every file that was read out begins with; read in, the first finds records and the others are passed over.
const FACTS: [&str; 4] = ["id", "created_at", "updated_at", "created_by"];

/// What wakes the one who reads files in.
#[derive(Default)]
pub(crate) struct Importer {
    wake: Notify,
    node: OnceLock<String>,
}

impl Importer {
    fn node(&self) -> &str {
        self.node.get_or_init(|| new_id(Prefix::Session, clock::now()))
    }
}

/// A file of records to read in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// The file, as text: a row of column names, then a row for each record; 10 MiB and 100,000 rows at most. A column is named as the
    /// field or as its label; the parts of a name or address are `who.first`. Parted by commas, semicolons or tabs
    pub csv: String,
    /// `id`, or a field that is unique: rows that have the value of a record change that record. Absent: every row is a new record
    pub match_by: Option<String>,
    /// whether the records set off workflows; they do unless told
    pub workflows: Option<bool>,
}

/// Which imports are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// an application key's own, else production, unless told
    pub environment: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// A file of records that is read in, and how far that is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImportView {
    pub id: String,
    /// link name of the form
    pub form: String,
    pub environment: String,
    /// `running`, `done`, `failed` or `cancelled`
    pub state: String,
    /// rows that the file has
    pub rows: i64,
    /// rows that are worked off; rows that changed nothing are neither created, changed nor refused
    pub done: i64,
    pub created: i64,
    pub changed: i64,
    pub refused: i64,
    /// what was wrong with the rows that were refused, of the first 200
    pub faults: Vec<RowFault>,
    /// why it has failed
    pub reason: Option<String>,
    /// id of the member who began it
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowFault {
    /// line of the file on which the row begins, from 1; the column names stand on the first
    pub line: u64,
    /// the column, where it is one
    pub field: String,
    pub message: String,
}

impl From<Import> for ImportView {
    fn from(import: Import) -> Self {
        let progress = import.progress;
        Self {
            id: import.id,
            form: import.form,
            environment: import.environment,
            state: import.state,
            rows: import.rows,
            done: progress.done,
            created: progress.created,
            changed: progress.changed,
            refused: progress.refused,
            faults: serde_json::from_str(&progress.faults).unwrap_or_default(),
            reason: import.reason,
            created_by: Some(import.created_by).filter(|id| !id.is_empty()),
            created_at: import.created_at,
            ended_at: import.ended_at,
        }
    }
}

/// A row of a file: its line, and its cells by the names of the columns.
struct Line {
    number: u64,
    cells: Result<Vec<(String, String)>, String>,
}

/// A file that can be read.
struct Sheet<'a> {
    reader: csv::Reader<&'a [u8]>,
    text: &'a str,
    /// a byte of the text, and the line on which it stands: where the last row began
    at: (usize, u64),
    /// what each column is: a column of the form, `id`, or nothing that is read
    columns: Vec<Option<String>>,
}

/// What parts the columns: whichever the row of names has most of. Spreadsheets write what their country's habits are.
fn delimiter(text: &str) -> u8 {
    let names = text.lines().next().unwrap_or_default();
    let many = |wanted: u8| names.bytes().filter(|byte| *byte == wanted).count();
    [b'\t', b';', b','].into_iter().max_by_key(|one| many(*one)).unwrap_or(b',')
}

impl<'a> Sheet<'a> {
    fn read(text: &'a str, form: &Form) -> Result<Self, FieldError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let wrong = |code: &str, message: String| FieldError::new("csv", code, message);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter(text))
            .flexible(true)
            .has_headers(true)
            .from_reader(text.as_bytes());
        let names = reader
            .headers()
            .map_err(|error| wrong("invalid", format!("The first row cannot be read: {error}.")))?;
        if names.iter().all(|name| name.trim().is_empty()) {
            return Err(wrong("required", "Begin with a row of column names.".to_owned()));
        }
        let known = known_columns(form);
        let mut columns: Vec<Option<String>> = Vec::with_capacity(names.len());
        for name in names {
            let name = name.trim();
            let column = known.get(&name.to_lowercase()).cloned();
            if column.is_none() && !name.is_empty() {
                let all = importable(form).join(", ");
                return Err(wrong("unknown", format!("The form has no column {name:?}. It has {all}.")));
            }
            let holds_files =
                |column: &String| form.field(column).is_some_and(|field| field.kind == FieldType::File);
            if column.as_ref().is_some_and(holds_files) {
                let why = format!(
                    "The column {name:?} holds files, which a file of comma-separated values cannot bring. Leave the column out; in records \
                     that are changed the files stay."
                );
                return Err(wrong("not_supported", why));
            }
            if let Some(column) = column.as_ref().filter(|column| !column.is_empty())
                && columns.contains(&Some(column.clone()))
            {
                return Err(wrong("duplicate", format!("The column {name:?} is there twice.")));
            }
            columns.push(column.filter(|column| !column.is_empty()));
        }
        Ok(Self { reader, text, at: (0, 1), columns })
    }

    /// The next row; rows without any text are passed over.
    fn next(&mut self) -> Option<Line> {
        let mut record = csv::StringRecord::new();
        loop {
            match self.reader.read_record(&mut record) {
                Ok(false) => return None,
                Ok(true) if record.iter().all(|cell| cell.trim().is_empty()) => {}
                Ok(true) => {
                    let number = self.line(record.position());
                    return Some(Line { number, cells: self.cells(&record) });
                }
                Err(error) => {
                    let number = self.line(error.position());
                    return Some(Line { number, cells: Err(format!("The row cannot be read: {error}.")) });
                }
            }
        }
    }

    /// The line on which a row begins. The reader's own count is one behind where lines end with CR LF.
    fn line(&mut self, position: Option<&csv::Position>) -> u64 {
        let begin = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        let rest = self.text.as_bytes().get(begin..).unwrap_or_default();
        let begin = begin + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (last, line) = self.at;
        let between = self.text.as_bytes().get(last..begin).unwrap_or_default();
        let feeds: u64 = between.iter().map(|byte| u64::from(*byte == b'\n')).sum();
        self.at = (begin.max(last), line + feeds);
        self.at.1
    }

    fn cells(&self, record: &csv::StringRecord) -> Result<Vec<(String, String)>, String> {
        if record.len() > self.columns.len() {
            let (has, most) = (record.len(), self.columns.len());
            return Err(format!("The row has {has} cells, and there are {most} columns."));
        }
        let cells = self.columns.iter().zip(record);
        Ok(cells.filter_map(|(column, cell)| Some((column.clone()?, cell.trim().to_owned()))).collect())
    }
}

/// Every name under which a column is known, in small letters: that of the field, and its label where no other has it. Empty: it is
/// passed over.
fn known_columns(form: &Form) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for field in &form.fields {
        if let Some(label) = &field.label
            && field.kind.parts().is_empty()
        {
            known.entry(label.to_lowercase()).or_insert_with(|| field.name.clone());
        }
    }
    known.extend(form.columns().into_iter().map(|column| (column.to_lowercase(), column)));
    for fact in FACTS {
        let column = if fact == "id" { fact.to_owned() } else { String::new() };
        known.insert(fact.to_owned(), column);
    }
    known
}

/// The columns that a file can bring.
fn importable(form: &Form) -> Vec<String> {
    let is_file = |column: &String| form.field(column).is_some_and(|field| field.kind == FieldType::File);
    form.columns().into_iter().filter(|column| !is_file(column)).collect()
}

/// What a row means.
enum Row {
    Created,
    Changed,
    Same,
    Refused(Vec<RowFault>),
}

/// Who takes rows in, and how.
struct Taking<'a> {
    live: &'a Live,
    form: &'a Form,
    import: &'a Import,
    now: Timestamp,
}

fn faults_of(line: u64, wrong: Vec<FieldError>) -> Row {
    let fault = |error: FieldError| RowFault { line, field: error.field, message: error.message };
    Row::Refused(wrong.into_iter().map(fault).collect())
}

fn fault_of(line: u64, field: &str, message: impl Into<String>) -> Row {
    Row::Refused(vec![RowFault { line, field: field.to_owned(), message: message.into() }])
}

impl Engine {
    /// Begins to read a file of records in.
    pub async fn import_records(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        query: &RecordPlace,
        new: NewImport,
    ) -> Result<ImportView> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        see_all(op, &place)?;
        let permit = permit(&op.principal, Action::Use, &place.resource(""))?;
        let rows = checked(&place.form.form, &new)?;
        let import = Import {
            organization_id: op.organization.to_string(),
            id: new_id(Prefix::Import, op.now),
            application: application.to_owned(),
            form: form.to_owned(),
            environment: place.environment.as_str().to_owned(),
            match_by: new.match_by.unwrap_or_default(),
            sets_off: new.workflows.unwrap_or(true),
            created_by: Self::owner(op).to_owned(),
            state: "running".to_owned(),
            rows,
            progress: ImportProgress { faults: "[]".to_owned(), ..ImportProgress::default() },
            reason: None,
            created_at: op.now,
            updated_at: op.now,
            ended_at: None,
        };
        let mut work = self.begin(permit).await?;
        work.insert_import(&import, &new.csv).await?;
        work.record(
            op.event(EventKind::RecordsImported)
                .to(application)
                .with("form", form)
                .with("environment", place.environment.as_str())
                .with("rows", rows),
        );
        let view = ImportView::from(import);
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        self.inner.importer.wake.notify_one();
        Ok(view)
    }

    /// The imports of a form, the latest first.
    pub async fn list_imports(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        query: &ImportQuery,
    ) -> Result<Page<ImportView>> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        see_all(op, &place)?;
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        let before = if after.is_empty() { "~" } else { after.as_str() };
        let rows = self.store().imports(place.drawer(op, form), before, limit.rows()).await?;
        Ok(limit.page(rows, |row| row.id.clone(), ImportView::from))
    }

    async fn held_import(&self, op: &Op, place: &Place, form: &str, id: &str) -> Result<Import> {
        let missing = || Error::not_found(format_args!("import {id:?}"));
        if !id::is(Prefix::Import, id) {
            return Err(missing());
        }
        self.store().import(place.drawer(op, form), id).await?.ok_or_else(missing)
    }

    /// An import, and how far it is.
    pub async fn read_import(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        id: &str,
        query: &RecordPlace,
    ) -> Result<ImportView> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        see_all(op, &place)?;
        self.held_import(op, &place, form, id).await.map(ImportView::from)
    }

    /// Ends an import; what it has taken in stays.
    pub async fn cancel_import(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        id: &str,
        query: &RecordPlace,
    ) -> Result<ImportView> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        see_all(op, &place)?;
        let permit = permit(&op.principal, Action::Use, &place.resource(""))?;
        let import = self.held_import(op, &place, form, id).await?;
        let mut work = self.begin(permit).await?;
        if !work.end_import(&import, "cancelled", None, op.now).await? {
            return Err(Error::new(Code::StateConflict, "The import is over."));
        }
        work.commit().await?;
        self.held_import(op, &place, form, id).await.map(ImportView::from)
    }

    /// Reads all records of a form out, a piece at a time.
    pub async fn export_records(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        query: &RecordPlace,
    ) -> Result<Export> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        let permit = see_all(op, &place)?;
        let mut work = self.begin(permit).await?;
        work.record(
            op.event(EventKind::RecordsExported)
                .to(application)
                .with("form", form)
                .with("environment", place.environment.as_str()),
        );
        work.commit().await?;
        Ok(Export {
            engine: self.clone(),
            organization: op.organization.to_string(),
            application: application.to_owned(),
            form_name: form.to_owned(),
            environment: place.environment.as_str().to_owned(),
            form: place.form.form.clone(),
            after: None,
        })
    }

    /// Reads files in until the process ends.
    pub(crate) async fn read_imports(self) {
        loop {
            match self.next_import().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "an import could not go on; it is tried again"),
            }
            let _ = tokio::time::timeout(LOOK, self.inner.importer.wake.notified()).await;
        }
    }

    /// Goes on with the import that has waited longest. False: there is none.
    async fn next_import(&self) -> Result<bool> {
        let node = self.inner.importer.node();
        let now = clock::now();
        let mut work = self.begin(PERMIT).await?;
        let claimed = work.claim_import(node, now, now.plus(LEASE)).await?;
        work.commit().await?;
        let Some((mut import, content)) = claimed else { return Ok(false) };
        let Some((form, live)) = self.form_of(&import).await? else {
            return self.over(&import, "failed", Some("The form is not served here any more.")).await;
        };
        let mut sheet = match Sheet::read(&content, &form.form) {
            Ok(sheet) => sheet,
            Err(why) => {
                let reason = format!("The form has changed since. {}", why.message);
                return self.over(&import, "failed", Some(&reason)).await;
            }
        };
        for _ in 0..import.progress.done {
            sheet.next();
        }
        for _ in 0..TURN {
            let lines: Vec<Line> = std::iter::from_fn(|| sheet.next()).take(BATCH).collect();
            if lines.is_empty() {
                return self.over(&import, "done", None).await;
            }
            let progress = match self.take_in(&live, &form.form, &import, &lines, node).await {
                // Somebody was quicker with a value: of these rows each by itself.
                Err(error) if error.code == Code::InvalidInput => {
                    self.take_in_singly(&live, &form.form, &import, &lines, node).await
                }
                other => other,
            };
            match progress {
                Ok(Some(progress)) => import.progress = progress,
                // Stopped, or another's.
                Ok(None) => return Ok(true),
                Err(error) => {
                    self.give_import_back(&import).await?;
                    return Err(error);
                }
            }
            self.inner.runner.wake();
        }
        self.give_import_back(&import).await?;
        Ok(true)
    }

    /// The form, where it is still served.
    async fn form_of(&self, import: &Import) -> Result<Option<(Arc<LiveForm>, Arc<Live>)>> {
        let Some(environment) = Environment::parse(&import.environment) else { return Ok(None) };
        let (organization, application) = (&import.organization_id, &import.application);
        let live = self.live(organization, application, environment).await?;
        let form = self.served_form(organization, application, environment, &live, &import.form).await;
        match form {
            Ok(form) => Ok(Some((form, live))),
            Err(error) if error.code == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn give_import_back(&self, import: &Import) -> Result<()> {
        let mut work = self.begin(PERMIT).await?;
        work.release_import(import, self.inner.importer.node(), clock::now()).await?;
        work.commit().await
    }

    async fn over(&self, import: &Import, state: &str, reason: Option<&str>) -> Result<bool> {
        let mut work = self.begin(PERMIT).await?;
        work.end_import(import, state, reason, clock::now()).await?;
        work.commit().await?;
        Ok(true)
    }

    /// Takes rows in, in one transaction with how far the import is then; `None`: it is no longer this node's.
    async fn take_in(
        &self,
        live: &Live,
        form: &Form,
        import: &Import,
        lines: &[Line],
        node: &str,
    ) -> Result<Option<ImportProgress>> {
        let begun = clock::now();
        let mut work = self.begin(PERMIT).await?;
        let mut rows = Vec::with_capacity(lines.len());
        // Records are in the order of their ids, runs in that of their times: that of the file.
        for ((line, id), micros) in lines.iter().zip(new_ids(Prefix::Record, begun)).zip(0..) {
            let taking = Taking { live, form, import, now: begun.plus(Duration::from_micros(micros)) };
            rows.push(self.take_row(&mut work, &taking, line, id).await?);
        }
        let kept = keep(&mut work, import, rows, node).await?;
        if kept.is_some() {
            work.commit().await?;
        }
        Ok(kept)
    }

    /// The same, each row in a transaction of its own: of those who send the same value at once one has it.
    async fn take_in_singly(
        &self,
        live: &Live,
        form: &Form,
        import: &Import,
        lines: &[Line],
        node: &str,
    ) -> Result<Option<ImportProgress>> {
        let mut import = import.clone();
        for line in lines {
            let kept = match self.take_in(live, form, &import, std::slice::from_ref(line), node).await {
                Err(error) if error.code == Code::InvalidInput => {
                    let mut work = self.begin(PERMIT).await?;
                    let rows = vec![faults_of(line.number, error.fields)];
                    let kept = keep(&mut work, &import, rows, node).await?;
                    work.commit().await?;
                    kept
                }
                other => other?,
            };
            match kept {
                Some(progress) => import.progress = progress,
                None => return Ok(None),
            }
        }
        Ok(Some(import.progress))
    }

    async fn take_row(
        &self,
        work: &mut Work<'_>,
        taking: &Taking<'_>,
        line: &Line,
        id_if_new: String,
    ) -> Result<Row> {
        let (form, import) = (taking.form, taking.import);
        let mut cells = match &line.cells {
            Ok(cells) => cells.clone(),
            Err(why) => return Ok(fault_of(line.number, "", why)),
        };
        let id = cells.iter().position(|(column, _)| column == "id").map(|at| cells.swap_remove(at).1);
        let input = form.from_cells(&cells);
        let found = match import.match_by.as_str() {
            "" => None,
            "id" => match id.filter(|id| !id.is_empty()) {
                None => None,
                Some(id) => match present(work, import.drawer(), Some(id)).await? {
                    None => return Ok(fault_of(line.number, "id", "There is no record with this id.")),
                    found => found,
                },
            },
            field => {
                let asked =
                    Map::from_iter([(field.to_owned(), input.get(field).cloned().unwrap_or_default())]);
                let text = form.unique_values(&asked).into_iter().next().map(|(_, text)| text);
                match text {
                    None => {
                        return Ok(fault_of(line.number, field, "Rows are matched by this: enter a value."));
                    }
                    Some(text) => {
                        let digest = unique_digest(&text);
                        let id = work.present_record_with(import.drawer(), field, &digest).await?;
                        present(work, import.drawer(), id).await?
                    }
                }
            }
        };
        let former = found.as_ref().map(data_of).transpose()?;
        let mode = former.as_ref().map_or(Mode::New, |former| Mode::Edit { former });
        let data = match form.accept(&input, mode) {
            Ok(data) => data,
            Err(wrong) => return Ok(faults_of(line.number, wrong)),
        };
        if former.as_ref() == Some(&data) {
            return Ok(Row::Same);
        }
        // Asked before it is written: a refused statement ends the transaction on PostgreSQL.
        let own = found.as_ref().map(|record| record.id.as_str());
        for (field, text) in form.unique_values(&data) {
            let holder = work.present_record_with(import.drawer(), field, &unique_digest(&text)).await?;
            if holder.is_some_and(|holder| Some(holder.as_str()) != own) {
                return Ok(fault_of(line.number, field, "Another record has this value."));
            }
        }
        if let (Some(mut record), Some(former)) = (found, former) {
            let changed = Changed {
                former: &former,
                data: &data,
                files: &[],
                actor: &import.created_by,
                sets_off: import.sets_off,
                now: taking.now,
            };
            let written = self.write_change(work, taking.live, &mut record, changed).await?;
            return Ok(match written {
                Some(_) => Row::Changed,
                None => fault_of(line.number, "", "The record was changed at the same time."),
            });
        }
        let new = NewRecord {
            id: Some(id_if_new),
            data: &data,
            files: &[],
            created_by: &import.created_by,
            once: None,
            sets_off: import.sets_off,
            now: taking.now,
        };
        self.write_new(work, taking.live, import.drawer(), new).await?;
        Ok(Row::Created)
    }
}

const PERMIT: Permit = Permit::housekeeping("whoever began the import was permitted to");

/// A record that is not deleted.
async fn present(work: &mut Work<'_>, drawer: Drawer<'_>, id: Option<String>) -> Result<Option<Record>> {
    let Some(id) = id.filter(|id| id::is(Prefix::Record, id)) else { return Ok(None) };
    Ok(work.present_record(drawer, &id).await?.filter(|record| record.deleted_at.is_none()))
}

/// How far an import is after these rows; `None` where it is no longer this node's.
async fn keep(
    work: &mut Work<'_>,
    import: &Import,
    rows: Vec<Row>,
    node: &str,
) -> Result<Option<ImportProgress>> {
    let mut progress = import.progress.clone();
    let mut faults: Vec<RowFault> = serde_json::from_str(&progress.faults).unwrap_or_default();
    for row in rows {
        progress.done += 1;
        match row {
            Row::Created => progress.created += 1,
            Row::Changed => progress.changed += 1,
            Row::Same => {}
            Row::Refused(more) => {
                progress.refused += 1;
                faults.extend(more.into_iter().take(FAULTS_MAX.saturating_sub(faults.len())));
            }
        }
    }
    progress.faults = serde_json::to_string(&faults).map_err(Error::internal)?;
    let now = clock::now();
    let import = Import { progress, ..import.clone() };
    let kept = work.keep_import(&import, node, now.plus(LEASE), now).await?;
    Ok(kept.then_some(import.progress))
}

/// Rows of a file that can be read in; or what is wrong with the whole of it.
fn checked(form: &Form, new: &NewImport) -> Result<i64> {
    let mut wrong = Vec::new();
    let mut rows = 0;
    if new.csv.len() > FILE_MAX {
        let message = "The file is larger than 10 MiB. Read it in by parts.";
        wrong.push(FieldError::new("csv", "too_long", message));
    } else if new.csv.contains('\0') {
        let message =
            "The file holds the character U+0000, which nothing here can hold. Save it as UTF-8 text.";
        wrong.push(FieldError::new("csv", "invalid", message));
    } else {
        match Sheet::read(&new.csv, form) {
            Err(why) => wrong.push(why),
            Ok(mut sheet) => {
                let has = |name: &str| sheet.columns.contains(&Some(name.to_owned()));
                if let Some(by) = &new.match_by {
                    let suits =
                        by == "id" || form.fields.iter().any(|field| field.unique && field.name == *by);
                    if !suits {
                        let message = "Say id or the name of a field that is unique.";
                        wrong.push(FieldError::new("match_by", "invalid", message));
                    } else if !has(by) {
                        let message = format!("The file has no column {by:?}.");
                        wrong.push(FieldError::new("match_by", "unknown", message));
                    }
                }
                rows = std::iter::from_fn(|| sheet.next()).take(ROWS_MAX + 1).count();
                if rows == 0 {
                    wrong.push(FieldError::new(
                        "csv",
                        "required",
                        "The file has no rows below its column names.",
                    ));
                } else if rows > ROWS_MAX {
                    let message = "The file has more than 100,000 rows. Read it in by parts.";
                    wrong.push(FieldError::new("csv", "too_long", message));
                }
            }
        }
    }
    if wrong.is_empty() { Ok(i64::try_from(rows).unwrap_or(i64::MAX)) } else { Err(Error::invalid(wrong)) }
}

/// The records of a form, as a file that is read a piece at a time.
pub struct Export {
    engine: Engine,
    organization: String,
    application: String,
    form_name: String,
    environment: String,
    form: Form,
    /// the record after which it goes on; `None` before the column names
    after: Option<String>,
}

impl Export {
    /// The next piece: the row of column names first, then records in the order in which they were made; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let columns = self.form.columns();
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let Some(after) = self.after.clone() else {
            let names = FACTS.iter().map(ToString::to_string).chain(columns);
            writer.write_record(names).map_err(Error::internal)?;
            self.after = Some(String::new());
            return writer.into_inner().map(Some).map_err(Error::internal);
        };
        let drawer = Drawer {
            organization: &self.organization,
            application: &self.application,
            form: &self.form_name,
            environment: &self.environment,
        };
        let records = self.engine.store().records_upwards(drawer, &after, READ).await?;
        let Some(last) = records.last() else { return Ok(None) };
        self.after = Some(last.id.clone());
        for record in &records {
            let data = data_of(record)?;
            let facts = [
                record.id.clone(),
                record.created_at.to_string(),
                record.updated_at.to_string(),
                guarded(&record.created_by).into_owned(),
            ];
            let cells = columns.iter().map(|column| self.form.cell(column, &data));
            writer.write_record(facts.into_iter().chain(cells)).map_err(Error::internal)?;
        }
        writer.into_inner().map(Some).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        serde_json::from_value(serde_json::json!({"fields": [
            {"name": "title", "label": "Vendor name", "unique": true}, {"name": "count", "type": "number"},
            {"name": "who", "type": "name"},
        ]}))
        .unwrap()
    }

    type Cells = Result<Vec<(String, String)>, String>;

    fn lines(text: &str) -> Vec<(u64, Cells)> {
        let form = form();
        let mut sheet = Sheet::read(text, &form).unwrap();
        std::iter::from_fn(|| sheet.next()).map(|line| (line.number, line.cells)).collect()
    }

    #[test]
    fn files_of_every_habit() {
        let cells = |cells: &[(&str, &str)]| {
            Ok(cells.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>())
        };
        for text in [
            "title,count\nAnn,1\n",
            "\u{feff}Vendor Name;Count\r\n Ann ;1\r\n",
            "TITLE\tcount\tcreated_at\nAnn\t1\tx",
            "title,count,\nAnn,1",
            "\"title\",\"count\"\n\n\"Ann\",\"1\"\n,\n",
        ] {
            let read = lines(text);
            assert_eq!(read.len(), 1, "{text:?}");
            assert_eq!(read[0].1, cells(&[("title", "Ann"), ("count", "1")]), "{text:?}");
        }
        let read = lines("title,who.first\n\"a\nb\",Ann\nx,y,z\nlast\n");
        assert_eq!(read[0], (2, cells(&[("title", "a\nb"), ("who.first", "Ann")])));
        assert_eq!(read[1].0, 4);
        assert_eq!(read[1].1.as_ref().unwrap_err(), "The row has 3 cells, and there are 2 columns.");
        assert_eq!(read[2], (5, cells(&[("title", "last")])));
        let read = lines("title\r\none\r\n\r\n\"two\r\nlines\"\r\nthree\r\n");
        assert_eq!(read.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 6]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let check = |csv: &str, match_by: Option<&str>| {
            let new =
                NewImport { csv: csv.to_owned(), match_by: match_by.map(str::to_owned), workflows: None };
            checked(&form(), &new).map_err(|error| {
                error
                    .fields
                    .into_iter()
                    .map(|wrong| format!("{}: {}", wrong.field, wrong.message))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(check("title\nx\ny", Some("title")), Ok(2));
        assert_eq!(check("id,title\n,x", Some("id")), Ok(1));
        for (csv, by, why) in [
            ("", None, "csv: Begin with a row of column names."),
            ("title\n\n", None, "csv: The file has no rows below its column names."),
            (
                "name\nx",
                None,
                "csv: The form has no column \"name\". It has title, count, who.prefix, who.first, who.last.",
            ),
            ("title,Vendor name\nx,y", None, "csv: The column \"Vendor name\" is there twice."),
            ("title\nx", Some("count"), "match_by: Say id or the name of a field that is unique."),
            ("title\nx", Some("id"), "match_by: The file has no column \"id\"."),
        ] {
            assert_eq!(check(csv, by).unwrap_err(), why, "{csv:?}");
        }
        let many = format!("title\n{}", "x\n".repeat(ROWS_MAX + 1));
        assert!(check(&many, None).unwrap_err().contains("more than 100,000 rows"));
    }
}
