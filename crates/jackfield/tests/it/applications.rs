//! Applications: who has access, with which keys they call and for whom, what they use ([`uses`]), and that no two people are ever crossed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::start::finish;
use crate::support::{Answer, Home, Other, Person, Server};
use crate::upstream::{Upstream, json_reply, key, keyed};
use crate::world::until;

mod crossed;
mod uses;

const ENVIRONMENTS: [&str; 3] = ["development", "stage", "production"];

/// A service that answers with the key it was given.
async fn mirror() -> Upstream {
    Upstream::answering(|request| json_reply(&json!({"key": request.header("x-key")}))).await
}

/// A service, its connector, an application that may use whatever says nothing else.
struct Stage {
    server: Server,
    upstream: Upstream,
    connector: String,
    application: String,
}

impl Stage {
    async fn new(home: &Home) -> Self {
        let server = home.start();
        let upstream = mirror().await;
        let connector = server.connector(keyed("Mirror", &upstream.url, &[&upstream.host()])).await;
        let application = server.application("Vendor portal").await;
        Self { server, upstream, connector, application }
    }

    async fn connection(&self, name: &str, level: &str, applications: Value) -> String {
        let new = json!({"connector": self.connector, "name": name, "link_name": name, "level": level,
            "applications": applications});
        self.server.connection(new).await
    }

    /// Authorizes with the founder's key; the authorization.
    async fn authorize(&self, connection: &str, key: &str) -> Value {
        let new = json!({"account_name": format!("{key} of {connection}"), "credentials": {"key": key}});
        let path = format!("/v1/connections/{connection}/authorizations");
        self.server.post(&path, new).await.expect(201)["authorization"].clone()
    }

    async fn key(&self, environment: &str) -> Other<'_> {
        let key = self.server.application_key(&self.application, environment, Value::Null).await;
        self.server.with_key(&key)
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/applications/{}{rest}", self.application)
    }

    async fn me(&self) -> String {
        self.server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned()
    }
}

