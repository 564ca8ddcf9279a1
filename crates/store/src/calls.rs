//! Records of calls: who called what, when, and how it ended. Never a query string, a header or a body.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store};

statements! {
    pub(crate) CALL_INSERT = "insert into calls
        (organization_id, id, connection, authorization_id, environment, principal, via, method, host, path, status, error, duration,
         request_id, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    pub(crate) CALL_LIST = "select organization_id, id, connection, authorization_id, environment, principal, via, method, host, path,
        status, error, duration, request_id, at from calls where organization_id = $1 and connection = $2 and id < $3 order by id desc limit $4";
    pub(crate) CALL_PRUNE = "delete from calls where at < $1";
}

/// One call through a connection.
#[derive(Clone, Debug)]
pub struct Call {
    pub organization_id: String,
    pub id: String,
    pub connection: String,
    pub authorization_id: Option<String>,
    pub environment: String,
    /// id of the member or application
    pub principal: String,
    /// `invoke` or `proxy`
    pub via: String,
    pub method: String,
    pub host: String,
    pub path: String,
    /// what the service answered
    pub status: Option<i64>,
    /// Jackfield's own code, where the call failed here
    pub error: Option<String>,
    /// microseconds
    pub duration: i64,
    pub request_id: String,
    pub at: Timestamp,
}

impl Call {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            connection: row.text("connection")?,
            authorization_id: row.opt_text("authorization_id")?,
            environment: row.text("environment")?,
            principal: row.text("principal")?,
            via: row.text("via")?,
            method: row.text("method")?,
            host: row.text("host")?,
            path: row.text("path")?,
            status: row.opt_int("status")?,
            error: row.opt_text("error")?,
            duration: row.int("duration")?,
            request_id: row.text("request_id")?,
            at: row.time("at")?,
        })
    }
}

impl Store {
    /// The latest first, by id before `before`; give something above every id for the first page.
    pub async fn calls(
        &self,
        organization: &str,
        connection: &str,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Call>> {
        let values = [organization.into(), connection.into(), before.into(), limit.into()];
        self.db.query(&CALL_LIST, &values).await?.iter().map(Call::read).collect()
    }
}

impl Tx {
    pub async fn insert_call(&mut self, c: &Call) -> Result<()> {
        let values: [Value<'_>; 15] = [
            (&c.organization_id).into(),
            (&c.id).into(),
            (&c.connection).into(),
            c.authorization_id.as_deref().into(),
            (&c.environment).into(),
            (&c.principal).into(),
            (&c.via).into(),
            (&c.method).into(),
            (&c.host).into(),
            (&c.path).into(),
            c.status.into(),
            c.error.as_deref().into(),
            c.duration.into(),
            (&c.request_id).into(),
            c.at.into(),
        ];
        self.execute(&CALL_INSERT, &values).await.map(drop)
    }

    /// Forgets calls before `before`; tells how many.
    pub async fn prune_calls(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&CALL_PRUNE, &[before.into()]).await
    }
}
