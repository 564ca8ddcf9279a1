//! Connections.

use std::collections::BTreeMap;

use jackfield_core::{ConnectionStatus, Environment, Level, Timestamp};

use crate::authorizations::UNBOUND_DELETE;
use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store, StoreError};

/// What [`Connection::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, link_name, id, name, connector, level, scopes, parameters, secrets, same_authorization, enabled, applications,
        created_by, created_at, updated_at, version, connector_version"
    };
}

/// A list of connections that fit, and what else they have to fit. A list in a column is compact JSON and a link name holds no quote: a name in
/// quotes stands in the list, or the list does not change.
macro_rules! listed {
    ($($also:expr),+) => {
        concat!("select ", columns!(), " from connections c where organization_id = $1 and link_name > $2
        and ($3 = '' or level = $3) and ($4 = '' or connector = $4)
        and ($5 = '' or replace(applications, $5, '') <> applications or replace(applications, '\"*\"', '') <> applications)
        and ($6 = '' or lower(name) like $6 escape '!' or link_name like $6 escape '!')", $($also),+, " order by link_name limit $7")
    };
}

/// Connections that an authorization serves which is like this. Where few are, their index leads to them; `cross join` keeps SQLite from
/// beginning with the bindings.
macro_rules! bindings {
    ($like:literal) => {
        concat!(
            "select b.connection from authorizations a cross join bindings b where a.organization_id = $1 and ",
            $like,
            " and b.organization_id = $1 and b.authorization_id = a.id and b.environment = $8 and (b.member = '' or b.member = $9)"
        )
    };
}

/// Nothing serves the connection, neither everybody nor whoever asks.
macro_rules! nothing_bound {
    ($connection:literal) => {
        concat!(
            "not exists (select 1 from bindings b where b.organization_id = $1 and b.connection = ",
            $connection,
            " and b.environment = $8 and (b.member = '' or b.member = $9))"
        )
    };
}

statements! {
    pub(crate) CONNECTION_INSERT = "insert into connections
        (organization_id, link_name, id, name, connector, level, scopes, parameters, secrets, same_authorization, enabled, applications,
         created_by, created_at, updated_at, version, connector_version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1, $16)";
    pub(crate) CONNECTION_GET = concat!("select ", columns!(), " from connections where organization_id = $1 and link_name = $2");
    pub(crate) CONNECTION_LIST = listed!("");
    pub(crate) CONNECTION_LIST_DISABLED = listed!(" and enabled = 0");
    pub(crate) CONNECTION_LIST_CONNECTED = listed!(" and enabled = 1 and exists (select 1 from bindings b
        join authorizations a on a.organization_id = b.organization_id and a.id = b.authorization_id
        where b.organization_id = $1 and b.connection = c.link_name and b.environment = $8 and (b.member = '' or b.member = $9)
        and a.status = 'connected' and a.setup_pending = 0)");
    pub(crate) CONNECTION_LIST_BROKEN = listed!(" and enabled = 1 and link_name in (", bindings!("a.status = 'reauthorization_required'"), ")");
    // What is bound nowhere is known beforehand, so that nobody looks through all connections. It is asked again: two that write at once may
    // leave a row of `unbound` too many, and never one too few.
    pub(crate) CONNECTION_LIST_NOT_CONNECTED = listed!(" and enabled = 1 and link_name in (
        select connection from unbound u where u.organization_id = $1 and u.environment = $8 and ", nothing_bound!("u.connection"), "
        union all select link_name from connections u where u.organization_id = $1 and u.level = 'user' and ", nothing_bound!("u.link_name"), "
        union all ", bindings!("a.status = 'connected' and a.setup_pending = 1"), ")");
    pub(crate) CONNECTION_LIST_OF_COMPONENT = concat!("select ", columns!(), " from
        (select connection as used from connection_references
          where organization_id = $1 and application = $2 and component = $3 and connection > $4) r
        join connections on organization_id = $1 and link_name = used where $5 = '' or level = $5 order by used limit $6");
    pub(crate) CONNECTION_OF_CONNECTOR = "select link_name from connections where organization_id = $1 and connector = $2 limit 1";
    pub(crate) CONNECTION_CONNECTORS = "select connector from connections where organization_id = $1
        group by connector order by count(*) desc, connector limit $2";
    pub(crate) CONNECTION_SYSTEM = "select link_name from connections
        where organization_id = $1 and connector = $2 and level = 'system' order by link_name limit 1";
    pub(crate) CONNECTION_UPDATE = "update connections set name = $3, scopes = $4, parameters = $5, secrets = $6,
        same_authorization = $7, enabled = $8, applications = $9, updated_at = $10, connector_version = $12, version = version + 1
        where organization_id = $1 and link_name = $2 and version = $11";
    pub(crate) CONNECTION_DELETE = "delete from connections where organization_id = $1 and link_name = $2";
}

/// A named, configured use of a connector.
#[derive(Clone)]
pub struct Connection {
    pub organization_id: String,
    pub link_name: String,
    pub id: String,
    pub name: String,
    /// link name of the connector
    pub connector: String,
    /// of a custom connector: the number of the version that it stays on until it is moved
    pub connector_version: Option<i64>,
    pub level: Level,
    pub scopes: Vec<String>,
    /// the parameters that are not secret
    pub parameters: BTreeMap<String, String>,
    /// the secret ones: a sealed JSON object
    pub secrets: Option<Vec<u8>>,
    pub same_authorization: bool,
    pub enabled: bool,
    /// link names of the applications that may use it; `*` is every one
    pub applications: Vec<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
}

impl Connection {
    fn read(row: &Row) -> Result<Self> {
        let level = row.text("level")?;
        Ok(Self {
            organization_id: row.text("organization_id")?,
            link_name: row.text("link_name")?,
            id: row.text("id")?,
            name: row.text("name")?,
            connector: row.text("connector")?,
            connector_version: row.opt_int("connector_version")?,
            level: Level::parse(&level).ok_or_else(|| {
                StoreError::corrupt("connections", "level", format!("{level:?} is no level"))
            })?,
            scopes: row.json("scopes")?,
            parameters: row.json("parameters")?,
            secrets: row.opt_bytes("secrets")?,
            same_authorization: row.flag("same_authorization")?,
            enabled: row.flag("enabled")?,
            applications: row.json("applications")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            version: row.int("version")?,
        })
    }
}

/// How a connection has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// nothing is called through it anywhere
    Disabled,
    /// in this environment, and not disabled
    Is(Environment, ConnectionStatus),
}

/// Which connections are wanted: an empty text means any.
#[derive(Clone, Copy, Default)]
pub struct ConnectionFilter<'a> {
    pub level: Option<Level>,
    /// link name of a connector
    pub connector: &'a str,
    /// link name of an application that may use them
    pub application: &'a str,
    /// what name or link name hold, whichever case
    pub text: &'a str,
    pub status: Option<StatusFilter>,
    /// for whom `status` is asked, at level `user`: the id of a member
    pub member: &'a str,
}

