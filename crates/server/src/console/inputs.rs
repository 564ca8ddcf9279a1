//! How members of a document stand in inputs, and are read from them: what pages of actions and pages of documents have in common.

use serde_json::{Map, Value, json};

use super::form::{Field, Form};

/// A value in a line: a text as it is.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Members, one on each line: a name, a colon and what it is.
pub(super) fn named_lines(members: &Map<String, Value>, text: impl Fn(&Value) -> String) -> String {
    members.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect::<Vec<_>>().join("\n")
}

/// The same again: each name with what stands behind its colon. The error is a sentence.
pub(super) fn from_named_lines(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut members = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| {
            format!("Write a name, a colon and what it is on each line; {line:?} has no colon.")
        })?;
        members.push((name.trim(), value.trim()));
    }
    Ok(members)
}

/// A whole number. The error is a sentence.
pub(super) fn whole(text: &str) -> Result<Value, String> {
    text.trim().parse::<u32>().map(|number| json!(number)).map_err(|_| "Write a whole number.".to_owned())
}

/// A connection of those that there are, link name and name; one that is not there any more stays until another is chosen.
pub(super) fn connection<'f>(
    form: &'f Form,
    name: &'f str,
    label: &'f str,
    all: impl Iterator<Item = (&'f str, &'f str)>,
) -> Field<'f> {
    let mut choices: Vec<(&str, &str)> = all.collect();
    let chosen = form.value(name);
    if !choices.iter().any(|(link, _)| *link == chosen) {
        choices.insert(0, (chosen, if chosen.is_empty() { "Choose…" } else { chosen }));
    }
    form.select(name, label, &choices)
}

/// Where a value comes from, as [`source_of`] reads it.
pub(super) fn source_text(source: &Value) -> String {
    let one = source.as_object().and_then(|members| members.iter().next());
    match one.map(|(word, value)| (word.as_str(), value)) {
        Some(("field", Value::String(name))) => format!("record.{name}"),
        Some(("expression", Value::String(text))) => text.clone(),
        Some(("value", value)) => value.to_string(),
        _ => source.to_string(),
    }
}

/// Where a value comes from: a field where only one is named, a value where one is written out, else what the expression gives.
pub(super) fn source_of(text: &str) -> Value {
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    };
    if let Some(name) = text.strip_prefix("record.").filter(is_name) {
        return json!({"field": name});
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Value::Object(members),
        Ok(value) => json!({"value": value}),
        Err(_) => json!({"expression": text}),
    }
}
