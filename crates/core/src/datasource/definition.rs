//! The definition of a datasource, and what is wrong with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::FieldError;
use crate::schedule::{Misfire, Overlap, Schedule, Timing};
use crate::workflow::{Grounds, Integration, Mapped, Scene, check_integration};

/// Rows that a datasource has at most, unless told; and the most that can be told.
pub const ROWS_MAX: u32 = 100_000;

const fn yes() -> bool {
    true
}

const fn rows() -> u32 {
    ROWS_MAX
}

fn id() -> String {
    "/id".to_owned()
}

/// A table of what a service lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Datasource {
    /// link name of a connection
    pub connection: String,
    /// a module of its connector
    pub module: String,
    /// an operation of the module that lists
    pub operation: String,
    /// the operation's fields by name, and where their values come from; there is no record
    #[serde(default, rename = "with", skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, Mapped>,
    /// JSON pointer to what tells an item from the others, within the item
    #[serde(default = "id")]
    pub key: String,
    /// JSON pointer to how many items there are, within an answer; where it is known, the progress of a pull is said in percent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// how what changed since is asked for; absent: everything, each time
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental: Option<Incremental>,
    /// when it is pulled by itself; absent: by hand
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timing>,
    /// rows at most: a pull that finds more fails
    #[serde(default = "rows")]
    pub rows_max: u32,
    /// false: it is not pulled by itself
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// How what changed since the last pull is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// JSON pointer to the moment or number of the last change, within an item
    pub field: String,
    /// field of the operation that takes the greatest that was seen
    pub parameter: String,
}

impl Datasource {
    /// The connections that it pulls through.
    pub fn connections(&self) -> Vec<String> {
        vec![self.connection.clone()]
    }

    /// When it is pulled, as a schedule without actions.
    pub fn schedule(&self) -> Option<Schedule> {
        Some(Schedule {
            at: self.at.clone()?,
            actions: Vec::new(),
            overlap: Overlap::Skip,
            misfire: Misfire::Once,
            grace_minutes: crate::schedule::GRACE_MINUTES,
            enabled: self.enabled,
        })
    }

    /// Everything that is wrong with it, under dotted paths from the definition's root.
    pub fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>> {
        let mut wrong = self.at.as_ref().map(|at| at.check("at")).unwrap_or_default();
        let mut mapping = self.arguments.clone();
        if let Some(incremental) = &self.incremental {
            // Something stands there at each pull but the first; what must stand there at the first is mapped.
            let since = &incremental.parameter;
            let known = operation(grounds, self).is_some_and(|(module, operation)| {
                module.fields_of(operation).iter().any(|f| f.name == *since)
            });
            if !known && grounds.connections.contains_key(&self.connection) {
                let message = "The operation has no such field.";
                wrong.push(FieldError::new("incremental.parameter", "unknown", message));
            }
            mapping.remove(since);
        }
        let integration = Integration {
            connection: self.connection.clone(),
            module: self.module.clone(),
            operation: self.operation.clone(),
            mapping,
            types: BTreeMap::new(),
            shapes: BTreeMap::new(),
        };
        // Its mapping is called `with` here.
        wrong.extend(check_integration(&integration, grounds, Scene::Clock).into_iter().map(|mut error| {
            if let Some(rest) = error.field.strip_prefix("mapping.") {
                error.field = format!("with.{rest}");
            }
            error
        }));
        if operation(grounds, self).is_some_and(|(_, operation)| !operation.lists()) {
            wrong.push(FieldError::new(
                "operation",
                "invalid",
                "It does not list. Choose an operation that does.",
            ));
        }
        let pointers = [
            ("key", Some(&self.key)),
            ("total", self.total.as_ref()),
            ("incremental.field", self.incremental.as_ref().map(|one| &one.field)),
        ];
        for (path, pointer) in pointers {
            if pointer.is_some_and(|pointer| !pointer.starts_with('/') || pointer.len() > 500) {
                let message = "Say a JSON pointer, such as /id or /meta/changed_at.";
                wrong.push(FieldError::new(path, "invalid", message));
            }
        }
        if self.rows_max == 0 || self.rows_max > ROWS_MAX {
            let message = format!("Say 1 to {ROWS_MAX}.");
            wrong.push(FieldError::new("rows_max", "invalid", message));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// The operation that it asks.
fn operation<'g>(
    grounds: &'g Grounds,
    datasource: &Datasource,
) -> Option<(&'g crate::connector::Module, &'g crate::connector::Operation)> {
    let module = grounds.connections.get(&datasource.connection)?.modules.get(&datasource.module)?;
    Some((module, module.operations.get(&datasource.operation)?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::connector::Connector;

    fn grounds() -> Grounds {
        let connector: Connector = serde_json::from_value(json!({
            "name": "Acme", "base_url": "https://acme.example", "auth": {"type": "none"},
            "modules": {"vendor": {"operations": {
                "list": {"path": "/vendors", "items": "/items", "fields": [
                    {"name": "company", "required": true, "in": "query"}, {"name": "since", "type": "date_time", "in": "query"}]},
                "read": {"path": "/vendors/1"},
            }}},
        }))
        .unwrap();
        Grounds {
            connections: BTreeMap::from([("acme".to_owned(), Arc::new(connector))]),
            ..Grounds::default()
        }
    }

    fn faults(change: &Value) -> Vec<String> {
        let mut document = json!({"connection": "acme", "module": "vendor", "operation": "list", "with": {"company": {"value": "1"}}});
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let datasource: Datasource = serde_json::from_value(document).unwrap();
        let wrong = datasource.check(&grounds()).err().unwrap_or_default();
        wrong.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn what_would_fail_later_is_said_now() {
        assert_eq!(faults(&json!({})), [""; 0]);
        let since = |parameter: &str| json!({"incremental": {"field": "/changed", "parameter": parameter}});
        assert_eq!(faults(&since("since")), [""; 0]);
        for (change, field) in [
            (json!({"connection": "other"}), "connection"),
            (json!({"module": "invoice"}), "module"),
            (json!({"operation": "remove"}), "operation"),
            (json!({"with": {}}), "with.company"),
            (json!({"with": {"company": {"value": "1"}, "size": {"value": 1}}}), "with.size"),
            (json!({"with": {"company": {"field": "x"}}}), "with.company"),
            (json!({"with": {"company": {"expression": "record.x"}}}), "with.company"),
            (json!({"key": "id"}), "key"),
            (json!({"total": "total"}), "total"),
            (json!({"rows_max": 0}), "rows_max"),
            (json!({"rows_max": 100_001}), "rows_max"),
            (json!({"at": {"every": "5"}}), "at.every"),
            (since("until"), "incremental.parameter"),
        ] {
            assert_eq!(faults(&change), [field], "{change}");
        }
        let not_a_list = faults(&json!({"operation": "read", "with": {}}));
        assert_eq!(not_a_list, ["operation"]);
    }
}
