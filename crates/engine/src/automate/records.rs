//! Records: submissions of a form, each in one environment. A record and the runs that it sets off are written in one transaction.

use jackfield_core::form::{Form, Mode};
use jackfield_core::id::{self, Prefix};
use jackfield_core::workflow::{Expression, RecordEvent, RunState};
use jackfield_core::{
    Action, Code, Environment, Error, FieldError, Principal, Resource, Result, Timestamp, permit,
};
use jackfield_store::{Drawer, Record, Run};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::automate::files::{Accepted, Sealed, drop_files, keep_files};
use crate::automate::live::{Live, LiveForm, LiveWorkflow};
use crate::call::ready::environment_of;
use crate::clock::new_id;
use crate::govern::applications::Found;
use crate::govern::organizations::version_conflict;
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op, digest};

/// After every id.
const LAST: &str = "~";
/// Records that a search reads at once, and how often it does so for one page.
const SEARCHED_AT_ONCE: i64 = 500;
const SEARCHED: usize = 20;
/// Under which what a page sends once is kept among the unique values; no field has such a name.
pub(crate) const ONCE: &str = "#once";

/// Where a record is meant.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RecordPlace {
    /// an application key's own, else production, unless told
    pub environment: Option<String>,
}

/// Which records are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RecordQuery {
    /// an application key's own, else production, unless told
    pub environment: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
    /// text that one of its values holds, in capitals or not. A page may then have fewer items than asked for, and be followed by more
    pub q: Option<String>,
}

/// What a record is to hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordInput {
    /// fields of the form by name. In a change what is absent stays, and null empties it
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
    /// of a change: the version that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

/// A record.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordView {
    pub id: String,
    /// link name of the form
    pub form: String,
    pub environment: String,
    /// fields of the form by name
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
    /// id of the member who sent it in; absent: the public, or an application
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// counts the changes
    pub version: i64,
    /// ids of the runs that this change set off
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
}

impl RecordView {
    fn of(record: &Record) -> Result<Self> {
        Ok(Self {
            id: record.id.clone(),
            form: record.form.clone(),
            environment: record.environment.clone(),
            data: data_of(record)?,
            created_by: Some(record.created_by.clone()).filter(|id| !id.is_empty()),
            created_at: record.created_at,
            updated_at: record.updated_at,
            version: record.version,
            runs: Vec::new(),
        })
    }
}

/// What a record holds.
pub(crate) fn data_of(record: &Record) -> Result<Map<String, Value>> {
    serde_json::from_str(&record.data)
        .map_err(|error| Error::internal(format!("the record {} cannot be read: {error}", record.id)))
}

/// A record as expressions see it: its fields, empty ones too, and the facts about it.
pub(crate) fn seen(form: &LiveForm, record: &Record, data: &Map<String, Value>) -> Value {
    let mut all = Map::new();
    for field in &form.form.fields {
        all.insert(field.name.clone(), data.get(&field.name).cloned().unwrap_or(Value::Null));
    }
    all.insert("id".to_owned(), json!(record.id));
    all.insert("created_at".to_owned(), json!(record.created_at));
    all.insert("updated_at".to_owned(), json!(record.updated_at));
    all.insert("created_by".to_owned(), json!(record.created_by));
    all.insert("version".to_owned(), json!(record.version));
    Value::Object(all)
}

/// The text by which a unique value is found, in a bounded length.
pub(crate) fn unique_digest(text: &str) -> String {
    use std::fmt::Write;
    digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A form, found and served.
pub(crate) struct Place {
    pub application: Found,
    pub environment: Environment,
    pub live: std::sync::Arc<Live>,
    pub form: std::sync::Arc<LiveForm>,
}

impl Place {
    pub fn resource<'a>(&'a self, owner: &'a str) -> Resource<'a> {
        self.application.record(owner)
    }

    pub fn drawer<'a>(&'a self, op: &'a Op, form: &'a str) -> Drawer<'a> {
        Drawer {
            organization: &op.organization,
            application: &self.application.application.link_name,
            form,
            environment: self.environment.as_str(),
        }
    }
}

