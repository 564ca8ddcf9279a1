//! Modules and operations: what can be done at a service.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::document::{Method, Place};
use super::super::mail;
use super::super::modules::{BodyEncoding, Field, FieldType, Find, Module, Operation, Pagination};
use super::super::more::MoreFields;
use super::super::read::at;
use super::super::shape;
use super::super::template::Template;
use super::{Check, Kind, May, header_name, is_parameter};
use crate::names;

impl<'a> Check<'a> {
    pub(super) fn module(&mut self, path: &str, name: &str, module: &'a Module) {
        if names::link_name(name).is_err() {
            self.wrong(path, "invalid", "must have 1 to 64 of the characters a-z, 0-9 and _");
        }
        self.fields(&at(path, "fields"), &module.fields);
        for (name, operation) in &module.operations {
            let path = at(&at(path, "operations"), name);
            if names::link_name(name).is_err() {
                self.wrong(&path, "invalid", "must have 1 to 64 of the characters a-z, 0-9 and _");
            }
            self.operation(&path, module, operation);
        }
    }

    fn fields(&mut self, path: &str, fields: &[Field]) {
        self.unique(path, fields.iter().map(|field| field.name.as_str()));
        for (index, field) in fields.iter().enumerate() {
            let path = format!("{path}.{index}");
            if !is_parameter(&field.name) {
                self.wrong(at(&path, "name"), "invalid", "must not be empty or have control characters");
            }
            self.pointer(&at(&path, "at"), field.at.as_deref());
            if let Some(shape) = &field.shape {
                self.shape(&at(&path, "shape"), shape);
            }
            self.unique(&at(&path, "choices"), field.choices.iter().map(|choice| choice.value.as_str()));
        }
    }

    fn operation(&mut self, path: &str, module: &Module, operation: &Operation) {
        self.fields(&at(path, "fields"), &operation.fields);
        let own = if operation.fields.is_empty() { &module.fields } else { &operation.fields };
        let mut local: Vec<&str> = own.iter().map(|field| field.name.as_str()).collect();
        if operation.pagination.is_some() {
            local.extend(["page.number", "page.offset", "page.size", "page.cursor"]);
        }
        let all =
            May { attributes: true, setup: Some(&self.connector.setup), local: &local, ..May::default() };
        self.template(&at(path, "path"), &operation.path, Kind::Path, all);
        self.texts(&at(path, "query"), &operation.query, all);
        self.headers(&at(path, "headers"), &operation.headers, all);
        for (name, members) in &operation.json_headers {
            let path = at(&at(path, "json_headers"), name);
            if let Err(message) = header_name(name) {
                self.wrong(&path, "invalid", message);
            }
            for (member, value) in members {
                match value {
                    Value::String(text) => self.template(&at(&path, member), text, Kind::Text, all),
                    Value::Array(_) | Value::Object(_) => {
                        self.wrong(at(&path, member), "invalid", "must be a text, a number, true or false");
                    }
                    _ => {}
                }
            }
        }
        for (name, pointer) in [
            ("body_at", Some(operation.body_at.as_str())),
            ("result", operation.result.as_deref()),
            ("error", operation.error.as_deref()),
            ("items", operation.items.as_deref()),
        ] {
            self.pointer(&at(path, name), pointer);
        }
        self.expect(&at(path, "expect"), operation.expect.as_ref());
        if let Some(idempotency) = &operation.idempotency {
            let field = at(path, "idempotency.name");
            if idempotency.place == Place::Header {
                if let Err(message) = header_name(&idempotency.name) {
                    self.wrong(field, "invalid", message);
                }
            } else if !is_parameter(&idempotency.name) {
                self.wrong(field, "invalid", "must be the name of a parameter");
            }
        }
        self.one_field(path, module, operation);
        self.mail(path, module, operation);
        if let Some(find) = &operation.find {
            self.find(&at(path, "find"), module, &local, find);
        }
        if let Some(more) = &operation.more_fields {
            self.more_fields(&at(path, "more_fields"), module, operation, more);
        }
        if let Some(pagination) = &operation.pagination {
            if operation.items.is_none() {
                self.wrong(at(path, "items"), "required", "is needed beside pagination");
            }
            self.pagination(&at(path, "pagination"), pagination);
        }
    }

