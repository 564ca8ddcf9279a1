//! A connection on loan from a pool: runs statements with a limit of time and goes back clean, or not at all.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, Postgres, SqlSafeStr, SqlStr, Sqlite};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::error::{Result, StoreError, classify, is_spent};
use super::{Kind, Row, Shared, Statement, Value, row};

/// The one suffix that SQLite does not know.
const SKIP_LOCKED: &str = "for update skip locked";
/// How long going back to the pool may take before the connection is thrown away.
const GIVE_BACK: Duration = Duration::from_secs(5);

pub(super) struct Lease {
    /// `None` once the connection is spent.
    connection: Option<Pooled>,
    kind: Kind,
    in_transaction: bool,
    /// The time for one statement, when it is not the usual one.
    pub(super) limit: Duration,
}

enum Pooled {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Binds the values and yields a statement of the driver.
macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $values {
            query = match *value {
                Value::Text(value) => query.bind(value),
                Value::OptText(value) => query.bind(value),
                Value::Int(value) => query.bind(value),
                Value::OptInt(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::OptBytes(value) => query.bind(value),
            };
        }
        query
    }};
}

/// Runs `$body` on the connection that there is, whichever it is; limits the time of PostgreSQL's.
macro_rules! run {
    ($self:ident, $shared:ident, $name:expr, |$connection:ident| sqlite: $sqlite:expr, postgres: $postgres:expr) => {{
        $shared.statements_run.fetch_add(1, Ordering::Relaxed);
        let limit = $self.limit($shared);
        let result = match &mut $self.connection {
            Some(Pooled::Sqlite($connection)) => $sqlite,
            Some(Pooled::Postgres($connection)) => limited(limit, $postgres).await,
            None => return Err(StoreError::Aborted { statement: $name }),
        };
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err($self.failed($name, error).await),
        }
    }};
}

impl Lease {
    pub(super) fn sqlite(connection: PoolConnection<Sqlite>) -> Self {
        Self::new(Kind::Sqlite, Pooled::Sqlite(connection))
    }

    pub(super) fn postgres(connection: PoolConnection<Postgres>) -> Self {
        Self::new(Kind::Postgres, Pooled::Postgres(connection))
    }

    fn new(kind: Kind, connection: Pooled) -> Self {
        Self { connection: Some(connection), kind, in_transaction: false, limit: Duration::ZERO }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) async fn begin(&mut self, shared: &Shared, begin: &Statement) -> Result<()> {
        // Set before: a `begin` that was given up half-way may still happen.
        self.in_transaction = true;
        self.script(shared, begin.name, begin.sql).await.inspect_err(|_| self.in_transaction = false)
    }

    pub(super) async fn commit(&mut self, shared: &Shared) -> Result<()> {
        self.script(shared, "COMMIT", "commit").await?;
        self.in_transaction = false;
        Ok(())
    }

    pub(super) async fn execute(
        &mut self,
        shared: &Shared,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<u64> {
        check(statement, values)?;
        run!(self, shared, statement.name, |connection|
        sqlite: bound!(sqlite_text(statement.sql), values)
            .execute(&mut **connection).await.map(|done| done.rows_affected()),
        postgres: async {
            bound!(statement.sql, values).execute(&mut **connection).await.map(|done| done.rows_affected())
        })
    }

    pub(super) async fn query(
        &mut self,
        shared: &Shared,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>> {
        check(statement, values)?;
        run!(self, shared, statement.name, |connection|
        sqlite: bound!(sqlite_text(statement.sql), values)
            .fetch_all(&mut **connection).await.map(|rows| row::from_sqlite(statement.name, &rows)),
        postgres: async {
            let rows = bound!(statement.sql, values).fetch_all(&mut **connection).await?;
            Ok(row::from_postgres(statement.name, &rows))
        })
    }

    pub(super) async fn script(
        &mut self,
        shared: &Shared,
        name: &'static str,
        sql: &'static str,
    ) -> Result<()> {
        run!(self, shared, name, |connection|
            sqlite: sqlx::raw_sql(sql).execute(&mut **connection).await.map(|_| ()),
            postgres: async { sqlx::raw_sql(sql).execute(&mut **connection).await.map(|_| ()) })
    }

    pub(super) async fn prepare(&mut self, shared: &Shared, statement: &Statement) -> Result<()> {
        run!(self, shared, statement.name, |connection|
            sqlite: (&mut **connection).prepare(sqlite_text(statement.sql)).await.map(|_| ()),
            postgres: async { (&mut **connection).prepare(statement.sql.into_sql_str()).await.map(|_| ()) })
    }

    fn limit(&self, shared: &Shared) -> Duration {
        // A little more than the server's own limit, so that the server has the first word.
        (shared.options.statement_timeout + Duration::from_millis(500)).max(self.limit)
    }

    /// Throws the connection away if the error says so, and sorts the error.
    async fn failed(&mut self, name: &'static str, error: sqlx::Error) -> StoreError {
        if is_spent(&error) {
            self.discard();
        }
        match (classify(self.kind, name, error), &mut self.connection) {
            (StoreError::UniqueViolation { table, constraint }, Some(Pooled::Sqlite(connection))) => {
                match name_constraint(connection, &table, &constraint).await {
                    Ok(Some((table, constraint))) => StoreError::UniqueViolation { table, constraint },
                    Ok(None) | Err(_) => StoreError::UniqueViolation { table, constraint },
                }
            }
            (error, _) => error,
        }
    }

    fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.discard();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(connection.give_back(self.in_transaction))),
            Err(_) => connection.discard(),
        }
    }
}

