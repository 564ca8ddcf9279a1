//! The store as a whole: opening, transactions, word to other nodes, statements.

use jackfield_core::Timestamp;
use jackfield_store::{Change, DbOptions, Kind, Store, StoreError};

use super::{NOW, ORG, PERMIT, at, batch, change, on_both, open, record};
use crate::migrate::Migration;
use crate::support::{self, TABLES, dictionary, soon, sqlite};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_made_and_known_again() {
    for empty in [sqlite(), dictionary()] {
        let options = DbOptions::default();
        let look = async || Store::look(&empty.url, &options).await.unwrap();
        // Only a file can be missing; looking makes none.
        let file = empty.url.starts_with("sqlite:");
        assert_eq!(look().await.is_none(), file);
        assert_eq!(look().await.is_none(), file);

        let store = Store::connect(&empty.url, &options).await.unwrap();
        assert!(store.is_new().await.unwrap() && !store.is_current().await.unwrap());
        store.migrate(NOW).await.unwrap();
        store.migrate(NOW).await.unwrap();
        assert!(!store.is_new().await.unwrap() && store.is_current().await.unwrap());
        change(&store, async |tx| tx.put_installation("a", b"1").await).await;

        let clock = store.clock().await.unwrap();
        assert_eq!(clock.is_some(), store.kind() == Kind::Postgres);
        let (since, until) = (Timestamp::from_micros(1_700_000_000_000_000), at(4_000_000_000));
        assert!(clock.is_none_or(|clock| (since..until).contains(&clock)), "in microseconds");
        soon(store.close()).await;

        let store = look().await.unwrap();
        assert!(!store.is_new().await.unwrap() && store.is_current().await.unwrap());
        assert_eq!(store.installation("a").await.unwrap().unwrap(), b"1");
        if file {
            let written = async {
                let mut tx = store.begin(PERMIT).await?;
                tx.put_installation("a", b"2").await?;
                tx.commit().await
            };
            assert!(soon(written).await.is_err(), "whoever only looks changes nothing");
            assert_eq!(store.installation("a").await.unwrap().unwrap(), b"1");
        }
        soon(store.close()).await;
        let store = Store::open(&empty.url, &options, NOW).await.unwrap();
        assert_eq!(store.installation("a").await.unwrap().unwrap(), b"1");
        soon(store.close()).await;
    }
    // A store of a program to come.
    for empty in [sqlite(), dictionary()] {
        let db = support::open(&empty.url).await;
        crate::migrate::migrate(&db, &[Migration { version: 99, ..TABLES[0] }], NOW).await.unwrap();
        soon(db.close()).await;
        let store = Store::look(&empty.url, &DbOptions::default()).await.unwrap().unwrap();
        assert!(!store.is_new().await.unwrap());
        for refused in [store.is_current().await.map(drop), store.migrate(NOW).await] {
            assert!(matches!(refused, Err(StoreError::Migration { version: 99, .. })), "{refused:?}");
        }
        soon(store.close()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_as_a_whole() {
    on_both(async |store| {
        store.ping().await.unwrap();
        store.check_statements().await.unwrap();

        // Dropped, a transaction never was; nobody saw it.
        let mut tx = store.begin(PERMIT).await.unwrap();
        tx.put_installation("a", b"1").await.unwrap();
        tx.insert_calls(&batch(ORG, "mail", [("call_1", record(at(0)))])).await.unwrap();
        tx.notify("never").await.unwrap();
        assert!(store.installation("a").await.unwrap().is_none());
        drop(tx);
        assert!(store.installation("a").await.unwrap().is_none());
        change(&store, async |tx| tx.put_installation("b", b"2").await).await;
        assert!(store.installation("a").await.unwrap().is_none());
        assert!(store.calls(ORG, "mail", "~", 9).await.unwrap().is_empty());

        // After a refused row there is nothing but giving up.
        let mut tx = store.begin(PERMIT).await.unwrap();
        tx.insert_calls(&batch(ORG, "mail", [("call_1", record(at(0)))])).await.unwrap();
        let error = tx.insert_calls(&batch(ORG, "mail", [("call_1", record(at(0)))])).await.unwrap_err();
        assert!(error.is_unique("call_batches_pkey"), "{error:?}");
        assert!(matches!(tx.commit().await, Err(StoreError::Aborted { .. })));
        assert!(store.calls(ORG, "mail", "~", 9).await.unwrap().is_empty());

        // A statement is counted; what is answered from memory is not.
        let before = store.statements_run();
        store.ping().await.unwrap();
        assert_eq!(store.statements_run(), before + 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_a_store() {
    for empty in [sqlite(), dictionary()] {
        let (one, two) = (open(&empty.url).await, open(&empty.url).await);
        // What one commits, the other reads.
        change(&one, async |tx| tx.put_installation("a", b"1").await).await;
        assert_eq!(two.installation("a").await.unwrap().unwrap(), b"1");

        // Of those who claim at once one has it.
        let claimants: Vec<_> = (0..8_u8)
            .map(|n| {
                let store: Store = if n % 2 == 0 { one.clone() } else { two.clone() };
                tokio::spawn(async move {
                    change(&store, async |tx| tx.claim_installation("b", &[n]).await).await
                })
            })
            .collect();
        let mut winners = 0;
        for claimant in claimants {
            winners += i32::from(soon(claimant).await.unwrap());
        }
        assert_eq!(winners, 1);

        let lock = one.lock_for_serving().unwrap();
        match one.kind() {
            Kind::Sqlite => {
                assert!(matches!(two.lock_for_serving(), Err(StoreError::AlreadyServed { .. })));
                drop(lock);
                two.lock_for_serving().unwrap();
            }
            Kind::Postgres => {
                two.lock_for_serving().unwrap();
                let mut changes = two.changes();
                assert_eq!(soon(changes.next()).await, Change::Restored);
                change(&one, async |tx| tx.notify("what changed").await).await;
                assert_eq!(soon(changes.next()).await, Change::Payload("what changed".to_owned()));
            }
        }
        soon(one.close()).await;
        soon(two.close()).await;
    }
}
