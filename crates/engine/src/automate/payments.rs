//! Payments: a checkout on a page of the service, made once, followed until somebody has paid or nobody will, and ended where nobody waits.
//!
//! | what can be lost | what follows |
//! |---|---|
//! | the answer to the request that makes the checkout | it is sent again under the same key, or looked for: there is one checkout |
//! | a notification of the service | the payment is looked at by the clock, 10 s to 5 minutes apart |
//! | a notification twice, late, or before the answer | it only makes the look happen now |
//! | the process, after the service had the money | the next look finds it |
//!
//! What the service says when it is asked with our credential counts, and nothing else. What it says is compared with what was asked for.

mod closing;
mod notices;

use std::sync::Arc;
use std::time::Duration;

use jackfield_core::connector::{Connector, Payment as Described, PaymentCall, PaymentValues, Repeat};
use jackfield_core::id::Prefix;
use jackfield_core::payment::look_again;
use jackfield_core::workflow::{Currency, Mapped, OnUnpaid, PaymentAction, Text, amount_of};
use jackfield_core::{Error, EventKind, PaymentState, Permit, Result, Timestamp, money};
use jackfield_store::{Payment, PaymentEnd};
use jackfield_vault::{Context, token};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::automate::actions::{
    Doing, Ended, Tried, failure, invocation, json_of, judged, kept, mapping_failed, shown,
};
use crate::automate::gates::Health;
use crate::call::invoke::{Failed, Invoked};
use crate::call::ready::{Callable, ReadyHere};
use crate::clock::new_id;
use crate::{Engine, Op, clock};

const PERMIT: Permit = Permit::housekeeping("whoever saved the workflow was permitted to");
/// How long money may be on its way.
const ON_ITS_WAY: Duration = Duration::from_hours(24 * 30);

/// One call of a payment, answered.
struct Called {
    answer: Invoked,
    body: Option<Value>,
    /// what the history keeps of it
    request: Value,
    /// as any answer to such an operation is judged
    tried: Tried,
}

/// Where a payment is made: its row, and the service with all that its templates need.
struct Till<'a> {
    op: &'a Op,
    doing: &'a Doing<'a>,
    row: &'a Payment,
    ready: ReadyHere,
    connector: Arc<Connector>,
    described: &'a Described,
}

impl Till<'_> {
    fn callable(&self) -> Result<&Callable> {
        self.ready.callable()
    }

    fn key(&self, what: &str) -> String {
        self.doing.key(&format!("{} {what}", self.row.id))
    }

    /// What names the checkout at the service, and us.
    fn values(&self) -> PaymentValues {
        PaymentValues::default()
            .with("payment.id", self.row.id.as_str())
            .with("payment.checkout", self.row.checkout.as_deref().unwrap_or_default())
            .with("payment.reference", self.row.reference.as_str())
            .with("payment.description", self.row.description.as_str())
            .with("payment.currency", self.row.currency.as_str())
            .with("payment.currency_lower", self.row.currency.to_ascii_lowercase())
    }
}

/// How a payment ends.
struct End {
    state: PaymentState,
    why: Option<(&'static str, String)>,
    close: bool,
}

impl End {
    fn plain(state: PaymentState) -> Self {
        Self { state, why: None, close: false }
    }

