//! A connection: its accounts, who uses it, its calls, its history, its settings; and what can be done with each.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::connector::Scope;
use jackfield_core::id::{self, Prefix};
use jackfield_core::{
    Action, Code, ConnectionStatus, Environment, Error, Level, Resource, Result, Timestamp, permit,
};
use jackfield_engine::call::invoke::CallView;
use jackfield_engine::connect::authorizations::{AuthorizationPatch, AuthorizationView, Switch};
use jackfield_engine::connect::connections::{ConnectionPatch, ConnectionView};
use jackfield_engine::connect::connectors::ConnectorAt;
use jackfield_engine::connect::references::ReferenceView;
use jackfield_engine::connect::setup::{SetupChosen, SetupView};
use jackfield_engine::govern::applications::ApplicationView;
use jackfield_engine::govern::audit::EventView;
use jackfield_engine::{Engine, Page, PageQuery};
use serde_json::{Map, Value};

use super::built::{Built, Catalogue};
use super::common::{Names, mends, most};
use super::connections::ConnectionViewExt as _;
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form, with_query};
use super::journey::{Asked, chosen_applications, scopes_of};
use super::parts::{self, Status};
use super::pictures::{CallsChart, RefreshTicks, calls_chart, refresh_ticks};
use super::told::{Happening, Sentence, told};

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/connections/{link}", get(accounts))
        .route("/console/connections/{link}/usage", get(usage))
        .route("/console/connections/{link}/calls", get(calls))
        .route("/console/connections/{link}/history", get(history))
        .route("/console/connections/{link}/settings", get(settings).post(change))
        .route("/console/connections/{link}/enabled", post(set_enabled))
        .route("/console/connections/{link}/delete", get(ask_delete).post(delete))
        .route("/console/connections/{link}/accounts/{id}", get(account).post(rename))
        .route("/console/connections/{link}/accounts/{id}/serve", post(serve))
        .route("/console/connections/{link}/accounts/{id}/primary", post(primary))
        .route("/console/connections/{link}/accounts/{id}/setup", get(setup).post(choose))
        .route("/console/connections/{link}/accounts/{id}/revoke", get(ask_revoke).post(revoke))
}

/// What every page of a connection shows.
pub(super) struct Head<'a> {
    pub frame: &'a Frame,
    pub connection: ConnectionView,
    pub tab: &'static str,
    pub may_manage: bool,
    pub may_authorize: bool,
    pub now: Timestamp,
}

impl Head<'_> {
    /// Where it does not work any more.
    pub fn broken(&self) -> Vec<Environment> {
        let c = &self.connection;
        let broken = |environment: &Environment| {
            c.enabled && *c.status.of(*environment) == ConnectionStatus::ReauthorizationRequired
        };
        Environment::ALL.iter().copied().filter(broken).collect()
    }

    /// The version of the connector that it is on and the newest, where that is another.
    pub fn behind(&self) -> Option<(i64, i64)> {
        let c = &self.connection;
        c.connector_version.zip(c.newest_connector_version).filter(|(on, newest)| on < newest)
    }

    pub fn scopes(&self) -> String {
        match self.connection.scopes.len() {
            0 => "None".to_owned(),
            1..=3 => self.connection.scopes.join(", "),
            many => format!("{many} scopes"),
        }
    }

    pub fn applications(&self) -> String {
        match self.connection.applications.as_slice() {
            [] => "None".to_owned(),
            [all] if all == "*" => "All".to_owned(),
            some => some.join(", "),
        }
    }

    /// Whether one authorization serves every environment: then it is drawn as one line.
    pub fn is_one_line(&self) -> bool {
        self.connection.same_authorization
    }

    /// Whether each person authorizes for himself.
    pub fn is_personal(&self) -> bool {
        self.connection.level == Level::User
    }

    pub fn path(&self) -> String {
        format!("/console/connections/{}", self.connection.link_name)
    }
}

/// The same for whoever may change it; others are told so before they have typed.
pub(super) async fn managed<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<Head<'a>> {
    let connection = engine.read_connection(&desk.op, link).await?;
    permit(&desk.op.principal, Action::Manage, &resource(&desk.frame, &connection))?;
    head(engine, desk, link, "settings").await
}

