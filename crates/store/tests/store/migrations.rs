//! From nothing to the newest version, by several nodes at once, and what is refused.

use crate::db::{Db, StoreError, statements};
use crate::migrate::{Migration, migrate};
use crate::schema::MIGRATIONS;
use crate::support::{NOW, TABLES, on_both, open, postgres, soon, sqlite};

statements! {
    SELECT_APPLIED = "select version, name, applied_at from schema_migrations order by version";
    COUNT_EXTRAS = "select count(*) as many from extras";
    INSERT_OLD_CONNECTOR = "insert into connectors (organization_id, link_name, name, document, stage, created_by, created_at, updated_at,
        version) values ($1, $2, $2, $3, $4, 'ann', 1, 7, 1)";
    INSERT_OLD_CONNECTION = "insert into connections (organization_id, link_name, id, name, connector, level, scopes, parameters,
        same_authorization, enabled, applications, created_by, created_at, updated_at, version)
        values ($1, $2, $2, $2, $3, 'admin', '[]', '{}', 0, 1, '[]', 'ann', 1, 1, 1)";
    SELECT_KEPT = "select organization_id, link_name, number, document, created_by, created_at from connector_versions
        order by organization_id, link_name, number";
    SELECT_PUBLISHED = "select organization_id, link_name, published from connectors order by organization_id, link_name";
    SELECT_ON = "select organization_id, link_name, connector_version from connections order by organization_id, link_name";
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

/// What was there when versions came: what was published becomes version 1, and its connections are on it. A draft has none yet, and
/// connections of built-in connectors follow these.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_there_before_versions_are_on_the_first() {
    let before: Vec<Migration> = MIGRATIONS.iter().copied().filter(|step| step.version < 31).collect();
    assert_eq!(before.last().unwrap().version, 30);
    for empty in [sqlite(), postgres()] {
        let db = open(&empty.url).await;
        eprintln!("on {:?}", db.kind());
        migrate(&db, &before, NOW).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        for (organization, link, document, stage) in [
            ("o1", "crm", "{\"a\":1}", "published"),
            ("o1", "old", "{\"a\":2}", "disabled"),
            ("o1", "new", "{\"a\":3}", "draft"),
            // Another organization's own one by the name of a built-in connector of the first.
            ("o2", "github", "{\"a\":4}", "published"),
        ] {
            let row = [organization.into(), link.into(), document.into(), stage.into()];
            tx.execute(&INSERT_OLD_CONNECTOR, &row).await.unwrap();
        }
        for (organization, link, connector) in [
            ("o1", "sales", "crm"),
            ("o1", "support", "crm"),
            ("o1", "archive", "old"),
            ("o1", "code", "github"),
            ("o2", "code", "github"),
            ("o2", "sales", "crm"),
        ] {
            let row = [organization.into(), link.into(), connector.into()];
            tx.execute(&INSERT_OLD_CONNECTION, &row).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(migrate(&db, MIGRATIONS, NOW).await.unwrap(), MIGRATIONS.len() - before.len());

        let text = |row: &crate::db::Row, column: &str| row.text(column).unwrap();
        let rows = db.query(&SELECT_KEPT, &[]).await.unwrap();
        let kept: Vec<String> = rows
            .iter()
            .map(|row| {
                let (number, at) = (row.int("number").unwrap(), row.int("created_at").unwrap());
                let names = ["organization_id", "link_name", "document", "created_by"]
                    .map(|column| text(row, column));
                format!("{} {number} at {at}", names.join(" "))
            })
            .collect();
        assert_eq!(
            kept,
            ["o1 crm {\"a\":1} ann 1 at 7", "o1 old {\"a\":2} ann 1 at 7", "o2 github {\"a\":4} ann 1 at 7"]
        );
        let on = async |statement, column: &str| -> Vec<String> {
            let rows = db.query(statement, &[]).await.unwrap();
            let number =
                |row: &crate::db::Row| row.opt_int(column).unwrap().map_or("-".to_owned(), |n| n.to_string());
            rows.iter()
                .map(|row| {
                    format!("{} {} {}", text(row, "organization_id"), text(row, "link_name"), number(row))
                })
                .collect()
        };
        assert_eq!(
            on(&SELECT_PUBLISHED, "published").await,
            ["o1 crm 1", "o1 new -", "o1 old 1", "o2 github 1"]
        );
        assert_eq!(
            on(&SELECT_ON, "connector_version").await,
            ["o1 archive 1", "o1 code -", "o1 sales 1", "o1 support 1", "o2 code 1", "o2 sales -"]
        );
        soon(db.close()).await;
    }
}
