//! What the first page says: what needs somebody, how the calls of the last day went, who uses what, and what changed.
//!
//! Every answer is bounded, however much an organization has.

use std::collections::BTreeMap;
use std::time::Duration;

use jackfield_core::{
    Action, ConnectionStatus, Environment, EventKind, Level, Principal, Resource, Result, Role, Timestamp,
    permit,
};
use jackfield_store::Needs;

use crate::call::record::{half_hour, micros_of};
use crate::govern::audit::{AuditQuery, AuditView};
use crate::page::PageQuery;
use crate::{Engine, Op};

/// Things of a kind that are named at most.
const NAMED: usize = 20;
/// An authorization that ends sooner than this is named.
const SOON: Duration = Duration::from_hours(7 * 24);
/// Half hours that a picture of calls shows: the last day.
pub const HALF_HOURS: usize = 48;
/// Lines from applications that a map has at most.
const LINES: i64 = 200;

/// What is the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// the service no longer accepts the authorization; its reason, as far as it gave one
    Again { reason: Option<String> },
    /// it ends, or has ended, and cannot be refreshed
    Soon,
    /// nobody ever authorized it here; name of an application that uses it
    First { used_by: Option<String> },
}

/// Something that needs somebody.
#[derive(Clone, Debug)]
pub struct Attention {
    pub matter: Matter,
    /// link name of the connection
    pub connection: String,
    pub name: String,
    pub level: Level,
    /// id of the authorization, where there is one
    pub authorization: Option<String>,
    pub account: String,
    /// who authorized it: his name, where he is still here
    pub owner: Option<String>,
    /// whether the caller may put it right himself
    pub own: bool,
    /// since when, or when it ends
    pub at: Timestamp,
}

/// Everything that needs somebody, the worst first.
#[derive(Debug, Default)]
pub struct AttentionList {
    pub items: Vec<Attention>,
    /// there is more than is named
    pub more: bool,
}

/// The calls of one half hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HalfHour {
    pub calls: i64,
    pub failed: i64,
}

/// The calls of the last day. Failed is what Jackfield could not bring to an answer, and an answer from 400 up.
#[derive(Debug)]
pub struct CallRates {
    /// when the first half hour began
    pub from: Timestamp,
    pub half_hours: Vec<HalfHour>,
    /// the middle of how long calls took, in microseconds, right to a tenth
    pub median: Option<i64>,
    /// of calls that take as long as the middle one: how long the service took, and how long Jackfield
    pub split: Option<(i64, i64)>,
}

impl CallRates {
    pub fn calls(&self) -> i64 {
        self.half_hours.iter().map(|half_hour| half_hour.calls).sum()
    }

    pub fn failed(&self) -> i64 {
        self.half_hours.iter().map(|half_hour| half_hour.failed).sum()
    }
}

/// A connection on the map.
#[derive(Debug)]
pub struct MapConnection {
    pub link_name: String,
    pub name: String,
    pub level: Level,
    pub enabled: bool,
    /// in the environment; at level `user` the caller's own
    pub status: ConnectionStatus,
    /// name of the service
    pub service: String,
    /// link names and names of the applications whose components use it
    pub applications: Vec<(String, String)>,
}

/// Applications, connections and services.
#[derive(Debug)]
pub struct UsageMap {
    pub connections: Vec<MapConnection>,
    /// how many connections there are at all
    pub total: i64,
}

/// The calls of a day out of what was counted.
fn rates(counted: &[jackfield_store::Rate], first: i64) -> CallRates {
    let mut half_hours = vec![HalfHour::default(); HALF_HOURS];
    let mut speeds: BTreeMap<i64, jackfield_store::Rate> = BTreeMap::new();
    let mut all = 0;
    for rate in counted {
        let place = usize::try_from(rate.half_hour.saturating_sub(first)).unwrap_or(usize::MAX);
        let Some(half_hour) = half_hours.get_mut(place) else { continue };
        half_hour.calls += rate.calls;
        half_hour.failed += rate.failed;
        let speed = speeds.entry(rate.speed).or_default();
        speed.calls += rate.calls;
        speed.timed += rate.timed;
        speed.took = speed.took.saturating_add(rate.took);
        speed.service = speed.service.saturating_add(rate.service);
        all += rate.calls;
    }
    let mut below = 0;
    let middle = speeds.into_iter().find(|(_, calls)| {
        below += calls.calls;
        below * 2 >= all
    });
    let split = middle.filter(|(_, calls)| calls.timed > 0).map(|(_, calls)| {
        (calls.service / calls.timed, calls.took.saturating_sub(calls.service) / calls.timed)
    });
    let median = middle.map(|(speed, _)| micros_of(speed));
    CallRates { from: Timestamp::from_micros(first * 1_800_000_000), half_hours, median, split }
}

