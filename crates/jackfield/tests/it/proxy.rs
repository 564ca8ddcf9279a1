//! The proxy: any HTTP client, pointed at a connection, speaks with the service.

use std::sync::{Arc, Mutex};

use jackfield_sandbox::ADA_API_KEY;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{Answer, Home, Server, consenting};
use crate::upstream::{
    Message, Upstream, Wire, connected, eventually, json_reply, key, keyed, reply, to_upstream,
};

const MIB: usize = 1024 * 1024;
const WHOLE: usize = 32 * MIB;

/// The head of a request to the proxy, without the blank line at its end.
fn head(server: &Server, method: &str, path: &str) -> String {
    format!(
        "{method} /v1/proxy/{path} HTTP/1.1\r\nhost: jackfield.example\r\nauthorization: Bearer {}\r\n",
        server.key
    )
}

/// Sends a request by hand and reads the answer.
async fn raw(server: &Server, head: &str, body: &[u8]) -> Message {
    let mut wire = Wire::connect(&server.url).await;
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    wire.send(format!("{head}{length}connection: close\r\n\r\n")).await;
    wire.send(body).await;
    let mut answer = wire.head().await.unwrap();
    if !head.starts_with("HEAD") {
        wire.body(&mut answer).await;
    }
    answer
}

/// Most memory that the server has held so far, in bytes.
fn most_memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// The byte at this place of a long body.
fn pattern(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap()
}

