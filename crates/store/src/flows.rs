//! Flows. Whoever moves a flow out of `pending` by compare-and-swap holds the only right to end it.

use jackfield_core::flow::FlowState;
use jackfield_core::{Environment, Timestamp};

use crate::connections::json;
use crate::db::{Row, Tx, Value, statements};
use crate::{Result, Store, StoreError};

/// What [`Flow::read`] reads.
macro_rules! columns {
    () => {
        "organization_id, id, connection, member, replaces, account_name, environments, scopes, state, start_digest, state_digest,
        browser_digest, secrets, created_at, expires_at, authorization_id, error_code, error_detail, warnings, poll_at,
        poll_interval"
    };
}

statements! {
    pub(crate) FLOW_INSERT = "insert into flows
        (organization_id, id, connection, member, replaces, account_name, environments, scopes, state, start_digest, state_digest, secrets,
         created_at, expires_at, warnings, poll_at, poll_interval)
        values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11, $12, $13, '[]', $14, $15)";
    pub(crate) FLOW_BY_ID = concat!("select ", columns!(), " from flows where id = $1");
    pub(crate) FLOW_BY_STATE = concat!("select ", columns!(), " from flows where state_digest = $1");
    pub(crate) FLOW_CLAIM_BROWSER = "update flows set browser_digest = $3
        where organization_id = $1 and id = $2 and browser_digest is null and state = 'pending'";
    pub(crate) FLOW_REQUEST_TOKEN = "update flows set state_digest = $3, secrets = $4
        where organization_id = $1 and id = $2 and state = 'pending'";
    pub(crate) FLOW_SECRETS = "update flows set secrets = $3 where organization_id = $1 and id = $2";
    pub(crate) FLOW_MOVE = "update flows set state = $4 where organization_id = $1 and id = $2 and state = $3";
    pub(crate) FLOW_END = "update flows set state = $4, finished_at = $5, authorization_id = $6, error_code = $7, error_detail = $8,
        warnings = $9 where organization_id = $1 and id = $2 and state = $3";
    pub(crate) FLOW_POLL_DUE = concat!("select ", columns!(), " from flows where poll_at <= $1 and state = 'pending' order by poll_at limit $2");
    pub(crate) FLOW_POLL_MOVE = "update flows set poll_at = $4, poll_interval = $5
        where organization_id = $1 and id = $2 and poll_at = $3 and state = 'pending'";
    pub(crate) FLOW_POLL_ACCEPTED = "update flows set state = 'exchanging', expires_at = $4
        where organization_id = $1 and id = $2 and poll_at = $3 and state = 'pending'";
    pub(crate) FLOW_CANCEL_OF_MEMBER = "update flows set state = 'cancelled', finished_at = $3
        where organization_id = $1 and member = $2 and state in ('pending', 'exchanging')";
    pub(crate) FLOW_PRUNE = "delete from flows where (organization_id, id) in
        (select organization_id, id from flows where created_at < $1 limit $2)";
}

/// One attempt to authorize by OAuth.
#[derive(Clone)]
pub struct Flow {
    pub organization_id: String,
    pub id: String,
    /// link name of the connection
    pub connection: String,
    /// id of the member who started it
    pub member: String,
    /// the authorization that a reauthorization is to replace
    pub replaces: Option<String>,
    /// the account name he asked for
    pub account_name: Option<String>,
    pub environments: Vec<Environment>,
    pub scopes: Vec<String>,
    pub state: FlowState,
    /// SHA-256 of the token in the start link
    pub start_digest: Vec<u8>,
    /// SHA-256 of the OAuth2 state, or of the OAuth1 request token
    pub state_digest: Vec<u8>,
    /// SHA-256 of the flow's cookie, once a browser has opened the start link
    pub browser_digest: Option<Vec<u8>>,
    /// sealed
    pub secrets: Vec<u8>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub authorization_id: Option<String>,
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
    /// JSON values of the shape `{"code": …}`
    pub warnings: Vec<serde_json::Value>,
    /// for a device code: when the service is asked next, and how many seconds lie between two questions
    pub poll: Option<Poll>,
}

/// When a service is asked whether a person has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    pub at: Timestamp,
    /// in seconds
    pub interval: i64,
}

impl Flow {
    fn read(row: &Row) -> Result<Self> {
        let state = row.text("state")?;
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            connection: row.text("connection")?,
            member: row.text("member")?,
            replaces: row.opt_text("replaces")?,
            account_name: row.opt_text("account_name")?,
            environments: row.json("environments")?,
            scopes: row.json("scopes")?,
            state: FlowState::parse(&state)
                .ok_or_else(|| StoreError::corrupt("flows", "state", format!("{state:?} is no state")))?,
            start_digest: row.bytes("start_digest")?,
            state_digest: row.bytes("state_digest")?,
            browser_digest: row.opt_bytes("browser_digest")?,
            secrets: row.bytes("secrets")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            authorization_id: row.opt_text("authorization_id")?,
            error_code: row.opt_text("error_code")?,
            error_detail: row.opt_text("error_detail")?,
            warnings: row.json("warnings")?,
            poll: match (row.opt_time("poll_at")?, row.opt_int("poll_interval")?) {
                (Some(at), Some(interval)) => Some(Poll { at, interval }),
                _ => None,
            },
        })
    }
}

