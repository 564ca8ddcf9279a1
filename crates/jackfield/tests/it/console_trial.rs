//! The trial of a connector: real calls, shown without a secret, and nothing of it is kept.

use std::fmt::Write as _;

use jackfield_sandbox::{ADA_API_KEY, Options, Running};
use jackfield_testkit::browser::Page;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, heading, value_of, words};
use crate::support::{Home, Server, consenting, sandbox};
use crate::upstream::{Message, Upstream, json_reply, keyed, reply};

/// Puts a document of the Sandbox into the store, as a draft.
async fn draft(server: &Server, sandbox: &Running, document: &str) -> String {
    let all = sandbox.handle.connector_documents_without_defaults(&sandbox.url);
    let found = all.into_iter().find(|d| d["link_name"] == document).unwrap();
    made(server, found).await
}

async fn made(server: &Server, document: Value) -> String {
    server.post("/v1/connectors", document).await.expect(201)["link_name"].as_str().unwrap().to_owned()
}

fn test_of(link: &str) -> String {
    format!("/console/connectors/{link}/test")
}

/// Fills the form in with what the Sandbox's own document would have as defaults, and with more.
async fn tried(visitor: &Visitor, sandbox: &Running, link: &str, more: &[(&str, &str)]) -> Page {
    let page = visitor.see(&test_of(link)).await;
    let parameters = sandbox.handle.connector_parameters(link);
    let given: Vec<(String, String)> = parameters
        .iter()
        .map(|(name, value)| (format!("parameters.{name}"), value.as_str().unwrap().to_owned()))
        .collect();
    let mut fields: Vec<(&str, &str)> = given.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.extend(more.iter().copied());
    let page = page.submit("Try it", &fields).await.unwrap();
    for (name, value) in parameters.iter().filter(|(name, _)| name.contains("secret")) {
        assert!(!page.body.contains(value.as_str().unwrap()), "{name} is shown: {}", page.body);
    }
    page
}

