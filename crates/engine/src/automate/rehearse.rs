//! What the actions of a workflow would send for a record: composed as when it runs, and not sent. For those who build it.

use jackfield_core::connector::Values;
use jackfield_core::form::{Form, Mode};
use jackfield_core::workflow::{
    Expression, Integration, Mapped, Request, Text, Work, Workflow, WorkflowAction,
};
use jackfield_core::{Action, Environment, Error, FieldError, Result, permit};
use serde_json::{Map, Value, json};

use crate::automate::actions::{kept, shown};
use crate::automate::records::{RecordPlace, RecordView, acting};
use crate::call::ready::Addressed;
use crate::govern::keys::Caller;
use crate::{Engine, Op};

/// For which record it is tried.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// one that is there, by its id
    Record(&'a str),
    /// one that could be: fields of the form by name
    Sample(&'a Map<String, Value>),
}

/// What an action would do.
#[derive(Debug, Clone, PartialEq)]
pub enum Would {
    /// its condition does not hold
    Skip,
    /// what would be sent, without the credential and with secrets masked
    Send(Value),
    /// it could not be computed
    Fail(String),
}

/// What a workflow would do.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// whether its condition holds; else nothing runs
    pub runs: bool,
    /// name of each action, and what it would do
    pub actions: Vec<(String, Would)>,
}

/// What the expressions of a rehearsal see.
fn context(
    form: &Form,
    view: &RecordView,
    workflow: &Workflow,
    application: &str,
    submitter: &Value,
) -> Value {
    let mut record = Map::new();
    for field in &form.fields {
        record.insert(field.name.clone(), view.data.get(&field.name).cloned().unwrap_or(Value::Null));
    }
    let facts = json!({"id": view.id, "created_at": view.created_at, "updated_at": view.updated_at,
        "created_by": view.created_by.clone().unwrap_or_default(), "version": view.version});
    if let Value::Object(facts) = facts {
        record.extend(facts);
    }
    // What an action before makes is not known: its id stands as a word.
    let results = workflow.actions.iter().map(|action| {
        (action.name.clone(), json!({"id": format!("<id of {}>", action.name), "status": 200, "body": {}}))
    });
    json!({
        "record": record, "former": record, "event": "created", "environment": view.environment,
        "application": application, "form": view.form, "submitter": submitter, "results": results.collect::<Map<_, _>>(),
    })
}

/// What is mapped. Of a lookup it says what would be looked for.
fn value(mapped: &Mapped, context: &Value) -> Result<Value, String> {
    match (mapped.value(context), mapped) {
        (Some(value), _) => value,
        (None, Mapped::Lookup(lookup)) => {
            let wanted = Expression::parse(&lookup.is)?.eval(context)?;
            let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
            Ok(json!(format!("<{} of {} whose {} is {wanted}>", lookup.take, lookup.form, lookup.by)))
        }
        (None, _) => Ok(Value::Null),
    }
}

fn values<'m>(
    mapping: impl IntoIterator<Item = (&'m String, &'m Mapped)>,
    context: &Value,
) -> Result<Map<String, Value>, String> {
    let mut all = Map::new();
    for (name, mapped) in mapping {
        all.insert(name.clone(), value(mapped, context).map_err(|why| format!("{name}: {why}"))?);
    }
    Ok(all)
}

fn text(text: &str, context: &Value) -> Result<String, String> {
    Text::parse(text)?.render(context)
}

fn request(request: &Request, context: &Value) -> Result<Value, String> {
    let all = |texts: &std::collections::BTreeMap<String, String>| {
        let rendered = texts.iter().map(|(name, one)| Ok((name.clone(), Value::from(text(one, context)?))));
        rendered.collect::<Result<Map<_, _>, String>>()
    };
    let body = request.rendered_body(context).map_err(|(at, why)| format!("{at}: {why}"))?;
    Ok(
        json!({"method": request.method.as_str(), "url": text(&request.url, context)?, "query": all(&request.query)?,
        "headers": all(&request.headers)?, "body": body}),
    )
}

