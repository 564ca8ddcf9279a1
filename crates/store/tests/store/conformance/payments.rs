//! Payments: asked for once, ended once, and looked at again when something came meanwhile.

use jackfield_core::PaymentState;
use jackfield_store::{Payment, PaymentEnd, PaymentFilter, Progress, Run, Store, Why};

use super::{NOW, ORG, OTHER, at, change, failing, on_both, run};

fn payment(organization: &str, id: &str, run: &str) -> Payment {
    Payment {
        organization_id: organization.to_owned(),
        id: id.to_owned(),
        application: "portal".to_owned(),
        environment: "production".to_owned(),
        connection: "till".to_owned(),
        workflow: "pay".to_owned(),
        form: "orders".to_owned(),
        record: "rec_1".to_owned(),
        run: run.to_owned(),
        action: "pay".to_owned(),
        actor: "mem_1".to_owned(),
        state: PaymentState::Creating,
        amount: 1250,
        currency: "EUR".to_owned(),
        description: "An order".to_owned(),
        reference: "rec_1".to_owned(),
        success_text: "Thanks".to_owned(),
        checkout: None,
        url: None,
        expires_at: at(60),
        code: None,
        reason: None,
        nudges: 0,
        close_at: None,
        superseded: false,
        created_at: NOW,
        updated_at: NOW,
        opened_at: None,
        paid_at: None,
        ended_at: None,
    }
}

const PAID: PaymentEnd<'_> =
    PaymentEnd { state: PaymentState::Paid, code: None, reason: None, close_at: None };

