//! Create and authorize: pick a connector, configure, authorize; and what comes of it.
//!
//! Each step has an address of its own and goes on by a form, so that it works without JavaScript. With it, the service opens in a pop-up
//! while the page of the flow counts down and watches; without it, or where pop-ups are blocked, the same page leads on in the same tab.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use jackfield_core::connector::{Access, Scope};
use jackfield_core::{Action, Environment, Error, Level, Resource, Result};
use jackfield_engine::Engine;
use jackfield_engine::connect::authorizations::{
    AuthorizationView, Authorized, NewAuthorization, Reauthorization,
};
use jackfield_engine::connect::connections::{ConnectionView, NewConnection};
use jackfield_engine::connect::connectors::{ConnectorAt, ConnectorCard, ConnectorQuery, ConnectorView};
use jackfield_engine::connect::flows::FlowView;
use serde_json::{Map, Value, json};

use super::common::mends;
use super::connections::ConnectionViewExt as _;
use super::connectors::keep_first;
use super::desk::{Desk, Frame, Sent, guard};
use super::form::{Fields, Form, encoded, with_query};
use super::parts;
use super::templates::page_of;

/// Connectors on the first page, before anybody searches.
const CARDS: u32 = 200;
/// Connectors that the organization uses most, above all others.
const USED: usize = 6;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/connections/new", get(pick))
        .route("/console/connections/new/{connector}", get(configure).post(create))
        .route("/console/connections/{link}/authorize", get(ask).post(authorize))
        .route("/console/connections/{link}/connected", get(connected))
        .route("/console/flows/{id}", get(watch))
        .route("/console/flows/{id}/state", get(state))
        .route("/console/flows/{id}/cancel", post(cancel))
}

/// Connectors of one category.
struct Shelf {
    category: String,
    cards: Vec<ConnectorCard>,
    /// how many there are and where, when these are the first only
    all: Option<(usize, String)>,
}

#[derive(Template)]
#[template(path = "console/new.html")]
struct Pick<'a> {
    frame: &'a Frame,
    form: Form,
    custom: bool,
    searching: bool,
    category: String,
    /// categories of all, with how many each has, and the link
    categories: Vec<(String, usize, String)>,
    total: usize,
    used: Vec<ConnectorCard>,
    shelves: Vec<Shelf>,
    more: Option<String>,
}

async fn pick(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find(&engine, &desk).await;
    desk.show(page)
}

/// Whoever may make no connection is told so before he has typed.
fn may_make(desk: &Desk) -> Result<()> {
    let managed_by_admins = desk.frame.who.managed_by_admins;
    let made = Resource::Connection { level: Level::Admin, managed_by_admins, applications: &[] };
    desk.may(Action::Manage, &made)
}

