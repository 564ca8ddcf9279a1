//! Every public method of `Store` and `Tx` on both databases, and what its documentation promises.
//!
//! Here `store` is always a [`Store`] and `tx` always a [`Tx`]: [`completeness`] reads these files and misses a method that nobody calls
//! by that name. The PostgreSQL sorts like a dictionary, as many an operator's does.

mod applications;
mod audit;
mod authorizations;
mod calls;
mod completeness;
mod connections;
mod datasources;
mod definitions;
mod files;
mod flows;
mod idempotency;
mod imports;
mod leases;
mod members;
mod organizations;
mod overview;
mod payments;
mod primaries;
mod records;
mod runs;
mod schedules;
mod sessions;
mod webhooks;
mod whole;

use std::future::Future;

use jackfield_core::workflow::{RecordEvent, RunState};
use jackfield_core::{ConnectionStatus, Permit, Timestamp};
use jackfield_store::{
    Authorization, Call, CallBatch, CallRecord, DbOptions, Result, Run, Store, StoreError, Tx,
};

use crate::support::{NOW, dictionary, soon, sqlite};

const PERMIT: Permit = Permit::housekeeping("the conformance suite");
const ORG: &str = "org_1";
/// Another tenant: what it has is never found, changed or counted under [`ORG`].
const OTHER: &str = "org_2";

/// Runs a test on both databases, each fresh.
async fn on_both<F: Future<Output = ()>>(test: impl Fn(Store) -> F) {
    for empty in [sqlite(), dictionary()] {
        let store = open(&empty.url).await;
        eprintln!("on {:?}", store.kind());
        // Boxed: a long test is a large future.
        Box::pin(test(store.clone())).await;
        soon(store.close()).await;
    }
}

async fn open(url: &str) -> Store {
    Store::open(url, &DbOptions::default(), NOW).await.unwrap()
}

/// A change of its own: begun, made, committed.
async fn change<T>(store: &Store, make: impl AsyncFnOnce(&mut Tx) -> Result<T>) -> T {
    let mut tx = soon(store.begin(PERMIT)).await.unwrap();
    let made = soon(make(&mut tx)).await.unwrap();
    tx.commit().await.unwrap();
    made
}

/// A change that fails, and leaves nothing.
async fn failing<T>(store: &Store, make: impl AsyncFnOnce(&mut Tx) -> Result<T>) -> StoreError {
    let mut tx = soon(store.begin(PERMIT)).await.unwrap();
    soon(make(&mut tx)).await.err().expect("it is refused")
}

/// So many seconds after [`NOW`], or before it.
const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(NOW.micros() + seconds * 1_000_000)
}

/// What is the same in every test; the credential is the id.
fn authorization(organization: &str, id: &str, connector: &str, owner: &str) -> Authorization {
    Authorization {
        organization_id: organization.to_owned(),
        id: id.to_owned(),
        connector: connector.to_owned(),
        account_name: format!("the account of {id}"),
        owner: owner.to_owned(),
        subject: None,
        requested_scopes: Vec::new(),
        scopes: None,
        attributes: [].into(),
        credential: id.as_bytes().to_vec(),
        credential_version: 1,
        refreshable: true,
        issued_at: NOW,
        expires_at: Some(at(3600)),
        refresh_at: Some(at(2700)),
        status: ConnectionStatus::Connected,
        reason: None,
        presented: 0,
        lease_until: None,
        next_attempt_at: None,
        refresh_error: None,
        last_refreshed_at: None,
        last_used_at: None,
        created_at: NOW,
        version: 1,
        named: true,
        setup_pending: false,
        moved_from: None,
    }
}

/// A call, but for its id.
fn record(at: Timestamp) -> CallRecord<'static> {
    CallRecord {
        authorization_id: Some("auth_1"),
        environment: "production",
        principal: "mem_1",
        via: "invoke",
        method: "GET",
        host: "api.example.com",
        path: "/v1/things",
        status: Some(200),
        error: None,
        duration: 12_345,
        service: Some(12_000),
        request_id: "req_1",
        at,
    }
}

/// The same as it is read.
fn call(id: &str, record: &CallRecord<'_>) -> Call {
    Call {
        id: id.to_owned(),
        authorization_id: record.authorization_id.map(str::to_owned),
        environment: record.environment.to_owned(),
        principal: record.principal.to_owned(),
        via: record.via.to_owned(),
        method: record.method.to_owned(),
        host: record.host.to_owned(),
        path: record.path.to_owned(),
        status: record.status.map(i64::from),
        error: record.error.map(str::to_owned),
        duration: record.duration,
        service: record.service,
        request_id: record.request_id.to_owned(),
        at: record.at,
    }
}

fn batch<'a>(
    organization: &str,
    connection: &str,
    calls: impl IntoIterator<Item = (&'a str, CallRecord<'a>)>,
) -> CallBatch {
    let mut batch = CallBatch::new(organization, connection);
    for (id, record) in calls {
        let mut words = Vec::new();
        record.write(&mut words);
        batch.push(id, record.at, &words);
    }
    batch
}

/// A run as it is made, in the queue `q`.
fn run(organization: &str, id: &str) -> Run {
    Run {
        organization_id: organization.to_owned(),
        id: id.to_owned(),
        queue: "q".to_owned(),
        application: "portal".to_owned(),
        environment: "production".to_owned(),
        component: "workflow:pay".to_owned(),
        workflow: "pay".to_owned(),
        workflow_version: 3,
        form: "vendors".to_owned(),
        record: "rec_1".to_owned(),
        event: RecordEvent::Edited,
        record_version: 2,
        data: r#"{"record":{}}"#.to_owned(),
        actor: "mem_1".to_owned(),
        state: RunState::Queued,
        results: "{}".to_owned(),
        attempts: 0,
        doubt: false,
        tried_since: None,
        due_at: NOW,
        behind: None,
        after: None,
        paused_on: None,
        code: None,
        reason: None,
        created_at: NOW,
        updated_at: NOW,
        ended_at: None,
    }
}
