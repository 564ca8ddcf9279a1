//! The console's overview, its connectors and their builder, as a signed-in browser without scripts meets them.

use std::fmt::Write as _;

use jackfield_sandbox::Options;
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::support::{Answer, Home, PASSWORD, Server, consenting, sandbox};
use crate::world::until;

/// A browser that is signed in and follows where it is sent.
struct Visitor {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let _ = write!(out, "%{byte:02X}");
    }
    out
}

/// What a browser reads in an attribute or a text.
fn plain(html: &str) -> String {
    let mut text = html.to_owned();
    for (entity, character) in [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    text
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

/// What a browser would send of the builder's form: the buttons left out.
fn fields(page: &str) -> Vec<(String, String)> {
    let form = page.split("<form").find(|form| form.contains("class=\"builder\"")).unwrap();
    let form = form.split("</form>").next().unwrap();
    let (mut out, mut list): (Vec<(String, String)>, String) = (Vec::new(), String::new());
    for tag in form.split('<').skip(1) {
        let (inside, text) = tag.split_once('>').unwrap_or((tag, ""));
        let attribute = |name: &str| between(inside, &format!(" {name}=\""), "\"").map(plain);
        let name = attribute("name").unwrap_or_default();
        let value = attribute("value").unwrap_or_default();
        match inside.split(' ').next().unwrap() {
            "input" if inside.contains("type=\"checkbox\"") && !inside.ends_with(" checked") => {}
            "input" => out.push((name, value)),
            "textarea" => {
                let text = plain(text.strip_prefix('\n').unwrap_or(text));
                out.push((name, text.replace("\r\n", "\n").replace('\n', "\r\n")));
            }
            "select" => list = name,
            "option" if inside.ends_with(" selected") => out.push((list.clone(), value)),
            // Where none is chosen the browser takes the first.
            "option" if out.iter().all(|(name, _)| *name != list) => out.push((list.clone(), value)),
            _ => {}
        }
    }
    // Of a list what was chosen, not the first before it.
    let mut seen: Vec<(String, String)> = Vec::new();
    for (name, value) in out.into_iter().rev() {
        if name == "levels" || seen.iter().all(|(known, _)| *known != name) {
            seen.push((name, value));
        }
    }
    seen.reverse();
    seen
}

fn set(fields: &mut Vec<(String, String)>, name: &str, value: &str) {
    match fields.iter_mut().find(|(found, _)| found == name) {
        Some((_, found)) => value.clone_into(found),
        None => fields.push((name.to_owned(), value.to_owned())),
    }
}

impl Visitor {
    async fn sign_in(server: &Server, email: &str, password: &str) -> Self {
        let body = json!({"email": email, "password": password});
        let answer = server.with_key("").api("POST", "/v1/sessions", body).await;
        answer.expect(201);
        let cookie = answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, url: server.url.clone(), cookie }
    }

    async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        Answer::of(request.send().await.unwrap()).await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert!(!answer.text.contains(" style=") && !answer.text.contains(" onclick"), "{path}");
        answer.text
    }

    /// As it stands, without what a browser adds by itself.
    async fn send(&self, path: &str, fields: &[(String, String)]) -> Answer {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .header("cookie", &self.cookie)
            .header("origin", &self.url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        Answer::of(request.send().await.unwrap()).await
    }

    /// A small form, with the token of the page it stands on.
    async fn post(&self, page: &str, path: &str, more: &[(&str, &str)]) -> Answer {
        let html = self.page(page).await;
        let token = between(&html, "name=\"form_token\" value=\"", "\"").unwrap();
        let mut fields = vec![("form_token".to_owned(), token.to_owned())];
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.send(path, &fields).await
    }
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.headers["location"].to_str().unwrap().to_owned()
}

const HOSTILE: &str = "\"><script>alert(1)</script>'onx= {{7*7}} \u{202e}gnp";

#[tokio::test]
async fn the_catalogue_is_searched_and_a_connector_is_read() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let visitor = Visitor::sign_in(&server, &founder.email, &founder.password).await;
    let all = visitor.page("/console/connectors").await;
    let count = format!("Built-in <span>{}</span>", jackfield_core::connector::built_in().len());
    for part in ["QuickBooks", "Accounting", &count, "Made by Acme <span>0</span>", "Offered in IN only"] {
        assert!(all.contains(part), "{part}");
    }
    // The first of each category, so that the page stays light; all of one behind a link.
    assert!(!all.contains("FreeAgent") && all.contains("in Accounting</a>"), "too much on one page");
    assert!(visitor.page("/console/connectors?category=accounting").await.contains("FreeAgent"));
    let slipped = visitor.page("/console/connectors?q=salesforse").await;
    assert!(slipped.contains("Salesforce") && !slipped.contains("Trello"));
    let pick = visitor.page("/console/connections/new").await;
    assert!(pick.contains("QuickBooks") && !pick.contains("FreeAgent") && pick.contains("in Accounting</a>"));
    assert!(visitor.page("/console/connections/new?category=accounting").await.contains("FreeAgent"));
    for page in [&all, &pick] {
        assert!(page.len() < 120_000, "{} bytes", page.len());
    }
    let found = visitor.page("/console/connectors?q=invoices&category=accounting").await;
    assert!(found.contains("QuickBooks") && !found.contains("Trello"));
    let none = visitor.page(&format!("/console/connectors?q={}", encoded(HOSTILE))).await;
    assert!(none.contains("No connector fits") && !none.contains("<script>alert"));
    assert!(visitor.page("/console/connectors?kind=custom").await.contains("No connector of your own yet"));
    let one = visitor.page("/console/connectors/quickbooks").await;
    for part in [
        "/oauth/callback",
        "com.intuit.quickbooks.accounting",
        "Client secret",
        "Make your own from it",
        "No connection is made with it",
    ] {
        assert!(one.contains(part), "{part}");
    }
    assert_eq!(visitor.get("/console/connectors/nothing_here").await.status, 404);
    // What is built in is not edited, deleted or disabled.
    assert_eq!(visitor.get("/console/connectors/quickbooks/edit").await.status, 403);
    let path = "/console/connectors/quickbooks/stage";
    assert_eq!(visitor.post("/console", path, &[("step", "disable")]).await.status, 403);
}

