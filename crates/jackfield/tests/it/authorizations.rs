//! Authorizations (product N4–N6, N8–N10): typed or granted, named, bound, switched, replaced, used again, revoked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jackfield_sandbox::{ADA_API_KEY, ADA_PASSWORD, Fault, LIN_API_KEY, Options, Place};
use jackfield_testkit::browser::Browser;
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::journey::{authorization, authorize_as, bring, caller, consent, flow, held, statuses, to_consent};
use crate::support::{Answer, Home, Server, consenting, sandbox};
use crate::upstream::{Message, Upstream, reply};
use crate::world::until;

async fn authorize(server: &Server, connection: &str, body: Value) -> Answer {
    server.post(&format!("/v1/connections/{connection}/authorizations"), body).await
}

/// Authorizes by typed credentials; the authorization's view.
async fn typed(server: &Server, connection: &str, body: Value) -> Value {
    authorize(server, connection, body).await.expect(201)["authorization"].clone()
}

fn key(value: &str) -> Value {
    json!({"credentials": {"api_key": value}})
}

async fn nothing_stored(server: &Server, connection: &str) {
    assert_eq!(held(server, connection).await, Vec::<Value>::new());
    assert_eq!(statuses(server, connection).await, ["not_connected"; 3]);
}

fn path_of(connection: &str, authorization: &Value) -> String {
    let id = authorization["id"].as_str().unwrap_or_else(|| panic!("no id: {authorization}"));
    format!("/v1/connections/{connection}/authorizations/{id}")
}

async fn call(server: &Server, connection: &str, environment: &str) -> Answer {
    server.invoke(connection, json!({"method": "GET", "url": "/me", "environment": environment})).await
}

#[tokio::test]
async fn typed_credentials_are_named_and_proven() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();

    let connection = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
    for (credentials, fields) in [
        (json!(null), vec!["credentials.api_key"]),
        (json!({}), vec!["credentials.api_key"]),
        (json!({"api_key": ""}), vec!["credentials.api_key"]),
        (json!({"api_key": null}), vec!["credentials.api_key"]),
        (json!({"api_key": 12}), vec!["credentials.api_key"]),
        (json!({"api_key": "a\nb"}), vec!["credentials.api_key"]),
        (json!({"apikey": "x"}), vec!["credentials.api_key", "credentials.apikey"]),
        (json!({"api_key": ADA_API_KEY, "more": "x"}), vec!["credentials.more"]),
    ] {
        let body = if credentials.is_null() { json!({}) } else { json!({ "credentials": credentials }) };
        let answer = authorize(&server, &connection, body).await;
        answer.problem(422, "invalid_input");
        let mut named = answer.fields();
        named.sort();
        assert_eq!(named, fields, "{credentials}");
        assert!(!answer.text.contains(ADA_API_KEY));
    }
    let answer = authorize(&server, &connection, key("sbx_key_wrong_0123456789")).await;
    answer.problem(422, "credential_rejected");
    assert!(!answer.text.contains("sbx_key_wrong"), "{}", answer.text);
    nothing_stored(&server, &connection).await;
    // A service that fails says nothing about the credential: it is not kept, but not called wrong either.
    sandbox.handle.set_api_fault(Fault::Status(503), Some(1));
    authorize(&server, &connection, key(ADA_API_KEY)).await.problem(502, "upstream_unreachable");
    sandbox.handle.set_api_fault(Fault::Reset, Some(1));
    authorize(&server, &connection, key(ADA_API_KEY)).await.problem(502, "upstream_unreachable");
    nothing_stored(&server, &connection).await;
    authorize(&server, &connection, json!({"credentials": {"api_key": ADA_API_KEY}, "nonsense": 1}))
        .await
        .expect(422);

    let view = typed(&server, &connection, key(ADA_API_KEY)).await;
    assert_eq!(
        (&view["account_name"], &view["status"]),
        (&json!("ada@sandbox.example"), &json!("connected"))
    );
    assert_eq!((&view["scopes"], &view["expires_at"]), (&json!([]), &Value::Null));
    assert_eq!(authorization(&server, &connection, &view["id"]).await, view);
    assert_eq!(caller(&server, &connection, "development").await, "ada@sandbox.example");

    let connection = server.sandbox_connection(&sandbox, "sandbox_basic", json!({})).await;
    let answer = authorize(&server, &connection, json!({})).await;
    answer.problem(422, "invalid_input");
    let mut named = answer.fields();
    named.sort();
    assert_eq!(named, ["credentials.password", "credentials.username"]);
    let basic = |user: &str, password: &str| json!({"credentials": {"username": user, "password": password}});
    let answer = authorize(&server, &connection, basic("a:b", "x")).await;
    assert_eq!(answer.fields(), ["credentials.username"], "{}", answer.text);
    authorize(&server, &connection, basic("ada@sandbox.example", "wrong"))
        .await
        .problem(422, "credential_rejected");
    nothing_stored(&server, &connection).await;
    typed(&server, &connection, basic("ada@sandbox.example", ADA_PASSWORD)).await;
    assert_eq!(caller(&server, &connection, "stage").await, "ada@sandbox.example");

    // Where a person accepts at the service, nothing is typed here.
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
    let answer = authorize(&server, &connection, basic("ada@sandbox.example", ADA_PASSWORD)).await;
    assert_eq!(answer.fields(), ["credentials"], "{}", answer.text);

    // Several fields, each with its own place and rule.
    let fields = json!([
        {"name": "key", "as": "X-Key", "in": "header", "prefix": "Key "},
        {"name": "account", "as": "account_id", "in": "query", "secret": false, "pattern": "[0-9]{4}"},
        {"name": "session", "in": "cookie", "required": false},
    ]);
    let several = json!({
        "name": "Several", "base_url": format!("{}/api/v1", sandbox.url), "auth": {"type": "api_key", "fields": fields},
    });
    let link = server.connector(several).await;
    let connection = server.connection(json!({"connector": link, "name": "Several"})).await;
    let answer = authorize(&server, &connection, json!({"credentials": {"account": "12345"}})).await;
    let mut named = answer.fields();
    named.sort();
    assert_eq!(named, ["credentials.account", "credentials.key"]);
    let credentials = json!({"key": "a secret", "account": "1234", "session": "s1"});
    typed(&server, &connection, json!({ "credentials": credentials })).await;
    let echo = json!({"method": "GET", "url": "/echo?account_id=9999", "environment": "production"});
    let seen = server.invoke(&connection, echo).await.expect(200)["body"].clone();
    assert_eq!(
        (&seen["headers"]["x-key"], &seen["query"]["account_id"]),
        (&json!("Key a secret"), &json!("1234"))
    );
    assert_eq!(seen["headers"]["cookie"], "session=s1");
}

