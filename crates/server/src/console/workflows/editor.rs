//! A workflow is written here part by part: when it runs, and each action on a page of its own. Each page saves a new version, by the version
//! that it was read at; a workflow that is begun travels in the address until its first action is there.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jackfield_core::connector::Connector;
use jackfield_core::form::Form as Document;
use jackfield_core::workflow::{Grounds, Integration, Mapped, Trigger, Workflow, WorkflowAction};
use jackfield_core::{Error, FieldError, Result, names};
use jackfield_engine::Engine;
use jackfield_engine::automate::components::{BuiltView, ComponentPatch, NewComponent};
use serde_json::{Map, Value, json};

use super::kinds::{self, Ask, How, KINDS, Kind};
use super::mapping::{self, Begins, Sources, Table, Target};
use super::{connections, trigger_words};
use crate::console::applications::{Head, path};
use crate::console::built::forbidden;
use crate::console::common::{mends, most, was_overtaken};
use crate::console::desk::{Desk, Frame, Sent};
use crate::console::form::{Field, Fields, Form, with_query};

type Link = Path<(String, String)>;
type ActionLink = Path<(String, String, String)>;

/// Of a workflow that is begun, what its address carries.
const CARRIED: [&str; 5] = ["name", "link_name", "form", "on", "condition"];

/// The word of a trigger in documents.
fn trigger_name(trigger: Trigger) -> String {
    json!(trigger).as_str().unwrap_or_default().to_owned()
}

fn trigger_of(word: &str) -> Trigger {
    serde_json::from_value(json!(word)).unwrap_or(Trigger::Created)
}

/// A workflow on the table: one that is there, or one that is begun.
struct Bench {
    head: Head,
    /// what people read
    name: String,
    /// link name and version of one that is there
    there: Option<(String, i64)>,
    workflow: Workflow,
    grounds: Grounds,
    /// names of the connections by link name
    connections: BTreeMap<String, String>,
    /// link name, name and document of every form
    forms: Vec<(String, String, Document)>,
}

impl Bench {
    async fn read(engine: &Engine, desk: &Desk, link: &str, workflow: Option<&str>) -> Result<Self> {
        let head = Head::read(engine, desk, link, "workflows").await?;
        if !desk.frame.sees_all() {
            return Err(forbidden());
        }
        let grounds = engine.read_grounds(&desk.op, link).await?;
        let forms = engine.list_built::<Document>(&desk.op, link, &most()).await?.items;
        let (name, there, workflow) = match workflow {
            Some(workflow) => {
                let built: BuiltView<Workflow> = engine.read_built(&desk.op, link, workflow).await?;
                (built.name, Some((built.link_name, built.version)), built.definition)
            }
            None => (desk.query.get("name").trim().to_owned(), None, begun(&desk.query)),
        };
        Ok(Self {
            connections: connections(engine, &desk.op, link).await?,
            forms: forms.into_iter().map(|form| (form.link_name, form.name, form.definition)).collect(),
            head,
            name,
            there,
            workflow,
            grounds,
        })
    }

    fn version(&self) -> i64 {
        self.there.as_ref().map_or(0, |(_, version)| *version)
    }

    /// The page of the workflow, or where one is begun.
    fn home(&self) -> String {
        match &self.there {
            Some((link, _)) => self.head.path(&format!("workflows/{link}")),
            None => self.head.path("workflows/new-workflow"),
        }
    }

    fn form(&self) -> Option<&Document> {
        self.forms.iter().find(|(link, _, _)| *link == self.workflow.form).map(|(_, _, form)| form)
    }

    fn form_name(&self) -> &str {
        let found = self.forms.iter().find(|(link, _, _)| *link == self.workflow.form);
        found.map_or(&self.workflow.form, |(_, name, _)| name)
    }

    fn called<'a>(&'a self, connection: &'a str) -> &'a str {
        self.connections.get(connection).map_or(connection, String::as_str)
    }

    /// `When a record of Vendors is created`
    fn when(&self) -> String {
        format!("When a record of {} {}", self.form_name(), trigger_words(self.workflow.on))
    }

