//! What an organization's plan allows (product N15): how many connections and connectors, checked in the transaction that makes them; and
//! how many calls a day, counted in memory and written down beside the calls.
//!
//! A limit of calls is kept by each node for itself and by all together: what a node has counted is added to the database's number twice a
//! second and the sum comes back, so that several nodes may together pass a limit by what half a second brings. Organizations without a
//! limit are not counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jackfield_core::plan::{self, Plan};
use jackfield_core::{Error, EventKind, Permit, Result, Timestamp};
use jackfield_store::Organization;
use serde::Serialize;
use tokio::time::MissedTickBehavior;
use utoipa::ToSchema;

use crate::govern::audit::{Actor, Event};
use crate::work::Work;
use crate::{Engine, clock};

/// How often what was counted is written down.
const WRITE: Duration = Duration::from_millis(500);
const DAY: i64 = 86_400;

/// A limit, and how much of it is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitView {
    /// null: no limit
    pub allowed: Option<u32>,
    pub used: u64,
}

/// The limits of an organization's plan.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitsView {
    pub connections: LimitView,
    pub custom_connectors: LimitView,
    /// from midnight to midnight UTC; counted only where there is a limit
    pub calls_per_day: LimitView,
}

/// The calls of an organization today.
pub(crate) struct Meter {
    plan: String,
    allowed: AtomicU32,
    day: AtomicI64,
    /// what the database said last, for all nodes
    known: AtomicU64,
    /// counted here since
    fresh: AtomicU64,
}

/// The meters of this node by organization.
#[derive(Default)]
pub(crate) struct Meters {
    by_organization: Mutex<HashMap<String, Arc<Meter>>>,
    /// held by whoever writes down: of two at once each would write the same calls
    writing: tokio::sync::Mutex<()>,
}

fn day_of(at: Timestamp) -> i64 {
    at.seconds().div_euclid(DAY)
}

impl Meter {
    /// Counts a call, or says that the day's are used up.
    pub fn count(&self, now: Timestamp) -> Result<()> {
        let today = day_of(now);
        let day = self.day.load(Ordering::Acquire);
        if day != today && self.day.compare_exchange(day, today, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            self.known.store(0, Ordering::Release);
            self.fresh.store(0, Ordering::Release);
        }
        let allowed = self.allowed.load(Ordering::Acquire);
        let known = self.known.load(Ordering::Acquire);
        // Counted only where it is allowed: what was taken back could have been written down, or begun anew, in between.
        let counted = self.fresh.fetch_update(Ordering::AcqRel, Ordering::Acquire, |fresh| {
            (known + fresh < u64::from(allowed)).then_some(fresh + 1)
        });
        let Err(fresh) = counted else { return Ok(()) };
        plan::within(&self.plan, "calls per day", Some(allowed), known + fresh).map_err(|error| {
            let midnight = (today + 1) * DAY;
            error.with_retry_after(u64::try_from(midnight - now.seconds()).unwrap_or(1).max(1))
        })
    }
}

impl Engine {
    fn plan_of(&self, organization: &Organization) -> Plan {
        self.settings().plans.get(&organization.plan).unwrap_or_else(|| {
            tracing::warn!(
                organization = organization.id,
                plan = organization.plan,
                "this plan is not among the operator's: nothing is limited"
            );
            Plan::default()
        })
    }

    /// Whether the organization may have one more connection. Others who make one wait until this transaction ends.
    pub(crate) async fn allow_connection(
        &self,
        work: &mut Work<'_>,
        organization: &Organization,
    ) -> Result<()> {
        let Some(allowed) = self.plan_of(organization).connections else { return Ok(()) };
        work.lock_organization(&organization.id).await?;
        let used = work.count_connections(&organization.id).await?;
        plan::within(&organization.plan, "connections", Some(allowed), used)
    }

    /// Whether the organization may have one more connector of its own.
    pub(crate) async fn allow_connector(
        &self,
        work: &mut Work<'_>,
        organization: &Organization,
    ) -> Result<()> {
        let Some(allowed) = self.plan_of(organization).custom_connectors else { return Ok(()) };
        work.lock_organization(&organization.id).await?;
        let used = work.count_connectors(&organization.id).await?;
        plan::within(&organization.plan, "custom connectors", Some(allowed), used)
    }

    /// The meter of an organization whose calls are limited.
    pub(crate) async fn meter(&self, organization: &Organization) -> Result<Option<Arc<Meter>>> {
        let Some(allowed) = self.plan_of(organization).calls_per_day else { return Ok(None) };
        let find = |meters: &HashMap<String, Arc<Meter>>| {
            meters.get(&organization.id).filter(|meter| meter.plan == organization.plan).cloned()
        };
        if let Some(meter) = find(&self.meters()) {
            meter.allowed.store(allowed, Ordering::Release);
            return Ok(Some(meter));
        }
        let day = day_of(clock::now());
        let known = self.store().calls_on(&organization.id, day).await?;
        let meter = Arc::new(Meter {
            plan: organization.plan.clone(),
            allowed: AtomicU32::new(allowed),
            day: AtomicI64::new(day),
            known: AtomicU64::new(known),
            fresh: AtomicU64::new(0),
        });
        let mut meters = self.meters();
        // Another call may have been faster; there is one meter for all of them.
        if let Some(meter) = find(&meters) {
            return Ok(Some(meter));
        }
        meters.insert(organization.id.clone(), Arc::clone(&meter));
        Ok(Some(meter))
    }

