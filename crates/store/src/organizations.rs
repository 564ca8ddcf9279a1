//! Organizations, API keys, and the little that belongs to the installation as a whole.

use jackfield_core::{Brand, Environment, KeyScope, KeyScopes, Timestamp};

use crate::connections::json;
use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store, StoreError};

/// What [`ApiKey::read`] reads.
macro_rules! key_columns {
    () => {
        "organization_id, id, member_id, application_id, environment, scopes, name, hint, created_at, expires_at, last_used_at, revoked_at"
    };
}

statements! {
    pub(crate) INSTALLATION_GET = "select value from installation where name = $1";
    pub(crate) INSTALLATION_PUT = "insert into installation (name, value) values ($1, $2)
        on conflict (name) do update set value = excluded.value";
    pub(crate) INSTALLATION_DELETE = "delete from installation where name = $1";
    pub(crate) INSTALLATION_CLAIM = "insert into installation (name, value) values ($1, $2) on conflict (name) do nothing";

    pub(crate) ORGANIZATION_INSERT = "insert into organizations
        (id, name, region, plan, connections_managed_by, created_at, updated_at, version, suite, brand)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    pub(crate) ORGANIZATION_UPDATE = "update organizations set name = $2, region = $3, connections_managed_by = $4, updated_at = $5,
        plan = $7, suite = $8, brand = $9, version = version + 1 where id = $1 and version = $6";
    pub(crate) ORGANIZATION_LOCK = "update organizations set version = version where id = $1";
    pub(crate) CONNECTIONS_COUNT = "select count(*) as found from connections where organization_id = $1";
    pub(crate) CONNECTORS_COUNT = "select count(*) as found from connectors where organization_id = $1";
    pub(crate) CALLS_ADD = "insert into call_counts (organization_id, day, calls) values ($1, $2, $3)
        on conflict (organization_id, day) do update set calls = call_counts.calls + excluded.calls returning calls";
    pub(crate) CALLS_ON = "select calls from call_counts where organization_id = $1 and day = $2";
    pub(crate) ORGANIZATION_GET = "select id, name, region, plan, connections_managed_by, suite, brand, created_at, updated_at, version
        from organizations where id = $1";
    pub(crate) ORGANIZATION_ANY = "select id from organizations limit 1";

    pub(crate) KEY_INSERT = "insert into api_keys
        (organization_id, id, digest, member_id, name, hint, created_at, expires_at, application_id, environment, scopes)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    pub(crate) KEY_BY_DIGEST = concat!("select ", key_columns!(), " from api_keys where digest = $1");
    pub(crate) KEY_GET = concat!("select ", key_columns!(), " from api_keys where organization_id = $1 and id = $2");
    pub(crate) KEY_LIST = concat!("select ", key_columns!(), " from api_keys
        where organization_id = $1 and member_id = $2 and id > $3 and revoked_at is null order by id limit $4");
    pub(crate) KEY_REVOKE = "update api_keys set revoked_at = $3 where organization_id = $1 and id = $2 and revoked_at is null";
    pub(crate) KEY_REVOKE_OF_MEMBER = "update api_keys set revoked_at = $3
        where organization_id = $1 and member_id = $2 and revoked_at is null";
    pub(crate) KEY_USED = "update api_keys set last_used_at = $3 where organization_id = $1 and id = $2
        and (last_used_at is null or last_used_at < $3)";
}

/// A tenant.
#[derive(Clone, Debug)]
pub struct Organization {
    pub id: String,
    pub name: String,
    /// data centre, decides regional hosts: `us`, `eu`, `in`, `au`…
    pub region: String,
    pub plan: String,
    /// `developers` or `admins` (product N1)
    pub connections_managed_by: String,
    /// link names of the connectors that are the organization's own suite (product N2)
    pub suite: Vec<String>,
    /// how the connect pages look
    pub brand: Brand,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
}

impl Organization {
    /// Whether the organization reserves managing connections for admins.
    pub fn managed_by_admins(&self) -> bool {
        self.connections_managed_by == "admins"
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            region: row.text("region")?,
            plan: row.text("plan")?,
            connections_managed_by: row.text("connections_managed_by")?,
            suite: row.json("suite")?,
            brand: row.json("brand")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            version: row.int("version")?,
        })
    }
}

