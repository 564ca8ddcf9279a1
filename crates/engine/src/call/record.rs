//! Records of calls, written in batches off the path: a bounded queue, and what does not fit is counted.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jackfield_core::id::Prefix;
use jackfield_core::{Permit, Timestamp};
use jackfield_store::Call;
use tokio::sync::{Notify, oneshot};

use crate::{Engine, clock};

/// Records that may wait. At 300 bytes each this bounds the memory to some megabytes.
const QUEUE: usize = 16_384;
/// Records a transaction.
const BATCH: usize = 4096;
/// Records a row: a page of calls reads whole rows.
const ROW: usize = 512;
/// How long a record may wait for others.
const GATHER: Duration = Duration::from_millis(500);

const PERMIT: Permit = Permit::housekeeping("the calls themselves were permitted");

/// A call, and the API key that was used.
type Record = (Call, Option<String>);

/// A plain queue under a lock, and no channel: a channel would wake the writer for each record.
#[derive(Default)]
struct Queue {
    records: VecDeque<Record>,
    /// how many were ever put in
    put: u64,
    /// whoever waits until so many of them have been written
    flushes: Vec<(u64, oneshot::Sender<()>)>,
}

/// The queue.
#[derive(Default)]
pub(crate) struct Recorder {
    queue: Mutex<Queue>,
    /// told of the first record, of a full batch, and of somebody who waits
    wake: Notify,
    dropped: AtomicU64,
}

impl Recorder {
    /// Never waits: when the queue is full the record is dropped and counted. `key` is the API key that was used.
    pub fn record(&self, call: Call, key: Option<String>) {
        let waiting = {
            let mut queue = self.queue();
            if queue.records.len() >= QUEUE {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            queue.records.push_back((call, key));
            queue.put += 1;
            queue.records.len()
        };
        if waiting == 1 || waiting == BATCH {
            self.wake.notify_one();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        let queue = self.queue();
        queue.records.is_empty() && queue.flushes.is_empty()
    }

    /// Whether it is time to write, without waiting for more.
    fn is_due(&self) -> bool {
        let queue = self.queue();
        queue.records.len() >= BATCH || !queue.flushes.is_empty()
    }

    /// Waits until there is something to write, and then a moment for others to come.
    async fn gather(&self) {
        while self.is_idle() {
            self.wake.notified().await;
        }
        let until = tokio::time::Instant::now() + GATHER;
        while !self.is_due() && tokio::time::timeout_at(until, self.wake.notified()).await.is_ok() {}
    }

    fn take(&self) -> Vec<Record> {
        let mut queue = self.queue();
        let count = queue.records.len().min(BATCH);
        let taken = queue.records.drain(..count).collect();
        if queue.records.is_empty() && queue.records.capacity() > 4 * BATCH {
            queue.records = VecDeque::new();
        }
        taken
    }

    /// Tells those who waited for what is written by now.
    fn written(&self, count: u64) {
        for (_, done) in self.queue().flushes.extract_if(.., |(until, _)| *until <= count) {
            // Who has stopped waiting needs no word.
            let _ = done.send(());
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
        {
            let mut queue = self.inner.records.queue();
            let until = queue.put;
            queue.flushes.push((until, done));
        }
        self.inner.records.wake.notify_one();
        let _ = tokio::time::timeout(Duration::from_secs(2), wait).await;
    }

    /// Writes records until the process ends. One such task a process.
    pub(crate) async fn write_records(self) {
        let records = &self.inner.records;
        let mut written = 0;
        loop {
            records.gather().await;
            let batch = records.take();
            let count = batch.len() as u64;
            if let Err(error) = self.write(batch).await {
                records.dropped.fetch_add(count, Ordering::Relaxed);
                tracing::error!(%error, records = count, "records of calls could not be written");
            }
            written += count;
            records.written(written);
        }
    }

    async fn write(&self, batch: Vec<Record>) -> jackfield_core::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut used: HashMap<(String, String), Timestamp> = HashMap::new();
        let mut keys: HashMap<(String, String), Timestamp> = HashMap::new();
        let mut connections: HashMap<(String, String), Vec<Call>> = HashMap::new();
        for (call, key) in batch {
            if let Some(id) = &call.authorization_id {
                used.insert((call.organization_id.clone(), id.clone()), call.at);
            }
            if let Some(id) = key {
                keys.insert((call.organization_id.clone(), id), call.at);
            }
            let place = (call.organization_id.clone(), call.connection.clone());
            connections.entry(place).or_default().push(call);
        }
        let now = clock::now();
        let mut work = self.begin(PERMIT).await?;
        for mut calls in connections.into_values() {
            calls.sort_by_key(|call| call.at);
            // All of one series, so that their rows keep their order.
            for (call, id) in calls.iter_mut().zip(clock::new_ids(Prefix::Call, now)) {
                call.id = id;
            }
            for calls in calls.chunks(ROW) {
                work.insert_calls(calls).await?;
            }
        }
        for ((organization, id), at) in used {
            work.authorization_used(&organization, &id, at).await?;
        }
        for ((organization, id), at) in keys {
            work.key_used(&organization, &id, at).await?;
        }
        work.commit().await
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_series_of_ids_is_enough_for_a_batch() {
        const { assert!(super::BATCH <= jackfield_core::id::SERIES) };
    }
}
