//! The people of an organization: invited, joined, changed, deactivated, removed; and what becomes of what they authorized.
//!
//! What somebody authorized at level `admin` or `system` is the organization's and outlives him: it is handed over. What he authorized at
//! level `user` is his own: nobody else ever uses it, and it is revoked when he goes.

use std::time::Duration;

use jackfield_core::id::Prefix;
use jackfield_core::{
    Action, Code, ConnectionStatus, Error, EventKind, FieldError, KeyScopes, Level, MemberStatus, Permit,
    Principal, Resource, Result, Role, Timestamp, names, permit,
};
use jackfield_store::{Authorization, Connection, KeyOwner, LinkKind, Member};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::clock::new_id;
use crate::govern::audit::{Actor, Event};
use crate::govern::keys;
use crate::govern::organizations::{check_email, version_conflict};
use crate::govern::passwords::{self, LinkView, Password, void};
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op, Visit};

/// How long whoever removes a member waits for services that are slow to revoke; they are asked all the same.
const FAREWELL: Duration = Duration::from_secs(10);

/// A member, as the other members see him.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MemberView {
    pub id: String,
    /// for admins and himself
    pub email: Option<String>,
    pub name: String,
    pub role: Role,
    pub status: MemberStatus,
    pub created_at: Timestamp,
    /// when he was last seen in a browser or called a service by a key; for admins and himself
    pub last_seen_at: Option<Timestamp>,
    pub version: i64,
}

/// Who is to be invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    pub email: String,
    /// what stands before the @ unless given
    pub name: Option<String>,
    /// `user` unless given; not `super_admin`
    pub role: Option<Role>,
}

/// A new member and his invitation. The token is shown this once.
#[derive(Serialize, ToSchema)]
pub struct Invited {
    pub member: MemberView,
    pub invitation: LinkView,
}

/// A new token for somebody who has not joined yet.
#[derive(Serialize, ToSchema)]
pub struct InvitedAgain {
    pub invitation: LinkView,
}

/// The acceptance of an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    pub token: String,
    /// at least 10 characters
    #[schema(value_type = String, format = Password)]
    pub password: Password,
}

/// Somebody who has joined, and his first API key. It is shown this once.
#[derive(Serialize, ToSchema)]
pub struct Joined {
    pub member: MemberView,
    pub key: String,
}

/// What may change of a member.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberPatch {
    pub name: Option<String>,
    /// `super_admin`: the super admin gives his role away and becomes admin
    pub role: Option<Role>,
    /// false: his sessions end, and his keys open nothing until he is reactivated
    pub active: Option<bool>,
    /// the version that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

/// A member as he is now, and the caller's session if it got a new token.
pub struct Changed {
    pub view: MemberView,
    pub session_token: Option<SecretString>,
}

/// What a member authorized.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OwnedView {
    pub id: String,
    pub account_name: String,
    /// link name of the connector
    pub connector: String,
    /// link names of the connections that hold it
    pub connections: Vec<String>,
    /// `user` where one of these is of level user
    pub level: Level,
    pub status: ConnectionStatus,
    pub created_at: Timestamp,
}

/// To whom authorizations are handed over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// id of an admin or the super admin
    pub to: String,
}

/// What was handed over and what was not.
#[derive(Serialize, ToSchema)]
pub struct HandedOver {
    /// they serve connections of level admin; another owns them now
    pub handed_over: Vec<OwnedView>,
    /// personal accounts at level user: nobody may use another's
    pub not_handed_over: Vec<OwnedView>,
}

/// An authorization and the connections that hold it.
struct Owned {
    row: Authorization,
    holders: Vec<Connection>,
}

impl Owned {
    fn personal(&self) -> impl Iterator<Item = &Connection> {
        self.holders.iter().filter(|connection| connection.level == Level::User)
    }

    /// The highest level of a connection that is the organization's own.
    fn shared(&self) -> Option<Level> {
        self.holders.iter().map(|connection| connection.level).filter(|level| *level != Level::User).min()
    }

    fn view(&self) -> OwnedView {
        let level =
            if self.personal().next().is_some() { None } else { self.shared() }.unwrap_or(Level::User);
        OwnedView {
            id: self.row.id.clone(),
            account_name: self.row.account_name.clone(),
            connector: self.row.connector.clone(),
            connections: self.holders.iter().map(|connection| connection.link_name.clone()).collect(),
            level,
            status: self.row.status,
            created_at: self.row.created_at,
        }
    }
}

