//! How far a payment is.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Shortest time between two looks at a payment.
const SHORTEST: Duration = Duration::from_secs(10);
/// Longest time between two looks at a payment.
const LONGEST: Duration = Duration::from_mins(5);

/// How far a payment is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// the service is asked for a checkout
    Creating,
    /// the payer has not paid yet
    Open,
    /// the payer has consented; the money is taken next
    Approved,
    /// the payer has paid, and the money is on its way
    Processing,
    /// the money is there
    Paid,
    /// it cannot be paid
    Failed,
    /// nobody paid in time
    Expired,
    /// it was called off
    Cancelled,
}

impl PaymentState {
    /// Every one.
    pub const ALL: &'static [Self] = &[
        Self::Creating,
        Self::Open,
        Self::Approved,
        Self::Processing,
        Self::Paid,
        Self::Failed,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The word, as it stands in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Processing => "processing",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The one with this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }

    /// Whether nothing more happens to it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Paid | Self::Failed | Self::Expired | Self::Cancelled)
    }
}

impl fmt::Display for PaymentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long to wait before a payment is looked at again that has been open so long: 10 s at first, a sixth of its age later, 5 minutes at
/// most. Whoever is about to pay does so soon; whoever does not, does so any time.
pub fn look_again(age: Duration) -> Duration {
    (age / 6).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_again() {
        for state in PaymentState::ALL {
            assert_eq!(PaymentState::parse(state.as_str()), Some(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!(PaymentState::Expired.is_over() && !PaymentState::Approved.is_over());
    }

    #[test]
    fn looks_become_rarer() {
        assert_eq!(look_again(Duration::ZERO), Duration::from_secs(10));
        assert_eq!(look_again(Duration::from_mins(2)), Duration::from_secs(20));
        assert_eq!(look_again(Duration::from_hours(9)), Duration::from_mins(5));
    }
}
