//! The settings: the one place that reads the environment.
//!
//! Defaults give way to `jackfield.toml`, that to the environment, and that to flags. Every setting stands once, in [`SETTINGS`]; help,
//! reference and errors are made of it.

#![allow(clippy::disallowed_methods, reason = "this is the place that the lint sends everybody to")]

#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use ipnet::IpNet;
use jackfield_core::names;
use jackfield_core::plan::Plans;
use jackfield_engine::govern::mail::Mail;
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::failure::{Failure, Result};
use values::{address, database, filter, mailbox, networks, path, public_url, seconds, size, smtp};

/// One setting.
pub struct Setting {
    /// as in `jackfield.toml`; `JACKFIELD_` and capitals make the variable
    pub name: &'static str,
    /// the name with hyphens
    flag: &'static str,
    /// what stands for the value in help
    value: &'static str,
    /// what it is unless told
    default: &'static str,
    /// a value that is right
    example: &'static str,
    /// one sentence
    about: &'static str,
    /// what else the reference says
    more: &'static str,
    place: Place,
}

/// Where a setting may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Everywhere,
    /// a list of processes shows command lines
    NoFlag,
    /// it is a secret as a whole
    EnvironmentOnly,
}

impl Setting {
    pub fn variable(&self) -> String {
        format!("JACKFIELD_{}", self.name.to_uppercase())
    }
}

