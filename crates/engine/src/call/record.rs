//! Records of calls, written in batches off the path: a bounded queue for each thread, and what does not fit is counted.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jackfield_core::id::{Prefix, SERIES};
use jackfield_core::{Environment, Permit, Timestamp};
use jackfield_store::{CallBatch, CallRecord, Rate};
use tokio::sync::{Notify, oneshot};

use crate::{Engine, clock};

/// Records of a thread that may wait. At some 400 bytes each this bounds the memory to some megabytes.
const QUEUE: usize = 16_384;
/// So many are written without waiting for more.
const BATCH: usize = 4096;
/// Records a row: a page of calls reads whole rows.
const ROW: usize = 512;
/// How long a record may wait for others.
const GATHER: Duration = Duration::from_millis(500);

const PERMIT: Permit = Permit::housekeeping("the calls themselves were permitted");

/// What waits under names, the first an organization's.
type Named<T> = HashMap<String, HashMap<String, T>>;

/// What waits to be written. It is kept in words: see [`CallRecord`].
#[derive(Default)]
struct Waiting {
    count: usize,
    /// by organization and connection
    calls: Named<Calls>,
    /// when an authorization was used last
    authorizations: Named<Timestamp>,
    /// when an API key was used last
    keys: Named<Timestamp>,
}

#[derive(Default)]
struct Calls {
    words: Vec<u8>,
    /// when each call began, and where its words are
    places: Vec<(Timestamp, Range<usize>)>,
    /// how each ended, in the same order as they came
    ends: Vec<End>,
    /// the authorization and the key of the last call, and when each was used: mostly the same as of the one before
    authorization: Used,
    key: Used,
}

/// Who was used last, and when.
#[derive(Default)]
struct Used(String, Option<Timestamp>);

impl Used {
    /// Notes a use; what was noted of another goes where it is asked for.
    fn note(&mut self, id: &str, at: Timestamp, before: impl FnOnce(&str, Timestamp)) {
        if self.0 != id {
            if let Some(at) = self.1 {
                before(&self.0, at);
            }
            id.clone_into(&mut self.0);
        }
        self.1 = Some(at);
    }
}

/// What is counted of a call.
#[derive(Clone, Copy)]
struct End {
    at: Timestamp,
    environment: Option<Environment>,
    duration: i64,
    service: i64,
    failed: bool,
}

/// What is counted: by organization, connection (and empty, for all of them), environment, half hour and speed.
type Rates = BTreeMap<(String, String, &'static str, i64, i64), Sums>;

/// Of calls of one half hour and speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    calls: i64,
    failed: i64,
    took: i64,
    service: i64,
}

impl Sums {
    fn add(&mut self, more: Self) {
        self.calls += more.calls;
        self.failed += more.failed;
        self.took = self.took.saturating_add(more.took);
        self.service = self.service.saturating_add(more.service);
    }
}

/// Half hours since 1970.
pub(crate) fn half_hour(at: Timestamp) -> i64 {
    at.seconds().div_euclid(1800)
}

/// The class of a duration: four to a doubling, so that a median of classes is right to a tenth.
fn speed(micros: i64) -> i64 {
    let micros = micros.max(4);
    let doublings = i64::from(micros.ilog2());
    doublings * 4 + ((micros >> (doublings - 2)) & 3)
}

/// The middle of a class, in microseconds.
pub(crate) fn micros_of(speed: i64) -> i64 {
    let (doublings, quarter) = (speed.div_euclid(4).clamp(2, 62), speed.rem_euclid(4));
    let step = 1_i64 << (doublings - 2);
    (4 + quarter) * step + step / 2
}

/// The records of one thread: under a lock of its own, and no channel, which would wake the writer for each record.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Waiting>);

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queues of all threads, and who writes what is in them.
#[derive(Default)]
pub(crate) struct Recorder {
    queues: Mutex<Vec<Arc<Queue>>>,
    /// whoever waits until everything has been written that was recorded before
    flushes: Mutex<Vec<oneshot::Sender<()>>>,
    /// told of the first record of a queue, of a full batch, and of somebody who waits
    wake: Notify,
    dropped: AtomicU64,
}

