//! The OAuth exchanges of a connection: the connector's data put into the protocols of `jackfield-oauth`, sent through the one door, and
//! the answers made into credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jackfield_core::connector::{self, Auth};
use jackfield_core::{Code, Error, Result, Timestamp};
use jackfield_oauth::{TokenError, oauth1, oauth2};
use jackfield_vault::token;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::Engine;
use crate::call::egress::EgressError;
use crate::connect::credential::Credential;
use crate::connect::ground::{Attributes, Ground, INSTANCE_URL};

/// Longest answer of a token endpoint.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How long a token endpoint may take. Shorter than a flow and than a call: whoever waits wants to be told.
pub(crate) const EXCHANGE_TIME: Duration = Duration::from_secs(10);
/// No token is refreshed earlier than this before it expires when a call asks.
const EARLIEST: Duration = Duration::from_mins(2);

/// What an exchange brought.
pub(crate) struct Granted {
    pub credential: Credential,
    /// whether Jackfield can get the next one by itself
    pub refreshable: bool,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// `None`: the service did not say
    pub scopes: Option<Vec<String>>,
    pub attributes: Attributes,
    /// the whole answer, for the identity
    pub answer: Option<serde_json::Value>,
    pub id_token: Option<SecretString>,
}

/// Why an exchange brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// no whole answer came
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// the service answered something else than a token
    #[error(transparent)]
    Token(#[from] TokenError),
    /// the connection is not configured so that it could be asked
    #[error("{0}")]
    Setup(Error),
}

impl From<Error> for ExchangeError {
    fn from(error: Error) -> Self {
        Self::Setup(error)
    }
}

impl From<oauth2::RequestError> for ExchangeError {
    fn from(error: oauth2::RequestError) -> Self {
        Self::Setup(Error::field("parameters", "invalid", error.to_string()))
    }
}

impl From<oauth1::SignError> for ExchangeError {
    fn from(error: oauth1::SignError) -> Self {
        Self::Setup(Error::field("parameters", "invalid", error.to_string()))
    }
}

impl ExchangeError {
    /// For whoever asked for the exchange.
    pub fn into_error(self) -> Error {
        match self {
            Self::Setup(error) => error,
            Self::Egress(error @ EgressError::AddressNotAllowed { .. }) => error.into(),
            Self::Egress(error) => Error::new(
                Code::TokenEndpointFailed,
                format!("The service's token endpoint failed: {error}."),
            )
            .with_cause(error),
            Self::Token(error) => {
                let retry =
                    if let TokenError::Passing { retry_after, .. } = &error { *retry_after } else { None };
                let error = Error::new(
                    Code::TokenEndpointFailed,
                    format!("The service's token endpoint failed: {error}."),
                );
                Error { retry_after: retry, ..error }
            }
        }
    }
}

/// What a service says to a device code.
pub(crate) enum DeviceAnswer {
    Granted(Box<Granted>),
    /// nobody has decided yet
    Pending,
    /// nobody has decided yet, and it was asked too often
    SlowDown,
}

/// The client of an organization at a service, with its secrets.
struct OwnClient {
    id: String,
    id_name: String,
    authentication: OwnAuthentication,
}

enum OwnAuthentication {
    None,
    Basic(SecretString),
    Post(SecretString),
    Jwt { key: SecretString, key_id: Option<String>, algorithm: oauth2::SigningAlgorithm },
}

impl OwnClient {
    fn of(ground: &Ground, endpoint: &connector::TokenEndpoint) -> Result<Self> {
        use connector::ClientAuthentication as A;
        let secret = || ground.required("client_secret").map(SecretString::from);
        let declared = endpoint.client_authentication;
        let authentication = match declared.unwrap_or(A::ClientSecretBasic) {
            A::None => OwnAuthentication::None,
            // Undeclared, and no secret given: a public client.
            A::ClientSecretBasic if declared.is_none() && ground.parameter("client_secret").is_none() => {
                OwnAuthentication::None
            }
            A::ClientSecretBasic => OwnAuthentication::Basic(secret()?),
            A::ClientSecretPost => OwnAuthentication::Post(secret()?),
            A::PrivateKeyJwt => OwnAuthentication::Jwt {
                key: ground.required("private_key").map(SecretString::from)?,
                key_id: ground.parameter("key_id").map(str::to_owned),
                algorithm: signing_algorithm(ground.parameter("signing_algorithm"))?,
            },
        };
        Ok(Self {
            id: ground.required("client_id")?.to_owned(),
            id_name: endpoint.client_id_name.clone(),
            authentication,
        })
    }

