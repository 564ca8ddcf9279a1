//! Calls by `invoke`: what reaches the service, what comes back, and what never does either.

use jackfield_sandbox::{Fault, Place};
use serde_json::{Value, json};

use crate::support::{Home, Server, consenting};
use crate::upstream::{
    Message, Upstream, connected, eventually, find, json_reply, key, keyed, reply, to_upstream,
};

const ECHO: &str = "/api/v1/echo";

/// Invokes and gives what the service answered, which must have this status.
async fn called(server: &Server, link: &str, call: Value) -> Value {
    server.invoke(link, call).await.expect(200)
}

/// The header `name` of every request that the service has seen since the last look.
fn headers_seen(upstream: &Upstream, name: &str) -> Vec<Vec<String>> {
    upstream
        .take()
        .iter()
        .map(|message| message.all(name).iter().map(|&value| value.to_owned()).collect())
        .collect()
}

#[tokio::test]
async fn however_its_path_is_written_invoke_answers_alike() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|_| {
        reply(
            200,
            &[("content-type", "application/json")],
            r#"{"id":12345678901234567890123,"sum":0.10,"id":1}"#,
        )
    })
    .await;
    let link = connected(&server, keyed("Upstream", &upstream.url, &[&upstream.host()]), key()).await;
    let call = || json!({"url": "/x", "detailed": true});
    // By the short way in, and by the router.
    for path in
        [format!("/v1/connections/{link}/invoke"), format!("/v1/connections/%75{}/invoke", &link[1..])]
    {
        let answer = server.post(&path, call()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        // No digit is lost on the way.
        assert!(
            answer.text.contains(r#""body":{"id":12345678901234567890123,"sum":0.10,"id":1}"#),
            "{}",
            answer.text
        );
        assert_eq!(server.get(&path).await.problem(405, "method_not_allowed")["status"], 405, "{path}");
        let wrong = server.post(&path, json!({"url": "/x", "metod": "GET"})).await;
        wrong.problem(422, "invalid_input");
        let stranger = server.with_key("").api("POST", &path, call()).await;
        stranger.problem(401, "unauthenticated");
        for answer in [&answer, &wrong, &stranger] {
            assert!(answer.headers.contains_key("jackfield-request-id"), "{path}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ] {
                assert_eq!(answer.headers[name], value, "{path}");
            }
        }
    }
    assert_eq!(link, "upstream");
    server.invoke("Upstream", call()).await.problem(404, "not_found");
}

#[tokio::test]
async fn bodies_go_as_they_are_described_and_replies_are_described_as_they_come() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|request| match request.target() {
        "/base/text" => reply(200, &[("content-type", "text/plain; charset=utf-8")], "grüezi"),
        "/base/binary" => reply(200, &[("content-type", "application/octet-stream")], [0xff, 0x00, 0x01]),
        "/base/problem" => reply(418, &[("content-type", "application/problem+json")], r#"{"title":"tea"}"#),
        "/base/liar" => reply(200, &[("content-type", "application/json")], "{no json"),
        "/base/empty" => reply(204, &[], ""),
        "/base/many" => reply(
            200,
            &[
                ("content-type", "application/json"),
                ("x-list", "1"),
                ("x-list", "2"),
                ("jackfield-error", "not_connected"),
                ("set-cookie", "session=theirs"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
            ],
            "7",
        ),
        _ => json_reply(&json!({"ok": true})),
    })
    .await;
    let base = format!("{}/base", upstream.url);
    let link = connected(&server, keyed("Upstream", &base, &[&upstream.host()]), key()).await;

    // Bodies, and the content type that goes with each.
    let part = json!({"filename": "a.txt", "content_type": "text/plain", "base64": "aGk="});
    for (encoding, body, kind, wire) in [
        (None, json!({"a": [1, null]}), "application/json", r#"{"a":[1,null]}"#),
        (Some("json"), json!("x"), "application/json", r#""x""#),
        (
            Some("form"),
            json!({"a": ["1", "2"], "b": "x y&="}),
            "application/x-www-form-urlencoded",
            "a=1&a=2&b=x+y%26%3D",
        ),
        (Some("text"), json!("grüezi"), "text/plain; charset=utf-8", "grüezi"),
        (Some("base64"), json!("aGk="), "application/octet-stream", "hi"),
    ] {
        let call = json!({"method": "POST", "url": "/x", "body": body, "body_encoding": encoding});
        called(&server, &link, call).await;
        let seen = upstream.take().remove(0);
        assert_eq!((seen.text(), seen.all("content-type")), (wire, vec![kind]), "{encoding:?}");
        assert_eq!(seen.all("content-length"), [wire.len().to_string()], "{encoding:?}");
    }
    let call =
        json!({"method": "PUT", "url": "x", "body": {"f": part, "n": "v"}, "body_encoding": "multipart"});
    called(&server, &link, call).await;
    let seen = upstream.take().remove(0);
    let boundary = seen.header("content-type").unwrap().split_once("boundary=").unwrap().1.to_owned();
    assert_eq!((seen.method(), seen.target()), ("PUT", "/base/x"));
    assert_eq!(
        seen.text(),
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nv\r\n--{boundary}--\r\n"
        )
    );
    let own = json!({"method": "PATCH", "url": "/x", "body": {"a": 1}, "headers": {"Content-Type": "application/merge-patch+json"}});
    called(&server, &link, own).await;
    assert_eq!(headers_seen(&upstream, "content-type"), [["application/merge-patch+json"]]);

    // Query and headers.
    let call = json!({"url": "/x?a=1&b=%7e", "query": {"c": [1, "x y"], "d": true}, "headers": {"X-One": "1", "X-Two": ["2", "3"]}});
    called(&server, &link, call).await;
    let seen = upstream.take().remove(0);
    assert_eq!(seen.target(), "/base/x?a=1&b=%7e&c=1&c=x+y&d=true");
    assert_eq!((seen.all("x-one"), seen.all("x-two")), (vec!["1"], vec!["2", "3"]));
    assert!(seen.body.is_empty() && seen.method() == "GET");

    // Replies, described.
    for (url, status, body, encoding) in [
        ("/text", 200, json!("grüezi"), Value::Null),
        ("/binary", 200, json!("/wAB"), json!("base64")),
        ("/problem", 418, json!({"title": "tea"}), Value::Null),
        ("/liar", 200, json!("{no json"), Value::Null),
        ("/empty", 204, Value::Null, Value::Null),
    ] {
        let answer = called(&server, &link, json!({"url": url})).await;
        assert_eq!((&answer["status"], &answer["body"]), (&json!(status), &body), "{url}");
        assert_eq!(answer["body_encoding"], encoding, "{url}");
    }
    let answer = called(&server, &link, json!({"url": "/many"})).await;
    assert_eq!(answer["headers"]["x-list"], "1, 2");
    for gone in ["jackfield-error", "set-cookie", "connection", "x-hop", "keep-alive", "transfer-encoding"] {
        assert!(answer["headers"].get(gone).is_none(), "{gone}: {answer}");
    }

    // Replies, as they are.
    for (url, status, kind, body) in [
        ("/problem", 418, Some("application/problem+json"), r#"{"title":"tea"}"#),
        ("/text", 200, Some("text/plain; charset=utf-8"), "grüezi"),
        ("/many", 200, Some("application/json"), "7"),
        ("/empty", 204, None, ""),
    ] {
        let answer = server.invoke(&link, json!({"url": url, "detailed": false})).await;
        let found = answer.headers.get("content-type").map(|value| value.to_str().unwrap());
        assert_eq!((answer.status, found, answer.text.as_str()), (status, kind, body), "{url}");
        assert!(!answer.headers.contains_key("jackfield-error"), "{url}");
        assert!(!answer.headers.contains_key("set-cookie"), "{url}");
    }

    // What is wrong is named, and nothing is sent.
    upstream.take();
    for (call, field) in [
        (json!({"url": "/x", "method": "get"}), "method"),
        (json!({"url": "/x", "method": "CONNECT"}), "method"),
        (json!({"url": "/x", "query": {"a": {}}}), "query.a"),
        (json!({"url": "/x", "headers": {"a": "b\nc"}}), "headers.a"),
        (json!({"url": "/x", "body": 1, "body_encoding": "form"}), "body"),
        (json!({"url": "/x", "body": "?", "body_encoding": "base64"}), "body"),
        (json!({"url": "/x", "body": "x", "body_encoding": "yaml"}), "body_encoding"),
        (json!({"url": "/x", "body": {"f": {"name": "x"}}, "body_encoding": "multipart"}), "body.f.name"),
        (json!({"url": "/x", "timeout_ms": 0}), "timeout_ms"),
        (json!({"url": "/x", "timeout_ms": 40_001}), "timeout_ms"),
        (json!({"url": "/x", "timeout_ms": -1}), "timeout_ms"),
        (json!({"url": "/x", "environment": "moon"}), "environment"),
        (json!({"url": "/x", "verb": "GET"}), "verb"),
    ] {
        let answer = server.invoke(&link, call).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), [field]);
    }
    assert!(upstream.seen().is_empty());
}

/// What a caller tries to smuggle in.
fn smuggled() -> Value {
    json!({
        "Authorization": "Bearer evil", "authorization": "Basic evil", "Host": "evil.example", "Connection": "X-Named, X-Key",
        "X-Named": "gone", "Keep-Alive": "timeout=1", "Proxy-Authorization": "Basic evil", "Proxy-Connection": "x", "TE": "trailers",
        "Trailer": "x", "Transfer-Encoding": "chunked", "Upgrade": "h2c", "Content-Length": "3", "Expect": "100-continue",
        "Jackfield-Environment": "stage", "Jackfield-Acting-For": "x", "Jackfield-Whatever": "1", "X-Key": ["evil", "evil too"],
        "X-Stays": "yes", "Cookie": "a=1; sid=evil; b=2",
    })
}

#[tokio::test]
async fn the_credential_arrives_at_its_place_and_the_callers_never_does() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let host = upstream.host();
    let document = |name: &str, auth: Value| json!({"name": name, "base_url": upstream.url, "hosts": [host], "auth": auth});
    let fields = |fields: Value| json!({"type": "api_key", "fields": fields});

    let header = connected(&server, keyed("Header", &upstream.url, &[&host]), key()).await;
    called(&server, &header, json!({"url": "/x", "headers": smuggled()})).await;
    let seen = upstream.take().remove(0);
    assert_eq!(seen.all("x-key"), ["s3cret-key"]);
    assert_eq!(seen.all("host"), [host.as_str()]);
    assert_eq!(seen.all("x-stays"), ["yes"]);
    assert_eq!(seen.all("cookie"), ["a=1; sid=evil; b=2"]);
    let text = format!("{:?}", seen.headers).to_lowercase().replace("sid=evil", "");
    for gone in [
        "evil",
        "x-named",
        "keep-alive",
        "proxy-",
        "\"te\"",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "expect",
        "jackfield",
        "authorization",
        "\"connection\"",
    ] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    // The key of the caller himself stays here, too.
    assert!(!text.contains("jfp_"), "{text}");

    let query = json!([{"name": "key", "secret": true, "required": true, "in": "query", "as": "api key"}]);
    let query = connected(&server, document("Query", fields(query)), json!({"key": "a+b &"})).await;
    let call = json!({"url": "/x?api%20key=evil&api+key=evil&a=1&%61pi%20key=evil", "query": {"api key": "evil", "b": "2"}});
    called(&server, &query, call).await;
    assert_eq!(upstream.take()[0].target(), "/x?a=1&b=2&api+key=a%2Bb+%26");

    let cookie = json!([{"name": "key", "secret": true, "required": true, "in": "cookie", "as": "sid"}]);
    let cookie = connected(&server, document("Cookie", fields(cookie)), json!({"key": "s3cret"})).await;
    called(&server, &cookie, json!({"url": "/x", "headers": smuggled()})).await;
    assert_eq!(headers_seen(&upstream, "cookie"), [["a=1; b=2; sid=s3cret"]]);

    let body = json!([{"name": "key", "secret": true, "required": true, "in": "body", "as": "token"}]);
    let body = connected(&server, document("Body", fields(body)), json!({"key": "s3cret"})).await;
    for (call, wire) in [
        (json!({"body": {"a": 1, "token": "evil"}}), r#"{"a":1,"token":"s3cret"}"#),
        (json!({"body": {"a": "1", "token": ["evil", "evil"]}, "body_encoding": "form"}), "a=1&token=s3cret"),
        (json!({}), r#"{"token":"s3cret"}"#),
    ] {
        let mut call = call;
        call["method"] = "POST".into();
        called(&server, &body, call).await;
        let seen = upstream.take().remove(0);
        assert_eq!((seen.text(), seen.all("content-length")), (wire, vec![wire.len().to_string().as_str()]));
    }
    let list = json!({"method": "POST", "body": [1]});
    assert_eq!(server.invoke(&body, list).await.problem(422, "invalid_input")["errors"][0]["field"], "body");

    // Several fields, prefixes, and a parameter of the connection beside them.
    let several = json!([
        {"name": "id", "required": true, "in": "header", "as": "X-Id"},
        {"name": "secret", "secret": true, "required": true, "in": "header", "as": "Authorization", "prefix": "Token token="},
        {"name": "site", "required": false, "in": "query", "as": "site"},
    ]);
    let mut several = document("Several", fields(several));
    several["parameters"] =
        json!([{"name": "tenant", "required": true, "in": "header", "as": "X-Tenant", "prefix": "t-"}]);
    let connector = server.connector(several).await;
    let new = json!({"connector": connector, "name": "Several", "parameters": {"tenant": "7"}});
    let several = server.connection(new).await;
    let credentials = json!({"credentials": {"id": "me", "secret": "s3cret"}});
    server.post(&format!("/v1/connections/{several}/authorizations"), credentials).await.expect(201);
    let call = json!({"url": "/x", "headers": {"X-Tenant": "evil", "X-Id": "evil", "Authorization": "evil"}});
    called(&server, &several, call).await;
    let seen = upstream.take().remove(0);
    assert_eq!(seen.all("x-id"), ["me"]);
    assert_eq!(seen.all("authorization"), ["Token token=s3cret"]);
    assert_eq!(seen.all("x-tenant"), ["t-7"]);
    assert_eq!(seen.target(), "/x");

    // Basic is UTF-8 (RFC 7617), and colons belong to the password.
    let basic = json!({"username": "zoë", "password": "pä:ss✓"});
    let basic = connected(&server, document("Basic", json!({"type": "basic"})), basic).await;
    called(&server, &basic, json!({"url": "/x", "headers": smuggled()})).await;
    assert_eq!(headers_seen(&upstream, "authorization"), [["Basic em/Dqzpww6Q6c3PinJM="]]);

    let none = connected(&server, document("Open", json!({"type": "none"})), json!({})).await;
    called(&server, &none, json!({"url": "/x", "headers": smuggled()})).await;
    let seen = upstream.take().remove(0);
    assert!(seen.all("authorization").is_empty());
    assert_eq!(seen.all("host"), [host.as_str()]);
}

#[tokio::test]
async fn a_call_goes_where_the_connector_allows_and_nowhere_else() {
    let home = Home::sqlite();
    let server = home.start();
    let answer = |request: &Message| json_reply(&json!({"target": request.target()}));
    let (first, second, foreign) = (
        Upstream::answering(answer).await,
        Upstream::answering(answer).await,
        Upstream::answering(answer).await,
    );
    let base = format!("{}/v1/", first.url);
    let document = keyed("Places", &base, &[&first.host(), &second.host()]);
    let link = connected(&server, document, key()).await;

    for (url, target) in [
        ("", "/v1/"),
        ("/", "/v1/"),
        ("a", "/v1/a"),
        ("/a", "/v1/a"),
        ("/a//b/", "/v1/a//b/"),
        ("/a%2Fb%20c", "/v1/a%2Fb%20c"),
        ("/a b/ü", "/v1/a%20b/%C3%BC"),
        ("/a?", "/v1/a?"),
        ("/a?x=1&&y=%7E&y=+", "/v1/a?x=1&&y=%7E&y=+"),
        ("?x=..", "/v1?x=.."),
        ("/...", "/v1/..."),
    ] {
        let answer = called(&server, &link, json!({"url": url})).await;
        assert_eq!(answer["body"]["target"], target, "{url}");
    }
    for url in [format!("{}/elsewhere?a=1", second.url), format!("HTTP://{}/elsewhere?a=1", second.host())] {
        let answer = called(&server, &link, json!({ "url": url })).await;
        assert_eq!(answer["body"]["target"], "/elsewhere?a=1");
    }
    assert_eq!(headers_seen(&second, "x-key"), [["s3cret-key"], ["s3cret-key"]]);
    first.take();

    // Refused as input: it means something else than it says.
    for url in [
        "/../admin",
        "/a/./b",
        "/a/..",
        "..",
        "/%2e%2e/admin",
        "/a/%2E%2e%2fadmin",
        "/%252e%252e/admin",
        "/..%5cadmin",
        "/..;/admin",
        "\\evil",
        "//127.0.0.1/x",
        "/a#fragment",
        "@evil",
        "file:///etc/passwd",
        "gopher://x/",
        "javascript:1",
        "/a\nb",
        "/a\u{7f}",
        " /a",
        &format!("http://user@{}/", first.host()),
        &format!("http://user:pw@{}/", first.host()),
        &format!("http://{}\\@{}/", first.host(), foreign.host()),
        "http:///x",
        "http://",
        "https://127.0.0.1:99999/",
        "http://127.1/",
        "http://0x7f000001/",
    ] {
        let answer = server.invoke(&link, json!({ "url": url })).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), ["url"], "{url}");
    }
    // Refused as a place.
    for url in [
        foreign.url.clone(),
        format!("{}/v1/a", foreign.url),
        format!("http://localhost:{}/", first.port),
        format!("https://{}/", foreign.host()),
        "http://127.0.0.1/".to_owned(),
        "https://127.0.0.1/".to_owned(),
        format!("http://127.0.0.1.example.com:{}/", first.port),
        format!("http://[::1]:{}/", first.port),
    ] {
        let answer = server.invoke(&link, json!({ "url": url, "detailed": false })).await;
        answer.problem(403, "host_not_allowed");
    }
    assert!(first.seen().is_empty() && foreign.seen().is_empty());
}

