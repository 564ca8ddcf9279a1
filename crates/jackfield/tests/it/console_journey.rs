//! The console's journey and the pages of one connection, as forms alone: nothing here runs JavaScript.

use jackfield_sandbox::ADA_API_KEY;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, escaped, heading, news, press, value_of, words};
use crate::support::{Home, consenting};
use crate::upstream::{key, keyed};

#[tokio::test]
async fn a_connection_is_made_authorized_tried_and_deleted() {
    for home in Home::both() {
        let founder = home.init();
        let server = home.serve(&founder.key);
        let sandbox = consenting().await;
        server.sandbox_connection(&sandbox, "sandbox_api_key", json!({"name": "Another"})).await;
        let admin = Visitor::founder(&server, &founder).await;

        let page = admin.see("/console/connections/new?kind=custom").await;
        assert_eq!(heading(&page), "What do you want to connect?");
        let page = page.follow("Sandbox: API key").await.unwrap();
        let page = press(&page, "Create and authorize", &[("name", " "), ("link_name", "No Good")]).await;
        assert_eq!((page.status, value_of(&page, "link_name")), (422, "No Good".to_owned()));
        assert!(!error_at(&page, "name").is_empty() && !error_at(&page, "link_name").is_empty());
        let page =
            press(&page, "Create and authorize", &[("name", "Vendors"), ("link_name", "vendors")]).await;
        assert_eq!(heading(&page), "Authorize Vendors");

        // Wrong first: the key is named, nothing is kept, and what was typed is not sent back.
        let wrong = press(&page, "Connect", &[("credentials.api_key", "sbx_key_of_nobody_0123")]).await;
        assert_eq!(wrong.status, 422, "{}", wrong.body);
        assert!(!wrong.body.contains("sbx_key_of_nobody_0123"));
        let page = press(&wrong, "Connect", &[("credentials.api_key", ADA_API_KEY)]).await;
        assert_eq!(heading(&page), "Connected as ada@sandbox.example");

        let page = page.follow("Try a call").await.unwrap();
        let page = press(&page, "Send", &[("method", "GET"), ("url", "/vendors")]).await;
        assert!(
            words(&page).contains("200 OK") && words(&page).contains("ms at the service"),
            "{}",
            words(&page)
        );
        let page = press(&page, "Send", &[("method", "POST"), ("url", "/vendors"), ("body", "{no")]).await;
        assert!(error_at(&page, "body").contains("not JSON"), "{}", page.body);
        let page = press(&page, "Send", &[("url", "https://elsewhere.example/"), ("body", "")]).await;
        assert!(words(&page).contains("host_not_allowed"), "{}", words(&page));
        let calls = admin.see("/console/connections/vendors/calls").await;
        assert!(words(&calls).contains("/vendors"), "{}", words(&calls));

        let settings = admin.see("/console/connections/vendors/settings").await;
        let saved = press(&settings, "Save", &[("name", "Our vendors")]).await;
        assert_eq!((heading(&saved), news(&saved)), ("Our vendors".to_owned(), "Saved.".to_owned()));
        // Whoever read it before that is told, and overwrites nothing.
        let late = press(&settings, "Save", &[("name", "Too late")]).await;
        assert_eq!(late.status, 409, "{}", late.body);

        let page = admin.see("/console/connections/vendors").await;
        let page = press(&page, "Disable", &[]).await;
        assert!(words(&page).contains("Every call is refused."), "{}", words(&page));
        let page = press(&page, "Enable", &[]).await;
        let page = page.follow("ada@sandbox.example").await.unwrap().follow("Revoke").await.unwrap();
        assert!(words(&page).contains("are refused until somebody authorizes again"), "{}", words(&page));
        let page = press(&page, "Revoke", &[]).await;
        assert_eq!(news(&page), "Revoked.");

        let page = page.follow("Delete").await.unwrap();
        let page = press(&page, "Delete it for good", &[("typed", "vendor")]).await;
        assert!(page.status == 422 && !error_at(&page, "typed").is_empty(), "{}", page.body);
        let page = press(&page, "Delete it for good", &[("typed", "vendors")]).await;
        assert_eq!(news(&page), "vendors is deleted.");
        server.get("/v1/connections/vendors").await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_flow_in_the_same_tab_comes_back_to_its_page() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let sandbox = consenting().await;
    let link = server.sandbox_connection(&sandbox, "sandbox", json!({"name": "Books"})).await;
    let admin = Visitor::founder(&server, &founder).await;
    let page = admin.see(&format!("/console/connections/{link}/authorize")).await;
    let page = press(&page, "Authorize", &[]).await;
    assert_eq!(heading(&page), "Waiting for you at Sandbox");
    let waiting = page.url.path().to_owned();
    let ended = page.follow("Continue in this tab instead").await.unwrap();
    assert_eq!(heading(&ended), "Connected as ada@sandbox.example", "{}", ended.body);

    // Cancelled, it says so, and one press tries again with what was asked for.
    let page = admin.see(&format!("/console/connections/{link}/authorize")).await;
    let page = press(&page, "Authorize", &[("account_name", "Second")]).await;
    let cancelled = press(&page, "Cancel", &[]).await;
    assert_eq!(heading(&cancelled), "You cancelled it");
    assert_eq!(value_of(&cancelled, "account_name"), "Second");
    assert_eq!(heading(&press(&cancelled, "Try again", &[]).await), "Waiting for you at Sandbox");

    // Nobody else's flow.
    let other = Visitor::with_role(&server, "admin").await;
    assert_eq!(other.open(&waiting).await.status, 404);
    let cancel = other.post(&format!("{}/cancel", cancelled.url.path()), &[]).await;
    assert_eq!(cancel.status, 404);
}

#[tokio::test]
async fn what_is_used_here_is_offered_first() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let first = async |query: &str| {
        let page = words(&admin.see(&format!("/console/connections/new{query}")).await);
        let at = page.find("Used at Acme");
        at.map(|at| page[at..].chars().take(400).collect::<String>())
    };
    assert_eq!(first("").await, None, "nothing is");
    let own = server.connector(keyed("Mirror", "http://127.0.0.1:9", &["127.0.0.1:9"])).await;
    let off = server.connector(keyed("Another", "http://127.0.0.1:9", &["127.0.0.1:9"])).await;
    // By name the one that is used most comes last of all, behind a whole page of connections.
    let made = [(off.as_str(), 60), ("airtable_token", 1), ("notion_internal", 2), (own.as_str(), 3)];
    for (connector, connections) in made {
        for n in 0..connections {
            server.connection(json!({"connector": connector, "name": format!("{connector} {n}")})).await;
        }
    }
    server.post(&format!("/v1/connectors/{off}/disable"), json!({})).await.expect(200);
    let used = first("").await.unwrap();
    let at = |name: &str| used.find(name).unwrap_or_else(|| panic!("{name} in {used}"));
    let order = [at("Mirror"), at("Notion"), at("Airtable")];
    assert!(order.is_sorted() && !used[..order[2]].contains("Another"), "{used}");
    // Whoever looks for something finds that alone.
    assert_eq!((first("?q=notion").await, first("?kind=custom").await), (None, None));
}