fn resource<'r>(frame: &Frame, connection: &'r ConnectionView) -> Resource<'r> {
    Resource::Connection {
        level: connection.level,
        managed_by_admins: frame.who.managed_by_admins,
        applications: &connection.applications,
    }
}

pub(super) async fn head<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    tab: &'static str,
) -> Result<Head<'a>> {
    let connection = engine.read_connection(&desk.op, link).await?;
    let may = |action| permit(&desk.op.principal, action, &resource(&desk.frame, &connection)).is_ok();
    let (may_manage, may_authorize) = (may(Action::Manage), may(Action::Authorize));
    Ok(Head { frame: &desk.frame, connection, tab, may_manage, may_authorize, now: desk.op.now })
}

/// What pages say of an account.
trait AuthorizationViewExt {
    fn status_part(&self) -> parts::StatusPart<'static>;
    fn needs_attention(&self) -> bool;
}

impl AuthorizationViewExt for AuthorizationView {
    fn status_part(&self) -> parts::StatusPart<'static> {
        Status::of(true, self.status).part()
    }

    fn needs_attention(&self) -> bool {
        self.status == ConnectionStatus::ReauthorizationRequired
    }
}

/// One environment and what serves it.
struct Row {
    environment: Environment,
    status: Status,
    account: Option<AuthorizationView>,
    owner: String,
}

#[derive(Template)]
#[template(path = "console/connection.html")]
struct Accounts<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    rows: Vec<Row>,
    /// the others that it holds: not in use here, or of other people
    others: Vec<(AuthorizationView, String)>,
    references: Vec<ReferenceView>,
    recent: Vec<CallLine>,
    refreshes: RefreshTicks,
}

impl Accounts<'_> {
    fn is_unconnected(&self) -> bool {
        self.rows.iter().all(|row| row.account.is_none())
    }
}

async fn accounts(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = accounts_page(&engine, &desk, &link).await;
    desk.show(page)
}

async fn accounts_page<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<Accounts<'a>> {
    let head = head(engine, desk, link, "accounts").await?;
    let query = most();
    let held = engine.list_authorizations(&desk.op, link, &query).await?.items;
    let names = Names::of(engine, desk).await?;
    let owner = |row: &AuthorizationView| names.name(&row.owner).to_owned();
    let connection = &head.connection;
    let mut rows = Vec::new();
    let mut serving = Vec::new();
    for environment in Environment::ALL {
        let account = connection.accounts.of(*environment).as_ref();
        let account = account.and_then(|served| held.iter().find(|row| row.id == served.authorization));
        if let Some(account) = account {
            serving.push(account.id.clone());
        }
        rows.push(Row {
            environment: *environment,
            status: connection.status_in(environment),
            account: account.cloned(),
            owner: account.map(owner).unwrap_or_default(),
        });
    }
    let others = held.into_iter().filter(|row| !serving.contains(&row.id));
    let others = others.map(|row| (row.clone(), owner(&row))).collect();
    let references = references(engine, desk, link).await?;
    let few = PageQuery { limit: Some(5), cursor: None };
    let recent =
        if head.frame.sees_all() { engine.list_calls(&desk.op, link, &few).await?.items } else { Vec::new() };
    let recent = recent.into_iter().map(|call| CallLine::of(call, &names)).collect();
    let refreshes = refresh_ticks(engine, &desk.op, link).await?;
    Ok(Accounts { frame: &desk.frame, head, rows, others, references, recent, refreshes })
}

