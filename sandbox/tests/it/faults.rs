//! Every fault does what its name says, and leaves the tokens in the state it says.

use std::time::Duration;

use crate::support::{World, error_of, text};
use jackfield_sandbox::{Fault, Place};
use serde_json::Value;

/// A refresh that meets the fault: the answer, and whether the refresh token was spent by it.
async fn meet(world: &World, fault: Fault) -> (Result<(u16, String, String), reqwest::Error>, bool) {
    let (_, refresh) = world.tokens().await;
    world.sandbox().set_fault(fault, Some(1));
    let answer = match world.refresh(&refresh).await {
        Err(error) => Err(error),
        Ok(response) => {
            let status = response.status().as_u16();
            let kind =
                response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
            response.text().await.map(|body| (status, kind, body))
        }
    };
    let spent = world.refresh(&refresh).await.unwrap().status() != 200;
    (answer, spent)
}

#[tokio::test]
async fn connections_break() {
    let world = World::with_ada().await;
    for (fault, spends) in [
        (Fault::Drop, false),
        (Fault::Reset, false),
        (Fault::ResetAfterProcessing, true),
        (Fault::HalfAnswer, true),
        (Fault::Truncated, true),
    ] {
        let (answer, spent) = meet(&world, fault.clone()).await;
        let error = answer.expect_err("the answer is not whole");
        assert!(!error.is_timeout(), "{fault:?}");
        assert_eq!(spent, spends, "{fault:?}");
    }
    assert_eq!(world.sandbox().counters().presentations, [2; 5], "lost answers are counted as well");
    assert_eq!(world.sandbox().counters().faults, 5);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    use std::error::Error as _;
    let world = World::with_ada().await;
    for (fault, reset) in [(Fault::Reset, true), (Fault::Drop, false)] {
        let (answer, _) = meet(&world, fault).await;
        let error = answer.unwrap_err();
        let mut cause = error.source();
        let mut found = false;
        while let Some(inner) = cause {
            let kind = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            found |= kind == Some(std::io::ErrorKind::ConnectionReset);
            cause = inner.source();
        }
        assert_eq!(found, reset);
    }
}

#[tokio::test]
async fn answers_are_odd() {
    let world = World::with_ada().await;
    let json = |body: &str| serde_json::from_str::<Value>(body).unwrap();

    let (answer, spent) = meet(&world, Fault::Status(500)).await;
    assert_eq!((answer.unwrap().0, spent), (500, false));
    let (answer, spent) = meet(&world, Fault::Html).await;
    let (status, kind, _) = answer.unwrap();
    assert_eq!((status, kind.as_str(), spent), (200, "text/html; charset=utf-8", false));
    let (answer, spent) = meet(&world, Fault::InvalidJson).await;
    let (status, _, body) = answer.unwrap();
    assert_eq!((status, spent), (200, true));
    assert!(body.starts_with('{') && serde_json::from_str::<Value>(&body).is_err());
    let (answer, spent) = meet(&world, Fault::ErrorIn200("invalid_grant".into())).await;
    let (status, _, body) = answer.unwrap();
    assert_eq!((status, json(&body)["error"].as_str(), spent), (200, Some("invalid_grant"), false));
    let (answer, _) = meet(&world, Fault::OAuthError("temporarily_unavailable".into())).await;
    assert_eq!(answer.unwrap().0, 400);
    let (answer, spent) = meet(&world, Fault::NoRefreshToken).await;
    assert!(json(&answer.unwrap().2).get("refresh_token").is_none() && !spent);
    let (answer, _) = meet(&world, Fault::StringExpiresIn).await;
    assert_eq!(json(&answer.unwrap().2)["expires_in"], "600");
    let (answer, _) = meet(&world, Fault::NoExpiresIn).await;
    assert!(json(&answer.unwrap().2).get("expires_in").is_none());
    let (answer, _) = meet(&world, Fault::NoTokenType).await;
    assert!(json(&answer.unwrap().2).get("token_type").is_none());
    let (answer, _) = meet(&world, Fault::Nested("authed_user".into())).await;
    text(&json(&answer.unwrap().2)["authed_user"], "access_token");
    let (answer, _) = meet(&world, Fault::FormEncodedAnswer).await;
    let (_, kind, body) = answer.unwrap();
    assert_eq!(kind, "application/x-www-form-urlencoded");
    assert!(form_urlencoded::parse(body.as_bytes()).any(|(name, _)| name == "access_token"));
}

#[tokio::test]
async fn faults_queue_and_stand() {
    let world = World::with_ada().await;
    let (_, refresh) = world.tokens().await;
    let sandbox = world.sandbox();
    sandbox.set_fault(Fault::Status503 { retry_after: 7 }, Some(1));
    sandbox.set_fault_at(Place::Grant("client_credentials".into()), Fault::Status(418), None);
    sandbox.set_fault(Fault::Status429 { retry_after: 3 }, None);
    for (status, retry_after) in [(503, "7"), (429, "3"), (429, "3")] {
        let response = world.refresh(&refresh).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (status, &retry_after.parse().unwrap())
        );
    }
    sandbox.clear_faults();
    assert_eq!(world.refresh(&refresh).await.unwrap().status(), 200);
}

#[tokio::test]
async fn hanging_ends_with_a_release() {
    let world = World::with_ada().await;
    let (_, refresh) = world.tokens().await;
    world.sandbox().set_fault(Fault::Hang, Some(1));
    let hanging = world.refresh(&refresh);
    tokio::pin!(hanging);
    assert!(tokio::time::timeout(Duration::from_millis(100), hanging.as_mut()).await.is_err());
    world.sandbox().release();
    assert_eq!(hanging.await.unwrap().status(), 200);

    let (_, refresh) = world.tokens().await;
    world.sandbox().set_fault(Fault::HangAfterProcessing, Some(1));
    assert!(tokio::time::timeout(Duration::from_millis(100), world.refresh(&refresh)).await.is_err());
    assert_eq!(error_of(world.refresh(&refresh).await.unwrap()).await.1, "invalid_grant");
}

#[tokio::test]
async fn the_api_fails_too() {
    let world = World::with_ada().await;
    let (access, _) = world.tokens().await;
    let sandbox = world.sandbox();
    sandbox.set_fault_at(Place::ApiPath("/vendors".into()), Fault::Status(502), Some(1));
    assert_eq!(world.get("/api/v1/me", &access).await.status(), 200);
    assert_eq!(world.get("/api/v1/vendors", &access).await.status(), 502);
    sandbox.set_api_fault(Fault::HalfAnswer, Some(1));
    let response = world.get("/api/v1/vendors", &access).await;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    assert_eq!(sandbox.counters().api_calls["/api/v1/vendors"], 2);
}
