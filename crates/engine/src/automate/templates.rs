//! Starting an application from a template: which connections fit, and everything made at once or not at all.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jackfield_core::connector::Connector;
use jackfield_core::templates::{self, ApplicationTemplate, Components, Made, Need, Question, Served};
use jackfield_core::{Action, Error, EventKind, FieldError, Resource, Result, allows, permit};
use jackfield_store::{Connection, ConnectionFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::automate::components::{Definable, Saved, Versions, component_of};
use crate::connect::connectors::{ConnectorCard, Found, card};
use crate::connect::references::list_application;
use crate::govern::applications::{ApplicationView, NewApplication, wrong_new};
use crate::work::Work;
use crate::{Engine, Op};

/// Connections that are looked at for one template at most.
const CONNECTIONS_MAX: i64 = 10_000;

/// An application that can be started from.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TemplateView {
    pub link_name: String,
    pub name: String,
    pub description: String,
    /// the connections that it needs
    pub needs: Vec<NeedView>,
    /// what else it asks
    pub questions: Vec<Question>,
    /// what is made
    pub components: Vec<TemplateComponent>,
    /// what stands in its way at this installation
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A connection that a template needs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NeedView {
    #[serde(flatten)]
    pub need: Need,
    /// the organization's connections that fit; absent in the list, and for those who make no applications
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fitting: Option<Vec<FittingView>>,
}

/// A connection that fits a need.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FittingView {
    /// link name of the connection
    pub connection: String,
    pub name: String,
    pub connector: ConnectorCard,
    /// the one of the need's `connectors` as which it is used
    pub serves_as: String,
}

/// A component that a template makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TemplateComponent {
    /// `workflow:push_vendor`
    pub component: String,
    pub name: String,
}

/// With what an application is started from a template.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateStart {
    /// display name of the application
    pub name: String,
    /// permanent and unique; derived from the name unless given
    pub link_name: Option<String>,
    /// the template's unless given
    pub description: Option<String>,
    /// name of a need → link name of a connection
    #[serde(default)]
    pub connections: BTreeMap<String, String>,
    /// name of a question → answer; what has a default can be left out
    #[serde(default)]
    pub answers: BTreeMap<String, String>,
}

/// An application that was started from a template.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StartedView {
    #[serde(flatten)]
    pub application: ApplicationView,
    /// what was made in it
    pub components: Vec<TemplateComponent>,
    /// what to do now
    pub next: String,
}

/// The components in the order in which they are made: what others name comes first.
fn listed(made: &Components) -> Vec<TemplateComponent> {
    fn of<D: Definable>(made: &[Made<D>]) -> impl Iterator<Item = TemplateComponent> {
        made.iter().map(|one| TemplateComponent {
            component: component_of(D::KIND, &one.link_name),
            name: one.name.clone(),
        })
    }
    of(&made.datasources)
        .chain(of(&made.forms))
        .chain(of(&made.workflows))
        .chain(of(&made.schedules))
        .collect()
}

/// What was asked for, checked.
struct Checked {
    components: Components,
    /// the connections that it uses, each once, in one order
    connections: BTreeSet<String>,
    /// what they were checked against
    versions: Versions,
}

/// A connector, and the version of it that a connection is on.
fn version_of(connection: &Connection) -> (String, Option<i64>) {
    (connection.connector.clone(), connection.connector_version)
}

impl Engine {
    fn template_view(&self, template: &'static ApplicationTemplate) -> Result<TemplateView> {
        let made = template.components(&template.stand_ins(), &template.examples());
        let made = made.map_err(Error::internal)?;
        let no_mail = template.mail && self.settings().mail.is_none();
        Ok(TemplateView {
            link_name: template.link_name.clone(),
            name: template.name.clone(),
            description: template.description.clone(),
            needs: template.needs.iter().map(|need| NeedView { need: need.clone(), fitting: None }).collect(),
            questions: template.questions.clone(),
            components: listed(&made),
            warning: no_mail.then(|| {
                "This installation has no mail server (JACKFIELD_SMTP_URL): its mails fail until there is one."
                    .to_owned()
            }),
        })
    }

    /// The applications to start from.
    pub fn list_templates(&self, op: &Op) -> Result<Vec<TemplateView>> {
        permit(&op.principal, Action::Read, &Resource::Applications)?;
        templates::all().iter().map(|template| self.template_view(template)).collect()
    }

