//! The tables. A migration that has been released is never edited: a new one follows it.

use crate::migrate::Migration;

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "connections", sql: include_str!("../migrations/0001_connections.sql") },
    Migration { version: 2, name: "audit", sql: include_str!("../migrations/0002_audit.sql") },
    Migration { version: 3, name: "people", sql: include_str!("../migrations/0003_people.sql") },
    Migration { version: 4, name: "applications", sql: include_str!("../migrations/0004_applications.sql") },
    Migration { version: 5, name: "life", sql: include_str!("../migrations/0005_life.sql") },
    Migration { version: 10, name: "call_batches", sql: include_str!("../migrations/0010_call_batches.sql") },
    Migration { version: 20, name: "overview", sql: include_str!("../migrations/0020_overview.sql") },
    Migration { version: 21, name: "brand", sql: include_str!("../migrations/0021_brand.sql") },
    Migration { version: 22, name: "service_time", sql: include_str!("../migrations/0022_service_time.sql") },
    Migration { version: 23, name: "automate", sql: include_str!("../migrations/0023_automate.sql") },
    Migration { version: 24, name: "schedules", sql: include_str!("../migrations/0024_schedules.sql") },
    Migration { version: 25, name: "datasources", sql: include_str!("../migrations/0025_datasources.sql") },
    Migration { version: 26, name: "payments", sql: include_str!("../migrations/0026_payments.sql") },
    Migration { version: 27, name: "imports", sql: include_str!("../migrations/0027_imports.sql") },
    Migration { version: 28, name: "unbound", sql: include_str!("../migrations/0028_unbound.sql") },
    Migration { version: 29, name: "files", sql: include_str!("../migrations/0029_files.sql") },
    Migration { version: 30, name: "devices", sql: include_str!("../migrations/0030_devices.sql") },
    Migration { version: 31, name: "versions", sql: include_str!("../migrations/0031_versions.sql") },
    Migration { version: 32, name: "openings", sql: include_str!("../migrations/0032_openings.sql") },
    Migration { version: 33, name: "holds", sql: include_str!("../migrations/0033_holds.sql") },
];
