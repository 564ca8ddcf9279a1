//! Small closed sets of words: environments, levels, roles, statuses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema, JsonSchema)]
        pub enum $name { $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)+ } }

            /// The word, or `None` when it is not one of these.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// The words as people list them: "a, b or c".
            pub fn choices() -> String {
                let words: Vec<&str> = Self::ALL.iter().map(|w| w.as_str()).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => words.join(""),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

words! {
    /// Where something runs; data and authorizations are separate.
    Environment {
        /// edit mode
        Development = "development",
        /// live, for trying out
        Stage = "stage",
        /// live, for real
        Production = "production",
    }
}

words! {
    /// Who authorizes a connection.
    Level {
        /// made by Jackfield for the organization's own suite; only the super admin authorizes
        System = "system",
        /// admins authorize for everybody
        Admin = "admin",
        /// each logged-in user authorizes for himself
        User = "user",
    }
}

words! {
    /// What a member may do in his organization.
    Role {
        /// exactly one; everything
        SuperAdmin = "super_admin",
        /// manages and authorizes
        Admin = "admin",
        /// manages, but does not authorize at level admin
        Developer = "developer",
        /// uses, and authorizes his own accounts
        User = "user",
    }
}

words! {
    /// Whether a member takes part.
    MemberStatus {
        /// he has not accepted the invitation yet
        Invited = "invited",
        /// he takes part
        Active = "active",
        /// his keys and sessions open nothing until he is reactivated
        Deactivated = "deactivated",
    }
}

words! {
    /// Whether a connection can be used in an environment.
    ConnectionStatus {
        /// nobody authorized it (at level `user`: not the caller)
        NotConnected = "not_connected",
        /// it works, as far as is known
        Connected = "connected",
        /// the service no longer accepts the authorization
        ReauthorizationRequired = "reauthorization_required",
    }
}

words! {
    /// What an API key may be used for; it never allows more than its owner may do.
    KeyScope {
        /// look at things
        Read = "read",
        /// make, change and delete things
        Manage = "manage",
        /// authorize connections and revoke authorizations
        Authorize = "authorize",
        /// call services through connections
        Use = "use",
        /// an application's: say for which person a call is made
        ActFor = "act_for",
    }
}

/// A set of [`KeyScope`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyScopes(u8);

impl KeyScopes {
    /// What a personal key has unless it is told otherwise, and what a browser session has.
    pub const PERSONAL: Self =
        Self::of(&[KeyScope::Read, KeyScope::Manage, KeyScope::Authorize, KeyScope::Use]);
    /// What an application's key has unless it is told otherwise.
    pub const APPLICATION: Self = Self::of(&[KeyScope::Read, KeyScope::Use, KeyScope::ActFor]);

    pub const fn of(scopes: &[KeyScope]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < scopes.len() {
            bits |= 1 << scopes[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    pub const fn has(self, scope: KeyScope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether everything that is here is there too.
    pub const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub fn list(self) -> Vec<KeyScope> {
        KeyScope::ALL.iter().copied().filter(|scope| self.has(*scope)).collect()
    }
}

impl Role {
    /// Super admin or admin: those who authorize for everybody.
    pub const fn is_admin(self) -> bool {
        matches!(self, Self::SuperAdmin | Self::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_set() {
        let some = KeyScopes::of(&[KeyScope::Read, KeyScope::ActFor]);
        assert_eq!(some.list(), [KeyScope::Read, KeyScope::ActFor]);
        assert!(some.within(KeyScopes::APPLICATION) && !some.within(KeyScopes::PERSONAL));
        assert_eq!(KeyScopes::of(&KeyScopes::PERSONAL.list()), KeyScopes::PERSONAL);
    }

    #[test]
    fn words_round_trip() {
        for environment in Environment::ALL {
            assert_eq!(Environment::parse(environment.as_str()), Some(*environment));
        }
        assert_eq!(Environment::choices(), "development, stage or production");
        assert_eq!(Role::parse("owner"), None);
    }
}
