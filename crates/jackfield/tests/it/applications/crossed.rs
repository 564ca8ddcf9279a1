//! Nobody ever calls with what somebody else authorized, whatever is authorized, switched and revoked beside the call.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::*;

/// Connections of level user; whether one authorization serves all environments.
const PLUGS: [(&str, bool); 4] = [("same_1", true), ("split_1", false), ("same_2", true), ("split_2", false)];
const PEOPLE: usize = 5;
/// How often each person authorizes anew, switches and revokes.
const ROUNDS: usize = 14;

/// Whose it is, for which connection and environment, and which one by number.
fn credential(person: usize, plug: (&str, bool), environment: &str, n: usize) -> String {
    let environment = if plug.1 { "all" } else { environment };
    format!("{person}/{}/{environment}/{n}", plug.0)
}

/// A call by one of the four ways.
struct Way<'a> {
    node: &'a Server,
    /// personal, or an application's that acts for the person
    key: &'a str,
    acting_for: Option<&'a str>,
    proxy: bool,
    environment: &'a str,
    plug: &'a str,
}

impl Way<'_> {
    /// The credential that arrived; `None`: nobody is connected there.
    async fn go(&self) -> Option<String> {
        let who = self.node.with_key(self.key);
        let answer = if self.proxy {
            let mut headers = vec![("jackfield-environment", self.environment)];
            headers.extend(self.acting_for.map(|id| ("jackfield-acting-for", id)));
            who.proxy(self.plug, "/", &headers).await
        } else {
            let call = json!({"url": "/", "environment": self.environment, "acting_for": self.acting_for});
            who.invoke(self.plug, call).await
        };
        if answer.status == 409 {
            answer.problem(409, "not_connected");
            return None;
        }
        let body = answer.expect(200);
        let key = if self.proxy { &body["key"] } else { &body["body"]["key"] };
        Some(key.as_str().unwrap().to_owned())
    }
}

struct Crowd<'a> {
    nodes: &'a [Server],
    people: Vec<Person>,
    /// of the application, by environment
    keys: Vec<String>,
    over: AtomicBool,
    answered: AtomicUsize,
    refused: AtomicUsize,
}

