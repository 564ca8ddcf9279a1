//! Members: who belongs to the organization, what each may do and has authorized; inviting, deactivating and removing them.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use jackfield_core::{Action, ConnectionStatus, Level, MemberStatus, Resource, Result, Role, Timestamp};
use jackfield_engine::govern::members::{HandOver, MemberPatch, MemberView, NewMember, OwnedView};
use jackfield_engine::govern::passwords::LinkView;
use jackfield_engine::{Engine, Page};

use super::common::{Once, People, asked_page, at_least, check_typed, end_words, mends, most, was_overtaken};
use super::desk::{Desk, Frame, Sent};
use super::form::{Field, Fields, Form, with_query};
use super::parts::{self, Status};
use crate::session;

const LIST: &str = "/console/members";

/// An id begins with `mem_`, so that no member stands behind the form for a new one.
pub(super) fn routes() -> Router<Engine> {
    Router::new()
        .route("/console/members", get(list))
        .route("/console/members/invite", get(ask_invite).post(invite))
        .route("/console/members/{id}", get(show))
        .route("/console/members/{id}/role", post(change_role))
        .route("/console/members/{id}/active", post(change_active))
        .route("/console/members/{id}/invitation", post(invite_again))
        .route("/console/members/{id}/password-reset", post(reset_link))
        .route("/console/members/{id}/hand-over", post(hand_over))
        .route("/console/members/{id}/remove", get(ask_remove).post(remove))
        .route("/console/members/{id}/super-admin", get(ask_transfer).post(transfer))
}

fn path(id: &str, part: &str) -> String {
    let slash = if part.is_empty() { "" } else { "/" };
    format!("{LIST}/{id}{slash}{part}")
}

/// A member's status, as a socket of its own shape and a word.
fn status_part(status: MemberStatus) -> parts::StatusPart<'static> {
    let shape = match status {
        MemberStatus::Active => Status::Connected,
        MemberStatus::Invited => Status::NotConnected,
        MemberStatus::Deactivated => Status::Disabled,
    };
    shape.saying(parts::member_status_word(&status))
}

/// What a role may do, in a sentence.
pub(super) fn role_help(role: Role) -> &'static str {
    match role {
        Role::SuperAdmin => "Exactly one. May do everything, and gives the role away.",
        Role::Admin => "Manages and authorizes connections, members and the organization.",
        Role::Developer => {
            "Makes connections, connectors and applications, but does not authorize for the organization."
        }
        Role::User => "Uses applications, and authorizes accounts of his own.",
    }
}

/// The roles that can be given like this; that of the super admin is handed on by himself.
const GIVEN: [Role; 3] = [Role::Admin, Role::Developer, Role::User];

#[derive(Template)]
#[template(path = "console/members/list.html")]
struct List<'a> {
    frame: &'a Frame,
    now: Timestamp,
    page: Page<MemberView>,
    next: Option<String>,
}

impl List<'_> {
    fn status(member: &MemberView) -> parts::StatusPart<'static> {
        status_part(member.status)
    }

    /// Whether there is more to see of him than this line.
    fn opens(&self, member: &MemberView) -> bool {
        self.frame.is_admin() || self.frame.who.member == member.id
    }
}

async fn list(State(engine): State<Engine>, desk: Desk) -> Response {
    let page = engine.list_members(&desk.op, &asked_page(&desk)).await;
    desk.show(page.map(|page| {
        let next = page.next_cursor.as_ref().map(|cursor| with_query(LIST, &desk.query, "cursor", cursor));
        List { frame: &desk.frame, now: desk.op.now, page, next }
    }))
}

#[derive(Template)]
#[template(path = "console/members/invite.html")]
struct Invite<'a> {
    frame: &'a Frame,
    form: Form,
    mails: bool,
}

impl Invite<'_> {
    fn roles(&self) -> [(&'static str, &'static str, &'static str, bool); 3] {
        GIVEN.map(|role| {
            let ticked = self.form.ticked("role", role.as_str());
            (role.as_str(), parts::role_word(&role), role_help(role), ticked)
        })
    }
}

fn mails(engine: &Engine) -> bool {
    engine.settings().mail.is_some()
}

async fn ask_invite(State(engine): State<Engine>, desk: Desk) -> Response {
    let form = Form::new(Fields::default().with("role", Role::User.as_str()));
    let may = desk.may(Action::Manage, &Resource::Members);
    desk.show(may.map(|()| Invite { frame: &desk.frame, form, mails: mails(&engine) }))
}

