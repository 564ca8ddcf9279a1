//! Where a call may go: how a base URL and what the caller wrote become one URL, and which hosts are allowed.

use std::fmt::Write as _;

/// Why a URL is refused; a sentence for the caller that never repeats the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(pub &'static str);

/// Scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear; accepted here, the egress door decides.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port when none is written.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// An absolute URL that is safe to send: no user info, no dot segments, no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The whole URL.
    pub url: String,
    /// Its scheme.
    pub scheme: Scheme,
    /// Its host in lower case; an IPv6 address stands in brackets.
    pub host: String,
    /// Its port, when it is not the scheme's own.
    pub port: Option<u16>,
    /// Path and query, at least `/`.
    pub path_and_query: String,
}

impl Target {
    /// The port, written or not.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// `host` or `host:port`.
    pub fn authority(&self) -> String {
        let mut text = String::with_capacity(self.host.len() + 6);
        self.write_authority(&mut text);
        text
    }

    fn write_authority(&self, text: &mut String) {
        text.push_str(&self.host);
        if let Some(port) = self.port {
            // Writing to a string does not fail.
            let _ = write!(text, ":{port}");
        }
    }

    /// Whether one of the patterns allows this host and port.
    pub fn allowed_by(&self, hosts: &[String]) -> bool {
        host_allowed(hosts, &self.host, self.port, self.scheme)
    }
}

/// Joins what a caller wrote to the base URL: by concatenation with exactly one `/`. An absolute http or https URL stands as it is.
///
/// The caller's query is kept byte for byte, except that what no HTTP client can send (spaces, quotation marks, angle brackets,
/// characters beyond ASCII) is percent-encoded.
pub fn join(base_url: &str, relative_or_absolute: &str) -> Result<Target, TargetError> {
    let rest = relative_or_absolute;
    if has_web_scheme(rest) {
        return parse(rest);
    }
    check_relative(rest)?;
    if base_url.contains(['?', '#']) {
        return Err(TargetError("the base URL has a query or a fragment"));
    }
    let base = base_url.trim_end_matches('/');
    let mut joined = String::with_capacity(base_url.len() + rest.len() + 1);
    match rest.as_bytes().first() {
        None => joined.push_str(base_url),
        Some(b'?' | b'/') => joined.extend([base, rest]),
        Some(_) => joined.extend([base, "/", rest]),
    }
    parse(&joined)
}

/// A base URL that is joined often: what can be known beforehand is read once.
#[derive(Clone, Debug)]
pub struct Base {
    url: String,
    /// its root without the last `/`, when it is a URL by itself
    root: Option<Target>,
}

impl Base {
    /// Any text; what is wrong with it is told when it is joined.
    pub fn new(url: String) -> Self {
        let root = (!url.contains(['?', '#'])).then(|| parse(url.trim_end_matches('/')).ok()).flatten();
        let root = root.map(|mut root| {
            if root.path_and_query == "/" {
                root.path_and_query.clear();
                root.url.pop();
            }
            root
        });
        Self { url, root }
    }

    /// The same as [`join`].
    pub fn join(&self, relative_or_absolute: &str) -> Result<Target, TargetError> {
        let rest = relative_or_absolute;
        // Nothing in these characters can be a dot segment, name a host, or need encoding.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'?' | b'=' | b'&');
        match &self.root {
            Some(root) if rest.starts_with('/') && !rest.starts_with("//") && rest.bytes().all(plain) => {
                Ok(Target {
                    url: [&root.url, rest].concat(),
                    scheme: root.scheme,
                    host: root.host.clone(),
                    port: root.port,
                    path_and_query: [&root.path_and_query, rest].concat(),
                })
            }
            _ => join(&self.url, rest),
        }
    }
}

/// Puts scheme and host of `instance_url` in place of those of `base_url`; the path of `base_url` is kept.
pub fn rebase(base_url: &str, instance_url: &str) -> Result<String, TargetError> {
    let instance = parse(instance_url)?;
    let base = parse(base_url)?;
    let path = if base.path_and_query == "/" { "" } else { base.path_and_query.as_str() };
    Ok(format!("{}://{}{path}", instance.scheme.as_str(), instance.authority()))
}

