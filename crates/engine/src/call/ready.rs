//! A call made ready: everything about a connection in an environment for a person that does not change from call to call, kept in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jackfield_core::connector::{Connector, Values};
use jackfield_core::id::{self, Prefix};
use jackfield_core::{
    Action, Code, ConnectionStatus, Environment, Error, KeyScope, Level, Principal, Resource, Result,
    Timestamp, permit,
};
use jackfield_store::{Authorization, Connection};
use tokio::time::Instant;

use crate::Engine;
use crate::call::inject::{Injection, remove_where, strip_answer};
use crate::clock;
use crate::connect::Credential;
use crate::connect::exchange::refresh_from;
use crate::connect::refresh::{Outcome, reauthorization_required};
use crate::govern::keys::Caller;
use crate::govern::plan::Meter;
use crate::hot::Epochs;

/// Organization, connection, environment, member; parted by a character that none of them can hold.
pub(crate) type Place = String;

/// How long a call waits for a refresh while the old token is still good.
const COURTESY: Duration = Duration::from_secs(2);

/// [`Ready`] as a thread has it: shared with the others inside, its uses counted outside, where nobody else counts (`crate::near`).
pub(crate) type ReadyHere = Arc<Arc<Ready>>;

/// What is known about a place.
pub(crate) struct Ready {
    epochs: Epochs,
    pub connection: Connection,
    managed_by_admins: bool,
    /// counts the calls, where the organization's plan limits them
    meter: Option<Arc<Meter>>,
    pub state: State,
}

pub(crate) enum State {
    /// Nobody has authorized it here.
    NotConnected,
    /// It cannot be called as it is configured.
    Misfit(Code, String),
    Callable(Box<Callable>),
}

/// The connector, and what the templates of its operations may ask for: nothing of it is secret.
pub(crate) struct Vocabulary {
    pub connector: Arc<Connector>,
    parameters: BTreeMap<String, String>,
    region: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
}

impl Vocabulary {
    pub fn values(&self) -> Values<'_> {
        Values {
            parameters: Some(&self.parameters),
            region: Some(&self.region),
            attributes: Some(&self.attributes),
            scopes: None,
        }
    }
}

/// A credential, ready to be placed.
pub(crate) struct Callable {
    pub organization: String,
    pub authorization: String,
    pub version: i64,
    pub injection: Injection,
    pub vocabulary: Box<Vocabulary>,
    pub refreshable: bool,
    expires_at: Option<Timestamp>,
    refresh_from: Option<Timestamp>,
    broken: Option<String>,
}

/// Where a call goes and for whom.
pub(crate) struct Addressed<'a> {
    pub connection: &'a str,
    pub environment: Option<&'a str>,
    pub acting_for: Option<&'a str>,
}

impl Ready {
    /// The credential to call with.
    pub fn callable(&self) -> Result<&Callable> {
        match &self.state {
            State::Callable(callable) => Ok(callable),
            State::NotConnected => Err(not_connected(self.connection.level)),
            State::Misfit(code, detail) => Err(Error::new(*code, detail.clone())),
        }
    }
}

pub(crate) fn not_connected(level: Level) -> Error {
    Error::new(
        Code::NotConnected,
        if level == Level::User {
            "This person has not authorized the connection in this environment. He can authorize it under his accounts."
        } else {
            "Nobody has authorized the connection in this environment yet. An admin can authorize it."
        },
    )
}

/// The environment of a call: an application key's own; a person's choice, production unless told.
pub(crate) fn environment_of(principal: &Principal, asked: Option<&str>) -> Result<Environment> {
    let asked = asked
        .map(|word| {
            Environment::parse(word).ok_or_else(|| {
                Error::field(
                    "environment",
                    "invalid",
                    format!("The environment must be {}.", Environment::choices()),
                )
            })
        })
        .transpose()?;
    match principal {
        Principal::Member { .. } => Ok(asked.unwrap_or(Environment::Production)),
        Principal::Application { environment, .. } => match asked {
            Some(other) if other != *environment => Err(Error::new(
                Code::EnvironmentNotAllowed,
                format!("This key belongs to {environment} and cannot reach {other}."),
            )),
            _ => Ok(*environment),
        },
    }
}

