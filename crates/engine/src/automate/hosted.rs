//! Forms on pages: for members, and for everybody where a form is public (product U4).
//!
//! Strangers meet forms that are public and served in production, and nothing else: whatever is not is not found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jackfield_core::form::{Access, Form};
use jackfield_core::{Action, Brand, Code, Environment, Error, Permit, Resource, Result, permit};
use jackfield_store::Drawer;
use serde_json::{Map, Value};

use crate::automate::records::NewRecord;
use crate::{Engine, Op, Visit};

/// Records that one address may send to one application in a minute.
const A_MINUTE: u32 = 30;
/// The minute.
const WINDOW: Duration = Duration::from_mins(1);

/// A form, for a page.
#[derive(Debug, Clone)]
pub struct HostedForm {
    /// what people read
    pub name: String,
    pub form: Form,
    /// name of the organization that asks
    pub organization: String,
    pub brand: Brand,
}

/// How many records each address has sent lately; on each node for itself.
pub(crate) struct Submissions(moka::sync::Cache<String, Arc<AtomicU32>>);

impl Default for Submissions {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(100_000).time_to_live(WINDOW).build())
    }
}

impl Submissions {
    /// Counts one; an error where it is one too many.
    fn count(&self, application: &str, address: &str) -> Result<()> {
        let counter = self.0.get_with(format!("{application} {address}"), Arc::default);
        if counter.fetch_add(1, Ordering::Relaxed) < A_MINUTE {
            return Ok(());
        }
        Err(Error::new(
            Code::RateLimited,
            "You have sent this many times. Wait a minute, then send it again.",
        )
        .with_retry_after(WINDOW.as_secs()))
    }
}

impl Engine {
    /// A public form, for whoever has the link.
    pub async fn public_form(&self, organization: &str, application: &str, form: &str) -> Result<HostedForm> {
        let missing = || Error::not_found("form");
        let live = self.live(organization, application, Environment::Production).await?;
        let production = Environment::Production;
        let found = self.served_form(organization, application, production, &live, form).await;
        let found = found.map_err(|_| missing())?;
        if found.form.access != Access::Public {
            return Err(missing());
        }
        let organization = self.store().organization(organization).await?.ok_or_else(missing)?;
        Ok(HostedForm {
            name: found.name.clone(),
            form: found.form.clone(),
            brand: organization.brand.clone(),
            organization: organization.name,
        })
    }

    /// A form for a member who may send it in, in one environment.
    pub async fn member_form(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        environment: Environment,
    ) -> Result<HostedForm> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Read, &found.whole())?;
        permit(&op.principal, Action::Use, &found.record(op.member()?))?;
        let live = self.live(&op.organization, application, environment).await?;
        let served = self.served_form(&op.organization, application, environment, &live, form).await?;
        let organization = self.own_organization(&op.organization).await?;
        Ok(HostedForm {
            name: served.name.clone(),
            form: served.form.clone(),
            brand: organization.brand.clone(),
            organization: organization.name,
        })
    }

    /// Takes in what somebody sent by a public form. `once` is of the page: the same page sent twice is one record.
    pub async fn submit_publicly(
        &self,
        visit: &Visit,
        organization: &str,
        application: &str,
        form: &str,
        once: &str,
        input: &Map<String, Value>,
    ) -> Result<()> {
        self.public_form(organization, application, form).await?;
        self.inner.submissions.count(&format!("{organization} {application}"), &visit.address)?;
        let live = self.live(organization, application, Environment::Production).await?;
        let drawer =
            Drawer { organization, application, form, environment: Environment::Production.as_str() };
        self.submit(Permit::housekeeping("the form is public"), &live, drawer, once, "", input, visit.now)
            .await
    }

    /// Takes in what a member sent by a form's page.
    pub async fn submit_as_member(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        environment: Environment,
        once: &str,
        input: &Map<String, Value>,
    ) -> Result<()> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::Read, &found.whole())?;
        let member = op.member()?;
        let resource: Resource<'_> = found.record(member);
        let permit = permit(&op.principal, Action::Use, &resource)?;
        let live = self.live(&op.organization, application, environment).await?;
        let drawer =
            Drawer { organization: &op.organization, application, form, environment: environment.as_str() };
        self.submit(permit, &live, drawer, once, member, input, op.now).await
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one submission, all borrowed from its caller")]
    async fn submit(
        &self,
        permit: Permit,
        live: &crate::automate::live::Live,
        drawer: Drawer<'_>,
        once: &str,
        created_by: &str,
        input: &Map<String, Value>,
        now: jackfield_core::Timestamp,
    ) -> Result<()> {
        let once = Some(once).filter(|once| !once.is_empty());
        let mut work = self.begin(permit).await?;
        match self.keep_new(&mut work, live, drawer, NewRecord { input, created_by, once, now }).await {
            // It is kept already: whoever sent it twice is told that it is.
            Err(error) if error.code == Code::RequestInProgress => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => work.commit().await?,
        }
        self.inner.runner.wake();
        Ok(())
    }

    /// What tells one page of a form from another.
    #[must_use]
    pub fn page_mark(&self) -> String {
        use secrecy::ExposeSecret;
        jackfield_vault::token::random_token().expose_secret().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_sends_so_much_in_a_minute_and_keeps_nobody_else_away() {
        let submissions = Submissions::default();
        for _ in 0..A_MINUTE {
            submissions.count("org app", "192.0.2.1").unwrap();
        }
        let refused = submissions.count("org app", "192.0.2.1").unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::RateLimited, Some(60)));
        submissions.count("org app", "192.0.2.2").unwrap();
        submissions.count("org other", "192.0.2.1").unwrap();
    }
}
