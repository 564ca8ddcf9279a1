//! What stands on the first page.

use jackfield_core::{ConnectionStatus, Environment, Level};
use jackfield_store::{Authorization, Connection, Lease, Rate};

use super::{NOW, ORG, OTHER, at, authorization, change, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn rates_of_calls_add_up() {
    on_both(async |store| {
        let rate = |half_hour, speed, calls, failed| Rate {
            half_hour,
            speed,
            calls,
            failed,
            timed: calls,
            took: calls * 100,
            service: calls * 90,
        };
        let (live, stage) = (Environment::Production, Environment::Stage);
        change(&store, async |tx| {
            tx.add_rate(ORG, "", live, rate(10, 4, 2, 1)).await?;
            tx.add_rate(ORG, "", live, rate(10, 4, 3, 0)).await?;
            tx.add_rate(ORG, "", live, rate(10, 5, 1, 1)).await?;
            tx.add_rate(ORG, "", live, rate(9, 4, 7, 0)).await?;
            tx.add_rate(ORG, "", stage, rate(10, 4, 9, 0)).await?;
            tx.add_rate(ORG, "mail", live, rate(10, 4, 8, 0)).await?;
            tx.add_rate(OTHER, "", live, rate(10, 4, 6, 0)).await
        })
        .await;
        assert_eq!(
            store.call_rates(ORG, "", live, 10).await.unwrap(),
            [rate(10, 4, 5, 1), rate(10, 5, 1, 1)]
        );
        assert_eq!(store.call_rates(ORG, "", live, 0).await.unwrap().len(), 3);
        assert_eq!(store.call_rates(ORG, "mail", live, 0).await.unwrap(), [rate(10, 4, 8, 0)]);
        assert!(store.call_rates(ORG, "", live, 11).await.unwrap().is_empty());
        assert_eq!(change(&store, async |tx| tx.prune_rates(10).await).await, 1);
        assert_eq!(change(&store, async |tx| tx.prune_rates(10).await).await, 0);
        assert_eq!(store.call_rates(ORG, "", live, 0).await.unwrap().len(), 2);
        change(&store, async |tx| tx.delete_rates(ORG, "mail").await).await;
        assert!(store.call_rates(ORG, "mail", live, 0).await.unwrap().is_empty());
        assert_eq!(store.call_rates(ORG, "", live, 0).await.unwrap().len(), 2, "those of all stay");
    })
    .await;
}

fn connection(organization: &str, link_name: &str, level: Level) -> Connection {
    Connection {
        organization_id: organization.to_owned(),
        link_name: link_name.to_owned(),
        id: format!("con_{link_name}"),
        name: format!("The {link_name}"),
        connector: "crm".to_owned(),
        connector_version: None,
        level,
        scopes: Vec::new(),
        parameters: [].into(),
        secrets: None,
        same_authorization: false,
        enabled: link_name != "off",
        applications: vec!["*".to_owned()],
        created_by: "mem_1".to_owned(),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_somebody_and_who_uses_what() {
    on_both(async |store| {
        let (live, stage) = (Environment::Production, Environment::Stage);
        change(&store, async |tx| {
            for (link_name, level) in
                [("mail", Level::Admin), ("crm", Level::Admin), ("own", Level::User), ("off", Level::Admin)]
            {
                tx.insert_connection(&connection(ORG, link_name, level)).await?;
            }
            tx.insert_connection(&connection(OTHER, "mail", Level::Admin)).await?;
            let ends = |id: &str, seconds| Authorization {
                refreshable: false,
                expires_at: Some(at(seconds)),
                refresh_at: None,
                ..authorization(ORG, id, "crm", "mem_1")
            };
            tx.insert_authorization(&authorization(ORG, "auth_1", "crm", "mem_1")).await?;
            tx.insert_authorization(&ends("auth_2", 60)).await?;
            tx.insert_authorization(&ends("auth_3", 30)).await?;
            tx.insert_authorization(&authorization(OTHER, "auth_1", "crm", "mem_1")).await?;
            tx.bind(ORG, "mail", live, "", "auth_1", NOW).await?;
            tx.bind(ORG, "own", live, "mem_1", "auth_2", NOW).await?;
            tx.bind(ORG, "off", live, "", "auth_3", NOW).await?;
            tx.bind(OTHER, "mail", live, "", "auth_1", NOW).await?;
            let used = ["mail", "crm", "own", "off"].map(str::to_owned);
            tx.put_component(ORG, "portal", "workflow:orders", &used, NOW).await?;
            tx.put_component(ORG, "portal", "workflow:more", &used[..1], NOW).await?;
            for organization in [ORG, OTHER] {
                let lease = Lease {
                    organization_id: organization.to_owned(),
                    authorization_id: "auth_1".to_owned(),
                    credential_version: 1,
                    holder: "x".to_owned(),
                };
                assert!(tx.take_lease(&lease, at(9), NOW, true).await?);
                if organization == ORG {
                    assert!(tx.break_credential(&lease, "revoked", at(5)).await?);
                }
            }
            Ok(())
        })
        .await;

        let again = store.needing_again(ORG, live, "", 9).await.unwrap();
        assert_eq!(again.len(), 1);
        let found = again[0].authorization.clone().unwrap();
        assert_eq!(
            (again[0].connection.as_str(), again[0].name.as_str(), again[0].at),
            ("mail", "The mail", at(5))
        );
        assert_eq!(
            (found.owner.as_str(), found.owner_name, found.reason.as_deref()),
            ("mem_1", None, Some("revoked"))
        );
        assert_eq!(store.needing_again(ORG, live, "mem_1", 9).await.unwrap().len(), 1);
        assert!(store.needing_again(ORG, live, "mem_2", 9).await.unwrap().is_empty());
        assert!(store.needing_again(ORG, stage, "", 9).await.unwrap().is_empty());
        assert!(store.needing_again(OTHER, live, "", 9).await.unwrap().is_empty());

        // What is disabled needs nobody.
        let soon = async |before| store.needing_soon(ORG, live, "", 9, at(before)).await.unwrap();
        assert_eq!(soon(61).await.iter().map(|n| n.connection.as_str()).collect::<Vec<_>>(), ["own"]);
        assert!(soon(60).await.is_empty());

        let first = async |environment| {
            let found = store.needing_first(ORG, environment, 9).await.unwrap();
            found.into_iter().map(|needs| needs.connection).collect::<Vec<_>>()
        };
        assert_eq!(first(live).await, ["crm"]);
        assert_eq!(first(stage).await, ["crm", "mail"]);
        assert_eq!(store.needing_first(ORG, stage, 1).await.unwrap().len(), 1);

        let drawn = store.drawn(ORG, live, "mem_1", true, 9).await.unwrap();
        let seen: Vec<_> =
            drawn.iter().map(|one| (one.link_name.as_str(), one.status, one.enabled)).collect();
        let (connected, again) = (ConnectionStatus::Connected, ConnectionStatus::ReauthorizationRequired);
        assert_eq!(
            seen,
            [
                ("crm", None, true),
                ("mail", Some(again), true),
                ("off", Some(connected), false),
                ("own", Some(connected), true)
            ]
        );
        assert_eq!(store.drawn(ORG, live, "mem_2", true, 9).await.unwrap()[3].status, None, "each his own");
        assert_eq!(store.drawn(ORG, live, "", true, 2).await.unwrap().len(), 2);
        assert!(store.drawn(OTHER, live, "", true, 9).await.unwrap().is_empty());
        assert_eq!(store.drawn(OTHER, live, "", false, 9).await.unwrap().len(), 1);
        let lines = store.drawn_lines(ORG, "crm", "mail", 9).await.unwrap();
        assert_eq!(lines.iter().map(|l| l.connection.as_str()).collect::<Vec<_>>(), ["crm", "mail"]);
        assert_eq!((lines[0].application.as_str(), lines[0].name.as_str()), ("portal", "portal"));
        assert_eq!(
            (store.count_connections(ORG).await.unwrap(), store.count_connections("org_9").await.unwrap()),
            (4, 0)
        );
    })
    .await;
}
