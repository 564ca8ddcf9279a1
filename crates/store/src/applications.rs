//! Applications, who has access to them, their components, and the references these make to connections.
//!
//! | held | race it solves |
//! |---|---|
//! | the application's row ([`Tx::hold_application`]) | a list of a connection, or a component, that names an application while it is being deleted |
//! | the connection's row ([`Tx::hold_connection`]) | a component that says it uses a connection while it is being deleted, or moved to another version of its connector; two who allow or forbid at once |
//!
//! Whoever needs both holds the application first.

use jackfield_core::{Role, Timestamp};

use crate::db::{Row, Tx, Value, statements};
use crate::organizations::ApiKey;
use crate::{Result, Store, StoreError};

/// What [`Application::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, link_name, id, name, description, created_by, created_at, updated_at, version"
    };
}

statements! {
    pub(crate) APPLICATION_INSERT = "insert into applications
        (organization_id, link_name, id, name, description, created_by, created_at, updated_at, version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 1)";
    pub(crate) APPLICATION_GET = concat!("select ", columns!(), " from applications where organization_id = $1 and link_name = $2");
    pub(crate) APPLICATION_BY_ID = concat!("select ", columns!(), " from applications where organization_id = $1 and id = $2");
    pub(crate) APPLICATION_LIST = concat!("select ", columns!(), " from applications where organization_id = $1 and link_name > $2
        and ($3 = '' or link_name in (select application from application_members where organization_id = $1 and member_id = $3))
        order by link_name limit $4");
    pub(crate) APPLICATION_UPDATE = "update applications set name = $3, description = $4, updated_at = $5, version = version + 1
        where organization_id = $1 and link_name = $2 and version = $6";
    pub(crate) APPLICATION_HOLD = "update applications set updated_at = updated_at where organization_id = $1 and link_name = $2";
    pub(crate) APPLICATION_DELETE = "delete from applications where organization_id = $1 and link_name = $2";

    pub(crate) ACCESS_PUT = "insert into application_members (organization_id, application, member_id, created_at)
        values ($1, $2, $3, $4) on conflict (organization_id, application, member_id) do nothing";
    pub(crate) ACCESS_GET = "select created_at from application_members where organization_id = $1 and application = $2 and member_id = $3";
    pub(crate) ACCESS_LIST = "select m.id, m.name, m.role, m.active, a.created_at from application_members a
        join members m on m.organization_id = a.organization_id and m.id = a.member_id
        where a.organization_id = $1 and a.application = $2 and a.member_id > $3 order by a.member_id limit $4";
    pub(crate) ACCESS_DELETE = "delete from application_members where organization_id = $1 and application = $2 and member_id = $3";
    pub(crate) ACCESS_OF_MEMBER_END = "delete from application_members where organization_id = $1 and member_id = $2";
    pub(crate) ACCESS_END = "delete from application_members where organization_id = $1 and application = $2";

    pub(crate) COMPONENT_PUT = "insert into components (organization_id, application, component, created_at, updated_at)
        values ($1, $2, $3, $4, $4) on conflict (organization_id, application, component) do update set updated_at = excluded.updated_at";
    pub(crate) COMPONENT_GET = "select component, name, version, created_at, updated_at from components
        where organization_id = $1 and application = $2 and component = $3";
    pub(crate) COMPONENT_LIST = "select component, name, version, created_at, updated_at from components
        where organization_id = $1 and application = $2 and component > $3 order by component limit $4";
    pub(crate) COMPONENT_DELETE = "delete from components where organization_id = $1 and application = $2 and component = $3";
    pub(crate) COMPONENTS_END = "delete from components where organization_id = $1 and application = $2";

    pub(crate) REFERENCE_PUT = "insert into connection_references (organization_id, connection, application, component, created_at)
        values ($1, $2, $3, $4, $5) on conflict (organization_id, connection, application, component) do nothing";
    pub(crate) REFERENCES_OF_COMPONENTS = "select component, connection from connection_references
        where organization_id = $1 and application = $2 and component >= $3 and component <= $4 order by component, connection";
    pub(crate) REFERENCES_LIST = "select application, component from connection_references
        where organization_id = $1 and connection = $2 and (application > $3 or (application = $3 and component > $4))
        and ($5 = '' or application in (select a.application from application_members a where a.organization_id = $1 and a.member_id = $5))
        order by application, component limit $6";
    pub(crate) REFERENCES_COUNT = "select connection, count(*) as many from connection_references
        where organization_id = $1 and connection >= $2 and connection <= $3 group by connection";
    pub(crate) REFERENCES_OF_COMPONENT_DELETE = "delete from connection_references
        where organization_id = $1 and application = $2 and component = $3";
    pub(crate) REFERENCES_END = "delete from connection_references where organization_id = $1 and application = $2";

    pub(crate) CONNECTION_HOLD = "update connections set holds = holds + 1 where organization_id = $1 and link_name = $2
        returning connector_version, holds";
    pub(crate) CONNECTION_HOLDS = "select connector_version, holds from connections where organization_id = $1 and link_name = $2";
    // Of ["a","b","c"] each name can be cut out with the comma before it, the one after it, or none: what is left is a list, and an empty
    // one allows nobody.
    pub(crate) CONNECTIONS_FORGET_APPLICATION = "update connections
        set applications = replace(replace(replace(applications, ',' || $2, ''), $2 || ',', ''), $2, ''), updated_at = $3, version = version + 1
        where organization_id = $1 and replace(applications, $2, '') <> applications returning link_name, applications";

    pub(crate) APPLICATION_KEY_LIST = "select organization_id, id, member_id, application_id, environment, scopes, name, hint, created_at,
        expires_at, last_used_at, revoked_at from api_keys
        where organization_id = $1 and application_id = $2 and id > $3 and revoked_at is null order by id limit $4";
    pub(crate) APPLICATION_KEYS_REVOKE = "update api_keys set revoked_at = $3
        where organization_id = $1 and application_id = $2 and revoked_at is null returning id";
}

/// Something of the organization that uses connections.
#[derive(Clone, Debug)]
pub struct Application {
    pub organization_id: String,
    pub link_name: String,
    pub id: String,
    pub name: String,
    pub description: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
}

impl Application {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            link_name: row.text("link_name")?,
            id: row.text("id")?,
            name: row.text("name")?,
            description: row.text("description")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            version: row.int("version")?,
        })
    }
}

