//! Carries out the runs that [`claims`](super::claims) took: does one action after the other, and writes down what each made before the next
//! begins.
//!
//! | what can be lost | what follows |
//! |---|---|
//! | the process, before a request was sent | the lease ends, the run is claimed again |
//! | the process, after a request was sent, before its end was written | the same, in doubt: a service that takes a key recognizes the request, one that can be asked is asked, else it is sent again and the history says so |
//! | the answer | the same |
//! | the database, while an end is to be written | it is tried until it is written or the lease is over |
//! | the word that a connection can be called again, which comes while a run is about to wait for it | the run compares how often the connection has opened with what it knew before the call, and is tried at once |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jackfield_core::id::Prefix;
use jackfield_core::workflow::{Expression, GIVE_UP, OnFailure, RunState, WorkflowAction, backoff};
use jackfield_core::{Code, Environment, Error, Level, Permit, Principal, Result, Timestamp};
use jackfield_store::{Progress, Run, RunStep, Why};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::automate::actions::{Doing, Ended, Tried};
use crate::automate::claims::Busy;
use crate::automate::gates::Gates;
use crate::automate::live;
use crate::automate::records::acting;
use crate::clock::new_id;
use crate::work::Work;
use crate::{Engine, Op, clock};

/// How long a claim holds without a word: longer than any action takes.
pub(super) const LEASE: Duration = Duration::from_mins(3);
/// How often somebody looks for runs of other nodes, of clocks that have come, and of the dead.
const LOOK: Duration = Duration::from_secs(1);
/// How often is looked for runs whose node died, and for those that wait for nobody.
const MEND: Duration = Duration::from_secs(10);
/// Ends that are written in one transaction.
const NOTES: usize = 64;
/// Pause before what could not be written is tried again.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) const PERMIT: Permit = Permit::housekeeping("whoever saved what runs was permitted to");

/// What a node knows of the runs that it carries out.
#[derive(Default)]
pub(crate) struct Runner {
    wake: Notify,
    pub gates: Gates,
    busy: Mutex<Busy>,
    /// told whenever a run is out of hand
    idle: Notify,
    stopping: AtomicBool,
    node: OnceLock<String>,
    opened: Mutex<Opened>,
}

/// By organization and connection, how often a connection had opened when somebody looked: for those of which runs wanted to pause. What is
/// too low makes a run try once more, and nothing worse.
type Opened = HashMap<(String, String), i64>;

/// Connections of which that is kept.
const OPENED_MAX: usize = 10_000;

impl Runner {
    /// There is something to do.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether nothing new is begun any more.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn busy(&self) -> MutexGuard<'_, Busy> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A claimed run is carried out.
    pub(super) fn begin(&self, queue: &str) {
        self.busy().begin(queue);
    }

    /// A run is out of hand.
    pub(super) fn end(&self, queue: &str) {
        // Several at a time cost the database one transaction: a queue is refilled when half of it is done.
        if self.busy().end(queue) {
            self.wake.notify_one();
        }
        self.idle.notify_waiters();
    }

    /// How often a connection had opened the last time that this node looked.
    fn openings(&self, organization: &str, connection: &str) -> Option<i64> {
        self.opened().get(&(organization.to_owned(), connection.to_owned())).copied()
    }

    fn learn(&self, organization: &str, connection: &str, openings: i64) {
        let mut opened = self.opened();
        if opened.len() >= OPENED_MAX {
            opened.clear();
        }
        opened.insert((organization.to_owned(), connection.to_owned()), openings);
    }

    pub(super) fn node(&self) -> &str {
        self.node.get_or_init(|| new_id(Prefix::Session, clock::now()))
    }
}

/// What becomes of a run.
enum Next {
    /// it goes on with the next action
    Keep,
    End(RunState),
    Later {
        due_at: Timestamp,
        since: Option<Timestamp>,
        doubt: bool,
    },
    /// it waits for somebody; hints that come meanwhile make it due at once
    Wait {
        due_at: Timestamp,
        nudges: i64,
    },
    /// it waits until the connection opens, unless it has done so since the try began
    Pause {
        connection: String,
        doubt: bool,
        /// how often it had opened by then, where this node knew
        openings: Option<i64>,
        since: Option<Timestamp>,
    },
}