#[tokio::test]
async fn a_client_acts_for_itself_or_nobody_has_to() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox_client_credentials", json!({})).await;
    let path = format!("/v1/connections/{connection}");
    let wrong = json!({"parameters": {"client_secret": "not-the-secret-of-it"}});
    server.api("PATCH", &path, wrong).await.expect(200);
    let answer = authorize(&server, &connection, json!({})).await;
    let problem = answer.problem(422, "credential_rejected");
    assert!(problem["detail"].as_str().unwrap().contains("invalid_client"), "{problem}");
    assert!(!answer.text.contains("not-the-secret-of-it"));
    nothing_stored(&server, &connection).await;
    sandbox.handle.set_fault(Fault::Status(500), Some(1));
    authorize(&server, &connection, json!({})).await.problem(502, "token_endpoint_failed");
    nothing_stored(&server, &connection).await;

    let right = sandbox.handle.connector_parameters("sandbox_client_credentials");
    server.api("PATCH", &path, json!({ "parameters": right })).await.expect(200);
    let view = typed(&server, &connection, json!({})).await;
    assert_eq!(view["account_name"], "Jackfield (machine)");
    assert!(view["expires_at"].is_string());
    let me = call(&server, &connection, "production").await.expect(200);
    assert_eq!((&me["status"], &me["body"]["client"]), (&json!(200), &json!("jackfield-machine")));
    // It gets its next token by itself.
    sandbox.handle.expire_access_tokens();
    let me = call(&server, &connection, "production").await.expect(200);
    assert_eq!(me["status"], 200, "{me}");
    assert_eq!(sandbox.handle.counters().grants["client_credentials"], 4);

    let open =
        json!({"name": "Open", "base_url": format!("{}/api/v1", sandbox.url), "auth": {"type": "none"}});
    let link = server.connector(open).await;
    let connection = server.connection(json!({"connector": link, "name": "Open"})).await;
    let answer = authorize(&server, &connection, json!({"credentials": {"x": "y"}})).await;
    assert_eq!(answer.fields(), ["credentials"]);
    let call = json!({"method": "GET", "url": "/echo", "environment": "production"});
    server.invoke(&connection, call.clone()).await.problem(409, "not_connected");
    let view = typed(&server, &connection, json!({})).await;
    assert_eq!(view["account_name"], "Open account 1");
    let seen = server.invoke(&connection, call).await.expect(200);
    assert_eq!((&seen["status"], seen["body"]["headers"].get("authorization")), (&json!(200), None));
}

