//! Versions of custom connectors: connections keep theirs until they are moved, and a move says beforehand what it asks of people.

use std::time::{Duration, Instant};

use jackfield_testkit::postgres::Postgres;
use serde_json::{Value, json};

use crate::pages::{Visitor, error_at, heading, news, words};
use crate::support::{Home, Server, consenting};
use crate::upstream::{Upstream, connected, json_reply, key, keyed};
use crate::world::until;

/// A service that answers with its own name and what was asked.
async fn service(name: &'static str) -> Upstream {
    Upstream::answering(move |asked| json_reply(&json!({"service": name, "id": "1", "start": asked.start})))
        .await
}

async fn edit(server: &Server, connector: &str, patch: Value) {
    server.api("PATCH", &format!("/v1/connectors/{connector}"), patch).await.expect(200);
}

async fn publish(server: &Server, connector: &str) -> Value {
    server.post(&format!("/v1/connectors/{connector}/publish"), json!({})).await.expect(200)
}

fn move_of(connection: &str) -> String {
    format!("/v1/connections/{connection}/move")
}

async fn service_of(server: &Server, connection: &str) -> Value {
    server.invoke(connection, json!({"url": "/x"})).await.expect(200)["body"]["service"].clone()
}

fn paths(of: &Value) -> Vec<&str> {
    of["changes"].as_array().unwrap().iter().map(|change| change["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_connection_stays_on_its_version_until_it_is_moved() {
    for home in Home::both() {
        let server = home.start();
        let (old, new) = (service("old").await, service("new").await);
        let connection = connected(&server, keyed("Crm", &old.url, &[&old.host()]), key()).await;
        let connector = format!("/v1/connectors/{connection}");
        let read = async || server.get(&connector).await.expect(200);
        assert_eq!(read().await["published_version"], 1);
        assert_eq!(service_of(&server, &connection).await, "old");

        // An edit is a draft of the next version: nobody feels it, and a new connection takes what is published.
        edit(&server, &connection, json!({"base_url": new.url, "hosts": [new.host()]})).await;
        let view = read().await;
        assert_eq!((&view["unpublished_changes"], &view["base_url"]), (&json!(true), &json!(new.url)));
        assert_eq!(service_of(&server, &connection).await, "old");
        let other = server.connection(json!({"connector": connection, "name": "Other"})).await;
        let path = format!("/v1/connections/{other}");
        assert_eq!(server.get(&path).await.expect(200)["connector_version"], 1);
        let draft = server.get(&format!("{connector}/diff")).await.expect(200);
        assert_eq!((&draft["from"], &draft["to"]), (&json!("1"), &json!("draft")));
        assert!(paths(&draft).contains(&"base_url"), "{draft}");

        let view = publish(&server, &connection).await;
        assert_eq!((&view["published_version"], &view["unpublished_changes"]), (&json!(2), &json!(false)));
        // Publishing what is published already makes no further version.
        assert_eq!(publish(&server, &connection).await["published_version"], 2);
        let versions = server.get(&format!("{connector}/versions")).await.expect(200);
        let listed: Vec<_> =
            versions["items"].as_array().unwrap().iter().map(|v| (&v["number"], &v["connections"])).collect();
        assert_eq!(listed, [(&json!(2), &json!(0)), (&json!(1), &json!(2))]);
        let first = server.get(&format!("{connector}/versions/1")).await.expect(200);
        assert_eq!(first["document"]["base_url"], old.url);
        let toml = server.get(&format!("{connector}/versions/1/document.toml")).await;
        assert!(toml.text.contains(&old.url), "{}", toml.text);
        server.get(&format!("{connector}/versions/3")).await.problem(404, "not_found");
        let view = server.get(&format!("/v1/connections/{connection}")).await.expect(200);
        assert_eq!((&view["connector_version"], &view["newest_connector_version"]), (&json!(1), &json!(2)));
        assert_eq!(service_of(&server, &connection).await, "old");
        let newer = server.connection(json!({"connector": connection, "name": "Newer"})).await;
        let view = server.get(&format!("/v1/connections/{newer}")).await.expect(200);
        assert_eq!(view["connector_version"], 2);

        // The move says what it asks, and nothing has happened by that.
        let preview = server.get(&move_of(&connection)).await.expect(200);
        assert_eq!((&preview["from"], &preview["to"]), (&json!(1), &json!(2)));
        let renewals = preview["authorizations"].as_array().unwrap();
        assert_eq!(renewals.len(), 1, "{preview}");
        assert!(renewals[0]["reason"].as_str().unwrap().contains(&new.host()), "{preview}");
        assert_eq!(service_of(&server, &connection).await, "old");
        let stale = server.post(&move_of(&connection), json!({"to": 2, "version": 99})).await;
        stale.problem(409, "version_conflict");
        server.post(&move_of(&connection), json!({"to": 7})).await.problem(422, "invalid_input");

        let moved = server.post(&move_of(&connection), json!({"to": 2})).await.expect(200);
        assert_eq!(moved["authorizations"].as_array().unwrap().len(), 1, "{moved}");
        let again = server.post(&move_of(&connection), json!({"to": 2})).await.expect(200);
        assert_eq!(
            (&again["from"], &again["version"]),
            (&json!(2), &moved["version"]),
            "it is there already"
        );
        let broken = server.invoke(&connection, json!({"url": "/x"})).await;
        let problem = broken.problem(409, "reauthorization_required");
        assert!(problem["detail"].as_str().unwrap().contains("version 2"), "{problem}");
        assert!(new.seen().is_empty(), "the old credential went nowhere");

        // Back again: what was given for it serves at once.
        let back = server.post(&move_of(&connection), json!({"to": 1})).await.expect(200);
        assert_eq!(back["returning"].as_array().unwrap().len(), 1, "{back}");
        assert_eq!(service_of(&server, &connection).await, "old");

        // And forth: authorized again, it calls the other.
        let moved = server.post(&move_of(&connection), json!({})).await.expect(200);
        let id = moved["authorizations"][0]["authorization"].as_str().unwrap();
        let path = format!("/v1/connections/{connection}/authorizations/{id}/reauthorize");
        server.post(&path, json!({"credentials": key()})).await.expect(201);
        assert_eq!(service_of(&server, &connection).await, "new");
        let events = server.get(&format!("/v1/connections/{connection}/events")).await.expect(200);
        let moves =
            events["items"].as_array().unwrap().iter().filter(|e| e["kind"] == "connection.moved").count();
        assert_eq!(moves, 3, "{events}");
        // A version in use does not vanish with its connector.
        server.api("DELETE", &connector, Value::Null).await.problem(409, "connector_referenced");
    }
}

#[tokio::test]
async fn new_scopes_are_authorized_again() {
    let home = Home::sqlite();
    let server = home.start();
    let sandbox = consenting().await;
    let name = "sandbox_client_credentials";
    let connection = server.sandbox_connection(&sandbox, name, json!({})).await;
    let path = format!("/v1/connections/{connection}");
    server.post(&format!("{path}/authorizations"), json!({})).await.expect(201);
    let call = async || server.invoke(&connection, json!({"url": "/me"})).await;
    call().await.expect(200);

    let document = server.get(&format!("/v1/connectors/{name}")).await.expect(200);
    let mut scopes = document["scopes"].clone();
    let new =
        scopes.as_array_mut().unwrap().iter_mut().find(|scope| scope["default"] != json!(true)).unwrap();
    let scope = new["name"].as_str().unwrap().to_owned();
    // It was there before, and a connection that did not choose it is not made to.
    new["default"] = json!(true);
    edit(&server, name, json!({"scopes": scopes})).await;
    publish(&server, name).await;
    let preview = server.get(&move_of(&connection)).await.expect(200);
    assert_eq!((&preview["added_scopes"], &preview["authorizations"]), (&json!([]), &json!([])), "{preview}");
    server.post(&move_of(&connection), json!({"scopes": ["no such"]})).await.problem(422, "invalid_input");
    let before = server.get(&path).await.expect(200)["scopes"].clone();
    let mut wanted: Vec<Value> = before.as_array().unwrap().clone();
    wanted.push(json!(scope));
    let moved = server.post(&move_of(&connection), json!({"scopes": wanted})).await.expect(200);
    let renewal = &moved["authorizations"][0];
    assert!(renewal["reason"].as_str().unwrap().contains(&scope), "{moved}");
    call().await.problem(409, "reauthorization_required");
    // In the meantime nobody refreshes it back into service.
    let id = renewal["authorization"].as_str().unwrap();
    server.post(&format!("{path}/authorizations/{id}/reauthorize"), json!({})).await.expect(201);
    call().await.expect(200);
    let held = server.get(&format!("{path}/authorizations")).await.expect(200);
    assert_eq!(held["items"][0]["missing_scopes"], json!([]), "{held}");
    assert!(held["items"][0]["requested_scopes"].as_array().unwrap().contains(&json!(scope)), "{held}");
}

#[tokio::test]
async fn what_is_missing_is_asked_for_by_name() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = service("crm").await;
    let mut document = keyed("Crm", &upstream.url, &[&upstream.host()]);
    document["parameters"] =
        json!([{"name": "old"}, {"name": "edition", "default": "1", "in": "header", "as": "X-Edition"}]);
    let connector = server.connector(document).await;
    let new = json!({"connector": connector, "name": "Crm", "parameters": {"old": "x"}});
    let connection = server.connection(new).await;
    let path = format!("/v1/connections/{connection}/authorizations");
    server.post(&path, json!({"credentials": key()})).await.expect(201);
    edit(
        &server,
        &connector,
        json!({"parameters": [
            {"name": "edition", "default": "2", "in": "header", "as": "X-Edition"},
            {"name": "tenant", "required": true, "in": "header", "as": "X-Tenant"},
            {"name": "pin", "required": true, "secret": true, "in": "header", "as": "X-Pin"},
        ]}),
    )
    .await;
    publish(&server, &connector).await;
    let preview = server.get(&move_of(&connection)).await.expect(200);
    let asked: Vec<_> = preview["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(asked, ["tenant", "pin"]);
    assert_eq!(preview["dropped_parameters"], json!(["old"]));
    assert_eq!(preview["authorizations"], json!([]), "the key is the same");
    let refused = server.post(&move_of(&connection), json!({"parameters": {"tenant": "acme"}})).await;
    let problem = refused.problem(422, "invalid_input");
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| &e["field"]).collect();
    assert_eq!(fields, ["parameters.pin"], "{problem}");
    let unknown = json!({"parameters": {"tenant": "acme", "pin": "1234", "other": "x"}});
    server.post(&move_of(&connection), unknown).await.problem(422, "invalid_input");
    let before = server.get(&format!("/v1/connections/{connection}")).await.expect(200);
    assert_eq!(before["connector_version"], 1, "nothing was done by halves");

    let given = json!({"parameters": {"tenant": "acme", "pin": "1234"}});
    let moved = server.post(&move_of(&connection), given).await;
    assert!(!moved.text.contains("1234"), "{}", moved.text);
    moved.expect(200);
    server.invoke(&connection, json!({"url": "/x"})).await.expect(200);
    let seen = upstream.seen().pop().unwrap();
    let header =
        |name: &str| seen.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    // What was left at its default goes with the version.
    assert_eq!(
        (header("X-Tenant"), header("X-Pin"), header("X-Edition")),
        (Some("acme"), Some("1234"), Some("2"))
    );
    let view = server.get(&format!("/v1/connections/{connection}")).await.expect(200);
    assert_eq!(view["parameters"]["pin"], json!({"set": true}));
}

#[tokio::test]
async fn what_is_built_with_it_stands_in_the_way() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = service("crm").await;
    let create = json!({"method": "POST", "path": "/things", "result": "/id",
        "fields": [{"name": "name", "required": true}]});
    let list = json!({"path": "/things", "items": "/items"});
    let mut document = keyed("Crm", &upstream.url, &[&upstream.host()]);
    document["modules"] = json!({"thing": {"operations": {"create": create, "list": list}}});
    let connection = connected(&server, document, key()).await;
    let application = server.application("Orders").await;
    let app = format!("/v1/applications/{application}");
    let form =
        json!({"access": "members", "fields": [{"name": "title", "label": "Title", "required": true}]});
    server.post(&format!("{app}/forms"), json!({"name": "Orders", "definition": form})).await.expect(201);
    let action = json!({"name": "push", "integration": {"connection": connection, "module": "thing",
        "operation": "create", "mapping": {"name": {"field": "title"}}}});
    let workflow = json!({"form": "orders", "on": "created", "actions": [action]});
    let new = json!({"name": "Push", "definition": workflow});
    server.post(&format!("{app}/workflows"), new).await.expect(201);

    // What nobody uses may go.
    edit(&server, &connection, json!({"modules": {"thing": {"operations": {"list": null}}}})).await;
    publish(&server, &connection).await;
    let preview = server.get(&move_of(&connection)).await.expect(200);
    assert_eq!((paths(&preview), &preview["uses"]), (vec!["modules.thing.operations.list"], &json!([])));

    edit(
        &server,
        &connection,
        json!({"modules": {"thing": {"operations": {
        "create": null, "make": {"method": "POST", "path": "/things"}}}}}),
    )
    .await;
    publish(&server, &connection).await;
    let preview = server.get(&format!("{}?to=3", move_of(&connection))).await.expect(200);
    let used = &preview["uses"][0];
    assert_eq!(
        (&used["application"], &used["component"]),
        (&json!(application), &json!("workflow:push")),
        "{preview}"
    );
    let problem = server.post(&move_of(&connection), json!({"to": 3})).await.problem(409, "state_conflict");
    assert!(problem["detail"].as_str().unwrap().contains("workflow:push"), "{problem}");
    assert_eq!(problem["uses"][0]["component"], "workflow:push");
    let view = server.get(&format!("/v1/connections/{connection}")).await.expect(200);
    assert_eq!(view["connector_version"], 1);
    // It goes on working meanwhile, and a workflow is still checked by the version that its connection is on.
    server
        .post(&format!("{app}/workflows"), json!({"name": "Twice", "definition": workflow}))
        .await
        .expect(201);
    server.post(&move_of(&connection), json!({"to": 2})).await.expect(200);
    for name in ["push", "twice"] {
        server.api("DELETE", &format!("{app}/workflows/{name}"), Value::Null).await.expect(204);
    }
    server.post(&move_of(&connection), json!({})).await.expect(200);
    server
        .post(&format!("{app}/workflows"), json!({"name": "Late", "definition": workflow}))
        .await
        .problem(422, "invalid_input");
}

