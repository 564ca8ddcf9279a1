//! Runs of an application: what was done for which record or at which time, what came back, and what a person may do about it.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::datasource::Datasource;
use jackfield_core::form::Form as FormDocument;
use jackfield_core::schedule::Schedule;
use jackfield_core::workflow::{RecordEvent, RunState, Workflow};
use jackfield_core::{Code, Result, Timestamp};
use jackfield_engine::automate::components::Definable;
use jackfield_engine::automate::runs::{ReplayRequest, RunQuery, RunView, StepView};
use jackfield_engine::{Engine, Op, Page};
use serde_json::Value;

use super::applications::{Head, next, path};
use super::common::{People, mends, most};
use super::desk::{Desk, Frame, Sent};
use super::form::{Field, Form};
use super::parts::{self, Status};

/// Runs that are replayed at once, as the engine has it.
const REPLAYED: i64 = 1000;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/runs", get(list).post(replay_failed))
        .route("/console/applications/{link}/runs/{id}", get(show))
        .route("/console/applications/{link}/runs/{id}/replay", post(replay))
        .route("/console/applications/{link}/runs/{id}/cancel", post(cancel))
}

/// The socket of a state.
pub(super) fn status(state: &RunState) -> Status {
    match state {
        RunState::Queued | RunState::Running => Status::NotConnected,
        RunState::Paused => Status::Attention,
        RunState::Succeeded => Status::Connected,
        RunState::Failed => Status::Failed,
        RunState::Cancelled => Status::Disabled,
    }
}

/// The word of a state.
pub(super) fn word(state: &RunState) -> &'static str {
    match state {
        RunState::Queued => "Waiting",
        RunState::Running => "Running",
        RunState::Paused => "Paused",
        RunState::Succeeded => "Done",
        RunState::Failed => "Failed",
        RunState::Cancelled => "Cancelled",
    }
}

/// The beginning of a reason: a service may say a whole page.
pub(super) fn brief(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(MOST).collect();
    cut.push('…');
    cut
}

pub(super) fn event_word(event: &RecordEvent) -> &'static str {
    match event {
        RecordEvent::Created => "created",
        RecordEvent::Edited => "edited",
        RecordEvent::Deleted => "deleted",
        RecordEvent::Tick => "its time came",
        RecordEvent::Asked => "asked for",
    }
}

/// Names of what is built in an application: what is gone since is called by its link name.
pub(super) struct Called(BTreeMap<String, String>);

/// Names of all that runs in an application, by component: `schedule:nightly`.
pub(super) struct Runnable(BTreeMap<String, String>);

impl Runnable {
    pub async fn of(engine: &Engine, op: &Op, application: &str) -> Result<Self> {
        async fn add<D: Definable>(all: &mut Runnable, engine: &Engine, op: &Op, at: &str) -> Result<()> {
            let named = Called::of::<D>(engine, op, at).await?.0;
            all.0.extend(named.into_iter().map(|(link, name)| (format!("{}:{link}", D::KIND), name)));
            Ok(())
        }
        let mut all = Self(BTreeMap::new());
        add::<Workflow>(&mut all, engine, op, application).await?;
        add::<Schedule>(&mut all, engine, op, application).await?;
        add::<Datasource>(&mut all, engine, op, application).await?;
        Ok(all)
    }

    pub fn name<'a>(&'a self, component: &'a str) -> &'a str {
        let link = || component.split_once(':').map_or(component, |(_, link)| link);
        self.0.get(component).map_or_else(link, String::as_str)
    }
}

/// The page of a component, below its application: `schedules/nightly`.
fn room(component: &str) -> String {
    component.split_once(':').map_or_else(String::new, |(kind, link)| format!("{kind}s/{link}"))
}

impl Called {
    /// Where no names are wanted.
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    pub async fn of<D: Definable>(engine: &Engine, op: &Op, application: &str) -> Result<Self> {
        let built = match engine.list_built::<D>(op, application, &most()).await {
            Ok(page) => page.items,
            // Whoever may not see what is built sees it called by its link name.
            Err(error) if error.code == Code::Forbidden => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self(built.into_iter().map(|one| (one.link_name, one.name)).collect()))
    }

    /// Link names and names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(link, name)| (link.as_str(), name.as_str()))
    }

    pub fn name<'a>(&'a self, link: &'a str) -> &'a str {
        self.0.get(link).map_or(link, String::as_str)
    }
}

