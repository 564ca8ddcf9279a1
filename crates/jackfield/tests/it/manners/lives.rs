//! Names, pages, and the lives of connectors, connections and keys.

use super::*;

#[tokio::test]
async fn names_are_kept_derived_numbered_and_permanent() {
    let home = Home::sqlite();
    let stage = Stage::new(&home).await;
    let server = &stage.server;
    let new = async |name: &str, link: Value| {
        server
            .post("/v1/connections", json!({"connector": stage.connector, "name": name, "link_name": link}))
            .await
    };
    for (name, link) in [
        ("Acme QuickBooks — Büro 7", "acme_quickbooks_b_ro_7"),
        ("Acme  QuickBooks (Büro) 7", "acme_quickbooks_b_ro_7_2"),
        ("acme quickbooks b ro 7", "acme_quickbooks_b_ro_7_3"),
        ("日本", "connection"),
        (" !! ", "connection_2"),
        ("  padded  ", "padded"),
        ("\u{1f469}\u{200d}\u{1f4bb} e\u{301} \u{202e}x", "e_x"),
    ] {
        let made = new(name, Value::Null).await.expect(201);
        assert_eq!((made["name"].as_str().unwrap(), made["link_name"].as_str().unwrap()), (name, link));
        let read = server.get(&format!("/v1/connections/{link}")).await.expect(200);
        assert_eq!(read["name"], name, "kept byte for byte");
    }
    let long = "ü".repeat(200);
    assert_eq!(new(&long, json!("long")).await.expect(201)["name"], long.as_str());
    let many = "a".repeat(200);
    let first = new(&many, Value::Null).await.expect(201)["link_name"].as_str().unwrap().to_owned();
    let second = new(&many, Value::Null).await.expect(201)["link_name"].as_str().unwrap().to_owned();
    assert_eq!((first.len(), second), (64, format!("{}_2", "a".repeat(62))));
    for name in ["", " ", "\u{a0}\t", "a\tb", "a\nb", "a\u{7f}", "a\u{9f}", &"ü".repeat(201)] {
        let answer = new(name, Value::Null).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), ["name"], "{name:?}");
        let path = format!("/v1/connections/{}", stage.connection);
        assert_eq!(server.api("PATCH", &path, json!({"name": name})).await.fields(), ["name"]);
        assert_eq!(server.post("/v1/me/keys", json!({"name": name})).await.fields(), ["name"]);
    }
    let answer =
        server.post("/v1/connections", json!({"connector": stage.connector, "name": "x\u{0}"})).await;
    assert!(matches!(answer.status, 400 | 422), "{}", answer.text);
    for link in ["", "A", "a-b", "a b", "ü", "a/b", &"a".repeat(65)] {
        let answer = new("x", json!(link)).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), ["link_name"], "{link:?}");
    }
    assert_eq!(new("x", json!("a".repeat(63))).await.expect(201)["link_name"], "a".repeat(63));
    new("x", json!("padded")).await.problem(409, "link_name_taken");
    let path = "/v1/connections/padded";
    let answer = server.api("PATCH", path, json!({"link_name": "other"})).await;
    answer.problem(422, "invalid_input");
    assert_eq!(answer.fields(), ["link_name"]);
    server.api("PATCH", path, json!({"name": "Quite another"})).await.expect(200);
    assert_eq!(server.get(path).await.expect(200)["name"], "Quite another");
    // Another organization's names are its own.
    let neighbour = home.organization("Other");
    let neighbour = server.with_key(&neighbour.key);
    let document = keyed("Mannered", "https://example.com", &["example.com"]);
    let made = neighbour.api("POST", "/v1/connectors", document).await.expect(201);
    assert_eq!(made["link_name"], "mannered");

    // Connectors have their own rule.
    let connector = async |name: &str, more: Value| {
        let mut document = json!({"name": name, "base_url": "https://example.com", "auth": {"type": "none"}});
        for (name, value) in more.as_object().unwrap() {
            document[name] = value.clone();
        }
        server.post("/v1/connectors", document).await
    };
    for name in ["Acme CRM", "_x", "7 * _ - @ / ! : | & ~ \\ +", "Ünïcode", &"x".repeat(50)] {
        assert_eq!(connector(name, json!({})).await.expect(201)["name"], name);
    }
    for name in ["", "-x", " x", "x ", "a  b", "a.b", "a\u{a0}b", "a\tb", "(x)", &"x".repeat(51)] {
        let answer = connector(name, json!({})).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), ["name"], "{name:?}");
    }
    assert_eq!(connector("Acme CRM", json!({})).await.expect(201)["link_name"], "acme_crm_2");
    connector("Acme", json!({"link_name": "acme_crm"})).await.problem(409, "link_name_taken");
    // … also those of the built-in ones.
    let built_in = server.get("/v1/connectors?kind=built_in&limit=1").await.expect(200);
    let built_in = &built_in["items"][0]["link_name"];
    connector("Acme", json!({"link_name": built_in})).await.problem(409, "link_name_taken");
    let answer = server.api("PATCH", "/v1/connectors/acme_crm", json!({"link_name": "other"})).await;
    assert_eq!(answer.fields(), ["link_name"]);
}

