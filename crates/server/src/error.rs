//! The one mapping of errors to HTTP: problem documents (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use jackfield_core::{Code, Error, FieldError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Tells Jackfield's own failures from a service's answers.
pub(crate) const JACKFIELD_ERROR: HeaderName = HeaderName::from_static("jackfield-error");

/// A problem document (RFC 9457 §3).
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// a URI that names the kind of problem
    #[serde(rename = "type")]
    kind: String,
    /// says the kind in words; does not change from case to case
    title: &'static str,
    status: u16,
    /// what happened in this case, and the mend
    detail: String,
    /// stable; programs may rely on it
    code: &'static str,
    /// name it when you ask for help
    request_id: String,
    /// each wrong part of the input
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// more members, by code: `references`, `current`
    #[serde(flatten)]
    #[schema(value_type = Object)]
    extensions: Map<String, Value>,
}

/// An error on its way to the caller.
pub(crate) struct Failure {
    pub error: Error,
    pub request_id: String,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { error, request_id } = self;
        let code = error.code;
        if let Some(cause) = &error.cause {
            let level_is_high = code.status() >= 500;
            if level_is_high {
                tracing::error!(request_id, code = code.as_str(), detail = error.detail, %cause, "request failed");
            } else {
                tracing::info!(request_id, code = code.as_str(), detail = error.detail, %cause, "request refused");
            }
        }
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem {
            kind: format!("urn:jackfield:error:{code}"),
            title: code.title(),
            status: status.as_u16(),
            detail: error.detail,
            code: code.as_str(),
            request_id,
            errors: error.fields,
            extensions: error.extensions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_else(|_| b"{}".to_vec());
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(JACKFIELD_ERROR, HeaderValue::from_static(code.as_str()));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.remove(ALLOW);
            }
            _ => {}
        }
        let retry_after = error.retry_after.or(matches!(status.as_u16(), 429 | 503).then_some(1));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// There is nothing at this path.
pub(crate) fn nothing_here(path: &str) -> Error {
    Error::new(Code::NotFound, format!("There is nothing at {path}. The routes are described at /docs."))
}