/// A member who has access to an application.
#[derive(Clone, Debug)]
pub struct Access {
    pub member_id: String,
    pub name: String,
    pub role: Role,
    pub active: bool,
    pub created_at: Timestamp,
}

/// A part of an application.
#[derive(Clone, Debug)]
pub struct Component {
    /// `workflow:orders`
    pub component: String,
    /// what people read; empty: it was built elsewhere
    pub name: String,
    /// the version of its definition that development serves; 0: it was built elsewhere
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Component {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            component: row.text("component")?,
            name: row.text("name")?,
            version: row.int("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// A place that uses a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// link name of the application
    pub application: String,
    /// `workflow:orders`
    pub component: String,
}

impl Reference {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self { application: row.text("application")?, component: row.text("component")? })
    }
}

/// What whoever holds a connection may have looked at before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// of a custom connector: the number of the version that the connection is on
    pub connector_version: Option<i64>,
    /// how often the connection has been held, this time included
    pub holds: i64,
}

impl Held {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self { connector_version: row.opt_int("connector_version")?, holds: row.int("holds")? })
    }
}

impl Store {
    /// How often a connection has been held, and its connector's version: for whoever looks at what uses it before he holds it himself.
    pub async fn holds(&self, organization: &str, connection: &str) -> Result<Option<Held>> {
        let values = [organization.into(), connection.into()];
        self.db.query_opt(&CONNECTION_HOLDS, &values).await?.as_ref().map(Held::read).transpose()
    }

    pub async fn application(&self, organization: &str, link_name: &str) -> Result<Option<Application>> {
        let values = [organization.into(), link_name.into()];
        self.db.query_opt(&APPLICATION_GET, &values).await?.as_ref().map(Application::read).transpose()
    }

    pub async fn application_by_id(&self, organization: &str, id: &str) -> Result<Option<Application>> {
        let values = [organization.into(), id.into()];
        self.db.query_opt(&APPLICATION_BY_ID, &values).await?.as_ref().map(Application::read).transpose()
    }

