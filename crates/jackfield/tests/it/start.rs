//! The first start, later starts, and starts that must not happen.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jackfield_testkit::browser::Browser;
use serde_json::{Value, json};

use crate::support::{Founder, Home};
use crate::world::{past, tolerant, until};

/// What somebody is told to wait for at most who made a mistake.
const QUICKLY: Duration = Duration::from_secs(20);

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, which must come by itself.
pub fn finish(command: &mut Command) -> Ended {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if begun.elapsed() > QUICKLY {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = |file: &mut std::fs::File| {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    let (stdout, stderr) = (text(&mut out), text(&mut err));
    let status = status.unwrap_or_else(|| panic!("it does not end: {command:?}\n{stdout}{stderr}"));
    Ended { success: status.success(), stdout, stderr }
}

/// A sealing key for `JACKFIELD_KEY`.
pub fn key_setting(byte: u8) -> String {
    BASE64_STANDARD.encode([byte; 32])
}

/// Everything that a home holds: every file with its bytes, every row of its PostgreSQL.
fn everything(home: &Home) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                // What SQLite keeps for readers is no data.
                let ours = path.extension().is_none_or(|kind| kind != "db-shm");
                let bytes = std::fs::read(&path).unwrap_or_default();
                if ours && !(bytes.is_empty() && path.extension().is_some_and(|kind| kind == "db-wal")) {
                    all.insert(path, bytes);
                }
            }
        }
    }
    if home.database_url().starts_with("postgres") {
        for (table, rows) in tables(home) {
            all.insert(Path::new("postgres").join(table), rows.into_bytes());
        }
    }
    all
}

/// Every row of every table of a PostgreSQL database, as text.
pub fn tables(home: &Home) -> Vec<(String, String)> {
    let names = home.sql("select tablename from pg_tables where schemaname = 'public' order by 1");
    names
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| (name.to_owned(), home.sql(&format!("select t::text from \"{name}\" t order by 1"))))
        .collect()
}

