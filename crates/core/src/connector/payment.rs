//! Payments as data: how a checkout on a page of the service is made, followed and ended, and what the service's notifications look like.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::document::{Connector, text};
use super::modules::{Module, Operation};
use super::target::{self, Scheme};
use super::template::{Template, TemplateError, Values};
use crate::money;
use crate::payment::PaymentState;

/// How payments are made at the service, on its own checkout page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorPayment)]
pub struct Payment {
    /// Hosts of the service's checkout page, as `hosts` has them. Payers are sent to no other.
    pub checkout_hosts: Vec<String>,
    /// How the service writes amounts.
    pub amounts: AmountUnit,
    /// Currencies that the service takes. Absent: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<String>,
    /// Places after the decimal point of currencies for which the service differs from ISO 4217.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exponents: BTreeMap<String, u8>,
    /// Currencies whose amounts, as the service counts them, must be multiples of a number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub multiples: BTreeMap<String, u32>,
    /// Makes a checkout. Its operation has `result`, which leads to the id of the checkout, and a way to recognize a repetition.
    pub create: PaymentCall,
    /// Reads the checkout.
    pub read: PaymentCall,
    /// Takes the money once the payer has consented. Absent: the service takes it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<PaymentCall>,
    /// Ends a checkout that nobody has paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire: Option<PaymentCall>,
    /// JSON pointer to the URL of the checkout page in the answers of `create` and `read`; or to a list of links, with `url_rel`.
    pub url: String,
    /// Which of the links it is, by their `rel`; its `href` is the URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub url_rel: Vec<String>,
    /// When the service ends a checkout by itself, if it is told: `{payment.expires_at}` stands in `create`. Absent: it is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
    /// JSON pointer to the amount that is asked for, in the answer of `read`.
    pub amount: String,
    /// JSON pointer to its currency.
    pub currency: String,
    /// JSON pointer to the amount that was paid, where the service says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_amount: Option<String>,
    /// JSON pointer to the currency of what was paid. Absent: that of what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_currency: Option<String>,
    /// What an answer of `read` means. The first that fits counts; where none does, the payment is still open.
    pub states: Vec<StateRule>,
    /// What it means when `read` answers 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<PaymentState>,
    /// How the service tells that something has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<PaymentWebhook>,
}

/// How amounts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ConnectorAmountUnit)]
pub enum AmountUnit {
    /// As a whole number of the smallest unit: 1250 for 12.50 EUR.
    Minor,
    /// As a decimal text: `12.50`.
    Decimal,
}

/// A call that belongs to a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorPaymentCall)]
pub struct PaymentCall {
    /// `module.operation`.
    pub operation: String,
    /// Its fields, as templates: `{payment.amount}`, `{payment.currency}`, `{payment.currency_lower}`, `{payment.description}`,
    /// `{payment.reference}`, `{payment.email}`, `{payment.id}` (ours), `{payment.checkout}` (the service's), `{payment.return_url}`,
    /// `{payment.cancel_url}`, `{payment.expires_at}` (Unix time), and everything that the connection knows. Left out while a value is
    /// not known.
    #[serde(default, rename = "with", skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// For how long a checkout may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorPaymentExpiry)]
pub struct Expiry {
    /// Least minutes that the service accepts.
    pub min_minutes: u32,
    /// Most minutes that the service accepts.
    pub max_minutes: u32,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorPaymentState)]
pub struct StateRule {
    /// JSON pointers, and what each of them leads to.
    pub when: BTreeMap<String, String>,
    /// What the payment is then.
    pub state: PaymentState,
}

/// How the service notifies. Whatever it says, what counts is read from the service; a notification only makes that happen at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConnectorPaymentWebhook)]
pub struct PaymentWebhook {
    /// How a notification proves that it is the service's.
    pub signature: WebhookSignature,
    /// JSON pointers to the id of the checkout in a notification; the first that leads to one that is known counts.
    pub checkout: Vec<String>,
}

/// How a notification proves that it is the service's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = ConnectorWebhookSignature)]
pub enum WebhookSignature {
    /// A header holds the HMAC-SHA256 of the body, hexadecimal.
    Hmac {
        /// The header.
        header: String,
        /// The secret parameter that is the key.
        secret: String,
    },
    /// A header such as `t=1492774577,v1=5257…`: `v1` is the HMAC-SHA256 of the time, a dot and the body, hexadecimal.
    TimestampedHmac {
        /// The header.
        header: String,
        /// The secret parameter that is the key.
        secret: String,
        /// Seconds that the time may differ from now.
        #[serde(default = "default_tolerance")]
        tolerance: u32,
    },
    /// The service is asked whether it sent it.
    Ask {
        /// `module.operation`; its `expect` says what a confirmation looks like.
        operation: String,
        /// Its fields, as templates with `{header.…}` and the connection's parameters.
        #[serde(default, rename = "with")]
        fields: BTreeMap<String, String>,
        /// The member of the body that holds the notification, byte for byte.
        event: String,
    },
    /// It does not. Nothing is believed, the payment is read.
    None,
}

