//! Who may do what: one function, and the proof that it was asked.
//!
//! A [`Permit`] cannot be made but by [`permit()`] (or, for Jackfield's own housekeeping, by [`Permit::housekeeping`]), and every
//! change of the store demands one.

use crate::error::{Code, Error, Result};
use crate::words::{Environment, KeyScope, KeyScopes, Level, Role};

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A person, by a personal key or a browser session (`key: None`).
    Member { id: String, role: Role, key: Option<String>, scopes: KeyScopes },
    /// An application, by one of its keys, in one environment.
    Application { id: String, link_name: String, environment: Environment, key: String, scopes: KeyScopes },
}

impl Principal {
    /// The member's id, where a person is calling.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Member { id, .. } => Some(id),
            Self::Application { .. } => None,
        }
    }

    /// The id of the API key, where one was used.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Member { key, .. } => key.as_deref(),
            // Empty where the application acts by itself, as its workflows do.
            Self::Application { key, .. } => Some(key.as_str()).filter(|key| !key.is_empty()),
        }
    }

    /// What the key may be used for.
    pub fn scopes(&self) -> KeyScopes {
        match self {
            Self::Member { scopes, .. } | Self::Application { scopes, .. } => *scopes,
        }
    }

    /// The member's role; an application has none.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Member { role, .. } => Some(*role),
            Self::Application { .. } => None,
        }
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// read the organization, its connectors, one's own keys
    Read,
    /// see a connection: its configuration, status, references, calls
    See,
    /// make, edit, enable, disable, publish, delete
    Manage,
    /// start a flow, give credentials, reauthorize, switch, revoke
    Authorize,
    /// call the service
    Use,
}

impl Action {
    pub const ALL: &'static [Self] = &[Self::Read, Self::See, Self::Manage, Self::Authorize, Self::Use];

    /// The scope that a key needs for it.
    pub const fn scope(self) -> KeyScope {
        match self {
            Self::Read | Self::See => KeyScope::Read,
            Self::Manage => KeyScope::Manage,
            Self::Authorize => KeyScope::Authorize,
            Self::Use => KeyScope::Use,
        }
    }
}