    fn failed(code: &'static str, reason: impl Into<String>, close: bool) -> Self {
        Self { state: PaymentState::Failed, why: Some((code, reason.into())), close }
    }
}

/// An amount as people write it.
pub(crate) fn written(row: &Payment) -> String {
    money::decimal(row.amount, money::exponent(&row.currency))
}

/// What an action that waits for a payment comes to when it is over.
fn outcome(row: &Payment, on_unpaid: OnUnpaid) -> Tried {
    let result = json!({
        "state": row.state, "id": row.checkout, "payment": row.id, "amount": written(row),
        "currency": row.currency, "paid_at": row.paid_at,
    });
    if row.state == PaymentState::Paid || on_unpaid == OnUnpaid::Continue {
        return Tried::of(Ended::Done { result });
    }
    let (code, words) = match row.state {
        PaymentState::Expired => ("payment_expired", "Nobody paid in time."),
        PaymentState::Cancelled => ("payment_cancelled", "The payment was called off."),
        _ if row.code.as_deref() == Some(MISMATCH) => (MISMATCH, "The payment is not what was asked for."),
        _ => ("payment_failed", "The payment failed."),
    };
    let reason = row.reason.as_ref().map_or_else(|| words.to_owned(), |why| format!("{words} {why}"));
    Tried::failed(code, reason)
}

const MISMATCH: &str = "payment_mismatch";

/// The run waits for the payer.
fn waiting(row: &Payment, now: Timestamp, more: Option<&str>) -> Tried {
    let words = if row.state == PaymentState::Processing {
        format!("The payment of {} {} is on its way.", written(row), row.currency)
    } else {
        format!("Waits until {} {} is paid, until {} at most.", written(row), row.currency, row.expires_at)
    };
    let left = now.until(row.expires_at);
    let after = look_again(row.opened_at.unwrap_or(row.created_at).until(now));
    // Just after its time, so that the last look is not long after it.
    let after = if left > Duration::ZERO { after.min(left + Duration::from_secs(1)) } else { after };
    let mut tried = Tried::of(Ended::Waiting {
        after,
        nudges: row.nudges,
        code: "payment_pending",
        reason: more.map_or_else(|| words.clone(), |more| format!("{words} {more}")),
    });
    tried.health = Some(Health::Answers);
    tried
}

fn page_context<'a>(organization: &'a str, run: &'a str) -> Context<'a> {
    Context { organization, table: "pay_pages", record: run, field: "token" }
}

impl Engine {
    /// Asks for a payment, or looks how far it is.
    pub(crate) async fn pay(&self, op: &Op, doing: &Doing<'_>, name: &str, action: &PaymentAction) -> Tried {
        let broken = |error: Error| failure(&Failed { error, sent: false }, &action.connection, false);
        let known = match self.store().payment_of_action(doing.organization, &doing.run.id, name).await {
            Ok(known) => known,
            Err(error) => return broken(error.into()),
        };
        let row = match known {
            Some(row) => row,
            None => match self.ask_for_payment(doing, name, action).await {
                Ok(row) => row,
                Err(tried) => return *tried,
            },
        };
        if row.state.is_over() {
            return outcome(&row, action.on_unpaid);
        }
        let (ready, connector) = match self.counter(op, doing, &row).await {
            Ok(found) => found,
            Err(tried) => return *tried,
        };
        let Some(described) = &connector.payment else {
            return Tried::failed("invalid", format!("{} takes no payments any more.", connector.name));
        };
        let till = Till { op, doing, row: &row, ready, connector: Arc::clone(&connector), described };
        let done = if row.state == PaymentState::Creating {
            self.open_checkout(&till, action).await
        } else {
            self.follow_payment(&till).await
        };
        let mut tried = match done {
            Ok(tried) => tried,
            Err(end) => match self.end_payment(op, &row, &end).await {
                Ok(row) => outcome(&row, action.on_unpaid),
                Err(error) => broken(error),
            },
        };
        self.conceal(doing, op, &row.connection, &mut tried).await;
        tried
    }

    /// The service of a payment.
    async fn counter(
        &self,
        op: &Op,
        doing: &Doing<'_>,
        row: &Payment,
    ) -> Result<(ReadyHere, Arc<Connector>), Box<Tried>> {
        let broken = |error: Error| Box::new(failure(&Failed { error, sent: false }, &row.connection, false));
        let ready = self.made_ready(doing, op, &row.connection).await.map_err(broken)?;
        let connector = Arc::clone(&ready.callable().map_err(broken)?.vocabulary.connector);
        let organization = self.own_organization(doing.organization).await.map_err(broken)?;
        match connector.refusal_in(&organization.region) {
            // What is under way is followed to its end wherever the organization is now.
            Some(why) if row.state == PaymentState::Creating => {
                Err(Box::new(Tried::failed("not_available", why)))
            }
            _ => Ok((ready, connector)),
        }
    }