#[tokio::test]
async fn who_may_not_is_told_before_he_types_and_forged_forms_do_nothing() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connector = server.connector(keyed("Mirror", "http://127.0.0.1:9", &["127.0.0.1:9"])).await;
    for (name, level) in [("mine", "user"), ("ours", "admin")] {
        server.connection(json!({"connector": connector, "name": name, "level": level})).await;
    }
    let admin = Visitor::founder(&server, &founder).await;
    let user = Visitor::with_role(&server, "user").await;
    for (path, status) in [
        ("/console/connections/mine", 200),
        ("/console/connections/ours", 404),
        ("/console/connections/mine/settings", 403),
        ("/console/connections/mine/delete", 403),
        ("/console/connections/ours/authorize", 404),
        (format!("/console/connections/new/{connector}").as_str(), 403),
        ("/console/nowhere", 404),
    ] {
        let page = user.open(path).await;
        assert_eq!(page.status, status, "{path}: {}", page.body);
        assert!(!heading(&page).is_empty(), "it is a page: {path}");
    }
    let list = user.see("/console/connections").await;
    assert!(words(&list).contains("mine") && !words(&list).contains("ours"), "{}", words(&list));
    assert_eq!(user.post("/console/connections/mine/delete", &[("typed", "mine")]).await.status, 403);

    admin.refuses_forgeries("/console/connections/mine/delete", &[("typed", "mine")]).await;
    admin.refuses_forgeries("/console/connections/mine/enabled", &[("enabled", "false")]).await;
    let create = [("name", "Forged"), ("level", "admin")];
    admin.refuses_forgeries(&format!("/console/connections/new/{connector}"), &create).await;
    admin.refuses_forgeries("/connect/mine", &[("credentials.key", "forged")]).await;
    let kept = server.get("/v1/connections").await.expect(200);
    assert_eq!(kept["items"].as_array().unwrap().len(), 2, "{kept}");
    assert_eq!(kept["items"][0]["enabled"], true);
}

