//! Payments of an application: what was asked for, and how far it is.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{PaymentState, Result, Timestamp};
use jackfield_engine::automate::payers::{PaymentQuery, PaymentView};
use jackfield_engine::{Engine, Page};

use super::applications::{Head, next};
use super::desk::{Desk, Frame};
use super::form::{Field, Form};
use super::parts::{self, Status};

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications/{link}/payments", get(list))
        .route("/console/applications/{link}/payments/{id}", get(show))
}

/// The socket of a state.
pub(super) fn status(state: &PaymentState) -> Status {
    match state {
        PaymentState::Creating | PaymentState::Open | PaymentState::Approved | PaymentState::Processing => {
            Status::NotConnected
        }
        PaymentState::Paid => Status::Connected,
        PaymentState::Failed => Status::Failed,
        PaymentState::Expired => Status::Attention,
        PaymentState::Cancelled => Status::Disabled,
    }
}

/// The word of a state.
pub(super) fn word(state: &PaymentState) -> &'static str {
    match state {
        PaymentState::Creating => "Being asked for",
        PaymentState::Open => "Not paid yet",
        PaymentState::Approved => "Consented",
        PaymentState::Processing => "On its way",
        PaymentState::Paid => "Paid",
        PaymentState::Failed => "Failed",
        PaymentState::Expired => "Expired",
        PaymentState::Cancelled => "Called off",
    }
}

#[derive(Template)]
#[template(path = "console/payments.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    form: Form,
    page: Page<PaymentView>,
    next: Option<String>,
    filtered: bool,
}

impl List<'_> {
    fn state(&self) -> Field<'_> {
        let mut choices = vec![("", "Any state")];
        choices.extend(PaymentState::ALL.iter().map(|state| (state.as_str(), word(state))));
        self.form.select("state", "State", &choices)
    }
}

async fn list(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find(&engine, &desk, &link).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<List<'a>> {
    let head = Head::read(engine, desk, link, "payments").await?;
    let query = PaymentQuery {
        environment: Some(desk.frame.environment.as_str().to_owned()),
        // A word that is none of ours asks for nothing.
        state: desk.query.given("state").filter(|state| PaymentState::parse(state).is_some()),
        record: desk.query.given("record"),
        run: None,
        limit: None,
        cursor: desk.query.given("cursor"),
    };
    let page = engine.list_payments(&desk.op, link, &query).await?;
    Ok(List {
        frame: &desk.frame,
        now: desk.op.now,
        next: next(desk, &head.path("payments"), &page),
        filtered: query.state.is_some() || query.record.is_some(),
        form: Form::new(desk.query.clone()),
        head,
        page,
    })
}

#[derive(Template)]
#[template(path = "console/payment.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    payment: PaymentView,
}

async fn show(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = read(&engine, &desk, &link, &id).await;
    desk.show(page)
}

async fn read<'a>(engine: &Engine, desk: &'a Desk, link: &str, id: &str) -> Result<Show<'a>> {
    let head = Head::read(engine, desk, link, "payments").await?;
    let payment = engine.read_payment(&desk.op, link, id).await?;
    Ok(Show { frame: &desk.frame, now: desk.op.now, head, payment })
}
