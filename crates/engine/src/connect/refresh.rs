//! Refresh: one caller takes the row's lease by compare-and-swap, sends, stores the answer before anybody uses it; everyone else waits for
//! the new version, or goes on with the old token while it is valid.
//!
//! What can be lost, and what is done about it:
//!
//! | what happens | what is done |
//! |---|---|
//! | the store cannot be written | nothing is sent: taking the lease is a write |
//! | nothing was sent (no connection) | nothing is risked; next try soon |
//! | a whole answer that is a passing fault (5xx, 429, HTML…) | the token was not spent; next try within 15 s |
//! | no whole answer (reset, truncated, time-out), or death before the answer was stored | the token may be spent. It is presented once more, promptly: without the answer the old grant is of no use, so nothing is risked |
//! | again no whole answer | it is never presented a third time. After resets the authorization is declared broken; a time-out alone never breaks it |
//! | `invalid_grant` and its kin | `reauthorization_required`, with the service's reason |
//! | the answer cannot be stored | it is kept in memory and storing is tried again; the lease keeps others away |

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jackfield_core::{Code, ConnectionStatus, Error, EventKind, Permit, Result, Timestamp};
use jackfield_oauth::TokenError;
use jackfield_store::{Authorization, Lease, NewCredential};
use jackfield_vault::token;
use secrecy::ExposeSecret;
use tokio::sync::watch;

use crate::Engine;
use crate::call::egress::EgressError;
use crate::clock;
use crate::connect::exchange::{EXCHANGE_TIME, ExchangeError, Granted};
use crate::connect::ground::{Attributes, Ground};
use crate::connect::{Bounds, Credential, exchange};
use crate::govern::audit::{Actor, Event};

/// How long a lease lasts without being renewed: as long as others wait after its holder has died.
const LEASE: Duration = Duration::from_secs(5);
const RENEW: Duration = Duration::from_secs(2);
/// How long the second presentation of a refresh token may take. There is no third, so it is waited for longer than anybody who calls.
const LAST_EXCHANGE_TIME: Duration = Duration::from_mins(1);
/// How often whoever waits for another node looks whether it is done.
const LOOK: Duration = Duration::from_millis(50);
/// Pause after a fault, unless the service says another one.
const PAUSE: Duration = Duration::from_secs(2);
/// No pause is longer, whatever the service says.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long storing a received token is tried before it is given up.
const STORE_TRIES: u32 = 60;
/// Tokens that live shorter are refreshed when a call asks for it, never by the background.
const BACKGROUND_LIFE: Duration = Duration::from_mins(1);

const PERMIT: Permit = Permit::housekeeping("whoever authorized the connection permitted to keep it fresh");

/// How a refresh ended, for everybody who waited for it.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// There is a newer credential than the one that was seen.
    Fresh,
    /// It must be authorized again.
    Broken(String),
    /// Not this time.
    Failed { code: Code, detail: String, retry_after: Option<u64> },
}

impl Outcome {
    /// `Ok` when there is a newer credential.
    pub fn into_result(self) -> Result<()> {
        match self {
            Self::Fresh => Ok(()),
            Self::Broken(reason) => Err(reauthorization_required(&reason)),
            Self::Failed { code, detail, retry_after } => {
                Err(Error { retry_after, ..Error::new(code, detail) })
            }
        }
    }
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        tracing::error!(%error, cause = error.cause.as_ref().map(tracing::field::display), "refresh failed inside");
        Self::Failed { code: error.code, detail: error.detail, retry_after: error.retry_after }
    }
}

/// The error for a connection whose authorization its service, or the version of its connector that it was moved to, no longer accepts.
pub(crate) fn reauthorization_required(reason: &str) -> Error {
    Error::new(
        Code::ReauthorizationRequired,
        format!("The authorization serves no longer ({reason}). Reauthorize the connection."),
    )
}

/// The refreshes that run on this node, one an authorization.
#[derive(Default)]
pub(crate) struct Flights {
    running: Mutex<HashMap<String, watch::Receiver<Option<Outcome>>>>,
}

/// A refresh that is under way on this node.
pub(crate) struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
    /// whether this caller set it off
    pub leads: bool,
}

