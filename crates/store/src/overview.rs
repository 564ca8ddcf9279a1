//! What stands on the first page: what needs somebody, how many calls there were, and who uses what. Every answer is bounded.

use jackfield_core::{ConnectionStatus, Environment, Level, Timestamp};

use crate::authorizations::binding_status;
use crate::db::{Row, Tx, statements};
use crate::{PRUNE_AT_ONCE, Result, Store, StoreError};

macro_rules! drawn {
    ($which:literal) => {
        concat!(
            "select c.link_name, c.name, c.connector, c.level, c.enabled,
            (select ", binding_status!(), " from bindings b
              join authorizations a on a.organization_id = b.organization_id and a.id = b.authorization_id
              where b.organization_id = $1 and b.connection = c.link_name and b.environment = $2 and (b.member = '' or b.member = $3)
              order by b.member desc limit 1) as status from ",
            $which,
            " u cross join connections c where c.organization_id = $1 and c.link_name = u.used order by u.used"
        )
    };
}

// `cross join` keeps the order in which SQLite takes the tables: the few rows of the first find those of the others by their keys.
statements! {
    pub(crate) CALL_RATE_ADD = "insert into call_rates
        (organization_id, connection, environment, half_hour, speed, calls, failed, timed, took, service)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (organization_id, connection, environment, half_hour, speed)
        do update set calls = call_rates.calls + excluded.calls, failed = call_rates.failed + excluded.failed,
        timed = call_rates.timed + excluded.timed, took = call_rates.took + excluded.took, service = call_rates.service + excluded.service";
    pub(crate) CALL_RATE_LIST = "select half_hour, speed, calls, failed, timed, took, service from call_rates
        where organization_id = $1 and connection = $2 and environment = $3 and half_hour >= $4 order by half_hour, speed";
    pub(crate) CALL_RATE_DELETE = "delete from call_rates where organization_id = $1 and connection = $2";
    pub(crate) CALL_RATE_PRUNE = "delete from call_rates where (organization_id, connection, environment, half_hour, speed) in
        (select organization_id, connection, environment, half_hour, speed from call_rates where half_hour < $1 limit $2)";

    pub(crate) NEEDS_AGAIN = "select c.link_name, c.name, c.level, a.id, a.account_name, a.owner, m.name as owner_name, a.reason,
        a.updated_at as at from authorizations a
        cross join bindings b cross join connections c left join members m on m.organization_id = a.organization_id and m.id = a.owner
        where a.organization_id = $1 and b.organization_id = $1 and b.authorization_id = a.id and b.environment = $2
        and c.organization_id = $1 and c.link_name = b.connection and c.enabled = 1 and a.status = 'reauthorization_required' and ($3 = '' or a.owner = $3) order by a.id limit $4";
    pub(crate) NEEDS_SOON = "select c.link_name, c.name, c.level, a.id, a.account_name, a.owner, m.name as owner_name, a.reason,
        a.expires_at as at from authorizations a
        cross join bindings b cross join connections c left join members m on m.organization_id = a.organization_id and m.id = a.owner
        where a.organization_id = $1 and b.organization_id = $1 and b.authorization_id = a.id and b.environment = $2
        and c.organization_id = $1 and c.link_name = b.connection and c.enabled = 1 and a.refreshable = 0 and a.status = 'connected' and a.expires_at is not null
        and a.expires_at < $5 and ($3 = '' or a.owner = $3) order by a.expires_at limit $4";
    pub(crate) NEEDS_FIRST = "select n.link_name, n.name, n.level, n.at,
        (select min(p.name) from connection_references x
          join applications p on p.organization_id = x.organization_id and p.link_name = x.application
          where x.organization_id = $1 and x.connection = n.link_name) as used_by
        from (select c.link_name, c.name, c.level, c.created_at as at from
          (select distinct connection as used from connection_references r where r.organization_id = $1
            and not exists (select 1 from bindings b
              where b.organization_id = $1 and b.connection = r.connection and b.environment = $2 and b.member = '')) u
          cross join connections c where c.organization_id = $1 and c.link_name = u.used and c.enabled = 1 and c.level <> 'user'
          order by u.used limit $3) n order by n.link_name";

    pub(crate) DRAWN_USED = drawn!("(select distinct connection as used from connection_references
        where organization_id = $1 order by connection limit $4)");
    pub(crate) DRAWN_ANY = drawn!("(select link_name as used from connections where organization_id = $1 order by link_name limit $4)");
    pub(crate) DRAWN_LINES = "select distinct x.connection, x.application, coalesce(p.name, x.application) as name
        from connection_references x left join applications p on p.organization_id = x.organization_id and p.link_name = x.application
        where x.organization_id = $1 and x.connection >= $2 and x.connection <= $3 order by x.connection, x.application limit $4";
}

