//! A map that forgets its oldest entries.

use std::collections::{HashMap, VecDeque};

/// Keeps at most `limit` entries; the oldest goes when one more arrives.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    entries: HashMap<String, V>,
    order: VecDeque<String>,
    limit: usize,
}

impl<V> Bounded<V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), limit: limit.max(1) }
    }

    pub(crate) fn insert(&mut self, key: String, value: V) {
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        while self.entries.len() > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            self.entries.remove(&oldest);
        }
        if self.order.len() > self.limit.saturating_mul(2) {
            // Keys that were removed by name are still in the queue: drop them.
            let entries = &self.entries;
            self.order.retain(|key| entries.contains_key(key));
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        self.entries.remove(key)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.entries.iter()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str, &V) -> bool) {
        self.entries.retain(|key, value| keep(key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::Bounded;

    #[test]
    fn the_oldest_goes_first() {
        let mut map = Bounded::new(2);
        for key in ["a", "b", "c"] {
            map.insert(key.to_owned(), key);
        }
        assert_eq!(map.get("a"), None);
        assert_eq!((map.get("b"), map.get("c")), (Some(&"b"), Some(&"c")));
    }

    #[test]
    fn removed_keys_do_not_pile_up() {
        let mut map = Bounded::new(2);
        for number in 0..100 {
            map.insert(number.to_string(), number);
            map.remove(&number.to_string());
        }
        assert!(map.order.len() <= 5);
    }
}
