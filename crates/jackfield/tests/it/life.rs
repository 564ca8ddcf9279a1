//! The life of a connection: choices after authorization, primary accounts, plans, and changes by two at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jackfield_testkit::browser::Browser;
use serde_json::{Value, json};

use crate::journey::{authorization, statuses};
use crate::start::finish;
use crate::support::{Home, Server, consenting};
use crate::upstream::{Upstream, json_reply, key, keyed, to_upstream};

/// A service with sites, and teams in each site; it says what it was asked.
async fn sited(sites: &'static [(&'static str, &'static str)]) -> Upstream {
    Upstream::answering(move |asked| {
        let path = asked.target();
        if path == "/sites" {
            let items: Vec<Value> =
                sites.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
            json_reply(&json!({ "items": items }))
        } else if path.ends_with("/teams") {
            json_reply(&json!([{"key": format!("{path}/a")}, {"key": format!("{path}/b")}]))
        } else {
            json_reply(&json!({"path": path, "key": asked.header("x-key"), "authorization": asked.header("authorization")}))
        }
    })
    .await
}

const TWO: &[(&str, &str)] = &[("s1", "First & foremost"), ("s2", "<b>Second</b>")];

fn with_setup(name: &str, upstream: &Upstream) -> Value {
    let mut document = keyed(name, &format!("{}/ex/{{setup.site}}", upstream.url), &[&upstream.host()]);
    document["setup"] = json!([{
        "id": "site", "title": "Which site?", "operation": format!("GET {}/sites", upstream.url),
        "items": "/items", "value": "/id", "label": "/name",
    }]);
    document
}

fn of(connection: &str, id: &str) -> String {
    format!("/v1/connections/{connection}/authorizations/{id}")
}

async fn typed(server: &Server, connection: &str) -> Value {
    let path = format!("/v1/connections/{connection}/authorizations");
    server.post(&path, json!({"credentials": key()})).await.expect(201)["authorization"].clone()
}

#[tokio::test]
async fn one_of_several_is_chosen_and_can_be_changed() {
    for home in Home::both() {
        let server = home.start();
        let upstream = sited(TWO).await;
        let connector = server.connector(with_setup("Sited", &upstream)).await;
        let connection = server.connection(json!({"connector": connector, "name": "Sited"})).await;
        let view = typed(&server, &connection).await;
        assert_eq!((&view["setup_pending"], &view["status"]), (&json!(true), &json!("not_connected")));
        let id = view["id"].as_str().unwrap();
        assert_eq!(statuses(&server, &connection).await, ["not_connected"; 3]);
        let refused = server.invoke(&connection, json!({"url": "/x"})).await;
        assert!(refused.problem(409, "not_connected")["detail"].as_str().unwrap().contains("Which site?"));

        let steps = server.get(&format!("{}/setup", of(&connection, id))).await.expect(200);
        assert_eq!(
            steps["items"],
            json!([{
                "id": "site", "title": "Which site?", "help": null, "required": true, "chosen": null,
                "choices": [{"value": "s1", "label": TWO[0].1}, {"value": "s2", "label": TWO[1].1}],
            }])
        );
        let choose = async |value: &str| {
            let path = format!("{}/setup/site", of(&connection, id));
            server.api("PUT", &path, json!({"value": value})).await
        };
        let wrong = choose("s3").await;
        wrong.problem(422, "invalid_input");
        assert_eq!(wrong.fields(), ["value"]);
        let path = format!("{}/setup/nothing", of(&connection, id));
        server.api("PUT", &path, json!({"value": "s1"})).await.problem(404, "not_found");

        let chosen = choose("s1").await.expect(200);
        assert_eq!((&chosen["setup_pending"], &chosen["status"]), (&json!(false), &json!("connected")));
        assert_eq!(chosen["attributes"], json!({"setup.site": "s1"}));
        assert_eq!(statuses(&server, &connection).await, ["connected"; 3]);
        let answer = server.invoke(&connection, json!({"url": "/x"})).await.expect(200);
        assert_eq!(answer["body"]["path"], "/ex/s1/x");
        // Changed later, at once.
        choose("s2").await.expect(200);
        let answer = server.invoke(&connection, json!({"url": "/x"})).await.expect(200);
        assert_eq!(answer["body"]["path"], "/ex/s2/x");

        // Authorized again, what was chosen stays chosen.
        let again =
            server.post(&format!("{}/reauthorize", of(&connection, id)), json!({"credentials": key()})).await;
        let again = again.expect(201)["authorization"].clone();
        assert_eq!(
            (&again["setup_pending"], &again["attributes"]["setup.site"]),
            (&json!(false), &json!("s2"))
        );
    }
}