/// Whether the text starts with `http://` or `https://`, in any case.
pub fn has_web_scheme(text: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// Reads an absolute URL.
pub fn parse(url: &str) -> Result<Target, TargetError> {
    let scheme = match url.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
        _ => return Err(TargetError("the URL does not start with https:// or http://")),
    };
    check_characters(url)?;
    let rest = url.get(scheme.as_str().len() + 3..).unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    if authority.contains('@') {
        return Err(TargetError("the URL has user info before its host"));
    }
    let (host, port) = split_port(authority)?;
    check_host(scheme, &host)?;
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    check_segments(path)?;
    let mut clean = String::with_capacity(path_and_query.len() + 1);
    if path.is_empty() {
        clean.push('/');
    }
    encode_into(&mut clean, path, |b| {
        matches!(b, b' ' | b'"' | b'<' | b'>' | b'`' | b'^' | b'{' | b'|' | b'}')
    });
    if let Some(query) = query {
        clean.push('?');
        encode_into(&mut clean, query, |b| matches!(b, b' ' | b'"' | b'<' | b'>'));
    }
    let port = port.filter(|port| *port != scheme.default_port());
    let mut target = Target { url: String::new(), scheme, host, port, path_and_query: clean };
    let mut url = String::with_capacity(target.host.len() + target.path_and_query.len() + 14);
    url.extend([scheme.as_str(), "://"]);
    target.write_authority(&mut url);
    url.push_str(&target.path_and_query);
    target.url = url;
    Ok(target)
}

/// Refuses what can never be joined to a base URL.
pub(super) fn check_relative(text: &str) -> Result<(), TargetError> {
    check_characters(text)?;
    if text.starts_with("//") {
        return Err(TargetError("the path starts with //, which would name another host"));
    }
    if text.starts_with('@') {
        return Err(TargetError("the path starts with @"));
    }
    let path = text.split('?').next().unwrap_or_default();
    let first = path.split('/').next().unwrap_or_default();
    if first.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    }) {
        return Err(TargetError(
            "only http:// and https:// URLs are called; a path whose first segment has a colon starts with /",
        ));
    }
    check_segments(path)
}

fn check_characters(text: &str) -> Result<(), TargetError> {
    // As good as every URL.
    if text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\')) {
        return Ok(());
    }
    if text.chars().any(char::is_control) {
        return Err(TargetError("the URL has a control character"));
    }
    if text.contains('#') {
        return Err(TargetError("the URL has a fragment; write %23 for the character #"));
    }
    if text.split('?').next().is_some_and(|path| path.contains('\\')) {
        return Err(TargetError("the URL has a backslash; write %5C for the character"));
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(TargetError("the URL starts or ends with a blank"));
    }
    Ok(())
}

