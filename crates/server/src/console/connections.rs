//! Connections: the list.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Environment, Level, Result};
use jackfield_engine::connect::connections::{ConnectionQuery, ConnectionView};
use jackfield_engine::{Engine, Page};

use super::desk::{Desk, Frame};
use super::form::{Form, with_query};
use super::parts::{self, Status};

pub(super) fn routes() -> Router<Engine> {
    Router::new().route("/console/connections", get(list))
}

#[derive(Template)]
#[template(path = "console/connections.html")]
struct List<'a> {
    frame: &'a Frame,
    form: Form,
    page: Page<ConnectionView>,
    next: Option<String>,
}

impl ConnectionViewExt for ConnectionView {
    fn status_in(&self, environment: &Environment) -> Status {
        Status::of(self.enabled, *self.status.of(*environment))
    }

    fn account_in(&self, environment: &Environment) -> &str {
        self.accounts.of(*environment).as_ref().map_or("", |account| &account.account_name)
    }
}

/// What pages say of a connection.
pub(crate) trait ConnectionViewExt {
    fn status_in(&self, environment: &Environment) -> Status;
    /// name of the authorized account, or nothing
    fn account_in(&self, environment: &Environment) -> &str;
}

async fn list(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find(&engine, &desk).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk) -> Result<List<'a>> {
    let query = ConnectionQuery {
        connector: desk.query.given("connector"),
        level: Level::parse(desk.query.get("level")),
        limit: None,
        cursor: desk.query.given("cursor"),
    };
    let page = engine.list_connections(&desk.op, &query).await?;
    let next = page
        .next_cursor
        .as_ref()
        .map(|cursor| with_query("/console/connections", &desk.query, "cursor", cursor));
    Ok(List { frame: &desk.frame, form: Form::new(desk.query.clone()), page, next })
}
