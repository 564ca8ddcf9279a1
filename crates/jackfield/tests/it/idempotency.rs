//! `Idempotency-Key`: one effect, one answer, whatever happens in between.

use jackfield_testkit::reqwest;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{Answer, Home, Server};
use crate::upstream::{Upstream, Wire, connected, eventually, json_reply, key, keyed, reply, to_upstream};

/// A POST under a key.
async fn under(server: &Server, idempotency_key: &str, path: &str, body: &Value) -> Answer {
    let request = server.request("POST", path).header("idempotency-key", idempotency_key);
    let request = request.header("content-type", "application/json").body(body.to_string());
    Answer::of(request.send().await.unwrap()).await
}

async fn count(server: &Server, path: &str) -> usize {
    // Of connectors those that were made: a page does not hold the catalogue.
    let kind = if path == "/v1/connectors" { "&kind=custom" } else { "" };
    server.get(&format!("{path}?limit=200{kind}")).await.expect(200)["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_request_has_one_effect_and_one_answer_also_after_a_crash() {
    for home in Home::both() {
        let server = home.start();
        let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
        let connector = server.connector(keyed("Once", &upstream.url, &[&upstream.host()])).await;
        let connection = server.connection(json!({"connector": connector, "name": "Once"})).await;

        // One of each kind of effect.
        let authorizations = format!("/v1/connections/{connection}/authorizations");
        let disable = format!("/v1/connections/{connection}/disable");
        let requests = [
            ("/v1/me/keys", json!({"name": "Laptop"})),
            (
                "/v1/connectors",
                json!({"name": "Draft", "base_url": "https://example.com", "auth": {"type": "none"}}),
            ),
            ("/v1/connections", json!({"connector": connector, "name": "Made once"})),
            (authorizations.as_str(), json!({"account_name": "Mine", "credentials": key()})),
            (disable.as_str(), json!({})),
        ];
        let mut first = Vec::new();
        for (n, (path, body)) in requests.iter().enumerate() {
            let answer = under(&server, &format!("key {n}"), path, body).await;
            assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
            first.push(answer);
        }
        let counts = async |server: &Server| {
            let mut all = Vec::new();
            for path in ["/v1/me/keys", "/v1/connectors", "/v1/connections", &authorizations] {
                all.push(count(server, path).await);
            }
            all
        };
        let before = counts(&server).await;
        let again = async |server: &Server| {
            for (n, (path, body)) in requests.iter().enumerate() {
                let answer = under(server, &format!("key {n}"), path, body).await;
                assert_eq!((answer.status, &answer.text), (first[n].status, &first[n].text), "{path}");
                assert_eq!(answer.headers["content-type"], first[n].headers["content-type"], "{path}");
            }
        };
        again(&server).await;
        assert_eq!(counts(&server).await, before);
        // A made key works, and it is the same one.
        let made = first[0].json()["key"].as_str().unwrap().to_owned();
        server.with_key(&made).api("GET", "/v1/me", Value::Null).await.expect(200);
        // The disabling was an effect of the first request: what came after it stays.
        server.post(&format!("/v1/connections/{connection}/enable"), json!({})).await.expect(200);
        again(&server).await;
        assert_eq!(server.get(&format!("/v1/connections/{connection}")).await.expect(200)["enabled"], true);

        // Another body or another path is another request.
        let other = under(&server, "key 0", "/v1/me/keys", &json!({"name": "Desktop"})).await;
        other.problem(422, "idempotency_key_reused");
        let other = under(&server, "key 0", "/v1/connectors", &requests[1].1).await;
        other.problem(422, "idempotency_key_reused");
        // What was refused was not carried out: the key is still free.
        under(&server, "refused", "/v1/me/keys", &json!({"name": ""})).await.problem(422, "invalid_input");
        under(&server, "refused", "/v1/me/keys", &json!({"name": "Now"})).await.expect(201);
        assert_eq!(counts(&server).await[0], before[0] + 1);

        // A key of the API is a world of its own.
        let second = json!({"name": "Laptop"});
        let request = server.request("POST", "/v1/me/keys").header("idempotency-key", "key 0");
        let request = request.header("authorization", format!("Bearer {made}")).body(second.to_string());
        // (reqwest appends; the first header is the founder's.)
        drop(request);
        let request = reqwest::Client::new().post(format!("{}/v1/me/keys", server.url));
        let request = request.header("idempotency-key", "key 0").bearer_auth(&made).body(second.to_string());
        let other = Answer::of(request.send().await.unwrap()).await.expect(201);
        assert_ne!(other["id"], first[0].json()["id"]);
        let before = counts(&server).await;

        // The process dies without a farewell; the next one knows.
        let founder = server.key.clone();
        server.kill();
        let server = home.serve(&founder);
        again(&server).await;
        assert_eq!(counts(&server).await, before);
    }
}

#[tokio::test]
async fn twenty_at_once_have_one_effect() {
    for home in Home::both() {
        let server = Arc::new(home.start());
        let connector = server.connector(keyed("Once", "https://example.com", &["example.com"])).await;
        for (path, body) in [
            ("/v1/connections", json!({"connector": connector, "name": "At once"})),
            ("/v1/me/keys", json!({"name": "At once"})),
            (
                "/v1/connectors",
                json!({"name": "At once", "base_url": "https://example.com", "auth": {"type": "none"}}),
            ),
        ] {
            let before = count(&server, path).await;
            let all: Vec<_> = (0..20)
                .map(|_| {
                    let (server, body) = (Arc::clone(&server), body.clone());
                    tokio::spawn(async move { under(&server, path, path, &body).await })
                })
                .collect();
            let mut made = Vec::new();
            for answer in all {
                let answer = answer.await.unwrap();
                match answer.status {
                    201 => made.push(answer.text),
                    _ => {
                        answer.problem(409, "request_in_progress");
                    }
                }
            }
            assert!(!made.is_empty() && made.iter().all(|text| *text == made[0]), "{path}: {made:?}");
            assert_eq!(count(&server, path).await, before + 1, "{path}");
            let late = under(&server, path, path, &body).await;
            assert_eq!((late.status, &late.text), (201, &made[0]));
        }
    }
}

#[tokio::test]
async fn a_service_is_called_once_a_key() {
    for home in Home::both() {
        let server = home.start();
        let upstream = Upstream::answering(|request| match request.target() {
            "/teapot" => reply(418, &[("content-type", "text/tea"), ("x-own", "1")], "short and stout"),
            "/cut" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec(),
            _ => json_reply(&json!({"s3cret": "answer"})),
        })
        .await;
        let link = to_upstream(&server, "Once", &upstream).await;
        let path = format!("/v1/connections/{link}/invoke");
        for (key, call) in [
            ("detailed", json!({"method": "POST", "url": "/x", "body": {}, "detailed": true})),
            ("plain", json!({"method": "POST", "url": "/x", "body": {}})),
            ("teapot", json!({"url": "/teapot"})),
        ] {
            let first = under(&server, key, &path, &call).await;
            let again = under(&server, key, &path, &call).await;
            assert_eq!((again.status, &again.text), (first.status, &first.text), "{key}");
            assert_eq!(again.headers["content-type"], first.headers["content-type"], "{key}");
            assert_eq!(upstream.take().len(), 1, "{key}");
            let mut other = call.clone();
            other["url"] = "/other".into();
            under(&server, key, &path, &other).await.problem(422, "idempotency_key_reused");
        }
        // The caller's key is his with Jackfield, and passed on only where he says so.
        let call = json!({"url": "/x", "headers": {"Idempotency-Key": "theirs"}});
        under(&server, "passed", &path, &call).await.expect(200);
        assert_eq!(upstream.take()[0].all("idempotency-key"), ["theirs"]);

        // The service may have acted: nobody acts again.
        let call = json!({"method": "POST", "url": "/cut"});
        under(&server, "cut", &path, &call).await.problem(502, "upstream_unreachable");
        under(&server, "cut", &path, &call).await.problem(409, "request_in_progress");
        assert_eq!(upstream.take().len(), 1);

        // What failed before anything was sent frees the key.
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let closed = connected(&server, keyed("Closed", &format!("http://{host}"), &[&host]), key()).await;
        let closed_path = format!("/v1/connections/{closed}/invoke");
        let call = json!({"method": "POST", "url": "/x", "detailed": true});
        under(&server, "free", &closed_path, &call).await.problem(502, "upstream_unreachable");
        let listener = tokio::net::TcpListener::bind(&host).await.unwrap();
        let answering = tokio::spawn(async move {
            let mut wire = Wire::accept(&listener).await;
            wire.head().await.unwrap();
            wire.send(reply(200, &[], "here")).await;
            std::future::pending::<()>().await;
        });
        assert_eq!(under(&server, "free", &closed_path, &call).await.expect(200)["status"], 200);
        answering.abort();
        for (key, call, status, code) in [
            ("away", json!({"url": "http://elsewhere.example/"}), 403, "host_not_allowed"),
            ("wrong", json!({"url": "/x", "timeout_ms": 0}), 422, "invalid_input"),
        ] {
            under(&server, key, &path, &call).await.problem(status, code);
            under(&server, key, &path, &json!({"url": "/x"})).await.expect(200);
        }
        upstream.take();

        // The answer is kept sealed.
        for (file, bytes) in home.everything_stored() {
            assert!(crate::upstream::find(&bytes, b"short and stout").is_none(), "{}", file.display());
        }
    }
}

#[tokio::test]
async fn a_call_under_way_is_not_made_twice_not_even_after_a_crash() {
    for home in Home::both() {
        let server = Arc::new(home.start());
        let (calls, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counter, gate) = (Arc::clone(&calls), Arc::clone(&go_on));
        let upstream = Upstream::talking(move |mut wire, _| {
            let (counter, gate) = (Arc::clone(&counter), Arc::clone(&gate));
            async move {
                if wire.head().await.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    wire.send(json_reply(&json!({"done": true}))).await;
                }
            }
        })
        .await;
        let link = to_upstream(&server, "Slow", &upstream).await;
        let path = format!("/v1/connections/{link}/invoke");
        let call = json!({"url": "/x", "detailed": true});
        let start = |key: &'static str| {
            let (server, path, call) = (Arc::clone(&server), path.clone(), call.clone());
            tokio::spawn(async move {
                let request = server.request("POST", &path).header("idempotency-key", key);
                match request.body(call.to_string()).send().await {
                    Ok(response) => Some(Answer::of(response).await),
                    Err(_) => None,
                }
            })
        };

        let running = start("waiting");
        eventually("the call arrives", || calls.load(Ordering::SeqCst) == 1).await;
        for _ in 0..3 {
            under(&server, "waiting", &path, &call).await.problem(409, "request_in_progress");
        }
        go_on.notify_one();
        let first = running.await.unwrap().unwrap();
        assert_eq!(first.expect(200)["body"], json!({"done": true}));
        assert_eq!(under(&server, "waiting", &path, &call).await.text, first.text);
        assert_eq!(calls.load(Ordering::SeqCst), 1);

        // A caller who gives up and asks again finds out what became of it, or that nobody knows; never a second call.
        let leaving = start("left");
        eventually("the call arrives", || calls.load(Ordering::SeqCst) == 2).await;
        leaving.abort();
        go_on.notify_one();
        let answer = under(&server, "left", &path, &call).await;
        assert!(matches!(answer.status, 200 | 409), "{} {}", answer.status, answer.text);
        assert_eq!(calls.load(Ordering::SeqCst), 2);

        // The process dies in the middle of the call.
        let running = start("cut off");
        eventually("the call arrives", || calls.load(Ordering::SeqCst) == 3).await;
        let founder = server.key.clone();
        let killed =
            std::process::Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap();
        assert!(killed.success());
        assert!(running.await.unwrap().is_none_or(|answer| answer.status != 200));
        drop(server);
        let server = home.serve(&founder);
        for _ in 0..3 {
            under(&server, "cut off", &path, &call).await.problem(409, "request_in_progress");
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        // The answer of before the crash is still known, and a new key calls again.
        assert_eq!(under(&server, "waiting", &path, &call).await.text, first.text);
        go_on.notify_one();
        go_on.notify_waiters();
        let new = async {
            under(&server, "anew", &path, &call).await.expect(200);
        };
        let open = async {
            eventually("the new call arrives", || calls.load(Ordering::SeqCst) == 4).await;
            go_on.notify_one();
        };
        tokio::join!(new, open);
    }
}