#[tokio::test]
async fn a_single_choice_needs_nobody_and_later_steps_hang_on_earlier_ones() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = sited(&TWO[..1]).await;
    let connector = server.connector(with_setup("Single", &upstream)).await;
    let connection = server.connection(json!({"connector": connector, "name": "Single"})).await;
    let view = typed(&server, &connection).await;
    assert_eq!((&view["setup_pending"], &view["attributes"]["setup.site"]), (&json!(false), &json!("s1")));

    // The host itself may hang on it, where the connector lists its hosts.
    let last = sited(&[("1", "The only one")]).await;
    let mut document = with_setup("Hosted", &last);
    let port = last.url.rsplit(':').next().unwrap();
    document["base_url"] = json!(format!("http://127.0.0.{{setup.site}}:{port}/api"));
    let connector = server.connector(document).await;
    let connection = server.connection(json!({"connector": connector, "name": "Hosted"})).await;
    assert_eq!(typed(&server, &connection).await["status"], "connected");
    let answer = server.invoke(&connection, json!({"url": "/x"})).await.expect(200);
    assert_eq!(answer["body"]["path"], "/api/x");

    let upstream = sited(TWO).await;
    let mut document = with_setup("Hanging", &upstream);
    let url = &upstream.url;
    document["setup"].as_array_mut().unwrap().extend([
        json!({"id": "team", "operation": format!("GET {url}/{{setup.site}}/teams"), "value": "/key"}),
        json!({"id": "only_s2", "operation": format!("GET {url}/sites"), "items": "/items", "value": "/id", "when": {"setup.site": "s2"}, "required": false}),
    ]);
    let connector = server.connector(document).await;
    let connection = server.connection(json!({"connector": connector, "name": "Hanging"})).await;
    let view = typed(&server, &connection).await;
    let id = view["id"].as_str().unwrap();
    let steps = async || {
        let list = server.get(&format!("{}/setup", of(&connection, id))).await.expect(200);
        list["items"].as_array().unwrap().clone()
    };
    let choose = async |step: &str, value: &str| {
        let path = format!("{}/setup/{step}", of(&connection, id));
        server.api("PUT", &path, json!({"value": value})).await.expect(200)
    };
    // While the first is open the second has nothing to offer.
    let shown = steps().await;
    assert_eq!((shown.len(), &shown[1]["choices"]), (2, &json!([])));
    assert_eq!(choose("site", "s1").await["setup_pending"], true);
    assert_eq!(steps().await[1]["choices"][0]["value"], "/s1/teams/a");
    assert_eq!(choose("team", "/s1/teams/b").await["setup_pending"], false);
    // Another site has other teams: what hung on the first is open again, and a step that applies now is asked.
    let view = choose("site", "s2").await;
    assert_eq!((&view["setup_pending"], &view["attributes"]), (&json!(true), &json!({"setup.site": "s2"})));
    assert_eq!(steps().await.len(), 3);
    server.invoke(&connection, json!({"url": "/x"})).await.problem(409, "not_connected");
    assert_eq!(choose("team", "/s2/teams/a").await["setup_pending"], false, "the third may stay open");
}

#[tokio::test]
async fn a_choice_never_leads_the_credential_elsewhere() {
    let home = Home::sqlite();
    let server = home.start();
    let (upstream, evil) = (sited(TWO).await, sited(TWO).await);
    let connector = server.connector(with_setup("Lured", &upstream)).await;
    let connection = server.connection(json!({"connector": connector, "name": "Lured"})).await;
    let view = typed(&server, &connection).await;
    let id = view["id"].as_str().unwrap();
    // A developer points the connector elsewhere after somebody has authorized.
    let change = json!({
        "hosts": [upstream.host(), evil.host()],
        "setup": [{"id": "site", "operation": format!("GET {}/sites", evil.url), "items": "/items", "value": "/id"}],
    });
    server.edit_with_connections(&connector, change).await;
    let path = of(&connection, id);
    server.get(&format!("{path}/setup")).await.problem(409, "reauthorization_required");
    let chosen = server.api("PUT", &format!("{path}/setup/site"), json!({"value": "s1"})).await;
    chosen.problem(409, "reauthorization_required");
    assert!(evil.seen().is_empty());
}