/// What is to be written about a run.
pub(super) struct Note {
    run: Arc<Run>,
    step: Option<RunStep>,
    results: String,
    attempts: i64,
    /// the record that the run goes on with, where an action changed it
    data: Option<String>,
    next: Next,
    why: Option<(String, String)>,
    /// whether it was written and the lease is still ours
    written: oneshot::Sender<bool>,
}

/// A run on its way.
struct Way {
    run: Arc<Run>,
    results: Map<String, Value>,
    attempts: i64,
    doubt: bool,
    since: Option<Timestamp>,
    /// what set it off, as expressions see it: the record, now and before; or the tick
    data: Map<String, Value>,
}

impl Engine {
    /// Claims and carries out runs until the process ends.
    pub(crate) async fn run_workflows(self) {
        let (notes, ledger) = mpsc::channel(NOTES * 4);
        tokio::spawn(self.clone().keep_ledger(ledger));
        let mut mended = Timestamp::from_micros(0);
        while !self.inner.runner.stopping.load(Ordering::Acquire) {
            let now = clock::now();
            if mended.plus(MEND) <= now {
                mended = now;
                if let Err(error) = self.mend_runs(now).await {
                    tracing::warn!(%error, "runs of nodes that died could not be looked for");
                }
            }
            let next = match self.claim_what_is_due(&notes).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "due runs could not be claimed");
                    None
                }
            };
            let pause =
                next.map_or(LOOK, |at| clock::now().until(at).min(LOOK)).max(Duration::from_millis(1));
            // Whoever makes a run here wakes this; what other nodes make is found by looking.
            let _ = tokio::time::timeout(pause, self.inner.runner.wake.notified()).await;
        }
    }

    async fn mend_runs(&self, now: Timestamp) -> Result<()> {
        let mut work = self.begin(Permit::housekeeping("what died is taken up again")).await?;
        let recovered = work.recover_runs(now).await?;
        work.mend_runs().await?;
        work.commit().await?;
        let engine = self.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.close_payments().await {
                tracing::warn!(%error, "checkouts that nobody waits for could not be looked for");
            }
        });
        if recovered > 0 {
            tracing::info!(runs = recovered, "runs of a node that died are taken up again");
        }
        Ok(())
    }

    /// Waits until no run is in hand, at most so long. What is left is taken up when its lease is over.
    pub async fn finish_runs(&self, patience: Duration) {
        let runner = &self.inner.runner;
        runner.stopping.store(true, Ordering::Release);
        runner.wake();
        let done = async {
            loop {
                let idle = runner.idle.notified();
                if runner.busy().all() == 0 {
                    return;
                }
                idle.await;
            }
        };
        let _ = tokio::time::timeout(patience, done).await;
    }

    /// Carries out one run as far as it goes now.
    pub(super) async fn carry_out(&self, run: Run, notes: &mpsc::Sender<Note>) {
        let results: Result<Map<String, Value>, _> = serde_json::from_str(&run.results);
        let data: Result<Map<String, Value>, _> = serde_json::from_str(&run.data);
        let (Ok(results), Ok(data)) = (results, data) else {
            let way = Way::new(run, Map::new(), Map::new());
            way.fails(notes, "internal", "What the run has to do cannot be read any more.").await;
            return;
        };
        let mut way = Way::new(run, results, data);
        match self.prepared(&way).await {
            Err(error) if error.code == Code::NotFound => {
                way.fails(notes, "gone", &error.detail).await;
            }
            Err(error) => {
                tracing::warn!(%error, run = way.run.id, "a run could not be begun");
                way.waits(notes, error.code.as_str(), "Jackfield could not begin it.").await;
            }
            Ok((work, principal, live)) => self.walk(&mut way, &work, &principal, &live, notes).await,
        }
    }

    async fn prepared(&self, way: &Way) -> Result<(live::Work, Principal, Arc<live::Live>)> {
        let run = &way.run;
        let environment = Environment::parse(&run.environment)
            .ok_or_else(|| Error::internal("the run's environment is not known"))?;
        let live = self.live(&run.organization_id, &run.application, environment).await?;
        let principal = acting(live.application(&run.application)?, &run.application, environment);
        let work = live.work(&run.component).ok_or_else(|| {
            Error::not_found(format_args!("{} in this environment any more", run.component))
        })?;
        Ok((work, principal, live))
    }

    /// Does one action after the other.
    async fn walk(
        &self,
        way: &mut Way,
        work: &live::Work,
        principal: &Principal,
        live: &live::Live,
        notes: &mpsc::Sender<Note>,
    ) {
        let submitter = match self.submitter(live, &way.run.organization_id, &way.run.actor).await {
            Ok(submitter) => submitter,
            Err(error) => {
                return way.waits(notes, error.code.as_str(), "Jackfield could not begin it.").await;
            }
        };
        if let Some(condition) = work.condition() {
            let context = way.context(&submitter);
            if let Err(why) = Expression::parse(condition).and_then(|parsed| parsed.holds(&context)) {
                let why = format!("{}: {why}", way.place("condition of the workflow"));
                return way.fails(notes, "mapping_failed", &why).await;
            }
        }
        let actions = work.actions();
        while let Some(action) = actions.iter().find(|action| !way.results.contains_key(&action.name)) {
            let last = actions.iter().filter(|other| !way.results.contains_key(&other.name)).count() == 1;
            let context = way.context(&submitter);
            let at = clock::now();
            // Before the try: what opens during it is not known to have done so.
            let connection = connection_of(action, live);
            let openings = connection
                .and_then(|connection| self.inner.runner.openings(&way.run.organization_id, &connection));
            let tried = self.try_action(way, action, principal, live, &context, at).await;
            // What is not done yet is no try that ended, and a look that finds nothing new no step.
            let more = matches!(tried.ended, Ended::More { .. });
            let idle = matches!(tried.ended, Ended::Waiting { .. }) && tried.request.is_none();
            let step = (!more && !idle).then(|| step_of(way, action, &tried, at));
            if !way.take(action, tried, step, last, openings, notes).await {
                return;
            }
        }
        // Every action was done before, or there are none any more.
        way.note(notes, None, Next::End(RunState::Succeeded), None, None).await;
    }

    async fn try_action(
        &self,
        way: &Way,
        action: &WorkflowAction,
        principal: &Principal,
        live: &live::Live,
        context: &Value,
        at: Timestamp,
    ) -> Tried {
        let run = &way.run;
        let runner = &self.inner.runner;
        let connection = connection_of(action, live);
        let gate = connection.as_ref().map(|connection| format!("{} {connection}", run.organization_id));
        if let Some(gate) = &gate {
            runner.busy().calls(&run.queue, gate);
            runner.gates.enter(gate);
        }
        let tried = self.try_here(way, action, principal, live, context, at).await;
        if let Some(gate) = &gate {
            let now = clock::now();
            runner.gates.leave(gate, tried.health, at.until(now), now, random());
        }
        tried
    }

    async fn try_here(
        &self,
        way: &Way,
        action: &WorkflowAction,
        principal: &Principal,
        live: &live::Live,
        context: &Value,
        at: Timestamp,
    ) -> Tried {
        let run = &way.run;
        let environment = Environment::parse(&run.environment).unwrap_or(Environment::Production);
        let connection = connection_of(action, live);
        let actor = match self.actor(run, connection.as_deref(), environment).await {
            Ok(actor) => actor,
            Err(tried) => return *tried,
        };
        let op = Op {
            principal: principal.clone(),
            organization: run.organization_id.as_str().into(),
            now: at,
            request_id: new_id(Prefix::Request, at),
            address: String::new(),
            session: None,
            idempotency: None,
        };
        let doing = Doing {
            organization: &run.organization_id,
            application: &run.application,
            environment,
            run,
            principal,
            actor: &actor,
            live,
            context,
            doubt: way.doubt,
        };
        self.perform(&op, &doing, action).await
    }

    /// As whom an action calls: whoever sent the record in; where there is none, the primary account of a connection that each person uses
    /// with his own (product N14).
    async fn actor(
        &self,
        run: &Run,
        connection: Option<&str>,
        environment: Environment,
    ) -> Result<String, Box<Tried>> {
        let Some(name) = connection.filter(|_| run.record.is_empty()) else {
            return Ok(run.actor.clone());
        };
        let later =
            |error: Error| Box::new(Tried::later(error.code.as_str(), "Jackfield could not begin it."));
        let found = self.store().connection(&run.organization_id, name).await;
        let found = found.map_err(|error| later(error.into()))?;
        if found.is_none_or(|connection| connection.level != Level::User) {
            return Ok(String::new());
        }
        let primary = self.primary(&run.organization_id, name, environment).await.map_err(later)?;
        primary.ok_or_else(|| {
            let reason = format!(
                "Each person uses {name:?} with his own account, and nobody is there at this time. Choose a primary account for {environment}."
            );
            Box::new(Tried::paused(name, Code::PrimaryAccountRequired.as_str(), reason))
        })
    }

    /// The member with whose account unattended work uses a connection in an environment.
    pub(crate) async fn primary(
        &self,
        organization: &str,
        connection: &str,
        environment: Environment,
    ) -> Result<Option<String>> {
        let all = self.store().primaries(organization, connection, connection).await?;
        Ok(all.into_iter().find(|one| one.environment == environment).map(|one| one.member))
    }

    /// Writes what becomes of runs, many in one transaction.
    async fn keep_ledger(self, mut ledger: mpsc::Receiver<Note>) {
        while let Some(first) = ledger.recv().await {
            let mut batch = vec![first];
            while batch.len() < NOTES
                && let Ok(note) = ledger.try_recv()
            {
                batch.push(note);
            }
            match self.write_notes(&batch).await {
                Ok(kept) => {
                    for (note, kept) in batch.into_iter().zip(kept) {
                        // Who has stopped waiting needs no word.
                        let _ = note.written.send(kept);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "what became of runs could not be written; it is tried again");
                    for note in batch {
                        tokio::spawn(self.clone().insist(note));
                    }
                }
            }
        }
    }

    /// Writes one note, however often it has to be tried while the lease holds.
    async fn insist(self, note: Note) {
        let until = clock::now().plus(LEASE);
        let notes = [note];
        loop {
            tokio::time::sleep(AGAIN).await;
            match self.write_notes(&notes).await {
                Ok(kept) => {
                    let [note] = notes;
                    let _ = note.written.send(kept.first().copied().unwrap_or(false));
                    return;
                }
                Err(error) if clock::now() > until => {
                    tracing::error!(%error, "what became of a run could not be written; it is taken up again in doubt");
                    return;
                }
                Err(_) => {}
            }
        }
    }

    async fn write_notes(&self, notes: &[Note]) -> Result<Vec<bool>> {
        let now = clock::now();
        let mut work = self.begin(PERMIT).await?;
        // Held before anything else is written, in their order: whoever opens one of them waits, and finds the paused run then; or he was
        // quicker, and the run does not pause.
        let mut openings = BTreeMap::new();
        for connection in notes.iter().filter_map(Note::pauses_for).collect::<BTreeSet<_>>() {
            let (organization, name) = connection;
            openings.insert(connection, work.hold_openings(organization, name).await?);
        }
        let mut kept = Vec::with_capacity(notes.len());
        for note in notes {
            let opened = note.pauses_for().and_then(|connection| openings.get(&connection)).copied();
            kept.push(write_note(&mut work, note, opened, self.inner.runner.node(), now).await?);
        }
        work.commit().await?;
        for ((organization, connection), openings) in openings {
            self.inner.runner.learn(organization, connection, openings);
        }
        Ok(kept)
    }
}