    /// A body that is one field has one, and nothing else that would have to go into it.
    fn one_field(&mut self, path: &str, module: &Module, operation: &Operation) {
        if !operation.body_encoding.is_one_field() {
            return;
        }
        let all = module.fields_of(operation);
        let count =
            all.iter().filter(|field| Module::place_of(operation, field) == Some(Place::Body)).count();
        if count != 1 {
            self.wrong(
                at(path, "fields"),
                "invalid",
                format!("must have exactly one field for the body when body_encoding is {}; say `in` of the others", operation.body_encoding.as_str()),
            );
        }
        let in_body = operation.idempotency.as_ref().is_some_and(|key| key.place == Place::Body);
        if operation.body.is_some() || !operation.body_at.is_empty() || in_body {
            let message = format!("has no place when body_encoding is {}", operation.body_encoding.as_str());
            self.wrong(at(path, "body"), "invalid", message);
        }
    }

    /// An e-mail has fields of its own, and nothing else can stand in it.
    fn mail(&mut self, path: &str, module: &Module, operation: &Operation) {
        if operation.body_encoding != BodyEncoding::Mail {
            return;
        }
        for field in module.fields_of(operation) {
            let in_body = Module::place_of(operation, field) == Some(Place::Body);
            if in_body && (!mail::knows(&field.name) || field.at.is_some()) {
                let message = format!(
                    "has {:?}, which an e-mail has no place for: name it {}, without `at`",
                    field.name,
                    mail::names()
                );
                self.wrong(at(path, "fields"), "invalid", message);
            }
        }
        let key_in_body = operation.idempotency.as_ref().is_some_and(|key| key.place == Place::Body);
        if operation.body.is_some() || !operation.body_at.is_empty() || key_in_body {
            self.wrong(at(path, "body"), "invalid", "has no place when body_encoding is mail");
        }
    }

    fn find(&mut self, path: &str, module: &Module, fields: &[&str], find: &Find) {
        match module.operations.get(&find.operation) {
            None => self.wrong(at(path, "operation"), "unknown", "must be another operation of the module"),
            Some(list) if list.items.is_none() => {
                self.wrong(at(path, "operation"), "invalid", "must be a list operation");
            }
            Some(_) => {}
        }
        let local = May { local: fields, ..May::default() };
        self.texts(&at(path, "with"), &find.with, local);
        if find.same.is_empty() {
            self.wrong(at(path, "same"), "required", "must say what has to be the same");
        }
        for (pointer, field) in &find.same {
            self.pointer(&at(path, "same"), Some(pointer));
            if !fields.contains(&field.as_str()) {
                self.wrong(
                    at(&at(path, "same"), pointer),
                    "unknown",
                    "must lead to a field of the operation",
                );
            }
        }
        self.pointer(&at(path, "id"), Some(&find.id));
    }

    /// Where the service says which further fields there are.
    fn more_fields(&mut self, path: &str, module: &Module, operation: &Operation, more: &MoreFields) {
        let own = module.fields_of(operation);
        if !matches!(operation.method, Method::Post | Method::Put | Method::Patch)
            || operation.body_encoding.is_one_field()
        {
            let message = "needs an operation with a body that takes fields: POST, PUT or PATCH with body_encoding json, form or multipart";
            self.wrong(path, "invalid", message);
        }
        match more.asks(self.connector) {
            None => self.wrong(
                at(path, "operation"),
                "unknown",
                "must be an operation of this connector, as object.fields",
            ),
            Some((_, asked)) if asked.items.is_none() && more.each.is_none() => {
                let message = "must be a list operation, one with `items`, or `each` must say where in its answer the fields are";
                self.wrong(at(path, "operation"), "invalid", message);
            }
            Some((asked_module, asked)) => self.asked_with(path, asked_module, asked, more),
        }
        // Whoever maps them knows them before anything is called: nothing else is there to ask with.
        let names: Vec<&str> = own.iter().map(|field| field.name.as_str()).collect();
        let with = more.with.iter().map(|(name, text)| (at(&at(path, "with"), name), text));
        let wanted = more.wanted.iter().map(|(pointer, text)| (at(&at(path, "where"), pointer), text));
        for (path, text) in with.chain(wanted) {
            match Template::parse(text) {
                Err(error) => self.wrong(path, "invalid", error.to_string()),
                Ok(template) => {
                    for name in template.names().filter(|name| !names.contains(name)) {
                        self.wrong(&path, "unknown", format!("{{{name}}} is not a field of the operation"));
                    }
                }
            }
        }
        for pointer in more.wanted.keys() {
            self.pointer(&at(&at(path, "where"), pointer), Some(pointer));
        }
        for (name, pointer) in [
            ("each", more.each.as_ref()),
            ("name", Some(&more.name)),
            ("label", more.label.as_ref()),
            ("help", more.help.as_ref()),
            ("type", more.kind.as_ref()),
        ] {
            self.pointer(&at(path, name), pointer.map(String::as_str));
        }
        for (name, words) in [("types", !more.types.is_empty()), ("shapes", !more.shapes.is_empty())] {
            if more.kind.is_none() && words {
                let message = format!("must say where the word stands that `{name}` translates");
                self.wrong(at(path, "type"), "required", message);
            }
        }
        for (word, shape) in &more.shapes {
            self.shape(&at(&at(path, "shapes"), word), shape);
        }
        self.rules(&at(path, "required"), &more.required);
        self.rules(&at(path, "read_only"), &more.read_only);
        if let Some(choices) = &more.choices {
            let path = at(path, "choices");
            self.pointer(&at(&path, "at"), Some(&choices.at));
            self.pointer(&at(&path, "value"), Some(&choices.value));
            self.pointer(&at(&path, "label"), choices.label.as_deref());
            self.rules(&at(&path, "when"), &choices.when);
        }
        if let Some(into) = &more.into {
            match own.iter().find(|field| field.name == *into) {
                None => self.wrong(at(path, "into"), "unknown", "is not a field of the operation"),
                Some(field)
                    if field.kind != FieldType::Object
                        || Module::place_of(operation, field) != Some(Place::Body) =>
                {
                    self.wrong(
                        at(path, "into"),
                        "invalid",
                        "must be a field of type object that goes into the body",
                    );
                }
                Some(_) => {}
            }
        }
    }