async fn find<'a>(engine: &Engine, desk: &'a Desk) -> Result<Pick<'a>> {
    may_make(desk)?;
    let (op, query) = (&desk.op, &desk.query);
    let custom = query.get("kind") == "custom";
    let kind = Some(if custom { "custom" } else { "built_in" }.to_owned());
    let all = ConnectorQuery { kind: kind.clone(), limit: Some(CARDS), ..ConnectorQuery::default() };
    let here = "/console/connections/new";
    let mut categories: Vec<(String, usize, String)> = Vec::new();
    let mut total = 0;
    let mut everything: Vec<ConnectorCard> = Vec::new();
    let mut cursor = None;
    loop {
        let page = engine.list_connectors(op, &ConnectorQuery { cursor, ..all.clone() }).await?;
        for card in page.items.into_iter().filter(|card| card.stage == "published") {
            total += 1;
            let category = shelf_of(&card);
            if let Some((_, count, _)) = categories.iter_mut().find(|(name, _, _)| *name == category) {
                *count += 1;
            } else {
                let link = with_query(here, query, "category", &category);
                categories.push((category, 1, link));
            }
            everything.push(card);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let wanted = ConnectorQuery {
        kind,
        category: query.given("category"),
        q: query.given("q"),
        limit: Some(CARDS),
        cursor: query.given("cursor"),
    };
    let searching = wanted.q.is_some() || wanted.category.is_some() || wanted.cursor.is_some();
    let (found, more) = if searching {
        let page = engine.list_connectors(op, &wanted).await?;
        let more = page.next_cursor.as_ref().map(|cursor| with_query(here, query, "cursor", cursor));
        (page.items, more)
    } else {
        (everything, None)
    };
    let used = if searching || custom { Vec::new() } else { engine.connectors_used_here(op, USED).await? };
    let mut shelves: Vec<Shelf> = Vec::new();
    for card in found.into_iter().filter(|card| card.stage == "published") {
        let category = shelf_of(&card);
        match shelves.iter_mut().find(|shelf| shelf.category == category) {
            Some(shelf) => shelf.cards.push(card),
            None => shelves.push(Shelf { category, cards: vec![card], all: None }),
        }
    }
    shelves.sort_by_key(|shelf| shelf.category.to_lowercase());
    categories.sort_by_key(|(name, _, _)| name.to_lowercase());
    if !searching && !custom {
        for shelf in &mut shelves {
            let link = with_query(here, query, "category", &shelf.category);
            shelf.all = keep_first(&mut shelf.cards).map(|all| (all, link));
        }
    }
    let category = query.get("category").to_owned();
    let form = Form::new(query.clone());
    Ok(Pick { frame: &desk.frame, form, custom, searching, category, categories, total, used, shelves, more })
}

fn shelf_of(card: &ConnectorCard) -> String {
    card.category.clone().unwrap_or_else(|| "Other".to_owned())
}

/// Whether somebody authorizes at the service itself, in a browser.
pub(super) fn goes_to_a_browser(connector: &ConnectorView) -> bool {
    matches!(connector.card.auth_type, "oauth2_code" | "oauth1")
}

/// Scopes that permit the same kind of thing.
struct ScopeGroup {
    title: &'static str,
    scopes: Vec<Scope>,
}

/// The scopes of a connector, in its own order.
pub(super) fn scopes_of(connector: &ConnectorView) -> Vec<Scope> {
    let scopes = connector.document.get("scopes").cloned().unwrap_or(Value::Null);
    serde_json::from_value(scopes).unwrap_or_default()
}

/// The scopes of a connector, grouped by what they permit.
fn scope_groups(connector: &ConnectorView) -> Vec<ScopeGroup> {
    let scopes = scopes_of(connector);
    let kinds = [
        (Some(Access::Read), "Read"),
        (Some(Access::Write), "Write"),
        (Some(Access::Full), "Everything"),
        (None, "Other"),
    ];
    let of = |access| scopes.iter().filter(|scope| scope.access == access).cloned().collect::<Vec<_>>();
    let groups = kinds.map(|(access, title)| ScopeGroup { title, scopes: of(access) });
    groups.into_iter().filter(|group| !group.scopes.is_empty()).collect()
}

fn levels(connector: &ConnectorView) -> Vec<Level> {
    let levels = connector.document.get("levels").cloned().unwrap_or(Value::Null);
    serde_json::from_value(levels).unwrap_or_else(|_| vec![Level::Admin])
}

/// Something that is asked for by the connector: a parameter or a part of the credential.
pub(super) struct Asked {
    name: String,
    label: String,
    help: String,
    secret: bool,
    required: bool,
    choices: Vec<(String, String)>,
}

impl Asked {
    pub(super) fn parameters(connector: &ConnectorView) -> Vec<Self> {
        Self::of_parameters(&connector.asked_for_connection)
    }

    pub(super) fn of_parameters(parameters: &[jackfield_core::connector::Parameter]) -> Vec<Self> {
        let of = |p: &jackfield_core::connector::Parameter| Self {
            name: format!("parameters.{}", p.name),
            label: p.label.clone().unwrap_or_else(|| p.name.clone()),
            help: p.help.clone().unwrap_or_default(),
            secret: p.secret,
            required: p.required.unwrap_or(false) && p.default.is_none(),
            choices: p
                .choices
                .iter()
                .map(|c| (c.value.clone(), c.label.clone().unwrap_or_else(|| c.value.clone())))
                .collect(),
        };
        parameters.iter().map(of).collect()
    }

    pub(super) fn credentials(connector: &ConnectorView) -> Vec<Self> {
        let of = |f: &jackfield_core::connector::CredentialField| Self {
            name: format!("credentials.{}", f.name),
            label: f.label.clone().unwrap_or_else(|| f.name.clone()),
            help: f.help.clone().unwrap_or_default(),
            secret: f.secret,
            required: f.required,
            choices: Vec::new(),
        };
        connector.asked_for_authorization.iter().map(of).collect()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The field, with what was typed and what is wrong with it.
    pub(super) fn field<'a>(&'a self, form: &'a Form) -> super::form::Field<'a> {
        let field = if !self.choices.is_empty() {
            let mut choices: Vec<(&str, &str)> = if self.required { Vec::new() } else { vec![("", "–")] };
            choices.extend(self.choices.iter().map(|(value, words)| (value.as_str(), words.as_str())));
            form.select(&self.name, &self.label, &choices)
        } else if self.name == "parameters.private_key" {
            form.secret_area(&self.name, &self.label, 6)
        } else if self.secret {
            form.secret(&self.name, &self.label)
        } else {
            form.text(&self.name, &self.label)
        };
        let field = field.help(&self.help).mono();
        if self.required { field } else { field.optional() }
    }
}

#[derive(Template)]
#[template(path = "console/configure.html")]
struct Configure<'a> {
    frame: &'a Frame,
    form: Form,
    connector: ConnectorView,
    groups: Vec<ScopeGroup>,
    levels: Vec<Level>,
    parameters: Vec<Asked>,
    before: Option<super::connectors::Before>,
    applications: Vec<(String, String)>,
    other: Vec<String>,
}

async fn configure(State(engine): State<Engine>, Path(connector): Path<String>, desk: Desk) -> Response {
    let page = configure_page(&engine, &desk, &connector, None).await;
    desk.show(page)
}

async fn configure_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    connector: &str,
    refused: Option<(Fields, &Error)>,
) -> Result<Configure<'a>> {
    may_make(desk)?;
    let connector = engine.read_connector_at(&desk.op, connector, &ConnectorAt::newest()).await?;
    let groups = scope_groups(&connector);
    let levels = levels(&connector);
    let parameters = Asked::parameters(&connector);
    let before = super::connectors::Before::of(&connector);
    let applications = engine
        .list_applications(&desk.op, &jackfield_engine::PageQuery { limit: Some(200), cursor: None })
        .await?
        .items
        .into_iter()
        .map(|application| (application.link_name, application.name))
        .collect();
    let form = if let Some((fields, error)) = refused {
        Form::refused(fields, error)
    } else {
        let mut fields = Fields::default()
            .with("name", connector.card.name.as_str())
            .with("level", levels.first().map_or("admin", |level| level.as_str()))
            .with("same_authorization", "on")
            .with("all_applications", "on");
        for scope in groups.iter().flat_map(|group| &group.scopes).filter(|scope| scope.default) {
            fields = fields.with("scopes", scope.name.as_str());
        }
        for parameter in &connector.asked_for_connection {
            if let Some(default) = &parameter.default {
                fields = fields.with(&format!("parameters.{}", parameter.name), default.as_str());
            }
        }
        Form::new(fields)
    };
    let mut shown = vec!["name", "link_name", "level", "scopes", "applications"];
    shown.extend(parameters.iter().map(|asked| asked.name.as_str()));
    let other = form.other_errors(&shown);
    let frame = &desk.frame;
    Ok(Configure { frame, form, connector, groups, levels, parameters, before, applications, other })
}

