//! The one door out: the only HTTP client of the house.
//!
//! Every connection is resolved, checked against the rules about addresses and dialled here; nothing is requested that
//! did not pass. Which *hosts* a connector may call has been decided before, and so has who follows a redirect: here
//! none is followed. No proxy from the environment is used, and no path, query string or header value is logged.
//!
//! [`Egress::send`] goes through a pool of connections, [`Egress::exchange`] and [`Egress::upgrade`] through a
//! connection of their own, so that it is known whether the request went out.

mod address;
mod body;
mod connect;
mod error;
mod pool;
mod watch;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::{Instant, timeout_at};

pub use body::{AnswerBody, BodyBrokeOff, EgressBody};
use connect::{Door, Rules};
pub use error::{EgressError, Refusal};
use pool::Pool;
pub(crate) use watch::{Seen, Watch};

/// What the operator decides about outgoing requests.
#[derive(Clone, Debug)]
pub struct EgressOptions {
    /// Networks that may be reached although they are not public, and towards which plain `http` is accepted
    /// (`JACKFIELD_EGRESS_ALLOW`).
    pub allow: Vec<IpNet>,
    /// No rule about addresses at all. Only for the command line, which talks to its own server at an address that its
    /// operator chose.
    pub unrestricted: bool,
    /// From the beginning of the resolution to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// A PEM file with root certificates that are trusted beside the system's.
    pub extra_roots: Option<PathBuf>,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            unrestricted: false,
            connect_timeout: Duration::from_secs(5),
            extra_roots: None,
        }
    }
}

/// The outgoing client. Cloning it is cheap and shares the pool.
#[derive(Clone)]
pub struct Egress(Arc<Inner>, Option<Watch>);

struct Inner {
    pool: Arc<Pool>,
    single: Door,
}

/// What came of asking for another protocol.
#[derive(Debug)]
pub enum Upgrade {
    /// The service switched (101).
    Switched {
        /// Its answer, whose headers the caller may want to pass on.
        head: Response<()>,
        /// The connection, from the first byte after the answer. `hyper_util::rt::TokioIo` makes it one for tokio.
        stream: Upgraded,
    },
    /// It answered as to any request.
    Answer(Response<Incoming>),
}

impl Egress {
    /// Reads the extra roots and nothing else: the system's are loaded when the first https connection is made.
    /// Needs no runtime.
    pub fn new(options: EgressOptions) -> Result<Self, EgressError> {
        let EgressOptions { allow, unrestricted, connect_timeout, extra_roots } = options;
        let extra_roots = extra_roots.map_or_else(|| Ok(Vec::new()), |path| read_roots(&path))?;
        let door = Door::new(Rules { allow, unrestricted }, connect_timeout, extra_roots);
        Ok(Self::of(door))
    }

    fn of(door: Door) -> Self {
        let single = door.single();
        Self(Arc::new(Inner { pool: Arc::new(Pool::new(door)), single }), None)
    }

    /// The same door with a pool of its own. A connection is driven by the runtime that opened it: each runtime wants its own pool.
    #[must_use]
    pub fn with_pool_of_its_own(&self) -> Self {
        Self::of(self.0.single.pooled())
    }

    /// The same door, which keeps what [`Egress::ask`] and [`Egress::exchange`] send and get.
    #[must_use]
    pub(crate) fn watched(&self, watch: Watch) -> Self {
        Self(Arc::clone(&self.0), Some(watch))
    }

    /// One exchange through the pool: HTTP/1.1, or HTTP/2 where the service offers it. No redirect is followed, the
    /// body streams both ways, and the deadline covers everything up to the head of the answer.
    ///
    /// `Host` and the framing headers are the client's: those of the request are replaced. Everything else goes out
    /// as it is. A request that met a connection which the service had closed is sent again on another only if nothing
    /// of it went out. [`EgressError::request_was_sent`] errs to the careful side: a deadline that passes while the
    /// connection is still being made counts as sent.
    pub async fn send(
        &self,
        mut request: Request<EgressBody>,
        deadline: Option<Instant>,
    ) -> Result<Response<AnswerBody>, EgressError> {
        admit(&request)?;
        frame(&mut request);
        self.0.pool.send(request, deadline).await
    }

