//! The meaning of a form document: everything that its types alone do not tell.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use super::condition::is_filled;
use super::decimal;
use super::document::{Choice, Condition, FieldType, Form, FormField};
use super::file::is_ending;
use super::value::{compile, is_media_type};
use crate::brand;
use crate::error::FieldError;
use crate::names;

/// Largest form document, in bytes of its JSON.
pub const FORM_MAX: usize = 512 * 1024;
/// Most fields.
const FIELDS_MAX: usize = 200;
/// Most choices of a field.
const CHOICES_MAX: usize = 500;
/// Longest value or label of a choice, in characters.
const CHOICE_MAX: usize = 200;
/// Most members of `embed_origins`, and of `accept`.
const LIST_MAX: usize = 50;
/// Longest pattern, in characters.
const PATTERN_MAX: usize = 500;
/// How deep conditions may stand in each other.
const DEPTH_MAX: usize = 5;
/// Most conditions of a field, all told.
const CONDITIONS_MAX: usize = 50;
/// Most values that a condition may list.
const WANTED_MAX: usize = 100;
/// Names that every record has of its own.
const RESERVED: [&str; 5] = ["id", "created_at", "updated_at", "created_by", "version"];

impl Form {
    /// Names everything that is wrong with the document, each by its dotted path, such as `fields.3.choices`.
    pub fn check(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check { form: self, errors: Vec::new() };
        check.document();
        if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
    }
}

struct Check<'a> {
    form: &'a Form,
    errors: Vec<FieldError>,
}

