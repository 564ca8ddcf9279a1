//! What keeps one service from delaying the others: how many calls a connection may have under way on this node, and a circuit that opens
//! when its service does not answer.
//!
//! A connection begins with [`PLACES`] places. A service that answers quickly is given more, one by one; one that asks for a pause or fails
//! loses half of them, and gets them back as it answers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jackfield_core::Timestamp;
use jackfield_core::workflow::backoff;

/// Calls of one connection that workflows may have under way on a node, as long as nothing is known of its service.
pub(crate) const PLACES: usize = 16;
/// As many as a service gets that always answers quickly.
const PLACES_MOST: usize = 48;
/// What is a quick answer.
const QUICK: Duration = Duration::from_millis(200);
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

struct Gate {
    busy: usize,
    places: usize,
    /// answers since the places last changed
    answers: usize,
    failures: u32,
    closed_until: Option<Timestamp>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { busy: 0, places: PLACES, answers: 0, failures: 0, closed_until: None }
    }
}

impl Gate {
    /// One place more when each place has brought an answer.
    fn widen(&mut self, took: Duration) {
        let most = if took <= QUICK { PLACES_MOST } else { PLACES };
        if self.places < most {
            self.answers += 1;
            if self.answers >= self.places {
                (self.places, self.answers) = (self.places + 1, 0);
            }
        }
    }

    fn narrow(&mut self) {
        (self.places, self.answers) = ((self.places / 2).max(1), 0);
    }

    /// Nothing is to be remembered of it.
    fn is_as_new(&self) -> bool {
        self.busy == 0 && self.failures == 0 && self.closed_until.is_none() && self.places >= PLACES
    }
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
        let Some(gate) = all.get(connection) else { return (PLACES, None) };
        match gate.closed_until {
            Some(until) if until > now => (0, Some(until)),
            // One tries whether it answers again.
            Some(_) => (1_usize.saturating_sub(gate.busy), None),
            None => (gate.places.saturating_sub(gate.busy), None),
        }
    }

    /// How many runs that call through a connection may be in hand, calling or not.
    pub fn places(&self, connection: &str) -> usize {
        self.all().get(connection).map_or(PLACES, |gate| gate.places)
    }

    /// A call begins.
    pub fn enter(&self, connection: &str) {
        let mut all = self.all();
        if all.len() >= REMEMBERED {
            all.retain(|_, gate| !gate.is_as_new());
        }
        all.entry(connection.to_owned()).or_default().busy += 1;
    }

    /// A call that took so long has ended. No health: it never came to the service.
    pub fn leave(
        &self,
        connection: &str,
        health: Option<Health>,
        took: Duration,
        now: Timestamp,
        random: u16,
    ) {
        let mut all = self.all();
        let gate = all.entry(connection.to_owned()).or_default();
        gate.busy = gate.busy.saturating_sub(1);
        match health {
            None => {}
            Some(Health::Answers) => {
                gate.failures = 0;
                gate.closed_until = None;
                gate.widen(took);
            }
            Some(Health::Fails) => {
                gate.narrow();
                gate.failures = gate.failures.saturating_add(1);
                if gate.failures >= TRIPS {
                    let pause = backoff(i64::from(gate.failures - TRIPS) + 1, None, random).min(LONGEST);
                    gate.closed_until = Some(now.plus(pause));
                }
            }
            Some(Health::Asks(pause)) => {
                gate.narrow();
                gate.closed_until = Some(now.plus(pause.min(LONGEST)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(2);

    #[test]
    fn a_dead_service_is_left_alone_and_tried_again() {
        let gates = Gates::default();
        let now = Timestamp::from_micros(1_000_000);
        for _ in 0..TRIPS {
            assert_eq!(gates.room("org acme", now).1, None);
            gates.enter("org acme");
            gates.leave("org acme", Some(Health::Fails), LONG, now, u16::MAX);
        }
        let (room, again) = gates.room("org acme", now);
        assert_eq!((room, again), (0, Some(now.plus(Duration::from_secs(1)))));
        assert_eq!(gates.room("org other", now).0, PLACES);
        // One probe; when it fails, it is left alone for longer.
        let later = now.plus(Duration::from_secs(1));
        assert_eq!(gates.room("org acme", later).0, 1);
        gates.enter("org acme");
        assert_eq!(gates.room("org acme", later).0, 0);
        gates.leave("org acme", Some(Health::Fails), LONG, later, u16::MAX);
        assert_eq!(gates.room("org acme", later).1, Some(later.plus(Duration::from_secs(2))));
        let much_later = later.plus(Duration::from_secs(2));
        gates.enter("org acme");
        gates.leave("org acme", Some(Health::Answers), LONG, much_later, 0);
        assert_eq!(gates.room("org acme", much_later).1, None, "it is open again");
    }

    #[test]
    fn calls_under_way_are_bounded() {
        let gates = Gates::default();
        let now = Timestamp::from_micros(0);
        for _ in 0..PLACES {
            gates.enter("c");
        }
        assert_eq!(gates.room("c", now).0, 0);
        gates.leave("c", Some(Health::Asks(Duration::from_secs(9))), AT_ONCE, now, 0);
        assert_eq!(gates.room("c", now), (0, Some(now.plus(Duration::from_secs(9)))));
    }

    #[test]
    fn who_answers_quickly_gets_more_and_who_asks_for_a_pause_less() {
        let gates = Gates::default();
        let now = Timestamp::from_micros(0);
        let answer = |health, took, times: usize| {
            for _ in 0..times {
                gates.enter("c");
                gates.leave("c", Some(health), took, now, 0);
            }
            gates.places("c")
        };
        assert_eq!(answer(Health::Answers, AT_ONCE, PLACES - 1), PLACES);
        assert_eq!(answer(Health::Answers, AT_ONCE, 1), PLACES + 1);
        assert_eq!(answer(Health::Answers, AT_ONCE, 10_000), PLACES_MOST, "and no more than that");
        assert_eq!(answer(Health::Answers, LONG, 10_000), PLACES_MOST, "what it has it keeps");
        assert_eq!(answer(Health::Asks(AT_ONCE), AT_ONCE, 1), PLACES_MOST / 2);
        assert_eq!(answer(Health::Fails, LONG, 20), 1);
        assert_eq!(
            answer(Health::Answers, LONG, 10_000),
            PLACES,
            "slow answers do not bring more than it began with"
        );
    }
}
