//! Schedules: what runs at times. The definition as data, every rule about it, and when the next tick is.
//!
//! A tick is a moment at which a schedule is to run. Whoever computes one hands in the moment after which it is wanted: nothing here reads a
//! clock.

mod definition;
mod timing;

pub use definition::{GRACE_MINUTES, Misfire, Overlap, Schedule};
pub use timing::{Local, Timing};