const fn default_tolerance() -> u32 {
    300
}

/// Names that the templates of a payment's calls may use besides those of the connection.
pub(super) const NAMES: [&str; 11] = [
    "payment.amount",
    "payment.currency",
    "payment.currency_lower",
    "payment.description",
    "payment.reference",
    "payment.email",
    "payment.id",
    "payment.checkout",
    "payment.return_url",
    "payment.cancel_url",
    "payment.expires_at",
];

/// What the templates of a payment's calls are filled with.
#[derive(Clone, Debug, Default)]
pub struct PaymentValues {
    values: BTreeMap<&'static str, String>,
}

impl PaymentValues {
    /// One more value, unless it is empty.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.values.insert(name, value);
        }
        self
    }

    fn get<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.values.get(name).map(String::as_str)
    }
}

impl PaymentCall {
    /// The operation that is called.
    pub fn operation<'c>(&self, connector: &'c Connector) -> Option<(&'c Module, &'c Operation)> {
        let (module, operation) = self.operation.split_once('.')?;
        let module = connector.modules.get(module)?;
        Some((module, module.operations.get(operation)?))
    }

    /// The fields of the operation, as far as their values are known. The error says which field and why.
    pub fn filled(&self, values: &Values<'_>, payment: &PaymentValues) -> Result<Map<String, Value>, String> {
        filled(&self.fields, |name| payment.get(name).or_else(|| values.get(name)))
    }
}

/// Fields of an operation, as far as their values are known. The error says which field and why.
pub fn filled<'v>(
    fields: &BTreeMap<String, String>,
    known: impl Fn(&str) -> Option<&'v str>,
) -> Result<Map<String, Value>, String> {
    let mut all = Map::new();
    for (name, template) in fields {
        match Template::parse(template).and_then(|template| template.text(&known)) {
            Ok(text) => {
                all.insert(name.clone(), text.into());
            }
            Err(TemplateError::Missing(_)) => {}
            Err(why) => return Err(format!("{name}: {why}")),
        }
    }
    Ok(all)
}

impl Payment {
    /// Places after the decimal point as the service counts them.
    pub fn exponent(&self, currency: &str) -> u8 {
        self.exponents.get(currency).copied().unwrap_or_else(|| money::exponent(currency))
    }

    /// Whether the service takes this currency; the error is a sentence.
    pub fn takes(&self, service: &str, currency: &str) -> Result<(), String> {
        if !money::is_currency(currency) {
            return Err("A currency is a code of ISO 4217, three capitals such as EUR.".to_owned());
        }
        if self.currencies.is_empty() || self.currencies.iter().any(|one| one == currency) {
            return Ok(());
        }
        Err(format!("{service} does not take {currency}. It takes {}.", self.currencies.join(", ")))
    }

    /// An amount of smallest units (ISO 4217) as the service writes it; the error is a sentence.
    pub fn amount(&self, service: &str, minor: i64, currency: &str) -> Result<String, String> {
        self.takes(service, currency)?;
        let places = self.exponent(currency);
        let said = money::decimal(minor, money::exponent(currency));
        let own = money::rescaled(minor, money::exponent(currency), places).ok_or_else(|| {
            format!("{service} takes {currency} with {places} places after the point only, not {said}.")
        })?;
        if let Some(step) = self.multiples.get(currency).copied().map(i64::from)
            && own % step != 0
        {
            let step = money::decimal(step, places);
            return Err(format!("{service} takes {currency} in steps of {step} only, not {said}."));
        }
        Ok(match self.amounts {
            AmountUnit::Minor => own.to_string(),
            AmountUnit::Decimal => money::decimal(own, places),
        })
    }

    /// An amount of the service in smallest units (ISO 4217).
    fn read_amount(&self, value: &Value, currency: &str) -> Option<i64> {
        let places = self.exponent(currency);
        let own = match self.amounts {
            AmountUnit::Minor => value.as_i64().or_else(|| value.as_str()?.parse().ok())?,
            AmountUnit::Decimal => money::minor(&text(value)?, places).ok()?,
        };
        money::rescaled(own, places, money::exponent(currency))
    }

