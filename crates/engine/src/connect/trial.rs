//! A trial: a custom connector as it would be used, before anybody uses it. The same functions through the same door, and what went through
//! it is shown, its secrets masked. Nothing is kept, neither what was typed nor what the service granted.
//!
//! Where a person accepts at the service, the trial is a flow like others, but of no connection: what it needs travels sealed in the flow.

mod mask;

use std::collections::BTreeMap;

use jackfield_core::connector::{
    self, Auth, ClientAuthentication, Connector, IdentitySource, Source, placements,
};
use jackfield_core::{
    Action, Environment, Error, FieldError, Level, Permit, Resource, Result, Timestamp, permit,
};
use jackfield_oauth::{Callback, TokenError};
use jackfield_store::{Connection, Flow};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::call::egress::{Seen, Watch};
use crate::connect::authorizations::typed;
use crate::connect::connectors::own_document;
use crate::connect::credential::Secrets;
use crate::connect::exchange::{DeviceAnswer, EXCHANGE_TIME, ExchangeError, Granted};
use crate::connect::flows::{Beginning, FlowError, FlowView, TRIAL};
use crate::connect::ground::{Attributes, Ground};
use crate::connect::keep::Keep;
use crate::connect::prove::{rendered, waits};
use crate::connect::{Credential, connections};
use crate::{Engine, Op};
use mask::Mask;

pub use crate::call::concealed::HIDDEN;

/// The made-up code with which a token endpoint is asked what it says to a code that it never gave.
const NO_CODE: &str = "a-code-that-jackfield-made-up";

/// What a connector is tried with: what a connection and an authorization of it would be given.
#[derive(Default)]
pub struct Trial {
    pub parameters: Map<String, Value>,
    pub credentials: Map<String, Value>,
    /// the connector's default scopes unless given
    pub scopes: Option<Vec<String>>,
}

/// What is to be tried: a document, or a connector of the organization's own by its link name.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialOf {
    /// a connector document, which is not kept
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
    /// link name of a custom connector
    pub connector: Option<String>,
    /// what a connection of it would be given
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// what an authorization would be given
    #[serde(default)]
    #[schema(value_type = Object)]
    pub credentials: Map<String, Value>,
    /// the connector's default scopes unless given
    pub scopes: Option<Vec<String>>,
}

/// What is tried, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialKind {
    /// where a person accepts
    Authorize,
    /// a token is asked for
    Token,
    /// the connector's test operation
    Test,
    /// whose account it is
    Identity,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    Passed,
    Failed,
    /// a person has to look at it
    Unsure,
    /// there was nothing to try
    Skipped,
}

/// A request as it was sent, secrets masked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialRequest {
    pub method: String,
    pub url: String,
    /// names and values
    #[schema(value_type = Vec<Vec<String>>)]
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What came back, secrets masked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialAnswer {
    pub status: u16,
    /// names and values of those that tell what is wrong
    #[schema(value_type = Vec<Vec<String>>)]
    pub headers: Vec<(String, String)>,
    /// its beginning
    pub body: String,
    /// whether more came than is shown
    pub cut: bool,
    pub millis: u64,
}

/// One step of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialStep {
    pub kind: TrialKind,
    pub outcome: TrialOutcome,
    /// what it means, in plain words
    pub words: String,
    pub request: Option<TrialRequest>,
    pub answer: Option<TrialAnswer>,
}

/// What came of a trial.
#[derive(Serialize, ToSchema)]
pub struct Tried {
    /// link name of the connector; empty for a document that is not kept
    pub connector: String,
    pub name: String,
    pub steps: Vec<TrialStep>,
    /// where a person accepts at the service, and the rest is tried when he has come back
    pub flow: Option<FlowView>,
}

/// What travels sealed in the flow of a trial.
#[derive(Serialize, Deserialize)]
struct Packed {
    connector: String,
    /// where it is no connector of the organization's
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
    parameters: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    scopes: Vec<String>,
}

/// Whether a flow belongs to a trial.
pub(crate) fn is_trial(flow: &Flow) -> bool {
    flow.connection.is_empty()
}

/// A trial that goes on: an engine whose exchanges are seen, and what is known so far.
struct Bench<'a> {
    engine: Engine,
    watch: Watch,
    ground: &'a Ground,
    mask: Mask,
    steps: Vec<TrialStep>,
}

