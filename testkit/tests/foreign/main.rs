//! The foreign servers start, show their forms, keep their log, and let a client through that does it right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers here are parts of tests")]

use std::net::TcpStream;

use jackfield_testkit::browser::{Browser, Page, query};
use jackfield_testkit::foreign::{Foreign, KeyPair, Kind};
use reqwest::Url;
use serde_json::{Value, json};

const CALLBACK: &str = "http://127.0.0.1:1/oauth/callback";
// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const SECRET: &str = "a-secret-of-the-client";
const ALICE: [(&str, &str); 2] = [("username", "alice"), ("password", "wonderland")];
const CODE_KINDS: [Kind; 3] = [Kind::Oidc, Kind::Oauth2Node, Kind::Authlib];

fn start(kind: Kind, mut config: Value) -> Foreign {
    config["redirect_uris"] = json!([CALLBACK]);
    Foreign::start(kind, config).unwrap()
}

/// The authorization request that the connector describes, made by hand.
fn authorize_url(server: &Foreign) -> String {
    let connector = server.connector(&json!({}));
    let auth = &connector["auth"];
    let mut url = Url::parse(auth["authorize_url"].as_str().unwrap()).unwrap();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", "jackfield")
        .append_pair("redirect_uri", CALLBACK)
        .append_pair("scope", &server.scopes().join(" "))
        .append_pair("state", "the-state")
        .append_pair("code_challenge", CHALLENGE)
        .append_pair("code_challenge_method", "S256");
    if let Some(more) = auth["authorize_parameters"].as_object() {
        for (name, value) in more {
            url.query_pairs_mut().append_pair(name, value.as_str().unwrap());
        }
    }
    url.into()
}

/// A browser that does not go on to the callback, which nobody serves here.
fn browser() -> Browser {
    let browser = Browser::new();
    browser.stop_at(Some(CALLBACK));
    browser
}

fn callback(page: &Page) -> Url {
    page.location().unwrap_or_else(|| panic!("no redirect at {}: {}", page.url, page.body))
}

async fn post(url: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let body = Url::parse_with_params("http://form/", fields).unwrap().query().unwrap().to_owned();
    let request =
        reqwest::Client::new().post(url).header("content-type", "application/x-www-form-urlencoded");
    let response = request.basic_auth("jackfield", Some(SECRET)).body(body).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
}

async fn get(url: &str, token: &str) -> (u16, Value) {
    let response = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
}

async fn exchange(server: &Foreign, code: &str) -> (u16, Value) {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    post(&format!("{}/token", server.url), &fields).await
}

async fn refresh(server: &Foreign, token: &Value) -> (u16, Value) {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())];
    post(&format!("{}/token", server.url), &fields).await
}

#[tokio::test]
async fn a_person_logs_in_and_allows() {
    for kind in CODE_KINDS {
        let server = start(kind, json!({}));
        let browser = browser();
        let page = browser.get(&authorize_url(&server)).await.unwrap();
        assert_eq!(page.forms().len(), 1, "{kind:?}: {}", page.body);
        assert!(page.submit("Log in", &[("no_such_field", "x")]).await.is_err());

        let page = page.submit("Log in", &[("username", "alice"), ("password", "wrong")]).await.unwrap();
        assert!(page.body.contains("Wrong user name or password"), "{kind:?}");
        let page = page.submit("Log in", &ALICE).await.unwrap();
        assert!(page.body.contains("asks for"), "{kind:?}: {}", page.body);
        assert!(page.hops.len() >= 2, "{kind:?}: a redirect after the form");
        assert!(browser.cookies().iter().all(|cookie| cookie.http_only), "{kind:?}");
        let back = callback(&page.submit("Allow", &[]).await.unwrap());
        assert_eq!(query(&back, "state").as_deref(), Some("the-state"));
        let issuer = (kind != Kind::Oauth2Node).then_some(server.url.clone());
        assert_eq!(query(&back, "iss"), issuer, "{kind:?}");

        let (status, token) = exchange(&server, &query(&back, "code").unwrap()).await;
        assert_eq!(status, 200, "{kind:?}: {token}");
        assert!(token["refresh_token"].is_string(), "{kind:?}: {token}");
        let bearer = token["access_token"].as_str().unwrap();
        let (status, me) = get(&format!("{}/me", server.url), bearer).await;
        assert_eq!((status, &me["sub"]), (200, &json!("sub-alice")), "{kind:?}");
        assert_eq!(me["email"], "alice@example.com");
        let (_, seen) = get(&format!("{}/resource/a?x=1&x=2&y=", server.url), bearer).await;
        assert_eq!(seen["query"], json!({ "x": ["1", "2"], "y": "" }), "{kind:?}");
        assert!(seen["scopes"].as_array().unwrap().contains(&json!("profile")), "{kind:?}: {seen}");

        let requests = server.token_requests();
        assert_eq!(requests.len(), 1, "{kind:?}");
        let request = &requests[0];
        assert_eq!(request["client_authentication"], "client_secret_basic");
        assert_eq!(request["grant_type"], "authorization_code");
        assert_eq!(request["status"], 200);
        assert_eq!(request["form"], json!(["grant_type", "code", "redirect_uri", "code_verifier"]));
        assert_eq!(server.log_of("/authorize")[0]["code_challenge_method"], "S256");
        let log = serde_json::to_string(&server.log()).unwrap();
        assert!(!log.contains(SECRET) && !log.contains(bearer) && !log.contains(VERIFIER), "{kind:?}");
    }
}