    fn sources(&self) -> Sources<'_> {
        Sources { form: self.form(), forms: &self.forms }
    }

    /// Where an action stands; a name that is none is a page that is not there.
    fn position(&self, action: &str) -> Result<usize> {
        let found = self.workflow.actions.iter().position(|one| one.name == action);
        found.ok_or_else(|| Error::not_found(format_args!("action {action:?}")))
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

/// Saves a workflow that is there.
async fn save(
    engine: &Engine,
    desk: &Desk,
    bench: &Bench,
    sent: &Fields,
    name: Option<String>,
    definition: Workflow,
) -> Result<String> {
    let Some((link, _)) = &bench.there else { return Err(Error::not_found("workflow")) };
    let patch =
        ComponentPatch { name, definition: Some(definition), version: sent.get("version").parse().ok() };
    let application = &bench.head.application.link_name;
    let saved = engine.update_built(&desk.op, application, link, patch).await?;
    Ok(format!("Saved as version {}. Development serves it.", saved.version))
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

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
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

fn when<'a>(desk: &'a Desk, bench: Bench, typed: Option<(Fields, &Error)>) -> When<'a> {
    let overtaken = typed.as_ref().is_some_and(|(_, error)| was_overtaken(error));
    let form = match typed {
        Some((fields, error)) => Form::refused(fields, error),
        None if bench.there.is_some() => Form::new(
            Fields::default()
                .with("name", bench.name.as_str())
                .with("form", bench.workflow.form.as_str())
                .with("on", trigger_name(bench.workflow.on))
                .with("condition", bench.workflow.condition.clone().unwrap_or_default()),
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

/// What of a workflow without its actions is wrong: the engine's own check, under the names of the inputs.
fn wrong_with(
    name: &str,
    link_name: Option<&str>,
    workflow: &Workflow,
    grounds: &Grounds,
) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if let Err(why) = names::display_name(name) {
        wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
    }
    if let Some(Err(why)) = link_name.map(names::link_name) {
        wrong.push(FieldError::new("link_name", "invalid", format!("The link name {why}.")));
    }
    let bare = Workflow { actions: Vec::new(), ..workflow.clone() };
    let faults = bare.check(grounds).err().unwrap_or_default();
    wrong.extend(faults.into_iter().filter(|error| error.field != "actions"));
    wrong
}

/// The first step of a new workflow: on to its first action.
pub(super) async fn begin(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let bench = match Bench::read(&engine, &desk, &link, None).await {
        Ok(bench) => bench,
        Err(error) => return desk.trouble(&error),
    };
    let wrong = wrong_with(
        form.get("name").trim(),
        form.given("link_name").as_deref(),
        &begun(&form),
        &bench.grounds,
    );
    if wrong.is_empty() {
        let carried = CARRIED.iter().chain(&["kind"]);
        let query = carried.fold(Fields::default(), |query, name| query.with(name, form.get(name).trim()));
        return desk.go(&with_query(&path(&link, "workflows/new-action"), &query, "", ""));
    }
    let error = Error::invalid(wrong);
    let page = when(&desk, bench, Some((form, &error)));
    desk.again(&error, Ok(page))
}

pub(super) async fn ask_when(
    State(engine): State<Engine>,
    Path((link, workflow)): Link,
    desk: Desk,
) -> Response {
    let bench = Bench::read(&engine, &desk, &link, Some(&workflow)).await;
    desk.show(bench.map(|bench| when(&desk, bench, None)))
}

pub(super) async fn set_when(
    State(engine): State<Engine>,
    Path((link, workflow)): Link,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let saved = async {
        let bench = Bench::read(&engine, &desk, &link, Some(&workflow)).await?;
        let definition = Workflow {
            actions: bench.workflow.actions.clone(),
            enabled: bench.workflow.enabled,
            ..begun(&form)
        };
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

/// Something to choose, as a page of links.
struct Choice {
    to: String,
    title: String,
    about: String,
}

#[derive(Template)]
#[template(path = "console/workflow_choose.html")]
struct Choose<'a> {
    frame: &'a Frame,
    bench: Bench,
    title: &'static str,
    lead: String,
    /// heading, what it is, and what can be chosen
    groups: Vec<(String, String, Vec<Choice>)>,
    /// said where nothing can be chosen
    none: &'static str,
    after: String,
}

impl Choose<'_> {
    fn is_none(&self) -> bool {
        !self.none.is_empty() && self.groups.iter().all(|(_, _, choices)| choices.is_empty())
    }
}

/// One action: what it does, and when.
#[derive(Template)]
#[template(path = "console/workflow_action.html")]
struct Act<'a> {
    frame: &'a Frame,
    bench: Bench,
    kind: &'static Kind,
    /// name of one that is there
    there: Option<String>,
    form: Form,
    /// connection, module and operation: link name of the first, words of all
    at: Option<(String, [String; 3])>,
    /// where another operation is chosen
    elsewhere: String,
    table: Option<Table>,
    /// what the operation does
    about: String,
    overtaken: bool,
}

impl Act<'_> {
    fn others(&self) -> Vec<String> {
        self.form.other_errors(&kinds::inputs(self.kind))
    }

    fn is_table(&self, ask: &Ask) -> bool {
        matches!(ask.how, How::Mapping | How::Sets)
    }

    /// The input of a member.
    fn input(&self, ask: &Ask) -> Field<'_> {
        let (form, name, label) = (&self.form, ask.at, ask.label);
        let field = match ask.how {
            How::Area => form.area(name, label, 6),
            How::Lines => form.area(name, label, 2),
            How::Pairs => form.area(name, label, 2).mono(),
            How::Json => form.area(name, label, 8).mono(),
            How::One(choices) => form.select(name, label, choices),
            How::Maybe => {
                form.select(name, label, &[("", "As its method says"), ("true", "Yes"), ("false", "No")])
            }
            How::Connection => {
                let grounds = self.bench.grounds.connections.keys();
                let mut choices: Vec<(&str, &str)> =
                    grounds.map(|link| (link.as_str(), self.bench.called(link))).collect();
                let chosen = form.value(name);
                if !choices.iter().any(|(link, _)| *link == chosen) {
                    choices.insert(0, (chosen, if chosen.is_empty() { "Choose…" } else { chosen }));
                }
                form.select(name, label, &choices)
            }
            How::Line | How::Whole | How::Source | How::Code | How::Mapping | How::Sets => {
                form.text(name, label)
            }
        };
        let field = field.help(ask.help);
        if ask.optional { field.optional() } else { field }
    }

    fn on_failure(&self) -> Field<'_> {
        let choices = [("stop", "The run has failed"), ("continue", "What follows is done all the same")];
        self.form.select("on_failure", "When it fails for good", &choices)
    }
}

