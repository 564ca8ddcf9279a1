//! Browser sessions: signing in with a password, being recognized by a cookie, signing out; and passwords that are changed or forgotten.
//!
//! A token is random and kept as a digest. It changes whenever what it stands for does: at sign-in, with the password, with the role. What
//! a browser must send beside the cookie to change anything follows from the token ([`csrf_token`]), so that no other site can know it.
//!
//! Guessing is slowed, for each account and each address: after [`FREE`] failures each further one doubles the wait, up to
//! [`LONGEST_WAIT`]. Only failures write. The count stands in the store, so that all nodes share it and a restart forgets nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jackfield_core::id::Prefix;
use jackfield_core::{
    Action, Code, Error, EventKind, KeyScopes, Permit, Principal, Resource, Result, Timestamp, permit,
};
use jackfield_store::{LinkKind, Member, Session, Throttle};
use jackfield_vault::token;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::clock::new_id;
use crate::govern::audit::{Actor, Event};
use crate::govern::keys::Caller;
use crate::govern::members::{MemberView, whole};
use crate::govern::passwords::{self, LinkView, Password, void};
use crate::hot::Epochs;
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op, Visit, neighbourhood};

/// How long a session lives that nobody uses.
pub const IDLE: Duration = Duration::from_hours(12);
/// How long a session lives.
pub const LIFE: Duration = Duration::from_hours(7 * 24);
/// How often it is written down at most that a session is in use.
const NOTE: Duration = Duration::from_mins(1);
/// Failures that cost no wait.
const FREE: i64 = 5;
/// After this long without a failure the count begins anew.
const FORGIVEN: Duration = Duration::from_mins(15);
/// The wait after the first failure too many; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// No owner is locked out for longer, whatever others try.
const LONGEST_WAIT: Duration = FORGIVEN;
/// After this long nothing that was slowed is remembered.
pub(crate) const FORGOTTEN: Duration = Duration::from_mins(30);
/// Mails for one account, and asked for from one address, in a quarter of an hour.
const MAILS: (i64, i64) = (3, 20);
/// Characters of what a browser calls itself that are kept.
const AGENT: usize = 200;

/// What is remembered about a session's digest.
pub(crate) struct Known {
    caller: Caller,
    expires_at: Timestamp,
    /// microseconds; when this node last saw it
    seen: AtomicI64,
    /// microseconds; what this node last wrote down
    noted: AtomicI64,
    epochs: Epochs,
}

impl Known {
    fn lives(&self, now: Timestamp) -> bool {
        let seen = Timestamp::from_micros(self.seen.load(Ordering::Acquire));
        self.epochs.hold() && self.expires_at > now && seen.plus(IDLE) > now
    }
}

/// A session, without its token.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SessionView {
    pub id: String,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    /// when it ends whatever happens; unused, it ends after 12 hours
    pub expires_at: Timestamp,
    /// where it began
    pub address: String,
    /// what the browser called itself
    pub agent: String,
    /// whether it is the one that asks
    pub current: bool,
}

/// Who wants to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub email: String,
    #[schema(value_type = String, format = Password)]
    pub password: Password,
    /// id of the organization; needed where address and password fit in several
    pub organization: Option<String>,
}

/// A session that has just begun.
pub struct Started {
    pub view: StartedView,
    pub token: SecretString,
}

/// A session, whose it is, and what a browser has to send to change anything.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedView {
    pub session: SessionView,
    pub member: MemberView,
    /// send it as `Jackfield-CSRF` with every request that is not GET or HEAD
    pub csrf: String,
}

/// A new password for one's own account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    #[schema(value_type = String, format = Password)]
    pub current: Password,
    /// at least 10 characters
    #[schema(value_type = String, format = Password)]
    pub new: Password,
}

/// Who has forgotten his password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    pub email: String,
}

/// A new password by a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    pub token: String,
    /// at least 10 characters
    #[schema(value_type = String, format = Password)]
    pub password: Password,
}

/// What a browser has to send beside the cookie: it follows from the session's token, and the token does not follow from it.
#[must_use]
pub fn csrf_token(session_token: &SecretString) -> String {
    token::digest_text(&format!("jackfield csrf\n{}", session_token.expose_secret()))
}

/// Whether this is what a browser with this session has to send.
#[must_use]
pub fn check_csrf(session_token: &SecretString, given: &str) -> bool {
    token::constant_time_eq(csrf_token(session_token).as_bytes(), given.as_bytes())
}

