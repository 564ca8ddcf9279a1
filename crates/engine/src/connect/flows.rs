//! Flows: one attempt to authorize by OAuth, alive for 90 seconds.
//!
//! The start link carries a token that only the starter was given; the first browser that opens it gets the flow's cookie and owns the flow.
//! The callback is believed only with that cookie and the state (RFC 6749 §10.12; `OAuth1`: the request token). A valid callback spends the
//! state by compare-and-swap; everything before that changes nothing.

use std::time::Duration;

use jackfield_core::connector::Auth;
use jackfield_core::flow::{FlowState, state_at};
use jackfield_core::id::Prefix;
use jackfield_core::{
    Action, Code, Environment, Error, EventKind, Level, Permit, Resource, Result, Timestamp, permit,
};
use jackfield_oauth::{Callback, TokenError, check_issuer, parse_callback};
use jackfield_store::{Flow, FlowOutcome, Poll};
use jackfield_vault::{Context, token};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::clock::{self, new_id};
use crate::connect::credential::{open_map, seal_map};
use crate::connect::exchange::{ExchangeError, Granted};
use crate::connect::ground::{Attributes, Ground};
use crate::connect::keep::Keep;
use crate::connect::setup::SetupView;
use crate::connect::trial::{TrialStep, Tried, ended_trial, is_trial};
use crate::connect::{Secrets, devices};
use crate::govern::audit::{Actor, Event};
use crate::{Engine, Op};

/// How long whoever exchanges the code may take beyond the flow's life before it counts as dead.
const GRACE: Duration = Duration::from_mins(1);
/// The flow's cookie outlives the flow a little: a late callback should be told that it is late.
const COOKIE_EXTRA: Duration = Duration::from_mins(10);

const STATE: &str = "state";
const VERIFIER: &str = "verifier";
const START: &str = "start";
const REQUEST_TOKEN: &str = "request_token";
const REQUEST_SECRET: &str = "request_secret";
const REQUEST_URL: &str = "request_url";
/// The version of the connector that the connection was on when the flow began.
const VERSION: &str = "connector_version";
/// What a flow of a trial tries.
pub(crate) const TRIAL: &str = "trial";
/// What came of it.
const TRIED: &str = "tried";

const PERMIT: Permit = Permit::housekeeping("the start of the flow was permitted");

/// A flow, as its starter sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FlowView {
    pub id: String,
    /// link name of the connection
    pub connection: String,
    /// `pending`, `authorized`, `denied`, `expired`, `failed`, `cancelled`
    pub state: &'static str,
    /// where a browser goes on; only while the flow is pending
    pub start_url: Option<String>,
    /// for a device code, while the flow is pending: what the person types
    pub user_code: Option<String>,
    /// where he types it
    pub verification_uri: Option<String>,
    /// the same with the code in it, where the service has one
    pub verification_uri_complete: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// id of the authorization that came of it
    pub authorization: Option<String>,
    pub error: Option<FlowError>,
    /// such as `{"code": "different_account"}`
    #[schema(value_type = Vec<Object>)]
    pub warnings: Vec<Value>,
    /// the account name that was given at the start
    pub account_name: Option<String>,
    /// where the authorization is to serve
    pub environments: Vec<Environment>,
    /// id of the authorization that is authorized again
    pub replaces: Option<String>,
    /// of a trial that has ended: its steps, for ten minutes
    pub trial: Option<Vec<TrialStep>>,
}

/// Why a flow ended without an authorization.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FlowError {
    /// `access_denied`, `provider_error`, `issuer_mismatch`, `flow_expired`
    pub code: String,
    pub detail: String,
}

/// What a browser is told at the start link.
pub enum Opened {
    /// to go to the service's page
    Away { redirect: String, cookie: FlowCookie },
    /// what to type there on any screen
    Code(DeviceCode),
    /// how a flow with a device code has ended
    Over(Box<Ended>),
}

/// What a person needs who accepts on another screen.
pub struct DeviceCode {
    pub connection: String,
    pub connector: String,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    pub expires_at: Timestamp,
    pub now: Timestamp,
}

/// What a flow begins with besides what every flow has.
pub(crate) struct Beginning {
    /// what it has to know, sealed
    pub more: Secrets,
    pub life: Duration,
    /// of a device code: when the service is asked
    pub poll: Option<Poll>,
}

