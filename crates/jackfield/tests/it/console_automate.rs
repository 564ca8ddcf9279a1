//! The console's pages of forms, records, workflows, runs and publication, as an admin and a user meet them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, escaped, heading, news, press, value_of, words};
use crate::support::{Home, PASSWORD, Server};
use crate::upstream::{Upstream, reply, to_upstream};
use crate::world::until;

const ROOM: &str = "/console/applications/purchasing";

/// A service that refuses in hostile words until it is told to work.
async fn service(works: &Arc<AtomicBool>) -> Upstream {
    let works = Arc::clone(works);
    Upstream::answering(move |_| {
        let json = [("content-type", "application/json")];
        if works.load(Ordering::SeqCst) {
            reply(201, &json, json!({"id": "7"}).to_string())
        } else {
            reply(422, &json, json!({"message": HOSTILE[0], "hint": HOSTILE[3]}).to_string())
        }
    })
    .await
}

fn vendors() -> Value {
    json!({"fields": [
        {"name": "vendor_name", "label": HOSTILE[0], "help": HOSTILE[3], "required": true, "unique": true},
        {"name": "kind", "type": "dropdown", "choices": [{"value": "c", "label": HOSTILE[1]}, {"value": "p"}]},
        {"name": "tags", "type": "multi_select", "choices": [{"value": "x"}, {"value": "y"}]},
        {"name": "agreed", "type": "checkbox"},
        {"name": "who", "type": "name"},
        {"name": "amount", "type": "decimal", "min": 1},
    ]})
}

fn keep(connection: &str) -> Value {
    json!({"form": "vendors", "on": "created", "condition": "record.vendor_name != 'quiet'", "actions": [
        {"name": "keep", "invoke": {"connection": connection, "method": "POST", "url": "/things",
            "body": {"name": "{{ record.vendor_name }}"}}}]})
}

