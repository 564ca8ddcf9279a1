//! Authentication schemes: every way to sign in that a document can describe.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::document::Place;

/// How one signs in at the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = ConnectorAuth)]
pub enum Auth {
    /// OAuth 2.0 authorization code (RFC 6749 §4.1): a person accepts in the browser.
    #[serde(rename = "oauth2_code")]
    OAuth2Code(OAuth2Code),
    /// OAuth 2.0 client credentials (RFC 6749 §4.4): the organization's own client, no person.
    #[serde(rename = "oauth2_client_credentials")]
    OAuth2ClientCredentials(OAuth2ClientCredentials),
    /// OAuth 2.0 device code (RFC 8628): a person enters a code on another device.
    #[serde(rename = "oauth2_device_code")]
    OAuth2DeviceCode(OAuth2DeviceCode),
    /// A signed assertion is exchanged for a token (RFC 7523 §2.1): service accounts.
    JwtBearer(JwtBearer),
    /// OAuth 1.0a (RFC 5849).
    #[serde(rename = "oauth1")]
    OAuth1(OAuth1),
    /// One key or several, each with its own place in the request.
    ApiKey(ApiKey),
    /// User name and password (RFC 7617).
    Basic(Basic),
    /// No credential.
    None(NoAuth),
}

/// What every scheme that gets its token from a token endpoint has in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(as = ConnectorTokenEndpoint)]
pub struct TokenEndpoint {
    /// Where tokens are asked for, a template.
    pub token_url: String,
    /// Where tokens are refreshed, a template. Absent: `token_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Where tokens are revoked, a template. Absent: the service cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_url: Option<String>,
    /// How a revocation is asked for.
    #[serde(default)]
    pub revoke_request: RevokeRequest,
    /// How the client proves itself. Absent: `client_secret_basic`; with `oauth2_device_code` and no client secret, `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_authentication: Option<ClientAuthentication>,
    /// How the parameters of a token request are written.
    #[serde(default)]
    pub token_request: TokenRequest,
    /// Method of a token request.
    #[serde(default)]
    pub token_method: TokenMethod,
    /// More parameters of the first token request, as templates. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_parameters: BTreeMap<String, String>,
    /// More parameters of a refresh, as templates. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refresh_parameters: BTreeMap<String, String>,
    /// Headers of every request to the token endpoint.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_headers: BTreeMap<String, String>,
    /// What the service calls `client_id`.
    #[serde(default = "client_id_name")]
    pub client_id_name: String,
    /// What the service calls `client_secret`.
    #[serde(default = "client_secret_name")]
    pub client_secret_name: String,
    /// JSON pointer to the object in the answer that holds the token. Absent: the answer itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_at: Option<String>,
    /// JSON pointer in the token answer to the account's own URL, which replaces scheme and host of `base_url`; the path of
    /// `base_url` is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url_from: Option<String>,
    /// Life of a token in seconds when the service says none. Absent: such a token does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u32>,
    /// Stands between scopes.
    #[serde(default = "space")]
    pub scope_delimiter: String,
    /// What the service calls the parameter `scope`.
    #[serde(default = "scope")]
    pub scope_parameter: String,
    /// Where the token goes in each call. Absent: `Authorization: Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<TokenPlace>,
}

fn client_id_name() -> String {
    "client_id".to_owned()
}

fn client_secret_name() -> String {
    "client_secret".to_owned()
}

fn space() -> String {
    " ".to_owned()
}

fn comma() -> String {
    ",".to_owned()
}

fn scope() -> String {
    "scope".to_owned()
}

fn code() -> String {
    "code".to_owned()
}

/// OAuth 2.0 authorization code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schemars(deny_unknown_fields)]
#[schema(as = ConnectorOAuth2Code)]
pub struct OAuth2Code {
    /// Page where a person accepts, a template.
    pub authorize_url: String,
    /// The token endpoint.
    #[serde(flatten)]
    pub token: TokenEndpoint,
    /// Issuer that the callback must name in `iss` (RFC 9207), a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Proof key for code exchange, S256 (RFC 7636).
    #[serde(default = "super::yes")]
    pub pkce: bool,
    /// Pushed authorization requests (RFC 9126), a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub par_url: Option<String>,
    /// More parameters of the authorize URL, as templates; `{scopes}` is the chosen scopes. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorize_parameters: BTreeMap<String, String>,
    /// Value of `response_type`.
    #[serde(default = "code")]
    pub response_type: String,
    /// Parameters of the callback to keep, for `{callback.name}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callback_parameters: Vec<String>,
}