/// What a new record is made of.
pub(crate) struct NewRecord<'a> {
    /// the id that it is to have, where somebody else has numbered it
    pub id: Option<String>,
    /// what it is to hold, as the form has accepted it
    pub data: &'a Map<String, Value>,
    /// the files that were sent for it
    pub files: &'a [Sealed],
    /// id of the member who sent it in, or empty
    pub created_by: &'a str,
    /// what tells a page that is sent twice from two pages
    pub once: Option<&'a str>,
    /// whether it sets off workflows
    pub sets_off: bool,
    pub now: Timestamp,
}

/// What a record is changed to.
pub(crate) struct Changed<'a> {
    /// what it holds, before and after
    pub former: &'a Map<String, Value>,
    pub data: &'a Map<String, Value>,
    /// the files that were sent for it
    pub files: &'a [Sealed],
    /// id of the member who changes it, or empty
    pub actor: &'a str,
    /// whether the change sets off workflows
    pub sets_off: bool,
    pub now: Timestamp,
}

/// What happened to a record, for the runs that it sets off.
pub(crate) struct Happened<'a> {
    pub event: RecordEvent,
    pub record: &'a Record,
    /// as expressions see it, now and before
    pub now: Value,
    pub former: Value,
    /// id of the member who did it, or empty
    pub actor: &'a str,
}

impl Engine {
    /// Where records of a form are, for whoever may see the application.
    pub(crate) async fn place(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        environment: Option<&str>,
    ) -> Result<Place> {
        let found = self.find_application(op, application).await?;
        // Before anything is said about what the application has.
        permit(&op.principal, Action::Read, &found.whole())?;
        let environment = environment_of(&op.principal, environment)?;
        let live = self.live(&op.organization, application, environment).await?;
        let form = self.served_form(&op.organization, application, environment, &live, form).await?;
        Ok(Place { form, application: found, environment, live })
    }

    /// A form as an environment serves it, for those who fill it in; 404 where the environment serves none of that name.
    pub async fn read_served_form(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        environment: Environment,
    ) -> Result<Form> {
        let place = self.place(op, application, form, Some(environment.as_str())).await?;
        Ok(place.form.form.clone())
    }

    /// Who is asking, as the owner of what he makes: a member, or nobody for an application.
    pub(crate) fn owner(op: &Op) -> &str {
        op.principal.member().unwrap_or_default()
    }

