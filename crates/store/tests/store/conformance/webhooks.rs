//! What webhooks are signed with: made once, rotated by one.

use super::{NOW, ORG, OTHER, at, change, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn webhook_secrets() {
    on_both(async |store| {
        let insert = async |secret: &[u8]| {
            change(&store, async |tx| tx.insert_webhook_secret(ORG, "portal", secret, NOW).await).await
        };
        assert!(insert(b"one").await);
        assert!(!insert(b"two").await);
        let read = async || store.webhook_secret(ORG, "portal").await.unwrap().unwrap();
        let first = read().await;
        assert_eq!((first.secret.as_slice(), first.former, first.version), (&b"one"[..], None, 1));
        let rotate = async |secret: &[u8], version| {
            change(&store, async |tx| {
                tx.rotate_webhook_secret(ORG, "portal", secret, version, at(60), at(1)).await
            })
            .await
        };
        assert!(rotate(b"three", 1).await);
        assert!(!rotate(b"four", 1).await, "somebody was quicker");
        let second = read().await;
        assert_eq!((second.secret.as_slice(), second.former.as_deref()), (&b"three"[..], Some(&b"one"[..])));
        assert_eq!((second.former_until, second.version), (Some(at(60)), 2));
        assert_eq!(store.webhook_secret(OTHER, "portal").await.unwrap(), None);
        change(&store, async |tx| tx.end_webhook_secrets(ORG, "portal").await).await;
        assert_eq!(store.webhook_secret(ORG, "portal").await.unwrap(), None);
    })
    .await;
}