/// The pattern of `like` for a text anywhere; nothing for no text. `!` escapes what has a meaning there.
fn like(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// JSON as it stands in a column. Lists and maps of text always serialize.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::corrupt("value", "json", e.to_string()))
}

impl Store {
    pub async fn connection(&self, organization: &str, link_name: &str) -> Result<Option<Connection>> {
        let values = [organization.into(), link_name.into()];
        self.db.query_opt(&CONNECTION_GET, &values).await?.as_ref().map(Connection::read).transpose()
    }

    /// By link name after `after`.
    pub async fn connections(
        &self,
        organization: &str,
        filter: &ConnectionFilter<'_>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Connection>> {
        let quoted = |name: &str| if name.is_empty() { String::new() } else { format!("\"{name}\"") };
        let (application, pattern) = (quoted(filter.application), like(filter.text));
        let mut values: Vec<Value<'_>> = vec![
            organization.into(),
            after.into(),
            filter.level.map_or("", Level::as_str).into(),
            filter.connector.into(),
            (&application).into(),
            (&pattern).into(),
            limit.into(),
        ];
        let statement = match filter.status {
            None => &CONNECTION_LIST,
            Some(StatusFilter::Disabled) => &CONNECTION_LIST_DISABLED,
            Some(StatusFilter::Is(environment, status)) => {
                values.push(environment.as_str().into());
                values.push(filter.member.into());
                match status {
                    ConnectionStatus::Connected => &CONNECTION_LIST_CONNECTED,
                    ConnectionStatus::NotConnected => &CONNECTION_LIST_NOT_CONNECTED,
                    ConnectionStatus::ReauthorizationRequired => &CONNECTION_LIST_BROKEN,
                }
            }
        };
        self.db.query(statement, &values).await?.iter().map(Connection::read).collect()
    }

    /// The connections that a component uses, by link name after `after`.
    pub async fn connections_of_component(
        &self,
        organization: &str,
        application: &str,
        component: &str,
        level: Option<Level>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Connection>> {
        let values: [Value<'_>; 6] = [
            organization.into(),
            application.into(),
            component.into(),
            after.into(),
            level.map_or("", Level::as_str).into(),
            limit.into(),
        ];
        self.db.query(&CONNECTION_LIST_OF_COMPONENT, &values).await?.iter().map(Connection::read).collect()
    }

    /// Link names of the connectors that most connections are made of, the most used first.
    pub async fn connectors_used(&self, organization: &str, limit: i64) -> Result<Vec<String>> {
        let rows = self.db.query(&CONNECTION_CONNECTORS, &[organization.into(), limit.into()]).await?;
        rows.iter().map(|row| row.text("connector")).collect()
    }

    /// Some connection of this connector, if there is one.
    pub async fn connection_of_connector(
        &self,
        organization: &str,
        connector: &str,
    ) -> Result<Option<String>> {
        let values = [organization.into(), connector.into()];
        self.db
            .query_opt(&CONNECTION_OF_CONNECTOR, &values)
            .await?
            .map(|row| row.text("link_name"))
            .transpose()
    }
}