/// What the address asks for: a kind, and for a push the operation of a module at a connection.
struct Asked {
    kind: Option<&'static Kind>,
    connection: String,
    module: String,
    operation: String,
}

impl Asked {
    fn of(query: &Fields, present: Option<&WorkflowAction>) -> Self {
        let push = present.and_then(|action| action.integration.as_ref());
        let part = |name: &str, there: Option<&String>| {
            let chosen = query.given(name).or_else(|| there.filter(|_| !query.has("choose")).cloned());
            chosen.unwrap_or_default()
        };
        // Who chooses another connection chooses all that follows.
        let same =
            push.filter(|push| query.given("connection").is_none_or(|chosen| chosen == push.connection));
        Self {
            kind: present.map_or_else(|| kinds::kind(query.get("kind")), kinds::kind_of),
            connection: part("connection", push.map(|push| &push.connection)),
            module: part("module", same.filter(|_| !query.has("connection")).map(|push| &push.module)),
            operation: part(
                "operation",
                same.filter(|_| !query.has("connection")).map(|push| &push.operation),
            ),
        }
    }

    fn is_push(&self) -> bool {
        self.kind.is_some_and(|kind| kind.asks.iter().any(|ask| ask.how == How::Mapping))
    }
}

/// The connector, the module and the operation that are chosen, if they are there.
fn operation<'a>(
    bench: &'a Bench,
    asked: &Asked,
) -> Option<(&'a Connector, &'a jackfield_core::connector::Module, &'a jackfield_core::connector::Operation)>
{
    let connector = bench.grounds.connections.get(&asked.connection)?;
    let module = connector.modules.get(&asked.module)?;
    Some((connector, module, module.operations.get(&asked.operation)?))
}

/// The page that an address asks for: a choice, or the action.
enum Page<'a> {
    Choose(Box<Choose<'a>>),
    Act(Box<Act<'a>>),
}

impl Page<'_> {
    fn respond(&self, desk: &Desk, error: Option<&Error>) -> Response {
        match (self, error) {
            (Self::Choose(page), None) => desk.page(http::StatusCode::OK, page.as_ref()),
            (Self::Act(page), None) => desk.page(http::StatusCode::OK, page.as_ref()),
            (Self::Choose(page), Some(error)) => desk.page(status(error), page.as_ref()),
            (Self::Act(page), Some(error)) => desk.page(status(error), page.as_ref()),
        }
    }
}

fn status(error: &Error) -> http::StatusCode {
    http::StatusCode::from_u16(error.code.status()).unwrap_or(http::StatusCode::UNPROCESSABLE_ENTITY)
}

fn label(label: Option<&String>, name: &str) -> String {
    label.cloned().unwrap_or_else(|| crate::console::parts::title(&name.replace('_', " ")))
}

fn page<'a>(
    desk: &'a Desk,
    bench: Bench,
    action: Option<&str>,
    typed: Option<(Fields, &Error)>,
) -> Result<Page<'a>> {
    let at = action.map(|name| bench.position(name)).transpose()?;
    let present = at.and_then(|at| bench.workflow.actions.get(at)).cloned();
    let asked = Asked::of(&desk.query, present.as_ref());
    let here = desk.frame.here.split('?').next().unwrap_or_default();
    let to = |query: &Fields, name: &str, value: &str| with_query(here, query, name, value);
    let query = desk.query.clone().without("choose");
    let Some(kind) = asked.kind else {
        if present.is_some() {
            return Err(Error::new(
                jackfield_core::Code::StateConflict,
                "This page does not know what this action does. Edit the workflow as a document.",
            ));
        }
        let choices = KINDS.iter().map(|kind| Choice {
            to: to(&query, "kind", kind.word),
            title: kind.title.to_owned(),
            about: kind.about.to_owned(),
        });
        let lead = format!("{}: what is done?", bench.when());
        let groups = vec![(String::new(), String::new(), choices.collect())];
        return Ok(Page::Choose(Box::new(Choose {
            frame: &desk.frame,
            bench,
            title: "Add an action",
            lead,
            groups,
            none: "",
            after: String::new(),
        })));
    };
    if asked.is_push() && !bench.grounds.connections.contains_key(&asked.connection) {
        return Ok(Page::Choose(Box::new(choose_connection(desk, bench, &query, here))));
    }
    if asked.is_push() && operation(&bench, &asked).is_none() {
        return Ok(Page::Choose(Box::new(choose_operation(desk, bench, &asked, &query, here))));
    }
    Ok(Page::Act(Box::new(act(desk, bench, kind, &asked, present.as_ref(), at, typed))))
}

