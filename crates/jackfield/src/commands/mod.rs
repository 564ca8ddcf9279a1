//! One file a command.

pub mod init;
pub mod serve;
