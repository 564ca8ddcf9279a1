//! Connectors: the description of a service as data, and every rule about it.
//!
//! A document comes in by [`Connector::from_toml`] or [`Connector::from_json`], which name everything that is wrong with it. What a
//! service does oddly is a named quirk in its document; there is no code per service.

mod auth;
mod catalogue;
mod changes;
mod compose;
mod document;
pub mod import;
mod input;
mod lint;
mod mail;
mod modules;
mod more;
pub mod payment;
mod placement;
mod places;
mod read;
#[cfg(test)]
mod requests;
mod schema;
mod search;
pub(crate) mod shape;
pub mod target;
pub mod template;
mod validate;
mod write;

pub use auth::{
    ApiKey, Auth, AuthType, Basic, BasicField, ClientAuthentication, CredentialField, JwtBearer, NoAuth,
    OAuth1, OAuth2ClientCredentials, OAuth2Code, OAuth2DeviceCode, RevokeRequest, SignatureMethod,
    SigningAlgorithm, TokenEndpoint, TokenIn, TokenMethod, TokenPlace, TokenRequest,
};
pub use catalogue::{BuiltIn, Catalogue, built_in};
pub use changes::{Area, Asks, Change, ChangeKind, changes};
pub use compose::{OperationCall, PageAsk, Repeat};
pub use document::{
    Access, Choice, Connector, Expect, Identity, IdentitySource, Method, Parameter, Place, Registration,
    Scope, SetupChoice, SetupStep, Test, Verified,
};
pub use input::{
    Checked, check_connection_parameters, check_credentials, check_scopes, client_parameter_names,
    credential_fields, effective_parameters,
};
pub use lint::{Fault, Format, lint};
pub use modules::{BodyEncoding, Field, FieldType, Find, Idempotency, Module, Operation, Pagination};
pub use more::{MoreChoices, MoreFields, Question};
pub use payment::{AmountUnit, Payment, PaymentCall, PaymentValues, WebhookSignature};
pub use placement::{Placement, Source, placements};
pub use schema::schema;
pub use search::{Search, SearchText};
pub use template::{Template, TemplateError, Values};
pub use validate::SetupCall;
pub use write::of_document as toml_of;

const fn yes() -> bool {
    true
}
