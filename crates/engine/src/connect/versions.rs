//! The published versions of the organization's own connectors: listed, read, compared.

use jackfield_core::connector::{Change, Connector, changes};
use jackfield_core::{Action, Code, Error, Resource, Result, Timestamp, permit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::connect::connectors::stored;
use crate::page::{Page, PageQuery, no_cursor};
use crate::{Engine, Op};

/// The word for the document that is worked on, which is no version yet.
const DRAFT: &str = "draft";

/// A published version, in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionCard {
    /// from 1 upwards
    pub number: i64,
    /// id of the member who published it
    pub created_by: String,
    pub created_at: Timestamp,
    /// how many connections are on it
    pub connections: i64,
}

/// A published version with its document.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    pub number: i64,
    /// id of the member who published it
    pub created_by: String,
    pub created_at: Timestamp,
    /// the connector document as it was published
    #[schema(value_type = Object)]
    pub document: Value,
}

/// Which versions are compared.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// number of a version, or `draft` for the document that is worked on; the newest version unless told
    pub from: Option<String>,
    /// the same; `draft` unless told
    pub to: Option<String>,
}

/// What differs between two versions.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionDiff {
    /// number of a version, or `draft`
    pub from: String,
    /// number of a version, or `draft`
    pub to: String,
    /// nothing where they are alike
    pub changes: Vec<Change>,
}

impl Engine {
    /// The published versions of a custom connector, the newest first.
    pub async fn list_versions(
        &self,
        op: &Op,
        link_name: &str,
        query: &PageQuery,
    ) -> Result<Page<VersionCard>> {
        self.may_read_connectors(op).await?;
        self.versioned(op, link_name).await?;
        let (limit, after) = (query.limit()?, query.after()?);
        let before = if after.is_empty() { i64::MAX } else { after.parse().map_err(|_| no_cursor())? };
        let rows = self.store().connector_versions(&op.organization, link_name, before, limit.rows()).await?;
        let users = self.store().connector_version_users(&op.organization, link_name).await?;
        Ok(limit.page(
            rows,
            |row| row.number.to_string(),
            |row| VersionCard {
                connections: users.get(&row.number).copied().unwrap_or(0),
                number: row.number,
                created_by: row.created_by,
                created_at: row.created_at,
            },
        ))
    }

    /// A published version with its document.
    pub async fn read_version(&self, op: &Op, link_name: &str, number: i64) -> Result<VersionView> {
        self.may_read_connectors(op).await?;
        self.versioned(op, link_name).await?;
        let version = self.published_version(&op.organization, link_name, number).await?;
        Ok(VersionView {
            document: stored(&version.document, link_name)?.to_json(),
            number: version.number,
            created_by: version.created_by,
            created_at: version.created_at,
        })
    }

    /// The document of a version as the TOML that a catalogue file is.
    pub async fn export_version(&self, op: &Op, link_name: &str, number: i64) -> Result<String> {
        let version = self.read_version(op, link_name, number).await?;
        let mut connector = Connector::from_json(version.document).map_err(Error::invalid)?;
        connector.link_name = Some(link_name.to_owned());
        super::connectors::in_toml(&connector)
    }

    /// What differs between two versions, the document that is worked on among them.
    pub async fn diff_versions(&self, op: &Op, link_name: &str, query: &DiffQuery) -> Result<VersionDiff> {
        self.may_read_connectors(op).await?;
        let newest = self.versioned(op, link_name).await?;
        let from = match &query.from {
            Some(from) => from.clone(),
            None => newest
                .ok_or_else(|| {
                    Error::new(Code::StateConflict, "Nothing of this connector was published yet.")
                })?
                .to_string(),
        };
        let to = query.to.clone().unwrap_or_else(|| DRAFT.to_owned());
        let before = self.of_word(op, link_name, "from", &from).await?;
        let after = self.of_word(op, link_name, "to", &to).await?;
        Ok(VersionDiff { changes: changes(&before, &after), from, to })
    }

    async fn of_word(&self, op: &Op, link_name: &str, name: &str, word: &str) -> Result<Connector> {
        let number = if word == DRAFT {
            None
        } else {
            Some(word.parse().map_err(|_| {
                Error::new(Code::InvalidRequest, format!("{name}: say the number of a version, or draft."))
            })?)
        };
        let found = self.connector_at(&op.organization, link_name, number).await?;
        Ok(Connector::clone(&found.connector))
    }

    async fn may_read_connectors(&self, op: &Op) -> Result<()> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        permit(&op.principal, Action::Read, &resource).map(drop)
    }

    /// The newest version of a connector that can have some.
    async fn versioned(&self, op: &Op, link_name: &str) -> Result<Option<i64>> {
        let found = self.find_connector(&op.organization, link_name).await?;
        match &found.custom {
            Some(custom) => Ok(custom.published),
            None => Err(Error::new(
                Code::StateConflict,
                "A built-in connector has no versions: it comes with Jackfield, and its connections follow it.",
            )),
        }
    }
}
