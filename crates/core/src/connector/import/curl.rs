//! A connector out of a cURL command. Values that may be secrets are never taken over: in their place stands a field that people are asked for.

use serde_json::{Map, Value, json};

use super::{Draft, Offered, Report, connector_name, origin_and_path, put, snake, word};
use crate::error::{Error, Result};

/// Longest command, in bytes.
const COMMAND_MAX: usize = 256 * 1024;

/// Options that take a value which matters here.
const KNOWN: &[(&str, &str)] = &[
    ("-X", "--request"),
    ("-H", "--header"),
    ("-u", "--user"),
    ("-d", "--data"),
    ("-F", "--form"),
    ("-b", "--cookie"),
    ("-A", "--user-agent"),
    ("-e", "--referer"),
];
/// Long ones without a letter.
const LONG: &[&str] = &[
    "--data-raw",
    "--data-binary",
    "--data-ascii",
    "--data-urlencode",
    "--json",
    "--url",
    "--url-query",
    "--oauth2-bearer",
    "--form-string",
];
/// Options whose value is of no matter here.
const VALUED: &[&str] = &[
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "-w",
    "--write-out",
    "-x",
    "--proxy",
    "--cacert",
    "-E",
    "--cert",
    "--key",
    "-c",
    "--cookie-jar",
    "-T",
    "--upload-file",
    "-D",
    "--dump-header",
    "--resolve",
    "--ciphers",
    "-Y",
    "-y",
    "-z",
    "-r",
    "--range",
    "-K",
    "--config",
    "--limit-rate",
    "--max-redirs",
    "--proto",
    "--interface",
];

/// Splits a command as a POSIX shell does; expansions stay as they are written.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\\' => match chars.next() {
                // A line goes on; Windows ends lines with two characters.
                Some('\n') | None => {}
                Some('\r') if chars.peek() == Some(&'\n') => drop(chars.next()),
                Some(c) => word.get_or_insert_default().push(c),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quotation mark is not closed")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '$' if chars.peek() == Some(&'\'') => {
                chars.next();
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quotation mark is not closed")? {
                        '\'' => break,
                        '\\' => match chars.next().ok_or("a quotation mark is not closed")? {
                            'n' => word.push('\n'),
                            't' => word.push('\t'),
                            'r' => word.push('\r'),
                            c => word.push(c),
                        },
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quotation mark is not closed")? {
                        '"' => break,
                        '\\' => match chars.next().ok_or("a quotation mark is not closed")? {
                            '\n' => {}
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            // What follows is another command, or a comment.
            ';' | '|' | '&' | '<' | '>' | '#' if word.is_none() => break,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// What a command says.
#[derive(Default)]
struct Command {
    url: Option<String>,
    method: Option<String>,
    headers: Vec<(String, String)>,
    user: Option<String>,
    data: Vec<String>,
    json: bool,
    get: bool,
    query: Vec<String>,
}

fn parse(text: &str, report: &mut Report) -> Result<Command> {
    let wrong = |message: &str| Error::field("curl", "invalid", message.to_owned());
    if text.len() > COMMAND_MAX {
        return Err(wrong("The command is too long."));
    }
    let all = words(text).map_err(wrong)?;
    let mut all = all
        .into_iter()
        .skip_while(|word| word == "$" || word == "curl" || word.ends_with("/curl") || word == "curl.exe");
    let mut command = Command::default();
    while let Some(word) = all.next() {
        let (option, mut value) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        if !option.starts_with('-') || option == "-" {
            command.url.get_or_insert(word);
            continue;
        }
        let mut options = vec![option];
        // `-sSL`, `-XPOST`: letters together, the last with its value.
        if let Some(first) = options.first().filter(|o| !o.starts_with("--") && o.len() > 2).cloned() {
            options.clear();
            let letters: Vec<char> = first.chars().skip(1).collect();
            for (n, letter) in letters.iter().enumerate() {
                let option = format!("-{letter}");
                let takes =
                    KNOWN.iter().any(|(short, _)| *short == option) || VALUED.contains(&option.as_str());
                options.push(option);
                if takes {
                    let rest: String = letters.iter().skip(n + 1).collect();
                    value = (!rest.is_empty()).then_some(rest);
                    break;
                }
            }
        }
        for option in options {
            let long =
                KNOWN.iter().find(|(short, _)| *short == option).map_or(option.as_str(), |(_, long)| *long);
            let matters = KNOWN.iter().any(|(_, known)| *known == long) || LONG.contains(&long);
            if !matters {
                if VALUED.contains(&option.as_str()) && value.take().is_none() {
                    all.next();
                }
                match long {
                    "-G" | "--get" => command.get = true,
                    "-I" | "--head" => command.method = Some("HEAD".to_owned()),
                    "-k" | "--insecure" => {
                        report.note(option, "Left out: certificates are always checked.");
                    }
                    _ => {}
                }
                continue;
            }
            let Some(value) = value.take().or_else(|| all.next()) else {
                return Err(wrong(&format!("{option} has no value.")));
            };
            match long {
                "--request" => command.method = Some(value.to_ascii_uppercase()),
                "--header" => {
                    if let Some((name, value)) = value.split_once(':') {
                        command.headers.push((name.trim().to_owned(), value.trim().to_owned()));
                    }
                }
                "--user" => command.user = Some(value),
                "--oauth2-bearer" => {
                    command.headers.push(("Authorization".to_owned(), format!("Bearer {value}")));
                }
                "--json" => {
                    command.json = true;
                    command.data.push(value);
                }
                "--url" => command.url = Some(value),
                "--url-query" => command.query.push(value),
                "--form" | "--form-string" => {
                    report.note(option, "Left out: files and multipart forms are no part of a connector.");
                }
                "--cookie" => command.headers.push(("Cookie".to_owned(), value)),
                "--user-agent" | "--referer" => {}
                _ => command.data.push(value),
            }
        }
    }
    Ok(command)
}

/// Whether the name of a header or parameter says that it proves who asks.
fn proves(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "token", "secret", "auth", "password", "passwd", "signature", "credential", "session", "cookie"]
        .iter()
        .any(|word| name.contains(word))
        || ["sig", "pwd", "pass", "appid"].contains(&name.as_str())
}