#[tokio::test]
async fn connectors_and_connections_live_and_change_in_order() {
    let home = Home::sqlite();
    let server = home.start();
    let document = json!({
        "name": "Lively", "base_url": "https://example.com", "auth": {
            "type": "oauth2_code", "authorize_url": "https://example.com/a", "token_url": "https://example.com/t",
        },
    });
    let made = server.post("/v1/connectors", document).await.expect(201);
    assert_eq!(
        (&made["kind"], &made["stage"], &made["version"]),
        (&json!("custom"), &json!("draft"), &json!(1))
    );
    let path = "/v1/connectors/lively";
    let stage = async |step: &str| server.post(&format!("{path}/{step}"), json!({})).await;
    let new = async || {
        let parameters = json!({"client_id": "c", "client_secret": "s3cret-client"});
        server
            .post(
                "/v1/connections",
                json!({"connector": "lively", "name": "Lively", "parameters": parameters}),
            )
            .await
    };
    // A draft takes no connections; nor does a disabled one.
    let refused = new().await;
    assert!(matches!(refused.status, 409 | 422), "{}", refused.text);
    stage("enable").await.problem(409, "state_conflict");
    stage("disable").await.problem(409, "state_conflict");
    assert_eq!(stage("publish").await.expect(200)["stage"], "published");
    let connection = new().await.expect(201);
    assert_eq!(connection["parameters"], json!({"client_id": "c", "client_secret": {"set": true}}));
    assert_eq!(connection["connector"]["link_name"], "lively");
    assert_eq!(
        connection["status"],
        json!({"development": "not_connected", "stage": "not_connected", "production": "not_connected"})
    );
    assert_eq!(stage("disable").await.expect(200)["stage"], "disabled");
    let refused = new().await;
    assert!(matches!(refused.status, 409 | 422), "{}", refused.text);
    stage("publish").await.problem(409, "state_conflict");
    assert_eq!(stage("enable").await.expect(200)["stage"], "published");

    // Changes are a merge, and nobody's change is lost.
    let view = server.get(path).await.expect(200);
    let version = view["version"].as_i64().unwrap();
    let patch = json!({"description": "Better", "version": version});
    let patched = server.api("PATCH", path, patch.clone()).await.expect(200);
    assert_eq!((&patched["description"], &patched["version"]), (&json!("Better"), &json!(version + 1)));
    assert_eq!(patched["auth"], view["auth"]);
    server.api("PATCH", path, patch).await.problem(409, "version_conflict");
    let answer = server.api("PATCH", path, json!({"auth": {"token_url": "nonsense"}})).await;
    answer.problem(422, "invalid_input");
    assert_eq!(answer.fields(), ["auth.token_url"]);
    server.api("PATCH", path, json!({"nobody": 1})).await.problem(422, "invalid_input");
    assert_eq!(
        server.api("PATCH", path, json!({"description": null})).await.expect(200)["description"],
        Value::Null
    );

    // The same of the connection.
    let path = "/v1/connections/lively";
    let version = connection["version"].as_i64().unwrap();
    let patch = json!({"name": "Renamed", "version": version});
    let patched = server.api("PATCH", path, patch.clone()).await.expect(200);
    assert_eq!((&patched["name"], &patched["version"]), (&json!("Renamed"), &json!(version + 1)));
    let conflict = server.api("PATCH", path, patch).await.problem(409, "version_conflict");
    assert_eq!(
        (&conflict["current"]["name"], &conflict["current"]["version"]),
        (&json!("Renamed"), &json!(version + 1))
    );
    assert!(!conflict.to_string().contains("s3cret"));
    // What is shown as set comes back as it was shown and stays; what is new replaces; null takes out.
    for (parameters, wanted) in [
        (
            json!({"client_secret": {"set": true}, "client_id": "d"}),
            json!({"client_id": "d", "client_secret": {"set": true}}),
        ),
        (json!({"client_secret": "s3cret-new"}), json!({"client_id": "d", "client_secret": {"set": true}})),
    ] {
        let answer = server.api("PATCH", path, json!({"parameters": parameters})).await;
        assert_eq!(answer.expect(200)["parameters"], wanted);
        assert!(!answer.text.contains("s3cret"));
    }
    let answer = server.api("PATCH", path, json!({"parameters": {"client_id": null}})).await;
    assert_eq!(answer.fields(), ["parameters.client_id"], "{}", answer.text);
    let both = tokio::join!(
        server.api("PATCH", path, json!({"name": "One", "version": version + 3})),
        server.api("PATCH", path, json!({"name": "Two", "version": version + 3})),
    );
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", both.0.text, both.1.text);

    // What is used is not deleted.
    let connector = "/v1/connectors/lively";
    server.api("DELETE", connector, Value::Null).await.problem(409, "connector_referenced");
    assert_eq!(server.api("DELETE", path, Value::Null).await.status, 204);
    server.api("DELETE", path, Value::Null).await.problem(404, "not_found");
    assert_eq!(server.api("DELETE", connector, Value::Null).await.status, 204);
    server.get(connector).await.problem(404, "not_found");
    // The built-in ones are nobody's to change.
    let built_in = server.get("/v1/connectors?kind=built_in").await.expect(200);
    assert!(built_in["items"].as_array().unwrap().len() >= 25);
    let built_in = format!("/v1/connectors/{}", built_in["items"][0]["link_name"].as_str().unwrap());
    let view = server.get(&built_in).await.expect(200);
    assert_eq!((&view["kind"], &view["stage"]), (&json!("built_in"), &json!("published")));
    for (method, path, body) in [
        ("PATCH", built_in.clone(), json!({"description": "mine"})),
        ("DELETE", built_in.clone(), Value::Null),
        ("POST", format!("{built_in}/disable"), json!({})),
    ] {
        let answer = server.api(method, &path, body).await;
        assert!(matches!(answer.status, 403 | 409), "{method} {path}: {} {}", answer.status, answer.text);
    }
    assert!(!server.log().contains("s3cret"));
}

