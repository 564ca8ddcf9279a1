//! Death in the middle: what was acknowledged is there, what was under way ends truthfully.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use jackfield_sandbox::Fault;
use serde_json::json;

use crate::support::{Answer, Home, Server};
use crate::world::{Plugged, at_refresh, presentations, refreshes, tolerant, until};

/// Ends every connection to a PostgreSQL database.
pub const CUT: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()";

/// From now on a PostgreSQL database can be read only, or written again.
fn read_only(home: &Home, on: bool) {
    let name = home.database_url().rsplit('/').next().unwrap().to_owned();
    let switch =
        if on { "set default_transaction_read_only = on" } else { "reset default_transaction_read_only" };
    home.sql(&format!("begin read write; alter database {name} {switch}; commit"));
    home.sql(CUT);
}

/// Who finishes a refresh whose process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heir {
    /// the same store, served again
    Restarted,
    /// another node that was there all the time
    Neighbour,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_survives_the_death_of_its_process() {
    use Heir::{Neighbour, Restarted};
    let cases = [
        (Home::sqlite(), Restarted, Fault::HangAfterProcessing, true),
        (Home::sqlite(), Restarted, Fault::HangAfterProcessing, false),
        // Killed before the service had done anything: unbroken even where a spent token is not tolerated.
        (Home::sqlite(), Restarted, Fault::Hang, false),
        (Home::postgres(), Restarted, Fault::HangAfterProcessing, true),
        (Home::postgres(), Neighbour, Fault::HangAfterProcessing, true),
        (Home::postgres(), Neighbour, Fault::HangAfterProcessing, false),
        (Home::postgres(), Neighbour, Fault::Hang, false),
    ];
    join_all(cases.into_iter().enumerate().map(async |(n, (home, heir, fault, tolerated))| {
        let name = format!("case {n}: {heir:?} after {fault:?}, tolerated: {tolerated}");
        let sandbox = tolerant(if tolerated { 60 } else { 0 }).await;
        let server = home.start();
        let key = server.key.clone();
        let neighbour = (heir == Neighbour).then(|| home.serve(&key));
        let plugged = Plugged::expired(&server, &sandbox, "sandbox").await;
        sandbox.handle.set_fault_at(at_refresh(), fault.clone(), Some(1));
        let call = plugged.call_beside(&server);
        // It is out: nobody knows any more whether the token is spent.
        until(&name, async || (refreshes(&sandbox) == 1).then_some(())).await;
        server.kill();
        assert!(call.await.unwrap().is_err(), "{name}");
        let heir = neighbour.unwrap_or_else(|| home.serve(&key));
        // Nobody asks: the heir sees to it by itself, for services that tolerate reuse do so for seconds.
        let view = until(&name, async || {
            let view = plugged.view(&heir).await;
            let over = view["status"] != "connected" || !view["last_refreshed_at"].is_null();
            over.then_some(view)
        })
        .await;
        let answer = plugged.call(&heir).await;
        if tolerated || fault == Fault::Hang {
            assert_eq!(view["status"], "connected", "{name}: {view}");
            assert_eq!(answer.expect(200)["status"], 200, "{name}");
        } else {
            assert_eq!(view["status"], "reauthorization_required", "{name}");
            assert!(view["reason"].as_str().unwrap().starts_with("invalid_grant"), "{name}: {view}");
            answer.problem(409, "reauthorization_required");
        }
        assert_eq!(presentations(&sandbox), [2], "{name}");
        sandbox.handle.release();
    }))
    .await;
}