fn piece(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(pattern).collect()
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let home = Home::sqlite();
    let server = home.start();
    // Neither side goes on before the other has seen what was sent so far: nothing that holds a body back gets through this.
    let (arrived, went_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (up, down) = (Arc::clone(&arrived), Arc::clone(&went_on));
    let upstream = Upstream::talking(move |mut wire, _| {
        let (up, down) = (Arc::clone(&up), Arc::clone(&down));
        async move {
            let request = wire.head().await.unwrap();
            if request.method() == "POST" {
                assert_eq!(request.header("transfer-encoding"), Some("chunked"));
                let mut length = 0;
                while let Some(part) = wire.chunk().await {
                    assert!(part.iter().enumerate().all(|(at, byte)| *byte == pattern(length + at)));
                    length += part.len();
                    up.notify_one();
                }
                wire.send(reply(200, &[], length.to_string())).await;
                return;
            }
            wire.send(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {WHOLE}\r\n\r\n"))
                .await;
            wire.send(piece(0, 1000)).await;
            down.notified().await;
            for at in (1000..WHOLE).step_by(MIB) {
                wire.send(piece(at, MIB.min(WHOLE - at))).await;
            }
        }
    })
    .await;
    let link = to_upstream(&server, "Streams", &upstream).await;
    raw(&server, &head(&server, "GET", "nobody/x"), b"").await;
    let before = most_memory(&server);

    let mut wire = Wire::connect(&server.url).await;
    let start = head(&server, "POST", &format!("{link}/up"));
    wire.send(format!("{start}transfer-encoding: chunked\r\n\r\n")).await;
    wire.send_chunk(&piece(0, 1000)).await;
    arrived.notified().await;
    for at in (1000..WHOLE).step_by(MIB) {
        assert!(wire.send_chunk(&piece(at, MIB.min(WHOLE - at))).await);
    }
    wire.send("0\r\n\r\n").await;
    assert_eq!(wire.message().await.text(), WHOLE.to_string());

    // The same connection serves the next request.
    let start = head(&server, "GET", &format!("{link}/down"));
    wire.send(format!("{start}\r\n")).await;
    let answer = wire.head().await.unwrap();
    assert_eq!(answer.header("content-length"), Some(WHOLE.to_string().as_str()));
    let mut length = 0;
    while length < WHOLE {
        let part = wire.some().await;
        assert!(!part.is_empty(), "it ended after {length} bytes");
        assert!(part.iter().enumerate().all(|(at, byte)| *byte == pattern(length + at)));
        length += part.len();
        went_on.notify_one();
    }
    assert_eq!(length, WHOLE);
    let grown = most_memory(&server) - before;
    assert!(grown < WHOLE / 2, "{grown} bytes were held for two bodies of {WHOLE}");
}

#[tokio::test]
async fn requests_and_answers_pass_as_they_are() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|request| match request.target().split('?').next().unwrap() {
        "/base/204" => reply(204, &[], ""),
        "/base/304" => reply(304, &[("etag", "\"x\"")], ""),
        "/base/head" => reply(
            200,
            &[("x-method", request.method())],
            if request.method() == "HEAD" { "" } else { "body" },
        ),
        "/base/sized" => b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 12345\r\n\r\n".to_vec(),
        "/base/gzip" => reply(
            200,
            &[
                ("content-encoding", "gzip"),
                ("content-type", "application/json"),
                ("vary", "accept-encoding"),
            ],
            b"\x1f\x8bno gzip at all",
        ),
        "/base/teapot" => reply(
            418,
            &[
                ("content-type", "text/tea"),
                ("set-cookie", "session=theirs"),
                ("set-cookie", "other=theirs"),
                ("jackfield-error", "not_connected"),
                ("strict-transport-security", "max-age=1"),
                ("clear-site-data", "\"*\""),
                ("x-list", "1"),
                ("x-list", "2"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
            ],
            "short and stout",
        ),
        "/base/302" => reply(302, &[("location", "http://elsewhere.example/")], ""),
        "/base/500" => reply(500, &[], "their fault"),
        _ => json_reply(&json!({})),
    })
    .await;
    let base = format!("{}/base", upstream.url);
    let link = connected(&server, keyed("Proxied", &base, &[&upstream.host()]), key()).await;

    // Methods, and bodies of a known length.
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL"] {
        let start = head(&server, method, &format!("{link}/x"));
        let body: &[u8] = if matches!(method, "POST" | "PUT" | "PATCH") { b"\x00\xff body" } else { b"" };
        let answer = raw(&server, &format!("{start}content-type: application/x-own\r\n"), body).await;
        assert_eq!(answer.status(), 200, "{method}: {answer:?}");
        let seen = upstream.take().remove(0);
        assert_eq!((seen.method(), seen.target(), seen.body.as_slice()), (method, "/base/x", body));
        assert_eq!(seen.all("content-type"), ["application/x-own"], "{method}");
        assert_eq!(seen.all("x-key"), ["s3cret-key"]);
    }
    let mut wire = Wire::connect(&server.url).await;
    wire.send(format!("{}\r\n", head(&server, "HEAD", &format!("{link}/sized")))).await;
    let answer = wire.head().await.unwrap();
    assert_eq!((answer.status(), answer.header("content-length")), (200, Some("12345")));
    // Nothing follows the answer to HEAD: the next one is read from the same connection.
    wire.send(format!("{}\r\n", head(&server, "HEAD", &format!("{link}/head")))).await;
    assert_eq!(wire.head().await.unwrap().header("x-method"), Some("HEAD"));
    for method in ["CONNECT", "TRACE", "get"] {
        let answer = raw(&server, &head(&server, method, &format!("{link}/x")), b"").await;
        assert!((400..500).contains(&answer.status()), "{method}: {answer:?}");
    }
    upstream.take();

    // Path and query, byte for byte.
    for rest in [
        "",
        "/",
        "/a//b/",
        "/a%2Fb%20c%7e",
        "/x?",
        "/x?a=1&&b=+%20%7E&a=%zz&c",
        "/x?q=[]{}|\\^`'!*()@:;,$~",
        "/x?url=http://a/../b",
    ] {
        raw(&server, &head(&server, "GET", &format!("{link}{rest}")), b"").await;
        let seen = upstream.take();
        let wanted = if rest.is_empty() { "/" } else { rest };
        assert_eq!(seen[0].target(), format!("/base{wanted}"), "{rest}");
    }
    for rest in ["/../x", "/a/%2e%2E/x", "/a/..%2fx", "/a/%252e%252e/", "//elsewhere.example/"] {
        let answer = raw(&server, &head(&server, "GET", &format!("{link}{rest}")), b"").await;
        assert!(matches!(answer.status(), 403 | 422), "{rest}: {answer:?}");
        assert!(answer.header("jackfield-error").is_some());
    }
    // A URL in the path is a path.
    raw(&server, &head(&server, "GET", &format!("{link}/http://elsewhere.example/x")), b"").await;
    assert_eq!(upstream.take()[0].target(), "/base/http://elsewhere.example/x");

    // Headers up.
    let smuggled = "x-key: evil\r\nX-Key: evil too\r\nkeep-alive: timeout=1\r\nproxy-authorization: Basic evil\r\nte: trailers\r\n\
        jackfield-anything: 1\r\njackfield-environment: production\r\nx-stays: yes\r\ncookie: a=1\r\naccept-encoding: br\r\n\
        user-agent: theirs\r\nx-named: gone\r\nconnection: x-named\r\n";
    raw(&server, &format!("{}{smuggled}", head(&server, "GET", &format!("{link}/x"))), b"").await;
    let seen = upstream.take().remove(0);
    assert_eq!((seen.all("x-key"), seen.all("host")), (vec!["s3cret-key"], vec![upstream.host().as_str()]));
    for (name, value) in
        [("x-stays", "yes"), ("cookie", "a=1"), ("accept-encoding", "br"), ("user-agent", "theirs")]
    {
        assert_eq!(seen.all(name), [value]);
    }
    let text = format!("{:?}", seen.headers).to_lowercase();
    for gone in ["evil", "jfp_", "jackfield", "keep-alive", "proxy-", "\"te\"", "x-named", "authorization"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }

    // Answers down.
    let path = |rest: &str| format!("{link}/{rest}");
    let teapot = raw(&server, &head(&server, "GET", &path("teapot")), b"").await;
    assert_eq!((teapot.status(), teapot.text()), (418, "short and stout"));
    assert_eq!((teapot.header("content-type"), teapot.all("x-list")), (Some("text/tea"), vec!["1", "2"]));
    for gone in ["set-cookie", "jackfield-error", "strict-transport-security", "clear-site-data", "x-hop"] {
        assert!(teapot.header(gone).is_none(), "{gone}: {teapot:?}");
    }
    assert!(teapot.header("jackfield-request-id").is_some());
    let gzip = raw(&server, &head(&server, "GET", &path("gzip")), b"").await;
    assert_eq!(
        (gzip.header("content-encoding"), gzip.header("vary")),
        (Some("gzip"), Some("accept-encoding"))
    );
    assert_eq!(gzip.body, b"\x1f\x8bno gzip at all");
    let empty = raw(&server, &head(&server, "GET", &path("204")), b"").await;
    assert_eq!((empty.status(), empty.body.len(), empty.header("content-length")), (204, 0, None));
    let same = raw(&server, &head(&server, "GET", &path("304")), b"").await;
    assert_eq!((same.status(), same.header("etag"), same.body.len()), (304, Some("\"x\""), 0));
    let moved = raw(&server, &head(&server, "GET", &path("302")), b"").await;
    assert_eq!((moved.status(), moved.header("location")), (302, Some("http://elsewhere.example/")));
    let failed = raw(&server, &head(&server, "GET", &path("500")), b"").await;
    assert_eq!(
        (failed.status(), failed.text(), failed.header("jackfield-error")),
        (500, "their fault", None)
    );
}

