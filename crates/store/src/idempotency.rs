//! Answers under an `Idempotency-Key`, per API key. What an answer says is recorded in the transaction of its effect.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store};

statements! {
    pub(crate) IDEMPOTENCY_GET = "select organization_id, key_id, idempotency_key, request_digest, status, content_type, answer, created_at
        from idempotency where organization_id = $1 and key_id = $2 and idempotency_key = $3";
    pub(crate) IDEMPOTENCY_INSERT = "insert into idempotency
        (organization_id, key_id, idempotency_key, request_digest, status, content_type, answer, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    pub(crate) IDEMPOTENCY_ANSWER = "update idempotency set status = $4, content_type = $5, answer = $6
        where organization_id = $1 and key_id = $2 and idempotency_key = $3 and status is null";
    pub(crate) IDEMPOTENCY_FORGET = "delete from idempotency
        where organization_id = $1 and key_id = $2 and idempotency_key = $3 and status is null";
    pub(crate) IDEMPOTENCY_EXPIRE = "delete from idempotency
        where organization_id = $1 and key_id = $2 and idempotency_key = $3 and created_at < $4";
    pub(crate) IDEMPOTENCY_PRUNE = "delete from idempotency where (organization_id, key_id, idempotency_key) in
        (select organization_id, key_id, idempotency_key from idempotency where created_at < $1 limit $2)";
}

/// What was answered to the first request under a key.
#[derive(Clone)]
pub struct Answer {
    pub organization_id: String,
    /// id of the API key
    pub key_id: String,
    pub idempotency_key: String,
    /// SHA-256 of method, path and body
    pub request_digest: Vec<u8>,
    /// `None`: not known yet
    pub status: Option<i64>,
    pub content_type: Option<String>,
    /// sealed
    pub answer: Option<Vec<u8>>,
    pub created_at: Timestamp,
}

impl Answer {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            key_id: row.text("key_id")?,
            idempotency_key: row.text("idempotency_key")?,
            request_digest: row.bytes("request_digest")?,
            status: row.opt_int("status")?,
            content_type: row.opt_text("content_type")?,
            answer: row.opt_bytes("answer")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Store {
    pub async fn answer(
        &self,
        organization: &str,
        key_id: &str,
        idempotency_key: &str,
    ) -> Result<Option<Answer>> {
        let values = [organization.into(), key_id.into(), idempotency_key.into()];
        self.db.query_opt(&IDEMPOTENCY_GET, &values).await?.as_ref().map(Answer::read).transpose()
    }
}

impl Tx {
    /// [`crate::StoreError::UniqueViolation`] when there is a request under this key already.
    pub async fn insert_answer(&mut self, a: &Answer) -> Result<()> {
        let values: [Value<'_>; 8] = [
            (&a.organization_id).into(),
            (&a.key_id).into(),
            (&a.idempotency_key).into(),
            a.request_digest.as_slice().into(),
            a.status.into(),
            a.content_type.as_deref().into(),
            a.answer.as_deref().into(),
            a.created_at.into(),
        ];
        self.execute(&IDEMPOTENCY_INSERT, &values).await.map(drop)
    }

    /// Records the answer of a request whose beginning was recorded. False: it has one already.
    pub async fn record_answer(&mut self, a: &Answer) -> Result<bool> {
        let values: [Value<'_>; 6] = [
            (&a.organization_id).into(),
            (&a.key_id).into(),
            (&a.idempotency_key).into(),
            a.status.into(),
            a.content_type.as_deref().into(),
            a.answer.as_deref().into(),
        ];
        Ok(self.execute(&IDEMPOTENCY_ANSWER, &values).await? == 1)
    }

    /// Forgets a request that began and had no effect.
    pub async fn forget_answer(
        &mut self,
        organization: &str,
        key_id: &str,
        idempotency_key: &str,
    ) -> Result<()> {
        self.execute(&IDEMPOTENCY_FORGET, &[organization.into(), key_id.into(), idempotency_key.into()])
            .await
            .map(drop)
    }

    /// Forgets the answer under this key if it was recorded before `before`.
    pub async fn expire_answer(
        &mut self,
        organization: &str,
        key_id: &str,
        idempotency_key: &str,
        before: Timestamp,
    ) -> Result<()> {
        let values = [organization.into(), key_id.into(), idempotency_key.into(), before.into()];
        self.execute(&IDEMPOTENCY_EXPIRE, &values).await.map(drop)
    }

    /// Forgets answers recorded before `before`, at most [`crate::PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_answers(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&IDEMPOTENCY_PRUNE, &[before.into(), crate::PRUNE_AT_ONCE.into()]).await
    }
}