    fn as_client(&self) -> oauth2::Client<'_> {
        oauth2::Client {
            client_id: &self.id,
            client_id_name: &self.id_name,
            authentication: match &self.authentication {
                OwnAuthentication::None => oauth2::ClientAuthentication::None,
                OwnAuthentication::Basic(secret) => oauth2::ClientAuthentication::SecretBasic(secret),
                OwnAuthentication::Post(secret) => oauth2::ClientAuthentication::SecretPost(secret),
                OwnAuthentication::Jwt { key, key_id, algorithm } => {
                    oauth2::ClientAuthentication::PrivateKeyJwt {
                        private_key_pem: key,
                        key_id: key_id.as_deref(),
                        algorithm: *algorithm,
                    }
                }
            },
        }
    }
}

fn signing_algorithm(name: Option<&str>) -> Result<oauth2::SigningAlgorithm> {
    name.unwrap_or("RS256").parse().map_err(|_| {
        Error::field(
            "parameters.signing_algorithm",
            "invalid",
            "The signing algorithm is not one that private keys can be used with here.",
        )
    })
}

/// A token endpoint of a connector, its templates rendered.
struct Endpoint {
    url: String,
    parameters: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    method: oauth2::TokenMethod,
    encoding: oauth2::TokenEncoding,
}

impl Endpoint {
    fn of(
        ground: &Ground,
        endpoint: &connector::TokenEndpoint,
        url: &str,
        more: &BTreeMap<String, String>,
        attributes: &Attributes,
        scope: Option<&str>,
    ) -> Result<Self> {
        let mut parameters = ground.pairs(more, attributes, scope)?;
        // A service that calls the scope otherwise gets it under its own name only.
        if endpoint.scope_parameter != "scope"
            && let Some(scope) = scope
        {
            parameters.push(("scope".to_owned(), String::new()));
            parameters.push((endpoint.scope_parameter.clone(), scope.to_owned()));
        }
        if endpoint.client_secret_name != "client_secret"
            && endpoint.client_authentication == Some(connector::ClientAuthentication::ClientSecretPost)
        {
            parameters.push(("client_secret".to_owned(), String::new()));
            parameters
                .push((endpoint.client_secret_name.clone(), ground.required("client_secret")?.to_owned()));
        }
        Ok(Self {
            url: ground.url(url, attributes)?,
            parameters,
            headers: ground.pairs(&endpoint.token_headers, attributes, None)?,
            method: match endpoint.token_method {
                connector::TokenMethod::Post => oauth2::TokenMethod::Post,
                connector::TokenMethod::Get => oauth2::TokenMethod::Get,
            },
            encoding: match endpoint.token_request {
                connector::TokenRequest::Form => oauth2::TokenEncoding::Form,
                connector::TokenRequest::Json => oauth2::TokenEncoding::Json,
            },
        })
    }

    fn as_endpoint(&self) -> oauth2::TokenEndpoint<'_> {
        oauth2::TokenEndpoint {
            url: &self.url,
            method: self.method,
            encoding: self.encoding,
            parameters: &self.parameters,
            headers: &self.headers,
            assertion_audience: None,
        }
    }
}

/// Takes what was presented out of the service's words.
fn without_secrets(error: TokenError, ground: &Ground, presented: &[&SecretString]) -> ExchangeError {
    let mut words: Vec<&str> = presented.iter().map(|secret| secret.expose_secret()).collect();
    words.extend(["client_secret", "private_key"].iter().filter_map(|name| ground.parameter(name)));
    error.without(&words).into()
}

/// When a call may ask for a refresh: in the last fifth of the token's life, and at most two minutes before it expires.
pub(crate) fn refresh_from(issued_at: Timestamp, expires_at: Timestamp) -> Timestamp {
    expires_at.minus((issued_at.until(expires_at) / 5).min(EARLIEST))
}

/// A fresh nonce for whatever wants one.
fn nonce() -> String {
    token::random_token().expose_secret().to_owned()
}