/// Holds a connection's row in PostgreSQL, as a transaction would that takes its time, until [`release`].
fn hold(home: &Home, connection: &str) -> std::thread::JoinHandle<()> {
    let (beside, connection) = (home.neighbour(), connection.to_owned());
    let name = beside.database_url().rsplit('/').next().unwrap().to_owned();
    std::thread::spawn(move || {
        let slow = format!(
            "begin; select 1 from connections where link_name = '{connection}' for update; select pg_sleep(600) as holding; commit"
        );
        // It is ended in the middle.
        let _ = Postgres::shared().unwrap().sql(&name, &slow);
    })
}

/// Waits until so many wait for a row.
async fn waiting(home: &Home, many: usize) {
    let count = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("they wait", async || (home.sql(count).trim() == many.to_string()).then_some(())).await;
}

const HOLDING: &str = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
    and query like '%as holding%' and wait_event = 'PgSleep'";

/// PostgreSQL serves those who wait for a row in the order in which they came: a save and a move have both looked at how things were
/// before the first of them is let in.
#[tokio::test(flavor = "multi_thread")]
async fn who_builds_with_it_while_it_is_moved_or_the_other_way_round_is_noticed() {
    for save_first in [true, false] {
        let home = Home::postgres();
        let server = home.start();
        let upstream = service("crm").await;
        let create =
            json!({"method": "POST", "path": "/things", "result": "/id", "fields": [{"name": "name"}]});
        let mut document = keyed("Crm", &upstream.url, &[&upstream.host()]);
        document["modules"] = json!({"thing": {"operations": {"create": create}}});
        let connection = connected(&server, document, key()).await;
        let application = server.application("Orders").await;
        let app = format!("/v1/applications/{application}");
        let form = json!({"access": "members", "fields": [{"name": "title", "label": "Title"}]});
        server.post(&format!("{app}/forms"), json!({"name": "Orders", "definition": form})).await.expect(201);
        let integration = json!({"connection": connection, "module": "thing", "operation": "create",
            "mapping": {"name": {"field": "title"}}});
        let workflow = json!({"form": "orders", "on": "created", "actions": [{"name": "push", "integration": integration}]});
        let other = json!({"create": null, "make": {"method": "POST", "path": "/things"}});
        edit(&server, &connection, json!({"modules": {"thing": {"operations": other}}})).await;
        publish(&server, &connection).await;

        let holder = hold(&home, &connection);
        until("it is held", async || {
            (home.sql(&format!("select count(*) {HOLDING}")).trim() == "1").then_some(())
        })
        .await;
        let workflows = format!("{app}/workflows");
        let to = move_of(&connection);
        let save = server.post(&workflows, json!({"name": "Push", "definition": workflow}));
        let there = server.post(&to, json!({}));
        let release = async || {
            waiting(&home, 2).await;
            home.sql(&format!("select pg_terminate_backend(pid) {HOLDING}"));
        };
        let (saved, moved) = if save_first {
            let there = async {
                waiting(&home, 1).await;
                there.await
            };
            let (saved, moved, ()) = tokio::join!(save, there, release());
            (saved, moved)
        } else {
            let save = async {
                waiting(&home, 1).await;
                save.await
            };
            let (saved, moved, ()) = tokio::join!(save, there, release());
            (saved, moved)
        };
        holder.join().unwrap();
        let version = server.get(&format!("/v1/connections/{connection}")).await.expect(200);
        let version = &version["connector_version"];
        if save_first {
            saved.expect(201);
            moved.problem(409, "version_conflict");
            assert_eq!(version, &json!(1));
            server.post(&to, json!({})).await.problem(409, "state_conflict");
        } else {
            let problem = saved.problem(409, "version_conflict");
            assert!(problem["detail"].as_str().unwrap().contains(&connection), "{problem}");
            moved.expect(200);
            assert_eq!(version, &json!(2));
            let again = json!({"name": "Push", "definition": workflow});
            server.post(&workflows, again).await.problem(422, "invalid_input");
        }
    }
}

