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

mod addresses;
mod kept;
mod requests;
mod sent;
mod streaming;
mod tls;
mod upgrade;

const MIB: usize = 1024 * 1024;

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

    /// Says the same to whatever comes on a connection, and leaves it open.
    async fn saying(answer: &'static [u8]) -> Self {
        Self::raw(move |mut stream| async move {
            let mut head = [0; 1024];
            while !matches!(stream.read(&mut head).await, Ok(0) | Err(_)) {
                stream.write_all(answer).await.unwrap();
            }
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

/// How a server ends a connection.
#[derive(Clone, Copy)]
enum Close {
    Orderly,
    Reset,
    Never,
}

/// A server that reads a request, answers so and closes so; and word of each request that reached it.
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

/// A request through the pool, and its answer read to the end.
async fn fetch(egress: &Egress, url: &str) -> Result<Bytes, EgressError> {
    let deadline = later();
    let answer = egress.send(get(url), Some(deadline)).await?;
    Egress::collect(answer.into_body(), 10, deadline).await
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
