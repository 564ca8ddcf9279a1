//! The *Sandbox*: a small but genuine provider.
//!
//! It has people who sign in and consent, OAuth 2 with PKCE, rotating refresh tokens, pushed
//! authorization requests and revocation, OAuth 1, API keys and Basic, and a vendor API. The demo
//! runs it beside the service so that every journey can be walked without an account anywhere; tests
//! run it with [`Fault`]s. It shares no code with the service: what it checks, it checks by itself.

mod accounts;
mod api;
mod assertion;
mod bounded;
mod clock;
mod connectors;
mod credential;
mod faults;
mod oauth1;
mod oauth2;
mod pages;
mod params;
mod secret;
mod serve;
mod state;
pub mod tills;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use tokio::sync::watch;

pub use accounts::{
    ADA_API_KEY, ADA_PASSWORD, CLIENT_ID, CLIENT_SECRET, CONSUMER_KEY, CONSUMER_SECRET, Client, Consumer,
    LIN_API_KEY, LIN_PASSWORD, MACHINE_CLIENT_ID, MACHINE_CLIENT_SECRET, PEOPLE, PUBLIC_CLIENT_ID, Person,
    Redirects, SCOPES, Scope, person,
};
pub use faults::{Fault, Place};
pub use secret::digest;
pub use serve::Running;
pub use state::{Counters, Vendor};

/// How the sandbox behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long an access token is valid.
    pub access_token_life: Duration,
    /// Whether a refresh token is good for one refresh and comes back with a successor. Without
    /// rotation the answer to a refresh has no refresh token and the old one stays.
    pub rotate_refresh_tokens: bool,
    /// How long a spent refresh token is tolerated: it then gives the same new tokens once more.
    /// After that its return ends the whole grant.
    pub reuse_grace: Duration,
    /// Tests: this person (see [`person`]) is always signed in and consents at once.
    pub auto_consent: Option<String>,
    /// Whether authorization requests have to be pushed first (RFC 9126).
    pub require_par: bool,
    /// How long a device waits between two questions.
    pub device_interval: Duration,
    /// The address people and clients use, when it is not the listener's.
    pub public_url: Option<String>,
    /// The OAuth 2 clients.
    pub clients: Vec<Client>,
    /// The OAuth 1 consumers.
    pub consumers: Vec<Consumer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access_token_life: Duration::from_mins(10),
            rotate_refresh_tokens: true,
            reuse_grace: Duration::ZERO,
            auto_consent: None,
            require_par: false,
            device_interval: Duration::from_secs(5),
            public_url: None,
            clients: accounts::default_clients(),
            consumers: accounts::default_consumers(),
        }
    }
}

/// A handle on a sandbox; clones share it.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    options: Options,
    state: Mutex<state::State>,
    releases: watch::Sender<u64>,
}

/// What every handler has: the sandbox, and the address it is known by.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) sandbox: Sandbox,
    /// Without a slash at the end.
    pub(crate) base: Arc<str>,
}

/// A grant that is in force, for tests to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantView {
    /// The client, or the consumer of OAuth 1.
    pub client: String,
    /// The email address of the person, unless the client acts for itself.
    pub person: Option<String>,
    /// The granted scopes in order; empty for OAuth 1, which knows none.
    pub scopes: Vec<String>,
}

