//! Forms and workflows built by clicking, as an admin does: field by field, action by action, without a script.

use jackfield_testkit::browser::Page;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, escaped, follow, heading, news, press, value_of, words};
use crate::support::{Home, Server};
use crate::upstream::{Upstream, key, keyed, reply};

const ROOM: &str = "/console/applications/purchasing";
const FORM: &str = "/console/applications/purchasing/forms/vendors";

async fn definition(server: &Server, what: &str) -> Value {
    server.get(&format!("/v1/applications/purchasing/{what}")).await.expect(200)["definition"].clone()
}

/// The only running thing here that is not Jackfield: it says yes to everything.
async fn service() -> Upstream {
    Upstream::answering(|_| {
        let json = [("content-type", "application/json")];
        reply(201, &json, json!({"id": "7"}).to_string())
    })
    .await
}

/// A connection to it, whose service makes vendors.
async fn books(server: &Server, upstream: &Upstream) -> String {
    let mut document = keyed("Books", &upstream.url, &[&upstream.host()]);
    document["modules"] = json!({"vendor": {"label": "Vendor", "fields": [
        {"name": "DisplayName", "label": HOSTILE[1], "required": true, "help": HOSTILE[3]},
        {"name": "PrimaryEmail", "label": "E-mail", "type": "email"},
        {"name": "Balance", "type": "number"},
        {"name": "Active", "type": "boolean"},
    ], "operations": {"create": {"label": "Create", "method": "POST", "path": "/vendors", "result": "/id"}}}});
    let connector = server.connector(document).await;
    let link = server.connection(json!({"connector": connector, "name": HOSTILE[0]})).await;
    let path = format!("/v1/connections/{link}/authorizations");
    server.post(&path, json!({"credentials": key()})).await.expect(201);
    link
}

/// An application with a form of vendors, the connection to the service that makes them, and whoever founded the place.
struct Shop {
    upstream: Upstream,
    connection: String,
    admin: Visitor,
    server: Server,
    _home: Home,
}

async fn shop(form: &Value) -> Shop {
    let upstream = service().await;
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connection = books(&server, &upstream).await;
    server.application("Purchasing").await;
    let form =
        json!({"name": form["name"], "link_name": "vendors", "definition": {"fields": form["fields"]}});
    server.post("/v1/applications/purchasing/forms", form).await.expect(201);
    let admin = Visitor::founder(&server, &founder).await;
    Shop { upstream, connection, admin, server, _home: home }
}

/// An action that sends a mail.
fn tell(subject: &str, text: &str) -> Value {
    json!({"name": "tell", "mail": {"to": ["a@b.example"], "subject": subject, "text": text}})
}