    /// Whether an answer asks for so much, and where it says that it was paid, whether that was so much. The error is a sentence. What the
    /// answer does not hold is passed over, unless it is `whole`.
    pub fn agrees(
        &self,
        answer: &Value,
        minor: i64,
        currency: &str,
        whole: bool,
        paid: bool,
    ) -> Result<(), String> {
        let wanted = format!("{} {currency}", money::decimal(minor, money::exponent(currency)));
        let same = |what: &str, amount: &str, unit: &str, needed: bool| -> Result<(), String> {
            let unit = answer.pointer(unit).and_then(text).map(|unit| unit.to_ascii_uppercase());
            let amount = answer.pointer(amount).filter(|amount| !amount.is_null());
            match (unit, amount) {
                (Some(unit), Some(amount)) => {
                    if unit == currency && self.read_amount(amount, currency) == Some(minor) {
                        return Ok(());
                    }
                    let amount = text(amount).unwrap_or_default();
                    Err(format!("The service says that {amount} {unit} {what}, and {wanted} was asked for."))
                }
                _ if needed => {
                    Err(format!("The service does not say how much {what}; {wanted} was asked for."))
                }
                _ => Ok(()),
            }
        };
        same("is to be paid", &self.amount, &self.currency, whole)?;
        match &self.paid_amount {
            Some(amount) if paid => {
                same("was paid", amount, self.paid_currency.as_deref().unwrap_or(&self.currency), whole)
            }
            _ => Ok(()),
        }
    }

    /// How far the payment is by an answer of `read`; `None` where no rule fits.
    pub fn state(&self, answer: &Value) -> Option<PaymentState> {
        let fits = |rule: &&StateRule| {
            rule.when
                .iter()
                .all(|(pointer, wanted)| answer.pointer(pointer).and_then(text).as_ref() == Some(wanted))
        };
        self.states.iter().find(fits).map(|rule| rule.state)
    }

    /// The URL of the checkout page in an answer.
    pub fn checkout_url(&self, answer: &Value) -> Option<String> {
        let found = answer.pointer(&self.url)?;
        if self.url_rel.is_empty() {
            return found.as_str().filter(|url| !url.is_empty()).map(str::to_owned);
        }
        let links = found.as_array()?;
        let of = |rel: &String| links.iter().find(|link| link["rel"] == rel.as_str());
        self.url_rel.iter().find_map(of)?.get("href")?.as_str().map(str::to_owned)
    }

    /// Whether a payer may be sent to this URL: https, or plain http where the service's API is reached so, and one of the hosts.
    pub fn may_send_to(&self, url: &str, base_url: &str, values: &Values<'_>) -> bool {
        // The page may have a fragment of its own, which no server sees.
        let (address, fragment) = url.split_once('#').unwrap_or((url, ""));
        let Ok(target) = target::parse(address) else { return false };
        if !fragment.bytes().all(|b| b.is_ascii_graphic()) {
            return false;
        }
        let plain = target::parse(base_url).is_ok_and(|base| base.scheme == Scheme::Http);
        let hosts: Result<Vec<String>, TemplateError> = self
            .checkout_hosts
            .iter()
            .map(|host| Template::parse(host)?.host(|name| values.get(name)))
            .collect();
        (target.scheme == Scheme::Https || plain) && hosts.is_ok_and(|hosts| target.allowed_by(&hosts))
    }

    /// For how many minutes a checkout is open when so many are asked for.
    pub fn minutes(&self, asked: Option<u32>) -> u32 {
        let asked = asked.unwrap_or(60);
        self.expiry.map_or(asked, |expiry| {
            asked.clamp(expiry.min_minutes, expiry.max_minutes.max(expiry.min_minutes))
        })
    }

    /// The ids that a notification may mean.
    pub fn checkouts_of<'e>(&self, event: &'e Value) -> Vec<&'e str> {
        let pointers = self.webhook.as_ref().map_or(&[][..], |webhook| webhook.checkout.as_slice());
        pointers.iter().filter_map(|pointer| event.pointer(pointer)?.as_str()).collect()
    }
}

