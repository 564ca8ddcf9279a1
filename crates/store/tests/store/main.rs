//! The store on both databases, in one binary.
//!
//! The plumbing below the public interface is not public: its tests compile it once more as their own. [`conformance`] is about the public
//! interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "it is all tests, also outside of functions marked so"
)]

#[allow(dead_code, reason = "the tests do not call all of it")]
#[path = "../../src/db/mod.rs"]
mod db;
#[allow(dead_code, reason = "the tests do not call all of it")]
#[path = "../../src/migrate.rs"]
mod migrate;
#[path = "../../src/schema.rs"]
mod schema;

mod conformance;
mod failures;
mod migrations;
mod plumbing;
mod proxy;
mod support;
