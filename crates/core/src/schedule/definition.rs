//! The definition of a schedule, and what is wrong with it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::timing::Timing;
use crate::error::FieldError;
use crate::time::Timestamp;
use crate::workflow::{Grounds, Scene, WorkflowAction, check_actions};

/// How late a tick may be with `misfire` *skip*, unless told: minutes.
pub const GRACE_MINUTES: u32 = 5;
/// How late it may be at most: a week.
const GRACE_MAX: u32 = 7 * 24 * 60;

const fn yes() -> bool {
    true
}

const fn grace() -> u32 {
    GRACE_MINUTES
}

/// What runs at times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// when it runs
    pub at: Timing,
    /// what is done, in this order; there is no record
    pub actions: Vec<WorkflowAction>,
    /// what becomes of a tick while the run before is not over
    #[serde(default)]
    pub overlap: Overlap,
    /// what becomes of ticks that passed while nobody could run them
    #[serde(default)]
    pub misfire: Misfire,
    /// with `misfire` *skip*: so many minutes late a tick still runs
    #[serde(default = "grace")]
    pub grace_minutes: u32,
    /// false: nothing runs
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What becomes of a tick while the run before is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// it is left out, and counted
    #[default]
    Skip,
    /// its run waits until the one before is over
    Queue,
}

/// What becomes of ticks that passed while nobody could run them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// all of them are made up for by one run
    #[default]
    Once,
    /// they are left out, and counted
    Skip,
}

impl Schedule {
    /// The connections that it calls through, each once, in order.
    pub fn connections(&self) -> Vec<String> {
        crate::workflow::connections_of(&self.actions)
    }

    /// Everything that is wrong with it, under dotted paths from the definition's root.
    pub fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>> {
        let mut wrong = self.at.check("at");
        if self.grace_minutes == 0 || self.grace_minutes > GRACE_MAX {
            let message = format!("Say 1 to {GRACE_MAX} minutes.");
            wrong.push(FieldError::new("grace_minutes", "invalid", message));
        }
        wrong.extend(check_actions(&self.actions, grounds, Scene::Clock));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// The first tick after a moment, where it is switched on.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.at.next(after).filter(|_| self.enabled)
    }

    /// Whether a tick that is found so late still runs.
    pub fn catches(&self, tick: Timestamp, now: Timestamp) -> bool {
        let grace = std::time::Duration::from_secs(60 * u64::from(self.grace_minutes));
        self.misfire == Misfire::Once || tick.until(now) <= grace
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn schedule(actions: &Value) -> Schedule {
        serde_json::from_value(json!({"at": {"every": "1h"}, "actions": actions})).unwrap()
    }

    fn faults(actions: &Value) -> Vec<(String, String)> {
        let wrong = schedule(actions).check(&Grounds::default()).err().unwrap_or_default();
        wrong.into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn it_knows_no_record() {
        let mail = |text: &str| json!({"to": ["a@b.example"], "subject": "s", "text": text});
        let good = json!([
            {"name": "one", "condition": "event == 'tick'", "mail": mail("{{ tick }} {{ date }} {{ environment }} {{ application }}")},
            {"name": "two", "mail": mail("{{ results.one.to }}")},
        ]);
        assert_eq!(faults(&good), []);
        for (actions, field, code) in [
            (json!([{"name": "a", "mail": mail("{{ record.name }}")}]), "actions.0.mail.text", "unknown"),
            (json!([{"name": "a", "mail": mail("{{ submitter.name }}")}]), "actions.0.mail.text", "unknown"),
            (
                json!([{"name": "a", "update_record": {"set": {"x": {"value": 1}}}}]),
                "actions.0.update_record",
                "invalid",
            ),
            (json!([]), "actions", "required"),
        ] {
            assert_eq!(faults(&actions), [(field.to_owned(), code.to_owned())], "{actions}");
        }
        let mut wrong = schedule(&good);
        wrong.at = Timing::default();
        wrong.grace_minutes = 0;
        let fields: Vec<String> =
            wrong.check(&Grounds::default()).unwrap_err().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["at", "grace_minutes"]);
    }

    #[test]
    fn what_comes_too_late_is_left_out_where_that_is_wanted() {
        let (tick, soon) = (Timestamp::from_micros(0), Timestamp::from_micros(300_000_000));
        let late = Timestamp::from_micros(300_000_001);
        let mut schedule = schedule(&json!([]));
        assert!(schedule.catches(tick, late));
        schedule.misfire = Misfire::Skip;
        assert!(schedule.catches(tick, soon) && !schedule.catches(tick, late));
        schedule.enabled = false;
        assert_eq!(schedule.next(tick), None);
    }
}