#[tokio::test]
async fn a_person_says_no() {
    for kind in CODE_KINDS {
        let server = start(kind, json!({}));
        for button in ["Cancel", "Deny"] {
            let mut page = browser().get(&authorize_url(&server)).await.unwrap();
            if button == "Deny" {
                page = page.submit("Log in", &ALICE).await.unwrap();
            }
            let back = callback(&page.submit(button, &[]).await.unwrap());
            assert_eq!(query(&back, "error").as_deref(), Some("access_denied"), "{kind:?}");
            assert_eq!(query(&back, "state").as_deref(), Some("the-state"), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_are_lost_and_are_revoked() {
    for kind in CODE_KINDS {
        let server = start(kind, json!({ "consent": "auto" }));
        let back = callback(&browser().get(&authorize_url(&server)).await.unwrap());
        let (_, first) = exchange(&server, &query(&back, "code").unwrap()).await;

        let (status, second) = refresh(&server, &first["refresh_token"]).await;
        assert_eq!(status, 200, "{kind:?}: {second}");
        assert_ne!(second["refresh_token"], first["refresh_token"], "{kind:?}");
        server.fail("/token", 503, 1).unwrap();
        assert_eq!(refresh(&server, &second["refresh_token"]).await.0, 503);
        let (status, third) = refresh(&server, &second["refresh_token"]).await;
        assert_eq!(status, 200, "{kind:?}: the failed request was not carried out");

        server.lose_answers("/token", 1).unwrap();
        let lost = reqwest::Client::new()
            .post(format!("{}/token", server.url))
            .basic_auth("jackfield", Some(SECRET))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!(
                "grant_type=refresh_token&refresh_token={}",
                third["refresh_token"].as_str().unwrap()
            ))
            .send()
            .await;
        assert!(lost.is_err(), "{kind:?}");
        assert_eq!(server.token_requests().last().unwrap()["lost"], true);
        let (status, refused) = refresh(&server, &third["refresh_token"]).await;
        assert_eq!(
            (status, &refused["error"]),
            (400, &json!("invalid_grant")),
            "{kind:?}: it was carried out"
        );
    }
}

#[tokio::test]
async fn tokens_are_forgotten_on_demand() {
    for kind in CODE_KINDS {
        let server = start(kind, json!({ "consent": "auto", "rotate": false }));
        let back = callback(&browser().get(&authorize_url(&server)).await.unwrap());
        let (_, first) = exchange(&server, &query(&back, "code").unwrap()).await;
        server.revoke("access_tokens").unwrap();
        let me = format!("{}/me", server.url);
        assert_eq!(get(&me, first["access_token"].as_str().unwrap()).await.0, 401, "{kind:?}");
        let (status, second) = refresh(&server, &first["refresh_token"]).await;
        assert_eq!(status, 200, "{kind:?}: {second}");
        assert_eq!(get(&me, second["access_token"].as_str().unwrap()).await.0, 200, "{kind:?}");
        // The old one stays good without rotation, whether it is given again or left out.
        assert_eq!(refresh(&server, &first["refresh_token"]).await.0, 200, "{kind:?}");
        server.revoke("all").unwrap();
        let (status, refused) = refresh(&server, &first["refresh_token"]).await;
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")), "{kind:?}");
    }
}

#[tokio::test]
async fn a_device_is_let_in() {
    for (kind, path) in [(Kind::Oidc, "/device/auth"), (Kind::Authlib, "/device_authorization")] {
        let server = start(kind, json!({ "scopes": ["openid", "profile"] }));
        let (status, device) = post(
            &format!("{}{path}", server.url),
            &[("client_id", "jackfield"), ("scope", "openid profile")],
        )
        .await;
        assert_eq!(status, 200, "{kind:?}: {device}");
        let page = browser().get(device["verification_uri"].as_str().unwrap()).await.unwrap();
        let code = device["user_code"].as_str().unwrap();
        let mut page = page.submit("Continue", &[("user_code", code)]).await.unwrap();
        if kind == Kind::Oidc {
            assert!(page.body.contains("Confirm Device"), "{}", page.body);
            page = page.submit("Continue", &[]).await.unwrap();
        }
        let page = page.submit("Log in", &ALICE).await.unwrap();
        let page = page.submit("Allow", &[]).await.unwrap();
        assert_eq!(page.status, 200, "{kind:?}: {}", page.body);
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device["device_code"].as_str().unwrap()),
        ];
        let (status, token) = post(&format!("{}/token", server.url), &fields).await;
        assert_eq!(status, 200, "{kind:?}: {token}");
    }
}

#[tokio::test]
async fn an_unknown_redirect_uri_stays_at_the_server() {
    for kind in CODE_KINDS {
        let server = start(kind, json!({ "consent": "auto" }));
        let url = authorize_url(&server).replace("callback", "elsewhere");
        let page = browser().get(&url).await.unwrap();
        assert!(page.status >= 400 && page.location().is_none(), "{kind:?}: {}", page.status);
    }
}

#[tokio::test]
async fn oauth1_takes_no_unsigned_request() {
    let server = start(Kind::Oauth1, json!({}));
    let connector = server.connector(&json!({}));
    let url = connector["auth"]["request_token_url"].as_str().unwrap();
    let client = reqwest::Client::new();
    assert_eq!(client.post(url).send().await.unwrap().status(), 400);
    assert_eq!(client.get(format!("{}/me", server.url)).send().await.unwrap().status(), 401);
    let page = browser().get(&format!("{}/oauth/authorize?oauth_token=x", server.url)).await.unwrap();
    assert_eq!((page.status, page.forms().len()), (401, 0));
    assert_eq!(server.log_of("/oauth/request_token")[0]["oauth"], Value::Null);
}

#[tokio::test]
async fn oauth1_in_three_legs_with_plaintext() {
    let server = start(Kind::Oauth1, json!({ "signature_methods": ["PLAINTEXT"], "realms": ["photos"] }));
    assert_eq!(server.connector(&json!({}))["auth"]["signature_method"], "PLAINTEXT");
    let nonce = std::sync::atomic::AtomicU32::new(10_000_000);
    let signed = |method: &str, path: &str, more: &str, secret: &str| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let nonce = nonce.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let header = format!(
            "OAuth realm=\"photos\",oauth_consumer_key=\"jackfield-consumer-key-01\",oauth_timestamp=\"{now}\",\
             oauth_nonce=\"{nonce}\",oauth_signature_method=\"PLAINTEXT\",\
             oauth_signature=\"a-secret-of-the-consumer%26{secret}\"{more}"
        );
        let url = format!("{}{path}", server.url);
        let request =
            reqwest::Client::new().request(method.parse().unwrap(), url).header("authorization", header);
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap())
        }
    };
    let field =
        |body: &str, name: &str| query(&Url::parse(&format!("http://x/?{body}")).unwrap(), name).unwrap();

    let callback_field = ",oauth_callback=\"http%3A%2F%2F127.0.0.1%3A1%2Foauth%2Fcallback\"";
    for allow in [false, true] {
        let (status, body) = signed("POST", "/oauth/request_token", callback_field, "").await;
        assert_eq!(status, 200, "{body}\n{}", server.errors());
        assert_eq!(field(&body, "oauth_callback_confirmed"), "true");
        let (token, secret) = (field(&body, "oauth_token"), field(&body, "oauth_token_secret"));
        let page =
            browser().get(&format!("{}/oauth/authorize?oauth_token={token}", server.url)).await.unwrap();
        let page = page.submit("Log in", &ALICE).await.unwrap();
        let back = callback(&page.submit(if allow { "Allow" } else { "Deny" }, &[]).await.unwrap());
        if !allow {
            assert_eq!(query(&back, "denied"), Some(token));
            continue;
        }
        let verifier = query(&back, "oauth_verifier").unwrap();
        let with = |verifier: &str| format!(",oauth_token=\"{token}\",oauth_verifier=\"{verifier}\"");
        assert_ne!(signed("POST", "/oauth/access_token", &with("wrong-verifier"), &secret).await.0, 200);
        let (status, body) = signed("POST", "/oauth/access_token", &with(&verifier), &secret).await;
        assert_eq!(status, 200, "{body}");
        let (token, secret) = (field(&body, "oauth_token"), field(&body, "oauth_token_secret"));
        let with = format!(",oauth_token=\"{token}\"");
        let (status, me) = signed("GET", "/me", &with, &secret).await;
        assert_eq!(status, 200, "{me}");
        assert!(me.contains("sub-alice"));
        assert_eq!(signed("GET", "/me", &with, "wrong").await.0, 401);
    }
    let log = server.log_of("/oauth/request_token");
    assert_eq!(log[0]["oauth"]["place"], "header");
    assert_eq!(log[0]["oauth"]["realm"], "photos");
}

