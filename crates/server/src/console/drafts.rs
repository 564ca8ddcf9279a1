//! A new connector out of what a service publishes: what it would be, what was left out, which operations to take.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::connector::import::{Draft, Offered};
use jackfield_core::{Action, Error, Result};
use jackfield_engine::Engine;
use jackfield_engine::connect::drafts::{ConnectorImport, Imported};

use super::common::mends;
use super::desk::{Desk, Frame, SentFile};
use super::form::{Fields, Form};

/// The builder's form takes no larger document.
const BUILDER_MAX: usize = 250 * 1024;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/connectors/import", get(ask).post(make))
        .route("/console/connectors/{link}/document.toml", get(download))
        .route("/console/connectors/{link}/versions/{number}/document.toml", get(download_version))
}

/// The document of a connector as a catalogue file has it.
async fn download(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    match engine.export_connector(&desk.op, &link).await {
        Ok(text) => crate::input::toml(&desk.op, Ok(text)),
        Err(error) => desk.trouble(&error),
    }
}

/// A version as it was published, likewise.
async fn download_version(
    State(engine): State<Engine>,
    Path((link, number)): Path<(String, i64)>,
    desk: Desk,
) -> Response {
    match engine.export_version(&desk.op, &link, number).await {
        Ok(text) => crate::input::toml(&desk.op, Ok(text)),
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/connector_import.html")]
struct Page<'a> {
    frame: &'a Frame,
    form: Form,
    drawn: Option<Drawn>,
}

/// A draft, as the page shows it.
struct Drawn {
    draft: Draft,
    toml: String,
    /// for the builder, where it is small enough
    document: Option<String>,
    modules: Vec<(String, Vec<Offered>)>,
}

impl Drawn {
    fn of(draft: Draft) -> Self {
        let toml = jackfield_core::connector::toml_of(&draft.document)
            .unwrap_or_else(|why| format!("# This document cannot be written as TOML: {why}."));
        let document = draft.document.to_string();
        let mut modules: Vec<(String, Vec<Offered>)> = Vec::new();
        for offered in &draft.operations {
            match modules.iter_mut().find(|(name, _)| *name == offered.module) {
                Some((_, all)) => all.push(offered.clone()),
                None => modules.push((offered.module.clone(), vec![offered.clone()])),
            }
        }
        Self { toml, document: (document.len() <= BUILDER_MAX).then_some(document), modules, draft }
    }
}

async fn ask(desk: Desk) -> Response {
    let may = desk.may(Action::Manage, &desk.connectors());
    let form = Form::new(Fields::default());
    desk.show(may.map(|()| Page { frame: &desk.frame, form, drawn: None }))
}

/// What the form asks for. Which of the three fields is filled says what it is made of.
fn asked(form: &Fields) -> Result<ConnectorImport> {
    let import = ConnectorImport {
        openapi: form.given("openapi").map(Into::into),
        curl: form.given("curl"),
        discover: form.given("discover"),
        operations: form.has("chosen").then(|| form.all("operations").map(str::to_owned).collect()),
        name: form.given("name"),
        source: form.given("source"),
        save: form.has("save"),
    };
    let filled = [import.openapi.is_some(), import.curl.is_some(), import.discover.is_some()];
    match filled.into_iter().filter(|filled| *filled).count() {
        1 => Ok(import),
        0 => Err(Error::field("openapi", "required", "Fill in one of the three.")),
        _ => Err(Error::field("openapi", "invalid", "Fill in one of the three only.")),
    }
}

async fn make(State(engine): State<Engine>, sent: SentFile) -> Response {
    let SentFile(super::desk::Sent { desk, form }) = sent;
    let result = async { engine.import_connector(&desk.op, asked(&form)?).await };
    match result.await {
        Ok(Imported::Made(view)) => {
            let path = format!("/console/connectors/{}", view.card.link_name);
            desk.done(&path, "Made, as a draft. Look it over, then publish it.")
        }
        Ok(Imported::Shown(draft)) => {
            let drawn = Some(Drawn::of(*draft));
            desk.show(Ok(Page { frame: &desk.frame, form: Form::new(form), drawn }))
        }
        Err(error) if mends(&error) => {
            let page = Page { frame: &desk.frame, form: Form::refused(form, &error), drawn: None };
            desk.again(&error, Ok(page))
        }
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_three_is_filled_in() {
        let fields = |pairs: &[(&str, &str)]| {
            pairs.iter().fold(Fields::default(), |fields, (name, value)| fields.with(name, *value))
        };
        assert!(asked(&fields(&[("openapi", " "), ("curl", "")])).is_err());
        assert!(asked(&fields(&[("openapi", "x"), ("curl", "y")])).is_err());
        let import = asked(&fields(&[("curl", "curl x"), ("chosen", "yes"), ("operations", "GET /a")]));
        assert_eq!(import.unwrap().operations, Some(vec!["GET /a".to_owned()]));
        assert_eq!(asked(&fields(&[("openapi", "{}")])).unwrap().operations, None);
    }
}
