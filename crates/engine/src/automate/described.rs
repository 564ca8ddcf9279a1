//! Fields that a service itself describes: asked for through a connection, and kept in memory for a while.
//!
//! Nothing waits for them: a workflow is saved and run whether the service answers or not. What is kept only lets the console offer them and
//! a save refuse what the service does not have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::LINK;
use jackfield_core::connector::{
    Connector, Field, Module, MoreFields, Operation, OperationCall, Question, TemplateError,
};
use jackfield_core::datasource::{PageState, next_page};
use jackfield_core::workflow::{Described, Grounds};
use jackfield_core::{Code, Environment, Error, FieldError, Level, Result, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::automate::actions::{Ended, invocation_of, json_of, judged};
use crate::call::invoke::Invocation;
use crate::call::ready::{Addressed, Callable};
use crate::govern::keys::Caller;
use crate::{Engine, Op, clock};

/// Fields that are read of one description, pages that are asked for, and choices that are kept in all.
const FIELDS_MAX: usize = 2000;
const PAGES_MAX: u64 = 10;
const CHOICES_MAX: usize = 20_000;
/// How long a page may take.
const PAGE_TIME_MS: u64 = 20_000;
/// How long a description is kept.
const LIFE: Duration = Duration::from_mins(10);
/// Fields and choices that are kept of all descriptions together.
const KEPT_MAX: u64 = 200_000;

/// What a service said about the further fields of an operation.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DescribedFields {
    /// `module.operation` that takes them
    pub operation: String,
    pub environment: String,
    /// when the service was asked
    pub asked_at: Timestamp,
    /// whether these are all: at most 2,000 are read
    pub whole: bool,
    /// what the operation takes beside the fields that its connector lists
    pub items: Vec<Field>,
}

/// Which fields are asked for.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FieldsQuery {
    /// `module.operation` of the connection's connector
    #[serde(default)]
    pub operation: String,
    /// production unless told
    pub environment: Option<String>,
    /// id of the member for whom an application asks, at level `user`
    pub acting_for: Option<String>,
    /// what is known of the operation's own fields, with which the service is asked: a JSON object of texts, as `{"object":"Lead"}`
    pub given: Option<String>,
    /// true: the service is asked, whatever is kept of what it said in the last ten minutes
    pub refresh: Option<bool>,
}

/// The same, read.
#[derive(Debug, Default)]
pub struct FieldsAsked<'a> {
    pub module: &'a str,
    pub operation: &'a str,
    pub environment: Option<&'a str>,
    pub acting_for: Option<&'a str>,
    pub given: BTreeMap<String, String>,
    pub refresh: bool,
}

impl FieldsQuery {
    fn read(&self) -> Result<FieldsAsked<'_>> {
        let Some((module, operation)) = self.operation.split_once('.') else {
            let message = "Say which operation takes the fields, as record.create.";
            return Err(Error::field("operation", "required", message));
        };
        let given =
            self.given.as_deref().filter(|given| !given.is_empty()).map_or(Ok(BTreeMap::new()), |given| {
                serde_json::from_str(given).map_err(|_| {
                    let message = "Give a JSON object of texts, as {\"object\":\"Lead\"}.";
                    Error::field("given", "invalid", message)
                })
            })?;
        Ok(FieldsAsked {
            module,
            operation,
            environment: self.environment.as_deref(),
            acting_for: self.acting_for.as_deref(),
            given,
            refresh: self.refresh == Some(true),
        })
    }
}

/// What is kept, and of whom.
pub(crate) struct Kept {
    organization: Arc<str>,
    connection: String,
    authorization: String,
    environment: Environment,
    level: Level,
    more: MoreFields,
    described: Described,
    asked_at: Timestamp,
}

pub(crate) type Cache = moka::sync::Cache<String, Arc<Kept>>;

pub(crate) fn cache() -> Cache {
    let weight = |_: &String, kept: &Arc<Kept>| {
        let choices: usize = kept.described.fields.iter().map(|field| field.choices.len()).sum();
        u32::try_from(kept.described.fields.len() + choices + 1).unwrap_or(u32::MAX)
    };
    moka::sync::Cache::builder().weigher(weight).max_capacity(KEPT_MAX).time_to_live(LIFE).build()
}

impl Kept {
    fn view(&self) -> DescribedFields {
        DescribedFields {
            operation: format!("{}.{}", self.described.module, self.described.operation),
            environment: self.environment.as_str().to_owned(),
            asked_at: self.asked_at,
            whole: self.described.whole,
            items: self.described.fields.to_vec(),
        }
    }
}

