-- How often calls came to pass through a connection that did not before: it was authorized, mended, enabled. A run that is to wait for that
-- reads here whether it has happened since its call began. The row outlives the connection, so that the number never goes back.
create table connection_openings (
    organization_id text not null,
    connection text not null,
    openings bigint not null,
    primary key (organization_id, connection)
);
