//! What several pages of the console share: the names of people, what is shown once, the form of a key.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use jackfield_core::{Code, Error, KeyScope, MemberStatus, Result, Timestamp};
use jackfield_engine::govern::members::MemberView;
use jackfield_engine::{Engine, PageQuery};

use super::desk::{Desk, Frame};
use super::form::{Field, Fields, Form};
use super::parts;

/// As much as a list gives at once.
const MOST: u32 = 200;
/// Lists of people that one page reads at most; whoever is beyond is shown by his id.
const LISTS: u32 = 5;

/// A whole list as far as one reading goes.
pub(crate) fn most() -> PageQuery {
    PageQuery { limit: Some(MOST), cursor: None }
}

/// The page that a request asks for.
pub(crate) fn asked_page(desk: &Desk) -> PageQuery {
    PageQuery { limit: None, cursor: desk.query.given("cursor") }
}

/// Whether a form can say it: what was typed is wrong, or something else is in the way that whoever sent it can mend.
pub(crate) fn mends(error: &Error) -> bool {
    !error.fields.is_empty() || matches!(error.code.status(), 400 | 409 | 422 | 429)
}

/// Whether somebody else was faster.
pub(crate) fn was_overtaken(error: &Error) -> bool {
    error.code == Code::VersionConflict
}

/// The members of the organization, read once for a page that names many.
pub(crate) struct People {
    pub members: Vec<MemberView>,
    names: BTreeMap<String, String>,
    whole: bool,
}

impl People {
    pub async fn of(engine: &Engine, desk: &Desk) -> Result<Self> {
        let mut query = most();
        let mut members = Vec::new();
        let mut whole = false;
        for _ in 0..LISTS {
            let page = engine.list_members(&desk.op, &query).await?;
            members.extend(page.items);
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                whole = true;
                break;
            }
        }
        Ok(Self::from(members, whole))
    }

    pub fn from(members: Vec<MemberView>, whole: bool) -> Self {
        let names = members.iter().map(|member| (member.id.clone(), member.name.clone())).collect();
        Self { members, names, whole }
    }

    pub fn knows(&self, id: &str) -> bool {
        self.names.contains_key(id)
    }

    /// His name; the id where he was not among those who were read.
    pub fn name<'a>(&'a self, id: &'a str) -> &'a str {
        match self.names.get(id) {
            Some(name) => name,
            None if self.whole => "a former member",
            None => id,
        }
    }

    /// Those who take part, but `except`: id and name, for a choice.
    pub fn active_but(&self, except: impl Fn(&MemberView) -> bool) -> Vec<(&str, &str)> {
        self.members
            .iter()
            .filter(|member| member.status == MemberStatus::Active && !except(member))
            .map(|member| (member.id.as_str(), member.name.as_str()))
            .collect()
    }
}

/// Names by id of members and applications, for a page that shows who did what.
pub(crate) struct Names {
    pub people: People,
    pub applications: BTreeMap<String, String>,
}

impl Names {
    pub async fn of(engine: &Engine, desk: &Desk) -> Result<Self> {
        let people = People::of(engine, desk).await?;
        let applications = engine.list_applications(&desk.op, &most()).await?.items;
        let applications = applications.into_iter().map(|one| (one.id, one.name)).collect();
        Ok(Self { people, applications })
    }

    pub fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.applications.get(id).map_or_else(|| self.people.name(id), String::as_str)
    }
}

/// A page that shows something this one time: a key, a link with a token.
#[derive(Template)]
#[template(path = "console/once.html")]
pub(crate) struct Once<'a> {
    pub frame: &'a Frame,
    pub title: String,
    /// what to do with it
    pub lead: String,
    pub secret: &'a str,
    pub facts: Vec<(&'static str, String)>,
    /// where one came from, and what that is called
    pub back: (String, &'static str),
}

impl Once<'_> {
    pub fn respond(&self, desk: &Desk) -> Response {
        desk.page(StatusCode::OK, self)
    }
}

/// What a key may be used for, as a form offers it.
pub(crate) struct ScopeChoice {
    pub value: &'static str,
    pub label: &'static str,
    pub help: &'static str,
}

