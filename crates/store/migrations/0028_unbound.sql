-- Where a connection for everybody has no authorization that serves it: what a list of connections that are not connected begins with. It is
-- kept wherever bindings are written.
create table unbound (
  organization_id text not null,
  environment text not null,
  connection text not null,
  primary key (organization_id, environment, connection)
);
insert into unbound (organization_id, environment, connection)
  select c.organization_id, e.environment, c.link_name from connections c
  cross join (select 'development' as environment union all select 'stage' union all select 'production') e
  where c.level <> 'user' and not exists (select 1 from bindings b
    where b.organization_id = c.organization_id and b.connection = c.link_name and b.environment = e.environment);
create index connections_of_users on connections (organization_id, link_name) where level = 'user';