/// What uses the connection; whoever may not know is shown nothing.
async fn references(engine: &Engine, desk: &Desk, link: &str) -> Result<Vec<ReferenceView>> {
    let query = most();
    match engine.list_references(&desk.op, link, &query).await {
        Ok(page) => Ok(page.items),
        Err(error) if error.code == Code::Forbidden => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A call, in the words of a list.
pub(super) struct CallLine {
    call: CallView,
    caller: String,
    status: Status,
    answer: String,
}

impl CallLine {
    fn of(call: CallView, names: &Names) -> Self {
        let caller = names.name(&call.principal).to_owned();
        let (status, answer) = match (&call.error, call.status) {
            (Some(code), _) => (Status::Failed, code.clone()),
            (None, Some(status @ 400..)) => (Status::Failed, status.to_string()),
            (None, Some(status)) => (Status::Connected, status.to_string()),
            (None, None) => (Status::NotConnected, "no answer".to_owned()),
        };
        Self { call, caller, status, answer }
    }

    fn took(&self) -> String {
        millis(self.call.duration_ms)
    }

    /// What the service took of it, and what Jackfield added.
    fn split(&self) -> Option<String> {
        let service = self.call.service_ms?;
        let ours = (self.call.duration_ms - service).max(0.0);
        Some(format!("{} service, {} ours", millis(service), millis(ours)))
    }
}

/// Small ones with a tenth: what is ours is often below one.
fn millis(ms: f64) -> String {
    if ms < 9.95 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

#[derive(Template)]
#[template(path = "console/connection_usage.html")]
struct Usage<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    references: Vec<Reference>,
    applications: Vec<ApplicationView>,
}

/// A place that uses the connection.
struct Reference {
    /// link name and name of the application
    application: (String, String),
    component: String,
    /// what it is, where it is built here
    built: Option<Built>,
}

async fn usage(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = async {
        let head = head(&engine, &desk, &link, "usage").await?;
        let query = most();
        let mut applications = engine.list_applications(&desk.op, &query).await?.items;
        let mut catalogues: BTreeMap<String, Catalogue> = BTreeMap::new();
        let mut shown = Vec::new();
        for found in references(&engine, &desk, &link).await? {
            if !catalogues.contains_key(&found.application) {
                let catalogue = Catalogue::of(&engine, &desk.op, &found.application).await?;
                catalogues.insert(found.application.clone(), catalogue);
            }
            let name = applications.iter().find(|one| one.link_name == found.application);
            let name = name.map_or_else(|| found.application.clone(), |one| one.name.clone());
            let built = catalogues.get(&found.application).and_then(|all| all.get(&found.component));
            shown.push(Reference {
                application: (found.application, name),
                built: built.cloned(),
                component: found.component,
            });
        }
        let allowed = &head.connection.applications;
        applications.retain(|one| allowed.iter().any(|name| *name == "*" || *name == one.link_name));
        Ok(Usage { frame: &desk.frame, head, references: shown, applications })
    };
    desk.show(page.await)
}

#[derive(Template)]
#[template(path = "console/connection_calls.html")]
struct CallList<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    calls: Vec<CallLine>,
    next: Option<String>,
    chart: CallsChart,
}

async fn calls(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = async {
        let head = head(&engine, &desk, &link, "calls").await?;
        let query = PageQuery { limit: None, cursor: desk.query.given("cursor") };
        let page = engine.list_calls(&desk.op, &link, &query).await?;
        let names = Names::of(&engine, &desk).await?;
        let next = next_page(&head, &desk, &page);
        let calls = page.items.into_iter().map(|call| CallLine::of(call, &names)).collect();
        let chart = calls_chart(&engine, &desk.op, &link, desk.frame.environment).await?;
        Ok(CallList { frame: &desk.frame, head, calls, next, chart })
    };
    desk.show(page.await)
}

fn next_page<T>(head: &Head<'_>, desk: &Desk, page: &Page<T>) -> Option<String> {
    let here = format!("{}/{}", head.path(), head.tab);
    page.next_cursor.as_ref().map(|cursor| with_query(&here, &desk.query, "cursor", cursor))
}

/// Something that happened, as a sentence, and what else is known of it.
struct EventLine {
    at: Timestamp,
    sentence: Sentence,
    detail: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "console/connection_history.html")]
struct History<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    events: Vec<EventLine>,
    next: Option<String>,
}