#[tokio::test]
async fn accounts_have_names() {
    for home in Home::both() {
        let sandbox = sandbox(Options::default()).await;
        let server = home.start();
        let connection = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
        let second = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({"name": "Second"})).await;
        let named = |name: &str| json!({"account_name": name, "credentials": {"api_key": ADA_API_KEY}});

        // Proposed by the service; another one where that is taken already.
        let first = typed(&server, &connection, key(ADA_API_KEY)).await;
        assert_eq!(first["account_name"], "ada@sandbox.example");
        let other = typed(&server, &connection, key(ADA_API_KEY)).await;
        assert_ne!(other["account_name"], first["account_name"]);
        assert!(other["account_name"].as_str().unwrap().starts_with("ada@sandbox.example"), "{other}");

        // Given: kept byte for byte, unique among the connector's, over all its connections.
        let odd = "  Ada's \u{1f4d2} b\u{f6}oks \u{301}<b>&amp; \\ \" ";
        let given = typed(&server, &connection, named(odd)).await;
        assert_eq!(given["account_name"], odd);
        for link in [&connection, &second] {
            let answer = authorize(&server, link, named(odd)).await;
            answer.problem(409, "account_name_taken");
            assert_eq!(answer.fields(), ["account_name"]);
        }
        assert_eq!(held(&server, &second).await, Vec::<Value>::new());
        // Another connector's names are its own.
        let basic = server.sandbox_connection(&sandbox, "sandbox_basic", json!({})).await;
        let body = json!({
            "account_name": odd,
            "credentials": {"username": "ada@sandbox.example", "password": ADA_PASSWORD},
        });
        assert_eq!(typed(&server, &basic, body).await["account_name"], odd);

        let longest = "\u{e9}".repeat(200);
        assert_eq!(typed(&server, &second, named(&longest)).await["account_name"], longest);
        let path = path_of(&connection, &given);
        for wrong in ["", "   ", "\u{a0}\u{2003}", "a\nb", "a\tb", "\u{7}", "a\u{85}b", &"x".repeat(201)] {
            let answer = authorize(&server, &connection, named(wrong)).await;
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), ["account_name"], "{wrong:?}");
            let answer = server.api("PATCH", &path, json!({"account_name": wrong})).await;
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), ["account_name"], "{wrong:?}");
        }

        // Renamed: not to a name that is taken, but to its own.
        let taken = json!({"account_name": "ada@sandbox.example"});
        server.api("PATCH", &path, taken).await.problem(409, "account_name_taken");
        let same = server.api("PATCH", &path, json!({"account_name": odd})).await.expect(200);
        assert_eq!(same["account_name"], odd);
        let renamed = server.api("PATCH", &path, json!({"account_name": "Books"})).await.expect(200);
        assert_eq!((&renamed["account_name"], &renamed["id"]), (&json!("Books"), &given["id"]));
        assert_eq!(authorization(&server, &connection, &given["id"]).await, renamed);
        assert_eq!(
            typed(&server, &second, named(odd)).await["account_name"],
            odd,
            "the old name is free again"
        );
        server.api("PATCH", &path, json!({"account_name": "x", "owner": "y"})).await.expect(422);

        // Nobody says whose it is: the next free number.
        let mut silent = sandbox.handle.connector_documents(&sandbox.url);
        silent.retain(|document| document["link_name"] == "sandbox_api_key");
        let mut silent = silent.remove(0);
        silent["name"] = "Silent".into();
        silent["link_name"] = "silent".into();
        silent.as_object_mut().unwrap().remove("identity");
        server.connector(silent).await;
        let quiet = server.connection(json!({"connector": "silent", "name": "Quiet"})).await;
        let mut made = Vec::new();
        for n in 1..=3 {
            let view = typed(&server, &quiet, key(ADA_API_KEY)).await;
            assert_eq!(view["account_name"], format!("Silent account {n}"));
            made.push(view);
        }
        server.api("DELETE", &path_of(&quiet, &made[1]), Value::Null).await.expect(204);
        assert_eq!(typed(&server, &quiet, key(ADA_API_KEY)).await["account_name"], "Silent account 2");

        // Two at once by one name: one of them has it.
        let both = named("Both");
        let (one, two) =
            tokio::join!(authorize(&server, &connection, both.clone()), authorize(&server, &second, both));
        let mut answers = [one, two];
        answers.sort_by_key(|answer| answer.status);
        let one = answers[0].expect(201);
        assert_eq!(one["authorization"]["account_name"], "Both");
        answers[1].problem(409, "account_name_taken");
    }
}

#[tokio::test]
async fn environments_share_an_authorization_or_have_their_own() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let all = json!(["development", "stage", "production"]);
    let with = |environments: Value| {
        let mut body = key(ADA_API_KEY);
        body["environments"] = environments;
        body
    };
    let same = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
    for wrong in [json!(["production"]), json!([]), json!(["development", "stage"])] {
        let answer = authorize(&server, &same, with(wrong.clone())).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), ["environments"], "{wrong}");
    }
    nothing_stored(&server, &same).await;
    let view = typed(&server, &same, with(json!(["production", "stage", "development"]))).await;
    assert_eq!(view["environments"], all);
    assert_eq!(statuses(&server, &same).await, ["connected"; 3]);

    let own = server
        .sandbox_connection(&sandbox, "sandbox_api_key", json!({"same_authorization": false, "name": "Own"}))
        .await;
    for wrong in [Value::Null, json!([])] {
        let answer = authorize(&server, &own, with(wrong.clone())).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), ["environments"], "{wrong}");
    }
    let answer = authorize(&server, &own, with(json!(["moon"]))).await;
    answer.problem(422, "invalid_input");
    assert!(answer.fields()[0].starts_with("environments"), "{}", answer.text);
    nothing_stored(&server, &own).await;

    let ada = typed(&server, &own, with(json!(["production", "production", "stage"]))).await;
    assert_eq!(ada["environments"], json!(["stage", "production"]));
    assert_eq!(statuses(&server, &own).await, ["not_connected", "connected", "connected"]);
    call(&server, &own, "development").await.problem(409, "not_connected");
    let mut body = key(LIN_API_KEY);
    body["environments"] = json!(["development", "stage"]);
    let lin = typed(&server, &own, body).await;
    assert_eq!(authorization(&server, &own, &ada["id"]).await["environments"], json!(["production"]));
    assert_eq!(lin["environments"], json!(["development", "stage"]));
    for (environment, who) in [("development", "lin"), ("stage", "lin"), ("production", "ada")] {
        assert_eq!(caller(&server, &own, environment).await, format!("{who}@sandbox.example"));
    }

    // From one each to one for all: every environment has one, and they are the same.
    server
        .api("PATCH", &format!("/v1/connections/{own}"), json!({"same_authorization": true}))
        .await
        .expect(200);
    let mut who = Vec::new();
    for environment in ["development", "stage", "production"] {
        who.push(caller(&server, &own, environment).await);
    }
    assert!(who.iter().all(|one| *one == who[0]), "{who:?}");
}