async fn state(server: &Server, id: &str, wanted: &str) {
    until(&format!("{id} {wanted}"), async || {
        let run = server.get(&format!("/v1/applications/purchasing/runs/{id}")).await.expect(200);
        (run["state"] == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_record_from_form_to_production() {
    let works = Arc::new(AtomicBool::new(false));
    let upstream = service(&works).await;
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connection = to_upstream(&server, "Books", &upstream).await;
    server.application("Purchasing").await;
    let admin = Visitor::founder(&server, &founder).await;
    admin.post("/console/view", &[("environment", "development"), ("back", "/console")]).await;

    // What is not there says what it would be.
    for (part, said) in [
        ("forms", "No form here yet"),
        ("workflows", "Make a form first"),
        ("runs", "Nothing has run in development yet"),
        ("publish", "Nothing is in stage yet"),
    ] {
        let page = admin.see(&format!("{ROOM}/{part}")).await;
        assert!(words(&page).contains(said), "{part}: {}", words(&page));
    }

    // A form: what is wrong stands above what was typed, which stays.
    let page = admin.see(&format!("{ROOM}/forms/new-document")).await;
    assert!(value_of(&page, "definition").contains("vendor_name"), "{}", page.body);
    let typed = "{\"fields\": [{\"name\": \"a\", \"label\": \"</textarea><script>alert(1)</script>\"}, {\"name\": \"a\"}]}";
    let wrong = press(&page, "Make the form", &[("name", "Vendors"), ("definition", typed)]).await;
    assert_eq!(wrong.status, 422);
    assert!(words(&wrong).contains("definition.fields.1.name:"), "{}", words(&wrong));
    assert_eq!((value_of(&wrong, "name"), value_of(&wrong, "definition")), ("Vendors".into(), typed.into()));
    assert!(!wrong.body.contains("<script>alert"), "{}", wrong.body);
    for (typed, said) in [("{", "The document is not valid JSON"), ("[]", "must be a JSON object")] {
        let wrong = press(&wrong, "Make the form", &[("definition", typed)]).await;
        assert!(error_at(&wrong, "definition").contains(said), "{}", wrong.body);
    }
    let text = vendors().to_string();
    let page = press(&wrong, "Make the form", &[("definition", text.as_str())]).await;
    assert_eq!(
        (page.url.path(), heading(&page)),
        ("/console/applications/purchasing/forms/vendors", "Vendors".into())
    );
    escaped(&page, HOSTILE[0]);
    escaped(&page, HOSTILE[1]);
    escaped(&page, HOSTILE[3]);
    assert!(
        words(&page).contains("Required Unique") && words(&page).contains("At least 1"),
        "{}",
        words(&page)
    );
    admin.see(&format!("{ROOM}/forms")).await;

    // A workflow, with an example made of that form.
    let page = admin.see(&format!("{ROOM}/workflows/new-document")).await;
    assert!(value_of(&page, "definition").contains("\"form\": \"vendors\""), "{}", page.body);
    let mut unknown = keep(&connection);
    unknown["actions"][0]["invoke"]["connection"] = json!("no_such");
    let unknown = unknown.to_string();
    let wrong =
        press(&page, "Make the workflow", &[("name", "Keep"), ("definition", unknown.as_str())]).await;
    assert!(words(&wrong).contains("definition.actions.0.invoke.connection:"), "{}", words(&wrong));
    let text = keep(&connection).to_string();
    let page = press(&wrong, "Make the workflow", &[("definition", text.as_str())]).await;
    assert_eq!(heading(&page), "Keep");
    let list = admin.see(&format!("{ROOM}/workflows")).await;
    assert!(words(&list).contains("When a record of Vendors is created"), "{}", words(&list));
    assert!(words(&list).contains("call books with POST /things"), "{}", words(&list));
    let off = press(&page, "Switch off", &[]).await;
    assert!(news(&off).contains("It is off"), "{}", off.body);
    let on = press(&off, "Switch on", &[]).await;
    // Somebody else was faster.
    let stale = press(&page, "Switch off", &[]).await;
    assert_eq!(stale.status, 409);
    assert!(words(&on).contains("Version 3"), "{}", words(&on));

    // A record by its form.
    let page = admin.see(&format!("{ROOM}/forms/vendors/records")).await.follow("New record").await.unwrap();
    let wrong = press(&page, "Send in", &[("data.amount", "x"), ("data.who.first", HOSTILE[2])]).await;
    assert_eq!(wrong.status, 422);
    assert!(!error_at(&wrong, "data.vendor_name").is_empty() && !error_at(&wrong, "data.amount").is_empty());
    assert_eq!(value_of(&wrong, "data.who.first"), HOSTILE[2]);
    let fields = [
        ("data.vendor_name", HOSTILE[0]),
        ("data.amount", "12.5"),
        ("data.kind", "c"),
        ("data.who.first", "Ada"),
        ("data.who.last", HOSTILE[3]),
    ];
    let page = press(&wrong, "Send in", &fields).await;
    assert!(news(&page).contains("1 workflow runs on it"), "{}", page.body);
    escaped(&page, HOSTILE[0]);
    assert!(words(&page).contains(&format!("Ada {}", HOSTILE[3])), "{}", words(&page));
    let record = page.url.path().rsplit('/').next().unwrap().to_owned();
    escaped(&admin.see(&format!("{ROOM}/forms/vendors/records")).await, HOSTILE[0]);

    // Its run: failed, in the service's words.
    let runs = server.get("/v1/applications/purchasing/runs").await.expect(200);
    let run = runs["items"][0]["id"].as_str().unwrap().to_owned();
    state(&server, &run, "failed").await;
    let page = admin.see(&format!("{ROOM}/runs/{run}")).await;
    assert_eq!(heading(&page), "Keep failed");
    assert!(words(&page).contains("Nothing is tried again by itself"), "{}", words(&page));
    escaped(&page, HOSTILE[0]);
    let list = admin.see(&format!("{ROOM}/runs?state=failed&record={record}")).await;
    assert!(words(&list).contains("One run failed"), "{}", words(&list));
    escaped(&list, HOSTILE[0]);
    let none = admin.see(&format!("{ROOM}/runs?record={}", "rec_x")).await;
    assert!(words(&none).contains("None fits"), "{}", words(&none));

    // Replayed when the service works; what is done is not replayed.
    works.store(true, Ordering::SeqCst);
    let replayed = press(&list, "Replay the one that failed", &[]).await;
    assert_eq!(news(&replayed), "1 run is tried again.");
    state(&server, &run, "succeeded").await;
    let late = press(&page, "Replay", &[]).await;
    assert_eq!(late.status, 409);
    assert_eq!(heading(&late), "Keep is done");

    // Edited, and deleted after a question.
    let page =
        admin.see(&format!("{ROOM}/forms/vendors/records/{record}")).await.follow("Edit").await.unwrap();
    let page = press(&page, "Save", &[("data.vendor_name", "Acme"), ("data.tags", "y")]).await;
    assert_eq!((heading(&page), news(&page)), ("Acme".into(), "Saved.".into()));
    let path = format!("/v1/applications/purchasing/forms/vendors/records/{record}?environment=development");
    assert_eq!(server.get(&path).await.expect(200)["data"]["tags"], json!(["y"]));
    let page = page.follow("Delete…").await.unwrap();
    assert_eq!(heading(&page), "Delete Acme?");
    let page = press(&page, "Delete the record", &[]).await;
    assert_eq!(heading(&page), "Records of Vendors");
    assert_eq!(admin.open(&format!("{ROOM}/forms/vendors/records/{record}")).await.status, 404);

    // Published step by step, and rolled back.
    let page = admin.see(&format!("{ROOM}/publish")).await;
    let page = press(&page, "Publish to stage", &[("note", HOSTILE[0])]).await;
    assert_eq!(news(&page), "Stage serves release 1 from now on.");
    escaped(&page, HOSTILE[0]);
    let page = press(&page, "Publish to production", &[]).await;
    assert!(words(&page).contains("Production serves what stage has"), "{}", words(&page));
    let edit = admin.see(&format!("{ROOM}/forms/vendors/edit")).await;
    let edit = press(&edit, "Save", &[("name", "Sellers")]).await;
    assert_eq!(heading(&edit), "Sellers");
    let page = admin.see(&format!("{ROOM}/publish")).await;
    assert!(words(&page).contains("version 1 becomes 2"), "{}", words(&page));
    server.post(&format!("/v1/connections/{connection}/disable"), json!({})).await.expect(200);
    let refused = press(&page, "Publish to stage", &[("note", "kept")]).await;
    assert_eq!((refused.status, value_of(&refused, "note")), (409, "kept".into()));
    assert!(words(&refused).contains("1 thing is not ready"), "{}", words(&refused));
    let page = press(&refused, "Publish to stage", &[("anyway", "on")]).await;
    assert!(news(&page).contains("release 2"), "{}", page.body);
    server.post(&format!("/v1/connections/{connection}/enable"), json!({})).await.expect(200);
    let back = admin.see(&format!("{ROOM}/publish/1?to=stage")).await;
    assert_eq!(heading(&back), "Have stage serve release 1?");
    assert!(words(&back).contains("version 2 becomes 1"), "{}", words(&back));
    let page = press(&back, "Serve release 1 in stage", &[]).await;
    assert_eq!(news(&page), "Stage serves release 1 from now on.");
    for missing in [
        "publish/99?to=stage",
        "publish/x",
        "runs/run_x",
        "forms/none",
        "workflows/none",
        "forms/none/records",
    ] {
        assert_eq!(admin.open(&format!("{ROOM}/{missing}")).await.status, 404, "{missing}");
    }

    // A form on which a workflow runs is kept, and the name is asked for.
    let page = admin.see(&format!("{ROOM}/forms/vendors/delete")).await;
    let wrong = press(&page, "Delete the form", &[("confirm", "other")]).await;
    assert!(error_at(&wrong, "confirm").contains("not the same"), "{}", wrong.body);
    let kept = press(&wrong, "Delete the form", &[("confirm", "vendors")]).await;
    assert_eq!(kept.status, 409);
    assert!(words(&kept).contains("The workflow \"Keep\" runs on this form"), "{}", words(&kept));

    for (path, fields) in [
        ("forms/new-document", vec![("name", "F"), ("definition", "{}")]),
        ("forms/vendors/edit", vec![("name", "F")]),
        ("forms/vendors/delete", vec![("confirm", "vendors")]),
        ("forms/vendors/records/new-record", vec![("data.vendor_name", "F")]),
        ("workflows/new-document", vec![("name", "F")]),
        ("workflows/keep/enabled", vec![("enabled", "false")]),
        ("workflows/keep/delete", vec![("confirm", "keep")]),
        ("runs", vec![]),
        (&*format!("runs/{run}/replay"), vec![]),
        (&*format!("runs/{run}/cancel"), vec![]),
        ("publish", vec![("to", "stage")]),
    ] {
        admin.refuses_forgeries(&format!("{ROOM}/{path}"), &fields).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_fill_in_forms_and_see_no_more() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    server.application("Purchasing").await;
    let base = "/v1/applications/purchasing";
    let new =
        json!({"name": "Vendors", "definition": {"fields": [{"name": "vendor_name", "required": true}]}});
    server.post(&format!("{base}/forms"), new).await.expect(201);
    let uma = server.person("uma", "user").await;
    let user = Visitor::sign_in(&server, &uma.email, PASSWORD).await;
    for part in ["forms", "workflows", "runs", "publish", "forms/vendors", "forms/vendors/records/new-record"]
    {
        assert_eq!(user.open(&format!("{ROOM}/{part}")).await.status, 404, "{part}");
    }
    server.post(&format!("{base}/members"), json!({"member": uma.id})).await.expect(201);
    for (part, status) in [
        ("forms", 200),
        ("forms/vendors", 200),
        ("runs", 403),
        ("publish", 403),
        ("workflows/new-document", 403),
        ("forms/new-document", 403),
        ("forms/vendors/edit", 403),
        ("forms/vendors/delete", 403),
    ] {
        assert_eq!(user.open(&format!("{ROOM}/{part}")).await.status, status, "{part}");
    }
    for (path, fields) in [
        ("forms/new-document", vec![("name", "F"), ("definition", "{\"fields\": [{\"name\": \"a\"}]}")]),
        ("forms/vendors/edit", vec![("name", "F"), ("definition", "{\"fields\": [{\"name\": \"a\"}]}")]),
        ("forms/vendors/delete", vec![("confirm", "vendors")]),
        ("runs", vec![]),
        ("publish", vec![("to", "stage")]),
    ] {
        assert_eq!(user.post(&format!("{ROOM}/{path}"), &fields).await.status, 403, "{path}");
    }

    // Production does not serve the form yet; development does, and what the form said counts, wherever the bar was turned to meanwhile.
    let page = user.see(&format!("{ROOM}/forms")).await;
    assert!(!page.body.contains("New form"), "{}", page.body);
    assert_eq!(user.open(&format!("{ROOM}/forms/vendors/records/new-record")).await.status, 404);
    let page = user.see(&format!("{ROOM}/forms/vendors/records/new-record?environment=development")).await;
    let page = press(&page, "Send in", &[("data.vendor_name", "Own")]).await;
    assert_eq!(heading(&page), "Own");
    assert!(!words(&page).contains("What the workflows did"), "{}", words(&page));
    let records = format!("{ROOM}/forms/vendors/records?environment=development");
    assert_eq!(user.open(&records).await.status, 403);
    let admin = Visitor::founder(&server, &founder).await;
    assert!(words(&admin.see(&records).await).contains("Own"));
    let other = server
        .post(
            &format!("{base}/forms/vendors/records?environment=development"),
            json!({"data": {"vendor_name": "Other"}}),
        )
        .await
        .expect(201);
    let path = format!("{ROOM}/forms/vendors/records/{}", other["id"].as_str().unwrap());
    for tail in ["", "/edit", "/delete"] {
        let path = format!("{path}{tail}?environment=development");
        assert_eq!(user.open(&path).await.status, 404, "{path}");
        assert_eq!(admin.open(&path).await.status, 200, "{path}");
    }
    let none = admin.see(&format!("{ROOM}/forms/vendors/records")).await;
    assert!(words(&none).contains("This form is not in production yet"), "{}", words(&none));
}
