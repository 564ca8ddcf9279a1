//! The lease under which a credential is refreshed, and who may store or break one.

use jackfield_core::{ConnectionStatus, Timestamp};
use jackfield_store::{Authorization, Lease, NewCredential, Store};

use super::{NOW, ORG, OTHER, PERMIT, at, authorization, change, on_both};
use crate::support::soon;

fn lease(id: &str, version: i64, holder: &str) -> Lease {
    Lease {
        organization_id: ORG.to_owned(),
        authorization_id: id.to_owned(),
        credential_version: version,
        holder: holder.to_owned(),
    }
}

fn new_credential(text: &[u8], issued_at: Timestamp) -> NewCredential {
    NewCredential {
        credential: text.to_vec(),
        refreshable: true,
        scopes: None,
        issued_at,
        expires_at: None,
        refresh_at: None,
    }
}

/// One that is due, and of which nothing is out.
async fn insert(store: &Store, id: &str) {
    let row = Authorization { refresh_at: Some(at(-1)), ..authorization(ORG, id, "google", "mem_1") };
    change(store, async |tx| tx.insert_authorization(&row).await).await;
}

async fn read(store: &Store, id: &str) -> Authorization {
    store.authorization(ORG, id).await.unwrap().unwrap()
}

/// Takes the lease for a minute.
async fn take(store: &Store, lease: &Lease, now: Timestamp, single_use: bool) -> bool {
    let until = Timestamp::from_micros(now.micros() + 60_000_000);
    change(store, async |tx| tx.take_lease(lease, until, now, single_use).await).await
}

