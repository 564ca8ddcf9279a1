//! Set-up steps after authorization (product C7): which site, company, workspace. The service itself answers the choices through the new
//! authorization; the values serve templates as `setup.<id>`.
//!
//! A step with one choice is answered by itself; one with several is left to a person, and until a required one is answered the
//! authorization serves no call. A choice can be changed later. It never leads the credential beyond the hosts
//! that the connector had when it was given (`Bounds`).

use jackfield_core::connector::{SetupCall, SetupChoice, SetupStep};
use jackfield_core::{Action, Code, Error, EventKind, Permit, Resource, Result, permit};
use jackfield_store::{Authorization, Connection};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::connect::Credential;
use crate::connect::authorizations::AuthorizationView;
use crate::connect::ground::{Attributes, Ground};
use crate::connect::prove::{Bounded, rendered};
use crate::govern::audit::Event;
use crate::govern::organizations::version_conflict;
use crate::{Engine, Op};

/// Choices of a step that are shown at most.
const CHOICES: usize = 1000;
/// How often a choice is tried to be stored while the authorization changes under it, as a refresh does.
const TRIES: usize = 5;

/// A step: what is asked, what the service offers, what was chosen.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SetupView {
    pub id: String,
    pub title: String,
    pub help: Option<String>,
    /// must be answered before calls are served
    pub required: bool,
    /// the value that was chosen
    pub chosen: Option<String>,
    /// what the service offers; empty while an earlier step is open
    pub choices: Vec<SetupChoice>,
}

/// The steps of an authorization.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetupList {
    pub items: Vec<SetupView>,
}

/// What somebody chooses.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupChosen {
    /// a value that the service offers
    pub value: String,
}

/// The attribute under which a step's value is kept.
fn attribute(step: &SetupStep) -> String {
    format!("setup.{}", step.id)
}

/// The first step that must be answered and is not.
pub(crate) fn open_step<'a>(ground: &'a Ground, attributes: &Attributes) -> Option<&'a SetupStep> {
    let values = ground.values(attributes, None);
    let open = |step: &&SetupStep| {
        step.required && step.applies(&values) && !attributes.contains_key(&attribute(step))
    };
    ground.connector.setup.iter().find(open)
}

impl Engine {
    /// Answers the steps that need nobody: those with one choice, and those whose former answer is still offered. A service that cannot be
    /// asked leaves its step open.
    pub(crate) async fn choose_alone(
        &self,
        ground: &Ground,
        credential: Bounded<'_>,
        attributes: &mut Attributes,
        former: Option<&Attributes>,
    ) {
        for step in &ground.connector.setup {
            let name = attribute(step);
            if attributes.contains_key(&name) || !step.applies(&ground.values(attributes, None)) {
                continue;
            }
            let choices = match self.choices(ground, credential, attributes, step).await {
                Ok(choices) => choices,
                Err(error) => {
                    tracing::info!(connector = ground.connection.connector, step = step.id, %error, "choices could not be asked for");
                    return;
                }
            };
            let before = former.and_then(|former| former.get(&name));
            let chosen = match choices.as_slice() {
                [only] => Some(&only.value),
                choices => choices.iter().map(|choice| &choice.value).find(|value| before == Some(*value)),
            };
            match chosen {
                Some(value) => {
                    attributes.insert(name, value.clone());
                }
                // What follows may hang on it.
                None if step.required => return,
                None => {}
            }
        }
    }

    async fn choices(
        &self,
        ground: &Ground,
        credential: Bounded<'_>,
        attributes: &Attributes,
        step: &SetupStep,
    ) -> Result<Vec<SetupChoice>> {
        let broken = || Error::internal(format!("the operation of set-up step {:?} is not known", step.id));
        let (method, path) = match step.call().ok_or_else(broken)? {
            SetupCall::Request { method, path } => (method, path),
            SetupCall::Operation { module, operation } => {
                let found = ground.connector.modules.get(module).and_then(|m| m.operations.get(operation));
                let operation = found.ok_or_else(broken)?;
                (operation.method, operation.path.as_str())
            }
        };
        let path = rendered(ground, path, attributes)?;
        let (status, answer) =
            self.try_call(ground, credential, attributes, method.as_str(), &path, None).await?;
        match answer {
            Some(answer) if (200..=299).contains(&status) => {
                let mut choices = step.choices(&answer);
                choices.truncate(CHOICES);
                Ok(choices)
            }
            _ => Err(Error::new(
                Code::UpstreamUnreachable,
                format!(
                    "{} could not be asked for the choices: it answered {status}. Try again in a moment.",
                    ground.connector.name
                ),
            )),
        }
    }

    /// The steps of an authorization, with what the service offers now.
    pub async fn read_setup(&self, op: &Op, link_name: &str, id: &str) -> Result<SetupList> {
        let connection = self.find_connection(op, link_name).await?;
        let row = self.held(op, &connection, id).await?;
        let resource = Resource::Authorization { level: connection.level, owner: &row.owner };
        permit(&op.principal, Action::Authorize, &resource)?;
        Ok(SetupList { items: self.setup_of(connection, &row).await? })
    }

