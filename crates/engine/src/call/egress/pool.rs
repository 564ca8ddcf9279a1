//! Connections with services, kept for the next request.
//!
//! Small on purpose: the general client of hyper-util does the same and more, and that was a tenth of the work of a
//! proxied call (docs/decisions/0012-a-pool-of-our-own.md).
//!
//! A connection is kept by scheme and authority, last in first out, so that those which are not needed grow old. Over
//! HTTP/1.1 it carries one request at a time and is kept again when the answer is read to its end; over HTTP/2, where
//! TLS chose that, all requests share one. One that is shared is driven by a task of its own. One for a single request
//! is driven by whoever waits for the request and then by whoever reads the answer, so that a call is one task and not
//! three that wake each other; nobody drives it while it is idle, and what came of it meanwhile is seen when it is taken.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};

use super::body::{AnswerBody, EgressBody};
use super::connect::{Door, Wire};
use super::error::EgressError;
use super::{host_header, lost};

/// An idle connection is kept this long at most. Shorter than most services keep theirs, so that few requests meet a
/// connection that the service is just closing.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// Age is counted in ticks and not read from the clock, which every request would have to do twice.
const TICKS: u64 = 6;
/// Idle connections kept for one host.
const IDLE_PER_HOST: usize = 512;
/// An HTTP/2 connection in use that has been silent this long is asked whether it still lives.
const PING_AFTER: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A request that is still going out when its answer has been read may take this long, or its connection is given up.
const LINGER: Duration = Duration::from_mins(1);

/// The pool. Everything in it went through its door.
pub(super) struct Pool {
    door: Door,
    idle_per_host: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    http: HashMap<Authority, Host>,
    https: HashMap<Authority, Host>,
    /// rises while something is kept
    tick: u64,
    /// whether somebody counts the ticks
    ticking: bool,
}

/// What is kept for one host.
#[derive(Default)]
struct Host {
    /// with the tick since when each has waited; the one that was used last is at the end
    idle: Vec<(u64, Box<Single>)>,
    /// for all requests, where the host speaks HTTP/2
    shared: Option<Shared>,
}

/// A connection for one request at a time.
pub(super) struct Single {
    sender: http1::SendRequest<EgressBody>,
    /// until it has ended
    connection: Option<http1::Connection<Wire, EgressBody>>,
    scheme: Scheme,
    authority: Authority,
    /// the header that names the host
    host: HeaderValue,
    bell: Arc<Bell>,
    /// rings the bell
    waker: Waker,
    /// Set anew for each request: to put a timer off costs nothing, to make and end one is work.
    late: Option<Pin<Box<Sleep>>>,
}

