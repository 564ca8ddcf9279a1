//! Workflows of an application, read as sentences: when what happens, what is done, and where each value comes from. They are written part by
//! part ([`editor`]); the document can be written, too.

mod editor;
mod kinds;
mod mapping;
mod rehearsal;

pub(super) use kinds::{source_of, source_text};

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::connector::{self, Operation};
use jackfield_core::form::{Form as Document, FormField};
use jackfield_core::workflow::{
    Currency, Grounds, Integration, Mapped, OnFailure, Trigger, Work, Workflow, WorkflowAction,
};
use jackfield_core::{Result, Timestamp};
use jackfield_engine::automate::components::{BuiltView, ComponentPatch};
use jackfield_engine::connect::connections::ConnectionQuery;
use jackfield_engine::{Engine, Op, Page};
use serde_json::{Value, json};

use super::applications::{Head, next, path};
use super::built::{self, Words, text_of};
use super::common::{People, asked_page, most};
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form};
use super::forms::field::kind_word;
use super::parts::{self, Status};
use super::runs::{Called, pretty};

const WORDS: Words = Words {
    tab: "workflows",
    one: "workflow",
    lead: "When it runs, and what is done then. What would fail later is said when you save. Development serves it at once; stage and production when you publish.",
    ends: &[
        "Nothing runs by it in development any more. Runs that wait fail, and the others stay in the history.",
        "The connections that it uses can be deleted, if nothing else uses them.",
        "A workflow that stage or production serves is not deleted: switch it off, publish, then delete it.",
    ],
};

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/workflows", get(list))
        .route(
            "/console/applications/{link}/workflows/new-workflow",
            get(editor::ask_new).post(editor::begin),
        )
        .route("/console/applications/{link}/workflows/new-action", get(editor::ask_first).post(editor::make))
        .route("/console/applications/{link}/workflows/new-document", get(ask_new).post(create))
        .route("/console/applications/{link}/workflows/{workflow}", get(show))
        .route(
            "/console/applications/{link}/workflows/{workflow}/try",
            get(rehearsal::ask).post(rehearsal::sample),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/when",
            get(editor::ask_when).post(editor::set_when),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/actions/new-action",
            get(editor::ask_action).post(editor::add_action),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/actions/{action}",
            get(editor::edit_action).post(editor::change_action),
        )
        .route("/console/applications/{link}/workflows/{workflow}/actions/{action}/move", post(editor::shift))
        .route(
            "/console/applications/{link}/workflows/{workflow}/actions/{action}/remove",
            get(editor::ask_remove).post(editor::remove),
        )
        .route("/console/applications/{link}/workflows/{workflow}/edit", get(edit).post(update))
        .route("/console/applications/{link}/workflows/{workflow}/enabled", post(switch))
        .route("/console/applications/{link}/workflows/{workflow}/delete", get(ask_delete).post(delete))
}

pub(super) fn trigger_words(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Created => "is created",
        Trigger::Edited => "is edited",
        Trigger::CreatedOrEdited => "is created or edited",
        Trigger::Deleted => "is deleted",
    }
}

/// Names of the connections that an application may use.
pub(super) async fn connections(
    engine: &Engine,
    op: &Op,
    application: &str,
) -> Result<BTreeMap<String, String>> {
    let query = ConnectionQuery {
        application: Some(application.to_owned()),
        limit: Some(200),
        ..ConnectionQuery::default()
    };
    let found = engine.list_connections(op, &query).await?.items;
    Ok(found.into_iter().map(|one| (one.link_name, one.name)).collect())
}

/// What an action does, as a sentence with a connection in it: *push to* Acme *→ Vendor → Create*.
pub(super) struct Doing {
    pub name: String,
    pub does: String,
    /// link name and name of the connection
    pub at: Option<(String, String)>,
    pub then: String,
}