async fn invite(State(engine): State<Engine>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let new = NewMember {
        email: form.get("email").trim().to_owned(),
        name: form.given("name"),
        role: Role::parse(form.get("role")),
    };
    match engine.invite(&desk.op, new).await {
        Ok(invited) => {
            let name = &invited.member.name;
            let email = invited.member.email.as_deref().unwrap_or("");
            link_page(&engine, &desk, (name, email), &invited.invitation, &Link::Invitation, LIST.to_owned())
        }
        Err(error) if mends(&error) => {
            let form = Form::refused(form, &error);
            desk.again(&error, Ok(Invite { frame: &desk.frame, form, mails: mails(&engine) }))
        }
        Err(error) => desk.trouble(&error),
    }
}

enum Link {
    Invitation,
    Reset,
}

/// The page with a link, which is shown this once.
fn link_page(
    engine: &Engine,
    desk: &Desk,
    (name, email): (&str, &str),
    link: &LinkView,
    kind: &Link,
    back: String,
) -> Response {
    let (title, what, mailed) = match kind {
        Link::Invitation => {
            (format!("{name} is invited"), "join and choose a password", "It is on its way by mail, too.")
        }
        // An admin makes it for somebody who may not get mail; nobody is written to.
        Link::Reset => {
            (format!("A new password for {name}"), "choose a new one", "Former links of this kind are void.")
        }
    };
    let mailed = if mails(engine) || matches!(kind, Link::Reset) { mailed } else { "" };
    let once = Once {
        frame: &desk.frame,
        title,
        lead: format!(
            "Whoever opens this link can {what}, so give it to {name} alone. It is shown this once and works once. {mailed}"
        ),
        secret: &link.url,
        facts: vec![("For", email.to_owned()), ("Ends", end_words(desk.op.now, Some(link.expires_at)))],
        back: (back, "I have copied it"),
    };
    once.respond(desk)
}

#[derive(Template)]
#[template(path = "console/members/member.html")]
struct Show<'a> {
    frame: &'a Frame,
    now: Timestamp,
    member: MemberView,
    form: Form,
    /// what he authorized, where the reader may see it
    owned: Option<Page<OwnedView>>,
    next: Option<String>,
    /// to whom it could be handed over
    heirs: Vec<(String, String)>,
    overtaken: bool,
}

impl Show<'_> {
    fn path(&self, part: &str) -> String {
        path(&self.member.id, part)
    }

    fn status(&self) -> parts::StatusPart<'static> {
        status_part(self.member.status)
    }

    fn is_self(&self) -> bool {
        self.frame.who.member == self.member.id
    }

    /// Whether the reader may change what he is: nobody changes himself, and only he himself the super admin.
    fn may_change(&self) -> bool {
        self.frame.is_admin() && !self.is_self() && self.member.role != Role::SuperAdmin
    }

    fn may_reset(&self) -> bool {
        self.member.status == MemberStatus::Active
            && (self.may_change() || (self.frame.is_super_admin() && self.is_self()))
    }

    fn may_transfer(&self) -> bool {
        self.frame.is_super_admin() && !self.is_self() && self.member.status == MemberStatus::Active
    }

    fn may_hand_over(&self) -> bool {
        let shares = |page: &Page<OwnedView>| page.items.iter().any(|owned| owned.level != Level::User);
        self.frame.is_admin()
            && (self.member.role != Role::SuperAdmin || self.frame.is_super_admin())
            && !self.heirs.is_empty()
            && self.owned.as_ref().is_some_and(shares)
    }

    fn roles(&self) -> Field<'_> {
        let choices = GIVEN.map(|role| (role.as_str(), parts::role_word(&role)));
        self.form.select("role", "Role", &choices)
    }

    fn role_help(&self) -> &'static str {
        role_help(self.member.role)
    }

    fn heir_choice(&self) -> Field<'_> {
        let heirs: Vec<_> = self.heirs.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
        self.form.select("to", "To", &heirs)
    }

    fn is_invited(&self) -> bool {
        self.member.status == MemberStatus::Invited
    }

    fn is_deactivated(&self) -> bool {
        self.member.status == MemberStatus::Deactivated
    }
}

/// How an authorization is, as a list of them says it.
pub(super) fn owned_status(owned: &OwnedView) -> Status {
    match owned.status {
        ConnectionStatus::Connected => Status::Connected,
        ConnectionStatus::NotConnected => Status::NotConnected,
        ConnectionStatus::ReauthorizationRequired => Status::Attention,
    }
}

