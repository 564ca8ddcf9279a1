//! Runs: what a workflow does for one event of one record, or a schedule for one tick, and every try of it.
//!
//! A run is made in the transaction that writes the record or takes the tick. Any node claims it: it is `running` under a lease, and what a node did not live
//! to write down is claimed again when the lease is over, in doubt whether its last request was sent. What must not delay each other stands
//! in different queues: whoever claims asks which queues have something due ([`Store::due_queues`]) and takes from each its share.
//!
//! | column | what waits |
//! |---|---|
//! | `behind` | a run for the run before it of the same record and workflow, until that one is over |
//! | `after` | a run for that of the workflow before it on the same event, until that one is over or has to wait itself |
//!
//! Both name a run that was alive when this one was made. Had it ended meanwhile unseen, [`Tx::mend_runs`] sets this one free. What is
//! cancelled while it waits itself leaves its own place to those that wait for it, so that none of them overtakes what is still going on.

use jackfield_core::Timestamp;
use jackfield_core::workflow::{RecordEvent, RunState};

use crate::db::{Row, Tx, Value, statements};
use crate::{PRUNE_AT_ONCE, Result, Store, StoreError};

/// What [`Run::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, id, queue, application, environment, component, workflow, workflow_version, form, record, event, record_version, data, actor,
        state, results, attempts, doubt, tried_since, due_at, behind, after, paused_on, code, reason, created_at, updated_at, ended_at"
    };
}

/// The condition of the index `runs_due`.
macro_rules! claimable {
    ($table:literal) => {
        concat!($table, "state = 'queued' and ", $table, "behind is null and ", $table, "after is null")
    };
}

/// Which runs a filter means: $1 organization, $2 application, $3 environment, $4 component, $5 state, $6 record.
macro_rules! filtered {
    () => {
        "organization_id = $1 and ($2 = '' or application = $2) and ($3 = '' or environment = $3) and ($4 = '' or component = $4)
        and ($5 = '' or state = $5) and ($6 = '' or record = $6)"
    };
}

/// The latest of those that a filter means; `$narrow` is what an index finds. SQLite knows no values when it chooses one, and PostgreSQL
/// not for long: without it either would read every run of the organization.
macro_rules! listed {
    ($narrow:literal) => {
        concat!(
            "select ",
            columns!(),
            " from runs where ",
            filtered!(),
            $narrow,
            " and id < $7 order by id desc limit $8"
        )
    };
}

