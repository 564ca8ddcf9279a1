//! Setting up the store, adding organizations, and what an organization may change of itself.

use jackfield_core::id::Prefix;
use jackfield_core::{
    Action, Brand, Code, Error, EventKind, FieldError, KeyScopes, Permit, Resource, Result, Role, Timestamp,
    names, permit,
};
use jackfield_store::{KeyOwner, Member, Organization};
use jackfield_vault::{password, token};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::new_id;
use crate::govern::audit::{Actor, Event};
use crate::govern::plan::LimitsView;
use crate::govern::{keys, passwords};
use crate::work::Work;
use crate::{Engine, Op};

const SET_UP: &str = "set_up";
const SET_UP_TOKEN: &str = "set_up_token";
/// Where an organization lives unless it says otherwise.
const DEFAULT_REGION: &str = "us";
/// A self-hosted installation has no limits.
const DEFAULT_PLAN: &str = jackfield_core::plan::UNLIMITED;

/// A new organization and its super admin. The password and the key are shown this once.
pub struct NewOrganization {
    pub organization: String,
    pub email: String,
    pub password: SecretString,
    pub key: SecretString,
}

/// An organization, as its members see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrganizationView {
    pub id: String,
    pub name: String,
    /// data centre: decides regional hosts
    pub region: String,
    pub plan: String,
    /// what the plan allows and what is used of it
    pub limits: LimitsView,
    /// who creates and edits connections: `developers` (and admins) or `admins` only
    pub connections_managed_by: String,
    /// link names of the connectors that are the organization's own suite: integrations that target them get a system connection
    pub suite: Vec<String>,
    /// how the connect pages look, and who may show them in a frame
    pub brand: Brand,
    pub created_at: Timestamp,
    pub version: i64,
}

/// Who is calling.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    pub id: String,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub organization: OrganizationView,
}

/// Who is signed in, and where: what stands on every page.
pub struct SignedIn {
    pub member: String,
    pub name: String,
    pub email: String,
    pub role: Role,
    pub organization: String,
    /// data centre of the organization
    pub region: String,
    /// whether only admins make connections and connectors
    pub managed_by_admins: bool,
    /// how the connect pages look
    pub brand: Brand,
}

/// What may be changed of an organization.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationPatch {
    pub name: Option<String>,
    /// data centre, such as `us`, `eu`, `in`, `au`
    pub region: Option<String>,
    /// `developers` or `admins`
    pub connections_managed_by: Option<String>,
    /// link names of the connectors that are the organization's own suite; only the super admin changes it
    pub suite: Option<Vec<String>>,
    /// how the connect pages look, as a whole
    pub brand: Option<Brand>,
    /// the version that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

fn view(o: Organization, limits: LimitsView) -> OrganizationView {
    OrganizationView {
        id: o.id,
        name: o.name,
        region: o.region,
        plan: o.plan,
        limits,
        connections_managed_by: o.connections_managed_by,
        suite: o.suite,
        brand: o.brand,
        created_at: o.created_at,
        version: o.version,
    }
}

fn wrong_region(region: &str) -> Option<FieldError> {
    let fits =
        (1..=16).contains(&region.len()) && region.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (!fits)
        .then(|| FieldError::new("region", "invalid", "The region is a short word such as us, eu, in or au."))
}

pub(crate) fn check_email(email: &str) -> Result<(), &'static str> {
    // RFC 5321 leaves the proof to the mail server: one @, something on both sides, nothing that would break a header.
    let fits = email.len() <= 254
        && email
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'))
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits { Ok(()) } else { Err("must be an e-mail address such as ada@example.com") }
}

