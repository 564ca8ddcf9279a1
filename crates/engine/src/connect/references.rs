//! Where connections are used: the components of applications, the references these make, which application may use a connection, and the
//! lists that an application shows of its connections (product N10, N11, N13).

use std::collections::BTreeMap;

use jackfield_core::{
    Action, Code, ConnectionStatus, Environment, Error, EventKind, FieldError, KeyScopes, Level, Principal,
    Resource, Result, Role, Timestamp, allows, names, permit,
};
use jackfield_store::{Connection, ConnectionFilter, Reference};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::call::ready::environment_of;
use crate::connect::connections::ConnectionView;
use crate::connect::connectors::{ConnectorCard, card};
use crate::govern::applications::Found;
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op};

/// Connections that one component may use.
const CONNECTIONS_MAX: usize = 100;
/// Components that work while nobody is there.
const UNATTENDED: [&str; 2] = ["schedule:", "datasource:"];

/// Whether nobody is there when a component works.
pub(crate) fn is_unattended(component: &str) -> bool {
    UNATTENDED.iter().any(|kind| component.starts_with(kind))
}

/// References that a refusal lists at most.
pub(crate) const LISTED: i64 = 100;

/// Which connections a component uses.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentUse {
    /// link names of connections
    #[serde(default)]
    pub connections: Vec<String>,
    /// link names of connectors of the organization's own suite that the component's integrations target: their system connections are made
    /// where they are not there yet
    #[serde(default)]
    pub connectors: Vec<String>,
}

/// A part of an application.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ComponentView {
    /// kind and name: `workflow:orders`
    pub component: String,
    pub kind: String,
    pub name: String,
    /// link names of the connections that it uses
    pub connections: Vec<String>,
    pub updated_at: Timestamp,
}

/// A place that uses a connection.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReferenceView {
    /// link name of the application
    pub application: String,
    /// `workflow:orders`
    pub component: String,
}

/// How the application shows its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// all that it may use
    Live,
    /// those of one component
    Edit,
}

/// Which connections of an application are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ApplicationConnectionQuery {
    /// `live`: all connections that the application may use; `edit`: those of one component. `live` unless told
    #[param(inline)]
    pub mode: Option<Mode>,
    /// in live mode; an application key's own, else production, unless told. Edit mode is development
    pub environment: Option<String>,
    /// in edit mode: `workflow:orders`
    pub component: Option<String>,
    /// id of the member to whom an application shows the list: at level `user` the status is his
    pub acting_for: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// A connection as an application shows it.
#[derive(Serialize, ToSchema)]
pub struct ApplicationConnectionView {
    pub link_name: String,
    pub name: String,
    pub connector: ConnectorCard,
    pub level: Level,
    /// in this environment; at level `user` the caller's own
    pub status: ConnectionStatus,
    /// name of the account that serves here; at level `user` the caller's own
    pub authorized_account: Option<String>,
    /// whether the caller may authorize it
    pub can_authorize: bool,
    pub enabled: bool,
    /// whether the connection allows this application; a component may still refer to one that no longer does
    pub allowed: bool,
}

/// Two words in one cursor; neither holds a space.
fn read_after(after: &str) -> Reference {
    let (application, component) = after.split_once(' ').unwrap_or((after, ""));
    Reference { application: application.to_owned(), component: component.to_owned() }
}

impl From<Reference> for ReferenceView {
    fn from(reference: Reference) -> Self {
        Self { application: reference.application, component: reference.component }
    }
}

fn check_component(component: &str) -> Result<()> {
    names::component(component)
        .map_err(|why| Error::field("component", "invalid", format!("The component {why}.")))
}

/// What is built here says by its definition what it uses.
async fn check_foreign(work: &mut Work<'_>, op: &Op, application: &str, component: &str) -> Result<()> {
    match work.component(&op.organization, application, component).await? {
        Some(known) if known.version > 0 => Err(Error::new(
            Code::StateConflict,
            format!("{component} is built here: change or delete it under /v1/applications/{application}."),
        )),
        _ => Ok(()),
    }
}

fn component_view(component: String, connections: Vec<String>, updated_at: Timestamp) -> ComponentView {
    let (kind, name) = component.split_once(':').unwrap_or((&component, ""));
    ComponentView { kind: kind.to_owned(), name: name.to_owned(), connections, updated_at, component }
}