async fn read(store: &Store, id: &str) -> Payment {
    store.payment(ORG, id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn payments() {
    on_both(async |store| {
        change(&store, async |tx| {
            tx.insert_payment(&payment(ORG, "pay_1", "run_1")).await?;
            tx.insert_payment(&payment(OTHER, "pay_1", "run_1")).await?;
            tx.insert_payment(&Payment { record: "rec_2".to_owned(), ..payment(ORG, "pay_2", "run_2") }).await
        })
        .await;
        // One run asks once.
        let twice =
            failing(&store, async |tx| tx.insert_payment(&payment(ORG, "pay_3", "run_1")).await).await;
        assert!(twice.is_unique("payments_of_run"), "{twice:?}");
        assert_eq!(read(&store, "pay_1").await, payment(ORG, "pay_1", "run_1"));
        assert_eq!(store.payment_of_action(ORG, "run_1", "pay").await.unwrap().unwrap().id, "pay_1");
        assert_eq!(store.payment_of_action(ORG, "run_1", "other").await.unwrap(), None);
        assert_eq!(store.payment_of_run(ORG, "run_2").await.unwrap().unwrap().id, "pay_2");
        assert_eq!(store.payment_of_run(OTHER, "run_2").await.unwrap(), None);

        let list = async |filter: PaymentFilter<'_>, before: &str, limit| {
            let found = store.payments(ORG, filter, before, limit).await.unwrap();
            found.into_iter().map(|one| one.id).collect::<Vec<_>>()
        };
        let all = PaymentFilter { application: "portal", ..PaymentFilter::default() };
        assert_eq!(list(all, "~", 9).await, ["pay_2", "pay_1"]);
        assert_eq!(list(all, "pay_2", 9).await, ["pay_1"]);
        assert_eq!(list(all, "~", 1).await, ["pay_2"]);
        for (filter, wanted) in [
            (PaymentFilter { record: "rec_2", ..all }, vec!["pay_2"]),
            (PaymentFilter { run: "run_1", ..all }, vec!["pay_1"]),
            (PaymentFilter { state: "paid", ..all }, vec![]),
            (PaymentFilter { environment: "stage", ..all }, vec![]),
            (PaymentFilter { application: "other", ..all }, vec![]),
        ] {
            assert_eq!(list(filter, "~", 9).await, wanted, "{filter:?}");
        }

        // Opened once, ended once.
        let (first, second, expiry) = change(&store, async |tx| {
            let expiry = tx.set_payment_expiry(ORG, "pay_1", at(90), at(1)).await?;
            let first = tx.open_payment(ORG, "pay_1", "cs_1", Some("https://x"), at(90), at(2)).await?;
            Ok((first, tx.open_payment(ORG, "pay_1", "cs_2", None, at(91), at(3)).await?, expiry))
        })
        .await;
        assert!(first && !second && expiry);
        let open = read(&store, "pay_1").await;
        assert_eq!(
            (open.state, open.checkout.as_deref(), open.url.as_deref()),
            (PaymentState::Open, Some("cs_1"), Some("https://x"))
        );
        assert_eq!((open.expires_at, open.opened_at), (at(90), Some(at(2))));
        assert!(!change(&store, async |tx| tx.set_payment_expiry(ORG, "pay_1", at(1), at(4)).await).await);
        let by = async |organization, connection, id: &str| {
            store.payment_by_checkout(organization, connection, id).await.unwrap()
        };
        assert_eq!(by(ORG, "till", "cs_1").await.unwrap().id, "pay_1");
        for none in
            [by(OTHER, "till", "cs_1").await, by(ORG, "other", "cs_1").await, by(ORG, "till", "cs_2").await]
        {
            assert_eq!(none, None);
        }
        assert!(
            change(&store, async |tx| tx
                .say_payment(ORG, "pay_1", PaymentState::Processing, None, at(5))
                .await)
            .await
        );
        assert_eq!(read(&store, "pay_1").await.url.as_deref(), Some("https://x"));
        let end = async |state, at| {
            change(&store, async |tx| tx.end_payment(ORG, "pay_1", PaymentEnd { state, ..PAID }, at).await)
                .await
        };
        assert!(end(PaymentState::Paid, at(6)).await);
        assert!(!end(PaymentState::Expired, at(7)).await, "it is over");
        let paid = read(&store, "pay_1").await;
        assert_eq!((paid.state, paid.paid_at, paid.ended_at), (PaymentState::Paid, Some(at(6)), Some(at(6))));
        assert!(
            !change(&store, async |tx| tx.say_payment(ORG, "pay_1", PaymentState::Open, None, at(8)).await)
                .await
        );
        assert!(!change(&store, async |tx| tx.nudge_payment(ORG, "pay_1", at(8)).await).await);
        // What is paid is never asked for anew; what failed is.
        assert_eq!(change(&store, async |tx| tx.supersede_payments(ORG, "run_1", at(9)).await).await, 0);
        let failed = PaymentEnd {
            state: PaymentState::Failed,
            code: Some("c"),
            reason: Some("r"),
            close_at: Some(at(10)),
        };
        assert!(change(&store, async |tx| tx.end_payment(ORG, "pay_2", failed, at(9)).await).await);
        assert_eq!(change(&store, async |tx| tx.supersede_payments(ORG, "run_2", at(9)).await).await, 1);
        assert_eq!(store.payment_of_run(ORG, "run_2").await.unwrap(), None);
        change(&store, async |tx| tx.insert_payment(&payment(ORG, "pay_4", "run_2")).await).await;
        change(&store, async |tx| tx.end_payments(ORG, "portal").await).await;
        assert_eq!(list(all, "~", 9).await, Vec::<String>::new());
        assert!(store.payment(OTHER, "pay_1").await.unwrap().is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_somebody_looks_is_looked_at() {
    on_both(async |store| {
        change(&store, async |tx| {
            tx.insert_run(&run(ORG, "run_1")).await?;
            tx.insert_payment(&payment(ORG, "pay_1", "run_1")).await
        })
        .await;
        let due = async || store.run(ORG, "run_1").await.unwrap().unwrap().due_at;
        let claim = async |now| {
            let runs = change(&store, async |tx| tx.claim_runs("q", "n", now, at(600), 1).await).await;
            runs.into_iter().next().unwrap()
        };
        let wait = async |run: &Run, seen, now| {
            let done = Progress { results: "{}", attempts: 1, doubt: false, node: "n" };
            change(&store, async |tx| {
                tx.retry_run(run, done, Some(now), at(300), Why { code: "c", reason: "r" }, now).await?;
                tx.hasten_run(ORG, "run_1", seen, now).await
            })
            .await
        };
        let nudge = async |now| change(&store, async |tx| tx.nudge_payment(ORG, "pay_1", now).await).await;
        // Nothing came: it waits. Something comes while it waits: it is due.
        let run = claim(at(1)).await;
        assert!(!wait(&run, 0, at(2)).await);
        assert_eq!(due().await, at(300));
        assert!(nudge(at(3)).await);
        assert_eq!((due().await, read(&store, "pay_1").await.nudges), (at(3), 1));
        // Something came while it looked: it does not wait.
        let run = claim(at(4)).await;
        assert!(nudge(at(5)).await);
        assert!(wait(&run, 1, at(6)).await);
        assert_eq!(due().await, at(6));
        // What it has seen does not wake it again.
        let run = claim(at(7)).await;
        assert!(!wait(&run, 2, at(8)).await);
        assert_eq!(due().await, at(300));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_closed_by_one() {
    on_both(async |store| {
        change(&store, async |tx| {
            for (id, run) in [("pay_1", "run_1"), ("pay_2", "run_2"), ("pay_3", "run_3")] {
                tx.insert_payment(&payment(ORG, id, run)).await?;
            }
            tx.end_payment(ORG, "pay_3", PAID, NOW).await
        })
        .await;
        let close =
            async |run: &str| change(&store, async |tx| tx.close_payments(ORG, run, at(1)).await).await;
        assert_eq!((close("run_1").await, close("run_1").await, close("run_3").await), (1, 0, 0));
        let claim = async |now, limit| {
            let rows = change(&store, async |tx| tx.claim_closing_payments(now, at(60), limit).await).await;
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(claim(NOW, 9).await, Vec::<String>::new(), "not yet");
        assert_eq!(claim(at(1), 9).await, ["pay_1"]);
        assert_eq!(claim(at(2), 9).await, Vec::<String>::new(), "another has it");
        assert_eq!(claim(at(61), 9).await, ["pay_1"], "he did not live");
        change(&store, async |tx| tx.payment_closed(ORG, "pay_1").await).await;
        assert_eq!(claim(at(600), 9).await, Vec::<String>::new());
        close("run_1").await;
        close("run_2").await;
        assert_eq!(claim(at(601), 1).await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_payers() {
    on_both(async |store| {
        change(&store, async |tx| {
            tx.insert_pay_page("d1", ORG, "run_1", b"t1", NOW).await?;
            tx.insert_pay_page("d2", ORG, "run_2", b"t2", at(9)).await
        })
        .await;
        let twice =
            failing(&store, async |tx| tx.insert_pay_page("d3", ORG, "run_1", b"t3", NOW).await).await;
        assert!(twice.is_unique("pay_pages_of_run"), "{twice:?}");
        assert_eq!(store.pay_page("d1").await.unwrap(), Some((ORG.to_owned(), "run_1".to_owned())));
        assert_eq!(store.pay_page("none").await.unwrap(), None);
        assert_eq!(store.pay_page_of_run(ORG, "run_2").await.unwrap().unwrap(), b"t2");
        assert_eq!(store.pay_page_of_run(OTHER, "run_2").await.unwrap(), None);
        assert_eq!(change(&store, async |tx| tx.prune_pay_pages(at(9)).await).await, 1);
        assert_eq!(store.pay_page("d1").await.unwrap(), None);
        assert!(store.pay_page("d2").await.unwrap().is_some());
    })
    .await;
}
