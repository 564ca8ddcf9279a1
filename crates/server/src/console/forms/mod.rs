//! Forms of an application: what is asked, and how it looks. A form is built field by field ([`builder`]); its document can be written, too.

mod builder;
pub(super) mod field;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::form::{FieldType, Form as Document, FormField};
use jackfield_core::{Error, FieldError, Result, Timestamp};
use jackfield_engine::automate::components::{BuiltView, NewComponent};
use jackfield_engine::{Engine, Page};
use serde_json::json;

use self::field::free_name;
use super::applications::{Head, next, path};
use super::built::{self, Words, forbidden, text_of};
use super::common::{asked_page, mends};
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form};
use super::parts;
use super::sheet::{condition_words, shown};

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
        .route("/console/applications/{link}/forms/new-document", get(write_new).post(create_written))
        .route("/console/applications/{link}/forms/{form}", get(builder::show))
        .route(
            "/console/applications/{link}/forms/{form}/settings",
            get(builder::ask_settings).post(builder::set),
        )
        .route(
            "/console/applications/{link}/forms/{form}/fields/new-field",
            get(builder::ask_field).post(builder::add),
        )
        .route(
            "/console/applications/{link}/forms/{form}/fields/{field}",
            get(builder::edit_field).post(builder::change),
        )
        .route("/console/applications/{link}/forms/{form}/fields/{field}/move", post(builder::shift))
        .route(
            "/console/applications/{link}/forms/{form}/fields/{field}/remove",
            get(builder::ask_remove).post(builder::remove),
        )
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

/// What people often ask for, to begin with: word, label, type.
const SUGGESTED: [(&str, &str, FieldType); 8] = [
    ("name", "Name", FieldType::Name),
    ("company", "Company", FieldType::SingleLine),
    ("email", "E-mail address", FieldType::Email),
    ("phone", "Telephone number", FieldType::Phone),
    ("address", "Address", FieldType::Address),
    ("day", "Date", FieldType::Date),
    ("amount", "Amount", FieldType::Decimal),
    ("message", "Message", FieldType::MultiLine),
];

#[derive(Template)]
#[template(path = "console/form_new.html")]
struct New<'a> {
    frame: &'a Frame,
    head: Head,
    form: Form,
}

impl New<'_> {
    fn suggested(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        SUGGESTED.iter().map(|(word, label, kind)| (*word, *label, field::kind_word(kind))).collect()
    }

    fn others(&self) -> Vec<String> {
        self.form.other_errors(&["name", "link_name", "first"])
    }
}

async fn find_new<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<New<'a>> {
    let head = Head::read(engine, desk, link, "forms").await?;
    if !desk.frame.sees_all() {
        return Err(forbidden());
    }
    Ok(New { frame: &desk.frame, head, form })
}

async fn ask_new(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_new(&engine, &desk, &link, Form::default()).await;
    desk.show(page)
}

/// The first document of a form: what is to be asked first, and what is ticked.
fn begun(sent: &Fields) -> Result<Document> {
    let mut document = Document::default();
    let ticked = SUGGESTED.iter().filter(|(word, _, _)| sent.all("with").any(|found| found == *word));
    let first = sent.given("first").map(|label| (label, FieldType::SingleLine));
    for (label, kind) in first.into_iter().chain(ticked.map(|(_, label, kind)| ((*label).to_owned(), *kind)))
    {
        let name = free_name(&document, &label);
        document.fields.push(FormField { name, label: Some(label), kind, ..FormField::default() });
    }
    if document.fields.is_empty() {
        return Err(Error::field("first", "required", "Say what is asked first, or tick something below."));
    }
    Ok(document)
}

async fn create(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let made = async {
        let name = form.get("name").trim().to_owned();
        let definition = begun(&form)?;
        let new = NewComponent { name, link_name: form.given("link_name"), definition };
        engine.create_built(&desk.op, &link, new).await
    };
    match made.await {
        Ok(made) => {
            let news = format!("{} is made. Development serves it.", made.name);
            desk.done(&path(&link, &format!("forms/{}", made.link_name)), &news)
        }
        Err(mut error) if mends(&error) => {
            let place = |wrong: FieldError| match wrong.field.as_str() {
                "definition.fields.0.label" | "definition.fields.0.name" => {
                    FieldError { field: "first".to_owned(), ..wrong }
                }
                _ => wrong,
            };
            error.fields = error.fields.into_iter().map(place).collect();
            let page = find_new(&engine, &desk, &link, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// What a new document begins with.
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

async fn write_new(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = built::ask_new(&engine, &desk, &link, &WORDS, Form::new(example())).await;
    desk.show(page)
}

async fn create_written(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
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
    fn a_form_begins_with_what_is_named_and_ticked() {
        let sent = Fields::default().with("first", "Name").with("with", "email").with("with", "name");
        let document = begun(&sent).unwrap();
        document.check().unwrap();
        let fields: Vec<(&str, FieldType)> =
            document.fields.iter().map(|field| (field.name.as_str(), field.kind)).collect();
        let expected = [
            ("name", FieldType::SingleLine),
            ("name_2", FieldType::Name),
            ("e_mail_address", FieldType::Email),
        ];
        assert_eq!(fields, expected);
        assert_eq!(begun(&Fields::default()).unwrap_err().fields[0].field, "first");
    }

    #[test]
    fn the_example_is_a_form() {
        let document: Document = serde_json::from_str(example().get("definition")).unwrap();
        document.check().unwrap();
    }
}
