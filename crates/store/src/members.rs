//! The people of an organization, and the links by which they choose a password.

use jackfield_core::{Role, Timestamp};

use crate::db::{Row, Tx, Value, statements};
use crate::{PRUNE_AT_ONCE, Result, Store, StoreError};

/// What [`Member::read`] reads. A member was last seen in a browser, or by one of his keys.
macro_rules! columns {
    () => {
        "m.organization_id, m.id, m.email, m.name, m.role, m.password, m.active, m.created_at, m.joined_at, m.last_seen_at, m.version,
        (select max(k.last_used_at) from api_keys k where k.organization_id = m.organization_id and k.member_id = m.id) as key_used_at"
    };
}

macro_rules! link_columns {
    () => {
        "organization_id, member_id, kind, digest, created_at, expires_at"
    };
}

statements! {
    pub(crate) MEMBER_INSERT = "insert into members
        (organization_id, id, email, email_key, name, role, password, active, created_at, updated_at, joined_at, version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, 1)";
    pub(crate) MEMBER_GET = concat!("select ", columns!(), " from members m where m.organization_id = $1 and m.id = $2");
    pub(crate) MEMBER_LIST = concat!("select ", columns!(), " from members m where m.organization_id = $1 and m.id > $2
        order by m.id limit $3");
    pub(crate) MEMBER_BY_EMAIL = concat!("select ", columns!(), " from members m where m.email_key = $1
        order by m.organization_id limit $2");
    pub(crate) MEMBER_UPDATE = "update members set name = $3, role = $4, active = $5, updated_at = $6, version = version + 1
        where organization_id = $1 and id = $2 and version = $7";
    pub(crate) MEMBER_ROLE = "update members set role = $4, updated_at = $5, version = version + 1
        where organization_id = $1 and id = $2 and role = $3";
    pub(crate) MEMBER_PASSWORD = "update members set password = $3, joined_at = coalesce(joined_at, $4), updated_at = $4
        where organization_id = $1 and id = $2";
    pub(crate) MEMBER_SEEN = "update members set last_seen_at = $3 where organization_id = $1 and id = $2
        and (last_seen_at is null or last_seen_at < $3)";
    pub(crate) MEMBER_DELETE = "delete from members where organization_id = $1 and id = $2";

    pub(crate) LINK_PUT = "insert into member_links (organization_id, member_id, kind, digest, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6) on conflict (organization_id, member_id, kind)
        do update set digest = excluded.digest, created_at = excluded.created_at, expires_at = excluded.expires_at";
    pub(crate) LINK_BY_DIGEST = concat!("select ", link_columns!(), " from member_links where digest = $1");
    pub(crate) LINK_TAKE = "delete from member_links where organization_id = $1 and member_id = $2 and kind = $3 and digest = $4";
    pub(crate) LINKS_DELETE = "delete from member_links where organization_id = $1 and member_id = $2";
    pub(crate) LINKS_PRUNE = "delete from member_links where (organization_id, member_id, kind) in
        (select organization_id, member_id, kind from member_links where expires_at < $1 limit $2)";
}

/// Members that one e-mail address may find at most: one in each organization.
const SAME_ADDRESS: i64 = 16;

/// A person in an organization.
#[derive(Clone)]
pub struct Member {
    pub organization_id: String,
    pub id: String,
    /// as it was written; it is unique and found whatever its case ([`Member::email_key`])
    pub email: String,
    pub name: String,
    pub role: Role,
    /// argon2id, PHC string; empty until he has joined
    pub password: String,
    pub active: bool,
    pub created_at: Timestamp,
    /// when he accepted the invitation
    pub joined_at: Option<Timestamp>,
    pub last_seen_at: Option<Timestamp>,
    pub version: i64,
}

impl Member {
    /// By what an e-mail address is found. ASCII only: what else has a case is the mail server's to judge (RFC 6531).
    pub fn email_key(email: &str) -> String {
        email.to_ascii_lowercase()
    }

    fn read(row: &Row) -> Result<Self> {
        let role = row.text("role")?;
        Ok(Self {
            organization_id: row.text("organization_id")?,
            id: row.text("id")?,
            email: row.text("email")?,
            name: row.text("name")?,
            role: Role::parse(&role)
                .ok_or_else(|| StoreError::corrupt("members", "role", format!("{role:?} is no role")))?,
            password: row.text("password")?,
            active: row.flag("active")?,
            created_at: row.time("created_at")?,
            joined_at: row.opt_time("joined_at")?,
            last_seen_at: row.opt_time("last_seen_at")?.max(row.opt_time("key_used_at")?),
            version: row.int("version")?,
        })
    }
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    Invitation,
    PasswordReset,
}

impl LinkKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
        }
    }
}