/// The cookie that makes a browser the flow's own.
pub struct FlowCookie {
    pub name: String,
    /// absent where the browser has it already
    pub value: Option<SecretString>,
    pub max_age: Duration,
}

/// How a flow ended, for the page that a person sees.
pub struct Ended {
    /// id of the flow
    pub flow: String,
    pub state: FlowState,
    pub connection: String,
    pub connector: String,
    pub account_name: Option<String>,
    pub error: Option<FlowError>,
    pub different_account: bool,
    /// what the person has yet to choose, and the flow by which he can
    pub choice: Option<(String, SetupView)>,
    /// of a trial: what was tried
    pub trial: Option<Tried>,
}

/// Name of a flow's cookie.
#[must_use]
pub fn cookie_name(flow: &str) -> String {
    format!("jackfield_{flow}")
}

fn context<'a>(flow_organization: &'a str, flow: &'a str) -> Context<'a> {
    Context { organization: flow_organization, table: "flows", record: flow, field: "secrets" }
}

pub(super) fn expired() -> FlowError {
    FlowError {
        code: "flow_expired".to_owned(),
        detail: "The time to authorize was over before the service sent you back. Start again.".to_owned(),
    }
}

/// Somebody authorizes a connection that was moved to another version of its connector in between.
pub(super) fn moved_meanwhile() -> Error {
    Error::new(
        Code::StateConflict,
        "The connection was moved to another version of its connector while you were authorizing it. Authorize it again.",
    )
}

impl Engine {
    /// Begins a flow. It is in the store before its link is in the answer: a restart loses no flow.
    pub(crate) async fn begin_flow(
        &self,
        op: &Op,
        permit: Permit,
        ground: &Ground,
        keep: &Keep<'_>,
    ) -> Result<FlowView> {
        let beginning = Beginning { more: Secrets::new(), life: self.settings().flow_ttl, poll: None };
        self.begin_flow_with(op, permit, ground, keep, beginning).await
    }

    /// The same with more that it has to know.
    pub(crate) async fn begin_flow_with(
        &self,
        op: &Op,
        permit: Permit,
        ground: &Ground,
        keep: &Keep<'_>,
        beginning: Beginning,
    ) -> Result<FlowView> {
        let id = new_id(Prefix::Flow, op.now);
        let (state, verifier, start) = (token::random_token(), token::random_token(), token::random_token());
        let digest = |secret: &SecretString| token::digest(secret.expose_secret().as_bytes()).to_vec();
        let (state_digest, start_digest) = (digest(&state), digest(&start));
        let mut secrets = beginning.more;
        secrets.extend([
            (STATE.to_owned(), state),
            (VERIFIER.to_owned(), verifier),
            (START.to_owned(), start),
        ]);
        if let Some(version) = ground.connection.connector_version {
            secrets.insert(VERSION.to_owned(), SecretString::from(version.to_string()));
        }
        let flow = Flow {
            organization_id: op.organization.to_string(),
            connection: ground.connection.link_name.clone(),
            member: keep.owner.to_owned(),
            replaces: keep.replaces.map(str::to_owned),
            account_name: keep.account_name.map(str::to_owned),
            environments: keep.environments.to_vec(),
            scopes: keep.requested.to_vec(),
            state: FlowState::Pending,
            start_digest,
            state_digest,
            browser_digest: None,
            secrets: seal_map(self.keyring(), &context(&op.organization, &id), &secrets)?,
            created_at: op.now,
            expires_at: op.now.plus(beginning.life),
            authorization_id: None,
            error_code: None,
            error_detail: None,
            warnings: Vec::new(),
            poll: beginning.poll,
            id,
        };
        let view = self.flow_view(&flow, op.now)?;
        let mut work = self.begin(permit).await?;
        work.insert_flow(&flow).await?;
        work.answer(op, 202, &json!({ "flow": view })).await?;
        work.commit().await?;
        Ok(view)
    }

    pub(super) fn flow_secrets(&self, flow: &Flow) -> Result<Secrets> {
        open_map(self.keyring(), &context(&flow.organization_id, &flow.id), &flow.secrets)
    }

