//! Browser sessions, and what is slowed down.

use jackfield_store::{Session, Throttle};

use super::{NOW, ORG, OTHER, at, change, on_both};

fn session(organization: &str, id: &str, member: &str) -> Session {
    Session {
        organization_id: organization.to_owned(),
        id: id.to_owned(),
        member_id: member.to_owned(),
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: at(1000),
        address: "192.0.2.1".to_owned(),
        agent: "Žohár/1.0".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_begin_go_on_and_end() {
    on_both(async |store| {
        change(&store, async |tx| {
            for (n, id) in (1..).zip(["ses_1", "ses_2", "ses_3"]) {
                tx.insert_session(&session(ORG, id, "mem_1"), &[n; 32]).await?;
            }
            tx.insert_session(&session(ORG, "ses_4", "mem_2"), &[4; 32]).await?;
            tx.insert_session(&session(OTHER, "ses_1", "mem_1"), &[5; 32]).await
        })
        .await;
        assert_eq!(store.session(&[1; 32]).await.unwrap().unwrap(), session(ORG, "ses_1", "mem_1"));
        assert!(store.session(&[9; 32]).await.unwrap().is_none());
        let alive = async |after: &str, when, limit| {
            let found = store.sessions(ORG, "mem_1", after, when, limit).await.unwrap();
            found.into_iter().map(|session| session.id).collect::<Vec<_>>()
        };
        let (now, idle) = (at(1), at(-60));
        assert_eq!(alive("", (now, idle), 9).await, ["ses_1", "ses_2", "ses_3"]);
        assert_eq!(alive("ses_1", (now, idle), 1).await, ["ses_2"]);
        assert!(alive("", (at(1000), idle), 9).await.is_empty(), "over");
        // Seen goes forward only; who is not seen is idle.
        change(&store, async |tx| {
            tx.session_seen(ORG, "ses_2", at(50)).await?;
            tx.session_seen(ORG, "ses_2", at(40)).await
        })
        .await;
        assert_eq!(store.session(&[2; 32]).await.unwrap().unwrap().last_seen_at, at(50));
        assert_eq!(alive("", (now, at(49)), 9).await, ["ses_2"]);
        // A new token; the old one finds nothing.
        let rotate = async |organization: &str, id: &str| {
            change(&store, async |tx| tx.rotate_session(organization, id, &[7; 32]).await).await
        };
        assert!(rotate(ORG, "ses_2").await && !rotate(ORG, "ses_9").await && !rotate(OTHER, "ses_2").await);
        assert!(store.session(&[2; 32]).await.unwrap().is_none());
        assert_eq!(store.session(&[7; 32]).await.unwrap().unwrap().id, "ses_2");
        // One's own, one by one or all but one.
        let end = async |member: &str, id: &str| {
            change(&store, async |tx| tx.delete_session(ORG, member, id).await).await
        };
        assert!(!end("mem_2", "ses_1").await && end("mem_1", "ses_1").await && !end("mem_1", "ses_1").await);
        assert_eq!(change(&store, async |tx| tx.delete_sessions(ORG, "mem_1", "ses_2").await).await, 1);
        assert_eq!(alive("", (now, idle), 9).await, ["ses_2"]);
        assert_eq!(change(&store, async |tx| tx.delete_sessions(ORG, "mem_1", "").await).await, 1);
        assert!(
            store.session(&[4; 32]).await.unwrap().is_some()
                && store.session(&[5; 32]).await.unwrap().is_some()
        );
        // Over or idle.
        assert_eq!(change(&store, async |tx| tx.prune_sessions(at(999), at(-1)).await).await, 0);
        change(&store, async |tx| tx.session_seen(ORG, "ses_4", at(5)).await).await;
        assert_eq!(change(&store, async |tx| tx.prune_sessions(at(999), at(1)).await).await, 1);
        assert_eq!(change(&store, async |tx| tx.prune_sessions(at(1001), at(1)).await).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_slowed_is_counted_by_all_nodes() {
    on_both(async |store| {
        let count = async |subject: &str, now, forgotten| {
            change(&store, async |tx| tx.count_throttle(subject, now, forgotten).await).await
        };
        assert!(store.throttle("a").await.unwrap().is_none());
        assert_eq!(count("a", at(1), at(-100)).await, Throttle { count: 1, last_at: at(1) });
        assert_eq!(count("a", at(2), at(-100)).await, Throttle { count: 2, last_at: at(2) });
        assert_eq!(count("b", at(2), at(-100)).await.count, 1);
        assert_eq!(store.throttle("a").await.unwrap(), Some(Throttle { count: 2, last_at: at(2) }));
        assert_eq!(count("a", at(200), at(100)).await, Throttle { count: 1, last_at: at(200) }, "forgotten");
        // Once in a while.
        let claim =
            async |now, before| change(&store, async |tx| tx.claim_throttle("c", now, before).await).await;
        assert!(claim(at(1), at(-59)).await && !claim(at(30), at(-30)).await && claim(at(61), at(1)).await);
        change(&store, async |tx| tx.delete_throttle("a").await).await;
        assert!(store.throttle("a").await.unwrap().is_none());
        assert_eq!(change(&store, async |tx| tx.prune_throttles(at(61)).await).await, 1);
        assert!(store.throttle("b").await.unwrap().is_none() && store.throttle("c").await.unwrap().is_some());
    })
    .await;
}
