-- Records of calls, many in a row: as they were written down together, of one connection. id: that of the first of them; the ids of two
-- rows of a connection never interleave. size: how many. last_at: when the last of them began. records: a JSON object a line.
drop table calls;

create table call_batches (
  organization_id text not null,
  connection text not null,
  id text not null,
  size bigint not null,
  last_at bigint not null,
  records text not null,
  primary key (organization_id, connection, id)
);
create index call_batches_at on call_batches (last_at);
