//! From what somebody sends to a record.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::condition::is_filled;
use super::document::{Choice, FieldType, Form, FormField};
use crate::error::FieldError;

/// Largest record, in bytes of its JSON.
pub const RECORD_MAX: usize = 256 * 1024;
/// How many fields are named that the form does not have: an answer should not grow with what a stranger sends.
const UNKNOWN_MAX: usize = 100;

/// What a record is accepted for.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// A new record: an absent field takes its default.
    New,
    /// A change: an absent field keeps its value, null empties it.
    Edit {
        /// The record as it was.
        former: &'a Map<String, Value>,
    },
}

impl Form {
    /// The record that comes of `input`, field name → value, as the [module](super) says; or everything that is wrong with it,
    /// under the names of the fields.
    ///
    /// Null and what is empty count as not given, and take no default. A value of a field that is not visible is dropped, right
    /// or wrong. A value that an edit keeps, absent or sent as it was, is not checked again: the form may have changed since. The record holds nothing but
    /// fields of the form. Whether a `unique` value is free and whether a file is there is for the caller to find out.
    pub fn accept(
        &self,
        input: &Map<String, Value>,
        mode: Mode<'_>,
    ) -> Result<Map<String, Value>, Vec<FieldError>> {
        let mut errors: Vec<FieldError> = input
            .keys()
            .filter(|name| self.field(name).is_none())
            .take(UNKNOWN_MAX)
            .map(|name| FieldError::new(name, "unknown", "Leave this out; the form has no such field."))
            .collect();
        let mut record = Map::new();
        // Fields whose value is not known, because it is wrong or hangs on one that is.
        let mut unclear = BTreeSet::new();
        for field in &self.fields {
            if let Some(condition) = &field.visible_if {
                if condition.asks_for(&unclear) {
                    unclear.insert(field.name.as_str());
                    continue;
                }
                if !condition.holds(self, &record) {
                    continue;
                }
            }
            match field.take(input.get(&field.name), mode) {
                Ok(value) => record.extend(value.map(|value| (field.name.clone(), value))),
                Err(wrong) => {
                    errors.extend(wrong);
                    unclear.insert(field.name.as_str());
                }
            }
        }
        let size = serde_json::to_string(&record).map_or(usize::MAX, |text| text.len());
        if size > RECORD_MAX {
            errors.push(FieldError::new("", "too_long", "Enter less: a record may have 256 KiB in all."));
        }
        if errors.is_empty() { Ok(record) } else { Err(errors) }
    }

    /// The names of the fields in which two records differ, in the order of the form. Absent and null are the same.
    pub fn changes(&self, former: &Map<String, Value>, now: &Map<String, Value>) -> Vec<&str> {
        let differs = |field: &&FormField| {
            let value = |record: &Map<String, Value>| record.get(&field.name).cloned().unwrap_or_default();
            value(former) != value(now)
        };
        self.fields.iter().filter(differs).map(|field| field.name.as_str()).collect()
    }

    /// For each unique field that has a value: its name, and the text by which two values are the same. E-mail addresses differ by
    /// more than capitals, telephone numbers by more than how they are grouped.
    pub fn unique_values(&self, record: &Map<String, Value>) -> Vec<(&str, String)> {
        let text = |field: &FormField| {
            let text = match record.get(&field.name)? {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            let text = match field.kind {
                FieldType::Email => text.to_lowercase(),
                FieldType::Phone => text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect(),
                _ => text,
            };
            Some(text).filter(|text| !text.is_empty())
        };
        self.fields
            .iter()
            .filter(|field| field.unique)
            .filter_map(|field| Some((field.name.as_str(), text(field)?)))
            .collect()
    }
}

impl FormField {
    /// The value that an edit gives where there was one. What a page sends back as it stood is not checked again, as what is absent is not:
    /// the limits may have changed since, and a choice may have left its list.
    fn read_again(&self, given: &Value, former: Option<&Value>) -> super::value::Read {
        let Some(former) = former.filter(|former| !former.is_null()) else { return self.read(given) };
        if given == former {
            return Ok(Some(former.clone()));
        }
        let gone = self.gone_choices(former);
        if gone.is_empty() {
            return match self.shape(given) {
                Ok(Some(same)) if same == *former => Ok(Some(same)),
                _ => self.read(given),
            };
        }
        let choices = self.choices.iter().chain(&gone).cloned().collect();
        Self { choices, ..self.clone() }.read(given)
    }

