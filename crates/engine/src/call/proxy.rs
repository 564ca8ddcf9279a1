//! The proxy: any HTTP client pointed at `/v1/proxy/{connection}/…` gets the service's answer streamed, with the credential put in.

use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use jackfield_core::{Code, Error, Result};
use tokio::time::Instant;

use crate::Engine;
use crate::call::egress::{AnswerBody, EgressBody, Upgrade};
use crate::call::inject::{KnownBody, is_type, strip_hop_by_hop};
use crate::call::invoke::{Trace, check_method};
use crate::call::ready::{Addressed, Callable, pass_back, pass_on_answer};
use crate::govern::keys::Caller;

/// How long a service may take to begin its answer. The answer itself may take as long as it takes.
const HEAD_TIME: Duration = Duration::from_secs(40);
/// A body of a known size up to this is kept, so that it can be sent again after a refresh.
const KEPT_BODY: u64 = 64 * 1024;
const ENVIRONMENT: HeaderName = HeaderName::from_static("jackfield-environment");
const ACTING_FOR: HeaderName = HeaderName::from_static("jackfield-acting-for");

/// A request on the proxy, taken apart by the server.
pub struct Proxied {
    /// link name of the connection
    pub connection: String,
    /// what follows the link name in the path, with its query, as the caller wrote it
    pub rest: String,
    pub request: Request<Incoming>,
}

/// What goes back: the service's own stream, or nothing after a switch of protocols.
pub type ProxyBody = AnswerBody;

/// The body as it can be sent: once, or again.
enum Payload {
    Stream(Incoming),
    Kept(Bytes),
    None,
}

impl Engine {
    /// Passes a request on. Errors are Jackfield's own; whatever the service answers is passed back.
    pub async fn proxy(
        &self,
        caller: &Caller,
        request_id: &str,
        asked: Proxied,
    ) -> Result<Response<ProxyBody>> {
        let Proxied { connection, rest, request } = asked;
        let mut trace = Trace::new(caller, request_id, &connection, "proxy", request.method().clone());
        let result = self.pass_on(caller, &connection, &rest, request, &mut trace).await;
        trace.end(self, result.as_ref().map(|answer| answer.status().as_u16()).map_err(|error| error.code));
        result
    }

    async fn pass_on(
        &self,
        caller: &Caller,
        connection: &str,
        rest: &str,
        mut request: Request<Incoming>,
        trace: &mut Trace<'_>,
    ) -> Result<Response<ProxyBody>> {
        check_method(request.method().as_str()).map_err(|wrong| Error::invalid(vec![wrong]))?;
        let text =
            |headers: &HeaderMap, name: HeaderName| -> Result<Option<String>> {
                headers.get(&name).map(|value| value.to_str().map(str::to_owned)).transpose().map_err(|_| {
                    Error::new(Code::InvalidRequest, format!("The header {name} cannot be read."))
                })
            };
        let environment = text(request.headers(), ENVIRONMENT)?;
        let acting_for = text(request.headers(), ACTING_FOR)?;
        let address =
            Addressed { connection, environment: environment.as_deref(), acting_for: acting_for.as_deref() };
        let deadline = Instant::now() + HEAD_TIME;
        let (ready, environment) = self.fresh(caller, &address, deadline).await?;
        trace.within(environment);
        let callable = ready.callable()?;
        let target = callable.injection.target(rest, &[])?;
        trace.towards(callable, &target);
        if let Some(protocol) = upgrade_to(request.headers()) {
            let onward = hyper::upgrade::on(&mut request);
            // Boxed like whatever is rare here: the future of a call is moved as a whole, and should be small.
            let switched = self.switch_protocols(callable, &target, request, &protocol, onward, deadline);
            let (begun, answer) = (Clock::now(), Box::pin(switched).await);
            trace.served(begun.elapsed());
            return answer;
        }
        let (head, body) = request.into_parts();
        let payload = self.payload(callable, &head.headers, body).await?;
        // What it takes to send it again, where that may help.
        let again = match &payload {
            _ if !callable.refreshable => None,
            Payload::Stream(_) => None,
            Payload::Kept(bytes) => Some((head.headers.clone(), Some(bytes.clone()))),
            Payload::None => Some((head.headers.clone(), None)),
        };
        let begun = Clock::now();
        let answer = self.send_on(callable, &target, &head.method, head.headers, payload, deadline).await;
        trace.served(begun.elapsed());
        let answer = answer?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some((headers, kept)) = again
            && let Some(ready) = Box::pin(self.after_refusal(caller, &address, callable, deadline)).await?
            && let Ok(callable) = ready.callable()
            && let Ok(target) = callable.injection.target(rest, &[])
        {
            let payload = kept.map_or(Payload::None, Payload::Kept);
            let again = self.send_on(callable, &target, &head.method, headers, payload, deadline);
            let (begun, answer) = (Clock::now(), Box::pin(again).await);
            trace.served(begun.elapsed());
            return answer;
        }
        Ok(answer)
    }