#[tokio::test]
async fn lists_are_paged() {
    for home in Home::both() {
        let server = home.start();
        let connector = server.connector(keyed("Paged", "https://example.com", &["example.com"])).await;
        let mut wanted = BTreeSet::new();
        for n in 0..120 {
            let level = if n % 3 == 0 { "user" } else { "admin" };
            wanted.insert(
                server
                    .connection(json!({"connector": connector, "name": format!("C {n}"), "level": level}))
                    .await,
            );
        }
        for (query, expected, pages) in [
            ("", 120, 3),
            ("limit=50&", 120, 3),
            ("limit=7&", 120, 18),
            ("limit=40&", 120, 3),
            ("limit=120&", 120, 1),
            ("limit=200&", 120, 1),
            ("level=user&limit=10&", 40, 4),
            ("connector=paged&limit=60&", 120, 2),
            ("connector=nobody&", 0, 1),
        ] {
            let (mut seen, mut count, mut cursor) = (BTreeSet::new(), 0, String::new());
            loop {
                let page = server.get(&format!("/v1/connections?{query}{cursor}")).await.expect(200);
                count += 1;
                for item in page["items"].as_array().unwrap() {
                    let link = item["link_name"].as_str().unwrap().to_owned();
                    assert!(seen.insert(link.clone()), "{query}: {link} came twice");
                }
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("cursor={next}"),
                    None => break,
                }
            }
            assert_eq!((seen.len(), count), (expected, pages), "{query}");
            assert!(seen.is_subset(&wanted));
        }
        // What is made and deleted in between neither repeats nor hides the others.
        let page = server.get("/v1/connections?limit=10").await.expect(200);
        let last = page["items"][9]["link_name"].as_str().unwrap();
        assert_eq!(server.api("DELETE", &format!("/v1/connections/{last}"), Value::Null).await.status, 204);
        let next = page["next_cursor"].as_str().unwrap();
        let rest = server.get(&format!("/v1/connections?limit=200&cursor={next}")).await.expect(200);
        assert_eq!(rest["items"].as_array().unwrap().len(), 110);
    }
}

