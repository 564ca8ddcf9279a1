//! Records of calls.

use jackfield_store::Call;

use super::{NOW, ORG, OTHER, at, call, change, failing, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn records_of_calls() {
    on_both(async |store| {
        let lost = Call {
            authorization_id: None,
            status: None,
            error: Some("upstream_timeout".to_owned()),
            ..call(ORG, "call_09", "mail", at(9))
        };
        change(&store, async |tx| {
            for (id, seconds) in [("call_01", 1), ("call_0a", 10), ("call_02", 2), ("call_0b", 11)] {
                tx.insert_call(&call(ORG, id, "mail", at(seconds))).await?;
            }
            tx.insert_call(&lost).await?;
            tx.insert_call(&call(ORG, "call_03", "books", at(3))).await?;
            tx.insert_call(&call(OTHER, "call_01", "mail", at(1))).await
        })
        .await;
        let error = failing(&store, async |tx| tx.insert_call(&call(ORG, "call_01", "x", NOW)).await).await;
        assert!(error.is_unique("calls_pkey"), "{error:?}");

        let ids = async |connection: &str, before: &str, limit: i64| {
            let calls = store.calls(ORG, connection, before, limit).await.unwrap();
            calls.into_iter().map(|call| call.id).collect::<Vec<_>>()
        };
        // `~` is above every id, also where the database's language has it before the letters.
        assert_eq!(ids("mail", "~", 9).await, ["call_0b", "call_0a", "call_09", "call_02", "call_01"]);
        assert_eq!(ids("mail", "~", 2).await, ["call_0b", "call_0a"]);
        assert_eq!(ids("mail", "call_0a", 2).await, ["call_09", "call_02"]);
        assert_eq!(ids("books", "~", 9).await, ["call_03"]);
        let read = store.calls(ORG, "mail", "call_0a", 2).await.unwrap();
        let expected = [lost, call(ORG, "call_02", "mail", at(2))];
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));

        // Of every organization, and what is exactly as old stays.
        assert_eq!(change(&store, async |tx| tx.prune_calls(at(3)).await).await, 3);
        assert_eq!(ids("mail", "~", 9).await, ["call_0b", "call_0a", "call_09"]);
        assert_eq!(ids("books", "~", 9).await, ["call_03"]);
        assert_eq!(change(&store, async |tx| tx.prune_calls(at(3)).await).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_at_once() {
    on_both(async |store| {
        // More than two statements of many rows take, and some over.
        let calls: Vec<Call> =
            (0..47).map(|n| call(ORG, &format!("call_{n:02}"), "mail", at(i64::from(n)))).collect();
        change(&store, async |tx| tx.insert_calls(&calls.iter().collect::<Vec<_>>()).await).await;
        let read = store.calls(ORG, "mail", "~", 99).await.unwrap();
        let expected: Vec<Call> = calls.iter().rev().cloned().collect();
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        change(&store, async |tx| tx.insert_calls(&[]).await).await;
    })
    .await;
}