/// Whatever was tried: the store knows nothing of it.
async fn nothing_is_kept(server: &Server) {
    assert_eq!(server.get("/v1/connections").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn what_needs_nobody_is_tried_at_once() {
    for home in Home::both() {
        let founder = home.init();
        let server = home.serve(&founder.key);
        let sandbox = consenting().await;
        let admin = Visitor::founder(&server, &founder).await;

        let link = draft(&server, &sandbox, "sandbox_api_key").await;
        let page = admin.see(&format!("/console/connectors/{link}")).await;
        let page = page.follow("Test").await.unwrap();
        assert_eq!(heading(&page), "Test Sandbox: API key");
        // What is missing is said at its field, and nothing was called.
        let empty = page.submit("Try it", &[]).await.unwrap();
        assert_eq!(empty.status, 422, "{}", empty.body);
        assert!(!error_at(&empty, "credentials.api_key").is_empty());
        let wrong =
            tried(&admin, &sandbox, &link, &[("credentials.api_key", "sbx_key_of_nobody_0123")]).await;
        let said = words(&wrong);
        assert!(said.contains("It does not work yet") && said.contains("answered 401"), "{said}");
        assert!(said.contains("It went in the header") && said.contains("••••"), "{said}");
        assert!(!wrong.body.contains("sbx_key_of_nobody_0123"), "{}", wrong.body);
        let right = tried(&admin, &sandbox, &link, &[("credentials.api_key", ADA_API_KEY)]).await;
        let said = words(&right);
        assert!(said.contains("It works"), "{said}");
        assert!(said.contains("The account would be called ada@sandbox.example."), "{said}");
        assert_eq!(right.body.matches(ADA_API_KEY).count(), 1, "where the Sandbox says it: {}", right.body);
        assert_eq!(value_of(&right, "credentials.api_key"), "");

        let link = draft(&server, &sandbox, "sandbox_basic").await;
        let fields =
            [("credentials.username", "ada@sandbox.example"), ("credentials.password", "nothing-like-it")];
        let page = tried(&admin, &sandbox, &link, &fields).await;
        assert!(words(&page).contains("authorization: Basic ••••"), "{}", words(&page));

        let link = draft(&server, &sandbox, "sandbox_client_credentials").await;
        let page = tried(&admin, &sandbox, &link, &[]).await;
        let said = words(&page);
        assert!(said.contains("It works") && said.contains("A token came."), "{said}");
        assert!(said.contains("\"access_token\": \"••••\""), "{said}");
        assert!(said.contains("grant_type=client_credentials"), "{said}");
        let page = tried(&admin, &sandbox, &link, &[("parameters.client_secret", "not-the-secret")]).await;
        let said = words(&page);
        assert!(said.contains("It does not work yet") && said.contains("invalid_client"), "{said}");
        assert!(said.contains("Check the client id") && !page.body.contains("not-the-secret"), "{said}");
        nothing_is_kept(&server).await;
    }
}

#[tokio::test]
async fn whoever_has_to_accept_does_and_nothing_is_kept() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let sandbox = consenting().await;
    for document in ["sandbox", "sandbox_public", "sandbox_oauth1", "sandbox_company"] {
        let link = draft(&server, &sandbox, document).await;
        let page = tried(&admin, &sandbox, &link, &[]).await;
        let said = words(&page);
        assert!(said.contains("So far it works"), "{document}: {said}");
        assert!(said.contains("A browser would be sent here."), "{document}: {said}");
        let start = page.body.split("href=\"").find(|rest| rest.contains("/flows/flw_")).unwrap();
        let start = start.split('"').next().unwrap().to_owned();
        let ended = page.follow("Go to Sandbox").await.unwrap();
        assert_eq!(ended.status, 200, "{document}: {}", ended.body);
        let said = words(&ended);
        assert!(heading(&ended).starts_with("It works"), "{document}: {said}");
        assert!(said.contains("The account would be called ada@sandbox.example."), "{document}: {said}");
        for grant in sandbox.handle.grants() {
            assert!(!ended.body.contains(&format!("{grant:?}")));
        }
        assert!(!ended.body.contains("sbx_at_") && !ended.body.contains("sbx_rt_"), "{}", ended.body);
        // It is over, and was no authorization.
        assert!(admin.browser.get(ended.url.as_str()).await.unwrap().status >= 400);
        assert!(admin.browser.get(&start).await.unwrap().status >= 400);
        let page = ended.follow("Test it again").await.unwrap();
        assert!(heading(&page).starts_with("Test Sandbox"), "{}", page.body);
    }
    // A client that the service does not know is told before anybody goes there.
    let page = tried(&admin, &sandbox, "sandbox", &[("parameters.client_secret", "not-the-secret")]).await;
    let said = words(&page);
    assert!(said.contains("does not accept the client") && !said.contains("Go to Sandbox"), "{said}");
    nothing_is_kept(&server).await;
}

#[tokio::test]
async fn whoever_says_no_is_told_and_so_is_who_comes_in_another_browser() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let sandbox = sandbox(Options::default()).await;
    let link = draft(&server, &sandbox, "sandbox").await;
    let page = tried(&admin, &sandbox, &link, &[]).await;
    let start = page.body.split("href=\"").find(|rest| rest.contains("/flows/flw_")).unwrap();
    let start = start.split('"').next().unwrap().replace("&#38;", "&");
    let consent = crate::journey::to_consent(&admin.browser, &start, "Ada").await;
    let callback = consent.submit("Deny", &[]).await.unwrap();
    assert!(words(&callback).contains("was refused at Sandbox"), "{}", words(&callback));
    assert_eq!(heading(&callback), "It does not work yet");
    // The link opens in one browser alone, and the answer is believed there alone. He is signed in at the service by now.
    let page = tried(&admin, &sandbox, &link, &[]).await;
    let start = page.body.split("href=\"").find(|rest| rest.contains("/flows/flw_")).unwrap();
    let start = start.split('"').next().unwrap().replace("&#38;", "&");
    let consent = admin.browser.get(&start).await.unwrap();
    assert!(Visitor::new(&server).browser.get(&start).await.unwrap().status >= 400);
    admin.browser.stop_at(Some(&server.url));
    let stopped = consent.submit("Allow", &[]).await.unwrap();
    let back = stopped.location().unwrap_or(stopped.url);
    let stranger = Visitor::new(&server).browser.get(back.as_str()).await.unwrap();
    assert!(stranger.status >= 400, "{}", stranger.body);
    admin.browser.stop_at(None);
    assert!(heading(&admin.browser.get(back.as_str()).await.unwrap()).starts_with("It works"));
    nothing_is_kept(&server).await;
}

/// Sends back everything that it got.
fn echo(request: &Message) -> Vec<u8> {
    let mut all = format!("{}\n", request.start);
    for (name, value) in &request.headers {
        let _ = writeln!(all, "{name}: {value}");
    }
    all.push_str(request.text());
    reply(200, &[("content-type", "text/plain")], all)
}