/// What a form carries, so that no other site can have made it: salted, so that no two pages hold the same bytes and compressing them
/// tells nothing (BREACH).
#[must_use]
pub fn form_token(session_token: &SecretString) -> String {
    let salt = token::random_token();
    salted(session_token, salt.expose_secret())
}

/// Whether a form came from a page of this session.
#[must_use]
pub fn check_form_token(session_token: &SecretString, given: &str) -> bool {
    let Some((salt, _)) = given.split_once('.') else { return false };
    token::constant_time_eq(salted(session_token, salt).as_bytes(), given.as_bytes())
}

fn salted(session_token: &SecretString, salt: &str) -> String {
    let digest = token::digest_text(&format!("jackfield form\n{salt}\n{}", session_token.expose_secret()));
    format!("{salt}.{digest}")
}

fn signed_out() -> Error {
    Error::new(Code::Unauthenticated, "Your session has ended. Sign in again.")
}

fn not_known() -> Error {
    Error::new(Code::Unauthenticated, "E-mail address and password do not fit together.")
}

/// The account in the table of what is slowed. A digest, because people type passwords where an address belongs.
fn account(what: &str, email: &str) -> String {
    format!("{what}:account:{}", token::digest_text(&Member::email_key(email)))
}

/// The address in the table of what is slowed.
fn place(what: &str, address: &str) -> String {
    format!("{what}:address:{}", neighbourhood(address))
}

/// How long this is still to wait.
fn wait(throttle: Throttle, now: Timestamp) -> Option<Duration> {
    let beyond = u32::try_from(throttle.count - FREE).ok()?.min(20);
    let pause = FIRST_WAIT.saturating_mul(1 << beyond).min(LONGEST_WAIT);
    let left = now.until(throttle.last_at.plus(pause));
    (!left.is_zero()).then_some(left)
}

fn view(session: Session, current: Option<&str>) -> SessionView {
    SessionView {
        current: current == Some(session.id.as_str()),
        id: session.id,
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        address: session.address,
        agent: session.agent,
    }
}

impl Engine {
    /// Whose session this is. Warm, it asks no database.
    pub async fn authenticate_session(&self, token: &SecretString, now: Timestamp) -> Result<Caller> {
        let digest = token::digest(token.expose_secret().as_bytes());
        let warm = self.inner.sessions.get(&digest).filter(|known| known.lives(now));
        let known = if let Some(known) = warm {
            known
        } else {
            let known = Arc::new(self.look_up_session(&digest, now).await?);
            self.inner.sessions.insert(digest, Arc::clone(&known));
            known
        };
        known.seen.fetch_max(now.micros(), Ordering::AcqRel);
        self.note(&known, now);
        Ok(known.caller.clone())
    }

    async fn look_up_session(&self, digest: &[u8], now: Timestamp) -> Result<Known> {
        let node = self.inner.hot.depend(&[]);
        let found = self.store().session(digest).await?.ok_or_else(signed_out)?;
        let mut epochs = node;
        epochs.and(self.inner.hot.cell(&found.organization_id));
        epochs.and(self.inner.hot.cell(&found.id));
        // Once more, now that changes of it are noticed.
        let session = self.store().session(digest).await?.ok_or_else(signed_out)?;
        if session.expires_at <= now || session.last_seen_at.plus(IDLE) <= now {
            return Err(signed_out());
        }
        let member = self.store().member(&session.organization_id, &session.member_id).await?;
        let member = member.filter(|member| member.active).ok_or_else(signed_out)?;
        let principal =
            Principal::Member { id: member.id, role: member.role, key: None, scopes: KeyScopes::PERSONAL };
        let seen = session.last_seen_at.micros();
        Ok(Known {
            caller: Caller {
                principal,
                organization: session.organization_id.into(),
                session: Some(session.id.into()),
            },
            expires_at: session.expires_at,
            seen: AtomicI64::new(seen),
            noted: AtomicI64::new(seen),
            epochs,
        })
    }

