//! What keeps one service from delaying the others: how many calls a connection has under way on this node, and a circuit that opens when
//! its service does not answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jackfield_core::Timestamp;
use jackfield_core::workflow::backoff;

/// Calls of one connection that workflows have under way on a node.
pub(crate) const PER_CONNECTION: usize = 16;
/// Failures in a row after which nothing more is sent for a while.
const TRIPS: u32 = 5;
/// Longest time for which nothing is sent.
const LONGEST: Duration = Duration::from_mins(1);
/// What is remembered of connections; beyond that, of those that are in order nothing.
const REMEMBERED: usize = 10_000;

/// How a service answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// it answered, whatever it said
    Answers,
    /// it did not answer, or said that it cannot
    Fails,
    /// it asks for a pause
    Asks(Duration),
}

#[derive(Default)]
struct Gate {
    busy: usize,
    failures: u32,
    closed_until: Option<Timestamp>,
}

/// The gates of this node, by connection: organization and link name, with a blank between them.
#[derive(Default)]
pub(crate) struct Gates {
    all: Mutex<HashMap<String, Gate>>,
}

impl Gates {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Gate>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls more may begin now, and when there may be more.
    pub fn room(&self, connection: &str, now: Timestamp) -> (usize, Option<Timestamp>) {
        let all = self.all();
        let Some(gate) = all.get(connection) else { return (PER_CONNECTION, None) };
        match gate.closed_until {
            Some(until) if until > now => (0, Some(until)),
            // One tries whether it answers again.
            Some(_) => (1_usize.saturating_sub(gate.busy), None),
            None => (PER_CONNECTION.saturating_sub(gate.busy), None),
        }
    }

    /// A call begins.
    pub fn enter(&self, connection: &str) {
        let mut all = self.all();
        if all.len() >= REMEMBERED {
            all.retain(|_, gate| gate.busy > 0 || gate.failures > 0 || gate.closed_until.is_some());
        }
        all.entry(connection.to_owned()).or_default().busy += 1;
    }

    /// A call has ended. `None`: it never came to the service.
    pub fn leave(&self, connection: &str, health: Option<Health>, now: Timestamp, random: u16) {
        let mut all = self.all();
        let gate = all.entry(connection.to_owned()).or_default();
        gate.busy = gate.busy.saturating_sub(1);
        match health {
            None => {}
            Some(Health::Answers) => {
                gate.failures = 0;
                gate.closed_until = None;
            }
            Some(Health::Fails) => {
                gate.failures = gate.failures.saturating_add(1);
                if gate.failures >= TRIPS {
                    let pause = backoff(i64::from(gate.failures - TRIPS) + 1, None, random).min(LONGEST);
                    gate.closed_until = Some(now.plus(pause));
                }
            }
            Some(Health::Asks(pause)) => gate.closed_until = Some(now.plus(pause.min(LONGEST))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_service_is_left_alone_and_tried_again() {
        let gates = Gates::default();
        let now = Timestamp::from_micros(1_000_000);
        for _ in 0..TRIPS {
            assert_eq!(gates.room("org acme", now), (PER_CONNECTION, None));
            gates.enter("org acme");
            gates.leave("org acme", Some(Health::Fails), now, u16::MAX);
        }
        let (room, again) = gates.room("org acme", now);
        assert_eq!((room, again), (0, Some(now.plus(Duration::from_secs(1)))));
        assert_eq!(gates.room("org other", now).0, PER_CONNECTION);
        // One probe; when it fails, it is left alone for longer.
        let later = now.plus(Duration::from_secs(1));
        assert_eq!(gates.room("org acme", later).0, 1);
        gates.enter("org acme");
        assert_eq!(gates.room("org acme", later).0, 0);
        gates.leave("org acme", Some(Health::Fails), later, u16::MAX);
        assert_eq!(gates.room("org acme", later).1, Some(later.plus(Duration::from_secs(2))));
        let much_later = later.plus(Duration::from_secs(2));
        gates.enter("org acme");
        gates.leave("org acme", Some(Health::Answers), much_later, 0);
        assert_eq!(gates.room("org acme", much_later), (PER_CONNECTION, None));
    }

    #[test]
    fn calls_under_way_are_bounded() {
        let gates = Gates::default();
        let now = Timestamp::from_micros(0);
        for _ in 0..PER_CONNECTION {
            gates.enter("c");
        }
        assert_eq!(gates.room("c", now).0, 0);
        gates.leave("c", Some(Health::Asks(Duration::from_secs(9))), now, 0);
        assert_eq!(gates.room("c", now), (0, Some(now.plus(Duration::from_secs(9)))));
    }
}
