//! Applications that are started from templates: each of the five does what it says, at the services in small, by the connector files as they
//! are delivered; and what is wrong is said before anything is made.

use std::path::Path;

use jackfield_sandbox::tills::Till;
use jackfield_testkit::mail::MailServer;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, escaped, heading, value_of, words};
use crate::payments::Shop;
use crate::support::{Home, Server, consenting};
use crate::upstream::{Message, Upstream, connected, json_reply, key, keyed, reply};
use crate::world::until;

/// The modules of a delivered connector at a service of our own that takes a key.
fn document(connector: &str, upstream: &Upstream) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../connectors/{connector}.toml"));
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let delivered = serde_json::to_value(table).unwrap();
    let mut document = keyed(&format!("My {connector}"), &upstream.url, &[&upstream.host()]);
    document["link_name"] = json!(format!("my_{connector}"));
    let modules = delivered["modules"].to_string();
    let modules = modules.replace("{callback.realmId}", "42").replace("{api_version}", "v1");
    document["modules"] = serde_json::from_str(&modules).unwrap();
    document
}

/// A connection to such a service; its link name.
async fn plugged(server: &Server, connector: &str, upstream: &Upstream) -> String {
    connected(server, document(connector, upstream), key()).await
}

async fn start(server: &Server, template: &str, body: Value) -> Value {
    server.post(&format!("/v1/application-templates/{template}/start"), body).await.expect(201)
}

fn components(started: &Value) -> Vec<&str> {
    started["components"].as_array().unwrap().iter().map(|one| one["component"].as_str().unwrap()).collect()
}

/// Sends a record in, and waits for the end of its one run.
async fn sent_in(server: &Server, application: &str, form: &str, data: Value) -> Value {
    let path = format!("/v1/applications/{application}/forms/{form}/records?environment=development");
    let record = server.post(&path, json!({"data": data})).await.expect(201);
    assert_eq!(record["runs"].as_array().unwrap().len(), 1, "{record}");
    over(server, application, record["runs"][0].as_str().unwrap()).await
}

async fn over(server: &Server, application: &str, run: &str) -> Value {
    let path = format!("/v1/applications/{application}/runs/{run}");
    let run = until("the end of a run", async || {
        let run = server.get(&path).await.expect(200);
        run["ended_at"].is_string().then_some(run)
    })
    .await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    run
}