#[tokio::test]
async fn the_choice_is_made_on_the_last_page_of_the_flow() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = sited(TWO).await;
    let sandbox = consenting().await;
    let all = sandbox.handle.connector_documents_without_defaults(&sandbox.url);
    let mut document = all.into_iter().find(|d| d["link_name"] == "sandbox").unwrap();
    document["link_name"] = json!("sited_sandbox");
    document["base_url"] = json!(format!("{}/ex/{{setup.site}}", upstream.url));
    let own = sandbox.url.split_once("://").unwrap().1;
    document["hosts"] = json!([upstream.host(), own]);
    for absolute in ["identity", "test"] {
        document.as_object_mut().unwrap().remove(absolute);
    }
    document.as_object_mut().unwrap().remove("modules");
    document["setup"] = json!([{
        "id": "site", "title": "Which site?", "operation": format!("GET {}/sites", upstream.url),
        "items": "/items", "value": "/id", "label": "/name",
    }]);
    let connector = server.connector(document).await;
    let parameters = sandbox.handle.connector_parameters("sandbox");
    let new = json!({"connector": connector, "name": "By flow", "parameters": parameters});
    let connection = server.connection(new).await;
    let flow = server.begin_flow(&connection, json!({})).await;
    let browser = Browser::new();
    let page = browser.get(flow["start_url"].as_str().unwrap()).await.unwrap();
    assert!(page.status == 200 && page.body.contains("Which site?"), "{}", page.body);
    // Foreign text is text.
    assert!(page.body.contains("First &#38; foremost") && !page.body.contains("<b>Second"), "{}", page.body);
    let id = flow["id"].as_str().unwrap();
    let flow = server.get(&format!("/v1/flows/{id}")).await.expect(200);
    assert_eq!(flow["state"], "authorized");
    let view = authorization(&server, &connection, &flow["authorization"]).await;
    assert_eq!((&view["setup_pending"], &view["named"]), (&json!(true), &json!(false)));

    // Another browser cannot choose.
    let action = format!("{}/flows/{id}/setup", server.url);
    let stranger = jackfield_testkit::reqwest::Client::new();
    let sent = stranger.post(&action).body("step=site&value=s1").send().await.unwrap();
    assert_eq!(sent.status(), 404);
    let page = page.submit("Use this one", &[("value", "s2")]).await.unwrap();
    assert!(page.status == 200 && page.body.contains("Connected as"), "{}", page.body);
    let view = authorization(&server, &connection, &flow["authorization"]).await;
    assert_eq!((&view["setup_pending"], &view["attributes"]["setup.site"]), (&json!(false), &json!("s2")));
    let answer = server.invoke(&connection, json!({"url": "/x"})).await.expect(200);
    assert_eq!(answer["body"]["path"], "/ex/s2/x");
    // Once it is chosen, going back in the browser changes nothing.
    let again = browser.get(&action).await.unwrap();
    assert_eq!(again.status, 405);
    assert!(
        server.get("/v1/audit?action=authorization.set_up").await.expect(200)["items"][0]["detail"]["flow"]
            == id
    );
}