#[tokio::test]
async fn own_failures_are_told_from_the_services() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|request| match request.target() {
        "/cut" => b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(),
        _ => json_reply(&json!({})),
    })
    .await;
    let connector = server.connector(keyed("Each", &upstream.url, &[&upstream.host()])).await;
    let new = json!({"connector": connector, "name": "Each", "same_authorization": false});
    let link = server.connection(new).await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = server.request("GET", &format!("/v1/proxy/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    };
    get("nobody/x", &[]).await.problem(404, "not_found");
    get("", &[]).await.problem(404, "not_found");
    get("/x", &[]).await.problem(404, "not_found");
    get("%00/x", &[]).await.problem(404, "not_found");
    get(&link, &[]).await.problem(409, "not_connected");

    let path = format!("/v1/connections/{link}/authorizations");
    server.post(&path, json!({"credentials": key(), "environments": ["stage"]})).await.expect(201);
    get(&format!("{link}/x"), &[]).await.problem(409, "not_connected");
    get(&format!("{link}/x"), &[("jackfield-environment", "stage")]).await.expect(200);
    get(&format!("{link}/x"), &[("jackfield-environment", "moon")]).await.problem(422, "invalid_input");
    let me = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let stage = ("jackfield-environment", "stage");
    get(&format!("{link}/x"), &[stage, ("jackfield-acting-for", &me)]).await.expect(200);
    let other = get(&format!("{link}/x"), &[stage, ("jackfield-acting-for", "mem_other")]).await;
    other.problem(403, "acting_for_not_allowed");
    get(&format!("{link}/cut"), &[stage]).await.problem(502, "upstream_unreachable");
    server.post(&format!("/v1/connections/{link}/disable"), json!({})).await.expect(200);
    get(&format!("{link}/x"), &[stage]).await.problem(409, "connection_disabled");

    // Who are you?
    let stranger = home.organization("Other");
    let path = format!("/v1/proxy/{link}/x");
    let other = server.with_key(&stranger.key).api("GET", &path, Value::Null).await;
    other.problem(404, "not_found");
    let malformed = format!("{}x", server.key);
    for (key, code) in
        [("", "unauthenticated"), ("nonsense", "unauthenticated"), (&malformed, "key_malformed")]
    {
        let answer = server.with_key(key).api("GET", &path, Value::Null).await;
        answer.problem(401, code);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn events_arrive_one_by_one_and_a_leaving_caller_ends_it() {
    let home = Home::sqlite();
    let server = home.start();
    let (next, gone) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
    let (told, left) = (Arc::clone(&next), Arc::clone(&gone));
    let upstream = Upstream::talking(move |mut wire, _| {
        let (told, left) = (Arc::clone(&told), Arc::clone(&left));
        async move {
            let request = wire.head().await.unwrap();
            if request.target() == "/upload" {
                while wire.chunk().await.is_some() {
                    told.notify_one();
                }
                // It broke off: no last chunk came.
                let ended = wire.some().await.is_empty();
                left.lock().unwrap().push(ended);
                return;
            }
            wire.send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            )
            .await;
            for n in 1..=3 {
                wire.send_chunk(format!("data: {n}\n\n").as_bytes()).await;
                told.notified().await;
            }
            // Silent from here on; the end of the connection is all that can come.
            let ended = wire.some().await.is_empty();
            left.lock().unwrap().push(ended);
        }
    })
    .await;
    let link = to_upstream(&server, "Events", &upstream).await;

    let mut wire = Wire::connect(&server.url).await;
    wire.send(format!(
        "{}accept: text/event-stream\r\n\r\n",
        head(&server, "GET", &format!("{link}/events"))
    ))
    .await;
    assert_eq!(wire.head().await.unwrap().header("content-type"), Some("text/event-stream"));
    for n in 1..=3 {
        assert_eq!(wire.chunk().await.unwrap(), format!("data: {n}\n\n").as_bytes());
        next.notify_one();
    }
    assert!(gone.lock().unwrap().is_empty());
    drop(wire);
    eventually("the service sees the caller leave", || *gone.lock().unwrap() == [true]).await;

    // Before any answer has begun, and in the middle of an upload.
    let mut wire = Wire::connect(&server.url).await;
    let start = head(&server, "POST", &format!("{link}/upload"));
    wire.send(format!("{start}transfer-encoding: chunked\r\n\r\n")).await;
    wire.send_chunk(b"first").await;
    next.notified().await;
    drop(wire);
    eventually("the service sees the upload break off", || *gone.lock().unwrap() == [true, true]).await;
}

/// A masked text frame of a WebSocket client (RFC 6455 §5.2), up to 125 bytes.
fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut bytes = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
    bytes.extend(mask);
    bytes.extend(text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    bytes
}

/// The text of the next frame of a WebSocket server.
async fn text_frame(wire: &mut Wire) -> String {
    let start = wire.exactly(2).await;
    assert_eq!(start[0], 0x81);
    let length = match start[1] {
        126 => {
            let long = wire.exactly(2).await;
            usize::from(long[0]) << 8 | usize::from(long[1])
        }
        short => usize::from(short),
    };
    String::from_utf8(wire.exactly(length).await).unwrap()
}

#[tokio::test]
async fn web_sockets_are_switched_with_the_credential_put_in() {
    let home = Home::sqlite();
    let server = home.start();
    let sandbox = consenting().await;
    let link = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
    let credentials = json!({"credentials": {"api_key": ADA_API_KEY}});
    server.post(&format!("/v1/connections/{link}/authorizations"), credentials).await.expect(201);

    let upgrade = "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: echo\r\nx-api-key: evil\r\n\r\n";
    let mut wire = Wire::connect(&server.url).await;
    wire.send(format!("{}{upgrade}", head(&server, "GET", &format!("{link}/ws?hello=1")))).await;
    let answer = wire.head().await.unwrap();
    assert_eq!(answer.status(), 101, "{answer:?}");
    // The example of RFC 6455 §1.3.
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("sec-websocket-protocol"), Some("echo"));
    assert_eq!(answer.header("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
    let hello: Value = serde_json::from_str(&text_frame(&mut wire).await).unwrap();
    assert_eq!(hello["headers"]["x-api-key"], ADA_API_KEY);
    assert!(hello["headers"].get("authorization").is_none(), "{hello}");
    for text in ["one", "two", "drei ✓"] {
        wire.send(frame(text)).await;
        assert_eq!(text_frame(&mut wire).await, text);
    }

    // A service that does not want to is heard.
    let mut wire = Wire::connect(&server.url).await;
    wire.send(format!("{}{upgrade}", head(&server, "GET", &format!("{link}/status/403")))).await;
    assert_eq!(wire.head().await.unwrap().status(), 403);
    let mut wire = Wire::connect(&server.url).await;
    wire.send(format!("{}{upgrade}", head(&server, "GET", "nobody/ws"))).await;
    let refused = wire.message().await;
    assert_eq!((refused.status(), refused.header("jackfield-error")), (404, Some("not_found")));
}

#[tokio::test]
async fn a_refused_token_is_refreshed_where_the_body_can_be_sent_again() {
    let home = Home::sqlite();
    let server = home.start();
    let sandbox = consenting().await;
    let link = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
    server.authorize(&link, json!({})).await;
    let refreshes = || sandbox.handle.counters().grants.get("refresh_token").copied().unwrap_or(0);
    for (method, body) in [("GET", &b""[..]), ("POST", b"{\"a\":1}")] {
        sandbox.handle.expire_access_tokens();
        let before = refreshes();
        let start = head(&server, method, &format!("{link}/me/echo"));
        let answer = raw(&server, &format!("{start}content-type: application/json\r\n"), body).await;
        assert_eq!((answer.status(), refreshes() - before), (200, 1), "{answer:?}");
        assert_eq!(answer.json()["body"].as_str().unwrap().as_bytes(), body);
        assert!(answer.json()["headers"]["authorization"].as_str().unwrap().starts_with("Bearer "));
    }
    // A stream is gone once it was sent: the refusal is the answer, and a token for the next one is on its way or here.
    sandbox.handle.expire_access_tokens();
    let mut wire = Wire::connect(&server.url).await;
    let start = head(&server, "POST", &format!("{link}/me/echo"));
    wire.send(format!("{start}transfer-encoding: chunked\r\n\r\n")).await;
    wire.send_chunk(b"once").await;
    wire.send("0\r\n\r\n").await;
    let answer = wire.message().await;
    assert_eq!((answer.status(), answer.header("jackfield-error")), (401, None));
    let start = head(&server, "GET", &format!("{link}/me"));
    assert_eq!(raw(&server, &start, b"").await.status(), 200);
}
