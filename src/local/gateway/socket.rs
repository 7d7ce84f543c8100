//! The TCP connections of the WebSocket API: handshake responses have header names in their usual case, and the write
//! side can be closed before the read side.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::events::usual_case;

const ACCEPTED_PREFIX: &[u8] = b"HTTP/1.1 101 ";
const END_OF_LINE: &[u8] = b"\r\n";
/// Size of the buffer that discards what the client still sends.
const DRAIN_BYTES: usize = 16 * 1024;

/// Accepts TCP connections.
pub struct Sockets(pub TcpListener);

impl Listener for Sockets {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Socket { stream: Arc::new(stream), is_accepted: false }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The client of a request.
#[derive(Clone)]
pub struct Peer {
    pub address: SocketAddr,
    pub tcp: TcpHandle,
}

impl Connected<IncomingStream<'_, Sockets>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Self {
        Self { address: *stream.remote_addr(), tcp: TcpHandle(Arc::clone(&stream.io().stream)) }
    }
}

/// The TCP connection below a WebSocket. It stays open as long as a clone exists.
#[derive(Clone)]
pub struct TcpHandle(Arc<TcpStream>);

impl TcpHandle {
    /// Closes the write side, and discards input until the client closes too. Closing a TCP connection with unread
    /// input resets it, and the client may then lose the last frames.
    pub async fn shut_down_and_drain(&self) {
        if rustix::net::shutdown(&*self.0, Shutdown::Write).is_err() {
            return;
        }
        let mut discarded = [0; DRAIN_BYTES];
        while self.0.readable().await.is_ok() {
            match self.0.try_read(&mut discarded) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

/// A TCP connection that corrects the case of header names in the handshake response.
pub struct Socket {
    stream: Arc<TcpStream>,
    /// Whether the handshake response is written. What follows has no headers.
    is_accepted: bool,
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let response = (!self.is_accepted && bytes.starts_with(ACCEPTED_PREFIX)).then(|| with_usual_case(bytes));
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(response.as_deref().unwrap_or(bytes)) {
                Ok(count) => {
                    self.is_accepted |= response.is_some();
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&*self.stream, Shutdown::Write).map_err(io::Error::from))
    }
}

/// A response with header names in their usual case, of the same length. hyper writes them in lower case, but some
/// clients look for `Sec-WebSocket-Protocol` in exactly this case.
fn with_usual_case(response: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(response.len());
    let mut rest = response;
    while let Some(end) = rest.windows(END_OF_LINE.len()).position(|two| two == END_OF_LINE) {
        let (line, after) = rest.split_at(end + END_OF_LINE.len());
        let name = line.iter().position(|letter| *letter == b':').map_or(&[][..], |colon| &line[..colon]);
        match std::str::from_utf8(name).map(usual_case) {
            Ok(usual) if usual.len() == name.len() => result.extend(usual.bytes()),
            _ => result.extend(name),
        }
        result.extend(&line[name.len()..]);
        rest = after;
        if line == END_OF_LINE {
            break;
        }
    }
    result.extend(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshake_responses_have_header_names_in_usual_case() {
        let response = "HTTP/1.1 101 Switching Protocols\r\n\
                        connection: upgrade\r\nsec-websocket-protocol: a-b: c\r\n\r\n\
                      sec-websocket-key: x\r\n";

        assert_eq!(
            String::from_utf8(with_usual_case(response.as_bytes())).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nSec-WebSocket-Protocol: a-b: c\r\n\r\n\
             sec-websocket-key: x\r\n"
        );
    }
}
