//! Every route by every kind of principal: what is answered is compared with a table that people have read (`permissions.txt`).
//!
//! `yes` is anything but a refusal: also a conflict, or input that does not fit this state. `no` is 403, `unseen` is 404. Other
//! organizations and strangers are tried in `manners`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::manners::{Operation, Stage, operations};
use crate::support::Home;

const TABLE: &str = include_str!("permissions.txt");
const PRINCIPALS: [&str; 6] = ["super_admin", "admin", "developer", "user", "application", "reader"];

/// A key of this kind of principal.
async fn key_of(stage: &Stage, who: &str) -> String {
    let server = &stage.server;
    match who {
        "super_admin" => server.key.clone(),
        "application" => {
            let every = json!(["read", "use", "act_for"]);
            server.application_key(&stage.application, "production", every).await
        }
        // A super admin's key that may only look.
        "reader" => {
            let made = server.post("/v1/me/keys", json!({"name": "Reader", "scopes": ["read"]})).await;
            made.expect(201)["key"].as_str().unwrap().to_owned()
        }
        role => server.person("Grace", role).await.key,
    }
}

/// Looking before changing, changing before removing, what lies deeper before what holds it.
fn order(operation: &Operation) -> (usize, std::cmp::Reverse<usize>, String) {
    let rank = ["GET", "PUT", "PATCH", "POST", "DELETE"].iter().position(|m| *m == operation.method).unwrap();
    (rank, std::cmp::Reverse(operation.path.matches('/').count()), operation.path.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_by_every_kind_of_principal() {
    let columns = PRINCIPALS.map(|who| {
        tokio::spawn(async move {
            let home = Home::sqlite();
            let stage = Stage::new(&home).await;
            let key = key_of(&stage, who).await;
            let caller = stage.server.with_key(&key);
            let mut all = operations(&stage.server).await;
            all.retain(|operation| !Stage::lets_in(operation));
            all.sort_by_key(order);
            let mut column = Vec::new();
            for operation in &all {
                let path = stage.fill(&operation.path);
                let answer = caller.api(&operation.method, &path, stage.body(operation)).await;
                assert!(answer.status != 401 && answer.status < 500, "{who} {operation:?}: {}", answer.text);
                let cell = match answer.status {
                    403 => "no",
                    404 => "unseen",
                    _ => "yes",
                };
                column.push((format!("{:6} {}", operation.method, operation.path), cell));
                if answer.status == 403 {
                    // Whoever is refused is told why.
                    assert!(
                        answer.json()["detail"].as_str().is_some_and(|why| why.len() > 20),
                        "{}",
                        answer.text
                    );
                }
            }
            column
        })
    });
    let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
    for column in columns {
        for (at, (route, cell)) in column.await.unwrap().into_iter().enumerate() {
            if rows.len() <= at {
                rows.push((route.clone(), Vec::new()));
            }
            assert_eq!(rows[at].0, route);
            rows[at].1.push(cell);
        }
    }
    let mut found =
        format!("{:75} {}\n", "route", PRINCIPALS.map(|who| format!("{who:11}")).join(" ").trim_end());
    for (route, cells) in rows {
        let cells: Vec<String> = cells.into_iter().map(|cell| format!("{cell:11}")).collect();
        let _ = writeln!(found, "{route:75} {}", cells.join(" ").trim_end());
    }
    let (wanted, found): (Vec<&str>, Vec<&str>) = (TABLE.lines().collect(), found.lines().collect());
    let differ: Vec<String> = found
        .iter()
        .filter(|line| !wanted.contains(line))
        .map(|line| format!("+ {line}"))
        .chain(wanted.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}")))
        .collect();
    assert!(
        differ.is_empty(),
        "the table is not what is answered; judge each line, then correct code or table:\n{}",
        differ.join("\n")
    );
}

/// A key that acts for people uses their accounts: whoever could make one for himself could use everybody's.
#[tokio::test]
async fn only_admins_hand_out_keys_that_act_for_people() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let developer = server.person("Grace", "developer").await;
    let developer = server.as_person(&developer);
    let path = format!("/v1/applications/{}/keys", stage.application);
    let made = developer.api("POST", &path, json!({"name": "Mine", "environment": "production"})).await;
    let made = made.expect(201);
    assert_eq!(made["scopes"], json!(["read", "use"]));
    let asked = json!({"name": "More", "environment": "production", "scopes": ["use", "act_for"]});
    let refused = developer.api("POST", &path, asked.clone()).await;
    refused.problem(422, "invalid_input");
    assert_eq!(refused.fields(), ["scopes"]);
    let call = json!({"url": "/x", "acting_for": server.get("/v1/me").await.expect(200)["id"]});
    let key = server.with_key(made["key"].as_str().unwrap());
    key.invoke(&stage.connection, call).await.problem(403, "acting_for_not_allowed");
    assert_eq!(server.post(&path, asked).await.expect(201)["scopes"], json!(["use", "act_for"]));
}

#[tokio::test]
async fn a_key_of_one_application_reaches_nothing_of_another() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let other = server.application("Other").await;
    let key = server.application_key(&other, "stage", Value::Null).await;
    let key = server.with_key(&key);
    for path in ["", "/connections"] {
        key.get(&format!("/v1/applications/{}{path}", stage.application)).await.problem(404, "not_found");
        key.get(&format!("/v1/applications/{other}{path}")).await.expect(200);
    }
    let forbid = json!({"applications": [stage.application]});
    let path = format!("/v1/connections/{}", stage.connection);
    server.api("PATCH", &path, forbid).await.expect(200);
    key.get(&path).await.problem(403, "application_not_allowed");
    key.invoke(&stage.connection, json!({"url": "/x"})).await.problem(403, "application_not_allowed");
    let list = key.get("/v1/connections").await.expect(200);
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|c| c["link_name"].as_str().unwrap()).collect();
    assert!(!names.contains(&stage.connection.as_str()), "{names:?}");
    // The other environments are others' business.
    let call = json!({"url": "/x", "environment": "production"});
    key.invoke("code", call).await.problem(403, "environment_not_allowed");
}