impl Flight {
    /// How it ends.
    pub async fn wait(mut self) -> Outcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Outcome::Fresh),
            Err(_) => Outcome::Failed {
                code: Code::Unavailable,
                detail: "The refresh was broken off.".to_owned(),
                retry_after: Some(1),
            },
        }
    }
}

/// When the background refreshes a token unasked; `None` where it leaves that to calls.
pub(crate) fn background_at(
    refreshable: bool,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
) -> Option<Timestamp> {
    let expires_at = expires_at.filter(|_| refreshable)?;
    (issued_at.until(expires_at) >= BACKGROUND_LIFE).then(|| exchange::refresh_from(issued_at, expires_at))
}

/// What a presentation of a refresh token came to.
enum Presented {
    Granted(Box<Granted>),
    /// refused for good
    Refused(String),
    /// it was not spent
    Unspent {
        failed: Outcome,
        pause: Duration,
    },
    /// it may have been spent
    Lost {
        timed_out: bool,
        why: String,
    },
}

impl Engine {
    /// Sets off a refresh of the credential whose version was seen, or joins the one that is under way on this node. It goes on even if
    /// nobody waits for it.
    pub(crate) fn refresh(&self, organization: &str, authorization: &str, seen: i64) -> Flight {
        let key = format!("{organization}/{authorization}");
        let mut running = self.inner.refreshes.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = running.get(&key)
            && outcome.has_changed().is_ok()
        {
            return Flight { outcome: outcome.clone(), leads: false };
        }
        let (sender, outcome) = watch::channel(None);
        running.insert(key.clone(), outcome.clone());
        drop(running);
        let engine = self.clone();
        let (organization, authorization) = (organization.to_owned(), authorization.to_owned());
        tokio::spawn(async move {
            let outcome = engine
                .refresh_to_the_end(&organization, &authorization, seen)
                .await
                .unwrap_or_else(Outcome::from);
            // First off the list, then told: whoever comes in between starts anew and finds the newer version in the store.
            engine.inner.refreshes.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            let _ = sender.send(Some(outcome));
        });
        Flight { outcome, leads: true }
    }