statements! {
    pub(crate) RUN_INSERT = "insert into runs (organization_id, id, queue, application, environment, workflow, workflow_version, form,
        record, event, record_version, data, actor, state, results, attempts, doubt, due_at, behind, after, created_at, updated_at, component)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'queued', '{}', 0, 0, $14, $15, $16, $14, $14, $17)";
    // Only those that no record set off: the index has no others.
    pub(crate) RUNS_OPEN = "select id from runs where organization_id = $1 and application = $2 and environment = $3 and component = $4
        and record = '' and ended_at is null order by id desc limit $5";
    pub(crate) RUN_BEFORE = "select id from runs where organization_id = $1 and record = $2 and workflow = $3 and ended_at is null
        order by id desc limit 1";
    pub(crate) RUN_GET = concat!("select ", columns!(), " from runs where organization_id = $1 and id = $2");
    pub(crate) RUN_LIST = listed!("");
    pub(crate) RUN_LIST_OF_RECORD = listed!(" and record = $6");
    pub(crate) RUN_LIST_OF_COMPONENT = listed!(" and application = $2 and component = $4 and record = ''");
    pub(crate) RUN_LIST_OF_APPLICATION = listed!(" and application = $2");
    pub(crate) RUN_LIST_OF_STATE = listed!(" and application = $2 and state = $5");
    // From queue to queue along the index, whatever stands in them. `order by … limit 1`: for `min` a PostgreSQL that has not counted the
    // rows yet reads them all.
    pub(crate) RUN_QUEUES = concat!("with recursive q (queue) as (
        select (select r.queue from runs r where ", claimable!("r."), " order by r.queue limit 1)
        union all select (select r.queue from runs r where ", claimable!("r."), " and r.queue > q.queue order by r.queue limit 1)
            from q where q.queue is not null)
        select q.queue, (select r.due_at from runs r where ", claimable!("r."), " and r.queue = q.queue order by r.due_at limit 1) as due_at
        from q where q.queue is not null order by due_at, queue limit $1");
    // `materialized`: else PostgreSQL may look for the rows once more for each that it finds, and then it takes more than it was asked for.
    pub(crate) RUN_CLAIM = concat!("with taken as materialized (select organization_id, id from runs
            where ", claimable!(""), " and queue = $1 and due_at <= $2 order by due_at, id limit $3 for update skip locked)
        update runs set state = 'running', lease_by = $4, lease_until = $5, attempts = attempts + 1, updated_at = $2
        where (organization_id, id) in (select organization_id, id from taken)
        returning ", columns!());
    pub(crate) RUN_KEEP = "update runs set results = $3, attempts = $4, doubt = 0, tried_since = null, code = null, reason = null,
        lease_until = $5, updated_at = $6 where organization_id = $1 and id = $2 and state = 'running' and lease_by = $7";
    pub(crate) RUN_DATA = "update runs set data = $3 where organization_id = $1 and id = $2";
    pub(crate) RUN_END = "update runs set state = $3, results = $4, code = $5, reason = $6, lease_by = null, lease_until = null, updated_at = $7,
        ended_at = $7, paused_on = null where organization_id = $1 and id = $2 and state = 'running' and lease_by = $8
        returning coalesce((select 1 from runs w where w.organization_id = runs.organization_id and w.behind = runs.id limit 1), 0) as waits_behind,
        coalesce((select 1 from runs w where w.organization_id = runs.organization_id and w.after = runs.id limit 1), 0) as waits_after";
    pub(crate) RUN_LATER = "update runs set state = 'queued', results = $3, attempts = $4, doubt = $5, tried_since = $6, due_at = $7, code = $8,
        reason = $9, lease_by = null, lease_until = null, updated_at = $10
        where organization_id = $1 and id = $2 and state = 'running' and lease_by = $11";
    pub(crate) RUN_PAUSE = "update runs set state = 'paused', results = $3, attempts = $4, doubt = $5, paused_on = $6, code = $7, reason = $8,
        lease_by = null, lease_until = null, updated_at = $9
        where organization_id = $1 and id = $2 and state = 'running' and lease_by = $10";
    // Whoever waited for this run waits for what it was waiting for itself: nothing, unless it was cancelled.
    pub(crate) RUN_FREE_BEHIND = "update runs set behind = (select b.behind from runs b where b.organization_id = $1 and b.id = $2)
        where organization_id = $1 and behind = $2";
    pub(crate) RUN_FREE_AFTER = "update runs set after = (select b.after from runs b where b.organization_id = $1 and b.id = $2)
        where organization_id = $1 and after = $2";
    // `coalesce`: PostgreSQL would join `not exists` with all runs there are, and looks up one by one what it cannot join.
    pub(crate) RUN_MEND_BEHIND = "update runs
        set behind = (select b.behind from runs b where b.organization_id = runs.organization_id and b.id = runs.behind)
        where behind is not null and coalesce((select 1 from runs b
            where b.organization_id = runs.organization_id and b.id = runs.behind and b.ended_at is null), 0) = 0";
    pub(crate) RUN_MEND_AFTER = "update runs
        set after = (select b.after from runs b where b.organization_id = runs.organization_id and b.id = runs.after)
        where after is not null and coalesce((select 1 from runs b
            where b.organization_id = runs.organization_id and b.id = runs.after and b.ended_at is null and b.tried_since is null
            and b.state <> 'paused'), 0) = 0";
    pub(crate) RUN_WAKE = "update runs set state = 'queued', paused_on = null, attempts = 0, tried_since = null, due_at = $3, updated_at = $3,
        code = null, reason = null where organization_id = $1 and paused_on = $2 and state = 'paused'";
    pub(crate) OPENINGS_RISE = "insert into connection_openings (organization_id, connection, openings) values ($1, $2, 1)
        on conflict (organization_id, connection) do update set openings = connection_openings.openings + 1";
    // Writes the row as it is: nobody else writes it then until the transaction is over.
    pub(crate) OPENINGS_HOLD = "insert into connection_openings (organization_id, connection, openings) values ($1, $2, 0)
        on conflict (organization_id, connection) do update set openings = connection_openings.openings returning openings";
    pub(crate) RUN_RECOVER = "update runs set state = 'queued', doubt = 1, lease_by = null, lease_until = null
        where state = 'running' and lease_until < $1";
    // The state stands outside as well: there PostgreSQL asks for it again when somebody else was quicker.
    pub(crate) RUN_REPLAY = concat!("update runs set state = 'queued', attempts = 0, tried_since = null, ended_at = null, code = null, reason = null,
        due_at = $8, updated_at = $8 where state in ('failed', 'cancelled')
        and (organization_id, id) in (select organization_id, id from runs where ", filtered!(), "
            and ($7 = '' or id = $7) and state in ('failed', 'cancelled') order by id limit $9) returning id");
    pub(crate) RUN_CANCEL = "update runs set state = 'cancelled', ended_at = $3, updated_at = $3, paused_on = null, code = null, reason = null
        where organization_id = $1 and id = $2 and state in ('queued', 'paused')";
    pub(crate) RUN_COUNTS = "select state, count(*) as many from runs where organization_id = $1 and application = $2 and environment = $3
        group by state order by state";
    pub(crate) RUN_STEP_INSERT = "insert into run_steps (organization_id, run, id, action, attempt, outcome, doubt, request, reply, status,
        message, at, duration) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    pub(crate) RUN_STEP_LIST = "select id, action, attempt, outcome, doubt, request, reply, status, message, at, duration from run_steps
        where organization_id = $1 and run = $2 order by id limit $3";
    // Up to one run, and not so many of them: of two that prune at once the second would forget other runs than those whose steps it forgot.
    pub(crate) RUN_PRUNE_UNTIL = "select ended_at, organization_id, id from (select ended_at, organization_id, id from runs
        where ended_at is not null and ended_at < $1 order by ended_at, organization_id, id limit $2) old
        order by ended_at desc, organization_id desc, id desc limit 1";
    // `ended_at <= $1` says nothing more, but without statistics PostgreSQL takes a third of all runs for what the other finds.
    pub(crate) RUN_STEPS_PRUNE = "delete from run_steps where (organization_id, run) in (select organization_id, id from runs
        where ended_at is not null and ended_at <= $1 and (ended_at, organization_id, id) <= ($1, $2, $3))";
    pub(crate) RUN_PRUNE = "delete from runs
        where ended_at is not null and ended_at <= $1 and (ended_at, organization_id, id) <= ($1, $2, $3)";
    pub(crate) RUN_STEPS_END = "delete from run_steps where organization_id = $1 and run in
        (select id from runs where organization_id = $1 and application = $2)";
    pub(crate) RUNS_END = "delete from runs where organization_id = $1 and application = $2";
}