async fn release(store: &Store, lease: &Lease, presented: i64, next: Option<Timestamp>) -> bool {
    change(store, async |tx| tx.release_lease(lease, presented, next, Some("it was down")).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_had_by_one() {
    on_both(async |store| {
        insert(&store, "a").await;
        let (one, two) = (lease("a", 1, "one"), lease("a", 1, "two"));
        assert!(!take(&store, &Lease { organization_id: OTHER.to_owned(), ..one.clone() }, NOW, true).await);
        assert!(!take(&store, &lease("b", 1, "one"), NOW, true).await);
        assert!(!take(&store, &lease("a", 2, "one"), NOW, true).await, "another version");
        assert!(take(&store, &one, NOW, true).await);
        assert_eq!(
            (read(&store, "a").await.presented, read(&store, "a").await.lease_until),
            (1, Some(at(60)))
        );
        assert!(!take(&store, &two, at(1), true).await);
        assert!(!take(&store, &one, at(1), true).await, "not even by itself");
        assert!(!take(&store, &two, at(60), true).await, "it lasts that long");
        assert_eq!(read(&store, "a").await.presented, 1);

        // Renewed by the holder alone, and once lost, lost.
        let renew =
            async |lease: &Lease, until| change(&store, async |tx| tx.renew_lease(lease, until).await).await;
        assert!(renew(&one, at(90)).await && !renew(&two, at(99)).await);
        assert!(!renew(&lease("a", 2, "one"), at(99)).await);
        assert!(!take(&store, &two, at(90), true).await);
        assert!(take(&store, &two, at(91), true).await, "it has run out");
        assert!(!renew(&one, at(999)).await);
        assert_eq!(
            (read(&store, "a").await.presented, read(&store, "a").await.lease_until),
            (2, Some(at(151)))
        );
        // Twice out: nobody takes it a third time, whoever asks.
        assert!(!take(&store, &one, at(999), true).await && !take(&store, &one, at(999), false).await);

        // Of those who ask at once one has it.
        insert(&store, "race").await;
        let racers: Vec<_> = (0..8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { take(&store, &lease("race", 1, &n.to_string()), NOW, true).await })
            })
            .collect();
        let mut winners = 0;
        for racer in racers {
            winners += i32::from(soon(racer).await.unwrap());
        }
        assert_eq!((winners, read(&store, "race").await.presented), (1, 1));

        // What cannot be tried is put off, unless somebody is at it; due again when its time has come.
        insert(&store, "odd").await;
        let odd = lease("odd", 1, "one");
        let postpone = async |lease: &Lease, now| {
            change(&store, async |tx| tx.postpone_refresh(lease, at(30), "misfit", now).await).await
        };
        assert!(!postpone(&lease("odd", 2, "one"), NOW).await, "another version");
        assert!(postpone(&odd, NOW).await);
        assert!(!take(&store, &odd, at(29), true).await && take(&store, &odd, at(30), true).await);
        assert!(!postpone(&odd, at(31)).await, "it is being refreshed");
        assert_eq!(read(&store, "odd").await.refresh_error.as_deref(), Some("misfit"));

        // A change that was given up took nothing and counted nothing.
        insert(&store, "dropped").await;
        let mut tx = store.begin(PERMIT).await.unwrap();
        assert!(tx.take_lease(&lease("dropped", 1, "one"), at(60), NOW, true).await.unwrap());
        drop(tx);
        assert!(take(&store, &lease("dropped", 1, "two"), NOW, true).await);
        assert_eq!(read(&store, "dropped").await.presented, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presentations_are_counted() {
    on_both(async |store| {
        let again =
            async |lease: &Lease| change(&store, async |tx| tx.present_again(lease, at(120)).await).await;
        insert(&store, "a").await;
        let (one, two) = (lease("a", 1, "one"), lease("a", 1, "two"));
        assert!(!again(&one).await, "without the lease");
        // What may be sent any number of times is not counted.
        assert!(take(&store, &one, NOW, false).await);
        assert_eq!(read(&store, "a").await.presented, 0);
        assert!(release(&store, &one, 0, None).await);
        assert!(take(&store, &one, NOW, true).await);
        assert!(!again(&two).await && !again(&lease("a", 2, "one")).await);
        assert!(again(&one).await);
        assert!(!again(&one).await, "once more, and only once");
        let row = read(&store, "a").await;
        assert_eq!((row.presented, row.lease_until), (2, Some(at(120))));

        // Given back by the holder alone, with what is out and when to try again.
        assert!(
            !release(&store, &two, 0, None).await && !release(&store, &lease("a", 2, "one"), 0, None).await
        );
        assert!(release(&store, &one, 1, Some(at(30))).await);
        assert!(!release(&store, &one, 0, None).await, "it has it no more");
        let row = read(&store, "a").await;
        assert_eq!((row.presented, row.lease_until), (1, None));
        assert_eq!((row.next_attempt_at, row.refresh_at), (Some(at(30)), Some(at(30))));
        assert_eq!(row.refresh_error.as_deref(), Some("it was down"));
        assert_eq!((row.status, row.credential_version), (ConnectionStatus::Connected, 1));
        assert!(!take(&store, &two, at(29), true).await, "before its time");
        assert!(take(&store, &two, at(30), true).await);
        assert!(release(&store, &two, 2, None).await);
        let row = read(&store, "a").await;
        assert_eq!((row.presented, row.next_attempt_at, row.refresh_at), (2, None, Some(at(30))));
        assert!(!take(&store, &two, at(999), true).await, "twice out");
        // A new credential starts anew.
        assert!(
            change(&store, async |tx| tx.store_credential(&one, &new_credential(b"2", at(40))).await).await
        );
        assert!(take(&store, &lease("a", 2, "two"), at(41), true).await);

        // When the one process that serves starts, nobody holds anything; what is out stays counted.
        insert(&store, "b").await;
        insert(&store, "c").await;
        assert!(take(&store, &lease("b", 1, "dead"), NOW, true).await);
        assert_eq!(change(&store, async |tx| tx.abandon_leases().await).await, 2);
        assert_eq!(change(&store, async |tx| tx.abandon_leases().await).await, 0);
        let row = read(&store, "b").await;
        assert_eq!((row.lease_until, row.presented), (None, 1));
        assert!(
            !again(&lease("b", 1, "dead")).await && !release(&store, &lease("b", 1, "dead"), 0, None).await
        );
        assert!(take(&store, &lease("b", 1, "alive"), NOW, true).await);
        assert_eq!(read(&store, "b").await.presented, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_stored_on_the_version_that_was_seen() {
    on_both(async |store| {
        insert(&store, "a").await;
        let put = async |lease: &Lease, new: NewCredential| {
            change(&store, async |tx| tx.store_credential(lease, &new).await).await
        };
        let refuse = async |lease: &Lease, at| {
            change(&store, async |tx| tx.break_credential(lease, "invalid_grant", at).await).await
        };
        let (one, two) = (lease("a", 1, "one"), lease("a", 1, "two"));
        assert!(take(&store, &one, NOW, true).await);
        assert!(take(&store, &two, at(61), true).await, "one was slow");
        let elsewhere = Lease { organization_id: OTHER.to_owned(), ..one.clone() };
        assert!(!put(&elsewhere, new_credential(b"x", at(62))).await && !refuse(&elsewhere, at(62)).await);
        // One has lost its lease; what it received is worth having all the same.
        let new = NewCredential {
            credential: b"\0second".to_vec(),
            refreshable: true,
            scopes: Some(vec!["read".to_owned()]),
            issued_at: at(62),
            expires_at: Some(at(3662)),
            refresh_at: Some(at(2762)),
        };
        assert!(put(&one, new).await);
        let row = read(&store, "a").await;
        assert_eq!(
            (row.credential.as_slice(), row.credential_version, row.version),
            (&b"\0second"[..], 2, 2)
        );
        assert_eq!(row.scopes.as_deref(), Some(&["read".to_owned()][..]));
        assert_eq!((row.issued_at, row.expires_at, row.refresh_at), (at(62), Some(at(3662)), Some(at(2762))));
        assert_eq!((row.presented, row.lease_until, row.last_refreshed_at), (0, None, Some(at(62))));
        // Two saw the old one: it neither stores nor breaks nor keeps anything.
        assert!(!put(&two, new_credential(b"third", at(63))).await);
        assert!(!refuse(&two, at(63)).await);
        assert!(!release(&store, &two, 1, None).await);
        assert!(!change(&store, async |tx| tx.renew_lease(&two, at(99)).await).await);
        assert_eq!(read(&store, "a").await.credential, b"\0second");
        assert_eq!(read(&store, "a").await.status, ConnectionStatus::Connected);

        // Broken once, and then nobody refreshes it.
        let seen = lease("a", 2, "three");
        assert!(take(&store, &seen, at(70), true).await);
        assert!(refuse(&seen, at(71)).await);
        assert!(!refuse(&seen, at(72)).await, "it is broken already");
        let row = read(&store, "a").await;
        assert_eq!(row.status, ConnectionStatus::ReauthorizationRequired);
        assert_eq!(
            (row.reason.as_deref(), row.refresh_error.as_deref()),
            (Some("invalid_grant"), Some("invalid_grant"))
        );
        assert_eq!((row.lease_until, row.credential_version, row.version), (None, 2, 3));
        assert!(!take(&store, &seen, at(999), true).await);
        // An answer that comes after all heals it, and keeps the scopes where it tells none.
        assert!(put(&seen, NewCredential { refreshable: false, ..new_credential(b"fourth", at(80)) }).await);
        let row = read(&store, "a").await;
        assert_eq!((row.status, row.reason, row.refresh_error), (ConnectionStatus::Connected, None, None));
        assert_eq!((row.refreshable, row.expires_at, row.refresh_at, row.presented), (false, None, None, 0));
        assert_eq!(row.scopes.as_deref(), Some(&["read".to_owned()][..]));
        assert_eq!((row.credential.as_slice(), row.credential_version), (&b"fourth"[..], 3));

        // Of those who saw the same version one stores.
        insert(&store, "race").await;
        let racers: Vec<_> = (0..8_u8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let seen = lease("race", 1, &n.to_string());
                    change(&store, async |tx| tx.store_credential(&seen, &new_credential(&[n], NOW)).await)
                        .await
                })
            })
            .collect();
        let mut winners = 0;
        for racer in racers {
            winners += i32::from(soon(racer).await.unwrap());
        }
        assert_eq!((winners, read(&store, "race").await.credential_version), (1, 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_background_is_to_refresh() {
    on_both(async |store| {
        let due = async |now, limit| {
            let found = store.refresh_due(now, limit).await.unwrap();
            found.into_iter().map(|(organization, id)| format!("{organization}/{id}")).collect::<Vec<_>>()
        };
        let unsure = async |now, limit| {
            let found = store.refresh_unsure(now, limit).await.unwrap();
            found.into_iter().map(|(organization, id)| format!("{organization}/{id}")).collect::<Vec<_>>()
        };
        let row = |organization: &str, id: &str, refresh_at: Option<i64>| Authorization {
            refresh_at: refresh_at.map(at),
            ..authorization(organization, id, "google", "mem_1")
        };
        change(&store, async |tx| {
            tx.insert_authorization(&row(ORG, "later", Some(200))).await?;
            tx.insert_authorization(&row(ORG, "second", Some(20))).await?;
            tx.insert_authorization(&row(OTHER, "first", Some(10))).await?;
            tx.insert_authorization(&row(ORG, "third", Some(30))).await?;
            tx.insert_authorization(&row(ORG, "never", None)).await?;
            tx.insert_authorization(&Authorization { refreshable: false, ..row(ORG, "cannot", Some(5)) })
                .await?;
            tx.insert_authorization(&row(ORG, "broken", Some(5))).await?;
            assert!(tx.break_credential(&lease("broken", 1, "x"), "refused", NOW).await?);
            Ok(())
        })
        .await;
        // The longest due first, whichever organization's.
        assert_eq!(due(at(9), 9).await, [""; 0]);
        assert_eq!(due(at(100), 9).await, ["org_2/first", "org_1/second", "org_1/third"]);
        assert_eq!(due(at(100), 2).await, ["org_2/first", "org_1/second"]);
        assert_eq!(due(at(200), 9).await.last().unwrap(), "org_1/later");
        assert_eq!(unsure(at(999), 9).await, [""; 0]);

        // Not while somebody is at it, nor before the next attempt, nor when it is out twice.
        assert!(take(&store, &lease("second", 1, "x"), at(40), true).await);
        assert_eq!(due(at(100), 9).await, ["org_2/first", "org_1/third"]);
        assert_eq!(due(at(101), 9).await, ["org_2/first", "org_1/second", "org_1/third"]);
        assert!(take(&store, &lease("third", 1, "x"), at(40), false).await);
        assert!(release(&store, &lease("third", 1, "x"), 0, Some(at(150))).await);
        assert_eq!(due(at(149), 9).await, ["org_2/first", "org_1/second"]);
        assert_eq!(due(at(150), 9).await, ["org_2/first", "org_1/second", "org_1/third"]);

        // Out once, and nobody is at it: no matter when it is due.
        assert_eq!(unsure(at(100), 9).await, [""; 0], "somebody is at it");
        assert_eq!(unsure(at(101), 9).await, ["org_1/second"]);
        assert!(take(&store, &lease("never", 1, "x"), at(40), true).await);
        assert!(release(&store, &lease("never", 1, "x"), 1, Some(at(120))).await);
        assert!(take(&store, &lease("later", 1, "x"), at(40), true).await);
        assert!(release(&store, &lease("later", 1, "x"), 1, Some(at(110))).await);
        assert_eq!(unsure(at(109), 9).await, ["org_1/second"]);
        assert_eq!(unsure(at(120), 9).await, ["org_1/second", "org_1/later", "org_1/never"]);
        assert_eq!(unsure(at(120), 2).await, ["org_1/second", "org_1/later"], "the longest waiting first");

        // Twice: neither asks for it any more.
        assert!(take(&store, &lease("second", 1, "y"), at(130), true).await);
        assert!(release(&store, &lease("second", 1, "y"), 2, Some(at(140))).await);
        assert_eq!(unsure(at(999), 9).await, ["org_1/later", "org_1/never"]);
        assert!(!due(at(999), 9).await.contains(&"org_1/second".to_owned()));
        // Broken or renewed: settled.
        assert!(
            change(&store, async |tx| tx.break_credential(&lease("later", 1, "x"), "no", at(150)).await)
                .await
        );
        let new = new_credential(b"new", at(150));
        assert!(change(&store, async |tx| tx.store_credential(&lease("never", 1, "x"), &new).await).await);
        assert_eq!(unsure(at(999), 9).await, [""; 0]);
        assert_eq!(due(at(999), 9).await, ["org_2/first", "org_1/third"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connection_has_outgrown_serves_again_only_where_it_came_from() {
    on_both(async |store| {
        insert(&store, "a").await;
        insert(&store, "refused").await;
        let outgrow = async |organization: &str, id: &str, from| {
            change(&store, async |tx| tx.outgrow_authorization(organization, id, "moved", from, at(1)).await)
                .await
        };
        let back = async |organization: &str, id: &str, to| {
            change(&store, async |tx| tx.return_authorization(organization, id, to, at(2)).await).await
        };
        let one = lease("a", 1, "one");
        assert!(take(&store, &one, NOW, true).await);
        assert!(!outgrow(OTHER, "a", 1).await);
        assert!(outgrow(ORG, "a", 1).await);
        assert!(!outgrow(ORG, "a", 2).await, "it is already");
        let row = read(&store, "a").await;
        assert_eq!(
            (row.status, row.reason.as_deref()),
            (ConnectionStatus::ReauthorizationRequired, Some("moved"))
        );
        // A refresh that was under way: what it brings is kept, and serves nothing.
        let stored =
            change(&store, async |tx| tx.store_credential(&one, &new_credential(b"2", at(40))).await).await;
        let row = read(&store, "a").await;
        assert_eq!(
            (stored, row.status, row.reason.as_deref()),
            (true, ConnectionStatus::ReauthorizationRequired, Some("moved"))
        );
        assert!(!take(&store, &lease("a", 2, "two"), at(50), true).await, "nobody refreshes it");
        assert!(!back(ORG, "a", 2).await && !back(OTHER, "a", 1).await);
        assert!(back(ORG, "a", 1).await);
        assert!(!back(ORG, "a", 1).await);
        let row = read(&store, "a").await;
        assert_eq!((row.status, row.reason), (ConnectionStatus::Connected, None));
        assert!(take(&store, &lease("a", 2, "two"), at(50), true).await);

        // What its service has refused does not come back by this.
        let refused = lease("refused", 1, "x");
        assert!(change(&store, async |tx| tx.break_credential(&refused, "no", at(1)).await).await);
        assert!(!outgrow(ORG, "refused", 1).await && !back(ORG, "refused", 1).await);
    })
    .await;
}
