//! Publication: development → stage → production. A release fixes the versions of all components; an environment serves one release, and a
//! former one again when somebody rolls back.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_core::form::Form;
use jackfield_core::{
    Action, Code, ConnectionStatus, Environment, Error, EventKind, FieldError, Level, Result, Timestamp,
    allows, permit,
};
use jackfield_store::{Definition, Deployment, Drawer, Release, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::automate::components::{Built, Next, Versions, hold_used, scheduled};
use crate::automate::live::document;
use crate::automate::records::hold_unique;
use crate::connect::references::is_unattended;
use crate::page::{Page, PageQuery, no_cursor};
use crate::{Engine, Op};

/// Longest note, in characters.
const NOTE_MAX: usize = 1000;

/// What is to be published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// `stage` takes what development has; `production` takes what stage serves
    pub to: Environment,
    /// number of a former release, to roll back
    pub release: Option<i64>,
    /// what is new
    pub note: Option<String>,
    /// publish although something is not ready
    #[serde(default)]
    pub anyway: bool,
}

/// Where something would be published.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PreflightQuery {
    /// `stage` or `production`; `stage` unless told
    pub to: Option<String>,
    /// number of a former release, to roll back
    pub release: Option<i64>,
}

/// What would be published, and what is not ready for it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Preflight {
    pub to: Environment,
    /// the release it would be; absent: a new one
    pub release: Option<i64>,
    /// what would be served, and what is served now
    pub components: Vec<PreflightComponent>,
    /// what is not ready: publishing is refused unless `anyway` is said
    pub open: Vec<OpenPoint>,
}

/// A component that would be published.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PreflightComponent {
    /// `workflow:orders`
    pub component: String,
    pub name: String,
    /// absent: it would be served no more
    pub version: Option<i64>,
    /// absent: it is not served yet
    pub served: Option<i64>,
}

/// Something that is not ready.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OpenPoint {
    /// `not_connected`, `reauthorization_required`, `connection_disabled`, `application_not_allowed`, `primary_account_required`, `invalid`, `empty`
    pub code: String,
    /// what is concerned: `workflow:orders`
    pub component: String,
    /// link name of the connection concerned
    pub connection: Option<String>,
    /// what to do about it
    pub message: String,
}

/// A release.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReleaseView {
    /// from 1 upwards
    pub number: i64,
    /// component → version
    pub components: BTreeMap<String, i64>,
    pub note: String,
    pub created_by: String,
    pub created_at: Timestamp,
    /// where it is served
    pub environments: Vec<Environment>,
}

/// What an environment serves, since when and by whom.
#[derive(Debug, Clone)]
pub struct DeploymentView {
    pub environment: Environment,
    /// number of the release
    pub release: i64,
    /// id of the member who published it there
    pub deployed_by: String,
    pub deployed_at: Timestamp,
}

fn release_view(release: Release, deployments: &[Deployment]) -> ReleaseView {
    let here = |deployment: &&Deployment| deployment.release == release.number;
    ReleaseView {
        environments: deployments.iter().filter(here).map(|deployment| deployment.environment).collect(),
        number: release.number,
        components: release.contents,
        note: release.note,
        created_by: release.created_by,
        created_at: release.created_at,
    }
}

/// What is about to be published.
struct Plan {
    to: Environment,
    release: Option<i64>,
    definitions: Vec<Definition>,
}

