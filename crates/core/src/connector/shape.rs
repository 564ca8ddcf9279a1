//! The shape in which a service wants a value: JSON in which a text says where the value goes.

use serde_json::Value;

/// The text in whose place the value stands.
const HOLE: &str = "{value}";

/// A value in this shape. A list whose only member has a place for it has one member for each of a list.
pub(crate) fn shaped(shape: &Value, value: &Value) -> Value {
    match shape {
        Value::String(text) if text == HOLE => value.clone(),
        Value::Array(members) => match (members.as_slice(), value) {
            ([one], Value::Array(values)) if takes(one) => {
                values.iter().map(|value| shaped(one, value)).collect()
            }
            _ => members.iter().map(|member| shaped(member, value)).collect(),
        },
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), shaped(member, value))).collect()
        }
        other => other.clone(),
    }
}

/// Whether a value has a place in it.
pub(crate) fn takes(shape: &Value) -> bool {
    match shape {
        Value::String(text) => text == HOLE,
        Value::Array(members) => members.iter().any(takes),
        Value::Object(members) => members.values().any(takes),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_stands_where_its_shape_says() {
        for (shape, value, wanted) in [
            (json!("{value}"), json!(5), json!(5)),
            (json!({"select": {"name": "{value}"}}), json!("New"), json!({"select": {"name": "New"}})),
            (
                json!({"type": "doc", "version": 1, "text": ["{value}"]}),
                json!("a"),
                json!({"type": "doc", "version": 1, "text": ["a"]}),
            ),
            (json!([{"id": "{value}"}]), json!(["a", "b"]), json!([{"id": "a"}, {"id": "b"}])),
            (json!({"all": [{"id": "{value}"}]}), json!([]), json!({"all": []})),
            // What is typed is no shape, and a list beside others is no list of them.
            (json!({"a": "{value}"}), json!("{value}"), json!({"a": "{value}"})),
            (
                json!({"{value}": "in {value}", "a": "{value}"}),
                json!("x"),
                json!({"{value}": "in {value}", "a": "x"}),
            ),
            (json!(["{value}", 1]), json!([2]), json!([[2], 1])),
            (json!([["fixed"], "{value}"]), json!([2]), json!([["fixed"], [2]])),
        ] {
            assert_eq!(shaped(&shape, &value), wanted, "{shape} {value}");
            assert!(takes(&shape));
        }
        assert!(!takes(&json!({"{value}": ["in {value}", 1]})));
    }
}
