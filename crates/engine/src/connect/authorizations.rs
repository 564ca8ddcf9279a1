//! Authorizations: given, listed, renamed, switched, replaced, revoked.

use jackfield_core::connector::{self, Auth};
use jackfield_core::{
    Action, Code, ConnectionStatus, Environment, Error, EventKind, Level, Permit, Resource, Result,
    Timestamp, names, permit,
};
use jackfield_store::{Authorization, Connection};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::connect::Credential;
use crate::connect::exchange::{EXCHANGE_TIME, Granted};
use crate::connect::flows::FlowView;
use crate::connect::ground::Attributes;
use crate::connect::keep::{Keep, account_name_taken, binding_member};
use crate::govern::organizations::version_conflict;
use crate::page::{Page, PageQuery};
use crate::{Engine, Op};

/// How somebody authorizes.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAuthorization {
    /// proposed by the service's answer unless given; unique among the connector's authorizations
    pub account_name: Option<String>,
    /// all, where the same authorization serves all; else needed
    pub environments: Option<Vec<Environment>>,
    /// for schemes that prompt: the fields of the connector
    pub credentials: Option<Map<String, Value>>,
    /// id of an authorization of the same person, connector, parameters and scopes, to use instead of authorizing again; `account_name`
    /// beside it names one that has no name yet
    pub reuse: Option<String>,
}

/// How somebody authorizes again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reauthorization {
    /// the present name unless given
    pub account_name: Option<String>,
    /// for schemes that prompt
    pub credentials: Option<Map<String, Value>>,
}

/// What may change of an authorization.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationPatch {
    pub account_name: String,
    /// the version that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

/// Which authorization is to serve.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// id of an authorization that the connection holds
    pub authorization: String,
}

/// What a service granted, without the credential.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuthorizationView {
    pub id: String,
    pub account_name: String,
    /// link name of the connector
    pub connector: String,
    /// id of the member who authorized
    pub owner: String,
    /// where it serves this connection
    pub environments: Vec<Environment>,
    /// the granted scopes; the requested ones where the service does not say
    pub scopes: Vec<String>,
    /// scopes of the connection that are not granted
    pub missing_scopes: Vec<String>,
    /// the scopes that were asked for
    pub requested_scopes: Vec<String>,
    pub status: ConnectionStatus,
    /// whether a person gave or confirmed the account name; where nobody did, ask for one
    pub named: bool,
    /// whether a choice of the set-up is still to be made; until then no call is served
    pub setup_pending: bool,
    /// why it must be authorized again, or why the last refresh failed
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub last_refreshed_at: Option<Timestamp>,
    /// values of the callback, the token answer and set-up steps
    pub attributes: Attributes,
    /// give it back with a change, so that nobody's change is overwritten
    pub version: i64,
}

/// An authorization that can be used again.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReusableList {
    pub items: Vec<AuthorizationView>,
}

/// The authorization, in an object.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    pub authorization: AuthorizationView,
}

/// The flow, in an object.
#[derive(Debug, Serialize, ToSchema)]
pub struct Begun {
    pub flow: FlowView,
}

/// What came of an attempt to authorize.
pub enum Authorized {
    /// it is there
    Done(Box<Done>),
    /// it needs a browser
    Begun(Box<Begun>),
}

impl Engine {
    /// Authorizes a connection, or begins to.
    pub async fn authorize(&self, op: &Op, link_name: &str, new: NewAuthorization) -> Result<Authorized> {
        let connection = self.find_connection(op, link_name).await?;
        let resource = self.connection_resource(op, &connection).await?;
        let permit = permit(&op.principal, Action::Authorize, &resource.as_resource())?;
        let owner = op.member()?.to_owned();
        let environments = check_environments(&connection, new.environments.as_deref())?;
        if let Some(id) = &new.reuse {
            if new.credentials.is_some() {
                return Err(Error::field("reuse", "not_allowed", "Give reuse or credentials, not both."));
            }
            let name = new.account_name.as_deref();
            return self.reuse(op, permit, &connection, (id, name), &environments).await;
        }
        self.check_account_name(op, &connection, new.account_name.as_deref(), None).await?;
        let keep = Keep {
            owner: &owner,
            account_name: new.account_name.as_deref(),
            name_is_firm: true,
            environments: &environments,
            requested: &connection.scopes.clone(),
            replaces: None,
        };
        self.grant(op, permit, connection, new.credentials, keep).await
    }