/// Every setting, in the order of the reference.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        flag: "listen",
        value: "ADDRESS:PORT",
        default: "127.0.0.1:8484",
        example: "127.0.0.1:8484",
        about: "Where the service listens",
        more: "Port 0 takes a free one. `0.0.0.0:8484` listens on every interface; put a reverse proxy with TLS before it.",
        place: Place::Everywhere,
    },
    Setting {
        name: "public_url",
        flag: "public-url",
        value: "URL",
        default: "http:// and the address it listens on",
        example: "https://jackfield.example.com",
        about: "Where browsers reach the service",
        more: "Start links and the redirect address of OAuth (`/oauth/callback`) are made of it. Cookies are `Secure` exactly when it is https.",
        place: Place::Everywhere,
    },
    Setting {
        name: "data_dir",
        flag: "data-dir",
        value: "FOLDER",
        default: "./jackfield-data",
        example: "/var/lib/jackfield",
        about: "The folder of the store and its key",
        more: "Made when it is not there, for its owner alone.",
        place: Place::Everywhere,
    },
    Setting {
        name: "database_url",
        flag: "database-url",
        value: "URL",
        default: "sqlite: and jackfield.db in the data folder",
        example: "sqlite:/var/lib/jackfield/jackfield.db or postgres://user:password@host/database",
        about: "The store: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE",
        more: "One process serves a SQLite file; any number of nodes serve a PostgreSQL. An address with a password belongs into the environment \
               or the file, as other users of the machine see command lines.",
        place: Place::Everywhere,
    },
    Setting {
        name: "database_connections",
        flag: "database-connections",
        value: "NUMBER",
        default: "10",
        example: "10",
        about: "Connections to PostgreSQL that this node keeps",
        more: "1 to 1000. One more listens for changes on other nodes. SQLite needs no number.",
        place: Place::Everywhere,
    },
    Setting {
        name: "key_provider",
        flag: "key-provider",
        value: "PROVIDER",
        default: "environment when JACKFIELD_KEY is set, command when JACKFIELD_KEY_COMMAND is, else file",
        example: "file",
        about: "Where the sealing key comes from: file, environment or command",
        more: "Everything secret in the store is sealed with this key. Without it the store cannot be opened, and nobody can make another.",
        place: Place::Everywhere,
    },
    Setting {
        name: "key_file",
        flag: "key-file",
        value: "FILE",
        default: "key in the data folder",
        example: "/var/lib/jackfield/key",
        about: "The file of the sealing key",
        more: "Made for a new store, with mode 0600. Keep a copy of it apart from the store.",
        place: Place::Everywhere,
    },
    Setting {
        name: "key",
        flag: "key",
        value: "KEY",
        default: "none",
        example: "the output of `openssl rand -base64 32`",
        about: "The sealing key itself",
        more: "32 bytes in base64, or what a key file holds. Only from the environment.",
        place: Place::EnvironmentOnly,
    },
    Setting {
        name: "key_command",
        flag: "key-command",
        value: "COMMAND",
        default: "none",
        example: "vault kv get -field=key secret/jackfield",
        about: "A command that prints the sealing key",
        more: "Run by `sh -c`, for 10 seconds at most. No flag, as it may hold a secret itself.",
        place: Place::NoFlag,
    },
    Setting {
        name: "trusted_proxies",
        flag: "trusted-proxies",
        value: "NETWORKS",
        default: "none",
        example: "10.20.0.5,10.30.0.0/16",
        about: "Reverse proxies that are believed where a request comes from, separated by commas",
        more: "Addresses or CIDR. From these alone `X-Forwarded-For` or `Forwarded` is read; the rightmost address that is none of theirs \
               counts, for the audit trail and where sign-ins are slowed. A proxy passes on no such header of its clients but its own.",
        place: Place::Everywhere,
    },
    Setting {
        name: "egress_allow",
        flag: "egress-allow",
        value: "NETWORKS",
        default: "none",
        example: "10.20.0.0/16,192.168.1.20",
        about: "Networks that calls may reach although they are private, separated by commas",
        more: "Addresses or CIDR. Plain http is accepted only towards these. In the file it may be a list.",
        place: Place::Everywhere,
    },
    Setting {
        name: "egress_roots",
        flag: "egress-roots",
        value: "FILE",
        default: "none",
        example: "/etc/jackfield/roots.pem",
        about: "A PEM file of root certificates that are trusted beside the system's",
        more: "",
        place: Place::Everywhere,
    },
    Setting {
        name: "plans",
        flag: "plans",
        value: "FILE",
        default: "none",
        example: "/etc/jackfield/plans.toml",
        about: "A TOML file of plans, which limit what organizations may have",
        more: "A table a plan: `[free]` with `connections`, `custom_connectors`, `calls_per_day`. `jackfield organizations plan` gives an organization one; all others have no limits.",
        place: Place::Everywhere,
    },
    Setting {
        name: "flow_ttl",
        flag: "flow-ttl",
        value: "SECONDS",
        default: "90",
        example: "90",
        about: "How long somebody has to authorize at a service",
        more: "1 to 86400.",
        place: Place::Everywhere,
    },
    Setting {
        name: "device_flow_ttl",
        flag: "device-flow-ttl",
        value: "SECONDS",
        default: "900",
        example: "900",
        about: "How long somebody has to type a device code at a service",
        more: "1 to 86400. Where the service says that the code lives shorter, that counts.",
        place: Place::Everywhere,
    },
    Setting {
        name: "request_limit",
        flag: "request-limit",
        value: "BYTES",
        default: "16m",
        example: "16m",
        about: "The largest request body of an invoke",
        more: "Bytes; k and m stand for 1024 and 1024 × 1024 of them. At most 1024m. Bodies over 1m that come in at once have room for eight of this size; \
               one address has half of that. Another waits ten seconds for its turn, and is then told to come again (503).",
        place: Place::Everywhere,
    },
    Setting {
        name: "file_limit",
        flag: "file-limit",
        value: "BYTES",
        default: "10m",
        example: "10m",
        about: "The largest file in a record",
        more: "Bytes; k and m stand for 1024 and 1024 × 1024 of them. A form may allow less. A request with a record is as large as request_limit allows: \
               over the API a file takes a third more than its bytes.",
        place: Place::Everywhere,
    },
    Setting {
        name: "response_limit",
        flag: "response-limit",
        value: "BYTES",
        default: "16m",
        example: "16m",
        about: "The largest answer of an invoke",
        more: "Bytes; k and m stand for 1024 and 1024 × 1024 of them. At most 1024m. The proxy streams without a limit.",
        place: Place::Everywhere,
    },
    Setting {
        name: "smtp_url",
        flag: "smtp-url",
        value: "URL",
        default: "none: no mail is sent",
        example: "smtp://user:password@mail.example.com:587",
        about: "The server that takes mail: smtp:// (STARTTLS) or smtps:// (TLS from the start)",
        more: "Invitations and links for forgotten passwords go by it. Without, admins pass links on by themselves. `?tls=opportunistic` and \
               `?tls=none` let smtp:// go without TLS; a server on this machine needs none. No flag, as it may hold a password.",
        place: Place::NoFlag,
    },
    Setting {
        name: "mail_from",
        flag: "mail-from",
        value: "ADDRESS",
        default: "jackfield@ and the host of the public URL",
        example: "Jackfield <jackfield@example.com>",
        about: "From whom mail comes",
        more: "",
        place: Place::Everywhere,
    },
    Setting {
        name: "log",
        flag: "log",
        value: "FILTER",
        default: "info",
        example: "info, or info,jackfield_engine=debug",
        about: "What is logged: off, error, warn, info, debug or trace",
        more: "Parts of the program may have levels of their own, after a comma.",
        place: Place::Everywhere,
    },
    Setting {
        name: "log_format",
        flag: "log-format",
        value: "FORMAT",
        default: "text",
        example: "json",
        about: "How log lines look: text or json",
        more: "The log goes to standard error.",
        place: Place::Everywhere,
    },
];

