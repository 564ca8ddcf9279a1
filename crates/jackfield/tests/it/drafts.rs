//! Connectors out of what services publish, looked at by the command line, tried, copied and exported.

use std::io::Write as _;
use std::process::{Output, Stdio};

use jackfield_sandbox::Options;
use serde_json::{Value, json};

use crate::support::{Home, Server, sandbox};

const PETS: &str = r#"openapi: 3.1.0
info: {title: "Pets, Inc.", description: "Keeps pets. And more."}
servers: [{url: "https://{region}.pets.example/v1", variables: {region: {default: eu, enum: [eu, us]}}}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Pet-Key}}
  schemas:
    Pet: {type: object, required: [name], properties: {id: {type: string, readOnly: true}, name: {type: string}, parent: {$ref: '#/components/schemas/Pet'}}}
paths:
  /pets:
    get: {operationId: listPets, tags: [pet], responses: {200: {content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Pet'}}}}}}}
    post: {operationId: addPet, tags: [pet], requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}, responses: {}}
  /pets/{petId}/photo:
    put: {operationId: setPhoto, tags: [pet], requestBody: {required: true, content: {image/png: {}}}, responses: {}}
  /me:
    get: {tags: [me], responses: {}}
"#;

/// The command line against a server, with something on standard input.
fn run(home: &Home, server: Option<&Server>, arguments: &[&str], stdin: &str) -> Output {
    let mut command = home.command();
    if let Some(server) = server {
        command.env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn notes(draft: &Value) -> String {
    draft["notes"].to_string()
}

#[tokio::test]
async fn a_draft_is_shown_before_it_is_kept() {
    let home = Home::sqlite();
    let server = home.start();
    let draft = server.post("/v1/connectors/import", json!({"openapi": PETS})).await.expect(200);
    assert_eq!(draft["faults"], json!([]), "{draft}");
    let document = &draft["document"];
    assert_eq!(
        (&document["name"], &document["base_url"]),
        (&json!("Pets Inc"), &json!("https://{region}.pets.example/v1"))
    );
    assert_eq!(document["auth"]["fields"][0]["as"], "X-Pet-Key");
    let pet = &document["modules"]["pet"]["operations"];
    assert_eq!((&pet["listpets"]["items"], &pet["list_pets"]["items"]), (&Value::Null, &json!("")), "{pet}");
    assert_eq!(
        pet["add_pet"]["fields"],
        json!([{"name": "name", "required": true}, {"name": "parent", "type": "object"}])
    );
    assert_eq!(document["test"]["path"], "/me");
    assert!(notes(&draft).contains("PUT /pets/{petId}/photo"), "{}", notes(&draft));
    assert_eq!(server.get("/v1/connectors?kind=custom").await.expect(200)["items"], json!([]));

    let one = json!({"openapi": PETS, "operations": ["GET /pets", "GET /nothing"], "name": "Only pets", "save": true});
    let made = server.post("/v1/connectors/import", one).await.expect(201);
    assert_eq!((&made["link_name"], &made["stage"]), (&json!("only_pets"), &json!("draft")));
    let modules = &server.get("/v1/connectors/only_pets").await.expect(200)["modules"];
    assert_eq!(modules["pet"]["operations"].as_object().unwrap().keys().collect::<Vec<_>>(), ["list_pets"]);

    for (body, field) in [
        (json!({}), "openapi"),
        (json!({"openapi": "x", "curl": "y"}), "openapi"),
        (json!({"openapi": "swagger: '2.0'"}), "openapi"),
        (json!({"openapi": {"openapi": "4.0.0"}}), "openapi"),
        (json!({"curl": "curl"}), "curl"),
        (json!({"discover": "ftp://x"}), "discover"),
    ] {
        let problem = server.post("/v1/connectors/import", body.clone()).await.problem(422, "invalid_input");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
}

#[tokio::test]
async fn metadata_is_read_through_the_one_door() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let draft = server
        .post("/v1/connectors/import", json!({"discover": sandbox.url, "name": "Found"}))
        .await
        .expect(200);
    let auth = &draft["document"]["auth"];
    assert_eq!(auth["type"], "oauth2_code");
    assert_eq!(auth["token_url"], format!("{}/oauth2/token", sandbox.url));
    assert_eq!(auth["issuer"], sandbox.url);
    // Where the rules of the installation allow nothing private, nothing is asked.
    let strict = Home::sqlite().set("JACKFIELD_EGRESS_ALLOW", "10.99.0.0/16");
    let server = strict.start();
    let answer = server.post("/v1/connectors/import", json!({"discover": sandbox.url})).await;
    assert!(answer.status >= 400 && !answer.text.contains("token_endpoint"), "{}", answer.text);
}

#[tokio::test]
async fn a_command_is_read_without_its_secrets_and_without_a_server() {
    let home = Home::sqlite();
    let command = "curl https://api.acme.example/v1/things -H 'X-Api-Key: hunter2hunter2'";
    let output = run(&home, None, &["connectors", "import", "--curl", command], "");
    let toml = text(&output.stdout);
    assert!(output.status.success() && toml.contains("type = \"api_key\""), "{toml}{}", text(&output.stderr));
    assert!(!(toml + &text(&output.stderr)).contains("hunter2"));

    let server = home.start();
    let output = run(
        &home,
        Some(&server),
        &["connectors", "import", "--curl", "-", "--name", "Acme", "--save"],
        command,
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let kept = server.get("/v1/connectors/acme/document.toml").await;
    assert!(kept.status == 200 && kept.text.contains("name = \"X-Api-Key\""), "{}", kept.text);

    let file = home.path().join("pets.yaml");
    std::fs::write(&file, PETS).unwrap();
    let file = file.to_str().unwrap();
    let output = run(&home, None, &["connectors", "import", "--openapi", file, "--list"], "");
    assert_eq!(text(&output.stdout).lines().count(), 4, "{}", text(&output.stdout));
    let output = run(&home, None, &["connectors", "import", "--openapi", file, "--operation", "GET /me"], "");
    let drawn = text(&output.stdout);
    assert!(drawn.contains("[modules.me.operations.") && !drawn.contains("modules.pet"), "{drawn}");
    // What it prints is a catalogue file.
    let toml = home.path().join("pets.toml");
    std::fs::write(&toml, drawn).unwrap();
    let output = run(&home, None, &["connectors", "lint", toml.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[tokio::test]
async fn a_connector_is_exported_and_cloned() {
    let home = Home::sqlite();
    let server = home.start();
    let answer = server.get("/v1/connectors/stripe/document.toml").await;
    assert_eq!(answer.status, 200);
    let file = home.path().join("stripe.toml");
    std::fs::write(&file, &answer.text).unwrap();
    let output = run(&home, None, &["connectors", "lint", file.to_str().unwrap()], "");
    assert!(output.status.success(), "{}{}", answer.text, text(&output.stdout));
    let output = run(&home, Some(&server), &["connectors", "clone", "stripe", "--name", "My Stripe"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let clone = server.get("/v1/connectors/my_stripe").await.expect(200);
    let original = server.get("/v1/connectors/stripe").await.expect(200);
    assert_eq!(
        (&clone["kind"], &clone["stage"], &clone["verified"]),
        (&json!("custom"), &json!("draft"), &Value::Null)
    );
    for same in ["auth", "modules", "base_url", "payment", "parameters"] {
        assert_eq!(clone[same], original[same], "{same}");
    }
}
