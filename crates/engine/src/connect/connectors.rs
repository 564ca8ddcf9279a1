//! Connectors: the built-in catalogue and the organization's own.

use std::sync::Arc;

use jackfield_core::connector::{self, Auth, BuiltIn, Connector, Search, SearchText, built_in};
use jackfield_core::{Action, Code, Error, EventKind, Level, Resource, Result, Timestamp, names, permit};
use jackfield_store::{Connection, ConnectorVersion, CustomConnector};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::connect::connections::ConnectionView;
use crate::govern::audit::Event;
use crate::govern::organizations::version_conflict;
use crate::page::{Page, PageQuery};
use crate::{Engine, Op};

const DRAFT: &str = "draft";
pub(super) const PUBLISHED: &str = "published";
const DISABLED: &str = "disabled";
/// What stands in the place of a link name in the API and in the console: no connector can be called so.
const ROUTES: &[&str] = &["import", "test", "new"];

/// Connectors among which those are looked for that are used and can be used again.
const USED_MAX: i64 = 50;

/// A connector and what Jackfield knows about it beside its document.
pub(crate) struct Found {
    pub connector: Arc<Connector>,
    pub link_name: String,
    /// `None` for built-in ones
    pub custom: Option<CustomConnector>,
}

impl Found {
    fn stage(&self) -> &str {
        self.custom.as_ref().map_or(PUBLISHED, |custom| &custom.stage)
    }

    /// Number of the newest version that was published, of a custom one.
    pub fn newest(&self) -> Option<i64> {
        self.custom.as_ref().and_then(|custom| custom.published)
    }

    fn kind(&self) -> &'static str {
        if self.custom.is_some() { "custom" } else { "built_in" }
    }
}

/// A connector, in a list or beside its connection.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectorCard {
    pub link_name: String,
    pub name: String,
    /// `built_in` or `custom`
    pub kind: &'static str,
    /// `draft`, `published`, `disabled`
    pub stage: String,
    pub description: Option<String>,
    pub category: Option<String>,
    pub auth_type: &'static str,
    pub logo: Option<String>,
    /// whether something can be done there by name: it has modules
    pub operations: bool,
    /// absent: everywhere
    pub regions: Vec<String>,
    /// whether it is offered in the organization's region
    pub available: bool,
}

impl ConnectorCard {
    fn search_text(&self) -> SearchText<'_> {
        SearchText {
            name: &self.name,
            link_name: &self.link_name,
            category: self.category.as_deref(),
            description: self.description.as_deref(),
        }
    }
}

/// What is needed before a connection can be made: what to register at the service, and what to bring from there.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BeforeYouStart {
    /// the page of the service where the organization registers its own app
    pub registration_url: Option<String>,
    /// what to make there
    pub registration_help: Option<String>,
    /// to enter there, to the letter, where people accept in the browser
    pub redirect_uri: Option<String>,
    /// scopes to allow there as well: those ticked from the start
    pub scopes: Vec<String>,
    /// names of what to bring from there: parameters of `asked_for_connection`
    pub bring: Vec<String>,
    /// names of what else is asked for, such as a region or a sub-domain: parameters of `asked_for_connection`
    pub look_up: Vec<String>,
}

/// A connector with its whole document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConnectorView {
    #[serde(flatten)]
    pub card: ConnectorCard,
    /// absent where nothing is registered at the service
    pub before_you_start: Option<BeforeYouStart>,
    /// everything that is asked when a connection is made, the organization's own OAuth client included
    pub asked_for_connection: Vec<connector::Parameter>,
    /// everything that is asked when somebody authorizes
    pub asked_for_authorization: Vec<connector::CredentialField>,
    /// of a custom connector: give it back with a change, so that nobody's change is overwritten
    pub version: Option<i64>,
    /// of a custom connector: number of the newest published version, which new connections take
    pub published_version: Option<i64>,
    /// whether the document was changed since: connections do not feel it until it is published, and they are moved
    pub unpublished_changes: bool,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    /// the members of the connector document
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub document: serde_json::Map<String, Value>,
}

/// As what a connector is read.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConnectorAt {
    /// of a custom connector: number of a version, `newest` for the newest published, or `draft` for the document that is worked on; `draft`
    /// unless told
    pub version: Option<String>,
}

impl ConnectorAt {
    /// What a new connection would be made of.
    pub fn newest() -> Self {
        Self { version: Some("newest".to_owned()) }
    }