#[tokio::test]
async fn unattended_work_uses_the_primary_account() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let mut document = keyed("Each", &upstream.url, &[&upstream.host()]);
    document["levels"] = json!(["admin", "user"]);
    let connector = server.connector(document).await;
    let new = json!({"connector": connector, "name": "Each", "level": "user", "same_authorization": false});
    let connection = server.connection(new).await;
    let path = format!("/v1/connections/{connection}");
    assert_eq!(
        server.get(&path).await.expect(200)["primary"],
        json!({"development": null, "stage": null, "production": null})
    );
    let body = json!({"credentials": key(), "environments": ["production"]});
    let made = server.post(&format!("{path}/authorizations"), body).await.expect(201);
    let id = made["authorization"]["id"].clone();
    let choose = async |environment: &str, id: &Value| {
        server.api("PUT", &format!("{path}/primary/{environment}"), json!({"authorization": id})).await
    };
    let view = choose("production", &id).await.expect(200);
    assert_eq!(view["primary"], json!({"development": null, "stage": null, "production": id}));
    assert_eq!(view["accounts"]["production"]["authorization"], id);
    let wrong = choose("stage", &id).await;
    wrong.problem(422, "invalid_input");
    assert_eq!(wrong.fields(), ["authorization"]);
    choose("production", &json!("aut_nothing")).await.problem(422, "invalid_input");
    choose("moon", &id).await.problem(404, "not_found");
    // It is gone with what it stands for.
    let id = id.as_str().unwrap();
    assert_eq!(server.api("DELETE", &of(&connection, id), Value::Null).await.status, 204);
    assert_eq!(server.get(&path).await.expect(200)["primary"]["production"], Value::Null);

    let shared = to_upstream(&server, "Shared", &upstream).await;
    let view = server.get(&format!("/v1/connections/{shared}")).await.expect(200);
    assert_eq!(view["primary"], Value::Null);
    let id = &view["accounts"]["production"]["authorization"];
    let path = format!("/v1/connections/{shared}/primary/production");
    let refused = server.api("PUT", &path, json!({"authorization": id})).await;
    refused.problem(409, "state_conflict");
}

#[tokio::test]
async fn a_plan_limits_connections_connectors_and_calls() {
    for home in Home::both() {
        let file = home.path().join("plans.toml");
        std::fs::write(&file, "[free]\nconnections = 2\ncustom_connectors = 1\ncalls_per_day = 3\n").unwrap();
        let home = home.set("JACKFIELD_PLANS", file.to_str().unwrap());
        let founder = home.init();
        let server = home.serve(&founder.key);
        let organization = server.get("/v1/organization").await.expect(200);
        assert_eq!(organization["limits"]["connections"], json!({"allowed": null, "used": 0}));
        let id = organization["id"].as_str().unwrap().to_owned();
        let plan = |plan: &str| finish(home.command().args(["organizations", "plan", &id, plan]));
        let unknown = plan("gold");
        assert!(!unknown.success && unknown.stderr.contains("free, unlimited"), "{unknown:?}");
        assert!(plan("free").success);

        let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
        let connection = to_upstream(&server, "Limited", &upstream).await;
        let more = server.post("/v1/connectors", keyed("More", &upstream.url, &[&upstream.host()])).await;
        let problem = more.problem(429, "plan_limit_reached");
        assert_eq!(problem["limit"], json!({"name": "custom_connectors", "allowed": 1, "used": 1}));
        assert!(more.headers.contains_key("retry-after"));
        // Several at once get what is left, and no more; by names of their own, so that nothing else makes them wait for each other.
        let one = async |name: &str| {
            server.post("/v1/connections", json!({"connector": "limited", "name": name})).await
        };
        let (a, b, c) = tokio::join!(one("Beech"), one("Elm"), one("Oak"));
        let mut statuses = [a.status, b.status, c.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 429, 429]);

        for _ in 0..3 {
            server.invoke(&connection, json!({"url": "/x"})).await.expect(200);
        }
        let refused = server.invoke(&connection, json!({"url": "/x"})).await;
        assert!(
            refused.problem(429, "plan_limit_reached")["detail"].as_str().unwrap().contains("calls per day")
        );
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&wait));
        assert_eq!(upstream.seen().len(), 3);
        // Not forgotten by a restart.
        server.terminate();
        let mut server = server;
        assert!(server.wait().success());
        let server = home.serve(&founder.key);
        server.invoke(&connection, json!({"url": "/x"})).await.problem(429, "plan_limit_reached");
        let limits = server.get("/v1/organization").await.expect(200)["limits"].clone();
        assert_eq!(limits["calls_per_day"], json!({"allowed": 3, "used": 3}));
        assert_eq!(limits["connections"], json!({"allowed": 2, "used": 2}));
        // Nobody gives himself another plan.
        let own = server.api("PATCH", "/v1/organization", json!({"plan": "unlimited"})).await;
        own.problem(422, "invalid_input");
        assert_eq!(own.fields(), ["plan"]);
        assert!(plan("unlimited").success);
        server.post("/v1/connections", json!({"connector": "limited", "name": "And more"})).await.expect(201);
    }
    let home = Home::sqlite().set("JACKFIELD_PLANS", "nowhere.toml");
    let refused = finish(home.command().args(["init", "--organization", "A", "--email", "a@b.example"]));
    assert!(!refused.success && refused.stderr.contains("JACKFIELD_PLANS"), "{refused:?}");
}

