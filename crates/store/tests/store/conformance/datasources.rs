//! Datasources: what is known of each, fenced by its revision, and rows that are found, sorted and forgotten.

use jackfield_store::{Pulled, RowQuery, Store, Table, TableRow};

use super::{NOW, ORG, OTHER, at, change, on_both};

const fn table<'a>(organization: &'a str, environment: &'a str, component: &'a str) -> Table<'a> {
    Table { organization, application: "portal", environment, component }
}

const HERE: Table<'static> = table(ORG, "production", "datasource:a");

fn fresh() -> Pulled {
    Pulled {
        environment: "production".to_owned(),
        component: "datasource:a".to_owned(),
        revision: 0,
        pull: 0,
        run: None,
        progress: "{}".to_owned(),
        row_count: 0,
        cursor: None,
        known: "[]".to_owned(),
        changes: "[]".to_owned(),
        pulled_at: None,
        full_at: None,
    }
}

fn row(item: &str, position: i64) -> TableRow {
    TableRow { item: item.to_owned(), position, updated_at: NOW, data: format!("{{\"id\":\"{item}\"}}") }
}

async fn put(store: &Store, table: Table<'_>, rows: &[(TableRow, i64, &str, &str)]) {
    change(store, async |tx| {
        for (row, pull, cells, words) in rows {
            tx.put_table_row(table, row, *pull, cells, words).await?;
        }
        Ok(())
    })
    .await;
}

