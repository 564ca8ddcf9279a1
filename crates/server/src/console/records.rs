//! Records: what people sent in by a form of an application, in one environment.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::form::{FieldType, Form as Document, FormField};
use jackfield_core::workflow::RunState;
use jackfield_core::{Code, Environment, Result, Timestamp};
use jackfield_engine::automate::payers::{PaymentQuery, PaymentView};
use jackfield_engine::automate::records::{RecordInput, RecordPlace, RecordQuery, RecordView};
use jackfield_engine::automate::runs::{RunQuery, RunView};
use jackfield_engine::{Engine, Page};

use super::applications::{Head, next, path};
use super::common::{People, mends, was_overtaken};
use super::desk::{Desk, Frame, Sent, SentRecord};
use super::form::{Fields, Form};
use super::parts;
use super::runs::{Called, Runnable, brief};
use super::sheet::{self, Sheet, data_of, defaults_of, fields_of, shown, with_present_files};
use crate::input::attachment;

/// Fields that a list shows of each record.
const COLUMNS: usize = 4;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/forms/{form}/records", get(list))
        .route("/console/applications/{link}/forms/{form}/records/new-record", get(ask_new).post(create))
        .route("/console/applications/{link}/forms/{form}/records/{id}", get(show))
        .route("/console/applications/{link}/forms/{form}/records/{id}/edit", get(edit).post(update))
        .route("/console/applications/{link}/forms/{form}/records/{id}/delete", get(ask_delete).post(delete))
        .route("/console/applications/{link}/forms/{form}/records/{id}/files/{field}", get(download))
}

/// Where the records are: that of a form that was filled in, else of the address, else that of the bar. So a form that stood open while the
/// bar was turned to another environment writes where it said.
fn environment(desk: &Desk, sent: &Fields) -> Environment {
    let said = Environment::parse(sent.get("environment"));
    said.or_else(|| Environment::parse(desk.query.get("environment"))).unwrap_or(desk.frame.environment)
}

/// What stands above each page of records.
pub(super) struct Place {
    pub head: Head,
    /// link name of the form
    link: String,
    /// its name
    pub name: String,
    pub environment: Environment,
    /// as this environment serves it; nothing where it does not
    form: Option<Document>,
}

impl Place {
    pub async fn read(engine: &Engine, desk: &Desk, link: &str, form: &str, sent: &Fields) -> Result<Self> {
        let head = Head::read(engine, desk, link, "forms").await?;
        let environment = environment(desk, sent);
        let built = engine.read_built::<Document>(&desk.op, link, form).await;
        let served = match engine.read_served_form(&desk.op, link, form, environment).await {
            Ok(served) => Some(served),
            // It is there, but not here; one that is nowhere is no page.
            Err(error) if error.code == Code::NotFound && built.is_ok() => None,
            Err(error) => return Err(error),
        };
        let name = built.map_or_else(|_| form.to_owned(), |built| built.name);
        Ok(Self { head, link: form.to_owned(), name, environment, form: served })
    }

    pub fn served(&self) -> Result<&Document> {
        self.form.as_ref().ok_or_else(|| {
            jackfield_core::Error::not_found(format_args!("form {:?} in {}", self.link, self.environment))
        })
    }

    fn records(&self) -> String {
        self.head.path(&format!("forms/{}/records", self.link))
    }

    /// The same place at another time: with the environment, which the bar may be turned away from.
    pub fn records_here(&self) -> String {
        format!("{}?environment={}", self.records(), self.environment)
    }

    pub fn import(&self, id: &str) -> String {
        self.head.path(&format!("forms/{}/imports/{id}", self.link))
    }

    fn record(&self, id: &str) -> String {
        format!("{}/{id}", self.records())
    }

    pub fn where_word(&self) -> String {
        parts::environment_word(&self.environment).to_lowercase()
    }

    pub fn query(&self) -> RecordPlace {
        RecordPlace { environment: Some(self.environment.as_str().to_owned()) }
    }
}

/// Who sent it in, by name.
fn sender(people: &People, record: &RecordView) -> String {
    let member = record.created_by.as_deref().map(|id| people.name(id).to_owned());
    member.unwrap_or_else(|| "An application or the public".to_owned())
}

struct Row {
    id: String,
    /// what its first field says, or its id
    title: String,
    cells: Vec<String>,
    created_at: Timestamp,
    by: String,
}

#[derive(Template)]
#[template(path = "console/records.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    place: Place,
    /// titles of the fields that are shown, but the first
    columns: Vec<String>,
    /// title of the first
    first: String,
    rows: Vec<Row>,
    next: Option<String>,
    /// what is searched for
    form: Form,
}

