//! A wire between Regain and a controller that can swallow what travels on it.
//!
//! It passes TLS on without understanding it; what it counts is how often Regain has spoken.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Requests that are still passed on, and replies.
#[derive(Default)]
struct Left {
    requests: AtomicI64,
    replies: AtomicI64,
}

/// The wire.
pub struct Relay {
    /// Where Regain is to look for the controller: host and port.
    pub address: String,
    left: Arc<Left>,
}

const ALL: i64 = i64::MAX / 2;

impl Relay {
    /// A wire to the LDAPS port of that address.
    pub async fn to(controller: IpAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(Left { requests: AtomicI64::new(ALL), replies: AtomicI64::new(ALL) });
        let shared = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((controller, 636)).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
                tokio::spawn(async move { pass(from_client, to_server, &one.requests).await });
                tokio::spawn(async move { pass(from_server, to_client, &other.replies).await });
            }
        });
        // The test certificate is good for this name, too.
        Self { address: format!("localhost:{port}"), left }
    }

    /// From now on only so many requests get through, and so many replies come back; the rest is never heard of.
    pub fn swallow_after(&self, requests: i64, replies: i64) {
        self.left.requests.store(requests, Ordering::SeqCst);
        self.left.replies.store(replies, Ordering::SeqCst);
    }

    /// All gets through again, on new connections at least.
    pub fn mend(&self) {
        self.swallow_after(ALL, ALL);
    }
}

async fn pass(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, left: &AtomicI64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            continue;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
