//! How payments are made.

use std::collections::BTreeMap;

use super::super::payment::{self, Payment, PaymentCall, WebhookSignature};
use super::super::read::at;
use super::super::template::Template;
use super::{Check, Kind, May, is_parameter, is_token};
use crate::payment::PaymentState;

impl Check<'_> {
    pub(super) fn payment(&mut self, payment: &Payment) {
        let connector = self.connector;
        if payment.checkout_hosts.is_empty() {
            self.wrong("payment.checkout_hosts", "required", "must name the hosts of the checkout page");
        }
        for (index, host) in payment.checkout_hosts.iter().enumerate() {
            self.template(&format!("payment.checkout_hosts.{index}"), host, Kind::Host, May::default());
        }
        let currencies =
            payment.currencies.iter().chain(payment.exponents.keys()).chain(payment.multiples.keys());
        for currency in currencies.filter(|currency| !crate::money::is_currency(currency)) {
            self.wrong("payment.currencies", "invalid", format!("{currency:?} is not a code such as EUR"));
        }
        if payment.exponents.values().any(|places| *places > 4)
            || payment.multiples.values().any(|step| *step == 0)
        {
            self.wrong("payment", "invalid", "has places after the point above 4, or steps of 0");
        }
        let calls = [
            ("create", Some(&payment.create)),
            ("read", Some(&payment.read)),
            ("capture", payment.capture.as_ref()),
            ("expire", payment.expire.as_ref()),
        ];
        for (name, call) in calls {
            if let Some(call) = call {
                self.payment_call(&at("payment", name), call);
            }
        }
        if let Some((_, create)) = payment.create.operation(connector) {
            if create.result.is_none() {
                self.wrong(
                    "payment.create.operation",
                    "invalid",
                    "must be an operation whose `result` leads to the id",
                );
            }
            if create.repeat() == super::super::Repeat::Doubtful {
                let message =
                    "must be an operation with `idempotency` or `find`: nobody may be asked to pay twice";
                self.wrong("payment.create.operation", "invalid", message);
            }
        }
        // A checkout that stays open after its run is over would take money that nobody waits for.
        if payment.expiry.is_none() && payment.expire.is_none() && payment.capture.is_none() {
            let message = "needs expiry, expire or capture, so that nobody pays what nobody waits for";
            self.wrong("payment", "required", message);
        }
        if payment
            .expiry
            .is_some_and(|expiry| expiry.min_minutes > expiry.max_minutes || expiry.max_minutes == 0)
        {
            self.wrong("payment.expiry", "invalid", "has more minutes at least than at most");
        }
        for (name, pointer) in [
            ("url", Some(&payment.url)),
            ("amount", Some(&payment.amount)),
            ("currency", Some(&payment.currency)),
            ("paid_amount", payment.paid_amount.as_ref()),
            ("paid_currency", payment.paid_currency.as_ref()),
        ] {
            self.pointer(&at("payment", name), pointer.map(String::as_str));
        }
        for (index, rule) in payment.states.iter().enumerate() {
            let path = format!("payment.states.{index}");
            if rule.when.is_empty() {
                self.wrong(at(&path, "when"), "required", "must say when");
            }
            for pointer in rule.when.keys() {
                self.pointer(&at(&path, "when"), Some(pointer));
            }
            if rule.state == PaymentState::Creating {
                self.wrong(at(&path, "state"), "not_allowed", "is ours alone");
            }
            if rule.state == PaymentState::Approved && payment.capture.is_none() {
                self.wrong(at(&path, "state"), "invalid", "needs capture");
            }
        }
        if !payment.states.iter().any(|rule| rule.state == PaymentState::Paid) {
            self.wrong("payment.states", "required", "must say when it is paid");
        }
        if let Some(webhook) = &payment.webhook {
            if webhook.checkout.is_empty() {
                self.wrong(
                    "payment.webhook.checkout",
                    "required",
                    "must say where the id of the checkout stands",
                );
            }
            for pointer in &webhook.checkout {
                self.pointer("payment.webhook.checkout", Some(pointer));
            }
            self.signature(&webhook.signature);
        }
    }

    fn signature(&mut self, signature: &WebhookSignature) {
        let path = "payment.webhook.signature";
        match signature {
            WebhookSignature::None => {}
            WebhookSignature::Hmac { header, secret }
            | WebhookSignature::TimestampedHmac { header, secret, .. } => {
                if !is_token(header) {
                    self.wrong(at(path, "header"), "invalid", "must be the name of a header");
                }
                if self.names.parameters.get(secret) != Some(&true) {
                    self.wrong(at(path, "secret"), "unknown", "must be the name of a secret parameter");
                }
            }
            WebhookSignature::Ask { operation, fields, event } => {
                let call = PaymentCall { operation: operation.clone(), fields: BTreeMap::new() };
                match call.operation(self.connector) {
                    None => self.wrong(at(path, "operation"), "unknown", "is not an operation of a module"),
                    Some((module, operation)) => {
                        let all = module.fields_of(operation);
                        for name in fields.keys().filter(|name| !all.iter().any(|field| field.name == **name))
                        {
                            self.wrong(
                                at(&at(path, "with"), name),
                                "unknown",
                                "is not a field of the operation",
                            );
                        }
                        if operation.expect.is_none() {
                            self.wrong(
                                at(path, "operation"),
                                "invalid",
                                "must say by `expect` what a confirmation is",
                            );
                        }
                    }
                }
                if !is_parameter(event) {
                    self.wrong(at(path, "event"), "invalid", "must be the name of a member");
                }
                for (name, text) in fields {
                    let path = at(&at(path, "with"), name);
                    let names: Vec<String> = Template::parse(text)
                        .map(|template| template.names().map(str::to_owned).collect())
                        .unwrap_or_default();
                    let headers: Vec<&str> =
                        names.iter().map(String::as_str).filter(|name| name.starts_with("header.")).collect();
                    self.template(&path, text, Kind::Text, May { local: &headers, ..May::default() });
                }
            }
        }
    }

    fn payment_call(&mut self, path: &str, call: &PaymentCall) {
        let Some((module, operation)) = call.operation(self.connector) else {
            return self.wrong(at(path, "operation"), "unknown", "is not an operation of a module");
        };
        let fields = module.fields_of(operation);
        for field in fields.iter().filter(|field| field.required && !call.fields.contains_key(&field.name)) {
            self.wrong(at(&at(path, "with"), &field.name), "required", "is required by the operation");
        }
        for name in call.fields.keys().filter(|name| !fields.iter().any(|field| field.name == **name)) {
            self.wrong(at(&at(path, "with"), name), "unknown", "is not a field of the operation");
        }
        let may = May {
            attributes: true,
            setup: Some(&self.connector.setup),
            local: &payment::NAMES,
            ..May::default()
        };
        self.texts(&at(path, "with"), &call.fields, may);
    }
}
