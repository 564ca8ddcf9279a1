//! Records: versions of which the later one loses, and values that no two share.

use jackfield_store::{Drawer, PRUNE_AT_ONCE, Record};

use super::{NOW, ORG, OTHER, PERMIT, at, change, failing, on_both};
use crate::support::soon;

const HERE: Drawer<'_> =
    Drawer { organization: ORG, application: "portal", form: "vendors", environment: "production" };

/// What is no place of ours, each by one word.
const ELSEWHERE: [Drawer<'_>; 4] = [
    Drawer { organization: OTHER, ..HERE },
    Drawer { application: "b", ..HERE },
    Drawer { form: "orders", ..HERE },
    Drawer { environment: "stage", ..HERE },
];

fn record(drawer: Drawer<'_>, id: &str) -> Record {
    Record {
        organization_id: drawer.organization.to_owned(),
        application: drawer.application.to_owned(),
        form: drawer.form.to_owned(),
        environment: drawer.environment.to_owned(),
        id: id.to_owned(),
        data: r#"{"name":"Ann"}"#.to_owned(),
        created_by: "mem_1".to_owned(),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
        deleted_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records() {
    on_both(async |store| {
        change(&store, async |tx| {
            for id in ["rec_1", "rec_2", "rec_3"] {
                tx.insert_record(&record(HERE, id)).await?;
            }
            for drawer in ELSEWHERE {
                tx.insert_record(&record(drawer, "rec_2")).await?;
            }
            let seen = tx.present_record(HERE, "rec_2").await?.unwrap();
            assert_eq!(seen.drawer().form, "vendors");
            assert_eq!(seen, record(HERE, "rec_2"));
            assert_eq!(tx.present_record(ELSEWHERE[0], "rec_1").await?, None);
            Ok(())
        })
        .await;
        let error = failing(&store, async |tx| tx.insert_record(&record(HERE, "rec_2")).await).await;
        assert!(error.is_unique("records_pkey"), "{error:?}");
        let read = async |drawer, id: &str| store.record(drawer, id).await.unwrap();
        assert_eq!(read(HERE, "rec_2").await.unwrap(), record(HERE, "rec_2"));
        for drawer in ELSEWHERE {
            assert_eq!(read(drawer, "rec_1").await, None);
            assert_eq!(read(drawer, "rec_2").await.unwrap(), record(drawer, "rec_2"));
        }
        let list = async |drawer, before: &str, limit| {
            let found = store.records(drawer, before, limit).await.unwrap();
            found.into_iter().map(|record| record.id).collect::<Vec<_>>()
        };
        assert_eq!(list(HERE, "~", 9).await, ["rec_3", "rec_2", "rec_1"]);
        assert_eq!(list(HERE, "~", 1).await, ["rec_3"]);
        assert_eq!(list(HERE, "rec_3", 9).await, ["rec_2", "rec_1"]);
        assert_eq!(list(ELSEWHERE[3], "~", 9).await, ["rec_2"]);

        let upwards = async |drawer, after: &str, limit| {
            let found = store.records_upwards(drawer, after, limit).await.unwrap();
            let same =
                change(&store, async |tx| tx.present_records_upwards(drawer, after, limit).await).await;
            assert_eq!(found, same);
            found.into_iter().map(|record| record.id).collect::<Vec<_>>()
        };
        assert_eq!(upwards(HERE, "", 9).await, ["rec_1", "rec_2", "rec_3"]);
        assert_eq!(upwards(HERE, "rec_1", 1).await, ["rec_2"]);
        assert_eq!(upwards(ELSEWHERE[0], "", 9).await, ["rec_2"]);

        // Of two who edit the same version the later one is told.
        let edit = |version| Record {
            data: format!("[{version}]"),
            updated_at: at(version),
            version,
            ..record(HERE, "rec_2")
        };
        let update = async |r: Record| change(&store, async |tx| tx.update_record(&r).await).await;
        assert!(update(edit(1)).await);
        assert!(!update(edit(1)).await, "an old version");
        assert!(!update(edit(3)).await, "one that is not there yet");
        assert!(update(edit(2)).await);
        assert!(!update(Record { id: "rec_9".to_owned(), ..edit(3) }).await);
        let edited = Record { version: 3, ..edit(2) };
        assert_eq!(read(HERE, "rec_2").await.unwrap(), edited);
        for drawer in ELSEWHERE {
            assert_eq!(read(drawer, "rec_2").await.unwrap(), record(drawer, "rec_2"));
        }

        // Deleted, it is read and no longer listed, changed or deleted.
        let delete = async |r: &Record, now| change(&store, async |tx| tx.delete_record(r, now).await).await;
        assert!(!delete(&record(HERE, "rec_2"), at(5)).await, "an old version");
        assert!(delete(&edited, at(5)).await);
        let deleted = Record { version: 4, updated_at: at(5), deleted_at: Some(at(5)), ..edited };
        assert_eq!(read(HERE, "rec_2").await.unwrap(), deleted);
        assert!(!delete(&deleted, at(6)).await && !update(deleted.clone()).await);
        assert_eq!(read(HERE, "rec_2").await.unwrap(), deleted);
        change(&store, async |tx| {
            assert_eq!(tx.present_record(HERE, "rec_2").await?.unwrap(), deleted);
            Ok(())
        })
        .await;
        assert_eq!(list(HERE, "~", 9).await, ["rec_3", "rec_1"]);
        for drawer in ELSEWHERE {
            assert_eq!(list(drawer, "~", 9).await, ["rec_2"]);
        }

        // Forgotten once it was deleted long enough ago.
        let prune = async |before| change(&store, async |tx| tx.prune_records(before).await).await;
        assert_eq!(prune(at(5)).await, 0);
        assert!(delete(&record(ELSEWHERE[0], "rec_2"), at(7)).await);
        assert_eq!(prune(at(6)).await, 1);
        assert_eq!(read(HERE, "rec_2").await, None);
        assert!(read(ELSEWHERE[0], "rec_2").await.is_some());
        assert_eq!(prune(at(8)).await, 1, "whichever organization's");
        assert_eq!(prune(at(999)).await, 0, "what is not deleted stays");

        // A thousand at once, and the rest the next time.
        change(&store, async |tx| {
            for n in 0..=PRUNE_AT_ONCE {
                let r = record(HERE, &format!("old_{n}"));
                tx.insert_record(&r).await?;
                assert!(tx.delete_record(&r, at(10)).await?);
            }
            Ok(())
        })
        .await;
        assert_eq!(i64::try_from(prune(at(11)).await).unwrap(), PRUNE_AT_ONCE);
        assert_eq!(prune(at(11)).await, 1);
        assert_eq!(list(HERE, "~", 9).await, ["rec_3", "rec_1"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unique_values() {
    on_both(async |store| {
        let put = async |drawer: Drawer<'_>, field: &str, digest: &str, id: &str| {
            change(&store, async |tx| tx.put_record_value(drawer, field, digest, id).await).await;
        };
        let with =
            async |drawer, field: &str, digest: &str| store.record_with(drawer, field, digest).await.unwrap();
        let first = record(HERE, "rec_1");
        change(&store, async |tx| {
            tx.insert_record(&first).await?;
            tx.put_record_value(HERE, "mail", "d1", "rec_1").await?;
            tx.put_record_value(HERE, "tax", "d1", "rec_1").await
        })
        .await;
        for id in ["rec_1", "rec_2"] {
            let error = failing(&store, async |tx| tx.put_record_value(HERE, "mail", "d1", id).await).await;
            assert!(error.is_unique("record_values_pkey"), "{error:?}");
        }
        put(HERE, "mail", "d2", "rec_2").await;
        for drawer in ELSEWHERE {
            assert_eq!(with(drawer, "mail", "d1").await, None);
            put(drawer, "mail", "d1", "rec_7").await;
            assert_eq!(with(drawer, "mail", "d1").await.as_deref(), Some("rec_7"));
        }
        assert_eq!(with(HERE, "mail", "d1").await.as_deref(), Some("rec_1"));
        assert_eq!(with(HERE, "mail", "d2").await.as_deref(), Some("rec_2"));
        assert_eq!(with(HERE, "mail", "d3").await, None);
        assert_eq!(with(HERE, "tax", "d2").await, None);

        // Freed for whoever comes next, in the same transaction as well.
        change(&store, async |tx| {
            tx.free_record_values(OTHER, "rec_1").await?;
            tx.free_record_values(ORG, "rec_2").await?;
            tx.put_record_value(HERE, "mail", "d2", "rec_3").await
        })
        .await;
        assert_eq!(with(HERE, "mail", "d2").await.as_deref(), Some("rec_3"));
        assert_eq!(with(HERE, "mail", "d1").await.as_deref(), Some("rec_1"), "another organization's");

        // Deleting frees; a deletion that lost does not.
        let old = Record { version: 9, ..first.clone() };
        assert!(!change(&store, async |tx| tx.delete_record(&old, at(1)).await).await);
        assert_eq!(with(HERE, "tax", "d1").await.as_deref(), Some("rec_1"));
        assert!(change(&store, async |tx| tx.delete_record(&first, at(1)).await).await);
        assert_eq!((with(HERE, "mail", "d1").await, with(HERE, "tax", "d1").await), (None, None));
        assert_eq!(with(HERE, "mail", "d2").await.as_deref(), Some("rec_3"));
        for drawer in ELSEWHERE {
            assert_eq!(with(drawer, "mail", "d1").await.as_deref(), Some("rec_7"));
        }

        // One field at a time, in one place.
        change(&store, async |tx| {
            tx.put_record_value(HERE, "tax", "d5", "rec_3").await?;
            assert_eq!(tx.present_record_with(HERE, "tax", "d5").await?.as_deref(), Some("rec_3"));
            tx.free_field_values(HERE, "mail").await?;
            assert_eq!(tx.present_record_with(HERE, "mail", "d2").await?, None);
            Ok(())
        })
        .await;
        assert_eq!(with(HERE, "tax", "d5").await.as_deref(), Some("rec_3"));
        for drawer in ELSEWHERE {
            assert_eq!(with(drawer, "mail", "d1").await.as_deref(), Some("rec_7"), "of another place");
        }

        // Of those who send the same value at once one has it.
        let racers: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut tx = store.begin(PERMIT).await.unwrap();
                    match tx.put_record_value(HERE, "mail", "race", &format!("rec_{n}")).await {
                        Ok(()) => {
                            tx.commit().await.unwrap();
                            1
                        }
                        Err(error) => {
                            assert!(error.is_unique("record_values_pkey"), "{error:?}");
                            0
                        }
                    }
                })
            })
            .collect();
        let mut winners = 0;
        for racer in racers {
            winners += soon(racer).await.unwrap();
        }
        assert_eq!(winners, 1);
        assert!(with(HERE, "mail", "race").await.is_some());

        // With the application all its records and values go; the others keep theirs.
        change(&store, async |tx| {
            tx.insert_record(&record(HERE, "rec_5")).await?;
            for drawer in ELSEWHERE {
                tx.insert_record(&record(drawer, "rec_7")).await?;
            }
            tx.end_records(ORG, "portal").await
        })
        .await;
        for (drawer, stays) in
            [(HERE, false), (ELSEWHERE[0], true), (ELSEWHERE[1], true), (ELSEWHERE[2], false)]
        {
            assert_eq!(with(drawer, "mail", "d1").await.is_some(), stays, "{drawer:?}");
            assert_eq!(store.record(drawer, "rec_7").await.unwrap().is_some(), stays, "{drawer:?}");
        }
        assert!(store.record(HERE, "rec_1").await.unwrap().is_none());
        assert!(store.record(HERE, "rec_5").await.unwrap().is_none());
        assert_eq!(with(HERE, "mail", "d2").await, None);
    })
    .await;
}