impl Engine {
    /// Whoever is shown what the whole organization uses: not users, who see what each person authorizes.
    fn permit_all(op: &Op) -> Result<()> {
        let resource =
            Resource::Connection { level: Level::Admin, managed_by_admins: false, applications: &[] };
        permit(&op.principal, Action::See, &resource).map(drop)
    }

    /// What needs somebody in an environment; a user hears of his own accounts.
    pub async fn attention(&self, op: &Op, environment: Environment) -> Result<AttentionList> {
        let resource =
            Resource::Connection { level: Level::User, managed_by_admins: false, applications: &[] };
        permit(&op.principal, Action::See, &resource)?;
        let member = op.member()?;
        let user = matches!(&op.principal, Principal::Member { role: Role::User, .. });
        let owner = if user { member } else { "" };
        let limit = i64::try_from(NAMED).unwrap_or(i64::MAX).saturating_add(1);
        let (store, organization) = (self.store(), &*op.organization);
        let again = store.needing_again(organization, environment, owner, limit).await?;
        let soon = store.needing_soon(organization, environment, owner, limit, op.now.plus(SOON)).await?;
        let first =
            if user { Vec::new() } else { store.needing_first(organization, environment, limit).await? };
        let mut list = AttentionList::default();
        for (kind, found) in [again, soon, first].into_iter().enumerate() {
            list.more |= found.len() > NAMED;
            list.items.extend(found.into_iter().take(NAMED).map(|needs| attention(op, kind, needs)));
        }
        Ok(list)
    }

    /// The calls of the last day: of one connection, or of the whole organization.
    pub async fn call_rates(
        &self,
        op: &Op,
        connection: Option<&str>,
        environment: Environment,
    ) -> Result<CallRates> {
        let since = if let Some(link_name) = connection {
            let found = self.find_connection(op, link_name).await?;
            let resource = self.connection_resource(op, &found).await?;
            permit(&op.principal, Action::See, &resource.as_resource())?;
            // Another one may have had its name before.
            half_hour(found.created_at)
        } else {
            Self::permit_all(op)?;
            i64::MIN
        };
        let first =
            half_hour(op.now).saturating_sub(i64::try_from(HALF_HOURS).unwrap_or(0)).saturating_add(1);
        let (organization, name) = (&op.organization, connection.unwrap_or(""));
        let counted = self.store().call_rates(organization, name, environment, first.max(since)).await?;
        Ok(rates(&counted, first))
    }

    /// Who uses what: at most so many connections, those that a component uses before the others.
    pub async fn usage_map(&self, op: &Op, environment: Environment, most: usize) -> Result<UsageMap> {
        Self::permit_all(op)?;
        let member = op.member()?;
        let (store, organization) = (self.store(), &*op.organization);
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let mut drawn = store.drawn(organization, environment, member, true, limit).await?;
        let lines = match (drawn.first(), drawn.last()) {
            (Some(first), Some(last)) => {
                store.drawn_lines(organization, &first.link_name, &last.link_name, LINES).await?
            }
            _ => Vec::new(),
        };
        if drawn.len() < most {
            let others = store.drawn(organization, environment, member, false, limit).await?;
            for other in others {
                if drawn.len() < most && drawn.iter().all(|known| known.link_name != other.link_name) {
                    drawn.push(other);
                }
            }
        }
        let mut connections = Vec::with_capacity(drawn.len());
        for one in drawn {
            let found = self.connector_for_new(organization, &one.connector).await?;
            let applications = lines
                .iter()
                .filter(|line| line.connection == one.link_name)
                .map(|line| (line.application.clone(), line.name.clone()))
                .collect();
            connections.push(MapConnection {
                service: found.connector.name.clone(),
                applications,
                status: one.status.unwrap_or(ConnectionStatus::NotConnected),
                link_name: one.link_name,
                name: one.name,
                level: one.level,
                enabled: one.enabled,
            });
        }
        let total = i64::try_from(store.count_connections(organization).await?).unwrap_or(i64::MAX);
        Ok(UsageMap { connections, total })
    }