impl Engine {
    /// Tries a custom connector, a draft too. Where a person has to accept, what can be tried without him is, and a flow begins.
    pub async fn try_connector(&self, op: &Op, link_name: &str, trial: Trial) -> Result<Tried> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let connector = own_document(&self.own_connector(op, link_name).await?)?;
        self.try_document(op, permit, (connector, None), link_name, trial).await
    }

    /// The same for a document that is nowhere yet, or a connector by its name.
    pub async fn try_given(&self, op: &Op, of: TrialOf) -> Result<Tried> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let trial = Trial { parameters: of.parameters, credentials: of.credentials, scopes: of.scopes };
        // What is tried is kept nowhere, and so no answer is kept either.
        let op = &Op { idempotency: None, ..op.clone() };
        match (of.document, of.connector) {
            (Some(document), None) => {
                let connector = Connector::from_json(document.clone()).map_err(|errors| {
                    let inside = |field: FieldError| FieldError {
                        field: if field.field.is_empty() {
                            "document".to_owned()
                        } else {
                            format!("document.{}", field.field)
                        },
                        ..field
                    };
                    Error::invalid(errors.into_iter().map(inside).collect())
                })?;
                self.try_document(op, permit, (connector, Some(document)), "", trial).await
            }
            (None, Some(link_name)) => {
                let connector = own_document(&self.own_connector(op, &link_name).await?)?;
                self.try_document(op, permit, (connector, None), &link_name, trial).await
            }
            _ => Err(Error::field(
                "document",
                "required",
                "Give either a document or the name of a connector.",
            )),
        }
    }

    async fn try_document(
        &self,
        op: &Op,
        permit: Permit,
        (connector, document): (Connector, Option<Value>),
        link_name: &str,
        trial: Trial,
    ) -> Result<Tried> {
        let organization = self.own_organization(&op.organization).await?;
        let owner = op.member()?.to_owned();
        let scopes = trial.scopes.unwrap_or_else(|| connections::default_scopes(&connector));
        let mut wrong = connector::check_scopes(&connector, &scopes).err().unwrap_or_default();
        let parameters = connector::check_connection_parameters(&connector, &trial.parameters);
        wrong.extend(parameters.as_ref().err().cloned().unwrap_or_default());
        let fields = connector::check_credentials(&connector, &trial.credentials);
        wrong.extend(fields.as_ref().err().cloned().unwrap_or_default());
        let (true, Ok(parameters), Ok(fields)) = (wrong.is_empty(), parameters, fields) else {
            return Err(Error::invalid(wrong));
        };
        connections::check_private_key(&parameters.secret, &parameters.public)?;
        let packed = Packed {
            connector: link_name.to_owned(),
            document,
            parameters: parameters.public,
            secrets: parameters.secret,
            scopes,
        };
        let ground = ground_of(&packed, connector, &op.organization, &organization.region, op.now);
        let fields: Secrets =
            fields.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
        let mut bench = self.bench(&ground);
        for secret in fields.values() {
            bench.mask.add(secret.expose_secret());
        }
        let mut flow = None;
        match &ground.connector.auth {
            Auth::OAuth2Code(_) | Auth::OAuth1(_) => {
                if bench.before_consent(op.now).await {
                    let keep = Keep {
                        owner: &owner,
                        account_name: None,
                        name_is_firm: false,
                        environments: &[] as &[Environment],
                        requested: &packed.scopes,
                        replaces: None,
                    };
                    let packed = serde_json::to_string(&packed).map_err(Error::internal)?;
                    let more = [(TRIAL.to_owned(), SecretString::from(packed))].into();
                    let beginning = Beginning { more, life: self.settings().flow_ttl, poll: None };
                    flow = Some(self.begin_flow_with(op, permit, &ground, &keep, beginning).await?);
                }
            }
            Auth::OAuth2DeviceCode(_) => bench.device(op.now).await,
            Auth::OAuth2ClientCredentials(_) | Auth::JwtBearer(_) => {
                let none = Attributes::new();
                let granted = bench.engine.own_token(&ground, &none, op.now, EXCHANGE_TIME).await;
                if let Some(granted) = bench.token(granted) {
                    bench.with_credential(granted).await;
                }
            }
            Auth::ApiKey(_) | Auth::Basic(_) => {
                bench.with_credential(typed(Credential::Fields(fields), op.now)).await;
            }
            Auth::None(_) => bench.with_credential(typed(Credential::None, op.now)).await,
        }
        tracing::info!(request_id = op.request_id, connector = link_name, "a connector was tried");
        Ok(Tried {
            connector: link_name.to_owned(),
            name: ground.connector.name.clone(),
            steps: bench.steps,
            flow,
        })
    }

    fn bench<'a>(&self, ground: &'a Ground) -> Bench<'a> {
        let watch = Watch::default();
        let mut mask = Mask::of(&ground.connector);
        for parameter in connector::effective_parameters(&ground.connector) {
            if let (true, Some(value)) = (parameter.secret, ground.parameter(&parameter.name)) {
                mask.add(value);
            }
        }
        if let Some(secret) = ground.parameter("client_secret") {
            mask.add(&format!("{}:{secret}", ground.parameter("client_id").unwrap_or("")));
        }
        Bench { engine: self.watched(watch.clone()), watch, ground, mask, steps: Vec::new() }
    }

    /// The ground of a trial's flow.
    pub(crate) async fn trial_ground(&self, flow: &Flow, secrets: &Secrets) -> Result<Ground> {
        let lost = || Error::internal("the flow of a trial does not say what is tried");
        let packed = secrets.get(TRIAL).ok_or_else(lost)?;
        let packed: Packed = serde_json::from_str(packed.expose_secret()).map_err(|_| lost())?;
        let organization = self.own_organization(&flow.organization_id).await?;
        let connector = if let Some(document) = packed.document.clone() {
            Connector::from_json(document).map_err(|_| lost())?
        } else {
            let found = self.find_connector(&flow.organization_id, &packed.connector).await?;
            Connector::clone(&found.connector)
        };
        Ok(ground_of(&packed, connector, &flow.organization_id, &organization.region, flow.created_at))
    }

    /// The rest of a trial, after somebody has come back from the service.
    pub(crate) async fn finish_trial(&self, flow: &Flow, ground: &Ground, callback: &Callback) -> Tried {
        let mut bench = self.bench(ground);
        bench.add(TrialStep {
            words: format!("{} sent you back.", ground.connector.name),
            ..step(TrialKind::Authorize, TrialOutcome::Passed)
        });
        if let Some(code) = &callback.code {
            bench.mask.add(code.expose_secret());
        }
        match bench.engine.granted_by(flow, ground, callback).await {
            Ok(granted) => {
                if let Some(granted) = bench.token(granted) {
                    bench.with_credential(granted).await;
                }
            }
            Err(error) => {
                bench.add(TrialStep { words: error.detail, ..step(TrialKind::Token, TrialOutcome::Failed) });
            }
        }
        bench.done()
    }
}

