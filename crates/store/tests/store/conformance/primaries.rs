//! Primary accounts, and the choices of set-up steps.

use jackfield_core::{ConnectionStatus, Environment};
use jackfield_store::{Authorization, Primary};

use super::{NOW, ORG, OTHER, at, authorization, change, on_both};

use Environment::{Production, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_account_is_a_members_binding() {
    on_both(async |store| {
        change(&store, async |tx| {
            for (organization, connection) in [(ORG, "mail"), (OTHER, "mail"), (ORG, "books")] {
                tx.bind(organization, connection, Production, "mem_1", "a1", NOW).await?;
                tx.bind(organization, connection, Production, "mem_2", "a2", NOW).await?;
                tx.set_primary(organization, connection, Production, "mem_1", NOW).await?;
            }
            // Whoever has no binding there is not yet one.
            tx.set_primary(ORG, "mail", Stage, "mem_1", NOW).await
        })
        .await;
        let primary = |connection: &str, member: &str, id: &str| Primary {
            connection: connection.to_owned(),
            environment: Production,
            member: member.to_owned(),
            authorization_id: id.to_owned(),
        };
        let of = async |first: &str, last: &str| store.primaries(ORG, first, last).await.unwrap();
        assert_eq!(of("mail", "mail").await, [primary("mail", "mem_1", "a1")]);
        assert_eq!(of("a", "z").await, [primary("books", "mem_1", "a1"), primary("mail", "mem_1", "a1")]);
        // It follows the binding, and another may be chosen.
        change(&store, async |tx| tx.bind(ORG, "mail", Production, "mem_1", "a9", at(1)).await).await;
        assert_eq!(of("mail", "mail").await, [primary("mail", "mem_1", "a9")]);
        change(&store, async |tx| tx.set_primary(ORG, "mail", Production, "mem_2", at(2)).await).await;
        assert_eq!(of("mail", "mail").await, [primary("mail", "mem_2", "a2")]);
        change(&store, async |tx| tx.delete_primaries(ORG, "mail").await).await;
        assert_eq!(of("a", "z").await, [primary("books", "mem_1", "a1")]);
        assert_eq!(store.primaries(OTHER, "mail", "mail").await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_to_be_chosen_does_not_serve() {
    on_both(async |store| {
        let pending =
            Authorization { setup_pending: true, named: false, ..authorization(ORG, "a1", "jira", "mem_1") };
        change(&store, async |tx| {
            tx.insert_authorization(&pending).await?;
            tx.bind(ORG, "jira", Production, "", "a1", NOW).await
        })
        .await;
        let status = async || store.binding_statuses(ORG, "jira", "jira", "").await.unwrap()[0].status;
        assert_eq!(status().await, ConnectionStatus::NotConnected);
        let read = store.authorization(ORG, "a1").await.unwrap().unwrap();
        assert!(read.setup_pending && !read.named && read.status == ConnectionStatus::Connected);

        let chosen = Authorization {
            attributes: [("setup.site".to_owned(), "s1".to_owned())].into(),
            setup_pending: false,
            ..read.clone()
        };
        assert!(change(&store, async |tx| tx.set_up_authorization(&chosen, at(3)).await).await);
        assert!(
            !change(&store, async |tx| tx.set_up_authorization(&chosen, at(4)).await).await,
            "an old version"
        );
        let elsewhere = Authorization { organization_id: OTHER.to_owned(), version: 2, ..chosen.clone() };
        assert!(!change(&store, async |tx| tx.set_up_authorization(&elsewhere, at(4)).await).await);
        assert_eq!(status().await, ConnectionStatus::Connected);
        let read = store.authorization(ORG, "a1").await.unwrap().unwrap();
        assert_eq!((read.attributes, read.version), (chosen.attributes, 2));

        // Whoever renames it has named it.
        change(&store, async |tx| tx.rename_authorization(ORG, "a1", "Ours", at(5)).await).await;
        assert!(store.authorization(ORG, "a1").await.unwrap().unwrap().named);
    })
    .await;
}
