//! How an exchange with a service fails.

use std::net::IpAddr;

use jackfield_core::{Code, Error};

use super::body::BodyBrokeOff;

/// Why an exchange brought no answer. No variant holds a path, a query string or a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The host may not be reached at any of its addresses.
    #[error("{host} may not be reached: {refusal}")]
    AddressNotAllowed {
        /// As it stands in the request's address.
        host: String,
        /// Which rule refused.
        refusal: Refusal,
    },
    /// The name has no address, or the resolver did not say.
    #[error("{host} cannot be resolved")]
    Unresolvable {
        /// As it stands in the request's address.
        host: String,
    },
    /// No connection at any allowed address.
    #[error("no connection to {host}: {why}")]
    Connect {
        /// As it stands in the request's address.
        host: String,
        /// The system's words about the last address tried.
        why: String,
    },
    /// The connection stands, but no TLS on it: a certificate that is not trusted or not for this host, and the like.
    #[error("no TLS with {host}: {why}")]
    Tls {
        /// As it stands in the request's address.
        host: String,
        /// What is wrong, without data of the exchange.
        why: String,
    },
    /// Nothing, or not all, came in time.
    #[error("timed out, the request {}", if *sent { "was sent" } else { "was not sent" })]
    Timeout {
        /// False only if it is certain that not one byte of the request went out.
        sent: bool,
    },
    /// The request was sent, at least in part, and no whole answer came.
    #[error("the answer was lost: {why}")]
    Lost {
        /// What broke off, without data of the exchange.
        why: String,
    },
    /// The answer is larger than its limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// Whoever sent the streamed request body broke off; the service is not to blame.
    #[error("the request's body broke off")]
    BodyBrokeOff,
    /// It is no request for a service: the text says why.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The extra root certificates cannot be used. Only [`Egress::new`](super::Egress::new) says this.
    #[error("{0}")]
    Roots(String),
}

/// The rule by which an address was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not on the public internet and not listed.
    #[error("{address} is {kind}")]
    Inside {
        /// For the log. Where a name resolved to it, the caller is told the kind only: it would map the inside.
        address: IpAddr,
        /// "a private address" and its like.
        kind: &'static str,
    },
    /// An IPv4 address, but not as four decimal numbers.
    #[error("it is an IPv4 address in an unusual notation")]
    Notation,
    /// `http` towards an address that is not listed.
    #[error("plain http is not accepted")]
    PlainHttp,
}

impl EgressError {
    /// False only if it is certain that not one byte of the request reached the service.
    #[must_use]
    pub fn request_was_sent(&self) -> bool {
        match self {
            Self::Timeout { sent } => *sent,
            Self::Lost { .. } | Self::TooLarge { .. } | Self::BodyBrokeOff => true,
            Self::AddressNotAllowed { .. }
            | Self::Unresolvable { .. }
            | Self::Connect { .. }
            | Self::Tls { .. }
            | Self::InvalidRequest(_)
            | Self::Roots(_) => false,
        }
    }

    /// From an exchange on a connection that stood.
    pub(super) fn from_exchange(error: &(dyn std::error::Error + 'static)) -> Self {
        if find::<BodyBrokeOff>(error).is_some() {
            return Self::BodyBrokeOff;
        }
        Self::Lost { why: chain(error) }
    }
}

/// The first error of a type among an error and its causes.
fn find<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |e| e.source()).find_map(|e| e.downcast_ref())
}

/// An error with its causes, each once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for cause in std::iter::successors(Some(error), |e| e.source()) {
        let words = cause.to_string();
        if !text.contains(&words) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&words);
        }
    }
    text
}