/// A trial that ended where somebody should have accepted.
pub(crate) fn ended_trial(ground: &Ground, redirect: &str, why: &FlowError) -> Tried {
    let words = match at_consent(&why.detail, ground, redirect) {
        Some(hint) => format!("{} {hint}", why.detail),
        None => why.detail.clone(),
    };
    let step = TrialStep { words, ..step(TrialKind::Authorize, TrialOutcome::Failed) };
    Tried {
        connector: ground.connection.connector.clone(),
        name: ground.connector.name.clone(),
        steps: vec![step],
        flow: None,
    }
}

/// The connection that would be, had anybody made it.
fn ground_of(
    packed: &Packed,
    connector: Connector,
    organization: &str,
    region: &str,
    now: Timestamp,
) -> Ground {
    let connection = Connection {
        organization_id: organization.to_owned(),
        link_name: String::new(),
        id: String::new(),
        name: connector.name.clone(),
        connector: packed.connector.clone(),
        connector_version: None,
        level: Level::Admin,
        scopes: packed.scopes.clone(),
        parameters: packed.parameters.clone(),
        secrets: None,
        same_authorization: true,
        enabled: true,
        applications: Vec::new(),
        created_by: String::new(),
        created_at: now,
        updated_at: now,
        version: 0,
    };
    let secrets: Secrets = packed
        .secrets
        .iter()
        .map(|(name, value)| (name.clone(), SecretString::from(value.as_str())))
        .collect();
    Ground::new(connection, std::sync::Arc::new(connector), region, &secrets)
}

fn step(kind: TrialKind, outcome: TrialOutcome) -> TrialStep {
    TrialStep { kind, outcome, words: String::new(), request: None, answer: None }
}

/// What is wrong, field by field where it is said so.
fn said(error: &Error) -> String {
    let fields: Vec<&str> = error.fields.iter().map(|field| field.message.as_str()).collect();
    if fields.is_empty() { error.detail.clone() } else { fields.join(" ") }
}

