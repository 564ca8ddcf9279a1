//! Forms of an application: what is asked, and how it looks.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::form::{Access, FieldType, Form as Document, FormField};
use jackfield_core::{Result, Timestamp};
use jackfield_engine::automate::components::BuiltView;
use jackfield_engine::{Engine, Page};
use serde_json::json;

use super::applications::{Head, next};
use super::built::{self, Words, text_of};
use super::common::{People, asked_page};
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form};
use super::parts;
use super::sheet::{Sheet, condition_words, defaults_of, shown};

const WORDS: Words = Words {
    tab: "forms",
    one: "form",
    lead: "What is asked, field by field. Development serves it as soon as it is saved; stage and production when you publish.",
    ends: &[
        "Nobody can send in records of it in development any more.",
        "Records that were sent in stay where they are, and are shown again if a form of the same link name is made.",
        "A form on which a workflow runs, or that stage or production serves, is not deleted.",
    ],
};

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/forms", get(list))
        .route("/console/applications/{link}/forms/new-form", get(ask_new).post(create))
        .route("/console/applications/{link}/forms/{form}", get(show))
        .route("/console/applications/{link}/forms/{form}/edit", get(edit).post(update))
        .route("/console/applications/{link}/forms/{form}/delete", get(ask_delete).post(delete))
}

#[derive(Template)]
#[template(path = "console/forms.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    page: Page<BuiltView<Document>>,
    next: Option<String>,
}

async fn list(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = async {
        let head = Head::read(&engine, &desk, &link, "forms").await?;
        let page = engine.list_built::<Document>(&desk.op, &link, &asked_page(&desk)).await?;
        let next = next(&desk, &head.path("forms"), &page);
        Ok(List { frame: &desk.frame, now: desk.op.now, head, page, next })
    };
    desk.show(page.await)
}

/// A field as a table tells of it.
struct Asked {
    title: String,
    name: String,
    kind: &'static str,
    /// `Required, unique`
    must: String,
    limits: String,
}

#[derive(Template)]
#[template(path = "console/form.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    built: BuiltView<Document>,
    by: String,
    fields: Vec<Asked>,
    sheet: Sheet,
    preview: Form,
    submit: String,
}

async fn show(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = read(&engine, &desk, &link, &form).await;
    desk.show(page)
}

async fn read<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: &str) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "forms").await?;
    let built = engine.read_built::<Document>(&desk.op, link, form).await?;
    let people = People::of(engine, desk).await?;
    let document = &built.definition;
    let asked = |field: &FormField| Asked {
        title: field.title().to_owned(),
        name: field.name.clone(),
        kind: kind_word(field.kind),
        must: match (field.required, field.unique) {
            (true, true) => "Required, unique",
            (true, false) => "Required",
            (false, true) => "Unique",
            (false, false) => "",
        }
        .to_owned(),
        limits: limits(document, field),
    };
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        head,
        by: people.name(&built.created_by).to_owned(),
        fields: document.fields.iter().map(asked).collect(),
        sheet: Sheet::of(document),
        preview: Form::new(defaults_of(document)),
        submit: document.submit_label.clone().unwrap_or_else(|| "Send in".to_owned()),
        built,
    })
}

fn kind_word(kind: FieldType) -> &'static str {
    match kind {
        FieldType::SingleLine => "Line of text",
        FieldType::MultiLine => "Text",
        FieldType::Number => "Whole number",
        FieldType::Decimal => "Decimal",
        FieldType::Currency => "Amount",
        FieldType::Email => "E-mail address",
        FieldType::Phone => "Telephone number",
        FieldType::Url => "Link",
        FieldType::Date => "Day",
        FieldType::DateTime => "Moment",
        FieldType::Time => "Time of day",
        FieldType::Dropdown | FieldType::Radio => "One choice",
        FieldType::MultiSelect => "Any number of choices",
        FieldType::Checkbox => "Yes or no",
        FieldType::File => "File",
        FieldType::Name => "Name of a person",
        FieldType::Address => "Postal address",
    }
}

/// Choices that a table names; of more it says how many there are.
const CHOICES: usize = 6;