#[tokio::test]
async fn a_connector_is_built_without_scripts() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let visitor = Visitor::sign_in(&server, &founder.email, &founder.password).await;
    let new = "/console/connectors/new";
    let mut form = fields(&visitor.page(new).await);
    assert_eq!(form.iter().find(|(name, _)| name == "auth.type").unwrap().1, "oauth2_code");

    // Wrong: each error at its field, everything typed kept, hostile or not.
    for (name, value) in [
        ("name", HOSTILE),
        ("base_url", "ftp://x"),
        ("scopes", "read | Reads | sometimes\r\nwrite"),
        ("description", HOSTILE),
        ("auth.token_url", "https://{nobody}.acme.example/token"),
    ] {
        set(&mut form, name, value);
    }
    let wrong = visitor.send(new, &form).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    for part in ["f-auth-authorize-url-error", "f-scopes-error", "Line 1, access", "<a href=\"#f-scopes\">"] {
        assert!(wrong.text.contains(part), "{part}: {}", wrong.text);
    }
    assert!(!wrong.text.contains("<script>alert") && !wrong.text.contains(" onx="));
    let kept = fields(&wrong.text);
    let of = |fields: &[(String, String)], name: &str| {
        fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(of(&kept, "name"), HOSTILE);
    assert_eq!(of(&kept, "scopes"), "read | Reads | sometimes\r\nwrite");

    // A row comes and goes by a button, and what was typed stays.
    let mut form = kept;
    for (name, value) in [
        ("name", "Acme Parcels"),
        ("base_url", "https://{subdomain}.acme.example/v2"),
        ("scopes", "read | Reads | read | ticked"),
        ("auth.type", "api_key"),
        ("description", "Parcels & more"),
        ("test.path", "/me"),
        ("identity.url", "/me"),
        ("identity.name", "/email"),
    ] {
        set(&mut form, name, value);
    }
    for list in ["parameters", "auth.fields", "parameters"] {
        set(&mut form, "add", list);
        let page = visitor.send(new, &form).await;
        assert_eq!(page.status, 200);
        form = fields(&page.text);
    }
    for (name, value) in [
        ("parameters.0.name", "gone"),
        ("parameters.1.name", "subdomain"),
        ("parameters.1.label", HOSTILE),
        ("auth.fields.0.name", "key"),
        ("auth.fields.0.as", "X-Api-Key"),
    ] {
        set(&mut form, name, value);
    }
    set(&mut form, "remove", "parameters.0");
    let page = visitor.send(new, &form).await;
    assert_eq!(page.status, 200);
    let mut form = fields(&page.text);
    assert_eq!(
        (of(&form, "parameters.0.name"), of(&form, "name")),
        ("subdomain".into(), "Acme Parcels".into())
    );
    assert_eq!(of(&form, "parameters.0.label"), HOSTILE);
    set(&mut form, "parameters.0.label", "Subdomain");

    // As a document, where something is added that the form has no field for; and back.
    set(&mut form, "show", "document");
    let page = visitor.send(new, &form).await;
    let mut text = fields(&page.text);
    let mut document: Value = serde_json::from_str(&of(&text, "text")).unwrap();
    assert_eq!(document["parameters"][0]["name"], "subdomain");
    document["notes"] = "kept".into();
    document["modules"] = json!({"parcel": {"operations": {"list": {"path": "/parcels"}}}});
    set(&mut text, "text", "{");
    let wrong = visitor.send(new, &text).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("f-text-error") && wrong.text.contains("this is no JSON"));
    set(&mut text, "text", &document.to_string());
    set(&mut text, "show", "form");
    let form = fields(&visitor.send(new, &text).await.text);
    assert_eq!(of(&form, "name"), "Acme Parcels");

    let made = visitor.send(new, &form).await;
    assert_eq!(location(&made), "/console/connectors/acme_parcels");
    let stored = server.get("/v1/connectors/acme_parcels").await.expect(200);
    assert_eq!((&stored["stage"], &stored["notes"]), (&json!("draft"), &json!("kept")));
    assert_eq!(stored["modules"]["parcel"]["operations"]["list"]["path"], "/parcels");
    assert_eq!(stored["auth"]["fields"][0]["as"], "X-Api-Key");
    assert_eq!(stored["test"]["path"], "/me");
    assert!(stored.get("scopes").is_none_or(|scopes| scopes[0]["default"] == true));

    // The same name again is refused at its field.
    let mut again = fields(&visitor.page(new).await);
    for (name, value) in [
        ("name", "Other"),
        ("link_name", "acme_parcels"),
        ("base_url", "https://a.example"),
        ("auth.type", "none"),
    ] {
        set(&mut again, name, value);
    }
    let taken = visitor.send(new, &again).await;
    assert!(taken.status == 409 && taken.text.contains("f-link-name-error"), "{}", taken.text);

    // Edited, and by two at a time.
    let path = "/console/connectors/acme_parcels/edit";
    let mut form = fields(&visitor.page(path).await);
    let mut late = form.clone();
    set(&mut form, "name", "Acme Parcels 2");
    assert_eq!(location(&visitor.send(path, &form).await), "/console/connectors/acme_parcels");
    let stored = server.get("/v1/connectors/acme_parcels").await.expect(200);
    assert_eq!((&stored["name"], &stored["notes"]), (&json!("Acme Parcels 2"), &json!("kept")));
    set(&mut late, "name", "Too late");
    let conflict = visitor.send(path, &late).await;
    assert_eq!(conflict.status, 409, "{}", conflict.text);
    assert!(conflict.text.contains("Too late"), "what was typed is kept");

    // Its stages, and its end.
    let own = "/console/connectors/acme_parcels";
    let stage = format!("{own}/stage");
    for (step, word) in [("publish", "Disable"), ("disable", "Enable"), ("enable", "Disable")] {
        assert_eq!(location(&visitor.post(own, &stage, &[("step", step)]).await), own);
        assert!(visitor.page(own).await.contains(word), "{step}");
    }
    let connection = json!({"connector": "acme_parcels", "name": "P", "parameters": {"subdomain": "x"}});
    let link = server.connection(connection).await;
    let delete = format!("{own}/delete");
    assert!(visitor.page(&delete).await.contains("is in use"));
    let refused = visitor.post(&delete, &delete, &[("link_name", "acme_parcels")]).await;
    assert_eq!(refused.status, 409);
    assert_eq!(server.api("DELETE", &format!("/v1/connections/{link}"), Value::Null).await.status, 204);
    let refused = visitor.post(&delete, &delete, &[("link_name", "acme")]).await;
    assert!(refused.status == 422 && refused.text.contains("f-link-name-error"), "{}", refused.text);
    let gone = visitor.post(&delete, &delete, &[("link_name", "acme_parcels")]).await;
    assert_eq!(location(&gone), "/console/connectors?kind=custom");
    assert_eq!(visitor.get(own).await.status, 404);
}