async fn history(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = async {
        let head = head(&engine, &desk, &link, "history").await?;
        let query = PageQuery { limit: None, cursor: desk.query.given("cursor") };
        let page = engine.connection_events(&desk.op, &link, &query).await?;
        let names = Names::of(&engine, &desk).await?;
        let next = next_page(&head, &desk, &page);
        let events = page.items.iter().map(|event| event_line(event, &link, &names)).collect();
        Ok(History { frame: &desk.frame, head, events, next })
    };
    desk.show(page.await)
}

fn event_line(event: &EventView, connection: &str, names: &Names) -> EventLine {
    let sentence = told(Happening::of(event, connection), names);
    let detail = event.detail.as_object().into_iter().flatten();
    // People and applications are called by their names, wherever an event has their ids.
    let is_id = |text: &str| id::is(Prefix::Member, text) || id::is(Prefix::Application, text);
    let called = |text: String| if is_id(&text) { names.name(&text).to_owned() } else { text };
    let detail = detail.map(|(name, value)| (name.replace('_', " "), called(said(value)))).collect();
    EventLine { at: event.at, sentence, detail }
}

/// A JSON value in plain words.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(said).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[derive(Template)]
#[template(path = "console/connection_settings.html")]
struct Settings<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    form: Form,
    scopes: Vec<Scope>,
    parameters: Vec<Asked>,
    applications: Vec<ApplicationView>,
    other: Vec<String>,
}

async fn settings(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = settings_page(&engine, &desk, &link, None).await;
    desk.show(page)
}

async fn settings_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    refused: Option<(Fields, &Error)>,
) -> Result<Settings<'a>> {
    let head = managed(engine, desk, link).await?;
    let connection = &head.connection;
    let connector = engine
        .read_connector_at(&desk.op, &connection.connector.link_name, &ConnectorAt::of(connection))
        .await?;
    let query = most();
    let applications = engine.list_applications(&desk.op, &query).await?.items;
    let form = if let Some((fields, error)) = refused {
        Form::refused(fields, error)
    } else {
        let mut fields = Fields::default()
            .with("name", connection.name.as_str())
            .with("version", connection.version.to_string());
        for scope in &connection.scopes {
            fields = fields.with("scopes", scope.as_str());
        }
        for (name, value) in &connection.parameters {
            if let Some(text) = value.as_str() {
                fields = fields.with(&format!("parameters.{name}"), text);
            }
        }
        if connection.same_authorization {
            fields = fields.with("same_authorization", "on");
        }
        for application in &connection.applications {
            let name = if application == "*" { "all_applications" } else { "applications" };
            let value = if application == "*" { "on" } else { application.as_str() };
            fields = fields.with(name, value);
        }
        Form::new(fields)
    };
    let scopes = scopes_of(&connector);
    let parameters = Asked::parameters(&connector);
    let mut shown = vec!["name", "scopes", "applications", "same_authorization"];
    shown.extend(parameters.iter().map(Asked::name));
    let other = form.other_errors(&shown);
    Ok(Settings { frame: &desk.frame, head, form, scopes, parameters, applications, other })
}

