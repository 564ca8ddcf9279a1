//! An operation and its arguments as a call: what goes into the path, the query, the headers and the body; and what the answer means.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::document::{Method, Place};
use super::modules::{BodyEncoding, Field, FieldType, Find, Idempotency, Module, Operation, Pagination};
use super::template::{Template, TemplateError, Values};
use super::{mail, shape};
use crate::error::FieldError;
use crate::form;

/// Characters of a service's message that are repeated.
const MESSAGE_MAX: usize = 500;
/// Where services put their messages, for operations that do not say it.
const USUAL_MESSAGES: [&str; 8] = [
    "/error/message",
    "/message",
    "/error_description",
    "/errors/0/message",
    "/errors/0",
    "/detail",
    "/title",
    "/error",
];

/// A call that an operation makes.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationCall {
    /// Its method.
    pub method: Method,
    /// Path to be joined to the base URL, or an absolute URL.
    pub path: String,
    /// Query parameters, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// What the body says; of a form an object of strings.
    pub body: Option<Value>,
    /// How it is written.
    pub encoding: BodyEncoding,
}

/// Which page of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageAsk {
    /// Pages before it.
    pub before: u64,
    /// Items on the pages before it.
    pub skipped: u64,
    /// The mark that the page before gave.
    pub cursor: Option<String>,
}

/// What may be done when the answer to a request was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat<'a> {
    /// Sending it again has no second effect.
    Harmless,
    /// The service recognizes a request that it has seen by a key.
    Keyed(&'a Idempotency),
    /// What it made can be looked for.
    Findable(&'a Find),
    /// Nobody can tell whether sending it again would do it twice.
    Doubtful,
}

impl Operation {
    /// What may be done when the answer to a request was lost.
    pub fn repeat(&self) -> Repeat<'_> {
        let by_method = matches!(self.method, Method::Get | Method::Head | Method::Put | Method::Delete);
        match (&self.idempotency, &self.find) {
            _ if self.repeatable.unwrap_or(by_method) => Repeat::Harmless,
            (Some(key), _) => Repeat::Keyed(key),
            (None, Some(find)) => Repeat::Findable(find),
            (None, None) => Repeat::Doubtful,
        }
    }

    /// The same for a request with these arguments: what it made can be looked for only when they say all by which it is recognized.
    pub fn repeat_of(&self, arguments: &Map<String, Value>) -> Repeat<'_> {
        let given = |field: &String| arguments.get(field).is_some_and(|value| !value.is_null());
        match self.repeat() {
            Repeat::Findable(find) if !find.same.values().all(given) => Repeat::Doubtful,
            other => other,
        }
    }

    /// Whether the answer is a success. `body` is `None` when it is not JSON.
    pub fn succeeded(&self, status: u16, body: Option<&Value>) -> bool {
        match &self.expect {
            Some(expect) => expect.met(status, body),
            None => (200..300).contains(&status),
        }
    }

    /// The id of what was made or changed, as text.
    pub fn result_id(&self, body: Option<&Value>) -> Option<String> {
        scalar(body?.pointer(self.result.as_deref()?)?)
    }

    /// The service's own message in an answer that is not a success, shortened.
    pub fn error_message(&self, body: Option<&Value>) -> Option<String> {
        let body = body?;
        let own = self.error.as_deref().into_iter();
        let text = own.chain(USUAL_MESSAGES).find_map(|pointer| scalar(body.pointer(pointer)?))?;
        Some(text.chars().take(MESSAGE_MAX).collect())
    }

    /// Whether it lists.
    pub fn lists(&self) -> bool {
        self.items.is_some()
    }

    /// The items of a list's page.
    pub fn items<'b>(&self, body: &'b Value) -> &'b [Value] {
        let found = self.items.as_deref().and_then(|pointer| body.pointer(pointer));
        found.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

