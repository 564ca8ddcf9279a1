//! A person at the console: signs in, opens pages, fills in forms. The browser is testkit's, which knows no JavaScript.

#![allow(dead_code)] // each module uses its part

use jackfield_testkit::browser::{Browser, Page};
use jackfield_testkit::html;
use jackfield_testkit::reqwest;

use crate::support::{Answer, Founder, Home, PASSWORD, Person, Server};

/// What every field must bear: each is code in some place if it is not escaped there.
pub const HOSTILE: [&str; 6] = [
    "\"><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onfocus=alert(1) x='",
    "{{7*7}}${7*7}",
    "</title></textarea></style><b>",
    "\u{202e}desrever\u{2066}",
];

/// Somebody with a browser of his own.
pub struct Visitor {
    pub browser: Browser,
    pub url: String,
}

impl Visitor {
    /// Not signed in.
    pub fn new(server: &Server) -> Self {
        Self { browser: Browser::new(), url: server.url.clone() }
    }

    /// Signed in by the form of the sign-in page.
    pub async fn sign_in(server: &Server, email: &str, password: &str) -> Self {
        let visitor = Self::new(server);
        let door = visitor.open("/signin").await;
        let page = door.submit("Sign in", &[("email", email), ("password", password)]).await.unwrap();
        assert!(page.url.path().starts_with("/console"), "not signed in: {} {}", page.url, page.body);
        visitor
    }

    /// Who set the store up: its super admin.
    pub async fn founder(server: &Server, founder: &Founder) -> Self {
        Self::sign_in(server, &founder.email, &founder.password).await
    }

    /// Somebody invited by [`Server::person`].
    pub async fn person(server: &Server, person: &Person) -> Self {
        Self::sign_in(server, &person.email, PASSWORD).await
    }

    /// Invites somebody with this role and signs him in.
    pub async fn with_role(server: &Server, role: &str) -> Self {
        let name = format!("{}-{}", role.replace('_', "-"), server.get("/v1/members").await.text.len());
        Self::person(server, &server.person(&name, role).await).await
    }

    /// Opens a page as if its address were typed; redirects are followed.
    pub async fn open(&self, path: &str) -> Page {
        self.browser.get(&format!("{}{path}", self.url)).await.unwrap()
    }

    /// Opens a page that must be there.
    pub async fn see(&self, path: &str) -> Page {
        let page = self.open(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        assert_eq!(page.url.path(), path.split('?').next().unwrap_or(path), "sent elsewhere");
        page
    }

    /// What his forms carry, as the page of his connections has it.
    pub async fn token(&self) -> String {
        form_token(&self.open("/console/connections").await)
    }

    /// Sends any fields to any address, with the token that his forms carry and as if from one of his pages; redirects are followed. For
    /// what no form of ours would send; else fill in the page's own form by [`Page::submit`].
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let from = self.open("/console/connections").await;
        let token = form_token(&from);
        let all: Vec<(&str, &str)> =
            [("form_token", token.as_str())].into_iter().chain(fields.iter().copied()).collect();
        from.post(path, &all).await.unwrap()
    }

    /// Sends a form exactly as told: his cookies, these headers, these fields, and nothing else. No redirect is followed.
    pub async fn forge(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let cookies: Vec<String> =
            self.browser.cookies().iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        let mut request = http.post(format!("{}{path}", self.url)).header("cookie", cookies.join("; "));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Nothing is done by a form without its token, with another's, or from another site. The fields are those of a form that is right.
    pub async fn refuses_forgeries(&self, path: &str, fields: &[(&str, &str)]) {
        let own = self.url.clone();
        let token = self.token().await;
        let good = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
        let with = |token: &'static str| {
            [("form_token", token)].into_iter().chain(fields.iter().copied()).collect::<Vec<_>>()
        };
        let right: Vec<(&str, &str)> =
            [("form_token", token.as_str())].into_iter().chain(fields.iter().copied()).collect();
        for (headers, fields) in [
            (good, fields.to_vec()),
            (good, with("")),
            (good, with("jf_of_somebody_else")),
            ([("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")], right.clone()),
            ([("origin", "null"), ("sec-fetch-site", "cross-site")], right),
        ] {
            let answer = self.forge(path, &headers, &fields).await;
            assert_eq!(answer.status, 403, "{path} {headers:?} {fields:?}: {}", answer.text);
        }
    }
}

/// Presses a button of a page, with these fields filled in.
pub async fn press(page: &Page, button: &str, fields: &[(&str, &str)]) -> Page {
    page.submit(button, fields).await.unwrap_or_else(|error| panic!("{error}: {}", page.body))
}

