//! Payments as they are seen: by those who look after an application, and by who pays.

use std::time::Duration;

use jackfield_core::id::{self, Prefix};
use jackfield_core::workflow::RunState;
use jackfield_core::{
    Action, Brand, Code, Environment, Error, PaymentState, Principal, Result, Timestamp, permit,
};
use jackfield_store::{Payment, PaymentFilter};
use jackfield_vault::token;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::automate::payments::written;
use crate::automate::runs::environment;
use crate::page::{Page, PageQuery};
use crate::{Engine, Op, Visit, clock};

/// Looks that one address may take at payers' pages in a minute: a page that waits looks twenty times.
const LOOKS: u32 = 240;
/// Least time between two looks at the service that a payer sets off.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which payments are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PaymentQuery {
    /// `development`, `stage` or `production`; every one unless told, an application key's own
    pub environment: Option<String>,
    /// `creating`, `open`, `approved`, `processing`, `paid`, `failed`, `expired` or `cancelled`
    pub state: Option<String>,
    /// id of a record
    pub record: Option<String>,
    /// id of a run
    pub run: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// A payment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PaymentView {
    pub id: String,
    pub environment: String,
    /// link name of the connection through which it is paid
    pub connection: String,
    /// link name
    pub workflow: String,
    /// name of the workflow's action
    pub action: String,
    /// link name
    pub form: String,
    /// id of the record
    pub record: String,
    /// id of the run that waits for it
    pub run: String,
    pub state: PaymentState,
    /// a decimal, with as many places as the currency has
    pub amount: String,
    /// ISO 4217
    pub currency: String,
    pub description: String,
    pub reference: String,
    /// its id at the service
    pub checkout: Option<String>,
    /// where the payer sees how far it is, and goes on to the service's page; in a payment that was asked for by its id
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// until when it can be paid
    pub expires_at: Timestamp,
    /// why it failed
    pub code: Option<String>,
    pub reason: Option<String>,
    /// whether the run was replayed and has asked anew
    pub superseded: bool,
    pub created_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub paid_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

impl From<Payment> for PaymentView {
    fn from(row: Payment) -> Self {
        Self {
            amount: written(&row),
            id: row.id,
            environment: row.environment,
            connection: row.connection,
            workflow: row.workflow,
            action: row.action,
            form: row.form,
            record: row.record,
            run: row.run,
            state: row.state,
            currency: row.currency,
            description: row.description,
            reference: row.reference,
            checkout: row.checkout,
            page: None,
            expires_at: row.expires_at,
            code: row.code,
            reason: row.reason,
            superseded: row.superseded,
            created_at: row.created_at,
            opened_at: row.opened_at,
            paid_at: row.paid_at,
            ended_at: row.ended_at,
        }
    }
}

/// What a payer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// the service has not been asked yet, or has not answered
    Preparing,
    /// he can pay
    Open,
    /// he has paid, and the money is on its way
    Processing,
    Paid,
    Failed,
    Expired,
    Cancelled,
    /// nothing is to be paid
    Nothing,
    /// somebody has to look after it first
    Trouble,
}

/// The page of who pays.
#[derive(Clone, Debug)]
pub struct PayerPage {
    pub brand: Brand,
    /// name of the organization that asks
    pub organization: String,
    /// name of the form
    pub name: String,
    pub told: Told,
    /// `12.50 EUR`, where it is known
    pub amount: String,
    pub description: String,
    /// what he reads when it is paid
    pub success: String,
    /// what he reads where nothing is to be paid
    pub thanks: Option<String>,
    /// the service's page, while it is open
    pub url: Option<String>,
    /// until when
    pub expires_at: Option<Timestamp>,
    /// the form, where everybody may fill it in again
    pub again: Option<String>,
    pub environment: Option<Environment>,
    /// whose pages may show it in a frame
    pub embed_origins: Vec<String>,
}

fn missing(id: &str) -> Error {
    Error::not_found(format_args!("payment {id:?}"))
}