    pub async fn create_record(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        query: &RecordPlace,
        input: RecordInput,
    ) -> Result<RecordView> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        let permit = permit(&op.principal, Action::Use, &place.resource(Self::owner(op)))?;
        // Before the transaction: the choices of a form may stand in rows, which are read.
        let accepted = self.accepted(&op.organization, &place.form.form, input.data, Mode::New, op.now)?;
        let mut work = self.begin(permit).await?;
        let drawer = place.drawer(op, form);
        let new = NewRecord {
            id: None,
            data: &accepted.data,
            files: &accepted.files,
            created_by: Self::owner(op),
            once: None,
            sets_off: true,
            now: op.now,
        };
        let view = self.write_new(&mut work, &place.live, drawer, new).await?;
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        self.inner.runner.wake();
        Ok(view)
    }

    /// Writes a new record and the runs that it sets off.
    pub(crate) async fn write_new(
        &self,
        work: &mut Work<'_>,
        live: &Live,
        drawer: Drawer<'_>,
        new: NewRecord<'_>,
    ) -> Result<RecordView> {
        let (form, data) = (live.form(drawer.form)?, new.data);
        let record = Record {
            organization_id: drawer.organization.to_owned(),
            application: drawer.application.to_owned(),
            form: drawer.form.to_owned(),
            environment: drawer.environment.to_owned(),
            id: new.id.unwrap_or_else(|| new_id(Prefix::Record, new.now)),
            data: serde_json::to_string(data).map_err(Error::internal)?,
            created_by: new.created_by.to_owned(),
            created_at: new.now,
            updated_at: new.now,
            version: 1,
            deleted_at: None,
        };
        work.insert_record(&record).await?;
        keep_files(work, &record, new.files, new.now).await?;
        if let Some(once) = new.once {
            // Under a name that no field has.
            work.put_record_value(drawer, ONCE, &unique_digest(once), &record.id).await.map_err(|error| {
                if error.is_unique("record_values_pkey") {
                    Error::new(Code::RequestInProgress, "This was sent already.")
                } else {
                    error.into()
                }
            })?;
        }
        keep_unique(work, &form, &record, data).await?;
        let mut view = RecordView::of(&record)?;
        if new.sets_off {
            let happened = Happened {
                event: RecordEvent::Created,
                record: &record,
                now: seen(&form, &record, data),
                former: Value::Null,
                actor: &record.created_by,
            };
            view.runs = self.set_off(work, live, &happened, new.now).await?;
        }
        Ok(view)
    }

    /// Writes a change of a record and the runs that it sets off: their ids, or `None` where somebody else was quicker.
    pub(crate) async fn write_change(
        &self,
        work: &mut Work<'_>,
        live: &Live,
        record: &mut Record,
        changed: Changed<'_>,
    ) -> Result<Option<Vec<String>>> {
        let form = live.form(&record.form)?;
        let former = seen(&form, record, changed.former);
        record.data = serde_json::to_string(changed.data).map_err(Error::internal)?;
        record.updated_at = changed.now;
        if !work.update_record(record).await? {
            return Ok(None);
        }
        record.version += 1;
        work.free_record_values(&record.organization_id, &record.id).await?;
        keep_unique(work, &form, record, changed.data).await?;
        drop_files(work, record, changed.former, changed.data).await?;
        keep_files(work, record, changed.files, changed.now).await?;
        if !changed.sets_off {
            return Ok(Some(Vec::new()));
        }
        let happened = Happened {
            event: RecordEvent::Edited,
            record,
            now: seen(&form, record, changed.data),
            former,
            actor: changed.actor,
        };
        self.set_off(work, live, &happened, changed.now).await.map(Some)
    }

    pub async fn list_records(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        query: &RecordQuery,
    ) -> Result<Page<RecordView>> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        see_all(op, &place)?;
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        let mut before = if after.is_empty() { LAST.to_owned() } else { after };
        let Some(wanted) = query.q.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            let rows = self.store().records(place.drawer(op, form), &before, limit.rows()).await?;
            let page = limit.page(rows, |row| row.id.clone(), |row| RecordView::of(&row));
            return Ok(Page {
                items: page.items.into_iter().collect::<Result<_>>()?,
                next_cursor: page.next_cursor,
            });
        };
        let wanted = wanted.to_lowercase();
        let mut found = Vec::new();
        for _ in 0..SEARCHED {
            let rows = self.store().records(place.drawer(op, form), &before, SEARCHED_AT_ONCE).await?;
            let Some(last) = rows.last() else {
                return Ok(limit.page(found, |row: &RecordView| row.id.clone(), |row| row));
            };
            before.clone_from(&last.id);
            for row in &rows {
                let view = RecordView::of(row)?;
                if view.data.values().any(|value| holds(value, &wanted)) {
                    found.push(view);
                }
            }
            if i64::try_from(found.len()).unwrap_or(i64::MAX) >= limit.rows() {
                return Ok(limit.page(found, |row| row.id.clone(), |row| row));
            }
            if i64::try_from(rows.len()).unwrap_or(0) < SEARCHED_AT_ONCE {
                return Ok(limit.page(found, |row| row.id.clone(), |row| row));
            }
        }
        Ok(limit.unfinished(found, &before))
    }

    /// A record that is there, and that the caller may do this with.
    pub(crate) async fn held_record(
        &self,
        op: &Op,
        place: &Place,
        form: &str,
        id: &str,
        action: Action,
    ) -> Result<(Record, jackfield_core::Permit)> {
        let missing = || Error::not_found(format_args!("record {id:?}"));
        if !id::is(Prefix::Record, id) {
            return Err(missing());
        }
        let found = self.store().record(place.drawer(op, form), id).await?;
        let record = found.filter(|record| record.deleted_at.is_none()).ok_or_else(missing)?;
        let permit = permit(&op.principal, action, &place.resource(&record.created_by))?;
        Ok((record, permit))
    }

    pub async fn read_record(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        id: &str,
        query: &RecordPlace,
    ) -> Result<RecordView> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        let (record, _) = self.held_record(op, &place, form, id, Action::See).await?;
        RecordView::of(&record)
    }

    /// Changes what is given. A change that changes nothing sets nothing off.
    pub async fn update_record(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        id: &str,
        query: &RecordPlace,
        input: RecordInput,
    ) -> Result<RecordView> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        let (mut record, permit) = self.held_record(op, &place, form, id, Action::Use).await?;
        if input.version.is_some_and(|read| read != record.version) {
            return Err(version_conflict().with_extension("current", json!(RecordView::of(&record)?)));
        }
        let former = data_of(&record)?;
        let mode = Mode::Edit { former: &former };
        let Accepted { data, files } =
            self.accepted(&op.organization, &place.form.form, input.data, mode, op.now)?;
        if data == former {
            return RecordView::of(&record);
        }
        let changed = Changed {
            former: &former,
            data: &data,
            files: &files,
            actor: Self::owner(op),
            sets_off: true,
            now: op.now,
        };
        let mut work = self.begin(permit).await?;
        let runs = self.write_change(&mut work, &place.live, &mut record, changed).await?;
        let runs = runs.ok_or_else(version_conflict)?;
        work.commit().await?;
        self.inner.runner.wake();
        Ok(RecordView { runs, ..RecordView::of(&record)? })
    }

    pub async fn delete_record(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        id: &str,
        query: &RecordPlace,
    ) -> Result<()> {
        let place = self.place(op, application, form, query.environment.as_deref()).await?;
        let (record, permit) = self.held_record(op, &place, form, id, Action::Use).await?;
        let data = data_of(&record)?;
        let mut work = self.begin(permit).await?;
        if !work.delete_record(&record, op.now).await? {
            return Err(version_conflict());
        }
        let now = seen(&place.form, &record, &data);
        let happened = Happened {
            event: RecordEvent::Deleted,
            record: &record,
            former: now.clone(),
            now,
            actor: Self::owner(op),
        };
        self.set_off(&mut work, &place.live, &happened, op.now).await?;
        work.commit().await?;
        self.inner.runner.wake();
        Ok(())
    }

    /// Makes the runs that an event sets off, in the transaction of the event; their ids.
    pub(crate) async fn set_off(
        &self,
        work: &mut Work<'_>,
        live: &Live,
        happened: &Happened<'_>,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let record = happened.record;
        let data = json!({"record": happened.now, "former": happened.former});
        let mut made: Vec<String> = Vec::new();
        for workflow in live.workflows_of(&record.form) {
            if !workflow.workflow.on.fires_on(happened.event) {
                continue;
            }
            if let Some(condition) = &workflow.workflow.condition {
                let facts = json!({"record": happened.now, "former": happened.former, "event": happened.event,
                    "environment": record.environment, "application": record.application, "form": record.form});
                // One that cannot be computed is not passed over: its run says so.
                if Expression::parse(condition).and_then(|parsed| parsed.holds(&facts)) == Ok(false) {
                    continue;
                }
            }
            let id = new_id(Prefix::Run, now);
            let behind = match happened.event {
                RecordEvent::Created => None,
                _ => work.run_before(&record.organization_id, &record.id, &workflow.link_name).await?,
            };
            let queue =
                [&record.organization_id, &record.application, &record.environment, &workflow.link_name];
            let run = Run {
                organization_id: record.organization_id.clone(),
                id: id.clone(),
                queue: queue.map(String::as_str).join(" "),
                application: record.application.clone(),
                environment: record.environment.clone(),
                component: format!("workflow:{}", workflow.link_name),
                workflow: workflow.link_name.clone(),
                workflow_version: workflow.version,
                form: record.form.clone(),
                record: record.id.clone(),
                event: happened.event,
                record_version: record.version,
                data: data.to_string(),
                actor: happened.actor.to_owned(),
                state: RunState::Queued,
                results: "{}".to_owned(),
                attempts: 0,
                doubt: false,
                tried_since: None,
                due_at: now,
                behind,
                after: made.last().cloned(),
                paused_on: None,
                code: None,
                reason: None,
                created_at: now,
                updated_at: now,
                ended_at: None,
            };
            work.insert_run(&run).await?;
            if asks_for_money(workflow, &data, record, happened.event) {
                self.make_page(work, &record.organization_id, &id, now).await?;
            }
            made.push(id);
        }
        Ok(made)
    }
}

