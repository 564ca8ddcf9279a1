//! Applications: made, listed, changed, deleted; who has access to them, and the keys with which they call.

use jackfield_core::id::Prefix;
use jackfield_core::{
    Action, Environment, Error, EventKind, FieldError, KeyScope, KeyScopes, Permit, Principal, Resource,
    Result, Role, Timestamp, names, permit,
};
use jackfield_store::{Access, ApiKey, Application, KeyOwner};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::clock::new_id;
use crate::connect::connectors::link_name_taken;
use crate::govern::keys::{self, KeyView};
use crate::govern::organizations::version_conflict;
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op};

/// Longest description, in characters.
const DESCRIPTION_MAX: usize = 1000;

/// What a new application is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApplication {
    /// display name, not unique
    pub name: String,
    /// permanent and unique; derived from the name unless given
    pub link_name: Option<String>,
    pub description: Option<String>,
}

/// What is to change. What is absent stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationPatch {
    pub name: Option<String>,
    pub description: Option<String>,
    /// the version that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

/// An application.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApplicationView {
    pub id: String,
    pub link_name: String,
    pub name: String,
    pub description: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// give it back with a change, so that nobody's change is overwritten
    pub version: i64,
}

/// Who is to have access.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccess {
    /// id of a member
    pub member: String,
}

/// A member who has access to an application.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccessView {
    /// id of the member
    pub member: String,
    pub name: String,
    pub role: Role,
    /// false: he was deactivated, and his access is of no use to him
    pub active: bool,
    /// since when he has access
    pub created_at: Timestamp,
}

/// A key of an application, without the key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApplicationKeyView {
    #[serde(flatten)]
    pub view: KeyView,
    /// the one environment that it reaches
    pub environment: Environment,
}

/// A new key of an application: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct NewApplicationKeyView {
    #[serde(flatten)]
    pub view: ApplicationKeyView,
    /// `jfa_…`; keep it now
    pub key: String,
}

/// What a new key of an application is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApplicationKey {
    /// what it is for
    pub name: String,
    /// the one environment that it reaches
    pub environment: Environment,
    /// what it may be used for: `read`, `use`, `act_for`; all of them unless told
    pub scopes: Option<Vec<KeyScope>>,
    /// days until it expires; never, when absent
    pub expires_in_days: Option<u32>,
}

impl From<Application> for ApplicationView {
    fn from(application: Application) -> Self {
        Self {
            id: application.id,
            link_name: application.link_name,
            name: application.name,
            description: application.description,
            created_by: application.created_by,
            created_at: application.created_at,
            updated_at: application.updated_at,
            version: application.version,
        }
    }
}

impl From<Access> for AccessView {
    fn from(access: Access) -> Self {
        Self {
            member: access.member_id,
            name: access.name,
            role: access.role,
            active: access.active,
            created_at: access.created_at,
        }
    }
}

fn missing(link_name: &str) -> Error {
    Error::not_found(format_args!("application {link_name:?}"))
}

/// An application and whether the caller is a member with access to it: what [`permit`] has to know.
pub(crate) struct Found {
    pub application: Application,
    access: bool,
}

impl Found {
    pub fn whole(&self) -> Resource<'_> {
        Resource::Application { link_name: &self.application.link_name, access: self.access }
    }

    /// A record of one of its forms.
    pub fn record<'a>(&'a self, owner: &'a str) -> Resource<'a> {
        Resource::Record { link_name: &self.application.link_name, access: self.access, owner }
    }

    /// The runs of its workflows.
    pub fn runs(&self) -> Resource<'_> {
        Resource::Runs { link_name: &self.application.link_name, access: self.access }
    }

    /// Its members and keys, which are not for everybody who sees the application.
    pub fn inner(&self) -> Resource<'_> {
        Resource::ApplicationAccess { link_name: &self.application.link_name, access: self.access }
    }
}

fn wrong_texts(name: Option<&str>, description: Option<&str>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if let Some(Err(why)) = name.map(names::display_name) {
        wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
    }
    let fits = |text: &str| {
        text.chars().count() <= DESCRIPTION_MAX && !text.chars().any(|c| c.is_control() && c != '\n')
    };
    if description.is_some_and(|text| !fits(text)) {
        let message = format!(
            "The description must have at most {DESCRIPTION_MAX} characters and no control characters but line ends."
        );
        wrong.push(FieldError::new("description", "invalid", message));
    }
    wrong
}