const FILE: &str = "jackfield.toml";
const CONFIG: &str = "JACKFIELD_CONFIG";
/// What the commands that talk to a server read.
pub const URL: &str = "JACKFIELD_URL";
pub const API_KEY: &str = "JACKFIELD_API_KEY";

/// Where the sealing key comes from.
#[derive(Clone)]
pub enum KeySource {
    File(PathBuf),
    Environment(SecretString),
    Command(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// All settings, checked.
#[derive(Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    /// without a slash at the end; `None`: made of the address that is bound
    pub public_url: Option<String>,
    pub data_dir: PathBuf,
    pub database_url: String,
    pub database_connections: u32,
    pub key: KeySource,
    pub trusted_proxies: Vec<IpNet>,
    pub egress_allow: Vec<IpNet>,
    pub egress_roots: Option<PathBuf>,
    pub plans: Plans,
    pub flow_ttl: Duration,
    pub device_flow_ttl: Duration,
    pub request_limit: usize,
    pub file_limit: usize,
    pub response_limit: usize,
    pub smtp_url: Option<SecretString>,
    /// checked; see [`Settings::mail`]
    pub mail_from: Option<String>,
    pub log: Targets,
    pub log_format: LogFormat,
    /// the file that was read
    pub file: Option<PathBuf>,
    /// variables that look like a mistyped setting, and which
    pub mistyped: Vec<(String, String)>,
}

/// The settings that stand on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    config: Option<PathBuf>,
    given: BTreeMap<&'static str, String>,
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned().or(self.config.take());
        for setting in SETTINGS.iter().filter(|s| s.place == Place::Everywhere) {
            if let Some(text) = matches.get_one::<String>(setting.name) {
                self.given.insert(setting.name, text.clone());
            }
        }
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "The file of settings [{CONFIG}, by default {FILE} in this folder, when it is there]"
            ))
            .help_heading("Settings");
        SETTINGS.iter().fold(command.arg(config), |command, setting| {
            if setting.place != Place::Everywhere {
                return command;
            }
            let help = format!("{} [{}, by default {}]", setting.about, setting.variable(), setting.default);
            let flag = Arg::new(setting.name).long(setting.flag).value_name(setting.value);
            command.arg(flag.help(help).help_heading("Settings"))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// A variable of the environment; one that is no text counts as absent.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Settings {
    /// Reads them from everywhere.
    pub fn load(flags: &Flags) -> Result<Self> {
        let from = |name: &str| std::env::var_os(name);
        let (file, table) = read_file(flags.config.as_deref(), &from)?;
        let mut settings = Layers { flags: &flags.given, environment: &from, file: &table }.settle()?;
        settings.file = file;
        settings.mistyped = std::env::vars_os()
            .filter_map(|(name, _)| {
                let name = name.into_string().ok()?;
                suggest_variable(&name).map(|meant| (name, meant))
            })
            .collect();
        Ok(settings)
    }

    /// The settings of a store in `folder` that nobody configured.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let flags = BTreeMap::from([("data_dir", folder.to_string_lossy().into_owned())]);
        Layers { flags: &flags, environment: &|_| None, file: &toml::Table::new() }.settle()
    }

    pub fn egress(&self) -> jackfield_engine::EgressOptions {
        jackfield_engine::EgressOptions {
            allow: self.egress_allow.clone(),
            extra_roots: self.egress_roots.clone(),
            ..Default::default()
        }
    }

    pub fn database(&self) -> jackfield_store::DbOptions {
        jackfield_store::DbOptions { max_connections: self.database_connections, ..Default::default() }
    }

    /// The server that takes mail.
    pub fn mail(&self, public_url: &str) -> Option<Mail> {
        let address = self.smtp_url.as_ref()?;
        let host = url::Url::parse(public_url).ok().and_then(|url| url.domain().map(str::to_owned));
        let own = || format!("Jackfield <jackfield@{}>", host.as_deref().unwrap_or("localhost"));
        // Both were checked when they were read.
        Mail::from_url(address.expose_secret(), &self.mail_from.clone().unwrap_or_else(own)).ok()
    }

    /// What the engine is told.
    pub fn engine(&self, public_url: String) -> jackfield_engine::Settings {
        jackfield_engine::Settings {
            mail: self.mail(&public_url),
            public_url,
            flow_ttl: self.flow_ttl,
            device_flow_ttl: self.device_flow_ttl,
            request_limit: self.request_limit,
            file_limit: self.file_limit,
            response_limit: self.response_limit,
            plans: self.plans.clone(),
        }
    }

    /// The public URL for an address that is bound, or that would be.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            // A browser cannot go to "every interface".
            let reachable = match bound.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
                IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
                ip => ip,
            };
            format!("http://{}", SocketAddr::new(reachable, bound.port()))
        })
    }
}

