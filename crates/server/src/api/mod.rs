//! The REST API: a file a resource, a handler a route.

pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod authorizations;
pub(crate) mod automate;
pub(crate) mod calls;
pub(crate) mod connections;
pub(crate) mod connectors;
pub(crate) mod datasources;
pub(crate) mod flows;
pub(crate) mod members;
pub(crate) mod organization;
pub(crate) mod sessions;