/// What is wrong with what a new application is to be.
pub(crate) fn wrong_new(new: &NewApplication) -> Vec<FieldError> {
    let mut wrong = wrong_texts(Some(&new.name), new.description.as_deref());
    if let Some(Err(why)) = new.link_name.as_deref().map(names::link_name) {
        wrong.push(FieldError::new("link_name", "invalid", format!("The link name {why}.")));
    }
    wrong
}

impl Engine {
    /// The application, if it is there; whether it may be seen is for [`permit`].
    pub(crate) async fn find_application(&self, op: &Op, link_name: &str) -> Result<Found> {
        let found = self.store().application(&op.organization, link_name).await?;
        let application = found.ok_or_else(|| missing(link_name))?;
        let access = match &op.principal {
            // Only of a user it is asked.
            Principal::Member { id, role: Role::User, .. } => {
                self.store().has_access(&op.organization, link_name, id).await?
            }
            _ => false,
        };
        Ok(Found { application, access })
    }

    pub async fn create_application(&self, op: &Op, new: NewApplication) -> Result<ApplicationView> {
        let permit = permit(&op.principal, Action::Manage, &Resource::Applications)?;
        let wrong = wrong_new(&new);
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let (mut work, application) = self.begin_application(permit, op, new).await?;
        work.record(
            op.event(EventKind::ApplicationCreated)
                .to(&application.link_name)
                .with("name", application.name.as_str()),
        );
        let view = ApplicationView::from(application);
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        Ok(view)
    }

