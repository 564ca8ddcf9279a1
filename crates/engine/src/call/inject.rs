//! The one place where a credential meets a request.
//!
//! What the caller sent at the credential's own place is taken out first: nobody can replace or duplicate it.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use jackfield_core::connector::target::{self, HostPattern, Target};
use jackfield_core::connector::{Place, Placement, Source, placements};
use jackfield_core::{Code, Error, Result};
use jackfield_oauth::oauth1;
use jackfield_vault::token;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::call::concealed::Concealed;
use crate::call::egress::EgressBody;
use crate::clock;
use crate::connect::exchange::Signer;
use crate::connect::ground::{Attributes, Ground};
use crate::connect::{Bounds, Credential};

/// Headers that belong to one connection between two hosts (RFC 9110 §7.6.1), and what frames a message.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

/// Everything that turns a caller's request into the service's: where it may go and what is put into it.
pub(crate) struct Injection {
    base: target::Base,
    hosts: Vec<HostPattern>,
    /// the hosts that were allowed when the credential was given
    bounds: Vec<HostPattern>,
    /// the credential and placed parameters, ready to be copied
    headers: Vec<(HeaderName, HeaderValue)>,
    /// encoded `name=value` pairs, with their names in clear
    query: Vec<(String, Zeroizing<String>)>,
    cookies: Vec<(String, Zeroizing<String>)>,
    body: Vec<(String, SecretString)>,
    oauth1: Option<OAuth1>,
    /// what the connector adds unless the caller has his own
    default_headers: Vec<(HeaderName, HeaderValue)>,
    default_query: Vec<(String, String)>,
}

struct OAuth1 {
    signer: Signer,
    token: SecretString,
    secret: SecretString,
}

/// A body that is known to the last byte, with what signing and injecting need to know of it.
pub(crate) enum KnownBody<'a> {
    None,
    Bytes(&'a [u8]),
    /// it streams: nothing can be put into it
    Unknown,
}

impl Injection {
    /// Prepares header values, query and cookies once for a version of a credential.
    pub fn prepare(
        ground: &Ground,
        credential: &Credential,
        bounds: &Bounds,
        attributes: &Attributes,
    ) -> Result<Self> {
        Self::prepare_at(ground, ground.base_url(attributes)?, credential, bounds, attributes)
    }

    /// The same with another root, for what is asked before everything is chosen.
    pub fn prepare_at(
        ground: &Ground,
        base_url: String,
        credential: &Credential,
        bounds: &Bounds,
        attributes: &Attributes,
    ) -> Result<Self> {
        let hosts = ground.hosts(&base_url, attributes)?;
        let patterns =
            |hosts: &[String]| hosts.iter().filter_map(|host| HostPattern::parse(host).ok()).collect();
        let mut injection = Self {
            base: target::Base::new(base_url),
            hosts: patterns(&hosts),
            bounds: patterns(&bounds.hosts),
            headers: Vec::new(),
            query: Vec::new(),
            cookies: Vec::new(),
            body: Vec::new(),
            oauth1: None,
            default_headers: Vec::new(),
            default_query: ground.pairs(&ground.connector.query, attributes, None)?,
        };
        for (name, value) in ground.pairs(&ground.connector.headers, attributes, None)? {
            injection.default_headers.push((header_name(&name)?, header_value(&name, &value, false)?));
        }
        for placement in placements(&ground.connector) {
            injection.place(ground, credential, &placement)?;
        }
        Ok(injection)
    }

    /// What is placed, so that it can be taken out of what is kept of an answer: a service may send it back.
    pub fn concealed(&self) -> Concealed {
        use base64::Engine as _;
        let mut concealed = Concealed::default();
        for (_, value) in &self.headers {
            let text = Zeroizing::new(String::from_utf8_lossy(value.as_bytes()).into_owned());
            concealed.add(&text);
            // Without what stands before it, `Bearer` or the like; of RFC 7617 the password by itself.
            let bare = text.rsplit(' ').next().unwrap_or_default();
            concealed.add(bare);
            if let Ok(pair) = base64::engine::general_purpose::STANDARD.decode(bare)
                && let Ok(pair) = String::from_utf8(pair).map(Zeroizing::new)
                && let Some((_, password)) = pair.split_once(':')
            {
                concealed.add(password);
            }
        }
        for (_, pair) in self.query.iter().chain(&self.cookies) {
            concealed.add(pair.split_once('=').map_or(pair.as_str(), |(_, value)| value));
            for (_, value) in form_urlencoded::parse(pair.as_bytes()) {
                concealed.add(&value);
            }
        }
        for (_, value) in &self.body {
            concealed.add(value.expose_secret());
        }
        if let Some(signed) = &self.oauth1 {
            concealed.add(signed.token.expose_secret());
            concealed.add(signed.secret.expose_secret());
        }
        concealed
    }

