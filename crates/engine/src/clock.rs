//! The one place that reads the clock, and the one that draws ids.

use std::cell::RefCell;

use jackfield_core::Timestamp;
use jackfield_core::id::{self, Prefix};

/// Now, as the wall clock of this machine has it.
#[allow(clippy::disallowed_methods)] // this is the place that the lint sends everybody to
#[must_use]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A fresh id.
#[must_use]
pub fn new_id(prefix: Prefix, now: Timestamp) -> String {
    id::new(prefix, now, few_random_bytes())
}

/// Fresh ids that follow each other, at most [`id::SERIES`].
pub(crate) fn new_ids(prefix: Prefix, now: Timestamp) -> impl Iterator<Item = String> {
    id::series(prefix, now, few_random_bytes())
}

/// Random bytes in hand, and how many of them are used up.
struct Pool {
    bytes: [u8; 640],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; 640], used: 640 }) };
}

/// Drawn in stock: asking the generator costs the same for one byte as for hundreds. For ids, never for secrets.
fn few_random_bytes() -> [u8; 10] {
    POOL.with_borrow_mut(|pool| {
        if pool.used == pool.bytes.len() {
            pool.bytes = jackfield_vault::token::random_bytes();
            pool.used = 0;
        }
        let mut few = [0; 10];
        few.copy_from_slice(&pool.bytes[pool.used..pool.used + 10]);
        pool.used += 10;
        few
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_never_the_same() {
        let drawn: std::collections::HashSet<String> =
            (0..1000).map(|_| new_id(Prefix::Request, Timestamp::from_micros(0))).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