/// Reads `jackfield.toml`, and refuses what is no setting.
fn read_file(
    asked: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(Option<PathBuf>, toml::Table)> {
    let named = asked.map(Path::to_owned).or_else(|| environment(CONFIG).map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            return Ok((None, toml::Table::new()));
        }
        Err(e) => {
            let mend = if named.is_some() { "Check the path" } else { "Check that this user may read it" };
            return Err(Failure::new(format!("{}: it cannot be read: {e}. {mend}.", path.display())));
        }
    };
    Ok((Some(path.clone()), parse_file(&path, &text)?))
}

fn parse_file(path: &Path, text: &str) -> Result<toml::Table> {
    let path = path.display();
    // The message alone: the whole error quotes the line, which may hold a password.
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(0, |span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
        Failure::new(format!("{path}: line {line} is no TOML: {}.", e.message()))
    })?;
    for name in table.keys() {
        let Some(setting) = SETTINGS.iter().find(|s| s.name == name) else {
            let near = names::nearest(name, SETTINGS.iter().map(|s| s.name.to_owned()));
            let mend = near.map_or_else(
                || "`jackfield serve --help` lists the settings".to_owned(),
                |near| format!("Did you mean {near}?"),
            );
            let mend = crate::failure::sentence(&mend);
            return Err(Failure::new(format!("{path}: \"{name}\" is no setting. {mend}")));
        };
        if setting.place == Place::EnvironmentOnly {
            let (variable, about) = (setting.variable(), setting.about.to_lowercase());
            return Err(Failure::new(format!(
                "{path}: {name} does not belong into a file of settings: it is {about}. Set {variable} in the environment, or \
                 use a key file (JACKFIELD_KEY_FILE)."
            )));
        }
    }
    Ok(table)
}

/// A value and where it stands.
struct Given {
    text: String,
    place: String,
}

/// Where settings come from, strongest first.
struct Layers<'a> {
    flags: &'a BTreeMap<&'static str, String>,
    environment: &'a dyn Fn(&str) -> Option<OsString>,
    file: &'a toml::Table,
}

