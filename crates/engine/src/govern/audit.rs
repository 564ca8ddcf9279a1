//! What happened, who did it, and the proof that nobody has altered the record.
//!
//! A change says what it is by an [`Event`] ([`crate::work::Work::record`]); the transaction that makes the change writes it down. Audited events
//! become rows of the organization's chain: each row's hash covers the row and the hash before it, and the end of the chain is sealed with
//! the installation's key, so that an altered, removed or reordered row shows, and so does a chain whose end was cut off or that was
//! written anew by somebody who has the database but not the key.

use std::collections::BTreeMap;

use jackfield_core::id::Prefix;
use jackfield_core::{Action, Error, EventKind, Principal, Resource, Result, Timestamp, permit};
use jackfield_store::{AuditFilter, AuditRow, EventRow, Tx};
use jackfield_vault::{Context, Keyring, token};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::clock::new_id;
use crate::page::{Page, PageQuery, no_cursor};
use crate::{Engine, Op};

/// Rows that are read at a time while a chain is checked.
const STEP: i64 = 1000;
/// After every row and every time.
const LAST: i64 = i64::MAX;

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Member(String),
    Application(String),
    /// by the command line, on the machine itself
    Operator,
    /// what the service does by itself
    Jackfield,
}

impl Actor {
    fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Member(id) => ("member", id),
            Self::Application(id) => ("application", id),
            Self::Operator => ("operator", ""),
            Self::Jackfield => ("jackfield", ""),
        }
    }
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        match principal {
            Principal::Member { id, .. } => Self::Member(id.clone()),
            Principal::Application { id, .. } => Self::Application(id.clone()),
        }
    }
}

/// Something that happened. Its details are names, ids and settings, never a secret.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    kind: EventKind,
    organization: String,
    actor: Actor,
    at: Timestamp,
    request_id: String,
    address: String,
    subject: String,
    connection: String,
    authorization: String,
    detail: Map<String, Value>,
}

impl Event {
    /// What Jackfield or the operator does without anybody's request.
    pub fn by(actor: Actor, kind: EventKind, organization: &str, at: Timestamp) -> Self {
        Self {
            kind,
            organization: organization.to_owned(),
            actor,
            at,
            request_id: String::new(),
            address: String::new(),
            subject: String::new(),
            connection: String::new(),
            authorization: String::new(),
            detail: Map::new(),
        }
    }

    /// What it happened to: an id or a link name.
    #[must_use]
    pub fn to(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// It happened to a connection.
    #[must_use]
    pub fn on_connection(self, link_name: &str) -> Self {
        let mut event = self.to(link_name);
        link_name.clone_into(&mut event.connection);
        event
    }

    /// It happened to an authorization, in a connection.
    #[must_use]
    pub fn on_authorization(self, connection: &str, id: &str) -> Self {
        let mut event = self.on_connection(connection).to(id);
        id.clone_into(&mut event.authorization);
        event
    }

    /// It happened to an authorization, whichever connections hold it.
    #[must_use]
    pub fn of_authorization(mut self, id: &str) -> Self {
        id.clone_into(&mut self.authorization);
        self.to(id)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// Under which request and from where, for what happens without an [`Op`].
    #[must_use]
    pub fn from(mut self, request_id: &str, address: &str) -> Self {
        request_id.clone_into(&mut self.request_id);
        address.clone_into(&mut self.address);
        self
    }
}

impl Event {
    /// The connection through which calls may pass now that did not before: organization, link name, when.
    pub fn opens(&self) -> Option<(&str, &str, Timestamp)> {
        let opens = matches!(
            self.kind,
            EventKind::AuthorizationConnected
                | EventKind::AuthorizationReused
                | EventKind::AuthorizationReplaced
                | EventKind::AuthorizationSetUp
                | EventKind::ConnectionEnabled
                | EventKind::ConnectionMoved
                | EventKind::ConnectionSwitched
                | EventKind::ConnectionUpdated
                | EventKind::PrimaryChosen
        );
        (opens && !self.connection.is_empty()).then_some((&self.organization, &self.connection, self.at))
    }

    /// The authorization that serves again though nobody did anything: organization, id, when. It opens every connection that holds it. An
    /// ordinary refresh is none, or a run that is refused with each new token would never come to wait.
    pub fn recovers(&self) -> Option<(&str, &str, Timestamp)> {
        (self.kind == EventKind::AuthorizationRecovered).then_some((
            &self.organization,
            &self.authorization,
            self.at,
        ))
    }
}

impl Op {
    /// The caller did something.
    pub(crate) fn event(&self, kind: EventKind) -> Event {
        Event::by(Actor::from(&self.principal), kind, &self.organization, self.now)
            .from(&self.request_id, &self.address)
    }
}

/// A row of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// from 1 upwards, without a gap
    pub seq: i64,
    pub at: Timestamp,
    pub actor: ActorView,
    /// what happened: `connection.created`, `member.invited`…
    pub action: String,
    /// id or link name of what it happened to
    pub subject: String,
    /// link name of the connection concerned
    pub connection: Option<String>,
    /// names and settings, never a secret
    #[schema(value_type = Object)]
    pub detail: Value,
    pub request_id: Option<String>,
    /// where the request came from
    pub address: Option<String>,
    /// SHA-256 over the row before and this one, hexadecimal
    pub hash: String,
}

/// Who did something.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActorView {
    /// `member`, `application`, `operator` (by the command line) or `jackfield` (by itself)
    pub kind: String,
    /// id of the member or application
    pub id: Option<String>,
}

