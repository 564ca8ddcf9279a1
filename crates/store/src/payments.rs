//! Payments that runs ask for, and the pages on which payers see how far they are.
//!
//! | held | race it solves |
//! |---|---|
//! | the key `payments_of_run` | a run that is carried out twice: it asks once |
//! | the row, while its state is not an end ([`Tx::end_payment`]) | a poll and somebody who calls it off: it ends once |
//! | the run's row ([`Tx::nudge_payment`]) | a notification that comes while the run is looking: it looks again ([`Tx::hasten_run`]) |

use jackfield_core::{PaymentState, Timestamp};

use crate::db::{Row, Tx, Value, statements};
use crate::{PRUNE_AT_ONCE, Result, Store, StoreError};

/// What [`Payment::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, id, application, environment, connection, workflow, form, record, run, action, actor, state, amount, currency,
        description, reference, success_text, checkout, url, expires_at, code, reason, nudges, close_at, superseded, created_at, updated_at,
        opened_at, paid_at, ended_at"
    };
}

/// The latest of those that a filter means; `$narrow` is what an index finds.
macro_rules! listed {
    ($narrow:literal) => {
        concat!(
            "select ",
            columns!(),
            " from payments where organization_id = $1 and application = $2 and ($3 = '' or environment = $3) and ($4 = '' or state = $4)
            and ($5 = '' or record = $5) and ($6 = '' or run = $6)",
            $narrow,
            " and id < $7 order by id desc limit $8"
        )
    };
}