fn names(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn applications_are_made_changed_and_deleted_with_all_that_hangs_on_them() {
    for home in Home::both() {
        let stage = Stage::new(&home).await;
        let server = &stage.server;
        let path = "/v1/applications/vendor_portal";
        let view = server.get(path).await.expect(200);
        assert_eq!((&view["link_name"], &view["name"]), (&json!("vendor_portal"), &json!("Vendor portal")));
        assert_eq!((&view["version"], &view["description"]), (&json!(1), &json!("")));
        assert!(view["id"].as_str().unwrap().starts_with("app_"));
        assert_eq!(view["created_by"], stage.me().await);

        // Names.
        assert_eq!(server.application("Vendor portal").await, "vendor_portal_2");
        assert_eq!(server.application("日本").await, "application");
        let made = server.post("/v1/applications", json!({"name": "x", "link_name": "crm"})).await;
        assert_eq!(made.expect(201)["link_name"], "crm");
        let taken = server.post("/v1/applications", json!({"name": "x", "link_name": "crm"})).await;
        taken.problem(409, "link_name_taken");
        for (body, field) in [
            (json!({"name": " "}), "name"),
            (json!({"name": "x".repeat(201)}), "name"),
            (json!({"name": "x", "link_name": "A-b"}), "link_name"),
            (json!({"name": "x", "description": "a\u{7}"}), "description"),
            (json!({"name": "x", "description": "x".repeat(1001)}), "description"),
            (json!({"link_name": "x"}), "name"),
            (json!({"name": "x", "owner": "me"}), "owner"),
        ] {
            let answer = server.post("/v1/applications", body).await;
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), [field]);
        }
        assert_eq!(server.api("PATCH", path, json!({"link_name": "other"})).await.fields(), ["link_name"]);
        assert_eq!(server.api("PATCH", path, json!({"name": ""})).await.fields(), ["name"]);

        // Changes, and nobody's is lost.
        let patch = json!({"name": "Portal", "description": "For\nvendors", "version": 1});
        let patched = server.api("PATCH", path, patch.clone()).await.expect(200);
        assert_eq!((&patched["name"], &patched["version"]), (&json!("Portal"), &json!(2)));
        let conflict = server.api("PATCH", path, patch).await.problem(409, "version_conflict");
        assert_eq!(conflict["current"], patched);
        let list = server.get("/v1/applications?limit=2").await.expect(200);
        assert_eq!(names(&list, "link_name"), ["application", "crm"]);
        let next = list["next_cursor"].as_str().unwrap();
        let list = server.get(&format!("/v1/applications?cursor={next}")).await.expect(200);
        assert_eq!(names(&list, "link_name"), ["vendor_portal", "vendor_portal_2"]);

        // What hangs on it.
        let only = stage.connection("only", "admin", json!(["vendor_portal"])).await;
        let some = stage.connection("some", "admin", json!(["crm", "vendor_portal"])).await;
        let every = stage.connection("every", "admin", json!(["*"])).await;
        for connection in [&only, &some, &every] {
            stage.authorize(connection, "k").await;
        }
        let portal = stage.key("production").await;
        portal.invoke(&only, json!({"url": "/"})).await.expect(200);
        let put = json!({"connections": [only]});
        server.api("PUT", &format!("{path}/components/form:x"), put).await.expect(200);
        server.post(&format!("{path}/members"), json!({"member": stage.me().await})).await.expect(201);

        assert_eq!(server.api("DELETE", path, Value::Null).await.status, 204);
        server.get(path).await.problem(404, "not_found");
        server.api("DELETE", path, Value::Null).await.problem(404, "not_found");
        portal.invoke(&only, json!({"url": "/"})).await.problem(401, "key_revoked");
        portal.proxy(&every, "/", &[]).await.problem(401, "key_revoked");
        let applications = async |link: &str| {
            server.get(&format!("/v1/connections/{link}")).await.expect(200)["applications"].clone()
        };
        // Nobody is left is nobody, not everybody.
        assert_eq!(applications(&only).await, json!([]));
        assert_eq!(applications(&some).await, json!(["crm"]));
        assert_eq!(applications(&every).await, json!(["*"]));
        let references = server.get(&format!("/v1/connections/{only}/references")).await.expect(200);
        assert_eq!(references["items"], json!([]));

        // A later one of the same link name inherits nothing.
        assert_eq!(server.application("Vendor portal").await, "vendor_portal");
        let later = stage.key("production").await;
        later.invoke(&only, json!({"url": "/"})).await.problem(403, "application_not_allowed");
        portal.invoke(&every, json!({"url": "/"})).await.problem(401, "key_revoked");
        for rest in ["members", "components"] {
            assert_eq!(server.get(&format!("{path}/{rest}")).await.expect(200)["items"], json!([]));
        }
        assert_eq!(
            server.get(&format!("{path}/keys")).await.expect(200)["items"].as_array().unwrap().len(),
            1
        );

        // All of it is in the trail.
        let trail = server.get("/v1/audit?limit=200").await.expect(200);
        let trail: Vec<String> = names(&trail, "action");
        for action in [
            "application.created",
            "application.updated",
            "application.deleted",
            "application.member_added",
            "application.component_declared",
            "key.created",
        ] {
            assert!(trail.iter().any(|a| a == action), "{action} is missing");
        }
        assert_eq!(trail.iter().filter(|a| *a == "connection.updated").count(), 2);
        assert_eq!(server.get("/v1/audit/verify").await.expect(200)["intact"], true);
    }
}