pub(super) fn doing(
    action: &WorkflowAction,
    connections: &BTreeMap<String, String>,
    grounds: Option<&Grounds>,
) -> Doing {
    let (does, then) = match action.work() {
        Some(Work::Integration(push)) => {
            let known = grounds.and_then(|grounds| operation(grounds, push));
            let label =
                |label: Option<&String>, name: &str| label.cloned().unwrap_or_else(|| name.to_owned());
            let module = label(known.and_then(|(module, _)| module.label.as_ref()), &push.module);
            let does = label(known.and_then(|(_, operation)| operation.label.as_ref()), &push.operation);
            ("push to".to_owned(), format!("→ {module} → {does}"))
        }
        Some(Work::Invoke(call)) => {
            ("call".to_owned(), format!("with {} {}", call.method.as_str(), call.url))
        }
        Some(Work::Mail(mail)) => {
            (format!("send a mail to {}: {}", mail.to.join(", "), mail.subject), String::new())
        }
        Some(Work::UpdateRecord(update)) => {
            let fields: Vec<&str> = update.set.keys().map(String::as_str).collect();
            (format!("set {} of the record", fields.join(", ")), String::new())
        }
        Some(Work::Webhook(webhook)) => (format!("send a webhook to {}", webhook.url), String::new()),
        Some(Work::Payment(payment)) => {
            ("ask for a payment through".to_owned(), format!("for {}", payment.description))
        }
        Some(Work::Pull(pull)) => {
            let much = if pull.full { "pull all of" } else { "pull" };
            (format!("{much} the datasource {}", pull.datasource), String::new())
        }
        None => ("nothing that is known".to_owned(), String::new()),
    };
    let at = action
        .connection()
        .map(|link| (link.to_owned(), connections.get(link).map_or(link, String::as_str).to_owned()));
    Doing { name: action.name.clone(), does, at, then }
}

struct Line {
    link_name: String,
    name: String,
    enabled: bool,
    form: String,
    when: &'static str,
    condition: Option<String>,
    doings: Vec<Doing>,
}

#[derive(Template)]
#[template(path = "console/workflows.html")]
struct List<'a> {
    frame: &'a Frame,
    head: Head,
    lines: Vec<Line>,
    next: Option<String>,
    has_forms: bool,
}

async fn list(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find(&engine, &desk, &link).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<List<'a>> {
    let head = Head::read(engine, desk, link, "workflows").await?;
    let page: Page<BuiltView<Workflow>> = engine.list_built(&desk.op, link, &asked_page(desk)).await?;
    let forms = engine.list_built::<Document>(&desk.op, link, &most()).await?.items;
    let names = Called::of::<Document>(engine, &desk.op, link).await?;
    let connections = connections(engine, &desk.op, link).await?;
    let next = next(desk, &head.path("workflows"), &page);
    let line = |one: BuiltView<Workflow>| Line {
        form: names.name(&one.definition.form).to_owned(),
        when: trigger_words(one.definition.on),
        doings: one.definition.actions.iter().map(|action| doing(action, &connections, None)).collect(),
        condition: one.definition.condition,
        enabled: one.definition.enabled,
        link_name: one.link_name,
        name: one.name,
    };
    let lines = page.items.into_iter().map(line).collect();
    Ok(List { frame: &desk.frame, head, lines, next, has_forms: !forms.is_empty() })
}

/// A field of the service, or of the record, and where its value comes from.
pub(super) struct Source {
    /// the type of what is taken, where a field is
    pub of: &'static str,
    pub title: String,
    pub name: String,
    pub kind: &'static str,
    pub required: bool,
    /// how the value comes about
    pub by: &'static str,
    pub from: String,
}

/// Where a value comes from.
fn source(mapped: &Mapped, form: Option<&Document>) -> (&'static str, String) {
    match mapped {
        Mapped::Value(value) => ("Always", value.to_string()),
        Mapped::Field(name) => {
            let title = form.and_then(|form| form.field(name)).map_or(name.as_str(), FormField::title);
            ("Field", title.to_owned())
        }
        Mapped::Expression(text) => ("Expression", text.clone()),
        Mapped::Text(text) => ("Text", text.clone()),
        Mapped::Lookup(lookup) => (
            "Looked up",
            match &lookup.datasource {
                None => format!(
                    "{} of the record of {} whose {} is {}",
                    lookup.take, lookup.form, lookup.by, lookup.is
                ),
                Some(table) => {
                    format!("{} of the row of {table} whose {} is {}", lookup.take, lookup.by, lookup.is)
                }
            },
        ),
    }
}

