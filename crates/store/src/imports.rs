//! Imports: files of records that are read in, a batch of rows at a time. The batch and how far the import came are one transaction, so that
//! no row is taken in twice, however often it is begun anew.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::records::Drawer;
use crate::{PRUNE_AT_ONCE, Result, Store};

/// What [`Import::read`] reads: all but the file.
macro_rules! columns {
    () => {
        "organization_id, id, application, form, environment, match_by, sets_off, created_by, state, row_count, rows_done, rows_created,
        rows_changed, rows_refused, faults, reason, created_at, updated_at, ended_at"
    };
}

statements! {
    pub(crate) IMPORT_INSERT = "insert into imports (organization_id, application, form, environment, id, content, match_by, sets_off,
        created_by, state, row_count, rows_done, rows_created, rows_changed, rows_refused, faults, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'running', $10, 0, 0, 0, 0, '[]', $11, $11)";
    pub(crate) IMPORT_GET = concat!("select ", columns!(), " from imports
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and id = $5");
    pub(crate) IMPORT_LIST = concat!("select ", columns!(), " from imports
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and id < $5 order by id desc limit $6");
    // The one that has waited longest: of several large ones each goes on.
    pub(crate) IMPORT_CLAIM = concat!("with taken as materialized (select organization_id, id from imports
            where state = 'running' and (lease_until is null or lease_until < $1) order by updated_at limit 1 for update skip locked)
        update imports set lease_by = $2, lease_until = $3, updated_at = $1
        where (organization_id, id) in (select organization_id, id from taken)
        returning content, ", columns!());
    pub(crate) IMPORT_KEEP = "update imports set rows_done = $3, rows_created = $4, rows_changed = $5, rows_refused = $6, faults = $7,
        lease_until = $8, updated_at = $9 where organization_id = $1 and id = $2 and state = 'running' and lease_by = $10";
    pub(crate) IMPORT_RELEASE = "update imports set lease_by = null, lease_until = null, updated_at = $3
        where organization_id = $1 and id = $2 and state = 'running' and lease_by = $4";
    pub(crate) IMPORT_END = "update imports set state = $3, reason = $4, content = '', lease_by = null, lease_until = null, updated_at = $5,
        ended_at = $5 where organization_id = $1 and id = $2 and state = 'running'";
    pub(crate) IMPORT_RECOVER = "update imports set lease_by = null, lease_until = null where state = 'running'";
    pub(crate) IMPORT_PRUNE = "delete from imports where (organization_id, id) in
        (select organization_id, id from imports where ended_at is not null and ended_at < $1 limit $2)";
    pub(crate) IMPORTS_END = "delete from imports where organization_id = $1 and application = $2";
}

/// A file of records that is read in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub organization_id: String,
    pub id: String,
    pub application: String,
    pub form: String,
    pub environment: String,
    /// the unique field (or `id`) by which rows find the records that they change, or empty: every row is a new record
    pub match_by: String,
    /// whether its records set off workflows
    pub sets_off: bool,
    /// id of a member, or empty for an application
    pub created_by: String,
    /// `running`, `done`, `failed`, `cancelled`
    pub state: String,
    /// rows that the file has
    pub rows: i64,
    pub progress: ImportProgress,
    /// why it has failed
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// How far an import came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// rows that are worked off
    pub done: i64,
    /// of them: those that made a record
    pub created: i64,
    /// those that changed one
    pub changed: i64,
    /// those that were refused
    pub refused: i64,
    /// JSON: what was wrong with those, the first of them
    pub faults: String,
}