async fn list(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = find(&engine, &desk, &link, &form).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: &str) -> Result<List<'a>> {
    let place = Place::read(engine, desk, link, form, &Fields::default()).await?;
    let mut list = List {
        frame: &desk.frame,
        now: desk.op.now,
        columns: Vec::new(),
        first: "Record".to_owned(),
        rows: Vec::new(),
        next: None,
        form: Form::new(desk.query.clone()),
        place,
    };
    let Some(document) = &list.place.form else { return Ok(list) };
    let environment = list.place.query().environment;
    let query = RecordQuery {
        environment,
        cursor: desk.query.given("cursor"),
        limit: None,
        q: Some(list.form.value("q").to_owned()),
    };
    let page: Page<RecordView> = engine.list_records(&desk.op, link, form, &query).await?;
    let people = People::of(engine, desk).await?;
    list.next = next(desk, &list.place.records(), &page);
    let shown_of = |record: &RecordView| {
        let fields = document.fields.iter().take(COLUMNS);
        fields.map(|field| brief(&shown(field, record.data.get(&field.name)))).collect::<Vec<_>>()
    };
    let row = |record: RecordView| {
        let mut cells = shown_of(&record).into_iter();
        let title = cells.next().filter(|title| !title.trim().is_empty());
        Row {
            title: title.unwrap_or_else(|| record.id.clone()),
            cells: cells.collect(),
            by: sender(&people, &record),
            created_at: record.created_at,
            id: record.id,
        }
    };
    list.rows = page.items.into_iter().map(row).collect();
    let mut titles = document.fields.iter().take(COLUMNS).map(|field| field.title().to_owned());
    list.first = titles.next().unwrap_or_default();
    list.columns = titles.collect();
    Ok(list)
}

/// What a field says.
struct Said {
    title: String,
    value: String,
    /// of a file: where it can be had
    file: Option<String>,
}

#[derive(Template)]
#[template(path = "console/record.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    place: Place,
    head: Head,
    record: RecordView,
    title: String,
    by: String,
    values: Vec<Said>,
    /// nothing for those who may not see runs
    runs: Option<Vec<RunView>>,
    runnable: Runnable,
    payments: Vec<PaymentView>,
    forms: Called,
}

async fn show(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    desk: Desk,
) -> Response {
    let page = read(&engine, &desk, &link, &form, &id).await;
    desk.show(page)
}

async fn read<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: &str, id: &str) -> Result<Show<'a>> {
    let place = Place::read(engine, desk, link, form, &Fields::default()).await?;
    let record = engine.read_record(&desk.op, link, form, id, &place.query()).await?;
    let query = RunQuery {
        environment: Some(place.environment.as_str().to_owned()),
        record: Some(record.id.clone()),
        ..RunQuery::default()
    };
    let runs = match engine.list_runs(&desk.op, link, &query).await {
        Ok(page) => Some(page.items),
        Err(error) if matches!(error.code, Code::Forbidden | Code::NotFound) => None,
        Err(error) => return Err(error),
    };
    // Whoever sees no runs sees no payments.
    let payments = if runs.is_some() {
        let query = PaymentQuery {
            environment: Some(place.environment.as_str().to_owned()),
            record: Some(record.id.clone()),
            ..PaymentQuery::default()
        };
        engine.list_payments(&desk.op, link, &query).await?.items
    } else {
        Vec::new()
    };
    let people = People::of(engine, desk).await?;
    let fields = place.served()?.fields.iter();
    let said = |field: &FormField| {
        let value = record.data.get(&field.name);
        let to =
            || format!("{}/files/{}?environment={}", place.record(&record.id), field.name, place.environment);
        Said {
            title: field.title().to_owned(),
            value: shown(field, value),
            file: (field.kind == FieldType::File && value.is_some()).then(to),
        }
    };
    let values: Vec<Said> = fields.map(said).collect();
    let title = values.first().map(|said| brief(&said.value)).filter(|title| !title.trim().is_empty());
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        head: Head::read(engine, desk, link, "forms").await?,
        title: title.unwrap_or_else(|| format!("A record of {}", place.name)),
        by: sender(&people, &record),
        values,
        runs,
        runnable: Runnable::of(engine, &desk.op, link).await?,
        payments,
        forms: Called::of::<Document>(engine, &desk.op, link).await?,
        record,
        place,
    })
}

/// A file of a record. Nothing is made of it here but what the browser keeps.
async fn download(
    State(engine): State<Engine>,
    Path((link, form, id, field)): Path<(String, String, String, String)>,
    desk: Desk,
) -> Response {
    let environment = environment(&desk, &Fields::default());
    let query = RecordPlace { environment: Some(environment.as_str().to_owned()) };
    match engine.read_record_file(&desk.op, &link, &form, &id, &field, &query).await {
        Ok(file) => attachment(file),
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/record_form.html")]
struct Fill<'a> {
    frame: &'a Frame,
    place: Place,
    /// of a record that is changed: its id and version
    record: Option<(String, i64)>,
    sheet: Sheet,
    form: Form,
    description: Option<String>,
    submit: String,
    overtaken: bool,
}

impl Fill<'_> {
    fn others(&self) -> Vec<String> {
        self.form.other_errors(&self.sheet.paths())
    }

    fn back(&self) -> String {
        match &self.record {
            Some((id, _)) => format!("{}?environment={}", self.place.record(id), self.place.environment),
            None => self.place.records_here(),
        }
    }
}

