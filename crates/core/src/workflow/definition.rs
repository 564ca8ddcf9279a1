//! The definition of a workflow, as a document.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::expression::{Expression, Text};
use super::run::RecordEvent;
use crate::connector::shape::shaped;
use crate::connector::{FieldType, Method};
use crate::error::FieldError;
use crate::money;

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
    /// what is sent of the values of those fields, as the service described it: JSON in which the text `{value}` stands for the value, and a
    /// list whose only member holds that text has one for each of a list; what is absent is sent as it is
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shapes: BTreeMap<String, Value>,
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

    /// Brings the values of fields that the service described into their types and shapes. The error stands under the field's name.
    pub fn fit(&self, arguments: &mut Map<String, Value>) -> Result<(), FieldError> {
        for (name, kind) in &self.types {
            if let Some(value) = arguments.get_mut(name).filter(|value| !value.is_null()) {
                *value = kind
                    .fit(value.take())
                    .map_err(|why| FieldError::new(name.clone(), "invalid", format!("It {why}.")))?;
            }
        }
        for (name, shape) in &self.shapes {
            if let Some(value) = arguments.get_mut(name).filter(|value| !value.is_null()) {
                *value = shaped(shape, value);
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

impl Workflow {
    /// The connections that it calls through, each once, in order.
    pub fn connections(&self) -> Vec<String> {
        connections_of(&self.actions)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