/// On what.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// the organization itself, its members and applications
    Organization,
    /// the organization's connectors; `managed_by_admins` is the organization's setting (product N1)
    Connectors { managed_by_admins: bool },
    /// a connection, there or to be made
    Connection { level: Level, managed_by_admins: bool, applications: &'a [String] },
    /// an authorization or a flow: `owner` is the member's id
    Authorization { level: Level, owner: &'a str },
    /// the organization's applications as a whole
    Applications,
    /// an application, with its components; `access`: whether the caller is a member with access to it
    Application { link_name: &'a str, access: bool },
    /// who and what can act through an application: its members and its keys
    ApplicationAccess { link_name: &'a str, access: bool },
    /// a record of a form of the application, there or to be made; `owner` is the id of the member who made it
    Record { link_name: &'a str, access: bool, owner: &'a str },
    /// the runs of the application's workflows
    Runs { link_name: &'a str, access: bool },
    /// an API key of a member
    Key { owner: &'a str },
    /// the audit trail of the organization
    Audit,
    /// the organization's members: to list them, to invite one
    Members,
    /// a member: `Read` is his name and role, `See` his address and what he authorized, `Manage` his role and whether he is active
    Member { id: &'a str, role: Role },
    /// one's own account: name, password, sessions
    Account { owner: &'a str },
}

/// The proof that somebody decided. Mutating the store demands one.
#[derive(Clone, Copy, Debug)]
pub struct Permit(());

impl Permit {
    /// For what Jackfield does by itself: set-up, refresh, the end of a flow whose start was permitted, batches of call records.
    /// `reason` stands at the call so that a reader can judge it.
    pub const fn housekeeping(_reason: &'static str) -> Self {
        Self(())
    }
}

/// What a refusal may say: that the thing is there, or not even that.
enum Refusal {
    Hidden(&'static str),
    Forbidden(&'static str),
    Application,
}

/// Whether the principal may do the action on the resource. The organization has been compared already: a principal meets only
/// resources of his own, everything else was never found.
pub fn permit(principal: &Principal, action: Action, resource: &Resource<'_>) -> Result<Permit> {
    match decide(principal, action, resource) {
        // A key's scope narrows what its owner may do; what he may not even see stays unseen, whatever the key.
        Ok(()) if !principal.scopes().has(action.scope()) => Err(Error::new(
            Code::Forbidden,
            format!("This key lacks the scope `{}`. Use a key that has it.", action.scope()),
        )),
        Ok(()) => Ok(Permit(())),
        Err(Refusal::Hidden(what)) => Err(Error::not_found(what)),
        Err(Refusal::Forbidden(why)) => Err(Error::new(Code::Forbidden, why)),
        Err(Refusal::Application) => Err(Error::new(
            Code::ApplicationNotAllowed,
            "The connection does not allow this application. An admin can allow it in the connection's settings.",
        )),
    }
}

fn decide(principal: &Principal, action: Action, resource: &Resource<'_>) -> Result<(), Refusal> {
    let role = principal.role();
    let admin = role.is_some_and(Role::is_admin);
    match (resource, action) {
        // A connection decides for itself which applications may use it.
        (Resource::Connection { level, applications, .. }, Action::Use | Action::See | Action::Read) => {
            match principal {
                Principal::Application { link_name, .. } if !allows(applications, link_name) => {
                    Err(Refusal::Application)
                }
                // What a user may use and what is shown to him are two things: he uses by link name what the admins authorized.
                Principal::Member { role: Role::User, .. }
                    if action != Action::Use && *level != Level::User =>
                {
                    Err(Refusal::Hidden("connection"))
                }
                _ => Ok(()),
            }
        }
        (Resource::Connection { managed_by_admins, level, .. }, Action::Manage) => {
            if *level == Level::System && role != Some(Role::SuperAdmin) {
                return Err(Refusal::Forbidden(
                    "A system connection is made by Jackfield itself; only the super admin changes it.",
                ));
            }
            may_manage(role, *managed_by_admins)
        }
        (Resource::Connection { level, .. }, Action::Authorize) => may_authorize(role, *level),
        (Resource::Connectors { .. } | Resource::Organization, Action::Read | Action::See | Action::Use) => {
            Ok(())
        }
        (Resource::Connectors { managed_by_admins }, Action::Manage | Action::Authorize) => {
            may_manage(role, *managed_by_admins)
        }
        (Resource::Organization, Action::Manage | Action::Authorize) => {
            if admin {
                Ok(())
            } else {
                Err(Refusal::Forbidden("Only the super admin and admins may do this."))
            }
        }
        (Resource::Authorization { level, owner }, Action::Read | Action::See) => {
            // At level admin the accounts are the organization's; at level user they are the person's own, and admins oversee them.
            let own = principal.member() == Some(owner);
            let shared = *level != Level::User && role.is_some_and(|r| r != Role::User);
            if own || admin || shared { Ok(()) } else { Err(Refusal::Hidden("authorization")) }
        }
        (Resource::Authorization { level, owner }, Action::Manage | Action::Authorize | Action::Use) => {
            if *level == Level::User {
                let own = principal.member() == Some(owner);
                // Admins may revoke anybody's (Manage), but nobody authorizes in another's name.
                if own || (admin && action == Action::Manage) {
                    Ok(())
                } else {
                    Err(Refusal::Hidden("authorization"))
                }
            } else {
                may_authorize(role, *level)
            }
        }
        (Resource::Audit, _) => {
            if admin {
                Ok(())
            } else {
                Err(Refusal::Forbidden("Only the super admin and admins read the audit trail."))
            }
        }
        (Resource::Applications, Action::Manage | Action::Authorize) => may_manage(role, false),
        (
            Resource::Application { link_name, access } | Resource::ApplicationAccess { link_name, access },
            _,
        ) => {
            let seen = match principal {
                Principal::Member { role: Role::User, .. } => *access,
                Principal::Member { .. } => true,
                Principal::Application { link_name: own, .. } => own == link_name,
            };
            let looks = matches!(action, Action::Read | Action::See | Action::Use);
            match resource {
                _ if !seen => Err(Refusal::Hidden("application")),
                Resource::Application { .. } if looks => Ok(()),
                // `connections_managed_by` is about connections: developers manage applications in any case.
                _ => may_manage(role, false),
            }
        }
        (Resource::Record { link_name, access, owner }, _) => match principal {
            Principal::Application { link_name: own, .. } if own == link_name => Ok(()),
            Principal::Application { .. } => Err(Refusal::Hidden("application")),
            Principal::Member { role: Role::User, .. } if !access => Err(Refusal::Hidden("application")),
            // A user keeps to what he sent in himself.
            Principal::Member { role: Role::User, id, .. } if id != owner => Err(Refusal::Hidden("record")),
            Principal::Member { .. } => Ok(()),
        },
        (Resource::Runs { link_name, access }, _) => match principal {
            Principal::Application { link_name: own, .. } if own != link_name => {
                Err(Refusal::Hidden("application"))
            }
            Principal::Member { role: Role::User, .. } if !access => Err(Refusal::Hidden("application")),
            // What a run sent and got is more than the record of whoever set it off.
            Principal::Application { .. } if matches!(action, Action::Read | Action::See) => Ok(()),
            _ => may_manage(role, false),
        },
        (Resource::Members | Resource::Member { .. } | Resource::Account { .. }, _) if role.is_none() => {
            Err(Refusal::Forbidden("This is for people: use a personal key, not an application's."))
        }
        // Who belongs to the organization is nobody's secret in it; how to reach him is.
        (Resource::Members | Resource::Member { .. }, Action::Read)
        | (Resource::Applications, Action::Read | Action::See | Action::Use) => Ok(()),
        (Resource::Members, _) => {
            if admin {
                Ok(())
            } else {
                Err(Refusal::Forbidden("Only the super admin and admins manage members."))
            }
        }
        (Resource::Member { id, .. }, Action::See) => {
            if admin || principal.member() == Some(id) {
                Ok(())
            } else {
                Err(Refusal::Forbidden("Only the super admin and admins see this of others."))
            }
        }
        (Resource::Member { role: of, .. }, _) => match role {
            Some(Role::SuperAdmin) => Ok(()),
            Some(Role::Admin) if *of != Role::SuperAdmin => Ok(()),
            Some(Role::Admin) => Err(Refusal::Forbidden("Only the super admin manages the super admin.")),
            _ => Err(Refusal::Forbidden("Only the super admin and admins manage members.")),
        },
        (Resource::Account { owner }, _) => {
            if principal.member() == Some(owner) {
                Ok(())
            } else {
                Err(Refusal::Hidden("session"))
            }
        }
        (Resource::Key { owner }, _) => {
            if principal.member() == Some(owner) {
                Ok(())
            } else {
                Err(Refusal::Hidden("key"))
            }
        }
    }
}

/// Whether a connection's list of applications holds this one.
pub fn allows(applications: &[String], link_name: &str) -> bool {
    applications.iter().any(|name| name == "*" || name == link_name)
}

fn may_manage(role: Option<Role>, managed_by_admins: bool) -> Result<(), Refusal> {
    match role {
        Some(Role::SuperAdmin | Role::Admin) => Ok(()),
        Some(Role::Developer) if !managed_by_admins => Ok(()),
        Some(Role::Developer) => {
            Err(Refusal::Forbidden("This organization lets only admins manage connections."))
        }
        Some(Role::User) => {
            Err(Refusal::Forbidden("Only the super admin, admins and developers may do this."))
        }
        None => Err(Refusal::Forbidden("An application key calls services; it does not manage.")),
    }
}

fn may_authorize(role: Option<Role>, level: Level) -> Result<(), Refusal> {
    match (role, level) {
        (None, _) => Err(Refusal::Forbidden("A person authorizes; an application key cannot.")),
        (Some(_), Level::User) | (Some(Role::SuperAdmin), _) | (Some(Role::Admin), Level::Admin) => Ok(()),
        (Some(_), Level::Admin) => {
            Err(Refusal::Forbidden("Only the super admin and admins authorize a connection of level admin."))
        }
        (Some(_), Level::System) => {
            Err(Refusal::Forbidden("Only the super admin authorizes a connection of level system."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: Role) -> Principal {
        Principal::Member { id: "mem_1".into(), role, key: None, scopes: KeyScopes::PERSONAL }
    }

    fn connection(level: Level, managed_by_admins: bool, applications: &[String]) -> Resource<'_> {
        Resource::Connection { level, managed_by_admins, applications }
    }

    #[test]
    fn the_rules_of_n1_and_n2() {
        use Role::{Admin, Developer, SuperAdmin, User};
        let allowed = |role, action, resource: &Resource<'_>| permit(&member(role), action, resource).is_ok();
        for (role, manage, reserved, admin, system) in [
            (SuperAdmin, true, true, true, true),
            (Admin, true, true, true, false),
            (Developer, true, false, false, false),
            (User, false, false, false, false),
        ] {
            assert_eq!(allowed(role, Action::Manage, &connection(Level::Admin, false, &[])), manage);
            assert_eq!(allowed(role, Action::Manage, &connection(Level::Admin, true, &[])), reserved);
            assert_eq!(allowed(role, Action::Authorize, &connection(Level::Admin, false, &[])), admin);
            assert_eq!(allowed(role, Action::Authorize, &connection(Level::System, false, &[])), system);
            assert!(allowed(role, Action::Authorize, &connection(Level::User, false, &[])));
            assert!(allowed(role, Action::Use, &connection(Level::Admin, false, &[])));
        }
    }

    #[test]
    fn an_application_uses_only_what_allows_it() {
        let app = Principal::Application {
            id: "app_1".into(),
            link_name: "portal".into(),
            environment: Environment::Stage,
            key: "key_1".into(),
            scopes: KeyScopes::APPLICATION,
        };
        let listed = ["portal".to_owned()];
        let other = ["crm".to_owned()];
        let any = ["*".to_owned()];
        assert!(permit(&app, Action::Use, &connection(Level::Admin, false, &listed)).is_ok());
        assert!(permit(&app, Action::Use, &connection(Level::Admin, false, &any)).is_ok());
        let refused = permit(&app, Action::Use, &connection(Level::Admin, false, &other)).unwrap_err();
        assert_eq!(refused.code, Code::ApplicationNotAllowed);
        assert!(permit(&app, Action::Manage, &connection(Level::Admin, false, &any)).is_err());
    }

    #[test]
    fn an_application_sees_itself_and_what_allows_it_and_manages_nothing() {
        let app = Principal::Application {
            id: "app_1".into(),
            link_name: "portal".into(),
            environment: Environment::Stage,
            key: "key_1".into(),
            scopes: KeyScopes::of(KeyScope::ALL),
        };
        let any = ["*".to_owned()];
        let code = |action, resource: &Resource<'_>| permit(&app, action, resource).map_err(|e| e.code).err();
        assert_eq!(code(Action::See, &connection(Level::Admin, false, &any)), None);
        assert_eq!(
            code(Action::See, &connection(Level::Admin, false, &[])),
            Some(Code::ApplicationNotAllowed)
        );
        let own = Resource::Application { link_name: "portal", access: false };
        assert_eq!(code(Action::Read, &own), None);
        assert_eq!(code(Action::Manage, &own), Some(Code::Forbidden));
        let other = Resource::Application { link_name: "portal_2", access: true };
        assert_eq!(code(Action::Read, &other), Some(Code::NotFound));
        let access = Resource::ApplicationAccess { link_name: "portal", access: false };
        assert_eq!(code(Action::Read, &access), Some(Code::Forbidden));
        for resource in [Resource::Applications, Resource::Organization, Resource::Audit] {
            assert_eq!(code(Action::Manage, &resource), Some(Code::Forbidden), "{resource:?}");
        }
        let connectors = Resource::Connectors { managed_by_admins: false };
        assert_eq!(code(Action::Manage, &connectors), Some(Code::Forbidden));
        assert_eq!(code(Action::Read, &Resource::Key { owner: "mem_1" }), Some(Code::NotFound));
    }

    #[test]
    fn who_sees_and_who_manages_an_application() {
        use Role::{Admin, Developer, SuperAdmin, User};
        let code = |role, action, resource: &Resource<'_>| {
            permit(&member(role), action, resource).map_err(|e| e.code).err()
        };
        for (role, access, sees, refusal) in [
            (SuperAdmin, false, true, None),
            (Admin, false, true, None),
            (Developer, false, true, None),
            (User, true, true, Some(Code::Forbidden)),
            (User, false, false, Some(Code::NotFound)),
        ] {
            let whole = Resource::Application { link_name: "portal", access };
            let inner = Resource::ApplicationAccess { link_name: "portal", access };
            assert_eq!(code(role, Action::Read, &whole).is_none(), sees, "{role} {access}");
            assert_eq!(code(role, Action::Manage, &whole), refusal, "{role} {access}");
            for action in [Action::Read, Action::Manage] {
                assert_eq!(code(role, action, &inner), refusal, "{role} {access} {action:?}");
            }
        }
        assert_eq!(code(User, Action::Manage, &Resource::Applications), Some(Code::Forbidden));
        assert_eq!(code(Developer, Action::Manage, &Resource::Applications), None);
    }

    #[test]
    fn a_scope_narrows_and_never_widens() {
        let reader = |role| Principal::Member {
            id: "mem_1".into(),
            role,
            key: Some("key_1".into()),
            scopes: KeyScopes::of(&[KeyScope::Read]),
        };
        let one = connection(Level::Admin, false, &[]);
        assert!(permit(&reader(Role::Admin), Action::See, &one).is_ok());
        for action in [Action::Manage, Action::Authorize, Action::Use] {
            assert_eq!(permit(&reader(Role::Admin), action, &one).unwrap_err().code, Code::Forbidden);
        }
        assert_eq!(permit(&reader(Role::User), Action::See, &one).unwrap_err().code, Code::NotFound);
        assert!(permit(&reader(Role::Developer), Action::Read, &Resource::Audit).is_err());
    }

    #[test]
    fn members_are_managed_by_admins_and_the_super_admin_by_himself() {
        use Role::{Admin, Developer, SuperAdmin, User};
        let code = |role, action, resource: &Resource<'_>| {
            permit(&member(role), action, resource).err().map(|error| error.code)
        };
        let other = |role| Resource::Member { id: "mem_2", role };
        for (role, manages) in [(SuperAdmin, true), (Admin, true), (Developer, false), (User, false)] {
            let refused = (!manages).then_some(Code::Forbidden);
            assert_eq!(code(role, Action::Read, &Resource::Members), None);
            assert_eq!(code(role, Action::Read, &other(Admin)), None);
            assert_eq!(code(role, Action::Manage, &Resource::Members), refused);
            assert_eq!(code(role, Action::See, &other(User)), refused);
            for of in [Admin, Developer, User] {
                assert_eq!(code(role, Action::Manage, &other(of)), refused);
            }
            let super_admin = (role != SuperAdmin).then_some(Code::Forbidden);
            assert_eq!(code(role, Action::Manage, &other(SuperAdmin)), super_admin);
            // One sees oneself, and one's account is nobody else's, whatever his role.
            assert_eq!(code(role, Action::See, &Resource::Member { id: "mem_1", role }), None);
            assert_eq!(code(role, Action::Manage, &Resource::Account { owner: "mem_1" }), None);
            let others = Resource::Account { owner: "mem_2" };
            assert_eq!(code(role, Action::Manage, &others), Some(Code::NotFound));
        }
        let app = Principal::Application {
            id: "app_1".into(),
            link_name: "portal".into(),
            environment: Environment::Stage,
            key: "key_1".into(),
            scopes: KeyScopes::APPLICATION,
        };
        for resource in [Resource::Members, other(User), Resource::Account { owner: "" }] {
            assert_eq!(permit(&app, Action::Read, &resource).unwrap_err().code, Code::Forbidden);
        }
    }

    #[test]
    fn what_one_may_not_see_is_not_found() {
        let user = member(Role::User);
        assert_eq!(
            permit(&user, Action::See, &connection(Level::Admin, false, &[])).unwrap_err().code,
            Code::NotFound
        );
        let others = Resource::Authorization { level: Level::User, owner: "mem_2" };
        assert_eq!(permit(&user, Action::See, &others).unwrap_err().code, Code::NotFound);
        assert!(permit(&member(Role::Admin), Action::Manage, &others).is_ok());
        assert!(permit(&member(Role::Admin), Action::Authorize, &others).is_err());
        assert!(permit(&user, Action::Manage, &Resource::Key { owner: "mem_2" }).is_err());
    }
}