/// For whom a call is made, at level `user`.
fn acting_member(principal: &Principal, level: Level, acting_for: Option<&str>) -> Result<String> {
    match principal {
        Principal::Member { id, .. } => match acting_for {
            Some(other) if other != id => Err(Error::new(
                Code::ActingForNotAllowed,
                "A personal key acts for its own member only. Leave acting_for out.",
            )),
            _ => Ok(if level == Level::User { id.clone() } else { String::new() }),
        },
        Principal::Application { scopes, .. } => match (level, acting_for) {
            (_, Some(_)) if !scopes.has(KeyScope::ActFor) => Err(Error::new(
                Code::ActingForNotAllowed,
                "This key lacks the scope `act_for`. Use a key of the application that has it, or leave acting_for out.",
            )),
            (Level::User, None) => Err(Error {
                fields: vec![jackfield_core::FieldError::new(
                    "acting_for",
                    "required",
                    "Say for whom the call is made.",
                )],
                ..Error::new(
                    Code::ActingForRequired,
                    "Each person uses this connection with his own account: say for whom the call is made.",
                )
            }),
            (Level::User, Some(member)) => Ok(member.to_owned()),
            (_, _) => Ok(String::new()),
        },
    }
}

/// Asks [`permit`] whether this caller may use the connection; the member whose binding serves him, empty unless the level is `user`.
fn used_by(
    principal: &Principal,
    connection: &Connection,
    managed_by_admins: bool,
    acting_for: Option<&str>,
) -> Result<String> {
    let (level, applications) = (connection.level, connection.applications.as_slice());
    permit(principal, Action::Use, &Resource::Connection { level, managed_by_admins, applications })?;
    acting_member(principal, level, acting_for)
}

impl Engine {
    /// Everything that a call needs, from memory where it is there. Asks [`permit`] every time.
    pub(crate) async fn ready(
        &self,
        caller: &Caller,
        to: &Addressed<'_>,
    ) -> Result<(ReadyHere, Environment)> {
        let environment = environment_of(&caller.principal, to.environment)?;
        // The connection's level says whose binding it is, and only the connection knows its level: look under both places.
        let member = match &caller.principal {
            Principal::Member { id, .. } => id,
            // Whatever else an application says is nobody's id and has no place.
            Principal::Application { .. } => {
                to.acting_for.filter(|member| id::is(Prefix::Member, member)).unwrap_or("")
            }
        };
        let place = [&*caller.organization, to.connection, environment.as_str(), member].join("\n");
        let near = self.near.ready.get(&place, clock::now()).filter(|ready| ready.epochs.hold());
        let ready = if let Some(ready) = near {
            ready
        } else {
            let known = self.inner.ready.get(&place).filter(|ready| ready.epochs.hold());
            let ready = if let Some(ready) = known {
                ready
            } else {
                // Boxed, since it is rare: the future of each call, which is moved as a whole, would be several times as large.
                let ready = Arc::new(Box::pin(self.make_ready(caller, to, environment)).await?);
                self.inner.ready.insert(place.clone(), Arc::clone(&ready));
                ready
            };
            let ready = Arc::new(ready);
            self.near.ready.put(place, Arc::clone(&ready));
            ready
        };
        used_by(&caller.principal, &ready.connection, ready.managed_by_admins, to.acting_for)?;
        if !ready.connection.enabled {
            return Err(Error::new(
                Code::ConnectionDisabled,
                "The connection is disabled. An admin can enable it.",
            ));
        }
        Ok((ready, environment))
    }

    async fn make_ready(
        &self,
        caller: &Caller,
        to: &Addressed<'_>,
        environment: Environment,
    ) -> Result<Ready> {
        let mut epochs = self.inner.hot.depend(&[&caller.organization]);
        let connection = self.store().connection(&caller.organization, to.connection).await?;
        let connection =
            connection.ok_or_else(|| Error::not_found(format_args!("connection {:?}", to.connection)))?;
        let organization = self.own_organization(&caller.organization).await?;
        let (managed_by_admins, meter) = (organization.managed_by_admins(), self.meter(&organization).await?);
        let member = used_by(&caller.principal, &connection, managed_by_admins, to.acting_for)?;
        if !member.is_empty() && caller.principal.member().is_none() {
            // A key of his own ends with its member; what he has authorized must not outlive him by an application that names him. Whoever
            // deactivates him touches the organization, so that this is asked again.
            let acting = self.store().member(&caller.organization, &member).await?;
            if !acting.is_some_and(|member| member.active) {
                return Err(not_connected(connection.level));
            }
        }
        let bound =
            self.store().binding(&caller.organization, &connection.link_name, environment, &member).await?;
        let state = match bound {
            None => State::NotConnected,
            Some(id) => {
                epochs.and(self.inner.hot.cell(&id));
                match self.store().authorization(&caller.organization, &id).await? {
                    None => State::NotConnected,
                    Some(row) => self.make_callable(&connection, row).await?,
                }
            }
        };
        Ok(Ready { epochs, connection, managed_by_admins, meter, state })
    }