/// What a workflow does for one event of one record, or a schedule for one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub organization_id: String,
    pub id: String,
    /// what may delay each other
    pub queue: String,
    pub application: String,
    pub environment: String,
    /// what it is of: `workflow:push`, `schedule:nightly`
    pub component: String,
    /// link name of the workflow; empty where it is of something else
    pub workflow: String,
    /// of the component
    pub workflow_version: i64,
    /// link name; empty without a record
    pub form: String,
    /// id of the record; empty where none set it off
    pub record: String,
    pub event: RecordEvent,
    pub record_version: i64,
    /// JSON: the record as it was at the event, and before it; or the tick
    pub data: String,
    /// id of the member who made the event, or empty for the public
    pub actor: String,
    pub state: RunState,
    /// JSON: name of an action that is done → what came of it
    pub results: String,
    /// tries of the action that is not done yet
    pub attempts: i64,
    /// whether nobody knows if the last request of that action was sent
    pub doubt: bool,
    /// since when that action has been failing
    pub tried_since: Option<Timestamp>,
    pub due_at: Timestamp,
    pub behind: Option<String>,
    pub after: Option<String>,
    /// link name of the connection for which it is paused
    pub paused_on: Option<String>,
    /// why it waits, is paused or has failed: a code, and a sentence
    pub code: Option<String>,
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Run {
    fn read(row: &Row) -> Result<Self> {
        let (event, state) = (row.text("event")?, row.text("state")?);
        let corrupt =
            |column: &str, word: &str| StoreError::corrupt("runs", column, format!("{word:?} is not known"));
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            queue: row.text("queue")?,
            application: row.text("application")?,
            environment: row.text("environment")?,
            component: row.text("component")?,
            workflow: row.text("workflow")?,
            workflow_version: row.int("workflow_version")?,
            form: row.text("form")?,
            record: row.text("record")?,
            event: RecordEvent::parse(&event).ok_or_else(|| corrupt("event", &event))?,
            record_version: row.int("record_version")?,
            data: row.text("data")?,
            actor: row.text("actor")?,
            state: RunState::parse(&state).ok_or_else(|| corrupt("state", &state))?,
            results: row.text("results")?,
            attempts: row.int("attempts")?,
            doubt: row.flag("doubt")?,
            tried_since: row.opt_time("tried_since")?,
            due_at: row.time("due_at")?,
            behind: row.opt_text("behind")?,
            after: row.opt_text("after")?,
            paused_on: row.opt_text("paused_on")?,
            code: row.opt_text("code")?,
            reason: row.opt_text("reason")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            ended_at: row.opt_time("ended_at")?,
        })
    }
}

