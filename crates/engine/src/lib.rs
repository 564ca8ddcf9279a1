//! The use cases of Jackfield, in wings: [`connect`] (connectors, connections, flows, authorizations, refresh), [`call`] (invoke,
//! proxy, the one door out), [`automate`] (forms, records, workflows, runs) and [`govern`] (organizations, members, keys).
//!
//! Every function takes an [`Op`] and asks [`jackfield_core::permit()`] before it acts. It knows no HTTP server and no HTML. Views are what
//! the API answers and the console shows.

pub mod automate;
pub mod call;
pub mod clock;
pub mod connect;
pub mod govern;
mod hot;
pub mod idempotency;
mod near;
mod op;
mod page;
pub mod tasks;
mod work;

use std::sync::Arc;
use std::time::Duration;

use jackfield_core::{Error, Permit, Result};
use jackfield_store::Store;
use jackfield_vault::Keyring;

pub use call::egress::{Egress, EgressOptions};
pub use govern::keys::Caller;
pub use op::{Idempotency, Op, Visit, neighbourhood};
pub use page::{Page, PageQuery};

/// SHA-256, for whoever has to recognize a request again.
#[must_use]
pub fn digest(data: &[u8]) -> [u8; 32] {
    jackfield_vault::token::digest(data)
}

/// Entries a cache may hold: keys, and ready calls. Bounds memory whatever the number of connections.
const CACHED: u64 = 20_000;
/// What is cached is looked at again after this long even if nobody said that it changed.
const CACHE_LIFE: Duration = Duration::from_mins(5);
/// Name under which the store keeps the value that proves the key.
pub const KEY_CHECK: &str = "key_check";

/// What the engine is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// where browsers reach this service, without a slash at the end
    pub public_url: String,
    /// how long a flow lives
    pub flow_ttl: Duration,
    /// how long a flow with a device code lives at most
    pub device_flow_ttl: Duration,
    /// largest body of an invoke, in bytes
    pub request_limit: usize,
    /// largest file in a record, in bytes
    pub file_limit: usize,
    /// largest answer of an invoke, in bytes
    pub response_limit: usize,
    /// what the organizations' plans allow
    pub plans: jackfield_core::plan::Plans,
    /// the server that takes mail
    pub mail: Option<govern::mail::Mail>,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    egress: Egress,
    near: Arc<near::Near>,
}

struct Inner {
    store: Store,
    keyring: Keyring,
    settings: Settings,
    hot: hot::Hot,
    keys: moka::sync::Cache<[u8; 32], Arc<govern::keys::Known>>,
    ready: moka::sync::Cache<call::ready::Place, Arc<call::ready::Ready>>,
    refreshes: connect::refresh::Flights,
    records: call::record::Recorder,
    meters: govern::plan::Meters,
    described: automate::described::Cache,
    live: moka::sync::Cache<automate::live::Place, Arc<automate::live::Live>>,
    runner: automate::runner::Runner,
    importer: automate::imports::Importer,
    ticker: automate::schedules::Ticker,
    submissions: automate::hosted::Submissions,
    sessions: moka::sync::Cache<[u8; 32], Arc<govern::sessions::Known>>,
    hashing: govern::passwords::Hashing,
    /// bounds how many requests for a new password are worked on at once
    resets: Arc<tokio::sync::Semaphore>,
}

impl Engine {
    /// Takes a store whose tables are up to date and the key that belongs to it ([`Engine::check_key`]).
    #[must_use]
    pub fn new(store: Store, keyring: Keyring, egress: Egress, settings: Settings) -> Self {
        let records = call::record::Recorder::default();
        Self {
            egress,
            near: Arc::new(near::Near::new(records.new_queue())),
            inner: Arc::new(Inner {
                store,
                keyring,
                settings,
                hot: hot::Hot::default(),
                keys: cache(),
                ready: cache(),
                refreshes: connect::refresh::Flights::default(),
                records,
                meters: govern::plan::Meters::default(),
                described: automate::described::cache(),
                live: cache(),
                runner: automate::runner::Runner::default(),
                importer: automate::imports::Importer::default(),
                ticker: automate::schedules::Ticker::default(),
                submissions: automate::hosted::Submissions::default(),
                sessions: cache(),
                hashing: govern::passwords::Hashing::default(),
                resets: Arc::new(tokio::sync::Semaphore::new(32)),
            }),
        }
    }

    /// The same engine for a thread with a runtime of its own, where its connections with services are to live and what it needs all the
    /// time is to be kept.
    #[must_use]
    pub fn for_a_thread(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            egress: self.egress.with_pool_of_its_own(),
            near: Arc::new(near::Near::new(self.inner.records.new_queue())),
        }
    }

    /// The same engine, which keeps what it sends to services and what they answer.
    pub(crate) fn watched(&self, watch: call::egress::Watch) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            egress: self.egress.watched(watch),
            near: Arc::clone(&self.near),
        }
    }

    /// Whether this key is the one the store was sealed with. A store that has none yet takes it.
    pub async fn check_key(store: &Store, keyring: &Keyring) -> Result<(), KeyMismatch> {
        let known = store.installation(KEY_CHECK).await.map_err(|e| KeyMismatch::Store(e.into()))?;
        let known = if let Some(known) = known {
            known
        } else {
            let permit = Permit::housekeeping("a new store takes its key");
            let mut tx = store.begin(permit).await.map_err(|e| KeyMismatch::Store(e.into()))?;
            tx.claim_installation(KEY_CHECK, &keyring.check_value())
                .await
                .map_err(|e| KeyMismatch::Store(e.into()))?;
            tx.commit().await.map_err(|e| KeyMismatch::Store(e.into()))?;
            // Another node may have been faster, with another key.
            store
                .installation(KEY_CHECK)
                .await
                .map_err(|e| KeyMismatch::Store(e.into()))?
                .ok_or_else(|| KeyMismatch::Store(Error::internal("the key check was not stored")))?
        };
        keyring.verify_check(&known).map_err(|_| KeyMismatch::Foreign)
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// How many statements this process has sent to the database.
    #[must_use]
    pub fn statements_run(&self) -> u64 {
        self.inner.store.statements_run()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.inner.store.ping().await?)
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    pub(crate) fn egress(&self) -> &Egress {
        &self.egress
    }
}

fn cache<K, V>() -> moka::sync::Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    moka::sync::Cache::builder().max_capacity(CACHED).time_to_live(CACHE_LIFE).build()
}

/// Why the store and the key do not go together.
#[derive(Debug, thiserror::Error)]
pub enum KeyMismatch {
    /// The store was sealed with another key.
    #[error("the store was sealed with another key")]
    Foreign,
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(Error),
}
