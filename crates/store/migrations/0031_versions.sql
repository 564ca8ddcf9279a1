-- Custom connectors as they were published, never changed. A connection is on one of them until it is moved; null: its connector is built in.
-- The document in connectors is the one that is worked on: it is published as the next version.
create table connector_versions (
  organization_id text not null,
  link_name text not null,
  number bigint not null,
  document text not null,
  created_by text not null,
  created_at bigint not null,
  primary key (organization_id, link_name, number)
);
alter table connectors add column published bigint;
alter table connections add column connector_version bigint;
insert into connector_versions (organization_id, link_name, number, document, created_by, created_at)
  select organization_id, link_name, 1, document, created_by, updated_at from connectors where stage <> 'draft';
update connectors set published = 1 where stage <> 'draft';
update connections set connector_version = 1 where exists (select 1 from connector_versions v
  where v.organization_id = connections.organization_id and v.link_name = connections.connector);
-- Why an authorization must be given again though its service still accepts it: its connection was moved. The version it was given under, which
-- it serves again when the connection is moved back.
alter table authorizations add column moved_from bigint;
