//! What is built in an application: forms, workflows, schedules and datasources, each with a link name and versions. Development serves what was saved last.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_core::datasource::Datasource;
use jackfield_core::form::Form;
use jackfield_core::schedule::Schedule;
use jackfield_core::workflow::{Grounds, Workflow};
use jackfield_core::{
    Action, Code, Environment, Error, EventKind, FieldError, Resource, Result, Timestamp, allows, names,
    permit,
};
use jackfield_store::{ConnectionFilter, Definition, Drawer, Scheduled, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::automate::datasources::columns_of;
use crate::automate::live::{COMPONENTS_MAX, document};
use crate::automate::records::hold_unique;
use crate::connect::connectors::link_name_taken;
use crate::govern::applications::Found;
use crate::govern::organizations::version_conflict;
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op};

/// Connections that are looked at for one workflow at most.
const CONNECTIONS_MAX: i64 = 10_000;
/// Ticks that are shown beforehand.
const UPCOMING: usize = 5;

/// What a new component is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComponent<D> {
    /// display name
    pub name: String,
    /// permanent and unique among its kind in the application; derived from the name unless given
    pub link_name: Option<String>,
    pub definition: D,
}

/// What is to change. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentPatch<D> {
    pub name: Option<String>,
    pub definition: Option<D>,
    /// the version that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

/// A component, as development serves it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BuiltView<D> {
    pub link_name: String,
    pub name: String,
    /// counts the changes; give it back with a change, so that nobody's change is overwritten
    pub version: i64,
    pub definition: D,
    /// id of the member who made this version
    pub created_by: String,
    /// when this version was made
    pub created_at: Timestamp,
    /// of what runs at times: the next moments at which it does, where it is switched on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Vec<Timestamp>>,
}

/// What can be built here. Each kind is a document with rules of its own; what is kept of it and how is the same.
pub trait Definable: Serialize + DeserializeOwned + Send + Sync {
    /// The first word of the component's name: `form:vendors`.
    const KIND: &'static str;

    /// Whether its definition is for those alone who see the application's runs: it tells through which connections what is done.
    const INNER: bool;

    /// Link names of the connections that it uses.
    fn connections(&self) -> Vec<String>;

    /// The form that it is, where it is one.
    fn as_form(&self) -> Option<&Form> {
        None
    }

    /// Everything that is wrong with it.
    fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>>;

    /// The first moments after one at which it runs by itself, at most so many. `None`: it is not of those that run at times.
    fn ticks(&self, _after: Timestamp, _most: usize) -> Option<Vec<Timestamp>> {
        None
    }
}

impl Definable for Form {
    const KIND: &'static str = "form";
    const INNER: bool = false;

    fn as_form(&self) -> Option<&Form> {
        Some(self)
    }

    fn connections(&self) -> Vec<String> {
        Vec::new()
    }

    fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>> {
        let mut wrong = Self::check(self).err().unwrap_or_default();
        for (index, field) in self.fields.iter().enumerate() {
            if let Some(from) = field.choices_from.as_ref().filter(|from| !from.datasource.is_empty())
                && !grounds.datasources.contains(&from.datasource)
            {
                let message = format!("The application has no datasource {:?}.", from.datasource);
                let path = format!("fields.{index}.choices_from.datasource");
                wrong.push(FieldError::new(path, "unknown", message));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

impl Definable for Workflow {
    const KIND: &'static str = "workflow";
    const INNER: bool = true;

    fn connections(&self) -> Vec<String> {
        Self::connections(self)
    }

    fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>> {
        Self::check(self, grounds)
    }
}

impl Definable for Schedule {
    const KIND: &'static str = "schedule";
    const INNER: bool = true;

    fn connections(&self) -> Vec<String> {
        Self::connections(self)
    }

    fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>> {
        Self::check(self, grounds)
    }

    fn ticks(&self, after: Timestamp, most: usize) -> Option<Vec<Timestamp>> {
        Some(if self.enabled { self.at.upcoming(after, most) } else { Vec::new() })
    }
}

impl Definable for Datasource {
    const KIND: &'static str = "datasource";
    const INNER: bool = true;

    fn connections(&self) -> Vec<String> {
        Self::connections(self)
    }

    fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>> {
        Self::check(self, grounds)
    }

    fn ticks(&self, after: Timestamp, most: usize) -> Option<Vec<Timestamp>> {
        Some(match &self.at {
            Some(at) if self.enabled => at.upcoming(after, most),
            _ => Vec::new(),
        })
    }
}

/// Of connections to custom connectors that were looked at: link name → number of the version that each was on.
pub(crate) type Versions = BTreeMap<String, i64>;

/// What becomes a version of a component.
pub(crate) struct Saved<'a, D> {
    pub application: &'a str,
    pub link_name: &'a str,
    pub name: String,
    pub definition: &'a D,
    /// what it was checked against; `None`: the definition is what it was
    pub looked_at: Option<&'a Versions>,
}

/// Holds a connection that something uses from now on; false when it is gone. What was checked against another version of its connector,
/// because the connection was moved this moment, must be checked again.
pub(crate) async fn hold_used(
    work: &mut Work<'_>,
    organization: &str,
    connection: &str,
    looked_at: Option<&Versions>,
) -> Result<bool> {
    let Some(held) = work.hold_connection(organization, connection).await? else { return Ok(false) };
    if looked_at.is_some_and(|versions| versions.get(connection).copied() != held.connector_version) {
        return Err(Error::new(
            Code::VersionConflict,
            format!(
                "The connection {connection:?} was moved to another version of its connector this moment. Read what it can do now and repeat your change."
            ),
        ));
    }
    Ok(true)
}

/// When what runs at times does so next; never, where nothing more comes.
#[derive(Clone, Copy)]
pub(crate) struct Next(pub Option<Timestamp>);

/// What is done with a definition of whatever kind, from its document.
pub(crate) struct Built {
    pub connections: Vec<String>,
    /// its next tick; `None` where it is not of those that run at times
    pub next: Option<Next>,
    /// what is wrong with it
    pub wrong: Vec<FieldError>,
}

impl Built {
    /// `None`: it is of a kind that is not built here.
    pub fn of(definition: &Definition, grounds: Option<&Grounds>, now: Timestamp) -> Result<Option<Self>> {
        fn read<D: Definable>(
            d: &Definition,
            grounds: Option<&Grounds>,
            now: Timestamp,
        ) -> Result<Option<Built>> {
            let built: D = document(d)?;
            Ok(Some(Built {
                connections: built.connections(),
                next: next_tick(&built, now),
                wrong: grounds.and_then(|grounds| built.check(grounds).err()).unwrap_or_default(),
            }))
        }
        match definition.component.split_once(':').map(|(kind, _)| kind) {
            Some(Form::KIND) => read::<Form>(definition, grounds, now),
            Some(Workflow::KIND) => read::<Workflow>(definition, grounds, now),
            Some(Schedule::KIND) => read::<Schedule>(definition, grounds, now),
            Some(Datasource::KIND) => read::<Datasource>(definition, grounds, now),
            _ => Ok(None),
        }
    }
}

/// The next tick of what runs at times.
fn next_tick<D: Definable>(definition: &D, now: Timestamp) -> Option<Next> {
    definition.ticks(now, 1).map(|ticks| Next(ticks.first().copied()))
}

pub(crate) fn component_of(kind: &str, link_name: &str) -> String {
    format!("{kind}:{link_name}")
}

fn view<D: Definable>(definition: Definition, now: Timestamp) -> Result<BuiltView<D>> {
    let document: D = document(&definition)?;
    Ok(BuiltView {
        next: document.ticks(now, UPCOMING),
        definition: document,
        link_name: definition.component.split_once(':').map_or_else(String::new, |(_, name)| name.to_owned()),
        name: definition.name,
        version: definition.version,
        created_by: definition.created_by,
        created_at: definition.created_at,
    })
}

/// What an environment runs of a version at times.
pub(crate) fn scheduled(
    definition: &Definition,
    environment: Environment,
    next_at: Option<Timestamp>,
) -> Scheduled {
    Scheduled {
        organization_id: definition.organization_id.clone(),
        application: definition.application.clone(),
        environment: environment.as_str().to_owned(),
        component: definition.component.clone(),
        version: definition.version,
        next_at,
        last_at: None,
        last_run: None,
        skipped: 0,
        skipped_at: None,
        skipped_why: None,
    }
}

/// What one has to see to see such a definition.
fn seen<D: Definable>(found: &Found) -> Resource<'_> {
    if D::INNER { found.runs() } else { found.whole() }
}

/// Faults of a definition stand under it.
fn below(wrong: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    wrong.into_iter().map(|error| FieldError { field: format!("definition.{}", error.field), ..error })
}

impl Engine {
    /// The connections of an application that may be used in it with their connectors, and its forms.
    pub(crate) async fn grounds(&self, organization: &str, application: &str) -> Result<Grounds> {
        let region = self.own_organization(organization).await?.region.clone();
        let mut grounds = Grounds { region, ..Grounds::default() };
        let forms =
            self.store().current_definitions(organization, application, "form:", "form;", COMPONENTS_MAX);
        for definition in forms.await? {
            if let Some((_, link_name)) = definition.component.split_once(':') {
                grounds.form(link_name, &document::<Form>(&definition)?);
            }
        }
        let datasources = self.store().current_definitions(
            organization,
            application,
            "datasource:",
            "datasource;",
            COMPONENTS_MAX,
        );
        let datasources = datasources.await?.into_iter();
        grounds.datasources.extend(
            datasources.filter_map(|one| one.component.split_once(':').map(|(_, name)| name.to_owned())),
        );
        for table in self.store().tables(organization, application, "").await? {
            let Some((_, name)) = table.component.split_once(':') else { continue };
            if table.environment == Environment::Development.as_str() && table.pulled_at.is_some() {
                let columns = columns_of(&table)?.0.into_iter().map(|column| column.name);
                grounds.columns.insert(name.to_owned(), columns.collect());
            }
        }
        let filter = ConnectionFilter { application, ..ConnectionFilter::default() };
        let connections = self.store().connections(organization, &filter, "", CONNECTIONS_MAX).await?;
        let mut known = BTreeMap::new();
        for connection in connections.into_iter().filter(|one| allows(&one.applications, application)) {
            let version = (connection.connector.clone(), connection.connector_version);
            if !known.contains_key(&version) {
                let found = self.connector_of(&connection).await?;
                known.insert(version.clone(), found.connector);
            }
            if let Some(number) = connection.connector_version {
                grounds.versions.insert(connection.link_name.clone(), number);
            }
            if let Some(connector) = known.get(&version) {
                grounds.connections.insert(connection.link_name, std::sync::Arc::clone(connector));
            }
        }
        self.add_described(organization, &mut grounds).await?;
        Ok(grounds)
    }

    /// What a workflow of the application may name, for those who write one: forms, connections, and what their services can do.
    pub async fn read_grounds(&self, op: &Op, application: &str) -> Result<Grounds> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Manage, &found.whole())?;
        self.grounds(&op.organization, application).await
    }

