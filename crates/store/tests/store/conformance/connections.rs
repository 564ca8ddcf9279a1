//! Custom connectors and connections.

use jackfield_core::Level;
use jackfield_store::{Connection, ConnectionFilter, ConnectorVersion, CustomConnector};

use super::{NOW, ORG, OTHER, at, change, failing, on_both};

fn connector(organization: &str, link_name: &str) -> CustomConnector {
    CustomConnector {
        organization_id: organization.to_owned(),
        link_name: link_name.to_owned(),
        name: "Ours".to_owned(),
        document: r#"{"name": "Ours"}"#.to_owned(),
        stage: "draft".to_owned(),
        created_by: "mem_1".to_owned(),
        created_at: at(-5),
        updated_at: NOW,
        version: 1,
        published: None,
    }
}

fn version(organization: &str, link_name: &str, number: i64) -> ConnectorVersion {
    ConnectorVersion {
        organization_id: organization.to_owned(),
        link_name: link_name.to_owned(),
        number,
        document: format!(r#"{{"name": "Ours {number}"}}"#),
        created_by: "mem_1".to_owned(),
        created_at: at(number),
    }
}

fn connection(organization: &str, link_name: &str, connector: &str, level: Level) -> Connection {
    Connection {
        organization_id: organization.to_owned(),
        link_name: link_name.to_owned(),
        id: format!("con_{link_name}"),
        name: "A connection".to_owned(),
        connector: connector.to_owned(),
        connector_version: None,
        level,
        scopes: vec!["read".to_owned(), "write".to_owned()],
        parameters: [("host".to_owned(), "a.example.com".to_owned())].into(),
        secrets: None,
        same_authorization: false,
        enabled: true,
        applications: vec!["*".to_owned()],
        created_by: "mem_1".to_owned(),
        created_at: at(-5),
        updated_at: NOW,
        version: 1,
    }
}

fn same(a: &Connection, b: &Connection) {
    let text =
        |c: &Connection| [&c.organization_id, &c.link_name, &c.id, &c.name, &c.connector].map(String::clone);
    assert_eq!(text(a), text(b));
    assert_eq!(
        (a.level, &a.scopes, &a.parameters, &a.secrets),
        (b.level, &b.scopes, &b.parameters, &b.secrets)
    );
    assert_eq!((a.same_authorization, a.enabled), (b.same_authorization, b.enabled));
    assert_eq!((&a.applications, &a.created_by), (&b.applications, &b.created_by));
    assert_eq!((a.created_at, a.updated_at, a.version), (b.created_at, b.updated_at, b.version));
    assert_eq!(a.connector_version, b.connector_version);
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_and_connections() {
    on_both(async |store| {
        change(&store, async |tx| {
            for link_name in ["b", "a-b", "a_b", "ab"] {
                tx.insert_connector(&connector(ORG, link_name)).await?;
            }
            tx.insert_connector(&connector(OTHER, "b")).await
        })
        .await;
        let error = failing(&store, async |tx| tx.insert_connector(&connector(ORG, "b")).await).await;
        assert!(error.is_unique("connectors_pkey"), "{error:?}");
        let all = store.connectors(ORG).await.unwrap();
        let names: Vec<_> = all.iter().map(|c| c.link_name.as_str()).collect();
        assert_eq!(names, ["a-b", "a_b", "ab", "b"], "by their bytes");
        assert_eq!(store.connectors(OTHER).await.unwrap().len(), 1);
        let read = store.connector(ORG, "b").await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", connector(ORG, "b")));
        assert!(store.connector(OTHER, "ab").await.unwrap().is_none());

        let first = CustomConnector {
            name: "Mine".to_owned(),
            document: "{}".to_owned(),
            stage: "published".to_owned(),
            published: Some(7),
            updated_at: at(1),
            ..read.clone()
        };
        assert!(change(&store, async |tx| tx.update_connector(&first).await).await);
        assert!(!change(&store, async |tx| tx.update_connector(&read).await).await, "an old version");
        let read = store.connector(ORG, "b").await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", CustomConnector { version: 2, ..first }));
        assert_eq!(store.connector(OTHER, "b").await.unwrap().unwrap().version, 1);
        assert!(change(&store, async |tx| tx.delete_connector(ORG, "b").await).await);
        assert!(!change(&store, async |tx| tx.delete_connector(ORG, "b").await).await);
        assert!(store.connector(ORG, "b").await.unwrap().is_none());
        assert!(store.connector(OTHER, "b").await.unwrap().is_some());

        change(&store, async |tx| {
            tx.insert_connection(&connection(ORG, "mail", "google", Level::User)).await?;
            tx.insert_connection(&connection(ORG, "mail-2", "google", Level::Admin)).await?;
            tx.insert_connection(&connection(ORG, "mail_2", "google", Level::User)).await?;
            tx.insert_connection(&connection(ORG, "books", "quickbooks", Level::User)).await?;
            tx.insert_connection(&connection(OTHER, "mail", "google", Level::User)).await
        })
        .await;
        let twin = connection(ORG, "mail", "quickbooks", Level::Admin);
        let error = failing(&store, async |tx| tx.insert_connection(&twin).await).await;
        assert!(error.is_unique("connections_pkey"), "{error:?}");

        let page = async |level, connector: &str, after: &str, limit| {
            let filter = ConnectionFilter { level, connector, ..ConnectionFilter::default() };
            let found = store.connections(ORG, &filter, after, limit).await.unwrap();
            found.into_iter().map(|c| c.link_name).collect::<Vec<_>>()
        };
        assert_eq!(page(None, "", "", 9).await, ["books", "mail", "mail-2", "mail_2"]);
        assert_eq!(page(None, "", "", 2).await, ["books", "mail"]);
        assert_eq!(page(None, "", "mail", 9).await, ["mail-2", "mail_2"]);
        assert_eq!(page(Some(Level::User), "", "", 9).await, ["books", "mail", "mail_2"]);
        assert_eq!(page(Some(Level::User), "google", "", 9).await, ["mail", "mail_2"]);
        assert_eq!(page(Some(Level::System), "", "", 9).await, [""; 0]);
        let named = async |text| {
            let filter = ConnectionFilter { text, ..ConnectionFilter::default() };
            let found = store.connections(ORG, &filter, "", 9).await.unwrap();
            found.into_iter().map(|c| c.link_name).collect::<Vec<_>>()
        };
        assert_eq!(named("MAIL").await, ["mail", "mail-2", "mail_2"]);
        assert_eq!(named("l_2").await, ["mail_2"], "a character that means any means itself");
        assert_eq!(named("%").await, [""; 0]);
        assert_eq!(named("!").await, [""; 0]);
        assert!(store.connection_of_connector(ORG, "google").await.unwrap().unwrap().starts_with("mail"));
        assert_eq!(store.connection_of_connector(ORG, "quickbooks").await.unwrap().unwrap(), "books");
        assert!(store.connection_of_connector(OTHER, "quickbooks").await.unwrap().is_none());
        assert_eq!(store.connectors_used(ORG, 9).await.unwrap(), ["google", "quickbooks"]);
        assert_eq!(store.connectors_used(ORG, 1).await.unwrap(), ["google"]);
        assert_eq!(store.connectors_used(OTHER, 9).await.unwrap(), ["google"]);

        let read = store.connection(ORG, "mail").await.unwrap().unwrap();
        same(&read, &connection(ORG, "mail", "google", Level::User));
        assert!(store.connection(OTHER, "books").await.unwrap().is_none());
        let first = Connection {
            name: "Mail".to_owned(),
            scopes: Vec::new(),
            parameters: [].into(),
            secrets: Some(b"\0sealed".to_vec()),
            same_authorization: true,
            enabled: false,
            applications: vec!["crm".to_owned()],
            connector_version: Some(2),
            updated_at: at(1),
            ..read.clone()
        };
        // Within the transaction the change is seen, outside of it not yet.
        change(&store, async |tx| {
            assert!(tx.update_connection(&first).await?);
            let seen = tx.connection(ORG, "mail").await?.unwrap();
            same(&seen, &Connection { version: 2, ..first.clone() });
            same(&store.connection(ORG, "mail").await?.unwrap(), &read);
            assert!(tx.connection(ORG, "nothing").await?.is_none());
            Ok(())
        })
        .await;
        assert!(!change(&store, async |tx| tx.update_connection(&read).await).await, "an old version");
        same(&store.connection(ORG, "mail").await.unwrap().unwrap(), &Connection { version: 2, ..first });
        assert_eq!(store.connection(OTHER, "mail").await.unwrap().unwrap().version, 1);

        assert!(change(&store, async |tx| tx.delete_connection(ORG, "mail").await).await);
        assert!(!change(&store, async |tx| tx.delete_connection(ORG, "mail").await).await);
        assert!(store.connection(ORG, "mail").await.unwrap().is_none());
        assert!(store.connection(OTHER, "mail").await.unwrap().is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_system_connection_to_a_connector() {
    on_both(async |store| {
        change(&store, async |tx| {
            assert_eq!(tx.system_connection(ORG, "crm").await?, None);
            tx.insert_connection(&connection(ORG, "other", "crm", Level::Admin)).await?;
            tx.insert_connection(&connection(OTHER, "theirs", "crm", Level::System)).await?;
            assert_eq!(tx.system_connection(ORG, "crm").await?, None);
            tx.insert_connection(&connection(ORG, "ours", "crm", Level::System)).await?;
            assert_eq!(tx.system_connection(ORG, "crm").await?.as_deref(), Some("ours"));
            assert_eq!(tx.system_connection(ORG, "books").await?, None);
            Ok(())
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_connectors() {
    on_both(async |store| {
        change(&store, async |tx| {
            tx.insert_connector(&connector(ORG, "ours")).await?;
            tx.insert_connector(&connector(OTHER, "ours")).await?;
            for number in 1..=3 {
                tx.insert_connector_version(&version(ORG, "ours", number)).await?;
            }
            tx.insert_connector_version(&version(ORG, "ours_too", 1)).await?;
            tx.insert_connector_version(&version(OTHER, "ours", 1)).await?;
            for (link_name, on) in [("a", Some(1)), ("b", Some(3)), ("c", Some(3)), ("d", None)] {
                let mut one = connection(ORG, link_name, "ours", Level::Admin);
                one.connector_version = on;
                tx.insert_connection(&one).await?;
            }
            let mut foreign = connection(OTHER, "a", "ours", Level::Admin);
            foreign.connector_version = Some(1);
            tx.insert_connection(&foreign).await
        })
        .await;
        let twin =
            failing(&store, async |tx| tx.insert_connector_version(&version(ORG, "ours", 3)).await).await;
        assert!(twin.is_unique("connector_versions_pkey"), "{twin:?}");
        let read = store.connector_version(ORG, "ours", 2).await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", version(ORG, "ours", 2)));
        assert!(store.connector_version(OTHER, "ours", 2).await.unwrap().is_none());
        let page = async |before, limit| {
            let found = store.connector_versions(ORG, "ours", before, limit).await.unwrap();
            found.into_iter().map(|v| v.number).collect::<Vec<_>>()
        };
        assert_eq!(page(i64::MAX, 9).await, [3, 2, 1]);
        assert_eq!(page(i64::MAX, 2).await, [3, 2]);
        assert_eq!(page(2, 9).await, [1]);
        assert_eq!(store.connector_version_users(ORG, "ours").await.unwrap(), [(1, 1), (3, 2)].into());
        assert_eq!(store.connection(ORG, "b").await.unwrap().unwrap().connector_version, Some(3));
        assert_eq!(store.connection(ORG, "d").await.unwrap().unwrap().connector_version, None);

        assert!(change(&store, async |tx| tx.delete_connector(ORG, "ours").await).await);
        assert_eq!(page(i64::MAX, 9).await, [0; 0], "they go with it");
        assert!(store.connector_version(ORG, "ours_too", 1).await.unwrap().is_some());
        assert!(store.connector_version(OTHER, "ours", 1).await.unwrap().is_some());
    })
    .await;
}
