//! What applications sign their webhooks with.

use jackfield_core::Timestamp;

use crate::db::{Tx, Value, statements};
use crate::{Result, Store};

statements! {
    pub(crate) WEBHOOK_SECRET_GET = "select secret, former, former_until, version from webhook_secrets
        where organization_id = $1 and application = $2";
    pub(crate) WEBHOOK_SECRET_INSERT = "insert into webhook_secrets (organization_id, application, secret, updated_at, version)
        values ($1, $2, $3, $4, 1) on conflict (organization_id, application) do nothing";
    pub(crate) WEBHOOK_SECRET_ROTATE = "update webhook_secrets set former = secret, former_until = $5, secret = $3, updated_at = $6,
        version = version + 1 where organization_id = $1 and application = $2 and version = $4";
    pub(crate) WEBHOOK_SECRETS_END = "delete from webhook_secrets where organization_id = $1 and application = $2";
}

/// What an application signs with; sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSecret {
    pub secret: Vec<u8>,
    /// the one before
    pub former: Option<Vec<u8>>,
    /// until when that one signs too
    pub former_until: Option<Timestamp>,
    pub version: i64,
}

impl Store {
    pub async fn webhook_secret(
        &self,
        organization: &str,
        application: &str,
    ) -> Result<Option<WebhookSecret>> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        let found = self.db.query_opt(&WEBHOOK_SECRET_GET, &values).await?;
        found
            .map(|row| {
                Ok(WebhookSecret {
                    secret: row.bytes("secret")?,
                    former: row.opt_bytes("former")?,
                    former_until: row.opt_time("former_until")?,
                    version: row.int("version")?,
                })
            })
            .transpose()
    }
}

impl Tx {
    /// The first one. False when there is one.
    pub async fn insert_webhook_secret(
        &mut self,
        organization: &str,
        application: &str,
        secret: &[u8],
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 4] = [organization.into(), application.into(), secret.into(), now.into()];
        Ok(self.execute(&WEBHOOK_SECRET_INSERT, &values).await? == 1)
    }

    /// Another one; `version` is that of the one that was read. False when somebody else was quicker.
    pub async fn rotate_webhook_secret(
        &mut self,
        organization: &str,
        application: &str,
        secret: &[u8],
        version: i64,
        former_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let values: [Value<'_>; 6] = [
            organization.into(),
            application.into(),
            secret.into(),
            version.into(),
            former_until.into(),
            now.into(),
        ];
        Ok(self.execute(&WEBHOOK_SECRET_ROTATE, &values).await? == 1)
    }

    /// With the application its secret goes.
    pub async fn end_webhook_secrets(&mut self, organization: &str, application: &str) -> Result<()> {
        let values: [Value<'_>; 2] = [organization.into(), application.into()];
        self.execute(&WEBHOOK_SECRETS_END, &values).await.map(drop)
    }
}
