//! The manners of the API: who is let in, how input is refused, names, pages, lives of things, and what describes it all.

use jackfield_testkit::reqwest;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::support::{Answer, Home, Server};
use crate::upstream::{Upstream, Wire, json_reply, key, keyed};
use crate::world::PATIENCE;

mod lives;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A server with one thing of each kind.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) connection: String,
    connector: String,
    authorization: String,
    flow: String,
    key: String,
    member: String,
    session: String,
    pub(crate) application: String,
    application_key: String,
    record: String,
    import: String,
    run: String,
    payment: String,
    _upstream: Upstream,
}

/// A form of a text and a file.
fn form() -> Value {
    json!({"description": "What it is for", "access": "members", "fields": [
        {"name": "title", "label": "Title", "required": true}, {"name": "photo", "type": "file", "accept": ["image/*"]}]})
}

/// A workflow that writes into the record.
fn works() -> Value {
    json!({"form": "mannered", "on": "created", "condition": "record.title", "enabled": true, "actions": [
        {"name": "note", "on_failure": "stop", "update_record": {"set": {"title": {"text": "{{ record.title }}!"}}}}]})
}

/// A schedule that nobody waits for.
fn nightly() -> Value {
    json!({"at": {"cron": "0 3 * * *", "time_zone": "Europe/Berlin"}, "overlap": "queue", "misfire": "skip", "grace_minutes": 10,
        "enabled": true, "actions": [{"name": "tell", "condition": "event == 'tick'", "mail":
            {"to": ["ada@acme.example"], "subject": "{{ date }}", "text": "{{ tick }}"}}]})
}

/// A datasource of what the stage's connection lists.
fn listed(connection: &str) -> Value {
    json!({"connection": connection, "module": "note", "operation": "list", "with": {"kind": {"value": "a"}}, "key": "/id",
        "total": "/total", "incremental": {"field": "/changed", "parameter": "since"},
        "at": {"cron": "0 3 * * *", "time_zone": "UTC"}, "rows_max": 100, "enabled": true})
}

/// A connector that takes payments at a service that says nothing.
fn till(upstream: &Upstream) -> Value {
    let mut till = keyed("Till", &upstream.url, &[&upstream.host()]);
    till["modules"] = json!({"c": {"fields": [{"name": "id"}], "operations": {
        "create": {"method": "POST", "path": "/c", "result": "/id", "idempotency": {"in": "header", "name": "Key"}},
        "read": {"path": "/c/{id}"}, "end": {"method": "POST", "path": "/c/{id}/end"}}}});
    till["payment"] = json!({"checkout_hosts": [upstream.host()], "amounts": "minor", "url": "/url", "amount": "/amount",
        "currency": "/currency", "states": [{"when": {"/status": "paid"}, "state": "paid"}], "create": {"operation": "c.create"},
        "read": {"operation": "c.read", "with": {"id": "{payment.checkout}"}},
        "expire": {"operation": "c.end", "with": {"id": "{payment.checkout}"}}});
    till
}

/// The first payment that the application asks for. By hand: whoever spawns this wants it to be `Send`.
async fn first_payment(server: &Server, base: &str) -> String {
    let begun = std::time::Instant::now();
    loop {
        let found = server.get(&format!("{base}/payments")).await.expect(200);
        if let Some(id) = found["items"][0]["id"].as_str() {
            return id.to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "no payment was asked for");
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
}

/// An operation of the description.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    /// with `{link_name}` and the like
    pub(crate) path: String,
    query: Vec<String>,
}

async fn description(server: &Server) -> Value {
    server.get("/openapi.json").await.expect(200)
}

pub(crate) async fn operations(server: &Server) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in description(server).await["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !METHODS.contains(&method.to_ascii_uppercase().as_str()) {
                continue;
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|p| p["in"] == "query");
            all.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                query: query.map(|p| p["name"].as_str().unwrap().to_owned()).collect(),
            });
        }
    }
    assert!(all.len() > 25, "{all:?}");
    all
}

