//! Forms on pages of their own: for members (`/console/fill/…`), and for everybody who has the link where a form is public (`/f/…`). They
//! work without a script; with one, fields appear and go as answers before them say.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use jackfield_core::form::{FieldType, FormField};
use jackfield_core::{Code, Environment, Error, Result};
use jackfield_engine::Engine;
use jackfield_engine::automate::hosted::HostedForm;
use serde_json::Value;

use super::connect::framed;
use super::desk::{Desk, Sent, html, see_other, theme};
use super::door::form_of_a_stranger;
use super::form::{Field, Fields, Form, encoded, id_of};
use super::sheet::part_word;
use crate::input;
use crate::pages::trouble;

/// A field that people do not see and programs fill in.
const TRAP: &str = "contact_by_fax";

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/f/{organization}/{application}/{form}", get(show).post(take))
        .route("/console/fill/{application}/{form}", get(show_member).post(take_member))
}

/// How a field is asked.
enum Input<'a> {
    Plain(Field<'a>),
    /// one of several, or any number of them: value, words, whether it is chosen
    Choices {
        many: bool,
        items: Vec<(&'a str, &'a str, bool)>,
    },
    Tick(bool),
    Parts(Vec<Field<'a>>),
}

/// One question.
struct Row<'a> {
    name: &'a str,
    label: &'a str,
    help: &'a str,
    error: &'a str,
    optional: bool,
    /// when it is asked, for the script; empty: always
    when: String,
    input: Input<'a>,
}

impl Row<'_> {
    fn id(&self) -> String {
        id_of(self.name)
    }
}

#[derive(Template)]
#[template(path = "forms/form.html")]
struct Page<'a> {
    hosted: &'a HostedForm,
    theme: &'static str,
    rows: Vec<Row<'a>>,
    form: &'a Form,
    /// of who is signed in; empty on a public page
    token: &'a str,
    once: String,
    /// where nothing that counts is asked
    trial: Option<Environment>,
    other: Vec<String>,
    sent: bool,
}

impl Page<'_> {
    fn name(&self) -> &str {
        self.hosted.brand.name.as_deref().unwrap_or(&self.hosted.organization)
    }

    fn colours(&self) -> Option<String> {
        let colour = self.hosted.brand.colour.as_deref()?.strip_prefix('#')?;
        Some(format!("/assets/brand/{colour}.css"))
    }

    fn button(&self) -> &str {
        self.hosted.form.submit_label.as_deref().unwrap_or("Send")
    }

    fn thanks(&self) -> &str {
        self.hosted.form.thanks.as_deref().unwrap_or("Thank you. It is here.")
    }
}

/// The names of the inputs, in the order of the form. A name or an address is asked in parts.
struct Names(Vec<(String, Vec<String>)>);

fn names_of(hosted: &HostedForm) -> Names {
    let of = |field: &FormField| {
        let name = format!("data.{}", field.name);
        let parts = field.kind.parts().iter().map(|part| format!("{name}.{part}")).collect();
        (name, parts)
    };
    Names(hosted.form.fields.iter().map(of).collect())
}

/// What stands in the fields before anybody has typed.
fn defaults(hosted: &HostedForm) -> Fields {
    let mut fields = Fields::default();
    for field in &hosted.form.fields {
        let name = format!("data.{}", field.name);
        match &field.default {
            Some(Value::String(text)) => fields = fields.with(&name, text.as_str()),
            Some(Value::Bool(true)) => fields = fields.with(&name, "true"),
            Some(Value::Number(number)) => fields = fields.with(&name, number.to_string()),
            Some(Value::Array(items)) => {
                for item in items.iter().filter_map(Value::as_str) {
                    fields = fields.with(&name, item);
                }
            }
            _ => {}
        }
    }
    fields
}

fn autocomplete_of(part: &str) -> &'static str {
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

