//! What goes out on the wire.

use super::*;

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let server = Server::http(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Response::builder().status(302).header("location", "/elsewhere").body(full("")).unwrap() }
    })
    .await;
    let egress = inward();
    assert_eq!(egress.send(get(&server.url("/")), None).await.unwrap().status(), 302);
    assert_eq!(egress.exchange(get_bytes(&server.url("/")), 10, later()).await.unwrap().status(), 302);
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

/// What a request looks like on the wire, its header lines in order of the alphabet, and its body.
async fn on_the_wire(request: Request<EgressBody>, exchange: bool) -> (String, Vec<String>, Vec<u8>) {
    let (seen, mut heads) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut stream| {
        let seen = seen.clone();
        async move {
            let (head, mut body) = read_head(&mut stream).await;
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "))
                .map_or(0, |l| l.parse().unwrap());
            let chunked = head.contains("transfer-encoding: chunked");
            while (chunked && !body.ends_with(b"0\r\n\r\n")) || body.len() < length {
                assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            seen.send((head, body)).unwrap();
        }
    })
    .await;
    let (mut parts, body) = request.into_parts();
    parts.uri = server.url(&parts.uri.to_string()).parse().unwrap();
    let status = if exchange {
        let EgressBody::Full(body) = body else { unreachable!() };
        inward().exchange(Request::from_parts(parts, body), 10, later()).await.unwrap().status()
    } else {
        inward().send(Request::from_parts(parts, body), Some(later())).await.unwrap().status()
    };
    assert_eq!(status, 204);
    let (head, body) = heads.recv().await.unwrap();
    let head = head.replace(&server.address.to_string(), "ADDRESS");
    let (first, rest) = head.trim_end().split_once("\r\n").unwrap();
    let mut lines: Vec<String> = rest.split("\r\n").map(str::to_owned).collect();
    lines.sort();
    (first.to_owned(), lines, body)
}

#[tokio::test]
async fn headers_go_out_as_they_are_but_host_and_framing_are_the_clients() {
    for exchange in [false, true] {
        let request = Request::post("/a/b%2Fc?d=e%20f&g")
            .version(Version::HTTP_2)
            .header("authorization", "Bearer x")
            .header("x-twice", "1")
            .header("x-twice", "2")
            .header("host", "elsewhere.example")
            .header("content-length", "5000")
            .header("transfer-encoding", "chunked")
            .body(EgressBody::Full(Bytes::from_static(b"body")))
            .unwrap();
        let (first, headers, body) = on_the_wire(request, exchange).await;
        assert_eq!(first, "POST /a/b%2Fc?d=e%20f&g HTTP/1.1");
        assert_eq!(
            headers,
            ["authorization: Bearer x", "content-length: 4", "host: ADDRESS", "x-twice: 1", "x-twice: 2"]
        );
        assert_eq!(body, b"body");

        let empty = Request::post("/").body(EgressBody::Full(Bytes::new())).unwrap();
        let (first, headers, _) = on_the_wire(empty, exchange).await;
        assert_eq!(
            (first.as_str(), headers),
            ("POST / HTTP/1.1", vec!["content-length: 0".into(), "host: ADDRESS".into()])
        );

        let get = Request::get("/?q").body(EgressBody::Full(Bytes::new())).unwrap();
        let (first, headers, _) = on_the_wire(get, exchange).await;
        assert_eq!((first.as_str(), headers), ("GET /?q HTTP/1.1", vec!["host: ADDRESS".into()]));
    }
}

#[tokio::test]
async fn the_host_header_leaves_out_the_schemes_own_port() {
    for (url, host) in [
        ("https://a.example/", "a.example"),
        ("https://a.example:443/", "a.example"),
        ("https://a.example:80/", "a.example:80"),
        ("http://a.example:80/", "a.example"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ] {
        assert_eq!(host_header(&url.parse().unwrap()).unwrap(), host);
    }
}

#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_arrives_with_it() {
    let upstream = Server::http(|request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::new(body))
    })
    .await;
    let front = passing_on(inward(), upstream.url("/")).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nquery\r\n0\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nquery"), "{answer}");
}

#[tokio::test]
async fn a_streamed_body_that_breaks_off_is_not_the_services_fault() {
    let (seen, mut ends) = mpsc::unbounded_channel();
    let upstream = Server::raw(move |mut stream| {
        let seen = seen.clone();
        async move {
            read_head(&mut stream).await;
            seen.send("begun").unwrap();
            while !matches!(stream.read(&mut [0; 1024]).await, Ok(0) | Err(_)) {}
            seen.send("closed").unwrap();
        }
    })
    .await;
    let (told, mut errors) = mpsc::unbounded_channel();
    let (egress, to) = (inward(), upstream.url("/"));
    let front = Server::http(move |request| {
        let (egress, to, told) = (egress.clone(), to.clone(), told.clone());
        // In a task of its own: the server drops its handler when the client goes.
        let sending = tokio::spawn(async move {
            let outgoing = Request::post(to).body(EgressBody::Stream(request.into_body())).unwrap();
            told.send(egress.send(outgoing, None).await.expect_err("half a body")).unwrap();
        });
        async move {
            sending.await.unwrap();
            Response::new(full(""))
        }
    })
    .await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    assert_eq!(ends.recv().await, Some("begun"));
    drop(stream);
    let error = errors.recv().await.unwrap();
    assert_eq!(error, EgressError::BodyBrokeOff);
    assert!(error.request_was_sent());
    assert_eq!(ends.recv().await, Some("closed"), "the service sees that the request was not whole");
}

#[tokio::test]
async fn connections_are_reused_by_send_and_never_by_exchange() {
    let server = Server::ok().await;
    let egress = inward();
    for _ in 0..50 {
        let response = egress.clone().send(get(&server.url("/")), Some(later())).await.unwrap();
        Egress::collect(response.into_body(), 10, later()).await.unwrap();
    }
    let pooled = server.connections();
    assert!(pooled <= 5, "{pooled} connections for 50 requests");
    for _ in 0..5 {
        egress.exchange(get_bytes(&server.url("/")), 10, later()).await.unwrap();
    }
    assert_eq!(server.connections(), pooled + 5);
}