/// What a value must be like, in words.
fn limits(document: &Document, field: &FormField) -> String {
    let mut said = Vec::new();
    match (&field.min, &field.max) {
        (Some(min), Some(max)) => {
            said.push(format!("from {} to {}", shown(field, Some(min)), shown(field, Some(max))));
        }
        (Some(min), None) => said.push(format!("at least {}", shown(field, Some(min)))),
        (None, Some(max)) => said.push(format!("at most {}", shown(field, Some(max)))),
        (None, None) => {}
    }
    match (field.min_length, field.max_length) {
        (Some(min), Some(max)) => said.push(format!("{min} to {max} characters")),
        (Some(min), None) => said.push(format!("at least {min} characters")),
        (None, Some(max)) => said.push(format!("at most {max} characters")),
        (None, None) => {}
    }
    if let Some(pattern) = &field.pattern {
        said.push(format!("like {pattern}"));
    }
    if matches!(field.kind, FieldType::Decimal | FieldType::Currency) {
        let places = usize::from(field.places());
        said.push(parts::count(places, "decimal place", "decimal places"));
    }
    if let Some(currency) = &field.currency {
        said.push(format!("in {currency}"));
    }
    if field.choices.len() > CHOICES {
        said.push(format!("one of {}", field.choices.len()));
    } else if !field.choices.is_empty() {
        let choices = field.choices.iter().map(|one| one.label.as_deref().unwrap_or(&one.value));
        said.push(choices.collect::<Vec<_>>().join(", "));
    }
    if let Some(default) = &field.default {
        said.push(format!("{} unless told", shown(field, Some(default))));
    }
    if let Some(condition) = &field.visible_if {
        said.push(format!("only if {}", condition_words(document, condition)));
    }
    parts::title(&said.join("; "))
}

/// What a new form begins with.
fn example() -> Fields {
    let document: Option<Document> = serde_json::from_value(json!({"fields": [
        {"name": "vendor_name", "label": "Vendor name", "required": true, "unique": true},
        {"name": "email", "label": "E-mail address", "type": "email"},
        {"name": "kind", "label": "Kind", "type": "dropdown", "choices": [{"value": "company", "label": "Company"}, {"value": "person", "label": "Person"}]},
        {"name": "note", "label": "Anything else", "type": "multi_line"},
    ]}))
    .ok();
    Fields::default().with("definition", document.as_ref().map(text_of).unwrap_or_default())
}

async fn ask_new(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = built::ask_new(&engine, &desk, &link, &WORDS, Form::new(example())).await;
    desk.show(page)
}

async fn create(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    built::create::<Document>(&engine, sent, &link, &WORDS).await
}

async fn edit(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = built::edit::<Document>(&engine, &desk, &link, &form, &WORDS, None).await;
    desk.show(page)
}

async fn update(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    built::update::<Document>(&engine, sent, &link, &form, &WORDS).await
}

async fn ask_delete(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = built::ask_delete::<Document>(&engine, &desk, &link, &form, &WORDS, Form::default()).await;
    desk.show(page)
}

async fn delete(
    State(engine): State<Engine>,
    Path((link, form)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    built::delete::<Document>(&engine, sent, &link, &form, &WORDS).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_in_words() {
        let document: Document = serde_json::from_value(json!({"fields": [
            {"name": "title", "min_length": 2, "max_length": 20},
            {"name": "count", "type": "number", "min": 1, "max": 9},
            {"name": "price", "type": "currency", "currency": "JPY", "min": "1"},
            {"name": "kind", "type": "radio", "choices": [{"value": "a", "label": "A"}, {"value": "b"}], "default": "a"},
            {"name": "more", "visible_if": {"field": "kind", "is": ["a"]}},
            {"name": "free"},
        ]}))
        .unwrap();
        let said: Vec<String> = document.fields.iter().map(|field| limits(&document, field)).collect();
        let expected = [
            "2 to 20 characters",
            "From 1 to 9",
            "At least 1 JPY; 0 decimal places; in JPY",
            "A, b; A unless told",
            "Only if kind is A",
            "",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn the_example_is_a_form() {
        let document: Document = serde_json::from_str(example().get("definition")).unwrap();
        document.check().unwrap();
    }
}