/// Whether a value looks as nobody writes by hand.
fn is_random(value: &str) -> bool {
    value.len() >= 16
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~+/=".contains(&b))
        && value.bytes().any(|b| b.is_ascii_digit())
        && value.bytes().any(|b| b.is_ascii_alphabetic())
}

fn key_field(place: &str, name: &str, prefix: Option<&str>) -> Value {
    let mut field = Map::new();
    let own = if name.eq_ignore_ascii_case("authorization") { "token".to_owned() } else { word(name) };
    field.insert("name".to_owned(), own.clone().into());
    put(&mut field, "label", Some(if own == "token" { "Token".to_owned() } else { name.to_owned() }));
    field.insert("in".to_owned(), place.into());
    if own != name {
        field.insert("as".to_owned(), name.into());
    }
    put(&mut field, "prefix", prefix);
    Value::Object(field)
}

fn parameters(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
        Value::Null | Value::String(_) => "string",
    }
}

/// A draft out of a command.
pub fn from_curl(text: &str, name: Option<&str>) -> Result<Draft> {
    let mut report = Report::default();
    let command = parse(text, &mut report)?;
    let wrong = |message: &str| Error::field("curl", "invalid", message.to_owned());
    let Some(url) = command.url else { return Err(wrong("The command names no address.")) };
    if !url.contains(['.', ':', '/']) {
        return Err(wrong("The command names no address. Paste all of it, from curl to its URL."));
    }
    let url = if url.contains("://") { url } else { format!("https://{url}") };
    let parsed = url::Url::parse(&url).map_err(|_| wrong("The address of the command cannot be read."))?;
    let (origin, path) =
        origin_and_path(&url).ok_or_else(|| wrong("The address must begin with https:// or http://."))?;
    let mut keys: Vec<Value> = Vec::new();
    let mut basic = command.user.is_some() || !parsed.username().is_empty() || parsed.password().is_some();
    let mut headers = Map::new();
    let mut form = false;
    for (name, value) in &command.headers {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "authorization" => match value.split_once(' ') {
                Some((scheme, _)) if scheme.eq_ignore_ascii_case("basic") => basic = true,
                Some((scheme, _)) => keys.push(key_field("header", name, Some(&format!("{scheme} ")))),
                None => keys.push(key_field("header", name, None)),
            },
            "content-type" => form = value.starts_with("application/x-www-form-urlencoded"),
            "accept" => {
                headers.insert(name.clone(), value.as_str().into());
            }
            _ if proves(name) => keys.push(key_field("header", name, None)),
            _ if lower.contains("version") && !is_random(value) && !value.contains(['{', '}']) => {
                headers.insert(name.clone(), value.as_str().into());
            }
            "user-agent" | "host" | "content-length" | "connection" | "origin" | "referer" | "accept-encoding" | "accept-language" => {}
            _ => report.note(
                format!("header {name}"),
                "Left out: what it is for is not known, and its value may be secret. Write it under headers if every call needs it.",
            ),
        }
    }
    let mut fields: Vec<Value> = Vec::new();
    let mut query = parameters(parsed.query().unwrap_or(""));
    query.extend(command.query.iter().flat_map(|text| parameters(text)));
    let mut body: Vec<(String, &'static str)> = Vec::new();
    let data = command.data.join("&");
    if command.get {
        query.extend(parameters(&data));
    } else if !data.is_empty() {
        match serde_json::from_str::<Value>(&data) {
            Ok(Value::Object(members)) if !form => {
                body.extend(members.iter().map(|(name, value)| (name.clone(), kind_of(value))));
            }
            Ok(_) if !form => {
                report.note("--data", "Left out: the body is no JSON object, so it has no fields.");
            }
            _ if command.json => report.note("--json", "Left out: the body is no JSON."),
            _ if data.starts_with('@') => report.note("--data", "Left out: the body stands in a file."),
            _ => {
                form = true;
                body.extend(parameters(&data).into_iter().map(|(name, _)| (name, "string")));
            }
        }
    }
    for (name, value) in query {
        if proves(&name) || is_random(&value) {
            keys.push(key_field("query", &name, None));
        } else {
            fields.push(json!({"name": name, "in": "query"}));
        }
    }
    let has_body = !body.is_empty();
    for (name, kind) in body {
        if proves(&name) {
            keys.push(key_field("body", &name, None));
        } else {
            fields.push(json!({"name": name, "type": kind, "in": "body"}));
        }
    }
    let method = command.method.unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
    let (root, rest) = root_of(&path);
    let (operation_path, ids) = with_ids(rest, &mut report);
    fields.splice(0..0, ids.into_iter().map(|id| json!({"name": id, "required": true})));
    let host = parsed.host_str().unwrap_or("service");
    let title = host.strip_prefix("api.").or_else(|| host.strip_prefix("www.")).unwrap_or(host);
    let title = name.map_or_else(
        || connector_name(title.split('.').next().unwrap_or(title), "Imported"),
        |name| connector_name(name, "Imported"),
    );
    let mut document = Map::new();
    document.insert("name".to_owned(), title.into());
    document.insert("base_url".to_owned(), format!("{origin}{root}").into());
    if !headers.is_empty() {
        document.insert("headers".to_owned(), headers.into());
    }
    let mut names = std::collections::BTreeSet::new();
    keys.retain(|key| names.insert(key.get("name").map(ToString::to_string)));
    let auth = match (basic, keys.is_empty()) {
        (true, _) => {
            if !keys.is_empty() {
                report.note("Authorization", "User and password are asked for; the other credentials were left out, since a connector has one way to sign in.");
            }
            json!({"type": "basic"})
        }
        (false, false) => json!({"type": "api_key", "fields": keys}),
        (false, true) => {
            report.note("auth", "The command shows no credential.");
            json!({"type": "none"})
        }
    };
    document.insert("auth".to_owned(), auth);
    if method == "GET" && !operation_path.contains('{') && !fields.iter().any(|f| f.get("required").is_some())
    {
        document.insert(
            "test".to_owned(),
            json!({"path": if operation_path.is_empty() { "/" } else { operation_path.as_str() }}),
        );
    } else {
        report.note("test", "Give a cheap call that proves a credential.");
    }
    let mut operation = Map::new();
    operation.insert("method".to_owned(), method.as_str().into());
    operation.insert(
        "path".to_owned(),
        if operation_path.is_empty() { "/".into() } else { operation_path.as_str().into() },
    );
    if form && has_body {
        operation.insert("body_encoding".to_owned(), "form".into());
    }
    if !fields.is_empty() {
        operation.insert("fields".to_owned(), fields.into());
    }
    let id = format!("{method} {operation_path}");
    let segment = operation_path.split('/').find(|s| !s.is_empty() && !s.contains('{')).unwrap_or("call");
    let module = snake(segment);
    let verb = match method.as_str() {
        "POST" => "create",
        "PUT" | "PATCH" => "update",
        "DELETE" => "delete",
        _ => "read",
    };
    let taken = super::super::Method::parse(&method).is_some();
    if taken {
        document.insert("modules".to_owned(), json!({&module: {"operations": {verb: operation}}}));
    } else {
        report.note(&id, "Left out: no operation has this method.");
    }
    report.note("base_url", "Look where the root of the API ends and the path of the call begins.");
    let offered = vec![Offered { id, summary: None, module, taken }];
    Ok(report.done(Value::Object(document), offered))
}

