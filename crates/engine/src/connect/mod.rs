//! Connectors, connections, flows, authorizations, and how credentials stay fresh.

pub mod authorizations;
pub mod connections;
pub mod connectors;
mod credential;
mod devices;
pub mod drafts;
pub(crate) mod exchange;
pub mod flows;
pub(crate) mod ground;
mod keep;
pub mod moves;
mod prove;
pub mod references;
pub(crate) mod refresh;
pub mod setup;
pub mod trial;
pub mod versions;

pub(crate) use credential::{Bounds, Credential, Secrets};
