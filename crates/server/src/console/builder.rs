//! The builder of custom connectors: a form for what most services need, and the document for the rest.
//!
//! Form and document are two views of one thing, which travels with the form; [`draft`](super::draft) turns one into the other.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Action, Code, Error, Result};
use jackfield_engine::Engine;
use serde_json::Value;

use super::connectors::document;
use super::desk::{Desk, Frame, Sent};
use super::draft::{self, KEYS, PARAMETERS};
use super::form::{Fields, Form, encoded, id_of};
use super::parts;

const NEW: &str = "/console/connectors/new";

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route(NEW, get(new).post(create))
        .route("/console/connectors/{link}/edit", get(edit).post(update))
}

/// The names of one row's fields.
struct Row {
    /// from one, for people
    number: usize,
    /// `parameters.0`
    at: String,
    from: String,
    label: String,
    name: String,
    help: String,
    place: String,
    wire: String,
    secret: String,
    required: String,
    /// what the button that takes it out sends
    what: String,
}

fn rows(fields: &Fields, list: &'static str) -> Vec<Row> {
    let row = |n: usize| {
        let at = |name: &str| format!("{list}.{n}.{name}");
        let label = fields.given(&at("label")).or_else(|| fields.given(&at("name")));
        Row {
            number: n + 1,
            at: format!("{list}.{n}"),
            from: at("from"),
            label: at("label"),
            name: at("name"),
            help: at("help"),
            place: at("in"),
            wire: at("as"),
            secret: at("secret"),
            required: at("required"),
            what: label.unwrap_or_else(|| format!("row {}", n + 1)),
        }
    };
    (0..draft::rows(fields, list)).map(row).collect()
}

/// What is being built.
struct Site {
    /// of an existing one
    link: Option<String>,
    name: String,
    version: String,
    /// the built-in connector it began with
    copied: bool,
}

#[derive(Template)]
#[template(path = "console/builder.html")]
struct Builder<'a> {
    frame: &'a Frame,
    site: Site,
    action: String,
    form: Form,
    /// as the form began: what it does not know is kept from here
    base: String,
    parameters: Vec<Row>,
    keys: Vec<Row>,
    /// the document as a text, where that is shown
    text: bool,
    /// errors that no field shows
    others: Vec<String>,
    /// fields that are wrong: where each is on the page, and its name
    faults: Vec<(String, String)>,
    delimiters: Vec<(String, String)>,
    redirect: String,
}

impl Builder<'_> {
    fn delimiters(&self) -> Vec<(&str, &str)> {
        self.delimiters.iter().map(|(value, words)| (value.as_str(), words.as_str())).collect()
    }
}

fn delimiters(fields: &Fields) -> Vec<(String, String)> {
    let present = fields.get("auth.scope_delimiter");
    let mut all = vec![
        (String::new(), "As usual for the type".to_owned()),
        (" ".to_owned(), "A blank".to_owned()),
        (",".to_owned(), "A comma".to_owned()),
    ];
    if !all.iter().any(|(value, _)| value == present) {
        all.push((present.to_owned(), present.to_owned()));
    }
    all
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

/// The page of a form; `error` is what was wrong when it was sent.
fn page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    site: Site,
    base: &Value,
    fields: Fields,
    error: Option<Error>,
) -> Builder<'a> {
    let text = fields.has("text");
    let (mut others, mut faults) = (Vec::new(), Vec::new());
    let (parameters, keys) = (rows(&fields, PARAMETERS), rows(&fields, KEYS));
    let delimiters = delimiters(&fields);
    let form = match error {
        None => Form::new(fields),
        Some(mut error) => {
            let shown = if text { vec!["text".to_owned()] } else { draft::names(&fields) };
            if !text {
                error.fields = draft::landed(error.fields);
            }
            let form = Form::refused(fields, &error);
            let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
            others = form.other_errors(&shown);
            let wrong = shown.iter().filter(|name| !form.error(name).is_empty());
            // Who may authorize is several boxes: the way leads to where they stand.
            let place = |name: &str| if name == "levels" { "general".to_owned() } else { id_of(name) };
            faults = wrong.map(|name| (place(name), (*name).to_owned())).collect();
            form
        }
    };
    let action = match &site.link {
        Some(link) => format!("/console/connectors/{}/edit", encoded(link)),
        None => NEW.to_owned(),
    };
    Builder {
        frame: &desk.frame,
        site,
        action,
        form,
        base: base.to_string(),
        parameters,
        keys,
        text,
        others,
        faults,
        delimiters,
        redirect: format!("{}/oauth/callback", engine.settings().public_url),
    }
}