/// The part of a path that every call has: `/api`, `/v1`, `/rest/2024-01`.
fn root_of(path: &str) -> (&str, &str) {
    let of_root = |segment: &str| {
        let digits = segment.strip_prefix('v').unwrap_or(segment);
        matches!(segment, "api" | "rest")
            || (!digits.is_empty()
                && digits.len() <= 10
                && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'))
                && (segment.starts_with('v') || segment.contains('-')))
    };
    let mut end = 0;
    for segment in path.split('/').skip(1) {
        if !of_root(segment) {
            break;
        }
        end += segment.len() + 1;
    }
    path.split_at_checked(end).unwrap_or(("", path))
}

/// Segments that name one thing become fields.
fn with_ids(path: &str, report: &mut Report) -> (String, Vec<String>) {
    let mut ids = Vec::new();
    let mut segments = Vec::new();
    for segment in path.split('/') {
        let is_number = !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit());
        let is_variable = segment.starts_with([':', '$', '{', '<']) && segment.len() > 1;
        if is_number || is_variable || is_random(segment) || segment.contains(['{', '}']) {
            let wanted = if is_variable { word(segment).to_lowercase() } else { "id".to_owned() };
            let mut name = wanted.clone();
            for n in 2.. {
                if !ids.contains(&name) {
                    break;
                }
                name = format!("{wanted}_{n}");
            }
            segments.push(format!("{{{name}}}"));
            report.note("path", format!("A part of the path became the field {name}."));
            ids.push(name);
        } else {
            segments.push(segment.to_owned());
        }
    }
    (segments.join("/"), ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> Draft {
        let draft = from_curl(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(draft.faults.is_empty(), "{text}: {:?} {}", draft.faults, draft.document);
        draft
    }

    #[test]
    fn words_are_those_of_a_shell() {
        let text = "curl -H 'a: \"b\"' \\\n  -d \"x=\\\"1\\\" \\$y\" $'t\\tab' a\\ b'c' \"\" # rest\n | jq";
        assert_eq!(words(text).unwrap(), ["curl", "-H", "a: \"b\"", "-d", "x=\"1\" $y", "t\tab", "a bc", ""]);
        assert!(words("curl 'x").is_err() && words("curl \"x").is_err());
    }

    #[test]
    fn credentials_become_fields_and_are_never_kept() {
        let secret = "sk_live_51Hk2jQ3TzWq8";
        for (command, auth, place) in [
            (format!("curl https://api.acme.example/v1/charges -u {secret}:"), "basic", None),
            (
                format!("curl -H 'Authorization: Basic {secret}' https://api.acme.example/v1/me"),
                "basic",
                None,
            ),
            (format!("curl https://{secret}:x@api.acme.example/v1/me"), "basic", None),
            (
                format!("curl --header 'Authorization: Bearer {secret}' https://api.acme.example/v1/me"),
                "api_key",
                Some("header"),
            ),
            (
                format!("curl -H 'X-Api-Key: {secret}' https://api.acme.example/v1/me"),
                "api_key",
                Some("header"),
            ),
            (
                format!("curl 'https://api.acme.example/v1/me?api_key={secret}&page=2'"),
                "api_key",
                Some("query"),
            ),
            (format!("curl 'https://api.acme.example/v1/me?q={secret}'"), "api_key", Some("query")),
            (
                format!("curl -G --data-urlencode 'token={secret}' https://api.acme.example/v1/me"),
                "api_key",
                Some("query"),
            ),
            (
                format!(
                    "curl --json '{{\"token\": \"{secret}\", \"text\": \"hi\"}}' https://api.acme.example/v1/say"
                ),
                "api_key",
                Some("body"),
            ),
            (
                format!("curl -XPOST -d 'token={secret}&text=hi' https://api.acme.example/v1/say"),
                "api_key",
                Some("body"),
            ),
            (
                format!("curl --oauth2-bearer={secret} https://api.acme.example/v1/me"),
                "api_key",
                Some("header"),
            ),
            (
                format!(
                    "curl -H 'X-Odd: {secret}' -b 'sid={secret}' -u a:{secret} https://api.acme.example/v1/x/{secret}"
                ),
                "basic",
                None,
            ),
        ] {
            let draft = draft(&command);
            assert_eq!(draft.document["auth"]["type"], auth, "{command}");
            if let Some(place) = place {
                assert_eq!(draft.document["auth"]["fields"][0]["in"], place, "{command}: {}", draft.document);
            }
            let all = serde_json::to_string(&draft).unwrap();
            assert!(!all.contains(secret), "{command}: {all}");
        }
    }

    #[test]
    fn a_call_becomes_an_operation() {
        let draft = draft(
            "curl -sSL --compressed -X PATCH 'https://api.acme.example/v2/customers/12345/notes?notify=yes' -H 'Accept: application/json' \
             -H 'Acme-Version: 2024-01-01' -H 'Authorization: Token abc' -H 'Content-Type: application/json' \
             --data-raw '{\"text\": \"hi\", \"pinned\": true, \"tags\": []}'",
        );
        let document = &draft.document;
        assert_eq!(
            (&document["name"], &document["base_url"]),
            (&json!("acme"), &json!("https://api.acme.example/v2"))
        );
        assert_eq!(document["headers"], json!({"Accept": "application/json", "Acme-Version": "2024-01-01"}));
        assert_eq!(
            document["auth"],
            json!({"type": "api_key", "fields": [
                {"name": "token", "label": "Token", "in": "header", "as": "Authorization", "prefix": "Token "}]})
        );
        let operation = &document["modules"]["customers"]["operations"]["update"];
        assert_eq!(
            (&operation["method"], &operation["path"]),
            (&json!("PATCH"), &json!("/customers/{id}/notes"))
        );
        let names: Vec<_> =
            operation["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["id", "notify", "pinned", "tags", "text"]);
        assert!(!document.to_string().contains("12345"));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for wrong in
            ["", "curl", "curl ftp://a.example/x", "curl 'x", "curl -H", "wget", "wget https://a.example"]
        {
            assert!(from_curl(wrong, None).is_err(), "{wrong}");
        }
        assert!(from_curl(&"x".repeat(COMMAND_MAX + 1), None).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(curl )?[-a-zA-Z0-9:/.?&='\"{}\\\\$@ \\n]{0,120}") {
            let _ = from_curl(&text, None);
        }
    }
}
