//! Passwords: which are good enough, hashing them within bounds, and the links by which people choose them.

use std::sync::Arc;
use std::time::Duration;

use jackfield_core::{Code, Error, FieldError, Result, Timestamp};
use jackfield_store::{LinkKind, Member, MemberLink};
use jackfield_vault::{password, token};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

use crate::Engine;
use crate::work::Work;

/// Fewest characters.
const SHORTEST: usize = 10;
/// Most bytes: long enough for any sentence, too short to keep a processor busy.
const LONGEST: usize = 1024;
/// How long an invitation is good for.
const INVITATION: Duration = Duration::from_hours(7 * 24);
/// How long a link for a forgotten password is good for.
const RESET: Duration = Duration::from_hours(1);
/// How long somebody waits for his turn at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// A password in a request. It shows itself to nobody.
#[derive(Clone)]
pub struct Password(pub SecretString);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// A link that is good for one use.
#[derive(Clone, Serialize, ToSchema)]
pub struct LinkView {
    pub token: String,
    /// where a person opens it
    pub url: String,
    pub expires_at: Timestamp,
}

/// Bounds how many passwords are hashed at once: each takes 19 MiB and some 20 ms of a processor, and strangers may ask for it.
pub(crate) struct Hashing(Arc<Semaphore>);

impl Default for Hashing {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new((processors / 2).clamp(1, 8))))
    }
}

/// The right to hash passwords, one at a time.
pub(crate) struct Turn(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl Turn {
    pub async fn hash(&self, password: &SecretString) -> Result<String> {
        let password = password.clone();
        let hashed = tokio::task::spawn_blocking(move || password::hash(&password)).await;
        hashed.map_err(Error::internal)?.map_err(Error::internal)
    }

    pub async fn verify(&self, password: &SecretString, hash: &str) -> Result<bool> {
        let (password, hash) = (password.clone(), hash.to_owned());
        let verified = tokio::task::spawn_blocking(move || password::verify(&password, &hash)).await;
        verified.map_err(Error::internal)?.map_err(Error::internal)
    }
}

/// What is wrong with a new password of whoever has this address.
pub(crate) fn wrong(field: &str, password: &SecretString, email: &str) -> Option<FieldError> {
    let text = password.expose_secret();
    if text.chars().count() < SHORTEST {
        let message = format!("The password must have at least {SHORTEST} characters.");
        return Some(FieldError::new(field, "too_short", message));
    }
    if text.len() > LONGEST {
        let message = format!("The password must have at most {LONGEST} bytes.");
        return Some(FieldError::new(field, "too_long", message));
    }
    if text.trim().eq_ignore_ascii_case(email) {
        return Some(FieldError::new(field, "not_allowed", "The password must not be the e-mail address."));
    }
    None
}

impl Engine {
    /// Waits until a password may be hashed.
    pub(crate) async fn turn_to_hash(&self) -> Result<Turn> {
        let slots = Arc::clone(&self.inner.hashing.0);
        match tokio::time::timeout(PATIENCE, slots.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn(permit)),
            _ => Err(Error {
                retry_after: Some(5),
                ..Error::new(
                    Code::Unavailable,
                    "Too many people are signing in just now. Try again in a moment.",
                )
            }),
        }
    }

    /// Makes a link in the caller's transaction; the member's former one of the kind is void.
    pub(crate) async fn make_link(
        &self,
        work: &mut Work<'_>,
        member: &Member,
        kind: LinkKind,
        now: Timestamp,
    ) -> Result<LinkView> {
        let token = token::random_token();
        let (path, life) = match kind {
            LinkKind::Invitation => ("invitations", INVITATION),
            LinkKind::PasswordReset => ("password-reset", RESET),
        };
        let link = MemberLink {
            organization_id: member.organization_id.clone(),
            member_id: member.id.clone(),
            kind,
            digest: token::digest(token.expose_secret().as_bytes()).to_vec(),
            created_at: now,
            expires_at: now.plus(life),
        };
        work.put_member_link(&link).await?;
        let token = token.expose_secret().to_owned();
        let url = format!("{}/{path}?token={token}", self.settings().public_url);
        Ok(LinkView { token, url, expires_at: link.expires_at })
    }

    /// The link of a token and whose it is. A token that is unknown, used, replaced or expired, or whose member is no longer waiting for
    /// it, is told by one and the same answer.
    pub(crate) async fn find_link(
        &self,
        token: &str,
        kind: LinkKind,
        now: Timestamp,
    ) -> Result<(MemberLink, Member)> {
        let digest = token::digest(token.as_bytes());
        let link = self.store().member_link(&digest).await?;
        let link = link.filter(|link| link.kind == kind && link.expires_at > now).ok_or_else(void)?;
        let member = self.store().member(&link.organization_id, &link.member_id).await?;
        let waits = |member: &Member| {
            member.active && member.joined_at.is_some() == (kind == LinkKind::PasswordReset)
        };
        let member = member.filter(waits).ok_or_else(void)?;
        Ok((link, member))
    }
}

/// What is said about a link that opens nothing.
pub(crate) fn void() -> Error {
    Error::new(
        Code::NotFound,
        "This link is not valid: it was used, replaced by a newer one, or has expired. Ask for a new one.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_passwords_are_neither_short_nor_endless_nor_the_address() {
        let code = |text: &str| wrong("new", &text.into(), "Ada@acme.example").map(|error| error.code);
        assert_eq!(code("ünïcödé10!"), None);
        assert_eq!(code("ünïcödé9!").as_deref(), Some("too_short"));
        assert_eq!(code(&"x".repeat(1024)), None);
        assert_eq!(code(&"x".repeat(1025)).as_deref(), Some("too_long"));
        assert_eq!(code(" ada@ACME.example").as_deref(), Some("not_allowed"));
    }
}
