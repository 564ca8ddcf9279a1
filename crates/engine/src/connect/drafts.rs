//! Drafts of connectors, out of what a service publishes: an OpenAPI document, a cURL command, its OAuth metadata. Only metadata is fetched, and
//! through the one door.

use std::time::Duration;

use bytes::Bytes;
use jackfield_core::connector::import::{self, Draft, Wanted};
use jackfield_core::{Action, Error, Resource, Result, permit};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::connect::connectors::ConnectorView;
use crate::{Engine, Op};

/// How long all addresses together at which metadata may stand are asked.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a draft is made of: one of `openapi`, `curl` and `discover`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorImport {
    /// an OpenAPI 3.0 or 3.1 document: its text in JSON or YAML, or the object itself
    #[schema(value_type = Option<Object>)]
    pub openapi: Option<Value>,
    /// a cURL command; what may be secret in it is not taken over
    pub curl: Option<String>,
    /// address of an authorization server, whose metadata is read
    pub discover: Option<String>,
    /// of an OpenAPI document: the operations to take, such as `GET /pets`; `*` takes all
    pub operations: Option<Vec<String>>,
    /// what the connector is to be called
    pub name: Option<String>,
    /// of an OpenAPI document: where it was published, for addresses that are relative to it
    pub source: Option<String>,
    /// whether the draft is kept as a custom connector; else it is only shown
    #[serde(default)]
    pub save: bool,
}

/// What came of an import.
pub enum Imported {
    Shown(Box<Draft>),
    Made(Box<ConnectorView>),
}

impl Engine {
    /// A draft to look at, or the connector that is made of it.
    pub async fn import_connector(&self, op: &Op, import: ConnectorImport) -> Result<Imported> {
        let organization = self.own_organization(&op.organization).await?;
        let resource = Resource::Connectors { managed_by_admins: organization.managed_by_admins() };
        permit(&op.principal, Action::Manage, &resource)?;
        let name = import.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let save = import.save;
        let draft = match (import.openapi, import.curl, import.discover) {
            (Some(document), None, None) => {
                let text = match document {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                let wanted = Wanted { operations: import.operations };
                let (name, source) = (name.map(str::to_owned), import.source);
                // A large document takes a while, and others are not to wait for it.
                tokio::task::spawn_blocking(move || {
                    import::from_openapi(&text, &wanted, name.as_deref(), source.as_deref())
                })
                .await
                .map_err(Error::internal)??
            }
            (None, Some(command), None) => import::from_curl(&command, name)?,
            (None, None, Some(address)) => self.discover(&address, name).await?,
            _ => {
                return Err(Error::field("openapi", "required", "Give one of openapi, curl and discover."));
            }
        };
        if !save {
            return Ok(Imported::Shown(Box::new(draft)));
        }
        if !draft.faults.is_empty() {
            return Err(Error::invalid(draft.faults));
        }
        Ok(Imported::Made(Box::new(self.create_connector(op, draft.document).await?)))
    }

    async fn discover(&self, address: &str, name: Option<&str>) -> Result<Draft> {
        let deadline = Instant::now() + PATIENCE;
        let mut why = Error::field("discover", "not_found", "No metadata stands at this address.");
        for url in import::metadata_urls(address)? {
            let mut request = http::Request::new(Bytes::new());
            *request.uri_mut() = url
                .parse()
                .map_err(|_| Error::field("discover", "invalid", "This is no address that can be asked."))?;
            let json = http::HeaderValue::from_static("application/json");
            request.headers_mut().insert(http::header::ACCEPT, json);
            let answer = match self.egress().exchange(request, import::METADATA_MAX, deadline).await {
                Ok(answer) => answer,
                Err(error) => {
                    why = Error::from(error);
                    continue;
                }
            };
            match serde_json::from_slice::<Value>(answer.body()) {
                Ok(metadata) if answer.status().is_success() => {
                    return import::from_metadata(&metadata, &url, name);
                }
                _ => {
                    let detail = format!("{url} answered {}, and no metadata.", answer.status().as_u16());
                    why = Error::field("discover", "not_found", detail);
                }
            }
        }
        Err(why)
    }
}