    fn flow_view(&self, flow: &Flow, now: Timestamp) -> Result<FlowView> {
        let state = state_at(flow.state, flow.expires_at, now, GRACE);
        let secrets = if state == FlowState::Pending { self.flow_secrets(flow)? } else { Secrets::new() };
        let start_url = secrets.get(START).map(|start| {
            let token = start.expose_secret();
            format!("{}/flows/{}/start?token={token}", self.settings().public_url, flow.id)
        });
        let told = |name: &str| secrets.get(name).map(|value| value.expose_secret().to_owned());
        let error = match (state, &flow.error_code) {
            (FlowState::Expired, None) => Some(expired()),
            (FlowState::Failed, None) => Some(FlowError {
                code: "provider_error".to_owned(),
                detail: "Jackfield was stopped while it exchanged the code. Start again.".to_owned(),
            }),
            (_, code) => code.as_ref().map(|code| FlowError {
                code: code.clone(),
                detail: flow.error_detail.clone().unwrap_or_default(),
            }),
        };
        Ok(FlowView {
            id: flow.id.clone(),
            connection: flow.connection.clone(),
            state: state.shown(),
            start_url,
            user_code: told(devices::USER_CODE),
            verification_uri: told(devices::VERIFICATION_URI),
            verification_uri_complete: told(devices::VERIFICATION_URI_COMPLETE),
            created_at: flow.created_at,
            expires_at: flow.expires_at,
            authorization: flow.authorization_id.clone(),
            error,
            warnings: flow.warnings.clone(),
            account_name: flow.account_name.clone(),
            environments: flow.environments.clone(),
            replaces: flow.replaces.clone(),
            trial: self.tried_in(flow, state, now)?,
        })
    }

    /// What came of the trial whose flow it was.
    fn tried_in(&self, flow: &Flow, state: FlowState, now: Timestamp) -> Result<Option<Vec<TrialStep>>> {
        if !is_trial(flow) || !state.is_final() || now > flow.expires_at.plus(COOKIE_EXTRA) {
            return Ok(None);
        }
        let secrets = self.flow_secrets(flow)?;
        let steps = secrets.get(TRIED).map(|steps| serde_json::from_str(steps.expose_secret()));
        steps.transpose().map_err(Error::internal)
    }

    /// Ends the flow of a trial. What was typed for it goes; what came of it stays sealed, for whoever began it in a terminal.
    async fn end_trial(&self, flow: &Flow, step: (FlowState, FlowState), tried: &Tried) -> Result<()> {
        let steps = serde_json::to_string(&tried.steps).map_err(Error::internal)?;
        let secrets: Secrets = [(TRIED.to_owned(), SecretString::from(steps))].into();
        let sealed = seal_map(self.keyring(), &context(&flow.organization_id, &flow.id), &secrets)?;
        let mut work = self.begin(PERMIT).await?;
        work.put_flow_secrets(&flow.organization_id, &flow.id, &sealed).await?;
        if !step.0.is_final() {
            let outcome = FlowOutcome::default();
            work.end_flow(&flow.organization_id, &flow.id, step, &outcome, clock::now()).await?;
        }
        work.commit().await
    }

    /// The flow, if the caller started it; nobody else may know it.
    async fn own_flow(&self, op: &Op, id: &str) -> Result<Flow> {
        let flow = self.store().flow(id).await?;
        flow.filter(|f| f.organization_id == *op.organization && op.principal.member() == Some(&f.member))
            .ok_or_else(|| Error::not_found(format_args!("flow {id:?}")))
    }

    pub async fn read_flow(&self, op: &Op, id: &str) -> Result<FlowView> {
        let flow = self.own_flow(op, id).await?;
        self.flow_view(&flow, op.now)
    }

    /// Cancels a pending flow. One that is over stays as it is.
    pub async fn cancel_flow(&self, op: &Op, id: &str) -> Result<FlowView> {
        let flow = self.own_flow(op, id).await?;
        let own = Resource::Authorization { level: Level::User, owner: &flow.member };
        let permit = permit(&op.principal, Action::Authorize, &own)?;
        let state = state_at(flow.state, flow.expires_at, op.now, GRACE);
        if !state.may_become(FlowState::Cancelled) {
            return Err(jackfield_core::flow::advance(state, FlowState::Cancelled)
                .err()
                .unwrap_or_else(|| over(state)));
        }
        let mut work = self.begin(permit).await?;
        let step = (FlowState::Pending, FlowState::Cancelled);
        let ended = work.end_flow(&flow.organization_id, id, step, &FlowOutcome::default(), op.now).await?;
        work.record(
            op.event(EventKind::FlowEnded).on_connection(&flow.connection).to(id).with("state", "cancelled"),
        );
        work.commit().await?;
        if !ended {
            return Err(over(FlowState::Exchanging));
        }
        self.read_flow(op, id).await
    }

