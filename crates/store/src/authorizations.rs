//! Authorizations, which connections hold them, which binding they serve, and the lease under which they are refreshed.
//!
//! | column | race it solves |
//! |---|---|
//! | `credential_version` | two refreshes of one credential: only the one that saw the present version may store or break it |
//! | `lease_holder`, `lease_until` | fifty callers on three nodes: one takes the row, the others wait for the new version |
//! | `presented` | a crash between sending a single-use refresh token and storing the answer: counted *before* it is sent, so that no restart sends it a third time |
//! | `moved_from` | a refresh that ends after its connection was moved to another version of its connector: the new credential does not make it serve again |
//! | `next_attempt_at` | a failing token endpoint: everybody keeps to the same pause |

use std::collections::BTreeMap;

use jackfield_core::{ConnectionStatus, Environment, Timestamp};

use crate::connections::json;
use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store, StoreError};

/// What [`Authorization::read`] reads. Columns are named one by one, never `*`: a later migration may add one while nodes of this version
/// run, and PostgreSQL refuses a prepared statement whose columns have changed.
macro_rules! columns {
    () => {
        "organization_id, id, connector, account_name, owner, subject, requested_scopes, scopes, attributes, credential,
        credential_version, refreshable, issued_at, expires_at, refresh_at, status, reason, presented, lease_until, next_attempt_at,
        refresh_error, last_refreshed_at, last_used_at, created_at, version, named, setup_pending, moved_from"
    };
}

/// What the authorization `a` of a binding makes of its connection, as a word of [`ConnectionStatus`]: what waits for a choice serves nothing.
macro_rules! binding_status {
    () => {
        "case when a.status = 'connected' and a.setup_pending = 1 then 'not_connected' else a.status end"
    };
}
pub(crate) use binding_status;

