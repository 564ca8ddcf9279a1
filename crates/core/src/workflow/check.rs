//! What is wrong with a workflow, and with the actions of whatever does some: said when it is saved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::definition::{
    Currency, Integration, Lookup, Mail, Mapped, PaymentAction, Request, RequestEncoding, Webhook, Work,
    Workflow, WorkflowAction, amount_of,
};
use super::expression::{Expression, Text};
use crate::connector::{Connector, Field, FieldType, Question, shape, target};
use crate::error::FieldError;
use crate::{form, names};

#[cfg(test)]
mod tests;

/// Actions of one workflow.
const ACTIONS_MAX: usize = 50;
/// Addresses of one mail.
const RECIPIENTS_MAX: usize = 50;
/// Fewest and most minutes in which a payment can be made.
const EXPIRES_MIN: u32 = 5;
const EXPIRES_MAX: u32 = 43_200;
/// What a record has besides the fields of its form.
pub const RECORD_FACTS: [&str; 5] = ["id", "created_at", "updated_at", "created_by", "version"];

/// What the value of a form's field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// a text
    Text,
    /// a whole number
    Whole,
    /// an exact number, as text, with so many places after the point
    Decimal(u8),
    /// true or false
    Flag,
    /// a list of texts
    List,
    /// an object
    Object,
}

impl Shape {
    /// Whether a value of this shape is what an operation's field takes.
    pub const fn suits(self, wanted: FieldType) -> bool {
        match wanted {
            FieldType::Integer => matches!(self, Self::Whole),
            FieldType::Number => matches!(self, Self::Whole | Self::Decimal(_)),
            FieldType::Boolean => matches!(self, Self::Flag),
            FieldType::Object => matches!(self, Self::Object),
            FieldType::List => matches!(self, Self::List),
            FieldType::String
            | FieldType::Text
            | FieldType::Email
            | FieldType::Phone
            | FieldType::Url
            | FieldType::Date
            | FieldType::DateTime => !matches!(self, Self::Object | Self::List),
        }
    }
}

impl From<&form::FormField> for Shape {
    fn from(field: &form::FormField) -> Self {
        use form::FieldType as F;
        match field.kind {
            F::Number => Self::Whole,
            F::Decimal | F::Currency => Self::Decimal(field.places()),
            F::Checkbox => Self::Flag,
            F::MultiSelect => Self::List,
            F::File | F::Name | F::Address => Self::Object,
            F::SingleLine
            | F::MultiLine
            | F::Email
            | F::Phone
            | F::Url
            | F::Date
            | F::DateTime
            | F::Time
            | F::Dropdown
            | F::Radio => Self::Text,
        }
    }
}

/// What a workflow is checked against.
#[derive(Debug, Default)]
pub struct Grounds {
    /// the forms of the application: link name → field → what its values look like, and whether it is unique
    pub forms: BTreeMap<String, BTreeMap<String, (Shape, bool)>>,
    /// the connections that the application may use: link name → connector
    pub connections: BTreeMap<String, Arc<Connector>>,
    /// of those to custom connectors: link name → number of the connector's version, so that whoever saves can see that it still is so
    pub versions: BTreeMap<String, i64>,
    /// link names of the datasources of the application
    pub datasources: BTreeSet<String>,
    /// the columns of those that development has pulled; of the others nobody knows them
    pub columns: BTreeMap<String, Vec<String>>,
    /// the organization's region
    pub region: String,
    /// what services have described lately, as it is served to everybody
    pub described: Vec<Described>,
}

/// What a service described of an operation's further fields when it was asked.
#[derive(Clone, Debug)]
pub struct Described {
    /// link name of the connection
    pub connection: String,
    pub module: String,
    pub operation: String,
    /// what the service was asked
    pub question: Question,
    pub fields: Arc<Vec<Field>>,
    /// whether these are all
    pub whole: bool,
}

impl Grounds {
    /// What the service described lately of the fields that a push takes.
    pub fn described(&self, integration: &Integration) -> Option<&Described> {
        let connector = self.connections.get(&integration.connection)?;
        let operation = connector.modules.get(&integration.module)?.operations.get(&integration.operation)?;
        let asked = operation.more_fields.as_ref()?.question(&integration.given()).ok()?;
        self.described.iter().find(|one| {
            one.connection == integration.connection
                && one.module == integration.module
                && one.operation == integration.operation
                && one.question == asked
        })
    }
}

