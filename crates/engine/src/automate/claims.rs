//! Claims what is due, fairly among queues, and as much as the connections that they call have places.

use std::collections::{BTreeMap, HashMap};

use jackfield_core::{Result, Timestamp};
use tokio::sync::mpsc;

use crate::automate::gates::{Gates, PLACES};
use crate::automate::runner::{LEASE, Note, PERMIT};
use crate::{Engine, clock};

/// Runs that a node carries out at a time. Of one queue it carries out as many as its connection has places.
const SLOTS: usize = 128;
/// Queues that are looked at in one round.
const QUEUES: i64 = 1000;

/// What of a node is in use, by queue.
#[derive(Default)]
pub(super) struct Busy {
    all: usize,
    by_queue: HashMap<String, Hand>,
    /// the connection that a queue called last: what stops it stops the queue
    calls: HashMap<String, String>,
    /// where the next round begins, so that no queue is always the first
    turn: usize,
}

/// From which queues to claim, and how much.
struct Chosen {
    due: Vec<(String, usize)>,
    /// when the next is due
    next: Option<Timestamp>,
    /// whether some queue has less of the node than its connection has places
    more: bool,
}

/// The runs of a queue that are in hand.
#[derive(Default)]
struct Hand {
    runs: usize,
    /// how many it were when the last ones came
    filled: usize,
}

impl Busy {
    /// Runs of this node that are in hand.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// A queue calls through this connection now.
    pub(super) fn calls(&mut self, queue: &str, connection: &str) {
        self.calls.insert(queue.to_owned(), connection.to_owned());
    }

    /// The queues from which something can be claimed now, and how much of each: its part of what is free.
    fn choose(
        &mut self,
        gates: &Gates,
        queues: Vec<(String, Timestamp)>,
        free: usize,
        now: Timestamp,
    ) -> Chosen {
        let mut next: Option<Timestamp> = None;
        let mut sooner = |at: Timestamp| next = Some(next.map_or(at, |known| known.min(at)));
        let mut due = Vec::new();
        // Of queues that call through the same connection, what one takes the others do not have.
        let mut rooms: BTreeMap<&str, usize> = BTreeMap::new();
        for (queue, at) in queues {
            if at > now {
                sooner(at);
                continue;
            }
            let connection = self.calls.get(&queue);
            let places = connection.map_or(PLACES, |connection| gates.places(connection));
            let mut room = places.saturating_sub(self.by_queue.get(&queue).map_or(0, |hand| hand.runs));
            if let Some(connection) = connection {
                let left = rooms.entry(connection).or_insert_with(|| {
                    let (room, again) = gates.room(connection, now);
                    if let Some(again) = again {
                        sooner(again);
                    }
                    room
                });
                room = room.min(*left);
                *left = left.saturating_sub(room);
            }
            if room > 0 {
                due.push((queue, room));
            }
        }
        let mut more = false;
        if !due.is_empty() {
            let share = (free / due.len()).max(1);
            for (_, room) in &mut due {
                more |= share < *room;
                *room = share.min(*room);
            }
            let turn = self.turn % due.len();
            due.rotate_left(turn);
            self.turn = self.turn.wrapping_add(1);
        }
        Chosen { due, next, more }
    }

    /// A run of this queue is in hand.
    pub(super) fn begin(&mut self, queue: &str) {
        self.all += 1;
        let hand = self.by_queue.entry(queue.to_owned()).or_default();
        hand.runs += 1;
        hand.filled = hand.runs;
    }

    /// A run of this queue is out of hand; whether half of what came last is done.
    pub(super) fn end(&mut self, queue: &str) -> bool {
        self.all = self.all.saturating_sub(1);
        let is_low = self.by_queue.get_mut(queue).is_none_or(|hand| {
            hand.runs = hand.runs.saturating_sub(1);
            hand.runs <= hand.filled / 2
        });
        if self.by_queue.get(queue).is_some_and(|hand| hand.runs == 0) {
            self.by_queue.remove(queue);
        }
        // Forgotten now and then; a queue that goes on tells it anew.
        if self.calls.len() > 10_000 {
            self.calls.clear();
        }
        is_low
    }
}

