//! The words of Jackfield as types, and every rule about them.
//!
//! No I/O, no async, no clock: whatever varies is passed in. Everything here can be tested by calling it.

pub mod brand;
pub mod connector;
pub mod datasource;
pub mod error;
pub mod event;
pub mod flow;
pub mod form;
pub mod id;
pub mod money;
pub mod names;
pub mod payment;
pub mod permissions;
pub mod permit;
pub mod plan;
pub mod schedule;
pub mod templates;
pub mod time;
pub mod words;
pub mod workflow;

pub use brand::Brand;
pub use error::{Code, Error, FieldError, Result};
pub use event::EventKind;
pub use payment::PaymentState;
pub use permit::{Action, Permit, Principal, Resource, allows, permit};
pub use time::Timestamp;
pub use words::{ConnectionStatus, Environment, KeyScope, KeyScopes, Level, MemberStatus, Role};
