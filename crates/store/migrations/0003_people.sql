-- email_key: the address in lower case, by which it is unique and found. joined_at: when the invitation was accepted. last_seen_at: in a browser.
alter table members add column email_key text not null default '';
alter table members add column joined_at bigint;
alter table members add column last_seen_at bigint;
update members set email_key = lower(email), joined_at = created_at;
drop index members_email;
create unique index members_email on members (organization_id, email_key);
-- Whoever signs in has not said to which organization he belongs.
create index members_email_key on members (email_key);

-- Links that set a password: 'invitation' or 'password_reset'. One of a kind for a member, so that a new one voids the old.
-- digest: SHA-256 of the token, which is random.
create table member_links (
  organization_id text not null,
  member_id text not null,
  kind text not null,
  digest bytea not null,
  created_at bigint not null,
  expires_at bigint not null,
  primary key (organization_id, member_id, kind)
);
create index member_links_digest on member_links (digest);
create index member_links_expires on member_links (expires_at);

-- Browser sessions. digest: SHA-256 of the token in the cookie, which is random.
create table sessions (
  organization_id text not null,
  id text not null,
  member_id text not null,
  digest bytea not null,
  created_at bigint not null,
  last_seen_at bigint not null,
  expires_at bigint not null,
  address text not null,
  agent text not null,
  primary key (organization_id, id)
);
create index sessions_digest on sessions (digest);
create index sessions_member on sessions (organization_id, member_id, id);
create index sessions_expires on sessions (expires_at);
create index sessions_last_seen on sessions (last_seen_at);

-- How often something was tried that is slowed down. Of the whole installation: an address belongs to no organization, and whoever
-- signs in has not said to which he belongs. subject: what is slowed, with the digest of the e-mail address or the IP address.
create table throttles (
  subject text not null primary key,
  count bigint not null,
  last_at bigint not null
);
create index throttles_last_at on throttles (last_at);

create index authorizations_member on authorizations (organization_id, owner, id);
create index flows_member on flows (organization_id, member, state);
