//! The database: statements, rows, transactions, and word of changes, the same on SQLite and PostgreSQL.
//!
//! Every statement is one text with `$1` placeholders for both. What differs is in this folder and nowhere else:
//!
//! | | SQLite | PostgreSQL |
//! |---|---|---|
//! | writers | one at a time (`begin immediate`), readers beside it (WAL) | as many as the pool has connections |
//! | isolation | a snapshot, and nobody writes beside it | read committed |
//! | `for update skip locked` | left out: there is one writer | as it stands |
//! | text sorts | by its bytes | by its bytes too, whatever the database's language: a migration sees to it |
//! | nobody answers | cannot be | every wait has an end, and gives [`StoreError::Unavailable`] |

mod changes;
mod error;
mod lease;
mod row;
mod value;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jackfield_core::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgPool, SqlitePool};
use tokio::time::{Instant, sleep, timeout};

pub use changes::{Change, Changes};
pub use error::{Result, StoreError};
pub use row::Row;
pub use value::Value;

use lease::Lease;

/// The channel of PostgreSQL's notifications.
const CHANNEL: &str = "jackfield";
/// The key of the lock under which one node at a time migrates: "jackfield" in a number of its own.
const MIGRATION_LOCK: i64 = 0x6a61_636b_6669_656c;
/// How long a node waits for another that migrates.
const MIGRATION_WAIT: Duration = Duration::from_mins(1);
/// How long a migration's statement may take.
const MIGRATION_LIMIT: Duration = Duration::from_hours(1);
/// How many prepared statements a connection keeps.
const STATEMENT_CACHE: usize = 512;
const SQLITE_READERS: u32 = 4;

/// A statement: its name in errors and logs, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    pub name: &'static str,
    pub sql: &'static str,
}

