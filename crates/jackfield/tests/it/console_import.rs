//! The page on which a connector is made out of what a service publishes.

use jackfield_testkit::browser::Page;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, heading, news, value_of, words};
use crate::support::{Home, Server};

const HERE: &str = "/console/connectors/import";

async fn press(page: &Page, button: &str, fields: &[(&str, &str)]) -> Page {
    page.submit(button, fields).await.unwrap()
}

/// A document whose every text is `text`, with something that cannot be taken over.
fn openapi(title: &str, text: &str) -> String {
    json!({
        "openapi": "3.0.3",
        "info": {"title": title, "version": "1", "description": text},
        "servers": [{"url": "https://api.acme.example/v1"}],
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key", "description": text}}},
        "security": [{"key": []}],
        "paths": {
            "/pets": {
                "get": {"tags": ["pets"], "summary": text, "responses": {}},
                "post": {"tags": ["pets"], "summary": "Make one", "responses": {}, "requestBody": {"content": {"application/json":
                    {"schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "description": text}}}}}}},
            },
            "/photos": {"post": {"tags": ["pets"], "summary": "Send one", "requestBody": {"required": true,
                "content": {"multipart/form-data": {}}}, "responses": {}}},
        },
    })
    .to_string()
}

async fn drafts(server: &Server) -> Vec<Value> {
    server.get("/v1/connectors?kind=custom").await.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_openapi_document_is_looked_at_and_kept_as_a_draft() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let text = openapi("Acme Pets", "Pets of the house");
    let shown = press(&admin.see(HERE).await, "Show what comes of it", &[("openapi", &text)]).await;
    assert_eq!((shown.status, heading(&shown)), (200, "This would be the connector".to_owned()));
    let said = words(&shown);
    for part in [
        "To look at",
        "multipart/form-data",
        "GET /pets",
        "POST /pets",
        "Pets of the house",
        "base_url = \"https://api.acme.example/v1\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(drafts(&server).await.is_empty(), "nothing is kept yet");
    // Other operations are chosen, and it is shown again; then it is kept.
    let fewer = press(
        &shown,
        "Show it again",
        &[("operations", ""), ("operations", "GET /pets"), ("name", "Our pets")],
    )
    .await;
    assert!(!words(&fewer).contains("method = \"POST\""), "{}", words(&fewer));
    assert_eq!(value_of(&fewer, "name"), "Our pets");
    let kept = press(&fewer, "Keep it as a draft", &[]).await;
    assert_eq!((kept.url.path(), heading(&kept)), ("/console/connectors/our_pets", "Our pets".to_owned()));
    assert!(news(&kept).contains("draft") && words(&kept).contains("Draft"), "{}", words(&kept));
    let all = drafts(&server).await;
    assert_eq!((all.len(), &all[0]["stage"]), (1, &json!("draft")), "{all:?}");
    let document = server.get("/v1/connectors/our_pets").await.expect(200);
    let module = document["modules"].as_object().unwrap().values().next().unwrap();
    assert_eq!(module["operations"].as_object().unwrap().len(), 1, "{module}");
}

#[tokio::test]
async fn a_curl_command_is_taken_without_its_secret() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let command = "curl -X POST https://api.acme.example/v1/notes -H 'Authorization: Bearer sk_live_s3cr3t' \
        -H 'Content-Type: application/json' -d '{\"text\": \"Hello\"}'";
    let page =
        press(&admin.see(HERE).await, "Show what comes of it", &[("curl", command), ("name", "Acme notes")])
            .await;
    assert_eq!(
        (page.status, heading(&page)),
        (200, "This would be the connector".to_owned()),
        "{}",
        page.body
    );
    let toml = page.body.split_once("<pre").and_then(|(_, rest)| rest.split_once("</pre>")).unwrap().0;
    assert!(!toml.contains("s3cr3t") && toml.contains("api.acme.example"), "{toml}");
    let kept = press(&page, "Keep it as a draft", &[]).await;
    assert_eq!(heading(&kept), "Acme notes");
    let document = server.get("/v1/connectors/acme_notes").await.expect(200).to_string();
    assert!(!document.contains("s3cr3t") && document.contains("/notes"), "{document}");
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_kept_in_the_form() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let none = press(&admin.see(HERE).await, "Show what comes of it", &[]).await;
    assert_eq!((none.status, error_at(&none, "openapi").is_empty()), (422, false), "{}", none.body);
    let two =
        press(&none, "Show what comes of it", &[("openapi", "{}"), ("curl", "curl https://a.example")]).await;
    assert_eq!((two.status, error_at(&two, "openapi").is_empty()), (422, false));
    assert_eq!(value_of(&two, "curl"), "curl https://a.example", "what was typed is kept");
    let broken =
        press(&admin.see(HERE).await, "Show what comes of it", &[("openapi", "{\"openapi\": ")]).await;
    assert_eq!(broken.status, 422, "{}", broken.body);
    assert!(
        !error_at(&broken, "openapi").is_empty() && value_of(&broken, "openapi").starts_with("{\"openapi\"")
    );
    // Texts of strangers are texts, wherever they come out again.
    for hostile in HOSTILE {
        let text = openapi(hostile, hostile);
        let page = press(&admin.see(HERE).await, "Show what comes of it", &[("openapi", &text)]).await;
        let body = &page.body;
        assert!(page.status == 200 || page.status == 422, "{}", page.status);
        for code in ["<script>alert", "<img src=x", "<b>", "49$"] {
            assert!(!body.contains(code) || code == "<b>", "{code} in {body}");
        }
        assert!(!body.contains("</textarea></style>"), "{body}");
        let command = format!("curl 'https://a.example/{hostile}'");
        let page = press(&admin.see(HERE).await, "Show what comes of it", &[("curl", &command)]).await;
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{}", page.body);
    }
    assert!(drafts(&server).await.is_empty());
    // Whoever may not manage connectors is told so, and forged forms do nothing.
    let user = Visitor::with_role(&server, "user").await;
    assert_eq!(user.open(HERE).await.status, 403);
    let text = openapi("Acme Pets", "x");
    assert_eq!(user.post(HERE, &[("openapi", &text), ("save", "yes")]).await.status, 403);
    admin.refuses_forgeries(HERE, &[("openapi", &text), ("save", "yes")]).await;
    assert!(drafts(&server).await.is_empty());
}