    /// What is built of a kind in an application.
    pub async fn list_built<D: Definable>(
        &self,
        op: &Op,
        application: &str,
        query: &PageQuery,
    ) -> Result<Page<BuiltView<D>>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &seen::<D>(&found))?;
        let (limit, after) = (query.limit()?, query.after()?);
        let (first, last) = (component_of(D::KIND, &after), format!("{};", D::KIND));
        let rows =
            self.store().current_definitions(&op.organization, application, &first, &last, limit.rows());
        let page = limit.page(
            rows.await?,
            |row| row.component.split_once(':').map_or("", |(_, name)| name).to_owned(),
            |row| view::<D>(row, op.now),
        );
        Ok(Page { items: page.items.into_iter().collect::<Result<_>>()?, next_cursor: page.next_cursor })
    }

    /// What is built in an application under a link name.
    pub async fn read_built<D: Definable>(
        &self,
        op: &Op,
        application: &str,
        link_name: &str,
    ) -> Result<BuiltView<D>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &seen::<D>(&found))?;
        view(self.current(op, application, D::KIND, link_name).await?, op.now)
    }

    async fn current(&self, op: &Op, application: &str, kind: &str, link_name: &str) -> Result<Definition> {
        let missing = || Error::not_found(format_args!("{kind} {link_name:?}"));
        let component = component_of(kind, link_name);
        let found = self.store().component(&op.organization, application, &component).await?;
        let version = found.ok_or_else(missing)?.version;
        let found = self.store().definition(&op.organization, application, &component, version).await?;
        found.ok_or_else(missing)
    }

    pub async fn create_built<D: Definable>(
        &self,
        op: &Op,
        application: &str,
        new: NewComponent<D>,
    ) -> Result<BuiltView<D>> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let mut wrong = Vec::new();
        if let Err(why) = names::display_name(&new.name) {
            wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
        }
        if let Some(Err(why)) = new.link_name.as_deref().map(names::link_name) {
            wrong.push(FieldError::new("link_name", "invalid", format!("The link name {why}.")));
        }
        let grounds = self.grounds(&op.organization, application).await?;
        wrong.extend(below(new.definition.check(&grounds).err().unwrap_or_default()));
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let derived = names::link_name_or(&new.name, D::KIND);
        let wanted = new.link_name.as_deref().unwrap_or(&derived);
        let mut work = self.begin(permit).await?;
        if !work.hold_application(&op.organization, application).await? {
            return Err(Error::not_found(format_args!("application {application:?}")));
        }
        // Whoever makes another in this application waits for us: the name that is free now stays so.
        for n in 1..1000 {
            let link_name = names::numbered(wanted, n);
            if work
                .component(&op.organization, application, &component_of(D::KIND, &link_name))
                .await?
                .is_some()
            {
                if new.link_name.is_some() {
                    return Err(link_name_taken(wanted));
                }
                continue;
            }
            let (name, definition, looked_at) = (new.name, &new.definition, Some(&grounds.versions));
            let saved = Saved { application, link_name: &link_name, name, definition, looked_at };
            let made = view(self.save(&mut work, op, saved).await?, op.now)?;
            work.answer(op, 201, &made).await?;
            work.commit().await?;
            self.inner.ticker.wake();
            return Ok(made);
        }
        Err(link_name_taken(wanted))
    }

    pub async fn update_built<D: Definable>(
        &self,
        op: &Op,
        application: &str,
        link_name: &str,
        patch: ComponentPatch<D>,
    ) -> Result<BuiltView<D>> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let present = self.current(op, application, D::KIND, link_name).await?;
        let mut wrong = Vec::new();
        if let Some(Err(why)) = patch.name.as_deref().map(names::display_name) {
            wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
        }
        let version = present.version;
        let conflict = || match view::<D>(present.clone(), op.now) {
            Ok(current) => version_conflict().with_extension("current", serde_json::json!(current)),
            Err(error) => error,
        };
        if patch.version.is_some_and(|read| read != version) {
            return Err(conflict());
        }
        let (definition, looked_at) = match patch.definition {
            Some(definition) => {
                let grounds = self.grounds(&op.organization, application).await?;
                wrong.extend(below(definition.check(&grounds).err().unwrap_or_default()));
                (definition, Some(grounds.versions))
            }
            None => (document(&present)?, None),
        };
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let mut work = self.begin(permit).await?;
        if !work.hold_application(&op.organization, application).await? {
            return Err(Error::not_found(format_args!("application {application:?}")));
        }
        let component = component_of(D::KIND, link_name);
        let now = work.component(&op.organization, application, &component).await?;
        if now.is_none_or(|now| now.version != version) {
            return Err(conflict());
        }
        let name = patch.name.unwrap_or_else(|| present.name.clone());
        if let Some(form) = definition.as_form() {
            let former: D = document(&present)?;
            let drawer = Drawer {
                organization: &op.organization,
                application,
                form: link_name,
                environment: Environment::Development.as_str(),
            };
            if let Some(shared) = hold_unique(&mut work, drawer, former.as_form(), form).await? {
                let path = format!("definition.fields.{}.unique", shared.index);
                return Err(Error::field(path, "taken", shared.message(Environment::Development)));
            }
        }
        let saved =
            Saved { application, link_name, name, definition: &definition, looked_at: looked_at.as_ref() };
        let saved = self.save(&mut work, op, saved).await?;
        work.commit().await?;
        self.inner.ticker.wake();
        view(saved, op.now)
    }

    /// Adds a version. Whoever calls holds the application.
    pub(crate) async fn save<D: Definable>(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        saved: Saved<'_, D>,
    ) -> Result<Definition> {
        let Saved { application, link_name, name, definition, looked_at } = saved;
        let organization = &*op.organization;
        let component = component_of(D::KIND, link_name);
        let mut connections: BTreeSet<String> = definition.connections().into_iter().collect();
        self.check_primaries(op, &component, &definition.connections()).await?;
        for connection in &connections {
            if !hold_used(work, organization, connection, looked_at).await? {
                let message = format!("There is no connection {connection:?}.");
                return Err(Error::field("definition.actions", "unknown", message));
            }
        }
        connections.extend(self.released_uses(organization, application, &component).await?);
        let connections: Vec<String> = connections.into_iter().collect();
        let version = work.latest_version(organization, application, &component).await? + 1;
        work.put_component(organization, application, &component, &connections, op.now).await?;
        let made = Definition {
            organization_id: organization.to_owned(),
            application: application.to_owned(),
            component: component.clone(),
            version,
            name,
            document: serde_json::to_string(definition).map_err(Error::internal)?,
            created_by: op.principal.member().unwrap_or_default().to_owned(),
            created_at: op.now,
            first_at: op.now,
        };
        work.insert_definition(&made).await?;
        if let Some(Next(next_at)) = next_tick(definition, op.now) {
            work.put_schedule(&scheduled(&made, Environment::Development, next_at)).await?;
        }
        work.touch(organization);
        work.record(
            op.event(EventKind::ComponentSaved)
                .to(application)
                .with("component", component)
                .with("version", version)
                .with("connections", connections),
        );
        Ok(made)
    }

    /// The connections that the released versions of a component use: they stay references until no environment serves them.
    pub(crate) async fn released_uses(
        &self,
        organization: &str,
        application: &str,
        component: &str,
    ) -> Result<BTreeSet<String>> {
        let mut used = BTreeSet::new();
        for deployment in self.store().deployments(organization, application).await? {
            let release = self.store().release(organization, application, deployment.release).await?;
            let Some(version) = release.and_then(|release| release.contents.get(component).copied()) else {
                continue;
            };
            if let Some(definition) =
                self.store().definition(organization, application, component, version).await?
                && let Some(built) = Built::of(&definition, None, Timestamp::default())?
            {
                used.extend(built.connections);
            }
        }
        Ok(used)
    }

    /// Takes a component out of development. What an environment serves of it stays until another release is published there.
    pub async fn delete_built<D: Definable>(
        &self,
        op: &Op,
        application: &str,
        link_name: &str,
    ) -> Result<()> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let present = self.current(op, application, D::KIND, link_name).await?;
        if D::KIND == Form::KIND {
            let workflows = self.store().current_definitions(
                &op.organization,
                application,
                "workflow:",
                "workflow;",
                COMPONENTS_MAX,
            );
            for definition in workflows.await? {
                if document::<Workflow>(&definition)?.form == link_name {
                    return Err(Error::new(
                        Code::StateConflict,
                        format!(
                            "The workflow {:?} runs on this form. Delete it or change its form first.",
                            definition.name
                        ),
                    ));
                }
            }
        }
        let released = self.released_uses(&op.organization, application, &present.component).await?;
        let mut work = self.begin(permit).await?;
        if released.is_empty() {
            if !work.delete_component(&op.organization, application, &present.component).await? {
                return Err(Error::not_found(format_args!("{} {link_name:?}", D::KIND)));
            }
        } else {
            return Err(Error::new(
                Code::StateConflict,
                "Stage or production still serves it. Publish there without it first: switch it off (`enabled`: false), publish, then delete it.",
            ));
        }
        let development = Environment::Development.as_str();
        work.delete_schedule(&op.organization, application, development, &present.component).await?;
        let table = Table {
            organization: &op.organization,
            application,
            environment: development,
            component: &present.component,
        };
        work.delete_table(table).await?;
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::ComponentRemoved).to(application).with("component", present.component),
        );
        work.commit().await
    }

    /// Whether a connection may be used by the application; for those who see the application.
    pub(crate) async fn environment_status(
        &self,
        organization: &str,
        connection: &str,
        environment: Environment,
    ) -> Result<Option<jackfield_core::ConnectionStatus>> {
        let statuses = self.store().binding_statuses(organization, connection, connection, "").await?;
        Ok(statuses.into_iter().find(|status| status.environment == environment).map(|status| status.status))
    }
}
