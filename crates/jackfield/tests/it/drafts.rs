//! Connectors out of what services publish, looked at by the command line, tried, copied and exported.

use std::io::Write as _;
use std::process::{Output, Stdio};

use jackfield_sandbox::{CLIENT_ID, CLIENT_SECRET, Options};
use serde_json::{Value, json};

use crate::journey::{authorize_as, held};
use crate::support::{Home, Server, sandbox};
use crate::world::until;

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

/// What a vendor would publish of the Sandbox.
fn vendors(sandbox: &str) -> String {
    format!(
        r#"openapi: 3.0.3
info: {{title: "Vendors & Co", version: "1.0"}}
servers: [{{url: "{sandbox}/api/v1"}}]
security: [{{oauth: ["vendors:read"]}}]
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows:
        authorizationCode:
          authorizationUrl: {sandbox}/oauth2/authorize
          tokenUrl: {sandbox}/oauth2/token
          scopes: {{profile: "Who you are.", "vendors:read": "Read vendors.", "vendors:write": "Make and change vendors"}}
  schemas:
    Vendor:
      type: object
      required: [DisplayName]
      properties: {{Id: {{type: string, readOnly: true}}, DisplayName: {{type: string}}, Email: {{type: string, format: email}}}}
    Me: {{type: object, properties: {{email: {{type: string}}, id: {{type: string}}}}}}
paths:
  /me:
    get: {{operationId: whoAmI, responses: {{"200": {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/Me'}}}}}}}}}}}}
  /vendors:
    get:
      operationId: listVendors
      tags: [vendor]
      responses: {{"200": {{content: {{application/json: {{schema: {{type: object, properties: {{items: {{type: array, items: {{$ref: '#/components/schemas/Vendor'}}}}}}}}}}}}}}}}
    post:
      operationId: createVendor
      tags: [vendor]
      requestBody: {{required: true, content: {{application/json: {{schema: {{$ref: '#/components/schemas/Vendor'}}}}}}}}
      responses: {{"201": {{content: {{application/json: {{schema: {{$ref: '#/components/schemas/Vendor'}}}}}}}}}}
"#
    )
}

/// As a stranger does it, by the command line alone: nothing is written by hand between the vendor's document and a record that arrives.
#[tokio::test]
async fn from_an_openapi_document_to_a_record_that_arrives() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let jackfield = |arguments: &[&str], stdin: &str| {
        let output = run(&home, Some(&server), arguments, stdin);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    };
    jackfield(&["connectors", "import", "--openapi", "-", "--all", "--save"], &vendors(&sandbox.url));
    jackfield(&["connectors", "publish", "vendors_co"], "");
    // People are shown by their names, to programs by their ids.
    let versions = jackfield(&["connectors", "versions", "vendors_co"], "");
    assert!(versions.contains(" ada ") && !versions.contains("mem_"), "{versions}");
    assert!(jackfield(&["connectors", "versions", "vendors_co", "--json"], "").contains("mem_"));
    let own_app = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}).to_string();
    let mut create =
        vec!["connections", "create", "--connector", "vendors_co", "--name", "Books", "--parameters", "-"];
    create.extend(["--scope", "profile", "--scope", "vendors:read", "--scope", "vendors:write"]);
    jackfield(&create, &own_app);
    let flow = authorize_as(&server, "books", "ada", None, json!({})).await;
    assert_eq!(flow["state"], "authorized", "{flow}");
    assert_eq!(held(&server, "books").await[0]["account_name"], "ada@sandbox.example");

    let application = server.application("Shop").await;
    let app = format!("/v1/applications/{application}");
    let form = json!({"access": "members", "fields": [{"name": "vendor_name", "label": "Vendor name", "required": true}]});
    server.post(&format!("{app}/forms"), json!({"name": "Vendors", "definition": form})).await.expect(201);
    let push = json!({"connection": "books", "module": "vendor", "operation": "create_vendor",
        "mapping": {"DisplayName": {"field": "vendor_name"}}});
    let workflow =
        json!({"form": "vendors", "on": "created", "actions": [{"name": "push", "integration": push}]});
    server
        .post(&format!("{app}/workflows"), json!({"name": "Push", "definition": workflow}))
        .await
        .expect(201);
    let record = json!({"data": {"vendor_name": "Norvik Timber"}});
    let records = format!("{app}/forms/vendors/records?environment=development");
    server.post(&records, record).await.expect(201);
    let run = until("the run", async || {
        let runs = server.get(&format!("{app}/runs?environment=development")).await.expect(200);
        runs["items"].as_array()?.iter().find(|run| run["state"] == "succeeded").cloned()
    })
    .await;
    let id = run["id"].as_str().unwrap();
    let run = server.get(&format!("{app}/runs/{id}")).await.expect(200);
    let call = json!({"method": "GET", "url": "/vendors"});
    let vendors = server.invoke("books", call).await.expect(200);
    let made =
        vendors["body"]["items"].as_array().unwrap().iter().find(|one| one["DisplayName"] == "Norvik Timber");
    let made = made.unwrap_or_else(|| panic!("{vendors}"));
    // The import has found out where the answer has the id of what was made.
    assert_eq!(run["results"]["push"]["id"], made["Id"], "{run}");
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
