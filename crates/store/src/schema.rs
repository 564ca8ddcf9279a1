//! The tables. A migration that has been released is never edited: a new one follows it.

use crate::migrate::Migration;

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "connections", sql: include_str!("../migrations/0001_connections.sql") },
    Migration { version: 10, name: "call_batches", sql: include_str!("../migrations/0010_call_batches.sql") },
];