/// One action on the page of a workflow or schedule.
pub(super) struct Act {
    pub doing: Doing,
    pub condition: Option<String>,
    pub goes_on: bool,
    pub sources: Vec<Source>,
    /// fields of the service that are not mapped
    pub unmapped: usize,
    /// what a call or a mail has besides
    pub more: Option<String>,
    /// what does not fit any more
    pub wrong: Vec<String>,
    /// whether it has a page of its own
    pub known: bool,
}

fn operation<'a>(grounds: &'a Grounds, push: &Integration) -> Option<(&'a connector::Module, &'a Operation)> {
    let module = grounds.connections.get(&push.connection)?.modules.get(&push.module)?;
    Some((module, module.operations.get(&push.operation)?))
}

pub(super) fn act(
    action: &WorkflowAction,
    grounds: &Grounds,
    form: Option<&Document>,
    connections: &BTreeMap<String, String>,
) -> Act {
    let mut act = Act {
        doing: doing(action, connections, Some(grounds)),
        wrong: Vec::new(),
        known: kinds::kind_of(action).is_some(),
        condition: action.condition.clone(),
        goes_on: action.on_failure == OnFailure::Continue,
        sources: Vec::new(),
        unmapped: 0,
        more: None,
    };
    let mut put = |name: &str, mapped: &Mapped, title: &str, kind: &'static str, required: bool| {
        let (by, from) = source(mapped, form);
        let of = match mapped {
            Mapped::Field(name) => {
                form.and_then(|form| form.field(name)).map_or("", |field| kind_word(&field.kind))
            }
            _ => "",
        };
        act.sources.push(Source {
            of,
            title: title.to_owned(),
            name: name.to_owned(),
            kind,
            required,
            by,
            from,
        });
    };
    match action.work() {
        Some(Work::Integration(push)) => {
            let known = operation(grounds, push);
            let fields = known.map_or_else(Vec::new, |(module, operation)| module.fields_of(operation));
            for (name, mapped) in &push.mapping {
                let field = fields.iter().find(|field| field.name == *name);
                let title = field.and_then(|field| field.label.as_deref()).unwrap_or(name);
                let kind = field.map_or("", |field| mapping::type_word(field.kind));
                put(name, mapped, title, kind, field.is_some_and(|field| field.required));
            }
            let left = fields.iter().filter(|field| !push.mapping.contains_key(&field.name));
            act.unmapped = left.count();
        }
        Some(Work::UpdateRecord(update)) => {
            for (name, mapped) in &update.set {
                let field = form.and_then(|form| form.field(name));
                let title = field.map_or(name.as_str(), FormField::title);
                put(name, mapped, title, field.map_or("", |field| kind_word(&field.kind)), false);
            }
        }
        Some(Work::Invoke(call)) => {
            let besides = json!({"query": call.query, "headers": call.headers, "body": call.body});
            let besides: BTreeMap<&str, &Value> = besides
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| !value.is_null() && **value != json!({}))
                .map(|(name, value)| (name.as_str(), value))
                .collect();
            act.more = if besides.is_empty() { None } else { pretty(Some(&json!(besides))) };
        }
        Some(Work::Mail(mail)) => act.more = Some(mail.text.clone()),
        Some(Work::Webhook(webhook)) => act.more = pretty(Some(&webhook.body)),
        Some(Work::Payment(payment)) => {
            put("amount", &payment.amount, "Amount", "decimal", true);
            match &payment.currency {
                Currency::Code(code) => {
                    put("currency", &Mapped::Value(code.as_str().into()), "Currency", "", true);
                }
                Currency::Mapped(mapped) => put("currency", mapped, "Currency", "", true),
            }
            if let Some(email) = &payment.email {
                put("email", email, "E-mail of the payer", "email", false);
            }
        }
        Some(Work::Pull(_)) | None => {}
    }
    act
}