impl Sandbox {
    /// A sandbox that does not serve yet.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            options,
            state: Mutex::new(state::State::new()),
            releases: watch::Sender::new(0),
        }))
    }

    /// All routes, for the address at which they are served. Faults that end connections need
    /// [`Sandbox::serve`]; elsewhere they are imitated.
    pub fn router(&self, base_url: &str) -> Router {
        let app = App { sandbox: self.clone(), base: base_url.trim_end_matches('/').into() };
        let machines = Router::new().merge(oauth2::machine_routes()).merge(oauth1::machine_routes());
        Router::new()
            .merge(
                machines
                    .merge(api::routes())
                    .layer(axum::middleware::from_fn_with_state(app.clone(), faults::layer)),
            )
            .merge(oauth2::browser_routes())
            .merge(oauth1::browser_routes())
            .merge(pages::routes())
            .with_state(app)
    }

    /// Connector documents for this sandbox at the given address, one for each way of authenticating:
    /// `sandbox`, `sandbox_company` (with a choice after authorization), `sandbox_public`,
    /// `sandbox_device`, `sandbox_client_credentials`, `sandbox_oauth1`, `sandbox_api_key` and
    /// `sandbox_basic`. The sandbox's own client ids and secrets are defaults in them; they are no
    /// secrets, for the start page shows them.
    pub fn connector_documents(&self, base_url: &str) -> Vec<serde_json::Value> {
        connectors::documents(self.options(), base_url.trim_end_matches('/'))
    }

    /// The same documents for connections whose parameters are typed: secrets are marked as secret,
    /// and nothing has a default. [`Sandbox::connector_parameters`] has the values.
    pub fn connector_documents_without_defaults(&self, base_url: &str) -> Vec<serde_json::Value> {
        let mut documents = self.connector_documents(base_url);
        documents.iter_mut().for_each(connectors::without_defaults);
        documents
    }

    /// The parameter values that fit the connector document with this link name.
    pub fn connector_parameters(&self, link_name: &str) -> serde_json::Map<String, serde_json::Value> {
        let documents = self.connector_documents("http://127.0.0.1");
        let parameters = documents
            .iter()
            .filter(|document| document["link_name"] == link_name)
            .filter_map(|document| document["parameters"].as_array())
            .flatten();
        parameters
            .filter_map(|parameter| {
                Some((parameter["name"].as_str()?.to_owned(), parameter["default"].clone()))
            })
            .collect()
    }

    /// Lets a fault strike the token endpoint: that many times, or until [`Sandbox::clear_faults`].
    /// See [`Sandbox::set_fault_at`].
    pub fn set_fault(&self, fault: Fault, times: Option<u32>) {
        self.set_fault_at(Place::Token, fault, times);
    }

    /// Lets a fault strike every path of the API.
    pub fn set_api_fault(&self, fault: Fault, times: Option<u32>) {
        self.set_fault_at(Place::Api, fault, times);
    }

    /// Lets a fault strike somewhere. Counted faults of one place queue up and strike in order; a
    /// standing one (`None`) gives way to whatever is set for its place afterwards.
    pub fn set_fault_at(&self, place: Place, fault: Fault, times: Option<u32>) {
        self.state().faults.push(place, fault, times);
    }

    /// Forgets all faults that have not struck.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Lets the requests go on that [`Fault::Hang`] and [`Fault::HangAfterProcessing`] hold.
    pub fn release(&self) {
        self.0.releases.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.state().counted()
    }

    /// Sets all counters to zero.
    pub fn reset_counters(&self) {
        self.state().reset_counters();
    }

    /// Makes every OAuth 2 access token invalid; refresh tokens stay.
    pub fn expire_access_tokens(&self) {
        let now = clock::now();
        for access in self.state().access.values_mut() {
            access.until = now;
        }
    }

    /// Takes back everything that a person (see [`person`]) granted, as if done on the provider's
    /// own pages. Says how many grants that were.
    pub fn revoke_person(&self, who: &str) -> usize {
        let Some(person) = person(who) else { return 0 };
        let mut state = self.state();
        let of_person: Vec<String> = state
            .grants
            .iter()
            .filter(|(_, grant)| grant.person.is_some_and(|owner| owner.sub == person.sub))
            .map(|(id, _)| id.clone())
            .collect();
        for grant in &of_person {
            state.end_grant(grant);
        }
        let before = state.lasting.iter().count();
        state.lasting.retain(|_, token| token.person.sub != person.sub);
        of_person.len() + before - state.lasting.iter().count()
    }

    /// The grants that are in force, in no particular order.
    pub fn grants(&self) -> Vec<GrantView> {
        let state = self.state();
        let two = state.grants.iter().map(|(_, grant)| GrantView {
            client: grant.client_id.clone(),
            person: grant.person.map(|person| person.email.to_owned()),
            scopes: grant.scopes.iter().cloned().collect(),
        });
        let one = state.lasting.iter().map(|(_, token)| GrantView {
            client: token.consumer.clone(),
            person: Some(token.person.email.to_owned()),
            scopes: Vec::new(),
        });
        two.chain(one).collect()
    }

    /// The vendors, oldest first.
    pub fn vendors(&self) -> Vec<Vendor> {
        self.state().vendors.values().map(|(vendor, _)| vendor.clone()).collect()
    }

    /// How it behaves.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The memory. The lock is never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, state::State> {
        // A panic elsewhere leaves no half-made entry behind that would harm: go on.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Client> {
        self.options().clients.iter().find(|client| client.id == id)
    }

    pub(crate) fn consumer(&self, key: &str) -> Option<&Consumer> {
        self.options().consumers.iter().find(|consumer| consumer.key == key)
    }

    /// Waits for the next [`Sandbox::release`].
    pub(crate) async fn released(&self) {
        let mut releases = self.0.releases.subscribe();
        drop(releases.changed().await);
    }
}
