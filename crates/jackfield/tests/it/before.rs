//! What stands before the first call: what the service wants to be done there first, and a service account whose key signs.

use jackfield_core::connector::built_in;
use jackfield_testkit::foreign::{KeyPair, judged_by_pyjwt};
use serde_json::{Value, json};

use crate::pages::{Visitor, words};
use crate::support::{Home, Server};
use crate::upstream::{Message, Upstream, json_reply};

const ROBOT: &str = "robot@acme.iam.gserviceaccount.com";
const GOOGLE: &str = "https://oauth2.googleapis.com/token";
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/drive.readonly", "https://www.googleapis.com/auth/userinfo.email"];

/// The connector of the catalogue, whose addresses lead here; the audience stays Google's.
async fn robot(server: &Server, upstream: &Upstream) -> String {
    let mut document = built_in().get("google_service_account").unwrap().to_json();
    document["link_name"] = "robot".into();
    document["base_url"] = upstream.url.as_str().into();
    document["hosts"] = json!([upstream.host()]);
    document["auth"]["token_url"] = format!("{}/token", upstream.url).into();
    server.connector(document).await
}

/// The assertions that came.
fn assertions(seen: &[Message]) -> Vec<String> {
    let asked = seen.iter().filter(|request| request.target() == "/token");
    asked
        .map(|request| {
            let fields: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
            let of = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
            assert_eq!(of("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
            assert!(of("client_secret").is_none() && of("scope").is_none(), "{fields:?}");
            of("assertion").unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_google_service_account_signs_what_google_checks() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let upstream = Upstream::answering(|request| match request.target() {
        "/token" => {
            json_reply(&json!({"access_token": "ya29.a", "expires_in": 3599, "token_type": "Bearer"}))
        }
        _ => json_reply(&json!({"right": request.header("authorization")})),
    })
    .await;
    let key = KeyPair::generate("RS256").unwrap();
    let link = robot(&server, &upstream).await;
    // As the key file has it: one line, with \n in it.
    let pasted = key.private_pem.replace('\n', "\\n");
    let connect = async |name: &str, subject: Value| {
        let mut parameters = json!({"client_id": ROBOT, "private_key": pasted, "key_id": key.key_id});
        if !subject.is_null() {
            parameters["subject"] = subject;
        }
        let new = json!({"connector": link, "name": name, "parameters": parameters, "scopes": SCOPES});
        let connection = server.connection(new).await;
        let path = format!("/v1/connections/{connection}/authorizations");
        let view = server.post(&path, json!({})).await.expect(201)["authorization"].clone();
        assert_eq!(view["status"], "connected", "{view}");
        connection
    };
    let connection = connect("For Ada", json!("ada@acme.example")).await;
    let called = server
        .invoke(&connection, json!({"method": "GET", "url": "/drive/v3/files", "environment": "production"}))
        .await
        .expect(200);
    assert_eq!(called["body"]["right"], "Bearer ya29.a");
    let sent = assertions(&upstream.take());
    let judged = |assertion: &str| judged_by_pyjwt(assertion, &key.public_pem, GOOGLE, ROBOT);
    let found = judged(&sent[0]).unwrap();
    assert_eq!(
        (&found["header"]["alg"], &found["header"]["typ"], &found["header"]["kid"]),
        (&json!("RS256"), &json!("JWT"), &json!(key.key_id))
    );
    let claims = &found["claims"];
    assert_eq!((&claims["scope"], &claims["sub"]), (&json!(SCOPES.join(" ")), &json!("ada@acme.example")));
    // Google takes an hour at most.
    let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((1..=3600).contains(&lives), "{claims}");
    // The judge is one that refuses: another audience, another issuer, another key, a changed claim.
    let other = KeyPair::generate("RS256").unwrap();
    let elsewhere = "https://elsewhere.example/token";
    assert!(judged_by_pyjwt(&sent[0], &key.public_pem, elsewhere, ROBOT).unwrap_err().contains("Audience"));
    assert!(judged_by_pyjwt(&sent[0], &key.public_pem, GOOGLE, "x@y.example").unwrap_err().contains("ssuer"));
    assert!(judged_by_pyjwt(&sent[0], &other.public_pem, GOOGLE, ROBOT).unwrap_err().contains("ignature"));
    // Without a person it acts for itself, and says nothing of one.
    connect("For itself", Value::Null).await;
    let sent = assertions(&upstream.take());
    let claims = judged(sent.last().unwrap()).unwrap()["claims"].clone();
    assert!(claims.get("sub").is_none_or(|sub| sub == ROBOT), "{claims}");
    // Nobody is shown the key again.
    let shown = server.get(&format!("/v1/connections/{connection}")).await.expect(200).to_string();
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}

#[tokio::test]
async fn what_is_needed_is_said_before_anything_is_typed() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let ours = format!("{}/oauth/callback", server.url);
    let zoho = server.get("/v1/connectors/zoho_crm").await.expect(200)["before_you_start"].clone();
    assert_eq!(zoho["registration_url"], "https://api-console.zoho.com");
    assert_eq!(
        (&zoho["redirect_uri"], &zoho["bring"]),
        (&json!(ours), &json!(["client_id", "client_secret"]))
    );
    assert_eq!(zoho["look_up"], json!(["data_center"]));
    assert!(zoho["scopes"].as_array().unwrap().contains(&json!("ZohoCRM.modules.ALL")), "{zoho}");
    // No redirect where no browser is sent; nothing at all where nothing is registered.
    let robot = server.get("/v1/connectors/google_service_account").await.expect(200);
    assert_eq!(robot["before_you_start"]["redirect_uri"], Value::Null);
    assert_eq!(server.get("/v1/connectors/stripe").await.expect(200)["before_you_start"], Value::Null);
    let admin = Visitor::founder(&server, &founder).await;
    for page in ["/console/connections/new/zoho_crm", "/console/connectors/zoho_crm"] {
        let page = admin.see(page).await;
        let text = words(&page);
        for part in
            ["Before you start", "Server-based application", &ours, "ZohoCRM.modules.ALL", "Data center"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(page.body.contains("<a href=\"https://api-console.zoho.com\" rel=\"noreferrer noopener\">"));
        let (before, scopes) =
            (page.body.find("Before you start"), page.body.find("type=\"checkbox\" name=\"scopes\""));
        assert!(scopes.is_none_or(|scopes| before.unwrap() < scopes), "before the scopes");
    }
    let plain = words(&admin.see("/console/connections/new/stripe").await);
    assert!(!plain.contains("Before you start"), "{plain}");
    // What somebody wrote into a connector of his own is words.
    let hostile = "\"><script>alert(1)</script>{{7*7}}";
    let document = json!({"name": "Hostile", "base_url": "https://a.example", "documentation_url": "https://a.example/",
        "registration": {"url": "https://a.example/apps?\"><script>alert(1)</script>", "help": hostile},
        "parameters": [{"name": "place", "label": hostile, "help": hostile}],
        "auth": {"type": "oauth2_code", "authorize_url": "https://a.example/a", "token_url": "https://a.example/t"}});
    let refused = server.post("/v1/connectors", document.clone()).await;
    let mut document = document;
    if refused.status != 201 {
        // An address with such characters is none.
        assert_eq!(refused.status, 422, "{}", refused.text);
        document["registration"]["url"] = "https://a.example/apps?a=%22%3E".into();
    }
    let link = server.connector(document).await;
    for page in [format!("/console/connections/new/{link}"), format!("/console/connectors/{link}")] {
        let page = admin.see(&page).await;
        assert!(!page.body.contains("<script>alert") && words(&page).contains("{{7*7}}"), "{}", page.body);
    }
}
