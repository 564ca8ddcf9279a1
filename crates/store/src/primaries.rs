//! Whose binding unattended work uses where each person authorizes for himself (product N14).

use jackfield_core::{Environment, Timestamp};

use crate::db::{Tx, statements};
use crate::{Result, Store, StoreError};

statements! {
    pub(crate) PRIMARY_PUT = "insert into primaries (organization_id, connection, environment, member, created_at)
        values ($1, $2, $3, $4, $5)
        on conflict (organization_id, connection, environment)
        do update set member = excluded.member, created_at = excluded.created_at";
    pub(crate) PRIMARIES_OF = "select p.connection, p.environment, p.member, b.authorization_id from primaries p
        join bindings b on b.organization_id = p.organization_id and b.connection = p.connection
            and b.environment = p.environment and b.member = p.member
        where p.organization_id = $1 and p.connection >= $2 and p.connection <= $3 order by p.connection, p.environment";
    pub(crate) PRIMARIES_DELETE = "delete from primaries where organization_id = $1 and connection = $2";
}

/// The primary account of a connection in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    pub connection: String,
    pub environment: Environment,
    pub member: String,
    /// what serves this member there
    pub authorization_id: String,
}

impl Store {
    /// The primary accounts of the connections from `first` to `last` (by link name) whose bindings are there.
    pub async fn primaries(&self, organization: &str, first: &str, last: &str) -> Result<Vec<Primary>> {
        let rows = self.db.query(&PRIMARIES_OF, &[organization.into(), first.into(), last.into()]).await?;
        rows.iter()
            .map(|row| {
                let text = row.text("environment")?;
                Ok(Primary {
                    connection: row.text("connection")?,
                    environment: Environment::parse(&text).ok_or_else(|| {
                        StoreError::corrupt("primaries", "environment", format!("{text:?} is no environment"))
                    })?,
                    member: row.text("member")?,
                    authorization_id: row.text("authorization_id")?,
                })
            })
            .collect()
    }
}

impl Tx {
    pub async fn set_primary(
        &mut self,
        organization: &str,
        connection: &str,
        environment: Environment,
        member: &str,
        now: Timestamp,
    ) -> Result<()> {
        let values =
            [organization.into(), connection.into(), environment.as_str().into(), member.into(), now.into()];
        self.execute(&PRIMARY_PUT, &values).await.map(drop)
    }

    pub async fn delete_primaries(&mut self, organization: &str, connection: &str) -> Result<()> {
        self.execute(&PRIMARIES_DELETE, &[organization.into(), connection.into()]).await.map(drop)
    }
}
