//! Services and clients spoken by hand, so that what arrives is seen byte for byte and anything can be answered.

use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::Server;

/// A service on a free port of loopback. Dropping it stops it.
pub struct Upstream {
    pub port: u16,
    pub url: String,
    seen: Arc<Mutex<Vec<Message>>>,
    task: JoinHandle<()>,
}

/// A request or an answer, as it came.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// `GET /path HTTP/1.1` or `HTTP/1.1 200 OK`
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Upstream {
    /// Talks on each connection as told.
    pub async fn talking<F, T>(talk: F) -> Self
    where
        F: Fn(Wire, Arc<Mutex<Vec<Message>>>) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let wire = Wire::accept(&listener).await;
                tokio::spawn(talk(wire, Arc::clone(&log)));
            }
        });
        Self { port, url: format!("http://127.0.0.1:{port}"), seen, task }
    }

    /// Answers one request on each connection, with these bytes.
    pub async fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::talking(move |mut wire, seen| {
            let answer = Arc::clone(&answer);
            async move {
                let Some(mut request) = wire.head().await else { return };
                wire.body(&mut request).await;
                let bytes = answer(&request);
                seen.lock().unwrap().push(request);
                wire.send(&bytes).await;
            }
        })
        .await
    }

    /// Everything that was asked so far.
    pub fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    /// What was asked since the last look.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    /// Path and query of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }

    /// Status of an answer.
    pub fn status(&self) -> u16 {
        self.target().parse().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

impl Wire {
    /// To the address of a server.
    pub async fn connect(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap().trim_end_matches('/');
        Self { stream: TcpStream::connect(address).await.unwrap(), rest: Vec::new() }
    }

    pub async fn accept(listener: &TcpListener) -> Self {
        Self { stream: listener.accept().await.unwrap().0, rest: Vec::new() }
    }

    /// Whether it went out as far as can be seen from here.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// One piece of a chunked body.
    pub async fn send_chunk(&mut self, bytes: &[u8]) -> bool {
        self.send(format!("{:x}\r\n", bytes.len())).await && self.send(bytes).await && self.send("\r\n").await
    }

    /// More bytes; false at the end.
    async fn more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        match self.stream.read(&mut chunk).await {
            Ok(read @ 1..) => {
                self.rest.extend_from_slice(&chunk[..read]);
                true
            }
            _ => false,
        }
    }

    /// Whatever has come, at least a byte; empty at the end.
    pub async fn some(&mut self) -> Vec<u8> {
        if self.rest.is_empty() {
            self.more().await;
        }
        std::mem::take(&mut self.rest)
    }

    /// This many bytes, or fewer at the end.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.rest.len() < length && self.more().await {}
        let length = length.min(self.rest.len());
        self.rest.drain(..length).collect()
    }

    /// The head of the next message; `None` at the end.
    pub async fn head(&mut self) -> Option<Message> {
        let end = loop {
            if let Some(at) = find(&self.rest, b"\r\n\r\n") {
                break at;
            }
            if !self.more().await {
                return None;
            }
        };
        let text = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end + 4);
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Message { start, headers, body: Vec::new() })
    }

    /// A piece of a chunked body; `None` at its end or when it broke off.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        while find(&self.rest, b"\r\n").is_none() {
            if !self.more().await {
                return None;
            }
        }
        let end = find(&self.rest, b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&self.rest[..end]).unwrap(), 16).unwrap();
        self.rest.drain(..end + 2);
        let piece = self.exactly(size + 2).await;
        (size > 0 && piece.len() == size + 2).then(|| piece[..size].to_vec())
    }

    /// The body, by its framing.
    pub async fn body(&mut self, message: &mut Message) {
        if message.is_chunked() {
            while let Some(piece) = self.chunk().await {
                message.body.extend_from_slice(&piece);
            }
        } else if let Some(length) = message.header("content-length").map(|l| l.parse().unwrap()) {
            message.body = self.exactly(length).await;
        }
    }

    /// The next message with its body.
    pub async fn message(&mut self) -> Message {
        let mut message = self.head().await.unwrap();
        self.body(&mut message).await;
        message
    }
}

pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// An answer after which the connection ends.
pub fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut text = format!("HTTP/1.1 {status} Whatever\r\nconnection: close\r\n");
    if !matches!(status, 204 | 304) {
        write!(text, "content-length: {}\r\n", body.len()).unwrap();
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// An answer with JSON.
pub fn json_reply(value: &Value) -> Vec<u8> {
    reply(200, &[("content-type", "application/json")], value.to_string())
}

/// The connector document of a service at this address that takes one key, in the header `X-Key`.
pub fn keyed(name: &str, base_url: &str, hosts: &[&str]) -> Value {
    json!({
        "name": name, "base_url": base_url, "hosts": hosts,
        "auth": {"type": "api_key", "fields": [{"name": "key", "secret": true, "required": true, "in": "header", "as": "X-Key"}]},
    })
}

/// What a caller gives for [`keyed`].
pub fn key() -> Value {
    json!({"key": "s3cret-key"})
}

/// Makes connector and connection and authorizes it; the link name of both.
pub async fn connected(server: &Server, document: Value, credentials: Value) -> String {
    let connector = server.connector(document).await;
    let link = server.connection(json!({"connector": connector, "name": connector})).await;
    let path = format!("/v1/connections/{link}/authorizations");
    server.post(&path, json!({"credentials": credentials})).await.expect(201);
    link
}

/// A connection to a service that answers by [`keyed`].
pub async fn to_upstream(server: &Server, name: &str, upstream: &Upstream) -> String {
    connected(server, keyed(name, &upstream.url, &[&upstream.host()]), key()).await
}

/// Waits until it holds, up to a generous deadline.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "it never came: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
