//! What goes through the door, kept for whoever tries a connector and wants to see it. Only a door that was asked to keeps anything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

use super::{EgressBody, EgressError};

/// One exchange, in clear: whoever shows it masks it first.
pub(crate) struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub answer: Result<(StatusCode, HeaderMap, Bytes), EgressError>,
    pub took: Duration,
}

/// Where exchanges are kept, in the order in which they ended.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Vec<Seen>>>);

/// An exchange that goes on.
pub(super) struct Watching {
    watch: Watch,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    begun: Instant,
}

impl Watch {
    /// What was kept since the last time.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Before a request is sent. Of a body that streams nothing is kept.
    pub(super) fn begin(&self, request: &Request<EgressBody>) -> Watching {
        Watching {
            watch: self.clone(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: match request.body() {
                EgressBody::Full(bytes) => bytes.clone(),
                EgressBody::Empty | EgressBody::Stream(_) => Bytes::new(),
            },
            begun: Instant::now(),
        }
    }
}

impl Watching {
    pub(super) fn end(self, answer: &Result<Response<Bytes>, EgressError>) {
        let answer = match answer {
            Ok(answer) => Ok((answer.status(), answer.headers().clone(), answer.body().clone())),
            Err(error) => Err(error.clone()),
        };
        let Self { watch, method, uri, headers, body, begun } = self;
        let seen = Seen { method, uri, headers, body, answer, took: begun.elapsed() };
        watch.0.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}
