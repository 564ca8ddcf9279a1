//! A network between the store and PostgreSQL that can stop carrying anything without closing a connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Proxy {
    /// A way to the server of this URL, and the URL that takes it.
    pub async fn before(url: &str) -> (Self, String) {
        let (prefix, rest) = url.split_once('@').unwrap();
        let (target, database) = rest.split_once('/').unwrap();
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, gate) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(carry(near_read, far_write, gate.clone()));
                tokio::spawn(carry(far_read, near_write, gate.clone()));
            }
        });
        let proxy = Self { address, open };
        let url = format!("{prefix}@{}/{database}", proxy.address);
        (proxy, url)
    }

    pub fn freeze(&self) {
        self.open.send_replace(false);
    }

    pub fn thaw(&self) {
        self.open.send_replace(true);
    }
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut gate: watch::Receiver<bool>,
) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return };
        if gate.wait_for(|open| *open).await.is_err()
            || count == 0
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
