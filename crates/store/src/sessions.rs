//! Browser sessions, and how often something was tried that is slowed down.

use jackfield_core::Timestamp;

use crate::db::{Row, Tx, Value, statements};
use crate::{PRUNE_AT_ONCE, Result, Store};

macro_rules! columns {
    () => {
        "organization_id, id, member_id, created_at, last_seen_at, expires_at, address, agent"
    };
}

statements! {
    pub(crate) SESSION_INSERT = "insert into sessions
        (organization_id, id, member_id, digest, created_at, last_seen_at, expires_at, address, agent)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    pub(crate) SESSION_BY_DIGEST = concat!("select ", columns!(), " from sessions where digest = $1");
    pub(crate) SESSION_LIST = concat!("select ", columns!(), " from sessions
        where organization_id = $1 and member_id = $2 and id > $3 and expires_at > $4 and last_seen_at > $5 order by id limit $6");
    pub(crate) SESSION_SEEN = "update sessions set last_seen_at = $3 where organization_id = $1 and id = $2 and last_seen_at < $3";
    pub(crate) SESSION_ROTATE = "update sessions set digest = $3 where organization_id = $1 and id = $2";
    pub(crate) SESSION_DELETE = "delete from sessions where organization_id = $1 and member_id = $2 and id = $3";
    pub(crate) SESSIONS_DELETE = "delete from sessions where organization_id = $1 and member_id = $2 and id <> $3";
    pub(crate) SESSIONS_PRUNE = "delete from sessions where (organization_id, id) in
        (select organization_id, id from sessions where expires_at < $1 or last_seen_at < $2 limit $3)";

    pub(crate) THROTTLE_GET = "select count, last_at from throttles where subject = $1";
    pub(crate) THROTTLE_COUNT = "insert into throttles (subject, count, last_at) values ($1, 1, $2) on conflict (subject)
        do update set count = case when throttles.last_at < $3 then 1 else throttles.count + 1 end, last_at = excluded.last_at
        returning count, last_at";
    pub(crate) THROTTLE_CLAIM = "insert into throttles (subject, count, last_at) values ($1, 1, $2) on conflict (subject)
        do update set count = throttles.count + 1, last_at = excluded.last_at where throttles.last_at <= $3";
    pub(crate) THROTTLE_DELETE = "delete from throttles where subject = $1";
    pub(crate) THROTTLES_PRUNE = "delete from throttles where subject in
        (select subject from throttles where last_at < $1 limit $2)";
}

/// A browser session, without its token: only the token's digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub organization_id: String,
    pub id: String,
    pub member_id: String,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    /// when it ends whatever happens
    pub expires_at: Timestamp,
    /// where it began
    pub address: String,
    /// what the browser called itself
    pub agent: String,
}

impl Session {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            member_id: row.text("member_id")?,
            created_at: row.time("created_at")?,
            last_seen_at: row.time("last_seen_at")?,
            expires_at: row.time("expires_at")?,
            address: row.text("address")?,
            agent: row.text("agent")?,
        })
    }
}

/// How often something was tried without a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub count: i64,
    pub last_at: Timestamp,
}

impl Throttle {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self { count: row.int("count")?, last_at: row.time("last_at")? })
    }
}

impl Store {
    pub async fn session(&self, digest: &[u8]) -> Result<Option<Session>> {
        self.db.query_opt(&SESSION_BY_DIGEST, &[digest.into()]).await?.as_ref().map(Session::read).transpose()
    }

    /// A member's sessions that end after `now` and were seen after `idle_since`, by id after `after`.
    pub async fn sessions(
        &self,
        organization: &str,
        member: &str,
        after: &str,
        (now, idle_since): (Timestamp, Timestamp),
        limit: i64,
    ) -> Result<Vec<Session>> {
        let values: [Value<'_>; 6] =
            [organization.into(), member.into(), after.into(), now.into(), idle_since.into(), limit.into()];
        self.db.query(&SESSION_LIST, &values).await?.iter().map(Session::read).collect()
    }

    pub async fn throttle(&self, subject: &str) -> Result<Option<Throttle>> {
        self.db.query_opt(&THROTTLE_GET, &[subject.into()]).await?.as_ref().map(Throttle::read).transpose()
    }
}

impl Tx {
    pub async fn insert_session(&mut self, s: &Session, digest: &[u8]) -> Result<()> {
        let values: [Value<'_>; 9] = [
            (&s.organization_id).into(),
            (&s.id).into(),
            (&s.member_id).into(),
            digest.into(),
            s.created_at.into(),
            s.last_seen_at.into(),
            s.expires_at.into(),
            (&s.address).into(),
            (&s.agent).into(),
        ];
        self.execute(&SESSION_INSERT, &values).await.map(drop)
    }

    pub async fn session_seen(&mut self, organization: &str, id: &str, at: Timestamp) -> Result<()> {
        self.execute(&SESSION_SEEN, &[organization.into(), id.into(), at.into()]).await.map(drop)
    }

    /// Gives a session a new token. False when it has ended.
    pub async fn rotate_session(&mut self, organization: &str, id: &str, digest: &[u8]) -> Result<bool> {
        Ok(self.execute(&SESSION_ROTATE, &[organization.into(), id.into(), digest.into()]).await? == 1)
    }

    /// Ends a session of a member. False when there was none.
    pub async fn delete_session(&mut self, organization: &str, member: &str, id: &str) -> Result<bool> {
        let values = [organization.into(), member.into(), id.into()];
        Ok(self.execute(&SESSION_DELETE, &values).await? == 1)
    }

    /// Ends every session of a member but the one called `except`; tells how many.
    pub async fn delete_sessions(&mut self, organization: &str, member: &str, except: &str) -> Result<u64> {
        self.execute(&SESSIONS_DELETE, &[organization.into(), member.into(), except.into()]).await
    }

    /// Forgets sessions that ended before `now` or were last seen before `idle_since`, at most [`PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_sessions(&mut self, now: Timestamp, idle_since: Timestamp) -> Result<u64> {
        let values: [Value<'_>; 3] = [now.into(), idle_since.into(), PRUNE_AT_ONCE.into()];
        self.execute(&SESSIONS_PRUNE, &values).await
    }

    /// Counts one more; after a pause since `forgotten_before` it begins anew.
    pub async fn count_throttle(
        &mut self,
        subject: &str,
        now: Timestamp,
        forgotten_before: Timestamp,
    ) -> Result<Throttle> {
        let values: [Value<'_>; 3] = [subject.into(), now.into(), forgotten_before.into()];
        let row = self.query_opt(&THROTTLE_COUNT, &values).await?;
        // An upsert that returns has exactly one row.
        row.as_ref().map_or(Ok(Throttle { count: 1, last_at: now }), Throttle::read)
    }

    /// Counts one more, unless one was counted since `before`. Tells whether it was counted.
    pub async fn claim_throttle(&mut self, subject: &str, now: Timestamp, before: Timestamp) -> Result<bool> {
        Ok(self.execute(&THROTTLE_CLAIM, &[subject.into(), now.into(), before.into()]).await? == 1)
    }

    pub async fn delete_throttle(&mut self, subject: &str) -> Result<()> {
        self.execute(&THROTTLE_DELETE, &[subject.into()]).await.map(drop)
    }

    /// Forgets what was last tried before `before`, at most [`PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_throttles(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&THROTTLES_PRUNE, &[before.into(), PRUNE_AT_ONCE.into()]).await
    }
}
