//! The audit trail: who did what to which, when, from where; and whether somebody tampered with it.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{Error, EventKind, Result, Timestamp};
use jackfield_engine::govern::audit::{AuditQuery, AuditView, ChainView};
use jackfield_engine::{Engine, Page};
use serde_json::Value;

use super::common::{People, mends};
use super::desk::{Desk, Frame};
use super::form::{Field, Fields, Form, encoded, with_query};
use super::parts;

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
    people: People,
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
    actor: String,
    /// id by which the actor is found
    actor_id: Option<String>,
    sentence: Sentence,
    address: Option<String>,
    request_id: Option<String>,
    /// everything that is known of it, for those who want it exactly
    detail: String,
}

/// `authorized`, `vendors`, `in production`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sentence {
    did: String,
    thing: String,
    /// where the thing is shown
    place: Option<String>,
    rest: String,
}

impl Sentence {
    fn new(did: impl Into<String>) -> Self {
        Self { did: did.into(), ..Self::default() }
    }

    fn connection(self, link: &str) -> Self {
        Self { place: Some(format!("/console/connections/{link}")), ..self.thing(link) }
    }

    fn application(self, link: &str) -> Self {
        Self { place: Some(format!("/console/applications/{link}")), ..self.thing(link) }
    }

    fn thing(self, thing: impl Into<String>) -> Self {
        Self { thing: thing.into(), ..self }
    }