#[tokio::test]
async fn redirects_are_followed_within_the_hosts_and_the_credential_goes_no_further() {
    let home = Home::sqlite();
    let server = home.start();
    // `/hops/3` leads to `/hops/2` and so on; `/to?…` leads where the query says.
    let answer = |request: &Message| {
        let target = request.target();
        if let Some(to) = target.strip_prefix("/to?") {
            return reply(302, &[("location", to)], "moved");
        }
        if let Some(status) = target.strip_prefix("/status/") {
            return reply(status.parse().unwrap(), &[("location", "/end")], "moved");
        }
        match target.strip_prefix("/hops/").map(|n| n.parse::<u32>().unwrap()) {
            Some(n @ 1..) => reply(307, &[("location", &format!("/hops/{}", n - 1))], "moved"),
            _ => json_reply(&json!({"end": true})),
        }
    };
    let (first, second, foreign) = (
        Upstream::answering(answer).await,
        Upstream::answering(answer).await,
        Upstream::answering(answer).await,
    );
    let document = keyed("Hops", &first.url, &[&first.host(), &second.host()]);
    let link = connected(&server, document, key()).await;

    for url in [
        "/hops/5".to_owned(),
        format!("/to?{}/end", second.url),
        "/status/301".into(),
        "/status/303".into(),
        "/status/308".into(),
    ] {
        let answer = called(&server, &link, json!({ "url": url })).await;
        assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!({"end": true})), "{url}");
    }
    // It arrives once at each stop, also at the other allowed host.
    assert_eq!(headers_seen(&second, "x-key"), [["s3cret-key"]]);
    assert!(headers_seen(&first, "x-key").iter().all(|keys| *keys == ["s3cret-key"]));
    let head = called(&server, &link, json!({"method": "HEAD", "url": "/hops/1"})).await;
    assert_eq!(head["status"], 200);

    server.invoke(&link, json!({"url": "/hops/6"})).await.problem(502, "upstream_unreachable");
    for method in ["POST", "PUT", "DELETE"] {
        let answer = called(&server, &link, json!({"method": method, "url": "/hops/1", "body": {}})).await;
        assert_eq!((&answer["status"], &answer["headers"]["location"]), (&json!(307), &json!("/hops/0")));
    }
    first.take();
    for to in [
        format!("{}/steal", foreign.url),
        format!("//{}/steal", foreign.host()),
        format!("http://localhost:{}/steal", first.port),
        "https://example.com/".to_owned(),
        "ftp://example.com/".to_owned(),
        "data:text/plain,x".to_owned(),
    ] {
        let answer = server.invoke(&link, json!({"url": format!("/to?{to}")})).await;
        answer.problem(403, "host_not_allowed");
    }
    // What cannot be read is not followed.
    for to in [format!("http://user:pw@{}/", second.host()), "http://".to_owned()] {
        let answer = server.invoke(&link, json!({"url": format!("/to?{to}")})).await;
        assert!(
            (400..600).contains(&answer.status) && answer.headers.contains_key("jackfield-error"),
            "{to}"
        );
    }
    assert!(foreign.seen().is_empty() && second.seen().is_empty());
    // Neither is what is no redirect to anywhere.
    for status in [300, 304] {
        let url = format!("/status/{status}");
        let answer = server.invoke(&link, json!({"url": url, "headers": {"if-none-match": "x"}})).await;
        assert!(answer.status == 200, "{status}: {}", answer.text);
    }
}

