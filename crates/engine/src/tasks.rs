//! What runs beside the requests: hearing of changes on other nodes, unasked refreshes, records of calls, and forgetting what is old.

use std::time::Duration;

use jackfield_core::{Permit, Result, Timestamp};
use jackfield_store::{Change, Kind, PRUNE_AT_ONCE};
use tokio::time::MissedTickBehavior;

use crate::call::record::half_hour;
use crate::govern::sessions;
use crate::{Engine, clock, idempotency};

/// How often somebody looks for refreshes that are due.
const LOOK: Duration = Duration::from_secs(1);
/// Refreshes that the background has under way at a time.
const AT_ONCE: i64 = 128;
/// How long something may be kept in memory while changes on other nodes are not heard.
const DEAF: Duration = Duration::from_millis(200);
/// How often old rows are forgotten.
const FORGET: Duration = Duration::from_mins(10);
/// How long records of calls, finished flows and the history of connections are kept.
const KEPT: Duration = Duration::from_hours(720);

impl Engine {
    /// Runs the background until the process ends. `alone` tells that nobody else can be serving this store: leases of a former process
    /// are ended, so that what it was refreshing when it died is asked for again at once, and its runs go on.
    pub async fn start_background(&self, alone: bool) -> Result<()> {
        if alone {
            let mut work = self.begin(Permit::housekeeping("the holders of all leases are dead")).await?;
            work.abandon_leases().await?;
            work.recover_runs(Timestamp::from_micros(i64::MAX)).await?;
            work.recover_imports().await?;
            work.commit().await?;
        }
        tokio::spawn(self.clone().write_records());
        tokio::spawn(self.clone().write_counts());
        tokio::spawn(self.clone().hear_changes());
        tokio::spawn(self.clone().keep_fresh());
        tokio::spawn(self.clone().ask_devices());
        tokio::spawn(self.clone().forget());
        tokio::spawn(self.clone().run_workflows());
        tokio::spawn(self.clone().read_imports());
        tokio::spawn(self.clone().keep_time());
        Ok(())
    }

    async fn hear_changes(self) {
        if self.store().kind() == Kind::Sqlite {
            // One process serves a SQLite file; what others do to it beside (adding an organization) is not cached here.
            return;
        }
        let mut changes = self.store().changes();
        let mut heard = false;
        loop {
            // While nobody tells what changes, nothing is kept for longer than a moment.
            let change = if heard {
                Some(changes.next().await)
            } else {
                tokio::time::timeout(DEAF, changes.next()).await.ok()
            };
            match change {
                Some(Change::Payload(name)) => self.inner.hot.changed(&name),
                Some(Change::Lost) => {
                    tracing::warn!(
                        "changes on other nodes are not heard; nothing is kept in memory until they are"
                    );
                    heard = false;
                    self.inner.hot.all_changed();
                }
                Some(Change::Restored) => {
                    heard = true;
                    self.inner.hot.all_changed();
                }
                None => self.inner.hot.all_changed(),
            }
        }
    }

    async fn keep_fresh(self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Many that fall due together are worked off without pause.
            loop {
                match self.refresh_what_is_due().await {
                    Ok(more) if more => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the search for due refreshes failed");
                        break;
                    }
                }
            }
        }
    }

    /// Tells whether there may be more.
    async fn refresh_what_is_due(&self) -> Result<bool> {
        let now = clock::now();
        // First what may be lost by waiting: tokens that somebody presented and did not live to store the answer.
        let mut due = self.store().refresh_unsure(now, AT_ONCE).await?;
        due.extend(self.store().refresh_due(now, AT_ONCE).await?);
        let mut under_way = Vec::with_capacity(due.len());
        let more = due.len() >= usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        for (organization, id) in due {
            if let Some(row) = self.store().authorization(&organization, &id).await? {
                under_way.push(self.refresh(&organization, &id, row.credential_version).wait());
            }
        }
        // A hanging service must not keep the others waiting: its refresh goes on by itself.
        let _ = tokio::time::timeout(LOOK, futures_util::future::join_all(under_way)).await;
        Ok(more)
    }

    async fn forget(self) {
        let mut ticks = tokio::time::interval(FORGET);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.forget_what_is_old().await {
                tracing::warn!(%error, "old rows could not be forgotten");
            }
        }
    }

    /// A little at a time, so that nobody who wants to write waits for it.
    async fn forget_what_is_old(&self) -> Result<()> {
        let now = clock::now();
        loop {
            let mut work = self.begin(Permit::housekeeping("what is old is forgotten")).await?;
            let most = work
                .prune_answers(idempotency::forgotten_before(now))
                .await?
                .max(work.prune_flows(now.minus(KEPT)).await?)
                .max(work.prune_events(now.minus(KEPT)).await?)
                .max(work.prune_member_links(now).await?)
                .max(work.prune_sessions(now, now.minus(sessions::IDLE)).await?)
                .max(work.prune_throttles(now.minus(sessions::FORGOTTEN)).await?)
                .max(work.prune_calls(now.minus(KEPT)).await?)
                .max(work.prune_rates(half_hour(now.minus(KEPT))).await?)
                .max(work.prune_runs(now.minus(KEPT)).await?)
                .max(work.prune_imports(now.minus(KEPT)).await?)
                // A payment can be open for a month, and its page tells how it ended.
                .max(work.prune_pay_pages(now.minus(KEPT * 3)).await?)
                // After the runs that it set off, which tell of it.
                .max(work.prune_records(now.minus(KEPT)).await?);
            work.commit().await?;
            if i64::try_from(most).unwrap_or(i64::MAX) < PRUNE_AT_ONCE {
                return Ok(());
            }
        }
    }
}