statements! {
    pub(crate) PAYMENT_INSERT = "insert into payments (organization_id, id, application, environment, connection, workflow, form, record, run,
        action, actor, state, amount, currency, description, reference, success_text, expires_at, nudges, superseded, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'creating', $12, $13, $14, $15, $16, $17, 0, 0, $18, $18)";
    pub(crate) PAYMENT_GET = concat!("select ", columns!(), " from payments where organization_id = $1 and id = $2");
    pub(crate) PAYMENT_OF_ACTION = concat!("select ", columns!(), " from payments
        where organization_id = $1 and run = $2 and action = $3 and superseded = 0");
    pub(crate) PAYMENT_OF_RUN = concat!("select ", columns!(), " from payments
        where organization_id = $1 and run = $2 and superseded = 0 order by id desc limit 1");
    pub(crate) PAYMENT_BY_CHECKOUT = concat!("select ", columns!(), " from payments
        where organization_id = $1 and connection = $2 and checkout = $3 order by id desc limit 1");
    pub(crate) PAYMENT_LIST = listed!("");
    pub(crate) PAYMENT_LIST_OF_RECORD = listed!(" and record = $5");
    pub(crate) PAYMENT_EXPIRES = "update payments set expires_at = $3, updated_at = $4
        where organization_id = $1 and id = $2 and state = 'creating'";
    pub(crate) PAYMENT_OPEN = "update payments set state = 'open', checkout = $3, url = $4, expires_at = $5, code = null, reason = null,
        opened_at = $6, updated_at = $6 where organization_id = $1 and id = $2 and state = 'creating'";
    pub(crate) PAYMENT_SAY = "update payments set state = $3, url = coalesce($4, url), updated_at = $5
        where organization_id = $1 and id = $2 and state in ('open', 'approved', 'processing')";
    pub(crate) PAYMENT_END = "update payments set state = $3, code = $4, reason = $5, ended_at = $6, updated_at = $6,
        paid_at = case when $3 = 'paid' then $6 else paid_at end, close_at = $7
        where organization_id = $1 and id = $2 and state in ('creating', 'open', 'approved', 'processing')";
    pub(crate) PAYMENT_NUDGE = "update payments set nudges = nudges + 1, updated_at = $3
        where organization_id = $1 and id = $2 and state in ('creating', 'open', 'approved', 'processing')";
    // Whatever its state: so this waits for whoever writes down how the run goes on.
    pub(crate) PAYMENT_NUDGE_RUN = "update runs set due_at = case when state = 'queued' and due_at > $3 then $3 else due_at end
        where organization_id = $1 and id = (select run from payments where organization_id = $1 and id = $2)";
    pub(crate) PAYMENT_HASTEN = "update runs set due_at = $4 where organization_id = $1 and id = $2 and state = 'queued'
        and exists (select 1 from payments p where p.organization_id = $1 and p.run = $2 and p.superseded = 0 and p.nudges > $3)";
    pub(crate) PAYMENT_CLOSE_OF_RUN = "update payments set close_at = $3, updated_at = $3 where organization_id = $1 and run = $2
        and superseded = 0 and close_at is null and state in ('creating', 'open', 'approved', 'processing')";
    pub(crate) PAYMENT_CLOSING = concat!("with taken as materialized (select organization_id, id from payments
            where close_at is not null and close_at <= $1 order by close_at limit $3 for update skip locked)
        update payments set close_at = $2 where (organization_id, id) in (select organization_id, id from taken)
        returning ", columns!());
    pub(crate) PAYMENT_CLOSED = "update payments set close_at = null where organization_id = $1 and id = $2";
    pub(crate) PAYMENT_SUPERSEDE = "update payments set superseded = 1, updated_at = $3 where organization_id = $1 and run = $2
        and superseded = 0 and state in ('failed', 'expired', 'cancelled')";
    pub(crate) PAYMENTS_END = "delete from payments where organization_id = $1 and application = $2";
    pub(crate) PAY_PAGE_INSERT = "insert into pay_pages (digest, organization_id, run, token, created_at) values ($1, $2, $3, $4, $5)";
    pub(crate) PAY_PAGE_GET = "select organization_id, run from pay_pages where digest = $1";
    pub(crate) PAY_PAGE_OF_RUN = "select token from pay_pages where organization_id = $1 and run = $2";
    pub(crate) PAY_PAGES_PRUNE = "delete from pay_pages where digest in
        (select digest from pay_pages where created_at < $1 order by created_at limit $2)";
}

/// A payment that a run asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub organization_id: String,
    pub id: String,
    /// link name
    pub application: String,
    pub environment: String,
    /// link name
    pub connection: String,
    /// link name
    pub workflow: String,
    /// link name
    pub form: String,
    /// id of the record
    pub record: String,
    /// id of the run
    pub run: String,
    /// name of the action
    pub action: String,
    /// id of the member for whom it is called, or empty
    pub actor: String,
    pub state: PaymentState,
    /// in the smallest unit of the currency
    pub amount: i64,
    pub currency: String,
    pub description: String,
    pub reference: String,
    pub success_text: String,
    /// its id at the service
    pub checkout: Option<String>,
    pub url: Option<String>,
    pub expires_at: Timestamp,
    pub code: Option<String>,
    pub reason: Option<String>,
    /// how often something may have happened at the service
    pub nudges: i64,
    /// when it is ended at the service, since nobody waits for it
    pub close_at: Option<Timestamp>,
    /// whether a replay asks anew
    pub superseded: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub paid_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

impl Payment {
    fn read(row: &Row) -> Result<Self> {
        let state = row.text("state")?;
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            application: row.text("application")?,
            environment: row.text("environment")?,
            connection: row.text("connection")?,
            workflow: row.text("workflow")?,
            form: row.text("form")?,
            record: row.text("record")?,
            run: row.text("run")?,
            action: row.text("action")?,
            actor: row.text("actor")?,
            state: PaymentState::parse(&state)
                .ok_or_else(|| StoreError::corrupt("payments", "state", format!("{state:?} is not known")))?,
            amount: row.int("amount")?,
            currency: row.text("currency")?,
            description: row.text("description")?,
            reference: row.text("reference")?,
            success_text: row.text("success_text")?,
            checkout: row.opt_text("checkout")?,
            url: row.opt_text("url")?,
            expires_at: row.time("expires_at")?,
            code: row.opt_text("code")?,
            reason: row.opt_text("reason")?,
            nudges: row.int("nudges")?,
            close_at: row.opt_time("close_at")?,
            superseded: row.flag("superseded")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            opened_at: row.opt_time("opened_at")?,
            paid_at: row.opt_time("paid_at")?,
            ended_at: row.opt_time("ended_at")?,
        })
    }
}

/// Which payments of an application are wanted. What is empty is not asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PaymentFilter<'a> {
    pub application: &'a str,
    pub environment: &'a str,
    pub state: &'a str,
    pub record: &'a str,
    pub run: &'a str,
}