impl Configure<'_> {
    fn offers(&self, level: &str) -> bool {
        self.levels.iter().any(|offered| offered.as_str() == level)
    }
}

/// The values under a prefix that were given.
pub(super) fn values(form: &Fields, prefix: &str) -> Map<String, Value> {
    form.under(prefix)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}

/// Link names of the applications that were ticked; `*` for all.
pub(super) fn chosen_applications(form: &Fields) -> Vec<String> {
    if form.has("all_applications") {
        vec!["*".to_owned()]
    } else {
        form.all("applications").map(str::to_owned).collect()
    }
}

async fn create(State(engine): State<Engine>, Path(connector): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let new = NewConnection {
        connector: connector.clone(),
        name: form.get("name").to_owned(),
        link_name: form.given("link_name"),
        level: Level::parse(form.get("level")),
        scopes: Some(form.all("scopes").map(str::to_owned).collect()),
        parameters: values(&form, "parameters."),
        same_authorization: Some(form.has("same_authorization")),
        applications: Some(chosen_applications(&form)),
    };
    match engine.create_connection(&desk.op, new).await {
        Ok(made) => desk.go(&format!("/console/connections/{}/authorize", made.link_name)),
        Err(error) if mends(&error) => {
            let page = configure_page(&engine, &desk, &connector, Some((form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/authorize.html")]
struct Ask<'a> {
    frame: &'a Frame,
    form: Form,
    connection: ConnectionView,
    credentials: Vec<Asked>,
    reusable: Vec<AuthorizationView>,
    /// the authorization that is authorized again
    replaces: Option<AuthorizationView>,
    /// whether a browser goes to the service
    browser: bool,
    other: Vec<String>,
}

async fn ask(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let replaces = desk.query.given("replaces");
    let page = ask_page(&engine, &desk, &link, replaces.as_deref(), None).await;
    desk.show(page)
}

async fn ask_page<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    replaces: Option<&str>,
    refused: Option<(Fields, &Error)>,
) -> Result<Ask<'a>> {
    let op = &desk.op;
    let connection = engine.read_connection(op, link).await?;
    let connector =
        engine.read_connector_at(op, &connection.connector.link_name, &ConnectorAt::of(&connection)).await?;
    // Whoever may not authorize is told so here, not after he has typed.
    let reusable = engine.reusable(op, link).await?.items;
    let replaces = match replaces {
        Some(id) => Some(engine.read_authorization(op, link, id).await?),
        None => None,
    };
    let serving: Vec<&str> = Environment::ALL
        .iter()
        .filter_map(|environment| connection.accounts.of(*environment).as_ref())
        .map(|account| account.authorization.as_str())
        .collect();
    let reusable = match replaces {
        Some(_) => Vec::new(),
        None => reusable.into_iter().filter(|row| !serving.contains(&row.id.as_str())).collect(),
    };
    let form = if let Some((fields, error)) = refused {
        Form::refused(fields, error)
    } else {
        let mut fields = Fields::default();
        if let Some(again) = &replaces {
            fields = fields.with("account_name", again.account_name.as_str());
        }
        let wanted = Environment::parse(desk.query.get("environment")).unwrap_or(desk.frame.environment);
        Form::new(fields.with("environments", wanted.as_str()))
    };
    let credentials = Asked::credentials(&connector);
    let browser = goes_to_a_browser(&connector);
    let mut shown = vec!["account_name", "environments", "reuse"];
    shown.extend(credentials.iter().map(|asked| asked.name.as_str()));
    let other = form.other_errors(&shown);
    let frame = &desk.frame;
    Ok(Ask { frame, form, connection, credentials, reusable, replaces, browser, other })
}

/// What the form of step three says.
pub(super) fn asked_for(form: &Fields, connection: &ConnectionView) -> Result<NewAuthorization> {
    let mut environments = Vec::new();
    for word in form.all("environments") {
        environments.push(Environment::parse(word).ok_or_else(|| {
            Error::field("environments", "unknown", format!("There is no environment {word:?}."))
        })?);
    }
    let credentials = values(form, "credentials.");
    Ok(NewAuthorization {
        account_name: form.given("account_name"),
        environments: (!connection.same_authorization).then_some(environments),
        credentials: (!credentials.is_empty() && !form.has("reuse_now")).then_some(credentials),
        reuse: form.given("reuse"),
    })
}

async fn authorize(
    State(engine): State<Engine>,
    Path(link): Path<String>,
    headers: http::HeaderMap,
    sent: Sent,
) -> Response {
    let Sent { desk, form } = sent;
    let replaces = form.given("replaces");
    let result = async {
        if let Some(id) = &replaces {
            let credentials = values(&form, "credentials.");
            let again = Reauthorization {
                account_name: form.given("account_name"),
                credentials: (!credentials.is_empty()).then_some(credentials),
            };
            engine.reauthorize(&desk.op, &link, id, again).await
        } else {
            let connection = engine.read_connection(&desk.op, &link).await?;
            engine.authorize(&desk.op, &link, asked_for(&form, &connection)?).await
        }
    };
    match result.await {
        Ok(Authorized::Done(done)) => {
            let id = encoded(&done.authorization.id);
            desk.go(&format!("/console/connections/{link}/connected?authorization={id}"))
        }
        Ok(Authorized::Begun(begun)) => {
            let page = format!("/console/flows/{}", begun.flow.id);
            let by_script =
                headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"));
            if by_script {
                script_answer(&json!({"page": page, "start": begun.flow.start_url}))
            } else {
                desk.go(&page)
            }
        }
        Err(error) if mends(&error) => {
            let page = ask_page(&engine, &desk, &link, replaces.as_deref(), Some((form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

/// For the page's own script.
fn script_answer(value: &Value) -> Response {
    let mut response = (StatusCode::OK, value.to_string()).into_response();
    guard(response.headers_mut());
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

#[derive(Template)]
#[template(path = "console/flow.html")]
struct Watch<'a> {
    frame: &'a Frame,
    connection: ConnectionView,
    flow: FlowView,
    now: jackfield_core::Timestamp,
    /// seconds left, and of how many
    left: u64,
    whole: u64,
}

impl Watch<'_> {
    /// What the person reads when it is over.
    fn ending(&self) -> (&'static str, String) {
        let name = &self.connection.name;
        match self.flow.state {
            "denied" => ("neutral", format!("{name} was not connected")),
            "expired" => ("attention", "The time is over".to_owned()),
            "cancelled" => ("neutral", "You cancelled it".to_owned()),
            _ => ("failed", format!("{name} could not be connected")),
        }
    }

    fn why(&self) -> &str {
        match (&self.flow.error, self.flow.state) {
            (Some(error), state) if state != "cancelled" => &error.detail,
            _ => "Nothing was connected.",
        }
    }
}

async fn watch(State(engine): State<Engine>, Path(id): Path<String>, desk: Desk) -> Response {
    let page = async {
        let flow = engine.read_flow(&desk.op, &id).await?;
        let connection = engine.read_connection(&desk.op, &flow.connection).await?;
        Ok((flow, connection))
    };
    let (flow, connection) = match page.await {
        Ok(found) => found,
        Err(error) => return desk.trouble(&error),
    };
    if let (Some(authorization), "authorized") = (&flow.authorization, flow.state) {
        let different = flow
            .warnings
            .iter()
            .any(|warning| warning.get("code").and_then(Value::as_str) == Some("different_account"));
        let more = if different { "&different=yes" } else { "" };
        return desk.go(&format!(
            "/console/connections/{}/connected?authorization={}{more}",
            flow.connection,
            encoded(authorization)
        ));
    }
    let left = desk.op.now.until(flow.expires_at).as_secs();
    let whole = flow.created_at.until(flow.expires_at).as_secs().max(1);
    let now = desk.op.now;
    desk.show(Ok(Watch { frame: &desk.frame, connection, flow, now, left, whole }))
}

/// For the script of the flow's page.
async fn state(State(engine): State<Engine>, Path(id): Path<String>, desk: Desk) -> Response {
    match engine.read_flow(&desk.op, &id).await {
        Ok(flow) => script_answer(&json!({
            "state": flow.state,
            "left": desk.op.now.until(flow.expires_at).as_secs(),
        })),
        Err(error) => desk.trouble(&error),
    }
}

async fn cancel(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let desk = sent.desk;
    let here = format!("/console/flows/{id}");
    match engine.cancel_flow(&desk.op, &id).await {
        // It may have ended by itself meanwhile: the page says how.
        Ok(_) => desk.go(&here),
        Err(error) if error.code.status() == 409 => desk.go(&here),
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/connected.html")]
struct Connected<'a> {
    frame: &'a Frame,
    connection: ConnectionView,
    authorization: AuthorizationView,
    owner: String,
    different: bool,
    url: &'a str,
    /// path and name of the templates that it fits
    templates: Vec<(String, &'static str)>,
}

async fn connected(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = async {
        let connection = engine.read_connection(&desk.op, &link).await?;
        let id = desk.query.get("authorization");
        let authorization = engine.read_authorization(&desk.op, &link, id).await?;
        let owner = if authorization.owner == desk.frame.who.member {
            "You".to_owned()
        } else {
            engine.read_member(&desk.op, &authorization.owner).await?.name
        };
        let different = desk.query.has("different");
        let url = engine.settings().public_url.as_str();
        let templates = engine.templates_for(&desk.op, &link).await?.into_iter();
        let templates = templates.map(|(template, name)| (page_of(template), name)).collect();
        Ok(Connected { frame: &desk.frame, connection, authorization, owner, different, url, templates })
    };
    desk.show(page.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_empty_is_not_given() {
        let form = Fields::parse(b"parameters.a=1&parameters.b=&other=2");
        assert_eq!(Value::Object(values(&form, "parameters.")), json!({"a": "1"}));
        assert_eq!(chosen_applications(&Fields::parse(b"applications=a&applications=b")), ["a", "b"]);
        assert_eq!(chosen_applications(&Fields::parse(b"all_applications=on&applications=a")), ["*"]);
    }
}