/// From what a new action is to what it sends: which connection, which operation of which module.
async fn to_the_values(page: &Page) -> Page {
    assert_eq!(heading(page), "Push through which connection?");
    escaped(page, HOSTILE[0]);
    let page = follow(page, HOSTILE[0]).await;
    assert_eq!(heading(&page), "What is done there?");
    let page = follow(&page, "Create").await;
    assert_eq!(heading(&page), "Push to a service");
    escaped(&page, HOSTILE[1]);
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_built_field_by_field() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    server.application("Purchasing").await;
    let admin = Visitor::founder(&server, &founder).await;

    // Begun with what is asked first.
    let page = admin.see(&format!("{ROOM}/forms/new-form")).await;
    let wrong = press(&page, "Make the form", &[("name", HOSTILE[0])]).await;
    assert_eq!(wrong.status, 422);
    assert!(error_at(&wrong, "first").contains("Say what is asked first"), "{}", wrong.body);
    assert_eq!(value_of(&wrong, "name"), HOSTILE[0]);
    let page =
        press(&wrong, "Make the form", &[("name", "Vendors"), ("first", "Vendor name"), ("with", "email")])
            .await;
    assert_eq!((page.url.path(), heading(&page)), (FORM, "Vendors".into()));
    let form = definition(&server, "forms/vendors").await;
    assert_eq!(
        form["fields"][0],
        json!({"name": "vendor_name", "label": "Vendor name", "type": "single_line"})
    );
    assert_eq!(form["fields"][1]["type"], "email");

    // Changed; what is wrong stands at its input, with what was typed.
    let page = follow(&page, "Vendor name").await;
    assert_eq!((heading(&page), value_of(&page, "label")), ("Vendor name".into(), "Vendor name".into()));
    let wrong = press(&page, "Save", &[("help", HOSTILE[0]), ("pattern", "("), ("min_length", "x")]).await;
    assert_eq!(wrong.status, 422);
    assert!(error_at(&wrong, "min_length").contains("whole number"), "{}", wrong.body);
    let wrong = press(&wrong, "Save", &[("min_length", "2")]).await;
    assert!(error_at(&wrong, "pattern").contains("regular expression"), "{}", wrong.body);
    assert_eq!((value_of(&wrong, "help"), value_of(&wrong, "min_length")), (HOSTILE[0].into(), "2".into()));
    escaped(&wrong, HOSTILE[0]);
    let page = press(&wrong, "Save", &[("pattern", ""), ("required", "on"), ("unique", "on")]).await;
    assert!(news(&page).contains("Saved as version 2"), "{}", page.body);
    escaped(&page, HOSTILE[0]);
    let form = definition(&server, "forms/vendors").await;
    let expected = json!({"name": "vendor_name", "label": "Vendor name", "type": "single_line", "help": HOSTILE[0],
        "required": true, "unique": true, "min_length": 2});
    assert_eq!(form["fields"][0], expected);

    // A choice, and a field that is shown only where it is such.
    let page = follow(&page, "Choice from a list").await;
    let wrong = press(&page, "Add the field", &[("label", "Kind")]).await;
    assert!(error_at(&wrong, "choices").contains("List what can be chosen"), "{}", wrong.body);
    let page = press(&wrong, "Add the field", &[("choices", "c | Company\r\nPerson")]).await;
    let page = follow(&page, "Whole number").await;
    let fields = [
        ("label", "Employees"),
        ("min", "1"),
        ("visible_if.field", "kind"),
        ("visible_if.how", "is"),
        ("visible_if.value", "Firm"),
    ];
    let wrong = press(&page, "Add the field", &fields).await;
    assert!(error_at(&wrong, "visible_if.value").contains("can be chosen"), "{}", wrong.body);
    assert_eq!(value_of(&wrong, "visible_if.value"), "Firm");
    let page = press(&wrong, "Add the field", &[("visible_if.value", "Company")]).await;
    assert!(words(&page).contains("Only if Kind is Company"), "{}", words(&page));
    let form = definition(&server, "forms/vendors").await;
    assert_eq!(form["fields"][3]["visible_if"], json!({"field": "kind", "is": ["c"]}));

    // Moved; what hangs on another stays behind it.
    let moved =
        admin.post(&format!("{FORM}/fields/e_mail_address/move"), &[("to", "up"), ("version", "4")]).await;
    assert!(news(&moved).contains("Saved as version 5"), "{}", moved.body);
    let refused =
        admin.post(&format!("{FORM}/fields/employees/move"), &[("to", "up"), ("version", "5")]).await;
    assert_eq!(refused.status, 422);
    assert!(
        words(&refused).contains("Employees is shown only where a field before it says so"),
        "{}",
        words(&refused)
    );

    // Somebody else was faster: what was typed stays, and the rest is as they saved it.
    let mine = admin.see(&format!("{FORM}/fields/kind")).await;
    let theirs = admin.see(&format!("{FORM}/settings")).await;
    let theirs = press(
        &theirs,
        "Save",
        &[("thanks", "Thanks."), ("access", "public"), ("embed_origins", "https://www.example")],
    )
    .await;
    assert!(words(&theirs).contains("everybody who has the link"), "{}", words(&theirs));
    let stale = press(&mine, "Save", &[("label", "Sort")]).await;
    assert_eq!(stale.status, 409);
    assert!(words(&stale).contains("Somebody else changed it meanwhile"), "{}", words(&stale));
    assert_eq!(value_of(&stale, "label"), "Sort");
    let page = press(&stale, "Save", &[]).await;
    let form = definition(&server, "forms/vendors").await;
    assert_eq!((&form["thanks"], &form["fields"][2]["label"]), (&json!("Thanks."), &json!("Sort")));
    assert!(words(&page).contains("Only if Sort is Company"), "{}", words(&page));
    let settings = follow(&page, "Change").await;
    let wrong = press(&settings, "Save", &[("embed_origins", "ftp://x")]).await;
    assert!(error_at(&wrong, "embed_origins").contains("An origin is https://"), "{}", wrong.body);

    // Removed, after what follows was said.
    let actions = [tell("{{ record.kind }}", "x")];
    let workflow =
        json!({"name": "Tell", "definition": {"form": "vendors", "on": "created", "actions": actions}});
    server.post("/v1/applications/purchasing/workflows", workflow).await.expect(201);
    let page = admin.see(&format!("{FORM}/fields/kind/remove")).await;
    assert!(words(&page).contains("1 workflow uses it") && words(&page).contains("Tell"), "{}", words(&page));
    assert!(words(&page).contains("Employees is shown always"), "{}", words(&page));
    let page = press(&page, "Remove the field", &[]).await;
    assert!(news(&page).contains("The workflow Tell does not fit it any more"), "{}", page.body);
    let workflow = admin.see(&format!("{ROOM}/workflows/tell")).await;
    assert!(words(&workflow).contains("This does not fit any more"), "{}", words(&workflow));
    assert_eq!(admin.open(&format!("{FORM}/fields/kind")).await.status, 404);

    // The document stays within reach.
    let page = follow(&page, "Edit as a document").await;
    assert!(value_of(&page, "definition").contains("vendor_name"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_built_part_by_part() {
    let form = json!({"name": HOSTILE[0], "fields": [
        {"name": "vendor_name", "label": "Vendor name", "required": true, "unique": true},
        {"name": "mail", "label": HOSTILE[2], "type": "email"},
        {"name": "home", "type": "address"},
    ]});
    let Shop { upstream, connection, admin, server, _home } = shop(&form).await;

    // When.
    let page = admin.see(&format!("{ROOM}/workflows/new-workflow")).await;
    let wrong = press(&page, "Continue", &[("condition", "record.none")]).await;
    assert_eq!(wrong.status, 422);
    assert!(
        !error_at(&wrong, "name").is_empty() && error_at(&wrong, "condition").contains("record.none"),
        "{}",
        wrong.body
    );
    let fields = [("name", HOSTILE[1]), ("link_name", "push"), ("condition", "record.vendor_name != 'x'")];
    // What.
    let page = to_the_values(&press(&wrong, "Continue", &fields).await).await;
    escaped(&page, HOSTILE[2]);
    escaped(&page, HOSTILE[3]);

    // The values: what is alike is proposed, and said to be.
    assert_eq!(value_of(&page, "map.0.from"), "field:vendor_name");
    assert_eq!(value_of(&page, "map.1.from"), "field:mail");
    assert!(words(&page).contains("2 sources are proposed"), "{}", words(&page));
    let fields = [("map.0.from", "field:home"), ("map.2.from", "value"), ("map.2.what", HOSTILE[0])];
    let wrong = press(&page, "Make the workflow", &fields).await;
    assert_eq!(wrong.status, 422);
    let said = words(&wrong);
    assert!(said.contains("\"home\" is something else") && said.contains("must be a number"), "{said}");
    assert_eq!(
        (value_of(&wrong, "map.0.from"), value_of(&wrong, "map.2.what")),
        ("field:home".into(), HOSTILE[0].into())
    );
    escaped(&wrong, HOSTILE[0]);
    let fields =
        [("map.0.from", "text"), ("map.0.what", "No. {{ record.vendor_name }}"), ("map.2.what", "5")];
    let page = press(&wrong, "Make the workflow", &fields).await;
    assert_eq!(
        (page.url.path(), heading(&page)),
        ("/console/applications/purchasing/workflows/push", HOSTILE[1].into())
    );
    let made = definition(&server, "workflows/push").await;
    let expected = json!({"form": "vendors", "on": "created", "condition": "record.vendor_name != 'x'", "enabled": true, "actions": [
        {"name": "push", "integration": {"connection": connection, "module": "vendor", "operation": "create", "mapping": {
            "DisplayName": {"text": "No. {{ record.vendor_name }}"}, "PrimaryEmail": {"field": "mail"}, "Balance": {"value": 5}}}}]});
    assert_eq!(made, expected);
    for hostile in &HOSTILE[..3] {
        escaped(&page, hostile);
    }

    // Another action, in the order that is chosen.
    let page = follow(&page, "Add an action").await;
    let page = follow(&page, "Send a mail").await;
    let wrong = press(
        &page,
        "Add the action",
        &[("mail.to", "{{ nobody.email }}"), ("mail.subject", HOSTILE[0]), ("mail.text", "T")],
    )
    .await;
    assert_eq!(wrong.status, 422);
    assert!(error_at(&wrong, "mail.to").contains("nobody.email"), "{}", wrong.body);
    assert_eq!(value_of(&wrong, "mail.subject"), HOSTILE[0]);
    let fields = [
        ("mail.to", "a@b.example\r\n{{ submitter.email }}"),
        ("condition", "results.push.id"),
        ("on_failure", "continue"),
    ];
    let page = press(&wrong, "Add the action", &fields).await;
    assert!(
        words(&page).contains("If it fails for good, what follows is done all the same"),
        "{}",
        words(&page)
    );
    let made = definition(&server, "workflows/push").await;
    assert_eq!(made["actions"][1]["mail"]["to"], json!(["a@b.example", "{{ submitter.email }}"]));
    // What needs another stays behind it.
    let at = format!("{ROOM}/workflows/push/actions");
    let refused = admin.post(&format!("{at}/mail/move"), &[("to", "up"), ("version", "2")]).await;
    assert_eq!(refused.status, 422);
    let refused = admin.post(&format!("{at}/push/remove"), &[("version", "2")]).await;
    assert_eq!(refused.status, 422);

    // Changed: what was not touched stays as it was.
    let page = admin.see(&format!("{at}/push")).await;
    assert_eq!(value_of(&page, "map.0.what"), "No. {{ record.vendor_name }}");
    let stale = page.clone();
    let page = press(&page, "Save", &[("map.1.from", "")]).await;
    assert!(news(&page).contains("Saved as version 3"), "{}", page.body);
    let made = definition(&server, "workflows/push").await;
    let expected = json!({"DisplayName": {"text": "No. {{ record.vendor_name }}"}, "Balance": {"value": 5}});
    assert_eq!(made["actions"][0]["integration"]["mapping"], expected);
    let stale = press(&stale, "Save", &[("map.0.what", "Mine")]).await;
    assert_eq!(stale.status, 409);
    assert_eq!(value_of(&stale, "map.0.what"), "Mine");
    assert!(words(&stale).contains("Somebody else changed it meanwhile"), "{}", words(&stale));

    // What it would do, for values that are typed: nothing goes out.
    let before = upstream.seen().len();
    let trial = admin.see(&format!("{ROOM}/workflows/push/try")).await;
    let wrong = press(&trial, "Try these values", &[]).await;
    assert!(!error_at(&wrong, "data.vendor_name").is_empty(), "{}", wrong.body);
    let tried = press(&wrong, "Try these values", &[("data.vendor_name", HOSTILE[0])]).await;
    let said = words(&tried);
    assert!(
        said.contains("This would be done") && said.contains("\"DisplayName\": \"No. \\\"><script>"),
        "{said}"
    );
    assert!(said.contains("a@b.example"), "{said}");
    assert!(!tried.body.contains("s3cret-key") && !tried.body.contains("<script>alert"), "{}", tried.body);
    let tried = press(&tried, "Try these values", &[("data.vendor_name", "x")]).await;
    assert!(words(&tried).contains("Nothing would be done"), "{}", words(&tried));
    let record = json!({"data": {"vendor_name": "x", "mail": "m@x.example"}});
    let path = "/v1/applications/purchasing/forms/vendors/records?environment=development";
    let record = server.post(path, record).await.expect(201);
    let id = record["id"].as_str().unwrap();
    let tried = admin.see(&format!("{ROOM}/workflows/push/try?record={id}")).await;
    assert!(words(&tried).contains("Nothing would be done"), "{}", words(&tried));
    assert_eq!(upstream.seen().len(), before);

    // What sets it off; what does not fit is said.
    let page = follow(&page, "Change when it runs").await;
    let wrong = press(&page, "Save", &[("condition", "record.")]).await;
    assert!(!error_at(&wrong, "condition").is_empty(), "{}", wrong.body);
    let page = press(&wrong, "Save", &[("condition", ""), ("on", "deleted"), ("name", "Push")]).await;
    assert_eq!(heading(&page), "Push");
    assert!(words(&page).contains("is deleted"), "{}", words(&page));
    let page = follow(&page, "Remove mail").await;
    let page = press(&page, "Remove the action", &[]).await;
    assert_eq!(definition(&server, "workflows/push").await["actions"].as_array().unwrap().len(), 1);
    let refused = admin.post(&format!("{at}/push/remove"), &[("version", "5")]).await;
    assert_eq!(refused.status, 409);
    let page = follow(&page, "Edit as a document").await;
    assert!(value_of(&page, "definition").contains("DisplayName"), "{}", page.body);

    // Where components are listed it is called by its name, and what is offered works.
    let components = admin.see(&format!("{ROOM}/components")).await;
    assert!(words(&components).contains("Workflow Push"), "{}", words(&components));
    assert!(
        components.forms().iter().all(|form| !form.action.ends_with("/components")),
        "{}",
        components.body
    );
    let delete = follow(&components, "Delete… Push").await;
    assert_eq!(heading(&delete), "Delete Push?");
    let edit = admin.see(&format!("{ROOM}?component=workflow:push")).await;
    assert!(words(&edit).contains("What the workflow Push uses"), "{}", words(&edit));
    let usage = admin.see(&format!("/console/connections/{connection}/usage")).await;
    assert!(words(&usage).contains("workflow Push"), "{}", words(&usage));
    let history = admin.see(&format!("/console/connections/{connection}/history")).await;
    assert!(!words(&history).contains("mem_"), "{}", words(&history));

    // A record that changes itself, and a call.
    let page = admin.see(&format!("{at}/new-action?kind=update_record")).await;
    let page =
        press(&page, "Add the action", &[("map.1.from", "expression"), ("map.1.what", "results.push.id")])
            .await;
    let page = follow(&page, "Add an action").await;
    let page = follow(&page, "Call a service").await;
    let wrong = press(&page, "Add the action", &[("invoke.url", "/x"), ("invoke.body", "{")]).await;
    assert!(error_at(&wrong, "invoke.body").contains("not JSON"), "{}", wrong.body);
    let fields =
        [("invoke.connection", connection.as_str()), ("invoke.method", "PUT"), ("invoke.body", "{\"a\": 1}")];
    press(&wrong, "Add the action", &fields).await;
    let made = definition(&server, "workflows/push").await;
    assert_eq!(
        made["actions"][1]["update_record"]["set"],
        json!({"mail": {"expression": "results.push.id"}})
    );
    assert_eq!(
        made["actions"][2]["invoke"],
        json!({"connection": connection, "method": "PUT", "url": "/x", "body": {"a": 1}})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_built_part_by_part() {
    let form = json!({"name": HOSTILE[2], "fields": [{"name": "vendor_name", "unique": true}]});
    let Shop { upstream: _upstream, connection, admin, server, _home } = shop(&form).await;

    // When. What is wrong stands at its input, and what was typed stays; payments and records are for workflows.
    let page = follow(&admin.see(&format!("{ROOM}/schedules")).await, "Make a schedule").await;
    for absent in ["value=\"payment\"", "value=\"update_record\""] {
        assert!(!page.body.contains(absent), "{}", page.body);
    }
    let wrong = press(
        &page,
        "Continue",
        &[("at.time_zone", "Mars/Olympus"), ("grace_minutes", "x"), ("kind", "integration")],
    )
    .await;
    assert_eq!(wrong.status, 422);
    assert!(error_at(&wrong, "grace_minutes").contains("whole number"), "{}", wrong.body);
    let wrong = press(&wrong, "Continue", &[("grace_minutes", "7")]).await;
    assert!(
        !error_at(&wrong, "at.time_zone").is_empty() && !error_at(&wrong, "name").is_empty(),
        "{}",
        wrong.body
    );
    let fields =
        [("name", HOSTILE[1]), ("link_name", "nightly"), ("at.time_zone", "UTC"), ("overlap", "queue")];
    // What: the steps and the table are those of a workflow; there is no record to take anything from.
    let page = to_the_values(&press(&wrong, "Continue", &fields).await).await;
    assert!(!page.body.contains("value=\"field:") && page.body.contains("From a record"), "{}", page.body);
    assert!(!page.body.contains("record.name"), "{}", page.body);
    let fields = [("map.0.from", "text"), ("map.0.what", "{{ record.vendor_name }}")];
    let wrong = press(&page, "Make the schedule", &fields).await;
    assert_eq!(wrong.status, 422);
    assert!(words(&wrong).contains("There is no \"record.vendor_name\" here"), "{}", words(&wrong));
    assert_eq!(value_of(&wrong, "map.0.what"), "{{ record.vendor_name }}");
    let page = press(&wrong, "Make the schedule", &[("map.0.what", "Of {{ date }}")]).await;
    assert_eq!(
        (page.url.path(), heading(&page)),
        ("/console/applications/purchasing/schedules/nightly", HOSTILE[1].into())
    );
    let at_six = json!({"cron": "0 6 * * 1-5", "time_zone": "UTC"});
    let push = json!({"name": "push", "integration": {"connection": connection, "module": "vendor", "operation": "create",
        "mapping": {"DisplayName": {"text": "Of {{ date }}"}}}});
    let expected = json!({"at": at_six, "overlap": "queue", "misfire": "once", "grace_minutes": 7, "enabled": true, "actions": [push]});
    assert_eq!(definition(&server, "schedules/nightly").await, expected);
    escaped(&page, HOSTILE[0]);

    // Every other kind that a schedule can have.
    let page = follow(&page, "Add an action").await;
    assert!(!words(&page).contains("Ask for a payment"), "{}", words(&page));
    let page = follow(&page, "Send a mail").await;
    assert!(!page.body.contains("submitter"), "{}", page.body);
    let wrong = press(
        &page,
        "Add the action",
        &[("mail.to", "{{ submitter.email }}"), ("mail.subject", HOSTILE[0]), ("mail.text", "T {{ date }}")],
    )
    .await;
    assert!(wrong.status == 422 && error_at(&wrong, "mail.to").contains("submitter.email"), "{}", wrong.body);
    let page = press(
        &wrong,
        "Add the action",
        &[("mail.to", "a@b.example"), ("condition", "results.push.id"), ("on_failure", "continue")],
    )
    .await;
    assert!(
        words(&page).contains("If it fails for good, what follows is done all the same"),
        "{}",
        words(&page)
    );
    escaped(&page, HOSTILE[0]);
    let at = format!("{ROOM}/schedules/nightly/actions");
    let page = admin.see(&format!("{at}/new-action?kind=invoke")).await;
    let fields = [("invoke.connection", connection.as_str()), ("invoke.method", "GET"), ("invoke.url", "/x")];
    press(&page, "Add the action", &fields).await;
    let page = admin.see(&format!("{at}/new-action?kind=webhook")).await;
    let fields = [("webhook.url", "https://a.example/x"), ("webhook.body", "{\"day\": \"{{ date }}\"}")];
    press(&page, "Add the action", &fields).await;
    let page = admin.see(&format!("{at}/new-action?kind=pull")).await;
    let wrong = press(&page, "Add the action", &[("pull.datasource", "none")]).await;
    assert!(error_at(&wrong, "pull.datasource").contains("no datasource"), "{}", wrong.body);
    // What it cannot have is not asked for, and is refused where somebody sends it all the same.
    for kind in ["payment", "update_record"] {
        let page = admin.see(&format!("{at}/new-action?kind={kind}")).await;
        assert_eq!(heading(&page), "Add an action");
        let refused = admin.post(&format!("{at}/new-action?kind={kind}"), &[("version", "4")]).await;
        assert!(refused.status == 422 || heading(&refused) == "Add an action", "{}", refused.body);
    }
    let made = definition(&server, "schedules/nightly").await;
    assert_eq!(made["actions"][0], push);
    assert_eq!(
        made["actions"][1],
        json!({"name": "mail", "condition": "results.push.id", "on_failure": "continue",
            "mail": {"to": ["a@b.example"], "subject": HOSTILE[0], "text": "T {{ date }}"}})
    );
    assert_eq!(made["actions"][2]["invoke"]["url"], "/x");
    assert_eq!(made["actions"][3]["webhook"]["body"], json!({"day": "{{ date }}"}));
    assert_eq!(made["actions"].as_array().unwrap().len(), 4);

    // Changed, moved and taken out; when it runs stays as it was, and what it does stays when that is changed.
    let page = admin.see(&format!("{at}/push")).await;
    let stale = page.clone();
    let page = press(&page, "Save", &[("map.1.from", "value"), ("map.1.what", "m@x.example")]).await;
    assert!(news(&page).contains("Saved as version 5"), "{}", page.body);
    let stale = press(&stale, "Save", &[("map.0.what", "Mine")]).await;
    assert!(stale.status == 409 && value_of(&stale, "map.0.what") == "Mine", "{}", stale.body);
    let refused = admin.post(&format!("{at}/push/remove"), &[("version", "5")]).await;
    assert_eq!(refused.status, 422, "a later one needs it");
    admin.post(&format!("{at}/tell/move"), &[("to", "up"), ("version", "5")]).await;
    let page = follow(&admin.see(&format!("{ROOM}/schedules/nightly")).await, "Remove mail").await;
    press(&page, "Remove the action", &[]).await;
    let page = follow(&admin.see(&format!("{ROOM}/schedules/nightly")).await, "Change when it runs").await;
    let page = press(&page, "Save", &[("at.cron", "0 7 * * *"), ("name", "Nightly")]).await;
    assert_eq!(heading(&page), "Nightly");
    let made = definition(&server, "schedules/nightly").await;
    let names: Vec<&str> =
        made["actions"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["push", "tell", "call"]);
    assert_eq!(made["actions"][0]["integration"]["mapping"]["PrimaryEmail"], json!({"value": "m@x.example"}));
    assert_eq!((&made["at"]["cron"], &made["overlap"]), (&json!("0 7 * * *"), &json!("queue")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_build_is_refused_and_forms_of_others_do_nothing() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    server.application("Purchasing").await;
    let form = json!({"name": "Vendors", "definition": {"fields": [{"name": "a"}, {"name": "b"}]}});
    server.post("/v1/applications/purchasing/forms", form).await.expect(201);
    let actions = [tell("s", "t")];
    let workflow =
        json!({"name": "Tell", "definition": {"form": "vendors", "on": "created", "actions": actions}});
    server.post("/v1/applications/purchasing/workflows", workflow).await.expect(201);
    let schedule = json!({"name": "Daily", "definition": {"at": {"every": "1d"}, "actions": actions}});
    server.post("/v1/applications/purchasing/schedules", schedule).await.expect(201);
    let admin = Visitor::founder(&server, &founder).await;
    let mail = || vec![("mail.to", "a@b.example"), ("mail.subject", "x"), ("mail.text", "t")];
    let writes: [(&str, Vec<(&str, &str)>); 18] = [
        ("forms/new-form", vec![("name", "F"), ("first", "A")]),
        ("forms/vendors/settings", vec![("name", "F")]),
        ("forms/vendors/fields/new-field", vec![("label", "C")]),
        ("forms/vendors/fields/a", vec![("label", "C")]),
        ("forms/vendors/fields/a/move", vec![("to", "down")]),
        ("forms/vendors/fields/a/remove", vec![]),
        ("workflows/new-action?name=W&form=vendors&on=created&kind=mail", mail()),
        ("workflows/tell/try", vec![("data.a", "x")]),
        ("workflows/tell/when", vec![("name", "W"), ("form", "vendors"), ("on", "deleted")]),
        ("workflows/tell/actions/new-action?kind=mail", mail()),
        ("workflows/tell/actions/tell", mail()),
        ("workflows/tell/actions/tell/remove", vec![]),
        ("schedules/new-fields", vec![("name", "S"), ("at.every", "1h"), ("kind", "mail")]),
        ("schedules/new-action?name=S&at.every=1h&kind=mail", mail()),
        ("schedules/daily/actions/new-action?kind=mail", mail()),
        ("schedules/daily/actions/tell", mail()),
        ("schedules/daily/actions/tell/move", vec![("to", "down")]),
        ("schedules/daily/actions/tell/remove", vec![]),
    ];
    let user = Visitor::with_role(&server, "user").await;
    let all = async || {
        let mut all = Vec::new();
        for one in ["forms/vendors", "workflows/tell", "schedules/daily"] {
            all.push(definition(&server, one).await);
        }
        all
    };
    let before = all().await;
    for (place, fields) in &writes {
        let path = format!("{ROOM}/{place}");
        admin.refuses_forgeries(&path, fields).await;
        let answer = user.post(&path, fields).await;
        assert!([403, 404].contains(&answer.status), "{place}: {}", answer.status);
        if !place.contains("/move") {
            let page = user.open(&path).await;
            assert!([403, 404].contains(&page.status), "{place}: {}", page.status);
        }
    }
    assert_eq!(before, all().await);
    let forms = server.get("/v1/applications/purchasing/forms").await.expect(200);
    assert_eq!(forms["items"].as_array().unwrap().len(), 1);
    let schedules = server.get("/v1/applications/purchasing/schedules").await.expect(200);
    assert_eq!(schedules["items"].as_array().unwrap().len(), 1);
}