/// OAuth 2.0 client credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schemars(deny_unknown_fields)]
#[schema(as = ConnectorOAuth2ClientCredentials)]
pub struct OAuth2ClientCredentials {
    /// The token endpoint.
    #[serde(flatten)]
    pub token: TokenEndpoint,
}

/// OAuth 2.0 device code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schemars(deny_unknown_fields)]
#[schema(as = ConnectorOAuth2DeviceCode)]
pub struct OAuth2DeviceCode {
    /// Where a device code is asked for, a template.
    pub device_authorization_url: String,
    /// The token endpoint.
    #[serde(flatten)]
    pub token: TokenEndpoint,
}

/// A signed assertion exchanged for a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schemars(deny_unknown_fields)]
#[schema(as = ConnectorJwtBearer)]
pub struct JwtBearer {
    /// The token endpoint.
    #[serde(flatten)]
    pub token: TokenEndpoint,
    /// Claim `aud`, a template. Absent: `token_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Signature of the assertion.
    #[serde(default)]
    pub algorithm: SigningAlgorithm,
    /// More claims; strings are templates, `{scopes}` is the chosen scopes. Left out while a value is not known. `iss` defaults to
    /// `{client_id}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Value>,
}

/// OAuth 1.0a.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorOAuth1)]
pub struct OAuth1 {
    /// Where a request token is asked for, a template.
    pub request_token_url: String,
    /// Page where a person accepts, a template.
    pub authorize_url: String,
    /// Where the request token becomes an access token, a template.
    pub access_token_url: String,
    /// How requests are signed.
    #[serde(default)]
    pub signature_method: SignatureMethod,
    /// Realm of the Authorization header, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// More parameters of the request for a request token, as templates; they are signed. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_token_parameters: BTreeMap<String, String>,
    /// More parameters of the authorize URL, as templates; `{scopes}` is the chosen scopes. Left out while a value is not known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorize_parameters: BTreeMap<String, String>,
    /// Stands between scopes.
    #[serde(default = "comma")]
    pub scope_delimiter: String,
    /// Parameters of the callback to keep, for `{callback.name}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callback_parameters: Vec<String>,
}

/// One key or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorApiKey)]
pub struct ApiKey {
    /// What is asked when somebody authorizes, and where each goes.
    pub fields: Vec<CredentialField>,
}

