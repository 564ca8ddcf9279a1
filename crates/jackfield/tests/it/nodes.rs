//! Several nodes on one PostgreSQL: one service.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jackfield_sandbox::{ADA_API_KEY, LIN_API_KEY, Running};
use serde_json::{Value, json};

use crate::crashes::CUT;
use crate::start::{finish, key_setting};
use crate::support::{Answer, Home, Server};
use crate::world::{tolerant, until};

/// With many nodes an acknowledged change is in force on every node within one second.
const EVERYWHERE: Duration = Duration::from_secs(1);

/// Two nodes, and connections that the second one knows by heart.
struct Two {
    home: Home,
    a: Server,
    b: Server,
    sandbox: Running,
}

impl Two {
    async fn new() -> Self {
        let home = Home::postgres();
        let a = home.start();
        let b = home.serve(&a.key);
        let sandbox = tolerant(0).await;
        let all = sandbox.handle.connector_documents_without_defaults(&sandbox.url);
        let mut document = all.into_iter().find(|d| d["link_name"] == "sandbox_api_key").unwrap();
        document["parameters"] =
            json!([{"name": "tenant", "label": "Tenant", "required": true, "in": "header"}]);
        a.connector(document).await;
        Self { home, a, b, sandbox }
    }

    /// A connection with Ada's key; its link name and the authorization.
    async fn plug(&self, name: &str) -> (String, String) {
        let new = json!({"connector": "sandbox_api_key", "name": name, "link_name": name,
            "parameters": {"tenant": "first"}});
        let connection = self.a.connection(new).await;
        let id = self.authorize(&connection, ADA_API_KEY).await;
        (connection, id)
    }

    async fn authorize(&self, connection: &str, key: &str) -> String {
        let path = format!("/v1/connections/{connection}/authorizations");
        let name = format!("{connection} {key}");
        let new = json!({"account_name": name, "credentials": {"api_key": key}});
        let made = self.a.post(&path, new).await.expect(201);
        made["authorization"]["id"].as_str().unwrap().to_owned()
    }

    /// Who calls and how, as the service sees a call through B.
    async fn call(&self, connection: &str) -> Answer {
        self.b.invoke(connection, json!({"method": "GET", "url": "/me/echo"})).await
    }

    /// Calls until B needs no database for it.
    async fn warm(&self, connection: &str) {
        until("a warm call", async || {
            let before = self.b.statements().await;
            assert_eq!(self.call(connection).await.expect(200)["status"], 200);
            // The question after the statements is one itself; records of calls are written in bulk beside.
            (self.b.statements().await <= before + 2).then_some(())
        })
        .await;
    }