fn choose_connection<'a>(desk: &'a Desk, bench: Bench, query: &Fields, here: &str) -> Choose<'a> {
    let able = bench.grounds.connections.iter().filter(|(_, connector)| !connector.modules.is_empty());
    let query = query.clone().without("module").without("operation");
    let choices: Vec<Choice> = able
        .map(|(link, connector)| {
            let modules = connector.modules.iter().map(|(name, module)| label(module.label.as_ref(), name));
            let modules: Vec<String> = modules.collect();
            Choice {
                to: with_query(here, &query, "connection", link),
                title: bench.called(link).to_owned(),
                about: format!("{}: {}", connector.name, modules.join(", ")),
            }
        })
        .collect();
    let others = bench.grounds.connections.len() - choices.len();
    let after = match others {
        0 => String::new(),
        many => format!(
            "{} of services of which nothing is described: they are called by the action “Call a service”.",
            crate::console::parts::count(many, "other connection is", "other connections are")
        ),
    };
    Choose {
        frame: &desk.frame,
        bench,
        title: "Push through which connection?",
        lead: "Those that this application may use.".to_owned(),
        groups: vec![(String::new(), String::new(), choices)],
        none: "This application may use no connection to a service that is described. Make one, or allow it one.",
        after,
    }
}

fn choose_operation<'a>(
    desk: &'a Desk,
    bench: Bench,
    asked: &Asked,
    query: &Fields,
    here: &str,
) -> Choose<'a> {
    let query = query
        .clone()
        .without("connection")
        .without("module")
        .without("operation")
        .with("connection", asked.connection.as_str());
    let connector = bench.grounds.connections.get(&asked.connection).cloned();
    let modules = connector.iter().flat_map(|connector| &connector.modules);
    let groups = modules.map(|(name, module)| {
        let choices = module.operations.iter().map(|(operation, described)| Choice {
            to: with_query(here, &query.clone().with("module", name.as_str()), "operation", operation),
            title: label(described.label.as_ref(), operation),
            about: described.description.clone().unwrap_or_default(),
        });
        (
            label(module.label.as_ref(), name),
            module.description.clone().unwrap_or_default(),
            choices.collect(),
        )
    });
    let lead = format!("What {} can do.", bench.called(&asked.connection));
    Choose {
        frame: &desk.frame,
        groups: groups.collect(),
        bench,
        title: "What is done there?",
        lead,
        none: "",
        after: String::new(),
    }
}

