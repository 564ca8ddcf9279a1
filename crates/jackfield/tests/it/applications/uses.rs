//! What applications use: listed live and for whoever edits, not deleted while it is, and at a price that does not grow.

use super::*;

#[tokio::test]
async fn what_is_used_is_listed_and_not_deleted() {
    for home in Home::both() {
        let stage = Stage::new(&home).await;
        let server = &stage.server;
        let books = stage.connection("books", "admin", json!(["*"])).await;
        let mail = stage.connection("mail", "user", json!(["*"])).await;
        let put = async |component: &str, connections: Value| {
            let path = stage.path(&format!("/components/{component}"));
            server.api("PUT", &path, json!({"connections": connections})).await
        };
        let declared = put("workflow:orders", json!(["mail", "books", "mail"])).await.expect(200);
        assert_eq!(
            (&declared["component"], &declared["kind"], &declared["name"], &declared["connections"]),
            (&json!("workflow:orders"), &json!("workflow"), &json!("orders"), &json!(["books", "mail"]))
        );
        put("form:orders", json!(["books"])).await.expect(200);
        put("report:idle", json!([])).await.expect(200);
        for (component, connections, field) in [
            ("workflow:x", json!(["books", "nothing"]), "connections.1"),
            ("workflow:x", json!(["Not a name"]), "connections.0"),
            ("workflow", json!([]), "component"),
            ("Workflow:x", json!([]), "component"),
            ("workflow:x-y", json!([]), "component"),
            ("a:b:c", json!([]), "component"),
            ("workflow:x", json!(vec!["books"; 101]), "connections"),
        ] {
            let answer = put(component, connections).await;
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), [field], "{component}");
        }
        let list = server.get(&stage.path("/components?limit=2")).await.expect(200);
        assert_eq!(names(&list, "component"), ["form:orders", "report:idle"]);
        assert_eq!(list["items"][0]["connections"], json!(["books"]));
        let next = list["next_cursor"].as_str().unwrap();
        let list = server.get(&stage.path(&format!("/components?cursor={next}"))).await.expect(200);
        assert_eq!(names(&list, "component"), ["workflow:orders"]);

        // Where it is used.
        let row = |component: &str| json!({"application": "vendor_portal", "component": component});
        let references = async |query: &str| {
            server.get(&format!("/v1/connections/{books}/references{query}")).await.expect(200)
        };
        let all = references("").await;
        assert_eq!(all, json!({"items": [row("form:orders"), row("workflow:orders")], "next_cursor": null}));
        let page = references("?limit=1").await;
        assert_eq!(page["items"], json!([row("form:orders")]));
        let page = references(&format!("?cursor={}", page["next_cursor"].as_str().unwrap())).await;
        assert_eq!(page["items"], json!([row("workflow:orders")]));
        let counts = async || {
            let list = server.get("/v1/connections").await.expect(200);
            list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["references"].as_i64().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(counts().await, [2, 1]);
        assert_eq!(server.get("/v1/connections/books").await.expect(200)["references"], 2);

        // While it is used it stays, whole.
        stage.authorize(&books, "k").await;
        let path = format!("/v1/connections/{books}");
        let refused = server.api("DELETE", &path, Value::Null).await.problem(409, "connection_referenced");
        assert_eq!(refused["references"], all["items"]);
        assert_eq!(server.invoke(&books, json!({"url": "/"})).await.expect(200)["body"]["key"], "k");

        // What is declared anew replaces what was; what is taken away is gone.
        put("workflow:orders", json!(["mail"])).await.expect(200);
        assert_eq!(references("").await["items"], json!([row("form:orders")]));
        let form = stage.path("/components/form:orders");
        assert_eq!(server.api("DELETE", &form, Value::Null).await.status, 204);
        server.api("DELETE", &form, Value::Null).await.problem(404, "not_found");
        assert_eq!(counts().await, [0, 1]);
        assert_eq!(server.api("DELETE", &path, Value::Null).await.status, 204);
        let path = format!("/v1/connections/{mail}");
        server.api("DELETE", &path, Value::Null).await.problem(409, "connection_referenced");
        assert_eq!(server.api("DELETE", &stage.path(""), Value::Null).await.status, 204);
        assert_eq!(server.api("DELETE", &path, Value::Null).await.status, 204);
    }
}

