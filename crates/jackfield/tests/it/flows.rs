//! Flows (product N7): a browser goes to the service and comes back, or does not, or comes back wrongly.

use jackfield_sandbox::{Fault, Options, Place, Running};
use jackfield_testkit::browser::{Browser, Cookie, Page, SameSite};
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::journey::{
    Brought, authorization, authorize_as, bring, bring_by, caller, flow, free_port, held, statuses,
    to_consent, try_bring,
};
use crate::support::{Answer, Home, Server, consenting, sandbox};
use crate::world::until;

/// How often the token endpoint was asked.
fn exchanges(sandbox: &Running) -> u64 {
    sandbox.handle.counters().token_requests
}

/// What every page of a flow must say in its headers.
#[track_caller]
fn guarded(headers: &reqwest::header::HeaderMap) {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(text("cache-control"), "no-store");
    assert_eq!(text("referrer-policy"), "no-referrer");
    let policy = text("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
}

/// A page that refuses, and is guarded like any other.
#[track_caller]
fn refused(page: &Page) {
    assert!((400..500).contains(&page.status), "{} {}", page.status, page.body);
    guarded(&page.headers);
    assert!(page.body.contains("<h1>"), "no page for a person: {}", page.body);
}

async fn consenting_with(document: &str, home: &Home) -> (Running, Server, String) {
    let sandbox = consenting().await;
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, document, json!({})).await;
    (sandbox, server, connection)
}

#[tokio::test]
async fn a_person_signs_in_and_consents() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let me = server.get("/v1/me").await.expect(200);
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
    assert_eq!(statuses(&server, &connection).await, ["not_connected"; 3]);

    let begun = server.begin_flow(&connection, json!({})).await;
    let id = begun["id"].as_str().unwrap();
    assert_eq!(begun["state"], "pending");
    assert_eq!((&begun["authorization"], &begun["error"]), (&Value::Null, &Value::Null));
    let start = begun["start_url"].as_str().unwrap();
    assert!(start.starts_with(&format!("{}/flows/{id}/start?", server.url)), "{start}");
    let life = |name: &str| begun[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let seconds = life("expires_at").duration_since(life("created_at")).as_secs();
    assert_eq!(seconds, 90);

    let browser = Browser::new();
    let page = to_consent(&browser, start, "Lin").await;
    assert!(page.body.contains("Lin Berg"), "{}", page.body);
    assert_eq!(flow(&server, id).await["state"], "pending");
    assert_eq!(exchanges(&sandbox), 0);
    let page = page.submit("Allow", &[]).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("Connected as lin@sandbox.example"), "{}", page.body);
    guarded(&page.headers);

    let ended = flow(&server, id).await;
    assert_eq!(ended["state"], "authorized");
    assert_eq!((&ended["error"], &ended["start_url"]), (&Value::Null, &Value::Null));
    assert_eq!(ended["warnings"], json!([]));
    let view = authorization(&server, &connection, &ended["authorization"]).await;
    assert_eq!(view["account_name"], "lin@sandbox.example");
    assert_eq!(view["connector"], "sandbox");
    assert_eq!(view["owner"], me["id"]);
    assert_eq!(view["environments"], json!(["development", "stage", "production"]));
    assert_eq!(view["scopes"], json!(["profile", "vendors:read"]), "the default scopes");
    assert_eq!(view["missing_scopes"], json!([]));
    assert_eq!(view["status"], "connected");
    assert!(view["expires_at"].is_string());
    assert_eq!((&view["last_refreshed_at"], &view["attributes"]), (&Value::Null, &json!({})));
    assert_eq!(statuses(&server, &connection).await, ["connected"; 3]);
    for environment in ["development", "stage", "production"] {
        assert_eq!(caller(&server, &connection, environment).await, "lin@sandbox.example");
    }
    let counters = sandbox.handle.counters();
    assert_eq!((counters.codes, counters.grants.get("authorization_code")), (1, Some(&1)));

    // A link that has served leads nowhere, and takes nothing away.
    refused(&browser.get(start).await.unwrap());
    assert_eq!(flow(&server, id).await, ended);

    // Nobody else may know of a flow.
    let other = home.organization("Other");
    for method in ["GET", "DELETE"] {
        let path = format!("/v1/flows/{id}");
        server.with_key(&other.key).api(method, &path, Value::Null).await.problem(404, "not_found");
    }
    server.get("/v1/flows/flw_nothing").await.problem(404, "not_found");
}

