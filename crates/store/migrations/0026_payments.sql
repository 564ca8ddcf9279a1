-- A payment that a run asks for. amount: in the smallest unit of the currency (ISO 4217). checkout, url: at the service. nudges rises when
-- something may have happened at the service. close_at: when a checkout that nobody waits for any more is ended there. superseded: a replay
-- asks anew.
create table payments (
  organization_id text not null,
  id text not null,
  application text not null,
  environment text not null,
  connection text not null,
  workflow text not null,
  form text not null,
  record text not null,
  run text not null,
  action text not null,
  actor text not null,
  state text not null,
  amount bigint not null,
  currency text not null,
  description text not null,
  reference text not null,
  success_text text not null,
  checkout text,
  url text,
  expires_at bigint not null,
  code text,
  reason text,
  nudges bigint not null,
  close_at bigint,
  superseded bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  opened_at bigint,
  paid_at bigint,
  ended_at bigint,
  primary key (organization_id, id)
);
create unique index payments_of_run on payments (organization_id, run, action) where superseded = 0;
create index payments_by_checkout on payments (organization_id, connection, checkout) where checkout is not null;
create index payments_of_application on payments (organization_id, application, id);
create index payments_of_record on payments (organization_id, record, id);
create index payments_closing on payments (close_at) where close_at is not null;

-- Where the payer of a run sees how far it is. digest: SHA-256 of what the address holds; token: the same, sealed.
create table pay_pages (
  digest text not null primary key,
  organization_id text not null,
  run text not null,
  token bytea not null,
  created_at bigint not null
);
create unique index pay_pages_of_run on pay_pages (organization_id, run);
create index pay_pages_old on pay_pages (created_at);

-- What an application signs its webhooks with, sealed; former signs too until former_until.
create table webhook_secrets (
  organization_id text not null,
  application text not null,
  secret bytea not null,
  former bytea,
  former_until bigint,
  updated_at bigint not null,
  version bigint not null,
  primary key (organization_id, application)
);
