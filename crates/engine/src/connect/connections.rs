//! Connections: made, listed, changed, deleted.

use std::collections::BTreeMap;

use jackfield_core::connector::{self, Connector};
use jackfield_core::id::Prefix;
use jackfield_core::{
    Action, Code, ConnectionStatus, Environment, Error, EventKind, FieldError, Level, Permit, Principal,
    Resource, Result, Role, Timestamp, names, permit,
};
use jackfield_store::{Connection, ConnectionFilter, StatusFilter};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::clock::new_id;
use crate::connect::Secrets;
use crate::connect::authorizations::Switch;
use crate::connect::connectors::{ConnectorCard, Found, card, check_usable, link_name_taken};
use crate::connect::credential::seal_map;
use crate::connect::ground::secrets_context;
use crate::connect::references;
use crate::govern::organizations::version_conflict;
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op};

/// Beside the words of [`ConnectionStatus`]: nothing is called through it anywhere.
const DISABLED: &str = "disabled";

/// What a new connection is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConnection {
    /// link name of the connector
    pub connector: String,
    /// display name, not unique
    pub name: String,
    /// permanent and unique; derived from the name unless given
    pub link_name: Option<String>,
    /// `admin` or `user`; `admin` unless told
    pub level: Option<Level>,
    /// the connector's default scopes unless given
    pub scopes: Option<Vec<String>>,
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// one authorization for all environments, or one each; one for all unless told
    pub same_authorization: Option<bool>,
    /// link names of the applications that may use it; `["*"]` unless told
    pub applications: Option<Vec<String>>,
}

/// What is to change. What is absent stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionPatch {
    pub name: Option<String>,
    /// consent is asked again by reauthorizing; until then `missing_scopes` of the authorizations say what is not granted
    pub scopes: Option<Vec<String>>,
    /// merged into the present ones; null takes one out
    pub parameters: Option<Map<String, Value>>,
    pub same_authorization: Option<bool>,
    pub applications: Option<Vec<String>>,
    /// the version that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

/// Something of a connection by environment.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ByEnvironment<T> {
    pub development: T,
    pub stage: T,
    pub production: T,
}

impl<T> ByEnvironment<T> {
    pub fn of(&self, environment: Environment) -> &T {
        match environment {
            Environment::Development => &self.development,
            Environment::Stage => &self.stage,
            Environment::Production => &self.production,
        }
    }

    fn set(&mut self, environment: Environment, value: T) {
        match environment {
            Environment::Development => self.development = value,
            Environment::Stage => self.stage = value,
            Environment::Production => self.production = value,
        }
    }
}

/// An authorized account, in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccountView {
    /// id of the authorization
    pub authorization: String,
    pub account_name: String,
}

/// What serves a connection, and how that is.
#[derive(Clone)]
pub(crate) struct Served {
    status: ByEnvironment<ConnectionStatus>,
    accounts: ByEnvironment<Option<AccountView>>,
    primary: ByEnvironment<Option<String>>,
    references: i64,
}

impl Served {
    fn nothing() -> Self {
        let none = ConnectionStatus::NotConnected;
        Self {
            status: ByEnvironment { development: none, stage: none, production: none },
            accounts: ByEnvironment::default(),
            primary: ByEnvironment::default(),
            references: 0,
        }
    }
}

/// A connection.
#[derive(Serialize, ToSchema)]
pub struct ConnectionView {
    pub link_name: String,
    pub name: String,
    pub connector: ConnectorCard,
    /// of a custom connector: the version that it stays on until it is moved
    pub connector_version: Option<i64>,
    /// of a custom connector: the newest version that was published; the connection can be moved to it
    pub newest_connector_version: Option<i64>,
    pub level: Level,
    pub scopes: Vec<String>,
    /// secret ones are shown as `{"set": true}`
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    pub same_authorization: bool,
    pub enabled: bool,
    pub applications: Vec<String>,
    /// how many components of applications use it
    pub references: i64,
    /// at level `user` it is the caller's own
    pub status: ByEnvironment<ConnectionStatus>,
    /// the authorized accounts that serve; at level `user` the caller's own
    pub accounts: ByEnvironment<Option<AccountView>>,
    /// at level `user`: ids of the authorizations that unattended work uses
    pub primary: Option<ByEnvironment<Option<String>>>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// give it back with a change, so that nobody's change is overwritten
    pub version: i64,
}

