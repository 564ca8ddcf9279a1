//! Device codes (RFC 8628): the person accepts on another screen, and Jackfield asks the service until he has.

use std::time::Duration;

use jackfield_sandbox::{Fault, Options, Place, Running};
use jackfield_testkit::browser::{Browser, Page};
use serde_json::{Value, json};

use crate::journey::{authorization, caller, flow, held, statuses};
use crate::support::{Home, Server, sandbox};
use crate::upstream::{Upstream, json_reply};
use crate::world::until;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A Sandbox whose devices may ask every second.
async fn quick() -> Running {
    sandbox(Options { device_interval: Duration::from_secs(1), ..Options::default() }).await
}

/// How often the token endpoint was asked about a device code.
fn questions(sandbox: &Running) -> u64 {
    sandbox.handle.counters().grants.get(GRANT).copied().unwrap_or(0)
}

/// The person types the code on his telephone, and signs in there: the page that asks for consent.
async fn type_code(begun: &Value, who: &str) -> Page {
    let page = Browser::new().get(begun["verification_uri"].as_str().unwrap()).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    let code = begun["user_code"].as_str().unwrap();
    let page = page.submit("Continue", &[("user_code", code)]).await.unwrap();
    let person = jackfield_sandbox::person(who).unwrap();
    page.submit("Sign in", &[("email", person.email), ("password", person.password)]).await.unwrap()
}

/// Waits until the flow is over.
async fn over(server: &Server, begun: &Value) -> Value {
    let id = begun["id"].as_str().unwrap();
    until("the end of the flow", async || {
        Some(flow(server, id).await).filter(|flow| flow["state"] != "pending")
    })
    .await
}

async fn accept(server: &Server, begun: &Value, who: &str) -> Value {
    let page = type_code(begun, who).await.submit("Allow", &[]).await.unwrap();
    assert!(page.body.contains("Go back to the device"), "{}", page.body);
    over(server, begun).await
}

