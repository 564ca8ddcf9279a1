//! Datasources: pulled page by page, through crashes; what changed only; what is gone; looked through and exported.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Home, Server, consenting};
use crate::upstream::{Message, Upstream, json_reply, key, keyed};
use crate::world::until;

/// What the service lists: its items, and how it answers a page (a status that is not 200, by the number of the request).
#[derive(Clone, Default)]
struct Shelf {
    items: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
    moods: Arc<Mutex<Vec<u16>>>,
    slow: Arc<Mutex<bool>>,
}

const PAGE: usize = 10;

impl Shelf {
    fn of(items: Vec<Value>) -> Self {
        Self { items: Arc::new(Mutex::new(items)), ..Self::default() }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn answer(&self, message: &Message) -> Vec<u8> {
        let target = message.target().to_owned();
        let number = |name: &str| {
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            found.map_or(0, |text| text.parse::<i64>().unwrap())
        };
        let (start, since) = (number("start"), number("since"));
        self.asked.lock().unwrap().push(target);
        let mood = self.moods.lock().unwrap().pop();
        if let Some(status) = mood.filter(|status| *status != 200) {
            return format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").into_bytes();
        }
        let all: Vec<Value> = self
            .items
            .lock()
            .unwrap()
            .iter()
            .filter(|item| item["changed"].as_i64().unwrap_or(0) >= since)
            .cloned()
            .collect();
        let start = usize::try_from(start).unwrap();
        let items: Vec<&Value> = all.iter().skip(start).take(PAGE).collect();
        json_reply(&json!({"items": items, "total": all.len(), "more": start + PAGE < all.len()}))
    }

    /// A connection to it.
    async fn connection(&self, server: &Server) -> (Upstream, String) {
        let shelf = self.clone();
        let upstream = Upstream::talking(move |mut wire, _| {
            let shelf = shelf.clone();
            async move {
                while let Some(mut request) = wire.head().await {
                    wire.body(&mut request).await;
                    let slow = *shelf.slow.lock().unwrap();
                    if slow {
                        tokio::time::sleep(Duration::from_millis(150)).await;
                    }
                    let answer = shelf.answer(&request);
                    wire.send(&answer).await;
                }
            }
        })
        .await;
        let mut document = keyed("Shelf", &upstream.url, &[&upstream.host()]);
        document["modules"] = json!({"thing": {"operations": {"list": {
            "path": "/things", "items": "/items", "fields": [{"name": "since", "type": "integer", "in": "query"}],
            "pagination": {"type": "offset", "offset": "start", "page_size": PAGE, "more": "/more"}}}}});
        let connector = server.connector(document).await;
        let connection = server.connection(json!({"connector": connector, "name": "Shelf"})).await;
        let path = format!("/v1/connections/{connection}/authorizations");
        server.post(&path, json!({"credentials": key()})).await.expect(201);
        (upstream, connection)
    }
}

fn things(from: i64, to: i64) -> Vec<Value> {
    (from..to)
        .map(|n| json!({"id": n, "name": format!("Thing {n}"), "price": f64::from(i32::try_from(n).unwrap()) / 4.0, "changed": n}))
        .collect()
}

async fn make(server: &Server, application: &str, definition: Value) -> String {
    let path = format!("/v1/applications/{application}/datasources");
    server.post(&path, json!({"name": "Things", "definition": definition})).await.expect(201);
    format!("{path}/things")
}

fn listing(connection: &str, more: Value) -> Value {
    let mut all =
        json!({"connection": connection, "module": "thing", "operation": "list", "total": "/total"});
    let Value::Object(more) = more else { panic!("no object") };
    for (name, value) in more {
        all[name] = value;
    }
    all
}

async fn ask(server: &Server, path: &str, full: bool) -> String {
    let body = json!({"full": full, "environment": "development"});
    let run = server.post(&format!("{path}/pull"), body).await.expect(201);
    assert_eq!(run["component"], "datasource:things");
    run["id"].as_str().unwrap().to_owned()
}

/// Waits until a run is over; the run.
async fn over(server: &Server, application: &str, id: &str) -> Value {
    until(&format!("the end of {id}"), async || {
        let run = server.get(&format!("/v1/applications/{application}/runs/{id}")).await.expect(200);
        run["ended_at"].is_string().then_some(run)
    })
    .await
}

/// Pulls, and what came of it.
async fn pull(server: &Server, application: &str, path: &str, full: bool) -> Value {
    let id = ask(server, path, full).await;
    let run = over(server, application, &id).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    run["results"]["pull"].clone()
}

async fn rows(server: &Server, path: &str, query: &str) -> Vec<String> {
    let page = server.get(&format!("{path}/rows?environment=development{query}")).await.expect(200);
    page["items"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

async fn table(server: &Server, path: &str) -> Value {
    server.get(path).await.expect(200)["tables"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_of_the_sandbox_become_a_table() {
    for home in Home::both() {
        let sandbox = consenting().await;
        let server = home.start();
        let scopes = json!({"scopes": ["vendors:read", "vendors:write", "profile"]});
        let connection = server.sandbox_connection(&sandbox, "sandbox", scopes).await;
        server.authorize(&connection, json!({})).await;
        let vendors = format!("/v1/proxy/{connection}/vendors");
        let mut ids = Vec::new();
        for number in 0..105 {
            let new = json!({"DisplayName": format!("Vendor {number:03}"), "Email": format!("v{number}@acme.example")});
            ids.push(server.post(&vendors, new).await.expect(201)["Id"].as_str().unwrap().to_owned());
        }
        let application = server.application("Purchasing").await;
        let definition = json!({"connection": connection, "module": "vendor", "operation": "list", "key": "/Id", "total": "/total"});
        let path = make(&server, &application, definition).await;
        let before = server.get(&vendors).await.expect(200)["total"].as_i64().unwrap();
        let made = pull(&server, &application, &path, false).await;
        assert_eq!(
            (&made["rows"], &made["pages"], &made["full"]),
            (&json!(before), &json!(2), &json!(true)),
            "{made}"
        );
        let state = table(&server, &path).await;
        assert_eq!((&state["rows"], &state["pulling"]), (&json!(before), &Value::Null));
        let columns: Vec<&str> =
            state["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert!(columns.contains(&"DisplayName") && columns.contains(&"Email"), "{columns:?}");
        assert_eq!(rows(&server, &path, "&sort=-DisplayName&limit=1").await, [ids[104].clone()]);
        assert_eq!(rows(&server, &path, "&filter=DisplayName%3DVendor+007").await, [ids[7].clone()]);
        assert_eq!(rows(&server, &path, "&q=V12%40acme").await, [ids[12].clone()]);
        // What is gone there is gone here after the next full pull.
        server.api("DELETE", &format!("{vendors}/{}", ids[7]), Value::Null).await.expect(204);
        let made = pull(&server, &application, &path, true).await;
        assert_eq!((&made["rows"], &made["removed"]), (&json!(before - 1), &json!(1)), "{made}");
        assert_eq!(rows(&server, &path, "&filter=DisplayName%3DVendor+007").await, [""; 0]);
        // It is a reference, and the calls stand among those of the connection.
        let refused = server.api("DELETE", &format!("/v1/connections/{connection}"), Value::Null).await;
        let problem = refused.problem(409, "connection_referenced");
        assert_eq!(problem["references"][0]["component"], "datasource:things");
        let calls = server.get(&format!("/v1/connections/{connection}/calls?limit=200")).await.expect(200);
        assert!(calls["items"].as_array().unwrap().iter().any(|call| call["via"] == "datasource"), "{calls}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_only_is_asked_for() {
    let shelf = Shelf::of(things(0, 25));
    let home = Home::sqlite();
    let server = home.start();
    let (_upstream, connection) = shelf.connection(&server).await;
    let application = server.application("Purchasing").await;
    let incremental = json!({"incremental": {"field": "/changed", "parameter": "since"}});
    let path = make(&server, &application, listing(&connection, incremental)).await;
    let first = pull(&server, &application, &path, false).await;
    assert_eq!((&first["full"], &first["pages"], &first["rows"]), (&json!(true), &json!(3), &json!(25)));
    assert_eq!(shelf.asked().len(), 3);
    assert_eq!(table(&server, &path).await["cursor"], 24);
    {
        let mut items = shelf.items.lock().unwrap();
        items.remove(3);
        items[0]["name"] = "Renamed".into();
        items[0]["changed"] = 30.into();
        items.push(json!({"id": 99, "name": "New", "changed": 31}));
    }
    let second = pull(&server, &application, &path, false).await;
    assert_eq!(
        (&second["full"], &second["pulled"], &second["removed"]),
        (&json!(false), &json!(3), &json!(0))
    );
    let asked = shelf.asked();
    assert!(asked.len() == 1 && asked[0].contains("since=24"), "{asked:?}");
    assert_eq!(rows(&server, &path, "&q=renamed").await, ["0"]);
    assert_eq!(rows(&server, &path, "&filter=id%3D3").await, ["3"], "nobody said that it is gone");
    assert_eq!(table(&server, &path).await["cursor"], 31);
    let whole = pull(&server, &application, &path, true).await;
    assert_eq!((&whole["full"], &whole["rows"], &whole["removed"]), (&json!(true), &json!(25), &json!(1)));
    assert!(!shelf.asked()[0].contains("since="), "everything was asked for");
    assert_eq!(rows(&server, &path, "&filter=id%3D3").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_whose_process_dies_goes_on_where_it_was() {
    let shelf = Shelf::of(things(0, 200));
    *shelf.slow.lock().unwrap() = true;
    let home = Home::sqlite();
    let server = home.start();
    let api_key = server.key.clone();
    let (_upstream, connection) = shelf.connection(&server).await;
    let application = server.application("Purchasing").await;
    let path = make(&server, &application, listing(&connection, json!({}))).await;
    let id = ask(&server, &path, false).await;
    let pulling = until("some pages", async || {
        let view = server.get(&path).await.expect(200);
        let pulling = view["tables"][0]["pulling"].clone();
        (pulling["pages"].as_u64() >= Some(3)).then_some(pulling)
    })
    .await;
    assert_eq!((&pulling["run"], &pulling["total"]), (&json!(id), &json!(200)));
    assert_eq!(pulling["percent"], pulling["rows"].as_u64().unwrap() / 2);
    server.kill();
    let before = shelf.asked();
    *shelf.slow.lock().unwrap() = false;
    let server = home.serve(&api_key);
    let run = over(&server, &application, &id).await;
    assert_eq!(run["results"]["pull"]["rows"], 200, "{run:#}");
    let after = shelf.asked();
    // Of 20 pages at most the one under way was asked for twice.
    assert!((20..=21).contains(&(before.len() + after.len())), "{before:?} {after:?}");
    assert!(!after[0].contains("start=0"), "{after:?}");
    assert_eq!(rows(&server, &path, "&sort=id&limit=200").await.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_refuses_or_delays_is_told_and_tried_again() {
    let shelf = Shelf::of(things(0, 25));
    *shelf.moods.lock().unwrap() = vec![200, 503, 200];
    let home = Home::sqlite();
    let server = home.start();
    let (_upstream, connection) = shelf.connection(&server).await;
    let application = server.application("Purchasing").await;
    let path = make(&server, &application, listing(&connection, json!({"rows_max": 25}))).await;
    let made = pull(&server, &application, &path, false).await;
    assert_eq!(made["rows"], 25);
    assert_eq!(shelf.asked().len(), 4, "the page that was refused was asked for again, and no other");
    // More than it may have: what is there stays.
    shelf.items.lock().unwrap().extend(things(25, 31));
    let id = ask(&server, &path, true).await;
    let failed = over(&server, &application, &id).await;
    assert_eq!((&failed["state"], &failed["code"]), (&json!("failed"), &json!("too_many_rows")), "{failed}");
    assert!(failed["reason"].as_str().unwrap().contains("rows_max"), "{failed}");
    assert!(rows(&server, &path, "&limit=200").await.len() >= 25);
    // An item without a key is named.
    *shelf.items.lock().unwrap() = vec![json!({"name": "nameless"})];
    let id = ask(&server, &path, true).await;
    let failed = over(&server, &application, &id).await;
    assert!(failed["reason"].as_str().unwrap().contains("/id"), "{failed}");
    let path = format!("/v1/applications/{application}/datasources");
    let wrong =
        listing(&connection, json!({"operation": "read", "key": "id", "with": {"size": {"value": 1}}}));
    let refused = server.post(&path, json!({"name": "Wrong", "definition": wrong})).await;
    assert_eq!(refused.fields(), ["definition.operation", "definition.key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_their_changes_are_told_and_rows_looked_through() {
    for home in Home::both() {
        let shelf = Shelf::of(vec![
            json!({"id": "a", "price": 9, "name": "Zinc", "home": {"city": "Berlin"}, "at": "2026-11-22T10:00:00+01:00"}),
            json!({"id": "b", "price": 10, "name": "acme, \"Ltd\"", "home": {"city": null}, "at": "2026-11-22T09:30:00Z"}),
            json!({"id": "c", "price": -5.5, "name": "=1+1", "tags": [1], "at": null}),
        ]);
        let server = home.start();
        let (_upstream, connection) = shelf.connection(&server).await;
        let application = server.application("Purchasing").await;
        let path = make(&server, &application, listing(&connection, json!({}))).await;
        assert_eq!(rows(&server, &path, "").await, [""; 0], "nothing was pulled yet");
        pull(&server, &application, &path, false).await;
        let types = async || {
            let state = table(&server, &path).await;
            let columns = state["columns"].as_array().unwrap().clone();
            let mut all: Vec<String> = columns
                .iter()
                .map(|c| format!("{} {}", c["name"].as_str().unwrap(), c["type"].as_str().unwrap()))
                .collect();
            all.sort();
            all
        };
        let first = ["at date_time", "home.city text", "id text", "name text", "price decimal", "tags list"];
        assert_eq!(types().await, first);
        for (query, wanted) in [
            ("&sort=price", &["c", "a", "b"][..]),
            ("&sort=-price", &["b", "a", "c"]),
            ("&sort=at", &["c", "a", "b"]),
            ("&filter=price%3E9", &["b"]),
            ("&filter=price%3C0", &["c"]),
            ("&filter=at%3C2026-11-22T09:15:00Z", &["a"]),
            ("&filter=home.city%3Dberlin", &["a"]),
            ("&filter=name~ACME", &["b"]),
            ("&q=zinc", &["a"]),
            ("&q=%25", &[]),
        ] {
            assert_eq!(rows(&server, &path, query).await, wanted, "{query}");
        }
        let page =
            server.get(&format!("{path}/rows?environment=development&sort=-price&limit=2")).await.expect(200);
        let cursor = page["next_cursor"].as_str().unwrap();
        assert_eq!(rows(&server, &path, &format!("&sort=-price&limit=2&cursor={cursor}")).await, ["c"]);
        for (query, field) in
            [("sort=none", "sort"), ("filter=none%3D1", "filter"), ("filter=price%3Eten", "filter")]
        {
            let refused = server.get(&format!("{path}/rows?environment=development&{query}")).await;
            assert_eq!(refused.fields(), [field], "{query}");
        }
        // As a file: formulas do nothing, and what needs quotes has them.
        let answer = server.get(&format!("{path}/rows.csv?environment=development")).await;
        assert_eq!(answer.status, 200);
        let text = answer.text.replace("\r\n", "\n");
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("key,"), "{text}");
        assert!(
            text.contains("'=1+1") && text.contains("\"acme, \"\"Ltd\"\"\"") && text.contains("-5.5"),
            "{text}"
        );
        assert_eq!(lines.count(), 3);
        // What changes is told once.
        assert_eq!(table(&server, &path).await["changes"], json!([]));
        *shelf.items.lock().unwrap() =
            vec![json!({"id": "a", "price": "9", "home": {"city": "Berlin"}, "fresh": true})];
        pull(&server, &application, &path, true).await;
        let state = table(&server, &path).await;
        let mut changes: Vec<String> = state["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| format!("{} {}", c["column"].as_str().unwrap(), c["change"].as_str().unwrap()))
            .collect();
        changes.sort();
        assert_eq!(changes, ["at gone", "fresh new", "name gone", "price type", "tags gone"]);
        // Others do not find it, and with it its rows go.
        server.get(&format!("{path}/rows")).await.problem(404, "not_found");
        server.api("DELETE", &path, Value::Null).await.expect(204);
        server.get(&format!("{path}/rows?environment=development")).await.problem(404, "not_found");
        server.api("DELETE", &format!("/v1/connections/{connection}"), Value::Null).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_pulled_at_its_times_and_by_schedules() {
    let shelf = Shelf::of(things(0, 5));
    let home = Home::postgres();
    let server = home.start();
    let (_upstream, connection) = shelf.connection(&server).await;
    let application = server.application("Purchasing").await;
    let path = make(&server, &application, listing(&connection, json!({"at": {"every": "300d"}}))).await;
    assert_eq!(server.get(&path).await.expect(200)["next"].as_array().unwrap().len(), 5);
    home.sql("update schedules set next_at = (extract(epoch from now()))::bigint * 1000000");
    let count = async |wanted: i64| {
        until(&format!("{wanted} rows"), async || {
            (table(&server, &path).await["rows"] == wanted).then_some(())
        })
        .await;
    };
    count(5).await;
    let runs = format!("/v1/applications/{application}/runs?component=datasource:things");
    assert_eq!(server.get(&runs).await.expect(200)["items"][0]["event"], "tick");
    // A schedule pulls it, and goes on with what came of it.
    shelf.items.lock().unwrap().extend(things(5, 8));
    let actions = json!([{"name": "pull", "pull": {"datasource": "things", "full": true}},
        {"name": "tell", "condition": "results.pull.rows == 8", "invoke": {"connection": connection, "method": "GET", "url": "/told"}}]);
    let schedule = json!({"name": "Report", "definition": {"at": {"every": "300d"}, "actions": actions}});
    server.post(&format!("/v1/applications/{application}/schedules"), schedule).await.expect(201);
    let run = format!("/v1/applications/{application}/schedules/report/run?environment=development");
    let run = server.post(&run, json!({})).await.expect(201);
    let run = over(&server, &application, run["id"].as_str().unwrap()).await;
    assert_eq!((&run["state"], &run["results"]["pull"]["rows"]), (&json!("succeeded"), &json!(8)), "{run:#}");
    assert!(shelf.asked().iter().any(|target| target.starts_with("/told")));
    count(8).await;
    let wrong = json!({"name": "W", "definition": {"at": {"every": "1h"}, "actions": [{"name": "p", "pull": {"datasource": "none"}}]}});
    let refused = server.post(&format!("/v1/applications/{application}/schedules"), wrong).await;
    assert_eq!(refused.fields(), ["definition.actions.0.pull.datasource"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_takes_its_choices_from_rows() {
    let shelf = Shelf::of(vec![
        json!({"id": 7, "name": "Zinc"}),
        json!({"id": 8, "name": "Acme"}),
        json!({"id": 9, "name": null}),
    ]);
    let home = Home::sqlite();
    let server = home.start();
    let (_upstream, connection) = shelf.connection(&server).await;
    let application = server.application("Purchasing").await;
    let base = format!("/v1/applications/{application}");
    let form = |datasource: &str| {
        json!({"name": "Orders", "definition": {"fields": [{"name": "vendor", "type": "dropdown", "required": true,
            "choices_from": {"datasource": datasource, "value": "id", "label": "name"}}, {"name": "note"}]}})
    };
    let refused = server.post(&format!("{base}/forms"), form("things")).await;
    assert_eq!(refused.fields(), ["definition.fields.0.choices_from.datasource"]);
    let path = make(&server, &application, listing(&connection, json!({}))).await;
    server.post(&format!("{base}/forms"), form("things")).await.expect(201);
    let records = format!("{base}/forms/orders/records?environment=development");
    let send = async |vendor: &str| server.post(&records, json!({"data": {"vendor": vendor}})).await;
    assert_eq!(send("7").await.fields(), ["data.vendor"], "nothing was pulled yet");
    pull(&server, &application, &path, false).await;
    for (vendor, good) in [("7", true), ("9", true), ("1", false), ("Zinc", false)] {
        let answer = send(vendor).await;
        assert_eq!(answer.status == 201, good, "{vendor}: {}", answer.text);
    }
    // What is no row any more cannot be chosen any more.
    shelf.items.lock().unwrap().remove(0);
    pull(&server, &application, &path, true).await;
    assert_eq!(send("7").await.fields(), ["data.vendor"]);
    // A record that has it keeps it, also where its page sends it back; another that is no row is refused there too.
    let all = server.get(&records).await.expect(200);
    let old = all["items"].as_array().unwrap().iter().find(|record| record["data"]["vendor"] == "7").unwrap();
    let path = format!("{base}/forms/orders/records/{}?environment=development", old["id"].as_str().unwrap());
    let edited = server.api("PATCH", &path, json!({"data": {"vendor": "7", "note": "x"}})).await.expect(200);
    assert_eq!(edited["data"], json!({"vendor": "7", "note": "x"}));
    let refused = server.api("PATCH", &path, json!({"data": {"vendor": "1"}})).await;
    assert_eq!((refused.status, refused.fields()), (422, vec!["data.vendor".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_looks_a_row_up() {
    let shelf = Shelf::of(vec![
        json!({"id": 7, "email": "Ada@Acme.example", "home": {"city": "Berlin"}}),
        json!({"id": 8}),
    ]);
    let home = Home::sqlite();
    let server = home.start();
    let (_upstream, connection) = shelf.connection(&server).await;
    let application = server.application("Purchasing").await;
    let path = make(&server, &application, listing(&connection, json!({}))).await;
    pull(&server, &application, &path, false).await;
    let base = format!("/v1/applications/{application}");
    let fields = json!([{"name": "email"}, {"name": "number", "type": "number"}, {"name": "city"}]);
    server
        .post(&format!("{base}/forms"), json!({"name": "Orders", "definition": {"fields": fields}}))
        .await
        .expect(201);
    let look = |take: &str| json!({"lookup": {"datasource": "things", "by": "email", "is": "record.email", "take": take}});
    let set = json!({"number": look("/id"), "city": look("home.city")});
    let workflow = |set: Value| json!({"name": "Look", "definition": {"form": "orders", "on": "created", "actions": [{"name": "look", "update_record": {"set": set}}]}});
    server.post(&format!("{base}/workflows"), workflow(set)).await.expect(201);
    for (email, number, city) in
        [("ada@acme.example", json!(7), json!("Berlin")), ("nobody@acme.example", Value::Null, Value::Null)]
    {
        let records = format!("{base}/forms/orders/records?environment=development");
        let record = server.post(&records, json!({"data": {"email": email}})).await.expect(201);
        let run = over(&server, &application, record["runs"][0].as_str().unwrap()).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        let id = record["id"].as_str().unwrap();
        let record = server
            .get(&format!("{base}/forms/orders/records/{id}?environment=development"))
            .await
            .expect(200);
        assert_eq!((&record["data"]["number"], &record["data"]["city"]), (&number, &city), "{record}");
    }
    let wrong = json!({"number": {"lookup": {"datasource": "none", "by": "email", "is": "1", "take": "id"}}});
    let refused = server.post(&format!("{base}/workflows"), workflow(wrong)).await;
    assert_eq!(refused.fields(), ["definition.actions.0.update_record.set.number.lookup.datasource"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_pulls_and_shows() {
    let shelf = Shelf::of(things(0, 12));
    let home = Home::sqlite();
    let server = home.start();
    let (_upstream, connection) = shelf.connection(&server).await;
    let application = server.application("Purchasing").await;
    let path = make(&server, &application, listing(&connection, json!({}))).await;
    let say = |arguments: &str| {
        let mut command = home.command();
        command.env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
        let output = command.args(arguments.split(' ')).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    assert!(say("datasources pull purchasing things --full --environment development").contains("queued"));
    until("the rows", async || (table(&server, &path).await["rows"] == 12).then_some(())).await;
    assert!(say("datasources list purchasing").contains("thing.list"));
    let shown = say("datasources show purchasing things");
    assert!(shown.contains("development: 12 rows") && shown.contains("price (decimal)"), "{shown}");
    let rows = say("datasources rows purchasing things --environment development --sort -price --limit 1");
    assert!(rows.contains("Thing 11") && !rows.contains("Thing 10"), "{rows}");
}