    /// What a connection is made of.
    pub fn of(connection: &ConnectionView) -> Self {
        Self { version: connection.connector_version.map(|version| version.to_string()) }
    }
}

/// Which connectors are wanted.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConnectorQuery {
    /// `built_in` or `custom`; both unless told
    pub kind: Option<String>,
    pub category: Option<String>,
    /// words that name, description or category hold; where none does, what has nearly that name
    pub q: Option<String>,
    /// items a page, 1 to 200; 50 unless told
    pub limit: Option<u32>,
    /// `next_cursor` of the page before
    pub cursor: Option<String>,
}

pub(crate) fn card(found: &Found, region: &str) -> ConnectorCard {
    let connector = &found.connector;
    ConnectorCard {
        link_name: found.link_name.clone(),
        name: connector.name.clone(),
        kind: found.kind(),
        stage: found.stage().to_owned(),
        description: connector.description.clone(),
        category: connector.category.clone(),
        auth_type: connector.auth.kind().as_str(),
        logo: connector.logo.clone(),
        operations: !connector.modules.is_empty(),
        regions: connector.regions.clone(),
        available: connector.available_in(region),
    }
}

/// The same of a built-in one, without reading its document.
fn card_of(file: &BuiltIn, region: &str) -> ConnectorCard {
    ConnectorCard {
        link_name: file.link_name.to_owned(),
        name: file.name.to_owned(),
        kind: "built_in",
        stage: PUBLISHED.to_owned(),
        description: file.description.map(str::to_owned),
        category: file.category.map(str::to_owned),
        auth_type: file.auth_type,
        logo: file.logo.map(str::to_owned),
        operations: file.operations,
        regions: file.regions.iter().map(|&region| region.to_owned()).collect(),
        available: file.regions.is_empty() || file.regions.contains(&region),
    }
}

/// What has to be done at the service first. `redirect_uri`: ours.
fn before_you_start(connector: &Connector, redirect_uri: String) -> Option<BeforeYouStart> {
    let client = connector::client_parameter_names(connector);
    let registration = connector.registration.as_ref();
    if client.is_empty() && registration.is_none() {
        return None;
    }
    let in_browser = matches!(connector.auth, Auth::OAuth2Code(_) | Auth::OAuth1(_));
    let ticked = connector.scopes.iter().filter(|scope| scope.default);
    let asked = connector::effective_parameters(connector).into_iter().map(|parameter| parameter.name);
    let (bring, look_up) = asked.partition(|name| client.contains(name));
    Some(BeforeYouStart {
        registration_url: registration.and_then(|registration| registration.url.clone()),
        registration_help: registration.and_then(|registration| registration.help.clone()),
        redirect_uri: in_browser.then_some(redirect_uri),
        scopes: ticked.map(|scope| scope.name.clone()).collect(),
        bring,
        look_up,
    })
}

fn view(found: &Found, unpublished_changes: bool, region: &str, redirect_uri: String) -> ConnectorView {
    let mut document = match found.connector.to_json() {
        Value::Object(document) => document,
        _ => serde_json::Map::new(),
    };
    // The card says these already.
    for name in ["link_name", "name", "description", "category", "logo", "regions"] {
        document.remove(name);
    }
    ConnectorView {
        card: card(found, region),
        before_you_start: before_you_start(&found.connector, redirect_uri),
        asked_for_connection: connector::effective_parameters(&found.connector),
        asked_for_authorization: connector::credential_fields(&found.connector),
        version: found.custom.as_ref().map(|custom| custom.version),
        published_version: found.newest(),
        unpublished_changes,
        created_at: found.custom.as_ref().map(|custom| custom.created_at),
        updated_at: found.custom.as_ref().map(|custom| custom.updated_at),
        document,
    }
}

/// The document of a custom connector that is worked on.
pub(super) fn own_document(custom: &CustomConnector) -> Result<Connector> {
    stored(&custom.document, &custom.link_name)
}

/// A document as the TOML that a catalogue file is.
pub(super) fn in_toml(connector: &Connector) -> Result<String> {
    connector.to_toml().map_err(|why| {
        Error::new(
            Code::StateConflict,
            format!("The document cannot be written as TOML: {why}. Read it as JSON."),
        )
    })
}