    /// Writes down what is asked for, before the service hears of it.
    async fn ask_for_payment(
        &self,
        doing: &Doing<'_>,
        name: &str,
        action: &PaymentAction,
    ) -> Result<Payment, Box<Tried>> {
        let wrong = |path: &str, why: &str| Box::new(mapping_failed(path, why));
        let mapped = async |path: &str, mapped: &Mapped| {
            self.mapped(doing, mapped).await.map_err(|why| wrong(path, &why))
        };
        let text = |path: &str, text: &str| {
            let rendered = Text::parse(text).and_then(|parsed| parsed.render(doing.context));
            rendered.map_err(|why| wrong(path, &why))
        };
        let currency = match &action.currency {
            Currency::Code(code) => code.clone(),
            Currency::Mapped(from) => {
                mapped("currency", from).await?.as_str().unwrap_or_default().trim().to_owned()
            }
        };
        if !money::is_currency(&currency) {
            return Err(wrong("currency", "It must be a code of ISO 4217, three capitals such as EUR."));
        }
        let amount = mapped("amount", &action.amount).await?;
        let amount = amount_of(&amount, &currency).map_err(|why| wrong("amount", &why))?;
        let description: String =
            text("description", &action.description)?.trim().chars().take(120).collect();
        let reference = match &action.reference {
            Some(reference) => text("reference", reference)?.chars().take(120).collect(),
            None => doing.run.record.clone(),
        };
        let now = clock::now();
        let row = Payment {
            organization_id: doing.organization.to_owned(),
            id: new_id(Prefix::Payment, now),
            application: doing.application.to_owned(),
            environment: doing.environment.as_str().to_owned(),
            connection: action.connection.clone(),
            workflow: doing.run.workflow.clone(),
            form: doing.run.form.clone(),
            record: doing.run.record.clone(),
            run: doing.run.id.clone(),
            action: name.to_owned(),
            actor: doing.actor.to_owned(),
            state: PaymentState::Creating,
            amount,
            currency,
            description,
            reference,
            success_text: action.success_text.clone().unwrap_or_default(),
            checkout: None,
            url: None,
            expires_at: now,
            code: None,
            reason: None,
            nudges: 0,
            close_at: None,
            superseded: false,
            created_at: now,
            updated_at: now,
            opened_at: None,
            paid_at: None,
            ended_at: None,
        };
        let write = async {
            let mut work = self.begin(PERMIT).await?;
            work.insert_payment(&row).await?;
            work.commit().await
        };
        write.await.map_err(|error: Error| {
            Box::new(failure(&Failed { error, sent: false }, &action.connection, false))
        })?;
        Ok(row)
    }

    /// One call of a payment. `Err`: it did not come to an answer.
    async fn payment_call(
        &self,
        till: &Till<'_>,
        call: &PaymentCall,
        values: &PaymentValues,
        key: &str,
    ) -> Result<Called, Box<Tried>> {
        let connection = &till.row.connection;
        let broken = |error: Error| Box::new(failure(&Failed { error, sent: false }, connection, false));
        let vocabulary = &till.callable().map_err(broken)?.vocabulary;
        let Some((module, operation)) = call.operation(&till.connector) else {
            let message = format!("{} has no operation {} any more.", till.connector.name, call.operation);
            return Err(Box::new(Tried::failed("invalid", message)));
        };
        let arguments = call
            .filled(&vocabulary.values(), values)
            .map_err(|why| Box::new(mapping_failed(&call.operation, &why)))?;
        let composed =
            module.call(operation, &arguments, &vocabulary.values(), None, Some(key)).map_err(|wrong| {
                let words: Vec<String> =
                    wrong.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
                Box::new(Tried::failed("mapping_failed", words.join(" ")))
            })?;
        // A key recognizes the same request only, and what is looked for is looked for in doubt: whatever may have made a checkout is.
        let harmless = operation.repeat() == Repeat::Harmless;
        let request = kept(shown(&composed));
        let answer = self.call(till.op, connection, "workflow", &invocation(&composed, till.doing)).await;
        match answer {
            Err(failed) => {
                let mut tried = failure(&failed, connection, !harmless);
                tried.request = Some(request);
                Err(Box::new(tried))
            }
            Ok(answer) => {
                let tried = judged(&answer, connection, &till.connector.name, Some(operation), harmless);
                Ok(Called { body: json_of(&answer), answer, request, tried })
            }
        }
    }

