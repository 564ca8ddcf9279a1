//! A trial: a custom connector as it would be used, before anybody uses it. The same functions through the same door, and what went through
//! it is shown, its secrets masked. Nothing is kept, neither what was typed nor what the service granted.
//!
//! Where a person accepts at the service, the trial is a flow like others, but of no connection: what it needs travels sealed in the flow.

mod bench;
mod explain;
mod mask;

use std::collections::BTreeMap;

use jackfield_core::connector::{self, Auth, Connector};
use jackfield_core::{
    Action, Environment, Error, FieldError, Level, Permit, Resource, Result, Timestamp, permit,
};
use jackfield_oauth::Callback;
use jackfield_store::{Connection, Flow};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::connect::authorizations::typed;
use crate::connect::connectors::own_document;
use crate::connect::credential::Secrets;
use crate::connect::exchange::EXCHANGE_TIME;
use crate::connect::flows::{Beginning, FlowError, FlowView, TRIAL};
use crate::connect::ground::{Attributes, Ground};
use crate::connect::keep::Keep;
use crate::connect::{Credential, connections};
use crate::{Engine, Op};
use bench::step;
use explain::at_consent;

pub use crate::call::concealed::HIDDEN;

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
