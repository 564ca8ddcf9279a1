//! References and schemas of an OpenAPI document, within bounds: nothing outside of the document is followed, and nothing twice on one way.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sentence;

/// Longest way of references.
const HOPS_MAX: usize = 32;
/// Most members that are taken of a body.
const MEMBERS_MAX: usize = 150;
/// How deep schemas may be made of schemas, and how many are looked at for one body: forms within forms multiply.
const MERGES_MAX: usize = 16;
const LOOKS_MAX: usize = 3000;

/// Where a reference leads; the reason where it leads nowhere.
pub(super) fn resolve<'a>(root: &'a Value, mut value: &'a Value) -> Result<&'a Value, String> {
    for _ in 0..HOPS_MAX {
        let Some(link) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
        let Some(pointer) = link.strip_prefix('#') else {
            return Err(format!("it refers to another document ({link}), which is not fetched"));
        };
        let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
        value = root.pointer(&pointer).ok_or_else(|| format!("its reference {link} leads nowhere"))?;
    }
    Err("its references lead in a circle".to_owned())
}

/// A member of a body.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub name: String,
    pub required: bool,
    pub kind: &'static str,
    pub help: Option<String>,
    pub choices: Vec<String>,
}

/// Which way an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// to the service: without the members that only it writes
    Asked,
    /// from the service: without those that it keeps to itself
    Answered,
}

impl Way {
    /// What says of a member that it does not go this way.
    fn barred_by(self) -> &'static str {
        match self {
            Self::Asked => "readOnly",
            Self::Answered => "writeOnly",
        }
    }
}

/// The members of an object, with those of what it is made of; the reason where it is no object.
pub(super) fn members(root: &Value, schema: &Value, way: Way) -> Result<(Vec<Member>, Vec<String>), String> {
    let mut found = BTreeMap::new();
    let mut remarks = Vec::new();
    let mut looks = LOOKS_MAX;
    collect(root, schema, way, (0, &mut looks), &mut found, &mut remarks)?;
    let mut all: Vec<Member> = found.into_values().collect();
    if all.len() > MEMBERS_MAX {
        remarks.push(format!(
            "Of its {} members those that must be given and the first others were taken.",
            all.len()
        ));
        all.sort_by_key(|member| !member.required);
        all.truncate(MEMBERS_MAX);
    }
    Ok((all, remarks))
}

fn collect(
    root: &Value,
    schema: &Value,
    way: Way,
    (depth, looks): (usize, &mut usize),
    found: &mut BTreeMap<String, Member>,
    remarks: &mut Vec<String>,
) -> Result<(), String> {
    *looks = looks.saturating_sub(1);
    if depth > MERGES_MAX || *looks == 0 {
        return Err("its schemas contain each other".to_owned());
    }
    let schema = resolve(root, schema)?;
    let mut is_object = schema.get("properties").is_some();
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        collect(root, part, way, (depth + 1, looks), found, remarks)?;
        is_object = true;
    }
    for one in ["oneOf", "anyOf"] {
        let variants = schema.get(one).and_then(Value::as_array);
        if let Some(first) = variants.and_then(|variants| variants.first()) {
            // Of several forms the first one that is an object: which one is meant cannot be known.
            let fits = variants.into_iter().flatten().find(|variant| {
                collect(root, variant, way, (depth + 1, looks), &mut BTreeMap::new(), &mut Vec::new()).is_ok()
            });
            if !is_object || fits.is_some() {
                collect(root, fits.unwrap_or(first), way, (depth + 1, looks), found, remarks)?;
                is_object = true;
                if variants.is_some_and(|variants| variants.len() > 1) {
                    remarks.push("Its body has several forms; the first was taken.".to_owned());
                }
            }
        }
    }
    if !is_object {
        return match kind_word(schema) {
            Some("object") => Ok(()),
            Some(other) => Err(format!("its body is no object but of type {other}")),
            None => Err("its body has no schema".to_owned()),
        };
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let property = match resolve(root, property) {
            Ok(property) => property,
            Err(why) => {
                remarks.push(format!("The member {name} was left out: {why}."));
                continue;
            }
        };
        if property.get(way.barred_by()) == Some(&Value::Bool(true)) || name.is_empty() || name.len() > 256 {
            continue;
        }
        let mut member = member(root, name, property);
        member.required = required.contains(&name.as_str());
        found.insert(name.clone(), member);
    }
    for name in required {
        if let Some(member) = found.get_mut(name) {
            member.required = true;
        }
    }
    Ok(())
}

fn kind_word(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        // OpenAPI 3.1: `["string", "null"]`.
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ if schema.get("properties").is_some() => Some("object"),
        _ => None,
    }
}

/// What a schema is as a field.
pub(super) fn member(root: &Value, name: &str, schema: &Value) -> Member {
    let own = resolve(root, schema).unwrap_or(schema);
    // A member that is one thing or null is that thing.
    let inner = ["allOf", "oneOf", "anyOf"]
        .into_iter()
        .filter_map(|word| own.get(word).and_then(Value::as_array))
        .flatten()
        .filter_map(|variant| resolve(root, variant).ok())
        .find(|variant| kind_word(variant).is_some_and(|kind| kind != "null"));
    let typed = if kind_word(own).is_some() { own } else { inner.unwrap_or(own) };
    let format = typed.get("format").and_then(Value::as_str).unwrap_or("");
    let kind = match (kind_word(typed), format) {
        (Some("integer"), _) => "integer",
        (Some("number"), _) => "number",
        (Some("boolean"), _) => "boolean",
        (Some("array"), _) => "list",
        (Some("object"), _) => "object",
        (_, "date") => "date",
        (_, "date-time") => "date_time",
        (_, "email") => "email",
        (_, "uri" | "url") => "url",
        _ => "string",
    };
    let mut choices: Vec<String> = typed
        .get("enum")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|text| text.len() <= 200)
        .map(str::to_owned)
        .collect();
    choices.dedup();
    let mut seen = std::collections::BTreeSet::new();
    choices.retain(|choice| seen.insert(choice.clone()));
    if kind != "string" || choices.len() > 100 {
        choices.clear();
    }
    let help = own.get("description").or_else(|| typed.get("description")).and_then(Value::as_str);
    Member {
        name: name.to_owned(),
        required: false,
        kind,
        help: help.and_then(|text| sentence(text, 200)),
        choices,
    }
}

/// Where the list in an answer stands: the answer itself, or its only list.
pub(super) fn list_in(root: &Value, schema: &Value) -> Option<String> {
    let schema = resolve(root, schema).ok()?;
    if kind_word(schema) == Some("array") {
        return Some(String::new());
    }
    let (members, _) = members(root, schema, Way::Answered).ok()?;
    let lists: Vec<&Member> = members.iter().filter(|member| member.kind == "list").collect();
    let usual = ["data", "items", "results", "value", "values", "records", "list", "entries", "content"];
    let named = lists.iter().find(|member| usual.contains(&member.name.as_str()));
    let only = (lists.len() == 1).then(|| lists.first()).flatten();
    named.or(only).map(|member| format!("/{}", pointer_part(&member.name)))
}

/// RFC 6901 §3.
pub(super) fn pointer_part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
