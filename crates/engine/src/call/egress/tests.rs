//! Against real servers on loopback, well-behaved and not.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;

const MIB: usize = 1024 * 1024;

// ---------------------------------------------------------------------------------------------------------------------
// Servers

/// A server on loopback that counts its connections.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Hands every connection to a script.
    async fn raw<F, S>(script: S) -> Self
    where
        F: Future<Output = ()> + Send,
        S: Fn(TcpStream) -> F + Clone + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let script = script.clone();
                tokio::spawn(async move { script(stream).await });
            }
        });
        Self { address, connections }
    }

    /// Answers every request over HTTP/1.1, and keeps connections alive.
    async fn http<B, F, H>(handler: H) -> Self
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
        F: Future<Output = Response<B>> + Send,
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    {
        Self::raw(move |stream| {
            let handler = handler.clone();
            async move { answer(stream, handler).await }
        })
        .await
    }

    /// Answers every request with 200 and "ok".
    async fn ok() -> Self {
        Self::http(|_| async { Response::new(full("ok")) }).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn url_as(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.address.port())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn answer<S, B, F, H>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    F: Future<Output = Response<B>> + Send,
    H: Fn(Request<Incoming>) -> F + Send,
{
    let service = service_fn(move |request| {
        let response = handler(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    // How a connection ends is the client's affair.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

fn full(text: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(text.as_bytes()))
}

/// A request's head as text, and what of its body came along.
async fn read_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "closed within the head");
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap(), body);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Clients

fn egress(allow: &[&str]) -> Egress {
    let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
    Egress::new(EgressOptions { allow, ..EgressOptions::default() }).unwrap()
}

fn inward() -> Egress {
    egress(&["127.0.0.0/8", "::1/128"])
}

fn get(url: &str) -> Request<EgressBody> {
    Request::get(url).body(EgressBody::Empty).unwrap()
}

fn get_bytes(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

/// Far away: nothing but a hang meets it.
fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// Near: for what hangs on purpose.
fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

/// The refusal that all three ways out agree on.
async fn refusal(egress: &Egress, url: &str) -> EgressError {
    let error = egress.send(get(url), Some(later())).await.expect_err(url);
    assert_eq!(egress.exchange(get_bytes(url), 10, later()).await.expect_err(url), error);
    assert_eq!(egress.upgrade(get(url), later()).await.expect_err(url), error);
    assert!(!error.request_was_sent());
    error
}

// ---------------------------------------------------------------------------------------------------------------------
// Addresses

/// Names that the machine itself resolves, with where they lead.
fn names_of_this_machine() -> Vec<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut names = vec!["localhost".to_owned()];
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        if address::inside(address).is_some() {
            names.extend(words.map(str::to_owned));
        }
    }
    names
}

#[tokio::test]
async fn what_is_inside_is_refused_by_default_under_every_name() {
    let server = Server::ok().await;
    let mut hosts = names_of_this_machine();
    hosts.extend(
        [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
        ]
        .map(str::to_owned),
    );
    hosts.extend(
        ["[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "[fd00:ec2::254]"].map(str::to_owned),
    );
    let egress = egress(&[]);
    for host in hosts {
        for url in [server.url_as(&host), server.url_as(&host).replace("http:", "https:")] {
            let error = refusal(&egress, &url).await;
            assert!(
                matches!(&error, EgressError::AddressNotAllowed { host: told, refusal: Refusal::Inside { .. } } if *told == host),
                "{url}: {error:?}"
            );
        }
    }
    // Whether this one has an address is the resolver's affair.
    refusal(&egress, &server.url_as("localhost.")).await;
    assert_eq!(server.connections(), 0, "not even a connection was made");
}

#[tokio::test]
async fn what_the_operator_lists_is_reached() {
    let server = Server::ok().await;
    let hosts = ["127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]"];
    for egress in
        [inward(), Egress::new(EgressOptions { unrestricted: true, ..EgressOptions::default() }).unwrap()]
    {
        for host in hosts {
            let response = egress.send(get(&server.url_as(host)), None).await.unwrap();
            assert_eq!(Egress::collect(response.into_body(), 10, later()).await.unwrap(), "ok", "{host}");
        }
    }
    let other = egress(&["10.0.0.0/8", "::/0"]);
    for host in hosts {
        refusal(&other, &server.url_as(host)).await;
    }
}

#[tokio::test]
async fn ipv4_in_unusual_notations_is_no_host_even_where_it_would_lead_to_a_listed_address() {
    let server = Server::ok().await;
    for egress in [egress(&[]), inward()] {
        for host in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0X7F.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "127.0.0.1.",
            "127.0.0.01",
            "256.0.0.1",
        ] {
            let error = refusal(&egress, &server.url_as(host)).await;
            let expected = EgressError::AddressNotAllowed { host: host.into(), refusal: Refusal::Notation };
            assert_eq!(error, expected);
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn plain_http_towards_the_internet_is_refused_before_any_connection() {
    for egress in [egress(&[]), inward()] {
        for host in ["8.8.8.8", "[::ffff:8.8.8.8]", "[2606:4700:4700::1111]"] {
            let error = refusal(&egress, &format!("http://{host}/")).await;
            let expected = EgressError::AddressNotAllowed { host: host.into(), refusal: Refusal::PlainHttp };
            assert_eq!(error, expected);
        }
    }
}

#[tokio::test]
async fn a_name_without_address_is_unresolvable() {
    let error = refusal(&egress(&[]), "https://no-such-host.invalid/").await;
    assert_eq!(error, EgressError::Unresolvable { host: "no-such-host.invalid".into() });
}

#[tokio::test]
async fn what_is_no_request_for_a_service_is_refused() {
    let egress = inward();
    for url in [
        "/path",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://user:secret@127.0.0.1:80/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:/",
        "http://[fe80::zz]/",
    ] {
        let Ok(uri) = url.parse::<Uri>() else { continue };
        let error = refusal(&egress, &uri.to_string()).await;
        assert!(matches!(error, EgressError::InvalidRequest(_)), "{url}: {error:?}");
        assert!(!error.to_string().contains("secret"));
    }
    let connect = Request::connect("http://127.0.0.1/").body(EgressBody::Empty).unwrap();
    assert!(matches!(egress.send(connect, None).await, Err(EgressError::InvalidRequest(_))));
}

#[tokio::test]
async fn proxies_from_the_environment_are_not_used() {
    let trap = Server::raw(|_| async {}).await;
    let this = std::env::current_exe().unwrap();
    let mut again = tokio::process::Command::new(this);
    again.args(["--exact", "call::egress::tests::what_the_operator_lists_is_reached"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, trap.url("/"));
    }
    let output = again.env_remove("no_proxy").env_remove("NO_PROXY").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(trap.connections(), 0);
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests

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

/// A server that passes everything on to another through the client under test, as the proxy does.
async fn passing_on(egress: Egress, to: String) -> Server {
    Server::http(move |request| {
        let (egress, to) = (egress.clone(), to.clone());
        async move {
            let mut outgoing =
                Request::builder().method(request.method()).uri(&to).body(EgressBody::Empty).unwrap();
            *outgoing.body_mut() = EgressBody::from(request.into_body());
            match egress.send(outgoing, None).await {
                Ok(response) => response.map(http_body_util::Either::Left),
                Err(error) => {
                    let told = Full::new(Bytes::from(format!("{error:?}")));
                    Response::builder().status(502).body(http_body_util::Either::Right(told)).unwrap()
                }
            }
        }
    })
    .await
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

// ---------------------------------------------------------------------------------------------------------------------
// The pool

/// A request through the pool, and its answer read to the end.
async fn fetch(egress: &Egress, url: &str) -> Result<Bytes, EgressError> {
    let deadline = later();
    let answer = egress.send(get(url), Some(deadline)).await?;
    Egress::collect(answer.into_body(), 10, deadline).await
}

/// Waits until the pool keeps this many connections over HTTP/1.1.
async fn keeps(egress: &Egress, count: usize) {
    let kept = async {
        while egress.0.pool.idle() != count {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Instant::now();
    tokio::pin!(kept);
    while futures_util::poll!(&mut kept).is_pending() {
        assert!(patience.elapsed() < Duration::from_secs(20), "{} kept, not {count}", egress.0.pool.idle());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_after_the_other_goes_over_one_connection() {
    let server = Server::ok().await;
    let egress = inward();
    for _ in 0..50 {
        assert_eq!(fetch(&egress, &server.url("/")).await.unwrap(), "ok");
        keeps(&egress, 1).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_is_kept_for_its_own_host_only() {
    let server = Server::ok().await;
    let egress = inward();
    for (host, connections) in [("127.0.0.1", 1), ("localhost", 2), ("LOCALHOST", 2), ("127.0.0.1", 2)] {
        fetch(&egress, &server.url_as(host)).await.unwrap();
        keeps(&egress, connections).await;
        assert_eq!(server.connections(), connections, "{host}");
    }
    let secured = server.url_as("127.0.0.1").replace("http:", "https:");
    assert!(matches!(fetch(&egress, &secured).await, Err(EgressError::Tls { .. })));
    assert_eq!(server.connections(), 3, "what is kept without TLS does not serve https");
}

#[tokio::test]
async fn no_more_connections_are_kept_than_the_limit_says() {
    const AT_ONCE: usize = 5;
    let all_here = Arc::new(tokio::sync::Barrier::new(AT_ONCE));
    let server = Server::http(move |_| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            Response::new(full("ok"))
        }
    })
    .await;
    let single = inward().0.single.clone();
    let pool = Arc::new(Pool::new(single.pooled()).keeping(2));
    let egress = Egress(Arc::new(Inner { pool, single }), None);
    let url = server.url("/");
    let answers: Vec<_> =
        futures_util::future::join_all((0..AT_ONCE).map(|_| egress.send(get(&url), Some(later())))).await;
    assert_eq!(server.connections(), AT_ONCE);
    for answer in answers {
        Egress::collect(answer.unwrap().into_body(), 10, later()).await.unwrap();
    }
    keeps(&egress, 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(egress.0.pool.idle(), 2);
    }
}

#[tokio::test]
async fn an_idle_connection_is_let_go_in_time_and_not_before() {
    let (seen, mut ends) = mpsc::unbounded_channel();
    let server = Server::raw(move |stream| {
        let seen = seen.clone();
        async move {
            answer(stream, |_| async { Response::new(full("ok")) }).await;
            seen.send(()).unwrap();
        }
    })
    .await;
    let egress = inward();
    for _ in 0..2 {
        fetch(&egress, &server.url("/")).await.unwrap();
        keeps(&egress, 1).await;
        tokio::time::pause();
        tokio::time::sleep(pool::IDLE / 3 * 2).await;
        assert_eq!(egress.0.pool.idle(), 1);
        tokio::time::resume();
    }
    assert_eq!(server.connections(), 1, "what is used stays young");
    tokio::time::pause();
    tokio::time::sleep(pool::IDLE + Duration::from_secs(1)).await;
    assert_eq!(egress.0.pool.idle(), 0);
    tokio::time::resume();
    ends.recv().await.unwrap();
    // Whoever counts the age has gone, and comes again.
    fetch(&egress, &server.url("/")).await.unwrap();
    keeps(&egress, 1).await;
    tokio::time::pause();
    tokio::time::sleep(pool::IDLE + Duration::from_secs(1)).await;
    assert_eq!(egress.0.pool.idle(), 0);
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_is_not_used_again() {
    let server = Server::raw(|mut stream| async move {
        loop {
            let mut head = [0; 1024];
            if matches!(stream.read(&mut head).await, Ok(0) | Err(_)) {
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
        }
    })
    .await;
    let egress = inward();
    for connections in 1..=3 {
        let mut body = egress.send(get(&server.url("/")), Some(later())).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        assert_eq!(egress.0.pool.idle(), 0);
        drop(body);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(egress.0.pool.idle(), 0);
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_that_the_service_gives_up_is_not_used_again_even_if_it_stays_open() {
    let server = Server::raw(|mut stream| async move {
        loop {
            let mut head = [0; 1024];
            if matches!(stream.read(&mut head).await, Ok(0) | Err(_)) {
                return;
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    })
    .await;
    let egress = inward();
    for connections in 1..=3 {
        assert_eq!(fetch(&egress, &server.url("/")).await.unwrap(), "ok");
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(egress.0.pool.idle(), 0);
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_request_goes_out_to_its_end_although_it_is_answered_before_and_then_its_connection_is_kept() {
    const SIZE: usize = 16 * 1024 * 1024;
    let (read_on, wait) = tokio::sync::watch::channel(false);
    let (whole, mut arrived) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut stream| {
        let (mut wait, whole) = (wait.clone(), whole.clone());
        async move {
            let (_, first) = read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            wait.wait_for(|go| *go).await.unwrap();
            let mut rest = vec![0; SIZE - first.len()];
            stream.read_exact(&mut rest).await.unwrap();
            whole.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    })
    .await;
    let egress = inward();
    let body = EgressBody::Full(Bytes::from(vec![b'x'; SIZE]));
    let request = Request::post(server.url("/")).body(body).unwrap();
    let answer = egress.send(request, Some(later())).await.unwrap();
    assert_eq!(Egress::collect(answer.into_body(), 10, later()).await.unwrap(), "ok");
    assert_eq!(egress.0.pool.idle(), 0, "the request is still going out");
    read_on.send(true).unwrap();
    arrived.recv().await.unwrap();
    keeps(&egress, 1).await;
}

#[tokio::test]
async fn what_was_written_on_a_kept_connection_is_never_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let server = Server::raw(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            read_head(&mut stream).await;
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            // The second request is read, and the connection ends without a word.
            read_head(&mut stream).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let egress = inward();
    fetch(&egress, &server.url("/")).await.unwrap();
    keeps(&egress, 1).await;
    let error = fetch(&egress, &server.url("/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Lost { .. }), "{error:?}");
    assert_eq!((requests.load(Ordering::SeqCst), server.connections()), (2, 1));
    assert_eq!(fetch(&egress, &server.url("/")).await.unwrap(), "ok");
    assert_eq!((requests.load(Ordering::SeqCst), server.connections()), (3, 2));
}

/// A server in threads of its own, so that it works while the runtime of the test stands still. It answers one request
/// on each connection and closes the connection as soon as it is told to.
fn closing_when_told() -> (String, std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let (close, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            if told.recv().is_err() {
                return;
            }
            drop(stream);
            close.send(()).unwrap();
        }
    });
    (url, tell, closed)
}

#[tokio::test]
async fn a_kept_connection_that_is_dead_is_replaced() {
    let (url, close, closed) = closing_when_told();
    let egress = inward();
    for _ in 0..3 {
        assert_eq!(fetch(&egress, &url).await.unwrap(), "ok");
        keeps(&egress, 1).await;
        close.send(()).unwrap();
        closed.recv().unwrap();
        // Long enough for the connection's own task to see it.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_met_a_connection_just_closing_goes_over_another() {
    let (url, close, closed) = closing_when_told();
    let egress = inward();
    for _ in 0..3 {
        assert_eq!(fetch(&egress, &url).await.unwrap(), "ok");
        keeps(&egress, 1).await;
        close.send(()).unwrap();
        closed.recv().unwrap();
        // The runtime learns of it here, and goes on with this task before the connection's: that one finds the end of
        // the connection and a request at once.
        tokio::task::yield_now().await;
        assert_eq!(egress.0.pool.idle(), 1, "it still seems to stand");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Streaming

#[tokio::test]
async fn what_streams_in_streams_out_and_back_piece_by_piece() {
    // The server echoes, the client waits for the echo of each piece before it sends the next: whoever held back more
    // than a piece, in either direction, would never see the end.
    const PIECES: usize = 64;
    let upstream = Server::http(|request| async { Response::new(request.into_body()) }).await;
    let front = passing_on(inward(), upstream.url("/")).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let everything = async {
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", PIECES * MIB);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut echoed = read_head(&mut stream).await.1;
        for number in 0..PIECES {
            let piece = vec![u8::try_from(number).unwrap(); MIB];
            let (mut reader, mut writer) = stream.split();
            // The echo is chunked or not; only the pieces' own bytes are looked at.
            let (written, ()) = tokio::join!(writer.write_all(&piece), async {
                while echoed.len() < MIB {
                    assert_ne!(reader.read_buf(&mut echoed).await.unwrap(), 0);
                }
            });
            written.unwrap();
            assert!(echoed[..MIB] == piece[..], "piece {number}");
            echoed.drain(..MIB);
        }
        assert_eq!(echoed.len(), 0);
    };
    tokio::time::timeout(Duration::from_mins(1), everything).await.expect("nothing held back");
}

/// Yields zeroes as they are asked for, and says how many so far.
struct Spring {
    left: usize,
    given: Arc<AtomicUsize>,
}

impl Body for Spring {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 64 * 1024] = [0; 64 * 1024];
        let size = self.left.min(PIECE.len());
        self.left -= size;
        self.given.fetch_add(size, Ordering::SeqCst);
        std::task::Poll::Ready(
            (size > 0).then(|| Ok(http_body::Frame::data(Bytes::from_static(&PIECE[..size])))),
        )
    }
}

#[tokio::test]
async fn a_large_answer_waits_at_the_service_for_its_reader() {
    let given = Arc::new(AtomicUsize::new(0));
    let spring = Arc::clone(&given);
    let server = Server::http(move |_| {
        let given = Arc::clone(&spring);
        async { Response::new(Spring { left: 64 * MIB, given }) }
    })
    .await;
    let mut body = inward().send(get(&server.url("/")), None).await.unwrap().into_body();
    let (mut taken, mut most) = (0, 0);
    while let Some(frame) = body.frame().await {
        taken += frame.unwrap().into_data().unwrap().len();
        most = most.max(given.load(Ordering::SeqCst) - taken);
    }
    assert_eq!(taken, 64 * MIB);
    assert!(most < 24 * MIB, "{most} bytes under way: more than the sockets hold");
}

// ---------------------------------------------------------------------------------------------------------------------
// Whether it went out

#[tokio::test]
async fn a_closed_port_has_received_nothing() {
    let port = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = refusal(&inward(), &format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(error, EgressError::Connect { ref host, .. } if host == "127.0.0.1"), "{error:?}");
}

/// What `exchange` and `send` (with its body collected) say about a server that reads the request and then…
async fn outcome(then: &'static [u8], close: Close) -> EgressError {
    let (server, mut reached) = reading(then, close).await;
    let egress = inward();
    let exchange = egress.exchange(get_bytes(&server.url("/")), 10, later());
    let exchanged = hurried(exchange, &mut reached, close).await.expect_err("no whole answer");
    let deadline = later();
    let send = async {
        let response = egress.send(get(&server.url("/")), Some(deadline)).await?;
        Egress::collect(response.into_body(), 10, deadline).await
    };
    let sent = hurried(send, &mut reached, close).await.expect_err("no whole answer");
    assert_eq!(std::mem::discriminant(&exchanged), std::mem::discriminant(&sent), "{exchanged:?} {sent:?}");
    assert!(exchanged.request_was_sent() && sent.request_was_sent());
    exchanged
}

/// The server of [`outcome`], and word of each request that reached it.
async fn reading(then: &'static [u8], close: Close) -> (Server, mpsc::UnboundedReceiver<()>) {
    let (seen, reached) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut stream| {
        let seen = seen.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(then).await.unwrap();
            seen.send(()).unwrap();
            match close {
                Close::Orderly => {}
                Close::Reset => stream.set_zero_linger().unwrap(),
                Close::Never => std::future::pending().await,
            }
        }
    })
    .await;
    (server, reached)
}

/// Lets the clock run to the deadline once the request has reached a server that hangs.
async fn hurried<T>(
    outcome: impl Future<Output = T>,
    reached: &mut mpsc::UnboundedReceiver<()>,
    close: Close,
) -> T {
    let hurry = async {
        reached.recv().await.unwrap();
        if matches!(close, Close::Never) {
            tokio::time::pause(); // from now on it jumps to the next timer whenever nothing else is to be done
        }
    };
    let (outcome, ()) = tokio::join!(outcome, hurry);
    if matches!(close, Close::Never) {
        tokio::time::resume();
    }
    outcome
}

#[derive(Clone, Copy)]
enum Close {
    Orderly,
    Reset,
    Never,
}

#[tokio::test]
async fn what_breaks_off_after_the_request_is_lost() {
    for (then, close) in [
        ("", Close::Orderly),
        ("", Close::Reset),
        ("HTTP/1.1 200 OK\r\ncont", Close::Orderly),
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", Close::Orderly),
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", Close::Reset),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", Close::Orderly),
        ("SSH-2.0-OpenSSH_9.9\r\n", Close::Orderly),
    ] {
        let error = outcome(then.as_bytes(), close).await;
        assert!(matches!(error, EgressError::Lost { .. }), "{then:?}: {error:?}");
    }
}

#[tokio::test]
async fn what_hangs_after_the_request_times_out_as_sent() {
    for then in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"] {
        assert_eq!(
            outcome(then.as_bytes(), Close::Never).await,
            EgressError::Timeout { sent: true },
            "{then:?}"
        );
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    for (then, close) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n", Close::Orderly),
        ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n12345678901", Close::Orderly),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n78901\r\n",
            Close::Orderly,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n12345678901", Close::Orderly),
    ] {
        assert_eq!(outcome(then.as_bytes(), close).await, EgressError::TooLarge { limit: 10 }, "{then:?}");
    }
}

#[tokio::test]
async fn whole_answers_up_to_the_limit() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1234567890", "1234567890"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n4\r\n6789\r\n1\r\n0\r\n0\r\n\r\n",
            "1234567890",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n1234567890", "1234567890"),
        ("HTTP/1.0 200 OK\r\n\r\n12345", "12345"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1",
            "1",
        ),
    ] {
        let server = Server::raw(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let egress = inward();
        let exchanged = egress.exchange(get_bytes(&server.url("/")), 10, later()).await.unwrap();
        assert_eq!(exchanged.status(), 200);
        assert_eq!(exchanged.into_body(), body);
        let sent = egress.send(get(&server.url("/")), None).await.unwrap();
        assert_eq!(Egress::collect(sent.into_body(), 10, later()).await.unwrap(), body);
    }
}

#[tokio::test]
async fn who_drops_an_exchange_drops_its_connection() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut stream| {
        let seen = seen.clone();
        async move {
            read_head(&mut stream).await;
            seen.send("begun").unwrap();
            while !matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_)) {}
            seen.send("closed").unwrap();
        }
    })
    .await;
    let egress = inward();
    tokio::select! {
        _ = egress.exchange(get_bytes(&server.url("/")), 10, later()) => unreachable!(),
        begun = events.recv() => assert_eq!(begun, Some("begun")),
    }
    assert_eq!(events.recv().await, Some("closed"));
}

// ---------------------------------------------------------------------------------------------------------------------
// Another protocol

#[tokio::test]
async fn a_web_socket_carries_both_ways() {
    let server = Server::http(|mut request| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        assert_eq!(request.headers()["connection"], "Upgrade");
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .body(full(""))
            .unwrap()
    })
    .await;
    let request = Request::get(server.url("/chat?room=1"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(EgressBody::Empty)
        .unwrap();
    let Upgrade::Switched { head, stream } = inward().upgrade(request, later()).await.unwrap() else {
        panic!("not switched");
    };
    assert_eq!(head.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let mut stream = TokioIo::new(stream);
    for message in ["one", "two"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut echo = [0; 3];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, message.as_bytes());
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "the end comes through");
}

#[tokio::test]
async fn who_does_not_switch_answers_as_usual() {
    let server = Server::http(|_| async {
        Response::builder().status(426).body(full("another protocol, please")).unwrap()
    })
    .await;
    let Upgrade::Answer(answer) = inward().upgrade(get(&server.url("/")), later()).await.unwrap() else {
        panic!("switched");
    };
    assert_eq!(answer.status(), 426);
    assert_eq!(
        Egress::collect(answer.into_body().into(), 100, later()).await.unwrap(),
        "another protocol, please"
    );
}

#[tokio::test]
async fn an_upgrade_that_hangs_times_out() {
    let (server, mut reached) = reading(b"", Close::Never).await;
    let egress = inward();
    let outcome = hurried(egress.upgrade(get(&server.url("/")), later()), &mut reached, Close::Never).await;
    assert_eq!(outcome.unwrap_err(), EgressError::Timeout { sent: true });
}

// ---------------------------------------------------------------------------------------------------------------------
// TLS

/// A server with a certificate of its own for `localhost`, the file with that certificate, and what ALPN chose so far.
struct Secured {
    server: Server,
    roots: tempfile::NamedTempFile,
    protocols: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
}

impl Secured {
    async fn new(offers: &[&str]) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), own.cert.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![own.cert.der().clone()],
                PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = offers.iter().map(|p| p.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let protocols = Arc::new(Mutex::new(Vec::new()));
        let chosen = Arc::clone(&protocols);
        let server = Server::raw(move |stream| {
            let (acceptor, chosen) = (acceptor.clone(), Arc::clone(&chosen));
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                chosen.lock().unwrap().push(protocol.clone());
                let handler = |_| async { Ok::<_, Infallible>(Response::new(full("ok"))) };
                if protocol.as_deref() == Some(b"h2") {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service_fn(handler)).await;
                } else {
                    answer(stream, |_| async { Response::new(full("ok")) }).await;
                }
            }
        })
        .await;
        Self { server, roots, protocols }
    }

    fn url(&self, host: &str) -> String {
        self.server.url_as(host).replace("http:", "https:")
    }

    fn trusting(&self) -> Egress {
        let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let extra_roots = Some(self.roots.path().to_owned());
        Egress::new(EgressOptions { allow, extra_roots, ..EgressOptions::default() }).unwrap()
    }

    fn protocols(&self) -> Vec<String> {
        let protocols = self.protocols.lock().unwrap();
        protocols.iter().map(|p| String::from_utf8(p.clone().unwrap_or_default()).unwrap()).collect()
    }
}

#[tokio::test]
async fn over_http2_all_requests_share_a_connection() {
    let secured = Secured::new(&["h2", "http/1.1"]).await;
    let (egress, url) = (secured.trusting(), secured.url("localhost"));
    fetch(&egress, &url).await.unwrap();
    let all = futures_util::future::join_all((0..20).map(|_| fetch(&egress, &url))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(secured.server.connections(), 1);
    // Those who come at once to a new host may each open one; from then on one is used.
    let other = egress.with_pool_of_its_own();
    futures_util::future::join_all((0..5).map(|_| fetch(&other, &url))).await;
    let opened = secured.server.connections();
    for _ in 0..20 {
        fetch(&other, &url).await.unwrap();
    }
    assert_eq!(secured.server.connections(), opened);
    tokio::time::pause();
    tokio::time::sleep(pool::IDLE + Duration::from_secs(1)).await;
    tokio::time::resume();
    fetch(&other, &url).await.unwrap();
    assert_eq!(secured.server.connections(), opened + 1, "an idle one is let go in time");
}

#[tokio::test]
async fn http2_where_offered_and_http1_elsewhere() {
    for (offers, pooled) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1"), (&[], "")] {
        let secured = Secured::new(offers).await;
        let (egress, url) = (secured.trusting(), secured.url("localhost"));
        for method in [Method::GET, Method::POST] {
            let request = Request::builder()
                .method(method)
                .uri(&url)
                .header("host", "elsewhere")
                .body(EgressBody::Empty);
            let sent = egress.send(request.unwrap(), Some(later())).await.unwrap();
            assert_eq!(Egress::collect(sent.into_body(), 10, later()).await.unwrap(), "ok");
        }
        assert!(secured.protocols().iter().all(|p| p == pooled), "{:?}", secured.protocols());
        secured.protocols.lock().unwrap().clear();
        let exchanged = egress.exchange(get_bytes(&url), 10, later()).await.unwrap();
        assert_eq!(exchanged.into_body(), "ok");
        let Upgrade::Answer(answer) = egress.upgrade(get(&url), later()).await.unwrap() else {
            panic!("switched")
        };
        assert_eq!(answer.status(), 200);
        assert!(secured.protocols().iter().all(|p| p != "h2"), "own connections speak HTTP/1.1");
    }
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_for_this_host() {
    let secured = Secured::new(&[]).await;
    for (egress, host) in [(inward(), "localhost"), (secured.trusting(), "127.0.0.1")] {
        // Without any root certificates on this machine the error is the same.
        let error = refusal(&egress, &secured.url(host)).await;
        assert!(matches!(&error, EgressError::Tls { host: told, .. } if told == host), "{error:?}");
    }
    let plain = Server::ok().await;
    let error = refusal(&secured.trusting(), &plain.url_as("localhost").replace("http:", "https:")).await;
    assert!(matches!(&error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_handshake_that_hangs_has_sent_nothing() {
    let server = Server::raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let url = server.url("/").replace("http:", "https:");
    let patient = inward();
    let exchange = patient.exchange(get_bytes(&url), 10, soon()).await;
    assert_eq!(exchange.unwrap_err(), EgressError::Timeout { sent: false }, "the deadline");
    let options = EgressOptions {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        connect_timeout: Duration::from_millis(50),
        ..EgressOptions::default()
    };
    let error = refusal(&Egress::new(options).unwrap(), &url).await;
    assert_eq!(error, EgressError::Timeout { sent: false }, "the connect time-out");
    let careful = patient.send(get(&url), Some(soon())).await;
    assert_eq!(careful.unwrap_err(), EgressError::Timeout { sent: true }, "the pool does not tell");
}

#[tokio::test]
async fn root_certificates_are_loaded_at_the_first_https_connection() {
    let plain = Server::ok().await;
    let secured = Secured::new(&[]).await;
    let egress = secured.trusting();
    egress.send(get(&plain.url("/")), None).await.unwrap();
    egress.exchange(get_bytes(&plain.url("/")), 10, later()).await.unwrap();
    assert!(!egress.0.single.has_loaded_roots());
    egress.exchange(get_bytes(&secured.url("localhost")), 10, later()).await.unwrap();
    assert!(egress.0.single.has_loaded_roots());
}

#[test]
fn a_client_is_made_without_a_runtime_and_unusable_roots_are_told() {
    egress(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in ["", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), content).unwrap();
        let options = EgressOptions { extra_roots: Some(file.path().to_owned()), ..EgressOptions::default() };
        let error = Egress::new(options).err().expect("refused");
        assert!(matches!(&error, EgressError::Roots(why) if why.contains(&*file.path().to_string_lossy())));
    }
    let options = EgressOptions { extra_roots: Some("/no/such/file".into()), ..EgressOptions::default() };
    assert!(matches!(Egress::new(options), Err(EgressError::Roots(_))));
}