impl Bench<'_> {
    fn add(&mut self, step: TrialStep) {
        self.steps.push(step);
    }

    fn done(self) -> Tried {
        Tried {
            connector: self.ground.connection.connector.clone(),
            name: self.ground.connector.name.clone(),
            steps: self.steps,
            flow: None,
        }
    }

    /// The last exchange since one looked, shown; and what it answered.
    fn shown(&self, token: bool) -> (Option<TrialRequest>, Option<TrialAnswer>) {
        let seen = self.watch.take();
        let Some(last) = seen.last() else { return (None, None) };
        (Some(self.mask.request(last, token)), self.answer_of(last, token))
    }

    fn answer_of(&self, seen: &Seen, token: bool) -> Option<TrialAnswer> {
        seen.answer.as_ref().ok().map(|answer| {
            self.mask.answer(answer, token, u64::try_from(seen.took.as_millis()).unwrap_or(u64::MAX))
        })
    }

    /// What can be tried before somebody accepts; false where there is no sense in going there.
    async fn before_consent(&mut self, now: Timestamp) -> bool {
        let scopes = self.ground.connection.scopes.clone();
        let oauth1 = matches!(self.ground.connector.auth, Auth::OAuth1(_));
        let url = if oauth1 {
            self.engine.request_token(self.ground, &scopes, now).await.map(|(token, url)| {
                self.mask.add(&token.token);
                self.mask.add(token.secret.expose_secret());
                url
            })
        } else {
            self.engine.authorize_url(self.ground, "state", "verifier", &scopes, now).await
        };
        let (request, answer) = self.shown(true);
        if oauth1 || request.is_some() {
            let (outcome, words) = match &url {
                Ok(_) if oauth1 => {
                    (TrialOutcome::Passed, "The service knows your app: it gave a request token.".to_owned())
                }
                Ok(_) => (TrialOutcome::Passed, "The service took the request in advance.".to_owned()),
                Err(error) => (TrialOutcome::Failed, self.refused(error)),
            };
            self.add(TrialStep {
                kind: TrialKind::Token,
                outcome,
                words: self.mask.text(&words),
                request,
                answer,
            });
        }
        let url = match url {
            Ok(url) => url,
            Err(ExchangeError::Setup(error)) => {
                let words = self.mask.text(&said(&error));
                self.add(TrialStep { words, ..step(TrialKind::Authorize, TrialOutcome::Failed) });
                return false;
            }
            Err(_) => return false,
        };
        self.add(TrialStep {
            words: format!(
                "A browser would be sent here. If {} shows an error about the redirect URI there and sends nobody back, register this one in your app, to the letter: {}",
                self.ground.connector.name,
                self.engine.redirect_uri()
            ),
            request: Some(TrialRequest {
                method: "GET".to_owned(),
                url: self.mask.authorize_url(&url),
                ..TrialRequest::default()
            }),
            ..step(TrialKind::Authorize, TrialOutcome::Passed)
        });
        if oauth1 {
            return true;
        }
        let code = SecretString::from(NO_CODE);
        let none = Attributes::new();
        let verifier = "a-verifier-that-belongs-to-no-code-at-all-0123456789";
        let granted = self.engine.exchange_code(self.ground, &code, Some(verifier), &none, now).await;
        let (request, answer) = self.shown(true);
        let (outcome, words) = match granted {
            Ok(_) => (
                TrialOutcome::Unsure,
                "The service gave a token for a code that was made up. Look at the token URL.".to_owned(),
            ),
            Err(ExchangeError::Token(TokenError::Refused { code, description, .. })) => {
                let service = description.map_or_else(String::new, |text| format!(" It says: {text}"));
                if is_of_client(&code) {
                    let words = format!(
                        "The service does not accept the client ({code}). Check the client id, the secret, and how the client proves itself.{service}"
                    );
                    (TrialOutcome::Failed, words)
                } else if code == "invalid_grant" {
                    let words = "The token endpoint answers as it should: it knows your client, and refuses a code that was made up (invalid_grant).";
                    (TrialOutcome::Passed, words.to_owned())
                } else {
                    let words = format!(
                        "The token endpoint refuses a code that was made up, as it should ({code}). Whether it knows your client shows when you accept.{service}"
                    );
                    (TrialOutcome::Unsure, words)
                }
            }
            Err(error) => (TrialOutcome::Failed, self.refused(&error)),
        };
        let goes_on = outcome != TrialOutcome::Failed;
        self.add(TrialStep {
            kind: TrialKind::Token,
            outcome,
            words: self.mask.text(&words),
            request,
            answer,
        });
        goes_on
    }

    /// A device code, and what the token endpoint says while nobody has typed it. What a person would accept is not tried: no browser
    /// comes back that could be told.
    async fn device(&mut self, now: Timestamp) {
        let codes = self.engine.device_codes(self.ground, now).await;
        if let Ok(codes) = &codes {
            self.mask.add(codes.device_code.expose_secret());
        }
        let (request, answer) = self.shown(true);
        let (outcome, words) = match &codes {
            Ok(codes) => (
                TrialOutcome::Passed,
                format!(
                    "The service knows your client: it gave a code, which a person would type at {}. It is good for {} seconds.",
                    codes.verification_uri, codes.expires_in
                ),
            ),
            Err(error) => (TrialOutcome::Failed, self.refused(error)),
        };
        let words = self.mask.text(&words);
        self.add(TrialStep { kind: TrialKind::Authorize, outcome, words, request, answer });
        let Ok(codes) = codes else { return };
        let asked = self.engine.device_token(self.ground, &codes.device_code, now).await;
        let (request, answer) = self.shown(true);
        let (outcome, words) = match &asked {
            Ok(DeviceAnswer::Pending | DeviceAnswer::SlowDown) => (
                TrialOutcome::Passed,
                "The token endpoint answers as it should: nobody has typed the code yet. Nobody does in a trial; the rest shows when you authorize a connection.".to_owned(),
            ),
            Ok(DeviceAnswer::Granted(_)) => (
                TrialOutcome::Unsure,
                "The service gave a token although nobody typed the code. Look at the token URL.".to_owned(),
            ),
            Err(error) => (TrialOutcome::Failed, self.refused(error)),
        };
        let words = self.mask.text(&words);
        self.add(TrialStep { kind: TrialKind::Token, outcome, words, request, answer });
    }

    /// Why no token came.
    fn refused(&self, error: &ExchangeError) -> String {
        match error {
            ExchangeError::Setup(error) => said(error),
            ExchangeError::Egress(error) => Error::from(error.clone()).detail,
            ExchangeError::Token(TokenError::Refused { code, description, .. }) => {
                let service =
                    description.as_deref().map_or_else(String::new, |text| format!(" It says: {text}"));
                let redirect = self.engine.redirect_uri();
                let hint = at_token(code, description.as_deref().unwrap_or(""), self.ground, &redirect);
                format!("The service refused with {code}. {hint}{service}")
            }
            ExchangeError::Token(error @ TokenError::Passing { .. }) => {
                format!("It failed at the service: {error}. Try again in a moment.")
            }
            ExchangeError::Token(error @ TokenError::Unreadable { .. }) => {
                format!("This is no answer of OAuth: {error}. Is the token URL right?")
            }
        }
    }

    /// The step of a token that was asked for; the token, if it came.
    fn token(&mut self, granted: Result<Granted, ExchangeError>) -> Option<Granted> {
        if let Ok(Granted { credential, id_token, .. }) = &granted {
            match credential {
                Credential::OAuth2 { access_token, refresh_token } => {
                    for secret in
                        [Some(access_token), refresh_token.as_ref(), id_token.as_ref()].into_iter().flatten()
                    {
                        self.mask.add(secret.expose_secret());
                    }
                }
                Credential::OAuth1 { token, secret } => {
                    self.mask.add(token.expose_secret());
                    self.mask.add(secret.expose_secret());
                }
                Credential::Fields(_) | Credential::None => {}
            }
        }
        let (request, answer) = self.shown(true);
        let (outcome, words) = match &granted {
            Ok(granted) => (TrialOutcome::Passed, came(granted)),
            Err(error) => (TrialOutcome::Failed, self.refused(error)),
        };
        self.add(TrialStep {
            kind: TrialKind::Token,
            outcome,
            words: self.mask.text(&words),
            request,
            answer,
        });
        granted.ok()
    }

    /// The test operation, and whose account it is.
    async fn with_credential(&mut self, mut granted: Granted) {
        let mut attributes = std::mem::take(&mut granted.attributes);
        let bounds = match self.ground.bounds(&attributes) {
            Ok(bounds) => bounds,
            Err(error) => {
                let words = self.mask.text(&said(&error));
                self.add(TrialStep { words, ..step(TrialKind::Test, TrialOutcome::Failed) });
                return;
            }
        };
        // What several choices are open for is asked after an authorization, and is not asked in a trial.
        let credential = (&granted.credential, &bounds);
        self.engine.choose_alone(self.ground, credential, &mut attributes, None).await;
        self.watch.take();
        let test = self.test(&granted, &bounds, &attributes).await;
        self.add(test);
        let identity = self.identity(&granted, &bounds, &attributes).await;
        self.add(identity);
    }

    async fn test(
        &self,
        granted: &Granted,
        bounds: &crate::connect::Bounds,
        attributes: &Attributes,
    ) -> TrialStep {
        let Some(test) = &self.ground.connector.test else {
            let words = "The connector has no test: whatever is typed would be kept without being tried. Add a cheap call under Test.";
            return TrialStep { words: words.to_owned(), ..step(TrialKind::Test, TrialOutcome::Skipped) };
        };
        if waits(self.ground, &test.path, attributes) {
            let words =
                "The test needs a choice that a person makes after authorizing. It is not made in a trial.";
            return TrialStep { words: words.to_owned(), ..step(TrialKind::Test, TrialOutcome::Skipped) };
        }
        let result = match rendered(self.ground, &test.path, attributes) {
            Ok(path) => {
                let (method, body) = (test.method.as_str(), test.body.as_ref());
                self.engine
                    .try_call(self.ground, (&granted.credential, bounds), attributes, method, &path, body)
                    .await
            }
            Err(error) => Err(error),
        };
        let (request, answer) = self.shown(false);
        let (outcome, words) = match result {
            Err(error) => (TrialOutcome::Failed, said(&error)),
            Ok((status, body)) if test.passed(status, body.as_ref()) => {
                if is_page(answer.as_ref()) {
                    let words = "The service answered with a web page. An API rarely does: look at the base URL and the path.";
                    (TrialOutcome::Unsure, words.to_owned())
                } else {
                    (TrialOutcome::Passed, "The service accepts the credential.".to_owned())
                }
            }
            Ok((status @ 200..=299, _)) => (
                TrialOutcome::Failed,
                format!(
                    "The service answered {status}, but not what the test expects. Compare `expect` with the answer below."
                ),
            ),
            Ok((status, _)) => (TrialOutcome::Failed, explained(self.ground, status, answer.as_ref())),
        };
        TrialStep { kind: TrialKind::Test, outcome, words: self.mask.text(&words), request, answer }
    }

    async fn identity(
        &self,
        granted: &Granted,
        bounds: &crate::connect::Bounds,
        attributes: &Attributes,
    ) -> TrialStep {
        let Some(identity) = &self.ground.connector.identity else {
            let words =
                "The connector does not say how to learn whose account it is. Accounts are numbered then.";
            return TrialStep { words: words.to_owned(), ..step(TrialKind::Identity, TrialOutcome::Skipped) };
        };
        let whose = self.engine.identify(self.ground, granted, bounds, attributes).await;
        let (request, answer) = self.shown(false);
        let (outcome, words) = match (&whose.name, &whose.subject) {
            (Some(name), Some(_)) => (TrialOutcome::Passed, format!("The account would be called {name}.")),
            (Some(name), None) => (
                TrialOutcome::Passed,
                format!(
                    "The account would be called {name}. What identifies it for good was not found, so another person could not be told from him."
                ),
            ),
            (None, _) => (TrialOutcome::Unsure, self.nameless(identity, attributes, answer.as_ref())),
        };
        TrialStep { kind: TrialKind::Identity, outcome, words: self.mask.text(&words), request, answer }
    }

    /// Why the account would have no name.
    fn nameless(
        &self,
        identity: &connector::Identity,
        attributes: &Attributes,
        answer: Option<&TrialAnswer>,
    ) -> String {
        let numbered = "The account would be numbered.";
        let at = identity.name.as_deref().unwrap_or("");
        match (identity.from, answer) {
            (IdentitySource::Call, Some(answer)) if !(200..=299).contains(&answer.status) => {
                format!("{} {numbered}", explained(self.ground, answer.status, Some(answer)))
            }
            (IdentitySource::Call, None) => {
                let why = identity.url.as_deref().map(|url| rendered(self.ground, url, attributes));
                let why = match why {
                    Some(Err(error)) => said(&error),
                    Some(Ok(_)) => "No answer came.".to_owned(),
                    None => "No call is named that would tell it.".to_owned(),
                };
                format!("{why} {numbered}")
            }
            _ if at.is_empty() => format!("No place for the account's name is given. {numbered}"),
            (IdentitySource::Token, _) => {
                format!("The answer of the token endpoint has nothing at {at}. {numbered}")
            }
            (IdentitySource::IdToken, _) => {
                format!(
                    "There is no ID token, or nothing in it at {at}. Is the scope openid asked for? {numbered}"
                )
            }
            (IdentitySource::Call, Some(_)) => format!("The answer has nothing at {at}. {numbered}"),
        }
    }
}

