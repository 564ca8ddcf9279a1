//! Forms: what was sent, what is wrong with it, and how a field looks.
//!
//! A field stands as label, help, error, input, in this order. Its name is the dotted path by which the engine names it in errors, so that
//! each error finds its field.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::body::Body;
use http::request::Parts;
use jackfield_core::{Code, Error, FieldError, Result};

use super::door::too_large;
use crate::multipart::{self, Part};
use crate::uploads::{Incoming, Unread};

/// Names and values of a form or a query, in their order.
#[derive(Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>, Vec<Part>);

impl Fields {
    /// Of `application/x-www-form-urlencoded` (URL standard §5.1).
    pub fn parse(encoded: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(encoded)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            Vec::new(),
        )
    }

    /// Of a form as a request sends it, with files or without.
    pub async fn read(parts: &Parts, body: Body, limit: usize) -> Result<Self> {
        let incoming = Incoming::new(parts, body, limit);
        let why = |unread| match unread {
            Unread::TooLarge => too_large(limit),
            Unread::Broken => {
                Error::new(Code::InvalidRequest, "The form cannot be read: it broke off. Send it again.")
            }
            Unread::Refused(error) => error,
        };
        let Some(boundary) = multipart::boundary(&parts.headers) else {
            return Ok(Self::parse(&incoming.whole().await.map_err(why)?));
        };
        let (mut pairs, mut files) = (Vec::new(), Vec::new());
        for part in multipart::parts(incoming, &boundary).await.map_err(why)? {
            if part.filename.is_some() {
                files.push(part);
            } else {
                pairs.push((part.name, String::from_utf8_lossy(&part.bytes).into_owned()));
            }
        }
        Ok(Self(pairs, files))
    }

    /// The file that was chosen under a name.
    pub fn file(&self, name: &str) -> Option<&Part> {
        let is_chosen = |part: &&Part| {
            part.name == name
                && (!part.bytes.is_empty() || part.filename.as_ref().is_some_and(|name| !name.is_empty()))
        };
        self.1.iter().find(is_chosen)
    }

    /// The text that [`encoded`] made this of.
    pub fn decode(text: &str) -> String {
        let pair = format!("v={text}");
        Self::parse(pair.as_bytes()).get("v").to_owned()
    }

    /// The value, or nothing.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The value without blanks around it, unless there is nothing else.
    pub fn given(&self, name: &str) -> Option<String> {
        let value = self.get(name).trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// Whether it is there at all: how a box is ticked.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// All values of the name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// What stands under a prefix: `credentials.user` as `user`.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(found, _)| found != name);
        self
    }

    pub fn holds_nul(&self) -> bool {
        self.0.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A text as one value of a query, a form or a cookie.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A link to this page with one value of the query changed; empty takes it out.
pub(crate) fn with_query(path: &str, query: &Fields, name: &str, value: &str) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (found, kept) in query.0.iter().filter(|(found, kept)| found != name && !kept.is_empty()) {
        // Another filter begins at the first page.
        if found != "cursor" {
            out.append_pair(found, kept);
        }
    }
    if !value.is_empty() {
        out.append_pair(name, value);
    }
    let query = out.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// What was typed into a form, and what is wrong with it.
#[derive(Default)]
pub(crate) struct Form {
    fields: Fields,
    errors: Vec<FieldError>,
    /// what is wrong with the whole
    pub wrong: Option<String>,
}

impl Form {
    pub fn new(fields: Fields) -> Self {
        Self { fields, ..Self::default() }
    }

    pub fn refused(fields: Fields, error: &Error) -> Self {
        let wrong = error.fields.is_empty().then(|| error.detail.clone());
        Self { fields, errors: error.fields.clone(), wrong }
    }

    /// The same form with more that is wrong with it.
    pub fn with(mut self, errors: Vec<FieldError>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// The same form with what is wrong with it.
    pub fn with_errors(self, error: &Error) -> Self {
        Self::refused(self.fields, error)
    }

    pub fn value(&self, name: &str) -> &str {
        self.fields.get(name)
    }

    /// Whether a box is ticked, or one of several with this value chosen.
    pub fn ticked(&self, name: &str, value: &str) -> bool {
        self.fields.all(name).any(|found| found == value)
    }

    pub fn error(&self, name: &str) -> &str {
        self.errors.iter().find(|error| error.field == name).map_or("", |error| &error.message)
    }

    /// Errors that belong to none of the named fields, as sentences.
    pub fn other_errors(&self, shown: &[&str]) -> Vec<String> {
        let other = self.errors.iter().filter(|error| !shown.contains(&error.field.as_str()));
        other.map(|error| format!("{}: {}", error.field, error.message)).collect()
    }

    pub fn text<'a>(&'a self, name: &'a str, label: &'a str) -> Field<'a> {
        Field {
            name,
            label,
            help: "",
            kind: "text",
            value: self.value(name),
            error: self.error(name),
            optional: false,
            mono: false,
            autocomplete: "",
            placeholder: "",
            accept: "",
            max: 0,
            list: "",
            rows: 0,
            choices: Vec::new(),
        }
    }

    /// What is typed here is never sent back.
    pub fn secret<'a>(&'a self, name: &'a str, label: &'a str) -> Field<'a> {
        Field { kind: "password", value: "", autocomplete: "off", ..self.text(name, label) }
    }

    /// The same with lines, for a private key: one line would lose them.
    pub fn secret_area<'a>(&'a self, name: &'a str, label: &'a str, rows: u8) -> Field<'a> {
        Field { value: "", autocomplete: "off", rows, ..self.text(name, label) }
    }

    pub fn area<'a>(&'a self, name: &'a str, label: &'a str, rows: u8) -> Field<'a> {
        Field { rows, ..self.text(name, label) }
    }

    /// One of several, each with its value and its words.
    pub fn select<'a>(&'a self, name: &'a str, label: &'a str, choices: &[(&'a str, &'a str)]) -> Field<'a> {
        Field { kind: "select", choices: choices.to_vec(), ..self.text(name, label) }
    }
}