/// Which connections are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConnectionQuery {
    /// link name of a connector
    pub connector: Option<String>,
    /// `system`, `admin` or `user`
    pub level: Option<Level>,
    /// link name of an application that may use them
    pub application: Option<String>,
    /// what the name or the link name holds
    pub q: Option<String>,
    /// `connected`, `not_connected`, `reauthorization_required` or `disabled`; at level `user` as the caller has it
    pub status: Option<String>,
    /// where `status` is asked; production unless told
    pub environment: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// What [`permit`] has to know about a connection.
pub(crate) struct ConnectionResource<'a> {
    connection: &'a Connection,
    managed_by_admins: bool,
}

impl ConnectionResource<'_> {
    pub fn as_resource(&self) -> Resource<'_> {
        Resource::Connection {
            level: self.connection.level,
            managed_by_admins: self.managed_by_admins,
            applications: &self.connection.applications,
        }
    }
}

/// Parameters that were checked, the secret ones still in clear.
struct Parameters {
    public: BTreeMap<String, String>,
    secret: Secrets,
}

/// The status that is asked for, and where.
fn wanted_status(query: &ConnectionQuery) -> Result<Option<StatusFilter>> {
    let wrong = |why: String| Error::new(Code::InvalidRequest, why);
    let environment = match query.environment.as_deref() {
        None => Environment::Production,
        Some(word) => Environment::parse(word)
            .ok_or_else(|| wrong("environment: say development, stage or production.".to_owned()))?,
    };
    match query.status.as_deref() {
        None => Ok(None),
        Some(DISABLED) => Ok(Some(StatusFilter::Disabled)),
        Some(word) => match ConnectionStatus::parse(word) {
            Some(status) => Ok(Some(StatusFilter::Is(environment, status))),
            None => Err(wrong(
                "status: say connected, not_connected, reauthorization_required or disabled.".to_owned(),
            )),
        },
    }
}

impl Engine {
    /// The connection, if it is there; whether it may be seen is for [`permit`].
    pub(crate) async fn find_connection(&self, op: &Op, link_name: &str) -> Result<Connection> {
        let found = self.store().connection(&op.organization, link_name).await?;
        found.ok_or_else(|| Error::not_found(format_args!("connection {link_name:?}")))
    }

