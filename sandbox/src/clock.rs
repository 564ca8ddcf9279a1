//! The one place where the sandbox reads a clock.

use std::time::Instant;

/// The monotonic time: every life span is measured against it.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970: OAuth1 timestamps, JWT times and the times of records need the calendar.
#[allow(clippy::disallowed_methods, reason = "a provider has its own clock; this is its only reading")]
pub(crate) fn unix() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX))
}

/// A time as RFC 3339 in UTC.
pub(crate) fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