impl<'a> Check<'a> {
    fn wrong(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, code, message));
    }

    fn document(&mut self) {
        let form = self.form;
        if serde_json::to_string(form).map_or(usize::MAX, |text| text.len()) > FORM_MAX {
            self.wrong("", "too_long", "Make the form smaller: its document may have 512 KiB.");
            return;
        }
        self.prose("description", form.description.as_deref(), 5_000);
        self.prose("submit_label", form.submit_label.as_deref(), 100);
        self.prose("thanks", form.thanks.as_deref(), 5_000);
        if form.embed_origins.len() > LIST_MAX {
            self.wrong("embed_origins", "too_long", "List at most 50 origins.");
        }
        for (at, origin) in form.embed_origins.iter().enumerate() {
            if !brand::is_origin(origin) {
                self.wrong(
                    format!("embed_origins.{at}"),
                    "invalid",
                    "An origin is https://, a host and perhaps a port, such as https://www.example.",
                );
            }
        }
        match form.fields.len() {
            0 => self.wrong("fields", "required", "Add at least one field."),
            1..=FIELDS_MAX => {}
            _ => {
                self.wrong("fields", "too_long", "A form has at most 200 fields; make two forms of it.");
                return;
            }
        }
        let mut before = BTreeSet::new();
        for (at, field) in form.fields.iter().enumerate() {
            self.field(&format!("fields.{at}"), field, &before);
            if !before.insert(field.name.as_str()) {
                self.wrong(
                    format!("fields.{at}.name"),
                    "duplicate",
                    "Choose another name; a field before has this one.",
                );
            }
        }
    }

    fn prose(&mut self, path: &str, text: Option<&str>, most: usize) {
        let Some(text) = text else { return };
        if text.chars().count() > most {
            self.wrong(path, "too_long", format!("Write at most {most} characters."));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.wrong(path, "invalid", "Leave out control characters.");
        }
    }

    /// Says that a member does not go with the type of the field.
    fn only(&mut self, path: &str, given: bool, fits: bool, which: &str) -> bool {
        if given && !fits {
            self.wrong(path, "not_allowed", format!("Leave this out; it is for {which} only."));
        }
        given && fits
    }

    fn field(&mut self, path: &str, field: &'a FormField, before: &BTreeSet<&str>) {
        let name = format!("{path}.name");
        if let Err(why) = names::link_name(&field.name) {
            self.wrong(&name, "invalid", format!("The name {why}."));
        } else if RESERVED.contains(&field.name.as_str()) {
            self.wrong(&name, "not_allowed", "Choose another name; every record has one of this name.");
        }
        if let Some(Err(why)) = field.label.as_deref().map(names::display_name) {
            self.wrong(format!("{path}.label"), "invalid", format!("The label {why}."));
        }
        self.prose(&format!("{path}.help"), field.help.as_deref(), 1_000);
        self.only(
            &format!("{path}.unique"),
            field.unique,
            field.kind.can_be_unique(),
            "single lines, numbers, amounts, e-mail addresses, telephone numbers, URLs, dates, times and single choices",
        );
        self.choices(&format!("{path}.choices"), field);
        self.amounts(path, field);
        self.files(path, field);
        self.lengths(path, field);
        self.pattern(&format!("{path}.pattern"), field);
        self.bounds(path, field);
        self.default(&format!("{path}.default"), field);
        if let Some(condition) = &field.visible_if {
            let path = format!("{path}.visible_if");
            if condition.count() > CONDITIONS_MAX {
                self.wrong(path, "too_complex", "Make it simpler: a field has at most 50 conditions.");
            } else {
                self.condition(&path, condition, before, 1);
            }
        }
    }

    fn choices(&mut self, path: &str, field: &FormField) {
        if !field.kind.is_choice() {
            self.only(path, !field.choices.is_empty(), false, "dropdown, radio and multi_select");
            let from = field.choices_from.is_some();
            self.only(&format!("{path}_from"), from, false, "dropdown, radio and multi_select");
            return;
        }
        if let Some(from) = &field.choices_from {
            if !field.choices.is_empty() {
                self.wrong(path, "not_allowed", "Leave them out: the choices come from a datasource.");
            }
            if field.default.is_some() {
                let why = "Leave out the default: nobody knows yet what can be chosen.";
                self.wrong(format!("{path}_from"), "not_allowed", why);
            }
            for (member, name) in [("datasource", &from.datasource), ("value", &from.value)] {
                if name.is_empty() {
                    self.wrong(
                        format!("{path}_from.{member}"),
                        "required",
                        "Name the datasource and the column of the values.",
                    );
                }
            }
            return;
        }
        match field.choices.len() {
            0 => self.wrong(path, "required", "List what can be chosen."),
            1..=CHOICES_MAX => {}
            _ => self.wrong(path, "too_long", "List at most 500 choices."),
        }
        let mut seen = BTreeSet::new();
        for (at, Choice { value, label }) in field.choices.iter().enumerate() {
            let at_value = format!("{path}.{at}.value");
            if !(1..=CHOICE_MAX).contains(&value.chars().count())
                || value.trim() != value
                || value.chars().any(char::is_control)
            {
                let why =
                    "A value has 1 to 200 characters on one line, with no blank at the beginning or end.";
                self.wrong(at_value, "invalid", why);
            } else if field.kind == FieldType::MultiSelect && value.contains(';') {
                let why = "Leave out the semicolon; it stands between the values in CSV files.";
                self.wrong(at_value, "invalid", why);
            } else if !seen.insert(value.as_str()) {
                self.wrong(at_value, "duplicate", "Choose another value; a choice before has this one.");
            }
            if let Some(Err(why)) = label.as_deref().map(names::display_name) {
                self.wrong(format!("{path}.{at}.label"), "invalid", format!("The label {why}."));
            }
        }
    }

    fn amounts(&mut self, path: &str, field: &FormField) {
        let is_currency = field.kind == FieldType::Currency;
        let at = format!("{path}.decimals");
        let fits = is_currency || field.kind == FieldType::Decimal;
        self.only(&at, field.decimals.is_some(), fits, "decimal and currency");
        if field.decimals.is_some_and(|decimals| decimals > decimal::PLACES_MAX) {
            self.wrong(at, "too_large", "Allow at most 10 decimals.");
        }
        let at = format!("{path}.currency");
        let is_code = |code: &String| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
        if !is_currency {
            self.only(&at, field.currency.is_some(), false, "currency");
        } else if field.currency.is_none() {
            self.wrong(at, "required", "Say of which currency the amount is, such as EUR.");
        } else if !field.currency.as_ref().is_some_and(is_code) {
            self.wrong(at, "invalid", "Write the ISO 4217 code, three capitals such as EUR.");
        }
    }

    fn files(&mut self, path: &str, field: &FormField) {
        let fits = field.kind == FieldType::File;
        let at = format!("{path}.max_bytes");
        if self.only(&at, field.max_bytes.is_some(), fits, "file") && field.max_bytes == Some(0) {
            self.wrong(at, "too_small", "Allow at least 1 byte.");
        }
        let at = format!("{path}.accept");
        if !self.only(&at, !field.accept.is_empty(), fits, "file") {
            return;
        }
        if field.accept.len() > LIST_MAX {
            self.wrong(&at, "too_long", "List at most 50 media types and endings.");
        }
        for (index, kind) in field.accept.iter().enumerate() {
            let whole = kind.strip_suffix("/*").map(|family| format!("{family}/x"));
            if !is_ending(kind) && !is_media_type(whole.as_deref().unwrap_or(kind)) {
                let why = "Write a media type or an ending in lower case, such as application/pdf, image/* or .pdf.";
                self.wrong(format!("{at}.{index}"), "invalid", why);
            }
        }
    }

    fn lengths(&mut self, path: &str, field: &FormField) {
        let texts = "single_line, multi_line, email, phone and url";
        let at = format!("{path}.max_length");
        if self.only(&at, field.max_length.is_some(), field.kind.is_text(), texts) {
            let most = match field.kind {
                FieldType::SingleLine => 5_000,
                FieldType::MultiLine => 100_000,
                _ => FormField { kind: field.kind, ..FormField::default() }.longest(),
            };
            if !(1..=most).contains(&field.longest()) {
                self.wrong(at, "invalid", format!("Allow 1 to {most} characters."));
            }
        }
        let at = format!("{path}.min_length");
        if self.only(&at, field.min_length.is_some(), field.kind.is_text(), texts)
            && field.min_length > Some(field.longest())
        {
            let why = format!("Ask for at most {} characters; more are not accepted.", field.longest());
            self.wrong(at, "invalid", why);
        }
    }

    fn pattern(&mut self, path: &str, field: &FormField) {
        let Some(pattern) = &field.pattern else { return };
        let fits = field.kind.is_text() && field.kind != FieldType::MultiLine;
        if !self.only(path, true, fits, "single_line, email, phone and url") {
            return;
        }
        if pattern.chars().count() > PATTERN_MAX {
            self.wrong(path, "too_long", "Write a pattern of at most 500 characters.");
        } else if compile(pattern).is_none() {
            let why = "Write a regular expression such as [A-Z]{2}[0-9]+; this is none, or a very large one.";
            self.wrong(path, "invalid", why);
        }
    }

    fn bounds(&mut self, path: &str, field: &FormField) {
        let mut read = |name: &str, bound: &Option<Value>| {
            let bound = bound.as_ref()?;
            let at = format!("{path}.{name}");
            if !self.only(&at, true, field.kind.is_ordered(), "numbers, amounts, dates and times") {
                return None;
            }
            match field.shape(bound) {
                Ok(Some(value)) => return Some(value),
                Ok(None) => self.wrong(at, "invalid", "Leave it out, or write a value of the field."),
                Err(faults) => self.errors.extend(faults.into_iter().map(|fault| fault.at(&at))),
            }
            None
        };
        if let (Some(min), Some(max)) = (read("min", &field.min), read("max", &field.max))
            && field.order(&min, &max) == Some(Ordering::Greater)
        {
            self.wrong(format!("{path}.max"), "invalid", "Write one that is not below min.");
        }
    }

    fn default(&mut self, path: &str, field: &FormField) {
        let Some(default) = &field.default else { return };
        if field.kind.is_object() {
            self.wrong(path, "not_allowed", "Leave this out; files, names and addresses have no default.");
        } else if field.unique {
            self.wrong(
                path,
                "not_allowed",
                "Leave this out; two records with the default would not be unique.",
            );
        } else {
            match field.read(default) {
                Ok(Some(value)) if is_filled(&value) || field.kind == FieldType::Checkbox => {}
                Ok(_) => self.wrong(path, "invalid", "Leave it out, or write a value of the field."),
                Err(faults) => self.errors.extend(faults.into_iter().map(|fault| fault.at(path))),
            }
        }
    }

    fn condition(&mut self, path: &str, condition: &Condition, before: &BTreeSet<&str>, depth: usize) {
        if depth > DEPTH_MAX {
            self.wrong(path, "too_complex", "Make it simpler: conditions stand at most 5 deep.");
            return;
        }
        match condition {
            Condition { field: None, is: None, is_not: None, filled: None, all: Some(list), any: None } => {
                self.conditions(&format!("{path}.all"), list, before, depth);
            }
            Condition { field: None, is: None, is_not: None, filled: None, all: None, any: Some(list) } => {
                self.conditions(&format!("{path}.any"), list, before, depth);
            }
            Condition { field: Some(name), is, is_not, filled, all: None, any: None }
                if [is.is_some(), is_not.is_some(), filled.is_some()].iter().filter(|g| **g).count() == 1 =>
            {
                let Some(field) = self.form.field(name) else {
                    self.wrong(format!("{path}.field"), "unknown", "Name a field of this form.");
                    return;
                };
                if !before.contains(name.as_str()) {
                    let why = "Name a field that stands before this one, or move this one behind it.";
                    self.wrong(format!("{path}.field"), "not_allowed", why);
                    return;
                }
                for (member, wanted) in [("is", is), ("is_not", is_not)] {
                    if let Some(wanted) = wanted {
                        self.wanted(&format!("{path}.{member}"), field, wanted);
                    }
                }
            }
            _ => {
                let why =
                    "Write exactly one of: field with is, field with is_not, field with filled, all, any.";
                self.wrong(path, "invalid", why);
            }
        }
    }

    fn conditions(&mut self, path: &str, list: &[Condition], before: &BTreeSet<&str>, depth: usize) {
        if list.is_empty() {
            self.wrong(path, "required", "List at least one condition.");
        }
        for (at, inner) in list.iter().enumerate() {
            self.condition(&format!("{path}.{at}"), inner, before, depth + 1);
        }
    }

    /// The values that a condition lists must be some that the field can have: else it would never hold, or always.
    fn wanted(&mut self, path: &str, field: &FormField, wanted: &[Value]) {
        if field.kind.is_object() {
            self.wrong(
                path,
                "not_allowed",
                "Ask whether it is filled; files, names and addresses have no single value.",
            );
            return;
        }
        match wanted.len() {
            0 => self.wrong(path, "required", "List at least one value."),
            1..=WANTED_MAX => {}
            _ => self.wrong(path, "too_long", "List at most 100 values."),
        }
        for (at, value) in wanted.iter().enumerate() {
            let at = format!("{path}.{at}");
            if field.kind.is_choice() {
                let listed =
                    || field.choices.iter().any(|choice| value.as_str() == Some(choice.value.as_str()));
                // What a datasource will have nobody knows.
                if field.choices_from.is_none() && !listed() {
                    self.wrong(at, "invalid", format!("Write a value that can be chosen in {}.", field.name));
                }
                continue;
            }
            match field.read(value) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.wrong(at, "invalid", "Ask whether it is filled; an empty value is never there.");
                }
                Err(faults) => self.errors.extend(faults.into_iter().map(|fault| fault.at(&at))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The faults of a form, as `path code`.
    fn faults(document: Value) -> Vec<String> {
        let form: Form = serde_json::from_value(document).unwrap();
        let errors = form.check().err().unwrap_or_default();
        for error in &errors {
            assert!(error.message.ends_with('.') && error.message.len() > 15, "{}", error.message);
        }
        errors.iter().map(|error| format!("{} {}", error.field, error.code)).collect()
    }

    /// The faults of a field, without the path to it; `name` and what the type needs are filled in.
    fn of_field(mut field: Value) -> Vec<String> {
        if field["name"].is_null() {
            field["name"] = json!("f");
        }
        let before = json!([
            {"name": "kind", "type": "dropdown", "choices": [{"value": "a"}, {"value": "b"}]},
            {"name": "agree", "type": "checkbox"}, {"name": "born", "type": "date"},
            {"name": "cv", "type": "file"}, {"name": "tags", "type": "multi_select", "choices": [{"value": "x"}]},
        ]);
        let mut fields = before.as_array().unwrap().clone();
        fields.push(field);
        fields.push(json!({"name": "later"}));
        faults(json!({"fields": fields}))
            .into_iter()
            .map(|f| f.strip_prefix("fields.5.").unwrap_or(&f).to_owned())
            .collect()
    }

    #[test]
    fn a_form_with_everything_is_right() {
        assert_eq!(faults(super::super::samples::everything()), [""; 0]);
        let form: Form = serde_json::from_value(super::super::samples::everything()).unwrap();
        let again: Form = serde_json::from_value(serde_json::to_value(&form).unwrap()).unwrap();
        assert_eq!(form, again);
        let kinds: Vec<FieldType> = form.fields.iter().map(|field| field.kind).collect();
        assert!(FieldType::ALL.iter().all(|kind| kinds.contains(kind)));
        assert!(serde_json::from_value::<Form>(json!({"fields": [], "colour": "red"})).is_err());
        assert!(serde_json::from_value::<Form>(json!({"fields": [{"name": "a", "typ": "date"}]})).is_err());
    }

    #[test]
    fn the_schema_of_the_api_document_ends() {
        let mut schemas = Vec::new();
        <Form as utoipa::ToSchema>::schemas(&mut schemas);
        let names: BTreeSet<&str> = schemas.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["FormAccess", "FormChoice", "FormCondition", "FormField", "FormFieldType"];
        assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");
    }

    #[test]
    fn what_is_wrong_with_the_form() {
        let field = json!({"name": "a"});
        let many = |n: usize| (0..n).map(|n| json!({"name": format!("f{n}")})).collect::<Vec<_>>();
        for (document, expected) in [
            (json!({"fields": []}), vec!["fields required"]),
            (json!({"fields": many(200)}), vec![]),
            (json!({"fields": many(201)}), vec!["fields too_long"]),
            (
                json!({"fields": [field], "description": "x".repeat(5001), "thanks": "\u{7}", "submit_label": "x".repeat(101)}),
                vec!["description too_long", "submit_label too_long", "thanks invalid"],
            ),
            (
                json!({"fields": [field], "embed_origins": ["https://a.example", "*", "http://a.example", "https://a.example/x"]}),
                vec!["embed_origins.1 invalid", "embed_origins.2 invalid", "embed_origins.3 invalid"],
            ),
            (
                json!({"fields": [field], "embed_origins": vec!["https://a.example"; 51]}),
                vec!["embed_origins too_long"],
            ),
            (json!({"fields": [field, field]}), vec!["fields.1.name duplicate"]),
            (json!({"fields": [{"name": "a", "help": "x".repeat(FORM_MAX)}]}), vec![" too_long"]),
        ] {
            let shown = document.to_string().chars().take(100).collect::<String>();
            assert_eq!(faults(document), expected, "{shown}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_field() {
        let choices = json!([{"value": "a"}, {"value": "b"}]);
        for (field, expected) in [
            (json!({"name": "A b"}), vec!["name invalid"]),
            (json!({"name": "created_at"}), vec!["name not_allowed"]),
            (json!({"label": " ", "help": "x".repeat(1001)}), vec!["label invalid", "help too_long"]),
            (json!({"type": "file", "unique": true}), vec!["unique not_allowed"]),
            (json!({"type": "multi_select", "choices": choices, "unique": true}), vec!["unique not_allowed"]),
            (json!({"type": "email", "unique": true}), vec![]),
            (json!({"choices": choices}), vec!["choices not_allowed"]),
            (json!({"type": "radio"}), vec!["choices required"]),
            (
                json!({"type": "radio", "choices": [{"value": "a"}, {"value": "a"}, {"value": " "}, {"value": "x\n"}, {"value": "l", "label": ""}]}),
                vec![
                    "choices.1.value duplicate",
                    "choices.2.value invalid",
                    "choices.3.value invalid",
                    "choices.4.label invalid",
                ],
            ),
            (
                json!({"type": "radio", "choices_from": {"datasource": "d", "value": "id", "label": "name"}}),
                vec![],
            ),
            (json!({"choices_from": {"datasource": "d", "value": "id"}}), vec!["choices_from not_allowed"]),
            (
                json!({"type": "radio", "choices_from": {"datasource": "d", "value": ""}}),
                vec!["choices_from.value required"],
            ),
            (
                json!({"type": "radio", "choices": choices, "choices_from": {"datasource": "d", "value": "id"}}),
                vec!["choices not_allowed"],
            ),
            (json!({"type": "radio", "choices": [{"value": "a;b"}]}), vec![]),
            (json!({"type": "multi_select", "choices": [{"value": "a;b"}]}), vec!["choices.0.value invalid"]),
            (
                json!({"type": "dropdown", "choices": (0..501).map(|n| json!({"value": n.to_string()})).collect::<Vec<_>>()}),
                vec!["choices too_long"],
            ),
            (
                json!({"type": "number", "decimals": 2, "currency": "EUR"}),
                vec!["decimals not_allowed", "currency not_allowed"],
            ),
            (json!({"type": "decimal", "decimals": 11}), vec!["decimals too_large"]),
            (json!({"type": "currency"}), vec!["currency required"]),
            (json!({"type": "currency", "currency": "eur"}), vec!["currency invalid"]),
            (json!({"max_bytes": 1, "accept": ["a/b"]}), vec!["max_bytes not_allowed", "accept not_allowed"]),
            (
                json!({"type": "file", "max_bytes": 0, "accept": ["image/*", "pdf", "*/*", "Image/png"]}),
                vec!["max_bytes too_small", "accept.1 invalid", "accept.2 invalid", "accept.3 invalid"],
            ),
            (
                json!({"type": "date", "min_length": 1, "max_length": 2}),
                vec!["max_length not_allowed", "min_length not_allowed"],
            ),
            (json!({"max_length": 5001}), vec!["max_length invalid"]),
            (json!({"max_length": 0}), vec!["max_length invalid"]),
            (json!({"type": "email", "max_length": 255}), vec!["max_length invalid"]),
            (json!({"min_length": 6, "max_length": 5}), vec!["min_length invalid"]),
            (json!({"min_length": 1001}), vec!["min_length invalid"]),
            (json!({"pattern": "("}), vec!["pattern invalid"]),
            (json!({"pattern": "a)|(?:b"}), vec!["pattern invalid"]),
            (json!({"pattern": "x".repeat(501)}), vec!["pattern too_long"]),
            (json!({"type": "multi_line", "pattern": "x"}), vec!["pattern not_allowed"]),
            (json!({"type": "number", "pattern": "x"}), vec!["pattern not_allowed"]),
            (json!({"min": 1, "max": 2}), vec!["min not_allowed", "max not_allowed"]),
            (json!({"type": "number", "min": 2, "max": 1}), vec!["max invalid"]),
            (json!({"type": "number", "min": 1.5, "max": ""}), vec!["min invalid", "max invalid"]),
            (json!({"type": "decimal", "min": 9, "max": "10.5"}), vec![]),
            (json!({"type": "decimal", "min": "9.001"}), vec!["min invalid"]),
            (json!({"type": "date", "min": "2026-01-02", "max": "2026-01-01"}), vec!["max invalid"]),
            (
                json!({"type": "date_time", "min": "2026-01-01T10:00:00+02:00", "max": "2026-01-01T09:00:00Z"}),
                vec![],
            ),
            (json!({"type": "number", "default": 11, "max": 10}), vec!["default too_large"]),
            (json!({"default": ""}), vec!["default invalid"]),
            (json!({"default": "x", "unique": true}), vec!["default not_allowed"]),
            (json!({"type": "name", "default": {"first": "a", "last": "b"}}), vec!["default not_allowed"]),
            (json!({"type": "dropdown", "choices": choices, "default": "c"}), vec!["default invalid"]),
            (
                json!({"type": "multi_select", "choices": choices, "default": ["a", "c"]}),
                vec!["default.1 invalid"],
            ),
            (json!({"type": "checkbox", "default": false}), vec![]),
            (json!({"pattern": "[a-z]+", "default": "A"}), vec!["default invalid"]),
        ] {
            assert_eq!(of_field(field.clone()), expected, "{field}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_condition() {
        let mut deep = json!({"field": "agree", "filled": true});
        for _ in 0..4 {
            deep = json!({"all": [deep]});
        }
        let deeper = json!({"any": [deep]});
        for (condition, expected) in [
            (json!({"field": "kind", "is": ["a"]}), vec![]),
            (json!({"field": "tags", "is": ["x"]}), vec![]),
            (json!({"field": "agree", "is": [true]}), vec![]),
            (json!({"field": "cv", "filled": false}), vec![]),
            (json!({}), vec!["visible_if invalid"]),
            (json!({"field": "kind"}), vec!["visible_if invalid"]),
            (json!({"is": ["a"]}), vec!["visible_if invalid"]),
            (json!({"field": "kind", "is": ["a"], "filled": true}), vec!["visible_if invalid"]),
            (json!({"all": [], "any": []}), vec!["visible_if invalid"]),
            (json!({"all": []}), vec!["visible_if.all required"]),
            (json!({"field": "nothing", "filled": true}), vec!["visible_if.field unknown"]),
            (json!({"field": "later", "filled": true}), vec!["visible_if.field not_allowed"]),
            (json!({"field": "f", "filled": true}), vec!["visible_if.field not_allowed"]),
            (json!({"field": "kind", "is": []}), vec!["visible_if.is required"]),
            (json!({"field": "kind", "is": vec!["a"; 101]}), vec!["visible_if.is too_long"]),
            (
                json!({"any": [{"field": "kind", "is_not": ["a", "z", 1]}]}),
                vec!["visible_if.any.0.is_not.1 invalid", "visible_if.any.0.is_not.2 invalid"],
            ),
            (json!({"field": "tags", "is": [["x"]]}), vec!["visible_if.is.0 invalid"]),
            (json!({"field": "agree", "is": ["yes"]}), vec!["visible_if.is.0 wrong_type"]),
            (json!({"field": "born", "is": ["2026-02-30"]}), vec!["visible_if.is.0 invalid"]),
            (json!({"field": "born", "is_not": [""]}), vec!["visible_if.is_not.0 invalid"]),
            (json!({"field": "cv", "is": ["x"]}), vec!["visible_if.is not_allowed"]),
            (deep, vec![]),
            (deeper, vec!["visible_if.any.0.all.0.all.0.all.0.all.0 too_complex"]),
            (
                json!({"all": vec![json!({"field": "agree", "filled": true}); 50]}),
                vec!["visible_if too_complex"],
            ),
        ] {
            assert_eq!(of_field(json!({"visible_if": condition})), expected, "{condition}");
        }
    }
}
