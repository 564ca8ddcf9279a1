//! Records: the submissions of forms, and the values that no two of them may share.
//!
//! | held | race it solves |
//! |---|---|
//! | the record's row, by its version ([`Tx::update_record`]) | two who edit or delete the same record: the later one finds another version |
//! | the key of `record_values` | two who send the same value of a unique field at once: one of them is refused |

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{PRUNE_AT_ONCE, Result, Store};

/// What [`Record::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, application, form, environment, id, data, created_by, created_at, updated_at, version, deleted_at"
    };
}

statements! {
    pub(crate) RECORD_INSERT = "insert into records
        (organization_id, application, form, environment, id, data, created_by, created_at, updated_at, version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)";
    pub(crate) RECORD_GET = concat!("select ", columns!(), " from records
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and id = $5");
    pub(crate) RECORD_LIST = concat!("select ", columns!(), " from records
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and id < $5 and deleted_at is null
        order by id desc limit $6");
    pub(crate) RECORD_LIST_UPWARDS = concat!("select ", columns!(), " from records
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and id > $5 and deleted_at is null
        order by id limit $6");
    pub(crate) RECORD_UPDATE = "update records set data = $6, updated_at = $7, version = version + 1
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and id = $5 and version = $8 and deleted_at is null";
    pub(crate) RECORD_DELETE = "update records set deleted_at = $6, updated_at = $6, version = version + 1
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and id = $5 and version = $7 and deleted_at is null";
    pub(crate) RECORD_PRUNE = "delete from records where (organization_id, application, form, environment, id) in
        (select organization_id, application, form, environment, id from records where deleted_at is not null and deleted_at < $1 limit $2)";
    pub(crate) RECORDS_END = "delete from records where organization_id = $1 and application = $2";
    pub(crate) RECORD_VALUE_PUT = "insert into record_values (organization_id, application, form, environment, field, digest, record)
        values ($1, $2, $3, $4, $5, $6, $7)";
    pub(crate) RECORD_VALUE_GET = "select record from record_values
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and field = $5 and digest = $6";
    pub(crate) RECORD_VALUES_DELETE = "delete from record_values where organization_id = $1 and record = $2";
    pub(crate) RECORD_VALUES_OF_FIELD_DELETE = "delete from record_values
        where organization_id = $1 and application = $2 and form = $3 and environment = $4 and field = $5";
    pub(crate) RECORD_VALUES_END = "delete from record_values where organization_id = $1 and application = $2";
}

/// Where records are kept.
#[derive(Clone, Copy, Debug)]
pub struct Drawer<'a> {
    pub organization: &'a str,
    pub application: &'a str,
    pub form: &'a str,
    pub environment: &'a str,
}

impl<'a> Drawer<'a> {
    pub(crate) fn values<const N: usize>(&self, rest: [Value<'a>; N]) -> Vec<Value<'a>> {
        let place: [Value<'a>; 4] =
            [self.organization.into(), self.application.into(), self.form.into(), self.environment.into()];
        place.into_iter().chain(rest).collect()
    }
}

/// One submission of a form, in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub organization_id: String,
    pub application: String,
    pub form: String,
    pub environment: String,
    pub id: String,
    /// JSON
    pub data: String,
    /// id of a member, or empty for the public
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
    pub deleted_at: Option<Timestamp>,
}

impl Record {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            application: row.text("application")?,
            form: row.text("form")?,
            environment: row.text("environment")?,
            id: row.text("id")?,
            data: row.text("data")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            version: row.int("version")?,
            deleted_at: row.opt_time("deleted_at")?,
        })
    }

    /// Where it is kept.
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
    /// A record, deleted or not.
    pub async fn record(&self, drawer: Drawer<'_>, id: &str) -> Result<Option<Record>> {
        let values = drawer.values([id.into()]);
        self.db.query_opt(&RECORD_GET, &values).await?.as_ref().map(Record::read).transpose()
    }

    /// The records before `before`, the latest first.
    pub async fn records(&self, drawer: Drawer<'_>, before: &str, limit: i64) -> Result<Vec<Record>> {
        let values = drawer.values([before.into(), limit.into()]);
        self.db.query(&RECORD_LIST, &values).await?.iter().map(Record::read).collect()
    }

    /// The records after `after`, the first first.
    pub async fn records_upwards(&self, drawer: Drawer<'_>, after: &str, limit: i64) -> Result<Vec<Record>> {
        let values = drawer.values([after.into(), limit.into()]);
        self.db.query(&RECORD_LIST_UPWARDS, &values).await?.iter().map(Record::read).collect()
    }

    /// The id of the record that has this value in a unique field.
    pub async fn record_with(&self, drawer: Drawer<'_>, field: &str, digest: &str) -> Result<Option<String>> {
        let values = drawer.values([field.into(), digest.into()]);
        self.db.query_opt(&RECORD_VALUE_GET, &values).await?.map(|row| row.text("record")).transpose()
    }
}

impl Tx {
    pub async fn insert_record(&mut self, r: &Record) -> Result<()> {
        let values = r.drawer().values([
            (&r.id).into(),
            (&r.data).into(),
            (&r.created_by).into(),
            r.created_at.into(),
            r.updated_at.into(),
        ]);
        self.execute(&RECORD_INSERT, &values).await.map(drop)
    }

    /// A record as this transaction sees it, deleted or not.
    pub async fn present_record(&mut self, drawer: Drawer<'_>, id: &str) -> Result<Option<Record>> {
        let values = drawer.values([id.into()]);
        self.query_opt(&RECORD_GET, &values).await?.as_ref().map(Record::read).transpose()
    }

    /// The id of the record that has this value in a unique field, as this transaction sees it.
    pub async fn present_record_with(
        &mut self,
        drawer: Drawer<'_>,
        field: &str,
        digest: &str,
    ) -> Result<Option<String>> {
        let values = drawer.values([field.into(), digest.into()]);
        self.query_opt(&RECORD_VALUE_GET, &values).await?.map(|row| row.text("record")).transpose()
    }

    /// `r.version` is the version that was read; false when somebody else was quicker, or it is deleted.
    pub async fn update_record(&mut self, r: &Record) -> Result<bool> {
        let values =
            r.drawer().values([(&r.id).into(), (&r.data).into(), r.updated_at.into(), r.version.into()]);
        Ok(self.execute(&RECORD_UPDATE, &values).await? == 1)
    }

    /// Marks it deleted; what was unique in it is free again, and its files are gone. False as in [`Tx::update_record`].
    pub async fn delete_record(&mut self, r: &Record, now: Timestamp) -> Result<bool> {
        let values = r.drawer().values([(&r.id).into(), now.into(), r.version.into()]);
        if self.execute(&RECORD_DELETE, &values).await? != 1 {
            return Ok(false);
        }
        self.free_record_values(&r.organization_id, &r.id).await?;
        self.delete_files_of(&r.organization_id, &r.id).await?;
        Ok(true)
    }

    /// Says what is unique in a record. [`crate::StoreError::UniqueViolation`] when another record has it.
    pub async fn put_record_value(
        &mut self,
        drawer: Drawer<'_>,
        field: &str,
        digest: &str,
        record: &str,
    ) -> Result<()> {
        let values = drawer.values([field.into(), digest.into(), record.into()]);
        self.execute(&RECORD_VALUE_PUT, &values).await.map(drop)
    }

    /// What was unique in a record is free again.
    pub async fn free_record_values(&mut self, organization: &str, record: &str) -> Result<()> {
        self.execute(&RECORD_VALUES_DELETE, &[organization.into(), record.into()]).await.map(drop)
    }

    /// No value of a field is taken any more, in any record of a form.
    pub async fn free_field_values(&mut self, drawer: Drawer<'_>, field: &str) -> Result<()> {
        self.execute(&RECORD_VALUES_OF_FIELD_DELETE, &drawer.values([field.into()])).await.map(drop)
    }

    /// The records after `after` as this transaction sees them, the first first.
    pub async fn present_records_upwards(
        &mut self,
        drawer: Drawer<'_>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Record>> {
        let values = drawer.values([after.into(), limit.into()]);
        self.query(&RECORD_LIST_UPWARDS, &values).await?.iter().map(Record::read).collect()
    }

    /// Forgets records that were deleted before a time, [`PRUNE_AT_ONCE`] at most.
    pub async fn prune_records(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&RECORD_PRUNE, &[before.into(), PRUNE_AT_ONCE.into()]).await
    }

    /// Deletes every record of an application, and every file in them.
    pub async fn end_records(&mut self, organization: &str, application: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        self.execute(&RECORD_VALUES_END, &values).await?;
        self.end_files(organization, application).await?;
        self.execute(&RECORDS_END, &values).await.map(drop)
    }
}