fn fill<'a>(
    desk: &'a Desk,
    place: Place,
    record: Option<&RecordView>,
    form: Option<Form>,
) -> Result<Fill<'a>> {
    let document = place.served()?;
    let form = form.unwrap_or_else(|| {
        Form::new(record.map_or_else(|| defaults_of(document), |record| fields_of(document, &record.data)))
    });
    let submit = match record {
        Some(_) => "Save".to_owned(),
        None => document.submit_label.clone().unwrap_or_else(|| "Send in".to_owned()),
    };
    Ok(Fill {
        frame: &desk.frame,
        sheet: record.map_or_else(|| Sheet::of(document), |record| Sheet::of_record(document, &record.data)),
        description: document.description.clone(),
        record: record.map(|record| (record.id.clone(), record.version)),
        submit,
        overtaken: false,
        form,
        place,
    })
}

async fn ask_new(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let place = Place::read(&engine, &desk, &link, &form, &Fields::default()).await;
    desk.show(place.and_then(|place| fill(&desk, place, None, None)))
}

async fn create(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    SentRecord(Sent { desk, form: fields }): SentRecord,
) -> Response {
    let made = async {
        let place = Place::read(&engine, &desk, &link, &form, &fields).await?;
        let input = RecordInput { data: data_of(place.served()?, &fields), version: None };
        engine.create_record(&desk.op, &link, &form, &place.query(), input).await
    };
    match made.await {
        Ok(record) => {
            let news = match record.runs.len() {
                0 => "It is sent in. No workflow runs on it.".to_owned(),
                many => {
                    format!("It is sent in. {} on it.", parts::count(many, "workflow runs", "workflows run"))
                }
            };
            let to = format!("forms/{form}/records/{}?environment={}", record.id, record.environment);
            desk.done(&path(&link, &to), &news)
        }
        Err(error) if mends(&error) => {
            let page = Place::read(&engine, &desk, &link, &form, &fields).await;
            let page = page.and_then(|place| {
                let form = sheet::refused(place.served()?, fields, &error);
                fill(&desk, place, None, Some(form))
            });
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn edit(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    desk: Desk,
) -> Response {
    let page = find_edit(&engine, &desk, &link, &form, &id, None).await;
    desk.show(page)
}

async fn find_edit<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    form: &str,
    id: &str,
    filled: Option<(Fields, &jackfield_core::Error)>,
) -> Result<Fill<'a>> {
    let none = Fields::default();
    let sent = filled.as_ref().map_or(&none, |(fields, _)| fields);
    let place = Place::read(engine, desk, link, form, sent).await?;
    let record = engine.read_record(&desk.op, link, form, id, &place.query()).await?;
    let overtaken = filled.as_ref().is_some_and(|(_, error)| was_overtaken(error));
    let document = place.served()?;
    let filled = filled.map(|(fields, error)| {
        sheet::refused(document, with_present_files(document, &record.data, fields), error)
    });
    Ok(Fill { overtaken, ..fill(desk, place, Some(&record), filled)? })
}

async fn update(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    SentRecord(Sent { desk, form: fields }): SentRecord,
) -> Response {
    let saved = async {
        let place = Place::read(&engine, &desk, &link, &form, &fields).await?;
        let input = RecordInput {
            data: data_of(place.served()?, &fields),
            version: fields.get("version").parse().ok(),
        };
        engine.update_record(&desk.op, &link, &form, &id, &place.query(), input).await
    };
    match saved.await {
        Ok(record) => {
            let to = format!("forms/{form}/records/{id}?environment={}", record.environment);
            desk.done(&path(&link, &to), "Saved.")
        }
        Err(error) if mends(&error) => {
            let page = find_edit(&engine, &desk, &link, &form, &id, Some((fields, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/record_delete.html")]
struct Delete<'a> {
    frame: &'a Frame,
    place: Place,
    record: RecordView,
    title: String,
}

async fn ask_delete(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    desk: Desk,
) -> Response {
    let page = async {
        let place = Place::read(&engine, &desk, &link, &form, &Fields::default()).await?;
        let record = engine.read_record(&desk.op, &link, &form, &id, &place.query()).await?;
        let first = place.served()?.fields.first();
        let title = first.map(|field| brief(&shown(field, record.data.get(&field.name))));
        let title = title.filter(|title| !title.trim().is_empty()).unwrap_or_else(|| id.clone());
        Ok(Delete { frame: &desk.frame, place, record, title })
    };
    desk.show(page.await)
}

async fn delete(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form: fields } = sent;
    let here = environment(&desk, &fields);
    let query = RecordPlace { environment: Some(here.as_str().to_owned()) };
    let deleted = engine.delete_record(&desk.op, &link, &form, &id, &query).await;
    let back = if desk.frame.sees_all() {
        format!("forms/{form}/records?environment={here}")
    } else {
        "forms".to_owned()
    };
    desk.then(deleted, &path(&link, &back), "The record is deleted.")
}