    /// A browser opens the start link. The first one owns the flow; opened again there it goes on, elsewhere it is refused.
    pub async fn open_flow(&self, id: &str, token_given: &str, cookie: Option<&str>) -> Result<Opened> {
        let now = clock::now();
        let unknown = || {
            Error::new(
                Code::NotFound,
                "This link is not valid. Ask for a new one where you started to authorize.",
            )
        };
        let mut flow = self.store().flow(id).await?.ok_or_else(unknown)?;
        if !token::constant_time_eq(&token::digest(token_given.as_bytes()), &flow.start_digest) {
            return Err(unknown());
        }
        if devices::is_device(&flow) {
            return self.open_device(flow, now).await;
        }
        match state_at(flow.state, flow.expires_at, now, GRACE) {
            FlowState::Pending => {}
            FlowState::Expired => {
                return Err(Error::new(
                    Code::FlowExpired,
                    "The time to authorize is over. Start again where you came from.",
                ));
            }
            state => return Err(over(state)),
        }
        let value = self.own_by_browser(&mut flow, cookie).await?;
        let ground = self.flow_ground(&flow).await?;
        let secrets = self.flow_secrets(&flow)?;
        let redirect = if let Auth::OAuth1(_) = &ground.connector.auth {
            self.open_oauth1(&flow, &ground, secrets, now).await
        } else {
            let secret = |name| secrets.get(name).map_or("", |s| s.expose_secret());
            self.authorize_url(&ground, secret(STATE), secret(VERIFIER), &flow.scopes, now).await
        };
        match redirect {
            Ok(redirect) => {
                let max_age = now.until(flow.expires_at) + COOKIE_EXTRA;
                Ok(Opened::Away { redirect, cookie: FlowCookie { name: cookie_name(id), value, max_age } })
            }
            Err(error) => {
                let why = provider_error(error);
                tracing::warn!(flow = id, why = why.detail, "the service could not be asked to authorize");
                self.end(&flow, (FlowState::Pending, FlowState::Failed), &why, now).await?;
                Err(Error::new(
                    Code::StateConflict,
                    format!("{} Start again where you came from.", why.detail),
                ))
            }
        }
    }

    /// The page of a device code. It may be open in several browsers: whoever knows the link may type the code anyway, and nothing comes
    /// back by a browser.
    async fn open_device(&self, flow: Flow, now: Timestamp) -> Result<Opened> {
        let view = self.flow_view(&flow, now)?;
        let ground = self.flow_ground(&flow).await?;
        if let (Some(user_code), Some(verification_uri)) = (view.user_code, view.verification_uri) {
            return Ok(Opened::Code(DeviceCode {
                connection: ground.connection.name.clone(),
                connector: ground.connector.name.clone(),
                user_code,
                verification_uri,
                verification_uri_complete: view.verification_uri_complete,
                expires_at: flow.expires_at,
                now,
            }));
        }
        let state = state_at(flow.state, flow.expires_at, now, GRACE);
        if !state.is_final() {
            return Err(over(state));
        }
        let mut ended = ended(&flow, &ground, state, view.error);
        if let Some(id) = &flow.authorization_id {
            let row = self.store().authorization(&flow.organization_id, id).await?;
            ended.account_name = row.map(|row| row.account_name).or(ended.account_name);
        }
        ended.different_account = !flow.warnings.is_empty();
        Ok(Opened::Over(Box::new(ended)))
    }