/// One field of a form.
#[derive(Template)]
#[template(path = "console/parts/field.html")]
pub(crate) struct Field<'a> {
    name: &'a str,
    label: &'a str,
    help: &'a str,
    kind: &'a str,
    value: &'a str,
    error: &'a str,
    optional: bool,
    mono: bool,
    autocomplete: &'a str,
    placeholder: &'a str,
    accept: &'a str,
    max: usize,
    list: &'a str,
    rows: u8,
    choices: Vec<(&'a str, &'a str)>,
}

impl HtmlSafe for Field<'_> {}

impl<'a> Field<'a> {
    pub fn help(self, help: &'a str) -> Self {
        Self { help, ..self }
    }

    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// For what machines read.
    pub fn mono(self) -> Self {
        Self { mono: true, ..self }
    }

    /// For a file: what browsers offer to choose.
    pub fn accept(self, accept: &'a str) -> Self {
        Self { accept, ..self }
    }

    /// The type of the input: `email`, `url`, `password`.
    pub fn kind(self, kind: &'a str) -> Self {
        Self { kind, ..self }
    }

    pub fn autocomplete(self, autocomplete: &'a str) -> Self {
        Self { autocomplete, ..self }
    }

    pub fn placeholder(self, placeholder: &'a str) -> Self {
        Self { placeholder, ..self }
    }

    /// Id of the `datalist` whose values are offered.
    pub fn list(self, list: &'a str) -> Self {
        Self { list, ..self }
    }

    /// At most so many characters.
    pub fn max(self, max: usize) -> Self {
        Self { max, ..self }
    }

    fn id(&self) -> String {
        id_of(self.name)
    }

    fn is_chosen(&self, choice: &str) -> bool {
        self.value == choice
    }

    fn described_by(&self) -> String {
        let mut ids = String::new();
        if !self.help.is_empty() {
            let _ = write!(ids, "{}-help", self.id());
        }
        if !self.error.is_empty() {
            let _ = write!(ids, "{}{}-error", if ids.is_empty() { "" } else { " " }, self.id());
        }
        ids
    }
}

/// An id made of a field's name.
pub(crate) fn id_of(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("f-{}", name.chars().map(fits).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_says_what_is_wrong_and_escapes_what_was_typed() {
        let error = Error::field("name", "too_long", "must be shorter");
        let fields = Fields::default().with("name", "\"><script>");
        let form = Form::refused(fields, &error);
        let html = form.text("name", "Name").help("What people see.").render().unwrap();
        assert!(html.contains("must be shorter") && html.contains("aria-invalid"), "{html}");
        assert!(html.contains(r#"aria-describedby="f-name-help f-name-error""#), "{html}");
        assert!(!html.contains("<script>"), "{html}");
        assert!(form.secret("name", "Name").render().unwrap().contains(r#"value="""#));
    }

    #[test]
    fn a_filter_keeps_the_others_and_begins_at_the_first_page() {
        let query = Fields::parse(b"q=a+b&level=user&cursor=66");
        assert_eq!(with_query("/x", &query, "level", "admin"), "/x?q=a+b&level=admin");
        assert_eq!(with_query("/x", &query, "q", ""), "/x?level=user");
        assert_eq!(Fields::decode(&encoded("a b; é")), "a b; é");
    }
}