#[tokio::test]
async fn an_account_that_others_use_too_is_let_go() {
    let home = Home::sqlite();
    let server = home.start();
    let (old, new) = (service("old").await, service("new").await);
    let first = connected(&server, keyed("Crm", &old.url, &[&old.host()]), key()).await;
    let second = server.connection(json!({"connector": first, "name": "Second"})).await;
    let reusable = server.get(&format!("/v1/connections/{second}/reusable")).await.expect(200);
    let id = reusable["items"][0]["id"].as_str().unwrap();
    let path = format!("/v1/connections/{second}/authorizations");
    server.post(&path, json!({"reuse": id})).await.expect(201);
    edit(&server, &first, json!({"base_url": new.url, "hosts": [new.host()]})).await;
    publish(&server, &first).await;
    let preview = server.get(&move_of(&second)).await.expect(200);
    assert_eq!(preview["authorizations"][0]["shared_with"], json!([first]), "{preview}");
    server.post(&move_of(&second), json!({})).await.expect(200);
    assert_eq!(service_of(&server, &first).await, "old", "it goes on serving the other");
    server.invoke(&second, json!({"url": "/x"})).await.problem(409, "not_connected");
    // For another version it is not offered.
    let reusable = server.get(&format!("/v1/connections/{second}/reusable")).await.expect(200);
    assert_eq!(reusable["items"], json!([]));
    server.post(&path, json!({"credentials": key()})).await.expect(201);
    assert_eq!(service_of(&server, &second).await, "new");
}