statements! {
    pub(crate) AUTHORIZATION_INSERT = "insert into authorizations
        (organization_id, id, connector, account_name, owner, subject, requested_scopes, scopes, attributes, credential,
         credential_version, refreshable, issued_at, expires_at, refresh_at, status, presented, created_at, updated_at, version, named,
         setup_pending)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, $13, $14, 'connected', 0, $15, $15, 1, $16, $17)";
    pub(crate) AUTHORIZATION_GET = concat!("select ", columns!(), " from authorizations where organization_id = $1 and id = $2");
    pub(crate) AUTHORIZATION_OF_CONNECTION = concat!("select ", columns!(), " from
        (select authorization_id as held from holdings where organization_id = $1 and connection = $2 and authorization_id > $3) h
        join authorizations on organization_id = $1 and id = held where $4 = '' or owner = $4 order by held limit $5");
    pub(crate) AUTHORIZATION_OF_OWNER = concat!("select ", columns!(), " from authorizations
        where organization_id = $1 and connector = $2 and owner = $3 order by id");
    pub(crate) AUTHORIZATION_OF_MEMBER = concat!("select ", columns!(), " from authorizations
        where organization_id = $1 and owner = $2 and id > $3 order by id limit $4");
    pub(crate) AUTHORIZATION_HAND_OVER = "update authorizations set owner = $4, updated_at = $5, version = version + 1
        where organization_id = $1 and id = $2 and owner = $3";
    pub(crate) AUTHORIZATION_NAMED = "select id from authorizations
        where organization_id = $1 and connector = $2 and account_name = $3";
    pub(crate) AUTHORIZATION_NAMES = "select account_name from authorizations where organization_id = $1 and connector = $2";
    pub(crate) AUTHORIZATION_RENAME = "update authorizations set account_name = $3, named = 1, updated_at = $4, version = version + 1
        where organization_id = $1 and id = $2";
    pub(crate) AUTHORIZATION_SET_UP = "update authorizations set attributes = $4, setup_pending = $5, updated_at = $6, version = version + 1
        where organization_id = $1 and id = $2 and version = $3";
    pub(crate) AUTHORIZATION_DELETE = "delete from authorizations where organization_id = $1 and id = $2";
    pub(crate) AUTHORIZATION_USED = "update authorizations set last_used_at = $3
        where organization_id = $1 and id = $2 and (last_used_at is null or last_used_at < $3)";

    pub(crate) LEASE_TAKE = "update authorizations set lease_holder = $4, lease_until = $5, presented = presented + $7
        where organization_id = $1 and id = $2 and credential_version = $3 and status = 'connected' and presented < 2
        and (lease_until is null or lease_until < $6) and (next_attempt_at is null or next_attempt_at <= $6)";
    pub(crate) LEASE_PRESENT_AGAIN = "update authorizations set lease_until = $5, presented = presented + 1
        where organization_id = $1 and id = $2 and credential_version = $3 and lease_holder = $4 and presented < 2";
    pub(crate) LEASE_RENEW = "update authorizations set lease_until = $5
        where organization_id = $1 and id = $2 and credential_version = $3 and lease_holder = $4";
    pub(crate) LEASE_RELEASE = "update authorizations set lease_holder = null, lease_until = null, presented = $5,
        next_attempt_at = $6, refresh_error = $7, refresh_at = coalesce($6, refresh_at)
        where organization_id = $1 and id = $2 and credential_version = $3 and lease_holder = $4";
    pub(crate) REFRESH_POSTPONE = "update authorizations set next_attempt_at = $4, refresh_at = $4, refresh_error = $5
        where organization_id = $1 and id = $2 and credential_version = $3 and (lease_until is null or lease_until < $6)";
    pub(crate) CREDENTIAL_STORE = "update authorizations set credential = $4, credential_version = credential_version + 1,
        refreshable = $5, scopes = coalesce($6, scopes), issued_at = $7, expires_at = $8, refresh_at = $9,
        status = case when moved_from is null then 'connected' else status end,
        reason = case when moved_from is null then null else reason end, presented = 0, lease_holder = null, lease_until = null, next_attempt_at = null, refresh_error = null,
        last_refreshed_at = $7, updated_at = $7, version = version + 1
        where organization_id = $1 and id = $2 and credential_version = $3";
    pub(crate) CREDENTIAL_BREAK = "update authorizations set status = 'reauthorization_required', reason = $4, refresh_error = $4,
        lease_holder = null, lease_until = null, updated_at = $5, version = version + 1
        where organization_id = $1 and id = $2 and credential_version = $3 and status = 'connected'";
    // Not for the sake of its credential, which may even be refreshed at this moment: what is stored then does not make it serve.
    pub(crate) AUTHORIZATION_OUTGROW = "update authorizations set status = 'reauthorization_required', reason = $3, moved_from = $4,
        updated_at = $5, version = version + 1 where organization_id = $1 and id = $2 and status = 'connected'";
    pub(crate) AUTHORIZATION_RETURN = "update authorizations set status = 'connected', reason = null, moved_from = null,
        updated_at = $4, version = version + 1 where organization_id = $1 and id = $2 and moved_from = $3";
    pub(crate) REFRESH_DUE = "select organization_id, id from authorizations where refreshable = 1 and status = 'connected'
        and refresh_at <= $1 and presented < 2 and (lease_until is null or lease_until < $1)
        and (next_attempt_at is null or next_attempt_at <= $1) order by refresh_at limit $2";
    pub(crate) REFRESH_UNSURE = "select organization_id, id from authorizations where presented = 1
        and status = 'connected' and (lease_until is null or lease_until < $1) and (next_attempt_at is null or next_attempt_at <= $1)
        order by coalesce(next_attempt_at, 0), id limit $2";
    pub(crate) LEASES_ABANDON = "update authorizations set lease_holder = null, lease_until = null where lease_until is not null";

    pub(crate) HOLDING_PUT = "insert into holdings (organization_id, connection, authorization_id, created_at)
        values ($1, $2, $3, $4) on conflict (organization_id, connection, authorization_id) do nothing";
    pub(crate) HOLDING_DELETE = "delete from holdings where organization_id = $1 and connection = $2 and authorization_id = $3";
    pub(crate) HOLDING_OF_CONNECTION = "select authorization_id from holdings where organization_id = $1 and connection = $2
        order by authorization_id";
    pub(crate) HOLDERS = "select connection from holdings where organization_id = $1 and authorization_id = $2 order by connection";

    pub(crate) BINDING_PUT = "insert into bindings (organization_id, connection, environment, member, authorization_id, created_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (organization_id, connection, environment, member)
        do update set authorization_id = excluded.authorization_id, created_at = excluded.created_at";
    pub(crate) BINDING_GET = "select authorization_id from bindings
        where organization_id = $1 and connection = $2 and environment = $3 and member = $4";
    pub(crate) BINDINGS_OF_AUTHORIZATION = "select connection, environment, member, authorization_id from bindings
        where organization_id = $1 and connection = $2 and authorization_id = $3";
    pub(crate) BINDINGS_MOVE = "update bindings set authorization_id = $4
        where organization_id = $1 and connection = $2 and authorization_id = $3";
    pub(crate) BINDINGS_RELEASE = "delete from bindings where organization_id = $1 and connection = $2 and authorization_id = $3";
    pub(crate) BINDINGS_JOIN = "insert into bindings (organization_id, connection, environment, member, authorization_id, created_at)
        select b.organization_id, b.connection, $3, b.member, b.authorization_id, $5 from bindings b
        where b.organization_id = $1 and b.connection = $2 and b.environment = $4
        on conflict (organization_id, connection, environment, member)
        do update set authorization_id = excluded.authorization_id, created_at = excluded.created_at";
    pub(crate) BINDING_STATUSES = concat!("select b.connection, b.environment, b.authorization_id, a.account_name,
        ", binding_status!(), " as status from bindings b
        join authorizations a on a.organization_id = b.organization_id and a.id = b.authorization_id
        where b.organization_id = $1 and b.connection >= $2 and b.connection <= $3 and (b.member = '' or b.member = $4)");
    pub(crate) BINDINGS_DELETE = "delete from bindings where organization_id = $1 and connection = $2";

    pub(crate) UNBOUND_ADD = "insert into unbound (organization_id, environment, connection)
        select c.organization_id, e.environment, c.link_name from connections c
        cross join (select 'development' as environment union all select 'stage' union all select 'production') e
        where c.organization_id = $1 and c.link_name = $2 and c.level <> 'user' and not exists (select 1 from bindings b
          where b.organization_id = $1 and b.connection = $2 and b.environment = e.environment)
        on conflict (organization_id, environment, connection) do nothing";
    pub(crate) UNBOUND_BIND = "delete from unbound where organization_id = $1 and connection = $2
        and environment in (select environment from bindings where organization_id = $1 and connection = $2)";
    pub(crate) UNBOUND_DELETE = "delete from unbound where organization_id = $1 and connection = $2";
}

/// What a service granted to one person for a connector.
#[derive(Clone)]
pub struct Authorization {
    pub organization_id: String,
    pub id: String,
    /// link name of the connector
    pub connector: String,
    pub account_name: String,
    /// id of the member who gave it
    pub owner: String,
    /// who the person is at the service, where it says so
    pub subject: Option<String>,
    pub requested_scopes: Vec<String>,
    /// the granted scopes, where the service says so
    pub scopes: Option<Vec<String>>,
    /// values of the callback and of set-up steps, for templates
    pub attributes: BTreeMap<String, String>,
    /// sealed
    pub credential: Vec<u8>,
    pub credential_version: i64,
    /// whether Jackfield can get a new credential by itself
    pub refreshable: bool,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// when the background refreshes it unasked
    pub refresh_at: Option<Timestamp>,
    pub status: ConnectionStatus,
    /// why it must be authorized again
    pub reason: Option<String>,
    /// how often the present refresh token was sent without a whole answer: 0, 1 or 2
    pub presented: i64,
    pub lease_until: Option<Timestamp>,
    pub next_attempt_at: Option<Timestamp>,
    /// why the last refresh failed
    pub refresh_error: Option<String>,
    pub last_refreshed_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub version: i64,
    /// a person gave or confirmed the account name
    pub named: bool,
    /// a choice that the service offers is still to be made
    pub setup_pending: bool,
    /// its connection was moved on: the version of the connector under which it was given, and serves again
    pub moved_from: Option<i64>,
}

fn status(text: &str) -> Result<ConnectionStatus> {
    ConnectionStatus::parse(text)
        .ok_or_else(|| StoreError::corrupt("authorizations", "status", format!("{text:?} is no status")))
}

fn environment(text: &str) -> Result<Environment> {
    Environment::parse(text)
        .ok_or_else(|| StoreError::corrupt("bindings", "environment", format!("{text:?} is no environment")))
}

impl Authorization {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            connector: row.text("connector")?,
            account_name: row.text("account_name")?,
            owner: row.text("owner")?,
            subject: row.opt_text("subject")?,
            requested_scopes: row.json("requested_scopes")?,
            scopes: if row.opt_text("scopes")?.is_some() { Some(row.json("scopes")?) } else { None },
            attributes: row.json("attributes")?,
            credential: row.bytes("credential")?,
            credential_version: row.int("credential_version")?,
            refreshable: row.flag("refreshable")?,
            issued_at: row.time("issued_at")?,
            expires_at: row.opt_time("expires_at")?,
            refresh_at: row.opt_time("refresh_at")?,
            status: status(&row.text("status")?)?,
            reason: row.opt_text("reason")?,
            presented: row.int("presented")?,
            lease_until: row.opt_time("lease_until")?,
            next_attempt_at: row.opt_time("next_attempt_at")?,
            refresh_error: row.opt_text("refresh_error")?,
            last_refreshed_at: row.opt_time("last_refreshed_at")?,
            last_used_at: row.opt_time("last_used_at")?,
            created_at: row.time("created_at")?,
            version: row.int("version")?,
            named: row.flag("named")?,
            setup_pending: row.flag("setup_pending")?,
            moved_from: row.opt_int("moved_from")?,
        })
    }
}

