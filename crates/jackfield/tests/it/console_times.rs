//! The console's pages of schedules and datasources.

use jackfield_testkit::browser::Page;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, escaped, heading, news, press, value_of, words};
use crate::support::{Home, Server};
use crate::upstream::{Upstream, json_reply, key, keyed};
use crate::world::until;

const ROOM: &str = "/console/applications/reports";

/// A service that lists things in hostile words.
async fn service(server: &Server) -> (Upstream, String) {
    let upstream = Upstream::answering(|_| {
        let things = [
            json!({"id": 1, "name": HOSTILE[0], "price": 2.5}),
            json!({"id": 2, "name": "Plain", "price": 10}),
            json!({"id": 3, "name": HOSTILE[1], "price": null}),
        ];
        json_reply(&json!({"items": things, "total": 3}))
    })
    .await;
    let mut document = keyed("Shelf", &upstream.url, &[&upstream.host()]);
    document["modules"] = json!({"thing": {"operations": {"list": {"path": "/things", "items": "/items"}}}});
    let connector = server.connector(document).await;
    let connection = server.connection(json!({"connector": connector, "name": "Shelf"})).await;
    let path = format!("/v1/connections/{connection}/authorizations");
    server.post(&path, json!({"credentials": key()})).await.expect(201);
    (upstream, connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_written_read_run_and_switched_off() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let (_upstream, connection) = service(&server).await;
    server.application("Reports").await;
    let admin = Visitor::founder(&server, &founder).await;
    admin.post("/console/view", &[("environment", "development"), ("back", "/console")]).await;
    let none = admin.see(&format!("{ROOM}/schedules")).await;
    assert!(words(&none).contains("No schedule here yet"), "{}", words(&none));

    let page = admin.see(&format!("{ROOM}/schedules/new-schedule")).await;
    assert!(value_of(&page, "definition").contains("Europe/Berlin"), "{}", page.body);
    let look = json!({"name": "look", "invoke": {"connection": connection, "method": "GET", "url": "/things", "query": {"day": "{{ date }}"}}});
    let wrong =
        json!({"at": {"cron": "0 6 * * 1-5", "time_zone": "Mars/Olympus"}, "actions": [look]}).to_string();
    let wrong = press(&page, "Make the schedule", &[("name", "Nightly"), ("definition", &wrong)]).await;
    assert_eq!(wrong.status, 422);
    assert!(words(&wrong).contains("definition.at.time_zone:"), "{}", words(&wrong));
    let text =
        json!({"at": {"cron": "0 6 * * 1-5", "time_zone": "Europe/Berlin"}, "actions": [look]}).to_string();
    let page = press(&wrong, "Make the schedule", &[("definition", text.as_str())]).await;
    assert_eq!(heading(&page), "Nightly");
    let said = words(&page);
    assert!(said.contains("06:00") && said.contains("Europe/Berlin time"), "{said}");
    assert_eq!(page.body.matches("<table class=\"calendar\">").count(), 2, "{}", page.body);
    assert!(page.body.contains("class=\"runs\""), "{}", page.body);
    let list = admin.see(&format!("{ROOM}/schedules")).await;
    assert!(words(&list).contains("call Shelf with GET /things"), "{}", words(&list));

    // Field by field: what it does stays as it was.
    let fields = admin.see(&format!("{ROOM}/schedules/nightly/fields")).await;
    assert_eq!(value_of(&fields, "at.cron"), "0 6 * * 1-5");
    let wrong = press(&fields, "Save", &[("at.time_zone", "Mars/Olympus"), ("overlap", "queue")]).await;
    assert!(wrong.status == 422 && !error_at(&wrong, "at.time_zone").is_empty(), "{}", wrong.body);
    let page = press(&wrong, "Save", &[("at.time_zone", "Europe/Berlin"), ("grace_minutes", "7")]).await;
    assert!(news(&page).contains("Saved as version 2"), "{}", page.body);
    let kept = server.get("/v1/applications/reports/schedules/nightly").await.expect(200);
    let definition = &kept["definition"];
    assert_eq!((&definition["overlap"], &definition["grace_minutes"]), (&json!("queue"), &json!(7)));
    assert_eq!(
        (&definition["actions"][0]["invoke"]["url"], &definition["enabled"]),
        (&json!("/things"), &json!(true))
    );
    let run = press(&page, "Run now in development", &[]).await;
    assert!(words(&run).contains("It runs because somebody asked for it"), "{}", words(&run));
    until("the run", async || {
        let page = admin.see(&format!("{ROOM}/runs")).await;
        (words(&page).contains("asked for") && words(&page).contains("Done")).then_some(())
    })
    .await;
    let page = admin.see(&format!("{ROOM}/schedules/nightly")).await;
    assert!(words(&page).contains("asked for"), "its runs stand there: {}", words(&page));
    let off = press(&page, "Switch off", &[]).await;
    assert!(news(&off).contains("It is off"), "{}", off.body);
    assert!(!off.body.contains("<table class=\"calendar\">"), "nothing comes");
    let page = admin.see(&format!("{ROOM}/schedules/nightly/delete")).await;
    let page = press(&page, "Delete the schedule", &[("confirm", "nightly")]).await;
    assert!(news(&page).contains("is deleted"), "{}", page.body);
    for part in ["schedules/none", "schedules/none/edit", "datasources/none"] {
        assert_eq!(admin.open(&format!("{ROOM}/{part}")).await.status, 404, "{part}");
    }
    // In production it is not served.
    admin.post("/console/view", &[("environment", "production"), ("back", "/console")]).await;
    let definition: Value = serde_json::from_str(&text).unwrap();
    let new = json!({"name": "Later", "definition": definition});
    server.post("/v1/applications/reports/schedules", new).await.expect(201);
    let page = admin.see(&format!("{ROOM}/schedules/later")).await;
    assert!(words(&page).contains("It is not published to production"), "{}", words(&page));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datasource_is_pulled_and_looked_through() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let (_upstream, connection) = service(&server).await;
    server.application("Reports").await;
    let admin = Visitor::founder(&server, &founder).await;
    admin.post("/console/view", &[("environment", "development"), ("back", "/console")]).await;
    let none = admin.see(&format!("{ROOM}/datasources")).await;
    assert!(words(&none).contains("No datasource here yet"), "{}", words(&none));
    let page = admin.see(&format!("{ROOM}/datasources/new-datasource")).await;
    let example = value_of(&page, "definition");
    assert!(example.contains(&format!("\"connection\": \"{connection}\"")), "{example}");
    let page = press(&page, "Make the datasource", &[("name", "Things")]).await;
    assert_eq!(heading(&page), "Things");
    assert!(words(&page).contains("Nothing was pulled there yet"), "{}", words(&page));
    let page = press(&page, "Pull now", &[]).await;
    assert!(news(&page).contains("It is pulled now"), "{}", page.body);
    let at = format!("{ROOM}/datasources/things");
    let page = until("the rows", async || {
        let page = admin.see(&at).await;
        // The pull that goes on counts its rows too, before the last look at them is kept.
        let said = words(&page);
        (said.contains("3 rows") && !said.contains("Under way")).then_some(page)
    })
    .await;
    escaped(&page, HOSTILE[0]);
    escaped(&page, HOSTILE[1]);
    assert!(words(&page).contains("Number"), "the columns stand there: {}", words(&page));
    let order = |page: &Page| {
        let mut all: Vec<(usize, &str)> = ["<code>1</code>", "<code>2</code>", "<code>3</code>"]
            .iter()
            .filter_map(|key| Some((page.body.find(key)?, *key)))
            .collect();
        all.sort_unstable();
        all.iter().map(|(_, key)| key.replace("<code>", "").replace("</code>", "")).collect::<String>()
    };
    assert_eq!(order(&page), "123");
    assert_eq!(order(&admin.see(&format!("{at}?sort=-price")).await), "213");
    assert_eq!(order(&admin.see(&format!("{at}?q=plain")).await), "2");
    assert_eq!(order(&admin.see(&format!("{at}?filter=price%3C3")).await), "1");
    let wrong = admin.open(&format!("{at}?filter=nonsense")).await;
    assert!(words(&wrong).contains("Say a column"), "{}", words(&wrong));
    assert_eq!(order(&wrong), "123");
    // Drawn, of the rows that fit; what cannot be drawn is said at its field.
    let drawn = admin.see(&format!("{at}?chart_by=name")).await;
    assert!(words(&drawn).contains("Rows by name") && drawn.body.contains("class=\"bar\""), "{}", drawn.body);
    escaped(&drawn, HOSTILE[0]);
    let sums = admin.see(&format!("{at}?chart_by=id&chart_measure=sum&chart_of=price")).await;
    let said = words(&sums);
    assert!(
        said.contains("Sum of price by id") && said.contains("1 row has no number there and is left out."),
        "{said}"
    );
    let narrowed = words(&admin.see(&format!("{at}?chart_by=id&filter=price%3C3")).await);
    assert!(!narrowed.contains("other value"), "{narrowed}");
    let wrong = admin.see(&format!("{at}?chart_by=nothing&chart_measure=sum&chart_of=neither")).await;
    assert!(error_at(&wrong, "chart_by").contains("no such column"), "{}", wrong.body);
    assert_eq!(order(&wrong), "123", "the rows are there all the same");
    // Field by field: what is wrong stands at its input, and what is not asked for stays.
    let page = admin.see(&format!("{at}/fields")).await;
    assert_eq!((value_of(&page, "module"), value_of(&page, "at.every")), ("thing".to_owned(), String::new()));
    let page = press(&page, "Save", &[("at.every", "often"), ("rows_max", "x")]).await;
    assert!(error_at(&page, "rows_max").contains("whole number"), "{}", page.body);
    let page = press(&page, "Save", &[("rows_max", "500")]).await;
    assert!(!error_at(&page, "at.every").is_empty(), "{}", page.body);
    let page = press(&page, "Save", &[("at.every", "6h"), ("name", HOSTILE[0])]).await;
    assert!(news(&page).contains("Saved as version 2"), "{}", page.body);
    escaped(&page, HOSTILE[0]);
    let kept = server.get("/v1/applications/reports/datasources/things").await.expect(200);
    assert_eq!(
        (&kept["definition"]["at"]["every"], &kept["definition"]["rows_max"]),
        (&json!("6h"), &json!(500))
    );
    let page = admin.see(&format!("{ROOM}/datasources/new-fields")).await;
    assert_eq!(value_of(&page, "operation"), "list");
    let page = press(&page, "Make the datasource", &[("name", "More"), ("operation", "none")]).await;
    assert!(!error_at(&page, "operation").is_empty(), "{}", page.body);
    let page = press(&page, "Make the datasource", &[("operation", "list")]).await;
    assert_eq!(heading(&page), "More");
    let user = Visitor::with_role(&server, "user").await;
    for path in [format!("{at}/fields"), format!("{ROOM}/datasources/new-fields")] {
        assert!([403, 404].contains(&user.open(&path).await.status), "{path}");
    }
    admin.refuses_forgeries(&format!("{at}/fields"), &[("name", "x")]).await;
    let file = admin.open(&format!("{at}/rows.csv")).await;
    assert!(file.status == 200 && file.body.starts_with("key,"), "{}", file.body);
    let page = admin.see(&format!("{at}/delete")).await;
    let page = press(&page, "Delete the datasource", &[("confirm", "things")]).await;
    assert!(news(&page).contains("is deleted"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_of_a_workflow_has_the_rows_of_development() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let (upstream, connection) = service(&server).await;
    server.application("Reports").await;
    let room = "/v1/applications/reports";
    let form = json!({"name": "Vendors", "definition": {"fields": [{"name": "note"}]}});
    server.post(&format!("{room}/forms"), form).await.expect(201);
    let datasource = json!({"name": "Things", "definition":
        {"connection": connection, "module": "thing", "operation": "list", "key": "/id"}});
    server.post(&format!("{room}/datasources"), datasource).await.expect(201);
    let actions = json!([
        {"name": "tell", "mail": {"to": ["a@b.example"], "subject": "{{ rows.things|length }} of {{ record.note }}",
            "text": "{{ rows.things|table('name', 'price') }}"}},
        {"name": "many", "condition": "rows.things|length > 2", "mail": {"to": ["a@b.example"], "subject": "many", "text": "t"}},
    ]);
    let workflow =
        json!({"name": "Tell", "definition": {"form": "vendors", "on": "created", "actions": actions}});
    server.post(&format!("{room}/workflows"), workflow).await.expect(201);
    let admin = Visitor::founder(&server, &founder).await;
    let try_it = async || {
        let page = admin.see(&format!("{ROOM}/workflows/tell/try")).await;
        press(&page, "Try these values", &[("data.note", "them")]).await
    };

    // Nothing was pulled yet, and a trial pulls nothing.
    let page = try_it().await;
    let said = words(&page);
    assert!(said.contains("0 of them") && said.contains("Left out"), "{said}");
    assert!(upstream.take().is_empty());
    let here = json!({"environment": "development"});
    server.post(&format!("{room}/datasources/things/pull"), here).await.expect(201);
    let page = until("the rows", async || {
        let page = try_it().await;
        words(&page).contains("3 of them").then_some(page)
    })
    .await;
    let said = words(&page);
    assert!(said.contains("Plain") && said.contains("2.5") && !said.contains("Left out"), "{said}");
    escaped(&page, "<script>");
    // The rows are those that are there: a trial asks the service nothing.
    let asked = upstream.take().len();
    try_it().await;
    assert!(asked > 0 && upstream.take().is_empty());
}
