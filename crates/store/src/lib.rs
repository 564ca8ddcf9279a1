//! One concrete store on SQLite and PostgreSQL, one SQL text for both.
//!
//! It decides nothing: whoever changes something shows a [`Permit`], and all changes of one decision stand in one transaction
//! ([`Store::begin`] … [`Tx::commit`]). Reads go to a pool of readers. Every statement stands in [`statements`] and is prepared on both
//! databases by a test; every public method is called on both by the conformance suite.
//!
//! Tables lead their keys with `organization_id`. Times are integer microseconds, JSON is opaque text, flags are 0 and 1, secrets are
//! sealed before they come here.

mod authorizations;
mod calls;
mod connections;
mod connectors;
mod db;
mod flows;
mod idempotency;
mod migrate;
mod organizations;
mod schema;

pub use authorizations::{Authorization, Binding, Lease, NewCredential};
pub use calls::Call;
pub use connections::Connection;
pub use connectors::CustomConnector;
pub use db::{Change, Changes, DbOptions, Kind, ServingLock, StoreError, Tx};
pub use flows::{Flow, FlowOutcome};
pub use idempotency::Answer;
pub use organizations::{ApiKey, Member, Organization};

use jackfield_core::{Permit, Timestamp};

/// What every store function returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: db::Db,
}

impl Store {
    /// Opens (and for SQLite creates) the store and brings its tables up to date. `url` is `sqlite:PATH` or `postgres://…`.
    pub async fn open(url: &str, options: &DbOptions, now: Timestamp) -> Result<Self> {
        let db = db::Db::open(url, options).await?;
        migrate::migrate(&db, schema::MIGRATIONS, now).await?;
        Ok(Self { db })
    }

    /// Begins the one transaction of a decided change. Dropped without [`Tx::commit`], it never happened.
    pub async fn begin(&self, _permit: Permit) -> Result<Tx> {
        self.db.begin().await
    }

    /// Which database it is.
    pub fn kind(&self) -> Kind {
        self.db.kind()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// What other nodes changed, as it is committed.
    pub fn changes(&self) -> Changes {
        self.db.changes()
    }

    /// Takes the right to serve this store. A SQLite file is served by one process at a time.
    pub fn lock_for_serving(&self) -> Result<ServingLock> {
        self.db.lock_for_serving()
    }

    /// How many statements this process has sent: tests prove with it that a warm call sends none.
    pub fn statements_run(&self) -> u64 {
        self.db.statements_run()
    }

    /// Closes every connection to the database.
    pub async fn close(self) {
        self.db.close().await;
    }

    /// Every statement of the house, by name: for the test that prepares them on both databases.
    #[doc(hidden)]
    pub fn statements() -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            organizations::ALL,
            connectors::ALL,
            connections::ALL,
            authorizations::ALL,
            flows::ALL,
            calls::ALL,
            idempotency::ALL,
        ]
        .into_iter()
        .flatten()
        .map(|statement| (statement.name, statement.sql))
    }
}
