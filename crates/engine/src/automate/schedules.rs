//! Ticks: who has one taken makes its run in the same transaction, so that a tick runs once however many nodes see it come.

use std::time::Duration;

use jackfield_core::datasource::Datasource;
use jackfield_core::id::Prefix;
use jackfield_core::schedule::{Overlap, Schedule, Timing};
use jackfield_core::workflow::{RecordEvent, RunState};
use jackfield_core::{Action, Code, Environment, Error, EventKind, Permit, Result, Timestamp, permit};
use jackfield_store::{Definition, Run, Scheduled};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use utoipa::ToSchema;

use crate::automate::components::{BuiltView, Definable, component_of};
use crate::automate::live::document;
use crate::automate::records::RecordPlace;
use crate::automate::runs::RunView;
use crate::call::ready::environment_of;
use crate::clock::new_id;
use crate::work::Work;
use crate::{Engine, Op, clock};

/// How often somebody looks for ticks that other nodes were told of, and of clocks that have come.
const LOOK: Duration = Duration::from_secs(1);
/// Ticks that are taken in one round.
const AT_ONCE: i64 = 200;
/// Runs of one component that wait at most: what comes beyond is left out.
const WAITING: i64 = 100;

/// Told when something that runs at times was saved or published.
#[derive(Default)]
pub(crate) struct Ticker {
    wake: Notify,
}

impl Ticker {
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// A schedule, with what each environment does of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScheduleView {
    #[serde(flatten)]
    pub built: BuiltView<Schedule>,
    /// when it runs, in words
    pub words: String,
    /// the environments that serve it
    pub environments: Vec<ScheduledView>,
}

/// What an environment does of a schedule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScheduledView {
    pub environment: String,
    /// the version that it serves
    pub version: i64,
    /// its next tick; absent: nothing more comes
    pub next_at: Option<Timestamp>,
    /// the last tick that ran
    pub last_at: Option<Timestamp>,
    /// id of its run
    pub last_run: Option<String>,
    /// ticks that were left out
    pub skipped: i64,
    /// the last of them, and why
    pub skipped_at: Option<Timestamp>,
    pub skipped_why: Option<String>,
}

impl From<Scheduled> for ScheduledView {
    fn from(row: Scheduled) -> Self {
        Self {
            environment: row.environment,
            version: row.version,
            next_at: row.next_at,
            last_at: row.last_at,
            last_run: row.last_run,
            skipped: row.skipped,
            skipped_at: row.skipped_at,
            skipped_why: row.skipped_why,
        }
    }
}

/// What is made of a tick.
enum Taken {
    Run,
    LeftOut,
    /// somebody else took it
    Gone,
}

/// What a run without a record sees.
pub(crate) fn seen(timing: Option<&Timing>, tick: Timestamp) -> Value {
    let utc = Timing::default();
    let date = timing.unwrap_or(&utc).local(tick).map(|local| local.date());
    json!({"tick": tick, "date": date})
}

/// When something runs, as a schedule: of what is pulled at times too.
fn schedule_of(definition: &Definition) -> Result<Schedule> {
    if definition.component.starts_with("datasource:") {
        let pulled = document::<Datasource>(definition)?.schedule();
        return pulled.ok_or_else(|| Error::internal("a datasource without times has one"));
    }
    document(definition)
}

/// A run that no record sets off.
pub(crate) fn unattended(row: &Scheduled, event: RecordEvent, data: &Value, now: Timestamp) -> Run {
    let queue = [&row.organization_id, &row.application, &row.environment, &row.component];
    Run {
        organization_id: row.organization_id.clone(),
        id: new_id(Prefix::Run, now),
        queue: queue.map(String::as_str).join(" "),
        application: row.application.clone(),
        environment: row.environment.clone(),
        component: row.component.clone(),
        workflow: String::new(),
        workflow_version: row.version,
        form: String::new(),
        record: String::new(),
        event,
        record_version: 0,
        data: data.to_string(),
        actor: String::new(),
        state: RunState::Queued,
        results: "{}".to_owned(),
        attempts: 0,
        doubt: false,
        tried_since: None,
        due_at: now,
        behind: None,
        after: None,
        paused_on: None,
        code: None,
        reason: None,
        created_at: now,
        updated_at: now,
        ended_at: None,
    }
}

