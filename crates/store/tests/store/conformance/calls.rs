//! Records of calls.

use jackfield_store::CallRecord;

use super::{NOW, ORG, OTHER, at, batch, call, change, failing, on_both, record};

#[tokio::test(flavor = "multi_thread")]
async fn records_of_calls() {
    on_both(async |store| {
        let lost = CallRecord {
            authorization_id: None,
            status: None,
            error: Some("upstream_timeout"),
            // What would end a line, and what one of the databases keeps in no text.
            path: "/a\nb\u{0}c\u{2028}\"",
            ..record(at(9))
        };
        change(&store, async |tx| {
            // In any order: it is the ids that count.
            let later = [("call_0a", record(at(10))), ("call_0b", record(at(11)))];
            tx.insert_calls(&batch(ORG, "mail", later)).await?;
            let earlier = [("call_01", record(at(1))), ("call_02", record(at(2))), ("call_09", lost.clone())];
            tx.insert_calls(&batch(ORG, "mail", earlier)).await?;
            tx.insert_calls(&batch(ORG, "books", [("call_03", record(at(3)))])).await?;
            tx.insert_calls(&batch(ORG, "mail", [])).await?;
            tx.insert_calls(&batch(OTHER, "mail", [("call_01", record(at(1)))])).await
        })
        .await;
        let again = batch(ORG, "mail", [("call_01", record(at(1)))]);
        let error = failing(&store, async |tx| tx.insert_calls(&again).await).await;
        assert!(error.is_unique("call_batches_pkey"), "{error:?}");

        let ids = async |connection: &str, before: &str, limit: i64| {
            let calls = store.calls(ORG, connection, before, limit).await.unwrap();
            calls.into_iter().map(|call| call.id).collect::<Vec<_>>()
        };
        // `~` is above every id, also where the database's language has it before the letters.
        assert_eq!(ids("mail", "~", 9).await, ["call_0b", "call_0a", "call_09", "call_02", "call_01"]);
        assert_eq!(ids("mail", "~", 2).await, ["call_0b", "call_0a"]);
        assert_eq!(ids("mail", "call_0b", 2).await, ["call_0a", "call_09"]);
        assert_eq!(ids("mail", "call_0a", 2).await, ["call_09", "call_02"]);
        assert_eq!(ids("mail", "call_02", 2).await, ["call_01"]);
        assert!(ids("mail", "call_01", 2).await.is_empty() && ids("mail", "~", 0).await.is_empty());
        assert_eq!(ids("books", "~", 9).await, ["call_03"]);
        let read = store.calls(ORG, "mail", "call_0a", 2).await.unwrap();
        let expected = [call("call_09", &lost), call("call_02", &record(at(2)))];
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));

        // Of every organization; what was written together stays together, until the last of it is old.
        assert_eq!(change(&store, async |tx| tx.prune_calls(at(9)).await).await, 2);
        assert_eq!(ids("mail", "~", 9).await, ["call_0b", "call_0a", "call_09", "call_02", "call_01"]);
        assert!(ids("books", "~", 9).await.is_empty());
        assert_eq!(change(&store, async |tx| tx.prune_calls(at(10)).await).await, 1);
        assert_eq!(ids("mail", "~", 9).await, ["call_0b", "call_0a"]);
        assert_eq!(change(&store, async |tx| tx.prune_calls(NOW).await).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_calls_from_batches_of_all_sizes() {
    on_both(async |store| {
        let ids: Vec<String> = (0..400).map(|n| format!("call_{n:03}")).collect();
        let (mut left, mut sizes) = (&ids[..], [1, 90, 3, 1, 1, 17, 200].into_iter().cycle());
        while !left.is_empty() {
            let (some, rest) = left.split_at(sizes.next().unwrap_or(1).min(left.len()));
            let batch = batch(ORG, "mail", some.iter().map(|id| (id.as_str(), record(NOW))));
            change(&store, async |tx| tx.insert_calls(&batch).await).await;
            left = rest;
        }
        let expected: Vec<&String> = ids.iter().rev().collect();
        for size in [1, 7, 50, 201, 500] {
            let (mut seen, mut before) = (Vec::new(), "~".to_owned());
            loop {
                let page = store.calls(ORG, "mail", &before, size).await.unwrap();
                let Some(last) = page.last() else { break };
                before.clone_from(&last.id);
                assert!(i64::try_from(page.len()).unwrap() == size || last.id == ids[0]);
                seen.extend(page.into_iter().map(|call| call.id));
            }
            assert!(seen.iter().eq(expected.iter().copied()), "pages of {size}");
        }
    })
    .await;
}
