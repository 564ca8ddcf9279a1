//! Secrets of every kind are pushed through every path, failures included, and then searched for wherever they have no business.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use jackfield_testkit::browser::{Browser, Page, query};
use serde_json::{Value, json};

use crate::start::{finish, tables};
use crate::support::{Answer, Home, Server};
use crate::upstream::{Message, Upstream, reply};
use crate::world::until;

const RSA: &str = include_str!("../../../oauth/tests/keys/rsa_pkcs8.pem");
const EC: &str = include_str!("../../../oauth/tests/keys/ec_pkcs8.pem");

/// A secret that could be taken for plain words, as people choose them.
const PASSWORD: &str = "open sesame wonderland";
const BASIC: &str = "queen of hearts & tarts";
const CLIENT_SECRET: &str = "canaryClientSecret/9xK2+mP7vL4qR8";
const CONSUMER_SECRET: &str = "canary-consumer-secret-5tR9wQ2z";
const API_KEY: &str = "canary_api_key_7hJ3nB6vC1xZ";
const SECOND_FIELD: &str = "canary.second.field.4gF8dS0a";
/// Stands in the store and in answers in clear: the search must find it.
const NO_SECRET: &str = "no-secret-client-id-31415";

/// Every secret that was in play, by what it is.
#[derive(Clone, Default)]
struct Secrets(Arc<Mutex<BTreeMap<String, String>>>);

impl Secrets {
    fn add(&self, kind: &str, secret: impl Into<String>) {
        let mut all = self.0.lock().unwrap();
        let n = all.len();
        all.insert(format!("{kind} {n}"), secret.into());
    }

    fn issue(&self, kind: &str) -> String {
        let n = self.0.lock().unwrap().len();
        let secret = format!("canary{kind}{n}q8Zt5Yw2Kp");
        self.add(kind, secret.clone());
        secret
    }

    /// Each secret in each of its forms, as bytes.
    fn forms(&self) -> Vec<(String, Vec<Vec<u8>>)> {
        let all = self.0.lock().unwrap().clone();
        all.into_iter().map(|(kind, secret)| (kind, forms(&secret))).collect()
    }
}

/// A secret in clear, percent-encoded, form-encoded, in hexadecimal and in base64 at any place of a longer text.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let percent = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC);
    let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let hex = secret.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let json = serde_json::to_string(secret).unwrap();
    let mut forms =
        vec![secret.to_owned(), percent.to_string(), form, hex, json.trim_matches('"').to_owned()];
    for offset in 0..3 {
        let shifted = [&vec![0; offset][..], secret.as_bytes()].concat();
        // Whole groups of the secret's own bytes only: the edges depend on what stands beside.
        let first = if offset == 0 { 0 } else { 4 };
        let last = shifted.len() / 3 * 4;
        for encoded in [BASE64_STANDARD_NO_PAD.encode(&shifted), BASE64_URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms.sort();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// Where secrets are searched for.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// An answer of the API, its headers too.
    fn answer(&mut self, place: impl Into<String>, answer: &Answer) {
        let place = place.into();
        self.add(format!("{place}: {}", answer.status), format!("{:?}\n{}", answer.headers, answer.text));
    }

    /// What a browser was shown, on its whole way. Where it was sent and the cookies it was given are its own.
    fn page(&mut self, place: &str, page: &Page) {
        self.add(format!("the page of {place}"), page.body.as_bytes());
    }

    fn holds(&self, place: &str, needle: &str) -> bool {
        self.0.iter().any(|(name, bytes)| name.contains(place) && contains(bytes, needle.as_bytes()))
    }

    /// Every place with a secret in it.
    fn leaks(&self, secrets: &Secrets) -> Vec<String> {
        // Many secrets, long logs: each place is read once, and only what begins like a secret is looked at closely.
        let forms = secrets.forms();
        let mut begins: HashMap<&[u8], Vec<(&str, &[u8])>> = HashMap::new();
        for (kind, forms) in &forms {
            for form in forms {
                begins.entry(&form[..BEGIN]).or_default().push((kind, form));
            }
        }
        let mut leaks = BTreeSet::new();
        for (place, bytes) in &self.0 {
            for (at, begin) in bytes.windows(BEGIN).enumerate() {
                for (kind, form) in begins.get(begin).into_iter().flatten() {
                    if bytes[at..].starts_with(form) {
                        let around = &bytes[at.saturating_sub(160)..(at + 60).min(bytes.len())];
                        leaks.insert(format!("{kind} in {place}: …{}…", String::from_utf8_lossy(around)));
                    }
                }
            }
        }
        leaks.into_iter().take(40).collect()
    }
}

/// No form of a secret here is shorter.
const BEGIN: usize = 12;

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    crate::upstream::find(bytes, needle).is_some()
}