/// The targets of a table, what is mapped already, and what it is a table of.
fn targets(bench: &Bench, kind: &Kind, asked: &Asked) -> (Vec<Target>, String) {
    if asked.is_push() {
        let Some((_, module, operation)) = operation(bench, asked) else {
            return (Vec::new(), String::new());
        };
        let fields = module.fields_of(operation);
        let of =
            format!("{} at {}", label(module.label.as_ref(), &asked.module), bench.called(&asked.connection));
        return (fields.into_iter().map(Target::of_service).collect(), of);
    }
    if kind.asks.iter().any(|ask| ask.how == How::Sets) {
        let fields = bench.form().map_or(&[][..], |form| &form.fields);
        return (fields.iter().map(Target::of_record).collect(), format!("Record of {}", bench.form_name()));
    }
    (Vec::new(), String::new())
}

/// What is mapped in an action.
fn mapped(action: Option<&WorkflowAction>) -> BTreeMap<String, Mapped> {
    let push = action.and_then(|action| action.integration.as_ref()).map(|push| push.mapping.clone());
    let set = action.and_then(|action| action.update_record.as_ref()).map(|update| update.set.clone());
    push.or(set).unwrap_or_default()
}

fn act<'a>(
    desk: &'a Desk,
    bench: Bench,
    kind: &'static Kind,
    asked: &Asked,
    present: Option<&WorkflowAction>,
    at: Option<usize>,
    typed: Option<(Fields, &Error)>,
) -> Act<'a> {
    let overtaken = typed.as_ref().is_some_and(|(_, error)| was_overtaken(error));
    let index = at.unwrap_or(bench.workflow.actions.len());
    // What is wrong already, because something it names has changed since.
    let standing = || {
        let wrong = bench.workflow.check(&bench.grounds).err().unwrap_or_default();
        wrong
            .into_iter()
            .map(|wrong| FieldError { field: format!("definition.{}", wrong.field), ..wrong })
            .collect()
    };
    let faults: Vec<FieldError> = match (&typed, present) {
        (Some((_, error)), _) => error.fields.clone(),
        (None, Some(_)) => standing(),
        (None, None) => Vec::new(),
    };
    let wrong =
        typed.as_ref().filter(|(_, error)| error.fields.is_empty()).map(|(_, error)| error.detail.clone());
    let (own, in_table) = placed(&faults, kind, index);
    let (targets, of) = targets(&bench, kind, asked);
    let kept = mapped(present);
    let is_same = present.and_then(|action| action.integration.as_ref()).is_some_and(|push| {
        push.connection == asked.connection
            && push.module == asked.module
            && push.operation == asked.operation
    });
    let noise = [asked.module.as_str(), bench.workflow.form.as_str()];
    let table = (!targets.is_empty() || !kept.is_empty()).then(|| {
        let begins = match (&typed, asked.is_push()) {
            (Some((sent, _)), _) => Begins::Sent(sent),
            (None, true) if !is_same => Begins::Proposed(&kept, &noise),
            (None, _) => Begins::Mapped(&kept),
        };
        mapping::table(of, targets, &begins, &bench.sources(), &in_table)
    });
    let filled = match (typed, present) {
        (Some((fields, _)), _) => fields,
        (None, Some(action)) => kinds::inputs_of(kind, action),
        (None, None) => {
            let sender = Fields::default().with("on_failure", "stop");
            if kind.word == "invoke" { sender.with("invoke.method", "POST") } else { sender }
        }
    };
    let mut form = Form::refused(filled, &Error::invalid(own));
    form.wrong = wrong;
    let described = operation(&bench, asked);
    let at = described.map(|(_, module, operation)| {
        let words = [
            bench.called(&asked.connection).to_owned(),
            label(module.label.as_ref(), &asked.module),
            label(operation.label.as_ref(), &asked.operation),
        ];
        (asked.connection.clone(), words)
    });
    let about = described.and_then(|(_, _, operation)| operation.description.clone()).unwrap_or_default();
    let here = desk.frame.here.split('?').next().unwrap_or_default();
    let query = desk.query.clone().without("connection").without("module").without("operation");
    Act {
        frame: &desk.frame,
        elsewhere: with_query(here, &query, "choose", "again"),
        there: present.map(|action| action.name.clone()),
        kind,
        form,
        at: at.filter(|_| asked.is_push()),
        table,
        about,
        overtaken,
        bench,
    }
}

