//! Databases for the tests.

use std::future::Future;
use std::time::Duration;

use jackfield_core::Timestamp;
use jackfield_testkit::postgres::Postgres;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::db::{Change, Changes, Db, DbOptions};
use crate::migrate::{Migration, migrate};

pub const NOW: Timestamp = Timestamp::from_micros(1_795_305_600_000_000);

/// A table with each type of column, and each kind of unique index.
pub const TABLES: &[Migration] = &[Migration {
    version: 1,
    name: "things",
    sql: "create table things (id text not null primary key, note text, number bigint, data bytea);
create table names (name text not null, note text, number bigint, inline text unique);
create unique index names_note on names (note);
create unique index names_number_note on names (number, note);
create unique index names_lower on names (lower(name));
create table parts (thing text not null references things (id), part text not null, primary key (thing, part));
",
}];

/// An empty database of each kind; its folder lives as long as the test.
pub struct Empty {
    pub url: String,
    _folder: Option<TempDir>,
}

pub fn sqlite() -> Empty {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("jackfield.db").display());
    Empty { url, _folder: Some(folder) }
}

pub fn postgres() -> Empty {
    Empty { url: Postgres::shared().unwrap().database().unwrap(), _folder: None }
}

/// A PostgreSQL whose text does not sort by its bytes unless it is told to.
pub fn dictionary() -> Empty {
    let empty = postgres();
    let name = empty.url.rsplit('/').next().unwrap();
    let server = Postgres::shared().unwrap();
    server.sql("postgres", &format!("drop database {name}")).unwrap();
    let create = format!("create database {name} template template0 locale_provider icu icu_locale 'en-US'");
    server.sql("postgres", &create).unwrap();
    empty
}

pub async fn open(url: &str) -> Db {
    Db::open(url, &DbOptions::default()).await.unwrap()
}

/// Runs a test on both databases, each with the tables.
pub async fn on_both<F: Future<Output = ()>>(test: impl Fn(Db) -> F) {
    for empty in [sqlite(), postgres()] {
        let db = open(&empty.url).await;
        assert_eq!(migrate(&db, TABLES, NOW).await.unwrap(), 1);
        eprintln!("on {:?}", db.kind());
        test(db.clone()).await;
        soon(db.close()).await;
    }
}

/// Nothing in these tests takes longer: what does hangs.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("it hangs")
}

pub async fn next(changes: &mut Changes) -> Change {
    soon(changes.next()).await
}
