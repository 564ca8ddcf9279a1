//! What the tests about refresh, crashes, nodes and starts share: waiting with a deadline, and connections at a Sandbox.

use std::time::{Duration, Instant};

use jackfield_sandbox::{Fault, Options, Place, Running};
use jackfield_testkit::browser::Browser;
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::support::{Answer, Server, sandbox};

/// The longest that something passing may take: the contract's 20 seconds, and a machine at work.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// Looks again and again until something is there.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_at_last(what, PATIENCE, look).await
}

/// The same with a patience of one's own.
pub async fn until_at_last<T>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < patience, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// Waits for a moment that an answer named.
pub async fn past(moment: &Value) {
    let moment: jiff::Timestamp = moment.as_str().unwrap().parse().unwrap();
    until("the moment", async || (jiff::Timestamp::now() > moment).then_some(())).await;
}

/// A moment that an answer named, in seconds.
pub fn seconds(moment: &Value) -> f64 {
    let moment: jiff::Timestamp = moment.as_str().unwrap().parse().unwrap();
    moment.as_duration().as_secs_f64()
}

/// A Sandbox where Ada consents at once and spent refresh tokens are tolerated for this long.
pub async fn tolerant(seconds: u64) -> Running {
    let reuse_grace = Duration::from_secs(seconds);
    sandbox(Options { auto_consent: Some("Ada".to_owned()), reuse_grace, ..Options::default() }).await
}

/// A connection that is authorized at a Sandbox.
pub struct Plugged {
    pub connection: String,
    pub authorization: String,
}

impl Plugged {
    /// By `OAuth2` at a Sandbox. With `life` the first access token is said to live that many seconds; all others live as the Sandbox
    /// says. In truth it lives longer, so that nothing but Jackfield's own reckoning ends it.
    pub async fn new(server: &Server, sandbox: &Running, name: &str, life: Option<u64>) -> Self {
        let all = sandbox.handle.connector_documents_without_defaults(&sandbox.url);
        let mut document = all.into_iter().find(|d| d["link_name"] == "sandbox").unwrap();
        document["link_name"] = name.into();
        document["name"] = format!("Sandbox {name}").into();
        if let Some(life) = life {
            document["auth"]["expires_in"] = life.into();
            let first = Place::Grant("authorization_code".to_owned());
            sandbox.handle.set_fault_at(first, Fault::NoExpiresIn, Some(1));
        }
        server.connector(document).await;
        let connection = server
            .connection(json!({
                "connector": name,
                "name": name,
                "parameters": sandbox.handle.connector_parameters("sandbox"),
            }))
            .await;
        let made = server.authorize(&connection, json!({})).await;
        Self { connection, authorization: made["id"].as_str().unwrap().to_owned() }
    }

    /// The same, once its first token has expired.
    pub async fn expired(server: &Server, sandbox: &Running, name: &str) -> Self {
        let made = Self::new(server, sandbox, name, Some(1)).await;
        past(&made.view(server).await["expires_at"]).await;
        made
    }

    /// The authorization as the API shows it.
    pub async fn view(&self, server: &Server) -> Value {
        let path = format!("/v1/connections/{}/authorizations/{}", self.connection, self.authorization);
        server.get(&path).await.expect(200)
    }

    /// A call that every credential of the Sandbox may make.
    pub async fn call(&self, server: &Server) -> Answer {
        server.invoke(&self.connection, json!({"method": "GET", "url": "/companies"})).await
    }

    /// The same, under way by itself.
    pub fn call_beside(
        &self,
        server: &Server,
    ) -> tokio::task::JoinHandle<Result<reqwest::Response, reqwest::Error>> {
        let call = json!({"method": "GET", "url": "/companies", "detailed": true});
        let path = format!("/v1/connections/{}/invoke", self.connection);
        let request =
            server.request("POST", &path).header("content-type", "application/json").body(call.to_string());
        tokio::spawn(request.send())
    }
}

/// Refreshes that a Sandbox was asked for.
pub fn refreshes(sandbox: &Running) -> u64 {
    sandbox.handle.counters().grants.get("refresh_token").copied().unwrap_or_default()
}

/// How often each refresh token was presented.
pub fn presentations(sandbox: &Running) -> Vec<u32> {
    sandbox.handle.counters().presentations
}

/// The token endpoint's refreshes, for a fault.
pub fn at_refresh() -> Place {
    Place::Grant("refresh_token".to_owned())
}

/// Opens a start link to the end of its flow.
pub async fn walk(start_url: &str) -> jackfield_testkit::browser::Page {
    Browser::new().get(start_url).await.unwrap()
}
