//! OAuth 2 as a client and a browser meet it.

use std::time::Duration;

use crate::support::{Browser, CALLBACK, VERIFIER, World, arguments, challenge, error_of, pair, text};
use jackfield_sandbox::{
    ADA_PASSWORD, CLIENT_ID, Client, MACHINE_CLIENT_ID, MACHINE_CLIENT_SECRET, Options, PUBLIC_CLIENT_ID,
    Redirects, digest,
};
use serde_json::Value;

#[tokio::test]
async fn a_person_signs_in_and_allows() {
    let world = World::new(Options::default()).await;
    let mut browser = Browser::new(&world);
    browser.open(&world.authorize_url(&[])).await;
    assert!(browser.at.starts_with("/login?ticket="), "{}", browser.at);
    assert!(browser.page.contains("Jackfield wants to use an account here"));

    browser.submit("/login", &[("email", "ada@sandbox.example"), ("password", "wrong")]).await;
    assert_eq!(browser.status, 422);
    browser.submit("/login", &[("email", "ada@sandbox.example"), ("password", ADA_PASSWORD)]).await;
    assert!(browser.at.starts_with("/consent?ticket="), "{}", browser.at);
    assert!(browser.page.contains("Add, change and delete vendors"));
    assert!(browser.policy.contains("form-action 'self' http://127.0.0.1:9;"), "{}", browser.policy);
    assert!(browser.policy.starts_with("default-src 'none'; style-src 'self';"));

    // Nothing ticked is asked about again; what was left out is not granted.
    browser.submit("/consent", &[("decision", "allow")]).await;
    assert_eq!(browser.status, 422);
    let chosen =
        [("decision", "allow"), ("scope", "profile"), ("scope", "vendors:read"), ("scope", "made-up")];
    browser.submit("/consent", &chosen).await;
    let back = arguments(&browser.at);
    assert!(browser.at.starts_with(CALLBACK));
    assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("the state", world.running.url.as_str()));

    let response = world.exchange(&back["code"]).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["scope"], "profile vendors:read");
    assert_eq!(answer["expires_in"], 600);
    let (access, _) = pair(&answer);
    let me: Value = world.get("/api/v1/me", &access).await.json().await.unwrap();
    assert_eq!(me["email"], "ada@sandbox.example");
    let refused = world.http.post(world.url("/api/v1/vendors")).bearer_auth(&access).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
}

#[tokio::test]
async fn a_person_denies() {
    let world = World::new(Options::default()).await;
    let mut browser = Browser::new(&world);
    browser.open(&world.authorize_url(&[])).await;
    browser.submit("/login", &[("email", "lin@sandbox.example"), ("password", "patch-cord-lin")]).await;
    let spent = browser.hidden("ticket");
    let csrf = browser.hidden("csrf");
    browser.submit("/consent", &[("decision", "deny")]).await;
    let back = arguments(&browser.at);
    assert_eq!((back["error"].as_str(), back["state"].as_str()), ("access_denied", "the state"));
    browser.post("/consent", &[("csrf", &csrf), ("ticket", &spent), ("decision", "allow")]).await;
    assert_eq!(browser.status, 410, "a request is decided once");
}

#[tokio::test]
async fn forms_from_elsewhere_are_refused() {
    let world = World::new(Options::default()).await;
    let mut browser = Browser::new(&world);
    browser.open(&world.authorize_url(&[])).await;
    let login = [("email", "ada@sandbox.example"), ("password", ADA_PASSWORD), ("csrf", "guess")];
    browser.post("/login", &login).await;
    assert_eq!(browser.status, 403);
}

#[tokio::test]
async fn names_are_escaped() {
    let mut options = Options::default();
    options.clients[0].name = "<script>alert(1)</script>".into();
    let world = World::new(options).await;
    let mut browser = Browser::new(&world);
    browser.open(&world.authorize_url(&[("login_hint", Some("\"><b>x"))])).await;
    assert!(!browser.page.contains("<script>") && !browser.page.contains("<b>x"));
    assert!(browser.page.contains("&#60;script"));
}

