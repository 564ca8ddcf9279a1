//! The definition of a workflow, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::expression::{Expression, Text};
use super::run::RecordEvent;
use crate::connector::{Connector, Field, FieldType, Method, target};
use crate::error::FieldError;
use crate::{form, money, names};

/// Actions of one workflow.
const ACTIONS_MAX: usize = 50;
/// Addresses of one mail.
const RECIPIENTS_MAX: usize = 50;
/// Fewest and most minutes in which a payment can be made.
const EXPIRES_MIN: u32 = 5;
const EXPIRES_MAX: u32 = 43_200;
/// What a record has besides the fields of its form.
pub const RECORD_FACTS: [&str; 5] = ["id", "created_at", "updated_at", "created_by", "version"];

const fn yes() -> bool {
    true
}

/// What runs on an event of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// link name of the form
    pub form: String,
    /// when it runs
    pub on: Trigger,
    /// an expression; where it does not hold, nothing runs
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// what is done, in this order
    pub actions: Vec<WorkflowAction>,
    /// false: nothing runs
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// When a workflow runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// a record was made
    Created,
    /// a record was changed
    Edited,
    /// a record was made or changed
    CreatedOrEdited,
    /// a record was deleted
    Deleted,
}

impl Trigger {
    /// Whether an event sets it off.
    pub const fn fires_on(self, event: RecordEvent) -> bool {
        matches!(
            (self, event),
            (Self::Created | Self::CreatedOrEdited, RecordEvent::Created)
                | (Self::Edited | Self::CreatedOrEdited, RecordEvent::Edited)
                | (Self::Deleted, RecordEvent::Deleted)
        )
    }
}

/// One thing that a workflow does: exactly one of `integration`, `invoke`, `mail`, `update_record`, `payment`, `webhook`, `pull`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowAction {
    /// `[a-z0-9_]{1,64}`, unique in the workflow; later actions find what this one made under `results.<name>`
    pub name: String,
    /// an expression; where it does not hold, the action is left out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// what becomes of the actions after it when it fails for good
    #[serde(default, skip_serializing_if = "OnFailure::is_stop")]
    pub on_failure: OnFailure,
    /// pushes to a module of a service
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<Integration>,
    /// calls a service
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke: Option<Request>,
    /// sends a mail
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// changes the record
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_record: Option<UpdateRecord>,
    /// asks for money, and waits until it is there
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentAction>,
    /// sends a signed webhook to any public address
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// pulls a datasource
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
}

/// Pulls a datasource of the application, and waits until it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// link name of the datasource
    pub datasource: String,
    /// everything, though what changed could be asked for
    #[serde(default)]
    pub full: bool,
}

/// What becomes of the actions after one that failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// they are not done, and the run has failed
    #[default]
    Stop,
    /// they are done all the same
    Continue,
}

impl OnFailure {
    /// Whether it stops; for serde.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

/// Pushes to a module of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Integration {
    /// link name of a connection
    pub connection: String,
    /// a module of its connector
    pub module: String,
    /// an operation of the module
    pub operation: String,
    /// the operation's fields by name, and where their values come from
    #[serde(default)]
    pub mapping: BTreeMap<String, Mapped>,
    /// of which type those fields are that the service itself described; what is absent is sent as it is
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, FieldType>,
}

impl Integration {
    /// What is mapped to a fixed text, number or flag: with it the service can be asked before anything runs.
    pub fn given(&self) -> BTreeMap<String, String> {
        let fixed = self.mapping.iter().filter_map(|(name, mapped)| match mapped {
            Mapped::Value(Value::String(text)) => Some((name.clone(), text.clone())),
            Mapped::Value(value @ (Value::Number(_) | Value::Bool(_))) => {
                Some((name.clone(), value.to_string()))
            }
            _ => None,
        });
        fixed.collect()
    }