/// The operation whose fields are asked for, and where they are described.
fn described<'c>(
    connector: &'c Connector,
    asked: &FieldsAsked<'_>,
) -> Result<(&'c Module, &'c Operation, &'c MoreFields)> {
    let module = connector.modules.get(asked.module);
    let found = module.and_then(|module| Some((module, module.operations.get(asked.operation)?)));
    let Some((module, operation)) = found else {
        let message = format!("{} has no operation {}.{}.", connector.name, asked.module, asked.operation);
        return Err(Error::field("operation", "unknown", message));
    };
    let more = operation.more_fields.as_ref().ok_or_else(|| {
        let message = format!(
            "{} does not describe the fields of {}.{}: it takes those that the connector lists.",
            connector.name, asked.module, asked.operation
        );
        Error::field("operation", "invalid", message)
    })?;
    Ok((module, operation, more))
}

/// What the service is asked.
fn question(
    service: &str,
    module: &Module,
    operation: &Operation,
    more: &MoreFields,
    given: &BTreeMap<String, String>,
) -> Result<Question> {
    more.question(given).map_err(|why| match why {
        TemplateError::Missing(name) => {
            let fields = module.fields_of(operation);
            let label = fields.iter().find(|field| field.name == name).and_then(|field| field.label.clone());
            let label = label.unwrap_or_else(|| name.clone());
            let message = format!(
                "Give {label} a fixed value first: {service} is asked which fields there are with it."
            );
            Error::field(format!("given.{name}"), "required", message)
        }
        TemplateError::Value { name, reason } => {
            Error::field(format!("given.{name}"), "invalid", format!("It cannot be asked with: {reason}."))
        }
        other => Error::internal(other),
    })
}

impl Engine {
    /// Which further fields an operation takes, as a query asks it.
    pub async fn list_described(
        &self,
        op: &Op,
        connection: &str,
        query: &FieldsQuery,
    ) -> Result<DescribedFields> {
        // Whether there is such a connection is said before what is wrong with the question.
        let to = Addressed {
            connection,
            environment: query.environment.as_deref(),
            acting_for: query.acting_for.as_deref(),
        };
        self.ready(&caller(op), &to).await?;
        self.described_fields(op, connection, &query.read()?).await
    }

    /// Which further fields an operation takes, as the service itself says: what is kept, else asked for. It is a call through the
    /// connection like any other, and permitted to whom that is.
    pub async fn described_fields(
        &self,
        op: &Op,
        connection: &str,
        asked: &FieldsAsked<'_>,
    ) -> Result<DescribedFields> {
        let (ready, environment) = self.ready(&caller(op), &addressed(connection, asked)).await?;
        let connector = self.connector_of(&ready.connection).await?.connector;
        let (module, operation, more) = described(&connector, asked)?;
        let question = question(&connector.name, module, operation, more, &asked.given)?;
        let callable = ready.callable()?;
        let place = place(op, connection, environment, callable, asked, &question);
        if let Some(kept) =
            self.inner.described.get(&place).filter(|kept| !asked.refresh && kept.more == *more)
        {
            return Ok(kept.view());
        }
        let own = module.fields_of(operation);
        let (mut fields, whole) = self
            .ask_for_fields(op, connection, environment, callable, &connector, more, &question, asked)
            .await?;
        // What the connector lists is there already.
        fields.retain(|field| !own.iter().any(|own| own.name == field.name));
        let kept = Arc::new(Kept {
            organization: Arc::clone(&op.organization),
            connection: connection.to_owned(),
            authorization: callable.authorization.clone(),
            environment,
            level: ready.connection.level,
            more: more.clone(),
            described: Described {
                connection: connection.to_owned(),
                module: asked.module.to_owned(),
                operation: asked.operation.to_owned(),
                question,
                fields: Arc::new(fields),
                whole,
            },
            asked_at: clock::now(),
        });
        let view = kept.view();
        self.inner.described.insert(place, kept);
        Ok(view)
    }

    /// The same, of what is kept alone: nothing is asked.
    pub async fn kept_fields(
        &self,
        op: &Op,
        connection: &str,
        asked: &FieldsAsked<'_>,
    ) -> Result<Option<DescribedFields>> {
        let (ready, environment) = self.ready(&caller(op), &addressed(connection, asked)).await?;
        let connector = self.connector_of(&ready.connection).await?.connector;
        let (module, operation, more) = described(&connector, asked)?;
        let question = question(&connector.name, module, operation, more, &asked.given);
        let (Ok(question), Ok(callable)) = (question, ready.callable()) else { return Ok(None) };
        let place = place(op, connection, environment, callable, asked, &question);
        let kept = self.inner.described.get(&place).filter(|kept| kept.more == *more);
        Ok(kept.map(|kept| kept.view()))
    }

