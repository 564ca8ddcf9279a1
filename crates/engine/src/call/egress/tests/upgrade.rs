//! Another protocol on the same connection.

use super::*;

#[tokio::test]
async fn a_web_socket_carries_both_ways() {
    let server = Server::http(|mut request| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        assert_eq!(request.headers()["connection"], "Upgrade");
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            .body(full(""))
            .unwrap()
    })
    .await;
    let request = Request::get(server.url("/chat?room=1"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(EgressBody::Empty)
        .unwrap();
    let Upgrade::Switched { head, stream } = inward().upgrade(request, later()).await.unwrap() else {
        panic!("not switched");
    };
    assert_eq!(head.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let mut stream = TokioIo::new(stream);
    for message in ["one", "two"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut echo = [0; 3];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, message.as_bytes());
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "the end comes through");
}

#[tokio::test]
async fn who_does_not_switch_answers_as_usual() {
    let server = Server::http(|_| async {
        Response::builder().status(426).body(full("another protocol, please")).unwrap()
    })
    .await;
    let Upgrade::Answer(answer) = inward().upgrade(get(&server.url("/")), later()).await.unwrap() else {
        panic!("switched");
    };
    assert_eq!(answer.status(), 426);
    assert_eq!(
        Egress::collect(answer.into_body().into(), 100, later()).await.unwrap(),
        "another protocol, please"
    );
}

#[tokio::test]
async fn an_upgrade_that_hangs_times_out() {
    let (server, mut reached) = reading(b"", Close::Never).await;
    let egress = inward();
    let outcome = hurried(egress.upgrade(get(&server.url("/")), later()), &mut reached, Close::Never).await;
    assert_eq!(outcome.unwrap_err(), EgressError::Timeout { sent: true });
}
