//! `cargo xtask catalogue import SERVICES.csv [SCOPES.csv]`: begins connector files from a table of facts, where it says all that a
//! file needs. What it cannot say, a description and where a person finds a value, is left to whoever mends the file; the tests of
//! the catalogue name what is missing. A file that is there is never touched.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// How many sources must agree.
const AGREE: u32 = 2;

type Row = BTreeMap<String, String>;

pub fn import(root: &Path, services: &str, scopes: Option<&str>) -> Result<(), String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let mut by_slug: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    if let Some(path) = scopes {
        for row in table(&read(path)?) {
            by_slug.entry(said(&row, "slug").to_owned()).or_default().push(row);
        }
    }
    let mut begun = 0_u32;
    for row in table(&read(services)?) {
        let slug = said(&row, "slug");
        let link = slug.replace('-', "_");
        let path = root.join("connectors").join(format!("{link}.toml"));
        if path.exists() {
            continue;
        }
        match document(&row, by_slug.get(slug).map_or(&[], Vec::as_slice)) {
            Ok(text) => {
                std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
                println!("begun: connectors/{link}.toml");
                begun += 1;
            }
            Err(why) => println!("left out: {slug}: {why}"),
        }
    }
    println!("{begun} begun. Each needs a description and helps: cargo test -p jackfield-core connector");
    Ok(())
}

fn said<'r>(row: &'r Row, name: &str) -> &'r str {
    row.get(name).map_or("", String::as_str)
}

/// The rows of a CSV text (RFC 4180), by the names in its first line.
fn table(text: &str) -> Vec<Row> {
    let mut lines: Vec<Vec<String>> = vec![vec![String::new()]];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(cells) = lines.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                push(cells, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            '\n' if !quoted => lines.push(vec![String::new()]),
            '\r' if !quoted => {}
            other => push(cells, other),
        }
    }
    let mut lines = lines.into_iter();
    let names = lines.next().unwrap_or_default();
    let whole = |cells: &Vec<String>| cells.len() == names.len();
    lines.filter(whole).map(|cells| names.iter().cloned().zip(cells).collect()).collect()
}

fn push(cells: &mut [String], letter: char) {
    if let Some(cell) = cells.last_mut() {
        cell.push(letter);
    }
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The file of a row, or why it cannot be begun from the table alone.
fn document(row: &Row, scopes: &[Row]) -> Result<String, &'static str> {
    let agree: u32 = said(row, "agree").parse().unwrap_or_default();
    if agree < AGREE {
        return Err("too few sources agree");
    }
    if !said(row, "url_variables").is_empty() {
        return Err("its URLs have variables, which somebody has to explain");
    }
    let base = said(row, "api_base_url").trim_end_matches('/');
    if !base.starts_with("https://") {
        return Err("no base URL");
    }
    let kind = said(row, "auth_type");
    let auth = match kind {
        "oauth2_authorization_code" => oauth2(row)?,
        "api_key" => api_key(row)?,
        _ => return Err("the table does not say all that this scheme needs"),
    };
    let mut out = String::new();
    let mut line =
        |name: &str, value: &str| writeln!(out, "{name} = {}", quoted(value)).map_err(|_| "too long");
    line("name", said(row, "name"))?;
    line("link_name", &said(row, "slug").replace('-', "_"))?;
    line("category", said(row, "category"))?;
    line("documentation_url", said(row, "docs_url"))?;
    line("base_url", base)?;
    if kind == "oauth2_authorization_code" && !scopes.is_empty() {
        out.push_str("scopes = [\n");
        for scope in scopes {
            let (name, label) = (quoted(said(scope, "scope")), quoted(said(scope, "description")));
            let access = quoted(said(scope, "access"));
            writeln!(out, "  {{ name = {name}, label = {label}, access = {access} }},")
                .map_err(|_| "too long")?;
        }
        out.push_str("]\n");
    }
    out.push_str("verified = \"sources\"\n");
    writeln!(out, "notes = {}", quoted(&format!("{agree} public sources agree."))).map_err(|_| "too long")?;
    if kind == "api_key" {
        writeln!(out, "\n[test]\npath = {}", quoted(said(row, "test_path"))).map_err(|_| "too long")?;
    }
    out.push_str("\n[auth]\n");
    out.push_str(&auth);
    Ok(out)
}

