//! The console's pages of schedules and datasources.

use jackfield_testkit::browser::Page;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, escaped, heading, news, value_of, words};
use crate::support::{Home, Server};
use crate::upstream::{Upstream, json_reply, key, keyed};
use crate::world::until;

const ROOM: &str = "/console/applications/reports";

async fn press(page: &Page, button: &str, fields: &[(&str, &str)]) -> Page {
    page.submit(button, fields).await.unwrap_or_else(|error| panic!("{error}: {}", page.body))
}

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
        words(&page).contains("3 rows").then_some(page)
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
    let file = admin.open(&format!("{at}/rows.csv")).await;
    assert!(file.status == 200 && file.body.starts_with("key,"), "{}", file.body);
    let page = admin.see(&format!("{at}/delete")).await;
    let page = press(&page, "Delete the datasource", &[("confirm", "things")]).await;
    assert!(news(&page).contains("is deleted"), "{}", page.body);
}
