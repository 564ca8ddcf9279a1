//! The inside is not reachable through Jackfield: not by any notation of an address, not by a name, not by a redirect.

use jackfield_testkit::browser::Browser;
use serde_json::{Value, json};

use crate::support::{Answer, Home, Server};
use crate::upstream::{Upstream, connected, json_reply, key, keyed, reply};

/// Addresses of the inside, each with the host as it may be written.
const INSIDE: &[&str] = &[
    "127.0.0.1",
    "127.45.6.7",
    "localhost",
    "LOCALHOST",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[::]",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[::ffff:169.254.169.254]",
    "[2001:db8::1]",
];

/// Notations of loopback that no two parsers agree on.
const ODD: &[&str] = &[
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "localhost.",
    "127.0.0.01",
    "１２７.0.0.1",
    "127。0。0。1",
    "[::ffff:0x7f.0.0.1]",
    "[::1%25lo]",
    "[::1%lo]",
    "%6c%6fcalhost",
];

/// An upstream that nobody may reach.
async fn trap() -> Upstream {
    Upstream::answering(|_| json_reply(&json!({"access_token": "x", "token_type": "bearer"}))).await
}

/// Makes a connection of this document as far as it lets itself be made: the link name, or the refusal.
async fn try_connect(server: &Server, document: Value) -> Result<String, Answer> {
    let made = server.post("/v1/connectors", document).await;
    if made.status != 201 {
        return Err(made);
    }
    let link = made.json()["link_name"].as_str().unwrap().to_owned();
    server.post(&format!("/v1/connectors/{link}/publish"), json!({})).await.expect(200);
    let parameters = json!({"client_id": "c", "client_secret": "s"});
    let oauth = made.json()["auth"]["type"].as_str().unwrap().starts_with("oauth2");
    let parameters = if oauth { parameters } else { json!({}) };
    let made = server
        .post("/v1/connections", json!({"connector": link, "name": link, "parameters": parameters}))
        .await;
    if made.status == 201 { Ok(made.json()["link_name"].as_str().unwrap().to_owned()) } else { Err(made) }
}

async fn authorize(server: &Server, link: &str, body: Value) -> Answer {
    server.post(&format!("/v1/connections/{link}/authorizations"), body).await
}

