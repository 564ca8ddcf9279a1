//! Schedules: each tick runs once on however many nodes, what is missed is made up for, overlaps, and whose account is used.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Home, Server};
use crate::upstream::{Upstream, json_reply, key, keyed};
use crate::world::{until, until_at_last};

/// A service that takes everything, and a connection to it.
async fn books(server: &Server) -> (Upstream, String) {
    let upstream = Upstream::answering(|_| json_reply(&json!({"id": "1"}))).await;
    let connection = connection(server, &upstream, "Books", "admin").await;
    (upstream, connection)
}

async fn connection(server: &Server, upstream: &Upstream, name: &str, level: &str) -> String {
    let mut document = keyed(name, &upstream.url, &[&upstream.host()]);
    document["levels"] = json!(["admin", "user"]);
    let connector = server.connector(document).await;
    let connection =
        server.connection(json!({"connector": connector, "name": name, "level": level, "same_authorization": level == "admin"})).await;
    if level == "admin" {
        let path = format!("/v1/connections/{connection}/authorizations");
        server.post(&path, json!({"credentials": key()})).await.expect(201);
    }
    connection
}

/// A call that says which tick it is of.
fn tell(connection: &str) -> Value {
    json!({"name": "tell", "invoke": {"connection": connection, "method": "POST", "url": "/ticks", "repeatable": true,
        "body": {"tick": "{{ tick }}", "date": "{{ date }}", "event": "{{ event }}", "of": "{{ application }}"}}})
}

async fn schedule(server: &Server, application: &str, name: &str, definition: Value) -> Value {
    let new = json!({"name": name, "definition": definition});
    server.post(&format!("/v1/applications/{application}/schedules"), new).await.expect(201)
}

async fn read(server: &Server, application: &str, name: &str) -> Value {
    server.get(&format!("/v1/applications/{application}/schedules/{name}")).await.expect(200)
}

async fn runs(server: &Server, application: &str, component: &str) -> Vec<Value> {
    let path = format!("/v1/applications/{application}/runs?component={component}&limit=200");
    server.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
}

/// So many seconds from now.
fn soon(seconds: u64) -> String {
    (jiff::Timestamp::now() + Duration::from_secs(seconds)).to_string()
}