/// A link by which a member chooses a password; he has one of each kind at most.
#[derive(Clone, Debug)]
pub struct MemberLink {
    pub organization_id: String,
    pub member_id: String,
    pub kind: LinkKind,
    /// SHA-256 of the token
    pub digest: Vec<u8>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl MemberLink {
    fn read(row: &Row) -> Result<Self> {
        let kind = row.text("kind")?;
        Ok(Self {
            organization_id: row.text("organization_id")?,
            member_id: row.text("member_id")?,
            kind: [LinkKind::Invitation, LinkKind::PasswordReset]
                .into_iter()
                .find(|known| known.as_str() == kind)
                .ok_or_else(|| {
                    StoreError::corrupt("member_links", "kind", format!("{kind:?} is no kind of link"))
                })?,
            digest: row.bytes("digest")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl Store {
    pub async fn member(&self, organization: &str, id: &str) -> Result<Option<Member>> {
        let values = [organization.into(), id.into()];
        self.db.query_opt(&MEMBER_GET, &values).await?.as_ref().map(Member::read).transpose()
    }

    /// The members of an organization, by id after `after`.
    pub async fn members(&self, organization: &str, after: &str, limit: i64) -> Result<Vec<Member>> {
        let values = [organization.into(), after.into(), limit.into()];
        self.db.query(&MEMBER_LIST, &values).await?.iter().map(Member::read).collect()
    }

    /// Who has this e-mail address, in whichever organization.
    pub async fn members_by_email(&self, email: &str) -> Result<Vec<Member>> {
        let key = Member::email_key(email);
        let values: [Value<'_>; 2] = [(&key).into(), SAME_ADDRESS.into()];
        self.db.query(&MEMBER_BY_EMAIL, &values).await?.iter().map(Member::read).collect()
    }

    pub async fn member_link(&self, digest: &[u8]) -> Result<Option<MemberLink>> {
        self.db.query_opt(&LINK_BY_DIGEST, &[digest.into()]).await?.as_ref().map(MemberLink::read).transpose()
    }
}

impl Tx {
    pub async fn member(&mut self, organization: &str, id: &str) -> Result<Option<Member>> {
        let values = [organization.into(), id.into()];
        self.query_opt(&MEMBER_GET, &values).await?.as_ref().map(Member::read).transpose()
    }

    /// [`StoreError::UniqueViolation`] when the address is taken in the organization.
    pub async fn insert_member(&mut self, m: &Member) -> Result<()> {
        let key = Member::email_key(&m.email);
        let values: [Value<'_>; 10] = [
            (&m.organization_id).into(),
            (&m.id).into(),
            (&m.email).into(),
            (&key).into(),
            (&m.name).into(),
            m.role.as_str().into(),
            (&m.password).into(),
            m.active.into(),
            m.created_at.into(),
            m.joined_at.into(),
        ];
        self.execute(&MEMBER_INSERT, &values).await.map(drop)
    }

    /// Name, role and whether he is active. `m.version` is the version that was read; false when somebody else was quicker.
    pub async fn update_member(&mut self, m: &Member, now: Timestamp) -> Result<bool> {
        let values: [Value<'_>; 7] = [
            (&m.organization_id).into(),
            (&m.id).into(),
            (&m.name).into(),
            m.role.as_str().into(),
            m.active.into(),
            now.into(),
            m.version.into(),
        ];
        Ok(self.execute(&MEMBER_UPDATE, &values).await? == 1)
    }

    /// False when he no longer has the role `from`.
    pub async fn change_role(
        &mut self,
        organization: &str,
        id: &str,
        (from, to): (Role, Role),
        now: Timestamp,
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), from.as_str().into(), to.as_str().into(), now.into()];
        Ok(self.execute(&MEMBER_ROLE, &values).await? == 1)
    }

    /// Sets the password, by which an invited member joins. False when there is no such member.
    pub async fn set_password(
        &mut self,
        organization: &str,
        id: &str,
        hash: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let values = [organization.into(), id.into(), hash.into(), now.into()];
        Ok(self.execute(&MEMBER_PASSWORD, &values).await? == 1)
    }

    pub async fn member_seen(&mut self, organization: &str, id: &str, at: Timestamp) -> Result<()> {
        self.execute(&MEMBER_SEEN, &[organization.into(), id.into(), at.into()]).await.map(drop)
    }

    pub async fn delete_member(&mut self, organization: &str, id: &str) -> Result<bool> {
        Ok(self.execute(&MEMBER_DELETE, &[organization.into(), id.into()]).await? == 1)
    }

    /// Makes a link; the member's former one of the kind is void.
    pub async fn put_member_link(&mut self, link: &MemberLink) -> Result<()> {
        let values: [Value<'_>; 6] = [
            (&link.organization_id).into(),
            (&link.member_id).into(),
            link.kind.as_str().into(),
            link.digest.as_slice().into(),
            link.created_at.into(),
            link.expires_at.into(),
        ];
        self.execute(&LINK_PUT, &values).await.map(drop)
    }

    /// Uses a link up. False when it was used or replaced before.
    pub async fn take_member_link(&mut self, link: &MemberLink) -> Result<bool> {
        let values: [Value<'_>; 4] = [
            (&link.organization_id).into(),
            (&link.member_id).into(),
            link.kind.as_str().into(),
            link.digest.as_slice().into(),
        ];
        Ok(self.execute(&LINK_TAKE, &values).await? == 1)
    }

    /// Voids every link of a member; tells how many.
    pub async fn delete_member_links(&mut self, organization: &str, member: &str) -> Result<u64> {
        self.execute(&LINKS_DELETE, &[organization.into(), member.into()]).await
    }

    /// Forgets links that expired before `before`, at most [`PRUNE_AT_ONCE`]; tells how many.
    pub async fn prune_member_links(&mut self, before: Timestamp) -> Result<u64> {
        self.execute(&LINKS_PRUNE, &[before.into(), PRUNE_AT_ONCE.into()]).await
    }
}