/// A document as it stands in the store.
pub(super) fn stored(document: &str, link_name: &str) -> Result<Connector> {
    let value: Value = serde_json::from_str(document).map_err(Error::internal)?;
    Connector::from_json(value).map_err(|errors| {
        let first =
            errors.into_iter().next().map_or_else(String::new, |e| format!("{}: {}", e.field, e.message));
        Error::internal(format!("the stored connector {link_name:?} can no longer be read: {first}"))
    })
}

fn of_custom(custom: CustomConnector) -> Result<Found> {
    let connector = own_document(&custom)?;
    Ok(Found { connector: Arc::new(connector), link_name: custom.link_name.clone(), custom: Some(custom) })
}

impl Engine {
    /// A connector of the catalogue or of the organization, the latter with the document that is worked on: for whoever reads and makes
    /// connectors. What connections use is [`Self::connector_of`], and what a new one will use [`Self::connector_for_new`].
    pub(crate) async fn find_connector(&self, organization: &str, link_name: &str) -> Result<Found> {
        // The organization's own first: a built-in one that comes with a later version must not take its place.
        if let Some(custom) = self.store().connector(organization, link_name).await? {
            return of_custom(custom);
        }
        match built_in().get(link_name) {
            Some(connector) => {
                Ok(Found { connector: Arc::clone(connector), link_name: link_name.to_owned(), custom: None })
            }
            None => Err(Error::not_found(format_args!("connector {link_name:?}"))),
        }
    }

    /// The connector of a connection, as the version of it says that the connection is on.
    pub(crate) async fn connector_of(&self, connection: &Connection) -> Result<Found> {
        self.connector_at(&connection.organization_id, &connection.connector, connection.connector_version)
            .await
    }

    /// The newest version of a connector that was published, for a new connection; of a draft its document.
    pub(crate) async fn connector_for_new(&self, organization: &str, link_name: &str) -> Result<Found> {
        let found = self.find_connector(organization, link_name).await?;
        let newest = found.newest();
        self.at_version(organization, found, newest).await
    }

    /// A connector at one of its versions; none: as it is worked on, or built in.
    pub(crate) async fn connector_at(
        &self,
        organization: &str,
        link_name: &str,
        number: Option<i64>,
    ) -> Result<Found> {
        let found = self.find_connector(organization, link_name).await?;
        self.at_version(organization, found, number).await
    }

    async fn at_version(&self, organization: &str, found: Found, number: Option<i64>) -> Result<Found> {
        let Some(number) = number else { return Ok(found) };
        let version = self.published_version(organization, &found.link_name, number).await?;
        Ok(Found { connector: Arc::new(stored(&version.document, &found.link_name)?), ..found })
    }

    pub(super) async fn published_version(
        &self,
        organization: &str,
        link_name: &str,
        number: i64,
    ) -> Result<ConnectorVersion> {
        let version = self.store().connector_version(organization, link_name, number).await?;
        version
            .ok_or_else(|| Error::not_found(format_args!("version {number} of the connector {link_name:?}")))
    }

    /// Whether the document that is worked on says anything else than the newest version does.
    async fn is_ahead(&self, custom: &CustomConnector) -> Result<bool> {
        let Some(number) = custom.published else { return Ok(false) };
        let newest = self.published_version(&custom.organization_id, &custom.link_name, number).await?;
        // As documents, not as texts: a later program may write the same one otherwise.
        Ok(custom.document != newest.document
            && own_document(custom)? != stored(&newest.document, &custom.link_name)?)
    }

