//! Payments, from a form to the money: the connector files as they are delivered, with their hosts on loopback, at services in small that
//! are as strict as their documentation says.

use std::fmt::Write;
use std::path::Path;

use jackfield_sandbox::tills::{
    Checkout, Notification, PAYPAL_CLIENT, PAYPAL_SECRET, PAYPAL_WEBHOOK, RAZORPAY_KEY, RAZORPAY_SECRET,
    RAZORPAY_WEBHOOK, STRIPE_KEY, STRIPE_SECRET, Till, TillFault, Tills,
};
use jackfield_testkit::browser::Browser;
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::support::{Home, Server};
use crate::world::until;

const ALL: [Till; 3] = Till::ALL;

async fn tills() -> Tills {
    Tills::start(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap()
}

/// The delivered document with its hosts on loopback.
fn document(till: Till, tills: &Tills) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../connectors/{}.toml", till.word()));
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut document = serde_json::to_value(table).unwrap();
    let host = tills.url.strip_prefix("http://").unwrap();
    let root = format!("{}/{}", tills.url, till.word());
    document["link_name"] = json!(format!("my_{}", till.word()));
    document["name"] = json!(format!("My {}", document["name"].as_str().unwrap()));
    document["base_url"] = json!(
        document["base_url"]
            .as_str()
            .unwrap()
            .replace("https://api.stripe.com", &root)
            .replace("https://api.razorpay.com", &root)
            .replace("https://{api_host}", &root)
    );
    if document.get("hosts").is_some() {
        document["hosts"] = json!([host]);
    }
    if till == Till::PayPal {
        document["auth"]["token_url"] = json!(format!("{root}/v1/oauth2/token"));
    }
    document["payment"]["checkout_hosts"] = json!([host]);
    document
}

/// A server whose organization takes payments by all three, and what they are called there.
pub(crate) struct Shop {
    pub server: Server,
    pub tills: Tills,
    application: String,
    organization: String,
}

impl Shop {
    pub async fn open(home: &Home) -> Self {
        let tills = tills().await;
        let server = home.start();
        let shop = server.api("PATCH", "/v1/organization", json!({"region": "in"})).await.expect(200);
        let organization = shop["id"].as_str().unwrap().to_owned();
        let application = server.application("Shop").await;
        let forms = format!("/v1/applications/{application}/forms");
        let fields = json!([
            {"name": "who", "required": true}, {"name": "amount", "type": "decimal", "decimals": 3},
            {"name": "currency"}, {"name": "till"}, {"name": "note"},
        ]);
        server
            .post(&forms, json!({"name": "Orders", "definition": {"fields": fields, "access": "public"}}))
            .await
            .expect(201);
        let shop = Self { server, tills, application, organization };
        for till in ALL {
            shop.connect(till).await;
        }
        shop
    }

    async fn connect(&self, till: Till) {
        let (server, word) = (&self.server, till.word());
        let connector = server.connector(document(till, &self.tills)).await;
        let (parameters, authorization) = match till {
            Till::Stripe => (
                json!({"webhook_secret": STRIPE_SECRET}),
                json!({"account_name": "S", "credentials": {"secret_key": STRIPE_KEY}}),
            ),
            Till::Razorpay => (
                json!({"webhook_secret": RAZORPAY_WEBHOOK}),
                json!({"account_name": "R", "credentials": {"username": RAZORPAY_KEY, "password": RAZORPAY_SECRET}}),
            ),
            Till::PayPal => (
                json!({"client_id": PAYPAL_CLIENT, "client_secret": PAYPAL_SECRET, "webhook_id": PAYPAL_WEBHOOK}),
                json!({"account_name": "P"}),
            ),
        };
        let new = json!({"connector": connector, "name": word, "link_name": word, "parameters": parameters});
        server.connection(new).await;
        let made = server.post(&format!("/v1/connections/{word}/authorizations"), authorization).await;
        assert!([201, 202].contains(&made.status), "{}", made.text);
        let hook = format!("{}/hooks/payments/{}/{word}", server.url, self.organization);
        self.tills.notify_at(till, &hook);
        let definition = json!({"form": "orders", "on": "created", "condition": format!("record.till == '{word}'"), "actions": [
            {"name": "pay", "payment": {"connection": word, "amount": {"field": "amount"}, "currency": {"field": "currency"},
                "description": "Order of {{ record.who }}", "success_text": "It is on its way."}},
            {"name": "keep", "update_record": {"set": {"note": {"expression": "results.pay.state ~ ' ' ~ results.pay.amount"}}}},
        ]});
        let path = format!("/v1/applications/{}/workflows", self.application);
        server
            .post(&path, json!({"name": format!("Pay {word}"), "definition": definition}))
            .await
            .expect(201);
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/applications/{}/{rest}", self.application)
    }