/// The endpoints have moved with the version: what the former ones gave is given back to them, and the new ones never see it.
#[tokio::test]
async fn a_token_is_given_back_where_it_came_from() {
    let home = Home::sqlite();
    let server = home.start();
    let tokens = async |token: &'static str| {
        Upstream::answering(move |_| json_reply(&json!({"access_token": token, "token_type": "bearer"})))
            .await
    };
    let (old, new) = (tokens("of-the-old").await, tokens("of-the-new").await);
    let auth = |of: &Upstream| {
        json!({"type": "oauth2_client_credentials", "client_authentication": "client_secret_post",
            "token_url": format!("{}/token", of.url), "revoke_url": format!("{}/revoke", of.url)})
    };
    let document =
        json!({"name": "Crm", "base_url": old.url, "hosts": [old.host(), new.host()], "auth": auth(&old)});
    let connector = server.connector(document).await;
    let parameters = json!({"client_id": "c", "client_secret": "s"});
    let made = json!({"connector": connector, "name": "Crm", "parameters": parameters});
    let connection = server.connection(made).await;
    let path = format!("/v1/connections/{connection}/authorizations");
    let id =
        server.post(&path, json!({})).await.expect(201)["authorization"]["id"].as_str().unwrap().to_owned();
    edit(&server, &connector, json!({"auth": auth(&new)})).await;
    publish(&server, &connector).await;
    let moved = server.post(&move_of(&connection), json!({})).await.expect(200);
    assert_eq!(moved["authorizations"][0]["authorization"], id.as_str(), "{moved}");
    server.api("DELETE", &format!("{path}/{id}"), Value::Null).await.expect(204);
    until("the revocation", async || {
        let seen = old.seen();
        let back = seen.iter().find(|request| request.target() == "/revoke")?;
        assert!(String::from_utf8_lossy(&back.body).contains("of-the-old"));
        Some(())
    })
    .await;
    assert!(new.seen().is_empty());
}

