//! The vendor API and the mirror.

use crate::support::World;
use jackfield_sandbox::{ADA_API_KEY, ADA_PASSWORD, LIN_API_KEY, Options};
use serde_json::{Value, json};

#[tokio::test]
async fn every_kind_of_credential() {
    let world = World::with_ada().await;
    let get = |path: &str| world.http.get(world.url(path));
    let email = async |request: reqwest::RequestBuilder| -> String {
        let me: Value = request.send().await.unwrap().json().await.unwrap();
        me["email"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(email(get("/api/v1/me").header("x-api-key", LIN_API_KEY)).await, "lin@sandbox.example");
    assert_eq!(email(get(&format!("/api/v1/me?api_key={ADA_API_KEY}"))).await, "ada@sandbox.example");
    assert_eq!(
        email(get("/api/v1/me").header("cookie", format!("a=b; api_key={ADA_API_KEY}"))).await,
        "ada@sandbox.example"
    );
    assert_eq!(
        email(get("/api/v1/me").basic_auth("ada@sandbox.example", Some(ADA_PASSWORD))).await,
        "ada@sandbox.example"
    );
    let refused = get("/api/v1/me").basic_auth("ada@sandbox.example", Some("x")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(get("/api/v1/me").send().await.unwrap().status(), 401);
    let several = get("/api/v1/me").bearer_auth("x").header("x-api-key", ADA_API_KEY).send().await.unwrap();
    assert_eq!(several.status(), 400);
}

#[tokio::test]
async fn vendors() {
    let world = World::with_ada().await;
    let request = |method: reqwest::Method, path: &str| {
        world
            .http
            .request(method, world.url(&format!("/api/v1/vendors{path}")))
            .header("x-api-key", ADA_API_KEY)
    };
    let post = |body: Value| request(reqwest::Method::POST, "").json(&body);
    let missing = post(json!({"Email": "x@y.example"})).send().await.unwrap();
    assert_eq!(missing.status(), 422);
    assert_eq!(missing.json::<Value>().await.unwrap()["error"]["field"], "DisplayName");
    let made =
        post(json!({"DisplayName": "Kite & Key"})).header("idempotency-key", "k1").send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    let id = made["Id"].as_str().unwrap();
    assert_eq!(made["CreatedBy"], "ada@sandbox.example");
    let replay =
        post(json!({"DisplayName": "Kite & Key"})).header("idempotency-key", "k1").send().await.unwrap();
    assert_eq!(replay.headers()["idempotent-replayed"], "true");
    let duplicate = post(json!({"DisplayName": "kite & key"})).send().await.unwrap();
    assert_eq!(duplicate.status(), 409);
    assert_eq!(duplicate.json::<Value>().await.unwrap()["error"]["code"], "duplicate_name");

    let path = format!("/{id}");
    let changed = request(reqwest::Method::PUT, &path).json(&json!({"DisplayName": "Kite", "Active": false}));
    assert_eq!(changed.send().await.unwrap().json::<Value>().await.unwrap()["Active"], false);
    assert_eq!(world.sandbox().vendors().last().unwrap().display_name, "Kite");
    assert_eq!(request(reqwest::Method::DELETE, &path).send().await.unwrap().status(), 204);
    assert_eq!(request(reqwest::Method::GET, &path).send().await.unwrap().status(), 404);

    for number in 0..22 {
        assert_eq!(
            post(json!({"DisplayName": format!("Vendor {number}")})).send().await.unwrap().status(),
            201
        );
    }
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let part: Value = request(reqwest::Method::GET, &format!("?limit=10{cursor}"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        seen += part["items"].as_array().unwrap().len();
        match part["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 25);
    let page = request(reqwest::Method::GET, "?limit=10&page=3").send().await.unwrap();
    let page: Value = page.json().await.unwrap();
    assert_eq!(
        (page["items"].as_array().unwrap().len(), &page["next_page"], &page["pages"]),
        (5, &Value::Null, &json!(3))
    );
}

#[tokio::test]
async fn the_mirror() {
    let world = World::new(Options::default()).await;
    let request = world
        .http
        .patch(world.url("/api/v1/echo/a%2Fb?x=1&x=2&y=%C3%A9"))
        .header("x-one", "1")
        .header("x-one", "2");
    let mirror: Value = request.json(&json!({"a": [1]})).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (mirror["method"].as_str(), mirror["path"].as_str()),
        (Some("PATCH"), Some("/api/v1/echo/a%2Fb"))
    );
    assert_eq!(mirror["query"], json!({"x": ["1", "2"], "y": "é"}));
    assert_eq!(mirror["headers"]["x-one"], json!(["1", "2"]));
    assert_eq!((&mirror["json"], &mirror["body"]), (&json!({"a": [1]}), &json!("{\"a\":[1]}")));
    let binary = world.http.post(world.url("/api/v1/echo")).body(vec![0xff, 0]).send().await.unwrap();
    let binary: Value = binary.json().await.unwrap();
    assert_eq!((binary["body_base64"].as_str(), binary["body"].is_null()), (Some("/wA="), true));
    assert_eq!(world.http.get(world.url("/api/v1/me/echo")).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn odd_paths() {
    let world = World::new(Options::default()).await;
    let get = |path: &str| world.http.get(world.url(path)).send();
    assert_eq!(get("/api/v1/status/418").await.unwrap().status(), 418);
    assert_eq!(get("/api/v1/status/204").await.unwrap().status(), 204);
    let moved = get("/api/v1/redirect?to=http%3A%2F%2Fx.example%2F&status=307").await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), crate::support::location(&moved).as_str()),
        (307, "http://x.example/")
    );
    let bytes = get("/api/v1/stream?bytes=200000").await.unwrap();
    assert_eq!(bytes.content_length(), Some(200_000));
    assert_eq!(bytes.bytes().await.unwrap().len(), 200_000);
    assert_eq!(get("/api/v1/slow?ms=10").await.unwrap().status(), 200);
    let events = get("/api/v1/events?count=3&ms=1").await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    assert_eq!(events.text().await.unwrap().matches("event: tick").count(), 3);
    let sunk = world.http.post(world.url("/api/v1/sink")).body(vec![b'x'; 3_000_000]).send().await.unwrap();
    assert_eq!(sunk.json::<Value>().await.unwrap()["bytes"], 3_000_000);
    let companies = world.http.get(world.url("/api/v1/companies")).header("x-api-key", ADA_API_KEY).send();
    assert_eq!(companies.await.unwrap().json::<Value>().await.unwrap()["items"][0]["id"], "northwind");
    for page in ["/", "/login", "/device", "/sandbox.css", "/favicon.svg"] {
        assert_eq!(get(page).await.unwrap().status(), 200, "{page}");
    }
    assert_eq!(get("/nowhere").await.unwrap().status(), 404);
}

#[tokio::test]
async fn web_sockets() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
    let world = World::new(Options::default()).await;
    let url = world.url("/api/v1/ws?hello=1").replacen("http", "ws", 1);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("x-marker", "seen".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let hello = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&hello).unwrap()["headers"]["x-marker"], "seen");
    socket.send(Message::text("ping pong")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("ping pong"));
}

#[tokio::test]
async fn it_stops() {
    let world = World::new(Options::default()).await;
    let url = world.url("/");
    assert_eq!(world.http.get(&url).send().await.unwrap().status(), 200);
    world.running.shutdown().await;
    assert!(world.http.get(&url).send().await.is_err());
}

#[test]
fn connector_documents() {
    let sandbox = jackfield_sandbox::Sandbox::new(Options::default());
    let documents = sandbox.connector_documents("http://127.0.0.1:4000/");
    let names: Vec<&str> = documents.iter().map(|document| document["link_name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "sandbox",
            "sandbox_company",
            "sandbox_public",
            "sandbox_device",
            "sandbox_client_credentials",
            "sandbox_oauth1",
            "sandbox_api_key",
            "sandbox_basic"
        ]
    );
    assert_eq!(documents[0]["hosts"], json!(["127.0.0.1:4000"]));
    assert_eq!(documents[0]["auth"]["issuer"], "http://127.0.0.1:4000");
    let bare = sandbox.connector_documents_without_defaults("http://127.0.0.1:4000");
    assert_eq!(
        (&bare[0]["parameters"][1]["secret"], bare[0]["parameters"][1].get("default")),
        (&json!(true), None)
    );
    assert_eq!(sandbox.connector_parameters("sandbox")["client_secret"], jackfield_sandbox::CLIENT_SECRET);
}
