//! Jackfield as its users meet it: the real binary, spoken to over HTTP and by its command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers here are parts of tests"
)]

mod applications;
mod audit;
mod authorizations;
mod before;
mod calls;
mod canary;
mod catalogue;
mod console_automate;
mod console_build;
mod console_builder;
mod console_import;
mod console_journey;
mod console_rooms;
mod console_times;
mod console_trial;
mod crashes;
mod datasources;
mod described;
mod devices;
mod drafts;
mod files;
mod flows;
mod idempotency;
mod imports;
mod interop;
mod journey;
mod life;
mod lint;
mod manners;
mod nodes;
mod pages;
mod payments;
mod people;
mod permissions;
mod proxy;
mod refresh;
mod schedules;
mod sign_in;
mod ssrf;
mod start;
mod support;
mod templates;
mod upstream;
mod versions;
mod webhooks;
mod workflows;
mod world;
