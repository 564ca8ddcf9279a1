//! Flows: found by what the browser brings, claimed once, moved only from where they are.

use jackfield_core::Environment;
use jackfield_core::flow::FlowState;
use jackfield_store::{Flow, FlowOutcome, Poll};
use serde_json::json;

use super::{NOW, ORG, OTHER, at, change, failing, on_both};

fn flow(id: &str, n: u8) -> Flow {
    Flow {
        organization_id: ORG.to_owned(),
        id: id.to_owned(),
        connection: "mail".to_owned(),
        member: "mem_1".to_owned(),
        replaces: None,
        account_name: None,
        environments: vec![Environment::Stage, Environment::Production],
        scopes: vec!["read".to_owned()],
        state: FlowState::Pending,
        start_digest: vec![n; 32],
        state_digest: vec![n + 100; 32],
        browser_digest: None,
        secrets: vec![0, n],
        created_at: NOW,
        expires_at: at(600),
        authorization_id: None,
        error_code: None,
        error_detail: None,
        warnings: Vec::new(),
        poll: None,
    }
}

fn same(a: &Flow, b: &Flow) {
    let text = |f: &Flow| [&f.organization_id, &f.id, &f.connection, &f.member].map(String::clone);
    assert_eq!(text(a), text(b));
    assert_eq!((&a.replaces, &a.account_name), (&b.replaces, &b.account_name));
    assert_eq!((&a.environments, &a.scopes, a.state), (&b.environments, &b.scopes, b.state));
    assert_eq!((&a.start_digest, &a.state_digest), (&b.start_digest, &b.state_digest));
    assert_eq!((&a.browser_digest, &a.secrets), (&b.browser_digest, &b.secrets));
    assert_eq!((a.created_at, a.expires_at), (b.created_at, b.expires_at));
    assert_eq!((&a.authorization_id, &a.error_code), (&b.authorization_id, &b.error_code));
    assert_eq!((&a.error_detail, &a.warnings, a.poll), (&b.error_detail, &b.warnings, b.poll));
}

