//! One try of one action: what is sent, what the answer means, and what a lost answer leaves in doubt.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jackfield_core::connector::{BodyEncoding, Module, Operation, OperationCall, PageAsk, Repeat, Template};
use jackfield_core::form::Mode;
use jackfield_core::workflow::{
    Integration, Lookup, Mail, Mapped, Request, RequestEncoding, Text, UpdateRecord, Work, WorkflowAction,
};
use jackfield_core::{Code, Environment, Error, Permit, Principal, Result};
use jackfield_store::{Drawer, Run};
use serde_json::{Map, Value, json};

use crate::automate::files::Accepted;
use crate::automate::gates::Health;
use crate::automate::live::Live;
use crate::automate::records::{Changed, data_of, seen, unique_digest};
use crate::call::concealed::HIDDEN;
use crate::call::invoke::{Failed, Invocation, Invoked};
use crate::call::ready::{Addressed, Ready, ReadyHere};
use crate::govern::keys::Caller;
use crate::{Engine, Op, clock, digest};

/// Longest request or reply that is kept in the history, in bytes of its JSON.
const KEPT_MAX: usize = 32 * 1024;
/// Longest answer that later actions can use, in bytes.
const RESULT_MAX: usize = 64 * 1024;
/// Words in the names of members whose values are not kept in the history.
const SECRET_WORDS: [&str; 9] =
    ["password", "passwd", "secret", "token", "authorization", "api_key", "apikey", "credential", "cookie"];

