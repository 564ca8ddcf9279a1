//! Values, rows, transactions, writers beside each other.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use jackfield_core::Timestamp;

use crate::db::{Change, Db, DbOptions, Kind, StoreError, Value, statements};
use crate::migrate::migrate;
use crate::support::{NOW, TABLES, next, on_both, open, postgres, soon, sqlite};

statements! {
    INSERT = "insert into things (id, note, number, data) values ($1, $2, $3, $4)";
    SELECT = "select id, note, number, data from things where id = $1";
    SELECT_ALL = "select id from things order by id";
    ADD = "update things set number = number + $2 where id = $1";
    CLAIM = "update things set note = $1 where id in
        (select id from things where note is null order by id limit 1 for update skip locked) returning id";
    EXPRESSIONS = "select count(*) as many, exists (select 1 from things) as any_thing, 1 as one,
        cast(sum(number) as bigint) as total, 1.5 as broken from things";
    INSERT_PART = "insert into parts (thing, part) values ($1, $2)";
    INSERT_NAME = "insert into names (name, note, number, inline) values ($1, $2, $3, $4)";
    BY_NOTE = "select id from things where note = $1 or $1 is null";
}

async fn insert(db: &Db, id: &str, note: Option<&str>) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    tx.execute(&INSERT, &[id.into(), note.into(), Value::OptInt(None), Value::OptBytes(None)]).await?;
    tx.commit().await
}