    /// One of them. Those who make applications see which connections fit.
    pub async fn read_template(&self, op: &Op, link_name: &str) -> Result<TemplateView> {
        permit(&op.principal, Action::Read, &Resource::Applications)?;
        let template = find(link_name)?;
        let mut view = self.template_view(template)?;
        if permit(&op.principal, Action::Manage, &Resource::Applications).is_err() {
            return Ok(view);
        }
        let region = self.own_organization(&op.organization).await?.region.clone();
        let all = ConnectionFilter::default();
        let connections = self.store().connections(&op.organization, &all, "", CONNECTIONS_MAX).await?;
        let mut connectors = BTreeMap::new();
        for connection in &connections {
            if let Entry::Vacant(place) = connectors.entry(version_of(connection)) {
                place.insert(self.connector_of(connection).await?);
            }
        }
        for need in &mut view.needs {
            let fit = |(name, found): (&(String, Option<i64>), &Found)| {
                let variant = template.fit(&need.need, &found.connector, &region).ok()?;
                Some((name.clone(), variant.to_owned()))
            };
            let fits: BTreeMap<(String, Option<i64>), String> = connectors.iter().filter_map(fit).collect();
            let fitting = connections.iter().filter_map(|one| {
                Some(FittingView {
                    connection: one.link_name.clone(),
                    name: one.name.clone(),
                    serves_as: fits.get(&version_of(one))?.clone(),
                    connector: card(connectors.get(&version_of(one))?, &region),
                })
            });
            need.fitting = Some(fitting.collect());
        }
        Ok(view)
    }

    /// Link name and name of the templates that a connection fits, for those who make applications.
    pub async fn templates_for(
        &self,
        op: &Op,
        connection: &str,
    ) -> Result<Vec<(&'static str, &'static str)>> {
        if permit(&op.principal, Action::Manage, &Resource::Applications).is_err() {
            return Ok(Vec::new());
        }
        let region = self.own_organization(&op.organization).await?.region.clone();
        let connection = self.find_connection(op, connection).await?;
        let connector = self.connector_of(&connection).await?.connector;
        let fits = |template: &&ApplicationTemplate| {
            template.needs.iter().any(|need| template.fit(need, &connector, &region).is_ok())
        };
        let fitting = templates::all().iter().filter(fits);
        Ok(fitting.map(|template| (template.link_name.as_str(), template.name.as_str())).collect())
    }

    /// Makes an application with everything that its template has in it. What is wrong is said of all at once, and then nothing is made.
    pub async fn start_from_template(
        &self,
        op: &Op,
        link_name: &str,
        start: TemplateStart,
    ) -> Result<StartedView> {
        let permit = permit(&op.principal, Action::Manage, &Resource::Applications)?;
        let template = find(link_name)?;
        let TemplateStart { name, link_name, description, connections, answers } = start;
        let description = description.unwrap_or_else(|| template.description.clone());
        let new = NewApplication { name, link_name, description: Some(description) };
        let mut wrong = wrong_new(&new);
        let checked = self.check_start(op, template, &connections, &answers, &mut wrong).await?;
        let Some(checked) = checked.filter(|_| wrong.is_empty()) else { return Err(Error::invalid(wrong)) };

        let (mut work, application) = self.begin_application(permit, op, new).await?;
        work.record(
            op.event(EventKind::ApplicationCreated)
                .to(&application.link_name)
                .with("name", application.name.as_str())
                .with("template", template.link_name.as_str()),
        );
        for connection in &checked.connections {
            self.allow_new(&mut work, op, connection, &application.link_name, &connections).await?;
        }
        let components = listed(&checked.components);
        let into = application.link_name.clone();
        let Components { datasources, forms, workflows, schedules } = checked.components;
        let into = (into.as_str(), &checked.versions);
        self.save_all(&mut work, op, into, datasources).await?;
        self.save_all(&mut work, op, into, forms).await?;
        self.save_all(&mut work, op, into, workflows).await?;
        self.save_all(&mut work, op, into, schedules).await?;
        let view = StartedView { application: application.into(), components, next: template.next.clone() };
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        self.inner.ticker.wake();
        Ok(view)
    }

