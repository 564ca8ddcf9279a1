//! Connectors: the catalogue and the organization's own, one of them with everything that is known of it, and its stages.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::connector::{Access, Connector, CredentialField, Parameter, Place, Verified};
use jackfield_core::{Action, Error, Result};
use jackfield_engine::Engine;
use jackfield_engine::connect::connections::{ConnectionQuery, ConnectionView};
use jackfield_engine::connect::connectors::{ConnectorCard, ConnectorQuery, ConnectorView};
use serde_json::Value;

use super::connections::ConnectionViewExt as _;
use super::desk::{Desk, Frame, Sent};
use super::form::{Fields, Form, encoded, with_query};
use super::parts;

const HERE: &str = "/console/connectors";
/// Cards on the page at most; whoever has more searches.
const CARDS: usize = 1000;
/// Connections named beside a connector; the list has the others.
const NAMED: u32 = 10;

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route(HERE, get(list))
        .route("/console/connectors/{link}", get(details))
        .route("/console/connectors/{link}/stage", post(stage))
        .route("/console/connectors/{link}/delete", get(ask_delete).post(delete))
}

/// `accounting` as *Accounting*: headings of the catalogue are words of its files.
pub(super) fn category_word(category: &str) -> String {
    let mut letters = category.chars();
    letters.next().map_or_else(
        || "Other".to_owned(),
        |first| first.to_uppercase().chain(letters).map(|c| if c == '_' { ' ' } else { c }).collect(),
    )
}

/// One heading beside the cards.
struct Category {
    word: String,
    link: String,
    count: usize,
    chosen: bool,
}

/// Cards under one heading; the heading is empty where there is but one list.
struct Shelf {
    word: String,
    cards: Vec<ConnectorCard>,
    /// how many there are and where, when these are the first only
    all: Option<(usize, String)>,
}

/// Cards of a category as long as nobody has searched: a page of everything would be too heavy to look at.
pub(super) const FIRST: usize = 6;

/// Puts those first that can do something by name, which are the ones most people look for, and keeps the first only. Says how
/// many there were when some went.
pub(super) fn keep_first(cards: &mut Vec<ConnectorCard>) -> Option<usize> {
    let all = cards.len();
    cards.sort_by_key(|card| !card.operations);
    cards.truncate(FIRST);
    (all > cards.len()).then_some(all)
}

#[derive(Template)]
#[template(path = "console/connectors.html")]
struct List<'a> {
    frame: &'a Frame,
    form: Form,
    custom: bool,
    built_in_link: String,
    built_in_count: usize,
    custom_link: String,
    custom_count: usize,
    categories: Vec<Category>,
    shelves: Vec<Shelf>,
    /// there are more than [`CARDS`]
    cut: bool,
    searched: bool,
}

async fn list(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find(&engine, &desk).await;
    desk.show(page)
}

/// Everything that fits the search: the headings count all of it.
async fn all_cards(engine: &Engine, desk: &Desk) -> Result<(Vec<ConnectorCard>, bool)> {
    let mut query =
        ConnectorQuery { q: desk.query.given("q"), limit: Some(200), ..ConnectorQuery::default() };
    let mut cards = Vec::new();
    loop {
        let page = engine.list_connectors(&desk.op, &query).await?;
        cards.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() || cards.len() >= CARDS {
            return Ok((cards, query.cursor.is_some()));
        }
    }
}