async fn show(State(engine): State<Engine>, Path(id): Path<String>, desk: Desk) -> Response {
    let page = find(&engine, &desk, &id, None, false).await;
    desk.show(page)
}

/// Without a form: what is there now.
async fn find<'a>(
    engine: &Engine,
    desk: &'a Desk,
    id: &str,
    form: Option<Form>,
    overtaken: bool,
) -> Result<Show<'a>> {
    let member = engine.read_member(&desk.op, id).await?;
    let sees = desk.frame.is_admin() || desk.frame.who.member == id;
    let owned =
        if sees { Some(engine.member_authorizations(&desk.op, id, &asked_page(desk)).await?) } else { None };
    let heirs = if desk.frame.is_admin() {
        let people = People::of(engine, desk).await?;
        let fits = people.active_but(|other| other.id == id || !other.role.is_admin());
        fits.into_iter().map(|(id, name)| (id.to_owned(), name.to_owned())).collect()
    } else {
        Vec::new()
    };
    let next = owned.as_ref().and_then(|page| page.next_cursor.as_ref());
    let next = next.map(|cursor| with_query(&path(id, ""), &desk.query, "cursor", cursor));
    let form = form.unwrap_or_else(|| Form::new(Fields::default().with("role", member.role.as_str())));
    Ok(Show { frame: &desk.frame, now: desk.op.now, member, form, owned, next, heirs, overtaken })
}

/// The member's page once more, with what is in the way.
async fn again(
    engine: &Engine,
    desk: &Desk,
    id: &str,
    form: Fields,
    error: &jackfield_core::Error,
) -> Response {
    if !mends(error) {
        return desk.trouble(error);
    }
    let page = find(engine, desk, id, Some(Form::refused(form, error)), was_overtaken(error)).await;
    desk.again(error, page)
}

async fn change(
    engine: &Engine,
    sent: Sent,
    id: &str,
    patch: impl FnOnce(&Fields) -> Result<MemberPatch>,
    news: impl FnOnce(&MemberView) -> String,
) -> Response {
    let Sent { desk, form } = sent;
    let changed = match patch(&form) {
        Ok(patch) => engine.update_member(&desk.op, id, patch).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(changed) => {
            let mut response = desk.done(&path(id, ""), &news(&changed.view));
            if let Some(token) = &changed.session_token {
                session::give(engine, token, response.headers_mut());
            }
            response
        }
        Err(error) => again(engine, &desk, id, form, &error).await,
    }
}

fn version(form: &Fields) -> Option<i64> {
    form.get("version").parse().ok()
}

async fn change_role(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let patch = |form: &Fields| {
        // That of the super admin is handed on by a page of its own, which says what it means.
        let role = Role::parse(form.get("role")).filter(|role| GIVEN.contains(role));
        let role = role.ok_or_else(|| {
            jackfield_core::Error::field("role", "invalid", "Choose admin, developer or user.")
        })?;
        Ok(MemberPatch { role: Some(role), version: version(form), ..MemberPatch::default() })
    };
    let news = |view: &MemberView| {
        format!("{} is {} from now on.", view.name, parts::role_word(&view.role).to_lowercase())
    };
    change(&engine, sent, &id, patch, news).await
}

async fn change_active(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let patch = |form: &Fields| {
        let active = Some(form.get("active") == "yes");
        Ok(MemberPatch { active, version: version(form), ..MemberPatch::default() })
    };
    let news = |view: &MemberView| {
        if view.status == MemberStatus::Deactivated {
            format!("{} is deactivated. Sessions have ended, and keys open nothing.", view.name)
        } else {
            format!("{} may come back.", view.name)
        }
    };
    change(&engine, sent, &id, patch, news).await
}

/// Shows the link that was made, to whoever may have it.
async fn show_link(engine: &Engine, desk: &Desk, id: &str, kind: Link, made: Result<LinkView>) -> Response {
    let link = match made {
        Ok(link) => link,
        Err(error) => return again(engine, desk, id, Fields::default(), &error).await,
    };
    match engine.read_member(&desk.op, id).await {
        Ok(member) => {
            let email = member.email.unwrap_or_default();
            link_page(engine, desk, (&member.name, &email), &link, &kind, path(id, ""))
        }
        Err(error) => desk.trouble(&error),
    }
}

async fn invite_again(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let made = engine.invite_again(&sent.desk.op, &id).await.map(|again| again.invitation);
    show_link(&engine, &sent.desk, &id, Link::Invitation, made).await
}