    /// Everything that is wrong with what was given. `None`: so much that its parts cannot be made.
    async fn check_start(
        &self,
        op: &Op,
        template: &'static ApplicationTemplate,
        connections: &BTreeMap<String, String>,
        answers: &BTreeMap<String, String>,
        wrong: &mut Vec<FieldError>,
    ) -> Result<Option<Checked>> {
        let organization = self.own_organization(&op.organization).await?;
        let region = &organization.region;
        let (mut served, mut connectors, mut versions) = (BTreeMap::new(), BTreeMap::new(), Versions::new());
        let before = wrong.len();
        for need in &template.needs {
            let path = format!("connections.{}", need.name);
            let mut refuse = |code: &str, message: String| wrong.push(FieldError::new(&path, code, message));
            let Some(link_name) = connections.get(&need.name).filter(|name| !name.is_empty()) else {
                let message = format!("Say the link name of a connection. {}", need.purpose);
                refuse("required", message);
                continue;
            };
            let Some(connection) = self.store().connection(&op.organization, link_name).await? else {
                refuse("unknown", format!("There is no connection {link_name:?}."));
                continue;
            };
            let found = self.connector_of(&connection).await?;
            let connector: Arc<Connector> = found.connector;
            match template.fit(need, &connector, region) {
                Err(why) => {
                    let message = format!(
                        "A connection of {} cannot do what is needed here: {why} Choose one of {}, or of a connector that can do the same.",
                        connector.name,
                        need.connectors.join(", ")
                    );
                    refuse("invalid", message);
                }
                Ok(variant) => {
                    let managed_by_admins = organization.managed_by_admins();
                    if let Some(why) = may_not_allow(op, &connection, managed_by_admins) {
                        refuse("not_allowed", why);
                    }
                    let one = Served { connection: link_name.clone(), variant: variant.to_owned() };
                    served.insert(need.name.clone(), one);
                    connectors.insert(link_name.clone(), connector);
                    versions.extend(connection.connector_version.map(|number| (link_name.clone(), number)));
                }
            }
        }
        for name in connections.keys().filter(|name| template.need(name).is_none()) {
            let message = format!("The template has no such need. It has {}.", needs_of(template));
            wrong.push(FieldError::new(format!("connections.{name}"), "unknown", message));
        }
        let known = |name: &&String| !template.questions.iter().any(|question| question.name == **name);
        for name in answers.keys().filter(known) {
            wrong.push(FieldError::new(
                format!("answers.{name}"),
                "unknown",
                "The template does not ask this.",
            ));
        }
        let mut given = BTreeMap::new();
        for question in &template.questions {
            let path = format!("answers.{}", question.name);
            let answer =
                answers.get(&question.name).map(|answer| answer.trim()).filter(|answer| !answer.is_empty());
            let Some(answer) = answer.or(question.default.as_deref()) else {
                wrong.push(FieldError::new(path, "required", format!("Say it: {}.", question.label)));
                continue;
            };
            if let Some(why) = template.misanswer(question, answer, &served, &connectors, region) {
                wrong.push(FieldError::new(path, "invalid", why));
            }
            given.insert(question.name.clone(), answer.to_owned());
        }
        if let Some((question, why)) = template.clash(&given, connectors.values().map(Arc::as_ref)) {
            let path = format!("answers.{}", question.name);
            if !wrong.iter().any(|error| error.field == path) {
                wrong.push(FieldError::new(path, "invalid", why));
            }
        }
        if wrong.len() > before {
            return Ok(None);
        }
        let components = template.components(&served, &given).map_err(Error::internal)?;
        // Each answer may be right by itself: an amount that the currency does not have.
        wrong.extend(components.check(connectors.clone(), region).into_iter().map(|error| FieldError {
            message: format!("{} ({})", error.message, error.field),
            field: "answers".to_owned(),
            ..error
        }));
        Ok(Some(Checked { components, connections: connectors.into_keys().collect(), versions }))
    }

    /// Sees that a connection is there and that the new application may use it, in the transaction that makes the application.
    async fn allow_new(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        link_name: &str,
        application: &str,
        asked: &BTreeMap<String, String>,
    ) -> Result<()> {
        let need = asked.iter().find(|(_, connection)| *connection == link_name);
        let path = format!("connections.{}", need.map_or("", |(need, _)| need));
        work.hold_connection(&op.organization, link_name).await?;
        let Some(connection) = work.connection(&op.organization, link_name).await? else {
            return Err(Error::field(path, "unknown", format!("There is no connection {link_name:?}.")));
        };
        if allows(&connection.applications, application) {
            return Ok(());
        }
        // What was read before may have changed since.
        let managed_by_admins = self.own_organization(&op.organization).await?.managed_by_admins();
        if let Some(why) = may_not_allow(op, &connection, managed_by_admins) {
            return Err(Error::field(path, "not_allowed", why));
        }
        list_application(work, op, connection, application, true).await
    }

    async fn save_all<D: Definable>(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        (application, versions): (&str, &Versions),
        made: Vec<Made<D>>,
    ) -> Result<()> {
        for Made { link_name, name, definition } in made {
            let (link_name, definition, looked_at) = (link_name.as_str(), &definition, Some(versions));
            self.save(work, op, Saved { application, link_name, name, definition, looked_at }).await?;
        }
        Ok(())
    }
}

fn find(link_name: &str) -> Result<&'static ApplicationTemplate> {
    templates::get(link_name).ok_or_else(|| Error::not_found(format_args!("template {link_name:?}")))
}

fn needs_of(template: &ApplicationTemplate) -> String {
    template.needs.iter().map(|need| need.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Why the caller may not have one more application use a connection that names those that may; `None`: he may, or all may.
fn may_not_allow(op: &Op, connection: &Connection, managed_by_admins: bool) -> Option<String> {
    if allows(&connection.applications, "*") {
        return None;
    }
    let (level, applications) = (connection.level, &connection.applications);
    let resource = Resource::Connection { level, managed_by_admins, applications };
    permit(&op.principal, Action::Manage, &resource).err().map(|error| {
        format!(
            "This connection is for certain applications only, and you may not add one: {} Choose another, or ask an admin to start the application.",
            error.detail
        )
    })
}
