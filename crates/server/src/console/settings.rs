//! Settings: the organization's, and one's own name, password, sessions and keys.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::{Brand, KeyScope, KeyScopes, Result, Timestamp};
use jackfield_engine::connect::connectors::{ConnectorCard, ConnectorQuery};
use jackfield_engine::govern::keys::{KeyView, NewKey, NewKeyView};
use jackfield_engine::govern::members::{MemberPatch, MemberView};
use jackfield_engine::govern::organizations::{OrganizationPatch, OrganizationView};
use jackfield_engine::govern::passwords::Password;
use jackfield_engine::govern::plan::LimitView;
use jackfield_engine::govern::sessions::{PasswordChange, SessionView};
use jackfield_engine::{Engine, Page};

use super::common;
use super::common::{
    Once, ScopeChoice, asked_days, asked_page, asked_scopes, end_words, mends, scope_choice, scope_words,
    was_overtaken,
};
use super::desk::{Desk, Frame, Sent};
use super::form::{Field, Fields, Form, with_query};
use super::parts;
use crate::session;

const HERE: &str = "/console/settings";
const CONNECT: &str = "/console/settings/connect";

pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/settings", get(organization).post(change_organization))
        .route("/console/settings/suite", post(change_suite))
        .route("/console/settings/connect", get(brand).post(change_brand))
        .route("/console/settings/you", get(you).post(rename))
        .route("/console/settings/password", post(change_password))
        .route("/console/settings/sessions", get(sessions).post(end_others))
        .route("/console/settings/sessions/{id}/end", post(end_session))
        .route("/console/settings/keys", get(keys).post(create_key))
        .route("/console/settings/keys/{id}/revoke", post(revoke_key))
        .route("/console/settings/plan", get(plan))
        .route("/console/settings/about", get(about))
}

/// The tabs: path and word.
fn tabs() -> [(&'static str, &'static str); 7] {
    [
        ("/console/settings", "Organization"),
        (CONNECT, "Connect pages"),
        ("/console/settings/you", "You"),
        ("/console/settings/sessions", "Sessions"),
        ("/console/settings/keys", "Keys"),
        ("/console/settings/plan", "Plan"),
        ("/console/settings/about", "About"),
    ]
}

#[derive(Template)]
#[template(path = "console/settings/organization.html")]
struct Whole<'a> {
    frame: &'a Frame,
    tab: &'static str,
    organization: OrganizationView,
    form: Form,
    suite: Vec<Choice>,
    overtaken: bool,
}

/// A connector that may be in the organization's own suite.
struct Choice {
    link_name: String,
    name: String,
    chosen: bool,
}

impl Whole<'_> {
    fn managers(&self) -> Field<'_> {
        let choices = [("developers", "Admins and developers"), ("admins", "Admins only")];
        self.form.select("connections_managed_by", "Who makes and changes connections", &choices)
    }

    fn chosen(&self) -> String {
        let names: Vec<_> =
            self.suite.iter().filter(|choice| choice.chosen).map(|choice| choice.name.as_str()).collect();
        if names.is_empty() { "None".to_owned() } else { names.join(", ") }
    }
}

async fn organization(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find_organization(&engine, &desk, None, false).await;
    desk.show(page)
}

/// Without a form: what is there now.
async fn find_organization<'a>(
    engine: &Engine,
    desk: &'a Desk,
    form: Option<Form>,
    overtaken: bool,
) -> Result<Whole<'a>> {
    let organization = engine.read_organization(&desk.op).await?;
    let query = ConnectorQuery { limit: Some(200), ..ConnectorQuery::default() };
    let connectors = engine.list_connectors(&desk.op, &query).await?.items;
    let suite = suite(&organization.suite, connectors);
    let form = form.unwrap_or_else(|| {
        let fields = Fields::default()
            .with("name", organization.name.as_str())
            .with("region", organization.region.as_str())
            .with("connections_managed_by", organization.connections_managed_by.as_str());
        Form::new(fields)
    });
    Ok(Whole { frame: &desk.frame, tab: HERE, organization, form, suite, overtaken })
}

