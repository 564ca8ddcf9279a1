//! OAuth servers written by others, run on loopback, so that Jackfield's client is tried against implementations
//! that know nothing of it. The servers are the scripts in `testkit/foreign`; its README says what each can do.
//!
//! The calls are blocking and short. The servers are processes of their own, so a test may make them from anywhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// How long a server may take to start, and to answer us.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one is started that says nothing.
const TRIES: u32 = 3;

/// Why a server did not start.
enum NotStarted {
    /// it ended by itself, or could not begin
    Ended(String),
    /// it runs and does not say that it is ready
    Silent(String),
}

/// What decides which packages are installed.
const MANIFESTS: [&str; 4] = ["package.json", "package-lock.json", ".npmrc", "requirements.txt"];

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `oidc-provider` (npm).
    Oidc,
    /// `@node-oauth/oauth2-server` (npm).
    Oauth2Node,
    /// Authlib's OAuth 2 server (PyPI).
    Authlib,
    /// oauthlib's OAuth 1 server (PyPI).
    Oauth1,
}

impl Kind {
    fn script(self) -> &'static str {
        match self {
            Self::Oidc => "oidc.mjs",
            Self::Oauth2Node => "oauth2.mjs",
            Self::Authlib => "authlib_oauth2.py",
            Self::Oauth1 => "oauth1.py",
        }
    }

    fn command(self, folder: &Path) -> Command {
        let mut command = match self {
            Self::Oidc | Self::Oauth2Node => Command::new("node"),
            Self::Authlib | Self::Oauth1 => {
                let mut python = Command::new(python_of(folder));
                python.arg("-B");
                python
            }
        };
        command.arg(scripts().join(self.script()));
        command
    }
}

/// A running server. It ends when this is dropped, and with the process, however that ends: its input closes then.
pub struct Foreign {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    kind: Kind,
    config: Value,
    process: Child,
    errors: Arc<Mutex<String>>,
}

/// A key pair for `private_key_jwt`, `jwt_bearer` and `RSA-SHA1`.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// PKCS#8.
    pub private_pem: String,
    pub public_pem: String,
    pub key_id: String,
    /// The public key; it names `key_id` and the algorithm.
    pub jwk: Value,
}

