//! Which addresses are reached, under whatever name.

use super::*;

/// Names that the machine itself resolves, with where they lead.
fn names_of_this_machine() -> Vec<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut names = vec!["localhost".to_owned()];
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        if address::inside(address).is_some() {
            names.extend(words.map(str::to_owned));
        }
    }
    names
}

#[tokio::test]
async fn what_is_inside_is_refused_by_default_under_every_name() {
    let server = Server::ok().await;
    let mut hosts = names_of_this_machine();
    hosts.extend(
        [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
        ]
        .map(str::to_owned),
    );
    hosts.extend(
        ["[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "[fd00:ec2::254]"].map(str::to_owned),
    );
    let egress = egress(&[]);
    for host in hosts {
        for url in [server.url_as(&host), server.url_as(&host).replace("http:", "https:")] {
            let error = refusal(&egress, &url).await;
            assert!(
                matches!(&error, EgressError::AddressNotAllowed { host: told, refusal: Refusal::Inside { .. } } if *told == host),
                "{url}: {error:?}"
            );
        }
    }
    // Whether this one has an address is the resolver's affair.
    refusal(&egress, &server.url_as("localhost.")).await;
    assert_eq!(server.connections(), 0, "not even a connection was made");
}

#[tokio::test]
async fn what_the_operator_lists_is_reached() {
    let server = Server::ok().await;
    let hosts = ["127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]"];
    for egress in
        [inward(), Egress::new(EgressOptions { unrestricted: true, ..EgressOptions::default() }).unwrap()]
    {
        for host in hosts {
            let response = egress.send(get(&server.url_as(host)), None).await.unwrap();
            assert_eq!(Egress::collect(response.into_body(), 10, later()).await.unwrap(), "ok", "{host}");
        }
    }
    let other = egress(&["10.0.0.0/8", "::/0"]);
    for host in hosts {
        refusal(&other, &server.url_as(host)).await;
    }
}

#[tokio::test]
async fn ipv4_in_unusual_notations_is_no_host_even_where_it_would_lead_to_a_listed_address() {
    let server = Server::ok().await;
    for egress in [egress(&[]), inward()] {
        for host in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0X7F.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "127.0.0.1.",
            "127.0.0.01",
            "256.0.0.1",
        ] {
            let error = refusal(&egress, &server.url_as(host)).await;
            let expected = EgressError::AddressNotAllowed { host: host.into(), refusal: Refusal::Notation };
            assert_eq!(error, expected);
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn plain_http_towards_the_internet_is_refused_before_any_connection() {
    for egress in [egress(&[]), inward()] {
        for host in ["8.8.8.8", "[::ffff:8.8.8.8]", "[2606:4700:4700::1111]"] {
            let error = refusal(&egress, &format!("http://{host}/")).await;
            let expected = EgressError::AddressNotAllowed { host: host.into(), refusal: Refusal::PlainHttp };
            assert_eq!(error, expected);
        }
    }
}

#[tokio::test]
async fn a_name_without_address_is_unresolvable() {
    let error = refusal(&egress(&[]), "https://no-such-host.invalid/").await;
    assert_eq!(error, EgressError::Unresolvable { host: "no-such-host.invalid".into() });
}

#[tokio::test]
async fn what_is_no_request_for_a_service_is_refused() {
    let egress = inward();
    for url in [
        "/path",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://user:secret@127.0.0.1:80/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:/",
        "http://[fe80::zz]/",
    ] {
        let Ok(uri) = url.parse::<Uri>() else { continue };
        let error = refusal(&egress, &uri.to_string()).await;
        assert!(matches!(error, EgressError::InvalidRequest(_)), "{url}: {error:?}");
        assert!(!error.to_string().contains("secret"));
    }
    let connect = Request::connect("http://127.0.0.1/").body(EgressBody::Empty).unwrap();
    assert!(matches!(egress.send(connect, None).await, Err(EgressError::InvalidRequest(_))));
}

#[tokio::test]
async fn proxies_from_the_environment_are_not_used() {
    let trap = Server::raw(|_| async {}).await;
    let this = std::env::current_exe().unwrap();
    let mut again = tokio::process::Command::new(this);
    again.args(["--exact", "call::egress::tests::addresses::what_the_operator_lists_is_reached"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, trap.url("/"));
    }
    let output = again.env_remove("no_proxy").env_remove("NO_PROXY").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(trap.connections(), 0);
}
