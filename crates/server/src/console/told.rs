//! What happened, as sentences: of the audit trail, of the overview, of the history of a connection.

use jackfield_core::EventKind;
use jackfield_engine::govern::audit::{AuditView, EventView};
use serde_json::Value;

use super::common::Names;
use super::parts;

/// Something that happened, wherever it is told.
pub(crate) struct Happening<'a> {
    /// the word of its kind
    action: &'a str,
    /// `member`, `application`, `operator` or `jackfield`
    by: &'a str,
    /// id of the member or application
    actor: Option<&'a str>,
    subject: &'a str,
    /// link name
    connection: Option<&'a str>,
    detail: &'a Value,
}

impl<'a> From<&'a AuditView> for Happening<'a> {
    fn from(row: &'a AuditView) -> Self {
        Self {
            action: &row.action,
            by: &row.actor.kind,
            actor: row.actor.id.as_deref(),
            subject: &row.subject,
            connection: row.connection.as_deref(),
            detail: &row.detail,
        }
    }
}

impl<'a> Happening<'a> {
    /// Of the history of this connection.
    pub fn of(event: &'a EventView, connection: &'a str) -> Self {
        Self {
            action: &event.kind,
            by: if event.actor.is_some() { "member" } else { "jackfield" },
            actor: event.actor.as_deref(),
            subject: connection,
            connection: Some(connection),
            detail: &event.detail,
        }
    }
}

/// `Ada`, `authorized`, `vendors`, `in production`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub who: String,
    pub did: String,
    pub thing: String,
    /// where the thing is shown
    pub place: Option<String>,
    pub rest: String,
}

impl Sentence {
    fn new(did: impl Into<String>) -> Self {
        Self { did: did.into(), ..Self::default() }
    }

    fn connection(self, link: &str) -> Self {
        Self { place: Some(format!("/console/connections/{link}")), ..self.thing(link) }
    }

    fn application(self, link: &str) -> Self {
        Self { place: Some(format!("/console/applications/{link}")), ..self.thing(link) }
    }

    fn thing(self, thing: impl Into<String>) -> Self {
        Self { thing: thing.into(), ..self }
    }

    fn rest(self, rest: impl Into<String>) -> Self {
        Self { rest: rest.into(), ..self }
    }
}

/// Who did it, and what it was.
pub(crate) fn told<'a>(happened: impl Into<Happening<'a>>, names: &Names) -> Sentence {
    let happened = happened.into();
    let who = match (happened.by, happened.actor) {
        ("member" | "application", Some(id)) => names.name(id).to_owned(),
        ("application", None) => "An application".to_owned(),
        ("operator", _) => "The operator".to_owned(),
        _ => "Jackfield".to_owned(),
    };
    Sentence { who, ..sentence(&happened, names) }
}

