//! Files of records: read in, with how far that is, and read out.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::{Result, Timestamp};
use jackfield_engine::Engine;
use jackfield_engine::automate::imports::{ImportView, NewImport};

use super::common::{People, mends};
use super::desk::{Desk, Frame, Sent, SentFile};
use super::form::{Fields, Form};
use super::parts;
use super::records::Place;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/forms/{form}/import", get(ask).post(begin))
        .route("/console/applications/{link}/forms/{form}/imports/{id}", get(show))
        .route("/console/applications/{link}/forms/{form}/imports/{id}/cancel", post(cancel))
        .route("/console/applications/{link}/forms/{form}/records.csv", get(export))
}

#[derive(Template)]
#[template(path = "console/import.html")]
struct Ask<'a> {
    frame: &'a Frame,
    place: Place,
    form: Form,
    /// columns that the file may have
    columns: String,
    /// by what rows may find the record that they change: value and words
    matches: Vec<(String, String)>,
}

impl Ask<'_> {
    fn choices(&self) -> Vec<(&str, &str)> {
        self.matches.iter().map(|(value, words)| (value.as_str(), words.as_str())).collect()
    }
}

async fn asked<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    form: &str,
    sent: Option<(Fields, &jackfield_core::Error)>,
) -> Result<Ask<'a>> {
    let none = Fields::default();
    let fields = sent.as_ref().map_or(&none, |(fields, _)| fields);
    let place = Place::read(engine, desk, link, form, fields).await?;
    let document = place.served()?;
    let unique = document.fields.iter().filter(|field| field.unique);
    let mut matches = vec![(String::new(), "Every row is a new record".to_owned())];
    matches.push(("id".to_owned(), "Rows with an id change that record".to_owned()));
    matches.extend(unique.map(|field| {
        (field.name.clone(), format!("Rows with the same {} as a record change it", field.title()))
    }));
    Ok(Ask {
        frame: &desk.frame,
        columns: document.columns().join(", "),
        matches,
        form: match sent {
            Some((fields, error)) => Form::refused(fields, error),
            None => Form::new(Fields::default()),
        },
        place,
    })
}

async fn ask(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    desk.show(asked(&engine, &desk, &link, &form, None).await)
}

async fn begin(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    SentFile(Sent { desk, form: fields }): SentFile,
) -> Response {
    let begun = async {
        let place = Place::read(&engine, &desk, &link, &form, &fields).await?;
        let new = NewImport {
            csv: fields.get("csv").to_owned(),
            match_by: fields.given("match_by"),
            workflows: Some(fields.get("workflows") != "no"),
        };
        let import = engine.import_records(&desk.op, &link, &form, &place.query(), new).await?;
        Ok(format!("{}?environment={}", place.import(&import.id), place.environment))
    };
    match begun.await {
        Ok(to) => desk.done(&to, "The file is being read in."),
        Err(error) if mends(&error) => {
            let page = asked(&engine, &desk, &link, &form, Some((fields, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/import_show.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    place: Place,
    import: ImportView,
    by: String,
}

impl Show<'_> {
    fn runs(&self) -> bool {
        self.import.state == "running"
    }

    /// What is the case, in a heading.
    fn title(&self) -> String {
        let rows = parts::count(usize::try_from(self.import.rows).unwrap_or(0), "row", "rows");
        match self.import.state.as_str() {
            "running" => format!("{} of {rows} are read in", self.import.done),
            "done" if self.import.refused == 0 => format!("All {rows} are read in"),
            "done" => format!("{} of {rows} were refused", self.import.refused),
            "cancelled" => format!("Stopped after {} of {rows}", self.import.done),
            _ => "The file could not be read in".to_owned(),
        }
    }
}

async fn show(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    desk: Desk,
) -> Response {
    let page = async {
        let place = Place::read(&engine, &desk, &link, &form, &Fields::default()).await?;
        let import = engine.read_import(&desk.op, &link, &form, &id, &place.query()).await?;
        let people = People::of(&engine, &desk).await?;
        let by = import.created_by.as_deref().map_or("an application", |id| people.name(id)).to_owned();
        Ok(Show { frame: &desk.frame, now: desk.op.now, by, import, place })
    };
    desk.show(page.await)
}

async fn cancel(
    State(engine): State<Engine>,
    Path((link, form, id)): Path<(String, String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form: fields } = sent;
    let done = async {
        let place = Place::read(&engine, &desk, &link, &form, &fields).await?;
        engine.cancel_import(&desk.op, &link, &form, &id, &place.query()).await?;
        Ok(format!("{}?environment={}", place.import(&id), place.environment))
    };
    match done.await {
        Ok(to) => desk.done(&to, "It is stopped. What was read in stays."),
        Err(error) => desk.trouble(&error),
    }
}

async fn export(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let export = async {
        let place = Place::read(&engine, &desk, &link, &form, &Fields::default()).await?;
        engine.export_records(&desk.op, &link, &form, &place.query()).await
    };
    match export.await {
        Ok(export) => crate::input::sheet(export, &format!("{link}-{form}.csv")),
        Err(error) => desk.trouble(&error),
    }
}