async fn found(store: &Store, query: RowQuery<'_>) -> Vec<String> {
    let query = RowQuery { limit: if query.limit == 0 { 99 } else { query.limit }, ..query };
    store.table_rows(HERE, query).await.unwrap().into_iter().map(|row| row.item).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_kept_by_one() {
    on_both(async |store| {
        assert_eq!(store.table(HERE).await.unwrap(), None);
        for place in
            [HERE, HERE, table(OTHER, "production", "datasource:a"), table(ORG, "stage", "datasource:b")]
        {
            change(&store, async |tx| tx.new_table(place).await).await;
        }
        assert_eq!(store.table(HERE).await.unwrap(), Some(fresh()));
        let kept = Pulled {
            pull: 3,
            run: Some("run_1".to_owned()),
            progress: r#"{"seen":1}"#.to_owned(),
            row_count: 7,
            cursor: Some("5".to_owned()),
            known: "[{}]".to_owned(),
            changes: "[1]".to_owned(),
            pulled_at: Some(at(1)),
            full_at: Some(at(2)),
            ..fresh()
        };
        assert!(change(&store, async |tx| tx.keep_pulled(HERE, &kept).await).await);
        assert_eq!(store.table(HERE).await.unwrap(), Some(Pulled { revision: 1, ..kept.clone() }));
        assert!(!change(&store, async |tx| tx.keep_pulled(HERE, &kept).await).await, "somebody else did");
        let all = store.tables(ORG, "portal", "").await.unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(
            all[1],
            Pulled { environment: "stage".to_owned(), component: "datasource:b".to_owned(), ..fresh() }
        );
        assert_eq!(store.tables(ORG, "portal", "datasource:a").await.unwrap().len(), 1);
        assert_eq!(store.tables(OTHER, "portal", "").await.unwrap(), [fresh()]);
        assert_eq!(store.tables(ORG, "b", "").await.unwrap(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_and_sorted() {
    on_both(async |store| {
        put(
            &store,
            HERE,
            &[
                (row("a", 2), 1, r#"{":n":"10",":name":"acme",":x y.z":"1"}"#, "acme ltd 50% "),
                (row("b", 1), 1, r#"{":n":"02",":name":"bolt"}"#, "bolt a_b "),
                (row("c", 3), 1, r#"{":n":"10"}"#, "c "),
                (row("d", 0), 1, "{}", "d acme "),
            ],
        )
        .await;
        put(
            &store,
            table(OTHER, "production", "datasource:a"),
            &[(row("o", 0), 1, r#"{":n":"10"}"#, "acme")],
        )
        .await;
        put(&store, table(ORG, "stage", "datasource:a"), &[(row("s", 0), 1, r#"{":n":"10"}"#, "acme")]).await;
        let all = RowQuery::default();
        let by = |comparison: &'static str, value: &'static str| RowQuery {
            column: ":n",
            comparison,
            value,
            ..all
        };
        for (query, wanted) in [
            (all, &["d", "b", "a", "c"][..]),
            (RowQuery { limit: 2, ..all }, &["d", "b"]),
            (RowQuery { limit: 2, offset: 2, ..all }, &["a", "c"]),
            (RowQuery { sort: ":n", ..all }, &["d", "b", "a", "c"]),
            (RowQuery { sort: ":n", descending: true, ..all }, &["a", "c", "b", "d"]),
            (RowQuery { sort: ":name", descending: true, limit: 1, ..all }, &["b"]),
            (RowQuery { sort: ":none", ..all }, &["d", "b", "a", "c"]),
            (RowQuery { words: "acme", ..all }, &["d", "a"]),
            (RowQuery { words: "50%", ..all }, &["a"]),
            (RowQuery { words: "a_b", ..all }, &["b"]),
            (RowQuery { words: "axb", ..all }, &[]),
            (by("=", "10"), &["a", "c"]),
            (by("<", "10"), &["b"]),
            (by(">", "02"), &["a", "c"]),
            (RowQuery { column: ":name", comparison: "~", value: "ol", ..all }, &["b"]),
            (RowQuery { column: ":name", comparison: "~", value: "%", ..all }, &[]),
            (RowQuery { column: ":x y.z", comparison: "=", value: "1", ..all }, &["a"]),
            (
                RowQuery { words: "acme", column: ":n", comparison: "=", value: "10", sort: ":n", ..all },
                &["a"],
            ),
        ] {
            assert_eq!(found(&store, query).await, wanted, "{query:?}");
            if query.limit == 0 {
                let many = store.count_table_rows(HERE, query).await.unwrap();
                assert_eq!(usize::try_from(many).unwrap(), wanted.len(), "{query:?}");
            }
        }
        let ids = |rows: Vec<TableRow>| rows.into_iter().map(|row| row.item).collect::<Vec<_>>();
        assert_eq!(ids(store.table_rows_after(HERE, i64::MIN, "", 2).await.unwrap()), ["d", "b"]);
        assert_eq!(ids(store.table_rows_after(HERE, 1, "b", 9).await.unwrap()), ["a", "c"]);
        assert_eq!(ids(store.table_rows_with(HERE, ":n", "10", 9).await.unwrap()), ["a", "c"]);
        assert_eq!(ids(store.table_rows_with(HERE, ":n", "10", 1).await.unwrap()), ["a"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_pull_sees_is_forgotten() {
    on_both(async |store| {
        let later =
            |item: &str, data: &str| TableRow { updated_at: at(9), data: data.to_owned(), ..row(item, 5) };
        put(
            &store,
            HERE,
            &[(row("a", 0), 1, "{}", "a"), (row("b", 1), 1, "{}", "b"), (row("c", 2), 1, "{}", "c")],
        )
        .await;
        let same = row("a", 0).data;
        put(
            &store,
            HERE,
            &[(later("a", &same), 2, r#"{":n":"1"}"#, "new"), (later("b", "{}"), 2, "{}", "b")],
        )
        .await;
        let rows = store.table_rows(HERE, RowQuery { limit: 9, ..RowQuery::default() }).await.unwrap();
        assert_eq!(rows[1], TableRow { position: 5, ..row("a", 0) }, "what is the same did not change");
        assert_eq!(rows[2], later("b", "{}"));
        assert_eq!(found(&store, RowQuery { words: "new", ..RowQuery::default() }).await, ["a"]);
        let gone = async |pull, limit| {
            change(&store, async |tx| tx.delete_table_rows(HERE, pull, limit).await).await
        };
        assert_eq!(gone(2, 9).await, 1);
        assert_eq!(gone(2, 9).await, 0);
        assert_eq!((gone(3, 1).await, gone(3, 9).await), (1, 1));

        let stage = table(ORG, "stage", "datasource:a");
        let other = table(OTHER, "production", "datasource:a");
        for place in [HERE, stage, other] {
            change(&store, async |tx| tx.new_table(place).await).await;
            put(&store, place, &[(row("a", 0), 1, "{}", "a")]).await;
        }
        let left = async |place| {
            let rows = store.count_table_rows(place, RowQuery::default()).await.unwrap();
            (store.table(place).await.unwrap().is_some(), rows)
        };
        change(&store, async |tx| tx.delete_table(HERE).await).await;
        assert_eq!((left(HERE).await, left(stage).await), ((false, 0), (true, 1)));
        change(&store, async |tx| tx.end_tables(ORG, "b").await).await;
        assert_eq!(left(stage).await, (true, 1));
        change(&store, async |tx| tx.end_tables(ORG, "portal").await).await;
        assert_eq!((left(stage).await, left(other).await), ((false, 0), (true, 1)));
    })
    .await;
}