    /// A transaction in which there is a new application, whose texts were checked.
    pub(crate) async fn begin_application(
        &self,
        permit: Permit,
        op: &Op,
        new: NewApplication,
    ) -> Result<(Work<'_>, Application)> {
        let derived = names::link_name_or(&new.name, "application");
        let wanted = new.link_name.as_deref().unwrap_or(&derived);
        let mut application = Application {
            organization_id: op.organization.to_string(),
            link_name: String::new(),
            id: new_id(Prefix::Application, op.now),
            name: new.name,
            description: new.description.unwrap_or_default(),
            created_by: op.principal.member().unwrap_or_default().to_owned(),
            created_at: op.now,
            updated_at: op.now,
            version: 1,
        };
        for n in 1..1000 {
            application.link_name = names::numbered(wanted, n);
            let mut work = self.begin(permit).await?;
            match work.insert_application(&application).await {
                Ok(()) => return Ok((work, application)),
                Err(error) if error.is_unique("applications_pkey") && new.link_name.is_none() => {}
                Err(error) if error.is_unique("applications_pkey") => return Err(link_name_taken(wanted)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(link_name_taken(wanted))
    }

    /// A user gets those to which he has access, an application itself.
    pub async fn list_applications(&self, op: &Op, query: &PageQuery) -> Result<Page<ApplicationView>> {
        permit(&op.principal, Action::Read, &Resource::Applications)?;
        let (limit, after) = (query.limit()?, query.after()?);
        let rows = match &op.principal {
            Principal::Application { id, .. } => {
                let own = self.store().application_by_id(&op.organization, id).await?;
                own.into_iter().filter(|own| own.link_name > after).collect()
            }
            Principal::Member { id, role, .. } => {
                let member = if *role == Role::User { id.as_str() } else { "" };
                self.store().applications(&op.organization, member, &after, limit.rows()).await?
            }
        };
        Ok(limit.page(rows, |row| row.link_name.clone(), ApplicationView::from))
    }

    pub async fn read_application(&self, op: &Op, link_name: &str) -> Result<ApplicationView> {
        let found = self.find_application(op, link_name).await?;
        permit(&op.principal, Action::Read, &found.whole())?;
        Ok(found.application.into())
    }

    pub async fn update_application(
        &self,
        op: &Op,
        link_name: &str,
        patch: ApplicationPatch,
    ) -> Result<ApplicationView> {
        let found = self.find_application(op, link_name).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let mut application = found.application;
        if patch.version.is_some_and(|version| version != application.version) {
            return Err(conflict(application));
        }
        let wrong = wrong_texts(patch.name.as_deref(), patch.description.as_deref());
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let mut event = op.event(EventKind::ApplicationUpdated).to(link_name);
        if let Some(name) = patch.name {
            event = event.with("name", name.as_str());
            application.name = name;
        }
        if let Some(description) = patch.description {
            event = event.with("description", description.as_str());
            application.description = description;
        }
        application.updated_at = op.now;
        let mut work = self.begin(permit).await?;
        if !work.update_application(&application).await? {
            let current = self.find_application(op, link_name).await?;
            return Err(conflict(current.application));
        }
        application.version += 1;
        work.record(event);
        work.commit().await?;
        Ok(application.into())
    }

    /// Deletes an application: its keys end, its components with their references, records and runs are gone, and no connection's list names
    /// it any more, so that a later application of the same link name inherits nothing.
    pub async fn delete_application(&self, op: &Op, link_name: &str) -> Result<()> {
        let found = self.find_application(op, link_name).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let mut work = self.begin(permit).await?;
        if !work.delete_application(&op.organization, link_name).await? {
            return Err(missing(link_name));
        }
        let keys = work.revoke_application_keys(&op.organization, &found.application.id, op.now).await?;
        for (connection, applications) in work.forget_application(&op.organization, link_name, op.now).await?
        {
            work.record(
                op.event(EventKind::ConnectionUpdated)
                    .on_connection(&connection)
                    .with("applications", applications),
            );
        }
        work.end_schedules(&op.organization, link_name).await?;
        work.end_tables(&op.organization, link_name).await?;
        work.end_runs(&op.organization, link_name).await?;
        work.end_payments(&op.organization, link_name).await?;
        work.end_webhook_secrets(&op.organization, link_name).await?;
        work.end_records(&op.organization, link_name).await?;
        work.end_imports(&op.organization, link_name).await?;
        work.end_definitions(&op.organization, link_name).await?;
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::ApplicationDeleted)
                .to(link_name)
                .with("name", found.application.name)
                .with("keys", keys),
        );
        work.commit().await
    }

    pub async fn list_access(&self, op: &Op, link_name: &str, query: &PageQuery) -> Result<Page<AccessView>> {
        let found = self.find_application(op, link_name).await?;
        permit(&op.principal, Action::Read, &found.inner())?;
        let (limit, after) = (query.limit()?, query.after()?);
        let rows = self.store().access(&op.organization, link_name, &after, limit.rows()).await?;
        Ok(limit.page(rows, |row| row.member_id.clone(), AccessView::from))
    }

    /// Gives a member access. Whoever has it keeps it.
    pub async fn grant_access(&self, op: &Op, link_name: &str, new: NewAccess) -> Result<AccessView> {
        let found = self.find_application(op, link_name).await?;
        let permit = permit(&op.principal, Action::Manage, &found.inner())?;
        let member = self.store().member(&op.organization, &new.member).await?.ok_or_else(|| {
            Error::field("member", "unknown", "There is no member with this id in the organization.")
        })?;
        let mut work = self.begin(permit).await?;
        if !work.hold_application(&op.organization, link_name).await? {
            return Err(missing(link_name));
        }
        if work.grant_access(&op.organization, link_name, &member.id, op.now).await? {
            work.record(
                op.event(EventKind::ApplicationMemberAdded).to(link_name).with("member", member.id.as_str()),
            );
        }
        let view = AccessView {
            member: member.id,
            name: member.name,
            role: member.role,
            active: member.active,
            created_at: op.now,
        };
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        Ok(view)
    }

    pub async fn withdraw_access(&self, op: &Op, link_name: &str, member: &str) -> Result<()> {
        let found = self.find_application(op, link_name).await?;
        let permit = permit(&op.principal, Action::Manage, &found.inner())?;
        let mut work = self.begin(permit).await?;
        if !work.withdraw_access(&op.organization, link_name, member).await? {
            return Err(Error::not_found(format_args!("member {member:?} with access to {link_name:?}")));
        }
        work.record(op.event(EventKind::ApplicationMemberRemoved).to(link_name).with("member", member));
        work.commit().await
    }

    pub async fn list_application_keys(
        &self,
        op: &Op,
        link_name: &str,
        query: &PageQuery,
    ) -> Result<Page<ApplicationKeyView>> {
        let found = self.find_application(op, link_name).await?;
        permit(&op.principal, Action::Read, &found.inner())?;
        let (limit, after) = (query.limit()?, query.after()?);
        let id = &found.application.id;
        let mut views = Vec::new();
        for row in self.store().application_keys(&op.organization, id, &after, limit.rows()).await? {
            views.push(key_view(row)?);
        }
        Ok(limit.page(views, |view| view.view.id.clone(), |view| view))
    }

    pub async fn create_application_key(
        &self,
        op: &Op,
        link_name: &str,
        new: NewApplicationKey,
    ) -> Result<NewApplicationKeyView> {
        let found = self.find_application(op, link_name).await?;
        let permit = permit(&op.principal, Action::Manage, &found.inner())?;
        let application = found.application;
        let expires_at = keys::checked(&new.name, new.expires_in_days, op.now)?;
        // A key that acts for people uses their own accounts: a developer could make one for himself, so that admins alone hand it out.
        let possible = if op.principal.role().is_some_and(Role::is_admin) {
            KeyScopes::APPLICATION
        } else {
            KeyScopes::of(&[KeyScope::Read, KeyScope::Use])
        };
        let scopes = keys::asked_scopes(new.scopes.as_deref(), possible)?;
        let owner = KeyOwner::Application { id: application.id, environment: new.environment };
        let fresh = keys::Fresh { owner, name: &new.name, scopes, expires_at };
        let mut work = self.begin(permit).await?;
        // Whoever deletes the application ends its keys; none may come after that.
        if !work.hold_application(&op.organization, link_name).await? {
            return Err(missing(link_name));
        }
        let (key, row) = keys::insert(&mut work, &op.organization, fresh, op.now).await?;
        work.record(
            op.event(EventKind::KeyCreated)
                .to(&row.id)
                .with("name", row.name.as_str())
                .with("application", link_name)
                .with("environment", new.environment.as_str())
                .with("scopes", keys::words(scopes)),
        );
        let view = NewApplicationKeyView { view: key_view(row)?, key: key.expose_secret().to_owned() };
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        Ok(view)
    }

    pub async fn revoke_application_key(&self, op: &Op, link_name: &str, id: &str) -> Result<()> {
        let found = self.find_application(op, link_name).await?;
        let permit = permit(&op.principal, Action::Manage, &found.inner())?;
        let key = self.store().key(&op.organization, id).await?.filter(|key| key.revoked_at.is_none());
        let key = key.filter(|key| match &key.owner {
            KeyOwner::Application { id, .. } => *id == found.application.id,
            KeyOwner::Member(_) => false,
        });
        let key = key.ok_or_else(|| Error::not_found("key"))?;
        let mut work = self.begin(permit).await?;
        if !work.revoke_key(&op.organization, id, op.now).await? {
            return Err(Error::not_found("key"));
        }
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::KeyRevoked).to(id).with("name", key.name).with("application", link_name),
        );
        work.commit().await
    }

    /// Whether these stand for applications, in the transaction of whoever writes them down: none of them is deleted before it ends.
    /// `field` is where they stand in the input.
    pub(crate) async fn hold_applications(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        field: &str,
        names: &[String],
    ) -> Result<()> {
        // In one order, whoever comes: two who wait for each other would wait for ever.
        let mut sorted: Vec<_> = names.iter().enumerate().filter(|(_, name)| *name != "*").collect();
        sorted.sort_by_key(|(_, name)| *name);
        let mut wrong = Vec::new();
        for (at, name) in sorted {
            if !work.hold_application(&op.organization, name).await? {
                let message = format!("There is no application {name:?}.");
                wrong.push(FieldError::new(format!("{field}.{at}"), "unknown", message));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong)) }
    }
}

fn conflict(current: Application) -> Error {
    version_conflict().with_extension("current", json!(ApplicationView::from(current)))
}

fn key_view(key: ApiKey) -> Result<ApplicationKeyView> {
    let KeyOwner::Application { environment, .. } = key.owner else {
        return Err(Error::internal("a key of an application belongs to a member"));
    };
    Ok(ApplicationKeyView { view: key.into(), environment })
}
