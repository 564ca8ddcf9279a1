//! From text to a document: everything that is wrong with its form, each with its dotted path.
//!
//! The form is checked against the schema that the types generate, so that there is one description of it. That finds all faults
//! at once, where deserialization would stop at the first.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::document::Connector;
use super::lint::Fault;
use super::places;
use super::schema::schema;
use crate::error::FieldError;
use crate::names;

/// Longest string in a document, in bytes.
pub const STRING_MAX: usize = 2048;
/// Longest list, and most members of an object.
pub const LIST_MAX: usize = 500;
/// Largest document, in bytes.
pub const DOCUMENT_MAX: usize = 1024 * 1024;
/// Of an object with so many members or fewer all are named when one is not among them.
const FEW: usize = 16;
/// Largest logo as a `data:` URL, in bytes.
const LOGO_MAX: usize = 128 * 1024;

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

impl Connector {
    /// Reads a catalogue file. Names everything that is wrong with its form; if its form is right, everything that is wrong with
    /// its meaning.
    pub fn from_toml(text: &str) -> Result<Self, Vec<FieldError>> {
        if text.len() > DOCUMENT_MAX {
            return Err(too_large());
        }
        let (value, _) = places::of_toml(text).map_err(|faults| {
            let said = |fault: Fault| {
                let message = match fault.code.as_str() {
                    "invalid_toml" => format!("line {}: {}", fault.line, fault.message),
                    _ => fault.message,
                };
                FieldError::new(fault.field, &fault.code, message)
            };
            faults.into_iter().map(said).collect::<Vec<_>>()
        })?;
        let connector = read(value)?;
        connector.validate()?;
        Ok(connector)
    }

    /// Reads a document that came from outside, as for a custom connector: the same, and level `system` is refused.
    pub fn from_json(value: Value) -> Result<Self, Vec<FieldError>> {
        let connector = read(value)?;
        connector.validate_custom()?;
        Ok(connector)
    }

    /// The document as JSON; [`Connector::from_json`] gives the same connector back.
    pub fn to_json(&self) -> Value {
        // Serializing these types to a value cannot fail: all keys are strings.
        serde_json::to_value(self).unwrap_or_default()
    }
}

pub(super) fn too_large() -> Vec<FieldError> {
    vec![FieldError::new("", "too_long", "the document may have 1 MiB")]
}

