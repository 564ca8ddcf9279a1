//! Starting an application from a template: which there are, what each makes and needs, and the way on once it is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::connector::built_in;
use jackfield_core::form::{Form as Document, FormField};
use jackfield_core::schedule::Schedule;
use jackfield_core::templates::{self as core, AnswerKind, ApplicationTemplate, Components, Served};
use jackfield_core::workflow::Workflow;
use jackfield_core::{Action, Error, Resource, Result};
use jackfield_engine::Engine;
use jackfield_engine::automate::components::BuiltView;
use jackfield_engine::automate::templates::{TemplateStart, TemplateView};
use jackfield_engine::govern::applications::ApplicationView;

use super::actions::{Doing, doing};
use super::applications::path;
use super::common::{mends, most};
use super::desk::{Desk, Frame, Sent};
use super::form::{Field, Fields, Form};
use super::forms::field::kind_word;
use super::parts;
use super::workflows::trigger_words;

const LIST: &str = "/console/applications/new-from-template";

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/new-from-template", get(list))
        .route("/console/applications/new-from-template/{template}", get(ask).post(start))
        .route("/console/applications/{link}/started", get(started))
}

/// The page of a template.
pub(super) fn page_of(template: &str) -> String {
    format!("{LIST}/{template}")
}

#[derive(Template)]
#[template(path = "console/templates/list.html")]
struct List<'a> {
    frame: &'a Frame,
    templates: Vec<TemplateView>,
}

async fn list(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = desk
        .may(Action::Manage, &Resource::Applications)
        .and_then(|()| Ok(List { frame: &desk.frame, templates: engine.list_templates(&desk.op)? }));
    desk.show(page)
}

/// A connector that fits a need, for who has no connection to it yet.
struct Service {
    name: String,
    link_name: String,
}

/// A need on the page: what can be chosen, and how one comes to have something to choose.
struct NeedRow {
    path: String,
    label: String,
    purpose: String,
    /// link name and words of each connection that fits
    choices: Vec<(String, String)>,
    services: Vec<Service>,
}

impl NeedRow {
    fn field<'a>(&'a self, form: &'a Form) -> Field<'a> {
        let mut choices = vec![("", "Choose a connection")];
        choices.extend(self.choices.iter().map(|(link, words)| (link.as_str(), words.as_str())));
        form.select(&self.path, &self.label, &choices).help(&self.purpose)
    }
}

/// A question on the page.
struct Ask {
    path: String,
    label: String,
    help: String,
    kind: AnswerKind,
}

impl Ask {
    fn field<'a>(&'a self, form: &'a Form) -> Field<'a> {
        let field = form.text(&self.path, &self.label).help(&self.help);
        match self.kind {
            AnswerKind::Text | AnswerKind::Emails => field.max(200),
            AnswerKind::Amount | AnswerKind::Currency | AnswerKind::Hour => field.max(20),
        }
    }
}

/// A form that is made, with its fields.
struct FormLine {
    name: String,
    public: bool,
    /// title, kind, and whether it must be filled in
    fields: Vec<(String, &'static str, bool)>,
}

/// What happens by itself: when, and what is done.
struct WorkLine {
    name: String,
    when: String,
    doings: Vec<Doing>,
}

#[derive(Template)]
#[template(path = "console/templates/start.html")]
struct Start<'a> {
    frame: &'a Frame,
    template: TemplateView,
    form: Form,
    needs: Vec<NeedRow>,
    asks: Vec<Ask>,
    forms: Vec<FormLine>,
    works: Vec<WorkLine>,
    /// names of the datasources
    tables: Vec<String>,
    other: Vec<String>,
}

impl Start<'_> {
    /// Whether there is a connection for each need.
    fn is_ready(&self) -> bool {
        self.needs.iter().all(|need| !need.choices.is_empty())
    }
}

/// What is made, with the labels of the needs in place of connections.
fn made(template: &ApplicationTemplate, view: &TemplateView) -> (Vec<FormLine>, Vec<WorkLine>, Vec<String>) {
    let (mut served, mut connectors, mut labels) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for need in &view.needs {
        // As the first that fits would have it, else as the first for which it was written.
        let fitting = need.fitting.as_ref().and_then(|all| all.first());
        let Some(variant) = fitting.map(|one| &one.serves_as).or_else(|| need.need.connectors.first()) else {
            continue;
        };
        let name = need.need.name.clone();
        if let Some(connector) = built_in().get(variant) {
            connectors.insert(name.clone(), Arc::clone(connector));
        }
        served.insert(name.clone(), Served { connection: name.clone(), variant: variant.clone() });
        labels.insert(name, need.need.label.clone());
    }
    let components = template.components(&served, &template.examples());
    let Ok(components) = components else { return (Vec::new(), Vec::new(), Vec::new()) };
    let grounds = components.grounds(connectors, "");
    let Components { datasources, forms, workflows, schedules } = components;
    let named: BTreeMap<&str, &str> =
        forms.iter().map(|form| (form.link_name.as_str(), form.name.as_str())).collect();
    let field = |field: &FormField| (field.title().to_owned(), kind_word(&field.kind), field.required);
    let form_lines = forms.iter().map(|form| FormLine {
        name: form.name.clone(),
        public: form.definition.access == jackfield_core::form::Access::Public,
        fields: form.definition.fields.iter().map(field).collect(),
    });
    let doings = |actions: &[jackfield_core::workflow::WorkflowAction]| -> Vec<Doing> {
        actions.iter().map(|action| doing(action, &labels, Some(&grounds))).collect()
    };
    let of_record = workflows.iter().map(|one| WorkLine {
        name: one.name.clone(),
        when: format!(
            "When a record of {} {}",
            named.get(one.definition.form.as_str()).copied().unwrap_or_default(),
            trigger_words(one.definition.on)
        ),
        doings: doings(&one.definition.actions),
    });
    let of_clock = schedules.iter().map(|one| WorkLine {
        name: one.name.clone(),
        when: one.definition.at.words(),
        doings: doings(&one.definition.actions),
    });
    (
        form_lines.collect(),
        of_record.chain(of_clock).collect(),
        datasources.iter().map(|one| one.name.clone()).collect(),
    )
}