/// Follows a link of a page by its words.
pub async fn follow(page: &Page, link: &str) -> Page {
    page.follow(link).await.unwrap_or_else(|error| panic!("{error}: {}", page.body))
}

/// What a page's forms carry.
pub fn form_token(page: &Page) -> String {
    let fields = page.forms().iter().flat_map(|form| &form.fields);
    let token = fields.into_iter().find(|field| field.name == "form_token");
    token.unwrap_or_else(|| panic!("no form of {} has a token: {}", page.url, page.body)).value.clone()
}

/// The text of the first element of this kind, without tags: `h1`, `title`.
pub fn text_of(page: &Page, element: &str) -> String {
    let found = page.body.split_once(&format!("<{element}")).and_then(|(_, rest)| rest.split_once('>'));
    let text =
        found.and_then(|(_, rest)| rest.split_once(&format!("</{element}>"))).map_or("", |(text, _)| text);
    html::text(text)
}

/// The page's first heading.
pub fn heading(page: &Page) -> String {
    text_of(page, "h1")
}

/// What a page's last action did, as it says it.
pub fn news(page: &Page) -> String {
    let found = page.body.split_once("class=\"news\"").and_then(|(_, rest)| rest.split_once('>'));
    html::text(found.and_then(|(_, rest)| rest.split_once("</p>")).map_or("", |(text, _)| text))
}

/// The error that stands at a field; empty if none does.
pub fn error_at(page: &Page, field: &str) -> String {
    let id: String = field.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let found = page.body.split_once(&format!("id=\"f-{id}-error\">"));
    html::text(found.and_then(|(_, rest)| rest.split_once("</p>")).map_or("", |(text, _)| text))
}

/// What stands in a field, of the first form that has it.
pub fn value_of(page: &Page, field: &str) -> String {
    let mut fields = page.forms().iter().flat_map(|form| &form.fields);
    fields.find(|found| found.name == field && found.set).map(|found| found.value.clone()).unwrap_or_default()
}

/// Everything a person can read there.
pub fn words(page: &Page) -> String {
    let main = page.body.split_once("<main").map_or(page.body.as_str(), |(_, rest)| rest);
    html::text(main)
}

/// A foreign text came to the page, and is only text there.
#[track_caller]
pub fn escaped(page: &Page, hostile: &str) {
    assert!(html::unescape(&page.body).contains(hostile), "{hostile:?} is not there: {}", page.body);
    if hostile.contains(['<', '"', '\'']) {
        assert!(!page.body.contains(hostile), "{hostile:?} is there as it is: {}", page.body);
    }
    assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{}", page.body);
}

#[tokio::test]
async fn a_visitor_fills_in_forms() {
    let home = Home::sqlite();
    let founder = home.init();
    let server = home.serve(&founder.key);
    let stranger = Visitor::new(&server);
    let page = stranger.open("/console/connections?q=x").await;
    assert_eq!((page.url.path(), heading(&page)), ("/signin", "Sign in".to_owned()));
    assert_eq!(value_of(&page, "next"), "/console/connections?q=x");
    let wrong = page.submit("Sign in", &[("email", HOSTILE[0]), ("password", "x")]).await.unwrap();
    assert_eq!(heading(&wrong), "Sign in");
    assert!(wrong.status >= 400);
    assert_eq!(value_of(&wrong, "email"), HOSTILE[0]);
    escaped(&wrong, HOSTILE[0]);

    let visitor = Visitor::founder(&server, &founder).await;
    let page = visitor.see("/console/connections").await;
    assert_eq!(heading(&page), "Connections");
    assert!(!form_token(&page).is_empty());
    let dark = page.submit("Dark", &[]).await.unwrap();
    assert!(dark.body.contains("data-theme=\"dark\""));
    let light = visitor.post("/console/view", &[("theme", "light"), ("back", "/console/connections")]).await;
    assert!(light.body.contains("data-theme=\"light\"") && light.url.path() == "/console/connections");
    visitor.refuses_forgeries("/console/view", &[("theme", "dark")]).await;
    visitor.refuses_forgeries("/signout", &[]).await;

    let other = Visitor::with_role(&server, "user").await;
    let page = other.see("/console/connections").await;
    assert!(!page.body.contains("New connection"), "{}", page.body);
    let out = page.submit("Sign out", &[]).await.unwrap();
    assert_eq!(heading(&out), "Sign in");
    assert_eq!(heading(&other.open("/console/connections").await), "Sign in");
}