impl FieldType {
    /// The word for it, as it stands in a document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "date_time",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Url => "url",
            Self::Object => "object",
            Self::List => "list",
        }
    }

    /// Brings a value into the shape that the service expects: `"5"` where a number is wanted becomes 5. The error says what is wanted.
    pub fn fit(self, value: Value) -> Result<Value, &'static str> {
        match self {
            Self::String
            | Self::Text
            | Self::Email
            | Self::Phone
            | Self::Url
            | Self::Date
            | Self::DateTime => match &value {
                Value::String(_) => Ok(value),
                other => scalar(other).map(Value::String).ok_or("must be a text"),
            },
            Self::Integer => match &value {
                Value::Number(number) if number.is_i64() || number.is_u64() => Ok(value),
                Value::Number(number) => whole(number.as_f64()).ok_or("must be a whole number"),
                Value::String(text) => {
                    text.trim().parse::<i64>().map(Value::from).map_err(|_| "must be a whole number")
                }
                _ => Err("must be a whole number"),
            },
            Self::Number => match &value {
                Value::Number(_) => Ok(value),
                Value::String(text) => number(text.trim()).ok_or("must be a number"),
                _ => Err("must be a number"),
            },
            Self::Boolean => match &value {
                Value::Bool(_) => Ok(value),
                Value::String(text) if text == "true" || text == "false" => Ok(Value::Bool(text == "true")),
                _ => Err("must be true or false"),
            },
            Self::Object => match value {
                Value::Object(_) => Ok(value),
                _ => Err("must be an object"),
            },
            Self::List => match value {
                Value::Array(_) => Ok(value),
                _ => Err("must be a list"),
            },
        }
    }
}

/// A whole number that a float holds exactly.
fn whole(number: Option<f64>) -> Option<Value> {
    let number = number.filter(|number| number.fract() == 0.0 && number.abs() < 9.0e15)?;
    format!("{number:.0}").parse::<i64>().ok().map(Value::from)
}

/// A number from text: whole where it is.
fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    // What JSON has no number for (NaN, infinity) is none here.
    let float = text.parse::<f64>().ok()?;
    serde_json::Number::from_f64(float).map(Value::Number)
}

/// Puts a value at a JSON pointer (RFC 6901); what is missing on the way is made: a list where the next part of the pointer is the number
/// of its next item, else an object. An object joins the one that is there. False where something else stands in the way.
fn put(root: &mut Value, pointer: &str, value: Value) -> bool {
    let mut place = root;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        if place.is_null() {
            *place = if name == "0" { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        }
        place = match place {
            Value::Object(members) => members.entry(name).or_insert(Value::Null),
            Value::Array(items) => {
                let Ok(index) = name.parse::<usize>() else { return false };
                if index == items.len() {
                    items.push(Value::Null);
                }
                match items.get_mut(index) {
                    Some(item) => item,
                    None => return false,
                }
            }
            _ => return false,
        };
    }
    match (place, value) {
        (Value::Object(there), Value::Object(members)) => there.extend(members),
        (place, value) => *place = value,
    }
    true
}

/// What is nested, in the brackets that forms know: `items[0][price]`.
fn flatten(name: &str, value: &Value, out: &mut Map<String, Value>) {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}[{key}]") };
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (key, value) in members {
                flatten(&inner(key), value, out);
            }
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&inner(&index.to_string()), value, out);
            }
        }
        other => {
            out.insert(name.to_owned(), other.clone());
        }
    }
}

/// The values for an operation's templates: its own fields, then everything that the connection knows.
struct Known<'a> {
    local: &'a BTreeMap<String, String>,
    values: Values<'a>,
}

impl<'a> Known<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.local.get(name).map(String::as_str).or_else(|| self.values.get(name))
    }
}

impl Module {
    /// Where a field of an operation goes. `None`: into a template that names it.
    pub(super) fn place_of(operation: &Operation, field: &Field) -> Option<Place> {
        let named = |template: &str| {
            Template::parse(template).is_ok_and(|template| template.names().any(|name| name == field.name))
        };
        match field.place {
            Some(place) => Some(place),
            None if named(&operation.path)
                || operation
                    .query
                    .values()
                    .chain(operation.headers.values())
                    .map(String::as_str)
                    .chain(operation.texts_of_json_headers())
                    .any(named) =>
            {
                None
            }
            None if matches!(operation.method, Method::Get | Method::Head | Method::Delete) => {
                Some(Place::Query)
            }
            None => Some(Place::Body),
        }
    }

