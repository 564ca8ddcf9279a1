//! What a workflow or a schedule does, in words: each action as a sentence, and where each of its values comes from.

use std::collections::BTreeMap;

use jackfield_core::Result;
use jackfield_core::connector::{self, Operation};
use jackfield_core::form::{Form as Document, FormField};
use jackfield_core::workflow::{Currency, Grounds, Integration, Mapped, OnFailure, Work, WorkflowAction};
use jackfield_engine::connect::connections::ConnectionQuery;
use jackfield_engine::{Engine, Op};
use serde_json::{Value, json};

use super::{Acting, kinds, mapping};
use crate::console::forms::field::kind_word;
use crate::console::runs::pretty;

/// Names of the connections that an application may use.
pub(in crate::console) async fn connections(
    engine: &Engine,
    op: &Op,
    application: &str,
) -> Result<BTreeMap<String, String>> {
    let query = ConnectionQuery {
        application: Some(application.to_owned()),
        limit: Some(200),
        ..ConnectionQuery::default()
    };
    let found = engine.list_connections(op, &query).await?.items;
    Ok(found.into_iter().map(|one| (one.link_name, one.name)).collect())
}

/// What an action does, as a sentence with a connection in it: *push to* Acme *→ Vendor → Create*.
pub(in crate::console) struct Doing {
    pub name: String,
    pub does: String,
    /// link name and name of the connection
    pub at: Option<(String, String)>,
    pub then: String,
}

pub(in crate::console) fn doing(
    action: &WorkflowAction,
    connections: &BTreeMap<String, String>,
    grounds: Option<&Grounds>,
) -> Doing {
    let (does, then) = match action.work() {
        Some(Work::Integration(push)) => {
            let known = grounds.and_then(|grounds| operation(grounds, push));
            let label =
                |label: Option<&String>, name: &str| label.cloned().unwrap_or_else(|| name.to_owned());
            let module = label(known.and_then(|(module, _)| module.label.as_ref()), &push.module);
            let does = label(known.and_then(|(_, operation)| operation.label.as_ref()), &push.operation);
            ("push to".to_owned(), format!("→ {module} → {does}"))
        }
        Some(Work::Invoke(call)) => {
            ("call".to_owned(), format!("with {} {}", call.method.as_str(), call.url))
        }
        Some(Work::Mail(mail)) => {
            (format!("send a mail to {}: {}", mail.to.join(", "), mail.subject), String::new())
        }
        Some(Work::UpdateRecord(update)) => {
            let fields: Vec<&str> = update.set.keys().map(String::as_str).collect();
            (format!("set {} of the record", fields.join(", ")), String::new())
        }
        Some(Work::Webhook(webhook)) => (format!("send a webhook to {}", webhook.url), String::new()),
        Some(Work::Payment(payment)) => {
            ("ask for a payment through".to_owned(), format!("for {}", payment.description))
        }
        Some(Work::Pull(pull)) => {
            let much = if pull.full { "pull all of" } else { "pull" };
            (format!("{much} the datasource {}", pull.datasource), String::new())
        }
        None => ("nothing that is known".to_owned(), String::new()),
    };
    let at = action
        .connection()
        .map(|link| (link.to_owned(), connections.get(link).map_or(link, String::as_str).to_owned()));
    Doing { name: action.name.clone(), does, at, then }
}

/// A field of the service, or of the record, and where its value comes from.
pub(in crate::console) struct Source {
    /// the type of what is taken, where a field is
    pub of: &'static str,
    pub title: String,
    pub name: String,
    pub kind: &'static str,
    pub required: bool,
    /// how the value comes about
    pub by: &'static str,
    pub from: String,
}

/// Where a value comes from.
fn source(mapped: &Mapped, form: Option<&Document>) -> (&'static str, String) {
    match mapped {
        Mapped::Value(value) => ("Always", value.to_string()),
        Mapped::Field(name) => {
            let title = form.and_then(|form| form.field(name)).map_or(name.as_str(), FormField::title);
            ("Field", title.to_owned())
        }
        Mapped::Expression(text) => ("Expression", text.clone()),
        Mapped::Text(text) => ("Text", text.clone()),
        Mapped::Lookup(lookup) => (
            "Looked up",
            match &lookup.datasource {
                None => format!(
                    "{} of the record of {} whose {} is {}",
                    lookup.take, lookup.form, lookup.by, lookup.is
                ),
                Some(table) => {
                    format!("{} of the row of {table} whose {} is {}", lookup.take, lookup.by, lookup.is)
                }
            },
        ),
    }
}

/// One action on the page of a workflow or schedule.
pub(in crate::console) struct Act {
    pub doing: Doing,
    pub condition: Option<String>,
    pub goes_on: bool,
    pub sources: Vec<Source>,
    /// fields of the service that are not mapped
    pub unmapped: usize,
    /// what a call or a mail has besides
    pub more: Option<String>,
    /// what does not fit any more
    pub wrong: Vec<String>,
    /// whether it has a page of its own
    pub known: bool,
}