impl Tx {
    /// The connection as this transaction sees it.
    pub async fn connection(&mut self, organization: &str, link_name: &str) -> Result<Option<Connection>> {
        let values = [organization.into(), link_name.into()];
        self.query_opt(&CONNECTION_GET, &values).await?.as_ref().map(Connection::read).transpose()
    }

    /// The system connection to a connector.
    pub async fn system_connection(&mut self, organization: &str, connector: &str) -> Result<Option<String>> {
        let values = [organization.into(), connector.into()];
        self.query_opt(&CONNECTION_SYSTEM, &values).await?.map(|row| row.text("link_name")).transpose()
    }

    /// [`StoreError::UniqueViolation`] when the link name is taken.
    pub async fn insert_connection(&mut self, c: &Connection) -> Result<()> {
        let (scopes, parameters, applications) =
            (json(&c.scopes)?, json(&c.parameters)?, json(&c.applications)?);
        let values: [Value<'_>; 16] = [
            (&c.organization_id).into(),
            (&c.link_name).into(),
            (&c.id).into(),
            (&c.name).into(),
            (&c.connector).into(),
            c.level.as_str().into(),
            (&scopes).into(),
            (&parameters).into(),
            c.secrets.as_deref().into(),
            c.same_authorization.into(),
            c.enabled.into(),
            (&applications).into(),
            (&c.created_by).into(),
            c.created_at.into(),
            c.updated_at.into(),
            c.connector_version.into(),
        ];
        self.execute(&CONNECTION_INSERT, &values).await?;
        self.note_unbound(&c.organization_id, &c.link_name).await
    }

    /// `c.version` is the version that was read; false when somebody else was quicker.
    pub async fn update_connection(&mut self, c: &Connection) -> Result<bool> {
        let (scopes, parameters, applications) =
            (json(&c.scopes)?, json(&c.parameters)?, json(&c.applications)?);
        let values: [Value<'_>; 12] = [
            (&c.organization_id).into(),
            (&c.link_name).into(),
            (&c.name).into(),
            (&scopes).into(),
            (&parameters).into(),
            c.secrets.as_deref().into(),
            c.same_authorization.into(),
            c.enabled.into(),
            (&applications).into(),
            c.updated_at.into(),
            c.version.into(),
            c.connector_version.into(),
        ];
        Ok(self.execute(&CONNECTION_UPDATE, &values).await? == 1)
    }

    pub async fn delete_connection(&mut self, organization: &str, link_name: &str) -> Result<bool> {
        let values: [Value<'_>; 2] = [organization.into(), link_name.into()];
        let there = self.execute(&CONNECTION_DELETE, &values).await? == 1;
        self.execute(&UNBOUND_DELETE, &values).await?;
        Ok(there)
    }
}
