//! The rules of [`permit`](crate::permit()) as a table for people: asked, not written, so that it cannot say anything else.

use std::fmt::Write as _;

use crate::error::Code;
use crate::permit::{Action, Principal, Resource, permit};
use crate::words::{Environment, KeyScope, KeyScopes, Level, Role};

const ME: &str = "mem_me";
const OTHER: &str = "mem_other";
const APPLICATION: &str = "portal";

const HEAD: &str = "\
# Permissions

<!-- Written by `jackfield reference permissions` from crates/core/src/permit.rs. Change the rules there. -->

Who may do what. **yes**; **no**: refused with 403, and the answer says who may; **unseen**: as if it were not there, 404. Nobody ever
reaches anything of another organization: it is not found.

An API key narrows what its owner may do to its scopes (`read`, `manage`, `authorize`, `use`, for applications also `act_for`) and never
widens it. An application key belongs to one application in one environment.
";

/// What is asked: a row's words, the action, the thing.
type Row = (&'static str, Action, Resource<'static>);

static ANY: std::sync::LazyLock<[String; 1]> = std::sync::LazyLock::new(|| ["*".to_owned()]);

fn connection(level: Level, managed_by_admins: bool, allowed: bool) -> Resource<'static> {
    let applications: &[String] = if allowed { ANY.as_slice() } else { &[] };
    Resource::Connection { level, managed_by_admins, applications }
}

/// The sections of the table. A test sees to it that no kind of resource is left out.
fn sections() -> Vec<(&'static str, Vec<Row>)> {
    use Action::{Authorize, Manage, Read, See, Use};
    let of = |level, owner| Resource::Authorization { level, owner };
    let connections = [
        ("see a connection of level system", See, Level::System),
        ("see a connection of level admin", See, Level::Admin),
        ("see a connection of level user", See, Level::User),
        ("make, change, disable, delete one of level admin", Manage, Level::Admin),
        ("make, change, disable, delete one of level user", Manage, Level::User),
        ("change one of level system", Manage, Level::System),
        ("authorize one of level system", Authorize, Level::System),
        ("authorize one of level admin, for everybody", Authorize, Level::Admin),
        ("authorize one of level user, for oneself", Authorize, Level::User),
        ("call through one of level system", Use, Level::System),
        ("call through one of level admin", Use, Level::Admin),
        ("call through one of level user, with one's own account", Use, Level::User),
    ];
    let mut rows: Vec<Row> = connections
        .into_iter()
        .map(|(words, action, level)| (words, action, connection(level, false, true)))
        .collect();
    rows.push((
        "make or change one where the organization reserves it for admins",
        Manage,
        connection(Level::Admin, true, true),
    ));
    rows.push((
        "call through one that does not allow the application",
        Use,
        connection(Level::Admin, false, false),
    ));
    vec![
        ("Connections", rows),
        (
            "Authorizations",
            vec![
                ("see an account of level admin", See, of(Level::Admin, OTHER)),
                ("rename, revoke an account of level admin", Manage, of(Level::Admin, OTHER)),
                ("reauthorize an account of level admin", Authorize, of(Level::Admin, OTHER)),
                ("see, rename, revoke one's own at level user", Manage, of(Level::User, ME)),
                ("reauthorize, choose for one's own at level user", Authorize, of(Level::User, ME)),
                ("see another's at level user", See, of(Level::User, OTHER)),
                ("rename, revoke another's at level user", Manage, of(Level::User, OTHER)),
                ("reauthorize another's at level user", Authorize, of(Level::User, OTHER)),
            ],
        ),
        (
            "Connectors",
            vec![
                ("see connectors", Read, Resource::Connectors { managed_by_admins: false }),
                (
                    "make, change, publish, delete custom connectors",
                    Manage,
                    Resource::Connectors { managed_by_admins: false },
                ),
                (
                    "the same where the organization reserves it for admins",
                    Manage,
                    Resource::Connectors { managed_by_admins: true },
                ),
            ],
        ),
        (
            "Applications",
            vec![
                ("list applications (a user: those he has access to)", Read, Resource::Applications),
                ("make an application", Manage, Resource::Applications),
                (
                    "see an application one has access to, or is",
                    Read,
                    Resource::Application { link_name: APPLICATION, access: true },
                ),
                (
                    "see another application",
                    Read,
                    Resource::Application { link_name: "other", access: false },
                ),
                (
                    "change, delete an application, declare components",
                    Manage,
                    Resource::Application { link_name: APPLICATION, access: true },
                ),
                (
                    "send in, see, edit, delete one's own record",
                    Use,
                    Resource::Record { link_name: APPLICATION, access: true, owner: ME },
                ),
                (
                    "see, edit, delete others' records",
                    Use,
                    Resource::Record { link_name: APPLICATION, access: true, owner: OTHER },
                ),
                ("see its runs", See, Resource::Runs { link_name: APPLICATION, access: true }),
                (
                    "replay and cancel its runs",
                    Manage,
                    Resource::Runs { link_name: APPLICATION, access: true },
                ),
                (
                    "see its members and keys",
                    Read,
                    Resource::ApplicationAccess { link_name: APPLICATION, access: true },
                ),
                (
                    "give access, make and revoke its keys",
                    Manage,
                    Resource::ApplicationAccess { link_name: APPLICATION, access: true },
                ),
            ],
        ),
        (
            "People",
            vec![
                ("see the members' names and roles", Read, Resource::Members),
                ("see another's address and accounts", See, Resource::Member { id: OTHER, role: Role::User }),
                ("invite members", Manage, Resource::Members),
                (
                    "change, deactivate, remove another member",
                    Manage,
                    Resource::Member { id: OTHER, role: Role::User },
                ),
                ("change the super admin", Manage, Resource::Member { id: OTHER, role: Role::SuperAdmin }),
                ("one's own name, password, sessions", Manage, Resource::Account { owner: ME }),
                ("another's password and sessions", Manage, Resource::Account { owner: OTHER }),
                ("one's own API keys", Manage, Resource::Key { owner: ME }),
                ("another's API keys", Manage, Resource::Key { owner: OTHER }),
            ],
        ),
        (
            "Organization",
            vec![
                ("see the organization", Read, Resource::Organization),
                ("change the organization", Manage, Resource::Organization),
                ("read and check the audit trail", Read, Resource::Audit),
            ],
        ),
    ]
}