#[tokio::test]
async fn a_key_reaches_one_environment_and_what_allows_its_application() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let any = stage.connection("any", "admin", json!(["*"])).await;
    let own = stage.connection("own", "admin", json!(["vendor_portal"])).await;
    let other = stage.connection("other", "admin", json!([])).await;
    for connection in [&any, &own, &other] {
        stage.authorize(connection, "k").await;
    }

    // Keys are made with what they may do, shown once, and listed without themselves.
    let keys = stage.path("/keys");
    let new = json!({"name": "Server", "environment": "stage", "expires_in_days": 30});
    let made = server.post(&keys, new).await.expect(201);
    let text = made["key"].as_str().unwrap();
    assert!(text.starts_with("jfa_") && made["id"].as_str().unwrap().starts_with("key_"), "{made}");
    assert_eq!(made["scopes"], json!(["read", "use", "act_for"]));
    assert_eq!((&made["environment"], made["expires_at"].is_string()), (&json!("stage"), true));
    let list = server.get(&keys).await;
    assert!(!list.text.contains(text), "{}", list.text);
    let listed = list.expect(200)["items"][0].clone();
    assert_eq!((&listed["id"], &listed["environment"]), (&made["id"], &json!("stage")));
    assert!(text.starts_with(listed["hint"].as_str().unwrap()));
    for (body, field) in [
        (json!({"name": "x"}), "environment"),
        (json!({"name": "x", "environment": "moon"}), "environment"),
        (json!({"name": "", "environment": "stage"}), "name"),
        (json!({"name": "x", "environment": "stage", "expires_in_days": 0}), "expires_in_days"),
        (json!({"name": "x", "environment": "stage", "scopes": []}), "scopes"),
        (json!({"name": "x", "environment": "stage", "scopes": ["manage"]}), "scopes"),
        (json!({"name": "x", "environment": "stage", "scopes": ["read", "authorize"]}), "scopes"),
    ] {
        let answer = server.post(&keys, body).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), [field]);
    }
    // Personal keys are not found there, nor those of another application.
    let personal = server.get("/v1/me/keys").await.expect(200);
    assert_eq!(personal["items"].as_array().unwrap().len(), 1);
    let personal = personal["items"][0]["id"].as_str().unwrap();
    let revoke = async |path: String| server.api("DELETE", &path, Value::Null).await;
    revoke(format!("{keys}/{personal}")).await.problem(404, "not_found");
    revoke(format!("/v1/me/keys/{}", made["id"].as_str().unwrap())).await.problem(404, "not_found");
    let crm = server.application("CRM").await;
    revoke(format!("/v1/applications/{crm}/keys/{}", made["id"].as_str().unwrap()))
        .await
        .problem(404, "not_found");

    // Its environment and no other, however it is asked for.
    let staging = server.with_key(text);
    let call = |environment: Value| json!({"url": "/", "environment": environment});
    staging.invoke(&any, call(Value::Null)).await.expect(200);
    staging.invoke(&any, call(json!("stage"))).await.expect(200);
    staging.proxy(&any, "/", &[]).await.expect(200);
    staging.proxy(&any, "/", &[("jackfield-environment", "stage")]).await.expect(200);
    stage.upstream.take();
    for elsewhere in ["development", "production"] {
        staging.invoke(&any, call(json!(elsewhere))).await.problem(403, "environment_not_allowed");
        let headers = [("jackfield-environment", elsewhere)];
        staging.proxy(&any, "/", &headers).await.problem(403, "environment_not_allowed");
        let list = stage.path(&format!("/connections?environment={elsewhere}"));
        staging.get(&list).await.problem(403, "environment_not_allowed");
    }
    let edit = stage.path("/connections?mode=edit&component=form:x");
    staging.get(&edit).await.problem(403, "environment_not_allowed");

    // What allows it and nothing else.
    staging.invoke(&own, call(Value::Null)).await.expect(200);
    stage.upstream.take();
    staging.invoke(&other, call(Value::Null)).await.problem(403, "application_not_allowed");
    staging.proxy(&other, "/", &[]).await.problem(403, "application_not_allowed");
    staging.get(&format!("/v1/connections/{other}")).await.problem(403, "application_not_allowed");
    staging.invoke("nothing", call(Value::Null)).await.problem(404, "not_found");
    assert!(stage.upstream.seen().is_empty());
    let list = staging.get("/v1/connections").await.expect(200);
    assert_eq!(names(&list, "link_name"), ["any", "own"]);
    let page = staging.get("/v1/connections?limit=1").await.expect(200);
    let next = page["next_cursor"].as_str().unwrap();
    let page = staging.get(&format!("/v1/connections?limit=1&cursor={next}")).await.expect(200);
    assert_eq!((names(&page, "link_name"), &page["next_cursor"]), (vec!["own".to_owned()], &Value::Null));

    // What it reads.
    assert_eq!(staging.get(&stage.path("")).await.expect(200)["name"], "Vendor portal");
    assert_eq!(names(&staging.get("/v1/applications").await.expect(200), "link_name"), ["vendor_portal"]);
    for path in ["/v1/organization", "/v1/connectors", "/v1/connectors/mirror", "/v1/connections/own"] {
        staging.get(path).await.expect(200);
    }
    staging.get(&format!("/v1/applications/{crm}")).await.problem(404, "not_found");
    staging.get(&format!("/v1/applications/{crm}/connections")).await.problem(404, "not_found");
    for path in [
        "/v1/me",
        "/v1/me/keys",
        "/v1/audit",
        "/v1/connections/own/calls",
        "/v1/connections/own/events",
        "/v1/connections/own/authorizations",
        "/v1/connections/own/references",
        "/v1/connections/own/reusable",
        &stage.path("/members"),
        &stage.path("/keys"),
        &stage.path("/components"),
    ] {
        staging.get(path).await.problem(403, "forbidden");
    }
    // It manages nothing.
    let component = stage.path("/components/form:x");
    for (method, path, body) in [
        ("POST", "/v1/applications", json!({"name": "x"})),
        ("PATCH", &stage.path(""), json!({"name": "x"})),
        ("DELETE", &stage.path(""), Value::Null),
        ("POST", &keys, json!({"name": "x", "environment": "stage"})),
        ("DELETE", &format!("{keys}/{}", made["id"].as_str().unwrap()), Value::Null),
        ("POST", &stage.path("/members"), json!({"member": "mem_1"})),
        ("PUT", &component, json!({"connections": []})),
        ("DELETE", &component, Value::Null),
        ("POST", "/v1/connections", json!({"connector": "mirror", "name": "x"})),
        ("PATCH", "/v1/connections/own", json!({"name": "x"})),
        ("DELETE", "/v1/connections/own", Value::Null),
        ("POST", "/v1/connections/own/disable", json!({})),
        ("PUT", "/v1/connections/own/applications/crm", Value::Null),
        ("DELETE", "/v1/connections/own/applications/vendor_portal", Value::Null),
        ("POST", "/v1/connections/own/authorizations", json!({"credentials": key()})),
        ("POST", "/v1/connectors", keyed("X", "https://example.com", &[])),
        ("POST", "/v1/me/keys", json!({"name": "x"})),
        ("PATCH", "/v1/organization", json!({"name": "x"})),
    ] {
        staging.api(method, path, body).await.problem(403, "forbidden");
    }

    // A key that may do less does less.
    let reader = server.application_key(&stage.application, "stage", json!(["read"])).await;
    let reader = server.with_key(&reader);
    reader.get("/v1/connections").await.expect(200);
    reader.invoke(&any, call(Value::Null)).await.problem(403, "forbidden");
    let user = server.application_key(&stage.application, "stage", json!(["use"])).await;
    let user = server.with_key(&user);
    user.invoke(&any, call(Value::Null)).await.expect(200);
    user.get("/v1/connections/own").await.problem(403, "forbidden");
    user.get(&stage.path("/connections")).await.problem(403, "forbidden");

    // Revoked, it opens nothing from that moment on.
    assert_eq!(revoke(format!("{keys}/{}", made["id"].as_str().unwrap())).await.status, 204);
    staging.invoke(&any, call(Value::Null)).await.problem(401, "key_revoked");
    staging.proxy(&any, "/", &[]).await.problem(401, "key_revoked");
    revoke(format!("{keys}/{}", made["id"].as_str().unwrap())).await.problem(404, "not_found");
    let stranger = server.with_key("sk_live_1").get("/v1/connections").await.problem(401, "unauthenticated");
    assert!(stranger["detail"].as_str().unwrap().contains("jfa_"));
    assert!(!server.log().contains(text));
}