impl Grounds {
    /// Adds a form of the application.
    pub fn form(&mut self, link_name: &str, form: &form::Form) {
        let fields = form.fields.iter();
        let facts = fields.map(|field| (field.name.clone(), (Shape::from(field), field.unique))).collect();
        self.forms.insert(link_name.to_owned(), facts);
    }
}

/// What sets actions off, and so what they can name.
#[derive(Clone, Copy, Debug)]
pub enum Scene<'a> {
    /// something happened to a record of a form with these fields
    Record(&'a BTreeMap<String, (Shape, bool)>),
    /// a moment came; there is no record
    Clock,
}

struct Check<'a> {
    grounds: &'a Grounds,
    scene: Scene<'a>,
    /// names of the actions before
    before: Vec<&'a str>,
    /// whether rows of datasources can be named: when actions are done, not where something is decided in the transaction of a record
    rows: bool,
    wrong: Vec<FieldError>,
}

impl Workflow {
    /// Everything that is wrong with it, under dotted paths from the definition's root.
    pub fn check(&self, grounds: &Grounds) -> Result<(), Vec<FieldError>> {
        let Some(fields) = grounds.forms.get(&self.form) else {
            // Everything that names a field would be wrong with it.
            let message = format!("The application has no form {:?}.", self.form);
            return Err(vec![FieldError::new("form", "unknown", message)]);
        };
        let scene = Scene::Record(fields);
        let mut check = Check::of(grounds, scene);
        check.condition("condition", self.condition.as_deref());
        let mut wrong = check.wrong;
        wrong.extend(check_actions(&self.actions, grounds, scene));
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Everything that is wrong with the actions of a definition, under dotted paths from its root.
pub fn check_actions(actions: &[WorkflowAction], grounds: &Grounds, scene: Scene<'_>) -> Vec<FieldError> {
    let mut check = Check { rows: true, ..Check::of(grounds, scene) };
    match actions.len() {
        0 => check.wrong("actions", "required", "Say what is to be done."),
        1..=ACTIONS_MAX => {}
        _ => check.wrong("actions", "too_long", format!("There are at most {ACTIONS_MAX} actions.")),
    }
    for (index, action) in actions.iter().enumerate() {
        check.action(&format!("actions.{index}"), action);
        check.before.push(&action.name);
    }
    check.wrong
}

/// Everything that is wrong with a call of an operation, under dotted paths from its root.
pub fn check_integration(integration: &Integration, grounds: &Grounds, scene: Scene<'_>) -> Vec<FieldError> {
    let mut check = Check::of(grounds, scene);
    check.integration("", integration);
    check.wrong
}

impl<'a> Check<'a> {
    const fn of(grounds: &'a Grounds, scene: Scene<'a>) -> Self {
        Self { grounds, scene, before: Vec::new(), rows: false, wrong: Vec::new() }
    }

    /// What the values of a field of the record look like.
    fn field(&self, name: &str) -> Option<Shape> {
        match self.scene {
            Scene::Record(fields) => fields.get(name).map(|(shape, _)| *shape),
            Scene::Clock => None,
        }
    }

    fn wrong(&mut self, path: impl Into<String>, code: &str, message: impl Into<String>) {
        // What stands at the root has no dot before it.
        let path: String = path.into();
        let path = path.strip_prefix('.').unwrap_or(&path);
        self.wrong.push(FieldError::new(path, code, message.into()));
    }

    fn action(&mut self, path: &str, action: &'a WorkflowAction) {
        let name = &action.name;
        if let Err(why) = names::link_name(name) {
            self.wrong(format!("{path}.name"), "invalid", format!("The name {why}."));
        } else if self.before.contains(&name.as_str()) {
            self.wrong(format!("{path}.name"), "taken", "Another action has this name.");
        }
        self.condition(&format!("{path}.condition"), action.condition.as_deref());
        match action.work() {
            None => self.wrong(
                path,
                "invalid",
                "An action is exactly one of integration, invoke, mail, update_record, payment, webhook and pull.",
            ),
            Some(Work::Integration(integration)) => {
                self.integration(&format!("{path}.integration"), integration);
            }
            Some(Work::Invoke(request)) => self.request(&format!("{path}.invoke"), request),
            Some(Work::Mail(mail)) => self.mail(&format!("{path}.mail"), mail),
            Some(Work::Pull(pull)) => {
                if !self.grounds.datasources.contains(&pull.datasource) {
                    let message = format!("The application has no datasource {:?}.", pull.datasource);
                    self.wrong(format!("{path}.pull.datasource"), "unknown", message);
                }
            }
            Some(Work::UpdateRecord(_)) if matches!(self.scene, Scene::Clock) => self.wrong(
                format!("{path}.update_record"),
                "invalid",
                "There is no record here that could be changed: a schedule runs at times, not for records.",
            ),
            Some(Work::Webhook(webhook)) => self.webhook(&format!("{path}.webhook"), webhook),
            Some(Work::Payment(_)) if matches!(self.scene, Scene::Clock) => self.wrong(
                format!("{path}.payment"),
                "invalid",
                "There is nobody here who could pay: a schedule runs at times, not for records.",
            ),
            Some(Work::Payment(payment)) => self.payment(&format!("{path}.payment"), payment),
            Some(Work::UpdateRecord(update)) => {
                let path = format!("{path}.update_record.set");
                if update.set.is_empty() {
                    self.wrong(&path, "required", "Say which fields are to change.");
                }
                for (field, mapped) in &update.set {
                    let path = format!("{path}.{field}");
                    if self.field(field).is_none() {
                        self.wrong(&path, "unknown", "The form has no such field.");
                    }
                    self.mapped(&path, mapped, None);
                }
            }
        }
    }

    fn connector(&mut self, path: &str, connection: &str) -> Option<Arc<Connector>> {
        let found = self.grounds.connections.get(connection).cloned();
        if found.is_none() {
            let message = format!("There is no connection {connection:?} that this application may use.");
            self.wrong(format!("{path}.connection"), "unknown", message);
        }
        found
    }

    fn integration(&mut self, path: &str, integration: &'a Integration) {
        let Some(connector) = self.connector(path, &integration.connection) else { return };
        let Some(module) = connector.modules.get(&integration.module) else {
            let message = known("module", connector.name.as_str(), connector.modules.keys());
            return self.wrong(format!("{path}.module"), "unknown", message);
        };
        let Some(operation) = module.operations.get(&integration.operation) else {
            let message = known("operation", &integration.module, module.operations.keys());
            return self.wrong(format!("{path}.operation"), "unknown", message);
        };
        let fields = module.fields_of(operation);
        let is_fixed = |name: &String| fields.iter().any(|field| field.name == *name);
        let further = operation.more_fields.as_ref();
        let service = &connector.name;
        for field in &fields {
            if !field.required || integration.mapping.contains_key(&field.name) {
                continue;
            }
            let title = field.label.as_deref().unwrap_or(&field.name);
            let message = if further.is_none_or(|more| more.into.as_ref() != Some(&field.name)) {
                format!("{title} is required by the service.")
            } else if integration.mapping.keys().all(is_fixed) {
                format!("Map one of the fields that {service} describes, or give {title} whole.")
            } else {
                // The object that takes further fields is given by any of them.
                continue;
            };
            self.wrong(format!("{path}.mapping.{}", field.name), "required", message);
        }
        for (name, mapped) in &integration.mapping {
            let path = format!("{path}.mapping.{name}");
            match fields.iter().find(|field| field.name == *name) {
                Some(field) => self.mapped(&path, mapped, Some(field)),
                None if further.is_some() => {
                    self.further(&path, service, integration, name, mapped);
                }
                None => self.wrong(&path, "unknown", "The operation has no such field."),
            }
        }
        for (member, given) in
            [("types", !integration.types.is_empty()), ("shapes", !integration.shapes.is_empty())]
        {
            if further.is_none() && given {
                let message = format!(
                    "The service describes no further fields of this operation: leave `{member}` out."
                );
                self.wrong(format!("{path}.{member}"), "invalid", message);
            }
        }
        for (name, shape) in &integration.shapes {
            if is_fixed(name) {
                let message = "The connector says in which shape this field is sent: leave it out.";
                self.wrong(format!("{path}.shapes.{name}"), "invalid", message);
            } else if !shape::takes(shape) {
                let message = "Say with the text \"{value}\" where the value goes.";
                self.wrong(format!("{path}.shapes.{name}"), "invalid", message);
            }
        }
    }

    /// A field that the document does not list, and the service itself may have described. What is not known is given the benefit of the
    /// doubt: a right mapping must not wait for a service that does not answer.
    fn further(
        &mut self,
        path: &str,
        service: &str,
        integration: &'a Integration,
        name: &str,
        mapped: &'a Mapped,
    ) {
        let grounds = self.grounds;
        let described = grounds.described(integration);
        let field = described.and_then(|one| one.fields.iter().find(|field| field.name == name));
        if let Some(shape) = field.and_then(|field| field.shape.as_ref())
            && !integration.shapes.contains_key(name)
        {
            let message = format!(
                "{service} takes it in a shape of its own: put {shape} into `shapes` under the field's name."
            );
            self.wrong(path, "required", message);
        }
        match (field, integration.types.get(name)) {
            (Some(field), _) => self.mapped(path, mapped, Some(field)),
            (None, _) if described.is_some_and(|one| one.whole) => {
                let message = format!(
                    "{service} described no such field when it was asked. If it is new there, ask {service} for its fields again; else leave it out."
                );
                self.wrong(path, "unknown", message);
            }
            (None, Some(kind)) => {
                let field = Field { name: name.to_owned(), kind: *kind, ..Field::default() };
                self.mapped(path, mapped, Some(&field));
            }
            (None, None) => self.mapped(path, mapped, None),
        }
    }

    fn mapped(&mut self, path: &str, mapped: &'a Mapped, wanted: Option<&Field>) {
        match mapped {
            Mapped::Value(value) => {
                if let Some(Err(why)) =
                    wanted.filter(|_| !value.is_null()).map(|field| field.fit(value.clone()))
                {
                    self.wrong(path, "invalid", format!("It {why}."));
                }
            }
            Mapped::Field(_) if matches!(self.scene, Scene::Clock) => self.wrong(
                path,
                "invalid",
                "There is no record here, so there are no fields. Give a value, a text or an expression.",
            ),
            Mapped::Field(name) => match self.field(name) {
                None if RECORD_FACTS.contains(&name.as_str()) => {}
                None => self.wrong(path, "unknown", format!("The form has no field {name:?}.")),
                Some(shape) => {
                    if let Some(field) = wanted.filter(|field| !shape.suits(field.kind)) {
                        let message = format!(
                            "The service wants {} here, and {name:?} is something else. Map another field, or use an expression.",
                            field.kind.as_str()
                        );
                        self.wrong(path, "invalid", message);
                    }
                }
            },
            Mapped::Expression(text) => self.expression(path, text),
            Mapped::Text(text) => self.text(path, text),
            Mapped::Lookup(lookup) => self.lookup(path, lookup),
        }
    }

    fn lookup(&mut self, path: &str, lookup: &Lookup) {
        self.expression(&format!("{path}.lookup.is"), &lookup.is);
        if let Some(datasource) = &lookup.datasource {
            // Its columns are what the service gives: nobody knows them before it is pulled.
            if !lookup.form.is_empty() {
                let message = "Look in a form or in a datasource, not in both.";
                self.wrong(format!("{path}.lookup"), "invalid", message);
            }
            if !self.grounds.datasources.contains(datasource) {
                let message = format!("The application has no datasource {datasource:?}.");
                self.wrong(format!("{path}.lookup.datasource"), "unknown", message);
            }
            for (member, name) in [("by", &lookup.by), ("take", &lookup.take)] {
                if name.is_empty() {
                    self.wrong(format!("{path}.lookup.{member}"), "required", "Name a column.");
                }
            }
            return;
        }
        let Some(fields) = self.grounds.forms.get(&lookup.form) else {
            let message = format!("The application has no form {:?}.", lookup.form);
            return self.wrong(format!("{path}.lookup.form"), "unknown", message);
        };
        let (by, take) = (fields.get(&lookup.by), fields.contains_key(&lookup.take));
        let unique = by.is_some_and(|(_, unique)| *unique) || lookup.by == "id";
        if !unique {
            let message = "Records are looked up by `id` or by a field that is unique.";
            self.wrong(format!("{path}.lookup.by"), "invalid", message);
        }
        if !take && !RECORD_FACTS.contains(&lookup.take.as_str()) {
            self.wrong(format!("{path}.lookup.take"), "unknown", "That form has no such field.");
        }
    }

    fn request(&mut self, path: &str, request: &'a Request) {
        self.connector(path, &request.connection);
        self.text(&format!("{path}.url"), &request.url);
        for (part, texts) in [("query", &request.query), ("headers", &request.headers)] {
            for (name, text) in texts {
                self.text(&format!("{path}.{part}.{name}"), text);
            }
        }
        if let Some(body) = &request.body {
            self.body(&format!("{path}.body"), body);
        }
        if request.body_encoding != RequestEncoding::Json
            && !request.body.as_ref().is_some_and(Value::is_object)
        {
            self.wrong(
                format!("{path}.body"),
                "invalid",
                "Written as a form or in parts, the body is an object: its members are the fields.",
            );
        }
    }

    fn body(&mut self, path: &str, body: &Value) {
        match body {
            Value::String(text) => self.text(path, text),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.body(&format!("{path}.{index}"), item);
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    self.body(&format!("{path}.{name}"), value);
                }
            }
            _ => {}
        }
    }

