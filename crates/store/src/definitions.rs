//! What is built here: the versions of components, the releases that fix them, and which release an environment serves.

use std::collections::BTreeMap;

use jackfield_core::{Environment, Timestamp};

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store, StoreError};

/// What [`Definition::read`] reads.
macro_rules! columns {
    () => {
        "v.organization_id, v.application, v.component, v.version, v.name, v.document, v.created_by, v.created_at,
        (select f.created_at from component_versions f where f.organization_id = v.organization_id and f.application = v.application
            and f.component = v.component order by f.version limit 1) as first_at"
    };
}

statements! {
    pub(crate) DEFINITION_INSERT = "insert into component_versions
        (organization_id, application, component, version, name, document, created_by, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)";
    pub(crate) DEFINITION_GET = concat!("select ", columns!(), " from component_versions v
        where v.organization_id = $1 and v.application = $2 and v.component = $3 and v.version = $4");
    pub(crate) DEFINITION_LATEST = "select coalesce(max(version), 0) as version from component_versions
        where organization_id = $1 and application = $2 and component = $3";
    pub(crate) DEFINITION_CURRENT = concat!("select ", columns!(), " from components c
        join component_versions v on v.organization_id = c.organization_id and v.application = c.application and v.component = c.component
            and v.version = c.version
        where c.organization_id = $1 and c.application = $2 and c.component > $3 and c.component < $4 order by c.component limit $5");
    pub(crate) DEFINITION_VERSIONS = concat!("select ", columns!(), " from component_versions v
        where v.organization_id = $1 and v.application = $2 and v.component = $3 and v.version < $4 order by v.version desc limit $5");
    pub(crate) DEFINITIONS_END = "delete from component_versions where organization_id = $1 and application = $2";
    pub(crate) COMPONENT_SET = "update components set name = $4, version = $5, updated_at = $6
        where organization_id = $1 and application = $2 and component = $3";

    pub(crate) RELEASE_INSERT = "insert into releases (organization_id, application, number, contents, note, created_by, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)";
    pub(crate) RELEASE_GET = "select number, contents, note, created_by, created_at from releases
        where organization_id = $1 and application = $2 and number = $3";
    pub(crate) RELEASE_LIST = "select number, contents, note, created_by, created_at from releases
        where organization_id = $1 and application = $2 and number < $3 order by number desc limit $4";
    pub(crate) RELEASE_LATEST = "select coalesce(max(number), 0) as number from releases where organization_id = $1 and application = $2";
    pub(crate) RELEASES_END = "delete from releases where organization_id = $1 and application = $2";
    pub(crate) DEPLOYMENT_PUT = "insert into deployments (organization_id, application, environment, release, deployed_by, deployed_at)
        values ($1, $2, $3, $4, $5, $6) on conflict (organization_id, application, environment)
        do update set release = excluded.release, deployed_by = excluded.deployed_by, deployed_at = excluded.deployed_at";
    pub(crate) DEPLOYMENT_LIST = "select environment, release, deployed_by, deployed_at from deployments
        where organization_id = $1 and application = $2 order by environment";
    pub(crate) DEPLOYMENTS_END = "delete from deployments where organization_id = $1 and application = $2";
}

/// One version of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub organization_id: String,
    pub application: String,
    /// `form:vendors`
    pub component: String,
    /// from 1 upwards
    pub version: i64,
    /// what people read
    pub name: String,
    /// JSON
    pub document: String,
    pub created_by: String,
    pub created_at: Timestamp,
    /// when its first version was made
    pub first_at: Timestamp,
}

impl Definition {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            application: row.text("application")?,
            component: row.text("component")?,
            version: row.int("version")?,
            name: row.text("name")?,
            document: row.text("document")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
            first_at: row.time("first_at")?,
        })
    }
}

/// Versions of components that go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// from 1 upwards
    pub number: i64,
    /// component → version
    pub contents: BTreeMap<String, i64>,
    pub note: String,
    pub created_by: String,
    pub created_at: Timestamp,
}

impl Release {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            number: row.int("number")?,
            contents: row.json("contents")?,
            note: row.text("note")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
        })
    }
}

/// Which release an environment serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub environment: Environment,
    pub release: i64,
    pub deployed_by: String,
    pub deployed_at: Timestamp,
}

impl Deployment {
    fn read(row: &Row) -> Result<Self> {
        let text = row.text("environment")?;
        Ok(Self {
            environment: Environment::parse(&text).ok_or_else(|| {
                StoreError::corrupt("deployments", "environment", format!("{text:?} is no environment"))
            })?,
            release: row.int("release")?,
            deployed_by: row.text("deployed_by")?,
            deployed_at: row.time("deployed_at")?,
        })
    }
}

