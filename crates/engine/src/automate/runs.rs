//! The history of runs, and what a person does about them: replay, cancel.

use jackfield_core::id::{self, Prefix};
use jackfield_core::workflow::{RecordEvent, RunState};
use jackfield_core::{Action, Code, Environment, Error, EventKind, Principal, Result, Timestamp, permit};
use jackfield_store::{Run, RunFilter, RunStep};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::automate::components::component_of;
use crate::page::{Page, PageQuery};
use crate::{Engine, Op};

/// Runs that are replayed at once at most.
const REPLAYED: i64 = 1000;
/// Steps that are shown of a run at most, the first ones.
const STEPS: i64 = 500;

/// Which runs are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// `development`, `stage` or `production`; every one unless told, an application key's own
    pub environment: Option<String>,
    /// what it is of: `workflow:push`, `schedule:nightly`
    pub component: Option<String>,
    /// link name of a workflow: the same as `component=workflow:…`
    pub workflow: Option<String>,
    /// `queued`, `running`, `paused`, `succeeded`, `failed` or `cancelled`
    pub state: Option<String>,
    /// id of a record
    pub record: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// Which failed runs are to be replayed. What is absent is not asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    pub environment: Option<String>,
    /// what they are of: `workflow:push`, `schedule:nightly`
    pub component: Option<String>,
    /// link name of a workflow: the same as `component` *workflow:…*
    pub workflow: Option<String>,
    /// id of a record
    pub record: Option<String>,
}

/// What was replayed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayView {
    /// ids of the runs that are queued again; 1,000 at most: ask again for the others
    pub runs: Vec<String>,
}

/// A run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunView {
    pub id: String,
    pub environment: String,
    /// what it is of: `workflow:push`, `schedule:nightly`
    pub component: String,
    /// link name; of a workflow's run only
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// version of the component when the run was made
    pub workflow_version: i64,
    /// link name; of a workflow's run only
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// id of the record; of a workflow's run only
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// what set it off
    pub event: RecordEvent,
    pub state: RunState,
    /// tries of the action at which it is
    pub attempts: i64,
    /// when it is tried next, where it is queued
    pub due_at: Option<Timestamp>,
    /// id of the run for which it waits
    pub behind: Option<String>,
    /// link name of the connection for which it is paused
    pub paused_on: Option<String>,
    /// why it waits, is paused or has failed
    pub code: Option<String>,
    pub reason: Option<String>,
    /// id of the member who set it off
    pub actor: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// name of an action → what it made, of those that are done
    #[schema(value_type = Object)]
    pub results: Value,
    /// every try, in a run that was asked for by its id
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepView>>,
}

/// One try of an action.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StepView {
    pub id: String,
    /// name of the action
    pub action: String,
    pub attempt: i64,
    /// `done`, `skipped`, `found` (an earlier try had done it), `retried`, `waiting`, `paused` or `failed`
    pub outcome: String,
    /// an earlier try may have had its effect, and the service cannot tell: this one may have done it twice
    pub doubt: bool,
    /// what was sent, without the credential; secrets masked
    #[schema(value_type = Object)]
    pub request: Option<Value>,
    /// what came back; secrets masked
    #[schema(value_type = Object)]
    pub reply: Option<Value>,
    /// the service's status
    pub status: Option<i64>,
    pub message: Option<String>,
    pub at: Timestamp,
    pub duration_ms: f64,
}

fn json_of(text: Option<String>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(&text).ok())
}

impl From<RunStep> for StepView {
    #[allow(clippy::cast_precision_loss)] // microseconds of an action are far below 2^52
    fn from(step: RunStep) -> Self {
        Self {
            id: step.id,
            action: step.action,
            attempt: step.attempt,
            outcome: step.outcome,
            doubt: step.doubt,
            request: json_of(step.request),
            reply: json_of(step.reply),
            status: step.status,
            message: step.message,
            at: step.at,
            duration_ms: step.duration as f64 / 1000.0,
        }
    }
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            due_at: Some(run.due_at).filter(|_| run.state == RunState::Queued),
            results: json_of(Some(run.results)).unwrap_or(Value::Null),
            id: run.id,
            environment: run.environment,
            component: run.component,
            workflow: given(run.workflow),
            workflow_version: run.workflow_version,
            form: given(run.form),
            record: given(run.record),
            event: run.event,
            state: run.state,
            attempts: run.attempts,
            behind: run.behind.or(run.after),
            paused_on: run.paused_on,
            code: run.code,
            reason: run.reason,
            actor: given(run.actor),
            created_at: run.created_at,
            updated_at: run.updated_at,
            ended_at: run.ended_at,
            steps: None,
        }
    }
}

/// The environment that is asked for; an application key sees its own.
pub(crate) fn environment(principal: &Principal, asked: Option<&str>) -> Result<&'static str> {
    let asked = asked
        .map(|word| {
            Environment::parse(word).ok_or_else(|| {
                let message = format!("The environment must be {}.", Environment::choices());
                Error::field("environment", "invalid", message)
            })
        })
        .transpose()?;
    match (principal, asked) {
        (Principal::Application { environment, .. }, Some(other)) if other != *environment => {
            Err(Error::new(
                Code::EnvironmentNotAllowed,
                format!("This key belongs to {environment} and cannot reach {other}."),
            ))
        }
        (Principal::Application { environment, .. }, _) => Ok(environment.as_str()),
        (_, asked) => Ok(asked.map_or("", Environment::as_str)),
    }
}

fn missing(id: &str) -> Error {
    Error::not_found(format_args!("run {id:?}"))
}