    /// The last changes, for those who may read the audit trail; who signed in and out is left out.
    pub async fn recent_changes(&self, op: &Op, most: usize) -> Result<Vec<AuditView>> {
        let query = AuditQuery { limit: Some(50), ..AuditQuery::default() };
        let rows = self.list_audit(op, &query).await?.items;
        Ok(rows.into_iter().filter(|row| !row.action.starts_with("session.")).take(most).collect())
    }

    /// How refreshes of a connection went in the last month, the oldest first: when, and whether it succeeded.
    pub async fn refresh_history(&self, op: &Op, link_name: &str) -> Result<Vec<(Timestamp, bool)>> {
        let query = PageQuery { limit: Some(200), cursor: None };
        let events = self.connection_events(op, link_name, &query).await?.items;
        let refresh = |kind: &str| match EventKind::parse(kind)? {
            EventKind::AuthorizationRefreshed | EventKind::AuthorizationRecovered => Some(true),
            EventKind::AuthorizationFailing | EventKind::ReauthorizationRequired => Some(false),
            _ => None,
        };
        Ok(events.iter().rev().filter_map(|event| Some((event.at, refresh(&event.kind)?))).collect())
    }
}

fn attention(op: &Op, kind: usize, needs: Needs) -> Attention {
    let (id, account, owner, owner_name, reason) = match needs.authorization {
        Some(found) => (Some(found.id), found.account_name, found.owner, found.owner_name, found.reason),
        None => (None, String::new(), String::new(), None, None),
    };
    let matter = match kind {
        0 => Matter::Again { reason },
        1 => Matter::Soon,
        _ => Matter::First { used_by: needs.used_by },
    };
    let resource = Resource::Connection { level: needs.level, managed_by_admins: false, applications: &[] };
    let mine = op.principal.member() == Some(owner.as_str());
    let own =
        permit(&op.principal, Action::Authorize, &resource).is_ok() && (needs.level != Level::User || mine);
    Attention {
        matter,
        connection: needs.connection,
        name: needs.name,
        level: needs.level,
        authorization: id,
        account,
        owner: owner_name,
        own,
        at: needs.at,
    }
}

#[cfg(test)]
mod tests {
    use jackfield_store::Rate;

    use super::*;

    #[test]
    fn a_day_is_added_up_and_its_median_found() {
        let rate = |half_hour, speed, calls, failed| Rate {
            half_hour,
            speed,
            calls,
            failed,
            timed: calls,
            took: calls * 1000,
            service: calls * 900,
        };
        // What was counted before it was known what the service took says nothing of it.
        let old = Rate { timed: 0, took: 0, service: 0, ..rate(101, 40, 1, 0) };
        let all = [rate(100, 40, 4, 1), old, rate(100, 60, 1, 0), rate(147, 60, 3, 3), rate(99, 1, 9, 9)];
        let day = rates(&all, 100);
        assert_eq!((day.calls(), day.failed(), day.half_hours.len()), (9, 4, HALF_HOURS));
        assert_eq!(day.half_hours[0], HalfHour { calls: 5, failed: 1 });
        assert_eq!(day.split, Some((900, 100)));
        assert_eq!(rates(&[old], 100).split, None);
        assert_eq!(day.half_hours[47], HalfHour { calls: 3, failed: 3 });
        assert_eq!(day.median, Some(micros_of(40)));
        assert_eq!(day.from.seconds(), 180_000);
        let nothing = rates(&[], 100);
        assert_eq!((nothing.calls(), nothing.median), (0, None));
    }
}