async fn reset_link(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let made = engine.make_reset_link(&sent.desk.op, &id).await;
    show_link(&engine, &sent.desk, &id, Link::Reset, made).await
}

async fn hand_over(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let asked = HandOver { to: form.get("to").to_owned() };
    match engine.hand_over(&desk.op, &id, &asked).await {
        Ok(done) => {
            let given = parts::count(done.handed_over.len(), "authorization was", "authorizations were");
            let kept = done.not_handed_over.len();
            let rest = if kept == 0 {
                String::new()
            } else {
                format!(
                    " {} not: personal accounts stay with their owner.",
                    parts::count(kept, "was", "were")
                )
            };
            desk.done(&path(&id, ""), &format!("{given} handed over.{rest}"))
        }
        Err(error) => again(&engine, &desk, &id, form, &error).await,
    }
}

#[derive(Template)]
#[template(path = "console/members/remove.html")]
struct Remove<'a> {
    frame: &'a Frame,
    member: MemberView,
    form: Form,
    /// how many authorizations go to the reader, and how many end
    given: String,
    ended: String,
}

async fn ask_remove(State(engine): State<Engine>, Path(id): Path<String>, desk: Desk) -> Response {
    let page = find_remove(&engine, &desk, &id, Form::default()).await;
    desk.show(page)
}

async fn find_remove<'a>(engine: &Engine, desk: &'a Desk, id: &str, form: Form) -> Result<Remove<'a>> {
    let member = engine.read_member(&desk.op, id).await?;
    desk.may(Action::Manage, &Resource::Member { id, role: member.role })?;
    let owned = engine.member_authorizations(&desk.op, id, &most()).await?;
    let personal = owned.items.iter().filter(|owned| owned.level == Level::User).count();
    let more = owned.next_cursor.is_some();
    let said = |number: usize| {
        if number == 0 && !more {
            "Nothing".to_owned()
        } else {
            at_least(number, more, "authorization", "authorizations")
        }
    };
    let (given, ended) = (said(owned.items.len() - personal), said(personal));
    Ok(Remove { frame: &desk.frame, member, form, given, ended })
}

async fn remove(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let removed = async {
        let member = engine.read_member(&desk.op, &id).await?;
        check_typed(&form, member.email.as_deref().unwrap_or(&member.name))?;
        engine.remove_member(&desk.op, &id).await?;
        Ok::<_, jackfield_core::Error>(member.name)
    };
    match removed.await {
        Ok(name) => desk.done(LIST, &format!("{name} is removed.")),
        Err(error) if mends(&error) => {
            let page = find_remove(&engine, &desk, &id, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}

#[derive(Template)]
#[template(path = "console/members/transfer.html")]
struct Transfer<'a> {
    frame: &'a Frame,
    member: MemberView,
    form: Form,
}

async fn ask_transfer(State(engine): State<Engine>, Path(id): Path<String>, desk: Desk) -> Response {
    let page = find_transfer(&engine, &desk, &id, Form::default()).await;
    desk.show(page)
}

async fn find_transfer<'a>(engine: &Engine, desk: &'a Desk, id: &str, form: Form) -> Result<Transfer<'a>> {
    let member = engine.read_member(&desk.op, id).await?;
    desk.may(Action::Manage, &Resource::Member { id, role: Role::SuperAdmin })?;
    Ok(Transfer { frame: &desk.frame, member, form })
}

async fn transfer(State(engine): State<Engine>, Path(id): Path<String>, sent: Sent) -> Response {
    let Sent { desk, form } = sent;
    let changed = async {
        let member = engine.read_member(&desk.op, &id).await?;
        check_typed(&form, member.email.as_deref().unwrap_or(&member.name))?;
        let patch = MemberPatch {
            role: Some(Role::SuperAdmin),
            version: Some(member.version),
            ..MemberPatch::default()
        };
        engine.update_member(&desk.op, &id, patch).await
    };
    match changed.await {
        Ok(changed) => {
            let news = format!("{} is super admin. You are admin from now on.", changed.view.name);
            let mut response = desk.done(&path(&id, ""), &news);
            if let Some(token) = &changed.session_token {
                session::give(&engine, token, response.headers_mut());
            }
            response
        }
        Err(error) if mends(&error) => {
            let page = find_transfer(&engine, &desk, &id, Form::refused(form, &error)).await;
            desk.again(&error, page)
        }
        Err(error) => desk.trouble(&error),
    }
}