    /// Makes the first browser the owner, or recognizes it. `None`: it has the cookie already.
    async fn own_by_browser(&self, flow: &mut Flow, cookie: Option<&str>) -> Result<Option<SecretString>> {
        let other = || {
            Error::new(
                Code::Forbidden,
                "This link was opened in another browser already. Go on there, or start again.",
            )
        };
        if flow.browser_digest.is_none() {
            let fresh = token::random_token();
            let digest = token::digest(fresh.expose_secret().as_bytes());
            let mut work = self.begin(PERMIT).await?;
            let claimed = work.claim_flow_for_browser(&flow.organization_id, &flow.id, &digest).await?;
            work.commit().await?;
            if claimed {
                flow.browser_digest = Some(digest.to_vec());
                return Ok(Some(fresh));
            }
            return Err(other());
        }
        if is_own_browser(flow, cookie) { Ok(None) } else { Err(other()) }
    }

    async fn open_oauth1(
        &self,
        flow: &Flow,
        ground: &Ground,
        mut secrets: Secrets,
        now: Timestamp,
    ) -> Result<String, ExchangeError> {
        if let Some(url) = secrets.get(REQUEST_URL) {
            return Ok(url.expose_secret().to_owned());
        }
        let (request, url) = self.request_token(ground, &flow.scopes, now).await?;
        let digest = token::digest(request.token.as_bytes());
        secrets.insert(REQUEST_TOKEN.to_owned(), SecretString::from(request.token));
        secrets.insert(REQUEST_SECRET.to_owned(), request.secret);
        secrets.insert(REQUEST_URL.to_owned(), SecretString::from(url.as_str()));
        let sealed = seal_map(self.keyring(), &context(&flow.organization_id, &flow.id), &secrets)?;
        let mut work = self.begin(PERMIT).await?;
        work.set_request_token(&flow.organization_id, &flow.id, &digest, &sealed)
            .await
            .map_err(Error::from)?;
        work.commit().await?;
        Ok(url)
    }

    pub(super) async fn flow_ground(&self, flow: &Flow) -> Result<Ground> {
        if is_trial(flow) {
            return self.trial_ground(flow, &self.flow_secrets(flow)?).await;
        }
        let connection = self.store().connection(&flow.organization_id, &flow.connection).await?;
        let connection = connection.ok_or_else(|| {
            Error::new(Code::StateConflict, "The connection was deleted while you were authorizing it.")
        })?;
        // What the service answers was asked for by the other version, and is not for this one's endpoints.
        if !flow.state.is_final()
            && let Some(begun) = self.flow_secrets(flow)?.get(VERSION)
            && connection.connector_version.map(|version| version.to_string()).as_deref()
                != Some(begun.expose_secret())
        {
            return Err(moved_meanwhile());
        }
        self.ground(connection).await
    }

    /// The service sends the browser back. `cookie` gives the value of a cookie by its name.
    ///
    /// `Ok` for every flow that ends here, whichever way; `Err` where the callback is not believed and nothing has changed, or comes too
    /// late.
    pub async fn callback(&self, query: &str, cookie: impl Fn(&str) -> Option<String>) -> Result<Ended> {
        let now = clock::now();
        let callback = parse_callback(query);
        if callback.fault.is_some() {
            return Err(Error::new(
                Code::InvalidRequest,
                "The service's answer cannot be read. Nothing has changed.",
            ));
        }
        let disbelieved = || {
            Error::new(
                Code::InvalidRequest,
                "This answer belongs to no authorization that was started in this browser. Nothing has changed.",
            )
        };
        let word = callback.state.as_ref().or(callback.oauth_token.as_ref()).or(callback.denied.as_ref());
        let word = word.ok_or_else(disbelieved)?;
        let flow =
            self.store().flow_by_state(&token::digest(word.as_bytes())).await?.ok_or_else(disbelieved)?;
        if !is_own_browser(&flow, cookie(&cookie_name(&flow.id)).as_deref()) {
            return Err(disbelieved());
        }
        let ground = self.flow_ground(&flow).await?;
        match state_at(flow.state, flow.expires_at, now, GRACE) {
            FlowState::Pending => {}
            FlowState::Expired => {
                if flow.state == FlowState::Pending {
                    self.end(&flow, (FlowState::Pending, FlowState::Expired), &expired(), now).await?;
                }
                return Err(Error::new(Code::FlowExpired, expired().detail));
            }
            state => return Err(over(state)),
        }
        if let Some((state, why)) = refusal(&ground, &callback)? {
            if !self.end(&flow, (FlowState::Pending, state), &why, now).await? {
                return Err(over(FlowState::Exchanging));
            }
            let mut ended = ended(&flow, &ground, state, Some(why));
            if let Some(why) = ended.error.as_ref().filter(|_| is_trial(&flow)) {
                let tried = ended_trial(&ground, &self.redirect_uri(), why);
                self.end_trial(&flow, (state, state), &tried).await?;
                ended.trial = Some(tried);
            }
            return Ok(ended);
        }
        // The state is spent here, before the code is: whoever comes second finds it spent.
        let mut work = self.begin(PERMIT).await?;
        let claimed = work
            .move_flow(&flow.organization_id, &flow.id, FlowState::Pending, FlowState::Exchanging)
            .await?;
        work.commit().await?;
        if !claimed {
            return Err(over(FlowState::Exchanging));
        }
        if is_trial(&flow) {
            let tried = self.finish_trial(&flow, &ground, &callback).await;
            self.end_trial(&flow, (FlowState::Exchanging, FlowState::Authorized), &tried).await?;
            let mut ended = ended(&flow, &ground, FlowState::Authorized, None);
            ended.trial = Some(tried);
            return Ok(ended);
        }
        match self.finish(&flow, &ground, &callback).await {
            Ok(ended) => Ok(ended),
            Err(why) => {
                self.fail_flow(&flow, &ground, &why).await?;
                Ok(ended(&flow, &ground, FlowState::Failed, Some(why)))
            }
        }
    }

