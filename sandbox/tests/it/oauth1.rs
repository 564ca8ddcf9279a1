//! OAuth 1, signed by a signer that was written for this test from RFC 5849.

use std::collections::HashMap;

use crate::support::{Browser, World, arguments};
use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jackfield_sandbox::{CONSUMER_KEY, CONSUMER_SECRET, Options};
use reqwest::{Method, Response};
use serde_json::Value;

/// Percent-encoding of section 3.6, byte by byte.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    out
}

fn hex(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap().to_ascii_uppercase()
}

#[derive(Clone)]
struct Signer {
    method: &'static str,
    token: Option<(String, String)>,
    extra: Vec<(&'static str, String)>,
    nonce: String,
    timestamp: i64,
}

impl Signer {
    fn new(method: &'static str) -> Self {
        Self {
            method,
            token: None,
            extra: Vec::new(),
            nonce: uuid(),
            timestamp: jiff::Timestamp::now().as_second(),
        }
    }

    fn token(mut self, token: &str, secret: &str) -> Self {
        self.token = Some((token.to_owned(), secret.to_owned()));
        self
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.extra.push((name, value.to_owned()));
        self
    }

    /// The Authorization header of a request without a form body.
    fn header(&self, method: &str, url: &str) -> String {
        let url = url::Url::parse(url).unwrap();
        let mut oauth: Vec<(&str, String)> = vec![
            ("oauth_consumer_key", CONSUMER_KEY.to_owned()),
            ("oauth_signature_method", self.method.to_owned()),
            ("oauth_timestamp", self.timestamp.to_string()),
            ("oauth_nonce", self.nonce.clone()),
            ("oauth_version", "1.0".to_owned()),
        ];
        oauth.extend(self.extra.iter().cloned());
        let token_secret = self.token.as_ref().map_or("", |(_, secret)| secret);
        if let Some((token, _)) = &self.token {
            oauth.push(("oauth_token", token.clone()));
        }
        let mut all: Vec<(String, String)> = oauth.iter().map(|(n, v)| (encode(n), encode(v))).collect();
        all.extend(url.query_pairs().map(|(n, v)| (encode(&n), encode(&v))));
        all.sort();
        let list: Vec<String> = all.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let base = [method, &place, &list.join("&")].map(encode).join("&");
        let key = format!("{}&{}", encode(CONSUMER_SECRET), encode(token_secret));
        let mac = |algorithm| {
            let key = hmac::Key::new(algorithm, key.as_bytes());
            BASE64_STANDARD.encode(hmac::sign(&key, base.as_bytes()))
        };
        let signature = match self.method {
            "HMAC-SHA1" => mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            "HMAC-SHA256" => mac(hmac::HMAC_SHA256),
            _ => key,
        };
        oauth.push(("oauth_signature", signature));
        let items: Vec<String> = oauth.iter().map(|(n, v)| format!("{n}=\"{}\"", encode(v))).collect();
        format!("OAuth realm=\"any, thing\", {}", items.join(", ")).replace("any, thing", "anything")
    }
}

fn uuid() -> String {
    let mut bytes = [0; 12];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    BASE64_STANDARD.encode(bytes)
}

async fn send(world: &World, signer: &Signer, method: Method, url: &str) -> Response {
    let header = signer.header(method.as_str(), url);
    world.http.request(method, url).header("authorization", header).send().await.unwrap()
}

async fn form(response: Response) -> HashMap<String, String> {
    let body = response.bytes().await.unwrap();
    form_urlencoded::parse(&body).into_owned().collect()
}

/// All three legs: the access token and its secret.
async fn connect(world: &World, method: &'static str) -> (String, String) {
    let signer = Signer::new(method).with("oauth_callback", "http://127.0.0.1:9/callback?x=1");
    let temporary = form(send(world, &signer, Method::POST, &world.url("/oauth1/request_token")).await).await;
    assert_eq!(temporary["oauth_callback_confirmed"], "true");
    let url = format!("{}?oauth_token={}", world.url("/oauth1/authorize"), temporary["oauth_token"]);
    let back = arguments(&crate::support::location(&world.http.get(url).send().await.unwrap()));
    assert_eq!((back["oauth_token"].as_str(), back["x"].as_str()), (temporary["oauth_token"].as_str(), "1"));
    let signer = Signer::new(method)
        .token(&temporary["oauth_token"], &temporary["oauth_token_secret"])
        .with("oauth_verifier", &back["oauth_verifier"]);
    let tokens = form(send(world, &signer, Method::POST, &world.url("/oauth1/access_token")).await).await;
    assert_eq!(tokens["screen_name"], "ada@sandbox.example");
    let again = Signer { nonce: uuid(), ..signer };
    let refused = send(world, &again, Method::POST, &world.url("/oauth1/access_token")).await;
    assert_eq!(refused.status(), 401, "a request token is good once");
    (tokens["oauth_token"].clone(), tokens["oauth_token_secret"].clone())
}

#[tokio::test]
async fn three_legs_and_calls() {
    let world = World::with_ada().await;
    for method in ["HMAC-SHA1", "HMAC-SHA256", "PLAINTEXT"] {
        let (token, secret) = connect(&world, method).await;
        let signer = Signer::new(method).token(&token, &secret);
        let url =
            world.url("/api/v1/vendors?limit=2&q=%C3%A9%20%2B&b5=%3D%253D&a3=a&c%40=&a2=r%20b&c2&a3=2+q");
        assert_eq!(send(&world, &signer, Method::GET, &url).await.status(), 200, "{method}");
        if method != "PLAINTEXT" {
            assert_eq!(send(&world, &signer, Method::GET, &url).await.status(), 401, "a nonce is good once");
        }
        let me =
            send(&world, &Signer { nonce: uuid(), ..signer }, Method::GET, &world.url("/api/v1/me")).await;
        let me: Value = me.json().await.unwrap();
        assert_eq!(
            (me["email"].as_str(), me["credential"].as_str()),
            (Some("ada@sandbox.example"), Some("oauth1"))
        );
    }
    assert_eq!(world.sandbox().revoke_person("ada"), 3);
}

#[tokio::test]
async fn a_form_body_is_signed() {
    let world = World::with_ada().await;
    let (token, secret) = connect(&world, "HMAC-SHA1").await;
    let url = world.url("/api/v1/vendors");
    // Signed as if the form stood in the query, which gives the same base string.
    let signer = Signer::new("HMAC-SHA1").token(&token, &secret);
    let header = signer.header("POST", &format!("{url}?DisplayName=Kite%20%26%20Key"));
    let post = |header: String, name: &'static str| {
        let request = world.http.post(&url).header("authorization", header);
        request.form(&[("DisplayName", name)]).send()
    };
    assert_eq!(post(header, "Kite & Key").await.unwrap().status(), 201);
    let header =
        Signer::new("HMAC-SHA1").token(&token, &secret).header("POST", &format!("{url}?DisplayName=Kite"));
    assert_eq!(post(header, "Kate").await.unwrap().status(), 401, "the body is not the one that was signed");
}

