//! `jackfield serve`.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use jackfield_engine::call::egress::EgressError;
use jackfield_engine::{Egress, Engine};
use jackfield_server::ServerOptions;
use jackfield_store::Kind;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, Result, sentence};
use crate::open::{self, Opened, Purpose};
use crate::settings::{Flags, Settings};
use crate::{logging, say};

/// How long what workflows have under way is waited for when the process is to end.
const FINISH: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    settings: Flags,
}

pub async fn run(args: Serve) -> Result<()> {
    let settings = Settings::load(&args.settings)?;
    logging::start(&settings)?;
    for (name, meant) in &settings.mistyped {
        tracing::warn!(name, meant, "this variable is no setting; it may be mistyped");
    }
    // From here on a signal ends the process in order.
    let stop = stop_asked()?;
    let listener = bind(settings.listen).await?;
    let bound = local_address(&listener)?;
    let public_url = settings.public_url(bound);
    if settings.public_url.is_none() && bound.ip().is_unspecified() {
        tracing::warn!(public_url, "JACKFIELD_PUBLIC_URL is not set: links lead to this machine only");
    }

    let egress = egress(&settings).await?;

    let Opened { store, keyring, lock } = open::open(&settings, Purpose::Serve).await?;
    let alone = store.kind() == Kind::Sqlite;
    let engine = Engine::new(store.clone(), keyring, egress, settings.engine(public_url.clone()));
    engine.start_background(alone).await?;
    let set_up = engine.set_up_token().await?;

    tracing::info!(version = env!("CARGO_PKG_VERSION"), store = ?store.kind(), public_url, "started");
    let options = ServerOptions { docs: true, trusted_proxies: settings.trusted_proxies.clone() };
    let serving = tokio::spawn(jackfield_server::serve(engine.clone(), listener, options, stop));
    say::aside(format!("listening on http://{bound}"));
    if let Some(token) = set_up {
        // Not by the log, which is kept and shipped: who has the link owns the store.
        say::aside(format!(
            "This store is new. Set it up once at {public_url}/setup?token={}",
            token.expose_secret()
        ));
    }
    let served = serving.await;
    engine.finish_runs(FINISH).await;
    engine.flush_records().await;
    engine.flush_counts().await;
    store.close().await;
    drop(lock);
    match served {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(Failure::new(format!("The service stopped: {e}."))),
        Err(e) => Err(Failure::new(format!("The service stopped: {e}."))),
    }
}

/// Binds the address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        let mend = match e.kind() {
            std::io::ErrorKind::AddrInUse => {
                "Another program listens there, perhaps another Jackfield. Stop it, or choose another port"
            }
            std::io::ErrorKind::PermissionDenied => "Choose a port from 1024 up, or let this user bind it",
            _ => "Choose an address of this machine",
        };
        Failure::new(format!("JACKFIELD_LISTEN: {address} cannot be bound: {e}. {mend}."))
    })
}

pub fn local_address(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(|e| Failure::new(format!("The bound address is not known: {e}.")))
}

/// The door out, as the settings have it.
pub async fn egress(settings: &Settings) -> Result<Egress> {
    let options = settings.egress();
    open::blocking(move || Egress::new(options)).await?.map_err(|error| match error {
        EgressError::Roots(why) => Failure::new(format!(
            "JACKFIELD_EGRESS_ROOTS: {} Name a file of certificates in PEM.",
            sentence(&why)
        )),
        error => Failure::new(sentence(&error.to_string())),
    })
}

/// Resolves when the process is asked to stop. Asked a second time, it stops at once.
pub fn stop_asked() -> Result<impl Future<Output = ()> + Send + 'static> {
    let listen = |kind| signal(kind).map_err(|e| Failure::new(format!("Signals cannot be heard: {e}.")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; running requests may finish");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(130);
        });
    })
}