    /// Authorizes anew what an authorization stands for. The old one serves until the new one is proven, then ceases.
    pub async fn reauthorize(
        &self,
        op: &Op,
        link_name: &str,
        id: &str,
        again: Reauthorization,
    ) -> Result<Authorized> {
        let connection = self.find_connection(op, link_name).await?;
        let old = self.held(op, &connection, id).await?;
        let resource = Resource::Authorization { level: connection.level, owner: &old.owner };
        let permit = permit(&op.principal, Action::Authorize, &resource)?;
        let owner = op.member()?.to_owned();
        self.check_account_name(op, &connection, again.account_name.as_deref(), Some(id)).await?;
        let bound = self.store().bindings_of(&op.organization, link_name, id).await?;
        let environments: Vec<Environment> = bound.iter().map(|binding| binding.environment).collect();
        let keep = Keep {
            owner: &owner,
            account_name: again.account_name.as_deref(),
            name_is_firm: true,
            environments: &environments,
            requested: &connection.scopes.clone(),
            replaces: Some(id),
        };
        self.grant(op, permit, connection, again.credentials, keep).await
    }

    async fn grant(
        &self,
        op: &Op,
        permit: Permit,
        connection: Connection,
        credentials: Option<Map<String, Value>>,
        keep: Keep<'_>,
    ) -> Result<Authorized> {
        let ground = self.ground(connection).await?;
        let fields = connector::check_credentials(&ground.connector, &credentials.unwrap_or_default())
            .map_err(Error::invalid)?;
        let granted = match &ground.connector.auth {
            Auth::OAuth2Code(_) | Auth::OAuth1(_) => {
                let flow = self.begin_flow(op, permit, &ground, &keep).await?;
                return Ok(Authorized::Begun(Box::new(Begun { flow })));
            }
            Auth::OAuth2DeviceCode(_) => {
                let flow = self.begin_device_flow(op, permit, &ground, &keep).await.map_err(rejected)?;
                return Ok(Authorized::Begun(Box::new(Begun { flow })));
            }
            Auth::OAuth2ClientCredentials(_) | Auth::JwtBearer(_) => {
                self.own_token(&ground, &Attributes::new(), op.now, EXCHANGE_TIME).await.map_err(rejected)?
            }
            Auth::ApiKey(_) | Auth::Basic(_) => {
                let fields =
                    fields.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
                typed(Credential::Fields(fields), op.now)
            }
            Auth::None(_) => typed(Credential::None, op.now),
        };
        let proven = self.proven(&ground, granted, &keep).await?;
        let mut work = self.begin(permit).await?;
        let kept = self.keep_grant(&mut work, &ground, proven, &keep, op.now).await?;
        work.record(kept.event(op.event(kept.kind()), &ground));
        let done = Done {
            authorization: view_in(&ground.connection, &kept.authorization, keep.environments.to_vec()),
        };
        work.answer(op, 201, &done).await?;
        work.commit().await?;
        self.revoke_orphans(&ground, kept.orphans, op.now).await;
        Ok(Authorized::Done(Box::new(done)))
    }

