-- A flow with a device code: when the service is asked next whether a person has accepted, and how many seconds lie between two questions.
-- Whoever asks moves poll_at ahead first, by compare-and-swap; until then nobody else asks.
alter table flows add column poll_at bigint;
alter table flows add column poll_interval bigint;
create index flows_polled on flows (poll_at) where state = 'pending' and poll_at is not null;
