//! The people of an organization: invited, joined, changed, deactivated, removed; and what becomes of what they authorized.

use serde_json::{Value, json};

use crate::start::finish;
use crate::support::{Home, Other, PASSWORD, Person, Server};
use crate::upstream::{Upstream, json_reply, key, keyed};

async fn actions(server: &Server, subject: &str) -> Vec<String> {
    let page = server.get(&format!("/v1/audit?subject={subject}&limit=100")).await.expect(200);
    let rows = page["items"].as_array().unwrap().iter().rev();
    rows.map(|row| row["action"].as_str().unwrap().to_owned()).collect()
}

fn path(person: &Person) -> String {
    format!("/v1/members/{}", person.id)
}

async fn works(other: &Other<'_>) -> bool {
    let answer = other.api("GET", "/v1/me", Value::Null).await;
    if answer.status != 200 {
        answer.problem(401, "key_revoked");
    }
    answer.status == 200
}

#[tokio::test]
async fn an_invitation_is_good_once_and_until_a_newer_one() {
    for home in Home::both() {
        let server = home.start();
        let nobody = server.with_key("");
        let accept = async |token: &Value, password: &str| {
            let body = json!({"token": token, "password": password});
            nobody.api("POST", "/v1/invitations/accept", body).await
        };
        let new = json!({"email": "Bob@Acme.example", "name": "Bob", "role": "developer"});
        let invited = server.post("/v1/members", new.clone()).await.expect(201);
        let (member, invitation) = (&invited["member"], &invited["invitation"]);
        assert_eq!((&member["status"], &member["role"]), (&json!("invited"), &json!("developer")));
        let token = invitation["token"].as_str().unwrap();
        assert_eq!(invitation["url"].as_str().unwrap(), format!("{}/invitations?token={token}", server.url));
        let id = member["id"].as_str().unwrap();

        // One address, one member, whatever its case; and one super admin.
        let twin = json!({"email": "bob@acme.EXAMPLE", "name": "Other", "role": "user"});
        let taken = server.post("/v1/members", twin).await;
        taken.problem(409, "state_conflict");
        assert_eq!(taken.fields(), ["email"]);
        let second = json!({"email": "x@acme.example", "name": "X", "role": "super_admin"});
        server.post("/v1/members", second).await.problem(409, "state_conflict");
        for (body, field) in [
            (json!({"email": "nobody", "name": "X", "role": "user"}), "email"),
            (json!({"email": "x@acme.example", "name": " ", "role": "user"}), "name"),
            (json!({"email": "x@acme.example", "name": "X", "role": "owner"}), "role"),
            (json!({"name": "X", "role": "user"}), "email"),
        ] {
            let answer = server.post("/v1/members", body).await;
            answer.problem(422, "invalid_input");
            assert_eq!(answer.fields(), [field]);
        }

        // A newer invitation voids the older one.
        let again = server.post(&format!("/v1/members/{id}/invitation"), json!({})).await.expect(201);
        let newer = &again["invitation"]["token"];
        accept(&invitation["token"], PASSWORD).await.problem(404, "not_found");
        for (password, rule) in [("short", "too_short"), ("Bob@Acme.example", "not_allowed")] {
            let answer = accept(newer, password).await;
            let problem = answer.problem(422, "invalid_input");
            assert_eq!(
                (&problem["errors"][0]["field"], &problem["errors"][0]["code"]),
                (&json!("password"), &json!(rule))
            );
        }
        let joined = accept(newer, PASSWORD).await.expect(201);
        assert_eq!((&joined["member"]["id"], &joined["member"]["status"]), (&json!(id), &json!("active")));
        accept(newer, PASSWORD).await.problem(404, "not_found");
        accept(&json!("nobody's"), PASSWORD).await.problem(404, "not_found");
        server.post(&format!("/v1/members/{id}/invitation"), json!({})).await.problem(409, "state_conflict");
        let bob = server.with_key(joined["key"].as_str().unwrap());
        let me = bob.api("GET", "/v1/me", Value::Null).await.expect(200);
        assert_eq!(
            (&me["id"], &me["email"], &me["role"]),
            (&json!(id), &json!("Bob@Acme.example"), &json!("developer"))
        );
        assert_eq!(actions(&server, id).await, ["member.invited", "member.invited", "member.joined"]);

        // Another organization may invite the same person.
        let other = home.organization("Other");
        server.with_key(&other.key).api("POST", "/v1/members", new).await.expect(201);
        let log = server.log();
        for secret in [token, newer.as_str().unwrap(), PASSWORD] {
            assert!(!log.contains(secret));
        }
    }
}

