-- Files of records that are read in, a batch of rows at a time. content: the file, emptied when the import is over. lease_until: while a
-- node works on it.
create table imports (
  organization_id text not null,
  id text not null,
  application text not null,
  form text not null,
  environment text not null,
  content text not null,
  match_by text not null,
  sets_off bigint not null,
  created_by text not null,
  state text not null,
  row_count bigint not null,
  rows_done bigint not null,
  rows_created bigint not null,
  rows_changed bigint not null,
  rows_refused bigint not null,
  faults text not null,
  reason text,
  lease_by text,
  lease_until bigint,
  created_at bigint not null,
  updated_at bigint not null,
  ended_at bigint,
  primary key (organization_id, id)
);
create index imports_of_form on imports (organization_id, application, form, environment, id);
create index imports_running on imports (updated_at) where state = 'running';
create index imports_over on imports (ended_at) where ended_at is not null;
