//! One file a command, or a family of them.

pub mod account;
pub mod applications;
pub mod audit;
pub mod authorizations;
pub mod authorize;
pub mod connections;
pub mod connectors;
pub mod demo;
pub mod doctor;
pub mod init;
pub mod invoke;
pub mod members;
pub mod pages;
pub mod payments;
pub mod runs;
pub mod serve;
