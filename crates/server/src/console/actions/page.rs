//! The pages of an action: what is chosen in steps, the action itself, its place among the others, and how it is taken out.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jackfield_core::connector::{Connector, Module, Operation};
use jackfield_core::workflow::{Integration, Mapped, WorkflowAction};
use jackfield_core::{Code, Environment, Error, FieldError, Result, names};
use jackfield_engine::Engine;
use jackfield_engine::automate::components::NewComponent;
use jackfield_engine::automate::described::{DescribedFields, FieldsAsked};
use serde_json::{Map, Value, json};

use super::kinds::{self, Ask, How, Kind};
use super::mapping::{self, Begins, Table, Target};
use super::{Acting, Bench, save};
use crate::console::applications::path;
use crate::console::common::{mends, was_overtaken};
use crate::console::desk::{Desk, Frame, Sent};
use crate::console::form::{Field, Fields, Form, with_query};
use crate::console::inputs::connection;

type Link = Path<(String, String)>;
type ActionLink = Path<(String, String, String)>;

/// Something to choose, as a page of links.
struct Choice {
    to: String,
    title: String,
    about: String,
}

#[derive(Template)]
#[template(path = "console/action_choose.html")]
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
#[template(path = "console/action.html")]
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
    /// where the service may say which further fields there are
    more: Option<More>,
    /// what the operation does
    about: String,
    overtaken: bool,
}

/// What a service itself says of the further fields of an operation.
#[derive(Clone)]
struct More {
    /// its name
    service: String,
    now: jackfield_core::Timestamp,
    /// what it said, as far as that is at hand
    told: Option<DescribedFields>,
    /// why it could not be asked
    wrong: Option<String>,
}

impl More {
    /// How many it named, in words.
    fn count(&self) -> String {
        let many = self.told.as_ref().map_or(0, |told| told.items.len());
        crate::console::parts::count(many, "further field", "further fields")
    }
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
                let all = self.bench.grounds.connections.keys();
                connection(form, name, label, all.map(|link| (link.as_str(), self.bench.called(link))))
            }
            How::Line | How::Whole | How::Source | How::Code | How::Mapping | How::Sets => {
                form.text(name, label)
            }
        };
        let field = field.help(ask.help(self.bench.is_timed()));
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
fn operation<'a>(bench: &'a Bench, asked: &Asked) -> Option<(&'a Connector, &'a Module, &'a Operation)> {
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

/// What was typed, and what is wrong with it, unless it was sent for something else than to be saved.
type Typed<'e> = Option<(Fields, Option<&'e Error>)>;

fn page<'a>(
    desk: &'a Desk,
    bench: Bench,
    action: Option<&str>,
    typed: Typed<'_>,
    more: Option<More>,
) -> Result<Page<'a>> {
    let at = action.map(|name| bench.position(name)).transpose()?;
    let present = at.and_then(|at| bench.actions.get(at)).cloned();
    let asked = Asked::of(&desk.query, present.as_ref());
    let here = desk.frame.here.split('?').next().unwrap_or_default();
    let to = |query: &Fields, name: &str, value: &str| with_query(here, query, name, value);
    let query = desk.query.clone().without("choose");
    let Some(kind) = asked.kind.filter(|kind| !bench.lacks.contains(&kind.word)) else {
        if present.is_some() {
            return Err(Error::new(
                Code::StateConflict,
                format!(
                    "This page does not know what this action does. Edit the {} as a document.",
                    bench.one
                ),
            ));
        }
        let choices = bench.kinds().into_iter().map(|kind| Choice {
            to: to(&query, "kind", kind.word),
            title: kind.title.to_owned(),
            about: kind.about.to_owned(),
        });
        let lead = format!("{}: what is done?", bench.when);
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
    Ok(Page::Act(Box::new(act(desk, bench, kind, &asked, present.as_ref(), at, typed, more))))
}

