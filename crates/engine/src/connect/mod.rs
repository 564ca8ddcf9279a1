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
mod prove;
pub mod references;
pub(crate) mod refresh;
pub mod setup;
pub mod trial;

pub(crate) use credential::{Bounds, Credential, Secrets};
