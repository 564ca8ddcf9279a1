//! Records as plain text: what the page of a form sends, and the cells of a CSV file.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::decimal::Decimal;
use super::document::{FieldType, Form, FormField};

/// Stands between the values of a `multi_select` in a cell.
const BETWEEN: char = ';';

impl Form {
    /// The input for [`Form::accept`] that the page of a form sends: pairs of name and text as in
    /// `application/x-www-form-urlencoded`, the parts of a name or address as `name.first`, a `multi_select` as one pair for each
    /// choice.
    ///
    /// Text that is empty becomes null, so that it empties the field and takes no default: the page showed the default. A checkbox
    /// or `multi_select` of which nothing came is not ticked, since browsers send nothing then. Pairs for a `file` are left out;
    /// files come by another way. Of other names that come twice the last counts. Names that the form does not have are kept for
    /// [`Form::accept`] to refuse.
    pub fn from_strings(&self, pairs: &[(String, String)]) -> Map<String, Value> {
        let mut input = Map::new();
        for field in &self.fields {
            match field.kind {
                FieldType::Checkbox => input.insert(field.name.clone(), Value::Bool(false)),
                FieldType::MultiSelect => input.insert(field.name.clone(), Value::Array(Vec::new())),
                _ => None,
            };
        }
        for (name, text) in pairs {
            self.put(&mut input, name, text, false);
        }
        input
    }

    /// The columns of a CSV file of records, in the order of the form: the names of the fields; for a name or address one column
    /// for each part, `name.first`.
    pub fn columns(&self) -> Vec<String> {
        let columns = |field: &FormField| match field.kind.parts() {
            [] => vec![field.name.clone()],
            parts => parts.iter().map(|part| format!("{}.{part}", field.name)).collect(),
        };
        self.fields.iter().flat_map(columns).collect()
    }

    /// The cell of a record in one of [`Form::columns`], [`guarded`]; empty when there is no value. The values of a `multi_select`
    /// stand with "; " between them, a checkbox is `true` or `false`, of a file there is the name.
    pub fn cell(&self, column: &str, record: &Map<String, Value>) -> String {
        let (name, part) = column.split_once('.').map_or((column, None), |(name, part)| (name, Some(part)));
        let value = self.field(name).and_then(|field| record.get(&field.name));
        let value = match part {
            Some(part) => value.and_then(|value| value.get(part)),
            None => value,
        };
        guarded(&value.map(shown).unwrap_or_default()).into_owned()
    }

    /// The input for [`Form::accept`] that a row of a CSV file gives: pairs of column and cell. [`Form::cell`] gives cells that
    /// come back as they were, but for files, which are left out. An empty cell becomes null, a column that is not there is absent.
    pub fn from_cells(&self, cells: &[(String, String)]) -> Map<String, Value> {
        let mut input = Map::new();
        for (column, cell) in cells {
            self.put(&mut input, column, unguarded(cell), true);
        }
        input
    }

    fn put(&self, input: &mut Map<String, Value>, name: &str, text: &str, in_cell: bool) {
        let value = if text.is_empty() { Value::Null } else { Value::String(text.to_owned()) };
        if let Some((before, part)) = name.split_once('.')
            && self.field(before).is_some_and(|field| !field.kind.parts().is_empty())
        {
            let whole = input.entry(before).or_insert_with(|| Value::Object(Map::new()));
            if !whole.is_object() {
                *whole = Value::Object(Map::new());
            }
            if let Value::Object(parts) = whole {
                parts.insert(part.to_owned(), value);
            }
            return;
        }
        let Some(field) = self.field(name) else {
            input.insert(name.to_owned(), value);
            return;
        };
        let value = match field.kind {
            FieldType::File => return,
            FieldType::Checkbox => truth(text).map_or(value, Value::Bool),
            FieldType::MultiSelect => {
                let mut chosen = match input.remove(name) {
                    Some(Value::Array(chosen)) => chosen,
                    _ => Vec::new(),
                };
                let pieces = text.split(|c| in_cell && c == BETWEEN).map(str::trim);
                chosen.extend(pieces.filter(|piece| !piece.is_empty()).map(Value::from));
                Value::Array(chosen)
            }
            _ => value,
        };
        input.insert(name.to_owned(), value);
    }
}

/// Whether a text says yes or no; `None` when it says something else.
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "" | "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join("; "),
        Value::Object(members) => members.get("filename").map(shown).unwrap_or_default(),
    }
}