impl Engine {
    /// The payments of an application, the latest first.
    pub async fn list_payments(
        &self,
        op: &Op,
        application: &str,
        query: &PaymentQuery,
    ) -> Result<Page<PaymentView>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &found.runs())?;
        if query.state.as_deref().is_some_and(|state| PaymentState::parse(state).is_none()) {
            let words: Vec<&str> = PaymentState::ALL.iter().map(|state| state.as_str()).collect();
            return Err(Error::new(Code::InvalidRequest, format!("state: say one of {}.", words.join(", "))));
        }
        let filter = PaymentFilter {
            application,
            environment: environment(&op.principal, query.environment.as_deref())?,
            state: query.state.as_deref().unwrap_or(""),
            record: query.record.as_deref().unwrap_or(""),
            run: query.run.as_deref().unwrap_or(""),
        };
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        let before = if after.is_empty() { "~" } else { after.as_str() };
        let rows = self.store().payments(&op.organization, filter, before, limit.rows()).await?;
        Ok(limit.page(rows, |row| row.id.clone(), PaymentView::from))
    }

    /// A payment, with the address of its payer's page.
    pub async fn read_payment(&self, op: &Op, application: &str, id: &str) -> Result<PaymentView> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &found.runs())?;
        if !id::is(Prefix::Payment, id) {
            return Err(missing(id));
        }
        let row = self.store().payment(&op.organization, id).await?;
        let row = row.filter(|row| row.application == application).ok_or_else(|| missing(id))?;
        if let Principal::Application { environment, .. } = &op.principal
            && row.environment != environment.as_str()
        {
            return Err(missing(id));
        }
        let page = match self.store().pay_page_of_run(&op.organization, &row.run).await? {
            Some(sealed) => Some(self.pay_url(&self.open_page(&op.organization, &row.run, &sealed)?)),
            None => None,
        };
        Ok(PaymentView { page, ..row.into() })
    }

    /// What a payer sees. `back`: he comes from the service's page, and the service is asked at once.
    pub async fn payer_page(&self, visit: &Visit, token: &str, back: bool) -> Result<PayerPage> {
        let gone = || Error::not_found("page");
        self.inner.submissions.count_to(LOOKS, "pay", &visit.address)?;
        let (organization_id, run_id) =
            self.store().pay_page(&token::digest_text(token)).await?.ok_or_else(gone)?;
        let row = self.store().payment_of_run(&organization_id, &run_id).await?;
        let run = self.store().run(&organization_id, &run_id).await?;
        let organization = self.store().organization(&organization_id).await?.ok_or_else(gone)?;
        if let Some(row) = row.as_ref().filter(|row| back && !row.state.is_over())
            && row.updated_at.plus(PATIENCE) < visit.now
        {
            self.nudge(row, visit.now).await?;
        }
        let over = run.as_ref().is_none_or(|run| run.state.is_over());
        let told = match row.as_ref().map(|row| row.state) {
            Some(PaymentState::Creating) | None if !over => match run.as_ref().map(|run| run.state) {
                Some(RunState::Paused) => Told::Trouble,
                _ => Told::Preparing,
            },
            Some(PaymentState::Creating) => Told::Trouble,
            Some(PaymentState::Open) => Told::Open,
            Some(PaymentState::Approved | PaymentState::Processing) => Told::Processing,
            Some(PaymentState::Paid) => Told::Paid,
            Some(PaymentState::Failed) => Told::Failed,
            Some(PaymentState::Expired) => Told::Expired,
            Some(PaymentState::Cancelled) => Told::Cancelled,
            None => match run.as_ref().map(|run| run.state) {
                Some(RunState::Succeeded) | None => Told::Nothing,
                _ => Told::Trouble,
            },
        };
        let place = row.as_ref().map_or_else(
            || run.as_ref().map(|run| (&run.application, &run.form, &run.environment)),
            |row| Some((&row.application, &row.form, &row.environment)),
        );
        let environment = place.and_then(|(_, _, environment)| Environment::parse(environment));
        let form = match (place, environment) {
            (Some((application, form, _)), Some(environment)) => {
                let live = self.live(&organization_id, application, environment).await?;
                live.form(form).ok()
            }
            _ => None,
        };
        let public =
            form.as_ref().is_some_and(|form| form.form.access == jackfield_core::form::Access::Public)
                && environment == Some(Environment::Production);
        let again = place
            .filter(|_| public)
            .map(|(application, form, _)| format!("/f/{organization_id}/{application}/{form}"));
        Ok(PayerPage {
            brand: organization.brand.clone(),
            organization: organization.name,
            name: form.as_ref().map_or_else(|| "Payment".to_owned(), |form| form.name.clone()),
            told,
            amount: row.as_ref().map(|row| format!("{} {}", written(row), row.currency)).unwrap_or_default(),
            description: row.as_ref().map(|row| row.description.clone()).unwrap_or_default(),
            success: row.as_ref().map(|row| row.success_text.clone()).unwrap_or_default(),
            thanks: form.as_ref().and_then(|form| form.form.thanks.clone()),
            url: row
                .as_ref()
                .filter(|row| row.state == PaymentState::Open && row.expires_at > clock::now())
                .and_then(|row| row.url.clone()),
            expires_at: row.as_ref().map(|row| row.expires_at),
            again,
            environment: environment.filter(|one| *one != Environment::Production),
            embed_origins: form
                .filter(|_| public)
                .map(|form| form.form.embed_origins.clone())
                .unwrap_or_default(),
        })
    }
}