#[tokio::test]
async fn a_second_account_takes_over_and_the_first_can_be_switched_back() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    for (same, name) in [(true, "Same"), (false, "Own")] {
        let more = json!({"same_authorization": same, "name": name});
        let connection = server.sandbox_connection(&sandbox, "sandbox_api_key", more).await;
        let with = |value: &str| {
            let mut body = key(value);
            if !same {
                body["environments"] = json!(["stage", "production"]);
            }
            body
        };
        let bound =
            if same { json!(["development", "stage", "production"]) } else { json!(["stage", "production"]) };
        let first = typed(&server, &connection, with(ADA_API_KEY)).await;
        // A second one that is refused leaves the first in its place.
        authorize(&server, &connection, with("sbx_key_wrong_0123456789"))
            .await
            .problem(422, "credential_rejected");
        assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
        assert_eq!(authorization(&server, &connection, &first["id"]).await["environments"], bound);

        let second = typed(&server, &connection, with(LIN_API_KEY)).await;
        assert_eq!(second["environments"], bound);
        assert_eq!(caller(&server, &connection, "production").await, "lin@sandbox.example");
        let left = authorization(&server, &connection, &first["id"]).await;
        assert_eq!((&left["environments"], &left["status"]), (&json!([]), &json!("connected")));
        assert_eq!(held(&server, &connection).await.len(), 2);

        let switch = format!("/v1/connections/{connection}/bindings/production");
        let to = |view: &Value| json!({"authorization": view["id"]});
        let view = server.api("PUT", &switch, to(&first)).await.expect(200);
        assert_eq!(view["id"], first["id"]);
        assert_eq!(view["environments"], if same { bound.clone() } else { json!(["production"]) });
        assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
        let stage = if same { "ada" } else { "lin" };
        assert_eq!(caller(&server, &connection, "stage").await, format!("{stage}@sandbox.example"));

        for wrong in
            [json!({"authorization": "aut_00000000000000000000000000"}), json!({"authorization": ""})]
        {
            let answer = server.api("PUT", &switch, wrong).await;
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), ["authorization"]);
        }
        let moon = format!("/v1/connections/{connection}/bindings/moon");
        server.api("PUT", &moon, to(&first)).await.problem(404, "not_found");
    }
    // What another connection holds cannot be switched to.
    let other = held(&server, "own").await[0].clone();
    let answer =
        server.api("PUT", "/v1/connections/same/bindings/stage", json!({"authorization": other["id"]})).await;
    answer.problem(422, "invalid_input");
    // Nor seen, renamed or revoked there.
    for (method, body) in
        [("GET", Value::Null), ("PATCH", json!({"account_name": "x"})), ("DELETE", Value::Null)]
    {
        server.api(method, &path_of("same", &other), body).await.problem(404, "not_found");
    }
    // And nobody of another organization knows of it.
    let stranger = home.organization("Other");
    for path in [path_of("own", &other), "/v1/connections/own/authorizations".to_owned()] {
        server.with_key(&stranger.key).api("GET", &path, Value::Null).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn what_is_revoked_serves_no_more() {
    for home in Home::both() {
        let sandbox = consenting().await;
        let server = home.start();
        let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
        let revocations = || sandbox.handle.counters().revocations;
        let view = server.authorize(&connection, json!({})).await;
        assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
        let path = path_of(&connection, &view);
        server.api("DELETE", &path, Value::Null).await.expect(204);
        for environment in ["production", "stage", "development"] {
            call(&server, &connection, environment).await.problem(409, "not_connected");
        }
        assert!(revocations() >= 1);
        assert!(sandbox.handle.grants().is_empty(), "the service was told");
        for (method, body) in
            [("GET", Value::Null), ("DELETE", Value::Null), ("PATCH", json!({"account_name": "x"}))]
        {
            server.api(method, &path, body).await.problem(404, "not_found");
        }
        nothing_stored(&server, &connection).await;

        // Whatever the service says to it.
        for fault in
            [Fault::Status(500), Fault::OAuthError("unsupported_token_type".to_owned()), Fault::Reset]
        {
            let view = server.authorize(&connection, json!({})).await;
            sandbox.handle.set_fault_at(Place::Revoke, fault, None);
            let before = revocations();
            server.api("DELETE", &path_of(&connection, &view), Value::Null).await.expect(204);
            sandbox.handle.clear_faults();
            assert!(revocations() > before, "it was tried");
            call(&server, &connection, "production").await.problem(409, "not_connected");
            nothing_stored(&server, &connection).await;
        }

        // The last one to hold it has it revoked, and no other.
        let view = server.authorize(&connection, json!({})).await;
        let second = server.sandbox_connection(&sandbox, "sandbox", json!({"name": "Second"})).await;
        let reused = authorize(&server, &second, json!({"reuse": view["id"]})).await.expect(201);
        assert_eq!(reused["authorization"]["id"], view["id"]);
        assert_eq!(caller(&server, &second, "stage").await, "ada@sandbox.example");
        let before = revocations();
        server.api("DELETE", &path_of(&connection, &view), Value::Null).await.expect(204);
        call(&server, &connection, "production").await.problem(409, "not_connected");
        assert_eq!(caller(&server, &second, "production").await, "ada@sandbox.example");
        assert_eq!(revocations(), before);
        server.api("GET", &path_of(&connection, &view), Value::Null).await.problem(404, "not_found");
        // A connection that is deleted lets go as well.
        let third = server.sandbox_connection(&sandbox, "sandbox", json!({"name": "Third"})).await;
        authorize(&server, &third, json!({"reuse": view["id"]})).await.expect(201);
        server.api("DELETE", &format!("/v1/connections/{second}"), Value::Null).await.expect(204);
        assert_eq!(revocations(), before);
        assert_eq!(caller(&server, &third, "production").await, "ada@sandbox.example");
        server.api("DELETE", &format!("/v1/connections/{third}"), Value::Null).await.expect(204);
        assert!(revocations() > before);
        // Those whose revocation failed above are left at the service.
        let left = sandbox.handle.grants().len();
        assert_eq!(left, 3);

        // Of two accounts, the one that does not serve goes without a trace.
        let first = server.authorize(&connection, json!({"account_name": "First"})).await;
        let last = server.authorize(&connection, json!({"account_name": "Last"})).await;
        server.api("DELETE", &path_of(&connection, &first), Value::Null).await.expect(204);
        assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
        assert_eq!(
            authorization(&server, &connection, &last["id"]).await["environments"].as_array().unwrap().len(),
            3
        );
    }
}

#[tokio::test]
async fn a_new_account_replaces_the_old_once_it_is_proven() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
    let ended = authorize_as(&server, &connection, "Ada", None, json!({})).await;
    let old = authorization(&server, &connection, &ended["authorization"]).await;
    let again = async |body: Value| {
        let path = format!("{}/reauthorize", path_of(&connection, &old));
        server.post(&path, body).await.expect(202)["flow"].clone()
    };

    // Attempts that fail leave the old one in its place.
    let begun = again(json!({})).await;
    let page = to_consent(&Browser::new(), begun["start_url"].as_str().unwrap(), "Lin").await;
    assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example", "while it is open");
    page.submit("Deny", &[]).await.unwrap();
    assert_eq!(flow(&server, begun["id"].as_str().unwrap()).await["state"], "denied");
    let begun = again(json!({})).await;
    let page = to_consent(&Browser::new(), begun["start_url"].as_str().unwrap(), "Lin").await;
    sandbox.handle.set_fault(Fault::OAuthError("invalid_grant".to_owned()), Some(1));
    assert_eq!(page.submit("Allow", &[]).await.unwrap().status, 400);
    let begun = again(json!({})).await;
    let page = to_consent(&Browser::new(), begun["start_url"].as_str().unwrap(), "Lin").await;
    sandbox.handle.set_fault_at(Place::ApiPath("/companies".to_owned()), Fault::Status(403), Some(1));
    assert_eq!(page.submit("Allow", &[]).await.unwrap().status, 400);
    assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
    assert_eq!(held(&server, &connection).await.len(), 1);

    // The same person: no warning, the same name unless told, a new id.
    let ended = consent(&server, &again(json!({})).await, "Ada", None).await;
    assert_eq!((&ended["state"], &ended["warnings"]), (&json!("authorized"), &json!([])));
    let new = authorization(&server, &connection, &ended["authorization"]).await;
    assert_ne!(new["id"], old["id"]);
    assert_eq!((&new["account_name"], &new["environments"]), (&old["account_name"], &old["environments"]));
    server.get(&path_of(&connection, &old)).await.problem(404, "not_found");
    assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
    assert_eq!(held(&server, &connection).await.len(), 1);
    let of_jackfield = |person: &str| {
        sandbox.handle.grants().into_iter().filter(|g| g.person.as_deref() == Some(person)).count()
    };
    assert_eq!(of_jackfield("ada@sandbox.example"), 1, "the old grant is revoked");

    // Another person, under a new name: done, with a warning.
    let path = format!("{}/reauthorize", path_of(&connection, &new));
    server.post(&path, json!({"account_name": "  "})).await.problem(422, "invalid_input");
    let begun = server.post(&path, json!({"account_name": "Lin's"})).await.expect(202)["flow"].clone();
    let page = to_consent(&Browser::new(), begun["start_url"].as_str().unwrap(), "Lin").await;
    let page = page.submit("Allow", &[]).await.unwrap();
    assert_eq!(page.status, 200);
    assert!(page.body.contains("another person"), "{}", page.body);
    let ended = flow(&server, begun["id"].as_str().unwrap()).await;
    assert_eq!(ended["warnings"][0]["code"], "different_account");
    let last = authorization(&server, &connection, &ended["authorization"]).await;
    assert_eq!(last["account_name"], "Lin's");
    assert_eq!(caller(&server, &connection, "stage").await, "lin@sandbox.example");
    server.get(&path_of(&connection, &new)).await.problem(404, "not_found");
    assert_eq!(of_jackfield("ada@sandbox.example"), 0);
    // The flow of an authorization that is gone meanwhile still ends well.
    server.post(&path, json!({})).await.problem(404, "not_found");

    // Typed credentials: at once.
    let typed_connection = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
    let old = typed(&server, &typed_connection, key(ADA_API_KEY)).await;
    let path = format!("{}/reauthorize", path_of(&typed_connection, &old));
    server.post(&path, key("sbx_key_wrong_0123456789")).await.problem(422, "credential_rejected");
    server.post(&path, json!({})).await.problem(422, "invalid_input");
    assert_eq!(caller(&server, &typed_connection, "stage").await, "ada@sandbox.example");
    let made = server.post(&path, key(LIN_API_KEY)).await.expect(201)["authorization"].clone();
    assert_eq!(caller(&server, &typed_connection, "stage").await, "lin@sandbox.example");
    assert_ne!(made["id"], old["id"]);
    server.get(&path_of(&typed_connection, &old)).await.problem(404, "not_found");

    // One that another connection holds too stays there.
    let a = server.sandbox_connection(&sandbox, "sandbox", json!({"name": "A"})).await;
    let b = server.sandbox_connection(&sandbox, "sandbox", json!({"name": "B"})).await;
    let ended = authorize_as(&server, &a, "Ada", None, json!({})).await;
    let shared = authorization(&server, &a, &ended["authorization"]).await;
    authorize(&server, &b, json!({"reuse": shared["id"]})).await.expect(201);
    let before = sandbox.handle.counters().revocations;
    let path = format!("{}/reauthorize", path_of(&a, &shared));
    let begun = server.post(&path, json!({})).await.expect(202)["flow"].clone();
    consent(&server, &begun, "Lin", None).await;
    assert_eq!(caller(&server, &a, "production").await, "lin@sandbox.example");
    assert_eq!(caller(&server, &b, "production").await, "ada@sandbox.example");
    assert_eq!(sandbox.handle.counters().revocations, before);
}