    /// Sends the form in; the run and the record.
    async fn order(&self, till: Till, amount: &str, currency: &str) -> Value {
        let data =
            json!({"data": {"who": "Ada", "amount": amount, "currency": currency, "till": till.word()}});
        let path = self.path("forms/orders/records?environment=development");
        let made = self.server.post(&path, data).await.expect(201);
        assert_eq!(made["runs"].as_array().unwrap().len(), 1, "{made}");
        made
    }

    async fn run(&self, order: &Value) -> Value {
        self.server.get(&self.path(&format!("runs/{}", order["runs"][0].as_str().unwrap()))).await.expect(200)
    }

    /// The payment of an order, once it is in a state.
    async fn reaches(&self, order: &Value, state: &str) -> Value {
        let path = self.path(&format!("payments?run={}", order["runs"][0].as_str().unwrap()));
        until(&format!("a payment {state}"), async || {
            let found = self.server.get(&path).await.expect(200);
            let payment = &found["items"][0];
            if payment["superseded"] == true {
                return None;
            }
            let over =
                ["paid", "failed", "expired", "cancelled"].contains(&payment["state"].as_str().unwrap_or(""));
            assert!(!over || payment["state"] == state, "{payment:#}");
            (payment["state"] == state).then(|| payment.clone())
        })
        .await
    }

    /// The run of an order, once it is in a state.
    async fn ends(&self, order: &Value, state: &str) -> Value {
        until(&format!("a run {state}"), async || {
            let run = self.run(order).await;
            (run["state"] == state).then_some(run)
        })
        .await
    }

    /// The checkout of an order, once it is open and its run waits.
    async fn opened(&self, order: &Value) -> Checkout {
        let payment = self.reaches(order, "open").await;
        until("the run waits", async || {
            let run = self.run(order).await;
            (run["state"] == "queued" && run["code"] == "payment_pending").then_some(())
        })
        .await;
        let id = payment["checkout"].as_str().unwrap();
        self.tills.checkouts().into_iter().find(|one| one.id == id).unwrap()
    }

    /// The path of the payer's page.
    async fn page(&self, order: &Value) -> String {
        let found = self.reaches(order, "open").await;
        let payment = self
            .server
            .get(&self.path(&format!("payments/{}", found["id"].as_str().unwrap())))
            .await
            .expect(200);
        payment["page"].as_str().unwrap().to_owned()
    }

    async fn note(&self, order: &Value) -> Value {
        let path = format!("forms/orders/records/{}?environment=development", order["id"].as_str().unwrap());
        self.server.get(&self.path(&path)).await.expect(200)["data"]["note"].clone()
    }