    async fn reuse(
        &self,
        op: &Op,
        permit: Permit,
        connection: &Connection,
        (id, name): (&str, Option<&str>),
        environments: &[Environment],
    ) -> Result<Authorized> {
        let reusable = self.reusable_rows(op, connection).await?;
        let mut row = reusable.into_iter().find(|row| row.id == id).ok_or_else(|| {
            Error::field(
                "reuse",
                "unknown",
                "There is no authorization of yours with this id for the same connector, parameters and scopes.",
            )
        })?;
        // Whoever maps an account that has no name yet gives it one; one that has a name keeps it (product N8).
        let name = name.filter(|name| *name != row.account_name);
        if name.is_some() && row.named {
            return Err(Error::field(
                "account_name",
                "not_allowed",
                format!("This account is called {:?} already. Rename it by itself.", row.account_name),
            ));
        }
        self.check_account_name(op, connection, name, Some(id)).await?;
        let mut work = self.begin(permit).await?;
        if let Some(name) = name {
            let renamed = work.rename_authorization(&op.organization, id, name, op.now).await;
            renamed.map_err(|error| taken_or(error, name))?;
            name.clone_into(&mut row.account_name);
            row.named = true;
        }
        work.hold(&op.organization, &connection.link_name, &row.id, op.now).await?;
        let member = binding_member(connection.level, &row.owner);
        for environment in environments {
            work.bind(&op.organization, &connection.link_name, *environment, member, &row.id, op.now).await?;
        }
        let done = Done { authorization: view_in(connection, &row, environments.to_vec()) };
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::AuthorizationReused)
                .on_authorization(&connection.link_name, &row.id)
                .with("account_name", row.account_name.as_str())
                .with("environments", words(environments)),
        );
        work.answer(op, 201, &done).await?;
        work.commit().await?;
        Ok(Authorized::Done(Box::new(done)))
    }

    /// The caller's authorizations that this connection could use without authorizing again (product N8).
    pub async fn reusable(&self, op: &Op, link_name: &str) -> Result<ReusableList> {
        let connection = self.find_connection(op, link_name).await?;
        let resource = self.connection_resource(op, &connection).await?;
        permit(&op.principal, Action::Authorize, &resource.as_resource())?;
        let rows = self.reusable_rows(op, &connection).await?;
        Ok(ReusableList { items: rows.iter().map(|row| view_in(&connection, row, Vec::new())).collect() })
    }

    async fn reusable_rows(&self, op: &Op, connection: &Connection) -> Result<Vec<Authorization>> {
        let owner = op.member()?;
        let mine = self.open_parameters(connection)?;
        let mut rows = Vec::new();
        for row in
            self.store().authorizations_of_owner(&op.organization, &connection.connector, owner).await?
        {
            if row.status != ConnectionStatus::Connected
                || !same_scopes(&row.requested_scopes, &connection.scopes)
            {
                continue;
            }
            for holder in self.store().holders(&op.organization, &row.id).await? {
                let same = match self.store().connection(&op.organization, &holder).await? {
                    Some(holder) => {
                        holder.connector_version == connection.connector_version
                            && self.open_parameters(&holder)? == mine
                    }
                    None => false,
                };
                if same {
                    rows.push(row);
                    break;
                }
            }
        }
        Ok(rows)
    }

    /// Parameters of a connection, secret ones as digests, to be compared.
    fn open_parameters(&self, connection: &Connection) -> Result<std::collections::BTreeMap<String, String>> {
        use secrecy::ExposeSecret;
        let mut all = connection.parameters.clone();
        for (name, value) in self.open_secrets(connection)? {
            all.insert(name, jackfield_vault::token::digest_text(value.expose_secret()));
        }
        Ok(all)
    }

    /// The authorization, if this connection holds it and the caller may know it.
    pub(crate) async fn held(&self, op: &Op, connection: &Connection, id: &str) -> Result<Authorization> {
        let missing = || Error::not_found(format_args!("authorization {id:?}"));
        let row = self.store().authorization(&op.organization, id).await?.ok_or_else(missing)?;
        let holders = self.store().holders(&op.organization, id).await?;
        if !holders.contains(&connection.link_name) {
            return Err(missing());
        }
        permit(
            &op.principal,
            Action::See,
            &Resource::Authorization { level: connection.level, owner: &row.owner },
        )
        .map_err(|_| missing())?;
        Ok(row)
    }

    pub async fn list_authorizations(
        &self,
        op: &Op,
        link_name: &str,
        query: &PageQuery,
    ) -> Result<Page<AuthorizationView>> {
        let connection = self.find_connection(op, link_name).await?;
        permit(&op.principal, Action::See, &self.connection_resource(op, &connection).await?.as_resource())?;
        let (limit, after) = (query.limit()?, query.after()?);
        // Whose he may see: at level user his own, unless he oversees everybody's.
        let owner = op.member()?;
        let others = Resource::Authorization { level: connection.level, owner: "" };
        let owner = if permit(&op.principal, Action::See, &others).is_ok() { "" } else { owner };
        let rows =
            self.store().authorizations_of(&op.organization, link_name, owner, &after, limit.rows()).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            views.push(self.authorization_view(&connection, &row).await?);
        }
        Ok(limit.page(views, |view| view.id.clone(), |view| view))
    }

    pub async fn read_authorization(&self, op: &Op, link_name: &str, id: &str) -> Result<AuthorizationView> {
        let connection = self.find_connection(op, link_name).await?;
        let row = self.held(op, &connection, id).await?;
        self.authorization_view(&connection, &row).await
    }

    /// Renames an authorization.
    pub async fn rename_authorization(
        &self,
        op: &Op,
        link_name: &str,
        id: &str,
        patch: AuthorizationPatch,
    ) -> Result<AuthorizationView> {
        let connection = self.find_connection(op, link_name).await?;
        let row = self.held(op, &connection, id).await?;
        let resource = Resource::Authorization { level: connection.level, owner: &row.owner };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        if patch.version.is_some_and(|version| version != row.version) {
            let current = self.authorization_view(&connection, &row).await?;
            return Err(version_conflict().with_extension("current", json!(current)));
        }
        self.check_account_name(op, &connection, Some(&patch.account_name), Some(id)).await?;
        let mut work = self.begin(permit).await?;
        let renamed = work.rename_authorization(&op.organization, id, &patch.account_name, op.now).await;
        renamed.map_err(|error| taken_or(error, &patch.account_name))?;
        work.record(
            op.event(EventKind::AuthorizationRenamed)
                .on_authorization(link_name, id)
                .with("from", row.account_name)
                .with("to", patch.account_name),
        );
        work.commit().await?;
        self.read_authorization(op, link_name, id).await
    }

    /// Takes an authorization from the connection; the last one to let go has it revoked at the service. No call passes with it once this
    /// has answered.
    pub async fn revoke_authorization(&self, op: &Op, link_name: &str, id: &str) -> Result<()> {
        let connection = self.find_connection(op, link_name).await?;
        let row = self.held(op, &connection, id).await?;
        let resource = Resource::Authorization { level: connection.level, owner: &row.owner };
        let permit = permit(&op.principal, Action::Manage, &resource)?;
        let ground = self.ground(connection).await?;
        let mut work = self.begin(permit).await?;
        let orphan = self.let_go(&mut work, &op.organization, link_name, id).await?;
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::AuthorizationRevoked)
                .on_authorization(link_name, id)
                .with("account_name", row.account_name)
                .with("owner", row.owner),
        );
        work.commit().await?;
        self.revoke_orphans(&ground, orphan.into_iter().collect(), op.now).await;
        Ok(())
    }

    /// Lets another authorization of the connection serve an environment, or all where one serves all.
    pub async fn switch_authorization(
        &self,
        op: &Op,
        link_name: &str,
        environment: &str,
        switch: Switch,
    ) -> Result<AuthorizationView> {
        let connection = self.find_connection(op, link_name).await?;
        let resource = self.connection_resource(op, &connection).await?;
        let permit = permit(&op.principal, Action::Authorize, &resource.as_resource())?;
        let environment = Environment::parse(environment)
            .ok_or_else(|| Error::not_found(format_args!("environment {environment:?}")))?;
        let row = self.held(op, &connection, &switch.authorization).await.map_err(|error| {
            if error.code == Code::NotFound {
                Error::field("authorization", "unknown", "The connection holds no such authorization.")
            } else {
                error
            }
        })?;
        if connection.level == Level::User && op.principal.member() != Some(&row.owner) {
            return Err(Error::field(
                "authorization",
                "not_yours",
                "At level user each person switches his own accounts.",
            ));
        }
        let one = [environment];
        let environments = if connection.same_authorization { Environment::ALL } else { &one };
        let member = binding_member(connection.level, &row.owner);
        let mut work = self.begin(permit).await?;
        for environment in environments {
            work.bind(&op.organization, link_name, *environment, member, &row.id, op.now).await?;
        }
        work.touch(&op.organization);
        work.record(
            op.event(EventKind::ConnectionSwitched)
                .on_authorization(link_name, &row.id)
                .with("account_name", row.account_name.as_str())
                .with("environments", words(environments)),
        );
        work.commit().await?;
        self.authorization_view(&connection, &row).await
    }

    /// Whether an account name may be given: well-formed, and not another authorization's.
    pub(crate) async fn check_account_name(
        &self,
        op: &Op,
        connection: &Connection,
        name: Option<&str>,
        except: Option<&str>,
    ) -> Result<()> {
        let Some(name) = name else { return Ok(()) };
        if let Err(why) = names::display_name(name) {
            return Err(Error::field("account_name", "invalid", format!("The account name {why}.")));
        }
        match self.store().authorization_named(&op.organization, &connection.connector, name).await? {
            Some(id) if Some(id.as_str()) != except => Err(account_name_taken(name)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn authorization_view(
        &self,
        connection: &Connection,
        row: &Authorization,
    ) -> Result<AuthorizationView> {
        let bound =
            self.store().bindings_of(&connection.organization_id, &connection.link_name, &row.id).await?;
        Ok(view_in(connection, row, bound.into_iter().map(|binding| binding.environment).collect()))
    }
}

fn view_in(
    connection: &Connection,
    row: &Authorization,
    mut environments: Vec<Environment>,
) -> AuthorizationView {
    environments.sort_unstable();
    environments.dedup();
    let scopes = row.scopes.as_ref().unwrap_or(&row.requested_scopes);
    AuthorizationView {
        id: row.id.clone(),
        account_name: row.account_name.clone(),
        connector: row.connector.clone(),
        owner: row.owner.clone(),
        environments,
        scopes: scopes.clone(),
        missing_scopes: connection.scopes.iter().filter(|scope| !scopes.contains(scope)).cloned().collect(),
        requested_scopes: row.requested_scopes.clone(),
        status: if row.setup_pending && row.status == ConnectionStatus::Connected {
            ConnectionStatus::NotConnected
        } else {
            row.status
        },
        named: row.named,
        setup_pending: row.setup_pending,
        reason: row.reason.clone().or_else(|| row.refresh_error.clone()),
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        last_refreshed_at: row.last_refreshed_at,
        attributes: row.attributes.clone(),
        version: row.version,
    }
}

/// A credential that somebody typed.
pub(super) fn typed(credential: Credential, now: Timestamp) -> Granted {
    Granted {
        credential,
        refreshable: false,
        issued_at: now,
        expires_at: None,
        scopes: None,
        attributes: Attributes::new(),
        answer: None,
        id_token: None,
    }
}

/// A client that the token endpoint refuses is a wrong credential, not a failing service.
fn rejected(error: crate::connect::exchange::ExchangeError) -> Error {
    use crate::connect::exchange::ExchangeError;
    match error {
        ExchangeError::Token(jackfield_oauth::TokenError::Refused { code, description, .. }) => {
            let why = description.map_or_else(|| code.clone(), |text| format!("{code}: {text}"));
            Error::new(
                Code::CredentialRejected,
                format!(
                    "The service refused the connection's own client ({why}). Nothing was stored. Check the connection's parameters."
                ),
            )
        }
        other => other.into_error(),
    }
}

fn check_environments(connection: &Connection, given: Option<&[Environment]>) -> Result<Vec<Environment>> {
    let all = || Environment::ALL.to_vec();
    match (connection.same_authorization, given) {
        (true, None) => Ok(all()),
        (true, Some(given)) if Environment::ALL.iter().all(|e| given.contains(e)) => Ok(all()),
        (true, Some(_)) => Err(Error::field(
            "environments",
            "not_allowed",
            "The same authorization serves all environments of this connection: leave environments out, or give all three.",
        )),
        (false, None | Some([])) => Err(Error::field(
            "environments",
            "required",
            format!(
                "Each environment has its own authorization here: say {} (one or several).",
                Environment::choices()
            ),
        )),
        (false, Some(given)) => {
            let mut environments = given.to_vec();
            environments.sort_unstable();
            environments.dedup();
            Ok(environments)
        }
    }
}

fn taken_or(error: jackfield_store::StoreError, name: &str) -> Error {
    if error.is_unique("authorizations_account_name") { account_name_taken(name) } else { error.into() }
}

fn words(environments: &[Environment]) -> Vec<&'static str> {
    environments.iter().map(|environment| environment.as_str()).collect()
}

fn same_scopes(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|scope| b.contains(scope))
}