#[tokio::test]
async fn an_account_can_be_used_again() {
    let home = Home::sqlite();
    let sandbox = consenting().await;
    let server = home.start();
    let connection =
        server.sandbox_connection(&sandbox, "sandbox", json!({"scopes": ["profile", "vendors:read"]})).await;
    let view = server.authorize(&connection, json!({})).await;
    let make = async |name: &str, more: Value| {
        let mut new = json!({"name": name, "scopes": ["vendors:read", "profile"]});
        for (name, value) in more.as_object().unwrap() {
            new[name] = value.clone();
        }
        server.sandbox_connection(&sandbox, "sandbox", new).await
    };
    let reusable = async |connection: &str| {
        let list = server.get(&format!("/v1/connections/{connection}/reusable")).await.expect(200);
        list["items"].as_array().unwrap().clone()
    };
    let like = make("Like", json!({"same_authorization": false})).await;
    let items = reusable(&like).await;
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0]["id"], &items[0]["account_name"]), (&view["id"], &view["account_name"]));

    let body = json!({"reuse": view["id"], "credentials": {}, "environments": ["stage"]});
    assert_eq!(authorize(&server, &like, body).await.fields(), ["reuse"]);
    let answer = authorize(&server, &like, json!({"reuse": view["id"]})).await;
    assert_eq!(answer.fields(), ["environments"], "{}", answer.text);
    let codes = sandbox.handle.counters().codes;
    let body = json!({"reuse": view["id"], "environments": ["stage"]});
    let done = authorize(&server, &like, body).await.expect(201)["authorization"].clone();
    assert_eq!((&done["id"], &done["environments"]), (&view["id"], &json!(["stage"])));
    assert_eq!(sandbox.handle.counters().codes, codes, "nobody was asked");
    assert_eq!(caller(&server, &like, "stage").await, "ada@sandbox.example");
    call(&server, &like, "production").await.problem(409, "not_connected");

    // Other scopes, other parameters, another connector: nothing to use again, and naming it helps not.
    let wider = make("Wider", json!({"scopes": ["profile", "vendors:read", "vendors:write"]})).await;
    let narrower = make("Narrower", json!({"scopes": ["profile"]})).await;
    let mut parameters = sandbox.handle.connector_parameters("sandbox");
    parameters["client_secret"] = "another-secret".into();
    let parted = make("Parted", json!({ "parameters": parameters })).await;
    let foreign = server
        .sandbox_connection(&sandbox, "sandbox_company", json!({"scopes": ["profile", "vendors:read"]}))
        .await;
    for connection in [&wider, &narrower, &parted, &foreign] {
        assert_eq!(reusable(connection).await, Vec::<Value>::new(), "{connection}");
        let answer = authorize(&server, connection, json!({"reuse": view["id"]})).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), ["reuse"], "{connection}");
    }
    let stranger = home.organization("Other");
    let path = format!("/v1/connections/{like}/reusable");
    server.with_key(&stranger.key).api("GET", &path, Value::Null).await.problem(404, "not_found");
    let answer = authorize(&server, &connection, json!({"reuse": "aut_00000000000000000000000000"})).await;
    assert_eq!(answer.fields(), ["reuse"]);
}

