//! What each thread that answers keeps for itself, in front of what all of them share.
//!
//! Two threads that write to the same memory, a count of references as much as a queue, wait for each other's caches; on a warm call that
//! costs more than the look-ups themselves. What is kept here is thrown away by the same epochs as what is shared (`crate::hot`).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jackfield_core::Timestamp;

use crate::call::ready::{Place, ReadyHere};
use crate::call::record::Queue;
use crate::govern::keys::Known;

/// Entries that a thread keeps of a kind. Whoever needs more finds them among what is shared.
const KEPT: usize = 1024;
/// After this long a thread asks what is shared again.
const LIFE: Duration = Duration::from_mins(1);

/// Of one thread. Its locks are there because an engine may be cloned to another, and are free otherwise.
pub(crate) struct Near {
    pub callers: Nearby<[u8; 32], Arc<Known>>,
    pub ready: Nearby<Place, ReadyHere>,
    /// records of calls that wait to be written
    pub calls: Arc<Queue>,
}

impl Near {
    /// `calls`: where its records go.
    pub fn new(calls: Arc<Queue>) -> Self {
        Self { callers: Nearby::default(), ready: Nearby::default(), calls }
    }
}

/// A small cache that is emptied as a whole, when it is full and when its time is over.
pub(crate) struct Nearby<K, V>(Mutex<Kept<K, V>>);

struct Kept<K, V> {
    found: HashMap<K, V>,
    since: Timestamp,
}

impl<K, V> Default for Nearby<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Kept { found: HashMap::new(), since: Timestamp::from_micros(0) }))
    }
}

impl<K: Hash + Eq, V: Clone> Nearby<K, V> {
    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let mut kept = self.kept();
        // A clock that was set back ends it too.
        if now < kept.since || now >= kept.since.plus(LIFE) {
            kept.found.clear();
            kept.since = now;
        }
        kept.found.get(key).cloned()
    }

    pub fn put(&self, key: K, value: V) {
        let mut kept = self.kept();
        if kept.found.len() >= KEPT && !kept.found.contains_key(&key) {
            kept.found.clear();
        }
        kept.found.insert(key, value);
    }

    fn kept(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_when_it_is_full_and_when_its_time_is_over() {
        let nearby = Nearby::default();
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert_eq!(nearby.get(&0, at(100)), None);
        nearby.put(0, 'a');
        assert_eq!(nearby.get(&0, at(159)), Some('a'));
        assert_eq!(nearby.get(&0, at(160)), None);
        nearby.put(0, 'b');
        assert_eq!(nearby.get(&0, at(159)), None, "the clock went back");
        for n in 0..KEPT {
            nearby.put(n, 'c');
        }
        nearby.put(0, 'd');
        assert_eq!((nearby.get(&0, at(159)), nearby.get(&1, at(159))), (Some('d'), Some('c')));
        nearby.put(KEPT, 'e');
        assert_eq!((nearby.get(&KEPT, at(159)), nearby.get(&1, at(159))), (Some('e'), None));
    }
}
