//! Workflows of an application, read as sentences: when what happens, what is done, and where each value comes from. They are written part by
//! part ([`when`], and [`actions`] with what is done); the document can be written, too.

mod rehearsal;
mod when;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::connector;
use jackfield_core::form::Form as Document;
use jackfield_core::workflow::{Grounds, Trigger, Workflow};
use jackfield_core::{Result, Timestamp};
use jackfield_engine::automate::components::{BuiltView, ComponentPatch};
use jackfield_engine::{Engine, Page};
use serde_json::{Value, json};

use super::actions::{Act, Doing, acts, connections, doing, page};
use super::applications::{Head, next, path};
use super::built::{self, Words, text_of};
use super::common::{People, asked_page, most};
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form};
use super::parts::{self, Status};
use super::runs::Called;

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
        .route("/console/applications/{link}/workflows/new-workflow", get(when::ask_new).post(when::begin))
        .route(
            "/console/applications/{link}/workflows/new-action",
            get(page::ask_first::<Workflow>).post(page::make::<Workflow>),
        )
        .route("/console/applications/{link}/workflows/new-document", get(ask_new).post(create))
        .route("/console/applications/{link}/workflows/{workflow}", get(show))
        .route(
            "/console/applications/{link}/workflows/{workflow}/try",
            get(rehearsal::ask).post(rehearsal::sample),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/when",
            get(when::ask_when).post(when::set_when),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/actions/new-action",
            get(page::ask_another::<Workflow>).post(page::add::<Workflow>),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/actions/{action}",
            get(page::ask_to_change::<Workflow>).post(page::change::<Workflow>),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/actions/{action}/move",
            post(page::shift::<Workflow>),
        )
        .route(
            "/console/applications/{link}/workflows/{workflow}/actions/{action}/remove",
            get(page::ask_to_remove::<Workflow>).post(page::remove::<Workflow>),
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

    fn version(&self) -> i64 {
        self.built.version
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
    let (acts, wrong) = acts(&built.definition, &grounds, document, &connections);
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        head,
        by: people.name(&built.created_by).to_owned(),
        when: trigger_words(built.definition.on),
        acts,
        wrong,
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
    fn without_anything_there_is_an_example_all_the_same() {
        let fields = example(&[], &Grounds::default());
        let workflow: Workflow = serde_json::from_str(fields.get("definition")).unwrap();
        assert_eq!(workflow.actions[0].name, "tell");
    }
}