#[tokio::test]
async fn whoever_authorizes_while_it_is_moved_begins_anew() {
    let home = Home::sqlite();
    let server = home.start();
    let sandbox = consenting().await;
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
    let flow = server.begin_flow(&connection, json!({})).await;
    edit(&server, "sandbox", json!({"description": "Another"})).await;
    publish(&server, "sandbox").await;
    server.post(&move_of(&connection), json!({})).await.expect(200);
    let browser = jackfield_testkit::browser::Browser::new();
    let page = browser.get(flow["start_url"].as_str().unwrap()).await.unwrap();
    assert_ne!(page.status, 200, "{}", page.body);
    let held = server.get(&format!("/v1/connections/{connection}/authorizations")).await.expect(200);
    assert_eq!(held["items"], json!([]));
    server.authorize(&connection, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_in_force_on_the_other_node() {
    let home = Home::postgres();
    let a = home.start();
    let b = home.serve(&a.key);
    let service = service("crm").await;
    let connection = connected(&a, keyed("Crm", &service.url, &[&service.host()]), key()).await;
    edit(&a, &connection, json!({"base_url": format!("{}/v2", service.url)})).await;
    publish(&a, &connection).await;
    let start =
        async || b.invoke(&connection, json!({"url": "/x"})).await.expect(200)["body"]["start"].clone();
    for _ in 0..3 {
        assert_eq!(start().await, "GET /x HTTP/1.1", "published is not moved");
    }
    for (to, expected) in [(2, "GET /v2/x HTTP/1.1"), (1, "GET /x HTTP/1.1")] {
        a.post(&move_of(&connection), json!({"to": to})).await.expect(200);
        let acknowledged = Instant::now();
        while start().await != expected {
            assert!(acknowledged.elapsed() < Duration::from_secs(5), "the other node does not hear of it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn only_whoever_manages_the_connection_moves_it() {
    let home = Home::sqlite();
    let server = home.start();
    let service = service("crm").await;
    let connection = connected(&server, keyed("Crm", &service.url, &[&service.host()]), key()).await;
    let user = server.person("Grace", "user").await;
    let user = server.as_person(&user);
    for (method, body) in [("GET", Value::Null), ("POST", json!({"to": 1}))] {
        user.api(method, &move_of(&connection), body).await.problem(403, "forbidden");
    }
    server.get("/v1/connectors/github/versions").await.problem(409, "state_conflict");
    server.get(&format!("/v1/connectors/{connection}/diff?from=x")).await.problem(400, "invalid_request");
}

#[tokio::test]
async fn the_console_tells_what_a_move_asks_and_carries_it_out() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let service = service("crm").await;
    let connection = connected(&server, keyed("Crm", &service.url, &[&service.host()]), key()).await;
    let admin = Visitor::founder(&server, &founder).await;
    let connector = format!("/console/connectors/{connection}");
    let page = admin.see(&format!("{connector}/versions")).await;
    assert!(words(&page).contains("Version 1"), "{}", page.body);
    let hostile = "\"><script>alert(1)</script>";
    let parameters = json!([{"name": "tenant", "label": hostile, "required": true, "in": "header"}]);
    edit(&server, &connection, json!({ "parameters": parameters })).await;
    let page = admin.see(&connector).await;
    assert!(words(&page).contains("Changed since it was published"), "{}", page.body);
    let page = admin.see(&format!("{connector}/versions")).await;
    assert!(words(&page).contains("Asked when moving") && !page.body.contains(hostile), "{}", page.body);
    page.submit("Publish as the next version", &[]).await.unwrap();
    let next = format!("/console/connections/new/{connection}");
    let page = admin.see(&connector).await;
    assert!(page.body.contains(&format!("href=\"{next}\">Connect")), "{}", page.body);
    let configure = admin.see(&next).await;
    assert!(heading(&configure).contains("Configure Crm"), "{}", configure.body);
    // A version is downloaded as it was published, and one's own is made from it.
    let page = admin.see(&format!("{connector}/versions")).await;
    assert!(page.body.contains(&format!("{connector}/versions/1/document.toml")), "{}", page.body);
    let first = admin.see(&format!("{connector}/versions/1/document.toml")).await.body;
    let second = admin.see(&format!("{connector}/versions/2/document.toml")).await.body;
    assert!(!first.contains("tenant") && second.contains("tenant"), "{first}\n{second}");
    let copy = admin.see(&format!("/console/connectors/new?from={connection}&version=1")).await;
    assert!(
        words(&copy).contains("A copy to make your own") && !copy.body.contains("tenant"),
        "{}",
        copy.body
    );
    let copy = admin.see(&format!("/console/connectors/new?from={connection}&version=2")).await;
    assert!(copy.body.contains("tenant"), "{}", copy.body);
    for wrong in ["9", "x"] {
        let page = admin.open(&format!("/console/connectors/new?from={connection}&version={wrong}")).await;
        assert!(page.status == 404 || page.status == 400, "{wrong}: {}", page.status);
    }

    let here = format!("/console/connections/{connection}");
    let page = admin.see(&here).await;
    let said = words(&page);
    assert!(said.contains("Version 2 of Crm is published; this connection is on 1."), "{said}");
    let page = page.follow("See what moving asks").await.unwrap();
    assert!(heading(&page).contains("to version 2") && !page.body.contains(hostile), "{}", page.body);
    let refused = page.submit("Move to version 2", &[]).await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(!error_at(&refused, "parameters.tenant").is_empty(), "{}", refused.body);
    let moved = page.submit("Move to version 2", &[("parameters.tenant", "acme")]).await.unwrap();
    assert!(news(&moved).contains("Moved to version 2"), "{}", moved.body);
    assert!(!words(&admin.see(&here).await).contains("this connection is on"), "it is on the newest");
    admin.refuses_forgeries(&format!("{here}/move"), &[("to", "1")]).await;
    let user = Visitor::with_role(&server, "user").await;
    assert!(user.open(&format!("{here}/move")).await.status >= 400);
}
