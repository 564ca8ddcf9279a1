//! What can go wrong between the store and its database.

use sqlx::error::DatabaseError;

use super::Kind;

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Texts carry the database's own message, never the values of a row: a database's *detail* may repeat the whole
/// row, so that it is left out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, did not answer in time, or takes no writes just now. Whether the statement took effect
    /// is not known when it was a commit.
    #[error("the database is not available for {statement}: {why}")]
    Unavailable { statement: &'static str, why: String },
    /// Somebody else held what this needed for too long, or the database broke a deadlock. Nothing was changed.
    #[error("the database is busy for {statement}: {why}")]
    Busy { statement: &'static str, why: String },
    /// `constraint` is the name of the unique index (`table_pkey` for a primary key) on both databases; names are
    /// separated by `, ` where several indexes have the same columns.
    #[error("{table} has such a row already: {constraint}")]
    UniqueViolation { table: String, constraint: String },
    /// A stored row is not what this program writes.
    #[error("{statement}: column {column}: {why}")]
    Corrupt { statement: &'static str, column: String, why: String },
    /// The store's version and the program's do not fit together, or a step between them failed.
    #[error("migration {version}: {why}")]
    Migration { version: i64, why: String },
    /// An earlier statement of the transaction failed or was given up, so that nothing more can be done in it.
    #[error("{statement}: an earlier statement of this transaction failed")]
    Aborted { statement: &'static str },
    #[error("the database's address is wrong: {0}")]
    Address(String),
    #[error("{path} is being served by another process")]
    AlreadyServed { path: String },
    /// Everything else: a mistake in a statement, a violated foreign key or check.
    #[error("{statement}: {why}")]
    Foreign { statement: &'static str, why: String },
}

impl StoreError {
    /// A stored value that is not one of ours; `place` is the table or the statement.
    pub(crate) fn corrupt(place: &'static str, column: &str, why: impl Into<String>) -> Self {
        Self::Corrupt { statement: place, column: column.to_owned(), why: why.into() }
    }

    /// Whether the unique index `constraint` refused the row.
    pub fn is_unique(&self, constraint: &str) -> bool {
        matches!(self, Self::UniqueViolation { constraint: names, .. } if names.split(", ").any(|name| name == constraint))
    }
}

impl From<StoreError> for jackfield_core::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } | StoreError::Busy { .. } => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

/// Sorts an error of the driver into ours. On SQLite the constraint of a unique violation is still the list of
/// columns, as SQLite tells nothing else.
pub(super) fn classify(kind: Kind, statement: &'static str, error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => match kind {
            Kind::Sqlite => classify_sqlite(statement, &*error),
            Kind::Postgres => classify_postgres(statement, &*error),
        },
        // The only pool to run out on SQLite is that of the one writer.
        sqlx::Error::PoolTimedOut if kind == Kind::Sqlite => {
            StoreError::Busy { statement, why: "other writers did not finish in time".to_owned() }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable { statement, why: error.to_string() },
        error => StoreError::Foreign { statement, why: error.to_string() },
    }
}

fn classify_sqlite(statement: &'static str, error: &dyn DatabaseError) -> StoreError {
    if error.is_unique_violation() {
        let columns = error.message().rsplit_once(": ").map_or(error.message(), |(_, columns)| columns);
        let table = columns.split_once('.').map_or("", |(table, _)| table);
        return StoreError::UniqueViolation { table: table.to_owned(), constraint: columns.to_owned() };
    }
    let why = error.to_string();
    let code: Option<i32> = error.code().and_then(|code| code.parse().ok());
    match code.map(|code| code & 0xff) {
        // SQLITE_BUSY, SQLITE_LOCKED
        Some(5 | 6) => StoreError::Busy { statement, why },
        // SQLITE_PERM, NOMEM, READONLY, IOERR, FULL, CANTOPEN
        Some(3 | 7 | 8 | 10 | 13 | 14) => StoreError::Unavailable { statement, why },
        _ => StoreError::Foreign { statement, why },
    }
}

fn classify_postgres(statement: &'static str, error: &dyn DatabaseError) -> StoreError {
    if error.is_unique_violation() {
        let table = error.table().unwrap_or_default().to_owned();
        return StoreError::UniqueViolation {
            table,
            constraint: error.constraint().unwrap_or_default().to_owned(),
        };
    }
    let code = error.code().unwrap_or_default();
    let why = format!("{} ({code})", error.message());
    match &*code {
        // serialization failure, deadlock, lock not available
        "40001" | "40P01" | "55P03" => StoreError::Busy { statement, why },
        // read-only, statement cancelled by its time-out, idle in transaction, no such database
        "25006" | "57014" | "25P03" | "3D000" => StoreError::Unavailable { statement, why },
        // connection, authorization, resources, operator intervention, system
        code if ["08", "28", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Unavailable { statement, why }
        }
        _ => StoreError::Foreign { statement, why },
    }
}

/// Whether the connection is of no more use: it broke, or it leads to a server that takes no writes (a new one may
/// lead to the new primary).
pub(super) fn is_spent(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.len() == 5
                && (code == "25006" || code == "25P03" || code.starts_with("08") || code.starts_with("57P"))
        }),
        _ => false,
    }
}