impl Note {
    /// Organization and connection for which its run is to pause.
    fn pauses_for(&self) -> Option<(&str, &str)> {
        match &self.next {
            Next::Pause { connection, .. } => Some((&self.run.organization_id, connection)),
            _ => None,
        }
    }
}

/// Writes what becomes of a run. `opened`: how often the connection has opened for which it is to pause.
async fn write_note(
    work: &mut Work<'_>,
    note: &Note,
    opened: Option<i64>,
    node: &str,
    now: Timestamp,
) -> Result<bool> {
    let run = &note.run;
    let stays = matches!(&note.next, Next::Pause { openings, .. } if *openings != opened);
    if let Some(step) = &note.step {
        let step = if stays { &RunStep { outcome: "retried".to_owned(), ..step.clone() } } else { step };
        work.insert_run_step(&run.organization_id, &run.id, step).await?;
    }
    let why = note.why.as_ref().map(|(code, reason)| Why { code, reason });
    let progress = |doubt| Progress { results: &note.results, attempts: note.attempts, doubt, node };
    if let Some(data) = &note.data {
        work.set_run_data(run, data).await?;
    }
    Ok(match &note.next {
        Next::Keep => work.keep_run(run, progress(false), now.plus(LEASE), now).await?,
        Next::End(state) => {
            if *state == RunState::Failed {
                work.close_payments(&run.organization_id, &run.id, now).await?;
            }
            work.end_run(run, *state, progress(false), why, now).await?
        }
        Next::Wait { due_at, nudges } => {
            let why = why.unwrap_or(Why { code: "internal", reason: "" });
            let kept = work.retry_run(run, progress(false), Some(now), *due_at, why, now).await?;
            if kept {
                work.hasten_run(&run.organization_id, &run.id, *nudges, now).await?;
            }
            kept
        }
        Next::Later { due_at, since, doubt } => {
            let why = why.unwrap_or(Why { code: "internal", reason: "" });
            work.retry_run(run, progress(*doubt), *since, *due_at, why, now).await?
        }
        // It may have opened in the meantime, and nobody would wake the run any more: it is tried once more, at once.
        Next::Pause { doubt, since, .. } if stays => {
            let why = why.unwrap_or(Why { code: "internal", reason: "" });
            work.retry_run(run, progress(*doubt), *since, now, why, now).await?
        }
        Next::Pause { connection, doubt, .. } => {
            let why = why.unwrap_or(Why { code: "internal", reason: "" });
            work.pause_run(run, progress(*doubt), connection, why, now).await?
        }
    })
}

