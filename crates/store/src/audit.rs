//! The audit trail: a chain of rows for each organization; and the history of connections and authorizations.
//!
//! `audit_heads` is taken first in a transaction ([`Tx::next_audit`]), which makes those who append to one chain wait for each other.

use jackfield_core::{EventKind, Timestamp};

use crate::db::{Row, Tx, Value, statements};
use crate::{PRUNE_AT_ONCE, Result, Store, StoreError};

macro_rules! audit_columns {
    () => {
        "organization_id, seq, at, actor_kind, actor, action, subject, connection, detail, request_id, address, hash"
    };
}

statements! {
    pub(crate) AUDIT_HEAD_TAKE = "insert into audit_heads (organization_id, seq, hash, seal) values ($1, 1, $2, $2)
        on conflict (organization_id) do update set seq = audit_heads.seq + 1 returning seq, hash";
    pub(crate) AUDIT_HEAD_SET = "update audit_heads set hash = $3, seal = $4 where organization_id = $1 and seq = $2";
    pub(crate) AUDIT_HEAD_GET = "select seq, hash, seal from audit_heads where organization_id = $1";
    pub(crate) AUDIT_INSERT = concat!("insert into audit (", audit_columns!(), ") values
        ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    pub(crate) AUDIT_LIST = concat!("select ", audit_columns!(), " from audit where organization_id = $1 and seq < $2
        and ($3 = '' or action = $3 or substr(action, 1, length($3) + 1) = $3 || '.') and ($4 = '' or actor = $4)
        and ($5 = '' or subject = $5) and ($6 = '' or connection = $6) and at >= $7 and at < $8 order by seq desc limit $9");
    pub(crate) AUDIT_CHAIN = concat!("select ", audit_columns!(), " from audit where organization_id = $1 and seq > $2 order by seq limit $3");
    pub(crate) ORGANIZATION_IDS = "select id from organizations where id > $1 order by id limit $2";

    pub(crate) EVENT_INSERT = "insert into events (organization_id, id, at, kind, connection, authorization_id, actor, detail)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    pub(crate) EVENT_LIST = "select organization_id, id, at, kind, connection, authorization_id, actor, detail from events
        where organization_id = $1 and id < $2 and ($4 = '' or authorization_id = $4) and ($3 = '' or connection = $3 or authorization_id in
        (select authorization_id from holdings where organization_id = $1 and connection = $3)) order by id desc limit $5";
    pub(crate) EVENT_PRUNE = "delete from events where (organization_id, id) in
        (select organization_id, id from events where at < $1 limit $2)";
}

/// A row of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub organization_id: String,
    /// from 1 upwards, without a gap
    pub seq: i64,
    pub at: Timestamp,
    /// `member`, `application`, `operator` or `jackfield`
    pub actor_kind: String,
    /// id of the member or application; empty for the others
    pub actor: String,
    /// the word of an [`EventKind`]
    pub action: String,
    /// id or link name of what it happened to
    pub subject: String,
    /// link name of the connection concerned, or empty
    pub connection: String,
    /// JSON object; never a secret
    pub detail: String,
    pub request_id: String,
    /// where the request came from, or empty
    pub address: String,
    pub hash: Vec<u8>,
}

impl AuditRow {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            seq: row.int("seq")?,
            at: row.time("at")?,
            actor_kind: row.text("actor_kind")?,
            actor: row.text("actor")?,
            action: row.text("action")?,
            subject: row.text("subject")?,
            connection: row.text("connection")?,
            detail: row.text("detail")?,
            request_id: row.text("request_id")?,
            address: row.text("address")?,
            hash: row.bytes("hash")?,
        })
    }
}

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    pub seq: i64,
    pub hash: Vec<u8>,
    /// sealed number and hash
    pub seal: Vec<u8>,
}

/// Which rows of the audit trail are wanted; what is empty counts for any.
#[derive(Clone, Copy, Debug)]
pub struct AuditFilter<'a> {
    /// a word, or the part before its dot
    pub action: &'a str,
    pub actor: &'a str,
    pub subject: &'a str,
    pub connection: &'a str,
    pub from: Timestamp,
    /// not included
    pub until: Timestamp,
}

/// Something that happened to a connection or an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    pub organization_id: String,
    pub id: String,
    pub at: Timestamp,
    pub kind: EventKind,
    /// link name, or empty
    pub connection: String,
    pub authorization_id: String,
    /// id of the member or application; empty where Jackfield did it by itself
    pub actor: String,
    /// JSON object; never a secret
    pub detail: String,
}