#[tokio::test]
async fn scopes_that_are_missing_are_shown() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let all = json!(["profile", "vendors:read", "vendors:write"]);
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({ "scopes": all })).await;
    let ended =
        authorize_as(&server, &connection, "Ada", Some(&["profile", "vendors:read"]), json!({})).await;
    let view = authorization(&server, &connection, &ended["authorization"]).await;
    assert_eq!(view["scopes"], json!(["profile", "vendors:read"]));
    assert_eq!(view["missing_scopes"], json!(["vendors:write"]));
    assert_eq!(view["status"], "connected");
    let vendors = async |method: &str| {
        let body = if method == "POST" { json!({"DisplayName": "New one"}) } else { Value::Null };
        let call = json!({"method": method, "url": "/vendors", "body": body, "environment": "production"});
        server.invoke(&connection, call).await.expect(200)["status"].as_u64().unwrap()
    };
    assert_eq!((vendors("GET").await, vendors("POST").await), (200, 403));

    // Other scopes are a wish at first: what works goes on working.
    let patch = async |scopes: Value| {
        let body = json!({ "scopes": scopes });
        server.api("PATCH", &format!("/v1/connections/{connection}"), body).await
    };
    patch(json!(["vendors:read"])).await.expect(200);
    let now = authorization(&server, &connection, &view["id"]).await;
    assert_eq!((&now["missing_scopes"], &now["scopes"]), (&json!([]), &json!(["profile", "vendors:read"])));
    let answer = patch(json!(["vendors:read", "nonsense"])).await;
    answer.problem(422, "invalid_input");
    assert_eq!(answer.fields(), ["scopes.1"]);
    patch(all.clone()).await.expect(200);
    let now = authorization(&server, &connection, &view["id"]).await;
    assert_eq!(now["missing_scopes"], json!(["vendors:write"]));
    assert_eq!((vendors("GET").await, vendors("POST").await), (200, 403));
    assert_eq!(statuses(&server, &connection).await, ["connected"; 3]);

    // Consent again, this time to all.
    let path = format!("{}/reauthorize", path_of(&connection, &view));
    let begun = server.post(&path, json!({})).await.expect(202)["flow"].clone();
    let ended = consent(&server, &begun, "Ada", None).await;
    let now = authorization(&server, &connection, &ended["authorization"]).await;
    assert_eq!((&now["scopes"], &now["missing_scopes"]), (&all, &json!([])));
    assert_eq!((vendors("GET").await, vendors("POST").await), (200, 201));

    // A refresh that says nothing of scopes leaves them as they are.
    sandbox.handle.expire_access_tokens();
    assert_eq!(vendors("GET").await, 200);
    let now = until("the refresh is shown", async || {
        let now = authorization(&server, &connection, &ended["authorization"]).await;
        now["last_refreshed_at"].is_string().then_some(now)
    })
    .await;
    assert_eq!((&now["scopes"], &now["missing_scopes"]), (&all, &json!([])));
}