fn row<'a>(field: &'a FormField, name: &'a str, parts: &'a [String], form: &'a Form) -> Row<'a> {
    let label = field.title();
    // What a browser sends of a moment has no offset, and is taken so.
    let moment = if field.kind == FieldType::DateTime { "In UTC." } else { "" };
    let help = field.help.as_deref().unwrap_or(moment);
    let plain = |kind: &'static str| {
        let plain = form.text(name, label).kind(kind).help(help);
        Input::Plain(if field.required { plain } else { plain.optional() })
    };
    let choices = || {
        field
            .choices
            .iter()
            .map(|choice| (choice.value.as_str(), choice.label.as_deref().unwrap_or(&choice.value)))
    };
    let input = match field.kind {
        FieldType::MultiLine => {
            let area = form.area(name, label, 5).help(help);
            Input::Plain(if field.required { area } else { area.optional() })
        }
        FieldType::Number
        | FieldType::Decimal
        | FieldType::Currency
        | FieldType::SingleLine
        | FieldType::File => plain("text"),
        FieldType::Email => plain("email"),
        FieldType::Phone => plain("tel"),
        FieldType::Url => plain("url"),
        FieldType::Date => plain("date"),
        FieldType::DateTime => plain("datetime-local"),
        FieldType::Time => plain("time"),
        FieldType::Dropdown => {
            let all: Vec<(&str, &str)> = std::iter::once(("", "")).chain(choices()).collect();
            let select = form.select(name, label, &all).help(help);
            Input::Plain(if field.required { select } else { select.optional() })
        }
        FieldType::Radio | FieldType::MultiSelect => Input::Choices {
            many: field.kind == FieldType::MultiSelect,
            items: choices().map(|(value, words)| (value, words, form.ticked(name, value))).collect(),
        },
        FieldType::Checkbox => Input::Tick(form.ticked(name, "true")),
        FieldType::Name | FieldType::Address => {
            let needed = |part: &str| ["first", "last", "line_1", "city"].contains(&part);
            let fields = field.kind.parts().iter().zip(parts).map(|(part, name)| {
                let text = form.text(name, part_word(part)).autocomplete(autocomplete_of(part));
                if field.required && needed(part) { text } else { text.optional() }
            });
            Input::Parts(fields.collect())
        }
    };
    Row {
        name,
        label,
        help,
        error: form.error(name),
        optional: !field.required,
        when: field.visible_if.as_ref().and_then(|one| serde_json::to_string(one).ok()).unwrap_or_default(),
        input,
    }
}

/// Who looks at the page.
struct Reader<'a> {
    theme: &'static str,
    token: &'a str,
    environment: Environment,
}

fn page(
    engine: &Engine,
    status: StatusCode,
    hosted: &HostedForm,
    form: &Form,
    sent: bool,
    reader: &Reader<'_>,
) -> Response {
    let names = names_of(hosted);
    let rows: Vec<Row<'_>> = hosted
        .form
        .fields
        .iter()
        .zip(&names.0)
        .map(|(field, (name, parts))| row(field, name, parts, form))
        .collect();
    let shown: Vec<&str> = names
        .0
        .iter()
        .flat_map(|(name, parts)| std::iter::once(name).chain(parts))
        .map(String::as_str)
        .collect();
    let page = Page {
        hosted,
        theme: reader.theme,
        rows,
        form,
        token: reader.token,
        once: match form.value("once") {
            "" => engine.page_mark(),
            once => once.to_owned(),
        },
        trial: Some(reader.environment).filter(|one| *one != Environment::Production),
        other: form.other_errors(&shown),
        sent,
    };
    let origins: &[String] = if reader.token.is_empty() { &hosted.form.embed_origins } else { &[] };
    framed(html(status, &page), origins)
}

/// What was typed, as the form takes it.
fn input_of(hosted: &HostedForm, fields: &Fields) -> serde_json::Map<String, Value> {
    let pairs: Vec<(String, String)> =
        fields.under("data.").map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    hosted.form.from_strings(&pairs)
}

