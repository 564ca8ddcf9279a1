//! Files in records: each in its organization and record, gone with the record.

use jackfield_store::{Drawer, Record, RecordFile};

use super::{NOW, ORG, OTHER, at, change, failing, on_both};

const HERE: Drawer<'_> =
    Drawer { organization: ORG, application: "portal", form: "vendors", environment: "production" };

fn record(drawer: Drawer<'_>, id: &str) -> Record {
    Record {
        organization_id: drawer.organization.to_owned(),
        application: drawer.application.to_owned(),
        form: drawer.form.to_owned(),
        environment: drawer.environment.to_owned(),
        id: id.to_owned(),
        data: "{}".to_owned(),
        created_by: String::new(),
        created_at: NOW,
        updated_at: NOW,
        version: 1,
        deleted_at: None,
    }
}

fn file<'a>(drawer: Drawer<'a>, record: &'a str, id: &'a str, content: &'a [u8]) -> RecordFile<'a> {
    RecordFile {
        organization: drawer.organization,
        id,
        application: drawer.application,
        record,
        field: "photo",
        content,
        created_at: NOW,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files() {
    on_both(async |store| {
        let (elsewhere, beside) =
            (Drawer { organization: OTHER, ..HERE }, Drawer { application: "b", ..HERE });
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        change(&store, async |tx| {
            for drawer in [HERE, elsewhere, beside] {
                tx.insert_record(&record(drawer, "rec_1")).await?;
            }
            tx.insert_record(&record(HERE, "rec_2")).await?;
            tx.insert_record_file(file(HERE, "rec_1", "fil_1", &large)).await?;
            tx.insert_record_file(file(HERE, "rec_1", "fil_2", b"\0\xff")).await?;
            tx.insert_record_file(file(HERE, "rec_2", "fil_3", b"")).await?;
            tx.insert_record_file(file(beside, "rec_4", "fil_4", b"4")).await?;
            tx.insert_record_file(file(elsewhere, "rec_1", "fil_1", b"theirs")).await
        })
        .await;
        let read =
            async |organization, record, id| store.record_file(organization, record, id).await.unwrap();
        assert_eq!(read(ORG, "rec_1", "fil_1").await.as_deref(), Some(&large[..]));
        assert_eq!(read(ORG, "rec_1", "fil_2").await.as_deref(), Some(&b"\0\xff"[..]));
        assert_eq!(read(ORG, "rec_2", "fil_3").await.as_deref(), Some(&b""[..]));
        assert_eq!(read(OTHER, "rec_1", "fil_1").await.as_deref(), Some(&b"theirs"[..]));
        assert_eq!(read(OTHER, "rec_1", "fil_2").await, None, "another organization's");
        assert_eq!(read(ORG, "rec_2", "fil_2").await, None, "another record's");
        let error =
            failing(&store, async |tx| tx.insert_record_file(file(HERE, "rec_2", "fil_2", b"x")).await).await;
        assert!(error.is_unique("record_files_pkey"), "{error:?}");

        let delete = async |organization, record, id| {
            change(&store, async |tx| tx.delete_record_file(organization, record, id).await).await
        };
        assert!(!delete(ORG, "rec_2", "fil_2").await && !delete(OTHER, "rec_1", "fil_2").await);
        assert!(delete(ORG, "rec_1", "fil_2").await && !delete(ORG, "rec_1", "fil_2").await);
        assert_eq!(read(ORG, "rec_1", "fil_2").await, None);

        // With its record a file goes; those of others stay.
        assert!(change(&store, async |tx| tx.delete_record(&record(HERE, "rec_1"), at(5)).await).await);
        assert_eq!(read(ORG, "rec_1", "fil_1").await, None);
        assert!(read(ORG, "rec_2", "fil_3").await.is_some() && read(OTHER, "rec_1", "fil_1").await.is_some());

        // With the application all of them.
        change(&store, async |tx| tx.end_records(ORG, "portal").await).await;
        assert_eq!(read(ORG, "rec_2", "fil_3").await, None);
        assert!(read(ORG, "rec_4", "fil_4").await.is_some() && read(OTHER, "rec_1", "fil_1").await.is_some());
    })
    .await;
}
