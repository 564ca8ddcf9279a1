//! Connections: the list.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Environment, Level, Result};
use jackfield_engine::connect::connections::{ConnectionQuery, ConnectionView};
use jackfield_engine::{Engine, Page, PageQuery};

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
    /// status, its words, the link to it
    tabs: Vec<(&'static str, &'static str, String)>,
    connectors: Vec<(String, String)>,
    applications: Vec<(String, String)>,
    filtered: bool,
}

impl ConnectionViewExt for ConnectionView {
    fn status_in(&self, environment: &Environment) -> Status {
        Status::of(self.enabled, *self.status.of(*environment))
    }

    fn is_one_line(&self) -> bool {
        let [first, rest @ ..] = Environment::ALL else { return false };
        self.same_authorization && rest.iter().all(|other| self.status_in(other) == self.status_in(first))
    }

    fn account_in(&self, environment: &Environment) -> &str {
        self.accounts.of(*environment).as_ref().map_or("", |account| &account.account_name)
    }
}

/// What pages say of a connection.
pub(crate) trait ConnectionViewExt {
    fn status_in(&self, environment: &Environment) -> Status;
    /// whether one authorization serves every environment, so that it is drawn as one cord
    fn is_one_line(&self) -> bool;
    /// name of the authorized account, or nothing
    fn account_in(&self, environment: &Environment) -> &str;
}

async fn list(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find(&engine, &desk).await;
    desk.show(page)
}

impl List<'_> {
    /// Choices of a drop-down, the first one for any.
    fn choices<'c>(&self, any: &'c str, some: &'c [(String, String)]) -> Vec<(&'c str, &'c str)> {
        let mut choices = vec![("", any)];
        choices.extend(some.iter().map(|(value, words)| (value.as_str(), words.as_str())));
        choices
    }
}

const STATUSES: [(&str, &str); 5] = [
    ("", "All"),
    ("reauthorization_required", "Needs attention"),
    ("not_connected", "Not connected"),
    ("connected", "Connected"),
    ("disabled", "Disabled"),
];

async fn find<'a>(engine: &Engine, desk: &'a Desk) -> Result<List<'a>> {
    let (op, asked) = (&desk.op, &desk.query);
    let query = ConnectionQuery {
        connector: asked.given("connector"),
        level: Level::parse(asked.get("level")),
        application: asked.given("application"),
        q: asked.given("q"),
        status: asked.given("status"),
        environment: Some(desk.frame.environment.as_str().to_owned()),
        limit: None,
        cursor: asked.given("cursor"),
    };
    let page = engine.list_connections(op, &query).await?;
    let here = "/console/connections";
    let next = page.next_cursor.as_ref().map(|cursor| with_query(here, asked, "cursor", cursor));
    let tabs = STATUSES.map(|(status, words)| (status, words, with_query(here, asked, "status", status)));
    let mut connectors: Vec<(String, String)> = Vec::new();
    for connection in &page.items {
        let card = &connection.connector;
        if !connectors.iter().any(|(link, _)| *link == card.link_name) {
            connectors.push((card.link_name.clone(), card.name.clone()));
        }
    }
    // One that was chosen and has nothing to show stays chosen.
    if let Some(chosen) = &query.connector
        && !connectors.iter().any(|(link, _)| link == chosen)
    {
        connectors.push((chosen.clone(), chosen.clone()));
    }
    connectors.sort_by(|a, b| a.1.cmp(&b.1));
    let all = PageQuery { limit: Some(200), cursor: None };
    let applications = engine.list_applications(op, &all).await?.items;
    let applications = applications.into_iter().map(|one| (one.link_name, one.name)).collect();
    let filtered = !asked.is_empty();
    let form = Form::new(asked.clone());
    Ok(List { frame: &desk.frame, form, page, next, tabs: tabs.into(), connectors, applications, filtered })
}
