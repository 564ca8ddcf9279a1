//! `jackfield connectors lint` and `jackfield connectors test`, as somebody uses them who writes a document.

use std::process::Output;

use jackfield_sandbox::{ADA_API_KEY, Options};
use jackfield_testkit::browser::Browser;
use serde_json::{Value, json};

use crate::journey::to_consent;
use crate::support::{Home, Server, sandbox};
use crate::world::until;

fn run(home: &Home, server: Option<&Server>, arguments: &[&str]) -> Output {
    let mut command = home.command();
    if let Some(server) = server {
        command.env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
    }
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file(home: &Home, name: &str, text: &str) -> String {
    let path = home.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_fault_has_its_line_and_no_server_is_asked() {
    let home = Home::sqlite();
    let wrong = file(
        &home,
        "wrong.toml",
        "name = \"Acme\"\nbase_url = \"https://{site}.acme.example\"\n\n[auth]\ntype = \"apikey\"\n",
    );
    let output = run(&home, None, &["connectors", "lint", &wrong]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.starts_with(&format!("{wrong}:5:1: auth.type must be ")), "{said}");
    let output = run(&home, None, &["connectors", "lint", &wrong, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fault = &json["files"][0]["faults"][0];
    assert_eq!(
        (&fault["line"], &fault["column"], &fault["field"]),
        (&json!(5), &json!(1), &json!("auth.type"))
    );

    // What the form allows and the meaning does not has a line as well.
    let meaning = file(
        &home,
        "m.toml",
        "name = \"Acme\"\nbase_url = \"https://{site}.acme.example\"\n\n[auth]\ntype = \"none\"\n",
    );
    let said = text(&run(&home, None, &["connectors", "lint", &meaning]).stdout);
    assert!(said.starts_with(&format!("{meaning}:2:1: base_url ")), "{said}");
    let right = file(
        &home,
        "right.json",
        "{\"name\": \"A\", \"base_url\": \"https://a.example\", \"auth\": {\"type\": \"none\"}}",
    );
    let output = run(&home, None, &["connectors", "lint", &right]);
    assert!(output.status.success() && text(&output.stdout).contains("nothing is wrong"));
    let output = run(&home, None, &["connectors", "lint", "/nowhere.toml"]);
    assert!(!output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_tried_from_the_terminal() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let document = |name: &str| {
        let all = sandbox.handle.connector_documents(&sandbox.url);
        all.into_iter().find(|d| d["link_name"] == name).unwrap()
    };
    let key = file(&home, "key.json", &document("sandbox_api_key").to_string());
    let field = format!("api_key={ADA_API_KEY}");
    let output = run(&home, Some(&server), &["connectors", "test", &key, "--field", &field]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.contains("Test: passed") && said.contains("> GET ") && said.contains("< 200"), "{said}");
    assert!(!said.contains(ADA_API_KEY), "{said}");
    let output =
        run(&home, Some(&server), &["connectors", "test", &key, "--field", "api_key=wrong-key-1234"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("Test: FAILED") && !text(&output.stdout).contains("wrong-key-1234")
    );
    // What is wrong with the document is said before anything is sent.
    let broken = file(&home, "broken.json", "{\"name\": \"A\"}");
    let output = run(&home, Some(&server), &["connectors", "test", &broken]);
    assert!(text(&output.stdout).contains("broken.json:1:1: auth is missing"), "{}", text(&output.stdout));

    // A device code is asked for, and that nobody has typed it is as it should be.
    let device = file(&home, "device.json", &document("sandbox_device").to_string());
    let output = run(&home, Some(&server), &["connectors", "test", &device]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("gave a code"), "{said}{}", text(&output.stderr));

    // Where a person accepts, the command waits for him and shows the rest; nothing is kept.
    let code = file(&home, "code.json", &document("sandbox").to_string());
    let mut command = home.command();
    command.env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
    command.args(["connectors", "test", &code, "--no-browser", "--json"]);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut told = std::io::BufReader::new(child.stderr.take().unwrap());
    let start = tokio::task::spawn_blocking(move || {
        use std::io::BufRead as _;
        let mut line = String::new();
        while told.read_line(&mut line).unwrap() > 0 {
            if let Some(link) = line.trim().strip_prefix("http") {
                return (format!("http{link}"), told);
            }
            line.clear();
        }
        panic!("no link was shown")
    });
    let (start, _told) = start.await.unwrap();
    let page = to_consent(&Browser::new(), &start, "Ada").await.submit("Allow", &[]).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    until("the end of the command", async || child.try_wait().unwrap().map(|_| ())).await;
    let output = child.wait_with_output().unwrap();
    let tried: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && tried["works"] == true, "{tried}");
    let kinds: Vec<_> = tried["steps"].as_array().unwrap().iter().map(|step| step["kind"].clone()).collect();
    assert!(kinds.contains(&json!("test")) && kinds.contains(&json!("identity")), "{kinds:?}");
    assert_eq!(server.get("/v1/connections").await.expect(200)["items"], json!([]));
    assert_eq!(server.get("/v1/connectors?kind=custom").await.expect(200)["items"], json!([]));
}
