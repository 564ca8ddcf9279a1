//! The console's pages of applications, members, accounts, settings and the audit trail, as people of each role meet them.

use jackfield_testkit::browser::Page;
use serde_json::{Value, json};

use crate::pages::{HOSTILE, Visitor, error_at, escaped, heading, news, press, value_of, words};
use crate::support::{Home, PASSWORD, Server};
use crate::upstream::{key, keyed};

/// A connector whose service nobody calls here.
async fn connector(server: &Server) -> String {
    server.connector(keyed("Mirror", "http://127.0.0.1:9", &["127.0.0.1:9"])).await
}

async fn connection(server: &Server, connector: &str, name: &str, level: &str, applications: Value) {
    let new = json!({"connector": connector, "name": name, "link_name": name, "level": level, "applications": applications});
    server.connection(new).await;
}

/// What a page shows this once: the first copyable thing.
fn shown_once(page: &Page) -> String {
    let found = page.body.split_once("class=\"once\"").and_then(|(_, rest)| rest.split_once("<code>"));
    found.and_then(|(_, rest)| rest.split_once("</code>")).map_or("", |(text, _)| text).to_owned()
}

#[tokio::test]
async fn whoever_may_not_do_it_is_refused_when_he_opens_the_form() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connector = connector(&server).await;
    connection(&server, &connector, "mine", "user", json!(["*"])).await;
    server.application("Portal").await;
    let me = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let forms = [
        ("/console/connections/new".to_owned(), "user"),
        (format!("/console/connections/new/{connector}"), "user"),
        ("/console/connections/mine/delete".to_owned(), "user"),
        ("/console/connections/mine/settings".to_owned(), "user"),
        ("/console/connectors/new".to_owned(), "user"),
        (format!("/console/connectors/{connector}/edit"), "user"),
        (format!("/console/connectors/{connector}/test"), "user"),
        (format!("/console/connectors/{connector}/delete"), "user"),
        ("/console/applications/new-application".to_owned(), "user"),
        ("/console/applications/portal/delete".to_owned(), "user"),
        ("/console/members/invite".to_owned(), "developer"),
        (format!("/console/members/{me}/remove"), "admin"),
        (format!("/console/members/{me}/super-admin"), "admin"),
    ];
    let ranks = ["user", "developer", "admin"];
    let mut visitors = Vec::new();
    for role in ranks {
        visitors.push(Visitor::with_role(&server, role).await);
    }
    let founder = Visitor::founder(&server, &founder).await;
    for (path, highest) in &forms {
        for (visitor, role) in visitors.iter().zip(ranks) {
            let page = visitor.open(path).await;
            let refused = ranks.iter().position(|r| r == highest) >= ranks.iter().position(|r| *r == role);
            assert_eq!(matches!(page.status, 403 | 404), refused, "{role} {path}: {}", page.status);
        }
        assert_eq!(founder.open(path).await.status, 200, "{path}");
    }
    // Nor is he led there.
    let user = &visitors[0];
    for path in [
        "/console",
        "/console/connections",
        "/console/connectors",
        "/console/applications",
        "/console/members",
    ] {
        let body = user.open(path).await.body;
        for (form, _) in &forms {
            assert!(!body.contains(&format!("href=\"{form}\"")), "{path} leads to {form}");
        }
    }
    assert!(!visitors[1].see("/console/members").await.body.contains("/console/members/invite"));
    assert!(
        visitors[1].see("/console/applications").await.body.contains("/console/applications/new-application")
    );
    // Help is for everybody.
    for page in ["console", "connectors", "errors", "settings"] {
        user.see(&format!("/console/help/{page}")).await;
    }
    let page = user.open("/console/members/invite").await.follow("What this means").await.unwrap();
    assert_eq!((heading(&page).as_str(), page.url.fragment()), ("Error codes", Some("forbidden")));
    assert_eq!(user.open("/console/help/passwords").await.status, 404);
    let stranger = Visitor::new(&server).open("/console/help/console").await;
    assert_eq!(heading(&stranger), "Sign in");
}