#[derive(Template)]
#[template(path = "console/runs.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    form: Form,
    runnable: Runnable,
    forms: Called,
    page: Page<RunView>,
    next: Option<String>,
    filtered: bool,
    /// failed runs in this environment
    failed: i64,
}

impl List<'_> {
    fn component(&self) -> Field<'_> {
        let mut choices = vec![("", "Anything")];
        choices.extend(self.runnable.0.iter().map(|(component, name)| (component.as_str(), name.as_str())));
        let chosen = self.form.value("component");
        if !choices.iter().any(|(component, _)| *component == chosen) {
            choices.push((chosen, chosen));
        }
        self.form.select("component", "What ran", &choices)
    }

    fn state(&self) -> Field<'_> {
        let mut choices = vec![("", "Any state")];
        choices.extend(RunState::ALL.iter().map(|state| (state.as_str(), word(state))));
        self.form.select("state", "State", &choices)
    }

    /// What the button says that replays them.
    fn replays(&self) -> String {
        match self.failed {
            1 => "Replay the one that failed".to_owned(),
            2..=REPLAYED => format!("Replay all {} that failed", self.failed),
            _ => format!("Replay {REPLAYED} of the {} that failed", self.failed),
        }
    }
}

async fn list(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find(&engine, &desk, &link, Form::new(desk.query.clone())).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<List<'a>> {
    let head = Head::read(engine, desk, link, "runs").await?;
    let environment = desk.frame.environment.as_str();
    let query = RunQuery {
        environment: Some(environment.to_owned()),
        component: desk.query.given("component"),
        workflow: None,
        // A word that is none of ours asks for nothing.
        state: desk.query.given("state").filter(|state| RunState::parse(state).is_some()),
        record: desk.query.given("record"),
        limit: None,
        cursor: desk.query.given("cursor"),
    };
    let page = engine.list_runs(&desk.op, link, &query).await?;
    let counts = engine.count_runs(&desk.op, link, environment).await?;
    let failed = counts.iter().find(|(state, _)| state == RunState::Failed.as_str());
    Ok(List {
        frame: &desk.frame,
        now: desk.op.now,
        next: next(desk, &head.path("runs"), &page),
        runnable: Runnable::of(engine, &desk.op, link).await?,
        forms: Called::of::<FormDocument>(engine, &desk.op, link).await?,
        filtered: query.component.is_some() || query.state.is_some() || query.record.is_some(),
        failed: failed.map_or(0, |(_, many)| *many),
        head,
        form,
        page,
    })
}