fn split_port(authority: &str) -> Result<(String, Option<u16>), TargetError> {
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority.get(after_bracket..).and_then(|rest| rest.find(':')) {
        Some(colon) => {
            let (host, port) = authority.split_at(after_bracket + colon);
            let digits = port.trim_start_matches(':');
            let well_formed = port.len() == digits.len() + 1 && digits.bytes().all(|b| b.is_ascii_digit());
            match digits.parse::<u16>() {
                Ok(number) if well_formed && number > 0 => (host, Some(number)),
                _ => return Err(TargetError("the port is not a number from 1 to 65535")),
            }
        }
        None => (authority, None),
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// A host is plain ASCII and means the same to every parser: what `url` would rewrite (`0x7f.1`, `%41`, full-width dots) is refused.
fn check_host(scheme: Scheme, host: &str) -> Result<(), TargetError> {
    const WRONG: TargetError = TargetError("the host is not well formed");
    if host.is_empty() {
        return Err(TargetError("the URL has no host"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let characters_right = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            host.bytes().all(plain) && !host.starts_with('.') && !host.ends_with('.') && !host.contains("..")
        }
    };
    if !characters_right {
        return Err(WRONG);
    }
    // What the parser leaves as it is needs no parser, which costs more than the rest of a URL: an address in its one form, and a name
    // that is no number to anybody and holds no punycode to judge.
    let name =
        host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()));
    if bracketed.is_none() && ((name && !host.contains("xn--")) || host.parse::<std::net::Ipv4Addr>().is_ok())
    {
        return Ok(());
    }
    let seen = url::Url::parse(&format!("{}://{host}/", scheme.as_str())).map_err(|_| WRONG)?;
    if bracketed.is_none() && seen.host_str() != Some(host) {
        return Err(WRONG);
    }
    Ok(())
}

/// Refuses dot segments, however they are disguised: percent-encoded once or more, behind encoded slashes or backslashes, with
/// path parameters.
fn check_segments(path: &str) -> Result<(), TargetError> {
    // As good as every path.
    if !path.contains(['.', '%']) {
        return Ok(());
    }
    let mut seen = path.as_bytes().to_vec();
    for _ in 0..4 {
        let dotted = seen.split(|b| matches!(b, b'/' | b'\\')).any(|segment| {
            let bare = segment.split(|b| *b == b';').next().unwrap_or_default();
            matches!(bare.trim_ascii(), b"." | b"..")
        });
        if dotted {
            return Err(TargetError("the path has a dot segment (. or ..), perhaps an encoded one"));
        }
        if !seen.contains(&b'%') {
            return Ok(());
        }
        let decoded: Vec<u8> = percent_encoding::percent_decode(&seen).collect();
        if decoded == seen {
            return Ok(());
        }
        seen = decoded;
    }
    Err(TargetError("the path is percent-encoded too many times over"))
}

fn encode_into(out: &mut String, text: &str, forbidden: impl Fn(u8) -> bool) {
    if text.bytes().all(|byte| byte.is_ascii() && !forbidden(byte)) {
        return out.push_str(text);
    }
    for byte in text.bytes() {
        if byte.is_ascii() && !forbidden(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// A host pattern: `host`, `host:port`, `*.example.com`, `[::1]:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower case, without `*.`.
    host: String,
    /// Whether sub-domains are meant, at any depth, and not the host itself.
    wildcard: bool,
    /// Absent: the scheme's own port.
    port: Option<u16>,
}

impl HostPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains("://") || text.contains(['/', '?', '#', '@', '\\']) {
            return Err("a host is written without scheme and path: api.example.com or api.example.com:8443");
        }
        let (rest, wildcard) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if rest.contains('*') {
            return Err("the only wildcard is *. at the start: *.example.com");
        }
        let (host, port) = split_port(rest).map_err(|error| error.0)?;
        check_host(Scheme::Https, &host).map_err(|error| error.0)?;
        if wildcard
            && (!host.contains('.') || host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok())
        {
            return Err("a wildcard needs at least two names after it: *.example.com");
        }
        Ok(Self { host, wildcard, port })
    }

    /// Whether it allows this host. `port` is `None` for the scheme's own.
    pub fn matches(&self, host: &str, port: Option<u16>, scheme: Scheme) -> bool {
        let port = port.unwrap_or(scheme.default_port());
        if port != self.port.unwrap_or(scheme.default_port()) {
            return false;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if self.wildcard {
            // At least one character and the dot before the name.
            let Some(at) = host.len().checked_sub(self.host.len()) else { return false };
            at >= 2
                && host.as_bytes().get(at - 1) == Some(&b'.')
                && host.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(&self.host))
        } else {
            host.eq_ignore_ascii_case(&self.host)
        }
    }
}

/// Whether one of the patterns allows a host. `port` is `None` for the scheme's own; another port is another host. A pattern that
/// cannot be read allows nothing.
pub fn host_allowed(hosts: &[String], host: &str, port: Option<u16>, scheme: Scheme) -> bool {
    hosts.iter().any(|text| HostPattern::parse(text).is_ok_and(|pattern| pattern.matches(host, port, scheme)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(base: &str, rest: &str) -> String {
        join(base, rest).map_or_else(|error| format!("refused: {error}"), |target| target.url)
    }

    proptest! {
        /// What is read once is joined as if it were read each time.
        #[test]
        fn a_base_joins_as_its_text_does(
            base in "(https?|HTTPS|ftp)://(h|H\\.example|127\\.0\\.0\\.1|\\[::1\\]|a@h|)(:[0-9]{0,5})?(/[a-zA-Z0-9.%;\\\\ -]{0,4}){0,3}[/?#]{0,2}",
            rest in "[/?@]{0,2}([a-z0-9_=&.%:;#\\\\ \"é-]{0,4}[/?]{0,2}){0,4}",
            plain in "/[a-zA-Z0-9/?=&_-]{0,12}",
        ) {
            let read = Base::new(base.clone());
            prop_assert_eq!(read.join(&rest), join(&base, &rest));
            prop_assert_eq!(read.join(&plain), join(&base, &plain));
        }
    }

    #[test]
    fn joins_with_exactly_one_slash() {
        for (base, rest, whole) in [
            ("https://h/v1", "me", "https://h/v1/me"),
            ("https://h/v1", "/me", "https://h/v1/me"),
            ("https://h/v1/", "/me", "https://h/v1/me"),
            ("https://h/v1/", "me", "https://h/v1/me"),
            ("https://h", "me", "https://h/me"),
            ("https://h", "", "https://h/"),
            ("https://h/graphql", "", "https://h/graphql"),
            ("https://h/v1", "?a=b", "https://h/v1?a=b"),
            ("https://h", "?a=b", "https://h/?a=b"),
            ("https://h/v1", "/a//b/", "https://h/v1/a//b/"),
            ("https://h/v1", "/p/group%2Fproject", "https://h/v1/p/group%2Fproject"),
            ("https://h/v1", "/documents/x:batchGet", "https://h/v1/documents/x:batchGet"),
            ("https://h/v1", "?a=%2e%2e/..&b=[1]|{x}'\\", "https://h/v1?a=%2e%2e/..&b=[1]|{x}'\\"),
            ("https://h/v1", "/s?q=naïve \"x\"", "https://h/v1/s?q=na%C3%AFve%20%22x%22"),
            ("https://h/v1", "HTTPS://Other.Example:443/x?y=http://z", "https://other.example/x?y=http://z"),
            ("https://h/v1", "http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            ("https://h/v1", "https://[::1]:8080/x", "https://[::1]:8080/x"),
            ("https://h/v1", "/...", "https://h/v1/..."),
        ] {
            assert_eq!(joined(base, rest), whole, "{base} and {rest}");
        }
    }

    #[test]
    fn refuses_what_would_lead_astray() {
        for rest in [
            "/../x",
            "..",
            ".",
            "/a/./b",
            "/a/..",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e/x",
            "/a/%2e",
            "/a%2f..%2fb",
            "/a/..%2fb",
            "/a%5c..%5cb",
            "/a\\..\\b",
            "/%252e%252e/x",
            "/..;a=b/x",
            "//evil.example/x",
            "\\\\evil.example",
            "/\\evil",
            "https://user@evil.example/",
            "https://user:pw@h/",
            "https://h@evil.example/",
            "https://h\\@evil.example/",
            "ftp://h/x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:/h/x",
            "https:h",
            "HTTPS:/x",
            "data:x",
            "/x#y",
            "https://h/x#y",
            "/a\nb",
            "/a\r\nHost: b",
            "/a\tb",
            "/a\0b",
            " /x",
            "https://",
            "https:///x",
            "https://h:0/",
            "https://h:/",
            "https://h:99999/",
            "https://h:+1/",
            "https://h:80:80/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://h./x",
            "https://.h/",
            "https://a..b/",
            "https://ex%61mple.com/",
            "https://exämple.com/",
            "https://[::1/",
            "https://::1/",
            "https://[::1]x/",
            "https://h%00/",
            "https://a b/",
            "@evil.example",
        ] {
            let result = join("https://h/v1", rest);
            assert!(result.is_err(), "{rest} gave {result:?}");
        }
        assert!(join("https://h/v1?x=1", "/y").is_err());
    }

    #[test]
    fn hosts_are_compared_whole() {
        let hosts: Vec<String> = [
            "api.example.com",
            "*.sub.example.com",
            "local:8080",
            "[::1]:9000",
            "Mixed.Example.com",
            "tls.example.com:443",
        ]
        .map(str::to_owned)
        .to_vec();
        let allowed = |url: &str| parse(url).unwrap().allowed_by(&hosts);
        for url in [
            "https://api.example.com/x",
            "http://api.example.com/x",
            "https://API.example.com:443/",
            "https://a.sub.example.com/",
            "https://a.b.sub.example.com/",
            "http://local:8080/",
            "http://[::1]:9000/",
            "https://mixed.example.com",
            "https://tls.example.com/",
        ] {
            assert!(allowed(url), "{url}");
        }
        for url in [
            "https://api.example.com:8443/",
            "http://api.example.com:443/",
            "https://xapi.example.com/",
            "https://api.example.com.evil/",
            "https://sub.example.com/",
            "https://xsub.example.com/",
            "https://a.sub.example.com:8443/",
            "http://local/",
            "http://[::2]:9000/",
            "http://[::1]/",
            "http://tls.example.com/",
        ] {
            assert!(!allowed(url), "{url}");
        }
        assert!(host_allowed(&hosts, "api.example.com.", None, Scheme::Https));
        assert!(!host_allowed(
            &["*".to_owned(), "*.com".to_owned(), String::new()],
            "a.com",
            None,
            Scheme::Https
        ));
    }

    #[test]
    fn patterns_are_well_formed() {
        for good in [
            "a.example.com",
            "localhost",
            "127.0.0.1:9",
            "*.example.com",
            "*.example.com:8443",
            "[::1]",
            "a_b.example.com",
        ] {
            assert!(HostPattern::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "*.",
            "*.com",
            "a.*.com",
            "*a.com",
            "https://a.com",
            "a.com/",
            "a.com/x",
            "u@a.com",
            "a.com:",
            "a.com:0",
            "a.com:x",
            "a b",
            "é.com",
            "a..b",
            ".a",
            "a.",
            "*.127.0.0.1",
            "*.[::1]",
            "**.a.com",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_instance_brings_its_host() {
        assert_eq!(
            rebase("https://login.example.com/services", "https://eu7.example.com/ignored").unwrap(),
            "https://eu7.example.com/services"
        );
        assert_eq!(
            rebase("https://login.example.com", "http://127.0.0.1:81").unwrap(),
            "http://127.0.0.1:81"
        );
        assert!(rebase("https://login.example.com", "ftp://x").is_err());
    }

    proptest! {
        #[test]
        fn never_panics_and_never_leaves_the_base(rest in "[./\\\\@:?#%a-f2e5c;é \\[\\]]{0,24}|.{0,40}") {
            if let Ok(target) = join("https://api.example.com/v1", &rest) {
                let seen_by_another = url::Url::parse(&target.url).unwrap();
                if has_web_scheme(&rest) {
                    prop_assert_eq!(seen_by_another.host_str().unwrap(), &target.host);
                } else {
                    prop_assert_eq!(&target.host, "api.example.com");
                    prop_assert_eq!(seen_by_another.host_str(), Some("api.example.com"));
                    prop_assert!(seen_by_another.path().starts_with("/v1"), "{}", target.url);
                    prop_assert_eq!(seen_by_another.port(), None);
                }
            }
        }

        #[test]
        fn absolute_urls_mean_the_same_to_another_parser(authority in "[a-z0-9.:@\\[\\]%\\-_]{1,20}", path in "[a-z/.%]{0,12}") {
            if let Ok(target) = parse(&format!("https://{authority}/{path}")) {
                let seen_by_another = url::Url::parse(&target.url).unwrap();
                let seen_host = seen_by_another.host_str().unwrap();
                prop_assert!(seen_host == target.host || target.host.starts_with('['));
                prop_assert_eq!(seen_by_another.port(), target.port);
            }
        }

        #[test]
        fn the_query_is_kept(query in "[!$-;=?-~]{0,40}") {
            let target = join("https://h/v1", &format!("/x?{query}")).unwrap();
            prop_assert_eq!(target.path_and_query, format!("/v1/x?{query}"));
        }

        #[test]
        fn patterns_never_panic(pattern in ".{0,20}", host in ".{0,20}") {
            let _ = host_allowed(&[pattern], &host, None, Scheme::Https);
        }
    }
}