    fn place(&mut self, ground: &Ground, credential: &Credential, placement: &Placement) -> Result<()> {
        let value: Zeroizing<String> = match (&placement.source, credential) {
            (Source::Credential(field), Credential::Fields(fields)) => match fields.get(field) {
                Some(value) => value.expose_secret().to_owned().into(),
                None => return Ok(()),
            },
            (Source::Parameter(name), _) => match ground.parameter(name) {
                Some(value) => value.to_owned().into(),
                None => return Ok(()),
            },
            (Source::Token, Credential::OAuth2 { access_token, .. }) => {
                access_token.expose_secret().to_owned().into()
            }
            (Source::Basic, Credential::Fields(fields)) => {
                let part = |name| fields.get(name).map_or("", |value| value.expose_secret());
                // RFC 7617 §2: user-id and password in UTF-8, joined by a colon.
                let pair = Zeroizing::new(format!("{}:{}", part("username"), part("password")));
                base64_of(pair.as_bytes()).into()
            }
            (Source::OAuth1, Credential::OAuth1 { token, secret }) => {
                self.oauth1 = Some(OAuth1 {
                    signer: Signer::of(ground)?,
                    token: token.clone(),
                    secret: secret.clone(),
                });
                return Ok(());
            }
            // The connector's scheme has changed since this was authorized.
            _ => {
                return Err(Error::new(
                    Code::ReauthorizationRequired,
                    "The connector's way to sign in has changed since this was authorized. Reauthorize the connection.",
                ));
            }
        };
        let value = Zeroizing::new(format!("{}{}", placement.prefix, *value));
        match placement.place {
            Place::Header => {
                self.headers
                    .push((header_name(&placement.name)?, header_value(&placement.name, &value, true)?));
            }
            Place::Query => {
                let mut pair = form_urlencoded::Serializer::new(String::new());
                pair.append_pair(&placement.name, &value);
                self.query.push((placement.name.clone(), pair.finish().into()));
            }
            Place::Cookie => self.cookies.push((placement.name.clone(), value)),
            Place::Body => self.body.push((placement.name.clone(), SecretString::from(value.as_str()))),
        }
        Ok(())
    }

    /// Whether something goes into the body, so that it cannot stream.
    pub fn needs_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Whether the body is part of a signature: forms are (RFC 5849 §3.4.1.3).
    pub fn signs(&self) -> bool {
        self.oauth1.is_some()
    }

