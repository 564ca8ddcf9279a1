//! Records of calls: who called what, when, and how it ended. Never a query string, a header or a body.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store};

statements! {
    pub(crate) CALL_INSERT = "insert into calls
        (organization_id, id, connection, authorization_id, environment, principal, via, method, host, path, status, error, duration,
         request_id, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    pub(crate) CALL_INSERT_MANY = "insert into calls
        (organization_id, id, connection, authorization_id, environment, principal, via, method, host, path, status, error, duration,
         request_id, at)
        values
        ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15),
        ($16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30),
        ($31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45),
        ($46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, $60),
        ($61, $62, $63, $64, $65, $66, $67, $68, $69, $70, $71, $72, $73, $74, $75)";
    pub(crate) CALL_LIST = "select organization_id, id, connection, authorization_id, environment, principal, via, method, host, path,
        status, error, duration, request_id, at from calls where organization_id = $1 and connection = $2 and id < $3 order by id desc limit $4";
    pub(crate) CALL_PRUNE = "delete from calls where (organization_id, id) in
        (select organization_id, id from calls where at < $1 limit $2)";
}

/// How many calls [`CALL_INSERT_MANY`] takes. Calls are what is written most, and going to the database costs more than writing a row. Not
/// more of them: SQLite looks for the name of each placeholder among all of its statement, so that the search grows by the square.
const MANY: usize = 5;

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

    fn values(&self) -> [Value<'_>; 15] {
        [
            (&self.organization_id).into(),
            (&self.id).into(),
            (&self.connection).into(),
            (&self.authorization_id).into(),
            (&self.environment).into(),
            (&self.principal).into(),
            (&self.via).into(),
            (&self.method).into(),
            (&self.host).into(),
            (&self.path).into(),
            self.status.into(),
            (&self.error).into(),
            self.duration.into(),
            (&self.request_id).into(),
            self.at.into(),
        ]
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
    pub async fn insert_call(&mut self, call: &Call) -> Result<()> {
        self.execute(&CALL_INSERT, &call.values()).await.map(drop)
    }

    pub async fn insert_calls(&mut self, calls: &[&Call]) -> Result<()> {
        let (many, few) = calls.as_chunks::<MANY>();
        for many in many {
            let values: Vec<Value<'_>> = many.iter().flat_map(|call| call.values()).collect();
            self.execute(&CALL_INSERT_MANY, &values).await?;
        }
        for call in few {
            self.insert_call(call).await?;
        }
        Ok(())
    }

    /// Forgets calls before `before`, at most [`crate::PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_calls(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&CALL_PRUNE, &[before.into(), crate::PRUNE_AT_ONCE.into()]).await
    }
}
