//! Three payment services in small: Stripe's Checkout Sessions, Razorpay's Payment Links and PayPal's Orders, written after their
//! documentation, each as strict as it says. They take no money.
//!
//! | at | imitates |
//! |---|---|
//! | `/stripe/v1` | <https://docs.stripe.com/api/checkout/sessions>, <https://docs.stripe.com/api/idempotent_requests>, <https://docs.stripe.com/webhooks> |
//! | `/razorpay/v1` | <https://razorpay.com/docs/api/payments/payment-links/>, <https://razorpay.com/docs/webhooks/validate-test/> |
//! | `/paypal` | <https://developer.paypal.com/docs/api/orders/v2/>, <https://docs.paypal.ai/reference/api/rest/verify-webhook-signature/verify-webhook-signature> |
//! | `/{till}/page/{id}` | the page on which somebody pays or does not |

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::hmac;
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::secret;

/// Stripe's key that is accepted.
pub const STRIPE_KEY: &str = "sk_test_sandbox";
/// With what Stripe signs.
pub const STRIPE_SECRET: &str = "whsec_sandbox";
/// Razorpay's key id that is accepted.
pub const RAZORPAY_KEY: &str = "rzp_test_sandbox";
/// The secret that goes with it.
pub const RAZORPAY_SECRET: &str = "razorpay_sandbox";
/// With what Razorpay signs.
pub const RAZORPAY_WEBHOOK: &str = "razorpay_webhook";
/// PayPal's client id that is accepted.
pub const PAYPAL_CLIENT: &str = "paypal_client";
/// The secret that goes with it.
pub const PAYPAL_SECRET: &str = "paypal_secret";
/// The id of PayPal's webhook.
pub const PAYPAL_WEBHOOK: &str = "WEBHOOK1SANDBOX";

const TOKEN: &str = "A21AAsandbox";

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Till {
    /// Stripe.
    Stripe,
    /// Razorpay.
    Razorpay,
    /// PayPal.
    PayPal,
}

impl Till {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Stripe, Self::Razorpay, Self::PayPal];

    /// The word for it in addresses, and the link name of its connector.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Razorpay => "razorpay",
            Self::PayPal => "paypal",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|till| till.word() == word)
    }
}

/// A checkout, for tests to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkout {
    /// Where it was made.
    pub till: Till,
    /// Its id.
    pub id: String,
    /// As it was asked for: whole smallest units, or PayPal's decimal.
    pub amount: String,
    /// In capitals.
    pub currency: String,
    /// What stands beside it.
    pub reference: String,
    /// Where the payer goes afterwards.
    pub return_url: String,
    /// Where the payer goes without paying.
    pub cancel_url: String,
    /// Unix time; 0: never.
    pub expires_at: i64,
    /// As the service says it.
    pub status: String,
    /// What was paid.
    pub paid: Option<String>,
    /// PayPal: how the capture stands.
    pub capture: Option<String>,
    key: String,
    asked: String,
    captured_by: String,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TillFault {
    /// A checkout is made, and the answer breaks off.
    LoseCreateAnswer,
    /// The money is taken, and the answer breaks off.
    LoseCaptureAnswer,
    /// The request to make a checkout breaks off before anything is done.
    DropCreate,
    /// Nobody is notified.
    NoWebhook,
    /// Everybody is notified twice.
    TwiceWebhook,
    /// A checkout is paid, and the notification is there before the answer to the request that made it.
    PaidBeforeAnswer,
    /// A capture is declined.
    DeclineCapture,
    /// Somebody pays in the moment in which a checkout is asked to end; Stripe's only.
    PaidAtExpiry,
}

#[derive(Default)]
struct Inside {
    checkouts: BTreeMap<String, Checkout>,
    faults: Vec<TillFault>,
    /// where each of them notifies: the whole address
    webhooks: BTreeMap<Till, String>,
    /// what was notified: address, headers, body
    sent: Vec<Notification>,
    requests: u64,
}

/// A notification as it was sent.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Who.
    pub till: Till,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

/// The three services.
#[derive(Clone)]
pub struct Tills {
    inside: Arc<Mutex<Inside>>,
    /// Their address without a slash at the end.
    pub url: String,
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn mac(key: &str, text: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text.as_bytes()).as_ref())
}

