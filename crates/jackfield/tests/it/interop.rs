//! Servers that others wrote: what Jackfield does has to please them, and their logs say how it behaved.

use std::collections::BTreeSet;

use jackfield_testkit::browser::{Browser, Page};
use jackfield_testkit::foreign::{Foreign, KeyPair, Kind};
use serde_json::{Value, json};

use crate::journey::{authorization, flow, held};
use crate::support::{Home, Server};
use crate::world::until;

const ALICE: [(&str, &str); 2] = [("username", "alice"), ("password", "wonderland")];
const BOB: [(&str, &str); 2] = [("username", "bob"), ("password", "builder")];
/// A secret with every character that an encoding could hurt.
const SECRET: &str = "s3cr:et/with+plus%20and&=?#~*'()!$;,@[]";

/// A client of a foreign server: how it is registered there and described here.
struct Client {
    id: &'static str,
    method: &'static str,
    secret: Option<&'static str>,
    key: Option<(&'static str, KeyPair)>,
    /// changes of the connector's `auth`
    auth: Value,
}

impl Client {
    fn new(id: &'static str, method: &'static str, secret: Option<&'static str>) -> Self {
        Self { id, method, secret, key: None, auth: json!({}) }
    }

    fn with_key(id: &'static str, algorithm: &'static str) -> Self {
        let key = KeyPair::generate(algorithm).unwrap();
        Self { key: Some((algorithm, key)), ..Self::new(id, "private_key_jwt", None) }
    }

    fn registration(&self) -> Value {
        let mut client = json!({"client_id": self.id, "client_authentication": self.method});
        if let Some(secret) = self.secret {
            client["client_secret"] = secret.into();
        }
        if let Some((_, key)) = &self.key {
            client["jwks"] = key.jwks();
        }
        client
    }