/// Why a run does not go on just now.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    pub code: &'a str,
    /// a sentence
    pub reason: &'a str,
}

/// How far a run came.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// JSON
    pub results: &'a str,
    /// tries of the action that is not done yet
    pub attempts: i64,
    pub doubt: bool,
    /// whose lease it is
    pub node: &'a str,
}

/// One try of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStep {
    pub id: String,
    pub action: String,
    pub attempt: i64,
    /// `done`, `skipped`, `found`, `retried`, `paused`, `failed`
    pub outcome: String,
    /// whether an earlier request of this action may have had its effect, and nobody can tell
    pub doubt: bool,
    /// JSON: what was sent, without the credential
    pub request: Option<String>,
    /// JSON: what came back
    pub reply: Option<String>,
    pub status: Option<i64>,
    /// what went wrong
    pub message: Option<String>,
    pub at: Timestamp,
    /// microseconds
    pub duration: i64,
}

impl RunStep {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            action: row.text("action")?,
            attempt: row.int("attempt")?,
            outcome: row.text("outcome")?,
            doubt: row.flag("doubt")?,
            request: row.opt_text("request")?,
            reply: row.opt_text("reply")?,
            status: row.opt_int("status")?,
            message: row.opt_text("message")?,
            at: row.time("at")?,
            duration: row.int("duration")?,
        })
    }
}

/// Which runs are meant. What is empty is not asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunFilter<'a> {
    pub application: &'a str,
    pub environment: &'a str,
    /// `workflow:push`
    pub component: &'a str,
    pub state: &'a str,
    pub record: &'a str,
}

impl<'a> RunFilter<'a> {
    fn values<const N: usize>(&self, organization: &'a str, rest: [Value<'a>; N]) -> Vec<Value<'a>> {
        let filter: [Value<'a>; 6] = [
            organization.into(),
            self.application.into(),
            self.environment.into(),
            self.component.into(),
            self.state.into(),
            self.record.into(),
        ];
        filter.into_iter().chain(rest).collect()
    }
}