const INIT: [&str; 6] = ["init", "--organization", "Acme", "--email", "ada@acme.example", "--json"];
const CREATE: [&str; 7] =
    ["organizations", "create", "--name", "Other", "--email", "lin@other.example", "--json"];

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_store_key_and_super_admin_once() {
    for home in Home::both() {
        let ended = finish(home.command().args(INIT));
        assert!(ended.success, "{ended:?}");
        let made: Value = serde_json::from_str(&ended.stdout).unwrap();
        let names: Vec<&String> = made.as_object().unwrap().keys().collect();
        assert_eq!(names, ["email", "key", "password", "url"]);
        assert_eq!(made["email"], "ada@acme.example");
        assert!(made["key"].as_str().unwrap().starts_with("jfp_"));
        assert!(made["password"].as_str().unwrap().len() >= 10);
        assert!(made["url"].as_str().unwrap().starts_with("http://"), "{made}");
        let mode = std::fs::metadata(home.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let before = everything(&home);
        let again = finish(home.command().args(INIT));
        assert!(!again.success && again.stdout.is_empty(), "{again:?}");
        assert!(again.stderr.contains("set up already"), "{}", again.stderr);
        assert!(everything(&home) == before, "a refused init changed something");

        let server = home.serve(made["key"].as_str().unwrap());
        let me = server.get("/v1/me").await.expect(200);
        assert_eq!((&me["role"], &me["organization"]["name"]), (&json!("super_admin"), &json!("Acme")));
        assert!(!server.log().contains("/setup?token="), "there is nothing to set up");
        // Also while it is served.
        assert!(!finish(home.command().args(INIT)).success);
    }
}

/// What is wrong with a key.
enum Wrong {
    Missing,
    File(&'static str),
    Foreign,
    Link,
    Setting(&'static str, String),
}

#[test]
fn a_store_without_its_key_is_not_touched() {
    without_its_key(&Home::sqlite());
}

#[test]
fn a_store_on_postgres_without_its_key_is_not_touched() {
    without_its_key(&Home::postgres());
}

/// Some fifty commands, each of them a process: the two stores have a test of their own each.
fn without_its_key(home: &Home) {
    let elsewhere = Home::sqlite();
    elsewhere.init();
    let foreign = std::fs::read(elsewhere.path().join("key")).unwrap();
    home.init();
    let key = home.path().join("key");
    let own = std::fs::read(&key).unwrap();
    let cases = [
        ("missing", Wrong::Missing),
        ("empty", Wrong::File("")),
        ("a blank line", Wrong::File("\n")),
        ("malformed", Wrong::File("this is no key\n")),
        ("cut off", Wrong::File("jfk1_")),
        ("foreign", Wrong::Foreign),
        ("a link to nothing", Wrong::Link),
        ("empty variable", Wrong::Setting("JACKFIELD_KEY", String::new())),
        ("malformed variable", Wrong::Setting("JACKFIELD_KEY", "abc".to_owned())),
        ("foreign variable", Wrong::Setting("JACKFIELD_KEY", key_setting(7))),
        ("failing command", Wrong::Setting("JACKFIELD_KEY_COMMAND", "exit 3".to_owned())),
        ("silent command", Wrong::Setting("JACKFIELD_KEY_COMMAND", "true".to_owned())),
        ("foreign command", Wrong::Setting("JACKFIELD_KEY_COMMAND", format!("echo {}", key_setting(7)))),
    ];
    for (name, wrong) in cases {
        std::fs::remove_file(&key).unwrap();
        let mut setting = None;
        match wrong {
            Wrong::Missing => {}
            Wrong::File(text) => write_key(&key, text.as_bytes()),
            Wrong::Foreign => write_key(&key, &foreign),
            Wrong::Link => std::os::unix::fs::symlink(home.path().join("nothing"), &key).unwrap(),
            Wrong::Setting(variable, value) => {
                write_key(&key, &own);
                setting = Some((variable, value));
            }
        }
        let before = everything(home);
        for arguments in [&["serve"][..], &INIT, &CREATE, &["doctor"]] {
            let mut command = home.command();
            command.args(arguments);
            if let Some((variable, value)) = &setting {
                command.env(variable, value);
            }
            let ended = finish(&mut command);
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!ended.success, "{name}: {arguments:?} goes on: {said}");
            assert!(
                said.contains(setting.as_ref().map_or("JACKFIELD_KEY_FILE", |(name, _)| name)),
                "{name}: {said}"
            );
            assert!(!said.contains("listening on"), "{name}: {said}");
            let mends = ["Put ", "Set it", "Check ", "Run it by hand"];
            assert!(mends.iter().any(|mend| said.contains(mend)), "{name}: no mend: {said}");
            let after = everything(home);
            let changed: Vec<_> = before
                .keys()
                .chain(after.keys())
                .filter(|path| before.get(*path) != after.get(*path))
                .collect();
            assert!(changed.is_empty(), "{name}: {arguments:?} changed {changed:?}");
        }
        let _ = std::fs::remove_file(&key);
        write_key(&key, &own);
    }
    // Put back, it opens again.
    assert!(finish(home.command().args(CREATE)).success);
}

fn write_key(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_may_come_from_the_environment_or_a_command() {
    let sandbox = tolerant(0).await;
    for home in Home::both() {
        let home = home.set("JACKFIELD_KEY", &key_setting(1));
        let server = home.start();
        let key = server.key.clone();
        let connection = server.sandbox_connection(&sandbox, "sandbox_api_key", json!({})).await;
        let path = format!("/v1/connections/{connection}/authorizations");
        server
            .post(&path, json!({"credentials": {"api_key": jackfield_sandbox::ADA_API_KEY}}))
            .await
            .expect(201);
        assert!(!home.path().join("key").exists());
        drop(server);
        // The same key by another way opens what was sealed.
        let mut home = home;
        home.settings = vec![("JACKFIELD_KEY_COMMAND".to_owned(), format!("printf %s {}", key_setting(1)))];
        let server = home.serve(&key);
        let answer = server.invoke(&connection, json!({"method": "GET", "url": "/me"})).await.expect(200);
        assert_eq!(answer["body"]["email"], "ada@sandbox.example");
        assert!(!home.path().join("key").exists());
        assert!(!server.log().contains(&key_setting(1)), "the key is in the log");
    }
}

#[test]
fn an_unusable_setting_stops_the_start_with_its_name_and_a_mend() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let home = Home::sqlite();
    let file = home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    let inside_file = format!("sqlite:{file}/jackfield.db");
    let in_file = format!("{file}/data");
    let before = everything(&home);
    let cases: &[(&str, &str)] = &[
        ("JACKFIELD_FLOW_TTL", "abc"),
        ("JACKFIELD_FLOW_TTL", "0"),
        ("JACKFIELD_FLOW_TTL", "1.5"),
        ("JACKFIELD_FLOW_TTL", ""),
        ("JACKFIELD_LISTEN", "8484"),
        ("JACKFIELD_LISTEN", &taken),
        ("JACKFIELD_LISTEN", "192.0.2.1:0"),
        ("JACKFIELD_PUBLIC_URL", "jackfield.example.com"),
        ("JACKFIELD_PUBLIC_URL", "ftp://jackfield.example.com"),
        ("JACKFIELD_PUBLIC_URL", "https://example.com/?a=b"),
        ("JACKFIELD_DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("JACKFIELD_DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d"),
        ("JACKFIELD_DATABASE_URL", &inside_file),
        ("JACKFIELD_DATABASE_CONNECTIONS", "0"),
        ("JACKFIELD_DATA_DIR", &in_file),
        ("JACKFIELD_EGRESS_ALLOW", "10.0.0.0/33"),
        ("JACKFIELD_EGRESS_ROOTS", "/nowhere/roots.pem"),
        ("JACKFIELD_EGRESS_ROOTS", file),
        ("JACKFIELD_KEY_PROVIDER", "vault"),
        ("JACKFIELD_KEY_PROVIDER", "environment"),
        ("JACKFIELD_KEY_PROVIDER", "command"),
        ("JACKFIELD_KEY", "hunter2"),
        ("JACKFIELD_KEY", ""),
        ("JACKFIELD_KEY_COMMAND", "exit 1"),
        ("JACKFIELD_KEY_COMMAND", "echo hunter2"),
        ("JACKFIELD_KEY_FILE", file),
        ("JACKFIELD_REQUEST_LIMIT", "many"),
        ("JACKFIELD_RESPONSE_LIMIT", "0"),
        ("JACKFIELD_LOG", "loud"),
        ("JACKFIELD_LOG_FORMAT", "xml"),
        ("JACKFIELD_CONFIG", "/nowhere/jackfield.toml"),
    ];
    for (name, value) in cases {
        let ended = finish(home.command().arg("serve").env(name, value));
        let said = &ended.stderr;
        assert!(!ended.success && !said.contains("listening on"), "{name}={value}: {ended:?}");
        // The file that was named, or a setting that follows from the one that was set.
        let told = match *name {
            "JACKFIELD_CONFIG" => *value,
            "JACKFIELD_DATA_DIR" => file,
            name => name,
        };
        assert!(said.contains(told), "{name}={value}: not named: {said}");
        assert!(!said.contains("hunter2"), "{name}: {said}");
        // More than one sentence: what is wrong, and what to do.
        assert!(
            said.trim().matches(['.', ';']).count() >= 2 || said.contains(". "),
            "{name}={value}: no mend: {said}"
        );
        assert!(!said.contains("panicked"), "{name}={value}: {said}");
    }
    // A key is made for a store that is there, or not at all.
    let left: Vec<_> = everything(&home).into_keys().filter(|path| !before.contains_key(path)).collect();
    let key = home.path().join("key");
    assert!(!left.contains(&key) || home.path().join("jackfield.db").exists(), "{left:?}");

    // The file of settings, and flags.
    for (text, told) in [
        ("listn = \"127.0.0.1:0\"\n", "listn"),
        ("flow_ttl = \"x\"\n", "flow_ttl"),
        ("key = \"hunter2\"\n", "JACKFIELD_KEY"),
        ("listen = \n", "line 1"),
    ] {
        let home = Home::sqlite();
        std::fs::write(home.path().join("jackfield.toml"), text).unwrap();
        let ended = finish(home.command().arg("serve"));
        assert!(!ended.success && ended.stderr.contains(told), "{text}: {ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
        assert_eq!(everything(&home).len(), 1, "{text}: something was written");
    }
    let ended = finish(home.command().args(["serve", "--flow-ttl", "never"]));
    assert!(!ended.success && ended.stderr.contains("--flow-ttl"), "{ended:?}");
    let ended = finish(home.command().args(["serve", "--flow-tll", "9"]));
    assert!(!ended.success && ended.stderr.contains("--flow-tll"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_serves_a_sqlite_file() {
    let home = Home::sqlite();
    let server = home.start();
    let ended = finish(home.command().arg("serve"));
    assert!(!ended.success && !ended.stderr.contains("listening on"), "{ended:?}");
    assert!(ended.stderr.contains("jackfield.db"), "{}", ended.stderr);
    server.get("/v1/me").await.expect(200);
    let key = server.key.clone();
    server.kill();
    // A killed one leaves no lock behind.
    home.serve(&key).get("/v1/me").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_made_beside_a_running_server_is_there_at_once() {
    for home in Home::both() {
        let first = finish(home.command().args(CREATE));
        assert!(!first.success && first.stderr.contains("jackfield init"), "{first:?}");
        let server = home.start();
        server.get("/v1/connections").await.expect(200);
        let other: Founder = home.organization("Other");
        let theirs = server.with_key(&other.key);
        let me = theirs.api("GET", "/v1/me", Value::Null).await.expect(200);
        assert_eq!((&me["email"], &me["organization"]["name"]), (&json!(other.email), &json!("Other")));
        let document = json!({"name": "Mine", "base_url": "https://api.example.com", "hosts": ["api.example.com"],
            "levels": ["admin"], "auth": {"type": "none"}});
        server.connector(document).await;
        server.connection(json!({"connector": "mine", "name": "Mine"})).await;
        theirs.api("GET", "/v1/connections/mine", Value::Null).await.problem(404, "not_found");
        theirs.api("GET", "/v1/connectors/mine", Value::Null).await.problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_link_works_once() {
    for home in Home::both() {
        let link = async |server: &crate::support::Server| {
            until("the link", async || {
                let log = server.log();
                let word = log.split_whitespace().find(|word| word.contains("/setup?token="))?;
                Some(word.to_owned())
            })
            .await
        };
        let first = home.serve("");
        let old = link(&first).await;
        drop(first);
        let server = home.serve("");
        let new = link(&server).await;
        assert_ne!(old, new);
        let browser = Browser::new();
        let token = |link: &str| link.split("token=").nth(1).unwrap().to_owned();
        let here = |token: &str| format!("{}/setup?token={token}", server.url);
        for wrong in [here(&token(&old)), here(""), here("x"), format!("{}/setup", server.url)] {
            assert_eq!(browser.get(&wrong).await.unwrap().status, 404, "{wrong}");
        }
        let page = browser.get(&new).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        let headers = [("cache-control", "no-store"), ("referrer-policy", "no-referrer")];
        for (name, value) in headers {
            assert_eq!(page.header(name), Some(value));
        }
        // A mistake costs nothing.
        let fields = [("organization", "Acme"), ("email", "nobody"), ("password", "short")];
        let again = page.submit(0, &fields).await.unwrap();
        assert_eq!(again.status, 422, "{}", again.body);
        assert!(!again.body.contains("short\""), "the password came back");
        let fields =
            [("organization", "Acme <b>&</b>"), ("email", "ada@acme.example"), ("password", "correct horse")];
        let done = again.submit(0, &fields).await.unwrap();
        assert_eq!(done.status, 200, "{}", done.body);
        assert!(!done.body.contains("correct horse") && !done.body.contains("<b>&</b>"), "{}", done.body);
        let key = done.body.split("<code>").find(|part| part.starts_with("jfp_")).unwrap();
        let key = key.split('<').next().unwrap();
        let me = server.with_key(key).api("GET", "/v1/me", Value::Null).await.expect(200);
        assert_eq!(
            (&me["role"], &me["organization"]["name"]),
            (&json!("super_admin"), &json!("Acme <b>&</b>"))
        );

        assert_eq!(browser.get(&new).await.unwrap().status, 404);
        let second = again.submit(0, &fields).await.unwrap();
        assert_eq!(second.status, 404, "{}", second.body);
        let ended = finish(home.command().args(INIT));
        assert!(!ended.success && ended.stderr.contains("set up already"), "{ended:?}");
        drop(server);
        assert!(!home.serve(key).log().contains("/setup?token="));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_lives_as_long_as_the_setting_says() {
    let sandbox = tolerant(0).await;
    let home = Home::sqlite().set("JACKFIELD_FLOW_TTL", "2");
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
    let flow = server.begin_flow(&connection, json!({})).await;
    let life = crate::world::seconds(&flow["expires_at"]) - crate::world::seconds(&flow["created_at"]);
    assert!((life - 2.0).abs() < 0.001, "{flow}");
    past(&flow["expires_at"]).await;
    let path = format!("/v1/flows/{}", flow["id"].as_str().unwrap());
    let over = server.get(&path).await.expect(200);
    assert_eq!((&over["state"], &over["error"]["code"]), (&json!("expired"), &json!("flow_expired")));
    let page = Browser::new().get(flow["start_url"].as_str().unwrap()).await.unwrap();
    assert!((400..500).contains(&page.status), "{}", page.status);
    assert_eq!(sandbox.handle.counters().codes, 0);
    // Unset, it is a minute and a half.
    let home = Home::sqlite();
    let server = home.start();
    let connection = server.sandbox_connection(&sandbox, "sandbox", json!({})).await;
    let flow = server.begin_flow(&connection, json!({})).await;
    let life = crate::world::seconds(&flow["expires_at"]) - crate::world::seconds(&flow["created_at"]);
    assert!((life - 90.0).abs() < 0.001, "{flow}");
}