/// Which rows are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// `connection.created`, or `connection` for all that happened to connections
    pub action: Option<String>,
    /// id of a member or application
    pub actor: Option<String>,
    /// id or link name of what it happened to
    pub subject: Option<String>,
    /// link name of a connection: all that happened to it and its authorizations
    pub connection: Option<String>,
    /// from this time on (RFC 3339)
    pub from: Option<Timestamp>,
    /// up to this time, not included
    pub until: Option<Timestamp>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

/// What a check of a chain found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainView {
    /// id of the organization
    pub organization: String,
    /// rows that were checked
    pub rows: i64,
    pub intact: bool,
    /// the first thing that is wrong
    pub fault: Option<String>,
}

/// An event in the history of a connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    pub id: String,
    pub at: Timestamp,
    /// `authorization.refreshed`, `connection.disabled`…
    pub kind: String,
    /// id of the authorization concerned
    pub authorization: Option<String>,
    /// id of the member or application; null where Jackfield did it by itself
    pub actor: Option<String>,
    #[schema(value_type = Object)]
    pub detail: Value,
}

/// What a row's hash covers: everything in it, in a form that has no two readings.
fn hash(previous: &[u8], row: &AuditRow) -> [u8; 32] {
    let whole = json!([
        row.organization_id,
        row.seq,
        row.at.micros(),
        row.actor_kind,
        row.actor,
        row.action,
        row.subject,
        row.connection,
        row.detail,
        row.request_id,
        row.address,
    ]);
    let mut bytes = previous.to_vec();
    bytes.extend_from_slice(whole.to_string().as_bytes());
    token::digest(&bytes)
}

fn seal_context(organization: &str) -> Context<'_> {
    Context { organization, table: "audit_heads", record: organization, field: "seal" }
}

fn seal_text(seq: i64, hash: &[u8]) -> Vec<u8> {
    [seq.to_be_bytes().as_slice(), hash].concat()
}

/// Writes events down in the transaction of their change. Of each chain the end is taken here, at last, so that nobody waits for it long.
pub(crate) async fn write(tx: &mut Tx, keyring: &Keyring, events: &[Event]) -> Result<()> {
    for event in events {
        let detail = Value::Object(event.detail.clone()).to_string();
        let (actor_kind, actor) = event.actor.words();
        if event.kind.is_history() {
            let row = EventRow {
                organization_id: event.organization.clone(),
                id: new_id(Prefix::Event, event.at),
                at: event.at,
                kind: event.kind,
                connection: event.connection.clone(),
                authorization_id: event.authorization.clone(),
                actor: actor.to_owned(),
                detail: detail.clone(),
            };
            tx.insert_event(&row).await?;
        }
        if !event.kind.is_audited() {
            continue;
        }
        let (seq, previous) = tx.next_audit(&event.organization).await?;
        let mut row = AuditRow {
            organization_id: event.organization.clone(),
            seq,
            at: event.at,
            actor_kind: actor_kind.to_owned(),
            actor: actor.to_owned(),
            action: event.kind.as_str().to_owned(),
            subject: event.subject.clone(),
            connection: event.connection.clone(),
            detail,
            request_id: event.request_id.clone(),
            address: event.address.clone(),
            hash: Vec::new(),
        };
        row.hash = hash(&previous, &row).to_vec();
        let sealed = keyring
            .seal(&seal_context(&event.organization), &seal_text(seq, &row.hash))
            .map_err(Error::internal)?;
        tx.append_audit(&row, &sealed).await?;
    }
    Ok(())
}