    fn mail(&mut self, path: &str, mail: &Mail) {
        if mail.to.is_empty() || mail.to.len() > RECIPIENTS_MAX {
            let message = format!("Name 1 to {RECIPIENTS_MAX} addresses.");
            self.wrong(format!("{path}.to"), "invalid", message);
        }
        for (index, to) in mail.to.iter().enumerate() {
            self.text(&format!("{path}.to.{index}"), to);
        }
        self.text(&format!("{path}.subject"), &mail.subject);
        self.text(&format!("{path}.text"), &mail.text);
    }

    fn webhook(&mut self, path: &str, webhook: &'a Webhook) {
        self.text(&format!("{path}.url"), &webhook.url);
        // Http passes here as everywhere; the installation's outgoing rules decide.
        if !target::has_web_scheme(&webhook.url) {
            let message = "Say the whole address, beginning with https://.";
            self.wrong(format!("{path}.url"), "invalid", message);
        } else if !webhook.url.contains("{{")
            && let Err(why) = target::parse(&webhook.url)
        {
            self.wrong(format!("{path}.url"), "invalid", format!("It cannot be sent there: {why}."));
        }
        for (name, text) in &webhook.headers {
            let path = format!("{path}.headers.{name}");
            self.text(&path, text);
            let lower = name.to_ascii_lowercase();
            let own =
                ["host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent"];
            if lower.starts_with("webhook-") || own.contains(&lower.as_str()) {
                self.wrong(&path, "not_allowed", "This header is set by Jackfield.");
            }
        }
        self.body(&format!("{path}.body"), &webhook.body);
    }

