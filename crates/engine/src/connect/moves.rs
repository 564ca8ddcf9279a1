//! A connection is moved from one version of its connector to another: what that would ask of people is said beforehand, and done only when
//! nothing is missing.
//!
//! What an authorization was given for decides whether it still does: its scheme and endpoints by the two documents, its scopes by what the
//! connection asks for then, its hosts by what was sealed with it. One that does not is not thrown away. It waits to be given again, and
//! serves at once when the connection is moved back.

use std::collections::BTreeMap;
use std::sync::Arc;

use jackfield_core::connector::{
    self, Asks, Change, Connector, Parameter, changes, check_connection_parameters, effective_parameters,
    target,
};
use jackfield_core::workflow::Grounds;
use jackfield_core::{
    Action, Code, ConnectionStatus, Environment, Error, EventKind, FieldError, Level, Permit, Resource,
    Result, allows, permit,
};
use jackfield_store::{Authorization, Connection, Definition};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::automate::components::Built;
use crate::automate::misfits::newly_wrong;
use crate::connect::connections::check_private_key;
use crate::connect::ground::Ground;
use crate::connect::{Credential, Secrets};
use crate::govern::organizations::version_conflict;
use crate::{Engine, Op};

/// Rows that are read at once.
const PAGE: i64 = 500;

/// Where a connection would be moved.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MoveQuery {
    /// number of the version; the newest unless told
    pub to: Option<i64>,
}

/// Where a connection is moved, and what that asks for.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionMove {
    /// number of the version; the newest unless told
    pub to: Option<i64>,
    /// put beside those that stay
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// those of the connection that the version knows, and its new default ones, unless given
    pub scopes: Option<Vec<String>>,
    /// the version of the connection that was read; when it is no longer the present one, nothing is changed
    pub version: Option<i64>,
}

/// An authorization that does not do for the other version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Renewal {
    /// id of the authorization
    pub authorization: String,
    pub account_name: String,
    /// id of the member who authorized; empty where the caller may not know
    pub owner: String,
    /// why it must be given again
    pub reason: String,
    /// link names of other connections that hold it too: it goes on serving them, and this connection lets it go
    pub shared_with: Vec<String>,
}

/// Something that is built here and does not fit the other version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BrokenUse {
    /// link name of the application
    pub application: String,
    /// `workflow:orders`
    pub component: String,
    /// what people call it
    pub name: String,
    /// where it is served like this
    pub environments: Vec<Environment>,
    /// what would be wrong with its definition
    pub wrong: Vec<FieldError>,
}

/// What a move would change, and what it asks of people. Nothing has happened yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct MovePreview {
    /// the version that the connection is on
    pub from: i64,
    /// the version it would be on
    pub to: i64,
    /// the newest version there is
    pub newest: i64,
    pub changes: Vec<Change>,
    /// parameters of the connection that must be given with the move
    pub parameters: Vec<Parameter>,
    /// names of parameters whose values would be dropped
    pub dropped_parameters: Vec<String>,
    /// the scopes that the connection would ask for
    pub scopes: Vec<String>,
    pub added_scopes: Vec<String>,
    pub dropped_scopes: Vec<String>,
    /// authorizations that must be given again
    pub authorizations: Vec<Renewal>,
    /// ids of authorizations that were given for that version and serve again at once
    pub returning: Vec<String>,
    /// what is built here and would not work any more: take it away or change it first
    pub uses: Vec<BrokenUse>,
    /// why the connection cannot be moved there at all
    pub refused: Vec<String>,
    /// the version of the connection: give it back with the move
    pub version: i64,
}

impl MovePreview {
    /// Whether nothing stands in the way but what can be given with the move.
    pub fn is_possible(&self) -> bool {
        self.uses.is_empty() && self.refused.is_empty()
    }
}

/// What came of a move.
#[derive(Debug, Serialize, ToSchema)]
pub struct Moved {
    /// link name of the connection
    pub connection: String,
    /// the version that it was on
    pub from: i64,
    /// the version that it is on
    pub to: i64,
    pub scopes: Vec<String>,
    /// authorizations that must be given again
    pub authorizations: Vec<Renewal>,
    /// ids of authorizations that serve again
    pub returning: Vec<String>,
    /// version of the connection now
    pub version: i64,
}

/// A move that was thought through.
struct Plan {
    preview: MovePreview,
    /// the connection as it would be
    connection: Connection,
    /// what is wrong with what was given
    wrong: Vec<FieldError>,
    /// how often the connection had been held when nothing was looked at yet
    holds: i64,
}

