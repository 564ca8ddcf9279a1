//! Drafts of connectors out of what a service publishes: an OpenAPI document, a cURL command, its OAuth metadata.
//!
//! A draft is for a person to look at. What could not be brought over is said, with the reason; nothing is fetched here, and no value that may
//! be a secret is taken into the draft.

mod curl;
mod discovery;
mod openapi;
mod schemas;
mod yaml;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::document::Connector;
use crate::error::{Error, FieldError};
use crate::names;

pub use curl::from_curl;
pub use discovery::{METADATA_MAX, from_metadata, metadata_urls};
pub use openapi::from_openapi;

/// Largest description that is read, in bytes.
pub const TEXT_MAX: usize = 16 * 1024 * 1024;
/// How many operations are taken where nobody chose, and the most that are taken at all.
const UNCHOSEN: usize = 40;
const OPERATIONS_MAX: usize = 400;
/// Notes beyond these are counted only.
const NOTES_MAX: usize = 200;

/// Which operations are taken.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// as `GET /pets`; all where it says so; none: all if they are few
    pub operations: Option<Vec<String>>,
}

impl Wanted {
    fn takes(&self, id: &str, of: usize) -> bool {
        match &self.operations {
            Some(chosen) => chosen.iter().any(|one| one == "*" || one == id),
            None => of <= UNCHOSEN,
        }
    }
}

/// What came of an import.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ConnectorDraft)]
pub struct Draft {
    /// a connector document, to be looked at
    #[schema(value_type = Object)]
    pub document: Value,
    /// what was left out or has to be looked at, with the reason
    pub notes: Vec<Note>,
    /// the operations that the description has
    pub operations: Vec<Offered>,
    /// what is wrong with the document as it is
    #[schema(value_type = Vec<Object>)]
    pub faults: Vec<FieldError>,
}

/// Something that was not brought over as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConnectorDraftNote)]
pub struct Note {
    /// where in the description
    pub at: String,
    pub why: String,
}

/// An operation of the description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConnectorDraftOperation)]
pub struct Offered {
    /// to choose it by: `GET /pets`
    pub id: String,
    pub summary: Option<String>,
    /// heading under which it stands
    pub module: String,
    /// whether the draft has it
    pub taken: bool,
}

/// What grows while a description is read.
#[derive(Default)]
struct Report {
    notes: Vec<Note>,
    more: usize,
}

impl Report {
    fn note(&mut self, at: impl Into<String>, why: impl Into<String>) {
        let note = Note { at: at.into(), why: why.into() };
        if self.notes.contains(&note) {
            return;
        }
        if self.notes.len() < NOTES_MAX { self.notes.push(note) } else { self.more += 1 }
    }

    fn done(mut self, document: Value, mut operations: Vec<Offered>) -> Draft {
        let (document, faults) = self.mended(document, &mut operations);
        if self.more > 0 {
            self.notes
                .push(Note { at: String::new(), why: format!("{} more remarks are not shown.", self.more) });
        }
        Draft { document, notes: self.notes, operations, faults }
    }

    /// The document without the operations that no connector can have; what else is wrong with it.
    fn mended(&mut self, mut document: Value, operations: &mut [Offered]) -> (Value, Vec<FieldError>) {
        for _ in 0..3 {
            let Err(faults) = Connector::from_json(document.clone()) else { return (document, Vec::new()) };
            let mut mended = false;
            for fault in &faults {
                let mut path = fault.field.split('.');
                if let (Some("modules"), Some(module), Some("operations"), Some(name)) =
                    (path.next(), path.next(), path.next(), path.next())
                {
                    let place = document.pointer_mut(&format!("/modules/{module}/operations"));
                    if let Some(removed) =
                        place.and_then(Value::as_object_mut).and_then(|operations| operations.remove(name))
                    {
                        let id = id_of(&removed);
                        for offered in operations.iter_mut().filter(|offered| offered.id == id) {
                            offered.taken = false;
                        }
                        self.note(
                            id,
                            format!("Left out: {} {}.", path.collect::<Vec<_>>().join("."), fault.message),
                        );
                        mended = true;
                    }
                }
            }
            without_empty_modules(&mut document);
            if !mended {
                return (document, faults);
            }
        }
        let faults = Connector::from_json(document.clone()).err().unwrap_or_default();
        (document, faults)
    }
}

fn without_empty_modules(document: &mut Value) {
    let Some(Value::Object(modules)) = document.get_mut("modules") else { return };
    modules.retain(|_, module| {
        module.get("operations").and_then(Value::as_object).is_some_and(|operations| !operations.is_empty())
    });
    if modules.is_empty()
        && let Some(members) = document.as_object_mut()
    {
        members.remove("modules");
    }
}

/// By which an operation of a draft was chosen. Templates of a path were renamed, so that this is good for remarks only.
fn id_of(operation: &Value) -> String {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or("");
    format!("{} {}", if text("method").is_empty() { "GET" } else { text("method") }, text("path"))
}

fn refused(code: &str, message: impl Into<String>) -> Error {
    Error::field("openapi", code, message)
}

/// A name that a connector may have.
fn connector_name(wanted: &str, fallback: &str) -> String {
    let mut name = String::new();
    for c in wanted.chars() {
        let fits = c.is_alphanumeric() || (!name.is_empty() && "*_-@/!:|&~\\+".contains(c));
        if fits {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with(' ') {
            name.push(' ');
        }
        if name.chars().count() >= names::CONNECTOR_NAME_MAX {
            break;
        }
    }
    let name = name.trim_end().to_owned();
    if names::connector_name(&name).is_ok() { name } else { fallback.to_owned() }
}

/// The first sentence of a text, for people: no markup, no control characters, not long.
fn sentence(text: &str, longest: usize) -> Option<String> {
    let clean: String = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with(['#', '<', '|', '`']))?
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '*' | '`'))
        .collect();
    let end = clean.find(". ").map_or(clean.len(), |at| at + 1);
    let first: String = clean.get(..end).unwrap_or(&clean).chars().take(longest).collect();
    let first = first.trim().to_owned();
    (!first.is_empty()).then_some(first)
}

/// A name in templates: letters, digits, `_` and `-`.
fn word(name: &str) -> String {
    let word: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
        .take(64)
        .collect();
    let trimmed = word.trim_matches('_');
    if trimmed.is_empty() { "value".to_owned() } else { trimmed.to_owned() }
}

/// `Pet Store` and `petStore` as `pet_store`.
fn snake(name: &str) -> String {
    let mut spaced = String::new();
    let mut before_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && before_lower {
            spaced.push('_');
        }
        before_lower = c.is_lowercase() || c.is_ascii_digit();
        spaced.push(c);
    }
    names::link_name_or(&spaced, "other")
}

/// A name that no member has yet.
fn free(taken: &Map<String, Value>, wanted: &str) -> String {
    (1..=u32::MAX)
        .map(|n| names::numbered(wanted, n))
        .find(|name| !taken.contains_key(name))
        .unwrap_or_default()
}

fn put(document: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        document.insert(name.to_owned(), value.into());
    }
}

/// Scheme and authority of an http or https URL, and its path without a slash at the end.
fn origin_and_path(url: &str) -> Option<(String, String)> {
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = parsed.host_str()?;
    let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
    Some((format!("{}://{host}{port}", parsed.scheme()), parsed.path().trim_end_matches('/').to_owned()))
}