#[tokio::test]
async fn pkce_is_verified() {
    let world = World::with_ada().await;
    for (verifier, error) in [
        (None, "invalid_grant"),
        (Some("another-verifier-of-at-least-forty-three-chars"), "invalid_grant"),
        (Some("short"), "invalid_request"),
    ] {
        let code = world.code().await;
        let mut form =
            vec![("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        assert_eq!(error_of(world.token(&form).await.unwrap()).await, (400, error.into()));
        assert_eq!(
            error_of(world.exchange(&code).await).await.1,
            "invalid_grant",
            "a failed try costs the code"
        );
    }
    let code =
        world.authorize(&[("code_challenge", None), ("code_challenge_method", None)]).await["code"].clone();
    assert_eq!(error_of(world.exchange(&code).await).await.1, "invalid_grant", "a verifier nobody asked for");
    for change in [
        vec![("code_challenge_method", Some("plain"))],
        vec![("code_challenge_method", None)],
        vec![("code_challenge", Some("short"))],
        vec![
            ("client_id", Some(PUBLIC_CLIENT_ID)),
            ("code_challenge", None),
            ("code_challenge_method", None),
        ],
    ] {
        let back = world.authorize(&change).await;
        assert_eq!(back["error"], "invalid_request", "{change:?}");
        assert_eq!(back["iss"], world.running.url);
    }
}

#[tokio::test]
async fn bad_authorization_requests() {
    let world = World::with_ada().await;
    for change in [
        vec![("client_id", Some("nobody"))],
        vec![("client_id", None)],
        vec![("redirect_uri", Some("http://evil.example/callback"))],
        vec![("redirect_uri", Some("http://127.0.0.1.evil.example/callback"))],
        vec![("redirect_uri", Some("http://127.0.0.1:9/callback#fragment"))],
        vec![("redirect_uri", Some("javascript:alert(1)"))],
        vec![("redirect_uri", None)],
    ] {
        let response = world.http.get(world.authorize_url(&change)).send().await.unwrap();
        assert_eq!(response.status(), 400, "{change:?}");
    }
    for (change, error) in [
        (("response_type", Some("token")), "unsupported_response_type"),
        (("response_type", None), "invalid_request"),
        (("scope", Some("profile everything")), "invalid_scope"),
    ] {
        assert_eq!(world.authorize(&[change]).await["error"], error);
    }
    let twice = format!("{}&scope=profile", world.authorize_url(&[]));
    let response = world.http.get(twice).send().await.unwrap();
    assert_eq!(arguments(&crate::support::location(&response))["error"], "invalid_request");
}

#[tokio::test]
async fn a_code_is_good_once() {
    let world = World::with_ada().await;
    let code = world.code().await;
    let (access, refresh) = pair(&world.exchange(&code).await.json().await.unwrap());
    assert_eq!(error_of(world.exchange(&code).await).await, (400, "invalid_grant".into()));
    assert_eq!(world.get("/api/v1/me", &access).await.status(), 401, "what came of it is revoked");
    assert_eq!(error_of(world.refresh(&refresh).await.unwrap()).await.1, "invalid_grant");
}

#[tokio::test]
async fn a_code_is_bound() {
    let world = World::with_ada().await;
    let code = world.code().await;
    let elsewhere = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://127.0.0.1:9/other"),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(error_of(world.token(&elsewhere).await.unwrap()).await.1, "invalid_grant");
    let code = world.code().await;
    let other_client = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", PUBLIC_CLIENT_ID),
    ];
    let response = world.http.post(world.url("/oauth2/token")).form(&other_client).send().await.unwrap();
    assert_eq!(error_of(response).await.1, "invalid_grant");
    assert_eq!(world.exchange(&code).await.status(), 200, "somebody else's try does not cost the code");
}

#[tokio::test]
async fn exact_redirects() {
    let mut options = Options { auto_consent: Some("lin".into()), ..Options::default() };
    options.clients = vec![Client {
        redirects: Redirects::Exactly(vec![CALLBACK.into()]),
        ..Client::confidential(CLIENT_ID, "s", "C")
    }];
    let world = World::new(options).await;
    assert!(world.authorize(&[]).await.contains_key("code"));
    assert!(world.authorize(&[("redirect_uri", None)]).await.contains_key("code"), "the only one is meant");
    let response =
        world.http.get(world.authorize_url(&[("redirect_uri", Some("http://127.0.0.1:9/callback/"))]));
    assert_eq!(response.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn refresh_tokens_rotate_and_reuse_ends_the_family() {
    let world = World::with_ada().await;
    let (access, first) = world.tokens().await;
    let (second_access, second) = pair(&world.refresh(&first).await.unwrap().json().await.unwrap());
    assert_ne!(first, second);
    assert_eq!(world.get("/api/v1/me", &access).await.status(), 200, "the old access token lives on");
    assert_eq!(error_of(world.refresh(&first).await.unwrap()).await, (400, "invalid_grant".into()));
    assert_eq!(world.get("/api/v1/me", &second_access).await.status(), 401);
    assert_eq!(error_of(world.refresh(&second).await.unwrap()).await.1, "invalid_grant");
    let counters = world.sandbox().counters();
    assert_eq!(counters.presentations, [2, 1]);
    assert_eq!((counters.reuses, counters.refreshes[&digest(&first)]), (1, 1));
    assert_eq!((counters.token_requests, counters.grants["refresh_token"]), (4, 3));
    assert!(world.sandbox().grants().is_empty());
}

#[tokio::test]
async fn a_grace_gives_the_same_tokens() {
    let options = Options {
        auto_consent: Some("ada".into()),
        reuse_grace: Duration::from_millis(500),
        ..Options::default()
    };
    let world = World::new(options).await;
    let (_, first) = world.tokens().await;
    let one: Value = world.refresh(&first).await.unwrap().json().await.unwrap();
    let two: Value = world.refresh(&first).await.unwrap().json().await.unwrap();
    assert_eq!(one, two);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(error_of(world.refresh(&first).await.unwrap()).await.1, "invalid_grant");
}

#[tokio::test]
async fn refresh_without_rotation() {
    let options =
        Options { auto_consent: Some("ada".into()), rotate_refresh_tokens: false, ..Options::default() };
    let world = World::new(options).await;
    let (_, refresh) = world.tokens().await;
    for _ in 0..3 {
        let answer: Value = world.refresh(&refresh).await.unwrap().json().await.unwrap();
        assert!(answer.get("refresh_token").is_none());
    }
    let narrow = [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("scope", "profile")];
    let answer: Value = world.token(&narrow).await.unwrap().json().await.unwrap();
    assert_eq!(answer["scope"], "profile");
    assert_eq!(world.get("/api/v1/vendors", &text(&answer, "access_token")).await.status(), 403);
}

#[tokio::test]
async fn access_tokens_expire_and_are_revoked() {
    let world = World::with_ada().await;
    let (access, refresh) = world.tokens().await;
    world.sandbox().expire_access_tokens();
    let response = world.get("/api/v1/me", &access).await;
    assert_eq!(response.status(), 401);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\""));
    let (access, refresh) = pair(&world.refresh(&refresh).await.unwrap().json().await.unwrap());
    assert_eq!(world.get("/api/v1/me", &access).await.status(), 200);

    let revoke = |token: String| {
        let request = world.http.post(world.url("/oauth2/revoke"));
        request.basic_auth(CLIENT_ID, Some(jackfield_sandbox::CLIENT_SECRET)).form(&[("token", token)]).send()
    };
    assert_eq!(revoke("unknown".into()).await.unwrap().status(), 200);
    assert_eq!(revoke(refresh.clone()).await.unwrap().status(), 200);
    assert_eq!(world.get("/api/v1/me", &access).await.status(), 401);
    assert_eq!(error_of(world.refresh(&refresh).await.unwrap()).await.1, "invalid_grant");
    assert_eq!(world.sandbox().counters().revocations, 2);

    let (access, _) = world.tokens().await;
    assert_eq!(world.sandbox().revoke_person("ada@sandbox.example"), 1);
    assert_eq!(world.get("/api/v1/me", &access).await.status(), 401);
}

#[tokio::test]
async fn clients_authenticate() {
    let mut options = Options { auto_consent: Some("ada".into()), ..Options::default() };
    options.clients.push(Client::confidential("odd: client", "pass+word %&ü", "Odd"));
    let world = World::new(options).await;
    let post =
        |form: Vec<(&'static str, &'static str)>| world.http.post(world.url("/oauth2/token")).form(&form);
    let grant = ("grant_type", "client_credentials");
    let ok = post(vec![grant, ("client_id", MACHINE_CLIENT_ID), ("client_secret", MACHINE_CLIENT_SECRET)]);
    let answer: Value = ok.send().await.unwrap().json().await.unwrap();
    assert!(answer.get("refresh_token").is_none());
    let me: Value = world.get("/api/v1/me", &text(&answer, "access_token")).await.json().await.unwrap();
    assert_eq!((me["sub"].as_str(), me["email"].is_null()), (Some(MACHINE_CLIENT_ID), true));
    // Both halves are form-encoded in a Basic header.
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let odd = post(vec![grant]).basic_auth(encode("odd: client"), Some(encode("pass+word %&ü")));
    assert_eq!(odd.send().await.unwrap().status(), 200);

    let wrong = post(vec![grant]).basic_auth(MACHINE_CLIENT_ID, Some("wrong")).send().await.unwrap();
    assert!(wrong.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    assert_eq!(error_of(wrong).await, (401, "invalid_client".into()));
    for (form, error) in [
        (vec![grant, ("client_id", CLIENT_ID)], "invalid_client"),
        (vec![grant], "invalid_client"),
        (vec![grant, ("client_id", PUBLIC_CLIENT_ID)], "unauthorized_client"),
        (vec![("client_id", PUBLIC_CLIENT_ID)], "invalid_request"),
        (vec![("grant_type", "password"), ("client_id", PUBLIC_CLIENT_ID)], "unsupported_grant_type"),
        (vec![grant, grant], "invalid_request"),
    ] {
        assert_eq!(error_of(post(form.clone()).send().await.unwrap()).await.1, error, "{form:?}");
    }
    let both = post(vec![grant, ("client_secret", "x")]).basic_auth(MACHINE_CLIENT_ID, Some("x"));
    assert_eq!(error_of(both.send().await.unwrap()).await, (400, "invalid_request".into()));
    assert_eq!(world.http.get(world.url("/oauth2/token")).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn pushed_requests() {
    let world = World::with_ada().await;
    let query = arguments(&world.authorize_url(&[("client_id", None)]));
    let push = world.http.post(world.url("/oauth2/par")).form(&query);
    let response = push.basic_auth(CLIENT_ID, Some(jackfield_sandbox::CLIENT_SECRET)).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let uri = text(&response.json().await.unwrap(), "request_uri");
    let url = url::Url::parse_with_params(
        &world.url("/oauth2/authorize"),
        [("client_id", CLIENT_ID), ("request_uri", uri.as_str())],
    )
    .unwrap();
    let first = world.http.get(url.clone()).send().await.unwrap();
    let code = arguments(&crate::support::location(&first))["code"].clone();
    assert_eq!(world.exchange(&code).await.status(), 200);
    assert_eq!(world.http.get(url).send().await.unwrap().status(), 400, "a pushed request is good once");
}

#[tokio::test]
async fn metadata_is_complete() {
    let world = World::new(Options::default()).await;
    let metadata = world.http.get(world.url("/.well-known/oauth-authorization-server")).send().await.unwrap();
    let metadata: Value = metadata.json().await.unwrap();
    assert_eq!(metadata["issuer"], world.running.url);
    assert_eq!(metadata["token_endpoint"], world.url("/oauth2/token"));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
}

#[tokio::test]
async fn devices() {
    let options = Options { device_interval: Duration::ZERO, ..Options::default() };
    let world = World::new(options).await;
    let begin = [("client_id", PUBLIC_CLIENT_ID), ("scope", "profile vendors:read")];
    let begun = world.http.post(world.url("/oauth2/device_authorization")).form(&begin).send().await.unwrap();
    let begun: Value = begun.json().await.unwrap();
    let code = text(&begun, "device_code");
    let poll = || {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", code.as_str()),
            ("client_id", PUBLIC_CLIENT_ID),
        ];
        world.http.post(world.url("/oauth2/token")).form(&form).send()
    };
    assert_eq!(error_of(poll().await.unwrap()).await.1, "authorization_pending");
    let mut browser = Browser::new(&world);
    browser.open(&text(&begun, "verification_uri_complete")).await;
    let csrf = browser.hidden("csrf");
    let user_code = text(&begun, "user_code").to_lowercase().replace('-', " ");
    browser.post("/device", &[("csrf", &csrf), ("user_code", &user_code)]).await;
    browser.submit("/login", &[("email", "ada@sandbox.example"), ("password", ADA_PASSWORD)]).await;
    browser.submit("/consent", &[("decision", "allow"), ("scope", "profile")]).await;
    assert!(browser.page.contains("Go back to the device"));
    let answer: Value = poll().await.unwrap().json().await.unwrap();
    assert_eq!(answer["scope"], "profile");
    assert_eq!(error_of(poll().await.unwrap()).await.1, "invalid_grant");
}

#[tokio::test]
async fn assertions() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let mut options = Options { auto_consent: Some("ada".into()), ..Options::default() };
    options.clients.push(Client::with_key("signer", key.public_key().as_ref().to_vec(), "Signer"));
    let world = World::new(options).await;
    let jwt = |claims: Value| {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&serde_json::json!({"alg": "ES256"})), encode(&claims));
        let signature = key.sign(&aws_lc_rs::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    };
    let now = jiff::Timestamp::now().as_second();
    let claims = |audience: &str, id: &str| serde_json::json!({"iss": "signer", "sub": "signer", "aud": audience, "exp": now + 60, "jti": id});
    let send = |assertion: String| {
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
            ("client_assertion", assertion),
        ];
        world.http.post(world.url("/oauth2/token")).form(&form).send()
    };
    let good = jwt(claims(&world.running.url, "1"));
    assert_eq!(send(good.clone()).await.unwrap().status(), 200);
    assert_eq!(error_of(send(good).await.unwrap()).await, (401, "invalid_client".into()), "used before");
    let elsewhere = jwt(claims("https://elsewhere.example", "2"));
    assert_eq!(error_of(send(elsewhere).await.unwrap()).await.1, "invalid_client");
    let mut forged = jwt(claims(&world.running.url, "3"));
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(error_of(send(forged).await.unwrap()).await.1, "invalid_client");

    // The JWT bearer grant for a person.
    let mut bearer = claims(&world.url("/oauth2/token"), "4");
    bearer["sub"] = "lin@sandbox.example".into();
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
        ("assertion", jwt(bearer)),
    ];
    let answer = world.http.post(world.url("/oauth2/token")).form(&form).send().await.unwrap();
    let access = text(&answer.json().await.unwrap(), "access_token");
    let me: Value = world.get("/api/v1/me", &access).await.json().await.unwrap();
    assert_eq!(me["email"], "lin@sandbox.example");
}

#[test]
fn the_challenge_is_that_of_the_specification() {
    // RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}