/// The services in small.
async fn services() -> Upstream {
    Upstream::answering(|message: &Message| {
        let path = message.target().split('?').next().unwrap();
        json_reply(&match path {
            "/v3/company/42/vendor" => json!({"Vendor": {"Id": "58"}}),
            "/v3/company/42/query" => {
                let (_, start) = message.target().split_once("startposition").unwrap();
                let start = start.trim_start_matches("%20").trim_start_matches('+');
                let start: i64 = start.split(['+', '%']).next().unwrap().parse().unwrap();
                let invoice = |n: i64| {
                    json!({"Id": n.to_string(), "DocNumber": format!("R-{n}"), "DueDate": "2026-12-01",
                    "CustomerRef": {"value": "1", "name": "Ada Ltd"}, "TotalAmt": n, "Balance": 0.5})
                };
                let page: Vec<Value> = (start..=120).take(100).map(invoice).collect();
                json!({"QueryResponse": {"Invoice": page}})
            }
            "/Leads/upsert" => json!({"data": [{"code": "SUCCESS", "details": {"id": "71"}}]}),
            "/services/data/v1/sobjects/Lead" => json!({"id": "72"}),
            "/crm/v3/objects/contacts/batch/upsert" => json!({"results": [{"id": "73"}]}),
            "/crm/v3/objects/contacts" => json!({"id": "74"}),
            "/rest/api/3/issue" => json!({"key": "HELP-12"}),
            "/chat.postMessage" => json!({"ok": true, "ts": "5.5"}),
            _ => return reply(404, &[], ""),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn vendors_are_made_in_the_books() {
    for home in Home::both() {
        let (sandbox, services) = (consenting().await, services().await);
        let server = home.start();
        let scopes = json!({"scopes": ["vendors:read", "vendors:write", "profile"]});
        let practice = server.sandbox_connection(&sandbox, "sandbox", scopes).await;
        server.authorize(&practice, json!({})).await;
        let books = plugged(&server, "quickbooks", &services).await;

        let listed = server.get("/v1/application-templates").await.expect(200);
        let names: Vec<&str> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["link_name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["vendor_onboarding", "lead_form", "ticket_form", "order_form", "nightly_report"]);
        let template = server.get("/v1/application-templates/vendor_onboarding").await.expect(200);
        let fitting = template["needs"][0]["fitting"].as_array().unwrap();
        let fitting: Vec<&str> = fitting.iter().map(|one| one["connection"].as_str().unwrap()).collect();
        assert_eq!(fitting, [books.as_str(), practice.as_str()], "what can do the same fits");

        let data = json!({"vendor_name": "Acme", "email": "a@acme.example"});
        for (name, connection) in [("Books", &books), ("Practice", &practice)] {
            let body = json!({"name": name, "connections": {"books": connection}});
            let started = start(&server, "vendor_onboarding", body).await;
            assert_eq!(components(&started), ["form:vendors", "workflow:make_vendor"]);
            let application = started["link_name"].as_str().unwrap();
            assert!(started["description"].as_str().unwrap().contains("vendor"), "{started}");
            let run = sent_in(&server, application, "vendors", data.clone()).await;
            assert!(run["results"]["make"]["id"].is_string(), "{run:#}");
            // It stands where every application does, and the connection cannot be deleted under it.
            let refused = server.api("DELETE", &format!("/v1/connections/{connection}"), Value::Null).await;
            refused.problem(409, "connection_referenced");
        }
        let asked = services.take();
        assert_eq!(asked.len(), 1);
        let body = asked[0].json();
        assert_eq!((&body["DisplayName"], &body["CompanyName"]), (&json!("Acme"), &json!("Acme")), "{body}");
        assert!(asked[0].target().contains("requestid="), "{}", asked[0].target());
        let vendors =
            server.get(&format!("/v1/proxy/{practice}/vendors?display_name=Acme")).await.expect(200);
        assert_eq!(vendors["total"], 1, "{vendors}");
        let trail = server.get("/v1/audit?action=application.created").await.expect(200);
        assert!(trail.to_string().contains("vendor_onboarding"), "{trail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leads_go_to_the_crm_that_is_there() {
    let (home, services) = (Home::sqlite(), services().await);
    let server = home.start();
    let data = json!({"first_name": "Ada", "last_name": "L", "company": "Acme", "email": "ada@acme.example"});
    for (connector, path, id, pointer) in [
        ("zoho_crm", "/Leads/upsert", "71", "/data/0/Last_Name"),
        ("salesforce", "/services/data/v1/sobjects/Lead", "72", "/LastName"),
        ("hubspot", "/crm/v3/objects/contacts/batch/upsert", "73", "/inputs/0/properties/lastname"),
        ("hubspot_private_app", "/crm/v3/objects/contacts", "74", "/properties/lastname"),
    ] {
        let crm = plugged(&server, connector, &services).await;
        let body = json!({"name": connector, "connections": {"crm": crm}});
        let started = start(&server, "lead_form", body).await;
        assert_eq!(components(&started), ["form:leads", "workflow:make_lead"]);
        let run = sent_in(&server, started["link_name"].as_str().unwrap(), "leads", data.clone()).await;
        assert_eq!(run["results"]["make"]["id"], id, "{connector} {run:#}");
        let asked = services.take();
        assert_eq!((asked.len(), asked[0].target()), (1, path));
        assert_eq!(asked[0].json().pointer(pointer), Some(&json!("L")), "{}", asked[0].text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_go_to_the_tracker_and_the_chat() {
    let (home, services) = (Home::sqlite(), services().await);
    let server = home.start();
    let (jira, slack) =
        (plugged(&server, "jira", &services).await, plugged(&server, "slack", &services).await);
    let body = json!({"name": "Help", "connections": {"tracker": jira, "chat": slack},
        "answers": {"project": "HELP", "channel": "C1"}});
    let started = start(&server, "ticket_form", body).await;
    let data =
        json!({"summary": "It <burns>", "details": "Since noon", "urgent": true, "email": "a@acme.example"});
    sent_in(&server, started["link_name"].as_str().unwrap(), "tickets", data).await;
    let asked = services.take();
    let (issue, message) = (asked[0].json(), asked[1].json());
    let fields = &issue["fields"];
    assert_eq!((&fields["project"]["key"], &fields["issuetype"]["name"]), (&json!("HELP"), &json!("Task")));
    assert_eq!(fields["labels"], json!(["urgent"]));
    let description = json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [
        {"type": "text", "text": "Since noon (from a@acme.example)"}]}]});
    assert_eq!(fields["description"], description);
    assert_eq!(message["channel"], "C1");
    assert_eq!(message["text"], "Urgent: HELP-12 It &lt;burns&gt; (from a@acme.example)");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_paid() {
    let home = Home::sqlite();
    let shop = Shop::open(&home).await;
    let server = &shop.server;
    for (till, price, currency, amount) in [
        (Till::Stripe, "19.99", "EUR", "5997"),
        (Till::Razorpay, "250", "INR", "75000"),
        (Till::PayPal, "300", "JPY", "900"),
    ] {
        let body = json!({"name": till.word(), "connections": {"till": till.word()},
            "answers": {"item": "Tea", "price": price, "currency": currency}});
        let started = start(server, "order_form", body).await;
        let application = started["link_name"].as_str().unwrap().to_owned();
        let records = format!("/v1/applications/{application}/forms/orders/records?environment=development");
        let data = json!({"data": {"name": "Ada", "email": "ada@acme.example", "quantity": 3}});
        let record = server.post(&records, data).await.expect(201);
        let checkout = until("a checkout", async || {
            let all = server.get(&format!("/v1/applications/{application}/payments")).await.expect(200);
            let id = all["items"][0]["checkout"].as_str()?.to_owned();
            (all["items"][0]["state"] == "open").then_some(id)
        })
        .await;
        let found = shop.tills.checkouts().into_iter().find(|one| one.id == checkout).unwrap();
        assert_eq!((found.amount.as_str(), found.currency.as_str()), (amount, currency), "{till:?}");
        shop.tills.pay(&checkout).await;
        let run = over(server, &application, record["runs"][0].as_str().unwrap()).await;
        assert_eq!(run["results"]["pay"]["state"], "paid");
    }
    // An amount that its currency does not have is said before anybody is asked for it.
    for currency in ["JPY", "HUF", "TWD"] {
        let body = json!({"name": "Whole", "connections": {"till": "paypal"},
            "answers": {"item": "Tea", "price": "12.50", "currency": currency}});
        let refused = server.post("/v1/application-templates/order_form/start", body).await;
        assert_eq!(refused.fields(), ["answers.price"], "{currency}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_comes_by_mail() {
    for home in Home::both() {
        let post = MailServer::start(&json!({})).unwrap();
        let home = home
            .set("JACKFIELD_SMTP_URL", &format!("smtp://{}", post.host))
            .set("JACKFIELD_MAIL_FROM", "Jackfield <jackfield@acme.example>");
        let services = services().await;
        let server = home.start();
        let source = plugged(&server, "quickbooks", &services).await;
        let body = json!({"name": "Invoices", "connections": {"source": source},
            "answers": {"to": "ada@acme.example, lin@acme.example", "time_zone": "Europe/Berlin"}});
        let started = start(&server, "nightly_report", body).await;
        assert_eq!(components(&started), ["datasource:list", "schedule:report"]);
        let schedule = "/v1/applications/invoices/schedules/report";
        let view = server.get(schedule).await.expect(200);
        assert_eq!(view["definition"]["at"], json!({"cron": "0 5 * * *", "time_zone": "Europe/Berlin"}));
        assert_eq!(view["next"].as_array().unwrap().len(), 5, "{view}");
        let run =
            server.post(&format!("{schedule}/run?environment=development"), json!({})).await.expect(201);
        over(&server, "invoices", run["id"].as_str().unwrap()).await;
        let mail = post.next().unwrap();
        assert_eq!(mail["to"], json!(["ada@acme.example", "lin@acme.example"]));
        let text = mail["text"].as_str().unwrap().replace("=\r\n", "").replace("\r\n", "\n");
        let line = "R-2     Ada Ltd   2026-12-01      2   0.5\n";
        assert!(
            text.contains("Number  Customer  Due         Total  Open\n") && text.contains(line),
            "{text}"
        );
        // Of many, the first hundred; and how many there are.
        assert!(text.contains("R-100") && !text.contains("R-101"), "{text}");
        assert!(text.contains("100 of 120 invoices"), "{text}");

        // What it has been pulled with is known when another text is saved.
        let mut definition = view["definition"].clone();
        definition["actions"][1]["mail"]["text"] = json!("{{ rows.list|table('DocNumber', 'Numbr') }}");
        let refused = server.api("PATCH", schedule, json!({"definition": definition})).await;
        assert_eq!(refused.fields(), ["definition.actions.1.mail.text"]);
        assert!(refused.text.contains("DocNumber, DueDate"), "{}", refused.text);
        definition["actions"][1]["mail"]["text"] = json!("{{ rows.lists|length }}");
        let refused = server.api("PATCH", schedule, json!({"definition": definition})).await;
        assert_eq!(refused.fields(), ["definition.actions.1.mail.text"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_nothing_is_made() {
    let (home, services) = (Home::sqlite(), services().await);
    let server = home.start();
    let books = plugged(&server, "quickbooks", &services).await;
    let jira = plugged(&server, "jira", &services).await;
    let slack = plugged(&server, "slack", &services).await;
    let applications = async || {
        let all = server.get("/v1/applications").await.expect(200);
        all["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["link_name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let path = |template: &str| format!("/v1/application-templates/{template}/start");
    let good = json!({"tracker": jira, "chat": slack});
    let answers = json!({"project": "HELP", "channel": "C1"});
    let body = |connections: &Value, answers: &Value| json!({"name": "Help", "connections": connections, "answers": answers});
    for (sent, fields) in [
        (
            body(&json!({}), &json!({})),
            vec!["connections.tracker", "connections.chat", "answers.project", "answers.channel"],
        ),
        (
            body(&json!({"tracker": slack, "chat": "none"}), &answers),
            vec!["connections.tracker", "connections.chat"],
        ),
        (body(&json!({"tracker": jira, "chat": slack, "till": books}), &answers), vec!["connections.till"]),
        (body(&good, &json!({"project": "HELP", "channel": "{{ record.email }}"})), vec!["answers.channel"]),
        (body(&good, &json!({"project": "HELP", "channel": "C1", "colour": "red"})), vec!["answers.colour"]),
        (
            json!({"name": "", "link_name": "No", "connections": good, "answers": answers}),
            vec!["name", "link_name"],
        ),
        (json!({"name": "Help", "conections": good}), vec!["conections"]),
    ] {
        let refused = server.post(&path("ticket_form"), sent.clone()).await;
        refused.problem(422, "invalid_input");
        assert_eq!(refused.fields(), fields, "{sent}");
    }
    server.post(&path("none"), json!({"name": "x"})).await.problem(404, "not_found");
    assert_eq!(applications().await, [""; 0]);

    // A name that is taken; one that is derived goes on counting.
    let started =
        start(&server, "vendor_onboarding", json!({"name": "Help", "connections": {"books": books}})).await;
    assert_eq!(started["link_name"], "help");
    let mut sent = body(&good, &answers);
    sent["link_name"] = json!("help");
    server.post(&path("ticket_form"), sent).await.problem(409, "link_name_taken");
    let again = start(&server, "ticket_form", body(&good, &answers)).await;
    assert_eq!(again["link_name"], "help_2");
    assert_eq!(applications().await, ["help", "help_2"]);

    // The same request is carried out once.
    let once = server
        .request("POST", &path("ticket_form"))
        .header("idempotency-key", "one")
        .header("content-type", "application/json");
    let once = once.body(body(&good, &answers).to_string());
    let (first, second) = (once.try_clone().unwrap().send().await.unwrap(), once.send().await.unwrap());
    assert_eq!((first.status(), second.status()), (201.try_into().unwrap(), 201.try_into().unwrap()));
    assert_eq!(first.text().await.unwrap(), second.text().await.unwrap());
    assert_eq!(applications().await, ["help", "help_2", "help_3"]);

    // A schedule that would call with everybody's own account: said before anything is made, and what came before it is gone again.
    let grace = server.person("grace", "developer").await;
    let grace = server.as_person(&grace);
    let connection = format!("/v1/connections/{books}");
    server.api("PATCH", &connection, json!({"applications": ["help"]})).await.expect(200);
    server.api("PATCH", "/v1/organization", json!({"connections_managed_by": "admins"})).await.expect(200);
    let vendors = json!({"name": "Vendors", "connections": {"books": books}});
    let refused = grace.api("POST", &path("vendor_onboarding"), vendors.clone()).await;
    assert_eq!(refused.fields(), ["connections.books"]);
    assert!(refused.text.contains("admin"), "{}", refused.text);
    assert_eq!(server.get(&connection).await.expect(200)["applications"], json!(["help"]));
    // Who may, allows it by the way, and the connection's history says so.
    start(&server, "vendor_onboarding", vendors.clone()).await;
    assert_eq!(server.get(&connection).await.expect(200)["applications"], json!(["help", "vendors"]));
    let events = server.get(&format!("{connection}/events")).await.expect(200);
    assert!(events.to_string().contains("\"vendors\""), "{events}");

    // Who makes no applications starts none, and another organization's connections are nobody's here.
    let user = server.person("una", "user").await;
    let user = server.as_person(&user);
    user.api("POST", &path("vendor_onboarding"), vendors.clone()).await.problem(403, "forbidden");
    let seen = user.get("/v1/application-templates/vendor_onboarding").await.expect(200);
    assert!(seen["needs"][0].get("fitting").is_none(), "{seen}");
    let other = home.organization("Other");
    let other = server.with_key(&other.key);
    let refused = other.api("POST", &path("vendor_onboarding"), vendors).await;
    assert_eq!(refused.fields(), ["connections.books"]);
    assert!(refused.text.contains("There is no connection"), "{}", refused.text);
    let seen = other.get("/v1/application-templates/vendor_onboarding").await.expect(200);
    assert_eq!(seen["needs"][0]["fitting"], json!([]));
    other.get("/v1/applications/help").await.problem(404, "not_found");
}

/// What fails in the middle leaves nothing: a datasource whose connection has no primary account, after the application was written.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_the_middle_leaves_nothing() {
    for home in Home::both() {
        let services = services().await;
        let server = home.start();
        let mut own = document("quickbooks", &services);
        own["levels"] = json!(["user"]);
        let connector = server.connector(own).await;
        let new = json!({"connector": connector, "name": "Own", "level": "user", "applications": []});
        let source = server.connection(new).await;
        let body = json!({"name": "Invoices", "connections": {"source": source}, "answers": {"to": "a@acme.example"}});
        let refused = server.post("/v1/application-templates/nightly_report/start", body).await;
        refused.problem(409, "primary_account_required");
        assert_eq!(server.get("/v1/applications").await.expect(200)["items"], json!([]));
        let connection = server.get(&format!("/v1/connections/{source}")).await.expect(200);
        assert_eq!(connection["applications"], json!([]));
        let trail = server.get("/v1/audit?action=application.created").await.expect(200);
        assert_eq!(trail["items"], json!([]));
    }
}

/// By the pages: what is there is chosen, what is not there is led to, and what is wrong is said at its field.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_started_in_the_console() {
    let (home, services) = (Home::sqlite(), services().await);
    let founder = home.init();
    let server = home.serve(&founder.key);
    let visitor = Visitor::founder(&server, &founder).await;
    let (list, page) = (
        "/console/applications/new-from-template",
        "/console/applications/new-from-template/vendor_onboarding",
    );
    assert!(visitor.see("/console/applications").await.body.contains(list));
    let shown = visitor.see(list).await;
    for template in ["vendor_onboarding", "lead_form", "ticket_form", "order_form", "nightly_report"] {
        assert!(shown.body.contains(&format!("{list}/{template}")), "{template}");
        visitor.see(&format!("{list}/{template}")).await;
    }
    // Nothing to choose: how one comes to it, and no form to send.
    let shown = visitor.see(page).await;
    assert!(
        shown.body.contains("/console/connections/new/quickbooks")
            && !words(&shown).contains("Make the application")
    );
    let books = plugged(&server, "quickbooks", &services).await;
    server.api("PATCH", &format!("/v1/connections/{books}"), json!({"name": HOSTILE[0]})).await.expect(200);
    let shown = visitor.see(page).await;
    escaped(&shown, HOSTILE[0]);
    assert!(
        words(&shown).contains("When a record of Vendors is created: push to The books → Vendor → Create"),
        "{}",
        words(&shown)
    );
    visitor.refuses_forgeries(page, &[("name", "Forged"), ("connections.books", &books)]).await;
    let refused =
        visitor.post(page, &[("name", HOSTILE[1]), ("link_name", "No"), ("connections.books", "")]).await;
    assert_eq!(refused.status, 422);
    assert!(error_at(&refused, "link_name").contains("link name"), "{}", refused.body);
    assert!(
        error_at(&refused, "connections.books").contains("link name of a connection"),
        "{}",
        refused.body
    );
    assert_eq!(value_of(&refused, "name"), HOSTILE[1]);
    let made = visitor.post(page, &[("name", "Purchasing"), ("connections.books", &books)]).await;
    assert_eq!(heading(&made), "Purchasing is ready to try");
    for path in
        ["/console/fill/purchasing/vendors", "/purchasing/workflows/make_vendor", "/purchasing/publish"]
    {
        assert!(made.body.contains(path), "{path}");
    }
    // What else is asked is said at its own place.
    let tickets = format!("{list}/ticket_form");
    let (jira, slack) =
        (plugged(&server, "jira", &services).await, plugged(&server, "slack", &services).await);
    let fields = [
        ("name", "Help"),
        ("connections.tracker", jira.as_str()),
        ("connections.chat", &slack),
        ("answers.project", ""),
        ("answers.channel", "{{ x }}"),
        ("answers.issue_type", HOSTILE[0]),
    ];
    let refused = visitor.post(&tickets, &fields).await;
    assert!(error_at(&refused, "answers.project").contains("Say it"), "{}", refused.body);
    assert!(error_at(&refused, "answers.channel").contains("Leave out"), "{}", refused.body);
    escaped(&refused, HOSTILE[0]);
    // A user makes no applications.
    let user = Visitor::with_role(&server, "user").await;
    for path in [list, page] {
        assert_eq!(user.open(path).await.status, 403, "{path}");
    }
    assert!(!user.see("/console/applications").await.body.contains(list));
}
