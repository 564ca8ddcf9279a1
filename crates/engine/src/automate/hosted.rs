//! Forms on pages: for members, and for everybody where a form is public (product U4).
//!
//! Strangers meet forms that are public and served in production, and nothing else: whatever is not is not found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jackfield_core::form::{Access, Form, Mode};
use jackfield_core::{Action, Brand, Code, Environment, Error, Permit, Result, permit};
use jackfield_store::{Drawer, Organization, RunFilter};
use serde_json::{Map, Value};

use crate::automate::live::{Live, LiveForm};
use crate::automate::records::{NewRecord, ONCE, faults, unique_digest};
use crate::{Engine, Op, Visit};

/// Records that one address may send to one application in a minute.
const A_MINUTE: u32 = 30;
/// The minute.
const WINDOW: Duration = Duration::from_mins(1);

/// A form, for a page; what is sent by the page is taken in with it.
#[derive(Clone)]
pub struct HostedForm {
    /// what people read
    pub name: String,
    pub form: Form,
    /// name of the organization that asks
    pub organization: String,
    pub brand: Brand,
    at: At,
    live: Arc<Live>,
}

/// Where what is sent by a page goes.
#[derive(Clone)]
struct At {
    organization: String,
    application: String,
    form: String,
    environment: Environment,
}

impl At {
    fn drawer(&self) -> Drawer<'_> {
        Drawer {
            organization: &self.organization,
            application: &self.application,
            form: &self.form,
            environment: self.environment.as_str(),
        }
    }
}

impl HostedForm {
    fn of(at: At, served: &LiveForm, live: Arc<Live>, organization: Organization) -> Self {
        Self {
            name: served.name.clone(),
            form: served.form.clone(),
            brand: organization.brand,
            organization: organization.name,
            at,
            live,
        }
    }
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
        self.count_to(A_MINUTE, application, address)
    }

    /// The same with another number a minute.
    pub fn count_to(&self, most: u32, what: &str, address: &str) -> Result<()> {
        let counter = self.0.get_with(format!("{what} {address}"), Arc::default);
        if counter.fetch_add(1, Ordering::Relaxed) < most {
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
        let environment = Environment::Production;
        let live = self.live(organization, application, environment).await?;
        let found = self.served_form(organization, application, environment, &live, form).await;
        let found = found.map_err(|_| missing())?;
        if found.form.access != Access::Public {
            return Err(missing());
        }
        let at = At {
            organization: organization.to_owned(),
            application: application.to_owned(),
            form: form.to_owned(),
            environment,
        };
        let organization = self.store().organization(organization).await?.ok_or_else(missing)?;
        Ok(HostedForm::of(at, &found, live, organization))
    }

    /// A form for a member who may send it in, in one environment.
    pub async fn member_form(
        &self,
        op: &Op,
        application: &str,
        form: &str,
        environment: Environment,
    ) -> Result<HostedForm> {
        let place = self.place(op, application, form, Some(environment.as_str())).await?;
        permit(&op.principal, Action::Use, &place.resource(op.member()?))?;
        let organization = self.own_organization(&op.organization).await?;
        let at = At {
            organization: op.organization.to_string(),
            application: application.to_owned(),
            form: form.to_owned(),
            environment,
        };
        Ok(HostedForm::of(at, &place.form, Arc::clone(&place.live), organization))
    }

    /// Takes in what somebody sent by a public form. `once` is of the page: the same page sent twice is one record. Where something is to be
    /// paid, the path of the page that leads there.
    pub async fn submit_publicly(
        &self,
        visit: &Visit,
        to: &HostedForm,
        once: &str,
        input: &Map<String, Value>,
    ) -> Result<Option<String>> {
        if to.form.access != Access::Public || to.at.environment != Environment::Production {
            return Err(Error::not_found("form"));
        }
        let application = format!("{} {}", to.at.organization, to.at.application);
        self.inner.submissions.count(&application, &visit.address)?;
        let permit = Permit::housekeeping("the form is public");
        let data = to.form.accept(input, Mode::New).map_err(faults)?;
        self.submit(permit, &to.live, to.at.drawer(), once, "", &data, visit.now).await
    }

    /// Takes in what a member sent by a form's page; the path where something is to be paid.
    pub async fn submit_as_member(
        &self,
        op: &Op,
        to: &HostedForm,
        once: &str,
        input: &Map<String, Value>,
    ) -> Result<Option<String>> {
        let place = self.place(op, &to.at.application, &to.at.form, Some(to.at.environment.as_str())).await?;
        let member = op.member()?;
        let permit = permit(&op.principal, Action::Use, &place.resource(member))?;
        let data = place.form.form.accept(input, Mode::New).map_err(faults)?;
        self.submit(permit, &place.live, place.drawer(op, &to.at.form), once, member, &data, op.now).await
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one submission, all borrowed from its caller")]
    async fn submit(
        &self,
        permit: Permit,
        live: &Live,
        drawer: Drawer<'_>,
        once: &str,
        created_by: &str,
        data: &Map<String, Value>,
        now: jackfield_core::Timestamp,
    ) -> Result<Option<String>> {
        let once = Some(once).filter(|once| !once.is_empty());
        let mut work = self.begin(permit).await?;
        let kept = self
            .write_new(
                &mut work,
                live,
                drawer,
                NewRecord { id: None, data, created_by, once, sets_off: true, now },
            )
            .await;
        let runs = match kept {
            // It is kept already: whoever sent it twice is told that it is, and where he pays.
            Err(error) if error.code == Code::RequestInProgress => {
                drop(work);
                self.runs_of_page(drawer, once.unwrap_or_default()).await?
            }
            Err(error) => return Err(error),
            Ok(view) => {
                work.commit().await?;
                self.inner.runner.wake();
                view.runs
            }
        };
        for run in runs {
            if let Some(sealed) = self.store().pay_page_of_run(drawer.organization, &run).await? {
                return Ok(Some(format!("/pay/{}", self.open_page(drawer.organization, &run, &sealed)?)));
            }
        }
        Ok(None)
    }

    /// The runs that a page of a form set off, in their order.
    async fn runs_of_page(&self, drawer: Drawer<'_>, once: &str) -> Result<Vec<String>> {
        let record = self.store().record_with(drawer, ONCE, &unique_digest(once)).await?;
        let Some(record) = record else { return Ok(Vec::new()) };
        let filter = RunFilter { application: drawer.application, record: &record, ..RunFilter::default() };
        let runs = self.store().runs(drawer.organization, filter, "~", 200).await?;
        Ok(runs.into_iter().rev().map(|run| run.id).collect())
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