/// What a connection wakes: whoever waits for it just now, or nobody.
#[derive(Default)]
struct Bell(AtomicWaker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

/// Why there is no answer.
enum Unanswered {
    Late,
    Failed(Box<TrySendError<Request<EgressBody>>>),
}

impl From<TrySendError<Request<EgressBody>>> for Unanswered {
    fn from(error: TrySendError<Request<EgressBody>>) -> Self {
        Self::Failed(Box::new(error))
    }
}

struct Shared {
    /// the tick of its last request
    used: u64,
    sender: http2::SendRequest<EgressBody>,
}

/// Where a request goes.
struct Destination {
    scheme: Scheme,
    authority: Authority,
    path: PathAndQuery,
}

/// A connection in the hands of one request.
enum Line {
    Single(Box<Single>),
    Shared(http2::SendRequest<EgressBody>),
}

impl Pool {
    pub fn new(door: Door) -> Self {
        Self { door, idle_per_host: IDLE_PER_HOST, kept: Mutex::default() }
    }

    #[cfg(test)]
    pub fn keeping(self, idle_per_host: usize) -> Self {
        Self { idle_per_host, ..self }
    }

    #[cfg(test)]
    pub fn idle(&self) -> usize {
        let kept = self.kept();
        kept.http.values().chain(kept.https.values()).map(|host| host.idle.len()).sum()
    }

    /// One exchange on a connection that is kept, or on a new one.
    ///
    /// A kept connection may have been closed by the service just now. The request goes to another only if hyper hands
    /// it back, which it does as long as it has not begun to write it; whatever was begun is never sent again. A new
    /// connection that refuses a request ends the matter: the next would do the same.
    pub async fn send(
        self: &Arc<Self>,
        mut request: Request<EgressBody>,
        deadline: Option<Instant>,
    ) -> Result<Response<AnswerBody>, EgressError> {
        const LATE: EgressError = EgressError::Timeout { sent: true };
        let to = Destination::take(&mut request)?;
        loop {
            let (mut line, fresh) = match self.take(&to) {
                Some(line) => (line, false),
                // Boxed, since it is rare: the future of a request, which is moved as a whole, would be ten times as large.
                None => (Box::pin(in_time(deadline, self.open(&to))).await.unwrap_or(Err(LATE))?, true),
            };
            match line.send(request, &to, deadline).await {
                Ok(answer) => {
                    return Ok(answer.map(|body| match line {
                        Line::Single(single) => AnswerBody::over(body, single, Arc::clone(self)),
                        Line::Shared(_) => body.into(),
                    }));
                }
                Err(Unanswered::Late) => return Err(LATE),
                Err(Unanswered::Failed(mut error)) => match error.take_message() {
                    Some(unsent) if !fresh => {
                        self.forget(&line, &to);
                        request = unsent;
                    }
                    _ => return Err(lost(error.into_error())),
                },
            }
        }
    }

    /// A connection that is kept and stands, as far as can be seen from here.
    fn take(&self, to: &Destination) -> Option<Line> {
        let mut kept = self.kept();
        let tick = kept.tick;
        let host = kept.hosts(&to.scheme).get_mut(&to.authority)?;
        if let Some(shared) = &mut host.shared {
            if shared.sender.is_ready() {
                shared.used = tick;
                return Some(Line::Shared(shared.sender.clone()));
            }
            host.shared = None;
        }
        host.idle.pop().map(|(_, single)| Line::Single(single))
    }

    /// A new connection, through the door.
    async fn open(self: &Arc<Self>, to: &Destination) -> Result<Line, EgressError> {
        let uri = to.uri(PathAndQuery::from_static("/"))?;
        let host = host_header(&uri)?;
        let wire = self.door.open(uri).await?;
        if !speaks_http2(&wire) {
            let (sender, connection) = http1::handshake(wire).await.map_err(lost)?;
            let (scheme, authority) = (to.scheme.clone(), to.authority.clone());
            let bell = Arc::new(Bell::default());
            let waker = Waker::from(Arc::clone(&bell));
            let connection = Some(connection);
            let single = Single { sender, connection, scheme, authority, host, bell, waker, late: None };
            return Ok(Line::Single(Box::new(single)));
        }
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(wire)
            .await
            .map_err(lost)?;
        tokio::spawn(async { drop(connection.await) });
        sender.ready().await.map_err(lost)?;
        Ok(Line::Shared(self.share(sender, to)))
    }

    /// Keeps a connection for all requests. Of several that were opened at once the first stays, and the others end here.
    fn share(
        self: &Arc<Self>,
        sender: http2::SendRequest<EgressBody>,
        to: &Destination,
    ) -> http2::SendRequest<EgressBody> {
        let mut kept = self.kept();
        let tick = kept.tick;
        let host = kept.hosts(&to.scheme).entry(to.authority.clone()).or_default();
        let known = host.shared.as_ref().filter(|shared| shared.sender.is_ready());
        let sender = known.map_or(sender, |known| known.sender.clone());
        host.shared = Some(Shared { used: tick, sender: sender.clone() });
        self.watch(&mut kept);
        sender
    }

    /// Keeps a connection whose answer was read to its end. Where the request is still going out, that is waited for first.
    pub(super) fn give_back(self: &Arc<Self>, mut single: Box<Single>) {
        if single.sender.is_ready() || single.is_free() {
            self.keep(single);
        } else if single.connection.is_some() {
            let pool = Arc::clone(self);
            tokio::spawn(async move {
                let free = poll_fn(|context| {
                    // Twice: a request that ends after its answer makes hyper idle in the flush that is the last thing it does (1.12,
                    // `proto::h1::dispatch`), and it says that it wants the next request only when it is polled again, which nothing calls for.
                    if !single.drive(context) || !single.work() {
                        return Poll::Ready(false);
                    }
                    single.sender.poll_ready(context).map(|ready| ready.is_ok())
                });
                if timeout(LINGER, free).await == Ok(true) {
                    pool.keep(single);
                }
            });
        }
    }

    fn keep(self: &Arc<Self>, single: Box<Single>) {
        let mut kept = self.kept();
        let since = kept.tick;
        let hosts = kept.hosts(&single.scheme);
        let host = match hosts.get_mut(&single.authority) {
            Some(host) => host,
            None => hosts.entry(single.authority.clone()).or_default(),
        };
        if host.idle.len() < self.idle_per_host {
            host.idle.push((since, single));
            self.watch(&mut kept);
        }
    }

    /// A shared connection that refused a request is not asked again.
    fn forget(&self, line: &Line, to: &Destination) {
        if let Line::Shared(_) = line
            && let Some(host) = self.kept().hosts(&to.scheme).get_mut(&to.authority)
        {
            host.shared = None;
        }
    }

    /// Sees to it that what is kept grows old.
    fn watch(self: &Arc<Self>, kept: &mut Kept) {
        if !kept.ticking {
            kept.ticking = true;
            tokio::spawn(tick(Arc::downgrade(self)));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the ticks of a pool as long as something is kept in it.
async fn tick(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE / u32::try_from(TICKS).unwrap_or(1)).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut kept = pool.kept();
        if kept.grow_old() {
            kept.ticking = false;
            return;
        }
    }
}

impl Kept {
    fn hosts(&mut self, scheme: &Scheme) -> &mut HashMap<Authority, Host> {
        if *scheme == Scheme::HTTPS { &mut self.https } else { &mut self.http }
    }

    /// Lets go of what is too old or closed; whether nothing is left.
    fn grow_old(&mut self) -> bool {
        self.tick += 1;
        let young = |since: u64| self.tick - since < TICKS;
        for hosts in [&mut self.http, &mut self.https] {
            hosts.retain(|_, host| {
                host.idle.retain_mut(|(since, single)| young(*since) && single.is_free());
                host.shared.take_if(|shared| !young(shared.used) || !shared.sender.is_ready());
                !host.idle.is_empty() || host.shared.is_some()
            });
        }
        self.http.is_empty() && self.https.is_empty()
    }
}

impl Destination {
    /// Takes the address out of a request; [`Line::send`] puts it back as the connection wants it.
    fn take(request: &mut Request<EgressBody>) -> Result<Self, EgressError> {
        let parts = std::mem::take(request.uri_mut()).into_parts();
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) => {
                let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
                Ok(Self { scheme, authority, path })
            }
            _ => Err(EgressError::InvalidRequest("The address has no host.")),
        }
    }

    fn uri(&self, path: PathAndQuery) -> Result<Uri, EgressError> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| EgressError::InvalidRequest("The address has no host."))
    }
}