async fn find<'a>(engine: &Engine, desk: &'a Desk) -> Result<List<'a>> {
    let (cards, cut) = all_cards(engine, desk).await?;
    let custom = desk.query.get("kind") == "custom";
    let (own, built_in): (Vec<_>, Vec<_>) = cards.into_iter().partition(|card| card.kind == "custom");
    let (built_in_count, custom_count) = (built_in.len(), own.len());
    let mut shelves: BTreeMap<String, Shelf> = BTreeMap::new();
    for card in if custom { own } else { built_in } {
        let category = card.category.clone().unwrap_or_default();
        let word = category_word(&category);
        // By letter, whatever its case.
        let place = format!("{}\0{category}", word.to_lowercase());
        shelves.entry(place).or_insert_with(|| Shelf { word, cards: Vec::new(), all: None }).cards.push(card);
    }
    let chosen = desk.query.get("category");
    let count = if custom { custom_count } else { built_in_count };
    let mut categories = vec![Category {
        word: "Everything".to_owned(),
        link: with_query(HERE, &desk.query, "category", ""),
        count,
        chosen: chosen.is_empty(),
    }];
    for (place, shelf) in &shelves {
        let category = place.split_once('\0').map_or("", |(_, category)| category);
        // What has none is found under everything.
        if !category.is_empty() {
            categories.push(Category {
                word: shelf.word.clone(),
                link: with_query(HERE, &desk.query, "category", category),
                count: shelf.cards.len(),
                chosen: chosen == category,
            });
        }
    }
    if !custom && chosen.is_empty() && desk.query.get("q").trim().is_empty() {
        for (place, shelf) in &mut shelves {
            let category = place.split_once('\0').map_or("", |(_, category)| category);
            let link = with_query(HERE, &desk.query, "category", category);
            shelf.all = keep_first(&mut shelf.cards).map(|all| (all, link));
        }
    }
    if !chosen.is_empty() {
        shelves.retain(|place, _| place.split_once('\0').is_some_and(|(_, category)| category == chosen));
    }
    let mut without_category = Fields::default();
    if let Some(q) = desk.query.given("q") {
        without_category = without_category.with("q", q);
    }
    Ok(List {
        frame: &desk.frame,
        form: Form::new(desk.query.clone()),
        custom,
        built_in_link: with_query(HERE, &without_category, "kind", ""),
        built_in_count,
        custom_link: with_query(HERE, &without_category, "kind", "custom"),
        custom_count,
        categories,
        shelves: shelves.into_values().collect(),
        cut,
        searched: !desk.query.get("q").trim().is_empty() || !chosen.is_empty(),
    })
}

/// The whole document again: the view tells some of it in the card.
pub(super) fn document(view: &ConnectorView) -> Value {
    let mut document = view.document.clone();
    let card = &view.card;
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            document.insert(name.to_owned(), value);
        }
    };
    put("link_name", Some(card.link_name.as_str().into()));
    put("name", Some(card.name.as_str().into()));
    put("description", card.description.as_deref().map(Value::from));
    put("category", card.category.as_deref().map(Value::from));
    put("logo", card.logo.as_deref().map(Value::from));
    put("regions", (!card.regions.is_empty()).then(|| card.regions.as_slice().into()));
    Value::Object(document)
}

/// Scopes of one access.
struct Scopes {
    word: &'static str,
    /// name, label, whether it is ticked from the start
    lines: Vec<(String, String, bool)>,
}

fn by_access(connector: &Connector) -> Vec<Scopes> {
    let kinds = [
        (Some(Access::Read), "Reads"),
        (Some(Access::Write), "Writes"),
        (Some(Access::Full), "Reads and writes everything"),
        (None, "Other scopes"),
    ];
    let of = |access: Option<Access>| -> Vec<_> {
        let scopes = connector.scopes.iter().filter(|scope| scope.access == access);
        scopes.map(|s| (s.name.clone(), s.label.clone().unwrap_or_default(), s.default)).collect()
    };
    let all = kinds.into_iter().map(|(access, word)| Scopes { word, lines: of(access) });
    all.filter(|scopes| !scopes.lines.is_empty()).collect()
}

fn place_word(place: Place) -> &'static str {
    match place {
        Place::Header => "in the header",
        Place::Query => "in the query as",
        Place::Cookie => "in the cookie",
        Place::Body => "in the body as",
    }
}