/// What the usual refusals of a token endpoint mean, and what mends them. `said` is the service's own description.
fn at_token(code: &str, said: &str, ground: &Ground, redirect: &str) -> String {
    let said = said.to_lowercase();
    let speaks_of = |words: &[&str]| words.iter().any(|word| code.contains(word) || said.contains(word));
    if matches!(ground.connector.auth, Auth::OAuth1(_)) {
        return "Check the consumer key, its secret and the way of signing.".to_owned();
    }
    if speaks_of(&["redirect_uri", "redirect uri", "redirect url"]) {
        return format!(
            "The redirect URI is not the one that your app has. Register this one there, to the letter (scheme, port and the end count): {redirect}"
        );
    }
    if speaks_of(&["code_verifier", "code_challenge", "pkce", "code verifier"]) {
        return match &ground.connector.auth {
            Auth::OAuth2Code(auth) if auth.pkce => {
                "It does not take the proof key (PKCE) as it was sent. If its documentation knows none, set pkce = false.".to_owned()
            }
            _ => "It wants a proof key (PKCE): take pkce = false out of the document.".to_owned(),
        };
    }
    if is_of_client(code) {
        let stated = ground.connector.auth.client_authentication(ground.parameter("client_secret").is_some());
        let way = match stated {
            ClientAuthentication::ClientSecretBasic => {
                "The client proved itself in the Authorization header (client_secret_basic); some services want id and secret among the parameters (client_secret_post)."
            }
            ClientAuthentication::ClientSecretPost => {
                "The client proved itself among the parameters (client_secret_post); some services want the Authorization header (client_secret_basic)."
            }
            ClientAuthentication::PrivateKeyJwt => {
                "The client proved itself by a signed assertion: is its public key registered, under the same key id?"
            }
            ClientAuthentication::None => {
                "The client sent no secret (none): is it registered as a public client?"
            }
        };
        let region = region_of(ground)
            .map_or_else(String::new, |region| format!(" An app is known in its own region only: {region}"));
        return format!("Check the client id and the secret. {way}{region}");
    }
    match code {
        "invalid_grant" => {
            "The code or the assertion is refused: the redirect URI, the proof key and the clock count, too.".to_owned()
        }
        "invalid_scope" => {
            "It does not know a scope that was asked for, or your app may not ask for it. Check their names and what stands between them.".to_owned()
        }
        "unsupported_grant_type" => {
            "It does not know this way to a token. Check the type of the connector and the token URL.".to_owned()
        }
        _ => "Compare the request below with the service's documentation.".to_owned(),
    }
}