fn status(member: &Member) -> MemberStatus {
    match (member.active, member.joined_at) {
        (false, _) => MemberStatus::Deactivated,
        (true, None) => MemberStatus::Invited,
        (true, Some(_)) => MemberStatus::Active,
    }
}

/// What the caller may see of a member.
fn view(principal: &Principal, member: Member) -> MemberView {
    let resource = Resource::Member { id: &member.id, role: member.role };
    if permit(principal, Action::See, &resource).is_ok() {
        return whole(member);
    }
    MemberView { email: None, last_seen_at: None, ..whole(member) }
}

pub(crate) fn whole(member: Member) -> MemberView {
    MemberView {
        status: status(&member),
        id: member.id,
        email: Some(member.email),
        name: member.name,
        role: member.role,
        created_at: member.created_at,
        last_seen_at: member.last_seen_at,
        version: member.version,
    }
}

fn conflict(why: impl Into<String>) -> Error {
    Error::new(Code::StateConflict, why)
}

const ONE_SUPER_ADMIN: &str = "An organization has exactly one super admin. He gives the role away by making another member super admin.";

impl Engine {
    pub async fn list_members(&self, op: &Op, query: &PageQuery) -> Result<Page<MemberView>> {
        permit(&op.principal, Action::Read, &Resource::Members)?;
        let limit = query.limit()?;
        let members = self.store().members(&op.organization, &query.after()?, limit.rows()).await?;
        Ok(limit.page(members, |member| member.id.clone(), |member| view(&op.principal, member)))
    }

    pub async fn read_member(&self, op: &Op, id: &str) -> Result<MemberView> {
        let member = self.find_member(op, id).await?;
        Ok(view(&op.principal, member))
    }

    /// The member, whom everybody in the organization may know.
    async fn find_member(&self, op: &Op, id: &str) -> Result<Member> {
        permit(&op.principal, Action::Read, &Resource::Members)?;
        let member = self.store().member(&op.organization, id).await?;
        member.ok_or_else(|| Error::not_found(format_args!("member {id:?}")))
    }

