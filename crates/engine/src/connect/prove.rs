//! Proof: a new credential is tried before it counts, and the service is asked whose it is.

use bytes::Bytes;
use http::{HeaderMap, Method};
use jackfield_core::connector::{Identity, IdentitySource, Template, target};
use jackfield_core::{Code, Error, Result};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::Instant;

use crate::Engine;
use crate::call::egress::EgressBody;
use crate::call::inject::{Injection, KnownBody};
use crate::connect::exchange::{EXCHANGE_TIME, Granted};
use crate::connect::ground::{Attributes, Ground};
use crate::connect::{Bounds, Credential};

/// Longest answer of a test or an identity operation.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// Longest proposed account name, in characters.
const NAME_MAX: usize = 150;

/// A credential, and where it may go.
pub(crate) type Bounded<'a> = (&'a Credential, &'a Bounds);

/// What a service says about whose account it is.
#[derive(Debug, Default)]
pub(crate) struct Whose {
    pub name: Option<String>,
    pub subject: Option<String>,
}

impl Engine {
    /// Tries the connector's test operation. [`Code::CredentialRejected`] when the service refuses.
    pub(crate) async fn prove(
        &self,
        ground: &Ground,
        credential: Bounded<'_>,
        attributes: &Attributes,
    ) -> Result<()> {
        let Some(test) = &ground.connector.test else { return Ok(()) };
        if waits(ground, &test.path, attributes) {
            return Ok(());
        }
        let path = rendered(ground, &test.path, attributes)?;
        let (status, body) = self
            .try_call(ground, credential, attributes, test.method.as_str(), &path, test.body.as_ref())
            .await?;
        if test.passed(status, body.as_ref()) {
            return Ok(());
        }
        if status >= 500 || status == 429 {
            return Err(Error::new(
                Code::UpstreamUnreachable,
                format!(
                    "The service could not test the credential: it answered {status}. Try again in a moment."
                ),
            ));
        }
        Err(Error::new(
            Code::CredentialRejected,
            format!(
                "The service refused the credential: its test answered {status}. Nothing was stored. Check what you entered."
            ),
        ))
    }

    /// Asks whose account it is. A service that does not say is no fault.
    pub(crate) async fn identify(
        &self,
        ground: &Ground,
        granted: &Granted,
        bounds: &Bounds,
        attributes: &Attributes,
    ) -> Whose {
        let Some(identity) = &ground.connector.identity else { return Whose::default() };
        let answer = match identity.from {
            IdentitySource::Token => granted.answer.clone(),
            IdentitySource::IdToken => {
                granted.id_token.as_ref().and_then(|token| claims(token.expose_secret()))
            }
            IdentitySource::Call => {
                self.ask_identity(ground, (&granted.credential, bounds), attributes, identity).await
            }
        };
        let Some(answer) = answer else { return Whose::default() };
        let (name, subject) = identity.read(&answer, &ground.values(attributes, None));
        let short = |text: String| text.chars().take(NAME_MAX).collect();
        Whose { name: name.map(short), subject: subject.map(short) }
    }

    async fn ask_identity(
        &self,
        ground: &Ground,
        credential: Bounded<'_>,
        attributes: &Attributes,
        identity: &Identity,
    ) -> Option<Value> {
        let url = rendered(ground, identity.url.as_deref()?, attributes).ok()?;
        let method = identity.method.as_str();
        match self.try_call(ground, credential, attributes, method, &url, identity.body.as_ref()).await {
            Ok((200..=299, body)) => body,
            Ok((status, _)) => {
                tracing::info!(
                    connector = ground.connection.connector,
                    status,
                    "the service did not say whose account it is"
                );
                None
            }
            Err(error) => {
                tracing::info!(connector = ground.connection.connector, %error, "the service could not be asked whose account it is");
                None
            }
        }
    }

    /// A request of Jackfield's own with a credential: status, and body where it is JSON. It goes nowhere beyond the bounds.
    pub(crate) async fn try_call(
        &self,
        ground: &Ground,
        (credential, bounds): Bounded<'_>,
        attributes: &Attributes,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Option<Value>)> {
        let root = ground.root_for(path, attributes)?;
        let injection = Injection::prepare_at(ground, root, credential, bounds, attributes)?;
        let method = Method::from_bytes(method.as_bytes()).map_err(Error::internal)?;
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, http::HeaderValue::from_static("application/json"));
        headers.insert(http::header::USER_AGENT, http::HeaderValue::from_static("Jackfield"));
        let mut bytes = Vec::new();
        if let Some(body) = body {
            headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
            bytes = serde_json::to_vec(body).map_err(Error::internal)?;
        }
        if !matches!(method, Method::GET | Method::HEAD) {
            bytes = injection.fill_body(&mut headers, bytes)?;
        }
        let target = injection.target(path, &[])?;
        let payload =
            if bytes.is_empty() { EgressBody::Empty } else { EgressBody::Full(Bytes::from(bytes.clone())) };
        let request = injection.request(method, &target, headers, &KnownBody::Bytes(&bytes), payload)?;
        let answer = self.egress().ask(request, ANSWER_LIMIT, Instant::now() + EXCHANGE_TIME).await?;
        Ok((answer.status().as_u16(), serde_json::from_slice(answer.body()).ok()))
    }
}

/// Whether a request needs a choice that was not made yet.
pub(super) fn waits(ground: &Ground, path: &str, attributes: &Attributes) -> bool {
    let root = &ground.connector.base_url;
    Ground::waits_for_setup(path, attributes)
        || (!target::has_web_scheme(path) && Ground::waits_for_setup(root, attributes))
}

pub(crate) fn rendered(ground: &Ground, template: &str, attributes: &Attributes) -> Result<String> {
    let values = ground.values(attributes, None);
    let parsed = Template::parse(template).map_err(Error::internal)?;
    parsed
        .path(|name| values.get(name))
        .map_err(|why| Error::field("parameters", "unresolved", format!("{why}.")))
}

/// The claims of an ID token. It came from the token endpoint itself, over TLS: its signature need not be checked (`OpenID` Connect Core
/// §3.1.3.7, 6).
fn claims(token: &str) -> Option<Value> {
    use base64::Engine as _;
    let payload = token.split('.').nth(1)?;
    let bytes =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}
