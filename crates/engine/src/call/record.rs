//! Records of calls, written in batches off the path: a bounded queue, and what does not fit is counted.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jackfield_core::{Permit, Timestamp};
use jackfield_store::Call;
use tokio::sync::{mpsc, oneshot};

use crate::Engine;

/// Records that may wait. At 300 bytes each this bounds the memory to some megabytes.
const QUEUE: usize = 16_384;
/// Records a transaction.
const BATCH: usize = 500;
/// How long a record may wait for others.
const GATHER: Duration = Duration::from_millis(200);

const PERMIT: Permit = Permit::housekeeping("the calls themselves were permitted");

enum Message {
    Call(Box<Call>, Option<String>),
    /// write everything before this, then say so
    Flush(oneshot::Sender<()>),
}

/// The queue.
pub(crate) struct Recorder {
    sender: mpsc::Sender<Message>,
    receiver: Mutex<Option<mpsc::Receiver<Message>>>,
    dropped: AtomicU64,
}

impl Default for Recorder {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self { sender, receiver: Mutex::new(Some(receiver)), dropped: AtomicU64::new(0) }
    }
}

impl Recorder {
    /// Never waits: when the queue is full the record is dropped and counted. `key` is the API key that was used.
    pub fn record(&self, call: Call, key: Option<String>) {
        if self.sender.try_send(Message::Call(Box::new(call), key)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Engine {
    /// How many records of calls did not fit into the queue since the start.
    #[must_use]
    pub fn dropped_records(&self) -> u64 {
        self.inner.records.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what has been recorded so far is in the store.
    pub async fn flush_records(&self) {
        let (done, wait) = oneshot::channel();
        if self.inner.records.sender.send(Message::Flush(done)).await.is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(2), wait).await;
        }
    }

    /// Writes records until the engine is gone. One such task a process.
    pub(crate) async fn write_records(self) {
        let receiver =
            self.inner.records.receiver.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = receiver.recv().await {
            let mut waiting = Vec::new();
            let mut take = |message, batch: &mut Vec<_>| match message {
                Message::Call(call, key) => {
                    batch.push((call, key));
                    true
                }
                Message::Flush(done) => {
                    waiting.push(done);
                    false
                }
            };
            let mut gather = take(first, &mut batch);
            let until = tokio::time::Instant::now() + GATHER;
            while gather && batch.len() < BATCH {
                match tokio::time::timeout_at(until, receiver.recv()).await {
                    Ok(Some(message)) => gather = take(message, &mut batch),
                    _ => break,
                }
            }
            if let Err(error) = self.write(&batch).await {
                self.inner.records.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                tracing::error!(%error, records = batch.len(), "records of calls could not be written");
            }
            batch.clear();
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    async fn write(&self, batch: &[(Box<Call>, Option<String>)]) -> jackfield_core::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut used: HashMap<(&str, &str), Timestamp> = HashMap::new();
        let mut keys: HashMap<(&str, &str), Timestamp> = HashMap::new();
        let mut work = self.begin(PERMIT).await?;
        for (call, key) in batch {
            work.insert_call(call).await?;
            if let Some(id) = &call.authorization_id {
                used.insert((&call.organization_id, id), call.at);
            }
            if let Some(id) = key {
                keys.insert((&call.organization_id, id), call.at);
            }
        }
        for ((organization, id), at) in used {
            work.authorization_used(organization, id, at).await?;
        }
        for ((organization, id), at) in keys {
            work.key_used(organization, id, at).await?;
        }
        work.commit().await
    }
}