pub(super) fn read(mut value: Value) -> Result<Connector, Vec<FieldError>> {
    let mut errors = Vec::new();
    let size = measure(&value, "", &mut errors);
    if size > DOCUMENT_MAX {
        return Err(too_large());
    }
    check(&SCHEMA, &mut value, "", &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    serde_json::from_value(value).map_err(|error| vec![FieldError::new("", "invalid", error.to_string())])
}

pub(super) fn at(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Bounds every string and list, refuses stray control characters, and adds up the size.
fn measure(value: &Value, path: &str, errors: &mut Vec<FieldError>) -> usize {
    match value {
        Value::String(text) => {
            let most = if path == "logo" && text.starts_with("data:") { LOGO_MAX } else { STRING_MAX };
            if text.len() > most {
                errors.push(FieldError::new(path, "too_long", format!("must have at most {most} bytes")));
            }
            if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
                errors.push(FieldError::new(path, "invalid", "must not contain control characters"));
            }
            text.len()
        }
        Value::Array(items) => {
            too_many(items.len(), path, errors);
            items
                .iter()
                .enumerate()
                .map(|(index, item)| measure(item, &at(path, &index.to_string()), errors))
                .sum()
        }
        Value::Object(members) => {
            too_many(members.len(), path, errors);
            members.iter().map(|(key, value)| key.len() + measure(value, &at(path, key), errors)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

fn too_many(count: usize, path: &str, errors: &mut Vec<FieldError>) {
    if count > LIST_MAX {
        errors.push(FieldError::new(path, "too_long", format!("must have at most {LIST_MAX} entries")));
    }
}

/// Follows `$ref` within the schema.
fn resolve(mut schema: &Value) -> &Value {
    while let Some(pointer) =
        schema.get("$ref").and_then(Value::as_str).and_then(|link| link.strip_prefix('#'))
    {
        match SCHEMA.pointer(pointer) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// Checks the form of a value. Knows the part of JSON Schema that the types use. A member that is `null` and need not be there is
/// taken out, as if it were absent.
fn check(schema: &Value, value: &mut Value, path: &str, errors: &mut Vec<FieldError>) {
    let schema = resolve(schema);
    if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
        check_one_of(variants, value, path, errors);
        return;
    }
    if let Some(variants) = schema.get("anyOf").and_then(Value::as_array) {
        // An optional type of our own: itself or null.
        if !value.is_null() {
            let is_null = |variant: &&Value| variant.get("type").and_then(Value::as_str) == Some("null");
            if let Some(variant) = variants.iter().find(|variant| !is_null(variant)) {
                check(variant, value, path, errors);
            }
        }
        return;
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let fits = kinds.contains(&kind_of(value)) || kinds.contains(&"number") && value.is_number();
    if !fits {
        let wanted = kinds.iter().copied().find(|kind| *kind != "null").unwrap_or("null");
        errors.push(FieldError::new(path, "wrong_type", format!("must be {}", article(wanted))));
        return;
    }
    match value {
        Value::Object(members) => check_object(schema, members, path, errors),
        Value::Array(items) => {
            if let Some(item_schema) = schema.get("items") {
                for (index, item) in items.iter_mut().enumerate() {
                    check(item_schema, item, &at(path, &index.to_string()), errors);
                }
            }
        }
        Value::Number(number) => {
            let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
            let most = bound("maximum").or(match schema.get("format").and_then(Value::as_str) {
                Some("uint32") => Some(f64::from(u32::MAX)),
                _ => None,
            });
            let number = number.as_f64().unwrap_or(f64::NAN);
            if bound("minimum").is_some_and(|least| number < least) || most.is_some_and(|most| number > most)
            {
                errors.push(FieldError::new(path, "invalid", "is outside of what makes sense"));
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn check_object(schema: &Value, members: &mut Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required: Vec<&str> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    members.retain(|key, value| {
        !value.is_null()
            || required.contains(&key.as_str())
            || properties.is_none_or(|p| !p.contains_key(key))
    });
    for name in required {
        if !members.contains_key(name) {
            errors.push(FieldError::new(at(path, name), "required", "is missing"));
        }
    }
    let others = schema.get("additionalProperties");
    for (key, value) in members.iter_mut() {
        match (properties.and_then(|properties| properties.get(key)), others) {
            (Some(property), _) => check(property, value, &at(path, key), errors),
            (None, Some(Value::Bool(false))) => {
                let known = properties.into_iter().flat_map(Map::keys).cloned();
                let message = match names::nearest(key, known) {
                    Some(near) => format!("is not a field of this object; did you mean {near:?}?"),
                    None if path.is_empty() && is_of_auth(key) => {
                        "is not a field of the document; it belongs in auth".to_owned()
                    }
                    None => match properties.map(|properties| properties.keys().map(String::as_str)) {
                        Some(known) if known.len() > 0 && known.len() <= FEW => {
                            let known: Vec<&str> = known.collect();
                            format!("is not a field of this object, which may have {}", known.join(", "))
                        }
                        _ => "is not a field of this object".to_owned(),
                    },
                };
                errors.push(FieldError::new(at(path, key), "unknown", message));
            }
            (None, Some(others)) => check(others, value, &at(path, key), errors),
            (None, None) => {}
        }
    }
}

/// Whether some way to sign in has a field of this name.
fn is_of_auth(name: &str) -> bool {
    let auth = SCHEMA.pointer("/properties/auth").map(resolve);
    let variants = auth.and_then(|auth| auth.get("oneOf")).and_then(Value::as_array);
    variants.into_iter().flatten().any(|variant| {
        let variant = resolve(variant);
        variant.pointer("/properties").and_then(Value::as_object).is_some_and(|all| all.contains_key(name))
    })
}

/// What stands for a member that is absent, by the schema; `path` as in errors.
pub(super) fn default_at(path: &str, name: &str) -> Option<Value> {
    let mut schemas = vec![&*SCHEMA];
    for part in path.split('.').filter(|part| !part.is_empty()) {
        schemas = schemas.into_iter().flat_map(|schema| inside(schema, part)).collect();
    }
    let mut properties =
        schemas.into_iter().flat_map(variants).filter_map(|schema| schema.get("properties")?.get(name));
    properties.find_map(|property| property.get("default").cloned())
}

/// A schema with what it is one of.
fn variants(schema: &Value) -> Vec<&Value> {
    let schema = resolve(schema);
    let all = ["oneOf", "anyOf"].into_iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
    std::iter::once(schema).chain(all.map(resolve)).collect()
}

/// The schemas of a member or an entry.
fn inside<'a>(schema: &'a Value, part: &str) -> Vec<&'a Value> {
    let of = |schema: &'a Value| {
        let member = schema.get("properties").and_then(|properties| properties.get(part));
        member.or_else(|| schema.get("items")).or_else(|| schema.get("additionalProperties"))
    };
    variants(schema).into_iter().filter_map(of).collect()
}

/// Either a closed set of words, or objects told apart by `type`.
fn check_one_of(variants: &[Value], value: &mut Value, path: &str, errors: &mut Vec<FieldError>) {
    let words: Vec<&str> = variants.iter().filter_map(|variant| variant.get("const")?.as_str()).collect();
    if words.len() == variants.len() {
        match value.as_str() {
            Some(word) if words.contains(&word) => {}
            Some(_) => errors.push(FieldError::new(path, "invalid", format!("must be {}", choices(&words)))),
            None => errors.push(FieldError::new(
                path,
                "wrong_type",
                format!("must be a string: {}", choices(&words)),
            )),
        }
        return;
    }
    let tag_of = |variant: &'_ Value| {
        variant.pointer("/properties/type/const").and_then(Value::as_str).map(str::to_owned)
    };
    let tags: Vec<String> = variants.iter().filter_map(tag_of).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let Value::Object(members) = value else {
        errors.push(FieldError::new(path, "wrong_type", "must be an object"));
        return;
    };
    let tag = members.get("type").and_then(Value::as_str).map(str::to_owned);
    match (members.get("type"), tag) {
        (None, _) => errors.push(FieldError::new(
            at(path, "type"),
            "required",
            format!("is missing: {}", choices(&tags)),
        )),
        (Some(_), None) => errors.push(FieldError::new(
            at(path, "type"),
            "wrong_type",
            format!("must be a string: {}", choices(&tags)),
        )),
        (Some(_), Some(tag)) => {
            match variants.iter().find(|variant| tag_of(variant).as_ref() == Some(&tag)) {
                Some(variant) => check(variant, value, path, errors),
                None => errors.push(FieldError::new(
                    at(path, "type"),
                    "invalid",
                    format!("must be {}", choices(&tags)),
                )),
            }
        }
    }
}

fn choices(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.join(""),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn article(kind: &str) -> &'static str {
    match kind {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "an object",
        _ => "null",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(result: Result<Connector, Vec<FieldError>>) -> Vec<(String, String)> {
        result.err().unwrap_or_default().into_iter().map(|e| (e.field, e.code)).collect()
    }

    #[test]
    fn a_minimal_document_is_enough() {
        let value =
            json!({"name": "Acme", "base_url": "https://api.acme.example", "auth": {"type": "basic"}});
        let connector = Connector::from_json(value).unwrap();
        assert_eq!(connector.effective_link_name(), "acme");
        assert_eq!(connector.host_templates(), ["api.acme.example"]);
        assert_eq!(connector.levels.len(), 2);
        assert_eq!(Connector::from_json(connector.to_json()).unwrap(), connector);
    }

    #[test]
    fn names_every_fault_of_form() {
        let value = json!({
            "nmae": "Acme", "base_url": 7, "hosts": "x", "levels": ["admin", "boss"], "logo": null, "parameters": null,
            "parameters_": [], "scopes": [{"label": "x", "access": "all"}], "test": {"path": "/me", "expect": {"status": [99999]}},
            "auth": {"type": "oauth2_code", "token_url": "https://x/t", "pkce": "yes", "oops": 1, "place": {"in": "body"}, "expires_in": -1},
        });
        let found = faults(Connector::from_json(value));
        for (field, code) in [
            ("name", "required"),
            ("nmae", "unknown"),
            ("base_url", "wrong_type"),
            ("hosts", "wrong_type"),
            ("levels.1", "invalid"),
            ("parameters_", "unknown"),
            ("scopes.0.name", "required"),
            ("scopes.0.access", "invalid"),
            ("test.expect.status.0", "invalid"),
            ("auth.authorize_url", "required"),
            ("auth.pkce", "wrong_type"),
            ("auth.oops", "unknown"),
            ("auth.place.in", "invalid"),
            ("auth.expires_in", "invalid"),
        ] {
            assert!(found.contains(&(field.to_owned(), code.to_owned())), "{field} {code} in {found:?}");
        }
        assert_eq!(found.len(), 14, "{found:?}");
    }

    #[test]
    fn the_type_of_authentication_is_named() {
        for (auth, field, code) in [
            (json!({}), "auth.type", "required"),
            (json!({"type": "oauth3"}), "auth.type", "invalid"),
            (json!({"type": 3}), "auth.type", "wrong_type"),
            (json!("basic"), "auth", "wrong_type"),
            (json!({"type": "none", "x": 1}), "auth.x", "unknown"),
            (json!({"type": "basic", "username": {"lable": "x"}}), "auth.username.lable", "unknown"),
        ] {
            let found = faults(Connector::from_json(
                json!({"name": "A", "base_url": "https://a.example", "auth": auth}),
            ));
            assert_eq!(found, [(field.to_owned(), code.to_owned())]);
        }
    }

    #[test]
    fn toml_faults_have_a_place() {
        assert_eq!(faults(Connector::from_toml("name = ")), [(String::new(), "invalid_toml".to_owned())]);
        let dated =
            "name = 'A'\nbase_url = 'https://a.example'\nverified = 2026-11-22\n[auth]\ntype = 'none'\n";
        assert_eq!(faults(Connector::from_toml(dated)), [("verified".to_owned(), "invalid".to_owned())]);
    }

    #[test]
    fn sizes_are_bounded() {
        let with = |description: String| json!({"name": "A", "base_url": "https://a.example", "description": description, "auth": {"type": "none"}});
        assert!(Connector::from_json(with("x".repeat(2048))).is_ok());
        assert_eq!(faults(Connector::from_json(with("x".repeat(2049))))[0].1, "too_long");
        let mut many = with(String::new());
        many["regions"] = (0..501).map(|n| format!("r{n}")).collect();
        assert_eq!(faults(Connector::from_json(many))[0], ("regions".to_owned(), "too_long".to_owned()));
        assert_eq!(faults(Connector::from_toml(&" ".repeat(DOCUMENT_MAX + 1)))[0].1, "too_long");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = Connector::from_toml(&text);
            let _ = serde_json::from_str(&text).map(Connector::from_json);
        }
    }

    #[test]
    fn what_an_object_may_have_is_said_where_it_is_little() {
        let said = |identity: Value| {
            let document = json!({"name": "X", "base_url": "https://x.example", "auth": {"type": "none"}, "identity": identity});
            let errors = Connector::from_json(document).err().unwrap_or_default();
            errors.into_iter().map(|error| format!("{} {}", error.field, error.message)).collect::<Vec<_>>()
        };
        let message = &said(json!({"url": "/me", "name": "/name", "zzz": 1}))[0];
        assert!(
            message.starts_with("identity.zzz is not a field of this object, which may have "),
            "{message}"
        );
        assert!(message.contains("url"), "{message}");
    }
}