impl Stage {
    pub(crate) async fn new(home: &Home) -> Self {
        let founder = home.init();
        let server = home.serve(&founder.key);
        let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
        let mut document = keyed("Mannered", &upstream.url, &[&upstream.host()]);
        document["modules"] = json!({"note": {"operations": {"list": {"path": "/notes", "items": "/items", "fields":
            [{"name": "kind", "in": "query"}, {"name": "since", "in": "query"}]}}},
            // What the template needs from which applications are started here.
            "vendor": {"fields": [{"name": "DisplayName"}, {"name": "CompanyName"}, {"name": "Email"}, {"name": "Phone"}],
                "operations": {"create": {"method": "POST", "path": "/vendors"}}}});
        let connector = server.connector(document).await;
        let connection = server.connection(json!({"connector": connector, "name": "Mannered"})).await;
        let path = format!("/v1/connections/{connection}/authorizations");
        let made = server.post(&path, json!({"credentials": key()})).await.expect(201);
        let authorization = made["authorization"]["id"].as_str().unwrap().to_owned();
        // A flow whose service nobody will visit.
        let code = json!({
            "name": "Code", "base_url": upstream.url, "auth": {
                "type": "oauth2_code", "authorize_url": format!("{}/authorize", upstream.url),
                "token_url": format!("{}/token", upstream.url),
            },
        });
        let code = server.connector(code).await;
        let parameters = json!({"client_id": "c", "client_secret": "s3cret-client"});
        let code = json!({"connector": code, "name": "Code", "parameters": parameters});
        let code = server.connection(code).await;
        let flow = server.begin_flow(&code, json!({})).await["id"].as_str().unwrap().to_owned();
        let made = server.post("/v1/me/keys", json!({"name": "Mannered"})).await.expect(201);
        let key = made["id"].as_str().unwrap().to_owned();
        let new = json!({"email": "manners@mannered.example", "name": "Mannered", "role": "user"});
        let invited = server.post("/v1/members", new).await.expect(201);
        let member = invited["member"]["id"].as_str().unwrap().to_owned();
        let founder = json!({"email": founder.email, "password": founder.password});
        let session = server.with_key("").api("POST", "/v1/sessions", founder).await.expect(201);
        let session = session["session"]["id"].as_str().unwrap().to_owned();
        let application = server.application("Mannered").await;
        let base = format!("/v1/applications/{application}");
        let new = json!({"name": "Mannered", "environment": "production"});
        let made = server.post(&format!("{base}/keys"), new).await.expect(201);
        let application_key = made["id"].as_str().unwrap().to_owned();
        server.post(&format!("{base}/members"), json!({"member": member})).await.expect(201);
        let component = format!("{base}/components/workflow:mannered");
        server.api("PUT", &component, json!({"connections": [connection]})).await.expect(200);
        server
            .post(&format!("{base}/forms"), json!({"name": "Mannered", "definition": form()}))
            .await
            .expect(201);
        server
            .post(&format!("{base}/workflows"), json!({"name": "Works", "definition": works()}))
            .await
            .expect(201);
        server
            .post(&format!("{base}/schedules"), json!({"name": "Nightly", "definition": nightly()}))
            .await
            .expect(201);
        server
            .post(&format!("{base}/datasources"), json!({"name": "Notes", "definition": listed(&connection)}))
            .await
            .expect(201);
        let till = server.connector(till(&upstream)).await;
        let till = server.connection(json!({"connector": till, "name": "Till"})).await;
        let path = format!("/v1/connections/{till}/authorizations");
        server.post(&path, json!({"credentials": crate::upstream::key()})).await.expect(201);
        let pays = json!({"form": "mannered", "on": "created", "condition": "record.title == 'Mannered'", "actions": [
            {"name": "pay", "payment": {"connection": till, "amount": {"value": 1}, "currency": "EUR", "description": "x"}}]});
        let pays = json!({"name": "Pays", "definition": pays});
        server.post(&format!("{base}/workflows"), pays).await.expect(201);
        for to in ["stage", "production"] {
            server.post(&format!("{base}/publish"), json!({"to": to})).await.expect(200);
        }
        let records = format!("{base}/forms/mannered/records");
        let record = server.post(&records, json!({"data": {"title": "Mannered", "photo": {"filename": "a.png", "content_type": "image/png", "base64": "AAEC"}}})).await.expect(201);
        let imports = format!("{base}/forms/mannered/imports");
        let import = server.post(&imports, json!({"csv": "title\nMannered too\n"})).await.expect(201);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let payment = first_payment(&server, &base).await;
        Self {
            payment,
            record: text(&record["id"]),
            import: text(&import["id"]),
            run: text(&record["runs"][0]),
            server,
            connection,
            connector,
            authorization,
            flow,
            key,
            member,
            session,
            application,
            application_key,
            _upstream: upstream,
        }
    }

    /// The path with the parameters of this stage. Who adds a route with another parameter says here what stands for it.
    pub(crate) fn fill(&self, path: &str) -> String {
        let link = match path {
            _ if path.starts_with("/v1/connectors/") => &self.connector,
            _ if path.starts_with("/v1/applications/") => &self.application,
            _ => &self.connection,
        };
        let id = match path {
            _ if path.starts_with("/v1/flows/") => &self.flow,
            _ if path.starts_with("/v1/me/keys/") => &self.key,
            "/v1/applications/{link_name}/keys/{id}" => &self.application_key,
            "/v1/applications/{link_name}/members/{id}" => &self.member,
            _ if path.contains("/records/{id}") => &self.record,
            _ if path.contains("/imports/{id}") => &self.import,
            _ if path.contains("/runs/{id}") => &self.run,
            _ if path.contains("/payments/{id}") => &self.payment,
            _ if path.starts_with("/v1/members/") => &self.member,
            _ if path.starts_with("/v1/sessions/") => &self.session,
            _ => &self.authorization,
        };
        let filled = path
            .replace("{link_name}", link)
            .replace("{id}", id)
            .replace("{environment}", "production")
            .replace("{step}", "team")
            .replace("{application}", &self.application)
            .replace("{component}", "workflow:mannered")
            .replace("{form}", "mannered")
            .replace("{field}", "photo")
            .replace("{number}", "1")
            .replace("{schedule}", "nightly")
            .replace("{datasource}", "notes")
            .replace("{template}", "vendor_onboarding")
            .replace("{workflow}", "works");
        assert!(!filled.contains('{'), "the tests do not know a parameter of {path}");
        filled
    }