    /// Makes a member and the link by which he joins.
    pub async fn invite(&self, op: &Op, new: NewMember) -> Result<Invited> {
        let permit = permit(&op.principal, Action::Manage, &Resource::Members)?;
        let NewMember { email, name, role } = new;
        let role = role.unwrap_or(Role::User);
        if role == Role::SuperAdmin {
            return Err(conflict(ONE_SUPER_ADMIN));
        }
        let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or(&email).to_owned());
        let mut wrong = Vec::new();
        if let Err(why) = check_email(&email) {
            wrong.push(FieldError::new("email", "invalid", format!("The e-mail address {why}.")));
        } else if let Err(why) = names::display_name(&name) {
            wrong.push(FieldError::new("name", "invalid", format!("The name {why}.")));
        }
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        let member = Member {
            organization_id: op.organization.to_string(),
            id: new_id(Prefix::Member, op.now),
            email,
            name,
            role,
            password: String::new(),
            active: true,
            created_at: op.now,
            joined_at: None,
            last_seen_at: None,
            version: 1,
        };
        let organization = self.organization_name(&op.organization).await?;
        let mut work = self.begin(permit).await?;
        work.insert_member(&member).await.map_err(|error| {
            if error.is_unique("members_email") {
                let taken = FieldError::new("email", "taken", "Another member has this e-mail address.");
                Error {
                    fields: vec![taken],
                    ..conflict("A member with this e-mail address is there already.")
                }
            } else {
                error.into()
            }
        })?;
        let invitation = self.make_link(&mut work, &member, LinkKind::Invitation, op.now).await?;
        work.record(
            op.event(EventKind::MemberInvited)
                .to(&member.id)
                .with("email", member.email.as_str())
                .with("role", member.role.as_str()),
        );
        let invited = Invited { member: whole(member.clone()), invitation };
        work.answer(op, 201, &invited).await?;
        work.commit().await?;
        self.mail_link(&member, &organization, LinkKind::Invitation, &invited.invitation);
        Ok(invited)
    }

    /// Makes a new link for somebody who has not joined yet; the old one is void.
    pub async fn invite_again(&self, op: &Op, id: &str) -> Result<InvitedAgain> {
        let member = self.find_member(op, id).await?;
        let resource = Resource::Member { id, role: member.role };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        match status(&member) {
            MemberStatus::Invited => {}
            MemberStatus::Active => {
                return Err(conflict(
                    "He has joined already. If he forgot his password, make a link to reset it.",
                ));
            }
            MemberStatus::Deactivated => return Err(conflict("He is deactivated. Reactivate him first.")),
        }
        let organization = self.organization_name(&op.organization).await?;
        let mut work = self.begin(permit).await?;
        let invitation = self.make_link(&mut work, &member, LinkKind::Invitation, op.now).await?;
        work.record(
            op.event(EventKind::MemberInvited)
                .to(id)
                .with("email", member.email.as_str())
                .with("role", member.role.as_str())
                .with("again", true),
        );
        let invited = InvitedAgain { invitation };
        work.answer(op, 201, &invited).await?;
        work.commit().await?;
        self.mail_link(&member, &organization, LinkKind::Invitation, &invited.invitation);
        Ok(invited)
    }

    /// Whether this is the token of an invitation, and whose.
    pub async fn check_invitation(&self, token: &str, now: Timestamp) -> Result<MemberView> {
        self.find_link(token, LinkKind::Invitation, now).await.map(|(_, member)| whole(member))
    }

    /// Somebody joins: whoever has the token of the invitation chooses a password and gets his first key.
    pub async fn accept_invitation(&self, visit: &Visit, accepted: Acceptance) -> Result<Joined> {
        let (link, mut member) = self.find_link(&accepted.token, LinkKind::Invitation, visit.now).await?;
        let Password(password) = accepted.password;
        if let Some(error) = passwords::wrong("password", &password, &member.email) {
            return Err(Error::invalid(vec![error]));
        }
        let hash = self.turn_to_hash().await?.hash(&password).await?;
        let mut work =
            self.begin(Permit::housekeeping("whoever has the token was invited by an admin")).await?;
        let organization = member.organization_id.as_str();
        // The member first, as every change of him does: two never wait for each other.
        if !work.set_password(organization, &member.id, &hash, visit.now).await?
            || !work.take_member_link(&link).await?
        {
            return Err(void());
        }
        let first = keys::Fresh {
            owner: KeyOwner::Member(member.id.clone()),
            name: "First key",
            scopes: KeyScopes::PERSONAL,
            expires_at: None,
        };
        let (key, _) = keys::insert(&mut work, organization, first, visit.now).await?;
        work.record(
            Event::by(Actor::Member(member.id.clone()), EventKind::MemberJoined, organization, visit.now)
                .from(&visit.request_id, &visit.address)
                .to(&member.id),
        );
        work.commit().await?;
        member.joined_at = Some(visit.now);
        Ok(Joined { member: whole(member), key: key.expose_secret().to_owned() })
    }

    /// Changes a member. A role given or taken ends his sessions, so that nobody goes on under what he was.
    pub async fn update_member(&self, op: &Op, id: &str, patch: MemberPatch) -> Result<Changed> {
        let before = self.find_member(op, id).await?;
        let own = op.principal.member() == Some(id);
        // Everybody may say what he is called.
        let resource = if own && patch.role.is_none() && patch.active.is_none() {
            Resource::Account { owner: id }
        } else {
            Resource::Member { id, role: before.role }
        };
        let mut decided = permit(&op.principal, Action::Manage, &resource)?;
        let role = patch.role.unwrap_or(before.role);
        let active = patch.active.unwrap_or(before.active);
        let transfer = role == Role::SuperAdmin && before.role != Role::SuperAdmin;
        if transfer {
            // Only the super admin has this role to give.
            decided = permit(&op.principal, Action::Manage, &Resource::Member { id, role })?;
        }
        if patch.version.is_some_and(|version| version != before.version) {
            return Err(stale(op, before));
        }
        refuse_change(&before, role, active, own)?;
        let name = patch.name.unwrap_or_else(|| before.name.clone());
        if let Err(why) = names::display_name(&name) {
            return Err(Error::field("name", "invalid", format!("The name {why}.")));
        }
        let after = Member { name, role, active, ..before.clone() };
        let mut work = self.begin(decided).await?;
        let mut session_token = None;
        if transfer {
            session_token = self.step_down(&mut work, op, id).await?;
        }
        if !work.update_member(&after, op.now).await? {
            drop(work);
            return Err(stale(op, self.find_member(op, id).await?));
        }
        if role != before.role || !active {
            work.delete_sessions(&op.organization, id, "").await?;
            work.cancel_flows_of(&op.organization, id, op.now).await?;
        }
        if !active {
            work.delete_member_links(&op.organization, id).await?;
        }
        record_change(&mut work, op, &before, &after, transfer);
        work.touch(&op.organization);
        work.commit().await?;
        Ok(Changed {
            view: view(&op.principal, Member { version: after.version + 1, ..after }),
            session_token,
        })
    }

    /// The super admin becomes an admin; his own session goes on under a new token, his others end.
    async fn step_down(&self, work: &mut Work<'_>, op: &Op, to: &str) -> Result<Option<SecretString>> {
        let own = op.member()?;
        let step = (Role::SuperAdmin, Role::Admin);
        if !work.change_role(&op.organization, own, step, op.now).await? {
            return Err(conflict("Somebody else is super admin already."));
        }
        work.record(op.event(EventKind::SuperAdminTransferred).to(to).with("from", own).with("to", to));
        work.cancel_flows_of(&op.organization, own, op.now).await?;
        self.renew_session(work, op).await
    }

    /// What a member authorized, for admins and himself.
    pub async fn member_authorizations(
        &self,
        op: &Op,
        id: &str,
        query: &PageQuery,
    ) -> Result<Page<OwnedView>> {
        let member = self.find_member(op, id).await?;
        permit(&op.principal, Action::See, &Resource::Member { id, role: member.role })?;
        let limit = query.limit()?;
        let rows = self
            .store()
            .authorizations_of_member(&op.organization, id, &query.after()?, limit.rows())
            .await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let mut holders = Vec::new();
            for link_name in self.store().holders(&op.organization, &row.id).await? {
                holders.extend(self.store().connection(&op.organization, &link_name).await?);
            }
            all.push(Owned { row, holders });
        }
        Ok(limit.page(all, |owned| owned.row.id.clone(), |owned| owned.view()))
    }

    /// Gives what a member authorized for the organization to an admin.
    pub async fn hand_over(&self, op: &Op, id: &str, asked: &HandOver) -> Result<HandedOver> {
        let member = self.find_member(op, id).await?;
        let permit = permit(&op.principal, Action::Manage, &Resource::Member { id, role: member.role })?;
        let heir = self.store().member(&op.organization, &asked.to).await?;
        let fits =
            |heir: &Member| heir.role.is_admin() && status(heir) == MemberStatus::Active && heir.id != id;
        let heir = heir.filter(fits).ok_or_else(|| {
            Error::field("to", "not_allowed", "Name another active member who is admin or super admin.")
        })?;
        let mut work = self.begin(permit).await?;
        let (mut given, mut kept) = (Vec::new(), Vec::new());
        for owned in owned(&mut work, &op.organization, id).await? {
            match owned.shared() {
                // At level system only the super admin authorizes.
                Some(Level::System) if heir.role != Role::SuperAdmin => kept.push(owned.view()),
                None => kept.push(owned.view()),
                Some(_) => {
                    // Where it served him alone it serves nobody now: it is another's account from here on.
                    self.end_personal(&mut work, op, &owned).await?;
                    give(&mut work, op, &owned, &heir.id).await?;
                    given.push(owned.view());
                }
            }
        }
        record_hand_over(&mut work, op, id, &heir.id, &given);
        work.touch(&op.organization);
        let handed_over = HandedOver { handed_over: given, not_handed_over: kept };
        work.answer(op, 200, &handed_over).await?;
        work.commit().await?;
        Ok(handed_over)
    }

    /// Removes a member. What he authorized for the organization goes to the caller; what was his own is revoked.
    pub async fn remove_member(&self, op: &Op, id: &str) -> Result<()> {
        let member = self.find_member(op, id).await?;
        let permit = permit(&op.principal, Action::Manage, &Resource::Member { id, role: member.role })?;
        if member.role == Role::SuperAdmin {
            return Err(conflict(ONE_SUPER_ADMIN));
        }
        let heir = op.member()?;
        if heir == id {
            return Err(conflict("Nobody removes himself. Ask another admin."));
        }
        let mut work = self.begin(permit).await?;
        // First, as every change of a member begins with his row: two never wait for each other.
        if !work.delete_member(&op.organization, id).await? {
            return Err(Error::not_found(format_args!("member {id:?}")));
        }
        let mut orphans = Vec::new();
        let mut given = Vec::new();
        for owned in owned(&mut work, &op.organization, id).await? {
            orphans.extend(self.end_personal(&mut work, op, &owned).await?);
            if owned.shared().is_some() {
                give(&mut work, op, &owned, heir).await?;
                given.push(owned.view());
            }
        }
        record_hand_over(&mut work, op, id, heir, &given);
        work.cancel_flows_of(&op.organization, id, op.now).await?;
        work.revoke_keys_of(&op.organization, id, op.now).await?;
        work.delete_sessions(&op.organization, id, "").await?;
        work.delete_member_links(&op.organization, id).await?;
        work.withdraw_access_of(&op.organization, id).await?;
        work.record(
            op.event(EventKind::MemberRemoved)
                .to(id)
                .with("email", member.email.as_str())
                .with("role", member.role.as_str()),
        );
        work.touch(&op.organization);
        work.commit().await?;
        self.revoke_all(orphans, op.now).await;
        Ok(())
    }

    /// Takes an authorization from every connection of level user; what nobody holds any more is returned, to be revoked at the service.
    async fn end_personal(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        owned: &Owned,
    ) -> Result<Vec<(Connection, Authorization)>> {
        let mut orphans = Vec::new();
        for connection in owned.personal() {
            let orphan = self.let_go(work, &op.organization, &connection.link_name, &owned.row.id).await?;
            orphans.extend(orphan.map(|orphan| (connection.clone(), orphan)));
            work.record(
                op.event(EventKind::AuthorizationRevoked)
                    .to_authorization(&connection.link_name, &owned.row.id)
                    .with("account_name", owned.row.account_name.as_str())
                    .with("owner", owned.row.owner.as_str()),
            );
        }
        Ok(orphans)
    }

    /// Asks all services at once; whoever is slow is waited for no longer than a moment, and asked all the same.
    async fn revoke_all(&self, orphans: Vec<(Connection, Authorization)>, now: Timestamp) {
        let asked = orphans.into_iter().map(|(connection, orphan)| {
            let engine = self.clone();
            tokio::spawn(async move {
                let id = orphan.id.clone();
                match engine.ground(connection).await {
                    Ok(ground) => engine.revoke_orphans(&ground, vec![orphan], now).await,
                    Err(error) => {
                        tracing::warn!(authorization = id, %error, "authorization revoked here, but not at the service");
                    }
                }
            })
        });
        let _ = tokio::time::timeout(FAREWELL, futures_util::future::join_all(asked)).await;
    }
}