// ---- A service with habits of its own ----

/// What the service does next, and what it was asked.
#[derive(Clone)]
struct Odd {
    service: Arc<Upstream>,
    /// content type and body of the token answers
    answer: Arc<Mutex<(&'static str, String)>>,
    /// more parameters of the callback
    callback: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
}

/// A request, taken apart.
struct Seen {
    method: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
    body: String,
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

impl Odd {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new(("application/json", String::new())));
        let callback = Arc::new(Mutex::new(Vec::new()));
        let (says, comes_back) = (Arc::clone(&answer), Arc::clone(&callback));
        let service = Upstream::answering(move |asked| {
            let (path, query) = asked.target().split_once('?').unwrap_or((asked.target(), ""));
            match path {
                "/authorize" => {
                    let query = pairs(query);
                    let mut back = reqwest::Url::parse(&query["redirect_uri"]).unwrap();
                    let state = ("state", query["state"].as_str());
                    back.query_pairs_mut()
                        .extend_pairs([("code", "the-code"), state])
                        .extend_pairs(comes_back.lock().unwrap().iter());
                    reply(302, &[("location", back.as_str())], "")
                }
                "/token" => {
                    let (kind, body) = says.lock().unwrap().clone();
                    reply(200, &[("content-type", kind)], body)
                }
                _ => {
                    let body = json!({"login": "octocat", "id": 42}).to_string();
                    reply(200, &[("content-type", "application/json")], body)
                }
            }
        });
        Self { service: Arc::new(service.await), answer, callback }
    }

    fn url(&self) -> String {
        self.service.url.clone()
    }

    fn says(&self, kind: &'static str, body: &str) {
        *self.answer.lock().unwrap() = (kind, body.to_owned());
    }

    fn says_json(&self, body: &Value) {
        self.says("application/json", &body.to_string());
    }

    fn comes_back_with(&self, name: &'static str, value: &'static str) {
        self.callback.lock().unwrap().push((name, value));
    }

    /// The last request for a path.
    fn last(&self, path: &str) -> Seen {
        let of_path = |asked: &Message| asked.target().split('?').next() == Some(path);
        let asked = self.service.seen().into_iter().rfind(of_path);
        let asked = asked.unwrap_or_else(|| panic!("nobody asked for {path}"));
        let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
        Seen {
            method: asked.method().to_owned(),
            query: pairs(asked.target().split_once('?').map_or("", |(_, query)| query)),
            headers: asked.headers.iter().map(lower).collect(),
            form: pairs(asked.text()),
            body: asked.text().to_owned(),
        }
    }
}

