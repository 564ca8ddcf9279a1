//! The fields of a form as people fill them in, and a record as people read it. The pages of records, the hosted page and the preview of the
//! builder draw them by this.

use askama::Template;
use askama::filters::HtmlSafe;
use jackfield_core::form::{Condition, FieldType, Form as Document, FormField};
use jackfield_core::names;
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
    /// paths, names and words of the parts of a name or an address
    parts: Vec<(String, &'static str, &'static str)>,
    /// what browsers know to fill in (HTML §4.10.18.7.1); empty: nothing
    autocomplete: &'static str,
    /// when it is asked, for the script; empty: always
    when: String,
    /// the same in words, for those without a script
    only: String,
}

/// The fields of a form.
pub(super) struct Sheet(Vec<Line>);

/// `{{ sheet.filled(form) }}` in a template.
#[derive(Template)]
#[template(path = "console/parts/sheet.html")]
pub(super) struct Filled<'a> {
    lines: &'a [Line],
    form: &'a Form,
    /// by the person whom it is about: his browser knows his name and address
    of_oneself: bool,
}

impl HtmlSafe for Filled<'_> {}

impl Sheet {
    pub fn of(document: &Document) -> Self {
        Self(document.fields.iter().map(|field| Line::of(document, field)).collect())
    }

    /// For those who keep records of others.
    pub fn filled<'a>(&'a self, form: &'a Form) -> Filled<'a> {
        Filled { lines: &self.0, form, of_oneself: false }
    }

    /// For those who are asked.
    pub fn asked<'a>(&'a self, form: &'a Form) -> Filled<'a> {
        Filled { lines: &self.0, form, of_oneself: true }
    }

    /// The paths of all that is shown, so that every other error is said above.
    pub fn paths(&self) -> Vec<&str> {
        let parts = self.0.iter().flat_map(|line| line.parts.iter().map(|(path, _, _)| path.as_str()));
        self.0.iter().map(|line| line.path.as_str()).chain(parts).collect()
    }
}

impl Line {
    fn of(document: &Document, field: &FormField) -> Self {
        let path = format!("{UNDER}{}", field.name);
        let mut help: Vec<String> = field.help.iter().cloned().collect();
        if field.kind == FieldType::DateTime {
            // What a browser sends of a moment has no offset, and is taken so.
            help.push("In UTC.".to_owned());
        }
        let condition = field.visible_if.as_ref();
        let mut choices: Vec<(String, String)> = Vec::new();
        if field.kind == FieldType::Dropdown {
            choices.push((String::new(), "Choose…".to_owned()));
        }
        let words = |value: &str, label: Option<&str>| (value.to_owned(), label.unwrap_or(value).to_owned());
        choices.extend(field.choices.iter().map(|one| words(&one.value, one.label.as_deref())));
        let parts = field.kind.parts().iter();
        Self {
            parts: parts.map(|part| (format!("{path}.{part}"), *part, part_word(part))).collect(),
            title: match &field.currency {
                Some(currency) => format!("{} ({currency})", field.title()),
                None => field.title().to_owned(),
            },
            help: help.join(" "),
            kind: field.kind,
            required: field.required,
            choices,
            autocomplete: autocomplete_of(field),
            when: condition.and_then(|one| serde_json::to_string(one).ok()).unwrap_or_default(),
            only: condition
                .map_or_else(String::new, |one| format!("Only if {}:", condition_words(document, one))),
            path,
        }
    }

    /// One of several in view, or any number of them.
    fn is_choices(&self) -> bool {
        matches!(self.kind, FieldType::Radio | FieldType::MultiSelect)
    }

    fn choice_kind(&self) -> &'static str {
        if self.kind == FieldType::Radio { "radio" } else { "checkbox" }
    }

    fn is_box(&self) -> bool {
        self.kind == FieldType::Checkbox
    }

    fn id(&self) -> String {
        id_of(&self.path)
    }

    /// The field, where it is one input.
    fn plain<'a>(&'a self, form: &'a Form, of_oneself: &bool) -> Field<'a> {
        let (path, title) = (self.path.as_str(), self.title.as_str());
        let field = match self.kind {
            FieldType::MultiLine => form.area(path, title, 4),
            FieldType::Dropdown => {
                let choices: Vec<(&str, &str)> =
                    self.choices.iter().map(|(value, words)| (value.as_str(), words.as_str())).collect();
                form.select(path, title, &choices)
            }
            FieldType::Email => form.text(path, title).kind("email"),
            FieldType::Phone => form.text(path, title).kind("tel"),
            FieldType::Url => form.text(path, title).kind("url"),
            FieldType::Date => form.text(path, title).kind("date"),
            FieldType::Time => form.text(path, title).kind("time"),
            // Browsers empty a field of moments in which something else stands.
            FieldType::DateTime if is_minute(form.value(path)) => {
                form.text(path, title).kind("datetime-local")
            }
            _ => form.text(path, title),
        };
        let field = field.help(&self.help);
        let field = if *of_oneself { field.autocomplete(self.autocomplete) } else { field };
        if self.required { field } else { field.optional() }
    }

    fn part<'a>(
        &self,
        form: &'a Form,
        path: &'a str,
        part: &str,
        words: &'a str,
        of_oneself: &bool,
    ) -> Field<'a> {
        let field = form.text(path, words);
        let field = if *of_oneself { field.autocomplete(autocomplete_of_part(part)) } else { field };
        let needed = self.required && ["first", "last", "line_1", "city"].contains(&part);
        if needed { field } else { field.optional() }
    }
}