#[tokio::test]
async fn two_who_edit_at_once_do_not_overwrite_each_other() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let connection = to_upstream(&server, "Edited", &upstream).await;
    let view = server.get(&format!("/v1/connections/{connection}")).await.expect(200);
    let id = view["accounts"]["production"]["authorization"].as_str().unwrap().to_owned();
    for (path, change, other) in [
        (format!("/v1/connections/{connection}"), json!({"name": "One"}), json!({"name": "Two"})),
        (of(&connection, &id), json!({"account_name": "One"}), json!({"account_name": "Two"})),
        ("/v1/organization".to_owned(), json!({"name": "One"}), json!({"name": "Two"})),
        ("/v1/connectors/edited".to_owned(), json!({"description": "One"}), json!({"description": "Two"})),
    ] {
        let version = server.get(&path).await.expect(200)["version"].clone();
        assert!(version.is_i64(), "{path}");
        let with = |mut change: Value| {
            change["version"] = version.clone();
            change
        };
        server.api("PATCH", &path, with(change.clone())).await.expect(200);
        let refused = server.api("PATCH", &path, with(other)).await;
        let problem = refused.problem(409, "version_conflict");
        let (name, value) = change.as_object().unwrap().iter().next().unwrap();
        let current = &problem["current"];
        assert!(current[name] == *value && current["version"] != version, "{path}: {problem}");
    }
}

#[tokio::test]
async fn an_account_without_a_name_gets_one_when_it_is_used_again() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let first = to_upstream(&server, "Named", &upstream).await;
    let second = server.connection(json!({"connector": "named", "name": "Second"})).await;
    let reusable = server.get(&format!("/v1/connections/{second}/reusable")).await.expect(200);
    let offered = &reusable["items"][0];
    assert_eq!((&offered["named"], &offered["account_name"]), (&json!(false), &json!("Named account 1")));
    let path = format!("/v1/connections/{second}/authorizations");
    let body = json!({"reuse": offered["id"], "account_name": "Ours"});
    let mapped = server.post(&path, body.clone()).await.expect(201);
    assert_eq!(
        (&mapped["authorization"]["named"], &mapped["authorization"]["account_name"]),
        (&json!(true), &json!("Ours"))
    );
    let seen = authorization(&server, &first, &offered["id"]).await;
    assert_eq!(seen["account_name"], "Ours");
    // One that has a name keeps it.
    let other = json!({"reuse": offered["id"], "account_name": "Theirs"});
    let refused = server.post(&path, other).await;
    refused.problem(422, "invalid_input");
    assert_eq!(refused.fields(), ["account_name"]);
    server.post(&path, body).await.expect(201);
}

/// Callers who hammer at a connection, and how many calls reached the service after a moment that they are told of.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_passes_once_a_refusal_was_answered() {
    let home = Home::sqlite();
    let server = Arc::new(home.start());
    let upstream = Arc::new(Upstream::answering(|_| json_reply(&json!({}))).await);
    let connection = to_upstream(&server, "Hammered", &upstream).await;
    let base = format!("/v1/connections/{connection}");
    let view = server.get(&base).await.expect(200);
    let id = view["accounts"]["production"]["authorization"].as_str().unwrap().to_owned();
    // Disabled, and enabled again; then revoked for good.
    for (method, path) in [("POST", format!("{base}/disable")), ("DELETE", of(&connection, &id))] {
        server.api("POST", &format!("{base}/enable"), json!({})).await.expect(200);
        let (ended, begun_after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (server, ended, begun_after) =
                    (Arc::clone(&server), Arc::clone(&ended), Arc::clone(&begun_after));
                let connection = connection.clone();
                tokio::spawn(async move {
                    let mut passed_after = 0;
                    while begun_after.load(Ordering::Acquire) < 40 {
                        let after = ended.load(Ordering::Acquire);
                        let answer = server.invoke(&connection, json!({"url": "/x"})).await;
                        if after {
                            begun_after.fetch_add(1, Ordering::AcqRel);
                            passed_after += u64::from(answer.status == 200);
                        }
                    }
                    passed_after
                })
            })
            .collect();
        // They are at work before it happens.
        crate::upstream::eventually("calls pass", || upstream.seen().len() > 20).await;
        let body = if method == "POST" { json!({}) } else { Value::Null };
        assert!(server.api(method, &path, body).await.status < 300);
        ended.store(true, Ordering::Release);
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 0, "{method} {path}");
        }
        upstream.take();
    }
}

