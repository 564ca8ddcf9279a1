//! Where requests come in: calls through connections, by the proxy or by invoke, are answered here, before the routers; everything else goes to
//! one of them.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use ipnet::IpNet;
use jackfield_core::id::Prefix;
use jackfield_core::{Code, Error, Result};
use jackfield_engine::call::proxy::{Proxied, ProxyBody};
use jackfield_engine::{Caller, Engine, clock};
use tokio::net::TcpListener;
use tower_service::Service as _;

use crate::address;
use crate::api::calls;
use crate::error::Failure;
use crate::routes::{Routes, is_probe};
use crate::session;
use crate::uploads::Uploads;
use crate::workers::Workers;

const PROXY: &str = "/v1/proxy/";
const REQUEST_ID: HeaderName = HeaderName::from_static("jackfield-request-id");

/// The id of a request: in every answer, every problem document, every line of the log.
#[derive(Clone)]
pub(crate) struct RequestId(pub String);

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub IpAddr);

/// What goes out.
pub(crate) enum FrontBody {
    Router(Body),
    Proxy(ProxyBody),
}

impl HttpBody for FrontBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Router(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Proxy(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Router(body) => body.is_end_stream(),
            Self::Proxy(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Router(body) => body.size_hint(),
            Self::Proxy(body) => body.size_hint(),
        }
    }
}

/// What a worker answers with.
pub(crate) struct Front {
    pub engine: Engine,
    /// proxies whose word is taken for where a request comes from
    pub trusted: Arc<[IpNet]>,
    pub probes: Router,
    pub router: LazyLock<Router, Box<dyn FnOnce() -> Router + Send>>,
    pub uploads: Uploads,
}

/// Accepts connections until `shutdown`, then waits at most `farewell` for running requests.
pub(crate) async fn run(
    engine: Engine,
    routes: Routes,
    trusted: Vec<IpNet>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
    farewell: Duration,
) -> std::io::Result<()> {
    let workers = Workers::start(&engine, &Arc::new(routes), &trusted.into())?;
    tokio::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the peer was gone already: the next one may fare better.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        workers.give(stream, peer.ip());
    }
    drop(listener);
    if tokio::time::timeout(farewell, workers.finish()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were broken off");
    }
    engine.flush_records().await;
    Ok(())
}

pub(crate) async fn answer(
    front: Arc<Front>,
    peer: IpAddr,
    mut request: Request<Incoming>,
) -> std::result::Result<Response<FrontBody>, Infallible> {
    let request_id = clock::new_id(Prefix::Request, clock::now());
    let seen = tracing::enabled!(tracing::Level::DEBUG)
        .then(|| (Instant::now(), request.method().clone(), request.uri().path().to_owned()));
    let mut response = if request.uri().path().starts_with(PROXY) {
        match proxy(&front.engine, &request_id, request).await {
            Ok(response) => response.map(FrontBody::Proxy),
            Err(error) => {
                Failure { error, request_id: request_id.clone() }.into_response().map(FrontBody::Router)
            }
        }
    } else {
        let is_docs = request.uri().path().starts_with("/docs");
        let invoked = calls::invoked(request.method(), request.uri().path()).map(str::to_owned);
        let client = address::client(peer.to_canonical(), request.headers(), &front.trusted);
        request.extensions_mut().insert(RequestId(request_id.clone()));
        request.extensions_mut().insert(Peer(client));
        // What it holds of the room for large bodies is held until it is answered.
        let share = front.uploads.share();
        request.extensions_mut().insert(share.clone());
        let request = request.map(Body::new);
        let mut response = if let Some(connection) = invoked {
            Box::pin(calls::invoke_directly(&front.engine, connection, request)).await
        } else {
            let router = if is_probe(request.uri().path()) { &front.probes } else { &*front.router };
            match router.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        guard(response.headers_mut(), is_docs);
        response.map(FrontBody::Router)
    };
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if let Some((started, method, path)) = seen {
        tracing::debug!(
            request_id,
            %method,
            path,
            status = response.status().as_u16(),
            micros = started.elapsed().as_micros(),
            "request answered"
        );
    }
    Ok(response)
}

/// Headers that every answer of ours carries unless it has its own.
fn guard(headers: &mut HeaderMap, is_docs: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(REFERRER_POLICY) {
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        let policy = if is_docs {
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
        } else {
            "default-src 'none'; frame-ancestors 'none'"
        };
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
}

async fn proxy(engine: &Engine, request_id: &str, request: Request<Incoming>) -> Result<Response<ProxyBody>> {
    let (caller, request) = session_or_key(engine, request).await?;
    let by_session = caller.session.is_some();
    let path = request.uri().path().strip_prefix(PROXY).unwrap_or("");
    let (connection, rest) = path.split_once('/').unwrap_or((path, ""));
    if connection.is_empty() {
        return Err(crate::error::nothing_here(PROXY));
    }
    // Always a path: an absolute URL here is a segment like any other.
    let rest = match request.uri().query() {
        Some(query) => ["/", rest, "?", query].concat(),
        None => ["/", rest].concat(),
    };
    let proxied = Proxied { connection: connection.to_owned(), rest, request };
    let mut response = engine.proxy(&caller, request_id, proxied).await?;
    if by_session {
        // A service has no say in the cookies of this origin.
        response.headers_mut().remove(SET_COOKIE);
    }
    Ok(response)
}

/// Who asks for the proxy. What a service answers would be a page of this origin if a browser navigated to it, so that a session needs its
/// second token here for every method; and the session's cookie is not the service's to see.
async fn session_or_key(
    engine: &Engine,
    mut request: Request<Incoming>,
) -> Result<(Arc<Caller>, Request<Incoming>)> {
    if !request.headers().contains_key(AUTHORIZATION)
        && let Some(caller) =
            Box::pin(session::authenticate(engine, request.method(), request.headers(), true)).await?
    {
        session::hide(engine, request.headers_mut());
        return Ok((Arc::new(caller), request));
    }
    let caller = authenticate(engine, request.method(), request.headers()).await?;
    Ok((caller, request))
}

/// Who is calling, by the `Authorization` header, or by a browser session where there is none.
pub(crate) async fn authenticate(
    engine: &Engine,
    method: &http::Method,
    headers: &HeaderMap,
) -> Result<Arc<Caller>> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        // Boxed, since programs have a key: the future of each of their calls would be larger.
        let caller = Box::pin(session::authenticate(engine, method, headers, false)).await?;
        return caller.map(Arc::new).ok_or_else(|| {
            Error::new(Code::Unauthenticated, "Send an API key: Authorization: Bearer jfp_…")
        });
    };
    let key = header
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .ok_or_else(|| Error::new(Code::Unauthenticated, "Send an API key: Authorization: Bearer jfp_…"))?;
    engine.authenticate(key, clock::now()).await
}