    pub(crate) async fn connection_resource<'a>(
        &self,
        op: &Op,
        connection: &'a Connection,
    ) -> Result<ConnectionResource<'a>> {
        let managed_by_admins = self.own_organization(&op.organization).await?.managed_by_admins();
        Ok(ConnectionResource { connection, managed_by_admins })
    }

    /// A connection that the caller may change, and the permit for it.
    pub(crate) async fn managed(&self, op: &Op, link_name: &str) -> Result<(Connection, Permit)> {
        let connection = self.find_connection(op, link_name).await?;
        let resource = self.connection_resource(op, &connection).await?;
        let permit = permit(&op.principal, Action::Manage, &resource.as_resource())?;
        Ok((connection, permit))
    }

    pub async fn create_connection(&self, op: &Op, new: NewConnection) -> Result<ConnectionView> {
        let organization = self.own_organization(&op.organization).await?;
        let applications = new.applications.unwrap_or_else(|| vec!["*".to_owned()]);
        let level = new.level.unwrap_or(Level::Admin);
        let resource = Resource::Connection {
            level: if level == Level::System { Level::Admin } else { level },
            managed_by_admins: organization.managed_by_admins(),
            applications: &applications,
        };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let found = self.connector_for_new(&op.organization, &new.connector).await.map_err(|error| {
            if error.code == Code::NotFound {
                Error::field("connector", "unknown", format!("There is no connector {:?}.", new.connector))
            } else {
                error
            }
        })?;
        check_usable(&found, &organization.region)?;
        let connector = &found.connector;
        let mut wrong = Vec::new();
        if let Err(why) = names::display_name(&new.name) {
            wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
        }
        if let Some(Err(why)) = new.link_name.as_deref().map(names::link_name) {
            wrong.push(FieldError::new("link_name", "invalid", format!("The link name {why}.")));
        }
        if level == Level::System || !connector.levels.contains(&level) {
            let message = if level == Level::System {
                "System connections are made by Jackfield itself.".to_owned()
            } else {
                format!("{} does not support level {level}.", connector.name)
            };
            wrong.push(FieldError::new("level", "not_allowed", message));
        }
        wrong.extend(check_applications(&applications));
        let scopes = new.scopes.unwrap_or_else(|| default_scopes(connector));
        wrong.extend(connector::check_scopes(connector, &scopes).err().unwrap_or_default());
        let checked = connector::check_connection_parameters(connector, &new.parameters);
        wrong.extend(checked.as_ref().err().cloned().unwrap_or_default());
        let (true, Ok(checked)) = (wrong.is_empty(), checked) else { return Err(Error::invalid(wrong)) };
        check_private_key(&checked.secret, &checked.public)?;
        let secret: Secrets = checked.secret.into_iter().map(|(k, v)| (k, SecretString::from(v))).collect();

        let id = new_id(Prefix::Connection, op.now);
        let mut connection = Connection {
            organization_id: op.organization.to_string(),
            link_name: String::new(),
            secrets: self.seal_secrets(&op.organization, &id, &secret)?,
            id,
            name: new.name,
            connector: found.link_name.clone(),
            connector_version: found.newest(),
            level,
            scopes,
            parameters: checked.public,
            same_authorization: new.same_authorization.unwrap_or(true),
            enabled: true,
            applications,
            created_by: op.principal.member().unwrap_or_default().to_owned(),
            created_at: op.now,
            updated_at: op.now,
            version: 1,
        };
        let derived = names::link_name_from(&connection.name);
        let wanted = new.link_name.as_deref().unwrap_or(&derived);
        for n in 1..1000 {
            connection.link_name = names::numbered(wanted, n);
            let mut work = self.begin(permit).await?;
            self.allow_connection(&mut work, &organization).await?;
            self.hold_applications(&mut work, op, "applications", &connection.applications).await?;
            match work.insert_connection(&connection).await {
                Ok(()) => {}
                Err(error) if error.is_unique("connections_pkey") && new.link_name.is_none() => continue,
                Err(error) if error.is_unique("connections_pkey") => return Err(link_name_taken(wanted)),
                Err(error) => return Err(error.into()),
            }
            let view = view(&connection, &found, &organization.region, &secret, Served::nothing());
            work.answer(op, 201, &view).await?;
            // A caller may have asked for this name before, and been told that it is not there.
            work.touch(&op.organization);
            work.record(
                op.event(EventKind::ConnectionCreated)
                    .on_connection(&connection.link_name)
                    .with("name", connection.name.as_str())
                    .with("connector", connection.connector.as_str())
                    .with("level", connection.level.as_str())
                    .with("scopes", connection.scopes.as_slice())
                    .with("same_authorization", connection.same_authorization)
                    .with("applications", connection.applications.as_slice()),
            );
            work.commit().await?;
            return Ok(view);
        }
        Err(link_name_taken(wanted))
    }

    /// The system connection to a connector of the organization's own suite; made when an integration targets it for the first time. The
    /// caller holds the organization's lock.
    pub(crate) async fn system_connection(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        connector: &str,
    ) -> Result<String> {
        if let Some(link_name) = work.system_connection(&op.organization, connector).await? {
            return Ok(link_name);
        }
        let found = self.connector_for_new(&op.organization, connector).await?;
        let organization = self.own_organization(&op.organization).await?;
        check_usable(&found, &organization.region)?;
        self.allow_connection(work, &organization).await?;
        let mut connection = Connection {
            organization_id: op.organization.to_string(),
            link_name: String::new(),
            secrets: None,
            id: new_id(Prefix::Connection, op.now),
            name: found.connector.name.clone(),
            connector: found.link_name.clone(),
            connector_version: found.newest(),
            level: Level::System,
            scopes: default_scopes(&found.connector),
            parameters: BTreeMap::new(),
            same_authorization: true,
            enabled: true,
            applications: vec!["*".to_owned()],
            created_by: String::new(),
            created_at: op.now,
            updated_at: op.now,
            version: 1,
        };
        let wanted = names::link_name_from(&format!("system {connector}"));
        for n in 1..1000 {
            connection.link_name = names::numbered(&wanted, n);
            if work.connection(&op.organization, &connection.link_name).await?.is_some() {
                continue;
            }
            work.insert_connection(&connection).await?;
            work.touch(&op.organization);
            work.record(
                op.event(EventKind::ConnectionCreated)
                    .on_connection(&connection.link_name)
                    .with("connector", connector)
                    .with("level", Level::System.as_str()),
            );
            return Ok(connection.link_name);
        }
        Err(link_name_taken(&wanted))
    }

    pub async fn list_connections(&self, op: &Op, query: &ConnectionQuery) -> Result<Page<ConnectionView>> {
        let organization = self.own_organization(&op.organization).await?;
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        // Users see only what each person authorizes for himself.
        let user = matches!(&op.principal, Principal::Member { role: Role::User, .. });
        let level = match (user, query.level) {
            (true, None | Some(Level::User)) => Some(Level::User),
            (true, Some(_)) => return Ok(Page { items: Vec::new(), next_cursor: None }),
            (false, level) => level,
        };
        let application = match &op.principal {
            Principal::Application { link_name, .. } => link_name,
            Principal::Member { .. } => query.application.as_deref().unwrap_or(""),
        };
        let filter = ConnectionFilter {
            level,
            connector: query.connector.as_deref().unwrap_or(""),
            application,
            text: query.q.as_deref().unwrap_or("").trim(),
            status: wanted_status(query)?,
            member: op.principal.member().unwrap_or(""),
        };
        let rows = self.store().connections(&op.organization, &filter, &after, limit.rows()).await?;
        let served = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => self.served(op, &first.link_name, &last.link_name).await?,
            _ => BTreeMap::new(),
        };
        let mut views = Vec::with_capacity(rows.len());
        let mut connectors: BTreeMap<(String, Option<i64>), Found> = BTreeMap::new();
        for row in rows {
            let served = served.get(&row.link_name).cloned().unwrap_or_else(Served::nothing);
            let secrets = self.open_secrets(&row)?;
            let version = (row.connector.clone(), row.connector_version);
            if !connectors.contains_key(&version) {
                let found = self.connector_of(&row).await?;
                connectors.insert(version.clone(), found);
            }
            if let Some(found) = connectors.get(&version) {
                views.push(view(&row, found, &organization.region, &secrets, served));
            }
        }
        Ok(limit.page(views, |view| view.link_name.clone(), |view| view))
    }

    pub async fn read_connection(&self, op: &Op, link_name: &str) -> Result<ConnectionView> {
        let connection = self.find_connection(op, link_name).await?;
        permit(&op.principal, Action::See, &self.connection_resource(op, &connection).await?.as_resource())?;
        self.view_of(op, &connection).await
    }

    async fn view_of(&self, op: &Op, connection: &Connection) -> Result<ConnectionView> {
        let organization = self.own_organization(&op.organization).await?;
        let found = self.connector_of(connection).await?;
        let secrets = self.open_secrets(connection)?;
        let link = &connection.link_name;
        let served = self.served(op, link, link).await?.remove(link).unwrap_or_else(Served::nothing);
        Ok(view(connection, &found, &organization.region, &secrets, served))
    }

    /// What serves the connections from `first` to `last`, as the caller sees it.
    async fn served(&self, op: &Op, first: &str, last: &str) -> Result<BTreeMap<String, Served>> {
        let mut served: BTreeMap<String, Served> = BTreeMap::new();
        let member = op.principal.member().unwrap_or("");
        for row in self.store().binding_statuses(&op.organization, first, last, member).await? {
            let entry = served.entry(row.connection).or_insert_with(Served::nothing);
            entry.status.set(row.environment, row.status);
            let account = AccountView { authorization: row.authorization_id, account_name: row.account_name };
            entry.accounts.set(row.environment, Some(account));
        }
        for row in self.store().primaries(&op.organization, first, last).await? {
            let entry = served.entry(row.connection).or_insert_with(Served::nothing);
            entry.primary.set(row.environment, Some(row.authorization_id));
        }
        for (connection, references) in self.reference_counts(&op.organization, first, last).await? {
            served.entry(connection).or_insert_with(Served::nothing).references = references;
        }
        Ok(served)
    }

    pub async fn update_connection(
        &self,
        op: &Op,
        link_name: &str,
        patch: ConnectionPatch,
    ) -> Result<ConnectionView> {
        let (mut connection, permit) = self.managed(op, link_name).await?;
        if patch.version.is_some_and(|version| version != connection.version) {
            let current = self.view_of(op, &connection).await?;
            return Err(version_conflict().with_extension("current", json!(current)));
        }
        let found = self.connector_of(&connection).await?;
        let mut changes = op.event(EventKind::ConnectionUpdated).on_connection(link_name);
        let lists = patch.applications.is_some();
        let mut wrong = Vec::new();
        if let Some(name) = patch.name {
            if let Err(why) = names::display_name(&name) {
                wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
            }
            changes = changes.with("name", name.as_str());
            connection.name = name;
        }
        if let Some(scopes) = patch.scopes {
            wrong.extend(connector::check_scopes(&found.connector, &scopes).err().unwrap_or_default());
            changes = changes.with("scopes", scopes.as_slice());
            connection.scopes = scopes;
        }
        if let Some(applications) = patch.applications {
            wrong.extend(check_applications(&applications));
            changes = changes.with("applications", applications.as_slice());
            connection.applications = applications;
        }
        if let Some(parameters) = patch.parameters {
            // Their names alone: some of them are secret.
            changes = changes.with("parameters", parameters.keys().cloned().collect::<Vec<_>>());
            match self.merged_parameters(&connection, &found, parameters) {
                Ok(parameters) => {
                    connection.parameters = parameters.public;
                    connection.secrets =
                        self.seal_secrets(&op.organization, &connection.id, &parameters.secret)?;
                }
                Err(error) if error.code == Code::InvalidInput => wrong.extend(error.fields),
                Err(error) => return Err(error),
            }
        }
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let joins = patch.same_authorization == Some(true) && !connection.same_authorization;
        if let Some(same) = patch.same_authorization {
            changes = changes.with("same_authorization", same);
            connection.same_authorization = same;
        }
        connection.updated_at = op.now;
        let mut work = self.begin(permit).await?;
        if lists {
            self.hold_applications(&mut work, op, "applications", &connection.applications).await?;
        }
        if !work.update_connection(&connection).await? {
            drop(work);
            let current = self.read_connection(op, link_name).await?;
            return Err(version_conflict().with_extension("current", json!(current)));
        }
        if joins {
            work.join_environments(&op.organization, link_name, op.now).await?;
        }
        work.touch(&op.organization);
        work.record(changes);
        work.commit().await?;
        self.read_connection(op, link_name).await
    }

    /// What the parameters become: the present ones with the changes, checked as a whole.
    fn merged_parameters(
        &self,
        connection: &Connection,
        found: &Found,
        changes: Map<String, Value>,
    ) -> Result<Parameters> {
        let mut all: Map<String, Value> =
            connection.parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        for (name, value) in self.open_secrets(connection)? {
            all.insert(name, value.expose_secret().into());
        }
        for (name, value) in changes {
            // What was shown as set comes back as it was shown: it stays.
            if value == json!({"set": true}) {
                continue;
            }
            if value.is_null() {
                all.remove(&name);
            } else {
                all.insert(name, value);
            }
        }
        let checked =
            connector::check_connection_parameters(&found.connector, &all).map_err(Error::invalid)?;
        check_private_key(&checked.secret, &checked.public)?;
        Ok(Parameters {
            public: checked.public,
            secret: checked.secret.into_iter().map(|(k, v)| (k, SecretString::from(v))).collect(),
        })
    }

    /// Enables or disables. What is disabled is refused from the moment this answers.
    pub async fn enable_connection(&self, op: &Op, link_name: &str, enabled: bool) -> Result<ConnectionView> {
        let (mut connection, permit) = self.managed(op, link_name).await?;
        connection.enabled = enabled;
        connection.updated_at = op.now;
        let mut work = self.begin(permit).await?;
        if !work.update_connection(&connection).await? {
            drop(work);
            let current = self.read_connection(op, link_name).await?;
            return Err(version_conflict().with_extension("current", json!(current)));
        }
        connection.version += 1;
        let view = self.view_of(op, &connection).await?;
        work.answer(op, 200, &view).await?;
        work.touch(&op.organization);
        let kind = if enabled { EventKind::ConnectionEnabled } else { EventKind::ConnectionDisabled };
        work.record(op.event(kind).on_connection(link_name));
        work.commit().await?;
        Ok(view)
    }

    /// Deletes a connection that nothing uses; authorizations that no other connection holds are revoked at the service.
    pub async fn delete_connection(&self, op: &Op, link_name: &str) -> Result<()> {
        let (connection, permit) = self.managed(op, link_name).await?;
        let ground = self.ground(connection).await?;
        // What is counted of it goes with it, the last calls as well.
        self.flush_records().await;
        let mut work = self.begin(permit).await?;
        // Held before it is looked at: whoever refers to it at the same time has either committed, or finds no connection.
        work.hold_connection(&op.organization, link_name).await?;
        let references = work.references(&op.organization, link_name, references::LISTED).await?;
        if !references.is_empty() {
            return Err(references::referenced(link_name, references));
        }
        let mut orphans = Vec::new();
        for id in work.held_by(&op.organization, link_name).await? {
            orphans.extend(self.let_go(&mut work, &op.organization, link_name, &id).await?);
        }
        work.delete_bindings(&op.organization, link_name).await?;
        work.delete_primaries(&op.organization, link_name).await?;
        work.delete_rates(&op.organization, link_name).await?;
        if !work.delete_connection(&op.organization, link_name).await? {
            return Err(Error::not_found(format_args!("connection {link_name:?}")));
        }
        work.touch(&op.organization);
        work.record(op.event(EventKind::ConnectionDeleted).on_connection(link_name));
        work.commit().await?;
        self.revoke_orphans(&ground, orphans, op.now).await;
        Ok(())
    }

    /// Chooses whose account unattended work uses, where each person authorizes for himself (product N14). Admins choose any that serves;
    /// others who manage connections offer their own.
    pub async fn choose_primary(
        &self,
        op: &Op,
        link_name: &str,
        environment: &str,
        chosen: Switch,
    ) -> Result<ConnectionView> {
        let (connection, permit) = self.managed(op, link_name).await?;
        let environment = Environment::parse(environment)
            .ok_or_else(|| Error::not_found(format_args!("environment {environment:?}")))?;
        if connection.level != Level::User {
            return Err(Error::new(
                Code::StateConflict,
                "Only a connection of level user has a primary account: here the admins' authorization serves everybody already.",
            ));
        }
        let wrong = |message: &str| Error::field("authorization", "unknown", message);
        let row = self.held(op, &connection, &chosen.authorization).await;
        let row = row.map_err(|_| wrong("The connection holds no such authorization."))?;
        let one = [environment];
        let environments = if connection.same_authorization { Environment::ALL } else { &one };
        for environment in environments {
            let bound = self.store().binding(&op.organization, link_name, *environment, &row.owner).await?;
            if bound.as_ref() != Some(&row.id) {
                return Err(wrong(&format!("It does not serve its owner in {environment}.")));
            }
        }
        let mut work = self.begin(permit).await?;
        for environment in environments {
            work.set_primary(&op.organization, link_name, *environment, &row.owner, op.now).await?;
        }
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::PrimaryChosen)
                .on_authorization(link_name, &row.id)
                .with("account_name", row.account_name)
                .with("member", row.owner)
                .with("environments", environments.iter().map(|e| e.as_str()).collect::<Vec<_>>()),
        );
        work.commit().await?;
        self.read_connection(op, link_name).await
    }

    pub(super) fn seal_secrets(
        &self,
        organization: &str,
        connection: &str,
        secret: &Secrets,
    ) -> Result<Option<Vec<u8>>> {
        if secret.is_empty() {
            return Ok(None);
        }
        seal_map(self.keyring(), &secrets_context(organization, connection), secret).map(Some)
    }
}