    /// From the acknowledgement on, one second is enough.
    async fn soon(&self, what: &str, mut is_in_force: impl AsyncFnMut() -> bool) {
        let acknowledged = Instant::now();
        loop {
            let begun = acknowledged.elapsed();
            if is_in_force().await {
                return;
            }
            assert!(begun < EVERYWHERE, "{what}: not in force on the other node after {begun:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn refused(answer: &Answer, status: u16, code: &str) -> bool {
    answer.status == status && answer.json()["code"] == code
}

async fn changes_reach_the_other_node(two: &Two, round: &str) {
    let (a, b) = (&two.a, &two.b);
    let (plug, ada) = two.plug(&format!("plug_{round}")).await;
    let path = format!("/v1/connections/{plug}");
    two.warm(&plug).await;

    a.post(&format!("{path}/disable"), json!({})).await.expect(200);
    two.soon("disable", async || refused(&two.call(&plug).await, 409, "connection_disabled")).await;
    a.post(&format!("{path}/enable"), json!({})).await.expect(200);
    two.soon("enable", async || two.call(&plug).await.status == 200).await;

    two.warm(&plug).await;
    a.api("PATCH", &path, json!({"parameters": {"tenant": "second"}})).await.expect(200);
    two.soon("a parameter", async || {
        two.call(&plug).await.expect(200)["body"]["headers"]["tenant"] == "second"
    })
    .await;

    let lin = two.authorize(&plug, LIN_API_KEY).await;
    let caller = async || two.call(&plug).await.expect(200)["body"]["caller"]["email"].clone();
    two.soon("a new authorization", async || caller().await == "lin@sandbox.example").await;
    two.warm(&plug).await;
    a.api("PUT", &format!("{path}/bindings/production"), json!({"authorization": ada})).await.expect(200);
    two.soon("a switch", async || caller().await == "ada@sandbox.example").await;

    two.warm(&plug).await;
    assert_eq!(a.api("DELETE", &format!("{path}/authorizations/{ada}"), Value::Null).await.status, 204);
    two.soon("a revocation", async || refused(&two.call(&plug).await, 409, "not_connected")).await;
    a.api("PUT", &format!("{path}/bindings/production"), json!({"authorization": lin})).await.expect(200);
    two.soon("a switch back", async || two.call(&plug).await.status == 200).await;

    let made = a.post("/v1/me/keys", json!({"name": "second"})).await.expect(201);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let other = b.with_key(key);
    let call = json!({"method": "GET", "url": "/companies"});
    let invoke = format!("{path}/invoke");
    other.api("POST", &invoke, call.clone()).await.expect(200);
    assert_eq!(a.api("DELETE", &format!("/v1/me/keys/{id}"), Value::Null).await.status, 204);
    two.soon("a revoked key", async || {
        refused(&other.api("POST", &invoke, call.clone()).await, 401, "key_revoked")
    })
    .await;

    two.warm(&plug).await;
    assert_eq!(a.api("DELETE", &path, Value::Null).await.status, 204);
    two.soon("a deletion", async || two.call(&plug).await.status == 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_change_is_in_force_everywhere_within_a_second() {
    let two = Two::new().await;
    for round in 0..3 {
        changes_reach_the_other_node(&two, &round.to_string()).await;
    }
    // The service's document, for every connection of it.
    let (plug, _) = two.plug("document").await;
    two.warm(&plug).await;
    let patch = json!({"base_url": format!("{}/api/v1/echo", two.sandbox.url)});
    two.a.edit_with_connections("sandbox_api_key", patch).await;
    two.soon("a connector", async || {
        two.call(&plug).await.expect(200)["body"]["path"] == "/api/v1/echo/me/echo"
    })
    .await;
}

/// The connections of both nodes, those on which they hear of changes too, are cut again and again, just before a change.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_went_deaf_is_not_stale() {
    let two = Two::new().await;
    let (plug, _) = two.plug("plug").await;
    for round in 0..8 {
        two.warm(&plug).await;
        let cut = two.home.sql(CUT);
        assert!(cut.trim().parse::<u32>().unwrap() >= 2, "{cut}");
        let step = if round % 2 == 0 { "disable" } else { "enable" };
        two.a.post(&format!("/v1/connections/{plug}/{step}"), json!({})).await.expect(200);
        let status = if round % 2 == 0 { 409 } else { 200 };
        two.soon(step, async || two.call(&plug).await.status == status).await;
        if round % 2 == 0 {
            // Warmth needs a good answer.
            two.a.post(&format!("/v1/connections/{plug}/enable"), json!({})).await.expect(200);
            two.soon("enable", async || two.call(&plug).await.status == 200).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_begin_at_once_agree_on_one_key() {
    let homes = |count: usize| {
        let first = Home::postgres();
        let mut all: Vec<Home> = (1..count).map(|_| first.neighbour()).collect();
        all.push(first);
        all
    };
    // The same key: both serve the one store.
    let same = homes(3).into_iter().map(|home| home.set("JACKFIELD_KEY", &key_setting(1)));
    let served = join_all(same.map(|home| {
        tokio::task::spawn_blocking(move || {
            let server = home.serve("");
            (home, server)
        })
    }))
    .await;
    let served: Vec<(Home, Server)> = served.into_iter().map(Result::unwrap).collect();
    let founder = served[0].0.init();
    for (_, server) in &served {
        let me = server.with_key(&founder.key).api("GET", "/v1/me", Value::Null).await.expect(200);
        assert_eq!(me["email"], founder.email);
    }
    drop(served);

    // Different keys, given or made: one wins, the others refuse.
    for given in [true, false] {
        let different = homes(3).into_iter().enumerate().map(|(n, home)| {
            if given { home.set("JACKFIELD_KEY", &key_setting(u8::try_from(n).unwrap() + 1)) } else { home }
        });
        let ended = join_all(different.map(|home| {
            tokio::task::spawn_blocking(move || {
                let arguments = ["init", "--organization", "Acme", "--email", "ada@acme.example", "--json"];
                let ended = finish(home.command().args(arguments));
                (home, ended)
            })
        }))
        .await;
        let ended: Vec<_> = ended.into_iter().map(Result::unwrap).collect();
        let good: Vec<_> = ended.iter().filter(|(_, ended)| ended.success).collect();
        assert_eq!(good.len(), 1, "{:?}", ended.iter().map(|(_, e)| &e.stderr).collect::<Vec<_>>());
        let winner = &good[0].0;
        let key: Value = serde_json::from_str(&good[0].1.stdout).unwrap();
        let server = winner.serve(key["key"].as_str().unwrap());
        server.get("/v1/me").await.expect(200);
        for (home, ended) in &ended {
            if !ended.success {
                assert!(ended.stderr.contains("JACKFIELD_KEY"), "{}", ended.stderr);
                let refused = finish(home.command().arg("serve"));
                assert!(!refused.success && refused.stderr.contains("JACKFIELD_KEY"), "{}", refused.stderr);
                assert!(!home.path().join("key").exists(), "a key that seals nothing misleads");
            }
        }
    }
}