impl Engine {
    /// Whether nobody has set this store up yet.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.store().is_empty().await?)
    }

    /// Makes the first organization of an empty store, and its super admin. Refuses a store that is set up already.
    pub async fn set_up(
        &self,
        organization: &str,
        email: &str,
        region: Option<&str>,
        password: Option<SecretString>,
        now: Timestamp,
    ) -> Result<NewOrganization> {
        let mut work = self.begin(Permit::housekeeping("nobody is there yet who could be asked")).await?;
        if !work.claim_installation(SET_UP, now.to_string().as_bytes()).await? {
            return Err(Error::new(
                Code::StateConflict,
                "This store is set up already. To add an organization use `jackfield organizations create`.",
            ));
        }
        work.delete_installation(SET_UP_TOKEN).await?;
        let made = self.add(&mut work, (organization, email, region), password, now).await?;
        work.commit().await?;
        Ok(made)
    }

    /// Adds an organization to a store, also while it is served. The operator decides that, on the machine itself.
    pub async fn create_organization(
        &self,
        organization: &str,
        email: &str,
        now: Timestamp,
    ) -> Result<NewOrganization> {
        if self.is_empty().await? {
            return Err(Error::new(
                Code::StateConflict,
                "This store is not set up yet. Use `jackfield init` first.",
            ));
        }
        let mut work =
            self.begin(Permit::housekeeping("the operator adds organizations by the command line")).await?;
        let made = self.add(&mut work, (organization, email, None), None, now).await?;
        work.commit().await?;
        Ok(made)
    }

    async fn add(
        &self,
        work: &mut Work<'_>,
        (organization, email, region): (&str, &str, Option<&str>),
        password: Option<SecretString>,
        now: Timestamp,
    ) -> Result<NewOrganization> {
        let mut wrong = Vec::new();
        if let Err(why) = names::display_name(organization) {
            wrong.push(FieldError::new("organization", "invalid", format!("The organization's name {why}.")));
        }
        if let Err(why) = check_email(email) {
            wrong.push(FieldError::new("email", "invalid", format!("The e-mail address {why}.")));
        }
        let region = region.unwrap_or(DEFAULT_REGION);
        wrong.extend(wrong_region(region));
        if let Some(error) = password.as_ref().and_then(|p| passwords::wrong("password", p, email)) {
            wrong.push(error);
        }
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let password = password.unwrap_or_else(password::generate);
        let hash = password::hash(&password).map_err(Error::internal)?;
        let made = Organization {
            id: new_id(Prefix::Organization, now),
            name: organization.to_owned(),
            region: region.to_owned(),
            plan: DEFAULT_PLAN.to_owned(),
            connections_managed_by: "developers".to_owned(),
            suite: Vec::new(),
            brand: Brand::default(),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let member = Member {
            organization_id: made.id.clone(),
            id: new_id(Prefix::Member, now),
            email: email.to_owned(),
            name: email.split('@').next().unwrap_or(email).to_owned(),
            role: Role::SuperAdmin,
            password: hash,
            active: true,
            created_at: now,
            joined_at: Some(now),
            last_seen_at: None,
            version: 1,
        };
        work.insert_organization(&made).await?;
        work.insert_member(&member).await?;
        let first = keys::Fresh {
            owner: KeyOwner::Member(member.id.clone()),
            name: "First key",
            scopes: KeyScopes::PERSONAL,
            expires_at: None,
        };
        let (key, _) = keys::insert(work, &made.id, first, now).await?;
        work.record(
            Event::by(Actor::Operator, EventKind::OrganizationCreated, &made.id, now)
                .to(&made.id)
                .with("name", made.name.as_str())
                .with("super_admin", member.id.as_str()),
        );
        Ok(NewOrganization { organization: made.id, email: member.email, password, key })
    }

    /// A fresh token for the one-time set-up link; the one before is void. `None` when the store is set up.
    pub async fn set_up_token(&self) -> Result<Option<SecretString>> {
        if !self.is_empty().await? {
            return Ok(None);
        }
        let fresh = token::random_token();
        let mut work = self.begin(Permit::housekeeping("the operator starts an empty store")).await?;
        work.put_installation(SET_UP_TOKEN, &token::digest(fresh.expose_secret().as_bytes())).await?;
        work.commit().await?;
        Ok(Some(fresh))
    }

    /// Whether this is the token of the set-up link.
    pub async fn check_set_up_token(&self, given: &str) -> Result<()> {
        let known = self.store().installation(SET_UP_TOKEN).await?;
        let digest = token::digest(given.as_bytes());
        if known.is_some_and(|known| token::constant_time_eq(&known, &digest)) {
            return Ok(());
        }
        Err(Error::new(
            Code::NotFound,
            "This set-up link is not valid any more. The service prints a fresh one at each start until it is set up.",
        ))
    }

    pub async fn me(&self, op: &Op) -> Result<Me> {
        let id = op.member()?;
        let member =
            self.store().member(&op.organization, id).await?.ok_or_else(|| Error::not_found("member"))?;
        Ok(Me {
            id: member.id,
            email: member.email,
            name: member.name,
            role: member.role,
            organization: self.read_organization(op).await?,
        })
    }

    /// The person and the organization of a session, in as few words as a page needs.
    pub async fn signed_in(&self, op: &Op) -> Result<SignedIn> {
        let id = op.member()?;
        let member =
            self.store().member(&op.organization, id).await?.ok_or_else(|| Error::not_found("member"))?;
        let organization = self.own_organization(&op.organization).await?;
        Ok(SignedIn {
            member: member.id,
            name: member.name,
            email: member.email,
            role: member.role,
            managed_by_admins: organization.managed_by_admins(),
            organization: organization.name,
            region: organization.region,
            brand: organization.brand,
        })
    }

    pub async fn read_organization(&self, op: &Op) -> Result<OrganizationView> {
        permit(&op.principal, Action::Read, &Resource::Organization)?;
        let organization = self.own_organization(&op.organization).await?;
        let limits = self.limits(&organization).await?;
        Ok(view(organization, limits))
    }

    pub async fn update_organization(&self, op: &Op, patch: OrganizationPatch) -> Result<OrganizationView> {
        let permit = permit(&op.principal, Action::Manage, &Resource::Organization)?;
        let mut organization = self.own_organization(&op.organization).await?;
        if patch.version.is_some_and(|version| version != organization.version) {
            let current = self.read_organization(op).await?;
            return Err(version_conflict().with_extension("current", serde_json::json!(current)));
        }
        let mut wrong = Vec::new();
        if let Some(name) = patch.name {
            if let Err(why) = names::display_name(&name) {
                wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
            }
            organization.name = name;
        }
        if let Some(region) = patch.region {
            wrong.extend(wrong_region(&region));
            organization.region = region;
        }
        if let Some(who) = patch.connections_managed_by {
            if who != "developers" && who != "admins" {
                wrong.push(FieldError::new("connections_managed_by", "invalid", "Say developers or admins."));
            }
            organization.connections_managed_by = who;
        }
        if let Some(suite) = patch.suite {
            if op.principal.role() != Some(Role::SuperAdmin) {
                return Err(Error::new(
                    Code::Forbidden,
                    "Only the super admin says which connectors are the organization's own suite.",
                ));
            }
            for (at, connector) in suite.iter().enumerate() {
                if let Err(error) = self.find_connector(&op.organization, connector).await {
                    if error.code != Code::NotFound {
                        return Err(error);
                    }
                    let message = format!("There is no connector {connector:?}.");
                    wrong.push(FieldError::new(format!("suite.{at}"), "unknown", message));
                }
            }
            organization.suite = suite;
        }
        if let Some(brand) = patch.brand {
            wrong.extend(brand.check());
            organization.brand = brand;
        }
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        organization.updated_at = op.now;
        let mut work = self.begin(permit).await?;
        if !work.update_organization(&organization).await? {
            return Err(version_conflict());
        }
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::OrganizationUpdated)
                .to(&op.organization)
                .with("name", organization.name.as_str())
                .with("region", organization.region.as_str())
                .with("connections_managed_by", organization.connections_managed_by.as_str())
                .with("suite", organization.suite.as_slice())
                .with("brand", organization.brand.name.as_deref().unwrap_or_default()),
        );
        work.commit().await?;
        self.read_organization(op).await
    }

    pub(crate) async fn own_organization(&self, id: &str) -> Result<Organization> {
        self.store().organization(id).await?.ok_or_else(|| Error::not_found("organization"))
    }
}

pub(crate) fn version_conflict() -> Error {
    Error::new(
        Code::VersionConflict,
        "It was changed by somebody else since you read it. Read it again and repeat your change.",
    )
}