/// Parameters for the other version.
struct Parameters {
    public: BTreeMap<String, String>,
    secret: Secrets,
    dropped: Vec<String>,
    wrong: Vec<FieldError>,
}

fn no_versions() -> Error {
    Error::new(
        Code::StateConflict,
        "The connection's connector is built in: it has no versions, and the connection follows it.",
    )
}

impl Engine {
    /// What moving the connection would ask of people.
    pub async fn preview_move(&self, op: &Op, link_name: &str, query: &MoveQuery) -> Result<MovePreview> {
        let (connection, _) = self.managed(op, link_name).await?;
        let to = ConnectionMove { to: query.to, ..ConnectionMove::default() };
        Ok(self.plan_move(op, connection, &to).await?.preview)
    }

    /// Moves the connection, if nothing is missing. A connection that is there already stays as it is.
    pub async fn move_connection(&self, op: &Op, link_name: &str, to: ConnectionMove) -> Result<Moved> {
        let (connection, permit) = self.managed(op, link_name).await?;
        if to.version.is_some_and(|version| version != connection.version) {
            return Err(version_conflict());
        }
        let plan = self.plan_move(op, connection, &to).await?;
        self.move_as_planned(op, permit, &to, plan).await
    }

    /// Does what was planned, unless something else came to use the connection meanwhile.
    async fn move_as_planned(
        &self,
        op: &Op,
        permit: Permit,
        to: &ConnectionMove,
        plan: Plan,
    ) -> Result<Moved> {
        let Plan { preview, mut connection, wrong, holds } = plan;
        let (from, link_name) = (preview.from, connection.link_name.clone());
        if from == preview.to {
            let moved = Moved {
                connection: connection.link_name,
                from,
                to: from,
                scopes: connection.scopes,
                authorizations: Vec::new(),
                returning: Vec::new(),
                version: connection.version,
            };
            return Ok(moved);
        }
        refuse(&preview)?;
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        connection.updated_at = op.now;
        let mut work = self.begin(permit).await?;
        let organization = &*op.organization;
        // Whoever says at the same time that he uses it waits for us and finds another version, or we waited for him and count him here.
        let held = work.hold_connection(organization, &link_name).await?;
        if held.is_none_or(|held| held.holds != holds + 1) || !work.update_connection(&connection).await? {
            return Err(version_conflict());
        }
        for renewal in &preview.authorizations {
            let id = &renewal.authorization;
            if renewal.shared_with.is_empty() {
                work.outgrow_authorization(organization, id, &renewal.reason, from, op.now).await?;
                work.touch(id);
            } else {
                self.let_go(&mut work, organization, &link_name, id).await?;
            }
        }
        for id in &preview.returning {
            work.return_authorization(organization, id, preview.to, op.now).await?;
            work.touch(id);
        }
        work.touch(organization);
        let names = |all: &[Renewal]| all.iter().map(|one| one.account_name.clone()).collect::<Vec<_>>();
        work.record(
            op.event(EventKind::ConnectionMoved)
                .on_connection(&link_name)
                .with("connector", connection.connector.as_str())
                .with("from", from)
                .with("to", preview.to)
                .with("scopes", connection.scopes.as_slice())
                .with("parameters", to.parameters.keys().cloned().collect::<Vec<_>>())
                .with("dropped_parameters", preview.dropped_parameters.as_slice())
                .with("to_authorize_again", names(&preview.authorizations)),
        );
        let moved = Moved {
            connection: connection.link_name,
            from,
            to: preview.to,
            scopes: connection.scopes,
            authorizations: preview.authorizations,
            returning: preview.returning,
            version: connection.version + 1,
        };
        work.answer(op, 200, &moved).await?;
        work.commit().await?;
        Ok(moved)
    }