/// Id, note, number, data.
type Case<'a> = (&'a str, Option<&'a str>, Option<i64>, Option<&'a [u8]>);

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_as_they_went() {
    on_both(async |db| {
        let large = vec![0xa5; 1 << 20];
        let text = "x".repeat(1 << 20);
        let cases: [Case<'_>; 6] = [
            ("nulls", None, None, None),
            ("empty", Some(""), Some(0), Some(b"")),
            ("unicode", Some("Žluťoučký 🐎 \u{7f}\u{1}\u{fffd}'\"\\"), Some(-1), Some(b"\0\x01\xff")),
            ("least", Some("007"), Some(i64::MIN), Some(b"123")),
            ("most", Some("1e3"), Some(i64::MAX), Some(b"1.5")),
            ("large", Some(&text), Some(1), Some(&large)),
        ];
        let mut tx = db.begin().await.unwrap();
        for (id, note, number, data) in cases {
            let values = [id.into(), note.into(), number.into(), data.into()];
            assert_eq!(tx.execute(&INSERT, &values).await.unwrap(), 1);
        }
        tx.commit().await.unwrap();
        for (id, note, number, data) in cases {
            let row = db.query_opt(&SELECT, &[id.into()]).await.unwrap().unwrap();
            assert_eq!(row.text("id").unwrap(), id);
            assert_eq!(row.opt_text("note").unwrap().as_deref(), note, "{id}");
            assert_eq!(row.opt_int("number").unwrap(), number, "{id}");
            assert_eq!(row.opt_time("number").unwrap(), number.map(Timestamp::from_micros), "{id}");
            assert_eq!(row.opt_bytes("data").unwrap().as_deref(), data, "{id}");
        }
        assert!(db.query_opt(&SELECT, &["nobody".into()]).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_not_ours_is_an_error() {
    on_both(async |db| {
        insert(&db, "a", Some("{\"n\": [1, 2]}")).await.unwrap();
        insert(&db, "b", Some("{oops")).await.unwrap();
        let row = db.query_opt(&SELECT, &["a".into()]).await.unwrap().unwrap();
        assert_eq!(row.json::<serde_json::Value>("note").unwrap()["n"][1], 2);
        for error in [
            row.text("nowhere").unwrap_err(),
            row.int("note").unwrap_err(),
            row.bytes("note").unwrap_err(),
            row.int("number").unwrap_err(),
            row.text("data").unwrap_err(),
            row.flag("id").unwrap_err(),
            row.json::<Vec<String>>("note").unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Corrupt { statement: "SELECT", .. }), "{error}");
        }
        let row = db.query_opt(&SELECT, &["b".into()]).await.unwrap().unwrap();
        let error = row.json::<serde_json::Value>("note").unwrap_err().to_string();
        assert!(error.contains("note") && !error.contains("oops"), "{error}");
        // Two rows where one was asked for.
        let error = db.query_opt(&SELECT_ALL, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_have_the_same_types() {
    on_both(async |db| {
        let values = ["a".into(), Value::OptText(None), 41.into(), Value::OptBytes(None)];
        let mut tx = db.begin().await.unwrap();
        tx.execute(&INSERT, &values).await.unwrap();
        assert_eq!(tx.execute(&ADD, &["a".into(), 1.into()]).await.unwrap(), 1);
        assert_eq!(tx.execute(&ADD, &["b".into(), 1.into()]).await.unwrap(), 0);
        tx.commit().await.unwrap();
        let row = db.query_opt(&EXPRESSIONS, &[]).await.unwrap().unwrap();
        assert_eq!(row.int("many").unwrap(), 1);
        assert!(row.flag("any_thing").unwrap());
        assert_eq!(row.int("one").unwrap(), 1);
        assert_eq!(row.int("total").unwrap(), 42);
        assert!(row.int("broken").is_err());
        assert_eq!(db.query(&BY_NOTE, &[Value::OptText(None)]).await.unwrap().len(), 1);
        assert_eq!(db.query(&BY_NOTE, &["x".into()]).await.unwrap().len(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_read_by_the_database() {
    on_both(async |db| {
        db.check(ALL).await.unwrap();
        db.check(crate::migrate::ALL).await.unwrap();
        let wrong = crate::db::Statement { name: "WRONG", sql: "select nothing from nowhere" };
        let error = db.check(&[&wrong]).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { statement: "WRONG", .. }), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_violation_names_the_index() {
    on_both(async |db| {
        insert(&db, "a", None).await.unwrap();
        let error = insert(&db, "a", None).await.unwrap_err();
        assert!(error.is_unique("things_pkey") && !error.is_unique("things"), "{error:?}");

        let name = async |name: &str, note: Option<&str>, number: Option<i64>, inline: Option<&str>| {
            let mut tx = db.begin().await?;
            tx.execute(&INSERT_NAME, &[name.into(), note.into(), number.into(), inline.into()]).await?;
            tx.commit().await
        };
        name("a", None, Some(1), Some("i")).await.unwrap();
        name("b", Some("note"), None, None).await.unwrap();
        for (error, index) in [
            (name("A", None, None, None).await, "names_lower"),
            (name("c", Some("note"), None, None).await, "names_note"),
            (name("c", None, None, Some("i")).await, "names_inline_key"),
        ] {
            let error = error.unwrap_err();
            assert!(error.is_unique(index), "{index}: {error:?}");
            assert!(
                matches!(&error, StoreError::UniqueViolation { table, .. } if table == "names"),
                "{error:?}"
            );
        }

        let part = async || {
            let mut tx = db.begin().await?;
            tx.execute(&INSERT_PART, &["a".into(), "p".into()]).await?;
            tx.commit().await
        };
        part().await.unwrap();
        let error = part().await.unwrap_err();
        assert!(error.is_unique("parts_pkey"), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_and_odd_text_are_refused() {
    on_both(async |db| {
        let mut tx = db.begin().await.unwrap();
        let error = tx.execute(&INSERT_PART, &["nobody".into(), "p".into()]).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { statement: "INSERT_PART", .. }), "{error}");
        drop(tx);
        let error = insert(&db, "a", Some("a\0b")).await.unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_never_was() {
    on_both(async |db| {
        let mut tx = db.begin().await.unwrap();
        let values = ["a".into(), Value::OptText(None), Value::OptInt(None), Value::OptBytes(None)];
        tx.execute(&INSERT, &values).await.unwrap();
        assert_eq!(tx.query(&SELECT_ALL, &[]).await.unwrap().len(), 1);
        assert!(db.query(&SELECT_ALL, &[]).await.unwrap().is_empty(), "not visible to others");
        drop(tx);
        // On SQLite this waits until the first is rolled back.
        insert(&db, "b", None).await.unwrap();
        let rows = db.query(&SELECT_ALL, &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.text("id").unwrap()).collect::<Vec<_>>(), ["b"]);

        // After a failed statement there is no way on, and above all no commit.
        let mut tx = db.begin().await.unwrap();
        tx.execute(&INSERT, &values).await.unwrap();
        assert!(tx.execute(&INSERT, &values).await.unwrap_err().is_unique("things_pkey"));
        let error = tx.query(&SELECT_ALL, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::Aborted { .. }), "{error}");
        let error = tx.commit().await.unwrap_err();
        assert!(matches!(error, StoreError::Aborted { .. }), "{error}");
        insert(&db, "c", None).await.unwrap();
        assert_eq!(db.query(&SELECT_ALL, &[]).await.unwrap().len(), 2);
    })
    .await;
}

/// Polls once and gives up; whether there was something to give up.
fn give_up<F: Future>(work: F) -> bool {
    pin!(work).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_may_be_given_up_half_way() {
    on_both(async |db| {
        let values = ["a".into(), Value::OptText(None), Value::OptInt(None), Value::OptBytes(None)];
        let mut given_up = 0;
        let mut round = 0;
        // A statement may be over before it can be given up: on a busy machine many in a row are.
        while round < 20 || (given_up == 0 && round < 1_000) {
            round += 1;
            give_up(db.query(&SELECT_ALL, &[]));
            let mut tx = soon(db.begin()).await.unwrap();
            if give_up(tx.execute(&INSERT, &values)) {
                given_up += 1;
                assert!(matches!(tx.commit().await, Err(StoreError::Aborted { .. })));
            } else {
                drop(tx);
            }

            let mut tx = soon(db.begin()).await.unwrap();
            tx.execute(&INSERT, &values).await.unwrap();
            // Another that waits for its turn, or begins, and is given up.
            give_up(db.begin());
            drop(tx);
            // One that begins at once, and is given up.
            give_up(db.begin());
        }
        assert!(given_up > 0);
        soon(insert(&db, "b", None)).await.unwrap();
        assert_eq!(db.query(&SELECT_ALL, &[]).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_writers_lose_nothing() {
    on_both(async |db| {
        let mut tx = db.begin().await.unwrap();
        tx.execute(&INSERT, &["a".into(), Value::OptText(None), 0.into(), Value::OptBytes(None)])
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let writers: Vec<_> = (0..20)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        let mut tx = db.begin().await.unwrap();
                        tx.execute(&ADD, &["a".into(), 1.into()]).await.unwrap();
                        tx.commit().await.unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            soon(writer).await.unwrap();
        }
        let row = db.query_opt(&SELECT, &["a".into()]).await.unwrap().unwrap();
        assert_eq!(row.int("number").unwrap(), 200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_claims_another() {
    on_both(async |db| {
        for id in ["a", "b"] {
            insert(&db, id, None).await.unwrap();
        }
        let mut first = db.begin().await.unwrap();
        let claimed = first.query_opt(&CLAIM, &["first".into()]).await.unwrap().unwrap();
        assert_eq!(claimed.text("id").unwrap(), "a");
        if db.kind() == Kind::Postgres {
            let mut second = db.begin().await.unwrap();
            let claimed = second.query_opt(&CLAIM, &["second".into()]).await.unwrap().unwrap();
            assert_eq!(claimed.text("id").unwrap(), "b");
        }
        first.commit().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_counted() {
    on_both(async |db| {
        let before = db.statements_run();
        insert(&db, "a", None).await.unwrap();
        assert_eq!(db.statements_run() - before, 3, "begin, insert, commit");
        db.clone().ping().await.unwrap();
        assert_eq!(db.statements_run() - before, 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_one_file() {
    let file = sqlite();
    let (one, two) = (open(&file.url).await, open(&file.url).await);
    migrate(&one, TABLES, NOW).await.unwrap();
    let writers = [one.clone(), two.clone()].map(|db| {
        tokio::spawn(async move {
            for n in 0..50 {
                let id = format!("{:p}-{n}", &raw const db);
                insert(&db, &id, None).await.unwrap();
            }
        })
    });
    for writer in writers {
        soon(writer).await.unwrap();
    }
    assert_eq!(one.query(&SELECT_ALL, &[]).await.unwrap().len(), 100);
    assert_eq!(two.query(&SELECT_ALL, &[]).await.unwrap().len(), 100);

    // One that does not wait is told that the other is at it.
    let options = DbOptions { busy_timeout: Duration::from_millis(50), ..DbOptions::default() };
    let hasty = Db::open(&file.url, &options).await.unwrap();
    let tx = one.begin().await.unwrap();
    let error = hasty.begin().await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    assert_eq!(jackfield_core::Error::from(error).code, jackfield_core::Code::Unavailable);
    drop(tx);
    drop(soon(one.begin()).await.unwrap());
    // Also among the writers of one process.
    let tx = soon(hasty.begin()).await.unwrap();
    let error = hasty.begin().await.unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error}");
    drop(tx);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_serves_a_file() {
    let file = sqlite();
    let (one, two) = (open(&file.url).await, open(&file.url).await);
    let lock = one.lock_for_serving().unwrap();
    let error = two.lock_for_serving().unwrap_err();
    assert!(matches!(error, StoreError::AlreadyServed { .. }), "{error}");
    drop(lock);
    two.lock_for_serving().unwrap();

    let database = postgres();
    let db = open(&database.url).await;
    let _one = db.lock_for_serving().unwrap();
    let _two = db.lock_for_serving().unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/jack field%20#.db");
    let db = open(&format!("sqlite://{}", path.display())).await;
    migrate(&db, TABLES, NOW).await.unwrap();
    let _lock = db.lock_for_serving().unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    assert_eq!(mode(&folder.path().join("a/b")), 0o700);
    let files: Vec<_> =
        std::fs::read_dir(folder.path().join("a/b")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    db.close().await;
    assert!(!path.with_extension("db-wal").exists(), "closing folds the log into the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_addresses_are_refused() {
    for url in
        ["", "mysql://x", "sqlite:", "sqlite::memory:", "sqlite:file:x", "postgres://u:secret@h:port/d"]
    {
        let error = Db::open(url, &DbOptions::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Address(_)), "{url}: {error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let error = Db::open("postgres://x:secret@127.0.0.1:1/x", &DbOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_reach_the_other_nodes() {
    let database = postgres();
    let (one, two) = (open(&database.url).await, open(&database.url).await);
    let (mut ones, mut twos) = (one.changes(), two.changes());
    assert_eq!(next(&mut ones).await, Change::Restored);
    assert_eq!(next(&mut twos).await, Change::Restored);

    let mut tx = one.begin().await.unwrap();
    tx.notify("never").await.unwrap();
    drop(tx);
    for payload in ["first one", "", "ž 🐎"] {
        let mut tx = one.begin().await.unwrap();
        tx.notify(payload).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(next(&mut twos).await, Change::Payload(payload.to_owned()));
    }
    // A node does not hear itself: what it hears next is the other's.
    let mut tx = two.begin().await.unwrap();
    tx.notify("back").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(next(&mut ones).await, Change::Payload("back".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_there_is_no_other_node() {
    let file = sqlite();
    let db = open(&file.url).await;
    let mut changes = db.changes();
    let mut tx = db.begin().await.unwrap();
    tx.notify("to nobody").await.unwrap();
    tx.commit().await.unwrap();
    assert!(give_up(changes.next()));
}