    /// Brings the values of fields that the service described into their types. The error stands under the field's name.
    pub fn fit(&self, arguments: &mut Map<String, Value>) -> Result<(), FieldError> {
        for (name, kind) in &self.types {
            if let Some(value) = arguments.get_mut(name).filter(|value| !value.is_null()) {
                *value = kind
                    .fit(value.take())
                    .map_err(|why| FieldError::new(name.clone(), "invalid", format!("It {why}.")))?;
            }
        }
        Ok(())
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mapped {
    /// the value itself
    Value(Value),
    /// a field of the record
    Field(String),
    /// what an expression gives
    Expression(String),
    /// text with `{{ expression }}` in it
    Text(String),
    /// a field of another record
    Lookup(Lookup),
}

/// Finds a record of a form, or a row of a datasource, of the same application, in the same environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// link name of the form; empty where a datasource is meant
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub form: String,
    /// link name of the datasource, instead of a form
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasource: Option<String>,
    /// `id`, or a field of that form that is unique; of a datasource any column: the first row that fits is taken
    pub by: String,
    /// an expression that gives the value to look for
    pub is: String,
    /// the field whose value is taken; of a datasource a column, or a JSON pointer into the row
    pub take: String,
}

/// Calls a service through a connection, as invoke does. Texts may have `{{ expression }}` in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// link name of a connection
    pub connection: String,
    /// its method
    #[serde(default)]
    pub method: Method,
    /// path joined to the connector's base URL
    pub url: String,
    /// query parameters
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// headers
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// JSON whose texts may have `{{ expression }}` in them; a text that is one expression and nothing else gives its value as it is
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// how the body is written
    #[serde(default, skip_serializing_if = "RequestEncoding::is_json")]
    pub body_encoding: RequestEncoding,
    /// whether it may be sent again without a second effect. Absent: as its method says (RFC 9110 §9.2.2)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeatable: Option<bool>,
}

/// How the body of a request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestEncoding {
    /// as JSON
    #[default]
    Json,
    /// as the fields of a form
    Form,
    /// `multipart/form-data`: a part for each member; one that is a file of the record is sent as that file
    Multipart,
}

impl RequestEncoding {
    /// As invoke calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
            Self::Multipart => "multipart",
        }
    }

    /// Whether it is JSON; for serde.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

/// Sends a mail by the installation's mail server. Texts may have `{{ expression }}` in them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// addresses
    pub to: Vec<String>,
    /// one line
    pub subject: String,
    /// plain text
    pub text: String,
}

/// Changes the record that set the workflow off. It sets off no workflow itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRecord {
    /// fields of the form, and where their values come from
    pub set: BTreeMap<String, Mapped>,
}

/// Asks for money on a checkout page of the connection's service, and waits until it is paid or nobody will pay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentAction {
    /// link name of a connection whose connector has `payment`
    pub connection: String,
    /// how much: a decimal such as `12.50`, with at most so many places as the currency has
    pub amount: Mapped,
    /// code of ISO 4217, such as `EUR`
    pub currency: Currency,
    /// what the payer reads on the page; may have `{{ expression }}` in it
    pub description: String,
    /// stands beside the payment at the service; may have `{{ expression }}` in it. Absent: the id of the record
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// address of the payer
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Mapped>,
    /// how long there is time to pay: 5 to 43,200 minutes, and what the service allows; an hour unless told
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_minutes: Option<u32>,
    /// what the payer reads when it is paid
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_text: Option<String>,
    /// what becomes of the run when it is not paid
    #[serde(default, skip_serializing_if = "OnUnpaid::is_stop")]
    pub on_unpaid: OnUnpaid,
}

/// A currency: its code, or where that comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Currency {
    /// the code itself
    Code(String),
    /// where it comes from
    Mapped(Mapped),
}

/// What becomes of a run when its payment has failed, expired or was called off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnpaid {
    /// the action has failed
    #[default]
    Stop,
    /// the action is done; `results.<action>.state` says how it ended
    Continue,
}