/// The connection that an action calls through; that of its datasource where it pulls one.
fn connection_of(action: &WorkflowAction, live: &live::Live) -> Option<String> {
    match &action.pull {
        Some(pull) => live.datasource(&pull.datasource).map(|datasource| datasource.connection.clone()),
        None => action.connection().map(str::to_owned),
    }
}

fn random() -> u16 {
    let [a, b] = jackfield_vault::token::random_bytes::<2>();
    u16::from_be_bytes([a, b])
}

/// What the history keeps of a try.
fn step_of(way: &Way, action: &WorkflowAction, tried: &Tried, at: Timestamp) -> RunStep {
    let now = clock::now();
    let (outcome, message) = match &tried.ended {
        Ended::Done { .. } if tried.found => ("found", None),
        Ended::Done { .. } => ("done", None),
        Ended::Skipped => ("skipped", None),
        Ended::More { reason } => ("continued", Some(reason)),
        Ended::Later { reason, .. } => ("retried", Some(reason)),
        Ended::Waiting { reason, .. } => ("waiting", Some(reason)),
        Ended::Paused { reason, .. } => ("paused", Some(reason)),
        Ended::Failed { reason, .. } => ("failed", Some(reason)),
    };
    RunStep {
        id: new_id(Prefix::Step, now),
        action: action.name.clone(),
        attempt: way.attempts,
        outcome: outcome.to_owned(),
        doubt: tried.doubt,
        request: tried.request.as_ref().map(Value::to_string),
        reply: tried.reply.as_ref().map(Value::to_string),
        status: tried.status.map(i64::from),
        message: message.map(|text| sayable(text)),
        at,
        duration: i64::try_from(at.until(now).as_micros()).unwrap_or(i64::MAX),
    }
}