    /// Has the service make a checkout, once.
    async fn open_checkout(&self, till: &Till<'_>, action: &PaymentAction) -> Result<Tried, End> {
        let Till { op, doing, row, described, connector, .. } = till;
        let broken = |error: Error| failure(&Failed { error, sent: false }, &row.connection, false);
        let now = clock::now();
        let mut expires_at = row.expires_at;
        if !doing.doubt {
            // Nobody has been told of another time: a request that comes late has its time whole.
            let minutes = described.minutes(action.expires_minutes);
            expires_at = now.plus(Duration::from_secs(u64::from(minutes) * 60));
            let write = async {
                let mut work = self.begin(PERMIT).await?;
                work.set_payment_expiry(&row.organization_id, &row.id, expires_at, now).await?;
                work.commit().await
            };
            if let Err(error) = write.await {
                return Ok(broken(error));
            }
        }
        let amount = described
            .amount(&connector.name, row.amount, &row.currency)
            .map_err(|why| End::failed("payment_failed", why, false))?;
        let page = match self.page_token(&row.organization_id, &row.run).await {
            Ok(token) => self.pay_url(&token),
            Err(error) => return Ok(broken(error)),
        };
        let email = match &action.email {
            Some(from) => match self.mapped(doing, from).await {
                Ok(value) => value.as_str().unwrap_or_default().trim().to_owned(),
                Err(why) => return Ok(mapping_failed("email", &why)),
            },
            None => String::new(),
        };
        let seconds = expires_at.micros() / 1_000_000;
        let values = till
            .values()
            .with("payment.amount", amount)
            .with("payment.email", email)
            .with("payment.return_url", format!("{page}/back"))
            .with("payment.cancel_url", format!("{page}/left"))
            .with("payment.expires_at", seconds.to_string());
        if doing.doubt
            && let Some((module, operation)) = described.create.operation(connector)
            && let Repeat::Findable(find) = operation.repeat()
        {
            let vocabulary = match till.callable() {
                Ok(callable) => &callable.vocabulary,
                Err(error) => return Ok(broken(error)),
            };
            let arguments = described.create.filled(&vocabulary.values(), &values);
            let arguments = match arguments {
                Ok(arguments) => arguments,
                Err(why) => return Ok(mapping_failed(&described.create.operation, &why)),
            };
            let looked =
                self.find_made(op, doing, &row.connection, module, find, &arguments, &till.ready).await;
            match looked {
                Ok(Some(id)) => return self.opened(till, &id, None, expires_at, None).await,
                Ok(None) => {}
                Err(mut tried) => {
                    if let Ended::Later { doubt, .. } = &mut tried.ended {
                        *doubt = true;
                    }
                    return Ok(*tried);
                }
            }
        }
        let called = match self.payment_call(till, &described.create, &values, &till.key("create")).await {
            Ok(called) => called,
            Err(tried) => return Ok(*tried),
        };
        let mut tried = called.tried;
        tried.request = Some(called.request);
        match tried.ended {
            Ended::Done { .. } => {}
            // What is refused is not made.
            Ended::Failed { reason, .. } => return Err(End::failed("payment_failed", reason, false)),
            _ => return Ok(tried),
        }
        let id = described
            .create
            .operation(connector)
            .and_then(|(_, operation)| operation.result_id(called.body.as_ref()));
        let Some(id) = id else {
            return Err(End::failed(
                "payment_failed",
                "The service did not say how the checkout is called.",
                false,
            ));
        };
        let step = Tried { ended: Ended::Skipped, ..tried };
        self.opened(till, &id, called.body.as_ref(), expires_at, Some(step)).await
    }