    async fn refresh_to_the_end(&self, organization: &str, id: &str, seen: i64) -> Result<Outcome> {
        loop {
            let now = clock::now();
            let Some(row) = self.store().authorization(organization, id).await? else {
                return Ok(Outcome::Failed {
                    code: Code::NotConnected,
                    detail: "The authorization was revoked.".to_owned(),
                    retry_after: None,
                });
            };
            if row.credential_version > seen {
                return Ok(Outcome::Fresh);
            }
            if row.status != ConnectionStatus::Connected {
                return Ok(Outcome::Broken(row.reason.unwrap_or_default()));
            }
            if !row.refreshable {
                let reason = "the access token has expired and the service gave no refresh token";
                return self.break_off(&row, &lease_on(&row), reason).await;
            }
            if row.presented >= 2 {
                return Ok(failed(
                    "The service did not answer two refreshes in time, and a third might spend the token twice. Reauthorize the connection if this stays.",
                    None,
                ));
            }
            if let Some(at) = row.next_attempt_at.filter(|at| *at > now) {
                let why = row.refresh_error.as_deref().unwrap_or("it failed a moment ago");
                return Ok(failed(
                    &format!("The service's token endpoint failed: {why}."),
                    Some(now.until(at)),
                ));
            }
            if row.lease_until.is_some_and(|until| until >= now) {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            let (ground, credential, bounds) = match self.prepare(&row).await {
                Ok(prepared) => prepared,
                Err(error) => return self.postpone(&row, error).await,
            };
            let single_use = matches!(&credential, Credential::OAuth2 { refresh_token: Some(_), .. });
            let lease = lease_on(&row);
            let mut work = self.begin(PERMIT).await?;
            if work.take_lease(&lease, now.plus(LEASE), now, single_use).await? {
                work.commit().await?;
                return self
                    .refresh_under_lease(&row, &lease, &ground, (&credential, &bounds), single_use)
                    .await;
            }
            drop(work);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What a refresh needs, before anything is leased or sent.
    async fn prepare(&self, row: &Authorization) -> Result<(Ground, Credential, Bounds)> {
        let ground = self.ground_of_authorization(row).await?;
        let (credential, bounds) =
            Credential::open(self.keyring(), &row.organization_id, &row.id, &row.credential)?;
        ground.check_endpoints(&bounds, &row.attributes)?;
        Ok((ground, credential, bounds))
    }

    /// What cannot be refreshed as it is configured must not stand first in everybody's queue for ever.
    async fn postpone(&self, row: &Authorization, error: Error) -> Result<Outcome> {
        if error.code == Code::Unavailable {
            return Err(error);
        }
        let now = clock::now();
        let mut work = self.begin(PERMIT).await?;
        work.postpone_refresh(&lease_on(row), now.plus(LONGEST_PAUSE), &error.detail, now).await?;
        work.commit().await?;
        Ok(Outcome::from(error))
    }

    /// The refresh itself. The presentation has been counted.
    async fn refresh_under_lease(
        &self,
        row: &Authorization,
        lease: &Lease,
        ground: &Ground,
        (credential, bounds): (&Credential, &Bounds),
        single_use: bool,
    ) -> Result<Outcome> {
        let mut out = row.presented + i64::from(single_use);
        loop {
            let patience = if out < 2 { EXCHANGE_TIME } else { LAST_EXCHANGE_TIME };
            match self.present(lease, ground, credential, &row.attributes, patience).await {
                Presented::Granted(granted) => return self.keep(row, lease, *granted, bounds).await,
                Presented::Refused(reason) => return self.break_off(row, lease, &reason).await,
                Presented::Unspent { failed, pause } => {
                    return self.give_back(row, lease, out - i64::from(single_use), failed, pause).await;
                }
                Presented::Lost { why, .. } if single_use && out < 2 => {
                    tracing::warn!(
                        authorization = lease.authorization_id,
                        why,
                        "the answer to a refresh was lost; asking once more"
                    );
                    let mut work = self.begin(PERMIT).await?;
                    if !work.present_again(lease, clock::now().plus(LEASE)).await? {
                        return Ok(failed("Another node has taken over the refresh.", Some(PAUSE)));
                    }
                    work.commit().await?;
                    out += 1;
                }
                Presented::Lost { timed_out, why } if timed_out || !single_use => {
                    let outcome =
                        failed(&format!("The service's token endpoint failed: {why}."), Some(PAUSE));
                    return self.give_back(row, lease, out, outcome, PAUSE).await;
                }
                Presented::Lost { why, .. } => {
                    let reason = format!("the service's answers to two refreshes were lost: {why}");
                    return self.break_off(row, lease, &reason).await;
                }
            }
        }
    }

    /// Sends once, renewing the lease as long as it takes.
    async fn present(
        &self,
        lease: &Lease,
        ground: &Ground,
        credential: &Credential,
        attributes: &Attributes,
        patience: Duration,
    ) -> Presented {
        let exchange = self.next_token(ground, credential, attributes, clock::now(), patience);
        tokio::pin!(exchange);
        let mut renew = tokio::time::interval(RENEW);
        renew.tick().await;
        let result = loop {
            tokio::select! {
                result = &mut exchange => break result,
                _ = renew.tick() => {
                    // A lease that cannot be renewed may be lost; what was sent was sent, and its answer is worth having.
                    let renewed: Result<()> = async {
                        let mut work = self.begin(PERMIT).await?;
                        work.renew_lease(lease, clock::now().plus(LEASE)).await?;
                        work.commit().await
                    }.await;
                    if let Err(error) = renewed {
                        tracing::warn!(authorization = lease.authorization_id, %error, "the lease of a refresh could not be renewed");
                    }
                }
            }
        };
        match result {
            Ok(granted) => Presented::Granted(Box::new(granted)),
            Err(error) => sort(error),
        }
    }

    /// Stores what was received, before anybody uses it.
    async fn keep(
        &self,
        row: &Authorization,
        lease: &Lease,
        granted: Granted,
        bounds: &Bounds,
    ) -> Result<Outcome> {
        let new = NewCredential {
            credential: granted.credential.seal(
                bounds,
                self.keyring(),
                &lease.organization_id,
                &lease.authorization_id,
            )?,
            refreshable: granted.refreshable,
            scopes: granted.scopes,
            issued_at: granted.issued_at,
            expires_at: granted.expires_at,
            refresh_at: background_at(granted.refreshable, granted.issued_at, granted.expires_at),
        };
        let mut tries = 0;
        loop {
            let stored: Result<bool> = async {
                let mut work = self.begin(PERMIT).await?;
                let stored = work.store_credential(lease, &new).await?;
                work.touch(&lease.authorization_id);
                if stored {
                    let at = clock::now();
                    work.record(Self::refresh_event(row, EventKind::AuthorizationRefreshed, at));
                    if row.refresh_error.is_some() {
                        work.record(Self::refresh_event(row, EventKind::AuthorizationRecovered, at));
                    }
                }
                work.commit().await?;
                Ok(stored)
            }
            .await;
            match stored {
                Ok(stored) => {
                    let replaced = if stored { "refreshed" } else { "refreshed by somebody else meanwhile" };
                    tracing::info!(
                        authorization = row.id,
                        connector = row.connector,
                        organization = row.organization_id,
                        replaced,
                        "authorization refreshed"
                    );
                    return Ok(Outcome::Fresh);
                }
                Err(error) if tries < STORE_TRIES => {
                    tries += 1;
                    tracing::error!(authorization = row.id, %error, tries, "a received token could not be stored; trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn break_off(&self, row: &Authorization, lease: &Lease, reason: &str) -> Result<Outcome> {
        let mut work = self.begin(PERMIT).await?;
        let now = clock::now();
        let broken = work.break_credential(lease, reason, now).await?;
        work.touch(&lease.authorization_id);
        if broken {
            let event = Self::refresh_event(row, EventKind::ReauthorizationRequired, now);
            work.record(event.with("reason", reason));
        }
        work.commit().await?;
        if !broken {
            // Somebody else has stored a newer credential: what was refused was the old one.
            return Ok(Outcome::Fresh);
        }
        tracing::warn!(
            authorization = lease.authorization_id,
            reason,
            "authorization broken: it must be authorized again"
        );
        Ok(Outcome::Broken(reason.to_owned()))
    }

    async fn give_back(
        &self,
        row: &Authorization,
        lease: &Lease,
        out: i64,
        outcome: Outcome,
        pause: Duration,
    ) -> Result<Outcome> {
        let why = if let Outcome::Failed { detail, .. } = &outcome { detail.as_str() } else { "" };
        let why =
            why.strip_prefix("The service's token endpoint failed: ").unwrap_or(why).trim_end_matches('.');
        let mut work = self.begin(PERMIT).await?;
        let now = clock::now();
        work.release_lease(lease, out, Some(now.plus(pause)), Some(why)).await?;
        // Told once, when it begins, and not at every try.
        if row.refresh_error.is_none() {
            let event = Self::refresh_event(row, EventKind::AuthorizationFailing, now);
            work.record(event.with("reason", why));
        }
        work.commit().await?;
        tracing::warn!(authorization = lease.authorization_id, why, "refresh failed for now");
        Ok(outcome)
    }

    /// Something happened to an authorization in a refresh, which concerns every connection that holds it.
    fn refresh_event(row: &Authorization, kind: EventKind, at: Timestamp) -> Event {
        Event::by(Actor::Jackfield, kind, &row.organization_id, at)
            .of_authorization(&row.id)
            .with("account_name", row.account_name.as_str())
            .with("connector", row.connector.as_str())
    }

    /// The ground of some connection that holds the authorization: they were made with the same parameters.
    pub(crate) async fn ground_of_authorization(&self, row: &Authorization) -> Result<Ground> {
        for holder in self.store().holders(&row.organization_id, &row.id).await? {
            if let Some(connection) = self.store().connection(&row.organization_id, &holder).await? {
                return self.ground(connection).await;
            }
        }
        Err(Error::new(Code::NotConnected, "No connection holds this authorization any more."))
    }
}

/// A lease that nobody has taken yet, on the credential as it was read.
fn lease_on(row: &Authorization) -> Lease {
    Lease {
        organization_id: row.organization_id.clone(),
        authorization_id: row.id.clone(),
        credential_version: row.credential_version,
        holder: token::random_token().expose_secret().to_owned(),
    }
}

fn failed(detail: &str, pause: Option<Duration>) -> Outcome {
    Outcome::Failed {
        code: Code::TokenEndpointFailed,
        detail: detail.to_owned(),
        retry_after: pause.map(|pause| pause.as_secs().max(1)),
    }
}

/// Sorts what went wrong by what it means for the refresh token.
fn sort(error: ExchangeError) -> Presented {
    let pause = match &error {
        ExchangeError::Token(TokenError::Passing { retry_after: Some(seconds), .. }) => {
            Duration::from_secs(*seconds).clamp(Duration::from_secs(1), LONGEST_PAUSE)
        }
        ExchangeError::Token(TokenError::Passing { .. } | TokenError::Unreadable { .. })
        | ExchangeError::Egress(_) => PAUSE,
        // Somebody's mistake in the configuration does not mend itself in seconds.
        ExchangeError::Token(TokenError::Refused { .. }) | ExchangeError::Setup(_) => LONGEST_PAUSE,
    };
    match error {
        ExchangeError::Token(TokenError::Refused { code, description, .. }) if is_final(&code) => {
            Presented::Refused(description.map_or_else(|| code.clone(), |text| format!("{code}: {text}")))
        }
        ExchangeError::Egress(EgressError::Timeout { sent: true }) => {
            Presented::Lost { timed_out: true, why: "no answer in time".to_owned() }
        }
        ExchangeError::Egress(EgressError::Lost { why }) => Presented::Lost { timed_out: false, why },
        other => {
            let error = other.into_error();
            let failed = Outcome::Failed {
                code: error.code,
                detail: error.detail,
                // When the next try comes here, whatever the service said.
                retry_after: Some(pause.as_secs().max(1)),
            };
            Presented::Unspent { failed, pause }
        }
    }
}

/// Whether a refusal is about the refresh token itself. RFC 6749 §5.2 has one code for it, services have more (`bad_refresh_token`,
/// `token_revoked`, `refresh_token_expired`…). Everything else is about the client or the request: the next try may find it mended.
fn is_final(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    if matches!(code.as_str(), "unsupported_grant_type" | "invalid_token_request") {
        return false;
    }
    ["grant", "refresh", "revoked", "expired", "invalid_token", "invalid_code"]
        .iter()
        .any(|word| code.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> ExchangeError {
        TokenError::Refused { code: code.to_owned(), description: None, status: 400 }.into()
    }

    #[test]
    fn only_what_concerns_the_token_breaks_an_authorization() {
        for code in ["invalid_grant", "bad_refresh_token", "token_revoked", "invalid_refresh_token"] {
            assert!(matches!(sort(refused(code)), Presented::Refused(_)), "{code}");
        }
        for code in [
            "invalid_client",
            "unauthorized_client",
            "invalid_request",
            "unsupported_grant_type",
            "invalid_scope",
        ] {
            assert!(matches!(sort(refused(code)), Presented::Unspent { .. }), "{code}");
        }
    }

    #[test]
    fn what_was_not_sent_was_not_spent() {
        let unsent = EgressError::Timeout { sent: false };
        assert!(matches!(sort(unsent.into()), Presented::Unspent { .. }));
        assert!(matches!(
            sort(EgressError::Timeout { sent: true }.into()),
            Presented::Lost { timed_out: true, .. }
        ));
        let lost = EgressError::Lost { why: "reset".to_owned() };
        assert!(matches!(sort(lost.into()), Presented::Lost { timed_out: false, .. }));
    }

    #[test]
    fn a_pause_is_never_longer_than_fifteen_seconds() {
        let passing = TokenError::Passing { status: 503, retry_after: Some(3600) };
        let Presented::Unspent { pause, .. } = sort(passing.into()) else { panic!("spent") };
        assert_eq!(pause, LONGEST_PAUSE);
    }

    #[test]
    fn short_lived_tokens_are_left_to_calls() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert_eq!(background_at(true, at(0), Some(at(59))), None);
        assert_eq!(background_at(false, at(0), Some(at(3600))), None);
        assert_eq!(background_at(true, at(0), Some(at(3600))), Some(at(3480)));
    }
}