    pub async fn list_connectors(&self, op: &Op, query: &ConnectorQuery) -> Result<Page<ConnectorCard>> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        permit(&op.principal, Action::Read, &resource)?;
        if query.kind.as_deref().is_some_and(|kind| kind != "built_in" && kind != "custom") {
            return Err(Error::new(Code::InvalidRequest, "kind: say built_in or custom."));
        }
        let wants = |kind| query.kind.as_deref().is_none_or(|wanted| wanted == kind);
        let region = &organization.region;
        let mut all = Vec::new();
        if wants("built_in") {
            all.extend(built_in().cards().iter().map(|card| card_of(card, region)));
        }
        if wants("custom") {
            for custom in self.store().connectors(&op.organization).await? {
                all.push(card(&of_custom(custom)?, region));
            }
        }
        all.retain(|card| query.category.is_none() || card.category == query.category);
        all.sort_by(|a, b| a.link_name.cmp(&b.link_name));
        let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
        let (limit, after) = (page.limit()?, page.after()?);
        // The search first: what it forgives depends on everything that there is, not on the page.
        let search = Search::new(query.q.as_deref().unwrap_or_default());
        let mut fits: Vec<ConnectorCard> = search
            .among(&all, ConnectorCard::search_text)
            .into_iter()
            .filter(|card| card.link_name > after)
            .cloned()
            .collect();
        fits.truncate(usize::try_from(limit.rows()).unwrap_or(usize::MAX));
        Ok(limit.page(fits, |card| card.link_name.clone(), |card| card))
    }

    /// The connectors of which the organization has most connections, the most used first: at most so many that a new connection can be
    /// made of. For whoever may make one.
    pub async fn connectors_used_here(&self, op: &Op, most: usize) -> Result<Vec<ConnectorCard>> {
        let organization = self.own_organization(&op.organization).await?;
        let managed_by_admins = organization.managed_by_admins();
        let made = Resource::Connection { level: Level::Admin, managed_by_admins, applications: &[] };
        permit(&op.principal, Action::Manage, &made)?;
        let region = &organization.region;
        let mut used = Vec::new();
        for link_name in self.store().connectors_used(&op.organization, USED_MAX).await? {
            // What a later version of the catalogue no longer has is nothing to begin with.
            let found = match self.find_connector(&op.organization, &link_name).await {
                Ok(found) => found,
                Err(gone) if gone.code == Code::NotFound => continue,
                Err(error) => return Err(error),
            };
            if check_usable(&found, region).is_ok() {
                used.push(card(&found, region));
            }
            if used.len() == most {
                break;
            }
        }
        Ok(used)
    }

    pub async fn read_connector(&self, op: &Op, link_name: &str) -> Result<ConnectorView> {
        self.read_connector_at(op, link_name, &ConnectorAt::default()).await
    }

    /// A connector as one of its versions has it. One that is built in has none, and is as it is.
    pub async fn read_connector_at(
        &self,
        op: &Op,
        link_name: &str,
        at: &ConnectorAt,
    ) -> Result<ConnectorView> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        permit(&op.principal, Action::Read, &resource)?;
        let found = self.find_connector(&op.organization, link_name).await?;
        let ahead = match &found.custom {
            Some(custom) => self.is_ahead(custom).await?,
            None => false,
        };
        let number = match at.version.as_deref() {
            None | Some("draft") => None,
            Some("newest") => found.newest(),
            Some(number) => Some(number.parse().map_err(|_| {
                Error::new(Code::InvalidRequest, "version: say the number of a version, newest or draft.")
            })?),
        };
        let found = self.at_version(&op.organization, found, number).await?;
        Ok(view(&found, ahead, &organization.region, self.redirect_uri()))
    }

    /// The document of a connector as the TOML that a catalogue file is.
    pub async fn export_connector(&self, op: &Op, link_name: &str) -> Result<String> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        permit(&op.principal, Action::Read, &resource)?;
        let found = self.find_connector(&op.organization, link_name).await?;
        let mut connector = Connector::clone(&found.connector);
        connector.link_name = Some(found.link_name);
        in_toml(&connector)
    }

    /// Makes a custom connector, a draft.
    pub async fn create_connector(&self, op: &Op, document: Value) -> Result<ConnectorView> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let given = document.get("link_name").is_some_and(|name| !name.is_null());
        let mut connector = Connector::from_json(document).map_err(Error::invalid)?;
        let wanted = connector.effective_link_name();
        for n in 1..1000 {
            let link_name = names::numbered(&wanted, n);
            let taken = ROUTES.contains(&link_name.as_str())
                || built_in().has(&link_name)
                || self.store().connector(&op.organization, &link_name).await?.is_some();
            if taken && given {
                return Err(link_name_taken(&link_name));
            }
            if taken {
                continue;
            }
            connector.link_name = Some(link_name.clone());
            let custom = CustomConnector {
                organization_id: op.organization.to_string(),
                link_name: link_name.clone(),
                name: connector.name.clone(),
                document: connector.to_json().to_string(),
                stage: DRAFT.to_owned(),
                created_by: op.principal.member().unwrap_or_default().to_owned(),
                created_at: op.now,
                updated_at: op.now,
                version: 1,
                published: None,
            };
            let mut work = self.begin(permit).await?;
            self.allow_connector(&mut work, &organization).await?;
            match work.insert_connector(&custom).await {
                Ok(()) => {}
                // Somebody else was faster by a moment.
                Err(error) if error.is_unique("connectors_pkey") => continue,
                Err(error) => return Err(error.into()),
            }
            let found = Found { connector: Arc::new(connector), link_name, custom: Some(custom) };
            let view = view(&found, false, &organization.region, self.redirect_uri());
            work.answer(op, 201, &view).await?;
            work.record(
                op.event(EventKind::ConnectorCreated)
                    .to(&view.card.link_name)
                    .with("name", view.card.name.as_str()),
            );
            work.commit().await?;
            return Ok(view);
        }
        Err(link_name_taken(&wanted))
    }

    /// Changes a custom connector: a JSON merge patch (RFC 7396) on its document, with `version` beside it.
    pub async fn update_connector(
        &self,
        op: &Op,
        link_name: &str,
        mut patch: Value,
    ) -> Result<ConnectorView> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let mut custom = self.own_connector(op, link_name).await?;
        let Some(members) = patch.as_object_mut() else {
            return Err(Error::new(Code::InvalidJson, "Send a JSON object with the members to change."));
        };
        let version = members.remove("version");
        if version.as_ref().is_some_and(|version| version.as_i64() != Some(custom.version)) {
            let current = self.read_connector(op, link_name).await?;
            return Err(version_conflict().with_extension("current", serde_json::json!(current)));
        }
        if members.get("link_name").is_some_and(|name| name.as_str() != Some(link_name)) {
            return Err(Error::field("link_name", "permanent", "A link name is permanent."));
        }
        let changed: Vec<String> = members.keys().cloned().collect();
        let mut document: Value = serde_json::from_str(&custom.document).map_err(Error::internal)?;
        merge(&mut document, patch);
        let connector = Connector::from_json(document).map_err(Error::invalid)?;
        custom.name.clone_from(&connector.name);
        custom.document = connector.to_json().to_string();
        let event = op.event(EventKind::ConnectorUpdated).with("changed", changed);
        self.save_connector(op, permit, custom, connector, None, event).await
    }

    /// Puts another document in the place of a custom connector's, if `version` is still the present one.
    pub async fn replace_connector(
        &self,
        op: &Op,
        link_name: &str,
        mut document: Value,
        version: i64,
    ) -> Result<ConnectorView> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let mut custom = self.own_connector(op, link_name).await?;
        if version != custom.version {
            return Err(version_conflict());
        }
        if let Some(members) = document.as_object_mut() {
            let name = members.entry("link_name").or_insert_with(|| link_name.into());
            if name.is_null() {
                *name = link_name.into();
            }
            if name.as_str() != Some(link_name) {
                return Err(Error::field("link_name", "permanent", "A link name is permanent."));
            }
        }
        let connector = Connector::from_json(document).map_err(Error::invalid)?;
        let now = connector.to_json();
        let before: Value = serde_json::from_str(&custom.document).map_err(Error::internal)?;
        let changed = changed_members(&before, &now);
        custom.name.clone_from(&connector.name);
        custom.document = now.to_string();
        let event = op.event(EventKind::ConnectorUpdated).with("changed", changed);
        self.save_connector(op, permit, custom, connector, None, event).await
    }

    /// `publish`, `disable` or `enable`. Only published connectors take new connections. What is published is kept as the next version, unless
    /// nothing has changed since the last; the connections there are stay on theirs.
    pub async fn stage_connector(&self, op: &Op, link_name: &str, step: &str) -> Result<ConnectorView> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let mut custom = self.own_connector(op, link_name).await?;
        custom.stage = match (step, custom.stage.as_str()) {
            ("publish", DRAFT | PUBLISHED) | ("enable", DISABLED | PUBLISHED) => PUBLISHED.to_owned(),
            ("disable", PUBLISHED | DISABLED) => DISABLED.to_owned(),
            (_, stage) => {
                return Err(Error::new(
                    Code::StateConflict,
                    match (step, stage) {
                        ("publish", DISABLED) => "The connector is disabled. Enable it first.".to_owned(),
                        (_, DRAFT) => format!(
                            "The connector is a draft: there is nothing to {step} until it is published."
                        ),
                        _ => format!("The connector is {stage}: {step} is not possible now."),
                    },
                ));
            }
        };
        let document: Value = serde_json::from_str(&custom.document).map_err(Error::internal)?;
        let connector = Connector::from_json(document).map_err(Error::invalid)?;
        let mut event = op.event(EventKind::ConnectorStaged).with("stage", custom.stage.as_str());
        let publishes = step == "publish" && (custom.published.is_none() || self.is_ahead(&custom).await?);
        let version = publishes.then(|| ConnectorVersion {
            organization_id: custom.organization_id.clone(),
            link_name: custom.link_name.clone(),
            number: custom.published.unwrap_or(0) + 1,
            document: custom.document.clone(),
            created_by: op.principal.member().unwrap_or_default().to_owned(),
            created_at: op.now,
        });
        if let Some(version) = &version {
            custom.published = Some(version.number);
            event = event.with("published_version", version.number);
        }
        self.save_connector(op, permit, custom, connector, version, event).await
    }

    async fn save_connector(
        &self,
        op: &Op,
        permit: jackfield_core::Permit,
        mut custom: CustomConnector,
        connector: Connector,
        version: Option<ConnectorVersion>,
        event: Event,
    ) -> Result<ConnectorView> {
        let organization = self.own_organization(&op.organization).await?;
        let ahead = version.is_none() && self.is_ahead(&custom).await?;
        custom.updated_at = op.now;
        let mut work = self.begin(permit).await?;
        if !work.update_connector(&custom).await? {
            return Err(version_conflict());
        }
        // The row has the number already: nobody else can have taken it.
        if let Some(version) = &version {
            work.insert_connector_version(version).await?;
        }
        custom.version += 1;
        let link_name = custom.link_name.clone();
        work.record(event.to(&link_name));
        let found = Found { connector: Arc::new(connector), link_name, custom: Some(custom) };
        let view = view(&found, ahead, &organization.region, self.redirect_uri());
        work.touch(&op.organization);
        work.answer(op, 200, &view).await?;
        work.commit().await?;
        Ok(view)
    }

    /// Deletes a custom connector that no connection uses.
    pub async fn delete_connector(&self, op: &Op, link_name: &str) -> Result<()> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        self.own_connector(op, link_name).await?;
        if let Some(user) = self.store().connection_of_connector(&op.organization, link_name).await? {
            return Err(Error::new(
                Code::ConnectorReferenced,
                format!(
                    "The connection {user:?} uses this connector. Delete its connections first, or disable the connector."
                ),
            ));
        }
        let mut work = self.begin(permit).await?;
        work.delete_connector(&op.organization, link_name).await?;
        work.touch(&op.organization);
        work.record(op.event(EventKind::ConnectorDeleted).to(link_name));
        work.commit().await
    }

    pub(super) async fn own_connector(&self, op: &Op, link_name: &str) -> Result<CustomConnector> {
        match self.store().connector(&op.organization, link_name).await? {
            Some(custom) => Ok(custom),
            None if built_in().has(link_name) => Err(Error::new(
                Code::Forbidden,
                "A built-in connector cannot be changed. Make a custom one from it.",
            )),
            None => Err(Error::not_found(format_args!("connector {link_name:?}"))),
        }
    }
}

