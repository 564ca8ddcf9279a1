//! API keys: personal ones made, listed, revoked; all of them recognized on every request.

use std::sync::Arc;

use jackfield_core::id::Prefix;
use jackfield_core::{
    Action, Code, Error, EventKind, KeyScope, KeyScopes, Principal, Resource, Result, Timestamp, names,
    permit,
};
use jackfield_store::{ApiKey, KeyOwner};
use jackfield_vault::{KeyKind, MalformedKey, api_key};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::new_id;
use crate::hot::Epochs;
use crate::page::{Page, PageQuery};
use crate::work::Work;
use crate::{Engine, Op};

/// How many characters of a key its hint shows: enough to tell keys apart, too few to guess one.
const HINT: usize = 8;

/// Who a key is.
#[derive(Clone)]
pub struct Caller {
    pub principal: Principal,
    pub organization: Arc<str>,
    /// id of the browser session, where one was used instead of a key
    pub session: Option<Arc<str>>,
}

/// What is remembered about a key's digest.
pub(crate) enum Known {
    Caller {
        caller: Arc<Caller>,
        expires_at: Option<Timestamp>,
        epochs: Epochs,
    },
    /// Whose key it is takes no part just now; he may again.
    Asleep {
        epochs: Epochs,
    },
    /// A key that once was; nothing brings it back.
    Revoked,
    /// Keys are random: one that is unknown now will not be made later.
    Unknown,
}

impl Known {
    /// Whoever calls again and again, apart from what is shared: nobody else counts its references.
    fn copy(&self) -> Option<Self> {
        let Self::Caller { caller, expires_at, epochs } = self else { return None };
        let caller = Caller { organization: Arc::from(&*caller.organization), ..Caller::clone(caller) };
        Some(Self::Caller { caller: Arc::new(caller), expires_at: *expires_at, epochs: epochs.clone() })
    }
}

/// A key, without the key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    /// its first characters
    pub hint: String,
    pub scopes: Vec<KeyScope>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// A new key: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct NewKeyView {
    #[serde(flatten)]
    pub view: KeyView,
    /// `jfp_…`; keep it now
    pub key: String,
}

/// What a new key is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// what it is for
    pub name: String,
    /// days until it expires; never, when absent
    pub expires_in_days: Option<u32>,
    /// what it may be used for, at most what the key that makes it may; everything unless told
    pub scopes: Option<Vec<KeyScope>>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            hint: key.hint,
            scopes: key.scopes.list(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// What a key that is to be made shall be.
pub(crate) struct Fresh<'a> {
    pub owner: KeyOwner,
    pub name: &'a str,
    pub scopes: KeyScopes,
    pub expires_at: Option<Timestamp>,
}