    fn payment(&mut self, path: &str, payment: &'a PaymentAction) {
        let Some(connector) = self.connector(path, &payment.connection) else { return };
        self.mapped(&format!("{path}.amount"), &payment.amount, None);
        if let Mapped::Field(name) = &payment.amount
            && self
                .field(name)
                .is_some_and(|shape| matches!(shape, Shape::Flag | Shape::List | Shape::Object))
        {
            self.wrong(
                format!("{path}.amount"),
                "invalid",
                format!("{name:?} is no amount. Map another field, or use an expression."),
            );
        }
        self.text(&format!("{path}.description"), &payment.description);
        if payment.description.trim().is_empty() {
            self.wrong(format!("{path}.description"), "required", "Say what is paid for.");
        }
        if let Some(reference) = &payment.reference {
            self.text(&format!("{path}.reference"), reference);
        }
        if let Some(email) = &payment.email {
            self.mapped(&format!("{path}.email"), email, None);
        }
        if payment.expires_minutes.is_some_and(|minutes| !(EXPIRES_MIN..=EXPIRES_MAX).contains(&minutes)) {
            let message = format!("Say {EXPIRES_MIN} to {EXPIRES_MAX} minutes.");
            self.wrong(format!("{path}.expires_minutes"), "out_of_range", message);
        }
        if payment.success_text.as_ref().is_some_and(|text| text.chars().count() > 2000) {
            self.wrong(format!("{path}.success_text"), "too_long", "At most 2000 characters.");
        }
        let Some(described) = &connector.payment else {
            let message =
                format!("{} takes no payments here: its connector has no `payment`.", connector.name);
            return self.wrong(format!("{path}.connection"), "invalid", message);
        };
        if let Some(why) = connector.refusal_in(&self.grounds.region) {
            self.wrong(format!("{path}.connection"), "not_available", why);
        }
        let currency = format!("{path}.currency");
        match &payment.currency {
            Currency::Mapped(Mapped::Value(Value::String(code))) | Currency::Code(code) => {
                match described.takes(&connector.name, code) {
                    Err(why) => self.wrong(&currency, "invalid", why),
                    Ok(()) => {
                        if let Err(why) = self.payable(&connector, described, &payment.amount, code) {
                            self.wrong(format!("{path}.amount"), "invalid", why);
                        }
                    }
                }
            }
            Currency::Mapped(mapped) => self.mapped(&currency, mapped, None),
        }
    }