    /// The call that carries out an operation. `arguments` are the operation's fields by name; null is the same as absent. `key`, where the
    /// operation has a place for one, lets the service recognize a repeated request. Errors stand under the names of the fields.
    pub fn call(
        &self,
        operation: &Operation,
        arguments: &Map<String, Value>,
        values: &Values<'_>,
        page: Option<&PageAsk>,
        key: Option<&str>,
    ) -> Result<OperationCall, Vec<FieldError>> {
        let fields = self.fields_of(operation);
        let mut wrong = Vec::new();
        // What the document does not list is sent as it is, where the service describes further fields.
        let mut further = Map::new();
        for (name, value) in arguments {
            if fields.iter().any(|field| field.name == *name) {
                continue;
            }
            if operation.more_fields.is_none() {
                wrong.push(FieldError::new(name.clone(), "unknown", "The operation has no such field."));
            } else if !value.is_null() {
                further.insert(name.clone(), value.clone());
            }
        }
        let gathered = gathered(operation, arguments, &mut further);
        let arguments = gathered.as_ref().unwrap_or(arguments);
        let mut given: Vec<(&Field, Value)> = Vec::with_capacity(fields.len());
        for field in &fields {
            match arguments.get(&field.name).filter(|value| !value.is_null()) {
                None if field.required => wrong.push(FieldError::new(
                    field.name.clone(),
                    "required",
                    format!("{} is required by the service.", field.label.as_deref().unwrap_or(&field.name)),
                )),
                None => {}
                Some(value) => match field.fit(value.clone()) {
                    Ok(value) if field.cells => given.push((field, in_cells(value))),
                    Ok(value) => given.push((field, value)),
                    Err(message) => {
                        wrong.push(FieldError::new(field.name.clone(), "invalid", format!("It {message}.")));
                    }
                },
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        compose(operation, given, further, values, page, key).map_err(|error| vec![error])
    }
}

/// The arguments with what further fields there are in the object that takes them; what stands in it already gives way to them. `None`: no
/// field takes them, or there are none.
fn gathered(
    operation: &Operation,
    arguments: &Map<String, Value>,
    further: &mut Map<String, Value>,
) -> Option<Map<String, Value>> {
    let into = operation.more_fields.as_ref()?.into.as_ref()?;
    if further.is_empty() {
        return None;
    }
    let mut all = arguments.clone();
    match all.entry(into.clone()).or_insert(Value::Null) {
        Value::Object(members) => members.append(further),
        place @ Value::Null => *place = Value::Object(std::mem::take(further)),
        // It is refused as what it is: no object.
        _ => further.clear(),
    }
    Some(all)
}

/// Values as they go into cells of a spreadsheet.
fn in_cells(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(form::guarded(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(in_cells).collect(),
        other => other,
    }
}

/// JSON for a header: what is not printable ASCII is escaped (RFC 8259 §7).
fn ascii(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

impl Operation {
    /// The texts in its JSON headers, which are templates.
    pub(super) fn texts_of_json_headers(&self) -> impl Iterator<Item = &str> {
        self.json_headers.values().flat_map(Map::values).filter_map(Value::as_str)
    }
}

impl Field {
    /// Brings a value into the shape that the service expects. The error says what is wanted: *must be a whole number*.
    pub fn fit(&self, value: Value) -> Result<Value, String> {
        let value = self.kind.fit(value)?;
        let listed = |value: &Value| {
            scalar(value).is_some_and(|text| self.choices.iter().any(|choice| choice.value == text))
        };
        let fits = self.choices.is_empty()
            || match &value {
                Value::Array(items) => items.iter().all(listed),
                single => listed(single),
            };
        if fits {
            return Ok(value);
        }
        let choices: Vec<&str> = self.choices.iter().take(20).map(|choice| choice.value.as_str()).collect();
        Err(format!("must be one of {}", choices.join(", ")))
    }
}

fn compose(
    operation: &Operation,
    given: Vec<(&Field, Value)>,
    further: Map<String, Value>,
    values: &Values<'_>,
    page: Option<&PageAsk>,
    key: Option<&str>,
) -> Result<OperationCall, FieldError> {
    let mut local: BTreeMap<String, String> =
        given.iter().filter_map(|(field, value)| Some((field.name.clone(), scalar(value)?))).collect();
    let mut query = Vec::new();
    let mut body_members: Vec<(String, Value)> = Vec::new();
    if let (Some(pagination), Some(page)) = (&operation.pagination, page) {
        turn(operation, pagination, page, &mut local, &mut query, &mut body_members);
    }
    let known = Known { local: &local, values: *values };
    let misfit = |why: &TemplateError| match why {
        TemplateError::Value { name, reason } => {
            FieldError::new(name.clone(), "invalid", format!("It cannot stand there: {reason}."))
        }
        TemplateError::Missing(name) => FieldError::new(name.clone(), "required", "The operation needs it."),
        other => FieldError::new("path", "invalid", format!("The operation cannot be called: {other}.")),
    };
    let parse = |text: &str| Template::parse(text).map_err(|why| misfit(&why));
    let path = parse(&operation.path)?.path(|name| known.get(name)).map_err(|why| misfit(&why))?;
    let texts = |templates: &BTreeMap<String, String>| -> Result<Vec<(String, String)>, FieldError> {
        let mut all = Vec::with_capacity(templates.len());
        for (name, template) in templates {
            match parse(template)?.text(|name| known.get(name)) {
                Ok(text) => all.push((name.clone(), text)),
                Err(TemplateError::Missing(_)) => {}
                Err(why) => return Err(misfit(&why)),
            }
        }
        Ok(all)
    };
    let mut headers = texts(&operation.headers)?;
    for (name, members) in &operation.json_headers {
        let mut object = Map::new();
        for (member, value) in members {
            let Some(text) = value.as_str() else {
                object.insert(member.clone(), value.clone());
                continue;
            };
            let whole = given.iter().find(|(field, _)| text == format!("{{{}}}", field.name));
            match (whole, parse(text)?.text(|name| known.get(name))) {
                (Some((_, value)), _) => drop(object.insert(member.clone(), value.clone())),
                (None, Ok(text)) => drop(object.insert(member.clone(), text.into())),
                (None, Err(TemplateError::Missing(_))) => {}
                (None, Err(why)) => return Err(misfit(&why)),
            }
        }
        headers.push((name.clone(), ascii(&Value::Object(object))));
    }
    query.splice(0..0, texts(&operation.query)?);
    let mut body = operation.body.clone();
    let start = &operation.body_at;
    for (field, value) in given {
        let name = field.name.as_str();
        match Module::place_of(operation, field) {
            None => {}
            Some(Place::Query) => match value {
                Value::Array(items) => {
                    query.extend(items.iter().filter_map(scalar).map(|text| (name.to_owned(), text)));
                }
                single => query.extend(scalar(&single).map(|text| (name.to_owned(), text))),
            },
            Some(Place::Header) => headers.extend(scalar(&value).map(|text| (name.to_owned(), text))),
            Some(Place::Cookie) => {
                headers.extend(scalar(&value).map(|text| ("cookie".to_owned(), format!("{name}={text}"))));
            }
            Some(Place::Body) if operation.body_encoding.is_one_field() => body = Some(value),
            Some(Place::Body) => {
                let value = match &field.shape {
                    Some(shape) => shape::shaped(shape, &value),
                    None => value,
                };
                let at = field.at.clone().unwrap_or_else(|| format!("/{}", escaped(name)));
                body_members.push((format!("{start}{at}"), value));
            }
        }
    }
    // They are no names of templates: nobody maps himself into a path.
    body_members
        .extend(further.into_iter().map(|(name, value)| (format!("{start}/{}", escaped(&name)), value)));
    if let (Some(idempotency), Some(key)) = (&operation.idempotency, key) {
        let (name, key) = (idempotency.name.clone(), key.to_owned());
        match idempotency.place {
            Place::Query => query.push((name, key)),
            Place::Body => body_members.push((format!("/{}", escaped(&name)), key.into())),
            Place::Header | Place::Cookie => headers.push((name, key)),
        }
    }
    let sends = !matches!(operation.method, Method::Get | Method::Head);
    if sends
        && body.is_none()
        && !operation.body_encoding.is_one_field()
        && matches!(operation.method, Method::Post | Method::Put | Method::Patch)
    {
        body = Some(Value::Object(Map::new()));
    }
    for (pointer, value) in body_members {
        let root = body.get_or_insert(Value::Null);
        if !put(root, &pointer, value) {
            return Err(FieldError::new(pointer, "invalid", "Something else stands there in the body."));
        }
    }
    if operation.body_encoding == BodyEncoding::Form
        && let Some(nested) = &body
    {
        let mut flat = Map::new();
        flatten("", nested, &mut flat);
        body = Some(Value::Object(flat));
    }
    if operation.body_encoding == BodyEncoding::Multipart
        && let Some(Value::Object(parts)) = &mut body
    {
        // Parts are texts; what is nested is a file, or refused when it is sent.
        for part in parts.values_mut() {
            if let Some(text) = scalar(part) {
                *part = Value::String(text);
            }
        }
    }
    let mut encoding = operation.body_encoding;
    if encoding == BodyEncoding::Mail {
        let fields = body.as_ref().and_then(Value::as_object);
        body = Some(mail::message(fields.unwrap_or(&Map::new()))?.into());
        encoding = BodyEncoding::Text;
    }
    Ok(OperationCall { method: operation.method, path, query, headers, body, encoding })
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Asks for a page.
fn turn(
    operation: &Operation,
    pagination: &Pagination,
    page: &PageAsk,
    local: &mut BTreeMap<String, String>,
    query: &mut Vec<(String, String)>,
    body: &mut Vec<(String, Value)>,
) {
    let mut size_of = |name: &Option<String>, size: u32, local: &mut BTreeMap<String, String>| {
        local.insert("page.size".to_owned(), size.to_string());
        if let Some(name) = name {
            query.push((name.clone(), size.to_string()));
        }
    };
    let mark = match pagination {
        Pagination::Page { page: name, size, page_size, first, .. } => {
            size_of(size, *page_size, local);
            let number = u64::from(*first).saturating_add(page.before).to_string();
            local.insert("page.number".to_owned(), number.clone());
            name.clone().map(|name| (name, number))
        }
        Pagination::Offset { offset, size, page_size, first, .. } => {
            size_of(size, *page_size, local);
            let number = u64::from(*first).saturating_add(page.skipped).to_string();
            local.insert("page.offset".to_owned(), number.clone());
            offset.clone().map(|name| (name, number))
        }
        Pagination::Cursor { cursor, size, page_size, .. } => {
            size_of(size, *page_size, local);
            match (&page.cursor, cursor) {
                (Some(mark), name) => {
                    local.insert("page.cursor".to_owned(), mark.clone());
                    name.clone().map(|name| (name, mark.clone()))
                }
                (None, _) => None,
            }
        }
        Pagination::LinkHeader { size, page_size } => {
            size_of(size, *page_size, local);
            None
        }
        Pagination::NextUrl { .. } => None,
    };
    if let Some((name, mark)) = mark {
        // A pointer is one: a mark of a GraphQL query stands among its variables.
        if operation.method == Method::Post && matches!(pagination, Pagination::Cursor { .. }) {
            let at = if name.starts_with('/') { name } else { format!("/{}", escaped(&name)) };
            body.push((at, mark.into()));
        } else {
            query.push((name, mark));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn module(value: Value) -> Module {
        serde_json::from_value(value).unwrap()
    }

    fn call(module: &Module, arguments: Value) -> Result<OperationCall, Vec<FieldError>> {
        let attributes = BTreeMap::from([("callback.realmId".to_owned(), "77".to_owned())]);
        let values = Values { attributes: Some(&attributes), ..Values::default() };
        let Value::Object(arguments) = arguments else { panic!("no object") };
        module.call(&module.operations["do"], &arguments, &values, Some(&PageAsk::default()), Some("k1"))
    }

    #[test]
    fn fields_go_where_they_belong() {
        let module = module(json!({
            "fields": [
                {"name": "DisplayName", "required": true},
                {"name": "Email", "type": "email", "at": "/PrimaryEmailAddr/Address"},
                {"name": "Line", "at": "/Lines/0/Text"},
                {"name": "Count", "type": "integer"},
                {"name": "Row", "type": "list", "at": "/Rows/0", "cells": true},
                {"name": "Kinds", "type": "list", "at": "/More/Kinds", "shape": {"of": [{"id": "{value}"}]}},
                {"name": "Trace", "in": "header"},
                {"name": "Tag", "type": "list", "in": "query"},
            ],
            "operations": {"do": {
                "method": "POST", "path": "/company/{callback.realmId}/vendor", "body": {"fixed": true},
                "idempotency": {"in": "query", "name": "requestid"},
            }},
        }));
        let done = call(
            &module,
            json!({"DisplayName": "Acme", "Email": "a@b.example", "Line": "x", "Count": "5",
            "Trace": "t", "Tag": ["a", "b"], "Missing": null}),
        );
        let Err(wrong) = done else { panic!("an unknown field was accepted") };
        assert_eq!((wrong[0].field.as_str(), wrong[0].code.as_str()), ("Missing", "unknown"));
        let done = call(
            &module,
            json!({"DisplayName": "Acme", "Email": "a@b.example", "Line": "x", "Count": "5",
            "Trace": "t", "Tag": ["a", "b"], "Kinds": ["k", "l"], "Row": ["=1+1", "a=1", -5, "-5", [["@x"]]]}),
        )
        .unwrap();
        assert_eq!(done.path, "/company/77/vendor");
        let pairs =
            [("Tag", "a"), ("Tag", "b"), ("requestid", "k1")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(done.query, pairs);
        assert_eq!(done.headers, [("Trace".to_owned(), "t".to_owned())]);
        let body = json!({"fixed": true, "DisplayName": "Acme", "PrimaryEmailAddr": {"Address": "a@b.example"},
            "Lines": [{"Text": "x"}], "Count": 5, "Rows": [["'=1+1", "a=1", -5, "-5", [["'@x"]]]], "More": {"Kinds": {"of": [{"id": "k"}, {"id": "l"}]}}});
        assert_eq!(done.body, Some(body));
    }

    #[test]
    fn further_fields_go_where_the_document_says() {
        let described = |into: Option<&str>| {
            module(json!({"operations": {"do": {
                "method": "POST", "path": "/r/{object}/{callback.realmId}", "body_at": "/data",
                "fields": [{"name": "object", "required": true}, {"name": "rest", "type": "object", "required": true, "at": ""}, {"name": "name"}],
                "more_fields": {"operation": "o.fields", "name": "/name", "into": into},
            }}}))
        };
        let given = json!({"object": "a", "name": "n", "X__c": 5, "Y__c": null, "a/b": "c", "rest": {"X__c": 1, "Z__c": 2}});
        let body = call(&described(Some("rest")), given.clone()).unwrap().body.unwrap();
        assert_eq!(body, json!({"data": {"name": "n", "X__c": 5, "Z__c": 2, "a/b": "c"}}));
        // The object need not be given itself where something goes into it; and is wanted where nothing does.
        let body = call(&described(Some("rest")), json!({"object": "a", "X__c": 5})).unwrap().body.unwrap();
        assert_eq!(body, json!({"data": {"X__c": 5}}));
        assert_eq!(call(&described(Some("rest")), json!({"object": "a"})).unwrap_err()[0].field, "rest");
        assert_eq!(
            call(&described(Some("rest")), json!({"object": "a", "rest": 1, "X__c": 5})).unwrap_err()[0]
                .field,
            "rest"
        );
        // What is no field of the operation is no name of its templates either.
        assert_eq!(
            call(&described(None), json!({"object": "a", "rest": {}, "callback.realmId": "x"})).unwrap().path,
            "/r/a/77"
        );
        let body = call(&described(None), given).unwrap().body.unwrap();
        assert_eq!(body, json!({"data": {"name": "n", "X__c": 5, "Z__c": 2, "a/b": "c"}}));
    }

    #[test]
    fn a_header_that_holds_json_keeps_types_and_is_ascii() {
        let module = module(json!({"operations": {"upload": {
            "method": "POST", "path": "/upload", "body_encoding": "text",
            "json_headers": {"X-Arg": {"path": "{path}", "rename": "{rename}", "mode": "{mode}", "by": "me, {path}", "strict": false}},
            "fields": [{"name": "path", "required": true}, {"name": "rename", "type": "boolean"}, {"name": "mode"},
                {"name": "content", "type": "text"}],
        }}}));
        let header = |given: Value| {
            let Value::Object(given) = given else { panic!("{given}") };
            let call =
                module.call(&module.operations["upload"], &given, &Values::default(), None, None).unwrap();
            assert_eq!(call.body, given.get("content").cloned());
            let [(name, value)] = call.headers.as_slice() else { panic!("{:?}", call.headers) };
            assert_eq!(name, "X-Arg");
            assert!(value.bytes().all(|b| (b' '..0x7f).contains(&b)), "{value}");
            serde_json::from_str::<Value>(value).unwrap()
        };
        let path = "/Grüße \"\u{1f600}\\";
        assert_eq!(
            header(json!({"path": path, "rename": true, "content": "text"})),
            json!({"path": path, "rename": true, "by": format!("me, {path}"), "strict": false})
        );
        let broken = Map::from_iter([("path".to_owned(), json!("/a\r\nX-Other: 1"))]);
        assert!(module.call(&module.operations["upload"], &broken, &Values::default(), None, None).is_err());
        // What looks like JSON is a text, and so is what looks like a template.
        let typed = "{mode}\",\"mode\":\"overwrite";
        assert_eq!(header(json!({"path": typed}))["path"], typed);
        assert_eq!(header(json!({"path": typed})).get("mode"), None);
    }

    #[test]
    fn what_is_wrong_stands_under_its_field() {
        let module = module(json!({
            "fields": [
                {"name": "id", "required": true},
                {"name": "n", "label": "Number", "type": "integer"},
                {"name": "kind", "choices": [{"value": "a", "label": "A"}]},
            ],
            "operations": {"do": {"method": "PUT", "path": "/things/{id}"}},
        }));
        let wrong = call(&module, json!({"n": "five", "kind": "b"})).unwrap_err();
        let fields: Vec<(&str, &str)> = wrong.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
        assert_eq!(fields, [("id", "required"), ("n", "invalid"), ("kind", "invalid")]);
        // A segment of a path is one, whatever it holds.
        assert_eq!(call(&module, json!({"id": "a/b"})).unwrap().path, "/things/a%2Fb");
        assert_eq!(call(&module, json!({"id": ".."})).unwrap_err()[0].field, "id");
    }

    #[test]
    fn forms_are_flat_and_pages_are_turned() {
        let form = module(json!({
            "fields": [{"name": "price", "at": "/items/0/price"}, {"name": "note"}],
            "operations": {"do": {"method": "POST", "path": "/c", "body_encoding": "form"}},
        }));
        let done = call(&form, json!({"price": "p1", "note": "n"})).unwrap();
        assert_eq!(done.body, Some(json!({"items[0][price]": "p1", "note": "n"})));
        let list = module(
            json!({"operations": {"do": {"path": "/q", "items": "/r", "query": {"q": "from X start {page.offset} max {page.size}"},
            "pagination": {"type": "offset", "first": 1, "page_size": 20}}}}),
        );
        let operation = &list.operations["do"];
        let page = PageAsk { skipped: 20, ..PageAsk::default() };
        let done = list.call(operation, &Map::new(), &Values::default(), Some(&page), None).unwrap();
        assert_eq!(done.query, [("q".to_owned(), "from X start 21 max 20".to_owned())]);
    }

    #[test]
    fn members_that_the_document_does_not_know_stand_beside_the_others() {
        let module = module(json!({
            "fields": [
                {"name": "more", "type": "object", "at": ""},
                {"name": "Name"},
                {"name": "tags", "type": "object", "at": "/Meta"},
            ],
            "operations": {"do": {"method": "POST", "path": "/things", "body": {"Meta": {"by": "us"}}, "body_at": ""}},
        }));
        let done =
            call(&module, json!({"Name": "Acme", "more": {"Custom__c": 1, "Name": "no"}, "tags": {"a": 1}}));
        // What has a field of its own stands later in the list, and wins.
        let body = json!({"Meta": {"by": "us", "a": 1}, "Custom__c": 1, "Name": "Acme"});
        assert_eq!(done.unwrap().body, Some(body));
    }

    #[test]
    fn a_body_may_be_what_one_field_says() {
        for (encoding, content) in [("text", "To: a@b.example\r\n\r\nHello"), ("base64", "AAEC")] {
            let module = module(json!({
                "fields": [{"name": "name"}, {"name": "content", "type": "text", "required": true}],
                "operations": {"do": {"method": "PUT", "path": "/files/{name}", "body_encoding": encoding,
                    "headers": {"Content-Type": "message/rfc822"}}},
            }));
            let done = call(&module, json!({"name": "a b", "content": content})).unwrap();
            assert_eq!((done.path.as_str(), done.body), ("/files/a%20b", Some(content.into())));
            assert_eq!(done.encoding.as_str(), encoding);
        }
    }

    #[test]
    fn what_is_not_named_cannot_be_looked_for() {
        let operation: Operation = serde_json::from_value(json!({"method": "POST", "path": "/contacts",
            "find": {"operation": "list", "same": {"/email": "email"}, "id": "/id"}}))
        .unwrap();
        let repeat = |arguments: Value| {
            let Value::Object(arguments) = arguments else { panic!("no object") };
            matches!(operation.repeat_of(&arguments), Repeat::Findable(_))
        };
        assert!(repeat(json!({"email": "a@b.example"})));
        assert!(!repeat(json!({"email": null})) && !repeat(json!({})));
    }

    #[test]
    fn a_mark_stands_where_its_pointer_says() {
        let module = module(json!({"operations": {"do": {"method": "POST", "path": "/graphql",
            "body": {"query": "q", "variables": {"first": 50}}, "items": "/data/nodes",
            "pagination": {"type": "cursor", "cursor": "/variables/after", "next": "/data/end"}}}}));
        let page = PageAsk { cursor: Some("m1".to_owned()), ..PageAsk::default() };
        let body = |page: &PageAsk| {
            let operation = &module.operations["do"];
            module.call(operation, &Map::new(), &Values::default(), Some(page), None).unwrap().body.unwrap()
        };
        assert_eq!(body(&page), json!({"query": "q", "variables": {"first": 50, "after": "m1"}}));
        assert_eq!(body(&PageAsk::default()), json!({"query": "q", "variables": {"first": 50}}));
    }

    #[test]
    fn answers_are_read_by_pointers() {
        let operation: Operation =
            serde_json::from_value(json!({"method": "POST", "path": "/x", "result": "/Vendor/Id",
            "error": "/Fault/0/Detail", "expect": {"pointer": "/ok", "equals": true}}))
            .unwrap();
        let answer = json!({"ok": true, "Vendor": {"Id": 7}, "Fault": [{"Detail": "no"}]});
        assert!(
            operation.succeeded(200, Some(&answer)) && !operation.succeeded(200, Some(&json!({"ok": false})))
        );
        assert_eq!(operation.result_id(Some(&answer)).as_deref(), Some("7"));
        assert_eq!(operation.error_message(Some(&answer)).as_deref(), Some("no"));
        assert_eq!(operation.error_message(Some(&json!({"message": "usual"}))).as_deref(), Some("usual"));
        assert_eq!(operation.repeat(), Repeat::Doubtful);
    }
}