impl EventRow {
    fn read(row: &Row) -> Result<Self> {
        let kind = row.text("kind")?;
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            at: row.time("at")?,
            kind: EventKind::parse(&kind)
                .ok_or_else(|| StoreError::corrupt("events", "kind", format!("{kind:?} is no event")))?,
            connection: row.text("connection")?,
            authorization_id: row.text("authorization_id")?,
            actor: row.text("actor")?,
            detail: row.text("detail")?,
        })
    }
}

impl Store {
    /// Newest first, those before the number `before`.
    pub async fn audit(
        &self,
        organization: &str,
        filter: &AuditFilter<'_>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<AuditRow>> {
        let values = [
            organization.into(),
            before.into(),
            filter.action.into(),
            filter.actor.into(),
            filter.subject.into(),
            filter.connection.into(),
            filter.from.into(),
            filter.until.into(),
            limit.into(),
        ];
        self.db.query(&AUDIT_LIST, &values).await?.iter().map(AuditRow::read).collect()
    }

    /// The chain in its order, from the row after `after`.
    pub async fn audit_chain(&self, organization: &str, after: i64, limit: i64) -> Result<Vec<AuditRow>> {
        let values = [organization.into(), after.into(), limit.into()];
        self.db.query(&AUDIT_CHAIN, &values).await?.iter().map(AuditRow::read).collect()
    }

    /// The end of a chain; `None` where nothing was ever audited.
    pub async fn audit_head(&self, organization: &str) -> Result<Option<AuditHead>> {
        let row = self.db.query_opt(&AUDIT_HEAD_GET, &[organization.into()]).await?;
        row.map(|row| {
            Ok(AuditHead { seq: row.int("seq")?, hash: row.bytes("hash")?, seal: row.bytes("seal")? })
        })
        .transpose()
    }

    /// Ids of organizations after `after`: for what the operator does to all of them.
    pub async fn organization_ids(&self, after: &str, limit: i64) -> Result<Vec<String>> {
        self.db
            .query(&ORGANIZATION_IDS, &[after.into(), limit.into()])
            .await?
            .iter()
            .map(|row| row.text("id"))
            .collect()
    }

    /// Newest first, those before the id `before`. An empty `connection` or `authorization` counts for any.
    pub async fn events(
        &self,
        organization: &str,
        connection: &str,
        authorization: &str,
        before: &str,
        limit: i64,
    ) -> Result<Vec<EventRow>> {
        let values =
            [organization.into(), before.into(), connection.into(), authorization.into(), limit.into()];
        self.db.query(&EVENT_LIST, &values).await?.iter().map(EventRow::read).collect()
    }
}

impl Tx {
    /// The number for the next row of the chain, and the hash of the last one (empty for the first). Others who append to this chain wait
    /// until this transaction ends.
    pub async fn next_audit(&mut self, organization: &str) -> Result<(i64, Vec<u8>)> {
        let empty: &[u8] = &[];
        let row = self.query_opt(&AUDIT_HEAD_TAKE, &[organization.into(), empty.into()]).await?;
        let row =
            row.ok_or_else(|| StoreError::corrupt("audit_heads", "seq", "nothing was returned".to_owned()))?;
        Ok((row.int("seq")?, row.bytes("hash")?))
    }

    /// Appends the row whose number [`Tx::next_audit`] gave, and moves the end of the chain to it.
    pub async fn append_audit(&mut self, a: &AuditRow, seal: &[u8]) -> Result<()> {
        let values: [Value<'_>; 12] = [
            (&a.organization_id).into(),
            a.seq.into(),
            a.at.into(),
            (&a.actor_kind).into(),
            (&a.actor).into(),
            (&a.action).into(),
            (&a.subject).into(),
            (&a.connection).into(),
            (&a.detail).into(),
            (&a.request_id).into(),
            (&a.address).into(),
            a.hash.as_slice().into(),
        ];
        self.execute(&AUDIT_INSERT, &values).await?;
        let values = [(&a.organization_id).into(), a.seq.into(), a.hash.as_slice().into(), seal.into()];
        self.execute(&AUDIT_HEAD_SET, &values).await.map(drop)
    }

    pub async fn insert_event(&mut self, e: &EventRow) -> Result<()> {
        let values: [Value<'_>; 8] = [
            (&e.organization_id).into(),
            (&e.id).into(),
            e.at.into(),
            e.kind.as_str().into(),
            (&e.connection).into(),
            (&e.authorization_id).into(),
            (&e.actor).into(),
            (&e.detail).into(),
        ];
        self.execute(&EVENT_INSERT, &values).await.map(drop)
    }

    /// Deletes events before a moment; how many.
    pub async fn prune_events(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&EVENT_PRUNE, &[before.into(), PRUNE_AT_ONCE.into()]).await
    }
}