/// The errors of an action at the inputs of its page, and those in its table.
fn placed(faults: &[FieldError], kind: &Kind, index: usize) -> (Vec<FieldError>, Vec<FieldError>) {
    let own = format!("definition.actions.{index}.");
    let table = kind.asks.iter().find(|ask| matches!(ask.how, How::Mapping | How::Sets));
    let table = table.map(|ask| format!("{}.", ask.at));
    let (mut at_inputs, mut in_table) = (Vec::new(), Vec::new());
    for wrong in faults {
        let path = wrong.field.strip_prefix(&own).unwrap_or(&wrong.field);
        if let Some(rest) = table.as_ref().and_then(|table| path.strip_prefix(table.as_str())) {
            in_table.push(FieldError { field: rest.to_owned(), ..wrong.clone() });
            continue;
        }
        // `mail.to.0` stands at `mail.to`.
        let is_within = |input: &&str| {
            path.strip_prefix(*input).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let input = kind.asks.iter().map(|ask| ask.at).find(is_within).unwrap_or(path);
        at_inputs.push(FieldError { field: input.to_owned(), ..wrong.clone() });
    }
    (at_inputs, in_table)
}

async fn show(
    engine: &Engine,
    desk: &Desk,
    link: &str,
    workflow: Option<&str>,
    action: Option<&str>,
) -> Response {
    let bench = Bench::read(engine, desk, link, workflow).await;
    match bench.and_then(|bench| page(desk, bench, action, None)) {
        Ok(page) => page.respond(desk, None),
        Err(error) => desk.trouble(&error),
    }
}

pub(super) async fn ask_first(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    desk: Desk,
) -> Response {
    show(&engine, &desk, &link, None, None).await
}

pub(super) async fn ask_action(
    State(engine): State<Engine>,
    Path((link, workflow)): Link,
    desk: Desk,
) -> Response {
    show(&engine, &desk, &link, Some(&workflow), None).await
}

pub(super) async fn edit_action(
    State(engine): State<Engine>,
    Path((link, workflow, action)): ActionLink,
    desk: Desk,
) -> Response {
    show(&engine, &desk, &link, Some(&workflow), Some(&action)).await
}

pub(super) async fn make(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    put(&engine, sent, &link, None, None).await
}

pub(super) async fn add_action(
    State(engine): State<Engine>,
    Path((link, workflow)): Link,
    sent: Sent,
) -> Response {
    put(&engine, sent, &link, Some(&workflow), None).await
}

pub(super) async fn change_action(
    State(engine): State<Engine>,
    Path((link, workflow, action)): ActionLink,
    sent: Sent,
) -> Response {
    put(&engine, sent, &link, Some(&workflow), Some(&action)).await
}

/// A name that no other action has.
fn free_name(workflow: &Workflow, wanted: &str) -> String {
    let taken = |name: &String| workflow.actions.iter().any(|action| action.name == *name);
    (1..100)
        .map(|n| names::numbered(wanted, n))
        .find(|name| !taken(name))
        .unwrap_or_else(|| wanted.to_owned())
}

/// The action as the page describes it.
fn described(
    bench: &Bench,
    desk: &Desk,
    present: Option<&WorkflowAction>,
    sent: &Fields,
) -> Result<WorkflowAction> {
    let asked = Asked::of(&desk.query, present);
    let kind = asked.kind.ok_or_else(|| Error::field("kind", "required", "Choose what is done."))?;
    let mut inner = Map::new();
    let (targets, _) = targets(bench, kind, &asked);
    let table = kind.asks.iter().find(|ask| matches!(ask.how, How::Mapping | How::Sets));
    if let Some(ask) = table {
        let mapping = mapping::read(&targets, &mapped(present), sent).map_err(|error| {
            let below =
                |wrong: FieldError| FieldError { field: format!("{}.{}", ask.at, wrong.field), ..wrong };
            Error::invalid(error.fields.into_iter().map(below).collect())
        })?;
        inner.insert(ask.member().to_owned(), json!(mapping));
    }
    if asked.is_push() {
        let push = Integration {
            connection: asked.connection,
            module: asked.module,
            operation: asked.operation,
            mapping: BTreeMap::new(),
        };
        if let Value::Object(members) = json!(push) {
            inner.extend(members.into_iter().filter(|(name, _)| name != "mapping"));
        }
    }
    let name = sent
        .given("name")
        .or_else(|| present.map(|action| action.name.clone()))
        .unwrap_or_else(|| free_name(&bench.workflow, kind.name));
    kinds::action_of(kind, &name, sent, inner)
}

async fn put(
    engine: &Engine,
    sent: Sent,
    link: &str,
    workflow: Option<&str>,
    action: Option<&str>,
) -> Response {
    let Sent { desk, form } = sent;
    let saved = async {
        let bench = Bench::read(engine, &desk, link, workflow).await?;
        let at = action.map(|name| bench.position(name)).transpose()?;
        let present = at.and_then(|at| bench.workflow.actions.get(at));
        let made = described(&bench, &desk, present, &form)?;
        let mut definition = bench.workflow.clone();
        match at.and_then(|at| definition.actions.get_mut(at)) {
            Some(place) => *place = made,
            None => definition.actions.push(made),
        }
        if let Some(workflow) = workflow {
            let news = save(engine, &desk, &bench, &form, None, definition).await?;
            return Ok((workflow.to_owned(), news));
        }
        let new =
            NewComponent { name: bench.name.clone(), link_name: desk.query.given("link_name"), definition };
        let made = engine.create_built(&desk.op, link, new).await?;
        Ok::<_, Error>((made.link_name, format!("{} is made. Development serves it.", made.name)))
    };
    match saved.await {
        Ok((workflow, news)) => desk.done(&path(link, &format!("workflows/{workflow}")), &news),
        Err(error) if mends(&error) => {
            let bench = Bench::read(engine, &desk, link, workflow).await;
            match bench.and_then(|bench| page(&desk, bench, action, Some((form, &error)))) {
                Ok(page) => page.respond(&desk, Some(&error)),
                Err(error) => desk.trouble(&error),
            }
        }
        Err(error) => desk.trouble(&error),
    }
}

/// On to a page that says what was done, or what went wrong instead.
fn said(desk: &Desk, done: Result<String>, path: &str) -> Response {
    match done {
        Ok(news) => desk.done(path, &news),
        Err(error) => desk.trouble(&error),
    }
}

/// One place up or down.
pub(super) async fn shift(
    State(engine): State<Engine>,
    Path((link, workflow, action)): ActionLink,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let moved = async {
        let bench = Bench::read(&engine, &desk, &link, Some(&workflow)).await?;
        let at = bench.position(&action)?;
        let to = if form.get("to") == "up" { at.saturating_sub(1) } else { at + 1 };
        let mut definition = bench.workflow.clone();
        if to < definition.actions.len() {
            definition.actions.swap(at, to);
        }
        save(&engine, &desk, &bench, &form, None, definition).await
    };
    said(&desk, moved.await, &path(&link, &format!("workflows/{workflow}#action-{action}")))
}

/// Takes an action out. One that a later action needs, or the only one, stays: the engine says why.
pub(super) async fn remove(
    State(engine): State<Engine>,
    Path((link, workflow, action)): ActionLink,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let removed = async {
        let bench = Bench::read(&engine, &desk, &link, Some(&workflow)).await?;
        bench.position(&action)?;
        let mut definition = bench.workflow.clone();
        definition.actions.retain(|one| one.name != action);
        if definition.actions.is_empty() {
            return Err(Error::new(
                jackfield_core::Code::StateConflict,
                "It is the only action: a workflow does at least one thing. Add another first, or switch the workflow off.",
            ));
        }
        save(&engine, &desk, &bench, &form, None, definition).await
    };
    said(&desk, removed.await, &path(&link, &format!("workflows/{workflow}")))
}

#[derive(Template)]
#[template(path = "console/workflow_action_remove.html")]
struct Remove<'a> {
    frame: &'a Frame,
    bench: Bench,
    action: String,
}

