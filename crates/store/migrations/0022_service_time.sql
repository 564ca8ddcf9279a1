-- Of the calls that were counted: of how many it is known what they took of which the service, and both in microseconds.
alter table call_rates add column timed bigint not null default 0;
alter table call_rates add column took bigint not null default 0;
alter table call_rates add column service bigint not null default 0;

-- Lists of connections by a status that few have.
create index connections_enabled on connections (organization_id, enabled, link_name);
create index authorizations_pending on authorizations (organization_id, id) where setup_pending = 1;