/// What the runs are of that are meant; empty: anything.
fn component(component: Option<&String>, workflow: Option<&String>) -> Result<String> {
    match (component, workflow) {
        (Some(_), Some(_)) => {
            Err(Error::new(Code::InvalidRequest, "component: say either `component` or `workflow`."))
        }
        (Some(component), None) => Ok(component.clone()),
        (None, Some(workflow)) => Ok(component_of("workflow", workflow)),
        (None, None) => Ok(String::new()),
    }
}

impl Engine {
    /// The runs of an application, the latest first.
    pub async fn list_runs(&self, op: &Op, application: &str, query: &RunQuery) -> Result<Page<RunView>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &found.runs())?;
        if query.state.as_deref().is_some_and(|state| RunState::parse(state).is_none()) {
            let words: Vec<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
            return Err(Error::new(Code::InvalidRequest, format!("state: say one of {}.", words.join(", "))));
        }
        let filter = RunFilter {
            application,
            environment: environment(&op.principal, query.environment.as_deref())?,
            component: &component(query.component.as_ref(), query.workflow.as_ref())?,
            state: query.state.as_deref().unwrap_or(""),
            record: query.record.as_deref().unwrap_or(""),
        };
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        let before = if after.is_empty() { "~" } else { after.as_str() };
        let rows = self.store().runs(&op.organization, filter, before, limit.rows()).await?;
        Ok(limit.page(rows, |row| row.id.clone(), RunView::from))
    }

    async fn held_run(&self, op: &Op, application: &str, id: &str) -> Result<Run> {
        if !id::is(Prefix::Run, id) {
            return Err(missing(id));
        }
        let run = self.store().run(&op.organization, id).await?;
        let run = run.filter(|run| run.application == application).ok_or_else(|| missing(id))?;
        if let Principal::Application { environment, .. } = &op.principal
            && run.environment != environment.as_str()
        {
            return Err(missing(id));
        }
        Ok(run)
    }

    /// A run with its steps.
    pub async fn read_run(&self, op: &Op, application: &str, id: &str) -> Result<RunView> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &found.runs())?;
        let run = self.held_run(op, application, id).await?;
        let steps = self.store().run_steps(&op.organization, id, STEPS).await?;
        let steps = steps.into_iter().map(StepView::from).collect();
        Ok(RunView { steps: Some(steps), ..RunView::from(run) })
    }

    /// Queues a run that has failed or was cancelled once more: it goes on at the action at which it stopped, by the workflow as it is now.
    pub async fn replay_run(&self, op: &Op, application: &str, id: &str) -> Result<RunView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.runs())?;
        let run = self.held_run(op, application, id).await?;
        let mut work = self.begin(permit).await?;
        let replayed = work.replay_runs(&op.organization, RunFilter::default(), id, op.now, 1).await?;
        work.supersede_payments(&op.organization, id, op.now).await?;
        if replayed.is_empty() {
            return Err(Error::new(
                Code::StateConflict,
                format!("The run is {}. What has failed or was cancelled can be replayed.", run.state),
            ));
        }
        work.record(op.event(EventKind::RunsReplayed).to(application).with("runs", replayed));
        work.commit().await?;
        self.inner.runner.wake();
        self.read_run(op, application, id).await
    }

    /// Replays all that has failed.
    pub async fn replay_failed(
        &self,
        op: &Op,
        application: &str,
        asked: ReplayRequest,
    ) -> Result<ReplayView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.runs())?;
        let filter = RunFilter {
            application,
            environment: environment(&op.principal, asked.environment.as_deref())?,
            component: &component(asked.component.as_ref(), asked.workflow.as_ref())?,
            state: RunState::Failed.as_str(),
            record: asked.record.as_deref().unwrap_or(""),
        };
        let mut work = self.begin(permit).await?;
        let runs = work.replay_runs(&op.organization, filter, "", op.now, REPLAYED).await?;
        for run in &runs {
            work.supersede_payments(&op.organization, run, op.now).await?;
        }
        let view = ReplayView { runs };
        if !view.runs.is_empty() {
            let event = op.event(EventKind::RunsReplayed).to(application);
            work.record(event.with("count", view.runs.len()));
        }
        work.answer(op, 200, &view).await?;
        work.commit().await?;
        self.inner.runner.wake();
        Ok(view)
    }

    /// Ends a run that waits; one that is running ends by itself.
    pub async fn cancel_run(&self, op: &Op, application: &str, id: &str) -> Result<RunView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.runs())?;
        let run = self.held_run(op, application, id).await?;
        let mut work = self.begin(permit).await?;
        if !work.cancel_run(&op.organization, id, op.now).await? {
            let why = if run.state == RunState::Running {
                "It is at work just now; try again in a moment."
            } else {
                "It is over."
            };
            return Err(Error::new(Code::StateConflict, format!("The run is {}. {why}", run.state)));
        }
        let closing = work.close_payments(&op.organization, id, op.now).await?;
        work.record(op.event(EventKind::RunCancelled).to(application).with("run", id));
        work.commit().await?;
        if closing > 0 {
            // At once where it can be; the runner tries again.
            let engine = self.clone();
            tokio::spawn(async move { engine.close_payments().await });
        }
        self.inner.runner.wake();
        self.read_run(op, application, id).await
    }

    /// How many runs are in which state.
    pub async fn count_runs(&self, op: &Op, application: &str, asked: &str) -> Result<Vec<(String, i64)>> {
        let found = self.find_application(op, application).await?;
        permit(&op.principal, Action::See, &found.runs())?;
        let environment = environment(&op.principal, Some(asked))?;
        Ok(self.store().run_counts(&op.organization, application, environment).await?)
    }
}