impl Pooled {
    /// Rolls back if need be and goes back to the pool. A connection that does not answer is thrown away, lest it
    /// keep its place in the pool until the operating system notices.
    async fn give_back(self, rollback: bool) {
        match self {
            Self::Sqlite(mut connection) => {
                // It fails when there is no transaction, which is not certain then: rather a new connection.
                if rollback && sqlx::raw_sql("rollback").execute(&mut *connection).await.is_err() {
                    return drop(connection.detach());
                }
                connection.return_to_pool().await;
            }
            Self::Postgres(mut connection) => {
                if rollback {
                    let rolled_back = timeout(GIVE_BACK, sqlx::raw_sql("rollback").execute(&mut *connection));
                    if !matches!(rolled_back.await, Ok(Ok(_))) {
                        return drop(connection.detach());
                    }
                }
                // Asks the server for a sign of life first; when time is up, the connection drops with this future.
                drop(timeout(GIVE_BACK, connection.return_to_pool()).await);
            }
        }
    }

    fn discard(self) {
        match self {
            Self::Sqlite(connection) => drop(connection.detach()),
            Self::Postgres(connection) => drop(connection.detach()),
        }
    }
}

fn check(statement: &Statement, values: &[Value<'_>]) -> Result<()> {
    match values.iter().position(|value| !value.is_storable()) {
        None => Ok(()),
        Some(at) => Err(StoreError::Foreign {
            statement: statement.name,
            why: format!("the text for ${} contains U+0000", at + 1),
        }),
    }
}

/// SQLite has one writer, so that there is never a locked row to skip.
fn sqlite_text(sql: &'static str) -> SqlStr {
    if sql.contains(SKIP_LOCKED) {
        AssertSqlSafe(sql.replace(SKIP_LOCKED, "")).into_sql_str()
    } else {
        sql.into_sql_str()
    }
}

async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
    })
}

/// SQLite names the columns of a violated index, or the index itself when it is one over expressions; we want the
/// table and the name that PostgreSQL would give.
async fn name_constraint(
    connection: &mut PoolConnection<Sqlite>,
    table: &str,
    columns: &str,
) -> Result<Option<(String, String)>, sqlx::Error> {
    const TABLE: &str = "select tbl_name as name from sqlite_schema where type = 'index' and name = $1";
    const INDEXES: &str = "select l.name as name, l.origin as origin, i.name as column_name \
        from pragma_index_list($1) as l join pragma_index_info(l.name) as i \
        where l.\"unique\" = 1 order by l.seq, i.seqno";

    if let Some(index) = columns.strip_prefix("index '") {
        let index = index.trim_end_matches('\'');
        let rows = sqlx::query(TABLE).bind(index).fetch_all(&mut **connection).await?;
        let table = row::from_sqlite("TABLE", &rows).first().and_then(|row| row.text("name").ok());
        return Ok(table.map(|table| (table, index.to_owned())));
    }
    let prefix = format!("{table}.");
    let columns: Vec<&str> = columns.split(", ").map(|c| c.strip_prefix(&prefix).unwrap_or(c)).collect();
    let rows = sqlx::query(INDEXES).bind(table).fetch_all(&mut **connection).await?;
    let mut indexes: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in row::from_sqlite("INDEXES", &rows) {
        let (Ok(name), Ok(origin), Ok(column)) =
            (row.text("name"), row.text("origin"), row.text("column_name"))
        else {
            continue;
        };
        indexes.entry((name, origin)).or_default().push(column);
    }
    let names: Vec<String> = indexes
        .into_iter()
        .filter(|(_, of)| *of == columns)
        .map(|((name, origin), of)| match &*origin {
            "pk" => format!("{table}_pkey"),
            "u" => format!("{table}_{}_key", of.join("_")),
            _ => name,
        })
        .collect();
    Ok((!names.is_empty()).then(|| (table.to_owned(), names.join(", "))))
}
