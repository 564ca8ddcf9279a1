//! What an environment of an application serves: its forms, workflows, schedules and datasources, read once and kept in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jackfield_core::datasource::Datasource;
use jackfield_core::form::Form;
use jackfield_core::schedule::Schedule;
use jackfield_core::workflow::{Workflow, WorkflowAction};
use jackfield_core::{Environment, Error, Result};
use jackfield_store::Definition;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Engine;
use crate::automate::datasources::LiveDatasource;
use crate::hot::Epochs;

/// Organization, application, environment; parted by a character that none of them can hold.
pub(crate) type Place = String;

/// Components that one application may have of what is built here.
pub(crate) const COMPONENTS_MAX: i64 = 1000;

/// Members who are remembered at most.
const SUBMITTERS_MAX: usize = 10_000;

/// A form as it is served.
pub(crate) struct LiveForm {
    pub name: String,
    pub form: Form,
}

/// A workflow as it is served.
pub(crate) struct LiveWorkflow {
    pub link_name: String,
    pub version: i64,
    pub workflow: Workflow,
}

/// What a run carries out.
#[derive(Clone)]
pub(crate) enum Work {
    Workflow(Arc<LiveWorkflow>),
    Schedule(Arc<Schedule>),
    Datasource(Arc<LiveDatasource>),
}

impl Work {
    /// Where it does not hold, nothing runs.
    pub fn condition(&self) -> Option<&str> {
        match self {
            Self::Workflow(live) => live.workflow.condition.as_deref(),
            Self::Schedule(_) | Self::Datasource(_) => None,
        }
    }

    pub fn actions(&self) -> &[WorkflowAction] {
        match self {
            Self::Workflow(live) => &live.workflow.actions,
            Self::Schedule(schedule) => &schedule.actions,
            Self::Datasource(live) => &live.actions,
        }
    }
}

/// What an environment serves.
pub(crate) struct Live {
    epochs: Epochs,
    /// id of the application, where there is one
    application: Option<String>,
    /// by id: members who set runs off, as expressions see them
    submitters: Mutex<HashMap<String, Arc<Value>>>,
    forms: BTreeMap<String, Arc<LiveForm>>,
    schedules: BTreeMap<String, Arc<Schedule>>,
    datasources: BTreeMap<String, Arc<LiveDatasource>>,
    /// in the order in which they were made
    workflows: Vec<Arc<LiveWorkflow>>,
}

impl Live {
    /// Id of the application; 404 where it is gone.
    pub fn application(&self, link_name: &str) -> Result<&str> {
        let gone = || Error::not_found(format_args!("application {link_name:?}"));
        self.application.as_deref().ok_or_else(gone)
    }

    fn submitters(&self) -> MutexGuard<'_, HashMap<String, Arc<Value>>> {
        self.submitters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The form; 404 where this environment serves none of that name.
    pub fn form(&self, link_name: &str) -> Result<Arc<LiveForm>> {
        self.forms
            .get(link_name)
            .cloned()
            .ok_or_else(|| Error::not_found(format_args!("form {link_name:?} in this environment")))
    }

    /// What a component does: `workflow:push`.
    pub fn work(&self, component: &str) -> Option<Work> {
        match component.split_once(':')? {
            ("workflow", name) => {
                self.workflows.iter().find(|live| live.link_name == name).cloned().map(Work::Workflow)
            }
            ("schedule", name) => self.schedules.get(name).cloned().map(Work::Schedule),
            ("datasource", name) => self.datasources.get(name).cloned().map(Work::Datasource),
            _ => None,
        }
    }

    /// The datasource of a link name.
    pub fn datasource(&self, link_name: &str) -> Option<Arc<Datasource>> {
        self.datasources.get(link_name).map(|live| Arc::clone(&live.datasource))
    }

    /// The workflows of a form, in the order in which they were made.
    pub fn workflows_of<'a>(&'a self, form: &'a str) -> impl Iterator<Item = &'a Arc<LiveWorkflow>> {
        self.workflows.iter().filter(move |live| live.workflow.enabled && live.workflow.form == form)
    }
}

/// The document of a definition. One that cannot be read any more is a fault of ours.
pub(crate) fn document<D: DeserializeOwned>(definition: &Definition) -> Result<D> {
    serde_json::from_str(&definition.document).map_err(|error| {
        Error::internal(format!("the definition of {} cannot be read: {error}", definition.component))
    })
}