impl Engine {
    async fn token_answer(
        &self,
        ground: &Ground,
        endpoint: &connector::TokenEndpoint,
        request: http::Request<Bytes>,
        secrets: &[&SecretString],
        now: Timestamp,
        time: Duration,
    ) -> Result<oauth2::TokenAnswer, ExchangeError> {
        let answer = self.egress().exchange(request, ANSWER_LIMIT, Instant::now() + time).await?;
        let quirks = oauth2::TokenQuirks {
            token_at: endpoint.token_at.as_deref(),
            scope_delimiter: &endpoint.scope_delimiter,
        };
        oauth2::parse_token_response(&answer, &quirks, now.seconds())
            .map_err(|error| without_secrets(error, ground, secrets))
    }

    /// A device and a user code (RFC 8628 §3.1).
    pub(crate) async fn device_codes(
        &self,
        ground: &Ground,
        now: Timestamp,
    ) -> Result<oauth2::DeviceAuthorization, ExchangeError> {
        let Auth::OAuth2DeviceCode(auth) = &ground.connector.auth else { return Err(changed().into()) };
        let none = Attributes::new();
        let client = OwnClient::of(ground, &auth.token)?;
        let scope = ground.joined_scopes(&auth.token.scope_delimiter);
        let url = &auth.device_authorization_url;
        let endpoint = Endpoint::of(ground, &auth.token, url, &BTreeMap::new(), &none, scope.as_deref())?;
        // An assertion of the client is for the authorization server, which its token endpoint stands for (RFC 7523 §3, item 3).
        let audience = ground.url(&auth.token.token_url, &none)?;
        let endpoint = oauth2::TokenEndpoint {
            method: oauth2::TokenMethod::Post,
            assertion_audience: Some(&audience),
            ..endpoint.as_endpoint()
        };
        let nonce = nonce();
        let moment = oauth2::Moment { now: now.seconds(), nonce: &nonce };
        let request =
            oauth2::device_authorization_request(&client.as_client(), &endpoint, scope.as_deref(), &moment)?;
        let answer = self.egress().exchange(request, ANSWER_LIMIT, Instant::now() + EXCHANGE_TIME).await?;
        oauth2::parse_device_authorization(&answer, now.seconds())
            .map_err(|error| without_secrets(error, ground, &[]))
    }

    /// Whether the person has accepted, and the tokens if he has (RFC 8628 §3.4).
    pub(crate) async fn device_token(
        &self,
        ground: &Ground,
        code: &SecretString,
        now: Timestamp,
    ) -> Result<DeviceAnswer, ExchangeError> {
        let Auth::OAuth2DeviceCode(auth) = &ground.connector.auth else { return Err(changed().into()) };
        let client = OwnClient::of(ground, &auth.token)?;
        let (url, more) = (&auth.token.token_url, &auth.token.token_parameters);
        let endpoint = Endpoint::of(ground, &auth.token, url, more, &Attributes::new(), None)?;
        let nonce = nonce();
        let moment = oauth2::Moment { now: now.seconds(), nonce: &nonce };
        let request =
            oauth2::device_token_request(&client.as_client(), &endpoint.as_endpoint(), code, &moment)?;
        let answer = self.egress().exchange(request, ANSWER_LIMIT, Instant::now() + EXCHANGE_TIME).await?;
        let quirks = oauth2::TokenQuirks {
            token_at: auth.token.token_at.as_deref(),
            scope_delimiter: &auth.token.scope_delimiter,
        };
        let answer = oauth2::parse_device_token_response(&answer, &quirks, now.seconds())
            .map_err(|error| without_secrets(error, ground, &[code]))?;
        Ok(match answer {
            oauth2::DeviceTokenAnswer::Token(answer) => {
                DeviceAnswer::Granted(Box::new(granted(ground, &auth.token, *answer, now)))
            }
            oauth2::DeviceTokenAnswer::Pending => DeviceAnswer::Pending,
            oauth2::DeviceTokenAnswer::SlowDown => DeviceAnswer::SlowDown,
        })
    }

