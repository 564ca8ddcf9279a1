//! What is kept in memory so that a warm call touches no database, and how it is told that something has changed.
//!
//! A cached thing remembers the epochs it was built under: its organization's, its authorization's, and the node's. A change bumps an
//! epoch after its commit and before its answer; a thing with another epoch is built anew. Other nodes hear of it by the database's
//! notifications; while those are not heard, the node's own epoch is bumped again and again, so that nothing stays cached.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A number that rises whenever what it stands for has changed.
pub(crate) type Epoch = Arc<AtomicU64>;

/// The epochs that something was built under.
#[derive(Clone)]
pub(crate) struct Epochs {
    seen: Vec<(Epoch, u64)>,
}

impl Epochs {
    /// Whether nothing has changed since.
    pub fn hold(&self) -> bool {
        self.seen.iter().all(|(epoch, seen)| epoch.load(Ordering::Acquire) == *seen)
    }

    /// Adds another dependency, read before what it protects is loaded.
    pub fn and(&mut self, epoch: Epoch) {
        let seen = epoch.load(Ordering::Acquire);
        self.seen.push((epoch, seen));
    }
}

/// The epochs of this node.
#[derive(Default)]
pub(crate) struct Hot {
    node: Epoch,
    cells: Mutex<Cells>,
}

#[derive(Default)]
struct Cells {
    by_name: HashMap<String, Weak<AtomicU64>>,
    sweep_at: usize,
}

impl Hot {
    /// The epochs for something that depends on these organizations and authorizations (by id). Call it *before* loading the thing.
    pub fn depend(&self, names: &[&str]) -> Epochs {
        let mut epochs = Epochs { seen: Vec::with_capacity(names.len() + 1) };
        epochs.and(Arc::clone(&self.node));
        for name in names {
            epochs.and(self.cell(name));
        }
        epochs
    }

    /// The epoch of an organization or authorization.
    pub fn cell(&self, name: &str) -> Epoch {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.by_name.get(name).and_then(Weak::upgrade) {
            return cell;
        }
        if cells.by_name.len() >= cells.sweep_at {
            cells.by_name.retain(|_, cell| cell.strong_count() > 0);
            cells.sweep_at = (cells.by_name.len() * 2).max(1024);
        }
        // Starts anywhere, as long as nobody can hold an older value: nobody holds the cell at all.
        let cell = Epoch::default();
        cells.by_name.insert(name.to_owned(), Arc::downgrade(&cell));
        cell
    }

    /// Something named has changed.
    pub fn changed(&self, name: &str) {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.by_name.get(name).and_then(Weak::upgrade) {
            cell.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Anything may have changed.
    pub fn all_changed(&self) {
        self.node.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_what_depends_on_it_and_nothing_else() {
        let hot = Hot::default();
        let one = hot.depend(&["org_1", "aut_1"]);
        let two = hot.depend(&["org_1", "aut_2"]);
        hot.changed("aut_1");
        assert!(!one.hold() && two.hold());
        hot.changed("org_1");
        assert!(!two.hold());
        let three = hot.depend(&["org_3"]);
        hot.all_changed();
        assert!(!three.hold());
    }

    #[test]
    fn cells_nobody_holds_are_swept() {
        let hot = Hot::default();
        for n in 0..5000 {
            hot.depend(&[&format!("org_{n}")]);
        }
        assert!(hot.cells.lock().unwrap().by_name.len() <= 1025);
    }
}