/// Who sees all records of a form; whoever may see his own only is told so.
pub(crate) fn see_all(op: &Op, place: &Place) -> Result<jackfield_core::Permit> {
    permit(&op.principal, Action::See, &place.resource("")).map_err(|error| match error.code {
        Code::NotFound => Error::new(
            Code::Forbidden,
            "Only the super admin, admins and developers list records. You can read your own by their ids.",
        ),
        _ => error,
    })
}

/// Whether a value, or one within it, holds a text, which is in small letters.
fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text.to_lowercase().contains(wanted),
        Value::Number(number) => number.to_string().contains(wanted),
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        Value::Object(members) => members.values().any(|member| holds(member, wanted)),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Whether a run of the workflow may ask for a payment. A condition that needs what actions before make may hold.
fn asks_for_money(workflow: &LiveWorkflow, data: &Value, record: &Record, event: RecordEvent) -> bool {
    workflow.workflow.actions.iter().any(|action| {
        let facts = json!({"record": data["record"], "former": data["former"], "event": event,
            "environment": record.environment, "application": record.application, "form": record.form});
        let holds = |condition: &String| Expression::parse(condition).and_then(|parsed| parsed.holds(&facts));
        action.payment.is_some()
            && action.condition.as_ref().is_none_or(|condition| holds(condition) != Ok(false))
    })
}