    /// Writes down that the session is in use, beside the request and at most once a minute.
    fn note(&self, known: &Known, now: Timestamp) {
        let noted = known.noted.load(Ordering::Acquire);
        if Timestamp::from_micros(noted).plus(NOTE) > now
            || known.noted.compare_exchange(noted, now.micros(), Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return;
        }
        let (engine, caller) = (self.clone(), known.caller.clone());
        tokio::spawn(async move {
            let (Some(session), Some(member)) = (&caller.session, caller.principal.member()) else { return };
            let noted = async {
                let mut work = engine.begin(Permit::housekeeping("when somebody was last seen")).await?;
                work.session_seen(&caller.organization, session, now).await?;
                work.member_seen(&caller.organization, member, now).await?;
                work.commit().await
            };
            if let Err(error) = noted.await {
                tracing::warn!(%error, "it could not be noted that a session is in use");
            }
        });
    }

    /// Begins a session for whoever knows the password.
    pub async fn sign_in(&self, visit: &Visit, asked: SignIn) -> Result<Started> {
        let SignIn { email, password: Password(password), organization } = asked;
        let (who, whence) = (account("sign_in", &email), place("sign_in", &visit.address));
        // Whoever has to wait takes nobody's turn.
        self.refuse_the_hasty(&[&who, &whence], visit.now).await?;
        let turn = self.turn_to_hash().await?;
        // Once more: of many that came at once, each sees the failures of those before.
        let slowed = self.refuse_the_hasty(&[&who, &whence], visit.now).await?;
        let mut found = self.store().members_by_email(&email).await?;
        if let Some(organization) = &organization {
            found.retain(|member| member.organization_id == *organization);
        }
        let able = |member: &&Member| member.active && !member.password.is_empty();
        let mut fitting = Vec::new();
        let mut tried = false;
        for member in found.iter().filter(able) {
            tried = true;
            if turn.verify(&password, &member.password).await? {
                fitting.push(member);
            }
        }
        if !tried {
            // The same work as for somebody who is known, so that the time does not tell who is.
            turn.hash(&password).await?;
        }
        let member = match fitting.as_slice() {
            [] => {
                self.count_failure(visit, &who, &whence, &found).await?;
                return Err(not_known());
            }
            [member] => *member,
            several => return Err(self.which_organization(several).await?),
        };
        drop(turn);
        let permit = Permit::housekeeping("whoever knows the password is the member");
        let mut work = self.begin(permit).await?;
        let started = self.start_session(&mut work, member, visit).await?;
        if slowed {
            work.delete_throttle(&who).await?;
        }
        work.commit().await?;
        Ok(started)
    }

    async fn start_session(&self, work: &mut Work<'_>, member: &Member, visit: &Visit) -> Result<Started> {
        // Hashing takes its time: he may have been deactivated meanwhile, or have another password.
        work.member_seen(&member.organization_id, &member.id, visit.now).await?;
        let present = work.member(&member.organization_id, &member.id).await?;
        if !present.is_some_and(|present| present.active && present.password == member.password) {
            return Err(not_known());
        }
        let token = token::random_token();
        let session = Session {
            organization_id: member.organization_id.clone(),
            id: new_id(Prefix::Session, visit.now),
            member_id: member.id.clone(),
            created_at: visit.now,
            last_seen_at: visit.now,
            expires_at: visit.now.plus(LIFE),
            address: visit.address.clone(),
            agent: visit.agent.chars().filter(|c| !c.is_control()).take(AGENT).collect(),
        };
        work.insert_session(&session, &token::digest(token.expose_secret().as_bytes())).await?;
        work.record(
            Event::by(
                Actor::Member(member.id.clone()),
                EventKind::SessionStarted,
                &member.organization_id,
                visit.now,
            )
            .from(&visit.request_id, &visit.address)
            .to(&session.id)
            .with("agent", session.agent.as_str()),
        );
        let id = session.id.clone();
        let view = StartedView {
            session: view(session, Some(&id)),
            member: whole(Member { last_seen_at: Some(visit.now), ..member.clone() }),
            csrf: csrf_token(&token),
        };
        Ok(Started { view, token })
    }

    async fn which_organization(&self, several: &[&Member]) -> Result<Error> {
        let mut organizations = Vec::with_capacity(several.len());
        for member in several {
            let organization = self.own_organization(&member.organization_id).await?;
            organizations.push(json!({"id": organization.id, "name": organization.name}));
        }
        Ok(Error::new(
            Code::StateConflict,
            "You belong to several organizations. Say with `organization` which one: its id stands in `organizations`.",
        )
        .with_extension("organizations", organizations.into()))
    }