impl Import {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            application: row.text("application")?,
            form: row.text("form")?,
            environment: row.text("environment")?,
            match_by: row.text("match_by")?,
            sets_off: row.flag("sets_off")?,
            created_by: row.text("created_by")?,
            state: row.text("state")?,
            rows: row.int("row_count")?,
            progress: ImportProgress {
                done: row.int("rows_done")?,
                created: row.int("rows_created")?,
                changed: row.int("rows_changed")?,
                refused: row.int("rows_refused")?,
                faults: row.text("faults")?,
            },
            reason: row.opt_text("reason")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            ended_at: row.opt_time("ended_at")?,
        })
    }

    /// Where its records go.
    pub fn drawer(&self) -> Drawer<'_> {
        Drawer {
            organization: &self.organization_id,
            application: &self.application,
            form: &self.form,
            environment: &self.environment,
        }
    }
}

impl Store {
    pub async fn import(&self, drawer: Drawer<'_>, id: &str) -> Result<Option<Import>> {
        self.db
            .query_opt(&IMPORT_GET, &drawer.values([id.into()]))
            .await?
            .as_ref()
            .map(Import::read)
            .transpose()
    }

    /// The imports before `before`, the latest first.
    pub async fn imports(&self, drawer: Drawer<'_>, before: &str, limit: i64) -> Result<Vec<Import>> {
        let values = drawer.values([before.into(), limit.into()]);
        self.db.query(&IMPORT_LIST, &values).await?.iter().map(Import::read).collect()
    }
}

impl Tx {
    /// Begins an import; it is running and nothing of it is done, whatever `import` says.
    pub async fn insert_import(&mut self, import: &Import, content: &str) -> Result<()> {
        let values = import.drawer().values([
            (&import.id).into(),
            content.into(),
            (&import.match_by).into(),
            import.sets_off.into(),
            (&import.created_by).into(),
            import.rows.into(),
            import.created_at.into(),
        ]);
        self.execute(&IMPORT_INSERT, &values).await.map(drop)
    }

    /// Takes an import that nobody works on, under a lease: with its file.
    pub async fn claim_import(
        &mut self,
        node: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<(Import, String)>> {
        let row = self.query_opt(&IMPORT_CLAIM, &[now.into(), node.into(), until.into()]).await?;
        row.map(|row| Ok((Import::read(&row)?, row.text("content")?))).transpose()
    }

    /// Keeps how far it came, and the lease. False when it is no longer this node's, or over.
    pub async fn keep_import(
        &mut self,
        import: &Import,
        node: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let progress = &import.progress;
        let values: [Value<'_>; 10] = [
            (&import.organization_id).into(),
            (&import.id).into(),
            progress.done.into(),
            progress.created.into(),
            progress.changed.into(),
            progress.refused.into(),
            (&progress.faults).into(),
            until.into(),
            now.into(),
            node.into(),
        ];
        Ok(self.execute(&IMPORT_KEEP, &values).await? == 1)
    }

    /// Leaves it for others to go on with.
    pub async fn release_import(&mut self, import: &Import, node: &str, now: Timestamp) -> Result<()> {
        let values: [Value<'_>; 4] =
            [(&import.organization_id).into(), (&import.id).into(), now.into(), node.into()];
        self.execute(&IMPORT_RELEASE, &values).await.map(drop)
    }

    /// Ends it, and forgets its file. False when it is over.
    pub async fn end_import(
        &mut self,
        import: &Import,
        state: &str,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 5] =
            [(&import.organization_id).into(), (&import.id).into(), state.into(), reason.into(), now.into()];
        Ok(self.execute(&IMPORT_END, &values).await? == 1)
    }

    /// Nobody works on any import: whoever did is dead.
    pub async fn recover_imports(&mut self) -> Result<u64> {
        self.execute(&IMPORT_RECOVER, &[]).await
    }

    /// Forgets imports that ended before a time, [`PRUNE_AT_ONCE`] at most.
    pub async fn prune_imports(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&IMPORT_PRUNE, &[before.into(), PRUNE_AT_ONCE.into()]).await
    }

    /// Deletes every import of an application.
    pub async fn end_imports(&mut self, organization: &str, application: &str) -> Result<()> {
        self.execute(&IMPORTS_END, &[organization.into(), application.into()]).await.map(drop)
    }
}
