//! Custom connectors and their published versions. Built-in ones are files in the binary and stand in no table.

use std::collections::BTreeMap;

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store};

/// What [`CustomConnector::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, link_name, name, document, stage, created_by, created_at, updated_at, version, published"
    };
}

/// What [`ConnectorVersion::read`] reads.
macro_rules! version_columns {
    () => {
        "organization_id, link_name, number, document, created_by, created_at"
    };
}

statements! {
    pub(crate) CONNECTOR_INSERT = "insert into connectors
        (organization_id, link_name, name, document, stage, created_by, created_at, updated_at, version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 1)";
    pub(crate) CONNECTOR_GET = concat!("select ", columns!(), " from connectors where organization_id = $1 and link_name = $2");
    pub(crate) CONNECTOR_ALL = concat!("select ", columns!(), " from connectors where organization_id = $1 order by link_name");
    pub(crate) CONNECTOR_UPDATE = "update connectors set name = $3, document = $4, stage = $5, updated_at = $6, published = $8,
        version = version + 1 where organization_id = $1 and link_name = $2 and version = $7";
    pub(crate) CONNECTOR_DELETE = "delete from connectors where organization_id = $1 and link_name = $2";

    pub(crate) CONNECTOR_VERSION_INSERT = "insert into connector_versions
        (organization_id, link_name, number, document, created_by, created_at) values ($1, $2, $3, $4, $5, $6)";
    pub(crate) CONNECTOR_VERSION_GET = concat!("select ", version_columns!(), " from connector_versions
        where organization_id = $1 and link_name = $2 and number = $3");
    pub(crate) CONNECTOR_VERSION_LIST = concat!("select ", version_columns!(), " from connector_versions
        where organization_id = $1 and link_name = $2 and number < $3 order by number desc limit $4");
    pub(crate) CONNECTOR_VERSION_USERS = "select connector_version, count(*) as users from connections
        where organization_id = $1 and connector = $2 and connector_version is not null group by connector_version";
    pub(crate) CONNECTOR_VERSIONS_DELETE = "delete from connector_versions where organization_id = $1 and link_name = $2";
}

/// A connector that the organization made itself.
#[derive(Clone, Debug)]
pub struct CustomConnector {
    pub organization_id: String,
    pub link_name: String,
    pub name: String,
    /// the connector document, JSON
    pub document: String,
    /// `draft`, `published`, `disabled`
    pub stage: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
    /// number of the newest published version; the document may be ahead of it
    pub published: Option<i64>,
}

/// A connector as it was published: it never changes.
#[derive(Clone, Debug)]
pub struct ConnectorVersion {
    pub organization_id: String,
    pub link_name: String,
    /// from 1 upwards
    pub number: i64,
    /// the connector document, JSON
    pub document: String,
    pub created_by: String,
    pub created_at: Timestamp,
}

impl ConnectorVersion {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            link_name: row.text("link_name")?,
            number: row.int("number")?,
            document: row.text("document")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl CustomConnector {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            link_name: row.text("link_name")?,
            name: row.text("name")?,
            document: row.text("document")?,
            stage: row.text("stage")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            version: row.int("version")?,
            published: row.opt_int("published")?,
        })
    }
}

impl Store {
    pub async fn connector(&self, organization: &str, link_name: &str) -> Result<Option<CustomConnector>> {
        let values = [organization.into(), link_name.into()];
        self.db.query_opt(&CONNECTOR_GET, &values).await?.as_ref().map(CustomConnector::read).transpose()
    }

    /// All of an organization's own connectors, by link name.
    pub async fn connectors(&self, organization: &str) -> Result<Vec<CustomConnector>> {
        self.db
            .query(&CONNECTOR_ALL, &[organization.into()])
            .await?
            .iter()
            .map(CustomConnector::read)
            .collect()
    }

    pub async fn connector_version(
        &self,
        organization: &str,
        link_name: &str,
        number: i64,
    ) -> Result<Option<ConnectorVersion>> {
        let values = [organization.into(), link_name.into(), number.into()];
        let row = self.db.query_opt(&CONNECTOR_VERSION_GET, &values).await?;
        row.as_ref().map(ConnectorVersion::read).transpose()
    }

    /// Those before a number, the newest first.
    pub async fn connector_versions(
        &self,
        organization: &str,
        link_name: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<ConnectorVersion>> {
        let values: [Value<'_>; 4] = [organization.into(), link_name.into(), before.into(), limit.into()];
        let rows = self.db.query(&CONNECTOR_VERSION_LIST, &values).await?;
        rows.iter().map(ConnectorVersion::read).collect()
    }

    /// How many connections are on each version that has any.
    pub async fn connector_version_users(
        &self,
        organization: &str,
        link_name: &str,
    ) -> Result<BTreeMap<i64, i64>> {
        let rows = self.db.query(&CONNECTOR_VERSION_USERS, &[organization.into(), link_name.into()]).await?;
        rows.iter().map(|row| Ok((row.int("connector_version")?, row.int("users")?))).collect()
    }
}

impl Tx {
    /// [`crate::StoreError::UniqueViolation`] when the link name is taken.
    pub async fn insert_connector(&mut self, c: &CustomConnector) -> Result<()> {
        let values: [Value<'_>; 8] = [
            (&c.organization_id).into(),
            (&c.link_name).into(),
            (&c.name).into(),
            (&c.document).into(),
            (&c.stage).into(),
            (&c.created_by).into(),
            c.created_at.into(),
            c.updated_at.into(),
        ];
        self.execute(&CONNECTOR_INSERT, &values).await.map(drop)
    }

    /// `c.version` is the version that was read; false when somebody else was quicker.
    pub async fn update_connector(&mut self, c: &CustomConnector) -> Result<bool> {
        let values: [Value<'_>; 8] = [
            (&c.organization_id).into(),
            (&c.link_name).into(),
            (&c.name).into(),
            (&c.document).into(),
            (&c.stage).into(),
            c.updated_at.into(),
            c.version.into(),
            c.published.into(),
        ];
        Ok(self.execute(&CONNECTOR_UPDATE, &values).await? == 1)
    }

    /// Keeps what is published; the caller has made the connector's `published` this number.
    pub async fn insert_connector_version(&mut self, v: &ConnectorVersion) -> Result<()> {
        let values: [Value<'_>; 6] = [
            (&v.organization_id).into(),
            (&v.link_name).into(),
            v.number.into(),
            (&v.document).into(),
            (&v.created_by).into(),
            v.created_at.into(),
        ];
        self.execute(&CONNECTOR_VERSION_INSERT, &values).await.map(drop)
    }

    /// With all its versions.
    pub async fn delete_connector(&mut self, organization: &str, link_name: &str) -> Result<bool> {
        let values: [Value<'_>; 2] = [organization.into(), link_name.into()];
        self.execute(&CONNECTOR_VERSIONS_DELETE, &values).await?;
        Ok(self.execute(&CONNECTOR_DELETE, &values).await? == 1)
    }
}
