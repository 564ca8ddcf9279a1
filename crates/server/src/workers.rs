//! The threads that answer: one a core, each with a runtime, connections of clients and connections to services of its own, so that
//! what belongs to a request stays on one core and nobody waits for a lock of the scheduler's. What works beside the requests runs on
//! the runtime of the process.

use std::io;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use jackfield_engine::Engine;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::front::{Front, answer};
use crate::routes::{Routes, probes};
use crate::timer::Timer;
use crate::uploads::Uploads;

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Threads of a worker that resolve names, hash passwords and the like. Idle ones end after ten seconds.
const BLOCKING: usize = 16;

pub(crate) struct Workers(Vec<Worker>);

struct Worker {
    streams: mpsc::UnboundedSender<(std::net::TcpStream, IpAddr)>,
    /// how many connections it has
    open: Arc<AtomicUsize>,
    done: oneshot::Receiver<()>,
}

/// A connection that counts as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts as many as there are cores.
    pub fn start(engine: &Engine, routes: &Arc<Routes>, trusted: &Arc<[IpNet]>) -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let uploads = Uploads::of(engine.settings().request_limit);
        (0..count)
            .map(|number| {
                Worker::start(number, engine, Arc::clone(routes), Arc::clone(trusted), uploads.clone())
            })
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Hands a connection to the worker that has the fewest.
    pub fn give(&self, stream: TcpStream, peer: IpAddr) {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed)) else {
            return;
        };
        // It leaves the runtime that accepted it and joins the worker's. A peer that is gone already is no loss.
        let Ok(stream) = stream.into_std() else { return };
        worker.open.fetch_add(1, Ordering::Relaxed);
        let _ = worker.streams.send((stream, peer));
    }

    /// Takes no more connections and waits until the running requests are answered.
    pub async fn finish(self) {
        let done: Vec<_> = self.0.into_iter().map(|worker| worker.done).collect();
        for done in done {
            let _ = done.await;
        }
    }
}

impl Worker {
    fn start(
        number: usize,
        engine: &Engine,
        routes: Arc<Routes>,
        trusted: Arc<[IpNet]>,
        uploads: Uploads,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING).build()?;
        let (streams, received) = mpsc::unbounded_channel();
        let (finished, done) = oneshot::channel();
        let open = Arc::new(AtomicUsize::new(0));
        let engine = engine.for_a_thread();
        let probes = probes().with_state(engine.clone());
        let state = engine.clone();
        let router = LazyLock::new(Box::new(move || (*routes).clone().with_state(state)) as Box<_>);
        let front = Arc::new(Front { engine, trusted, probes, router, uploads });
        let counter = Arc::clone(&open);
        std::thread::Builder::new()
            .name(format!("front-{number}"))
            .spawn(move || work(&runtime, front, received, &counter, finished))?;
        Ok(Self { streams, open, done })
    }
}

fn work(
    runtime: &Runtime,
    front: Arc<Front>,
    mut streams: mpsc::UnboundedReceiver<(std::net::TcpStream, IpAddr)>,
    open: &Arc<AtomicUsize>,
    finished: oneshot::Sender<()>,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(Timer).header_read_timeout(HEAD_TIME);
    server.http2().timer(TokioTimer::new());
    let graceful = GracefulShutdown::new();
    runtime.block_on(async move {
        while let Some((stream, peer)) = streams.recv().await {
            let counted = Counted(Arc::clone(open));
            let stream = match TcpStream::from_std(stream) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken over");
                    continue;
                }
            };
            let front = Arc::clone(&front);
            let service = service_fn(move |request| answer(Arc::clone(&front), peer, request));
            let connection =
                server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                let _counted = counted;
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke off");
                }
            });
        }
        graceful.shutdown().await;
        let _ = finished.send(());
        // Connections with the database live on the runtime that opened them, and are wanted until the process ends; so are requests
        // that did not finish in time.
        std::future::pending::<()>().await;
    });
}