    /// `OAuth2` authorization code: the code for tokens (RFC 6749 §4.1.3).
    pub(crate) async fn exchange_code(
        &self,
        ground: &Ground,
        code: &SecretString,
        verifier: Option<&str>,
        attributes: &Attributes,
        now: Timestamp,
    ) -> Result<Granted, ExchangeError> {
        let Auth::OAuth2Code(auth) = &ground.connector.auth else { return Err(changed().into()) };
        let client = OwnClient::of(ground, &auth.token)?;
        let url = &auth.token.token_url;
        let endpoint =
            Endpoint::of(ground, &auth.token, url, &auth.token.token_parameters, attributes, None)?;
        let nonce = nonce();
        let moment = oauth2::Moment { now: now.seconds(), nonce: &nonce };
        let redirect = self.redirect_uri();
        let request = oauth2::code_request(
            &client.as_client(),
            &endpoint.as_endpoint(),
            code,
            &redirect,
            verifier,
            &moment,
        )?;
        let answer = self.token_answer(ground, &auth.token, request, &[code], now, EXCHANGE_TIME).await?;
        Ok(granted(ground, &auth.token, answer, now))
    }

    /// A token by the client's own right (RFC 6749 §4.4), or by an assertion (RFC 7523 §2.1). No person is needed, the first time and
    /// every time after.
    pub(crate) async fn own_token(
        &self,
        ground: &Ground,
        attributes: &Attributes,
        now: Timestamp,
        time: Duration,
    ) -> Result<Granted, ExchangeError> {
        let nonce = nonce();
        let moment = oauth2::Moment { now: now.seconds(), nonce: &nonce };
        let (token, request) = match &ground.connector.auth {
            Auth::OAuth2ClientCredentials(auth) => {
                let client = OwnClient::of(ground, &auth.token)?;
                let scope = ground.joined_scopes(&auth.token.scope_delimiter);
                let (url, more) = (&auth.token.token_url, &auth.token.token_parameters);
                let endpoint = Endpoint::of(ground, &auth.token, url, more, attributes, scope.as_deref())?;
                let (client, endpoint) = (client.as_client(), endpoint.as_endpoint());
                (
                    &auth.token,
                    oauth2::client_credentials_request(&client, &endpoint, scope.as_deref(), &moment)?,
                )
            }
            Auth::JwtBearer(auth) => {
                let scope = ground.joined_scopes(&auth.token.scope_delimiter);
                let (url, more) = (&auth.token.token_url, &auth.token.token_parameters);
                let endpoint = Endpoint::of(ground, &auth.token, url, more, attributes, scope.as_deref())?;
                let mut claims = serde_json::Map::new();
                for (name, value) in &auth.claims {
                    let value = match value.as_str() {
                        // A service account acts for itself when nobody is named: then there is no such claim.
                        Some(text) => ground
                            .text_if_known(text, attributes, scope.as_deref())?
                            .map(serde_json::Value::from),
                        None => Some(value.clone()),
                    };
                    claims.extend(value.map(|value| (name.clone(), value)));
                }
                let audience =
                    auth.audience.as_deref().map(|a| ground.text(a, attributes, None)).transpose()?;
                let key = SecretString::from(ground.required("private_key")?);
                let grant = oauth2::JwtGrant {
                    issuer: ground.required("client_id")?,
                    subject: None,
                    audience: audience.as_deref(),
                    claims: &claims,
                    private_key_pem: &key,
                    key_id: ground.parameter("key_id"),
                    algorithm: signing_algorithm(Some(auth.algorithm.as_str()))?,
                };
                (
                    &auth.token,
                    oauth2::jwt_bearer_request(None, &endpoint.as_endpoint(), &grant, None, &moment)?,
                )
            }
            _ => return Err(changed().into()),
        };
        let answer = self.token_answer(ground, token, request, &[], now, time).await?;
        Ok(granted(ground, token, answer, now))
    }

