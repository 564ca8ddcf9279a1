//! Fields that a service itself describes: asked for, kept, offered and checked against; and what goes on when it does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jackfield_testkit::browser::Page;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, escaped, words};
use crate::support::{Home, Server};
use crate::upstream::{Message, Upstream, key, keyed, reply};
use crate::world::until;

/// A service whose records have fields of their own, described on two pages; it can be told not to answer.
async fn crm(works: &Arc<AtomicBool>) -> Upstream {
    let works = Arc::clone(works);
    Upstream::answering(move |message: &Message| {
        let json = [("content-type", "application/json")];
        let target = message.target();
        if target.starts_with("/records/") {
            return reply(201, &json, json!({"id": "7"}).to_string());
        }
        if !works.load(Ordering::SeqCst) {
            return reply(503, &json, json!({"message": "down for s3cret-key"}).to_string());
        }
        if !target.starts_with("/objects/Lead/fields") {
            return reply(404, &json, json!({"message": "no such object"}).to_string());
        }
        let items = if target.contains("page=1") {
            json!([
                {"name": "Budget__c", "label": "Budget", "type": "double", "needed": true},
                {"name": "Stage__c", "label": HOSTILE[0], "type": "picklist", "values": [{"v": "new", "l": "New"}, {"v": "won", "l": "Won"}]},
            ])
        } else {
            json!([
                {"name": "Echo__c", "label": "Key s3cret-key", "type": "text"},
                {"name": "Sum__c", "type": "double", "fixed": true},
                {"name": "Email", "label": "Listed already", "type": "text"},
            ])
        };
        reply(200, &json, json!({"fields": items, "more": target.contains("page=1")}).to_string())
    })
    .await
}

/// A connection to it, in all environments.
async fn connect(server: &Server, upstream: &Upstream) -> String {
    let mut document = keyed("Crm", &upstream.url, &[&upstream.host()]);
    document["modules"] = json!({
        "object": {"operations": {"fields": {
            "path": "/objects/{object}/fields", "fields": [{"name": "object", "required": true}], "items": "/fields", "error": "/message",
            "pagination": {"type": "page", "page": "page", "page_size": 2, "more": "/more"},
        }}},
        "record": {"operations": {"create": {
            "method": "POST", "path": "/records/{object}", "result": "/id",
            "fields": [
                {"name": "object", "label": "Object", "required": true},
                {"name": "rest", "label": "Rest", "type": "object", "required": true, "at": ""},
                {"name": "Email", "type": "email"},
            ],
            "more_fields": {
                "operation": "object.fields", "with": {"object": "{object}"}, "name": "/name", "label": "/label", "type": "/type",
                "types": {"double": "number"}, "required": {"/needed": ["true"]}, "read_only": {"/fixed": ["true"]},
                "choices": {"at": "/values", "value": "/v", "label": "/l"}, "into": "rest",
            },
        }}},
    });
    let connector = server.connector(document).await;
    server.connection(json!({"connector": connector, "name": "Crm"})).await
}

async fn authorize(server: &Server, connection: &str) {
    let path = format!("/v1/connections/{connection}/authorizations");
    server.post(&path, json!({"credentials": key()})).await.expect(201);
}

fn asked(connection: &str, object: &str, more: &str) -> String {
    format!(
        "/v1/connections/{connection}/fields?operation=record.create&environment=development&given=%7B%22object%22%3A%22{object}%22%7D{more}"
    )
}

#[allow(clippy::needless_pass_by_value, reason = "they are written where they are used")]
fn workflow(connection: &str, mapping: Value, types: Value) -> Value {
    json!({"name": "Push", "definition": {"form": "leads", "on": "created", "actions": [{"name": "push", "integration":
        {"connection": connection, "module": "record", "operation": "create", "mapping": mapping, "types": types}}]}})
}

