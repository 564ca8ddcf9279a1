//! Applications: what uses connections. Their connections in live and edit mode, which they are allowed, components, keys, and who has
//! access.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::{Action, Code, Environment, Error, KeyScope, Level, Resource, Result, Timestamp};
use jackfield_engine::connect::connections::{ConnectionQuery, ConnectionView};
use jackfield_engine::connect::references::{
    ApplicationConnectionQuery, ApplicationConnectionView, ComponentView, Mode,
};
use jackfield_engine::govern::applications::{
    AccessView, ApplicationKeyView, ApplicationPatch, ApplicationView, NewAccess, NewApplication,
    NewApplicationKey, NewApplicationKeyView,
};
use jackfield_engine::{Engine, Page};

use super::built::Catalogue;
use super::common;
use super::common::{
    Once, People, ScopeChoice, asked_days, asked_page, asked_scopes, at_least, check_typed, end_words, mends,
    most, scope_choice, scope_words, was_overtaken,
};
use super::desk::{Desk, Frame, Sent};
use super::form::{Field, Fields, Form, with_query};
use super::parts::{self, Status};

const LIST: &str = "/console/applications";

/// The pages of one application; none of the words is a link name where a link name could stand.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/applications", get(list))
        .route("/console/applications/new-application", get(ask_new).post(create))
        .route("/console/applications/{link}", get(connections))
        .route("/console/applications/{link}/allowed", get(allowed).post(allow))
        .route("/console/applications/{link}/components", get(components).post(remove_component))
        .route("/console/applications/{link}/keys", get(keys).post(create_key))
        .route("/console/applications/{link}/keys/{id}/revoke", post(revoke_key))
        .route("/console/applications/{link}/members", get(members).post(grant))
        .route("/console/applications/{link}/members/{id}/withdraw", post(withdraw))
        .route("/console/applications/{link}/settings", get(settings).post(change))
        .route("/console/applications/{link}/delete", get(ask_delete).post(delete))
}

/// What stands above each page of an application.
pub(super) struct Head {
    pub application: ApplicationView,
    pub tab: &'static str,
}

impl Head {
    pub async fn read(engine: &Engine, desk: &Desk, link: &str, tab: &'static str) -> Result<Self> {
        Ok(Self { application: engine.read_application(&desk.op, link).await?, tab })
    }

    pub fn path(&self, part: &str) -> String {
        path(&self.application.link_name, part)
    }

    /// What users find there: the connections that ask for their accounts, and the forms that they may fill in.
    pub fn is_for_users(&self, part: &str) -> bool {
        matches!(part, "" | "forms")
    }

    /// Those who see everything see all of its pages.
    pub fn tabs(&self) -> [(&'static str, &'static str, String); 13] {
        [
            ("", "Connections"),
            ("forms", "Forms"),
            ("workflows", "Workflows"),
            ("schedules", "Schedules"),
            ("datasources", "Datasources"),
            ("runs", "Runs"),
            ("payments", "Payments"),
            ("publish", "Publish"),
            ("allowed", "Allowed"),
            ("components", "Components"),
            ("keys", "Keys"),
            ("members", "Members"),
            ("settings", "Settings"),
        ]
        .map(|(part, word)| (part, word, self.path(part)))
    }
}

pub(super) fn path(link: &str, part: &str) -> String {
    let slash = if part.is_empty() { "" } else { "/" };
    format!("{LIST}/{link}{slash}{part}")
}

/// The link to the page after this one.
pub(super) fn next<T>(desk: &Desk, path: &str, page: &Page<T>) -> Option<String> {
    page.next_cursor.as_ref().map(|cursor| with_query(path, &desk.query, "cursor", cursor))
}

#[derive(Template)]
#[template(path = "console/applications/list.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    page: Page<ApplicationView>,
    next: Option<String>,
}

async fn list(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = engine.list_applications(&desk.op, &asked_page(&desk)).await;
    desk.show(page.map(|page| List {
        frame: &desk.frame,
        now: desk.op.now,
        next: next(&desk, LIST, &page),
        page,
    }))
}

#[derive(Template)]
#[template(path = "console/applications/new.html")]
struct New<'a> {
    frame: &'a Frame,
    form: Form,
}

async fn ask_new(desk: Desk) -> Response {
    let may = desk.may(Action::Manage, &Resource::Applications);
    desk.show(may.map(|()| New { frame: &desk.frame, form: Form::default() }))
}

async fn create(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let new = NewApplication {
        name: form.get("name").trim().to_owned(),
        link_name: form.given("link_name"),
        description: form.given("description").map(|text| lines(&text)),
    };
    match engine.create_application(&desk.op, new).await {
        Ok(made) => desk.done(&path(&made.link_name, ""), &format!("{} is made.", made.name)),
        Err(error) if mends(&error) => {
            desk.again(&error, Ok(New { frame: &desk.frame, form: Form::refused(form, &error) }))
        }
        Err(error) => desk.trouble(&error),
    }
}

