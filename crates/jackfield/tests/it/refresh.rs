//! Refresh: one for all who ask, not too early, and truthful whatever the token endpoint does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jackfield_sandbox::{Fault, Options, Running};
use serde_json::{Value, json};

use crate::support::{Answer, Home, Server, sandbox};
use crate::upstream::{Upstream, json_reply, reply};
use crate::workflows::{reaches, submit, vendors, workflow};
use crate::world::{
    PATIENCE, Plugged, at_refresh, past, presentations, refreshes, seconds, tolerant, until, walk,
};

async fn calls(plugged: &Plugged, server: &Server, count: usize) -> Vec<Answer> {
    join_all((0..count).map(|_| plugged.call(server))).await
}

fn all_good(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.expect(200)["status"], 200, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_calls_on_an_expired_token_make_one_refresh() {
    let (one, two) = tokio::join!(
        async {
            let home = Home::sqlite();
            let (server, sandbox) = (home.start(), tolerant(0).await);
            let plugged = Plugged::expired(&server, &sandbox, "one").await;
            all_good(&calls(&plugged, &server, 50).await);
            presentations(&sandbox)
        },
        async {
            let home = Home::postgres();
            let (first, sandbox) = (home.start(), tolerant(0).await);
            let second = home.serve(&first.key);
            let plugged = Plugged::expired(&first, &sandbox, "two").await;
            let (a, b) = tokio::join!(calls(&plugged, &first, 25), calls(&plugged, &second, 25));
            all_good(&a);
            all_good(&b);
            presentations(&sandbox)
        }
    );
    assert_eq!(one, [1], "on one node");
    assert_eq!(two, [1], "on two nodes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_refreshes_in_the_last_fifth_of_a_life_and_not_before() {
    let home = Home::sqlite();
    let (server, sandbox) = (home.start(), tolerant(0).await);
    let plugged = Plugged::new(&server, &sandbox, "sandbox", Some(10)).await;
    let before = plugged.view(&server).await;
    let (mut asked, mut slowest, mut last) = (0, Duration::ZERO, Instant::now());
    until("a refresh", async || {
        asked += 1;
        all_good(&[plugged.call(&server).await]);
        slowest = slowest.max(last.elapsed());
        last = Instant::now();
        (refreshes(&sandbox) > 0).then_some(())
    })
    .await;
    assert!(asked > 1, "it was refreshed at the first call");
    let after = plugged.view(&server).await;
    let (refreshed, expires) = (seconds(&after["last_refreshed_at"]), seconds(&before["expires_at"]));
    assert!(refreshed >= expires - 2.001, "{before} {after}");
    // Only where a call could come in time.
    if slowest < Duration::from_secs(1) {
        assert!(refreshed < expires, "{before} {after}");
    }
    assert!(seconds(&after["expires_at"]) > expires + 60.0, "{before} {after}");
    all_good(&calls(&plugged, &server, 5).await);
    assert_eq!(presentations(&sandbox), [1], "the new token is not refreshed");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_of_the_token_endpoint_are_understood() {
    let home = Home::sqlite();
    let server = home.start();
    let nested = Fault::Nested("authed_user".to_owned());
    let odd = [
        Fault::NoRefreshToken,
        Fault::StringExpiresIn,
        Fault::FormEncodedAnswer,
        Fault::NoTokenType,
        Fault::NoExpiresIn,
        Fault::Delay(Duration::from_millis(300)),
        nested,
    ];
    let cases = odd.into_iter().enumerate().map(async |(n, fault)| {
        let sandbox = tolerant(0).await;
        let name = format!("odd_{n}");
        let plugged = Plugged::new(&server, &sandbox, &name, None).await;
        let nested = matches!(fault, Fault::Nested(_));
        if nested {
            let told = json!({"auth": {"token_at": "/authed_user"}});
            server.edit_with_connections(&name, told).await;
        }
        for turn in 1..=3 {
            // The service no longer takes the token: it answers 401, which sets a refresh off.
            sandbox.handle.expire_access_tokens();
            if turn < 3 || nested {
                sandbox.handle.set_fault_at(at_refresh(), fault.clone(), Some(1));
            }
            let answer = plugged.call(&server).await;
            assert_eq!(answer.expect(200)["status"], 200, "{fault:?}, turn {turn}: {}", answer.text);
            let view = plugged.view(&server).await;
            assert_eq!(view["status"], "connected", "{fault:?}");
            assert_eq!(
                view["expires_at"].is_null(),
                turn < 3 && fault == Fault::NoExpiresIn,
                "{fault:?}: {view}"
            );
        }
        // Without a new refresh token the old one is kept, and presented again.
        let expected: &[u32] = if fault == Fault::NoRefreshToken { &[3] } else { &[1, 1, 1] };
        assert_eq!(presentations(&sandbox), expected, "{fault:?}");
        assert_eq!(sandbox.handle.counters().reuses, 0, "{fault:?}");
    });
    join_all(cases).await;

    // A service that does not rotate at all.
    let calm =
        Options { rotate_refresh_tokens: false, auto_consent: Some("Ada".to_owned()), ..Options::default() };
    let sandbox = sandbox(calm).await;
    let plugged = Plugged::new(&server, &sandbox, "calm", None).await;
    for _ in 0..3 {
        sandbox.handle.expire_access_tokens();
        all_good(&[plugged.call(&server).await]);
    }
    assert_eq!(presentations(&sandbox), [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_expire_is_refreshed_by_a_refusal_alone() {
    let home = Home::sqlite();
    let (server, sandbox) = (home.start(), tolerant(0).await);
    sandbox.handle.set_fault(Fault::NoExpiresIn, None);
    let plugged = Plugged::new(&server, &sandbox, "sandbox", None).await;
    assert!(plugged.view(&server).await["expires_at"].is_null());
    all_good(&calls(&plugged, &server, 10).await);
    assert_eq!(refreshes(&sandbox), 0);

    // Several refusals at once: one refresh, and one new try each.
    sandbox.handle.expire_access_tokens();
    sandbox.handle.reset_counters();
    all_good(&calls(&plugged, &server, 20).await);
    assert_eq!(presentations(&sandbox), [1]);
    assert!(sandbox.handle.counters().api_calls["/api/v1/companies"] <= 40);

    // A body that can be sent again is sent again, on the proxy too.
    sandbox.handle.expire_access_tokens();
    let call = json!({"method": "POST", "url": "/me/echo", "body": {"name": "Ada"}});
    let answer = server.invoke(&plugged.connection, call).await.expect(200);
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(answer["body"]["json"], json!({"name": "Ada"}));
    sandbox.handle.expire_access_tokens();
    let answer = server.get(&format!("/v1/proxy/{}/companies", plugged.connection)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(presentations(&sandbox), [1, 1, 1]);

    // A service that refuses whatever it is shown: its refusal is the result, after one refresh.
    sandbox.handle.reset_counters();
    sandbox.handle.set_api_fault(Fault::Status(401), None);
    let answer = plugged.call(&server).await.expect(200);
    assert_eq!(answer["status"], 401, "{answer}");
    assert_eq!(sandbox.handle.counters().api_calls["/api/v1/companies"], 2);
    assert_eq!(presentations(&sandbox), [1]);
    assert_eq!(plugged.view(&server).await["status"], "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_credentials_are_asked_for_again() {
    let home = Home::sqlite();
    let (server, sandbox) = (home.start(), tolerant(0).await);
    let name = "sandbox_client_credentials";
    let connection = server.sandbox_connection(&sandbox, name, json!({})).await;
    let path = format!("/v1/connections/{connection}/authorizations");
    let made = server.post(&path, json!({})).await.expect(201);
    let authorization = made["authorization"]["id"].as_str().unwrap().to_owned();
    let plugged = Plugged { connection, authorization };
    all_good(&calls(&plugged, &server, 3).await);
    let asked = || sandbox.handle.counters().grants["client_credentials"];
    let first = asked();
    sandbox.handle.expire_access_tokens();
    all_good(&calls(&plugged, &server, 20).await);
    assert_eq!(asked(), first + 1, "one for all");
    // There is nothing that could be spent: lost answers are asked for as often as it takes.
    sandbox.handle.expire_access_tokens();
    sandbox.handle.set_fault(Fault::ResetAfterProcessing, Some(3));
    until("a new token", async || {
        let answer = plugged.call(&server).await.expect(200);
        (answer["status"] == 200).then_some(())
    })
    .await;
    assert_eq!(plugged.view(&server).await["status"], "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_grants_at_a_refresh_is_what_counts() {
    let tokens = AtomicUsize::new(0);
    let service = Upstream::answering(move |asked| {
        if asked.target().starts_with("/authorize") {
            let url = url::Url::parse(&format!("http://service{}", asked.target())).unwrap();
            let of = |name: &str| jackfield_testkit::browser::query(&url, name).unwrap();
            let back = format!("{}?code=c&state={}", of("redirect_uri"), of("state"));
            return reply(302, &[("location", &back)], "");
        }
        if asked.target() == "/token" {
            let n = tokens.fetch_add(1, Ordering::SeqCst);
            // First everything, then less, then without a word about it.
            let scope = ["read write", "read", ""][n.min(2)];
            let mut answer = json!({"access_token": format!("t{n}"), "refresh_token": format!("r{n}"),
                "token_type": "Bearer", "expires_in": 600, "scope": scope});
            if scope.is_empty() {
                answer.as_object_mut().unwrap().remove("scope");
            }
            return json_reply(&answer);
        }
        // Each place takes one token only.
        let wanted = if asked.target() == "/api/second" { "Bearer t1" } else { "Bearer t2" };
        reply(if asked.header("authorization") == Some(wanted) { 200 } else { 401 }, &[], "")
    })
    .await;
    let home = Home::sqlite();
    let server = home.start();
    server
        .connector(json!({
            "name": "Fickle", "link_name": "fickle", "base_url": format!("{}/api", service.url), "hosts": [service.host()],
            "levels": ["admin"], "parameters": [{"name": "client_id", "label": "Client", "required": true}],
            "scopes": [{"name": "read", "label": "Read", "access": "read", "default": true},
                {"name": "write", "label": "Write", "access": "write", "default": true}],
            "auth": {"type": "oauth2_code", "authorize_url": format!("{}/authorize", service.url),
                "token_url": format!("{}/token", service.url), "client_authentication": "none"},
        }))
        .await;
    let connection = server
        .connection(json!({"connector": "fickle", "name": "F", "parameters": {"client_id": "c"}}))
        .await;
    let flow = server.begin_flow(&connection, json!({"account_name": "Me"})).await;
    let page = walk(flow["start_url"].as_str().unwrap()).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let path = format!("/v1/connections/{connection}/authorizations");
    let look = async || server.get(&path).await.expect(200)["items"][0].clone();
    assert_eq!(look().await["scopes"], json!(["read", "write"]));
    for (url, scopes, missing) in
        [("/second", json!(["read"]), json!(["write"])), ("/third", json!(["read"]), json!(["write"]))]
    {
        let answer = server.invoke(&connection, json!({"method": "GET", "url": url})).await.expect(200);
        assert_eq!(answer["status"], 200, "{answer}");
        let view = look().await;
        assert_eq!((&view["scopes"], &view["missing_scopes"]), (&scopes, &missing), "{url}");
    }
}

/// What becomes of an authorization when the token endpoint fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The first call already succeeds.
    Unharmed,
    /// The first call fails with this status and code; a later one succeeds.
    Passes(u16, &'static str),
    /// It must be authorized again, and the first call says so. The reason holds these words.
    Broken(&'static str),
    /// The same, but known only after another try.
    BreaksLater(&'static str),
}

/// A fault, how often it strikes, how many seconds a spent token is tolerated, what becomes of the authorization, and how often each
/// refresh token is presented.
type Case = (Fault, Option<u32>, u64, Fate, &'static [u32]);

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_token_endpoint_leave_what_is_true() {
    use Fate::{BreaksLater, Broken, Passes, Unharmed};
    const FAILED: Fate = Passes(502, "token_endpoint_failed");
    let oauth = |code: &str| Fault::OAuthError(code.to_owned());
    let in_200 = |code: &str| Fault::ErrorIn200(code.to_owned());
    let later = |seconds| Fault::Status503 { retry_after: seconds };
    let cases: Vec<Case> = vec![
        // The answer was lost: asked for once more, at once.
        (Fault::Drop, Some(1), 0, Unharmed, &[2]),
        (Fault::Reset, Some(1), 0, Unharmed, &[2]),
        (Fault::ResetAfterProcessing, Some(1), 60, Unharmed, &[2]),
        (Fault::HalfAnswer, Some(1), 60, Unharmed, &[2]),
        (Fault::Truncated, Some(1), 60, Unharmed, &[2]),
        // Lost, and the service does not take a token twice.
        (Fault::ResetAfterProcessing, Some(1), 0, Broken("invalid_grant"), &[2]),
        (Fault::HalfAnswer, Some(1), 0, Broken("invalid_grant"), &[2]),
        (Fault::Truncated, Some(1), 0, Broken("invalid_grant"), &[2]),
        // Lost twice: never a third time.
        (Fault::Drop, None, 60, Broken("lost"), &[2]),
        (Fault::Reset, Some(2), 60, Broken("lost"), &[2]),
        (Fault::ResetAfterProcessing, None, 60, Broken("lost"), &[2]),
        (Fault::HalfAnswer, Some(2), 60, Broken("lost"), &[2]),
        (Fault::Truncated, None, 60, Broken("lost"), &[2]),
        // Whole answers that say nothing about the token.
        (Fault::Status(500), Some(1), 0, FAILED, &[2]),
        (Fault::Status(502), Some(3), 0, FAILED, &[4]),
        (later(3), Some(1), 0, FAILED, &[2]),
        (later(3600), Some(1), 0, FAILED, &[2]),
        (Fault::Status429 { retry_after: 1 }, Some(1), 0, FAILED, &[2]),
        (Fault::Status429 { retry_after: 86_400 }, Some(1), 0, FAILED, &[2]),
        (Fault::Html, Some(1), 0, FAILED, &[2]),
        (Fault::InvalidJson, Some(1), 60, FAILED, &[2]),
        (in_200("server_error"), Some(1), 0, FAILED, &[2]),
        (oauth("temporarily_unavailable"), Some(1), 0, FAILED, &[2]),
        // Somebody's mistake at the client, which he may mend.
        (oauth("invalid_client"), Some(1), 0, FAILED, &[2]),
        (oauth("unauthorized_client"), Some(1), 0, FAILED, &[2]),
        // A spent token behind an answer that nobody can read: the next try learns it.
        (Fault::InvalidJson, Some(1), 0, BreaksLater("invalid_grant"), &[2]),
        // The service means it.
        (oauth("invalid_grant"), None, 0, Broken("invalid_grant"), &[1]),
        (in_200("invalid_grant"), None, 0, Broken("invalid_grant"), &[1]),
    ];
    let home = Home::sqlite();
    let server = home.start();
    let ended = join_all(cases.iter().enumerate().map(async |(n, (fault, times, grace, fate, expected))| {
        let sandbox = tolerant(*grace).await;
        let plugged = Plugged::expired(&server, &sandbox, &format!("case_{n}")).await;
        sandbox.handle.set_fault_at(at_refresh(), fault.clone(), *times);
        let name = format!("{fault:?} {times:?} with {grace} s");
        befall(&server, &sandbox, &plugged, &name, *fate).await;
        assert_eq!(presentations(&sandbox), *expected, "{name}");
        sandbox.handle.clear_faults();
        (name, sandbox, plugged)
    }))
    .await;
    // By now the background has looked many times: what is broken stays broken, and nothing was presented again.
    for ((name, sandbox, plugged), (_, _, _, fate, expected)) in ended.iter().zip(&cases) {
        let answer = plugged.call(&server).await;
        match fate {
            Unharmed | Passes(..) => assert_eq!(answer.expect(200)["status"], 200, "{name}"),
            Broken(_) | BreaksLater(_) => drop(answer.problem(409, "reauthorization_required")),
        }
        assert_eq!(presentations(sandbox), *expected, "{name}: presented again");
    }
}

async fn befall(server: &Server, sandbox: &Running, plugged: &Plugged, name: &str, fate: Fate) {
    let first = plugged.call(server).await;
    let view = plugged.view(server).await;
    match fate {
        Fate::Unharmed => {
            assert_eq!(first.expect(200)["status"], 200, "{name}");
            assert_eq!((&view["status"], &view["reason"]), (&json!("connected"), &Value::Null), "{name}");
        }
        Fate::Passes(status, code) => {
            assert_eq!(first.status, status, "{name}: {}", first.text);
            first.problem(status, code);
            let wait: u64 = first.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=20).contains(&wait), "{name}: {wait}");
            assert_eq!(view["status"], "connected", "{name}");
            assert!(!view["reason"].as_str().unwrap().is_empty(), "{name}: the reason is told: {view}");
            until(name, async || (plugged.call(server).await.status == 200).then_some(())).await;
            let log = sandbox.handle.counters().presentation_log;
            for pair in log.windows(2) {
                assert!(pair[1].1.saturating_sub(pair[0].1) <= Duration::from_secs(20), "{name}: {log:?}");
            }
            let view = plugged.view(server).await;
            assert_eq!((&view["status"], &view["reason"]), (&json!("connected"), &Value::Null), "{name}");
        }
        Fate::Broken(why) => {
            let problem = first.problem(409, "reauthorization_required");
            assert!(problem["detail"].as_str().unwrap().contains(why), "{name}: {problem}");
            assert_eq!(view["status"], "reauthorization_required", "{name}");
            assert!(view["reason"].as_str().unwrap().contains(why), "{name}: {view}");
        }
        Fate::BreaksLater(why) => {
            first.problem(502, "token_endpoint_failed");
            let problem = until(name, async || {
                let answer = plugged.call(server).await;
                (answer.status != 502).then_some(answer)
            })
            .await
            .problem(409, "reauthorization_required");
            assert!(problem["detail"].as_str().unwrap().contains(why), "{name}: {problem}");
        }
    }
}

/// The caller's own time is up first; the refresh goes on without him. A time-out never breaks an authorization.
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_token_endpoint_breaks_nothing() {
    let home = Home::sqlite();
    let server = home.start();
    // fault, how often, grace, presentations once it is through
    let cases: [(Fault, u32, bool, &[u32]); 4] = [
        // Released while the first presentation waits.
        (Fault::Hang, 1, true, &[1]),
        (Fault::HangAfterProcessing, 1, true, &[1]),
        // Never released: the second presentation, ten seconds later, gets an answer.
        (Fault::Hang, 1, false, &[2]),
        (Fault::HangAfterProcessing, 1, false, &[2]),
    ];
    join_all(cases.into_iter().enumerate().map(async |(n, (fault, times, release, expected))| {
        let name = format!("{fault:?}, released: {release}");
        let sandbox = tolerant(60).await;
        let plugged = Plugged::expired(&server, &sandbox, &format!("hang_{n}")).await;
        sandbox.handle.set_fault_at(at_refresh(), fault, Some(times));
        let call = json!({"method": "GET", "url": "/companies", "timeout_ms": 500});
        for _ in 0..3 {
            server.invoke(&plugged.connection, call.clone()).await.problem(504, "upstream_timeout");
        }
        assert_eq!(plugged.view(&server).await["status"], "connected", "{name}");
        assert_eq!(presentations(&sandbox), [1], "{name}: who gives up takes nothing with him");
        if release {
            sandbox.handle.release();
        }
        until(&name, async || {
            let answer = server.invoke(&plugged.connection, call.clone()).await;
            assert_eq!(plugged.view(&server).await["status"], "connected", "{name}");
            (answer.status == 200).then_some(())
        })
        .await;
        assert_eq!(presentations(&sandbox), expected, "{name}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_refresh_does_not_disturb_calls_with_a_token_that_is_still_good() {
    let home = Home::sqlite();
    let server = home.start();
    let faults =
        [(Fault::Status(500), 10), (Fault::OAuthError("invalid_client".to_owned()), 10), (Fault::Hang, 20)];
    join_all(faults.into_iter().enumerate().map(async |(n, (fault, life))| {
        let sandbox = tolerant(60).await;
        let plugged = Plugged::new(&server, &sandbox, &format!("good_{n}"), Some(life)).await;
        let expires_at = plugged.view(&server).await["expires_at"].clone();
        let end: jiff::Timestamp = expires_at.as_str().unwrap().parse().unwrap();
        sandbox.handle.set_fault_at(at_refresh(), fault.clone(), None);
        let mut calls_after = 0;
        loop {
            let begun = jiff::Timestamp::now();
            let answer = plugged.call(&server).await;
            if begun >= end || (answer.status != 200 && jiff::Timestamp::now() >= end) {
                break;
            }
            assert_eq!(answer.expect(200)["status"], 200, "{fault:?}");
            calls_after += usize::from(refreshes(&sandbox) > 0);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(calls_after > 0, "{fault:?}: no call came while a refresh was failing");
        past(&expires_at).await;
        sandbox.handle.clear_faults();
        sandbox.handle.release();
        let begun = Instant::now();
        until("its mend", async || (plugged.call(&server).await.status == 200).then_some(())).await;
        assert!(begun.elapsed() < PATIENCE);
    }))
    .await;
}

/// A mistake in the connection's own parameters: mended there, the authorization goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret_breaks_no_authorization() {
    let home = Home::sqlite();
    let (server, sandbox) = (home.start(), tolerant(0).await);
    let plugged = Plugged::expired(&server, &sandbox, "sandbox").await;
    let path = format!("/v1/connections/{}", plugged.connection);
    server.api("PATCH", &path, json!({"parameters": {"client_secret": "wrong"}})).await.expect(200);
    plugged.call(&server).await.problem(502, "token_endpoint_failed");
    let view = plugged.view(&server).await;
    assert_eq!(view["status"], "connected");
    assert!(view["reason"].as_str().unwrap().contains("invalid_client"), "{view}");
    let right = sandbox.handle.connector_parameters("sandbox")["client_secret"].clone();
    server.api("PATCH", &path, json!({"parameters": {"client_secret": right}})).await.expect(200);
    until("its mend", async || (plugged.call(&server).await.status == 200).then_some(())).await;
    assert_eq!(sandbox.handle.counters().reuses, 0);
}

/// What a person takes back at the service is told with the service's reason; authorizing again makes a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_is_told_and_mended_by_reauthorizing() {
    let home = Home::sqlite();
    let (server, sandbox) = (home.start(), tolerant(0).await);
    let plugged = Plugged::new(&server, &sandbox, "sandbox", None).await;
    assert_eq!(sandbox.handle.revoke_person("Ada"), 1);
    let answer = plugged.call(&server).await.expect(200);
    assert_eq!(answer["status"], 401, "the service's own answer: {answer}");
    let view = plugged.view(&server).await;
    assert_eq!(view["status"], "reauthorization_required");
    assert!(view["reason"].as_str().unwrap().starts_with("invalid_grant"), "{view}");
    plugged.call(&server).await.problem(409, "reauthorization_required");
    let connection = server.get(&format!("/v1/connections/{}", plugged.connection)).await.expect(200);
    assert_eq!(connection["status"]["production"], "reauthorization_required");
    let path = format!("/v1/connections/{}/authorizations/{}", plugged.connection, plugged.authorization);
    let flow = server.post(&format!("{path}/reauthorize"), json!({})).await.expect(202)["flow"].clone();
    assert_eq!(walk(flow["start_url"].as_str().unwrap()).await.status, 200);
    all_good(&[plugged.call(&server).await]);
    server.get(&path).await.problem(404, "not_found");
    let presented = presentations(&sandbox);
    assert!(presented.iter().all(|times| *times == 1), "{presented:?}");
}

/// What waits for a connection goes on when its authorization serves again though nobody did anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_by_a_refusal_goes_on_when_a_refresh_works_again() {
    let home = Home::sqlite();
    let (server, sandbox) = (home.start(), tolerant(0).await);
    sandbox.handle.set_fault(Fault::NoExpiresIn, None);
    let plugged = Plugged::new(&server, &sandbox, "sandbox", None).await;
    let application = vendors(&server).await;
    let call = json!({"name": "call", "invoke": {"connection": plugged.connection, "method": "GET", "url": "/companies"}});
    let definition = json!({"form": "vendors", "on": "created", "actions": [call]});
    workflow(&server, &application, "Call", definition).await;
    sandbox.handle.clear_faults();
    sandbox.handle.set_fault_at(at_refresh(), Fault::Status(500), None);
    sandbox.handle.expire_access_tokens();
    let record = submit(&server, &application, json!({"vendor_name": "Acme"})).await;
    let paused = reaches(&server, &application, &record["runs"][0], "paused").await;
    assert_eq!(
        (paused["code"].as_str(), paused["paused_on"].as_str()),
        (Some("credential_refused"), Some(plugged.connection.as_str()))
    );
    sandbox.handle.clear_faults();
    until("its mend", async || (plugged.call(&server).await.expect(200)["status"] == 200).then_some(()))
        .await;
    reaches(&server, &application, &record["runs"][0], "succeeded").await;
}

/// A refusal is passed on when there is nothing better. While a newer token is on its way nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_vain_for_a_newer_token_is_not_told_that_he_is_refused() {
    let home = Home::sqlite();
    let (server, sandbox) = (home.start(), tolerant(60).await);
    sandbox.handle.set_fault(Fault::NoExpiresIn, None);
    let plugged = Plugged::new(&server, &sandbox, "sandbox", None).await;
    sandbox.handle.clear_faults();
    sandbox.handle.set_fault_at(at_refresh(), Fault::Hang, None);
    sandbox.handle.expire_access_tokens();
    let call = json!({"method": "GET", "url": "/companies", "timeout_ms": 500});
    server.invoke(&plugged.connection, call).await.problem(504, "upstream_timeout");
    sandbox.handle.clear_faults();
    until("its mend", async || (plugged.call(&server).await.expect(200)["status"] == 200).then_some(()))
        .await;
}
