//! A document as the TOML that a catalogue file is: what stands by itself is left out, what is read first stands first.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::document::Connector;
use super::read::default_at;

/// Members in the order in which people read them; what is not named follows by the alphabet.
const ORDER: &[&str] = &[
    "name",
    "link_name",
    "label",
    "title",
    "description",
    "category",
    "documentation_url",
    "registration",
    "logo",
    "type",
    "base_url",
    "hosts",
    "levels",
    "regions",
    "region_parameter",
    "scopes",
    "verified",
    "sources",
    "notes",
    "id",
    "method",
    "path",
    "url",
    "operation",
    "query",
    "headers",
    "json_headers",
    "region_values",
    "parameters",
    "identity",
    "test",
    "setup",
    "authorize_url",
    "device_authorization_url",
    "request_token_url",
    "access_token_url",
    "token_url",
    "refresh_url",
    "revoke_url",
    "client_authentication",
    "fields",
    "value",
    "help",
    "required",
    "secret",
    "pattern",
    "default",
    "choices",
    "in",
    "as",
    "prefix",
    "auth",
    "modules",
    "payment",
];
/// Objects that are tables of their own, by where they stand; `*` is any name.
const TABLES: &[&str] = &[
    "headers",
    "query",
    "region_values",
    "identity",
    "test",
    "auth",
    "payment",
    "modules",
    "modules.*",
    "modules.*.operations",
    "modules.*.operations.*",
    "modules.*.operations.*.more_fields",
];
/// Lists of objects that are tables of their own.
const LISTS: &[&str] = &["parameters", "setup"];
/// Lists whose entries have a line each.
const LINES: &[&str] = &["scopes", "fields", "states"];

impl Connector {
    /// The document as TOML; [`Connector::from_toml`] gives the same connector back. What JSON alone can say (null in a body) is told by its
    /// place.
    pub fn to_toml(&self) -> Result<String, String> {
        of_document(&self.to_json())
    }
}

/// The same for a document that may not be right yet.
pub fn of_document(document: &Value) -> Result<String, String> {
    let mut document = document.clone();
    without_defaults(&mut document, "");
    let Value::Object(members) = &document else { return Err("it is no object".to_owned()) };
    let mut text = String::new();
    table(&mut text, "", "", members)?;
    Ok(text)
}

/// Takes out what a reader would put in by itself.
fn without_defaults(value: &mut Value, path: &str) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| default_at(path, name).is_none_or(|default| default != *value));
            for (name, value) in members {
                without_defaults(value, &join(path, name));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without_defaults(item, &join(path, "0"))),
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn ordered(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut all: Vec<_> = members.iter().collect();
    all.sort_by(|a, b| rank(a.0).cmp(&rank(b.0)).then_with(|| a.0.cmp(b.0)));
    all
}

/// `path` as it is written, `place` with `*` for names that a document gives.
fn table(text: &mut String, path: &str, place: &str, members: &Map<String, Value>) -> Result<(), String> {
    let named = matches!(place, "modules" | "modules.*.operations");
    let place_of = |name: &str| join(place, if named { "*" } else { name });
    let (mut lines, mut tables) = (Vec::new(), Vec::new());
    for (name, value) in ordered(members) {
        let place = place_of(name);
        match value {
            Value::Object(inner) if TABLES.contains(&place.as_str()) => {
                tables.push((name, place, vec![inner]));
            }
            Value::Array(items) if LISTS.contains(&place.as_str()) && items.iter().all(Value::is_object) => {
                tables.push((name, place, items.iter().filter_map(Value::as_object).collect()));
            }
            Value::Array(items) if LINES.contains(&name.as_str()) && !items.is_empty() => {
                let items = items.iter().map(|item| Ok(format!("  {},\n", inline(item, path)?)));
                let items: String = items.collect::<Result<_, String>>()?;
                lines.push(format!("{} = [\n{items}]\n", key(name)));
            }
            value => lines.push(format!("{} = {}\n", key(name), inline(value, &join(path, name))?)),
        }
    }
    // Tables that hold nothing but tables need no head of their own.
    if !path.is_empty() && (!lines.is_empty() || tables.is_empty()) {
        head(text, &format!("[{path}]"));
    }
    text.extend(lines);
    for (name, place, all) in tables {
        let path = join(path, &key(name));
        let is_list = LISTS.contains(&place.as_str());
        for inner in all {
            if is_list {
                head(text, &format!("[[{path}]]"));
                for (name, value) in ordered(inner) {
                    let value = inline(value, &path)?;
                    // Writing to a string does not fail.
                    let _ = writeln!(text, "{} = {value}", key(name));
                }
            } else {
                table(text, &path, &place, inner)?;
            }
        }
    }
    Ok(())
}