/// A service that repeats all it hears, on pages and in errors, and gives secrets away.
struct Parrot {
    upstream: Upstream,
    /// what its token endpoints do
    mood: Arc<Mutex<&'static str>>,
}

impl Parrot {
    async fn start(secrets: &Secrets) -> Self {
        let mood = Arc::new(Mutex::new("good"));
        let (moods, secrets) = (Arc::clone(&mood), secrets.clone());
        let upstream = Upstream::answering(move |asked| speak(asked, *moods.lock().unwrap(), &secrets)).await;
        Self { upstream, mood }
    }

    fn set(&self, mood: &'static str) {
        *self.mood.lock().unwrap() = mood;
    }
}

fn speak(asked: &Message, mood: &str, secrets: &Secrets) -> Vec<u8> {
    let json = [("content-type", "application/json")];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let heard = format!("{} {:?} {}", asked.start, asked.headers, String::from_utf8_lossy(&asked.body));
    let field = |name: &str| {
        form_urlencoded::parse(&asked.body)
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    };
    let url = url::Url::parse(&format!("http://parrot{}", asked.target())).unwrap();
    match (url.path(), mood) {
        ("/authorize", _) => {
            let code = secrets.issue("Code");
            let of = |name: &str| query(&url, name).unwrap();
            let back = format!("{}?code={code}&state={}", of("redirect_uri"), of("state"));
            reply(302, &[("location", &back)], "")
        }
        ("/authorize1", _) => {
            let verifier = secrets.issue("Verifier");
            let token = query(&url, "oauth_token").unwrap();
            let back =
                format!("{}&oauth_token={token}&oauth_verifier={verifier}", query(&url, "back").unwrap());
            reply(302, &[("location", &back)], "")
        }
        ("/token", "good") => {
            if let Some(verifier) = field("code_verifier") {
                secrets.add("PkceVerifier", verifier);
            }
            let answer = json!({"access_token": secrets.issue("Access"), "refresh_token": secrets.issue("Refresh"),
                "id_token": secrets.issue("IdToken"), "expires_in": 600, "token_type": "Bearer", "scope": ""});
            reply(200, &json, answer.to_string())
        }
        ("/token" | "/token1", "junk") => reply(
            200,
            &json,
            format!("{{\"access_token\":\"{}\",\"oauth_token_secret\":\"{heard}", secrets.issue("Cut")),
        ),
        ("/token" | "/token1", "error") => {
            let error = json!({"error": "invalid_request", "error_description": format!("I heard {heard}")});
            reply(400, &json, error.to_string())
        }
        ("/token" | "/token1", "page") => {
            reply(200, &[("content-type", "text/html")], format!("<p>{heard}</p>"))
        }
        ("/token" | "/token1", "down") => reply(500, &json, json!({"message": heard}).to_string()),
        ("/token" | "/token1", "final") => {
            // Word by word what was presented, so that nothing about it looks like a token beside others.
            let words: Vec<String> = ["refresh_token", "code", "client_secret", "code_verifier"]
                .iter()
                .filter_map(|name| Some(format!("{name} {:?}", field(name)?)))
                .collect();
            let error = json!({"error": "invalid_grant", "error_description": format!("no good: {}", words.join(", "))});
            reply(400, &json, error.to_string())
        }
        ("/token1", _) => {
            let body = format!(
                "oauth_token={}&oauth_token_secret={}&oauth_callback_confirmed=true",
                secrets.issue("Token"),
                secrets.issue("TokenSecret")
            );
            reply(200, &form, body)
        }
        ("/revoke", _) => {
            reply(400, &json, json!({"error": "server_error", "error_description": heard}).to_string())
        }
        ("/api/good", _) => reply(200, &json, json!({"email": "parrot@example.com"}).to_string()),
        ("/api/bad", _) => reply(401, &json, json!({"message": heard, "email": heard}).to_string()),
        ("/api/away", _) => {
            let to = format!(
                "http://elsewhere.example/?heard={}",
                form_urlencoded::byte_serialize(heard.as_bytes()).collect::<String>()
            );
            reply(302, &[("location", &to)], "")
        }
        _ => reply(200, &json, json!({"heard": heard}).to_string()),
    }
}

