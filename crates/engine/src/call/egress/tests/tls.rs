//! TLS and HTTP/2.

use super::*;

/// A server with a certificate of its own for `localhost`, the file with that certificate, and what ALPN chose so far.
struct Secured {
    server: Server,
    roots: tempfile::NamedTempFile,
    protocols: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
}

impl Secured {
    async fn new(offers: &[&str]) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), own.cert.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![own.cert.der().clone()],
                PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = offers.iter().map(|p| p.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let protocols = Arc::new(Mutex::new(Vec::new()));
        let chosen = Arc::clone(&protocols);
        let server = Server::raw(move |stream| {
            let (acceptor, chosen) = (acceptor.clone(), Arc::clone(&chosen));
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                chosen.lock().unwrap().push(protocol.clone());
                let handler = |_| async { Ok::<_, Infallible>(Response::new(full("ok"))) };
                if protocol.as_deref() == Some(b"h2") {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service_fn(handler)).await;
                } else {
                    answer(stream, |_| async { Response::new(full("ok")) }).await;
                }
            }
        })
        .await;
        Self { server, roots, protocols }
    }

    fn url(&self, host: &str) -> String {
        self.server.url_as(host).replace("http:", "https:")
    }

    fn trusting(&self) -> Egress {
        let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let extra_roots = Some(self.roots.path().to_owned());
        Egress::new(EgressOptions { allow, extra_roots, ..EgressOptions::default() }).unwrap()
    }

    fn protocols(&self) -> Vec<String> {
        let protocols = self.protocols.lock().unwrap();
        protocols.iter().map(|p| String::from_utf8(p.clone().unwrap_or_default()).unwrap()).collect()
    }
}

#[tokio::test]
async fn over_http2_all_requests_share_a_connection() {
    let secured = Secured::new(&["h2", "http/1.1"]).await;
    let (egress, url) = (secured.trusting(), secured.url("localhost"));
    fetch(&egress, &url).await.unwrap();
    let all = futures_util::future::join_all((0..20).map(|_| fetch(&egress, &url))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(secured.server.connections(), 1);
    // Those who come at once to a new host may each open one; from then on one is used.
    let other = egress.with_pool_of_its_own();
    futures_util::future::join_all((0..5).map(|_| fetch(&other, &url))).await;
    let opened = secured.server.connections();
    for _ in 0..20 {
        fetch(&other, &url).await.unwrap();
    }
    assert_eq!(secured.server.connections(), opened);
    tokio::time::pause();
    tokio::time::sleep(pool::IDLE + Duration::from_secs(1)).await;
    tokio::time::resume();
    fetch(&other, &url).await.unwrap();
    assert_eq!(secured.server.connections(), opened + 1, "an idle one is let go in time");
}

#[tokio::test]
async fn http2_where_offered_and_http1_elsewhere() {
    for (offers, pooled) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1"), (&[], "")] {
        let secured = Secured::new(offers).await;
        let (egress, url) = (secured.trusting(), secured.url("localhost"));
        for method in [Method::GET, Method::POST] {
            let request = Request::builder()
                .method(method)
                .uri(&url)
                .header("host", "elsewhere")
                .body(EgressBody::Empty);
            let sent = egress.send(request.unwrap(), Some(later())).await.unwrap();
            assert_eq!(Egress::collect(sent.into_body(), 10, later()).await.unwrap(), "ok");
        }
        assert!(secured.protocols().iter().all(|p| p == pooled), "{:?}", secured.protocols());
        secured.protocols.lock().unwrap().clear();
        let exchanged = egress.exchange(get_bytes(&url), 10, later()).await.unwrap();
        assert_eq!(exchanged.into_body(), "ok");
        let Upgrade::Answer(answer) = egress.upgrade(get(&url), later()).await.unwrap() else {
            panic!("switched")
        };
        assert_eq!(answer.status(), 200);
        assert!(secured.protocols().iter().all(|p| p != "h2"), "own connections speak HTTP/1.1");
    }
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_for_this_host() {
    let secured = Secured::new(&[]).await;
    for (egress, host) in [(inward(), "localhost"), (secured.trusting(), "127.0.0.1")] {
        // Without any root certificates on this machine the error is the same.
        let error = refusal(&egress, &secured.url(host)).await;
        assert!(matches!(&error, EgressError::Tls { host: told, .. } if told == host), "{error:?}");
    }
    let plain = Server::ok().await;
    let error = refusal(&secured.trusting(), &plain.url_as("localhost").replace("http:", "https:")).await;
    assert!(matches!(&error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_handshake_that_hangs_has_sent_nothing() {
    let server = Server::raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let url = server.url("/").replace("http:", "https:");
    let patient = inward();
    let exchange = patient.exchange(get_bytes(&url), 10, soon()).await;
    assert_eq!(exchange.unwrap_err(), EgressError::Timeout { sent: false }, "the deadline");
    let options = EgressOptions {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        connect_timeout: Duration::from_millis(50),
        ..EgressOptions::default()
    };
    let error = refusal(&Egress::new(options).unwrap(), &url).await;
    assert_eq!(error, EgressError::Timeout { sent: false }, "the connect time-out");
    let careful = patient.send(get(&url), Some(soon())).await;
    assert_eq!(careful.unwrap_err(), EgressError::Timeout { sent: true }, "the pool does not tell");
}

#[tokio::test]
async fn root_certificates_are_loaded_at_the_first_https_connection() {
    let plain = Server::ok().await;
    let secured = Secured::new(&[]).await;
    let egress = secured.trusting();
    egress.send(get(&plain.url("/")), None).await.unwrap();
    egress.exchange(get_bytes(&plain.url("/")), 10, later()).await.unwrap();
    assert!(!egress.0.single.has_loaded_roots());
    egress.exchange(get_bytes(&secured.url("localhost")), 10, later()).await.unwrap();
    assert!(egress.0.single.has_loaded_roots());
}

#[test]
fn a_client_is_made_without_a_runtime_and_unusable_roots_are_told() {
    egress(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    for content in ["", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), content).unwrap();
        let options = EgressOptions { extra_roots: Some(file.path().to_owned()), ..EgressOptions::default() };
        let error = Egress::new(options).err().expect("refused");
        assert!(matches!(&error, EgressError::Roots(why) if why.contains(&*file.path().to_string_lossy())));
    }
    let options = EgressOptions { extra_roots: Some("/no/such/file".into()), ..EgressOptions::default() };
    assert!(matches!(Egress::new(options), Err(EgressError::Roots(_))));
}