#[tokio::test]
async fn without_an_allowance_nothing_inside_is_reached() {
    let home = Home::sqlite().set("JACKFIELD_EGRESS_ALLOW", "");
    let server = home.start();
    let trap = trap().await;
    let port = trap.port;

    // As the base URL of a connector.
    for (at, (scheme, host)) in
        INSIDE.iter().chain(ODD).flat_map(|host| [("http", host), ("https", host)]).enumerate()
    {
        let document = json!({
            "name": format!("Inside {at}"), "base_url": format!("{scheme}://{host}:{port}"), "hosts": [format!("{host}:{port}")],
            "auth": {"type": "none"},
        });
        match try_connect(&server, document).await {
            Err(refused) => {
                refused.problem(422, "invalid_input");
                assert!(!INSIDE.contains(host), "{host} is well formed: {}", refused.text);
            }
            Ok(link) => {
                authorize(&server, &link, json!({})).await.expect(201);
                let answer = server.invoke(&link, json!({"url": "/x"})).await;
                let problem = answer.problem(403, "address_not_allowed");
                assert!(
                    problem["detail"].as_str().unwrap().contains("JACKFIELD_EGRESS_ALLOW")
                        || ODD.contains(host)
                );
                let proxied = server.request("GET", &format!("/v1/proxy/{link}/x")).send().await.unwrap();
                Answer::of(proxied).await.problem(403, "address_not_allowed");
            }
        }
    }

    // As any other place that Jackfield asks by itself.
    let inner = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let outer = json!({"name": "Outer", "base_url": "https://192.0.2.7", "hosts": ["192.0.2.7", format!("127.0.0.1:{port}")]});
    let with = |name: &str, more: Value| {
        let mut document = outer.clone();
        document["name"] = name.into();
        for (name, value) in more.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    };
    let test = with("Tested", json!({"auth": {"type": "none"}, "test": {"path": inner("test")}}));
    let link = try_connect(&server, test).await.unwrap();
    authorize(&server, &link, json!({})).await.problem(403, "address_not_allowed");

    let identity = json!({"url": inner("me"), "name": "/email"});
    let identity = with("Identified", json!({"auth": {"type": "none"}, "identity": identity}));
    let link = try_connect(&server, identity).await.unwrap();
    // Whose account it is may stay unknown; nobody was asked.
    authorize(&server, &link, json!({})).await.expect(201);

    let machine = json!({"type": "oauth2_client_credentials", "token_url": inner("token")});
    let link = try_connect(&server, with("Machine", json!({"auth": machine}))).await.unwrap();
    authorize(&server, &link, json!({})).await.problem(403, "address_not_allowed");

    let code = |more: Value| {
        let mut auth = json!({"type": "oauth2_code", "authorize_url": "https://192.0.2.7/authorize", "token_url": inner("token")});
        for (name, value) in more.as_object().unwrap() {
            auth[name] = value.clone();
        }
        auth
    };
    for (name, more) in [("Pushed", json!({"par_url": inner("par")})), ("Code", json!({}))] {
        let link = try_connect(&server, with(name, json!({"auth": code(more)}))).await.unwrap();
        let begun = authorize(&server, &link, json!({})).await;
        if begun.status != 202 {
            assert!((400..500).contains(&begun.status), "{}", begun.text);
            continue;
        }
        // The browser's part: it comes back with a code, which cannot be exchanged.
        let browser = Browser::new();
        browser.stop_at(Some("https://192.0.2.7/"));
        let flow = begun.json()["flow"].clone();
        let page = browser.get(flow["start_url"].as_str().unwrap()).await.unwrap();
        if let Some(place) = page.location() {
            let state = place.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
            let back = format!("{}/oauth/callback?state={state}&code=x", server.url);
            let page = browser.get(&back).await.unwrap();
            assert!((400..500).contains(&page.status), "{} {}", page.status, page.body);
        }
        let flow = server.get(&format!("/v1/flows/{}", flow["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(flow["state"], "failed", "{flow}");
    }
    assert!(trap.seen().is_empty(), "{:?}", trap.seen());
}

#[tokio::test]
async fn an_allowance_allows_what_it_says_and_no_more() {
    let home = Home::sqlite().set("JACKFIELD_EGRESS_ALLOW", "127.0.0.1/32");
    let server = home.start();
    let trap = trap().await;
    let beside = format!("127.0.0.2:{}", trap.port);
    let upstream = Upstream::answering(|request| match request.target().split_once("?to=") {
        Some((_, to)) => reply(302, &[("location", to)], ""),
        None => json_reply(&json!({})),
    })
    .await;
    let hosts = [
        upstream.host(),
        format!("localhost:{}", upstream.port),
        beside.clone(),
        format!("[::1]:{}", upstream.port),
        "169.254.169.254:80".to_owned(),
        "169.254.169.254".to_owned(),
        "1.1.1.1:80".to_owned(),
        "1.1.1.1".to_owned(),
    ];
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let link = connected(&server, keyed("Allowed", &upstream.url, &hosts), key()).await;
    for url in ["/x".to_owned(), format!("http://localhost:{}/x", upstream.port)] {
        assert_eq!(server.invoke(&link, json!({ "url": url })).await.expect(200)["status"], 200);
    }
    assert_eq!(upstream.take().len(), 2);
    for url in [
        format!("http://{beside}/x"),
        format!("https://{beside}/x"),
        format!("http://[::1]:{}/x", upstream.port),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        // A public address, in clear.
        "http://1.1.1.1/".to_owned(),
    ] {
        let answer = server.invoke(&link, json!({ "url": url })).await;
        answer.problem(403, "address_not_allowed");
        // … and the same by a redirect of a service that may be reached.
        let answer = server.invoke(&link, json!({"url": format!("/?to={url}")})).await;
        answer.problem(403, "address_not_allowed");
    }
    assert!(trap.seen().is_empty());
    assert_eq!(upstream.seen().len(), 5);
}