async fn ask(State(engine): State<Engine>, Path(template): Path<String>, desk: Desk) -> Response {
    let page = find(&engine, &desk, &template, None).await;
    desk.show(page)
}

async fn find<'a>(
    engine: &Engine,
    desk: &'a Desk,
    template: &str,
    refused: Option<Form>,
) -> Result<Start<'a>> {
    desk.may(Action::Manage, &Resource::Applications)?;
    let view = engine.read_template(&desk.op, template).await?;
    let known = core::get(template).ok_or_else(|| Error::not_found(format_args!("template {template:?}")))?;
    let needs: Vec<NeedRow> = view
        .needs
        .iter()
        .map(|need| NeedRow {
            path: format!("connections.{}", need.need.name),
            label: need.need.label.clone(),
            purpose: need.need.purpose.clone(),
            choices: need
                .fitting
                .iter()
                .flatten()
                .map(|one| (one.connection.clone(), format!("{} ({})", one.name, one.connector.name)))
                .collect(),
            services: need.need.connectors.iter().filter_map(|name| service(name)).collect(),
        })
        .collect();
    let asks: Vec<Ask> = view
        .questions
        .iter()
        .map(|question| Ask {
            path: format!("answers.{}", question.name),
            label: question.label.clone(),
            help: question.help.clone(),
            kind: question.kind,
        })
        .collect();
    let form = refused.unwrap_or_else(|| {
        let mut fields = Fields::default().with("name", view.name.as_str());
        for need in &needs {
            // Where there is no choice, it is made.
            if let [(only, _)] = need.choices.as_slice() {
                fields = fields.with(&need.path, only.as_str());
            }
        }
        for (question, ask) in view.questions.iter().zip(&asks) {
            let default = match question.kind {
                AnswerKind::Emails => Some(desk.frame.who.email.clone()),
                _ => question.default.clone(),
            };
            fields = fields.with(&ask.path, default.unwrap_or_default());
        }
        Form::new(fields)
    });
    let mut shown = vec!["name", "link_name", "description"];
    shown.extend(needs.iter().map(|need| need.path.as_str()));
    shown.extend(asks.iter().map(|ask| ask.path.as_str()));
    let other = form.other_errors(&shown);
    let (forms, works, tables) = made(known, &view);
    Ok(Start { frame: &desk.frame, template: view, form, needs, asks, forms, works, tables, other })
}

fn service(link_name: &str) -> Option<Service> {
    let connector = built_in().get(link_name)?;
    Some(Service { name: connector.name.clone(), link_name: link_name.to_owned() })
}

async fn start(State(engine): State<Engine>, Path(template): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let under = |prefix: &str| -> BTreeMap<String, String> {
        let given = form.under(prefix).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        given.filter(|(_, value)| !value.is_empty()).collect()
    };
    let new = TemplateStart {
        name: form.get("name").trim().to_owned(),
        link_name: form.given("link_name"),
        description: None,
        connections: under("connections."),
        answers: under("answers."),
    };
    match engine.start_from_template(&desk.op, &template, new).await {
        Ok(made) => {
            let to = path(&made.application.link_name, "started");
            desk.done(&format!("{to}?template={template}"), &format!("{} is made.", made.application.name))
        }
        Err(error) if mends(&error) => {
            let page = find(&engine, &desk, &template, Some(Form::refused(form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/templates/started.html")]
struct Started<'a> {
    frame: &'a Frame,
    application: ApplicationView,
    forms: Vec<BuiltView<Document>>,
    workflows: Vec<BuiltView<Workflow>>,
    schedules: Vec<BuiltView<Schedule>>,
    /// what to do now
    next: Option<&'static str>,
}

impl Started<'_> {
    fn path(&self, part: &str) -> String {
        path(&self.application.link_name, part)
    }
}

async fn started(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = async {
        let application = engine.read_application(&desk.op, &link).await?;
        if !desk.frame.sees_all() {
            return Err(super::built::forbidden());
        }
        Ok(Started {
            frame: &desk.frame,
            forms: engine.list_built::<Document>(&desk.op, &link, &most()).await?.items,
            workflows: engine.list_built::<Workflow>(&desk.op, &link, &most()).await?.items,
            schedules: engine.list_built::<Schedule>(&desk.op, &link, &most()).await?.items,
            next: core::get(desk.query.get("template")).map(|template| template.next.as_str()),
            application,
        })
    };
    desk.show(page.await)
}