    pub(crate) async fn setup_of(
        &self,
        connection: Connection,
        row: &Authorization,
    ) -> Result<Vec<SetupView>> {
        let ground = self.ground(connection).await?;
        let (credential, bounds) =
            Credential::open(self.keyring(), &row.organization_id, &row.id, &row.credential)?;
        let credential = (&credential, &bounds);
        let mut items = Vec::new();
        let mut blocked = false;
        for step in &ground.connector.setup {
            if !step.applies(&ground.values(&row.attributes, None)) {
                continue;
            }
            let chosen = row.attributes.get(&attribute(step)).cloned();
            let choices = if blocked {
                Vec::new()
            } else {
                self.choices(&ground, credential, &row.attributes, step).await?
            };
            blocked |= step.required && chosen.is_none();
            items.push(SetupView {
                id: step.id.clone(),
                title: step.title.clone().unwrap_or_else(|| step.id.clone()),
                help: step.help.clone(),
                required: step.required,
                chosen,
                choices,
            });
        }
        Ok(items)
    }

    /// Chooses, or chooses anew.
    pub async fn choose_setup(
        &self,
        op: &Op,
        link_name: &str,
        id: &str,
        step: &str,
        chosen: SetupChosen,
    ) -> Result<AuthorizationView> {
        let connection = self.find_connection(op, link_name).await?;
        let row = self.held(op, &connection, id).await?;
        let resource = Resource::Authorization { level: connection.level, owner: &row.owner };
        let permit = permit(&op.principal, Action::Authorize, &resource)?;
        let event = op.event(EventKind::AuthorizationSetUp);
        self.choose(permit, connection, id, step, &chosen.value, event).await?;
        self.read_authorization(op, link_name, id).await
    }

    /// Makes a choice that was permitted. Choices of later steps that hang on it are asked for again.
    pub(crate) async fn choose(
        &self,
        permit: Permit,
        connection: Connection,
        id: &str,
        step_id: &str,
        value: &str,
        event: Event,
    ) -> Result<()> {
        let ground = self.ground(connection).await?;
        let organization = ground.connection.organization_id.clone();
        let missing = || Error::not_found(format_args!("set-up step {step_id:?}"));
        let at = ground.connector.setup.iter().position(|step| step.id == step_id).ok_or_else(missing)?;
        let step = ground.connector.setup.get(at).ok_or_else(missing)?;
        for _ in 0..TRIES {
            let gone = || Error::not_found(format_args!("authorization {id:?}"));
            let mut row = self.store().authorization(&organization, id).await?.ok_or_else(gone)?;
            if !step.applies(&ground.values(&row.attributes, None)) {
                return Err(missing());
            }
            let (credential, bounds) = Credential::open(self.keyring(), &organization, id, &row.credential)?;
            let credential = (&credential, &bounds);
            let choices = self.choices(&ground, credential, &row.attributes, step).await?;
            if !choices.iter().any(|choice| choice.value == value) {
                return Err(Error::field(
                    "value",
                    "unknown",
                    format!("{} does not offer this choice.", ground.connector.name),
                ));
            }
            let former = row.attributes.clone();
            for later in ground.connector.setup.iter().skip(at) {
                row.attributes.remove(&attribute(later));
            }
            row.attributes.insert(attribute(step), value.to_owned());
            self.choose_alone(&ground, credential, &mut row.attributes, Some(&former)).await;
            row.setup_pending = open_step(&ground, &row.attributes).is_some();
            if !row.setup_pending {
                self.prove(&ground, credential, &row.attributes).await?;
            }
            let mut work = self.begin(permit).await?;
            if work.set_up_authorization(&row, crate::clock::now()).await? {
                work.touch(id);
                work.touch(&organization);
                work.record(
                    event
                        .on_authorization(&ground.connection.link_name, id)
                        .with("step", step_id)
                        .with("value", value),
                );
                return work.commit().await;
            }
        }
        Err(version_conflict())
    }

    /// What a call is told while a choice is open.
    pub(crate) fn setup_error(ground: &Ground, attributes: &Attributes) -> Option<Error> {
        let step = open_step(ground, attributes)?;
        let title = step.title.as_deref().unwrap_or(&step.id);
        Some(Error::new(
            Code::NotConnected,
            format!(
                "One thing is still to be chosen for this account before it serves calls: {title} Choose it at its authorization, under setup.",
            ),
        ))
    }

    /// The choice that a person has yet to make, to be shown at the end of his flow. A service that cannot be asked now can be asked later.
    pub(crate) async fn open_choice(&self, connection: Connection, row: &Authorization) -> Option<SetupView> {
        if !row.setup_pending {
            return None;
        }
        let steps = self.setup_of(connection, row).await.ok()?;
        steps.into_iter().find(|step| step.required && step.chosen.is_none() && !step.choices.is_empty())
    }
}