pub(super) async fn ask_remove(
    State(engine): State<Engine>,
    Path((link, workflow, action)): ActionLink,
    desk: Desk,
) -> Response {
    let page = async {
        let bench = Bench::read(&engine, &desk, &link, Some(&workflow)).await?;
        bench.position(&action)?;
        Ok(Remove { frame: &desk.frame, bench, action })
    };
    desk.show(page.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_at_their_inputs_and_rows() {
        let wrong = |path: &str| FieldError::new(path, "invalid", "It is wrong.");
        let faults = [
            wrong("definition.actions.1.integration.mapping.DisplayName.lookup.by"),
            wrong("definition.actions.1.name"),
            wrong("definition.actions.0.name"),
            wrong("integration.mapping.Kind"),
        ];
        let push = kinds::kind("integration").unwrap();
        let (own, table) = placed(&faults, push, 1);
        let at = |all: Vec<FieldError>| all.into_iter().map(|wrong| wrong.field).collect::<Vec<_>>();
        assert_eq!(at(table), ["DisplayName.lookup.by", "Kind"]);
        assert_eq!(at(own), ["name", "definition.actions.0.name"]);
        let mail = [wrong("definition.actions.0.mail.to.3")];
        assert_eq!(at(placed(&mail, kinds::kind("mail").unwrap(), 0).0), ["mail.to"]);
    }

    #[test]
    fn another_connection_asks_for_its_own_operation() {
        let action: WorkflowAction = serde_json::from_value(json!({"name": "push", "integration":
            {"connection": "a", "module": "m", "operation": "o", "mapping": {}}}))
        .unwrap();
        let parts = |query: &[u8]| {
            let asked = Asked::of(&Fields::parse(query), Some(&action));
            [asked.connection, asked.module, asked.operation]
        };
        assert_eq!(parts(b""), ["a", "m", "o"]);
        assert_eq!(parts(b"choose=again"), ["", "", ""]);
        assert_eq!(parts(b"connection=b"), ["b", "", ""]);
        assert_eq!(parts(b"connection=a&module=n&operation=p"), ["a", "n", "p"]);
    }

    #[test]
    fn triggers_have_the_words_of_documents() {
        for trigger in [Trigger::Created, Trigger::Edited, Trigger::CreatedOrEdited, Trigger::Deleted] {
            assert_eq!(trigger_of(&trigger_name(trigger)), trigger);
        }
    }
}