/// Statements as constants, and `ALL` of them in a list that a test prepares on both databases.
macro_rules! statements {
    ($($(#[$meta:meta])* $visibility:vis $name:ident = $sql:expr;)+) => {
        $($(#[$meta])* $visibility const $name: $crate::db::Statement =
            $crate::db::Statement { name: stringify!($name), sql: $sql };)+

        /// Every statement of this file.
        #[allow(dead_code, reason = "the statements of some tests are not prepared")]
        pub(crate) const ALL: &[&$crate::db::Statement] = &[$(&$name),+];
    };
}
pub(crate) use statements;

const PING: Statement = Statement { name: "PING", sql: "select 1 as one" };
/// PostgreSQL's, in microseconds.
const CLOCK: Statement = Statement {
    name: "CLOCK",
    sql: "select (extract(epoch from clock_timestamp()) * 1000000)::bigint as at",
};
/// PostgreSQL's, delivered when the transaction commits.
const NOTIFY: Statement = Statement { name: "NOTIFY", sql: "select pg_notify('jackfield', $1)" };
/// PostgreSQL's: text sorts by its bytes, as it does on SQLite, whatever language the database was made for. Only columns that this
/// transaction made are touched, be there tables of others beside ours.
const SORT_BY_BYTES: &str = r#"do $$
declare
  change text;
begin
  for change in
    select format('alter table %s ', a.attrelid::regclass)
      || string_agg(format('alter column %I type text collate "C"', a.attname), ', ' order by a.attnum)
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relkind = 'r' and a.attnum > 0 and not a.attisdropped and a.atttypid = 'text'::regtype
      and a.attcollation <> '"C"'::regcollation and a.xmin = pg_current_xact_id()::xid
    group by a.attrelid
  loop
    execute change;
  end loop;
end $$"#;
/// PostgreSQL's, held until the transaction ends.
const LOCK_MIGRATIONS: Statement =
    Statement { name: "LOCK_MIGRATIONS", sql: "select pg_advisory_xact_lock($1)" };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// The limits that an operator or a test may want to change.
#[derive(Clone, Debug)]
pub struct DbOptions {
    /// PostgreSQL: connections of this node, without the one that listens.
    pub max_connections: u32,
    /// PostgreSQL: how long the first connection may take.
    pub connect_timeout: Duration,
    /// PostgreSQL: how long to wait for a connection of the pool.
    pub acquire_timeout: Duration,
    /// PostgreSQL: how long one statement may take.
    pub statement_timeout: Duration,
    /// SQLite: how long to wait for another writer, be it of this process or another.
    pub busy_timeout: Duration,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            max_connections: 10,
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// A database, open. Clones share it.
#[derive(Clone)]
pub struct Db(Arc<Shared>);

struct Shared {
    backend: Backend,
    options: DbOptions,
    /// Tells our own notifications from those of others.
    node: String,
    statements_run: AtomicU64,
}

enum Backend {
    Sqlite { path: PathBuf, readers: SqlitePool, writer: SqlitePool },
    Postgres { pool: PgPool, listen: Box<PgConnectOptions> },
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens `sqlite:PATH`, `sqlite:///PATH` (made when it is not there) or `postgres://…`, `postgresql://…`.
    pub async fn open(url: &str, options: &DbOptions) -> Result<Self> {
        let backend = if let Some(path) = sqlite_file(url) {
            open_sqlite(path, options).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url, options).await?
        } else {
            let why = "it begins neither with sqlite: nor with postgres://";
            return Err(StoreError::Address(why.to_owned()));
        };
        Ok(Self::new(backend, options))
    }

    /// Opens the same to look at it. A SQLite file is neither made (`None`: there is none) nor changed, not even by
    /// folding a log into it that a dead process left behind.
    pub async fn look(url: &str, options: &DbOptions) -> Result<Option<Self>> {
        let Some(path) = sqlite_file(url) else { return Self::open(url, options).await.map(Some) };
        if !path.exists() {
            return Ok(None);
        }
        let readers = sqlite_pool(options)
            .max_connections(SQLITE_READERS)
            .connect_with(sqlite_options(path, options).read_only(true))
            .await
            .map_err(|e| error::classify(Kind::Sqlite, "OPEN", e))?;
        let backend = Backend::Sqlite { path: path.to_owned(), writer: readers.clone(), readers };
        Ok(Some(Self::new(backend, options)))
    }

    fn new(backend: Backend, options: &DbOptions) -> Self {
        let node = format!("{:016x}{:016x}", random(), random());
        Self(Arc::new(Shared { backend, options: options.clone(), node, statements_run: AtomicU64::new(0) }))
    }

    pub fn kind(&self) -> Kind {
        match self.0.backend {
            Backend::Sqlite { .. } => Kind::Sqlite,
            Backend::Postgres { .. } => Kind::Postgres,
        }
    }

    /// How many statements this process has sent, those that begin and end transactions among them.
    pub fn statements_run(&self) -> u64 {
        self.0.statements_run.load(Ordering::Relaxed)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.query(&PING, &[]).await.map(|_| ())
    }

    /// The database's own clock; a SQLite file has none.
    pub async fn clock(&self) -> Result<Option<Timestamp>> {
        match self.kind() {
            Kind::Sqlite => Ok(None),
            Kind::Postgres => {
                let row = self.query_opt(&CLOCK, &[]).await?;
                row.map(|row| row.int("at").map(Timestamp::from_micros)).transpose()
            }
        }
    }

    /// Every row of a statement that reads, outside of any transaction.
    pub(crate) async fn query(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<Row>> {
        self.reader(statement).await?.query(&self.0, statement, values).await
    }

    /// The row of a statement that finds at most one.
    pub(crate) async fn query_opt(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Option<Row>> {
        at_most_one(self.query(statement, values).await?)
    }

    /// Begins a transaction that writes. On SQLite it is the only one: await nothing but the database while it is
    /// open, and read within it through it.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let begin = match self.kind() {
            Kind::Sqlite => Statement { name: "BEGIN", sql: "begin immediate" },
            Kind::Postgres => Statement { name: "BEGIN", sql: "begin isolation level read committed" },
        };
        let lease = match &self.0.backend {
            Backend::Sqlite { writer, .. } => writer.acquire().await.map(Lease::sqlite),
            Backend::Postgres { pool, .. } => pool.acquire().await.map(Lease::postgres),
        };
        let mut lease = lease.map_err(|e| error::classify(self.kind(), begin.name, e))?;
        lease.begin(&self.0, &begin).await?;
        Ok(Tx { shared: Arc::clone(&self.0), lease, failed: false })
    }

    /// Begins a transaction beside which no other of its kind runs on any node, for as long as a migration takes.
    pub(crate) async fn begin_migration(&self) -> Result<Tx> {
        let deadline = Instant::now() + MIGRATION_WAIT;
        let mut tx = loop {
            match self.begin().await {
                Err(StoreError::Busy { .. }) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(50)).await;
                }
                begun => break begun?,
            }
        };
        tx.lease.limit = MIGRATION_LIMIT;
        if self.kind() == Kind::Postgres {
            tx.script("LIMIT_MIGRATIONS", "set local statement_timeout = 0; set local lock_timeout = '60s'")
                .await?;
            tx.query(&LOCK_MIGRATIONS, &[MIGRATION_LOCK.into()]).await?;
        }
        Ok(tx)
    }

    /// Has the database read each statement without running it.
    pub async fn check(&self, statements: &[&Statement]) -> Result<()> {
        for statement in statements {
            self.reader(statement).await?.prepare(&self.0, statement).await?;
        }
        Ok(())
    }

    /// Makes this process the only one that serves an SQLite file until the lock is dropped or the process ends.
    /// Others may still read and write it. On PostgreSQL any number of nodes serve.
    pub fn lock_for_serving(&self) -> Result<ServingLock> {
        let Backend::Sqlite { path, .. } = &self.0.backend else { return Ok(ServingLock(None)) };
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let unavailable =
            |e: io::Error| StoreError::Unavailable { statement: "LOCK_FOR_SERVING", why: e.to_string() };
        let file = private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(&lock_path)
            .map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => Ok(ServingLock(Some(file))),
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::AlreadyServed { path: path.display().to_string() })
            }
            Err(TryLockError::Error(e)) => Err(unavailable(e)),
        }
    }

    /// Closes every connection, after their statements have ended or a few seconds have passed.
    pub async fn close(self) {
        let close = async {
            match &self.0.backend {
                // The writer last: the last connection folds the log into the file.
                Backend::Sqlite { readers, writer, .. } => {
                    readers.close().await;
                    writer.close().await;
                }
                Backend::Postgres { pool, .. } => pool.close().await,
            }
        };
        if timeout(Duration::from_secs(5), close).await.is_err() {
            tracing::warn!(
                "the database's connections did not close in time; left to the end of the process"
            );
        }
    }

    fn node(&self) -> &str {
        &self.0.node
    }

    fn options(&self) -> &DbOptions {
        &self.0.options
    }

    fn listen_options(&self) -> Option<PgConnectOptions> {
        match &self.0.backend {
            Backend::Sqlite { .. } => None,
            Backend::Postgres { listen, .. } => Some((**listen).clone()),
        }
    }

    async fn reader(&self, statement: &Statement) -> Result<Lease> {
        let lease = match &self.0.backend {
            Backend::Sqlite { readers, .. } => readers.acquire().await.map(Lease::sqlite),
            Backend::Postgres { pool, .. } => pool.acquire().await.map(Lease::postgres),
        };
        lease.map_err(|e| error::classify(self.kind(), statement.name, e))
    }
}