    /// There is a checkout: it is looked at, written down, and waited for.
    async fn opened(
        &self,
        till: &Till<'_>,
        id: &str,
        answer: Option<&Value>,
        expires_at: Timestamp,
        step: Option<Tried>,
    ) -> Result<Tried, End> {
        let Till { op, doing, row, described, connector, .. } = till;
        let mut row = (*row).clone();
        row.checkout = Some(id.to_owned());
        row.expires_at = expires_at;
        let mut url = answer.and_then(|answer| described.checkout_url(answer));
        let mut seen = answer.cloned();
        if url.is_none() {
            let till =
                Till { row: &row, ready: Arc::clone(&till.ready), connector: Arc::clone(connector), ..*till };
            let called =
                match self.payment_call(&till, &described.read, &till.values(), &till.key("read")).await {
                    Ok(called) => called,
                    Err(tried) => return Ok(in_doubt(*tried)),
                };
            if !matches!(called.tried.ended, Ended::Done { .. }) {
                return Ok(in_doubt(called.tried));
            }
            url = called.body.as_ref().and_then(|body| described.checkout_url(body));
            seen = called.body;
        }
        let allowed = |url: &str| {
            let Ok(callable) = till.callable() else { return false };
            let values = callable.vocabulary.values();
            described.may_send_to(url, &connector.render_base_url(&values).unwrap_or_default(), &values)
        };
        let now = clock::now();
        let agreed = seen
            .as_ref()
            .map_or(Ok(()), |seen| described.agrees(seen, row.amount, &row.currency, false, false));
        let wrong = match (&agreed, &url) {
            (Err(why), _) => Some((MISMATCH, why.clone())),
            (Ok(()), Some(url)) if !allowed(url) => Some((
                "payment_failed",
                "The service's checkout page is on a host that the connector does not list.".to_owned(),
            )),
            _ => None,
        };
        let url = url.filter(|_| wrong.is_none());
        let open = async {
            let mut work = self.begin(PERMIT).await?;
            let opened =
                work.open_payment(&row.organization_id, &row.id, id, url.as_deref(), expires_at, now).await?;
            if opened {
                let event = op.event(EventKind::PaymentOpened).on_connection(&row.connection).to(&row.id);
                work.record(told(event, &row));
            }
            work.commit().await
        };
        if let Err(error) = open.await {
            // The service has it, and here it is not known: the same request finds it again.
            return Ok(in_doubt(failure(&Failed { error, sent: true }, &row.connection, true)));
        }
        if let Some((code, why)) = wrong {
            return Err(End::failed(code, why, true));
        }
        row.state = PaymentState::Open;
        row.opened_at = Some(now);
        let mut tried = waiting(&row, now, None);
        tried.found = step.is_none() && doing.doubt;
        if let Some(step) = step {
            tried.request = step.request;
            tried.reply = step.reply;
            tried.status = step.status;
        } else {
            tried.request = Some(json!({"checkout": id}));
        }
        Ok(tried)
    }

