//! Which fields are visible.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::document::{Condition, Form, FormField};

impl Condition {
    /// Whether it holds for these values, which lack what is not visible.
    pub(super) fn holds(&self, form: &Form, values: &Map<String, Value>) -> bool {
        let field = self.field.as_deref().and_then(|name| form.field(name));
        let value = self.field.as_ref().and_then(|name| values.get(name)).unwrap_or(&Value::Null);
        let among = |wanted: &[Value]| field.is_some_and(|field| field.is_among(value, wanted));
        self.is.as_deref().is_none_or(among)
            && !self.is_not.as_deref().is_some_and(among)
            && self.filled.is_none_or(|wanted| is_filled(value) == wanted)
            && self.all.iter().flatten().all(|inner| inner.holds(form, values))
            && self.any.as_ref().is_none_or(|any| any.iter().any(|inner| inner.holds(form, values)))
    }

    /// How many conditions it is, with all that stand in it.
    pub(super) fn count(&self) -> usize {
        1 + self.all.iter().chain(&self.any).flatten().map(Self::count).sum::<usize>()
    }

    /// Whether it asks for a field that has one of these names.
    pub(super) fn asks_for(&self, names: &BTreeSet<&str>) -> bool {
        self.field.as_deref().is_some_and(|name| names.contains(name))
            || self.all.iter().chain(&self.any).flatten().any(|inner| inner.asks_for(names))
    }
}

impl FormField {
    fn is_among(&self, value: &Value, wanted: &[Value]) -> bool {
        wanted.iter().any(|wanted| match value {
            Value::Null => false,
            Value::Array(chosen) => chosen.contains(wanted),
            // "12.5" and "12.50" are the same amount.
            _ => value == wanted || self.shape(wanted).is_ok_and(|wanted| wanted.as_ref() == Some(value)),
        })
    }
}

impl Form {
    /// The names of the fields that are visible for these values: those of a record, or what somebody has written so far. A value
    /// of a field that is not visible decides nothing.
    pub fn visible(&self, values: &Map<String, Value>) -> BTreeSet<&str> {
        let mut seen = Map::new();
        let mut visible = BTreeSet::new();
        for field in &self.fields {
            if field.visible_if.as_ref().is_some_and(|condition| !condition.holds(self, &seen)) {
                continue;
            }
            visible.insert(field.name.as_str());
            if let Some(given) = values.get(&field.name) {
                let value = field.shape(given).unwrap_or_else(|_| Some(given.clone()));
                seen.extend(value.map(|value| (field.name.clone(), value)));
            }
        }
        visible
    }
}

/// Whether a value is what `required` asks for.
pub(super) fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(ticked) => *ticked,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "documents in tests read best by value")]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(fields: Value) -> Form {
        let form: Form = serde_json::from_value(json!({"fields": fields})).unwrap();
        form.check().unwrap();
        form
    }

    /// Whether a field `z` with this condition is visible, behind fields of several types.
    fn holds(condition: &Value, values: Value) -> bool {
        let form = form(json!([
            {"name": "kind", "type": "dropdown", "choices": [{"value": "a"}, {"value": "b"}, {"value": "c"}]},
            {"name": "tags", "type": "multi_select", "choices": [{"value": "x"}, {"value": "y"}]},
            {"name": "agree", "type": "checkbox"},
            {"name": "price", "type": "currency", "currency": "EUR"},
            {"name": "who", "type": "name"},
            {"name": "z", "visible_if": condition},
        ]));
        let Value::Object(values) = values else { panic!("not an object") };
        form.visible(&values).contains("z")
    }

    #[test]
    fn conditions_hold_or_not() {
        for (condition, values, expected) in [
            (json!({"field": "kind", "is": ["a", "b"]}), json!({"kind": "b"}), true),
            (json!({"field": "kind", "is": ["a", "b"]}), json!({"kind": "c"}), false),
            (json!({"field": "kind", "is": ["a", "b"]}), json!({}), false),
            (json!({"field": "kind", "is_not": ["a"]}), json!({"kind": "a"}), false),
            (json!({"field": "kind", "is_not": ["a"]}), json!({"kind": "b"}), true),
            (json!({"field": "kind", "is_not": ["a"]}), json!({}), true),
            (json!({"field": "tags", "is": ["y"]}), json!({"tags": ["x", "y"]}), true),
            (json!({"field": "tags", "is": ["y"]}), json!({"tags": ["x"]}), false),
            (json!({"field": "tags", "is_not": ["y"]}), json!({"tags": ["x", "y"]}), false),
            (json!({"field": "agree", "is": [true]}), json!({"agree": true}), true),
            (json!({"field": "agree", "filled": true}), json!({"agree": false}), false),
            (json!({"field": "agree", "filled": false}), json!({"agree": false}), true),
            (json!({"field": "price", "is": ["12.5"]}), json!({"price": "12.50"}), true),
            (json!({"field": "price", "is": ["12.5"]}), json!({"price": 12.5}), true),
            (json!({"field": "price", "filled": true}), json!({"price": null}), false),
            (json!({"field": "who", "filled": true}), json!({"who": {"first": "A", "last": "B"}}), true),
            (
                json!({"all": [{"field": "kind", "is": ["a"]}, {"field": "agree", "filled": true}]}),
                json!({"kind": "a"}),
                false,
            ),
            (
                json!({"any": [{"field": "kind", "is": ["a"]}, {"field": "agree", "filled": true}]}),
                json!({"kind": "a"}),
                true,
            ),
            (json!({"any": [{"all": [{"field": "kind", "filled": true}]}]}), json!({}), false),
        ] {
            assert_eq!(holds(&condition, values.clone()), expected, "{condition} with {values}");
        }
    }

    #[test]
    fn what_hides_behind_a_hidden_field_is_hidden() {
        let form = form(json!([
            {"name": "a", "type": "checkbox"},
            {"name": "b", "visible_if": {"field": "a", "filled": true}},
            {"name": "c", "visible_if": {"field": "b", "filled": true}},
        ]));
        let visible =
            |values: Value| form.visible(values.as_object().unwrap()).into_iter().collect::<String>();
        assert_eq!(visible(json!({"a": true, "b": "x"})), "abc");
        assert_eq!(visible(json!({"a": false, "b": "x"})), "a");
        assert_eq!(visible(json!({"b": "x"})), "a");
    }
}
