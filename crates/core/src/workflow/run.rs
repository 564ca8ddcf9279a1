//! The states of a run, and how long it waits between two tries.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// After so long a time of trying a run fails.
pub const GIVE_UP: Duration = Duration::from_hours(24);
/// Longest time between two tries.
const LONGEST: Duration = Duration::from_mins(10);

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$inner])* $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word, as it stands in the API and in the store.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)+ } }

            /// The one with this word.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

words! {
    /// How far a run is.
    RunState {
        /// waits for its turn, or for its next try
        Queued = "queued",
        /// some node works on it
        Running = "running",
        /// waits for a person: its connection wants authorization, or is disabled
        Paused = "paused",
        /// every action was done, or its condition left it out
        Succeeded = "succeeded",
        /// an action failed for good
        Failed = "failed",
        /// a person ended it
        Cancelled = "cancelled",
    }
}

words! {
    /// What sets a run off: something that happened to a record, a moment that came, or somebody who asked.
    RecordEvent {
        /// it was made
        Created = "created",
        /// it was changed
        Edited = "edited",
        /// it was deleted
        Deleted = "deleted",
        /// a moment of a schedule came
        Tick = "tick",
        /// somebody asked for it
        Asked = "asked",
    }
}

impl RunState {
    /// Whether nothing more happens by itself.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// How long to wait after the `attempts`-th try failed: 1 s, 2 s, 4 s … 10 minutes, and of that a part drawn by `random` between a half
/// and the whole, so that many that failed together do not come back together. A service's `Retry-After` is waited for whole, up to an
/// hour.
pub fn backoff(attempts: i64, retry_after: Option<Duration>, random: u16) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
    let whole = Duration::from_secs(1_u64 << doublings).min(LONGEST);
    let part = whole / 2 + whole.mul_f64(f64::from(random) / f64::from(u16::MAX)) / 2;
    retry_after.map_or(part, |told| told.min(Duration::from_hours(1)) + part / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        assert_eq!(backoff(1, None, u16::MAX), Duration::from_secs(1));
        assert_eq!(backoff(1, None, 0), Duration::from_millis(500));
        assert_eq!(backoff(4, None, u16::MAX), Duration::from_secs(8));
        for attempts in [11, 20, 1000, i64::MAX] {
            assert_eq!(backoff(attempts, None, u16::MAX), Duration::from_mins(10));
        }
        assert!(backoff(1, Some(Duration::from_secs(30)), 0) >= Duration::from_secs(30));
        assert!(backoff(1, Some(Duration::from_hours(100)), 0) < Duration::from_hours(2));
    }

    #[test]
    fn words_are_read_again() {
        for state in RunState::ALL {
            assert_eq!(RunState::parse(state.as_str()), Some(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!(RunState::Failed.is_over() && !RunState::Paused.is_over());
    }
}
