//! Device codes (RFC 8628): the person accepts on another screen, and Jackfield asks the service again and again whether he has.
//!
//! A flow with a device code is a row like every flow, with the time at which the service is asked next. Whoever asks moves that time ahead
//! first, by compare-and-swap: of many nodes one asks, and where it dies another goes on. Asking spends nothing until the person has
//! accepted; then the flow is claimed and ends as every flow does.

use std::time::Duration;

use jackfield_core::flow::FlowState;
use jackfield_core::{Error, Permit, Result};
use jackfield_oauth::TokenError;
use jackfield_store::{Flow, Poll};
use secrecy::SecretString;
use tokio::time::MissedTickBehavior;

use crate::call::egress::EgressError;
use crate::connect::Secrets;
use crate::connect::exchange::{DeviceAnswer, ExchangeError, Granted};
use crate::connect::flows::{Beginning, FlowError, FlowView, expired, provider_error};
use crate::connect::ground::{Attributes, Ground};
use crate::connect::keep::Keep;
use crate::{Engine, Op, clock};

/// Names of what a flow keeps sealed.
pub(crate) const DEVICE_CODE: &str = "device_code";
pub(crate) const USER_CODE: &str = "user_code";
pub(crate) const VERIFICATION_URI: &str = "verification_uri";
pub(crate) const VERIFICATION_URI_COMPLETE: &str = "verification_uri_complete";

/// How often somebody looks for services that are to be asked.
const LOOK: Duration = Duration::from_secs(1);
/// How many are taken at a time.
const AT_ONCE: i64 = 64;
/// How long nobody else asks while one does: a question takes ten seconds at most.
const ASKING: Duration = Duration::from_secs(15);
/// By how much `slow_down` lengthens the interval (RFC 8628 §3.5), in seconds.
const SLOWER: i64 = 5;
/// Shortest and longest interval, in seconds, whatever the service says.
const SHORTEST: i64 = 1;
const LONGEST: i64 = 60;

const PERMIT: Permit = Permit::housekeeping("the start of the flow was permitted");

/// Whether a flow waits for a device code to be typed.
pub(crate) fn is_device(flow: &Flow) -> bool {
    flow.poll.is_some()
}

/// What a question came to.
enum Heard {
    /// Not decided yet: asked again after so many seconds, and from then on so often.
    Later {
        after: i64,
        interval: i64,
    },
    Accepted(Box<Granted>),
    Over(FlowState, FlowError),
}

impl Engine {
    /// Asks the service for a code, and begins the flow in which a person types it.
    pub(crate) async fn begin_device_flow(
        &self,
        op: &Op,
        permit: Permit,
        ground: &Ground,
        keep: &Keep<'_>,
    ) -> Result<FlowView, ExchangeError> {
        let codes = self.device_codes(ground, op.now).await?;
        let interval = i64::try_from(codes.interval).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        let mut more: Secrets = [
            (DEVICE_CODE.to_owned(), codes.device_code),
            (USER_CODE.to_owned(), SecretString::from(codes.user_code)),
            (VERIFICATION_URI.to_owned(), SecretString::from(codes.verification_uri)),
        ]
        .into();
        if let Some(url) = codes.verification_uri_complete {
            more.insert(VERIFICATION_URI_COMPLETE.to_owned(), SecretString::from(url));
        }
        let beginning = Beginning {
            more,
            // The code may live shorter than Jackfield waits, and counts from before the answer came.
            life: Duration::from_secs(codes.expires_in).min(self.settings().device_flow_ttl),
            poll: Some(Poll { at: clock::now().plus(seconds(interval)), interval }),
        };
        Ok(self.begin_flow_with(op, permit, ground, keep, beginning).await?)
    }

    /// Asks services for as long as the process lives.
    pub(crate) async fn ask_devices(self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.ask_what_is_due().await {
                tracing::warn!(%error, "the search for device codes to ask about failed");
            }
        }
    }

    async fn ask_what_is_due(&self) -> Result<()> {
        for flow in self.store().flows_to_ask(clock::now(), AT_ONCE).await? {
            let Some(seen) = flow.poll else { continue };
            let mine = Poll { at: clock::now().plus(ASKING), ..seen };
            if self.move_poll(&flow, seen, mine).await? {
                // A service that hangs must not keep the others waiting.
                tokio::spawn(self.clone().ask_device(flow, mine));
            }
        }
        Ok(())
    }

    async fn move_poll(&self, flow: &Flow, seen: Poll, next: Poll) -> Result<bool> {
        let mut work = self.begin(PERMIT).await?;
        let moved = work.move_poll(&flow.organization_id, &flow.id, seen.at, next).await?;
        work.commit().await?;
        Ok(moved)
    }

    async fn ask_device(self, flow: Flow, mine: Poll) {
        if let Err(error) = self.ask_device_once(&flow, mine).await {
            // The time until which nobody else asks passes, and the flow is taken up again.
            tracing::warn!(flow = flow.id, %error, "a device code could not be asked about");
        }
    }

    async fn ask_device_once(&self, flow: &Flow, mine: Poll) -> Result<()> {
        let now = clock::now();
        if now >= flow.expires_at {
            self.end(flow, (FlowState::Pending, FlowState::Expired), &expired(), now).await?;
            return Ok(());
        }
        let ground = match self.flow_ground(flow).await {
            Ok(ground) => ground,
            Err(error) if error.code.status() >= 500 => return Err(error),
            Err(error) => return self.end_device(flow, FlowState::Failed, &inside(&error)).await,
        };
        let secrets = self.flow_secrets(flow)?;
        let Some(code) = secrets.get(DEVICE_CODE) else {
            return Err(Error::internal("a flow that is asked about has no device code"));
        };
        let service = &ground.connector.name;
        match heard(self.device_token(&ground, code, now).await, mine.interval, service) {
            Heard::Later { after, interval } => {
                let next = Poll { at: clock::now().plus(seconds(after)), interval };
                self.move_poll(flow, mine, next).await.map(drop)
            }
            Heard::Over(state, why) => self.end_device(flow, state, &why).await,
            Heard::Accepted(granted) => self.device_accepted(flow, mine, &ground, *granted).await,
        }
    }

    async fn end_device(&self, flow: &Flow, state: FlowState, why: &FlowError) -> Result<()> {
        self.end(flow, (FlowState::Pending, state), why, clock::now()).await.map(drop)
    }

    /// The person has accepted. From the claim on the flow is this node's alone.
    async fn device_accepted(
        &self,
        flow: &Flow,
        mine: Poll,
        ground: &Ground,
        granted: Granted,
    ) -> Result<()> {
        let now = clock::now();
        let claimed = if now < flow.expires_at {
            let mut work = self.begin(PERMIT).await?;
            let claimed = work.accept_flow(&flow.organization_id, &flow.id, mine.at, now).await?;
            work.commit().await?;
            claimed
        } else {
            self.end_device(flow, FlowState::Expired, &expired()).await?;
            false
        };
        if !claimed {
            // Cancelled, or too late: nobody is to hold what was just granted.
            let none = Attributes::new();
            let taken_back = self.revoke_at_service(ground, &granted.credential, &none, now).await;
            if let Err(error) = taken_back {
                tracing::warn!(flow = flow.id, %error, "what a cancelled flow was granted could not be revoked");
            }
            return Ok(());
        }
        if let Err(why) = self.finish_with(flow, ground, granted).await {
            self.fail_flow(flow, ground, &why).await?;
        }
        Ok(())
    }
}

