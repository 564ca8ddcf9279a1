//! Versions of connectors: what was published, what differs, and the move of a connection from one to another.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jackfield_core::connector::{Asks, Change};
use jackfield_core::{Code, Error, Result, Timestamp};
use jackfield_engine::connect::connectors::ConnectorView;
use jackfield_engine::connect::moves::{ConnectionMove, MovePreview, MoveQuery};
use jackfield_engine::connect::versions::{DiffQuery, VersionCard};
use jackfield_engine::{Engine, PageQuery};

use super::common::{Names, mends};
use super::desk::{Desk, Frame, Sent};
use super::details::{Head, managed};
use super::form::{Fields, Form, encoded, with_query};
use super::journey::{Asked, values};
use super::parts;

/// Versions that can be chosen from.
const CHOICES: u32 = 200;
const DRAFT: &str = "draft";

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/connectors/{link}/versions", get(versions))
        .route("/console/connections/{link}/move", get(preview).post(carry_out))
}

/// Differences under one heading.
struct Group {
    title: &'static str,
    /// each with what it asks of people
    changes: Vec<(Change, &'static str)>,
}

fn grouped(changes: Vec<Change>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for change in changes {
        let title = change.area.title();
        let asked = asks(&change);
        match groups.last_mut().filter(|group| group.title == title) {
            Some(group) => group.changes.push((change, asked)),
            None => groups.push(Group { title, changes: vec![(change, asked)] }),
        }
    }
    groups
}

/// What a difference asks of people, in short.
fn asks(change: &Change) -> &'static str {
    match change.asks {
        None => "",
        Some(Asks::Parameter) => "Asked when moving",
        Some(Asks::Authorization) => "Authorize again",
    }
}

/// `3` as *Version 3*, and what is worked on.
fn word(version: &str) -> String {
    if version == DRAFT { "What is not published yet".to_owned() } else { format!("Version {version}") }
}

#[derive(Template)]
#[template(path = "console/connector_versions.html")]
struct Versions<'a> {
    frame: &'a Frame,
    form: Form,
    view: ConnectorView,
    rows: Vec<(VersionCard, String)>,
    next: Option<String>,
    choices: Vec<(String, String)>,
    /// from, to, what differs
    diff: Option<(String, String, Vec<Group>)>,
    now: Timestamp,
}

impl Versions<'_> {
    fn is_newest(&self, version: &VersionCard) -> bool {
        self.view.published_version == Some(version.number)
    }

    fn choices(&self) -> Vec<(&str, &str)> {
        self.choices.iter().map(|(value, word)| (value.as_str(), word.as_str())).collect()
    }
}

async fn versions(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = versions_page(&engine, &desk, &link).await;
    desk.show(page)
}

async fn versions_page<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<Versions<'a>> {
    let view = engine.read_connector(&desk.op, link).await?;
    let query = PageQuery { limit: None, cursor: desk.query.given("cursor") };
    let page = engine.list_versions(&desk.op, link, &query).await?;
    let all = PageQuery { limit: Some(CHOICES), cursor: None };
    let all = engine.list_versions(&desk.op, link, &all).await?.items;
    let mut choices: Vec<(String, String)> =
        all.iter().map(|version| (version.number.to_string(), word(&version.number.to_string()))).collect();
    if view.unpublished_changes {
        choices.insert(0, (DRAFT.to_owned(), word(DRAFT)));
    }
    // Unless somebody has chosen: what comes next against what there is, else the newest against the one before.
    let mut given = choices.iter().map(|(value, _)| value.clone());
    let (newest, before) = (given.next(), given.next());
    let to = desk.query.given("to").or(newest);
    let from = desk.query.given("from").or(before);
    let mut fields = Fields::default();
    let diff = match (from, to) {
        (Some(from), Some(to)) => {
            fields = fields.with("from", from.as_str()).with("to", to.as_str());
            let query = DiffQuery { from: Some(from), to: Some(to) };
            let diff = engine.diff_versions(&desk.op, link, &query).await?;
            Some((word(&diff.from), word(&diff.to), grouped(diff.changes)))
        }
        _ => None,
    };
    let names = Names::of(engine, desk).await?;
    let next = page.next_cursor.as_ref().map(|cursor| {
        with_query(&format!("/console/connectors/{}/versions", encoded(link)), &desk.query, "cursor", cursor)
    });
    let named = |version: VersionCard| {
        let name = names.name(&version.created_by).to_owned();
        (version, name)
    };
    Ok(Versions {
        frame: &desk.frame,
        form: Form::new(fields),
        rows: page.items.into_iter().map(named).collect(),
        next,
        choices,
        diff,
        now: desk.op.now,
        view,
    })
}

#[derive(Template)]
#[template(path = "console/connection_move.html")]
struct Move<'a> {
    frame: &'a Frame,
    head: Head<'a>,
    form: Form,
    preview: MovePreview,
    asked: Vec<Asked>,
    groups: Vec<Group>,
    /// other versions that it could be moved to
    others: Vec<i64>,
    other: Vec<String>,
}

async fn preview(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = match desk.query.given("to").map(|to| to.parse::<i64>()).transpose() {
        Ok(to) => move_page(&engine, &desk, &link, to, None).await,
        Err(_) => Err(Error::new(Code::InvalidRequest, "to: say the number of a version.")),
    };
    desk.show(page)
}

async fn move_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    to: Option<i64>,
    refused: Option<(Fields, &Error)>,
) -> Result<Move<'a>> {
    let head = managed(engine, desk, link).await?;
    let mut preview = engine.preview_move(&desk.op, link, &MoveQuery { to }).await?;
    let form = match refused {
        Some((fields, error)) => Form::refused(fields, error),
        None => Form::new(Fields::default().with("version", preview.version.to_string())),
    };
    let asked = Asked::of_parameters(&preview.parameters);
    let shown: Vec<&str> = asked.iter().map(Asked::name).collect();
    let all = PageQuery { limit: Some(CHOICES), cursor: None };
    let all = engine.list_versions(&desk.op, &head.connection.connector.link_name, &all).await?.items;
    let others = all.into_iter().map(|version| version.number);
    Ok(Move {
        frame: &desk.frame,
        other: form.other_errors(&shown),
        groups: grouped(std::mem::take(&mut preview.changes)),
        others: others.filter(|number| *number != preview.to && *number != preview.from).collect(),
        asked,
        form,
        preview,
        head,
    })
}

async fn carry_out(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let to = form.get("to").parse().ok();
    let wanted = ConnectionMove {
        to,
        parameters: values(&form, "parameters."),
        scopes: None,
        version: form.get("version").parse().ok(),
    };
    let here = format!("/console/connections/{}", encoded(&link));
    match engine.move_connection(&desk.op, &link, wanted).await {
        Ok(moved) if moved.authorizations.is_empty() => {
            desk.done(&here, &format!("Moved to version {}. It serves on.", moved.to))
        }
        Ok(moved) => {
            let number = moved.authorizations.len();
            let accounts = parts::count(number, "account", "accounts");
            desk.done(&here, &format!("Moved to version {}. To authorize again: {accounts}.", moved.to))
        }
        Err(error) if mends(&error) => {
            let page = move_page(&engine, &desk, &link, to, Some((form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}