impl Engine {
    pub async fn list_components(
        &self,
        op: &Op,
        application: &str,
        query: &PageQuery,
    ) -> Result<Page<ComponentView>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Read, &found.inner())?;
        let (limit, after) = (query.limit()?, query.after()?);
        let rows = self.store().components(&op.organization, application, &after, limit.rows()).await?;
        let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            let (first, last) = (&first.component, &last.component);
            for (component, connection) in
                self.store().used_by_components(&op.organization, application, first, last).await?
            {
                used.entry(component).or_default().push(connection);
            }
        }
        Ok(limit.page(
            rows,
            |row| row.component.clone(),
            |row| {
                let connections = used.get(&row.component).cloned().unwrap_or_default();
                component_view(row.component, connections, row.updated_at)
            },
        ))
    }

    /// Says which connections a component uses, whatever it used before.
    pub async fn declare_component(
        &self,
        op: &Op,
        application: &str,
        component: &str,
        uses: ComponentUse,
    ) -> Result<ComponentView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        check_component(component)?;
        if uses.connections.len() > CONNECTIONS_MAX {
            let message = format!("A component uses at most {CONNECTIONS_MAX} connections.");
            return Err(Error::field("connections", "too_long", message));
        }
        let mut sorted: Vec<(usize, &String)> = uses.connections.iter().enumerate().collect();
        sorted.sort_by_key(|(_, name)| *name);
        self.check_primaries(op, component, &uses.connections).await?;
        let mut work = self.begin(permit).await?;
        let system = self.system_connections(&mut work, op, &uses.connectors).await?;
        if !work.hold_application(&op.organization, application).await? {
            return Err(Error::not_found(format_args!("application {application:?}")));
        }
        check_foreign(&mut work, op, application, component).await?;
        // Held until this is committed: whoever deletes one of them at the same time waits, and then finds the reference.
        let mut wrong = Vec::new();
        for (at, name) in &sorted {
            if work.hold_connection(&op.organization, name).await?.is_none() {
                let message = format!("There is no connection {name:?}.");
                wrong.push(FieldError::new(format!("connections.{at}"), "unknown", message));
            }
        }
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let mut connections: Vec<String> = sorted.into_iter().map(|(_, name)| name.clone()).collect();
        connections.extend(system);
        connections.sort();
        connections.dedup();
        work.put_component(&op.organization, application, component, &connections, op.now).await?;
        work.record(
            op.event(EventKind::ComponentDeclared)
                .to(application)
                .with("component", component)
                .with("connections", connections.as_slice()),
        );
        work.commit().await?;
        Ok(component_view(component.to_owned(), connections, op.now))
    }

    /// What works unattended needs somebody's account where each person has his own (product N14).
    pub(crate) async fn check_primaries(
        &self,
        op: &Op,
        component: &str,
        connections: &[String],
    ) -> Result<()> {
        if !is_unattended(component) {
            return Ok(());
        }
        for name in connections {
            let Some(connection) = self.store().connection(&op.organization, name).await? else { continue };
            if connection.level == Level::User
                && self.store().primaries(&op.organization, name, name).await?.is_empty()
            {
                return Err(Error::new(
                    Code::PrimaryAccountRequired,
                    format!(
                        "Each person uses {name:?} with his own account. Choose a primary account before a schedule or datasource uses it."
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The system connections to these connectors, made where they are not there yet (product N2).
    async fn system_connections(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        connectors: &[String],
    ) -> Result<Vec<String>> {
        if connectors.is_empty() {
            return Ok(Vec::new());
        }
        // Of two integrations that come at once, one makes it.
        work.lock_organization(&op.organization).await?;
        let organization = self.own_organization(&op.organization).await?;
        let mut names = Vec::with_capacity(connectors.len());
        for (at, connector) in connectors.iter().enumerate() {
            if !organization.suite.contains(connector) {
                return Err(Error::field(
                    format!("connectors.{at}"),
                    "not_allowed",
                    format!(
                        "{connector:?} is not in the organization's own suite. Name a connection to it, or have the super admin add it to the suite."
                    ),
                ));
            }
            names.push(self.system_connection(work, op, connector).await?);
        }
        Ok(names)
    }

    pub async fn remove_component(&self, op: &Op, application: &str, component: &str) -> Result<()> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let mut work = self.begin(permit).await?;
        check_foreign(&mut work, op, application, component).await?;
        if !work.delete_component(&op.organization, application, component).await? {
            return Err(Error::not_found(format_args!("component {component:?}")));
        }
        work.record(op.event(EventKind::ComponentRemoved).to(application).with("component", component));
        work.commit().await
    }

    /// The places that use a connection. A user gets those in applications to which he has access.
    pub async fn list_references(
        &self,
        op: &Op,
        link_name: &str,
        query: &PageQuery,
    ) -> Result<Page<ReferenceView>> {
        let connection = self.find_connection(op, link_name).await?;
        permit(&op.principal, Action::See, &self.connection_resource(op, &connection).await?.as_resource())?;
        let member = op.member()?;
        let member = if op.principal.role() == Some(Role::User) { member } else { "" };
        let (limit, after) = (query.limit()?, read_after(&query.after()?));
        let rows = self.store().references(&op.organization, link_name, member, &after, limit.rows()).await?;
        Ok(limit.page(rows, |row| format!("{} {}", row.application, row.component), ReferenceView::from))
    }

    /// How many places use each of the connections from `first` to `last`.
    pub(crate) async fn reference_counts(
        &self,
        organization: &str,
        first: &str,
        last: &str,
    ) -> Result<BTreeMap<String, i64>> {
        Ok(self.store().reference_counts(organization, first, last).await?.into_iter().collect())
    }

    /// Allows one application to use a connection, or forbids it. What is forbidden is refused from the moment this answers.
    pub async fn allow_application(
        &self,
        op: &Op,
        link_name: &str,
        application: &str,
        allow: bool,
    ) -> Result<ConnectionView> {
        let (_, permit) = self.managed(op, link_name).await?;
        let mut work = self.begin(permit).await?;
        if !work.hold_application(&op.organization, application).await? {
            return Err(Error::not_found(format_args!("application {application:?}")));
        }
        // Held, then read: of two who allow different applications at once, neither overwrites the other.
        work.hold_connection(&op.organization, link_name).await?;
        let Some(connection) = work.connection(&op.organization, link_name).await? else {
            return Err(Error::not_found(format_args!("connection {link_name:?}")));
        };
        let listed = &connection.applications;
        if !allow && listed.iter().any(|name| name == "*") {
            // Everybody but one: who comes later would be in it too, and a list of those who are here now would say something else.
            return Err(Error::new(
                Code::StateConflict,
                "Every application may use this connection (`*`). To forbid one, list those that may: PATCH the connection's applications.",
            ));
        }
        let listed =
            if allow { allows(listed, application) } else { listed.iter().any(|name| name == application) };
        if listed != allow {
            list_application(&mut work, op, connection, application, allow).await?;
        }
        work.commit().await?;
        self.read_connection(op, link_name).await
    }

    /// The connections of an application as it shows them: in live mode all that it may use, in edit mode those of one component. Users see
    /// those that each person authorizes for himself.
    pub async fn application_connections(
        &self,
        op: &Op,
        application: &str,
        query: &ApplicationConnectionQuery,
    ) -> Result<Page<ApplicationConnectionView>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Read, &found.whole())?;
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        let (environment, component) = wanted(&op.principal, query)?;
        let viewer = self.viewer(op, query.acting_for.as_deref()).await?;
        let user = viewer.role() == Some(Role::User);
        let level = user.then_some(Level::User);
        let rows = match component {
            None => {
                let filter = ConnectionFilter { level, application, ..ConnectionFilter::default() };
                self.store().connections(&op.organization, &filter, &after, limit.rows()).await?
            }
            Some(component) => {
                if self.store().component(&op.organization, application, component).await?.is_none() {
                    return Err(Error::not_found(format_args!("component {component:?}")));
                }
                self.store()
                    .connections_of_component(
                        &op.organization,
                        application,
                        component,
                        level,
                        &after,
                        limit.rows(),
                    )
                    .await?
            }
        };
        let views = self.shown(op, &found, &viewer, environment, rows).await?;
        Ok(limit.page(views, |view| view.link_name.clone(), |view| view))
    }

    /// For whose eyes the list is: the caller's, or those of the member for whom an application asks.
    async fn viewer(&self, op: &Op, acting_for: Option<&str>) -> Result<Principal> {
        let Some(id) = acting_for else { return Ok(op.principal.clone()) };
        match &op.principal {
            Principal::Member { id: own, .. } if own == id => Ok(op.principal.clone()),
            Principal::Application { scopes, .. } if scopes.has(jackfield_core::KeyScope::ActFor) => {
                let member = self.store().member(&op.organization, id).await?.filter(|member| member.active);
                let member = member.ok_or_else(|| {
                    Error::field("acting_for", "unknown", "There is no active member with this id.")
                })?;
                Ok(Principal::Member {
                    id: member.id,
                    role: member.role,
                    key: None,
                    scopes: KeyScopes::PERSONAL,
                })
            }
            Principal::Member { .. } => Err(Error::new(
                Code::ActingForNotAllowed,
                "A personal key acts for its own member only. Leave acting_for out.",
            )),
            Principal::Application { .. } => Err(Error::new(
                Code::ActingForNotAllowed,
                "This key lacks the scope `act_for`. Use a key of the application that has it, or leave acting_for out.",
            )),
        }
    }

    async fn shown(
        &self,
        op: &Op,
        found: &Found,
        viewer: &Principal,
        environment: Environment,
        rows: Vec<Connection>,
    ) -> Result<Vec<ApplicationConnectionView>> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let organization = self.own_organization(&op.organization).await?;
        let managed_by_admins = organization.managed_by_admins();
        let (first, last, member) = (&first.link_name, &last.link_name, viewer.member().unwrap_or(""));
        let served = self.store().binding_statuses(&op.organization, first, last, member).await?;
        let served = served.into_iter().filter(|row| row.environment == environment);
        let served: BTreeMap<String, _> = served.map(|row| (row.connection.clone(), row)).collect();
        let mut cards: BTreeMap<(String, Option<i64>), ConnectorCard> = BTreeMap::new();
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            let version = (row.connector.clone(), row.connector_version);
            let connector = if let Some(known) = cards.get(&version) {
                known.clone()
            } else {
                let connector = self.connector_of(&row).await?;
                let card = card(&connector, &organization.region);
                cards.insert(version, card.clone());
                card
            };
            let resource =
                Resource::Connection { level: row.level, managed_by_admins, applications: &row.applications };
            let serving = served.get(&row.link_name);
            views.push(ApplicationConnectionView {
                can_authorize: permit(viewer, Action::Authorize, &resource).is_ok(),
                status: serving.map_or(ConnectionStatus::NotConnected, |serving| serving.status),
                authorized_account: serving.map(|serving| serving.account_name.clone()),
                allowed: allows(&row.applications, &found.application.link_name),
                link_name: row.link_name,
                name: row.name,
                connector,
                level: row.level,
                enabled: row.enabled,
            });
        }
        Ok(views)
    }
}

