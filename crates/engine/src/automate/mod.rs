//! What connections are for: forms and their records, workflows, schedules, datasources, and their runs (product U4 to U7).
//!
//! A record and the runs that it sets off are written in one transaction ([`records`]). Any node claims runs ([`claims`]) and carries
//! them out ([`runner`]), an action at a time ([`actions`]); what an action made is written down before the next begins.

mod actions;
pub mod charts;
mod claims;
pub mod components;
pub mod datasources;
pub mod described;
pub mod files;
pub(crate) mod gates;
pub mod hosted;
pub mod imports;
pub(crate) mod live;
pub mod misfits;
pub mod payers;
pub(crate) mod payments;
pub mod publish;
pub mod records;
pub mod rehearse;
pub(crate) mod runner;
pub mod runs;
pub mod schedules;
pub mod templates;
pub mod webhooks;
