//! `/v1/members` and `/v1/invitations`

use axum::extract::State;
use axum::response::Response;
use jackfield_engine::govern::members::{
    Acceptance, HandOver, HandedOver, Invited, InvitedAgain, Joined, MemberPatch, MemberView, NewMember,
    OwnedView,
};
use jackfield_engine::govern::passwords::LinkView;
use jackfield_engine::{Engine, Page, PageQuery};

use crate::error::Problem;
use crate::input::{Asked, AskedWith, Path, Query, StrangerWith, done, json, once, reply};
use crate::session;

/// The members
///
/// Everybody sees name and role; e-mail addresses are for admins.
#[utoipa::path(get, path = "/v1/members", tag = "members", params(PageQuery),
    responses((status = 200, body = Page<MemberView>), (status = "default", body = Problem)))]
pub(crate) async fn list(
    State(engine): State<Engine>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.list_members(&asked.op, &query).await)
}

/// Invite a member
///
/// Admins only. The answer is the only time that the token is shown; where mail is configured, it is sent too.
#[utoipa::path(post, path = "/v1/members", tag = "members", request_body = NewMember,
    responses((status = 201, body = Invited), (status = "default", body = Problem)))]
pub(crate) async fn invite(State(engine): State<Engine>, asked: AskedWith<NewMember>) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(201, &engine.invite(&op, body).await?)) }).await
}

/// A member
#[utoipa::path(get, path = "/v1/members/{id}", tag = "members", params(("id" = String, Path)),
    responses((status = 200, body = MemberView), (status = "default", body = Problem)))]
pub(crate) async fn read(State(engine): State<Engine>, Path(id): Path<String>, asked: Asked) -> Response {
    reply(&asked.op, 200, engine.read_member(&asked.op, &id).await)
}

/// Change a member
///
/// Admins change name, role and `active`; everybody his own name. The super admin gives his role away by `"role": "super_admin"` of
/// another member.
#[utoipa::path(patch, path = "/v1/members/{id}", tag = "members", params(("id" = String, Path)), request_body = MemberPatch,
    responses((status = 200, body = MemberView), (status = "default", body = Problem)))]
pub(crate) async fn update(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    asked: AskedWith<MemberPatch>,
) -> Response {
    let AskedWith { op, body } = asked;
    match engine.update_member(&op, &id, body).await {
        Ok(changed) => {
            let mut response = json(200, &changed.view);
            if let Some(token) = &changed.session_token {
                session::give(&engine, token, response.headers_mut());
            }
            response
        }
        Err(error) => reply::<()>(&op, 200, Err(error)),
    }
}

/// Remove a member
///
/// What he authorized at level admin goes to the caller; his own accounts at level user are revoked.
#[utoipa::path(delete, path = "/v1/members/{id}", tag = "members", params(("id" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(crate) async fn remove(State(engine): State<Engine>, Path(id): Path<String>, asked: Asked) -> Response {
    done(&asked.op, engine.remove_member(&asked.op, &id).await)
}

/// Invite a member again
///
/// For whoever has not joined yet; the former token is void.
#[utoipa::path(post, path = "/v1/members/{id}/invitation", tag = "members", params(("id" = String, Path)),
    responses((status = 201, body = InvitedAgain), (status = "default", body = Problem)))]
pub(crate) async fn invite_again(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response {
    let op = asked.op;
    once(&engine, &op, || async { Ok(json(201, &engine.invite_again(&op, &id).await?)) }).await
}

/// What a member authorized
///
/// For admins and himself.
#[utoipa::path(get, path = "/v1/members/{id}/authorizations", tag = "members",
    params(("id" = String, Path), PageQuery),
    responses((status = 200, body = Page<OwnedView>), (status = "default", body = Problem)))]
pub(crate) async fn authorizations(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
    asked: Asked,
) -> Response {
    reply(&asked.op, 200, engine.member_authorizations(&asked.op, &id, &query).await)
}

/// Hand over what a member authorized
///
/// Only what serves connections of level admin; personal accounts at level user stay his.
#[utoipa::path(post, path = "/v1/members/{id}/hand-over", tag = "members", params(("id" = String, Path)),
    request_body = HandOver,
    responses((status = 200, body = HandedOver), (status = "default", body = Problem)))]
pub(crate) async fn hand_over(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    asked: AskedWith<HandOver>,
) -> Response {
    let AskedWith { op, body } = asked;
    once(&engine, &op, || async { Ok(json(200, &engine.hand_over(&op, &id, &body).await?)) }).await
}

/// Make a link to set a new password
///
/// For admins, where somebody has forgotten his; only the super admin makes one for himself.
#[utoipa::path(post, path = "/v1/members/{id}/password-reset", tag = "members", params(("id" = String, Path)),
    responses((status = 201, body = LinkView), (status = "default", body = Problem)))]
pub(crate) async fn make_reset_link(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response {
    let op = asked.op;
    once(&engine, &op, || async { Ok(json(201, &engine.make_reset_link(&op, &id).await?)) }).await
}

/// Accept an invitation
///
/// Without a key. The answer is the only time that the new API key is shown.
#[utoipa::path(post, path = "/v1/invitations/accept", tag = "members", request_body = Acceptance, security(),
    responses((status = 201, body = Joined), (status = "default", body = Problem)))]
pub(crate) async fn accept(State(engine): State<Engine>, asked: StrangerWith<Acceptance>) -> Response {
    let StrangerWith { visit, body } = asked;
    visit.reply(201, engine.accept_invitation(&visit.visit, body).await)
}
