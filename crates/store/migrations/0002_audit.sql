-- Keys of applications beside personal ones (member_id is '' then), and what a key may be used for: a JSON list.
alter table api_keys add column application_id text not null default '';
alter table api_keys add column environment text not null default '';
alter table api_keys add column scopes text not null default '["read","manage","authorize","use"]';
create index api_keys_application on api_keys (organization_id, application_id, id);

-- hash: SHA-256 over the previous row's hash and this row. actor: kind and id of who did it; 'jackfield' for what it does by itself.
create table audit (
  organization_id text not null,
  seq bigint not null,
  at bigint not null,
  actor_kind text not null,
  actor text not null,
  action text not null,
  subject text not null,
  connection text not null,
  detail text not null,
  request_id text not null,
  address text not null,
  hash bytea not null,
  primary key (organization_id, seq)
);

-- The end of each chain; seal: the number and the hash of the last row, sealed, so that cutting off the end of a chain shows too.
create table audit_heads (
  organization_id text not null primary key,
  seq bigint not null,
  hash bytea not null,
  seal bytea not null
);

-- What happened to connections and authorizations, kept for a month.
create table events (
  organization_id text not null,
  id text not null,
  at bigint not null,
  kind text not null,
  connection text not null,
  authorization_id text not null,
  actor text not null,
  detail text not null,
  primary key (organization_id, id)
);
create index events_connection on events (organization_id, connection, id);
create index events_authorization on events (organization_id, authorization_id, id);
create index events_at on events (at);
