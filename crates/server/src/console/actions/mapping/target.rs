//! A field that is to have a value, of a service or of a record.

use jackfield_core::connector;
use jackfield_core::form::{FieldType, FormField};
use jackfield_core::workflow::Shape;
use serde_json::{Value, json};

use crate::console::forms::field::kind_word;

/// A field that is to have a value.
pub(in super::super) struct Target {
    pub name: String,
    pub title: String,
    pub help: String,
    pub required: bool,
    /// whether the service itself described it, or may have
    pub further: bool,
    pub kind: Kind,
    /// value and words of the only values it takes
    pub choices: Vec<(String, String)>,
}

/// What a service takes, in words.
pub(in super::super) fn type_word(kind: connector::FieldType) -> &'static str {
    use connector::FieldType as F;
    match kind {
        F::String => "Line of text",
        F::Text => "Several lines",
        F::Integer => "Whole number",
        F::Number => "Number",
        F::Boolean => "Yes or no",
        F::Date => "Day",
        F::DateTime => "Day and time",
        F::Email => "E-mail address",
        F::Phone => "Telephone number",
        F::Url => "Link",
        F::Object => "Object",
        F::List => "List",
    }
}

/// What it takes.
pub(in super::super) enum Kind {
    Service(connector::Field),
    Record(FieldType),
    /// nobody knows it now: the service was not asked
    Unknown,
    /// the operation has no such field any more
    Gone,
}

impl Target {
    pub fn of_service(field: &connector::Field) -> Self {
        let title = field.label.clone().unwrap_or_else(|| field.name.clone());
        let mut choices: Vec<(String, String)> = field
            .choices
            .iter()
            .map(|one| (one.value.clone(), one.label.clone().unwrap_or_else(|| one.value.clone())))
            .collect();
        if field.kind == connector::FieldType::Boolean && choices.is_empty() {
            choices =
                [("true", "Yes"), ("false", "No")].map(|(value, words)| (value.into(), words.into())).into();
        }
        Self {
            name: field.name.clone(),
            title,
            help: field.help.clone().unwrap_or_default(),
            required: field.required,
            further: false,
            kind: Kind::Service(field.clone()),
            choices,
        }
    }

    pub fn of_record(field: &FormField) -> Self {
        let choices = match field.kind {
            FieldType::Checkbox => vec![("true".into(), "Yes".into()), ("false".into(), "No".into())],
            FieldType::MultiSelect => Vec::new(),
            _ => field
                .choices
                .iter()
                .map(|one| (one.value.clone(), one.label.clone().unwrap_or_else(|| one.value.clone())))
                .collect(),
        };
        Self {
            name: field.name.clone(),
            title: field.title().to_owned(),
            help: String::new(),
            required: false,
            further: false,
            kind: Kind::Record(field.kind),
            choices,
        }
    }

    /// A field that the service described.
    pub fn of_description(field: &connector::Field) -> Self {
        Self { further: true, ..Self::of_service(field) }
    }

    /// A field that the service may have described: of a type and in a shape that were told then, if they were.
    pub fn unconfirmed(name: &str, kind: Option<connector::FieldType>, shape: Option<Value>) -> Self {
        match kind {
            Some(kind) => Self::of_description(&connector::Field {
                name: name.to_owned(),
                kind,
                shape,
                ..connector::Field::default()
            }),
            None => Self { further: true, kind: Kind::Unknown, ..Self::gone(name) },
        }
    }

    pub fn gone(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: name.to_owned(),
            help: String::new(),
            required: false,
            further: false,
            kind: Kind::Gone,
            choices: Vec::new(),
        }
    }

    /// A field that the service described, as it did.
    pub fn told(&self) -> Option<&connector::Field> {
        match &self.kind {
            Kind::Service(field) if self.further => Some(field),
            _ => None,
        }
    }

    pub fn type_word(&self) -> &'static str {
        match &self.kind {
            Kind::Gone => "not there any more",
            Kind::Unknown => "Of the service's own",
            Kind::Record(kind) => kind_word(kind),
            Kind::Service(field) => type_word(field.kind),
        }
    }

    pub fn suits(&self, field: &FormField) -> bool {
        match &self.kind {
            Kind::Service(wanted) => Shape::from(field).suits(wanted.kind),
            Kind::Record(_) | Kind::Gone | Kind::Unknown => true,
        }
    }

    /// A text as a value of this field. What is none stays the text, and is refused with the reason.
    pub fn value(&self, text: &str) -> Value {
        let document = || serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        match &self.kind {
            Kind::Service(field) => match field.kind {
                connector::FieldType::Object | connector::FieldType::List => document(),
                kind => kind.fit(json!(text)).unwrap_or_else(|_| json!(text)),
            },
            Kind::Record(FieldType::Number) => {
                text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
            }
            Kind::Record(FieldType::Checkbox) => match text {
                "true" => json!(true),
                "false" => json!(false),
                other => json!(other),
            },
            Kind::Record(FieldType::MultiSelect | FieldType::Name | FieldType::Address) => document(),
            Kind::Record(_) | Kind::Gone | Kind::Unknown => json!(text),
        }
    }
}