#[tokio::test]
async fn bad_signatures() {
    let world = World::with_ada().await;
    let url = world.url("/oauth1/request_token");
    let good = || Signer::new("HMAC-SHA256").with("oauth_callback", "http://127.0.0.1:9/callback");
    let problem = async |signer: Signer| {
        let response = send(&world, &signer, Method::POST, &url).await;
        let status = response.status().as_u16();
        (status, form(response).await.remove("oauth_problem").unwrap())
    };
    assert_eq!(problem(Signer { timestamp: 1, ..good() }).await, (401, "timestamp_refused".into()));
    assert_eq!(problem(good().token("x", "y")).await.1, "signature_invalid");
    assert_eq!(problem(Signer::new("HMAC-SHA256")).await, (400, "parameter_absent".into()));
    assert_eq!(problem(Signer::new("MD5")).await.1, "signature_method_rejected");
    let evil = Signer::new("HMAC-SHA256").with("oauth_callback", "http://evil.example/");
    assert_eq!(problem(evil).await.1, "parameter_rejected");
    let header = good().header("POST", &url).replace(CONSUMER_KEY, "nobody");
    let response = world.http.post(&url).header("authorization", header).send().await.unwrap();
    assert!(response.headers()["www-authenticate"].to_str().unwrap().contains("consumer_key_unknown"));
}

#[tokio::test]
async fn a_person_denies() {
    let world = World::new(Options::default()).await;
    let signer = Signer::new("HMAC-SHA1").with("oauth_callback", "http://127.0.0.1:9/callback");
    let temporary =
        form(send(&world, &signer, Method::POST, &world.url("/oauth1/request_token")).await).await;
    let mut browser = Browser::new(&world);
    browser
        .open(&format!("{}?oauth_token={}", world.url("/oauth1/authorize"), temporary["oauth_token"]))
        .await;
    browser.submit("/login", &[("email", "lin@sandbox.example"), ("password", "patch-cord-lin")]).await;
    browser.submit("/consent", &[("decision", "deny")]).await;
    assert_eq!(browser.at, format!("http://127.0.0.1:9/callback?denied={}", temporary["oauth_token"]));
}