    /// What was exchanged came to nothing: the log says so, and the flow.
    pub(super) async fn fail_flow(&self, flow: &Flow, ground: &Ground, why: &FlowError) -> Result<()> {
        tracing::warn!(
            flow = flow.id,
            connector = ground.connection.connector,
            code = why.code,
            why = why.detail,
            "flow failed"
        );
        self.end(flow, (FlowState::Exchanging, FlowState::Failed), why, clock::now()).await.map(drop)
    }

    /// What the service grants to whoever came back. Outside stands what failed here, inside what failed there.
    pub(super) async fn granted_by(
        &self,
        flow: &Flow,
        ground: &Ground,
        callback: &Callback,
    ) -> Result<Result<Granted, ExchangeError>, FlowError> {
        let now = clock::now();
        let secrets = self.flow_secrets(flow).map_err(|error| failed_inside(flow, &error))?;
        let mut kept = Attributes::new();
        let names: &[String] = match &ground.connector.auth {
            Auth::OAuth2Code(auth) => &auth.callback_parameters,
            Auth::OAuth1(auth) => &auth.callback_parameters,
            _ => &[],
        };
        for name in names {
            if let Some(value) = callback.other(name) {
                kept.insert(format!("callback.{name}"), value.chars().take(500).collect());
            }
        }
        let exchanged = match (&callback.code, &callback.oauth_token) {
            (Some(code), _) => {
                let verifier = match &ground.connector.auth {
                    Auth::OAuth2Code(auth) if auth.pkce => {
                        secrets.get(VERIFIER).map(ExposeSecret::expose_secret)
                    }
                    _ => None,
                };
                self.exchange_code(ground, code, verifier, &kept, now).await
            }
            (None, Some(request_token)) => match (secrets.get(REQUEST_SECRET), &callback.oauth_verifier) {
                (Some(secret), Some(verifier)) => {
                    self.access_token(ground, request_token, secret, verifier, now).await
                }
                _ => {
                    Err(Error::new(Code::StateConflict, "The service sent you back without a verifier.")
                        .into())
                }
            },
            (None, None) => Err(Error::new(Code::StateConflict, "There is no code.").into()),
        };
        Ok(exchanged.map(|mut granted| {
            granted.attributes.extend(kept);
            granted
        }))
    }

    async fn finish(&self, flow: &Flow, ground: &Ground, callback: &Callback) -> Result<Ended, FlowError> {
        let granted = self.granted_by(flow, ground, callback).await?.map_err(provider_error)?;
        self.finish_with(flow, ground, granted).await
    }