/// What the service said instead of a code, where it is one of the usual things.
fn at_consent(detail: &str, ground: &Ground, redirect: &str) -> Option<String> {
    let codes =
        ["invalid_scope", "unauthorized_client", "invalid_client", "redirect_uri", "code_challenge", "pkce"];
    let lower = detail.to_lowercase();
    if lower.contains("unsupported_response_type") {
        return Some(
            "It does not give codes at this address, or your app is not allowed to ask for them.".to_owned(),
        );
    }
    let code = codes.into_iter().find(|code| lower.contains(code))?;
    Some(at_token(code, "", ground, redirect))
}

/// In which region of the service the trial was made, where the connector knows several.
fn region_of(ground: &Ground) -> Option<String> {
    let connector = &ground.connector;
    if connector.region_values.is_empty() {
        return None;
    }
    let host = ground.root_for("/", &Attributes::new()).unwrap_or_default();
    let by = connector.region_parameter.as_deref().map_or_else(
        || "it follows the organization's region".to_owned(),
        |name| format!("the parameter {name} chooses it"),
    );
    let others: Vec<&str> = connector.region_values.keys().map(String::as_str).collect();
    Some(format!("this was {host}, and there are {} ({by}).", others.join(", ")))
}

/// Whether an error of OAuth speaks of the client and not of what it brought.
fn is_of_client(code: &str) -> bool {
    matches!(
        code,
        "invalid_client" | "unauthorized_client" | "invalid_client_id" | "incorrect_client_credentials"
    )
}

