//! Applications, access, components, references.

use jackfield_core::{ConnectionStatus, Environment, KeyScopes, Level, Role};
use jackfield_store::{
    ApiKey, Application, Authorization, Connection, ConnectionFilter, KeyOwner, Lease, Member, Reference,
    StatusFilter,
};

use super::{NOW, ORG, OTHER, at, authorization, change, failing, on_both};

fn application(organization: &str, link_name: &str) -> Application {
    Application {
        organization_id: organization.to_owned(),
        link_name: link_name.to_owned(),
        id: format!("app_{link_name}"),
        name: "Vendor portal".to_owned(),
        description: "for vendors".to_owned(),
        created_by: "mem_1".to_owned(),
        created_at: at(-5),
        updated_at: NOW,
        version: 1,
    }
}

fn connection(organization: &str, link_name: &str, level: Level, applications: &[&str]) -> Connection {
    Connection {
        organization_id: organization.to_owned(),
        link_name: link_name.to_owned(),
        id: format!("con_{link_name}"),
        name: "A connection".to_owned(),
        connector: if link_name.starts_with('m') { "mail" } else { "books" }.to_owned(),
        connector_version: None,
        level,
        scopes: Vec::new(),
        parameters: [].into(),
        secrets: None,
        same_authorization: false,
        enabled: true,
        applications: applications.iter().map(|&name| name.to_owned()).collect(),
        created_by: "mem_1".to_owned(),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    }
}

fn reference(application: &str, component: &str) -> Reference {
    Reference { application: application.to_owned(), component: component.to_owned() }
}