#[tokio::test]
async fn an_invitation_expires() {
    let home = Home::postgres();
    let server = home.start();
    let new = json!({"email": "bob@acme.example", "name": "Bob", "role": "user"});
    let invited = server.post("/v1/members", new).await.expect(201);
    home.sql("update member_links set expires_at = expires_at - 7 * 86400 * 1000000::bigint");
    let body = json!({"token": invited["invitation"]["token"], "password": PASSWORD});
    let late = server.with_key("").api("POST", "/v1/invitations/accept", body).await;
    late.problem(404, "not_found");
}

#[tokio::test]
async fn who_may_see_and_manage_members() {
    let home = Home::sqlite();
    let server = home.start();
    let founder = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let admin = server.person("admin", "admin").await;
    let developer = server.person("developer", "developer").await;
    let user = server.person("user", "user").await;
    for person in [&developer, &user] {
        let own = server.as_person(person);
        // Names are for everybody, addresses for admins and oneself.
        let list = own.api("GET", "/v1/members", Value::Null).await.expect(200);
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 4);
        for item in items {
            assert!(item["name"].is_string() && item["role"].is_string());
            assert_eq!(item["email"].is_string(), item["id"] == *person.id, "{item}");
        }
        let new = json!({"email": "x@acme.example", "name": "X", "role": "user"});
        own.api("POST", "/v1/members", new).await.problem(403, "forbidden");
        for other in [path(&admin), format!("/v1/members/{founder}")] {
            own.api("PATCH", &other, json!({"name": "Mine"})).await.problem(403, "forbidden");
            own.api("DELETE", &other, Value::Null).await.problem(403, "forbidden");
            let of = own.api("GET", &format!("{other}/authorizations"), Value::Null).await;
            of.problem(403, "forbidden");
            let reset = own.api("POST", &format!("{other}/password-reset"), json!({})).await;
            reset.problem(403, "forbidden");
        }
        // One names oneself, and no more than that.
        let named = own.api("PATCH", &path(person), json!({"name": "Renamed"})).await.expect(200);
        assert_eq!(named["name"], "Renamed");
        own.api("PATCH", &path(person), json!({"role": "admin"})).await.problem(403, "forbidden");
        own.api("GET", &format!("{}/authorizations", path(person)), Value::Null).await.expect(200);
    }
    let as_admin = server.as_person(&admin);
    let list = as_admin.api("GET", "/v1/members", Value::Null).await.expect(200);
    assert!(list["items"].as_array().unwrap().iter().all(|item| item["email"].is_string()));
    // An admin does not touch the super admin, nor make one, nor change himself.
    let boss = format!("/v1/members/{founder}");
    for body in [json!({"name": "X"}), json!({"role": "admin"}), json!({"active": false})] {
        as_admin.api("PATCH", &boss, body).await.problem(403, "forbidden");
    }
    as_admin.api("DELETE", &boss, Value::Null).await.problem(403, "forbidden");
    as_admin.api("POST", &format!("{boss}/password-reset"), json!({})).await.problem(403, "forbidden");
    as_admin
        .api("POST", &format!("{boss}/hand-over"), json!({"to": admin.id}))
        .await
        .problem(403, "forbidden");
    as_admin.api("PATCH", &path(&user), json!({"role": "super_admin"})).await.problem(403, "forbidden");
    for body in [json!({"role": "user"}), json!({"active": false})] {
        as_admin.api("PATCH", &path(&admin), body).await.problem(409, "state_conflict");
    }
    as_admin.api("DELETE", &path(&admin), Value::Null).await.problem(409, "state_conflict");
    // Nor does the super admin end himself.
    for body in [json!({"role": "admin"}), json!({"active": false})] {
        server.api("PATCH", &boss, body).await.problem(409, "state_conflict");
    }
    server.api("DELETE", &boss, Value::Null).await.problem(409, "state_conflict");
    server.post(&format!("{boss}/password-reset"), json!({})).await.expect(201);

    // Roles take effect at once, and nobody's change is lost.
    let view = as_admin.api("GET", &path(&user), Value::Null).await.expect(200);
    let patch = json!({"role": "developer", "version": view["version"]});
    let changed = as_admin.api("PATCH", &path(&user), patch.clone()).await.expect(200);
    assert_eq!(changed["role"], "developer");
    assert_eq!(
        server.as_person(&user).api("GET", "/v1/me", Value::Null).await.expect(200)["role"],
        "developer"
    );
    let conflict = as_admin.api("PATCH", &path(&user), patch).await.problem(409, "version_conflict");
    assert_eq!(conflict["current"]["version"], changed["version"]);
    server.get("/v1/members/mem_nobody").await.problem(404, "not_found");
}