/// Waits until the runs of a component are in these states, the latest first.
async fn reach(server: &Server, application: &str, component: &str, states: &[&str]) -> Vec<Value> {
    until(&format!("{component} {states:?}"), async || {
        let all = runs(server, application, component).await;
        (all.iter().map(|run| run["state"].as_str().unwrap()).collect::<Vec<_>>() == states).then_some(all)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_runs_at_its_time_and_when_it_is_asked_to() {
    for home in Home::both() {
        let server = home.start();
        let (upstream, connection) = books(&server).await;
        let application = server.application("Reports").await;
        let at = soon(2);
        let once = json!({"at": {"once": at}, "actions": [tell(&connection)]});
        let made = schedule(&server, &application, "Once", once).await;
        assert_eq!(made["next"].as_array().unwrap().len(), 1, "{made}");
        let [run] = reach(&server, &application, "schedule:once", &["succeeded"]).await.try_into().unwrap();
        assert_eq!((&run["component"], &run["event"]), (&json!("schedule:once"), &json!("tick")));
        for absent in ["workflow", "form", "record"] {
            assert_eq!(run.get(absent), None, "{run}");
        }
        let told = upstream.take();
        let body = told[0].json();
        let tick: jiff::Timestamp = body["tick"].as_str().unwrap().parse().unwrap();
        let planned: jiff::Timestamp = at.parse().unwrap();
        assert_eq!(tick.as_millisecond(), planned.as_millisecond());
        assert_eq!((&body["event"], &body["of"]), (&json!("tick"), &json!("reports")));
        assert!(at.starts_with(body["date"].as_str().unwrap()), "{body}");
        // Once is once: nothing more comes, and it says so.
        let view = read(&server, &application, "once").await;
        assert_eq!(view["next"], json!([]));
        let row = &view["environments"][0];
        assert_eq!((&row["environment"], &row["next_at"]), (&json!("development"), &Value::Null));
        assert_eq!(row["last_run"], run["id"]);
        // The call stands among those of the connection, which cannot be deleted under it.
        let calls = server.get(&format!("/v1/connections/{connection}/calls")).await.expect(200);
        assert_eq!(calls["items"][0]["via"], "schedule", "{calls}");
        let refused = server.api("DELETE", &format!("/v1/connections/{connection}"), Value::Null).await;
        let problem = refused.problem(409, "connection_referenced");
        assert_eq!(problem["references"][0]["component"], "schedule:once");

        // By hand, where it is served; once for one request.
        let path = format!("/v1/applications/{application}/schedules/once/run");
        server.post(&path, json!({})).await.problem(404, "not_found");
        let ask = async || {
            let asked = server.request("POST", &format!("{path}?environment=development"));
            let answer = asked.header("idempotency-key", "again").send().await.unwrap();
            Answer::of(answer).await.expect(201)
        };
        let asked = ask().await;
        assert_eq!((asked["event"].as_str(), asked["state"].as_str()), (Some("asked"), Some("queued")));
        assert_eq!(ask().await["id"], asked["id"]);
        reach(&server, &application, "schedule:once", &["succeeded", "succeeded"]).await;
        assert_eq!(upstream.take()[0].json()["event"], "asked");

        // Deleted, it is no reference any more.
        let path = format!("/v1/applications/{application}/schedules/once");
        server.api("DELETE", &path, Value::Null).await.expect(204);
        server.api("DELETE", &format!("/v1/connections/{connection}"), Value::Null).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_one_is_said_when_it_is_saved() {
    let home = Home::sqlite();
    let server = home.start();
    let (_upstream, connection) = books(&server).await;
    let application = server.application("Reports").await;
    let path = format!("/v1/applications/{application}/schedules");
    let update = json!({"name": "change", "update_record": {"set": {"a": {"value": 1}}}});
    let mut call = tell(&connection);
    call["invoke"]["url"] = json!("/{{ record.id }}");
    let definition =
        json!({"at": {"cron": "0 25 * * *", "time_zone": "Mars/Olympus"}, "actions": [update, call]});
    let refused = server.post(&path, json!({"name": "Wrong", "definition": definition})).await;
    refused.problem(422, "invalid_input");
    let fields = ["at.time_zone", "actions.0.update_record", "actions.1.invoke.url"];
    assert_eq!(refused.fields(), fields.map(|field| format!("definition.{field}")));
    // The next five, in the time of the zone, and none where it is off.
    let cron = |enabled: bool| json!({"at": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}, "actions": [tell(&connection)], "enabled": enabled});
    let made = schedule(&server, &application, "Nightly", cron(true)).await;
    assert_eq!(made["next"].as_array().unwrap().len(), 5);
    assert!(made["next"][0].as_str().unwrap().contains(":30:00"), "{made}");
    let patch = json!({"definition": cron(false), "version": 1});
    let off = server.api("PATCH", &format!("{path}/nightly"), patch).await.expect(200);
    assert_eq!(off["next"], json!([]));
    assert_eq!(read(&server, &application, "nightly").await["environments"][0]["next_at"], Value::Null);
    let list = server.get(&path).await.expect(200);
    assert_eq!(list["items"][0]["definition"]["at"]["time_zone"], "Europe/Berlin");
}

/// With the clock of the database: PostgreSQL lets a test move what is next into the past.
fn make_due(home: &Home, component: &str, minutes: u32) {
    let sql = format!(
        "update schedules set next_at = (extract(epoch from now()) - 60 * {minutes})::bigint * 1000000
        where component like '{component}'"
    );
    home.sql(&sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_runs_once_on_two_nodes() {
    const MANY: usize = 30;
    let home = Home::postgres();
    let a = home.start();
    let b = home.serve(&a.key);
    let (upstream, connection) = books(&a).await;
    let application = a.application("Reports").await;
    for number in 0..MANY {
        let hourly = json!({"at": {"every": "300d"}, "actions": [tell(&connection)]});
        schedule(&a, &application, &format!("Of {number}"), hourly).await;
    }
    for round in 1..=3 {
        // Both nodes see all of them come at the same moment.
        make_due(&home, "schedule:%", 0);
        let all = until("every tick", async || {
            let all = runs(&b, &application, "").await;
            (all.len() >= round * MANY && all.iter().all(|run| run["state"] == "succeeded")).then_some(all)
        })
        .await;
        let mut by_component: BTreeMap<&str, usize> = BTreeMap::new();
        for run in &all {
            *by_component.entry(run["component"].as_str().unwrap()).or_default() += 1;
        }
        assert!(by_component.values().all(|runs| *runs == round), "{by_component:?}");
    }
    assert_eq!(upstream.seen().len(), 3 * MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_made_up_for_once_or_left_out() {
    let home = Home::postgres();
    let server = home.start();
    let key = server.key.clone();
    let (upstream, connection) = books(&server).await;
    let application = server.application("Reports").await;
    let every = |misfire: &str| json!({"at": {"every": "1d"}, "misfire": misfire, "grace_minutes": 1, "actions": [tell(&connection)]});
    schedule(&server, &application, "Once", every("once")).await;
    schedule(&server, &application, "Skip", every("skip")).await;
    let seen = upstream.seen().len();
    server.kill();
    // Three days without anybody.
    make_due(&home, "schedule:%", 3 * 24 * 60);
    let server = home.serve(&key);
    let [run] = reach(&server, &application, "schedule:once", &["succeeded"]).await.try_into().unwrap();
    // It is the run of the last of what was missed, at most a day ago.
    let told = upstream.seen();
    assert_eq!(told.len(), seen + 1, "{run}");
    let tick: jiff::Timestamp = told[seen].json()["tick"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(tick) < jiff::SignedDuration::from_hours(25), "{tick}");
    let skipped = until("what is left out", async || {
        let view = read(&server, &application, "skip").await;
        (view["environments"][0]["skipped"] == 1).then_some(view)
    })
    .await;
    assert_eq!(skipped["environments"][0]["skipped_why"], "Nobody could run it in time.");
    assert_eq!(runs(&server, &application, "schedule:skip").await, [Value::Null; 0]);
    for name in ["once", "skip"] {
        let next = read(&server, &application, name).await["environments"][0]["next_at"].clone();
        let next: jiff::Timestamp = next.as_str().unwrap().parse().unwrap();
        assert!(next > jiff::Timestamp::now(), "{name} {next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_overlaps_is_left_out_or_waits() {
    let home = Home::postgres();
    let server = home.start();
    let (_upstream, connection) = books(&server).await;
    let application = server.application("Reports").await;
    for overlap in ["skip", "queue"] {
        let definition = json!({"at": {"every": "300d"}, "overlap": overlap, "actions": [tell(&connection)]});
        schedule(&server, &application, overlap, definition).await;
    }
    // While the connection is disabled their runs are not over.
    server.post(&format!("/v1/connections/{connection}/disable"), json!({})).await.expect(200);
    make_due(&home, "schedule:%", 0);
    reach(&server, &application, "schedule:skip", &["paused"]).await;
    let [first] = reach(&server, &application, "schedule:queue", &["paused"]).await.try_into().unwrap();
    make_due(&home, "schedule:%", 0);
    let all = reach(&server, &application, "schedule:queue", &["queued", "paused"]).await;
    assert_eq!(all[0]["behind"], first["id"]);
    let view = until("what is left out", async || {
        let view = read(&server, &application, "skip").await;
        (view["environments"][0]["skipped"] == 1).then_some(view)
    })
    .await;
    assert!(view["environments"][0]["skipped_why"].as_str().unwrap().contains("was not over"), "{view}");
    assert_eq!(runs(&server, &application, "schedule:skip").await.len(), 1);
    // What is asked for by hand waits in its turn too.
    let path = format!("/v1/applications/{application}/schedules/skip/run?environment=development");
    let asked = server.post(&path, json!({})).await.expect(201);
    assert_eq!(asked["behind"], runs(&server, &application, "schedule:skip").await[1]["id"]);
    server.post(&format!("/v1/connections/{connection}/enable"), json!({})).await.expect(200);
    for component in ["schedule:skip", "schedule:queue"] {
        reach(&server, &application, component, &["succeeded", "succeeded"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_environment_keeps_the_time_of_what_it_serves() {
    let home = Home::postgres();
    let server = home.start();
    let (upstream, connection) = books(&server).await;
    let application = server.application("Reports").await;
    let definition = |url: &str| {
        let mut call = tell(&connection);
        call["invoke"]["url"] = url.into();
        json!({"at": {"every": "300d"}, "actions": [call]})
    };
    schedule(&server, &application, "Hourly", definition("/first")).await;
    let publish = async |to: Value| {
        server.post(&format!("/v1/applications/{application}/publish"), to).await.expect(200);
    };
    publish(json!({"to": "stage"})).await;
    let path = format!("/v1/applications/{application}/schedules/hourly");
    server.api("PATCH", &path, json!({"definition": definition("/second")})).await.expect(200);
    let versions = async || {
        let view = read(&server, &application, "hourly").await;
        let rows = view["environments"].as_array().unwrap().clone();
        rows.iter().map(|row| (row["environment"].clone(), row["version"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(versions().await, [(json!("development"), json!(2)), (json!("stage"), json!(1))]);
    make_due(&home, "schedule:hourly", 0);
    let targets = async |wanted: &[&str]| {
        until(&format!("{wanted:?}"), async || {
            let mut found: Vec<String> = upstream.seen().iter().map(|m| m.target().to_owned()).collect();
            found.sort();
            (found == wanted).then_some(())
        })
        .await;
    };
    targets(&["/first", "/second"]).await;
    // What stage serves is not deleted; switched off and published there it is.
    server.api("DELETE", &path, Value::Null).await.problem(409, "state_conflict");
    publish(json!({"to": "stage"})).await;
    assert_eq!(versions().await, [(json!("development"), json!(2)), (json!("stage"), json!(2))]);
    publish(json!({"to": "stage", "release": 1})).await;
    assert_eq!(versions().await[1], (json!("stage"), json!(1)), "rolled back");
    make_due(&home, "schedule:hourly", 0);
    targets(&["/first", "/first", "/second", "/second"]).await;
    // With its application everything ends.
    server.api("DELETE", &format!("/v1/applications/{application}"), Value::Null).await.expect(204);
    assert_eq!(home.sql("select count(*) from schedules").trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anybody_there_the_primary_account_is_used() {
    let home = Home::postgres();
    let server = home.start();
    let upstream = Upstream::answering(|_| json_reply(&json!({"id": "1"}))).await;
    let connection = connection(&server, &upstream, "Each", "user").await;
    let application = server.application("Reports").await;
    let path = format!("/v1/applications/{application}/schedules");
    let new =
        json!({"name": "Hourly", "definition": {"at": {"every": "300d"}, "actions": [tell(&connection)]}});
    server.post(&path, new.clone()).await.problem(409, "primary_account_required");
    let authorize = async |environment: &str| {
        let body = json!({"credentials": key(), "environments": [environment]});
        let made =
            server.post(&format!("/v1/connections/{connection}/authorizations"), body).await.expect(201);
        made["authorization"]["id"].clone()
    };
    let choose = async |environment: &str, id: &Value| {
        let path = format!("/v1/connections/{connection}/primary/{environment}");
        server.api("PUT", &path, json!({"authorization": id})).await.expect(200);
    };
    let production = authorize("production").await;
    choose("production", &production).await;
    server.post(&path, new).await.expect(201);
    // Nothing is chosen for stage: that is said before it is published there, and in development its run waits.
    let preflight = format!("/v1/applications/{application}/preflight?to=stage");
    let open = server.get(&preflight).await.expect(200)["open"].clone();
    assert_eq!(open[0]["code"], "primary_account_required", "{open}");
    let run = format!("{path}/hourly/run?environment=development");
    server.post(&run, json!({})).await.expect(201);
    let [paused] = reach(&server, &application, "schedule:hourly", &["paused"]).await.try_into().unwrap();
    assert_eq!(
        (&paused["code"], &paused["paused_on"]),
        (&json!("primary_account_required"), &json!(connection))
    );
    assert_eq!(upstream.seen().len(), 0);
    let development = authorize("development").await;
    choose("development", &development).await;
    reach(&server, &application, "schedule:hourly", &["succeeded"]).await;
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_shows_and_runs_them() {
    let home = Home::sqlite();
    let server = home.start();
    let (upstream, connection) = books(&server).await;
    let application = server.application("Reports").await;
    let definition =
        json!({"at": {"cron": "0 6 * * 1-5", "time_zone": "Europe/Berlin"}, "actions": [tell(&connection)]});
    schedule(&server, &application, "Nightly", definition).await;
    let say = |arguments: &str| {
        let mut command = home.command();
        command.env("JACKFIELD_URL", &server.url).env("JACKFIELD_API_KEY", &server.key);
        let output = command.args(arguments.split(' ')).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let list = say("schedules list reports");
    assert!(list.contains("nightly") && list.contains("0 6 * * 1-5 (Europe/Berlin)"), "{list}");
    let shown = say("schedules show reports nightly");
    assert!(shown.contains("Europe/Berlin") && shown.contains("development: version 1"), "{shown}");
    let run = say("schedules run reports nightly --environment development");
    assert!(run.contains("schedule:nightly is queued"), "{run}");
    until_at_last("the call", Duration::from_secs(20), async || (upstream.seen().len() == 1).then_some(()))
        .await;
    assert!(say("runs list reports --component schedule:nightly").contains("asked"));
}
