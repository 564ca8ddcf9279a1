//! Checkouts that nobody waits for any more: they are ended at their services, so that nobody pays for what is not done.

use std::sync::Arc;
use std::time::Duration;

use jackfield_core::id::Prefix;
use jackfield_core::{Environment, PaymentState, Result};
use jackfield_store::{Payment, Run};
use serde_json::Value;

use super::{End, MISMATCH, ON_ITS_WAY, PERMIT, Till};
use crate::automate::actions::{Doing, Ended};
use crate::automate::live::Live;
use crate::automate::records::acting;
use crate::clock::new_id;
use crate::{Engine, Op, clock};

/// How long after its time a checkout that nobody waits for is tried to be ended.
const CLOSING: Duration = Duration::from_hours(24);
/// Between two tries to end one.
const AGAIN: Duration = Duration::from_mins(1);
/// Checkouts that are ended in one round.
const AT_ONCE: i64 = 20;

impl Engine {
    /// Ends at their services what nobody waits for any more.
    pub(crate) async fn close_payments(&self) -> Result<()> {
        let now = clock::now();
        let mut work = self.begin(PERMIT).await?;
        let rows = work.claim_closing_payments(now, now.plus(AGAIN), AT_ONCE).await?;
        work.commit().await?;
        for row in rows {
            if let Err(error) = self.close_payment(&row).await {
                tracing::warn!(%error, payment = row.id, "a checkout could not be ended; it is tried again");
            }
        }
        Ok(())
    }

    async fn close_payment(&self, row: &Payment) -> Result<()> {
        let now = clock::now();
        let closed = async || -> Result<()> {
            let mut work = self.begin(PERMIT).await?;
            work.payment_closed(&row.organization_id, &row.id).await?;
            work.commit().await
        };
        let Some(acting) = self.acting_for_payment(row).await? else { return closed().await };
        let doing = acting.doing(row);
        let late = row.expires_at.plus(CLOSING) < now;
        let end = async |state| -> Result<()> {
            self.end_payment(&acting.op, row, &End::plain(state)).await?;
            closed().await
        };
        if row.checkout.is_none() {
            return end(PaymentState::Cancelled).await;
        }
        let found = self.counter(&acting.op, &doing, row).await;
        let (ready, connector) = match found {
            Ok(found) => found,
            Err(_) if late => return end(PaymentState::Expired).await,
            Err(_) => return Ok(()),
        };
        let Some(described) = &connector.payment else { return closed().await };
        let till =
            Till { op: &acting.op, doing: &doing, row, ready, connector: Arc::clone(&connector), described };
        let seen = match self.look(&till).await {
            Ok(PaymentState::Open | PaymentState::Approved) => self.close_checkout(&till).await,
            other => other,
        };
        match seen {
            Ok(PaymentState::Processing) if row.expires_at.plus(ON_ITS_WAY) > now => Ok(()),
            Ok(state) if state.is_over() => end(state).await,
            // Nothing is taken that is not captured.
            Ok(_) if described.capture.is_some() || late => end(PaymentState::Cancelled).await,
            Ok(_) => Ok(()),
            Err(tried) => match tried.ended {
                Ended::Failed { code: MISMATCH, .. } => {
                    self.close_checkout(&till).await.ok();
                    closed().await
                }
                _ if late => end(PaymentState::Expired).await,
                _ => Ok(()),
            },
        }
    }

    /// On whose behalf a payment is looked at that no run looks at now.
    pub(super) async fn acting_for_payment(&self, row: &Payment) -> Result<Option<Acting>> {
        let Some(environment) = Environment::parse(&row.environment) else { return Ok(None) };
        let application = self.store().application(&row.organization_id, &row.application).await?;
        let run = self.store().run(&row.organization_id, &row.run).await?;
        let (Some(application), Some(run)) = (application, run) else { return Ok(None) };
        let live = self.live(&row.organization_id, &row.application, environment).await?;
        let now = clock::now();
        let op = Op {
            principal: acting(&application.id, &application.link_name, environment),
            organization: row.organization_id.as_str().into(),
            now,
            request_id: new_id(Prefix::Request, now),
            address: String::new(),
            session: None,
            idempotency: None,
        };
        Ok(Some(Acting { op, run, live, environment, context: Value::Null }))
    }
}

/// On whose behalf a payment is looked at.
pub(super) struct Acting {
    pub op: Op,
    run: Run,
    live: Arc<Live>,
    environment: Environment,
    context: Value,
}

impl Acting {
    pub fn doing<'a>(&'a self, row: &'a Payment) -> Doing<'a> {
        Doing {
            organization: &row.organization_id,
            application: &row.application,
            environment: self.environment,
            run: &self.run,
            principal: &self.op.principal,
            actor: &row.actor,
            live: &self.live,
            context: &self.context,
            doubt: false,
        }
    }
}