#[tokio::test]
async fn an_application_says_for_whom_it_acts() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let me = stage.me().await;
    let mine = stage.connection("mine", "user", json!(["*"])).await;
    let ours = stage.connection("ours", "admin", json!(["*"])).await;
    let not = stage.connection("not", "user", json!([])).await;
    for connection in [&mine, &ours, &not] {
        stage.authorize(connection, &format!("key-{connection}")).await;
    }
    let portal = stage.key("production").await;
    let call = |acting_for: Value| json!({"url": "/", "acting_for": acting_for});
    let both = async |who: &Other<'_>, connection: &str, acting_for: &str| {
        let invoked = who.invoke(connection, call(json!(acting_for))).await;
        let proxied = who.proxy(connection, "/", &[("jackfield-acting-for", acting_for)]).await;
        assert_eq!(invoked.status, proxied.status, "{} {}", invoked.text, proxied.text);
        invoked
    };
    for round in 0..2 {
        // The second time from memory.
        assert_eq!(both(&portal, &mine, &me).await.expect(200)["body"]["key"], "key-mine", "{round}");
        let answer = portal.invoke(&mine, call(Value::Null)).await;
        answer.problem(422, "acting_for_required");
        assert_eq!(answer.fields(), ["acting_for"]);
        portal.proxy(&mine, "/", &[]).await.problem(422, "acting_for_required");
        let unknown = format!("mem_{}", "0".repeat(32));
        for nobody in [unknown.as_str(), "nobody", "mem_1", "' or 1=1"] {
            both(&portal, &mine, nobody).await.problem(409, "not_connected");
        }
        portal.invoke(&mine, call(json!(""))).await.problem(409, "not_connected");
        portal.invoke(&mine, call(json!(format!("{me}\nx")))).await.problem(409, "not_connected");
        // At level admin it matters to nobody.
        assert_eq!(both(&portal, &ours, &me).await.expect(200)["body"]["key"], "key-ours");
        portal.invoke(&ours, call(Value::Null)).await.expect(200);
        // Not allowed is not allowed, for whomever.
        both(&portal, &not, &me).await.problem(403, "application_not_allowed");
        portal.invoke(&not, call(Value::Null)).await.problem(403, "application_not_allowed");

        // Without the scope for nobody, himself and level admin included.
        let plain = server.application_key(&stage.application, "production", json!(["read", "use"])).await;
        let plain = server.with_key(&plain);
        both(&plain, &mine, &me).await.problem(403, "acting_for_not_allowed");
        both(&plain, &ours, &me).await.problem(403, "acting_for_not_allowed");
        plain.invoke(&ours, call(Value::Null)).await.expect(200);
        plain.invoke(&mine, call(Value::Null)).await.problem(422, "acting_for_required");
        let list = stage.path(&format!("/connections?acting_for={me}"));
        plain.get(&list).await.problem(403, "acting_for_not_allowed");

        // A person acts for himself.
        assert_eq!(server.invoke(&mine, call(json!(me))).await.expect(200)["body"]["key"], "key-mine");
        server.invoke(&mine, call(json!(unknown))).await.problem(403, "acting_for_not_allowed");
    }
    // Calls are written down under the application.
    let application = server.get(&stage.path("")).await.expect(200)["id"].clone();
    let calls = server.get("/v1/connections/mine/calls?limit=200").await.expect(200);
    assert!(names(&calls, "principal").iter().any(|principal| json!(principal) == application));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_application_stops_at_once() {
    for home in Home::both() {
        let stage = Stage::new(&home).await;
        let server = &stage.server;
        let crm = server.application("CRM").await;
        let link = stage.connection("listed", "admin", json!(["vendor_portal"])).await;
        stage.authorize(&link, "k").await;
        let path = format!("/v1/connections/{link}");
        let change = async |method: &str, application: &str| {
            server.api(method, &format!("{path}/applications/{application}"), Value::Null).await
        };
        // What is not there.
        change("PUT", "nothing").await.problem(404, "not_found");
        change("DELETE", "nothing").await.problem(404, "not_found");
        let nowhere = server.api("PUT", "/v1/connections/nothing/applications/crm", Value::Null).await;
        nowhere.problem(404, "not_found");
        for (applications, fields) in [
            (json!(["crm", "nothing"]), vec!["applications.1"]),
            (json!(["nothing", "*", "nowhere"]), vec!["applications.2", "applications.0"]),
        ] {
            let answer = server.api("PATCH", &path, json!({"applications": applications})).await;
            answer.problem(422, "invalid_input");
            let mut found = answer.fields();
            found.sort();
            let mut fields = fields;
            fields.sort_unstable();
            assert_eq!(found, fields);
        }
        let new = json!({"connector": stage.connector, "name": "x", "applications": ["nothing"]});
        assert_eq!(server.post("/v1/connections", new).await.fields(), ["applications.0"]);

        // Allowing is once, and says what it is now.
        assert_eq!(change("PUT", &crm).await.expect(200)["applications"], json!(["vendor_portal", "crm"]));
        let version = server.get(&path).await.expect(200)["version"].clone();
        let again = change("PUT", &crm).await.expect(200);
        assert_eq!((&again["applications"], &again["version"]), (&json!(["vendor_portal", "crm"]), &version));
        // Two at once: both.
        let more =
            join_all((0..4).map(|n| server.application(Box::leak(format!("More {n}").into_boxed_str()))))
                .await;
        let all = join_all(more.iter().map(|name| change("PUT", name))).await;
        assert!(all.iter().all(|answer| answer.status == 200), "{all:?}");
        let listed = server.get(&path).await.expect(200)["applications"].as_array().unwrap().len();
        assert_eq!(listed, 6);
        // Everybody but one is nobody's list.
        let open = stage.connection("open", "admin", json!(["*"])).await;
        let forbid = format!("/v1/connections/{open}/applications/{crm}");
        let refused = server.api("DELETE", &forbid, Value::Null).await.problem(409, "state_conflict");
        assert!(refused["detail"].as_str().unwrap().contains("PATCH"), "{refused}");
        assert_eq!(server.api("PUT", &forbid, Value::Null).await.expect(200)["applications"], json!(["*"]));

        // Forbidden while it calls: what begins after the answer does not pass.
        let production = server.application_key(&stage.application, "production", Value::Null).await;
        for round in 0..4 {
            let forbidden = Arc::new(AtomicBool::new(false));
            let passed = Arc::new(AtomicUsize::new(0));
            let callers: Vec<_> = (0..8)
                .map(|n| {
                    let url = if n % 2 == 0 {
                        format!("{}/v1/proxy/{link}/", server.url)
                    } else {
                        format!("{}/v1/connections/{link}/invoke", server.url)
                    };
                    let (forbidden, passed, key) = (forbidden.clone(), passed.clone(), production.clone());
                    tokio::spawn(async move {
                        let http = reqwest::Client::new();
                        let mut late = 0;
                        while late < 5 {
                            let after = forbidden.load(Ordering::SeqCst);
                            let request =
                                if n % 2 == 0 { http.get(&url) } else { http.post(&url).body("{}") };
                            let answer =
                                request.header("authorization", format!("Bearer {key}")).send().await;
                            let answer = Answer::of(answer.unwrap()).await;
                            if answer.status == 200 {
                                assert!(!after, "a call passed after it was forbidden: {}", answer.text);
                                passed.fetch_add(1, Ordering::SeqCst);
                            } else {
                                answer.problem(403, "application_not_allowed");
                            }
                            late += u32::from(after);
                        }
                    })
                })
                .collect();
            while passed.load(Ordering::SeqCst) < 16 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            change("DELETE", &stage.application).await.expect(200);
            forbidden.store(true, Ordering::SeqCst);
            for caller in callers {
                caller.await.unwrap();
            }
            change("PUT", &stage.application).await.expect(200);
            let again = server.with_key(&production).proxy(&link, "/", &[]).await;
            assert_eq!(again.expect(200)["key"], "k", "{round}");
        }
        // The history tells who was allowed and who was forbidden.
        let events = server.get(&format!("{path}/events?limit=200")).await.expect(200).to_string();
        assert!(events.contains("\"forbidden\":\"vendor_portal\"") && events.contains("\"allowed\":\"crm\""));
    }
}