/// What a new one begins with: nothing, or another one, as it is worked on or as a version of it was published.
async fn begin(engine: &Engine, desk: &Desk) -> Result<(Site, Value)> {
    desk.may(Action::Manage, &desk.connectors())?;
    let mut site =
        Site { link: None, name: "New connector".to_owned(), version: String::new(), copied: false };
    let Some(from) = desk.query.given("from") else { return Ok((site, draft::blank())) };
    let mut base = match desk.query.given("version") {
        None => document(&engine.read_connector(&desk.op, &from).await?),
        Some(version) => {
            let number = version.parse().map_err(|_| {
                Error::new(Code::InvalidRequest, "version: say the number of a published version.")
            })?;
            engine.read_version(&desk.op, &from, number).await?.document
        }
    };
    if let Some(members) = base.as_object_mut() {
        // Who checked that one did not check this one.
        for name in ["link_name", "verified", "sources", "notes"] {
            members.remove(name);
        }
        if let Some(Value::Array(levels)) = members.get_mut("levels") {
            levels.retain(|level| level != "system");
        }
    }
    site.copied = true;
    Ok((site, base))
}

async fn new(State(engine): State<Engine>, desk: Desk) -> Response {
    let found = begin(&engine, &desk).await;
    desk.show(found.map(|(site, base)| page(&engine, &desk, site, &base, draft::shown(&base), None)))
}

async fn site_of(engine: &Engine, desk: &Desk, link: &str) -> Result<(Site, Value)> {
    desk.may(Action::Manage, &desk.connectors())?;
    let view = engine.read_connector(&desk.op, link).await?;
    let Some(version) = view.version else {
        return Err(Error::new(
            Code::Forbidden,
            "A built-in connector cannot be changed. Make your own from it.",
        ));
    };
    let site = Site {
        link: Some(link.to_owned()),
        name: view.card.name.clone(),
        version: version.to_string(),
        copied: false,
    };
    Ok((site, document(&view)))
}

async fn edit(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let found = site_of(&engine, &desk, &link).await;
    desk.show(found.map(|(site, base)| page(&engine, &desk, site, &base, draft::shown(&base), None)))
}

/// What a button of the form asks for.
enum Step {
    Show(Fields, Value),
    Wrong(Error),
    Save(Value),
}

/// The document that was typed, or where it cannot be read.
fn typed(text: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        Error::field(
            "text",
            "invalid_json",
            format!("Line {}, column {}: this is no JSON.", error.line(), error.column()),
        )
    })?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Error::field("text", "wrong_type", "A document is a JSON object: { … }"))
    }
}

fn step(form: &Fields, base: &Value) -> Step {
    let text = form.has("text");
    if text {
        return match (typed(form.get("text")), form.get("show")) {
            (Err(error), _) => Step::Wrong(error),
            (Ok(document), "form") => Step::Show(draft::shown(&document), document),
            (Ok(document), _) => Step::Save(document),
        };
    }
    if let Some(list) = [PARAMETERS, KEYS].into_iter().find(|list| form.get("add") == *list) {
        return Step::Show(draft::with_row(form, list), base.clone());
    }
    if let Some((list, n)) = form.get("remove").rsplit_once('.')
        && let (Some(list), Ok(n)) = ([PARAMETERS, KEYS].into_iter().find(|known| *known == list), n.parse())
    {
        return Step::Show(draft::without_row(form, list, n), base.clone());
    }
    let document = draft::applied(base, &draft::without_blank_rows(form));
    if form.get("show") == "document" {
        let fields = Fields::default().with("text", pretty(&document));
        return Step::Show(fields, document);
    }
    Step::Save(document)
}

/// The document that the form began with. It came with the form, so it is as good as anything typed.
fn base_of(form: &Fields) -> Value {
    serde_json::from_str(form.get("base")).ok().filter(Value::is_object).unwrap_or_else(draft::blank)
}

