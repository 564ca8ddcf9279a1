-- How many calls, by half hour (half hours since 1970 UTC) and by how long they took: speed is a class of durations, four to a doubling.
-- connection '' counts all of the organization.
create table call_rates (
  organization_id text not null,
  connection text not null,
  environment text not null,
  half_hour bigint not null,
  speed bigint not null,
  calls bigint not null,
  failed bigint not null,
  primary key (organization_id, connection, environment, half_hour, speed)
);
create index call_rates_at on call_rates (half_hour);

-- What needs somebody: few rows, whatever the number of authorizations.
create index authorizations_broken on authorizations (organization_id, id) where status = 'reauthorization_required';
create index authorizations_ending on authorizations (organization_id, expires_at)
  where refreshable = 0 and status = 'connected' and expires_at is not null;