#[tokio::test]
async fn each_role_sees_and_manages_what_is_its_own() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let mine = stage.connection("mine", "user", json!(["vendor_portal"])).await;
    let ours = stage.connection("ours", "admin", json!(["vendor_portal"])).await;
    stage.authorize(&ours, "ours").await;
    server.application("CRM").await;
    for application in ["vendor_portal", "crm"] {
        let path = format!("/v1/applications/{application}/components/form:x");
        server.api("PUT", &path, json!({"connections": [mine, ours]})).await.expect(200);
    }
    let admin = server.person("admin", "admin").await;
    let developer = server.person("developer", "developer").await;
    let user = server.person("user", "user").await;
    let stranger = server.person("stranger", "user").await;
    for _ in 0..2 {
        let added = server.post(&stage.path("/members"), json!({"member": user.id})).await.expect(201);
        assert_eq!((&added["member"], &added["role"]), (&json!(user.id), &json!("user")));
    }
    let unknown = server.post(&stage.path("/members"), json!({"member": "mem_nobody"})).await;
    assert_eq!(unknown.fields(), ["member"]);
    let members = server.get(&stage.path("/members")).await.expect(200);
    assert_eq!(names(&members, "member"), std::slice::from_ref(&user.id));
    let added = server.get("/v1/audit?action=application.member_added").await.expect(200);
    assert_eq!(added["items"].as_array().unwrap().len(), 1, "the second time it was no change");

    // Those who manage: also a developer where connections are for admins.
    let manages = async |who: Other<'_>, name: &str| {
        assert_eq!(
            names(&who.get("/v1/applications").await.expect(200), "link_name")[..2],
            ["crm", "vendor_portal"]
        );
        let made = who.api("POST", "/v1/applications", json!({"name": name})).await.expect(201);
        let path = format!("/v1/applications/{}", made["link_name"].as_str().unwrap());
        who.api("PATCH", &path, json!({"description": "x"})).await.expect(200);
        let new = json!({"name": "x", "environment": "stage"});
        let key = who.api("POST", &format!("{path}/keys"), new).await.expect(201);
        let member = json!({"member": user.id});
        who.api("POST", &format!("{path}/members"), member).await.expect(201);
        who.api("PUT", &format!("{path}/components/form:x"), json!({"connections": []})).await.expect(200);
        for rest in ["keys", "members", "components", "connections"] {
            who.get(&format!("{path}/{rest}")).await.expect(200);
        }
        for rest in [
            format!("/keys/{}", key["id"].as_str().unwrap()),
            format!("/members/{}", user.id),
            "/components/form:x".to_owned(),
            String::new(),
        ] {
            assert_eq!(who.api("DELETE", &format!("{path}{rest}"), Value::Null).await.status, 204, "{rest}");
        }
    };
    manages(server.as_person(&admin), "Of an admin").await;
    manages(server.as_person(&developer), "Of a developer").await;
    let one = "/v1/connections/ours/applications/crm";
    server.as_person(&developer).api("PUT", one, Value::Null).await.expect(200);
    let reserved = json!({"connections_managed_by": "admins"});
    server.api("PATCH", "/v1/organization", reserved).await.expect(200);
    manages(server.as_person(&developer), "Of a developer").await;
    server.as_person(&developer).api("DELETE", one, Value::Null).await.problem(403, "forbidden");
    server.as_person(&admin).api("DELETE", one, Value::Null).await.expect(200);

    // A user with access, and one without.
    let user_at = server.as_person(&user);
    let stranger_at = server.as_person(&stranger);
    assert_eq!(names(&user_at.get("/v1/applications").await.expect(200), "link_name"), ["vendor_portal"]);
    assert_eq!(stranger_at.get("/v1/applications").await.expect(200)["items"], json!([]));
    for who in [&user_at, &stranger_at] {
        who.api("POST", "/v1/applications", json!({"name": "x"})).await.problem(403, "forbidden");
    }
    user_at.get(&stage.path("")).await.expect(200);
    user_at.get(&stage.path("/connections")).await.expect(200);
    let component = stage.path("/components/form:x");
    for (method, path, body) in [
        ("GET", stage.path("/keys"), Value::Null),
        ("GET", stage.path("/members"), Value::Null),
        ("GET", stage.path("/components"), Value::Null),
        ("PATCH", stage.path(""), json!({"name": "x"})),
        ("DELETE", stage.path(""), Value::Null),
        ("POST", stage.path("/keys"), json!({"name": "x", "environment": "stage"})),
        ("POST", stage.path("/members"), json!({"member": stranger.id})),
        ("DELETE", stage.path(&format!("/members/{}", user.id)), Value::Null),
        ("PUT", component.clone(), json!({"connections": []})),
        ("DELETE", component, Value::Null),
    ] {
        user_at.api(method, &path, body.clone()).await.problem(403, "forbidden");
        stranger_at.api(method, &path, body).await.problem(404, "not_found");
    }
    for path in [stage.path(""), stage.path("/connections"), "/v1/applications/crm".to_owned()] {
        stranger_at.get(&path).await.problem(404, "not_found");
    }
    user_at.get("/v1/applications/crm").await.problem(404, "not_found");
    user_at.api("PUT", "/v1/connections/mine/applications/crm", Value::Null).await.problem(403, "forbidden");
    // Where a connection is used he learns of what he has access to.
    let references =
        async |who: &Other<'_>, link: &str| who.get(&format!("/v1/connections/{link}/references")).await;
    assert_eq!(names(&references(&user_at, &mine).await.expect(200), "application"), ["vendor_portal"]);
    assert_eq!(references(&stranger_at, &mine).await.expect(200)["items"], json!([]));
    references(&user_at, &ours).await.problem(404, "not_found");
    let all = references(&server.as_person(&developer), &mine).await.expect(200);
    assert_eq!(names(&all, "application"), ["crm", "vendor_portal"]);

    // What each sees of the application's connections, and whether he may authorize.
    let may = async |who: &Other<'_>, query: &str| {
        let page = who.get(&stage.path(&format!("/connections{query}"))).await.expect(200);
        let rows = page["items"].as_array().unwrap().iter();
        rows.map(|row| {
            format!(
                "{} {} {}",
                row["link_name"].as_str().unwrap(),
                row["can_authorize"],
                row["status"].as_str().unwrap()
            )
        })
        .collect::<Vec<_>>()
    };
    let edit = "?mode=edit&component=form:x";
    for query in ["", edit] {
        let at = |can: bool| ["mine true not_connected".to_owned(), format!("ours {can} connected")];
        assert_eq!(may(&server.as_person(&admin), query).await, at(true));
        assert_eq!(may(&server.as_person(&developer), query).await, at(false));
        assert_eq!(may(&user_at, query).await, ["mine true not_connected"]);
    }
    let path = format!("/v1/connections/{mine}/authorizations");
    user_at
        .api("POST", &path, json!({"account_name": "Mine", "credentials": {"key": "his"}}))
        .await
        .expect(201);
    assert_eq!(may(&user_at, "").await, ["mine true connected"]);
    assert_eq!(may(&server.as_person(&developer), "").await[0], "mine true not_connected", "each his own");
    let portal = stage.key("production").await;
    assert_eq!(may(&portal, "").await, ["mine false not_connected", "ours false connected"]);
    assert_eq!(may(&portal, &format!("?acting_for={}", user.id)).await, ["mine true connected"]);
    let acting = format!("?acting_for={}", developer.id);
    assert_eq!(may(&portal, &acting).await, ["mine true not_connected", "ours false connected"]);

    // Access ends at once.
    let access = stage.path(&format!("/members/{}", user.id));
    assert_eq!(server.api("DELETE", &access, Value::Null).await.status, 204);
    server.api("DELETE", &access, Value::Null).await.problem(404, "not_found");
    user_at.get(&stage.path("")).await.problem(404, "not_found");
    assert_eq!(user_at.get("/v1/applications").await.expect(200)["items"], json!([]));
    server.post(&stage.path("/members"), json!({"member": user.id})).await.expect(201);
    let gone = format!("/v1/members/{}", user.id);
    assert_eq!(server.api("DELETE", &gone, Value::Null).await.status, 204);
    assert_eq!(server.get(&stage.path("/members")).await.expect(200)["items"], json!([]));
}