/// What serves a connection in an environment, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingStatus {
    pub connection: String,
    pub environment: Environment,
    pub authorization_id: String,
    pub account_name: String,
    pub status: ConnectionStatus,
}

/// Which authorization serves a connection in an environment.
#[derive(Clone, Debug)]
pub struct Binding {
    pub connection: String,
    pub environment: Environment,
    /// empty unless the connection's level is `user`
    pub member: String,
    pub authorization_id: String,
}

/// The right to refresh one version of one credential, until it ends.
#[derive(Clone, Debug)]
pub struct Lease {
    pub organization_id: String,
    pub authorization_id: String,
    pub credential_version: i64,
    /// a random word of whoever is refreshing
    pub holder: String,
}

/// What a refresh brings.
pub struct NewCredential {
    /// sealed
    pub credential: Vec<u8>,
    pub refreshable: bool,
    /// `None` keeps what was known
    pub scopes: Option<Vec<String>>,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub refresh_at: Option<Timestamp>,
}

impl Store {
    pub async fn authorization(&self, organization: &str, id: &str) -> Result<Option<Authorization>> {
        let values = [organization.into(), id.into()];
        self.db.query_opt(&AUTHORIZATION_GET, &values).await?.as_ref().map(Authorization::read).transpose()
    }

