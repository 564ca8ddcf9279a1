//! Runs: claimed once, in order, fenced by their lease; what waits for another, and what sets it free.

use std::collections::BTreeMap;

use jackfield_core::Timestamp;
use jackfield_core::workflow::{RecordEvent, RunState};
use jackfield_store::{Kind, PRUNE_AT_ONCE, Progress, Run, RunFilter, RunStep, Store, Why};

use super::{NOW, ORG, OTHER, PERMIT, at, change, failing, on_both, open, run};
use crate::support::{dictionary, soon, sqlite};

const WHY: Why<'_> = Why { code: "service_unavailable", reason: "It is down." };
/// How long a lease lasts here.
const UNTIL: Timestamp = at(60);

fn waiting(id: &str, behind: Option<&str>, after: Option<&str>) -> Run {
    Run { behind: behind.map(str::to_owned), after: after.map(str::to_owned), ..run(ORG, id) }
}

/// One of another queue, due so many seconds after [`NOW`].
fn queued(id: &str, queue: &str, due: i64) -> Run {
    Run { queue: queue.to_owned(), due_at: at(due), created_at: at(due), updated_at: at(due), ..run(ORG, id) }
}

fn done(node: &str) -> Progress<'_> {
    Progress { results: r#"{"a":1}"#, attempts: 2, doubt: true, node }
}

async fn insert(store: &Store, runs: &[Run]) {
    change(store, async |tx| {
        for run in runs {
            tx.insert_run(run).await?;
        }
        Ok(())
    })
    .await;
}

async fn read(store: &Store, id: &str) -> Run {
    store.run(ORG, id).await.unwrap().unwrap()
}

/// Of a queue, for a node, until [`UNTIL`].
async fn claim(store: &Store, queue: &str, node: &str, now: Timestamp, limit: i64) -> Vec<Run> {
    change(store, async |tx| tx.claim_runs(queue, node, now, UNTIL, limit).await).await
}

/// Those of the queue `q` that nothing holds back, all taken by the node `n`.
async fn take(store: &Store) -> Vec<String> {
    ids(claim(store, "q", "n", NOW, 99).await)
}

async fn end(store: &Store, run: &Run, state: RunState, node: &str) -> bool {
    change(store, async |tx| tx.end_run(run, state, done(node), None, at(9)).await).await
}

