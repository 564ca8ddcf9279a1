//! The audit trail: every change is in it, and nobody alters it unseen.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::start::finish;
use crate::support::{Home, Server};
use crate::upstream::{Upstream, json_reply, key, keyed};

async fn trail(server: &Server, query: &str) -> Vec<Value> {
    let page = server.get(&format!("/v1/audit{query}")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

fn actions(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["action"].as_str().unwrap()).collect()
}

/// One of each change there is about connectors and connections.
async fn busy(server: &Server) -> String {
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let connector = server.connector(keyed("Audited", &upstream.url, &[&upstream.host()])).await;
    let connection = server.connection(json!({"connector": connector, "name": "Audited"})).await;
    server.post("/v1/applications", json!({"name": "Portal"})).await.expect(201);
    server.application("Portal").await;
    let base = format!("/v1/connections/{connection}");
    let made =
        server.post(&format!("{base}/authorizations"), json!({"credentials": key()})).await.expect(201);
    let id = made["authorization"]["id"].as_str().unwrap().to_owned();
    server.api("PATCH", &base, json!({"name": "Renamed", "applications": ["portal"]})).await.expect(200);
    server.post(&format!("{base}/disable"), json!({})).await.expect(200);
    server.post(&format!("{base}/enable"), json!({})).await.expect(200);
    let path = format!("{base}/authorizations/{id}");
    server.api("PATCH", &path, json!({"account_name": "Ours"})).await.expect(200);
    let again = server.post(&format!("{path}/reauthorize"), json!({"credentials": key()})).await.expect(201);
    let again = again["authorization"]["id"].as_str().unwrap();
    server
        .api("PUT", &format!("{base}/bindings/production"), json!({"authorization": again}))
        .await
        .expect(200);
    assert_eq!(
        server.api("DELETE", &format!("{base}/authorizations/{again}"), Value::Null).await.status,
        204
    );
    connection
}

#[tokio::test]
async fn every_change_is_written_down_with_who_and_from_where() {
    for home in Home::both() {
        let server = home.start();
        let me = server.get("/v1/me").await.expect(200);
        let connection = busy(&server).await;
        let rows = trail(&server, &format!("?connection={connection}&limit=100")).await;
        assert_eq!(
            actions(&rows),
            [
                "authorization.revoked",
                "connection.switched",
                "authorization.replaced",
                "authorization.renamed",
                "connection.enabled",
                "connection.disabled",
                "connection.updated",
                "authorization.connected",
                "connection.created",
            ]
        );
        for row in &rows {
            assert_eq!(row["actor"], json!({"kind": "member", "id": me["id"]}), "{row}");
            assert_eq!(row["address"], "127.0.0.1");
            assert!(row["request_id"].as_str().unwrap().starts_with("req_"));
        }
        assert_eq!(rows[6]["detail"], json!({"name": "Renamed", "applications": ["portal"]}));
        assert_eq!(rows[0]["detail"]["account_name"], "Ours");

        // The whole trail is without a gap, from the organization's first day.
        let all = trail(&server, "?limit=200").await;
        let numbers: Vec<i64> = all.iter().rev().map(|row| row["seq"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (1..=i64::try_from(all.len()).unwrap()).collect::<Vec<_>>());
        assert_eq!(all.last().unwrap()["action"], "organization.created");
        assert_eq!(all.last().unwrap()["actor"]["kind"], "operator");

        // Filters.
        assert_eq!(
            actions(&trail(&server, "?action=connector").await),
            ["connector.staged", "connector.created"]
        );
        assert_eq!(trail(&server, "?action=connection.created").await.len(), 1);
        assert_eq!(trail(&server, "?actor=mem_nobody").await.len(), 0);
        let since = rows[2]["at"].as_str().unwrap();
        assert_eq!(trail(&server, &format!("?connection={connection}&from={since}")).await.len(), 3);
        assert_eq!(trail(&server, &format!("?connection={connection}&until={since}")).await.len(), 6);
        server.get("/v1/audit?from=yesterday").await.problem(400, "invalid_request");
        // What a list of something else gave is no cursor here: "6d656d" is "mem".
        server.get("/v1/audit?cursor=6d656d").await.problem(400, "invalid_request");
        let page = server.get("/v1/audit?limit=2").await.expect(200);
        let next =
            trail(&server, &format!("?limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await;
        assert_eq!(next[0]["seq"].as_i64().unwrap() + 2, all[0]["seq"].as_i64().unwrap());

        // The history of the connection tells the same, to whoever may see the connection.
        let history = server.get(&format!("/v1/connections/{connection}/events")).await.expect(200);
        let kinds: BTreeSet<&str> =
            history["items"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
        assert!(
            kinds.contains("connection.disabled") && kinds.contains("authorization.replaced"),
            "{kinds:?}"
        );

        let chain = server.get("/v1/audit/verify").await.expect(200);
        assert_eq!((chain["intact"].as_bool(), chain["rows"].as_u64()), (Some(true), Some(all.len() as u64)));
    }
}

#[tokio::test]
async fn an_altered_removed_or_reordered_row_is_found() {
    let home = Home::postgres();
    let server = home.start();
    busy(&server).await;
    drop(server);
    let verify = || finish(home.command().args(["audit", "verify"]));
    let sound = verify();
    assert!(sound.success && sound.stdout.contains("intact"), "{sound:?}");
    home.sql("create table kept as select * from audit; create table heads as select * from audit_heads");
    for (crime, told) in [
        ("update audit set detail = '{}' where seq = 4", "Row 4 was altered"),
        ("update audit set actor = 'mem_x' where seq = 2", "Row 2 was altered"),
        ("update audit set at = at + 1 where seq = 1", "Row 1 was altered"),
        ("delete from audit where seq = 3", "Row 3 is missing"),
        ("delete from audit where seq = 1", "Row 1 is missing"),
        ("delete from audit where seq > 5", "Row 6 and those after it are missing"),
        (
            "update audit set seq = 100 where seq = 5; update audit set seq = 5 where seq = 6; update audit set seq = 6 where seq = 100",
            "Row 5 was altered",
        ),
        // The end cut off, and the head with it: but nobody can seal it without the key.
        (
            "delete from audit where seq > 5; update audit_heads set seq = 5, hash = (select hash from audit where seq = 5)",
            "not the one that Jackfield sealed",
        ),
        ("delete from audit_heads", "The end of the chain is missing"),
        (
            "delete from audit; delete from audit_heads; insert into audit select * from kept where seq <= 2",
            "The end of the chain is missing",
        ),
    ] {
        home.sql(crime);
        let found = verify();
        assert!(!found.success && found.stdout.contains(told), "{crime}: {found:?}");
        home.sql("delete from audit; insert into audit select * from kept; delete from audit_heads; insert into audit_heads select * from heads");
    }
    assert!(verify().success);
}

#[tokio::test]
async fn the_trail_is_for_admins_and_by_command_line_too() {
    let home = Home::sqlite();
    let server = home.start();
    busy(&server).await;
    let reader = server.post("/v1/me/keys", json!({"name": "Reader", "scopes": ["read"]})).await.expect(201);
    let reader = server.with_key(reader["key"].as_str().unwrap());
    reader.api("GET", "/v1/audit", Value::Null).await.expect(200);
    // A key without a scope does not make one that has it, and does nothing else either.
    let refused = reader.api("POST", "/v1/me/keys", json!({"name": "More"})).await;
    assert!(refused.problem(403, "forbidden")["detail"].as_str().unwrap().contains("`manage`"));
    reader.api("POST", "/v1/connections/audited/disable", json!({})).await.problem(403, "forbidden");
    reader.api("POST", "/v1/connections/audited/invoke", json!({"url": "/"})).await.problem(403, "forbidden");
    let narrow = json!({"name": "Narrow", "scopes": ["manage"]});
    let narrow = server.post("/v1/me/keys", narrow).await.expect(201);
    let narrow = server.with_key(narrow["key"].as_str().unwrap());
    let wide = narrow.api("POST", "/v1/me/keys", json!({"name": "Wide", "scopes": ["use"]})).await;
    wide.problem(422, "invalid_input");
    assert_eq!(wide.fields(), ["scopes"]);

    let run = |arguments: &[&str]| {
        let mut command = home.command();
        command.args(arguments).env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
        finish(&mut command)
    };
    let listed = run(&["audit", "list", "--action", "connection.disabled"]);
    assert!(listed.success && listed.stdout.contains("connection.disabled"), "{listed:?}");
    let exported = run(&["audit", "export"]);
    let rows: Vec<Value> = exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), trail(&server, "?limit=200").await.len());
}
