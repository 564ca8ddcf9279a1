//! Custom connectors. Built-in ones are files in the binary and stand in no table.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store};

/// What [`CustomConnector::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, link_name, name, document, stage, created_by, created_at, updated_at, version"
    };
}

statements! {
    pub(crate) CONNECTOR_INSERT = "insert into connectors
        (organization_id, link_name, name, document, stage, created_by, created_at, updated_at, version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 1)";
    pub(crate) CONNECTOR_GET = concat!("select ", columns!(), " from connectors where organization_id = $1 and link_name = $2");
    pub(crate) CONNECTOR_ALL = concat!("select ", columns!(), " from connectors where organization_id = $1 order by link_name");
    pub(crate) CONNECTOR_UPDATE = "update connectors set name = $3, document = $4, stage = $5, updated_at = $6, version = version + 1
        where organization_id = $1 and link_name = $2 and version = $7";
    pub(crate) CONNECTOR_DELETE = "delete from connectors where organization_id = $1 and link_name = $2";
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
        let values: [Value<'_>; 7] = [
            (&c.organization_id).into(),
            (&c.link_name).into(),
            (&c.name).into(),
            (&c.document).into(),
            (&c.stage).into(),
            c.updated_at.into(),
            c.version.into(),
        ];
        Ok(self.execute(&CONNECTOR_UPDATE, &values).await? == 1)
    }

    pub async fn delete_connector(&mut self, organization: &str, link_name: &str) -> Result<bool> {
        Ok(self.execute(&CONNECTOR_DELETE, &[organization.into(), link_name.into()]).await? == 1)
    }
}