fn stale(op: &Op, current: Member) -> Error {
    version_conflict().with_extension("current", json!(view(&op.principal, current)))
}

/// What nobody may make of a member, whoever he is.
fn refuse_change(before: &Member, role: Role, active: bool, own: bool) -> Result<()> {
    if before.role == Role::SuperAdmin && (role != Role::SuperAdmin || !active) {
        return Err(conflict(ONE_SUPER_ADMIN));
    }
    if own && (role != before.role || !active) {
        return Err(conflict("Nobody changes his own role or deactivates himself. Ask another admin."));
    }
    if role == Role::SuperAdmin && before.role != role && (status(before) != MemberStatus::Active || !active)
    {
        return Err(conflict("Only an active member can become super admin."));
    }
    Ok(())
}

fn record_change(work: &mut Work<'_>, op: &Op, before: &Member, after: &Member, transfer: bool) {
    let event = |kind| op.event(kind).to(&before.id);
    if before.name != after.name || (before.role != after.role && !transfer) {
        work.record(
            event(EventKind::MemberUpdated)
                .with("name", after.name.as_str())
                .with("role", after.role.as_str())
                .with("was", json!({"name": before.name, "role": before.role})),
        );
    }
    match (before.active, after.active) {
        (true, false) => work.record(event(EventKind::MemberDeactivated)),
        (false, true) => work.record(event(EventKind::MemberReactivated)),
        _ => {}
    }
}

fn record_hand_over(work: &mut Work<'_>, op: &Op, from: &str, to: &str, given: &[OwnedView]) {
    if given.is_empty() {
        return;
    }
    let ids: Vec<&str> = given.iter().map(|view| view.id.as_str()).collect();
    work.record(op.event(EventKind::MemberHandedOver).to(from).with("to", to).with("authorizations", ids));
}

/// Everything that a member authorized, with the connections that hold it.
async fn owned(work: &mut Work<'_>, organization: &str, member: &str) -> Result<Vec<Owned>> {
    let mut all = Vec::new();
    for row in work.authorizations_of_member(organization, member).await? {
        let mut holders = Vec::new();
        for link_name in work.holders(organization, &row.id).await? {
            holders.extend(work.connection(organization, &link_name).await?);
        }
        all.push(Owned { row, holders });
    }
    Ok(all)
}

/// Makes another person the owner.
async fn give(work: &mut Work<'_>, op: &Op, owned: &Owned, to: &str) -> Result<()> {
    work.hand_over_authorization(&op.organization, &owned.row.id, &owned.row.owner, to, op.now).await?;
    work.touch(&owned.row.id);
    Ok(())
}
