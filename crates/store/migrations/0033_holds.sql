-- How often somebody held the connection to say that something uses it. Whoever looks at what is built with it before he changes it, and
-- finds another number when he does, has looked in vain.
alter table connections add column holds bigint not null default 0;