#[tokio::test]
async fn keys_are_shown_once_told_apart_and_refused_at_once() {
    let home = Home::sqlite();
    let server = home.start();
    let made = server.post("/v1/me/keys", json!({"name": "Laptop", "expires_in_days": 30})).await.expect(201);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with("jfp_") && id.starts_with("key_"), "{made}");
    assert!(made["expires_at"].is_string());
    let never = server.post("/v1/me/keys", json!({"name": "Laptop"})).await.expect(201);
    assert_eq!(never["expires_at"], Value::Null);
    let list = server.get("/v1/me/keys").await;
    assert!(!list.text.contains(key) && !list.text.contains(&server.key), "{}", list.text);
    let items = list.expect(200)["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 3);
    let listed = items.iter().find(|item| item["id"] == id).unwrap();
    let hint = listed["hint"].as_str().unwrap();
    assert!(key.starts_with(hint) && hint.len() <= 8, "{hint}");
    assert!(listed.get("key").is_none());

    let mine = server.with_key(key);
    mine.api("GET", "/v1/me", Value::Null).await.expect(200);
    // A typo is told from a key that is not known.
    let mut mistyped = key.to_owned().into_bytes();
    let last = mistyped.last_mut().unwrap();
    *last = if *last == b'a' { b'b' } else { b'a' };
    let mistyped = String::from_utf8(mistyped).unwrap();
    let swapped = key.replacen("jfp_", "jfa_", 1);
    for (key, code) in [
        (mistyped.as_str(), "key_malformed"),
        (&key[..key.len() - 1], "key_malformed"),
        ("jfp_", "key_malformed"),
        ("x", "unauthenticated"),
        (&swapped, "key_malformed"),
    ] {
        let answer = server.with_key(key).api("GET", "/v1/me", Value::Null).await;
        answer.problem(401, code);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    // A whole key of another store is unknown here.
    let elsewhere = Home::sqlite();
    let foreign = elsewhere.init().key;
    server.with_key(&foreign).api("GET", "/v1/me", Value::Null).await.problem(401, "unauthenticated");
    for header in ["Basic eDp5", "Bearer", "bearer", "Token x", ""] {
        let request =
            reqwest::Client::new().get(format!("{}/v1/me", server.url)).header("authorization", header);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, 401, "{header:?}: {}", answer.text);
    }

    // Neighbours cannot revoke it; its owner can, and from then on it opens nothing.
    let neighbour = home.organization("Other");
    let path = format!("/v1/me/keys/{id}");
    server.with_key(&neighbour.key).api("DELETE", &path, Value::Null).await.problem(404, "not_found");
    mine.api("GET", "/v1/me", Value::Null).await.expect(200);
    assert_eq!(server.api("DELETE", &path, Value::Null).await.status, 204);
    mine.api("GET", "/v1/me", Value::Null).await.problem(401, "key_revoked");
    let proxied = mine.api("GET", "/v1/proxy/x/y", Value::Null).await;
    proxied.problem(401, "key_revoked");
    server.api("DELETE", &path, Value::Null).await.problem(404, "not_found");
    assert_eq!(server.get("/v1/me/keys").await.expect(200)["items"].as_array().unwrap().len(), 2);
    // It can end itself, too.
    let last = server.with_key(never["key"].as_str().unwrap());
    let path = format!("/v1/me/keys/{}", never["id"].as_str().unwrap());
    assert_eq!(last.api("DELETE", &path, Value::Null).await.status, 204);
    last.api("DELETE", &path, Value::Null).await.problem(401, "key_revoked");
    assert!(!server.log().contains(key));
}