/// What somebody has authorized does not outlive him by an application that acts for him.
#[tokio::test]
async fn nobody_acts_for_who_is_not_there_any_more() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let mine = stage.connection("mine", "user", json!(["*"])).await;
    let user = server.person("user", "user").await;
    let other = server.person("other", "user").await;
    let path = format!("/v1/connections/{mine}/authorizations");
    let new = json!({"account_name": "Mine", "credentials": {"key": "his"}});
    server.as_person(&user).api("POST", &path, new).await.expect(201);
    let portal = stage.key("production").await;
    let call = async |who: &Person| {
        let invoked = portal.invoke(&mine, json!({"url": "/", "acting_for": who.id})).await;
        let proxied = portal.proxy(&mine, "/", &[("jackfield-acting-for", &who.id)]).await;
        assert_eq!(invoked.status, proxied.status, "{} {}", invoked.text, proxied.text);
        invoked
    };
    let member = format!("/v1/members/{}", user.id);
    for _ in 0..3 {
        assert_eq!(call(&user).await.expect(200)["body"]["key"], "his");
        call(&other).await.problem(409, "not_connected");
        // His own key has made it ready, too.
        server.as_person(&user).invoke(&mine, json!({"url": "/"})).await.expect(200);
        stage.upstream.take();
        server.api("PATCH", &member, json!({"active": false})).await.expect(200);
        call(&user).await.problem(409, "not_connected");
        let list = stage.path(&format!("/connections?acting_for={}", user.id));
        assert_eq!(portal.get(&list).await.fields(), ["acting_for"]);
        assert!(stage.upstream.seen().is_empty());
        server.api("PATCH", &member, json!({"active": true})).await.expect(200);
    }
    call(&user).await.expect(200);
    assert_eq!(server.api("DELETE", &member, Value::Null).await.status, 204);
    call(&user).await.problem(409, "not_connected");
}

