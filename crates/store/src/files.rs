//! The bytes of files in records. They are sealed; what stands about a file stands in its record, in whose transactions it comes and goes.

use jackfield_core::Timestamp;

use crate::db::{Tx, Value, statements};
use crate::{Result, Store};

statements! {
    pub(crate) FILE_INSERT = "insert into record_files (organization_id, id, application, record, field, content, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)";
    pub(crate) FILE_GET = "select content from record_files where organization_id = $1 and id = $2 and record = $3";
    pub(crate) FILE_DELETE = "delete from record_files where organization_id = $1 and id = $2 and record = $3";
    pub(crate) FILES_OF_RECORD_DELETE = "delete from record_files where organization_id = $1 and record = $2";
    pub(crate) FILES_END = "delete from record_files where organization_id = $1 and application = $2";
}

/// A file in a record.
#[derive(Clone, Copy, Debug)]
pub struct RecordFile<'a> {
    pub organization: &'a str,
    pub id: &'a str,
    pub application: &'a str,
    /// id of the record
    pub record: &'a str,
    /// name of the field
    pub field: &'a str,
    /// the bytes, sealed
    pub content: &'a [u8],
    pub created_at: Timestamp,
}

impl Store {
    /// The sealed bytes of a file of this record.
    pub async fn record_file(&self, organization: &str, record: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let values: [Value<'_>; 3] = [organization.into(), id.into(), record.into()];
        self.db.query_opt(&FILE_GET, &values).await?.map(|row| row.bytes("content")).transpose()
    }
}

impl Tx {
    pub async fn insert_record_file(&mut self, file: RecordFile<'_>) -> Result<()> {
        let values: [Value<'_>; 7] = [
            file.organization.into(),
            file.id.into(),
            file.application.into(),
            file.record.into(),
            file.field.into(),
            file.content.into(),
            file.created_at.into(),
        ];
        self.execute(&FILE_INSERT, &values).await.map(drop)
    }

    /// Another stands in its place, or none.
    pub async fn delete_record_file(&mut self, organization: &str, record: &str, id: &str) -> Result<bool> {
        let values: [Value<'_>; 3] = [organization.into(), id.into(), record.into()];
        Ok(self.execute(&FILE_DELETE, &values).await? == 1)
    }

    /// With a record its files go.
    pub(crate) async fn delete_files_of(&mut self, organization: &str, record: &str) -> Result<()> {
        self.execute(&FILES_OF_RECORD_DELETE, &[organization.into(), record.into()]).await.map(drop)
    }

    /// With an application the files of its records go.
    pub(crate) async fn end_files(&mut self, organization: &str, application: &str) -> Result<()> {
        self.execute(&FILES_END, &[organization.into(), application.into()]).await.map(drop)
    }
}
