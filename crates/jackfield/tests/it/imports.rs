//! Records as files: read in, read out, searched, and unique from one day on.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{Home, Server};
use crate::world::until;

async fn vendors(server: &Server, unique: bool) -> String {
    let application = server.application("Purchasing").await;
    let fields = json!([
        {"name": "vendor_name", "label": "Vendor name", "required": true, "unique": unique},
        {"name": "amount", "type": "decimal"}, {"name": "tags", "type": "multi_select", "choices": [{"value": "a"}, {"value": "b"}]},
        {"name": "note", "type": "multi_line"}, {"name": "who", "type": "name"},
    ]);
    let form = json!({"name": "Vendors", "definition": {"fields": fields}});
    server.post(&format!("/v1/applications/{application}/forms"), form).await.expect(201);
    format!("/v1/applications/{application}")
}

/// A workflow that needs no service: it says in each new record that it was there.
async fn marks(server: &Server, base: &str) {
    let action = json!({"name": "mark", "update_record": {"set": {"note": {"value": "marked"}}}});
    let workflow =
        json!({"name": "Mark", "definition": {"form": "vendors", "on": "created", "actions": [action]}});
    server.post(&format!("{base}/workflows"), workflow).await.expect(201);
}

const DEVELOPMENT: &str = "environment=development";

async fn import(server: &Server, base: &str, body: Value) -> Value {
    let path = format!("{base}/forms/vendors/imports?{DEVELOPMENT}");
    let begun = server.post(&path, body).await.expect(201);
    over(server, base, begun["id"].as_str().unwrap()).await
}

async fn over(server: &Server, base: &str, id: &str) -> Value {
    let path = format!("{base}/forms/vendors/imports/{id}?{DEVELOPMENT}");
    until("the import over", async || {
        let found = server.get(&path).await.expect(200);
        (found["state"] != "running").then_some(found)
    })
    .await
}

fn counts(import: &Value) -> [i64; 5] {
    ["rows", "done", "created", "changed", "refused"].map(|name| import[name].as_i64().unwrap())
}

