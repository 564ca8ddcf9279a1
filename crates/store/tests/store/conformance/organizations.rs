//! Organizations, members, keys, and what belongs to the installation.

use jackfield_core::{Brand, Environment, KeyScope, KeyScopes, Role};
use jackfield_store::{ApiKey, KeyOwner, Member, Organization, Result, Tx};

use super::{NOW, ORG, OTHER, at, change, failing, on_both};

fn organization(id: &str) -> Organization {
    Organization {
        id: id.to_owned(),
        name: "Žluťoučký 🐎 & Söhne".to_owned(),
        region: "eu".to_owned(),
        plan: "free".to_owned(),
        connections_managed_by: "developers".to_owned(),
        suite: vec!["crm".to_owned()],
        brand: Brand { colour: Some("#0a4fd0".to_owned()), ..Brand::default() },
        created_at: at(-5),
        updated_at: NOW,
        version: 1,
    }
}

fn member(organization: &str, id: &str, email: &str, role: Role) -> Member {
    Member {
        organization_id: organization.to_owned(),
        id: id.to_owned(),
        email: email.to_owned(),
        name: "Ann".to_owned(),
        role,
        password: "$argon2id$…".to_owned(),
        active: true,
        created_at: NOW,
        joined_at: None,
        last_seen_at: None,
        version: 1,
    }
}

