use super::*;

fn settle(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Result<Settings> {
    let flags = flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let table = parse_file(Path::new("jackfield.toml"), file)?;
    let environment = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, text)| OsString::from(text))
    };
    Layers { flags: &flags, environment: &environment, file: &table }.settle()
}

fn refusal(environment: &[(&str, &str)], file: &str) -> String {
    settle(&[], environment, file).err().unwrap().message
}

#[test]
fn names_and_flags_go_together() {
    for setting in SETTINGS {
        assert_eq!(setting.flag, setting.name.replace('_', "-"));
        assert!(!setting.about.ends_with('.') && (setting.more.is_empty() || setting.more.ends_with('.')));
    }
}

#[test]
fn nothing_is_needed() {
    let settings = settle(&[], &[], "").unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8484");
    assert_eq!(settings.database_url, "sqlite:jackfield-data/jackfield.db");
    assert!(matches!(settings.key, KeySource::File(path) if path == Path::new("jackfield-data/key")));
    assert_eq!(settings.flow_ttl, Duration::from_secs(90));
    assert_eq!((settings.request_limit, settings.response_limit), (16 << 20, 16 << 20));
    assert!(settings.egress_allow.is_empty() && settings.public_url.is_none());
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_defaults() {
    let file = "flow_ttl = 10\nlisten = \"127.0.0.1:1\"\nlog_format = \"json\"";
    let environment = [("JACKFIELD_FLOW_TTL", "20"), ("JACKFIELD_LISTEN", "127.0.0.1:2")];
    let settings = settle(&[("flow_ttl", "30")], &environment, file).unwrap();
    assert_eq!(settings.flow_ttl.as_secs(), 30);
    assert_eq!(settings.listen.port(), 2);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.database_connections, 10);
}

