//! The one place that reads the clock, and the one that draws ids.

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
    id::new(prefix, now, jackfield_vault::token::random_bytes::<10>())
}