fn principals() -> [Principal; 5] {
    let member = |role| Principal::Member { id: ME.to_owned(), role, key: None, scopes: KeyScopes::PERSONAL };
    let application = Principal::Application {
        id: "app_1".to_owned(),
        link_name: APPLICATION.to_owned(),
        environment: Environment::Production,
        key: "key_1".to_owned(),
        // Every scope: what is refused is refused by the rules.
        scopes: KeyScopes::of(KeyScope::ALL),
    };
    [member(Role::SuperAdmin), member(Role::Admin), member(Role::Developer), member(Role::User), application]
}

/// `docs/permissions.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (title, rows) in sections() {
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| | super admin | admin | developer | user | application key |\n|---|---|---|---|---|---|\n"
        );
        for (words, action, resource) in rows {
            let _ = write!(page, "| {words} |");
            for principal in principals() {
                let cell = match permit(&principal, action, &resource) {
                    Ok(_) => "yes",
                    Err(error) if error.code == Code::NotFound => "unseen",
                    Err(_) => "no",
                };
                let _ = write!(page, " {cell} |");
            }
            page.push('\n');
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_resource_is_in_the_table() {
        // The match has no `_`: whoever adds a resource is led here, and to `sections`.
        let kind = |resource: &Resource<'_>| match resource {
            Resource::Organization => 0,
            Resource::Connectors { .. } => 1,
            Resource::Connection { .. } => 2,
            Resource::Authorization { .. } => 3,
            Resource::Applications => 4,
            Resource::Application { .. } => 5,
            Resource::ApplicationAccess { .. } => 6,
            Resource::Key { .. } => 7,
            Resource::Audit => 8,
            Resource::Members => 9,
            Resource::Member { .. } => 10,
            Resource::Account { .. } => 11,
            Resource::Record { .. } => 12,
            Resource::Runs { .. } => 13,
        };
        let mut seen: Vec<i32> =
            sections().iter().flat_map(|(_, rows)| rows).map(|(_, _, resource)| kind(resource)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..=13).collect::<Vec<_>>());
    }

    #[test]
    fn the_page_says_what_product_n1_and_n2_say() {
        let page = page();
        for line in [
            "| make, change, disable, delete one of level admin | yes | yes | yes | no | no |",
            "| make or change one where the organization reserves it for admins | yes | yes | no | no | no |",
            "| authorize one of level system | yes | no | no | no | no |",
            "| authorize one of level admin, for everybody | yes | yes | no | no | no |",
            "| authorize one of level user, for oneself | yes | yes | yes | yes | no |",
            "| call through one of level admin | yes | yes | yes | yes | yes |",
            "| see a connection of level admin | yes | yes | yes | unseen | yes |",
            "| see another's at level user | yes | yes | unseen | unseen | unseen |",
            "| reauthorize another's at level user | unseen | unseen | unseen | unseen | unseen |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