/// One value asked when somebody authorizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorCredentialField)]
pub struct CredentialField {
    /// Name in `credentials`: letters, digits, `_`, `-` and `.`, at most 64.
    pub name: String,
    /// Label of the field. Absent: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where to find the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Hidden while it is typed. It is sealed in any case.
    #[serde(default = "super::yes")]
    pub secret: bool,
    /// Must be given.
    #[serde(default = "super::yes")]
    pub required: bool,
    /// Regular expression that the whole value matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Where it goes.
    #[serde(default = "header", rename = "in")]
    pub place: Place,
    /// Name on the wire. Absent: `name`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub wire_name: Option<String>,
    /// Put in front of the value, such as `Bearer ` with its space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

const fn header() -> Place {
    Place::Header
}

/// User name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorBasic)]
pub struct Basic {
    /// The user name, or what the service puts in its place.
    #[serde(default)]
    pub username: BasicField,
    /// The password, or what the service puts in its place.
    #[serde(default)]
    pub password: BasicField,
}

/// One half of a Basic credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorBasicField)]
pub struct BasicField {
    /// Label of the field. Absent: `User name` or `Password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where to find the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Hidden while it is typed. Absent: the password is, the user name is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<bool>,
    /// Must be given.
    #[serde(default = "super::yes")]
    pub required: bool,
    /// Regular expression that the whole value matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// A constant that the service wants here; nobody is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
}

impl Default for BasicField {
    fn default() -> Self {
        Self { label: None, help: None, secret: None, required: true, pattern: None, fixed: None }
    }
}

/// No credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorNoAuth)]
pub struct NoAuth {}

/// How an OAuth client proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectorClientAuthentication)]
pub enum ClientAuthentication {
    /// Client id and secret in the Authorization header.
    ClientSecretBasic,
    /// Client id and secret among the parameters.
    ClientSecretPost,
    /// An assertion signed with the client's private key (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// A public client: only the id.
    None,
}

/// How the parameters of a token request are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConnectorTokenRequest)]
pub enum TokenRequest {
    /// `application/x-www-form-urlencoded`, as the standard says.
    #[default]
    Form,
    /// JSON.
    Json,
}

/// Method of a token request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = ConnectorTokenMethod)]
pub enum TokenMethod {
    /// As the standard says.
    #[default]
    Post,
    /// The parameters go into the query.
    Get,
}

/// How a revocation is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConnectorRevokeRequest)]
pub enum RevokeRequest {
    /// The token among the parameters, the client authenticated (RFC 7009).
    #[default]
    Standard,
    /// POST without a body, the token placed as in a call.
    Bearer,
}

/// Where the token goes in each call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorTokenPlace)]
pub struct TokenPlace {
    /// Header or query string.
    #[serde(default, rename = "in")]
    pub place: TokenIn,
    /// Name of the header or parameter. Absent: `Authorization`, or `access_token` in the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Put in front of the token, with its space. Absent: `Bearer ` in the header `Authorization`, else nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// Header or query string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConnectorTokenIn)]
pub enum TokenIn {
    /// A header.
    #[default]
    Header,
    /// The query string.
    Query,
}

/// Signature of an assertion (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(as = ConnectorSigningAlgorithm)]
pub enum SigningAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: &'static [Self] =
        &[Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];

    /// As it stands in the header of a JWT.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm, or `None` when it is not one of these.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.as_str() == text)
    }
}

/// How OAuth 1 requests are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(as = ConnectorSignatureMethod)]
pub enum SignatureMethod {
    /// HMAC with SHA-1.
    #[default]
    #[serde(rename = "HMAC-SHA1")]
    HmacSha1,
    /// HMAC with SHA-256.
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// RSA with SHA-1; the connection has a `private_key`.
    #[serde(rename = "RSA-SHA1")]
    RsaSha1,
    /// The secrets themselves; only sane over https.
    #[serde(rename = "PLAINTEXT")]
    Plaintext,
}

/// The word for a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schema(as = ConnectorAuthType)]
pub enum AuthType {
    /// OAuth 2.0 authorization code
    #[serde(rename = "oauth2_code")]
    OAuth2Code,
    /// OAuth 2.0 client credentials
    #[serde(rename = "oauth2_client_credentials")]
    OAuth2ClientCredentials,
    /// OAuth 2.0 device code
    #[serde(rename = "oauth2_device_code")]
    OAuth2DeviceCode,
    /// signed assertion
    #[serde(rename = "jwt_bearer")]
    JwtBearer,
    /// OAuth 1.0a
    #[serde(rename = "oauth1")]
    OAuth1,
    /// API key
    #[serde(rename = "api_key")]
    ApiKey,
    /// user name and password
    #[serde(rename = "basic")]
    Basic,
    /// nothing
    #[serde(rename = "none")]
    None,
}

impl AuthType {
    /// Every scheme.
    pub const ALL: &'static [Self] = &[
        Self::OAuth2Code,
        Self::OAuth2ClientCredentials,
        Self::OAuth2DeviceCode,
        Self::JwtBearer,
        Self::OAuth1,
        Self::ApiKey,
        Self::Basic,
        Self::None,
    ];

    /// The scheme with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// As it stands in a document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OAuth2Code => "oauth2_code",
            Self::OAuth2ClientCredentials => "oauth2_client_credentials",
            Self::OAuth2DeviceCode => "oauth2_device_code",
            Self::JwtBearer => "jwt_bearer",
            Self::OAuth1 => "oauth1",
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::None => "none",
        }
    }

    /// As people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OAuth2Code => "OAuth 2",
            Self::OAuth2ClientCredentials => "OAuth 2, for programs",
            Self::OAuth2DeviceCode => "OAuth 2, device code",
            Self::JwtBearer => "Service account",
            Self::OAuth1 => "OAuth 1",
            Self::ApiKey => "API key",
            Self::Basic => "User name and password",
            Self::None => "No credential",
        }
    }
}

