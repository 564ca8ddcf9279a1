-- What is built here. Version 0: the component was built elsewhere and only declares what it uses.
alter table components add column name text not null default '';
alter table components add column version bigint not null default 0;

-- Every version of a component's definition. Development serves the latest; a release fixes which ones an environment serves.
create table component_versions (
  organization_id text not null,
  application text not null,
  component text not null,
  version bigint not null,
  name text not null,
  document text not null,
  created_by text not null,
  created_at bigint not null,
  primary key (organization_id, application, component, version)
);

-- contents: component to version.
create table releases (
  organization_id text not null,
  application text not null,
  number bigint not null,
  contents text not null,
  note text not null,
  created_by text not null,
  created_at bigint not null,
  primary key (organization_id, application, number)
);

-- Which release an environment serves.
create table deployments (
  organization_id text not null,
  application text not null,
  environment text not null,
  release bigint not null,
  deployed_by text not null,
  deployed_at bigint not null,
  primary key (organization_id, application, environment)
);

-- A deleted record stays until its runs are over and forgotten.
create table records (
  organization_id text not null,
  application text not null,
  form text not null,
  environment text not null,
  id text not null,
  data text not null,
  created_by text not null,
  created_at bigint not null,
  updated_at bigint not null,
  version bigint not null,
  deleted_at bigint,
  primary key (organization_id, application, form, environment, id)
);
create index records_deleted on records (deleted_at) where deleted_at is not null;

-- What no two records of a form may share. digest: of the value, so that a key has a bounded length.
create table record_values (
  organization_id text not null,
  application text not null,
  form text not null,
  environment text not null,
  field text not null,
  digest text not null,
  record text not null,
  primary key (organization_id, application, form, environment, field, digest)
);
create index record_values_of on record_values (organization_id, record);

-- queue: all that must not delay each other are in different ones. behind: the run before it for the same record and workflow. after: the
-- run of the workflow before it for the same event.
create table runs (
  organization_id text not null,
  id text not null,
  queue text not null,
  application text not null,
  environment text not null,
  workflow text not null,
  workflow_version bigint not null,
  form text not null,
  record text not null,
  event text not null,
  record_version bigint not null,
  data text not null,
  actor text not null,
  state text not null,
  results text not null,
  attempts bigint not null,
  doubt bigint not null,
  tried_since bigint,
  due_at bigint not null,
  behind text,
  after text,
  lease_by text,
  lease_until bigint,
  paused_on text,
  code text,
  reason text,
  created_at bigint not null,
  updated_at bigint not null,
  ended_at bigint,
  primary key (organization_id, id)
);
create index runs_due on runs (queue, due_at, id) where state = 'queued' and behind is null and after is null;
create index runs_leased on runs (lease_until) where state = 'running';
create index runs_behind on runs (organization_id, behind) where behind is not null;
create index runs_after on runs (organization_id, after) where after is not null;
create index runs_paused on runs (organization_id, paused_on) where state = 'paused';
create index runs_of_record on runs (organization_id, record, id);
create index runs_of_application on runs (organization_id, application, id);
-- environment: so that the runs of an application are counted without reading them.
create index runs_of_state on runs (organization_id, application, state, id, environment);
create index runs_over on runs (ended_at, organization_id, id) where ended_at is not null;

-- Each try of an action: what was sent and what came back, without the credential, which is placed later.
create table run_steps (
  organization_id text not null,
  run text not null,
  id text not null,
  action text not null,
  attempt bigint not null,
  outcome text not null,
  doubt bigint not null,
  request text,
  reply text,
  status bigint,
  message text,
  at bigint not null,
  duration bigint not null,
  primary key (organization_id, run, id)
);
