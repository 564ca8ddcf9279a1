//! Keeping what was granted: the one way in which an authorization comes into the store, whether a person typed a credential or a service
//! sent it at the end of a flow; and the one way in which it leaves.

use jackfield_core::id::Prefix;
use jackfield_core::{
    Code, ConnectionStatus, Environment, Error, EventKind, FieldError, Level, Result, Timestamp, names,
};
use jackfield_store::{Authorization, Connection};

use crate::Engine;
use crate::clock::new_id;
use crate::connect::exchange::Granted;
use crate::connect::flows::moved_meanwhile;
use crate::connect::ground::Ground;
use crate::connect::prove::Whose;
use crate::connect::refresh::background_at;
use crate::connect::setup::open_step;
use crate::connect::{Bounds, Credential};
use crate::govern::audit::Event;
use crate::work::Work;

/// What is to be kept of a granted credential.
pub(crate) struct Keep<'a> {
    pub owner: &'a str,
    pub account_name: Option<&'a str>,
    /// whoever asked for the name waits for the answer and can choose another; at the end of a flow it is numbered instead, since a
    /// consent is worth more than a name
    pub name_is_firm: bool,
    pub environments: &'a [Environment],
    pub requested: &'a [String],
    /// the authorization that it replaces
    pub replaces: Option<&'a str>,
}

/// A grant that was proven: its attributes are whole, but for what a person has yet to choose.
pub(crate) struct Proven {
    granted: Granted,
    bounds: Bounds,
    whose: Whose,
    setup_pending: bool,
}

/// What was kept, and what is left to do.
pub(crate) struct Kept {
    pub authorization: Authorization,
    /// the person at the service is another one than before
    pub different_account: bool,
    /// id of the authorization whose place it took
    replaced: Option<String>,
    /// authorizations that nothing holds any more: to be revoked at the service
    pub orphans: Vec<Authorization>,
}

impl Kept {
    pub fn kind(&self) -> EventKind {
        if self.replaced.is_some() {
            EventKind::AuthorizationReplaced
        } else {
            EventKind::AuthorizationConnected
        }
    }

    /// Fills in what was kept.
    pub fn event(&self, event: Event, ground: &Ground) -> Event {
        let row = &self.authorization;
        let mut event = event
            .on_authorization(&ground.connection.link_name, &row.id)
            .with("account_name", row.account_name.as_str())
            .with("owner", row.owner.as_str())
            .with("connector", row.connector.as_str())
            .with("scopes", row.scopes.as_ref().unwrap_or(&row.requested_scopes).as_slice());
        if let Some(old) = &self.replaced {
            event = event.with("replaces", old.as_str());
        }
        if self.different_account {
            event = event.with("different_account", true);
        }
        event
    }
}

/// The member in a binding: at level `user` each has his own.
pub(crate) fn binding_member(level: Level, owner: &str) -> &str {
    if level == Level::User { owner } else { "" }
}

impl Engine {
    /// Makes the choices that need nobody, tries the credential, and asks whose it is.
    pub(crate) async fn proven(
        &self,
        ground: &Ground,
        mut granted: Granted,
        keep: &Keep<'_>,
    ) -> Result<Proven> {
        let former = match keep.replaces {
            Some(id) => self.store().authorization(&ground.connection.organization_id, id).await?,
            None => None,
        };
        let former = former.map(|row| row.attributes);
        let mut attributes = std::mem::take(&mut granted.attributes);
        let bounds = ground.bounds(&attributes)?;
        self.choose_alone(ground, (&granted.credential, &bounds), &mut attributes, former.as_ref()).await;
        self.prove(ground, (&granted.credential, &bounds), &attributes).await?;
        let whose = self.identify(ground, &granted, &bounds, &attributes).await;
        let setup_pending = open_step(ground, &attributes).is_some();
        granted.attributes = attributes;
        Ok(Proven { granted, bounds, whose, setup_pending })
    }