/// Without what no database stores and no page shows.
fn sayable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(2000).collect()
}

impl Way {
    fn new(run: Run, mut results: Map<String, Value>, data: Map<String, Value>) -> Self {
        if run.attempts <= 1 {
            // Replayed: what failed is tried again.
            results.retain(|_, result| result.get("failed").is_none());
        }
        Self {
            results,
            attempts: run.attempts,
            doubt: run.doubt,
            since: run.tried_since,
            data,
            run: Arc::new(run),
        }
    }

    /// What expressions see.
    fn context(&self, submitter: &Value) -> Value {
        let mut all = self.data.clone();
        let mut put = |name: &str, value: Value| all.insert(name.to_owned(), value);
        put("event", json!(self.run.event));
        put("environment", json!(self.run.environment));
        put("application", json!(self.run.application));
        put("results", Value::Object(self.results.clone()));
        if !self.run.record.is_empty() {
            put("form", json!(self.run.form));
            put("submitter", submitter.clone());
        }
        Value::Object(all)
    }

    /// Where something happened: a part of the work, and the record, where there is one.
    fn place(&self, part: &str) -> String {
        match self.run.record.as_str() {
            "" => part.to_owned(),
            record => format!("{part}, record {record}"),
        }
    }

    async fn fails(&self, notes: &mpsc::Sender<Note>, code: &str, reason: &str) {
        let why = (code.to_owned(), sayable(reason));
        self.note(notes, None, Next::End(RunState::Failed), Some(why), None).await;
    }