    async fn make_callable(&self, connection: &Connection, row: Authorization) -> Result<State> {
        let ground = self.ground(connection.clone()).await?;
        if let Some(error) = Self::setup_error(&ground, &row.attributes) {
            return Ok(State::Misfit(error.code, error.detail));
        }
        let (credential, bounds) =
            Credential::open(self.keyring(), &row.organization_id, &row.id, &row.credential)?;
        let injection = match Injection::prepare(&ground, &credential, &bounds, &row.attributes) {
            Ok(injection) => injection,
            Err(error) if error.code == Code::Internal => return Err(error),
            Err(error) => return Ok(State::Misfit(error.code, error.detail)),
        };
        let (parameters, region) = ground.plain();
        let vocabulary = Box::new(Vocabulary {
            connector: Arc::clone(&ground.connector),
            parameters,
            region,
            attributes: row.attributes,
        });
        Ok(State::Callable(Box::new(Callable {
            injection,
            vocabulary,
            refreshable: row.refreshable,
            expires_at: row.expires_at,
            refresh_from: row.expires_at.map(|at| refresh_from(row.issued_at, at)),
            broken: (row.status != ConnectionStatus::Connected)
                .then(|| row.reason.unwrap_or_else(|| "it was refused".to_owned())),
            organization: row.organization_id,
            version: row.credential_version,
            authorization: row.id,
        })))
    }

    /// A call whose token is good for it: refreshed where it is time. `deadline` is the caller's.
    pub(crate) async fn fresh(
        &self,
        caller: &Caller,
        to: &Addressed<'_>,
        deadline: Instant,
    ) -> Result<(ReadyHere, Environment)> {
        let (ready, environment) = self.ready(caller, to).await?;
        let callable = ready.callable()?;
        if let Some(reason) = &callable.broken {
            return Err(reauthorization_required(reason));
        }
        let now = clock::now();
        if let Some(meter) = &ready.meter {
            meter.count(now)?;
        }
        let expired = callable.expires_at.is_some_and(|at| at <= now);
        let due = expired || (callable.refreshable && callable.refresh_from.is_some_and(|at| at <= now));
        if !due {
            return Ok((ready, environment));
        }
        let flight = self.refresh(&callable.organization, &callable.authorization, callable.version);
        if expired {
            tokio::time::timeout_at(deadline, flight.wait())
                .await
                .map_err(|_| refresh_timeout())?
                .into_result()?;
        } else {
            // The old token is still good: whoever set the refresh off waits a moment for it, the others go on.
            let patience = (Instant::now() + COURTESY).min(deadline);
            if !flight.leads
                || !matches!(
                    tokio::time::timeout_at(patience, flight.wait()).await,
                    Ok(Outcome::Fresh | Outcome::Broken(_))
                )
            {
                return Ok((ready, environment));
            }
        }
        let (ready, environment) = self.ready(caller, to).await?;
        if let Some(reason) = &ready.callable()?.broken {
            return Err(reauthorization_required(reason));
        }
        Ok((ready, environment))
    }

    /// After a service has refused a token with 401: a newer one, where there can be one. `None`: it stays refused. Where the time is over
    /// before that is known, nobody is told that he is refused: with the token that is on its way he may not be.
    pub(crate) async fn after_refusal(
        &self,
        caller: &Caller,
        to: &Addressed<'_>,
        refused: &Callable,
        deadline: Instant,
    ) -> Result<Option<ReadyHere>> {
        if !refused.refreshable {
            return Ok(None);
        }
        let flight = self.refresh(&refused.organization, &refused.authorization, refused.version);
        match tokio::time::timeout_at(deadline, flight.wait()).await {
            Ok(Outcome::Fresh) => Ok(self.ready(caller, to).await.ok().map(|(ready, _)| ready)),
            Ok(_) => Ok(None),
            Err(_) => Err(refresh_timeout()),
        }
    }
}

fn refresh_timeout() -> Error {
    Error::new(Code::UpstreamTimeout, "The service's token endpoint did not answer in time.")
}

/// Headers of a service's answer that act on the host that passes them on, not on the service's own.
const OWN_ORIGIN: [&str; 7] = [
    "set-cookie",
    "strict-transport-security",
    "public-key-pins",
    "clear-site-data",
    "alt-svc",
    "service-worker-allowed",
    "jackfield-error",
];

/// What of the headers of an answer that is passed on as it comes reaches the caller.
pub(crate) fn pass_on_answer(headers: &mut HeaderMap) {
    strip_answer(headers, &OWN_ORIGIN);
}

/// What of a service's headers reaches the caller.
pub(crate) fn pass_back(headers: &mut HeaderMap) {
    remove_where(headers, |name| OWN_ORIGIN.contains(&name));
}
