//! The audit trail: who did what to which, when, from where; and whether somebody tampered with it.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Error, Result, Timestamp};
use jackfield_engine::govern::audit::{AuditQuery, AuditView, ChainView};
use jackfield_engine::{Engine, Page};
use serde_json::Value;

use super::common::{Names, mends};
use super::desk::{Desk, Frame};
use super::form::{Field, Fields, Form, encoded, with_query};
use super::parts;
use super::told::{Sentence, told};

const HERE: &str = "/console/audit";
const DAY: std::time::Duration = std::time::Duration::from_hours(24);

pub(super) fn routes() -> Router<Engine> {
    Router::new().route("/console/audit", get(list)).route("/console/audit/check", get(check))
}

/// What the filter offers: the first word of an event, and what people call it.
const KINDS: [(&str, &str); 12] = [
    ("", "Everything"),
    ("connection", "Connections"),
    ("authorization", "Authorizations"),
    ("flow", "Attempts to authorize"),
    ("application", "Applications"),
    ("connector", "Connectors"),
    ("member", "Members"),
    ("session", "Signing in and out"),
    ("password", "Passwords"),
    ("key", "Keys"),
    ("organization", "The organization"),
    ("session.refused", "Refused sign-ins"),
];

#[derive(Template)]
#[template(path = "console/audit.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    form: Form,
    names: Names,
    lines: Vec<Line>,
    next: Option<String>,
    filtered: bool,
    chain: Option<ChainView>,
}

/// A row of the trail as a sentence.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    seq: i64,
    at: Timestamp,
    /// the row as the filters find its like
    action: String,
    /// id by which the actor is found
    actor_id: Option<String>,
    sentence: Sentence,
    address: Option<String>,
    request_id: Option<String>,
    /// everything that is known of it, for those who want it exactly
    detail: String,
}

impl List<'_> {
    fn action(&self) -> Field<'_> {
        let mut choices = KINDS.to_vec();
        let chosen = self.form.value("action");
        if !KINDS.iter().any(|(kind, _)| *kind == chosen) {
            choices.push((chosen, chosen));
        }
        self.form.select("action", "What", &choices)
    }

    fn actor(&self) -> Field<'_> {
        let mut choices = vec![("", "Anybody")];
        choices.extend(
            self.names.people.members.iter().map(|member| (member.id.as_str(), member.name.as_str())),
        );
        let chosen = self.form.value("actor");
        if !choices.iter().any(|(id, _)| *id == chosen) {
            choices.push((chosen, chosen));
        }
        self.form.select("actor", "Who", &choices)
    }

    fn like(line: &Line) -> String {
        format!("{HERE}?action={}", encoded(&line.action))
    }

    fn by(id: &str) -> String {
        format!("{HERE}?actor={}", encoded(id))
    }
}

async fn list(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = match asked(&desk.query) {
        Ok(query) => find(&engine, &desk, &query, Form::new(desk.query.clone())).await,
        Err(error) => Err(error),
    };
    match page {
        Err(error) if mends(&error) => {
            let form = Form::refused(desk.query.clone(), &error);
            let page = find(&engine, &desk, &AuditQuery::default(), form).await;
            desk.again(&error, page)
        }
        page => desk.show(page),
    }
}

async fn find<'a>(engine: &Engine, desk: &'a Desk, query: &AuditQuery, form: Form) -> Result<List<'a>> {
    let Page { items, next_cursor } = engine.list_audit(&desk.op, query).await?;
    let names = Names::of(engine, desk).await?;
    let next = next_cursor.map(|cursor| with_query(HERE, &desk.query, "cursor", &cursor));
    let filtered = ["action", "actor", "connection", "from", "until"]
        .iter()
        .any(|name| desk.query.given(name).is_some());
    let lines = items.into_iter().map(|row| line(row, &names)).collect();
    Ok(List { frame: &desk.frame, now: desk.op.now, form, names, lines, next, filtered, chain: None })
}

/// Reads the whole trail: a page of its own, so that it happens when somebody wants it.
async fn check(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = async {
        let chain = engine.verify_own_audit(&desk.op).await?;
        let page = find(&engine, &desk, &AuditQuery::default(), Form::default()).await?;
        Ok(List { chain: Some(chain), ..page })
    };
    desk.show(page.await)
}

/// A day of the filter, from its midnight in UTC.
fn midnight(fields: &Fields, name: &str) -> Result<Option<Timestamp>> {
    let Some(day) = fields.given(name) else { return Ok(None) };
    let moment = Value::String(format!("{day}T00:00:00Z"));
    let wrong = |_| Error::field(name, "invalid", "Write the day as 2026-11-22.");
    serde_json::from_value(moment).map(Some).map_err(wrong)
}

/// The filter as the engine has it. Both days count, `until` to its end.
fn asked(fields: &Fields) -> Result<AuditQuery> {
    Ok(AuditQuery {
        action: fields.given("action"),
        actor: fields.given("actor"),
        subject: None,
        connection: fields.given("connection"),
        from: midnight(fields, "from")?,
        until: midnight(fields, "until")?.map(|day| day.plus(DAY)),
        limit: None,
        cursor: fields.given("cursor"),
    })
}

fn line(row: AuditView, names: &Names) -> Line {
    let detail = match &row.detail {
        Value::Object(map) if map.is_empty() => String::new(),
        detail => detail.to_string(),
    };
    Line {
        seq: row.seq,
        at: row.at,
        sentence: told(&row, names),
        action: row.action,
        actor_id: row.actor.id,
        address: row.address,
        request_id: row.request_id,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_filter_count_from_midnight_to_midnight() {
        let query = asked(&Fields::parse(b"from=2026-11-22&until=2026-11-22&action=key")).unwrap();
        assert_eq!(query.from.unwrap().to_string(), "2026-11-22T00:00:00.000Z");
        assert_eq!(query.until.unwrap().to_string(), "2026-11-23T00:00:00.000Z");
        assert_eq!(query.action.as_deref(), Some("key"));
        assert_eq!(asked(&Fields::parse(b"from=soon")).unwrap_err().fields[0].field, "from");
    }
}