/// A text as it stands in a cell, so that no spreadsheet takes it for a formula: with `'` in front when it begins with `=`, `+`,
/// `-`, `@`, tab or carriage return, as `'=1+1`. Negative numbers such as `-5` stay as they are. What has `'` in front of such a
/// character already gets one more, so that [`unguarded`] always gives the text back.
pub fn guarded(text: &str) -> Cow<'_, str> {
    let is_negative = text.starts_with('-') && Decimal::parse(text).is_some();
    if is_risky(text) && !is_negative { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a cell that [`guarded`] wrote: without its `'`, if one of those characters follows.
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| is_risky(text)).unwrap_or(cell)
}

fn is_risky(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn form() -> Form {
        let form: Form = serde_json::from_value(json!({"fields": [
            {"name": "title"}, {"name": "count", "type": "number"}, {"name": "agree", "type": "checkbox"},
            {"name": "tags", "type": "multi_select", "choices": [{"value": "a b"}, {"value": "c, d"}, {"value": "=e"}]},
            {"name": "who", "type": "name"}, {"name": "home", "type": "address"}, {"name": "photo", "type": "file"},
        ]}))
        .unwrap();
        form.check().unwrap();
        form
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_a_page_sends() {
        for (given, expected) in [
            (vec![], json!({"agree": false, "tags": []})),
            (
                vec![("title", ""), ("count", "7"), ("agree", "on"), ("tags", "a b"), ("tags", "c, d")],
                json!({"title": null, "count": "7", "agree": true, "tags": ["a b", "c, d"]}),
            ),
            (
                vec![("who.first", "Ann"), ("who.prefix", ""), ("who.last", "Lee"), ("home.city", "Ulm")],
                json!({"agree": false, "tags": [], "who": {"first": "Ann", "last": "Lee", "prefix": null}, "home": {"city": "Ulm"}}),
            ),
            (
                vec![("title", "a"), ("title", "b"), ("agree", "false"), ("agree", "maybe"), ("tags", "")],
                json!({"title": "b", "agree": "maybe", "tags": []}),
            ),
            (
                vec![("photo", "C:\\x.png"), ("other", "x"), ("title.first", "y"), ("tags", "a;b")],
                json!({"agree": false, "tags": ["a;b"], "other": "x", "title.first": "y"}),
            ),
            (
                vec![("who", "Ann"), ("who.first", "Ann")],
                json!({"agree": false, "tags": [], "who": {"first": "Ann"}}),
            ),
        ] {
            assert_eq!(Value::Object(form().from_strings(&pairs(&given))), expected, "{given:?}");
        }
    }

    #[test]
    fn cells_of_a_record() {
        let form = form();
        let record = json!({
            "title": "=HYPERLINK(\"x\")", "count": -5, "agree": true, "tags": ["a b", "=e"],
            "who": {"first": "@nn", "last": "Lee"},
            "photo": {"filename": "a.png", "content_type": "image/png", "size": 1, "file": "fil_01890a5dac96774bbcceb302099a8057"},
        });
        let Value::Object(record) = record else { unreachable!() };
        let cells: Vec<(String, String)> =
            form.columns().into_iter().map(|column| (column.clone(), form.cell(&column, &record))).collect();
        let expected = [
            ("title", "'=HYPERLINK(\"x\")"),
            ("count", "-5"),
            ("agree", "true"),
            ("tags", "a b; =e"),
            ("who.prefix", ""),
            ("who.first", "'@nn"),
            ("who.last", "Lee"),
            ("home.line_1", ""),
            ("home.line_2", ""),
            ("home.city", ""),
            ("home.state", ""),
            ("home.postal_code", ""),
            ("home.country", ""),
            ("photo", "a.png"),
        ];
        assert_eq!(cells, pairs(&expected));
        assert_eq!(form.cell("nothing", &record), "");
        assert_eq!(form.cell("title.first", &record), "");
        let excel =
            form.from_cells(&pairs(&[("agree", "TRUE"), ("tags", "c, d;a b ;"), ("count", ""), ("x", "y")]));
        assert_eq!(
            Value::Object(excel),
            json!({"agree": true, "tags": ["c, d", "a b"], "count": null, "x": "y"})
        );
    }

    #[test]
    fn formulas_are_quoted() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("+5", "'+5"),
            ("-5", "-5"),
            ("-5.25", "-5.25"),
            ("-5+cmd|x", "'-5+cmd|x"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("'=x", "''=x"),
            ("'tis", "'tis"),
            ("'", "'"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(guarded(text), cell, "{text}");
            assert_eq!(unguarded(cell), text, "{cell}");
        }
    }

    proptest! {
        #[test]
        fn a_guarded_text_comes_back(text in "['=+@\t\r-]{0,4}[a-z0-9.']{0,6}") {
            let cell = guarded(&text);
            prop_assert_eq!(unguarded(&cell), text.as_str());
            let is_number = cell.parse::<f64>().is_ok();
            prop_assert!(is_number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{}", cell);
        }
    }
}
