//! Signing in by a browser: the cookie and what belongs to it, passwords changed and forgotten, and guesses slowed.

use jackfield_testkit::mail::MailServer;
use jackfield_testkit::reqwest;
use serde_json::{Value, json};

use crate::start::finish;
use crate::support::{Answer, Founder, Home, PASSWORD, Server};
use crate::upstream::{Upstream, key, keyed};
use crate::world::until;

/// A browser that is signed in.
struct Browser {
    http: reqwest::Client,
    url: String,
    cookie: String,
    csrf: String,
}

impl Browser {
    fn of(server: &Server, answer: &Answer) -> Self {
        let cookie = answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let csrf = answer.headers["jackfield-csrf"].to_str().unwrap().to_owned();
        Self { http: reqwest::Client::new(), url: server.url.clone(), cookie, csrf }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let url = format!("{}{path}", self.url);
        let mut request = self.http.request(method.parse().unwrap(), url).header("cookie", &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Answer::of(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Value::Null).await
    }

    /// As the console does it.
    async fn api(&self, method: &str, path: &str, body: Value) -> Answer {
        let headers = [
            ("jackfield-csrf", self.csrf.as_str()),
            ("origin", self.url.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send(method, path, &headers, body).await
    }

    async fn alive(&self) -> bool {
        let answer = self.get("/v1/me").await;
        if answer.status != 200 {
            answer.problem(401, "unauthenticated");
        }
        answer.status == 200
    }
}

async fn attempt(server: &Server, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    server.with_key("").api("POST", "/v1/sessions", body).await
}

async fn sign_in(server: &Server, email: &str, password: &str) -> Browser {
    let answer = attempt(server, email, password).await;
    answer.expect(201);
    Browser::of(server, &answer)
}

/// A request with the address of a client behind the trusted proxy.
async fn from(server: &Server, address: &str, path: &str, body: Value) -> Answer {
    let request = reqwest::Client::new()
        .post(format!("{}{path}", server.url))
        .header("x-forwarded-for", address)
        .header("content-type", "application/json")
        .body(body.to_string());
    Answer::of(request.send().await.unwrap()).await
}

fn served(home: &Home) -> (Server, Founder) {
    let founder = home.init();
    (home.serve(&founder.key), founder)
}

#[tokio::test]
async fn a_browser_signs_in_acts_and_signs_out() {
    for home in Home::both() {
        let (server, founder) = served(&home);
        let answer = attempt(&server, &founder.email.to_uppercase(), &founder.password).await;
        let started = answer.expect(201);
        assert_eq!(started["member"]["role"], "super_admin");
        assert_eq!(started["session"]["address"], "127.0.0.1");
        let cookie = answer.headers["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.starts_with("jackfield_session="), "{cookie}");
        for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Secure") && !cookie.contains("Domain"), "{cookie}");
        let browser = Browser::of(&server, &answer);
        assert_eq!(started["csrf"], browser.csrf);
        let token = browser.cookie.split_once('=').unwrap().1;
        assert!(!answer.text.contains(token), "the token is the cookie's alone");
        assert_eq!(browser.get("/v1/me").await.expect(200)["email"], founder.email);
        let current = browser.get("/v1/sessions/current").await.expect(200);
        assert_eq!((&current["csrf"], &current["session"]["current"]), (&json!(browser.csrf), &json!(true)));
        browser.api("POST", "/v1/me/keys", json!({"name": "Made in a browser"})).await.expect(201);

        // Warm, it asks no database: as many statements as are needed to read the member and the organization.
        let before = server.statements().await;
        assert!(before > 0);
        server.get("/v1/me").await.expect(200);
        // The background asks now and then too: the least of some tries is what the request needs.
        let (mut per_key, mut per_session) = (u64::MAX, u64::MAX);
        for _ in 0..5 {
            let a = server.statements().await;
            server.get("/v1/me").await.expect(200);
            let b = server.statements().await;
            browser.get("/v1/me").await.expect(200);
            per_key = per_key.min(b - a);
            per_session = per_session.min(server.statements().await - b);
        }
        assert_eq!(per_session, per_key);

        // Two browsers; one signs out.
        let other = sign_in(&server, &founder.email, &founder.password).await;
        let list = other.get("/v1/sessions").await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        assert_eq!(list["items"].as_array().unwrap().iter().filter(|s| s["current"] == true).count(), 1);
        let out = browser.api("DELETE", "/v1/sessions/current", Value::Null).await;
        assert_eq!(out.status, 204);
        assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
        assert!(!browser.alive().await && other.alive().await);
        // One ends another of one's own by its id; with a key too; nobody else's.
        let third = sign_in(&server, &founder.email, &founder.password).await;
        let id = third.get("/v1/sessions/current").await.expect(200)["session"]["id"].clone();
        let path = format!("/v1/sessions/{}", id.as_str().unwrap());
        let neighbour = server.person("neighbour", "admin").await;
        let foreign = server.as_person(&neighbour).api("DELETE", &path, Value::Null).await;
        foreign.problem(404, "not_found");
        assert!(third.alive().await);
        assert_eq!(server.api("DELETE", &path, Value::Null).await.status, 204);
        assert!(!third.alive().await);

        // Nothing of it is anywhere to be read.
        let log = server.log();
        for secret in [token, founder.password.as_str(), browser.csrf.as_str()] {
            assert!(!log.contains(secret));
            for (path, bytes) in home.everything_stored() {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds a secret", path.display());
            }
        }
        let page = server.get("/v1/audit?action=session&limit=50").await.expect(200);
        let words: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|row| row["action"].as_str().unwrap())
            .collect();
        assert_eq!(
            words,
            ["session.started", "session.started", "session.ended", "session.started", "session.ended"]
        );
    }
}

#[tokio::test]
async fn over_https_the_cookie_is_for_this_host_alone() {
    let home = Home::sqlite().set("JACKFIELD_PUBLIC_URL", "https://jackfield.example");
    let (server, founder) = served(&home);
    let answer = attempt(&server, &founder.email, &founder.password).await;
    answer.expect(201);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-jackfield_session=") && cookie.ends_with("; Secure"), "{cookie}");
    let browser = Browser::of(&server, &answer);
    assert!(browser.alive().await);
    // The other name is not taken for it.
    let plain = Browser { cookie: browser.cookie.replace("__Host-", ""), ..browser };
    assert!(!plain.alive().await);
}

#[tokio::test]
async fn another_site_makes_a_browser_do_nothing() {
    let home = Home::sqlite();
    let (server, founder) = served(&home);
    let thief = "HTTP/1.1 200 OK\r\nset-cookie: jackfield_session=stolen\r\ncontent-length: 2\r\n\r\n{}";
    let upstream = Upstream::answering(|_| thief.as_bytes().to_vec()).await;
    let connector = server.connector(keyed("Crossed", &upstream.url, &[&upstream.host()])).await;
    server.connection(json!({"connector": connector, "name": "Crossed"})).await;
    server.post("/v1/connections/crossed/authorizations", json!({"credentials": key()})).await.expect(201);
    let browser = sign_in(&server, &founder.email, &founder.password).await;
    let other = sign_in(&server, &founder.email, &founder.password).await;
    let own = server.url.as_str();
    let token = ("jackfield-csrf", browser.csrf.as_str());
    let forged: Vec<Vec<(&str, &str)>> = vec![
        vec![],
        vec![("jackfield-csrf", "")],
        vec![("jackfield-csrf", "x")],
        vec![("jackfield-csrf", &other.csrf)],
        vec![("origin", own), ("sec-fetch-site", "same-origin")],
        vec![token, ("origin", "https://evil.example")],
        vec![token, ("origin", "null")],
        vec![token, ("origin", own), ("sec-fetch-site", "cross-site")],
        vec![token, ("sec-fetch-site", "same-site")],
        vec![token, ("sec-fetch-site", "none")],
    ];
    for headers in &forged {
        for (method, path, body) in [
            ("POST", "/v1/me/keys", json!({"name": "Forged"})),
            ("PATCH", "/v1/organization", json!({"name": "Forged"})),
            ("DELETE", "/v1/sessions/current", Value::Null),
            ("POST", "/v1/connections/crossed/invoke", json!({"url": "/"})),
            // A service's page would be a page of this origin: not even GET.
            ("GET", "/v1/proxy/crossed/page", Value::Null),
            ("POST", "/v1/proxy/crossed/thing", json!({})),
        ] {
            let answer = browser.send(method, path, headers, body).await;
            let problem = answer.problem(403, "forbidden");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("Jackfield-CSRF") || detail.contains(own), "{detail}");
        }
    }
    assert!(upstream.seen().is_empty(), "no call went out");
    // A WebSocket begins with a GET.
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    browser.send("GET", "/v1/me", &upgrade, Value::Null).await.problem(403, "forbidden");
    // What a browser has to send, it may send by itself or with its origin.
    for headers in [vec![token], vec![token, ("origin", own), ("sec-fetch-site", "same-origin")]] {
        browser.send("POST", "/v1/me/keys", &headers, json!({"name": "Own"})).await.expect(201);
    }
    assert!(browser.alive().await && other.alive().await);

    // Through the proxy neither the service sees the session nor does it set one.
    let headers = [token, ("cookie", "theme=dark")];
    let passed = browser.send("GET", "/v1/proxy/crossed/page", &headers, Value::Null).await;
    assert_eq!(passed.status, 200, "{}", passed.text);
    assert!(!passed.headers.contains_key("set-cookie"));
    let seen = upstream.seen();
    let seen = seen.last().unwrap();
    assert_eq!(seen.all("cookie"), ["theme=dark"]);
    assert!(seen.header("jackfield-csrf").is_none());

    // Nobody is signed in by another site, either.
    let body = json!({"email": founder.email, "password": founder.password});
    for headers in [[("origin", "https://evil.example")], [("sec-fetch-site", "cross-site")]] {
        browser.send("POST", "/v1/sessions", &headers, body.clone()).await.problem(403, "forbidden");
    }
    // A key beside the cookie is what counts.
    let bearer = format!("Bearer {}", server.key);
    let headers = [("authorization", bearer.as_str())];
    browser.send("POST", "/v1/me/keys", &headers, json!({"name": "By key"})).await.expect(201);
}

#[tokio::test]
async fn sessions_end_with_the_password_the_role_and_time() {
    let home = Home::postgres();
    let (server, founder) = served(&home);
    let one = sign_in(&server, &founder.email, &founder.password).await;
    let two = sign_in(&server, &founder.email, &founder.password).await;
    let change = async |browser: &Browser, current: &str, new: &str| {
        browser.api("POST", "/v1/me/password", json!({"current": current, "new": new})).await
    };
    for (current, new, field) in [
        ("wrong password", PASSWORD, "current"),
        (founder.password.as_str(), "short", "new"),
        (founder.password.as_str(), founder.email.as_str(), "new"),
    ] {
        let answer = change(&one, current, new).await;
        answer.problem(422, "invalid_input");
        assert_eq!(answer.fields(), [field]);
    }
    let changed = change(&one, &founder.password, PASSWORD).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    // The other browser is out; this one goes on under a new token, and the old one opens nothing.
    let renewed = Browser::of(&server, &changed);
    assert!(!two.alive().await && !one.alive().await && renewed.alive().await);
    renewed.api("POST", "/v1/me/keys", json!({"name": "Still here"})).await.expect(201);
    attempt(&server, &founder.email, &founder.password).await.problem(401, "unauthenticated");

    // A role given or taken ends sessions, too.
    let heir = server.person("heir", "admin").await;
    let heirs = sign_in(&server, &heir.email, PASSWORD).await;
    let path = format!("/v1/members/{}", heir.id);
    let given = renewed.api("PATCH", &path, json!({"role": "super_admin"})).await;
    given.expect(200);
    let demoted = Browser::of(&server, &given);
    assert!(!heirs.alive().await && !renewed.alive().await && demoted.alive().await);
    assert_eq!(demoted.get("/v1/me").await.expect(200)["role"], "admin");
    let heirs = sign_in(&server, &heir.email, PASSWORD).await;
    assert!(heirs.alive().await);

    // Unused for twelve hours, or seven days old. A fresh start of the node forgets what is in memory.
    drop(server);
    home.sql("update sessions set last_seen_at = last_seen_at - 12 * 3600 * 1000000::bigint where id in (select max(id) from sessions)");
    let server = home.serve(&founder.key);
    let (heirs, demoted) =
        (Browser { url: server.url.clone(), ..heirs }, Browser { url: server.url.clone(), ..demoted });
    assert!(!heirs.alive().await && demoted.alive().await);
    drop(server);
    home.sql("update sessions set expires_at = created_at");
    let server = home.serve(&founder.key);
    let demoted = Browser { url: server.url.clone(), ..demoted };
    assert!(!demoted.alive().await);
    assert_eq!(server.get("/v1/sessions").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn one_address_in_several_organizations() {
    let home = Home::sqlite();
    let (server, founder) = served(&home);
    let other = home.organization("Other");
    let new = json!({"email": founder.email, "name": "Ada again", "role": "user"});
    let invited = server.with_key(&other.key).api("POST", "/v1/members", new).await.expect(201);
    let accept = json!({"token": invited["invitation"]["token"], "password": PASSWORD});
    server.with_key("").api("POST", "/v1/invitations/accept", accept).await.expect(201);
    // Each password opens its own.
    let one = sign_in(&server, &founder.email, &founder.password).await;
    assert_eq!(one.get("/v1/organization").await.expect(200)["name"], "Acme");
    let two = sign_in(&server, &founder.email, PASSWORD).await;
    assert_eq!(two.get("/v1/organization").await.expect(200)["name"], "Other");
    // The same password in both: which one is meant must be said.
    let change = json!({"current": founder.password, "new": PASSWORD});
    assert_eq!(one.api("POST", "/v1/me/password", change).await.status, 204);
    let both = attempt(&server, &founder.email, PASSWORD).await.problem(409, "state_conflict");
    let mut names: Vec<&str> =
        both["organizations"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Acme", "Other"]);
    for organization in both["organizations"].as_array().unwrap() {
        let body = json!({"email": founder.email, "password": PASSWORD, "organization": organization["id"]});
        let answer = server.with_key("").api("POST", "/v1/sessions", body).await;
        answer.expect(201);
        let browser = Browser::of(&server, &answer);
        assert_eq!(browser.get("/v1/organization").await.expect(200)["name"], organization["name"]);
    }
    let nowhere = json!({"email": founder.email, "password": PASSWORD, "organization": "org_x"});
    let nowhere = server.with_key("").api("POST", "/v1/sessions", nowhere).await;
    nowhere.problem(401, "unauthenticated");
}

#[tokio::test]
async fn guesses_are_slowed_for_each_account_and_each_address() {
    for home in Home::both() {
        let home = home.set("JACKFIELD_TRUSTED_PROXIES", "127.0.0.0/8");
        let (server, founder) = served(&home);
        let body = |email: &str, password: &str| json!({"email": email, "password": password});
        let path = "/v1/sessions";
        // One account, guessed from everywhere.
        for n in 0..5 {
            let wrong = body(&founder.email, &format!("wrong password {n}"));
            from(&server, &format!("192.0.2.{n}"), path, wrong).await.problem(401, "unauthenticated");
        }
        let right = body(&founder.email, &founder.password);
        let slowed = from(&server, "192.0.2.99", path, right.clone()).await;
        slowed.problem(429, "rate_limited");
        let wait: u64 = slowed.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=2).contains(&wait), "{wait}");
        // Keys are not concerned, nor are others.
        server.get("/v1/me").await.expect(200);
        let bob = server.person("bob", "user").await;
        from(&server, "192.0.2.99", path, body(&bob.email, PASSWORD)).await.expect(201);
        // All nodes share it, and a restart forgets nothing.
        drop(server);
        let server = home.serve(&founder.key);
        let refused = server.get("/v1/audit?action=session.refused").await.expect(200);
        let rows = refused["items"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "once a minute: {refused}");
        assert_eq!(
            (&rows[0]["address"], &rows[0]["actor"]["kind"]),
            (&json!("192.0.2.0"), &json!("jackfield"))
        );
        // The wait is over by itself: an event of the clock, which the answer names.
        let mut answer = from(&server, "192.0.2.99", path, right.clone()).await;
        while answer.status == 429 {
            let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=2).contains(&wait), "{wait}");
            tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
            answer = from(&server, "192.0.2.99", path, right.clone()).await;
        }
        answer.expect(201);
        // The owner was let in, and the count is gone.
        from(&server, "192.0.2.98", path, body(&founder.email, "wrong password"))
            .await
            .problem(401, "unauthenticated");
        from(&server, "192.0.2.98", path, right.clone()).await.expect(201);

        // One address, guessing at everybody; whom nobody knows is told the same.
        for n in 0..5 {
            let guess = body(&format!("nobody{n}@acme.example"), "wrong password");
            let answer = from(&server, "2001:db8::1", path, guess).await;
            let problem = answer.problem(401, "unauthenticated");
            assert!(!problem.to_string().contains("nobody"), "{problem}");
        }
        from(&server, "2001:db8::2", path, right.clone()).await.problem(429, "rate_limited");
        from(&server, "2001:db8:0:1::2", path, right).await.expect(201);
        assert!(!server.log().contains("wrong password"));
    }
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_an_admins_link() {
    for home in Home::both() {
        let (server, _) = served(&home);
        let bob = server.person("bob", "developer").await;
        let browser = sign_in(&server, &bob.email, PASSWORD).await;
        let link = async || {
            server.post(&format!("/v1/members/{}/password-reset", bob.id), json!({})).await.expect(201)
        };
        let (first, second) = (link().await, link().await);
        let token = second["token"].as_str().unwrap();
        assert_eq!(second["url"], format!("{}/password-reset?token={token}", server.url));
        let accept = async |token: &Value, password: &str| {
            let body = json!({"token": token, "password": password});
            server.with_key("").api("POST", "/v1/password-resets/accept", body).await
        };
        let anew = "a new sentence";
        accept(&first["token"], anew).await.problem(404, "not_found");
        assert_eq!(accept(&second["token"], "short").await.fields(), ["password"]);
        // The link to set a password is no invitation.
        let body = json!({"token": token, "password": anew});
        let invitation = server.with_key("").api("POST", "/v1/invitations/accept", body).await;
        invitation.problem(404, "not_found");
        assert!(browser.alive().await);
        assert_eq!(accept(&second["token"], anew).await.status, 204);
        assert!(!browser.alive().await);
        accept(&second["token"], anew).await.problem(404, "not_found");
        attempt(&server, &bob.email, PASSWORD).await.problem(401, "unauthenticated");
        sign_in(&server, &bob.email, anew).await;
        // Whoever asks without mail being configured is told the same as everybody.
        for email in [bob.email.as_str(), "nobody@acme.example", ""] {
            let asked = server.with_key("").api("POST", "/v1/password-resets", json!({"email": email})).await;
            assert_eq!(asked.expect(202), json!({}));
        }
        assert!(!server.log().contains(token));
    }
}

#[tokio::test]
async fn invitations_and_forgotten_passwords_go_by_mail() {
    let post = MailServer::start(&json!({"username": "ada", "password": "p@ss", "refuse": 1})).unwrap();
    let home = Home::sqlite()
        .set("JACKFIELD_SMTP_URL", &format!("smtp://ada:p%40ss@{}", post.host))
        .set("JACKFIELD_MAIL_FROM", "Jackfield <jackfield@acme.example>");
    let (server, _) = served(&home);
    let link = |mail: &Value, path: &str| {
        let text = mail["text"].as_str().unwrap().replace("=\r\n", "").replace("=3D", "=");
        let begin = format!("{}/{path}?token=", server.url);
        let at = text.find(&begin).unwrap_or_else(|| panic!("{text}")) + begin.len();
        text[at..].lines().next().unwrap().trim().to_owned()
    };
    // The first try is refused for now; it is tried again.
    let new = json!({"email": "bob@acme.example", "name": "Bob", "role": "user"});
    let invited = server.post("/v1/members", new).await.expect(201);
    let mail = post.next().unwrap();
    assert_eq!(
        (&mail["from"], &mail["to"]),
        (&json!("jackfield@acme.example"), &json!(["bob@acme.example"]))
    );
    assert_eq!(link(&mail, "invitations"), invited["invitation"]["token"].as_str().unwrap());
    let accept = json!({"token": invited["invitation"]["token"], "password": PASSWORD});
    let nobody = server.with_key("");
    nobody.api("POST", "/v1/invitations/accept", accept).await.expect(201);

    // Who is not known gets no mail; who is, gets three in a quarter of an hour.
    let ask = async |email: &str| {
        let answer = nobody.api("POST", "/v1/password-resets", json!({"email": email})).await;
        assert_eq!(answer.expect(202), json!({}));
    };
    ask("nobody@acme.example").await;
    let mut token = String::new();
    for _ in 0..3 {
        ask("BOB@acme.example").await;
        let mail = post.next().unwrap();
        assert_eq!(mail["to"], json!(["bob@acme.example"]));
        token = link(&mail, "password-reset");
    }
    ask("bob@acme.example").await;
    // An event after which the fourth would have been there: the refusal in the log.
    let refusal = "too many links for forgotten passwords";
    until(refusal, async || server.log().contains(refusal).then_some(())).await;
    let reset = json!({"token": token, "password": "a new sentence"});
    assert_eq!(nobody.api("POST", "/v1/password-resets/accept", reset).await.status, 204);
    sign_in(&server, "bob@acme.example", "a new sentence").await;
    assert!(post.waiting().is_empty());
    let log = server.log();
    for secret in ["p@ss", "p%40ss", token.as_str()] {
        assert!(!log.contains(secret));
    }
    let mut doctor = home.command();
    let found = finish(doctor.arg("doctor"));
    assert!(found.stdout.contains(&format!("{} takes it", post.host)), "{found:?}");
}

#[tokio::test]
async fn the_pages_for_people_without_a_key() {
    let home = Home::sqlite();
    let (server, _) = served(&home);
    let new = json!({"email": "bob@acme.example", "name": "Bob <b>", "role": "user"});
    let invited = server.post("/v1/members", new).await.expect(201);
    let id = invited["member"]["id"].as_str().unwrap();
    let token = invited["invitation"]["token"].as_str().unwrap();
    let http = reqwest::Client::new();
    let open =
        async |path: &str| Answer::of(http.get(format!("{}{path}", server.url)).send().await.unwrap()).await;
    let submit = async |path: &str, password: &str, token: &str, origin: (&str, &str)| {
        let form = [("token", token), ("password", password)];
        let form: Vec<String> = form.iter().map(|(n, v)| format!("{n}={}", v.replace(' ', "+"))).collect();
        let request = http
            .post(format!("{}{path}", server.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .header(origin.0, origin.1)
            .body(form.join("&"));
        Answer::of(request.send().await.unwrap()).await
    };
    // A browser says so of a form on a page that tells nobody where it is.
    let own = ("origin", "null");
    let page = open(&format!("/invitations?token={token}")).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("method=\"post\" action=\"/invitations\"")
            && page.text.contains("bob@acme.example")
    );
    assert_eq!(page.text.matches("<script").count(), 1, "the page's own");
    for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
        assert_eq!(page.headers[name], value);
    }
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    for foreign in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(submit("/invitations", PASSWORD, token, foreign).await.status, 403);
    }
    let wrong = submit("/invitations", "short", token, own).await;
    assert!(wrong.status == 422 && wrong.text.contains("at least 10 characters."), "{}", wrong.text);
    let joined = submit("/invitations", PASSWORD, token, own).await;
    assert!(joined.status == 200 && joined.text.contains("jfp_"), "{}", joined.text);
    assert!(!joined.text.contains("<b>") && !joined.text.contains(PASSWORD));
    for path in ["/invitations", "/password-reset"] {
        assert_eq!(open(&format!("{path}?token={token}")).await.status, 404);
        assert_eq!(submit(path, PASSWORD, token, own).await.status, 404);
    }

    let made = server.post(&format!("/v1/members/{id}/password-reset"), json!({})).await.expect(201);
    let path = made["url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    let page = open(&path).await;
    assert!(page.status == 200 && page.text.contains("action=\"/password-reset\""), "{}", page.text);
    let token = made["token"].as_str().unwrap();
    let done = submit("/password-reset", "a new sentence", token, own).await;
    assert!(done.status == 200 && done.text.contains("Your password is set"), "{}", done.text);
    sign_in(&server, "bob@acme.example", "a new sentence").await;
    assert_eq!(open(&path).await.status, 404);
}

#[tokio::test]
async fn a_change_of_the_password_voids_links_that_are_out() {
    let home = Home::sqlite();
    let (server, founder) = served(&home);
    let me = server.get("/v1/me").await.expect(200)["id"].as_str().unwrap().to_owned();
    let link = server.post(&format!("/v1/members/{me}/password-reset"), json!({})).await.expect(201);
    let change = json!({"current": founder.password, "new": PASSWORD});
    assert_eq!(server.post("/v1/me/password", change).await.status, 204);
    let body = json!({"token": link["token"], "password": "another sentence"});
    server.with_key("").api("POST", "/v1/password-resets/accept", body).await.problem(404, "not_found");
}