    /// A body that the operation takes. Who adds a route with a body says here what it takes.
    pub(crate) fn body(&self, operation: &Operation) -> Value {
        match (operation.method.as_str(), operation.path.as_str()) {
            ("GET" | "DELETE", _) => Value::Null,
            ("PATCH", "/v1/organization") => json!({"name": "Acme", "connections_managed_by": "developers"}),
            ("POST", "/v1/members") => {
                json!({"email": "one@mannered.example", "name": "One more", "role": "admin"})
            }
            ("PATCH", "/v1/members/{id}") => json!({"name": "Renamed", "role": "developer", "active": true}),
            ("POST", "/v1/members/{id}/hand-over") => json!({"to": self.member}),
            ("POST", "/v1/members/{id}/invitation" | "/v1/members/{id}/password-reset")
            | ("PUT", "/v1/connections/{link_name}/applications/{application}") => json!({}),
            ("POST", "/v1/invitations/accept" | "/v1/password-resets/accept") => {
                json!({"token": "nobody's", "password": "correct horse"})
            }
            ("POST", "/v1/sessions") => {
                json!({"email": "nobody@mannered.example", "password": "correct horse", "organization": "org_x"})
            }
            ("POST", "/v1/password-resets") => json!({"email": "nobody@mannered.example"}),
            ("POST", "/v1/me/password") => json!({"current": "correct horse", "new": "correct battery"}),
            ("POST", "/v1/me/keys") => json!({"name": "One more", "expires_in_days": 7}),
            ("POST", "/v1/connectors") => json!({
                "name": "One more", "description": "A service", "base_url": "https://{site}.example.com/v1",
                "hosts": ["{site}.example.com", "*.example.com:8443"], "levels": ["admin"], "regions": ["eu"],
                "parameters": [{"name": "site", "label": "Site", "pattern": "[a-z]+", "required": true}],
                "scopes": [{"name": "read", "access": "read", "default": true}],
                "identity": {"method": "GET", "url": "/me", "name": "/email", "subject": "/sub"},
                "test": {"method": "GET", "path": "/me"}, "headers": {"X-Site": "{site}"},
                "setup": [{"id": "team", "operation": "GET /teams", "items": "/items", "value": "/id", "label": "/name"}],
                "modules": {"note": {"label": "Note", "operations": {"list": {"label": "List", "method": "GET", "path": "/notes"}}}},
                "auth": {
                    "type": "oauth2_code", "authorize_url": "https://example.com/a", "token_url": "https://example.com/t",
                    "authorize_parameters": {"prompt": "consent"}, "place": {"in": "header", "name": "X-Token", "prefix": "T "},
                },
            }),
            ("POST", "/v1/connectors/import") => {
                json!({"curl": "curl https://api.mannered.example/v1/notes -u a:b", "name": "Drawn", "save": true})
            }
            ("POST", "/v1/connectors/test") => {
                json!({"connector": self.connector, "credentials": key(), "parameters": {}})
            }
            ("PATCH", "/v1/connectors/{link_name}") => json!({"description": "Better", "category": "crm"}),
            ("POST", "/v1/connections") => json!({
                "connector": self.connector, "name": "One more", "link_name": null, "level": "admin", "scopes": [],
                "parameters": {}, "same_authorization": true, "applications": ["*"],
            }),
            ("POST", "/v1/connections/{link_name}/move") => {
                json!({"to": 1, "parameters": {}, "scopes": null, "version": null})
            }
            ("PATCH", "/v1/connections/{link_name}") => {
                json!({"name": "Renamed", "scopes": [], "parameters": {}, "applications": ["*"]})
            }
            ("POST", "/v1/connections/{link_name}/authorizations") => {
                json!({"account_name": "Mine", "environments": null, "credentials": key(), "reuse": null})
            }
            ("PATCH", "/v1/connections/{link_name}/authorizations/{id}") => json!({"account_name": "Ours"}),
            ("POST", "/v1/connections/{link_name}/authorizations/{id}/reauthorize") => {
                json!({"credentials": key()})
            }
            ("PUT", "/v1/connections/{link_name}/authorizations/{id}/setup/{step}") => json!({"value": "x"}),
            (
                "PUT",
                "/v1/connections/{link_name}/bindings/{environment}"
                | "/v1/connections/{link_name}/primary/{environment}",
            ) => {
                json!({"authorization": self.authorization})
            }
            ("POST", "/v1/applications/{link_name}/forms") => {
                json!({"name": "One more", "link_name": null, "definition": form()})
            }
            ("PATCH", "/v1/applications/{link_name}/forms/{form}") => {
                json!({"name": "Renamed", "definition": form()})
            }
            ("POST", "/v1/applications/{link_name}/workflows") => {
                json!({"name": "One more", "link_name": null, "definition": works()})
            }
            ("PATCH", "/v1/applications/{link_name}/workflows/{workflow}") => {
                json!({"name": "Renamed", "definition": works()})
            }
            ("POST", "/v1/applications/{link_name}/schedules") => {
                json!({"name": "One more", "link_name": null, "definition": nightly()})
            }
            ("PATCH", "/v1/applications/{link_name}/schedules/{schedule}") => {
                json!({"name": "Renamed", "definition": nightly()})
            }
            ("POST", "/v1/applications/{link_name}/datasources") => {
                json!({"name": "One more", "link_name": null, "definition": listed(&self.connection)})
            }
            ("PATCH", "/v1/applications/{link_name}/datasources/{datasource}") => {
                json!({"name": "Renamed", "definition": listed(&self.connection)})
            }
            ("POST", "/v1/applications/{link_name}/datasources/{datasource}/pull") => {
                json!({"full": true, "environment": "production"})
            }
            ("POST", "/v1/applications/{link_name}/forms/{form}/records") => {
                json!({"data": {"title": "One more"}})
            }
            ("POST", "/v1/applications/{link_name}/forms/{form}/imports") => {
                json!({"csv": "title\nOne more\n", "match_by": null, "workflows": false})
            }
            ("PATCH", "/v1/applications/{link_name}/forms/{form}/records/{id}") => {
                json!({"data": {"title": "Other"}})
            }
            ("POST", "/v1/applications/{link_name}/publish") => {
                json!({"to": "stage", "release": null, "note": "What is new", "anyway": true})
            }
            ("POST", "/v1/applications/{link_name}/runs/replay") => {
                json!({"environment": "production", "component": null, "workflow": "works", "record": null})
            }
            (
                "POST",
                "/v1/applications/{link_name}/runs/{id}/replay"
                | "/v1/applications/{link_name}/runs/{id}/cancel"
                | "/v1/applications/{link_name}/forms/{form}/imports/{id}/cancel"
                | "/v1/applications/{link_name}/webhook-secret/rotate",
            ) => {
                json!({})
            }
            ("POST", "/v1/applications") => {
                json!({"name": "One more", "link_name": null, "description": "What it is for"})
            }
            ("POST", "/v1/application-templates/{template}/start") => {
                json!({"name": "Started", "link_name": null,
                "description": "Begun", "connections": {"books": self.connection}, "answers": {}})
            }
            ("PATCH", "/v1/applications/{link_name}") => json!({"name": "Renamed", "description": "Better"}),
            ("POST", "/v1/applications/{link_name}/members") => json!({"member": self.member}),
            ("POST", "/v1/applications/{link_name}/keys") => {
                json!({"name": "One more", "environment": "stage", "scopes": ["use"], "expires_in_days": 7})
            }
            ("PUT", "/v1/applications/{link_name}/components/{component}") => {
                json!({"connections": [self.connection]})
            }
            ("POST", "/v1/connections/{link_name}/invoke") => json!({
                "method": "POST", "url": "/x", "query": {"a": ["1"]}, "headers": {"x-a": "1"}, "body": {"a": "1"},
                "body_encoding": "form", "environment": "production", "acting_for": null, "detailed": true, "timeout_ms": 40000,
            }),
            ("POST", path)
                if ["/publish", "/disable", "/enable", "/run"].iter().any(|step| path.ends_with(step)) =>
            {
                json!({})
            }
            (method, path) => panic!("the tests do not know what {method} {path} takes"),
        }
    }