/// What the service says of the further fields of the operation that the address asks for; `None`: its connector does not say that it would.
/// `ask`: it is asked now, else only what is at hand is shown. That it cannot be asked is said, and the fixed fields can be used.
async fn more_of(
    engine: &Engine,
    desk: &Desk,
    bench: &Bench,
    action: Option<&str>,
    sent: Option<&Fields>,
    ask: bool,
) -> Option<More> {
    let present = action.and_then(|name| bench.actions.iter().find(|action| action.name == name));
    let asked = Asked::of(&desk.query, present);
    let (connector, _, described) = operation(bench, &asked)?;
    described.more_fields.as_ref()?;
    let push = same_push(present, &asked);
    let query = FieldsAsked {
        module: &asked.module,
        operation: &asked.operation,
        // What is built is served to development first.
        environment: Some(Environment::Development.as_str()),
        given: match (sent, push) {
            (Some(sent), _) => mapping::given_in(sent),
            (None, Some(push)) => push.given(),
            (None, None) => BTreeMap::new(),
        },
        refresh: ask,
        ..FieldsAsked::default()
    };
    let told = if ask {
        engine.described_fields(&desk.op, &asked.connection, &query).await.map(Some)
    } else {
        engine.kept_fields(&desk.op, &asked.connection, &query).await
    };
    let (told, wrong) = match told {
        Ok(told) => (told, None),
        Err(error) if ask => {
            let why = error.fields.into_iter().next().map_or(error.detail, |wrong| wrong.message);
            (None, Some(why))
        }
        Err(_) => (None, None),
    };
    Some(More { service: connector.name.clone(), now: desk.op.now, told, wrong })
}

/// The push of an action, where the address asks for the same operation.
fn same_push<'a>(present: Option<&'a WorkflowAction>, asked: &Asked) -> Option<&'a Integration> {
    present?.integration.as_ref().filter(|push| {
        push.connection == asked.connection
            && push.module == asked.module
            && push.operation == asked.operation
    })
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
fn targets(
    bench: &Bench,
    kind: &Kind,
    asked: &Asked,
    present: Option<&WorkflowAction>,
    sent: Option<&Fields>,
    more: Option<&More>,
) -> (Vec<Target>, String) {
    if asked.is_push() {
        let Some((_, module, operation)) = operation(bench, asked) else {
            return (Vec::new(), String::new());
        };
        let fields = module.fields_of(operation);
        let into = operation.more_fields.as_ref().and_then(|more| more.into.as_deref());
        let mut all: Vec<Target> = fields.iter().map(|field| Target::of_service(field)).collect();
        // Further fields go into it: nobody has to write it himself.
        all.iter_mut()
            .filter(|target| Some(target.name.as_str()) == into)
            .for_each(|target| target.required = false);
        if let Some(more) = more {
            all.extend(further(more, same_push(present, asked), sent, &all));
        }
        let of =
            format!("{} at {}", label(module.label.as_ref(), &asked.module), bench.called(&asked.connection));
        return (all, of);
    }
    if kind.asks.iter().any(|ask| ask.how == How::Sets) {
        let fields = bench.form().map_or(&[][..], |form| &form.fields);
        return (fields.iter().map(Target::of_record).collect(), format!("Record of {}", bench.form_name()));
    }
    (Vec::new(), String::new())
}

/// What the service described, and what is mapped beside it though nobody knows now whether it did.
fn further(more: &More, push: Option<&Integration>, sent: Option<&Fields>, fixed: &[Target]) -> Vec<Target> {
    let told = more.told.iter().flat_map(|told| &told.items);
    let mut found: Vec<Target> = told.map(Target::of_description).collect();
    if more.told.as_ref().is_some_and(|told| told.whole) {
        return found;
    }
    let mapped = match (sent, push) {
        (Some(sent), _) => mapping::told_in(sent),
        (None, Some(push)) => mapping::told_of(push),
        (None, None) => Vec::new(),
    };
    let known: BTreeSet<String> = fixed.iter().chain(&found).map(|target| target.name.clone()).collect();
    found.extend(mapped.into_iter().filter(|target| !known.contains(&target.name)));
    found
}

/// What is mapped in an action.
fn mapped(action: Option<&WorkflowAction>) -> BTreeMap<String, Mapped> {
    let push = action.and_then(|action| action.integration.as_ref()).map(|push| push.mapping.clone());
    let set = action.and_then(|action| action.update_record.as_ref()).map(|update| update.set.clone());
    push.or(set).unwrap_or_default()
}

