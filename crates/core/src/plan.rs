//! Plans: how much an organization may have (product N15). Data of the operator's; without any, nothing is limited.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Code, Error, Result};

/// The plan that every organization has unless the operator gives it another: no limits.
pub const UNLIMITED: &str = "unlimited";

/// What a plan limits; what is absent has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// connections of the organization
    #[serde(default)]
    pub connections: Option<u32>,
    /// connectors that it made itself
    #[serde(default)]
    pub custom_connectors: Option<u32>,
    /// calls through connections, from midnight to midnight UTC
    #[serde(default)]
    pub calls_per_day: Option<u32>,
}

/// The operator's plans by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plans(BTreeMap<String, Plan>);

impl Plans {
    /// Reads a TOML document: a table a plan, such as `[free]` with `connections = 10`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plans: BTreeMap<String, Plan> =
            toml::from_str(text).map_err(|error| error.message().to_owned())?;
        match plans.keys().find(|name| !is_name(name)) {
            Some(name) => Err(format!("{name:?} is no name of a plan: use small letters, digits and _")),
            None if plans.get(UNLIMITED).is_some_and(|plan| *plan != Plan::default()) => {
                Err(format!("the plan {UNLIMITED} has no limits; give yours another name"))
            }
            None => Ok(Self(plans)),
        }
    }

    /// The plan with this name; `None` when there is none.
    pub fn get(&self, name: &str) -> Option<Plan> {
        self.0.get(name).copied().or_else(|| (name == UNLIMITED).then(Plan::default))
    }

    /// The names, for people.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        if !names.contains(&UNLIMITED) {
            names.push(UNLIMITED);
        }
        names
    }
}

fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether one more is within a limit of the plan. `what` is the limit's name and noun, as in "connections".
pub fn within(plan: &str, what: &str, limit: Option<u32>, used: u64) -> Result<()> {
    match limit {
        Some(limit) if used >= u64::from(limit) => Err(Error::new(
            Code::PlanLimitReached,
            format!(
                "The plan {plan:?} allows {limit} {what}, and all of them are used. Ask the operator for another plan, or make room."
            ),
        )
        .with_extension("limit", serde_json::json!({"name": what.replace(' ', "_"), "allowed": limit, "used": used}))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_and_refused() {
        let plans = Plans::parse("[free]\nconnections = 2\n[team]\ncalls_per_day = 1000").unwrap();
        assert_eq!(plans.get("free").unwrap().connections, Some(2));
        assert_eq!(plans.get("team").unwrap().connections, None);
        assert_eq!(plans.get(UNLIMITED), Some(Plan::default()));
        assert_eq!(plans.get("gold"), None);
        assert_eq!(plans.names(), ["free", "team", "unlimited"]);
        for wrong in ["[free]\nconections = 2", "[Free]", "[unlimited]\nconnections = 1", "free = 1", "["] {
            assert!(Plans::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_reached_when_all_is_used() {
        assert!(within("free", "connections", Some(2), 1).is_ok());
        assert!(within("free", "connections", None, 1_000_000).is_ok());
        let error = within("free", "connections", Some(2), 2).unwrap_err();
        assert_eq!(error.code, Code::PlanLimitReached);
    }
}