    /// Looks how far a payment is.
    async fn follow_payment(&self, till: &Till<'_>) -> Result<Tried, End> {
        let Till { row, described, .. } = till;
        let now = clock::now();
        let seen = match self.look(till).await {
            Ok(seen) => seen,
            Err(tried) => return patient(*tried, row, now),
        };
        match seen {
            PaymentState::Approved => {
                let Some(capture) = &described.capture else { return Ok(waiting(row, now, None)) };
                let refused =
                    match self.payment_call(till, capture, &till.values(), &till.key("capture")).await {
                        Ok(called) => match called.tried.ended {
                            Ended::Failed { reason, .. } => Some(reason),
                            _ => None,
                        },
                        Err(tried) => return patient(*tried, row, now),
                    };
                match self.look(till).await {
                    Ok(state @ (PaymentState::Open | PaymentState::Approved)) => match refused {
                        Some(reason) => Err(End::failed("payment_failed", reason, true)),
                        None => self.still(till, state, now).await,
                    },
                    Ok(state) => self.arrived(till, state, now).await,
                    Err(tried) => patient(*tried, row, now),
                }
            }
            PaymentState::Open | PaymentState::Creating if row.expires_at <= now => {
                match self.close_checkout(till).await {
                    Ok(PaymentState::Paid) => Err(End::plain(PaymentState::Paid)),
                    Ok(PaymentState::Processing) => self.still(till, PaymentState::Processing, now).await,
                    Ok(_) => Err(End::plain(PaymentState::Expired)),
                    Err(tried) => patient(*tried, row, now),
                }
            }
            state => self.arrived(till, state, now).await,
        }
    }

    /// What a state means that is not handled before.
    async fn arrived(&self, till: &Till<'_>, state: PaymentState, now: Timestamp) -> Result<Tried, End> {
        if state.is_over() { Err(End::plain(state)) } else { self.still(till, state, now).await }
    }

    /// It goes on waiting.
    async fn still(&self, till: &Till<'_>, state: PaymentState, now: Timestamp) -> Result<Tried, End> {
        let row = till.row;
        if state == PaymentState::Processing && row.expires_at.plus(ON_ITS_WAY) < now {
            return Err(End::failed("payment_failed", "The money did not come within a month.", false));
        }
        if state != row.state {
            let write = async {
                let mut work = self.begin(PERMIT).await?;
                work.say_payment(&row.organization_id, &row.id, state, None, now).await?;
                work.commit().await
            };
            if let Err(error) = write.await {
                return Ok(failure(&Failed { error, sent: false }, &row.connection, false));
            }
        }
        let mut row = row.clone();
        row.state = state;
        Ok(waiting(&row, now, None))
    }

    /// What the service says of a payment. `Err`: it does not say it now, or says something else than what was asked for (then it has failed,
    /// and this is the sentence).
    async fn look(&self, till: &Till<'_>) -> Result<PaymentState, Box<Tried>> {
        let Till { row, described, .. } = till;
        let called = self.payment_call(till, &described.read, &till.values(), &till.key("read")).await?;
        if called.answer.status == 404
            && let Some(missing) = described.missing
        {
            return Ok(missing);
        }
        let (Ended::Done { .. }, Some(body)) = (&called.tried.ended, &called.body) else {
            return Err(Box::new(called.tried));
        };
        let state = described.state(body).unwrap_or(PaymentState::Open);
        if matches!(state, PaymentState::Failed | PaymentState::Expired | PaymentState::Cancelled) {
            return Ok(state);
        }
        described
            .agrees(body, row.amount, &row.currency, true, state == PaymentState::Paid)
            .map_err(|why| Box::new(Tried::failed(MISMATCH, why)))?;
        Ok(state)
    }

    /// Ends a checkout at the service; what became of it there.
    async fn close_checkout(&self, till: &Till<'_>) -> Result<PaymentState, Box<Tried>> {
        if let Some(expire) = &till.described.expire {
            // Whatever it answers: what counts is how the payment is then.
            self.payment_call(till, expire, &till.values(), &till.key("expire")).await?;
        }
        self.look(till).await
    }