/// The right to serve, see [`Db::lock_for_serving`].
#[derive(Debug)]
pub struct ServingLock(#[expect(dead_code, reason = "held for its lock")] Option<File>);

/// A transaction that writes. Dropped without [`Tx::commit`] it leaves nothing behind. After a failed statement, on
/// either database, it can only be dropped.
pub struct Tx {
    shared: Arc<Shared>,
    lease: Lease,
    failed: bool,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Tx {
    /// Runs a statement that writes; how many rows it wrote.
    pub(crate) async fn execute(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<u64> {
        self.attempt(statement.name)?;
        let count = self.lease.execute(&self.shared, statement, values).await?;
        self.failed = false;
        Ok(count)
    }

    pub(crate) async fn query(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<Row>> {
        self.attempt(statement.name)?;
        let rows = self.lease.query(&self.shared, statement, values).await?;
        self.failed = false;
        Ok(rows)
    }

    /// The row of a statement that finds at most one.
    pub(crate) async fn query_opt(
        &mut self,
        statement: &Statement,
        values: &[Value<'_>],
    ) -> Result<Option<Row>> {
        at_most_one(self.query(statement, values).await?)
    }

    /// Several statements without values, separated by semicolons.
    pub(crate) async fn script(&mut self, name: &'static str, sql: &'static str) -> Result<()> {
        self.attempt(name)?;
        self.lease.script(&self.shared, name, sql).await?;
        self.failed = false;
        Ok(())
    }

    /// Has the text in the columns that this transaction made sort by its bytes.
    pub(crate) async fn sort_by_bytes(&mut self) -> Result<()> {
        match self.lease.kind() {
            Kind::Sqlite => Ok(()),
            Kind::Postgres => self.script("SORT_BY_BYTES", SORT_BY_BYTES).await,
        }
    }

    /// Tells the other nodes, if and when this transaction commits. At most some 7900 bytes.
    pub async fn notify(&mut self, payload: &str) -> Result<()> {
        match self.lease.kind() {
            Kind::Sqlite => Ok(()),
            Kind::Postgres => {
                let payload = format!("{} {payload}", self.shared.node);
                self.query(&NOTIFY, &[Value::Text(&payload)]).await.map(|_| ())
            }
        }
    }

    /// Makes it last. After [`StoreError::Unavailable`] it is not known whether it did.
    pub async fn commit(mut self) -> Result<()> {
        self.attempt("COMMIT")?;
        self.lease.commit(&self.shared).await
    }

    /// Counts as failed until the caller knows better, so that a statement given up half-way counts as well.
    fn attempt(&mut self, statement: &'static str) -> Result<()> {
        if self.failed {
            return Err(StoreError::Aborted { statement });
        }
        self.failed = true;
        Ok(())
    }
}

fn at_most_one(mut rows: Vec<Row>) -> Result<Option<Row>> {
    match rows.pop() {
        Some(row) if !rows.is_empty() => Err(row.corrupt("*", "several rows where one was expected")),
        row => Ok(row),
    }
}

/// Enough to tell one node's notifications from another's; nothing secret hangs on it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The file of a `sqlite:` address.
fn sqlite_file(url: &str) -> Option<&Path> {
    url.strip_prefix("sqlite:").map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)))
}

async fn open_sqlite(path: &Path, options: &DbOptions) -> Result<Backend> {
    let text = path.to_string_lossy();
    // To SQLite a leading `file:` or `:` would mean something else than a path.
    if text.is_empty() || text.starts_with(':') || text.starts_with("file:") || text.contains('?') {
        return Err(StoreError::Address("sqlite: is followed by the path of a file".to_owned()));
    }
    let path = path.to_owned();
    create_privately(&path).map_err(|e| {
        let why = format!("{} cannot be opened: {e}", path.display());
        StoreError::Unavailable { statement: "OPEN", why }
    })?;
    let common = sqlite_options(&path, options);
    // The log is kept between bursts of writing, but not for ever at the size of the largest.
    let write = common
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864");
    // The writer first: it is the one that may recover the log of a process that died.
    let begun = Instant::now();
    let writer = loop {
        let opened = sqlite_pool(options).max_connections(1).connect_with(write.clone()).await;
        match opened.map_err(|e| error::classify(Kind::Sqlite, "OPEN", e)) {
            // Who changes the journal's mode beside us makes this fail at once: SQLite does not wait for that.
            Err(StoreError::Busy { .. }) if begun.elapsed() < options.busy_timeout => {
                sleep(Duration::from_millis(10)).await;
            }
            opened => break opened?,
        }
    };
    let readers = sqlite_pool(options)
        .max_connections(SQLITE_READERS)
        .connect_with(common.read_only(true))
        .await
        .map_err(|e| error::classify(Kind::Sqlite, "OPEN", e))?;
    Ok(Backend::Sqlite { path, readers, writer })
}

fn sqlite_options(path: &Path, options: &DbOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(options.busy_timeout)
        .statement_cache_capacity(STATEMENT_CACHE)
        .pragma("temp_store", "memory")
}

fn sqlite_pool(options: &DbOptions) -> SqlitePoolOptions {
    // Nothing about the connection to a file wears out.
    SqlitePoolOptions::new()
        .max_lifetime(None)
        .idle_timeout(None)
        .test_before_acquire(false)
        .acquire_timeout(options.busy_timeout)
}

/// Makes the file, and the folders above it, for the owner alone. What exists stays as it is.
fn create_privately(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
    }
    match private(OpenOptions::new().write(true).create_new(true)).open(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        opened => opened.map(|_| ()),
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

async fn open_postgres(url: &str, options: &DbOptions) -> Result<Backend> {
    // The driver's words on an address may quote the part with the password.
    let listen: PgConnectOptions = url.parse().map_err(|_| {
        StoreError::Address("it is not postgres://user:password@host:port/database".to_owned())
    })?;
    let listen = match listen.get_application_name() {
        None => listen.application_name("jackfield"),
        Some(_) => listen,
    };
    let statement_timeout = options.statement_timeout.as_millis().to_string();
    let connect = listen.clone().statement_cache_capacity(STATEMENT_CACHE).options([
        ("statement_timeout", statement_timeout.as_str()),
        // A node that is cut off does not keep its locks.
        ("idle_in_transaction_session_timeout", "30s"),
    ]);
    // Once outside of the pool, which keeps the reason of a failure to itself.
    match timeout(options.connect_timeout, PgConnection::connect_with(&connect)).await {
        Ok(Ok(connection)) => drop(connection.close().await),
        Ok(Err(error)) => return Err(error::classify(Kind::Postgres, "OPEN", error)),
        Err(_) => {
            let why = format!("no answer within {:?}", options.connect_timeout);
            return Err(StoreError::Unavailable { statement: "OPEN", why });
        }
    }
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .connect_lazy_with(connect);
    Ok(Backend::Postgres { pool, listen: Box::new(listen) })
}