impl Engine {
    /// Claims as much as there is room for; when the next is due.
    pub(super) async fn claim_what_is_due(&self, notes: &mpsc::Sender<Note>) -> Result<Option<Timestamp>> {
        let runner = &self.inner.runner;
        loop {
            let mut free = SLOTS.saturating_sub(runner.busy().all());
            if free == 0 || runner.is_stopping() {
                return Ok(None);
            }
            let queues = self.store().due_queues(QUEUES).await?;
            let is_all = i64::try_from(queues.len()).is_ok_and(|many| many < QUEUES);
            let now = clock::now();
            let Chosen { due, next, mut more } = runner.busy().choose(&runner.gates, queues, free, now);
            more |= !is_all;
            if due.is_empty() {
                return Ok(next);
            }
            let mut work = self.begin(PERMIT).await?;
            let mut claimed = Vec::new();
            for (queue, room) in due {
                let limit = room.min(free);
                if limit == 0 {
                    more = true;
                    break;
                }
                let limit = i64::try_from(limit).unwrap_or(1);
                let runs = work.claim_runs(&queue, runner.node(), now, now.plus(LEASE), limit).await?;
                free = free.saturating_sub(runs.len());
                claimed.extend(runs);
            }
            work.commit().await?;
            if claimed.is_empty() {
                // Others were quicker.
                return Ok(next);
            }
            for run in claimed {
                runner.begin(&run.queue);
                let (engine, notes) = (self.clone(), notes.clone());
                tokio::spawn(async move {
                    let queue = run.queue.clone();
                    engine.carry_out(run, &notes).await;
                    engine.inner.runner.end(&queue);
                });
            }
            // Each queue has given what it has, or what there was room for: asking again costs the database as much as claiming.
            if !more {
                return Ok(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::automate::gates::Health;
    use crate::automate::runner::Runner;

    fn names(due: &[(String, usize)]) -> Vec<(&str, usize)> {
        due.iter().map(|(name, room)| (name.as_str(), *room)).collect()
    }

    #[test]
    fn what_is_free_is_shared_among_queues() {
        let runner = Runner::default();
        let now = Timestamp::from_micros(10);
        let queues = |all: &[&str]| all.iter().map(|name| ((*name).to_owned(), now)).collect::<Vec<_>>();
        // A flood has its part of a node, however much is free.
        let later = Timestamp::from_micros(20);
        let waiting = [queues(&["flood"]), vec![("later".to_owned(), later)]].concat();
        let chosen = runner.busy().choose(&runner.gates, waiting, SLOTS, now);
        assert_eq!((names(&chosen.due), chosen.next), (vec![("flood", PLACES)], Some(later)));
        assert!(!chosen.more, "it has all its places");
        for _ in 0..PLACES {
            runner.begin("flood");
        }
        let chosen = runner.busy().choose(&runner.gates, queues(&["calm", "flood"]), SLOTS - PLACES, now);
        assert_eq!(names(&chosen.due), [("calm", PLACES)]);
        // Where little is free each has something of it, and another one is the first each time.
        let first = || {
            let Chosen { due, more, .. } =
                runner.busy().choose(&runner.gates, queues(&["a", "b", "c", "d"]), 8, now);
            assert!(more, "each has places that the node has not");
            assert!(due.iter().all(|(_, room)| *room == 2), "{due:?}");
            due[0].0.clone()
        };
        assert_ne!(first(), first());
        // What calls through the same connection shares what it may have under way.
        for queue in ["a", "b"] {
            runner.busy().calls(queue, "org acme");
        }
        for _ in 0..10 {
            runner.gates.enter("org acme");
        }
        let mut due = runner.busy().choose(&runner.gates, queues(&["a", "b", "c"]), SLOTS, now).due;
        due.sort();
        assert_eq!(names(&due), [("a", 6), ("c", PLACES)]);
        // As its service answers quickly, a queue has as many as its connection.
        for _ in 0..10 {
            runner.gates.leave("org acme", Some(Health::Answers), Duration::ZERO, now, 0);
        }
        for _ in 0..1000 {
            runner.gates.enter("org acme");
            runner.gates.leave("org acme", Some(Health::Answers), Duration::ZERO, now, 0);
        }
        let due = runner.busy().choose(&runner.gates, queues(&["a"]), SLOTS, now).due;
        assert_eq!(names(&due), [("a", runner.gates.places("org acme"))]);
        assert!(runner.gates.places("org acme") > PLACES);
    }
}