/// A connector for the odd service; `auth` adds to the plainest description.
fn odd_connector(odd: &Odd, name: &str, auth: &Value, more: &Value) -> Value {
    let url = odd.url();
    let mut all = json!({
        "type": "oauth2_code",
        "authorize_url": format!("{url}/authorize"),
        "token_url": format!("{url}/token"),
        "client_authentication": "client_secret_post",
    });
    all.as_object_mut().unwrap().extend(auth.as_object().unwrap().clone());
    let mut document = json!({"name": name, "base_url": url, "auth": all});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

async fn odd_connection(server: &Server, document: Value, scopes: Value) -> String {
    let name = document["name"].clone();
    let link = server.connector(document).await;
    let parameters = json!({"client_id": "the-client", "client_secret": "the-secret-of-the-client"});
    let new = json!({"connector": link, "name": name, "parameters": parameters, "scopes": scopes});
    server.connection(new).await
}

#[tokio::test]
async fn services_with_habits_of_their_own_are_understood() {
    let odd = Odd::start().await;
    let home = Home::sqlite();
    let server = home.start();
    let get = async |connection: &str, url: &str| {
        let call = json!({"method": "GET", "url": url, "environment": "production"});
        let answer = server.invoke(connection, call).await.expect(200);
        assert_eq!(answer["status"], 200, "{answer}");
    };

    // A form-encoded answer with commas between scopes, without a type and an expiry, as GitHub's.
    odd.says(
        "application/x-www-form-urlencoded; charset=utf-8",
        "access_token=tok%2B1&scope=repo%2Cgist&token_type=",
    );
    let document = odd_connector(
        &odd,
        "Comma",
        &json!({"scope_delimiter": ",", "authorize_parameters": {"access_type": "offline"}}),
        &json!({
            "scopes": [{"name": "repo", "access": "full"}, {"name": "gist", "access": "read"}, {"name": "user", "access": "read"}],
            "identity": {"method": "GET", "url": "/user", "name": "/login", "subject": "/id"},
        }),
    );
    let connection = odd_connection(&server, document, json!(["repo", "gist", "user"])).await;
    let view = server.authorize(&connection, json!({})).await;
    assert_eq!((&view["scopes"], &view["missing_scopes"]), (&json!(["repo", "gist"]), &json!(["user"])));
    assert_eq!((&view["expires_at"], &view["account_name"]), (&Value::Null, &json!("octocat")));
    let asked = odd.last("/authorize");
    assert_eq!(
        (asked.query["scope"].as_str(), asked.query["access_type"].as_str()),
        ("repo,gist,user", "offline")
    );
    assert_eq!(asked.query["code_challenge_method"], "S256");
    let exchange = odd.last("/token");
    assert_eq!((exchange.method.as_str(), exchange.form["code"].as_str()), ("POST", "the-code"));
    assert_eq!(exchange.form["client_secret"], "the-secret-of-the-client");
    assert!(!exchange.headers.contains_key("authorization") && exchange.query.is_empty());
    assert!(exchange.form["code_verifier"].len() >= 43);
    assert_eq!(exchange.headers["accept"], "application/json");
    get(&connection, "/things").await;
    assert_eq!(odd.last("/things").headers["authorization"], "Bearer tok+1");

    // A token nested under a key, a life in a string, the account's own URL, a value of the callback, the token in the query.
    odd.says_json(&json!({
        "ok": true, "instance": format!("{}/ignored/path", odd.url()),
        "authed_user": {"access_token": "nested-1", "refresh_token": "r-1", "expires_in": "7200", "scope": "a b"},
    }));
    odd.comes_back_with("realmId", "4620/816");
    let document = odd_connector(
        &odd,
        "Nested",
        &json!({
            "token_at": "/authed_user",
            "base_url_from": "/instance",
            "callback_parameters": ["realmId"],
            "place": {"in": "query", "name": "auth"},
            "client_id_name": "client_key",
            "pkce": false,
            "token_request": "json",
            "token_parameters": {"audience": "all"},
        }),
        &json!({"base_url": "https://login.example/v2/{callback.realmId}", "hosts": [odd.url().trim_start_matches("http://")]}),
    );
    let connection = odd_connection(&server, document, json!([])).await;
    let view = server.authorize(&connection, json!({})).await;
    assert_eq!(view["attributes"]["callback.realmId"], "4620/816");
    let life = |name: &str| view[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let seconds = life("expires_at").duration_since(life("created_at")).as_secs();
    assert!((6000..=7200).contains(&seconds), "{view}");
    let asked = odd.last("/authorize");
    assert_eq!(asked.query["client_key"], "the-client");
    assert!(!asked.query.contains_key("client_id") && !asked.query.contains_key("code_challenge"));
    let exchange = odd.last("/token");
    assert!(exchange.headers["content-type"].starts_with("application/json"));
    let sent: Value = serde_json::from_str(&exchange.body).unwrap();
    assert_eq!((&sent["client_key"], &sent["audience"]), (&json!("the-client"), &json!("all")));
    assert!(sent.get("code_verifier").is_none() && sent.get("client_id").is_none(), "{sent}");
    get(&connection, "/things?x=1&auth=mine").await;
    let called = odd.last("/v2/4620%2F816/things");
    assert_eq!((called.query["auth"].as_str(), called.query["x"].as_str()), ("nested-1", "1"));
    assert!(!called.headers.contains_key("authorization"));

    // The token endpoint is asked by GET, and answers to a refresh without a new refresh token.
    odd.says_json(
        &json!({"access_token": "got-1", "refresh_token": "r-9", "expires_in": 1, "token_type": "MAC"}),
    );
    let document = odd_connector(
        &odd,
        "Get",
        &json!({"token_method": "GET", "place": {"name": "X-Token", "prefix": "tok "}, "refresh_parameters": {"again": "yes"}}),
        &json!({}),
    );
    let connection = odd_connection(&server, document, json!([])).await;
    let view = server.authorize(&connection, json!({})).await;
    assert_eq!(view["account_name"], "Get account 1");
    let exchange = odd.last("/token");
    assert_eq!(
        (exchange.method.as_str(), exchange.query["code"].as_str(), exchange.body.as_str()),
        ("GET", "the-code", "")
    );
    odd.says("text/plain", "access_token=got-2&expires_in=3600");
    let refresh = until("the refresh", async || {
        get(&connection, "/things").await;
        Some(odd.last("/token")).filter(|seen| seen.query["grant_type"] == "refresh_token")
    })
    .await;
    assert_eq!((refresh.query["refresh_token"].as_str(), refresh.query["again"].as_str()), ("r-9", "yes"));
    get(&connection, "/things").await;
    assert_eq!(odd.last("/things").headers["x-token"], "tok got-2");

    // An error in an answer of status 200 is an error.
    odd.says_json(&json!({"ok": false, "error": "bad_verification_code", "error_description": "try again"}));
    let brought = bring(&server, &connection, json!({})).await;
    assert_eq!(brought.arrive().await.status, 400);
    let ended = flow(&server, &brought.id).await;
    assert!(ended["error"]["detail"].as_str().unwrap().contains("bad_verification_code"), "{ended}");

    // Nothing that was presented stands in what people are told.
    odd.says_json(
        &json!({"error": "invalid_client", "error_description": "no the-code with the-secret-of-the-client"}),
    );
    let brought = bring(&server, &connection, json!({})).await;
    let page = brought.arrive().await;
    let ended = flow(&server, &brought.id).await;
    for text in [&page.body, &ended.to_string()] {
        assert!(text.contains("invalid_client"), "{text}");
        assert!(!text.contains("the-secret-of") && !text.contains("the-code"), "{text}");
    }
}