/// What happened, in words. Events that this does not know are named as programs name them.
fn sentence(row: &Happening<'_>, names: &Names) -> Sentence {
    use EventKind as Kind;
    let people = &names.people;
    let Some(kind) = Kind::parse(row.action) else {
        return Sentence::new(row.action).thing(row.subject);
    };
    let text = |name: &str| row.detail.get(name).and_then(Value::as_str).unwrap_or("");
    let number = |name: &str| {
        row.detail.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
    };
    let listed = |name: &str| -> Vec<&str> {
        let list = row.detail.get(name).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    };
    let subject = row.subject;
    let link = row.connection.unwrap_or(subject);
    // Whoever was removed is not among the people any more; the trail knows his address.
    let person = |id: &str| match (people.knows(id), text("email")) {
        (true, _) | (false, "") => people.name(id).to_owned(),
        (false, email) => email.to_owned(),
    };
    let own = row.actor == Some(subject);
    let account = match text("account_name") {
        "" => "an account".to_owned(),
        name => format!("“{name}”"),
    };
    let places = match listed("environments").as_slice() {
        [] => String::new(),
        all if all.len() == 3 => "in all environments".to_owned(),
        some => format!("in {}", some.join(" and ")),
    };
    let by_role =
        |role: &str| jackfield_core::Role::parse(role).map(|role| parts::role_word(&role).to_lowercase());
    let money = |did: &str| {
        let sentence = Sentence::new(did).thing(format!("{} {}", text("amount"), text("currency")));
        let application = text("application");
        let place = format!("/console/applications/{application}/payments/{subject}");
        Sentence { place: Some(place), ..sentence.rest(format!("in {application}")) }
    };
    match kind {
        Kind::OrganizationCreated => Sentence::new("made the organization"),
        Kind::OrganizationUpdated if !text("plan").is_empty() => {
            Sentence::new("gave the organization the plan").thing(text("plan"))
        }
        Kind::OrganizationUpdated => Sentence::new("changed the settings of the organization"),
        Kind::MemberInvited => {
            let again = row.detail.get("again").is_some();
            let role = by_role(text("role")).map(|role| format!("as {role}")).unwrap_or_default();
            Sentence::new("invited").thing(person(subject)).rest(if again {
                "again".to_owned()
            } else {
                role
            })
        }
        Kind::MemberJoined => Sentence::new("accepted the invitation"),
        Kind::MemberUpdated => {
            let was = row.detail.get("was").and_then(|was| was.get("role")).and_then(Value::as_str);
            match by_role(text("role")) {
                Some(role) if was != Some(text("role")) => {
                    Sentence::new("changed the role of").thing(person(subject)).rest(format!("to {role}"))
                }
                _ if own => Sentence::new("changed the own name").rest(format!("to “{}”", text("name"))),
                _ => Sentence::new("renamed").thing(person(subject)),
            }
        }
        Kind::MemberDeactivated => Sentence::new("deactivated").thing(person(subject)),
        Kind::MemberReactivated => Sentence::new("reactivated").thing(person(subject)),
        Kind::MemberRemoved => Sentence::new("removed").thing(person(subject)),
        Kind::SuperAdminTransferred => Sentence::new("made super admin:").thing(person(subject)),
        Kind::MemberHandedOver => {
            let number = listed("authorizations").len();
            let what = parts::count(number, "authorization", "authorizations");
            Sentence::new(format!("handed over {what} of"))
                .thing(person(subject))
                .rest(format!("to {}", people.name(text("to"))))
        }
        Kind::SessionStarted => Sentence::new("signed in"),
        Kind::SessionEnded if row.detail.get("others").is_some() => Sentence::new("ended all other sessions"),
        Kind::SessionEnded => Sentence::new("ended a session"),
        Kind::SignInRefused => Sentence::new("refused to sign in").thing(person(subject)),
        Kind::PasswordChanged => Sentence::new("changed the own password"),
        Kind::PasswordResetRequested if row.actor.is_some() => {
            Sentence::new("made a link for a new password of").thing(person(subject))
        }
        Kind::PasswordResetRequested => {
            Sentence::new("was asked for a new password of").thing(person(subject))
        }
        Kind::KeyCreated | Kind::KeyRevoked => {
            let did = if kind == Kind::KeyCreated { "made the key" } else { "revoked the key" };
            let rest = match text("application") {
                "" => String::new(),
                application => format!("of the application {application}"),
            };
            Sentence::new(did).thing(format!("“{}”", text("name"))).rest(rest)
        }
        Kind::ApplicationCreated => Sentence::new("made the application").application(subject),
        Kind::ApplicationUpdated => Sentence::new("changed the application").application(subject),
        Kind::ApplicationDeleted => Sentence::new("deleted the application").thing(subject),
        Kind::ApplicationMemberAdded => {
            Sentence::new(format!("gave {} access to", people.name(text("member")))).application(subject)
        }
        Kind::ApplicationMemberRemoved => {
            Sentence::new(format!("withdrew the access of {} to", people.name(text("member"))))
                .application(subject)
        }
        Kind::ComponentDeclared => {
            let uses = parts::count(listed("connections").len(), "connection", "connections");
            Sentence::new(format!("said that {} uses {uses}, in", text("component"))).application(subject)
        }
        Kind::ComponentRemoved => {
            Sentence::new(format!("removed {} from", text("component"))).application(subject)
        }
        Kind::RunAsked => {
            let rest = format!("in {}", text("environment"));
            Sentence::new(format!("asked for a run of {} in", text("component")))
                .application(subject)
                .rest(rest)
        }
        Kind::ComponentSaved => Sentence::new(format!("saved {} in", text("component"))).application(subject),
        Kind::ApplicationPublished => {
            Sentence::new("published").application(subject).rest(format!("to {}", text("environment")))
        }
        Kind::RecordsImported => {
            let rows = parts::count(number("rows"), "row", "rows");
            Sentence::new(format!("began to read {rows} into the form {} of", text("form")))
                .application(subject)
                .rest(format!("in {}", text("environment")))
        }
        Kind::RecordsExported => {
            Sentence::new(format!("read out all records of the form {} of", text("form")))
                .application(subject)
                .rest(format!("in {}", text("environment")))
        }
        Kind::RunsReplayed => Sentence::new("replayed runs of").application(subject),
        Kind::RunCancelled => Sentence::new("cancelled a run of").application(subject),
        Kind::WebhookSecretRead => Sentence::new("read the webhook secret of").application(subject),
        Kind::WebhookSecretRotated => Sentence::new("rotated the webhook secret of").application(subject),
        Kind::PaymentOpened => money("asked for"),
        Kind::PaymentPaid => money("received"),
        Kind::PaymentFailed => money("did not get"),
        Kind::PaymentExpired => money("waited in vain for"),
        Kind::PaymentCancelled => money("called off"),
        Kind::ConnectorCreated => Sentence::new("made the connector").thing(subject),
        Kind::ConnectorUpdated => Sentence::new("changed the connector").thing(subject),
        Kind::ConnectorStaged => match text("stage") {
            stage @ ("published" | "disabled") => {
                Sentence::new(format!("{stage} the connector")).thing(subject)
            }
            stage => Sentence::new("put the connector").thing(subject).rest(format!("to {stage}")),
        },
        Kind::ConnectorDeleted => Sentence::new("deleted the connector").thing(subject),
        Kind::ConnectionCreated => {
            let connector = text("connector");
            Sentence::new("made the connection").connection(link).rest(format!("to {connector}"))
        }
        Kind::ConnectionUpdated if !text("allowed").is_empty() => {
            Sentence::new(format!("allowed {} to use", text("allowed"))).connection(link)
        }
        Kind::ConnectionUpdated if !text("forbidden").is_empty() => {
            Sentence::new(format!("forbade {} to use", text("forbidden"))).connection(link)
        }
        Kind::ConnectionUpdated => Sentence::new("changed the connection").connection(link),
        Kind::ConnectionEnabled => Sentence::new("enabled").connection(link),
        Kind::ConnectionDisabled => Sentence::new("disabled").connection(link),
        Kind::ConnectionDeleted => Sentence::new("deleted the connection").thing(link),
        Kind::ConnectionMoved => {
            let number = |name: &str| row.detail.get(name).and_then(Value::as_i64).unwrap_or_default();
            let to = format!("from version {} of its connector to version {}", number("from"), number("to"));
            Sentence::new("moved").connection(link).rest(to)
        }
        Kind::ConnectionSwitched => {
            Sentence::new("switched").connection(link).rest(format!("to {account} {places}"))
        }
        Kind::PrimaryChosen => {
            let did = format!("chose {account} for unattended work of");
            Sentence::new(did).connection(link).rest(places)
        }
        Kind::AuthorizationConnected => Sentence::new("authorized").connection(link).rest(places),
        Kind::AuthorizationReused => {
            Sentence::new(format!("used {account} also for")).connection(link).rest(places)
        }
        Kind::AuthorizationReplaced => Sentence::new("authorized anew:").connection(link).rest(places),
        Kind::AuthorizationRenamed => Sentence::new(format!("renamed the account “{}” of", text("from")))
            .connection(link)
            .rest(format!("to “{}”", text("to"))),
        Kind::AuthorizationSetUp => Sentence::new("made a choice for").connection(link),
        Kind::AuthorizationRevoked => Sentence::new(format!("took {account} from")).connection(link),
        Kind::AuthorizationRefreshed => Sentence::new("got a fresh token for").connection(link),
        Kind::AuthorizationFailing => Sentence::new("cannot refresh, for now,").connection(link),
        Kind::AuthorizationRecovered => Sentence::new("could refresh again").connection(link),
        Kind::ReauthorizationRequired => {
            Sentence::new("found that an account is no longer accepted, of").connection(link)
        }
        Kind::FlowEnded => {
            let rest = match text("state") {
                "" => String::new(),
                state => format!("({})", state.replace('_', " ")),
            };
            Sentence::new("saw an attempt to authorize end, of").connection(link).rest(rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jackfield_core::Timestamp;
    use jackfield_engine::govern::audit::ActorView;
    use serde_json::json;

    use super::super::common::People;
    use super::*;

    fn names() -> Names {
        Names { people: People::from(Vec::new(), true), applications: BTreeMap::new() }
    }

    fn row(action: &str, detail: Value) -> AuditView {
        AuditView {
            seq: 1,
            at: Timestamp::default(),
            actor: ActorView { kind: "member".to_owned(), id: Some("mem_1".to_owned()) },
            action: action.to_owned(),
            subject: "vendors".to_owned(),
            connection: Some("vendors".to_owned()),
            detail,
            request_id: None,
            address: None,
            hash: String::new(),
        }
    }

    #[test]
    fn every_event_has_words_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in EventKind::ALL {
            let said = told(&row(kind.as_str(), json!({})), &names());
            assert!(!said.did.is_empty() && !said.did.contains('.'), "{kind:?}");
            assert!(seen.insert(format!("{} {}", said.did, said.rest)), "{kind:?}: {said:?}");
        }
        // A later version may know more.
        assert_eq!(told(&row("moon.landed", json!({})), &names()).did, "moon.landed");
    }

    #[test]
    fn sentences_say_where_and_what() {
        let said = told(&row("authorization.connected", json!({"environments": ["production"]})), &names());
        assert_eq!((said.did.as_str(), said.thing.as_str()), ("authorized", "vendors"));
        assert_eq!(said.rest, "in production");
        assert_eq!(said.place.as_deref(), Some("/console/connections/vendors"));
        let said = told(&row("member.removed", json!({"email": "ada@acme.example"})), &names());
        assert_eq!((said.thing.as_str(), said.place), ("ada@acme.example", None));
        let said = told(&row("connection.updated", json!({"forbidden": "portal"})), &names());
        assert_eq!(said.did, "forbade portal to use");
    }
}