#[tokio::test]
async fn an_application_is_made_equipped_and_deleted() {
    for home in Home::both() {
        let founder = home.init();
        let server = home.serve(&founder.key);
        let connector = connector(&server).await;
        connection(&server, &connector, "vendors", "admin", json!([])).await;
        connection(&server, &connector, "mine", "user", json!(["*"])).await;
        let admin = Visitor::founder(&server, &founder).await;

        let page = admin.see("/console/applications").await;
        assert!(words(&page).contains("No application here yet"), "{}", page.body);
        let page = page.follow("New application").await.unwrap();
        let wrong = press(&page, "Make the application", &[("name", " "), ("link_name", "No Good")]).await;
        assert_eq!(wrong.status, 422);
        assert!(error_at(&wrong, "link_name").contains("a-z"), "{}", wrong.body);
        assert_eq!(value_of(&wrong, "link_name"), "No Good");
        let fields = [("name", "Vendor portal"), ("description", "Pays\r\nvendors")];
        let page = press(&wrong, "Make the application", &[fields[0], fields[1], ("link_name", "")]).await;
        assert_eq!(
            (heading(&page), news(&page)),
            ("Vendor portal".to_owned(), "Vendor portal is made.".to_owned())
        );
        assert_eq!(page.url.path(), "/console/applications/vendor_portal");
        let made = server.get("/v1/applications/vendor_portal").await.expect(200);
        assert_eq!(made["description"], "Pays\nvendors");

        // What it may use, and what it may not until it is allowed.
        assert!(words(&page).contains("mine") && !words(&page).contains("· vendors"), "{}", words(&page));
        let page = page.follow("Allowed").await.unwrap();
        assert!(words(&page).contains("every application may"), "{}", words(&page));
        let page = press(&page, "Allow vendors", &[]).await;
        assert_eq!(news(&page), "It may use vendors from now on.");
        let live = admin.see("/console/applications/vendor_portal").await;
        assert!(live.body.contains("/console/connections/vendors/authorize?environment=production"));
        let page = admin.see("/console/applications/vendor_portal/allowed").await;
        let page = press(&page, "Forbid vendors", &[]).await;
        assert_eq!(news(&page), "Its calls through vendors are refused from now on.");
        let refused = admin
            .post("/console/applications/vendor_portal/allowed", &[("connection", "mine"), ("do", "forbid")])
            .await;
        assert_eq!(refused.status, 409);
        assert!(words(&refused).contains("list those that may"), "{}", words(&refused));

        // Components, and edit mode.
        let page = admin.see("/console/applications/vendor_portal/components").await;
        assert!(words(&page).contains("No component has said anything yet"));
        let path = "/v1/applications/vendor_portal/components/workflow:orders";
        server.api("PUT", path, json!({"connections": ["vendors"]})).await.expect(200);
        let page = admin.see("/console/applications/vendor_portal?component=workflow:orders").await;
        assert!(words(&page).contains("always development") && words(&page).contains("Not allowed"));
        assert!(page.body.contains("/console/connections/vendors/authorize?environment=development"));
        assert!(!words(&page).contains("mine"), "{}", words(&page));
        let page = admin.see("/console/applications/vendor_portal/components").await;
        let page = press(&page, "Remove workflow:orders", &[]).await;
        assert!(news(&page).contains("workflow:orders is gone"));

        // A key, shown once.
        let page = admin.see("/console/applications/vendor_portal/keys").await;
        let wrong = press(&page, "Make the key", &[("name", ""), ("environment", "stage")]).await;
        assert!(!error_at(&wrong, "name").is_empty() && value_of(&wrong, "environment") == "stage");
        let wrong = admin
            .post("/console/applications/vendor_portal/keys", &[("name", "Server"), ("environment", "stage")])
            .await;
        assert!(words(&wrong).contains("Name at least one scope"), "{}", words(&wrong));
        let once = press(&page, "Make the key", &[("name", "Server"), ("environment", "stage")]).await;
        let made = shown_once(&once);
        assert!(made.starts_with("jfa_"), "{}", once.body);
        assert_eq!(once.header("cache-control"), Some("no-store"));
        let own = server.with_key(&made).get("/v1/applications").await.expect(200);
        assert_eq!(own["items"][0]["link_name"], "vendor_portal");
        let page = once.follow("I have copied it").await.unwrap();
        assert!(!page.body.contains(&made) && words(&page).contains("Read, Use"), "{}", words(&page));
        let page = press(&page, "Revoke Server", &[]).await;
        assert!(news(&page).contains("revoked"));
        server.with_key(&made).get("/v1/applications").await.problem(401, "key_revoked");

        // Two people change it at once: the later one sees what is there now.
        let old = admin.see("/console/applications/vendor_portal/settings").await;
        let patch = json!({"name": "Portal of vendors"});
        server.api("PATCH", "/v1/applications/vendor_portal", patch).await.expect(200);
        let again = press(&old, "Save", &[("name", "My name for it")]).await;
        assert_eq!(again.status, 409);
        assert!(words(&again).contains("Portal of vendors") && value_of(&again, "name") == "My name for it");
        let saved = press(&again, "Save", &[]).await;
        assert_eq!((news(&saved), heading(&saved)), ("Saved.".to_owned(), "My name for it".to_owned()));

        // It goes when its link name is typed.
        let page = admin.see("/console/applications/vendor_portal/delete").await;
        assert!(words(&page).contains("What stops working"));
        let wrong = press(&page, "Delete the application", &[("confirm", "vendor")]).await;
        assert_eq!((wrong.status, value_of(&wrong, "confirm")), (422, "vendor".to_owned()));
        assert!(error_at(&wrong, "confirm").contains("Nothing was done"));
        let page = press(&wrong, "Delete the application", &[("confirm", "vendor_portal")]).await;
        assert!(news(&page).contains("vendor_portal is deleted"));
        server.get("/v1/applications/vendor_portal").await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn roles_meet_their_own_pages() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connector = connector(&server).await;
    connection(&server, &connector, "shared", "admin", json!(["*"])).await;
    connection(&server, &connector, "own", "user", json!(["*"])).await;
    let application = server.application("Portal").await;
    let at = |part: &str| format!("/console/applications/{application}{part}");

    let developer = server.person("dev", "developer").await;
    let person = server.person("use", "user").await;
    let as_developer = Visitor::person(&server, &developer).await;
    let as_user = Visitor::person(&server, &person).await;

    // A user sees an application when he has access, and of it what is his.
    assert!(words(&as_user.see("/console/applications").await).contains("No application is yours"));
    assert_eq!(as_user.open(&at("")).await.status, 404);
    let founders = Visitor::founder(&server, &founder).await;
    let page = founders.see(&at("/members")).await;
    let page = press(&page, "Give access", &[("member", &person.id)]).await;
    assert_eq!(news(&page), "use has access.");
    let page = as_user.see(&at("")).await;
    assert!(words(&page).contains("own") && !words(&page).contains("shared"), "{}", words(&page));
    assert!(!page.body.contains(&at("/keys")), "{}", page.body);
    for part in ["/keys", "/components", "/members", "/delete"] {
        assert_eq!(as_user.open(&at(part)).await.status, 403, "{part}");
    }
    for (part, fields) in [
        ("/keys", vec![("name", "x"), ("environment", "stage"), ("scopes", "use")]),
        ("/members", vec![("member", person.id.as_str())]),
        ("/settings", vec![("name", "x")]),
        ("/delete", vec![("confirm", application.as_str())]),
        ("/allowed", vec![("connection", "shared"), ("do", "allow")]),
    ] {
        let page = as_user.post(&at(part), &fields).await;
        assert!([403, 404].contains(&page.status), "{part}: {} {}", page.status, page.body);
    }
    assert_eq!(as_user.post("/console/applications/new-application", &[("name", "x")]).await.status, 403);
    let page = press(&founders.see(&at("/members")).await, "Withdraw the access of use", &[]).await;
    assert!(news(&page).contains("withdrawn"));
    assert_eq!(as_user.open(&at("")).await.status, 404);

    // A developer manages applications, but makes no key that acts for people.
    let page = as_developer.see(&at("/keys")).await;
    assert!(!page.body.contains("act_for") && founders.see(&at("/keys")).await.body.contains("act_for"));
    let fields = [("name", "x"), ("environment", "stage"), ("scopes", "act_for"), ("expires_in_days", "")];
    let page = as_developer.post(&at("/keys"), &fields).await;
    assert_eq!(page.status, 422);
    assert!(words(&page).contains("Here a key can have read, use"), "{}", words(&page));

    // Members: names and roles for everybody, the rest for admins.
    for visitor in [&as_user, &as_developer] {
        let page = visitor.see("/console/members").await;
        assert!(!page.body.contains(&founder.email) && !page.body.contains("Invite somebody"));
        assert_eq!(visitor.post("/console/members/invite", &[("email", "x@y.example")]).await.status, 403);
        assert_eq!(visitor.open("/console/audit").await.status, 403);
        assert_eq!(visitor.open("/console/audit/check").await.status, 403);
        assert_eq!(visitor.post("/console/settings", &[("name", "Mine now")]).await.status, 403);
        assert_eq!(visitor.post("/console/settings/suite", &[("suite", "slack")]).await.status, 403);
        assert!(!visitor.see("/console/settings").await.body.contains("Save"));
    }
    let page = as_user.see(&format!("/console/members/{}", developer.id)).await;
    assert!(
        !page.body.contains(&developer.email) && !words(&page).contains("authorized"),
        "{}",
        words(&page)
    );
    for (part, fields) in [
        ("/role", vec![("role", "admin")]),
        ("/active", vec![("active", "no")]),
        ("/password-reset", vec![]),
        ("/invitation", vec![]),
        ("/hand-over", vec![("to", person.id.as_str())]),
        ("/remove", vec![("confirm", developer.email.as_str())]),
        ("/super-admin", vec![("confirm", "dev")]),
    ] {
        let page = as_user.post(&format!("/console/members/{}{part}", developer.id), &fields).await;
        assert!(page.status >= 400, "{part}: {}", page.body);
    }
    assert_eq!(server.get("/v1/members").await.expect(200)["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn members_are_invited_changed_and_removed() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let page = admin.see("/console/members").await;
    assert!(words(&page).contains("You are alone here"));
    let page = page.follow("Invite somebody").await.unwrap();
    let wrong = press(&page, "Make the invitation", &[("email", "nobody"), ("role", "developer")]).await;
    assert!(error_at(&wrong, "email").contains("e-mail address"), "{}", wrong.body);
    assert_eq!(
        (wrong.status, value_of(&wrong, "email"), value_of(&wrong, "role")),
        (422, "nobody".to_owned(), "developer".to_owned())
    );
    let once = press(&wrong, "Make the invitation", &[("email", "eve@acme.example")]).await;
    let link = shown_once(&once).replace("&#38;", "&");
    assert!(link.starts_with(&format!("{}/invitations?token=", server.url)), "{}", once.body);
    let taken = press(&wrong, "Make the invitation", &[("email", "eve@acme.example")]).await;
    assert!(error_at(&taken, "email").contains("Another member"), "{}", taken.body);

    let list = once.follow("I have copied it").await.unwrap();
    let page = list.follow("eve").await.unwrap();
    assert!(words(&page).contains("Invited") && words(&page).contains("Developer"));
    let again = shown_once(&press(&page, "Make a new link", &[]).await);
    assert_ne!(again, link);
    let path = page.url.path().to_owned();
    let id = path.rsplit('/').next().unwrap().to_owned();
    let token = again.split_once("token=").unwrap().1;
    let joins = json!({"token": token, "password": PASSWORD});
    server.with_key("").api("POST", "/v1/invitations/accept", joins).await.expect(201);
    let eve = Visitor::sign_in(&server, "eve@acme.example", PASSWORD).await;

    server.api("PATCH", &format!("/v1/members/{id}"), json!({"name": "eve"})).await.expect(200);
    // What was shown is old by now; the page says so and has what is there.
    let stale = press(&page, "Change the role", &[("role", "user")]).await;
    assert_eq!(stale.status, 409);
    assert!(words(&stale).contains("Somebody else changed eve"), "{}", words(&stale));
    let page = press(&stale, "Change the role", &[("role", "user")]).await;
    assert_eq!(news(&page), "eve is user from now on.");
    assert_eq!(heading(&eve.open("/console/members").await), "Sign in", "his sessions have ended");
    let page = press(&page, "Deactivate", &[]).await;
    assert!(news(&page).contains("deactivated"), "{}", page.body);
    let page = press(&page, "Reactivate", &[]).await;
    assert!(news(&page).contains("may come back"));
    let reset = shown_once(&press(&page, "Make a link", &[]).await);
    assert!(reset.contains("/password-reset?token="), "{reset}");
    // Nobody gets to be super admin by the form for roles.
    let refused = admin.post(&format!("{path}/role"), &[("role", "super_admin")]).await;
    assert_eq!(refused.status, 422);

    // Removed for good, when the address is typed.
    let page = admin.see(&format!("{path}/remove")).await;
    let wrong = press(&page, "Remove eve", &[("confirm", "eve")]).await;
    assert!(error_at(&wrong, "confirm").contains("Nothing was done"));
    let page = press(&wrong, "Remove eve", &[("confirm", "eve@acme.example")]).await;
    assert_eq!((news(&page).as_str(), page.url.path()), ("eve is removed.", "/console/members"));
    server.get(&format!("/v1/members/{id}")).await.problem(404, "not_found");

    // The super admin gives his role away and stays signed in, under another token.
    let heir = server.person("heir", "admin").await;
    let page = admin.see(&format!("/console/members/{}/super-admin", heir.id)).await;
    assert!(words(&page).contains("You become admin"));
    let before = admin
        .browser
        .cookies()
        .iter()
        .find(|cookie| cookie.name == "jackfield_session")
        .unwrap()
        .value
        .clone();
    let page = press(&page, "Give the role away", &[("confirm", &heir.email)]).await;
    assert_eq!(news(&page), "heir is super admin. You are admin from now on.");
    let after = admin
        .browser
        .cookies()
        .iter()
        .find(|cookie| cookie.name == "jackfield_session")
        .unwrap()
        .value
        .clone();
    assert_ne!(before, after);
    assert!(!admin.see(&format!("/console/members/{}", heir.id)).await.body.contains("Deactivate"));
}

#[tokio::test]
async fn what_a_member_authorized_is_shown_and_handed_over() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connector = connector(&server).await;
    connection(&server, &connector, "shared", "admin", json!(["*"])).await;
    connection(&server, &connector, "own", "user", json!(["*"])).await;
    let second = server.person("second", "admin").await;
    let visitor = Visitor::person(&server, &second).await;

    let page = visitor.see("/console/accounts").await;
    assert_eq!(heading(&page), "1 connection asks for your account");
    assert!(page.body.contains("/console/connections/own/authorize?environment=production"));
    assert!(words(&page).contains("Begin with what asks for you"));
    for (name, at) in [("shared", "Acme"), ("own", "Second at home")] {
        let path = format!("/v1/connections/{name}/authorizations");
        let body = json!({"credentials": key(), "account_name": at});
        server.as_person(&second).api("POST", &path, body).await.expect(201);
    }
    let page = visitor.see("/console/accounts").await;
    assert_eq!(heading(&page), "My accounts");
    assert!(
        words(&page).contains("Second at home") && words(&page).contains("You alone"),
        "{}",
        words(&page)
    );

    let admin = Visitor::founder(&server, &founder).await;
    let page = admin.see(&format!("/console/members/{}", second.id)).await;
    assert!(words(&page).contains("Acme") && words(&page).contains("Second at home"));
    let me = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let wrong = admin.post(&format!("/console/members/{}/hand-over", second.id), &[("to", &second.id)]).await;
    assert_eq!(wrong.status, 422);
    assert!(error_at(&wrong, "to").contains("another active member"), "{}", wrong.body);
    let page = press(&page, "Hand over", &[("to", &me)]).await;
    assert_eq!(
        news(&page),
        "1 authorization was handed over. 1 was not: personal accounts stay with their owner."
    );
    let page = admin.see(&format!("/console/members/{}/remove", second.id)).await;
    assert!(words(&page).contains("1 authorization"), "{}", words(&page));
    assert!(words(&admin.see("/console/accounts").await).contains("The organization"));
}

#[tokio::test]
async fn settings_are_read_and_changed() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let admin = Visitor::founder(&server, &founder).await;
    let old = admin.see("/console/settings").await;
    let wrong = press(&old, "Save", &[("region", "EU!"), ("name", "New name")]).await;
    assert!(error_at(&wrong, "region").contains("short word"), "{}", wrong.body);
    assert_eq!(
        (value_of(&wrong, "name"), value_of(&wrong, "region")),
        ("New name".to_owned(), "EU!".to_owned())
    );
    let saved = press(&wrong, "Save", &[("region", "eu"), ("connections_managed_by", "admins")]).await;
    assert_eq!(news(&saved), "Saved.");
    let organization = server.get("/v1/organization").await.expect(200);
    assert_eq!(
        (&organization["region"], &organization["connections_managed_by"]),
        (&json!("eu"), &json!("admins"))
    );
    let stale = press(&old, "Save", &[("name", "Another name")]).await;
    assert_eq!(stale.status, 409);
    assert!(words(&stale).contains("New name") && value_of(&stale, "name") == "Another name");
    assert_eq!(news(&press(&stale, "Save", &[]).await), "Saved.");
    let version = server.get("/v1/organization").await.expect(200)["version"].to_string();
    let fields = [("suite", "slack"), ("suite", "github"), ("version", version.as_str())];
    assert_eq!(news(&admin.post("/console/settings/suite", &fields).await), "Saved.");
    assert_eq!(server.get("/v1/organization").await.expect(200)["suite"], json!(["slack", "github"]));
    let unknown = admin.post("/console/settings/suite", &[("suite", "nothing_of_this")]).await;
    assert_eq!(unknown.status, 422);
    let second = server.person("second", "admin").await;
    let other = Visitor::person(&server, &second).await;
    assert!(!other.see("/console/settings").await.body.contains("Save the suite"));
    assert_eq!(other.post("/console/settings/suite", &[]).await.status, 403, "the super admin's alone");

    // One's own name and password: the other session ends, this one goes on under another token.
    let page = other.see("/console/settings/you").await;
    let page = press(&page, "Save", &[("name", "Second Person")]).await;
    assert!(page.body.contains("<b>Second Person</b>"), "{}", page.body);
    let elsewhere = Visitor::person(&server, &second).await;
    let wrong =
        press(&page, "Change the password", &[("current", "not this one"), ("new", "a wholly new one")])
            .await;
    assert!(error_at(&wrong, "current").contains("not your present"), "{}", wrong.body);
    assert!(!wrong.body.contains("not this one") && !wrong.body.contains("a wholly new one"));
    let short = press(&wrong, "Change the password", &[("current", PASSWORD), ("new", "short")]).await;
    assert!(!error_at(&short, "new").is_empty(), "{}", short.body);
    let page =
        press(&short, "Change the password", &[("current", PASSWORD), ("new", "a wholly new one")]).await;
    assert!(news(&page).contains("Your password is changed"), "{}", page.body);
    assert_eq!(heading(&elsewhere.open("/console/settings").await), "Sign in");
    other.see("/console/settings").await;

    // Sessions.
    let third = Visitor::sign_in(&server, &second.email, "a wholly new one").await;
    let fourth = Visitor::sign_in(&server, &second.email, "a wholly new one").await;
    let page = other.see("/console/settings/sessions").await;
    assert!(words(&page).contains("This one"));
    let sessions = third.see("/console/settings/sessions").await;
    let own = sessions.forms().iter().filter(|form| form.action.ends_with("/end")).count();
    assert_eq!(own, 2, "{}", sessions.body);
    let page = press(&page, "End all others", &[]).await;
    assert!(
        news(&page).contains("2 sessions are ended") && words(&page).contains("signed in here alone"),
        "{}",
        page.body
    );
    for gone in [&third, &fourth] {
        assert_eq!(heading(&gone.open("/console/settings").await), "Sign in");
    }
    let foreign = admin.see("/console/settings/sessions").await;
    assert!(words(&foreign).contains("signed in here alone"));

    // Keys of one's own.
    let page = other.see("/console/settings/keys").await;
    let wrong = press(&page, "Make the key", &[("name", ""), ("expires_in_days", "30")]).await;
    assert!(!error_at(&wrong, "name").is_empty() && value_of(&wrong, "expires_in_days") == "30");
    let once = press(&wrong, "Make the key", &[("name", "Laptop")]).await;
    let made = shown_once(&once);
    assert!(made.starts_with("jfp_"), "{}", once.body);
    assert_eq!(server.with_key(&made).get("/v1/me").await.expect(200)["email"], second.email);
    let list = once.follow("I have copied it").await.unwrap();
    assert!(!list.body.contains(&made));
    let page = press(&list, "Revoke Laptop", &[]).await;
    assert!(news(&page).contains("revoked"));
    server.with_key(&made).get("/v1/me").await.problem(401, "key_revoked");

    assert!(words(&other.see("/console/settings/plan").await).contains("Nothing is limited here"));
    let about = other.see("/console/settings/about").await;
    assert!(about.body.contains("/openapi.json") && words(&about).contains("Search connections"));
}

#[tokio::test]
async fn the_audit_trail_is_read_as_sentences_and_checked() {
    for (home, reached) in Home::both().into_iter().zip([false, true]) {
        let founder = home.init();
        let server = home.serve(&founder.key);
        let connector = connector(&server).await;
        connection(&server, &connector, "vendors", "admin", json!(["*"])).await;
        let path = "/v1/connections/vendors/authorizations";
        server.post(path, json!({"credentials": key()})).await.expect(201);
        let person = server.person("bob", "user").await;
        server.api("DELETE", &format!("/v1/members/{}", person.id), Value::Null).await;
        let admin = Visitor::founder(&server, &founder).await;

        let page = admin.see("/console/audit").await;
        let text = words(&page);
        for sentence in [
            "authorized vendors",
            "made the connection vendors to mirror",
            "removed bob@acme.example",
            "a former member accepted the invitation",
        ] {
            assert!(text.contains(sentence), "{sentence}: {text}");
        }
        assert!(!page.body.contains("s3cret-key"));
        let page = press(&page, "Filter", &[("action", "connection"), ("connection", "vendors")]).await;
        assert!(
            words(&page).contains("made the connection") && !words(&page).contains("removed bob"),
            "{}",
            words(&page)
        );
        assert_eq!(value_of(&page, "action"), "connection");
        let page = press(&page, "Filter", &[("until", "2020-01-01")]).await;
        assert!(words(&page).contains("Nothing fits"));
        let wrong = press(&page, "Filter", &[("from", "soon")]).await;
        assert_eq!((wrong.status, value_of(&wrong, "from")), (422, "soon".to_owned()));
        assert!(error_at(&wrong, "from").contains("2026-11-22"));

        let page = wrong.follow("Check the chain").await.unwrap();
        assert!(words(&page).contains("The chain is whole"), "{}", words(&page));
        if reached {
            home.sql("update audit set actor = 'mem_other' where seq = 2");
            let page = admin.see("/console/audit/check").await;
            assert!(
                words(&page).contains("The chain is broken") && words(&page).contains("Row 2"),
                "{}",
                words(&page)
            );
        }
    }
}

#[tokio::test]
async fn hostile_words_are_words_and_forged_forms_are_refused() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let connector = connector(&server).await;
    let admin = Visitor::founder(&server, &founder).await;
    for (at, hostile) in HOSTILE.iter().enumerate() {
        let new = json!({"name": hostile, "description": hostile, "link_name": format!("app_{at}")});
        server.post("/v1/applications", new).await.expect(201);
        let new = json!({"connector": connector, "name": hostile, "link_name": format!("con_{at}"), "level": "user"});
        server.connection(new).await;
        let name = format!("/v1/connections/con_{at}/authorizations");
        server.post(&name, json!({"credentials": key(), "account_name": hostile})).await.expect(201);
        let new = json!({"email": format!("h{at}@acme.example"), "name": hostile});
        let id =
            server.post("/v1/members", new).await.expect(201)["member"]["id"].as_str().unwrap().to_owned();
        server.post(&format!("/v1/applications/app_{at}/members"), json!({"member": id})).await.expect(201);
        let new = json!({"name": hostile, "environment": "stage"});
        server.post(&format!("/v1/applications/app_{at}/keys"), new).await.expect(201);
        server.post("/v1/me/keys", json!({"name": hostile})).await.expect(201);
        let app = format!("/console/applications/app_{at}");
        for path in [
            "/console/applications".to_owned(),
            app.clone(),
            format!("{app}/allowed"),
            format!("{app}/keys"),
            format!("{app}/members"),
            format!("{app}/settings"),
            format!("{app}/delete"),
            "/console/members".to_owned(),
            format!("/console/members/{id}"),
            format!("/console/members/{id}/remove"),
            "/console/accounts".to_owned(),
            "/console/settings/keys".to_owned(),
            "/console/audit".to_owned(),
        ] {
            escaped(&admin.see(&path).await, hostile);
        }
        for path in ["/console/applications/new-application", "/console/settings", "/console/members/invite"]
        {
            let page = admin
                .post(
                    path,
                    &[("name", hostile), ("link_name", hostile), ("region", hostile), ("email", hostile)],
                )
                .await;
            assert_eq!(page.status, 422, "{path}: {}", page.body);
            escaped(&page, hostile);
        }
        for query in ["action", "actor", "connection", "from"] {
            let page = admin.open(&format!("/console/audit?{query}={}", percent(hostile))).await;
            escaped(&page, hostile);
        }
    }
    for (path, fields) in [
        ("/console/applications/new-application", vec![("name", "x")]),
        ("/console/applications/app_0/allowed", vec![("connection", "con_0"), ("do", "allow")]),
        ("/console/applications/app_0/components", vec![("component", "workflow:x")]),
        (
            "/console/applications/app_0/keys",
            vec![("name", "x"), ("environment", "stage"), ("scopes", "use")],
        ),
        ("/console/applications/app_0/settings", vec![("name", "x")]),
        ("/console/applications/app_0/delete", vec![("confirm", "app_0")]),
        ("/console/members/invite", vec![("email", "forged@acme.example")]),
        ("/console/settings", vec![("name", "x"), ("region", "eu"), ("connections_managed_by", "admins")]),
        ("/console/settings/you", vec![("name", "x")]),
        (
            "/console/settings/password",
            vec![("current", founder.password.as_str()), ("new", "a wholly new one")],
        ),
        ("/console/settings/sessions", vec![]),
        ("/console/settings/keys", vec![("name", "x"), ("scopes", "read")]),
    ] {
        admin.refuses_forgeries(path, &fields).await;
    }
    server.get("/v1/applications/app_0").await.expect(200);
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| format!("{out}%{byte:02X}"))
}
