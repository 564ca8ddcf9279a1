//! Schedules and datasources field by field: a document of which each member that is asked for has an input of its own. What is not asked for,
//! such as what a schedule does, stays as it was.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jackfield_core::{Error, FieldError, Result};
use jackfield_engine::Engine;
use jackfield_engine::automate::components::{BuiltView, ComponentPatch, NewComponent};
use serde_json::{Map, Value, json};

use super::actions::{Acting, Kind, connections, first_step, kinds_of};
use super::applications::{Head, lines, path};
use super::built::{Words, Written, forbidden};
use super::common::{mends, was_overtaken};
use super::desk::{Desk, Frame, Sent};
use super::form::{Field, Fields, Form};
use super::inputs::{connection, from_named_lines, named_lines, plain, source_of, source_text, whole};
use crate::input::from_json;

/// One member of a document, at its dotted path.
pub(super) struct Ask {
    at: &'static str,
    label: &'static str,
    help: &'static str,
    how: How,
}

/// How a member is written.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// a text, for what machines read; nothing is no member
    Mono,
    /// a whole number
    Whole,
    /// one of these: value and words
    One(&'static [(&'static str, &'static str)]),
    /// a box
    Yes,
    /// a connection that the application may use
    Connection,
    /// names and where their values come from, `name: expression` on each line
    Sources,
}

pub(super) const fn ask(at: &'static str, label: &'static str, help: &'static str, how: How) -> Ask {
    Ask { at, label, help, how }
}

/// A group of them under a heading.
pub(super) struct Part {
    pub title: &'static str,
    pub about: &'static str,
    pub asks: &'static [Ask],
}

/// When something runs by itself; the same for all that does.
pub(super) const TIMES: [Ask; 4] = [
    ask(
        "at.cron",
        "At these times",
        "Minute, hour, day of the month, month, day of the week: 0 6 * * 1-5 is on working days at six.",
        How::Mono,
    ),
    ask("at.time_zone", "In this time zone", "Such as Europe/Berlin; UTC where nothing is said.", How::Mono),
    ask("at.every", "Or so often", "From a minute upwards: 90s, 15m, 6h, 1d.", How::Mono),
    ask("at.once", "Or once, at this moment", "Such as 2026-11-22T06:00:00Z.", How::Mono),
];

impl Ask {
    fn value<'d>(&self, document: &'d Value) -> &'d Value {
        self.at.split('.').try_fold(document, |inner, name| inner.get(name)).unwrap_or(&Value::Null)
    }

    fn shown(&self, document: &Value) -> Option<String> {
        match (self.how, self.value(document)) {
            (How::Yes, Value::Bool(yes)) => yes.then(|| "on".to_owned()),
            (_, Value::Null) => None,
            (How::Sources, Value::Object(members)) => Some(named_lines(members, source_text)),
            (_, value) => Some(plain(value)),
        }
    }

    /// What its input says. `present` is what stands there, for what a line cannot say whole.
    fn read(&self, sent: &Fields, present: &Value) -> Result<Option<Value>, String> {
        let text = lines(sent.get(self.at));
        let line = text.trim();
        let given = !line.is_empty();
        Ok(match self.how {
            How::Mono | How::Connection | How::One(_) => given.then(|| json!(line)),
            How::Whole if given => Some(whole(line)?),
            How::Whole => None,
            How::Yes => Some(json!(sent.has(self.at))),
            How::Sources => {
                let mut members = Map::new();
                for (name, source) in from_named_lines(&text)? {
                    // A line that says what was there leaves it as it was.
                    let same = present.get(name).filter(|value| source_text(value) == source);
                    members.insert(name.to_owned(), same.cloned().unwrap_or_else(|| source_of(source)));
                }
                (!members.is_empty()).then_some(Value::Object(members))
            }
        })
    }
}

