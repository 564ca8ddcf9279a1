//! What every use case is told about the request it serves.

use std::net::IpAddr;
use std::sync::Arc;

use jackfield_core::{Error, Principal, Result, Timestamp};

/// Who asks, for which organization, when, and under which request id. Logic never reads the clock and never knows HTTP.
#[derive(Clone)]
pub struct Op {
    pub principal: Principal,
    /// id of the organization, taken from the principal's key
    pub organization: Arc<str>,
    pub now: Timestamp,
    pub request_id: String,
    /// where the request came from: an IP address, or empty
    pub address: String,
    /// id of the browser session, where one was used instead of a key
    pub session: Option<Arc<str>>,
    /// set where the caller sent an `Idempotency-Key`
    pub idempotency: Option<Idempotency>,
}

/// A request of somebody who is not known, or not yet: whoever signs in, accepts an invitation, or has forgotten his password.
#[derive(Clone)]
pub struct Visit {
    pub now: Timestamp,
    pub request_id: String,
    /// where the request came from: an IP address, or empty
    pub address: String,
    /// what the browser calls itself
    pub agent: String,
}

/// An `Idempotency-Key` and the request it came with.
#[derive(Clone)]
pub struct Idempotency {
    pub key: String,
    /// SHA-256 of method, path and body
    pub request_digest: [u8; 32],
}

impl Op {
    /// The id of the member who calls. An application is told that this is for people.
    pub fn member(&self) -> Result<&str> {
        self.principal.member().ok_or_else(|| {
            Error::new(
                jackfield_core::Code::Forbidden,
                "This is for people: use a personal key, not an application's.",
            )
        })
    }

    /// Under what answers to idempotent requests are kept: the key that was used, else the person.
    pub(crate) fn caller(&self) -> &str {
        self.principal.key().or_else(|| self.principal.member()).unwrap_or("")
    }
}

/// What counts as one address: of IPv6 the network of its first 64 bits, since whoever has one address of it has all.
#[must_use]
pub fn neighbourhood(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        _ => address.to_owned(),
    }
}