#[tokio::test]
async fn the_super_admin_gives_his_role_away() {
    for home in Home::both() {
        let server = home.start();
        let founder = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
        let heir = server.person("heir", "user").await;
        let new = json!({"email": "late@acme.example", "name": "Late", "role": "admin"});
        let invited = server.post("/v1/members", new).await.expect(201);
        let late = format!("/v1/members/{}", invited["member"]["id"].as_str().unwrap());
        let transfer = json!({"role": "super_admin"});
        server.api("PATCH", &late, transfer.clone()).await.problem(409, "state_conflict");
        let made = server.api("PATCH", &path(&heir), transfer.clone()).await.expect(200);
        assert_eq!(made["role"], "super_admin");
        let roles = server.get("/v1/members").await.expect(200);
        let roles: Vec<&str> =
            roles["items"].as_array().unwrap().iter().map(|item| item["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["admin", "super_admin", "admin"]);
        // What he gave away he does not have any more.
        server.api("PATCH", &path(&heir), json!({"name": "X"})).await.problem(403, "forbidden");
        assert_eq!(actions(&server, &heir.id).await.last().unwrap(), "member.super_admin_transferred");
        let back = server.as_person(&heir);
        back.api("PATCH", &format!("/v1/members/{founder}"), transfer).await.expect(200);
        assert_eq!(server.get("/v1/me").await.expect(200)["role"], "super_admin");
    }
}

/// A connector that asks for a key, and connections of both levels.
async fn connections(server: &Server) -> (Upstream, String, String) {
    let upstream = Upstream::answering(|_| json_reply(&json!({}))).await;
    let connector = server.connector(keyed("Owned", &upstream.url, &[&upstream.host()])).await;
    let shared = server.connection(json!({"connector": connector, "name": "Shared"})).await;
    let personal =
        server.connection(json!({"connector": connector, "name": "Personal", "level": "user"})).await;
    (upstream, shared, personal)
}

async fn authorize(other: &Other<'_>, connection: &str) -> String {
    let path = format!("/v1/connections/{connection}/authorizations");
    let made = other.api("POST", &path, json!({"credentials": key()})).await.expect(201);
    made["authorization"]["id"].as_str().unwrap().to_owned()
}

async fn calls(other: &Other<'_>, connection: &str) -> u16 {
    other.api("POST", &format!("/v1/connections/{connection}/invoke"), json!({"url": "/"})).await.status
}

#[tokio::test]
async fn a_deactivated_member_is_out_at_once_and_may_come_back() {
    for home in Home::both() {
        let server = home.start();
        let (_upstream, shared, personal) = connections(&server).await;
        let admin = server.person("admin", "admin").await;
        let own = server.as_person(&admin);
        authorize(&own, &shared).await;
        authorize(&own, &personal).await;
        let session = json!({"email": admin.email, "password": PASSWORD});
        let nobody = server.with_key("");
        let started = nobody.api("POST", "/v1/sessions", session.clone()).await;
        started.expect(201);
        assert!(works(&own).await);
        assert_eq!(calls(&own, &personal).await, 200);
        let off = server.api("PATCH", &path(&admin), json!({"active": false})).await.expect(200);
        assert_eq!(off["status"], "deactivated");
        assert!(!works(&own).await);
        nobody.api("POST", "/v1/sessions", session.clone()).await.problem(401, "unauthenticated");
        // What he authorized for everybody goes on.
        assert_eq!(calls(&server.with_key(&server.key), &shared).await, 200);
        server
            .post(&format!("{}/password-reset", path(&admin)), json!({}))
            .await
            .problem(409, "state_conflict");
        // Nor is there a link by which he comes back by himself.
        let on = server.api("PATCH", &path(&admin), json!({"active": true})).await.expect(200);
        assert_eq!(on["status"], "active");
        assert!(works(&own).await);
        assert_eq!(calls(&own, &personal).await, 200);
        nobody.api("POST", "/v1/sessions", session).await.expect(201);
        assert_eq!(
            actions(&server, &admin.id).await[2..],
            ["member.deactivated", "session.refused", "member.reactivated"]
        );
    }
}

#[tokio::test]
async fn what_serves_everybody_is_handed_over_and_personal_accounts_are_not() {
    for home in Home::both() {
        let server = home.start();
        let (_upstream, shared, personal) = connections(&server).await;
        let (leaver, heir) = (server.person("leaver", "admin").await, server.person("heir", "admin").await);
        let user = server.person("user", "user").await;
        let own = server.as_person(&leaver);
        let (for_all, for_himself) = (authorize(&own, &shared).await, authorize(&own, &personal).await);
        // One account that he lent to everybody as well: it serves him alone in one connection, all in another.
        let lent = authorize(&own, &personal).await;
        let body = json!({"reuse": lent});
        own.api("POST", &format!("/v1/connections/{shared}/authorizations"), body).await.expect(201);
        let list = server.get(&format!("{}/authorizations", path(&leaver))).await.expect(200);
        let levels: Vec<(&str, &str)> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["id"].as_str().unwrap(), item["level"].as_str().unwrap()))
            .collect();
        assert_eq!(
            levels,
            [(for_all.as_str(), "admin"), (for_himself.as_str(), "user"), (lent.as_str(), "user")]
        );
        let give =
            async |to: &str| server.post(&format!("{}/hand-over", path(&leaver)), json!({"to": to})).await;
        for nobody in ["mem_nobody", &user.id, &leaver.id] {
            assert_eq!(give(nobody).await.fields(), ["to"]);
        }
        let answer = give(&heir.id).await.expect(200);
        let ids = |name: &str| -> Vec<&str> {
            answer[name].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
        };
        assert_eq!(ids("handed_over"), [for_all.as_str(), &lent]);
        assert_eq!(ids("not_handed_over"), [for_himself.as_str()]);
        let owner = async |connection: &str, id: &str| {
            let path = format!("/v1/connections/{connection}/authorizations/{id}");
            server.get(&path).await.expect(200)["owner"].as_str().unwrap().to_owned()
        };
        assert_eq!(owner(&shared, &for_all).await, heir.id);
        assert_eq!(owner(&shared, &lent).await, heir.id);
        assert_eq!(owner(&personal, &for_himself).await, leaver.id);
        // What is another's now serves him no longer as his own; what is his, does.
        let gone = server.get(&format!("/v1/connections/{personal}/authorizations/{lent}")).await;
        gone.problem(404, "not_found");
        assert_eq!(calls(&server.as_person(&user), &shared).await, 200);
        assert_eq!(actions(&server, &leaver.id).await.last().unwrap(), "member.handed_over");
    }
}