impl Engine {
    /// What an environment serves, from memory where it is there.
    pub(crate) async fn live(
        &self,
        organization: &str,
        application: &str,
        environment: Environment,
    ) -> Result<Arc<Live>> {
        let place = [organization, application, environment.as_str()].join("\n");
        if let Some(known) = self.inner.live.get(&place).filter(|live| live.epochs.hold()) {
            return Ok(known);
        }
        let epochs = self.inner.hot.depend(&[organization]);
        let application_id = self.store().application(organization, application).await?.map(|found| found.id);
        let mut definitions = self.served_definitions(organization, application, environment).await?;
        definitions.sort_by_key(|definition| definition.first_at);
        let (mut forms, mut workflows) = (BTreeMap::new(), Vec::new());
        let (mut schedules, mut datasources) = (BTreeMap::new(), BTreeMap::new());
        for definition in definitions {
            match definition.component.split_once(':') {
                Some(("form", link_name)) => {
                    let form = LiveForm { form: document(&definition)?, name: definition.name };
                    forms.insert(link_name.to_owned(), Arc::new(form));
                }
                Some(("workflow", link_name)) => workflows.push(Arc::new(LiveWorkflow {
                    link_name: link_name.to_owned(),
                    version: definition.version,
                    workflow: document(&definition)?,
                })),
                Some(("schedule", link_name)) => {
                    schedules.insert(link_name.to_owned(), Arc::new(document(&definition)?));
                }
                Some(("datasource", link_name)) => {
                    let live = LiveDatasource::new(link_name, document(&definition)?);
                    datasources.insert(link_name.to_owned(), Arc::new(live));
                }
                _ => {}
            }
        }
        let submitters = Mutex::default();
        let live = Arc::new(Live {
            epochs,
            application: application_id,
            submitters,
            forms,
            schedules,
            datasources,
            workflows,
        });
        self.inner.live.insert(place, Arc::clone(&live));
        Ok(live)
    }

    /// Who set something off, as expressions see him. Changes of members end what is served, and what is known of them here with it.
    pub(crate) async fn submitter(&self, live: &Live, organization: &str, id: &str) -> Result<Arc<Value>> {
        if let Some(known) = live.submitters().get(id) {
            return Ok(Arc::clone(known));
        }
        let member = if id.is_empty() { None } else { self.store().member(organization, id).await? };
        let seen = Arc::new(match member {
            Some(member) => json!({"id": member.id, "name": member.name, "email": member.email}),
            None => json!({"id": Some(id).filter(|id| !id.is_empty()), "name": null, "email": null}),
        });
        let mut all = live.submitters();
        if all.len() >= SUBMITTERS_MAX {
            all.clear();
        }
        all.insert(id.to_owned(), Arc::clone(&seen));
        drop(all);
        Ok(seen)
    }

    /// Development serves the latest versions, the other environments those of a release.
    pub(crate) async fn served_definitions(
        &self,
        organization: &str,
        application: &str,
        environment: Environment,
    ) -> Result<Vec<Definition>> {
        if environment == Environment::Development {
            return Ok(self
                .store()
                .current_definitions(organization, application, "", "~", COMPONENTS_MAX)
                .await?);
        }
        let deployments = self.store().deployments(organization, application).await?;
        match deployments.into_iter().find(|deployment| deployment.environment == environment) {
            None => Ok(Vec::new()),
            Some(deployment) => self.released(organization, application, deployment.release).await,
        }
    }

    /// The definitions that a release holds.
    pub(crate) async fn released(
        &self,
        organization: &str,
        application: &str,
        number: i64,
    ) -> Result<Vec<Definition>> {
        let release = self.store().release(organization, application, number).await?;
        let release = release.ok_or_else(|| Error::not_found(format_args!("release {number}")))?;
        let mut all = Vec::with_capacity(release.contents.len());
        for (component, version) in &release.contents {
            let found = self.store().definition(organization, application, component, *version).await?;
            all.push(
                found
                    .ok_or_else(|| Error::internal(format!("{component} {version} of a release is gone")))?,
            );
        }
        Ok(all)
    }
}
