//! What payment services tell of their own accord. Whoever is not the service learns nothing and changes nothing.

use http::HeaderMap;
use jackfield_core::connector::payment::{self, PaymentWebhook};
use jackfield_core::connector::{PaymentCall, WebhookSignature};
use jackfield_core::{Code, Error, Result};
use jackfield_store::Payment;
use jackfield_vault::token;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use crate::automate::actions::{invocation, json_of};
use crate::{Engine, Visit};

/// Notifications that one address may send to one connection in a minute.
const NOTIFICATIONS: u32 = 600;

impl Engine {
    /// Takes in a notification of a payment service. Whoever is not that service learns nothing.
    pub async fn take_payment_notification(
        &self,
        visit: &Visit,
        organization: &str,
        connection: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<()> {
        self.inner.submissions.count_to(
            NOTIFICATIONS,
            &format!("hook {organization} {connection}"),
            &visit.address,
        )?;
        let refused =
            || Error::new(Code::InvalidRequest, "This is not a notification that is expected here.");
        let event: Value = serde_json::from_slice(body).map_err(|_| refused())?;
        let found = self.store().connection(organization, connection).await?.ok_or_else(refused)?;
        let connector = self.connector_of(&found).await.map_err(|_| refused())?.connector;
        let described = connector.payment.as_ref().ok_or_else(refused)?;
        let webhook = described.webhook.as_ref().ok_or_else(refused)?;
        let secret = |name: &str| -> Result<secrecy::SecretString> {
            self.open_secrets(&found)?.remove(name).ok_or_else(refused)
        };
        match &webhook.signature {
            WebhookSignature::Hmac { header, secret: name } => {
                let said = header_of(headers, header).ok_or_else(refused)?;
                if !signs(&secret(name)?, &[body], &[said]) {
                    return Err(refused());
                }
            }
            WebhookSignature::TimestampedHmac { header, secret: name, tolerance } => {
                let said = header_of(headers, header).ok_or_else(refused)?;
                let (time, signatures) = payment::timestamped(said).ok_or_else(refused)?;
                let at: i64 = time.parse().map_err(|_| refused())?;
                let now = visit.now.micros() / 1_000_000;
                if !signs(&secret(name)?, &[time.as_bytes(), b".", body], &signatures)
                    || now.saturating_sub(at).unsigned_abs() > u64::from(*tolerance)
                {
                    return Err(refused());
                }
            }
            WebhookSignature::Ask { .. } | WebhookSignature::None => {}
        }
        for id in described.checkouts_of(&event) {
            let Some(row) = self.store().payment_by_checkout(organization, connection, id).await? else {
                continue;
            };
            if let WebhookSignature::Ask { .. } = &webhook.signature
                && !self.confirmed(&row, webhook, headers, body).await?
            {
                return Err(refused());
            }
            return self.nudge(&row, visit.now).await;
        }
        match &webhook.signature {
            // It is the service's, of something else.
            WebhookSignature::Hmac { .. } | WebhookSignature::TimestampedHmac { .. } => Ok(()),
            WebhookSignature::Ask { .. } | WebhookSignature::None => Err(refused()),
        }
    }

    /// Whether the service says that a notification is its own.
    async fn confirmed(
        &self,
        row: &Payment,
        webhook: &PaymentWebhook,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<bool> {
        let WebhookSignature::Ask { operation, fields, event } = &webhook.signature else { return Ok(false) };
        let Some(acting) = self.acting_for_payment(row).await? else { return Ok(false) };
        let doing = acting.doing(row);
        let ready = self.made_ready(&doing, &acting.op, &row.connection).await?;
        let vocabulary = &ready.callable()?.vocabulary;
        let call = PaymentCall { operation: operation.clone(), fields: fields.clone() };
        let Some((module, operation)) = call.operation(&vocabulary.connector) else { return Ok(false) };
        let values = vocabulary.values();
        let known = |name: &str| match name.strip_prefix("header.") {
            Some(header) => header_of(headers, header),
            None => values.get(name),
        };
        let Ok(arguments) = payment::filled(fields, known) else { return Ok(false) };
        // What it did not send with it, it did not sign.
        let Ok(composed) = module.call(operation, &arguments, &values, None, None) else { return Ok(false) };
        let mut asked = invocation(&composed, &doing);
        let Some(text) = with_verbatim(composed.body.as_ref(), event, body) else { return Ok(false) };
        asked.body = Some(text.into());
        asked.body_encoding = Some("text".to_owned());
        asked.headers.insert("content-type".to_owned(), "application/json".into());
        let answer = self.call(&acting.op, &row.connection, "workflow", &asked).await;
        let answer = answer.map_err(|failed| failed.error)?;
        Ok(operation.succeeded(answer.status, json_of(&answer).as_ref()))
    }
}

/// A body of JSON with one member more, which is left byte for byte as it came.
fn with_verbatim(body: Option<&Value>, name: &str, raw: &[u8]) -> Option<String> {
    let empty = Value::Object(Map::new());
    let text = body.unwrap_or(&empty).to_string();
    let open = text.strip_suffix('}')?;
    let comma = if open.ends_with('{') { "" } else { "," };
    let name = Value::from(name).to_string();
    Some(format!("{open}{comma}{name}:{}}}", std::str::from_utf8(raw).ok()?))
}

fn header_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Whether one of the signatures, hexadecimal, is the HMAC-SHA256 of the parts. Compared in constant time.
fn signs(secret: &secrecy::SecretString, parts: &[&[u8]], signatures: &[&str]) -> bool {
    use std::fmt::Write;
    let tag = token::hmac_sha256(secret.expose_secret().as_bytes(), parts);
    let wanted = tag.iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    });
    signatures.iter().any(|said| token::constant_time_eq(said.as_bytes(), wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notification_is_passed_on_byte_for_byte() {
        let raw = br#"{"b": 1.00,"a":"\u00e9"}"#;
        let text = with_verbatim(Some(&json!({"x": 1})), "event", raw).unwrap();
        assert_eq!(text, r#"{"x":1,"event":{"b": 1.00,"a":"\u00e9"}}"#);
        assert_eq!(with_verbatim(None, "e", b"[]").unwrap(), r#"{"e":[]}"#);
        assert_eq!(with_verbatim(None, "e", &[0xff]), None);
    }

    #[test]
    fn signatures_are_compared_whole() {
        let secret = secrecy::SecretString::from("Jefe");
        // RFC 4231, test case 2.
        let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert!(signs(&secret, &parts, &["other", tag]));
        assert!(!signs(&secret, &parts, &[&tag[..63]]) && !signs(&secret, &parts, &[]));
        assert!(!signs(&secret, &parts, &[&tag.to_uppercase()]));
    }
}