impl Layers<'_> {
    fn get(&self, setting: &Setting) -> Result<Option<Given>> {
        if let Some(text) = self.flags.get(setting.name) {
            return Ok(Some(Given { text: text.clone(), place: format!("--{}", setting.flag) }));
        }
        let place = setting.variable();
        if let Some(text) = (self.environment)(&place) {
            let Ok(text) = text.into_string() else {
                return Err(Failure::new(format!(
                    "{place}: its value is not UTF-8. Say for example {}.",
                    setting.example
                )));
            };
            return Ok(Some(Given { text, place }));
        }
        let Some(value) = self.file.get(setting.name) else { return Ok(None) };
        let place = format!("{} in {FILE}", setting.name);
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Array(entries) if setting.value == "NETWORKS" => {
                let entries: Option<Vec<&str>> = entries.iter().map(toml::Value::as_str).collect();
                entries
                    .ok_or_else(|| {
                        Failure::new(format!(
                            "{place}: every entry is a text, for example [\"10.20.0.0/16\"]."
                        ))
                    })?
                    .join(",")
            }
            _ => {
                return Err(Failure::new(format!(
                    "{place}: it is a {}. Say for example \"{}\".",
                    value.type_str(),
                    setting.example
                )));
            }
        };
        Ok(Some(Given { text, place }))
    }

    /// The value of a setting, read. `parse` says what is wrong as the end of a sentence.
    fn read<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Result<Option<T>> {
        let Some(setting) = SETTINGS.iter().find(|s| s.name == name) else {
            return Err(Failure::new(format!("{name} is missing in the table of settings.")));
        };
        let Some(Given { text, place }) = self.get(setting)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|why| {
            let secret = setting.place != Place::Everywhere || setting.name == "database_url";
            let shown = match text.as_str() {
                "" => {
                    return Failure::new(format!(
                        "{place}: it is empty. Say for example {}, or unset it.",
                        setting.example
                    ));
                }
                _ if secret => "its value".to_owned(),
                text => format!("\"{text}\""),
            };
            Failure::new(format!("{place}: {shown} {why}. Say for example {}.", setting.example))
        })
    }

    /// The operator's plans. A file that is named must be there and right: a mistake must not lift every limit.
    fn plans(&self) -> Result<Plans> {
        let Some(file) = self.read("plans", path)? else { return Ok(Plans::default()) };
        let wrong = |why: String| Failure::new(format!("JACKFIELD_PLANS: {}: {why}.", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|e| wrong(format!("it cannot be read: {e}")))?;
        Plans::parse(&text).map_err(wrong)
    }

    fn settle(&self) -> Result<Settings> {
        let data_dir = self.read("data_dir", path)?.unwrap_or_else(|| PathBuf::from("jackfield-data"));
        let key_file = self.read("key_file", path)?;
        let key = self.read("key", |text| Ok(SecretString::from(text)))?;
        let key_command = self.read("key_command", |text| Ok(text.to_owned()))?;
        let provider = self.read("key_provider", |text| match text {
            "file" | "environment" | "command" => Ok(text.to_owned()),
            _ => Err("is none of file, environment and command"),
        })?;
        let key = match (provider.as_deref(), key, key_command) {
            (Some("environment") | None, Some(key), _) => KeySource::Environment(key),
            (Some("environment"), None, _) => {
                return Err(Failure::new(
                    "JACKFIELD_KEY: it is not set, and JACKFIELD_KEY_PROVIDER says environment. Set it to the key of the store, \
                     for a new store to the output of `openssl rand -base64 32`.",
                ));
            }
            (Some("command") | None, _, Some(command)) => KeySource::Command(command),
            (Some("command"), _, None) => {
                return Err(Failure::new(
                    "JACKFIELD_KEY_COMMAND: it is not set, and JACKFIELD_KEY_PROVIDER says command. Set it to a command that \
                     prints the key.",
                ));
            }
            _ => KeySource::File(key_file.unwrap_or_else(|| data_dir.join("key"))),
        };
        let database_url = self.read("database_url", database)?;
        Ok(Settings {
            listen: self.read("listen", address)?.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8484))),
            public_url: self.read("public_url", public_url)?,
            database_url: database_url
                .unwrap_or_else(|| format!("sqlite:{}", data_dir.join("jackfield.db").display())),
            data_dir,
            database_connections: self
                .read("database_connections", |text| {
                    text.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or("is no number from 1 to 1000")
                })?
                .unwrap_or(10),
            key,
            trusted_proxies: self.read("trusted_proxies", networks)?.unwrap_or_default(),
            egress_allow: self.read("egress_allow", networks)?.unwrap_or_default(),
            egress_roots: self.read("egress_roots", path)?,
            plans: self.plans()?,
            flow_ttl: self.read("flow_ttl", seconds)?.unwrap_or(Duration::from_secs(90)),
            device_flow_ttl: self.read("device_flow_ttl", seconds)?.unwrap_or(Duration::from_mins(15)),
            request_limit: self.read("request_limit", size)?.unwrap_or(16 << 20),
            file_limit: self.read("file_limit", size)?.unwrap_or(10 << 20),
            response_limit: self.read("response_limit", size)?.unwrap_or(16 << 20),
            smtp_url: self.read("smtp_url", smtp)?,
            mail_from: self.read("mail_from", mailbox)?,
            log: self.read("log", filter)?.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)),
            log_format: self
                .read("log_format", |text| match text {
                    "text" => Ok(LogFormat::Text),
                    "json" => Ok(LogFormat::Json),
                    _ => Err("is neither text nor json"),
                })?
                .unwrap_or(LogFormat::Text),
            file: None,
            mistyped: Vec::new(),
        })
    }
}

