-- What of an organization uses connections. Keys name an application by its id, so that a later one of the same link name gets none of them.
create table applications (
  organization_id text not null,
  link_name text not null,
  id text not null,
  name text not null,
  description text not null,
  created_by text not null,
  created_at bigint not null,
  updated_at bigint not null,
  version bigint not null,
  primary key (organization_id, link_name)
);
create unique index applications_id on applications (organization_id, id);

-- Who has access.
create table application_members (
  organization_id text not null,
  application text not null,
  member_id text not null,
  created_at bigint not null,
  primary key (organization_id, application, member_id)
);
create index application_members_member on application_members (organization_id, member_id, application);

-- Parts of an application that say which connections they use; component is 'workflow:orders'.
create table components (
  organization_id text not null,
  application text not null,
  component text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (organization_id, application, component)
);

-- The places that use a connection. While there is one, the connection is not deleted.
create table connection_references (
  organization_id text not null,
  connection text not null,
  application text not null,
  component text not null,
  created_at bigint not null,
  primary key (organization_id, connection, application, component)
);
create index connection_references_component on connection_references (organization_id, application, component, connection);
