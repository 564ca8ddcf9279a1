//! Members, their links, what they authorized, and what ends with them.

use jackfield_core::flow::FlowState;
use jackfield_core::{KeyScopes, Role};
use jackfield_store::{ApiKey, Flow, KeyOwner, LinkKind, Member, MemberLink, Result, Tx};

use super::{NOW, ORG, OTHER, at, authorization, change, failing, on_both};

fn member(organization: &str, id: &str, email: &str, role: Role) -> Member {
    Member {
        organization_id: organization.to_owned(),
        id: id.to_owned(),
        email: email.to_owned(),
        name: "Ann".to_owned(),
        role,
        password: String::new(),
        active: true,
        created_at: NOW,
        joined_at: None,
        last_seen_at: None,
        version: 1,
    }
}

fn link(organization: &str, member: &str, kind: LinkKind, digest: u8) -> MemberLink {
    MemberLink {
        organization_id: organization.to_owned(),
        member_id: member.to_owned(),
        kind,
        digest: vec![digest; 32],
        created_at: NOW,
        expires_at: at(60),
    }
}

fn ids(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_change_and_go() {
    on_both(async |store| {
        change(&store, async |tx| {
            tx.insert_member(&member(ORG, "mem_1", "Ann@Example.com", Role::SuperAdmin)).await?;
            tx.insert_member(&member(ORG, "mem_2", "bob@example.com", Role::User)).await?;
            tx.insert_member(&member(ORG, "mem_Z", "eve@example.com", Role::Admin)).await?;
            tx.insert_member(&member(OTHER, "mem_3", "ANN@example.com", Role::User)).await
        })
        .await;
        // Whatever its case, an address is one in an organization.
        let twin = member(ORG, "mem_9", "aNN@example.com", Role::User);
        let error = failing(&store, async |tx| tx.insert_member(&twin).await).await;
        assert!(error.is_unique("members_email"), "{error:?}");
        let found = store.members_by_email("ann@EXAMPLE.com").await.unwrap();
        assert_eq!(ids(&found), ["mem_1", "mem_3"]);
        assert_eq!(found[0].email, "Ann@Example.com", "kept as it was written");
        assert!(store.members_by_email("nobody@example.com").await.unwrap().is_empty());
        assert_eq!(ids(&store.members(ORG, "", 9).await.unwrap()), ["mem_1", "mem_2", "mem_Z"]);
        assert_eq!(ids(&store.members(ORG, "mem_1", 1).await.unwrap()), ["mem_2"]);

        // A change counts for the version that was read.
        let read = change(&store, async |tx| tx.member(ORG, "mem_2").await).await.unwrap();
        let changed = Member { name: "Bob".to_owned(), role: Role::Developer, active: false, ..read.clone() };
        assert!(change(&store, async |tx| tx.update_member(&changed, at(1)).await).await);
        assert!(!change(&store, async |tx| tx.update_member(&read, at(2)).await).await, "an old version");
        let read = store.member(ORG, "mem_2").await.unwrap().unwrap();
        assert_eq!(
            (read.name.as_str(), read.role, read.active, read.version),
            ("Bob", Role::Developer, false, 2)
        );

        // Of two super admins there is never more than one.
        let second = Member { role: Role::SuperAdmin, ..read };
        let error = failing(&store, async |tx| tx.update_member(&second, at(3)).await).await;
        assert!(error.is_unique("members_super_admin"), "{error:?}");
        let step = (Role::SuperAdmin, Role::Admin);
        let down =
            async |id: &str| change(&store, async |tx| tx.change_role(ORG, id, step, at(3)).await).await;
        assert!(!down("mem_2").await && down("mem_1").await && !down("mem_1").await);
        assert_eq!(store.member(ORG, "mem_1").await.unwrap().unwrap().role, Role::Admin);

        // The first password is the day he joined.
        let set = async |organization: &str, hash: &str, now| {
            change(&store, async |tx| tx.set_password(organization, "mem_1", hash, now).await).await
        };
        assert!(
            !set(OTHER, "x", at(4)).await && set(ORG, "one", at(5)).await && set(ORG, "two", at(6)).await
        );
        let read = store.member(ORG, "mem_1").await.unwrap().unwrap();
        assert_eq!((read.password.as_str(), read.joined_at), ("two", Some(at(5))));

        // Seen in a browser or by a key, whichever is later; it goes forward only.
        let seen = async |at| {
            change(&store, async |tx: &mut Tx| -> Result<()> { tx.member_seen(ORG, "mem_1", at).await })
                .await;
            store.member(ORG, "mem_1").await.unwrap().unwrap().last_seen_at
        };
        assert_eq!(seen(at(20)).await, Some(at(20)));
        assert_eq!(seen(at(10)).await, Some(at(20)));
        let key = ApiKey {
            organization_id: ORG.to_owned(),
            id: "key_1".to_owned(),
            owner: KeyOwner::Member("mem_1".to_owned()),
            scopes: KeyScopes::PERSONAL,
            name: "laptop".to_owned(),
            hint: "jfp_ab".to_owned(),
            created_at: NOW,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        change(&store, async |tx| {
            tx.insert_key(&key, &[1; 32]).await?;
            tx.insert_key(&ApiKey { id: "key_2".to_owned(), ..key.clone() }, &[2; 32]).await?;
            tx.insert_key(
                &ApiKey {
                    owner: KeyOwner::Member("mem_2".to_owned()),
                    id: "key_3".to_owned(),
                    ..key.clone()
                },
                &[3; 32],
            )
            .await?;
            tx.key_used(ORG, "key_1", at(40)).await
        })
        .await;
        assert_eq!(store.member(ORG, "mem_1").await.unwrap().unwrap().last_seen_at, Some(at(40)));

        // His keys go with him, and nobody else's.
        assert_eq!(change(&store, async |tx| tx.revoke_keys_of(ORG, "mem_1", at(50)).await).await, 2);
        assert_eq!(change(&store, async |tx| tx.revoke_keys_of(ORG, "mem_1", at(51)).await).await, 0);
        assert_eq!(store.key(ORG, "key_2").await.unwrap().unwrap().revoked_at, Some(at(50)));
        assert!(store.key(ORG, "key_3").await.unwrap().unwrap().revoked_at.is_none());
        assert!(!change(&store, async |tx| tx.delete_member(OTHER, "mem_1").await).await);
        assert!(change(&store, async |tx| tx.delete_member(ORG, "mem_1").await).await);
        assert!(store.member(ORG, "mem_1").await.unwrap().is_none());
        assert_eq!(ids(&store.members_by_email("ann@example.com").await.unwrap()), ["mem_3"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_once_and_until_a_newer_one() {
    on_both(async |store| {
        let put = async |link: &MemberLink| change(&store, async |tx| tx.put_member_link(link).await).await;
        let take = async |link: &MemberLink| change(&store, async |tx| tx.take_member_link(link).await).await;
        let old = link(ORG, "mem_1", LinkKind::Invitation, 1);
        put(&old).await;
        put(&link(ORG, "mem_1", LinkKind::PasswordReset, 2)).await;
        put(&link(OTHER, "mem_1", LinkKind::Invitation, 3)).await;
        let read = store.member_link(&[1; 32]).await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{old:?}"));
        let new = MemberLink { expires_at: at(90), ..link(ORG, "mem_1", LinkKind::Invitation, 4) };
        put(&new).await;
        assert!(store.member_link(&[1; 32]).await.unwrap().is_none(), "replaced");
        assert!(!take(&old).await && take(&new).await && !take(&new).await);
        assert!(store.member_link(&[2; 32]).await.unwrap().is_some(), "another kind");
        assert_eq!(change(&store, async |tx| tx.delete_member_links(ORG, "mem_1").await).await, 1);
        assert!(store.member_link(&[3; 32]).await.unwrap().is_some(), "another organization's");
        assert_eq!(change(&store, async |tx| tx.prune_member_links(at(60)).await).await, 0);
        assert_eq!(change(&store, async |tx| tx.prune_member_links(at(61)).await).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_authorized_and_what_he_was_about_to() {
    on_both(async |store| {
        change(&store, async |tx| {
            for (id, connector, owner) in
                [("aut_1", "a", "mem_1"), ("aut_2", "b", "mem_1"), ("aut_3", "a", "mem_2")]
            {
                tx.insert_authorization(&authorization(ORG, id, connector, owner)).await?;
            }
            tx.insert_authorization(&authorization(OTHER, "aut_1", "a", "mem_1")).await
        })
        .await;
        let of = async |member: &str, after: &str, limit| {
            let rows = store.authorizations_of_member(ORG, member, after, limit).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(of("mem_1", "", 9).await, ["aut_1", "aut_2"]);
        assert_eq!(of("mem_1", "aut_1", 9).await, ["aut_2"]);
        assert_eq!(of("mem_1", "", 1).await, ["aut_1"]);
        let give = async |id: &str, from: &str| {
            change(&store, async |tx| tx.hand_over_authorization(ORG, id, from, "mem_2", at(1)).await).await
        };
        assert!(
            give("aut_1", "mem_1").await && !give("aut_1", "mem_1").await && !give("aut_9", "mem_1").await
        );
        let rows = change(&store, async |tx| tx.authorizations_of_member(ORG, "mem_2").await).await;
        assert_eq!(
            rows.iter().map(|row| (row.id.as_str(), row.version)).collect::<Vec<_>>(),
            [("aut_1", 2), ("aut_3", 1)]
        );
        assert_eq!(store.authorization(OTHER, "aut_1").await.unwrap().unwrap().owner, "mem_1");

        let flow = |organization: &str, id: &str, member: &str| Flow {
            organization_id: organization.to_owned(),
            id: id.to_owned(),
            connection: "acme".to_owned(),
            member: member.to_owned(),
            replaces: None,
            account_name: None,
            environments: Vec::new(),
            scopes: Vec::new(),
            state: FlowState::Pending,
            start_digest: id.as_bytes().to_vec(),
            state_digest: format!("{organization}{id}").into_bytes(),
            browser_digest: None,
            secrets: Vec::new(),
            created_at: NOW,
            expires_at: at(90),
            authorization_id: None,
            error_code: None,
            error_detail: None,
            warnings: Vec::new(),
            poll: None,
        };
        change(&store, async |tx| {
            for (organization, id, member) in [
                (ORG, "flw_1", "mem_1"),
                (ORG, "flw_2", "mem_1"),
                (ORG, "flw_3", "mem_1"),
                (ORG, "flw_4", "mem_2"),
                (OTHER, "flw_5", "mem_1"),
            ] {
                tx.insert_flow(&flow(organization, id, member)).await?;
            }
            tx.move_flow(ORG, "flw_2", FlowState::Pending, FlowState::Exchanging).await?;
            tx.move_flow(ORG, "flw_3", FlowState::Pending, FlowState::Denied).await
        })
        .await;
        assert_eq!(change(&store, async |tx| tx.cancel_flows_of(ORG, "mem_1", at(1)).await).await, 2);
        let state = async |id: &str| store.flow(id).await.unwrap().unwrap().state;
        assert_eq!(state("flw_1").await, FlowState::Cancelled);
        assert_eq!(state("flw_2").await, FlowState::Cancelled);
        assert_eq!(state("flw_3").await, FlowState::Denied);
        assert_eq!(state("flw_4").await, FlowState::Pending);
        assert_eq!(state("flw_5").await, FlowState::Pending);
    })
    .await;
}
