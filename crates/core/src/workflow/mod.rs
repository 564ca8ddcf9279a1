//! Workflows: what runs when a record is made, edited or deleted. The definition as data, every rule about it, and the states of a run.

mod check;
mod definition;
pub mod expression;
mod run;

pub use check::{Described, Grounds, RECORD_FACTS, Scene, Shape, check_actions, check_integration};
pub use definition::{
    Currency, Integration, Lookup, Mail, Mapped, OnFailure, OnUnpaid, PaymentAction, Pull, Request,
    RequestEncoding, Trigger, UpdateRecord, Webhook, Work, Workflow, WorkflowAction, amount_of,
    connections_of,
};
pub use expression::{Expression, Text};
pub use run::{GIVE_UP, RecordEvent, RunState, backoff};
