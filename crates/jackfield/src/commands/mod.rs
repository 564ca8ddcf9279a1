//! One file a command, or a family of them.

pub mod account;
pub mod applications;
pub mod audit;
pub mod authorizations;
pub mod authorize;
pub mod connections;
pub mod connectors;
pub mod datasources;
pub mod demo;
pub mod doctor;
pub mod init;
pub mod invoke;
pub mod members;
pub mod pages;
pub mod payments;
pub mod records;
pub mod runs;
pub mod schedules;
pub mod serve;