#[tokio::test]
async fn every_connector_of_the_catalogue_is_copied_whole_by_the_form() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let visitor = Visitor::sign_in(&server, &founder.email, &founder.password).await;
    for link in ["github", "trello", "stripe", "zoho_books", "shopify", "google_service_account", "jira"] {
        let mut form = fields(&visitor.page(&format!("/console/connectors/new?from={link}")).await);
        set(&mut form, "link_name", &format!("my_{link}"));
        let made = visitor.send("/console/connectors/new", &form).await;
        assert_eq!(location(&made), format!("/console/connectors/my_{link}"));
        let mut copy = server.get(&format!("/v1/connectors/my_{link}")).await.expect(200);
        let mut first = server.get(&format!("/v1/connectors/{link}")).await.expect(200);
        for view in [&mut copy, &mut first] {
            for own in [
                "link_name",
                "kind",
                "stage",
                "version",
                "created_at",
                "updated_at",
                "verified",
                "sources",
                "notes",
            ] {
                view.as_object_mut().unwrap().remove(own);
            }
        }
        assert_eq!(copy, first, "{link}");
    }
}

#[tokio::test]
async fn forms_are_believed_from_their_pages_and_roles_keep() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let visitor = Visitor::sign_in(&server, &founder.email, &founder.password).await;
    for path in [
        "/console/connectors/new",
        "/console/connectors/x/edit",
        "/console/connectors/x/stage",
        "/console/connectors/x/delete",
    ] {
        let answer = visitor.send(path, &[("name".to_owned(), "x".to_owned())]).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let stranger = Visitor {
        cookie: "jackfield_session=x".to_owned(),
        ..Visitor::sign_in(&server, &founder.email, &founder.password).await
    };
    for path in ["/console", "/console/connectors", "/console/connectors/new", "/console/connectors/github"] {
        assert!(location(&stranger.get(path).await).starts_with("/signin?next="), "{path}");
    }
    let user = server.person("eve", "user").await;
    let eve = Visitor::sign_in(&server, &user.email, PASSWORD).await;
    // She is refused when she opens it, and would be when she sends it.
    assert_eq!(eve.get("/console/connectors/new").await.status, 403);
    let list = eve.page("/console/connectors").await;
    let token = between(&list, "name=\"form_token\" value=\"", "\"").unwrap();
    let form: Vec<_> = fields(&visitor.page("/console/connectors/new").await)
        .into_iter()
        .map(|(name, value)| match name.as_str() {
            "name" => (name, "Hers".to_owned()),
            "base_url" => (name, "https://a.example".to_owned()),
            "auth.type" => (name, "none".to_owned()),
            "form_token" => (name, token.to_owned()),
            _ => (name, value),
        })
        .collect();
    assert_eq!(eve.send("/console/connectors/new", &form).await.status, 403);
    assert!(!eve.page("/console/connectors").await.contains("New connector"));
}

