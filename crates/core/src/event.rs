//! What happens: the words of the audit trail, of the history of a connection, and of everybody who listens.

use serde::{Deserialize, Serialize};

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// Something that happened. Programs may rely on the words; `docs/reference/events.md` lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }

        impl EventKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word: what it concerns, a dot, what happened to it.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)+ } }

            /// What it means, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

events! {
    /// An organization was made.
    OrganizationCreated = "organization.created";
    /// Name, region, plan or rules of the organization changed.
    OrganizationUpdated = "organization.updated";
    /// A member was invited, or invited again.
    MemberInvited = "member.invited";
    /// An invited member accepted.
    MemberJoined = "member.joined";
    /// Name, address or role of a member changed.
    MemberUpdated = "member.updated";
    /// A member was deactivated: his sessions ended, and his keys open nothing until he is reactivated.
    MemberDeactivated = "member.deactivated";
    /// A deactivated member may come back.
    MemberReactivated = "member.reactivated";
    /// A member was removed.
    MemberRemoved = "member.removed";
    /// Another member became super admin.
    SuperAdminTransferred = "member.super_admin_transferred";
    /// What a member had authorized was handed over to another.
    MemberHandedOver = "member.handed_over";
    /// Somebody signed in.
    SessionStarted = "session.started";
    /// A session was ended.
    SessionEnded = "session.ended";
    /// A sign-in was refused, for the password or for too many attempts.
    SignInRefused = "session.refused";
    /// A password was changed or set.
    PasswordChanged = "password.changed";
    /// A link to set a new password was asked for.
    PasswordResetRequested = "password.reset_requested";
    /// An API key was made.
    KeyCreated = "key.created";
    /// An API key was revoked.
    KeyRevoked = "key.revoked";
    /// An application was made.
    ApplicationCreated = "application.created";
    /// An application changed.
    ApplicationUpdated = "application.updated";
    /// An application was deleted.
    ApplicationDeleted = "application.deleted";
    /// A member got access to an application.
    ApplicationMemberAdded = "application.member_added";
    /// A member lost access to an application.
    ApplicationMemberRemoved = "application.member_removed";
    /// A component of an application said which connections it uses.
    ComponentDeclared = "application.component_declared";
    /// A component of an application is gone.
    ComponentRemoved = "application.component_removed";
    /// A form, workflow, schedule or datasource was made or changed.
    ComponentSaved = "application.component_saved";
    /// An environment serves another release of an application.
    ApplicationPublished = "application.published";
    /// A file of records is read in.
    RecordsImported = "application.records_imported";
    /// All records of a form were read out as a file.
    RecordsExported = "application.records_exported";
    /// Somebody had a schedule run or a datasource pulled by hand.
    RunAsked = "application.run_asked";
    /// Runs that had failed or were cancelled were queued again.
    RunsReplayed = "application.runs_replayed";
    /// A run was cancelled.
    RunCancelled = "application.run_cancelled";
    /// Somebody read what an application signs its webhooks with.
    WebhookSecretRead = "application.webhook_secret_read";
    /// An application signs its webhooks with another secret.
    WebhookSecretRotated = "application.webhook_secret_rotated";
    /// A checkout was made for a payment: somebody can pay.
    PaymentOpened = "payment.opened";
    /// A payment is paid.
    PaymentPaid = "payment.paid";
    /// A payment cannot be paid, or is not what was asked for.
    PaymentFailed = "payment.failed";
    /// Nobody paid in time.
    PaymentExpired = "payment.expired";
    /// A payment was called off.
    PaymentCancelled = "payment.cancelled";
    /// A custom connector was made.
    ConnectorCreated = "connector.created";
    /// A custom connector changed.
    ConnectorUpdated = "connector.updated";
    /// A custom connector was published, disabled or enabled.
    ConnectorStaged = "connector.staged";
    /// A custom connector was deleted.
    ConnectorDeleted = "connector.deleted";
    /// A connection was made.
    ConnectionCreated = "connection.created";
    /// A connection changed.
    ConnectionUpdated = "connection.updated";
    /// A connection was enabled.
    ConnectionEnabled = "connection.enabled";
    /// A connection was disabled: no call passes.
    ConnectionDisabled = "connection.disabled";
    /// A connection was deleted.
    ConnectionDeleted = "connection.deleted";
    /// A connection was moved to another version of its connector.
    ConnectionMoved = "connection.moved";
    /// Another authorization serves an environment.
    ConnectionSwitched = "connection.switched";
    /// Unattended work has another primary account.
    PrimaryChosen = "connection.primary_chosen";
    /// Somebody authorized a connection.
    AuthorizationConnected = "authorization.connected";
    /// An authorization serves another connection too.
    AuthorizationReused = "authorization.reused";
    /// A new authorization took the place of an old one.
    AuthorizationReplaced = "authorization.replaced";
    /// An authorization has another account name.
    AuthorizationRenamed = "authorization.renamed";
    /// A choice that the service offered was made: a site, a company, a workspace.
    AuthorizationSetUp = "authorization.set_up";
    /// An authorization was taken from a connection.
    AuthorizationRevoked = "authorization.revoked";
    /// Jackfield got a fresh token.
    AuthorizationRefreshed = "authorization.refreshed";
    /// The first refresh that failed for now; Jackfield goes on trying.
    AuthorizationFailing = "authorization.failing";
    /// A refresh succeeded after others had failed.
    AuthorizationRecovered = "authorization.recovered";
    /// The service no longer accepts the authorization.
    ReauthorizationRequired = "authorization.reauthorization_required";
    /// An attempt to authorize ended without an authorization.
    FlowEnded = "flow.ended";
}

impl EventKind {
    /// Whether it stands in the audit trail. What Jackfield does as a matter of course, many times a day, does not.
    pub const fn is_audited(self) -> bool {
        !matches!(self, Self::AuthorizationRefreshed)
    }

    /// Whether it belongs to the history of connections and authorizations, kept for a month.
    pub fn is_history(self) -> bool {
        let word = self.as_str();
        word.starts_with("connection.") || word.starts_with("authorization.") || word.starts_with("flow.")
    }

    /// The kind with this word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_have_two_parts() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in EventKind::ALL {
            assert!(seen.insert(kind.as_str()) && kind.as_str().split('.').count() == 2, "{kind:?}");
            assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
        }
        assert!(EventKind::parse("connection").is_none());
    }
}