    /// The few routes that let people in: they need no key. Each is tried in `people` and `sign_in`.
    pub(crate) fn lets_in(operation: &Operation) -> bool {
        let paths =
            ["/v1/invitations/accept", "/v1/sessions", "/v1/password-resets", "/v1/password-resets/accept"];
        operation.method == "POST" && paths.contains(&operation.path.as_str())
    }

    async fn send(&self, operation: &Operation, body: Value) -> Answer {
        self.server.api(&operation.method, &self.fill(&operation.path), body).await
    }
}

#[tokio::test]
async fn strangers_are_not_let_in_and_neighbours_find_nothing() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let neighbour = home.organization("Other");
    let (nobody, neighbour) = (server.with_key(""), server.with_key(&neighbour.key));
    for operation in operations(server).await {
        let Operation { method, path, .. } = &operation;
        let filled = stage.fill(path);
        if Stage::lets_in(&operation) {
            let answer = nobody.api(method, &filled, stage.body(&operation)).await;
            assert!(matches!(answer.status, 202 | 401 | 404), "{method} {path}: {}", answer.text);
            continue;
        }
        // A stranger is told nothing about what he sent.
        let answer = nobody.api(method, &filled, json!({"no such": "field"})).await;
        answer.problem(401, "unauthenticated");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        let answer = nobody.api(method, &format!("{filled}?limit=garbage"), Value::Null).await;
        answer.problem(401, "unauthenticated");

        let answer = neighbour.api(method, &filled, stage.body(&operation)).await;
        if path.contains("{link_name}") || path.contains("{id}") || path == "/v1/sessions/current" {
            answer.problem(404, "not_found");
        } else if method == "GET" {
            let text = answer.text.to_lowercase();
            assert!(
                answer.status == 200 && !text.contains("mannered") && !text.contains("acme"),
                "{path}: {text}"
            );
        } else if path == "/v1/connections" {
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), ["connector"]);
        } else if path == "/v1/connectors/test" {
            answer.problem(404, "not_found");
        } else if path == "/v1/application-templates/{template}/start" {
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), ["connections.books"]);
        } else if path == "/v1/me/password" {
            answer.problem(422, "invalid_input");
        } else {
            assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
        }
    }
    // Nothing of all that has changed anything here.
    for path in [
        format!("/v1/connections/{}", stage.connection),
        format!("/v1/connections/{}/authorizations/{}", stage.connection, stage.authorization),
        format!("/v1/connectors/{}", stage.connector),
    ] {
        let view = server.get(&path).await.expect(200);
        assert!(view["version"].is_null() || view["version"].as_i64() <= Some(2), "{view}");
    }
    let answer = server.invoke(&stage.connection, json!({"url": "/x"})).await;
    assert_eq!(answer.expect(200)["status"], 200);
    assert_eq!(server.get(&format!("/v1/flows/{}", stage.flow)).await.expect(200)["state"], "pending");
    assert_eq!(server.get("/v1/organization").await.expect(200)["name"], "Acme");
}