    /// Proves and keeps what was granted, in the transaction that ends the flow.
    pub(super) async fn finish_with(
        &self,
        flow: &Flow,
        ground: &Ground,
        granted: Granted,
    ) -> Result<Ended, FlowError> {
        let inner = |error: Error| failed_inside(flow, &error);
        let refused = |error: Error| FlowError { code: "provider_error".to_owned(), detail: error.detail };
        let keep = Keep {
            owner: &flow.member,
            account_name: flow.account_name.as_deref(),
            name_is_firm: false,
            environments: &flow.environments,
            requested: &flow.scopes,
            replaces: flow.replaces.as_deref(),
        };
        let proven = self.proven(ground, granted, &keep).await.map_err(refused)?;
        let now = clock::now();
        let mut work = self.begin(PERMIT).await.map_err(inner)?;
        let kept = self.keep_grant(&mut work, ground, proven, &keep, now).await.map_err(inner)?;
        let event = Event::by(Actor::Member(flow.member.clone()), kept.kind(), &flow.organization_id, now)
            .with("flow", flow.id.as_str());
        work.record(kept.event(event, ground));
        let warnings =
            if kept.different_account { vec![json!({"code": "different_account"})] } else { Vec::new() };
        let outcome = FlowOutcome {
            authorization_id: Some(kept.authorization.id.clone()),
            warnings,
            ..FlowOutcome::default()
        };
        let step = (FlowState::Exchanging, FlowState::Authorized);
        let moved = work.end_flow(&flow.organization_id, &flow.id, step, &outcome, now).await;
        if !moved.map_err(|error| inner(error.into()))? {
            return Err(FlowError {
                code: "provider_error".to_owned(),
                detail: "The flow was ended while the code was exchanged. Start again.".to_owned(),
            });
        }
        work.commit().await.map_err(inner)?;
        tracing::info!(
            flow = flow.id,
            authorization = kept.authorization.id,
            connector = ground.connection.connector,
            "authorized"
        );
        self.revoke_orphans(ground, kept.orphans, now).await;
        let mut ended = ended(flow, ground, FlowState::Authorized, None);
        let choice = self.open_choice(ground.connection.clone(), &kept.authorization).await;
        ended.choice = choice.map(|choice| (flow.id.clone(), choice));
        ended.account_name = Some(kept.authorization.account_name);
        ended.different_account = kept.different_account;
        Ok(ended)
    }

    /// The person chooses on the last page of his flow, in the browser that began it, while its cookie lives.
    pub async fn choose_in_flow(
        &self,
        id: &str,
        step: &str,
        value: &str,
        cookie: Option<&str>,
    ) -> Result<Ended> {
        let now = clock::now();
        let unknown = || {
            Error::new(
                Code::NotFound,
                "This choice is not open here any more. Choose it at the authorization.",
            )
        };
        let flow = self.store().flow(id).await?.ok_or_else(unknown)?;
        let open = flow.state == FlowState::Authorized && now <= flow.expires_at.plus(COOKIE_EXTRA);
        let Some(authorization) =
            flow.authorization_id.clone().filter(|_| open && is_own_browser(&flow, cookie))
        else {
            return Err(unknown());
        };
        let ground = self.flow_ground(&flow).await?;
        let row = self.store().authorization(&flow.organization_id, &authorization).await?;
        // Once it is chosen it is changed where the authorization is managed, not by going back in a browser.
        row.filter(|row| row.setup_pending).ok_or_else(unknown)?;
        let event = Event::by(
            Actor::Member(flow.member.clone()),
            EventKind::AuthorizationSetUp,
            &flow.organization_id,
            now,
        );
        let connection = ground.connection.clone();
        self.choose(PERMIT, connection, &authorization, step, value, event.with("flow", id)).await?;
        let row =
            self.store().authorization(&flow.organization_id, &authorization).await?.ok_or_else(unknown)?;
        let mut ended = ended(&flow, &ground, FlowState::Authorized, None);
        let choice = self.open_choice(ground.connection.clone(), &row).await;
        ended.choice = choice.map(|choice| (flow.id.clone(), choice));
        ended.account_name = Some(row.account_name);
        ended.different_account = !flow.warnings.is_empty();
        Ok(ended)
    }

    pub(super) async fn end(
        &self,
        flow: &Flow,
        step: (FlowState, FlowState),
        why: &FlowError,
        now: Timestamp,
    ) -> Result<bool> {
        let outcome = FlowOutcome {
            error_code: Some(why.code.clone()),
            error_detail: Some(why.detail.clone()),
            ..FlowOutcome::default()
        };
        let mut work = self.begin(PERMIT).await?;
        let ended = work.end_flow(&flow.organization_id, &flow.id, step, &outcome, now).await?;
        if ended {
            let actor = Actor::Member(flow.member.clone());
            let event = Event::by(actor, EventKind::FlowEnded, &flow.organization_id, now);
            // A trial is of no connection.
            let event = if is_trial(flow) { event } else { event.on_connection(&flow.connection) };
            work.record(event.to(&flow.id).with("state", step.1.shown()).with("code", why.code.as_str()));
        }
        work.commit().await?;
        Ok(ended)
    }
}

