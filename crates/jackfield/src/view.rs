//! Parts of the API's answers as people read them.

use clap::Args;
use serde_json::Value;

use crate::client::{Reply, with_query};
use crate::failure::Result;
use crate::say;

/// Which page of a list.
#[derive(Args, Clone, Default)]
pub struct PageArgs {
    /// How many, at most 200
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
    /// Where to go on: as the page before said
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl PageArgs {
    pub fn of(limit: u32, cursor: Option<String>) -> Self {
        Self { limit: Some(limit), cursor }
    }

    pub fn path(&self, path: &str, query: &[(&str, Option<String>)]) -> String {
        let mut all = query.to_vec();
        all.push(("limit", self.limit.map(|limit| limit.to_string())));
        all.push(("cursor", self.cursor.clone()));
        with_query(path, &all)
    }
}

/// A column: its heading, and where its text stands in a row.
pub type Column = (&'static str, fn(&Value) -> String);

/// A list: a table for people, the answer itself for programs.
pub fn list(answer: &Reply, as_json: bool, nothing: &str, columns: &[Column]) -> Result<()> {
    if as_json {
        return say::json(answer);
    }
    let items = answer.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return say::line(nothing);
    }
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    say::table(&heads, items.iter().map(|item| columns.iter().map(|(_, text)| text(item)).collect()))?;
    if let Some(cursor) = answer.get("next_cursor").and_then(Value::as_str) {
        say::aside(format!("There are more: --cursor {cursor}"));
    }
    Ok(())
}

/// The text at a JSON pointer: yes and no, lists by commas, nothing for nothing.
pub fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(entries) => entries.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A time, to the second.
pub fn time(value: &Value, pointer: &str) -> String {
    let text = text(value, pointer);
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock}"),
        _ => text,
    }
}

/// A status as the console says it.
pub fn status(value: &Value, pointer: &str) -> String {
    match text(value, pointer).as_str() {
        "connected" => "Connected",
        "not_connected" => "Not connected",
        "reauthorization_required" => "Needs attention",
        other => return other.to_owned(),
    }
    .to_owned()
}

/// The statuses of the environments: one word where they agree.
pub fn statuses(connection: &Value) -> String {
    if connection.get("enabled") == Some(&Value::Bool(false)) {
        return "Disabled".to_owned();
    }
    let all = ["development", "stage", "production"]
        .map(|name| (name, status(connection, &format!("/status/{name}"))));
    match &all {
        [(_, a), (_, b), (_, c)] if a == b && b == c => a.clone(),
        all => all.iter().map(|(name, status)| format!("{name}: {status}")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn statuses_agree_or_are_listed() {
        let connection = |production: &str, enabled: bool| json!({"enabled": enabled, "status": {"development": "connected", "stage": "connected", "production": production}});
        assert_eq!(statuses(&connection("connected", true)), "Connected");
        assert_eq!(statuses(&connection("connected", false)), "Disabled");
        assert_eq!(
            statuses(&connection("reauthorization_required", true)),
            "development: Connected, stage: Connected, production: Needs attention"
        );
    }

    #[test]
    fn times_and_lists() {
        let value =
            json!({"at": "2026-11-22T02:08:51.416146Z", "scopes": ["a", "b"], "on": true, "no": null});
        assert_eq!(time(&value, "/at"), "2026-11-22 02:08:51");
        assert_eq!(
            (text(&value, "/scopes"), text(&value, "/on"), text(&value, "/no")),
            ("a, b".into(), "yes".into(), String::new())
        );
    }
}