/// Something that is asked, for the page: label, name, help, and where it goes.
struct Asked {
    label: String,
    name: String,
    help: String,
    secret: bool,
    required: bool,
    /// `in the header X-Key`, or nothing
    placed: String,
    choices: String,
}

impl From<Parameter> for Asked {
    fn from(parameter: Parameter) -> Self {
        let wire = parameter.wire_name.as_deref().unwrap_or(&parameter.name);
        let choices: Vec<&str> =
            parameter.choices.iter().map(|c| c.label.as_deref().unwrap_or(&c.value)).collect();
        Self {
            label: parameter.label.clone().unwrap_or_else(|| parameter.name.clone()),
            help: parameter.help.clone().unwrap_or_default(),
            secret: parameter.secret,
            required: parameter.required.unwrap_or(false),
            placed: parameter.place.map(|p| format!("{} {wire}", place_word(p))).unwrap_or_default(),
            choices: choices.join(", "),
            name: parameter.name,
        }
    }
}

impl From<CredentialField> for Asked {
    fn from(field: CredentialField) -> Self {
        let wire = field.wire_name.as_deref().unwrap_or(&field.name);
        Self {
            label: field.label.clone().unwrap_or_else(|| field.name.clone()),
            help: field.help.clone().unwrap_or_default(),
            secret: field.secret,
            required: field.required,
            placed: format!("{} {wire}", place_word(field.place)),
            choices: String::new(),
            name: field.name,
        }
    }
}

fn verified_words(verified: Option<Verified>) -> &'static str {
    match verified {
        Some(Verified::Live) => "Tried against the service",
        Some(Verified::VendorDocs) => "Compared with the service's own documentation",
        Some(Verified::Sources) => "Several public sources agree",
        None => "Nobody has said yet",
    }
}

/// What is needed before a connection can be made, in words.
pub(super) struct Before {
    pub registration_url: Option<String>,
    pub registration_help: Option<String>,
    /// where the id of the app is found, for documents that say nothing else
    pub hint: Option<String>,
    pub redirect_uri: Option<String>,
    pub scopes: Vec<String>,
    /// labels of what describes the app
    pub bring: Vec<String>,
    /// label and help of what else is asked for
    pub look_up: Vec<(String, String)>,
}

impl Before {
    pub(super) fn of(view: &ConnectorView) -> Option<Self> {
        let before = view.before_you_start.as_ref()?;
        let asked =
            |name: &String| view.asked_for_connection.iter().find(|parameter| parameter.name == *name);
        let label = |p: &Parameter| p.label.clone().unwrap_or_else(|| p.name.clone());
        let needed = |p: &&Parameter| p.required == Some(true);
        Some(Self {
            registration_url: before.registration_url.clone(),
            registration_help: before.registration_help.clone(),
            hint: before.bring.first().and_then(asked).and_then(|parameter| parameter.help.clone()),
            redirect_uri: before.redirect_uri.clone(),
            scopes: before.scopes.clone(),
            bring: before.bring.iter().filter_map(asked).filter(needed).map(label).collect(),
            look_up: before
                .look_up
                .iter()
                .filter_map(asked)
                .map(|p| (label(p), p.help.clone().unwrap_or_default()))
                .collect(),
        })
    }
}

#[derive(Template)]
#[template(path = "console/connector.html")]
struct Details<'a> {
    frame: &'a Frame,
    view: ConnectorView,
    connector: Connector,
    base_url: String,
    hosts: Vec<String>,
    for_connection: Vec<Asked>,
    for_authorization: Vec<Asked>,
    scopes: Vec<Scopes>,
    before: Option<Before>,
    /// whether a person accepts at the service
    accepted_there: bool,
    users: Vec<ConnectionView>,
    more_users: bool,
    now: jackfield_core::Timestamp,
}