#[test]
fn the_connector_can_be_changed() {
    let server = start(Kind::Oidc, json!({ "client_authentication": "none", "require_par": true }));
    let plain = server.connector(&json!({}));
    assert_eq!(plain["hosts"], json!([server.host()]));
    assert_eq!(plain["auth"]["issuer"], server.url);
    assert_eq!(plain["auth"]["client_authentication"], "none");
    assert_eq!(plain["auth"]["par_url"], format!("{}/request", server.url));
    assert_eq!(server.parameters(), json!({ "client_id": "jackfield" }));
    let changed = server.connector(&json!({ "name": "Mine", "auth": { "issuer": null, "pkce": false } }));
    assert_eq!(changed["name"], "Mine");
    assert_eq!(changed["auth"].get("issuer"), None);
    assert_eq!(changed["auth"]["token_url"], plain["auth"]["token_url"]);
}

#[test]
fn keys_are_made() {
    for algorithm in ["RS256", "ES256"] {
        let key = KeyPair::generate(algorithm).unwrap();
        assert!(key.private_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(key.public_pem.starts_with("-----BEGIN PUBLIC KEY-----"));
        assert_eq!(key.jwks()["keys"][0]["kid"], key.key_id.as_str());
        assert_eq!(key.jwk["alg"], algorithm);
        assert_eq!(key.jwk.get("d"), None);
    }
}

#[test]
fn a_server_ends_with_its_handle() {
    for kind in [Kind::Oidc, Kind::Oauth2Node, Kind::Authlib, Kind::Oauth1] {
        let server = start(kind, json!({}));
        let host = server.host().to_owned();
        assert!(TcpStream::connect(&host).is_ok());
        assert!(server.log().is_empty());
        drop(server);
        assert!(TcpStream::connect(&host).is_err(), "{kind:?}");
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let Err(error) = Foreign::oidc(json!({ "client_authentication": "no_such_method" })) else {
        panic!("it started");
    };
    assert!(
        error.contains("oidc.mjs ended before it was ready") && error.contains("token_endpoint_auth_method")
    );
}
