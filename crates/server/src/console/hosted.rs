//! Forms on pages of their own: for members (`/console/fill/…`), and for everybody who has the link where a form is public (`/f/…`). They
//! work without a script; with one, fields appear and go as answers before them say.

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use jackfield_core::form::Form as Document;
use jackfield_core::{Brand, Code, Environment, Error, Result};
use jackfield_engine::Engine;
use jackfield_engine::automate::hosted::HostedForm;

use super::connect::framed;
use super::desk::{Desk, Sent, SentRecord, html, see_other, theme};
use super::door::form_of_a_stranger;
use super::form::{Fields, Form, encoded};
use super::sheet::{self, Sheet, data_of, defaults_of};
use crate::input;
use crate::pages::trouble;

/// A field that people do not see and programs fill in.
const TRAP: &str = "contact_by_fax";

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/f/{organization}/{application}/{form}", get(show).post(take))
        .route("/console/fill/{application}/{form}", get(show_member).post(take_member))
}

/// What stands above the fields of a form. The builder's preview shows the same.
#[derive(Template)]
#[template(path = "forms/face.html")]
pub(super) struct Face<'a> {
    pub name: &'a str,
    pub document: &'a Document,
    /// within another page, whose heading it is not
    pub preview: bool,
}

impl HtmlSafe for Face<'_> {}

/// The stylesheet of an organization's colour.
pub(super) fn colours_of(brand: &Brand) -> Option<String> {
    let colour = brand.colour.as_deref()?.strip_prefix('#')?;
    Some(format!("/assets/brand/{colour}.css"))
}

/// What stands on the button, unless the form says something else.
pub(super) fn button_of(document: &Document) -> &str {
    document.submit_label.as_deref().unwrap_or("Send")
}

#[derive(Template)]
#[template(path = "forms/form.html")]
struct Page<'a> {
    hosted: &'a HostedForm,
    theme: &'static str,
    sheet: &'a Sheet,
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
        colours_of(&self.hosted.brand)
    }

    fn face(&self) -> Face<'_> {
        Face { name: &self.hosted.name, document: &self.hosted.form, preview: false }
    }

    fn button(&self) -> &str {
        button_of(&self.hosted.form)
    }

    fn thanks(&self) -> &str {
        self.hosted.form.thanks.as_deref().unwrap_or("Thank you. It is here.")
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
    let sheet = Sheet::of(&hosted.form);
    let page = Page {
        hosted,
        theme: reader.theme,
        sheet: &sheet,
        form,
        token: reader.token,
        once: match form.value("once") {
            "" => engine.page_mark(),
            once => once.to_owned(),
        },
        trial: Some(reader.environment).filter(|one| *one != Environment::Production),
        other: form.other_errors(&sheet.paths()),
        sent,
    };
    let origins: &[String] = if reader.token.is_empty() { &hosted.form.embed_origins } else { &[] };
    framed(html(status, &page), origins)
}

fn refused(
    engine: &Engine,
    hosted: &HostedForm,
    fields: Fields,
    error: &Error,
    reader: &Reader<'_>,
) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    let form = sheet::refused(&hosted.form, fields, error);
    let mut response = page(engine, status, hosted, &form, false, reader);
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
    page(&engine, StatusCode::OK, &hosted, &Form::new(defaults_of(&hosted.form)), sent, &reader)
}

async fn take(
    State(engine): State<Engine>,
    Path((organization, application, form)): Link,
    request: Request,
) -> Response {
    // Which form it is says how much may be sent.
    let hosted = match engine.public_form(&organization, &application, &form).await {
        Ok(hosted) => hosted,
        Err(error) => {
            let (parts, _) = request.into_parts();
            return trouble(&error, input::request_id(&parts));
        }
    };
    let mut request = request;
    if Sheet::of(&hosted.form).has_files() {
        // Before so much is read.
        let (parts, body) = request.into_parts();
        let visit = input::visit(&parts);
        if let Err(error) = engine.may_submit(&visit, &hosted) {
            return trouble(&error, visit.request_id);
        }
        request = Request::from_parts(parts, body);
    }
    take_from(&engine, hosted, request, &there(&organization, &application, &form)).await
}

/// Where whoever has sent a public form is thanked.
fn there(organization: &str, application: &str, form: &str) -> String {
    format!("/f/{organization}/{}/{}?sent", encoded(application), encoded(form))
}

async fn take_from(engine: &Engine, hosted: HostedForm, request: Request, there: &str) -> Response {
    let limit = engine.record_limit(&hosted.form);
    let (parts, visit, fields) = form_of_a_stranger(engine, request, false, limit).await;
    let fields = match fields {
        Ok(fields) => fields,
        Err(error) => return trouble(&error, visit.request_id),
    };
    if !fields.get(TRAP).is_empty() {
        // A program; it is not told.
        return see_other(there);
    }
    let input = data_of(&hosted.form, &fields);
    match engine.submit_publicly(&visit, &hosted, fields.get("once"), input).await {
        Ok(pay) => see_other(pay.as_deref().unwrap_or(there)),
        Err(error) if error.code.status() >= 500 || error.code == Code::NotFound => {
            trouble(&error, visit.request_id)
        }
        Err(error) => {
            let reader =
                Reader { theme: theme(&parts.headers), token: "", environment: Environment::Production };
            refused(engine, &hosted, fields, &error, &reader)
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
            page(&engine, StatusCode::OK, &hosted, &Form::new(defaults_of(&hosted.form)), sent, &reader)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn take_member(
    State(engine): State<Engine>,
    Path((application, form)): Path<(String, String)>,
    SentRecord(Sent { desk, form: fields }): SentRecord,
) -> Response {
    let environment = environment_of(&desk);
    let outcome: Result<(HostedForm, Result<Option<String>>)> = async {
        let hosted = engine.member_form(&desk.op, &application, &form, environment).await?;
        let input = data_of(&hosted.form, &fields);
        let sent = engine.submit_as_member(&desk.op, &hosted, fields.get("once"), input).await;
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