    /// The choices that a record has and the field has no more.
    pub fn gone_choices(&self, former: &Value) -> Vec<Choice> {
        if !self.kind.is_choice() {
            return Vec::new();
        }
        let chosen = match former {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let is_gone =
            |value: &&str| !value.is_empty() && self.choices.iter().all(|choice| choice.value != **value);
        let gone = chosen.iter().filter_map(Value::as_str).filter(is_gone);
        gone.map(|value| Choice { value: value.to_owned(), label: None }).collect()
    }

    /// The value that a visible field gets.
    fn take(&self, given: Option<&Value>, mode: Mode<'_>) -> Result<Option<Value>, Vec<FieldError>> {
        let read = match (given, mode) {
            (Some(given), Mode::New) => self.read(given),
            (Some(given), Mode::Edit { former }) => self.read_again(given, former.get(&self.name)),
            (None, Mode::New) => self.default.as_ref().map_or(Ok(None), |default| self.read(default)),
            (None, Mode::Edit { former }) => {
                Ok(former.get(&self.name).filter(|value| !value.is_null()).cloned())
            }
        };
        let value =
            read.map_err(|wrong| wrong.into_iter().map(|fault| fault.at(&self.name)).collect::<Vec<_>>())?;
        let is_box = self.kind == FieldType::Checkbox;
        let value = if is_box { value.or(Some(Value::Bool(false))) } else { value };
        if self.required && !value.as_ref().is_some_and(is_filled) {
            let why = match self.kind {
                FieldType::Checkbox => "Tick this box.",
                FieldType::Dropdown | FieldType::Radio => "Choose one.",
                FieldType::MultiSelect => "Choose at least one.",
                FieldType::File => "Choose a file.",
                _ => "Fill in this field.",
            };
            return Err(vec![FieldError::new(&self.name, "required", why)]);
        }
        Ok(value)
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "records in tests read best by value")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::samples;
    use super::*;

    fn form(document: Value) -> Form {
        let form: Form = serde_json::from_value(document).unwrap();
        form.check().unwrap();
        form
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// The record, or `path code` of what is wrong.
    fn outcome(result: Result<Map<String, Value>, Vec<FieldError>>) -> Value {
        match result {
            Ok(record) => Value::Object(record),
            Err(errors) => errors.iter().map(|e| format!("{} {}", e.field, e.code)).collect(),
        }
    }

    fn orders() -> Form {
        form(json!({"fields": [
            {"name": "title", "required": true},
            {"name": "kind", "type": "dropdown", "choices": [{"value": "gift"}, {"value": "own"}], "default": "own"},
            {"name": "to", "type": "email", "required": true, "visible_if": {"field": "kind", "is": ["gift"]}},
            {"name": "note", "visible_if": {"field": "to", "filled": true}, "default": "Hello"},
            {"name": "agree", "type": "checkbox", "required": true},
            {"name": "news", "type": "checkbox", "default": true},
            {"name": "who", "type": "name"},
        ]}))
    }

    #[test]
    fn a_new_record() {
        for (input, expected) in [
            (
                json!({"title": " x ", "agree": true}),
                json!({"title": "x", "kind": "own", "agree": true, "news": true}),
            ),
            (
                json!({"title": "x", "agree": true, "kind": null, "news": false}),
                json!({"title": "x", "agree": true, "news": false}),
            ),
            (
                json!({"title": "x", "agree": true, "news": null, "to": "not one", "note": 7}),
                json!({"title": "x", "kind": "own", "agree": true, "news": false}),
            ),
            (
                json!({"title": "x", "agree": true, "kind": "gift", "to": "a@b.example"}),
                json!({"title": "x", "kind": "gift", "agree": true, "news": true, "to": "a@b.example", "note": "Hello"}),
            ),
            (json!({}), json!(["title required", "agree required"])),
            (json!({"title": " ", "agree": false}), json!(["title required", "agree required"])),
            (json!({"title": "x", "agree": true, "kind": "gift"}), json!(["to required"])),
            (
                json!({"title": "x", "agree": true, "id": 1, "x.y": null}),
                json!(["id unknown", "x.y unknown"]),
            ),
            (json!({"title": "x", "agree": true, "kind": "z", "note": 7}), json!(["kind invalid"])),
            (
                json!({"title": 1, "agree": "yes", "kind": "gift", "to": "x", "who": {"first": "A"}}),
                json!(["title wrong_type", "to invalid", "agree wrong_type", "who.last required"]),
            ),
        ] {
            assert_eq!(outcome(orders().accept(&map(input.clone()), Mode::New)), expected, "{input}");
        }
    }

    #[test]
    fn what_hangs_on_a_wrong_answer_is_not_asked_for() {
        let form = form(json!({"fields": [
            {"name": "age", "type": "number"},
            {"name": "why", "required": true, "visible_if": {"field": "age", "filled": false}},
            {"name": "more", "required": true, "visible_if": {"all": [{"field": "why", "is_not": ["none"]}]}},
        ]}));
        let accept = |input: Value| outcome(form.accept(&map(input), Mode::New));
        assert_eq!(accept(json!({"age": "old"})), json!(["age invalid"]));
        assert_eq!(accept(json!({"age": null})), json!(["why required"]));
        assert_eq!(accept(json!({"age": 7})), json!(["more required"]));
        let strange: Map<String, Value> = (0..500).map(|n| (format!("x{n}"), json!(1))).collect();
        assert_eq!(form.accept(&strange, Mode::New).unwrap_err().len(), UNKNOWN_MAX + 1);
    }

    #[test]
    fn an_edit() {
        let former = map(
            json!({"title": "x", "kind": "gift", "agree": true, "news": true, "to": "a@b.example", "note": "Hi"}),
        );
        for (input, expected) in [
            (json!({}), Value::Object(former.clone())),
            (
                json!({"title": "y", "note": null}),
                json!({"title": "y", "kind": "gift", "agree": true, "news": true, "to": "a@b.example"}),
            ),
            (json!({"kind": "own"}), json!({"title": "x", "kind": "own", "agree": true, "news": true})),
            (json!({"kind": null, "news": false}), json!({"title": "x", "agree": true, "news": false})),
            (
                json!({"title": null, "to": "", "agree": null}),
                json!(["title required", "to required", "agree required"]),
            ),
        ] {
            let mode = Mode::Edit { former: &former };
            assert_eq!(outcome(orders().accept(&map(input.clone()), mode)), expected, "{input}");
        }
        // The form has changed since: what is kept is kept, what is no longer asked goes, what is missing is asked for.
        let old = map(json!({"title": "x", "kind": "no longer", "gone": 1, "agree": true}));
        let mode = Mode::Edit { former: &old };
        assert_eq!(
            outcome(orders().accept(&map(json!({})), mode)),
            json!({"title": "x", "kind": "no longer", "agree": true, "news": false})
        );
        // So is what a page sends back as it stood; another one that was never offered is refused.
        let edit = |input: Value| outcome(orders().accept(&map(input), Mode::Edit { former: &old }));
        assert_eq!(edit(json!({"kind": "no longer", "title": "y"}))["kind"], "no longer");
        assert_eq!(edit(json!({"kind": "gone too"})), json!(["kind invalid"]));
        assert_eq!(edit(json!({"kind": "own"}))["kind"], "own");
        let some = form(
            json!({"fields": [{"name": "tags", "type": "multi_select", "choices": [{"value": "a"}, {"value": "b"}]},
            {"name": "count", "type": "number", "max": 5}]}),
        );
        let former = map(json!({"tags": ["b", "left"], "count": 9}));
        let edit = |input: Value| outcome(some.accept(&map(input), Mode::Edit { former: &former }));
        assert_eq!(
            edit(json!({"tags": ["left", "a"], "count": "9"})),
            json!({"tags": ["a", "left"], "count": 9})
        );
        assert_eq!(
            edit(json!({"tags": ["never"], "count": "8"})),
            json!(["tags.0 invalid", "count too_large"])
        );
        let old = map(json!({"agree": true, "title": null}));
        let mode = Mode::Edit { former: &old };
        assert_eq!(outcome(orders().accept(&map(json!({})), mode)), json!(["title required"]));
    }

    #[test]
    fn a_record_has_a_largest_size() {
        let fields: Vec<Value> =
            (0..10).map(|n| json!({"name": format!("f{n}"), "type": "multi_line"})).collect();
        let form = form(json!({"fields": fields}));
        let record = |n: usize| {
            let text = Value::String("ü".repeat(25_000));
            (0..n).map(|n| (format!("f{n}"), text.clone())).collect::<Map<_, _>>()
        };
        assert!(form.accept(&record(5), Mode::New).is_ok());
        assert_eq!(outcome(form.accept(&record(6), Mode::New)), json!([" too_long"]));
    }

    #[test]
    fn what_makes_values_the_same() {
        let form = form(samples::everything());
        let unique = |record: Value| {
            form.unique_values(&map(record))
                .into_iter()
                .map(|(name, text)| format!("{name} {text}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            unique(
                json!({"title": " A ", "mail": "Ann@Example.COM", "phone": "+49 (30) 1-2", "price": "1.00", "notes": "x"})
            ),
            ["title A", "price 1.00", "mail ann@example.com", "phone +493012"]
        );
        assert!(unique(json!({"title": " ", "mail": null})).is_empty());
    }

    #[test]
    fn what_changed() {
        let form = orders();
        let changes = |a: Value, b: Value| form.changes(&map(a), &map(b)).join(" ");
        assert_eq!(
            changes(json!({"title": "x", "note": "a"}), json!({"kind": "own", "note": "a"})),
            "title kind"
        );
        assert_eq!(changes(json!({"title": null, "gone": 1}), json!({})), "");
        assert_eq!(
            changes(json!({"who": {"first": "A", "last": "B"}}), json!({"who": {"first": "A", "last": "C"}})),
            "who"
        );
    }

    /// Something for each field: often right, sometimes anything.
    fn inputs() -> impl Strategy<Value = Map<String, Value>> {
        let texts = [
            "",
            " ",
            "x",
            "=b",
            "a",
            "-1",
            "S",
            "L; long",
            "12.5",
            "-5",
            "2026-11-22",
            "2026-11-22T10:00:00+01:00",
            "09:30",
            "ann@example.com",
            "+49 30 123",
            "https://example.com",
            "a\r\nb",
            "y, z",
            "'=x",
            "\tz",
        ];
        let text = prop_oneof![
            4 => proptest::sample::select(texts.to_vec()).prop_map(str::to_owned),
            1 => "[ -~é\t\r\n;']{0,12}",
        ];
        let leaf = prop_oneof![
            6 => text.prop_map(Value::String),
            1 => Just(Value::Null),
            1 => any::<bool>().prop_map(Value::Bool),
            1 => any::<i64>().prop_map(Value::from),
            1 => any::<f64>().prop_map(Value::from),
        ];
        let parts = ["first", "last", "prefix", "line_1", "city", "state", "name", "size"];
        let value = prop_oneof![
            8 => leaf.clone(),
            1 => proptest::collection::vec(leaf.clone(), 0..4).prop_map(Value::Array),
            2 => proptest::collection::vec((proptest::sample::select(parts.to_vec()), leaf), 0..4)
                .prop_map(|parts| parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ];
        let names = map(json!({"f": samples::everything()["fields"]}))["f"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>();
        proptest::collection::vec((proptest::sample::select(names), value), 0..12)
            .prop_map(|pairs| pairs.into_iter().collect())
    }

    /// The record that the right ones of the inputs give.
    fn record_of(form: &Form, mut input: Map<String, Value>) -> Map<String, Value> {
        input.insert("title".to_owned(), "t".into());
        loop {
            match form.accept(&input, Mode::New) {
                Ok(record) => return record,
                Err(errors) => {
                    for error in errors {
                        let name = error.field.split('.').next().unwrap_or_default();
                        let next = if name == "reason" { Value::from("because") } else { Value::Null };
                        input.insert(name.to_owned(), next);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_record_is_accepted_as_it_is(input in inputs()) {
            let form = form(samples::everything());
            let record = record_of(&form, input);
            let again = |mode| form.accept(&record, mode);
            let complete: Map<String, Value> =
                form.fields.iter().map(|f| (f.name.clone(), record.get(&f.name).cloned().unwrap_or_default())).collect();
            prop_assert_eq!(form.accept(&complete, Mode::New), Ok(record.clone()));
            prop_assert_eq!(again(Mode::Edit { former: &record }), Ok(record.clone()));
            prop_assert_eq!(form.accept(&Map::new(), Mode::Edit { former: &record }), Ok(record.clone()));
            let visible = form.visible(&record);
            prop_assert!(record.keys().all(|name| visible.contains(name.as_str())));
            prop_assert!(form.changes(&record, &record).is_empty());
        }

        #[test]
        fn a_record_comes_back_from_csv(input in inputs()) {
            let form = form(samples::everything());
            let mut record = record_of(&form, input);
            record.remove("photo");
            let cells: Vec<(String, String)> =
                form.columns().into_iter().map(|column| (column.clone(), form.cell(&column, &record))).collect();
            for (_, cell) in &cells {
                prop_assert!(cell.parse::<f64>().is_ok() || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
            }
            prop_assert_eq!(form.accept(&form.from_cells(&cells), Mode::New), Ok(record));
        }

        #[test]
        fn nothing_of_a_form_that_was_not_checked_panics(input in inputs(), kinds in proptest::collection::vec(0..18_usize, 20)) {
            let mut form = form(samples::everything());
            for (field, kind) in form.fields.iter_mut().zip(kinds) {
                field.kind = FieldType::ALL[kind];
            }
            let _ = form.check();
            let _ = form.visible(&input);
            if let Ok(record) = form.accept(&input, Mode::New) {
                let _ = form.unique_values(&record);
                for column in form.columns() {
                    let _ = form.cell(&column, &record);
                }
            }
        }
    }
}
