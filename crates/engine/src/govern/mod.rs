//! Who belongs to an organization and with which keys they call.

pub mod keys;
pub mod organizations;
