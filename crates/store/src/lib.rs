//! One concrete store on SQLite and PostgreSQL, one SQL text for both.
//!
//! It decides nothing: whoever changes something shows a [`Permit`], and all changes of one decision stand in one transaction
//! ([`Store::begin`] … [`Tx::commit`]). Reads go to a pool of readers. Every statement stands in a list of its file and is prepared on both
//! databases by a test; every public method is called on both by the conformance suite.
//!
//! Tables lead their keys with `organization_id`. Times are integer microseconds, JSON is opaque text, flags are 0 and 1, secrets are
//! sealed before they come here.

mod applications;
mod audit;
mod authorizations;
mod calls;
mod connections;
mod connectors;
mod datasources;
mod db;
mod definitions;
mod files;
mod flows;
mod idempotency;
mod imports;
mod members;
mod migrate;
mod organizations;
mod overview;
mod payments;
mod primaries;
mod records;
mod runs;
mod schedules;
mod schema;
mod sessions;
mod webhooks;

pub use applications::{Access, Application, Component, Held, Reference};
pub use audit::{AuditFilter, AuditHead, AuditRow, EventRow};
pub use authorizations::{Authorization, Binding, BindingStatus, Lease, NewCredential};
pub use calls::{Call, CallBatch, CallRecord};
pub use connections::{Connection, ConnectionFilter, StatusFilter};
pub use connectors::{ConnectorVersion, CustomConnector};
pub use datasources::{Pulled, RowQuery, Table, TableRow};
pub use db::{Change, Changes, DbOptions, Kind, ServingLock, StoreError, Tx};
pub use definitions::{Definition, Deployment, Release};
pub use files::RecordFile;
pub use flows::{Flow, FlowOutcome, Poll};
pub use idempotency::Answer;
pub use imports::{Import, ImportProgress};
pub use members::{LinkKind, Member, MemberLink};
pub use organizations::{ApiKey, KeyOwner, Organization};
pub use overview::{Drawn, Line, Needs, NeedyAuthorization, Rate};
pub use payments::{Payment, PaymentEnd, PaymentFilter};
pub use primaries::Primary;
pub use records::{Drawer, Record};
pub use runs::{Progress, Run, RunFilter, RunStep, Why};
pub use schedules::Scheduled;
pub use sessions::{Session, Throttle};
pub use webhooks::WebhookSecret;

use jackfield_core::{Permit, Timestamp};

/// Rows that a prune deletes at most, so that no transaction keeps others waiting. Who prunes goes on while as many were deleted.
pub const PRUNE_AT_ONCE: i64 = 1000;

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
        let store = Self::connect(url, options).await?;
        store.migrate(now).await?;
        Ok(store)
    }

    /// Opens (and for SQLite creates) the store and leaves its tables as they are.
    pub async fn connect(url: &str, options: &DbOptions) -> Result<Self> {
        Ok(Self { db: db::Db::open(url, options).await? })
    }

    /// Opens the store to look at it. A SQLite file is neither made (`None`: there is none) nor changed: every write fails.
    pub async fn look(url: &str, options: &DbOptions) -> Result<Option<Self>> {
        Ok(db::Db::look(url, options).await?.map(|db| Self { db }))
    }

    /// Whether the database has no tables of ours yet.
    pub async fn is_new(&self) -> Result<bool> {
        Ok(!migrate::is_marked(&self.db).await?)
    }

    /// Whether its tables are the ones this program knows. Fails where the store is ahead of the program.
    pub async fn is_current(&self) -> Result<bool> {
        migrate::is_current(&self.db, schema::MIGRATIONS).await
    }

    /// Brings the tables up to date, which makes those of a new store.
    pub async fn migrate(&self, now: Timestamp) -> Result<()> {
        migrate::migrate(&self.db, schema::MIGRATIONS, now).await.map(drop)
    }

    /// The database's own clock, where it has one: a SQLite file has ours.
    pub async fn clock(&self) -> Result<Option<Timestamp>> {
        self.db.clock().await
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

    /// Has the database read every statement of the house without running it: for the test that does so on both databases.
    #[doc(hidden)]
    pub async fn check_statements(&self) -> Result<()> {
        for statements in [
            migrate::ALL,
            audit::ALL,
            organizations::ALL,
            primaries::ALL,
            members::ALL,
            sessions::ALL,
            connectors::ALL,
            connections::ALL,
            applications::ALL,
            authorizations::ALL,
            flows::ALL,
            calls::ALL,
            overview::ALL,
            idempotency::ALL,
            imports::ALL,
            definitions::ALL,
            records::ALL,
            files::ALL,
            runs::ALL,
            schedules::ALL,
            datasources::ALL,
            payments::ALL,
            webhooks::ALL,
        ] {
            self.db.check(statements).await?;
        }
        Ok(())
    }
}
