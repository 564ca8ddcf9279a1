//! A Jackfield of one's own for each test: the real binary on a temporary SQLite store or a private PostgreSQL, on a free port of loopback.

#![allow(dead_code)] // each module uses its part

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use jackfield_sandbox::{Options, Running, Sandbox};
use jackfield_testkit::postgres::Postgres;
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

/// A store and its key, which outlive the servers on it.
pub struct Home {
    folder: tempfile::TempDir,
    database: Option<String>,
    pub settings: Vec<(String, String)>,
}

/// What `init` and `organizations create` print.
#[derive(Clone, Debug)]
pub struct Founder {
    pub email: String,
    pub password: String,
    pub key: String,
}

/// Somebody who was invited and has joined, with [`PASSWORD`].
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub email: String,
    pub key: String,
}

/// What everybody's password is who joins in a test.
pub const PASSWORD: &str = "correct horse battery";

/// A running `jackfield serve`. Killed when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    pub key: String,
    log: Arc<Mutex<String>>,
    http: reqwest::Client,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Home {
    pub fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None, settings: Vec::new() }
    }

    pub fn postgres() -> Self {
        let database = Postgres::shared().unwrap().database().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), database: Some(database), settings: Vec::new() }
    }

    /// Another home, with settings of its own, on the same PostgreSQL database.
    pub fn neighbour(&self) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: self.database.clone(), settings: Vec::new() }
    }

    /// Whether its store is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// Runs SQL in this home's PostgreSQL database as its superuser; a line a row.
    pub fn sql(&self, sql: &str) -> String {
        let url = self.database.as_deref().unwrap();
        let name = url.rsplit('/').next().unwrap();
        Postgres::shared().unwrap().sql(name, sql).unwrap()
    }

    /// Both kinds of store, for a test that must hold on each.
    pub fn both() -> [Self; 2] {
        [Self::sqlite(), Self::postgres()]
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn database_url(&self) -> String {
        self.database
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", self.path().join("jackfield.db").display()))
    }

    /// The binary with this home's settings and no others.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jackfield"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("JACKFIELD_")) {
            command.env_remove(name);
        }
        command
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("JACKFIELD_DATA_DIR", self.path())
            .env("JACKFIELD_LISTEN", "127.0.0.1:0")
            .env("JACKFIELD_EGRESS_ALLOW", "127.0.0.0/8,::1/128")
            .env("JACKFIELD_LOG", "debug,hyper=info,sqlx=info,h2=info");
        if let Some(database) = &self.database {
            command.env("JACKFIELD_DATABASE_URL", database);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn founder(&self, arguments: &[&str]) -> Founder {
        let output = self.command().args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_str(&text).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Founder { email: text("email"), password: text("password"), key: text("key") }
    }

    /// `jackfield init`
    pub fn init(&self) -> Founder {
        self.founder(&["init", "--organization", "Acme", "--email", "ada@acme.example", "--json"])
    }

    /// `jackfield organizations create`
    pub fn organization(&self, name: &str) -> Founder {
        self.founder(&["organizations", "create", "--name", name, "--email", "lin@other.example", "--json"])
    }

    /// `jackfield serve`, ready to answer.
    pub fn serve(&self, key: &str) -> Server {
        let mut child = self
            .command()
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let mut url = String::new();
        loop {
            let mut line = String::new();
            let read = lines.read_line(&mut line).unwrap();
            assert!(read > 0, "it did not start: {}", log.lock().unwrap());
            log.lock().unwrap().push_str(&line);
            if let Some(found) = line.trim().strip_prefix("listening on ") {
                found.clone_into(&mut url);
                break;
            }
        }
        let rest = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = lines.read(&mut chunk) {
                rest.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Server { child, url, key: key.to_owned(), log, http }
    }

    /// A new store that is set up and served.
    pub fn start(&self) -> Server {
        let founder = self.init();
        self.serve(&founder.key)
    }

    /// Every file of the home, for a search through all that was stored. For PostgreSQL the rows of every table.
    pub fn everything_stored(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                all.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
        all
    }
}

impl Server {
    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGKILL: no farewell.
    pub fn kill(mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM: asks it to end in order.
    pub fn terminate(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(asked.success());
    }

    /// How it ended.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.http
            .request(method.parse().unwrap(), url)
            .header("authorization", format!("Bearer {}", self.key))
    }

    /// Sends JSON with the founder's key.
    pub async fn api(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = self.request(method, path);
        let request = if body.is_null() {
            request
        } else {
            request.header("content-type", "application/json").body(body.to_string())
        };
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.api("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.api("POST", path, body).await
    }

    /// The same server for somebody else.
    pub fn with_key(&self, key: &str) -> Other<'_> {
        Other { server: self, key: key.to_owned() }
    }

    /// Invites somebody who accepts at once. The address is `<name>@acme.example`.
    pub async fn person(&self, name: &str, role: &str) -> Person {
        let email = format!("{name}@acme.example");
        let new = json!({"email": email, "name": name, "role": role});
        let invited = self.post("/v1/members", new).await.expect(201);
        let accepted = json!({"token": invited["invitation"]["token"], "password": PASSWORD});
        let joined = self.with_key("").api("POST", "/v1/invitations/accept", accepted).await.expect(201);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Person { id: text(&joined["member"]["id"]), email, key: text(&joined["key"]) }
    }

    /// The same server for this person.
    pub fn as_person(&self, person: &Person) -> Other<'_> {
        self.with_key(&person.key)
    }

    /// Makes and publishes a custom connector; its link name.
    pub async fn connector(&self, document: Value) -> String {
        let made = self.post("/v1/connectors", document).await.expect(201);
        let link = made["link_name"].as_str().unwrap().to_owned();
        self.post(&format!("/v1/connectors/{link}/publish"), json!({})).await.expect(200);
        link
    }

    /// Edits a custom connector and takes its connections with it: they feel an edit only when it is published and they are moved.
    pub async fn edit_with_connections(&self, connector: &str, patch: Value) {
        self.api("PATCH", &format!("/v1/connectors/{connector}"), patch).await.expect(200);
        self.post(&format!("/v1/connectors/{connector}/publish"), json!({})).await.expect(200);
        let users = self.get(&format!("/v1/connections?connector={connector}")).await.expect(200);
        for user in users["items"].as_array().unwrap() {
            let path = format!("/v1/connections/{}/move", user["link_name"].as_str().unwrap());
            self.post(&path, json!({})).await.expect(200);
        }
    }

    /// Makes a connection; its link name.
    pub async fn connection(&self, new: Value) -> String {
        self.post("/v1/connections", new).await.expect(201)["link_name"].as_str().unwrap().to_owned()
    }

    /// Makes an application; its link name.
    pub async fn application(&self, name: &str) -> String {
        let made = self.post("/v1/applications", json!({"name": name})).await.expect(201);
        made["link_name"].as_str().unwrap().to_owned()
    }

    /// Makes a key of an application.
    pub async fn application_key(&self, application: &str, environment: &str, scopes: Value) -> String {
        let path = format!("/v1/applications/{application}/keys");
        let new = json!({"name": environment, "environment": environment, "scopes": scopes});
        self.post(&path, new).await.expect(201)["key"].as_str().unwrap().to_owned()
    }

    /// A connection to a Sandbox by one of its documents, with its parameters: `sandbox`, `sandbox_oauth1`, `sandbox_api_key`…
    pub async fn sandbox_connection(&self, sandbox: &Running, document: &str, more: Value) -> String {
        let all = sandbox.handle.connector_documents_without_defaults(&sandbox.url);
        let found = all.into_iter().find(|d| d["link_name"] == document).unwrap();
        let known = self.get(&format!("/v1/connectors/{document}")).await.status == 200;
        if !known {
            self.connector(found).await;
        }
        let mut new = json!({
            "connector": document,
            "name": format!("My {document}"),
            "parameters": sandbox.handle.connector_parameters(document),
        });
        for (name, value) in more.as_object().unwrap() {
            new[name] = value.clone();
        }
        self.connection(new).await
    }

    /// Starts a flow; its view.
    pub async fn begin_flow(&self, connection: &str, body: Value) -> Value {
        let path = format!("/v1/connections/{connection}/authorizations");
        self.post(&path, body).await.expect(202)["flow"].clone()
    }

    /// Authorizes a Sandbox connection whose Sandbox consents by itself; the authorization's view.
    pub async fn authorize(&self, connection: &str, body: Value) -> Value {
        let flow = self.begin_flow(connection, body).await;
        let browser = jackfield_testkit::browser::Browser::new();
        let page = browser.get(flow["start_url"].as_str().unwrap()).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        let flow = self.get(&format!("/v1/flows/{}", flow["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(flow["state"], "authorized", "{flow}");
        let id = flow["authorization"].as_str().unwrap();
        self.get(&format!("/v1/connections/{connection}/authorizations/{id}")).await.expect(200)
    }

    /// Calls through a connection, detailed.
    pub async fn invoke(&self, connection: &str, mut call: Value) -> Answer {
        if call.get("detailed").is_none() {
            call["detailed"] = true.into();
        }
        self.post(&format!("/v1/connections/{connection}/invoke"), call).await
    }

    /// How many statements it has sent to the database.
    pub async fn statements(&self) -> u64 {
        let text = self.get("/metrics").await.text;
        let line = text.lines().find(|l| l.starts_with("jackfield_database_statements_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            #[allow(clippy::print_stderr)] // where a failing test is read
            {
                eprintln!("---- log of {}\n{}", self.url, self.log());
            }
        }
    }
}

/// The server, spoken to with another key.
pub struct Other<'a> {
    server: &'a Server,
    key: String,
}

impl Other<'_> {
    pub async fn get(&self, path: &str) -> Answer {
        self.api("GET", path, Value::Null).await
    }

    /// Calls through a connection, detailed.
    pub async fn invoke(&self, connection: &str, mut call: Value) -> Answer {
        call["detailed"] = true.into();
        self.api("POST", &format!("/v1/connections/{connection}/invoke"), call).await
    }

    /// Calls through a connection by the proxy; `Jackfield-` and other headers.
    pub async fn proxy(&self, connection: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("{}/v1/proxy/{connection}{path}", self.server.url);
        let request = self.server.http.get(url).header("authorization", format!("Bearer {}", self.key));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn api(&self, method: &str, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.server.url);
        let mut request = self.server.http.request(method.parse().unwrap(), url);
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Answer::of(request.send().await.unwrap()).await
    }
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap_or_default() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text))
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// A problem document that must have this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.headers["jackfield-error"], code);
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{problem}");
        problem
    }

    /// The fields that a 422 names.
    pub fn fields(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| e["field"].as_str().unwrap().to_owned()).collect()
    }
}

/// A Sandbox in this process. Dropping it stops it.
pub async fn sandbox(options: Options) -> Running {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    Sandbox::start(options, listener).unwrap()
}

/// A Sandbox where Ada is signed in and consents at once.
pub async fn consenting() -> Running {
    sandbox(Options { auto_consent: Some("Ada".to_owned()), ..Options::default() }).await
}