#[tokio::test]
async fn a_person_types_the_code_on_another_screen() {
    let sandbox = quick().await;
    for home in Home::both() {
        let server = home.start();
        let connection = server.sandbox_connection(&sandbox, "sandbox_device", json!({})).await;
        let begun = server.begin_flow(&connection, json!({})).await;
        assert_eq!(begun["state"], "pending");
        let uri = begun["verification_uri"].as_str().unwrap();
        assert_eq!(uri, format!("{}/device", sandbox.url));
        let complete = begun["verification_uri_complete"].as_str().unwrap();
        let code = begun["user_code"].as_str().unwrap();
        assert!(complete.starts_with(uri) && complete.contains(code), "{complete}");
        let life = |name: &str| begun[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert_eq!(
            life("expires_at").duration_since(life("created_at")).as_secs(),
            600,
            "as the service says"
        );

        // The link shows the code, in any browser and as often as one likes.
        for browser in [Browser::new(), Browser::new()] {
            let page = browser.get(begun["start_url"].as_str().unwrap()).await.unwrap();
            assert_eq!(page.status, 200, "{}", page.body);
            assert!(page.body.contains(code) && page.body.contains(uri), "{}", page.body);
            assert_eq!(page.headers.get("cache-control").unwrap(), "no-store");
            assert!(page.headers.get("set-cookie").is_none());
        }
        let wrong = format!("{}/flows/{}/start?token=x", server.url, begun["id"].as_str().unwrap());
        assert_eq!(Browser::new().get(&wrong).await.unwrap().status, 404);

        let ended = accept(&server, &begun, "Lin").await;
        assert_eq!(ended["state"], "authorized", "{ended}");
        for name in ["user_code", "verification_uri", "verification_uri_complete", "start_url"] {
            assert_eq!(ended[name], Value::Null, "{name}");
        }
        let view = authorization(&server, &connection, &ended["authorization"]).await;
        assert_eq!(view["account_name"], "lin@sandbox.example");
        assert_eq!((&view["status"], &view["missing_scopes"]), (&json!("connected"), &json!([])));
        assert_eq!(statuses(&server, &connection).await, ["connected"; 3]);
        assert_eq!(caller(&server, &connection, "production").await, "lin@sandbox.example");
        let page = Browser::new().get(begun["start_url"].as_str().unwrap()).await.unwrap();
        assert!(page.body.contains("Connected as lin@sandbox.example"), "{}", page.body);
    }
}

#[tokio::test]
async fn a_device_is_refused_cancelled_or_too_late() {
    let sandbox = quick().await;
    let home = Home::sqlite();
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox_device", json!({})).await;

    let begun = server.begin_flow(&connection, json!({})).await;
    type_code(&begun, "Ada").await.submit("Deny", &[]).await.unwrap();
    let ended = over(&server, &begun).await;
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("denied"), &json!("access_denied")));

    let begun = server.begin_flow(&connection, json!({})).await;
    let id = begun["id"].as_str().unwrap();
    server.api("DELETE", &format!("/v1/flows/{id}"), Value::Null).await.expect(200);
    type_code(&begun, "Ada").await.submit("Allow", &[]).await.unwrap();
    assert_eq!(flow(&server, id).await["state"], "cancelled");

    // The service no longer knows the client: the flow says why.
    let begun = server.begin_flow(&connection, json!({})).await;
    sandbox.handle.set_fault_at(
        Place::Grant(GRANT.to_owned()),
        Fault::OAuthError("invalid_client".to_owned()),
        Some(1),
    );
    let ended = over(&server, &begun).await;
    assert_eq!(ended["state"], "failed");
    assert!(ended["error"]["detail"].as_str().unwrap().contains("invalid_client"), "{ended}");
    assert_eq!(held(&server, &connection).await, Vec::<Value>::new());

    let home = Home::sqlite().set("JACKFIELD_DEVICE_FLOW_TTL", "2");
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox_device", json!({})).await;
    // Nobody types it: it ends by itself, is not asked about any more, and what is typed then connects nothing.
    let begun = server.begin_flow(&connection, json!({})).await;
    let ended = over(&server, &begun).await;
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("expired"), &json!("flow_expired")));
    type_code(&begun, "Ada").await.submit("Allow", &[]).await.unwrap();
    let page = Browser::new().get(begun["start_url"].as_str().unwrap()).await.unwrap();
    assert!(page.status == 400 && !page.body.contains("Connected as"), "{} {}", page.status, page.body);
    assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_service_that_fails_for_a_while_is_asked_again() {
    let sandbox = quick().await;
    let home = Home::sqlite();
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox_device", json!({})).await;
    let begun = server.begin_flow(&connection, json!({})).await;
    let place = || Place::Grant(GRANT.to_owned());
    for fault in [Fault::Status(503), Fault::Reset] {
        let before = questions(&sandbox);
        sandbox.handle.set_fault_at(place(), fault, Some(1));
        until("a question that met a fault", async || (questions(&sandbox) > before).then_some(())).await;
    }
    let ended = accept(&server, &begun, "Ada").await;
    assert_eq!(ended["state"], "authorized", "{ended}");
}

/// The service grants in the very moment in which the flow is called off: nobody holds what was granted, and it is given back.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_to_a_flow_that_was_called_off_is_given_back() {
    for home in Home::both() {
        let (asked, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let (goes_on, waits) = std::sync::mpsc::channel::<()>();
        let waits = std::sync::Mutex::new(waits);
        let upstream = Upstream::answering(move |request| match request.target() {
            "/device" => json_reply(&json!({"device_code": "d", "user_code": "AB-CD", "expires_in": 600, "interval": 1,
                "verification_uri": "https://screen.example/device"})),
            "/token" => {
                asked.send(()).unwrap();
                tokio::task::block_in_place(|| waits.lock().unwrap().recv().unwrap());
                json_reply(&json!({"access_token": "granted-1", "token_type": "bearer", "refresh_token": "granted-2"}))
            }
            _ => json_reply(&json!({})),
        })
        .await;
        let server = home.start();
        let document = json!({"name": "Screen", "base_url": upstream.url, "hosts": [upstream.host()],
            "parameters": [{"name": "client_id", "required": true}],
            "auth": {"type": "oauth2_device_code", "device_authorization_url": format!("{}/device", upstream.url),
                "token_url": format!("{}/token", upstream.url), "revoke_url": format!("{}/revoke", upstream.url),
                "client_authentication": "none"}});
        let connector = server.connector(document).await;
        let new = json!({"connector": connector, "name": "Screen", "parameters": {"client_id": "c"}});
        let connection = server.connection(new).await;
        let begun = server.begin_flow(&connection, json!({})).await;
        let id = begun["id"].as_str().unwrap();
        hears.recv().await.unwrap();
        server.api("DELETE", &format!("/v1/flows/{id}"), Value::Null).await.expect(200);
        goes_on.send(()).unwrap();
        until("the revocation", async || {
            upstream.seen().iter().any(|request| request.target() == "/revoke").then_some(())
        })
        .await;
        assert_eq!(flow(&server, id).await["state"], "cancelled");
        assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
        let tokens = upstream.seen().iter().filter(|request| request.target() == "/token").count();
        assert_eq!(tokens, 1, "a code that was granted is not asked about again");
    }
}