    /// Sends a notification again, changed as told; the status.
    async fn send(
        &self,
        notification: &Notification,
        change: impl Fn(&str, &str) -> String,
        body: &str,
    ) -> u16 {
        let url =
            format!("{}/hooks/payments/{}/{}", self.server.url, self.organization, notification.till.word());
        let mut request = reqwest::Client::new().post(url).body(body.to_owned());
        for (name, value) in &notification.headers {
            request = request.header(name, change(name, value));
        }
        request.send().await.unwrap().status().as_u16()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_pays_and_the_service_says_so() {
    for home in Home::both() {
        let shop = Shop::open(&home).await;
        for (till, currency, amount, asked, said) in [
            (Till::Stripe, "EUR", "12.5", "1250", "12.50"),
            (Till::Stripe, "JPY", "500", "500", "500"),
            (Till::Stripe, "KWD", "1.23", "1230", "1.230"),
            (Till::Razorpay, "INR", "299.95", "29995", "299.95"),
            (Till::PayPal, "EUR", "12.50", "12.50", "12.50"),
            (Till::PayPal, "JPY", "500", "500", "500"),
        ] {
            let order = shop.order(till, amount, currency).await;
            let checkout = shop.opened(&order).await;
            assert_eq!((checkout.amount.as_str(), checkout.currency.as_str()), (asked, currency), "{till:?}");
            let run = shop.run(&order).await;
            assert!(run["reason"].as_str().unwrap().contains(&format!("{said} {currency}")), "{run:#}");
            shop.tills.pay(&checkout.id).await;
            let run = shop.ends(&order, "succeeded").await;
            let paid = &run["results"]["pay"];
            assert_eq!(
                (&paid["state"], &paid["amount"], &paid["currency"]),
                (&json!("paid"), &json!(said), &json!(currency))
            );
            assert_eq!(paid["id"], checkout.id);
            assert!(paid["paid_at"].is_string(), "{paid}");
            assert_eq!(shop.note(&order).await, format!("paid {said}"));
            let steps: Vec<&str> = run["steps"]
                .as_array()
                .unwrap()
                .iter()
                .map(|step| step["outcome"].as_str().unwrap())
                .collect();
            assert_eq!(steps, ["waiting", "done", "done"], "looks that found nothing are no steps");
        }
        // The service's key is nowhere in what is shown.
        let runs = shop.server.get(&shop.path("runs")).await.text;
        assert!(!runs.contains(STRIPE_KEY) && !runs.contains(RAZORPAY_SECRET));
        let trail = shop.server.get("/v1/audit?action=payment").await.expect(200);
        let words: Vec<&str> =
            trail["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
        assert_eq!(words.iter().filter(|word| **word == "payment.paid").count(), 6, "{words:?}");
        assert_eq!(words.iter().filter(|word| **word == "payment.opened").count(), 6, "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_pays_and_nobody_says_so() {
    for home in Home::both() {
        let shop = Shop::open(&home).await;
        shop.tills.set_fault(TillFault::NoWebhook);
        let mut orders = Vec::new();
        for till in ALL {
            let order = shop.order(till, "20", "INR").await;
            if till == Till::PayPal {
                // It does not take rupees, and says so before anybody is asked.
                let run = shop.ends(&order, "failed").await;
                assert_eq!(run["code"], "payment_failed");
                assert!(run["reason"].as_str().unwrap().contains("does not take INR"), "{run:#}");
                orders.push(shop.order(till, "20", "EUR").await);
            } else {
                orders.push(order);
            }
        }
        for order in &orders {
            let checkout = shop.opened(order).await;
            shop.tills.pay(&checkout.id).await;
        }
        // Found by the clock, ten seconds later at most.
        for order in &orders {
            shop.ends(order, "succeeded").await;
        }
        assert!(shop.tills.notifications().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_pays() {
    for home in Home::both() {
        let shop = Shop::open(&home).await;
        for till in [Till::Stripe, Till::Razorpay] {
            let order = shop.order(till, "10", "INR").await;
            let checkout = shop.opened(&order).await;
            shop.tills.expire(&checkout.id).await;
            let run = shop.ends(&order, "failed").await;
            assert_eq!(run["code"], "payment_expired", "{run:#}");
            assert_eq!(shop.note(&order).await, Value::Null);
            // Whoever replays it asks anew, with a checkout of its own.
            let path = shop.path(&format!("runs/{}/replay", run["id"].as_str().unwrap()));
            shop.server.post(&path, json!({})).await.expect(200);
            let again = shop.opened(&order).await;
            assert_ne!(again.id, checkout.id);
            shop.tills.pay(&again.id).await;
            shop.ends(&order, "succeeded").await;
        }
        // PayPal forgets the order, and whoever comes back is told.
        let order = shop.order(Till::PayPal, "10", "EUR").await;
        let checkout = shop.opened(&order).await;
        shop.tills.expire(&checkout.id).await;
        let page = shop.page(&order).await;
        until("a page that says so", async || {
            let page = Browser::new().get(&format!("{page}/back")).await.unwrap();
            page.body.contains("The time to pay is over.").then_some(())
        })
        .await;
        assert_eq!(shop.ends(&order, "failed").await["code"], "payment_expired");
        // A payment that is declined has failed.
        shop.tills.set_fault(TillFault::DeclineCapture);
        let order = shop.order(Till::PayPal, "10", "EUR").await;
        let checkout = shop.opened(&order).await;
        shop.tills.pay(&checkout.id).await;
        assert_eq!(shop.ends(&order, "failed").await["code"], "payment_failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_is_over_by_our_own_clock() {
    let home = Home::postgres();
    let shop = Shop::open(&home).await;
    for (till, state) in
        [(Till::Stripe, "expired"), (Till::Razorpay, "cancelled"), (Till::PayPal, "PAYER_ACTION_REQUIRED")]
    {
        let order = shop.order(till, "10", if till == Till::PayPal { "EUR" } else { "INR" }).await;
        let checkout = shop.opened(&order).await;
        home.sql(&format!("update payments set expires_at = 1 where checkout = '{}'", checkout.id));
        home.sql("update runs set due_at = 1 where state = 'queued'");
        let run = shop.ends(&order, "failed").await;
        assert_eq!(run["code"], "payment_expired", "{run:#}");
        let left = shop.tills.checkouts().into_iter().find(|one| one.id == checkout.id).unwrap();
        assert_eq!(left.status, state, "where it can be ended at the service, it is");
    }
    // Somebody was quicker than the clock.
    let order = shop.order(Till::Stripe, "10", "EUR").await;
    let checkout = shop.opened(&order).await;
    home.sql(&format!("update payments set expires_at = 1 where checkout = '{}'", checkout.id));
    shop.tills.pay(&checkout.id).await;
    shop.ends(&order, "succeeded").await;
    // And in the very moment in which it is ended.
    let order = shop.order(Till::Stripe, "10", "EUR").await;
    let checkout = shop.opened(&order).await;
    shop.tills.set_fault(TillFault::PaidAtExpiry);
    home.sql(&format!("update payments set expires_at = 1 where checkout = '{}'", checkout.id));
    home.sql("update runs set due_at = 1 where state = 'queued'");
    shop.ends(&order, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_called_off_takes_its_checkout_with_it() {
    for home in Home::both() {
        let shop = Shop::open(&home).await;
        for (till, status) in [
            (Till::Stripe, "expired"),
            (Till::Razorpay, "cancelled"),
            (Till::PayPal, "PAYER_ACTION_REQUIRED"),
        ] {
            let order = shop.order(till, "10", if till == Till::PayPal { "EUR" } else { "INR" }).await;
            let checkout = shop.opened(&order).await;
            let path = shop.path(&format!("runs/{}/cancel", order["runs"][0].as_str().unwrap()));
            shop.server.post(&path, json!({})).await.expect(200);
            until("a payment that is over", async || {
                let found = shop
                    .server
                    .get(&shop.path(&format!("payments?run={}", order["runs"][0].as_str().unwrap())))
                    .await
                    .expect(200);
                ["cancelled", "expired"].contains(&found["items"][0]["state"].as_str().unwrap()).then_some(())
            })
            .await;
            let left = shop.tills.checkouts().into_iter().find(|one| one.id == checkout.id).unwrap();
            assert_eq!(left.status, status, "{till:?}");
            // Money that comes all the same is not taken: nothing captures it.
            if till == Till::PayPal {
                shop.tills.pay(&checkout.id).await;
                assert_eq!(shop.run(&order).await["state"], "cancelled");
                let left = shop.tills.checkouts().into_iter().find(|one| one.id == checkout.id).unwrap();
                assert_eq!((left.status.as_str(), left.paid), ("APPROVED", None));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_the_service_changes_nothing() {
    let home = Home::sqlite();
    let shop = Shop::open(&home).await;
    for till in ALL {
        let order = shop.order(till, "10", if till == Till::PayPal { "EUR" } else { "INR" }).await;
        let checkout = shop.opened(&order).await;
        // It tells of something that has not happened: the service is asked, and nothing changes.
        assert_eq!(shop.tills.notify(&checkout.id, "checkout.session.completed").await, [204]);
        let good = shop.tills.notifications().pop().unwrap();
        let same = |_: &str, value: &str| value.to_owned();
        let forged = good
            .body
            .replace("\"unpaid\"", "\"paid\"")
            .replace("created", "paid")
            .replace("PAYER_ACTION_REQUIRED", "COMPLETED");
        assert_ne!(forged, good.body, "{till:?}");
        for (what, status) in [
            ("another body", shop.send(&good, same, &forged).await),
            (
                "no signature",
                shop.send(&Notification { headers: Vec::new(), ..good.clone() }, same, &good.body).await,
            ),
            (
                "another signature",
                shop.send(
                    &good,
                    |name, value| {
                        let signs = name.to_lowercase().contains("sig");
                        if signs { value.replace(['a', '1'], "b") } else { value.to_owned() }
                    },
                    &good.body,
                )
                .await,
            ),
            ("no JSON", shop.send(&good, same, "{").await),
            ("too much", shop.send(&good, same, &" ".repeat(1024 * 1024 + 1)).await),
        ] {
            let wanted = if what == "too much" { 413 } else { 400 };
            assert_eq!(status, wanted, "{till:?}: {what}");
        }
        // An old one of Stripe's is refused although its signature is right.
        if till == Till::Stripe {
            let old = json!({"data": {"object": {"id": checkout.id}}}).to_string();
            let status = shop
                .send(
                    &Notification {
                        headers: vec![("Stripe-Signature".to_owned(), stripe_signature(&old, -301))],
                        ..good.clone()
                    },
                    same,
                    &old,
                )
                .await;
            assert_eq!(status, 400);
            let status = shop
                .send(
                    &Notification {
                        headers: vec![("Stripe-Signature".to_owned(), stripe_signature(&old, -200))],
                        ..good.clone()
                    },
                    same,
                    &old,
                )
                .await;
            assert_eq!(status, 204);
        }
        let strange = format!("{}/hooks/payments/{}/none", shop.server.url, shop.organization);
        assert_eq!(reqwest::Client::new().post(strange).body("{}").send().await.unwrap().status(), 400);
        shop.reaches(&order, "open").await;
        // The right one again and again: paid once.
        shop.tills.set_fault(TillFault::TwiceWebhook);
        shop.tills.pay(&checkout.id).await;
        shop.ends(&order, "succeeded").await;
        shop.tills.clear_faults();
        let last = shop.tills.notifications().pop().unwrap();
        assert_eq!(shop.send(&last, same, &last.body).await, 204);
        let done = shop.run(&order).await;
        assert_eq!(done["state"], "succeeded");
    }
    let trail = shop.server.get("/v1/audit?action=payment.paid").await.expect(200);
    assert_eq!(trail["items"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_stays_as_it_ended() {
    let home = Home::postgres();
    let shop = Shop::open(&home).await;
    for till in ALL {
        let order = shop.order(till, "10", if till == Till::PayPal { "EUR" } else { "INR" }).await;
        let checkout = shop.opened(&order).await;
        shop.tills.pay(&checkout.id).await;
        shop.ends(&order, "succeeded").await;
        let paid = shop.reaches(&order, "paid").await;
        // The money goes back, or the service says something else: that is told here by nobody, and changes nothing that was done with it.
        for (status, amount) in [("refunded", "10"), ("expired", "10"), ("paid", "1")] {
            shop.tills.change(&checkout.id, |checkout| {
                status.clone_into(&mut checkout.status);
                amount.clone_into(&mut checkout.amount);
            });
            shop.tills.notify(&checkout.id, "charge.refunded").await;
        }
        assert_eq!(shop.reaches(&order, "paid").await["ended_at"], paid["ended_at"]);
        assert_eq!(shop.run(&order).await["state"], "succeeded");
    }
    // The time is over, and somebody pays after all: nothing is captured, and what was told stays so.
    let order = shop.order(Till::PayPal, "10", "EUR").await;
    let checkout = shop.opened(&order).await;
    home.sql(&format!("update payments set expires_at = 1 where checkout = '{}'", checkout.id));
    home.sql("update runs set due_at = 1 where state = 'queued'");
    assert_eq!(shop.ends(&order, "failed").await["code"], "payment_expired");
    shop.tills.pay(&checkout.id).await;
    shop.tills.notify(&checkout.id, "CHECKOUT.ORDER.APPROVED").await;
    shop.reaches(&order, "expired").await;
    assert_eq!(shop.run(&order).await["state"], "failed");
    assert_eq!(shop.note(&order).await, Value::Null);
    let left = shop.tills.checkouts().into_iter().find(|one| one.id == checkout.id).unwrap();
    assert_eq!(left.paid, None, "nobody takes the money of what is over");
    let trail = shop.server.get("/v1/audit?action=payment").await.expect(200);
    let of =
        |word: &str| trail["items"].as_array().unwrap().iter().filter(|row| row["action"] == word).count();
    assert_eq!((of("payment.paid"), of("payment.expired"), of("payment.failed")), (3, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_of_its_payment_alone() {
    let home = Home::postgres();
    let shop = Shop::open(&home).await;
    shop.tills.set_fault(TillFault::NoWebhook);
    let (one, other) =
        (shop.order(Till::Stripe, "10", "EUR").await, shop.order(Till::Stripe, "20", "EUR").await);
    let (first, second) = (shop.opened(&one).await, shop.opened(&other).await);
    // The second was paid, and the service tells of the first: that one is looked at, and is not paid.
    let nudges = |id: &str| {
        home.sql(&format!("select nudges from payments where checkout = '{id}'")).trim().to_owned()
    };
    assert_eq!((nudges(&first.id), nudges(&second.id)), ("0".to_owned(), "0".to_owned()));
    shop.tills.pay(&second.id).await;
    shop.tills.clear_faults();
    assert_eq!(shop.tills.notify(&first.id, "checkout.session.completed").await, [204]);
    assert_eq!(nudges(&first.id), "1");
    let at_once = nudges(&second.id);
    assert_eq!(at_once, "0");
    shop.reaches(&one, "open").await;
    shop.ends(&other, "succeeded").await;
    assert_eq!(shop.reaches(&one, "open").await["paid_at"], Value::Null);
}

/// As Stripe signs, so many seconds from now.
fn stripe_signature(body: &str, seconds: i64) -> String {
    let at = jiff::Timestamp::now().as_second() + seconds;
    let tag =
        jackfield_vault::token::hmac_sha256(STRIPE_SECRET.as_bytes(), &[format!("{at}.{body}").as_bytes()]);
    let hex = tag.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    format!("t={at},v1={hex}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_makes_no_second_checkout() {
    for home in Home::both() {
        let shop = Shop::open(&home).await;
        for till in ALL {
            let currency = if till == Till::PayPal { "EUR" } else { "INR" };
            for fault in [TillFault::LoseCreateAnswer, TillFault::DropCreate, TillFault::PaidBeforeAnswer] {
                shop.tills.set_fault(fault);
                let (before, requests) = (shop.tills.checkouts().len(), shop.tills.requests());
                let order = shop.order(till, "10", currency).await;
                if fault != TillFault::PaidBeforeAnswer {
                    let checkout = shop.opened(&order).await;
                    shop.tills.pay(&checkout.id).await;
                }
                shop.ends(&order, "succeeded").await;
                assert_eq!(shop.tills.checkouts().len(), before + 1, "{till:?} {fault:?}");
                if fault != TillFault::PaidBeforeAnswer {
                    let more =
                        if till == Till::Razorpay && fault == TillFault::LoseCreateAnswer { 1 } else { 2 };
                    assert_eq!(
                        shop.tills.requests(),
                        requests + more,
                        "{till:?} {fault:?}: it was tried again, or looked for"
                    );
                }
            }
        }
        // The answer that says that the money was taken is lost: it is taken once.
        shop.tills.set_fault(TillFault::LoseCaptureAnswer);
        let order = shop.order(Till::PayPal, "10", "EUR").await;
        let checkout = shop.opened(&order).await;
        shop.tills.pay(&checkout.id).await;
        shop.ends(&order, "succeeded").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_was_asked_for_fails() {
    let home = Home::sqlite();
    let shop = Shop::open(&home).await;
    for till in ALL {
        let order = shop.order(till, "10", if till == Till::PayPal { "EUR" } else { "INR" }).await;
        let checkout = shop.opened(&order).await;
        shop.tills.change(&checkout.id, |checkout| {
            checkout.amount = if till == Till::PayPal { "1.00" } else { "100" }.to_owned();
        });
        shop.tills.pay(&checkout.id).await;
        let run = shop.ends(&order, "failed").await;
        assert_eq!(run["code"], "payment_mismatch", "{run:#}");
        let payment = shop.reaches(&order, "failed").await;
        assert!(payment["reason"].as_str().unwrap().contains("was asked for"), "{payment:#}");
    }
    let order = shop.order(Till::Stripe, "10", "EUR").await;
    let checkout = shop.opened(&order).await;
    shop.tills.change(&checkout.id, |checkout| checkout.currency = "HUF".to_owned());
    shop.tills.pay(&checkout.id).await;
    assert_eq!(shop.ends(&order, "failed").await["code"], "payment_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_offered_in_its_regions_only() {
    let home = Home::sqlite();
    let shop = Shop::open(&home).await;
    let path = shop.path("workflows/pay_razorpay");
    shop.server.api("PATCH", "/v1/organization", json!({"region": "eu"})).await.expect(200);
    // What would be saved is refused, what is saved asks nobody.
    let definition = shop.server.get(&path).await.expect(200)["definition"].clone();
    let refused = shop.server.api("PATCH", &path, json!({"definition": definition})).await;
    refused.problem(422, "invalid_input");
    assert_eq!(refused.fields(), ["definition.actions.0.payment.connection"]);
    assert!(refused.text.contains("offered in in only; the organization's region is eu"), "{}", refused.text);
    let order = shop.order(Till::Razorpay, "10", "INR").await;
    let run = shop.ends(&order, "failed").await;
    assert_eq!(run["code"], "not_available", "{run:#}");
    assert!(shop.tills.checkouts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_is_led_from_the_form_to_the_money_and_back() {
    for home in Home::both() {
        let shop = Shop::open(&home).await;
        shop.tills.set_fault(TillFault::NoWebhook);
        for to in ["stage", "production"] {
            let published = json!({"to": to});
            shop.server.post(&shop.path("publish"), published).await.expect(200);
        }
        let browser = Browser::new();
        let form = format!("{}/f/{}/{}/orders", shop.server.url, shop.organization, shop.application);
        let page = browser.get(&form).await.unwrap();
        let fields =
            [("data.who", "Bob"), ("data.amount", "12.5"), ("data.currency", "EUR"), ("data.till", "stripe")];
        let page = page.submit("Send", &fields).await.unwrap();
        let path = page.url.path().to_owned();
        assert!(path.starts_with("/pay/") && page.status == 200, "{} {}", page.url, page.body);
        assert!(page.header("content-security-policy").unwrap().contains("form-action 'self'"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let address = format!("{}{path}", shop.server.url);
        // It waits by itself, then goes on to the service.
        let ready = until("a page that goes on", async || {
            let page = browser.get(&address).await.unwrap();
            page.body.contains(&format!("url={path}/go")).then_some(page)
        })
        .await;
        assert!(ready.body.contains("12.50 EUR") && ready.body.contains("Order of Bob"), "{}", ready.body);
        let till = browser.get(&format!("{address}/go")).await.unwrap();
        assert!(till.url.as_str().starts_with(&format!("{}/stripe/page/", shop.tills.url)), "{}", till.url);
        // Back without paying: the same checkout once more.
        let left = till.submit("Go back", &[]).await.unwrap();
        assert!(
            left.body.contains("You have left the payment page") && left.url.path() == format!("{path}/left"),
            "{}",
            left.body
        );
        let till = left.follow("Try again").await.unwrap();
        let back = till.submit("Pay", &[]).await.unwrap();
        assert_eq!(back.url.path(), format!("{path}/back"));
        // Nobody has notified anybody: coming back is enough, long before the clock would look.
        let paid = until("a page that says that it is paid", async || {
            let page = browser.get(&format!("{address}/back")).await.unwrap();
            page.body.contains("Paid: 12.50 EUR").then_some(page)
        })
        .await;
        assert!(paid.body.contains("It is on its way."), "{}", paid.body);
        assert_eq!(shop.tills.checkouts().len(), 1);
        // A page that nobody was given is not there.
        let strange = browser.get(&format!("{}/pay/x", shop.server.url)).await.unwrap();
        assert_eq!(strange.status, 404);
        // Where nothing is to be paid, the form thanks as ever.
        let page = browser.get(&form).await.unwrap();
        let page = page.submit("Send", &[("data.who", "Eve"), ("data.till", "none")]).await.unwrap();
        assert!(page.url.query() == Some("sent"), "{}", page.url);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_leads_to_the_hosts_of_the_connector_only() {
    let home = Home::sqlite();
    let shop = Shop::open(&home).await;
    let mut other = document(Till::Stripe, &shop.tills);
    other["link_name"] = json!("elsewhere");
    other["payment"]["checkout_hosts"] = json!(["checkout.stripe.com"]);
    let connector = shop.server.connector(other).await;
    let new = json!({"connector": connector, "name": "elsewhere", "link_name": "elsewhere"});
    shop.server.connection(new).await;
    let authorization = json!({"account_name": "S", "credentials": {"secret_key": STRIPE_KEY}});
    shop.server.post("/v1/connections/elsewhere/authorizations", authorization).await.expect(201);
    let definition = json!({"form": "orders", "on": "created", "condition": "record.till == 'stripe'", "actions": [
        {"name": "pay", "payment": {"connection": "elsewhere", "amount": {"value": "3"}, "currency": "EUR", "description": "x"}}]});
    shop.server
        .api("PATCH", &shop.path("workflows/pay_stripe"), json!({"definition": definition}))
        .await
        .expect(200);
    let order = shop.order(Till::Stripe, "10", "EUR").await;
    let run = shop.ends(&order, "failed").await;
    assert!(
        run["reason"].as_str().unwrap().contains("on a host that the connector does not list"),
        "{run:#}"
    );
    // And the checkout is ended at the service.
    until("the checkout ended", async || (shop.tills.checkouts()[0].status == "expired").then_some(())).await;
}