/// A key, without the key: that is shown once and kept nowhere.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub organization_id: String,
    pub id: String,
    pub owner: KeyOwner,
    pub scopes: KeyScopes,
    pub name: String,
    /// the first characters, by which a person tells his keys apart
    pub hint: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Whose a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// a personal key
    Member(String),
    /// a key of an application (its id), in one environment
    Application { id: String, environment: Environment },
}

impl ApiKey {
    pub(crate) fn read(row: &Row) -> Result<Self> {
        let member = row.text("member_id")?;
        let owner = if member.is_empty() {
            let text = row.text("environment")?;
            let environment = Environment::parse(&text).ok_or_else(|| {
                StoreError::corrupt("api_keys", "environment", format!("{text:?} is no environment"))
            })?;
            KeyOwner::Application { id: row.text("application_id")?, environment }
        } else {
            KeyOwner::Member(member)
        };
        let scopes: Vec<KeyScope> = row.json("scopes")?;
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            owner,
            scopes: KeyScopes::of(&scopes),
            name: row.text("name")?,
            hint: row.text("hint")?,
            created_at: row.time("created_at")?,
            expires_at: row.opt_time("expires_at")?,
            last_used_at: row.opt_time("last_used_at")?,
            revoked_at: row.opt_time("revoked_at")?,
        })
    }
}

/// A number that is never negative; 0 where there is no row.
fn count(row: Option<&Row>, column: &str) -> Result<u64> {
    row.map_or(Ok(0), |row| Ok(u64::try_from(row.int(column)?).unwrap_or(0)))
}

impl Store {
    pub async fn installation(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.db.query_opt(&INSTALLATION_GET, &[name.into()]).await?.map(|row| row.bytes("value")).transpose()
    }

    /// Whether nobody has set this store up yet.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.db.query_opt(&ORGANIZATION_ANY, &[]).await?.is_none())
    }

    pub async fn organization(&self, id: &str) -> Result<Option<Organization>> {
        self.db.query_opt(&ORGANIZATION_GET, &[id.into()]).await?.as_ref().map(Organization::read).transpose()
    }

    /// How many connections the organization has.
    pub async fn count_connections(&self, organization: &str) -> Result<u64> {
        count(self.db.query_opt(&CONNECTIONS_COUNT, &[organization.into()]).await?.as_ref(), "found")
    }

    /// How many connectors of its own the organization has.
    pub async fn count_connectors(&self, organization: &str) -> Result<u64> {
        count(self.db.query_opt(&CONNECTORS_COUNT, &[organization.into()]).await?.as_ref(), "found")
    }

    /// How many calls were counted on a day (days since 1970, UTC).
    pub async fn calls_on(&self, organization: &str, day: i64) -> Result<u64> {
        count(self.db.query_opt(&CALLS_ON, &[organization.into(), day.into()]).await?.as_ref(), "calls")
    }

    pub async fn key_by_digest(&self, digest: &[u8]) -> Result<Option<ApiKey>> {
        self.db.query_opt(&KEY_BY_DIGEST, &[digest.into()]).await?.as_ref().map(ApiKey::read).transpose()
    }

    pub async fn key(&self, organization: &str, id: &str) -> Result<Option<ApiKey>> {
        self.db
            .query_opt(&KEY_GET, &[organization.into(), id.into()])
            .await?
            .as_ref()
            .map(ApiKey::read)
            .transpose()
    }

    /// The member's keys that were not revoked, by id after `after`.
    pub async fn keys(
        &self,
        organization: &str,
        member: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<ApiKey>> {
        let values = [organization.into(), member.into(), after.into(), limit.into()];
        self.db.query(&KEY_LIST, &values).await?.iter().map(ApiKey::read).collect()
    }
}

impl Tx {
    pub async fn put_installation(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.execute(&INSTALLATION_PUT, &[name.into(), value.into()]).await.map(drop)
    }

    /// Puts the value only if there is none; tells whether it was put.
    pub async fn claim_installation(&mut self, name: &str, value: &[u8]) -> Result<bool> {
        Ok(self.execute(&INSTALLATION_CLAIM, &[name.into(), value.into()]).await? == 1)
    }