    /// Keeps the body where it is small and may have to be sent again, or where something must be put into it.
    async fn payload(&self, callable: &Callable, headers: &HeaderMap, body: Incoming) -> Result<Payload> {
        if body.is_end_stream() {
            return Ok(Payload::None);
        }
        let size = body.size_hint().exact();
        let form = callable.injection.signs()
            && headers
                .get(http::header::CONTENT_TYPE)
                .is_some_and(|v| is_type(v, "application/x-www-form-urlencoded"));
        let must = callable.injection.needs_body() || form;
        let may_repeat = callable.refreshable && size.is_some_and(|size| size <= KEPT_BODY);
        if !must && !may_repeat {
            return Ok(Payload::Stream(body));
        }
        let limit = self.settings().request_limit;
        let collected = http_body_util::Limited::new(body, limit).collect().await.map_err(|_| {
            Error::new(
                Code::RequestTooLarge,
                format!("This connector has to see the whole body: at most {limit} bytes (JACKFIELD_REQUEST_LIMIT)."),
            )
        })?;
        Ok(Payload::Kept(collected.to_bytes()))
    }

    async fn send_on(
        &self,
        callable: &Callable,
        target: &jackfield_core::connector::target::Target,
        method: &Method,
        mut headers: HeaderMap,
        payload: Payload,
        deadline: Instant,
    ) -> Result<Response<ProxyBody>> {
        let kept;
        let (known, body) = match payload {
            Payload::None => (KnownBody::None, EgressBody::Empty),
            Payload::Stream(stream) => {
                // The length is the caller's promise; it goes on with the stream so that the service sees the same framing.
                (KnownBody::Unknown, EgressBody::Stream(stream))
            }
            Payload::Kept(bytes) => {
                kept = Bytes::from(callable.injection.fill_body(&mut headers, bytes.to_vec())?);
                (KnownBody::Bytes(&kept), EgressBody::Full(kept.clone()))
            }
        };
        headers.remove(CONTENT_LENGTH);
        let request = callable.injection.request(method.clone(), target, headers, &known, body)?;
        let mut answer = self.egress().send(request, Some(deadline)).await?;
        pass_on_answer(answer.headers_mut());
        Ok(answer)
    }

    /// An upgrade, such as to WebSocket (RFC 6455): once both sides have switched, bytes pass both ways until one of them ends.
    async fn switch_protocols(
        &self,
        callable: &Callable,
        target: &jackfield_core::connector::target::Target,
        request: Request<Incoming>,
        protocol: &http::HeaderValue,
        onward: hyper::upgrade::OnUpgrade,
        deadline: Instant,
    ) -> Result<Response<ProxyBody>> {
        let (head, _) = request.into_parts();
        let none = KnownBody::None;
        let mut out =
            callable.injection.request(head.method, target, head.headers, &none, EgressBody::Empty)?;
        out.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("upgrade"));
        out.headers_mut().insert(UPGRADE, protocol.clone());
        let (mut answer, service) = match self.egress().upgrade(out, deadline).await? {
            Upgrade::Answer(mut answer) => {
                strip_hop_by_hop(answer.headers_mut());
                pass_back(answer.headers_mut());
                return Ok(answer.map(AnswerBody::from));
            }
            Upgrade::Switched { head, stream } => (head.map(|()| AnswerBody::default()), stream),
        };
        tokio::spawn(async move {
            let Ok(caller) = onward.await else { return };
            let mut caller = hyper_util::rt::TokioIo::new(caller);
            let mut service = hyper_util::rt::TokioIo::new(service);
            // Either side may end it, and how is theirs to know.
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut service).await;
        });
        let confirmed = answer.headers().get(UPGRADE).cloned();
        strip_hop_by_hop(answer.headers_mut());
        pass_back(answer.headers_mut());
        answer.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("upgrade"));
        if let Some(protocol) = confirmed {
            answer.headers_mut().insert(UPGRADE, protocol);
        }
        Ok(answer)
    }
}

/// The protocol that the caller wants to switch to. HTTP/2 by upgrade is not offered: it would leave the credential's place.
fn upgrade_to(headers: &HeaderMap) -> Option<http::HeaderValue> {
    let asks = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(UPGRADE)?;
    (asks && protocol.as_bytes().eq_ignore_ascii_case(b"websocket")).then(|| protocol.clone())
}