impl Details<'_> {
    fn custom(&self) -> bool {
        self.view.card.kind == "custom"
    }

    fn verified(&self) -> &'static str {
        verified_words(self.connector.verified)
    }

    fn levels(&self) -> String {
        let words: Vec<&str> = self.connector.levels.iter().map(parts::level_word).collect();
        words.join(", ")
    }

    fn operations(&self) -> Vec<(String, String)> {
        let of = |(name, module): (&String, &jackfield_core::connector::Module)| {
            let label = module.label.clone().unwrap_or_else(|| name.clone());
            let words: Vec<&str> = module
                .operations
                .iter()
                .map(|(name, operation)| operation.label.as_deref().unwrap_or(name))
                .collect();
            (label, words.join(", "))
        };
        self.connector.modules.iter().map(of).collect()
    }
}

async fn details(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = read(&engine, &desk, &link).await;
    desk.show(page)
}

async fn users(engine: &Engine, desk: &Desk, link: &str) -> Result<(Vec<ConnectionView>, bool)> {
    let query = ConnectionQuery {
        connector: Some(link.to_owned()),
        limit: Some(NAMED),
        ..ConnectionQuery::default()
    };
    let page = engine.list_connections(&desk.op, &query).await?;
    Ok((page.items, page.next_cursor.is_some()))
}

async fn read<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<Details<'a>> {
    let mut view = engine.read_connector(&desk.op, link).await?;
    let connector: Connector = serde_json::from_value(document(&view)).map_err(Error::internal)?;
    let (users, more_users) = users(engine, desk, link).await?;
    let accepted_there = view.card.auth_type == "oauth2_code" || view.card.auth_type == "oauth1";
    Ok(Details {
        frame: &desk.frame,
        base_url: connector.base_url.clone(),
        hosts: connector.host_templates(),
        for_connection: std::mem::take(&mut view.asked_for_connection).into_iter().map(Asked::from).collect(),
        for_authorization: std::mem::take(&mut view.asked_for_authorization)
            .into_iter()
            .map(Asked::from)
            .collect(),
        scopes: by_access(&connector),
        before: Before::of(&view),
        accepted_there,
        users,
        more_users,
        now: desk.op.now,
        view,
        connector,
    })
}

async fn stage(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let done = match form.get("step") {
        "publish" => "Published: connections can be made with it.",
        "disable" => "Disabled: it takes no new connections.",
        _ => "Enabled again: connections can be made with it.",
    };
    let result = engine.stage_connector(&desk.op, &link, form.get("step")).await;
    desk.then(result, &format!("{HERE}/{}", encoded(&link)), done)
}

#[derive(Template)]
#[template(path = "console/connector_delete.html")]
struct Delete<'a> {
    frame: &'a Frame,
    form: Form,
    card: ConnectorCard,
    users: Vec<ConnectionView>,
    more_users: bool,
}

async fn delete_page<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Delete<'a>> {
    desk.may(Action::Manage, &desk.connectors())?;
    let view = engine.read_connector(&desk.op, link).await?;
    let (users, more_users) = users(engine, desk, link).await?;
    Ok(Delete { frame: &desk.frame, form, card: view.card, users, more_users })
}

async fn ask_delete(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = delete_page(&engine, &desk, &link, Form::default()).await;
    desk.show(page)
}

async fn delete(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let result = if form.get("link_name").trim() == link {
        engine.delete_connector(&desk.op, &link).await
    } else {
        Err(Error::field("link_name", "invalid", format!("Type {link} to say that you mean it.")))
    };
    match result {
        Ok(()) => desk.done("/console/connectors?kind=custom", "The connector is deleted."),
        Err(error) => {
            let page = delete_page(&engine, &desk, &link, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_said_as_headings() {
        assert_eq!(category_word("e-commerce"), "E-commerce");
        assert_eq!(category_word("AI"), "AI");
        assert_eq!(category_word("human_resources"), "Human resources");
        assert_eq!(category_word(""), "Other");
    }
}
