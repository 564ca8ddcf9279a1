//! `Idempotency-Key`: the same request under the same key gets the first answer again, for 24 hours, also after a crash.
//!
//! What changes only the store records its answer in the same transaction ([`crate::work::Work::answer`]). A call to a service records
//! that it begins, calls, and records the answer; if Jackfield dies in between, nobody can know whether the service acted, and the key
//! says so instead of acting twice.

use std::time::Duration;

use jackfield_core::{Code, Error, Permit, Result, Timestamp};
use jackfield_store::Answer;
use jackfield_vault::Context;
use secrecy::ExposeSecret;

use crate::Engine;
use crate::op::{Idempotency, Op};

const KEPT: Duration = Duration::from_hours(24);

/// Longest key, in bytes.
pub const KEY_MAX: usize = 255;

/// An answer that was given before.
pub struct Replay {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// Answers recorded before this moment are forgotten.
pub(crate) fn forgotten_before(now: Timestamp) -> Timestamp {
    now.minus(KEPT)
}

fn context<'a>(organization: &'a str, record: &'a str) -> Context<'a> {
    Context { organization, table: "idempotency", record, field: "answer" }
}

fn record(caller: &str, key: &str) -> String {
    format!("{caller}/{key}")
}

pub(crate) fn sealed(
    engine: &Engine,
    op: &Op,
    asked: &Idempotency,
    status: u16,
    content_type: &str,
    body: &[u8],
) -> Result<Answer> {
    let record = record(op.caller(), &asked.key);
    let answer = engine.keyring().seal(&context(&op.organization, &record), body).map_err(Error::internal)?;
    Ok(Answer {
        status: Some(i64::from(status)),
        content_type: Some(content_type.to_owned()),
        answer: Some(answer),
        ..begun(op, asked)
    })
}

fn begun(op: &Op, asked: &Idempotency) -> Answer {
    Answer {
        organization_id: op.organization.to_string(),
        key_id: op.caller().to_owned(),
        idempotency_key: asked.key.clone(),
        request_digest: asked.request_digest.to_vec(),
        status: None,
        content_type: None,
        answer: None,
        created_at: op.now,
    }
}

impl Engine {
    /// The first answer to this request, if it was carried out before.
    pub async fn replay(&self, op: &Op) -> Result<Option<Replay>> {
        let Some(asked) = &op.idempotency else { return Ok(None) };
        let Some(answer) = self.store().answer(&op.organization, op.caller(), &asked.key).await? else {
            return Ok(None);
        };
        if answer.created_at < forgotten_before(op.now) {
            return Ok(None);
        }
        if answer.request_digest != asked.request_digest {
            return Err(Error::new(
                Code::IdempotencyKeyReused,
                "This Idempotency-Key was used for a request with another path or body. Use a new key for a new request.",
            ));
        }
        let (Some(status), Some(sealed)) = (answer.status, &answer.answer) else {
            return Err(Error::new(
                Code::RequestInProgress,
                "The request with this Idempotency-Key is still running, or it was cut off and nobody knows whether the service acted. \
                 Look at the service; use a new key to call again.",
            )
            .with_retry_after(1));
        };
        let record = record(op.caller(), &asked.key);
        let body =
            self.keyring().open(&context(&op.organization, &record), sealed).map_err(Error::internal)?;
        Ok(Some(Replay {
            status: u16::try_from(status).unwrap_or(200),
            content_type: answer.content_type.unwrap_or_default(),
            body: body.expose_secret().clone(),
        }))
    }

    /// Records that a call to a service begins. [`Code::RequestInProgress`] when another one is faster.
    pub(crate) async fn begin_call(&self, op: &Op, permit: Permit) -> Result<()> {
        let Some(asked) = &op.idempotency else { return Ok(()) };
        let mut work = self.begin(permit).await?;
        work.begin_answer(&begun(op, asked)).await?;
        work.commit().await
    }

    /// Records what the call answered.
    pub(crate) async fn end_call(
        &self,
        op: &Op,
        permit: Permit,
        status: u16,
        content_type: &str,
        body: &[u8],
    ) -> Result<()> {
        let Some(asked) = &op.idempotency else { return Ok(()) };
        let answer = sealed(self, op, asked, status, content_type, body)?;
        let mut work = self.begin(permit).await?;
        work.record_answer(&answer).await?;
        work.commit().await
    }

    /// The call never reached the service: the key is free again.
    pub(crate) async fn forget_call(&self, op: &Op, permit: Permit) -> Result<()> {
        let Some(asked) = &op.idempotency else { return Ok(()) };
        let mut work = self.begin(permit).await?;
        work.forget_answer(&op.organization, op.caller(), &asked.key).await?;
        work.commit().await
    }
}