    /// Keeps what was granted and lets it serve, in the caller's transaction.
    pub(crate) async fn keep_grant(
        &self,
        work: &mut Work<'_>,
        ground: &Ground,
        Proven { granted, bounds, whose, setup_pending }: Proven,
        keep: &Keep<'_>,
        now: Timestamp,
    ) -> Result<Kept> {
        let connection = &ground.connection;
        let organization = connection.organization_id.as_str();
        // Consent takes its time: whoever gave it may have been removed or deactivated meanwhile.
        if !work.member(organization, keep.owner).await?.is_some_and(|member| member.active) {
            return Err(Error::new(Code::Forbidden, "You do not belong to the organization any more."));
        }
        // As long, the connection may have been moved: what was granted for one version is not kept for another.
        let present = work.connection(organization, &connection.link_name).await?;
        if present.is_some_and(|present| present.connector_version != connection.connector_version) {
            return Err(moved_meanwhile());
        }
        let mut orphans = Vec::new();
        let mut different_account = false;
        let mut old_name = None;
        // Read while it is still there: what it served goes to the new one.
        let old = match keep.replaces {
            None => None,
            Some(id) => work.authorization(organization, id).await?,
        };
        let id = new_id(Prefix::Authorization, now);
        if let Some(old) = &old {
            different_account = matches!((&old.subject, &whose.subject), (Some(was), Some(is)) if was != is);
            work.move_bindings(organization, &connection.link_name, &old.id, &id).await?;
            orphans.extend(self.let_go(work, organization, &connection.link_name, &old.id).await?);
            old_name = Some(old.account_name.clone());
        }
        let taken = work.account_names(organization, &connection.connector).await?;
        if let Some(name) =
            keep.account_name.filter(|name| keep.name_is_firm && taken.iter().any(|t| t == name))
        {
            return Err(account_name_taken(name));
        }
        // A name that the service or Jackfield proposes is nobody's word yet.
        let named = keep.account_name.is_some() || old.as_ref().is_some_and(|old| old.named);
        let wanted = keep.account_name.map(str::to_owned).or(old_name).or(whose.name);
        let account_name = free_name(wanted.as_deref(), &ground.connector.name, &taken);
        let authorization = Authorization {
            organization_id: organization.to_owned(),
            connector: connection.connector.clone(),
            account_name,
            owner: keep.owner.to_owned(),
            subject: whose.subject,
            requested_scopes: keep.requested.to_vec(),
            scopes: granted.scopes,
            attributes: granted.attributes,
            credential: granted.credential.seal(&bounds, self.keyring(), organization, &id)?,
            credential_version: 1,
            refreshable: granted.refreshable,
            issued_at: granted.issued_at,
            expires_at: granted.expires_at,
            refresh_at: background_at(granted.refreshable, granted.issued_at, granted.expires_at),
            status: ConnectionStatus::Connected,
            reason: None,
            presented: 0,
            lease_until: None,
            next_attempt_at: None,
            refresh_error: None,
            last_refreshed_at: None,
            last_used_at: None,
            created_at: now,
            version: 1,
            named,
            setup_pending,
            moved_from: None,
            id,
        };
        work.insert_authorization(&authorization).await.map_err(|error| {
            if error.is_unique("authorizations_account_name") {
                account_name_taken(&authorization.account_name)
            } else {
                error.into()
            }
        })?;
        work.hold(organization, &connection.link_name, &authorization.id, now).await?;
        let member = binding_member(connection.level, keep.owner);
        for environment in keep.environments {
            work.bind(organization, &connection.link_name, *environment, member, &authorization.id, now)
                .await?;
        }
        work.touch(organization);
        Ok(Kept { authorization, different_account, replaced: old.map(|old| old.id), orphans })
    }

    /// Takes an authorization from a connection; if nobody holds it any more it is deleted and returned, to be revoked at the service.
    pub(crate) async fn let_go(
        &self,
        work: &mut Work<'_>,
        organization: &str,
        connection: &str,
        id: &str,
    ) -> Result<Option<Authorization>> {
        work.let_go(organization, connection, id).await?;
        work.touch(id);
        if !work.holders(organization, id).await?.is_empty() {
            return Ok(None);
        }
        let orphan = work.authorization(organization, id).await?;
        work.delete_authorization(organization, id).await?;
        Ok(orphan)
    }

    /// Revokes at the service what nobody holds any more. Whatever the service says: here it is gone.
    pub(crate) async fn revoke_orphans(&self, ground: &Ground, orphans: Vec<Authorization>, now: Timestamp) {
        for orphan in orphans {
            match self.take_back(ground, &orphan, now).await {
                Ok(at_service) => {
                    tracing::info!(authorization = orphan.id, at_service, "authorization revoked");
                }
                Err(why) => {
                    tracing::warn!(
                        authorization = orphan.id,
                        why,
                        "authorization revoked here, but not at the service"
                    );
                }
            }
        }
    }

    /// Revokes one at the service. Where the endpoints have moved since it was given, then at those of the version for which it was: its
    /// tokens go to no others. The error is a sentence.
    async fn take_back(
        &self,
        ground: &Ground,
        orphan: &Authorization,
        now: Timestamp,
    ) -> Result<bool, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let opened =
            Credential::open(self.keyring(), &orphan.organization_id, &orphan.id, &orphan.credential);
        let (credential, bounds) = opened.map_err(|error| said(&error))?;
        let mut former = None;
        if let Err(error) = ground.check_endpoints(&bounds, &orphan.attributes) {
            let Some(version) = orphan.moved_from else { return Err(said(&error)) };
            let connection = Connection { connector_version: Some(version), ..ground.connection.clone() };
            let then = self.ground(connection).await.map_err(|error| said(&error))?;
            then.check_endpoints(&bounds, &orphan.attributes).map_err(|error| said(&error))?;
            former = Some(then);
        }
        let ground = former.as_ref().unwrap_or(ground);
        let revoked = self.revoke_at_service(ground, &credential, &orphan.attributes, now).await;
        revoked.map_err(|error| said(&error))
    }
}

pub(crate) fn account_name_taken(name: &str) -> Error {
    Error {
        fields: vec![FieldError::new(
            "account_name",
            "taken",
            "Choose a name that no other account of this connector has.",
        )],
        ..Error::new(Code::AccountNameTaken, format!("Another account of this connector is called {name:?}."))
    }
}

/// A name that no account has: the wanted one, or `<Service> account <n>`; numbered where it is taken.
fn free_name(wanted: Option<&str>, service: &str, taken: &[String]) -> String {
    let free = |name: &str| !taken.iter().any(|t| t == name);
    match wanted {
        Some(name) if free(name) => name.to_owned(),
        Some(name) => {
            let base: String = name.chars().take(names::DISPLAY_NAME_MAX - 8).collect();
            (2..u32::MAX).map(|n| format!("{base} ({n})")).find(|name| free(name)).unwrap_or(base)
        }
        None => (1..u32::MAX)
            .map(|n| format!("{service} account {n}"))
            .find(|name| free(name))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_proposed_and_numbered() {
        let taken = ["Acme account 1".to_owned(), "ada@acme.example".to_owned()];
        assert_eq!(free_name(None, "Acme", &taken), "Acme account 2");
        assert_eq!(free_name(Some("ada@acme.example"), "Acme", &taken), "ada@acme.example (2)");
        assert_eq!(free_name(Some("lin@acme.example"), "Acme", &taken), "lin@acme.example");
    }
}