impl Store {
    /// One version of a component.
    pub async fn definition(
        &self,
        organization: &str,
        application: &str,
        component: &str,
        version: i64,
    ) -> Result<Option<Definition>> {
        let values: [Value<'_>; 4] =
            [organization.into(), application.into(), component.into(), version.into()];
        self.db.query_opt(&DEFINITION_GET, &values).await?.as_ref().map(Definition::read).transpose()
    }

    /// What development serves: the components of an application after `after` and before `before`, by name, that were built here.
    pub async fn current_definitions(
        &self,
        organization: &str,
        application: &str,
        after: &str,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Definition>> {
        let values: [Value<'_>; 5] =
            [organization.into(), application.into(), after.into(), before.into(), limit.into()];
        self.db.query(&DEFINITION_CURRENT, &values).await?.iter().map(Definition::read).collect()
    }

    /// The versions of a component before `before`, the latest first.
    pub async fn definition_versions(
        &self,
        organization: &str,
        application: &str,
        component: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Definition>> {
        let values: [Value<'_>; 5] =
            [organization.into(), application.into(), component.into(), before.into(), limit.into()];
        self.db.query(&DEFINITION_VERSIONS, &values).await?.iter().map(Definition::read).collect()
    }

    pub async fn release(
        &self,
        organization: &str,
        application: &str,
        number: i64,
    ) -> Result<Option<Release>> {
        let values: [Value<'_>; 3] = [organization.into(), application.into(), number.into()];
        self.db.query_opt(&RELEASE_GET, &values).await?.as_ref().map(Release::read).transpose()
    }

    /// The releases of an application before `before`, the latest first.
    pub async fn releases(
        &self,
        organization: &str,
        application: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Release>> {
        let values: [Value<'_>; 4] = [organization.into(), application.into(), before.into(), limit.into()];
        self.db.query(&RELEASE_LIST, &values).await?.iter().map(Release::read).collect()
    }

    /// Which releases the environments of an application serve.
    pub async fn deployments(&self, organization: &str, application: &str) -> Result<Vec<Deployment>> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        self.db.query(&DEPLOYMENT_LIST, &values).await?.iter().map(Deployment::read).collect()
    }
}

impl Tx {
    /// The number of the latest version that a component ever had; 0 when it had none. A name that is used again goes on counting.
    pub async fn latest_version(
        &mut self,
        organization: &str,
        application: &str,
        component: &str,
    ) -> Result<i64> {
        let values: [Value<'_>; 3] = [organization.into(), application.into(), component.into()];
        let row = self.query_opt(&DEFINITION_LATEST, &values).await?;
        row.map_or(Ok(0), |row| row.int("version"))
    }

    /// Adds a version and makes it the one that development serves. The component is there ([`Tx::put_component`]).
    pub async fn insert_definition(&mut self, d: &Definition) -> Result<()> {
        let values: [Value<'_>; 8] = [
            (&d.organization_id).into(),
            (&d.application).into(),
            (&d.component).into(),
            d.version.into(),
            (&d.name).into(),
            (&d.document).into(),
            (&d.created_by).into(),
            d.created_at.into(),
        ];
        self.execute(&DEFINITION_INSERT, &values).await?;
        self.set_component(&d.organization_id, &d.application, &d.component, &d.name, d.version, d.created_at)
            .await
    }

    /// Says which version of a component development serves.
    pub async fn set_component(
        &mut self,
        organization: &str,
        application: &str,
        component: &str,
        name: &str,
        version: i64,
        now: Timestamp,
    ) -> Result<()> {
        let values: [Value<'_>; 6] = [
            organization.into(),
            application.into(),
            component.into(),
            name.into(),
            version.into(),
            now.into(),
        ];
        self.execute(&COMPONENT_SET, &values).await.map(drop)
    }

    /// The number of the latest release; 0 when there is none.
    pub async fn latest_release(&mut self, organization: &str, application: &str) -> Result<i64> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        let row = self.query_opt(&RELEASE_LATEST, &values).await?;
        row.map_or(Ok(0), |row| row.int("number"))
    }

    pub async fn insert_release(&mut self, organization: &str, application: &str, r: &Release) -> Result<()> {
        let contents = serde_json::to_string(&r.contents).unwrap_or_default();
        let values: [Value<'_>; 7] = [
            organization.into(),
            application.into(),
            r.number.into(),
            (&contents).into(),
            (&r.note).into(),
            (&r.created_by).into(),
            r.created_at.into(),
        ];
        self.execute(&RELEASE_INSERT, &values).await.map(drop)
    }

    /// Has an environment serve a release.
    pub async fn deploy(&mut self, organization: &str, application: &str, d: &Deployment) -> Result<()> {
        let values: [Value<'_>; 6] = [
            organization.into(),
            application.into(),
            d.environment.as_str().into(),
            d.release.into(),
            (&d.deployed_by).into(),
            d.deployed_at.into(),
        ];
        self.execute(&DEPLOYMENT_PUT, &values).await.map(drop)
    }

    /// Deletes everything that was built in an application, with its releases.
    pub async fn end_definitions(&mut self, organization: &str, application: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        for statement in [&DEFINITIONS_END, &RELEASES_END, &DEPLOYMENTS_END] {
            self.execute(statement, &values).await?;
        }
        Ok(())
    }
}
