//! Who belongs to an organization and with which keys they call; and what was done.

pub mod applications;
pub mod audit;
pub mod keys;
pub mod mail;
pub mod members;
pub mod organizations;
pub mod overview;
pub mod passwords;
pub mod plan;
pub mod sessions;
