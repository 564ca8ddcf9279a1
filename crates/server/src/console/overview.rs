//! The first page: what needs somebody, in sentences with their one action; then calls, who uses what, and what changed.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jackfield_core::{ConnectionStatus, Environment, Level, Result, Timestamp};
use jackfield_engine::Engine;
use jackfield_engine::connect::connections::ConnectionQuery;
use jackfield_engine::govern::overview::{Attention, AttentionList, Matter};

use super::common::Names;
use super::desk::{Desk, Frame};
use super::parts::{self, Status, distance, environment_word};
use super::pictures::{CallsChart, Map};
use super::told::{Sentence, told};

/// Connections that the map draws.
const DRAWN: usize = 12;
/// Changes that are told.
const CHANGES: usize = 6;

pub(super) fn routes() -> Router<Engine> {
    Router::new().route("/console", get(show))
}

/// A sentence about what is the matter, what it means, and its one action.
struct Task {
    status: Status,
    title: String,
    /// what it means
    body: String,
    /// what the service said
    reason: String,
    link: String,
    action: &'static str,
}

fn when(now: Timestamp, at: Timestamp) -> String {
    distance(now, at)
}

fn task(now: Timestamp, environment: Environment, found: &Attention) -> Task {
    let place = environment_word(&environment).to_lowercase();
    let name = &found.name;
    let account = match &found.owner {
        Some(owner) => format!("{} of {owner}", found.account),
        None => found.account.clone(),
    };
    let details = format!("/console/connections/{}", found.connection);
    let authorize = format!("{details}/authorize?environment={environment}");
    let who = match (found.level, &found.owner) {
        _ if found.own => String::new(),
        (Level::User, Some(owner)) => format!(" Only {owner} can do that."),
        (Level::User, None) => " Only its owner can do that.".to_owned(),
        (Level::Admin, _) => " An admin has to do that.".to_owned(),
        (Level::System, _) => " The super admin has to do that.".to_owned(),
    };
    let (link, act) = if found.own { (authorize, true) } else { (details, false) };
    let action = |word| if act { word } else { "Look at it" };
    match &found.matter {
        Matter::Again { reason } => Task {
            status: Status::Attention,
            title: format!("{name} stopped working in {place} {}", when(now, found.at)),
            body: format!(
                "The service no longer accepts {account}. Somebody has to authorize it again.{who}"
            ),
            reason: reason.clone().unwrap_or_default(),
            link,
            action: action("Reauthorize"),
        },
        Matter::Soon => {
            let verb = if found.at > now { "expires" } else { "expired" };
            Task {
                status: Status::Attention,
                title: format!("{name} {verb} in {place} {}", when(now, found.at)),
                body: format!(
                    "{account} cannot be refreshed by Jackfield. Somebody has to accept again.{who}"
                ),
                reason: String::new(),
                link,
                action: action("Reauthorize"),
            }
        }
        Matter::First { used_by } => Task {
            status: Status::NotConnected,
            title: format!("{name} was never authorized in {place}"),
            body: match used_by {
                Some(application) => format!(
                    "Made {}. {application} uses it, and its calls are refused until somebody authorizes.{who}",
                    when(now, found.at)
                ),
                None => {
                    format!("Made {}. Calls are refused until somebody authorizes.{who}", when(now, found.at))
                }
            },
            reason: String::new(),
            link,
            action: action("Authorize"),
        },
    }
}

/// *Three things need you*.
fn heading(count: usize, more: bool) -> String {
    const WORDS: [&str; 13] = [
        "Nothing", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven",
        "Twelve",
    ];
    match (count, WORDS.get(count)) {
        _ if more => format!("More than {count} things need you"),
        (0, _) => "Nothing needs you".to_owned(),
        (1, _) => "One thing needs you".to_owned(),
        (_, Some(word)) => format!("{word} things need you"),
        (_, None) => format!("{count} things need you"),
    }
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Overview<'a> {
    frame: &'a Frame,
    now: Timestamp,
    heading: String,
    lead: String,
    tasks: Vec<Task>,
    more: bool,
    calls: Option<CallsChart>,
    map: Option<Map>,
    /// nothing for those who may not read the audit trail
    changes: Option<Vec<(Timestamp, Sentence)>>,
    place: String,
}

/// What there is before there is anything.
#[derive(Template)]
#[template(path = "console/first.html")]
struct First<'a> {
    frame: &'a Frame,
}

async fn show(State(engine): State<Engine>, desk: Desk) -> Response {
    if !desk.frame.sees_all() {
        let page = own(&engine, &desk).await;
        return desk.show(page);
    }
    match engine.usage_map(&desk.op, desk.frame.environment, DRAWN).await {
        Ok(map) if map.total == 0 => desk.show(Ok(First { frame: &desk.frame })),
        Ok(map) => {
            let page = all(&engine, &desk, Map::of(&map, desk.frame.environment)).await;
            desk.show(page)
        }
        Err(error) => desk.trouble(&error),
    }
}