    async fn plan_move(&self, op: &Op, connection: Connection, to: &ConnectionMove) -> Result<Plan> {
        let from = connection.connector_version.ok_or_else(no_versions)?;
        // Counted before anything else is looked at, so that nobody comes to use it unnoticed.
        let held = self.store().holds(&op.organization, &connection.link_name).await?;
        let holds = held.ok_or_else(version_conflict)?.holds;
        let present = self.connector_of(&connection).await?;
        let newest = present.newest().unwrap_or(from);
        let number = to.to.unwrap_or(newest);
        let target = self.connector_at(&op.organization, &connection.connector, Some(number)).await;
        let target = target.map_err(|error| match error.code {
            Code::NotFound => {
                let message = format!("There is no version {number}. The newest is {newest}.");
                Error::field("to", "unknown", message)
            }
            _ => error,
        })?;
        let organization = self.own_organization(&op.organization).await?;
        let region = &organization.region;
        let (was, is) = (&present.connector, &target.connector);
        let mut refused: Vec<String> = is.refusal_in(region).into_iter().collect();
        if connection.level != Level::System && !is.levels.contains(&connection.level) {
            refused.push(format!("Version {number} does not support level {}.", connection.level));
        }
        let mut wrong = Vec::new();
        let scopes = to.scopes.clone().unwrap_or_else(|| scopes_for(&connection.scopes, was, is));
        wrong.extend(connector::check_scopes(is, &scopes).err().unwrap_or_default());
        let secrets = self.open_secrets(&connection)?;
        let parameters = parameters_for(&connection, &secrets, (was, is), &to.parameters);
        let asked = |parameter: &Parameter| {
            let path = format!("parameters.{}", parameter.name);
            parameters.wrong.iter().any(|error| error.field == path)
        };
        let missing = effective_parameters(is).into_iter().filter(asked).collect();
        wrong.extend(parameters.wrong.iter().cloned());
        if parameters.wrong.is_empty() {
            let clear: BTreeMap<String, String> = parameters
                .secret
                .iter()
                .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()))
                .collect();
            let key = check_private_key(&clear, &parameters.public);
            wrong.extend(key.err().map(|error| error.fields).unwrap_or_default());
        }
        let moved = Connection {
            connector_version: Some(number),
            scopes: scopes.clone(),
            secrets: self.seal_secrets(&op.organization, &connection.id, &parameters.secret)?,
            parameters: parameters.public,
            ..connection.clone()
        };
        let changes = changes(was, is);
        let before = Ground::new(connection.clone(), was.clone(), region, &secrets);
        let after = Ground::new(moved.clone(), is.clone(), region, &parameters.secret);
        let added: Vec<String> =
            scopes.iter().filter(|scope| !connection.scopes.contains(scope)).cloned().collect();
        let (authorizations, returning) = if from == number {
            (Vec::new(), Vec::new())
        } else {
            self.outgrown(&before, &after, &changes, &added).await?
        };
        let mut authorizations = authorizations;
        for one in &mut authorizations {
            // At level user a person's accounts are his own: others are told that there are some.
            let resource = Resource::Authorization { level: connection.level, owner: &one.owner };
            if permit(&op.principal, Action::See, &resource).is_err() {
                one.owner = String::new();
                "somebody’s account".clone_into(&mut one.account_name);
            }
        }
        let uses = if from == number { Vec::new() } else { self.broken_uses(op, &moved, is).await? };
        let preview = MovePreview {
            from,
            to: number,
            newest,
            changes,
            parameters: missing,
            dropped_parameters: parameters.dropped,
            dropped_scopes: connection.scopes.iter().filter(|s| !scopes.contains(s)).cloned().collect(),
            added_scopes: added,
            scopes,
            authorizations,
            returning,
            uses,
            refused,
            version: connection.version,
        };
        Ok(Plan { preview, connection: moved, wrong, holds })
    }

    /// The connection's authorizations that do not do for the other version, and ids of those that do again.
    async fn outgrown(
        &self,
        before: &Ground,
        after: &Ground,
        changes: &[Change],
        added: &[String],
    ) -> Result<(Vec<Renewal>, Vec<String>)> {
        let connection = &after.connection;
        let organization = connection.organization_id.as_str();
        let (mut renewals, mut returning, mut last) = (Vec::new(), Vec::new(), String::new());
        loop {
            let rows =
                self.store().authorizations_of(organization, &connection.link_name, "", &last, PAGE).await?;
            let Some(end) = rows.last() else { return Ok((renewals, returning)) };
            last.clone_from(&end.id);
            for row in rows {
                let comes_back = row.moved_from.is_some() && row.moved_from == connection.connector_version;
                if row.status != ConnectionStatus::Connected && !comes_back {
                    // It must be given again already.
                    continue;
                }
                let why = self.unfit(&row, before, after, if comes_back { &[] } else { changes }, added)?;
                match why {
                    None if comes_back => returning.push(row.id),
                    None => {}
                    Some(_) if comes_back => {}
                    Some(why) => {
                        let to = connection.connector_version.unwrap_or_default();
                        let holders = self.store().holders(organization, &row.id).await?;
                        renewals.push(Renewal {
                            reason: format!(
                                "The connection was moved to version {to} of its connector: {why}"
                            ),
                            shared_with: holders
                                .into_iter()
                                .filter(|holder| *holder != connection.link_name)
                                .collect(),
                            authorization: row.id,
                            account_name: row.account_name,
                            owner: row.owner,
                        });
                    }
                }
            }
        }
    }

    /// Why an authorization does not do for the other version.
    fn unfit(
        &self,
        row: &Authorization,
        before: &Ground,
        after: &Ground,
        changes: &[Change],
        added: &[String],
    ) -> Result<Option<String>> {
        if let Some(change) =
            changes.iter().find(|change| change.asks == Some(Asks::Authorization) && asks_everybody(change))
        {
            return Ok(Some(change.says.clone()));
        }
        let granted = row.scopes.as_ref().unwrap_or(&row.requested_scopes);
        let lacks: Vec<&str> = added
            .iter()
            .filter(|scope| !granted.contains(scope) && !row.requested_scopes.contains(scope))
            .map(String::as_str)
            .collect();
        if !lacks.is_empty() && after.connector.auth.has_scopes() {
            return Ok(Some(format!("It asks for {}.", lacks.join(", "))));
        }
        let (_, bounds) = Credential::open(self.keyring(), &row.organization_id, &row.id, &row.credential)?;
        let root = |ground: &Ground| {
            let url = ground.base_url(&row.attributes).ok()?;
            target::parse(&url).ok()
        };
        if let Some(base) = root(after)
            && !base.allowed_by(&bounds.hosts)
            && root(before).is_none_or(|was| was.authority() != base.authority())
        {
            return Ok(Some(format!("Calls go to {}.", base.authority())));
        }
        match after.check_endpoints(&bounds, &row.attributes) {
            Err(error) if before.check_endpoints(&bounds, &row.attributes).is_ok() => {
                tracing::debug!(%error, authorization = row.id, "an endpoint is elsewhere in the other version");
                Ok(Some("Its tokens come from another address.".to_owned()))
            }
            _ => Ok(None),
        }
    }

    /// What is built in applications with this connection and fits its present version, but would not fit the other.
    async fn broken_uses(
        &self,
        op: &Op,
        connection: &Connection,
        connector: &Arc<Connector>,
    ) -> Result<Vec<BrokenUse>> {
        let mut broken = Vec::new();
        let mut last = String::new();
        loop {
            let page = self.store().applications(&op.organization, "", &last, PAGE).await?;
            let Some(end) = page.last() else { return Ok(broken) };
            last.clone_from(&end.link_name);
            let concerned = page.iter().filter(|one| allows(&connection.applications, &one.link_name));
            for application in concerned {
                broken.extend(self.broken_in(op, &application.link_name, connection, connector).await?);
            }
        }
    }

    /// The same in one application.
    async fn broken_in(
        &self,
        op: &Op,
        application: &str,
        connection: &Connection,
        connector: &Arc<Connector>,
    ) -> Result<Vec<BrokenUse>> {
        let served = self.served_with(op, application, connection).await?;
        if served.is_empty() {
            return Ok(Vec::new());
        }
        let mut grounds = self.grounds(&op.organization, application).await?;
        let wrong = |grounds: &Grounds| -> Result<Vec<Vec<FieldError>>> {
            let of = |one| Built::of(one, Some(grounds), op.now);
            served.iter().map(|(_, one)| Ok(of(one)?.map(|built| built.wrong).unwrap_or_default())).collect()
        };
        let known = wrong(&grounds)?;
        grounds.connections.insert(connection.link_name.clone(), Arc::clone(connector));
        let then = wrong(&grounds)?;
        let mut broken: Vec<BrokenUse> = Vec::new();
        for ((environment, one), (then, known)) in served.into_iter().zip(then.into_iter().zip(known)) {
            let wrong = newly_wrong(then, &known);
            let same = |other: &&mut BrokenUse| other.component == one.component && other.wrong == wrong;
            if let Some(same) = broken.iter_mut().find(same) {
                same.environments.push(environment);
            } else if !wrong.is_empty() {
                broken.push(BrokenUse {
                    application: application.to_owned(),
                    component: one.component,
                    name: one.name,
                    environments: vec![environment],
                    wrong,
                });
            }
        }
        Ok(broken)
    }

    /// What an application serves, and where, that names this connection.
    async fn served_with(
        &self,
        op: &Op,
        application: &str,
        connection: &Connection,
    ) -> Result<Vec<(Environment, Definition)>> {
        let mut served = Vec::new();
        for environment in Environment::ALL {
            for one in self.served_definitions(&op.organization, application, *environment).await? {
                let built = Built::of(&one, None, op.now)?;
                if built.is_some_and(|built| built.connections.contains(&connection.link_name)) {
                    served.push((*environment, one));
                }
            }
        }
        Ok(served)
    }
}