#[allow(clippy::too_many_arguments, reason = "what one page is made of")]
fn act<'a>(
    desk: &'a Desk,
    bench: Bench,
    kind: &'static Kind,
    asked: &Asked,
    present: Option<&WorkflowAction>,
    at: Option<usize>,
    typed: Typed<'_>,
    more: Option<More>,
) -> Act<'a> {
    let error = typed.as_ref().and_then(|(_, error)| *error);
    let overtaken = error.is_some_and(was_overtaken);
    let index = at.unwrap_or(bench.actions.len());
    // What is wrong already, because something it names has changed since.
    let standing = || {
        let below =
            |wrong: &FieldError| FieldError { field: format!("definition.{}", wrong.field), ..wrong.clone() };
        bench.standing.iter().map(below).collect()
    };
    let faults: Vec<FieldError> = match (&typed, error, present) {
        (_, Some(error), _) => error.fields.clone(),
        (None, None, Some(_)) => standing(),
        (_, None, _) => Vec::new(),
    };
    let wrong = error.filter(|error| error.fields.is_empty()).map(|error| error.detail.clone());
    let (own, in_table) = placed(&faults, kind, index);
    let sent = typed.as_ref().map(|(sent, _)| sent);
    let (targets, of) = targets(&bench, kind, asked, present, sent, more.as_ref());
    let kept = mapped(present);
    let is_same = same_push(present, asked).is_some();
    let noise = [asked.module.as_str(), bench.on.as_deref().unwrap_or_default()];
    let table = (!targets.is_empty() || !kept.is_empty()).then(|| {
        let begins = match (&typed, asked.is_push()) {
            // What is mapped already is nobody's to propose.
            (Some((sent, None)), true) => Begins::Asked(sent, (!is_same).then_some(&noise[..])),
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
        more: more.filter(|_| asked.is_push()),
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

async fn show<D: Acting>(
    engine: &Engine,
    desk: &Desk,
    link: &str,
    name: Option<&str>,
    action: Option<&str>,
) -> Response {
    let made = async {
        let (bench, _) = Bench::read::<D>(engine, desk, link, name).await?;
        let more = more_of(engine, desk, &bench, action, None, false).await;
        page(desk, bench, action, None, more)
    };
    match made.await {
        Ok(page) => page.respond(desk, None),
        Err(error) => desk.trouble(&error),
    }
}

/// The page once more with what was typed: because something is wrong with it, or because the service is asked for more fields.
async fn once_more<D: Acting>(
    engine: &Engine,
    desk: &Desk,
    link: &str,
    name: Option<&str>,
    action: Option<&str>,
    (form, error): (Fields, Option<&Error>),
) -> Response {
    let made = async {
        let (bench, _) = Bench::read::<D>(engine, desk, link, name).await?;
        let more = more_of(engine, desk, &bench, action, Some(&form), error.is_none()).await;
        page(desk, bench, action, Some((form, error)), more)
    };
    match made.await {
        Ok(page) => page.respond(desk, error),
        Err(error) => desk.trouble(&error),
    }
}

pub(in crate::console) async fn ask_first<D: Acting>(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    desk: Desk,
) -> Response {
    show::<D>(&engine, &desk, &link, None, None).await
}

pub(in crate::console) async fn ask_another<D: Acting>(
    State(engine): State<Engine>,
    Path((link, name)): Link,
    desk: Desk,
) -> Response {
    show::<D>(&engine, &desk, &link, Some(&name), None).await
}

pub(in crate::console) async fn ask_to_change<D: Acting>(
    State(engine): State<Engine>,
    Path((link, name, action)): ActionLink,
    desk: Desk,
) -> Response {
    show::<D>(&engine, &desk, &link, Some(&name), Some(&action)).await
}

/// The first action, and with it the whole.
pub(in crate::console) async fn make<D: Acting>(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    sent: Sent,
) -> Response {
    put::<D>(&engine, sent, &link, None, None).await
}

pub(in crate::console) async fn add<D: Acting>(
    State(engine): State<Engine>,
    Path((link, name)): Link,
    sent: Sent,
) -> Response {
    put::<D>(&engine, sent, &link, Some(&name), None).await
}

pub(in crate::console) async fn change<D: Acting>(
    State(engine): State<Engine>,
    Path((link, name, action)): ActionLink,
    sent: Sent,
) -> Response {
    put::<D>(&engine, sent, &link, Some(&name), Some(&action)).await
}

/// A name that no other action has.
fn free_name(actions: &[WorkflowAction], wanted: &str) -> String {
    let taken = |name: &String| actions.iter().any(|action| action.name == *name);
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
    more: Option<&More>,
) -> Result<WorkflowAction> {
    let asked = Asked::of(&desk.query, present);
    let kind = asked.kind.ok_or_else(|| Error::field("kind", "required", "Choose what is done."))?;
    let mut inner = Map::new();
    let (targets, _) = targets(bench, kind, &asked, present, Some(sent), more);
    let mut push = asked.is_push().then(|| Integration {
        connection: asked.connection,
        module: asked.module,
        operation: asked.operation,
        mapping: BTreeMap::new(),
        types: BTreeMap::new(),
        shapes: BTreeMap::new(),
    });
    let table = kind.asks.iter().find(|ask| matches!(ask.how, How::Mapping | How::Sets));
    if let Some(ask) = table {
        let mapping = mapping::read(&targets, &mapped(present), sent).map_err(|error| {
            let below =
                |wrong: FieldError| FieldError { field: format!("{}.{}", ask.at, wrong.field), ..wrong };
            Error::invalid(error.fields.into_iter().map(below).collect())
        })?;
        if let Some(push) = &mut push {
            mapping::keep_told(push, &targets, &mapping);
        }
        inner.insert(ask.member().to_owned(), json!(mapping));
    }
    if let Some(push) = push
        && let Value::Object(members) = json!(push)
    {
        inner.extend(members.into_iter().filter(|(name, _)| name != "mapping"));
    }
    let name = sent
        .given("name")
        .or_else(|| present.map(|action| action.name.clone()))
        .unwrap_or_else(|| free_name(&bench.actions, kind.name));
    kinds::action_of(kind, &name, sent, inner)
}

async fn put<D: Acting>(
    engine: &Engine,
    sent: Sent,
    link: &str,
    name: Option<&str>,
    action: Option<&str>,
) -> Response {
    let Sent { desk, form } = sent;
    if form.has("ask") {
        return once_more::<D>(engine, &desk, link, name, action, (form, None)).await;
    }
    let saved = async {
        let (bench, mut definition) = Bench::read::<D>(engine, &desk, link, name).await?;
        let at = action.map(|name| bench.position(name)).transpose()?;
        let present = at.and_then(|at| bench.actions.get(at));
        let more = more_of(engine, &desk, &bench, action, Some(&form), false).await;
        let made = described(&bench, &desk, present, &form, more.as_ref())?;
        let actions = definition.actions_mut();
        match at.and_then(|at| actions.get_mut(at)) {
            Some(place) => *place = made,
            None => actions.push(made),
        }
        if let Some(name) = name {
            let news = save(engine, &desk, &bench, &form, None, definition).await?;
            return Ok((name.to_owned(), news));
        }
        let new =
            NewComponent { name: bench.name.clone(), link_name: desk.query.given("link_name"), definition };
        let made = engine.create_built(&desk.op, link, new).await?;
        Ok::<_, Error>((made.link_name, format!("{} is made. Development serves it.", made.name)))
    };
    match saved.await {
        Ok((name, news)) => desk.done(&path(link, &format!("{}/{name}", D::TAB)), &news),
        Err(error) if mends(&error) => {
            once_more::<D>(engine, &desk, link, name, action, (form, Some(&error))).await
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
pub(in crate::console) async fn shift<D: Acting>(
    State(engine): State<Engine>,
    Path((link, name, action)): ActionLink,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let moved = async {
        let (bench, mut definition) = Bench::read::<D>(&engine, &desk, &link, Some(&name)).await?;
        let at = bench.position(&action)?;
        let to = if form.get("to") == "up" { at.saturating_sub(1) } else { at + 1 };
        if to < bench.actions.len() {
            definition.actions_mut().swap(at, to);
        }
        save(&engine, &desk, &bench, &form, None, definition).await
    };
    said(&desk, moved.await, &path(&link, &format!("{}/{name}#action-{action}", D::TAB)))
}

/// Takes an action out. One that a later action needs, or the only one, stays: the engine says why.
pub(in crate::console) async fn remove<D: Acting>(
    State(engine): State<Engine>,
    Path((link, name, action)): ActionLink,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let removed = async {
        let (bench, mut definition) = Bench::read::<D>(&engine, &desk, &link, Some(&name)).await?;
        bench.position(&action)?;
        definition.actions_mut().retain(|one| one.name != action);
        if definition.actions().is_empty() {
            let message = format!(
                "It is the only action: a {0} does at least one thing. Add another first, or switch the {0} off.",
                D::ONE
            );
            return Err(Error::new(Code::StateConflict, message));
        }
        save(&engine, &desk, &bench, &form, None, definition).await
    };
    said(&desk, removed.await, &path(&link, &format!("{}/{name}", D::TAB)))
}

#[derive(Template)]
#[template(path = "console/action_remove.html")]
struct Remove<'a> {
    frame: &'a Frame,
    bench: Bench,
    action: String,
}

pub(in crate::console) async fn ask_to_remove<D: Acting>(
    State(engine): State<Engine>,
    Path((link, name, action)): ActionLink,
    desk: Desk,
) -> Response {
    let page = async {
        let (bench, _) = Bench::read::<D>(&engine, &desk, &link, Some(&name)).await?;
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
}