impl Single {
    /// Lets the connection do what it can now; whether it still stands. Whoever is in `context` is woken when it can do more.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) -> bool {
        self.bell.0.register(context.waker());
        self.work()
    }

    fn work(&mut self) -> bool {
        if let Some(connection) = &mut self.connection {
            // How it ended is told to whoever waits for an answer, as soon as it is dropped.
            if Pin::new(connection).poll(&mut Context::from_waker(&self.waker)).is_ready() {
                self.connection = None;
            }
        }
        self.connection.is_some()
    }

    /// The same, and nobody is woken.
    pub(super) fn nudge(&mut self) -> bool {
        self.bell.0.take();
        self.work()
    }

    /// Whether it stands, as far as can be seen from here, and can take a request.
    fn is_free(&mut self) -> bool {
        self.nudge() && self.sender.is_ready()
    }

    async fn send(
        &mut self,
        request: Request<EgressBody>,
        deadline: Option<Instant>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match (&mut self.late, deadline) {
            (_, None) => self.late = None,
            (Some(late), Some(deadline)) => late.as_mut().reset(deadline),
            (late, Some(deadline)) => *late = Some(Box::pin(sleep_until(deadline))),
        }
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|context| {
            self.bell.0.register(context.waker());
            if let Some(connection) = &mut self.connection
                && Pin::new(connection).poll(&mut Context::from_waker(&self.waker)).is_ready()
            {
                // Its end gives back what was not begun.
                self.connection = None;
            }
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                // Whoever has the answer is not to be woken by his own reading.
                self.bell.0.take();
                return Poll::Ready(answer.map_err(Unanswered::from));
            }
            match &mut self.late {
                Some(late) => late.as_mut().poll(context).map(|()| Err(Unanswered::Late)),
                None => Poll::Pending,
            }
        })
        .await
    }
}

async fn in_time<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

impl Line {
    /// Sends a request in the form that the protocol wants. Whoever drops this breaks the exchange off.
    async fn send(
        &mut self,
        mut request: Request<EgressBody>,
        to: &Destination,
        deadline: Option<Instant>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match self {
            Self::Single(single) => {
                request.headers_mut().insert(HOST, single.host.clone());
                *request.uri_mut() = Uri::from(to.path.clone());
                single.send(request, deadline).await
            }
            Self::Shared(sender) => {
                // The address says it, and so does no header.
                request.headers_mut().remove(HOST);
                if let Ok(uri) = to.uri(to.path.clone()) {
                    *request.uri_mut() = uri;
                }
                let answer = Box::pin(in_time(deadline, sender.try_send_request(request)));
                Ok(answer.await.ok_or(Unanswered::Late)??)
            }
        }
    }
}

/// What TLS chose.
fn speaks_http2(wire: &Wire) -> bool {
    matches!(wire, MaybeHttpsStream::Https(tls) if tls.inner().get_ref().1.alpn_protocol() == Some(b"h2"))
}