impl KeyPair {
    /// Makes a new one for `RS256`, `PS256` or `ES256`. For `RSA-SHA1` take `RS256`.
    pub fn generate(algorithm: &str) -> Result<Self, String> {
        let output = Command::new(python_of(&folder()?))
            .arg("-B")
            .arg(scripts().join("keys.py"))
            .arg(algorithm)
            .output()
            .map_err(|e| format!("keys.py does not start: {e}"))?;
        if !output.status.success() {
            return Err(format!("keys.py failed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        let mut made: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("keys.py: {e}"))?;
        let mut text = |name: &str| match made[name].take() {
            Value::String(text) => Ok(text),
            _ => Err(format!("keys.py gives no {name}")),
        };
        Ok(Self {
            private_pem: text("private_pem")?,
            public_pem: text("public_pem")?,
            key_id: text("key_id")?,
            jwk: made["jwk"].take(),
        })
    }

    /// The public key as a set, for a client's `jwks`.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }
}

/// What PyJWT says of an assertion (RFC 7523): `{"header", "claims"}`, or why it takes it for wrong.
pub fn judged_by_pyjwt(
    assertion: &str,
    public_pem: &str,
    audience: &str,
    issuer: &str,
) -> Result<Value, String> {
    let mut child = Command::new(python_of(&folder()?))
        .arg("-B")
        .arg(scripts().join("jwt_check.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("jwt_check.py does not start: {e}"))?;
    let asked =
        json!({"assertion": assertion, "public_pem": public_pem, "audience": audience, "issuer": issuer});
    let mut input = child.stdin.take().ok_or("jwt_check.py has no input")?;
    input.write_all(asked.to_string().as_bytes()).map_err(|e| format!("jwt_check.py: {e}"))?;
    drop(input);
    let output = child.wait_with_output().map_err(|e| format!("jwt_check.py: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.lines().last().unwrap_or("jwt_check.py failed").to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("jwt_check.py: {e}"))
}

impl Foreign {
    /// `oidc-provider`: code with PKCE, `iss`, PAR, every client authentication, refresh with rotation and reuse
    /// detection, revocation, device code, client credentials.
    pub fn oidc(config: Value) -> Result<Self, String> {
        Self::start(Kind::Oidc, config)
    }

    /// `@node-oauth/oauth2-server`: plain OAuth 2, refresh tokens that rotate or stay.
    pub fn oauth2_node(config: Value) -> Result<Self, String> {
        Self::start(Kind::Oauth2Node, config)
    }

    /// Authlib: code with PKCE, `iss`, `private_key_jwt`, refresh, revocation, device code, JWT bearer.
    pub fn authlib(config: Value) -> Result<Self, String> {
        Self::start(Kind::Authlib, config)
    }

    /// oauthlib: OAuth 1 with three legs and each signature method.
    pub fn oauth1(config: Value) -> Result<Self, String> {
        Self::start(Kind::Oauth1, config)
    }

    /// Starts a server with `config`, an object; what each understands is in `testkit/foreign/README.md`.
    pub fn start(kind: Kind, config: Value) -> Result<Self, String> {
        // On a busy machine one now and then does not say that it is ready: it is ended, and another started.
        for _ in 1..TRIES {
            match Self::try_to_start(kind, config.clone()) {
                Err(NotStarted::Silent(_)) => {}
                Err(NotStarted::Ended(why)) => return Err(why),
                Ok(server) => return Ok(server),
            }
        }
        Self::try_to_start(kind, config).map_err(|(NotStarted::Silent(why) | NotStarted::Ended(why))| why)
    }

    fn try_to_start(kind: Kind, config: Value) -> Result<Self, NotStarted> {
        let folder = folder().map_err(NotStarted::Ended)?;
        let script = kind.script();
        let mut process = kind
            .command(&folder)
            .env("JACKFIELD_FOREIGN", &folder)
            .env("JACKFIELD_FOREIGN_CONFIG", config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| NotStarted::Ended(format!("{script} does not start: {e}")))?;

        let errors = Arc::new(Mutex::new(String::new()));
        if let Some(pipe) = process.stderr.take() {
            let errors = Arc::clone(&errors);
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
                    errors.push_str(&line);
                    errors.push('\n');
                }
            });
        }
        let (sender, receiver) = mpsc::channel();
        if let Some(pipe) = process.stdout.take() {
            thread::spawn(move || {
                let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
                let ready = lines.find_map(|line| line.strip_prefix("READY ").map(str::to_owned));
                // Nobody waits any more when it came too late.
                let _ = sender.send(ready);
                // Read on, so that the server never waits for room in the pipe.
                lines.for_each(drop);
            });
        }
        let mut server = Self { url: String::new(), kind, config, process, errors };
        match receiver.recv_timeout(PATIENCE) {
            Ok(Some(url)) => server.url = url,
            Ok(None) => {
                let errors = server.errors_at_the_end();
                return Err(NotStarted::Ended(format!("{script} ended before it was ready:\n{errors}")));
            }
            Err(_) => {
                let errors = server.errors();
                return Err(NotStarted::Silent(format!(
                    "{script} is not ready after {PATIENCE:?}:\n{errors}"
                )));
            }
        }
        Ok(server)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `127.0.0.1:PORT`, as `hosts` of a connector wants it.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// What the server wrote to its standard error so far.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn errors_at_the_end(&mut self) -> String {
        let _ = self.process.wait();
        // The reader may need a moment for the last lines.
        thread::sleep(Duration::from_millis(100));
        self.errors()
    }

    /// The requests that came, in their order.
    ///
    /// # Panics
    ///
    /// When the server does not answer: the test has failed then.
    #[expect(clippy::panic, reason = "for tests: a server without an answer is a failed test")]
    pub fn log(&self) -> Vec<Value> {
        match http(self.host(), "GET", "/_log", "") {
            Ok(Value::Array(log)) => log,
            Ok(other) => panic!("the log of {} is not a list: {other}", self.kind.script()),
            Err(e) => panic!("no log of {}: {e}\n{}", self.kind.script(), self.errors()),
        }
    }

    /// The requests with this path.
    pub fn log_of(&self, path: &str) -> Vec<Value> {
        self.log().into_iter().filter(|entry| entry["path"] == path).collect()
    }

    /// The requests to the token endpoint.
    pub fn token_requests(&self) -> Vec<Value> {
        self.log_of("/token")
    }

    /// Makes the server forget `access_tokens`, `refresh_tokens` or `all`.
    pub fn revoke(&self, what: &str) -> Result<(), String> {
        self.control(&json!({ "revoke": what }))
    }

    /// The next `times` requests to `path` are answered with `status` and not carried out.
    pub fn fail(&self, path: &str, status: u16, times: u32) -> Result<(), String> {
        self.control(&json!({ "fault": { "path": path, "status": status, "times": times } }))
    }

    /// The next `times` requests to `path` are carried out, but the connection is cut instead of an answer.
    pub fn lose_answers(&self, path: &str, times: u32) -> Result<(), String> {
        self.control(&json!({ "fault": { "path": path, "lose": true, "times": times } }))
    }

    /// Sends an order to `/_control`, as the README describes it.
    pub fn control(&self, order: &Value) -> Result<(), String> {
        http(self.host(), "POST", "/_control", &order.to_string()).map(drop)
    }

    /// The connector document that describes this server, for `POST /v1/connectors`; what `overrides` has replaces
    /// fields of it, at any depth, and `null` takes a field away. `json!({})` changes nothing.
    pub fn connector(&self, overrides: &Value) -> Value {
        let url = &self.url;
        let mut document = json!({
            "name": match self.kind {
                Kind::Oidc => "Foreign OIDC",
                Kind::Oauth2Node => "Foreign OAuth2",
                Kind::Authlib => "Foreign Authlib",
                Kind::Oauth1 => "Foreign OAuth1",
            },
            "base_url": url,
            "hosts": [self.host()],
            "levels": ["admin", "user"],
            "identity": { "method": "GET", "url": format!("{url}/me"), "name": "/email", "subject": "/sub" },
            "test": { "method": "GET", "path": "/me" },
            "auth": self.auth(),
        });
        if self.kind != Kind::Oauth1 {
            let scopes: Vec<_> = self.scopes().into_iter().map(scope).collect();
            document["scopes"] = Value::Array(scopes);
        }
        merge(&mut document, overrides);
        document
    }

    fn auth(&self) -> Value {
        let url = &self.url;
        if self.kind == Kind::Oauth1 {
            return json!({
                "type": "oauth1",
                "request_token_url": format!("{url}/oauth/request_token"),
                "authorize_url": format!("{url}/oauth/authorize"),
                "access_token_url": format!("{url}/oauth/access_token"),
                "signature_method": self.config["signature_methods"][0].as_str().unwrap_or("HMAC-SHA1"),
            });
        }
        let mut auth = json!({
            "type": "oauth2_code",
            "authorize_url": format!("{url}/authorize"),
            "token_url": format!("{url}/token"),
            "client_authentication": self.config["client_authentication"].as_str().unwrap_or("client_secret_basic"),
            "pkce": true,
        });
        if self.kind != Kind::Oauth2Node {
            auth["revoke_url"] = format!("{url}/revoke").into();
            if self.config["iss"] != false {
                auth["issuer"] = url.as_str().into();
            }
        }
        if self.kind == Kind::Oidc {
            // Its rule for `offline_access`.
            auth["authorize_parameters"] = json!({ "prompt": "consent" });
            if self.config["require_par"] == true {
                auth["par_url"] = format!("{url}/request").into();
            }
        }
        auth
    }

    /// The scopes to ask for: all that the server knows by default.
    pub fn scopes(&self) -> Vec<&str> {
        if let Some(given) = self.config["scopes"].as_array() {
            return given.iter().filter_map(Value::as_str).collect();
        }
        match self.kind {
            Kind::Oidc => vec!["openid", "offline_access", "profile", "email", "read", "write"],
            Kind::Oauth2Node | Kind::Authlib => vec!["profile", "email", "read", "write"],
            Kind::Oauth1 => vec![],
        }
    }

    /// The parameters of a connection to this server, for `POST /v1/connections`, for a client with a secret.
    pub fn parameters(&self) -> Value {
        let given = |name: &str, default: &str| self.config[name].as_str().unwrap_or(default).to_owned();
        if self.kind == Kind::Oauth1 {
            return json!({
                "consumer_key": given("consumer_key", "jackfield-consumer-key-01"),
                "consumer_secret": given("consumer_secret", "a-secret-of-the-consumer"),
            });
        }
        let mut parameters = json!({ "client_id": given("client_id", "jackfield") });
        let method = self.config["client_authentication"].as_str().unwrap_or("client_secret_basic");
        if method.starts_with("client_secret") {
            parameters["client_secret"] = given("client_secret", "a-secret-of-the-client").into();
        }
        parameters
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn scope(name: &str) -> Value {
    let access = if name == "write" { "write" } else { "read" };
    json!({ "name": name, "label": name, "access": access, "default": true })
}

/// JSON Merge Patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(name);
            }
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// One HTTP exchange with a server of ours, with JSON in the body.
fn http(host: &str, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let exchange = || {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = exchange().map_err(|e| format!("{method} {path}: {e}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        return Err(format!("{method} {path}: {answer}"));
    }
    serde_json::from_str(body).map_err(|e| format!("{method} {path}: {e}: {body}"))
}

// --- where the packages are ---

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign")
}

pub(crate) fn python_of(folder: &Path) -> PathBuf {
    folder.join("venv/bin/python")
}

/// The folder with `node_modules` and `venv`: `$JACKFIELD_FOREIGN`, else `foreign` in the target folder, which is
/// prepared when that has not been done.
pub fn folder() -> Result<PathBuf, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            if let Some(given) = std::env::var_os("JACKFIELD_FOREIGN").filter(|given| !given.is_empty()) {
                return given_folder(Path::new(&given));
            }
            let folder = target().join("foreign");
            prepare(&folder)?;
            Ok(folder)
        })
        .clone()
}

fn given_folder(given: &Path) -> Result<PathBuf, String> {
    let folder = given.canonicalize().map_err(|e| format!("JACKFIELD_FOREIGN, {}: {e}", given.display()))?;
    for needed in ["node_modules/oidc-provider", "node_modules/@node-oauth/oauth2-server", "venv/bin/python"]
    {
        if !folder.join(needed).exists() {
            return Err(format!(
                "JACKFIELD_FOREIGN, {}, has no {needed}: prepare it first",
                folder.display()
            ));
        }
    }
    Ok(folder)
}

/// The target folder that this program was built in.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let tagged = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    tagged.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_owned)
}

/// Installs the pinned packages into `folder`, unless they are there. Several processes may call it at once.
pub fn prepare(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    fs::create_dir_all(folder).map_err(|e| format!("{shown}: {e}"))?;
    let lock = File::create(folder.join("lock")).map_err(|e| format!("{shown}/lock: {e}"))?;
    lock.lock().map_err(|e| format!("{shown}/lock: {e}"))?;

    let mut manifests = BTreeMap::new();
    let mut stamp = String::new();
    for name in MANIFESTS {
        let text =
            fs::read_to_string(scripts().join(name)).map_err(|e| format!("testkit/foreign/{name}: {e}"))?;
        // Writing to a string does not fail.
        let _ = write!(stamp, "=== {name}\n{text}\n");
        manifests.insert(name, text);
    }
    let stamp_file = folder.join("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    for (name, text) in manifests {
        fs::write(folder.join(name), text).map_err(|e| format!("{shown}/{name}: {e}"))?;
    }
    run(folder, "npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    run(folder, "python3", &["-m", "venv", "--clear", "venv"])?;
    let python = python_of(folder);
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    run(folder, &python.to_string_lossy(), &install)?;
    fs::write(&stamp_file, stamp).map_err(|e| format!("{shown}/stamp: {e}"))
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let what = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", what()))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{} in {}: {}\n{out}{err}", what(), folder.display(), output.status))
}