async fn application(server: &Server) {
    server.application("Sales").await;
    let form = json!({"name": "Leads", "definition": {"fields": [{"name": "who"}, {"name": "budget", "type": "decimal"}]}});
    server.post("/v1/applications/sales/forms", form).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_describes_is_asked_for_kept_and_checked_against() {
    let works = Arc::new(AtomicBool::new(true));
    let upstream = crm(&works).await;
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connection = connect(&server, &upstream).await;
    application(&server).await;

    // Not connected: it says so. What is wrong with the question is said before.
    server.get(&asked(&connection, "Lead", "")).await.problem(409, "not_connected");
    authorize(&server, &connection).await;
    let at = format!("/v1/connections/{connection}/fields");
    for (query, field) in [
        ("", "operation"),
        ("?operation=record.none", "operation"),
        ("?operation=object.fields", "operation"),
        ("?operation=record.create", "given.object"),
        ("?operation=record.create&given=%5B%5D", "given"),
    ] {
        let wrong = server.get(&format!("{at}{query}")).await;
        wrong.problem(422, "invalid_input");
        assert_eq!(wrong.fields(), [field], "{query}");
    }
    server.get("/v1/connections/none/fields?operation=a.b").await.problem(404, "not_found");
    assert!(upstream.seen().is_empty(), "nothing of it was asked");

    // Nobody has asked: any name passes. The service is asked once, over two pages, and not again while that is kept.
    let path = "/v1/applications/sales/workflows";
    let lead = |name: &str, mapped: Value| json!({"object": {"value": "Lead"}, name: mapped});
    let wrong = workflow(&connection, lead("Gone__c", json!({"value": 1})), json!({}));
    let made = server.post(path, wrong.clone()).await.expect(201);
    let told = server.get(&asked(&connection, "Lead", "")).await.expect(200);
    let wanted = json!([
        {"name": "Budget__c", "label": "Budget", "type": "number", "required": true},
        {"name": "Stage__c", "label": HOSTILE[0], "type": "string", "required": false, "choices": [{"value": "new", "label": "New"}, {"value": "won", "label": "Won"}]},
        // What the service sent back of the key is not shown to anybody.
        {"name": "Echo__c", "label": "Key ••••", "type": "string", "required": false},
    ]);
    assert_eq!((&told["items"], &told["whole"]), (&wanted, &json!(true)), "{told:#}");
    assert_eq!(upstream.take().len(), 2);
    assert_eq!(server.get(&asked(&connection, "Lead", "")).await.expect(200)["asked_at"], told["asked_at"]);
    assert!(upstream.take().is_empty(), "it was kept");
    server.get(&asked(&connection, "Lead", "&refresh=true")).await.expect(200);
    assert_eq!(upstream.take().len(), 2);

    // Now it is checked against that: names, types and choices.
    for (mapped, code) in [
        (lead("Gone__c", json!({"value": 1})), "unknown"),
        (lead("Budget__c", json!({"value": "much"})), "invalid"),
        (lead("Budget__c", json!({"field": "who"})), "invalid"),
        (lead("Stage__c", json!({"value": "lost"})), "invalid"),
    ] {
        let answer = server.post(path, workflow(&connection, mapped.clone(), json!({}))).await;
        let problem = answer.problem(422, "invalid_input");
        assert_eq!(problem["errors"][0]["code"], code, "{mapped}: {problem}");
    }
    // Another object was not asked about.
    let other = json!({"object": {"value": "Other"}, "Gone__c": {"value": 1}});
    let mut other = workflow(&connection, other, json!({}));
    other["name"] = json!("Other");
    server.post(path, other).await.expect(201);
    server.api("DELETE", &format!("{path}/push"), Value::Null).await.expect(204);
    assert_eq!(made["link_name"], "push");

    // A service that is down holds nothing up, and what it said before still counts.
    works.store(false, Ordering::SeqCst);
    let down = server.get(&asked(&connection, "Lead", "&refresh=true")).await;
    let problem = down.problem(502, "upstream_unreachable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("down for ••••") && !detail.contains("s3cret"), "{detail}");
    server.get(&asked(&connection, "Lead", "")).await.expect(200);

    // What runs sends what was mapped where it belongs, in the types that were told.
    upstream.take();
    let mapping = json!({"object": {"value": "Lead"}, "Budget__c": {"field": "budget"}, "Echo__c": {"field": "who"}, "Email": {"value": "a@b.example"}});
    let mut last = workflow(&connection, mapping, json!({"Budget__c": "number"}));
    last["name"] = json!("Last");
    server.post(path, last).await.expect(201);
    let record = json!({"data": {"who": "Ada", "budget": "12.50"}});
    server
        .post("/v1/applications/sales/forms/leads/records?environment=development", record)
        .await
        .expect(201);
    let sent = until("the push", async || {
        upstream.seen().into_iter().find(|message| message.target() == "/records/Lead")
    })
    .await;
    assert_eq!(sent.json(), json!({"Budget__c": 12.5, "Echo__c": "Ada", "Email": "a@b.example"}));
}

/// A service whose tables are one object of columns, described with words of its own, and one list of all; only `who` may see them.
async fn tables(may: &Arc<AtomicBool>) -> Upstream {
    let may = Arc::clone(may);
    Upstream::answering(move |message: &Message| {
        let json = [("content-type", "application/json")];
        let columns = json!({
            "Kind": {"name": "Kind", "type": "select"}, "Tags": {"name": "Tags", "type": "tags"},
            "Where": {"name": "Where", "type": "place"}, "Sum": {"name": "Sum", "type": "formula"},
        });
        match message.target() {
            "/rows" => reply(201, &json, json!({"id": "7"}).to_string()),
            _ if !may.load(Ordering::SeqCst) => {
                reply(403, &json, json!({"message": "schema:read is missing"}).to_string())
            }
            "/tables/orders" => reply(200, &json, json!({"columns": columns}).to_string()),
            "/tables/wide" => {
                let many: Vec<Value> =
                    (0..2001).map(|n| json!({"name": format!("c{n}"), "type": "select"})).collect();
                reply(200, &json, json!({"columns": many}).to_string())
            }
            "/tables" => {
                let other = json!({"id": "people", "columns": [{"name": "Surname", "type": "text"}]});
                let all = json!([other, {"id": "orders", "columns": columns}]);
                reply(200, &json, json!({"tables": all}).to_string())
            }
            _ => reply(404, &json, json!({"message": "no such table"}).to_string()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_may_be_one_object_or_part_of_one_and_shapes_are_sent() {
    let may = Arc::new(AtomicBool::new(false));
    let upstream = tables(&may).await;
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let more = json!({
        "with": {"table": "{table}"}, "each": "/columns", "name": "/name", "type": "/type",
        "types": {"tags": "list", "select": "string"}, "default_type": "object", "read_only": {"/type": ["formula"]},
        "shapes": {"select": {"select": {"name": "{value}"}}, "tags": {"tags": [{"id": "{value}"}]}}, "into": "cells",
    });
    let by = |operation: &str, changes: Value| {
        let mut more = more.clone();
        more["operation"] = json!(operation);
        more.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({
            "method": "POST", "path": "/rows", "result": "/id", "more_fields": more,
            "fields": [{"name": "table", "required": true}, {"name": "cells", "type": "object", "required": true}],
        })
    };
    let mut document = keyed("Sheets", &upstream.url, &[&upstream.host()]);
    document["modules"] = json!({
        "table": {"operations": {
            "read": {"path": "/tables/{table}", "fields": [{"name": "table", "required": true}]},
            "list": {"path": "/tables", "items": "/tables"},
        }},
        "row": {"operations": {
            "create": by("table.read", json!({})),
            "create_of": by("table.list", json!({"with": {}, "where": {"/id": "{table}"}})),
        }},
    });
    let connector = server.connector(document).await;
    let connection = server.connection(json!({"connector": connector, "name": "Sheets"})).await;
    authorize(&server, &connection).await;
    application(&server).await;
    let fields = async |operation: &str, table: &str| {
        let given = format!("%7B%22table%22%3A%22{table}%22%7D");
        let query = format!("operation=row.{operation}&environment=development&given={given}");
        server.get(&format!("/v1/connections/{connection}/fields?{query}")).await
    };

    // Who may not see what there is reads the service's own reason, and a mapping to it is accepted all the same.
    for operation in ["create", "create_of"] {
        let answer = fields(operation, "orders").await;
        let problem = answer.problem(502, "upstream_unreachable");
        assert!(problem["detail"].as_str().unwrap().contains("schema:read is missing"), "{problem}");
    }
    may.store(true, Ordering::SeqCst);
    let wanted = json!([
        {"name": "Kind", "type": "string", "required": false, "shape": {"select": {"name": "{value}"}}},
        {"name": "Tags", "type": "list", "required": false, "shape": {"tags": [{"id": "{value}"}]}},
        {"name": "Where", "type": "object", "required": false},
    ]);
    for operation in ["create", "create_of"] {
        let told = fields(operation, "orders").await.expect(200);
        assert_eq!((&told["items"], &told["whole"]), (&wanted, &json!(true)), "{told:#}");
    }
    // A table that is not there: as an answer of its own an error, as part of all nothing that anybody knows.
    fields("create", "none").await.problem(502, "upstream_unreachable");
    let none = fields("create_of", "none").await.expect(200);
    assert_eq!((&none["items"], &none["whole"]), (&json!([]), &json!(false)), "{none:#}");

    // More columns than are read: nobody can say then that one is not there.
    let wide = fields("create", "wide").await.expect(200);
    assert_eq!((wide["items"].as_array().unwrap().len(), &wide["whole"]), (2000, &json!(false)));

    // Typed in as an admin does, kept with the mapping, and sent in the shapes that were told.
    let admin = Visitor::founder(&server, &founder).await;
    let begun = format!(
        "/console/applications/sales/workflows/new-action?name=Push&form=leads&on=created&kind=integration&connection={connection}&module=row&operation=create"
    );
    let page = admin.see(&begun).await;
    let table = row(&page, "table");
    let typed = [(format!("{table}.from"), "value"), (format!("{table}.what"), "orders")];
    let typed: Vec<(&str, &str)> = typed.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let page = press(&page, "Ask Sheets for more fields", &typed).await;
    let (kind, tags) = (row(&page, "Kind"), row(&page, "Tags"));
    let filled = [
        (format!("{kind}.from"), "field:who"),
        (format!("{tags}.from"), "value"),
        (format!("{tags}.what"), "[\"a\", \"b\"]"),
    ];
    let filled: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    press(&page, "Make the workflow", &filled).await;
    let made = server.get("/v1/applications/sales/workflows/push").await.expect(200);
    let push = &made["definition"]["actions"][0]["integration"];
    assert_eq!(push["shapes"]["Kind"], json!({"select": {"name": "{value}"}}), "{made:#}");
    // Without them it would be sent as what the service does not take: said while the description is at hand.
    let mut bare = made["definition"].clone();
    bare["actions"][0]["integration"].as_object_mut().unwrap().remove("shapes");
    let path = "/v1/applications/sales/workflows";
    let refused = server.post(path, json!({"name": "Bare", "definition": bare})).await;
    refused.problem(422, "invalid_input");
    let at = "definition.actions.0.integration.mapping";
    assert_eq!(refused.fields(), [format!("{at}.Kind"), format!("{at}.Tags")]);
    upstream.take();
    let record = json!({"data": {"who": "New"}});
    server
        .post("/v1/applications/sales/forms/leads/records?environment=development", record)
        .await
        .expect(201);
    let sent =
        until("the push", async || upstream.seen().into_iter().find(|message| message.target() == "/rows"))
            .await;
    let cells = json!({"Kind": {"select": {"name": "New"}}, "Tags": {"tags": [{"id": "a"}, {"id": "b"}]}});
    assert_eq!(sent.json(), json!({"table": "orders", "cells": cells}));
}

async fn press(page: &Page, button: &str, fields: &[(&str, &str)]) -> Page {
    page.submit(button, fields).await.unwrap_or_else(|error| panic!("{error}: {}", page.body))
}

/// The inputs of a field's row: `map.3`.
fn row(page: &Page, name: &str) -> String {
    let wanted = format!("value=\"{name}\"");
    let input = page.body.split("<input type=\"hidden\" name=\"").skip(1).find(|input| {
        input.split_once('>').is_some_and(|(input, _)| input.contains(".name\"") && input.contains(&wanted))
    });
    let input = input.unwrap_or_else(|| panic!("no row {name}: {}", page.body));
    input.split_once(".name").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mapping_table_offers_what_the_service_describes() {
    const ASK: &str = "Ask Crm for more fields";
    let works = Arc::new(AtomicBool::new(false));
    let upstream = crm(&works).await;
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connection = connect(&server, &upstream).await;
    authorize(&server, &connection).await;
    application(&server).await;
    let admin = Visitor::founder(&server, &founder).await;
    let begun = format!(
        "/console/applications/sales/workflows/new-action?name=Push&form=leads&on=created&kind=integration&connection={connection}&module=record&operation=create"
    );
    let page = admin.see(&begun).await;
    assert!(words(&page).contains("Crm can say which further fields there are"), "{}", words(&page));

    // The object is not chosen yet; the service does not answer: both are said, and what was typed stays.
    let page = press(&page, ASK, &[("name", "push_it")]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(words(&page).contains("Give Object a fixed value first"), "{}", words(&page));
    let object = row(&page, "object");
    let typed = [(format!("{object}.from"), "value"), (format!("{object}.what"), "Lead")];
    let typed: Vec<(&str, &str)> = typed.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let page = press(&page, ASK, &typed).await;
    assert!(
        words(&page).contains("Crm could not be asked for its fields. Crm answered 503"),
        "{}",
        words(&page)
    );
    assert!(!page.body.contains("s3cret"), "{}", page.body);

    // It answers: its fields stand beside the others, the required one first; nothing of it runs as a script.
    works.store(true, Ordering::SeqCst);
    let page = press(&page, ASK, &[]).await;
    let said = words(&page);
    assert!(said.contains("Crm named 3 further fields") && said.contains("Budget Required Number"), "{said}");
    // What is alike by its name is proposed at once, and nobody has to unfold it.
    assert!(said.contains("One source is proposed by its name"), "{said}");
    escaped(&page, HOSTILE[0]);
    assert!(page.body.contains("value=\"Lead\"") && page.body.contains("value=\"push_it\""), "{}", page.body);
    let (budget, stage) = (row(&page, "Budget__c"), row(&page, "Stage__c"));
    let (from, what, stage) = (format!("{budget}.from"), format!("{budget}.what"), format!("{stage}.from"));
    // What does not fit is said at its row.
    let filled = [(from.as_str(), "value"), (what.as_str(), "much"), (stage.as_str(), "choice:won")];
    let page = press(&page, "Make the workflow", &filled).await;
    assert_eq!(page.status, 422);
    assert!(words(&page).contains("It must be a number."), "{}", words(&page));
    let budget = row(&page, "Budget__c");
    let from = format!("{budget}.from");
    press(&page, "Make the workflow", &[(from.as_str(), "field:budget")]).await;
    let made = server.get("/v1/applications/sales/workflows/push").await.expect(200);
    let push = &made["definition"]["actions"][0];
    assert_eq!(push["name"], "push_it", "{made:#}");
    let wanted =
        json!({"object": {"value": "Lead"}, "Budget__c": {"field": "budget"}, "Stage__c": {"value": "won"}});
    assert_eq!(push["integration"]["mapping"], wanted);
    assert_eq!(push["integration"]["types"], json!({"Budget__c": "number", "Stage__c": "string"}));

    // A server that has forgotten what was said, and a service that is down: what is mapped is shown and saved as it was.
    drop(server);
    works.store(false, Ordering::SeqCst);
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let page = admin.see("/console/applications/sales/workflows/push/actions/push_it").await;
    assert!(
        page.body.contains("Budget__c") && !words(&page).contains("not there any more"),
        "{}",
        words(&page)
    );
    let page = press(&page, "Save", &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let kept = server.get("/v1/applications/sales/workflows/push").await.expect(200);
    assert_eq!(kept["definition"], made["definition"]);
}
