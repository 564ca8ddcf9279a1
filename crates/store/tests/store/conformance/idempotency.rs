//! Answers under an `Idempotency-Key`.

use jackfield_store::Answer;

use super::{NOW, ORG, OTHER, at, change, failing, on_both};

fn begun(organization: &str, key: &str) -> Answer {
    Answer {
        organization_id: organization.to_owned(),
        key_id: "key_1".to_owned(),
        idempotency_key: key.to_owned(),
        request_digest: vec![7; 32],
        status: None,
        content_type: None,
        answer: None,
        created_at: NOW,
    }
}

fn answered(organization: &str, key: &str, answer: &[u8]) -> Answer {
    Answer {
        status: Some(201),
        content_type: Some("application/json".to_owned()),
        answer: Some(answer.to_vec()),
        ..begun(organization, key)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_under_a_key() {
    on_both(async |store| {
        let answer = async |key: &str| store.answer(ORG, "key_1", key).await.unwrap();
        change(&store, async |tx| {
            tx.insert_answer(&begun(ORG, "a")).await?;
            tx.insert_answer(&answered(ORG, "b", b"\0at once")).await?;
            // The same word of another person or organization is another key.
            tx.insert_answer(&Answer { key_id: "key_2".to_owned(), ..begun(ORG, "a") }).await?;
            tx.insert_answer(&begun(OTHER, "a")).await
        })
        .await;
        for twin in [begun(ORG, "a"), begun(ORG, "b"), answered(ORG, "a", b"other")] {
            let error = failing(&store, async |tx| tx.insert_answer(&twin).await).await;
            assert!(error.is_unique("idempotency_pkey"), "{error:?}");
        }
        assert!(answer("c").await.is_none());
        let read = answer("a").await.unwrap();
        assert_eq!((read.organization_id.as_str(), read.key_id.as_str()), (ORG, "key_1"));
        assert_eq!((read.idempotency_key.as_str(), read.request_digest), ("a", vec![7; 32]));
        assert_eq!((read.status, read.content_type, read.answer), (None, None, None));
        assert_eq!(read.created_at, NOW);

        // Recorded once.
        let record = async |a: Answer| change(&store, async |tx| tx.record_answer(&a).await).await;
        assert!(record(answered(ORG, "a", b"first")).await);
        assert!(!record(answered(ORG, "a", b"second")).await);
        assert!(!record(answered(ORG, "b", b"second")).await);
        assert!(!record(answered(ORG, "c", b"never begun")).await);
        let read = answer("a").await.unwrap();
        assert_eq!((read.status, read.answer.as_deref()), (Some(201), Some(&b"first"[..])));
        assert_eq!(read.content_type.as_deref(), Some("application/json"));
        assert_eq!(answer("b").await.unwrap().answer.unwrap(), b"\0at once");
        assert!(store.answer(ORG, "key_2", "a").await.unwrap().unwrap().status.is_none());
        assert!(store.answer(OTHER, "key_1", "a").await.unwrap().unwrap().status.is_none());

        // What has an answer is not forgotten; what has none is, and may begin again.
        change(&store, async |tx| tx.forget_answer(ORG, "key_1", "a").await).await;
        assert!(answer("a").await.is_some());
        change(&store, async |tx| tx.forget_answer(ORG, "key_2", "a").await).await;
        assert!(store.answer(ORG, "key_2", "a").await.unwrap().is_none());
        assert!(store.answer(OTHER, "key_1", "a").await.unwrap().is_some());

        // What is exactly as old stays; what is older makes room for another in the same transaction.
        change(&store, async |tx| tx.expire_answer(ORG, "key_1", "a", NOW).await).await;
        assert!(answer("a").await.is_some());
        change(&store, async |tx| {
            tx.expire_answer(ORG, "key_1", "a", at(1)).await?;
            tx.insert_answer(&Answer { created_at: at(10), ..begun(ORG, "a") }).await
        })
        .await;
        assert_eq!(answer("a").await.unwrap().created_at, at(10));
        assert!(answer("b").await.is_some());
        assert!(store.answer(OTHER, "key_1", "a").await.unwrap().is_some());

        assert_eq!(change(&store, async |tx| tx.prune_answers(NOW).await).await, 0);
        assert_eq!(change(&store, async |tx| tx.prune_answers(at(10)).await).await, 2);
        assert!(answer("a").await.is_some() && answer("b").await.is_none());
    })
    .await;
}
