//! Connections that are kept for the next request.

use super::*;

/// Waits until the pool keeps this many connections over HTTP/1.1.
async fn keeps(egress: &Egress, count: usize) {
    let kept = async {
        while egress.0.pool.idle() != count {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Instant::now();
    tokio::pin!(kept);
    while futures_util::poll!(&mut kept).is_pending() {
        assert!(patience.elapsed() < Duration::from_secs(20), "{} kept, not {count}", egress.0.pool.idle());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_after_the_other_goes_over_one_connection() {
    let server = Server::ok().await;
    let egress = inward();
    for _ in 0..50 {
        assert_eq!(fetch(&egress, &server.url("/")).await.unwrap(), "ok");
        keeps(&egress, 1).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_is_kept_for_its_own_host_only() {
    let server = Server::ok().await;
    let egress = inward();
    for (host, connections) in [("127.0.0.1", 1), ("localhost", 2), ("LOCALHOST", 2), ("127.0.0.1", 2)] {
        fetch(&egress, &server.url_as(host)).await.unwrap();
        keeps(&egress, connections).await;
        assert_eq!(server.connections(), connections, "{host}");
    }
    let secured = server.url_as("127.0.0.1").replace("http:", "https:");
    assert!(matches!(fetch(&egress, &secured).await, Err(EgressError::Tls { .. })));
    assert_eq!(server.connections(), 3, "what is kept without TLS does not serve https");
}

#[tokio::test]
async fn no_more_connections_are_kept_than_the_limit_says() {
    const AT_ONCE: usize = 5;
    let all_here = Arc::new(tokio::sync::Barrier::new(AT_ONCE));
    let server = Server::http(move |_| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            Response::new(full("ok"))
        }
    })
    .await;
    let single = inward().0.single.clone();
    let pool = Arc::new(Pool::new(single.pooled()).keeping(2));
    let egress = Egress(Arc::new(Inner { pool, single }), None);
    let url = server.url("/");
    let answers: Vec<_> =
        futures_util::future::join_all((0..AT_ONCE).map(|_| egress.send(get(&url), Some(later())))).await;
    assert_eq!(server.connections(), AT_ONCE);
    for answer in answers {
        Egress::collect(answer.unwrap().into_body(), 10, later()).await.unwrap();
    }
    keeps(&egress, 2).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(egress.0.pool.idle(), 2);
    }
}

#[tokio::test]
async fn an_idle_connection_is_let_go_in_time_and_not_before() {
    let (seen, mut ends) = mpsc::unbounded_channel();
    let server = Server::raw(move |stream| {
        let seen = seen.clone();
        async move {
            answer(stream, |_| async { Response::new(full("ok")) }).await;
            seen.send(()).unwrap();
        }
    })
    .await;
    let egress = inward();
    for _ in 0..2 {
        fetch(&egress, &server.url("/")).await.unwrap();
        keeps(&egress, 1).await;
        tokio::time::pause();
        tokio::time::sleep(pool::IDLE / 3 * 2).await;
        assert_eq!(egress.0.pool.idle(), 1);
        tokio::time::resume();
    }
    assert_eq!(server.connections(), 1, "what is used stays young");
    tokio::time::pause();
    tokio::time::sleep(pool::IDLE + Duration::from_secs(1)).await;
    assert_eq!(egress.0.pool.idle(), 0);
    tokio::time::resume();
    ends.recv().await.unwrap();
    // Whoever counts the age has gone, and comes again.
    fetch(&egress, &server.url("/")).await.unwrap();
    keeps(&egress, 1).await;
    tokio::time::pause();
    tokio::time::sleep(pool::IDLE + Duration::from_secs(1)).await;
    assert_eq!(egress.0.pool.idle(), 0);
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_is_not_used_again() {
    let server = Server::saying(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
    let egress = inward();
    for connections in 1..=3 {
        let mut body = egress.send(get(&server.url("/")), Some(later())).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        assert_eq!(egress.0.pool.idle(), 0);
        drop(body);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(egress.0.pool.idle(), 0);
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_that_the_service_gives_up_is_not_used_again_even_if_it_stays_open() {
    let server = Server::saying(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    let egress = inward();
    for connections in 1..=3 {
        assert_eq!(fetch(&egress, &server.url("/")).await.unwrap(), "ok");
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(egress.0.pool.idle(), 0);
        assert_eq!(server.connections(), connections);
    }
}

/// Of sizes so close to each other one leaves less in hyper than it buffers when nothing more fits on the way: there it says nothing
/// when the last of it has gone.
#[tokio::test]
async fn a_request_goes_out_to_its_end_although_it_is_answered_before_and_then_its_connection_is_kept() {
    const STEP: usize = 384 * 1024;
    let mut still_going_out = 0;
    for size in (1..=24).map(|n| n * STEP) {
        let (read_on, wait) = tokio::sync::watch::channel(false);
        let (whole, mut arrived) = mpsc::unbounded_channel();
        let server = Server::raw(move |mut stream| {
            let (mut wait, whole) = (wait.clone(), whole.clone());
            async move {
                let (_, first) = read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                wait.wait_for(|go| *go).await.unwrap();
                let mut rest = vec![0; size - first.len()];
                stream.read_exact(&mut rest).await.unwrap();
                whole.send(()).unwrap();
                std::future::pending::<()>().await;
            }
        })
        .await;
        let egress = inward();
        let body = EgressBody::Full(Bytes::from(vec![b'x'; size]));
        let request = Request::post(server.url("/")).body(body).unwrap();
        let answer = egress.send(request, Some(later())).await.unwrap();
        assert_eq!(Egress::collect(answer.into_body(), 10, later()).await.unwrap(), "ok");
        still_going_out += usize::from(egress.0.pool.idle() == 0);
        read_on.send(true).unwrap();
        arrived.recv().await.unwrap();
        keeps(&egress, 1).await;
    }
    assert!(still_going_out > 1, "{still_going_out}");
}

#[tokio::test]
async fn what_was_written_on_a_kept_connection_is_never_sent_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let server = Server::raw(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            read_head(&mut stream).await;
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            // The second request is read, and the connection ends without a word.
            read_head(&mut stream).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let egress = inward();
    fetch(&egress, &server.url("/")).await.unwrap();
    keeps(&egress, 1).await;
    let error = fetch(&egress, &server.url("/")).await.unwrap_err();
    assert!(matches!(error, EgressError::Lost { .. }), "{error:?}");
    assert_eq!((requests.load(Ordering::SeqCst), server.connections()), (2, 1));
    assert_eq!(fetch(&egress, &server.url("/")).await.unwrap(), "ok");
    assert_eq!((requests.load(Ordering::SeqCst), server.connections()), (3, 2));
}

/// A server in threads of its own, so that it works while the runtime of the test stands still. It answers one request
/// on each connection and closes the connection as soon as it is told to.
fn closing_when_told() -> (String, std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let (close, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            if told.recv().is_err() {
                return;
            }
            drop(stream);
            close.send(()).unwrap();
        }
    });
    (url, tell, closed)
}

#[tokio::test]
async fn a_kept_connection_that_is_dead_is_replaced() {
    let (url, close, closed) = closing_when_told();
    let egress = inward();
    for _ in 0..3 {
        assert_eq!(fetch(&egress, &url).await.unwrap(), "ok");
        keeps(&egress, 1).await;
        close.send(()).unwrap();
        closed.recv().unwrap();
        // Long enough for the connection's own task to see it.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_met_a_connection_just_closing_goes_over_another() {
    let (url, close, closed) = closing_when_told();
    let egress = inward();
    for _ in 0..3 {
        assert_eq!(fetch(&egress, &url).await.unwrap(), "ok");
        keeps(&egress, 1).await;
        close.send(()).unwrap();
        closed.recv().unwrap();
        // The runtime learns of it here, and goes on with this task before the connection's: that one finds the end of
        // the connection and a request at once.
        tokio::task::yield_now().await;
        assert_eq!(egress.0.pool.idle(), 1, "it still seems to stand");
    }
}
