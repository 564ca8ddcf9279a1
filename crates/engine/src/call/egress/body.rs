//! What a request carries.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of an outgoing request.
#[derive(Debug, Default)]
pub enum EgressBody {
    /// None.
    #[default]
    Empty,
    /// All of it, in memory.
    Full(Bytes),
    /// What somebody else is sending just now, passed on as it comes and no faster than the service takes it.
    Stream(Incoming),
}

impl From<Bytes> for EgressBody {
    fn from(bytes: Bytes) -> Self {
        Self::Full(bytes)
    }
}

impl From<Incoming> for EgressBody {
    fn from(incoming: Incoming) -> Self {
        Self::Stream(incoming)
    }
}

/// The sender of a streamed body broke off. A type of its own, so that it is told from what the service did.
#[derive(Debug, thiserror::Error)]
#[error("the request's body broke off")]
pub struct BodyBrokeOff(#[source] hyper::Error);

impl Body for EgressBody {
    type Data = Bytes;
    type Error = BodyBrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyBrokeOff>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stream(incoming) => {
                Pin::new(incoming).poll_frame(context).map(|frame| frame.map(|f| f.map_err(BodyBrokeOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(incoming) => incoming.size_hint(),
        }
    }
}