/// Browsers end the lines of a text area by CR and LF.
pub(super) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[derive(Template)]
#[template(path = "console/applications/connections.html")]
struct Connections<'a> {
    frame: &'a Frame,
    head: Head,
    form: Form,
    environment: Environment,
    /// what is edited; nothing in live mode
    component: Option<String>,
    /// what can be edited: the name of each component, and its words
    components: Vec<(String, String)>,
    built: Catalogue,
    page: Page<ApplicationConnectionView>,
    next: Option<String>,
}

impl Connections<'_> {
    fn modes(&self) -> Field<'_> {
        let mut choices = vec![("", "Live: all that it may use")];
        choices.extend(self.components.iter().map(|(component, words)| (component.as_str(), words.as_str())));
        self.form.select("component", "Mode", &choices)
    }

    fn status(row: &ApplicationConnectionView) -> Status {
        Status::of(row.enabled, row.status)
    }

    fn authorize(&self, row: &ApplicationConnectionView) -> String {
        format!("/console/connections/{}/authorize?environment={}", row.link_name, self.environment)
    }
}

async fn connections(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_connections(&engine, &desk, &link).await;
    desk.show(page)
}

async fn find_connections<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<Connections<'a>> {
    let head = Head::read(engine, desk, link, "").await?;
    let component = desk.query.given("component");
    let edit = component.is_some();
    let environment = if edit { Environment::Development } else { desk.frame.environment };
    let query = ApplicationConnectionQuery {
        mode: Some(if edit { Mode::Edit } else { Mode::Live }),
        environment: Some(environment.as_str().to_owned()),
        component: component.clone(),
        acting_for: None,
        limit: None,
        cursor: desk.query.given("cursor"),
    };
    let page = engine.application_connections(&desk.op, link, &query).await?;
    let built = Catalogue::of(engine, &desk.op, link).await?;
    let components = if desk.frame.sees_all() {
        let all = engine.list_components(&desk.op, link, &most()).await?.items;
        all.into_iter().map(|part| (part.component.clone(), built.words(&part.component))).collect()
    } else {
        Vec::new()
    };
    let next = next(desk, &head.path(""), &page);
    let form = Form::new(desk.query.clone());
    Ok(Connections { frame: &desk.frame, head, form, environment, component, components, built, page, next })
}

#[derive(Template)]
#[template(path = "console/applications/allowed.html")]
struct Allowed<'a> {
    frame: &'a Frame,
    head: Head,
    form: Form,
    page: Page<ConnectionView>,
    next: Option<String>,
}

/// How a connection stands to an application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leave {
    Everybody,
    Named,
    None,
}

fn leave(applications: &[String], link: &str) -> Leave {
    if applications.iter().any(|name| name == "*") {
        Leave::Everybody
    } else if applications.iter().any(|name| name == link) {
        Leave::Named
    } else {
        Leave::None
    }
}

impl Allowed<'_> {
    fn leave(&self, row: &ConnectionView) -> Leave {
        leave(&row.applications, &self.head.application.link_name)
    }

    fn may_change(&self, row: &ConnectionView) -> bool {
        self.frame.manages() && (row.level != Level::System || self.frame.is_super_admin())
    }
}

async fn allowed(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_allowed(&engine, &desk, &link, Form::default()).await;
    desk.show(page)
}

async fn find_allowed<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Allowed<'a>> {
    let head = Head::read(engine, desk, link, "allowed").await?;
    let query = ConnectionQuery { cursor: desk.query.given("cursor"), ..ConnectionQuery::default() };
    let page = engine.list_connections(&desk.op, &query).await?;
    let next = next(desk, &head.path("allowed"), &page);
    Ok(Allowed { frame: &desk.frame, head, form, page, next })
}

