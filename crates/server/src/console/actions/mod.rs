//! What a workflow or a schedule does, one action after the other: how it is told ([`told`]), which kinds there are ([`kinds`]), and the pages
//! on which each action is written ([`page`]), with the table of where its values come from ([`mapping`]).
//!
//! Each page saves a new version, by the version that it was read at; what is begun travels in the address until its first action is there.

mod kinds;
mod mapping;
pub(super) mod page;
mod told;

use std::collections::BTreeMap;

use jackfield_core::form::Form as Document;
use jackfield_core::workflow::{Grounds, WorkflowAction};
use jackfield_core::{Error, FieldError, Result, names};
use jackfield_engine::Engine;
use jackfield_engine::automate::components::{BuiltView, ComponentPatch, Definable};

use super::applications::{Head, path};
use super::built::forbidden;
use super::common::most;
use super::desk::Desk;
use super::form::{Fields, with_query};

pub(super) use kinds::Kind;
pub(super) use told::{Act, Doing, acts, connections, doing};

/// What does one thing after another.
pub(super) trait Acting: Definable + Clone {
    /// `workflows`: the tab, and the word in addresses
    const TAB: &'static str;
    /// `workflow`
    const ONE: &'static str;
    /// the last part of the address at which one is begun
    const BEGIN: &'static str;
    /// what the address carries of one that is begun, beside its names and the first kind
    const CARRIED: &'static [&'static str];
    /// kinds of actions that it cannot have
    const LACKS: &'static [&'static str];
    /// names that expressions know, beside those of a record
    const KNOWN: &'static [&'static str];

    /// One without an action, as an address or a form has it.
    fn begun(asked: &Fields) -> Result<Self>;
    fn actions(&self) -> &[WorkflowAction];
    fn actions_mut(&mut self) -> &mut Vec<WorkflowAction>;

    /// The form on whose records it runs; of one that runs at times there is none.
    fn form(&self) -> Option<&str>;

    /// What sets it off: `When a record of Vendors is created`.
    fn when(&self, form: &str) -> String;

    fn condition(&self) -> Option<&str> {
        None
    }
}

/// What acts on the table, as its pages show it: one that is there, or one that is begun.
pub(super) struct Bench {
    pub head: Head,
    /// what people read
    pub name: String,
    /// link name and version of one that is there
    pub there: Option<(String, i64)>,
    /// `workflow`
    pub one: &'static str,
    tab: &'static str,
    begin: &'static str,
    lacks: &'static [&'static str],
    known: &'static [&'static str],
    pub actions: Vec<WorkflowAction>,
    /// link name of the form on whose records it runs
    on: Option<String>,
    pub when: String,
    pub condition: Option<String>,
    /// what is wrong with it as it stands, because something that it names has changed since
    standing: Vec<FieldError>,
    pub grounds: Grounds,
    /// names of the connections by link name
    connections: BTreeMap<String, String>,
    /// link name, name and document of every form
    pub forms: Vec<(String, String, Document)>,
}

impl Bench {
    /// What is there, or what the address has begun, with the definition itself.
    pub async fn read<D: Acting>(
        engine: &Engine,
        desk: &Desk,
        link: &str,
        name: Option<&str>,
    ) -> Result<(Self, D)> {
        let head = Head::read(engine, desk, link, D::TAB).await?;
        if !desk.frame.sees_all() {
            return Err(forbidden());
        }
        let grounds = engine.read_grounds(&desk.op, link).await?;
        let forms = engine.list_built::<Document>(&desk.op, link, &most()).await?.items;
        let (name, there, definition) = match name {
            Some(name) => {
                let built: BuiltView<D> = engine.read_built(&desk.op, link, name).await?;
                (built.name, Some((built.link_name, built.version)), built.definition)
            }
            None => (desk.query.get("name").trim().to_owned(), None, D::begun(&desk.query)?),
        };
        let on = definition.form().map(str::to_owned);
        let called = forms.iter().find(|form| Some(&form.link_name) == on.as_ref());
        let bench = Self {
            connections: connections(engine, &desk.op, link).await?,
            one: D::ONE,
            tab: D::TAB,
            begin: D::BEGIN,
            lacks: D::LACKS,
            known: D::KNOWN,
            actions: definition.actions().to_vec(),
            when: definition
                .when(called.map_or_else(|| on.as_deref().unwrap_or_default(), |form| &form.name)),
            condition: definition.condition().map(str::to_owned),
            standing: definition.check(&grounds).err().unwrap_or_default(),
            forms: forms.into_iter().map(|form| (form.link_name, form.name, form.definition)).collect(),
            head,
            name,
            there,
            on,
            grounds,
        };
        Ok((bench, definition))
    }

