//! When a workflow runs: the first step of a new one, and a page of its own of one that is there.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jackfield_core::workflow::{Trigger, Workflow, WorkflowAction};
use jackfield_core::{Error, Result};
use jackfield_engine::Engine;
use serde_json::json;

use super::trigger_words;
use crate::console::actions::{Acting, Bench, Kind, first_step, save};
use crate::console::applications::path;
use crate::console::common::{mends, was_overtaken};
use crate::console::desk::{Desk, Frame, Sent};
use crate::console::form::{Field, Fields, Form};

/// The word of a trigger in documents.
fn trigger_name(trigger: Trigger) -> String {
    json!(trigger).as_str().unwrap_or_default().to_owned()
}

fn trigger_of(word: &str) -> Trigger {
    serde_json::from_value(json!(word)).unwrap_or(Trigger::Created)
}

impl Acting for Workflow {
    const TAB: &'static str = "workflows";
    const ONE: &'static str = "workflow";
    const BEGIN: &'static str = "new-workflow";
    const CARRIED: &'static [&'static str] = &["form", "on", "condition"];
    const LACKS: &'static [&'static str] = &[];
    const KNOWN: &'static [&'static str] = &[];

    fn begun(asked: &Fields) -> Result<Self> {
        Ok(begun(asked))
    }

    fn actions(&self) -> &[WorkflowAction] {
        &self.actions
    }

    fn actions_mut(&mut self) -> &mut Vec<WorkflowAction> {
        &mut self.actions
    }

    fn form(&self) -> Option<&str> {
        Some(&self.form)
    }

    fn when(&self, form: &str) -> String {
        format!("When a record of {form} {}", trigger_words(self.on))
    }

    fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }
}

/// A workflow without an action, as the address has it.
fn begun(asked: &Fields) -> Workflow {
    Workflow {
        form: asked.get("form").to_owned(),
        on: trigger_of(asked.get("on")),
        condition: asked.given("condition"),
        actions: Vec::new(),
        enabled: true,
    }
}

/// When it runs: of a new workflow, or of one that is there.
#[derive(Template)]
#[template(path = "console/workflow_when.html")]
struct When<'a> {
    frame: &'a Frame,
    bench: Bench,
    form: Form,
    overtaken: bool,
}

impl When<'_> {
    fn others(&self) -> Vec<String> {
        self.form.other_errors(&["name", "link_name", "form", "on", "condition"])
    }

    fn forms(&self) -> Field<'_> {
        let forms = self.bench.forms.iter();
        let mut choices: Vec<(&str, &str)> =
            forms.map(|(link, name, _)| (link.as_str(), name.as_str())).collect();
        let chosen = self.form.value("form");
        if !choices.iter().any(|(link, _)| *link == chosen) && !chosen.is_empty() {
            choices.push((chosen, chosen));
        }
        self.form.select("form", "When a record of", &choices)
    }

    fn triggers(&self) -> Field<'_> {
        let all = [
            ("created", "is created"),
            ("edited", "is edited"),
            ("created_or_edited", "is created or edited"),
            ("deleted", "is deleted"),
        ];
        self.form.select("on", "this happens", &all)
    }

    fn kinds(&self) -> Vec<&'static Kind> {
        self.bench.kinds()
    }

    /// Fields of the form that is chosen, for an example.
    fn example(&self) -> String {
        let form = self.bench.forms.iter().find(|(link, _, _)| link == self.form.value("form"));
        let form = form.or_else(|| self.bench.forms.first());
        let names =
            form.map(|(_, _, form)| form.fields.iter().take(6).map(|field| format!("record.{}", field.name)));
        names.map(|names| names.collect::<Vec<_>>().join(", ")).unwrap_or_default()
    }
}

fn when<'a>(
    desk: &'a Desk,
    (bench, workflow): (Bench, Workflow),
    typed: Option<(Fields, &Error)>,
) -> When<'a> {
    let overtaken = typed.as_ref().is_some_and(|(_, error)| was_overtaken(error));
    let form = match typed {
        Some((fields, error)) => Form::refused(fields, error),
        None if bench.there.is_some() => Form::new(
            Fields::default()
                .with("name", bench.name.as_str())
                .with("form", workflow.form.as_str())
                .with("on", trigger_name(workflow.on))
                .with("condition", workflow.condition.clone().unwrap_or_default()),
        ),
        // Whoever comes back from its first action finds what he said.
        None => Form::new(desk.query.clone()),
    };
    When { frame: &desk.frame, bench, form, overtaken }
}

pub(super) async fn ask_new(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let bench = Bench::read(&engine, &desk, &link, None).await;
    desk.show(bench.map(|bench| when(&desk, bench, None)))
}

/// The first step of a new workflow: on to its first action.
pub(super) async fn begin(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let bench = match Bench::read::<Workflow>(&engine, &desk, &link, None).await {
        Ok(bench) => bench,
        Err(error) => return desk.trouble(&error),
    };
    match first_step::<Workflow>(&engine, &desk, &link, &form).await {
        Ok(next) => desk.go(&next),
        Err(error) if mends(&error) => {
            let page = when(&desk, bench, Some((form, &error)));
            desk.again(&error, Ok(page))
        }
        Err(error) => desk.trouble(&error),
    }
}

pub(super) async fn ask_when(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let bench = Bench::read(&engine, &desk, &link, Some(&workflow)).await;
    desk.show(bench.map(|bench| when(&desk, bench, None)))
}

pub(super) async fn set_when(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let saved = async {
        let (bench, present) = Bench::read::<Workflow>(&engine, &desk, &link, Some(&workflow)).await?;
        let definition = Workflow { actions: present.actions, enabled: present.enabled, ..begun(&form) };
        let name = Some(form.get("name").trim().to_owned());
        save(&engine, &desk, &bench, &form, name, definition).await
    };
    match saved.await {
        Ok(news) => desk.done(&path(&link, &format!("workflows/{workflow}")), &news),
        Err(mut error) if mends(&error) => {
            for wrong in &mut error.fields {
                if let Some(rest) = wrong.field.strip_prefix("definition.") {
                    wrong.field = rest.to_owned();
                }
            }
            let bench = Bench::read(&engine, &desk, &link, Some(&workflow)).await;
            desk.again(&error, bench.map(|bench| when(&desk, bench, Some((form, &error)))))
        }
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_have_the_words_of_documents() {
        for trigger in [Trigger::Created, Trigger::Edited, Trigger::CreatedOrEdited, Trigger::Deleted] {
            assert_eq!(trigger_of(&trigger_name(trigger)), trigger);
        }
    }
}
