//! What the tests share: a running sandbox, a client, and a browser of sorts.

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jackfield_sandbox::{CLIENT_ID, CLIENT_SECRET, Options, Running, Sandbox};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::Value;
use url::Url;

pub const CALLBACK: &str = "http://127.0.0.1:9/callback";
pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0";

pub struct World {
    pub running: Running,
    pub http: Client,
}

impl World {
    pub async fn new(options: Options) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = Sandbox::start(options, listener).unwrap();
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        Self { running, http }
    }

    pub async fn with_ada() -> Self {
        Self::new(Options { auto_consent: Some("ada@sandbox.example".into()), ..Options::default() }).await
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.running.handle
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url)
    }

    pub fn authorize_url(&self, change: &[(&str, Option<&str>)]) -> String {
        let challenge = challenge(VERIFIER);
        let mut query: Vec<(&str, &str)> = vec![
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("scope", "profile vendors:read vendors:write"),
            ("state", "the state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in change {
            query.retain(|(known, _)| known != name);
            if let Some(value) = value {
                query.push((name, value));
            }
        }
        Url::parse_with_params(&self.url("/oauth2/authorize"), query).unwrap().into()
    }

    /// Where the authorization request leads, with a person who consents at once.
    pub async fn authorize(&self, change: &[(&str, Option<&str>)]) -> HashMap<String, String> {
        let response = self.http.get(self.authorize_url(change)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        arguments(&location(&response))
    }

    pub async fn code(&self) -> String {
        self.authorize(&[]).await.remove("code").unwrap()
    }

    pub async fn token(&self, form: &[(&str, &str)]) -> Result<Response, reqwest::Error> {
        let request = self.http.post(self.url("/oauth2/token"));
        request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET)).form(form).send().await
    }

    pub async fn exchange(&self, code: &str) -> Response {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(&form).await.unwrap()
    }

    pub async fn refresh(&self, token: &str) -> Result<Response, reqwest::Error> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Tokens for Ada: access and refresh.
    pub async fn tokens(&self) -> (String, String) {
        pair(&self.exchange(&self.code().await).await.json().await.unwrap())
    }

    pub async fn get(&self, path: &str, bearer: &str) -> Response {
        self.http.get(self.url(path)).bearer_auth(bearer).send().await.unwrap()
    }
}

pub fn pair(answer: &Value) -> (String, String) {
    (text(answer, "access_token"), text(answer, "refresh_token"))
}

pub fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

pub fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

pub fn location(response: &Response) -> String {
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

pub fn arguments(location: &str) -> HashMap<String, String> {
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

pub async fn error_of(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, text(&body, "error"))
}

/// A browser that keeps one cookie and fills in forms.
pub struct Browser<'a> {
    world: &'a World,
    cookie: String,
    pub at: String,
    pub page: String,
    pub status: u16,
    pub policy: String,
}

impl<'a> Browser<'a> {
    pub fn new(world: &'a World) -> Self {
        Self {
            world,
            cookie: String::new(),
            at: String::new(),
            page: String::new(),
            status: 0,
            policy: String::new(),
        }
    }

    /// Follows redirects as long as they stay at the sandbox.
    async fn follow(&mut self, mut response: Response) {
        loop {
            if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
                let cookie = cookie.to_str().unwrap();
                assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
                cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
            }
            self.status = response.status().as_u16();
            if !response.status().is_redirection() {
                let policy = response.headers().get(header::CONTENT_SECURITY_POLICY);
                self.policy = policy.map(|policy| policy.to_str().unwrap().to_owned()).unwrap_or_default();
                self.page = response.text().await.unwrap();
                return;
            }
            self.at = location(&response);
            if !self.at.starts_with('/') {
                return;
            }
            let next = self.world.http.get(self.world.url(&self.at));
            response = next.header(header::COOKIE, &self.cookie).send().await.unwrap();
        }
    }

    pub async fn open(&mut self, url: &str) {
        let request = self.world.http.get(url).header(header::COOKIE, &self.cookie);
        self.follow(request.send().await.unwrap()).await;
    }

    /// The value of a hidden field of the page.
    pub fn hidden(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest =
            self.page.split(&start).nth(1).unwrap_or_else(|| panic!("no field {name} in {}", self.page));
        rest.split('"').next().unwrap().to_owned()
    }

    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) {
        let (csrf, ticket) = (self.hidden("csrf"), self.hidden("ticket"));
        let mut form = vec![("csrf", csrf.as_str()), ("ticket", ticket.as_str())];
        form.extend_from_slice(fields);
        self.post(path, &form).await;
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) {
        let request =
            self.world.http.post(self.world.url(path)).header(header::COOKIE, &self.cookie).form(form);
        self.follow(request.send().await.unwrap()).await;
    }
}