/// Whether a change is the same for each authorization. Scopes and hosts hang on what was granted.
fn asks_everybody(change: &Change) -> bool {
    !change.is_of_hosts() && change.area != connector::Area::Scopes
}

/// What stands in the way of a move, whatever is given with it.
fn refuse(preview: &MovePreview) -> Result<()> {
    if let Some(why) = preview.refused.first() {
        return Err(Error::new(Code::StateConflict, why.clone()));
    }
    let Some(first) = preview.uses.first() else { return Ok(()) };
    let others = match preview.uses.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let detail = format!(
        "{} of the application {:?}{others} would not work with version {}: {}. Change what uses the connection first.",
        first.component,
        first.application,
        preview.to,
        first.wrong.first().map_or("", |error| error.message.trim_end_matches('.')),
    );
    Err(Error::new(Code::StateConflict, detail).with_extension("uses", json!(preview.uses)))
}

/// The scopes of a connection for another version: those that it knows, and the new ones that are ticked from the start.
fn scopes_for(present: &[String], was: &Connector, is: &Connector) -> Vec<String> {
    if !is.auth.has_scopes() && is.scopes.is_empty() {
        return Vec::new();
    }
    let knows = |connector: &Connector, name: &str| connector.scopes.iter().any(|scope| scope.name == name);
    let mut scopes: Vec<String> =
        present.iter().filter(|name| is.scopes.is_empty() || knows(is, name)).cloned().collect();
    for scope in is.scopes.iter().filter(|scope| scope.default && !knows(was, &scope.name)) {
        if !scopes.contains(&scope.name) {
            scopes.push(scope.name.clone());
        }
    }
    scopes
}