impl OnUnpaid {
    /// Whether it stops; for serde.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

/// Sends a POST to any public https address, signed as Standard Webhooks has it. Texts may have `{{ expression }}` in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// absolute address
    pub url: String,
    /// JSON whose texts may have `{{ expression }}` in them; a text that is one expression and nothing else gives its value as it is
    pub body: Value,
    /// headers besides those of the signature
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What an action does, whichever it is.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// pushes to a module
    Integration(&'a Integration),
    /// calls a service
    Invoke(&'a Request),
    /// sends a mail
    Mail(&'a Mail),
    /// changes the record
    UpdateRecord(&'a UpdateRecord),
    /// pulls a datasource
    Pull(&'a Pull),
    /// asks for money
    Payment(&'a PaymentAction),
    /// sends a webhook
    Webhook(&'a Webhook),
}

impl WorkflowAction {
    /// What it does; `None` where it says nothing or more than one thing.
    pub fn work(&self) -> Option<Work<'_>> {
        let mut all = [
            self.integration.as_ref().map(Work::Integration),
            self.invoke.as_ref().map(Work::Invoke),
            self.mail.as_ref().map(Work::Mail),
            self.update_record.as_ref().map(Work::UpdateRecord),
            self.pull.as_ref().map(Work::Pull),
            self.payment.as_ref().map(Work::Payment),
            self.webhook.as_ref().map(Work::Webhook),
        ]
        .into_iter()
        .flatten();
        let only = all.next();
        if all.next().is_some() { None } else { only }
    }

    /// The datasources whose rows its expressions name: at least these.
    pub fn rows_named(&self) -> BTreeSet<String> {
        fn take(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::String(text) => {
                    found.extend(super::expression::rows_named(text).map(|(name, _)| name.to_owned()));
                }
                Value::Array(items) => items.iter().for_each(|item| take(item, found)),
                Value::Object(members) => members.values().for_each(|value| take(value, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        if let Ok(whole) = serde_json::to_value(self) {
            take(&whole, &mut found);
        }
        found
    }

    /// The connection that it calls through.
    pub fn connection(&self) -> Option<&str> {
        match self.work()? {
            Work::Integration(integration) => Some(&integration.connection),
            Work::Invoke(request) => Some(&request.connection),
            Work::Payment(payment) => Some(&payment.connection),
            // A datasource knows its own.
            Work::Mail(_) | Work::UpdateRecord(_) | Work::Pull(_) | Work::Webhook(_) => None,
        }
    }
}

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

impl Grounds {
    /// Adds a form of the application.
    pub fn form(&mut self, link_name: &str, form: &form::Form) {
        let fields = form.fields.iter();
        let facts = fields.map(|field| (field.name.clone(), (Shape::from(field), field.unique))).collect();
        self.forms.insert(link_name.to_owned(), facts);
    }
}

/// What a workflow is checked against.
#[derive(Debug, Default)]
pub struct Grounds {
    /// the forms of the application: link name → field → what its values look like, and whether it is unique
    pub forms: BTreeMap<String, BTreeMap<String, (Shape, bool)>>,
    /// the connections that the application may use: link name → connector
    pub connections: BTreeMap<String, Arc<Connector>>,
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
    /// what the service was asked with
    pub with: Map<String, Value>,
    pub fields: Arc<Vec<Field>>,
    /// whether these are all
    pub whole: bool,
}

impl Grounds {
    /// What the service described lately of the fields that a push takes.
    pub fn described(&self, integration: &Integration) -> Option<&Described> {
        let connector = self.connections.get(&integration.connection)?;
        let operation = connector.modules.get(&integration.module)?.operations.get(&integration.operation)?;
        let asked = operation.more_fields.as_ref()?.asked(&integration.given()).ok()?;
        self.described.iter().find(|one| {
            one.connection == integration.connection
                && one.module == integration.module
                && one.operation == integration.operation
                && one.with == asked
        })
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
    /// The connections that it calls through, each once, in order.
    pub fn connections(&self) -> Vec<String> {
        connections_of(&self.actions)
    }

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

/// The connections that actions call through, each once, in order.
pub fn connections_of(actions: &[WorkflowAction]) -> Vec<String> {
    let mut all: Vec<String> =
        actions.iter().filter_map(WorkflowAction::connection).map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all
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
        // The object that takes further fields is given by any of them.
        let takes = |field: &Field| {
            further.is_some_and(|more| more.into.as_ref() == Some(&field.name))
                && !integration.mapping.keys().all(is_fixed)
        };
        for field in &fields {
            if field.required && !integration.mapping.contains_key(&field.name) && !takes(field) {
                self.wrong(
                    format!("{path}.mapping.{}", field.name),
                    "required",
                    format!("{} is required by the service.", field.label.as_deref().unwrap_or(&field.name)),
                );
            }
        }
        for (name, mapped) in &integration.mapping {
            let path = format!("{path}.mapping.{name}");
            match fields.iter().find(|field| field.name == *name) {
                Some(field) => self.mapped(&path, mapped, Some(field)),
                None if further.is_some() => self.further(&path, &connector.name, integration, name, mapped),
                None => self.wrong(&path, "unknown", "The operation has no such field."),
            }
        }
        if further.is_none() && !integration.types.is_empty() {
            let message = "The service describes no further fields of this operation: leave `types` out.";
            self.wrong(format!("{path}.types"), "invalid", message);
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

/// An amount as expressions give it, in the smallest units of its currency. The error is a sentence.
pub fn amount_of(value: &Value, currency: &str) -> Result<i64, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        // A float is no exact amount, but its shortest text is what somebody has written.
        Value::Number(number) => number.to_string(),
        _ => return Err("The amount is missing.".to_owned()),
    };
    match money::minor(&text, money::exponent(currency)) {
        Ok(0) => Err("The amount is 0; there is nothing to pay.".to_owned()),
        Ok(minor) => Ok(minor),
        Err(why) => Err(format!("The amount {why}.")),
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

impl Mapped {
    /// The value, except of a lookup, which has to be looked up. `Err` is a sentence without values.
    pub fn value(&self, context: &Value) -> Option<Result<Value, String>> {
        let of_record = |name: &str| context.pointer("/record").and_then(|record| record.get(name)).cloned();
        match self {
            Self::Value(value) => Some(Ok(value.clone())),
            Self::Field(name) => Some(Ok(of_record(name).unwrap_or(Value::Null))),
            Self::Expression(text) => Some(Expression::parse(text).and_then(|parsed| parsed.eval(context))),
            Self::Text(text) => {
                Some(Text::parse(text).and_then(|parsed| parsed.render(context)).map(Value::String))
            }
            Self::Lookup(_) => None,
        }
    }
}

impl Request {
    /// Whether sending it again has no second effect.
    pub fn is_repeatable(&self) -> bool {
        let by_method = matches!(self.method, Method::Get | Method::Head | Method::Put | Method::Delete);
        self.repeatable.unwrap_or(by_method)
    }

    /// The body with what its expressions give. `Err` is the dotted path within the body, and a sentence.
    pub fn rendered_body(&self, context: &Value) -> Result<Option<Value>, (String, String)> {
        self.body.as_ref().map(|body| render("body", body, context)).transpose()
    }
}

impl Webhook {
    /// The body with what its expressions give. `Err` is the dotted path within the body, and a sentence.
    pub fn rendered_body(&self, context: &Value) -> Result<Value, (String, String)> {
        render("body", &self.body, context)
    }
}

fn render(at: &str, body: &Value, context: &Value) -> Result<Value, (String, String)> {
    let inner = |name: &str| format!("{at}.{name}");
    Ok(match body {
        Value::String(text) => {
            let failed = |why| (at.to_owned(), why);
            // One expression and nothing else: its value as it is, be it a number or a list.
            let alone = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            match alone.filter(|inside| !inside.contains("}}")) {
                Some(inside) => Expression::parse(inside.trim())
                    .and_then(|parsed| parsed.eval(context))
                    .map_err(failed)?,
                None => Text::parse(text)
                    .and_then(|parsed| parsed.render(context))
                    .map(Value::String)
                    .map_err(failed)?,
            }
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| render(&inner(&index.to_string()), item, context))
                .collect::<Result<_, _>>()?
        }
        Value::Object(members) => {
            let mut made = Map::new();
            for (name, value) in members {
                made.insert(name.clone(), render(&inner(name), value, context)?);
            }
            Value::Object(made)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grounds() -> Grounds {
        let connector: Connector = serde_json::from_value(json!({
            "name": "Acme", "base_url": "https://acme.example", "auth": {"type": "none"},
            "modules": {"vendor": {
                "fields": [
                    {"name": "DisplayName", "required": true},
                    {"name": "Balance", "type": "number"},
                    {"name": "Active", "type": "boolean"},
                    {"name": "Kind", "choices": [{"value": "a", "label": "A"}]},
                ],
                "operations": {"create": {"method": "POST", "path": "/vendors"}},
            }},
        }))
        .unwrap();
        let fields = [
            ("vendor_name", (Shape::Text, true)),
            ("amount", (Shape::Decimal(2), false)),
            ("agreed", (Shape::Flag, false)),
            ("address", (Shape::Object, false)),
        ];
        let fields: BTreeMap<String, (Shape, bool)> =
            fields.into_iter().map(|(name, facts)| (name.to_owned(), facts)).collect();
        Grounds {
            forms: BTreeMap::from([("vendors".to_owned(), fields)]),
            connections: BTreeMap::from([
                ("acme".to_owned(), Arc::new(connector)),
                ("pay".to_owned(), Arc::new(cash())),
            ]),
            region: "eu".to_owned(),
            datasources: BTreeSet::from(["rates".to_owned()]),
            columns: BTreeMap::from([(
                "rates".to_owned(),
                ["day", "rate", "bank.name"].map(str::to_owned).to_vec(),
            )]),
            described: Vec::new(),
        }
    }

    #[test]
    fn rows_are_named_where_actions_are_done() {
        let tell = |text: &str| json!([{"name": "tell", "mail": {"to": ["a@b.example"], "subject": "s", "text": text}}]);
        let at = |code: &str| vec![("actions.0.mail.text".to_owned(), code.to_owned())];
        assert_eq!(
            faults(&tell("{{ rows.rates|length }} {{ rows.rates|table('day', 'bank.name', '/x/y') }}")),
            []
        );
        assert_eq!(faults(&tell("{{ rows.none|length }}")), at("unknown"));
        assert_eq!(faults(&tell("{{ rows|length }}")), at("unknown"));
        assert_eq!(faults(&tell("{{ rows.rates|table('day', 'rat') }}")), at("unknown"));
        let mut early = workflow(&tell("t"));
        early.condition = Some("rows.rates|length > 0".to_owned());
        assert_eq!(early.check(&grounds()).unwrap_err()[0].field, "condition");
        let action = &workflow(&tell("{{ rows.rates|table('day') }} {{ arrows.x }}")).actions[0];
        assert_eq!(action.rows_named(), BTreeSet::from(["rates".to_owned()]));
    }

    /// A service that takes payments, in India only.
    fn cash() -> Connector {
        Connector::from_json(json!({
            "name": "Cash", "base_url": "https://cash.example", "auth": {"type": "none"}, "regions": ["in"],
            "modules": {"c": {"fields": [{"name": "id"}], "operations": {
                "create": {"method": "POST", "path": "/c", "result": "/id", "idempotency": {"in": "header", "name": "Key"}},
                "read": {"path": "/c/{id}"}, "end": {"method": "POST", "path": "/c/{id}/end"}}}},
            "payment": {"checkout_hosts": ["cash.example"], "amounts": "minor", "currencies": ["EUR", "HUF", "JPY"], "exponents": {"HUF": 0},
                "create": {"operation": "c.create"}, "read": {"operation": "c.read", "with": {"id": "{payment.checkout}"}},
                "expire": {"operation": "c.end", "with": {"id": "{payment.checkout}"}},
                "url": "/url", "amount": "/amount", "currency": "/currency",
                "states": [{"when": {"/status": "paid"}, "state": "paid"}]},
        }))
        .unwrap()
    }

    #[test]
    fn payments_are_checked() {
        let check = |region: &str, more: Value| {
            let mut payment = json!({"connection": "pay", "amount": {"field": "amount"}, "currency": "EUR",
                "description": "Fee of {{ record.vendor_name }}"});
            for (name, value) in more.as_object().unwrap() {
                payment[name] = value.clone();
            }
            let grounds = Grounds { region: region.to_owned(), ..grounds() };
            let wrong = workflow(&json!([{"name": "pay", "payment": payment}])).check(&grounds).err();
            let wrong = wrong.unwrap_or_default().into_iter();
            wrong.map(|e| (e.field.replace("actions.0.payment.", ""), e.code)).collect::<Vec<_>>()
        };
        let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        assert_eq!(check("in", json!({})), []);
        assert_eq!(
            check(
                "in",
                json!({"currency": {"expression": "'EUR'"}, "email": {"expression": "submitter.email"}})
            ),
            []
        );
        // Where nobody knows beforehand what comes out, it is said when it runs.
        for amount in [
            json!({"field": "vendor_name"}),
            json!({"expression": "record.amount|round(0)"}),
            json!({"value": "500"}),
        ] {
            assert_eq!(check("in", json!({"amount": amount, "currency": "HUF"})), [], "{amount}");
        }
        assert_eq!(check("eu", json!({})), one("connection", "not_available"));
        for (more, field, code) in [
            (json!({"connection": "acme"}), "connection", "invalid"),
            (json!({"connection": "none"}), "connection", "unknown"),
            (json!({"currency": "USD"}), "currency", "invalid"),
            (json!({"currency": "eur"}), "currency", "invalid"),
            (json!({"amount": {"value": "1.005"}}), "amount", "invalid"),
            (json!({"amount": {"value": 0}}), "amount", "invalid"),
            (json!({"amount": {"value": "1.5"}, "currency": "JPY"}), "amount", "invalid"),
            (json!({"currency": "JPY"}), "amount", "invalid"),
            (json!({"amount": {"value": "1.5"}, "currency": "HUF"}), "amount", "invalid"),
            (json!({"currency": "HUF"}), "amount", "invalid"),
            (json!({"amount": {"field": "agreed"}}), "amount", "invalid"),
            (json!({"amount": {"field": "none"}}), "amount", "unknown"),
            (json!({"description": " "}), "description", "required"),
            (json!({"description": "{{ record.none }}"}), "description", "unknown"),
            (json!({"expires_minutes": 4}), "expires_minutes", "out_of_range"),
        ] {
            assert_eq!(check("in", more.clone()), one(field, code), "{more}");
        }
    }

    #[test]
    fn fields_that_the_service_described_are_checked_like_the_others() {
        let crm: Connector = serde_json::from_value(json!({
            "name": "Crm", "base_url": "https://crm.example", "auth": {"type": "none"}, "modules": {
                "object": {"operations": {"fields": {"path": "/o", "items": "", "fields": [{"name": "object", "in": "query"}]}}},
                "record": {"operations": {"create": {
                    "method": "POST", "path": "/r/{object}",
                    "fields": [{"name": "object", "required": true}, {"name": "rest", "type": "object", "required": true, "at": ""}],
                    "more_fields": {"operation": "object.fields", "with": {"object": "{object}"}, "name": "/n", "into": "rest"},
                }}},
            },
        }))
        .unwrap();
        let fields: Vec<Field> = serde_json::from_value(json!([
            {"name": "Budget__c", "type": "number"},
            {"name": "Kind__c", "choices": [{"value": "a"}], "required": true},
        ]))
        .unwrap();
        let with = |object: &str| Map::from_iter([("object".to_owned(), json!(object))]);
        let mut grounds = grounds();
        grounds.connections.insert("crm".to_owned(), Arc::new(crm));
        grounds.described.push(Described {
            connection: "crm".to_owned(),
            module: "record".to_owned(),
            operation: "create".to_owned(),
            with: with("Lead"),
            fields: Arc::new(fields),
            whole: true,
        });
        let check = |grounds: &Grounds, mapping: Value, types: Value| {
            let actions = json!([{"name": "push", "integration": {"connection": "crm", "module": "record", "operation": "create",
                "mapping": mapping, "types": types}}]);
            let wrong = workflow(&actions).check(grounds).err().unwrap_or_default().into_iter();
            wrong.map(|e| (e.field.replace("actions.0.integration.", ""), e.code)).collect::<Vec<_>>()
        };
        let one = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        let lead = |name: &str, mapped: Value| json!({"object": {"value": "Lead"}, name: mapped});
        let none = || json!({});
        // Described: taken, and of the right type. Another that is required is not asked for.
        assert_eq!(check(&grounds, lead("Budget__c", json!({"value": 5})), none()), []);
        assert_eq!(
            check(&grounds, lead("Budget__c", json!({"value": "five"})), none()),
            one("mapping.Budget__c", "invalid")
        );
        assert_eq!(
            check(&grounds, lead("Budget__c", json!({"field": "vendor_name"})), none()),
            one("mapping.Budget__c", "invalid")
        );
        assert_eq!(
            check(&grounds, lead("Kind__c", json!({"value": "b"})), none()),
            one("mapping.Kind__c", "invalid")
        );
        // Not described, though it was asked.
        assert_eq!(
            check(&grounds, lead("Gone__c", json!({"value": 5})), none()),
            one("mapping.Gone__c", "unknown")
        );
        // Nobody has asked about this object, or nobody can know which it will be, or more was there than was read.
        assert_eq!(
            check(&grounds, json!({"object": {"value": "Other"}, "Gone__c": {"value": 5}}), none()),
            []
        );
        assert_eq!(
            check(&grounds, json!({"object": {"field": "vendor_name"}, "Gone__c": {"value": 5}}), none()),
            []
        );
        grounds.described[0].whole = false;
        assert_eq!(check(&grounds, lead("Gone__c", json!({"value": 5})), none()), []);
        grounds.described.clear();
        // What is said of the type holds all the same; without any further field the object that takes them is wanted.
        assert_eq!(
            check(&grounds, lead("Budget__c", json!({"value": "x"})), json!({"Budget__c": "number"})),
            one("mapping.Budget__c", "invalid")
        );
        assert_eq!(
            check(&grounds, json!({"object": {"value": "Lead"}}), none()),
            one("mapping.rest", "required")
        );
        // Where nothing is described, nothing else is taken.
        let plain = json!([{"name": "push", "integration": {"connection": "acme", "module": "vendor", "operation": "create",
            "mapping": {"DisplayName": {"field": "vendor_name"}}, "types": {"X": "number"}}}]);
        let wrong = workflow(&plain).check(&grounds).unwrap_err();
        assert_eq!(wrong[0].field, "actions.0.integration.types");
    }

    #[test]
    fn values_are_brought_into_the_types_that_were_described() {
        let integration: Integration =
            serde_json::from_value(json!({"connection": "c", "module": "m", "operation": "o",
            "types": {"Budget__c": "number", "Old__c": "boolean"}}))
            .unwrap();
        let fit = |arguments: Value| {
            let Value::Object(mut arguments) = arguments else { panic!("no object") };
            integration.fit(&mut arguments).map(|()| Value::Object(arguments)).map_err(|wrong| wrong.field)
        };
        assert_eq!(
            fit(json!({"Budget__c": "12.5", "Name": "5", "Old__c": null})),
            Ok(json!({"Budget__c": 12.5, "Name": "5", "Old__c": null}))
        );
        assert_eq!(fit(json!({"Budget__c": "much"})), Err("Budget__c".to_owned()));
    }

    #[test]
    fn webhooks_are_checked() {
        let check = |webhook: Value| faults(&json!([{"name": "tell", "webhook": webhook}]));
        let body = json!({"name": "{{ record.vendor_name }}"});
        assert_eq!(
            check(json!({"url": "https://a.example/x?y=1", "body": body, "headers": {"X-A": "1"}})),
            []
        );
        for (webhook, field) in [
            (json!({"url": "/x", "body": body}), "url"),
            (json!({"url": "https://user@a.example/", "body": body}), "url"),
            (json!({"url": "https://a.example/", "body": {"a": ["{{ record.none }}"]}}), "body.a.0"),
            (
                json!({"url": "https://a.example/", "body": 1, "headers": {"Webhook-Id": "1"}}),
                "headers.Webhook-Id",
            ),
        ] {
            let wrong = check(webhook.clone());
            assert_eq!(wrong.len(), 1, "{webhook} {wrong:?}");
            assert_eq!(wrong[0].0, format!("actions.0.webhook.{field}"));
        }
    }

    fn workflow(actions: &Value) -> Workflow {
        serde_json::from_value(json!({"form": "vendors", "on": "created", "actions": actions})).unwrap()
    }

    fn faults(actions: &Value) -> Vec<(String, String)> {
        let wrong = workflow(actions).check(&grounds()).err().unwrap_or_default();
        wrong.into_iter().map(|e| (e.field, e.code)).collect()
    }

    fn push(mapping: &Value) -> Value {
        json!([{"name": "push", "integration":
            {"connection": "acme", "module": "vendor", "operation": "create", "mapping": mapping}}])
    }

    #[test]
    fn a_good_workflow_passes() {
        let good = json!([
            {"name": "push", "condition": "record.agreed", "integration": {"connection": "acme", "module": "vendor", "operation": "create",
                "mapping": {"DisplayName": {"field": "vendor_name"}, "Balance": {"field": "amount"},
                    "Kind": {"value": "a"}, "Active": {"expression": "record.amount|float > 10"}}}},
            {"name": "tell", "mail": {"to": ["{{ submitter.email }}"], "subject": "{{ record.vendor_name }}",
                "text": "It has the id {{ results.push.id }}."}},
            {"name": "keep", "update_record": {"set": {"vendor_name": {"text": "{{ results.push.id }}"}}}},
            {"name": "pull", "pull": {"datasource": "rates"}},
        ]);
        assert_eq!(workflow(&good).check(&grounds()), Ok(()));
    }

    #[test]
    fn what_would_fail_later_is_said_now() {
        let at = |field: &str, code: &str| vec![(format!("actions.0.{field}"), code.to_owned())];
        let name = json!({"field": "vendor_name"});
        for (mapping, field, code) in [
            (json!({}), "DisplayName", "required"),
            (json!({"DisplayName": name, "Nmae": name}), "Nmae", "unknown"),
            (json!({"DisplayName": {"field": "vendor"}}), "DisplayName", "unknown"),
            (json!({"DisplayName": name, "Balance": name}), "Balance", "invalid"),
            (json!({"DisplayName": {"field": "address"}}), "DisplayName", "invalid"),
            (json!({"DisplayName": name, "Kind": {"value": "b"}}), "Kind", "invalid"),
            (json!({"DisplayName": {"expression": "record.vendor"}}), "DisplayName", "unknown"),
            (json!({"DisplayName": {"expression": "record.vendor_name +"}}), "DisplayName", "invalid"),
            (json!({"DisplayName": {"text": "{{ results.later.id }}"}}), "DisplayName", "unknown"),
            (
                json!({"DisplayName": {"lookup": {"form": "vendors", "by": "amount", "is": "1", "take": "amount"}}}),
                "DisplayName.lookup.by",
                "invalid",
            ),
        ] {
            assert_eq!(
                faults(&push(&mapping)),
                at(&format!("integration.mapping.{field}"), code),
                "{mapping}"
            );
        }
        for (lookup, field) in [
            (json!({"datasource": "rates", "by": "day", "is": "record.vendor_name", "take": "/rate"}), ""),
            (json!({"datasource": "none", "by": "day", "is": "1", "take": "rate"}), ".datasource"),
            (json!({"datasource": "rates", "form": "vendors", "by": "id", "is": "1", "take": "id"}), "."),
            (json!({"datasource": "rates", "by": "", "is": "1", "take": "id"}), ".by"),
        ] {
            let found = faults(&push(&json!({"DisplayName": {"lookup": lookup}})));
            let at = format!("actions.0.integration.mapping.DisplayName.lookup{field}");
            let wanted: &[&str] = if field.is_empty() { &[] } else { &[at.trim_end_matches('.')] };
            assert_eq!(found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), wanted);
        }
        let other = json!([{"name": "push", "integration": {"connection": "other", "module": "m", "operation": "o"}}]);
        assert_eq!(faults(&other), at("integration.connection", "unknown"));
        let unknown = json!([{"name": "pull", "pull": {"datasource": "none", "full": true}}]);
        assert_eq!(faults(&unknown), at("pull.datasource", "unknown"));
        let twofold = json!([{"name": "a", "mail": {"to": ["a@b.example"], "subject": "s", "text": "t"},
            "update_record": {"set": {}}}]);
        assert_eq!(faults(&twofold), [("actions.0".to_owned(), "invalid".to_owned())]);
        assert_eq!(faults(&json!([])), [("actions".to_owned(), "required".to_owned())]);
        let mut unknown = workflow(&json!([]));
        unknown.form = "none".to_owned();
        assert_eq!(unknown.check(&grounds()).unwrap_err()[0].field, "form");
    }

    #[test]
    fn bodies_keep_the_kind_of_a_lone_expression() {
        let request: Request =
            serde_json::from_value(json!({"connection": "acme", "method": "POST", "url": "/x",
            "body": {"n": "{{ record.n }}", "t": "no. {{ record.n }}", "l": ["{{ record.none }}"], "k": 1}}))
            .unwrap();
        let body = request.rendered_body(&json!({"record": {"n": 7, "none": null}})).unwrap();
        assert_eq!(body, Some(json!({"n": 7, "t": "no. 7", "l": [null], "k": 1})));
        assert!(!request.is_repeatable());
    }

    #[test]
    fn triggers_fire_on_their_events() {
        assert!(Trigger::CreatedOrEdited.fires_on(RecordEvent::Created));
        assert!(Trigger::CreatedOrEdited.fires_on(RecordEvent::Edited));
        assert!(!Trigger::CreatedOrEdited.fires_on(RecordEvent::Deleted));
        assert!(!Trigger::Created.fires_on(RecordEvent::Edited));
    }
}