#[tokio::test]
async fn unattended_components_need_a_primary_account() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let connector = server.connector(keyed("Attended", &upstream.url, &[&upstream.host()])).await;
    let connection =
        server.connection(json!({"connector": connector, "name": "Each", "level": "user"})).await;
    let application = server.application("Portal").await;
    let declare = async |component: &str| {
        let path = format!("/v1/applications/{application}/components/{component}");
        server.api("PUT", &path, json!({"connections": [connection]})).await
    };
    for unattended in ["schedule:nightly", "datasource:vendors"] {
        declare(unattended).await.problem(409, "primary_account_required");
    }
    declare("workflow:orders").await.expect(200);
    let view = typed(&server, &connection).await;
    let path = format!("/v1/connections/{connection}/primary/production");
    server.api("PUT", &path, json!({"authorization": view["id"]})).await.expect(200);
    declare("schedule:nightly").await.expect(200);
}

#[tokio::test]
async fn system_connections_appear_when_an_integration_targets_the_suite() {
    for home in Home::both() {
        let server = home.start();
        let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
        let connector = server.connector(keyed("Own suite", &upstream.url, &[&upstream.host()])).await;
        let application = server.application("Portal").await;
        let admin = server.person("Grace", "admin").await;
        let admin = server.as_person(&admin);
        let base = format!("/v1/applications/{application}/components");
        let targets = json!({"connectors": [connector]});
        let refused = server.api("PUT", &format!("{base}/workflow:a"), targets.clone()).await;
        refused.problem(422, "invalid_input");
        assert_eq!(refused.fields(), ["connectors.0"]);
        // Only the super admin says what the suite is.
        let suite = json!({"suite": [connector]});
        admin.api("PATCH", "/v1/organization", suite.clone()).await.problem(403, "forbidden");
        let unknown = server.api("PATCH", "/v1/organization", json!({"suite": ["nothing"]})).await;
        unknown.problem(422, "invalid_input");
        assert_eq!(unknown.fields(), ["suite.0"]);
        server.api("PATCH", "/v1/organization", suite).await.expect(200);

        // Several integrations at once, one connection.
        let put = async |name: &str| {
            server.api("PUT", &format!("{base}/workflow:{name}"), targets.clone()).await.expect(200)
        };
        let (a, b, c) = tokio::join!(put("a"), put("b"), put("c"));
        for made in [a, b, c] {
            assert_eq!(made["connections"], json!(["system_own_suite"]));
        }
        let path = "/v1/connections/system_own_suite";
        let view = server.get(path).await.expect(200);
        assert_eq!((&view["level"], &view["references"]), (&json!("system"), &json!(3)));
        server.api("DELETE", path, Value::Null).await.problem(409, "connection_referenced");

        // Nobody makes one by hand, and nobody but the super admin changes or authorizes it.
        let by_hand = json!({"connector": connector, "name": "By hand", "level": "system"});
        server.post("/v1/connections", by_hand).await.problem(422, "invalid_input");
        let credentials = json!({"credentials": key()});
        let authorizations = format!("{path}/authorizations");
        admin.api("POST", &authorizations, credentials.clone()).await.problem(403, "forbidden");
        admin.api("PATCH", path, json!({"name": "Ours"})).await.problem(403, "forbidden");
        server.post(&authorizations, credentials).await.expect(201);
        // Everybody uses it through that.
        let answer = admin.invoke("system_own_suite", json!({"url": "/x", "detailed": true})).await;
        assert_eq!(answer.expect(200)["status"], 200);
    }
}
