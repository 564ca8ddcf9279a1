//! Webhooks that workflows send: to any public address, signed as Standard Webhooks (<https://www.standardwebhooks.com>) has it, so that
//! whoever receives one knows from whom it is, when it was sent and whether he had it before.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use jackfield_core::connector::target;
use jackfield_core::workflow::{Text, Webhook};
use jackfield_core::{Action, Code, Error, EventKind, Permit, Result, Timestamp, permit};
use jackfield_vault::{Context, token};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::automate::actions::{Doing, Ended, Tried, failure, kept, mapping_failed};
use crate::call::egress::EgressBody;
use crate::call::invoke::Failed;
use crate::{Engine, Op, clock};

/// How long a receiver has to answer.
const TIME: Duration = Duration::from_secs(15);
/// Largest answer that is read.
const ANSWER: usize = 64 * 1024;
/// How long the former secret signs too.
const OVERLAP: Duration = Duration::from_hours(24);
/// What stands before a secret.
const PREFIX: &str = "whsec_";

/// What an application signs its webhooks with.
#[derive(Serialize, ToSchema)]
pub struct WebhookSecretView {
    /// `whsec_…`
    pub secret: String,
    /// until when webhooks are signed with the former one too
    pub former_until: Option<Timestamp>,
}

fn context<'a>(organization: &'a str, application: &'a str) -> Context<'a> {
    Context { organization, table: "webhook_secrets", record: application, field: "secret" }
}

/// One signature: `v1,` and the HMAC-SHA256 of id, time and body.
fn signature(secret: &SecretString, id: &str, seconds: &str, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.expose_secret().strip_prefix(PREFIX)?).ok()?;
    let tag = token::hmac_sha256(&key, &[id.as_bytes(), b".", seconds.as_bytes(), b".", body]);
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

fn new_secret() -> SecretString {
    SecretString::from(format!("{PREFIX}{}", STANDARD.encode(token::random_bytes::<32>())))
}

impl Engine {
    /// The secrets with which an application signs now, the present one first; made when they are first needed.
    async fn webhook_secrets(
        &self,
        organization: &str,
        application: &str,
        now: Timestamp,
    ) -> Result<(Vec<SecretString>, Option<Timestamp>, i64)> {
        let mut found = self.store().webhook_secret(organization, application).await?;
        if found.is_none() {
            let sealed = self.sealed_secret(organization, application, &new_secret())?;
            let mut work = self.begin(Permit::housekeeping("it is made when it is first needed")).await?;
            work.insert_webhook_secret(organization, application, &sealed, now).await?;
            work.commit().await?;
            found = self.store().webhook_secret(organization, application).await?;
        }
        let found = found.ok_or_else(|| Error::internal("the secret was not stored"))?;
        let open = |sealed: &[u8]| {
            self.keyring().open_string(&context(organization, application), sealed).map_err(Error::internal)
        };
        let mut all = vec![open(&found.secret)?];
        let until = found.former_until.filter(|until| *until > now);
        if let (Some(former), Some(_)) = (&found.former, until) {
            all.push(open(former)?);
        }
        Ok((all, until, found.version))
    }

    fn sealed_secret(&self, organization: &str, application: &str, secret: &SecretString) -> Result<Vec<u8>> {
        let sealed =
            self.keyring().seal(&context(organization, application), secret.expose_secret().as_bytes());
        sealed.map_err(Error::internal)
    }