#[test]
fn an_unusable_value_is_named_with_its_place_and_a_mend() {
    for (variable, value, expected) in [
        (
            "JACKFIELD_FLOW_TTL",
            "abc",
            "JACKFIELD_FLOW_TTL: \"abc\" is no whole number of seconds. Say for example 90.",
        ),
        (
            "JACKFIELD_FLOW_TTL",
            "0",
            "JACKFIELD_FLOW_TTL: \"0\" is not between 1 and 86400 seconds. Say for example 90.",
        ),
        ("JACKFIELD_FLOW_TTL", "", "JACKFIELD_FLOW_TTL: it is empty. Say for example 90, or unset it."),
        (
            "JACKFIELD_LISTEN",
            "8484",
            "JACKFIELD_LISTEN: \"8484\" is no address with a port. Say for example 127.0.0.1:8484.",
        ),
        ("JACKFIELD_PUBLIC_URL", "ftp://a", "JACKFIELD_PUBLIC_URL: \"ftp://a\" begins neither with https://"),
        (
            "JACKFIELD_DATABASE_URL",
            "mysql://u:hunter2@h",
            "JACKFIELD_DATABASE_URL: its value begins neither with sqlite:",
        ),
        (
            "JACKFIELD_EGRESS_ALLOW",
            "10.0.0.0/8,inside",
            "JACKFIELD_EGRESS_ALLOW: \"10.0.0.0/8,inside\" is no list of networks",
        ),
        (
            "JACKFIELD_REQUEST_LIMIT",
            "many",
            "JACKFIELD_REQUEST_LIMIT: \"many\" is no number of bytes. Say for example 16m.",
        ),
        (
            "JACKFIELD_RESPONSE_LIMIT",
            "2000m",
            "JACKFIELD_RESPONSE_LIMIT: \"2000m\" is not between 1 byte and 1024m.",
        ),
        (
            "JACKFIELD_KEY_PROVIDER",
            "vault",
            "JACKFIELD_KEY_PROVIDER: \"vault\" is none of file, environment and command.",
        ),
        ("JACKFIELD_KEY_PROVIDER", "environment", "JACKFIELD_KEY: it is not set"),
        ("JACKFIELD_KEY_PROVIDER", "command", "JACKFIELD_KEY_COMMAND: it is not set"),
        ("JACKFIELD_LOG", "loud", "JACKFIELD_LOG: \"loud\" is no filter of log levels. Say for example info"),
        ("JACKFIELD_LOG_FORMAT", "xml", "JACKFIELD_LOG_FORMAT: \"xml\" is neither text nor json."),
        (
            "JACKFIELD_DATABASE_CONNECTIONS",
            "0",
            "JACKFIELD_DATABASE_CONNECTIONS: \"0\" is no number from 1 to 1000.",
        ),
    ] {
        let shown = refusal(&[(variable, value)], "");
        assert!(shown.starts_with(expected), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let shown = settle(&[("flow_ttl", "x")], &[], "").err().unwrap().message;
    assert!(shown.starts_with("--flow-ttl: \"x\" is no whole"), "{shown}");
    assert!(refusal(&[], "flow_ttl = true").starts_with("flow_ttl in jackfield.toml: it is a boolean."));
    assert!(refusal(&[], "flow_ttl = \"x\"").starts_with("flow_ttl in jackfield.toml: \"x\" is no whole"));
}

#[test]
fn what_is_no_setting_is_refused_by_name() {
    assert_eq!(
        refusal(&[], "listn = \"x\""),
        "jackfield.toml: \"listn\" is no setting. Did you mean listen?"
    );
    assert_eq!(
        refusal(&[], "colour = \"x\""),
        "jackfield.toml: \"colour\" is no setting. `jackfield serve --help` lists the settings."
    );
    assert!(refusal(&[], "key = \"hunter2\"").contains("Set JACKFIELD_KEY in the environment"));
    let shown = refusal(&[], "listen = \"a\"\ndatabase_url = \"postgres://u:hunter2@h\" x");
    assert!(shown.starts_with("jackfield.toml: line 2 is no TOML") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_key_comes_from_where_it_is_set() {
    let source = |environment: &[(&str, &str)]| match settle(&[], environment, "").unwrap().key {
        KeySource::File(_) => "file",
        KeySource::Environment(_) => "environment",
        KeySource::Command(_) => "command",
    };
    let (key, command) = (("JACKFIELD_KEY", "k"), ("JACKFIELD_KEY_COMMAND", "c"));
    assert_eq!(source(&[]), "file");
    assert_eq!(source(&[("JACKFIELD_KEY", "")]), "environment", "and empty it is refused there");
    assert_eq!(source(&[command]), "command");
    assert_eq!(source(&[key, command]), "environment");
    assert_eq!(source(&[key, command, ("JACKFIELD_KEY_PROVIDER", "command")]), "command");
    assert_eq!(source(&[key, ("JACKFIELD_KEY_PROVIDER", "file")]), "file");
}

#[test]
fn networks_sizes_and_addresses() {
    let settings = settle(
        &[],
        &[("JACKFIELD_EGRESS_ALLOW", "127.0.0.1, 10.1.2.3/8,fd00::/8,"), ("JACKFIELD_REQUEST_LIMIT", "64K")],
        "response_limit = 1000\npublic_url = \"https://Jackfield.Example.com/\"",
    )
    .unwrap();
    let shown: Vec<String> = settings.egress_allow.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"]);
    assert_eq!((settings.request_limit, settings.response_limit), (65_536, 1000));
    assert_eq!(settings.public_url.as_deref(), Some("https://jackfield.example.com"));
    assert_eq!(settings.public_url("0.0.0.0:80".parse().unwrap()), "https://jackfield.example.com");
    let list = settle(&[], &[], "egress_allow = [\"10.0.0.0/8\", \"::1\"]").unwrap();
    assert_eq!(list.egress_allow.len(), 2);
    assert_eq!(list.public_url("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
    assert_eq!(list.public_url("[::1]:80".parse().unwrap()), "http://[::1]:80");
    assert!(settle(&[], &[("JACKFIELD_EGRESS_ALLOW", "")], "").unwrap().egress_allow.is_empty());
}

#[test]
fn mistyped_variables_are_recognized_and_others_left_alone() {
    assert_eq!(suggest_variable("JACKFIELD_LISTN").as_deref(), Some("JACKFIELD_LISTEN"));
    assert_eq!(suggest_variable("JACKFIELD_EGRES_ALLOW").as_deref(), Some("JACKFIELD_EGRESS_ALLOW"));
    for name in ["JACKFIELD_LISTEN", "JACKFIELD_PORT", "JACKFIELD_SERVICE_HOST", "HOME", "JACKFIELD_API_KEY"]
    {
        assert_eq!(suggest_variable(name), None, "{name}");
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/settings.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == reference(),
        "write it anew: cargo run -- reference settings > docs/reference/settings.md"
    );
}