fn view(row: AuditRow) -> AuditView {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    AuditView {
        seq: row.seq,
        at: row.at,
        actor: ActorView { kind: row.actor_kind, id: some(row.actor) },
        action: row.action,
        subject: row.subject,
        connection: some(row.connection),
        detail: serde_json::from_str(&row.detail).unwrap_or(Value::Null),
        request_id: some(row.request_id),
        address: some(row.address),
        hash: row.hash.iter().fold(String::new(), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

impl Engine {
    /// The audit trail, newest first.
    pub async fn list_audit(&self, op: &Op, query: &AuditQuery) -> Result<Page<AuditView>> {
        permit(&op.principal, Action::Read, &Resource::Audit)?;
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, before) = (page.limit()?, page.after()?);
        let before = if before.is_empty() { LAST } else { before.parse().map_err(|_| no_cursor())? };
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (action, actor, subject, connection) =
            (text(&query.action), text(&query.actor), text(&query.subject), text(&query.connection));
        let filter = AuditFilter {
            action: &action,
            actor: &actor,
            subject: &subject,
            connection: &connection,
            from: query.from.unwrap_or(Timestamp::from_micros(0)),
            until: query.until.unwrap_or(Timestamp::from_micros(LAST)),
        };
        let rows = self.store().audit(&op.organization, &filter, before, limit.rows()).await?;
        Ok(limit.page(rows, |row| row.seq.to_string(), view))
    }

    /// Checks the caller's own chain.
    pub async fn verify_own_audit(&self, op: &Op) -> Result<ChainView> {
        permit(&op.principal, Action::Read, &Resource::Audit)?;
        self.verify_audit(&op.organization).await
    }

    /// Checks the chain of every organization: for the operator, on the machine itself.
    pub async fn verify_all_audits(&self) -> Result<Vec<ChainView>> {
        let mut chains = Vec::new();
        let mut after = String::new();
        loop {
            let ids = self.store().organization_ids(&after, STEP).await?;
            let Some(last) = ids.last() else { return Ok(chains) };
            after.clone_from(last);
            for id in &ids {
                chains.push(self.verify_audit(id).await?);
            }
        }
    }

    async fn verify_audit(&self, organization: &str) -> Result<ChainView> {
        // The end first: rows that are appended while we read are beyond it and do not count.
        let head = self.store().audit_head(organization).await?;
        let end = head.as_ref().map_or(0, |head| head.seq);
        let mut previous = Vec::new();
        let mut rows = 0;
        let mut fault = None;
        'chain: while rows < end {
            let step = self.store().audit_chain(organization, rows, STEP.min(end - rows)).await?;
            if step.is_empty() {
                fault = Some(format!("Row {} and those after it are missing.", rows + 1));
                break;
            }
            for row in step {
                if row.seq != rows + 1 {
                    fault = Some(format!("Row {} is missing.", rows + 1));
                    break 'chain;
                }
                if hash(&previous, &row).as_slice() != row.hash {
                    fault = Some(format!("Row {} was altered, or the row before it.", row.seq));
                    break 'chain;
                }
                previous = row.hash;
                rows += 1;
            }
        }
        if let (Some(head), None) = (&head, &fault) {
            let sealed = self
                .keyring()
                .open(&seal_context(organization), &head.seal)
                .is_ok_and(|text| *text.expose_secret() == seal_text(head.seq, &previous));
            if head.hash != previous || !sealed {
                fault = Some("The end of the chain is not the one that Jackfield sealed.".to_owned());
            }
        }
        if head.is_none()
            && fault.is_none()
            && !self.store().audit_chain(organization, 0, 1).await?.is_empty()
        {
            fault = Some("The end of the chain is missing.".to_owned());
        }
        Ok(ChainView { organization: organization.to_owned(), rows, intact: fault.is_none(), fault })
    }

    /// What happened to a connection and its authorizations in the last month, newest first (product N11).
    pub async fn connection_events(
        &self,
        op: &Op,
        link_name: &str,
        query: &PageQuery,
    ) -> Result<Page<EventView>> {
        let connection = self.find_connection(op, link_name).await?;
        permit(&op.principal, Action::See, &self.connection_resource(op, &connection).await?.as_resource())?;
        op.member()?;
        let (limit, before) = (query.limit()?, query.after()?);
        // After every id there is.
        let before = if before.is_empty() { "~".to_owned() } else { before };
        let rows = self.store().events(&op.organization, link_name, "", &before, limit.rows()).await?;
        let seen = self.visible_authorizations(op, &connection, &rows).await?;
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let page = limit.page(
            rows,
            |row| row.id.clone(),
            // What happened to another's account is not for everybody.
            |row| {
                let hidden = seen.get(&row.authorization_id) == Some(&false);
                (!hidden).then(|| EventView {
                    id: row.id,
                    at: row.at,
                    kind: row.kind.as_str().to_owned(),
                    authorization: some(row.authorization_id),
                    actor: some(row.actor),
                    detail: serde_json::from_str(&row.detail).unwrap_or(Value::Null),
                })
            },
        );
        Ok(Page { items: page.items.into_iter().flatten().collect(), next_cursor: page.next_cursor })
    }

    async fn visible_authorizations(
        &self,
        op: &Op,
        connection: &jackfield_store::Connection,
        rows: &[EventRow],
    ) -> Result<BTreeMap<String, bool>> {
        let mut seen = BTreeMap::new();
        for row in rows {
            if row.authorization_id.is_empty() || seen.contains_key(&row.authorization_id) {
                continue;
            }
            let owner = self.store().authorization(&op.organization, &row.authorization_id).await?;
            let owner = owner.map_or_else(|| row.actor.clone(), |row| row.owner);
            let resource = Resource::Authorization { level: connection.level, owner: &owner };
            let visible = permit(&op.principal, Action::See, &resource).is_ok();
            seen.insert(row.authorization_id.clone(), visible);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> AuditRow {
        AuditRow {
            organization_id: "org_1".to_owned(),
            seq: 1,
            at: Timestamp::from_micros(5),
            actor_kind: "member".to_owned(),
            actor: "mem_1".to_owned(),
            action: "connection.created".to_owned(),
            subject: "acme".to_owned(),
            connection: "acme".to_owned(),
            detail: "{}".to_owned(),
            request_id: "req_1".to_owned(),
            address: "127.0.0.1".to_owned(),
            hash: Vec::new(),
        }
    }

    #[test]
    fn every_part_of_a_row_counts() {
        let plain = hash(b"", &row());
        let changes: [fn(&mut AuditRow); 11] = [
            |r| r.organization_id.push('x'),
            |r| r.seq += 1,
            |r| r.at = Timestamp::from_micros(6),
            |r| r.actor_kind.push('x'),
            |r| r.actor.push('x'),
            |r| r.action.push('x'),
            |r| r.subject.push('x'),
            |r| r.connection.push('x'),
            |r| r.detail = "[]".to_owned(),
            |r| r.request_id.push('x'),
            |r| r.address.push('x'),
        ];
        for change in changes {
            let mut other = row();
            change(&mut other);
            assert_ne!(hash(b"", &other), plain);
        }
        assert_ne!(hash(b"before", &row()), plain);
        // What moves from one part to the next is a change too.
        let (mut a, mut b) = (row(), row());
        (a.subject, a.connection) = ("ab".to_owned(), "c".to_owned());
        (b.subject, b.connection) = ("a".to_owned(), "bc".to_owned());
        assert_ne!(hash(b"", &a), hash(b"", &b));
    }
}