/// Calls that are added to those of a half hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// half hours since 1970
    pub half_hour: i64,
    pub speed: i64,
    pub calls: i64,
    pub failed: i64,
    /// those of which it is known what they took
    pub timed: i64,
    /// microseconds of all of these
    pub took: i64,
    /// of them, until the service had answered
    pub service: i64,
}

/// What is the matter with a connection in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    pub connection: String,
    pub name: String,
    pub level: Level,
    /// the authorization, where there is one
    pub authorization: Option<NeedyAuthorization>,
    /// name of an application that uses the connection, where none was ever authorized
    pub used_by: Option<String>,
    /// since when, or when it ends
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedyAuthorization {
    pub id: String,
    pub account_name: String,
    /// id of the member
    pub owner: String,
    pub owner_name: Option<String>,
    pub reason: Option<String>,
}

/// A connection on the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub link_name: String,
    pub name: String,
    /// link name of the connector
    pub connector: String,
    pub level: Level,
    pub enabled: bool,
    /// of what serves it, or nothing
    pub status: Option<ConnectionStatus>,
}

/// An application on the map, and a connection that a component of it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub connection: String,
    pub application: String,
    pub name: String,
}

fn level(row: &Row) -> Result<Level> {
    let word = row.text("level")?;
    Level::parse(&word)
        .ok_or_else(|| StoreError::corrupt("connections", "level", format!("{word:?} is no level")))
}

fn needs(row: &Row) -> Result<Needs> {
    Ok(Needs {
        connection: row.text("link_name")?,
        name: row.text("name")?,
        level: level(row)?,
        authorization: Some(NeedyAuthorization {
            id: row.text("id")?,
            account_name: row.text("account_name")?,
            owner: row.text("owner")?,
            owner_name: row.opt_text("owner_name")?,
            reason: row.opt_text("reason")?,
        }),
        used_by: None,
        at: row.time("at")?,
    })
}

fn drawn(row: &Row) -> Result<Drawn> {
    let status = row.opt_text("status")?;
    Ok(Drawn {
        link_name: row.text("link_name")?,
        name: row.text("name")?,
        connector: row.text("connector")?,
        level: level(row)?,
        enabled: row.flag("enabled")?,
        status: status.as_deref().and_then(ConnectionStatus::parse),
    })
}

impl Store {
    /// Of one connection, or of the whole organization where `connection` is empty; from the half hour `from` on.
    pub async fn call_rates(
        &self,
        organization: &str,
        connection: &str,
        environment: Environment,
        from: i64,
    ) -> Result<Vec<Rate>> {
        let values = [organization.into(), connection.into(), environment.as_str().into(), from.into()];
        let rate = |row: &Row| {
            Ok(Rate {
                half_hour: row.int("half_hour")?,
                speed: row.int("speed")?,
                calls: row.int("calls")?,
                failed: row.int("failed")?,
                timed: row.int("timed")?,
                took: row.int("took")?,
                service: row.int("service")?,
            })
        };
        self.db.query(&CALL_RATE_LIST, &values).await?.iter().map(rate).collect()
    }