fn oauth2(row: &Row) -> Result<String, &'static str> {
    let (authorize, token) = (said(row, "authorization_url"), said(row, "token_url"));
    if !authorize.starts_with("https://") || !token.starts_with("https://") {
        return Err("an endpoint is missing");
    }
    let mut out = String::from("type = \"oauth2_code\"\n");
    let mut line = |name: &str, value: &str| writeln!(out, "{name} = {value}").map_err(|_| "too long");
    line("authorize_url", &quoted(authorize))?;
    line("token_url", &quoted(token))?;
    match said(row, "token_auth_method") {
        "" => {}
        method => line("client_authentication", &quoted(method))?,
    }
    match said(row, "scope_separator") {
        "comma" => line("scope_delimiter", "\",\"")?,
        "semicolon" => line("scope_delimiter", "\";\"")?,
        "plus" => line("scope_delimiter", "\"+\"")?,
        _ => {}
    }
    let more: Vec<String> = said(row, "extra_authorize_params")
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| format!("{name} = {}", quoted(value)))
        .collect();
    if !more.is_empty() {
        line("authorize_parameters", &format!("{{ {} }}", more.join(", ")))?;
    }
    Ok(out)
}

/// One key in a header or the query; what is placed otherwise is written by hand.
fn api_key(row: &Row) -> Result<String, &'static str> {
    let placement = said(row, "credential_placement");
    let test = said(row, "test_path");
    if test.is_empty() || test.starts_with("POST ") {
        return Err("no cheap call is known that proves a key");
    }
    if placement.contains("; ") {
        return Err("the credential has several parts");
    }
    let field = |place: &str, name: &str, prefix: &str| {
        let prefix = if prefix.is_empty() { String::new() } else { format!(", prefix = {}", quoted(prefix)) };
        let (place, name) = (quoted(place), quoted(name));
        format!(
            "type = \"api_key\"\nfields = [\n  {{ name = \"api_key\", label = \"API key\", in = {place}, as = {name}{prefix} }},\n]\n"
        )
    };
    if let Some(name) = placement.strip_prefix("query:") {
        return Ok(field("query", name, ""));
    }
    let header = placement.strip_prefix("header:").and_then(|rest| rest.split_once(": "));
    let (name, prefix) = header
        .and_then(|(name, format)| Some((name, format.strip_suffix("{api_key}")?)))
        .ok_or("how the key is sent has to be described by hand")?;
    Ok(field("header", name, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "slug,name,category,docs_url,auth_type,authorization_url,token_url,scope_separator,token_auth_method,extra_authorize_params,url_variables,api_base_url,credential_placement,test_path,agree\n";

    fn one(line: &str) -> Result<String, &'static str> {
        document(
            &table(&format!("{HEAD}{line}\n"))[0],
            &table("slug,scope,description,access\na,read,\"Read, \"\"all\"\"\",read\n"),
        )
    }

    #[test]
    fn what_the_table_says_becomes_a_file() {
        let text = one("a-b,A,CRM,https://a.example/docs,oauth2_authorization_code,https://a.example/a,https://a.example/t,comma,client_secret_post,access_type=offline&x=y,,https://api.a.example/,,,3").unwrap();
        for line in [
            "link_name = \"a_b\"",
            "base_url = \"https://api.a.example\"",
            "  { name = \"read\", label = \"Read, \\\"all\\\"\", access = \"read\" },",
            "client_authentication = \"client_secret_post\"",
            "scope_delimiter = \",\"",
            "authorize_parameters = { access_type = \"offline\", x = \"y\" }",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("description"), "that is for a person to write");
        let key = one("k,K,AI,https://k.example,api_key,,,,,,,https://k.example,header:Authorization: Bearer {api_key},/me,2").unwrap();
        assert!(key.contains("in = \"header\", as = \"Authorization\", prefix = \"Bearer \""), "{key}");
    }

    #[test]
    fn what_it_does_not_say_is_left_out() {
        for (line, why) in [
            ("a,A,CRM,,oauth2_authorization_code,https://a/a,https://a/t,,,,,https://a,,,1", "too few"),
            (
                "a,A,CRM,,oauth2_authorization_code,https://{s}.a/a,https://a/t,,,,{s},https://a,,,3",
                "variables",
            ),
            ("a,A,CRM,,oauth2_authorization_code,http://a/a,https://a/t,,,,,https://a,,,3", "endpoint"),
            ("a,A,CRM,,oauth2_authorization_code,https://a/a,https://a/t,,,,,,,,3", "base URL"),
            ("a,A,CRM,,api_key,,,,,,,https://a,header:X: {api_key},,3", "cheap call"),
            ("a,A,CRM,,api_key,,,,,,,https://a,signature: v4,/me,3", "by hand"),
            ("a,A,CRM,,oauth1,https://a/a,https://a/t,,,,,https://a,,,3", "scheme"),
        ] {
            assert!(one(line).unwrap_err().contains(why), "{line}");
        }
    }
}
