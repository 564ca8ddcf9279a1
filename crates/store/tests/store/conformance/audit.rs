//! The audit trail and the history of connections.

use jackfield_core::{EventKind, Timestamp};
use jackfield_store::{AuditFilter, AuditHead, AuditRow, EventRow};

use super::{ORG, OTHER, at, change, failing, on_both};

const ALL: AuditFilter<'static> = AuditFilter {
    action: "",
    actor: "",
    subject: "",
    connection: "",
    from: Timestamp::from_micros(0),
    until: Timestamp::from_micros(i64::MAX),
};

fn row(organization: &str, seq: i64, action: &str) -> AuditRow {
    AuditRow {
        organization_id: organization.to_owned(),
        seq,
        at: at(seq),
        actor_kind: "member".to_owned(),
        actor: format!("mem_{seq}"),
        action: action.to_owned(),
        subject: format!("subject_{seq}"),
        connection: if seq == 2 { "acme" } else { "" }.to_owned(),
        detail: r#"{"name":"Žluťoučký"}"#.to_owned(),
        request_id: "req_1".to_owned(),
        address: "::1".to_owned(),
        hash: vec![u8::try_from(seq).unwrap(); 32],
    }
}

fn event(id: &str, connection: &str, authorization: &str, kind: EventKind, seconds: i64) -> EventRow {
    EventRow {
        organization_id: ORG.to_owned(),
        id: id.to_owned(),
        at: at(seconds),
        kind,
        connection: connection.to_owned(),
        authorization_id: authorization.to_owned(),
        actor: "mem_1".to_owned(),
        detail: "{}".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_grows_by_one_and_is_found_by_its_parts() {
    on_both(async |store| {
        assert!(store.audit_head(ORG).await.unwrap().is_none());
        let actions = ["connection.created", "connection.updated", "connections.other", "member.invited"];
        for (seq, action) in (1..).zip(actions) {
            change(&store, async |tx| {
                let (next, previous) = tx.next_audit(ORG).await?;
                assert_eq!(next, seq);
                assert_eq!(previous, if seq == 1 { Vec::new() } else { row(ORG, seq - 1, "").hash });
                tx.append_audit(&row(ORG, seq, action), &[9, u8::try_from(seq).unwrap()]).await
            })
            .await;
        }
        // Two rows of one change; another organization's chain is its own.
        change(&store, async |tx| {
            for seq in 1..=2 {
                assert_eq!(tx.next_audit(OTHER).await?.0, seq);
                tx.append_audit(&row(OTHER, seq, "key.created"), b"seal").await?;
            }
            Ok(())
        })
        .await;
        // A change that never happened leaves no gap.
        drop({
            let mut tx = store.begin(super::PERMIT).await.unwrap();
            assert_eq!(tx.next_audit(ORG).await.unwrap().0, 5);
            tx
        });
        assert_eq!(change(&store, async |tx| tx.next_audit(OTHER).await).await.0, 3);

        let head = AuditHead { seq: 4, hash: vec![4; 32], seal: vec![9, 4] };
        assert_eq!(store.audit_head(ORG).await.unwrap().unwrap(), head);
        let chain = store.audit_chain(ORG, 1, 2).await.unwrap();
        assert_eq!(chain, [row(ORG, 2, "connection.updated"), row(ORG, 3, "connections.other")]);
        let found = async |filter: AuditFilter<'static>, before: i64, limit: i64| {
            let rows = store.audit(ORG, &filter, before, limit).await.unwrap();
            rows.into_iter().map(|row| row.seq).collect::<Vec<_>>()
        };
        assert_eq!(found(ALL, i64::MAX, 9).await, [4, 3, 2, 1]);
        assert_eq!(found(ALL, 4, 2).await, [3, 2]);
        assert_eq!(found(AuditFilter { action: "connection", ..ALL }, i64::MAX, 9).await, [2, 1]);
        assert_eq!(found(AuditFilter { action: "connection.created", ..ALL }, i64::MAX, 9).await, [1]);
        assert_eq!(found(AuditFilter { actor: "mem_3", ..ALL }, i64::MAX, 9).await, [3]);
        assert_eq!(found(AuditFilter { subject: "subject_4", ..ALL }, i64::MAX, 9).await, [4]);
        assert_eq!(found(AuditFilter { connection: "acme", ..ALL }, i64::MAX, 9).await, [2]);
        assert_eq!(found(AuditFilter { from: at(2), until: at(4), ..ALL }, i64::MAX, 9).await, [3, 2]);

        let twin = failing(&store, async |tx| tx.append_audit(&row(ORG, 4, "x"), b"").await).await;
        assert!(twin.is_unique("audit_pkey"), "{twin:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_append_to_one_chain_wait_for_each_other() {
    on_both(async |store| {
        let one = async |n: i64| {
            change(&store, async |tx| {
                let (seq, _) = tx.next_audit(ORG).await?;
                tx.append_audit(&AuditRow { actor: n.to_string(), ..row(ORG, seq, "key.created") }, b"").await
            })
            .await;
        };
        for _ in 0..5 {
            tokio::join!(Box::pin(one(1)), Box::pin(one(2)), Box::pin(one(3)), Box::pin(one(4)));
        }
        assert_eq!(store.audit_head(ORG).await.unwrap().unwrap().seq, 20);
        assert_eq!(store.audit_chain(ORG, 0, 99).await.unwrap().len(), 20);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_found_by_connection_and_forgotten() {
    on_both(async |store| {
        let kind = EventKind::AuthorizationRefreshed;
        change(&store, async |tx| {
            tx.insert_event(&event("evt_1", "acme", "", EventKind::ConnectionCreated, 1)).await?;
            tx.insert_event(&event("evt_2", "acme", "aut_1", EventKind::AuthorizationConnected, 2)).await?;
            // Of the authorization, whichever connection holds it.
            tx.insert_event(&event("evt_3", "", "aut_1", kind, 3)).await?;
            tx.insert_event(&event("evt_4", "other", "aut_2", kind, 4)).await?;
            tx.insert_event(&EventRow {
                organization_id: OTHER.to_owned(),
                ..event("evt_5", "acme", "", kind, 5)
            })
            .await?;
            tx.hold(ORG, "acme", "aut_1", at(0)).await
        })
        .await;
        let ids = async |connection: &str, authorization: &str, before: &str, limit: i64| {
            let rows = store.events(ORG, connection, authorization, before, limit).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(ids("acme", "", "~", 9).await, ["evt_3", "evt_2", "evt_1"]);
        assert_eq!(ids("acme", "", "evt_3", 1).await, ["evt_2"]);
        assert_eq!(ids("", "aut_2", "~", 9).await, ["evt_4"]);
        let read = store.events(ORG, "", "", "~", 9).await.unwrap();
        assert_eq!(read.last().unwrap(), &event("evt_1", "acme", "", EventKind::ConnectionCreated, 1));

        assert_eq!(change(&store, async |tx| tx.prune_events(at(3)).await).await, 2);
        assert_eq!(ids("", "", "~", 9).await, ["evt_4", "evt_3"]);

        let insert = async |id: &str| {
            let row = jackfield_store::Organization {
                id: id.to_owned(),
                name: "x".to_owned(),
                region: "us".to_owned(),
                plan: "unlimited".to_owned(),
                connections_managed_by: "admins".to_owned(),
                suite: Vec::new(),
                brand: jackfield_core::Brand::default(),
                created_at: at(0),
                updated_at: at(0),
                version: 1,
            };
            change(&store, async |tx| tx.insert_organization(&row).await).await;
        };
        insert(OTHER).await;
        insert(ORG).await;
        assert_eq!(store.organization_ids("", 9).await.unwrap(), [ORG, OTHER]);
        assert_eq!(store.organization_ids(ORG, 1).await.unwrap(), [OTHER]);
    })
    .await;
}