fn operation<'a>(grounds: &'a Grounds, push: &Integration) -> Option<(&'a connector::Module, &'a Operation)> {
    let module = grounds.connections.get(&push.connection)?.modules.get(&push.module)?;
    Some((module, module.operations.get(&push.operation)?))
}

fn act(
    action: &WorkflowAction,
    grounds: &Grounds,
    form: Option<&Document>,
    connections: &BTreeMap<String, String>,
) -> Act {
    let mut act = Act {
        doing: doing(action, connections, Some(grounds)),
        wrong: Vec::new(),
        known: kinds::kind_of(action).is_some(),
        condition: action.condition.clone(),
        goes_on: action.on_failure == OnFailure::Continue,
        sources: Vec::new(),
        unmapped: 0,
        more: None,
    };
    let mut put = |name: &str, mapped: &Mapped, title: &str, kind: &'static str, required: bool| {
        let (by, from) = source(mapped, form);
        let of = match mapped {
            Mapped::Field(name) => {
                form.and_then(|form| form.field(name)).map_or("", |field| kind_word(&field.kind))
            }
            _ => "",
        };
        act.sources.push(Source {
            of,
            title: title.to_owned(),
            name: name.to_owned(),
            kind,
            required,
            by,
            from,
        });
    };
    match action.work() {
        Some(Work::Integration(push)) => {
            let known = operation(grounds, push);
            let fields = known.map_or_else(Vec::new, |(module, operation)| module.fields_of(operation));
            for (name, mapped) in &push.mapping {
                let field = fields.iter().find(|field| field.name == *name);
                let title = field.and_then(|field| field.label.as_deref()).unwrap_or(name);
                let kind = field.map_or("", |field| mapping::type_word(field.kind));
                put(name, mapped, title, kind, field.is_some_and(|field| field.required));
            }
            let left = fields.iter().filter(|field| !push.mapping.contains_key(&field.name));
            act.unmapped = left.count();
        }
        Some(Work::UpdateRecord(update)) => {
            for (name, mapped) in &update.set {
                let field = form.and_then(|form| form.field(name));
                let title = field.map_or(name.as_str(), FormField::title);
                put(name, mapped, title, field.map_or("", |field| kind_word(&field.kind)), false);
            }
        }
        Some(Work::Invoke(call)) => {
            let besides = json!({"query": call.query, "headers": call.headers, "body": call.body});
            let besides: BTreeMap<&str, &Value> = besides
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| !value.is_null() && **value != json!({}))
                .map(|(name, value)| (name.as_str(), value))
                .collect();
            act.more = if besides.is_empty() { None } else { pretty(Some(&json!(besides))) };
        }
        Some(Work::Mail(mail)) => act.more = Some(mail.text.clone()),
        Some(Work::Webhook(webhook)) => act.more = pretty(Some(&webhook.body)),
        Some(Work::Payment(payment)) => {
            put("amount", &payment.amount, "Amount", "decimal", true);
            match &payment.currency {
                Currency::Code(code) => {
                    put("currency", &Mapped::Value(code.as_str().into()), "Currency", "", true);
                }
                Currency::Mapped(mapped) => put("currency", mapped, "Currency", "", true),
            }
            if let Some(email) = &payment.email {
                put("email", email, "E-mail of the payer", "email", false);
            }
        }
        Some(Work::Pull(_)) | None => {}
    }
    act
}

/// The actions of a definition as its page tells them, each with what is wrong with it; and what is wrong with the rest, because something
/// that it names has changed since it was saved.
pub(in crate::console) fn acts<D: Acting>(
    definition: &D,
    grounds: &Grounds,
    form: Option<&Document>,
    connections: &BTreeMap<String, String>,
) -> (Vec<Act>, Vec<String>) {
    let actions = definition.actions().iter();
    let mut acts: Vec<Act> = actions.map(|action| act(action, grounds, form, connections)).collect();
    let mut rest = Vec::new();
    for fault in definition.check(grounds).err().unwrap_or_default() {
        let index =
            fault.field.strip_prefix("actions.").and_then(|path| path.split('.').next()?.parse().ok());
        match index.and_then(|index: usize| acts.get_mut(index)) {
            Some(act) => act.wrong.push(fault.message),
            None => rest.push(fault.message),
        }
    }
    (acts, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_value_comes_from_is_said() {
        for (mapped, said) in [
            (json!({"value": 5}), ("Always", "5")),
            (json!({"field": "vendor"}), ("Field", "Vendor name")),
            (json!({"field": "id"}), ("Field", "id")),
            (json!({"expression": "record.a|upper"}), ("Expression", "record.a|upper")),
            (json!({"text": "No. {{ record.a }}"}), ("Text", "No. {{ record.a }}")),
            (
                json!({"lookup": {"form": "customers", "by": "email", "is": "record.email", "take": "name"}}),
                ("Looked up", "name of the record of customers whose email is record.email"),
            ),
        ] {
            let form: Document =
                serde_json::from_value(json!({"fields": [{"name": "vendor", "label": "Vendor name"}]}))
                    .unwrap();
            let mapped: Mapped = serde_json::from_value(mapped).unwrap();
            assert_eq!(source(&mapped, Some(&form)), (said.0, said.1.to_owned()));
        }
    }
}
