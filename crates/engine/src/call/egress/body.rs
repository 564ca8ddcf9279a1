//! What a request carries, and what an answer does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::{Pool, Single};

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

/// What a service answers, passed on as it comes and no faster than it is read. Over HTTP/1.1 it drives the connection
/// that it comes over, which is kept for the next request when this is read to its end, and closed when it is dropped before.
#[derive(Default)]
pub struct AnswerBody {
    /// what was there already when the head was read
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    rest: Option<Incoming>,
    line: Option<(Box<Single>, Arc<Pool>)>,
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerBody").finish_non_exhaustive()
    }
}

impl From<Incoming> for AnswerBody {
    /// One that comes over a connection which somebody else drives.
    fn from(incoming: Incoming) -> Self {
        Self { first: None, rest: Some(incoming), line: None }
    }
}

impl AnswerBody {
    /// Most answers are small and come in one piece with their head. What is there is taken at once, and if that is all,
    /// the connection is free before the answer goes on.
    pub(super) fn over(incoming: Incoming, single: Box<Single>, pool: Arc<Pool>) -> Self {
        let mut body = Self { first: None, rest: Some(incoming), line: Some((single, pool)) };
        if !body.is_end_stream() {
            let mut nobody = Context::from_waker(Waker::noop());
            let mut first = body.poll_rest(&mut nobody);
            if first.is_pending() {
                // Now that it is wanted.
                body.nudge();
                first = body.poll_rest(&mut nobody);
            }
            if let Poll::Ready(first) = first {
                body.first = first;
            }
        }
        body.settle();
        body
    }

    fn nudge(&mut self) {
        if let Some((single, _)) = &mut self.line
            && !single.nudge()
        {
            self.line = None;
        }
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = Pin::new(rest).poll_frame(context);
        match frame {
            Poll::Ready(None) => self.rest = None,
            // What was announced stays: whoever judges an answer by its size does so although it broke off.
            Poll::Ready(Some(Err(_))) => self.line = None,
            _ => {}
        }
        frame
    }

    /// Gives the connection back as soon as nothing more comes over it.
    fn settle(&mut self) {
        if self.rest.as_ref().is_none_or(Body::is_end_stream)
            && let Some((single, pool)) = self.line.take()
        {
            pool.give_back(single);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(first));
        }
        let mut frame = this.poll_rest(context);
        if frame.is_pending()
            && let Some((single, _)) = &mut this.line
        {
            if !single.drive(context) {
                this.line = None;
            }
            // It may have brought something.
            frame = this.poll_rest(context);
        }
        if frame.is_ready() {
            this.settle();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        if let Some(Ok(first)) = &self.first
            && let Some(data) = first.data_ref()
        {
            let more = data.len() as u64;
            // The upper bound first: it is never below the lower.
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(more));
            }
            hint.set_lower(hint.lower().saturating_add(more));
        }
        hint
    }
}