/// Whether new connections may be made with it.
pub(crate) fn check_usable(found: &Found, region: &str) -> Result<()> {
    match found.stage() {
        PUBLISHED => {}
        DRAFT => return Err(Error::new(Code::StateConflict, "The connector is a draft. Publish it first.")),
        _ => return Err(Error::new(Code::StateConflict, "The connector is disabled. Enable it first.")),
    }
    match found.connector.refusal_in(region) {
        None => Ok(()),
        Some(why) => Err(Error::field("connector", "not_available", why)),
    }
}

pub(crate) fn link_name_taken(link_name: &str) -> Error {
    Error::new(
        Code::LinkNameTaken,
        format!("The link name {link_name:?} is taken. Choose another, or leave it out."),
    )
}

/// Names of the members that two documents do not have alike.
fn changed_members(before: &Value, now: &Value) -> Vec<String> {
    let names = |document: &Value| -> Vec<String> {
        document.as_object().into_iter().flat_map(|members| members.keys().cloned()).collect()
    };
    let mut all = names(before);
    all.extend(names(now));
    all.sort();
    all.dedup();
    all.retain(|name| before.get(name) != now.get(name));
    all
}

/// JSON merge patch (RFC 7396 §2).
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_changed_is_named_once() {
        let changed = changed_members(&json!({"a": 1, "b": 2, "c": 3}), &json!({"a": 1, "b": 3, "d": 4}));
        assert_eq!(changed, ["b", "c", "d"]);
    }

    #[test]
    fn a_merge_patch_is_the_one_of_the_rfc() {
        // RFC 7396, appendix A, a selection.
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": "foo"}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, patch);
            assert_eq!(merged, result);
        }
    }
}