/// Of those who refer to a connection, allow an application, and delete them at the same moment, nobody leaves something behind that refers
/// to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_refers_to_what_is_gone() {
    for home in Home::both() {
        let stage = Stage::new(&home).await;
        let server = &stage.server;
        for round in 0..12 {
            let name = format!("c{round}");
            stage.connection(&name, "admin", json!(["*"])).await;
            let (path, put) = (format!("/v1/connections/{name}"), json!({"connections": [name]}));
            let component = stage.path(&format!("/components/form:f{round}"));
            let (declared, deleted) =
                tokio::join!(server.api("PUT", &component, put), server.api("DELETE", &path, Value::Null));
            let there = server.get(&path).await.status;
            match (declared.status, deleted.status) {
                (200, 409) => assert_eq!(there, 200),
                (422, 204) => assert_eq!(there, 404),
                other => panic!("{other:?}: {} {}", declared.text, deleted.text),
            }
        }

        for round in 0..12 {
            let name = format!("a{round}");
            let connection = stage.connection(&format!("of_{name}"), "admin", json!([])).await;
            server.application(&name).await;
            let path = format!("/v1/connections/{connection}");
            let gone = format!("/v1/applications/{name}");
            let one = format!("{path}/applications/{name}");
            let allow = if round % 2 == 0 {
                server.api("PATCH", &path, json!({"applications": [name]}))
            } else {
                server.api("PUT", &one, Value::Null)
            };
            let keys = format!("{gone}/keys");
            let new = json!({"name": "x", "environment": "stage"});
            let (allowed, deleted, made) =
                tokio::join!(allow, server.api("DELETE", &gone, Value::Null), server.post(&keys, new));
            assert_eq!(deleted.status, 204, "{}", deleted.text);
            assert!(matches!(allowed.status, 200 | 404 | 409 | 422), "{}", allowed.text);
            let left = server.get(&path).await.expect(200)["applications"].clone();
            assert_eq!(left, json!([]), "{} {}", allowed.status, allowed.text);
            if made.status == 201 {
                let key = made.json()["key"].as_str().unwrap().to_owned();
                server.with_key(&key).get("/v1/connections").await.problem(401, "key_revoked");
            }
        }
    }
}