/// Killed at both presentations: there is no third.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_not_presented_a_third_time_after_two_deaths() {
    let home = Home::sqlite();
    let sandbox = tolerant(60).await;
    let mut server = home.start();
    let key = server.key.clone();
    let plugged = Plugged::expired(&server, &sandbox, "sandbox").await;
    sandbox.handle.set_fault_at(at_refresh(), Fault::HangAfterProcessing, Some(2));
    let call = plugged.call_beside(&server);
    for died in 1..=2 {
        until("a presentation", async || (refreshes(&sandbox) == died).then_some(())).await;
        server.kill();
        server = home.serve(&key);
    }
    assert!(call.await.unwrap().is_err());
    // Enough for the background to look several times.
    for _ in 0..3 {
        let answer = plugged.call(&server).await;
        assert_ne!(answer.status, 200, "{}", answer.text);
        assert!(answer.json()["detail"].as_str().unwrap().contains("eauthorize"), "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(presentations(&sandbox), [2]);
}

/// What somebody was told is there.
#[derive(Clone, Debug)]
enum Acknowledged {
    Connection(String),
    Key(String),
    Authorization { connection: String, id: String },
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_kill() {
    let sandbox = tolerant(0).await;
    join_all(Home::both().into_iter().map(async |home| {
        let mut server = Arc::new(home.start());
        let first = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
        let told: Arc<Mutex<Vec<Acknowledged>>> = Arc::default();
        for round in 0..6 {
            let before = told.lock().unwrap().len();
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    tokio::spawn(write(Arc::clone(&server), writer, first.clone(), Arc::clone(&told)))
                })
                .collect();
            // A different moment each time, always with writes under way.
            let enough = before + 3 + round * 4;
            until("some writes", async || (told.lock().unwrap().len() >= enough).then_some(())).await;
            assert!(
                std::process::Command::new("kill")
                    .args(["-KILL", &server.pid().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
            for writer in writers {
                writer.await.unwrap();
            }
            let key = server.key.clone();
            drop(server);
            server = Arc::new(home.serve(&key));
            let told = told.lock().unwrap().clone();
            for one in &told[before..] {
                check(&server, one).await;
            }
        }
        let told = told.lock().unwrap().clone();
        for one in &told {
            check(&server, one).await;
        }
    }))
    .await;
}

/// Writes one after another until nobody answers.
async fn write(server: Arc<Server>, writer: usize, connection: String, told: Arc<Mutex<Vec<Acknowledged>>>) {
    let ask = async |path: &str, body: serde_json::Value| {
        let request = server.request("POST", path).header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await.ok()?;
        let answer = Answer::of(response).await;
        // Cut off in the middle of an answer: nobody was told anything.
        (!answer.text.is_empty()).then(|| answer.expect(201))
    };
    for n in 0.. {
        let name = format!("{writer} {n} {}", server.pid());
        let acknowledged = match writer {
            0 => ask("/v1/connections", json!({"connector": "sandbox_api_key", "name": name}))
                .await
                .map(|made| Acknowledged::Connection(made["link_name"].as_str().unwrap().to_owned())),
            1 => ask("/v1/me/keys", json!({"name": name}))
                .await
                .map(|made| Acknowledged::Key(made["key"].as_str().unwrap().to_owned())),
            _ => {
                let path = format!("/v1/connections/{connection}/authorizations");
                let credentials = json!({"api_key": jackfield_sandbox::ADA_API_KEY});
                ask(&path, json!({"account_name": name, "credentials": credentials})).await.map(|made| {
                    let id = made["authorization"]["id"].as_str().unwrap().to_owned();
                    Acknowledged::Authorization { connection: connection.clone(), id }
                })
            }
        };
        let Some(acknowledged) = acknowledged else { return };
        told.lock().unwrap().push(acknowledged);
    }
}

async fn check(server: &Server, acknowledged: &Acknowledged) {
    match acknowledged {
        Acknowledged::Connection(link) => {
            server.get(&format!("/v1/connections/{link}")).await.expect(200);
        }
        Acknowledged::Key(key) => {
            let me = server.with_key(key).api("GET", "/v1/me", serde_json::Value::Null).await.expect(200);
            assert_eq!(me["email"], "ada@acme.example");
        }
        Acknowledged::Authorization { connection, id } => {
            let view =
                server.get(&format!("/v1/connections/{connection}/authorizations/{id}")).await.expect(200);
            assert_eq!(view["status"], "connected", "{view}");
        }
    }
}

/// A token that cannot be stored is not asked for: what a single-use refresh token brings would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_spent_while_the_store_cannot_be_written() {
    let home = Home::postgres();
    let sandbox = tolerant(0).await;
    let server = home.start();
    let plugged = Plugged::expired(&server, &sandbox, "sandbox").await;
    read_only(&home, true);
    for _ in 0..5 {
        let answer = plugged.call(&server).await;
        answer.problem(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(refreshes(&sandbox), 0, "the token endpoint was asked");
    read_only(&home, false);
    until("its mend", async || (plugged.call(&server).await.status == 200).then_some(())).await;
    assert_eq!(presentations(&sandbox), [1]);
    assert_eq!(plugged.view(&server).await["status"], "connected");
}

/// The database goes away between the question and the answer: the received token is kept until it can be stored.
#[tokio::test(flavor = "multi_thread")]
async fn a_received_token_waits_for_the_store() {
    let home = Home::postgres();
    let sandbox = tolerant(0).await;
    let server = home.start();
    let plugged = Plugged::expired(&server, &sandbox, "sandbox").await;
    sandbox.handle.set_fault_at(at_refresh(), Fault::HangAfterProcessing, Some(1));
    let call = plugged.call_beside(&server);
    until("the question", async || (refreshes(&sandbox) == 1).then_some(())).await;
    read_only(&home, true);
    sandbox.handle.release();
    until("a failed attempt to store", async || {
        server.log().contains("a received token could not be stored").then_some(())
    })
    .await;
    read_only(&home, false);
    let answer = Answer::of(call.await.unwrap().unwrap()).await;
    assert_eq!(answer.expect(200)["status"], 200, "{}", answer.text);
    assert_eq!(presentations(&sandbox), [1], "it was asked for once");
    let view = plugged.view(&server).await;
    assert_eq!((&view["status"], &view["reason"]), (&json!("connected"), &serde_json::Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_finishes_what_is_running() {
    let sandbox = tolerant(0).await;
    join_all(Home::both().into_iter().map(async |home| {
        let mut server = home.start();
        let plugged = Plugged::new(&server, &sandbox, "sandbox", None).await;
        let slow = |path: String, body: Option<serde_json::Value>| {
            let request = server.request(if body.is_some() { "POST" } else { "GET" }, &path);
            let request = match body {
                Some(body) => request.header("content-type", "application/json").body(body.to_string()),
                None => request,
            };
            tokio::spawn(async move { Answer::of(request.send().await.unwrap()).await })
        };
        sandbox.handle.reset_counters();
        let invoke = json!({"method": "GET", "url": "/slow?ms=1500", "detailed": true});
        let invoked = slow(format!("/v1/connections/{}/invoke", plugged.connection), Some(invoke));
        let proxied = slow(format!("/v1/proxy/{}/slow?ms=1500", plugged.connection), None);
        until("both calls", async || {
            (sandbox.handle.counters().api_calls.get("/api/v1/slow").copied() >= Some(2)).then_some(())
        })
        .await;
        server.terminate();
        let (invoked, proxied) = (invoked.await.unwrap(), proxied.await.unwrap());
        assert_eq!(invoked.expect(200)["body"]["waited_ms"], 1500);
        assert_eq!(proxied.expect(200)["waited_ms"], 1500);
        let status = tokio::task::block_in_place(|| server.wait());
        assert!(status.success(), "{status}: {}", server.log());
        // What it did is recorded.
        let key = server.key.clone();
        drop(server);
        let server = home.serve(&key);
        let calls = server.get(&format!("/v1/connections/{}/calls", plugged.connection)).await.expect(200);
        let paths: Vec<_> =
            calls["items"].as_array().unwrap().iter().map(|call| call["path"].to_string()).collect();
        assert_eq!(paths.iter().filter(|path| path.contains("/slow")).count(), 2, "{calls}");
    }))
    .await;
}