#[tokio::test]
async fn limits_and_failures_have_their_codes() {
    let home = Home::sqlite().set("JACKFIELD_RESPONSE_LIMIT", "1000").set("JACKFIELD_REQUEST_LIMIT", "2000");
    let server = home.start();
    let upstream = Upstream::answering(|request| {
        let chunk = |length: usize| format!("{length:x}\r\n{}\r\n", "x".repeat(length));
        let chunked = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        match request.target() {
            "/1000" => reply(200, &[("content-type", "text/plain")], "x".repeat(1000)),
            "/1001" => reply(200, &[], "x".repeat(1001)),
            "/chunked-1000" => format!("{chunked}{}{}0\r\n\r\n", chunk(400), chunk(600)).into_bytes(),
            "/chunked-1001" => format!("{chunked}{}{}0\r\n\r\n", chunk(400), chunk(601)).into_bytes(),
            "/chunked-cut" => format!("{chunked}{}", chunk(400)).into_bytes(),
            "/cut" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec(),
            "/cut-head" => b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(),
            "/garbage" => b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(),
            "/nothing" => Vec::new(),
            "/500" => reply(500, &[("content-type", "text/html")], "<h1>oops</h1>"),
            "/503" => reply(503, &[("retry-after", "120")], "later"),
            _ => json_reply(&json!({})),
        }
    })
    .await;
    let link = to_upstream(&server, "Limits", &upstream).await;

    for url in ["/1000", "/chunked-1000"] {
        let answer = called(&server, &link, json!({ "url": url })).await;
        assert_eq!(answer["body"].as_str().unwrap().len(), 1000);
    }
    for url in ["/1001", "/chunked-1001"] {
        server.invoke(&link, json!({ "url": url })).await.problem(502, "response_too_large");
    }
    for url in ["/cut", "/chunked-cut", "/cut-head", "/garbage", "/nothing"] {
        for detailed in [true, false] {
            let answer = server.invoke(&link, json!({"url": url, "detailed": detailed})).await;
            answer.problem(502, "upstream_unreachable");
        }
    }
    let answer = server.invoke(&link, json!({"url": "/500", "detailed": false})).await;
    assert_eq!((answer.status, answer.text.as_str()), (500, "<h1>oops</h1>"));
    let answer = server.invoke(&link, json!({"url": "/503", "detailed": false})).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (503, "120"));
    assert!(!answer.headers.contains_key("jackfield-error"));

    // Requests: this limit is of invoke, the API has its own of 4 MiB.
    let call = |size: usize| json!({"method": "POST", "url": "/x", "body": "x".repeat(size), "body_encoding": "text"});
    called(&server, &link, call(1800)).await;
    server.invoke(&link, call(2000)).await.problem(413, "request_too_large");
    let connector = |size: usize| json!({"name": "Big", "base_url": "https://example.com", "auth": {"type": "none"}, "notes": "x".repeat(size)});
    let answer = server.post("/v1/connectors", connector(100_000)).await;
    assert!(matches!(answer.status, 201 | 422), "{}", answer.text);
    server.post("/v1/connectors", connector(4 << 20)).await.problem(413, "request_too_large");

    // Nobody there: nothing listens at this port any more.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let closed = keyed("Closed", &format!("http://127.0.0.1:{port}"), &[&format!("127.0.0.1:{port}")]);
    let closed = connected(&server, closed, key()).await;
    server.invoke(&closed, json!({"url": "/"})).await.problem(502, "upstream_unreachable");
    let nowhere = keyed("Nowhere", "https://jackfield-test.invalid", &["jackfield-test.invalid"]);
    let nowhere = connected(&server, nowhere, key()).await;
    server.invoke(&nowhere, json!({"url": "/"})).await.problem(502, "upstream_unreachable");

    // Too slow: before the head, and in the middle of the body.
    let slow = Upstream::talking(|mut wire, _| async move {
        let head = wire.head().await.unwrap();
        if head.target() == "/stalls" {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        }
        wire.some().await;
    })
    .await;
    let slow = to_upstream(&server, "Slow", &slow).await;
    for url in ["/silent", "/stalls"] {
        let answer = server.invoke(&slow, json!({"url": url, "timeout_ms": 300})).await;
        answer.problem(504, "upstream_timeout");
    }
    server.invoke(&slow, json!({"url": "/silent", "timeout_ms": 1})).await.problem(504, "upstream_timeout");
}