/// Who is told to ask less often does so from then on, whichever node asks next.
#[tokio::test]
async fn a_service_that_wants_to_be_asked_less_often_is() {
    let sandbox = quick().await;
    let home = Home::postgres();
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox_device", json!({})).await;
    sandbox.handle.set_fault_at(
        Place::Grant(GRANT.to_owned()),
        Fault::OAuthError("slow_down".to_owned()),
        Some(1),
    );
    let begun = server.begin_flow(&connection, json!({})).await;
    until("a longer interval", async || {
        (home.sql("select poll_interval from flows").trim() == "6").then_some(())
    })
    .await;
    let ended = accept(&server, &begun, "Ada").await;
    assert_eq!(ended["state"], "authorized", "{ended}");
    assert_eq!(home.sql("select poll_interval from flows").trim(), "6", "and stays so");
}

/// A wrong client is told at once, and no flow begins.
#[tokio::test]
async fn a_client_that_the_service_does_not_know_begins_no_flow() {
    let sandbox = quick().await;
    let home = Home::sqlite();
    let server = home.start();
    let mut parameters = sandbox.handle.connector_parameters("sandbox_device");
    parameters["client_secret"] = "wrong".into();
    let connection =
        server.sandbox_connection(&sandbox, "sandbox_device", json!({"parameters": parameters})).await;
    let answer = server.post(&format!("/v1/connections/{connection}/authorizations"), json!({})).await;
    answer.problem(422, "credential_rejected");
    assert_eq!(questions(&sandbox), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_loses_no_code() {
    for home in Home::both() {
        let sandbox = quick().await;
        let server = home.start();
        let connection = server.sandbox_connection(&sandbox, "sandbox_device", json!({})).await;
        let begun = server.begin_flow(&connection, json!({})).await;
        until("a question", async || (questions(&sandbox) > 0).then_some(())).await;
        let key = server.key.clone();
        server.kill();
        let page = type_code(&begun, "Ada").await.submit("Allow", &[]).await.unwrap();
        assert!(page.body.contains("Go back to the device"), "{}", page.body);
        let server = home.serve(&key);
        let ended = over(&server, &begun).await;
        assert_eq!(ended["state"], "authorized", "{ended}");
        assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
    }
}

/// The Sandbox answers `slow_down` to whoever asks twice in a second, and Jackfield would remember that in the flow's interval.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_one_asks() {
    let home = Home::postgres();
    let sandbox = quick().await;
    let server = home.start();
    let other = home.serve(&server.key);
    let connection = server.sandbox_connection(&sandbox, "sandbox_device", json!({})).await;
    let begun = server.begin_flow(&connection, json!({})).await;
    until("some questions", async || (questions(&sandbox) >= 4).then_some(())).await;
    assert_eq!(home.sql("select poll_interval from flows").trim(), "1", "nobody was told to ask less often");
    // The one that began it dies, and the other one goes on.
    server.kill();
    let ended = accept(&other, &begun, "Ada").await;
    assert_eq!(ended["state"], "authorized", "{ended}");
}