/// How a payment ended.
#[derive(Clone, Copy, Debug)]
pub struct PaymentEnd<'a> {
    pub state: PaymentState,
    pub code: Option<&'a str>,
    /// a sentence
    pub reason: Option<&'a str>,
    /// when the checkout is to be ended at the service, where it still is to be
    pub close_at: Option<Timestamp>,
}

impl Store {
    pub async fn payment(&self, organization: &str, id: &str) -> Result<Option<Payment>> {
        let values: [Value<'_>; 2] = [organization.into(), id.into()];
        self.db.query_opt(&PAYMENT_GET, &values).await?.as_ref().map(Payment::read).transpose()
    }

    /// What an action of a run asks for.
    pub async fn payment_of_action(
        &self,
        organization: &str,
        run: &str,
        action: &str,
    ) -> Result<Option<Payment>> {
        let values: [Value<'_>; 3] = [organization.into(), run.into(), action.into()];
        self.db.query_opt(&PAYMENT_OF_ACTION, &values).await?.as_ref().map(Payment::read).transpose()
    }

    /// What a run has asked for last.
    pub async fn payment_of_run(&self, organization: &str, run: &str) -> Result<Option<Payment>> {
        let values: [Value<'_>; 2] = [organization.into(), run.into()];
        self.db.query_opt(&PAYMENT_OF_RUN, &values).await?.as_ref().map(Payment::read).transpose()
    }

    /// The payment that is called so at the service of a connection.
    pub async fn payment_by_checkout(
        &self,
        organization: &str,
        connection: &str,
        checkout: &str,
    ) -> Result<Option<Payment>> {
        let values: [Value<'_>; 3] = [organization.into(), connection.into(), checkout.into()];
        self.db.query_opt(&PAYMENT_BY_CHECKOUT, &values).await?.as_ref().map(Payment::read).transpose()
    }

    /// The payments before `before`, the latest first.
    pub async fn payments(
        &self,
        organization: &str,
        filter: PaymentFilter<'_>,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Payment>> {
        let values: [Value<'_>; 8] = [
            organization.into(),
            filter.application.into(),
            filter.environment.into(),
            filter.state.into(),
            filter.record.into(),
            filter.run.into(),
            before.into(),
            limit.into(),
        ];
        let statement = if filter.record.is_empty() { &PAYMENT_LIST } else { &PAYMENT_LIST_OF_RECORD };
        self.db.query(statement, &values).await?.iter().map(Payment::read).collect()
    }

    /// Organization and run of a payer's page.
    pub async fn pay_page(&self, digest: &str) -> Result<Option<(String, String)>> {
        let found = self.db.query_opt(&PAY_PAGE_GET, &[digest.into()]).await?;
        found.map(|row| Ok((row.text("organization_id")?, row.text("run")?))).transpose()
    }

    /// The sealed token of the page of a run.
    pub async fn pay_page_of_run(&self, organization: &str, run: &str) -> Result<Option<Vec<u8>>> {
        let values: [Value<'_>; 2] = [organization.into(), run.into()];
        self.db.query_opt(&PAY_PAGE_OF_RUN, &values).await?.map(|row| row.bytes("token")).transpose()
    }
}

impl Tx {
    /// Makes a payment; it is being created, whatever `p.state` says.
    pub async fn insert_payment(&mut self, p: &Payment) -> Result<()> {
        let values: [Value<'_>; 18] = [
            (&p.organization_id).into(),
            (&p.id).into(),
            (&p.application).into(),
            (&p.environment).into(),
            (&p.connection).into(),
            (&p.workflow).into(),
            (&p.form).into(),
            (&p.record).into(),
            (&p.run).into(),
            (&p.action).into(),
            (&p.actor).into(),
            p.amount.into(),
            (&p.currency).into(),
            (&p.description).into(),
            (&p.reference).into(),
            (&p.success_text).into(),
            p.expires_at.into(),
            p.created_at.into(),
        ];
        self.execute(&PAYMENT_INSERT, &values).await.map(drop)
    }

    /// Until when it can be paid, as long as the service has not been asked.
    pub async fn set_payment_expiry(
        &mut self,
        organization: &str,
        id: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 4] = [organization.into(), id.into(), expires_at.into(), now.into()];
        Ok(self.execute(&PAYMENT_EXPIRES, &values).await? == 1)
    }

    /// The service has a checkout. False when it was open or over before.
    pub async fn open_payment(
        &mut self,
        organization: &str,
        id: &str,
        checkout: &str,
        url: Option<&str>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 6] =
            [organization.into(), id.into(), checkout.into(), url.into(), expires_at.into(), now.into()];
        Ok(self.execute(&PAYMENT_OPEN, &values).await? == 1)
    }

    /// How far it is; no end. A URL that is given replaces the one before.
    pub async fn say_payment(
        &mut self,
        organization: &str,
        id: &str,
        state: PaymentState,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 5] =
            [organization.into(), id.into(), state.as_str().into(), url.into(), now.into()];
        Ok(self.execute(&PAYMENT_SAY, &values).await? == 1)
    }

    /// Ends it. False when it was over before.
    pub async fn end_payment(
        &mut self,
        organization: &str,
        id: &str,
        end: PaymentEnd<'_>,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 7] = [
            organization.into(),
            id.into(),
            end.state.as_str().into(),
            end.code.into(),
            end.reason.into(),
            now.into(),
            end.close_at.into(),
        ];
        Ok(self.execute(&PAYMENT_END, &values).await? == 1)
    }

    /// Something may have happened at the service: its run looks now. False when it is over.
    pub async fn nudge_payment(&mut self, organization: &str, id: &str, now: Timestamp) -> Result<bool> {
        let values: [Value<'_>; 3] = [organization.into(), id.into(), now.into()];
        let nudged = self.execute(&PAYMENT_NUDGE, &values).await? == 1;
        if nudged {
            self.execute(&PAYMENT_NUDGE_RUN, &values).await?;
        }
        Ok(nudged)
    }

    /// After a run was told to wait: it does not, where something happened since it had seen so many nudges.
    pub async fn hasten_run(
        &mut self,
        organization: &str,
        run: &str,
        seen: i64,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 4] = [organization.into(), run.into(), seen.into(), now.into()];
        Ok(self.execute(&PAYMENT_HASTEN, &values).await? == 1)
    }

    /// Nobody waits for the payments of a run any more; how many are to be ended.
    pub async fn close_payments(&mut self, organization: &str, run: &str, now: Timestamp) -> Result<u64> {
        let values: [Value<'_>; 3] = [organization.into(), run.into(), now.into()];
        self.execute(&PAYMENT_CLOSE_OF_RUN, &values).await
    }

    /// Takes payments that are to be ended at their services, and leaves them to others until `until`.
    pub async fn claim_closing_payments(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        limit: i64,
    ) -> Result<Vec<Payment>> {
        let values: [Value<'_>; 3] = [now.into(), until.into(), limit.into()];
        self.query(&PAYMENT_CLOSING, &values).await?.iter().map(Payment::read).collect()
    }

    /// It need not be ended at the service any more.
    pub async fn payment_closed(&mut self, organization: &str, id: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), id.into()];
        self.execute(&PAYMENT_CLOSED, &values).await.map(drop)
    }

    /// A run that is replayed asks anew for what was not paid; how many there were.
    pub async fn supersede_payments(&mut self, organization: &str, run: &str, now: Timestamp) -> Result<u64> {
        let values: [Value<'_>; 3] = [organization.into(), run.into(), now.into()];
        self.execute(&PAYMENT_SUPERSEDE, &values).await
    }

    /// Deletes every payment of an application.
    pub async fn end_payments(&mut self, organization: &str, application: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        self.execute(&PAYMENTS_END, &values).await.map(drop)
    }

    /// A page for the payer of a run, under the digest of its token.
    pub async fn insert_pay_page(
        &mut self,
        digest: &str,
        organization: &str,
        run: &str,
        token: &[u8],
        now: Timestamp,
    ) -> Result<()> {
        let values: [Value<'_>; 5] =
            [digest.into(), organization.into(), run.into(), token.into(), now.into()];
        self.execute(&PAY_PAGE_INSERT, &values).await.map(drop)
    }

    /// Forgets pages that were made before a time, [`PRUNE_AT_ONCE`] at most.
    pub async fn prune_pay_pages(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&PAY_PAGES_PRUNE, &[before.into(), PRUNE_AT_ONCE.into()]).await
    }
}