impl From<EgressError> for Error {
    fn from(error: EgressError) -> Self {
        let (code, detail) = match &error {
            EgressError::AddressNotAllowed { host, refusal: Refusal::Inside { kind, .. } } => (
                Code::AddressNotAllowed,
                format!(
                    "{host} is {kind} or resolves to one. The operator can allow its network with JACKFIELD_EGRESS_ALLOW."
                ),
            ),
            EgressError::AddressNotAllowed { host, refusal: Refusal::Notation } => (
                Code::AddressNotAllowed,
                format!(
                    "{host} is an IPv4 address in an unusual notation. Write it as four decimal numbers."
                ),
            ),
            EgressError::AddressNotAllowed { host, refusal: Refusal::PlainHttp } => (
                Code::AddressNotAllowed,
                format!(
                    "{host} would be reached over plain http. Use https, or let the operator list its network in \
                     JACKFIELD_EGRESS_ALLOW."
                ),
            ),
            EgressError::Unresolvable { host } => {
                (Code::UpstreamUnreachable, format!("{host} cannot be resolved. Check the name."))
            }
            EgressError::Connect { host, why } => {
                (Code::UpstreamUnreachable, format!("{host} cannot be reached: {why}."))
            }
            EgressError::Tls { host, why } => {
                (Code::UpstreamUnreachable, format!("No TLS connection with {host}: {why}."))
            }
            EgressError::Lost { .. } => {
                (Code::UpstreamUnreachable, "The service broke off before its answer was whole.".to_owned())
            }
            EgressError::Timeout { sent: true } => {
                (Code::UpstreamTimeout, "The service did not answer in time.".to_owned())
            }
            EgressError::Timeout { sent: false } => (
                Code::UpstreamTimeout,
                "No connection to the service in time; it has received nothing.".to_owned(),
            ),
            EgressError::TooLarge { limit } => {
                (Code::ResponseTooLarge, format!("The service's answer is larger than {limit} bytes."))
            }
            EgressError::BodyBrokeOff => (Code::InvalidRequest, "The request's body broke off.".to_owned()),
            EgressError::InvalidRequest(why) => (Code::InvalidRequest, (*why).to_owned()),
            EgressError::Roots(_) => return Self::internal(error),
        };
        Self::new(code, detail).with_cause(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_details() {
        let host = || "api.example.com".to_owned();
        let inside = Refusal::Inside { address: IpAddr::from([10, 0, 0, 7]), kind: "a private address" };
        for (error, code, sent) in [
            (
                EgressError::AddressNotAllowed { host: host(), refusal: inside },
                Code::AddressNotAllowed,
                false,
            ),
            (
                EgressError::AddressNotAllowed { host: host(), refusal: Refusal::Notation },
                Code::AddressNotAllowed,
                false,
            ),
            (
                EgressError::AddressNotAllowed { host: host(), refusal: Refusal::PlainHttp },
                Code::AddressNotAllowed,
                false,
            ),
            (EgressError::Unresolvable { host: host() }, Code::UpstreamUnreachable, false),
            (EgressError::Connect { host: host(), why: "refused".into() }, Code::UpstreamUnreachable, false),
            (EgressError::Tls { host: host(), why: "expired".into() }, Code::UpstreamUnreachable, false),
            (EgressError::Timeout { sent: true }, Code::UpstreamTimeout, true),
            (EgressError::Timeout { sent: false }, Code::UpstreamTimeout, false),
            (EgressError::Lost { why: "reset".into() }, Code::UpstreamUnreachable, true),
            (EgressError::TooLarge { limit: 5 }, Code::ResponseTooLarge, true),
            (EgressError::BodyBrokeOff, Code::InvalidRequest, true),
            (EgressError::InvalidRequest("No."), Code::InvalidRequest, false),
            (EgressError::Roots("No.".into()), Code::Internal, false),
        ] {
            assert_eq!(error.request_was_sent(), sent, "{error}");
            let public = Error::from(error.clone());
            assert_eq!(public.code, code, "{error}");
            assert!(public.cause.is_some() && public.detail.ends_with('.'), "{}", public.detail);
            assert!(
                !public.detail.contains("10.0.0.7"),
                "what a name resolves to is not told: {}",
                public.detail
            );
            if error.to_string().contains("api.example.com") {
                assert!(public.detail.contains("api.example.com"), "{}", public.detail);
            }
            if let EgressError::AddressNotAllowed { refusal: Refusal::PlainHttp, .. } = error {
                assert!(public.detail.contains("https") && public.detail.contains("JACKFIELD_EGRESS_ALLOW"));
            }
        }
    }
}