/// What came with a token.
fn came(granted: &Granted) -> String {
    let ends = granted.expires_at.map_or_else(
        || "It does not say when it ends.".to_owned(),
        |at| format!("It ends in {} seconds.", granted.issued_at.until(at).as_secs()),
    );
    let again = if granted.refreshable {
        "Jackfield can get the next one by itself."
    } else {
        "Nothing came with which the next one could be got: people would authorize again when it ends."
    };
    format!("A token came. {ends} {again}")
}

fn is_page(answer: Option<&TrialAnswer>) -> bool {
    let kind = answer.and_then(|answer| answer.headers.iter().find(|(name, _)| name == "content-type"));
    kind.is_some_and(|(_, kind)| kind.starts_with("text/html"))
}

/// Where the credential goes, in words.
fn places(connector: &Connector) -> String {
    use connector::Place;
    let words = |place: &connector::Placement| {
        let name = &place.name;
        match place.place {
            Place::Header if place.prefix.is_empty() => format!("in the header {name}"),
            Place::Header => format!("in the header {name}, after {:?}", place.prefix.trim_end()),
            Place::Query => format!("in the query as {name}"),
            Place::Cookie => format!("in the cookie {name}"),
            Place::Body => format!("in the body as {name}"),
        }
    };
    let all: Vec<String> = placements(connector)
        .iter()
        .filter(|placed| !matches!(placed.source, Source::Parameter(_)))
        .map(words)
        .collect();
    all.join(" and ")
}

/// What a status usually means, and in which region it came.
fn explained(ground: &Ground, status: u16, answer: Option<&TrialAnswer>) -> String {
    let words = meant(ground, status, answer);
    match region_of(ground).filter(|_| matches!(status, 401 | 403 | 404)) {
        Some(region) => format!("{words} If the account is in another region: {region}"),
        None => words,
    }
}