    /// The next token: by the refresh token (RFC 6749 §6) where there is one, else by the client's own right. A refresh token that the
    /// answer does not renew stays in force.
    pub(crate) async fn next_token(
        &self,
        ground: &Ground,
        credential: &Credential,
        attributes: &Attributes,
        now: Timestamp,
        time: Duration,
    ) -> Result<Granted, ExchangeError> {
        let Credential::OAuth2 { refresh_token: Some(refresh), .. } = credential else {
            return self.own_token(ground, attributes, now, time).await;
        };
        let Some(token) = ground.connector.auth.token_endpoint() else { return Err(changed().into()) };
        let client = OwnClient::of(ground, token)?;
        let url = token.refresh_url.as_ref().unwrap_or(&token.token_url);
        let endpoint = Endpoint::of(ground, token, url, &token.refresh_parameters, attributes, None)?;
        let nonce = nonce();
        let moment = oauth2::Moment { now: now.seconds(), nonce: &nonce };
        let request =
            oauth2::refresh_request(&client.as_client(), &endpoint.as_endpoint(), refresh, None, &moment)?;
        let answer = self.token_answer(ground, token, request, &[refresh], now, time).await?;
        let mut granted = granted(ground, token, answer, now);
        if let Credential::OAuth2 { refresh_token: none @ None, .. } = &mut granted.credential {
            *none = Some(refresh.clone());
            granted.refreshable = true;
        }
        Ok(granted)
    }