    fn meters(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Meter>>> {
        self.inner.meters.by_organization.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was counted, until the process ends. One such task a process.
    pub(crate) async fn write_counts(self) {
        let mut ticks = tokio::time::interval(WRITE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.flush_counts().await;
        }
    }

    /// Writes down what was counted so far.
    pub async fn flush_counts(&self) {
        let _alone = self.inner.meters.writing.lock().await;
        let busy: Vec<(String, Arc<Meter>)> = self
            .meters()
            .iter()
            .filter(|(_, meter)| meter.fresh.load(Ordering::Acquire) > 0)
            .map(|(id, meter)| (id.clone(), Arc::clone(meter)))
            .collect();
        for (organization, meter) in busy {
            let day = meter.day.load(Ordering::Acquire);
            let fresh = meter.fresh.load(Ordering::Acquire);
            match self.add_calls(&organization, day, fresh).await {
                // Known first: for a moment a call may count twice, but none is forgotten.
                Ok(total) if meter.day.load(Ordering::Acquire) == day => {
                    meter.known.store(total, Ordering::Release);
                    let _ = meter.fresh.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                        Some(now.saturating_sub(fresh))
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(organization, %error, "the number of calls could not be written down");
                }
            }
        }
    }

    async fn add_calls(&self, organization: &str, day: i64, fresh: u64) -> Result<u64> {
        let permit = Permit::housekeeping("the calls themselves were permitted");
        let mut work = self.begin(permit).await?;
        let total = work.add_calls(organization, day, fresh).await?;
        work.commit().await?;
        Ok(total)
    }

    /// The limits of the organization's plan and what is used of them.
    pub(crate) async fn limits(&self, organization: &Organization) -> Result<LimitsView> {
        let plan = self.plan_of(organization);
        let id = &organization.id;
        let calls = self.store().calls_on(id, day_of(clock::now())).await?;
        Ok(LimitsView {
            connections: LimitView {
                allowed: plan.connections,
                used: self.store().count_connections(id).await?,
            },
            custom_connectors: LimitView {
                allowed: plan.custom_connectors,
                used: self.store().count_connectors(id).await?,
            },
            calls_per_day: LimitView { allowed: plan.calls_per_day, used: calls },
        })
    }

    /// Gives an organization another plan. The operator decides that, on the machine itself.
    pub async fn set_plan(&self, organization: &str, plan: &str, now: Timestamp) -> Result<()> {
        if self.settings().plans.get(plan).is_none() {
            let names = self.settings().plans.names().join(", ");
            return Err(Error::field(
                "plan",
                "unknown",
                format!(
                    "There is no plan {plan:?}. There are: {names}. JACKFIELD_PLANS names the file of plans."
                ),
            ));
        }
        let mut row = self.own_organization(organization).await?;
        let before = std::mem::replace(&mut row.plan, plan.to_owned());
        row.updated_at = now;
        let permit = Permit::housekeeping("the operator sets plans by the command line");
        let mut work = self.begin(permit).await?;
        if !work.update_organization(&row).await? {
            return Err(crate::govern::organizations::version_conflict());
        }
        work.touch(organization);
        work.record(
            Event::by(Actor::Operator, EventKind::OrganizationUpdated, organization, now)
                .to(organization)
                .with("plan", plan)
                .with("plan_before", before),
        );
        work.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(allowed: u32, known: u64, day: i64) -> Meter {
        Meter {
            plan: "free".to_owned(),
            allowed: AtomicU32::new(allowed),
            day: AtomicI64::new(day),
            known: AtomicU64::new(known),
            fresh: AtomicU64::new(0),
        }
    }

    #[test]
    fn the_days_calls_are_counted_and_end_at_midnight() {
        let at = |day: i64, second: i64| Timestamp::from_micros((day * DAY + second) * 1_000_000);
        let meter = meter(3, 1, 100);
        assert!(meter.count(at(100, 5)).is_ok() && meter.count(at(100, 6)).is_ok());
        let error = meter.count(at(100, DAY - 60)).unwrap_err();
        assert_eq!(error.retry_after, Some(60));
        assert!(
            meter.count(at(100, DAY - 1)).is_err(),
            "what was refused is not counted, and nothing is freed"
        );
        for _ in 0..3 {
            assert!(meter.count(at(101, 0)).is_ok());
        }
        assert!(meter.count(at(101, 0)).is_err());
    }
}
