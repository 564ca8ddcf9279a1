//! Word from the other nodes that something has changed.

use std::future;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{CHANNEL, Db};

/// After so much silence the connection is asked whether it still lives.
const SILENCE: Duration = Duration::from_millis(300);
/// How long it may take to say so.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// What the other nodes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// What another node gave to `notify`, after its commit.
    Payload(String),
    /// From now on changes may go unheard: everything cached may be stale.
    Lost,
    /// Changes are heard again, or for the first time. What was cached before may be stale.
    Restored,
}

/// The stream of changes by other nodes. Dropping it ends it.
///
/// On PostgreSQL it starts unheard: the first item is [`Change::Restored`]. On SQLite there is no other node, and it
/// yields nothing for ever.
pub struct Changes(Option<Listening>);

struct Listening {
    heard: mpsc::Receiver<Change>,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Changes {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn listen(options: PgConnectOptions, connect_timeout: Duration, own: String) -> Self {
        let (say, heard) = mpsc::channel(1024);
        Self(Some(Listening { heard, task: tokio::spawn(listen(options, connect_timeout, own, say)) }))
    }

    /// The next change. May be given up and called again.
    pub async fn next(&mut self) -> Change {
        if let Some(listening) = &mut self.0 {
            if let Some(change) = listening.heard.recv().await {
                return change;
            }
            // The task ended without being told to; nothing is heard from here on.
            self.0 = None;
            return Change::Lost;
        }
        future::pending().await
    }
}

impl Db {
    /// Starts to listen to the other nodes. To be called within the runtime.
    pub fn changes(&self) -> Changes {
        self.listen_options().map_or_else(Changes::none, |options| {
            Changes::listen(options, self.options().connect_timeout, self.node().to_owned())
        })
    }
}

async fn listen(
    options: PgConnectOptions,
    connect_timeout: Duration,
    own: String,
    say: mpsc::Sender<Change>,
) {
    let mut live = false;
    loop {
        if let Ok(Ok(mut listener)) = timeout(connect_timeout, connect(&options)).await {
            live = true;
            if say.send(Change::Restored).await.is_err() {
                return;
            }
            if hear(&mut listener, &own, &say).await.is_none() {
                return;
            }
        }
        if live {
            live = false;
            tracing::warn!("the database's notifications are lost; connecting again");
            if say.send(Change::Lost).await.is_err() {
                return;
            }
        }
        sleep(PAUSE).await;
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let one = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let mut listener = PgListener::connect_with(&one.connect_with(options.clone()).await?).await?;
    // Reconnecting is said aloud, so it is done in `listen`.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Passes on what is heard until the connection is lost; `None` when nobody listens to us any more.
async fn hear(listener: &mut PgListener, own: &str, say: &mpsc::Sender<Change>) -> Option<()> {
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                let Some((node, payload)) = notification.payload().split_once(' ') else { continue };
                if node != own {
                    say.send(Change::Payload(payload.to_owned())).await.ok()?;
                }
            }
            Ok(Ok(None) | Err(_)) => return Some(()),
            Err(_silence) => {
                let alive = sqlx::raw_sql("select 1").execute(&mut *listener);
                if !matches!(timeout(HEARTBEAT, alive).await, Ok(Ok(_))) {
                    return Some(());
                }
            }
        }
    }
}