async fn allow(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let allow = form.get("do") == "allow";
    match engine.allow_application(&desk.op, form.get("connection"), &link, allow).await {
        Ok(view) => {
            let news = if allow {
                format!("It may use {} from now on.", view.name)
            } else {
                format!("Its calls through {} are refused from now on.", view.name)
            };
            desk.done(&path(&link, "allowed"), &news)
        }
        Err(error) if mends(&error) => {
            let page = find_allowed(&engine, &desk, &link, Form::refused(Fields::default(), &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/applications/components.html")]
struct Components<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    built: Catalogue,
    page: Page<ComponentView>,
    next: Option<String>,
}

async fn components(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_components(&engine, &desk, &link).await;
    desk.show(page)
}

async fn find_components<'a>(engine: &Engine, desk: &'a Desk, link: &str) -> Result<Components<'a>> {
    let head = Head::read(engine, desk, link, "components").await?;
    let page = engine.list_components(&desk.op, link, &asked_page(desk)).await?;
    let next = next(desk, &head.path("components"), &page);
    let built = Catalogue::of(engine, &desk.op, link).await?;
    Ok(Components { frame: &desk.frame, now: desk.op.now, head, built, page, next })
}

async fn remove_component(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let component = form.get("component");
    let removed = engine.remove_component(&desk.op, &link, component).await;
    desk.then(removed, &path(&link, "components"), &format!("{component} is gone, with its references."))
}

#[derive(Template)]
#[template(path = "console/applications/keys.html")]
struct Keys<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    form: Form,
    scopes: Vec<ScopeChoice>,
    page: Page<ApplicationKeyView>,
    next: Option<String>,
}

impl Keys<'_> {
    fn environments(&self) -> Field<'_> {
        let all = Environment::ALL;
        let choices: Vec<_> = all.iter().map(|one| (one.as_str(), parts::environment_word(one))).collect();
        self.form.select("environment", "Environment", &choices)
    }
}

/// What is offered at first: everything, in the environment that is chosen, for a year.
fn new_key(desk: &Desk) -> Form {
    let fields = Fields::default()
        .with("environment", desk.frame.environment.as_str())
        .with("expires_in_days", "365")
        .with("scopes", KeyScope::Read.as_str())
        .with("scopes", KeyScope::Use.as_str());
    Form::new(fields)
}

async fn keys(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_keys(&engine, &desk, &link, new_key(&desk)).await;
    desk.show(page)
}

async fn find_keys<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Keys<'a>> {
    let head = Head::read(engine, desk, link, "keys").await?;
    let page = engine.list_application_keys(&desk.op, link, &asked_page(desk)).await?;
    let next = next(desk, &head.path("keys"), &page);
    let mut scopes = vec![scope_choice(KeyScope::Read), scope_choice(KeyScope::Use)];
    if desk.frame.is_admin() {
        scopes.push(scope_choice(KeyScope::ActFor));
    }
    Ok(Keys { frame: &desk.frame, now: desk.op.now, head, form, scopes, page, next })
}

async fn make_key(engine: &Engine, desk: &Desk, link: &str, form: &Fields) -> Result<NewApplicationKeyView> {
    let environment = Environment::parse(form.get("environment")).ok_or_else(|| {
        Error::field("environment", "invalid", format!("Choose {}.", Environment::choices()))
    })?;
    let new = NewApplicationKey {
        name: form.get("name").trim().to_owned(),
        environment,
        scopes: Some(asked_scopes(form)?),
        expires_in_days: asked_days(form)?,
    };
    engine.create_application_key(&desk.op, link, new).await
}

async fn create_key(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    match make_key(&engine, &desk, &link, &form).await {
        Ok(made) => {
            let (view, environment) = (&made.view.view, made.view.environment);
            let once = Once {
                frame: &desk.frame,
                title: "Copy this key now".to_owned(),
                lead:
                    "Nobody can see it again. Give it to the application as a secret: whoever has it calls \
                       services in the application's name."
                        .to_owned(),
                secret: &made.key,
                facts: vec![
                    ("Name", view.name.clone()),
                    ("Environment", parts::environment_word(&environment).to_owned()),
                    ("May", scope_words(&view.scopes)),
                    ("Ends", end_words(desk.op.now, view.expires_at)),
                ],
                back: (path(&link, "keys"), "I have copied it"),
            };
            once.respond(&desk)
        }
        Err(error) if mends(&error) => {
            let page = find_keys(&engine, &desk, &link, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn revoke_key(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let desk = sent.desk;
    let revoked = engine.revoke_application_key(&desk.op, &link, &id).await;
    desk.then(revoked, &path(&link, "keys"), "The key is revoked. It opens nothing any more.")
}

#[derive(Template)]
#[template(path = "console/applications/members.html")]
struct Members<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    form: Form,
    page: Page<AccessView>,
    next: Option<String>,
    people: People,
}

impl Members<'_> {
    /// Those who could be given access; of those on this page it is known that they have it.
    fn others(&self) -> Vec<(&str, &str)> {
        self.people.active_but(|member| self.page.items.iter().any(|row| row.member == member.id))
    }

    fn choice(&self) -> Field<'_> {
        self.form.select("member", "Member", &self.others())
    }
}

async fn members(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_members(&engine, &desk, &link, Form::default()).await;
    desk.show(page)
}

async fn find_members<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Members<'a>> {
    let head = Head::read(engine, desk, link, "members").await?;
    let page = engine.list_access(&desk.op, link, &asked_page(desk)).await?;
    let people = People::of(engine, desk).await?;
    let next = next(desk, &head.path("members"), &page);
    Ok(Members { frame: &desk.frame, now: desk.op.now, head, form, page, next, people })
}