    /// Where the caller wants to go: joined to the base URL, checked against the hosts, the credential's own parameters taken out of the
    /// query. `query` is appended.
    pub fn target(&self, url: &str, query: &[(String, String)]) -> Result<Target> {
        let target = self
            .base
            .join(url)
            .map_err(|why| Error::field("url", "invalid", format!("The URL {}.", why.0)))?;
        if !self.hosts.iter().any(|host| host.matches(&target.host, target.port, target.scheme)) {
            return Err(Error::new(
                Code::HostNotAllowed,
                format!(
                    "The connector does not allow calls to {}. Its hosts list what it allows.",
                    target.authority()
                ),
            ));
        }
        if !self.bounds.iter().any(|host| host.matches(&target.host, target.port, target.scheme)) {
            return Err(Error::new(
                Code::ReauthorizationRequired,
                format!(
                    "{} was not among the connector's hosts when this was authorized. Reauthorize the connection to let it go there.",
                    target.authority()
                ),
            ));
        }
        if self.query.is_empty() && self.default_query.is_empty() && query.is_empty() {
            return Ok(target);
        }
        let (path, own) = match target.path_and_query.split_once('?') {
            Some((path, own)) => (path, Some(own)),
            None => (target.path_and_query.as_str(), None),
        };
        let reserved = |name: &str| self.query.iter().any(|(reserved, _)| reserved == name);
        // What the caller wrote is kept byte for byte, empty pairs too: it may be signed, or mean something to the service.
        let mut pairs: Vec<&str> = Vec::new();
        let mut named: Vec<String> = Vec::new();
        for pair in own.into_iter().flat_map(|own| own.split('&')) {
            let name = form_urlencoded::parse(pair.as_bytes())
                .next()
                .map(|(name, _)| name.into_owned())
                .unwrap_or_default();
            if !reserved(&name) {
                pairs.push(pair);
                named.push(name);
            }
        }
        let mut added = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.iter().filter(|(name, _)| !reserved(name)) {
            added.append_pair(name, value);
            named.push(name.clone());
        }
        for (name, value) in &self.default_query {
            if !reserved(name) && !named.iter().any(|n| n == name) {
                added.append_pair(name, value);
            }
        }
        let added = added.finish();
        let mut more: Vec<&str> = self.query.iter().map(|(_, pair)| pair.as_str()).collect();
        if !added.is_empty() {
            more.insert(0, &added);
        }
        if own == Some("") && !more.is_empty() {
            pairs.clear();
        }
        pairs.extend(more);
        let path_and_query =
            if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) };
        let url = format!("{}://{}{path_and_query}", target.scheme.as_str(), target.authority());
        Ok(Target { url, path_and_query, ..target })
    }

    /// The service's request. `headers` are the caller's; what is not the caller's to send is taken out.
    pub fn request(
        &self,
        method: Method,
        target: &Target,
        mut headers: HeaderMap,
        known: &KnownBody<'_>,
        body: EgressBody,
    ) -> Result<Request<EgressBody>> {
        let uri: Uri = target.url.parse().map_err(|_| {
            Error::field(
                "url",
                "invalid",
                "The URL cannot be sent: it holds a character that no URL may hold.",
            )
        })?;
        strip(&mut headers);
        for (name, value) in &self.default_headers {
            if !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if !self.cookies.is_empty() {
            self.put_cookies(&mut headers)?;
        }
        if let Some(oauth1) = &self.oauth1 {
            let form = matches!(known, KnownBody::Bytes(_))
                && headers
                    .get(CONTENT_TYPE)
                    .is_some_and(|value| is_type(value, "application/x-www-form-urlencoded"));
            let form_body =
                if let (true, KnownBody::Bytes(bytes)) = (form, known) { Some(*bytes) } else { None };
            let nonce = token::random_token();
            let signing = oauth1.signer.signing(
                Some(oauth1::Token { token: oauth1.token.expose_secret(), secret: &oauth1.secret }),
                nonce.expose_secret(),
                clock::now(),
            );
            let value =
                oauth1::authorization_header(&signing, &method, &uri, form_body, &[]).map_err(|why| {
                    Error::field("parameters", "invalid", format!("The call cannot be signed: {why}."))
                })?;
            headers.insert(AUTHORIZATION, value);
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn put_cookies(&self, headers: &mut HeaderMap) -> Result<()> {
        let mut all: Vec<String> = Vec::new();
        for line in headers.get_all(COOKIE) {
            for cookie in line.to_str().unwrap_or("").split(';').map(str::trim).filter(|c| !c.is_empty()) {
                let name = cookie.split('=').next().unwrap_or("").trim();
                if !self.cookies.iter().any(|(reserved, _)| reserved == name) {
                    all.push(cookie.to_owned());
                }
            }
        }
        all.extend(self.cookies.iter().map(|(name, value)| format!("{name}={}", **value)));
        let line = Zeroizing::new(all.join("; "));
        headers.insert(COOKIE, header_value("Cookie", &line, true)?);
        Ok(())
    }

    /// Puts what belongs into the body there: members of a JSON object, or fields of a form. A call without a body gets a JSON one.
    pub fn fill_body(&self, headers: &mut HeaderMap, body: Vec<u8>) -> Result<Vec<u8>> {
        if self.body.is_empty() {
            return Ok(body);
        }
        let kind = headers.get(CONTENT_TYPE);
        if kind.is_some_and(|value| is_type(value, "application/x-www-form-urlencoded")) {
            let mut form = form_urlencoded::Serializer::new(String::with_capacity(body.len() + 256));
            for (name, value) in form_urlencoded::parse(&body) {
                if !self.body.iter().any(|(reserved, _)| *reserved == name) {
                    form.append_pair(&name, &value);
                }
            }
            for (name, value) in &self.body {
                form.append_pair(name, value.expose_secret());
            }
            return Ok(form.finish().into_bytes());
        }
        let mut object: serde_json::Map<String, serde_json::Value> = if body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            serde_json::Map::new()
        } else {
            serde_json::from_slice(&body).map_err(|_| {
                Error::field(
                    "body",
                    "invalid",
                    "The connector puts its credential into the body: it must be a JSON object or a form.",
                )
            })?
        };
        for (name, value) in &self.body {
            object.insert(name.clone(), value.expose_secret().into());
        }
        serde_json::to_vec(&object).map_err(Error::internal)
    }
}

/// Takes out what a caller may not pass on to a service: `Authorization`, `Host`, framing, hop-by-hop and `Jackfield-*` headers. Prepared
/// headers are inserted afterwards and replace the caller's.
pub(crate) fn strip(headers: &mut HeaderMap) {
    strip_named(headers);
    remove_where(headers, |name| {
        HOP_BY_HOP.contains(&name)
            || matches!(name, "authorization" | "host" | "expect")
            || name.starts_with("jackfield-")
    });
}

/// Takes out what belongs to one hop, also what `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip_named(headers);
    remove_where(headers, |name| HOP_BY_HOP.contains(&name));
}

