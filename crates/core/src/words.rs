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
    fn words_round_trip() {
        for environment in Environment::ALL {
            assert_eq!(Environment::parse(environment.as_str()), Some(*environment));
        }
        assert_eq!(Environment::choices(), "development, stage or production");
        assert_eq!(Role::parse("owner"), None);
    }
}