/// How a try ended.
pub(crate) enum Ended {
    /// `result` is what later actions find under the action's name
    Done { result: Value },
    /// its condition does not hold
    Skipped,
    /// it is not done yet, and goes on when others have had their turn
    More { reason: String },
    /// it may go better later
    Later { code: &'static str, reason: String, retry_after: Option<Duration>, doubt: bool },
    /// it waits for somebody, who has so long a time; `nudges`: how many hints that it has come it has seen
    Waiting { after: Duration, nudges: i64, code: &'static str, reason: String },
    /// a person has to do something about the connection first
    Paused { connection: String, code: &'static str, reason: String },
    /// it will not go better
    Failed { code: &'static str, reason: String },
}

/// A try, with what the history keeps of it.
pub(crate) struct Tried {
    pub ended: Ended,
    pub request: Option<Value>,
    pub reply: Option<Value>,
    pub status: Option<u16>,
    /// an earlier request may have had its effect, this one was sent all the same
    pub doubt: bool,
    /// what an earlier request had made was found
    pub found: bool,
    /// how the service did, where one was asked
    pub health: Option<Health>,
    /// the record as expressions see it now, where the action changed it
    pub record: Option<Value>,
}

impl Tried {
    pub fn of(ended: Ended) -> Self {
        Self {
            ended,
            request: None,
            reply: None,
            status: None,
            doubt: false,
            found: false,
            health: None,
            record: None,
        }
    }

    /// It may go better later.
    pub fn later(code: &'static str, reason: &str) -> Self {
        Self::of(Ended::Later { code, reason: reason.to_owned(), retry_after: None, doubt: false })
    }

    /// A person has to do something about the connection first.
    pub fn paused(connection: &str, code: &'static str, reason: String) -> Self {
        Self::of(Ended::Paused { connection: connection.to_owned(), code, reason })
    }

    /// It goes on when others have had their turn.
    pub fn more(reason: String) -> Self {
        Self::of(Ended::More { reason })
    }

    /// A pull is done. `request`: the last that was sent.
    pub fn pulled(result: Value, request: Option<Value>) -> Self {
        let mut tried = Self::of(Ended::Done { result });
        tried.request = request.map(kept);
        tried.health = Some(Health::Answers);
        tried
    }

    /// Nothing could be sent.
    pub fn not_sent(error: Error, connection: &str) -> Self {
        failure(&Failed { error, sent: false }, connection, false)
    }

    pub fn failed(code: &'static str, reason: impl Into<String>) -> Self {
        Self::of(Ended::Failed { code, reason: reason.into() })
    }
}

/// Whose action it is.
pub(crate) struct Doing<'a> {
    pub organization: &'a str,
    pub application: &'a str,
    pub environment: Environment,
    pub run: &'a Run,
    /// the application itself
    pub principal: &'a Principal,
    /// id of the member as whom it calls, or empty
    pub actor: &'a str,
    pub live: &'a Live,
    /// what expressions see
    pub context: &'a Value,
    /// whether an earlier request of this action may have had its effect
    pub doubt: bool,
}

impl Doing<'_> {
    /// What calls, as the record of the call has it.
    fn via(&self) -> &'static str {
        match self.run.component.split_once(':') {
            Some(("schedule", _)) => "schedule",
            Some(("datasource", _)) => "datasource",
            _ => "workflow",
        }
    }

    /// The same for every try of an action, and different for every other: 32 hexadecimal digits, which every service takes.
    pub fn key(&self, action: &str) -> String {
        let whole = digest(format!("{}\n{}\n{action}", self.organization, self.run.id).as_bytes());
        whole.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A mapping could not be computed: which field, and why.
pub(crate) fn mapping_failed(path: &str, why: &str) -> Tried {
    Tried::failed("mapping_failed", format!("{path}: {why}"))
}

impl Engine {
    /// Tries an action once.
    pub(crate) async fn perform(&self, op: &Op, doing: &Doing<'_>, action: &WorkflowAction) -> Tried {
        let mut names = action.rows_named();
        names.retain(|name| doing.live.datasource(name).is_some());
        if names.is_empty() {
            return self.perform_seeing(op, doing, action).await;
        }
        let place = (doing.organization, doing.application, doing.environment);
        match self.with_rows(place, names, doing.context).await {
            Ok(context) => {
                let doing = Doing { context: &context, ..*doing };
                Box::pin(self.perform_seeing(op, &doing, action)).await
            }
            Err(why) => {
                tracing::warn!(why, run = doing.run.id, "rows could not be read");
                Tried::later("unavailable", "The rows of a datasource could not be read.")
            }
        }
    }

    async fn perform_seeing(&self, op: &Op, doing: &Doing<'_>, action: &WorkflowAction) -> Tried {
        if let Some(condition) = &action.condition {
            let parsed = jackfield_core::workflow::Expression::parse(condition);
            match parsed.and_then(|parsed| parsed.holds(doing.context)) {
                Ok(true) => {}
                Ok(false) => return Tried::of(Ended::Skipped),
                Err(why) => return mapping_failed("condition", &why),
            }
        }
        match action.work() {
            Some(Work::Integration(integration)) => self.push(op, doing, &action.name, integration).await,
            Some(Work::Invoke(request)) => self.request(op, doing, request).await,
            Some(Work::Mail(mail)) => self.post(doing, &action.name, mail).await,
            Some(Work::Webhook(webhook)) => self.send_webhook(doing, &action.name, webhook).await,
            // Boxed: rare, and several times as large as the others.
            Some(Work::Payment(payment)) => Box::pin(self.pay(op, doing, &action.name, payment)).await,
            Some(Work::UpdateRecord(update)) => self.change(doing, update).await,
            // Boxed, since it is rare: the future of each action would be as large.
            Some(Work::Pull(pull)) => Box::pin(self.pull(op, doing, pull)).await,
            None => Tried::failed("invalid", "The action is not one of those that this version knows."),
        }
    }

    /// What is mapped; `Err` is a sentence.
    pub(crate) async fn mapped(&self, doing: &Doing<'_>, mapped: &Mapped) -> Result<Value, String> {
        match (mapped.value(doing.context), mapped) {
            (Some(value), _) => value,
            (None, Mapped::Lookup(lookup)) => self.look_up_record(doing, lookup).await,
            (None, _) => Ok(Value::Null),
        }
    }

    async fn look_up_record(&self, doing: &Doing<'_>, lookup: &Lookup) -> Result<Value, String> {
        let wanted = jackfield_core::workflow::Expression::parse(&lookup.is)?.eval(doing.context)?;
        if let Some(datasource) = &lookup.datasource {
            return self.look_up_row(doing, datasource, lookup, &wanted).await;
        }
        let form =
            doing.live.form(&lookup.form).map_err(|_| format!("There is no form {:?} here.", lookup.form))?;
        let drawer = Drawer {
            organization: doing.organization,
            application: doing.application,
            form: &lookup.form,
            environment: doing.environment.as_str(),
        };
        let broken = |error: Error| error.detail;
        let id = if lookup.by == "id" {
            wanted.as_str().map(str::to_owned)
        } else {
            let asked = Map::from_iter([(lookup.by.clone(), wanted)]);
            match form.form.unique_values(&asked).into_iter().find(|(field, _)| *field == lookup.by) {
                Some((field, text)) => self
                    .store()
                    .record_with(drawer, field, &unique_digest(&text))
                    .await
                    .map_err(|error| broken(error.into()))?,
                None => None,
            }
        };
        let Some(id) = id else { return Ok(Value::Null) };
        let found = self.store().record(drawer, &id).await.map_err(|error| broken(error.into()))?;
        let Some(record) = found.filter(|record| record.deleted_at.is_none()) else { return Ok(Value::Null) };
        let data = data_of(&record).map_err(broken)?;
        Ok(seen(&form, &record, &data).get(&lookup.take).cloned().unwrap_or(Value::Null))
    }

    /// Pushes to a module of a service.
    async fn push(&self, op: &Op, doing: &Doing<'_>, name: &str, integration: &Integration) -> Tried {
        let mut arguments = Map::new();
        for (field, mapped) in &integration.mapping {
            match self.mapped(doing, mapped).await {
                Ok(value) => {
                    arguments.insert(field.clone(), value);
                }
                Err(why) => return mapping_failed(field, &why),
            }
        }
        if let Err(wrong) = integration.fit(&mut arguments) {
            return mapping_failed(&wrong.field, &wrong.message);
        }
        let connection = &integration.connection;
        let ready = match self.made_ready(doing, op, connection).await {
            Ok(ready) => ready,
            Err(error) => return failure(&Failed { error, sent: false }, connection, false),
        };
        let vocabulary = match ready.callable() {
            Ok(callable) => &callable.vocabulary,
            Err(error) => return failure(&Failed { error, sent: false }, connection, false),
        };
        let module = vocabulary.connector.modules.get(&integration.module);
        let Some((module, operation)) =
            module.and_then(|module| Some((module, module.operations.get(&integration.operation)?)))
        else {
            let message = format!(
                "{} has no operation {}.{} any more. Choose another in the workflow.",
                vocabulary.connector.name, integration.module, integration.operation
            );
            return Tried::failed("invalid", message);
        };
        let key = doing.key(name);
        let call = match module.call(operation, &arguments, &vocabulary.values(), None, Some(&key)) {
            Ok(call) => call,
            Err(wrong) => {
                let words: Vec<String> =
                    wrong.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
                return Tried::failed("mapping_failed", words.join(" "));
            }
        };
        let repeat = operation.repeat_of(&arguments);
        let mut sent_again = false;
        if doing.doubt {
            match repeat {
                Repeat::Harmless | Repeat::Keyed(_) => {}
                Repeat::Findable(find) => {
                    match self.find_made(op, doing, connection, module, find, &arguments, &ready).await {
                        Ok(Some(id)) => {
                            let mut tried =
                                Tried::of(Ended::Done { result: json!({"id": id, "found": true}) });
                            tried.found = true;
                            tried.health = Some(Health::Answers);
                            return tried;
                        }
                        Ok(None) => {}
                        // Not sent before somebody has looked.
                        Err(mut tried) => {
                            if let Ended::Later { doubt, .. } = &mut tried.ended {
                                *doubt = true;
                            }
                            return *tried;
                        }
                    }
                }
                Repeat::Doubtful => sent_again = true,
            }
        }
        let invocation = invocation(&call, doing);
        let request = shown(&call);
        let answer = self.call(op, connection, doing.via(), &invocation).await;
        let harmless = matches!(repeat, Repeat::Harmless | Repeat::Keyed(_));
        let mut tried = match answer {
            Err(failed) => failure(&failed, connection, !harmless),
            Ok(answer) => {
                let service = &vocabulary.connector.name;
                judged(&answer, connection, service, Some(operation), harmless)
            }
        };
        self.conceal(doing, op, connection, &mut tried).await;
        tried.request = Some(kept(request));
        tried.doubt = sent_again;
        tried
    }

    /// Asks for a page of a list. `Err`: it was not given. With it what was asked, as the history shows it.
    pub(crate) async fn listed(
        &self,
        op: &Op,
        doing: &Doing<'_>,
        connection: &str,
        service: &str,
        operation: &Operation,
        call: &OperationCall,
    ) -> Result<(Invoked, Value), Box<Tried>> {
        let request = shown(call);
        let mut tried = match self.call(op, connection, doing.via(), &invocation(call, doing)).await {
            Err(failed) => failure(&failed, connection, false),
            Ok(answer) if operation.succeeded(answer.status, json_of(&answer).as_ref()) => {
                return Ok((answer, request));
            }
            Ok(answer) => judged(&answer, connection, service, Some(operation), true),
        };
        self.conceal(doing, op, connection, &mut tried).await;
        tried.request = Some(kept(request));
        Err(Box::new(tried))
    }

    pub(crate) async fn made_ready(&self, doing: &Doing<'_>, op: &Op, connection: &str) -> Result<ReadyHere> {
        let caller = Caller {
            principal: doing.principal.clone(),
            organization: op.organization.clone(),
            session: None,
        };
        let to = Addressed {
            connection,
            environment: Some(doing.environment.as_str()),
            acting_for: Some(doing.actor).filter(|actor| !actor.is_empty()),
        };
        Ok(self.ready(&caller, &to).await?.0)
    }

    /// Takes the credential out of what is kept of an answer, should the service have sent it back.
    pub(crate) async fn conceal(&self, doing: &Doing<'_>, op: &Op, connection: &str, tried: &mut Tried) {
        let Ok(ready) = self.made_ready(doing, op, connection).await else { return };
        let Ok(callable) = ready.callable() else { return };
        let concealed = callable.injection.concealed();
        tried.reply = tried.reply.take().map(|reply| concealed.value(reply));
        match &mut tried.ended {
            Ended::Done { result } => *result = concealed.value(result.take()),
            Ended::Later { reason, .. }
            | Ended::Waiting { reason, .. }
            | Ended::Paused { reason, .. }
            | Ended::Failed { reason, .. } => {
                *reason = concealed.text(reason);
            }
            Ended::Skipped | Ended::More { .. } => {}
        }
    }

    /// Looks for what an earlier request made. `Err`: it could not be looked for now.
    #[allow(
        clippy::too_many_arguments,
        reason = "the parts of one question, all borrowed from the push that asks it"
    )]
    pub(crate) async fn find_made(
        &self,
        op: &Op,
        doing: &Doing<'_>,
        connection: &str,
        module: &Module,
        find: &jackfield_core::connector::Find,
        arguments: &Map<String, Value>,
        ready: &Ready,
    ) -> Result<Option<String>, Box<Tried>> {
        let broken = |message: String| Box::new(Tried::failed("invalid", message));
        let Some(list) = module.operations.get(&find.operation) else {
            return Err(broken(format!("The connector names no operation {:?}.", find.operation)));
        };
        let texts: std::collections::BTreeMap<&str, String> = arguments
            .iter()
            .filter_map(|(name, value)| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Null | Value::Array(_) | Value::Object(_) => return None,
                    other => other.to_string(),
                };
                Some((name.as_str(), text))
            })
            .collect();
        let mut asked = Map::new();
        for (name, template) in &find.with {
            let rendered = Template::parse(template)
                .and_then(|one| one.text(|name| texts.get(name).map(String::as_str)));
            match rendered {
                Ok(text) => {
                    asked.insert(name.clone(), text.into());
                }
                Err(why) => return Err(broken(format!("What was made cannot be looked for: {why}."))),
            }
        }
        let callable = ready
            .callable()
            .map_err(|error| Box::new(failure(&Failed { error, sent: false }, connection, false)))?;
        let values = callable.vocabulary.values();
        let page = PageAsk::default();
        let call = module.call(list, &asked, &values, Some(&page), None).map_err(|wrong| {
            let words: Vec<String> = wrong.iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
            broken(format!("What was made cannot be looked for: {}", words.join(" ")))
        })?;
        let answer = self.call(op, connection, doing.via(), &invocation(&call, doing)).await;
        let answer = answer.map_err(|failed| Box::new(failure(&failed, connection, false)))?;
        let body = json_of(&answer);
        if !list.succeeded(answer.status, body.as_ref()) {
            return Err(Box::new(judged(
                &answer,
                connection,
                &callable.vocabulary.connector.name,
                Some(list),
                true,
            )));
        }
        let same = |item: &&Value| {
            find.same.iter().all(|(pointer, field)| {
                let there = item.pointer(pointer);
                let there =
                    there.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                there.as_deref() == texts.get(field.as_str()).map(String::as_str)
            })
        };
        let found = body.as_ref().and_then(|body| list.items(body).iter().find(same));
        let id = found.and_then(|item| item.pointer(&find.id));
        Ok(id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)))
    }

    /// Calls a service as invoke does.
    async fn request(&self, op: &Op, doing: &Doing<'_>, request: &Request) -> Tried {
        let text = |path: String, text: &str| {
            let rendered = Text::parse(text).and_then(|parsed| parsed.render(doing.context));
            rendered.map_err(|why| Box::new(mapping_failed(&path, &why)))
        };
        let composed = || -> Result<OperationCall, Box<Tried>> {
            let mut query = Vec::new();
            for (name, value) in &request.query {
                query.push((name.clone(), text(format!("query.{name}"), value)?));
            }
            let mut headers = Vec::new();
            for (name, value) in &request.headers {
                headers.push((name.clone(), text(format!("headers.{name}"), value)?));
            }
            let body = request
                .rendered_body(doing.context)
                .map_err(|(path, why)| Box::new(mapping_failed(&path, &why)))?;
            Ok(OperationCall {
                method: request.method,
                path: text("url".to_owned(), &request.url)?,
                query,
                headers,
                body,
                encoding: BodyEncoding::Json,
            })
        };
        let call = match composed() {
            Ok(call) => call,
            Err(tried) => return *tried,
        };
        let harmless = request.is_repeatable();
        let connection = &request.connection;
        let mut invocation = invocation(&call, doing);
        invocation.body_encoding = Some(request.body_encoding.as_str().to_owned());
        if request.body_encoding == RequestEncoding::Multipart {
            // The history keeps which file it was, not its bytes.
            match self.parts_of(doing.organization, &doing.run.record, call.body.clone()).await {
                Ok(parts) => invocation.body = Some(parts),
                Err((path, why)) => return mapping_failed(&path, &why),
            }
        }
        let answer = self.call(op, connection, doing.via(), &invocation).await;
        let mut tried = match answer {
            Err(failed) => failure(&failed, connection, !harmless),
            Ok(answer) => judged(&answer, connection, "The service", None, harmless),
        };
        self.conceal(doing, op, connection, &mut tried).await;
        tried.request = Some(kept(shown(&call)));
        tried.doubt = doing.doubt && !harmless;
        tried
    }

    /// Sends a mail.
    async fn post(&self, doing: &Doing<'_>, name: &str, mail: &Mail) -> Tried {
        let Some(server) = &self.settings().mail else {
            return Tried::failed(
                "mail_not_configured",
                "This installation has no mail server (JACKFIELD_SMTP_URL).",
            );
        };
        let text = |path: &str, text: &str| {
            let rendered = Text::parse(text).and_then(|parsed| parsed.render(doing.context));
            rendered.map_err(|why| Box::new(mapping_failed(path, &why)))
        };
        let mut to = Vec::new();
        for (index, address) in mail.to.iter().enumerate() {
            match text(&format!("to.{index}"), address) {
                Ok(address) => to.extend(
                    address.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned),
                ),
                Err(tried) => return *tried,
            }
        }
        let (subject, body) = match (text("subject", &mail.subject), text("text", &mail.text)) {
            (Ok(subject), Ok(body)) => (subject, body),
            (Err(tried), _) | (_, Err(tried)) => return *tried,
        };
        let request = json!({"to": to, "subject": subject, "text": body});
        let mut tried = match server.deliver(&to, &subject, body, &doing.key(name)).await {
            Ok(()) => Tried::of(Ended::Done { result: json!({"to": to}) }),
            Err((true, reason)) => Tried::failed("mail_refused", reason),
            Err((false, reason)) => {
                Tried::of(Ended::Later { code: "mail_failed", reason, retry_after: None, doubt: true })
            }
        };
        tried.request = Some(kept(request));
        tried.doubt = doing.doubt;
        tried
    }

    /// Changes the record. Done twice it is as done once, so that a crash before it is noted does no harm.
    async fn change(&self, doing: &Doing<'_>, update: &UpdateRecord) -> Tried {
        let mut set = Map::new();
        for (field, mapped) in &update.set {
            match self.mapped(doing, mapped).await {
                Ok(value) => {
                    set.insert(field.clone(), value);
                }
                Err(why) => return mapping_failed(field, &why),
            }
        }
        let request = kept(json!({"set": set}));
        let mut tried = match self.set_fields(doing, &set).await {
            Ok(record) => {
                let mut tried = Tried::of(Ended::Done { result: Value::Object(set) });
                tried.record = Some(record);
                tried
            }
            Err(error) => failure(&Failed { error, sent: false }, "", false),
        };
        tried.request = Some(request);
        tried
    }

    /// Sets fields of the run's record, whatever else of it was changed meanwhile.
    async fn set_fields(&self, doing: &Doing<'_>, set: &Map<String, Value>) -> Result<Value> {
        let run = doing.run;
        let form = self
            .served_form(doing.organization, doing.application, doing.environment, doing.live, &run.form)
            .await?;
        let drawer = Drawer {
            organization: doing.organization,
            application: doing.application,
            form: &run.form,
            environment: doing.environment.as_str(),
        };
        let mut work =
            self.begin(Permit::housekeeping("whoever saved the workflow was permitted to")).await?;
        let found =
            work.present_record(drawer, &run.record).await?.filter(|record| record.deleted_at.is_none());
        let mut record = found.ok_or_else(|| Error::new(Code::StateConflict, "The record is deleted."))?;
        let former = data_of(&record)?;
        let mode = Mode::Edit { former: &former };
        let Accepted { data, files } =
            self.accepted(doing.organization, &form.form, set.clone(), mode, clock::now())?;
        if data != former {
            let changed = Changed {
                former: &former,
                data: &data,
                files: &files,
                actor: "",
                sets_off: false,
                now: clock::now(),
            };
            if self.write_change(&mut work, doing.live, &mut record, changed).await?.is_none() {
                return Err(Error::new(Code::Unavailable, "The record was changed at the same time."));
            }
            work.commit().await?;
        }
        Ok(seen(&form, &record, &data))
    }
}