#[tokio::test]
async fn bodies_of_invoke_may_have_16_mebibytes() {
    let home = Home::sqlite();
    let server = home.start();
    let sandbox = consenting().await;
    let link = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
    let path = format!("/v1/connections/{link}/authorizations");
    let key = json!({"credentials": {"api_key": jackfield_sandbox::ADA_API_KEY}});
    server.post(&path, key).await.expect(201);
    let call = |size: usize| json!({"method": "POST", "url": "/sink", "body": "x".repeat(size), "body_encoding": "text"});
    let answer = called(&server, &link, call(15 << 20)).await;
    assert_eq!(answer["body"]["bytes"], 15 << 20);
    server.invoke(&link, call(16 << 20)).await.problem(413, "request_too_large");
    let answer = called(&server, &link, json!({"url": "/stream?bytes=16777216"})).await;
    assert_eq!(answer["status"], 200);
    let answer = server.invoke(&link, json!({"url": "/stream?bytes=16777217"})).await;
    answer.problem(502, "response_too_large");
}

#[tokio::test]
async fn a_refused_token_is_refreshed_once_and_tried_once_more() {
    let home = Home::sqlite();
    let server = home.start();
    let sandbox = consenting().await;
    let scopes = json!({"scopes": ["profile", "vendors:read", "vendors:write"]});
    let link = server.sandbox_connection(&sandbox, "sandbox", scopes).await;
    server.authorize(&link, json!({})).await;
    let refreshes = || sandbox.handle.counters().grants.get("refresh_token").copied().unwrap_or(0);
    let api_calls = |path: &str| sandbox.handle.counters().api_calls.get(path).copied().unwrap_or(0);

    // Many calls find the same token refused: one refresh serves them all.
    sandbox.handle.expire_access_tokens();
    let calls = (0..10).map(|_| server.invoke(&link, json!({"url": "/me"})));
    for answer in all(calls).await {
        assert_eq!(answer.expect(200)["status"], 200);
    }
    assert_eq!(refreshes(), 1);

    // A body is sent again, and the service has acted once.
    sandbox.handle.expire_access_tokens();
    let vendor = json!({"DisplayName": "Sent again"});
    let answer = called(&server, &link, json!({"method": "POST", "url": "/vendors", "body": vendor})).await;
    assert_eq!(answer["status"], 201, "{answer}");
    assert_eq!(refreshes(), 2);
    assert_eq!(sandbox.handle.vendors().iter().filter(|v| v.display_name == "Sent again").count(), 1);

    // A service that goes on refusing is believed.
    let answer = called(&server, &link, json!({"url": "/status/401"})).await;
    assert_eq!(answer["status"], 401);
    assert_eq!((refreshes(), api_calls("/api/v1/status/401")), (3, 2));

    // A failing token endpoint does not hide the service's answer, nor break the authorization.
    sandbox.handle.expire_access_tokens();
    sandbox.handle.set_fault_at(Place::Token, Fault::Status(500), Some(1));
    let answer = server.invoke(&link, json!({"url": "/me"})).await;
    assert!(answer.status == 502 || answer.expect(200)["status"] == 401, "{}", answer.text);
    sandbox.handle.clear_faults();

    // Once the person has taken the grant back, it is said what is to be done.
    sandbox.handle.revoke_person("Ada");
    eventually_reauthorization(&server, &link).await;
    let view = server.get(&format!("/v1/connections/{link}")).await.expect(200);
    assert_eq!(view["status"]["production"], "reauthorization_required");
    let answer = server.invoke(&link, json!({"url": "/me", "detailed": false})).await;
    answer.problem(409, "reauthorization_required");
}

