-- named: a person gave or confirmed the account name. setup_pending: a choice that the service offers is still to be made; until then no
-- call is served.
alter table authorizations add column named bigint not null default 1;
alter table authorizations add column setup_pending bigint not null default 0;

-- At level user: whose binding unattended work uses.
create table primaries (
  organization_id text not null,
  connection text not null,
  environment text not null,
  member text not null,
  created_at bigint not null,
  primary key (organization_id, connection, environment)
);

-- suite: JSON list of the connectors that are the organization's own.
alter table organizations add column suite text not null default '[]';

-- Calls by day (days since 1970 UTC), counted where a plan limits them.
create table call_counts (
  organization_id text not null,
  day bigint not null,
  calls bigint not null,
  primary key (organization_id, day)
);