#[tokio::test]
async fn names_are_words_wherever_they_stand() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let connector = server.connector(keyed("Mirror", "http://127.0.0.1:9", &["127.0.0.1:9"])).await;
    for hostile in HOSTILE {
        let link = server.connection(json!({"connector": connector, "name": hostile})).await;
        let named = json!({"account_name": hostile, "credentials": key()});
        let path = format!("/v1/connections/{link}/authorizations");
        let made = server.post(&path, named).await.expect(201);
        let id = made["authorization"]["id"].as_str().unwrap();
        for path in [
            "/console/connections".to_owned(),
            format!("/console/connections/{link}"),
            format!("/console/connections/{link}/history"),
            format!("/console/connections/{link}/settings"),
            format!("/console/connections/{link}/delete"),
            format!("/console/connections/{link}/accounts/{id}"),
            format!("/console/connections/{link}/accounts/{id}/revoke"),
            format!("/console/connections/{link}/connected?authorization={id}"),
            format!("/console/connections/{link}/authorize?replaces={id}"),
        ] {
            escaped(&admin.see(&path).await, hostile);
        }
        server.api("DELETE", &format!("/v1/connections/{link}"), Value::Null).await.expect(204);
    }
}

#[tokio::test]
async fn connections_are_found_by_name_and_status() {
    for home in Home::both() {
        let server = home.start();
        let connector = server.connector(keyed("Mirror", "http://127.0.0.1:9", &["127.0.0.1:9"])).await;
        for name in ["Mail of 2026", "Books", "Old books"] {
            server.connection(json!({"connector": connector, "name": name})).await;
        }
        server.post("/v1/connections/books/authorizations", json!({"credentials": key()})).await.expect(201);
        server.post("/v1/connections/old_books/disable", json!({})).await.expect(200);
        for (query, found) in [
            ("q=BOOKS", vec!["books", "old_books"]),
            ("q=l_of", vec!["mail_of_2026"]),
            ("q=%25", vec![]),
            ("status=connected", vec!["books"]),
            ("status=not_connected&environment=stage", vec!["mail_of_2026"]),
            ("status=disabled", vec!["old_books"]),
            ("status=reauthorization_required", vec![]),
            ("q=books&status=connected", vec!["books"]),
        ] {
            let list = server.get(&format!("/v1/connections?{query}")).await.expect(200);
            let names: Vec<&str> =
                list["items"].as_array().unwrap().iter().map(|c| c["link_name"].as_str().unwrap()).collect();
            assert_eq!(names, found, "{query}");
        }
        server.get("/v1/connections?status=broken").await.problem(400, "invalid_request");
        server.get("/v1/connections?status=connected&environment=moon").await.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn the_connect_pages_wear_the_organizations_brand() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connector = server.connector(keyed("Mirror", "http://127.0.0.1:9", &["127.0.0.1:9"])).await;
    server.connection(json!({"connector": connector, "name": "mine", "level": "user"})).await;
    let wrong = json!({"brand": {"colour": "red", "frame_origins": ["*"]}});
    let refused = server.api("PATCH", "/v1/organization", wrong).await;
    refused.problem(422, "invalid_input");
    assert_eq!(refused.fields(), ["brand.colour", "brand.frame_origins.0"]);

    let admin = Visitor::founder(&server, &founder).await;
    let page = admin.see("/console/settings/connect").await;
    let fields = [
        ("brand.name", "Acme <b>"),
        ("brand.colour", "#ffee00"),
        ("brand.frame_origins", "https://portal.acme.example"),
    ];
    assert_eq!(news(&press(&page, "Save", &fields).await), "Saved.");
    let user = Visitor::with_role(&server, "user").await;
    let page = user.see("/connect/mine").await;
    escaped(&page, "Acme <b>");
    assert!(page.body.contains("/assets/brand/ffee00.css"), "{}", page.body);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("frame-ancestors https://portal.acme.example") && !policy.contains("unsafe"),
        "{policy}"
    );
    let colour = user.open("/assets/brand/ffee00.css").await;
    assert!(colour.body.contains("color: #000"), "black can be read on yellow: {}", colour.body);
    assert_eq!(user.open("/assets/brand/red;}.css").await.status, 404);
    // Nothing else may be framed.
    let console = user.see("/console/connections").await;
    assert!(console.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
}