    /// Refuses whoever has failed too often of late. Tells whether the first of these has failed at all.
    async fn refuse_the_hasty(&self, subjects: &[&str], now: Timestamp) -> Result<bool> {
        let mut first = None;
        let mut longest = Duration::ZERO;
        for subject in subjects {
            let throttle = self.store().throttle(subject).await?;
            first.get_or_insert(throttle.is_some());
            longest = longest.max(throttle.and_then(|throttle| wait(throttle, now)).unwrap_or_default());
        }
        if longest.is_zero() {
            return Ok(first.unwrap_or(false));
        }
        // A second begun is a second to wait.
        let seconds = longest.as_secs() + u64::from(longest.subsec_nanos() > 0);
        Err(Error::new(
            Code::RateLimited,
            format!("Too many sign-ins have failed. Wait {seconds} seconds, or reset the password."),
        )
        .with_retry_after(seconds))
    }

    /// Counts a failure, and writes it into the trail of those whose account it was: once a minute, whatever is tried.
    async fn count_failure(&self, visit: &Visit, who: &str, whence: &str, known: &[Member]) -> Result<()> {
        let now = visit.now;
        let mut work = self.begin(Permit::housekeeping("failures are counted whoever fails")).await?;
        // Always in this order, so that two nodes do not wait for each other.
        for subject in [who, whence] {
            work.count_throttle(subject, now, now.minus(FORGIVEN)).await?;
        }
        for member in known {
            let told = format!("refused:{}", member.id);
            if work.claim_throttle(&told, now, now.minus(Duration::from_mins(1))).await? {
                work.record(
                    Event::by(Actor::Jackfield, EventKind::SignInRefused, &member.organization_id, now)
                        .from(&visit.request_id, &visit.address)
                        .to(&member.id),
                );
            }
        }
        work.commit().await
    }

    /// Ends the caller's other sessions and gives his own a new token, where he has one.
    pub(crate) async fn renew_session(&self, work: &mut Work<'_>, op: &Op) -> Result<Option<SecretString>> {
        let current = op.session.as_deref().unwrap_or("");
        work.delete_sessions(&op.organization, op.member()?, current).await?;
        work.touch(&op.organization);
        if current.is_empty() {
            return Ok(None);
        }
        let token = token::random_token();
        let digest = token::digest(token.expose_secret().as_bytes());
        if !work.rotate_session(&op.organization, current, &digest).await? {
            return Err(signed_out());
        }
        Ok(Some(token))
    }

    /// One's own sessions.
    pub async fn list_sessions(&self, op: &Op, query: &PageQuery) -> Result<Page<SessionView>> {
        let member = op.member()?;
        permit(&op.principal, Action::Read, &Resource::Account { owner: member })?;
        let limit = query.limit()?;
        let alive = (op.now, op.now.minus(IDLE));
        let sessions =
            self.store().sessions(&op.organization, member, &query.after()?, alive, limit.rows()).await?;
        Ok(limit.page(sessions, |session| session.id.clone(), |session| view(session, op.session.as_deref())))
    }

    /// The session that asks.
    pub async fn read_session(&self, op: &Op, token: &SecretString) -> Result<StartedView> {
        let owner = op.member()?;
        permit(&op.principal, Action::Read, &Resource::Account { owner })?;
        let digest = token::digest(token.expose_secret().as_bytes());
        let session = self.store().session(&digest).await?;
        let session = session
            .filter(|session| op.session.as_deref() == Some(session.id.as_str()))
            .ok_or_else(no_session)?;
        let member = self.store().member(&op.organization, owner).await?.ok_or_else(signed_out)?;
        Ok(StartedView {
            session: view(session, op.session.as_deref()),
            member: whole(member),
            csrf: csrf_token(token),
        })
    }

    /// Ends one of one's own sessions; `current` is the one that asks.
    pub async fn end_session(&self, op: &Op, id: &str) -> Result<()> {
        let owner = op.member()?;
        let permit = permit(&op.principal, Action::Manage, &Resource::Account { owner })?;
        let id = if id == "current" { op.session.as_deref().ok_or_else(no_session)? } else { id };
        let mut work = self.begin(permit).await?;
        if !work.delete_session(&op.organization, owner, id).await? {
            return Err(Error::not_found(format_args!("session {id:?}")));
        }
        work.touch(id);
        work.record(op.event(EventKind::SessionEnded).to(id));
        work.commit().await
    }