fn refused(
    engine: &Engine,
    hosted: &HostedForm,
    fields: Fields,
    error: &Error,
    reader: &Reader<'_>,
) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    let mut response = page(engine, status, hosted, &Form::refused(fields, error), false, reader);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

type Link = Path<(String, String, String)>;

async fn show(
    State(engine): State<Engine>,
    Path((organization, application, form)): Link,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let hosted = match engine.public_form(&organization, &application, &form).await {
        Ok(hosted) => hosted,
        Err(error) => return trouble(&error, input::request_id(&parts)),
    };
    let sent = Fields::parse(parts.uri.query().unwrap_or("").as_bytes()).has("sent");
    let reader = Reader { theme: theme(&parts.headers), token: "", environment: Environment::Production };
    page(&engine, StatusCode::OK, &hosted, &Form::new(defaults(&hosted)), sent, &reader)
}

async fn take(
    State(engine): State<Engine>,
    Path((organization, application, form)): Link,
    request: Request,
) -> Response {
    let (parts, visit, fields) = form_of_a_stranger(&engine, request, false).await;
    let taken = async {
        let fields = fields?;
        let hosted = engine.public_form(&organization, &application, &form).await?;
        Ok::<_, Error>((fields, hosted))
    };
    let (fields, hosted) = match taken.await {
        Ok(found) => found,
        Err(error) => return trouble(&error, visit.request_id),
    };
    let there = format!("/f/{organization}/{}/{}?sent", encoded(&application), encoded(&form));
    if !fields.get(TRAP).is_empty() {
        // A program; it is not told.
        return see_other(&there);
    }
    let input = input_of(&hosted, &fields);
    let once = fields.get("once").to_owned();
    match engine.submit_publicly(&visit, &organization, &application, &form, &once, &input).await {
        Ok(pay) => see_other(pay.as_deref().unwrap_or(&there)),
        Err(error) if error.code.status() >= 500 || error.code == Code::NotFound => {
            trouble(&error, visit.request_id)
        }
        Err(error) => {
            let reader =
                Reader { theme: theme(&parts.headers), token: "", environment: Environment::Production };
            refused(&engine, &hosted, fields, &error, &reader)
        }
    }
}

/// In which environment a member sends it in: he says so, else where his console is.
fn environment_of(desk: &Desk) -> Environment {
    Environment::parse(desk.query.get("environment")).unwrap_or(desk.frame.environment)
}

async fn show_member(
    State(engine): State<Engine>,
    Path((application, form)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let environment = environment_of(&desk);
    match engine.member_form(&desk.op, &application, &form, environment).await {
        Ok(hosted) => {
            let sent = desk.query.has("sent");
            let reader = Reader { theme: desk.frame.theme, token: &desk.frame.token, environment };
            page(&engine, StatusCode::OK, &hosted, &Form::new(defaults(&hosted)), sent, &reader)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn take_member(
    State(engine): State<Engine>,
    Path((application, form)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form: fields } = sent;
    let environment = environment_of(&desk);
    let outcome: Result<(HostedForm, Result<Option<String>>)> = async {
        let hosted = engine.member_form(&desk.op, &application, &form, environment).await?;
        let input = input_of(&hosted, &fields);
        let once = fields.get("once");
        let sent = engine.submit_as_member(&desk.op, &application, &form, environment, once, &input).await;
        Ok((hosted, sent))
    }
    .await;
    match outcome {
        Err(error) => desk.trouble(&error),
        Ok((_, Ok(Some(pay)))) => see_other(&pay),
        Ok((_, Ok(None))) => see_other(&format!(
            "/console/fill/{}/{}?environment={environment}&sent",
            encoded(&application),
            encoded(&form)
        )),
        Ok((_, Err(error))) if error.code.status() >= 500 => desk.trouble(&error),
        Ok((hosted, Err(error))) => {
            let reader = Reader { theme: desk.frame.theme, token: &desk.frame.token, environment };
            refused(&engine, &hosted, fields, &error, &reader)
        }
    }
}