/// What a variable was probably meant to be: only where it is close to a name of ours, as orchestrators make variables with our prefix too.
fn suggest_variable(name: &str) -> Option<String> {
    let known = || SETTINGS.iter().map(Setting::variable).chain([CONFIG, URL, API_KEY].map(str::to_owned));
    if !name.starts_with("JACKFIELD_") || known().any(|known| known == name) {
        return None;
    }
    names::nearest(name, known())
}

/// `docs/reference/settings.md`.
pub fn reference() -> String {
    let mut page = format!(
        "# Settings\n\n\
         <!-- Written by `jackfield reference settings` from crates/jackfield/src/settings.rs. Change the table there. -->\n\n\
         Jackfield runs without any. A setting comes from its default, from `{FILE}`, from the environment or from a flag; each of\n\
         these goes before the ones named earlier. `{FILE}` is looked for in the folder where the program runs; `--config` or\n\
         `{CONFIG}` name another file. What is no setting is refused by name, and so is an unusable value.\n\n\
         ```toml\n\
         # {FILE}\n\
         listen = \"0.0.0.0:8484\"\n\
         public_url = \"https://jackfield.example.com\"\n\
         egress_allow = [\"10.20.0.0/16\"]\n\
         ```\n"
    );
    for setting in SETTINGS {
        let _ = write!(page, "\n## {}\n\n{}.", setting.variable(), setting.about);
        if !setting.more.is_empty() {
            let _ = write!(page, " {}", setting.more);
        }
        page.push_str("\n\n");
        match setting.place {
            Place::Everywhere => {
                let _ = writeln!(page, "- in the file: `{}`; flag: `--{}`", setting.name, setting.flag);
            }
            Place::NoFlag => {
                let _ = writeln!(page, "- in the file: `{}`; no flag", setting.name);
            }
            Place::EnvironmentOnly => page.push_str("- from the environment only\n"),
        }
        let _ = writeln!(page, "- default: {}\n- for example: {}", setting.default, setting.example);
    }
    let _ = write!(
        page,
        "\n## For the commands that talk to a server\n\n\
         `{URL}` and `{API_KEY}` say where it is and who you are. Flags (`--url`, `--key`) go before them, and what\n\
         `jackfield login` saved comes after them.\n"
    );
    page
}