#[derive(Template)]
#[template(path = "console/workflow.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    built: BuiltView<Workflow>,
    by: String,
    form: String,
    when: &'static str,
    acts: Vec<Act>,
    /// what of its trigger does not fit any more
    wrong: Vec<String>,
}

impl Show<'_> {
    fn path(&self) -> String {
        self.head.path(&format!("workflows/{}", self.built.link_name))
    }
}

async fn show(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = read(&engine, &desk, &link, &workflow).await;
    desk.show(page)
}

async fn read<'a>(engine: &Engine, desk: &'a Desk, link: &str, workflow: &str) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "workflows").await?;
    let built = engine.read_built::<Workflow>(&desk.op, link, workflow).await?;
    let grounds = engine.read_grounds(&desk.op, link).await?;
    let connections = connections(engine, &desk.op, link).await?;
    let form = engine.read_built::<Document>(&desk.op, link, &built.definition.form).await.ok();
    let people = People::of(engine, desk).await?;
    let document = form.as_ref().map(|form| &form.definition);
    let acts = built.definition.actions.iter();
    let mut acts: Vec<Act> = acts.map(|action| act(action, &grounds, document, &connections)).collect();
    // What it names may have changed since it was saved.
    let mut rest = Vec::new();
    for fault in built.definition.check(&grounds).err().unwrap_or_default() {
        let index =
            fault.field.strip_prefix("actions.").and_then(|path| path.split('.').next()?.parse().ok());
        match index.and_then(|index: usize| acts.get_mut(index)) {
            Some(act) => act.wrong.push(fault.message),
            None => rest.push(fault.message),
        }
    }
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        head,
        by: people.name(&built.created_by).to_owned(),
        when: trigger_words(built.definition.on),
        acts,
        wrong: rest,
        form: form.map_or_else(|| built.definition.form.clone(), |form| form.name),
        built,
    })
}

/// A value that a field of a service could have.
fn sample(field: &connector::Field) -> Value {
    use connector::FieldType as F;
    if let Some(choice) = field.choices.first() {
        return json!(choice.value);
    }
    match field.kind {
        F::Integer | F::Number => json!(1),
        F::Boolean => json!(true),
        F::Date => json!("2026-11-22"),
        F::DateTime => json!("2026-11-22T14:30:00Z"),
        F::Object => json!({}),
        F::List => json!([]),
        F::Email => json!("somebody@example.com"),
        F::Url => json!("https://example.com"),
        F::String | F::Text | F::Phone => json!("something"),
    }
}

/// A push to the first connection whose service can make something.
fn push(grounds: &Grounds, text: &str) -> Option<Value> {
    let mut all = grounds.connections.iter().flat_map(|(link, connector)| {
        connector.modules.iter().map(move |(name, module)| (link, name, module))
    });
    let (link, name, module) = all.find(|(_, _, module)| module.operations.contains_key("create"))?;
    let fields = module.fields_of(module.operations.get("create")?);
    let is_text = |field: &&connector::Field| {
        field.choices.is_empty()
            && matches!(field.kind, connector::FieldType::String | connector::FieldType::Text)
    };
    let mut mapping = serde_json::Map::new();
    for field in fields.iter().filter(|field| field.required) {
        let from = if is_text(field) { json!({"field": text}) } else { json!({"value": sample(field)}) };
        mapping.insert(field.name.clone(), from);
    }
    if mapping.is_empty()
        && let Some(field) = fields.iter().find(|field| is_text(field))
    {
        mapping.insert(field.name.clone(), json!({"field": text}));
    }
    Some(json!({"connection": link, "module": name, "operation": "create", "mapping": mapping}))
}