fn tasks(desk: &Desk, list: &AttentionList) -> Vec<Task> {
    list.items.iter().map(|found| task(desk.op.now, desk.frame.environment, found)).collect()
}

async fn all<'a>(engine: &Engine, desk: &'a Desk, map: Map) -> Result<Overview<'a>> {
    let environment = desk.frame.environment;
    let list = engine.attention(&desk.op, environment).await?;
    let tasks = tasks(desk, &list);
    let rates = engine.call_rates(&desk.op, None, environment).await?;
    let changes = if desk.frame.is_admin() {
        let names = Names::of(engine, desk).await?;
        let rows = engine.recent_changes(&desk.op, CHANGES).await?;
        Some(rows.iter().map(|row| (row.at, told(row, &names))).collect())
    } else {
        None
    };
    let place = environment_word(&environment).to_lowercase();
    let lead = if tasks.is_empty() {
        format!(
            "In {place} every authorization is accepted, none ends within a week, and what applications use is authorized."
        )
    } else {
        format!("Everything else that {} uses in {place} is in order.", desk.frame.who.organization)
    };
    Ok(Overview {
        frame: &desk.frame,
        now: desk.op.now,
        heading: heading(tasks.len(), list.more),
        lead,
        tasks,
        more: list.more,
        calls: Some(CallsChart::of(&rates, environment)),
        map: Some(map),
        changes,
        place,
    })
}

/// For users: what asks for their own accounts.
async fn own<'a>(engine: &Engine, desk: &'a Desk) -> Result<Overview<'a>> {
    let environment = desk.frame.environment;
    let list = engine.attention(&desk.op, environment).await?;
    let mut tasks = tasks(desk, &list);
    let query = ConnectionQuery { level: Some(Level::User), ..ConnectionQuery::default() };
    let asking = engine.list_connections(&desk.op, &query).await?;
    let connections = asking.items.len();
    for connection in asking.items {
        if connection.enabled && *connection.status.of(environment) == ConnectionStatus::NotConnected {
            tasks.push(Task {
                status: Status::NotConnected,
                title: format!("{} asks for your account", connection.name),
                body: format!(
                    "Each person authorizes an account of his own at {}. Until you do, what needs it does not work for you.",
                    connection.connector.name
                ),
                reason: String::new(),
                link: format!("/console/connections/{}/authorize?environment={environment}", connection.link_name),
                action: "Authorize",
            });
        }
    }
    let more = list.more || asking.next_cursor.is_some();
    let place = environment_word(&environment).to_lowercase();
    let lead = match (tasks.is_empty(), connections) {
        (true, 0) => "No connection asks for an account of yours. What admins authorized works without you.",
        (true, _) => "Every connection that asks for an account of yours has one.",
        _ => "These connections use an account of your own; nobody else can authorize them for you.",
    };
    Ok(Overview {
        frame: &desk.frame,
        now: desk.op.now,
        heading: heading(tasks.len(), more && !tasks.is_empty()),
        lead: lead.to_owned(),
        tasks,
        more,
        calls: None,
        map: None,
        changes: None,
        place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_somebody_is_said_as_it_is() {
        let now = Timestamp::from_micros(10_000_000_000);
        let found = |matter, own, level| Attention {
            matter,
            connection: "crm".to_owned(),
            name: "Zoho CRM".to_owned(),
            level,
            authorization: Some("auth_1".to_owned()),
            account: "Sales".to_owned(),
            owner: Some("Jon Berg".to_owned()),
            own,
            at: Timestamp::from_micros(10_000_000_000 - 47 * 60_000_000),
        };
        let again = task(
            now,
            Environment::Production,
            &found(Matter::Again { reason: Some("invalid_grant".into()) }, true, Level::Admin),
        );
        assert_eq!(again.title, "Zoho CRM stopped working in production 47 minutes ago");
        assert_eq!(
            (again.action, again.link.as_str()),
            ("Reauthorize", "/console/connections/crm/authorize?environment=production")
        );
        let soon = task(now, Environment::Stage, &found(Matter::Soon, false, Level::User));
        assert!(
            soon.title.starts_with("Zoho CRM expired in stage")
                && soon.body.ends_with("Only Jon Berg can do that.")
        );
        assert_eq!((soon.action, soon.link.as_str()), ("Look at it", "/console/connections/crm"));
        let first = task(
            now,
            Environment::Stage,
            &found(Matter::First { used_by: Some("Portal".into()) }, false, Level::Admin),
        );
        assert!(first.body.contains("Portal uses it") && first.body.ends_with("An admin has to do that."));
        assert_eq!(
            [0, 1, 3, 12, 13].map(|n| heading(n, false)).join("; "),
            "Nothing needs you; One thing needs you; Three things need you; Twelve things need you; 13 things need you"
        );
        assert_eq!(heading(20, true), "More than 20 things need you");
    }
}