/// The call as invoke takes it.
pub(crate) fn invocation(call: &OperationCall, doing: &Doing<'_>) -> Invocation {
    invocation_of(call, doing.environment, doing.actor)
}

/// The same in an environment, for a member or, empty, for nobody.
pub(crate) fn invocation_of(call: &OperationCall, environment: Environment, actor: &str) -> Invocation {
    let lists = |pairs: &[(String, String)]| {
        let mut all = Map::new();
        for (name, value) in pairs {
            match all.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(values) => values.push(value.clone().into()),
                other => *other = value.clone().into(),
            }
        }
        all
    };
    Invocation {
        method: call.method.as_str().to_owned(),
        url: call.path.clone(),
        query: lists(&call.query),
        headers: lists(&call.headers),
        body: call.body.clone(),
        body_encoding: Some(call.encoding.as_str().to_owned()),
        environment: Some(environment.as_str().to_owned()),
        acting_for: Some(actor.to_owned()).filter(|actor| !actor.is_empty()),
        detailed: true,
        timeout_ms: None,
    }
}

/// The request as the history shows it; the credential is placed later and is not in it.
pub(crate) fn shown(call: &OperationCall) -> Value {
    let object = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>()
    };
    json!({"method": call.method.as_str(), "url": call.path, "query": object(&call.query),
        "headers": object(&call.headers), "body": call.body})
}