/// Makes a key in the caller's transaction.
pub(crate) async fn insert(
    work: &mut Work<'_>,
    organization: &str,
    fresh: Fresh<'_>,
    now: Timestamp,
) -> Result<(SecretString, ApiKey)> {
    let key = api_key::generate(match fresh.owner {
        KeyOwner::Member(_) => KeyKind::Personal,
        KeyOwner::Application { .. } => KeyKind::Application,
    });
    let parsed = api_key::parse(key.expose_secret()).map_err(Error::internal)?;
    let row = ApiKey {
        organization_id: organization.to_owned(),
        id: new_id(Prefix::Key, now),
        owner: fresh.owner,
        scopes: fresh.scopes,
        name: fresh.name.to_owned(),
        hint: key.expose_secret().chars().take(HINT).collect(),
        created_at: now,
        expires_at: fresh.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    work.insert_key(&row, &parsed.digest).await?;
    Ok((key, row))
}

impl Engine {
    /// Who this key is. Warm, it asks no database; unknown keys are remembered too.
    pub async fn authenticate(&self, key: &str, now: Timestamp) -> Result<Arc<Caller>> {
        let parsed = api_key::parse(key).map_err(|wrong| match wrong {
            MalformedKey::Prefix => Error::new(
                Code::Unauthenticated,
                "This is no API key of Jackfield's: they begin with jfp_ or jfa_.",
            ),
            _ => Error::new(
                Code::KeyMalformed,
                "The API key is mistyped or cut off: its checksum is wrong. Copy it again.",
            ),
        })?;
        if let Some(known) = self.near.callers.get(&parsed.digest, now)
            && let Some(answer) = recognize(&known, now)
        {
            return answer;
        }
        if let Some(known) = self.inner.keys.get(&parsed.digest)
            && let Some(answer) = recognize(&known, now)
        {
            if let Some(copy) = known.copy() {
                self.near.callers.put(parsed.digest, Arc::new(copy));
            }
            return answer;
        }
        // Boxed, since it is rare: the future of each request would be larger.
        let known = Arc::new(Box::pin(self.look_up(&parsed.digest)).await?);
        self.inner.keys.insert(parsed.digest, Arc::clone(&known));
        // What was loaded this moment is the truth, whatever changes while we say so.
        recognize_fresh(&known, now)
    }

    async fn look_up(&self, digest: &[u8]) -> Result<Known> {
        let node = self.inner.hot.depend(&[]);
        let Some(key) = self.store().key_by_digest(digest).await? else { return Ok(Known::Unknown) };
        if key.revoked_at.is_some() {
            return Ok(Known::Revoked);
        }
        let mut epochs = node;
        epochs.and(self.inner.hot.cell(&key.organization_id));
        // Once more, now that changes of the organization are noticed.
        let Some(key) = self.store().key(&key.organization_id, &key.id).await? else {
            return Ok(Known::Unknown);
        };
        if key.revoked_at.is_some() {
            return Ok(Known::Revoked);
        }
        let Some(principal) = self.principal_of(&key).await? else { return Ok(Known::Asleep { epochs }) };
        let caller = Arc::new(Caller { principal, organization: key.organization_id.into(), session: None });
        Ok(Known::Caller { caller, expires_at: key.expires_at, epochs })
    }

    /// Who a key stands for; `None` when he is no longer there or not active.
    async fn principal_of(&self, key: &ApiKey) -> Result<Option<Principal>> {
        match &key.owner {
            KeyOwner::Member(id) => {
                let member = self.store().member(&key.organization_id, id).await?.filter(|m| m.active);
                Ok(member.map(|member| Principal::Member {
                    id: member.id,
                    role: member.role,
                    key: Some(key.id.clone()),
                    scopes: key.scopes,
                }))
            }
            KeyOwner::Application { id, environment } => {
                let application = self.store().application_by_id(&key.organization_id, id).await?;
                Ok(application.map(|application| Principal::Application {
                    id: application.id,
                    link_name: application.link_name,
                    environment: *environment,
                    key: key.id.clone(),
                    scopes: key.scopes,
                }))
            }
        }
    }

    pub async fn list_keys(&self, op: &Op, query: &PageQuery) -> Result<Page<KeyView>> {
        let member = op.member()?;
        permit(&op.principal, Action::Read, &Resource::Key { owner: member })?;
        let limit = query.limit()?;
        let keys = self.store().keys(&op.organization, member, &query.after()?, limit.rows()).await?;
        Ok(limit.page(keys, |key| key.id.clone(), KeyView::from))
    }

    pub async fn create_key(&self, op: &Op, new: NewKey) -> Result<NewKeyView> {
        let member = op.member()?;
        let permit = permit(&op.principal, Action::Manage, &Resource::Key { owner: member })?;
        let expires_at = checked(&new.name, new.expires_in_days, op.now)?;
        let scopes = asked_scopes(new.scopes.as_deref(), op.principal.scopes())?;
        let fresh = Fresh { owner: KeyOwner::Member(member.to_owned()), name: &new.name, scopes, expires_at };
        let mut work = self.begin(permit).await?;
        let (key, row) = insert(&mut work, &op.organization, fresh, op.now).await?;
        work.record(
            op.event(EventKind::KeyCreated)
                .to(&row.id)
                .with("name", row.name.as_str())
                .with("member", member)
                .with("scopes", words(scopes)),
        );
        let view = NewKeyView { view: row.into(), key: key.expose_secret().to_owned() };
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        Ok(view)
    }

    pub async fn revoke_key(&self, op: &Op, id: &str) -> Result<()> {
        let key = self.store().key(&op.organization, id).await?.filter(|k| k.revoked_at.is_none());
        let key = key.ok_or_else(|| Error::not_found("key"))?;
        let KeyOwner::Member(owner) = &key.owner else { return Err(Error::not_found("key")) };
        let permit = permit(&op.principal, Action::Manage, &Resource::Key { owner })?;
        let mut work = self.begin(permit).await?;
        work.revoke_key(&op.organization, id, op.now).await?;
        work.touch(&op.organization);
        work.record(op.event(EventKind::KeyRevoked).to(id).with("name", key.name.as_str()));
        work.commit().await
    }
}

/// Whether a new key may be called so and live so long; when it expires.
pub(crate) fn checked(name: &str, days: Option<u32>, now: Timestamp) -> Result<Option<Timestamp>> {
    if let Err(why) = names::display_name(name) {
        return Err(Error::field("name", "invalid", format!("The name {why}.")));
    }
    if days.is_some_and(|days| !(1..=3650).contains(&days)) {
        return Err(Error::field("expires_in_days", "out_of_range", "Say 1 to 3650 days, or leave it out."));
    }
    Ok(days.map(|days| now.plus(std::time::Duration::from_secs(u64::from(days) * 86_400))))
}

/// The scopes that a new key gets: those asked for, of those that a key of its kind can have. A key never makes one that may do more than
/// itself; an application's key is another's and is made by whoever manages the application.
pub(crate) fn asked_scopes(asked: Option<&[KeyScope]>, possible: KeyScopes) -> Result<KeyScopes> {
    let Some(asked) = asked else { return Ok(possible) };
    if asked.is_empty() {
        return Err(Error::field("scopes", "required", "Name at least one scope, or leave scopes out."));
    }
    let asked = KeyScopes::of(asked);
    if !asked.within(possible) {
        return Err(Error::field(
            "scopes",
            "not_allowed",
            format!("Here a key can have {}.", words(possible).join(", ")),
        ));
    }
    Ok(asked)
}

pub(crate) fn words(scopes: KeyScopes) -> Vec<&'static str> {
    scopes.list().into_iter().map(KeyScope::as_str).collect()
}

/// `None`: what is remembered may no longer be true.
fn recognize(known: &Known, now: Timestamp) -> Option<Result<Arc<Caller>>> {
    match known {
        Known::Caller { epochs, .. } | Known::Asleep { epochs } if !epochs.hold() => None,
        _ => Some(recognize_fresh(known, now)),
    }
}

fn recognize_fresh(known: &Known, now: Timestamp) -> Result<Arc<Caller>> {
    match known {
        Known::Caller { expires_at: Some(at), .. } if *at <= now => {
            Err(Error::new(Code::KeyExpired, format!("The API key expired at {at}. Make a new one.")))
        }
        Known::Caller { caller, .. } => Ok(Arc::clone(caller)),
        Known::Asleep { .. } => Err(Error::new(
            Code::KeyRevoked,
            "The API key opens nothing: whose it is was deactivated. An admin can reactivate him.",
        )),
        Known::Revoked => Err(Error::new(Code::KeyRevoked, "The API key was revoked. Use another one.")),
        Known::Unknown => Err(Error::new(Code::Unauthenticated, "The API key is not known here.")),
    }
}
