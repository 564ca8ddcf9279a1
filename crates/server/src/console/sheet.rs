//! The fields of a form as people fill them in, and a record as people read it.

use askama::Template;
use askama::filters::HtmlSafe;
use jackfield_core::form::{Condition, FieldType, Form as Document, FormField};
use serde_json::{Map, Value};

use super::applications::lines;
use super::form::{Field, Fields, Form, id_of};

/// Before the names of a record's fields, as the engine has it in its errors.
const UNDER: &str = "data.";

/// One field as it is asked for.
struct Line {
    /// `data.vendor_name`
    path: String,
    title: String,
    help: String,
    kind: FieldType,
    required: bool,
    /// value and words; of a drop-down the first is for none
    choices: Vec<(String, String)>,
    /// paths and words of the parts of a name or an address
    parts: Vec<(String, String)>,
}

/// The fields of a form.
pub(super) struct Sheet(Vec<Line>);

/// `{{ sheet.filled(form) }}` in a template.
#[derive(Template)]
#[template(path = "console/parts/sheet.html")]
pub(super) struct Filled<'a> {
    lines: &'a [Line],
    form: &'a Form,
}

impl HtmlSafe for Filled<'_> {}

impl Sheet {
    pub fn of(document: &Document) -> Self {
        Self(document.fields.iter().map(|field| Line::of(document, field)).collect())
    }

    pub fn filled<'a>(&'a self, form: &'a Form) -> Filled<'a> {
        Filled { lines: &self.0, form }
    }

    /// The paths of all that is shown, so that every other error is said above.
    pub fn paths(&self) -> Vec<&str> {
        let parts = self.0.iter().flat_map(|line| line.parts.iter().map(|(path, _)| path.as_str()));
        self.0.iter().map(|line| line.path.as_str()).chain(parts).collect()
    }
}

impl Line {
    fn of(document: &Document, field: &FormField) -> Self {
        let path = format!("{UNDER}{}", field.name);
        let mut help: Vec<String> = field.help.iter().cloned().collect();
        if field.kind == FieldType::DateTime {
            help.push("A moment such as 2026-11-22T14:30:00Z.".to_owned());
        }
        if let Some(condition) = &field.visible_if {
            help.push(format!("Only if {}.", condition_words(document, condition)));
        }
        let mut choices: Vec<(String, String)> = Vec::new();
        if matches!(field.kind, FieldType::Dropdown | FieldType::Radio) {
            choices.push((String::new(), "Choose…".to_owned()));
        }
        let words = |value: &str, label: Option<&str>| (value.to_owned(), label.unwrap_or(value).to_owned());
        choices.extend(field.choices.iter().map(|one| words(&one.value, one.label.as_deref())));
        let parts = field.kind.parts().iter();
        Self {
            parts: parts.map(|part| (format!("{path}.{part}"), part_word(part).to_owned())).collect(),
            title: match &field.currency {
                Some(currency) => format!("{} ({currency})", field.title()),
                None => field.title().to_owned(),
            },
            help: help.join(" "),
            kind: field.kind,
            required: field.required,
            choices,
            path,
        }
    }

    fn is_ticks(&self) -> bool {
        self.kind == FieldType::MultiSelect
    }

    fn is_box(&self) -> bool {
        self.kind == FieldType::Checkbox
    }

    fn id(&self) -> String {
        id_of(&self.path)
    }

    /// The field, where it is one input.
    fn plain<'a>(&'a self, form: &'a Form) -> Field<'a> {
        let (path, title) = (self.path.as_str(), self.title.as_str());
        let field = match self.kind {
            FieldType::MultiLine => form.area(path, title, 4),
            FieldType::Dropdown | FieldType::Radio => {
                let choices: Vec<(&str, &str)> =
                    self.choices.iter().map(|(value, words)| (value.as_str(), words.as_str())).collect();
                form.select(path, title, &choices)
            }
            FieldType::Email => form.text(path, title).kind("email"),
            FieldType::Phone => form.text(path, title).kind("tel"),
            FieldType::Date => form.text(path, title).kind("date"),
            FieldType::Time => form.text(path, title).kind("time"),
            _ => form.text(path, title),
        };
        let field = field.help(&self.help);
        if self.required { field } else { field.optional() }
    }

    fn part<'a>(form: &'a Form, path: &'a str, words: &'a str) -> Field<'a> {
        form.text(path, words)
    }
}

pub(super) fn part_word(part: &str) -> &str {
    match part {
        "prefix" => "Title before it",
        "first" => "First name",
        "last" => "Last name",
        "line_1" => "Street and number",
        "line_2" => "More of the address",
        "city" => "City",
        "state" => "State or province",
        "postal_code" => "Postal code",
        "country" => "Country",
        other => other,
    }
}

