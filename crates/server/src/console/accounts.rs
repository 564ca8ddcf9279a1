//! My accounts: what the one who is signed in authorized, and which connections ask for an account of his.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Level, Result, Timestamp};
use jackfield_engine::connect::connections::{ConnectionQuery, ConnectionView};
use jackfield_engine::govern::members::OwnedView;
use jackfield_engine::{Engine, Page};

use super::common::asked_page;
use super::connections::ConnectionViewExt as _;
use super::desk::{Desk, Frame};
use super::form::with_query;
use super::members;
use super::parts::{self, Status};

const HERE: &str = "/console/accounts";

pub(super) fn routes() -> Router<Engine> {
    Router::new().route("/console/accounts", get(show))
}

#[derive(Template)]
#[template(path = "console/accounts.html")]
struct Accounts<'a> {
    frame: &'a Frame,
    now: Timestamp,
    /// connections that wait for an account of his in the environment that is chosen
    asking: Vec<ConnectionView>,
    owned: Page<OwnedView>,
    next: Option<String>,
}

impl Accounts<'_> {
    fn title(&self) -> String {
        match self.asking.len() {
            0 => "My accounts".to_owned(),
            number => {
                parts::count(number, "connection asks for your account", "connections ask for your account")
            }
        }
    }

    fn authorize(&self, connection: &ConnectionView) -> String {
        format!(
            "/console/connections/{}/authorize?environment={}",
            connection.link_name, self.frame.environment
        )
    }

    fn environment(&self) -> String {
        parts::environment_word(&self.frame.environment).to_lowercase()
    }
}

async fn show(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find(&engine, &desk).await;
    desk.show(page)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk) -> Result<Accounts<'a>> {
    let query = ConnectionQuery { level: Some(Level::User), limit: Some(200), ..ConnectionQuery::default() };
    let asking = engine.list_connections(&desk.op, &query).await?.items;
    let environment = desk.frame.environment;
    let asking = asking
        .into_iter()
        .filter(|connection| connection.status_in(&environment) == Status::NotConnected)
        .collect();
    let owned = engine.member_authorizations(&desk.op, &desk.frame.who.member, &asked_page(desk)).await?;
    let next = owned.next_cursor.as_ref().map(|cursor| with_query(HERE, &desk.query, "cursor", cursor));
    Ok(Accounts { frame: &desk.frame, now: desk.op.now, asking, owned, next })
}