async fn replay_failed(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let desk = sent.desk;
    let asked = ReplayRequest {
        environment: Some(desk.frame.environment.as_str().to_owned()),
        ..ReplayRequest::default()
    };
    match engine.replay_failed(&desk.op, &link, asked).await {
        Ok(replayed) => {
            let many = replayed.runs.len();
            let news = format!("{} again.", parts::count(many, "run is tried", "runs are tried"));
            desk.done(&path(&link, "runs"), &news)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// One try as people read it.
struct Try {
    step: StepView,
    status: Status,
    /// what became of it
    said: &'static str,
    /// what that means; empty where it says enough
    means: &'static str,
    request: Option<String>,
    reply: Option<String>,
}

impl Try {
    fn took(&self) -> String {
        if self.step.duration_ms < 1000.0 {
            format!("{:.0} ms", self.step.duration_ms)
        } else {
            format!("{:.1} s", self.step.duration_ms / 1000.0)
        }
    }
}

/// JSON on lines of its own; nothing where there is nothing in it.
pub(super) fn pretty(value: Option<&Value>) -> Option<String> {
    let value = value.filter(|value| !value.is_null())?;
    serde_json::to_string_pretty(value).ok()
}

/// What became of a try: its socket, its word, and what that means where the word does not say it.
fn outcome(outcome: &str) -> (Status, &'static str, &'static str) {
    match outcome {
        "done" => (Status::Connected, "Done", ""),
        "found" => (Status::Connected, "Found", "An earlier try had done it."),
        "skipped" => (Status::Disabled, "Left out", "Its condition does not hold."),
        "retried" => (Status::NotConnected, "Not yet", "It is tried again."),
        "waiting" => (Status::NotConnected, "Waits", "It goes on when the payer has paid."),
        "paused" => (Status::Attention, "Paused", "The connection cannot be called."),
        "failed" => (Status::Failed, "Failed", "Nothing is tried again by itself."),
        _ => (Status::NotConnected, "Something else", ""),
    }
}

impl From<StepView> for Try {
    fn from(step: StepView) -> Self {
        let (status, said, means) = outcome(&step.outcome);
        Self {
            status,
            said,
            means,
            request: pretty(step.request.as_ref()),
            reply: pretty(step.reply.as_ref()),
            step,
        }
    }
}

#[derive(Template)]
#[template(path = "console/run.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    run: RunView,
    tries: Vec<Try>,
    /// of what ran
    name: String,
    /// where a record set it off: name and link name of its form, and its id
    form: Option<(String, String, String)>,
    /// who set it off, by name
    actor: Option<String>,
    wrong: Option<String>,
}

impl Show<'_> {
    /// What is the case.
    fn title(&self) -> String {
        let name = &self.name;
        match self.run.state {
            RunState::Queued if self.run.attempts > 0 => format!("{name} is tried again"),
            RunState::Queued => format!("{name} waits for its turn"),
            RunState::Running => format!("{name} is running"),
            RunState::Paused => format!("{name} is paused"),
            RunState::Succeeded => format!("{name} is done"),
            RunState::Failed => format!("{name} failed"),
            RunState::Cancelled => format!("{name} was cancelled"),
        }
    }

    /// The page of what ran.
    fn room(&self) -> String {
        self.head.path(&room(&self.run.component))
    }

    fn may_replay(&self) -> bool {
        matches!(self.run.state, RunState::Failed | RunState::Cancelled)
    }

    fn may_cancel(&self) -> bool {
        matches!(self.run.state, RunState::Queued | RunState::Paused)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.head.path("runs"), self.run.id)
    }
}

async fn show(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = read(&engine, &desk, &link, &id, None).await;
    desk.show(page)
}

async fn read<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    id: &str,
    wrong: Option<String>,
) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "runs").await?;
    let mut run = engine.read_run(&desk.op, link, id).await?;
    let runnable = Runnable::of(engine, &desk.op, link).await?;
    let forms = Called::of::<FormDocument>(engine, &desk.op, link).await?;
    let of_record = |(form, record): (String, String)| (forms.name(&form).to_owned(), form, record);
    let people = People::of(engine, desk).await?;
    Ok(Show {
        frame: &desk.frame,
        now: desk.op.now,
        head,
        tries: run.steps.take().unwrap_or_default().into_iter().map(Try::from).collect(),
        name: runnable.name(&run.component).to_owned(),
        form: run.form.take().zip(run.record.take()).map(of_record),
        actor: run.actor.as_deref().map(|actor| people.name(actor).to_owned()),
        run,
        wrong,
    })
}

async fn replay(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let replayed = engine.replay_run(&sent.desk.op, &link, &id).await;
    ended(&engine, &sent.desk, &link, &id, replayed, "It goes on at the action at which it stopped.").await
}

async fn cancel(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let cancelled = engine.cancel_run(&sent.desk.op, &link, &id).await;
    ended(&engine, &sent.desk, &link, &id, cancelled, "It is cancelled. What it had done stays done.").await
}

/// The run's page again: with what was done, or why it was not.
async fn ended(
    engine: &Engine,
    desk: &Desk,
    link: &str,
    id: &str,
    result: Result<RunView>,
    news: &str,
) -> Response {
    match result {
        Ok(_) => desk.done(&path(link, &format!("runs/{id}")), news),
        Err(error) if mends(&error) => {
            let page = read(engine, desk, link, id, Some(error.detail.clone())).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_state_has_words() {
        for known in ["done", "found", "skipped", "retried", "paused", "failed"] {
            assert_ne!(outcome(known).1, "Something else", "{known}");
        }
        let words: std::collections::BTreeSet<&str> = RunState::ALL.iter().map(word).collect();
        assert_eq!(words.len(), RunState::ALL.len());
    }

    #[test]
    fn what_is_not_there_is_not_printed() {
        assert_eq!(pretty(None), None);
        assert_eq!(pretty(Some(&Value::Null)), None);
        assert_eq!(pretty(Some(&serde_json::json!({"a": 1}))).as_deref(), Some("{\n  \"a\": 1\n}"));
    }
}
