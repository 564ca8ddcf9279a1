//! Everything the sandbox remembers. It lives in memory and every collection has a limit.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;

use crate::{accounts::Person, bounded::Bounded, clock, faults::Queue, secret};

const MANY: usize = 100_000;
const SOME: usize = 10_000;

/// A browser that has been here.
pub(crate) struct Session {
    pub(crate) csrf: String,
    pub(crate) person: Option<&'static Person>,
}

/// What somebody is asked to consent to.
#[derive(Clone)]
pub(crate) enum Wish {
    /// OAuth 2, authorization code.
    Code(CodeWish),
    /// OAuth 2, device: the digest of the device code.
    Device { client_id: String, device: String, scopes: BTreeSet<String> },
    /// OAuth 1: the request token.
    OAuth1 { consumer: String, token: String, callback: String },
}

#[derive(Clone)]
pub(crate) struct CodeWish {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// Whether the request named the redirect URI, so that the exchange has to name it as well.
    pub(crate) redirect_named: bool,
    pub(crate) state: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) login_hint: Option<String>,
}

/// A value that ceases to be valid.
pub(crate) struct Fading<V> {
    pub(crate) value: V,
    pub(crate) until: Instant,
}

impl<V> Fading<V> {
    pub(crate) fn new(value: V, life: Duration) -> Self {
        Self { value, until: clock::now() + life }
    }

    pub(crate) fn alive(&self) -> bool {
        clock::now() < self.until
    }
}

/// An authorization code.
pub(crate) struct Code {
    pub(crate) wish: CodeWish,
    pub(crate) person: &'static Person,
    pub(crate) until: Instant,
    /// The grant that was made of it: a second use revokes it.
    pub(crate) spent: Option<String>,
}

/// What a person, or a client for itself, granted: the family of all its tokens.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) person: Option<&'static Person>,
    pub(crate) scopes: BTreeSet<String>,
}

pub(crate) struct Access {
    pub(crate) grant: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) until: Instant,
}

pub(crate) struct Refresh {
    pub(crate) grant: String,
    pub(crate) spent: Option<Spent>,
}

pub(crate) struct Spent {
    pub(crate) at: Instant,
    /// The answer, kept for the time in which a spent token is tolerated.
    pub(crate) answer: Value,
}

pub(crate) struct Device {
    pub(crate) client_id: String,
    pub(crate) user_code: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) until: Instant,
    pub(crate) asked: Option<Instant>,
    pub(crate) decision: Option<Decision>,
}

pub(crate) enum Decision {
    Allowed(&'static Person, BTreeSet<String>),
    Denied,
}

/// An OAuth 1 request token.
pub(crate) struct Temporary {
    pub(crate) consumer: String,
    pub(crate) secret: String,
    pub(crate) callback: String,
    pub(crate) until: Instant,
    pub(crate) allowed: Option<(String, &'static Person)>,
}

/// An OAuth 1 access token.
pub(crate) struct Lasting {
    pub(crate) consumer: String,
    pub(crate) secret: String,
    pub(crate) person: &'static Person,
}

/// A record of the vendor API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Vendor {
    /// Given by the sandbox.
    pub id: String,
    /// Required and unique.
    pub display_name: String,
    /// The company's full name.
    pub company_name: Option<String>,
    /// Where to write to.
    pub email: Option<String>,
    /// Where to call.
    pub phone: Option<String>,
    /// Anything else.
    pub notes: Option<String>,
    /// Whether it is in use.
    pub active: bool,
    /// Who added it: an email address, or the id of a machine client.
    pub created_by: String,
    /// When it was added, RFC 3339.
    pub created_at: String,
    /// When it was last changed, RFC 3339.
    pub updated_at: String,
}

/// What happened so far, for tests to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests to the token endpoint, also those that met a fault.
    pub token_requests: u64,
    /// The same by `grant_type`.
    pub grants: BTreeMap<String, u64>,
    /// Successful refreshes by the digest of the refresh token that was presented
    /// (see [`crate::digest`]).
    pub refreshes: BTreeMap<String, u32>,
    /// How often each refresh token was presented, in the order of their first presentation,
    /// whatever became of the request. The last 10 000 presentations count.
    pub presentations: Vec<u32>,
    /// Every presentation of a refresh token, oldest first: its digest, and the time since the
    /// sandbox began.
    pub presentation_log: Vec<(String, Duration)>,
    /// Spent refresh tokens that came back too late, each of which ended its grant.
    pub reuses: u64,
    /// Requests to the revocation endpoint.
    pub revocations: u64,
    /// Codes that were issued.
    pub codes: u64,
    /// Requests to the API by path, with those that met a fault.
    pub api_calls: BTreeMap<String, u64>,
    /// Faults that struck.
    pub faults: u64,
}

