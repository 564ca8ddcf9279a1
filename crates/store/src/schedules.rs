//! What runs at times: one row for each component that an environment serves and that has ticks.
//!
//! A tick is taken by moving `next_at` on, on the condition that nobody has: of many nodes that see it come, one does. Its run is made in the
//! same transaction.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store};

macro_rules! columns {
    () => {
        "organization_id, application, environment, component, version, next_at, last_at, last_run, skipped, skipped_at, skipped_why"
    };
}

statements! {
    // What ran before stays, whatever is changed about the component.
    pub(crate) SCHEDULE_PUT = "insert into schedules (organization_id, application, environment, component, version, next_at)
        values ($1, $2, $3, $4, $5, $6) on conflict (organization_id, application, environment, component)
        do update set version = excluded.version, next_at = excluded.next_at";
    pub(crate) SCHEDULES_OF = concat!("select ", columns!(), " from schedules
        where organization_id = $1 and application = $2 and ($3 = '' or component = $3) order by component, environment");
    pub(crate) SCHEDULES_DUE = concat!("select ", columns!(), " from schedules
        where next_at is not null and next_at <= $1 order by next_at, organization_id, application, environment, component limit $2");
    pub(crate) SCHEDULE_FIRST = "select next_at from schedules where next_at is not null order by next_at limit 1";
    pub(crate) SCHEDULE_TAKE = "update schedules set next_at = $7
        where organization_id = $1 and application = $2 and environment = $3 and component = $4 and version = $5 and next_at = $6";
    pub(crate) SCHEDULE_RAN = "update schedules set last_at = $5, last_run = $6
        where organization_id = $1 and application = $2 and environment = $3 and component = $4";
    pub(crate) SCHEDULE_SKIPPED = "update schedules set skipped = skipped + 1, skipped_at = $5, skipped_why = $6
        where organization_id = $1 and application = $2 and environment = $3 and component = $4";
    pub(crate) SCHEDULE_DELETE = "delete from schedules
        where organization_id = $1 and application = $2 and environment = $3 and component = $4";
    pub(crate) SCHEDULES_END = "delete from schedules where organization_id = $1 and application = $2";
}

/// What an environment runs at times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    pub organization_id: String,
    pub application: String,
    pub environment: String,
    /// `schedule:nightly`
    pub component: String,
    /// of the component
    pub version: i64,
    /// `None`: nothing more comes
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

impl Scheduled {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            application: row.text("application")?,
            environment: row.text("environment")?,
            component: row.text("component")?,
            version: row.int("version")?,
            next_at: row.opt_time("next_at")?,
            last_at: row.opt_time("last_at")?,
            last_run: row.opt_text("last_run")?,
            skipped: row.int("skipped")?,
            skipped_at: row.opt_time("skipped_at")?,
            skipped_why: row.opt_text("skipped_why")?,
        })
    }

    fn key(&self) -> [Value<'_>; 4] {
        [
            (&self.organization_id).into(),
            (&self.application).into(),
            (&self.environment).into(),
            (&self.component).into(),
        ]
    }
}

impl Store {
    /// What the environments of an application run at times: of one component, or with an empty one of all.
    pub async fn schedules(
        &self,
        organization: &str,
        application: &str,
        component: &str,
    ) -> Result<Vec<Scheduled>> {
        let values: [Value<'_>; 3] = [organization.into(), application.into(), component.into()];
        self.db.query(&SCHEDULES_OF, &values).await?.iter().map(Scheduled::read).collect()
    }

    /// Whose tick has come, of every organization, the longest due first.
    pub async fn due_schedules(&self, now: Timestamp, limit: i64) -> Result<Vec<Scheduled>> {
        self.db
            .query(&SCHEDULES_DUE, &[now.into(), limit.into()])
            .await?
            .iter()
            .map(Scheduled::read)
            .collect()
    }

    /// When the next tick of all comes.
    pub async fn next_tick(&self) -> Result<Option<Timestamp>> {
        self.db.query_opt(&SCHEDULE_FIRST, &[]).await?.map_or(Ok(None), |row| row.opt_time("next_at"))
    }
}

impl Tx {
    /// Says what an environment runs at times, and when next; what ran and was left out before stays.
    pub async fn put_schedule(&mut self, s: &Scheduled) -> Result<()> {
        let [organization, application, environment, component] = s.key();
        let values = [organization, application, environment, component, s.version.into(), s.next_at.into()];
        self.execute(&SCHEDULE_PUT, &values).await.map(drop)
    }

    /// Takes the tick that is next. False: somebody else did, or the schedule was changed meanwhile.
    pub async fn take_tick(&mut self, s: &Scheduled, next_at: Option<Timestamp>) -> Result<bool> {
        let [organization, application, environment, component] = s.key();
        let values = [
            organization,
            application,
            environment,
            component,
            s.version.into(),
            s.next_at.into(),
            next_at.into(),
        ];
        Ok(self.execute(&SCHEDULE_TAKE, &values).await? == 1)
    }

    /// A tick ran.
    pub async fn tick_ran(&mut self, s: &Scheduled, tick: Timestamp, run: &str) -> Result<()> {
        let [organization, application, environment, component] = s.key();
        let values = [organization, application, environment, component, tick.into(), run.into()];
        self.execute(&SCHEDULE_RAN, &values).await.map(drop)
    }

    /// A tick was left out.
    pub async fn tick_skipped(&mut self, s: &Scheduled, tick: Timestamp, why: &str) -> Result<()> {
        let [organization, application, environment, component] = s.key();
        let values = [organization, application, environment, component, tick.into(), why.into()];
        self.execute(&SCHEDULE_SKIPPED, &values).await.map(drop)
    }

    /// An environment no longer runs it.
    pub async fn delete_schedule(
        &mut self,
        organization: &str,
        application: &str,
        environment: &str,
        component: &str,
    ) -> Result<()> {
        let values: [Value<'_>; 4] =
            [organization.into(), application.into(), environment.into(), component.into()];
        self.execute(&SCHEDULE_DELETE, &values).await.map(drop)
    }

    /// Nothing of an application runs at times any more.
    pub async fn end_schedules(&mut self, organization: &str, application: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        self.execute(&SCHEDULES_END, &values).await.map(drop)
    }
}