fn names(connections: Vec<Connection>) -> Vec<String> {
    connections.into_iter().map(|connection| connection.link_name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_and_access() {
    on_both(async |store| {
        change(&store, async |tx| {
            for link_name in ["b", "a", "a_b", "ab"] {
                tx.insert_application(&application(ORG, link_name)).await?;
            }
            tx.insert_application(&application(OTHER, "b")).await
        })
        .await;
        let twin = Application { id: "app_x".to_owned(), ..application(ORG, "b") };
        let error = failing(&store, async |tx| tx.insert_application(&twin).await).await;
        assert!(error.is_unique("applications_pkey"), "{error:?}");

        let read = store.application(ORG, "b").await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", application(ORG, "b")));
        let by_id = store.application_by_id(ORG, "app_b").await.unwrap().unwrap();
        assert_eq!(format!("{by_id:?}"), format!("{read:?}"));
        assert!(store.application(OTHER, "a").await.unwrap().is_none());
        assert!(store.application_by_id(OTHER, "app_a").await.unwrap().is_none());

        let first = Application {
            name: "Portal".to_owned(),
            description: String::new(),
            updated_at: at(1),
            ..read.clone()
        };
        assert!(change(&store, async |tx| tx.update_application(&first).await).await);
        assert!(!change(&store, async |tx| tx.update_application(&read).await).await, "an old version");
        let read = store.application(ORG, "b").await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", Application { version: 2, ..first }));
        assert_eq!(store.application(OTHER, "b").await.unwrap().unwrap().version, 1);
        // To hold it is no change.
        assert!(change(&store, async |tx| tx.hold_application(ORG, "b").await).await);
        assert!(!change(&store, async |tx| tx.hold_application(ORG, "nothing").await).await);
        let held = store.application(ORG, "b").await.unwrap().unwrap();
        assert_eq!(format!("{held:?}"), format!("{read:?}"));

        for (organization, id, role) in
            [(ORG, "mem_1", Role::SuperAdmin), (ORG, "mem_2", Role::User), (OTHER, "mem_1", Role::User)]
        {
            let member = Member {
                organization_id: organization.to_owned(),
                id: id.to_owned(),
                email: format!("{id}@example.com"),
                name: "Ann".to_owned(),
                role,
                password: String::new(),
                active: role != Role::User,
                created_at: NOW,
                joined_at: Some(NOW),
                last_seen_at: None,
                version: 1,
            };
            change(&store, async |tx| tx.insert_member(&member).await).await;
        }
        let grant = async |application: &str, member: &str| {
            change(&store, async |tx| tx.grant_access(ORG, application, member, at(3)).await).await
        };
        assert!(grant("b", "mem_2").await && grant("b", "mem_1").await && grant("a_b", "mem_2").await);
        assert!(!grant("b", "mem_2").await, "he has it");
        let access = store.access(ORG, "b", "", 9).await.unwrap();
        let found: Vec<_> = access.iter().map(|a| (a.member_id.as_str(), a.role, a.active)).collect();
        assert_eq!(found, [("mem_1", Role::SuperAdmin, true), ("mem_2", Role::User, false)]);
        assert_eq!((access[1].name.as_str(), access[1].created_at), ("Ann", at(3)));
        assert_eq!(store.access(ORG, "b", "mem_1", 9).await.unwrap().len(), 1);
        assert_eq!(store.access(ORG, "b", "", 1).await.unwrap().len(), 1);
        assert!(store.access(OTHER, "b", "", 9).await.unwrap().is_empty());
        assert!(store.has_access(ORG, "b", "mem_2").await.unwrap());
        assert!(!store.has_access(ORG, "a", "mem_2").await.unwrap());
        assert!(!store.has_access(OTHER, "b", "mem_2").await.unwrap());

        let list = async |member: &str, after: &str, limit| {
            let found = store.applications(ORG, member, after, limit).await.unwrap();
            found.into_iter().map(|a| a.link_name).collect::<Vec<_>>()
        };
        assert_eq!(list("", "", 9).await, ["a", "a_b", "ab", "b"]);
        assert_eq!(list("", "a", 2).await, ["a_b", "ab"]);
        assert_eq!(list("mem_2", "", 9).await, ["a_b", "b"]);
        assert_eq!(list("mem_3", "", 9).await, [""; 0]);

        let withdraw = async |organization: &str, member: &str| {
            change(&store, async |tx| tx.withdraw_access(organization, "b", member).await).await
        };
        assert!(!withdraw(OTHER, "mem_2").await && withdraw(ORG, "mem_2").await);
        assert!(!withdraw(ORG, "mem_2").await);
        assert_eq!(list("mem_2", "", 9).await, ["a_b"]);
        grant("b", "mem_2").await;
        change(&store, async |tx| tx.withdraw_access_of(OTHER, "mem_2").await).await;
        assert_eq!(list("mem_2", "", 9).await, ["a_b", "b"]);
        change(&store, async |tx| tx.withdraw_access_of(ORG, "mem_2").await).await;
        assert_eq!(list("mem_2", "", 9).await, [""; 0]);
        assert!(store.has_access(ORG, "b", "mem_1").await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn components_and_references() {
    on_both(async |store| {
        change(&store, async |tx| {
            for link_name in ["b", "portal"] {
                tx.insert_application(&application(ORG, link_name)).await?;
            }
            tx.insert_application(&application(OTHER, "portal")).await?;
            tx.grant_access(ORG, "b", "mem_2", NOW).await?;
            tx.insert_connection(&connection(ORG, "mail", Level::User, &["*"])).await?;
            tx.insert_connection(&connection(ORG, "mail_2", Level::Admin, &["b", "portal"])).await?;
            tx.insert_connection(&connection(ORG, "more", Level::User, &["portal_2", "xportal"])).await?;
            tx.insert_connection(&connection(ORG, "books", Level::User, &["portal"])).await?;
            tx.insert_connection(&connection(ORG, "none", Level::User, &[])).await?;
            tx.insert_connection(&connection(OTHER, "mail", Level::User, &["portal"])).await
        })
        .await;
        let put = async |organization: &str, application: &str, component: &str, used: &[&str], now| {
            let used: Vec<String> = used.iter().map(|&name| name.to_owned()).collect();
            change(&store, async |tx| {
                tx.put_component(organization, application, component, &used, now).await
            })
            .await;
        };
        put(ORG, "portal", "workflow:orders", &["mail", "books"], at(1)).await;
        put(ORG, "portal", "workflow:orders", &["mail", "mail_2"], at(2)).await;
        put(ORG, "portal", "form:orders", &["mail"], at(1)).await;
        put(ORG, "b", "workflow:orders", &["mail"], at(1)).await;
        put(ORG, "b", "report:none", &[], at(1)).await;
        put(OTHER, "portal", "workflow:orders", &["mail"], at(1)).await;

        let read = store.component(ORG, "portal", "workflow:orders").await.unwrap().unwrap();
        assert_eq!((read.created_at, read.updated_at), (at(1), at(2)));
        assert!(store.component(ORG, "portal", "report:none").await.unwrap().is_none());
        let list = async |application: &str, after: &str, limit| {
            let found = store.components(ORG, application, after, limit).await.unwrap();
            found.into_iter().map(|c| c.component).collect::<Vec<_>>()
        };
        assert_eq!(list("portal", "", 9).await, ["form:orders", "workflow:orders"]);
        assert_eq!(list("portal", "form:orders", 9).await, ["workflow:orders"]);
        assert_eq!(list("b", "", 1).await, ["report:none"]);
        let used = store.used_by_components(ORG, "portal", "form:orders", "workflow:orders").await.unwrap();
        let used: Vec<_> = used.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            used,
            [("form:orders", "mail"), ("workflow:orders", "mail"), ("workflow:orders", "mail_2")]
        );
        assert_eq!(
            store.used_by_components(ORG, "portal", "form:orders", "form:orders").await.unwrap().len(),
            1
        );

        // Who uses a connection.
        let uses = async |connection: &str, member: &str, after: Reference, limit| {
            store.references(ORG, connection, member, &after, limit).await.unwrap()
        };
        let (orders, form) = (reference("portal", "workflow:orders"), reference("portal", "form:orders"));
        let first = reference("b", "workflow:orders");
        let none = reference("", "");
        assert_eq!(uses("mail", "", none.clone(), 9).await, [first.clone(), form.clone(), orders.clone()]);
        assert_eq!(uses("mail", "", none.clone(), 2).await, [first.clone(), form.clone()]);
        assert_eq!(uses("mail", "", form.clone(), 9).await, std::slice::from_ref(&orders));
        assert_eq!(uses("mail", "", first.clone(), 9).await, [form, orders.clone()]);
        assert_eq!(uses("mail", "mem_2", none.clone(), 9).await, std::slice::from_ref(&first));
        assert_eq!(uses("books", "", none.clone(), 9).await, [], "what it used before counts no more");
        change(&store, async |tx| {
            assert_eq!(tx.references(ORG, "mail", 1).await?, std::slice::from_ref(&first));
            assert_eq!(tx.references(ORG, "mail_2", 9).await?, std::slice::from_ref(&orders));
            assert_eq!(tx.references(OTHER, "mail_2", 9).await?, []);
            Ok(())
        })
        .await;
        let counts = store.reference_counts(ORG, "books", "mail_2").await.unwrap();
        assert_eq!(
            counts.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            [("mail".to_owned(), 3), ("mail_2".to_owned(), 1)].into()
        );

        // Which connections allow an application, and which a component uses.
        let allowing = async |application: &str, level, connector: &str, after: &str, limit| {
            let filter = ConnectionFilter { level, connector, application, ..ConnectionFilter::default() };
            names(store.connections(ORG, &filter, after, limit).await.unwrap())
        };
        assert_eq!(allowing("portal", None, "", "", 9).await, ["books", "mail", "mail_2"]);
        assert_eq!(allowing("portal", None, "", "books", 1).await, ["mail"]);
        assert_eq!(allowing("portal", Some(Level::User), "", "", 9).await, ["books", "mail"]);
        assert_eq!(allowing("portal", None, "mail", "", 9).await, ["mail", "mail_2"]);
        assert_eq!(allowing("portal_2", None, "", "", 9).await, ["mail", "more"]);
        assert_eq!(allowing("p_rtal", None, "", "", 9).await, ["mail"]);
        let of_component = async |component: &str, level, after: &str, limit| {
            names(
                store.connections_of_component(ORG, "portal", component, level, after, limit).await.unwrap(),
            )
        };
        assert_eq!(of_component("workflow:orders", None, "", 9).await, ["mail", "mail_2"]);
        assert_eq!(of_component("workflow:orders", None, "", 1).await, ["mail"]);
        assert_eq!(of_component("workflow:orders", None, "mail", 9).await, ["mail_2"]);
        assert_eq!(of_component("workflow:orders", Some(Level::User), "", 9).await, ["mail"]);
        assert_eq!(of_component("report:none", None, "", 9).await, [""; 0]);

        let hold = async |name: &str| change(&store, async |tx| tx.hold_connection(ORG, name).await).await;
        let holds = async |name: &str| store.holds(ORG, name).await.unwrap().map(|held| held.holds);
        let before = holds("mail").await.unwrap();
        let held = hold("mail").await.unwrap();
        assert_eq!((held.holds, held.connector_version), (before + 1, None));
        assert_eq!((holds("mail").await, holds("nothing").await), (Some(before + 1), None));
        assert!(hold("nothing").await.is_none());
        assert_eq!(store.connection(ORG, "mail").await.unwrap().unwrap().version, 1);

        let delete = async |organization: &str, component: &str| {
            change(&store, async |tx| tx.delete_component(organization, "portal", component).await).await
        };
        assert!(delete(ORG, "form:orders").await && !delete(ORG, "form:orders").await);
        assert_eq!(uses("mail", "", none.clone(), 9).await, [first.clone(), orders]);

        // With the application everything of it goes; the others keep theirs.
        change(&store, async |tx| tx.grant_access(ORG, "portal", "mem_2", NOW).await).await;
        assert!(change(&store, async |tx| tx.delete_application(ORG, "portal").await).await);
        assert!(!change(&store, async |tx| tx.delete_application(ORG, "portal").await).await);
        assert!(store.application(ORG, "portal").await.unwrap().is_none());
        assert_eq!(list("portal", "", 9).await, [""; 0]);
        assert_eq!(uses("mail", "", none, 9).await, [first]);
        assert!(!store.has_access(ORG, "portal", "mem_2").await.unwrap());
        assert!(store.has_access(ORG, "b", "mem_2").await.unwrap());
        assert!(store.application(OTHER, "portal").await.unwrap().is_some());
        assert_eq!(store.components(OTHER, "portal", "", 9).await.unwrap().len(), 1);
        assert_eq!(store.reference_counts(OTHER, "mail", "mail").await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_an_application_and_what_opens_with_its_keys() {
    on_both(async |store| {
        let lists: [(&str, &[&str], &[&str]); 7] = [
            ("alone", &["b"], &[]),
            ("first", &["b", "c"], &["c"]),
            ("last", &["a", "b"], &["a"]),
            ("middle", &["a", "b", "c"], &["a", "c"]),
            ("twice", &["b", "*", "b"], &["*"]),
            ("alike", &["ab", "b_", "bb"], &["ab", "b_", "bb"]),
            ("nobody", &[], &[]),
        ];
        change(&store, async |tx| {
            for (link_name, before, _) in lists {
                tx.insert_connection(&connection(ORG, link_name, Level::Admin, before)).await?;
            }
            tx.insert_connection(&connection(OTHER, "alone", Level::Admin, &["b"])).await
        })
        .await;
        let mut told = change(&store, async |tx| tx.forget_application(ORG, "b", at(9)).await).await;
        told.sort();
        let told: Vec<_> = told.iter().map(|(name, left)| (name.as_str(), left.join(","))).collect();
        assert_eq!(
            told,
            [
                ("alone", String::new()),
                ("first", "c".to_owned()),
                ("last", "a".to_owned()),
                ("middle", "a,c".to_owned()),
                ("twice", "*".to_owned()),
            ]
        );
        for (link_name, before, after) in lists {
            let read = store.connection(ORG, link_name).await.unwrap().unwrap();
            assert_eq!(read.applications, after, "{link_name}");
            let version = if before == after { 1 } else { 2 };
            assert_eq!(read.version, version, "{link_name}");
        }
        assert_eq!(store.connection(OTHER, "alone").await.unwrap().unwrap().applications, ["b"]);

        // Keys.
        let key = |organization: &str, id: &str, application: &str| ApiKey {
            organization_id: organization.to_owned(),
            id: id.to_owned(),
            owner: KeyOwner::Application { id: application.to_owned(), environment: Environment::Production },
            scopes: KeyScopes::APPLICATION,
            name: "server".to_owned(),
            hint: "jfa_ab".to_owned(),
            created_at: NOW,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        change(&store, async |tx| {
            for (n, id) in (1..).zip(["key_1", "key_2", "key_3"]) {
                tx.insert_key(&key(ORG, id, "app_1"), &[n; 32]).await?;
            }
            tx.insert_key(&key(ORG, "key_4", "app_2"), &[4; 32]).await?;
            tx.insert_key(&key(OTHER, "key_1", "app_1"), &[5; 32]).await
        })
        .await;
        let ids = async |after: &str, limit| {
            let found = store.application_keys(ORG, "app_1", after, limit).await.unwrap();
            found.into_iter().map(|key| key.id).collect::<Vec<_>>()
        };
        assert_eq!(ids("", 9).await, ["key_1", "key_2", "key_3"]);
        assert_eq!(ids("key_1", 1).await, ["key_2"]);
        change(&store, async |tx| tx.revoke_key(ORG, "key_2", at(1)).await).await;
        assert_eq!(ids("", 9).await, ["key_1", "key_3"]);
        let mut ended =
            change(&store, async |tx| tx.revoke_application_keys(ORG, "app_1", at(2)).await).await;
        ended.sort();
        assert_eq!(ended, ["key_1", "key_3"]);
        assert_eq!(ids("", 9).await, [""; 0]);
        assert_eq!(store.key(ORG, "key_2").await.unwrap().unwrap().revoked_at, Some(at(1)));
        assert_eq!(store.key(ORG, "key_3").await.unwrap().unwrap().revoked_at, Some(at(2)));
        assert!(store.key(ORG, "key_4").await.unwrap().unwrap().revoked_at.is_none());
        assert!(store.key(OTHER, "key_1").await.unwrap().unwrap().revoked_at.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_by_their_status() {
    on_both(async |store| {
        change(&store, async |tx| {
            for id in ["aut_1", "aut_2", "aut_3"] {
                tx.insert_authorization(&authorization(ORG, id, "mail", "mem_1")).await?;
            }
            tx.insert_authorization(&authorization(ORG, "aut_4", "mail", "mem_1")).await?;
            let lease = Lease {
                organization_id: ORG.to_owned(),
                authorization_id: "aut_4".to_owned(),
                credential_version: 1,
                holder: "x".to_owned(),
            };
            assert!(tx.take_lease(&lease, at(9), NOW, true).await?);
            assert!(tx.break_credential(&lease, "revoked", at(5)).await?);
            let waits = Authorization { setup_pending: true, ..authorization(ORG, "aut_5", "mail", "mem_1") };
            tx.insert_authorization(&waits).await?;
            for (connection, environment, member, id) in [
                ("b", Environment::Production, "", "aut_1"),
                ("b", Environment::Stage, "", "aut_2"),
                ("c", Environment::Production, "mem_1", "aut_2"),
                ("c", Environment::Production, "mem_2", "aut_3"),
                ("d", Environment::Production, "", "aut_1"),
                ("e", Environment::Production, "", "aut_4"),
                ("e", Environment::Stage, "", "aut_5"),
                ("f", Environment::Production, "mem_1", "aut_4"),
                ("g", Environment::Production, "", "aut_4"),
            ] {
                tx.bind(ORG, connection, environment, member, id, NOW).await?;
            }
            Ok(())
        })
        .await;
        for (name, enabled) in
            [("a", true), ("b", true), ("c", true), ("d", false), ("e", true), ("f", true), ("g", false)]
        {
            let level = if ["c", "f"].contains(&name) { Level::User } else { Level::Admin };
            let connection = Connection { enabled, ..connection(ORG, name, level, &["*"]) };
            change(&store, async |tx| tx.insert_connection(&connection).await).await;
        }
        let at = async |environment, status: &str, member| {
            let status = match ConnectionStatus::parse(status) {
                Some(status) => Some(StatusFilter::Is(environment, status)),
                None => Some(StatusFilter::Disabled),
            };
            let filter = ConnectionFilter { status, member, ..ConnectionFilter::default() };
            names(store.connections(ORG, &filter, "", 9).await.unwrap())
        };
        let (production, stage) = (Environment::Production, Environment::Stage);
        assert_eq!(at(production, "connected", "mem_1").await, ["b", "c"]);
        assert_eq!(at(production, "connected", "").await, ["b"], "c serves two people, and nobody else");
        assert_eq!(at(production, "not_connected", "").await, ["a", "c", "f"]);
        assert_eq!(at(production, "not_connected", "mem_1").await, ["a"]);
        assert_eq!(at(stage, "connected", "mem_1").await, ["b"]);
        assert_eq!(at(stage, "not_connected", "mem_1").await, ["a", "c", "e", "f"], "one waits for a choice");
        assert_eq!(at(production, "disabled", "mem_1").await, ["d", "g"], "whatever serves it");
        assert_eq!(at(production, "reauthorization_required", "mem_1").await, ["e", "f"]);
        assert_eq!(at(production, "reauthorization_required", "mem_2").await, ["e"]);
        assert_eq!(at(stage, "reauthorization_required", "mem_1").await, [""; 0]);

        let development = Environment::Development;
        change(&store, async |tx| {
            tx.bind(ORG, "a", development, "", "aut_1", NOW).await?;
            assert!(tx.move_bindings(ORG, "b", "aut_2", "aut_3").await? == 1);
            tx.bind(ORG, "c", stage, "mem_1", "aut_1", NOW).await
        })
        .await;
        assert_eq!(at(stage, "not_connected", "mem_1").await, ["a", "e", "f"]);
        assert_eq!(at(development, "not_connected", "mem_1").await, ["b", "c", "e", "f"]);
        change(&store, async |tx| tx.join_environments(ORG, "a", NOW).await).await;
        assert_eq!(at(stage, "not_connected", "mem_1").await, ["e", "f"]);
        change(&store, async |tx| {
            tx.hold(ORG, "b", "aut_3", NOW).await?;
            assert!(tx.let_go(ORG, "b", "aut_3").await?);
            tx.delete_bindings(ORG, "c").await.map(drop)
        })
        .await;
        assert_eq!(at(stage, "not_connected", "mem_1").await, ["b", "c", "e", "f"]);
        assert_eq!(at(production, "not_connected", "mem_1").await, ["c"], "b is served there as before");
        change(&store, async |tx| {
            tx.delete_bindings(ORG, "e").await?;
            assert!(tx.delete_connection(ORG, "e").await?);
            tx.insert_connection(&connection(ORG, "e", Level::User, &["*"])).await?;
            tx.bind(ORG, "e", stage, "mem_1", "aut_1", NOW).await
        })
        .await;
        assert_eq!(
            at(stage, "not_connected", "mem_1").await,
            ["b", "c", "f"],
            "another connection by the same name"
        );
        assert_eq!(at(stage, "not_connected", "mem_2").await, ["b", "c", "e", "f"]);
    })
    .await;
}