/// The time and the signatures in a header such as `t=1492774577,v1=5257…,v1=6ffb…`; schemes that are not known are passed over.
pub fn timestamped(header: &str) -> Option<(&str, Vec<&str>)> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let (_, time) = parts().find(|(name, _)| *name == "t")?;
    Some((time, parts().filter(|(name, _)| *name == "v1").map(|(_, signature)| signature).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "literals are given")]
    fn payment(more: Value) -> Payment {
        let mut document = json!({
            "checkout_hosts": ["pay.example"], "amounts": "minor",
            "create": {"operation": "c.create"}, "read": {"operation": "c.read"},
            "url": "/url", "amount": "/amount", "currency": "/currency",
            "states": [
                {"when": {"/status": "complete", "/paid": "yes"}, "state": "paid"},
                {"when": {"/status": "expired"}, "state": "expired"},
            ],
        });
        for (name, value) in more.as_object().unwrap() {
            document[name] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn amounts_are_written_as_the_service_has_them() {
        let minor = payment(json!({"exponents": {"ISK": 2}, "multiples": {"KWD": 10}}));
        assert_eq!(minor.amount("S", 1250, "EUR").unwrap(), "1250");
        assert_eq!(minor.amount("S", 500, "JPY").unwrap(), "500");
        assert_eq!(minor.amount("S", 5, "ISK").unwrap(), "500");
        assert_eq!(minor.amount("S", 5120, "KWD").unwrap(), "5120");
        let wrong = minor.amount("S", 5124, "KWD").unwrap_err();
        assert_eq!(wrong, "S takes KWD in steps of 0.010 only, not 5.124.");
        let decimal =
            payment(json!({"amounts": "decimal", "exponents": {"HUF": 0}, "currencies": ["EUR", "HUF"]}));
        assert_eq!(decimal.amount("S", 1250, "EUR").unwrap(), "12.50");
        assert_eq!(decimal.amount("S", 10_000, "HUF").unwrap(), "100");
        assert!(decimal.amount("S", 10_050, "HUF").unwrap_err().contains("0 places"));
        assert!(decimal.amount("S", 100, "KWD").unwrap_err().contains("It takes EUR, HUF"));
    }

    #[test]
    fn what_is_asked_for_is_compared() {
        let payment = payment(json!({"paid_amount": "/paid"}));
        let agrees = |answer: Value, paid| payment.agrees(&answer, 1250, "EUR", true, paid);
        assert_eq!(agrees(json!({"amount": 1250, "currency": "eur"}), false), Ok(()));
        assert!(agrees(json!({"amount": 1251, "currency": "eur"}), false).is_err());
        assert!(agrees(json!({"amount": 1250, "currency": "usd"}), false).is_err());
        assert!(agrees(json!({"currency": "eur"}), false).is_err());
        assert!(agrees(json!({"amount": 1250, "currency": "eur", "paid": 1}), true).is_err());
        assert!(agrees(json!({"amount": 1250, "currency": "eur"}), true).is_err());
        assert_eq!(agrees(json!({"amount": 1250, "currency": "eur", "paid": 1250}), true), Ok(()));
        assert_eq!(payment.agrees(&json!({"id": 1}), 1250, "EUR", false, false), Ok(()));
    }

    #[test]
    fn states_and_urls_are_read() {
        let one = payment(json!({}));
        assert_eq!(one.state(&json!({"status": "complete", "paid": "yes"})), Some(PaymentState::Paid));
        assert_eq!(one.state(&json!({"status": "complete", "paid": "no"})), None);
        assert_eq!(one.state(&json!({"status": "expired"})), Some(PaymentState::Expired));
        assert_eq!(
            one.checkout_url(&json!({"url": "https://pay.example/x"})).as_deref(),
            Some("https://pay.example/x")
        );
        let links = payment(json!({"url": "/links", "url_rel": ["payer-action", "approve"]}));
        let answer = json!({"links": [{"rel": "self", "href": "s"}, {"rel": "approve", "href": "a"}]});
        assert_eq!(links.checkout_url(&answer).as_deref(), Some("a"));
        let values = Values::default();
        let may = |url: &str, base: &str| one.may_send_to(url, base, &values);
        assert!(may("https://pay.example/x", "https://api.example"));
        assert!(may("https://pay.example/x#fid%2F", "https://api.example"));
        assert!(!may("https://pay.example/x#a\r\nSet-Cookie: x", "https://api.example"));
        for url in [
            "http://pay.example/x",
            "https://evil.example/x",
            "javascript:alert(1)",
            "https://pay.example@evil.example/",
        ] {
            assert!(!may(url, "https://api.example"), "{url}");
        }
        assert!(may("http://pay.example/x", "http://api.example"));
    }

    #[test]
    fn signature_headers_are_read() {
        assert_eq!(timestamped("t=12,v1=ab,v0=x, v1=cd"), Some(("12", vec!["ab", "cd"])));
        assert_eq!(timestamped("v1=ab"), None);
    }
}