#[tokio::test]
async fn live_and_edit_lists_show_what_the_application_uses() {
    for home in Home::both() {
        let stage = Stage::new(&home).await;
        let server = &stage.server;
        let me = stage.me().await;
        let ours = stage.connection("a_ours", "admin", json!(["vendor_portal"])).await;
        let mine = stage.connection("b_mine", "user", json!(["*"])).await;
        stage.connection("c_other", "admin", json!([])).await;
        let split = json!({"connector": stage.connector, "name": "Split", "link_name": "d_split",
            "same_authorization": false});
        let split = server.connection(split).await;
        stage.authorize(&ours, "k").await;
        stage.authorize(&mine, "k").await;
        let new = json!({"account_name": "Staged", "environments": ["stage"], "credentials": key()});
        server.post(&format!("/v1/connections/{split}/authorizations"), new).await.expect(201);

        let list = async |query: &str| server.get(&stage.path(&format!("/connections{query}"))).await;
        let live = list("?mode=live&environment=production").await.expect(200);
        assert_eq!(names(&live, "link_name"), ["a_ours", "b_mine", "d_split"]);
        let row = &live["items"][0];
        assert_eq!(
            (&row["name"], &row["level"], &row["status"]),
            (&json!("a_ours"), &json!("admin"), &json!("connected"))
        );
        assert_eq!(row["authorized_account"], "k of a_ours");
        assert_eq!(row["connector"]["link_name"], "mirror");
        assert_eq!(
            (&row["can_authorize"], &row["enabled"], &row["allowed"]),
            (&json!(true), &json!(true), &json!(true))
        );
        assert_eq!(live["items"][1]["authorized_account"], "k of b_mine");
        let states = |page: &Value| names(page, "status").join(" ");
        assert_eq!(states(&live), "connected connected not_connected");
        assert_eq!(live["items"][2]["authorized_account"], Value::Null);
        // Live and production are what is meant when nothing is said.
        assert_eq!(list("").await.expect(200), live);
        assert_eq!(states(&list("?environment=stage").await.expect(200)), "connected connected connected");
        assert_eq!(list("?environment=stage").await.expect(200)["items"][2]["authorized_account"], "Staged");
        let development = list("?environment=development").await.expect(200);
        assert_eq!(states(&development), "connected connected not_connected");
        let page = list("?limit=2").await.expect(200);
        assert_eq!(names(&page, "link_name"), ["a_ours", "b_mine"]);
        let page =
            list(&format!("?limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await.expect(200);
        assert_eq!(names(&page, "link_name"), ["d_split"]);

        // Edit mode: those of one component, in development.
        let put = json!({"connections": ["b_mine", "d_split", "c_other"]});
        server.api("PUT", &stage.path("/components/workflow:orders"), put).await.expect(200);
        let edit = list("?mode=edit&component=workflow:orders").await.expect(200);
        assert_eq!(names(&edit, "link_name"), ["b_mine", "c_other", "d_split"]);
        assert_eq!(states(&edit), "connected not_connected not_connected");
        assert_eq!(
            (&edit["items"][0]["allowed"], &edit["items"][1]["allowed"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(
            list("?mode=edit&component=workflow:orders&environment=development").await.expect(200),
            edit
        );
        list("?mode=edit&component=form:orders").await.problem(404, "not_found");

        // What does not go together is named.
        for (query, status, code, part) in [
            ("?mode=both", 400, "invalid_request", "mode"),
            ("?mode=edit", 400, "invalid_request", "component"),
            ("?mode=edit&component=orders", 400, "invalid_request", "component"),
            ("?component=workflow:orders", 400, "invalid_request", "component"),
            ("?mode=live&component=workflow:orders", 400, "invalid_request", "component"),
            (
                "?mode=edit&component=workflow:orders&environment=production",
                400,
                "invalid_request",
                "environment",
            ),
            ("?environment=moon", 422, "invalid_input", "environment"),
            ("?nosuch=1", 400, "invalid_request", "nosuch"),
            ("?acting_for=mem_1", 403, "acting_for_not_allowed", "acting_for"),
        ] {
            let problem = list(query).await.problem(status, code);
            assert!(problem["detail"].as_str().unwrap().contains(part), "{query}: {problem}");
        }
        assert_eq!(list(&format!("?acting_for={me}")).await.expect(200), live);

        // An application sees its own environment, and what a person would see when it says for whom.
        let portal = stage.key("stage").await;
        let seen = async |query: &str| portal.get(&stage.path(&format!("/connections{query}"))).await;
        let plain = seen("").await.expect(200);
        assert_eq!(names(&plain, "link_name"), ["a_ours", "b_mine", "d_split"]);
        assert_eq!(states(&plain), "connected not_connected connected");
        assert_eq!(plain["items"][1]["authorized_account"], Value::Null);
        assert!(plain["items"].as_array().unwrap().iter().all(|row| row["can_authorize"] == false));
        let for_me = seen(&format!("?acting_for={me}")).await.expect(200);
        assert_eq!(states(&for_me), "connected connected connected");
        assert_eq!(for_me["items"][1]["authorized_account"], "k of b_mine");
        assert_eq!(for_me["items"][1]["can_authorize"], true);
        assert_eq!(seen("?acting_for=mem_1").await.fields(), ["acting_for"]);
        seen("?environment=production").await.problem(403, "environment_not_allowed");
        seen("?environment=stage").await.expect(200);
        seen("?mode=edit&component=workflow:orders").await.problem(403, "environment_not_allowed");
        let developer = server.application_key(&stage.application, "development", Value::Null).await;
        let edit = stage.path("/connections?mode=edit&component=workflow:orders");
        server.with_key(&developer).get(&edit).await.expect(200);

        // Disabled shows.
        server.post("/v1/connections/a_ours/disable", json!({})).await.expect(200);
        assert_eq!(list("").await.expect(200)["items"][0]["enabled"], false);
    }
}

/// The list costs the same however many connections there are.
#[tokio::test]
async fn a_long_list_costs_no_more_statements_than_a_short_one() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    for n in 0..30 {
        stage.connection(&format!("c{n:02}"), "admin", json!(["*"])).await;
    }
    let cost = async |path: String| {
        stage.server.get(&path).await.expect(200);
        // The background asks the database too, now and then: the least of some counts is the list's own.
        let mut least = u64::MAX;
        for _ in 0..5 {
            let before = stage.server.statements().await;
            stage.server.get(&path).await.expect(200);
            least = least.min(stage.server.statements().await - before);
        }
        least
    };
    let few = cost(stage.path("/connections?limit=1")).await;
    let many = cost(stage.path("/connections?limit=200")).await;
    assert!(many <= few, "{few} {many}");
}