/// How a flow ended.
#[derive(Clone, Debug, Default)]
pub struct FlowOutcome {
    pub authorization_id: Option<String>,
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
    pub warnings: Vec<serde_json::Value>,
}

impl Store {
    /// By its id alone: the browser that opens a start link brings nothing else.
    pub async fn flow(&self, id: &str) -> Result<Option<Flow>> {
        self.db.query_opt(&FLOW_BY_ID, &[id.into()]).await?.as_ref().map(Flow::read).transpose()
    }

    pub async fn flow_by_state(&self, digest: &[u8]) -> Result<Option<Flow>> {
        self.db.query_opt(&FLOW_BY_STATE, &[digest.into()]).await?.as_ref().map(Flow::read).transpose()
    }

    /// Pending flows whose service is to be asked, those that have waited longest first.
    pub async fn flows_to_ask(&self, now: Timestamp, limit: i64) -> Result<Vec<Flow>> {
        self.db.query(&FLOW_POLL_DUE, &[now.into(), limit.into()]).await?.iter().map(Flow::read).collect()
    }
}

impl Tx {
    pub async fn insert_flow(&mut self, f: &Flow) -> Result<()> {
        let (environments, scopes) = (json(&f.environments)?, json(&f.scopes)?);
        let values: [Value<'_>; 15] = [
            (&f.organization_id).into(),
            (&f.id).into(),
            (&f.connection).into(),
            (&f.member).into(),
            f.replaces.as_deref().into(),
            f.account_name.as_deref().into(),
            (&environments).into(),
            (&scopes).into(),
            f.start_digest.as_slice().into(),
            f.state_digest.as_slice().into(),
            f.secrets.as_slice().into(),
            f.created_at.into(),
            f.expires_at.into(),
            f.poll.map(|poll| poll.at).into(),
            f.poll.map(|poll| poll.interval).into(),
        ];
        self.execute(&FLOW_INSERT, &values).await.map(drop)
    }

    /// The first browser owns the flow. False: another one was first, or the flow is over.
    pub async fn claim_flow_for_browser(
        &mut self,
        organization: &str,
        id: &str,
        browser: &[u8],
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), browser.into()];
        Ok(self.execute(&FLOW_CLAIM_BROWSER, &values).await? == 1)
    }

    /// OAuth1: the flow is found by its request token from now on.
    pub async fn set_request_token(
        &mut self,
        organization: &str,
        id: &str,
        digest: &[u8],
        secrets: &[u8],
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), digest.into(), secrets.into()];
        Ok(self.execute(&FLOW_REQUEST_TOKEN, &values).await? == 1)
    }

    /// Puts other sealed values in the place of a flow's.
    pub async fn put_flow_secrets(&mut self, organization: &str, id: &str, secrets: &[u8]) -> Result<bool> {
        Ok(self.execute(&FLOW_SECRETS, &[organization.into(), id.into(), secrets.into()]).await? == 1)
    }

    /// False: it is no longer in `from`.
    pub async fn move_flow(
        &mut self,
        organization: &str,
        id: &str,
        from: FlowState,
        to: FlowState,
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), from.as_str().into(), to.as_str().into()];
        Ok(self.execute(&FLOW_MOVE, &values).await? == 1)
    }

    /// Sets when the service is asked next. False: the flow is over, or somebody else has set another time than `seen`.
    pub async fn move_poll(
        &mut self,
        organization: &str,
        id: &str,
        seen: Timestamp,
        next: Poll,
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), seen.into(), next.at.into(), next.interval.into()];
        Ok(self.execute(&FLOW_POLL_MOVE, &values).await? == 1)
    }

    /// A person has accepted: the flow is being finished, and counts as dead when it is not within its grace after `until`. False: as in
    /// [`Tx::move_poll`].
    pub async fn accept_flow(
        &mut self,
        organization: &str,
        id: &str,
        seen: Timestamp,
        until: Timestamp,
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), seen.into(), until.into()];
        Ok(self.execute(&FLOW_POLL_ACCEPTED, &values).await? == 1)
    }

    /// False: it is no longer in `from`.
    pub async fn end_flow(
        &mut self,
        organization: &str,
        id: &str,
        (from, to): (FlowState, FlowState),
        outcome: &FlowOutcome,
        now: Timestamp,
    ) -> Result<bool> {
        let warnings = json(&outcome.warnings)?;
        let values: [Value<'_>; 9] = [
            organization.into(),
            id.into(),
            from.as_str().into(),
            to.as_str().into(),
            now.into(),
            outcome.authorization_id.as_deref().into(),
            outcome.error_code.as_deref().into(),
            outcome.error_detail.as_deref().into(),
            (&warnings).into(),
        ];
        Ok(self.execute(&FLOW_END, &values).await? == 1)
    }

    /// Ends every flow of a member that is under way; tells how many.
    pub async fn cancel_flows_of(&mut self, organization: &str, member: &str, now: Timestamp) -> Result<u64> {
        self.execute(&FLOW_CANCEL_OF_MEMBER, &[organization.into(), member.into(), now.into()]).await
    }

    /// Forgets flows made before `before`, at most [`crate::PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_flows(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&FLOW_PRUNE, &[before.into(), crate::PRUNE_AT_ONCE.into()]).await
    }
}
