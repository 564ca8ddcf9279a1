//! Forms on pages: for members, and for everybody where a form is public (product U4).
//!
//! Strangers meet forms that are public and served in production, and nothing else: whatever is not is not found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jackfield_core::form::{Access, FieldType, Form, FormField, Mode};
use jackfield_core::{Action, Brand, Code, Environment, Error, Permit, Result, permit};
use jackfield_store::{Drawer, Organization, RunFilter};
use serde_json::{Map, Value};

use crate::automate::files::Accepted;
use crate::automate::live::{Live, LiveForm};
use crate::automate::records::{NewRecord, ONCE, unique_digest};
use crate::{Engine, Op, Visit, neighbourhood};

/// Records that one address may send to one application in a minute.
const A_MINUTE: u32 = 30;
/// Each of so many characters in base64 of files, 3 MiB of bytes, counts as another record.
const A_RECORD: usize = 4 * 1024 * 1024;
/// Largest request without its files, in bytes.
const FIELDS_MAX: usize = 64 * 1024;
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
    /// Under which what is sent is counted.
    fn whole(&self) -> String {
        format!("{} {}", self.organization, self.application)
    }

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
    /// Counts a record, which counts as so many; an error where it is one too many.
    fn count(&self, application: &str, address: &str, weight: u32) -> Result<()> {
        self.add(A_MINUTE, weight, application, address)
    }

    /// The same for one with another number a minute.
    pub fn count_to(&self, most: u32, what: &str, address: &str) -> Result<()> {
        self.add(most, 1, what, address)
    }

    /// An error where another one would be one too many; nothing is counted.
    fn look(&self, application: &str, address: &str) -> Result<()> {
        self.add(A_MINUTE, 0, application, address)
    }

    fn add(&self, most: u32, weight: u32, what: &str, address: &str) -> Result<()> {
        let counter = self.0.get_with(format!("{what} {}", neighbourhood(address)), Arc::default);
        if counter.fetch_add(weight, Ordering::Relaxed) < most {
            return Ok(());
        }
        Err(Error::new(
            Code::RateLimited,
            "You have sent this many times. Wait a minute, then send it again.",
        )
        .with_retry_after(WINDOW.as_secs()))
    }
}

/// As how many records one counts: files are more work, and stay.
fn weight_of(form: &Form, input: &Map<String, Value>) -> u32 {
    let files = form.fields.iter().filter(|field| field.kind == FieldType::File);
    let lengths = files.filter_map(|field| input.get(&field.name)?.get("base64")?.as_str()).map(str::len);
    u32::try_from(lengths.sum::<usize>() / A_RECORD).unwrap_or(u32::MAX).saturating_add(1).min(A_MINUTE)
}

impl Engine {
    /// Whether somebody may send anything to a form just now: asked before a large body is read.
    pub fn may_submit(&self, visit: &Visit, to: &HostedForm) -> Result<()> {
        self.inner.submissions.look(&to.at.whole(), &visit.address)
    }

    /// Largest request with a record of a form, in bytes.
    #[must_use]
    pub fn record_limit(&self, form: &Form) -> usize {
        let most = self.settings().file_limit;
        let of = |field: &FormField| {
            field
                .max_bytes
                .and_then(|bytes| usize::try_from(bytes).ok())
                .map_or(most, |bytes| bytes.min(most))
        };
        let files = form.fields.iter().filter(|field| field.kind == FieldType::File).map(of);
        // In one request; what stands around a file is not counted narrowly.
        files.fold(FIELDS_MAX, usize::saturating_add).min(self.settings().request_limit.max(FIELDS_MAX))
    }

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
        input: Map<String, Value>,
    ) -> Result<Option<String>> {
        if to.form.access != Access::Public || to.at.environment != Environment::Production {
            return Err(Error::not_found("form"));
        }
        self.inner.submissions.count(&to.at.whole(), &visit.address, weight_of(&to.form, &input))?;
        let permit = Permit::housekeeping("the form is public");
        let accepted = self.accepted(&to.at.organization, &to.form, input, Mode::New, visit.now)?;
        self.submit(permit, &to.live, to.at.drawer(), once, "", &accepted, visit.now).await
    }

    /// Takes in what a member sent by a form's page; the path where something is to be paid.
    pub async fn submit_as_member(
        &self,
        op: &Op,
        to: &HostedForm,
        once: &str,
        input: Map<String, Value>,
    ) -> Result<Option<String>> {
        let place = self.place(op, &to.at.application, &to.at.form, Some(to.at.environment.as_str())).await?;
        let member = op.member()?;
        let permit = permit(&op.principal, Action::Use, &place.resource(member))?;
        let accepted = self.accepted(&op.organization, &place.form.form, input, Mode::New, op.now)?;
        self.submit(permit, &place.live, place.drawer(op, &to.at.form), once, member, &accepted, op.now).await
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one submission, all borrowed from its caller")]
    async fn submit(
        &self,
        permit: Permit,
        live: &Live,
        drawer: Drawer<'_>,
        once: &str,
        created_by: &str,
        accepted: &Accepted,
        now: jackfield_core::Timestamp,
    ) -> Result<Option<String>> {
        let once = Some(once).filter(|once| !once.is_empty());
        let mut work = self.begin(permit).await?;
        let kept = self
            .write_new(
                &mut work,
                live,
                drawer,
                NewRecord {
                    id: None,
                    data: &accepted.data,
                    files: &accepted.files,
                    created_by,
                    once,
                    sets_off: true,
                    now,
                },
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
            submissions.count("org app", "192.0.2.1", 1).unwrap();
        }
        let refused = submissions.count("org app", "192.0.2.1", 1).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::RateLimited, Some(60)));
        submissions.count("org app", "192.0.2.2", 1).unwrap();
        submissions.count("org other", "192.0.2.1", 1).unwrap();
        assert!(submissions.look("org app", "192.0.2.1").is_err());
        assert!(submissions.look("org app", "192.0.2.2").is_ok());
        // Whoever has one IPv6 address has a network of them.
        submissions.count("org app", "2001:db8::1", A_MINUTE).unwrap();
        assert!(submissions.look("org app", "2001:db8::ffff:2").is_err());
        assert!(submissions.look("org app", "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn files_count_by_their_size() {
        let form: Form = serde_json::from_value(
            serde_json::json!({"fields": [{"name": "a", "type": "file"}, {"name": "b"}]}),
        )
        .unwrap();
        let weight = |length: usize| {
            let text = "A".repeat(length);
            let input = serde_json::json!({"a": {"base64": text}, "b": {"base64": text}});
            weight_of(&form, input.as_object().unwrap())
        };
        assert_eq!([weight(0), weight(A_RECORD - 1), weight(A_RECORD), weight(A_RECORD * 3)], [1, 1, 2, 4]);
        let submissions = Submissions::default();
        submissions.count("org app", "192.0.2.1", A_MINUTE).unwrap();
        submissions.count("org app", "192.0.2.1", 1).unwrap_err();
    }
}