    /// Adds what services have described lately to what a workflow is checked against: only what everybody is served, as development's
    /// authorization of now was told.
    pub(crate) async fn add_described(&self, organization: &str, grounds: &mut Grounds) -> Result<()> {
        let kept: Vec<Arc<Kept>> = self
            .inner
            .described
            .iter()
            .map(|(_, kept)| kept)
            .filter(|kept| {
                &*kept.organization == organization
                    && kept.environment == Environment::Development
                    && kept.level != Level::User
            })
            .collect();
        for kept in kept {
            let Some(connector) = grounds.connections.get(&kept.connection) else { continue };
            let operation = connector.modules.get(&kept.described.module);
            let operation = operation.and_then(|module| module.operations.get(&kept.described.operation));
            if operation.and_then(|operation| operation.more_fields.as_ref()) != Some(&kept.more) {
                continue;
            }
            let bound = self.store().binding(organization, &kept.connection, kept.environment, "").await?;
            if bound.as_ref() == Some(&kept.authorization) {
                grounds.described.push(kept.described.clone());
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one question, all borrowed from its caller")]
    async fn ask_for_fields(
        &self,
        op: &Op,
        connection: &str,
        environment: Environment,
        callable: &Callable,
        connector: &Connector,
        more: &MoreFields,
        question: &Question,
        asked: &FieldsAsked<'_>,
    ) -> Result<(Vec<Field>, bool)> {
        let service = &connector.name;
        let Some((module, list)) = more.asks(connector) else {
            return Err(Error::internal(format!("{service} has no operation {:?}", more.operation)));
        };
        let concealed = callable.injection.concealed();
        // A key of the caller's request belongs to that, not to what is asked on the way.
        let op = Op { idempotency: None, ..op.clone() };
        let (mut page, mut items, mut whole) = (PageState::default(), Vec::new(), false);
        while page.before < PAGES_MAX && items.len() < FIELDS_MAX {
            let values = callable.vocabulary.values();
            let mut call =
                module.call(list, &question.with, &values, Some(&page.ask()), None).map_err(|wrong| {
                    let below =
                        |wrong: FieldError| FieldError { field: format!("given.{}", wrong.field), ..wrong };
                    Error::invalid(wrong.into_iter().map(below).collect())
                })?;
            if let Some(url) = &page.url {
                call = OperationCall { path: url.clone(), query: Vec::new(), body: None, ..call };
            }
            let invocation = Invocation {
                timeout_ms: Some(PAGE_TIME_MS),
                ..invocation_of(&call, environment, asked.acting_for.unwrap_or_default())
            };
            let answer = self.call(&op, connection, "invoke", &invocation).await;
            let answer = answer.map_err(|failed| failed.error)?;
            let body = json_of(&answer);
            let Some(body) = body.filter(|body| list.succeeded(answer.status, Some(body))) else {
                let reason = match judged(&answer, connection, service, Some(list), true).ended {
                    Ended::Later { reason, .. }
                    | Ended::Paused { reason, .. }
                    | Ended::Failed { reason, .. } => reason,
                    _ => format!("{service} answered what is no list of fields."),
                };
                return Err(not_told(service, &concealed.text(&reason)));
            };
            // Nothing that a service sends back of the credential is kept.
            let body = concealed.value(body);
            // What is no list operation answers one item: the answer.
            let found = match list.items.as_deref() {
                None => std::slice::from_ref(&body),
                Some(pointer) if body.pointer(pointer).is_some_and(Value::is_array) => list.items(&body),
                Some(pointer) => {
                    let reason = format!("{service} answered no list at {pointer:?}.");
                    return Err(not_told(service, &reason));
                }
            };
            let link = answer.headers.get(LINK).and_then(|value| value.to_str().ok());
            let next = next_page(list, &page, &body, link, found);
            items.extend_from_slice(found);
            let Some(next) = next else {
                whole = items.len() <= FIELDS_MAX;
                break;
            };
            page = next;
        }
        items.truncate(FIELDS_MAX);
        let mut fields = more.fields(&items, question);
        whole = whole && fields.len() <= FIELDS_MAX && more.may_be_whole(&fields);
        fields.truncate(FIELDS_MAX);
        let mut choices = 0;
        for field in &mut fields {
            choices += field.choices.len();
            if choices > CHOICES_MAX {
                // Without them any value passes, and the service says what it thinks of it.
                field.choices = Vec::new();
            }
        }
        Ok((fields, whole))
    }
}

fn not_told(service: &str, reason: &str) -> Error {
    let detail = format!(
        "{service} could not be asked for its fields. {reason} Those that the connector lists can be used."
    );
    Error::new(Code::UpstreamUnreachable, detail)
}

fn caller(op: &Op) -> Caller {
    Caller {
        principal: op.principal.clone(),
        organization: Arc::clone(&op.organization),
        session: op.session.clone(),
    }
}

fn addressed<'a>(connection: &'a str, asked: &FieldsAsked<'a>) -> Addressed<'a> {
    Addressed { connection, environment: asked.environment, acting_for: asked.acting_for }
}

/// Where a description is kept: one of another authorization is another's.
fn place(
    op: &Op,
    connection: &str,
    environment: Environment,
    callable: &Callable,
    asked: &FieldsAsked<'_>,
    question: &Question,
) -> String {
    [
        &*op.organization,
        connection,
        environment.as_str(),
        &callable.authorization,
        asked.module,
        asked.operation,
        &question.key(),
    ]
    .join("\n")
}