/// Something that is not the service's fault.
fn failed_inside(flow: &Flow, error: &Error) -> FlowError {
    tracing::error!(flow = flow.id, %error, cause = error.cause.as_ref().map(tracing::field::display), "flow failed inside");
    FlowError { code: "provider_error".to_owned(), detail: error.detail.clone() }
}

fn is_own_browser(flow: &Flow, cookie: Option<&str>) -> bool {
    match (&flow.browser_digest, cookie) {
        (Some(digest), Some(cookie)) => token::constant_time_eq(digest, &token::digest(cookie.as_bytes())),
        _ => false,
    }
}

fn over(state: FlowState) -> Error {
    let detail = match state {
        FlowState::Authorized => "This was authorized already. You can close this window.",
        FlowState::Denied => "This was refused already. Start again where you came from.",
        FlowState::Expired => "The time to authorize is over. Start again where you came from.",
        FlowState::Cancelled => "This was cancelled. Start again where you came from.",
        FlowState::Pending | FlowState::Exchanging => "The service's answer is being worked on already.",
        FlowState::Failed => "This failed already. Start again where you came from.",
    };
    Error::new(Code::StateConflict, detail)
}

/// An exchange that failed, in the words of a flow.
pub(super) fn provider_error(error: ExchangeError) -> FlowError {
    let detail = match error {
        ExchangeError::Token(TokenError::Refused { code, description, .. }) => {
            let why = description.map_or_else(String::new, |text| format!(" ({text})"));
            format!("The service answered {code}{why}.")
        }
        ExchangeError::Token(other) => format!("The service's token endpoint failed: {other}."),
        ExchangeError::Egress(error) => format!("The service's token endpoint failed: {error}."),
        ExchangeError::Setup(error) => error.detail,
    };
    FlowError { code: "provider_error".to_owned(), detail }
}

/// Whether the callback itself says that nothing comes of it.
fn refusal(ground: &Ground, callback: &Callback) -> Result<Option<(FlowState, FlowError)>> {
    let error = |code: &str, detail: String| FlowError { code: code.to_owned(), detail };
    let service = &ground.connector.name;
    if let Auth::OAuth2Code(auth) = &ground.connector.auth
        && let Some(issuer) = &auth.issuer
    {
        let expected = ground.url(issuer, &Attributes::new())?;
        if check_issuer(Some(&expected), callback.iss.as_deref()).is_err() {
            let detail = format!(
                "The answer does not come from {service}: its issuer is missing or another one. Nothing was sent to it."
            );
            return Ok(Some((FlowState::Failed, error("issuer_mismatch", detail))));
        }
    }
    if callback.denied.is_some() || callback.error.as_deref() == Some("access_denied") {
        let why = callback
            .error_description
            .as_deref()
            .map_or_else(String::new, |text| format!(" {service} says: {text}"));
        let detail = format!("The request was refused at {service}.{why}");
        return Ok(Some((FlowState::Denied, error("access_denied", detail))));
    }
    if let Some(code) = &callback.error {
        let why = callback.error_description.as_deref().map_or_else(String::new, |text| format!(" ({text})"));
        return Ok(Some((
            FlowState::Failed,
            error("provider_error", format!("{service} answered {code}{why}.")),
        )));
    }
    if callback.code.is_none() && callback.oauth_token.is_none() {
        let detail = format!("{service} sent you back without a code.");
        return Ok(Some((FlowState::Failed, error("provider_error", detail))));
    }
    Ok(None)
}

fn ended(flow: &Flow, ground: &Ground, state: FlowState, error: Option<FlowError>) -> Ended {
    Ended {
        flow: flow.id.clone(),
        state,
        connection: ground.connection.name.clone(),
        connector: ground.connector.name.clone(),
        account_name: flow.account_name.clone(),
        error,
        different_account: false,
        choice: None,
        trial: None,
    }
}
