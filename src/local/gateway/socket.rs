//! The sockets of the WebSocket API: answers to handshakes have the usual spelling on the wire, and the write side can
//! be closed before the read side.

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

const ACCEPTED: &[u8] = b"HTTP/1.1 101 ";
const END_OF_LINE: &[u8] = b"\r\n";
/// What is read at once of what nobody wants.
const DRAIN_BYTES: usize = 16 * 1024;

/// Accepts sockets.
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

/// Who is at the other end.
#[derive(Clone)]
pub struct Peer {
    pub address: SocketAddr,
    pub wire: Wire,
}

impl Connected<IncomingStream<'_, Sockets>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Self {
        Self { address: *stream.remote_addr(), wire: Wire(Arc::clone(&stream.io().stream)) }
    }
}

/// The connection below a WebSocket. It is open as long as there is one of these.
#[derive(Clone)]
pub struct Wire(Arc<TcpStream>);

impl Wire {
    /// Sends nothing more, and tells the client so, but reads on until the client closes as well: a connection that is
    /// closed with something unread in it is reset, and the client may not see what it was told.
    pub async fn close_behind(&self) {
        if rustix::net::shutdown(&*self.0, Shutdown::Write).is_err() {
            return;
        }
        let mut unwanted = [0; DRAIN_BYTES];
        while self.0.readable().await.is_ok() {
            match self.0.try_read(&mut unwanted) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

/// A TCP connection on which WebSocket errors are told apart.
pub struct Socket {
    stream: Arc<TcpStream>,
    /// Whether the handshake is over: nothing has headers from then on.
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
        let spelled = (!self.is_accepted && bytes.starts_with(ACCEPTED)).then(|| spelled(bytes));
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(spelled.as_deref().unwrap_or(bytes)) {
                Ok(count) => {
                    self.is_accepted |= spelled.is_some();
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

/// An answer whose header names are spelled as usual, which the HTTP stack writes in lower case: some clients look for
/// `Sec-WebSocket-Protocol` by that very name. It is as long as before.
fn spelled(answer: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::with_capacity(answer.len());
    let mut rest = answer;
    while let Some(end) = rest.windows(END_OF_LINE.len()).position(|two| two == END_OF_LINE) {
        let (line, after) = rest.split_at(end + END_OF_LINE.len());
        let name = line.iter().position(|letter| *letter == b':').map_or(&[][..], |colon| &line[..colon]);
        match std::str::from_utf8(name).map(usual_case) {
            Ok(usual) if usual.len() == name.len() => spelled.extend(usual.bytes()),
            _ => spelled.extend(name),
        }
        spelled.extend(&line[name.len()..]);
        rest = after;
        if line == END_OF_LINE {
            break;
        }
    }
    spelled.extend(rest);
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_handshakes_have_usual_header_case() {
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nsec-websocket-protocol: a-b: c\r\n\r\n\
                      sec-websocket-key: x\r\n";

        assert_eq!(
            String::from_utf8(spelled(answer.as_bytes())).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nSec-WebSocket-Protocol: a-b: c\r\n\r\n\
             sec-websocket-key: x\r\n"
        );
    }
}
