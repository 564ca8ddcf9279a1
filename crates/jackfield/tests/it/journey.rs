//! What a person does in front of a browser, and what a test waits for.

#![allow(dead_code)] // each module uses its part

use jackfield_testkit::browser::{Browser, Page};
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::support::Server;

/// A port of loopback that nobody listens on at the moment.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A flow as its starter sees it.
pub async fn flow(server: &Server, id: &str) -> Value {
    server.get(&format!("/v1/flows/{id}")).await.expect(200)
}

/// A flow that a browser has brought to the service and back, up to the callback, which it has not opened yet.
pub struct Brought {
    pub id: String,
    pub start: String,
    pub callback: String,
    pub browser: Browser,
    /// the redirect to the callback, with everything that led there
    pub page: Page,
}

/// Begins a flow at a service that consents by itself, and stops in front of the callback.
pub async fn bring(server: &Server, connection: &str, body: Value) -> Brought {
    bring_by(server, &Browser::new(), connection, body).await
}

/// The same in a browser that is open already.
pub async fn bring_by(server: &Server, browser: &Browser, connection: &str, body: Value) -> Brought {
    match try_bring(server, browser, connection, body).await {
        Ok(brought) => brought,
        Err(page) => panic!("no redirect to the callback: {} {}", page.status, page.body),
    }
}

/// The same, where the flow may be over before the browser is there: then the page that says so.
pub async fn try_bring(
    server: &Server,
    browser: &Browser,
    connection: &str,
    body: Value,
) -> Result<Brought, Box<Page>> {
    let begun = server.begin_flow(connection, body).await;
    let start = begun["start_url"].as_str().unwrap().to_owned();
    browser.stop_at(Some(&format!("{}/oauth/callback", server.url)));
    let page = browser.get(&start).await.unwrap();
    browser.stop_at(None);
    let Some(callback) = page.location() else { return Err(Box::new(page)) };
    let id = begun["id"].as_str().unwrap().to_owned();
    Ok(Brought { id, start, callback: callback.into(), browser: browser.clone(), page })
}

impl Brought {
    /// Opens the callback.
    pub async fn arrive(&self) -> Page {
        self.browser.get(&self.callback).await.unwrap()
    }

    /// The callback with its parameters changed: each is set, or taken out.
    pub fn callback_with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut url = reqwest::Url::parse(&self.callback).unwrap();
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| changes.iter().all(|(changed, _)| name != changed))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(kept)
            .extend_pairs(changes.iter().filter_map(|(name, value)| Some((name, (*value)?))));
        url.into()
    }
}

/// Opens a start link, and signs in at the Sandbox: the consent page.
pub async fn to_consent(browser: &Browser, start: &str, who: &str) -> Page {
    let page = browser.get(start).await.unwrap();
    assert!(page.url.path() == "/login", "{} {}", page.url, page.body);
    let person = jackfield_sandbox::person(who).unwrap();
    page.submit("Sign in", &[("email", person.email), ("password", person.password)]).await.unwrap()
}

/// Authorizes a connection to a Sandbox that asks, as this person, and with these scopes unless all are meant; the flow as it ended.
pub async fn authorize_as(
    server: &Server,
    connection: &str,
    who: &str,
    scopes: Option<&[&str]>,
    body: Value,
) -> Value {
    let begun = server.begin_flow(connection, body).await;
    consent(server, &begun, who, scopes).await
}

/// Consents in a flow that has begun; the flow as it ended.
pub async fn consent(server: &Server, begun: &Value, who: &str, scopes: Option<&[&str]>) -> Value {
    let page = to_consent(&Browser::new(), begun["start_url"].as_str().unwrap(), who).await;
    let mut fields = Vec::new();
    if let Some(scopes) = scopes {
        fields.push(("scope", ""));
        fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
    }
    let page = page.submit("Allow", &fields).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    flow(server, begun["id"].as_str().unwrap()).await
}

/// An authorization's view.
pub async fn authorization(server: &Server, connection: &str, id: &Value) -> Value {
    let id = id.as_str().unwrap_or_else(|| panic!("no id: {id}"));
    server.get(&format!("/v1/connections/{connection}/authorizations/{id}")).await.expect(200)
}

/// The authorizations that a connection holds.
pub async fn held(server: &Server, connection: &str) -> Vec<Value> {
    let list = server.get(&format!("/v1/connections/{connection}/authorizations")).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

/// The status in each environment, development first.
pub async fn statuses(server: &Server, connection: &str) -> [String; 3] {
    let view = server.get(&format!("/v1/connections/{connection}")).await.expect(200);
    ["development", "stage", "production"].map(|e| view["status"][e].as_str().unwrap().to_owned())
}

/// Whose account a call through a Sandbox connection uses: its email address.
pub async fn caller(server: &Server, connection: &str, environment: &str) -> Value {
    let call = json!({"method": "GET", "url": "/me", "environment": environment});
    let answer = server.invoke(connection, call).await.expect(200);
    assert_eq!(answer["status"], 200, "{answer}");
    answer["body"]["email"].clone()
}
