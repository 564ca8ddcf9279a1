//! The one error of the house: what went wrong, said so that the caller knows what to do about it.
//!
//! A [`Code`] is stable and decides status and title in one place; `detail` is for the caller of this very request;
//! the private cause goes to the log and nowhere else.

use std::fmt;

use serde::Serialize;

/// What every fallible function of the house returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $status:literal, $title:literal;)+) => {
        /// A stable code of Jackfield's own failures. Programs may rely on it; `docs/errors.md` lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it stands in a problem document and in the header `Jackfield-Error`.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)+ } }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)+ } }

            /// A short title that does not change from case to case (RFC 9457 §3.1.4).
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title,)+ } }

            /// What it means and what to do, for `docs/errors.md`.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or not UTF-8. Send a JSON document.
    InvalidJson = "invalid_json", 400, "The body is not valid JSON";
    /// The query string, a header or the path cannot be read. The detail names the part.
    InvalidRequest = "invalid_request", 400, "The request cannot be read";
    /// No key was sent, or it is unknown. Send `Authorization: Bearer <key>`.
    Unauthenticated = "unauthenticated", 401, "Sign in or send an API key";
    /// The key's checksum is wrong: it was mistyped or cut off. Copy it again.
    KeyMalformed = "key_malformed", 401, "The API key is mistyped";
    /// The key was revoked. Use another one.
    KeyRevoked = "key_revoked", 401, "The API key was revoked";
    /// The key has expired. Make a new one.
    KeyExpired = "key_expired", 401, "The API key has expired";
    /// The caller's role does not allow it. The detail says who may.
    Forbidden = "forbidden", 403, "Not allowed";
    /// The connector does not allow calls to this host. Its `hosts` list which ones it does.
    HostNotAllowed = "host_not_allowed", 403, "The connector does not allow this host";
    /// The address is private, loopback, link-local or plain `http`, and the operator has not allowed it (`JACKFIELD_EGRESS_ALLOW`).
    AddressNotAllowed = "address_not_allowed", 403, "This address may not be reached";
    /// The connection does not allow this application. An admin can allow it.
    ApplicationNotAllowed = "application_not_allowed", 403, "The application may not use this connection";
    /// An application key reaches only its own environment.
    EnvironmentNotAllowed = "environment_not_allowed", 403, "The key belongs to another environment";
    /// This caller may not act for that person.
    ActingForNotAllowed = "acting_for_not_allowed", 403, "Not allowed to act for this person";
    /// There is no such thing, or it is not yours to see.
    NotFound = "not_found", 404, "Not found";
    /// The path exists, but not with this method. `Allow` lists the methods.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here";
    /// Nobody has authorized the connection in this environment (at level `user`: not this person). Authorize it.
    NotConnected = "not_connected", 409, "The connection is not authorized";
    /// The service no longer accepts the authorization. Reauthorize it; the detail says why.
    ReauthorizationRequired = "reauthorization_required", 409, "The connection must be authorized again";
    /// The connection is disabled. An admin can enable it.
    ConnectionDisabled = "connection_disabled", 409, "The connection is disabled";
    /// Another authorization of this connector has this account name. Choose another.
    AccountNameTaken = "account_name_taken", 409, "The account name is taken";
    /// The link name is taken. Choose another, or leave it out.
    LinkNameTaken = "link_name_taken", 409, "The link name is taken";
    /// Something uses the connection; `references` lists it. Remove the uses first.
    ConnectionReferenced = "connection_referenced", 409, "The connection is in use";
    /// The connector has connections. Delete them first.
    ConnectorReferenced = "connector_referenced", 409, "The connector is in use";
    /// Unattended work needs a primary account. Set one.
    PrimaryAccountRequired = "primary_account_required", 409, "A primary account is required";
    /// It was changed by somebody else since it was read. Read it again.
    VersionConflict = "version_conflict", 409, "It has changed in the meantime";
    /// The request with this Idempotency-Key is still running, or its outcome is not known.
    RequestInProgress = "request_in_progress", 409, "The same request is still in progress";
    /// It is in a state that does not allow this. The detail says which.
    StateConflict = "state_conflict", 409, "Its state does not allow this";
    /// The request's body is larger than allowed. The detail names the limit.
    RequestTooLarge = "request_too_large", 413, "The request is too large";
    /// The body's content type is not the one this route takes.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type is not supported";
    /// Some of the input is wrong: `errors` names each field and how to mend it.
    InvalidInput = "invalid_input", 422, "Some of the input is wrong";
    /// The service refused the credential in the connector's test. Nothing was stored.
    CredentialRejected = "credential_rejected", 422, "The service refused the credential";
    /// At level `user` an application says for whom it acts: `acting_for`.
    ActingForRequired = "acting_for_required", 422, "Say for whom the call is made";
    /// The Idempotency-Key was used for a different request. Use a new one.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The Idempotency-Key was used for another request";
    /// The authorization lacks a scope that this needs. Reauthorize with it.
    ScopeMissing = "scope_missing", 422, "A scope is missing";
    /// Too many requests. Wait as `Retry-After` says.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// The organization's plan does not allow more. The detail names the limit.
    PlanLimitReached = "plan_limit_reached", 429, "A limit of the plan is reached";
    /// Something in Jackfield failed; the log has the cause under this request id.
    Internal = "internal", 500, "Jackfield failed";
    /// The service could not be reached, or it broke off its answer.
    UpstreamUnreachable = "upstream_unreachable", 502, "The service cannot be reached";
    /// The service's answer is larger than allowed (`JACKFIELD_RESPONSE_LIMIT`). The proxy streams without a limit.
    ResponseTooLarge = "response_too_large", 502, "The service's answer is too large";
    /// The service's token endpoint failed, so that the credential could not be refreshed. Jackfield tries again by itself.
    TokenEndpointFailed = "token_endpoint_failed", 502, "The service's token endpoint failed";
    /// Jackfield cannot serve just now. Try again as `Retry-After` says.
    Unavailable = "unavailable", 503, "Jackfield is not available just now";
    /// The service did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504, "The service did not answer in time";
    /// The 90 seconds of the flow are over. Start again.
    FlowExpired = "flow_expired", 409, "The time to authorize is over";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One wrong part of the input: where, which rule, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Dotted path from the root of the input: `auth.token_url`, `parameters.client_id`, `scopes.2`.
    pub field: String,
    /// Stable word for the rule: `required`, `unknown`, `invalid`, `too_long`, `not_allowed`…
    pub code: String,
    /// A sentence for a person. Never repeats a secret value.
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code: code.to_owned(), message: message.into() }
    }
}