#[tokio::test]
async fn what_admins_authorized_outlives_them() {
    for home in Home::both() {
        let server = home.start();
        let founder = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
        let (_upstream, shared, personal) = connections(&server).await;
        let leaver = server.person("leaver", "admin").await;
        let own = server.as_person(&leaver);
        let for_all = authorize(&own, &shared).await;
        let for_himself = authorize(&own, &personal).await;
        let new = json!({"connector": "owned", "name": "His own making"});
        own.api("POST", "/v1/connections", new).await.expect(201);
        let asked = server.post(&format!("{}/password-reset", path(&leaver)), json!({})).await.expect(201);
        assert_eq!(server.api("DELETE", &path(&leaver), Value::Null).await.status, 204);

        server.get(&path(&leaver)).await.problem(404, "not_found");
        assert!(!works(&own).await);
        let session = json!({"email": leaver.email, "password": PASSWORD});
        let nobody = server.with_key("");
        nobody.api("POST", "/v1/sessions", session).await.problem(401, "unauthenticated");
        let reset = json!({"token": asked["token"], "password": PASSWORD});
        nobody.api("POST", "/v1/password-resets/accept", reset).await.problem(404, "not_found");
        // The connection lives, and what he made with it.
        assert_eq!(calls(&server.with_key(&server.key), &shared).await, 200);
        let held = format!("/v1/connections/{shared}/authorizations/{for_all}");
        assert_eq!(server.get(&held).await.expect(200)["owner"], *founder);
        server.get("/v1/connections/his_own_making").await.expect(200);
        // His own account is nobody's.
        let his = format!("/v1/connections/{personal}/authorizations/{for_himself}");
        server.get(&his).await.problem(404, "not_found");
        assert_eq!(
            actions(&server, &leaver.id).await[2..],
            ["password.reset_requested", "member.handed_over", "member.removed"]
        );
        // The address is free again.
        let again = server.person("leaver", "user").await;
        assert_ne!(again.id, leaver.id);
    }
}