/// Every connector that was read, and those in the suite that were not: what nobody unticked must not get lost.
fn suite(chosen: &[String], connectors: Vec<ConnectorCard>) -> Vec<Choice> {
    let mut choices: Vec<Choice> = connectors
        .into_iter()
        .map(|card| Choice {
            chosen: chosen.contains(&card.link_name),
            link_name: card.link_name,
            name: card.name,
        })
        .collect();
    for name in chosen {
        if !choices.iter().any(|choice| choice.link_name == *name) {
            choices.push(Choice { link_name: name.clone(), name: name.clone(), chosen: true });
        }
    }
    choices
}

async fn save_organization(
    engine: &Engine,
    desk: &Desk,
    patch: OrganizationPatch,
    form: Option<Fields>,
) -> Response {
    match engine.update_organization(&desk.op, patch).await {
        Ok(_) => desk.done(HERE, "Saved."),
        Err(error) if mends(&error) => {
            let overtaken = was_overtaken(&error);
            let elsewhere = form.is_none();
            let form = form.map(|form| Form::refused(form, &error));
            let mut page = find_organization(engine, desk, form, overtaken).await;
            // The choice of the suite is no field of this form; what is wrong with it is said above.
            if let (Ok(page), true) = (&mut page, elsewhere) {
                page.form.wrong = Some(error.detail.clone());
            }
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn change_organization(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let patch = OrganizationPatch {
        name: Some(form.get("name").trim().to_owned()),
        region: Some(form.get("region").trim().to_owned()),
        connections_managed_by: Some(form.get("connections_managed_by").to_owned()),
        suite: None,
        brand: None,
        version: form.get("version").parse().ok(),
    };
    save_organization(&engine, &desk, patch, Some(form)).await
}

async fn change_suite(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let patch = OrganizationPatch {
        suite: Some(form.all("suite").map(str::to_owned).collect()),
        version: form.get("version").parse().ok(),
        ..OrganizationPatch::default()
    };
    save_organization(&engine, &desk, patch, None).await
}

#[derive(Template)]
#[template(path = "console/settings/connect.html")]
struct Connect<'a> {
    frame: &'a Frame,
    tab: &'static str,
    form: Form,
    version: i64,
    other: Vec<String>,
}

async fn find_brand<'a>(engine: &Engine, desk: &'a Desk, form: Option<Form>) -> Result<Connect<'a>> {
    let organization = engine.read_organization(&desk.op).await?;
    let brand = organization.brand;
    let form = form.unwrap_or_else(|| {
        let fields = Fields::default()
            .with("brand.name", brand.name.unwrap_or_default())
            .with("brand.logo", brand.logo.unwrap_or_default())
            .with("brand.colour", brand.colour.unwrap_or_default())
            .with("brand.frame_origins", brand.frame_origins.join("\n"));
        Form::new(fields)
    });
    let other = form.other_errors(&["brand.name", "brand.logo", "brand.colour"]);
    Ok(Connect { frame: &desk.frame, tab: CONNECT, form, version: organization.version, other })
}

async fn brand(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find_brand(&engine, &desk, None).await;
    desk.show(page)
}