/// Calls until the service's refusal of the refresh token is known here.
async fn eventually_reauthorization(server: &Server, link: &str) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(40);
    loop {
        let answer = server.invoke(link, json!({"url": "/me"})).await;
        if answer.status == 409 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{} {}", answer.status, answer.text);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Runs them all at once.
async fn all<T>(futures: impl Iterator<Item = T>) -> Vec<T::Output>
where
    T: Future,
{
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().map(|slot| slot.take().unwrap()).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn who_may_call_where_and_for_whom() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let connector = server.connector(keyed("Ways", &upstream.url, &[&upstream.host()])).await;
    let each = json!({"connector": connector, "name": "Each its own", "same_authorization": false});
    let each = server.connection(each).await;
    let call = |more: Value| {
        let mut call = json!({"url": "/x"});
        for (name, value) in more.as_object().unwrap() {
            call[name] = value.clone();
        }
        call
    };
    let answer = server.invoke(&each, call(json!({"detailed": false}))).await;
    answer.problem(409, "not_connected");
    let path = format!("/v1/connections/{each}/authorizations");
    server.post(&path, json!({"credentials": key(), "environments": ["stage"]})).await.expect(201);
    server.invoke(&each, call(json!({}))).await.problem(409, "not_connected");
    server.invoke(&each, call(json!({"environment": "development"}))).await.problem(409, "not_connected");
    server.invoke(&each, call(json!({"environment": "stage"}))).await.expect(200);
    assert_eq!(upstream.take().len(), 1);

    // For whom: a personal key is its own member, and nobody else.
    let me = server.get("/v1/me").await.expect(200);
    let me = me["id"].as_str().or(me["member"]["id"].as_str()).unwrap().to_owned();
    let user = server.connection(json!({"connector": connector, "name": "Mine", "level": "user"})).await;
    let path = format!("/v1/connections/{user}/authorizations");
    server.post(&path, json!({"credentials": key()})).await.expect(201);
    let admin = server.connection(json!({"connector": connector, "name": "Ours"})).await;
    let path = format!("/v1/connections/{admin}/authorizations");
    server.post(&path, json!({"credentials": key()})).await.expect(201);
    for link in [&user, &admin] {
        for fine in [Value::Null, json!(me)] {
            server.invoke(link, call(json!({"acting_for": fine}))).await.expect(200);
        }
        for other in ["mem_somebody", ""] {
            let answer = server.invoke(link, call(json!({"acting_for": other}))).await;
            answer.problem(403, "acting_for_not_allowed");
        }
    }
    upstream.take();

    // Disabled from the moment the answer is there, and enabled again likewise.
    for _ in 0..3 {
        server.post(&format!("/v1/connections/{admin}/disable"), json!({})).await.expect(200);
        server.invoke(&admin, call(json!({}))).await.problem(409, "connection_disabled");
        server.post(&format!("/v1/connections/{admin}/enable"), json!({})).await.expect(200);
        server.invoke(&admin, call(json!({}))).await.expect(200);
    }
    assert_eq!(upstream.take().len(), 3);

    // Somebody else's connection is not there.
    let stranger = home.organization("Other");
    let other = server.with_key(&stranger.key);
    let path = format!("/v1/connections/{admin}/invoke");
    other.api("POST", &path, call(json!({}))).await.problem(404, "not_found");
    other.api("GET", &format!("/v1/connections/{admin}/calls"), Value::Null).await.problem(404, "not_found");
    server.invoke("nobody", call(json!({}))).await.problem(404, "not_found");
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn calls_are_recorded_without_query_and_secrets() {
    let home = Home::sqlite();
    let server = home.start();
    let upstream = Upstream::answering(|request| match request.target() {
        "/boom" => Vec::new(),
        _ => json_reply(&json!({"answer": "s3cret-answer"})),
    })
    .await;
    let link = to_upstream(&server, "Recorded", &upstream).await;
    let path = format!("/v1/connections/{link}/calls");
    assert_eq!(server.get(&path).await.expect(200)["items"], json!([]));
    let call = json!({
        "method": "POST", "url": "/a/b?q=s3cret-query", "query": {"z": "s3cret-query"}, "headers": {"x": "s3cret-header"},
        "body": "s3cret-body",
    });
    let answer = server.invoke(&link, call).await;
    answer.expect(200);
    server.invoke(&link, json!({"url": "/boom"})).await.problem(502, "upstream_unreachable");
    server.invoke(&link, json!({"url": "http://elsewhere.example/"})).await.problem(403, "host_not_allowed");
    server.request("GET", &format!("/v1/proxy/{link}/p?q=s3cret-query")).send().await.unwrap();
    let calls = server.get(&path).await;
    assert!(!calls.text.contains("s3cret"), "{}", calls.text);
    let calls = calls.expect(200)["items"].as_array().unwrap().clone();
    let seen: Vec<Value> = calls
        .iter()
        .map(|c| json!([c["via"], c["method"], c["host"], c["path"], c["status"], c["error"]]))
        .collect();
    let host = upstream.host();
    assert_eq!(
        seen,
        [
            json!(["proxy", "GET", host, "/p", 200, null]),
            json!(["invoke", "GET", "", "", null, "host_not_allowed"]),
            json!(["invoke", "GET", host, "/boom", null, "upstream_unreachable"]),
            json!(["invoke", "POST", host, "/a/b", 200, null]),
        ]
    );
    let first = &calls[3];
    assert_eq!(
        first["request_id"].as_str().unwrap(),
        answer.headers["jackfield-request-id"].to_str().unwrap()
    );
    assert_eq!(first["environment"], "production");
    assert!(first["authorization"].is_string() && first["principal"].is_string() && first["at"].is_string());
    let (took, service) = (first["duration_ms"].as_f64().unwrap(), first["service_ms"].as_f64().unwrap());
    assert!(service > 0.0 && service <= took, "{service} of {took}");
    assert!(calls[0]["service_ms"].as_f64().unwrap() <= calls[0]["duration_ms"].as_f64().unwrap());
    assert_eq!(calls[1]["service_ms"], Value::Null, "it was not asked");
    assert!(calls[2]["service_ms"].is_number(), "it was asked, and broke off");
    let page = server.get(&format!("{path}?limit=3")).await.expect(200);
    let next = page["next_cursor"].as_str().unwrap();
    let rest = server.get(&format!("{path}?limit=3&cursor={next}")).await.expect(200);
    assert_eq!((&rest["items"], &rest["next_cursor"]), (&json!([calls[3]]), &Value::Null));
    assert!(!server.log().contains("s3cret"), "the log tells a secret");
}

#[tokio::test]
async fn another_connection_of_the_same_name_begins_without_calls() {
    for home in Home::both() {
        let server = home.start();
        let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
        let connector = server.connector(keyed("Mirror", &upstream.url, &[&upstream.host()])).await;
        for _ in 0..2 {
            server.connection(json!({"connector": connector, "name": "Same", "link_name": "same"})).await;
            assert_eq!(server.get("/v1/connections/same/calls").await.expect(200)["items"], json!([]));
            let credentials = json!({"credentials": key()});
            server.post("/v1/connections/same/authorizations", credentials).await.expect(201);
            server.invoke("same", json!({"url": "/a"})).await.expect(200);
            let calls = server.get("/v1/connections/same/calls").await.expect(200);
            assert_eq!(calls["items"].as_array().unwrap().len(), 1, "its own are there: {calls}");
            server.api("DELETE", "/v1/connections/same", Value::Null).await.expect(204);
            if home.database_url().starts_with("postgres") {
                let count = home.sql("select count(*) from call_rates where connection = 'same'");
                assert_eq!(count.trim(), "0");
            }
        }
    }
}

#[tokio::test]
async fn a_warm_call_asks_the_database_nothing() {
    for home in Home::both() {
        let server = home.start();
        let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
        let link = to_upstream(&server, "Warm", &upstream).await;
        let path = format!("/v1/connections/{link}/calls?limit=1");
        // Whatever is recorded of calls is in the store when this answers.
        let counted = async |calls: usize| {
            server.get(&path).await.expect(200);
            let before = server.statements().await;
            for wave in (0..calls).step_by(25) {
                // At once, so that time, which has statements of its own, counts for little.
                let both = (wave..calls.min(wave + 25)).map(async |_| {
                    server.invoke(&link, json!({"url": "/x"})).await.expect(200);
                    let proxied = server.request("GET", &format!("/v1/proxy/{link}/x")).send().await.unwrap();
                    assert_eq!(proxied.status(), 200);
                });
                all(both).await;
            }
            server.get(&path).await.expect(200);
            server.statements().await - before
        };
        counted(5).await;
        let (few, many) = (counted(1).await, counted(200).await);
        // Records are written in batches, and the background looks for work each second. One statement for each call would be 400 more.
        assert!(many < few + 300, "{few} statements for 2 calls, {many} for 400");
    }
}

#[tokio::test]
async fn what_is_signed_by_oauth1_is_accepted_with_query_and_form() {
    let home = Home::sqlite();
    let server = home.start();
    let sandbox = consenting().await;
    let link = server.sandbox_connection(&sandbox, "sandbox_oauth1", json!({})).await;
    server.authorize(&link, json!({})).await;
    for call in [
        json!({"url": "/me/echo?a=1&a=2&b=%20x&c", "query": {"d": "ü &", "e": ""}}),
        json!({"method": "POST", "url": "/me/echo", "body": {"a": ["1", "2"], "b": "x y"}, "body_encoding": "form"}),
        json!({"method": "POST", "url": "/me/echo?q=1", "body": {"a": 1}, "headers": smuggled()}),
        json!({"method": "DELETE", "url": "/me/echo/"}),
    ] {
        let answer = called(&server, &link, call.clone()).await;
        if call["url"] == "/me/echo/" {
            assert_eq!(answer["status"], 404);
            continue;
        }
        assert_eq!(answer["status"], 200, "{call}: {answer}");
        assert_eq!(answer["body"]["caller"]["credential"], "oauth1", "{answer}");
    }
    let mirror = called(&server, &link, json!({"url": "/echo", "headers": smuggled()})).await;
    let authorization = mirror["body"]["headers"]["authorization"].as_str().unwrap();
    assert!(authorization.starts_with("OAuth ") && find(authorization.as_bytes(), b"evil").is_none());
    assert_eq!(mirror["body"]["path"], ECHO);
    eventually("the call is counted", || sandbox.handle.counters().api_calls.contains_key(ECHO)).await;
}