    /// By link name after `after`; only those to which `member` has access, unless that is empty.
    pub async fn applications(
        &self,
        organization: &str,
        member: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Application>> {
        let values = [organization.into(), after.into(), member.into(), limit.into()];
        self.db.query(&APPLICATION_LIST, &values).await?.iter().map(Application::read).collect()
    }

    /// Whether the member has access to the application.
    pub async fn has_access(&self, organization: &str, application: &str, member: &str) -> Result<bool> {
        let values = [organization.into(), application.into(), member.into()];
        Ok(self.db.query_opt(&ACCESS_GET, &values).await?.is_some())
    }

    /// Who has access, by id after `after`.
    pub async fn access(
        &self,
        organization: &str,
        application: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Access>> {
        let values = [organization.into(), application.into(), after.into(), limit.into()];
        let rows = self.db.query(&ACCESS_LIST, &values).await?;
        let read = |row: &Row| {
            let role = row.text("role")?;
            Ok(Access {
                member_id: row.text("id")?,
                name: row.text("name")?,
                role: Role::parse(&role)
                    .ok_or_else(|| StoreError::corrupt("members", "role", format!("{role:?} is no role")))?,
                active: row.flag("active")?,
                created_at: row.time("created_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The application's keys that were not revoked, by id after `after`.
    pub async fn application_keys(
        &self,
        organization: &str,
        application_id: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<ApiKey>> {
        let values = [organization.into(), application_id.into(), after.into(), limit.into()];
        self.db.query(&APPLICATION_KEY_LIST, &values).await?.iter().map(ApiKey::read).collect()
    }

    pub async fn component(
        &self,
        organization: &str,
        application: &str,
        component: &str,
    ) -> Result<Option<Component>> {
        let values = [organization.into(), application.into(), component.into()];
        self.db.query_opt(&COMPONENT_GET, &values).await?.as_ref().map(Component::read).transpose()
    }

    /// The components of an application, by name after `after`.
    pub async fn components(
        &self,
        organization: &str,
        application: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Component>> {
        let values = [organization.into(), application.into(), after.into(), limit.into()];
        self.db.query(&COMPONENT_LIST, &values).await?.iter().map(Component::read).collect()
    }

    /// Which connections the components from `first` to `last` use: component, connection.
    pub async fn used_by_components(
        &self,
        organization: &str,
        application: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, String)>> {
        let values = [organization.into(), application.into(), first.into(), last.into()];
        let rows = self.db.query(&REFERENCES_OF_COMPONENTS, &values).await?;
        rows.iter().map(|row| Ok((row.text("component")?, row.text("connection")?))).collect()
    }

    /// The places that use a connection, after `after`; only those in applications to which `member` has access, unless that is empty.
    pub async fn references(
        &self,
        organization: &str,
        connection: &str,
        member: &str,
        after: &Reference,
        limit: i64,
    ) -> Result<Vec<Reference>> {
        let values: [Value<'_>; 6] = [
            organization.into(),
            connection.into(),
            (&after.application).into(),
            (&after.component).into(),
            member.into(),
            limit.into(),
        ];
        self.db.query(&REFERENCES_LIST, &values).await?.iter().map(Reference::read).collect()
    }

    /// How many places use each of the connections from `first` to `last`; those that nothing uses are left out.
    pub async fn reference_counts(
        &self,
        organization: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, i64)>> {
        let values = [organization.into(), first.into(), last.into()];
        let rows = self.db.query(&REFERENCES_COUNT, &values).await?;
        rows.iter().map(|row| Ok((row.text("connection")?, row.int("many")?))).collect()
    }
}

impl Tx {
    /// [`StoreError::UniqueViolation`] when the link name is taken.
    pub async fn insert_application(&mut self, a: &Application) -> Result<()> {
        let values: [Value<'_>; 8] = [
            (&a.organization_id).into(),
            (&a.link_name).into(),
            (&a.id).into(),
            (&a.name).into(),
            (&a.description).into(),
            (&a.created_by).into(),
            a.created_at.into(),
            a.updated_at.into(),
        ];
        self.execute(&APPLICATION_INSERT, &values).await.map(drop)
    }

    /// `a.version` is the version that was read; false when somebody else was quicker.
    pub async fn update_application(&mut self, a: &Application) -> Result<bool> {
        let values: [Value<'_>; 6] = [
            (&a.organization_id).into(),
            (&a.link_name).into(),
            (&a.name).into(),
            (&a.description).into(),
            a.updated_at.into(),
            a.version.into(),
        ];
        Ok(self.execute(&APPLICATION_UPDATE, &values).await? == 1)
    }

    /// Whether the application is there; if so, nobody deletes it before this transaction has ended.
    pub async fn hold_application(&mut self, organization: &str, link_name: &str) -> Result<bool> {
        Ok(self.execute(&APPLICATION_HOLD, &[organization.into(), link_name.into()]).await? == 1)
    }

    /// Deletes the application with its components, their references, and the access to it; false when there was none. Its keys and the
    /// lists that name it are the caller's.
    pub async fn delete_application(&mut self, organization: &str, link_name: &str) -> Result<bool> {
        let values: [Value<'_>; 2] = [organization.into(), link_name.into()];
        // The row first: whoever holds it is waited for, and what he has written is seen by what follows.
        if self.execute(&APPLICATION_DELETE, &values).await? == 0 {
            return Ok(false);
        }
        for statement in [&REFERENCES_END, &COMPONENTS_END, &ACCESS_END] {
            self.execute(statement, &values).await?;
        }
        Ok(true)
    }

    /// Takes the application from the list of every connection that names it; those connections, and what is left of their lists.
    pub async fn forget_application(
        &mut self,
        organization: &str,
        link_name: &str,
        now: Timestamp,
    ) -> Result<Vec<(String, Vec<String>)>> {
        let quoted = format!("\"{link_name}\"");
        let values: [Value<'_>; 3] = [organization.into(), (&quoted).into(), now.into()];
        let rows = self.query(&CONNECTIONS_FORGET_APPLICATION, &values).await?;
        rows.iter().map(|row| Ok((row.text("link_name")?, row.json("applications")?))).collect()
    }

    /// Ends every key of an application; their ids.
    pub async fn revoke_application_keys(
        &mut self,
        organization: &str,
        application_id: &str,
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let values: [Value<'_>; 3] = [organization.into(), application_id.into(), now.into()];
        self.query(&APPLICATION_KEYS_REVOKE, &values).await?.iter().map(|row| row.text("id")).collect()
    }

    /// False when the member had access already.
    pub async fn grant_access(
        &mut self,
        organization: &str,
        application: &str,
        member: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let values = [organization.into(), application.into(), member.into(), now.into()];
        Ok(self.execute(&ACCESS_PUT, &values).await? == 1)
    }

    /// False when the member had none.
    pub async fn withdraw_access(
        &mut self,
        organization: &str,
        application: &str,
        member: &str,
    ) -> Result<bool> {
        let values = [organization.into(), application.into(), member.into()];
        Ok(self.execute(&ACCESS_DELETE, &values).await? == 1)
    }

    /// Takes every access from a member.
    pub async fn withdraw_access_of(&mut self, organization: &str, member: &str) -> Result<()> {
        self.execute(&ACCESS_OF_MEMBER_END, &[organization.into(), member.into()]).await.map(drop)
    }

    /// The connection, if it is there: nobody changes or deletes it before this transaction has ended.
    pub async fn hold_connection(&mut self, organization: &str, link_name: &str) -> Result<Option<Held>> {
        let values = [organization.into(), link_name.into()];
        self.query_opt(&CONNECTION_HOLD, &values).await?.as_ref().map(Held::read).transpose()
    }

    /// Says which connections a component uses, whatever it used before. Whoever calls holds the application and the connections.
    pub async fn put_component(
        &mut self,
        organization: &str,
        application: &str,
        component: &str,
        connections: &[String],
        now: Timestamp,
    ) -> Result<()> {
        let values: [Value<'_>; 4] = [organization.into(), application.into(), component.into(), now.into()];
        self.execute(&COMPONENT_PUT, &values).await?;
        self.execute(&REFERENCES_OF_COMPONENT_DELETE, &values[..3]).await?;
        for connection in connections {
            let values: [Value<'_>; 5] =
                [organization.into(), connection.into(), application.into(), component.into(), now.into()];
            self.execute(&REFERENCE_PUT, &values).await?;
        }
        Ok(())
    }

    /// Takes a component away, with its references; false when there was none.
    pub async fn delete_component(
        &mut self,
        organization: &str,
        application: &str,
        component: &str,
    ) -> Result<bool> {
        let values: [Value<'_>; 3] = [organization.into(), application.into(), component.into()];
        self.execute(&REFERENCES_OF_COMPONENT_DELETE, &values).await?;
        Ok(self.execute(&COMPONENT_DELETE, &values).await? == 1)
    }

    /// A component as this transaction sees it.
    pub async fn component(
        &mut self,
        organization: &str,
        application: &str,
        component: &str,
    ) -> Result<Option<Component>> {
        let values: [Value<'_>; 3] = [organization.into(), application.into(), component.into()];
        self.query_opt(&COMPONENT_GET, &values).await?.as_ref().map(Component::read).transpose()
    }

    /// The first places that use a connection, as this transaction sees them.
    pub async fn references(
        &mut self,
        organization: &str,
        connection: &str,
        limit: i64,
    ) -> Result<Vec<Reference>> {
        let values: [Value<'_>; 6] =
            [organization.into(), connection.into(), "".into(), "".into(), "".into(), limit.into()];
        self.query(&REFERENCES_LIST, &values).await?.iter().map(Reference::read).collect()
    }
}