impl Crowd<'_> {
    async fn authorize(&self, person: usize, plug: (&str, bool), environment: &str, n: usize) -> String {
        let node = &self.nodes[n % self.nodes.len()];
        let secret = credential(person, plug, environment, n);
        let mut new = json!({"account_name": secret, "credentials": {"key": secret}});
        if !plug.1 {
            new["environments"] = json!([environment]);
        }
        let path = format!("/v1/connections/{}/authorizations", plug.0);
        let made = node.as_person(&self.people[person]).api("POST", &path, new).await.expect(201);
        made["authorization"]["id"].as_str().unwrap().to_owned()
    }

    /// Authorizes, switches and revokes what is his own.
    async fn churn(&self, person: usize) {
        let mut held: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for round in 0..ROUNDS {
            let (p, e) = ((person + round) % PLUGS.len(), (person + round / 2) % ENVIRONMENTS.len());
            let (plug, environment) = (PLUGS[p], ENVIRONMENTS[e]);
            let node = &self.nodes[round % self.nodes.len()];
            let who = node.as_person(&self.people[person]);
            let id = self.authorize(person, plug, environment, round + 1).await;
            let held = held.entry((p, if plug.1 { 0 } else { e })).or_default();
            held.push(id);
            let base = format!("/v1/connections/{}", plug.0);
            match round % 3 {
                0 => {
                    let path = format!("{base}/bindings/{environment}");
                    who.api("PUT", &path, json!({"authorization": held[0]})).await.expect(200);
                }
                1 => {
                    let path = format!("{base}/authorizations/{}", held.pop().unwrap());
                    assert_eq!(who.api("DELETE", &path, Value::Null).await.status, 204);
                }
                _ => {
                    let path = format!("{base}/authorizations/{}", held.remove(0));
                    assert_eq!(who.api("DELETE", &path, Value::Null).await.status, 204);
                }
            }
        }
    }

    /// Changes what everything in memory hangs on.
    async fn shake(&self) {
        let mut n = 0;
        while !self.over.load(Ordering::SeqCst) {
            let node = &self.nodes[n % self.nodes.len()];
            let path = format!("/v1/connections/{}", PLUGS[n % PLUGS.len()].0);
            node.api("PATCH", &path, json!({"name": format!("Shaken {n}")})).await.expect(200);
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            n += 1;
        }
    }

    /// Calls again and again for one person, or for one after the other by the application's key.
    async fn call(&self, caller: usize, environment: usize, person: Option<usize>) {
        let mut n = caller;
        while !self.over.load(Ordering::SeqCst) {
            n += 1;
            let person_now = person.unwrap_or(n % PEOPLE);
            let plug = PLUGS[(n / 2) % PLUGS.len()];
            let way = Way {
                node: &self.nodes[n % self.nodes.len()],
                key: person.map_or(&self.keys[environment], |person| &self.people[person].key),
                acting_for: person.is_none().then_some(self.people[person_now].id.as_str()),
                proxy: (n / 3).is_multiple_of(2),
                environment: ENVIRONMENTS[environment],
                plug: plug.0,
            };
            match way.go().await {
                None => self.refused.fetch_add(1, Ordering::SeqCst),
                Some(arrived) => {
                    let wanted = credential(person_now, plug, ENVIRONMENTS[environment], 0);
                    let whose = |text: &str| text.rsplit_once('/').unwrap().0.to_owned();
                    assert_eq!(whose(&arrived), whose(&wanted), "somebody got another's credential");
                    self.answered.fetch_add(1, Ordering::SeqCst)
                }
            };
        }
    }

    async fn everything_at_once(&self) {
        let churn = async {
            join_all((0..PEOPLE).map(|person| self.churn(person))).await;
            self.over.store(true, Ordering::SeqCst);
        };
        let mut callers = Vec::new();
        for environment in 0..ENVIRONMENTS.len() {
            for person in (0..PEOPLE).map(Some).chain([None, None, None]) {
                callers.push(self.call(callers.len() * 5, environment, person));
            }
        }
        tokio::join!(churn, self.shake(), join_all(callers));
    }

    /// When all is quiet, each credential is the very one that was given last.
    async fn afterwards(&self) {
        for person in 0..PEOPLE {
            for plug in PLUGS {
                for environment in if plug.1 { &ENVIRONMENTS[..1] } else { &ENVIRONMENTS[..] } {
                    self.authorize(person, plug, environment, 999).await;
                }
            }
        }
        let mut ways = Vec::new();
        for node in self.nodes {
            for (person, plug) in (0..PEOPLE).flat_map(|person| PLUGS.map(|plug| (person, plug))) {
                for (e, environment) in ENVIRONMENTS.into_iter().enumerate() {
                    for (proxy, own) in [(false, false), (false, true), (true, false), (true, true)] {
                        let Person { id, key, .. } = &self.people[person];
                        let (key, acting_for) =
                            if own { (key, None) } else { (&self.keys[e], Some(id.as_str())) };
                        let way = Way { node, key, acting_for, proxy, environment, plug: plug.0 };
                        ways.push((way, credential(person, plug, environment, 999)));
                    }
                }
            }
        }
        for (way, wanted) in ways {
            until("the last credential", async || (way.go().await == Some(wanted.clone())).then_some(()))
                .await;
        }
    }
}

async fn nobody_is_crossed(home: &Home, neighbours: usize) {
    let stage = Stage::new(home).await;
    for (name, same) in PLUGS {
        let new = json!({"connector": stage.connector, "name": name, "link_name": name, "level": "user",
            "same_authorization": same, "applications": [stage.application]});
        stage.server.connection(new).await;
    }
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        let role = ["user", "developer", "admin"][n % 3];
        people.push(stage.server.person(&format!("person{n}"), role).await);
    }
    let mut keys = Vec::new();
    for environment in ENVIRONMENTS {
        keys.push(stage.server.application_key(&stage.application, environment, Value::Null).await);
    }
    let mut nodes = Vec::new();
    for _ in 0..neighbours {
        nodes.push(home.serve(&stage.server.key));
    }
    nodes.push(stage.server);
    let (over, answered, refused) = Default::default();
    let crowd = Crowd { nodes: &nodes, people, keys, over, answered, refused };
    for person in 0..PEOPLE {
        for plug in PLUGS {
            for environment in if plug.1 { &ENVIRONMENTS[..1] } else { &ENVIRONMENTS[..] } {
                crowd.authorize(person, plug, environment, 0).await;
            }
        }
    }
    crowd.everything_at_once().await;
    let (answered, refused) = (crowd.answered.into_inner(), crowd.refused.into_inner());
    assert!(answered > 50, "{answered} calls answered, {refused} honestly refused");
    let crowd = Crowd { answered: 0.into(), refused: 0.into(), ..crowd };
    crowd.afterwards().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pair_of_people_can_be_crossed() {
    nobody_is_crossed(&Home::sqlite(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pair_of_people_can_be_crossed_over_two_nodes() {
    nobody_is_crossed(&Home::postgres(), 1).await;
}