pub(super) fn default_scopes(connector: &Connector) -> Vec<String> {
    connector.scopes.iter().filter(|scope| scope.default).map(|scope| scope.name.clone()).collect()
}

fn check_applications(applications: &[String]) -> Vec<FieldError> {
    applications
        .iter()
        .enumerate()
        .filter(|(_, name)| *name != "*" && names::link_name(name).is_err())
        .map(|(at, _)| {
            FieldError::new(
                format!("applications.{at}"),
                "invalid",
                "Give the link name of an application, or * for every one.",
            )
        })
        .collect()
}

/// A private key is tried when it is given, not when the first token is needed.
pub(super) fn check_private_key(
    secret: &BTreeMap<String, String>,
    public: &BTreeMap<String, String>,
) -> Result<()> {
    let Some(pem) = secret.get("private_key").filter(|pem| !pem.is_empty()) else { return Ok(()) };
    let name = public.get("signing_algorithm").map_or("RS256", String::as_str);
    let Ok(algorithm) = name.parse() else {
        return Err(Error::field(
            "parameters.signing_algorithm",
            "invalid",
            "This algorithm is not supported.",
        ));
    };
    jackfield_oauth::check_private_key(&SecretString::from(pem.as_str()), algorithm)
        .map_err(|why| Error::field("parameters.private_key", "invalid", why.to_string()))
}

fn view(
    connection: &Connection,
    found: &Found,
    region: &str,
    secrets: &Secrets,
    served: Served,
) -> ConnectionView {
    let mut parameters: Map<String, Value> =
        connection.parameters.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    for name in secrets.keys() {
        parameters.insert(name.clone(), json!({"set": true}));
    }
    ConnectionView {
        link_name: connection.link_name.clone(),
        name: connection.name.clone(),
        connector: card(found, region),
        connector_version: connection.connector_version,
        newest_connector_version: found.newest(),
        level: connection.level,
        scopes: connection.scopes.clone(),
        parameters,
        same_authorization: connection.same_authorization,
        enabled: connection.enabled,
        applications: connection.applications.clone(),
        references: served.references,
        status: served.status,
        accounts: served.accounts,
        primary: (connection.level == Level::User).then_some(served.primary),
        created_by: connection.created_by.clone(),
        created_at: connection.created_at,
        updated_at: connection.updated_at,
        version: connection.version,
    }
}
