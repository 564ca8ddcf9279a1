-- One text for SQLite and PostgreSQL. text, bigint, bytea only; times are microseconds, JSON is text, flags are 0 and 1.

-- What belongs to the installation as a whole: the sealed value that proves a key, the digest of the set-up link.
create table installation (
  name text not null primary key,
  value bytea not null
);

create table organizations (
  id text not null primary key,
  name text not null,
  region text not null,
  plan text not null,
  connections_managed_by text not null,
  created_at bigint not null,
  updated_at bigint not null,
  version bigint not null
);

create table members (
  organization_id text not null,
  id text not null,
  email text not null,
  name text not null,
  role text not null,
  password text not null,
  active bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  version bigint not null,
  primary key (organization_id, id)
);
create unique index members_email on members (organization_id, email);
create unique index members_super_admin on members (organization_id) where role = 'super_admin';

-- digest: SHA-256 of the key, which is random; only whoever has the key can find the row.
create table api_keys (
  organization_id text not null,
  id text not null,
  digest bytea not null,
  member_id text not null,
  name text not null,
  hint text not null,
  created_at bigint not null,
  expires_at bigint,
  last_used_at bigint,
  revoked_at bigint,
  primary key (organization_id, id)
);
create index api_keys_digest on api_keys (digest);
create index api_keys_member on api_keys (organization_id, member_id, id);

create table connectors (
  organization_id text not null,
  link_name text not null,
  name text not null,
  document text not null,
  stage text not null,
  created_by text not null,
  created_at bigint not null,
  updated_at bigint not null,
  version bigint not null,
  primary key (organization_id, link_name)
);

-- secrets: sealed JSON object of the secret parameters.
create table connections (
  organization_id text not null,
  link_name text not null,
  id text not null,
  name text not null,
  connector text not null,
  level text not null,
  scopes text not null,
  parameters text not null,
  secrets bytea,
  same_authorization bigint not null,
  enabled bigint not null,
  applications text not null,
  created_by text not null,
  created_at bigint not null,
  updated_at bigint not null,
  version bigint not null,
  primary key (organization_id, link_name)
);
create index connections_connector on connections (organization_id, connector, link_name);

-- credential: sealed. refresh_at: when the background refreshes it unasked. credential_version rises with every new credential. presented: how often the present refresh token was sent
-- without a whole answer. lease_*: who is refreshing, until when.
create table authorizations (
  organization_id text not null,
  id text not null,
  connector text not null,
  account_name text not null,
  owner text not null,
  subject text,
  requested_scopes text not null,
  scopes text,
  attributes text not null,
  credential bytea not null,
  credential_version bigint not null,
  refreshable bigint not null,
  issued_at bigint not null,
  expires_at bigint,
  refresh_at bigint,
  status text not null,
  reason text,
  presented bigint not null,
  lease_holder text,
  lease_until bigint,
  next_attempt_at bigint,
  refresh_error text,
  last_refreshed_at bigint,
  last_used_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  version bigint not null,
  primary key (organization_id, id)
);
create unique index authorizations_account_name on authorizations (organization_id, connector, account_name);
create index authorizations_owner on authorizations (organization_id, connector, owner, id);
-- What the background asks for every second; those it may not touch stand in neither.
create index authorizations_due on authorizations (refresh_at) where refreshable = 1 and status = 'connected' and presented < 2;
create index authorizations_unsure on authorizations (next_attempt_at) where presented = 1 and status = 'connected';

-- Which connections an authorization belongs to; the last one to let go has it revoked at the service.
create table holdings (
  organization_id text not null,
  connection text not null,
  authorization_id text not null,
  created_at bigint not null,
  primary key (organization_id, connection, authorization_id)
);
create index holdings_authorization on holdings (organization_id, authorization_id, connection);

-- Which authorization serves; member is '' unless the connection's level is user.
create table bindings (
  organization_id text not null,
  connection text not null,
  environment text not null,
  member text not null,
  authorization_id text not null,
  created_at bigint not null,
  primary key (organization_id, connection, environment, member)
);
create index bindings_authorization on bindings (organization_id, authorization_id, connection);

-- secrets: sealed; state, PKCE verifier, secret of the request token. *_digest: SHA-256 of what the browser must bring.
create table flows (
  organization_id text not null,
  id text not null,
  connection text not null,
  member text not null,
  replaces text,
  account_name text,
  environments text not null,
  scopes text not null,
  state text not null,
  start_digest bytea not null,
  state_digest bytea not null,
  browser_digest bytea,
  secrets bytea not null,
  created_at bigint not null,
  expires_at bigint not null,
  finished_at bigint,
  authorization_id text,
  error_code text,
  error_detail text,
  warnings text not null,
  primary key (organization_id, id)
);
create index flows_id on flows (id);
create index flows_state on flows (state_digest);
create index flows_created on flows (created_at);

create table calls (
  organization_id text not null,
  id text not null,
  connection text not null,
  authorization_id text,
  environment text not null,
  principal text not null,
  via text not null,
  method text not null,
  host text not null,
  path text not null,
  status bigint,
  error text,
  duration bigint not null,
  request_id text not null,
  at bigint not null,
  primary key (organization_id, id)
);
create index calls_connection on calls (organization_id, connection, id);
create index calls_at on calls (at);

-- answer: sealed, since an answer may hold a new key or what a service said. status null: the effect is not known yet.
create table idempotency (
  organization_id text not null,
  key_id text not null,
  idempotency_key text not null,
  request_digest bytea not null,
  status bigint,
  content_type text,
  answer bytea,
  created_at bigint not null,
  primary key (organization_id, key_id, idempotency_key)
);
create index idempotency_created on idempotency (created_at);