pub(crate) fn scope_choice(scope: KeyScope) -> ScopeChoice {
    let (label, help) = match scope {
        KeyScope::Read => ("Read", "Look at connections, applications and their settings."),
        KeyScope::Manage => ("Manage", "Make, change and delete."),
        KeyScope::Authorize => ("Authorize", "Authorize connections and revoke accounts."),
        KeyScope::Use => ("Use", "Call services through connections."),
        KeyScope::ActFor => {
            ("Act for people", "Say for which person a call is made, and use that person's account.")
        }
    };
    ScopeChoice { value: scope.as_str(), label, help }
}

/// `Read, use` for a list of keys.
pub(crate) fn scope_words(scopes: &[KeyScope]) -> String {
    scopes.iter().map(|scope| scope_choice(*scope).label).collect::<Vec<_>>().join(", ")
}

/// When a new key ends.
pub(crate) fn ends(form: &Form) -> Field<'_> {
    let lives = [("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("", "Never")];
    form.select("expires_in_days", "Ends", &lives)
}

/// The scopes that are ticked.
pub(crate) fn asked_scopes(form: &Fields) -> Result<Vec<KeyScope>> {
    let read = |word: &str| {
        KeyScope::parse(word)
            .ok_or_else(|| Error::field("scopes", "invalid", format!("There is no scope {word:?}.")))
    };
    form.all("scopes").map(read).collect()
}

/// The days that a new key lives.
pub(crate) fn asked_days(form: &Fields) -> Result<Option<u32>> {
    let Some(text) = form.given("expires_in_days") else { return Ok(None) };
    let wrong = |_| Error::field("expires_in_days", "invalid", "Say 1 to 3650 days, or choose never.");
    text.parse().map(Some).map_err(wrong)
}

/// Whether this was typed to say that it is meant. Blanks around it do not matter.
pub(crate) fn check_typed(form: &Fields, wanted: &str) -> Result<()> {
    if form.get("confirm").trim() == wanted {
        return Ok(());
    }
    Err(Error::field("confirm", "wrong", "This is not the same. Nothing was done."))
}

/// `in 90 days (2027-02-20)`, or that it never ends.
pub(crate) fn end_words(now: Timestamp, at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("{} ({})", parts::distance(now, at), day(at)))
}

/// The day of a moment, in UTC.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take_while(|c| *c != 'T').collect()
}

/// A number of things of which not all were counted.
pub(crate) fn at_least(number: usize, more: bool, one: &str, many: &str) -> String {
    if more { format!("more than {number} {many}") } else { parts::count(number, one, many) }
}

#[cfg(test)]
mod tests {
    use jackfield_core::Role;

    use super::*;

    fn member(id: &str, name: &str, status: MemberStatus) -> MemberView {
        MemberView {
            id: id.to_owned(),
            email: None,
            name: name.to_owned(),
            role: Role::User,
            status,
            created_at: Timestamp::default(),
            last_seen_at: None,
            version: 1,
        }
    }

    #[test]
    fn people_are_called_by_name_and_those_who_left_are_not_invented() {
        let list = || {
            vec![member("mem_1", "Ada", MemberStatus::Active), member("mem_2", "Bert", MemberStatus::Invited)]
        };
        let people = People::from(list(), true);
        assert_eq!((people.name("mem_1"), people.name("mem_9")), ("Ada", "a former member"));
        assert_eq!(People::from(list(), false).name("mem_9"), "mem_9");
        assert_eq!(people.active_but(|_| false), [("mem_1", "Ada")]);
        assert!(people.active_but(|member| member.id == "mem_1").is_empty());
    }

    #[test]
    fn a_key_is_asked_for_in_words_that_exist() {
        let form = Fields::parse(b"scopes=read&scopes=use&expires_in_days=30");
        assert_eq!(asked_scopes(&form).unwrap(), [KeyScope::Read, KeyScope::Use]);
        assert_eq!(asked_days(&form).unwrap(), Some(30));
        assert_eq!(asked_days(&Fields::parse(b"expires_in_days=")).unwrap(), None);
        let wrong = Fields::parse(b"scopes=all&expires_in_days=-1");
        assert_eq!(asked_scopes(&wrong).unwrap_err().fields[0].field, "scopes");
        assert_eq!(asked_days(&wrong).unwrap_err().fields[0].field, "expires_in_days");
    }

    #[test]
    fn what_cannot_be_undone_is_typed() {
        assert!(check_typed(&Fields::parse(b"confirm=+vendors+"), "vendors").is_ok());
        for wrong in ["confirm=Vendors", "confirm=", ""] {
            assert!(check_typed(&Fields::parse(wrong.as_bytes()), "vendors").is_err(), "{wrong}");
        }
    }
}