fn ids(runs: Vec<Run>) -> Vec<String> {
    runs.into_iter().map(|run| run.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_found() {
    on_both(async |store| {
        let public = Run { actor: String::new(), event: RecordEvent::Deleted, ..run(ORG, "run_1") };
        let progressed = Run {
            state: RunState::Failed,
            attempts: 7,
            doubt: true,
            results: "[]".to_owned(),
            paused_on: Some("mail".to_owned()),
            ended_at: Some(at(1)),
            ..run(ORG, "run_2")
        };
        let held = Run {
            behind: Some("run_1".to_owned()),
            after: Some("run_2".to_owned()),
            event: RecordEvent::Created,
            ..run(ORG, "run_3")
        };
        insert(&store, &[public.clone(), progressed, held.clone(), run(OTHER, "run_1")]).await;
        let error = failing(&store, async |tx| tx.insert_run(&public).await).await;
        assert!(error.is_unique("runs_pkey"), "{error:?}");
        assert_eq!(read(&store, "run_1").await, public);
        assert_eq!(read(&store, "run_2").await, run(ORG, "run_2"), "it is queued, whatever it says");
        assert_eq!(read(&store, "run_3").await, held);
        assert_eq!(store.run(OTHER, "run_1").await.unwrap().unwrap(), run(OTHER, "run_1"));
        assert_eq!(store.run(OTHER, "run_2").await.unwrap(), None);

        // The run that is before another.
        let before = async |organization: &str, record: &str, workflow: &str| {
            change(&store, async |tx| tx.run_before(organization, record, workflow).await).await
        };
        assert_eq!(before(ORG, "rec_1", "pay").await.as_deref(), Some("run_3"));
        assert_eq!(before(OTHER, "rec_1", "pay").await.as_deref(), Some("run_1"));
        assert_eq!(before(ORG, "rec_2", "pay").await, None);
        assert_eq!(before(ORG, "rec_1", "tell").await, None);
        assert!(change(&store, async |tx| tx.cancel_run(ORG, "run_3", at(1)).await).await);
        assert_eq!(before(ORG, "rec_1", "pay").await.as_deref(), Some("run_2"), "that one is over");

        // The record that a run goes on with.
        change(&store, async |tx| tx.set_run_data(&public, "[7]").await).await;
        assert_eq!(read(&store, "run_1").await, Run { data: "[7]".to_owned(), ..public });
        assert_eq!(store.run(OTHER, "run_1").await.unwrap().unwrap(), run(OTHER, "run_1"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_record_sets_off() {
    on_both(async |store| {
        let tick = |id: &str, environment: &str, component: &str| Run {
            environment: environment.to_owned(),
            component: component.to_owned(),
            workflow: String::new(),
            form: String::new(),
            record: String::new(),
            event: RecordEvent::Tick,
            ..run(ORG, id)
        };
        let (nightly, asked) = (tick("1", "production", "schedule:nightly"), RecordEvent::Asked);
        insert(
            &store,
            &[
                nightly.clone(),
                Run { event: asked, ..tick("2", "production", "schedule:nightly") },
                tick("3", "stage", "schedule:nightly"),
                tick("4", "production", "schedule:nightly_2"),
                Run { application: "b".to_owned(), ..tick("5", "production", "schedule:nightly") },
                Run { organization_id: OTHER.to_owned(), ..tick("6", "production", "schedule:nightly") },
                run(ORG, "7"),
                tick("8", "production", "schedule:nightly"),
            ],
        )
        .await;
        assert_eq!(read(&store, "1").await, nightly);
        assert_eq!(read(&store, "2").await.event, asked);
        let open = async |environment: &str, component: &str, limit: i64| {
            change(&store, async |tx| tx.open_runs(ORG, "portal", environment, component, limit).await).await
        };
        assert_eq!(open("production", "schedule:nightly", 9).await, ["8", "2", "1"]);
        assert_eq!(open("production", "schedule:nightly", 2).await, ["8", "2"]);
        assert_eq!(open("stage", "schedule:nightly", 9).await, ["3"]);
        assert_eq!(open("production", "workflow:pay", 9).await, [""; 0], "a record set that one off");
        assert!(change(&store, async |tx| tx.cancel_run(ORG, "2", at(1)).await).await);
        assert_eq!(open("production", "schedule:nightly", 9).await, ["8", "1"], "what is over is not open");
        let portal = RunFilter { application: "portal", ..RunFilter::default() };
        for (filter, expected) in [
            (RunFilter { component: "schedule:nightly", ..portal }, &["8", "3", "2", "1"][..]),
            (RunFilter { component: "schedule:nightly", environment: "stage", ..portal }, &["3"]),
            (RunFilter { component: "schedule:nightly", state: "cancelled", ..portal }, &["2"]),
            (RunFilter { component: "workflow:pay", ..portal }, &["7"]),
            (RunFilter { component: "schedule:none", ..portal }, &[]),
        ] {
            assert_eq!(ids(store.runs(ORG, filter, "~", 9).await.unwrap()), expected, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts() {
    on_both(async |store| {
        let place = |id: &str, application: &str, environment: &str, workflow: &str, record: &str| Run {
            application: application.to_owned(),
            environment: environment.to_owned(),
            component: format!("workflow:{workflow}"),
            workflow: workflow.to_owned(),
            record: record.to_owned(),
            ..run(ORG, id)
        };
        insert(
            &store,
            &[
                place("1", "portal", "production", "pay", "rec_1"),
                place("2", "portal", "stage", "pay", "rec_2"),
                place("3", "portal", "production", "tell", "rec_1"),
                place("4", "b", "production", "pay", "rec_1"),
                place("5", "portal", "production", "pay", "rec_3"),
                place("6", "portal", "production", "pay", "rec_3"),
                run(OTHER, "1"),
                run(OTHER, "9"),
            ],
        )
        .await;
        for id in ["3", "4", "6"] {
            assert!(change(&store, async |tx| tx.cancel_run(ORG, id, at(1)).await).await);
        }
        let list =
            async |filter, before: &str, limit| ids(store.runs(ORG, filter, before, limit).await.unwrap());
        let all = RunFilter::default();
        assert_eq!(list(all, "~", 9).await, ["6", "5", "4", "3", "2", "1"]);
        assert_eq!(list(all, "~", 2).await, ["6", "5"]);
        assert_eq!(list(all, "5", 2).await, ["4", "3"]);
        let portal = RunFilter { application: "portal", ..all };
        assert_eq!(list(portal, "~", 9).await, ["6", "5", "3", "2", "1"]);
        assert_eq!(list(portal, "5", 2).await, ["3", "2"]);
        let queued = RunFilter { state: "queued", ..portal };
        assert_eq!(list(queued, "~", 9).await, ["5", "2", "1"]);
        assert_eq!(list(queued, "5", 1).await, ["2"]);
        for (filter, found) in [
            (RunFilter { environment: "stage", ..all }, &["2"][..]),
            (RunFilter { environment: "stage", ..portal }, &["2"]),
            (RunFilter { environment: "stage", state: "cancelled", ..portal }, &[]),
            (RunFilter { environment: "production", ..queued }, &["5", "1"]),
            (RunFilter { component: "workflow:tell", ..all }, &["3"]),
            (RunFilter { component: "workflow:tell", ..queued }, &[]),
            (RunFilter { state: "cancelled", ..all }, &["6", "4", "3"]),
            (RunFilter { state: "cancelled", ..portal }, &["6", "3"]),
            (RunFilter { record: "rec_1", ..all }, &["4", "3", "1"]),
            (RunFilter { record: "rec_1", ..portal }, &["3", "1"]),
            (RunFilter { record: "rec_1", component: "workflow:pay", ..all }, &["4", "1"]),
            (RunFilter { record: "rec_1", ..queued }, &["1"]),
            (RunFilter { record: "rec_9", ..all }, &[]),
            (RunFilter { application: "c", ..all }, &[]),
            (RunFilter { state: "running", ..portal }, &[]),
        ] {
            assert_eq!(list(filter, "~", 9).await, *found, "{filter:?}");
        }
        let of_record = RunFilter { record: "rec_1", ..all };
        assert_eq!(list(of_record, "4", 1).await, ["3"]);
        assert_eq!(ids(store.runs(OTHER, portal, "~", 9).await.unwrap()), ["9", "1"]);

        let counts = async |organization: &str, application: &str, environment: &str| {
            let found = store.run_counts(organization, application, environment).await.unwrap();
            found.into_iter().collect::<BTreeMap<_, _>>()
        };
        let many =
            |all: &[(&str, i64)]| all.iter().map(|&(s, n)| (s.to_owned(), n)).collect::<BTreeMap<_, _>>();
        assert_eq!(counts(ORG, "portal", "production").await, many(&[("cancelled", 2), ("queued", 2)]));
        assert_eq!(counts(ORG, "portal", "stage").await, many(&[("queued", 1)]));
        assert_eq!(counts(ORG, "b", "production").await, many(&[("cancelled", 1)]));
        assert_eq!(counts(ORG, "b", "stage").await, many(&[]));
        assert_eq!(counts(OTHER, "portal", "production").await, many(&[("queued", 2)]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_and_claims() {
    on_both(async |store| {
        let queues = async |limit| store.due_queues(limit).await.unwrap();
        let named = |all: &[(&str, i64)]| all.iter().map(|&(q, s)| (q.to_owned(), at(s))).collect::<Vec<_>>();
        assert_eq!(queues(9).await, []);
        let elsewhere = Run { queue: "z".to_owned(), ..queued("run_1", "z", 1) };
        insert(
            &store,
            &[
                queued("run_5", "a", 30),
                queued("run_1", "a", 20),
                queued("run_4", "a", 10),
                queued("run_3", "a", 10),
                queued("run_2", "b", 40),
                Run { organization_id: OTHER.to_owned(), ..elsewhere },
                Run { organization_id: OTHER.to_owned(), ..queued("run_3", "a", 15) },
                // What is held back is not there, nor is a queue that has nothing else.
                Run { behind: Some("run_1".to_owned()), ..queued("run_6", "a", 0) },
                Run { behind: Some("run_1".to_owned()), ..queued("run_7", "c", 0) },
                Run { after: Some("run_1".to_owned()), ..queued("run_8", "d", 0) },
                queued("run_9", "e", 0),
            ],
        )
        .await;
        assert_eq!(queues(9).await, named(&[("e", 0), ("z", 1), ("a", 10), ("b", 40)]));
        assert_eq!(queues(2).await, named(&[("e", 0), ("z", 1)]), "the longest due first");

        // What runs, is paused, or is over is not there either.
        assert_eq!(ids(claim(&store, "e", "one", at(0), 9).await), ["run_9"]);
        assert_eq!(queues(9).await, named(&[("z", 1), ("a", 10), ("b", 40)]));
        let nine = read(&store, "run_9").await;
        assert!(change(&store, async |tx| tx.pause_run(&nine, done("one"), "mail", WHY, NOW).await).await);
        assert_eq!(queues(9).await, named(&[("z", 1), ("a", 10), ("b", 40)]));
        assert_eq!(ids(claim(&store, "e", "one", at(99), 9).await), [""; 0]);
        assert!(change(&store, async |tx| tx.cancel_run(ORG, "run_9", at(2)).await).await);
        assert_eq!(queues(9).await, named(&[("z", 1), ("a", 10), ("b", 40)]));

        // By the time they are due, then by id; no more than asked for; not what is not due yet.
        assert_eq!(ids(claim(&store, "a", "one", at(9), 9).await), [""; 0]);
        assert_eq!(ids(claim(&store, "nothing", "one", at(99), 9).await), [""; 0]);
        assert_eq!(ids(claim(&store, "a", "one", at(20), 0).await), [""; 0]);
        let taken = claim(&store, "a", "one", at(20), 2).await;
        let expected =
            Run { state: RunState::Running, attempts: 1, updated_at: at(20), ..queued("run_3", "a", 10) };
        assert_eq!(taken[0], expected, "as it is now, with the try that begins");
        assert_eq!(ids(taken), ["run_3", "run_4"]);
        assert_eq!(read(&store, "run_3").await, expected);
        assert_eq!(queues(9).await, named(&[("z", 1), ("a", 15), ("b", 40)]));
        let taken = claim(&store, "a", "two", at(20), 9).await;
        assert_eq!(
            taken.iter().map(|r| (r.organization_id.as_str(), r.id.as_str())).collect::<Vec<_>>(),
            [(OTHER, "run_3"), (ORG, "run_1")],
            "a queue may be that of several"
        );
        assert_eq!(queues(9).await, named(&[("z", 1), ("a", 30), ("b", 40)]));
        assert_eq!(read(&store, "run_5").await, queued("run_5", "a", 30));
        // What comes back is tried a second time.
        let three = read(&store, "run_3").await;
        let progress = Progress { attempts: three.attempts, ..done("one") };
        let later = async || {
            change(&store, async |tx| tx.retry_run(&three, progress, None, at(25), WHY, at(21)).await).await
        };
        assert!(later().await && !later().await);
        assert_eq!(queues(9).await, named(&[("z", 1), ("a", 25), ("b", 40)]));
        let again = claim(&store, "a", "one", at(25), 9).await;
        assert_eq!(again.iter().map(|r| (r.id.as_str(), r.attempts)).collect::<Vec<_>>(), [("run_3", 2)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_claim_at_once_each_has_its_own() {
    for empty in [sqlite(), dictionary()] {
        let (one, two) = (open(&empty.url).await, open(&empty.url).await);
        let all: Vec<Run> = (0..200).map(|n| queued(&format!("run_{n:03}"), "q", n % 7)).collect();
        insert(&one, &all).await;
        // While one has them in his hands, another takes the next and does not wait.
        let mut taken = Vec::new();
        if one.kind() == Kind::Postgres {
            let (mut first, mut second) =
                (one.begin(PERMIT).await.unwrap(), two.begin(PERMIT).await.unwrap());
            let a = soon(first.claim_runs("q", "a", at(9), UNTIL, 3)).await.unwrap();
            let b = soon(second.claim_runs("q", "b", at(9), UNTIL, 3)).await.unwrap();
            taken.extend(ids(a));
            assert_eq!(taken, ["run_000", "run_007", "run_014"]);
            taken.extend(ids(b));
            assert_eq!(taken[3..], ["run_021", "run_028", "run_035"]);
            first.commit().await.unwrap();
            second.commit().await.unwrap();
        }
        let claimants: Vec<_> = (0..8)
            .map(|n| {
                let store: Store = if n % 2 == 0 { one.clone() } else { two.clone() };
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    loop {
                        let taken = claim(&store, "q", &n.to_string(), at(9), 7).await;
                        assert!(taken.len() <= 7, "{} at once", taken.len());
                        assert!(taken.is_sorted_by_key(|run| (run.due_at, run.id.clone())));
                        if taken.is_empty() {
                            return mine;
                        }
                        mine.extend(ids(taken));
                    }
                })
            })
            .collect();
        for claimant in claimants {
            taken.extend(soon(claimant).await.unwrap());
        }
        taken.sort();
        assert_eq!(taken, ids(all));
        soon(one.close()).await;
        soon(two.close()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lease_nothing_is_written() {
    on_both(async |store| {
        let twin = Run { behind: Some("run_1".to_owned()), ..run(OTHER, "run_2") };
        insert(
            &store,
            &[
                run(ORG, "run_1"),
                waiting("run_2", Some("run_1"), None),
                waiting("run_3", None, Some("run_1")),
                Run { queue: "other".to_owned(), ..run(OTHER, "run_1") },
                twin.clone(),
            ],
        )
        .await;
        // Nobody has it, another has it, it is another organization's, it was given back, or is over: all the same.
        let refused = async |run: &Run, node: &str| {
            let all = async || {
                let mut all = store.runs(ORG, RunFilter::default(), "~", 9).await.unwrap();
                all.extend(store.runs(OTHER, RunFilter::default(), "~", 9).await.unwrap());
                all
            };
            let before = all().await;
            let kept = change(&store, async |tx| tx.keep_run(run, done(node), at(99), at(9)).await).await;
            let ended = end(&store, run, RunState::Succeeded, node).await;
            let later = change(&store, async |tx| {
                tx.retry_run(run, done(node), Some(at(1)), at(5), WHY, at(9)).await
            })
            .await;
            let paused =
                change(&store, async |tx| tx.pause_run(run, done(node), "mail", WHY, at(9)).await).await;
            assert_eq!([kept, ended, later, paused], [false; 4]);
            assert_eq!(all().await, before);
        };
        let first = read(&store, "run_1").await;
        refused(&first, "one").await;
        assert_eq!(ids(claim(&store, "q", "one", NOW, 9).await), ["run_1"]);
        refused(&first, "two").await;
        refused(&run(OTHER, "run_1"), "one").await;
        refused(&run(ORG, "run_9"), "one").await;

        // With it: kept, with a longer lease, and what had gone wrong is no more.
        let keep = async |until| {
            change(&store, async |tx| tx.keep_run(&first, done("one"), until, at(2)).await).await
        };
        assert!(keep(at(90)).await);
        let kept = Run {
            state: RunState::Running,
            results: r#"{"a":1}"#.to_owned(),
            attempts: 2,
            updated_at: at(2),
            ..first.clone()
        };
        assert_eq!(read(&store, "run_1").await, kept);
        let recover = async |now| change(&store, async |tx| tx.recover_runs(now).await).await;
        assert_eq!(recover(at(90)).await, 0, "it lasts that long");
        assert_eq!(recover(at(91)).await, 1);
        refused(&first, "one").await;
        assert_eq!(ids(claim(&store, "q", "two", at(91), 9).await), ["run_1"]);
        refused(&first, "one").await;
        assert!(end(&store, &first, RunState::Succeeded, "two").await);
        refused(&first, "two").await;
        assert_eq!(read(&store, "run_2").await.behind, None);
        assert_eq!(read(&store, "run_3").await.after, None);
        assert_eq!(store.run(OTHER, "run_2").await.unwrap().unwrap(), twin);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_try_ends() {
    on_both(async |store| {
        let all: Vec<Run> = ["over", "failed", "later", "paused"].map(|id| run(ORG, id)).into();
        insert(&store, &all).await;
        assert_eq!(take(&store).await.len(), 4);
        let over = end(&store, &all[0], RunState::Succeeded, "n").await;
        let failed = change(&store, async |tx| {
            tx.end_run(&all[1], RunState::Failed, done("n"), Some(WHY), at(9)).await
        })
        .await;
        let later = change(&store, async |tx| {
            tx.retry_run(&all[2], done("n"), Some(at(1)), at(30), WHY, at(9)).await
        })
        .await;
        let paused =
            change(&store, async |tx| tx.pause_run(&all[3], done("n"), "mail", WHY, at(9)).await).await;
        assert_eq!([over, failed, later, paused], [true; 4]);
        let left = |id: &str, state| Run {
            state,
            results: r#"{"a":1}"#.to_owned(),
            updated_at: at(9),
            ..run(ORG, id)
        };
        let (code, reason) = (Some(WHY.code.to_owned()), Some(WHY.reason.to_owned()));
        let succeeded = Run { attempts: 1, ended_at: Some(at(9)), ..left("over", RunState::Succeeded) };
        assert_eq!(read(&store, "over").await, succeeded);
        let failed = Run {
            attempts: 1,
            ended_at: Some(at(9)),
            code: code.clone(),
            reason: reason.clone(),
            ..left("failed", RunState::Failed)
        };
        assert_eq!(read(&store, "failed").await, failed);
        let later = Run {
            attempts: 2,
            doubt: true,
            tried_since: Some(at(1)),
            due_at: at(30),
            code: code.clone(),
            reason: reason.clone(),
            ..left("later", RunState::Queued)
        };
        assert_eq!(read(&store, "later").await, later);
        let paused = Run {
            attempts: 2,
            doubt: true,
            paused_on: Some("mail".to_owned()),
            code,
            reason,
            ..left("paused", RunState::Paused)
        };
        assert_eq!(read(&store, "paused").await, paused);

        // An action that is done at last leaves no doubt.
        assert_eq!(ids(claim(&store, "q", "n", at(30), 9).await), ["later"]);
        assert!(change(&store, async |tx| tx.keep_run(&later, done("n"), UNTIL, at(31)).await).await);
        let kept = Run {
            state: RunState::Running,
            doubt: false,
            tried_since: None,
            code: None,
            reason: None,
            updated_at: at(31),
            ..later
        };
        assert_eq!(read(&store, "later").await, kept);

        // A person ends what waits, and nothing else.
        let cancel = async |organization: &str, id: &str| {
            change(&store, async |tx| tx.cancel_run(organization, id, at(40)).await).await
        };
        for (organization, id) in
            [(OTHER, "paused"), (ORG, "nothing"), (ORG, "later"), (ORG, "over"), (ORG, "failed")]
        {
            assert!(!cancel(organization, id).await, "{id}");
        }
        assert_eq!(read(&store, "over").await, succeeded);
        assert!(cancel(ORG, "paused").await && !cancel(ORG, "paused").await);
        let cancelled = Run {
            state: RunState::Cancelled,
            paused_on: None,
            code: None,
            reason: None,
            updated_at: at(40),
            ended_at: Some(at(40)),
            ..paused
        };
        assert_eq!(read(&store, "paused").await, cancelled);
        assert_eq!(change(&store, async |tx| tx.wake_runs(ORG, "mail", at(41)).await).await, 0);
        assert_eq!(read(&store, "paused").await, cancelled);
    })
    .await;
}

/// A run that others wait for, behind it and after it, here and elsewhere.
async fn insert_with_followers(store: &Store) -> Run {
    let twin = Run { queue: "other".to_owned(), ..run(OTHER, "run_1") };
    let followers = [
        waiting("run_2", Some("run_1"), None),
        waiting("run_3", None, Some("run_1")),
        waiting("run_4", Some("run_1"), Some("run_1")),
        waiting("run_5", Some("run_2"), None),
        Run { organization_id: OTHER.to_owned(), ..waiting("run_2", Some("run_1"), Some("run_1")) },
    ];
    insert(store, &[run(ORG, "run_1"), twin]).await;
    insert(store, &followers).await;
    assert_eq!(take(store).await, ["run_1"]);
    read(store, "run_1").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_set_free() {
    for state in [RunState::Succeeded, RunState::Failed] {
        on_both(async |store| {
            let first = insert_with_followers(&store).await;
            assert!(end(&store, &first, state, "n").await);
            assert_eq!(take(&store).await, ["run_2", "run_3", "run_4"]);
            assert_eq!(store.run(OTHER, "run_2").await.unwrap().unwrap().behind.as_deref(), Some("run_1"));
        })
        .await;
    }
    // What has to wait itself keeps those behind it, and lets the next workflow pass.
    for pause in [false, true] {
        on_both(async |store| {
            let first = insert_with_followers(&store).await;
            change(&store, async |tx| {
                let kept = if pause {
                    tx.pause_run(&first, done("n"), "mail", WHY, NOW).await?
                } else {
                    tx.retry_run(&first, done("n"), None, at(30), WHY, NOW).await?
                };
                assert!(kept);
                Ok(())
            })
            .await;
            assert_eq!(take(&store).await, ["run_3"]);
            let both = read(&store, "run_4").await;
            assert_eq!((both.behind.as_deref(), both.after), (Some("run_1"), None));
            let others = store.run(OTHER, "run_2").await.unwrap().unwrap();
            assert_eq!(others.after.as_deref(), Some("run_1"));
            assert!(change(&store, async |tx| tx.cancel_run(ORG, "run_1", NOW).await).await);
            assert_eq!(take(&store).await, ["run_2", "run_4"]);
        })
        .await;
    }
    // What is cancelled while it waits leaves its place to those that wait for it.
    on_both(async |store| {
        let first = insert_with_followers(&store).await;
        insert(&store, &[waiting("run_6", None, Some("run_3"))]).await;
        for id in ["run_2", "run_3"] {
            assert!(change(&store, async |tx| tx.cancel_run(ORG, id, NOW).await).await);
        }
        assert_eq!(read(&store, "run_5").await.behind.as_deref(), Some("run_1"));
        assert_eq!(read(&store, "run_6").await.after.as_deref(), Some("run_1"));
        assert_eq!(take(&store).await, [""; 0], "run_1 is still running");
        assert!(end(&store, &first, RunState::Succeeded, "n").await);
        assert_eq!(take(&store).await, ["run_4", "run_5", "run_6"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_vain_is_mended() {
    on_both(async |store| {
        let mend = async || change(&store, async |tx| tx.mend_runs().await).await;
        insert(&store, &[run(ORG, "over"), run(ORG, "tried"), run(ORG, "paused"), run(ORG, "alive")]).await;
        assert_eq!(take(&store).await.len(), 4);
        let first = read(&store, "over").await;
        assert!(end(&store, &first, RunState::Failed, "n").await);
        let (tried, paused) = (read(&store, "tried").await, read(&store, "paused").await);
        change(&store, async |tx| {
            assert!(tx.retry_run(&tried, done("n"), Some(NOW), at(50), WHY, NOW).await?);
            assert!(tx.pause_run(&paused, done("n"), "mail", WHY, NOW).await?);
            Ok(())
        })
        .await;
        // Made by somebody who had not seen it yet.
        let names = ["over", "tried", "paused", "alive", "never"];
        let followers: Vec<Run> = names
            .iter()
            .flat_map(|of| {
                [
                    waiting(&format!("behind {of}"), Some(of), None),
                    waiting(&format!("after {of}"), None, Some(of)),
                ]
            })
            .collect();
        insert(&store, &followers).await;
        // Another organization's run is not the one that is waited for.
        let stranger = Run { queue: "other".to_owned(), ..run(OTHER, "never") };
        insert(&store, std::slice::from_ref(&stranger)).await;
        assert_eq!(take(&store).await, [""; 0]);
        assert_eq!(mend().await, 6);
        assert_eq!(mend().await, 0);
        assert_eq!(
            take(&store).await,
            ["after never", "after over", "after paused", "after tried", "behind never", "behind over"]
        );
        assert_eq!(read(&store, "behind alive").await.behind.as_deref(), Some("alive"));
        assert_eq!(read(&store, "behind paused").await.behind.as_deref(), Some("paused"));
        assert_eq!(read(&store, "behind tried").await.behind.as_deref(), Some("tried"));
        assert_eq!(read(&store, "after alive").await.after.as_deref(), Some("alive"));

        // Behind one that was cancelled while it waited: for what that one was waiting for.
        assert!(change(&store, async |tx| tx.cancel_run(ORG, "behind alive", NOW).await).await);
        assert!(change(&store, async |tx| tx.cancel_run(ORG, "after alive", NOW).await).await);
        insert(
            &store,
            &[waiting("late 1", Some("behind alive"), None), waiting("late 2", None, Some("after alive"))],
        )
        .await;
        assert_eq!(mend().await, 2);
        assert_eq!(read(&store, "late 1").await.behind.as_deref(), Some("alive"));
        assert_eq!(read(&store, "late 2").await.after.as_deref(), Some("alive"));
        assert_eq!(mend().await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_left_is_taken_back() {
    on_both(async |store| {
        let recover = async |now| change(&store, async |tx| tx.recover_runs(now).await).await;
        insert(&store, &[run(ORG, "run_1"), run(ORG, "run_2"), run(OTHER, "run_1")]).await;
        assert_eq!(claim(&store, "q", "one", NOW, 9).await.len(), 3);

        // A lease that ran out: in doubt, due as it was, and the try counts.
        assert_eq!(recover(UNTIL).await, 0);
        assert_eq!(recover(at(61)).await, 3, "every organization's");
        assert_eq!(recover(at(61)).await, 0);
        for (organization, id) in [(ORG, "run_1"), (ORG, "run_2"), (OTHER, "run_1")] {
            let expected = Run { doubt: true, attempts: 1, ..run(organization, id) };
            assert_eq!(store.run(organization, id).await.unwrap().unwrap(), expected);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_connection_wakes() {
    on_both(async |store| {
        let all = [run(ORG, "run_1"), run(ORG, "run_2"), run(ORG, "run_3"), run(OTHER, "run_1")];
        insert(&store, &all).await;
        assert_eq!(take(&store).await.len(), 4);
        for (run, connection) in all.iter().zip(["mail", "books", "mail", "mail"]) {
            change(&store, async |tx| {
                assert!(tx.pause_run(run, done("n"), connection, WHY, at(1)).await?);
                Ok(())
            })
            .await;
        }
        let wake = async |organization: &str, connection: &str| {
            change(&store, async |tx| tx.wake_runs(organization, connection, at(5)).await).await
        };
        assert_eq!(wake(ORG, "nothing").await, 0);
        assert_eq!(wake(ORG, "mail").await, 2);
        assert_eq!(wake(ORG, "mail").await, 0);
        let awake = Run {
            doubt: true,
            results: r#"{"a":1}"#.to_owned(),
            due_at: at(5),
            updated_at: at(5),
            ..run(ORG, "run_3")
        };
        assert_eq!(read(&store, "run_3").await, awake, "as much in doubt as it was");
        assert_eq!(read(&store, "run_2").await.paused_on.as_deref(), Some("books"));
        assert_eq!(store.run(OTHER, "run_1").await.unwrap().unwrap().state, RunState::Paused);
        assert_eq!(ids(claim(&store, "q", "n", at(5), 9).await), ["run_1", "run_3"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_failed_is_replayed() {
    on_both(async |store| {
        let names = ["run_1", "run_2", "run_3", "run_4", "run_5", "run_6"];
        let mut all: Vec<Run> = names.map(|id| run(ORG, id)).into();
        all[1].component = "workflow:tell".to_owned();
        all.push(run(OTHER, "run_1"));
        insert(&store, &all).await;
        assert_eq!(claim(&store, "q", "n", NOW, 9).await.len(), 7);
        change(&store, async |tx| {
            // run_1 in doubt, then failed.
            assert!(tx.retry_run(&all[0], done("n"), Some(NOW), NOW, WHY, NOW).await?);
            assert_eq!(tx.claim_runs("q", "n", NOW, UNTIL, 9).await?.len(), 1);
            for (n, state) in [
                (0, RunState::Failed),
                (1, RunState::Failed),
                (2, RunState::Failed),
                (3, RunState::Succeeded),
                (6, RunState::Failed),
            ] {
                assert!(tx.end_run(&all[n], state, done("n"), Some(WHY), at(9)).await?);
            }
            assert!(tx.pause_run(&all[4], done("n"), "mail", WHY, NOW).await?);
            assert!(tx.cancel_run(ORG, "run_5", at(9)).await?);
            Ok(())
        })
        .await;
        let replay = async |organization: &str, filter, id: &str, limit| {
            let mut ids =
                change(&store, async |tx| tx.replay_runs(organization, filter, id, at(20), limit).await)
                    .await;
            ids.sort();
            ids
        };
        let any = RunFilter::default();
        // Not what went well, runs, or is not there; nothing but what the filter means.
        for id in ["run_4", "run_6", "run_9"] {
            assert_eq!(replay(ORG, any, id, 9).await, [""; 0]);
        }
        assert_eq!(replay(OTHER, any, "run_2", 9).await, [""; 0]);
        assert_eq!(replay(ORG, RunFilter { application: "b", ..any }, "run_1", 9).await, [""; 0]);
        assert_eq!(replay(ORG, RunFilter { record: "rec_2", ..any }, "", 9).await, [""; 0]);
        assert_eq!(replay(ORG, RunFilter { environment: "stage", ..any }, "", 9).await, [""; 0]);
        assert_eq!(replay(ORG, any, "", 0).await, [""; 0]);

        assert_eq!(replay(ORG, any, "run_1", 9).await, ["run_1"]);
        let replayed = Run {
            doubt: true,
            results: r#"{"a":1}"#.to_owned(),
            due_at: at(20),
            updated_at: at(20),
            ..run(ORG, "run_1")
        };
        assert_eq!(read(&store, "run_1").await, replayed, "where it stopped, in doubt as it was");
        assert_eq!(replay(ORG, any, "run_1", 9).await, [""; 0], "it is queued already");
        assert_eq!(
            replay(ORG, RunFilter { component: "workflow:tell", state: "failed", ..any }, "", 9).await,
            ["run_2"]
        );
        assert_eq!(
            replay(ORG, RunFilter { application: "portal", ..any }, "", 1).await,
            ["run_3"],
            "the first"
        );
        assert_eq!(replay(ORG, any, "", 9).await, ["run_5"], "what was cancelled, too");
        assert_eq!(read(&store, "run_5").await.ended_at, None);
        assert_eq!(store.run(OTHER, "run_1").await.unwrap().unwrap().state, RunState::Failed);
        assert_eq!(read(&store, "run_4").await.state, RunState::Succeeded);
        let claimed = claim(&store, "q", "n", at(20), 9).await;
        assert!(claimed.iter().all(|run| run.attempts == 1), "they are counted anew");
        assert_eq!(ids(claimed), ["run_1", "run_2", "run_3", "run_5"]);
        // It may end like any other.
        assert!(end(&store, &replayed, RunState::Succeeded, "n").await);
    })
    .await;
}

fn step(id: &str, outcome: &str) -> RunStep {
    RunStep {
        id: id.to_owned(),
        action: "send".to_owned(),
        attempt: 2,
        outcome: outcome.to_owned(),
        doubt: outcome == "found",
        request: (outcome != "skipped").then(|| r#"{"url":"x"}"#.to_owned()),
        reply: (outcome == "done").then(|| "{}".to_owned()),
        status: (outcome == "done").then_some(201),
        message: (outcome == "failed").then(|| "no".to_owned()),
        at: at(3),
        duration: 12_345,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_and_what_is_forgotten() {
    on_both(async |store| {
        let steps =
            async |organization: &str, run: &str| store.run_steps(organization, run, 9).await.unwrap();
        let insert_step = async |organization: &str, run: &str, step: &RunStep| {
            change(&store, async |tx| tx.insert_run_step(organization, run, step).await).await;
        };
        let three = [step("s1", "failed"), step("s2", "skipped"), step("s3", "done")];
        for n in [2, 0, 1] {
            insert_step(ORG, "run_1", &three[n]).await;
        }
        insert_step(ORG, "run_2", &step("s1", "found")).await;
        insert_step(OTHER, "run_1", &step("s1", "paused")).await;
        let error = failing(&store, async |tx| tx.insert_run_step(ORG, "run_1", &three[0]).await).await;
        assert!(error.is_unique("run_steps_pkey"), "{error:?}");
        assert_eq!(steps(ORG, "run_1").await, three);
        assert_eq!(store.run_steps(ORG, "run_1", 2).await.unwrap(), three[..2]);
        assert_eq!(steps(ORG, "run_2").await, [step("s1", "found")]);
        assert_eq!(steps(OTHER, "run_1").await, [step("s1", "paused")]);
        assert_eq!(steps(OTHER, "run_2").await, []);

        // Forgotten when they ended long enough ago, with their steps; what is not over stays.
        let prune = async |before| change(&store, async |tx| tx.prune_runs(before).await).await;
        insert(&store, &[run(ORG, "run_1"), run(ORG, "run_2"), run(OTHER, "run_1"), run(ORG, "run_3")]).await;
        let cancel = async |organization: &str, id: &str, now| {
            assert!(change(&store, async |tx| tx.cancel_run(organization, id, now).await).await);
        };
        assert_eq!(prune(at(999)).await, 0);
        cancel(ORG, "run_1", at(10)).await;
        cancel(OTHER, "run_1", at(11)).await;
        assert_eq!(prune(at(10)).await, 0);
        assert_eq!(prune(at(11)).await, 1);
        assert_eq!((store.run(ORG, "run_1").await.unwrap(), steps(ORG, "run_1").await), (None, vec![]));
        assert_eq!(steps(ORG, "run_2").await.len(), 1);
        assert!(store.run(OTHER, "run_1").await.unwrap().is_some());
        assert_eq!(steps(OTHER, "run_1").await.len(), 1);
        assert_eq!(prune(at(12)).await, 1, "every organization's");
        assert_eq!(steps(OTHER, "run_1").await, []);
        assert_eq!(prune(at(999)).await, 0);

        // A thousand at once, the first that ended first, though many ended at the same time.
        change(&store, async |tx| {
            for n in 0..PRUNE_AT_ONCE + 2 {
                let id = format!("old_{n:04}");
                tx.insert_run(&run(ORG, &id)).await?;
                tx.insert_run_step(ORG, &id, &three[0]).await?;
                assert!(tx.cancel_run(ORG, &id, at(if n == 0 { 21 } else { 20 })).await?);
            }
            Ok(())
        })
        .await;
        assert_eq!(i64::try_from(prune(at(30)).await).unwrap(), PRUNE_AT_ONCE);
        for (id, left) in [("old_0000", 1), ("old_0001", 0), ("old_1000", 0), ("old_1001", 1)] {
            assert_eq!(steps(ORG, id).await.len(), left, "{id}");
            assert_eq!(usize::from(store.run(ORG, id).await.unwrap().is_some()), left, "{id}");
        }
        assert_eq!(prune(at(30)).await, 2);
        assert_eq!(steps(ORG, "old_0000").await, []);

        // With the application all its runs go, with their steps, whatever their state; the others keep theirs.
        insert(&store, &[Run { application: "b".to_owned(), ..run(ORG, "run_4") }, run(OTHER, "run_2")])
            .await;
        for (organization, id) in [(ORG, "run_4"), (OTHER, "run_2"), (ORG, "run_3")] {
            insert_step(organization, id, &three[0]).await;
        }
        assert!(take(&store).await.contains(&"run_2".to_owned()));
        change(&store, async |tx| tx.end_runs(ORG, "portal").await).await;
        for (organization, id, left) in
            [(ORG, "run_2", 0), (ORG, "run_3", 0), (ORG, "run_4", 1), (OTHER, "run_2", 1)]
        {
            assert_eq!(steps(organization, id).await.len(), left, "{organization} {id}");
            let found = store.run(organization, id).await.unwrap();
            assert_eq!(usize::from(found.is_some()), left, "{organization} {id}");
        }
    })
    .await;
}

/// Goes to the database so often that whoever does not wait is done by then.
async fn meanwhile(store: &Store) {
    for _ in 0..50 {
        soon(store.run(ORG, "run_1")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pauses_and_who_opens_wait_for_each_other() {
    on_both(async |store| {
        insert(&store, &[run(ORG, "run_1"), run(ORG, "run_2")]).await;
        assert_eq!(take(&store).await.len(), 2);
        let hold = async |organization: &str| {
            change(&store, async |tx| tx.hold_openings(organization, "mail").await).await
        };
        assert_eq!((hold(ORG).await, hold(ORG).await), (0, 0), "to look changes nothing");

        // Whoever opens is first: whoever is about to pause waits for it, and sees that it has opened.
        let mut opening = soon(store.begin(PERMIT)).await.unwrap();
        opening.open_connection(ORG, "mail").await.unwrap();
        assert_eq!(opening.wake_runs(ORG, "mail", at(5)).await.unwrap(), 0, "nothing is paused yet");
        let other = store.clone();
        let pausing =
            tokio::spawn(async move { change(&other, async |tx| tx.hold_openings(ORG, "mail").await).await });
        meanwhile(&store).await;
        assert!(!pausing.is_finished(), "it has not waited");
        opening.commit().await.unwrap();
        assert_eq!(soon(pausing).await.unwrap(), 1);

        // Whoever pauses is first: whoever opens waits for it, and finds the run.
        let first = read(&store, "run_1").await;
        let mut pausing = soon(store.begin(PERMIT)).await.unwrap();
        assert_eq!(pausing.hold_openings(ORG, "mail").await.unwrap(), 1);
        assert!(pausing.pause_run(&first, done("n"), "mail", WHY, at(6)).await.unwrap());
        let other = store.clone();
        let opening = tokio::spawn(async move {
            change(&other, async |tx| {
                tx.open_connection(ORG, "mail").await?;
                tx.wake_runs(ORG, "mail", at(7)).await
            })
            .await
        });
        meanwhile(&store).await;
        assert!(!opening.is_finished(), "it has not waited");
        pausing.commit().await.unwrap();
        assert_eq!(soon(opening).await.unwrap(), 1);
        assert_eq!(read(&store, "run_1").await.state, RunState::Queued);
        assert_eq!((hold(ORG).await, hold(OTHER).await), (2, 0), "another organization's is another");
    })
    .await;
}