/// Nothing, or a moment as browsers write it: `2026-11-22T14:30`.
fn is_minute(text: &str) -> bool {
    let fits = |(at, c): (usize, char)| match at {
        4 | 7 => c == '-',
        10 => c == 'T',
        13 => c == ':',
        _ => c.is_ascii_digit(),
    };
    text.is_empty() || (text.len() == 16 && text.chars().enumerate().all(fits))
}

/// What a field asks of a person, by its type or by what it is called.
fn autocomplete_of(field: &FormField) -> &'static str {
    match field.kind {
        FieldType::Email => return "email",
        FieldType::Phone => return "tel",
        FieldType::Url => return "url",
        FieldType::SingleLine | FieldType::MultiLine => {}
        _ => return "",
    }
    match names::link_name_or(field.title(), "").as_str() {
        "name" | "your_name" | "full_name" => "name",
        "first_name" | "given_name" => "given-name",
        "last_name" | "family_name" | "surname" => "family-name",
        "company" | "company_name" | "organization" | "organisation" => "organization",
        "job_title" => "organization-title",
        "address" | "street" | "street_address" => "street-address",
        "city" | "town" => "address-level2",
        "postal_code" | "postcode" | "zip" | "zip_code" => "postal-code",
        "country" => "country-name",
        _ => "",
    }
}

fn autocomplete_of_part(part: &str) -> &'static str {
    match part {
        "prefix" => "honorific-prefix",
        "first" => "given-name",
        "last" => "family-name",
        "line_1" => "address-line1",
        "line_2" => "address-line2",
        "city" => "address-level2",
        "state" => "address-level1",
        "postal_code" => "postal-code",
        _ => "country-name",
    }
}

fn part_word(part: &str) -> &'static str {
    match part {
        "prefix" => "Title before it",
        "first" => "First name",
        "last" => "Last name",
        "line_1" => "Street and number",
        "line_2" => "More of the address",
        "city" => "City",
        "state" => "State or province",
        "postal_code" => "Postal code",
        _ => "Country",
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
            Some(value) if field.kind == FieldType::DateTime => {
                let text = plain(value);
                let minute = text.strip_suffix(":00Z").unwrap_or(&text);
                fields = fields.with(&path, if is_minute(minute) { minute } else { &text });
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
            {"name": "at", "type": "date_time"},
            {"name": "who", "type": "name", "visible_if": {"field": "kind", "is": ["c"]}},
        ]}))
        .unwrap()
    }

    #[test]
    fn a_record_comes_back_from_its_form_as_it_was() {
        let document = document();
        let data = json!({"vendor": "Acme", "kind": "p", "tags": ["x", "y"], "agree": true, "price": "12.50",
            "at": "2026-11-22T14:30", "who": {"first": "Ada", "last": "Okafor"}});
        let data = data.as_object().unwrap();
        let back = data_of(&document, &fields_of(&document, data));
        assert_eq!(&back, data);
        assert_eq!(defaults_of(&document).get("data.kind"), "c");
        let said: Vec<String> =
            document.fields.iter().map(|field| shown(field, data.get(&field.name))).collect();
        assert_eq!(said, ["Acme", "p", "x, {{7*7}}", "Yes", "12.50 EUR", "2026-11-22T14:30", "Ada Okafor"]);
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
        assert!(html.contains("Only if kind is Company:"), "{html}");
        assert!(!html.contains("autocomplete"), "records of others: {html}");
    }

    #[test]
    fn browsers_fill_in_what_they_know_of_a_person() {
        let document: Document = serde_json::from_value(json!({"fields": [
            {"name": "n", "label": "Your name"}, {"name": "mail", "type": "email"}, {"name": "home", "type": "address"},
            {"name": "other"},
        ]}))
        .unwrap();
        let html = Sheet::of(&document).asked(&Form::default()).render().unwrap();
        for known in ["name", "email", "address-line1", "postal-code"] {
            assert!(html.contains(&format!("autocomplete=\"{known}\"")), "{known}: {html}");
        }
    }

    #[test]
    fn a_moment_is_asked_as_browsers_ask_it_unless_it_would_lose_its_seconds() {
        let document = document();
        let at = |moment: &str| {
            let data = json!({"at": moment});
            let form = Form::new(fields_of(&document, data.as_object().unwrap()));
            Sheet::of(&document).filled(&form).render().unwrap()
        };
        let whole = at("2026-11-22T14:30:00Z");
        assert!(whole.contains("type=\"datetime-local\" value=\"2026-11-22T14:30\""), "{whole}");
        let odd = at("2026-11-22T14:30:07Z");
        assert!(odd.contains("type=\"text\" value=\"2026-11-22T14:30:07Z\""), "{odd}");
    }
}