impl Engine {
    /// Takes the ticks that come until the process ends.
    pub(crate) async fn keep_time(self) {
        while !self.inner.runner.is_stopping() {
            let next = match self.take_what_came().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "ticks of schedules could not be looked for");
                    None
                }
            };
            let pause =
                next.map_or(LOOK, |at| clock::now().until(at).min(LOOK)).max(Duration::from_millis(1));
            // Whoever saves one here wakes this; what other nodes save is found by looking.
            let _ = tokio::time::timeout(pause, self.inner.ticker.wake.notified()).await;
        }
    }

    /// Takes all ticks that have come; when the next comes.
    async fn take_what_came(&self) -> Result<Option<Timestamp>> {
        loop {
            let due = self.store().due_schedules(clock::now(), AT_ONCE).await?;
            let mut made = false;
            let mut failed = false;
            for row in &due {
                match self.take_tick(row).await {
                    Ok(Taken::Run) => made = true,
                    Ok(Taken::LeftOut | Taken::Gone) => {}
                    Err(error) => {
                        failed = true;
                        tracing::warn!(%error, component = row.component, application = row.application, "a tick could not be taken");
                    }
                }
            }
            if made {
                self.inner.runner.wake();
            }
            if failed {
                // What fails is tried again, but not at once and not in the way of the others.
                return Ok(None);
            }
            if i64::try_from(due.len()).unwrap_or(i64::MAX) < AT_ONCE {
                return Ok(self.store().next_tick().await?);
            }
        }
    }

    async fn take_tick(&self, row: &Scheduled) -> Result<Taken> {
        let Some(planned) = row.next_at else { return Ok(Taken::Gone) };
        let (organization, application) = (&row.organization_id, &row.application);
        let found = self.store().definition(organization, application, &row.component, row.version).await?;
        let permit = Permit::housekeeping("whoever saved the schedule was permitted to");
        let mut work = self.begin(permit).await?;
        // One after the other with those who publish, delete, or ask for a run of it.
        if !work.hold_application(organization, application).await? {
            return Ok(Taken::Gone);
        }
        let now = clock::now();
        let Some(definition) = found else {
            // Nothing says what it would do: it is not asked for again.
            work.take_tick(row, None).await?;
            work.commit().await?;
            return Ok(Taken::LeftOut);
        };
        let schedule = schedule_of(&definition)?;
        if !work.take_tick(row, schedule.next(now)).await? {
            return Ok(Taken::Gone);
        }
        // What was missed meanwhile is made up for by the last of it.
        let tick = schedule.at.latest(now).filter(|latest| *latest > planned).unwrap_or(planned);
        let taken = if schedule.catches(tick, now) {
            self.run_tick(&mut work, row, &schedule, tick, now).await?
        } else {
            work.tick_skipped(row, tick, "Nobody could run it in time.").await?;
            Taken::LeftOut
        };
        work.commit().await?;
        Ok(taken)
    }

    async fn run_tick(
        &self,
        work: &mut Work<'_>,
        row: &Scheduled,
        schedule: &Schedule,
        tick: Timestamp,
        now: Timestamp,
    ) -> Result<Taken> {
        let most = if schedule.overlap == Overlap::Queue { WAITING } else { 1 };
        let open = work
            .open_runs(&row.organization_id, &row.application, &row.environment, &row.component, most)
            .await?;
        if i64::try_from(open.len()).unwrap_or(i64::MAX) >= most {
            let why = match open.first().filter(|_| most == 1) {
                Some(run) => format!("The run before it, {run}, was not over."),
                None => format!("{WAITING} runs were waiting already."),
            };
            work.tick_skipped(row, tick, &why).await?;
            return Ok(Taken::LeftOut);
        }
        let mut run = unattended(row, RecordEvent::Tick, &seen(Some(&schedule.at), tick), now);
        run.behind = open.first().cloned();
        work.insert_run(&run).await?;
        work.tick_ran(row, tick, &run.id).await?;
        Ok(Taken::Run)
    }

    /// A schedule, with what each environment does of it.
    pub async fn read_schedule(&self, op: &Op, application: &str, name: &str) -> Result<ScheduleView> {
        let built = self.read_built::<Schedule>(op, application, name).await?;
        let component = component_of(Schedule::KIND, name);
        let rows = self.store().schedules(&op.organization, application, &component).await?;
        Ok(ScheduleView {
            words: built.definition.at.words(),
            environments: rows.into_iter().map(ScheduledView::from).collect(),
            built,
        })
    }

    /// Runs a schedule now, switched on or not. It waits until the run before it is over.
    pub async fn run_schedule(
        &self,
        op: &Op,
        application: &str,
        name: &str,
        query: &RecordPlace,
    ) -> Result<RunView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.runs())?;
        let environment = environment_of(&op.principal, query.environment.as_deref())?;
        let (definition, schedule): (Definition, Schedule) =
            self.served_here(op, application, environment, name).await?;
        let row = super::components::scheduled(&definition, environment, None);
        let mut work = self.begin(permit).await?;
        let run = self.ask_for(&mut work, op, &row, &seen(Some(&schedule.at), op.now)).await?;
        let view = RunView::from(run);
        work.answer(op, 201, &view).await?;
        work.commit().await?;
        self.inner.runner.wake();
        Ok(view)
    }

    /// The definition that an environment serves under a name; 404 where it serves none.
    pub(crate) async fn served_here<D: Definable>(
        &self,
        op: &Op,
        application: &str,
        environment: Environment,
        name: &str,
    ) -> Result<(Definition, D)> {
        let component = component_of(D::KIND, name);
        let served = self.served_definitions(&op.organization, application, environment).await?;
        let definition = served.into_iter().find(|definition| definition.component == component);
        let definition = definition
            .ok_or_else(|| Error::not_found(format_args!("{} {name:?} in {environment}", D::KIND)))?;
        let document = document(&definition)?;
        Ok((definition, document))
    }

    /// Makes a run that a person asked for, behind those of the same component that are not over.
    pub(crate) async fn ask_for(
        &self,
        work: &mut Work<'_>,
        op: &Op,
        row: &Scheduled,
        data: &Value,
    ) -> Result<Run> {
        if !work.hold_application(&op.organization, &row.application).await? {
            return Err(Error::not_found(format_args!("application {:?}", row.application)));
        }
        let open = work
            .open_runs(&row.organization_id, &row.application, &row.environment, &row.component, WAITING)
            .await?;
        if i64::try_from(open.len()).unwrap_or(i64::MAX) >= WAITING {
            let message = format!("{WAITING} runs of it wait already. Cancel some of them first.");
            return Err(Error::new(Code::StateConflict, message));
        }
        let mut run = unattended(row, RecordEvent::Asked, data, op.now);
        op.principal.member().unwrap_or_default().clone_into(&mut run.actor);
        run.behind = open.first().cloned();
        work.insert_run(&run).await?;
        work.record(
            op.event(EventKind::RunAsked)
                .to(&row.application)
                .with("component", row.component.as_str())
                .with("environment", row.environment.as_str())
                .with("run", run.id.as_str()),
        );
        Ok(run)
    }
}