    /// Tells whether it was there.
    pub async fn delete_installation(&mut self, name: &str) -> Result<bool> {
        Ok(self.execute(&INSTALLATION_DELETE, &[name.into()]).await? == 1)
    }

    pub async fn insert_organization(&mut self, o: &Organization) -> Result<()> {
        let (suite, brand) = (json(&o.suite)?, json(&o.brand)?);
        let values: [Value<'_>; 10] = [
            (&o.id).into(),
            (&o.name).into(),
            (&o.region).into(),
            (&o.plan).into(),
            (&o.connections_managed_by).into(),
            o.created_at.into(),
            o.updated_at.into(),
            o.version.into(),
            (&suite).into(),
            (&brand).into(),
        ];
        self.execute(&ORGANIZATION_INSERT, &values).await.map(drop)
    }

    /// `o.version` is the version that was read; false when somebody else was quicker.
    pub async fn update_organization(&mut self, o: &Organization) -> Result<bool> {
        let (suite, brand) = (json(&o.suite)?, json(&o.brand)?);
        let values: [Value<'_>; 9] = [
            (&o.id).into(),
            (&o.name).into(),
            (&o.region).into(),
            (&o.connections_managed_by).into(),
            o.updated_at.into(),
            o.version.into(),
            (&o.plan).into(),
            (&suite).into(),
            (&brand).into(),
        ];
        Ok(self.execute(&ORGANIZATION_UPDATE, &values).await? == 1)
    }

    /// Makes others who lock this organization wait until this transaction ends.
    pub async fn lock_organization(&mut self, id: &str) -> Result<()> {
        self.execute(&ORGANIZATION_LOCK, &[id.into()]).await.map(drop)
    }

    pub async fn count_connections(&mut self, organization: &str) -> Result<u64> {
        count(self.query_opt(&CONNECTIONS_COUNT, &[organization.into()]).await?.as_ref(), "found")
    }

    pub async fn count_connectors(&mut self, organization: &str) -> Result<u64> {
        count(self.query_opt(&CONNECTORS_COUNT, &[organization.into()]).await?.as_ref(), "found")
    }

    /// Counts calls on a day; how many it has now.
    pub async fn add_calls(&mut self, organization: &str, day: i64, calls: u64) -> Result<u64> {
        let values = [organization.into(), day.into(), i64::try_from(calls).unwrap_or(i64::MAX).into()];
        count(self.query_opt(&CALLS_ADD, &values).await?.as_ref(), "calls")
    }

    pub async fn insert_key(&mut self, k: &ApiKey, digest: &[u8]) -> Result<()> {
        let (member, application, environment) = match &k.owner {
            KeyOwner::Member(id) => (id.as_str(), "", ""),
            KeyOwner::Application { id, environment } => ("", id.as_str(), environment.as_str()),
        };
        let scopes = json(&k.scopes.list())?;
        let values: [Value<'_>; 11] = [
            (&k.organization_id).into(),
            (&k.id).into(),
            digest.into(),
            member.into(),
            (&k.name).into(),
            (&k.hint).into(),
            k.created_at.into(),
            k.expires_at.into(),
            application.into(),
            environment.into(),
            (&scopes).into(),
        ];
        self.execute(&KEY_INSERT, &values).await.map(drop)
    }

    /// False when there is no such key or it was revoked before.
    pub async fn revoke_key(&mut self, organization: &str, id: &str, now: Timestamp) -> Result<bool> {
        Ok(self.execute(&KEY_REVOKE, &[organization.into(), id.into(), now.into()]).await? == 1)
    }

    /// Revokes every personal key of a member; tells how many.
    pub async fn revoke_keys_of(&mut self, organization: &str, member: &str, now: Timestamp) -> Result<u64> {
        self.execute(&KEY_REVOKE_OF_MEMBER, &[organization.into(), member.into(), now.into()]).await
    }

    pub async fn key_used(&mut self, organization: &str, id: &str, at: Timestamp) -> Result<()> {
        self.execute(&KEY_USED, &[organization.into(), id.into(), at.into()]).await.map(drop)
    }
}