#[tokio::test]
async fn a_service_that_sends_everything_back_shows_no_secret() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let upstream = Upstream::answering(echo).await;
    let secret = "k\"e/y of+mine %41";
    let mut document = keyed("Mirror", &upstream.url, &[&upstream.host()]);
    document["auth"]["fields"] = json!([
        {"name": "key", "secret": true, "required": true, "in": "header", "as": "X-Key", "prefix": "Token "},
        {"name": "q", "secret": true, "required": true, "in": "query", "as": "api key"},
        {"name": "c", "secret": true, "required": true, "in": "cookie", "as": "sid"},
        {"name": "b", "secret": true, "required": true, "in": "body", "as": "pass"},
    ]);
    document["parameters"] = json!([{"name": "tenant", "in": "header", "as": "X-Tenant"}]);
    document["test"] = json!({"method": "POST", "path": "/echo?open=1"});
    let link = made(&server, document).await;
    let page = admin.see(&test_of(&link)).await;
    let fields = [
        ("parameters.tenant", "acme"),
        ("credentials.key", "a-header-secret"),
        ("credentials.q", secret),
        ("credentials.c", "a-cookie-secret"),
        ("credentials.b", "a-body-\"secret\""),
    ];
    let page = page.submit("Try it", &fields).await.unwrap();
    let seen = upstream.take();
    assert!(seen[0].text().contains("a-body-\\\"secret\\\""), "it was sent for real: {}", seen[0].text());
    let said = jackfield_testkit::html::unescape(&page.body);
    for word in ["a-header-secret", "a-cookie-secret", "a-body", secret, "of%2Bmine", "e%2Fy"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    assert!(said.contains("open=1&api+key=••••") && said.contains("x-key: Token ••••"), "{said}");
    assert!(said.contains("sid=••••") && said.contains("x-tenant: acme"), "{said}");
}

#[tokio::test]
async fn usual_faults_are_explained() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let upstream = Upstream::answering(|request| match request.target() {
        "/page" => reply(200, &[("content-type", "text/html")], "<title>Welcome</title>"),
        "/moved" => reply(302, &[("location", "https://elsewhere.example/")], ""),
        "/me" => json_reply(&json!({"name": HOSTILE[0], "id": 7})),
        "/broken" => reply(503, &[], "no"),
        _ => reply(404, &[], "nothing"),
    })
    .await;
    let document = |name: &str, path: &str, more: Value| {
        let mut document = json!({
            "name": name, "base_url": upstream.url, "hosts": [upstream.host()], "auth": {"type": "none"},
            "test": {"path": path},
        });
        for (name, value) in more.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    };
    let identity = json!({"identity": {"url": "/me", "name": "/name", "subject": "/id"}});
    for (name, path, more, wanted) in [
        ("A page", "/page", json!({}), "answered with a web page"),
        ("Moved", "/moved", json!({}), "it sends on to https://elsewhere.example/"),
        ("Gone", "/gone", json!({}), "there is nothing at this address"),
        ("Broken", "/broken", json!({}), "it failed itself"),
        (
            "Expects",
            "/me",
            json!({"test": {"path": "/me", "expect": {"pointer": "/none"}}}),
            "not what the test expects",
        ),
        ("Untested", "/me", json!({"test": null}), "The connector has no test"),
        ("Hostile", "/me", identity, "The account would be called"),
        ("Nameless", "/me", json!({"identity": {"url": "/me", "name": "/email"}}), "has nothing at /email"),
        (
            "Unasked",
            "/me",
            json!({"identity": {"url": "/no/thing", "name": "/email"}}),
            "there is nothing at this address",
        ),
        (
            "Inside",
            "/me",
            json!({"base_url": "https://10.1.2.3/", "hosts": ["10.1.2.3"]}),
            "JACKFIELD_EGRESS_ALLOW",
        ),
        (
            "Unknown",
            "/me",
            json!({"base_url": "https://nowhere.invalid/", "hosts": ["nowhere.invalid"]}),
            "cannot be resolved",
        ),
    ] {
        let link = made(&server, document(name, path, more)).await;
        let page = admin.see(&test_of(&link)).await.submit("Try it", &[]).await.unwrap();
        assert_eq!(page.status, 200, "{name}: {}", page.body);
        let said = jackfield_testkit::html::unescape(&words(&page));
        assert!(said.contains(wanted), "{name}: {said}");
        assert!(!page.body.contains("<script>alert"), "{name}: {}", page.body);
    }
}

#[tokio::test]
async fn whoever_may_not_change_connectors_tries_none() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let upstream = Upstream::answering(|_| reply(200, &[], "")).await;
    let link = made(&server, keyed("Mirror", &upstream.url, &[&upstream.host()])).await;
    let right = [("credentials.key", "s3cret-key")];
    let user = Visitor::with_role(&server, "user").await;
    assert_eq!(user.open(&test_of(&link)).await.status, 403);
    assert_eq!(user.post(&test_of(&link), &right).await.status, 403);
    admin.refuses_forgeries(&test_of(&link), &right).await;
    assert_eq!(admin.open(&test_of("quickbooks")).await.status, 403);
    assert_eq!(admin.post(&test_of("quickbooks"), &[]).await.status, 403);
    assert_eq!(admin.open(&test_of("no_such")).await.status, 404);
    assert_eq!(upstream.seen().len(), 0);
    for hostile in HOSTILE {
        let page =
            admin.post(&test_of(&link), &[("credentials.key", "x"), ("credentials.other", hostile)]).await;
        assert_eq!(page.status, 422);
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{}", page.body);
    }
    let developer = Visitor::with_role(&server, "developer").await;
    assert_eq!(developer.see(&test_of(&link)).await.status, 200);
}