/// What went wrong.
#[derive(Debug)]
pub struct Error {
    pub code: Code,
    /// For the caller: what happened in this case, and the mend. Never a secret.
    pub detail: String,
    pub fields: Vec<FieldError>,
    /// Seconds until it makes sense to try again.
    pub retry_after: Option<u64>,
    /// More members of the problem document, such as `references` (RFC 9457 §3.2).
    pub extensions: Vec<(&'static str, serde_json::Value)>,
    /// The private cause: for the log only.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: None,
            extensions: Vec::new(),
            cause: None,
        }
    }

    /// One wrong field.
    pub fn field(field: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, code, message)])
    }

    /// Several wrong fields at once; the detail repeats the first.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let detail = fields.first().map_or_else(String::new, |f| format!("{}: {}", f.field, f.message));
        Self { fields, ..Self::new(Code::InvalidInput, detail) }
    }

    /// `what` is a noun with its name: "connection acme".
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("There is no {what}, or it is not yours to see."))
    }

    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            "Something failed inside Jackfield. The log has the cause under this request id.",
        )
        .with_cause(cause)
    }

    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { retry_after: Some(1), ..Self::new(Code::Unavailable, "The store cannot be reached just now.") }
            .with_cause(cause)
    }

    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    #[must_use]
    pub fn with_extension(mut self, name: &'static str, value: serde_json::Value) -> Self {
        self.extensions.push((name, value));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_say_what_to_do() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert!(code.meaning().ends_with('.'), "{code}: {}", code.meaning());
            assert!((400..=504).contains(&code.status()));
        }
    }
}
