//! The open connections, and the frames that wait for their clients.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use super::events::CloseStatus;
use super::new_id;
use crate::domain::Timestamp;

/// Limits of the buffer for a client that is slow to read.
const BUFFER_FRAMES: usize = 1024;
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// An instruction for a socket.
pub enum Outgoing {
    Text(String),
    /// The server closes the connection.
    Close(CloseStatus),
}

/// `identity` in events and in `GetConnection`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub source_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// An open connection.
pub struct Connection {
    pub id: String,
    pub connected_at: Timestamp,
    pub identity: Identity,
    /// The `Host` header of the handshake.
    pub host: String,
    last_active_ms: AtomicI64,
    buffer: mpsc::Sender<Outgoing>,
    buffered_bytes: AtomicUsize,
    /// Notified when the server closes the connection, even if the client does not read.
    close: Notify,
}

impl Connection {
    /// A connection, and the receiver of its outgoing frames.
    pub fn new(connected_at: Timestamp, identity: Identity, host: String) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (buffer, outgoing) = mpsc::channel(BUFFER_FRAMES);
        let connection = Self {
            id: new_id(),
            connected_at,
            identity,
            host,
            last_active_ms: AtomicI64::new(connected_at.as_millis()),
            buffer,
            buffered_bytes: AtomicUsize::new(0),
            close: Notify::new(),
        };
        (Arc::new(connection), outgoing)
    }

    /// Records a data frame in either direction.
    pub fn touch(&self, now: Timestamp) {
        self.last_active_ms.store(now.as_millis(), Ordering::Relaxed);
    }

    /// The time of the last data frame.
    pub fn last_active_at(&self) -> Timestamp {
        Timestamp::from_millis(self.last_active_ms.load(Ordering::Relaxed))
    }

    /// Returns when the server closes the connection.
    pub async fn closing(&self) {
        self.close.notified().await;
    }

    /// Buffers a text frame. Returns `false` if the buffer is full or the connection is closed.
    pub fn send(&self, text: String) -> bool {
        let bytes = text.len();
        if self.buffered_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= BUFFER_BYTES
            && self.buffer.try_send(Outgoing::Text(text)).is_ok()
        {
            return true;
        }
        self.buffered_bytes.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// Releases the buffer space of a frame that was taken from the buffer.
    pub fn release(&self, text: &str) {
        self.buffered_bytes.fetch_sub(text.len(), Ordering::Relaxed);
    }

    /// Whether no frame can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.buffer.is_closed()
    }

    /// Closes the connection after the buffered frames.
    pub fn close(&self, status: CloseStatus) {
        // If the buffer is full, the notification alone closes the connection.
        let _ = self.buffer.try_send(Outgoing::Close(status));
        self.close.notify_one();
    }
}

/// All open connections by id.
#[derive(Default)]
pub struct Registry(Mutex<HashMap<String, Arc<Connection>>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    pub fn add(&self, connection: Arc<Connection>) {
        self.lock().insert(connection.id.clone(), connection);
    }

    /// Removes a connection.
    pub fn remove(&self, id: &str) -> Option<Arc<Connection>> {
        self.lock().remove(id)
    }

    /// The connection of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Connection>> {
        self.lock().get(id).cloned()
    }

    /// The ids of the connections.
    pub fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Closes every connection with 1001.
    pub fn close_all(&self) {
        for connection in self.lock().values() {
            connection.close(CloseStatus::going_away());
        }
    }
}