#[tokio::test]
async fn the_description_names_what_is_answered_and_nothing_else() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let document = description(server).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    assert!(document["components"]["securitySchemes"]["key"]["scheme"] == "bearer");
    assert_eq!(document["security"], json!([{"key": []}]));

    // References resolve.
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10);
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }

    // Each operation is whole.
    let mut ids = BTreeSet::new();
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            let id =
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no id")).to_owned();
            assert!(ids.insert(id.clone()), "{name}: {id} is taken");
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{name} says nothing"
            );
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path: BTreeSet<&str> = parameters
                .iter()
                .filter(|p| p["in"] == "path" && p["required"] == true)
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            let wanted: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            assert_eq!(in_path, wanted, "{name}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("default") && responses.len() > 1, "{name}: {responses:?}");
            for (status, response) in responses {
                assert!(response["description"].as_str().is_some_and(|t| !t.is_empty()), "{name} {status}");
                let kinds: Vec<&String> =
                    response["content"].as_object().into_iter().flat_map(Map::keys).collect();
                let kind = match status.as_str() {
                    "default" => "application/problem+json",
                    _ if path.ends_with("/records.csv") || path.ends_with("/rows.csv") => "text/csv",
                    _ if path.ends_with("/files/{field}") => "application/octet-stream",
                    _ if path.ends_with("/document.toml") => "application/toml",
                    _ => "application/json",
                };
                assert!(
                    kinds == [kind] || (status == "204" && kinds.is_empty()),
                    "{name} {status}: {kinds:?}"
                );
            }
            described.entry(path.clone()).or_default().insert(method.to_ascii_uppercase());
        }
    }

    // What is described is answered, what is not is not; and the rest of the contract is not there by halves.
    let nobody = server.with_key("");
    let contract = [
        "/v1/organization",
        "/v1/me",
        "/v1/me/keys",
        "/v1/me/keys/{id}",
        "/v1/members",
        "/v1/members/{id}",
        "/v1/applications",
        "/v1/applications/{link_name}",
        "/v1/application-templates",
        "/v1/application-templates/{template}",
        "/v1/application-templates/{template}/start",
        "/v1/applications/{link_name}/keys",
        "/v1/applications/{link_name}/keys/{id}",
        "/v1/applications/{link_name}/connections",
        "/v1/applications/{link_name}/members",
        "/v1/invitations/accept",
        "/v1/connectors",
        "/v1/connectors/{link_name}",
        "/v1/connectors/{link_name}/publish",
        "/v1/connectors/{link_name}/disable",
        "/v1/connectors/{link_name}/enable",
        "/v1/connectors/{link_name}/versions",
        "/v1/connectors/{link_name}/versions/{number}",
        "/v1/connectors/{link_name}/diff",
        "/v1/connectors/import",
        "/v1/connections",
        "/v1/connections/{link_name}",
        "/v1/connections/{link_name}/enable",
        "/v1/connections/{link_name}/disable",
        "/v1/connections/{link_name}/move",
        "/v1/connections/{link_name}/references",
        "/v1/connections/{link_name}/fields",
        "/v1/connections/{link_name}/calls",
        "/v1/connections/{link_name}/authorizations",
        "/v1/connections/{link_name}/authorizations/{id}",
        "/v1/connections/{link_name}/authorizations/{id}/reauthorize",
        "/v1/connections/{link_name}/reusable",
        "/v1/connections/{link_name}/bindings/{environment}",
        "/v1/connections/{link_name}/primary/{environment}",
        "/v1/members/{id}/invitation",
        "/v1/sessions",
        "/v1/sessions/current",
        "/v1/sessions/{id}",
        "/v1/flows",
        "/v1/flows/{id}",
        "/v1/connections/{link_name}/invoke",
    ];
    let none = BTreeSet::new();
    let paths: BTreeSet<&str> = contract.into_iter().chain(described.keys().map(String::as_str)).collect();
    for path in paths {
        let known = described.get(path).unwrap_or(&none);
        // `import` could be a connector's name, were it not for the route.
        let shadowed = path == "/v1/connectors/import" && known.is_empty();
        for method in METHODS {
            let answer = nobody.api(method, &stage.fill(path), Value::Null).await;
            let asked = Operation { method: method.to_owned(), path: path.to_owned(), query: Vec::new() };
            let wanted = match (known.contains(method), known.is_empty()) {
                _ if shadowed => continue,
                _ if Stage::lets_in(&asked) => (422, "invalid_input"),
                (true, _) => (401, "unauthenticated"),
                (false, true) => (404, "not_found"),
                (false, false) => (405, "method_not_allowed"),
            };
            let problem = answer.problem(wanted.0, wanted.1);
            assert!(problem["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{problem}");
        }
    }
    for path in ["/v1", "/v1/", "/v1/nothing", "/v2/me", "/nothing", "/v1/me/", "/v1/connections/a/b/c"] {
        server.get(path).await.problem(404, "not_found");
    }

    // What is for everybody.
    for (path, kind, text) in [
        ("/healthz", "text/plain", "ok"),
        ("/readyz", "text/plain", "ready"),
        ("/metrics", "text/plain", "jackfield_database_statements_total "),
        ("/openapi.json", "application/json", "\"openapi\""),
    ] {
        let answer = nobody.api("GET", path, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        assert!(answer.text.contains(text), "{path}: {}", answer.text);
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        nobody.api("POST", path, Value::Null).await.problem(405, "method_not_allowed");
    }
    let docs = nobody.api("GET", "/docs", Value::Null).await;
    let docs = match docs.headers.get("location") {
        Some(place) => {
            nobody
                .api(
                    "GET",
                    &format!("/docs/{}", place.to_str().unwrap().rsplit('/').next().unwrap_or("")),
                    Value::Null,
                )
                .await
        }
        None => docs,
    };
    assert!(docs.status == 200 && docs.text.contains("<html"), "{} {}", docs.status, docs.text);
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if let ("$ref", Value::String(reference)) = (name.as_str(), value) {
                    found.insert(reference.clone());
                }
                collect_references(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn wrong_input_is_refused_by_name() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    for operation in operations(server).await {
        let path = stage.fill(&operation.path);
        let name = format!("{} {path}", operation.method);
        if matches!(operation.method.as_str(), "POST" | "PUT" | "PATCH") {
            let send = async |kind: &str, body: &[u8]| {
                let request = server.request(&operation.method, &path).header("content-type", kind);
                Answer::of(request.body(body.to_vec()).send().await.unwrap()).await
            };
            let json = "application/json";
            for body in [
                &b"{"[..],
                b"{\"a\":1,}",
                b"{} {}",
                b"nonsense",
                b"{\"a\":\"\xff\"}",
                b"\xef\xbb\xbf{}",
                b"{\"a\":\"\\ud800\"}",
            ] {
                send(json, body).await.problem(400, "invalid_json");
            }
            send("application/x-www-form-urlencoded", b"a=1").await.problem(415, "unsupported_media_type");
            send("text/plain", b"{}").await.problem(415, "unsupported_media_type");
            send("", b"{}").await.problem(415, "unsupported_media_type");
            let answer = send("application/json; charset=utf-8", b"{\"no such\": 1}").await;
            answer.problem(422, "invalid_input");
            assert!(answer.fields().contains(&"no such".to_owned()), "{name}: {}", answer.text);
            for body in [&b"[]"[..], b"1", b"\"x\"", b"null", b"true"] {
                let answer = send(json, body).await;
                assert!(matches!(answer.status, 400 | 422), "{name}: {} {}", answer.status, answer.text);
            }
        }
        if operation.query.iter().any(|name| name == "limit") {
            for query in [
                "limit=0",
                "limit=201",
                "limit=-1",
                "limit=abc",
                "limit=",
                "limit=1.5",
                "limit=99999999999999999999",
                "limit=1&limit=2",
                "cursor=zz",
                "cursor=f",
                "cursor=ff",
                "cursor=00",
                "cursor=%00",
                "cursor=%ff",
                "nosuch=1",
                "=",
                "limit",
            ] {
                let answer = server.get(&format!("{path}?{query}")).await;
                answer.problem(400, "invalid_request");
            }
            for query in ["limit=1", "limit=200"] {
                server.get(&format!("{path}?{query}")).await.expect(200);
            }
            // Any word may be a key, but where the key is a number.
            let answer = server.get(&format!("{path}?cursor=7a7a")).await;
            if ["/audit", "/releases", "/rows", "/versions"].iter().any(|end| path.ends_with(end)) {
                answer.problem(400, "invalid_request");
            } else {
                answer.expect(200);
            }
        }
    }
    // Types, by their dotted path.
    for (path, body, field) in [
        ("/v1/connections", json!({"connector": 1, "name": "x"}), "connector"),
        ("/v1/connections", json!({"connector": "mannered", "name": ["x"]}), "name"),
        ("/v1/connections", json!({"connector": "mannered", "name": "x", "scopes": ["a", 1]}), "scopes.1"),
        ("/v1/connections", json!({"connector": "mannered", "name": "x", "level": "owner"}), "level"),
        ("/v1/connections", json!({"connector": "mannered", "name": "x", "level": "system"}), "level"),
        (
            "/v1/connections",
            json!({"connector": "mannered", "name": "x", "parameters": {"nobody": "1"}}),
            "parameters.nobody",
        ),
        (
            "/v1/connections",
            json!({"connector": "code", "name": "x", "parameters": {"client_id": 7}}),
            "parameters.client_id",
        ),
        (
            "/v1/connections",
            json!({"connector": "mannered", "name": "x", "applications": ["*", "No"]}),
            "applications.1",
        ),
        ("/v1/connections", json!({"connector": "nobody", "name": "x"}), "connector"),
        ("/v1/connections", json!({"name": "x"}), "connector"),
        (
            "/v1/connectors",
            json!({"name": "x", "base_url": "https://example.com", "auth": {"type": "magic"}}),
            "auth.type",
        ),
        (
            "/v1/connectors",
            json!({"name": "x", "base_url": "https://example.com", "auth": {"type": "none"}, "hosts": [1]}),
            "hosts.0",
        ),
        (
            "/v1/connectors",
            json!({"name": "x", "base_url": "https://example.com", "auth": {"type": "none"}, "test": {"way": 1}}),
            "test.way",
        ),
        (
            "/v1/connections/mannered/authorizations",
            json!({"credentials": {"nobody": "x"}}),
            "credentials.nobody",
        ),
        ("/v1/connections/mannered/authorizations", json!({"credentials": {"key": 7}}), "credentials.key"),
        ("/v1/connections/mannered/authorizations", json!({}), "credentials.key"),
        ("/v1/connections/mannered/authorizations", json!({"environments": ["moon"]}), "environments.0"),
        (
            "/v1/connections/mannered/authorizations",
            json!({"environments": ["stage"], "credentials": key()}),
            "environments",
        ),
        ("/v1/me/keys", json!({"name": "x", "expires_in_days": 0}), "expires_in_days"),
        ("/v1/me/keys", json!({"name": "x", "expires_in_days": 3651}), "expires_in_days"),
        ("/v1/me/keys", json!({"name": "x", "expires_in_days": "7"}), "expires_in_days"),
    ] {
        let answer = server.post(path, body.clone()).await;
        answer.problem(422, "invalid_input");
        assert!(answer.fields().contains(&field.to_owned()), "{body}: {}", answer.text);
    }
}

/// Values that no field expects.
fn hostile_values() -> Vec<Value> {
    let deep = (0..100).fold(json!("x"), |inner, _| json!([inner]));
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("\u{1}\u{7f}\u{85}"),
        json!("a\r\nb: c"),
        json!("x\u{0}y"),
        json!("\u{202e}\u{feff}ﷺ🏴‍☠️"),
        json!("x".repeat(70_000)),
        json!("'; DROP TABLE connections; --"),
        json!("{region.x}{{{"),
        json!("../../etc/passwd"),
        json!([]),
        json!({}),
        json!([null, 1, {"a": []}]),
        json!({"\u{0}": 1, "": 2, "a.b[0]": 3}),
        deep,
    ]
}

/// Everywhere in the value: each place replaced by each of these, and each member taken away.
fn mutations(seed: &Value) -> Vec<Value> {
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
                }
            }
            Value::Array(list) => {
                for (n, value) in list.iter().enumerate() {
                    places(value, &format!("{at}/{n}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    places(seed, "", &mut found);
    let mut all = Vec::new();
    for (n, place) in found.iter().enumerate() {
        for (m, value) in hostile_values().into_iter().enumerate() {
            // Large documents get each value somewhere and something everywhere, not everything everywhere.
            if found.len() > 12 && (n + m) % 4 != 0 {
                continue;
            }
            let mut mutated = seed.clone();
            *mutated.pointer_mut(place).unwrap() = value;
            all.push(mutated);
        }
        if let Some((parent, name)) = place.rsplit_once('/') {
            let mut mutated = seed.clone();
            if let Some(Value::Object(object)) = mutated.pointer_mut(parent) {
                let object: &mut Map<String, Value> = object;
                object.remove(name);
                all.push(mutated);
            }
        }
    }
    all
}

#[track_caller]
fn civil(answer: &Answer, what: &dyn std::fmt::Display) {
    assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.text);
    if answer.status >= 400 {
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}: {}", answer.text);
        assert!(answer.json()["code"].is_string());
    }
}

#[tokio::test]
async fn nothing_that_is_sent_gives_a_5xx() {
    for home in Home::both() {
        let stage = Stage::new(&home).await;
        let server = &stage.server;
        let mut sent = 0;
        for operation in operations(server).await {
            let name = format!("{} {}", operation.method, operation.path);
            if matches!(operation.method.as_str(), "POST" | "PUT" | "PATCH") {
                for body in mutations(&stage.body(&operation)) {
                    let answer = stage.send(&operation, body.clone()).await;
                    let mut text = body.to_string();
                    text.truncate(text.floor_char_boundary(300));
                    civil(&answer, &format!("{name} {text}"));
                    sent += 1;
                }
            }
            // What stands in for a name or an id.
            let long = "x".repeat(9000);
            for part in ["%00", "%ff", "%F0%9F%92%A9", "a%2Fb", "..%2f", "%25", "%", "'%22", "%0d%0a", &long]
            {
                let path = operation
                    .path
                    .replace("{link_name}", part)
                    .replace("{id}", part)
                    .replace("{environment}", part)
                    .replace("{application}", part)
                    .replace("{component}", part);
                if path == operation.path {
                    continue;
                }
                let answer = server.api(&operation.method, &path, stage.body(&operation)).await;
                civil(&answer, &format!("{name} with {}", &part[..part.len().min(20)]));
                assert!(answer.status >= 400, "{name} with {part}");
            }
            for query in &operation.query {
                for value in ["", "%00", "%ff", "%F0%9F%92%A9", "'", "00", "ff", "%25", &long] {
                    let path = format!("{}?{query}={value}", stage.fill(&operation.path));
                    civil(&server.api(&operation.method, &path, Value::Null).await, &path);
                }
            }
            // Under a key, the same.
            if operation.method == "POST" {
                for (key, refused) in [
                    ("", true),
                    (" ", false),
                    ("ü", true),
                    (&"k".repeat(256), true),
                    (&"k".repeat(255), false),
                ] {
                    let request = server.request("POST", &stage.fill(&operation.path));
                    let request = request.header("idempotency-key", key.as_bytes());
                    let body = stage.body(&operation).to_string();
                    let answer = Answer::of(request.body(body).send().await.unwrap()).await;
                    civil(&answer, &format!("{name} under {key:?}"));
                    if refused {
                        answer.problem(400, "invalid_request");
                    }
                }
            }
        }
        assert!(sent > 1000, "{sent}");

        // By hand: heads that no client sends.
        let key = &server.key;
        let bomb = "x-bomb: x\r\n".repeat(500);
        let large = format!("x-large: {}\r\n", "x".repeat(1_000_000));
        let long = "y".repeat(300_000);
        for request in [
            format!("GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{bomb}\r\n"),
            format!("GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{large}\r\n"),
            format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET /v1/proxy/{long} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n"),
            format!("GET /v1/me HTTP/1.1\r\nauthorization: Bearer {key}\r\n\r\n"),
            "GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \u{ff}\r\n\r\n".to_owned(),
            "GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Basic eDp5\r\n\r\n".to_owned(),
            "GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization:\r\n\r\n".to_owned(),
            "GET http://elsewhere/v1/me HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            "GET /\u{e4}\u{1}\u{7f} HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            "POST /v1/me/keys HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(),
            "POST /v1/me/keys HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            format!("POST /v1/me/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
        ] {
            let mut wire = Wire::connect(&server.url).await;
            wire.send(&request).await;
            if let Some(answer) = wire.head().await {
                let line = request.lines().next().unwrap();
                assert!(answer.status() < 500, "{}: {answer:?}", &line[..line.len().min(80)]);
            }
        }
        // It is still there, and nothing panicked.
        server.get("/v1/me").await.expect(200);
        assert!(!server.log().contains("panicked"));
    }
}
