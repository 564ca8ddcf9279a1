//! Bodies that come and go piece by piece.

use super::*;

#[tokio::test]
async fn what_streams_in_streams_out_and_back_piece_by_piece() {
    // The server echoes, the client waits for the echo of each piece before it sends the next: whoever held back more
    // than a piece, in either direction, would never see the end.
    const PIECES: usize = 64;
    let upstream = Server::http(|request| async { Response::new(request.into_body()) }).await;
    let front = passing_on(inward(), upstream.url("/")).await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let everything = async {
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", PIECES * MIB);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut echoed = read_head(&mut stream).await.1;
        for number in 0..PIECES {
            let piece = vec![u8::try_from(number).unwrap(); MIB];
            let (mut reader, mut writer) = stream.split();
            // The echo is chunked or not; only the pieces' own bytes are looked at.
            let (written, ()) = tokio::join!(writer.write_all(&piece), async {
                while echoed.len() < MIB {
                    assert_ne!(reader.read_buf(&mut echoed).await.unwrap(), 0);
                }
            });
            written.unwrap();
            assert!(echoed[..MIB] == piece[..], "piece {number}");
            echoed.drain(..MIB);
        }
        assert_eq!(echoed.len(), 0);
    };
    tokio::time::timeout(Duration::from_mins(1), everything).await.expect("nothing held back");
}

/// Yields zeroes as they are asked for, and says how many so far.
struct Spring {
    left: usize,
    given: Arc<AtomicUsize>,
}

impl Body for Spring {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 64 * 1024] = [0; 64 * 1024];
        let size = self.left.min(PIECE.len());
        self.left -= size;
        self.given.fetch_add(size, Ordering::SeqCst);
        std::task::Poll::Ready(
            (size > 0).then(|| Ok(http_body::Frame::data(Bytes::from_static(&PIECE[..size])))),
        )
    }
}

#[tokio::test]
async fn a_large_answer_waits_at_the_service_for_its_reader() {
    let given = Arc::new(AtomicUsize::new(0));
    let spring = Arc::clone(&given);
    let server = Server::http(move |_| {
        let given = Arc::clone(&spring);
        async { Response::new(Spring { left: 64 * MIB, given }) }
    })
    .await;
    let mut body = inward().send(get(&server.url("/")), None).await.unwrap().into_body();
    let (mut taken, mut most) = (0, 0);
    while let Some(frame) = body.frame().await {
        taken += frame.unwrap().into_data().unwrap().len();
        most = most.max(given.load(Ordering::SeqCst) - taken);
    }
    assert_eq!(taken, 64 * MIB);
    assert!(most < 24 * MIB, "{most} bytes under way: more than the sockets hold");
}
