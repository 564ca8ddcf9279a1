//! The states of a flow, and which may follow which.
//!
//! ```text
//! pending ──claim──► exchanging ──► authorized | denied | failed
//!    └──► denied | failed | expired | cancelled
//! ```
//!
//! `claim` spends the state (the single-use value of RFC 6749 §10.12): whoever moved the flow out of `pending` holds the only right to
//! exchange the code. People see `exchanging` as `pending`.

use crate::error::{Code, Error, Result};
use crate::time::Timestamp;

/// Where a flow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    Pending,
    /// the callback came and was valid; the code is being exchanged
    Exchanging,
    Authorized,
    Denied,
    Expired,
    Failed,
    Cancelled,
}

impl FlowState {
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Exchanging,
        Self::Authorized,
        Self::Denied,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Exchanging => "exchanging",
            Self::Authorized => "authorized",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text)
    }

    /// The word for people and programs.
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Exchanging => "pending",
            other => other.as_str(),
        }
    }

    /// No way leads out of it.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Exchanging)
    }

    /// Whether `next` may follow.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => !matches!(next, Self::Pending | Self::Authorized),
            Self::Exchanging => matches!(next, Self::Authorized | Self::Denied | Self::Failed),
            _ => false,
        }
    }
}

/// The state as it is at `now`: a pending flow past its time is expired, whether or not somebody has written it down. A flow whose
/// callback came in time is given `grace` to finish; after that whoever was exchanging has died, and it failed.
pub fn state_at(
    state: FlowState,
    expires_at: Timestamp,
    now: Timestamp,
    grace: std::time::Duration,
) -> FlowState {
    match state {
        FlowState::Pending if now >= expires_at => FlowState::Expired,
        FlowState::Exchanging if now >= expires_at.plus(grace) => FlowState::Failed,
        other => other,
    }
}

/// Moves on, or says why not.
pub fn advance(from: FlowState, to: FlowState) -> Result<FlowState> {
    if from.may_become(to) {
        return Ok(to);
    }
    Err(match from {
        FlowState::Expired => Error::new(Code::FlowExpired, "The time to authorize is over. Start again."),
        _ => Error::new(Code::StateConflict, format!("The flow is {} already.", from.shown())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_final_state_is_final_and_authorized_needs_a_claim() {
        for from in FlowState::ALL {
            for to in FlowState::ALL {
                if from.is_final() {
                    assert!(!from.may_become(*to));
                }
            }
            assert_eq!(FlowState::parse(from.as_str()), Some(*from));
        }
        assert!(!FlowState::Pending.may_become(FlowState::Authorized));
        assert!(FlowState::Exchanging.may_become(FlowState::Authorized));
        assert!(!FlowState::Exchanging.may_become(FlowState::Cancelled));
    }

    #[test]
    fn time_ends_a_pending_flow() {
        let at = Timestamp::from_micros;
        let grace = Duration::from_micros(5);
        assert_eq!(state_at(FlowState::Pending, at(10), at(9), grace), FlowState::Pending);
        assert_eq!(state_at(FlowState::Pending, at(10), at(10), grace), FlowState::Expired);
        assert_eq!(state_at(FlowState::Exchanging, at(10), at(12), grace), FlowState::Exchanging);
        assert_eq!(state_at(FlowState::Exchanging, at(10), at(15), grace), FlowState::Failed);
        assert_eq!(advance(FlowState::Expired, FlowState::Authorized).unwrap_err().code, Code::FlowExpired);
    }
}