#[tokio::test]
async fn a_person_says_no() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    for (document, state) in [("sandbox", "state"), ("sandbox_oauth1", "denied")] {
        let connection = server.sandbox_connection(&sandbox, document, json!({})).await;
        let begun = server.begin_flow(&connection, json!({})).await;
        let (id, start) = (begun["id"].as_str().unwrap(), begun["start_url"].as_str().unwrap());
        let browser = Browser::new();
        let page = to_consent(&browser, start, "Ada").await.submit("Deny", &[]).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.query(state).is_some(), "{}", page.url);
        assert!(page.body.contains("was not connected"), "{}", page.body);
        guarded(&page.headers);
        let ended = flow(&server, id).await;
        assert_eq!(ended["state"], "denied");
        assert_eq!(ended["error"]["code"], "access_denied");
        assert!(!ended["error"]["detail"].as_str().unwrap().is_empty());
        assert_eq!(ended["authorization"], Value::Null);
        assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
        assert_eq!(statuses(&server, &connection).await, ["not_connected"; 3]);
        // It is over: neither the answer again nor the link again changes that.
        refused(&browser.get(page.url.as_str()).await.unwrap());
        refused(&browser.get(start).await.unwrap());
        assert_eq!(flow(&server, id).await, ended);
    }
    assert_eq!(exchanges(&sandbox), 0);
    assert!(sandbox.handle.grants().is_empty());
}