async fn grant(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let new = NewAccess { member: form.get("member").to_owned() };
    match engine.grant_access(&desk.op, &link, new).await {
        Ok(view) => desk.done(&path(&link, "members"), &format!("{} has access.", view.name)),
        Err(error) if mends(&error) => {
            let page = find_members(&engine, &desk, &link, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn withdraw(
    State(engine): State<Engine>,
    Path((link, id)): Path<(String, String)>,
    sent: Sent,
) -> Response {
    let desk = sent.desk;
    let withdrawn = engine.withdraw_access(&desk.op, &link, &id).await;
    desk.then(withdrawn, &path(&link, "members"), "The access is withdrawn.")
}

#[derive(Template)]
#[template(path = "console/applications/settings.html")]
struct Settings<'a> {
    frame: &'a Frame,
    now: Timestamp,
    head: Head,
    form: Form,
    made_by: String,
    /// somebody else changed it since the form was shown
    overtaken: bool,
}

async fn settings(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_settings(&engine, &desk, &link, None, false).await;
    desk.show(page)
}

/// Without a form: what is there now.
async fn find_settings<'a>(
    engine: &Engine,
    desk: &'a Desk,
    link: &str,
    form: Option<Form>,
    overtaken: bool,
) -> Result<Settings<'a>> {
    let head = Head::read(engine, desk, link, "settings").await?;
    let application = &head.application;
    let made_by = match engine.read_member(&desk.op, &application.created_by).await {
        Ok(member) => member.name,
        Err(error) if error.code == Code::NotFound => "a former member".to_owned(),
        Err(error) => return Err(error),
    };
    let form = form.unwrap_or_else(|| {
        let fields = Fields::default()
            .with("name", application.name.as_str())
            .with("description", application.description.as_str());
        Form::new(fields)
    });
    Ok(Settings { frame: &desk.frame, now: desk.op.now, head, form, made_by, overtaken })
}

async fn change(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let patch = ApplicationPatch {
        name: Some(form.get("name").trim().to_owned()),
        description: Some(lines(form.get("description").trim())),
        version: form.get("version").parse().ok(),
    };
    match engine.update_application(&desk.op, &link, patch).await {
        Ok(_) => desk.done(&path(&link, "settings"), "Saved."),
        Err(error) if mends(&error) => {
            let form = Some(Form::refused(form, &error));
            let page = find_settings(&engine, &desk, &link, form, was_overtaken(&error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/applications/delete.html")]
struct Delete<'a> {
    frame: &'a Frame,
    application: ApplicationView,
    form: Form,
    keys: Option<String>,
    components: Option<String>,
    members: Option<String>,
}

async fn ask_delete(State(engine): State<Engine>, Path(link): Path<String>, desk: Desk) -> Response {
    let page = find_delete(&engine, &desk, &link, Form::default()).await;
    desk.show(page)
}

async fn find_delete<'a>(engine: &Engine, desk: &'a Desk, link: &str, form: Form) -> Result<Delete<'a>> {
    let application = engine.read_application(&desk.op, link).await?;
    let keys = engine.list_application_keys(&desk.op, link, &most()).await?;
    let components = engine.list_components(&desk.op, link, &most()).await?;
    let members = engine.list_access(&desk.op, link, &most()).await?;
    Ok(Delete {
        frame: &desk.frame,
        application,
        form,
        keys: said(&keys, "key", "keys"),
        components: said(&components, "component", "components"),
        members: said(&members, "member", "members"),
    })
}

/// How many there are, if there are any.
fn said<T>(page: &Page<T>, one: &str, many: &str) -> Option<String> {
    let number = page.items.len();
    (number > 0).then(|| at_least(number, page.next_cursor.is_some(), one, many))
}

async fn delete(State(engine): State<Engine>, Path(link): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let deleted = match check_typed(&form, &link) {
        Ok(()) => engine.delete_application(&desk.op, &link).await,
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => desk.done(LIST, &format!("The application {link} is deleted.")),
        Err(error) if mends(&error) => {
            let page = find_delete(&engine, &desk, &link, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_says_who_may_use_it() {
        let listed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(leave(&listed(&["*"]), "portal"), Leave::Everybody);
        assert_eq!(leave(&listed(&["desk", "portal"]), "portal"), Leave::Named);
        assert_eq!(leave(&listed(&["portal_2"]), "portal"), Leave::None);
    }

    #[test]
    fn pages_of_an_application_have_addresses_of_their_own() {
        assert_eq!(path("vendor_portal", ""), "/console/applications/vendor_portal");
        assert_eq!(path("vendor_portal", "keys"), "/console/applications/vendor_portal/keys");
        // A link name has no hyphen, so that no application stands behind the form for a new one.
        assert!(jackfield_core::names::link_name("new-application").is_err());
    }
}
