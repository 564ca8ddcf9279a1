//! Trying a custom connector: what was sent, what came back, and what it means. Nothing that is typed here is kept.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::connector::Scope;
use jackfield_core::{Action, Code, Error, Result};
use jackfield_engine::Engine;
use jackfield_engine::connect::connectors::{ConnectorCard, ConnectorView};
use jackfield_engine::connect::flows::FlowView;
use jackfield_engine::connect::trial::{Trial, TrialKind, TrialOutcome, TrialStep, Tried};

use super::common::mends;
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form};
use super::journey::{Asked, goes_to_a_browser, scopes_of, values};
use super::parts::{self, Status};

pub(super) fn routes() -> Router<Engine> {
    Router::new().route("/console/connectors/{link}/test", get(ask).post(run))
}

/// The steps of a trial, the same on the console's page and where a person comes back from the service.
#[derive(Template)]
#[template(path = "console/parts/trial.html")]
pub(crate) struct Steps<'a> {
    steps: &'a [TrialStep],
}

impl HtmlSafe for Steps<'_> {}

pub(crate) fn steps(tried: &Tried) -> Steps<'_> {
    Steps { steps: &tried.steps }
}

pub(crate) fn kind_word(kind: &TrialKind) -> &'static str {
    match kind {
        TrialKind::Authorize => "Accepting",
        TrialKind::Token => "Token",
        TrialKind::Test => "Test",
        TrialKind::Identity => "Whose account it is",
    }
}

pub(crate) fn status(outcome: &TrialOutcome) -> (Status, &'static str) {
    match outcome {
        TrialOutcome::Passed => (Status::Connected, "Passed"),
        TrialOutcome::Failed => (Status::Failed, "Failed"),
        TrialOutcome::Unsure => (Status::Attention, "Look at it"),
        TrialOutcome::Skipped => (Status::NotConnected, "Not tried"),
    }
}

/// What the whole comes to.
pub(crate) fn verdict(tried: &Tried) -> &'static str {
    let has = |outcome| tried.steps.iter().any(|step| step.outcome == outcome);
    if has(TrialOutcome::Failed) {
        "It does not work yet"
    } else if tried.flow.is_some() {
        "So far it works"
    } else if has(TrialOutcome::Unsure) {
        "It works, but look at it again"
    } else if has(TrialOutcome::Passed) {
        "It works"
    } else {
        "There is nothing to try"
    }
}

#[derive(Template)]
#[template(path = "console/trial.html")]
struct Page<'a> {
    frame: &'a Frame,
    card: ConnectorCard,
    form: Form,
    hosts: Vec<String>,
    parameters: Vec<Asked>,
    credentials: Vec<Asked>,
    scopes: Vec<Scope>,
    redirect_uri: Option<String>,
    other: Vec<String>,
    tried: Option<Tried>,
}

impl Page<'_> {
    fn flow(&self) -> Option<&FlowView> {
        self.tried.as_ref()?.flow.as_ref()
    }
}

async fn page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    form: Option<(Fields, Option<&Error>)>,
) -> Result<Page<'a>> {
    desk.may(Action::Manage, &desk.connectors())?;
    let view: ConnectorView = engine.read_connector(&desk.op, link).await?;
    if view.version.is_none() {
        let why = "A built-in connector is not tried here. Make a connection with it, or your own connector from it.";
        return Err(Error::new(Code::Forbidden, why));
    }
    let (parameters, credentials) = (Asked::parameters(&view), Asked::credentials(&view));
    let scopes = scopes_of(&view);
    let form = match form {
        Some((fields, Some(error))) => Form::refused(fields, error),
        Some((fields, None)) => Form::new(fields),
        None => {
            let mut fields = Fields::default();
            for scope in scopes.iter().filter(|scope| scope.default) {
                fields = fields.with("scopes", scope.name.as_str());
            }
            for parameter in &view.asked_for_connection {
                if let Some(default) = &parameter.default {
                    fields = fields.with(&format!("parameters.{}", parameter.name), default.as_str());
                }
            }
            Form::new(fields)
        }
    };
    let shown: Vec<&str> = parameters.iter().chain(&credentials).map(Asked::name).chain(["scopes"]).collect();
    let other = form.other_errors(&shown);
    let document = super::connectors::document(&view);
    let connector: Option<jackfield_core::connector::Connector> = serde_json::from_value(document).ok();
    Ok(Page {
        frame: &desk.frame,
        hosts: connector.map(|connector| connector.host_templates()).unwrap_or_default(),
        redirect_uri: goes_to_a_browser(&view).then(|| engine.redirect_uri()),
        card: view.card,
        form,
        parameters,
        credentials,
        scopes,
        other,
        tried: None,
    })
}

async fn ask(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = page(&engine, &desk, &link, None).await;
    desk.show(page)
}

async fn run(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let chosen: Vec<String> = form.all("scopes").map(str::to_owned).collect();
    let trial = Trial {
        parameters: values(&form, "parameters."),
        credentials: values(&form, "credentials."),
        scopes: form.has("scopes_shown").then_some(chosen),
    };
    match engine.try_connector(&desk.op, &link, trial).await {
        Ok(tried) => {
            let shown = page(&engine, &desk, &link, Some((form, None))).await;
            desk.show(shown.map(|page| Page { tried: Some(tried), ..page }))
        }
        Err(error) if mends(&error) => {
            let again = page(&engine, &desk, &link, Some((form, Some(&error)))).await;
            desk.again(&error, again)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(outcomes: &[TrialOutcome]) -> Tried {
        let step = |outcome: &TrialOutcome| TrialStep {
            kind: TrialKind::Test,
            outcome: *outcome,
            words: "<b>".to_owned(),
            request: None,
            answer: None,
        };
        let steps = outcomes.iter().map(step).collect();
        Tried { connector: "a".to_owned(), name: "A".to_owned(), steps, flow: None }
    }

    #[test]
    fn one_step_that_failed_is_what_counts() {
        use TrialOutcome::{Failed, Passed, Skipped, Unsure};
        assert_eq!(verdict(&tried(&[Passed, Failed, Unsure])), "It does not work yet");
        assert_eq!(verdict(&tried(&[Passed, Unsure])), "It works, but look at it again");
        assert_eq!(verdict(&tried(&[Passed, Skipped])), "It works");
        assert_eq!(verdict(&tried(&[Skipped])), "There is nothing to try");
        assert!(!steps(&tried(&[Passed])).render().unwrap().contains("<b>"));
    }
}