#[tokio::test]
async fn the_command_line_does_what_the_api_does() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let me = stage.me().await;
    server.application("CRM").await;
    let books = stage.connection("books", "admin", json!(["crm"])).await;
    stage.authorize(&books, "k").await;
    let run = |line: &str, good: bool| {
        let mut command = home.command();
        command.env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
        let ended = finish(command.args(line.split_whitespace()));
        assert_eq!(ended.success, good, "{line}: {}{}", ended.stdout, ended.stderr);
        if good { ended.stdout } else { ended.stderr }
    };
    for (line, parts) in [
        ("applications create --name Portal --description Vendors", &["portal", "Vendors"][..]),
        ("applications update portal --name Gate", &["Gate", "Vendors"]),
        ("applications get portal", &["Gate", "app_"]),
        ("applications list", &["portal", "vendor_portal", "crm"]),
        ("applications allow portal books", &["books may be used by crm, portal"]),
        ("applications forbid crm books", &["books may be used by portal"]),
        (
            "applications components declare portal workflow:orders --connection books",
            &["workflow:orders uses books"],
        ),
        ("applications components list portal", &["workflow:orders", "books"]),
        ("applications connections portal", &["Link name", "books", "Mirror", "Connected", "k of books"]),
        ("applications connections portal --component workflow:orders", &["books"]),
        ("connections references books", &["portal", "workflow:orders"]),
        ("connections list", &["Used by", "1"]),
        ("connections list --status disabled --environment stage", &["No connection is like that."]),
        ("applications members list portal", &["No user has access"]),
    ] {
        let said = run(line, true);
        for part in parts {
            assert!(said.contains(part), "{line}: {part}: {said}");
        }
    }
    let said = run("connections delete books", false);
    assert!(said.contains("used by portal / workflow:orders"), "{said}");
    run(&format!("applications members add portal {me}"), true);
    assert!(run("applications members list portal", true).contains("super_admin"));
    run(&format!("applications members remove portal {me}"), true);
    let key = run("applications keys create portal --name Server --environment stage --scope use", true);
    assert!(key.starts_with("jfa_"), "{key}");
    let called = server.with_key(key.trim()).proxy(&books, "/", &[]).await.expect(200);
    assert_eq!(called["key"], "k");
    let listed = run("applications keys list portal --json", true);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["items"][0]["scopes"], json!(["use"]));
    run(&format!("applications keys revoke portal {}", listed["items"][0]["id"].as_str().unwrap()), true);
    server.with_key(key.trim()).proxy(&books, "/", &[]).await.problem(401, "key_revoked");
    run("applications components remove portal workflow:orders", true);
    run("applications delete portal", true);
    assert!(run("applications get portal", false).contains("no application"));
    run("connections delete books", true);
}
