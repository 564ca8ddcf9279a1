//! Brings a database from the version it has to the version this program knows.
//!
//! Each migration and the row that says it was applied stand in one transaction, under a lock that all nodes share:
//! any number of nodes may start at once.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use jackfield_core::Timestamp;

use crate::db::{Db, Kind, Result, Row, Statement, StoreError, Tx, statements};

/// One step. It is never changed after it was released: a changed text is refused.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// From 1 upwards.
    pub version: i64,
    pub name: &'static str,
    /// Several statements, each ended by `;`, the same for both databases.
    pub sql: &'static str,
}

statements! {
    pub(crate) SELECT_MIGRATIONS = "select version, name, checksum from schema_migrations order by version";
    pub(crate) INSERT_MIGRATION =
        "insert into schema_migrations (version, name, checksum, applied_at) values ($1, $2, $3, $4)";
}

/// What differs, or stands before the table does; not among the statements that are prepared on both.
const CREATE_TABLE: &str = "create table if not exists schema_migrations (
    version bigint not null primary key, name text not null, checksum text not null, applied_at bigint not null)";
const TABLE_EXISTS_SQLITE: Statement = Statement {
    name: "TABLE_EXISTS",
    sql: "select 1 as found from sqlite_schema where type = 'table' and name = 'schema_migrations'",
};
const TABLE_EXISTS_POSTGRES: Statement = Statement {
    name: "TABLE_EXISTS",
    sql: "select 1 as found where to_regclass('schema_migrations') is not null",
};

/// Applies what is missing; how many there were.
pub async fn migrate(db: &Db, migrations: &[Migration], now: Timestamp) -> Result<usize> {
    in_order(migrations)?;
    // Without the lock first: most starts find nothing to do.
    if is_current(db, migrations).await? {
        return Ok(0);
    }
    let mut count = 0;
    loop {
        let mut tx = db.begin_migration().await?;
        tx.script("CREATE_SCHEMA_MIGRATIONS", CREATE_TABLE).await?;
        // Before anybody reads it: a statement that was prepared before its columns change is refused.
        tx.sort_by_bytes().await?;
        let Some(migration) = next(&tx.query(&SELECT_MIGRATIONS, &[]).await?, migrations)? else {
            tx.commit().await?;
            return Ok(count);
        };
        apply(tx, migration, now).await?;
        tracing::info!(version = migration.version, name = migration.name, "migrated the database");
        count += 1;
    }
}

async fn apply(mut tx: Tx, migration: &Migration, now: Timestamp) -> Result<()> {
    let run = async {
        tx.script(migration.name, migration.sql).await?;
        tx.sort_by_bytes().await
    };
    run.await.map_err(|error| match error {
        StoreError::Unavailable { .. } | StoreError::Busy { .. } => error,
        error => refuse(migration.version, format!("it failed and was taken back: {error}")),
    })?;
    let checksum = checksum(migration.sql);
    let row = [migration.version.into(), migration.name.into(), (&checksum).into(), now.into()];
    tx.execute(&INSERT_MIGRATION, &row).await?;
    tx.commit().await
}

/// Whether nothing is missing.
pub async fn is_current(db: &Db, migrations: &[Migration]) -> Result<bool> {
    Ok(is_marked(db).await? && next(&db.query(&SELECT_MIGRATIONS, &[]).await?, migrations)?.is_none())
}

/// Whether the database has a table of migrations.
pub async fn is_marked(db: &Db) -> Result<bool> {
    let exists = match db.kind() {
        Kind::Sqlite => TABLE_EXISTS_SQLITE,
        Kind::Postgres => TABLE_EXISTS_POSTGRES,
    };
    Ok(db.query_opt(&exists, &[]).await?.is_some())
}

/// The first migration that is missing, once it is clear that those before it are the ones we know.
fn next<'a>(rows: &[Row], migrations: &'a [Migration]) -> Result<Option<&'a Migration>> {
    let mut applied = BTreeMap::new();
    for row in rows {
        applied.insert(row.int("version")?, (row.text("name")?, row.text("checksum")?));
    }
    let newest_known = migrations.last().map_or(0, |m| m.version);
    if let Some((&version, (name, _))) =
        applied.last_key_value().filter(|(version, _)| **version > newest_known)
    {
        let why = format!(
            "the store has it ({name}), and this program knows versions up to {newest_known} only; \
             run the program that wrote the store, or a newer one"
        );
        return Err(refuse(version, why));
    }
    if let Some((&version, (name, _))) =
        applied.iter().find(|(version, _)| !migrations.iter().any(|m| m.version == **version))
    {
        return Err(refuse(version, format!("the store has it ({name}), and this program does not know it")));
    }
    let mut missing = None;
    for migration in migrations {
        match (applied.get(&migration.version), missing) {
            (Some((_, sum)), None) if *sum == checksum(migration.sql) => {}
            (Some(_), None) => {
                let why = format!(
                    "{} was applied with another text than this program has; the two are not of one line",
                    migration.name
                );
                return Err(refuse(migration.version, why));
            }
            (Some(_), Some(earlier)) => {
                let earlier: &Migration = earlier;
                let why = format!("the store has it, but not {} before it", earlier.version);
                return Err(refuse(migration.version, why));
            }
            (None, None) => missing = Some(migration),
            (None, Some(_)) => {}
        }
    }
    Ok(missing)
}

fn in_order(migrations: &[Migration]) -> Result<()> {
    let mut last = 0;
    for migration in migrations {
        if migration.version <= last {
            return Err(refuse(migration.version, format!("it stands after {last} in the program's list")));
        }
        last = migration.version;
    }
    Ok(())
}

fn refuse(version: i64, why: String) -> StoreError {
    StoreError::Migration { version, why }
}

/// SHA-256 of the text, in hexadecimal digits.
fn checksum(sql: &str) -> String {
    use std::fmt::Write;

    digest(&SHA256, sql.as_bytes()).as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
