-- What a run is of: workflow:push, schedule:nightly. Only runs of workflows have a form, a record and a workflow.
alter table runs add column component text not null default '';
update runs set component = 'workflow:' || workflow;
create index runs_unattended on runs (organization_id, application, component, id) where record = '';
create index runs_unattended_open on runs (organization_id, application, environment, component, id)
  where record = '' and ended_at is null;

-- What each environment runs at times, and when next. version: of the component. next_at: null where nothing more comes.
create table schedules (
  organization_id text not null,
  application text not null,
  environment text not null,
  component text not null,
  version bigint not null,
  next_at bigint,
  last_at bigint,
  last_run text,
  skipped bigint not null default 0,
  skipped_at bigint,
  skipped_why text,
  primary key (organization_id, application, environment, component)
);
create index schedules_due on schedules (next_at) where next_at is not null;