fn key(organization: &str, id: &str, member: &str) -> ApiKey {
    ApiKey {
        organization_id: organization.to_owned(),
        id: id.to_owned(),
        owner: KeyOwner::Member(member.to_owned()),
        scopes: KeyScopes::PERSONAL,
        name: "laptop".to_owned(),
        hint: "jf_ab".to_owned(),
        created_at: NOW,
        expires_at: Some(at(60)),
        last_used_at: None,
        revoked_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn installation_and_organizations() {
    on_both(async |store| {
        // What is claimed is claimed once; what is put is put over it.
        assert!(store.installation("check").await.unwrap().is_none());
        assert!(change(&store, async |tx| tx.claim_installation("check", b"\0first").await).await);
        assert!(!change(&store, async |tx| tx.claim_installation("check", b"second").await).await);
        assert_eq!(store.installation("check").await.unwrap().unwrap(), b"\0first");
        change(&store, async |tx| tx.put_installation("check", b"third").await).await;
        change(&store, async |tx| tx.put_installation("other", b"").await).await;
        assert_eq!(store.installation("check").await.unwrap().unwrap(), b"third");
        assert!(change(&store, async |tx| tx.delete_installation("check").await).await);
        assert!(!change(&store, async |tx| tx.delete_installation("check").await).await);
        assert!(store.installation("check").await.unwrap().is_none());
        assert_eq!(store.installation("other").await.unwrap().unwrap(), b"");
        assert!(change(&store, async |tx| tx.claim_installation("check", b"fourth").await).await);

        assert!(store.is_empty().await.unwrap());
        change(&store, async |tx| tx.insert_organization(&organization(ORG)).await).await;
        assert!(!store.is_empty().await.unwrap());
        assert!(store.organization(OTHER).await.unwrap().is_none());
        let error = failing(&store, async |tx| tx.insert_organization(&organization(ORG)).await).await;
        assert!(error.is_unique("organizations_pkey"), "{error:?}");

        let read = store.organization(ORG).await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", organization(ORG)));
        assert!(!read.managed_by_admins());
        let first = Organization {
            name: "first".to_owned(),
            region: "us".to_owned(),
            connections_managed_by: "admins".to_owned(),
            plan: "team".to_owned(),
            suite: Vec::new(),
            brand: Brand::default(),
            updated_at: at(1),
            ..read.clone()
        };
        assert!(change(&store, async |tx| tx.update_organization(&first).await).await);
        let second = Organization { name: "second".to_owned(), ..read };
        assert!(!change(&store, async |tx| tx.update_organization(&second).await).await, "an old version");
        let read = store.organization(ORG).await.unwrap().unwrap();
        assert!(read.managed_by_admins());
        assert_eq!(format!("{read:?}"), format!("{:?}", Organization { version: 2, ..first }));
        assert!(
            !change(&store, async |tx| {
                tx.update_organization(&Organization { version: 2, ..organization(OTHER) }).await
            })
            .await
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_keys() {
    on_both(async |store| {
        let insert = async |m: Member| change(&store, async |tx| tx.insert_member(&m).await).await;
        insert(member(ORG, "mem_1", "ann@example.com", Role::SuperAdmin)).await;
        insert(Member { active: false, ..member(ORG, "mem_2", "bob@example.com", Role::User) }).await;
        insert(member(ORG, "mem_3", "eve@example.com", Role::User)).await;
        // In another organization everything may be the same.
        insert(member(OTHER, "mem_1", "ann@example.com", Role::SuperAdmin)).await;
        for (twin, index) in [
            (member(ORG, "mem_1", "new@example.com", Role::User), "members_pkey"),
            (member(ORG, "mem_9", "ann@example.com", Role::User), "members_email"),
            (member(ORG, "mem_9", "new@example.com", Role::SuperAdmin), "members_super_admin"),
        ] {
            let error = failing(&store, async |tx| tx.insert_member(&twin).await).await;
            assert!(error.is_unique(index), "{index}: {error:?}");
        }
        let read = store.member(ORG, "mem_1").await.unwrap().unwrap();
        assert_eq!((read.organization_id.as_str(), read.id.as_str()), (ORG, "mem_1"));
        assert_eq!((read.email.as_str(), read.name.as_str()), ("ann@example.com", "Ann"));
        assert_eq!((read.role, read.active, read.created_at), (Role::SuperAdmin, true, NOW));
        assert_eq!(read.password, "$argon2id$…");
        assert!(!store.member(ORG, "mem_2").await.unwrap().unwrap().active);
        assert!(store.member(OTHER, "mem_2").await.unwrap().is_none());

        let digest = |n: u8| [n; 32];
        change(&store, async |tx| {
            for (n, id) in (1..).zip(["key_1", "key_2", "key_3", "key_Z", "key_a"]) {
                tx.insert_key(&key(ORG, id, "mem_1"), &digest(n)).await?;
            }
            tx.insert_key(&ApiKey { expires_at: None, ..key(ORG, "key_4", "mem_2") }, &digest(10)).await?;
            tx.insert_key(&key(OTHER, "key_1", "mem_1"), &digest(20)).await
        })
        .await;
        let error =
            failing(&store, async |tx| tx.insert_key(&key(ORG, "key_1", "x"), &digest(30)).await).await;
        assert!(error.is_unique("api_keys_pkey"), "{error:?}");

        // A key of an application.
        let owner = KeyOwner::Application { id: "app_1".to_owned(), environment: Environment::Stage };
        let scopes = KeyScopes::of(&[KeyScope::Use, KeyScope::ActFor]);
        let of_application = ApiKey { owner, scopes, ..key(ORG, "key_app", "") };
        change(&store, async |tx| tx.insert_key(&of_application, &digest(40)).await).await;
        let read = store.key(ORG, "key_app").await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{of_application:?}"));

        let read = store.key_by_digest(&digest(1)).await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", key(ORG, "key_1", "mem_1")));
        assert_eq!(store.key_by_digest(&digest(20)).await.unwrap().unwrap().organization_id, OTHER);
        assert!(store.key_by_digest(&digest(99)).await.unwrap().is_none());
        assert!(store.key(ORG, "key_4").await.unwrap().unwrap().expires_at.is_none());
        assert!(store.key(OTHER, "key_4").await.unwrap().is_none());

        let ids = async |member: &str, after: &str, limit: i64| {
            let keys = store.keys(ORG, member, after, limit).await.unwrap();
            keys.into_iter().map(|key| key.id).collect::<Vec<_>>()
        };
        // By their bytes: capitals before small letters.
        assert_eq!(ids("mem_1", "", 9).await, ["key_1", "key_2", "key_3", "key_Z", "key_a"]);
        assert_eq!(ids("mem_1", "key_1", 2).await, ["key_2", "key_3"]);
        assert_eq!(ids("mem_2", "", 9).await, ["key_4"]);

        // Revoked once; found still by those who have it, not in the list.
        let revoke = async |organization: &str, id: &str, now| {
            change(&store, async |tx| tx.revoke_key(organization, id, now).await).await
        };
        assert!(revoke(ORG, "key_2", at(5)).await);
        assert!(!revoke(ORG, "key_2", at(6)).await);
        assert!(!revoke(OTHER, "key_3", at(6)).await);
        assert_eq!(store.key_by_digest(&digest(2)).await.unwrap().unwrap().revoked_at, Some(at(5)));
        assert_eq!(store.key(ORG, "key_3").await.unwrap().unwrap().revoked_at, None);
        assert_eq!(ids("mem_1", "", 2).await, ["key_1", "key_3"]);

        // Its use goes forward only.
        let used = async |organization: &str, at| {
            change(&store, async |tx: &mut Tx| -> Result<()> {
                tx.key_used(organization, "key_3", at).await
            })
            .await;
            store.key(ORG, "key_3").await.unwrap().unwrap().last_used_at
        };
        assert_eq!(used(OTHER, at(1)).await, None);
        assert_eq!(used(ORG, at(20)).await, Some(at(20)));
        assert_eq!(used(ORG, at(10)).await, Some(at(20)));
        assert_eq!(used(ORG, at(30)).await, Some(at(30)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_plans_limit_is_counted() {
    on_both(async |store| {
        assert_eq!(store.count_connections(ORG).await.unwrap(), 0);
        assert_eq!(store.count_connectors(ORG).await.unwrap(), 0);
        assert_eq!(store.calls_on(ORG, 20_000).await.unwrap(), 0);
        change(&store, async |tx| {
            tx.lock_organization(ORG).await?;
            assert_eq!(tx.count_connections(ORG).await? + tx.count_connectors(ORG).await?, 0);
            assert_eq!(tx.add_calls(ORG, 20_000, 3).await?, 3);
            assert_eq!(tx.add_calls(ORG, 20_000, 4).await?, 7);
            assert_eq!(tx.add_calls(ORG, 20_001, 1).await?, 1);
            assert_eq!(tx.add_calls(OTHER, 20_000, 9).await?, 9);
            Ok(())
        })
        .await;
        assert_eq!(store.calls_on(ORG, 20_000).await.unwrap(), 7);
    })
    .await;
}