thread_local! {
    /// The words of one record, so that they are found before the queue is locked.
    static WORDS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Does something to what stands under two names. A name is copied the first time only.
fn under<T: Default>(named: &mut Named<T>, organization: &str, name: &str, act: impl FnOnce(&mut T)) {
    fn with<T: Default>(named: &mut HashMap<String, T>, name: &str, act: impl FnOnce(&mut T)) {
        match named.get_mut(name) {
            Some(known) => act(known),
            None => act(named.entry(name.to_owned()).or_default()),
        }
    }
    with(named, organization, |of_organization| with(of_organization, name, act));
}

/// Notes a use, unless a later one is known.
fn used(all: &mut Named<Timestamp>, organization: &str, id: &str, at: Timestamp) {
    under(all, organization, id, |last| *last = at.max(*last));
}

impl Recorder {
    /// A queue for another thread. It is there as long as the process.
    pub fn new_queue(&self) -> Arc<Queue> {
        let queue = Arc::<Queue>::default();
        lock(&self.queues).push(Arc::clone(&queue));
        queue
    }

    /// Never waits: when the queue is full the record is dropped and counted. `queue` is one of [`Recorder::new_queue`]; `key` is the API key
    /// that was used.
    pub fn record(
        &self,
        queue: &Queue,
        organization: &str,
        connection: &str,
        key: Option<&str>,
        call: &CallRecord<'_>,
    ) {
        let count = WORDS.with_borrow_mut(|words| {
            words.clear();
            call.write(words);
            let mut waiting = queue.waiting();
            let waiting = &mut *waiting;
            if waiting.count >= QUEUE {
                return None;
            }
            waiting.count += 1;
            let (authorizations, keys) = (&mut waiting.authorizations, &mut waiting.keys);
            under(&mut waiting.calls, organization, connection, |calls| {
                if let Some(id) = call.authorization_id {
                    calls
                        .authorization
                        .note(id, call.at, |id, at| used(authorizations, organization, id, at));
                }
                if let Some(id) = key {
                    calls.key.note(id, call.at, |id, at| used(keys, organization, id, at));
                }
                calls.push(call.at, words);
                calls.ends.push(End {
                    at: call.at,
                    environment: Environment::parse(call.environment),
                    duration: call.duration,
                    service: call.service.unwrap_or(0).min(call.duration),
                    failed: call.error.is_some() || call.status.is_none_or(|status| status >= 400),
                });
            });
            Some(waiting.count)
        });
        match count {
            None => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Some(1 | BATCH) => self.wake.notify_one(),
            Some(_) => {}
        }
    }

    /// Whether a queue holds so many, or somebody waits.
    fn holds(&self, count: usize) -> bool {
        lock(&self.queues).iter().any(|queue| queue.waiting().count >= count)
            || !lock(&self.flushes).is_empty()
    }

    /// Waits until there is something to write, and then a moment for others to come.
    async fn gather(&self) {
        while !self.holds(1) {
            self.wake.notified().await;
        }
        let until = tokio::time::Instant::now() + GATHER;
        // A full batch, or somebody in a hurry, waits no longer.
        while !self.holds(BATCH) && tokio::time::timeout_at(until, self.wake.notified()).await.is_ok() {}
    }

    /// What waits in all queues.
    fn take(&self) -> Waiting {
        let mut all = Waiting::default();
        for queue in &*lock(&self.queues) {
            all.append(queue.take());
        }
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn take(&self) -> Waiting {
        let mut waiting = std::mem::take(&mut *self.waiting());
        for (organization, of_organization) in &waiting.calls {
            for calls in of_organization.values() {
                for (Used(id, at), all) in
                    [(&calls.authorization, &mut waiting.authorizations), (&calls.key, &mut waiting.keys)]
                {
                    if let Some(at) = at {
                        used(all, organization, id, *at);
                    }
                }
            }
        }
        waiting
    }
}

impl Waiting {
    /// Adds what waits elsewhere.
    fn append(&mut self, more: Self) {
        if self.count == 0 {
            *self = more;
            return;
        }
        self.count += more.count;
        for (organization, connection, calls) in each(more.calls) {
            under(&mut self.calls, &organization, &connection, |known: &mut Calls| known.append(calls));
        }
        for (all, more) in [(&mut self.authorizations, more.authorizations), (&mut self.keys, more.keys)] {
            for (organization, id, at) in each(more) {
                used(all, &organization, &id, at);
            }
        }
    }
}

impl Calls {
    fn append(&mut self, mut more: Self) {
        let begin = self.words.len();
        self.words.append(&mut more.words);
        let places = more.places.into_iter();
        self.places.extend(places.map(|(at, place)| (at, begin + place.start..begin + place.end)));
        self.ends.append(&mut more.ends);
    }

    fn push(&mut self, at: Timestamp, words: &[u8]) {
        let begin = self.words.len();
        self.words.extend_from_slice(words);
        self.places.push((at, begin..self.words.len()));
    }

    /// Adds them to what is counted.
    fn count(&self, organization: &str, connection: &str, rates: &mut Rates) {
        let mut own: BTreeMap<(&'static str, i64, i64), Sums> = BTreeMap::new();
        for end in &self.ends {
            let Some(environment) = end.environment else { continue };
            let key = (environment.as_str(), half_hour(end.at), speed(end.duration));
            let failed = i64::from(end.failed);
            let one = Sums { calls: 1, failed, took: end.duration, service: end.service };
            own.entry(key).or_default().add(one);
        }
        for ((environment, half_hour, speed), more) in own {
            for name in [connection, ""] {
                let key = (organization.to_owned(), name.to_owned(), environment, half_hour, speed);
                rates.entry(key).or_default().add(more);
            }
        }
    }

    /// Puts them into the order in which they began, and gives them their ids.
    fn batches(mut self, organization: &str, connection: &str, now: Timestamp) -> Vec<CallBatch> {
        self.places.sort_by_key(|(at, _)| *at);
        let mut batches = Vec::with_capacity(self.places.len() / ROW + 1);
        // Where one series does not suffice, the next follows it by its time.
        for (places, millis) in self.places.chunks(SERIES).zip(0..) {
            let mut ids = clock::new_ids(Prefix::Call, now.plus(Duration::from_millis(millis)));
            for places in places.chunks(ROW) {
                let mut batch = CallBatch::new(organization, connection);
                for ((at, place), id) in places.iter().zip(&mut ids) {
                    batch.push(&id, *at, self.words.get(place.clone()).unwrap_or_default());
                }
                batches.push(batch);
            }
        }
        batches
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
        lock(&self.inner.records.flushes).push(done);
        self.inner.records.wake.notify_one();
        let _ = tokio::time::timeout(Duration::from_secs(2), wait).await;
    }

    /// Writes records until the process ends. One such task a process.
    pub(crate) async fn write_records(self) {
        let records = &self.inner.records;
        loop {
            records.gather().await;
            // First who waits, then what: whatever they recorded before they waited is in it.
            let flushes = std::mem::take(&mut *lock(&records.flushes));
            let batch = records.take();
            let count = batch.count as u64;
            if let Err(error) = self.write(batch).await {
                records.dropped.fetch_add(count, Ordering::Relaxed);
                tracing::error!(%error, records = count, "records of calls could not be written");
            }
            for done in flushes {
                // Who has stopped waiting needs no word.
                let _ = done.send(());
            }
        }
    }

    async fn write(&self, waiting: Waiting) -> jackfield_core::Result<()> {
        if waiting.count == 0 {
            return Ok(());
        }
        let now = clock::now();
        let mut rates = Rates::new();
        let batches: Vec<CallBatch> = each(waiting.calls)
            .flat_map(|(organization, connection, calls)| {
                calls.count(&organization, &connection, &mut rates);
                calls.batches(&organization, &connection, now)
            })
            .collect();
        let mut work = self.begin(PERMIT).await?;
        for batch in &batches {
            work.insert_calls(batch).await?;
        }
        // In the order of their names, so that two nodes never wait for each other.
        for ((organization, connection, environment, half_hour, speed), sums) in rates {
            let Some(environment) = Environment::parse(environment) else { continue };
            let Sums { calls, failed, took, service } = sums;
            let rate = Rate { half_hour, speed, calls, failed, timed: calls, took, service };
            work.add_rate(&organization, &connection, environment, rate).await?;
        }
        for (organization, id, at) in each(waiting.authorizations) {
            work.authorization_used(&organization, &id, at).await?;
        }
        for (organization, id, at) in each(waiting.keys) {
            work.key_used(&organization, &id, at).await?;
        }
        work.commit().await
    }
}

fn each<T>(named: Named<T>) -> impl Iterator<Item = (String, String, T)> {
    named.into_iter().flat_map(|(organization, of_organization)| {
        of_organization.into_iter().map(move |(name, what)| (organization.clone(), name, what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_a_duration_is_right_to_a_tenth() {
        let mut last = 0;
        for micros in [0, 1, 4, 5, 9, 1000, 1001, 4096, 65_535, 208_000, 40_000_000, i64::MAX] {
            assert!(speed(micros) >= last, "{micros}");
            last = speed(micros);
            let off = micros_of(last).abs_diff(micros);
            assert!(off <= micros.unsigned_abs() / 8 + 4, "{micros}: {}", micros_of(last));
        }
    }

    #[test]
    fn the_last_use_of_each_key_and_authorization_is_known() {
        let recorder = Recorder::default();
        let queues = [recorder.new_queue(), recorder.new_queue()];
        let at = Timestamp::from_micros;
        let call = |authorization, at| CallRecord {
            authorization_id: authorization,
            environment: "stage",
            principal: "app_1",
            via: "proxy",
            method: "GET",
            host: "h",
            path: "/",
            status: Some(200),
            error: None,
            duration: 1,
            service: None,
            request_id: "req_1",
            at,
        };
        for (queue, connection, key, authorization, time) in [
            (0, "mail", Some("key_1"), Some("aut_1"), 1),
            (0, "mail", Some("key_2"), Some("aut_1"), 5),
            (1, "mail", Some("key_1"), Some("aut_2"), 3),
            (1, "mail", None, None, 4),
            (1, "books", Some("key_1"), Some("aut_3"), 2),
        ] {
            let call = call(authorization, at(time));
            recorder.record(&queues[queue], "org_1", connection, key, &call);
        }
        let waiting = recorder.take();
        assert_eq!(waiting.count, 5);
        let words = |calls: &Calls| -> Vec<String> {
            let words = |(_, place): &(Timestamp, Range<usize>)| calls.words[place.clone()].to_vec();
            calls.places.iter().map(|place| String::from_utf8(words(place)).unwrap()).collect()
        };
        let mail = &waiting.calls["org_1"]["mail"];
        assert_eq!((mail.places.len(), mail.ends.len()), (4, 4));
        for words in words(mail) {
            serde_json::from_str::<serde_json::Value>(&words).unwrap();
        }
        let named = |all: &[(&str, i64)]| {
            all.iter().map(|(id, time)| ((*id).to_owned(), at(*time))).collect::<HashMap<_, _>>()
        };
        assert_eq!(waiting.keys["org_1"], named(&[("key_1", 3), ("key_2", 5)]));
        assert_eq!(waiting.authorizations["org_1"], named(&[("aut_1", 5), ("aut_2", 3), ("aut_3", 2)]));
    }

    #[test]
    fn calls_are_counted_for_their_connection_and_for_all() {
        let end = |seconds: i64, duration, failed| End {
            at: Timestamp::from_micros(seconds * 1_000_000),
            environment: Some(Environment::Stage),
            duration,
            service: duration / 10,
            failed,
        };
        let odd = End { environment: None, ..end(0, 9, true) };
        let calls = Calls {
            ends: vec![end(0, 1000, false), end(1799, 1001, true), end(1800, 9, true), odd],
            ..Calls::default()
        };
        let mut rates = Rates::new();
        calls.count("org_1", "mail", &mut rates);
        calls.count("org_1", "books", &mut rates);
        let key = |name: &str, half_hour, micros| {
            ("org_1".to_owned(), name.to_owned(), "stage", half_hour, speed(micros))
        };
        assert_eq!(rates.len(), 6);
        let sums = |calls, failed, took, service| Sums { calls, failed, took, service };
        assert_eq!(rates[&key("mail", 0, 1000)], sums(2, 1, 2001, 200));
        assert_eq!(rates[&key("", 0, 1000)], sums(4, 2, 4002, 400));
        assert_eq!(rates[&key("", 1, 9)], sums(2, 2, 18, 0));
    }

    #[test]
    fn calls_are_written_in_the_order_in_which_they_began() {
        let mut waiting = Waiting::default();
        let at = |n: usize| Timestamp::from_micros(i64::try_from(n).unwrap());
        let many = SERIES + ROW + 1;
        for n in (0..many).rev() {
            under(&mut waiting.calls, "org_1", "mail", |calls| {
                calls.push(at(n), format!("{{\"n\":{n}}}").as_bytes());
            });
        }
        under(&mut waiting.calls, "org_2", "mail", |calls| calls.push(at(1), b"{}"));
        let mut of_organizations: Vec<_> = each(waiting.calls).collect();
        of_organizations.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(of_organizations.len(), 2);
        let (organization, connection, calls) = of_organizations.swap_remove(0);
        let batches = calls.batches(&organization, &connection, at(1));
        assert_eq!(batches.len(), SERIES / ROW + 2);
        let lines: Vec<String> = batches
            .iter()
            .flat_map(|batch| str::from_utf8(batch.records()).unwrap().lines())
            .map(str::to_owned)
            .collect();
        assert!(lines.is_sorted(), "the ids, with which they begin, rise");
        let order: Vec<usize> = lines
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap())
            .map(|n| usize::try_from(n).unwrap())
            .collect();
        assert!(order.iter().copied().eq(0..many));
    }
}
