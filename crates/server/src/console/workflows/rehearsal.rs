//! What a workflow would do for a record, seen before anything is done: for one that is there in development, or for values that are typed.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jackfield_core::form::Form as Document;
use jackfield_core::workflow::Workflow;
use jackfield_core::{Environment, Result};
use jackfield_engine::Engine;
use jackfield_engine::automate::components::BuiltView;
use jackfield_engine::automate::records::RecordQuery;
use jackfield_engine::automate::rehearse::{Rehearsal, Subject, Would};

use crate::console::applications::Head;
use crate::console::built::forbidden;
use crate::console::common::mends;
use crate::console::desk::{Desk, Frame, Sent};
use crate::console::form::{Field, Fields, Form};
use crate::console::parts::Status;
use crate::console::runs::{brief, pretty};
use crate::console::sheet::{Sheet, data_of, defaults_of, shown};

/// What one action would do, as a page says it.
struct Line {
    action: String,
    status: Status,
    word: &'static str,
    /// what would be sent, or why it could not be
    said: String,
    is_sent: bool,
}

#[derive(Template)]
#[template(path = "console/workflow_try.html")]
struct Try<'a> {
    frame: &'a Frame,
    head: Head,
    link: String,
    name: String,
    /// id and title of the latest records
    records: Vec<(String, String)>,
    sheet: Sheet,
    form: Form,
    chosen: Form,
    /// whether its condition holds, and what each action would do
    outcome: Option<(bool, Vec<Line>)>,
}

impl Try<'_> {
    fn path(&self) -> String {
        self.head.path(&format!("workflows/{}", self.link))
    }

    fn others(&self) -> Vec<String> {
        self.form.other_errors(&self.sheet.paths())
    }

    fn choice(&self) -> Field<'_> {
        let choices: Vec<(&str, &str)> =
            self.records.iter().map(|(id, title)| (id.as_str(), title.as_str())).collect();
        self.chosen.select("record", "A record of development", &choices)
    }
}

fn lines(rehearsal: Rehearsal) -> (bool, Vec<Line>) {
    let line = |(action, would): (String, Would)| match would {
        Would::Skip => Line {
            action,
            status: Status::NotConnected,
            word: "Left out",
            said: "Its condition does not hold.".to_owned(),
            is_sent: false,
        },
        Would::Send(value) => Line {
            action,
            status: Status::Connected,
            word: "Would be done",
            said: pretty(Some(&value)).unwrap_or_default(),
            is_sent: true,
        },
        Would::Fail(why) => {
            Line { action, status: Status::Failed, word: "Would fail", said: why, is_sent: false }
        }
    };
    (rehearsal.runs, rehearsal.actions.into_iter().map(line).collect())
}

async fn page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    workflow: &str,
    filled: Option<Form>,
    rehearsal: Option<Rehearsal>,
) -> Result<Try<'a>> {
    let head = Head::read(engine, desk, link, "workflows").await?;
    if !desk.frame.sees_all() {
        return Err(forbidden());
    }
    let built: BuiltView<Workflow> = engine.read_built(&desk.op, link, workflow).await?;
    let form = &built.definition.form;
    let document: Document = engine.read_served_form(&desk.op, link, form, Environment::Development).await?;
    let query = RecordQuery { environment: Some("development".to_owned()), ..RecordQuery::default() };
    let records = engine.list_records(&desk.op, link, form, &query).await?.items;
    let first = document.fields.first();
    let title = |data: &serde_json::Map<String, serde_json::Value>| {
        first
            .map(|field| brief(&shown(field, data.get(&field.name))))
            .filter(|title| !title.trim().is_empty())
    };
    let records = records.into_iter().map(|record| {
        let title = title(&record.data).unwrap_or_else(|| record.id.clone());
        (record.id, title)
    });
    Ok(Try {
        frame: &desk.frame,
        records: records.collect(),
        sheet: Sheet::of(&document),
        form: filled.unwrap_or_else(|| Form::new(defaults_of(&document))),
        chosen: Form::new(Fields::default().with("record", desk.query.get("record"))),
        outcome: rehearsal.map(lines),
        link: built.link_name,
        name: built.name,
        head,
    })
}

async fn rehearse(
    engine: &Engine,
    desk: &Desk,
    link: &str,
    workflow: &str,
    subject: Subject<'_>,
) -> Result<Rehearsal> {
    let built: BuiltView<Workflow> = engine.read_built(&desk.op, link, workflow).await?;
    engine.rehearse(&desk.op, link, &built.definition, Environment::Development, subject).await
}

pub(super) async fn ask(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = async {
        let rehearsal = match desk.query.given("record") {
            Some(id) => Some(rehearse(&engine, &desk, &link, &workflow, Subject::Record(&id)).await?),
            None => None,
        };
        page(&engine, &desk, &link, &workflow, None, rehearsal).await
    };
    desk.show(page.await)
}

pub(super) async fn sample(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let tried = async {
        let built: BuiltView<Workflow> = engine.read_built(&desk.op, &link, &workflow).await?;
        let document = engine
            .read_served_form(&desk.op, &link, &built.definition.form, Environment::Development)
            .await?;
        let input = data_of(&document, &form);
        rehearse(&engine, &desk, &link, &workflow, Subject::Sample(&input)).await
    };
    match tried.await {
        Ok(rehearsal) => {
            let page = page(&engine, &desk, &link, &workflow, Some(Form::new(form)), Some(rehearsal)).await;
            desk.show(page)
        }
        Err(error) if mends(&error) => {
            let page = page(&engine, &desk, &link, &workflow, Some(Form::refused(form, &error)), None).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}