/// The environment of the list and, in edit mode, the component. What does not go together is named.
fn wanted<'q>(
    principal: &Principal,
    query: &'q ApplicationConnectionQuery,
) -> Result<(Environment, Option<&'q str>)> {
    let wrong = |text: &str| Error::new(Code::InvalidRequest, text);
    match (query.mode.unwrap_or(Mode::Live), query.component.as_deref()) {
        (Mode::Live, None) => Ok((environment_of(principal, query.environment.as_deref())?, None)),
        (Mode::Live, Some(_)) => {
            Err(wrong("component: only with mode=edit; live mode lists all connections of the application."))
        }
        (Mode::Edit, None) => {
            Err(wrong("component: say which one is edited, such as component=workflow:orders."))
        }
        (Mode::Edit, Some(component)) => {
            if query.environment.as_deref().is_some_and(|word| word != Environment::Development.as_str()) {
                return Err(wrong("environment: edit mode is development; leave environment out."));
            }
            names::component(component).map_err(|why| wrong(&format!("component: it {why}.")))?;
            let development = Some(Environment::Development.as_str());
            Ok((environment_of(principal, development)?, Some(component)))
        }
    }
}

/// Something uses the connection.
pub(crate) fn referenced(link_name: &str, references: Vec<Reference>) -> Error {
    let first = references.first().map_or_else(String::new, |first| {
        format!("{} of application {:?}", first.component, first.application)
    });
    let references: Vec<ReferenceView> = references.into_iter().map(ReferenceView::from).collect();
    Error::new(
        Code::ConnectionReferenced,
        format!("The connection {link_name:?} is used by {first}. Remove the references first, or disable the connection."),
    )
    .with_extension("references", json!(references))
}
/// Puts an application on the list of a connection that is held, or takes it from there; whether it may is decided before.
pub(crate) async fn list_application(
    work: &mut Work<'_>,
    op: &Op,
    mut connection: Connection,
    application: &str,
    allow: bool,
) -> Result<()> {
    if allow {
        connection.applications.push(application.to_owned());
    } else {
        connection.applications.retain(|name| name != application);
    }
    connection.updated_at = op.now;
    if !work.update_connection(&connection).await? {
        return Err(crate::govern::organizations::version_conflict());
    }
    work.touch(&op.organization);
    work.record(
        op.event(EventKind::ConnectionUpdated)
            .on_connection(&connection.link_name)
            .with(if allow { "allowed" } else { "forbidden" }, application)
            .with("applications", connection.applications.as_slice()),
    );
    Ok(())
}
