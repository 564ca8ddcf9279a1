//! One decided change: a transaction, what it touches in memory, and the answer recorded with it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use jackfield_core::{Code, Error, Permit, Result, Timestamp};
use jackfield_store::{Answer, Store, Tx};
use serde::Serialize;

use crate::govern::audit::{self, Event};
use crate::op::Op;
use crate::{Engine, idempotency};

/// A transaction on its way. Dropped without [`Work::commit`], it never happened.
pub(crate) struct Work<'e> {
    engine: &'e Engine,
    tx: Tx,
    touched: Vec<String>,
    events: Vec<Event>,
}

impl Engine {
    pub(crate) async fn begin(&self, permit: Permit) -> Result<Work<'_>> {
        Ok(Work {
            engine: self,
            tx: self.store().begin(permit).await?,
            touched: Vec::new(),
            events: Vec::new(),
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }
}

impl Work<'_> {
    /// What is cached about this organization or authorization is no longer true once this is committed.
    pub fn touch(&mut self, name: &str) {
        self.touched.push(name.to_owned());
    }

    /// What this change is, for the audit trail, the history and those who listen: written when it is committed, and only then.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Records the answer in this transaction where the caller sent an `Idempotency-Key`.
    pub async fn answer(&mut self, op: &Op, status: u16, view: &impl Serialize) -> Result<()> {
        let Some(asked) = &op.idempotency else { return Ok(()) };
        let body = serde_json::to_vec(view).map_err(Error::internal)?;
        let answer = idempotency::sealed(self.engine, op, asked, status, "application/json", &body)?;
        self.insert_answer(&answer).await
    }

    async fn insert_answer(&mut self, answer: &Answer) -> Result<()> {
        let before = idempotency::forgotten_before(answer.created_at);
        self.tx
            .expire_answer(&answer.organization_id, &answer.key_id, &answer.idempotency_key, before)
            .await?;
        self.tx.insert_answer(answer).await.map_err(|error| {
            if error.is_unique("idempotency_pkey") {
                // The other one has committed: whoever asks again gets its answer.
                Error::new(Code::RequestInProgress, "The same request was carried out at the same time.")
            } else {
                error.into()
            }
        })
    }

    /// Records that a request under a key has begun, before it has any effect outside.
    pub async fn begin_answer(&mut self, answer: &Answer) -> Result<()> {
        self.insert_answer(answer).await
    }

    /// Makes it so, here at once and on other nodes by their notifications.
    pub async fn commit(mut self) -> Result<()> {
        let events = std::mem::take(&mut self.events);
        // In their order, as whoever is about to pause takes them; and before the chain of the audit trail, which is taken last.
        let mut opened: BTreeMap<(&str, String), Timestamp> = events
            .iter()
            .filter_map(Event::opens)
            .map(|(organization, connection, at)| ((organization, connection.to_owned()), at))
            .collect();
        for (organization, authorization, at) in events.iter().filter_map(Event::recovers) {
            for connection in self.tx.holders(organization, authorization).await? {
                opened.insert((organization, connection), at);
            }
        }
        for (organization, connection) in opened.keys() {
            self.tx.open_connection(organization, connection).await?;
        }
        let mut woken = 0;
        for ((organization, connection), at) in &opened {
            woken += self.tx.wake_runs(organization, connection, *at).await?;
        }
        audit::write(&mut self.tx, self.engine.keyring(), &events).await?;
        for name in &self.touched {
            self.tx.notify(name).await?;
        }
        let result = self.tx.commit().await;
        // Also when the outcome is not known: building anew is never wrong.
        for name in &self.touched {
            self.engine.inner.hot.changed(name);
        }
        if woken > 0 {
            self.engine.inner.runner.wake();
        }
        Ok(result?)
    }
}

impl Deref for Work<'_> {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for Work<'_> {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}
