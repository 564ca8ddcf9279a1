//! Imports: one node at a time, what is kept is kept once, and nothing after the end.

use jackfield_core::Timestamp;
use jackfield_store::{Drawer, Import, ImportProgress, Store};

use super::{ORG, OTHER, at, change, on_both};

const HERE: Drawer<'_> =
    Drawer { organization: ORG, application: "portal", form: "vendors", environment: "production" };
/// When the leases of these tests end.
const UNTIL: Timestamp = at(100);

fn import(drawer: Drawer<'_>, id: &str, created_at: Timestamp) -> Import {
    Import {
        organization_id: drawer.organization.to_owned(),
        id: id.to_owned(),
        application: drawer.application.to_owned(),
        form: drawer.form.to_owned(),
        environment: drawer.environment.to_owned(),
        match_by: "mail".to_owned(),
        sets_off: true,
        created_by: "mem_1".to_owned(),
        state: "running".to_owned(),
        rows: 7,
        progress: ImportProgress { faults: "[]".to_owned(), ..ImportProgress::default() },
        reason: None,
        created_at,
        updated_at: created_at,
        ended_at: None,
    }
}

async fn claim(store: &Store, node: &str, now: Timestamp) -> Option<(String, String)> {
    let claimed = change(store, async |tx| tx.claim_import(node, now, UNTIL).await).await;
    claimed.map(|(import, content)| (import.id, content))
}

#[tokio::test(flavor = "multi_thread")]
async fn imports() {
    on_both(async |store| {
        let elsewhere = Drawer { organization: OTHER, ..HERE };
        change(&store, async |tx| {
            let said = Import { state: "done".to_owned(), ..import(HERE, "imp_1", at(1)) };
            tx.insert_import(&said, "name\nAnn\n").await?;
            tx.insert_import(&import(HERE, "imp_2", at(2)), "name\nBob\n").await?;
            tx.insert_import(&import(Drawer { form: "orders", ..HERE }, "imp_3", at(3)), "three").await?;
            tx.insert_import(&import(elsewhere, "imp_1", at(4)), "four").await
        })
        .await;
        let read = async |drawer, id: &str| store.import(drawer, id).await.unwrap();
        assert_eq!(
            read(HERE, "imp_1").await.unwrap(),
            import(HERE, "imp_1", at(1)),
            "it runs, whatever it says"
        );
        assert_eq!(read(HERE, "imp_3").await, None, "of another form");
        let list = async |before: &str, limit| {
            let found = store.imports(HERE, before, limit).await.unwrap();
            found.into_iter().map(|import| import.id).collect::<Vec<_>>()
        };
        assert_eq!(list("~", 9).await, ["imp_2", "imp_1"]);
        assert_eq!(list("~", 1).await, ["imp_2"]);
        assert_eq!(list("imp_2", 9).await, ["imp_1"]);

        // The one that has waited longest, and each for one node only.
        let some = |id: &str, content: &str| Some((id.to_owned(), content.to_owned()));
        assert_eq!(claim(&store, "a", at(10)).await, some("imp_1", "name\nAnn\n"));
        assert_eq!(claim(&store, "b", at(11)).await, some("imp_2", "name\nBob\n"));
        assert_eq!(claim(&store, "b", at(12)).await, some("imp_3", "three"));
        assert_eq!(claim(&store, "b", at(13)).await, some("imp_1", "four"));
        assert_eq!(claim(&store, "b", at(14)).await, None);

        let mut first = import(HERE, "imp_1", at(1));
        first.progress =
            ImportProgress { done: 3, created: 1, changed: 1, refused: 1, faults: "[1]".to_owned() };
        let keep = async |node: &str, now| {
            change(&store, async |tx| tx.keep_import(&first, node, at(200), now).await).await
        };
        assert!(!keep("b", at(20)).await, "the lease of another");
        assert!(keep("a", at(20)).await);
        let kept = read(HERE, "imp_1").await.unwrap();
        assert_eq!((kept.progress, kept.updated_at), (first.progress.clone(), at(20)));
        assert_eq!(read(elsewhere, "imp_1").await.unwrap().progress.done, 0);

        // Left by its node it is anybody's; so is what a node did not live to go on with.
        let release = async |node: &str| {
            change(&store, async |tx| tx.release_import(&first, node, at(30)).await).await;
        };
        release("b").await;
        assert_eq!(claim(&store, "c", at(31)).await, None);
        release("a").await;
        assert_eq!(claim(&store, "c", at(31)).await, some("imp_1", "name\nAnn\n"));
        assert!(!keep("a", at(32)).await);
        assert_eq!(claim(&store, "d", at(101)).await, some("imp_2", "name\nBob\n"), "its lease is over");
        assert_eq!(change(&store, async |tx| tx.recover_imports().await).await, 4);
        assert_eq!(claim(&store, "e", at(102)).await, some("imp_3", "three"), "all leases are over");

        // Over it is over, without its file.
        let end = async |state: &str, reason: Option<&str>| {
            change(&store, async |tx| tx.end_import(&first, state, reason, at(40)).await).await
        };
        assert!(end("failed", Some("why")).await);
        assert!(!end("done", None).await);
        assert!(!keep("c", at(41)).await);
        let over = read(HERE, "imp_1").await.unwrap();
        assert_eq!(
            (over.state.as_str(), over.reason.as_deref(), over.ended_at),
            ("failed", Some("why"), Some(at(40)))
        );
        assert_eq!(read(elsewhere, "imp_1").await.unwrap().state, "running");

        assert_eq!(change(&store, async |tx| tx.prune_imports(at(40)).await).await, 0);
        assert_eq!(change(&store, async |tx| tx.prune_imports(at(41)).await).await, 1);
        assert_eq!(read(HERE, "imp_1").await, None);
        change(&store, async |tx| tx.end_imports(ORG, "portal").await).await;
        assert_eq!(list("~", 9).await, [""; 0]);
        assert!(read(elsewhere, "imp_1").await.is_some());
    })
    .await;
}
