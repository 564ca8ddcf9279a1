//! A small browser for tests: cookies, redirects, links and forms, without JavaScript.
//!
//! Like a real one it keeps cookies by host, not by port, sends `Origin` and `Sec-Fetch-Site`, holds `SameSite`
//! cookies back from other sites, and fills a form only in fields that the page has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};

use crate::html::{self, Button, Document, Form};

/// Redirects in a row, as browsers have it.
const MOST_HOPS: usize = 20;

/// A browser with its cookies. Clones share them; `new` gives another person's.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    cookies: Vec<Cookie>,
    stop_at: Option<String>,
}

/// A cookie as the browser keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub host: String,
    /// It goes to sub-domains of `host` too.
    pub sub_domains: bool,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    pub same_site: SameSite,
}

/// A cookie that does not say counts as `Lax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// One request of the browser and how it was answered.
#[derive(Clone, Debug)]
pub struct Hop {
    pub method: Method,
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
}

/// What the browser shows.
#[derive(Clone)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    /// Every request that led here; the last one gave this page.
    pub hops: Vec<Hop>,
    browser: Browser,
    document: Document,
}

/// Which form to send, and by which button.
pub enum Which<'a> {
    /// The form at this place, sent by its first button.
    Form(usize),
    /// The button with this text, value or name, with the form it belongs to.
    Button(&'a str),
}

impl From<usize> for Which<'_> {
    fn from(index: usize) -> Self {
        Self::Form(index)
    }
}

impl<'a> From<&'a str> for Which<'a> {
    fn from(button: &'a str) -> Self {
        Self::Button(button)
    }
}

struct Request {
    method: Method,
    url: Url,
    /// Content type and bytes.
    body: Option<(String, String)>,
    /// The page that asks; none when a person typed the address.
    initiator: Option<Url>,
}

impl Browser {
    pub fn new() -> Self {
        // No connection is kept: a server that is killed and started anew must not be spoken to by a dead one.
        let client = Client::builder().redirect(Policy::none()).no_proxy().pool_max_idle_per_host(0).build();
        // Building fails only when TLS cannot be set up, and there is none.
        Self { client: client.unwrap_or_default(), shared: Arc::default() }
    }

    /// Opens an address as if typed, and follows redirects.
    pub async fn get(&self, url: &str) -> Result<Page, String> {
        let url = Url::parse(url).map_err(|e| format!("{url}: {e}"))?;
        self.navigate(Request { method: Method::GET, url, body: None, initiator: None }).await
    }

    /// From now on, stops before it follows a redirect to an address that starts with `prefix`: the page is the
    /// redirect itself then, and `Page::location` says where it would go. `None` ends that.
    pub fn stop_at(&self, prefix: Option<&str>) {
        self.shared().stop_at = prefix.map(str::to_owned);
    }

    /// Every cookie it keeps.
    pub fn cookies(&self) -> Vec<Cookie> {
        self.shared().cookies.clone()
    }

    /// Keeps a cookie, in the place of the one with its name, host and path.
    pub fn set_cookie(&self, cookie: Cookie) {
        keep(&mut self.shared().cookies, cookie, true);
    }

