//! The store as a whole: opening, transactions, word to other nodes, statements.

use jackfield_store::{Change, Kind, Store, StoreError};

use super::{ORG, PERMIT, at, call, change, on_both, open};
use crate::support::{dictionary, soon, sqlite};

#[tokio::test(flavor = "multi_thread")]
async fn the_store_as_a_whole() {
    on_both(async |store| {
        store.ping().await.unwrap();
        store.check_statements().await.unwrap();

        // Dropped, a transaction never was; nobody saw it.
        let mut tx = store.begin(PERMIT).await.unwrap();
        tx.put_installation("a", b"1").await.unwrap();
        tx.insert_call(&call(ORG, "call_1", "mail", at(0))).await.unwrap();
        tx.notify("never").await.unwrap();
        assert!(store.installation("a").await.unwrap().is_none());
        drop(tx);
        assert!(store.installation("a").await.unwrap().is_none());
        change(&store, async |tx| tx.put_installation("b", b"2").await).await;
        assert!(store.installation("a").await.unwrap().is_none());
        assert!(store.calls(ORG, "mail", "~", 9).await.unwrap().is_empty());

        // After a refused row there is nothing but giving up.
        let mut tx = store.begin(PERMIT).await.unwrap();
        tx.insert_call(&call(ORG, "call_1", "mail", at(0))).await.unwrap();
        let error = tx.insert_call(&call(ORG, "call_1", "mail", at(0))).await.unwrap_err();
        assert!(error.is_unique("calls_pkey"), "{error:?}");
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