fn head(text: &mut String, head: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(head);
    text.push('\n');
}

fn key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare { name.to_owned() } else { toml::Value::String(name.to_owned()).to_string() }
}

fn inline(value: &Value, path: &str) -> Result<String, String> {
    Ok(match value {
        Value::Null => return Err(format!("{path} has null, which TOML cannot say")),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(number)) => toml::Value::Float(number).to_string(),
            (None, None) => return Err(format!("{path} has a number that TOML cannot say")),
        },
        Value::String(text) => toml::Value::String(text.clone()).to_string(),
        Value::Array(items) => {
            let items: Result<Vec<String>, String> = items.iter().map(|item| inline(item, path)).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| Ok(format!("{} = {}", key(name), inline(value, path)?));
            let members: Result<Vec<String>, String> = ordered(members).into_iter().map(member).collect();
            format!("{{ {} }}", members?.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::built_in;
    use super::*;

    #[test]
    fn every_built_in_connector_comes_back_as_it_was() {
        for connector in built_in().iter() {
            let text = connector.to_toml().unwrap_or_else(|why| panic!("{}: {why}", connector.name));
            let again =
                Connector::from_toml(&text).unwrap_or_else(|e| panic!("{}: {e:?}\n{text}", connector.name));
            assert_eq!(again, **connector, "{text}");
        }
    }

    #[test]
    fn a_document_looks_as_people_write_it() {
        let connector = Connector::from_json(json!({
            "name": "Acme \"CRM", "base_url": "https://{site}.acme.example", "hosts": ["*.acme.example"], "parameters": [{"name": "site"}],
            "auth": {"type": "api_key", "fields": [{"name": "key", "as": "X-Key"}]}, "headers": {"X-A.b": "1"},
            "modules": {"note": {"operations": {"add": {"method": "POST", "path": "/n", "body": {"a": [1, 2.5]}, "fields": [{"name": "t"}]}}}},
        }));
        // The name is none that a connector may have: only its quotation mark matters here.
        assert!(connector.is_err());
        let document = json!({
            "name": "Acme", "base_url": "https://{site}.acme.example", "hosts": ["*.acme.example"], "parameters": [{"name": "site"}],
            "description": "A \"b\" \\ c", "levels": ["admin", "user"],
            "auth": {"type": "api_key", "fields": [{"name": "key", "as": "X-Key", "secret": true}]}, "headers": {"X-A.b": "1"},
            "modules": {"note": {"operations": {"add": {"method": "POST", "path": "/n", "body": {"a": [1, 2.5]}, "fields": [{"name": "t"}]}}}},
        });
        let text = Connector::from_json(document).unwrap().to_toml().unwrap();
        assert!(text.starts_with("name = \"Acme\"\n"), "{text}");
        for part in [
            "\n[headers]\n\"X-A.b\" = \"1\"\n",
            "\n[[parameters]]\nname = \"site\"\n",
            "\n[auth]\ntype = \"api_key\"\nfields = [\n  { name = \"key\", as = \"X-Key\" },\n]\n",
            "\n[modules.note.operations.add]\nmethod = \"POST\"\npath = \"/n\"\n",
            "body = { a = [1, 2.5] }\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        for gone in ["levels", "secret", "[modules]", "[modules.note]\n", "link_name"] {
            assert!(!text.contains(gone), "{gone} in\n{text}");
        }
        assert!(of_document(&json!({"test": {"body": {"a": null}}})).unwrap_err().contains("null"));
    }
}