fn seconds(of: i64) -> Duration {
    Duration::from_secs(of.unsigned_abs())
}

fn inside(error: &Error) -> FlowError {
    FlowError { code: "provider_error".to_owned(), detail: error.detail.clone() }
}

/// What is done about an answer (RFC 8628 §3.5).
fn heard(answer: Result<DeviceAnswer, ExchangeError>, interval: i64, service: &str) -> Heard {
    let again = |interval: i64| {
        let interval = interval.clamp(SHORTEST, LONGEST);
        Heard::Later { after: interval, interval }
    };
    match answer {
        Ok(DeviceAnswer::Granted(granted)) => Heard::Accepted(granted),
        Ok(DeviceAnswer::Pending) => again(interval),
        Ok(DeviceAnswer::SlowDown) => again(interval.saturating_add(SLOWER)),
        Err(ExchangeError::Token(TokenError::Refused { code, description, .. })) => {
            let says =
                description.as_deref().map_or_else(String::new, |text| format!(" {service} says: {text}"));
            match code.as_str() {
                "access_denied" => {
                    let detail = format!("The request was refused at {service}.{says}");
                    Heard::Over(FlowState::Denied, FlowError { code, detail })
                }
                "expired_token" => Heard::Over(FlowState::Expired, expired()),
                _ => {
                    let why = description.map_or_else(String::new, |text| format!(" ({text})"));
                    let detail = format!("{service} answered {code}{why}.");
                    Heard::Over(FlowState::Failed, FlowError { code: "provider_error".to_owned(), detail })
                }
            }
        }
        Err(ExchangeError::Token(TokenError::Passing { retry_after, .. })) => {
            let wait = retry_after.and_then(|wait| i64::try_from(wait).ok()).unwrap_or(0);
            Heard::Later { after: interval.max(wait).clamp(SHORTEST, LONGEST), interval }
        }
        // Nothing is lost by asking once more; less often, as the standard wants it.
        Err(ExchangeError::Egress(
            EgressError::Unresolvable { .. }
            | EgressError::Connect { .. }
            | EgressError::Timeout { .. }
            | EgressError::Lost { .. },
        )) => again(interval.saturating_mul(2)),
        Err(error) => Heard::Over(FlowState::Failed, provider_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> ExchangeError {
        TokenError::Refused { code: code.to_owned(), description: Some("Why.".to_owned()), status: 400 }
            .into()
    }

    fn later(answer: Result<DeviceAnswer, ExchangeError>) -> (i64, i64) {
        match heard(answer, 5, "Acme") {
            Heard::Later { after, interval } => (after, interval),
            _ => panic!("not asked again"),
        }
    }

    #[test]
    fn the_interval_is_the_services_and_grows_when_it_says_so() {
        assert_eq!(later(Ok(DeviceAnswer::Pending)), (5, 5));
        assert_eq!(later(Ok(DeviceAnswer::SlowDown)), (10, 10));
        assert_eq!(later(Err(EgressError::Timeout { sent: true }.into())), (10, 10));
        let passing = |retry_after| TokenError::Passing { status: 503, retry_after };
        assert_eq!(later(Err(passing(None).into())), (5, 5));
        assert_eq!(later(Err(passing(Some(20)).into())), (20, 5));
        assert_eq!(later(Err(passing(Some(99_999)).into())), (LONGEST, 5));
    }

    #[test]
    fn every_refusal_ends_the_flow_in_its_own_way() {
        for (code, state, told) in [
            ("access_denied", FlowState::Denied, "access_denied"),
            ("expired_token", FlowState::Expired, "flow_expired"),
            ("invalid_grant", FlowState::Failed, "provider_error"),
            ("invalid_client", FlowState::Failed, "provider_error"),
        ] {
            let Heard::Over(ended, why) = heard(Err(refused(code)), 5, "Acme") else {
                panic!("{code} goes on")
            };
            assert_eq!((ended, why.code.as_str()), (state, told), "{code}: {}", why.detail);
        }
    }
}
