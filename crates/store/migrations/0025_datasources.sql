-- What an environment knows of a datasource. revision: counts the changes, so that of two that pull only one goes on. run: whose pull is under
-- way; null: none is. progress: how far it is. cursor: what was last seen, for pulling what changed since. known: the columns.
create table datasources (
  organization_id text not null,
  application text not null,
  environment text not null,
  component text not null,
  revision bigint not null,
  pull bigint not null,
  run text,
  progress text not null,
  row_count bigint not null,
  cursor text,
  known text not null,
  changes text not null,
  pulled_at bigint,
  full_at bigint,
  primary key (organization_id, application, environment, component)
);

-- cells: column to a text that sorts as the value does. words: all that the row says, in small letters. data last: it is the longest, and
-- sorting does not read it.
create table datasource_rows (
  organization_id text not null,
  application text not null,
  environment text not null,
  component text not null,
  item text not null,
  position bigint not null,
  pull bigint not null,
  updated_at bigint not null,
  cells json not null,
  words text not null,
  data text not null,
  primary key (organization_id, application, environment, component, item)
);
create index datasource_rows_in_order on datasource_rows (organization_id, application, environment, component, position, item);
create index datasource_rows_of_pull on datasource_rows (organization_id, application, environment, component, pull);