async fn change_brand(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let brand = Brand {
        name: form.given("brand.name"),
        logo: form.given("brand.logo"),
        colour: form.given("brand.colour"),
        frame_origins: form.get("brand.frame_origins").split_whitespace().map(str::to_owned).collect(),
    };
    let version = form.get("version").parse().ok();
    let patch = OrganizationPatch { brand: Some(brand), version, ..OrganizationPatch::default() };
    match engine.update_organization(&desk.op, patch).await {
        Ok(_) => desk.done(CONNECT, "Saved."),
        Err(error) if mends(&error) => {
            let page = find_brand(&engine, &desk, Some(Form::refused(form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/settings/you.html")]
struct You<'a> {
    frame: &'a Frame,
    tab: &'static str,
    member: MemberView,
    form: Form,
}

async fn you(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = find_you(&engine, &desk, None).await;
    desk.show(page)
}

async fn find_you<'a>(engine: &Engine, desk: &'a Desk, form: Option<Form>) -> Result<You<'a>> {
    let member = engine.read_member(&desk.op, &desk.frame.who.member).await?;
    let form = form.unwrap_or_else(|| Form::new(Fields::default().with("name", member.name.as_str())));
    Ok(You { frame: &desk.frame, tab: "/console/settings/you", member, form })
}

async fn rename(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    // One's own name is nobody else's: whoever changes it twice at once gets the later one.
    let patch = MemberPatch { name: Some(form.get("name").trim().to_owned()), ..MemberPatch::default() };
    match engine.update_member(&desk.op, &desk.frame.who.member, patch).await {
        Ok(_) => desk.done("/console/settings/you", "Saved."),
        Err(error) if mends(&error) => {
            let page = find_you(&engine, &desk, Some(Form::refused(form, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn change_password(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let change = PasswordChange {
        current: Password(form.get("current").into()),
        new: Password(form.get("new").into()),
    };
    match engine.change_password(&desk.op, change).await {
        Ok(token) => {
            let news = "Your password is changed. You are signed in here alone; keys go on.";
            let mut response = desk.done("/console/settings/you", news);
            if let Some(token) = &token {
                session::give(&engine, token, response.headers_mut());
            }
            response
        }
        Err(error) if mends(&error) => {
            // Nothing of what was typed goes back.
            let fields = Fields::default().with("name", desk.frame.who.name.as_str());
            let page = find_you(&engine, &desk, Some(Form::refused(fields, &error))).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/settings/sessions.html")]
struct Sessions<'a> {
    frame: &'a Frame,
    now: Timestamp,
    tab: &'static str,
    page: Page<SessionView>,
    next: Option<String>,
}

impl Sessions<'_> {
    fn others(&self) -> bool {
        self.next.is_some() || self.page.items.iter().any(|session| !session.current)
    }
}

/// What a browser calls itself, short enough to read.
fn browser(agent: &str) -> String {
    if agent.is_empty() {
        return "A browser that says nothing of itself".to_owned();
    }
    let has = |word: &str| agent.contains(word);
    let name = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let system = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |list: &[(&str, &'static str)]| list.iter().find(|(word, _)| has(word)).map(|(_, name)| *name);
    match (find(&name), find(&system)) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => agent.chars().take(80).collect(),
    }
}

async fn sessions(State(engine): State<Engine>, desk: Desk) -> Response {
    let path = "/console/settings/sessions";
    let page = engine.list_sessions(&desk.op, &asked_page(&desk)).await;
    desk.show(page.map(|page| {
        let next = page.next_cursor.as_ref().map(|cursor| with_query(path, &desk.query, "cursor", cursor));
        Sessions { frame: &desk.frame, now: desk.op.now, tab: path, page, next }
    }))
}

async fn end_session(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let desk = sent.desk;
    let own = desk.op.session.as_deref() == Some(id.as_str()) || id == "current";
    match engine.end_session(&desk.op, &id).await {
        Ok(()) if own => {
            let mut response = desk.go("/signin");
            session::take(&engine, response.headers_mut());
            response
        }
        ended => desk.then(ended, "/console/settings/sessions", "That session is ended."),
    }
}

async fn end_others(State(engine): State<Engine>, sent: Sent) -> Response {
    let desk = sent.desk;
    match engine.end_other_sessions(&desk.op).await {
        Ok(number) => {
            let ended = usize::try_from(number).unwrap_or(usize::MAX);
            let ended = parts::count(ended, "session is", "sessions are");
            desk.done("/console/settings/sessions", &format!("{ended} ended. You are signed in here alone."))
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/settings/keys.html")]
struct Keys<'a> {
    frame: &'a Frame,
    now: Timestamp,
    tab: &'static str,
    form: Form,
    scopes: Vec<ScopeChoice>,
    page: Page<KeyView>,
    next: Option<String>,
}

async fn keys(State(engine): State<Engine>, desk: Desk) -> Response {
    let fields = KeyScopes::PERSONAL
        .list()
        .into_iter()
        .fold(Fields::default(), |fields, scope| fields.with("scopes", scope.as_str()));
    let form = Form::new(fields.with("expires_in_days", "90"));
    let page = find_keys(&engine, &desk, form).await;
    desk.show(page)
}

async fn find_keys<'a>(engine: &Engine, desk: &'a Desk, form: Form) -> Result<Keys<'a>> {
    let path = "/console/settings/keys";
    let page = engine.list_keys(&desk.op, &asked_page(desk)).await?;
    let next = page.next_cursor.as_ref().map(|cursor| with_query(path, &desk.query, "cursor", cursor));
    let scopes: Vec<KeyScope> = KeyScopes::PERSONAL.list();
    let scopes = scopes.into_iter().map(scope_choice).collect();
    Ok(Keys { frame: &desk.frame, now: desk.op.now, tab: path, form, scopes, page, next })
}

async fn make_key(engine: &Engine, desk: &Desk, form: &Fields) -> Result<NewKeyView> {
    let new = NewKey {
        name: form.get("name").trim().to_owned(),
        expires_in_days: asked_days(form)?,
        scopes: Some(asked_scopes(form)?),
    };
    engine.create_key(&desk.op, new).await
}

async fn create_key(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    match make_key(&engine, &desk, &form).await {
        Ok(made) => {
            let once = Once {
                frame: &desk.frame,
                title: "Copy this key now".to_owned(),
                lead: "Nobody can see it again. Whoever has it may do in your name what stands below."
                    .to_owned(),
                secret: &made.key,
                facts: vec![
                    ("Name", made.view.name.clone()),
                    ("May", scope_words(&made.view.scopes)),
                    ("Ends", end_words(desk.op.now, made.view.expires_at)),
                ],
                back: ("/console/settings/keys".to_owned(), "I have copied it"),
            };
            once.respond(&desk)
        }
        Err(error) if mends(&error) => {
            let page = find_keys(&engine, &desk, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn revoke_key(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let desk = sent.desk;
    let revoked = engine.revoke_key(&desk.op, &id).await;
    desk.then(revoked, "/console/settings/keys", "The key is revoked. It opens nothing any more.")
}

#[derive(Template)]
#[template(path = "console/settings/plan.html")]
struct Plan<'a> {
    frame: &'a Frame,
    tab: &'static str,
    organization: OrganizationView,
}

impl Plan<'_> {
    fn limited(&self) -> bool {
        let limits = &self.organization.limits;
        [&limits.connections, &limits.custom_connectors, &limits.calls_per_day]
            .iter()
            .any(|limit| limit.allowed.is_some())
    }

    /// Calls are counted only where they are limited; elsewhere a zero would say something else.
    fn rows(&self) -> Vec<(&'static str, &LimitView)> {
        let limits = &self.organization.limits;
        let mut rows =
            vec![("Connections", &limits.connections), ("Connectors of your own", &limits.custom_connectors)];
        if limits.calls_per_day.allowed.is_some() {
            rows.push(("Calls today (UTC)", &limits.calls_per_day));
        }
        rows
    }
}

/// What is left, or that there is no limit.
fn left(limit: &LimitView) -> String {
    match limit.allowed.map(u64::from) {
        None => "No limit".to_owned(),
        Some(allowed) if limit.used >= allowed => "Nothing left".to_owned(),
        Some(allowed) => format!("{} left", allowed - limit.used),
    }
}

fn used_up(limit: &LimitView) -> bool {
    limit.allowed.is_some_and(|allowed| limit.used >= u64::from(allowed))
}

async fn plan(State(engine): State<Engine>, desk: Desk) -> Response {
    let organization = engine.read_organization(&desk.op).await;
    desk.show(organization.map(|organization| Plan {
        frame: &desk.frame,
        tab: "/console/settings/plan",
        organization,
    }))
}

#[derive(Template)]
#[template(path = "console/settings/about.html")]
struct About<'a> {
    frame: &'a Frame,
    tab: &'static str,
    version: &'static str,
    url: String,
}

async fn about(State(engine): State<Engine>, desk: Desk) -> Response {
    desk.show(Ok(About {
        frame: &desk.frame,
        tab: "/console/settings/about",
        version: env!("CARGO_PKG_VERSION"),
        url: engine.settings().public_url.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_called_by_a_short_name() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome on Linux");
        let edge = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0";
        assert_eq!(browser(edge), "Edge on Windows");
        assert_eq!(browser("curl/8.5"), "curl/8.5");
        assert_eq!(browser(&"x".repeat(500)).len(), 80);
        assert!(browser("").contains("says nothing"));
    }

    #[test]
    fn a_limit_says_what_is_left() {
        let of = |allowed, used| LimitView { allowed, used };
        assert_eq!(left(&of(None, 7)), "No limit");
        assert_eq!(left(&of(Some(10), 7)), "3 left");
        assert_eq!(left(&of(Some(10), 11)), "Nothing left");
        assert!(used_up(&of(Some(10), 10)) && !used_up(&of(None, 10)));
    }

    #[test]
    fn what_is_in_the_suite_is_offered_though_its_connector_was_not_read() {
        let choices = suite(&["books".to_owned()], Vec::new());
        assert!(matches!(choices.as_slice(), [only] if only.chosen && only.link_name == "books"));
    }
}