/// What a status usually means.
fn meant(ground: &Ground, status: u16, answer: Option<&TrialAnswer>) -> String {
    let header = |name: &str| {
        let found = answer.and_then(|answer| answer.headers.iter().find(|(found, _)| found == name));
        found.map(|(_, value)| value.as_str())
    };
    match status {
        300..=399 => format!(
            "The service answered {status}: it sends on to {}. Give the address where it ends; a call follows redirects only to the connector's hosts.",
            header("location").unwrap_or("elsewhere")
        ),
        400 | 422 => format!("The service answered {status}: it understood the call, but not what it says. A parameter, a header or the body is missing or wrong."),
        403 if header("www-authenticate").is_some_and(|told| told.contains("insufficient_scope")) => format!(
            "The service answered 403: a scope is missing. It says: {}. Ask for it under Scopes, and accept again.",
            header("www-authenticate").unwrap_or("")
        ),
        401 => match places(&ground.connector) {
            none if none.is_empty() => "The service answered 401: it wants a credential, and this connector has none.".to_owned(),
            places => format!("The service answered 401: it does not know the credential. It went {places}. Check the value, the place and what must stand before it."),
        },
        403 => "The service answered 403: it knows the credential, but does not let it do this. A scope or a right of the account is missing, or the test asks for too much.".to_owned(),
        404 | 410 => format!("The service answered {status}: there is nothing at this address. Check the base URL and the path."),
        405 => "The service answered 405: this address takes another method.".to_owned(),
        406 | 415 => format!("The service answered {status}: it does not speak JSON here, or wants another Accept header."),
        429 => "The service answered 429: too many calls. Try again in a moment.".to_owned(),
        500..=599 => format!("The service answered {status}: it failed itself. Try again in a moment; if it stays so, look at the call."),
        _ => format!("The service answered {status}."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn connector(auth: &Value) -> Connector {
        Connector::from_json(json!({"name": "A", "base_url": "https://a.example", "auth": auth})).unwrap()
    }

    fn ground(document: &Value) -> Ground {
        let packed = Packed {
            connector: "a".to_owned(),
            document: None,
            parameters: BTreeMap::from([("dc".to_owned(), "eu".to_owned())]),
            secrets: BTreeMap::new(),
            scopes: Vec::new(),
        };
        let connector = Connector::from_json(document.clone()).unwrap_or_else(|e| panic!("{e:?}"));
        ground_of(&packed, connector, "org_1", "us", Timestamp::from_micros(0))
    }

    #[test]
    fn the_usual_faults_are_explained() {
        let auth = |more: &Value| {
            let mut auth = json!({"type": "oauth2_code", "authorize_url": "https://a.example/a", "token_url": "https://a.example/t"});
            for (name, value) in more.as_object().unwrap() {
                auth[name] = value.clone();
            }
            ground(&json!({"name": "A", "base_url": "https://a.example", "auth": auth}))
        };
        let redirect = "https://j.example/oauth/callback";
        let plain = auth(&json!({}));
        for (code, said, hint) in [
            ("redirect_uri_mismatch", "", redirect),
            ("invalid_grant", "The redirect URI does not match", redirect),
            ("invalid_request", "code_verifier is not supported", "set pkce = false"),
            ("invalid_client", "", "client_secret_post"),
            ("invalid_scope", "", "your app may not ask for it"),
            ("unsupported_grant_type", "", "token URL"),
        ] {
            let words = at_token(code, said, &plain, redirect);
            assert!(words.contains(hint), "{code} {said}: {words}");
        }
        let words = at_token("invalid_request", "PKCE is required", &auth(&json!({"pkce": false})), redirect);
        assert!(words.contains("take pkce = false out"), "{words}");
        let words = at_token(
            "invalid_client",
            "",
            &auth(&json!({"client_authentication": "client_secret_post"})),
            redirect,
        );
        assert!(words.contains("Authorization header"), "{words}");
        let told = |detail: &str| at_consent(detail, &plain, redirect).unwrap_or_default();
        assert!(
            told("A answered invalid_scope (x).").contains("your app may not ask"),
            "{}",
            told("invalid_scope")
        );
        assert!(told("A answered invalid_request (redirect_uri is wrong).").contains(redirect));
        assert_eq!(at_consent("A answered server_error.", &plain, redirect), None);
    }

    #[test]
    fn another_region_is_thought_of_where_there_are_several() {
        let several = ground(&json!({
            "name": "A", "base_url": "https://{region.host}", "hosts": ["a.example", "a.eu.example"],
            "region_values": {"us": {"host": "a.example"}, "eu": {"host": "a.eu.example"}}, "region_parameter": "dc",
            "parameters": [{"name": "dc", "choices": [{"value": "us"}, {"value": "eu"}]}], "auth": {"type": "basic"},
        }));
        let words = explained(&several, 401, None);
        assert!(
            words.contains("https://a.eu.example")
                && words.contains("eu, us")
                && words.contains("dc chooses"),
            "{words}"
        );
        assert!(!explained(&several, 500, None).contains("region"));
        assert!(
            !explained(
                &ground(&json!({"name": "A", "base_url": "https://a.example", "auth": {"type": "basic"}})),
                401,
                None
            )
            .contains("region")
        );
    }

    #[test]
    fn a_missing_scope_is_told_in_the_services_words() {
        let ground =
            ground(&json!({"name": "A", "base_url": "https://a.example", "auth": {"type": "basic"}}));
        let answer = TrialAnswer {
            status: 403,
            headers: vec![(
                "www-authenticate".to_owned(),
                "Bearer error=\"insufficient_scope\", scope=\"crm\"".to_owned(),
            )],
            ..TrialAnswer::default()
        };
        assert!(explained(&ground, 403, Some(&answer)).contains("scope=\"crm\""));
    }

    #[test]
    fn where_a_credential_went_is_said() {
        let keys = json!({"type": "api_key", "fields": [
            {"name": "key", "in": "header", "as": "X-Key", "prefix": "Token "}, {"name": "id", "in": "query"}]});
        assert_eq!(places(&connector(&keys)), "in the header X-Key, after \"Token\" and in the query as id");
        assert_eq!(places(&connector(&json!({"type": "none"}))), "");
        assert_eq!(
            places(&connector(&json!({"type": "basic"}))),
            "in the header Authorization, after \"Basic\""
        );
    }
}