    async fn waits(&self, notes: &mpsc::Sender<Note>, code: &str, reason: &str) {
        let (next, why) = self.later(code, reason, None, self.doubt);
        self.note(notes, None, next, Some(why), None).await;
    }

    /// Tried again later, or given up.
    fn later(
        &self,
        code: &str,
        reason: &str,
        retry_after: Option<Duration>,
        doubt: bool,
    ) -> (Next, (String, String)) {
        let now = clock::now();
        let since = self.since.unwrap_or(now);
        if since.plus(GIVE_UP) < now {
            let reason = format!("Given up after a day of trying. {reason}");
            return (Next::End(RunState::Failed), (code.to_owned(), sayable(&reason)));
        }
        let due_at = now.plus(backoff(self.attempts, retry_after, random()));
        (Next::Later { due_at, since: Some(since), doubt }, (code.to_owned(), sayable(reason)))
    }

    /// Takes in how a try ended, and has it written. True: the run goes on with the next action.
    async fn take(
        &mut self,
        action: &WorkflowAction,
        tried: Tried,
        step: Option<RunStep>,
        last: bool,
        openings: Option<i64>,
        notes: &mpsc::Sender<Note>,
    ) -> bool {
        let data = tried.record.map(|record| {
            self.data.insert("record".to_owned(), record);
            Value::Object(self.data.clone()).to_string()
        });
        let (next, why) = match tried.ended {
            Ended::Done { result } => {
                self.results.insert(action.name.clone(), result);
                self.ends_or_goes_on(last)
            }
            Ended::Skipped => {
                self.results.insert(action.name.clone(), json!({"skipped": true}));
                self.ends_or_goes_on(last)
            }
            Ended::Failed { code, reason } => {
                let reason = format!("{}: {reason}", self.place(&action.name));
                if action.on_failure == OnFailure::Stop {
                    (Next::End(RunState::Failed), Some((code.to_owned(), sayable(&reason))))
                } else {
                    let failed = json!({"failed": true, "code": code, "reason": sayable(&reason)});
                    self.results.insert(action.name.clone(), failed);
                    self.ends_or_goes_on(last)
                }
            }
            Ended::Later { code, reason, retry_after, doubt } => {
                let (next, why) =
                    self.later(code, &reason, retry_after, doubt || (self.doubt && !tried.found));
                (next, Some(why))
            }
            Ended::More { reason } => {
                self.attempts = 0;
                let next = Next::Later { due_at: clock::now(), since: None, doubt: false };
                (next, Some(("pulling".to_owned(), sayable(&reason))))
            }
            Ended::Waiting { after, nudges, code, reason } => {
                let next = Next::Wait { due_at: clock::now().plus(after), nudges };
                (next, Some((code.to_owned(), sayable(&reason))))
            }
            Ended::Paused { connection, code, reason } => {
                let next = Next::Pause { connection, doubt: self.doubt, openings, since: self.since };
                (next, Some((code.to_owned(), sayable(&reason))))
            }
        };
        let goes_on = matches!(next, Next::Keep);
        if goes_on {
            self.attempts = 0;
            self.doubt = false;
            self.since = None;
        }
        let written = self.note(notes, step, next, why, data).await;
        // The first try of the next action.
        self.attempts += i64::from(goes_on);
        written && goes_on
    }