impl Engine {
    /// What would be published, and what is not ready for it.
    pub async fn preflight(&self, op: &Op, application: &str, query: &PreflightQuery) -> Result<Preflight> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Manage, &found.whole())?;
        let to = match query.to.as_deref() {
            None => Environment::Stage,
            Some(word) => Environment::parse(word).ok_or_else(|| target_error("to"))?,
        };
        let plan = self.plan(op, application, to, query.release).await?;
        Ok(self.weigh(op, application, &plan).await?.0)
    }

    async fn plan(&self, op: &Op, application: &str, to: Environment, release: Option<i64>) -> Result<Plan> {
        let organization = &*op.organization;
        let definitions = match (to, release) {
            (Environment::Development, _) => return Err(target_error("to")),
            (_, Some(number)) => {
                let released = self.released(organization, application, number).await;
                released.map_err(|error| match error.code {
                    Code::NotFound => {
                        Error::field("release", "unknown", "There is no release of this number.")
                    }
                    _ => error,
                })?
            }
            (Environment::Stage, None) => {
                self.served_definitions(organization, application, Environment::Development).await?
            }
            (Environment::Production, None) => {
                let deployments = self.store().deployments(organization, application).await?;
                let stage = deployments.into_iter().find(|one| one.environment == Environment::Stage);
                let number = stage
                    .ok_or_else(|| {
                        Error::new(Code::StateConflict, "Nothing is in stage yet. Publish there first.")
                    })?
                    .release;
                let definitions = self.released(organization, application, number).await?;
                return Ok(Plan { to, release: Some(number), definitions });
            }
        };
        Ok(Plan { to, release, definitions })
    }

    /// What stands in the way, and the versions that this was seen with.
    async fn weigh(&self, op: &Op, application: &str, plan: &Plan) -> Result<(Preflight, Versions)> {
        let organization = &*op.organization;
        let served = self.served_definitions(organization, application, plan.to).await?;
        let mut components: BTreeMap<String, PreflightComponent> = BTreeMap::new();
        for (definition, is_new) in
            served.iter().map(|one| (one, false)).chain(plan.definitions.iter().map(|one| (one, true)))
        {
            let entry =
                components.entry(definition.component.clone()).or_insert_with(|| PreflightComponent {
                    component: definition.component.clone(),
                    name: String::new(),
                    version: None,
                    served: None,
                });
            definition.name.clone_into(&mut entry.name);
            *(if is_new { &mut entry.version } else { &mut entry.served }) = Some(definition.version);
        }
        let mut open = Vec::new();
        if plan.definitions.is_empty() {
            open.push(OpenPoint {
                code: "empty".to_owned(),
                component: String::new(),
                connection: None,
                message: "There is nothing to publish yet. Make a form first.".to_owned(),
            });
        }
        let mut grounds = self.grounds(organization, application).await?;
        grounds.forms.clear();
        grounds.datasources.clear();
        for definition in &plan.definitions {
            match definition.component.split_once(':') {
                Some(("form", link_name)) => grounds.form(link_name, &document::<Form>(definition)?),
                Some(("datasource", link_name)) => {
                    grounds.datasources.insert(link_name.to_owned());
                }
                _ => {}
            }
        }
        for definition in &plan.definitions {
            let Some(built) = Built::of(definition, Some(&grounds), op.now)? else { continue };
            let point = |code: &str, connection: Option<&str>, message: String| OpenPoint {
                code: code.to_owned(),
                component: definition.component.clone(),
                connection: connection.map(str::to_owned),
                message,
            };
            for wrong in &built.wrong {
                open.push(point("invalid", None, format!("{}: {}", wrong.field, wrong.message)));
            }
            for connection in built.connections {
                let place = (organization, application, definition.component.as_str());
                if let Some((code, message)) = self.not_ready(place, &connection, plan.to).await? {
                    open.push(point(code, Some(&connection), message));
                }
            }
        }
        let components = components.into_values().collect();
        Ok((Preflight { to: plan.to, release: plan.release, components, open }, grounds.versions))
    }

    /// Why a component could not call through a connection in an environment: a code, and what to do about it.
    async fn not_ready(
        &self,
        (organization, application, component): (&str, &str, &str),
        connection: &str,
        environment: Environment,
    ) -> Result<Option<(&'static str, String)>> {
        let Some(row) = self.store().connection(organization, connection).await? else {
            return Ok(Some(("not_connected", format!("The connection {connection:?} is gone."))));
        };
        if !row.enabled {
            let message = format!("The connection {connection:?} is disabled. An admin can enable it.");
            return Ok(Some((Code::ConnectionDisabled.as_str(), message)));
        }
        if !allows(&row.applications, application) {
            let message = format!("The connection {connection:?} does not allow this application.");
            return Ok(Some((Code::ApplicationNotAllowed.as_str(), message)));
        }
        // At level user each person authorizes for himself, when he first needs it; where nobody is there, somebody's account is needed.
        if row.level == Level::User {
            let missing = is_unattended(component)
                && self.primary(organization, connection, environment).await?.is_none();
            return Ok(missing.then(|| {
                let message = format!(
                    "Each person uses {connection:?} with his own account. Choose a primary account for {environment}."
                );
                (Code::PrimaryAccountRequired.as_str(), message)
            }));
        }
        let status = self.environment_status(organization, connection, environment).await?;
        Ok(match status.unwrap_or(ConnectionStatus::NotConnected) {
            ConnectionStatus::Connected => None,
            ConnectionStatus::NotConnected => Some((
                Code::NotConnected.as_str(),
                format!("The connection {connection:?} is not authorized in {environment}."),
            )),
            ConnectionStatus::ReauthorizationRequired => Some((
                Code::ReauthorizationRequired.as_str(),
                format!("The connection {connection:?} must be authorized again in {environment}."),
            )),
        })
    }

    /// Publishes, or rolls back to a former release.
    pub async fn publish(&self, op: &Op, application: &str, asked: Publication) -> Result<ReleaseView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let note = asked.note.unwrap_or_default();
        if note.chars().count() > NOTE_MAX || note.chars().any(|c| c.is_control() && c != '\n') {
            let message =
                format!("The note must have at most {NOTE_MAX} characters and no control characters.");
            return Err(Error::field("note", "invalid", message));
        }
        let plan = self.plan(op, application, asked.to, asked.release).await?;
        let (weighed, versions) = self.weigh(op, application, &plan).await?;
        if !weighed.open.is_empty() && !asked.anyway {
            return Err(Error::new(
                Code::StateConflict,
                format!("{} is not ready for it: `open` says what. Mend that, or say `anyway`.", asked.to),
            )
            .with_extension("open", json!(weighed.open)));
        }
        let organization = &*op.organization;
        let member = op.principal.member().unwrap_or_default().to_owned();
        let served = self.served_definitions(organization, application, asked.to).await?;
        let mut work = self.begin(permit).await?;
        if !work.hold_application(organization, application).await? {
            return Err(Error::not_found(format_args!("application {application:?}")));
        }
        let contents: BTreeMap<String, i64> =
            plan.definitions.iter().map(|one| (one.component.clone(), one.version)).collect();
        let number = if let Some(number) = plan.release {
            number
        } else {
            let number = work.latest_release(organization, application).await? + 1;
            let release = Release {
                number,
                contents,
                note: note.clone(),
                created_by: member.clone(),
                created_at: op.now,
            };
            work.insert_release(organization, application, &release).await?;
            number
        };
        let deployment =
            Deployment { environment: asked.to, release: number, deployed_by: member, deployed_at: op.now };
        work.deploy(organization, application, &deployment).await?;
        hold_all_unique(&mut work, op, application, asked.to, &served, &plan.definitions).await?;
        let looked_at = (!asked.anyway).then_some(&versions);
        self.refer(&mut work, op, (application, asked.to), &plan.definitions, looked_at).await?;
        self.time(&mut work, op, application, asked.to, &plan.definitions).await?;
        work.touch(organization);
        work.record(
            op.event(EventKind::ApplicationPublished)
                .to(application)
                .with("environment", asked.to.as_str())
                .with("release", number)
                .with("note", note),
        );
        work.commit().await?;
        self.inner.ticker.wake();
        let release = self.store().release(organization, application, number).await?;
        let deployments = self.store().deployments(organization, application).await?;
        release
            .map(|release| release_view(release, &deployments))
            .ok_or_else(|| Error::internal("a release is gone that was just made"))
    }

    /// What the environments serve now uses these connections: they are references, in development or not.
    async fn refer(
        &self,
        work: &mut crate::work::Work<'_>,
        op: &Op,
        (application, to): (&str, Environment),
        published: &[Definition],
        looked_at: Option<&Versions>,
    ) -> Result<()> {
        let organization = &*op.organization;
        let mut served: Vec<Definition> = published.to_vec();
        for other in [Environment::Development, Environment::Stage, Environment::Production] {
            if other != to {
                served.extend(self.served_definitions(organization, application, other).await?);
            }
        }
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for definition in &served {
            // A form uses none, and what it declares beside stays as it is.
            if let Some(built) = Built::of(definition, None, op.now)?
                && !definition.component.starts_with("form:")
            {
                uses.entry(definition.component.clone()).or_default().extend(built.connections);
            }
        }
        for (component, connections) in uses {
            let mut held = Vec::with_capacity(connections.len());
            for (index, connection) in connections.into_iter().enumerate() {
                if !hold_used(work, organization, &connection, looked_at).await? {
                    let message = format!("{component} uses the connection {connection:?}, which is gone.");
                    return Err(Error::invalid(vec![FieldError::new(
                        format!("connections.{index}"),
                        "unknown",
                        message,
                    )]));
                }
                held.push(connection);
            }
            let known = work.component(organization, application, &component).await?;
            work.put_component(organization, application, &component, &held, op.now).await?;
            if let Some(known) = known {
                work.set_component(
                    organization,
                    application,
                    &component,
                    &known.name,
                    known.version,
                    known.updated_at,
                )
                .await?;
            }
        }
        Ok(())
    }

    /// What the environment serves now runs at its times, and what it serves no more does not. What is the same goes on as it was.
    async fn time(
        &self,
        work: &mut crate::work::Work<'_>,
        op: &Op,
        application: &str,
        to: Environment,
        published: &[Definition],
    ) -> Result<()> {
        let organization = &*op.organization;
        let mut known = self.store().schedules(organization, application, "").await?;
        known.retain(|row| row.environment == to.as_str());
        for row in &known {
            if !published.iter().any(|definition| definition.component == row.component) {
                work.delete_schedule(organization, application, to.as_str(), &row.component).await?;
                let environment = to.as_str();
                work.delete_table(Table {
                    organization,
                    application,
                    environment,
                    component: &row.component,
                })
                .await?;
            }
        }
        for definition in published {
            let Some(Next(next_at)) = Built::of(definition, None, op.now)?.and_then(|built| built.next)
            else {
                continue;
            };
            let same = known
                .iter()
                .any(|row| row.component == definition.component && row.version == definition.version);
            if !same {
                work.put_schedule(&scheduled(definition, to, next_at)).await?;
            }
        }
        Ok(())
    }

    /// What stage and production serve; an environment in which nothing was published is not among them.
    pub async fn list_deployments(&self, op: &Op, application: &str) -> Result<Vec<DeploymentView>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Read, &found.whole())?;
        let deployments = self.store().deployments(&op.organization, application).await?;
        let view = |one: Deployment| DeploymentView {
            environment: one.environment,
            release: one.release,
            deployed_by: one.deployed_by,
            deployed_at: one.deployed_at,
        };
        Ok(deployments.into_iter().map(view).collect())
    }

    /// The releases of an application, the latest first.
    pub async fn list_releases(
        &self,
        op: &Op,
        application: &str,
        query: &PageQuery,
    ) -> Result<Page<ReleaseView>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Read, &found.whole())?;
        let (limit, after) = (query.limit()?, query.after()?);
        let before = if after.is_empty() { Some(i64::MAX) } else { after.parse().ok() };
        let before = before.ok_or_else(no_cursor)?;
        let deployments = self.store().deployments(&op.organization, application).await?;
        let rows = self.store().releases(&op.organization, application, before, limit.rows()).await?;
        Ok(limit.page(rows, |row| row.number.to_string(), |row| release_view(row, &deployments)))
    }
}

/// What becomes unique with a release becomes so for the records that are there.
async fn hold_all_unique(
    work: &mut crate::work::Work<'_>,
    op: &Op,
    application: &str,
    to: Environment,
    served: &[Definition],
    published: &[Definition],
) -> Result<()> {
    for definition in published {
        let Some(("form", link_name)) = definition.component.split_once(':') else { continue };
        let former = served.iter().find(|one| one.component == definition.component);
        let former: Option<Form> = former.map(document).transpose()?;
        let form: Form = document(definition)?;
        let drawer =
            Drawer { organization: &op.organization, application, form: link_name, environment: to.as_str() };
        if let Some(shared) = hold_unique(work, drawer, former.as_ref(), &form).await? {
            let message = format!("{}: {}", definition.component, shared.message(to));
            return Err(Error::new(Code::StateConflict, message));
        }
    }
    Ok(())
}

fn target_error(field: &str) -> Error {
    Error::field(field, "invalid", "Publish to stage or to production.")
}