    /// Ends all of one's own sessions but the one that asks; tells how many.
    pub async fn end_other_sessions(&self, op: &Op) -> Result<u64> {
        let owner = op.member()?;
        let permit = permit(&op.principal, Action::Manage, &Resource::Account { owner })?;
        let mut work = self.begin(permit).await?;
        let own = op.session.as_deref().unwrap_or("");
        let ended = work.delete_sessions(&op.organization, owner, own).await?;
        if ended > 0 {
            work.touch(&op.organization);
            work.record(op.event(EventKind::SessionEnded).to(owner).with("others", ended));
        }
        work.commit().await?;
        Ok(ended)
    }

    /// Changes one's own password. Other sessions end, this one goes on under a new token; keys go on.
    pub async fn change_password(&self, op: &Op, change: PasswordChange) -> Result<Option<SecretString>> {
        let owner = op.member()?;
        let permit = permit(&op.principal, Action::Manage, &Resource::Account { owner })?;
        let member = self.store().member(&op.organization, owner).await?.ok_or_else(signed_out)?;
        let PasswordChange { current: Password(current), new: Password(new) } = change;
        if let Some(error) = passwords::wrong("new", &new, &member.email) {
            return Err(Error::invalid(vec![error]));
        }
        let (who, whence) = (account("sign_in", &member.email), place("sign_in", &op.address));
        self.refuse_the_hasty(&[&who, &whence], op.now).await?;
        let turn = self.turn_to_hash().await?;
        self.refuse_the_hasty(&[&who, &whence], op.now).await?;
        if !turn.verify(&current, &member.password).await? {
            let visit = Visit {
                now: op.now,
                request_id: op.request_id.clone(),
                address: op.address.clone(),
                agent: String::new(),
            };
            self.count_failure(&visit, &who, &whence, &[member]).await?;
            return Err(Error::field("current", "wrong", "This is not your present password."));
        }
        let hash = turn.hash(&new).await?;
        drop(turn);
        let mut work = self.begin(permit).await?;
        work.set_password(&op.organization, owner, &hash, op.now).await?;
        work.delete_member_links(&op.organization, owner).await?;
        work.delete_throttle(&who).await?;
        let token = self.renew_session(&mut work, op).await?;
        work.record(op.event(EventKind::PasswordChanged).to(owner));
        work.commit().await?;
        Ok(token)
    }

    /// An admin makes a link for somebody who has forgotten his password.
    pub async fn make_reset_link(&self, op: &Op, id: &str) -> Result<LinkView> {
        permit(&op.principal, Action::Read, &Resource::Members)?;
        let member = self.store().member(&op.organization, id).await?;
        let member = member.ok_or_else(|| Error::not_found(format_args!("member {id:?}")))?;
        let permit = permit(&op.principal, Action::Manage, &Resource::Member { id, role: member.role })?;
        if !member.active || member.joined_at.is_none() {
            let why = "He has not joined, or is deactivated. Invite him again, or reactivate him first.";
            return Err(Error::new(Code::StateConflict, why));
        }
        let mut work = self.begin(permit).await?;
        let link = self.make_link(&mut work, &member, LinkKind::PasswordReset, op.now).await?;
        work.record(op.event(EventKind::PasswordResetRequested).to(id));
        work.answer(op, 201, &link).await?;
        work.commit().await?;
        Ok(link)
    }