pub(crate) fn json_of(answer: &Invoked) -> Option<Value> {
    serde_json::from_slice(&answer.body).ok()
}

/// What the history keeps: secrets masked, and not too much.
pub(crate) fn kept(mut value: Value) -> Value {
    mask(&mut value);
    let text = value.to_string();
    if text.len() <= KEPT_MAX {
        return value;
    }
    json!({"shortened": true, "beginning": text.chars().take(KEPT_MAX / 4).collect::<String>()})
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.to_ascii_lowercase().replace('-', "_");
                let secret = SECRET_WORDS.iter().any(|word| name.contains(word));
                match value {
                    Value::String(text) if secret && !text.is_empty() => HIDDEN.clone_into(text),
                    inner => mask(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// What an answer means. `operation`: what says how a success looks; without one it is a status from 200 to 299.
pub(crate) fn judged(
    answer: &Invoked,
    connection: &str,
    service: &str,
    operation: Option<&Operation>,
    harmless: bool,
) -> Tried {
    let body = json_of(answer);
    let status = answer.status;
    let succeeded = match operation {
        Some(operation) => operation.succeeded(status, body.as_ref()),
        None => (200..300).contains(&status),
    };
    let message = || {
        let said = match operation {
            Some(operation) => operation.error_message(body.as_ref()),
            None => Operation::default().error_message(body.as_ref()),
        };
        match said {
            Some(said) => format!("{service} answered {status}: {said}"),
            None => format!("{service} answered {status}."),
        }
    };
    let retry_after = retry_after(&answer.headers);
    let (ended, health) = match status {
        _ if succeeded => {
            let id = operation.and_then(|operation| operation.result_id(body.as_ref()));
            let body = if answer.body.len() <= RESULT_MAX { body.clone() } else { None };
            (Ended::Done { result: json!({"id": id, "status": status, "body": body}) }, Health::Answers)
        }
        429 => {
            let ended = Ended::Later { code: "rate_limited", reason: message(), retry_after, doubt: false };
            (ended, Health::Asks(retry_after.unwrap_or(Duration::from_secs(1))))
        }
        // It says that it has not done anything.
        425 | 503 => (
            Ended::Later { code: "service_unavailable", reason: message(), retry_after, doubt: false },
            Health::Fails,
        ),
        408 | 500..=599 => (
            Ended::Later { code: "service_failed", reason: message(), retry_after, doubt: !harmless },
            Health::Fails,
        ),
        401 => {
            let reason = format!("{} Authorize the connection again.", message());
            (
                Ended::Paused { connection: connection.to_owned(), code: "credential_refused", reason },
                Health::Answers,
            )
        }
        _ => (Ended::Failed { code: "service_refused", reason: message() }, Health::Answers),
    };
    let mut tried = Tried::of(ended);
    tried.status = Some(status);
    tried.reply = Some(kept(body.unwrap_or_else(|| {
        let text: String = String::from_utf8_lossy(&answer.body).chars().take(2000).collect();
        if text.is_empty() { Value::Null } else { text.into() }
    })));
    tried.health = Some(health);
    tried
}

/// What one of Jackfield's own failures means. `doubtful`: whether sending the request again could have its effect twice.
pub(crate) fn failure(failed: &Failed, connection: &str, doubtful: bool) -> Tried {
    let (error, code) = (&failed.error, failed.error.code.as_str());
    let reason = error.detail.clone();
    let (ended, health) = match error.code {
        Code::NotConnected
        | Code::ReauthorizationRequired
        | Code::ConnectionDisabled
        | Code::ApplicationNotAllowed
        | Code::PrimaryAccountRequired => {
            (Ended::Paused { connection: connection.to_owned(), code, reason }, None)
        }
        Code::UpstreamTimeout | Code::UpstreamUnreachable => (
            Ended::Later { code, reason, retry_after: None, doubt: failed.sent && doubtful },
            Some(Health::Fails),
        ),
        Code::TokenEndpointFailed
        | Code::Unavailable
        | Code::RateLimited
        | Code::PlanLimitReached
        | Code::Internal => {
            let retry_after = error.retry_after.map(Duration::from_secs);
            (Ended::Later { code, reason, retry_after, doubt: failed.sent && doubtful }, None)
        }
        _ => {
            let fields: Vec<String> =
                error.fields.iter().map(|field| format!(" {}: {}", field.field, field.message)).collect();
            (Ended::Failed { code, reason: format!("{reason}{}", fields.concat()) }, None)
        }
    };
    let mut tried = Tried::of(ended);
    tried.health = health;
    tried
}

/// RFC 9110 §10.2.3, where it says seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn what_is_secret_is_not_kept() {
        let value = json!({"Password": "p", "nested": [{"access_token": "t", "name": "n"}], "X-Api-Key": "k", "token": 5, "empty_secret": ""});
        let wanted = json!({"Password": "••••", "nested": [{"access_token": "••••", "name": "n"}], "X-Api-Key": "••••", "token": 5, "empty_secret": ""});
        assert_eq!(kept(value), wanted);
        let long = json!({"text": "x".repeat(KEPT_MAX)});
        assert_eq!(kept(long)["shortened"], true);
    }

    #[test]
    fn answers_are_judged() {
        let judge = |status: u16, body: &'static str, harmless: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, http::HeaderValue::from_static("7"));
            let answer = Invoked {
                status,
                headers,
                body: Bytes::from_static(body.as_bytes()),
                service_time: Duration::ZERO,
            };
            judged(
                &answer,
                "acme",
                "Acme",
                Some(&Operation { result: Some("/id".to_owned()), ..Operation::default() }),
                harmless,
            )
        };
        let done = judge(201, r#"{"id": 7}"#, false);
        assert!(matches!(&done.ended, Ended::Done { result } if result["id"] == "7"));
        for (status, harmless, wanted) in [
            (429, false, false),
            (503, false, false),
            (500, false, true),
            (504, true, false),
            (408, false, true),
        ] {
            let tried = judge(status, "", harmless);
            assert!(
                matches!(tried.ended, Ended::Later { doubt, retry_after: Some(after), .. } if doubt == wanted && after.as_secs() == 7),
                "{status}"
            );
        }
        assert!(matches!(judge(401, "", false).ended, Ended::Paused { .. }));
        let refused = judge(400, r#"{"message": "DisplayName is taken"}"#, false);
        assert!(
            matches!(refused.ended, Ended::Failed { reason, .. } if reason == "Acme answered 400: DisplayName is taken")
        );
    }

    #[test]
    fn our_own_failures_are_judged() {
        let fail = |code: Code, sent: bool, doubtful: bool| {
            failure(&Failed { error: Error::new(code, "why"), sent }, "acme", doubtful).ended
        };
        assert!(matches!(fail(Code::ReauthorizationRequired, false, true), Ended::Paused { .. }));
        assert!(matches!(fail(Code::UpstreamTimeout, true, true), Ended::Later { doubt: true, .. }));
        assert!(matches!(fail(Code::UpstreamTimeout, true, false), Ended::Later { doubt: false, .. }));
        assert!(matches!(fail(Code::UpstreamUnreachable, false, true), Ended::Later { doubt: false, .. }));
        assert!(matches!(fail(Code::HostNotAllowed, false, true), Ended::Failed { .. }));
    }
}