    /// Connections whose authorization the service no longer accepts; of one owner unless `owner` is empty.
    pub async fn needing_again(
        &self,
        organization: &str,
        environment: Environment,
        owner: &str,
        limit: i64,
    ) -> Result<Vec<Needs>> {
        let values = [organization.into(), environment.as_str().into(), owner.into(), limit.into()];
        self.db.query(&NEEDS_AGAIN, &values).await?.iter().map(needs).collect()
    }

    /// Connections whose authorization ends before `before` and cannot be refreshed, the next to end first.
    pub async fn needing_soon(
        &self,
        organization: &str,
        environment: Environment,
        owner: &str,
        limit: i64,
        before: Timestamp,
    ) -> Result<Vec<Needs>> {
        let values =
            [organization.into(), environment.as_str().into(), owner.into(), limit.into(), before.into()];
        self.db.query(&NEEDS_SOON, &values).await?.iter().map(needs).collect()
    }

    /// Connections that an application uses and that nothing serves in this environment; not those that each person authorizes.
    pub async fn needing_first(
        &self,
        organization: &str,
        environment: Environment,
        limit: i64,
    ) -> Result<Vec<Needs>> {
        let values = [organization.into(), environment.as_str().into(), limit.into()];
        let needs = |row: &Row| {
            Ok(Needs {
                connection: row.text("link_name")?,
                name: row.text("name")?,
                level: level(row)?,
                authorization: None,
                used_by: row.opt_text("used_by")?,
                at: row.time("at")?,
            })
        };
        self.db.query(&NEEDS_FIRST, &values).await?.iter().map(needs).collect()
    }

    /// Connections that a component uses, by link name; or any, where `used` is false.
    pub async fn drawn(
        &self,
        organization: &str,
        environment: Environment,
        member: &str,
        used: bool,
        limit: i64,
    ) -> Result<Vec<Drawn>> {
        let values = [organization.into(), environment.as_str().into(), member.into(), limit.into()];
        let statement = if used { &DRAWN_USED } else { &DRAWN_ANY };
        self.db.query(statement, &values).await?.iter().map(drawn).collect()
    }

    /// Who uses the connections from `first` to `last`.
    pub async fn drawn_lines(
        &self,
        organization: &str,
        first: &str,
        last: &str,
        limit: i64,
    ) -> Result<Vec<Line>> {
        let values = [organization.into(), first.into(), last.into(), limit.into()];
        let line = |row: &Row| {
            Ok(Line {
                connection: row.text("connection")?,
                application: row.text("application")?,
                name: row.text("name")?,
            })
        };
        self.db.query(&DRAWN_LINES, &values).await?.iter().map(line).collect()
    }
}

impl Tx {
    /// Adds calls to those of a half hour. Whoever adds to several does so in the order of their names, so that two never wait for each
    /// other.
    pub async fn add_rate(
        &mut self,
        organization: &str,
        connection: &str,
        environment: Environment,
        rate: Rate,
    ) -> Result<()> {
        let values = [
            organization.into(),
            connection.into(),
            environment.as_str().into(),
            rate.half_hour.into(),
            rate.speed.into(),
            rate.calls.into(),
            rate.failed.into(),
            rate.timed.into(),
            rate.took.into(),
            rate.service.into(),
        ];
        self.execute(&CALL_RATE_ADD, &values).await.map(drop)
    }

    /// Forgets what was counted of a connection.
    pub async fn delete_rates(&mut self, organization: &str, connection: &str) -> Result<()> {
        self.execute(&CALL_RATE_DELETE, &[organization.into(), connection.into()]).await.map(drop)
    }

    /// Forgets what was counted before the half hour, at most [`PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_rates(&mut self, before: i64) -> Result<u64> {
        self.execute(&CALL_RATE_PRUNE, &[before.into(), PRUNE_AT_ONCE.into()]).await
    }
}