    /// Sends a link to whoever has this address and has forgotten his password. Beside the request, so that neither the answer nor its time
    /// tells whether there is such an account.
    pub fn ask_for_reset(&self, visit: Visit, asked: ResetRequest) {
        if self.settings().mail.is_none() {
            return;
        }
        let Ok(slot) = Arc::clone(&self.inner.resets).try_acquire_owned() else {
            tracing::warn!("too many ask for a new password at once; one of them is not answered");
            return;
        };
        let engine = self.clone();
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = engine.send_reset(&visit, &asked.email).await {
                tracing::warn!(%error, request_id = visit.request_id, "a link for a forgotten password could not be made");
            }
        });
    }

    async fn send_reset(&self, visit: &Visit, email: &str) -> Result<()> {
        let now = visit.now;
        let subjects = [(place("reset", &visit.address), MAILS.1), (account("reset", email), MAILS.0)];
        // Whoever has had his share writes nothing.
        for (subject, most) in &subjects {
            let throttle = self.store().throttle(subject).await?;
            if throttle.is_some_and(|t| t.count >= *most && t.last_at > now.minus(FORGIVEN)) {
                tracing::info!(
                    request_id = visit.request_id,
                    "too many links for forgotten passwords; none is sent"
                );
                return Ok(());
            }
        }
        let mut found = self.store().members_by_email(email).await?;
        found.retain(|member| member.active && member.joined_at.is_some());
        let mut names = Vec::with_capacity(found.len());
        for member in &found {
            names.push(self.organization_name(&member.organization_id).await?);
        }
        let permit = Permit::housekeeping("the link goes to whoever has the address");
        let mut work = self.begin(permit).await?;
        for (subject, _) in &subjects {
            work.count_throttle(subject, now, now.minus(FORGIVEN)).await?;
        }
        let mut links = Vec::with_capacity(found.len());
        for member in &found {
            links.push(self.make_link(&mut work, member, LinkKind::PasswordReset, now).await?);
            work.record(
                Event::by(Actor::Jackfield, EventKind::PasswordResetRequested, &member.organization_id, now)
                    .from(&visit.request_id, &visit.address)
                    .to(&member.id),
            );
        }
        work.commit().await?;
        for ((member, link), name) in found.iter().zip(&links).zip(&names) {
            self.mail_link(member, name, LinkKind::PasswordReset, link);
        }
        Ok(())
    }

    /// Whether this is the token of a link to set a new password, and whose.
    pub async fn check_reset(&self, token: &str, now: Timestamp) -> Result<MemberView> {
        self.find_link(token, LinkKind::PasswordReset, now).await.map(|(_, member)| whole(member))
    }

    /// Sets a new password by a link. All sessions end.
    pub async fn reset_password(&self, visit: &Visit, reset: Reset) -> Result<()> {
        let (link, member) = self.find_link(&reset.token, LinkKind::PasswordReset, visit.now).await?;
        let Password(password) = reset.password;
        if let Some(error) = passwords::wrong("password", &password, &member.email) {
            return Err(Error::invalid(vec![error]));
        }
        let hash = self.turn_to_hash().await?.hash(&password).await?;
        let (organization, id) = (member.organization_id.as_str(), member.id.as_str());
        let mut work = self.begin(Permit::housekeeping("whoever has the token was sent it")).await?;
        // The member first, as every change of him does: two never wait for each other.
        if !work.set_password(organization, id, &hash, visit.now).await?
            || !work.take_member_link(&link).await?
        {
            return Err(void());
        }
        work.delete_sessions(organization, id, "").await?;
        // Whoever proves that the account is his need not wait for what others tried.
        work.delete_throttle(&account("sign_in", &member.email)).await?;
        work.record(
            Event::by(Actor::Member(id.to_owned()), EventKind::PasswordChanged, organization, visit.now)
                .from(&visit.request_id, &visit.address)
                .to(id)
                .with("by_link", true),
        );
        work.touch(organization);
        work.commit().await
    }
}

fn no_session() -> Error {
    Error::new(Code::NotFound, "You are not here by a session: you sent an API key.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let now = Timestamp::from_micros(1_000_000_000);
        let seconds = |count| wait(Throttle { count, last_at: now }, now).map(|wait| wait.as_secs());
        assert_eq!([1, 4, 5, 6, 7, 13].map(seconds), [None, None, Some(2), Some(4), Some(8), Some(512)]);
        assert_eq!([14, 15, 1_000_000].map(seconds), [Some(900); 3]);
        let last_at = now.minus(Duration::from_secs(3));
        assert_eq!(wait(Throttle { count: 5, last_at }, now), None);
        assert_eq!(wait(Throttle { count: 6, last_at }, now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn an_account_is_one_whatever_its_case_and_a_network_one_address() {
        assert_eq!(account("sign_in", "Ada@Acme.Example"), account("sign_in", "ada@acme.example"));
        assert!(!account("sign_in", "ada@acme.example").contains("ada"));
        assert_eq!(place("x", "2001:db8:1:2:3::4"), place("x", "2001:db8:1:2:9::9"));
        assert_ne!(place("x", "2001:db8:1:2:3::4"), place("x", "2001:db8:1:3:3::4"));
        assert_ne!(place("x", "192.0.2.1"), place("x", "192.0.2.2"));
    }

    #[test]
    fn what_a_browser_must_send_follows_from_its_token_alone() {
        let (one, two) = (token::random_token(), token::random_token());
        assert!(check_csrf(&one, &csrf_token(&one)));
        assert!(
            !check_csrf(&one, &csrf_token(&two))
                && !check_csrf(&one, "")
                && !check_csrf(&one, one.expose_secret())
        );
    }
}