fn all(parts: &'static [Part]) -> impl Iterator<Item = &'static Ask> {
    parts.iter().flat_map(|part| part.asks)
}

/// Puts a member in its place, or takes it out, with objects that have become empty.
fn put(document: &mut Value, at: &str, value: Option<Value>) {
    let Value::Object(members) = document else { return };
    let Some((first, rest)) = at.split_once('.') else {
        match value {
            Some(value) => members.insert(at.to_owned(), value),
            None => members.remove(at),
        };
        return;
    };
    let inner = members.entry(first).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    put(inner, rest, value);
    if inner.as_object().is_some_and(Map::is_empty) {
        members.remove(first);
    }
}

/// What stands in the inputs of a document.
fn inputs_of(parts: &'static [Part], document: &Value) -> Fields {
    let shown = all(parts).filter_map(|ask| Some((ask, ask.shown(document)?)));
    shown.fold(Fields::default(), |fields, (ask, text)| fields.with(ask.at, text))
}

/// The document with what was written in its inputs; the rest of it stays.
pub(super) fn document_of<D: Written>(
    parts: &'static [Part],
    mut document: Value,
    sent: &Fields,
) -> Result<D> {
    let mut wrong = Vec::new();
    for ask in all(parts) {
        match ask.read(sent, ask.value(&document)) {
            Ok(value) => put(&mut document, ask.at, value),
            Err(why) => wrong.push(FieldError::new(ask.at, "invalid", why)),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    from_json(&document.to_string())
}

/// What the engine says of the definition, at the inputs of the page.
fn at_inputs(parts: &'static [Part], mut error: Error) -> Error {
    for wrong in &mut error.fields {
        let path = wrong.field.strip_prefix("definition.").unwrap_or(&wrong.field);
        let fits = |ask: &&Ask| {
            path == ask.at || path.strip_prefix(ask.at).is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(ask) = all(parts).find(fits) {
            // Below a member: which of its lines it is.
            let below = path.strip_prefix(ask.at).map(|rest| rest.trim_start_matches('.').to_owned());
            if let Some(below) = below.filter(|below| !below.is_empty()) {
                wrong.message = format!("{below}: {}", wrong.message);
            }
            ask.at.clone_into(&mut wrong.field);
        } else {
            wrong.field = path.to_owned();
        }
    }
    error
}

/// A document, field by field.
#[derive(Template)]
#[template(path = "console/fields.html")]
pub(super) struct Page<'a> {
    frame: &'a Frame,
    head: Head,
    words: &'static Words,
    parts: &'static [Part],
    connections: BTreeMap<String, String>,
    /// of one that is there: link name, name, version
    there: Option<(String, String, i64)>,
    /// what is said of what is not asked here
    aside: &'static str,
    /// of one that is begun, what it can do first; nothing where nothing is done in turn
    then: Vec<&'static Kind>,
    form: Form,
    overtaken: bool,
}

impl Page<'_> {
    fn others(&self) -> Vec<String> {
        let mut shown = vec!["name", "link_name"];
        shown.extend(all(self.parts).map(|ask| ask.at));
        self.form.other_errors(&shown)
    }

    fn back(&self) -> String {
        match &self.there {
            Some((link, ..)) => self.head.path(&format!("{}/{link}", self.words.tab)),
            None => self.head.path(self.words.tab),
        }
    }

    /// Where the same is written as a document.
    fn document(&self) -> String {
        match self.there {
            Some(_) => format!("{}/edit", self.back()),
            None => format!("{}/new-{}", self.back(), self.words.one),
        }
    }

    fn kinds(&self) -> &[&'static Kind] {
        &self.then
    }

    fn is_box(&self, ask: &Ask) -> bool {
        matches!(ask.how, How::Yes)
    }

    fn field<'p>(&'p self, ask: &'p Ask) -> Field<'p> {
        let field = match ask.how {
            How::One(choices) => self.form.select(ask.at, ask.label, choices),
            How::Connection => {
                let all = self.connections.iter().map(|(link, name)| (link.as_str(), name.as_str()));
                connection(&self.form, ask.at, ask.label, all)
            }
            How::Sources => self.form.area(ask.at, ask.label, 3).mono(),
            How::Mono | How::Whole => self.form.text(ask.at, ask.label).mono(),
            How::Yes => self.form.text(ask.at, ask.label),
        };
        field.help(ask.help)
    }
}

/// What was typed, and what is wrong with it.
type Typed<'e> = Option<(Fields, &'e Error)>;

async fn page<'a, D: Written>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    there: Option<(BuiltView<D>, Typed<'_>)>,
    fresh: Typed<'_>,
) -> Result<Page<'a>> {
    let head = Head::read(engine, desk, link, D::WORDS.tab).await?;
    if !desk.frame.sees_all() {
        return Err(forbidden());
    }
    let mut page = Page {
        frame: &desk.frame,
        head,
        words: D::WORDS,
        parts: D::PARTS,
        connections: connections(engine, &desk.op, link).await?,
        there: None,
        aside: D::ASIDE,
        then: Vec::new(),
        form: Form::default(),
        overtaken: false,
    };
    match (there, fresh) {
        (Some((built, typed)), _) => {
            page.form = if let Some((fields, error)) = typed {
                page.overtaken = was_overtaken(error);
                Form::refused(fields, error)
            } else {
                let document = serde_json::to_value(&built.definition).map_err(Error::internal)?;
                Form::new(inputs_of(D::PARTS, &document).with("name", built.name.as_str()))
            };
            page.there = Some((built.link_name, built.name, built.version));
        }
        (None, Some((fields, error))) => page.form = Form::refused(fields, error),
        (None, None) => {
            let grounds = engine.read_grounds(&desk.op, link).await?;
            let example = D::example(&grounds).and_then(|example| serde_json::to_value(example).ok());
            page.form = Form::new(inputs_of(D::PARTS, &example.unwrap_or_default()));
        }
    }
    Ok(page)
}

