//! What is built here: versions of components, releases, deployments.

use jackfield_core::{Environment, Timestamp};
use jackfield_store::{Definition, Deployment, Release, Store};

use super::{NOW, ORG, OTHER, at, change, failing, on_both};

/// A version as it is read when all of its kind began at [`NOW`].
fn definition(organization: &str, component: &str, version: i64, created_at: Timestamp) -> Definition {
    Definition {
        organization_id: organization.to_owned(),
        application: "portal".to_owned(),
        component: component.to_owned(),
        version,
        name: format!("Number {version}"),
        document: format!(r#"{{"version":{version}}}"#),
        created_by: "mem_1".to_owned(),
        created_at,
        first_at: NOW,
    }
}

/// What the engine does to save one: the component is there, and the version is the next.
async fn save(store: &Store, organization: &str, component: &str, created_at: Timestamp) -> i64 {
    change(store, async |tx| {
        tx.put_component(organization, "portal", component, &[], created_at).await?;
        let version = tx.latest_version(organization, "portal", component).await? + 1;
        tx.insert_definition(&definition(organization, component, version, created_at)).await?;
        assert_eq!(tx.latest_version(organization, "portal", component).await?, version);
        Ok(version)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn versions() {
    on_both(async |store| {
        let (form, other) = ("form:vendors", "form:vendors_2");
        assert_eq!(save(&store, ORG, form, NOW).await, 1);
        assert_eq!(save(&store, ORG, form, at(1)).await, 2);
        // The clock went back: the first is the first all the same.
        assert_eq!(save(&store, ORG, form, at(-9)).await, 3);
        assert_eq!(save(&store, ORG, other, NOW).await, 1, "every component counts by itself");
        assert_eq!(save(&store, OTHER, form, NOW).await, 1, "and every organization");
        assert_eq!(save(&store, ORG, "workflow:pay", NOW).await, 1);
        change(&store, async |tx| {
            assert_eq!(tx.latest_version(ORG, "portal", "form:never").await?, 0);
            assert_eq!(tx.latest_version(ORG, "b", form).await?, 0);
            tx.put_component(ORG, "portal", "form:elsewhere", &[], NOW).await
        })
        .await;
        let error =
            failing(&store, async |tx| tx.insert_definition(&definition(ORG, form, 3, NOW)).await).await;
        assert!(error.is_unique("component_versions_pkey"), "{error:?}");

        let read = async |organization: &str, application: &str, version| {
            store.definition(organization, application, form, version).await.unwrap()
        };
        for (version, created_at) in [(1, NOW), (2, at(1)), (3, at(-9))] {
            let expected = definition(ORG, form, version, created_at);
            assert_eq!(read(ORG, "portal", version).await.unwrap(), expected);
        }
        assert_eq!(read(ORG, "portal", 4).await, None);
        assert_eq!(read(OTHER, "portal", 2).await, None);
        assert_eq!(read(ORG, "b", 1).await, None);

        // What development serves is the latest, until it is told otherwise.
        let component = store.component(ORG, "portal", form).await.unwrap().unwrap();
        assert_eq!((component.name.as_str(), component.version), ("Number 3", 3));
        assert_eq!((component.created_at, component.updated_at), (NOW, at(-9)));
        let elsewhere = store.component(ORG, "portal", "form:elsewhere").await.unwrap().unwrap();
        assert_eq!((elsewhere.name.as_str(), elsewhere.version), ("", 0));
        let listed = store.components(ORG, "portal", "form:elsewhere", 1).await.unwrap();
        assert_eq!((listed[0].name.as_str(), listed[0].version), ("Number 3", 3));
        let current = async |organization: &str, after: &str, before: &str, limit| {
            let found =
                store.current_definitions(organization, "portal", after, before, limit).await.unwrap();
            found.into_iter().map(|d| (d.component, d.version)).collect::<Vec<_>>()
        };
        let named = |all: &[(&str, i64)]| all.iter().map(|&(c, v)| (c.to_owned(), v)).collect::<Vec<_>>();
        let all = [(form, 3), (other, 1), ("workflow:pay", 1)];
        assert_eq!(current(ORG, "", "~", 9).await, named(&all), "one that was built elsewhere is not there");
        assert_eq!(current(ORG, form, "~", 1).await, named(&all[1..2]));
        assert_eq!(current(ORG, "form:", "form:~", 9).await, named(&all[..2]));
        assert_eq!(current(ORG, "form:", other, 9).await, named(&all[..1]));
        assert_eq!(current(OTHER, "", "~", 9).await, named(&[(form, 1)]));
        assert_eq!(store.current_definitions(ORG, "b", "", "~", 9).await.unwrap(), []);
        let whole = store.current_definitions(ORG, "portal", "", other, 9).await.unwrap();
        assert_eq!(whole, [definition(ORG, form, 3, at(-9))]);

        change(&store, async |tx| {
            tx.set_component(ORG, "portal", form, "Back", 1, at(5)).await?;
            tx.set_component(OTHER, "portal", other, "Nothing", 7, at(5)).await?;
            let seen = tx.component(ORG, "portal", form).await?.unwrap();
            assert_eq!((seen.name.as_str(), seen.version, seen.updated_at), ("Back", 1, at(5)));
            assert!(tx.component(OTHER, "portal", other).await?.is_none());
            assert!(tx.component(ORG, "b", form).await?.is_none());
            assert_eq!(tx.latest_version(ORG, "portal", form).await?, 3);
            Ok(())
        })
        .await;
        assert_eq!(current(ORG, "", "~", 1).await, named(&[(form, 1)]));
        assert_eq!(current(OTHER, "", "~", 9).await, named(&[(form, 1)]));

        let versions = async |organization: &str, before, limit| {
            let found = store.definition_versions(organization, "portal", form, before, limit).await.unwrap();
            found.into_iter().map(|d| (d.version, d.created_at, d.first_at)).collect::<Vec<_>>()
        };
        assert_eq!(versions(ORG, i64::MAX, 9).await, [(3, at(-9), NOW), (2, at(1), NOW), (1, NOW, NOW)]);
        assert_eq!(versions(ORG, i64::MAX, 1).await, [(3, at(-9), NOW)]);
        assert_eq!(versions(ORG, 3, 1).await, [(2, at(1), NOW)]);
        assert_eq!(versions(OTHER, i64::MAX, 9).await, [(1, NOW, NOW)]);

        // To say anew what it uses changes neither name nor version.
        change(&store, async |tx| tx.put_component(ORG, "portal", form, &[], at(6)).await).await;
        let component = store.component(ORG, "portal", form).await.unwrap().unwrap();
        assert_eq!((component.name.as_str(), component.version), ("Back", 1));

        // A name that is used again goes on counting: a release that has its first version means that one.
        assert!(change(&store, async |tx| tx.delete_component(ORG, "portal", form).await).await);
        assert_eq!(current(ORG, "", form, 9).await, []);
        assert_eq!(current(ORG, "", "form:vendors_", 9).await, []);
        assert_eq!(read(ORG, "portal", 1).await.unwrap().version, 1, "what a release may still serve");
        assert_eq!(save(&store, ORG, form, at(7)).await, 4);
        assert_eq!(current(ORG, "", "form:vendors_", 9).await, named(&[(form, 4)]));
        assert_eq!(read(ORG, "portal", 4).await.unwrap().first_at, NOW);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_and_deployments() {
    on_both(async |store| {
        let release = |number: i64, contents: &[(&str, i64)]| Release {
            number,
            contents: contents.iter().map(|&(component, version)| (component.to_owned(), version)).collect(),
            note: format!("note {number}"),
            created_by: "mem_1".to_owned(),
            created_at: at(number),
        };
        let deployment = |environment, release: i64| Deployment {
            environment,
            release,
            deployed_by: "mem_2".to_owned(),
            deployed_at: at(release),
        };
        let first = release(1, &[]);
        let second = release(2, &[("form:vendors", 3), ("workflow:pay", 1)]);
        let third = release(3, &[("form:vendors", 4)]);
        change(&store, async |tx| {
            assert_eq!(tx.latest_release(ORG, "portal").await?, 0);
            for release in [&first, &second, &third] {
                tx.insert_release(ORG, "portal", release).await?;
            }
            assert_eq!(tx.latest_release(ORG, "portal").await?, 3);
            assert_eq!(tx.latest_release(OTHER, "portal").await?, 0);
            assert_eq!(tx.latest_release(ORG, "b").await?, 0);
            tx.insert_release(ORG, "b", &first).await?;
            tx.insert_release(OTHER, "portal", &first).await
        })
        .await;
        let error = failing(&store, async |tx| tx.insert_release(ORG, "portal", &second).await).await;
        assert!(error.is_unique("releases_pkey"), "{error:?}");
        assert_eq!(store.release(ORG, "portal", 1).await.unwrap().unwrap(), first);
        assert_eq!(store.release(ORG, "portal", 2).await.unwrap().unwrap(), second);
        assert_eq!(store.release(OTHER, "portal", 2).await.unwrap(), None);
        assert_eq!(store.release(ORG, "b", 2).await.unwrap(), None);
        let list = async |organization: &str, before, limit| {
            store.releases(organization, "portal", before, limit).await.unwrap()
        };
        assert_eq!(list(ORG, i64::MAX, 9).await, [third.clone(), second.clone(), first.clone()]);
        assert_eq!(list(ORG, i64::MAX, 1).await, [third]);
        assert_eq!(list(ORG, 3, 1).await, [second]);
        assert_eq!(list(OTHER, i64::MAX, 9).await, std::slice::from_ref(&first));

        let deploy = async |organization: &str, application: &str, d: Deployment| {
            change(&store, async |tx| tx.deploy(organization, application, &d).await).await;
        };
        let (stage, production) = (Environment::Stage, Environment::Production);
        deploy(ORG, "portal", deployment(stage, 2)).await;
        deploy(ORG, "portal", deployment(production, 1)).await;
        deploy(ORG, "portal", deployment(stage, 3)).await;
        deploy(ORG, "b", deployment(production, 1)).await;
        deploy(OTHER, "portal", deployment(production, 1)).await;
        let deployed = async |organization: &str, application: &str| {
            store.deployments(organization, application).await.unwrap()
        };
        let both = [deployment(production, 1), deployment(stage, 3)];
        assert_eq!(deployed(ORG, "portal").await, both, "each has one");
        assert_eq!(deployed(OTHER, "portal").await, [deployment(production, 1)]);
        // Back to an earlier one.
        deploy(ORG, "portal", deployment(stage, 1)).await;
        assert_eq!(deployed(ORG, "portal").await[1], deployment(stage, 1));

        // With the application everything goes; the others keep theirs.
        save(&store, ORG, "form:vendors", NOW).await;
        save(&store, OTHER, "form:vendors", NOW).await;
        change(&store, async |tx| tx.end_definitions(ORG, "portal").await).await;
        assert_eq!(store.definition(ORG, "portal", "form:vendors", 1).await.unwrap(), None);
        assert_eq!(list(ORG, i64::MAX, 9).await, []);
        assert_eq!(deployed(ORG, "portal").await, []);
        assert_eq!(deployed(ORG, "b").await, [deployment(production, 1)]);
        assert!(store.release(ORG, "b", 1).await.unwrap().is_some());
        assert!(store.definition(OTHER, "portal", "form:vendors", 1).await.unwrap().is_some());
        assert_eq!((list(OTHER, i64::MAX, 9).await.len(), deployed(OTHER, "portal").await.len()), (1, 1));
    })
    .await;
}