/// What a new workflow begins with: made of the first form and the first connection there is.
fn example(forms: &[BuiltView<Document>], grounds: &Grounds) -> Fields {
    let form = forms.first();
    let link = form.map_or("form", |form| form.link_name.as_str());
    let text = form.and_then(|form| form.definition.fields.iter().find(|field| field.kind.is_text()));
    let text = text.map_or("id", |field| field.name.as_str());
    let action = match push(grounds, text) {
        Some(push) => json!({"name": "push", "integration": push}),
        None => {
            json!({"name": "tell", "mail": {"to": ["somebody@example.com"], "subject": "Something was sent in",
            "text": format!("{{{{ record.{text} }}}}")}})
        }
    };
    let workflow = json!({"form": link, "on": "created", "actions": [action]});
    let workflow: Option<Workflow> = serde_json::from_value(workflow).ok();
    Fields::default().with("definition", workflow.as_ref().map(text_of).unwrap_or_default())
}

async fn ask_new(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = async {
        let grounds = engine.read_grounds(&desk.op, &link).await?;
        let forms = engine.list_built::<Document>(&desk.op, &link, &most()).await?.items;
        built::ask_new(&engine, &desk, &link, &WORDS, Form::new(example(&forms, &grounds))).await
    };
    desk.show(page.await)
}

async fn create(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    built::create::<Workflow>(&engine, sent, &link, &WORDS).await
}

async fn edit(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = built::edit::<Workflow>(&engine, &desk, &link, &workflow, &WORDS, None).await;
    desk.show(page)
}

async fn update(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    built::update::<Workflow>(&engine, sent, &link, &workflow, &WORDS).await
}

/// On or off: the same definition with one word changed.
async fn switch(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let enabled = form.get("enabled") == "true";
    let switched = async {
        let built = engine.read_built::<Workflow>(&desk.op, &link, &workflow).await?;
        let patch = ComponentPatch {
            name: None,
            definition: Some(Workflow { enabled, ..built.definition }),
            version: form.get("version").parse().ok(),
        };
        engine.update_built(&desk.op, &link, &workflow, patch).await
    };
    let news = if enabled {
        "It is on in development. Publish it to have it on elsewhere."
    } else {
        "It is off in development: nothing more runs by it there. Publish it to have it off elsewhere."
    };
    desk.then(switched.await, &path(&link, &format!("workflows/{workflow}")), news)
}

async fn ask_delete(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = built::ask_delete::<Workflow>(&engine, &desk, &link, &workflow, &WORDS, Form::default()).await;
    desk.show(page)
}

async fn delete(
    State(engine): State<Engine>,
    Path((link, workflow)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    built::delete::<Workflow>(&engine, sent, &link, &workflow, &WORDS).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_value_comes_from_is_said() {
        for (mapped, said) in [
            (json!({"value": 5}), ("Always", "5")),
            (json!({"field": "vendor"}), ("Field", "Vendor name")),
            (json!({"field": "id"}), ("Field", "id")),
            (json!({"expression": "record.a|upper"}), ("Expression", "record.a|upper")),
            (json!({"text": "No. {{ record.a }}"}), ("Text", "No. {{ record.a }}")),
            (
                json!({"lookup": {"form": "customers", "by": "email", "is": "record.email", "take": "name"}}),
                ("Looked up", "name of the record of customers whose email is record.email"),
            ),
        ] {
            let form: Document =
                serde_json::from_value(json!({"fields": [{"name": "vendor", "label": "Vendor name"}]}))
                    .unwrap();
            let mapped: Mapped = serde_json::from_value(mapped).unwrap();
            assert_eq!(source(&mapped, Some(&form)), (said.0, said.1.to_owned()));
        }
    }

    #[test]
    fn without_anything_there_is_an_example_all_the_same() {
        let fields = example(&[], &Grounds::default());
        let workflow: Workflow = serde_json::from_str(fields.get("definition")).unwrap();
        assert_eq!(workflow.actions[0].name, "tell");
    }
}
