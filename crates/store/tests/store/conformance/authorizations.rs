//! Authorizations, who holds them, and where they serve.

use jackfield_core::{ConnectionStatus, Environment};
use jackfield_store::{Authorization, Lease};

use super::{NOW, ORG, OTHER, at, authorization, change, failing, on_both};

const DEVELOPMENT: Environment = Environment::Development;
const STAGE: Environment = Environment::Stage;
const PRODUCTION: Environment = Environment::Production;

fn same(a: &Authorization, b: &Authorization) {
    let text = |a: &Authorization| {
        [&a.organization_id, &a.id, &a.connector, &a.account_name, &a.owner].map(String::clone)
    };
    assert_eq!(text(a), text(b));
    assert_eq!((&a.subject, &a.requested_scopes, &a.scopes), (&b.subject, &b.requested_scopes, &b.scopes));
    assert_eq!((&a.attributes, &a.credential), (&b.attributes, &b.credential));
    assert_eq!((a.credential_version, a.refreshable), (b.credential_version, b.refreshable));
    assert_eq!((a.issued_at, a.expires_at, a.refresh_at), (b.issued_at, b.expires_at, b.refresh_at));
    assert_eq!((a.status, &a.reason, a.presented), (b.status, &b.reason, b.presented));
    assert_eq!((a.lease_until, a.next_attempt_at), (b.lease_until, b.next_attempt_at));
    assert_eq!((&a.refresh_error, a.last_refreshed_at), (&b.refresh_error, b.last_refreshed_at));
    assert_eq!((a.last_used_at, a.created_at, a.version), (b.last_used_at, b.created_at, b.version));
}

