//! Schedules: what an environment runs at times, and that a tick is taken once.

use jackfield_core::Timestamp;
use jackfield_store::{Scheduled, Store};

use super::{NOW, ORG, OTHER, at, change, on_both};

/// What runs next at [`NOW`].
fn scheduled(organization: &str, environment: &str, component: &str) -> Scheduled {
    Scheduled {
        organization_id: organization.to_owned(),
        application: "portal".to_owned(),
        environment: environment.to_owned(),
        component: component.to_owned(),
        version: 1,
        next_at: Some(NOW),
        last_at: None,
        last_run: None,
        skipped: 0,
        skipped_at: None,
        skipped_why: None,
    }
}

async fn put(store: &Store, all: &[Scheduled]) {
    change(store, async |tx| {
        for one in all {
            tx.put_schedule(one).await?;
        }
        Ok(())
    })
    .await;
}

async fn take(store: &Store, row: &Scheduled, next: Option<Timestamp>) -> bool {
    change(store, async |tx| tx.take_tick(row, next).await).await
}

async fn of(store: &Store, organization: &str, component: &str) -> Vec<Scheduled> {
    store.schedules(organization, "portal", component).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_when() {
    on_both(async |store| {
        assert_eq!(store.next_tick().await.unwrap(), None);
        let first = scheduled(ORG, "production", "schedule:a");
        let later = Scheduled { next_at: Some(at(5)), ..scheduled(ORG, "stage", "schedule:a") };
        let never = Scheduled { next_at: None, ..scheduled(ORG, "production", "schedule:b") };
        let other = Scheduled { next_at: Some(at(-5)), ..scheduled(OTHER, "production", "schedule:a") };
        put(&store, &[first.clone(), later.clone(), never.clone(), other.clone()]).await;
        assert_eq!(store.next_tick().await.unwrap(), Some(at(-5)));
        assert_eq!(of(&store, ORG, "schedule:a").await, [first.clone(), later.clone()]);
        assert_eq!(of(&store, ORG, "").await, [first.clone(), later.clone(), never]);
        assert_eq!(store.schedules(ORG, "b", "").await.unwrap(), []);
        let due = async |now, limit| store.due_schedules(now, limit).await.unwrap();
        assert_eq!(due(at(-6), 9).await, []);
        assert_eq!(due(NOW, 9).await, [other.clone(), first.clone()]);
        assert_eq!(due(at(5), 1).await, std::slice::from_ref(&other), "the longest due first");
        assert_eq!(due(at(5), 9).await, [other.clone(), first.clone(), later.clone()]);

        // It ends one by one, or with its application.
        change(&store, async |tx| tx.delete_schedule(ORG, "portal", "production", "schedule:a").await).await;
        assert_eq!(due(at(5), 9).await, [other.clone(), later]);
        change(&store, async |tx| tx.end_schedules(ORG, "b").await).await;
        assert_eq!(of(&store, ORG, "").await.len(), 2);
        change(&store, async |tx| tx.end_schedules(ORG, "portal").await).await;
        assert_eq!(of(&store, ORG, "").await, []);
        assert_eq!(of(&store, OTHER, "").await, [other]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_is_taken_once() {
    on_both(async |store| {
        let row = scheduled(ORG, "production", "schedule:a");
        let other = scheduled(OTHER, "production", "schedule:a");
        put(&store, &[row.clone(), other.clone()]).await;
        assert!(take(&store, &row, Some(at(60))).await);
        assert!(!take(&store, &row, Some(at(60))).await, "somebody has");
        let moved = Scheduled { next_at: Some(at(60)), ..row.clone() };
        assert_eq!(of(&store, ORG, "").await, std::slice::from_ref(&moved));
        assert_eq!(of(&store, OTHER, "").await, [other]);
        assert!(
            !take(&store, &Scheduled { version: 2, ..moved.clone() }, None).await,
            "it was another version"
        );

        // What ran and what was left out is kept, and stays when another version is saved.
        change(&store, async |tx| {
            tx.tick_ran(&row, NOW, "run_1").await?;
            tx.tick_skipped(&row, at(1), "It was late.").await?;
            tx.tick_skipped(&row, at(2), "It was busy.").await
        })
        .await;
        put(&store, &[Scheduled { version: 2, next_at: Some(at(9)), ..row.clone() }]).await;
        let kept = Scheduled {
            version: 2,
            next_at: Some(at(9)),
            last_at: Some(NOW),
            last_run: Some("run_1".to_owned()),
            skipped: 2,
            skipped_at: Some(at(2)),
            skipped_why: Some("It was busy.".to_owned()),
            ..row.clone()
        };
        assert_eq!(of(&store, ORG, "").await, std::slice::from_ref(&kept));
        assert!(!take(&store, &moved, None).await, "the version before is not asked any more");
        assert!(take(&store, &kept, None).await);
        assert_eq!(store.due_schedules(at(99), 9).await.unwrap().len(), 1, "nothing more comes of that one");
    })
    .await;
}