#[tokio::test]
async fn what_goes_wrong_at_the_service_ends_the_flow_and_spends_the_state() {
    let home = Home::sqlite();
    let (sandbox, server, connection) = consenting_with("sandbox", &home).await;
    for (fault, words) in [
        (Fault::OAuthError("invalid_grant".to_owned()), "invalid_grant"),
        (Fault::ErrorIn200("code_already_used".to_owned()), "code_already_used"),
        (Fault::Status(500), "500"),
        (Fault::Html, "200"),
        (Fault::Truncated, "token endpoint"),
        (Fault::ResetAfterProcessing, "token endpoint"),
    ] {
        sandbox.handle.set_fault(fault.clone(), Some(1));
        let brought = bring(&server, &connection, json!({})).await;
        let before = exchanges(&sandbox);
        let page = brought.arrive().await;
        refused(&page);
        let ended = flow(&server, &brought.id).await;
        assert_eq!(
            (ended["state"].as_str(), ended["error"]["code"].as_str()),
            (Some("failed"), Some("provider_error")),
            "{fault:?}"
        );
        let detail = ended["error"]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{fault:?}: {detail}");
        assert!(page.body.contains("could not be connected"), "{}", page.body);
        refused(&brought.arrive().await);
        assert_eq!(exchanges(&sandbox), before + 1, "{fault:?}: the code went out once");
        assert_eq!(flow(&server, &brought.id).await, ended);
    }

    // The credential does not do: the test operation refuses it.
    sandbox.handle.set_fault_at(Place::ApiPath("/companies".to_owned()), Fault::Status(403), Some(1));
    let brought = bring(&server, &connection, json!({})).await;
    refused(&brought.arrive().await);
    let ended = flow(&server, &brought.id).await;
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("failed"), &json!("provider_error")));
    assert!(ended["error"]["detail"].as_str().unwrap().contains("403"), "{ended}");

    // The service says in the callback that it will not.
    let brought = bring(&server, &connection, json!({})).await;
    let before = exchanges(&sandbox);
    let error = brought.callback_with(&[("code", None), ("error", Some("temporarily_unavailable"))]);
    refused(&brought.browser.get(&error).await.unwrap());
    let ended = flow(&server, &brought.id).await;
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("failed"), &json!("provider_error")));
    assert!(ended["error"]["detail"].as_str().unwrap().contains("temporarily_unavailable"), "{ended}");
    // The good code that comes afterwards comes too late.
    refused(&brought.arrive().await);
    assert_eq!(exchanges(&sandbox), before);

    assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
    assert_eq!(statuses(&server, &connection).await, ["not_connected"; 3]);

    // OAuth1: without a request token there is nowhere to go.
    let old = server.sandbox_connection(&sandbox, "sandbox_oauth1", json!({})).await;
    sandbox.handle.set_fault_at(Place::OAuth1, Fault::Status(500), Some(1));
    let begun = server.begin_flow(&old, json!({})).await;
    refused(&Browser::new().get(begun["start_url"].as_str().unwrap()).await.unwrap());
    let ended = flow(&server, begun["id"].as_str().unwrap()).await;
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("failed"), &json!("provider_error")));
    let brought = bring(&server, &old, json!({})).await;
    sandbox.handle.set_fault_at(Place::OAuth1, Fault::Status(401), Some(1));
    refused(&brought.arrive().await);
    refused(&brought.arrive().await);
    assert_eq!(flow(&server, &brought.id).await["state"], "failed");
    assert_eq!(held(&server, &old).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_code_that_arrives_late_is_never_exchanged() {
    let home = Home::sqlite().set("JACKFIELD_FLOW_TTL", "2");
    let sandbox = consenting().await;
    let server = home.start();
    for document in ["sandbox", "sandbox_oauth1"] {
        let connection = server.sandbox_connection(&sandbox, document, json!({})).await;
        // A machine that is busy may not be quick enough the first time.
        let brought = until("a flow at its callback in time", async || {
            try_bring(&server, &Browser::new(), &connection, json!({})).await.ok()
        })
        .await;
        let grants = sandbox.handle.grants();
        let expired = until("the flow expires", async || {
            let now = flow(&server, &brought.id).await;
            (now["state"] != "pending").then_some(now)
        })
        .await;
        assert_eq!(
            (&expired["state"], &expired["error"]["code"]),
            (&json!("expired"), &json!("flow_expired"))
        );
        assert_eq!(expired["start_url"], Value::Null);
        let page = brought.arrive().await;
        refused(&page);
        assert!(page.body.contains("The time is over"), "{}", page.body);
        refused(&brought.arrive().await);
        refused(&brought.browser.get(&brought.start).await.unwrap());
        refused(&Browser::new().get(&brought.start).await.unwrap());
        assert_eq!(flow(&server, &brought.id).await, expired);
        let path = format!("/v1/flows/{}", brought.id);
        let answer = server.api("DELETE", &path, Value::Null).await;
        assert!((400..500).contains(&answer.status), "{}", answer.text);
        assert_eq!(exchanges(&sandbox), 0);
        assert_eq!(sandbox.handle.grants(), grants, "no access token was asked for");
        assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
        assert_eq!(statuses(&server, &connection).await, ["not_connected"; 3]);
    }
}

#[tokio::test]
async fn a_cancelled_flow_stays_cancelled() {
    let home = Home::sqlite();
    let (sandbox, server, connection) = consenting_with("sandbox", &home).await;
    let brought = bring(&server, &connection, json!({})).await;
    let path = format!("/v1/flows/{}", brought.id);
    let cancelled = server.api("DELETE", &path, Value::Null).await.expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    refused(&brought.arrive().await);
    refused(&brought.browser.get(&brought.start).await.unwrap());
    let answer = server.api("DELETE", &path, Value::Null).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert_eq!(flow(&server, &brought.id).await["state"], "cancelled");
    assert_eq!(exchanges(&sandbox), 0);
    assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
    // One that is authorized cannot be cancelled any more.
    let brought = bring(&server, &connection, json!({})).await;
    assert_eq!(brought.arrive().await.status, 200);
    let path = format!("/v1/flows/{}", brought.id);
    assert_eq!(server.api("DELETE", &path, Value::Null).await.status, 409);
    assert_eq!(statuses(&server, &connection).await, ["connected"; 3]);
}

#[tokio::test]
async fn a_state_serves_once() {
    for home in Home::both() {
        let sandbox = consenting().await;
        let server = home.start();
        for document in ["sandbox", "sandbox_oauth1"] {
            let connection = server.sandbox_connection(&sandbox, document, json!({})).await;
            // Six at once: one is believed.
            let brought = bring(&server, &connection, json!({})).await;
            sandbox.handle.reset_counters();
            let mut pages = Vec::new();
            let tasks: Vec<_> = (0..6)
                .map(|_| {
                    let (browser, callback) = (brought.browser.clone(), brought.callback.clone());
                    tokio::spawn(async move { browser.get(&callback).await.unwrap() })
                })
                .collect();
            for task in tasks {
                pages.push(task.await.unwrap());
            }
            let good = pages.iter().filter(|page| page.status == 200).count();
            assert_eq!(good, 1, "{:?}", pages.iter().map(|page| page.status).collect::<Vec<_>>());
            pages.iter().filter(|page| page.status != 200).for_each(refused);
            let ended = flow(&server, &brought.id).await;
            assert_eq!(ended["state"], "authorized");
            let before = held(&server, &connection).await;
            assert_eq!(before.len(), 1);

            // And later: nothing changes.
            refused(&brought.arrive().await);
            refused(&Browser::new().get(&brought.callback).await.unwrap());
            assert_eq!(flow(&server, &brought.id).await, ended);
            assert_eq!(held(&server, &connection).await, before);
            let exchanged = u64::from(document == "sandbox");
            assert_eq!(exchanges(&sandbox), exchanged, "{document}");
            assert_eq!(caller(&server, &connection, "production").await, "ada@sandbox.example");
        }
        // A second exchange of a code would have ended the grant; a second access token would be one too many.
        assert_eq!(sandbox.handle.grants().len(), 2);
    }
}

/// The cookie by which a browser owns a flow.
fn flow_cookie(browser: &Browser, flow: &str) -> Cookie {
    let mut found: Vec<Cookie> = browser.cookies().into_iter().filter(|c| c.name.contains(flow)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn a_callback_is_believed_from_the_flows_own_browser_alone() {
    let home = Home::sqlite();
    let sandbox = consenting().await;
    let server = home.start();
    for document in ["sandbox", "sandbox_oauth1"] {
        let connection = server.sandbox_connection(&sandbox, document, json!({})).await;
        let brought = bring(&server, &connection, json!({})).await;
        let other = bring(&server, &connection, json!({})).await;
        let before = (exchanges(&sandbox), sandbox.handle.grants().len());
        let untouched = async |what: &str| {
            assert_eq!(flow(&server, &brought.id).await["state"], "pending", "{document}: {what}");
            assert_eq!(flow(&server, &other.id).await["state"], "pending", "{document}: {what}");
            assert_eq!((exchanges(&sandbox), sandbox.handle.grants().len()), before, "{document}: {what}");
        };

        refused(&Browser::new().get(&brought.callback).await.unwrap());
        untouched("a browser without a cookie").await;
        refused(&other.browser.get(&brought.callback).await.unwrap());
        untouched("the browser of another flow").await;
        let thief = Browser::new();
        let own = flow_cookie(&brought.browser, &brought.id);
        let foreign = flow_cookie(&other.browser, &other.id);
        thief.set_cookie(Cookie { value: foreign.value.clone(), ..own.clone() });
        refused(&thief.get(&brought.callback).await.unwrap());
        untouched("another flow's cookie under this flow's name").await;
        thief.set_cookie(Cookie { value: String::new(), ..own.clone() });
        refused(&thief.get(&brought.callback).await.unwrap());
        untouched("an empty cookie").await;

        // Not what the service sent: the right browser, the wrong words.
        let word = if document == "sandbox" { "state" } else { "oauth_token" };
        for (what, wrong) in [
            ("unknown", brought.callback_with(&[(word, Some("nobody-knows-this-state"))])),
            ("empty", brought.callback_with(&[(word, Some(""))])),
            ("missing", brought.callback_with(&[(word, None)])),
            (
                "the other flow's",
                brought.callback_with(&[(
                    word,
                    other
                        .page
                        .location()
                        .unwrap()
                        .query_pairs()
                        .find(|(n, _)| n == word)
                        .map(|(_, v)| v.into_owned())
                        .as_deref(),
                )]),
            ),
            ("twice", format!("{}&{word}=x", brought.callback)),
            ("error twice", format!("{}&error=a&error=b", brought.callback)),
            ("code twice", format!("{}&code=x&code=y", brought.callback)),
            ("verifier twice", format!("{}&oauth_verifier=x&oauth_verifier=y", brought.callback)),
            ("iss twice", format!("{}&iss=x&iss=y", brought.callback)),
            ("too long", format!("{}&x={}", brought.callback, "x".repeat(20_000))),
            ("nothing", format!("{}/oauth/callback", server.url)),
        ] {
            refused(&brought.browser.get(&wrong).await.unwrap());
            untouched(what).await;
        }

        // A forged refusal is no more believed than a forged grant.
        let refusal = brought.callback_with(&[("code", None), ("error", Some("access_denied"))]);
        if document == "sandbox" {
            refused(&other.browser.get(&refusal).await.unwrap());
        } else {
            let token = brought.page.location().unwrap();
            let token = token.query_pairs().find(|(n, _)| n == "oauth_token").unwrap().1.into_owned();
            let denied = format!("{}/oauth/callback?denied={token}", server.url);
            refused(&other.browser.get(&denied).await.unwrap());
        }
        untouched("a refusal from another browser").await;

        // After all that, each flow's own browser still gets through.
        for flow_of in [&brought, &other] {
            assert_eq!(flow_of.arrive().await.status, 200);
            assert_eq!(flow(&server, &flow_of.id).await["state"], "authorized");
        }
    }
}

#[tokio::test]
async fn the_first_browser_owns_the_flow() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    for document in ["sandbox", "sandbox_oauth1"] {
        let connection = server.sandbox_connection(&sandbox, document, json!({})).await;
        let begun = server.begin_flow(&connection, json!({})).await;
        let (id, start) = (begun["id"].as_str().unwrap(), begun["start_url"].as_str().unwrap());

        // Links that are wrong claim nothing.
        let wrong = [
            format!("{}/flows/{id}/start?token=wrong", server.url),
            format!("{}/flows/{id}/start?token=", server.url),
            format!("{}/flows/{id}/start", server.url),
            format!("{}{}", start, "x"),
            start.replace(id, "flw_00000000000000000000000000"),
        ];
        for link in wrong {
            let page = Browser::new().get(&link).await.unwrap();
            assert_eq!(page.status, 404, "{link}");
            guarded(&page.headers);
            assert!(page.headers.get("set-cookie").is_none());
        }

        let browser = Browser::new();
        let first = browser.get(start).await.unwrap();
        assert!(first.url.as_str().starts_with(&sandbox.url), "{}", first.url);
        let to_service = |page: &Page| page.hops[1].url.clone();
        let again = browser.get(start).await.unwrap();
        assert!(again.url.as_str().starts_with(&sandbox.url), "it goes on: {} {}", again.status, again.body);
        if document == "sandbox_oauth1" {
            assert_eq!(to_service(&first), to_service(&again), "the request token is used again");
        }
        let stranger = Browser::new();
        let page = stranger.get(start).await.unwrap();
        assert_eq!(page.status, 403, "{}", page.body);
        guarded(&page.headers);
        assert!(stranger.cookies().is_empty());

        // Its own browser goes on from the second opening.
        let person = jackfield_sandbox::person("Ada").unwrap();
        let fields = [("email", person.email), ("password", person.password)];
        let page = again.submit("Sign in", &fields).await.unwrap().submit("Allow", &[]).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(flow(&server, id).await["state"], "authorized");
    }
}

#[tokio::test]
async fn two_flows_run_in_one_browser() {
    let home = Home::sqlite();
    let (_sandbox, server, connection) = consenting_with("sandbox", &home).await;
    let browser = Browser::new();
    let first = bring_by(&server, &browser, &connection, json!({"account_name": "First"})).await;
    let second = bring_by(&server, &browser, &connection, json!({"account_name": "Second"})).await;
    assert_ne!(flow_cookie(&browser, &first.id).name, flow_cookie(&browser, &second.id).name);
    assert_eq!(second.arrive().await.status, 200);
    assert_eq!(flow(&server, &first.id).await["state"], "pending");
    assert_eq!(first.arrive().await.status, 200);
    let mut names: Vec<String> = Vec::new();
    for brought in [&first, &second] {
        let ended = flow(&server, &brought.id).await;
        assert_eq!(ended["state"], "authorized");
        let view = authorization(&server, &connection, &ended["authorization"]).await;
        names.push(view["account_name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names, ["First", "Second"]);
}

#[tokio::test]
async fn cookies_and_pages_are_guarded() {
    let sandbox = consenting().await;
    for public in ["", "https://jackfield.example"] {
        let mut home = Home::sqlite();
        if !public.is_empty() {
            home = home.set("JACKFIELD_PUBLIC_URL", public);
        }
        let server = home.start();
        let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
        let begun = server.begin_flow(&connection, json!({})).await;
        let (id, start) = (begun["id"].as_str().unwrap(), begun["start_url"].as_str().unwrap());
        let origin = if public.is_empty() { &server.url } else { public };
        let path = start.strip_prefix(origin).unwrap_or_else(|| panic!("{start} is not under {origin}"));

        let answer = Answer::of(server.request("GET", path).send().await.unwrap()).await;
        assert!((300..400).contains(&answer.status), "{} {}", answer.status, answer.text);
        guarded(&answer.headers);
        let cookies: Vec<&str> =
            answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        let parts: Vec<String> = cookies[0].split(';').map(|part| part.trim().to_ascii_lowercase()).collect();
        assert!(parts[0].contains(&id.to_ascii_lowercase()), "one for each flow: {parts:?}");
        assert!(parts.contains(&"httponly".to_owned()) && parts.contains(&"samesite=lax".to_owned()));
        assert!(!parts.iter().any(|part| part.starts_with("domain")), "{parts:?}");
        assert_eq!(parts.contains(&"secure".to_owned()), !public.is_empty(), "{parts:?}");
        let target = reqwest::Url::parse(answer.headers["location"].to_str().unwrap()).unwrap();
        let back = target.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
        assert_eq!(back, format!("{origin}/oauth/callback"));

        // The cookie is no secret of the link: neither stands in the other.
        let value = cookies[0].split(';').next().unwrap().split_once('=').unwrap().1;
        assert!(value.len() >= 32 && !start.contains(value) && !target.as_str().contains(value));
        let token = start.split_once("token=").unwrap().1;
        assert!(!target.as_str().contains(token), "the start token stays here");
    }
}

#[tokio::test]
async fn the_answer_must_name_the_issuer() {
    let home = Home::sqlite();
    let (sandbox, server, connection) = consenting_with("sandbox", &home).await;
    let mismatch = async |brought: &Brought, page: Page, what: &str| {
        refused(&page);
        let ended = flow(&server, &brought.id).await;
        assert_eq!(
            (&ended["state"], &ended["error"]["code"]),
            (&json!("failed"), &json!("issuer_mismatch")),
            "{what}"
        );
        refused(&brought.arrive().await);
        assert_eq!(exchanges(&sandbox), 0, "{what}: the code goes nowhere");
    };
    let slash = format!("{}/", sandbox.url);
    for iss in [None, Some(""), Some("https://evil.example"), Some(slash.as_str())] {
        let brought = bring(&server, &connection, json!({})).await;
        let page = brought.browser.get(&brought.callback_with(&[("iss", iss)])).await.unwrap();
        mismatch(&brought, page, iss.unwrap_or("missing")).await;
    }
    // An error that names another issuer is not this service's either.
    let brought = bring(&server, &connection, json!({})).await;
    let changes = [("code", None), ("iss", Some("https://evil.example")), ("error", Some("access_denied"))];
    let page = brought.browser.get(&brought.callback_with(&changes)).await.unwrap();
    mismatch(&brought, page, "an error").await;

    // The connector expects somebody else than the service is.
    let patch = json!({"auth": {"issuer": "https://issuer.example"}});
    server.edit_with_connections("sandbox", patch).await;
    let brought = bring(&server, &connection, json!({})).await;
    let page = brought.arrive().await;
    mismatch(&brought, page, "the connector's").await;
    assert_eq!(held(&server, &connection).await, Vec::<Value>::new());

    // Where it expects nobody, nothing is checked.
    server.edit_with_connections("sandbox", json!({"auth": {"issuer": null}})).await;
    let brought = bring(&server, &connection, json!({})).await;
    let page = brought.browser.get(&brought.callback_with(&[("iss", None)])).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.body);
}

/// A page that shows hostile words, but as words.
#[track_caller]
fn harmless(page: &Page) {
    // The one script is the page's own, by its address.
    let scripts = page.body.matches("<script").count();
    assert_eq!(
        scripts,
        page.body.matches(r#"<script type="module" src="/assets/console-"#).count(),
        "{}",
        page.body
    );
    assert!(!page.body.contains("<img"), "{}", page.body);
    assert!(page.body.contains("alert(1)"), "it is shown, escaped: {}", page.body);
    guarded(&page.headers);
}

#[tokio::test]
async fn hostile_words_are_shown_as_words() {
    const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let home = Home::sqlite();
    let sandbox = consenting().await;
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({"name": EVIL})).await;
    for error in ["access_denied", "server_error", EVIL] {
        let brought = bring(&server, &connection, json!({})).await;
        let changes = [("code", None), ("error", Some(error)), ("error_description", Some(EVIL))];
        let page = brought.browser.get(&brought.callback_with(&changes)).await.unwrap();
        harmless(&page);
        let ended = flow(&server, &brought.id).await;
        assert!(ended["error"]["detail"].as_str().unwrap().contains("alert(1)"), "{ended}");
    }
    // A detail that is far too long, or holds what no page should.
    let brought = bring(&server, &connection, json!({})).await;
    let long = format!("{}\u{202e}\u{0}{}", "so ".repeat(2000), "x");
    let changes =
        [("code", None), ("error", Some("server_error")), ("error_description", Some(long.as_str()))];
    let page = brought.browser.get(&brought.callback_with(&changes)).await.unwrap();
    refused(&page);
    assert!(page.body.len() < 4000 && !page.body.contains('\u{202e}') && !page.body.contains('\0'));

    let brought = bring(&server, &connection, json!({"account_name": EVIL})).await;
    let page = brought.arrive().await;
    assert_eq!(page.status, 200);
    harmless(&page);
    let ended = flow(&server, &brought.id).await;
    let view = authorization(&server, &connection, &ended["authorization"]).await;
    assert_eq!(view["account_name"], EVIL);
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_no_flow() {
    for home in Home::both() {
        let home = home.set("JACKFIELD_LISTEN", &format!("127.0.0.1:{}", free_port()));
        let sandbox = consenting().await;
        let server = home.start();
        let key = server.key.clone();
        let mut connections = Vec::new();
        for document in ["sandbox", "sandbox_oauth1"] {
            connections.push(server.sandbox_connection(&sandbox, document, json!({})).await);
        }
        // One before its link was opened, one at the service, for each kind.
        let mut closed = Vec::new();
        let mut open = Vec::new();
        for connection in &connections {
            closed.push(server.begin_flow(connection, json!({"account_name": "Closed"})).await);
            open.push(bring(&server, connection, json!({"account_name": "Open"})).await);
        }
        let url = server.url.clone();
        server.kill();
        let server = home.serve(&key);
        assert_eq!(server.url, url);
        for begun in &closed {
            assert_eq!(flow(&server, begun["id"].as_str().unwrap()).await["start_url"], begun["start_url"]);
            let page = Browser::new().get(begun["start_url"].as_str().unwrap()).await.unwrap();
            assert_eq!(page.status, 200, "{}", page.body);
            assert_eq!(flow(&server, begun["id"].as_str().unwrap()).await["state"], "authorized");
        }
        for brought in &open {
            refused(&Browser::new().get(&brought.callback).await.unwrap());
            assert_eq!(brought.arrive().await.status, 200);
            assert_eq!(flow(&server, &brought.id).await["state"], "authorized");
        }
        // Once more: what is over is over after a restart too.
        server.kill();
        let server = home.serve(&key);
        for (brought, connection) in open.iter().zip(&connections) {
            refused(&brought.arrive().await);
            assert_eq!(flow(&server, &brought.id).await["state"], "authorized");
            assert_eq!(caller(&server, connection, "production").await, "ada@sandbox.example");
            assert_eq!(held(&server, connection).await.len(), 2);
        }
    }
}

#[tokio::test]
async fn a_stop_during_the_exchange_leaves_a_flow_that_never_exchanges_again() {
    let home = Home::sqlite().set("JACKFIELD_LISTEN", &format!("127.0.0.1:{}", free_port()));
    let (sandbox, server, connection) = consenting_with("sandbox", &home).await;
    let key = server.key.clone();
    let brought = bring(&server, &connection, json!({})).await;
    sandbox.handle.set_fault(Fault::HangAfterProcessing, Some(1));
    let (browser, callback) = (brought.browser.clone(), brought.callback.clone());
    let arriving = tokio::spawn(async move { browser.get(&callback).await });
    until("the code is exchanged", async || (exchanges(&sandbox) == 1).then_some(())).await;
    assert_eq!(flow(&server, &brought.id).await["state"], "pending", "people see no more than that");
    server.kill();
    assert!(arriving.await.unwrap().is_err());
    sandbox.handle.release();
    let server = home.serve(&key);
    refused(&brought.arrive().await);
    assert_eq!(exchanges(&sandbox), 1, "the code was not sent a second time");
    assert_eq!(held(&server, &connection).await, Vec::<Value>::new());
    // Who starts again gets through.
    server.authorize(&connection, json!({})).await;
}

#[tokio::test]
async fn oauth1_signs_every_call() {
    let sandbox = sandbox(Options::default()).await;
    let home = Home::sqlite();
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox_oauth1", json!({})).await;
    let ended = authorize_as(&server, &connection, "Lin", None, json!({})).await;
    assert_eq!(ended["state"], "authorized");
    let view = authorization(&server, &connection, &ended["authorization"]).await;
    assert_eq!(view["account_name"], "lin@sandbox.example");
    assert_eq!((&view["expires_at"], &view["status"]), (&Value::Null, &json!("connected")));
    assert_eq!(sandbox.handle.grants().len(), 1);
    assert_eq!(caller(&server, &connection, "stage").await, "lin@sandbox.example");

    let echoed = async |call: Value| {
        let answer = server.invoke(&connection, call.clone()).await.expect(200);
        assert_eq!(answer["status"], 200, "{call}: {answer}");
        assert_eq!(answer["body"]["caller"]["email"], "lin@sandbox.example");
        let authorization = answer["body"]["headers"]["authorization"].as_str().unwrap().to_owned();
        assert!(authorization.starts_with("OAuth "), "{authorization}");
        assert!(authorization.contains("oauth_signature_method=\"HMAC-SHA256\""), "{authorization}");
        assert!(!authorization.contains("sandbox-consumer-secret"), "{authorization}");
        answer["body"].clone()
    };
    let seen = echoed(json!({
        "method": "GET",
        "url": "/me/echo?a=1&a=2&b5=%3D%253D&c%40=&empty&plus=a+b&tilde=~",
        "query": {"z": ["26", "25"], "name": "J\u{fc}rgen & S\u{f6}hne / 100%", "a": "0"},
        "environment": "production",
    }))
    .await;
    assert_eq!(seen["query"]["z"], json!(["26", "25"]));
    assert_eq!(seen["query"]["name"], "J\u{fc}rgen & S\u{f6}hne / 100%");
    assert_eq!((&seen["query"]["b5"], &seen["query"]["plus"]), (&json!("=%3D"), &json!("a b")));
    let seen = echoed(json!({
        "method": "POST", "url": "/me/echo?x=1", "body_encoding": "form", "environment": "production",
        "body": {"status": "Hello Ladies + Gentlemen, a signed OAuth request!", "a": ["2", "1", ""], "\u{fc}": "&="},
    }))
    .await;
    assert_eq!(seen["form"]["status"], "Hello Ladies + Gentlemen, a signed OAuth request!");
    assert_eq!((&seen["form"]["a"], &seen["form"]["\u{fc}"]), (&json!(["2", "1", ""]), &json!("&=")));
    let seen = echoed(json!({
        "method": "POST", "url": "/me/echo", "body": {"a": "b=c&d"}, "query": {"q": "1"}, "environment": "production",
    }))
    .await;
    assert_eq!(seen["json"], json!({"a": "b=c&d"}));
    let seen = echoed(json!({
        "method": "PUT", "url": "/me/echo", "body": "a=b&c", "body_encoding": "text", "environment": "production",
    }))
    .await;
    assert_eq!(seen["body"], "a=b&c");

    // The person takes it back at the service: the service's answer says so.
    assert_eq!(sandbox.handle.revoke_person("Lin"), 1);
    let call = json!({"method": "GET", "url": "/me", "environment": "production"});
    assert_eq!(server.invoke(&connection, call).await.expect(200)["status"], 401);
}

#[tokio::test]
async fn a_flow_does_what_was_asked_when_it_began() {
    let home = Home::sqlite();
    let sandbox = consenting().await;
    let server = home.start();
    let connection =
        server.sandbox_connection(&sandbox, "sandbox", json!({"same_authorization": false})).await;
    let brought =
        bring(&server, &connection, json!({"environments": ["stage"], "account_name": "Mine"})).await;
    // While the person is at the service, the name goes to somebody else and the scopes change.
    let theirs =
        server.authorize(&connection, json!({"environments": ["production"], "account_name": "Mine"})).await;
    let patch = json!({"scopes": ["profile"]});
    server.api("PATCH", &format!("/v1/connections/{connection}"), patch).await.expect(200);
    assert_eq!(brought.arrive().await.status, 200);
    let ended = flow(&server, &brought.id).await;
    let view = authorization(&server, &connection, &ended["authorization"]).await;
    assert_eq!(view["environments"], json!(["stage"]));
    assert_eq!(theirs["account_name"], "Mine");
    let name = view["account_name"].as_str().unwrap();
    assert!(name.starts_with("Mine") && name != "Mine", "{name}");
    assert_eq!(view["scopes"], json!(["profile", "vendors:read"]));
    assert_eq!(statuses(&server, &connection).await, ["not_connected", "connected", "connected"]);

    // The connection goes while the person is at the service: nothing is connected, nothing is a fault of ours.
    let brought = bring(&server, &connection, json!({"environments": ["stage"]})).await;
    let unopened = server.begin_flow(&connection, json!({"environments": ["stage"]})).await;
    let before = exchanges(&sandbox);
    server.api("DELETE", &format!("/v1/connections/{connection}"), Value::Null).await.expect(204);
    refused(&brought.arrive().await);
    refused(&Browser::new().get(unopened["start_url"].as_str().unwrap()).await.unwrap());
    assert_eq!(exchanges(&sandbox), before);
}

#[tokio::test]
async fn a_callback_crosses_sites_with_its_cookie() {
    // Browsers send a Lax cookie when another site leads them here, and hold it back when a form of another site posts.
    let home = Home::sqlite();
    let (sandbox, server, connection) = consenting_with("sandbox", &home).await;
    let brought = bring(&server, &connection, json!({})).await;
    let cookie = flow_cookie(&brought.browser, &brought.id);
    assert_eq!(cookie.same_site, SameSite::Lax);
    assert!(cookie.http_only && !cookie.sub_domains);
    let path = brought.callback.strip_prefix(&server.url).unwrap();
    let posted = server.request("POST", path).header("cookie", format!("{}={}", cookie.name, cookie.value));
    let posted = Answer::of(posted.send().await.unwrap()).await;
    assert!((400..500).contains(&posted.status), "{}", posted.text);
    assert_eq!(
        (flow(&server, &brought.id).await["state"].clone(), exchanges(&sandbox)),
        (json!("pending"), 0)
    );
    assert_eq!(brought.arrive().await.status, 200);
}