/// A condition as the rest of a sentence that begins with "if".
pub(super) fn condition_words(document: &Document, condition: &Condition) -> String {
    let name = condition.field.as_deref().unwrap_or("");
    let field = document.field(name);
    let title = field.map_or(name, FormField::title);
    let said = |values: &[Value]| {
        let one = |value: &Value| field.map_or_else(|| plain(value), |field| shown(field, Some(value)));
        values.iter().map(one).collect::<Vec<_>>().join(" or ")
    };
    let inner = |some: &[Condition], word: &str| {
        some.iter().map(|one| condition_words(document, one)).collect::<Vec<_>>().join(word)
    };
    match condition {
        Condition { is: Some(values), .. } => format!("{title} is {}", said(values)),
        Condition { is_not: Some(values), .. } => format!("{title} is not {}", said(values)),
        Condition { filled: Some(true), .. } => format!("{title} is filled in"),
        Condition { filled: Some(false), .. } => format!("{title} is empty"),
        Condition { all: Some(some), .. } => inner(some, " and "),
        Condition { any: Some(some), .. } => inner(some, ", or "),
        _ => String::new(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as people read it; empty where there is none.
pub(super) fn shown(field: &FormField, value: Option<&Value>) -> String {
    let choice = |value: &Value| {
        let text = plain(value);
        let known = field.choices.iter().find(|one| one.value == text);
        known.and_then(|one| one.label.clone()).unwrap_or(text)
    };
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::Bool(yes)) => if *yes { "Yes" } else { "No" }.to_owned(),
        Some(Value::Array(items)) => items.iter().map(choice).collect::<Vec<_>>().join(", "),
        Some(Value::Object(members)) => {
            let parts = field.kind.parts().iter().filter_map(|part| members.get(*part)).map(plain);
            let between = if field.kind == FieldType::Name { " " } else { ", " };
            parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
        }
        Some(value) if field.kind.is_choice() => choice(value),
        Some(value) => match &field.currency {
            Some(currency) => format!("{} {currency}", plain(value)),
            None => plain(value),
        },
    }
}

/// What stands in the fields of a record that is there.
pub(super) fn fields_of(document: &Document, data: &Map<String, Value>) -> Fields {
    let mut fields = Fields::default();
    for field in &document.fields {
        let path = format!("{UNDER}{}", field.name);
        match data.get(&field.name) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::Bool(true)) => fields = fields.with(&path, "on"),
            Some(Value::Array(items)) => {
                for item in items {
                    fields = fields.with(&path, plain(item));
                }
            }
            Some(Value::Object(members)) => {
                for (part, value) in members {
                    fields = fields.with(&format!("{path}.{part}"), plain(value));
                }
            }
            Some(value) => fields = fields.with(&path, plain(value)),
        }
    }
    fields
}

/// What stands in the fields of a new record: what the form takes where nothing is said.
pub(super) fn defaults_of(document: &Document) -> Fields {
    let given = document.fields.iter();
    let given = given.filter_map(|field| Some((field.name.clone(), field.default.clone()?))).collect();
    fields_of(document, &given)
}

/// What was filled in, as the engine takes it.
pub(super) fn data_of(document: &Document, sent: &Fields) -> Map<String, Value> {
    let pairs: Vec<(String, String)> =
        sent.under(UNDER).map(|(name, value)| (name.to_owned(), lines(value))).collect();
    document.from_strings(&pairs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        serde_json::from_value(json!({"fields": [
            {"name": "vendor", "label": "\"><script>", "required": true},
            {"name": "kind", "type": "dropdown", "choices": [{"value": "c", "label": "Company"}, {"value": "p"}], "default": "c"},
            {"name": "tags", "type": "multi_select", "choices": [{"value": "x"}, {"value": "y", "label": "{{7*7}}"}]},
            {"name": "agree", "type": "checkbox"},
            {"name": "price", "type": "currency", "currency": "EUR"},
            {"name": "who", "type": "name", "visible_if": {"field": "kind", "is": ["c"]}},
        ]}))
        .unwrap()
    }

    #[test]
    fn a_record_comes_back_from_its_form_as_it_was() {
        let document = document();
        let data = json!({"vendor": "Acme", "kind": "p", "tags": ["x", "y"], "agree": true, "price": "12.50",
            "who": {"first": "Ada", "last": "Okafor"}});
        let data = data.as_object().unwrap();
        let back = data_of(&document, &fields_of(&document, data));
        assert_eq!(&back, data);
        assert_eq!(defaults_of(&document).get("data.kind"), "c");
        let said: Vec<String> =
            document.fields.iter().map(|field| shown(field, data.get(&field.name))).collect();
        assert_eq!(said, ["Acme", "p", "x, {{7*7}}", "Yes", "12.50 EUR", "Ada Okafor"]);
    }

    #[test]
    fn every_field_is_asked_for_and_escaped() {
        let document = document();
        let sheet = Sheet::of(&document);
        let html = sheet.filled(&Form::new(defaults_of(&document))).render().unwrap();
        for path in sheet.paths() {
            let whole = path == "data.who";
            assert!(whole || html.contains(&format!("name=\"{path}\"")), "{path}: {html}");
        }
        assert!(!html.contains("<script>") && html.contains("{{7*7}}"), "{html}");
        assert!(html.contains("Only if kind is Company."), "{html}");
    }
}