    /// Ends a payment; how it is then.
    async fn end_payment(&self, op: &Op, row: &Payment, end: &End) -> Result<Payment> {
        let now = clock::now();
        let mut work = self.begin(PERMIT).await?;
        let (code, reason) = (end.why.as_ref().map(|why| why.0), end.why.as_ref().map(|why| why.1.as_str()));
        let stored = PaymentEnd { state: end.state, code, reason, close_at: end.close.then_some(now) };
        if work.end_payment(&row.organization_id, &row.id, stored, now).await? {
            let kind = match end.state {
                PaymentState::Paid => EventKind::PaymentPaid,
                PaymentState::Expired => EventKind::PaymentExpired,
                PaymentState::Cancelled => EventKind::PaymentCancelled,
                _ => EventKind::PaymentFailed,
            };
            work.record(told(op.event(kind).on_connection(&row.connection).to(&row.id), row));
        }
        work.commit().await?;
        let found = self.store().payment(&row.organization_id, &row.id).await?;
        found.ok_or_else(|| Error::not_found("payment"))
    }

    /// What the address of a payer's page holds. There is one for each run.
    pub(crate) async fn page_token(&self, organization: &str, run: &str) -> Result<String> {
        if let Some(sealed) = self.store().pay_page_of_run(organization, run).await? {
            return self.open_page(organization, run, &sealed);
        }
        let mut work = self.begin(PERMIT).await?;
        let token = self.make_page(&mut work, organization, run, clock::now()).await?;
        work.commit().await?;
        Ok(token)
    }

    pub(crate) fn open_page(&self, organization: &str, run: &str, sealed: &[u8]) -> Result<String> {
        let token = self.keyring().open_string(&page_context(organization, run), sealed);
        Ok(token.map_err(Error::internal)?.expose_secret().to_owned())
    }

    /// Makes a page for the payer of a run.
    pub(crate) async fn make_page(
        &self,
        work: &mut crate::work::Work<'_>,
        organization: &str,
        run: &str,
        now: Timestamp,
    ) -> Result<String> {
        let token = token::random_token();
        let token = token.expose_secret();
        let sealed = self.keyring().seal(&page_context(organization, run), token.as_bytes());
        let sealed = sealed.map_err(Error::internal)?;
        work.insert_pay_page(&token::digest_text(token), organization, run, &sealed, now).await?;
        Ok(token.to_owned())
    }

    pub(crate) fn pay_url(&self, token: &str) -> String {
        format!("{}/pay/{token}", self.settings().public_url)
    }

    /// Something may have happened to a payment: its run looks at once.
    pub(crate) async fn nudge(&self, row: &Payment, now: Timestamp) -> Result<()> {
        let mut work = self.begin(Permit::housekeeping("it is only looked at earlier")).await?;
        work.nudge_payment(&row.organization_id, &row.id, now).await?;
        work.commit().await?;
        self.inner.runner.wake();
        Ok(())
    }
}

/// What the trail says of a payment.
fn told(event: crate::govern::audit::Event, row: &Payment) -> crate::govern::audit::Event {
    event
        .with("application", row.application.as_str())
        .with("environment", row.environment.as_str())
        .with("amount", written(row))
        .with("currency", row.currency.as_str())
        .with("run", row.run.as_str())
}

/// The service may have acted: nobody makes a second checkout.
fn in_doubt(mut tried: Tried) -> Tried {
    if let Ended::Later { doubt, .. } = &mut tried.ended {
        *doubt = true;
    }
    tried
}

/// A look that failed. As long as there is time to pay, it is simply looked again; the day after which a run gives up begins later.
fn patient(tried: Tried, row: &Payment, now: Timestamp) -> Result<Tried, End> {
    match &tried.ended {
        Ended::Failed { code: MISMATCH, reason } => Err(End::failed(MISMATCH, reason.as_str(), true)),
        Ended::Later { reason, .. } if now < row.expires_at => {
            let health = tried.health;
            let mut waits = waiting(row, now, Some(reason));
            waits.health = health;
            Ok(waits)
        }
        _ => Ok(tried),
    }
}