#[tokio::test(flavor = "multi_thread")]
async fn authorizations_and_their_holders() {
    on_both(async |store| {
        let full = Authorization {
            subject: Some("4711".to_owned()),
            requested_scopes: vec!["read".to_owned(), "write".to_owned()],
            scopes: Some(vec!["read".to_owned()]),
            attributes: [("realm".to_owned(), "\"9\"".to_owned())].into(),
            credential: b"\0sealed".to_vec(),
            ..authorization(ORG, "auth_1", "google", "mem_1")
        };
        let bare = Authorization {
            refreshable: false,
            expires_at: None,
            refresh_at: None,
            ..authorization(ORG, "auth_2", "google", "mem_2")
        };
        change(&store, async |tx| {
            tx.insert_authorization(&full).await?;
            tx.insert_authorization(&bare).await?;
            tx.insert_authorization(&authorization(ORG, "auth_Z", "google", "mem_1")).await?;
            tx.insert_authorization(&authorization(ORG, "auth_a", "google", "mem_1")).await?;
            tx.insert_authorization(&authorization(ORG, "auth_9", "quickbooks", "mem_1")).await?;
            tx.insert_authorization(&authorization(OTHER, "auth_1", "google", "mem_1")).await
        })
        .await;
        same(&store.authorization(ORG, "auth_1").await.unwrap().unwrap(), &full);
        same(&store.authorization(ORG, "auth_2").await.unwrap().unwrap(), &bare);
        assert!(store.authorization(OTHER, "auth_2").await.unwrap().is_none());
        let same_name = Authorization {
            account_name: full.account_name.clone(),
            ..authorization(ORG, "x", "google", "m")
        };
        for (twin, index) in [
            (authorization(ORG, "auth_1", "github", "mem_9"), "authorizations_pkey"),
            (same_name, "authorizations_account_name"),
        ] {
            let error = failing(&store, async |tx| tx.insert_authorization(&twin).await).await;
            assert!(error.is_unique(index), "{index}: {error:?}");
        }

        // Names: one a connector.
        let named = async |organization: &str, connector: &str, name: &str| {
            store.authorization_named(organization, connector, name).await.unwrap()
        };
        let name = full.account_name.as_str();
        assert_eq!(named(ORG, "google", name).await.as_deref(), Some("auth_1"));
        assert_eq!(named(ORG, "quickbooks", name).await, None);
        let rename = async |organization: &str, id: &str, name: &str| {
            change(&store, async |tx| tx.rename_authorization(organization, id, name, at(1)).await).await
        };
        let error =
            failing(&store, async |tx| tx.rename_authorization(ORG, "auth_2", name, at(1)).await).await;
        assert!(error.is_unique("authorizations_account_name"), "{error:?}");
        assert!(rename(ORG, "auth_9", name).await, "another connector");
        assert!(rename(ORG, "auth_2", "bare").await);
        assert!(!rename(OTHER, "auth_2", "bare").await);
        assert_eq!(named(ORG, "google", "bare").await.as_deref(), Some("auth_2"));
        let renamed = Authorization { account_name: "bare".to_owned(), version: 2, ..bare };
        same(&store.authorization(ORG, "auth_2").await.unwrap().unwrap(), &renamed);
        change(&store, async |tx| {
            same(&tx.authorization(ORG, "auth_2").await?.unwrap(), &renamed);
            assert!(tx.authorization(OTHER, "auth_2").await?.is_none());
            let mut names = tx.account_names(ORG, "google").await?;
            names.sort();
            let others = ["auth_1", "auth_Z", "auth_a"].map(|id| format!("the account of {id}"));
            assert_eq!(names, [&["bare".to_owned()][..], &others].concat());
            Ok(())
        })
        .await;

        // Who holds what.
        change(&store, async |tx| {
            for id in ["auth_a", "auth_Z", "auth_2", "auth_1"] {
                tx.hold(ORG, "mail", id, NOW).await?;
            }
            tx.hold(ORG, "mail", "auth_1", at(1)).await?;
            tx.hold(ORG, "calendar", "auth_1", NOW).await?;
            tx.hold(OTHER, "drive", "auth_1", NOW).await?;
            assert_eq!(tx.holders(ORG, "auth_1").await?, ["calendar", "mail"]);
            assert_eq!(tx.held_by(ORG, "mail").await?, ["auth_1", "auth_2", "auth_Z", "auth_a"]);
            assert_eq!(tx.held_by(OTHER, "mail").await?, [""; 0]);
            Ok(())
        })
        .await;
        assert_eq!(store.holders(ORG, "auth_1").await.unwrap(), ["calendar", "mail"]);
        assert_eq!(store.holders(OTHER, "auth_1").await.unwrap(), ["drive"]);
        let page = async |owner: &str, after: &str, limit| {
            let found = store.authorizations_of(ORG, "mail", owner, after, limit).await.unwrap();
            found.into_iter().map(|a| a.id).collect::<Vec<_>>()
        };
        assert_eq!(page("", "", 9).await, ["auth_1", "auth_2", "auth_Z", "auth_a"]);
        assert_eq!(page("", "", 2).await, ["auth_1", "auth_2"]);
        assert_eq!(page("", "auth_2", 2).await, ["auth_Z", "auth_a"]);
        assert_eq!(page("mem_1", "", 2).await, ["auth_1", "auth_Z"]);
        assert_eq!(page("mem_9", "", 2).await, [""; 0]);
        same(&store.authorizations_of(ORG, "calendar", "", "", 9).await.unwrap()[0], &full);
        let of_owner = store.authorizations_of_owner(ORG, "google", "mem_1").await.unwrap();
        let ids: Vec<_> = of_owner.iter().map(|a| a.id.as_str()).collect();
        assert_eq!(ids, ["auth_1", "auth_Z", "auth_a"]);

        // Its use goes forward only.
        for (seconds, last) in [(20, 20), (10, 20), (30, 30)] {
            change(&store, async |tx| tx.authorization_used(ORG, "auth_1", at(seconds)).await).await;
            let read = store.authorization(ORG, "auth_1").await.unwrap().unwrap();
            assert_eq!(read.last_used_at, Some(at(last)));
        }
        assert!(store.authorization(OTHER, "auth_1").await.unwrap().unwrap().last_used_at.is_none());

        assert!(change(&store, async |tx| tx.delete_authorization(ORG, "auth_1").await).await);
        assert!(!change(&store, async |tx| tx.delete_authorization(ORG, "auth_1").await).await);
        assert!(store.authorization(ORG, "auth_1").await.unwrap().is_none());
        assert!(store.authorization(OTHER, "auth_1").await.unwrap().is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings() {
    on_both(async |store| {
        change(&store, async |tx| {
            for id in ["a1", "a2", "a3", "broken"] {
                tx.insert_authorization(&authorization(ORG, id, "google", "mem_1")).await?;
            }
            tx.insert_authorization(&authorization(OTHER, "a1", "google", "mem_1")).await?;
            let lease = Lease {
                organization_id: ORG.to_owned(),
                authorization_id: "broken".to_owned(),
                credential_version: 1,
                holder: "nobody".to_owned(),
            };
            assert!(tx.break_credential(&lease, "refused", NOW).await?);
            for id in ["a1", "a2"] {
                tx.hold(ORG, "mail", id, NOW).await?;
                tx.hold(ORG, "books", id, NOW).await?;
            }
            tx.bind(ORG, "mail", PRODUCTION, "", "a1", NOW).await?;
            tx.bind(ORG, "mail", STAGE, "", "a1", NOW).await?;
            tx.bind(ORG, "mail", DEVELOPMENT, "", "a2", NOW).await?;
            tx.bind(ORG, "books", PRODUCTION, "", "a1", NOW).await?;
            tx.bind(OTHER, "mail", PRODUCTION, "", "a1", NOW).await
        })
        .await;
        let serves = async |organization: &str, connection: &str, environment, member: &str| {
            store.binding(organization, connection, environment, member).await.unwrap()
        };
        assert_eq!(serves(ORG, "mail", PRODUCTION, "").await.as_deref(), Some("a1"));
        assert_eq!(serves(ORG, "mail", PRODUCTION, "mem_1").await, None);
        assert_eq!(serves(ORG, "nothing", PRODUCTION, "").await, None);
        let places = async |connection: &str, authorization: &str| {
            let found = store.bindings_of(ORG, connection, authorization).await.unwrap();
            let mut places: Vec<_> = found
                .iter()
                .map(|b| {
                    assert_eq!(
                        (b.connection.as_str(), b.authorization_id.as_str()),
                        (connection, authorization)
                    );
                    (b.environment.as_str(), b.member.clone())
                })
                .collect();
            places.sort();
            places
        };
        let everybody = String::new;
        assert_eq!(places("mail", "a1").await, [("production", everybody()), ("stage", everybody())]);
        assert_eq!(places("books", "a2").await, []);

        // Another takes its place; what served before stays held.
        change(&store, async |tx| tx.bind(ORG, "mail", STAGE, "", "a2", at(1)).await).await;
        assert_eq!(places("mail", "a1").await, [("production", everybody())]);
        assert_eq!(store.holders(ORG, "a1").await.unwrap(), ["books", "mail"]);

        // Everything that one serves goes to another, in this connection alone.
        let count = change(&store, async |tx| tx.move_bindings(ORG, "mail", "a2", "a3").await).await;
        assert_eq!(count, 2);
        assert_eq!(places("mail", "a3").await, [("development", everybody()), ("stage", everybody())]);
        assert_eq!(change(&store, async |tx| tx.move_bindings(ORG, "mail", "a2", "a3").await).await, 0);

        // Let go with what it serves there, and nowhere else.
        assert!(change(&store, async |tx| tx.let_go(ORG, "mail", "a1").await).await);
        assert!(!change(&store, async |tx| tx.let_go(ORG, "mail", "a1").await).await);
        assert_eq!(serves(ORG, "mail", PRODUCTION, "").await, None);
        assert_eq!(serves(ORG, "books", PRODUCTION, "").await.as_deref(), Some("a1"));
        assert_eq!(serves(OTHER, "mail", PRODUCTION, "").await.as_deref(), Some("a1"));
        assert_eq!(store.holders(ORG, "a1").await.unwrap(), ["books"]);

        // Statuses of a range of connections: everybody's and the member's own.
        change(&store, async |tx| {
            tx.bind(ORG, "mail-2", STAGE, "mem_1", "broken", NOW).await?;
            tx.bind(ORG, "mail-2", STAGE, "mem_2", "a1", NOW).await?;
            tx.bind(ORG, "mail_2", STAGE, "mem_2", "a1", NOW).await?;
            tx.bind(ORG, "zoo", STAGE, "", "a1", NOW).await
        })
        .await;
        let statuses = async |organization: &str, first: &str, last: &str, member: &str| {
            let found = store.binding_statuses(organization, first, last, member).await.unwrap();
            for row in &found {
                assert_eq!(row.account_name, format!("the account of {}", row.authorization_id));
            }
            let mut found: Vec<_> =
                found.into_iter().map(|row| (row.connection, row.environment, row.status)).collect();
            found.sort_by_key(|(connection, environment, _)| (connection.clone(), environment.as_str()));
            found
        };
        let (works, broken) = (ConnectionStatus::Connected, ConnectionStatus::ReauthorizationRequired);
        let entry = |connection: &str, environment, status| (connection.to_owned(), environment, status);
        assert_eq!(
            statuses(ORG, "mail", "mail_2", "mem_1").await,
            [entry("mail", DEVELOPMENT, works), entry("mail", STAGE, works), entry("mail-2", STAGE, broken),]
        );
        assert_eq!(statuses(ORG, "mail-2", "mail-2", "mem_2").await, [entry("mail-2", STAGE, works)]);
        assert_eq!(statuses(ORG, "mail-2", "mail-2", "").await, []);
        assert_eq!(statuses(OTHER, "a", "z", "").await, [entry("mail", PRODUCTION, works)]);

        assert_eq!(change(&store, async |tx| tx.delete_bindings(ORG, "mail-2").await).await, 2);
        assert_eq!(change(&store, async |tx| tx.delete_bindings(ORG, "mail-2").await).await, 0);
        assert_eq!(serves(ORG, "mail_2", STAGE, "mem_2").await.as_deref(), Some("a1"));

        // One for all environments: production's before stage's before development's, for each person.
        change(&store, async |tx| {
            tx.bind(ORG, "one", PRODUCTION, "m1", "p", NOW).await?;
            tx.bind(ORG, "one", STAGE, "m1", "s", NOW).await?;
            tx.bind(ORG, "one", DEVELOPMENT, "m1", "d", NOW).await?;
            tx.bind(ORG, "one", STAGE, "m2", "s", NOW).await?;
            tx.bind(ORG, "one", DEVELOPMENT, "m2", "d", NOW).await?;
            tx.bind(ORG, "one", DEVELOPMENT, "m3", "d", NOW).await?;
            tx.bind(ORG, "one", DEVELOPMENT, "m4", "d", NOW).await?;
            tx.bind(ORG, "one", PRODUCTION, "m4", "p", NOW).await?;
            tx.bind(ORG, "two", STAGE, "m1", "s", NOW).await?;
            tx.join_environments(ORG, "one", at(1)).await
        })
        .await;
        for (member, id) in [("m1", "p"), ("m2", "s"), ("m3", "d"), ("m4", "p")] {
            for environment in [DEVELOPMENT, STAGE, PRODUCTION] {
                let found = serves(ORG, "one", environment, member).await;
                assert_eq!(found.as_deref(), Some(id), "{member} {}", environment.as_str());
            }
        }
        assert_eq!(serves(ORG, "two", PRODUCTION, "m1").await, None);
        assert_eq!(change(&store, async |tx| tx.delete_bindings(ORG, "one").await).await, 12);
    })
    .await;
}