    /// Takes an authorization back at the service (RFC 7009). What the service says to it is for the log: here it is gone either way.
    pub(crate) async fn revoke_at_service(
        &self,
        ground: &Ground,
        credential: &Credential,
        attributes: &Attributes,
        now: Timestamp,
    ) -> Result<bool, ExchangeError> {
        let Some(token) = ground.connector.auth.token_endpoint() else { return Ok(false) };
        let (Some(url), Credential::OAuth2 { access_token, refresh_token }) = (&token.revoke_url, credential)
        else {
            return Ok(false);
        };
        let url = ground.url(url, attributes)?;
        let requests = match token.revoke_request {
            connector::RevokeRequest::Standard => {
                let client = OwnClient::of(ground, token)?;
                // An assertion of the client is for the authorization server, which its token endpoint stands for (RFC 7523 §3, item 3).
                let audience = ground.url(&token.token_url, attributes)?;
                let revoke = |what: &SecretString, hint| {
                    // Each with an id of its own: an assertion serves once.
                    let nonce = nonce();
                    let moment = oauth2::Moment { now: now.seconds(), nonce: &nonce };
                    let client = client.as_client();
                    oauth2::revocation_request(&client, &url, what, Some(hint), &audience, &moment)
                };
                // The refresh token first: by RFC 7009 §2.1 the access tokens go with it, but not every service does that.
                let mut requests = Vec::with_capacity(2);
                if let Some(refresh) = refresh_token {
                    requests.push(revoke(refresh, "refresh_token")?);
                }
                requests.push(revoke(access_token, "access_token")?);
                requests
            }
            connector::RevokeRequest::Bearer => {
                let mut value =
                    http::HeaderValue::try_from(format!("Bearer {}", access_token.expose_secret()))
                        .map_err(|_| Error::internal("an access token that no header can hold"))?;
                value.set_sensitive(true);
                let mut request = http::Request::new(Bytes::new());
                *request.method_mut() = http::Method::POST;
                *request.uri_mut() = url.parse().map_err(Error::internal)?;
                request.headers_mut().insert(http::header::AUTHORIZATION, value);
                vec![request]
            }
        };
        // One that is refused keeps no other from being revoked: services differ in which kind they take back.
        let deadline = Instant::now() + EXCHANGE_TIME;
        let mut outcome = Ok(true);
        for request in requests {
            let done = match self.egress().exchange(request, ANSWER_LIMIT, deadline).await {
                Ok(answer) => oauth2::parse_revocation(&answer, now.seconds()).map_err(ExchangeError::from),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = done {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Where the service sends the browser to authorize: the URL for it.
    pub(crate) async fn authorize_url(
        &self,
        ground: &Ground,
        state: &str,
        verifier: &str,
        scopes: &[String],
        now: Timestamp,
    ) -> Result<String, ExchangeError> {
        let Auth::OAuth2Code(auth) = &ground.connector.auth else { return Err(changed().into()) };
        let none = Attributes::new();
        let client_id = ground.required("client_id")?;
        let authorize_url = ground.url(&auth.authorize_url, &none)?;
        let joined = scopes.join(&auth.token.scope_delimiter);
        let scope = if scopes.is_empty() { None } else { Some(joined.as_str()) };
        let mut parameters = ground.pairs(&auth.authorize_parameters, &none, scope)?;
        if auth.response_type != "code" {
            parameters.push(("response_type".to_owned(), auth.response_type.clone()));
        }
        if auth.token.scope_parameter != "scope"
            && let Some(scope) = scope
        {
            parameters.push(("scope".to_owned(), String::new()));
            parameters.push((auth.token.scope_parameter.clone(), scope.to_owned()));
        }
        let challenge = auth.pkce.then(|| oauth2::pkce_challenge(verifier));
        let redirect_uri = self.redirect_uri();
        let request = oauth2::AuthorizeRequest {
            authorize_url: &authorize_url,
            client_id_name: &auth.token.client_id_name,
            client_id,
            redirect_uri: &redirect_uri,
            state,
            scopes,
            scope_delimiter: &auth.token.scope_delimiter,
            pkce_challenge: challenge.as_deref(),
            parameters: &parameters,
        };
        let Some(par) = &auth.par_url else { return Ok(oauth2::authorize_url(&request)?) };
        let client = OwnClient::of(ground, &auth.token)?;
        let nonce = nonce();
        let moment = oauth2::Moment { now: now.seconds(), nonce: &nonce };
        let par_url = ground.url(par, &none)?;
        let pushed = oauth2::authorize_parameters(&request)?;
        let push = oauth2::pushed_authorization_request(&client.as_client(), &par_url, &pushed, &moment)?;
        let answer = self.egress().exchange(push, ANSWER_LIMIT, Instant::now() + EXCHANGE_TIME).await?;
        let answer = oauth2::parse_pushed_authorization(&answer, now.seconds())?;
        Ok(oauth2::authorize_url_for_request_uri(&authorize_url, &client.as_client(), &answer.request_uri)?)
    }

    /// `OAuth1`: a request token (RFC 5849 §2.1), and the URL to authorize it (§2.2).
    pub(crate) async fn request_token(
        &self,
        ground: &Ground,
        scopes: &[String],
        now: Timestamp,
    ) -> Result<(oauth1::RequestToken, String), ExchangeError> {
        let Auth::OAuth1(auth) = &ground.connector.auth else { return Err(changed().into()) };
        let none = Attributes::new();
        let joined = scopes.join(&auth.scope_delimiter);
        let scope = (!scopes.is_empty()).then_some(joined.as_str());
        let signer = Signer::of(ground)?;
        let nonce = nonce();
        let mut url =
            url::Url::parse(&ground.url(&auth.request_token_url, &none)?).map_err(Error::internal)?;
        for (name, value) in ground.pairs(&auth.request_token_parameters, &none, scope)? {
            url.query_pairs_mut().append_pair(&name, &value);
        }
        let signing = signer.signing(None, &nonce, now);
        let request = oauth1::request_token_request(&signing, url.as_str(), &self.redirect_uri())?;
        let answer = self.egress().exchange(request, ANSWER_LIMIT, Instant::now() + EXCHANGE_TIME).await?;
        let token = oauth1::parse_request_token(&answer, now.seconds())?;
        let page = ground.url(&auth.authorize_url, &none)?;
        let parameters = ground.pairs(&auth.authorize_parameters, &none, scope)?;
        let url = oauth1::authorize_url(&page, &token.token, &parameters)?;
        Ok((token, url))
    }

    /// `OAuth1`: the authorized request token for an access token (RFC 5849 §2.3).
    pub(crate) async fn access_token(
        &self,
        ground: &Ground,
        request_token: &str,
        secret: &SecretString,
        verifier: &SecretString,
        now: Timestamp,
    ) -> Result<Granted, ExchangeError> {
        let Auth::OAuth1(auth) = &ground.connector.auth else { return Err(changed().into()) };
        let signer = Signer::of(ground)?;
        let nonce = nonce();
        let url = ground.url(&auth.access_token_url, &Attributes::new())?;
        let token = oauth1::Token { token: request_token, secret };
        let signing = signer.signing(Some(token), &nonce, now);
        let request = oauth1::access_token_request(&signing, &url, verifier)?;
        let answer = self.egress().exchange(request, ANSWER_LIMIT, Instant::now() + EXCHANGE_TIME).await?;
        let token = oauth1::parse_access_token(&answer, now.seconds())?;
        let mut attributes = Attributes::new();
        let mut said = serde_json::Map::new();
        for (name, value) in token.parameters {
            attributes.insert(format!("token.{name}"), value.clone());
            said.insert(name, value.into());
        }
        Ok(Granted {
            credential: Credential::OAuth1 { token: token.token.into(), secret: token.secret },
            refreshable: false,
            issued_at: now,
            expires_at: None,
            scopes: None,
            attributes,
            answer: Some(said.into()),
            id_token: None,
        })
    }

    /// The one redirect URI of `OAuth2` and `OAuth1`.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("{}/oauth/callback", self.settings().public_url)
    }
}

/// What an `OAuth1` connection signs with.
pub(crate) struct Signer {
    method: oauth1::SignatureMethod,
    key: String,
    secret: Option<SecretString>,
    private_key: Option<SecretString>,
    realm: Option<String>,
}

impl Signer {
    pub fn of(ground: &Ground) -> Result<Self> {
        let Auth::OAuth1(auth) = &ground.connector.auth else { return Err(changed()) };
        Ok(Self {
            method: match auth.signature_method {
                connector::SignatureMethod::HmacSha1 => oauth1::SignatureMethod::HmacSha1,
                connector::SignatureMethod::HmacSha256 => oauth1::SignatureMethod::HmacSha256,
                connector::SignatureMethod::RsaSha1 => oauth1::SignatureMethod::RsaSha1,
                connector::SignatureMethod::Plaintext => oauth1::SignatureMethod::Plaintext,
            },
            key: ground.required("consumer_key")?.to_owned(),
            secret: ground.parameter("consumer_secret").map(SecretString::from),
            private_key: ground.parameter("private_key").map(SecretString::from),
            realm: auth
                .realm
                .as_deref()
                .map(|realm| ground.text(realm, &Attributes::new(), None))
                .transpose()?,
        })
    }

    pub fn signing<'a>(
        &'a self,
        token: Option<oauth1::Token<'a>>,
        nonce: &'a str,
        now: Timestamp,
    ) -> oauth1::Signing<'a> {
        oauth1::Signing {
            method: self.method,
            consumer: oauth1::Consumer {
                key: &self.key,
                secret: self.secret.as_ref(),
                private_key_pem: self.private_key.as_ref(),
            },
            token,
            realm: self.realm.as_deref(),
            nonce,
            timestamp: now.seconds(),
        }
    }
}

/// The connector is no longer of the kind that the caller's work began with.
fn changed() -> Error {
    Error::new(
        Code::StateConflict,
        "The connector's way to sign in has changed in the meantime. Authorize again.",
    )
}

fn granted(
    ground: &Ground,
    endpoint: &connector::TokenEndpoint,
    answer: oauth2::TokenAnswer,
    now: Timestamp,
) -> Granted {
    let life = answer.expires_in.or(endpoint.expires_in.map(u64::from));
    let mut attributes = Attributes::new();
    let within = endpoint.token_at.as_deref().unwrap_or_default();
    for name in ground.connector.token_members() {
        if let Some(value) =
            answer.text_at(&format!("{within}/{name}")).or_else(|| answer.text_at(&format!("/{name}")))
        {
            attributes.insert(format!("token.{name}"), value);
        }
    }
    if let Some(url) = endpoint.base_url_from.as_deref().and_then(|pointer| answer.text_at(pointer)) {
        attributes.insert(INSTANCE_URL.to_owned(), url);
    }
    let again = matches!(ground.connector.auth, Auth::OAuth2ClientCredentials(_) | Auth::JwtBearer(_));
    Granted {
        refreshable: again || answer.refresh_token.is_some(),
        issued_at: now,
        expires_at: life.map(|seconds| now.plus(Duration::from_secs(seconds))),
        scopes: answer.scopes,
        attributes,
        credential: Credential::OAuth2 {
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
        },
        answer: Some(answer.raw),
        id_token: answer.id_token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_refreshes_in_the_last_fifth_and_two_minutes_at_most() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert_eq!(refresh_from(at(0), at(3600)), at(3480));
        assert_eq!(refresh_from(at(0), at(100)), at(80));
        assert_eq!(refresh_from(at(0), at(600)), at(480));
    }
}