impl Auth {
    /// The word for this scheme.
    pub const fn kind(&self) -> AuthType {
        match self {
            Self::OAuth2Code(_) => AuthType::OAuth2Code,
            Self::OAuth2ClientCredentials(_) => AuthType::OAuth2ClientCredentials,
            Self::OAuth2DeviceCode(_) => AuthType::OAuth2DeviceCode,
            Self::JwtBearer(_) => AuthType::JwtBearer,
            Self::OAuth1(_) => AuthType::OAuth1,
            Self::ApiKey(_) => AuthType::ApiKey,
            Self::Basic(_) => AuthType::Basic,
            Self::None(_) => AuthType::None,
        }
    }

    /// The token endpoint, for the schemes of OAuth 2.
    pub const fn token_endpoint(&self) -> Option<&TokenEndpoint> {
        match self {
            Self::OAuth2Code(auth) => Some(&auth.token),
            Self::OAuth2ClientCredentials(auth) => Some(&auth.token),
            Self::OAuth2DeviceCode(auth) => Some(&auth.token),
            Self::JwtBearer(auth) => Some(&auth.token),
            Self::OAuth1(_) | Self::ApiKey(_) | Self::Basic(_) | Self::None(_) => None,
        }
    }

    /// How the client proves itself; depends on whether the connection has a client secret only where the document is silent.
    pub fn client_authentication(&self, has_secret: bool) -> ClientAuthentication {
        let stated = self.token_endpoint().and_then(|token| token.client_authentication);
        match (stated, self) {
            (Some(stated), _) => stated,
            (None, Self::JwtBearer(_)) => ClientAuthentication::None,
            (None, Self::OAuth2DeviceCode(_)) if !has_secret => ClientAuthentication::None,
            (None, _) => ClientAuthentication::ClientSecretBasic,
        }
    }

    /// Whether a person accepts at the service, so that authorizing starts a flow.
    pub const fn needs_flow(&self) -> bool {
        matches!(self, Self::OAuth2Code(_) | Self::OAuth2DeviceCode(_) | Self::OAuth1(_))
    }

    /// Whether somebody types a credential when authorizing.
    pub const fn prompts(&self) -> bool {
        matches!(self, Self::ApiKey(_) | Self::Basic(_))
    }

    /// Whether scopes mean anything here.
    pub const fn has_scopes(&self) -> bool {
        self.token_endpoint().is_some() || matches!(self, Self::OAuth1(_))
    }

    /// What stands between scopes, where scopes mean anything.
    pub fn scope_delimiter(&self) -> Option<&str> {
        match self {
            Self::OAuth1(auth) => Some(&auth.scope_delimiter),
            _ => self.token_endpoint().map(|token| token.scope_delimiter.as_str()),
        }
    }

    /// Parameters of the callback to keep.
    pub fn callback_parameters(&self) -> &[String] {
        match self {
            Self::OAuth2Code(auth) => &auth.callback_parameters,
            Self::OAuth1(auth) => &auth.callback_parameters,
            _ => &[],
        }
    }
}

impl TokenPlace {
    /// Name on the wire.
    pub fn wire_name(&self) -> &str {
        match (&self.name, self.place) {
            (Some(name), _) => name,
            (None, TokenIn::Header) => "Authorization",
            (None, TokenIn::Query) => "access_token",
        }
    }

    /// What stands in front of the token.
    pub fn wire_prefix(&self) -> &str {
        match &self.prefix {
            Some(prefix) => prefix,
            None if self.place == TokenIn::Header
                && self.wire_name().eq_ignore_ascii_case("authorization") =>
            {
                "Bearer "
            }
            None => "",
        }
    }
}