    pub fn clear_cookies(&self) {
        self.shared().cookies.clear();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn navigate(&self, mut request: Request) -> Result<Page, String> {
        let mut hops = Vec::new();
        loop {
            let (hop, body) = self.exchange(&request).await?;
            let Hop { url, status, headers, .. } = hop.clone();
            hops.push(hop);
            let next =
                if matches!(status, 301 | 302 | 303 | 307 | 308) { location(&url, &headers) } else { None };
            let stop = self.shared().stop_at.clone();
            let next = next.filter(|next| !stop.is_some_and(|stop| next.as_str().starts_with(&stop)));
            let Some(next) = next else {
                let document = html::parse(&body);
                return Ok(Page { url, status, headers, body, hops, browser: self.clone(), document });
            };
            if hops.len() > MOST_HOPS {
                return Err(format!("{next}: more than {MOST_HOPS} redirects"));
            }
            if !(matches!(status, 307 | 308) || request.method == Method::HEAD) {
                request.method = Method::GET;
                request.body = None;
            }
            request.url = next;
        }
    }

    async fn exchange(&self, request: &Request) -> Result<(Hop, String), String> {
        let Request { method, url, body, initiator } = request;
        let failed = |e: reqwest::Error| format!("{method} {url}: {e:?}");
        let mut builder = self.client.request(method.clone(), url.clone());
        builder = builder
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", fetch_site(initiator.as_ref(), url));
        if let Some(cookies) = self.cookie_header(request) {
            builder = builder.header(COOKIE, cookies);
        }
        if *method != Method::GET
            && let Some(initiator) = initiator
        {
            builder = builder.header(ORIGIN, initiator.origin().ascii_serialization());
        }
        if let Some((kind, bytes)) = body {
            builder = builder.header(CONTENT_TYPE, kind).body(bytes.clone());
        }
        let response = builder.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        for value in headers.get_all(SET_COOKIE) {
            self.take_cookie(url, value);
        }
        let bytes = response.bytes().await.map_err(failed)?;
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok((Hop { method: method.clone(), url: url.clone(), status, headers }, body))
    }

    fn cookie_header(&self, request: &Request) -> Option<String> {
        let url = &request.url;
        let host = url.host_str().unwrap_or_default();
        let own_site = request.initiator.as_ref().is_none_or(|initiator| same_site(initiator, url));
        let safe = request.method == Method::GET || request.method == Method::HEAD;
        let mut found: Vec<Cookie> = self.cookies();
        found.retain(|cookie| {
            let right_host = cookie.host == host || cookie.sub_domains && is_under(host, &cookie.host);
            let right_site = match cookie.same_site {
                SameSite::Strict => own_site,
                SameSite::Lax => own_site || safe,
                SameSite::None => true,
            };
            right_host
                && right_site
                && path_matches(url.path(), &cookie.path)
                && (!cookie.secure || trusted(url))
        });
        // Longer paths first (RFC 6265, 5.4).
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = found.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn take_cookie(&self, url: &Url, header: &HeaderValue) {
        if let Some((cookie, alive)) = read_cookie(url, &String::from_utf8_lossy(header.as_bytes())) {
            keep(&mut self.shared().cookies, cookie, alive);
        }
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// The forms of the page in their order.
    pub fn forms(&self) -> &[Form] {
        &self.document.forms
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where this redirect leads, when the browser stopped at it.
    pub fn location(&self) -> Option<Url> {
        location(&self.url, &self.headers)
    }

    /// A parameter of this page's address.
    pub fn query(&self, name: &str) -> Option<String> {
        query(&self.url, name)
    }

    /// Follows the first link whose text contains `text`.
    pub async fn follow(&self, text: &str) -> Result<Page, String> {
        let link = self.document.links.iter().find(|link| link.text.contains(text));
        let link = link.ok_or_else(|| format!("no link says `{text}`{}", self.seen()))?;
        let url = self.url.join(&link.href).map_err(|e| format!("{}: {e}", link.href))?;
        self.go(Method::GET, url, None).await
    }

    /// Fills `fields` in and sends a form, chosen by its place or by one of its buttons. A field that the form does
    /// not have is an error; a checkbox is set by its value and cleared by an empty one.
    pub async fn submit<'a>(
        &self,
        which: impl Into<Which<'a>>,
        fields: &[(&str, &str)],
    ) -> Result<Page, String> {
        let (form, button) = self.find(&which.into())?;
        let mut values = form.fill(fields).map_err(|e| format!("{e}{}", self.seen()))?;
        if let Some(Button { name, value, .. }) = button
            && !name.is_empty()
        {
            values.push((name.clone(), value.clone()));
        }
        let action = button.and_then(|button| button.action.as_deref()).unwrap_or(&form.action);
        let mut url = self.url.join(action).map_err(|e| format!("form to {action}: {e}"))?;
        if form.post {
            let body = form_body(&values)?;
            return self.go(Method::POST, url, Some(body)).await;
        }
        url.query_pairs_mut().clear().extend_pairs(&values);
        self.go(Method::GET, url, None).await
    }

    /// Sends fields to an address by POST as a form of this page would, whether or not the page has such a form.
    pub async fn post(&self, action: &str, fields: &[(&str, &str)]) -> Result<Page, String> {
        let url = self.url.join(action).map_err(|e| format!("form to {action}: {e}"))?;
        self.go(Method::POST, url, Some(form_body(fields)?)).await
    }

    fn find(&self, which: &Which<'_>) -> Result<(&Form, Option<&Button>), String> {
        match which {
            Which::Form(index) => {
                let form =
                    self.forms().get(*index).ok_or_else(|| format!("no form {index}{}", self.seen()))?;
                Ok((form, form.buttons.first()))
            }
            Which::Button(wanted) => self
                .forms()
                .iter()
                .flat_map(|form| form.buttons.iter().map(move |button| (form, Some(button))))
                .find(|(_, button)| {
                    button.is_some_and(|b| b.text == *wanted || b.value == *wanted || b.name == *wanted)
                })
                .ok_or_else(|| format!("no button `{wanted}`{}", self.seen())),
        }
    }

    async fn go(&self, method: Method, url: Url, body: Option<(String, String)>) -> Result<Page, String> {
        self.browser.navigate(Request { method, url, body, initiator: Some(self.url.clone()) }).await
    }

    /// For errors: what the page is.
    fn seen(&self) -> String {
        format!(" at {} ({}):\n{}", self.url, self.status, self.body)
    }
}

/// Content type and bytes of a form.
fn form_body<T: AsRef<str>>(fields: &[(T, T)]) -> Result<(String, String), String> {
    let mut pairs = Url::parse("http://form/").map_err(|e| e.to_string())?;
    pairs.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
    let body = pairs.query().unwrap_or_default().to_owned();
    Ok(("application/x-www-form-urlencoded".to_owned(), body))
}

/// A parameter of an address.
pub fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn location(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let mut next = url.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    if next.fragment().is_none() {
        next.set_fragment(url.fragment());
    }
    Some(next)
}

fn keep(cookies: &mut Vec<Cookie>, cookie: Cookie, alive: bool) {
    cookies.retain(|kept| (&kept.name, &kept.host, &kept.path) != (&cookie.name, &cookie.host, &cookie.path));
    if alive {
        cookies.push(cookie);
    }
}

/// A `Set-Cookie` header, and whether the cookie lives or is to go. One that the browser must refuse gives none.
/// A life in the future is not measured: tests are shorter.
fn read_cookie(url: &Url, header: &str) -> Option<(Cookie, bool)> {
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let host = url.host_str()?.to_owned();
    let folder = url.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        host,
        sub_domains: false,
        path: if folder.is_empty() { "/".to_owned() } else { folder.to_owned() },
        secure: false,
        http_only: false,
        same_site: SameSite::Lax,
    };
    let mut alive = true;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "max-age" => alive = value.parse::<i64>().is_ok_and(|seconds| seconds > 0),
            "expires" => alive &= !value.contains("1970"),
            "samesite" => {
                cookie.same_site = match value.to_ascii_lowercase().as_str() {
                    "strict" => SameSite::Strict,
                    "none" => SameSite::None,
                    _ => SameSite::Lax,
                };
            }
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                if domain != cookie.host && !is_under(&cookie.host, &domain) {
                    return None;
                }
                cookie.sub_domains = true;
                cookie.host = domain;
            }
            _ => {}
        }
    }
    let unsafe_none = cookie.same_site == SameSite::None && !cookie.secure;
    let host_prefix = cookie.name.starts_with("__Host-");
    let bad_prefix = (host_prefix || cookie.name.starts_with("__Secure-")) && !cookie.secure
        || host_prefix && (cookie.sub_domains || cookie.path != "/");
    let unheard = cookie.secure && !trusted(url);
    (!(unsafe_none || bad_prefix || unheard)).then_some((cookie, alive))
}

