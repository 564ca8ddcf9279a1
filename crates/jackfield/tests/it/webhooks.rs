//! Webhooks that workflows send: signed, recognized when they come again, and never to a private address.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Home, Server};
use crate::upstream::{Message, Upstream, reply};
use crate::world::until;

/// Answers as it is told, by the number of the request.
async fn receiver(answer: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Upstream {
    let count = Arc::new(AtomicUsize::new(0));
    Upstream::answering(move |_| reply(answer(count.fetch_add(1, Ordering::SeqCst)), &[], "")).await
}

/// An application whose form sends a webhook; its link name.
async fn telling(server: &Server, url: &str) -> String {
    let application = server.application("Tells").await;
    let form = json!({"name": "Orders", "definition": {"fields": [{"name": "who", "required": true}]}});
    server.post(&format!("/v1/applications/{application}/forms"), form).await.expect(201);
    let definition = json!({"form": "orders", "on": "created", "actions": [{"name": "tell", "webhook": {
        "url": url, "headers": {"X-Who": "{{ record.who }}"}, "body": {"type": "order.made", "data": {"who": "{{ record.who }}"}}}}]});
    let workflow = json!({"name": "Tell", "definition": definition});
    server.post(&format!("/v1/applications/{application}/workflows"), workflow).await.expect(201);
    application
}

async fn order(server: &Server, application: &str) -> String {
    let path = format!("/v1/applications/{application}/forms/orders/records?environment=development");
    let made = server.post(&path, json!({"data": {"who": "Ada"}})).await.expect(201);
    made["runs"][0].as_str().unwrap().to_owned()
}

async fn ends(server: &Server, application: &str, run: &str, state: &str) -> Value {
    until(&format!("a run {state}"), async || {
        let found = server.get(&format!("/v1/applications/{application}/runs/{run}")).await.expect(200);
        (found["state"] == state).then_some(found)
    })
    .await
}

/// Whether one of its signatures is made with this secret.
fn signed_with(message: &Message, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let header = |name: &str| message.header(name).unwrap();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let tag =
        jackfield_vault::token::hmac_sha256(&key, &[id.as_bytes(), b".", at.as_bytes(), b".", &message.body]);
    let wanted = format!("v1,{}", STANDARD.encode(tag));
    header("webhook-signature").split(' ').any(|one| one == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_and_recognized_when_it_comes_again() {
    for home in Home::both() {
        let server = home.start();
        let upstream = receiver(|number| if number == 0 { 503 } else { 204 }).await;
        let application = telling(&server, &format!("{}/hook?x=1", upstream.url)).await;
        let run = order(&server, &application).await;
        let done = ends(&server, &application, &run, "succeeded").await;
        assert_eq!(done["results"]["tell"]["status"], 204);
        let seen = upstream.take();
        assert_eq!(seen.len(), 2, "once more, since it could not be taken");
        assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
        assert_eq!(
            (seen[0].start.as_str(), seen[0].header("x-who")),
            ("POST /hook?x=1 HTTP/1.1", Some("Ada"))
        );
        assert_eq!(seen[0].json(), json!({"type": "order.made", "data": {"who": "Ada"}}));

        let path = format!("/v1/applications/{application}/webhook-secret");
        let first = server.get(&path).await.expect(200);
        let first = first["secret"].as_str().unwrap();
        assert!(seen.iter().all(|message| signed_with(message, first)));
        // Rotated: for a day both sign.
        let second = server.post(&format!("{path}/rotate"), json!({})).await.expect(200);
        assert!(second["former_until"].is_string(), "{second}");
        let second = second["secret"].as_str().unwrap().to_owned();
        assert_ne!(second, first);
        let run = order(&server, &application).await;
        ends(&server, &application, &run, "succeeded").await;
        let seen = upstream.take();
        assert!(signed_with(&seen[0], first) && signed_with(&seen[0], &second));
        let trail = server.get("/v1/audit?action=application").await.expect(200).to_string();
        assert!(
            trail.contains("application.webhook_secret_read")
                && trail.contains("application.webhook_secret_rotated")
        );
        // In clear it stands nowhere.
        let (stored, log) = (home.everything_stored(), server.log());
        for secret in [first, &second] {
            let inside = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!inside(log.as_bytes()) && !stored.iter().any(|(_, bytes)| inside(bytes)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_none_gets_none_and_nothing_goes_inside() {
    let home = Home::sqlite();
    let server = home.start();
    let gone = receiver(|_| 410).await;
    let application = telling(&server, &gone.url).await;
    let run = order(&server, &application).await;
    let failed = ends(&server, &application, &run, "failed").await;
    assert!(failed["reason"].as_str().unwrap().contains("wants no webhooks any more"), "{failed:#}");
    assert_eq!(gone.seen().len(), 1);

    // A server that may reach nothing inside, which is every server that is not a test's.
    let home = Home::sqlite().set("JACKFIELD_EGRESS_ALLOW", "");
    let server = home.start();
    let inside = receiver(|_| 204).await;
    for address in
        [inside.url.clone(), inside.url.replace("http://", "https://"), "https://169.254.169.254/".to_owned()]
    {
        let application = telling(&server, &address).await;
        let run = order(&server, &application).await;
        ends(&server, &application, &run, "failed").await;
    }
    assert!(inside.seen().is_empty());
}