/// The parameters of a connection for another version, with what was given, checked as a whole.
fn parameters_for(
    connection: &Connection,
    secrets: &Secrets,
    (was, is): (&Connector, &Connector),
    given: &Map<String, Value>,
) -> Parameters {
    let (old, new) = (effective_parameters(was), effective_parameters(is));
    let default = |all: &[Parameter], name: &str| {
        all.iter().find(|parameter| parameter.name == name).and_then(|parameter| parameter.default.clone())
    };
    let mut all = Map::new();
    let mut dropped = Vec::new();
    let present = connection.parameters.iter().map(|(name, value)| (name, value.as_str()));
    let present = present.chain(secrets.iter().map(|(name, value)| (name, value.expose_secret())));
    for (name, value) in present {
        if !new.iter().any(|parameter| parameter.name == *name) {
            dropped.push(name.clone());
            continue;
        }
        // Nobody chose what is the default: it goes with the version.
        let left = default(&old, name).as_deref() == Some(value);
        if !(left && default(&new, name).is_some()) {
            all.insert(name.clone(), value.into());
        }
    }
    for (name, value) in given {
        if *value == json!({"set": true}) {
            continue;
        }
        if value.is_null() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    match check_connection_parameters(is, &all) {
        Ok(checked) => Parameters {
            public: checked.public,
            secret: checked.secret.into_iter().map(|(k, v)| (k, SecretString::from(v))).collect(),
            dropped,
            wrong: Vec::new(),
        },
        // What can be said of the rest is said with what there is.
        Err(wrong) => {
            let text = |name: &String| all.get(name).and_then(Value::as_str).map(str::to_owned);
            let is_secret = |name: &str| new.iter().any(|p| p.name == name && p.secret);
            let (secret, public): (Vec<_>, Vec<_>) = all
                .keys()
                .filter_map(|name| Some((name.clone(), text(name)?)))
                .partition(|(name, _)| is_secret(name));
            Parameters {
                public: public.into_iter().collect(),
                secret: secret.into_iter().map(|(k, v)| (k, SecretString::from(v))).collect(),
                dropped,
                wrong,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(scopes: &Value) -> Connector {
        Connector::from_json(json!({
            "name": "Crm", "base_url": "https://crm.example", "scopes": *scopes,
            "auth": {"type": "oauth2_code", "authorize_url": "https://crm.example/a", "token_url": "https://crm.example/t"},
        }))
        .unwrap()
    }

    #[test]
    fn scopes_go_and_come_with_the_version() {
        let was = connector(&json!([{"name": "a", "default": true}, {"name": "b"}, {"name": "c"}]));
        let is = connector(&json!([
            {"name": "a"}, {"name": "b", "default": true}, {"name": "new", "default": true}, {"name": "other"},
        ]));
        let present = ["a".to_owned(), "c".to_owned()];
        // `b` was there before, and was not chosen.
        assert_eq!(scopes_for(&present, &was, &is), ["a", "new"]);
        let any = connector(&json!([]));
        assert_eq!(scopes_for(&present, &was, &any), ["a", "c"], "any may be written");
    }
}
