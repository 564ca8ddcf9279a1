//! Workflows: what runs when a record is made, edited or deleted. The definition as data, every rule about it, and the states of a run.

mod definition;
pub mod expression;
mod run;

pub use definition::{
    Currency, Described, Grounds, Integration, Lookup, Mail, Mapped, OnFailure, OnUnpaid, PaymentAction,
    Pull, RECORD_FACTS, Request, RequestEncoding, Scene, Shape, Trigger, UpdateRecord, Webhook, Work,
    Workflow, WorkflowAction, amount_of, check_actions, check_integration, connections_of,
};
pub use expression::{Expression, Text};
pub use run::{GIVE_UP, RecordEvent, RunState, backoff};
