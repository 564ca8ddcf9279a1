//! The service's face: REST API, proxy endpoint, the console and the connect pages.
//!
//! A request comes in on the thread of one of the [`workers`] at [`front`], which answers calls through connections at once and hands everything else to the router. A handler reads its input,
//! calls one function of the engine and shows its view; it holds no SQL, no crypto and no rule.

mod address;
mod api;
mod assets;
mod console;
mod doors;
mod error;
mod front;
mod input;
mod multipart;
mod pages;
mod routes;
mod session;
mod timer;
mod uploads;
mod workers;

use std::future::Future;
use std::time::Duration;

use jackfield_engine::Engine;
use tokio::net::TcpListener;

pub use routes::openapi_json;

/// How long running requests may take to finish once the service is told to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// What the server is told at start.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// whether the API can be browsed at `/docs`
    pub docs: bool,
    /// proxies whose word is taken for where a request comes from
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// Serves until `shutdown` resolves, then lets running requests finish.
pub async fn serve(
    engine: Engine,
    listener: TcpListener,
    options: ServerOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let trusted = options.trusted_proxies.clone();
    front::run(engine, routes::routes(options), trusted, listener, shutdown, FAREWELL).await
}
