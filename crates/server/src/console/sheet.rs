//! The fields of a form as people fill them in, and a record as people read it. The pages of records, the hosted page and the preview of the
//! builder draw them by this.

use askama::Template;
use askama::filters::HtmlSafe;
use base64::Engine as _;
use jackfield_core::form::{Choice, Condition, FieldType, Form as Document, FormField, size_words};
use jackfield_core::{Error, FieldError, names};
use serde_json::{Map, Value, json};

use super::applications::lines;
use super::form::{Field, Fields, Form, id_of};

/// Before the names of a record's fields, as the engine has it in its errors.
const UNDER: &str = "data.";
/// Before the names of files that are to be taken out of a record.
const DROP: &str = "drop.";

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
    /// of a file: what browsers offer to choose
    accept: String,
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

    /// Of a record that is there: what it has chosen is offered, also where its list has it no more.
    pub fn of_record(document: &Document, data: &Map<String, Value>) -> Self {
        let mut document = document.clone();
        for field in &mut document.fields {
            let gone = data.get(&field.name).map(|value| field.gone_choices(value)).unwrap_or_default();
            field.choices.extend(gone.into_iter().map(|choice| {
                let label = Some(format!("{} (no longer offered)", choice.value));
                Choice { label, ..choice }
            }));
        }
        Self::of(&document)
    }

    /// For those who keep records of others.
    pub fn filled<'a>(&'a self, form: &'a Form) -> Filled<'a> {
        Filled { lines: &self.0, form, of_oneself: false }
    }

    /// For those who are asked.
    pub fn asked<'a>(&'a self, form: &'a Form) -> Filled<'a> {
        Filled { lines: &self.0, form, of_oneself: true }
    }

    /// Whether files are asked for: then a form goes in parts.
    pub fn has_files(&self) -> bool {
        self.0.iter().any(Line::is_file)
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
        if let Some(most) = field.max_bytes {
            help.push(format!("At most {}.", size_words(most)));
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
            accept: field.accept.join(","),
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

    fn is_file(&self) -> bool {
        self.kind == FieldType::File
    }

    /// The file that a record has already: its name, and the name of the box that takes it out.
    fn present(&self, form: &Form) -> Option<(String, String)> {
        let name = form.value(&format!("{}.filename", self.path));
        let drop = self.path.strip_prefix(UNDER).unwrap_or(&self.path);
        (self.is_file() && !name.is_empty()).then(|| (name.to_owned(), format!("{DROP}{drop}")))
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
            FieldType::File => form.text(path, title).kind("file").accept(&self.accept),
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
        Some(Value::Object(members)) if field.kind == FieldType::File => {
            let size = members.get("size").and_then(Value::as_u64).map(size_words).unwrap_or_default();
            format!("{} ({size})", members.get("filename").map(plain).unwrap_or_default())
        }
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

/// What was filled in, as the engine takes it. A file that was not chosen is absent: so an edit keeps the one there is.
pub(super) fn data_of(document: &Document, sent: &Fields) -> Map<String, Value> {
    let pairs: Vec<(String, String)> =
        sent.under(UNDER).map(|(name, value)| (name.to_owned(), lines(value))).collect();
    let mut data = document.from_strings(&pairs);
    for field in document.fields.iter().filter(|field| field.kind == FieldType::File) {
        if let Some(part) = sent.file(&format!("{UNDER}{}", field.name)) {
            let base64 = base64::engine::general_purpose::STANDARD.encode(&part.bytes);
            let file =
                json!({"filename": part.filename, "content_type": part.content_type, "base64": base64});
            data.insert(field.name.clone(), file);
        } else if sent.has(&format!("{DROP}{}", field.name)) {
            data.insert(field.name.clone(), Value::Null);
        }
    }
    data
}

/// What was filled in, with the names of the files that the record has: these are not sent.
pub(super) fn with_present_files(document: &Document, data: &Map<String, Value>, mut sent: Fields) -> Fields {
    for field in document.fields.iter().filter(|field| field.kind == FieldType::File) {
        if let Some(name) = data.get(&field.name).and_then(|file| file.get("filename")) {
            sent = sent.with(&format!("{UNDER}{}.filename", field.name), plain(name));
        }
    }
    sent
}

/// Once more what was filled in and what is wrong with it, and besides that files have to be chosen again: no page can put them back.
pub(super) fn refused(document: &Document, sent: Fields, error: &Error) -> Form {
    let files = document.fields.iter().filter(|field| field.kind == FieldType::File);
    let lost = files.map(|field| format!("{UNDER}{}", field.name)).filter(|path| sent.file(path).is_some());
    let is_said = |path: &String| error.fields.iter().any(|one| one.field.starts_with(path.as_str()));
    // Where nothing is said at fields, what is said of the whole would be lost.
    let again = lost.filter(|path| !error.fields.is_empty() && !is_said(path)).map(|path| {
        let why = "Choose the file again: nothing was sent in yet, and a page cannot keep a file.";
        FieldError::new(path, "required", why)
    });
    let again: Vec<FieldError> = again.collect();
    Form::refused(sent, error).with(again)
}

#[cfg(test)]
mod tests {
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
    fn a_choice_that_has_left_its_list_is_offered_where_a_record_has_it() {
        let document = document();
        let data = json!({"kind": "gone\"<", "tags": ["x", "old"]});
        let data = data.as_object().unwrap();
        let form = Form::new(fields_of(&document, data));
        let html = Sheet::of_record(&document, data).filled(&form).render().unwrap();
        assert!(
            html.contains(r#"<option value="gone&#34;&#60;" selected>gone&#34;&#60; (no longer offered)"#),
            "{html}"
        );
        assert!(html.contains(r#"value="old" checked><span>old (no longer offered)"#), "{html}");
        assert!(!Sheet::of(&document).filled(&form).render().unwrap().contains("no longer offered"));
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
