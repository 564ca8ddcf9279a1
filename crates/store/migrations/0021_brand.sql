-- How the connect pages look: a JSON object.
alter table organizations add column brand text not null default '{}';