/// The sandbox's memory.
pub(crate) struct State {
    pub(crate) sessions: Bounded<Session>,
    pub(crate) tickets: Bounded<Fading<Wish>>,
    pub(crate) pushed: Bounded<Fading<CodeWish>>,
    pub(crate) codes: Bounded<Code>,
    pub(crate) grants: Bounded<Grant>,
    pub(crate) access: Bounded<Access>,
    pub(crate) refresh: Bounded<Refresh>,
    pub(crate) devices: Bounded<Device>,
    pub(crate) temporary: Bounded<Temporary>,
    pub(crate) lasting: Bounded<Lasting>,
    /// Nonces and assertion ids that were used.
    pub(crate) used: Bounded<Instant>,
    pub(crate) vendors: BTreeMap<u64, (Vendor, i64)>,
    pub(crate) next_vendor: u64,
    pub(crate) idempotency: Bounded<String>,
    pub(crate) faults: Queue,
    pub(crate) counters: Counters,
    presentations: VecDeque<(String, Duration)>,
    began: Instant,
}

impl State {
    pub(crate) fn new() -> Self {
        let mut state = Self {
            sessions: Bounded::new(SOME),
            tickets: Bounded::new(SOME),
            pushed: Bounded::new(SOME),
            codes: Bounded::new(SOME),
            grants: Bounded::new(MANY),
            access: Bounded::new(MANY),
            refresh: Bounded::new(MANY),
            devices: Bounded::new(SOME),
            temporary: Bounded::new(SOME),
            lasting: Bounded::new(MANY),
            used: Bounded::new(MANY),
            vendors: BTreeMap::new(),
            next_vendor: 1,
            idempotency: Bounded::new(SOME),
            faults: Queue::default(),
            counters: Counters::default(),
            presentations: VecDeque::new(),
            began: clock::now(),
        };
        for (name, company, email) in [
            ("Harbour Timber", "Harbour Timber and Sons Ltd", "orders@harbour-timber.example"),
            ("Lindqvist Optics", "Lindqvist Optics AB", "hello@lindqvist.example"),
            ("Paper & Ink Supply", "Paper & Ink Supply Co.", "desk@paper-and-ink.example"),
        ] {
            state.seed(name, company, email);
        }
        state
    }

    fn seed(&mut self, name: &str, company: &str, email: &str) {
        let now = clock::unix();
        let id = self.next_vendor;
        self.next_vendor += 1;
        let vendor = Vendor {
            id: id.to_string(),
            display_name: name.to_owned(),
            company_name: Some(company.to_owned()),
            email: Some(email.to_owned()),
            phone: None,
            notes: None,
            active: true,
            created_by: "sandbox".to_owned(),
            created_at: clock::rfc3339(now),
            updated_at: clock::rfc3339(now),
        };
        self.vendors.insert(id, (vendor, now));
    }

    pub(crate) fn note_presentation(&mut self, token: &str) {
        if self.presentations.len() >= SOME {
            self.presentations.pop_front();
        }
        let at = clock::now().saturating_duration_since(self.began);
        self.presentations.push_back((secret::digest(token), at));
    }

    /// The counters with the presentations added up.
    pub(crate) fn counted(&self) -> Counters {
        let mut counters = self.counters.clone();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (token, _) in &self.presentations {
            let place = *places.entry(token).or_insert(counters.presentations.len());
            match counters.presentations.get_mut(place) {
                Some(count) => *count += 1,
                None => counters.presentations.push(1),
            }
        }
        counters.presentation_log = self.presentations.iter().cloned().collect();
        counters
    }

    pub(crate) fn reset_counters(&mut self) {
        self.counters = Counters::default();
        self.presentations.clear();
    }

    /// Ends a grant and with it every token of its family.
    pub(crate) fn end_grant(&mut self, grant: &str) {
        self.grants.remove(grant);
        self.access.retain(|_, access| access.grant != grant);
        self.refresh.retain(|_, refresh| refresh.grant != grant);
    }

    /// Notes a nonce; false when it was used before.
    pub(crate) fn first_use(&mut self, nonce: String, life: Duration) -> bool {
        let now = clock::now();
        if self.used.get(&nonce).is_some_and(|until| now < *until) {
            return false;
        }
        self.used.remove(&nonce);
        self.used.insert(nonce, now + life);
        true
    }
}
