//! The database is slow, mute, gone, or takes no writes: there is always an answer, and a way back.

use std::time::Duration;

use jackfield_testkit::postgres::Postgres;
use tokio::time::Instant;

use crate::db::{Change, Db, DbOptions, StoreError, Value, statements};
use crate::migrate::migrate;
use crate::proxy::Proxy;
use crate::support::{NOW, TABLES, next, open, postgres, soon};

statements! {
    INSERT = "insert into things (id) values ($1)";
    SLEEP = "select 1 as one from pg_sleep(60)";
    TERMINATE = "select count(pg_terminate_backend(pid)) as many from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    CONNECTIONS = "select count(*) as many from pg_stat_activity where application_name = $1";
    LOCK = "update things set number = 1 where id = $1";
}

fn impatient() -> DbOptions {
    DbOptions {
        max_connections: 3,
        connect_timeout: Duration::from_millis(500),
        acquire_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(300),
        ..DbOptions::default()
    }
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    let error = jackfield_core::Error::from(error);
    assert_eq!(error.code, jackfield_core::Code::Unavailable);
    assert_eq!(error.retry_after, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_ends() {
    let database = postgres();
    let db = Db::open(&database.url, &impatient()).await.unwrap();
    unavailable(soon(db.query(&SLEEP, &[])).await);
    db.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_database_is_unavailable_and_comes_back() {
    let database = postgres();
    let (proxy, url) = Proxy::before(&database.url).await;
    let db = Db::open(&url, &impatient()).await.unwrap();
    migrate(&db, TABLES, NOW).await.unwrap();
    let mut changes = db.changes();
    assert_eq!(next(&mut changes).await, Change::Restored);
    let mut tx = db.begin().await.unwrap();
    tx.execute(&INSERT, &["half".into()]).await.unwrap();

    proxy.freeze();
    let started = Instant::now();
    // In a transaction, outside of one, and more of them than the pool has connections.
    unavailable(soon(tx.execute(&INSERT, &["more".into()])).await);
    assert!(matches!(soon(tx.commit()).await, Err(StoreError::Aborted { .. })));
    for _ in 0..6 {
        unavailable(soon(db.ping()).await);
        unavailable(soon(db.begin()).await);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(next(&mut changes).await, Change::Lost);
    unavailable(soon(Db::open(&url, &impatient())).await);

    proxy.thaw();
    assert_eq!(next(&mut changes).await, Change::Restored);
    let mut tx = db.begin().await.unwrap();
    // The first was not left open with its lock on the row.
    tx.execute(&INSERT, &["half".into()]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_connections_are_replaced_and_the_loss_is_told() {
    let database = postgres();
    let name = format!("node-of-{}", std::process::id());
    let db = open(&format!("{}?application_name={name}", database.url)).await;
    let other = open(&database.url).await;
    migrate(&db, TABLES, NOW).await.unwrap();
    let mut changes = db.changes();
    assert_eq!(next(&mut changes).await, Change::Restored);
    let mut tx = db.begin().await.unwrap();
    tx.execute(&INSERT, &["half".into()]).await.unwrap();

    let many = other.query_opt(&TERMINATE, &[]).await.unwrap().unwrap().int("many").unwrap();
    assert!(many >= 2, "{many}");
    unavailable(soon(tx.commit()).await);
    assert_eq!(next(&mut changes).await, Change::Lost);
    assert_eq!(next(&mut changes).await, Change::Restored);

    let mut tx = other.begin().await.unwrap();
    tx.notify("again").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Payload("again".to_owned()));
    soon(db.ping()).await.unwrap();

    // What is dropped and closed leaves no connection behind.
    drop(changes);
    soon(db.close()).await;
    soon(async {
        while other.query_opt(&CONNECTIONS, &[(&name).into()]).await.unwrap().unwrap().int("many").unwrap()
            > 0
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_is_unavailable() {
    let database = postgres();
    let db = open(&database.url).await;
    migrate(&db, TABLES, NOW).await.unwrap();
    let name = database.url.rsplit('/').next().unwrap();
    let server = Postgres::shared().unwrap();
    server.sql("postgres", &format!("alter database {name} set default_transaction_read_only = on")).unwrap();

    let db = open(&database.url).await;
    let mut tx = db.begin().await.unwrap();
    unavailable(tx.execute(&INSERT, &["a".into()]).await);
    drop(tx);
    db.ping().await.unwrap();
    // And a store that needs no migration starts on it.
    assert_eq!(migrate(&db, TABLES, NOW).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_busy() {
    let database = postgres();
    let db = open(&database.url).await;
    migrate(&db, TABLES, NOW).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    for id in ["a", "b"] {
        tx.execute(&INSERT, &[id.into()]).await.unwrap();
    }
    tx.commit().await.unwrap();

    let (mut one, mut two) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    one.execute(&LOCK, &["a".into()]).await.unwrap();
    two.execute(&LOCK, &["b".into()]).await.unwrap();
    let crossed: [Value<'_>; 2] = ["b".into(), "a".into()];
    let (first, second) =
        soon(async { tokio::join!(one.execute(&LOCK, &crossed[..1]), two.execute(&LOCK, &crossed[1..])) })
            .await;
    // One of them is broken; then the other goes on.
    let error = first.and(second).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_unavailable() {
    let server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let db = Db::open(&url, &impatient()).await.unwrap();
    db.ping().await.unwrap();
    drop(server);
    unavailable(soon(db.ping()).await);
    unavailable(soon(db.begin()).await);
    unavailable(soon(Db::open(&url, &impatient())).await);
    soon(db.close()).await;
}
