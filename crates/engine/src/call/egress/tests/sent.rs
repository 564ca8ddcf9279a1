//! Whether a request that failed went out.

use super::*;

#[tokio::test]
async fn a_closed_port_has_received_nothing() {
    let port = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = refusal(&inward(), &format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(error, EgressError::Connect { ref host, .. } if host == "127.0.0.1"), "{error:?}");
}

/// What `exchange` and `send` (with its body collected) say about a server that reads the request and then…
async fn outcome(then: &'static [u8], close: Close) -> EgressError {
    let (server, mut reached) = reading(then, close).await;
    let egress = inward();
    let exchange = egress.exchange(get_bytes(&server.url("/")), 10, later());
    let exchanged = hurried(exchange, &mut reached, close).await.expect_err("no whole answer");
    let deadline = later();
    let send = async {
        let response = egress.send(get(&server.url("/")), Some(deadline)).await?;
        Egress::collect(response.into_body(), 10, deadline).await
    };
    let sent = hurried(send, &mut reached, close).await.expect_err("no whole answer");
    assert_eq!(std::mem::discriminant(&exchanged), std::mem::discriminant(&sent), "{exchanged:?} {sent:?}");
    assert!(exchanged.request_was_sent() && sent.request_was_sent());
    exchanged
}

#[tokio::test]
async fn what_breaks_off_after_the_request_is_lost() {
    for (then, close) in [
        ("", Close::Orderly),
        ("", Close::Reset),
        ("HTTP/1.1 200 OK\r\ncont", Close::Orderly),
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", Close::Orderly),
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", Close::Reset),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", Close::Orderly),
        ("SSH-2.0-OpenSSH_9.9\r\n", Close::Orderly),
    ] {
        let error = outcome(then.as_bytes(), close).await;
        assert!(matches!(error, EgressError::Lost { .. }), "{then:?}: {error:?}");
    }
}

#[tokio::test]
async fn what_hangs_after_the_request_times_out_as_sent() {
    for then in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"] {
        assert_eq!(
            outcome(then.as_bytes(), Close::Never).await,
            EgressError::Timeout { sent: true },
            "{then:?}"
        );
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    for (then, close) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n", Close::Orderly),
        ("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n12345678901", Close::Orderly),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n78901\r\n",
            Close::Orderly,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n12345678901", Close::Orderly),
    ] {
        assert_eq!(outcome(then.as_bytes(), close).await, EgressError::TooLarge { limit: 10 }, "{then:?}");
    }
}

#[tokio::test]
async fn whole_answers_up_to_the_limit() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1234567890", "1234567890"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n4\r\n6789\r\n1\r\n0\r\n0\r\n\r\n",
            "1234567890",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n1234567890", "1234567890"),
        ("HTTP/1.0 200 OK\r\n\r\n12345", "12345"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1",
            "1",
        ),
    ] {
        let server = Server::raw(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let egress = inward();
        let exchanged = egress.exchange(get_bytes(&server.url("/")), 10, later()).await.unwrap();
        assert_eq!(exchanged.status(), 200);
        assert_eq!(exchanged.into_body(), body);
        let sent = egress.send(get(&server.url("/")), None).await.unwrap();
        assert_eq!(Egress::collect(sent.into_body(), 10, later()).await.unwrap(), body);
    }
}

#[tokio::test]
async fn who_drops_an_exchange_drops_its_connection() {
    let (seen, mut events) = mpsc::unbounded_channel();
    let server = Server::raw(move |mut stream| {
        let seen = seen.clone();
        async move {
            read_head(&mut stream).await;
            seen.send("begun").unwrap();
            while !matches!(stream.read(&mut [0; 16]).await, Ok(0) | Err(_)) {}
            seen.send("closed").unwrap();
        }
    })
    .await;
    let egress = inward();
    tokio::select! {
        _ = egress.exchange(get_bytes(&server.url("/")), 10, later()) => unreachable!(),
        begun = events.recv() => assert_eq!(begun, Some("begun")),
    }
    assert_eq!(events.recv().await, Some("closed"));
}