/// The same of a service's answer, of which the length stays: to HEAD it is the only thing that tells the size.
pub(crate) fn strip_answer(headers: &mut HeaderMap, unwanted: &[&str]) {
    strip_named(headers);
    remove_where(headers, |name| {
        (name != "content-length" && HOP_BY_HOP.contains(&name)) || unwanted.contains(&name)
    });
}

fn strip_named(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            // As good as every one, and gone anyway.
            .filter(|name| !matches!(*name, "keep-alive" | "close" | "Keep-Alive" | "Close"))
            .filter_map(|name| name.parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
}

/// Looks at the few headers that are there, and not for the many that could be.
pub(crate) fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Whether a content type is this one, parameters aside.
pub(crate) fn is_type(value: &HeaderValue, wanted: &str) -> bool {
    value
        .to_str()
        .is_ok_and(|value| value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(wanted))
}

pub(crate) fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn header_name(name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| Error::internal(format!("the connector names a header {name:?}, which is none")))
}

fn header_value(name: &str, value: &str, secret: bool) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).or_else(|_| HeaderValue::from_bytes(value.as_bytes())).map_err(|_| {
        Error::new(
            Code::StateConflict,
            format!("The value for the header {name} has characters that no header can hold. Authorize again with the right value."),
        )
    })?;
    value.set_sensitive(secret);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn injection() -> Injection {
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text).unwrap();
            value.set_sensitive(true);
            value
        };
        Injection {
            base: target::Base::new("https://api.example.com/v1".to_owned()),
            hosts: vec![
                HostPattern::parse("api.example.com").unwrap(),
                HostPattern::parse("new.example.com").unwrap(),
            ],
            bounds: vec![HostPattern::parse("api.example.com").unwrap()],
            headers: vec![("x-api-key".parse().unwrap(), secret("s3cret"))],
            query: vec![("key".to_owned(), "key=k3y".to_owned().into())],
            cookies: vec![("sid".to_owned(), "c00kie".to_owned().into())],
            body: vec![("token".to_owned(), SecretString::from("b0dy"))],
            oauth1: None,
            default_headers: vec![("x-version".parse().unwrap(), HeaderValue::from_static("7"))],
            default_query: vec![("format".to_owned(), "json".to_owned())],
        }
    }

    #[test]
    fn the_callers_own_credentials_never_pass() {
        let injection = injection();
        let target =
            injection.target("/a?key=mine&b=1&%6bey=mine2", &[("key".into(), "mine3".into())]).unwrap();
        assert_eq!(target.url, "https://api.example.com/v1/a?b=1&format=json&key=k3y");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer mine"),
            ("x-api-key", "mine"),
            ("cookie", "sid=mine; other=1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("host", "evil.example"),
            ("jackfield-environment", "production"),
            ("transfer-encoding", "chunked"),
            ("x-version", "8"),
            ("accept", "text/plain"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let request =
            injection.request(Method::GET, &target, headers, &KnownBody::None, EgressBody::Empty).unwrap();
        let seen: std::collections::BTreeMap<&str, &str> =
            request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let expected = [
            ("accept", "text/plain"),
            ("cookie", "other=1; sid=c00kie"),
            ("x-api-key", "s3cret"),
            ("x-version", "8"),
        ];
        assert_eq!(seen, expected.into());
        assert!(!format!("{:?}", request.headers()).contains("s3cret"));
    }

    #[test]
    fn the_body_gets_its_members() {
        let injection = injection();
        let mut headers = HeaderMap::new();
        let body = injection.fill_body(&mut headers, Vec::new()).unwrap();
        assert_eq!((body.as_slice(), headers.len()), (br#"{"token":"b0dy"}"#.as_slice(), 1));
        let body = injection.fill_body(&mut headers, br#"{"a":1,"token":"mine"}"#.to_vec()).unwrap();
        assert_eq!(body, br#"{"a":1,"token":"b0dy"}"#);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        assert_eq!(injection.fill_body(&mut headers, b"a=1&token=mine".to_vec()).unwrap(), b"a=1&token=b0dy");
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert!(injection.fill_body(&mut headers, b"hello".to_vec()).is_err());
    }

    #[test]
    fn only_allowed_hosts() {
        let injection = injection();
        assert_eq!(injection.target("https://evil.example/", &[]).unwrap_err().code, Code::HostNotAllowed);
        assert_eq!(
            injection.target("https://api.example.com:8443/", &[]).unwrap_err().code,
            Code::HostNotAllowed
        );
        // Added to the connector after the credential was given: the credential does not go there.
        let later = injection.target("https://new.example.com/", &[]).unwrap_err();
        assert_eq!(later.code, Code::ReauthorizationRequired);
        assert_eq!(injection.target("/../x", &[]).unwrap_err().fields[0].field, "url");
    }
}