/// https, or our own machine, which browsers trust alike.
fn trusted(url: &Url) -> bool {
    url.scheme() == "https" || matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn is_under(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn path_matches(path: &str, of_cookie: &str) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

/// The same scheme and registrable domain; a domain's last two labels pass for that here.
fn same_site(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme() && site(one) == site(other)
}

fn site(url: &Url) -> String {
    let Some(domain) = url.domain() else { return url.host_str().unwrap_or_default().to_owned() };
    let labels: Vec<_> = domain.rsplitn(3, '.').take(2).collect();
    labels.join(".")
}

fn fetch_site(initiator: Option<&Url>, url: &Url) -> &'static str {
    match initiator {
        None => "none",
        Some(from) if from.origin() == url.origin() => "same-origin",
        Some(from) if same_site(from, url) => "same-site",
        Some(_) => "cross-site",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn sent(browser: &Browser, to: &str, method: Method, from: Option<&str>) -> Option<String> {
        browser.cookie_header(&Request { method, url: url(to), body: None, initiator: from.map(url) })
    }

    #[test]
    fn cookies_go_where_they_belong() {
        let browser = Browser::new();
        let take =
            |from: &str, text: &str| browser.take_cookie(&url(from), &HeaderValue::from_str(text).unwrap());
        take("http://127.0.0.1:1/flows/x/start", "flow=1; Path=/oauth; HttpOnly; SameSite=Lax");
        take("http://127.0.0.1:1/flows/x/start", "here=2");
        take("http://127.0.0.1:1/", "strict=3; SameSite=Strict");
        take("http://127.0.0.1:1/", "none=4; SameSite=None");
        take("http://127.0.0.1:1/", "foreign=5; Domain=example.com");

        let to = |path: &str| format!("http://127.0.0.1:2{path}");
        assert_eq!(sent(&browser, &to("/oauth/callback"), Method::GET, None).unwrap(), "flow=1; strict=3");
        assert_eq!(sent(&browser, &to("/oauthx"), Method::GET, None).unwrap(), "strict=3");
        assert_eq!(sent(&browser, &to("/flows/xy"), Method::GET, None).unwrap(), "strict=3");
        assert_eq!(sent(&browser, &to("/flows/x/"), Method::GET, None).unwrap(), "here=2; strict=3");
        let other = Some("http://service.example/");
        assert_eq!(sent(&browser, &to("/oauth/callback"), Method::GET, other).unwrap(), "flow=1");
        assert_eq!(sent(&browser, &to("/oauth/callback"), Method::POST, other), None);
        assert_eq!(sent(&browser, "http://localhost:1/oauth/", Method::GET, None), None);

        take("http://127.0.0.1:1/", "strict=; Max-Age=0");
        assert_eq!(sent(&browser, &to("/"), Method::GET, None), None);
    }

    #[test]
    fn sites_and_origins_are_told_apart() {
        let is = |from: &str, to: &str| fetch_site(Some(&url(from)), &url(to));
        assert_eq!(is("http://a.example.com/x", "http://a.example.com/y"), "same-origin");
        assert_eq!(is("http://a.example.com/", "http://b.example.com/"), "same-site");
        assert_eq!(is("http://127.0.0.1:1/", "http://127.0.0.1:2/"), "same-site");
        assert_eq!(is("http://127.0.0.1:1/", "http://localhost:1/"), "cross-site");
        assert_eq!(is("http://a.example/", "https://a.example/"), "cross-site");
    }
}