    fn rest(self, rest: impl Into<String>) -> Self {
        Self { rest: rest.into(), ..self }
    }
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
        choices.extend(self.people.members.iter().map(|member| (member.id.as_str(), member.name.as_str())));
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
    let people = People::of(engine, desk).await?;
    let next = next_cursor.map(|cursor| with_query(HERE, &desk.query, "cursor", &cursor));
    let filtered = ["action", "actor", "connection", "from", "until"]
        .iter()
        .any(|name| desk.query.given(name).is_some());
    let lines = items.into_iter().map(|row| line(row, &people)).collect();
    Ok(List { frame: &desk.frame, now: desk.op.now, form, people, lines, next, filtered, chain: None })
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

fn line(row: AuditView, people: &People) -> Line {
    let actor = match (row.actor.kind.as_str(), row.actor.id.as_deref()) {
        ("member", Some(id)) => people.name(id).to_owned(),
        ("application", _) => "An application".to_owned(),
        ("operator", _) => "The operator".to_owned(),
        _ => "Jackfield".to_owned(),
    };
    let detail = match &row.detail {
        Value::Object(map) if map.is_empty() => String::new(),
        detail => detail.to_string(),
    };
    Line {
        seq: row.seq,
        at: row.at,
        sentence: sentence(&row, people),
        action: row.action,
        actor,
        actor_id: row.actor.id,
        address: row.address,
        request_id: row.request_id,
        detail,
    }
}

/// What happened, in words. Events that this does not know are named as programs name them.
fn sentence(row: &AuditView, people: &People) -> Sentence {
    use EventKind as Kind;
    let Some(kind) = Kind::parse(&row.action) else {
        return Sentence::new(&row.action).thing(&row.subject);
    };
    let text = |name: &str| row.detail.get(name).and_then(Value::as_str).unwrap_or("");
    let listed = |name: &str| -> Vec<&str> {
        let list = row.detail.get(name).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    };
    let subject = row.subject.as_str();
    let link = row.connection.as_deref().unwrap_or(subject);
    // Whoever was removed is not among the people any more; the trail knows his address.
    let person = |id: &str| match (people.knows(id), text("email")) {
        (true, _) | (false, "") => people.name(id).to_owned(),
        (false, email) => email.to_owned(),
    };
    let own = row.actor.id.as_deref() == Some(subject);
    let account = match text("account_name") {
        "" => "an account".to_owned(),
        name => format!("“{name}”"),
    };
    let places = match listed("environments").as_slice() {
        [] => String::new(),
        all if all.len() == 3 => "in all environments".to_owned(),
        some => format!("in {}", some.join(" and ")),
    };
    let by_role =
        |role: &str| jackfield_core::Role::parse(role).map(|role| parts::role_word(&role).to_lowercase());
    match kind {
        Kind::OrganizationCreated => Sentence::new("made the organization"),
        Kind::OrganizationUpdated if !text("plan").is_empty() => {
            Sentence::new("gave the organization the plan").thing(text("plan"))
        }
        Kind::OrganizationUpdated => Sentence::new("changed the settings of the organization"),
        Kind::MemberInvited => {
            let again = row.detail.get("again").is_some();
            let role = by_role(text("role")).map(|role| format!("as {role}")).unwrap_or_default();
            Sentence::new("invited").thing(person(subject)).rest(if again {
                "again".to_owned()
            } else {
                role
            })
        }
        Kind::MemberJoined => Sentence::new("accepted the invitation"),
        Kind::MemberUpdated => {
            let was = row.detail.get("was").and_then(|was| was.get("role")).and_then(Value::as_str);
            match by_role(text("role")) {
                Some(role) if was != Some(text("role")) => {
                    Sentence::new("changed the role of").thing(person(subject)).rest(format!("to {role}"))
                }
                _ if own => Sentence::new("changed the own name").rest(format!("to “{}”", text("name"))),
                _ => Sentence::new("renamed").thing(person(subject)),
            }
        }
        Kind::MemberDeactivated => Sentence::new("deactivated").thing(person(subject)),
        Kind::MemberReactivated => Sentence::new("reactivated").thing(person(subject)),
        Kind::MemberRemoved => Sentence::new("removed").thing(person(subject)),
        Kind::SuperAdminTransferred => Sentence::new("made super admin:").thing(person(subject)),
        Kind::MemberHandedOver => {
            let number = listed("authorizations").len();
            let what = parts::count(number, "authorization", "authorizations");
            Sentence::new(format!("handed over {what} of"))
                .thing(person(subject))
                .rest(format!("to {}", people.name(text("to"))))
        }
        Kind::SessionStarted => Sentence::new("signed in"),
        Kind::SessionEnded if row.detail.get("others").is_some() => Sentence::new("ended all other sessions"),
        Kind::SessionEnded => Sentence::new("ended a session"),
        Kind::SignInRefused => Sentence::new("refused to sign in").thing(person(subject)),
        Kind::PasswordChanged => Sentence::new("changed the own password"),
        Kind::PasswordResetRequested if row.actor.id.is_some() => {
            Sentence::new("made a link for a new password of").thing(person(subject))
        }
        Kind::PasswordResetRequested => {
            Sentence::new("was asked for a new password of").thing(person(subject))
        }
        Kind::KeyCreated | Kind::KeyRevoked => {
            let did = if kind == Kind::KeyCreated { "made the key" } else { "revoked the key" };
            let rest = match text("application") {
                "" => String::new(),
                application => format!("of the application {application}"),
            };
            Sentence::new(did).thing(format!("“{}”", text("name"))).rest(rest)
        }
        Kind::ApplicationCreated => Sentence::new("made the application").application(subject),
        Kind::ApplicationUpdated => Sentence::new("changed the application").application(subject),
        Kind::ApplicationDeleted => Sentence::new("deleted the application").thing(subject),
        Kind::ApplicationMemberAdded => {
            Sentence::new(format!("gave {} access to", people.name(text("member")))).application(subject)
        }
        Kind::ApplicationMemberRemoved => {
            Sentence::new(format!("withdrew the access of {} to", people.name(text("member"))))
                .application(subject)
        }
        Kind::ComponentDeclared => {
            let uses = parts::count(listed("connections").len(), "connection", "connections");
            Sentence::new(format!("said that {} uses {uses}, in", text("component"))).application(subject)
        }
        Kind::ComponentRemoved => {
            Sentence::new(format!("removed {} from", text("component"))).application(subject)
        }
        Kind::ConnectorCreated => Sentence::new("made the connector").thing(subject),
        Kind::ConnectorUpdated => Sentence::new("changed the connector").thing(subject),
        Kind::ConnectorStaged => match text("stage") {
            stage @ ("published" | "disabled") => {
                Sentence::new(format!("{stage} the connector")).thing(subject)
            }
            stage => Sentence::new("put the connector").thing(subject).rest(format!("to {stage}")),
        },
        Kind::ConnectorDeleted => Sentence::new("deleted the connector").thing(subject),
        Kind::ConnectionCreated => {
            let connector = text("connector");
            Sentence::new("made the connection").connection(link).rest(format!("to {connector}"))
        }
        Kind::ConnectionUpdated if !text("allowed").is_empty() => {
            Sentence::new(format!("allowed {} to use", text("allowed"))).connection(link)
        }
        Kind::ConnectionUpdated if !text("forbidden").is_empty() => {
            Sentence::new(format!("forbade {} to use", text("forbidden"))).connection(link)
        }
        Kind::ConnectionUpdated => Sentence::new("changed the connection").connection(link),
        Kind::ConnectionEnabled => Sentence::new("enabled").connection(link),
        Kind::ConnectionDisabled => Sentence::new("disabled").connection(link),
        Kind::ConnectionDeleted => Sentence::new("deleted the connection").thing(link),
        Kind::ConnectionSwitched => {
            Sentence::new("switched").connection(link).rest(format!("to {account} {places}"))
        }
        Kind::PrimaryChosen => {
            let did = format!("chose {account} for unattended work of");
            Sentence::new(did).connection(link).rest(places)
        }
        Kind::AuthorizationConnected => Sentence::new("authorized").connection(link).rest(places),
        Kind::AuthorizationReused => {
            Sentence::new(format!("used {account} also for")).connection(link).rest(places)
        }
        Kind::AuthorizationReplaced => Sentence::new("authorized anew:").connection(link).rest(places),
        Kind::AuthorizationRenamed => Sentence::new(format!("renamed the account “{}” of", text("from")))
            .connection(link)
            .rest(format!("to “{}”", text("to"))),
        Kind::AuthorizationSetUp => Sentence::new("made a choice for").connection(link),
        Kind::AuthorizationRevoked => Sentence::new(format!("took {account} from")).connection(link),
        Kind::AuthorizationRefreshed => Sentence::new("got a fresh token for").connection(link),
        Kind::AuthorizationFailing => Sentence::new("cannot refresh, for now,").connection(link),
        Kind::AuthorizationRecovered => Sentence::new("could refresh again").connection(link),
        Kind::ReauthorizationRequired => {
            Sentence::new("found that an account is no longer accepted, of").connection(link)
        }
        Kind::FlowEnded => {
            let rest = match text("state") {
                "" => String::new(),
                state => format!("({})", state.replace('_', " ")),
            };
            Sentence::new("saw an attempt to authorize end, of").connection(link).rest(rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use jackfield_engine::govern::audit::ActorView;
    use serde_json::json;

    use super::*;

    fn people() -> People {
        People::from(Vec::new(), true)
    }

    fn row(action: &str, detail: Value) -> AuditView {
        AuditView {
            seq: 1,
            at: Timestamp::default(),
            actor: ActorView { kind: "member".to_owned(), id: Some("mem_1".to_owned()) },
            action: action.to_owned(),
            subject: "vendors".to_owned(),
            connection: Some("vendors".to_owned()),
            detail,
            request_id: None,
            address: None,
            hash: String::new(),
        }
    }

    #[test]
    fn every_event_has_words_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in EventKind::ALL {
            let said = sentence(&row(kind.as_str(), json!({})), &people());
            assert!(!said.did.is_empty() && !said.did.contains('.'), "{kind:?}");
            assert!(seen.insert(format!("{} {}", said.did, said.rest)), "{kind:?}: {said:?}");
        }
        // A later version may know more.
        assert_eq!(sentence(&row("moon.landed", json!({})), &people()).did, "moon.landed");
    }

    #[test]
    fn sentences_say_where_and_what() {
        let said =
            sentence(&row("authorization.connected", json!({"environments": ["production"]})), &people());
        assert_eq!((said.did.as_str(), said.thing.as_str()), ("authorized", "vendors"));
        assert_eq!(said.rest, "in production");
        assert_eq!(said.place.as_deref(), Some("/console/connections/vendors"));
        let said = sentence(&row("member.removed", json!({"email": "ada@acme.example"})), &people());
        assert_eq!((said.thing.as_str(), said.place), ("ada@acme.example", None));
        let said = sentence(&row("connection.updated", json!({"forbidden": "portal"})), &people());
        assert_eq!(said.did, "forbade portal to use");
    }

    #[test]
    fn days_of_the_filter_count_from_midnight_to_midnight() {
        let query = asked(&Fields::parse(b"from=2026-11-22&until=2026-11-22&action=key")).unwrap();
        assert_eq!(query.from.unwrap().to_string(), "2026-11-22T00:00:00.000Z");
        assert_eq!(query.until.unwrap().to_string(), "2026-11-23T00:00:00.000Z");
        assert_eq!(query.action.as_deref(), Some("key"));
        assert_eq!(asked(&Fields::parse(b"from=soon")).unwrap_err().fields[0].field, "from");
    }
}