impl Engine {
    /// What a workflow would do for a record of an environment. Nothing is sent, and nothing is kept.
    pub async fn rehearse(
        &self,
        op: &Op,
        application: &str,
        workflow: &Workflow,
        environment: Environment,
        subject: Subject<'_>,
    ) -> Result<Rehearsal> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Manage, &found.whole())?;
        let form = self.read_served_form(op, application, &workflow.form, environment).await?;
        let view = match subject {
            Subject::Record(id) => {
                let place = RecordPlace { environment: Some(environment.as_str().to_owned()) };
                self.read_record(op, application, &workflow.form, id, &place).await?
            }
            Subject::Sample(input) => RecordView {
                id: "<id of the record>".to_owned(),
                form: workflow.form.clone(),
                environment: environment.as_str().to_owned(),
                data: self.accepted(&op.organization, &form, input.clone(), Mode::New, op.now)?.data,
                created_by: op.principal.member().map(str::to_owned),
                created_at: op.now,
                updated_at: op.now,
                version: 1,
                runs: Vec::new(),
            },
        };
        let sender = match &view.created_by {
            Some(id) => self.store().member(&op.organization, id).await?,
            None => None,
        };
        let submitter = sender.map_or_else(
            || json!({"id": view.created_by, "name": null, "email": null}),
            |member| json!({"id": member.id, "name": member.name, "email": member.email}),
        );
        let context = context(&form, &view, workflow, application, &submitter);
        let holds = |condition: Option<&String>, context: &Value| {
            condition
                .map_or(Ok(true), |text| Expression::parse(text).and_then(|parsed| parsed.holds(context)))
        };
        let runs = holds(workflow.condition.as_ref(), &context)
            .map_err(|why| Error::field("condition", "invalid", why))?;
        let caller = Caller {
            principal: acting(&found.application.id, application, environment),
            organization: op.organization.clone(),
            session: None,
        };
        let mut actions = Vec::new();
        for action in workflow.actions.iter().filter(|_| runs) {
            let place = (&*op.organization, application, environment);
            let seen = match action.rows_named() {
                names if names.is_empty() => Ok(context.clone()),
                names => self.with_rows(place, names, &context).await,
            };
            let context = match seen {
                Ok(context) => context,
                Err(why) => {
                    actions.push((action.name.clone(), Would::Fail(why)));
                    continue;
                }
            };
            let would = match holds(action.condition.as_ref(), &context) {
                Ok(false) => Would::Skip,
                Err(why) => Would::Fail(format!("condition: {why}")),
                Ok(true) => match self.would(action, &caller, op, environment, &context).await {
                    Ok(value) => Would::Send(kept(value)),
                    Err(why) => Would::Fail(why),
                },
            };
            actions.push((action.name.clone(), would));
        }
        Ok(Rehearsal { runs, actions })
    }

    /// What an action would send; `Err` is a sentence.
    async fn would(
        &self,
        action: &WorkflowAction,
        caller: &Caller,
        op: &Op,
        environment: Environment,
        context: &Value,
    ) -> Result<Value, String> {
        match action.work() {
            Some(Work::Integration(push)) => self.would_push(push, caller, op, environment, context).await,
            Some(Work::Invoke(call)) => request(call, context),
            Some(Work::Mail(mail)) => {
                let to: Vec<String> =
                    mail.to.iter().map(|one| text(one, context)).collect::<Result<_, _>>()?;
                Ok(
                    json!({"to": to, "subject": text(&mail.subject, context)?, "text": text(&mail.text, context)?}),
                )
            }
            Some(Work::UpdateRecord(update)) => Ok(json!({"set": values(&update.set, context)?})),
            _ => Err("This cannot be tried without doing it.".to_owned()),
        }
    }

    async fn would_push(
        &self,
        push: &Integration,
        caller: &Caller,
        op: &Op,
        environment: Environment,
        context: &Value,
    ) -> Result<Value, String> {
        let mut arguments = values(&push.mapping, context)?;
        push.fit(&mut arguments).map_err(|wrong| format!("{}: {}", wrong.field, wrong.message))?;
        let to = Addressed {
            connection: &push.connection,
            environment: Some(environment.as_str()),
            acting_for: op.principal.member(),
        };
        let ready = self.ready(caller, &to).await.map_err(|error| error.detail)?.0;
        let callable = ready.callable().map_err(|error| error.detail)?;
        let connector = &callable.vocabulary.connector;
        let operation = connector
            .modules
            .get(&push.module)
            .and_then(|module| Some((module, module.operations.get(&push.operation)?)));
        let Some((module, operation)) = operation else {
            return Err(format!("{} has no operation {}.{}.", connector.name, push.module, push.operation));
        };
        let known: Values<'_> = callable.vocabulary.values();
        let said = |wrong: Vec<FieldError>| {
            wrong
                .iter()
                .map(|error| format!("{}: {}", error.field, error.message))
                .collect::<Vec<_>>()
                .join(" ")
        };
        module
            .call(operation, &arguments, &known, None, Some("<key of the run>"))
            .map(|call| shown(&call))
            .map_err(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_yet_stands_as_words() {
        let form: Form = serde_json::from_value(json!({"fields": [{"name": "a"}, {"name": "b"}]})).unwrap();
        let workflow: Workflow = serde_json::from_value(json!({"form": "f", "on": "created", "actions": [
            {"name": "push", "mail": {"to": ["a@b.example"], "subject": "s", "text": "t"}}]}))
        .unwrap();
        let view = RecordView {
            id: "rec_1".to_owned(),
            form: "f".to_owned(),
            environment: "development".to_owned(),
            data: Map::from_iter([("a".to_owned(), json!("Acme"))]),
            created_by: None,
            created_at: jackfield_core::Timestamp::default(),
            updated_at: jackfield_core::Timestamp::default(),
            version: 1,
            runs: Vec::new(),
        };
        let context = context(&form, &view, &workflow, "app", &Value::Null);
        assert_eq!(text("{{ record.a }} {{ results.push.id }}", &context).unwrap(), "Acme <id of push>");
        let lookup: Mapped = serde_json::from_value(
            json!({"lookup": {"form": "customers", "by": "email", "is": "record.a", "take": "name"}}),
        )
        .unwrap();
        assert_eq!(value(&lookup, &context).unwrap(), json!("<name of customers whose email is Acme>"));
    }
}