    /// After the last action: failed where one of them did, though the others were done.
    fn ends_or_goes_on(&self, last: bool) -> (Next, Option<(String, String)>) {
        if !last {
            return (Next::Keep, None);
        }
        let failed = self.results.values().find(|result| result.get("failed").is_some());
        match failed {
            None => (Next::End(RunState::Succeeded), None),
            Some(result) => {
                let word =
                    |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                (Next::End(RunState::Failed), Some((word("code"), word("reason"))))
            }
        }
    }

    /// Has it written. False: it could not be, or the run is no longer this node's.
    async fn note(
        &self,
        notes: &mpsc::Sender<Note>,
        step: Option<RunStep>,
        next: Next,
        why: Option<(String, String)>,
        data: Option<String>,
    ) -> bool {
        let (written, wait) = oneshot::channel();
        let note = Note {
            run: Arc::clone(&self.run),
            step,
            results: Value::Object(self.results.clone()).to_string(),
            attempts: self.attempts,
            data,
            next,
            why,
            written,
        };
        notes.send(note).await.is_ok() && wait.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use jackfield_core::workflow::RecordEvent;

    use super::*;

    #[test]
    fn what_has_failed_for_a_day_is_given_up() {
        let now = clock::now();
        let next = |since: Timestamp| {
            let run = Run {
                organization_id: "org".to_owned(),
                id: "run".to_owned(),
                queue: String::new(),
                application: String::new(),
                environment: String::new(),
                component: String::new(),
                workflow: String::new(),
                workflow_version: 1,
                form: String::new(),
                record: String::new(),
                event: RecordEvent::Created,
                record_version: 1,
                data: "{}".to_owned(),
                actor: String::new(),
                state: RunState::Running,
                results: "{}".to_owned(),
                attempts: 9,
                doubt: false,
                tried_since: Some(since),
                due_at: now,
                behind: None,
                after: None,
                paused_on: None,
                code: None,
                reason: None,
                created_at: now,
                updated_at: now,
                ended_at: None,
            };
            Way::new(run, Map::new(), Map::new()).later("service_failed", "It answered 500.", None, false)
        };
        let yesterday = now.minus(GIVE_UP + Duration::from_mins(1));
        let (end, (_, reason)) = next(yesterday);
        assert!(
            matches!(end, Next::End(RunState::Failed)) && reason.ends_with("It answered 500."),
            "{reason}"
        );
        let today = now.minus(GIVE_UP).plus(Duration::from_mins(1));
        assert!(matches!(next(today).0, Next::Later { since: Some(since), .. } if since == today));
    }
}