    fn parameters(&self) -> Value {
        let mut parameters = json!({"client_id": self.id});
        if let Some(secret) = self.secret {
            parameters["client_secret"] = secret.into();
        }
        if let Some((algorithm, key)) = &self.key {
            parameters["private_key"] = key.private_pem.as_str().into();
            parameters["key_id"] = key.key_id.as_str().into();
            parameters["signing_algorithm"] = (*algorithm).into();
        }
        parameters
    }
}

/// Starts a foreign server that knows these clients and this Jackfield.
fn start(kind: Kind, server: &Server, clients: &[Client], more: Value) -> Foreign {
    let mut config = more;
    config["redirect_uris"] = json!([format!("{}/oauth/callback", server.url)]);
    config["clients"] = clients.iter().map(Client::registration).collect();
    Foreign::start(kind, config).unwrap()
}

/// A connection by one of its clients.
async fn connect(server: &Server, foreign: &Foreign, client: &Client) -> String {
    let name = format!("By {}", client.id);
    let mut auth = client.auth.clone();
    auth["client_authentication"] = client.method.into();
    let document = foreign.connector(&json!({"name": name, "link_name": client.id, "auth": auth}));
    let link = server.connector(document).await;
    let new = json!({"connector": link, "name": name, "parameters": client.parameters()});
    server.connection(new).await
}

/// Opens a flow's link and goes on until the service asks for consent.
async fn log_in(begun: &Value, who: &[(&str, &str)]) -> Page {
    let page = Browser::new().get(begun["start_url"].as_str().unwrap()).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    page.submit("Log in", who).await.unwrap()
}

/// Authorizes as somebody; the authorization's view.
async fn authorize(server: &Server, connection: &str, who: &[(&str, &str)]) -> Value {
    let begun = server.begin_flow(connection, json!({})).await;
    let page = log_in(&begun, who).await.submit("Allow", &[]).await.unwrap();
    assert_eq!(page.status, 200, "{} {}", page.url, page.body);
    assert!(page.body.contains("Connected as"), "{}", page.body);
    let ended = flow(server, begun["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "authorized", "{ended}");
    authorization(server, connection, &ended["authorization"]).await
}

async fn invoke(server: &Server, connection: &str, mut call: Value) -> Value {
    call["environment"] = "production".into();
    let answer = server.invoke(connection, call).await.expect(200);
    assert_eq!(answer["status"], 200, "{answer}");
    answer["body"].clone()
}

async fn me(server: &Server, connection: &str) -> Value {
    invoke(server, connection, json!({"method": "GET", "url": "/me"})).await
}

fn names(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

/// How a client has to behave towards a token endpoint, by the server's own log.
#[track_caller]
fn behaved(foreign: &Foreign, client: &Client, request: &Value) {
    assert_eq!(request["method"], "POST", "{request}");
    assert_eq!(request["query"], json!([]), "nothing of it in an address: {request}");
    assert_eq!(request["client_authentication"], client.method, "{request}");
    let kind = request["content_type"].as_str().unwrap();
    assert!(kind.starts_with("application/x-www-form-urlencoded"), "{kind}");
    let form = names(&request["form"]);
    assert_eq!(form.contains("client_secret"), client.method == "client_secret_post", "{request}");
    assert_eq!(form.contains("client_assertion"), client.key.is_some(), "{request}");
    if let Some((algorithm, key)) = &client.key {
        let assertion = &request["assertion"];
        assert_eq!(assertion["alg"], *algorithm);
        assert_eq!(assertion["kid"], key.key_id.as_str());
        assert_eq!((&assertion["iss"], &assertion["sub"]), (&json!(client.id), &json!(client.id)));
        let audience = assertion["aud"].to_string();
        assert!(audience.contains(&foreign.url), "{audience}");
        let claims = names(&assertion["claims"]);
        assert!(["exp", "iat", "jti"].iter().all(|claim| claims.contains(claim)), "{claims:?}");
        assert!(form.contains("client_assertion_type"));
    }
}

/// Everything that each of the OAuth2 servers is taken through, with each of its clients.
async fn whole_life(kind: Kind, clients: &[Client]) {
    let home = Home::sqlite();
    let server = home.start();
    let foreign = start(kind, &server, clients, json!({}));
    for client in clients {
        let from = foreign.log().len();
        let news = |path: &str| -> Vec<Value> {
            foreign.log().into_iter().skip(from).filter(|entry| entry["path"] == path).collect()
        };
        let connection = connect(&server, &foreign, client).await;
        let view = authorize(&server, &connection, &ALICE).await;
        assert_eq!(view["account_name"], "alice@example.com", "{kind:?} {}", client.id);
        assert_eq!((&view["missing_scopes"], &view["status"]), (&json!([]), &json!("connected")));
        assert!(view["expires_at"].is_string());

        // To the person.
        let authorize_requests = news("/authorize");
        let asked = &authorize_requests[0];
        assert_eq!(asked["code_challenge_method"], "S256");
        let query = names(&asked["query"]);
        for name in ["state", "code_challenge", "redirect_uri", "scope", "response_type", "client_id"] {
            assert!(query.contains(name), "{name}: {query:?}");
        }
        assert!(!query.contains("client_secret"));

        // To the token endpoint: the code once.
        let exchanges = news("/token");
        assert_eq!(exchanges.len(), 1);
        behaved(&foreign, client, &exchanges[0]);
        assert_eq!(exchanges[0]["grant_type"], "authorization_code");
        let form = names(&exchanges[0]["form"]);
        assert!(["code", "redirect_uri", "code_verifier"].iter().all(|name| form.contains(name)), "{form:?}");

        // To the API.
        assert_eq!(me(&server, &connection).await["sub"], "sub-alice");
        let call = json!({
            "method": "POST", "url": "/resource/a%20b?x=1&x=2", "query": {"y": "z"}, "body": {"n": [1, null, "\u{fc}"]},
        });
        let seen = invoke(&server, &connection, call).await;
        assert_eq!((&seen["method"], &seen["sub"]), (&json!("POST"), &json!("sub-alice")));
        assert_eq!(seen["query"], json!({"x": ["1", "2"], "y": "z"}));
        assert_eq!(seen["body"], json!({"n": [1, null, "\u{fc}"]}));
        let called = news("/me");
        assert!(called.iter().all(|entry| entry["authorization"] == "Bearer" && entry["query"] == json!([])));

        // The tokens are gone: a new one is got, and the next time by the successor of the refresh token.
        for round in 1..=3 {
            foreign.revoke("access_tokens").unwrap();
            assert_eq!(me(&server, &connection).await["sub"], "sub-alice", "{kind:?} {} {round}", client.id);
            let refreshes: Vec<Value> =
                news("/token").into_iter().filter(|r| r["grant_type"] == "refresh_token").collect();
            assert_eq!(refreshes.len(), round, "one refresh a time");
            behaved(&foreign, client, &refreshes[round - 1]);
            assert_eq!(refreshes[round - 1]["status"], 200);
            assert!(!names(&refreshes[round - 1]["form"]).contains("scope"), "the granted scopes stay");
        }
        let now = authorization(&server, &connection, &view["id"]).await;
        assert_eq!((&now["status"], &now["scopes"]), (&json!("connected"), &view["scopes"]));

        // Another person takes the place, and the first is taken back.
        let path = format!("/v1/connections/{connection}/authorizations/{}", view["id"].as_str().unwrap());
        let begun = server
            .post(&format!("{path}/reauthorize"), json!({"account_name": "Bob"}))
            .await
            .expect(202)["flow"]
            .clone();
        let page = log_in(&begun, &BOB).await.submit("Allow", &[]).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        let ended = flow(&server, begun["id"].as_str().unwrap()).await;
        assert_eq!(ended["warnings"][0]["code"], "different_account", "{ended}");
        assert_eq!(me(&server, &connection).await["sub"], "sub-bob");
        let revoked = news("/revoke");
        if kind == Kind::Oauth2Node {
            assert_eq!(revoked.len(), 0, "it has no such endpoint");
        } else {
            assert_eq!(revoked[0]["token_type_hint"], "refresh_token");
            for entry in &revoked {
                behaved(&foreign, client, entry);
                assert_eq!(entry["status"], 200, "{entry}");
            }
        }

        // Revoked: no call passes, and the service knows.
        let bob = ended["authorization"].as_str().unwrap();
        let path = format!("/v1/connections/{connection}/authorizations/{bob}");
        server.api("DELETE", &path, Value::Null).await.expect(204);
        let call = json!({"method": "GET", "url": "/me", "environment": "production"});
        server.invoke(&connection, call).await.problem(409, "not_connected");
        if kind != Kind::Oauth2Node {
            assert!(news("/revoke").len() > revoked.len());
        }
        // Nothing that it was sent did it object to, but the tokens that it was told to forget.
        for entry in foreign.log().iter().skip(from) {
            let forgotten = entry["path"] == "/me" && entry["status"] == 401;
            assert!(entry["status"].as_u64().unwrap() < 400 || forgotten, "{kind:?} {}: {entry}", client.id);
        }
    }
}

#[tokio::test]
async fn oidc_provider_finds_nothing_to_object_to() {
    whole_life(
        Kind::Oidc,
        &[
            Client::new("basic", "client_secret_basic", Some(SECRET)),
            Client::new("post", "client_secret_post", Some(SECRET)),
            Client::new("open", "none", None),
            Client::with_key("rsa", "RS256"),
            Client::with_key("curve", "ES256"),
        ],
    )
    .await;
}

/// A person types the code that Jackfield shows; what was granted is kept fresh like any other.
#[tokio::test]
async fn a_device_code_pleases_them_all() {
    let home = Home::sqlite();
    let server = home.start();
    for (kind, path) in [(Kind::Oidc, "/device/auth"), (Kind::Authlib, "/device_authorization")] {
        let clients = [
            Client::new("device_basic", "client_secret_basic", Some(SECRET)),
            Client::with_key("device_key", "ES256"),
        ];
        // Authlib takes no assertion at this endpoint.
        let clients = if kind == Kind::Authlib { &clients[..1] } else { &clients[..] };
        let foreign = start(kind, &server, clients, json!({"refresh_token": "always"}));
        for client in clients {
            let name = format!("{kind:?}_{}", client.id).to_lowercase();
            let document = foreign.connector(&json!({"name": name, "link_name": name, "auth": null}));
            let mut document = document;
            document["auth"] = json!({
                "type": "oauth2_device_code",
                "device_authorization_url": format!("{}{path}", foreign.url),
                "token_url": format!("{}/token", foreign.url),
                "client_authentication": client.method,
            });
            let link = server.connector(document).await;
            let new = json!({"connector": link, "name": name, "parameters": client.parameters()});
            let connection = server.connection(new).await;
            let begun = server.begin_flow(&connection, json!({})).await;
            let page = Browser::new().get(begun["verification_uri"].as_str().unwrap()).await.unwrap();
            let code = begun["user_code"].as_str().unwrap();
            let mut page = page.submit("Continue", &[("user_code", code)]).await.unwrap();
            if kind == Kind::Oidc {
                page = page.submit("Continue", &[]).await.unwrap();
            }
            let page = page.submit("Log in", &ALICE).await.unwrap().submit("Allow", &[]).await.unwrap();
            assert_eq!(page.status, 200, "{kind:?}: {}", page.body);
            let id = begun["id"].as_str().unwrap();
            let ended = until("the end of the flow", async || {
                Some(flow(&server, id).await).filter(|flow| flow["state"] != "pending")
            })
            .await;
            assert_eq!(ended["state"], "authorized", "{name}: {ended}");
            assert_eq!(me(&server, &connection).await["sub"], "sub-alice", "{name}");
            for round in 1..=2 {
                foreign.revoke("access_tokens").unwrap();
                assert_eq!(me(&server, &connection).await["sub"], "sub-alice", "{name}, refresh {round}");
            }
            let log = foreign.log();
            let asked: Vec<_> = log.iter().filter(|entry| entry["path"] == path).collect();
            behaved(&foreign, client, asked.last().unwrap());
        }
    }
}

#[tokio::test]
async fn requests_are_pushed_where_the_service_wants_it() {
    let mut pushed = [
        Client::new("pushed", "client_secret_basic", Some(SECRET)),
        Client::with_key("pushed_by_key", "ES256"),
    ];
    let home = Home::sqlite();
    let server = home.start();
    let foreign = start(Kind::Oidc, &server, &pushed, json!({"require_par": true}));
    for client in &mut pushed {
        client.auth = json!({"par_url": format!("{}/request", foreign.url)});
        let from = foreign.log().len();
        let connection = connect(&server, &foreign, client).await;
        let begun = server.begin_flow(&connection, json!({})).await;
        // Opened twice: pushed anew, and the second is as good.
        let start = begun["start_url"].as_str().unwrap();
        let browser = Browser::new();
        browser.get(start).await.unwrap();
        let page = browser.get(start).await.unwrap();
        let page = page.submit("Log in", &ALICE).await.unwrap().submit("Allow", &[]).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(me(&server, &connection).await["sub"], "sub-alice");
        let log = foreign.log();
        let news = |path: &str| -> Vec<&Value> {
            log.iter().skip(from).filter(|entry| entry["path"] == path).collect()
        };
        for entry in news("/request").into_iter().chain(news("/token")) {
            behaved(&foreign, client, entry);
        }
        let form = names(&news("/request")[0]["form"]);
        for name in
            ["state", "code_challenge", "code_challenge_method", "redirect_uri", "scope", "response_type"]
        {
            assert!(form.contains(name), "{name}: {form:?}");
        }
        assert!(!form.contains("request_uri"));
        assert_eq!(names(&news("/authorize")[0]["query"]), BTreeSet::from(["client_id", "request_uri"]));
    }
    // The service does not take the push: the flow fails, and says so to the person.
    let connection = "by_pushed";
    let begun = server.begin_flow(connection, json!({})).await;
    foreign.fail("/request", 503, 1).unwrap();
    let page = Browser::new().get(begun["start_url"].as_str().unwrap()).await.unwrap();
    assert!((400..500).contains(&page.status), "{} {}", page.status, page.body);
    let ended = flow(&server, begun["id"].as_str().unwrap()).await;
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("failed"), &json!("provider_error")));
}

#[tokio::test]
async fn node_oauth2_server_finds_nothing_to_object_to() {
    // It takes Basic credentials as they are, so that only a plain secret passes there.
    whole_life(
        Kind::Oauth2Node,
        &[
            Client::new("basic", "client_secret_basic", Some("plain-secret_1.2~3")),
            Client::new("post", "client_secret_post", Some(SECRET)),
        ],
    )
    .await;
}

#[tokio::test]
async fn node_oauth2_server_takes_a_public_client() {
    whole_life(Kind::Oauth2Node, &[Client::new("open", "none", None)]).await;
}

#[tokio::test]
async fn authlib_finds_nothing_to_object_to() {
    whole_life(
        Kind::Authlib,
        &[
            Client::new("basic", "client_secret_basic", Some(SECRET)),
            Client::new("post", "client_secret_post", Some(SECRET)),
            Client::new("open", "none", None),
            Client::with_key("rsa", "RS256"),
            Client::with_key("curve", "ES256"),
        ],
    )
    .await;
}

#[tokio::test]
async fn tokens_that_expire_are_never_noticed() {
    let home = Home::sqlite();
    let server = home.start();
    for (kind, rotate) in [
        (Kind::Oidc, true),
        (Kind::Oauth2Node, true),
        (Kind::Oauth2Node, false),
        (Kind::Authlib, true),
        (Kind::Authlib, false),
    ] {
        let id = if rotate { "rotating" } else { "lasting" };
        let client = Client::new(id, "client_secret_basic", Some("plain-secret"));
        let more = json!({"consent": "auto", "rotate": rotate, "lifetimes": {"access_token": 2}});
        let foreign = start(kind, &server, std::slice::from_ref(&client), more);
        let link = format!("{id}_{kind:?}").to_lowercase();
        let document = foreign.connector(&json!({"name": link, "link_name": link}));
        server.connector(document).await;
        let new = json!({"connector": link, "name": link, "parameters": client.parameters()});
        let connection = server.connection(new).await;
        let view = server.authorize(&connection, json!({})).await;
        // Every call succeeds, while one token after the other runs out.
        until("three refreshes", async || {
            assert_eq!(me(&server, &connection).await["sub"], "sub-alice", "{kind:?} {rotate}");
            let requests = foreign.token_requests();
            (requests.iter().filter(|r| r["grant_type"] == "refresh_token").count() >= 3).then_some(())
        })
        .await;
        for request in foreign.token_requests() {
            behaved(&foreign, &client, &request);
            assert_eq!(request["status"], 200, "{kind:?} {rotate}: {request}");
        }
        let now = authorization(&server, &connection, &view["id"]).await;
        assert_eq!(now["status"], "connected");
        assert!(now["last_refreshed_at"].is_string());

        // The service forgets everything: that is final, and says so.
        foreign.revoke("all").unwrap();
        let call = json!({"method": "GET", "url": "/me", "environment": "production"});
        let first = server.invoke(&connection, call.clone()).await;
        if first.status == 200 {
            // The service's refusal of the token is a result; so it was before the refresh was refused.
            assert_eq!(first.json()["status"], 401, "{}", first.text);
        } else {
            first.problem(409, "reauthorization_required");
        }
        server.invoke(&connection, call).await.problem(409, "reauthorization_required");
        let now = authorization(&server, &connection, &view["id"]).await;
        assert_eq!(now["status"], "reauthorization_required");
        assert!(now["reason"].as_str().unwrap().contains("invalid_grant"), "{now}");
    }
}

#[tokio::test]
async fn people_say_no_everywhere() {
    let home = Home::sqlite();
    let server = home.start();
    for kind in [Kind::Oidc, Kind::Oauth2Node, Kind::Authlib, Kind::Oauth1] {
        let redirects = json!([format!("{}/oauth/callback", server.url)]);
        let foreign = Foreign::start(kind, json!({ "redirect_uris": redirects })).unwrap();
        let link = format!("denied_{kind:?}").to_lowercase();
        server.connector(foreign.connector(&json!({"name": link, "link_name": link}))).await;
        let new = json!({"connector": link, "name": link, "parameters": foreign.parameters()});
        let connection = server.connection(new).await;
        for button in ["Cancel", "Deny"] {
            let begun = server.begin_flow(&connection, json!({})).await;
            let mut page = Browser::new().get(begun["start_url"].as_str().unwrap()).await.unwrap();
            if button == "Deny" {
                page = page.submit("Log in", &ALICE).await.unwrap();
            }
            let page = page.submit(button, &[]).await.unwrap();
            assert_eq!(page.status, 200, "{kind:?} {button}: {}", page.body);
            let ended = flow(&server, begun["id"].as_str().unwrap()).await;
            assert_eq!(
                (&ended["state"], &ended["error"]["code"]),
                (&json!("denied"), &json!("access_denied")),
                "{kind:?} {button}"
            );
        }
        assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
        let exchanged = [foreign.log_of("/token"), foreign.log_of("/oauth/access_token")].concat();
        assert_eq!(exchanged, Vec::<Value>::new(), "{kind:?}");
    }
}

#[tokio::test]
async fn oauthlib_takes_every_signature() {
    let home = Home::sqlite();
    let server = home.start();
    let key = KeyPair::generate("RS256").unwrap();
    let secret = "consumer&secret=+/%\u{20}\u{e9}";
    let config = json!({
        "redirect_uris": [format!("{}/oauth/callback", server.url)],
        "public_key": key.public_pem, "consumer_secret": secret, "realms": ["photos"],
    });
    let foreign = Foreign::oauth1(config).unwrap();
    for method in ["HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1", "PLAINTEXT"] {
        let from = foreign.log().len();
        let name = format!("By {method}");
        let auth = json!({"signature_method": method, "realm": "photos"});
        let link = server.connector(foreign.connector(&json!({"name": name, "auth": auth}))).await;
        let mut parameters = foreign.parameters();
        if method == "RSA-SHA1" {
            parameters = json!({"consumer_key": parameters["consumer_key"], "private_key": key.private_pem});
        }
        let new = json!({"connector": link, "name": name, "parameters": parameters});
        let connection = server.connection(new).await;
        let view = authorize(&server, &connection, &ALICE).await;
        assert_eq!(view["account_name"], "alice@example.com", "{method}");
        assert_eq!(view["expires_at"], Value::Null);

        assert_eq!(me(&server, &connection).await["sub"], "sub-alice");
        let call = json!({
            "method": "GET", "url": "/resource/p%20q/r;s?a=2&a=1&b=%26%3D%2B&c=x+y&d", "query": {"e": "\u{fc}/~", "a": ["0"]},
        });
        eprintln!(
            "DBG {:?}",
            server
                .invoke(&connection, {
                    let mut c = call.clone();
                    c["environment"] = "production".into();
                    c
                })
                .await
                .text
        );
        let seen = invoke(&server, &connection, call).await;
        assert_eq!((&seen["query"]["b"], &seen["query"]["c"]), (&json!("&=+"), &json!("x y")), "{method}");
        assert_eq!(seen["query"]["e"], "\u{fc}/~");
        let form = json!({"a": ["2", "1"], "text": "Hello + good & bye = 100%", "\u{fc}": ""});
        let call = json!({"method": "POST", "url": "/resource?q=1", "body": form, "body_encoding": "form"});
        let seen = invoke(&server, &connection, call).await;
        assert_eq!(seen["body"], form, "{method}");
        let call = json!({"method": "PUT", "url": "/resource", "body": {"json": "a=b&c"}});
        assert_eq!(invoke(&server, &connection, call).await["body"], json!({"json": "a=b&c"}), "{method}");

        for entry in foreign.log().iter().skip(from).filter(|entry| !entry["oauth"].is_null()) {
            let oauth = &entry["oauth"];
            assert_eq!((&oauth["place"], &oauth["signature_method"]), (&json!("header"), &json!(method)));
            assert_eq!(oauth["realm"], "photos", "{entry}");
            let sent = names(&oauth["parameters"]);
            for name in ["oauth_consumer_key", "oauth_signature", "oauth_timestamp", "oauth_nonce"] {
                assert!(sent.contains(name), "{method} {name}: {entry}");
            }
            let path = entry["path"].as_str().unwrap();
            assert_eq!(sent.contains("oauth_callback"), path == "/oauth/request_token", "{entry}");
            assert_eq!(sent.contains("oauth_verifier"), path == "/oauth/access_token", "{entry}");
            assert_eq!(entry["status"], 200, "{entry}");
        }
        let token_requests =
            foreign.log().into_iter().skip(from).filter(|e| e["path"] == "/oauth/access_token");
        assert_eq!(token_requests.count(), 1);

        // The service forgets the token: its answer is the result.
        foreign.revoke("access_tokens").unwrap();
        let call = json!({"method": "GET", "url": "/me", "environment": "production"});
        assert_eq!(server.invoke(&connection, call).await.expect(200)["status"], 401);
    }
}

#[tokio::test]
async fn clients_act_for_themselves() {
    let home = Home::sqlite();
    let server = home.start();
    for kind in [Kind::Oidc, Kind::Oauth2Node, Kind::Authlib] {
        let client = Client::new("machine", "client_secret_post", Some(SECRET));
        let foreign = start(kind, &server, std::slice::from_ref(&client), json!({}));
        let link = format!("machine_{kind:?}").to_lowercase();
        let document = json!({
            "name": link, "link_name": link, "base_url": foreign.url,
            "test": {"method": "GET", "path": "/resource"},
            "scopes": [{"name": "read", "access": "read", "default": true}],
            "auth": {
                "type": "oauth2_client_credentials", "token_url": format!("{}/token", foreign.url),
                "client_authentication": "client_secret_post",
            },
        });
        server.connector(document).await;
        let new = json!({"connector": link, "name": link, "parameters": client.parameters()});
        let connection = server.connection(new).await;
        let path = format!("/v1/connections/{connection}/authorizations");
        let view = server.post(&path, json!({})).await.expect(201)["authorization"].clone();
        assert_eq!((&view["status"], &view["missing_scopes"]), (&json!("connected"), &json!([])), "{kind:?}");
        let seen = invoke(&server, &connection, json!({"method": "GET", "url": "/resource/x"})).await;
        assert_eq!((&seen["client_id"], &seen["scopes"]), (&json!("machine"), &json!(["read"])), "{kind:?}");
        foreign.revoke("access_tokens").unwrap();
        if kind == Kind::Oidc {
            // Its adapter keeps these tokens under a kind of their own: they are still there.
            invoke(&server, &connection, json!({"method": "GET", "url": "/resource/x"})).await;
            continue;
        }
        invoke(&server, &connection, json!({"method": "GET", "url": "/resource/x"})).await;
        let requests = foreign.token_requests();
        assert_eq!(requests.len(), 2, "{kind:?}");
        for request in &requests {
            behaved(&foreign, &client, request);
            assert_eq!(
                (&request["grant_type"], &request["scope"]),
                (&json!("client_credentials"), &json!("read"))
            );
        }
    }

    // A service account: an assertion that the service knows the key of.
    let client = Client::with_key("robot", "RS256");
    let foreign = start(Kind::Authlib, &server, std::slice::from_ref(&client), json!({}));
    let document = json!({
        "name": "Robot", "base_url": foreign.url, "test": {"method": "GET", "path": "/me"},
        "identity": {"method": "GET", "url": "/me", "name": "/email", "subject": "/sub"},
        "auth": {
            "type": "jwt_bearer", "token_url": format!("{}/token", foreign.url), "claims": {"sub": "sub-alice"},
        },
    });
    let link = server.connector(document).await;
    let mut parameters = client.parameters();
    parameters.as_object_mut().unwrap().remove("signing_algorithm");
    let new = json!({"connector": link, "name": "Robot", "parameters": parameters});
    let connection = server.connection(new).await;
    let path = format!("/v1/connections/{connection}/authorizations");
    let view = server.post(&path, json!({})).await.expect(201)["authorization"].clone();
    assert_eq!(view["account_name"], "alice@example.com");
    foreign.revoke("access_tokens").unwrap();
    assert_eq!(me(&server, &connection).await["sub"], "sub-alice");
    let requests = foreign.token_requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!((&request["status"], &request["assertion"]["alg"]), (&json!(200), &json!("RS256")));
    }
}