#[tokio::test(flavor = "multi_thread")]
async fn flows() {
    on_both(async |store| {
        let second = Flow {
            replaces: Some("auth_1".to_owned()),
            account_name: Some("Ann".to_owned()),
            ..flow("f2", 2)
        };
        change(&store, async |tx| {
            tx.insert_flow(&flow("f1", 1)).await?;
            tx.insert_flow(&second).await?;
            tx.insert_flow(&Flow { created_at: at(-60), ..flow("f3", 3) }).await
        })
        .await;
        let error = failing(&store, async |tx| tx.insert_flow(&flow("f1", 9)).await).await;
        assert!(error.is_unique("flows_pkey"), "{error:?}");
        let read = async |id: &str| store.flow(id).await.unwrap().unwrap();
        same(&read("f1").await, &flow("f1", 1));
        same(&read("f2").await, &second);
        assert!(store.flow("f9").await.unwrap().is_none());
        same(&store.flow_by_state(&[102; 32]).await.unwrap().unwrap(), &second);
        assert!(store.flow_by_state(&[2; 32]).await.unwrap().is_none());

        // The first browser owns it.
        let claim = async |organization: &str, id: &str, browser: &[u8]| {
            change(&store, async |tx| tx.claim_flow_for_browser(organization, id, browser).await).await
        };
        assert!(!claim(OTHER, "f1", b"browser 1").await);
        assert!(claim(ORG, "f1", b"browser 1").await);
        assert!(!claim(ORG, "f1", b"browser 2").await);
        assert!(!claim(ORG, "f1", b"browser 1").await);
        assert_eq!(read("f1").await.browser_digest.unwrap(), b"browser 1");
        assert!(read("f2").await.browser_digest.is_none());

        // OAuth1: found by the token of the request from then on.
        let token = async |organization: &str, id: &str| {
            change(&store, async |tx| tx.set_request_token(organization, id, &[77; 32], b"sealed").await)
                .await
        };
        assert!(!token(OTHER, "f2").await);
        assert!(token(ORG, "f2").await);
        assert!(store.flow_by_state(&[102; 32]).await.unwrap().is_none());
        let found = store.flow_by_state(&[77; 32]).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.secrets.as_slice()), ("f2", &b"sealed"[..]));

        // Moved only from where it is, by one.
        let step = async |organization: &str, id: &str, from, to| {
            change(&store, async |tx| tx.move_flow(organization, id, from, to).await).await
        };
        assert!(!step(OTHER, "f1", FlowState::Pending, FlowState::Exchanging).await);
        assert!(!step(ORG, "f1", FlowState::Exchanging, FlowState::Failed).await);
        assert!(step(ORG, "f1", FlowState::Pending, FlowState::Exchanging).await);
        assert!(!step(ORG, "f1", FlowState::Pending, FlowState::Exchanging).await);
        assert!(step(ORG, "f3", FlowState::Pending, FlowState::Expired).await);
        assert_eq!(read("f1").await.state, FlowState::Exchanging);
        assert_eq!(read("f2").await.state, FlowState::Pending);
        // What is no longer pending is neither claimed nor given a token.
        assert!(!claim(ORG, "f3", b"browser 3").await);
        assert!(!token(ORG, "f1").await && !token(ORG, "f3").await);

        // Ended only from where it is, once.
        let end = async |organization: &str, id: &str, from, to, outcome: FlowOutcome| {
            change(&store, async |tx| tx.end_flow(organization, id, (from, to), &outcome, at(9)).await).await
        };
        let outcome = FlowOutcome {
            authorization_id: Some("auth_2".to_owned()),
            warnings: vec![json!({"code": "different_account"})],
            ..FlowOutcome::default()
        };
        let failed = FlowOutcome {
            error_code: Some("access_denied".to_owned()),
            error_detail: Some("He said no.".to_owned()),
            ..FlowOutcome::default()
        };
        assert!(!end(ORG, "f1", FlowState::Pending, FlowState::Denied, failed.clone()).await);
        assert!(!end(OTHER, "f1", FlowState::Exchanging, FlowState::Authorized, outcome.clone()).await);
        assert!(end(ORG, "f1", FlowState::Exchanging, FlowState::Authorized, outcome.clone()).await);
        assert!(!end(ORG, "f1", FlowState::Exchanging, FlowState::Failed, failed.clone()).await);
        same(
            &read("f1").await,
            &Flow {
                state: FlowState::Authorized,
                browser_digest: Some(b"browser 1".to_vec()),
                authorization_id: outcome.authorization_id,
                warnings: outcome.warnings,
                ..flow("f1", 1)
            },
        );
        assert!(end(ORG, "f2", FlowState::Pending, FlowState::Denied, failed).await);
        let denied = read("f2").await;
        assert_eq!(denied.error_code.as_deref(), Some("access_denied"));
        assert_eq!(denied.error_detail.as_deref(), Some("He said no."));
        assert_eq!((denied.state, denied.authorization_id), (FlowState::Denied, None));

        // Whatever its state, what is sealed can be replaced.
        let put = async |organization: &str| {
            change(&store, async |tx| tx.put_flow_secrets(organization, "f2", b"other").await).await
        };
        assert!(!put(OTHER).await);
        assert_eq!(read("f2").await.secrets, b"sealed");
        assert!(put(ORG).await);
        assert_eq!(read("f2").await.secrets, b"other");

        assert_eq!(change(&store, async |tx| tx.prune_flows(NOW).await).await, 1);
        assert!(store.flow("f3").await.unwrap().is_none());
        assert_eq!(change(&store, async |tx| tx.prune_flows(at(1)).await).await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_that_are_asked_about() {
    on_both(async |store| {
        let poll = |seconds: i64, interval: i64| Poll { at: at(seconds), interval };
        let asked = |id: &str, n: u8, seconds: i64| Flow { poll: Some(poll(seconds, 5)), ..flow(id, n) };
        change(&store, async |tx| {
            tx.insert_flow(&asked("d1", 1, 10)).await?;
            tx.insert_flow(&asked("d2", 2, 5)).await?;
            tx.insert_flow(&flow("plain", 3)).await
        })
        .await;
        same(&store.flow("d1").await.unwrap().unwrap(), &asked("d1", 1, 10));
        let due = async |seconds: i64, limit: i64| -> Vec<String> {
            store.flows_to_ask(at(seconds), limit).await.unwrap().into_iter().map(|flow| flow.id).collect()
        };
        assert!(due(4, 9).await.is_empty());
        assert_eq!(due(5, 9).await, ["d2"]);
        assert_eq!(due(10, 9).await, ["d2", "d1"]);
        assert_eq!(due(10, 1).await, ["d2"]);

        // One of those who saw the same time takes it.
        let take = async |organization: &str, id: &str, seen: i64, next: Poll| {
            change(&store, async |tx| tx.move_poll(organization, id, at(seen), next).await).await
        };
        assert!(!take(OTHER, "d1", 10, poll(25, 5)).await);
        assert!(!take(ORG, "d1", 9, poll(25, 5)).await);
        assert!(take(ORG, "d1", 10, poll(25, 10)).await);
        assert!(!take(ORG, "d1", 10, poll(26, 5)).await);
        assert_eq!(due(24, 9).await, ["d2"]);
        assert_eq!(store.flow("d1").await.unwrap().unwrap().poll, Some(poll(25, 10)));

        // Accepted by the one who asks, and then asked no more.
        let accept = async |organization: &str, id: &str, seen: i64| {
            change(&store, async |tx| tx.accept_flow(organization, id, at(seen), at(30)).await).await
        };
        assert!(!accept(OTHER, "d1", 25).await && !accept(ORG, "d1", 10).await);
        assert!(!accept(ORG, "plain", 25).await);
        assert!(accept(ORG, "d1", 25).await);
        let accepted = store.flow("d1").await.unwrap().unwrap();
        assert_eq!((accepted.state, accepted.expires_at), (FlowState::Exchanging, at(30)));
        assert!(!accept(ORG, "d1", 25).await && !take(ORG, "d1", 25, poll(99, 5)).await);
        let cancel = FlowOutcome::default();
        let step = (FlowState::Pending, FlowState::Cancelled);
        assert!(change(&store, async |tx| tx.end_flow(ORG, "d2", step, &cancel, at(9)).await).await);
        assert!(!accept(ORG, "d2", 5).await);
        assert!(due(999, 9).await.is_empty());
    })
    .await;
}