    /// The authorizations that a connection holds, by id after `after`; only those of `owner` unless that is empty.
    pub async fn authorizations_of(
        &self,
        organization: &str,
        connection: &str,
        owner: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Authorization>> {
        let values = [organization.into(), connection.into(), after.into(), owner.into(), limit.into()];
        self.db.query(&AUTHORIZATION_OF_CONNECTION, &values).await?.iter().map(Authorization::read).collect()
    }

    /// A person's authorizations for a connector, whichever connections hold them.
    pub async fn authorizations_of_owner(
        &self,
        organization: &str,
        connector: &str,
        owner: &str,
    ) -> Result<Vec<Authorization>> {
        let values = [organization.into(), connector.into(), owner.into()];
        self.db.query(&AUTHORIZATION_OF_OWNER, &values).await?.iter().map(Authorization::read).collect()
    }

    /// Everything that a person authorized, by id after `after`.
    pub async fn authorizations_of_member(
        &self,
        organization: &str,
        member: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Authorization>> {
        let values = [organization.into(), member.into(), after.into(), limit.into()];
        self.db.query(&AUTHORIZATION_OF_MEMBER, &values).await?.iter().map(Authorization::read).collect()
    }

    /// The id of the connector's authorization with this account name.
    pub async fn authorization_named(
        &self,
        organization: &str,
        connector: &str,
        name: &str,
    ) -> Result<Option<String>> {
        let values = [organization.into(), connector.into(), name.into()];
        self.db.query_opt(&AUTHORIZATION_NAMED, &values).await?.map(|row| row.text("id")).transpose()
    }

    /// The connections that hold an authorization.
    pub async fn holders(&self, organization: &str, authorization: &str) -> Result<Vec<String>> {
        let values = [organization.into(), authorization.into()];
        self.db.query(&HOLDERS, &values).await?.iter().map(|row| row.text("connection")).collect()
    }

    /// The authorization that serves; `member` is empty unless the level is `user`.
    pub async fn binding(
        &self,
        organization: &str,
        connection: &str,
        environment: Environment,
        member: &str,
    ) -> Result<Option<String>> {
        let values = [organization.into(), connection.into(), environment.as_str().into(), member.into()];
        self.db.query_opt(&BINDING_GET, &values).await?.map(|row| row.text("authorization_id")).transpose()
    }

    /// Where an authorization serves a connection.
    pub async fn bindings_of(
        &self,
        organization: &str,
        connection: &str,
        authorization: &str,
    ) -> Result<Vec<Binding>> {
        let values = [organization.into(), connection.into(), authorization.into()];
        self.db.query(&BINDINGS_OF_AUTHORIZATION, &values).await?.iter().map(read_binding).collect()
    }

    /// The statuses behind the bindings of the connections from `first` to `last` (by link name): those for everybody and those of
    /// `member`.
    pub async fn binding_statuses(
        &self,
        organization: &str,
        first: &str,
        last: &str,
        member: &str,
    ) -> Result<Vec<BindingStatus>> {
        let values = [organization.into(), first.into(), last.into(), member.into()];
        let rows = self.db.query(&BINDING_STATUSES, &values).await?;
        rows.iter()
            .map(|row| {
                Ok(BindingStatus {
                    connection: row.text("connection")?,
                    environment: environment(&row.text("environment")?)?,
                    authorization_id: row.text("authorization_id")?,
                    account_name: row.text("account_name")?,
                    status: status(&row.text("status")?)?,
                })
            })
            .collect()
    }

    /// Authorizations whose time for an unasked refresh has come: organization, id.
    pub async fn refresh_due(&self, now: Timestamp, limit: i64) -> Result<Vec<(String, String)>> {
        self.pairs(&REFRESH_DUE, now, limit).await
    }

    /// Authorizations whose refresh token was sent once by somebody who did not live to store the answer: organization, id.
    pub async fn refresh_unsure(&self, now: Timestamp, limit: i64) -> Result<Vec<(String, String)>> {
        self.pairs(&REFRESH_UNSURE, now, limit).await
    }

    async fn pairs(
        &self,
        statement: &crate::db::Statement,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<(String, String)>> {
        let rows = self.db.query(statement, &[now.into(), limit.into()]).await?;
        rows.iter().map(|row| Ok((row.text("organization_id")?, row.text("id")?))).collect()
    }
}

fn read_binding(row: &Row) -> Result<Binding> {
    Ok(Binding {
        connection: row.text("connection")?,
        environment: environment(&row.text("environment")?)?,
        member: row.text("member")?,
        authorization_id: row.text("authorization_id")?,
    })
}

impl Tx {
    /// [`StoreError::UniqueViolation`] when the account name is taken.
    pub async fn insert_authorization(&mut self, a: &Authorization) -> Result<()> {
        let (requested, attributes) = (json(&a.requested_scopes)?, json(&a.attributes)?);
        let scopes = a.scopes.as_ref().map(json).transpose()?;
        let values: [Value<'_>; 17] = [
            (&a.organization_id).into(),
            (&a.id).into(),
            (&a.connector).into(),
            (&a.account_name).into(),
            (&a.owner).into(),
            a.subject.as_deref().into(),
            (&requested).into(),
            scopes.as_deref().into(),
            (&attributes).into(),
            a.credential.as_slice().into(),
            a.refreshable.into(),
            a.issued_at.into(),
            a.expires_at.into(),
            a.refresh_at.into(),
            a.created_at.into(),
            a.named.into(),
            a.setup_pending.into(),
        ];
        self.execute(&AUTHORIZATION_INSERT, &values).await.map(drop)
    }

    pub async fn authorization(&mut self, organization: &str, id: &str) -> Result<Option<Authorization>> {
        let values = [organization.into(), id.into()];
        self.query_opt(&AUTHORIZATION_GET, &values).await?.as_ref().map(Authorization::read).transpose()
    }

    /// Everything that a person authorized.
    pub async fn authorizations_of_member(
        &mut self,
        organization: &str,
        member: &str,
    ) -> Result<Vec<Authorization>> {
        let values = [organization.into(), member.into(), "".into(), i64::MAX.into()];
        self.query(&AUTHORIZATION_OF_MEMBER, &values).await?.iter().map(Authorization::read).collect()
    }

    /// Makes another person the owner. False when it was not `from`'s.
    pub async fn hand_over_authorization(
        &mut self,
        organization: &str,
        id: &str,
        from: &str,
        to: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), from.into(), to.into(), now.into()];
        Ok(self.execute(&AUTHORIZATION_HAND_OVER, &values).await? == 1)
    }

    /// Every account name of a connector's authorizations.
    pub async fn account_names(&mut self, organization: &str, connector: &str) -> Result<Vec<String>> {
        let values = [organization.into(), connector.into()];
        self.query(&AUTHORIZATION_NAMES, &values).await?.iter().map(|row| row.text("account_name")).collect()
    }

    /// [`StoreError::UniqueViolation`] when the account name is taken.
    pub async fn rename_authorization(
        &mut self,
        organization: &str,
        id: &str,
        name: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), name.into(), now.into()];
        Ok(self.execute(&AUTHORIZATION_RENAME, &values).await? == 1)
    }

    /// Keeps the choices of set-up steps. `a.version` is the version that was read; false when somebody else was quicker.
    pub async fn set_up_authorization(&mut self, a: &Authorization, now: Timestamp) -> Result<bool> {
        let attributes = json(&a.attributes)?;
        let values: [Value<'_>; 6] = [
            (&a.organization_id).into(),
            (&a.id).into(),
            a.version.into(),
            (&attributes).into(),
            a.setup_pending.into(),
            now.into(),
        ];
        Ok(self.execute(&AUTHORIZATION_SET_UP, &values).await? == 1)
    }

    pub async fn delete_authorization(&mut self, organization: &str, id: &str) -> Result<bool> {
        Ok(self.execute(&AUTHORIZATION_DELETE, &[organization.into(), id.into()]).await? == 1)
    }

    pub async fn authorization_used(&mut self, organization: &str, id: &str, at: Timestamp) -> Result<()> {
        self.execute(&AUTHORIZATION_USED, &[organization.into(), id.into(), at.into()]).await.map(drop)
    }

    /// Takes the lease by compare-and-swap. That it could be written proves that the answer can be; with `single_use` the presentation
    /// is counted now, before the token goes out. False: somebody else has it, the credential has changed, or it is not time.
    pub async fn take_lease(
        &mut self,
        lease: &Lease,
        until: Timestamp,
        now: Timestamp,
        single_use: bool,
    ) -> Result<bool> {
        let values: [Value<'_>; 7] = [
            (&lease.organization_id).into(),
            (&lease.authorization_id).into(),
            lease.credential_version.into(),
            (&lease.holder).into(),
            until.into(),
            now.into(),
            i64::from(single_use).into(),
        ];
        Ok(self.execute(&LEASE_TAKE, &values).await? == 1)
    }

    /// Counts a second presentation before it goes out. False: there was one already, or the lease is lost.
    pub async fn present_again(&mut self, lease: &Lease, until: Timestamp) -> Result<bool> {
        self.on_lease(&LEASE_PRESENT_AGAIN, lease, until).await
    }

    /// False: the lease is lost.
    pub async fn renew_lease(&mut self, lease: &Lease, until: Timestamp) -> Result<bool> {
        self.on_lease(&LEASE_RENEW, lease, until).await
    }

    async fn on_lease(
        &mut self,
        statement: &crate::db::Statement,
        lease: &Lease,
        until: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 5] = [
            (&lease.organization_id).into(),
            (&lease.authorization_id).into(),
            lease.credential_version.into(),
            (&lease.holder).into(),
            until.into(),
        ];
        Ok(self.execute(statement, &values).await? == 1)
    }

    /// Gives the lease back without a new credential. `presented` is how often the token is out without a whole answer; at
    /// `next_attempt_at` the background tries again, if nobody asks before.
    pub async fn release_lease(
        &mut self,
        lease: &Lease,
        presented: i64,
        next_attempt_at: Option<Timestamp>,
        error: Option<&str>,
    ) -> Result<bool> {
        let values: [Value<'_>; 7] = [
            (&lease.organization_id).into(),
            (&lease.authorization_id).into(),
            lease.credential_version.into(),
            (&lease.holder).into(),
            presented.into(),
            next_attempt_at.into(),
            error.into(),
        ];
        Ok(self.execute(&LEASE_RELEASE, &values).await? == 1)
    }

    /// A refresh cannot even be tried now: nobody looks at it again before `until`. Nothing while somebody refreshes.
    pub async fn postpone_refresh(
        &mut self,
        lease: &Lease,
        until: Timestamp,
        error: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 6] = [
            (&lease.organization_id).into(),
            (&lease.authorization_id).into(),
            lease.credential_version.into(),
            until.into(),
            error.into(),
            now.into(),
        ];
        Ok(self.execute(&REFRESH_POSTPONE, &values).await? == 1)
    }

    /// Stores what a refresh brought, if the credential is still the one that was refreshed. Whoever's lease has run out meanwhile may
    /// store all the same: a received token is worth more than the lease.
    pub async fn store_credential(&mut self, lease: &Lease, new: &NewCredential) -> Result<bool> {
        let scopes = new.scopes.as_ref().map(json).transpose()?;
        let values: [Value<'_>; 9] = [
            (&lease.organization_id).into(),
            (&lease.authorization_id).into(),
            lease.credential_version.into(),
            new.credential.as_slice().into(),
            new.refreshable.into(),
            scopes.as_deref().into(),
            new.issued_at.into(),
            new.expires_at.into(),
            new.refresh_at.into(),
        ];
        Ok(self.execute(&CREDENTIAL_STORE, &values).await? == 1)
    }

    /// Declares the credential broken, if it is still the one that was refused.
    pub async fn break_credential(&mut self, lease: &Lease, reason: &str, now: Timestamp) -> Result<bool> {
        let values: [Value<'_>; 5] = [
            (&lease.organization_id).into(),
            (&lease.authorization_id).into(),
            lease.credential_version.into(),
            reason.into(),
            now.into(),
        ];
        Ok(self.execute(&CREDENTIAL_BREAK, &values).await? == 1)
    }

    /// The connection that holds it is moved to a version of its connector for which it does not do. False where it is broken already.
    pub async fn outgrow_authorization(
        &mut self,
        organization: &str,
        id: &str,
        reason: &str,
        from: i64,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 5] = [organization.into(), id.into(), reason.into(), from.into(), now.into()];
        Ok(self.execute(&AUTHORIZATION_OUTGROW, &values).await? == 1)
    }

    /// The connection that holds it is moved back to the version under which it was given. False where nothing but its service could mend it.
    pub async fn return_authorization(
        &mut self,
        organization: &str,
        id: &str,
        to: i64,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 4] = [organization.into(), id.into(), to.into(), now.into()];
        Ok(self.execute(&AUTHORIZATION_RETURN, &values).await? == 1)
    }

    /// Ends every lease. Only for whoever alone serves the store and has just started: the holders are dead.
    pub async fn abandon_leases(&mut self) -> Result<u64> {
        self.execute(&LEASES_ABANDON, &[]).await
    }

    pub async fn hold(
        &mut self,
        organization: &str,
        connection: &str,
        authorization: &str,
        now: Timestamp,
    ) -> Result<()> {
        let values = [organization.into(), connection.into(), authorization.into(), now.into()];
        self.execute(&HOLDING_PUT, &values).await.map(drop)
    }

    /// Takes the authorization from the connection, with the bindings it serves there. False when it was not held.
    pub async fn let_go(
        &mut self,
        organization: &str,
        connection: &str,
        authorization: &str,
    ) -> Result<bool> {
        let values: [Value<'_>; 3] = [organization.into(), connection.into(), authorization.into()];
        self.execute(&BINDINGS_RELEASE, &values).await?;
        self.note_unbound(organization, connection).await?;
        Ok(self.execute(&HOLDING_DELETE, &values).await? == 1)
    }

    pub async fn held_by(&mut self, organization: &str, connection: &str) -> Result<Vec<String>> {
        let values = [organization.into(), connection.into()];
        self.query(&HOLDING_OF_CONNECTION, &values)
            .await?
            .iter()
            .map(|row| row.text("authorization_id"))
            .collect()
    }

    pub async fn holders(&mut self, organization: &str, authorization: &str) -> Result<Vec<String>> {
        let values = [organization.into(), authorization.into()];
        self.query(&HOLDERS, &values).await?.iter().map(|row| row.text("connection")).collect()
    }

    /// Lets an authorization serve; whatever served before stays held.
    pub async fn bind(
        &mut self,
        organization: &str,
        connection: &str,
        environment: Environment,
        member: &str,
        authorization: &str,
        now: Timestamp,
    ) -> Result<()> {
        let values: [Value<'_>; 6] = [
            organization.into(),
            connection.into(),
            environment.as_str().into(),
            member.into(),
            authorization.into(),
            now.into(),
        ];
        self.execute(&BINDING_PUT, &values).await?;
        self.note_bound(organization, connection).await
    }

    /// Lets `to` serve wherever `from` served this connection; tells in how many places.
    pub async fn move_bindings(
        &mut self,
        organization: &str,
        connection: &str,
        from: &str,
        to: &str,
    ) -> Result<u64> {
        self.execute(&BINDINGS_MOVE, &[organization.into(), connection.into(), from.into(), to.into()]).await
    }

    /// Lets one authorization serve all environments: each person's for production, else for stage, else for development.
    pub async fn join_environments(
        &mut self,
        organization: &str,
        connection: &str,
        now: Timestamp,
    ) -> Result<()> {
        // The strongest first: it overwrites the others, and what they have after that is the same or theirs alone.
        for from in [Environment::Production, Environment::Stage, Environment::Development] {
            for to in Environment::ALL.iter().filter(|to| **to != from) {
                let values = [
                    organization.into(),
                    connection.into(),
                    to.as_str().into(),
                    from.as_str().into(),
                    now.into(),
                ];
                self.execute(&BINDINGS_JOIN, &values).await?;
            }
        }
        self.note_bound(organization, connection).await
    }

    pub async fn delete_bindings(&mut self, organization: &str, connection: &str) -> Result<u64> {
        let deleted = self.execute(&BINDINGS_DELETE, &[organization.into(), connection.into()]).await?;
        self.note_unbound(organization, connection).await?;
        Ok(deleted)
    }

    /// Notes in which environments nothing serves a connection that is for everybody: after its bindings, or it itself, were written.
    pub(crate) async fn note_unbound(&mut self, organization: &str, connection: &str) -> Result<()> {
        self.execute(&UNBOUND_ADD, &[organization.into(), connection.into()]).await.map(drop)
    }

    async fn note_bound(&mut self, organization: &str, connection: &str) -> Result<()> {
        self.execute(&UNBOUND_BIND, &[organization.into(), connection.into()]).await.map(drop)
    }
}