#[tokio::test]
async fn members_by_command_line() {
    let home = Home::sqlite();
    let server = home.start();
    let run = |arguments: &[&str]| {
        let mut command = home.command();
        command.args(arguments).env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
        finish(&mut command)
    };
    let invited = run(&["members", "invite", "bob@acme.example", "--name", "Bob", "--role", "admin"]);
    let url = invited.stdout.trim();
    assert!(invited.success && url.starts_with(&format!("{}/invitations?token=", server.url)), "{invited:?}");
    let bob = server.person("carol", "user").await;
    let listed = run(&["members", "list"]);
    for text in ["bob@acme.example", "invited", "carol", "active", "super_admin"] {
        assert!(listed.stdout.contains(text), "{listed:?}");
    }
    let updated = run(&["members", "update", &bob.id, "--role", "admin", "--json"]);
    let updated: Value = serde_json::from_str(&updated.stdout).unwrap();
    assert_eq!(updated["role"], "admin");
    assert!(run(&["members", "deactivate", &bob.id]).stdout.contains("deactivated"));
    assert!(run(&["members", "reactivate", &bob.id]).stdout.contains("active"));
    assert!(run(&["members", "get", &bob.id]).stdout.contains("carol@acme.example"));
    assert!(run(&["members", "authorizations", &bob.id]).stdout.contains("He authorized nothing"));
    let mine = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    assert!(run(&["members", "hand-over", &bob.id, "--to", &mine]).stdout.contains("Handed over: 0"));
    assert!(run(&["members", "reset-password", &bob.id]).stdout.contains("/password-reset?token="));
    assert!(run(&["members", "transfer", &bob.id]).stdout.contains("super_admin"));
    let refused = run(&["members", "remove", &bob.id]);
    assert!(!refused.success, "{refused:?}");
    assert!(!run(&["members", "update", &bob.id]).success, "nothing to change");
}