/// What is carried by the form beside its fields does not come back as a field.
fn own_fields(form: &Fields) -> Fields {
    let carried = ["form_token", "base", "version", "show", "add", "remove", "copied"];
    let kept = form.under("").filter(|(name, _)| !carried.contains(name));
    kept.fold(Fields::default(), |fields, (name, value)| fields.with(name, value))
}

async fn create(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let base = base_of(&form);
    let fields = own_fields(&form);
    let site = Site {
        link: None,
        name: "New connector".to_owned(),
        version: String::new(),
        copied: form.has("copied"),
    };
    let error = match step(&form, &base) {
        Step::Show(fields, base) => {
            let fields = own_fields(&fields);
            return desk.show(Ok(page(&engine, &desk, site, &base, fields, None)));
        }
        Step::Wrong(error) => error,
        Step::Save(document) => match engine.create_connector(&desk.op, document).await {
            Ok(view) => {
                let path = format!("/console/connectors/{}", view.card.link_name);
                return desk.done(&path, "Made, as a draft. Look it over, then publish it.");
            }
            Err(error) => at_link_name(error),
        },
    };
    again(&engine, &desk, site, &base, &fields, error)
}

/// A taken name belongs to its field.
fn at_link_name(error: Error) -> Error {
    if error.code == Code::LinkNameTaken {
        let code = error.code;
        return Error { code, ..Error::field("link_name", "taken", error.detail) };
    }
    error
}

fn again(engine: &Engine, desk: &Desk, site: Site, base: &Value, fields: &Fields, error: Error) -> Response {
    let fields = draft::without_blank_rows(fields);
    let said = Error { fields: Vec::new(), ..Error::new(error.code, error.detail.clone()) };
    if error.code.status() >= 500 || error.code == Code::Forbidden {
        return desk.trouble(&error);
    }
    desk.again(&said, Ok(page(engine, desk, site, base, fields, Some(error))))
}

async fn update(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let mut site = match site_of(&engine, &desk, &link).await {
        Ok((site, _)) => site,
        Err(error) => return desk.trouble(&error),
    };
    // The version that was read, not the one that is there by now.
    form.get("version").clone_into(&mut site.version);
    let base = base_of(&form);
    let fields = own_fields(&form);
    let error = match step(&form, &base) {
        Step::Show(fields, base) => {
            let fields = own_fields(&fields);
            return desk.show(Ok(page(&engine, &desk, site, &base, fields, None)));
        }
        Step::Wrong(error) => error,
        Step::Save(document) => {
            let version = site.version.parse().unwrap_or(0);
            match engine.replace_connector(&desk.op, &link, document, version).await {
                Ok(_) => {
                    return desk.done(&format!("/console/connectors/{}", encoded(&link)), "Saved.");
                }
                Err(error) => error,
            }
        }
    };
    again(&engine, &desk, site, &base, &fields, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_says_what_is_to_happen() {
        let base = draft::blank();
        let fields = draft::shown(&base).with("add", "parameters");
        let Step::Show(more, _) = step(&fields, &base) else { panic!("a row is added") };
        assert_eq!(draft::rows(&more, PARAMETERS), 1);
        let Step::Show(less, _) = step(&own_fields(&more).with("remove", "parameters.0"), &base) else {
            panic!("a row is removed")
        };
        assert_eq!(draft::rows(&less, PARAMETERS), 0);
        // What names no list removes nothing and saves.
        assert!(matches!(step(&draft::shown(&base).with("remove", "hosts.0"), &base), Step::Save(_)));
    }

    #[test]
    fn between_form_and_document_nothing_is_lost() {
        let base =
            serde_json::json!({"name": "A", "auth": {"type": "none"}, "modules": {"x": {"operations": {}}}});
        let form = draft::shown(&base).with("show", "document");
        let Step::Show(text, document) = step(&form, &base) else { panic!("the document is shown") };
        assert_eq!(document, base);
        let Step::Show(form, again) = step(&text.with("show", "form"), &document) else { panic!("the form") };
        assert_eq!((again, form.get("name")), (base, "A"));
    }

    #[test]
    fn a_text_that_is_no_document_is_refused_at_its_field() {
        for wrong in ["", "{", "[]", "7", "{\"a\":}"] {
            let Step::Wrong(error) = step(&Fields::default().with("text", wrong), &draft::blank()) else {
                panic!("{wrong}")
            };
            assert_eq!(error.fields[0].field, "text");
        }
    }
}
