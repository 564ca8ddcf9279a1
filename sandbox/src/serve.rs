//! Serves connections one by one, so that a fault can cut one in the middle.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
};
use tower_service::Service as _;

use crate::{Options, Sandbox};

/// The handle by which a request can end the connection it came on.
#[derive(Clone, Default)]
pub(crate) struct Cord(Arc<CordState>);

#[derive(Default)]
struct CordState {
    reset: AtomicBool,
    cut: Notify,
}

impl Cord {
    /// Ends the connection: with a TCP reset, or in the ordinary way.
    pub(crate) fn cut(&self, reset: bool) {
        self.0.reset.store(reset, Ordering::SeqCst);
        self.0.cut.notify_one();
    }

    /// From now on, the end of the connection is a TCP reset.
    pub(crate) fn end_in_reset(&self) {
        self.0.reset.store(true, Ordering::SeqCst);
    }
}

/// A TCP stream that is reset instead of closed when its cord says so.
struct Wire {
    stream: TcpStream,
    cord: Cord,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.cord.0.reset.load(Ordering::SeqCst) {
            // A linger time of zero turns the close that follows into a reset.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cord.0.reset.load(Ordering::SeqCst) {
            // A FIN in front would tell the client of an orderly end.
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A sandbox that is serving. Dropping it stops the service.
pub struct Running {
    /// Its address without a slash at the end, for example `http://127.0.0.1:41234`. It is the
    /// OAuth 2 issuer too.
    pub url: String,
    /// The sandbox itself: faults, counters, records.
    pub handle: Sandbox,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Running {
    /// Stops accepting, gives answers under way a moment, and closes every connection.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        drop(self.accepting.await);
    }
}

impl Sandbox {
    /// Makes a sandbox and serves it on the listener. Must be called inside a Tokio runtime.
    pub fn start(options: Options, listener: TcpListener) -> io::Result<Running> {
        Self::new(options).serve(listener)
    }

    /// Serves this sandbox on the listener. Must be called inside a Tokio runtime.
    ///
    /// The public address is [`Options::public_url`], or else made of the listener's address.
    pub fn serve(&self, listener: TcpListener) -> io::Result<Running> {
        let mut address = listener.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let local = || format!("http://{address}");
        let url = self
            .options()
            .public_url
            .as_deref()
            .map_or_else(local, |url| url.trim_end_matches('/').to_owned());
        let router = self.router(&url);
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, router, stopped));
        Ok(Running { url, handle: self.clone(), stop, accepting })
    }
}

async fn accept(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An error of the channel is the drop of `Running`, which means stop as well.
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    drop(stream.set_nodelay(true));
                    connections.spawn(connection(stream, router.clone(), stopped.clone()));
                }
                // Usually too many open files: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_millis(500), all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    let cord = Cord::default();
    let wire = Wire { stream, cord: cord.clone() };
    let handed = cord.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(handed.clone());
        router.clone().call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_mins(1))
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    tokio::pin!(served);
    let mut stopping = false;
    loop {
        tokio::select! {
            // Errors of a connection concern its client alone.
            _ = served.as_mut() => break,
            () = cord.0.cut.notified() => break,
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
