//! The sandbox from outside, over real connections.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail; helpers of tests are not told from production code by themselves"
)]

mod api;
mod faults;
mod oauth1;
mod oauth2;
mod support;