async fn change(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let result = async {
        let now = engine.read_connection(&desk.op, &link).await?;
        let connector =
            engine.read_connector_at(&desk.op, &now.connector.link_name, &ConnectorAt::of(&now)).await?;
        let scopes: Vec<String> = form.all("scopes").map(str::to_owned).collect();
        let patch = ConnectionPatch {
            name: Some(form.get("name").to_owned()),
            scopes: (!scopes_of(&connector).is_empty()).then_some(scopes),
            parameters: Some(parameters_of(&form, &connector)),
            same_authorization: Some(form.has("same_authorization")),
            applications: Some(chosen_applications(&form)),
            version: form.get("version").parse().ok(),
        };
        let asks_more =
            patch.scopes.as_ref().is_some_and(|scopes| scopes.iter().any(|s| !now.scopes.contains(s)));
        engine.update_connection(&desk.op, &link, patch).await.map(|view| (view, asks_more))
    };
    let here = format!("/console/connections/{link}/settings");
    match result.await {
        Ok((_, true)) => desk.done(
            &format!("/console/connections/{link}"),
            "Saved. The new scopes are there once somebody has accepted them: reauthorize.",
        ),
        Ok(_) => desk.done(&here, "Saved."),
        Err(error) if mends(&error) => {
            let page = settings_page(&engine, &desk, &link, Some((form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// What was typed; an empty field takes the parameter out, but an empty secret stays what it was.
fn parameters_of(
    form: &Fields,
    connector: &jackfield_engine::connect::connectors::ConnectorView,
) -> Map<String, Value> {
    let mut changed = Map::new();
    for parameter in &connector.asked_for_connection {
        let field = format!("parameters.{}", parameter.name);
        match form.get(&field) {
            "" if parameter.secret || !form.has(&field) => {}
            "" => {
                changed.insert(parameter.name.clone(), Value::Null);
            }
            value => {
                changed.insert(parameter.name.clone(), Value::from(value));
            }
        }
    }
    changed
}

async fn set_enabled(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let enabled = sent.form.get("enabled") == "true";
    let done = engine.enable_connection(&sent.desk.op, &link, enabled).await;
    let news = if enabled {
        "Enabled: it serves calls again."
    } else {
        "Disabled: every call is refused from now on."
    };
    sent.desk.then(done, &format!("/console/connections/{link}"), news)
}

/// Something that cannot be undone, before it is done.
#[derive(Template)]
#[template(path = "console/connection_undoable.html")]
struct Undoable<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    form: Form,
    title: String,
    /// what stops working
    consequences: Vec<String>,
    references: Vec<ReferenceView>,
    button: &'static str,
    /// what has to be typed; nothing where it can be made good
    typed: Option<String>,
    /// whether it cannot be done now
    barred: bool,
}

async fn delete_page<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Undoable<'a>> {
    let head = managed(engine, desk, link).await?;
    let references = references(engine, desk, link).await?;
    let barred = !references.is_empty();
    let consequences = if barred {
        vec![format!(
            "It is in use: {}. Take it out of them first.",
            parts::count(references.len(), "reference", "references")
        )]
    } else {
        vec![
            "Every call through it is refused from that moment on.".to_owned(),
            "Its accounts are revoked, at the service too where it offers that and no other connection uses them."
                .to_owned(),
            "Its link name is free again.".to_owned(),
        ]
    };
    Ok(Undoable {
        frame: &desk.frame,
        title: format!("Delete {}?", head.connection.name),
        typed: (!barred).then(|| link.to_owned()),
        button: "Delete it for good",
        head,
        form,
        consequences,
        references,
        barred,
    })
}

async fn ask_delete(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = delete_page(&engine, &desk, &link, Form::default()).await;
    desk.show(page)
}

fn not_typed() -> Error {
    Error::field("typed", "invalid", "Type the link name exactly as it stands above.")
}

async fn delete(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let result = if form.get("typed").trim() == link {
        engine.delete_connection(&desk.op, &link).await
    } else {
        Err(not_typed())
    };
    match result {
        Ok(()) => desk.done("/console/connections", &format!("{link} is deleted.")),
        Err(error) if matches!(error.code, Code::InvalidInput | Code::ConnectionReferenced) => {
            let page = delete_page(&engine, &desk, &link, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/account.html")]
struct Account<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    form: Form,
    row: AuthorizationView,
    owner: String,
    own: bool,
}

impl Account<'_> {
    /// Where it does not serve and could.
    fn elsewhere(&self) -> Vec<Environment> {
        let serves = &self.row.environments;
        Environment::ALL.iter().copied().filter(|environment| !serves.contains(environment)).collect()
    }

    fn is_primary(&self, environment: &Environment) -> bool {
        let primary = self.head.connection.primary.as_ref().and_then(|all| all.of(*environment).as_ref());
        primary.is_some_and(|id| *id == self.row.id)
    }
}

async fn account_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    (link, id): (&str, &str),
    refused: Option<(Fields, &Error)>,
) -> Result<Account<'a>> {
    let head = head(engine, desk, link, "accounts").await?;
    let row = engine.read_authorization(&desk.op, link, id).await?;
    let names = Names::of(engine, desk).await?;
    let owner = names.name(&row.owner).to_owned();
    let own = row.owner == desk.frame.who.member;
    let form = match refused {
        Some((fields, error)) => Form::refused(fields, error),
        None => Form::new(
            Fields::default()
                .with("account_name", row.account_name.as_str())
                .with("version", row.version.to_string()),
        ),
    };
    Ok(Account { frame: &desk.frame, head, form, row, owner, own })
}

async fn account(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = account_page(&engine, &desk, (&link, &id), None).await;
    desk.show(page)
}

fn account_path(link: &str, id: &str) -> String {
    format!("/console/connections/{link}/accounts/{id}")
}

async fn rename(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let patch = AuthorizationPatch {
        account_name: form.get("account_name").to_owned(),
        version: form.get("version").parse().ok(),
    };
    match engine.rename_authorization(&desk.op, &link, &id, patch).await {
        Ok(_) => desk.done(&account_path(&link, &id), "Renamed."),
        Err(error) if mends(&error) => {
            let page = account_page(&engine, &desk, (&link, &id), Some((form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn serve(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let switch = Switch { authorization: id.clone() };
    let environment = sent.form.get("environment");
    let done = engine.switch_authorization(&sent.desk.op, &link, environment, switch).await;
    sent.desk.then(
        done,
        &format!("/console/connections/{link}"),
        "Switched: calls use this account from now on.",
    )
}

async fn primary(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let switch = Switch { authorization: id.clone() };
    let done = engine.choose_primary(&sent.desk.op, &link, sent.form.get("environment"), switch).await;
    sent.desk.then(done, &account_path(&link, &id), "Schedules and datasources use this account from now on.")
}

#[derive(Template)]
#[template(path = "console/account_setup.html")]
struct Setup<'a> {
    head: Head<'a>,
    frame: &'a Frame,
    steps: Vec<SetupView>,
}

async fn setup(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = async {
        let head = head(&engine, &desk, &link, "accounts").await?;
        let steps = engine.read_setup(&desk.op, &link, &id).await?.items;
        Ok(Setup { frame: &desk.frame, head, steps })
    };
    desk.show(page.await)
}

async fn choose(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let answer = SetupChosen { value: sent.form.get("value").to_owned() };
    let done = engine.choose_setup(&sent.desk.op, &link, &id, sent.form.get("step"), answer).await;
    sent.desk.then(done, &account_path(&link, &id), "Chosen.")
}

async fn revoke_page<'a>(engine: &Engine, desk: &'a Desk, link: &str, id: &str) -> Result<Undoable<'a>> {
    let head = head(engine, desk, link, "accounts").await?;
    let row = engine.read_authorization(&desk.op, link, id).await?;
    let references = references(engine, desk, link).await?;
    let service = &head.connection.connector.name;
    let mut consequences = Vec::new();
    if row.environments.is_empty() {
        consequences.push("It serves nothing now, so that no call stops working.".to_owned());
    } else {
        let places: Vec<&str> = row.environments.iter().map(parts::environment_word).collect();
        let whose = if head.connection.level == Level::User { " of its owner" } else { "" };
        consequences.push(format!(
            "Calls{whose} in {} are refused until somebody authorizes again.",
            places.join(", ")
        ));
        if !references.is_empty() {
            let stop = if references.len() == 1 { "stops" } else { "stop" };
            let count = parts::count(references.len(), "reference", "references");
            consequences.push(format!("{count} {stop} working."));
        }
    }
    consequences.push(format!(
        "It is revoked at {service}, too, where that is possible and no other connection uses it."
    ));
    Ok(Undoable {
        frame: &desk.frame,
        title: format!("Revoke {}?", row.account_name),
        typed: None,
        button: "Revoke",
        form: Form::default(),
        head,
        consequences,
        references,
        barred: false,
    })
}

async fn ask_revoke(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    desk: Desk,
) -> Response {
    let page = revoke_page(&engine, &desk, &link, &id).await;
    desk.show(page)
}

async fn revoke(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let done = engine.revoke_authorization(&sent.desk.op, &link, &id).await;
    sent.desk.then(done, &format!("/console/connections/{link}"), "Revoked.")
}