/// The page on which a new one is filled in: for what says everything in its fields.
pub(super) async fn ask_to_make<D: Written>(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    desk: Desk,
) -> Response {
    let page = page::<D>(&engine, &desk, &link, None, None).await;
    desk.show(page)
}

pub(super) async fn make<D: Written>(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let made = async {
        let new = NewComponent {
            name: form.get("name").trim().to_owned(),
            link_name: form.given("link_name"),
            definition: document_of::<D>(D::PARTS, json!({}), &form)?,
        };
        engine.create_built(&desk.op, &link, new).await
    };
    match made.await {
        Ok(made) => {
            let to = path(&link, &format!("{}/{}", D::WORDS.tab, made.link_name));
            desk.done(&to, &format!("{} is made. Development serves it.", made.name))
        }
        Err(error) if mends(&error) => {
            let error = at_inputs(D::PARTS, error);
            let page = page::<D>(&engine, &desk, &link, None, Some((form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// The first step of what does one thing after another; whoever comes back from its first action finds what he said.
pub(super) async fn ask_to_begin<D: Written + Acting>(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    desk: Desk,
) -> Response {
    let page = page::<D>(&engine, &desk, &link, None, None).await.map(|mut page| {
        page.then = kinds_of::<D>();
        if desk.query.has("name") {
            page.form = Form::new(desk.query.clone());
        }
        page
    });
    desk.show(page)
}

/// On to its first action.
pub(super) async fn begin<D: Written + Acting>(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    match first_step::<D>(&engine, &desk, &link, &form).await {
        Ok(next) => desk.go(&next),
        Err(error) if mends(&error) => {
            let error = at_inputs(D::PARTS, error);
            let page = page::<D>(&engine, &desk, &link, None, Some((form, &error))).await;
            desk.again(&error, page.map(|page| Page { then: kinds_of::<D>(), ..page }))
        }
        Err(error) => desk.trouble(&error),
    }
}

/// The page of one that is there.
pub(super) async fn ask_to_change<D: Written>(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let found = async {
        let built = engine.read_built::<D>(&desk.op, &link, &name).await?;
        page::<D>(&engine, &desk, &link, Some((built, None)), None).await
    };
    desk.show(found.await)
}

pub(super) async fn change<D: Written>(
    State(engine): State<Engine>,
    Path((link, name)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let saved = async {
        let built = engine.read_built::<D>(&desk.op, &link, &name).await?;
        let document = serde_json::to_value(&built.definition).map_err(Error::internal)?;
        let patch = ComponentPatch {
            name: Some(form.get("name").trim().to_owned()),
            definition: Some(document_of::<D>(D::PARTS, document, &form)?),
            version: form.get("version").parse().ok(),
        };
        engine.update_built(&desk.op, &link, &name, patch).await
    };
    match saved.await {
        Ok(saved) => {
            let news = format!("Saved as version {}. Development serves it.", saved.version);
            desk.done(&path(&link, &format!("{}/{name}", D::WORDS.tab)), &news)
        }
        Err(error) if mends(&error) => {
            let error = at_inputs(D::PARTS, error);
            let again = async {
                let built = engine.read_built::<D>(&desk.op, &link, &name).await?;
                page::<D>(&engine, &desk, &link, Some((built, Some((form, &error)))), None).await
            };
            let again = again.await;
            desk.again(&error, again)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use jackfield_core::datasource::Datasource;
    use jackfield_core::schedule::Schedule;

    use super::*;

    fn back<D: Written>(document: &Value) -> Value {
        let whole: D = serde_json::from_value(document.clone()).unwrap();
        let whole = serde_json::to_value(whole).unwrap();
        let sent = inputs_of(D::PARTS, &whole);
        let again = document_of::<D>(D::PARTS, whole.clone(), &sent).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), whole);
        whole
    }

    #[test]
    fn a_document_comes_back_from_its_page_as_it_was() {
        let actions =
            json!([{"name": "tell", "mail": {"to": ["a@b.example"], "subject": "S", "text": "One\n\nTwo"}}]);
        for at in [
            json!({"cron": "0 6 * * *", "time_zone": "Europe/Berlin"}),
            json!({"every": "15m"}),
            json!({"once": "2027-01-01T00:00:00Z"}),
        ] {
            back::<Schedule>(
                &json!({"at": at, "actions": actions, "overlap": "queue", "misfire": "skip", "grace_minutes": 7, "enabled": false}),
            );
        }
        back::<Schedule>(&json!({"at": {"every": "1h"}, "actions": actions}));
        back::<Datasource>(
            &json!({"connection": "c", "module": "m", "operation": "list", "with": {"kind": {"value": "a: b"},
            "since": {"expression": "date ~ ':x'"}, "who": {"text": "{{ date }}"}}, "key": "/id", "total": "/meta/total",
            "incremental": {"field": "/changed", "parameter": "since"}, "at": {"cron": "0 3 * * *"}, "rows_max": 100, "enabled": false}),
        );
        back::<Datasource>(&json!({"connection": "c", "module": "m", "operation": "list"}));
    }

    #[test]
    fn what_is_emptied_is_taken_out_with_what_held_it() {
        let document = json!({"connection": "c", "module": "m", "operation": "list", "at": {"every": "1h"},
            "incremental": {"field": "/a", "parameter": "b"}});
        let whole = back::<Datasource>(&document);
        let mut sent = inputs_of(Datasource::PARTS, &whole);
        for name in ["at.every", "incremental.field", "incremental.parameter"] {
            sent = sent.without(name);
        }
        let emptied = document_of::<Datasource>(Datasource::PARTS, whole.clone(), &sent).unwrap();
        assert_eq!((emptied.at, emptied.incremental), (None, None));
        let sent = inputs_of(Datasource::PARTS, &whole)
            .without("rows_max")
            .with("rows_max", "many")
            .without("with")
            .with("with", "x");
        let error = document_of::<Datasource>(Datasource::PARTS, whole, &sent).unwrap_err();
        let at: Vec<&str> = error.fields.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(at.len(), 2, "{at:?}");
        assert!(at.contains(&"with") && at.contains(&"rows_max"), "{at:?}");
    }

    #[test]
    fn what_is_wrong_stands_at_its_input() {
        let wrong = |path: &str| FieldError::new(path, "invalid", "It is wrong.");
        let error = Error::invalid(vec![
            wrong("definition.at.cron"),
            wrong("definition.with.kind"),
            wrong("definition.at"),
            wrong("definition.actions.0.mail.to"),
            wrong("name"),
        ]);
        let placed = at_inputs(Datasource::PARTS, error);
        let at: Vec<&str> = placed.fields.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(at, ["at.cron", "with", "at", "actions.0.mail.to", "name"]);
        assert_eq!(placed.fields[1].message, "kind: It is wrong.");
    }
}
