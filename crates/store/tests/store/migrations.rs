//! From nothing to the newest version, by several nodes at once, and what is refused.

use crate::db::{Db, StoreError, statements};
use crate::migrate::{Migration, migrate};
use crate::support::{NOW, TABLES, on_both, open, postgres, soon, sqlite};

statements! {
    SELECT_APPLIED = "select version, name, applied_at from schema_migrations order by version";
    COUNT_EXTRAS = "select count(*) as many from extras";
}

const EXTRAS: Migration = Migration {
    version: 2,
    name: "extras",
    sql: "create table extras (id text not null primary key); -- with a remark; and a semicolon in it
insert into extras (id) values ('a;b');
",
};

fn refused(error: &StoreError, version: i64, part: &str) {
    assert!(matches!(error, StoreError::Migration { version: v, .. } if *v == version), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_applied_once_and_in_order() {
    on_both(async |db| {
        assert_eq!(migrate(&db, TABLES, NOW).await.unwrap(), 0);
        let newer = [TABLES[0], EXTRAS];
        assert_eq!(migrate(&db, &newer, NOW).await.unwrap(), 1);
        assert_eq!(migrate(&db, &newer, NOW).await.unwrap(), 0);
        let rows = db.query(&SELECT_APPLIED, &[]).await.unwrap();
        let applied: Vec<_> =
            rows.iter().map(|r| (r.int("version").unwrap(), r.text("name").unwrap())).collect();
        assert_eq!(applied, [(1, "things".to_owned()), (2, "extras".to_owned())]);
        assert_eq!(rows[0].time("applied_at").unwrap(), NOW);
        assert_eq!(db.query_opt(&COUNT_EXTRAS, &[]).await.unwrap().unwrap().int("many").unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_all_succeed() {
    for empty in [sqlite(), postgres()] {
        let mut nodes = Vec::new();
        for _ in 0..6 {
            let url = empty.url.clone();
            nodes.push(tokio::spawn(async move {
                let db = open(&url).await;
                migrate(&db, &[TABLES[0], EXTRAS], NOW).await.unwrap()
            }));
        }
        let mut applied = 0;
        for node in nodes {
            applied += soon(node).await.unwrap();
        }
        assert_eq!(applied, 2, "each step by one of them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_is_refused() {
    on_both(async |db| {
        migrate(&db, &[TABLES[0], EXTRAS], NOW).await.unwrap();
        let error = migrate(&db, TABLES, NOW).await.unwrap_err();
        refused(&error, 2, "versions up to 1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_is_refused() {
    on_both(async |db| {
        let changed = Migration { sql: "create table other (id text);", ..TABLES[0] };
        refused(&migrate(&db, &[changed], NOW).await.unwrap_err(), 1, "another text");
        let later = Migration { version: 5, ..EXTRAS };
        migrate(&db, &[TABLES[0], later], NOW).await.unwrap();
        refused(&migrate(&db, &[TABLES[0], EXTRAS, later], NOW).await.unwrap_err(), 5, "not 2 before it");
        let unknown = Migration { version: 6, ..EXTRAS };
        refused(&migrate(&db, &[TABLES[0], unknown], NOW).await.unwrap_err(), 5, "does not know it");
        refused(&migrate(&db, &[TABLES[0], TABLES[0]], NOW).await.unwrap_err(), 1, "stands after 1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_leaves_nothing_behind() {
    on_both(async |db: Db| {
        let failing =
            Migration { sql: "create table extras (id text);\ncreate table things (id text);\n", ..EXTRAS };
        refused(&migrate(&db, &[TABLES[0], failing], NOW).await.unwrap_err(), 2, "things");
        // Its first half was taken back: the mended step makes the same table.
        assert_eq!(soon(migrate(&db, &[TABLES[0], EXTRAS], NOW)).await.unwrap(), 1);
    })
    .await;
}