fn refuse(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn answer(status: u16, body: &Value) -> Response {
    refuse(status, body)
}

/// Promises an answer, and breaks off.
fn lost() -> Response {
    let broken: Result<Bytes, io::Error> = Err(io::Error::other("broken off on purpose"));
    let first: Result<Bytes, io::Error> = Ok(Bytes::from_static(b"{"));
    let body = Body::from_stream(stream::iter([first, broken]));
    ([(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, "1000")], body).into_response()
}

fn stripe_error(message: &str) -> Value {
    json!({"error": {"type": "invalid_request_error", "message": message}})
}

fn razorpay_error(description: &str) -> Value {
    json!({"error": {"code": "BAD_REQUEST_ERROR", "description": description}})
}

fn paypal_error(name: &str, issue: &str) -> Value {
    json!({"name": name, "message": "The requested action could not be performed.",
        "details": [{"issue": issue, "description": issue}]})
}

impl Tills {
    /// Serves on a listener. Must be called inside a Tokio runtime.
    pub fn start(listener: TcpListener) -> io::Result<Self> {
        let tills = Self { inside: Arc::default(), url: format!("http://{}", listener.local_addr()?) };
        let router = Router::new()
            .route("/stripe/v1/balance", get(|| async { axum::Json(json!({"object": "balance"})) }))
            .route(
                "/stripe/v1/account",
                get(|| async { axum::Json(json!({"id": "acct_1", "email": "till@stripe.example"})) }),
            )
            .route("/stripe/v1/checkout/sessions", post(stripe_create))
            .route("/stripe/v1/checkout/sessions/{id}", get(stripe_read))
            .route("/stripe/v1/checkout/sessions/{id}/expire", post(stripe_expire))
            .route("/razorpay/v1/payments", get(|| async { axum::Json(json!({"items": []})) }))
            .route("/razorpay/v1/payment_links", post(razorpay_create).get(razorpay_list))
            .route("/razorpay/v1/payment_links/{id}", get(razorpay_read))
            .route("/razorpay/v1/payment_links/{id}/cancel", post(razorpay_cancel))
            .route("/paypal/v1/oauth2/token", post(paypal_token))
            .route(
                "/paypal/v1/notifications/webhooks-event-types",
                get(|| async { axum::Json(json!({"event_types": []})) }),
            )
            .route("/paypal/v1/notifications/verify-webhook-signature", post(paypal_verify))
            .route("/paypal/v2/checkout/orders", post(paypal_create))
            .route("/paypal/v2/checkout/orders/{id}", get(paypal_read))
            .route("/paypal/v2/checkout/orders/{id}/capture", post(paypal_capture))
            .route("/{till}/page/{id}", get(page))
            .route("/{till}/page/{id}/pay", post(page_pay))
            .route("/{till}/page/{id}/leave", post(page_leave))
            .with_state(tills.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(tills)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a service notifies.
    pub fn notify_at(&self, till: Till, url: &str) {
        self.inside().webhooks.insert(till, url.to_owned());
    }

    /// Lets something go wrong once; [`TillFault::NoWebhook`], [`TillFault::TwiceWebhook`] and [`TillFault::DeclineCapture`] for good.
    pub fn set_fault(&self, fault: TillFault) {
        self.inside().faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.inside().faults.clear();
    }

    /// Every checkout that was made.
    pub fn checkouts(&self) -> Vec<Checkout> {
        self.inside().checkouts.values().cloned().collect()
    }

    /// How many requests came to make one.
    pub fn requests(&self) -> u64 {
        self.inside().requests
    }

    /// Every notification that was sent.
    pub fn notifications(&self) -> Vec<Notification> {
        self.inside().sent.clone()
    }

    /// Changes a checkout behind everybody's back, and notifies nobody.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Checkout)) {
        if let Some(checkout) = self.inside().checkouts.get_mut(id) {
            change(checkout);
        }
    }

    /// Somebody pays, and the service notifies.
    pub async fn pay(&self, id: &str) {
        self.change(id, |checkout| {
            let (status, paid) = match checkout.till {
                Till::Stripe => ("complete", true),
                Till::Razorpay => ("paid", true),
                Till::PayPal => ("APPROVED", false),
            };
            status.clone_into(&mut checkout.status);
            checkout.paid = paid.then(|| checkout.amount.clone());
        });
        let event = match Self::till_of(id) {
            Till::Stripe => "checkout.session.completed",
            Till::Razorpay => "payment_link.paid",
            Till::PayPal => "CHECKOUT.ORDER.APPROVED",
        };
        self.notify(id, event).await;
    }

    /// Its time is over, and the service notifies.
    pub async fn expire(&self, id: &str) {
        self.change(id, |checkout| {
            let status = if checkout.till == Till::PayPal { "GONE" } else { "expired" };
            status.clone_into(&mut checkout.status);
        });
        let event = match Self::till_of(id) {
            Till::Stripe => "checkout.session.expired",
            Till::Razorpay => "payment_link.expired",
            // PayPal forgets it silently.
            Till::PayPal => return,
        };
        self.notify(id, event).await;
    }

    fn till_of(id: &str) -> Till {
        match id {
            id if id.starts_with("cs_") => Till::Stripe,
            id if id.starts_with("plink_") => Till::Razorpay,
            _ => Till::PayPal,
        }
    }

    fn struck(&self, fault: TillFault) -> bool {
        let faults = &mut self.inside().faults;
        let standing =
            matches!(fault, TillFault::NoWebhook | TillFault::TwiceWebhook | TillFault::DeclineCapture);
        match faults.iter().position(|one| *one == fault) {
            Some(_) if standing => true,
            Some(at) => {
                faults.remove(at);
                true
            }
            None => false,
        }
    }

    /// Sends a notification of a checkout, signed; the statuses that came back.
    pub async fn notify(&self, id: &str, event: &str) -> Vec<u16> {
        let (till, object, address) = {
            let inside = self.inside();
            let Some(checkout) = inside.checkouts.get(id) else { return Vec::new() };
            let Some(address) = inside.webhooks.get(&checkout.till) else { return Vec::new() };
            (checkout.till, self.shown(checkout), address.clone())
        };
        if self.struck(TillFault::NoWebhook) {
            return Vec::new();
        }
        let at = now();
        let body = match till {
            Till::Stripe => {
                json!({"id": secret::token("evt_"), "object": "event", "type": event, "created": at,
                "livemode": false, "data": {"object": object}})
            }
            Till::Razorpay => {
                json!({"entity": "event", "account_id": "acc_1", "event": event, "contains": ["payment_link"],
                "payload": {"payment_link": {"entity": object}}, "created_at": at})
            }
            Till::PayPal => {
                json!({"id": secret::token("WH-"), "event_version": "1.0", "resource_type": "checkout-order",
                "event_type": event, "summary": "An order was changed", "resource": object, "links": []})
            }
        }
        .to_string();
        let headers = match till {
            Till::Stripe => {
                let signature = mac(STRIPE_SECRET, &format!("{at}.{body}"));
                vec![("Stripe-Signature".to_owned(), format!("t={at},v1={signature},v0=unknown"))]
            }
            Till::Razorpay => vec![
                ("X-Razorpay-Signature".to_owned(), mac(RAZORPAY_WEBHOOK, &body)),
                ("x-razorpay-event-id".to_owned(), secret::token("ev_")),
            ],
            Till::PayPal => {
                let (transmission, time) = (secret::token("t"), jiff::Timestamp::now().to_string());
                let signature = mac(TOKEN, &format!("{transmission}|{time}|{PAYPAL_WEBHOOK}|{body}"));
                [
                    ("PAYPAL-TRANSMISSION-ID", transmission.as_str()),
                    ("PAYPAL-TRANSMISSION-TIME", time.as_str()),
                    ("PAYPAL-TRANSMISSION-SIG", signature.as_str()),
                    ("PAYPAL-CERT-URL", "https://api.paypal.example/v1/notifications/certs/CERT-1"),
                    ("PAYPAL-AUTH-ALGO", "SHA256withRSA"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
            }
        };
        let notification = Notification { till, headers, body };
        self.inside().sent.push(notification.clone());
        let times = if self.struck(TillFault::TwiceWebhook) { 2 } else { 1 };
        let mut statuses = Vec::new();
        for _ in 0..times {
            statuses.push(send(&address, &notification).await.unwrap_or(0));
        }
        statuses
    }

    /// A checkout as the service's API shows it.
    fn shown(&self, checkout: &Checkout) -> Value {
        let url = format!("{}/{}/page/{}", self.url, checkout.till.word(), checkout.id);
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        match checkout.till {
            Till::Stripe => {
                let open = checkout.status == "open";
                json!({"id": checkout.id, "object": "checkout.session", "mode": "payment",
                    "amount_subtotal": number(&checkout.amount), "amount_total": number(&checkout.amount),
                    "currency": checkout.currency.to_lowercase(), "status": checkout.status,
                    "payment_status": if checkout.paid.is_some() { "paid" } else { "unpaid" },
                    "client_reference_id": checkout.reference, "expires_at": checkout.expires_at,
                    "success_url": checkout.return_url, "cancel_url": checkout.cancel_url,
                    "url": open.then_some(url)})
            }
            Till::Razorpay => {
                json!({"id": checkout.id, "accept_partial": false, "amount": number(&checkout.amount),
                "amount_paid": checkout.paid.as_deref().map_or(0, number), "currency": checkout.currency,
                "status": checkout.status, "reference_id": checkout.reference, "expire_by": checkout.expires_at,
                "callback_url": checkout.return_url, "callback_method": "get", "short_url": url, "payments": []})
            }
            Till::PayPal => {
                let amount = json!({"currency_code": checkout.currency, "value": checkout.amount});
                let mut unit =
                    json!({"reference_id": "default", "custom_id": checkout.reference, "amount": amount});
                if let Some(status) = &checkout.capture {
                    let paid = json!({"currency_code": checkout.currency,
                        "value": checkout.paid.as_ref().unwrap_or(&checkout.amount)});
                    unit["payments"] =
                        json!({"captures": [{"id": "CAPTURE1", "status": status, "amount": paid}]});
                }
                json!({"id": checkout.id, "intent": "CAPTURE", "status": checkout.status, "purchase_units": [unit],
                "links": [
                    {"rel": "self", "method": "GET", "href": format!("{}/paypal/v2/checkout/orders/{}", self.url, checkout.id)},
                    {"rel": "payer-action", "method": "GET", "href": url},
                ]})
            }
        }
    }

    fn found(&self, till: Till, id: &str) -> Option<Checkout> {
        self.inside().checkouts.get(id).filter(|one| one.till == till && one.status != "GONE").cloned()
    }

    /// Keeps a new one, and answers as its faults say.
    async fn keep(&self, status: u16, checkout: Checkout) -> Response {
        let id = checkout.id.clone();
        self.inside().checkouts.insert(id.clone(), checkout);
        if self.struck(TillFault::PaidBeforeAnswer) {
            self.pay(&id).await;
        }
        if self.struck(TillFault::LoseCreateAnswer) {
            return lost();
        }
        match self.inside().checkouts.get(&id) {
            Some(checkout) => answer(status, &self.shown(checkout)),
            None => lost(),
        }
    }
}

/// One HTTP request by hand; its status.
async fn send(address: &str, notification: &Notification) -> Option<u16> {
    let rest = address.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let mut request = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n",
        notification.body.len()
    );
    for (name, value) in &notification.headers {
        request.push_str(name);
        request.push_str(": ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.push_str(&notification.body);
    let mut stream = TcpStream::connect(host).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1)?.parse().ok()
}

async fn body_of(request: Request) -> (HeaderMap, String, Option<String>) {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let query = parts.uri.query().map(str::to_owned);
    (parts.headers, String::from_utf8_lossy(&bytes).into_owned(), query)
}

fn header_of<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn is_basic(headers: &HeaderMap, user: &str, password: &str) -> bool {
    header_of(headers, "authorization")
        == format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn is_bearer(headers: &HeaderMap, token: &str) -> bool {
    header_of(headers, "authorization") == format!("Bearer {token}")
}

fn form_of(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

async fn stripe_create(State(tills): State<Tills>, request: Request) -> Response {
    let (headers, text, _) = body_of(request).await;
    tills.inside().requests += 1;
    if !is_bearer(&headers, STRIPE_KEY) {
        return refuse(401, &stripe_error("Invalid API Key provided"));
    }
    if tills.struck(TillFault::DropCreate) {
        return lost();
    }
    let key = header_of(&headers, "idempotency-key").to_owned();
    let known = tills.inside().checkouts.values().find(|one| !key.is_empty() && one.key == key).cloned();
    if let Some(known) = known {
        if known.asked != text {
            let message = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
            return refuse(400, &json!({"error": {"type": "idempotency_error", "message": message}}));
        }
        // What was answered first is answered again.
        return answer(200, &tills.shown(&Checkout { status: "open".to_owned(), paid: None, ..known }));
    }
    let form = form_of(&text);
    let get = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (amount, currency) =
        (get("line_items[0][price_data][unit_amount]"), get("line_items[0][price_data][currency]"));
    let expires_at: i64 = get("expires_at").parse().unwrap_or_default();
    let wrong = match amount.parse::<i64>() {
        _ if get("mode") != "payment" => "mode: payment is wanted",
        _ if get("line_items[0][quantity]") != "1" => "line_items[0][quantity] is missing",
        _ if get("line_items[0][price_data][product_data][name]").is_empty() => {
            "product_data[name] is missing"
        }
        _ if !get("success_url").starts_with("http") => "success_url is missing",
        _ if currency.len() != 3 || currency != currency.to_lowercase() => "Invalid currency",
        _ if !(now() + 30 * 60..=now() + 24 * 3600).contains(&expires_at) => {
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        }
        Ok(amount)
            if ["kwd", "bhd", "tnd", "omr", "jod"].contains(&currency.as_str()) && amount % 10 != 0 =>
        {
            "The last digit of a three-decimal amount must be 0"
        }
        Ok(1..) => "",
        _ => "Invalid integer: unit_amount",
    };
    if !wrong.is_empty() {
        return refuse(400, &stripe_error(wrong));
    }
    let checkout = Checkout {
        till: Till::Stripe,
        id: secret::token("cs_test_"),
        amount,
        currency: currency.to_uppercase(),
        reference: get("client_reference_id"),
        return_url: get("success_url"),
        cancel_url: get("cancel_url"),
        expires_at,
        status: "open".to_owned(),
        paid: None,
        capture: None,
        key,
        asked: text,
        captured_by: String::new(),
    };
    tills.keep(200, checkout).await
}

async fn stripe_read(State(tills): State<Tills>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match tills.found(Till::Stripe, &id) {
        _ if !is_bearer(&headers, STRIPE_KEY) => refuse(401, &stripe_error("Invalid API Key provided")),
        Some(checkout) => answer(200, &tills.shown(&checkout)),
        None => refuse(404, &stripe_error("No such checkout.session")),
    }
}

async fn stripe_expire(State(tills): State<Tills>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !is_bearer(&headers, STRIPE_KEY) {
        return refuse(401, &stripe_error("Invalid API Key provided"));
    }
    if tills.struck(TillFault::PaidAtExpiry) {
        tills.pay(&id).await;
    }
    match tills.found(Till::Stripe, &id) {
        Some(checkout) if checkout.status == "open" => {
            tills.change(&id, |checkout| "expired".clone_into(&mut checkout.status));
            let checkout = Checkout { status: "expired".to_owned(), ..checkout };
            answer(200, &tills.shown(&checkout))
        }
        Some(_) => {
            refuse(400, &stripe_error("Only Checkout Sessions with a status in [\"open\"] can be expired."))
        }
        None => refuse(404, &stripe_error("No such checkout.session")),
    }
}

async fn razorpay_create(State(tills): State<Tills>, request: Request) -> Response {
    let (headers, text, _) = body_of(request).await;
    tills.inside().requests += 1;
    if !is_basic(&headers, RAZORPAY_KEY, RAZORPAY_SECRET) {
        return refuse(401, &razorpay_error("Authentication failed"));
    }
    if tills.struck(TillFault::DropCreate) {
        return lost();
    }
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let string = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (reference, expires_at) = (string("reference_id"), body["expire_by"].as_i64().unwrap_or_default());
    let taken =
        tills.inside().checkouts.values().any(|one| !reference.is_empty() && one.reference == reference);
    let wrong = match body["amount"].as_i64() {
        _ if taken => "payment link with given reference_id already exists",
        _ if reference.len() > 40 => "The reference id may not be greater than 40 characters.",
        _ if expires_at < now() + 15 * 60 => "expire_by should be at least 15 minutes after current time",
        _ if !body["callback_url"].is_null() && body["callback_method"] != "get" => {
            "callback_method must be get"
        }
        _ if string("currency").len() != 3 => "The currency is invalid.",
        Some(1..) => "",
        _ => "The amount must be an integer.",
    };
    if !wrong.is_empty() {
        return refuse(400, &razorpay_error(wrong));
    }
    let checkout = Checkout {
        till: Till::Razorpay,
        id: secret::token("plink_"),
        amount: body["amount"].to_string(),
        currency: string("currency"),
        reference,
        return_url: string("callback_url"),
        cancel_url: String::new(),
        expires_at,
        status: "created".to_owned(),
        paid: None,
        capture: None,
        key: String::new(),
        asked: text,
        captured_by: String::new(),
    };
    tills.keep(200, checkout).await
}

async fn razorpay_list(State(tills): State<Tills>, request: Request) -> Response {
    let (headers, _, query) = body_of(request).await;
    if !is_basic(&headers, RAZORPAY_KEY, RAZORPAY_SECRET) {
        return refuse(401, &razorpay_error("Authentication failed"));
    }
    let query = form_of(&query.unwrap_or_default());
    let all: Vec<Value> = tills
        .checkouts()
        .iter()
        .filter(|one| {
            one.till == Till::Razorpay
                && query.get("reference_id").is_none_or(|wanted| *wanted == one.reference)
        })
        .map(|one| tills.shown(one))
        .collect();
    answer(200, &json!({"payment_links": all}))
}

async fn razorpay_read(State(tills): State<Tills>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match tills.found(Till::Razorpay, &id) {
        _ if !is_basic(&headers, RAZORPAY_KEY, RAZORPAY_SECRET) => {
            refuse(401, &razorpay_error("Authentication failed"))
        }
        Some(checkout) => answer(200, &tills.shown(&checkout)),
        None => refuse(400, &razorpay_error("The id provided does not exist")),
    }
}

async fn razorpay_cancel(State(tills): State<Tills>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !is_basic(&headers, RAZORPAY_KEY, RAZORPAY_SECRET) {
        return refuse(401, &razorpay_error("Authentication failed"));
    }
    match tills.found(Till::Razorpay, &id) {
        Some(checkout) if checkout.status == "created" => {
            tills.change(&id, |checkout| "cancelled".clone_into(&mut checkout.status));
            answer(200, &tills.shown(&Checkout { status: "cancelled".to_owned(), ..checkout }))
        }
        Some(_) => refuse(400, &razorpay_error("Payment link cannot be cancelled")),
        None => refuse(400, &razorpay_error("The id provided does not exist")),
    }
}

async fn paypal_token(headers: HeaderMap) -> Response {
    if is_basic(&headers, PAYPAL_CLIENT, PAYPAL_SECRET) {
        answer(200, &json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 32400}))
    } else {
        refuse(401, &json!({"error": "invalid_client", "error_description": "Client Authentication failed"}))
    }
}

async fn paypal_create(State(tills): State<Tills>, request: Request) -> Response {
    let (headers, text, _) = body_of(request).await;
    tills.inside().requests += 1;
    if !is_bearer(&headers, TOKEN) {
        return refuse(401, &json!({"error": "invalid_token"}));
    }
    if tills.struck(TillFault::DropCreate) {
        return lost();
    }
    let key = header_of(&headers, "paypal-request-id").to_owned();
    let known = tills.inside().checkouts.values().find(|one| !key.is_empty() && one.key == key).cloned();
    if let Some(known) = known {
        return answer(200, &tills.shown(&known));
    }
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let at = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (amount, currency) =
        (at("/purchase_units/0/amount/value"), at("/purchase_units/0/amount/currency_code"));
    let decimals = amount.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let none = ["HUF", "JPY", "TWD"].contains(&currency.as_str());
    let issue = match (none, decimals) {
        _ if at("/intent") != "CAPTURE" => "INVALID_PARAMETER_VALUE",
        (true, 1..) => "DECIMALS_NOT_SUPPORTED",
        (false, 3..) => "DECIMAL_PRECISION",
        _ if amount.parse::<f64>().is_err() => "INVALID_PARAMETER_SYNTAX",
        _ => "",
    };
    if !issue.is_empty() {
        return refuse(422, &paypal_error("UNPROCESSABLE_ENTITY", issue));
    }
    let checkout = Checkout {
        till: Till::PayPal,
        id: secret::token("").replace(['-', '_'], "X").to_uppercase().chars().take(17).collect(),
        amount,
        currency,
        reference: at("/purchase_units/0/custom_id"),
        return_url: at("/payment_source/paypal/experience_context/return_url"),
        cancel_url: at("/payment_source/paypal/experience_context/cancel_url"),
        expires_at: 0,
        status: "PAYER_ACTION_REQUIRED".to_owned(),
        paid: None,
        capture: None,
        key,
        asked: text,
        captured_by: String::new(),
    };
    tills.keep(200, checkout).await
}

async fn paypal_read(State(tills): State<Tills>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    match tills.found(Till::PayPal, &id) {
        _ if !is_bearer(&headers, TOKEN) => refuse(401, &json!({"error": "invalid_token"})),
        Some(checkout) => answer(200, &tills.shown(&checkout)),
        None => refuse(404, &paypal_error("RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")),
    }
}

async fn paypal_capture(State(tills): State<Tills>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !is_bearer(&headers, TOKEN) {
        return refuse(401, &json!({"error": "invalid_token"}));
    }
    let key = header_of(&headers, "paypal-request-id").to_owned();
    let Some(checkout) = tills.found(Till::PayPal, &id) else {
        return refuse(404, &paypal_error("RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"));
    };
    match checkout.status.as_str() {
        "APPROVED" => {}
        "COMPLETED" if checkout.captured_by == key => return answer(200, &tills.shown(&checkout)),
        "COMPLETED" => return refuse(422, &paypal_error("UNPROCESSABLE_ENTITY", "ORDER_ALREADY_CAPTURED")),
        _ => return refuse(422, &paypal_error("UNPROCESSABLE_ENTITY", "ORDER_NOT_APPROVED")),
    }
    let declined = tills.struck(TillFault::DeclineCapture);
    tills.change(&id, |checkout| {
        "COMPLETED".clone_into(&mut checkout.status);
        checkout.capture = Some(if declined { "DECLINED" } else { "COMPLETED" }.to_owned());
        checkout.paid = (!declined).then(|| checkout.amount.clone());
        checkout.captured_by = key;
    });
    if tills.struck(TillFault::LoseCaptureAnswer) {
        return lost();
    }
    match tills.found(Till::PayPal, &id) {
        Some(checkout) => answer(201, &tills.shown(&checkout)),
        None => lost(),
    }
}

/// Confirms what it sent itself, byte for byte.
async fn paypal_verify(State(tills): State<Tills>, request: Request) -> Response {
    let (headers, text, _) = body_of(request).await;
    if !is_bearer(&headers, TOKEN) {
        return refuse(401, &json!({"error": "invalid_token"}));
    }
    let body: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let string = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let event =
        text.split_once("\"webhook_event\":").map_or("", |(_, rest)| rest.strip_suffix('}').unwrap_or(rest));
    let signed = format!(
        "{}|{}|{}|{event}",
        string("transmission_id"),
        string("transmission_time"),
        string("webhook_id")
    );
    let own = string("webhook_id") == PAYPAL_WEBHOOK && string("transmission_sig") == mac(TOKEN, &signed);
    drop(tills);
    answer(200, &json!({"verification_status": if own { "SUCCESS" } else { "FAILURE" }}))
}

async fn page(State(tills): State<Tills>, Path((till, id)): Path<(String, String)>) -> Response {
    let Some(checkout) = Till::parse(&till).and_then(|till| tills.found(till, &id)) else {
        return (StatusCode::NOT_FOUND, "This checkout is not there.").into_response();
    };
    let open = ["open", "created", "PAYER_ACTION_REQUIRED"].contains(&checkout.status.as_str());
    let buttons = if open {
        format!(
            "<form method=post action=\"/{till}/page/{id}/pay\"><button>Pay</button></form><form method=post action=\"/{till}/page/{id}/leave\"><button>Go back</button></form>"
        )
    } else {
        format!("<p>This checkout is {}.</p>", checkout.status)
    };
    Html(format!(
        "<!doctype html><html lang=en><title>{till}</title><main><h1>{till}, in small</h1><p>{} {}</p>{buttons}</main></html>",
        checkout.amount, checkout.currency
    ))
    .into_response()
}

async fn page_pay(State(tills): State<Tills>, Path((_, id)): Path<(String, String)>) -> Response {
    tills.pay(&id).await;
    let back = tills.inside().checkouts.get(&id).map(|one| one.return_url.clone());
    Redirect::to(&back.unwrap_or_default()).into_response()
}

async fn page_leave(State(tills): State<Tills>, Path((_, id)): Path<(String, String)>) -> Response {
    let back = tills.inside().checkouts.get(&id).map(|one| one.cancel_url.clone());
    Redirect::to(&back.filter(|url| !url.is_empty()).unwrap_or_else(|| "/".to_owned())).into_response()
}
