//! Records of calls: who called what, when, and how it ended. Never a query string, a header or a body.
//!
//! Calls are what is written most, and a row costs more than what stands in it: those of a connection that are written down together
//! are one row.

use jackfield_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::db::{Row, StoreError, Tx, statements};
use crate::{Result, Store};

statements! {
    pub(crate) CALL_BATCH_INSERT = "insert into call_batches
        (organization_id, connection, id, size, last_at, records) values ($1, $2, $3, $4, $5, $6)";
    pub(crate) CALL_BATCH_SIZES = "select id, size from call_batches
        where organization_id = $1 and connection = $2 and id < $3 order by id desc limit $4";
    pub(crate) CALL_BATCH_LIST = "select records from call_batches
        where organization_id = $1 and connection = $2 and id < $3 and id >= $4 order by id desc";
    pub(crate) CALL_BATCH_PRUNE = "delete from call_batches where (organization_id, connection, id) in
        (select organization_id, connection, id from call_batches where last_at < $1 limit $2)";
}

/// One call through a connection, as it is read.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    pub id: String,
    pub authorization_id: Option<String>,
    pub environment: String,
    /// id of the member or application
    pub principal: String,
    /// `invoke` or `proxy`
    pub via: String,
    pub method: String,
    pub host: String,
    pub path: String,
    /// what the service answered
    pub status: Option<i64>,
    /// Jackfield's own code, where the call failed here
    pub error: Option<String>,
    /// microseconds
    pub duration: i64,
    /// of it, until the service had answered; nothing where it was not asked
    #[serde(default)]
    pub service: Option<i64>,
    pub request_id: String,
    #[serde(with = "micros")]
    pub at: Timestamp,
}

/// One call, as it is written down; the fields are those of [`Call`]. It is put into words where it ends, at once and out of what is
/// borrowed: a call of its own strings, freed on another thread, would cost more.
#[derive(Clone, Debug, Serialize)]
pub struct CallRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_id: Option<&'a str>,
    pub environment: &'a str,
    pub principal: &'a str,
    pub via: &'a str,
    pub method: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    pub duration: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<i64>,
    pub request_id: &'a str,
    #[serde(with = "micros")]
    pub at: Timestamp,
}

impl CallRecord<'_> {
    /// Adds its words to others.
    pub fn write(&self, to: &mut Vec<u8>) {
        // Writing texts and numbers into memory does not fail.
        let _ = serde_json::to_writer(to, self);
    }
}

/// Calls of one connection that are written down together.
#[derive(Clone, Debug)]
pub struct CallBatch {
    organization_id: String,
    connection: String,
    id: String,
    size: i64,
    last_at: Timestamp,
    records: Vec<u8>,
}

impl CallBatch {
    pub fn new(organization: &str, connection: &str) -> Self {
        Self {
            organization_id: organization.to_owned(),
            connection: connection.to_owned(),
            id: String::new(),
            size: 0,
            last_at: Timestamp::default(),
            records: Vec::new(),
        }
    }

    /// Adds a call in the words of [`CallRecord::write`]. Ids rise, and between two of a batch no other id may ever come: a page of calls
    /// is found by the ids with which batches begin.
    pub fn push(&mut self, id: &str, at: Timestamp, record: &[u8]) {
        if self.size == 0 {
            id.clone_into(&mut self.id);
        }
        self.size += 1;
        self.last_at = self.last_at.max(at);
        self.records.extend_from_slice(b"{\"id\":\"");
        self.records.extend_from_slice(id.as_bytes());
        self.records.extend_from_slice(b"\",");
        self.records.extend_from_slice(record.strip_prefix(b"{").unwrap_or(record));
        self.records.push(b'\n');
    }

    /// What was added so far, a JSON object a line.
    pub fn records(&self) -> &[u8] {
        &self.records
    }
}

mod micros {
    use jackfield_core::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.micros())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_micros)
    }
}

impl Store {
    /// The latest first, by id before `before`; give something above every id for the first page.
    pub async fn calls(
        &self,
        organization: &str,
        connection: &str,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Call>> {
        let limit = usize::try_from(limit).unwrap_or(0);
        // Which rows it takes, without what is in them.
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let values = [organization.into(), connection.into(), before.into(), most.into()];
        let sizes = self.db.query(&CALL_BATCH_SIZES, &values).await?;
        // Of the first row only a part may be meant; the others are below it, whole.
        let (mut lowest, mut sure) = (None, 0);
        for (place, row) in sizes.iter().enumerate() {
            lowest = Some(row.text("id")?);
            if place > 0 {
                sure += usize::try_from(row.int("size")?).unwrap_or(0);
            }
            if sure >= limit {
                break;
            }
        }
        let Some(lowest) = lowest else { return Ok(Vec::new()) };
        let values = [organization.into(), connection.into(), before.into(), (&lowest).into()];
        let mut calls = Vec::with_capacity(limit.min(256));
        for row in self.db.query(&CALL_BATCH_LIST, &values).await? {
            for call in read(&row)?.into_iter().rev() {
                if calls.len() < limit && *call.id < *before {
                    calls.push(call);
                }
            }
        }
        Ok(calls)
    }
}

fn read(row: &Row) -> Result<Vec<Call>> {
    let records = row.text("records")?;
    // The error tells where; its words may quote the record.
    let parsed: Result<Vec<Call>, _> = records.lines().map(serde_json::from_str).collect();
    parsed
        .map_err(|error| row.corrupt("records", format!("no record at column {} of a line", error.column())))
}

impl Tx {
    /// Writes down a batch of calls; none where it is empty.
    pub async fn insert_calls(&mut self, batch: &CallBatch) -> Result<()> {
        if batch.size == 0 {
            return Ok(());
        }
        let records = str::from_utf8(&batch.records).map_err(|error| StoreError::Foreign {
            statement: CALL_BATCH_INSERT.name,
            why: error.to_string(),
        })?;
        let values = [
            (&batch.organization_id).into(),
            (&batch.connection).into(),
            (&batch.id).into(),
            batch.size.into(),
            batch.last_at.into(),
            records.into(),
        ];
        self.execute(&CALL_BATCH_INSERT, &values).await.map(drop)
    }

    /// Forgets batches whose calls were all before `before`, at most [`crate::PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_calls(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&CALL_BATCH_PRUNE, &[before.into(), crate::PRUNE_AT_ONCE.into()]).await
    }
}