/// The world in which it all happens.
struct Stage {
    server: Server,
    seen: Seen,
    secrets: Secrets,
    parrot: Parrot,
}

impl Stage {
    async fn ask(&mut self, method: &str, path: &str, body: Value) -> Answer {
        let answer = self.server.api(method, path, body).await;
        self.seen.answer(format!("{method} {path}"), &answer);
        answer
    }

    /// A body that need not be JSON, with more headers; nothing is expected of the answer.
    async fn raw(&mut self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.server.request("POST", path).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = Answer::of(request.body(body.to_owned()).send().await.unwrap()).await;
        self.seen.answer(format!("POST {path}"), &answer);
        answer
    }

    async fn make(&mut self, link: &str, auth: Value, parameters: Value) {
        let (url, host) = (self.parrot.upstream.url.clone(), self.parrot.upstream.host());
        let declared: Vec<Value> = parameters
            .as_object()
            .unwrap()
            .keys()
            .map(|name| {
                let secret = name.contains("secret") || name == "private_key";
                json!({"name": name, "label": name, "secret": secret, "required": false})
            })
            .collect();
        let document = json!({"name": link, "link_name": link, "base_url": format!("{url}/api"), "hosts": [host],
            "levels": ["admin"], "parameters": declared, "auth": auth,
            "identity": {"method": "GET", "url": format!("{url}/api/good"), "name": "/email"},
            "test": {"method": "GET", "path": "/good"}});
        self.server.connector(document).await;
        let new = json!({"connector": link, "name": link, "link_name": link, "parameters": parameters});
        // Recorded for a replay, too.
        for _ in 0..2 {
            let answer = self.raw("/v1/connections", &new.to_string(), &[("idempotency-key", link)]).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
    }

    /// A flow in a browser; how it ended.
    async fn flow(&mut self, link: &str, reuse: Option<&str>) -> String {
        let path = reuse.map_or_else(
            || format!("/v1/connections/{link}/authorizations"),
            |id| format!("/v1/connections/{link}/authorizations/{id}/reauthorize"),
        );
        let begun = self.server.post(&path, json!({})).await;
        if begun.status != 202 {
            self.seen.answer(path, &begun);
            return "not begun".to_owned();
        }
        let flow = begun.json()["flow"].clone();
        let start = flow["start_url"].as_str().unwrap().to_owned();
        self.secrets.add("StartToken", query(&url::Url::parse(&start).unwrap(), "token").unwrap());
        let browser = Browser::new();
        if let Ok(page) = browser.get(&start).await {
            self.seen.page(&format!("{link}'s flow"), &page);
            for hop in &page.hops {
                // The state goes to the service in clear; here it has no business.
                if let Some(state) = query(&hop.url, "state") {
                    self.secrets.add("State", state);
                }
            }
            // The end once more, and the start in another browser.
            let again = browser.get(page.url.as_str()).await.unwrap();
            self.seen.page("a callback that came twice", &again);
        }
        for cookie in browser.cookies() {
            self.secrets.add("Cookie", cookie.value);
        }
        let other = Browser::new().get(&start).await.unwrap();
        self.seen.page("a start link in another browser", &other);
        let flow = format!("/v1/flows/{}", flow["id"].as_str().unwrap());
        self.ask("GET", &flow, Value::Null).await.expect(200)["state"].as_str().unwrap().to_owned()
    }

    async fn authorization(&mut self, link: &str) -> Option<String> {
        let path = format!("/v1/connections/{link}/authorizations");
        let all = self.ask("GET", &path, Value::Null).await.expect(200);
        all["items"][0]["id"].as_str().map(str::to_owned)
    }

    /// Calls of every kind. What the service repeats is its own; what Jackfield says beside it is searched.
    async fn calls(&mut self, link: &str) {
        let path = format!("/v1/connections/{link}/invoke");
        let call = |url: &str| json!({"method": "GET", "url": url, "detailed": true}).to_string();
        for url in ["/good", "/away", "http://elsewhere.example/x", "/../x"] {
            self.raw(&path, &call(url), &[]).await;
        }
        // The service's words, which may hold what it heard, are stored for a replay.
        for _ in 0..2 {
            let request = self.server.request("POST", &path).header("content-type", "application/json");
            let key = format!("echo-{link}");
            let answer = request.header("idempotency-key", key).body(call("/echo")).send().await.unwrap();
            assert!(answer.status().as_u16() < 500);
        }
        let bad = self.server.invoke(link, json!({"method": "GET", "url": "/bad"})).await;
        assert!(bad.status < 500 || bad.status == 502, "{}", bad.text);
        let proxied = self.server.get(&format!("/v1/proxy/{link}/good?a=b")).await;
        self.seen.answer(format!("/v1/proxy/{link}"), &proxied);
        self.ask("GET", &format!("/v1/connections/{link}/calls"), Value::Null).await;
    }
}

async fn oauth2(stage: &mut Stage) {
    let url = stage.parrot.upstream.url.clone();
    let auth = |authentication: &str| {
        json!({"type": "oauth2_code", "authorize_url": format!("{url}/authorize"), "token_url": format!("{url}/token"),
            "revoke_url": format!("{url}/revoke"), "client_authentication": authentication, "pkce": true})
    };
    let with_secret = json!({"client_id": NO_SECRET, "client_secret": CLIENT_SECRET});
    let with_key = |key: &str, algorithm: &str| json!({"client_id": NO_SECRET, "private_key": key, "signing_algorithm": algorithm});
    stage.make("post", auth("client_secret_post"), with_secret.clone()).await;
    stage.make("basic_client", auth("client_secret_basic"), with_secret.clone()).await;
    stage.make("jwt_rsa", auth("private_key_jwt"), with_key(RSA, "RS256")).await;
    stage.make("jwt_ec", auth("private_key_jwt"), with_key(EC, "ES256")).await;
    let damaged = with_key(&RSA.replace("END PRIVATE", "END NO"), "RS256");
    let refused = json!({"connector": "jwt_rsa", "name": "x", "parameters": damaged});
    stage.ask("POST", "/v1/connections", refused).await.problem(422, "invalid_input");
    for link in ["post", "basic_client", "jwt_rsa", "jwt_ec"] {
        for mood in ["error", "final", "junk", "page", "down"] {
            stage.parrot.set(mood);
            assert_ne!(stage.flow(link, None).await, "authorized", "{link} {mood}");
        }
        stage.parrot.set("good");
        assert_eq!(stage.flow(link, None).await, "authorized", "{link}");
        stage.calls(link).await;
        let id = stage.authorization(link).await.unwrap();
        // Refusals set refreshes off, which fail in each way.
        for mood in ["down", "page", "junk", "error", "final"] {
            stage.parrot.set(mood);
            let refused = stage.server.invoke(link, json!({"method": "GET", "url": "/bad"})).await;
            assert!(refused.status == 200 || refused.status == 409, "{}", refused.text);
            // The next one may try again after a pause only.
            let one = format!("/v1/connections/{link}/authorizations/{id}");
            until("another try", async || {
                let view = stage.server.get(&one).await;
                let call = stage.server.invoke(link, json!({"method": "GET", "url": "/bad"})).await;
                let said = format!("{}{}", view.text, call.text);
                let heard = match mood {
                    "down" => said.contains("cannot answer"),
                    "page" => said.contains("HTML"),
                    "junk" => said.contains("JSON"),
                    "error" => said.contains("invalid_request"),
                    _ => view.json()["status"] == "reauthorization_required",
                };
                heard.then_some(())
            })
            .await;
            stage.ask("GET", &one, Value::Null).await;
            stage.ask("GET", &format!("/v1/connections/{link}"), Value::Null).await;
            if link != "post" && mood == "down" {
                // The others go straight to the end.
                stage.parrot.set("final");
            }
            if link != "post" {
                break;
            }
        }
        stage.calls(link).await;
        stage.parrot.set("good");
        let path = format!("/v1/connections/{link}/authorizations/{id}");
        stage.ask("PATCH", &path, json!({"account_name": "Renamed"})).await;
        stage.flow(link, Some(&id)).await;
        let id = stage.authorization(link).await.unwrap();
        // Revoked, and the service complains in full.
        stage.ask("DELETE", &format!("/v1/connections/{link}/authorizations/{id}"), Value::Null).await;
    }
    let own = json!({"type": "oauth2_client_credentials", "token_url": format!("{url}/token"), "client_authentication": "client_secret_post"});
    stage.make("own", own, with_secret).await;
    for mood in ["error", "final", "junk", "page", "down", "good"] {
        stage.parrot.set(mood);
        stage.ask("POST", "/v1/connections/own/authorizations", json!({"account_name": mood})).await;
    }
    stage.calls("own").await;
}

async fn oauth1(stage: &mut Stage) {
    let url = stage.parrot.upstream.url.clone();
    let auth = |method: &str, back: &str| {
        json!({"type": "oauth1", "request_token_url": format!("{url}/token1"), "access_token_url": format!("{url}/token1"),
            "authorize_url": format!("{url}/authorize1"), "signature_method": method,
            "authorize_parameters": {"back": back}})
    };
    let back = format!("{}/oauth/callback?x=1", stage.server.url);
    let with_secret = json!({"consumer_key": NO_SECRET, "consumer_secret": CONSUMER_SECRET});
    stage.make("one", auth("HMAC-SHA1", &back), with_secret.clone()).await;
    stage.make("one_plain", auth("PLAINTEXT", &back), with_secret).await;
    stage
        .make("one_rsa", auth("RSA-SHA1", &back), json!({"consumer_key": NO_SECRET, "private_key": RSA}))
        .await;
    for link in ["one", "one_plain", "one_rsa"] {
        for mood in ["error", "final", "junk", "page", "down"] {
            stage.parrot.set(mood);
            assert_ne!(stage.flow(link, None).await, "authorized", "{link} {mood}");
        }
        stage.parrot.set("good");
        assert_eq!(stage.flow(link, None).await, "authorized", "{link}");
        stage.calls(link).await;
        if let Some(id) = stage.authorization(link).await {
            stage.ask("DELETE", &format!("/v1/connections/{link}/authorizations/{id}"), Value::Null).await;
        }
    }
}

async fn prompted(stage: &mut Stage) {
    let field = |name: &str, place: &str| json!({"name": name, "label": name, "secret": true, "required": true, "in": place, "as": format!("x-{name}")});
    for place in ["header", "query", "cookie", "body"] {
        let link = format!("key_{place}");
        let auth = json!({"type": "api_key", "fields": [field("key", place), field("second", "header")]});
        stage.make(&link, auth, json!({})).await;
        let path = format!("/v1/connections/{link}/authorizations");
        let credentials = json!({"key": API_KEY, "second": SECOND_FIELD});
        for wrong in [
            json!({"credentials": API_KEY}),
            json!({"credentials": {"key": [API_KEY], "second": {"x": SECOND_FIELD}}}),
            json!({"credentials": {"key": API_KEY}}),
            json!({"credentials": {"key": API_KEY, "second": format!("{SECOND_FIELD}\n")}}),
            json!({"credentials": {"key": API_KEY, "second": SECOND_FIELD, "third": API_KEY}}),
            json!({"credentials": credentials, "environments": API_KEY}),
            json!({"credentials": credentials, "reuse": "nobody"}),
        ] {
            stage.ask("POST", &path, wrong).await;
        }
        // Proven by an operation that the service refuses, saying aloud what it got.
        stage.server.edit_with_connections(&link, json!({"test": {"method": "GET", "path": "/bad"}})).await;
        let refused = stage.ask("POST", &path, json!({"credentials": credentials})).await;
        refused.problem(422, "credential_rejected");
        stage.server.edit_with_connections(&link, json!({"test": {"method": "GET", "path": "/good"}})).await;
        let made = json!({"credentials": credentials}).to_string();
        for _ in 0..2 {
            let answer = stage.raw(&path, &made, &[("idempotency-key", &format!("authorize-{link}"))]).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
        stage.calls(&link).await;
    }
    stage.make("people", json!({"type": "basic"}), json!({})).await;
    let path = "/v1/connections/people/authorizations";
    for credentials in [
        json!({"username": "ada:", "password": BASIC}),
        json!({"username": 5, "password": [BASIC]}),
        json!([BASIC]),
    ] {
        stage.ask("POST", path, json!({"credentials": credentials})).await;
    }
    let good = json!({"credentials": {"username": "ada", "password": BASIC}});
    stage.ask("POST", path, good).await.expect(201);
    stage.calls("people").await;
}

/// Secrets where no secret is expected, and requests that cannot be read.
async fn mistakes(stage: &mut Stage) {
    let connections = "/v1/connections";
    for body in [
        format!("{{\"connector\":\"post\",\"parameters\":{{\"client_secret\":\"{CLIENT_SECRET}\"}}"),
        format!("{{\"parameters\":\"{CLIENT_SECRET}\"}}"),
        json!({"connector": "post", "name": "x", "parameters": CLIENT_SECRET}).to_string(),
        json!({"connector": "post", "name": "x", "parameters": {"client_secret": {"value": CLIENT_SECRET}}}).to_string(),
        json!({"connector": "post", "name": "x", "parameters": {"client_secret": [CLIENT_SECRET]}}).to_string(),
        json!({"connector": "post", "name": "x", "parameters": {"private_key": RSA}}).to_string(),
        json!({"connector": "post", "name": "x", "level": "nobody", "parameters": {"client_secret": CLIENT_SECRET}}).to_string(),
        format!("\"{CLIENT_SECRET}\""),
        CLIENT_SECRET.to_owned(),
    ] {
        let answer = stage.raw(connections, &body, &[]).await;
        assert!(answer.status == 400 || answer.status == 422, "{}", answer.text);
    }
    for patch in [
        json!({"parameters": {"client_secret": [CLIENT_SECRET]}}),
        json!({"parameters": CLIENT_SECRET}),
        json!({"parameters": {"client_secret": format!("{CLIENT_SECRET}\u{0}")}}),
        json!({"parameters": {"client_secret": CLIENT_SECRET}, "version": 1}),
        json!({"parameters": {"client_secret": CLIENT_SECRET}}),
    ] {
        stage.ask("PATCH", "/v1/connections/post", patch).await;
    }
    // A connector that is not what it should be, with a secret in the wrong place.
    for patch in [
        json!({"auth": {"client_secret": CLIENT_SECRET}}),
        json!({"auth": {"type": CLIENT_SECRET}}),
        json!({"auth": CLIENT_SECRET}),
        json!({"parameters": [{"name": "client_secret", "secret": true, "default": CLIENT_SECRET}]}),
        json!({"hosts": [CLIENT_SECRET]}),
    ] {
        let answer = stage.server.api("PATCH", "/v1/connectors/post", patch).await;
        assert!(answer.status == 422 || answer.status == 400, "{}", answer.text);
    }
    // Keys that are no good.
    let key = stage.server.key.clone();
    for wrong in [
        format!("{key}x"),
        key[..key.len() - 1].to_owned(),
        key.replace("jfp_", "jfa_"),
        format!("{key} {key}"),
    ] {
        let answer = stage.server.with_key(&wrong).api("GET", "/v1/me", Value::Null).await;
        assert_eq!(answer.status, 401);
        stage.seen.answer("a wrong key", &answer);
    }
    // A second key: shown once, and again to whoever repeats the request; listed and revoked without.
    let new = json!({"name": "second"}).to_string();
    for _ in 0..2 {
        let request = stage.server.request("POST", "/v1/me/keys").header("content-type", "application/json");
        let answer = request.header("idempotency-key", "keys").body(new.clone()).send().await.unwrap();
        let made = Answer::of(answer).await.expect(201);
        stage.secrets.add("PersonalKey", made["key"].as_str().unwrap());
        let second = made["key"].as_str().unwrap().to_owned();
        let answer = stage.server.with_key(&second).api("GET", "/v1/me", Value::Null).await;
        stage.seen.answer("GET /v1/me", &answer);
    }
    let keys = stage.ask("GET", "/v1/me/keys", Value::Null).await.expect(200);
    for key in keys["items"].as_array().unwrap() {
        if key["name"] == "second" {
            stage.ask("DELETE", &format!("/v1/me/keys/{}", key["id"].as_str().unwrap()), Value::Null).await;
        }
    }
}

/// Sets the store up by its link, with a password that a person chose.
async fn set_up(home: &Home, seen: &mut Seen, secrets: &Secrets) -> Server {
    let mut server = home.serve("");
    let link = until("the link", async || {
        let log = server.log();
        Some(log.split_whitespace().find(|word| word.contains("/setup?token="))?.to_owned())
    })
    .await;
    let token = query(&url::Url::parse(&link).unwrap(), "token").unwrap();
    let page = Browser::new().get(&link).await.unwrap();
    let fields = [("organization", "Acme"), ("email", "nobody"), ("password", PASSWORD)];
    let again = page.submit(0, &fields).await.unwrap();
    // The form carries its own token back; that is what it is for.
    seen.add("the page of a wrong set-up", again.body.replace(&token, ""));
    let fields = [("organization", "Acme"), ("email", "ada@acme.example"), ("password", PASSWORD)];
    let done = again.submit(0, &fields).await.unwrap();
    let key = done.body.split("<code>").find(|part| part.starts_with("jfp_")).unwrap();
    key.split('<').next().unwrap().clone_into(&mut server.key);
    seen.add("the page of the set-up", done.body.replace(&server.key, ""));
    let late = Browser::new().get(&link).await.unwrap();
    seen.page("a link that was used", &late);
    secrets.add("SetUpToken", token);
    secrets.add("PersonalKey", server.key.clone());
    secrets.add("Password", PASSWORD);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_where_it_has_no_business() {
    for home in Home::both() {
        let secrets = Secrets::default();
        for (kind, secret) in [
            ("ClientSecret", CLIENT_SECRET),
            ("ConsumerSecret", CONSUMER_SECRET),
            ("ApiKey", API_KEY),
            ("SecondField", SECOND_FIELD),
            ("BasicPassword", BASIC),
        ] {
            secrets.add(kind, secret);
        }
        for (kind, pem) in [("RsaKey", RSA), ("EcKey", EC)] {
            for line in pem.lines().filter(|line| line.len() > 40).take(3) {
                secrets.add(kind, line);
            }
        }
        let mut seen = Seen::default();
        let server = set_up(&home, &mut seen, &secrets).await;
        let parrot = Parrot::start(&secrets).await;
        let mut stage = Stage { server, seen, secrets, parrot };
        oauth2(&mut stage).await;
        oauth1(&mut stage).await;
        prompted(&mut stage).await;
        mistakes(&mut stage).await;
        for path in [
            "/v1/connections",
            "/v1/connectors",
            "/v1/connections/post",
            "/v1/connectors/post",
            "/v1/organization",
            "/v1/me",
            "/v1/connections/post/reusable",
            "/metrics",
            "/healthz",
            "/readyz",
            "/openapi.json",
            "/nowhere",
        ] {
            stage.ask("GET", path, Value::Null).await;
        }
        let founder = home.organization("Other");
        stage.secrets.add("PersonalKey", &founder.key);
        stage.secrets.add("Password", &founder.password);
        stage.server.with_key(&founder.key).api("GET", "/v1/me", Value::Null).await.expect(200);

        let Stage { server, mut seen, secrets, .. } = stage;
        // Read while it serves, with the write-ahead log, and once more when all is written.
        let stored = |seen: &mut Seen| {
            for (path, bytes) in home.everything_stored() {
                if path.file_name().unwrap() != "key" {
                    seen.add(format!("the file {}", path.display()), bytes);
                }
            }
            if home.database_url().starts_with("postgres") {
                for (table, rows) in tables(&home) {
                    seen.add(format!("the table {table}"), rows);
                }
            }
        };
        stored(&mut seen);
        let doctor = finish(home.command().arg("doctor"));
        seen.add("doctor", format!("{}{}", doctor.stdout, doctor.stderr));
        server.terminate();
        let mut server = server;
        tokio::task::block_in_place(|| server.wait());
        stored(&mut seen);
        // The link is printed for the operator; it is no log line.
        let log: Vec<String> = server
            .log()
            .lines()
            .filter(|l| !l.starts_with("This store is new."))
            .map(str::to_owned)
            .collect();
        seen.add("the log", log.join("\n"));
        drop(server);

        // The search finds what is there in clear.
        let place = if home.database_url().starts_with("postgres") {
            "the table connections"
        } else {
            "jackfield.db"
        };
        assert!(seen.holds(place, NO_SECRET) && seen.holds("GET /v1/connections/post", NO_SECRET));
        assert!(
            seen.holds("the log", "/v1/connections/post/invoke")
                && seen.holds("the page of post's flow", "<h1>")
        );
        let kinds: Vec<String> = secrets.forms().into_iter().map(|(kind, _)| kind).collect();
        for kind in [
            "Access",
            "Refresh",
            "Code",
            "Cookie",
            "State",
            "StartToken",
            "PkceVerifier",
            "TokenSecret",
            "Verifier",
            "SetUpToken",
            "Cut",
        ] {
            assert!(kinds.iter().any(|known| known.starts_with(kind)), "no {kind} was in play");
        }
        let leaks = seen.leaks(&secrets);
        assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    }
}

#[test]
fn the_search_knows_every_form_of_a_secret() {
    let secrets = Secrets::default();
    secrets.add("it", "open sesame/42");
    let found = |text: &str| {
        let mut seen = Seen::default();
        seen.add("here", text);
        !seen.leaks(&secrets).is_empty()
    };
    for text in [
        "x open sesame/42 x",
        "x=open%20sesame%2F42",
        "x=open+sesame%2F42",
        "6f70656e20736573616d652f3432",
        &BASE64_STANDARD_NO_PAD.encode("user:open sesame/42"),
        &BASE64_STANDARD_NO_PAD.encode("user1:open sesame/42"),
        &BASE64_URL_SAFE_NO_PAD.encode("u:open sesame/42 and more"),
    ] {
        assert!(found(text), "{text}");
    }
    assert!(!found("open sesame/43"));
}