    /// Whether a service can be asked for an amount in a currency, as far as that is known before it is computed; the error is a sentence.
    fn payable(
        &self,
        connector: &Connector,
        described: &crate::connector::Payment,
        amount: &Mapped,
        currency: &str,
    ) -> Result<(), String> {
        match amount {
            Mapped::Value(value) => amount_of(value, currency)
                .and_then(|minor| described.amount(&connector.name, minor, currency).map(drop)),
            Mapped::Field(name) => match (self.field(name), described.exponent(currency)) {
                (Some(Shape::Decimal(places)), most) if places > most => Err(format!(
                    "{} takes {currency} with {most} places after the point, and {name:?} has {places}. Give the field `decimals` {most}, or round it in an expression.",
                    connector.name
                )),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn condition(&mut self, path: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.expression(path, text);
        }
    }

    fn expression(&mut self, path: &str, text: &str) {
        match Expression::parse(text) {
            Err(why) => self.wrong(path, "invalid", why),
            Ok(expression) => {
                self.names(path, expression.names());
                self.tables(path, expression.tables());
            }
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        match Text::parse(text) {
            Err(why) => self.wrong(path, "invalid", why),
            Ok(parsed) => {
                self.names(path, parsed.names());
                self.tables(path, parsed.tables());
            }
        }
    }

    /// Columns that a datasource does not have, where it is known which it has.
    fn tables(&mut self, path: &str, tables: Vec<(String, Vec<String>)>) {
        for (datasource, columns) in tables {
            let Some(known) = self.grounds.columns.get(&datasource).filter(|known| !known.is_empty()) else {
                continue;
            };
            for column in columns.iter().filter(|column| !column.starts_with('/')) {
                // `object.member` of an object that is empty so far is nobody's mistake.
                let object = column.split_once('.').map_or(column.as_str(), |(object, _)| object);
                if !known.iter().any(|one| one == column || one == object) {
                    let has: Vec<&str> = known.iter().take(50).map(String::as_str).collect();
                    let message = format!(
                        "The datasource {datasource:?} has no column {column:?}. It has {}.",
                        has.join(", ")
                    );
                    self.wrong(path, "unknown", message);
                }
            }
        }
    }

    /// Names that will have no value when it runs.
    fn names(&mut self, path: &str, names: Vec<String>) {
        for name in names {
            let mut parts = name.split('.');
            let (root, next) = (parts.next().unwrap_or_default(), parts.next());
            if let ("rows", Some(datasource), true) = (root, next, self.rows) {
                if !self.grounds.datasources.contains(datasource) {
                    let message = format!("The application has no datasource {datasource:?}.");
                    self.wrong(path, "unknown", message);
                }
                continue;
            }
            let known = match (self.scene, root, next) {
                (Scene::Record(_), "record" | "former", Some(field)) => {
                    self.field(field).is_some() || RECORD_FACTS.contains(&field)
                }
                (Scene::Record(_), "submitter", Some(fact)) => ["id", "name", "email"].contains(&fact),
                (Scene::Record(_), "record" | "former" | "submitter" | "form", None)
                | (Scene::Clock, "tick" | "date", None)
                | (_, "results" | "event" | "environment" | "application", None) => true,
                (_, "results", Some(action)) => self.before.contains(&action),
                _ => false,
            };
            if !known {
                let there = match self.scene {
                    Scene::Record(_) => {
                        "record.<field>, former.<field>, results.<action before>, submitter, event, environment, application and form"
                    }
                    Scene::Clock => "tick, date, results.<action before>, event, environment and application",
                };
                let rows = if self.rows { ", and rows.<datasource>" } else { "" };
                let message = format!("There is no {name:?} here. There are {there}{rows}.");
                self.wrong(path, "unknown", message);
            }
        }
    }
}

fn known<'n>(kind: &str, of: &str, names: impl Iterator<Item = &'n String>) -> String {
    let names: Vec<&str> = names.take(50).map(String::as_str).collect();
    if names.is_empty() {
        format!("{of} has no {kind}s.")
    } else {
        format!("{of} has no such {kind}. It has {}.", names.join(", "))
    }
}