    /// What an application signs its webhooks with. It is told to who may change the application, and the trail says so.
    pub async fn read_webhook_secret(&self, op: &Op, application: &str) -> Result<WebhookSecretView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let (secrets, former_until, _) = self.webhook_secrets(&op.organization, application, op.now).await?;
        let mut work = self.begin(permit).await?;
        work.record(op.event(EventKind::WebhookSecretRead).to(application));
        work.commit().await?;
        let secret = secrets.first().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default();
        Ok(WebhookSecretView { secret, former_until })
    }

    /// Has an application sign with another secret; the former one signs too for a day.
    pub async fn rotate_webhook_secret(&self, op: &Op, application: &str) -> Result<WebhookSecretView> {
        let found = self.find_application(op, application).await?;
        let permit = permit(&op.principal, Action::Manage, &found.whole())?;
        let (_, _, version) = self.webhook_secrets(&op.organization, application, op.now).await?;
        let secret = new_secret();
        let sealed = self.sealed_secret(&op.organization, application, &secret)?;
        let until = op.now.plus(OVERLAP);
        let mut work = self.begin(permit).await?;
        let rotated = work
            .rotate_webhook_secret(&op.organization, application, &sealed, version, until, op.now)
            .await?;
        if !rotated {
            return Err(Error::new(Code::StateConflict, "It was rotated at the same time. Read it."));
        }
        let view = WebhookSecretView { secret: secret.expose_secret().to_owned(), former_until: Some(until) };
        work.answer(op, 200, &view).await?;
        work.record(op.event(EventKind::WebhookSecretRotated).to(application));
        work.commit().await?;
        Ok(view)
    }

    /// Sends a webhook. Its id is the same for every try, so that sending it again does no harm.
    pub(crate) async fn send_webhook(&self, doing: &Doing<'_>, name: &str, webhook: &Webhook) -> Tried {
        let broken = |error: Error| failure(&Failed { error, sent: false }, "", false);
        let text = |path: &str, text: &str| {
            let rendered = Text::parse(text).and_then(|parsed| parsed.render(doing.context));
            rendered.map_err(|why| Box::new(mapping_failed(path, &why)))
        };
        let url = match text("url", &webhook.url) {
            Ok(url) => url,
            Err(tried) => return *tried,
        };
        let body = match webhook.rendered_body(doing.context) {
            Ok(body) => body,
            Err((path, why)) => return mapping_failed(&path, &why),
        };
        let now = clock::now();
        let secrets = match self.webhook_secrets(doing.organization, doing.application, now).await {
            Ok((secrets, ..)) => secrets,
            Err(error) => return broken(error),
        };
        let (id, seconds) = (format!("msg_{}", doing.key(name)), (now.micros() / 1_000_000).to_string());
        let bytes = body.to_string().into_bytes();
        let signatures: Vec<String> =
            secrets.iter().filter_map(|secret| signature(secret, &id, &seconds, &bytes)).collect();
        let mut headers = HeaderMap::new();
        let mut shown = Map::new();
        for (name, value) in &webhook.headers {
            let value = match text(&format!("headers.{name}"), value) {
                Ok(value) => value,
                Err(tried) => return *tried,
            };
            let (Ok(header), Ok(content)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value))
            else {
                return mapping_failed(&format!("headers.{name}"), "This is no header name or value.");
            };
            headers.insert(header, content);
            shown.insert(name.clone(), value.into());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("Jackfield"));
        let joined = signatures.join(" ");
        for (name, value) in
            [("webhook-id", &id), ("webhook-timestamp", &seconds), ("webhook-signature", &joined)]
        {
            let Ok(value) = HeaderValue::from_str(value) else { continue };
            headers.insert(HeaderName::from_static(name), value);
        }
        shown.insert("webhook-id".to_owned(), id.into());
        shown.insert("webhook-timestamp".to_owned(), seconds.into());
        let request = kept(json!({"method": "POST", "url": url, "headers": shown, "body": body}));
        let target = match target::parse(&url) {
            Ok(target) => target,
            Err(why) => return mapping_failed("url", &why.to_string()),
        };
        let mut out = Request::new(EgressBody::Full(Bytes::from(bytes)));
        *out.method_mut() = Method::POST;
        *out.headers_mut() = headers;
        match target.url.parse() {
            Ok(uri) => *out.uri_mut() = uri,
            Err(_) => return mapping_failed("url", "This is no address."),
        }
        let answer = self.egress().ask(out, ANSWER, Instant::now() + TIME).await;
        let mut tried = match answer {
            Err(error) => failure(&Failed { sent: error.request_was_sent(), error: error.into() }, "", false),
            Ok(answer) => {
                let status = answer.status().as_u16();
                let reply = serde_json::from_slice::<Value>(answer.body()).unwrap_or_else(|_| {
                    String::from_utf8_lossy(answer.body()).chars().take(2000).collect::<String>().into()
                });
                let mut tried =
                    Tried::of(meant(status, crate::automate::actions::retry_after(answer.headers())));
                tried.status = Some(status);
                tried.reply = Some(kept(reply));
                tried
            }
        };
        tried.request = Some(request);
        tried
    }
}

/// What an answer to a webhook means.
fn meant(status: u16, retry_after: Option<Duration>) -> Ended {
    let reason = format!("The receiver answered {status}.");
    match status {
        200..=299 => Ended::Done { result: json!({"status": status}) },
        410 => Ended::Failed {
            code: "service_refused",
            reason: format!("{reason} It wants no webhooks any more."),
        },
        408 | 425 | 429 | 500..=599 => {
            Ended::Later { code: "service_unavailable", reason, retry_after, doubt: false }
        }
        _ => Ended::Failed { code: "service_refused", reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of its reference libraries.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed =
            signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(signature(&SecretString::from("none"), "i", "1", b""), None);
        assert!(signature(&new_secret(), "i", "1", b"").is_some());
    }

    #[test]
    fn answers_are_judged() {
        assert!(matches!(meant(204, None), Ended::Done { .. }));
        for status in [408, 429, 500, 503] {
            assert!(matches!(meant(status, None), Ended::Later { doubt: false, .. }), "{status}");
        }
        for status in [301, 400, 401, 404, 410] {
            assert!(matches!(meant(status, None), Ended::Failed { .. }), "{status}");
        }
    }
}
