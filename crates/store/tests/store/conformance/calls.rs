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
            // What would end a line, and what one of the databases keeps in no text.
            path: "/a\nb\u{0}c\u{2028}".to_owned(),
            ..call(ORG, "call_09", "mail", at(9))
        };
        let mail = |id: &str, seconds: i64| call(ORG, id, "mail", at(seconds));
        change(&store, async |tx| {
            // In any order: it is the ids that count.
            tx.insert_calls(&[mail("call_0a", 10), mail("call_0b", 11)]).await?;
            tx.insert_calls(&[mail("call_01", 1), mail("call_02", 2), lost.clone()]).await?;
            tx.insert_calls(&[call(ORG, "call_03", "books", at(3))]).await?;
            tx.insert_calls(&[]).await?;
            tx.insert_calls(&[call(OTHER, "call_01", "mail", at(1))]).await
        })
        .await;
        let error = failing(&store, async |tx| tx.insert_calls(&[mail("call_01", 1)]).await).await;
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
        assert_eq!(format!("{read:?}"), format!("{:?}", [lost, mail("call_02", 2)]));

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
        let calls: Vec<Call> =
            (0..400).map(|n| call(ORG, &format!("call_{n:03}"), "mail", at(i64::from(n)))).collect();
        let (mut left, mut sizes) = (&calls[..], [1, 90, 3, 1, 1, 17, 200].into_iter().cycle());
        while !left.is_empty() {
            let (batch, rest) = left.split_at(sizes.next().unwrap_or(1).min(left.len()));
            change(&store, async |tx| tx.insert_calls(batch).await).await;
            left = rest;
        }
        let expected: Vec<&str> = calls.iter().rev().map(|call| call.id.as_str()).collect();
        for size in [1, 7, 50, 201, 500] {
            let (mut seen, mut before) = (Vec::new(), "~".to_owned());
            loop {
                let page = store.calls(ORG, "mail", &before, size).await.unwrap();
                let Some(last) = page.last() else { break };
                before.clone_from(&last.id);
                assert!(i64::try_from(page.len()).unwrap() == size || last.id == calls[0].id);
                seen.extend(page.into_iter().map(|call| call.id));
            }
            assert_eq!(seen, expected, "pages of {size}");
        }
    })
    .await;
}
