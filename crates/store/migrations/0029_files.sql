-- Files in records. content: the bytes, sealed. What a file is called, and of which type and size it is, stands in the record.
create table record_files (
  organization_id text not null,
  id text not null,
  application text not null,
  record text not null,
  field text not null,
  content bytea not null,
  created_at bigint not null,
  primary key (organization_id, id)
);
create index record_files_of_record on record_files (organization_id, record);
create index record_files_of_application on record_files (organization_id, application);