    /// [`Egress::send`] with the whole answer in memory.
    pub async fn ask(
        &self,
        request: Request<EgressBody>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Response<Bytes>, EgressError> {
        let watching = self.1.as_ref().map(|watch| watch.begin(&request));
        let answer = async {
            let (head, body) = self.send(request, Some(deadline)).await?.into_parts();
            Ok(Response::from_parts(head, Self::collect(body, limit, deadline).await?))
        };
        let answer = answer.await;
        if let Some(watching) = watching {
            watching.end(&answer);
        }
        answer
    }

    /// One exchange on a connection of its own, with the whole answer in memory: for token endpoints and their like,
    /// where it matters whether the request went out. HTTP/1.1; no redirect is followed.
    pub async fn exchange(
        &self,
        request: Request<Bytes>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Response<Bytes>, EgressError> {
        let Some(watch) = &self.1 else { return self.exchange_alone(request, limit, deadline).await };
        let watching = watch.begin(&request.clone().map(EgressBody::Full));
        let answer = self.exchange_alone(request, limit, deadline).await;
        watching.end(&answer);
        answer
    }

    async fn exchange_alone(
        &self,
        request: Request<Bytes>,
        limit: usize,
        deadline: Instant,
    ) -> Result<Response<Bytes>, EgressError> {
        let (request, wire) = self.open(request.map(EgressBody::Full), deadline).await?;
        let answer = async {
            let (mut sender, connection) = http1::handshake(wire).await.map_err(lost)?;
            let answer = async {
                let (head, body) = sender.send_request(request).await.map_err(lost)?.into_parts();
                Ok(Response::from_parts(head, gather(body, limit).await?))
            };
            // The connection is driven here and not in a task: who drops this future drops the connection with it.
            match select(pin!(answer), pin!(connection)).await {
                Either::Left((answer, _)) => answer,
                Either::Right((_, answer)) => answer.await,
            }
        };
        timeout_at(deadline, answer).await.unwrap_or(Err(EgressError::Timeout { sent: true }))
    }

    /// Asks for another protocol (`Connection: upgrade`, set by the caller) on a connection of its own, over HTTP/1.1.
    /// The deadline covers everything up to the head of the answer.
    pub async fn upgrade(
        &self,
        request: Request<EgressBody>,
        deadline: Instant,
    ) -> Result<Upgrade, EgressError> {
        let (request, wire) = self.open(request, deadline).await?;
        let answer = async {
            let (mut sender, connection) = http1::handshake(wire).await.map_err(lost)?;
            tokio::spawn(connection.with_upgrades());
            let mut answer = sender.send_request(request).await.map_err(lost)?;
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Upgrade::Answer(answer));
            }
            let stream = hyper::upgrade::on(&mut answer).await.map_err(lost)?;
            Ok(Upgrade::Switched { head: answer.map(drop), stream })
        };
        timeout_at(deadline, answer).await.unwrap_or(Err(EgressError::Timeout { sent: true }))
    }

    /// The whole body of an answer, at most `limit` bytes of it, before the deadline.
    pub async fn collect(body: AnswerBody, limit: usize, deadline: Instant) -> Result<Bytes, EgressError> {
        timeout_at(deadline, gather(body, limit)).await.unwrap_or(Err(EgressError::Timeout { sent: true }))
    }

    /// A connection for one request, and the request as it goes over it.
    async fn open(
        &self,
        mut request: Request<EgressBody>,
        deadline: Instant,
    ) -> Result<(Request<EgressBody>, connect::Wire), EgressError> {
        admit(&request)?;
        frame(&mut request);
        let wire = timeout_at(deadline, self.0.single.open(request.uri().clone()))
            .await
            .unwrap_or(Err(EgressError::Timeout { sent: false }))?;
        let host = host_header(request.uri())?;
        request.headers_mut().insert(HOST, host);
        let origin = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(origin.unwrap_or_else(|| PathAndQuery::from_static("/")));
        Ok((request, wire))
    }
}

/// Refuses what is no request for a service, before anything is looked up.
fn admit<B>(request: &Request<B>) -> Result<(), EgressError> {
    let uri = request.uri();
    if uri.scheme() != Some(&Scheme::HTTPS) && uri.scheme() != Some(&Scheme::HTTP) {
        return Err(EgressError::InvalidRequest("The address must begin with https:// (or http://)."));
    }
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return Err(EgressError::InvalidRequest("The address has no host."));
    };
    if host.is_empty() || authority.as_str().contains('@') {
        return Err(EgressError::InvalidRequest("The address must name a host, without user or password."));
    }
    if authority.as_str().len() != host.len() && authority.port_u16().is_none() {
        return Err(EgressError::InvalidRequest("The port in the address must be 1 to 65535."));
    }
    if request.method() == Method::CONNECT {
        return Err(EgressError::InvalidRequest("CONNECT is not a request to a service."));
    }
    Ok(())
}

/// Host, version and framing are decided here: by the address and by the body, never by what the caller was sent.
fn frame(request: &mut Request<EgressBody>) {
    *request.version_mut() = Version::HTTP_11;
    let ends = request.body().is_end_stream();
    let exact = request.body().size_hint().exact().is_some();
    let awaits_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let headers = request.headers_mut();
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    if ends {
        // Services answer 411 without it, and hyper says nothing about a body that is not there (RFC 9110 §8.6).
        if awaits_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if !exact && !awaits_body {
        // Hyper would drop the body of a GET whose length it does not know. HTTP/2 takes the header out again.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// The host, and the port unless it is the scheme's own.
fn host_header(uri: &Uri) -> Result<HeaderValue, EgressError> {
    let own = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let host = uri.host().unwrap_or_default();
    match uri.port_u16() {
        Some(port) if port != own => HeaderValue::try_from(format!("{host}:{port}")),
        _ => HeaderValue::from_str(host),
    }
    .map_err(|_| EgressError::InvalidRequest("The address has no host."))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn lost(error: hyper::Error) -> EgressError {
    EgressError::from_exchange(&error)
}

async fn gather(
    body: impl Body<Data = Bytes, Error = hyper::Error>,
    limit: usize,
) -> Result<Bytes, EgressError> {
    let mut body = pin!(body);
    let too_large = EgressError::TooLarge { limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large);
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(data) = frame.map_err(lost)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large);
        }
        // Most answers are one piece, which needs no copy.
        if rest.is_empty() && first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn read_roots(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, EgressError> {
    let refuse = |why: &dyn std::fmt::Display| {
        EgressError::Roots(format!("{} holds no usable root certificates: {why}", path.display()))
    };
    let roots = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refuse(&error))?;
    if roots.is_empty() { Err(refuse(&"there is none in it")) } else { Ok(roots) }
}

#[cfg(test)]
mod tests;