    /// What an operation is asked with is fields that it has, and all that it needs.
    fn asked_with(&mut self, path: &str, module: &Module, operation: &Operation, more: &MoreFields) {
        let fields = module.fields_of(operation);
        for name in more.with.keys().filter(|name| !fields.iter().any(|field| field.name == **name)) {
            let message = format!("is not a field of {}", more.operation);
            self.wrong(at(&at(path, "with"), name), "unknown", message);
        }
        for field in fields.iter().filter(|field| field.required && !more.with.contains_key(&field.name)) {
            let message = format!("is required by {}", more.operation);
            self.wrong(at(&at(path, "with"), &field.name), "required", message);
        }
    }

    /// What is sent of a value has a place for it.
    fn shape(&mut self, path: &str, shape: &Value) {
        if !shape::takes(shape) {
            self.wrong(path, "invalid", "must have the text \"{value}\" where the value goes");
        }
    }

    /// JSON pointers, each with the texts to which it leads.
    fn rules(&mut self, path: &str, rules: &BTreeMap<String, Vec<String>>) {
        for (pointer, texts) in rules {
            self.pointer(&at(path, pointer), Some(pointer));
            if texts.is_empty() {
                self.wrong(at(path, pointer), "required", "must list the texts that count, as [\"false\"]");
            }
        }
    }

    fn pagination(&mut self, path: &str, pagination: &Pagination) {
        let (name, size, page_size, pointers) = match pagination {
            Pagination::Page { page, size, page_size, more, .. } => {
                (page.as_ref(), size.as_ref(), *page_size, vec![("more", more.as_ref())])
            }
            Pagination::Offset { offset, size, page_size, more, .. } => {
                (offset.as_ref(), size.as_ref(), *page_size, vec![("more", more.as_ref())])
            }
            Pagination::Cursor { cursor, next, last, size, page_size, more } => {
                if next.is_some() == last.is_some() {
                    self.wrong(at(path, "next"), "required", "either next or last says where the mark is");
                }
                let pointers =
                    vec![("next", next.as_ref()), ("last", last.as_ref()), ("more", more.as_ref())];
                (cursor.as_ref(), size.as_ref(), *page_size, pointers)
            }
            Pagination::NextUrl { next } => (None, None, 1, vec![("next", Some(next))]),
            Pagination::LinkHeader { size, page_size } => (None, size.as_ref(), *page_size, Vec::new()),
        };
        if matches!(pagination, Pagination::Cursor { .. }) {
            let pointer = name.filter(|name| name.starts_with('/'));
            self.pointer(&at(path, "cursor"), pointer.map(String::as_str));
        }
        if name.is_some_and(|name| !is_parameter(name)) || size.is_some_and(|name| !is_parameter(name)) {
            self.wrong(path, "invalid", "has an empty name of a parameter");
        }
        if page_size == 0 {
            self.wrong(at(path, "page_size"), "invalid", "must be at least 1");
        }
        for (name, pointer) in pointers {
            self.pointer(&at(path, name), pointer.map(String::as_str));
        }
    }
}