async fn records(server: &Server, base: &str, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{base}/forms/vendors/records?{DEVELOPMENT}&limit=200{query}{cursor}");
        let page = server.get(&path).await.expect(200);
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

async fn exported(server: &Server, base: &str) -> String {
    let answer = server.get(&format!("{base}/forms/vendors/records.csv?{DEVELOPMENT}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    answer.text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_in_and_each_wrong_row_is_named() {
    for home in Home::both() {
        let server = home.start();
        let base = vendors(&server, true).await;
        marks(&server, &base).await;
        // 250 rows in three batches, of which three are refused: one has no name, one a name twice, one an amount that is none.
        let mut csv = "Vendor name;amount;tags;who.first;WHO.last\r\n".to_owned();
        for n in 0..247 {
            write!(csv, "Vendor {n};{n}.5;a; Ada ;Okafor\r\n").unwrap();
        }
        csv += ";1;;;\r\nvendor 0;1;;;\r\nOdd;many;;;\r\n";
        let done = import(&server, &base, json!({"csv": csv})).await;
        assert_eq!(counts(&done), [250, 250, 248, 0, 2], "{done:#}");
        let faults: Vec<(i64, &str)> = done["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| (fault["line"].as_i64().unwrap(), fault["field"].as_str().unwrap()))
            .collect();
        // "vendor 0" and "Vendor 0" are two names.
        assert_eq!(faults, [(249, "vendor_name"), (251, "amount")], "{done:#}");
        let again =
            import(&server, &base, json!({"csv": "vendor_name\nVendor 3\nVendor 4\nNew\nNew\n"})).await;
        assert_eq!(counts(&again), [4, 4, 1, 0, 3], "{again:#}");
        assert_eq!(again["faults"][0]["message"], "Another record has this value.");
        // Each set its workflow off, once.
        let runs = until("every record marked", async || {
            let marked = records(&server, &base, "&q=MARKED").await.len();
            (marked == 249).then_some(marked)
        });
        runs.await;
        let made = records(&server, &base, "&q=vendor 17").await;
        let names: Vec<&str> = made.iter().map(|r| r["data"]["vendor_name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), 11, "17 and 170 to 179: {names:?}");
        assert_eq!(made.last().unwrap()["data"]["amount"], "17.50");
        assert_eq!(made.last().unwrap()["data"]["who"], json!({"first": "Ada", "last": "Okafor"}));

        // Matched by what is unique, or by id: those that are there are changed, the same stay as they are.
        let csv = "vendor_name,amount\nVendor 3,3.5\nVendor 4,99\nNewer,1\n,2\n";
        let matched = import(&server, &base, json!({"csv": csv, "match_by": "vendor_name"})).await;
        assert_eq!(counts(&matched), [4, 4, 1, 1, 1], "{matched:#}");
        let id = records(&server, &base, "&q=Newer").await[0]["id"].as_str().unwrap().to_owned();
        let csv = format!("id,vendor_name\n{id},Newest\nrec_00000000000000000000000000000000,X\n,Fresh\n");
        let by_id = import(&server, &base, json!({"csv": csv, "match_by": "id", "workflows": false})).await;
        assert_eq!(counts(&by_id), [3, 3, 1, 1, 1], "{by_id:#}");
        let fresh = records(&server, &base, "&q=fresh").await;
        assert_eq!(fresh[0].get("runs"), None);
        let runs =
            server.get(&format!("{base}/runs?record={}", fresh[0]["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(runs["items"], json!([]), "told to set off no workflow");
        let renamed =
            server.get(&format!("{base}/forms/vendors/records/{id}?{DEVELOPMENT}")).await.expect(200);
        assert_eq!(
            (renamed["data"]["vendor_name"].as_str(), renamed["version"].as_i64()),
            (Some("Newest"), Some(3))
        );

        let listed =
            server.get(&format!("{base}/forms/vendors/imports?{DEVELOPMENT}&limit=2")).await.expect(200);
        assert_eq!(listed["items"][0]["id"], by_id["id"]);
        assert!(listed["next_cursor"].is_string());
        let trail = server.get("/v1/audit?action=application.records_imported").await.expect(200);
        assert_eq!(trail["items"].as_array().unwrap().len(), 4, "{trail:#}");
        let ended =
            format!("{base}/forms/vendors/imports/{}/cancel?{DEVELOPMENT}", done["id"].as_str().unwrap());
        server.post(&ended, json!({})).await.problem(409, "state_conflict");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_out_can_be_read_in() {
    let home = Home::sqlite();
    let server = home.start();
    let base = vendors(&server, true).await;
    let path = format!("{base}/forms/vendors/records?{DEVELOPMENT}");
    for (name, more) in [
        ("=HYPERLINK(\"http://x\")", json!({"note": "two\nlines, \"quoted\"", "tags": ["a", "b"]})),
        ("Ünïcode", json!({"amount": "-12.50", "who": {"first": "Ada", "last": "O'Neil"}})),
    ] {
        let mut data = more;
        data["vendor_name"] = name.into();
        server.post(&path, json!({"data": data})).await.expect(201);
    }
    let file = exported(&server, &base).await;
    let mut lines = file.split("\r\n");
    assert_eq!(
        lines.next().unwrap(),
        "id,created_at,updated_at,created_by,vendor_name,amount,tags,note,who.prefix,who.first,who.last"
    );
    assert!(file.contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "{file}");
    let before = records(&server, &base, "").await;
    for record in &before {
        let path = format!("{base}/forms/vendors/records/{}?{DEVELOPMENT}", record["id"].as_str().unwrap());
        server.api("DELETE", &path, Value::Null).await.expect(204);
    }
    let done = import(&server, &base, json!({"csv": file})).await;
    assert_eq!(counts(&done), [2, 2, 2, 0, 0], "{done:#}");
    let data = |records: &[Value]| records.iter().map(|r| r["data"].clone()).collect::<Vec<_>>();
    assert_eq!(data(&records(&server, &base, "").await), data(&before));
    let same = import(&server, &base, json!({"csv": exported(&server, &base).await, "match_by": "id"})).await;
    assert_eq!(counts(&same), [2, 2, 0, 0, 0], "{same:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_are_refused_before_anything_happens() {
    let home = Home::sqlite();
    let server = home.start();
    let base = vendors(&server, true).await;
    let path = format!("{base}/forms/vendors/imports?{DEVELOPMENT}");
    for (body, field) in [
        (json!({"csv": ""}), "csv"),
        (json!({"csv": "vendor_name\n"}), "csv"),
        (json!({"csv": "name\nx\n"}), "csv"),
        (json!({"csv": "vendor_name\na\u{0}b\n"}), "csv"),
        (json!({"csv": "vendor_name\nx\n", "match_by": "amount"}), "match_by"),
        (json!({"csv": "vendor_name\nx\n", "match_by": "id"}), "match_by"),
        (json!({}), "csv"),
    ] {
        let answer = server.post(&path, body.clone()).await;
        assert_eq!(answer.fields(), [field], "{body}");
        answer.problem(422, "invalid_input");
    }
    let large = "x".repeat(10 * 1024 * 1024 + 1);
    server.post(&path, json!({"csv": format!("vendor_name\n{large}\n")})).await.problem(422, "invalid_input");
    // Users send in their own records, and read nobody else's.
    let uma = server.person("uma", "user").await;
    server.post(&format!("{base}/members"), json!({"member": uma.id})).await.expect(201);
    for to in ["stage", "production"] {
        server.post(&format!("{base}/publish"), json!({"to": to})).await.expect(200);
    }
    let production = format!("{base}/forms/vendors/imports");
    let file = json!({"csv": "vendor_name\nx\n"});
    server.as_person(&uma).api("POST", &production, file).await.problem(403, "forbidden");
    server.as_person(&uma).get(&format!("{base}/forms/vendors/records.csv")).await.problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_lost_or_doubled_whenever_the_process_dies() {
    for home in Home::both() {
        let founder = home.init();
        let mut server = home.serve(&founder.key);
        let base = vendors(&server, false).await;
        let mut csv = "vendor_name\n".to_owned();
        for n in 0..3000 {
            writeln!(csv, "Vendor {n}").unwrap();
        }
        let path = format!("{base}/forms/vendors/imports?{DEVELOPMENT}");
        let begun = server.post(&path, json!({"csv": csv})).await.expect(201);
        let id = begun["id"].as_str().unwrap();
        let path = format!("{base}/forms/vendors/imports/{id}?{DEVELOPMENT}");
        for part in [1, 1200] {
            until("some rows are read in", async || {
                (server.get(&path).await.expect(200)["done"].as_i64().unwrap() >= part).then_some(())
            })
            .await;
            server.kill();
            // Where others may be at work, the lease of a node that died ends after a minute; the test ends it now.
            if home.database_url().starts_with("postgres") {
                home.sql("update imports set lease_until = 0");
            }
            server = home.serve(&founder.key);
        }
        let done = over(&server, &base, id).await;
        assert_eq!(counts(&done), [3000, 3000, 3000, 0, 0], "{done:#}");
        let mut names: Vec<String> = exported(&server, &base)
            .await
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(4).unwrap().to_owned())
            .collect();
        let expected: Vec<String> = (0..3000).map(|n| format!("Vendor {n}")).collect();
        names.sort_by_key(|name| name.rsplit(' ').next().unwrap().parse::<u32>().unwrap());
        assert_eq!(names, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_unique_is_so_among_the_records_that_are_there() {
    for home in Home::both() {
        let server = home.start();
        let base = vendors(&server, false).await;
        let path = format!("{base}/forms/vendors/records?{DEVELOPMENT}");
        let mut ids = Vec::new();
        for name in ["Acme", "Bolt", "Acme"] {
            let made = server.post(&path, json!({"data": {"vendor_name": name}})).await.expect(201);
            ids.push(made["id"].as_str().unwrap().to_owned());
        }
        let form = format!("{base}/forms/vendors");
        for to in ["stage", "production"] {
            server.post(&format!("{base}/publish"), json!({"to": to})).await.expect(200);
        }
        let mut definition = server.get(&form).await.expect(200)["definition"].clone();
        definition["fields"][0]["unique"] = true.into();
        let refused = server.api("PATCH", &form, json!({"definition": definition})).await;
        assert_eq!(refused.fields(), ["definition.fields.0.unique"]);
        let problem = refused.problem(422, "invalid_input");
        assert!(problem["detail"].as_str().unwrap().contains("\"Acme\""), "{problem}");
        let record = format!("{base}/forms/vendors/records/{}?{DEVELOPMENT}", ids[2]);
        server.api("PATCH", &record, json!({"data": {"vendor_name": "Core"}})).await.expect(200);
        server.api("PATCH", &form, json!({"definition": definition})).await.expect(200);
        for name in ["Acme", "Bolt", "Core"] {
            let answer = server.post(&path, json!({"data": {"vendor_name": name}})).await;
            assert_eq!(answer.fields(), ["data.vendor_name"], "{name}");
        }
        // In production it becomes so with the release, and is refused with it.
        let production = format!("{base}/forms/vendors/records");
        for _ in 0..2 {
            server.post(&production, json!({"data": {"vendor_name": "Twice"}})).await.expect(201);
        }
        server.post(&format!("{base}/publish"), json!({"to": "stage"})).await.expect(200);
        let refused = server.post(&format!("{base}/publish"), json!({"to": "production"})).await;
        let problem = refused.problem(409, "state_conflict");
        assert!(
            problem["detail"].as_str().unwrap().contains("form:vendors: Two records in production"),
            "{problem}"
        );
        let served = server.get(&format!("{production}?q=twice")).await.expect(200);
        let id = served["items"][0]["id"].as_str().unwrap();
        server.api("DELETE", &format!("{production}/{id}"), Value::Null).await.expect(204);
        server.post(&format!("{base}/publish"), json!({"to": "production"})).await.expect(200);
        let answer = server.post(&production, json!({"data": {"vendor_name": "Twice"}})).await;
        assert_eq!(answer.fields(), ["data.vendor_name"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_can_be_stopped() {
    let home = Home::sqlite();
    let server = home.start();
    let base = vendors(&server, false).await;
    let csv = format!("vendor_name\n{}", "x\n".repeat(20_000));
    let path = format!("{base}/forms/vendors/imports?{DEVELOPMENT}");
    let begun = server.post(&path, json!({"csv": csv})).await.expect(201);
    let path = format!("{base}/forms/vendors/imports/{}/cancel?{DEVELOPMENT}", begun["id"].as_str().unwrap());
    let stopped = server.post(&path, json!({})).await.expect(200);
    assert_eq!(stopped["state"], "cancelled");
    let kept = exported(&server, &base).await.lines().count() - 1;
    let again = over(&server, &base, begun["id"].as_str().unwrap()).await;
    assert_eq!(again["created"].as_u64().unwrap(), kept as u64);
    assert!(kept < 20_000);
}