impl Store {
    pub async fn run(&self, organization: &str, id: &str) -> Result<Option<Run>> {
        let values: [Value<'_>; 2] = [organization.into(), id.into()];
        self.db.query_opt(&RUN_GET, &values).await?.as_ref().map(Run::read).transpose()
    }

    /// The runs before `before`, the latest first.
    pub async fn runs(
        &self,
        organization: &str,
        filter: RunFilter<'_>,
        before: &str,
        limit: i64,
    ) -> Result<Vec<Run>> {
        let values = filter.values(organization, [before.into(), limit.into()]);
        let statement = match filter {
            RunFilter { record, .. } if !record.is_empty() => &RUN_LIST_OF_RECORD,
            RunFilter { application: "", .. } => &RUN_LIST,
            // What no record sets off is little among many.
            RunFilter { component, .. } if !component.is_empty() && !component.starts_with("workflow:") => {
                &RUN_LIST_OF_COMPONENT
            }
            RunFilter { state: "", .. } => &RUN_LIST_OF_APPLICATION,
            _ => &RUN_LIST_OF_STATE,
        };
        self.db.query(statement, &values).await?.iter().map(Run::read).collect()
    }

    /// How many runs of an application are in which state.
    pub async fn run_counts(
        &self,
        organization: &str,
        application: &str,
        environment: &str,
    ) -> Result<Vec<(String, i64)>> {
        let values: [Value<'_>; 3] = [organization.into(), application.into(), environment.into()];
        let rows = self.db.query(&RUN_COUNTS, &values).await?;
        rows.iter().map(|row| Ok((row.text("state")?, row.int("many")?))).collect()
    }

    /// The queues of every organization in which something waits that nothing holds back, and when the first of it is due; the longest due
    /// first, so that none is left out for ever when there are more than `limit`.
    pub async fn due_queues(&self, limit: i64) -> Result<Vec<(String, Timestamp)>> {
        let rows = self.db.query(&RUN_QUEUES, &[limit.into()]).await?;
        rows.iter().map(|row| Ok((row.text("queue")?, row.time("due_at")?))).collect()
    }

    /// The tries of a run, in their order.
    pub async fn run_steps(&self, organization: &str, run: &str, limit: i64) -> Result<Vec<RunStep>> {
        let values: [Value<'_>; 3] = [organization.into(), run.into(), limit.into()];
        self.db.query(&RUN_STEP_LIST, &values).await?.iter().map(RunStep::read).collect()
    }
}

impl Tx {
    /// Makes a run at the time at which it is due; it is queued, whatever `run.state` says, and nothing of it is done.
    pub async fn insert_run(&mut self, run: &Run) -> Result<()> {
        let values: [Value<'_>; 17] = [
            (&run.organization_id).into(),
            (&run.id).into(),
            (&run.queue).into(),
            (&run.application).into(),
            (&run.environment).into(),
            (&run.workflow).into(),
            run.workflow_version.into(),
            (&run.form).into(),
            (&run.record).into(),
            run.event.as_str().into(),
            run.record_version.into(),
            (&run.data).into(),
            (&run.actor).into(),
            run.due_at.into(),
            (&run.behind).into(),
            (&run.after).into(),
            (&run.component).into(),
        ];
        self.execute(&RUN_INSERT, &values).await.map(drop)
    }

    /// The latest run of a workflow for a record that is not over.
    pub async fn run_before(
        &mut self,
        organization: &str,
        record: &str,
        workflow: &str,
    ) -> Result<Option<String>> {
        let values: [Value<'_>; 3] = [organization.into(), record.into(), workflow.into()];
        self.query_opt(&RUN_BEFORE, &values).await?.map(|row| row.text("id")).transpose()
    }

    /// The runs of a component in an environment that are not over and that no record set off, the latest first.
    pub async fn open_runs(
        &mut self,
        organization: &str,
        application: &str,
        environment: &str,
        component: &str,
        limit: i64,
    ) -> Result<Vec<String>> {
        let values: [Value<'_>; 5] =
            [organization.into(), application.into(), environment.into(), component.into(), limit.into()];
        self.query(&RUNS_OPEN, &values).await?.iter().map(|row| row.text("id")).collect()
    }

    /// Takes at most `limit` due runs of a queue for a node, under a lease. One try more is counted for each.
    pub async fn claim_runs(
        &mut self,
        queue: &str,
        node: &str,
        now: Timestamp,
        until: Timestamp,
        limit: i64,
    ) -> Result<Vec<Run>> {
        let values: [Value<'_>; 5] = [queue.into(), now.into(), limit.into(), node.into(), until.into()];
        let mut runs: Vec<Run> =
            self.query(&RUN_CLAIM, &values).await?.iter().map(Run::read).collect::<Result<_>>()?;
        runs.sort_by(|a, b| (a.due_at, &a.id).cmp(&(b.due_at, &b.id)));
        Ok(runs)
    }

    /// Keeps what one more action made, and the lease. False when the lease is no longer this node's.
    pub async fn keep_run(
        &mut self,
        run: &Run,
        done: Progress<'_>,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 7] = [
            (&run.organization_id).into(),
            (&run.id).into(),
            done.results.into(),
            done.attempts.into(),
            until.into(),
            now.into(),
            done.node.into(),
        ];
        Ok(self.execute(&RUN_KEEP, &values).await? == 1)
    }

    /// The record that the run goes on with.
    pub async fn set_run_data(&mut self, run: &Run, data: &str) -> Result<()> {
        let values: [Value<'_>; 3] = [(&run.organization_id).into(), (&run.id).into(), data.into()];
        self.execute(&RUN_DATA, &values).await.map(drop)
    }

    /// Ends a run, and sets free what waited for it. False when the lease is no longer this node's.
    pub async fn end_run(
        &mut self,
        run: &Run,
        state: RunState,
        done: Progress<'_>,
        why: Option<Why<'_>>,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 8] = [
            (&run.organization_id).into(),
            (&run.id).into(),
            state.as_str().into(),
            done.results.into(),
            why.map(|why| why.code).into(),
            why.map(|why| why.reason).into(),
            now.into(),
            done.node.into(),
        ];
        // Only when it is ours is it over: whoever has the lease now frees them in his turn.
        let Some(ended) = self.query_opt(&RUN_END, &values).await? else { return Ok(false) };
        if ended.flag("waits_behind")? {
            self.free_behind(&run.organization_id, &run.id).await?;
        }
        if ended.flag("waits_after")? {
            self.free_after(&run.organization_id, &run.id).await?;
        }
        Ok(true)
    }

    /// Lets a run be tried again later; what waited `after` it goes on. False when the lease is no longer this node's.
    pub async fn retry_run(
        &mut self,
        run: &Run,
        done: Progress<'_>,
        since: Option<Timestamp>,
        due_at: Timestamp,
        why: Why<'_>,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 11] = [
            (&run.organization_id).into(),
            (&run.id).into(),
            done.results.into(),
            done.attempts.into(),
            done.doubt.into(),
            since.into(),
            due_at.into(),
            why.code.into(),
            why.reason.into(),
            now.into(),
            done.node.into(),
        ];
        let kept = self.execute(&RUN_LATER, &values).await? == 1;
        if kept {
            self.free_after(&run.organization_id, &run.id).await?;
        }
        Ok(kept)
    }

    /// Lets a run wait for a person; what waited `after` it goes on. False when the lease is no longer this node's.
    pub async fn pause_run(
        &mut self,
        run: &Run,
        done: Progress<'_>,
        connection: &str,
        why: Why<'_>,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 10] = [
            (&run.organization_id).into(),
            (&run.id).into(),
            done.results.into(),
            done.attempts.into(),
            done.doubt.into(),
            connection.into(),
            why.code.into(),
            why.reason.into(),
            now.into(),
            done.node.into(),
        ];
        let kept = self.execute(&RUN_PAUSE, &values).await? == 1;
        if kept {
            self.free_after(&run.organization_id, &run.id).await?;
        }
        Ok(kept)
    }

    /// What waited for it to be over goes on.
    async fn free_behind(&mut self, organization: &str, run: &str) -> Result<()> {
        self.execute(&RUN_FREE_BEHIND, &[organization.into(), run.into()]).await.map(drop)
    }

    /// What waited for it to be over, or to wait itself, goes on.
    async fn free_after(&mut self, organization: &str, run: &str) -> Result<()> {
        self.execute(&RUN_FREE_AFTER, &[organization.into(), run.into()]).await.map(drop)
    }

    /// Sets free what waits for runs that are over; how many there were.
    pub async fn mend_runs(&mut self) -> Result<u64> {
        Ok(self.execute(&RUN_MEND_BEHIND, &[]).await? + self.execute(&RUN_MEND_AFTER, &[]).await?)
    }

    /// Calls pass through a connection that did not before. Whoever holds its row waits until this transaction is over, and the other way
    /// round; where several are taken, each takes them in their order.
    pub async fn open_connection(&mut self, organization: &str, connection: &str) -> Result<()> {
        self.execute(&OPENINGS_RISE, &[organization.into(), connection.into()]).await.map(drop)
    }

    /// How often that has happened, which does not change until this transaction is over.
    pub async fn hold_openings(&mut self, organization: &str, connection: &str) -> Result<i64> {
        let row = self.query_opt(&OPENINGS_HOLD, &[organization.into(), connection.into()]).await?;
        row.map_or(Ok(0), |row| row.int("openings"))
    }

    /// The runs that are paused for a connection go on; how many there are.
    pub async fn wake_runs(&mut self, organization: &str, connection: &str, now: Timestamp) -> Result<u64> {
        let values: [Value<'_>; 3] = [organization.into(), connection.into(), now.into()];
        self.execute(&RUN_WAKE, &values).await
    }

    /// Takes back the runs of nodes that did not live to write down how they ended, in doubt; how many there were.
    pub async fn recover_runs(&mut self, now: Timestamp) -> Result<u64> {
        self.execute(&RUN_RECOVER, &[now.into()]).await
    }

    /// Queues what has failed or was cancelled once more, where it stopped and as much in doubt as it was: the run `id`, or with an
    /// empty one all that the filter means, `limit` at most. Their ids.
    pub async fn replay_runs(
        &mut self,
        organization: &str,
        filter: RunFilter<'_>,
        id: &str,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<String>> {
        let values = filter.values(organization, [id.into(), now.into(), limit.into()]);
        self.query(&RUN_REPLAY, &values).await?.iter().map(|row| row.text("id")).collect()
    }

    /// Ends a run that waits. False when it does not.
    pub async fn cancel_run(&mut self, organization: &str, id: &str, now: Timestamp) -> Result<bool> {
        let values: [Value<'_>; 3] = [organization.into(), id.into(), now.into()];
        let cancelled = self.execute(&RUN_CANCEL, &values).await? == 1;
        if cancelled {
            self.free_behind(organization, id).await?;
            self.free_after(organization, id).await?;
        }
        Ok(cancelled)
    }

    pub async fn insert_run_step(&mut self, organization: &str, run: &str, step: &RunStep) -> Result<()> {
        let values: [Value<'_>; 13] = [
            organization.into(),
            run.into(),
            (&step.id).into(),
            (&step.action).into(),
            step.attempt.into(),
            (&step.outcome).into(),
            step.doubt.into(),
            (&step.request).into(),
            (&step.reply).into(),
            step.status.into(),
            (&step.message).into(),
            step.at.into(),
            step.duration.into(),
        ];
        self.execute(&RUN_STEP_INSERT, &values).await.map(drop)
    }

    /// Forgets runs that ended before a time, [`PRUNE_AT_ONCE`] at most, with their steps.
    pub async fn prune_runs(&mut self, before: Timestamp) -> Result<u64> {
        let Some(last) = self.query_opt(&RUN_PRUNE_UNTIL, &[before.into(), PRUNE_AT_ONCE.into()]).await?
        else {
            return Ok(0);
        };
        let (ended_at, organization, id) =
            (last.time("ended_at")?, last.text("organization_id")?, last.text("id")?);
        let values: [Value<'_>; 3] = [ended_at.into(), (&organization).into(), (&id).into()];
        self.execute(&RUN_STEPS_PRUNE, &values).await?;
        self.execute(&RUN_PRUNE, &values).await
    }

    /// Deletes every run of an application.
    pub async fn end_runs(&mut self, organization: &str, application: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        self.execute(&RUN_STEPS_END, &values).await?;
        self.execute(&RUNS_END, &values).await.map(drop)
    }
}