/// Says what is unique in a record; 422 where another has it.
pub(crate) async fn keep_unique(
    work: &mut Work<'_>,
    form: &LiveForm,
    record: &Record,
    data: &Map<String, Value>,
) -> Result<()> {
    for (field, text) in form.form.unique_values(data) {
        let put = work.put_record_value(record.drawer(), field, &unique_digest(&text), &record.id).await;
        put.map_err(|error| {
            if error.is_unique("record_values_pkey") {
                Error::field(format!("data.{field}"), "taken", "Another record has this value.")
            } else {
                error.into()
            }
        })?;
    }
    Ok(())
}

/// A value of a field that is to be unique, which two records have.
pub(crate) struct Shared {
    /// place of the field in the form
    pub index: usize,
    field: String,
    value: String,
}

impl Shared {
    pub fn message(&self, environment: Environment) -> String {
        let value: String = self.value.chars().take(100).collect();
        format!(
            "Two records in {environment} have the same value in {:?}: {value:?}. Change one of them first.",
            self.field
        )
    }
}

/// Makes unique in the records that are there what is so in a form from now on; a value that two of them have stands against it.
pub(crate) async fn hold_unique(
    work: &mut Work<'_>,
    drawer: Drawer<'_>,
    former: Option<&Form>,
    form: &Form,
) -> Result<Option<Shared>> {
    for (index, field) in form.fields.iter().enumerate().filter(|(_, field)| field.unique) {
        let was = former.and_then(|former| former.fields.iter().find(|one| one.name == field.name));
        // Of another type other values are the same.
        if was.is_some_and(|was| was.unique && was.kind == field.kind) {
            continue;
        }
        work.free_field_values(drawer, &field.name).await?;
        let mut after = String::new();
        loop {
            let records = work.present_records_upwards(drawer, &after, SEARCHED_AT_ONCE).await?;
            let Some(last) = records.last() else { break };
            after.clone_from(&last.id);
            for record in &records {
                let data = data_of(record)?;
                let Some((_, text)) =
                    form.unique_values(&data).into_iter().find(|(name, _)| *name == field.name)
                else {
                    continue;
                };
                let digest = unique_digest(&text);
                if work.present_record_with(drawer, &field.name, &digest).await?.is_some() {
                    return Ok(Some(Shared { index, field: field.name.clone(), value: text }));
                }
                work.put_record_value(drawer, &field.name, &digest, &record.id).await?;
            }
        }
    }
    Ok(None)
}

/// Faults of a record stand under `data`.
pub(crate) fn faults(wrong: Vec<FieldError>) -> Error {
    let below = |error: FieldError| {
        let field = if error.field.is_empty() { "data".to_owned() } else { format!("data.{}", error.field) };
        FieldError { field, ..error }
    };
    Error::invalid(wrong.into_iter().map(below).collect())
}

/// The principal under which the workflows of an application act.
pub(crate) fn acting(id: &str, link_name: &str, environment: Environment) -> Principal {
    Principal::Application {
        id: id.to_owned(),
        link_name: link_name.to_owned(),
        environment,
        key: String::new(),
        scopes: jackfield_core::KeyScopes::APPLICATION,
    }
}