#[tokio::test]
async fn the_overview_says_what_needs_whom() {
    for home in Home::both() {
        let founder = home.init();
        let server = home.serve(&founder.key);
        let visitor = Visitor::sign_in(&server, &founder.email, &founder.password).await;
        let first = visitor.page("/console").await;
        assert!(first.contains("Nothing is plugged in yet") && first.contains("Make the first connection"));

        let developer = server.person("dev", "developer").await;
        let user = server.person("eve", "user").await;
        let keys = sandbox(Options::default()).await;
        let crm = server
            .sandbox_connection(&keys, "sandbox_api_key", json!({"name": HOSTILE.replace('\u{202e}', "")}))
            .await;
        let accepting = consenting().await;
        let own = server
            .sandbox_connection(&accepting, "sandbox", json!({"level": "user", "name": "Own books"}))
            .await;
        let application = server.application("Vendor portal").await;
        let component = format!("/v1/applications/{application}/components/workflow:orders");
        server.api("PUT", &component, json!({"connections": [crm]})).await.expect(200);

        // Never authorized though it is used: for admins with the one action, for a developer with whose it is.
        let page = visitor.page("/console").await;
        for part in [
            "One thing needs you",
            "was never authorized in production",
            "Vendor portal uses it",
            &format!("/console/connections/{crm}/authorize?environment=production"),
            "Map of 1 application, 2 connections and 2 services.",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<script>alert") && page.contains("All of the audit"));
        let dev = Visitor::sign_in(&server, &developer.email, PASSWORD).await;
        let page = dev.page("/console").await;
        assert!(page.contains("An admin has to do that") && !page.contains("All of the audit"), "{page}");
        let eve = Visitor::sign_in(&server, &user.email, PASSWORD).await;
        let page = eve.page("/console").await;
        assert!(
            page.contains("Own books asks for your account") && !page.contains("was never authorized"),
            "{page}"
        );
        assert!(
            page.contains(&format!("/console/connections/{own}/authorize"))
                && !page.contains("Who uses what")
        );

        // Calls are counted, with what failed; and elsewhere there are none.
        let credentials = json!({"api_key": jackfield_sandbox::ADA_API_KEY});
        server
            .post(&format!("/v1/connections/{crm}/authorizations"), json!({"credentials": credentials}))
            .await
            .expect(201);
        for path in ["/vendors", "/vendors", "/nothing-of-the-kind"] {
            server.invoke(&crm, json!({"method": "GET", "url": path, "environment": "production"})).await;
        }
        let page = until("the calls are counted", async || {
            let page = visitor.page("/console").await;
            page.contains("<dd>3</dd>").then_some(page)
        })
        .await;
        for part in ["Nothing needs you", "bar-failed", "failed, 1 call", "33.33", "3 in all"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let token = between(&page, "name=\"form_token\" value=\"", "\"").unwrap().to_owned();
        let sent = [
            ("form_token".to_owned(), token),
            ("environment".to_owned(), "stage".to_owned()),
            ("back".to_owned(), "/console".to_owned()),
        ];
        let chosen = visitor.send("/console/view", &sent).await;
        let cookie = chosen.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap();
        let elsewhere = Visitor {
            cookie: format!("{}; {cookie}", visitor.cookie),
            http: visitor.http.clone(),
            url: visitor.url.clone(),
        };
        assert!(elsewhere.page("/console").await.contains("No call in the last 24 hours in stage"));
    }
}