    pub fn version(&self) -> i64 {
        self.there.as_ref().map_or(0, |(_, version)| *version)
    }

    /// Its own page, or the one where it is begun.
    pub fn home(&self) -> String {
        match &self.there {
            Some((link, _)) => self.head.path(&format!("{}/{link}", self.tab)),
            None => self.head.path(&format!("{}/{}", self.tab, self.begin)),
        }
    }

    fn form(&self) -> Option<&Document> {
        let found = self.forms.iter().find(|(link, _, _)| Some(link) == self.on.as_ref());
        found.map(|(_, _, form)| form)
    }

    fn form_name(&self) -> &str {
        let found = self.forms.iter().find(|(link, _, _)| Some(link) == self.on.as_ref());
        found.map_or_else(|| self.on.as_deref().unwrap_or_default(), |(_, name, _)| name)
    }

    fn called<'a>(&'a self, connection: &'a str) -> &'a str {
        self.connections.get(connection).map_or(connection, String::as_str)
    }

    /// The kinds of actions that it can have.
    pub fn kinds(&self) -> Vec<&'static Kind> {
        kinds::but(self.lacks)
    }

    /// Whether it runs without a record.
    fn is_timed(&self) -> bool {
        self.on.is_none()
    }

    fn sources(&self) -> mapping::Sources<'_> {
        mapping::Sources {
            form: self.form(),
            forms: &self.forms,
            is_timed: self.is_timed(),
            has_rows: !self.grounds.datasources.is_empty(),
            known: self.known,
        }
    }

    /// Where an action stands; a name that is none is a page that is not there.
    fn position(&self, action: &str) -> Result<usize> {
        let found = self.actions.iter().position(|one| one.name == action);
        found.ok_or_else(|| Error::not_found(format_args!("action {action:?}")))
    }
}

/// The kinds of actions that a definition can have, for who begins one.
pub(super) fn kinds_of<D: Acting>() -> Vec<&'static Kind> {
    kinds::but(D::LACKS)
}

/// Saves what is there.
pub(super) async fn save<D: Acting>(
    engine: &Engine,
    desk: &Desk,
    bench: &Bench,
    sent: &Fields,
    name: Option<String>,
    definition: D,
) -> Result<String> {
    let Some((link, _)) = &bench.there else { return Err(Error::not_found(D::ONE)) };
    let patch =
        ComponentPatch { name, definition: Some(definition), version: sent.get("version").parse().ok() };
    let application = &bench.head.application.link_name;
    let saved = engine.update_built(&desk.op, application, link, patch).await?;
    Ok(format!("Saved as version {}. Development serves it.", saved.version))
}

/// What of a definition without its actions is wrong: the engine's own check, under the names of the inputs.
fn wrong_with<D: Acting>(sent: &Fields, definition: &D, grounds: &Grounds) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if let Err(why) = names::display_name(sent.get("name").trim()) {
        wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
    }
    if let Some(Err(why)) = sent.given("link_name").as_deref().map(names::link_name) {
        wrong.push(FieldError::new("link_name", "invalid", format!("The link name {why}.")));
    }
    let mut bare = definition.clone();
    bare.actions_mut().clear();
    let faults = bare.check(grounds).err().unwrap_or_default();
    wrong.extend(faults.into_iter().filter(|error| error.field != "actions"));
    wrong
}

/// From the first step of a new one on to its first action: the address of that, with what was said. Nothing of it is kept yet.
pub(super) async fn first_step<D: Acting>(
    engine: &Engine,
    desk: &Desk,
    link: &str,
    sent: &Fields,
) -> Result<String> {
    let definition = D::begun(sent)?;
    let wrong = wrong_with(sent, &definition, &engine.read_grounds(&desk.op, link).await?);
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    let carried = ["name", "link_name", "kind"];
    let carried = carried.iter().chain(D::CARRIED);
    let query = carried.fold(Fields::default(), |query, name| query.with(name, sent.get(name).trim()));
    Ok(with_query(&path(link, &format!("{}/new-action", D::TAB)), &query, "", ""))
}
