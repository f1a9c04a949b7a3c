//! A connection that begins in clear text and goes on under TLS.
//!
//! Before TLS it is read byte by byte, so that nobody holds more of it than the line that was asked for. Otherwise what
//! a man in the middle sends right behind the answer to STARTTLS would lie in a buffer and be taken for the server's
//! first words under TLS (CVE-2011-0411 and its kin, "NO STARTTLS", USENIX Security 2021).

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What a TLS client says first: the content type `handshake` (RFC 8446 5.1). No command of SMTP begins with it.
const HANDSHAKE: u8 = 22;

/// The connection.
#[derive(Debug)]
pub struct Careful {
    stream: TcpStream,
    is_plain: bool,
}

impl Careful {
    /// Over a connection on which nothing was said yet.
    pub const fn new(stream: TcpStream) -> Self {
        Self { stream, is_plain: true }
    }
}

impl AsyncTokioStream for Careful {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Careful {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_plain = self.is_plain;
        let stream = Pin::new(&mut self.stream);
        if !is_plain || buffer.remaining() == 0 {
            return stream.poll_read(context, buffer);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(stream.poll_read(context, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Careful {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.first() == Some(&HANDSHAKE) {
            self.is_plain = false;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
